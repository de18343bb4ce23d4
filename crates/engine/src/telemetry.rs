//! Names of metrics and funnel events, in one place, in the vocabulary of engine.md.
//!
//! Log fields carry ids, plans, statuses and access words; never card data, e-mail or names.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use quittance_domain::CustomerId;
use quittance_domain::delivery::Channel;
use quittance_domain::drift::WrongAccess;
use quittance_domain::dunning::Case;
use quittance_store::aggregates::Backlog;
use quittance_store::drifts::WrongNow;

/// Milliseconds as the seconds that metrics are counted in; a clock that went back counts as zero.
fn seconds(ms: i64) -> f64 {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
}

/// A webhook was accepted or refused: `outcome` is `new`, `duplicate`, or the refusal's code.
pub fn inbox(outcome: &'static str) {
    counter!("quittance_inbox_events_total", "outcome" => outcome).increment(1);
}

/// A sync ended: `outcome` is `done`, `retried`, `parked` or `fenced`.
pub fn sync(outcome: &'static str) {
    counter!("quittance_syncs_total", "outcome" => outcome).increment(1);
}

/// Milliseconds from the oldest hint to the commit that answered it.
pub fn sync_lag(ms: i64) {
    histogram!("quittance_sync_lag_seconds").record(seconds(ms));
}

/// A call to the provider ended after so long, or was held back here and never left.
pub fn provider_call(endpoint: &'static str, outcome: &'static str, duration_ms: Option<i64>) {
    let Some(ms) = duration_ms else {
        counter!("quittance_provider_held_back_total", "endpoint" => endpoint, "outcome" => outcome)
            .increment(1);
        return;
    };
    counter!("quittance_provider_calls_total", "endpoint" => endpoint, "outcome" => outcome).increment(1);
    histogram!("quittance_provider_call_seconds", "endpoint" => endpoint).record(seconds(ms));
}

/// Access of a subscription or purchase changed to `to`.
pub fn access_changed(to: &'static str) {
    counter!("quittance_access_changes_total", "to" => to).increment(1);
}

/// A notice to a customer was written down.
pub fn notice(kind: &'static str) {
    counter!("quittance_notices_total", "kind" => kind).increment(1);
}

/// A sweep found a difference.
pub fn drift(kind: &'static str) {
    counter!("quittance_drift_total", "kind" => kind).increment(1);
}

/// A difference is mended; how long access was wrong because of it counts in account-seconds.
pub fn drift_mended(kind: &'static str, wrong: WrongAccess, wrong_ms: i64) {
    counter!("quittance_drift_mended_total", "kind" => kind).increment(1);
    match wrong {
        WrongAccess::None => {}
        WrongAccess::TooMuch | WrongAccess::TooLittle => {
            let seconds = u64::try_from(wrong_ms / 1_000).unwrap_or(0);
            counter!("quittance_wrong_access_account_seconds_total", "direction" => wrong.as_str())
                .increment(seconds);
        }
    }
}

/// How many accounts have wrong access now, and for how long they have had it so far: what the counter gets when it is mended.
#[allow(clippy::cast_precision_loss, reason = "a gauge takes a float; nothing is decided by it")]
pub fn wrong_access(now: &[WrongNow]) {
    for wrong in [WrongAccess::TooMuch, WrongAccess::TooLittle] {
        let (accounts, ms) =
            now.iter().find(|of| of.wrong == wrong).map_or((0, 0), |of| (of.accounts, of.wrong_ms));
        gauge!("quittance_wrong_access_accounts", "direction" => wrong.as_str()).set(accounts as f64);
        gauge!("quittance_wrong_access_open_account_seconds", "direction" => wrong.as_str()).set(seconds(ms));
    }
}

/// An anomaly or another alert was raised.
pub fn alert(kind: &str) {
    counter!("quittance_alerts_total", "kind" => kind.to_owned()).increment(1);
}

/// A command ended or failed: `outcome` is `succeeded`, `failed`, `retried` or `parked`.
pub fn command(kind: &str, outcome: &'static str) {
    counter!("quittance_commands_total", "kind" => kind.to_owned(), "outcome" => outcome).increment(1);
}

/// A delivery was tried: `outcome` is `delivered`, `suppressed`, `retry` or `failed`.
pub fn delivery(channel: Channel, outcome: &'static str) {
    counter!("quittance_deliveries_total", "channel" => channel.as_str(), "outcome" => outcome).increment(1);
}

/// A payment came to be at risk, or is so no more: `outcome` says which, and `recovery` what brought the money.
pub fn dunning(case: &Case) {
    let recovery = case.recovery.map_or("", |recovery| recovery.as_str());
    let labels = [
        ("outcome", case.outcome.as_str().to_owned()),
        ("cause", case.cause.as_str().to_owned()),
        ("recovery", recovery.to_owned()),
        ("currency", case.amount.currency.code().to_owned()),
    ];
    counter!("quittance_dunning_cases_total", &labels).increment(1);
    counter!("quittance_dunning_minor_units_total", &labels)
        .increment(u64::try_from(case.amount.minor).unwrap_or(0));
}

/// What is waiting.
#[allow(clippy::cast_precision_loss, reason = "a gauge takes a float; nothing is decided by it")]
pub fn backlog(backlog: &Backlog, oldest_ms: i64) {
    gauge!("quittance_aggregates_dirty").set(backlog.dirty as f64);
    gauge!("quittance_aggregates_parked").set(backlog.parked as f64);
    gauge!("quittance_commands_parked").set(backlog.parked_commands as f64);
    gauge!("quittance_oldest_hint_age_seconds").set(seconds(oldest_ms));
}

/// Steps of the funnel from a pricing page to lasting revenue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funnel {
    /// A checkout was opened at the provider.
    CheckoutStarted,
    /// A checkout was paid and mirrored.
    CheckoutCompleted,
    /// A portal was opened.
    PortalOpened,
    /// A customer was told of a failed payment.
    PaymentFailedNotified,
    /// Access to something bought ended.
    EntitlementRevoked,
}

impl Funnel {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CheckoutStarted => "checkout_started",
            Self::CheckoutCompleted => "checkout_completed",
            Self::PortalOpened => "portal_opened",
            Self::PaymentFailedNotified => "payment_failed_notified",
            Self::EntitlementRevoked => "entitlement_revoked",
        }
    }
}

/// Counts and logs a step of the funnel.
pub fn funnel(step: Funnel, customer: Option<&CustomerId>, object: &str, plan: Option<&str>) {
    counter!("quittance_funnel_total", "event" => step.as_str()).increment(1);
    let customer = customer.map(CustomerId::as_str);
    tracing::info!(step = step.as_str(), customer, object, plan, "funnel");
}
