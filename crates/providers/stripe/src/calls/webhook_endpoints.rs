//! Where Stripe posts events to, and which ones Quittance needs.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::Form;
use crate::observe::{ObservedWebhookEndpoint, Page, ShapeError};

/// The event types that change something Quittance mirrors. Each is only a hint, so more would do no harm.
pub const WANTED_EVENTS: &[&str] = &[
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "invoice.created",
    "invoice.finalized",
    "invoice.finalization_failed",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.upcoming",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice_payment.paid",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "setup_intent.setup_failed",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "payout.created",
    "payout.paid",
    "payout.failed",
    "payout.canceled",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
    "credit_note.created",
    "credit_note.voided",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.automatically_updated",
];

/// The registered endpoints.
#[must_use]
pub fn list(paging: Paging<'_>) -> Call<Page<ObservedWebhookEndpoint>> {
    let form = paging.add(Form::new());
    Call::new("webhook_endpoints.list", Verb::Get, Path::of("/v1/webhook_endpoints"), form, page)
}

/// Registers an endpoint whose events are rendered in `api_version`; only this answer holds the signing secret.
#[must_use]
pub fn create(
    url: &str,
    events: &[&str],
    api_version: &str,
    key: IdempotencyKey,
) -> Call<ObservedWebhookEndpoint> {
    let form = Form::new()
        .text("url", url)
        .list("enabled_events", events.iter().copied())
        .text("api_version", api_version);
    let path = Path::of("/v1/webhook_endpoints");
    Call::new("webhook_endpoints.create", Verb::Post(key), path, form, ObservedWebhookEndpoint::read)
}

fn page(value: &Value) -> Result<Page<ObservedWebhookEndpoint>, ShapeError> {
    Page::read(value, ObservedWebhookEndpoint::read)
}
