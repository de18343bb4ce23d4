//! The control page: events and deliveries, delivery policy, faults, customers, time, reset. English only.

use maud::{Markup, html};

use super::layout::{Tone, message, page, status, when};
use super::portal::subscription_tone;
use super::text::t;
use super::time::time;
use super::views::{
    ControlView, CustomerRow, DeliveryRow, DeliveryState, EventRow, FaultRow, Frame, Locale, OpenSessionRow,
    SubscriptionRow,
};
use super::words::subscription_status;

/// The developer's view of the sandbox and its switches. Forms and their fields are described at [`ControlView`].
#[must_use]
pub fn control_page(view: &ControlView) -> Markup {
    let body = html! {
        h1 { "Sandbox control" }
        @if let Some(notice) = &view.notice { (message(Tone::Good, None, notice)) }
        div class="columns" {
            div class="wide" {
                (time(view))
                (open_sessions(view))
                (events(view))
                (customers(view))
            }
            div class="side" {
                (delivery_policy(view))
                (faults(view))
                (reset(view))
            }
        }
    };
    page(&view.frame, "Sandbox control", "control", &body)
}

/// A table in a box that scrolls by itself and can be reached by keyboard.
pub(super) fn scroll_table(label: &str, heads: &[&str], rows: &Markup) -> Markup {
    html! {
        div class="scroll" role="region" aria-label=(label) tabindex="0" {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}

fn open_sessions(view: &ControlView) -> Markup {
    html! {
        section aria-labelledby="sessions" {
            h2 id="sessions" { "Open checkouts" }
            @if view.open_sessions.is_empty() {
                p class="empty" { "None open. A checkout that your program creates appears here." }
            } @else {
                (scroll_table("Open checkouts", &["For", "Session", "Expires"], &html! {
                    @for session in &view.open_sessions { (open_session(&view.frame, session)) }
                }))
            }
        }
    }
}

fn open_session(frame: &Frame, session: &OpenSessionRow) -> Markup {
    html! {
        tr {
            td { a href=(session.path) { (session.description) } }
            td { code { (session.id) } }
            td data-head="expires" { (when(frame, session.expires_at)) }
        }
    }
}

fn events(view: &ControlView) -> Markup {
    html! {
        section aria-labelledby="events" {
            h2 id="events" { "Events" }
            @if view.events.is_empty() {
                p class="empty" { "Nothing has happened yet. Make a customer: see the lines on " a href="/" { "the front page" } "." }
            } @else {
                p class="muted" { "Newest first: " (view.events.len()) " of " (view.events_total) "." }
                (scroll_table("Events", &["Event", "Time", "Deliveries", "Deliver again"], &html! {
                    @for event in &view.events { (event_row(&view.frame, event)) }
                }))
            }
        }
    }
}

fn event_row(frame: &Frame, event: &EventRow) -> Markup {
    html! {
        tr {
            td {
                strong { (event.kind) } br;
                code { (event.id) } br;
                code class="muted" { (event.object_id) }
            }
            td { (when(frame, event.created)) }
            td {
                @if event.deliveries.is_empty() { span class="muted" { "no endpoint subscribed" } }
                @for delivery in &event.deliveries { (delivery_cell(frame, delivery)) }
            }
            td class="actions" {
                form method="post" action=(event.deliver_action) {
                    input type="hidden" name="times" value="1";
                    button name="concurrently" value="false" aria-label={ "Deliver " (event.id) " once more" } { "Once" }
                }
                form method="post" action=(event.deliver_action) {
                    input type="hidden" name="times" value="3";
                    button name="concurrently" value="true"
                        aria-label={ "Deliver " (event.id) " three times at once" } { "×3 at once" }
                }
            }
        }
    }
}

fn delivery_cell(frame: &Frame, delivery: &DeliveryRow) -> Markup {
    let (tone, word) = match &delivery.state {
        DeliveryState::Pending { .. } => (Tone::Quiet, "waiting".to_owned()),
        DeliveryState::Delivered { status } => (Tone::Good, format!("answered {status}")),
        DeliveryState::Failed { status: Some(status) } => (Tone::Bad, format!("answered {status}")),
        DeliveryState::Failed { status: None } => (Tone::Bad, "no answer".to_owned()),
        DeliveryState::Dropped => (Tone::Warn, "dropped on purpose".to_owned()),
    };
    html! {
        div class="delivery" {
            (status(tone, &word))
            @if delivery.attempts > 1 { span class="muted" { " after " (delivery.attempts) " attempts" } }
            @if let DeliveryState::Pending { at: Some(at) } = &delivery.state { " " (when(frame, *at)) }
            br;
            span class="muted small" { (delivery.url) }
        }
    }
}

fn customers(view: &ControlView) -> Markup {
    html! {
        section aria-labelledby="customers" {
            h2 id="customers" { "Customers" }
            @if view.customers.is_empty() {
                p class="empty" { "No customers yet." }
            } @else {
                (scroll_table("Customers", &["Customer", "Subscriptions", "Portal"], &html! {
                    @for customer in &view.customers { (customer_row(&view.frame, customer)) }
                }))
            }
        }
    }
}

fn customer_row(frame: &Frame, customer: &CustomerRow) -> Markup {
    let frame = &Frame { now: customer.now, ..frame.clone() };
    html! {
        tr {
            td {
                @if let Some(app_id) = &customer.app_id { strong { (app_id) } br; }
                code { (customer.id) }
                @if let Some(email) = &customer.email { br; span class="muted" { (email) } }
                @if let Some(clock) = &customer.clock { br; span class="muted" { "on test clock " } code { (clock) } }
            }
            td {
                @if customer.subscriptions.is_empty() { span class="muted" { "none" } }
                @for subscription in &customer.subscriptions { (subscription_cell(frame, subscription)) }
            }
            td class="actions" {
                @if let Some(action) = &customer.portal_action {
                    form method="post" action=(action) {
                        button aria-label={ "Open the portal of " (customer.id) } { "Open portal" }
                    }
                }
            }
        }
    }
}

fn subscription_cell(frame: &Frame, subscription: &SubscriptionRow) -> Markup {
    let word = t(Locale::En, subscription_status(subscription.status));
    html! {
        div class="delivery" {
            strong { (subscription.name) } " " (status(subscription_tone(subscription.status), word)) br;
            code { (subscription.id) } br;
            @match subscription.cancel_at {
                Some(at) => { "ends " (when(frame, at)) }
                None => { "period ends " (when(frame, subscription.period_end)) }
            }
        }
    }
}

/// A small labelled number field with its unit.
fn number_field(id: &str, label: &str, unit: &str, value: u64, max: Option<u32>) -> Markup {
    html! {
        div class="row-field" {
            label for=(id) { (label) }
            input id=(id) name=(id) type="number" min="0" max=[max] step="1" value=(value) required;
            span class="unit muted" { (unit) }
        }
    }
}

fn delivery_policy(view: &ControlView) -> Markup {
    let policy = &view.policy;
    html! {
        section aria-labelledby="policy" {
            h2 id="policy" { "Webhook delivery" }
            @if view.endpoints.is_empty() {
                p class="empty" { "No endpoint. Start the sandbox with " code { "--webhook-url" } ", or create one with the API." }
            } @else {
                ul class="plain" {
                    @for (url, enabled) in &view.endpoints {
                        li {
                            code { (url) } " "
                            (if *enabled { status(Tone::Good, "enabled") } else { status(Tone::Quiet, "disabled") })
                        }
                    }
                }
            }
            form class="pause" method="post" action=(policy.pause_action) {
                @if policy.paused {
                    p { (status(Tone::Warn, "paused")) " " (policy.held) " held back." }
                    button class="second-action" name="paused" value="false" { "Resume deliveries" }
                } @else {
                    button class="second-action" name="paused" value="true" { "Pause deliveries" }
                }
            }
            form method="post" action=(policy.action) {
                (number_field("duplicate", "Send twice", "% of events", policy.duplicate_percent.into(), Some(100)))
                (number_field("shuffle", "Out of order", "% of events", policy.shuffle_percent.into(), Some(100)))
                (number_field("drop", "Never sent", "% of events", policy.drop_percent.into(), Some(100)))
                (number_field("delay_seconds", "Late by up to", "seconds", policy.delay_seconds, None))
                (number_field("seed", "Seed of the dice", "", policy.seed, None))
                button class="second-action" { "Set delivery" }
            }
        }
    }
}

fn faults(view: &ControlView) -> Markup {
    html! {
        section aria-labelledby="faults" {
            h2 id="faults" { "Faults" }
            @if view.faults.is_empty() { p class="empty" { "None: every call is answered as it should be." } }
            @for fault in &view.faults { (fault_row(view, fault)) }
            form method="post" action=(view.fault_action) {
                div class="field" {
                    label for="fault-kind" { "Answer with" }
                    select id="fault-kind" name="kind" {
                        option value="429" { "429 too many requests" }
                        option value="500" { "500 server error" }
                        option value="lost_before_commit" { "nothing: lost before the commit" }
                        option value="lost_after_commit" { "nothing: lost after the commit" }
                        option value="latency" { "the answer, late" }
                    }
                }
                div class="field" {
                    label for="fault-path" { "Path pattern" }
                    input id="fault-path" name="path" type="text" value="/v1/*" required maxlength="200"
                        autocomplete="off";
                }
                (number_field("count", "How many times", "calls", 1, None))
                (number_field("latency_ms", "If late, by", "ms", 2000, None))
                button class="second-action" { "Add fault" }
            }
        }
    }
}

fn fault_row(view: &ControlView, fault: &FaultRow) -> Markup {
    html! {
        form class="fault" method="post" action=(view.fault_clear_action) {
            p {
                (status(Tone::Warn, &fault.effect)) " on " code { (fault.path) }
                @if let Some(remaining) = fault.remaining { span class="muted" { ", " (remaining) " more" } }
            }
            button name="id" value=(fault.id) aria-label={ "Lift fault on " (fault.path) } { "Lift" }
        }
    }
}

fn reset(view: &ControlView) -> Markup {
    html! {
        section aria-labelledby="reset" {
            h2 id="reset" { "Start again" }
            details class="fold" {
                summary { "Reset the sandbox" }
                form method="post" action=(view.reset_action) {
                    p { "Customers, subscriptions, payments and events of the sandbox are deleted. No money moves. Your program's own database keeps what it has." }
                    button class="danger-action" { "Delete everything here" }
                }
            }
        }
    }
}
