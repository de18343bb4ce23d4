//! What a notice knows when it is written down, in the words that texts read.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::subscription::{InvoiceFacts, Subscription};
use crate::time::Timestamp;

pub(super) fn base(new: &Subscription) -> Map<String, Value> {
    let mut data = Map::new();
    put(&mut data, "subscription", &new.facts.id);
    put_held(&mut data, new);
    if let Some(card) = &new.facts.told.card {
        put(&mut data, "card", json!({ "brand": card.brand, "last4": card.last4, "expires": card.month() }));
    }
    data
}

fn put_held(data: &mut Map<String, Value>, subscription: &Subscription) {
    if let Some(held) = subscription.plan() {
        put(data, "plan", held.plan.to_string());
        put(data, "quantity", held.quantity);
    }
    if let Some(item) = subscription.facts.items.first() {
        put(data, "interval", item.interval.as_deref());
    }
}

/// What will be charged for at an instant: what is held, or what is planned to take its place by then. The provider's price of
/// what is planned is `planned_price`.
pub fn put_charged(data: &mut Map<String, Value>, subscription: &Subscription, at: Timestamp) {
    for key in ["plan", "quantity", "interval", "planned_price"] {
        data.remove(key);
    }
    let Some(planned) = subscription.scheduled.as_ref().filter(|planned| planned.at <= at) else {
        put_held(data, subscription);
        return;
    };
    if let Some(plan) = &planned.plan {
        put(data, "plan", plan.to_string());
    }
    put(data, "quantity", planned.quantity);
    put(data, "interval", planned.interval.as_deref());
    let first = subscription.facts.ahead.next_phase.as_ref().and_then(|next| next.items.first());
    put(data, "planned_price", first.map(|item| item.price.as_str()));
}

pub(super) fn put_bill(data: &mut Map<String, Value>, invoice: &InvoiceFacts) {
    if let Some(total) = invoice.bill.total {
        put(data, "amount", total.minor);
        put(data, "currency", total.currency);
    }
    put(data, "paid_at", text(invoice.bill.paid_at));
}

pub(super) fn put(data: &mut Map<String, Value>, key: &str, value: impl Serialize) {
    // Words, numbers and times always can be written.
    data.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
}

pub(super) fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}
