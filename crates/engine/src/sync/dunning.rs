//! Failing payments in a sync: what they look like at the provider, and what is written down and asked because of them.

use jiff::tz::TimeZone;
use quittance_domain::dunning::{
    Case, DunningPolicy, Followed, Outcome, OwnTries, Retries, Step, Tried, TriedState, follow,
};
use quittance_domain::projection::Projection;
use quittance_domain::subscription::{AttemptFacts, AttemptState, InvoiceFacts};
use quittance_domain::{CustomerId, Timestamp};
use quittance_store::commands::{self, CommandState};
use quittance_store::{Tx, customers, dunning};
use quittance_stripe::calls;
use quittance_stripe::observe::{
    InvoicePaymentRef, ObservedInvoice, ObservedPaymentIntent, ObservedSubscription,
};
use serde::Deserialize;

use super::fetch::{Context, names_missing};
use super::{SyncError, translate};
use crate::commands::request::{Request, Which, invoice_object};
use crate::engine::Engine;

/// What the executor answers for a try.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    status: Option<String>,
    tried: Option<bool>,
}

/// Whether the provider has stopped a subscription's life because a payment failed.
pub(super) fn fails(status: &str) -> bool {
    matches!(status, "past_due" | "unpaid")
}

impl Engine {
    /// How the payment stands that is to pay what each failing subscription owes: by the subscription's id.
    #[crate::boxed]
    pub(super) async fn fetch_attempts(
        &self,
        subscriptions: &[ObservedSubscription],
        open: &[ObservedInvoice],
    ) -> Result<Vec<(String, AttemptFacts)>, SyncError> {
        let mut attempts = Vec::new();
        for subscription in subscriptions.iter().filter(|subscription| fails(&subscription.status)) {
            let Some(invoice) = translate::telling_invoice(subscription, open) else { continue };
            let open = invoice.payments.iter().flatten().find(|payment| waits(payment));
            let Some(payment) = open.and_then(|payment| payment.payment_intent.as_deref()) else { continue };
            if invoice.status != "open" {
                continue;
            }
            match self.look(calls::payments::retrieve_intent(payment)).await {
                Ok(intent) => attempts.push((subscription.id.clone(), attempt(&intent))),
                Err(error) if names_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(attempts)
    }

    /// Invoices of cases that are not over and that nothing else shows: older ones, and those that an event names.
    #[crate::boxed]
    pub(super) async fn fetch_cases_invoices(
        &self,
        context: &Context,
        subscriptions: &[ObservedSubscription],
        open: &[ObservedInvoice],
    ) -> Result<Vec<ObservedInvoice>, SyncError> {
        let latest = |id: &str| {
            subscriptions.iter().any(|s| s.latest_invoice.as_ref().is_some_and(|invoice| invoice.id() == id))
        };
        let wanted = context.cases.iter().filter(|case| {
            let asked = case.outcome == Outcome::Open || context.invoices.contains(&case.invoice);
            asked && case.outcome != Outcome::Recovered && !latest(&case.invoice)
        });
        let mut found = Vec::new();
        for case in wanted.filter(|case| open.iter().all(|invoice| invoice.id != case.invoice)) {
            match self.look(calls::invoices::retrieve(&case.invoice)).await {
                Ok(invoice) => found.push(invoice),
                Err(error) if names_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }
}

fn waits(payment: &InvoicePaymentRef) -> bool {
    payment.status.as_deref().is_none_or(|status| status == "open")
}

fn attempt(intent: &ObservedPaymentIntent) -> AttemptFacts {
    let failure = intent.last_failure.as_ref();
    let state = match intent.status.as_str() {
        "requires_payment_method" => AttemptState::NeedsMethod,
        "requires_action" => AttemptState::NeedsCustomer,
        "processing" => AttemptState::Processing,
        _ => AttemptState::Other,
    };
    AttemptFacts {
        payment: intent.id.clone(),
        state,
        code: failure.and_then(|failure| failure.code.clone()),
        decline_code: failure.and_then(|failure| failure.decline_code.clone()),
        advice: failure.and_then(|failure| failure.advice_code.clone()),
        method: failure
            .and_then(|failure| failure.payment_method.clone())
            .or_else(|| intent.payment_method.clone()),
    }
}

/// Invoices in the domain's terms; one that cannot be read is left out, as its case then waits.
pub(super) fn invoices(observed: &[ObservedInvoice]) -> Vec<InvoiceFacts> {
    observed.iter().filter_map(|found| translate::invoice(found).ok()).collect()
}

/// Follows the failing payments, and lets the projection tell what changed. Whoever is suspended is not charged.
pub(super) fn look(
    tx: &mut dyn Tx,
    cases: &[Case],
    others: &[InvoiceFacts],
    (customer, suspended): (Option<&CustomerId>, bool),
    policy: &DunningPolicy,
    projection: &mut Projection,
    now: Timestamp,
) -> quittance_store::Result<Followed> {
    let newest = projection.subscriptions.iter().filter(|s| fails(s.facts.status.as_str()));
    let newest = newest.filter_map(|s| s.facts.latest_invoice.as_ref().map(|invoice| invoice.id.clone()));
    let mut invoices: Vec<String> = cases.iter().map(|case| case.invoice.clone()).chain(newest).collect();
    invoices.sort();
    invoices.dedup();
    let (mut tried, mut zone) = (Vec::new(), TimeZone::UTC);
    if policy.retries == Retries::Own && !invoices.is_empty() {
        for invoice in &invoices {
            tried.extend(newest_try(tx, invoice)?);
        }
        zone = zone_of(tx, customer, policy)?;
    }
    let offset = |at: Timestamp| {
        let at = jiff::Timestamp::from_millisecond(at.ms()).unwrap_or_default();
        i64::from(zone.to_offset(at).seconds()).saturating_mul(1_000)
    };
    let mut followed = follow(&projection.subscriptions, others, cases, &tried, policy, &offset, now);
    projection.history.extend(followed.history.iter().cloned());
    projection.anomalies.extend(followed.anomalies.iter().cloned());
    projection.look_again_at = [projection.look_again_at, followed.look_again_at].into_iter().flatten().min();
    for subscription in &mut projection.subscriptions {
        subscription.own_tries = OwnTries::of(subscription, followed.cases.iter().chain(cases));
    }
    if suspended {
        followed.steps.retain(|step| match step {
            Step::Try { .. } => false,
            Step::GiveUp { .. } => true,
        });
        let own = projection.subscriptions.iter_mut().filter_map(|s| s.own_tries.as_mut());
        own.for_each(|own| own.next_at = None);
    }
    Ok(followed)
}

/// The newest try of ours at an invoice, as its command tells.
fn newest_try(tx: &mut dyn Tx, invoice: &str) -> quittance_store::Result<Option<Tried>> {
    let asked = commands::asked(tx, &invoice_object(invoice))?;
    Ok(asked.newest.map(|row| {
        let number = match serde_json::from_str(&row.request) {
            Ok(Request::PayInvoice { number, .. }) => Some(number),
            Ok(_) | Err(_) => None,
        };
        let answer: Answer =
            row.result.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let state = match row.state {
            CommandState::Pending => TriedState::Pending,
            CommandState::Failed => TriedState::Refused,
            CommandState::Succeeded if answer.tried == Some(false) => TriedState::LeftOut,
            CommandState::Succeeded if answer.status.as_deref() == Some("paid") => TriedState::Paid,
            CommandState::Succeeded => TriedState::Refused,
        };
        Tried { invoice: invoice.to_owned(), number, state }
    }))
}

/// The zone that the customer's metadata names, else the policy's; a name that nobody knows counts as none.
fn zone_of(
    tx: &mut dyn Tx,
    customer: Option<&CustomerId>,
    policy: &DunningPolicy,
) -> quittance_store::Result<TimeZone> {
    let row = match customer {
        Some(customer) => customers::get(tx, customer.as_str())?,
        None => None,
    };
    let named = row.as_ref().and_then(|row| row.metadata.get(&policy.time_zone_key));
    let zone = named.and_then(|name| TimeZone::get(name).ok());
    Ok(zone.or_else(|| TimeZone::get(&policy.time_zone).ok()).unwrap_or(TimeZone::UTC))
}

/// Cases that are new or ended differently than before, for those who count.
pub(super) fn news(before: &[Case], now: Vec<Case>) -> Vec<Case> {
    let same = |case: &Case| {
        let old = before
            .iter()
            .find(|old| (&old.subscription, &old.invoice) == (&case.subscription, &case.invoice));
        old.is_some_and(|old| old.outcome == case.outcome)
    };
    now.into_iter().filter(|case| !same(case)).collect()
}

/// Where cases and commands are written.
pub(super) struct Place<'a> {
    /// Provider, mode and account.
    pub scope: &'a str,
    /// The aggregate.
    pub aggregate: &'a str,
    /// Which database this is.
    pub instance: &'a str,
    /// Writes commands down.
    pub engine: &'a Engine,
    /// Whose it is.
    pub customer: Option<&'a CustomerId>,
}

/// Writes down what follows; `true` when a command waits to be sent.
pub(super) fn write(
    tx: &mut dyn Tx,
    place: &Place<'_>,
    followed: &Followed,
    now: Timestamp,
) -> quittance_store::Result<bool> {
    for case in &followed.cases {
        dunning::put(tx, place.scope, place.aggregate, place.customer, case, now)?;
    }
    let mut new = false;
    for step in &followed.steps {
        let request = match step.clone() {
            Step::Try { subscription, invoice, number } => {
                Request::PayInvoice { subscription, invoice, number }
            }
            Step::GiveUp { subscription, invoice, how } => {
                Request::GiveUpInvoice { subscription, invoice, how }
            }
        };
        let command =
            request.command(place.instance, Some(place.aggregate), place.customer, Which::Turn(0))?;
        new |= place.engine.write_down(tx, &command, now)?;
    }
    Ok(new)
}
