//! Notices just before they are sent: are they still true, and what do they need that only the provider knows.
//!
//! What is due is decided by `domain::notices` within a sync; whoever sends a message asks [`Engine::still_true`], then
//! [`Engine::prepare_notice`]. Amounts of renewals are the provider's own preview, with discounts, tax and credit, never a local
//! price. Refuses to know how a message looks and which way it goes.

mod announce;
mod beside;
mod proof;

use quittance_domain::mutant::{self, Mutant};
use quittance_domain::notices::truth::{self, Claim, Known, Truth};
use quittance_domain::notices::{AppliedRule, Fit, NoticeKind, put_charged};
use quittance_domain::{Catalog, Currency, Timestamp};
use quittance_store::notices::{self, NoticeRow};
use quittance_store::outbox::{self, NewAlert};
use quittance_store::{Tx, mirror};
use quittance_stripe::calls;
use quittance_stripe::calls::invoices::PreviewChange;
use quittance_stripe::calls::subscriptions::{ItemChange, ProrationBehavior};
use quittance_stripe::error::ErrorKind;
use quittance_stripe::observe::{HostedInvoice, InvoicePreview, PreviewLine};
use serde_json::{Map, Value, json};

pub use announce::NewAnnouncement;
pub(crate) use beside::beside;
pub use proof::Proof;
pub(crate) use proof::delivery_key;

use crate::engine::Engine;
use crate::problem::Problem;

/// Most rows of a list of notices.
const MOST_ROWS: i64 = 500;

/// What is to become of a notice that is about to be sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// Send it.
    Send(Box<Prepared>),
    /// It is no longer true: do not send it, and why.
    Over(String),
}

/// A notice with everything that its text needs.
#[derive(Clone, PartialEq)]
pub struct Prepared {
    /// The facts: those written down with the notice, and those asked for just now. Amounts are minor units with a `currency`, times
    /// RFC 3339 in UTC.
    pub data: Value,
    /// Where it can be paid or seen at the provider. Whoever has it can pay: pass it on and keep it nowhere.
    pub hosted_url: Option<String>,
    /// What the text must contain by the rules that apply: keys of the table's items.
    pub must_say: Vec<String>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("data", &self.data)
            .field("hosted_url", &self.hosted_url.is_some())
            .field("must_say", &self.must_say)
            .finish()
    }
}

impl Engine {
    /// A notice by its number.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn notice(&self, seq: i64) -> Result<NoticeRow, Problem> {
        let row = self.db().read("notices.get", move |tx| notices::get(tx, seq)).await?;
        row.ok_or_else(|| Problem::not_found("notice"))
    }

    /// Notices before `cursor` (exclusive; `i64::MAX` for the newest), newest first: of one customer, of one kind, where these
    /// are given.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn notices(
        &self,
        customer: Option<&str>,
        kind: Option<NoticeKind>,
        cursor: i64,
        limit: i64,
    ) -> Result<Vec<NoticeRow>, Problem> {
        let (customer, limit) = (customer.map(str::to_owned), limit.clamp(1, MOST_ROWS));
        let rows = self
            .db()
            .read("notices.list", move |tx| match &customer {
                Some(customer) => notices::of_customer(tx, customer, cursor, kind, limit),
                None => notices::list(tx, cursor, kind, limit),
            })
            .await?;
        Ok(rows)
    }

    /// Whether what a notice says is still so, by the mirror; the provider is not asked.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn still_true(&self, notice: &NoticeRow) -> Result<Truth, Problem> {
        let (row, scope, now) = (notice.clone(), self.scope().to_string(), self.now());
        let catalog = self.catalog_handle();
        let truth = self
            .db()
            .read("notices.still_true", move |tx| still_true(tx, &row, &scope, &catalog, now))
            .await?;
        Ok(truth)
    }

    /// Everything that the text of a notice needs, asked for just before it is sent; or that it is over, because the provider
    /// knows more than the mirror.
    ///
    /// # Errors
    /// What the provider says; worth a later try when it is transient.
    #[crate::boxed]
    pub async fn prepare_notice(&self, notice: &NoticeRow) -> Result<Ready, Problem> {
        if let Truth::Over(why) = self.still_true(notice).await?
            && !mutant::is(Mutant::StillTrue)
        {
            return Ok(Ready::Over(why.to_owned()));
        }
        let mut data: Map<String, Value> = serde_json::from_str(&notice.data).unwrap_or_default();
        let mut hosted_url = None;
        match notice.kind {
            NoticeKind::PaymentFailed
            | NoticeKind::PaymentActionRequired
            | NoticeKind::GraceEnding
            | NoticeKind::PaymentRecovered
            | NoticeKind::Receipt => {
                if let Some(id) = word(&data, "invoice") {
                    let invoice = self.ask(calls::invoices::hosted(&id)).await?;
                    let owed = !matches!(notice.kind, NoticeKind::Receipt | NoticeKind::PaymentRecovered);
                    if owed && invoice.status != "open" {
                        return Ok(Ready::Over(format!("the invoice is {}", invoice.status)));
                    }
                    let own_try = if owed { self.own_try(&data, &id).await? } else { None };
                    add_invoice(&mut data, &invoice, owed, own_try)?;
                    hosted_url = invoice.url;
                }
                // What a trial begins with says what it will cost, and when.
                if notice.kind == NoticeKind::Receipt
                    && data.contains_key("trial_end")
                    && let Some(charge) = self.preview_of(&data).await?
                {
                    data.insert("first_charge".to_owned(), json!(charge.preview.amount_due));
                    data.insert("regular".to_owned(), json!(charge.regular));
                }
            }
            NoticeKind::TrialEnding | NoticeKind::RenewalAhead | NoticeKind::PriceChanging => {
                if let (Some(id), Some(about)) = (word(&data, "subscription"), notice.about)
                    && notice.kind != NoticeKind::PriceChanging
                {
                    // What is planned may have changed since it was written down.
                    put_charged(&mut data, &self.subscription(&id).await?.subscription, about);
                }
                let Some(charge) = self.preview_of(&data).await? else {
                    return Ok(Ready::Over("nothing will be charged".to_owned()));
                };
                add_charge(&mut data, &charge)?;
                if let (true, Some(about)) = (data.contains_key("planned_price"), notice.about) {
                    // A supposed change is previewed as if it were made now.
                    data.insert("charge_at".to_owned(), json!(about.to_string()));
                }
            }
            NoticeKind::PlanChanged => {
                // What is planned for the period's end would be previewed in the place of what is told.
                if let Some(id) = word(&data, "subscription")
                    && self.subscription(&id).await?.subscription.scheduled.is_none()
                    && let Some(charge) = self.preview_of(&data).await?
                {
                    add_charge(&mut data, &charge)?;
                }
            }
            NoticeKind::AccessEnded
            | NoticeKind::TermsChanging
            | NoticeKind::SubscriptionCancelled
            | NoticeKind::RefundMade
            | NoticeKind::PurchaseProcessing
            | NoticeKind::PurchaseFailed
            | NoticeKind::RefundFailed
            | NoticeKind::CardExpiring => {}
        }
        self.note_lateness(notice).await?;
        let rules = &self.settings().notice_rules;
        let must_say = rules.must_say(notice.rules.iter().map(|rule| rule.id.as_str()));
        let must_say = must_say.into_keys().map(str::to_owned).collect();
        Ok(Ready::Send(Box::new(Prepared { data: Value::Object(data), hosted_url, must_say })))
    }

    /// When we try to take an invoice ourselves, by what the mirror says now.
    async fn own_try(&self, data: &Map<String, Value>, invoice: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(id) = word(data, "subscription") else { return Ok(None) };
        let subscription = self.subscription(&id).await?.subscription;
        let latest = subscription.facts.latest_invoice.as_ref().is_some_and(|latest| latest.id == invoice);
        Ok(subscription.own_tries.filter(|_| latest).and_then(|own| own.next_at))
    }

    /// What the next renewal comes to, after the change that is announced; `None` when there will be none.
    async fn preview_of(&self, data: &Map<String, Value>) -> Result<Option<Charge>, Problem> {
        let Some(id) = word(data, "subscription") else { return Ok(None) };
        let (price, quantity) = match (word(data, "new_price"), word(data, "planned_price")) {
            (Some(named), _) => (Some(self.announced_price(&named).await?), None),
            (None, Some(planned)) => (Some(planned), data.get("quantity").and_then(Value::as_i64)),
            (None, None) => (None, None),
        };
        let changed = match &price {
            Some(_) => self.subscription(&id).await?.subscription.facts.items.into_iter().next(),
            None => None,
        };
        let items: Vec<ItemChange<'_>> = changed
            .iter()
            .map(|item| ItemChange { id: &item.id, price: price.as_deref(), quantity, deleted: false })
            .collect();
        let wanted = PreviewChange {
            subscription: &id,
            items: &items,
            proration_behavior: (!items.is_empty()).then_some(ProrationBehavior::None),
            proration_date_s: None,
        };
        match self.ask(calls::invoices::create_preview(&wanted)).await {
            Ok(preview) => Ok(Some(Charge { regular: regular(&preview, price.as_deref()), preview })),
            Err(error) if names_none(error.kind()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A notice that was due in time and goes out when a rule's window is over: operators hear of it.
    async fn note_lateness(&self, notice: &NoticeRow) -> Result<(), Problem> {
        let now = self.now();
        let closed = |rule: &AppliedRule| {
            rule.closes
                .filter(|closes| rule.fit == Fit::Kept && now > *closes)
                .map(|at| (rule.id.clone(), at))
        };
        let Some((rule, closes)) = notice.rules.iter().find_map(closed) else { return Ok(()) };
        let alert = NewAlert {
            kind: "notice_window_missed".to_owned(),
            object: notice.object.clone(),
            customer: None,
            aggregate: notice.aggregate.clone(),
            detail: format!(
                "{}: `{rule}` asked for it until {closes}, and it is sent only now",
                notice.kind.as_str(),
            ),
            mend: format!("see why its delivery was late: quittance notices show {}", notice.seq),
        };
        self.db().write("notices.late", move |tx| outbox::raise(tx, &alert, now)).await?;
        Ok(())
    }
}

/// By the mirror alone, within a transaction.
fn still_true(
    tx: &mut dyn Tx,
    row: &NoticeRow,
    scope: &str,
    catalog: &Catalog,
    now: Timestamp,
) -> quittance_store::Result<Truth> {
    let Some(customer) = &row.customer else { return Ok(Truth::Over("nobody is linked")) };
    let subscriptions: Vec<_> =
        mirror::subscriptions_of_customer(tx, customer)?.into_iter().map(|row| row.subscription).collect();
    let purchases = mirror::purchases_of_customer(tx, customer)?;
    let payments = match &row.aggregate {
        Some(aggregate) => mirror::payments_of_aggregate(tx, aggregate)?,
        None => Vec::new(),
    };
    let announced = notices::ahead(tx, scope, now)?;
    let held = beside::held(tx, customer, catalog, now)?;
    let data = serde_json::from_str(&row.data).unwrap_or_default();
    let claim = Claim {
        kind: row.kind,
        object: &row.object,
        occurrence: &row.occurrence,
        about: row.about,
        data: &data,
    };
    let known = Known {
        subscriptions: &subscriptions,
        purchases: &purchases,
        payments: &payments,
        announced: &announced,
        held: &held,
        now,
    };
    Ok(truth::still_holds(claim, known))
}

/// What the next renewal comes to.
struct Charge {
    preview: InvoicePreview,
    /// What each period costs: minor units, before discounts, tax and credit.
    regular: i64,
}

/// The part of a preview that comes again with every period: of one price, where that is what is told.
fn regular(preview: &InvoicePreview, price: Option<&str>) -> i64 {
    let told = |line: &&PreviewLine| {
        !line.proration && price.is_none_or(|price| line.price_id.as_deref() == Some(price))
    };
    let lines: Vec<i64> = preview.lines.iter().filter(told).map(|line| line.amount).collect();
    if lines.is_empty() || !preview.lines_complete { preview.subtotal } else { lines.iter().sum() }
}

/// The provider has no invoice to preview, or no such subscription any more. That it does not know a price is an error: it would
/// charge something else.
fn names_none(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::NotFound { code, param } => {
            code.as_deref() == Some("invoice_upcoming_none") || param.as_deref() == Some("subscription")
        }
        ErrorKind::RateLimited
        | ErrorKind::LockTimeout
        | ErrorKind::Conflict
        | ErrorKind::IdempotencyMismatch
        | ErrorKind::Authentication
        | ErrorKind::Permission
        | ErrorKind::InvalidRequest { .. }
        | ErrorKind::Card { .. }
        | ErrorKind::Provider
        | ErrorKind::OutcomeUnknown
        | ErrorKind::NotSent
        | ErrorKind::ReadOnly
        | ErrorKind::Throttled
        | ErrorKind::CircuitOpen
        | ErrorKind::Shape(_)
        | ErrorKind::Malformed
        | ErrorKind::WrongMode => false,
    }
}

fn word(data: &Map<String, Value>, key: &str) -> Option<String> {
    data.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn currency(code: &str) -> Result<Currency, Problem> {
    Currency::parse(code).map_err(|error| Problem::invalid(error.to_string()))
}

/// Adds what an invoice says; `own_try` is when we try to take it ourselves.
fn add_invoice(
    data: &mut Map<String, Value>,
    invoice: &HostedInvoice,
    owed: bool,
    own_try: Option<Timestamp>,
) -> Result<(), Problem> {
    let code = currency(&invoice.currency)?;
    let mut put = |key: &str, value: Value| data.insert(key.to_owned(), value);
    put("amount", json!(if owed { invoice.amount_remaining } else { invoice.total }));
    put("tax", json!(invoice.tax));
    put("currency", json!(code.code()));
    put("invoice_number", json!(invoice.number));
    if owed {
        let next = invoice.next_payment_attempt_s.map(Timestamp::from_seconds).or(own_try);
        put("next_attempt_at", json!(next.map(|at| at.to_string())));
    }
    Ok(())
}

fn add_charge(data: &mut Map<String, Value>, charge: &Charge) -> Result<(), Problem> {
    let preview = &charge.preview;
    let code = currency(&preview.currency)?;
    let charged = preview.next_payment_attempt_s.map(|at| Timestamp::from_seconds(at).to_string());
    let mut put = |key: &str, value: Value| data.insert(key.to_owned(), value);
    put("amount", json!(preview.amount_due));
    put("total", json!(preview.total));
    put("regular", json!(charge.regular));
    put("currency", json!(code.code()));
    put("charge_at", json!(charged));
    Ok(())
}
