//! Stripe's customer portal.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{ObservedPortalConfiguration, ObservedPortalSession, Page, ShapeError};

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
    /// Where a flow leads when it is done; none is the portal's home.
    pub after_url: Option<&'a str>,
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
    let form = match (wanted.flow, wanted.after_url) {
        (PortalFlow::Home, _) | (_, None) => form,
        (_, Some(url)) => form
            .text("flow_data[after_completion][type]", "redirect")
            .text("flow_data[after_completion][redirect][return_url]", url),
    };
    let path = Path::of("/v1/billing_portal/sessions");
    Call::new("portal.create", Verb::Post(key), path, form, ObservedPortalSession::read)
}

/// How customers change in the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortalUpdates<'a> {
    /// `always_invoice`, `create_prorations` or `none`.
    pub proration: &'a str,
    /// Changes that wait for the end of the period.
    pub at_period_end: &'a [&'a str],
    /// What is offered.
    pub products: &'a [OfferedProduct<'a>],
}

/// A product that customers may change to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedProduct<'a> {
    /// `prod_...`.
    pub product: &'a str,
    /// `price_...`.
    pub prices: Vec<&'a str>,
    /// Whether they choose how many.
    pub units: bool,
}

/// What a portal configuration lets customers do.
#[derive(Debug, Clone, Copy)]
pub struct PortalFeatures<'a> {
    /// What they may change of themselves; empty is nothing.
    pub customer_update: &'a [&'a str],
    /// Whether they see their invoices.
    pub invoice_history: bool,
    /// Whether they may change the payment method.
    pub payment_method_update: bool,
    /// How they cancel: at once or not, and the reasons to choose from; none is not there.
    pub cancel: Option<(bool, &'a [&'a str])>,
    /// How they change; none is not there.
    pub update: Option<PortalUpdates<'a>>,
    /// Metadata, added to what is there.
    pub metadata: &'a Metadata,
}

/// Portal configurations that can be used, newest first.
#[must_use]
pub fn list_configurations(paging: Paging<'_>) -> Call<Page<ObservedPortalConfiguration>> {
    let form = paging.add(Form::new().flag("active", true));
    Call::new("portal_configurations.list", Verb::Get, configurations(), form, page)
}

/// A plan that is changed in a trial leaves the trial as it is; Stripe's default ends it.
pub const KEEPS_TRIAL: &str = "continue_trial";

/// Creates a portal configuration.
#[must_use]
pub fn create_configuration(
    wanted: &PortalFeatures<'_>,
    key: IdempotencyKey,
) -> Call<ObservedPortalConfiguration> {
    let form = features(wanted, false);
    let read = ObservedPortalConfiguration::read;
    Call::new("portal_configurations.create", Verb::Post(key), configurations(), form, read)
}

/// Changes a portal configuration.
#[must_use]
pub fn update_configuration(
    id: &str,
    wanted: &PortalFeatures<'_>,
    key: IdempotencyKey,
) -> Call<ObservedPortalConfiguration> {
    let (path, form) = (configurations().id(id), features(wanted, true));
    let read = ObservedPortalConfiguration::read;
    Call::new("portal_configurations.update", Verb::Post(key), path, form, read)
}

fn features(wanted: &PortalFeatures<'_>, changes: bool) -> Form {
    let mut form = Form::new()
        .flag("features[customer_update][enabled]", !wanted.customer_update.is_empty())
        .list("features[customer_update][allowed_updates]", wanted.customer_update.iter().copied())
        .flag("features[invoice_history][enabled]", wanted.invoice_history)
        .flag("features[payment_method_update][enabled]", wanted.payment_method_update)
        .flag("features[subscription_cancel][enabled]", wanted.cancel.is_some());
    if let Some((at_once, reasons)) = wanted.cancel {
        let reason = "features[subscription_cancel][cancellation_reason]";
        form = form
            .text(
                "features[subscription_cancel][mode]",
                if at_once { "immediately" } else { "at_period_end" },
            )
            .flag(&format!("{reason}[enabled]"), !reasons.is_empty())
            .list(&format!("{reason}[options]"), reasons.iter().copied());
    }
    form = form.flag("features[subscription_update][enabled]", wanted.update.is_some());
    if let Some(update) = wanted.update {
        let of = |field: &str| format!("features[subscription_update]{field}");
        let units = update.products.iter().any(|offered| offered.units);
        let allowed = if units { &["price", "quantity"][..] } else { &["price"] }.iter().copied();
        form = form
            .list(&of("[default_allowed_updates]"), allowed)
            .text(&of("[proration_behavior]"), update.proration)
            // As a change by our API: what was given stays given.
            .text(&of("[trial_update_behavior]"), KEEPS_TRIAL);
        for (index, offered) in update.products.iter().enumerate() {
            let product_key = of(&format!("[products][{index}]"));
            form = form
                .text(&format!("{product_key}[product]"), offered.product)
                .list(&format!("{product_key}[prices]"), offered.prices.iter().copied());
            if offered.units {
                form = form.flag(&format!("{product_key}[adjustable_quantity][enabled]"), true);
            }
        }
        let conditions = of("[schedule_at_period_end][conditions]");
        for (index, condition) in update.at_period_end.iter().enumerate() {
            form = form.text(&format!("{conditions}[{index}][type]"), condition);
        }
        if changes && update.at_period_end.is_empty() {
            form = form.unset(&conditions);
        }
    }
    form.metadata("metadata", wanted.metadata)
}

fn configurations() -> Path {
    Path::of("/v1/billing_portal/configurations")
}

fn page(value: &Value) -> Result<Page<ObservedPortalConfiguration>, ShapeError> {
    Page::read(value, ObservedPortalConfiguration::read)
}
