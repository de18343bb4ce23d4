//! What a customer may do in the portal, as far as the configuration of the session allows it.

use crate::billing::calendar::boundary;
use crate::billing::cancel::{CancelNow, End};
use crate::billing::change::{Change, ItemChange, Proration, Strictness};
use crate::billing::pause::{Pausing, Resumption};
use crate::model::portal::{PortalConfiguration, PortalSession};
use crate::model::portal_flow::Task;
use crate::model::product::{Price, Recurring};
use crate::model::subscription::{CancellationDetails, Subscription, SubscriptionStatus};
use crate::model::terms::TermsChange;
use crate::payments::attempt::Presence;
use crate::state::timers::Timer;
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
            customer_updates: vec!["email".to_owned(), "name".to_owned()],
            subscription_cancel: true,
            cancel_mode: "at_period_end".to_owned(),
            cancel_proration: "none".to_owned(),
            cancel_reasons: None,
            subscription_update: true,
            update_proration: "always_invoice".to_owned(),
            allowed_updates: vec!["price".to_owned()],
            update_ends_trial: false,
            update_restarts: false,
            update_later: Vec::new(),
            subscription_pause: false,
            pause_lengths: Vec::new(),
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
            flow: None,
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
    pub(crate) fn portal_cancel(
        &mut self,
        token: &str,
        id: &str,
        mut details: CancellationDetails,
    ) -> ApiResult<i64> {
        let (subscription, configuration) = self.portal_subscription(token, id)?;
        if !configuration.subscription_cancel {
            return Err(ApiError::rule(
                "The portal is not configured to let customers cancel. Nothing changed.",
            ));
        }
        if configuration.cancel_mode == "immediately" {
            details.reason = Some("cancellation_requested".to_owned());
            let prorate = configuration.cancel_proration != "none";
            let invoice = configuration.cancel_proration == "always_invoice";
            self.cancel_now(id, CancelNow { invoice, prorate, details })?;
            return Ok(self.now);
        }
        self.check_unscheduled(&subscription, "subscription")?;
        // Before the plan, so that its event tells the reason too.
        if details != CancellationDetails::default() {
            self.subscriptions.edit(id, |subscription| subscription.cancellation = details);
        }
        self.plan_end(id, End::OfPeriod, Proration::Wait)?;
        Ok(subscription.period.end)
    }

    /// Whether the portal offers to pause a subscription.
    pub(crate) fn portal_pauses(&self, configuration: &PortalConfiguration, found: &Subscription) -> bool {
        configuration.subscription_pause && found.cancel_at.is_none() && self.check_pausable(found).is_ok()
    }

    /// Pauses for the length at a place of the configuration, or until somebody resumes. Answers when the pause ends.
    pub(crate) fn portal_pause(&mut self, token: &str, id: &str, place: usize) -> ApiResult<Option<i64>> {
        let (subscription, configuration) = self.portal_subscription(token, id)?;
        if !self.portal_pauses(&configuration, &subscription) {
            return Err(ApiError::rule(
                "The portal does not let customers pause this subscription. Nothing changed.",
            ));
        }
        let ends = match configuration.pause_lengths.get(place) {
            Some(length) => Some(boundary(self.now, *length, 1)),
            None if configuration.pause_lengths.is_empty() => None,
            None => return Err(ApiError::rule("The portal does not offer this pause. Nothing changed.")),
        };
        self.pause_on_request(id, Pausing::default())?;
        self.subscriptions.edit(id, |subscription| subscription.pause_ends = ends);
        if let Some(at) = ends {
            self.timers.set(at, Timer::PauseEnds(id.to_owned()));
        }
        Ok(ends)
    }

    /// Takes a planned cancellation back, or ends a pause.
    pub(crate) fn portal_resume(&mut self, token: &str, id: &str) -> ApiResult<()> {
        let (subscription, _) = self.portal_subscription(token, id)?;
        if subscription.status.is_terminal() {
            return Err(ApiError::rule(
                "This subscription has ended and cannot be resumed. Nothing changed.",
            ));
        }
        if subscription.status == SubscriptionStatus::Paused && subscription.cancel_at.is_none() {
            return self.resume_subscription(id, Resumption::START_ANEW);
        }
        self.check_unscheduled(&subscription, "subscription")?;
        self.plan_end(id, End::Never, Proration::Wait)
    }

    /// The prices that a customer may change to: those of the configuration, else every active recurring one.
    pub(crate) fn portal_prices(
        &self,
        configuration: &PortalConfiguration,
        subscription: &Subscription,
    ) -> Vec<Price> {
        let currency = &subscription.currency;
        // Usage-based subscriptions can only be cancelled in the portal.
        let metered = subscription.items.iter().any(|item| self.is_metered(item));
        if !configuration.updates_plans() || metered {
            return Vec::new();
        }
        let listed: Vec<&String> =
            configuration.products.iter().flat_map(|product| &product.prices).collect();
        self.prices
            .iter()
            .filter(|price| price.active && price.recurring.is_some() && !price.is_metered())
            .filter(|price| price.pricing_in(currency).is_some())
            .filter(|price| listed.is_empty() || listed.contains(&&price.id))
            .cloned()
            .collect()
    }

    /// Changes the plan, its quantity, or both. A payment that would fail refuses the change.
    pub(crate) fn portal_change_plan(
        &mut self,
        token: &str,
        id: &str,
        price: Option<String>,
        quantity: Option<i64>,
    ) -> ApiResult<()> {
        let (subscription, configuration) = self.portal_subscription(token, id)?;
        let offered = self.portal_prices(&configuration, &subscription);
        if let Some(price) = &price
            && !offered.iter().any(|offered| offered.id == *price)
        {
            return Err(
                ApiError::rule("This price is not offered in the portal. Nothing changed.").param("price")
            );
        }
        let item = subscription.items.first();
        let wanted = price.as_ref().or(item.map(|item| &item.price));
        let product = wanted.and_then(|price| self.prices.get(price)).map(|price| price.product.clone());
        if let Some(quantity) = quantity {
            let bounds = product.and_then(|product| configuration.quantity_of(&product));
            let fits =
                bounds.is_some_and(|(least, most)| quantity >= least && quantity <= most.unwrap_or(999_999));
            if !fits {
                let message = "The portal does not offer this quantity. Nothing changed.";
                return Err(ApiError::rule(message).param("quantity"));
            }
        }
        let change =
            ItemChange { id: item.map(|item| item.id.clone()), price, quantity, ..ItemChange::default() };
        self.portal_apply(&subscription, &configuration, vec![change])
    }

    /// Makes the change that a flow of the session only asks to confirm.
    pub(crate) fn portal_confirm(&mut self, token: &str, id: &str) -> ApiResult<()> {
        let (subscription, configuration) = self.portal_subscription(token, id)?;
        let (session, _) = self.portal_by_token(token)?;
        let items = match session.flow.map(|flow| flow.task) {
            Some(Task::SubscriptionUpdateConfirm { subscription, items }) if subscription == id => items,
            Some(_) | None => {
                return Err(ApiError::missing("change to confirm", id, "subscription"));
            }
        };
        let items = items
            .into_iter()
            .map(|item| ItemChange {
                id: Some(item.id),
                price: item.price,
                quantity: item.quantity,
                ..ItemChange::default()
            })
            .collect();
        self.portal_apply(&subscription, &configuration, items)
    }

    /// Whether the configuration lets a change wait for the end of the period.
    fn waits(
        &self,
        subscription: &Subscription,
        configuration: &PortalConfiguration,
        change: &ItemChange,
    ) -> bool {
        let old = subscription.items.iter().find(|item| Some(&item.id) == change.id.as_ref());
        let Some(old) = old else { return false };
        let price = |id: &str| self.prices.get(id);
        let (before, after) = (price(&old.price), price(change.price.as_ref().unwrap_or(&old.price)));
        let (Some(before), Some(after)) = (before, after) else { return false };
        let currency = &subscription.currency;
        let quantity = change.quantity.unwrap_or(old.quantity);
        configuration.update_later.iter().any(|condition| match condition.as_str() {
            "decreasing_item_amount" => {
                after.total(currency, quantity) < before.total(currency, old.quantity)
            }
            _ => after.recurring.map(Recurring::days) < before.recurring.map(Recurring::days),
        })
    }

    /// Puts a change off to the end of the period: a schedule takes the subscription over.
    fn change_later(&mut self, subscription: &Subscription, change: &ItemChange) -> ApiResult<()> {
        self.check_unscheduled(subscription, "subscription")?;
        let id = self.schedule_from(&subscription.id)?;
        let mut schedule = need(&self.schedules, &id, "schedule")?;
        let Some(mut next) = schedule.phases.last().cloned() else { return Ok(()) };
        next.start = next.end;
        next.proration = Proration::None;
        next.trial_end = None;
        for (item, phased) in subscription.items.iter().zip(&mut next.items) {
            if Some(&item.id) == change.id.as_ref() {
                phased.price = change.price.clone().unwrap_or_else(|| phased.price.clone());
                phased.quantity = change.quantity.or(phased.quantity);
            }
        }
        let first = next.items.first().and_then(|item| self.prices.get(&item.price));
        if let Some(recurring) = first.and_then(|price| price.recurring) {
            next.end = boundary(next.start, recurring, 1);
        }
        schedule.phases.push(next);
        self.update_schedule(schedule, Proration::None)
    }

    fn portal_apply(
        &mut self,
        subscription: &Subscription,
        configuration: &PortalConfiguration,
        items: Vec<ItemChange>,
    ) -> ApiResult<()> {
        if let [change] = items.as_slice()
            && self.waits(subscription, configuration, change)
        {
            return self.change_later(subscription, change);
        }
        let proration = match configuration.update_proration.as_str() {
            "none" => Proration::None,
            "always_invoice" => Proration::Invoice,
            _ => Proration::Wait,
        };
        let trialing = subscription.status == SubscriptionStatus::Trialing;
        let change = Change {
            items,
            proration,
            at: None,
            restart: configuration.update_restarts,
            trial_end: (trialing && configuration.update_ends_trial).then_some(self.now),
            terms: TermsChange::default(),
            extras: Vec::new(),
            end: None,
        };
        self.apply_change(&subscription.id, &change, Strictness::Insist, Presence::OnSession)
    }

    /// Changes what the configuration lets a customer change of themselves; empty values are left.
    pub(crate) fn portal_update_customer(&mut self, token: &str, values: &[(&str, String)]) -> ApiResult<()> {
        let (session, configuration) = self.portal_by_token(token)?;
        let mut customer = need(&self.customers, &session.customer, "customer")?;
        let before = customer.render();
        for (name, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
            let allowed = configuration.customer_update
                && configuration.customer_updates.iter().any(|word| word == name);
            let slot = match *name {
                "email" => &mut customer.email,
                "name" => &mut customer.name,
                "phone" => &mut customer.phone,
                _ => return Err(ApiError::rule("The portal asks for no such detail. Nothing changed.")),
            };
            if !allowed {
                return Err(ApiError::rule(
                    "The portal is not configured to let customers change this. Nothing changed.",
                )
                .param(name));
            }
            *slot = Some(value.clone());
        }
        self.emit_change("customer.updated", &before, customer.render());
        self.customers.put(customer);
        Ok(())
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
