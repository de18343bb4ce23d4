//! The empty shape of each object: every field that version 2026-10-28.endive requires, with its neutral value.
//!
//! An object is rendered by laying what is known over its shape, so no required field can be forgotten.

use std::sync::LazyLock;

use serde_json::Value;

/// A kind of object on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Account,
    AccountSession,
    BalanceTransaction,
    Charge,
    CheckoutSession,
    Coupon,
    CreditNote,
    CreditNoteLine,
    Customer,
    CustomerBalanceTransaction,
    Discount,
    Dispute,
    Event,
    Invoice,
    InvoiceItem,
    InvoiceLine,
    InvoicePayment,
    LineItem,
    PaymentIntent,
    PaymentLink,
    PaymentMethod,
    Payout,
    Plan,
    PortalConfiguration,
    PortalSession,
    Price,
    Product,
    PromotionCode,
    Quote,
    Refund,
    SetupIntent,
    Subscription,
    SubscriptionItem,
    SubscriptionSchedule,
    TaxRate,
    WebhookEndpoint,
}

const SHAPES: [(Shape, &str); 36] = [
    (Shape::Account, include_str!("../shapes/account.json")),
    (Shape::AccountSession, include_str!("../shapes/account_session.json")),
    (Shape::BalanceTransaction, include_str!("../shapes/balance_transaction.json")),
    (Shape::Charge, include_str!("../shapes/charge.json")),
    (Shape::CheckoutSession, include_str!("../shapes/checkout_session.json")),
    (Shape::Coupon, include_str!("../shapes/coupon.json")),
    (Shape::CreditNote, include_str!("../shapes/credit_note.json")),
    (Shape::CreditNoteLine, include_str!("../shapes/credit_note_line.json")),
    (Shape::Customer, include_str!("../shapes/customer.json")),
    (Shape::CustomerBalanceTransaction, include_str!("../shapes/customer_balance_transaction.json")),
    (Shape::Discount, include_str!("../shapes/discount.json")),
    (Shape::Dispute, include_str!("../shapes/dispute.json")),
    (Shape::Event, include_str!("../shapes/event.json")),
    (Shape::Invoice, include_str!("../shapes/invoice.json")),
    (Shape::InvoiceItem, include_str!("../shapes/invoice_item.json")),
    (Shape::InvoiceLine, include_str!("../shapes/invoice_line.json")),
    (Shape::InvoicePayment, include_str!("../shapes/invoice_payment.json")),
    (Shape::LineItem, include_str!("../shapes/line_item.json")),
    (Shape::PaymentIntent, include_str!("../shapes/payment_intent.json")),
    (Shape::PaymentLink, include_str!("../shapes/payment_link.json")),
    (Shape::PaymentMethod, include_str!("../shapes/payment_method.json")),
    (Shape::Payout, include_str!("../shapes/payout.json")),
    (Shape::Plan, include_str!("../shapes/plan.json")),
    (Shape::PortalConfiguration, include_str!("../shapes/portal_configuration.json")),
    (Shape::PortalSession, include_str!("../shapes/portal_session.json")),
    (Shape::Price, include_str!("../shapes/price.json")),
    (Shape::Product, include_str!("../shapes/product.json")),
    (Shape::PromotionCode, include_str!("../shapes/promotion_code.json")),
    (Shape::Quote, include_str!("../shapes/quote.json")),
    (Shape::Refund, include_str!("../shapes/refund.json")),
    (Shape::SetupIntent, include_str!("../shapes/setup_intent.json")),
    (Shape::Subscription, include_str!("../shapes/subscription.json")),
    (Shape::SubscriptionItem, include_str!("../shapes/subscription_item.json")),
    (Shape::SubscriptionSchedule, include_str!("../shapes/subscription_schedule.json")),
    (Shape::TaxRate, include_str!("../shapes/tax_rate.json")),
    (Shape::WebhookEndpoint, include_str!("../shapes/webhook_endpoint.json")),
];

static PARSED: LazyLock<Vec<Value>> =
    LazyLock::new(|| SHAPES.iter().map(|(_, text)| serde_json::from_str(text).unwrap_or_default()).collect());

impl Shape {
    /// The shape with the given fields laid over it.
    pub(crate) fn with(self, fields: Value) -> Value {
        let mut value = PARSED.get(self as usize).cloned().unwrap_or_default();
        overlay(&mut value, fields);
        value
    }
}

/// Lays one value over another: objects merge, everything else replaces.
pub(crate) fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                match base.get_mut(&name) {
                    Some(slot) => overlay(slot, value),
                    None => {
                        base.insert(name, value);
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_parses_and_stands_at_its_own_place() {
        for (index, (shape, text)) in SHAPES.iter().enumerate() {
            assert_eq!(*shape as usize, index, "{shape:?} is out of order");
            let value: Value = serde_json::from_str(text).expect("shape is JSON");
            assert!(value.get("object").is_some(), "{shape:?} has no object name");
        }
    }
}
