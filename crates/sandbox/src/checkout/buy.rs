//! The purchase itself: card, authentication, and everything that exists only once the money is there.
//!
//! The hosted page, the control API and the payment page endpoint all come through here.

use serde_json::{Value, json};

use crate::billing::discounts::Bearer;
use crate::billing::subscribe::{FirstPayment, NewItem, NewSubscription};
use crate::billing::taxes::no_location;
use crate::model::checkout::{CheckoutSession, Mode, PaymentStatus, SessionStatus};
use crate::model::checkout_form::Answers;
use crate::model::currency::chargeable;
use crate::model::customer::Customer;
use crate::model::invoice::Line;
use crate::model::payment::{CaptureMethod, Confirmation, PaymentIntent};
use crate::model::subscription::Collection;
use crate::model::tax::AutomaticTax;
use crate::model::terms::{ItemTerms, SubscriptionTerms};
use crate::payments::attempt::{Attempt, NewIntent, Presence, foresee};
use crate::payments::setup::NewSetup;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// What a buyer brings to the page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buyer {
    pub(crate) payment_method: String,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) answers: Answers,
}

/// How a purchase stands after the buyer pressed the button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purchase {
    Complete,
    /// The buyer must authenticate; the intent says where.
    RequiresAction(String),
}

/// An address of which only the country is known.
fn address_in(country: &str) -> Value {
    json!({ "city": null, "country": country, "line1": null, "line2": null, "postal_code": null, "state": null })
}

impl World {
    /// The buyer pays. A refusal is an error, and the session stays open for another card.
    pub(crate) fn buy(&mut self, session_id: &str, buyer: &Buyer) -> ApiResult<Purchase> {
        let mut session = need(&self.sessions, session_id, "session")?;
        if session.status != SessionStatus::Open {
            let message = format!(
                "This Checkout Session is no longer open: its status is `{}`. No money moved.",
                session.status.as_str()
            );
            return Err(ApiError::state("checkout_session_not_open", message));
        }
        if self.session_customer(&session).is_some_and(|customer| customer.deleted) {
            return Err(ApiError::state(
                "resource_missing",
                "The customer of this Checkout Session was deleted. No money moved.",
            ));
        }
        if session.automatic_tax == AutomaticTax::NeedsLocation {
            return Err(no_location());
        }
        self.check_sellable(&session)?;
        let answered = session.form.answer(&buyer.answers);
        answered.and_then(|()| session.asks.answer(&buyer.answers)).map_err(|param| {
            let message = "The buyer left something out that this Checkout Session asks for. No money moved.";
            ApiError::invalid("checkout_details_missing", param, message)
        })?;
        session.buyer_email = buyer.email.clone().or(session.buyer_email);
        session.buyer_name = buyer.name.clone().or(session.buyer_name);
        // What the customer brings to it may have changed since the session was made.
        self.price_session(&mut session);
        if buyer.payment_method.is_empty() && session.needs_no_method() {
            return self.buy_free(session);
        }
        let method = self.resolve_method(&buyer.payment_method, "payment_method")?;
        self.check_method(&session, &method)?;
        self.sessions.put(session.clone());
        self.keep_address(&session);
        let due = self.due_now(&session);
        if due > 0 { self.buy_now(session, &method, due) } else { self.buy_later(session, &method) }
    }

    fn check_method(&self, session: &CheckoutSession, method: &str) -> ApiResult<()> {
        let method = need(&self.payment_methods, method, "payment_method")?;
        if method.customer.is_some() && method.customer != session.customer {
            return Err(ApiError::rule("The payment method belongs to another customer. No money moved.")
                .param("payment_method"));
        }
        let word = method.instrument.word();
        if !session.method_types().contains(&word) {
            let message =
                format!("This Checkout Session takes no payment methods of type {word}. No money moved.");
            return Err(ApiError::rule(message).param("payment_method"));
        }
        Ok(())
    }

    /// Nothing is due and no method is asked for.
    fn buy_free(&mut self, mut session: CheckoutSession) -> ApiResult<Purchase> {
        if session.keeps_customer() {
            self.ensure_customer(&mut session);
        }
        match session.mode {
            Mode::Subscription => {
                self.subscribe_for(&mut session, None, FirstPayment::Try(Presence::OnSession))?
            }
            Mode::Payment => self.invoice_payment_of(&mut session, None)?,
            Mode::Setup => {}
        }
        session.payment_status = PaymentStatus::NoPaymentRequired;
        self.complete_session(session);
        Ok(Purchase::Complete)
    }

    /// Finds before the payment what would stop the subscription after it.
    pub(crate) fn check_sellable(&self, session: &CheckoutSession) -> ApiResult<()> {
        for discount in &session.discounts {
            self.check_supposed(&discount.id, self.place_of_session(session))?;
        }
        if session.mode != Mode::Subscription {
            return Ok(());
        }
        let customers = self.session_customer(session).and_then(|customer| customer.currency.clone());
        if customers.is_some() && customers != session.currency {
            return Err(ApiError::rule("The customer is billed in another currency. No money moved."));
        }
        let recurring = session.lines.iter().filter(|line| line.recurring);
        let items = recurring.map(|line| (line.price.as_str(), line.quantity));
        if self.check_items(items, session.currency.as_deref())?.is_empty() {
            let message =
                "You must provide at least one recurring price in `subscription` mode when using prices.";
            return Err(ApiError::rule(message).param("line_items"));
        }
        Ok(())
    }

    fn session_customer(&self, session: &CheckoutSession) -> Option<&Customer> {
        session.customer.as_ref().and_then(|id| self.customers.get(id))
    }

    /// What the card must pay: of a subscription, what the customer's balance leaves of its first invoice.
    fn due_now(&self, session: &CheckoutSession) -> i64 {
        match (session.mode, Self::amount_now(session)) {
            (Mode::Subscription, amount @ 1..) => {
                let currency = session.currency.as_deref().unwrap_or_default();
                let balance = self.session_customer(session).map_or(0, |customer| customer.balance);
                chargeable(amount.saturating_add(balance), currency).0
            }
            (Mode::Subscription | Mode::Payment | Mode::Setup, amount) => amount,
        }
    }

    fn buy_now(&mut self, mut session: CheckoutSession, method: &str, due: i64) -> ApiResult<Purchase> {
        let keeps = session.keeps_customer();
        let refused = self.payment_methods.get(method).is_some_and(|method| {
            matches!(foresee(method, Presence::OnSession, false), Attempt::Declined(_))
        });
        if keeps && !refused {
            self.ensure_customer(&mut session);
        }
        let intent = match session.pending_intent.clone() {
            Some(intent) => intent,
            None => self.add_intent(Self::intent_of(&session, due)),
        };
        session.pending_intent = Some(intent.clone());
        if session.mode == Mode::Payment {
            session.payment_intent = Some(intent.clone());
        }
        let moved = |pending: &&PaymentIntent| pending.customer != session.customer || pending.amount != due;
        if let Some(mut pending) = self.payment_intents.get(&intent).filter(moved).cloned() {
            pending.customer.clone_from(&session.customer);
            pending.amount = due;
            pending.share = session.share.of(due);
            self.payment_intents.put(pending);
        }
        self.sessions.put(session);
        match self.attempt_payment(&intent, method, Presence::OnSession, false)? {
            Attempt::Succeeded | Attempt::Held | Attempt::Underway => Ok(Purchase::Complete),
            Attempt::RequiresAction => Ok(Purchase::RequiresAction(intent)),
            Attempt::Declined(decline) => Err(self.refusal(&intent, &decline)),
        }
    }

    fn intent_of(session: &CheckoutSession, amount: i64) -> NewIntent {
        let subscription = session.mode == Mode::Subscription;
        let data = &session.payment_data;
        NewIntent {
            amount,
            capture_method: data.capture_method,
            currency: session.currency.clone().unwrap_or_default(),
            customer: session.customer.clone(),
            description: if subscription {
                Some("Subscription creation".to_owned())
            } else {
                data.description.clone()
            },
            receipt_email: data.receipt_email.clone(),
            statement: data.statement.clone(),
            confirmation: Confirmation::Automatic,
            no_redirects: false,
            metadata: if subscription { Metadata::new() } else { data.metadata.clone() },
            shipping: session.form.address.clone().unwrap_or_else(|| data.shipping.clone()),
            setup_future_usage: if subscription {
                Some("off_session".to_owned())
            } else {
                data.setup_future_usage.clone()
            },
            return_url: session.redirect_url(),
            voucher_days: None,
            types: session.form.types.clone(),
            invoice: None,
            session: Some(session.id.clone()),
            share: session.share.of(amount),
        }
    }

    /// Nothing is due now: the card is saved, and that is all.
    fn buy_later(&mut self, mut session: CheckoutSession, method: &str) -> ApiResult<Purchase> {
        let customer = if session.keeps_customer() {
            Some(self.ensure_customer(&mut session))
        } else {
            session.customer.clone()
        };
        let intent = self.add_setup(NewSetup {
            customer,
            description: session.form.setup_description.clone(),
            metadata: session.form.setup_metadata.clone(),
            return_url: session.redirect_url(),
            session: Some(session.id.clone()),
            types: session.form.types.clone(),
            ..NewSetup::default()
        });
        session.pending_intent = Some(intent.clone());
        self.sessions.put(session);
        match self.attempt_setup(&intent, method, false)? {
            Attempt::Succeeded | Attempt::Held | Attempt::Underway => Ok(Purchase::Complete),
            Attempt::RequiresAction => Ok(Purchase::RequiresAction(intent)),
            Attempt::Declined(decline) => {
                Err(ApiError::card(decline.code, decline.decline_code, decline.message))
            }
        }
    }

    /// The customer of a session, made now when it has none.
    fn ensure_customer(&mut self, session: &mut CheckoutSession) -> String {
        if let Some(customer) = &session.customer {
            return customer.clone();
        }
        let mut customer = self.new_customer();
        customer.email = session.buyer_email.clone().or(session.customer_email.clone());
        customer.name.clone_from(&session.buyer_name);
        if let Some(country) = &session.country {
            customer.address = address_in(country);
        }
        customer.phone.clone_from(&session.form.phone);
        customer.business_name.clone_from(&session.asks.business.given);
        customer.individual_name.clone_from(&session.asks.individual.given);
        customer.shipping = session.form.address.clone().unwrap_or_default();
        let (id, object) = (customer.id.clone(), customer.render());
        self.customers.put(customer);
        self.emit("customer.created", object);
        session.customer = Some(id.clone());
        id
    }

    /// The payment of a session succeeded: now customer, subscription and invoice come to be.
    pub(crate) fn session_paid(&mut self, session_id: &str, intent_id: &str) -> ApiResult<()> {
        let mut session = need(&self.sessions, session_id, "session")?;
        if session.status == SessionStatus::Complete {
            session.payment_status = PaymentStatus::Paid;
            let object = session.render();
            self.sessions.put(session);
            // A capture is the seller's own doing; only what the buyer's bank did is told.
            let intent = need(&self.payment_intents, intent_id, "payment_intent")?;
            if intent.capture_method != CaptureMethod::Manual {
                self.emit("checkout.session.async_payment_succeeded", object);
            }
            return Ok(());
        }
        self.keep_method(&session, intent_id)?;
        self.subscribe_paid_by(&mut session, intent_id)?;
        session.payment_status = PaymentStatus::Paid;
        self.complete_session(session);
        Ok(())
    }

    /// The buyer has done their part, and the money is still to come: the session is complete and unpaid.
    pub(crate) fn session_underway(&mut self, session_id: &str, intent_id: &str) -> ApiResult<()> {
        let mut session = need(&self.sessions, session_id, "session")?;
        self.keep_method(&session, intent_id)?;
        self.subscribe_paid_by(&mut session, intent_id)?;
        self.complete_session(session);
        Ok(())
    }

    /// The subscription that a session sells, paid for by an intent that has succeeded or is with the bank; of a payment,
    /// the invoice that it asks for.
    fn subscribe_paid_by(&mut self, session: &mut CheckoutSession, intent: &str) -> ApiResult<()> {
        match session.mode {
            Mode::Subscription => {}
            Mode::Payment => return self.invoice_payment_of(session, Some(intent)),
            Mode::Setup => return Ok(()),
        }
        let method = self.payment_intents.get(intent).and_then(|intent| intent.payment_method.clone());
        self.subscribe_for(session, method, FirstPayment::PaidBy(intent.to_owned()))
    }

    /// Attaches the method of a payment to the customer, where the session is to save it.
    fn keep_method(&mut self, session: &CheckoutSession, intent_id: &str) -> ApiResult<()> {
        let intent = need(&self.payment_intents, intent_id, "payment_intent")?;
        let method = intent.payment_method.clone();
        let saves = session.mode == Mode::Subscription || intent.setup_future_usage.is_some();
        let reusable = method
            .as_ref()
            .and_then(|id| self.payment_methods.get(id))
            .is_some_and(|method| method.instrument.account().is_none_or(|account| account.rail.is_debit()));
        let unowned =
            |id: &&str| self.payment_methods.get(id).is_some_and(|method| method.customer.is_none());
        if let (Some(customer), Some(method)) =
            (session.customer.clone(), method.as_deref().filter(|_| saves && reusable).filter(unowned))
        {
            self.attach_method(method, &customer)?;
        }
        Ok(())
    }

    /// The card of a session without a payment is saved.
    pub(crate) fn session_set_up(&mut self, session_id: &str, intent_id: &str) -> ApiResult<()> {
        let mut session = need(&self.sessions, session_id, "session")?;
        let method = self.setup_intents.get(intent_id).and_then(|intent| intent.payment_method.clone());
        match session.mode {
            Mode::Subscription => {
                self.subscribe_for(&mut session, method, FirstPayment::Try(Presence::OnSession))?
            }
            Mode::Setup => session.setup_intent = Some(intent_id.to_owned()),
            Mode::Payment => {}
        }
        session.payment_status = PaymentStatus::NoPaymentRequired;
        self.complete_session(session);
        Ok(())
    }

    /// What a session of a subscription sells once, as lines of the first invoice.
    fn extras_of(&mut self, session: &CheckoutSession) -> Vec<Line> {
        let currency = session.currency.clone().unwrap_or_default();
        let once = session.lines.iter().filter(|line| !line.recurring);
        let lines: Vec<Line> = once.flat_map(|line| self.lines_of_session(line, &currency)).collect();
        lines.into_iter().map(|line| Line { id: self.chance.id("il_"), ..line }).collect()
    }

    fn subscribe_for(
        &mut self,
        session: &mut CheckoutSession,
        method: Option<String>,
        first_payment: FirstPayment,
    ) -> ApiResult<()> {
        let data = session.subscription_data.clone();
        let trial_end = data.trial_end.or_else(|| data.trial_days.map(|days| self.now + days * 86_400));
        let extras = self.extras_of(session);
        let id = self.subscribe(NewSubscription {
            customer: session.customer.clone().unwrap_or_default(),
            currency: session.currency.clone(),
            extras,
            items: session
                .lines
                .iter()
                .filter(|line| line.recurring)
                .map(|line| NewItem {
                    price: line.price.clone(),
                    quantity: line.quantity,
                    terms: ItemTerms { tax_rates: line.terms.tax_rates.clone(), ..ItemTerms::default() },
                    ..NewItem::default()
                })
                .collect(),
            terms: SubscriptionTerms {
                discounts: session.discounts.iter().map(|discount| discount.id.clone()).collect(),
                default_tax_rates: session.default_tax_rates.clone(),
                automatic_tax: session.automatic_tax,
            },
            metadata: data.metadata,
            description: data.description,
            trial_end,
            anchor: data.anchor,
            prorate_first: false,
            collection: Collection::ChargeAutomatically,
            days_until_due: None,
            default_payment_method: method,
            missing_card: data.missing_card,
            cancel_at: None,
            cancel_at_period_end: false,
            save_default_payment_method: "off".to_owned(),
            first_payment,
            schedule: None,
            backdated: None,
            share: session.share.clone(),
        })?;
        session.invoice =
            self.subscriptions.get(&id).and_then(|subscription| subscription.latest_invoice.clone());
        session.subscription = Some(id);
        Ok(())
    }

    /// The customer moves to the country that the buyer typed, where the session may change that.
    fn keep_address(&mut self, session: &CheckoutSession) {
        let known = self.session_customer(session).filter(|_| session.updates_address);
        let (Some(mut customer), Some(country)) = (known.cloned(), &session.country) else { return };
        let before = customer.render();
        customer.address = address_in(country);
        self.emit_change("customer.updated", &before, customer.render());
        self.customers.put(customer);
    }

    /// A customer without an e-mail address gets the one that the buyer typed.
    fn keep_email(&mut self, session: &CheckoutSession) {
        let known = self.session_customer(session).filter(|customer| customer.email.is_none());
        let (Some(mut customer), Some(email)) = (known.cloned(), session.buyer_email.clone()) else { return };
        let before = customer.render();
        customer.email = Some(email);
        self.emit_change("customer.updated", &before, customer.render());
        self.customers.put(customer);
    }

    fn complete_session(&mut self, mut session: CheckoutSession) {
        self.keep_email(&session);
        for discount in &session.discounts {
            self.bind_discount(&discount.id, session.customer.as_deref(), Bearer::Session);
        }
        session.status = SessionStatus::Complete;
        session.pending_intent = None;
        let (object, link) = (session.render(), session.payment_link.clone());
        self.sessions.put(session);
        self.emit("checkout.session.completed", object);
        if let Some(link) = link {
            self.count_completed(&link);
        }
    }
}
