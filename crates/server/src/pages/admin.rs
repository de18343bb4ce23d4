//! The operators' overview: what came in, what waits, what is parked, what surprised us. English only; ids can be copied.

use maud::{Markup, html};
use quittance_domain::Timestamp;
use quittance_domain::checkout::CheckoutState;
use quittance_mail::format::decimal;

use self::Head::{Number, Words};
use super::layout::{Audience, Frame, Locale, Tone, copyable, page, status, when};

/// The overview.
#[derive(Clone, Debug)]
pub struct AdminView {
    /// The frame; its language is taken as English.
    pub frame: Frame,
    /// Counts of the inbox and the work.
    pub counts: InboxCounts,
    /// Parked aggregates, longest first.
    pub parked: Vec<ParkedRow>,
    /// Alerts and anomalies that nobody has closed, newest first.
    pub anomalies: Vec<AnomalyRow>,
    /// Alerts, newest first.
    pub alerts: Vec<AlertRow>,
    /// Recent events, newest first.
    pub events: Vec<EventRow>,
    /// Failing payments by month and cause, the newest month first.
    pub churn: Vec<ChurnRow>,
    /// Checkouts that are open or processing, newest first.
    pub checkouts: Vec<CheckoutRow>,
    /// Where the app is told of changes.
    pub endpoints: Vec<EndpointRow>,
    /// Messages to the app that were given up, newest first.
    pub given_up: Vec<GivenUpRow>,
}

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboxCounts {
    /// Events kept.
    pub events: u64,
    /// Deliveries beyond the first of an event, among the newest events.
    pub duplicates: u64,
    /// Events whose aggregate has not been synced after them.
    pub waiting: u64,
    /// Age of the oldest of these, seconds.
    pub oldest_waiting_seconds: Option<u64>,
    /// Aggregates that are dirty.
    pub dirty: u64,
    /// Aggregates that are parked.
    pub parked: u64,
    /// Outbox rows that have not left.
    pub outbox: u64,
    /// Customers.
    pub customers: u64,
    /// How far events, repeats, waiting events, the outbox and customers were counted.
    pub most: u64,
}

/// A parked aggregate.
#[derive(Clone, Debug)]
pub struct ParkedRow {
    /// Its key.
    pub key: String,
    /// Since when.
    pub parked_at: Timestamp,
    /// Attempts made.
    pub attempts: u64,
    /// The last error.
    pub last_error: String,
}

/// An anomaly.
#[derive(Clone, Debug)]
pub struct AnomalyRow {
    /// When it was recorded.
    pub at: Timestamp,
    /// Its kind, such as `unknown_price`.
    pub kind: String,
    /// The aggregate or object.
    pub object: String,
    /// What was found, and what to do.
    pub detail: String,
}

/// An alert to the operators.
#[derive(Clone, Debug)]
pub struct AlertRow {
    /// When.
    pub at: Timestamp,
    /// Its kind, such as `duplicate_subscription`.
    pub kind: String,
    /// What happened, and what to do.
    pub detail: String,
}

/// An address where the app is told of changes.
#[derive(Clone, Debug)]
pub struct EndpointRow {
    /// Our id.
    pub id: String,
    /// Where it listens.
    pub url: String,
    /// The types that it wants; empty for all.
    pub types: String,
    /// Why it is off.
    pub off: Option<String>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
}

/// A message to the app that was given up.
#[derive(Clone, Debug)]
pub struct GivenUpRow {
    /// The event.
    pub event: String,
    /// The endpoint.
    pub endpoint: String,
    /// When it was given up.
    pub at: Option<Timestamp>,
    /// Attempts made.
    pub attempts: u64,
    /// The last error.
    pub error: String,
}

/// An event.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// The provider's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its aggregate.
    pub aggregate: String,
    /// When it was kept.
    pub received_at: Timestamp,
    /// Deliveries seen.
    pub deliveries: u64,
    /// Its aggregate has been synced after it.
    pub processed: bool,
}

/// What came to be at risk in a month for one cause, as amounts with counts.
#[derive(Clone, Debug)]
pub struct ChurnRow {
    /// The month.
    pub month: String,
    /// The cause.
    pub cause: String,
    /// Everything.
    pub at_risk: String,
    /// Undecided.
    pub open: String,
    /// Paid in the end.
    pub recovered: String,
    /// Lost.
    pub lost: String,
}

/// A checkout.
#[derive(Clone, Debug)]
pub struct CheckoutRow {
    /// Our id.
    pub id: String,
    /// Customer.
    pub customer: String,
    /// Plan, interval and currency.
    pub what: String,
    /// State.
    pub state: CheckoutState,
    /// Expiry.
    pub expires_at: Option<Timestamp>,
}

/// What an operator looks at first.
#[must_use]
pub fn admin_page(view: &AdminView) -> Markup {
    let view = &AdminView { frame: Frame { locale: Locale::En, ..view.frame.clone() }, ..view.clone() };
    let body = html! {
        h1 { "Overview" }
        (counts(&view.counts))
        (parked(view))
        (anomalies(view))
        (alerts(view))
        (churn(view))
        (events(view))
        (checkouts(view))
        (endpoints(view))
        (given_up(view))
    };
    page(&view.frame, Audience::Operator, "Overview", "admin", None, &body)
}

fn counts(counts: &InboxCounts) -> Markup {
    let waiting_tone = match counts.oldest_waiting_seconds {
        Some(60..) => Tone::Warn,
        Some(_) | None => Tone::Quiet,
    };
    let most = Some(counts.most);
    html! {
        dl class="counts" {
            (count("Events kept", counts.events, most, None))
            (count("Repeats of the newest", counts.duplicates, None, None))
            (count("Waiting for a sync", counts.waiting, most, counts.oldest_waiting_seconds.map(|age| {
                status(waiting_tone, &format!("oldest {age} s"))
            })))
            (count("Dirty aggregates", counts.dirty, None, None))
            (count("Parked", counts.parked, None, (counts.parked > 0).then(|| status(Tone::Bad, "needs you"))))
            (count("In the outbox", counts.outbox, most, None))
            (count("Customers", counts.customers, most, None))
        }
    }
}

/// A number; with a plus sign when nobody counted further.
fn count(label: &str, number: u64, most: Option<u64>, note: Option<Markup>) -> Markup {
    let more = most.is_some_and(|most| number >= most);
    html! { div { dt { (label) } dd { (decimal(number, 0)) @if more { "+" } @if let Some(note) = note { (note) } } } }
}

/// A column's head.
enum Head {
    Words(&'static str),
    /// Its cells are numbers, to the right.
    Number(&'static str),
}

/// A section with a table, or a sentence that names the next command.
fn listing(id: &str, title: &str, empty: &Markup, heads: &[Head], rows: Option<&Markup>) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (title) }
            @match rows {
                None => div class="empty" { (empty) },
                Some(rows) => div class="scroll" role="region" aria-labelledby=(id) tabindex="0" {
                    table {
                        thead { tr { @for head in heads { (head_cell(head)) } } }
                        tbody { (rows) }
                    }
                },
            }
        }
    }
}

fn head_cell(head: &Head) -> Markup {
    match head {
        Head::Words(words) => html! { th scope="col" { (words) } },
        Head::Number(words) => html! { th scope="col" class="money" { (words) } },
    }
}

fn parked(view: &AdminView) -> Markup {
    let empty = html! { p { "Nothing is parked. Work that fails for good waits here; list it with " code { "quittance parked list" } "." } };
    let rows = html! {
        @for row in &view.parked {
            tr {
                td { code { (row.key) } }
                td { (when(&view.frame, row.parked_at)) }
                td class="money" { (row.attempts) }
                td { (row.last_error) (copyable(Locale::En, &format!("quittance parked retry {}", shell_word(&row.key)))) }
            }
        }
    };
    let heads =
        [Words("Aggregate"), Words("Since"), Number("Attempts"), Words("Last error, and how to try again")];
    listing("parked", "Parked", &empty, &heads, (!view.parked.is_empty()).then_some(&rows))
}

/// A word that a shell takes as it is; quoted where it would not.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '@' | ',');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn anomalies(view: &AdminView) -> Markup {
    let empty = html! { p { "No anomalies. To see why a customer has what they have: " code { "quittance explain CUSTOMER FEATURE" } "." } };
    let rows = html! {
        @for row in &view.anomalies {
            tr {
                td { (status(Tone::Warn, &row.kind)) }
                td { code { (row.object) } }
                td { (row.detail) }
                td { (when(&view.frame, row.at)) }
            }
        }
    };
    let heads = [Words("Kind"), Words("Object"), Words("What was found"), Words("When")];
    listing("anomalies", "Anomalies", &empty, &heads, (!view.anomalies.is_empty()).then_some(&rows))
}

fn alerts(view: &AdminView) -> Markup {
    let rows = html! {
        @for row in &view.alerts {
            tr {
                td { (status(Tone::Warn, &row.kind)) }
                td { (row.detail) }
                td { (when(&view.frame, row.at)) }
            }
        }
    };
    let heads = [Words("Kind"), Words("What happened"), Words("When")];
    listing(
        "alerts",
        "Alerts",
        &html! { p { "No alerts." } },
        &heads,
        (!view.alerts.is_empty()).then_some(&rows),
    )
}

fn churn(view: &AdminView) -> Markup {
    let empty = html! { p { "No renewal has failed in these months. The whole report: " code { "quittance dunning report" } "." } };
    let rows = html! {
        @for row in &view.churn {
            tr {
                td { (row.month) }
                td { code { (row.cause) } }
                td class="money" { (row.at_risk) }
                td class="money" { (row.open) }
                td class="money" { (row.recovered) }
                td class="money" { (row.lost) }
            }
        }
    };
    let heads = [
        Words("Failed in"),
        Words("Cause"),
        Number("At risk"),
        Number("Undecided"),
        Number("Recovered"),
        Number("Lost"),
    ];
    listing("churn", "Failing payments", &empty, &heads, (!view.churn.is_empty()).then_some(&rows))
}

fn events(view: &AdminView) -> Markup {
    let empty = html! { p { "No events yet. Buy something on " a href="/pricing" { "the pricing page" } ", or look with " code { "quittance events list" } "." } };
    let rows = html! {
        @for row in &view.events {
            tr {
                td { strong { (row.kind) } br; code { (row.id) } }
                td class="wraps" { code { (row.aggregate) } }
                td { (when(&view.frame, row.received_at)) }
                td class="money" { (row.deliveries) }
                td { (if row.processed { status(Tone::Good, "synced") } else { status(Tone::Quiet, "waiting") }) }
            }
        }
    };
    let heads = [Words("Event"), Words("Aggregate"), Words("Received"), Number("Deliveries"), Words("State")];
    listing("events", "Recent events", &empty, &heads, (!view.events.is_empty()).then_some(&rows))
}

fn checkouts(view: &AdminView) -> Markup {
    let empty = html! { p { "No open checkouts." } };
    let rows = html! {
        @for row in &view.checkouts {
            @let tone = match row.state {
                CheckoutState::Creating | CheckoutState::Open | CheckoutState::Processing => Tone::Quiet,
                CheckoutState::Complete => Tone::Good,
                CheckoutState::Expired => Tone::Bad,
            };
            tr {
                td { code { (row.id) } }
                td { code { (row.customer) } }
                td { (row.what) }
                td { (status(tone, row.state.as_str())) }
                td { @if let Some(at) = row.expires_at { (when(&view.frame, at)) } }
            }
        }
    };
    let heads = [Words("Checkout"), Words("Customer"), Words("For"), Words("State"), Words("Expires")];
    listing("checkouts", "Open checkouts", &empty, &heads, (!view.checkouts.is_empty()).then_some(&rows))
}

fn endpoints(view: &AdminView) -> Markup {
    let empty = html! { p { "Your app is told nowhere. Make an endpoint: " code { "quittance webhooks create --url https://…" } ", or look on: " code { "quittance webhooks tail" } "." } };
    let rows = html! {
        @for row in &view.endpoints {
            tr {
                td { (row.url) br; code { (row.id) } }
                td { (if row.types.is_empty() { "all" } else { &row.types }) }
                td {
                    @match (&row.off, row.failing_since) {
                        (Some(why), _) => {
                            (status(Tone::Bad, "off")) " " (why)
                            (copyable(Locale::En, &format!("quittance webhooks enable {}", row.id)))
                        }
                        (None, Some(since)) => { (status(Tone::Warn, "failing")) " since " (when(&view.frame, since)) }
                        (None, None) => { (status(Tone::Good, "on")) }
                    }
                }
            }
        }
    };
    let heads = [Words("Endpoint"), Words("Types"), Words("State")];
    listing(
        "endpoints",
        "Webhooks to your app",
        &empty,
        &heads,
        (!view.endpoints.is_empty()).then_some(&rows),
    )
}

fn given_up(view: &AdminView) -> Markup {
    let rows = html! {
        @for row in &view.given_up {
            tr {
                td { code { (row.event) } }
                td { code { (row.endpoint) } }
                td class="money" { (row.attempts) }
                td { @if let Some(at) = row.at { (when(&view.frame, at)) } }
                td {
                    (row.error)
                    (copyable(Locale::En, &format!("quittance webhooks replay --endpoint {} --event {}", row.endpoint, row.event)))
                }
            }
        }
    };
    let heads = [
        Words("Event"),
        Words("Endpoint"),
        Number("Attempts"),
        Words("Given up"),
        Words("Last error, and how to send it again"),
    ];
    let empty = html! { p { "Every message that was sent to your app has arrived, or is still tried." } };
    listing("given-up", "Given up", &empty, &heads, (!view.given_up.is_empty()).then_some(&rows))
}
