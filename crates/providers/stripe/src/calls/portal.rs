//! Stripe's customer portal.

use super::{Call, IdempotencyKey, Path, Verb};
use crate::form::Form;
use crate::observe::ObservedPortalSession;

/// Where in the portal the customer begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PortalFlow<'a> {
    /// The front page.
    #[default]
    Home,
    /// Another card.
    PaymentMethodUpdate,
    /// Cancel this subscription.
    SubscriptionCancel(&'a str),
    /// Choose another plan for this subscription.
    SubscriptionUpdate(&'a str),
    /// Confirm one change of a subscription's item.
    SubscriptionUpdateConfirm {
        /// `sub_...`.
        subscription: &'a str,
        /// `si_...`.
        item: &'a str,
        /// `price_...`.
        price: &'a str,
        /// How many.
        quantity: Option<i64>,
    },
}

/// A portal session to create.
#[derive(Debug, Clone, Copy, Default)]
pub struct CreatePortal<'a> {
    /// `cus_...`.
    pub customer: &'a str,
    /// Where the customer returns to.
    pub return_url: Option<&'a str>,
    /// `bpc_...`; none is the account's default.
    pub configuration: Option<&'a str>,
    /// The page's language.
    pub locale: Option<&'a str>,
    /// Where to begin.
    pub flow: PortalFlow<'a>,
}

/// Creates a portal session. Its address lives for minutes only, so take a fresh key for each visit.
#[must_use]
pub fn create(wanted: &CreatePortal<'_>, key: IdempotencyKey) -> Call<ObservedPortalSession> {
    let form = Form::new()
        .text("customer", wanted.customer)
        .text_if("return_url", wanted.return_url)
        .text_if("configuration", wanted.configuration)
        .text_if("locale", wanted.locale);
    let form = match wanted.flow {
        PortalFlow::Home => form,
        PortalFlow::PaymentMethodUpdate => form.text("flow_data[type]", "payment_method_update"),
        PortalFlow::SubscriptionCancel(subscription) => form
            .text("flow_data[type]", "subscription_cancel")
            .text("flow_data[subscription_cancel][subscription]", subscription),
        PortalFlow::SubscriptionUpdate(subscription) => form
            .text("flow_data[type]", "subscription_update")
            .text("flow_data[subscription_update][subscription]", subscription),
        PortalFlow::SubscriptionUpdateConfirm { subscription, item, price, quantity } => form
            .text("flow_data[type]", "subscription_update_confirm")
            .text("flow_data[subscription_update_confirm][subscription]", subscription)
            .text("flow_data[subscription_update_confirm][items][0][id]", item)
            .text("flow_data[subscription_update_confirm][items][0][price]", price)
            .int_if("flow_data[subscription_update_confirm][items][0][quantity]", quantity),
    };
    let path = Path::of("/v1/billing_portal/sessions");
    Call::new("portal.create", Verb::Post(key), path, form, ObservedPortalSession::read)
}
