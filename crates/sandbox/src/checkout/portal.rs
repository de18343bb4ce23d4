//! What a customer may do in the portal, as far as the configuration of the session allows it.

use crate::billing::cancel::CancelNow;
use crate::billing::change::{Change, ItemChange, Proration, Strictness};
use crate::model::portal::{PortalConfiguration, PortalSession};
use crate::model::product::Price;
use crate::model::subscription::{CancellationDetails, Subscription};
use crate::model::terms::TermsChange;
use crate::payments::attempt::Presence;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// How long a portal session can be used, in seconds.
const SESSION_SECONDS: i64 = 3600;

impl World {
    /// The configuration that every account starts with.
    pub(crate) fn add_default_portal_configuration(&mut self) {
        let configuration = PortalConfiguration {
            id: self.chance.id("bpc_"),
            created: self.now,
            updated: self.now,
            active: true,
            is_default: true,
            name: None,
            headline: None,
            privacy_policy_url: None,
            terms_of_service_url: None,
            default_return_url: None,
            metadata: Metadata::new(),
            payment_method_update: true,
            invoice_history: true,
            customer_update: true,
            subscription_cancel: true,
            cancel_mode: "at_period_end".to_owned(),
            cancel_proration: "none".to_owned(),
            subscription_update: true,
            update_proration: "always_invoice".to_owned(),
            allowed_updates: vec!["price".to_owned()],
            products: Vec::new(),
        };
        self.portal_configurations.put(configuration);
    }

    /// A session by the secret part of its address, with its configuration, while it can be used.
    pub(crate) fn portal_by_token(&self, token: &str) -> ApiResult<(PortalSession, PortalConfiguration)> {
        let session = self.portal_sessions.iter().rev().find(|session| session.token == token);
        let session = session.filter(|session| self.own_now() - session.created < SESSION_SECONDS);
        let session = session.ok_or_else(|| ApiError::missing("portal session", token, "token"))?;
        let configuration = need(&self.portal_configurations, &session.configuration, "configuration")?;
        Ok((session.clone(), configuration))
    }

    /// Opens a session for a customer with the default configuration; the path of its page.
    pub(crate) fn open_portal(&mut self, customer: &str) -> ApiResult<String> {
        let customer = self.live_customer(customer, "customer")?;
        let configuration = self
            .portal_configurations
            .iter()
            .find(|configuration| configuration.is_default)
            .map(|found| found.id.clone());
        let token = format!("test_{}", self.chance.text(40));
        let session = PortalSession {
            id: self.chance.id("bps_"),
            created: self.own_now(),
            customer: customer.id,
            configuration: configuration.unwrap_or_default(),
            return_url: None,
            locale: None,
            flow: serde_json::Value::Null,
            url: format!("{}/p/session/{token}", self.public_url),
            token: token.clone(),
        };
        self.portal_sessions.put(session);
        Ok(format!("/p/session/{token}"))
    }

    fn portal_subscription(&self, token: &str, id: &str) -> ApiResult<(Subscription, PortalConfiguration)> {
        let (session, configuration) = self.portal_by_token(token)?;
        let subscription = need(&self.subscriptions, id, "subscription")?;
        if subscription.customer != session.customer {
            return Err(ApiError::missing("subscription", id, "subscription"));
        }
        Ok((subscription, configuration))
    }

    /// Cancels as the configuration has it. Answers when the subscription ends.
    pub(crate) fn portal_cancel(&mut self, token: &str, id: &str) -> ApiResult<i64> {
        let (subscription, configuration) = self.portal_subscription(token, id)?;
        if !configuration.subscription_cancel {
            return Err(ApiError::rule(
                "The portal is not configured to let customers cancel. Nothing changed.",
            ));
        }
        if configuration.cancel_mode == "immediately" {
            let details = CancellationDetails {
                reason: Some("cancellation_requested".to_owned()),
                ..CancellationDetails::default()
            };
            let prorate = configuration.cancel_proration != "none";
            let invoice = configuration.cancel_proration == "always_invoice";
            self.cancel_now(id, CancelNow { invoice, prorate, details })?;
            return Ok(self.now);
        }
        self.check_unscheduled(&subscription, "subscription")?;
        self.set_cancel_at_period_end(id, true);
        Ok(subscription.period.end)
    }

    /// Takes a planned cancellation back.
    pub(crate) fn portal_resume(&mut self, token: &str, id: &str) -> ApiResult<()> {
        let (subscription, _) = self.portal_subscription(token, id)?;
        if subscription.status.is_terminal() {
            return Err(ApiError::rule(
                "This subscription has ended and cannot be resumed. Nothing changed.",
            ));
        }
        self.check_unscheduled(&subscription, "subscription")?;
        self.set_cancel_at(id, None);
        Ok(())
    }

    /// The prices that a customer may change to: those of the configuration, else every active recurring one.
    pub(crate) fn portal_prices(&self, configuration: &PortalConfiguration, currency: &str) -> Vec<Price> {
        if !configuration.subscription_update {
            return Vec::new();
        }
        let listed: Vec<&String> = configuration.products.iter().flat_map(|(_, prices)| prices).collect();
        self.prices
            .iter()
            .filter(|price| price.active && price.recurring.is_some() && price.currency == currency)
            .filter(|price| listed.is_empty() || listed.contains(&&price.id))
            .cloned()
            .collect()
    }

    /// Changes the plan. A payment that would fail refuses the change.
    pub(crate) fn portal_change_plan(&mut self, token: &str, id: &str, price: &str) -> ApiResult<()> {
        let (subscription, configuration) = self.portal_subscription(token, id)?;
        if !self
            .portal_prices(&configuration, &subscription.currency)
            .iter()
            .any(|offered| offered.id == price)
        {
            return Err(
                ApiError::rule("This price is not offered in the portal. Nothing changed.").param("price")
            );
        }
        let item = subscription.items.first().map(|item| item.id.clone());
        let proration = match configuration.update_proration.as_str() {
            "none" => Proration::None,
            "always_invoice" => Proration::Invoice,
            _ => Proration::Wait,
        };
        let change = Change {
            items: vec![ItemChange { id: item, price: Some(price.to_owned()), ..ItemChange::default() }],
            proration,
            at: None,
            restart: false,
            trial_end: None,
            terms: TermsChange::default(),
            extras: Vec::new(),
        };
        self.apply_change(id, &change, Strictness::Insist, Presence::OnSession)
    }

    /// Makes another card the default of the customer and of their subscriptions, and pays what is open with it.
    /// Answers the amount that was paid.
    pub(crate) fn portal_change_card(&mut self, token: &str, method: &str) -> ApiResult<i64> {
        let (session, configuration) = self.portal_by_token(token)?;
        if !configuration.payment_method_update {
            return Err(ApiError::rule(
                "The portal is not configured to let customers change their card. Nothing changed.",
            ));
        }
        let customer_id = session.customer;
        let method = self.resolve_method(method, "payment_method")?;
        self.attach_method(&method, &customer_id)?;
        // The page stands for the customer's consent, so the card is ready for payments without them.
        self.payment_methods.edit(&method, |method| method.set_up = true);
        let mut customer = need(&self.customers, &customer_id, "customer")?;
        let before = customer.render();
        customer.default_payment_method = Some(method.clone());
        self.emit_change("customer.updated", &before, customer.render());
        self.customers.put(customer);
        let running: Vec<Subscription> = self
            .subscriptions
            .of(&customer_id)
            .filter(|subscription| !subscription.status.is_terminal())
            .cloned()
            .collect();
        let mut paid = 0;
        for subscription in running {
            if subscription.default_payment_method.is_some() {
                self.change_subscription(&subscription.id, |subscription| {
                    subscription.default_payment_method = Some(method.clone())
                });
            }
            let open = subscription.latest_invoice.as_ref().and_then(|id| self.invoices.get(id));
            if let Some((id, owed)) = open
                .filter(|invoice| invoice.is_open() && !self.awaits_bank(invoice))
                .map(|invoice| (invoice.id.clone(), invoice.remaining()))
            {
                self.pay_invoice(&id, Some(method.clone()), Presence::OffSession)?;
                paid += owed;
            }
        }
        Ok(paid)
    }
}
