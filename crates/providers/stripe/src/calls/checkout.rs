//! Checkout Sessions.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{ObservedCheckout, Page, ShapeError};

/// What a session sells: the mode and what only that mode has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutMode<'a> {
    /// A subscription.
    Subscription {
        /// Copied to the subscription.
        metadata: &'a Metadata,
        /// When it begins to cost.
        begins: Begins,
    },
    /// A one-off purchase.
    Payment {
        /// Copied to the payment intent.
        metadata: &'a Metadata,
    },
}

/// When a subscription begins to cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// With the purchase.
    Now,
    /// After so many days of trial, at least one.
    AfterTrialDays(i64),
    /// After a trial that ends at this moment (Unix seconds), at least 48 hours ahead.
    AfterTrialUntil(i64),
    /// It runs at once, and its first period begins, and is charged, at this moment (Unix seconds).
    FreeUntil(i64),
}

/// Discounts: Stripe takes either a code field for the buyer or fixed discounts, never both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Discount<'a> {
    /// None, and no code field.
    #[default]
    None,
    /// The buyer may enter a code.
    BuyerEntersCode,
    /// This promotion code, `promo_...`.
    PromotionCode(&'a str),
    /// This coupon.
    Coupon(&'a str),
}

/// Where the buyer pays. `{CHECKOUT_SESSION_ID}` in the address to return to is replaced by Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// Stripe's page.
    Hosted {
        /// Where the buyer returns to.
        success_url: &'a str,
        /// Where the buyer goes who does not buy.
        cancel_url: Option<&'a str>,
    },
    /// Stripe's form within a page of the app.
    Embedded {
        /// Where the buyer returns to.
        return_url: &'a str,
    },
    /// Stripe's fields within a page of the app.
    Elements {
        /// Where the buyer returns to.
        return_url: &'a str,
    },
}

/// A session to create.
#[derive(Debug, Clone, Copy)]
pub struct CreateCheckout<'a> {
    /// What is sold.
    pub mode: CheckoutMode<'a>,
    /// `cus_...`.
    pub customer: &'a str,
    /// Price ids with quantities; a metered price has none.
    pub lines: &'a [(&'a str, Option<i64>)],
    /// Where the buyer pays, and returns to.
    pub place: Place<'a>,
    /// The app's own customer.
    pub client_reference_id: Option<&'a str>,
    /// The session's metadata.
    pub metadata: &'a Metadata,
    /// Discounts.
    pub discount: Discount<'a>,
    /// The page's language.
    pub locale: Option<&'a str>,
    /// 30 minutes to 24 hours ahead, Unix seconds; Stripe's default is 24 hours.
    pub expires_at_s: Option<i64>,
    /// Whether Stripe computes tax.
    pub automatic_tax: bool,
}

/// Creates a session.
#[must_use]
pub fn create(wanted: &CreateCheckout<'_>, key: IdempotencyKey) -> Call<ObservedCheckout> {
    let mut form = match wanted.mode {
        CheckoutMode::Subscription { metadata, begins } => {
            let form =
                Form::new().text("mode", "subscription").metadata("subscription_data[metadata]", metadata);
            match begins {
                Begins::Now => form,
                Begins::AfterTrialDays(days) => form.int("subscription_data[trial_period_days]", days),
                Begins::AfterTrialUntil(at) => form.int("subscription_data[trial_end]", at),
                Begins::FreeUntil(at) => form
                    .int("subscription_data[billing_cycle_anchor]", at)
                    .text("subscription_data[proration_behavior]", "none"),
            }
        }
        CheckoutMode::Payment { metadata } => {
            Form::new().text("mode", "payment").metadata("payment_intent_data[metadata]", metadata)
        }
    };
    form = form.text("customer", wanted.customer);
    for (index, (price, quantity)) in wanted.lines.iter().enumerate() {
        form = form
            .text(&format!("line_items[{index}][price]"), price)
            .int_if(&format!("line_items[{index}][quantity]"), *quantity);
    }
    form = match wanted.discount {
        Discount::None => form,
        Discount::BuyerEntersCode => form.flag("allow_promotion_codes", true),
        Discount::PromotionCode(id) => form.text("discounts[0][promotion_code]", id),
        Discount::Coupon(id) => form.text("discounts[0][coupon]", id),
    };
    if wanted.automatic_tax {
        // Without an address on file Stripe needs leave to take the one from the page.
        form = form.flag("automatic_tax[enabled]", true).text("customer_update[address]", "auto");
    }
    form = match wanted.place {
        Place::Hosted { success_url, cancel_url } => {
            form.text("success_url", success_url).text_if("cancel_url", cancel_url)
        }
        Place::Embedded { return_url } => {
            form.text("ui_mode", "embedded_page").text("return_url", return_url)
        }
        Place::Elements { return_url } => form.text("ui_mode", "elements").text("return_url", return_url),
    };
    form = form
        .text_if("client_reference_id", wanted.client_reference_id)
        .metadata("metadata", wanted.metadata)
        .text_if("locale", wanted.locale)
        .int_if("expires_at", wanted.expires_at_s);
    Call::new("checkout.create", Verb::Post(key), sessions(), form, ObservedCheckout::read)
}

/// One session with its lines.
#[must_use]
pub fn retrieve(id: &str) -> Call<ObservedCheckout> {
    let form = Form::new().list("expand", ["line_items"]);
    Call::new("checkout.retrieve", Verb::Get, sessions().id(id), form, ObservedCheckout::read)
}

/// A customer's sessions, newest first, with their lines.
#[must_use]
pub fn list(customer: &str, paging: Paging<'_>) -> Call<Page<ObservedCheckout>> {
    let form = paging.add(Form::new().text("customer", customer).list("expand", ["data.line_items"]));
    Call::new("checkout.list", Verb::Get, sessions(), form, page)
}

/// Ends an open session, so that nobody can pay it any more.
#[must_use]
pub fn expire(id: &str, key: IdempotencyKey) -> Call<ObservedCheckout> {
    let path = sessions().id(id).then("/expire");
    Call::new("checkout.expire", Verb::Post(key), path, Form::new(), ObservedCheckout::read)
}

fn sessions() -> Path {
    Path::of("/v1/checkout/sessions")
}

fn page(value: &Value) -> Result<Page<ObservedCheckout>, ShapeError> {
    Page::read(value, ObservedCheckout::read)
}
