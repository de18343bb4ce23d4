//! Sending a command: one call for each kind, with the key that `quittance_domain::command` chose; after a day
//! the first key is worthless, and the provider is asked what became of it instead.

use quittance_domain::CustomerId;
use quittance_domain::checkout::{CheckoutState, CheckoutUi};
use quittance_domain::mutant::{self, Mutant};
use quittance_domain::refund::RefundReason as Why;
use quittance_domain::trial::Bridge;
use quittance_store::StoreError;
use quittance_store::checkouts::CheckoutRow;
use quittance_store::commands::CommandRow;
use quittance_store::customers::CustomerRow;
use quittance_store::{checkouts, customers};
use quittance_stripe::calls::checkout::{Begins, CheckoutMode, CreateCheckout, Discount, Place};
use quittance_stripe::calls::customers::CustomerDetails;
use quittance_stripe::calls::payments::CreateIntent;
use quittance_stripe::calls::portal::{CreatePortal, PortalFlow};
use quittance_stripe::calls::subscriptions::CancelSubscription;
use quittance_stripe::calls::{self, IdempotencyKey, Paging};
use quittance_stripe::error::{ErrorKind, StripeError};
use quittance_stripe::form::Metadata;
use quittance_stripe::observe::{ObservedCheckout, ObservedPaymentIntent};
use serde_json::{Value, json};

use super::plan::told;
use super::refund::GiveBack;
use super::request::{CancelAt, Discounted, PortalStart, Request, Start};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::sync::translate::{BARE_KEY, CHECKOUT_KEY, REFERENCE_KEY, is_payment, payment_state};
use crate::sync::{SyncError, as_problem};
use crate::trials::STARTS_AFTER_KEY;

/// The metadata key under which we name our customer at the provider.
pub(crate) const CUSTOMER_KEY: &str = "quittance_customer";
pub(super) const COMMAND_KEY: &str = "quittance_command";

/// Metadata of ours always fits the provider's limits; a pair that does not is left out.
pub(super) fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    let mut out = Metadata::new();
    for (key, value) in pairs {
        match out.clone().with(key, value) {
            Ok(more) => out = more,
            Err(error) => tracing::warn!(key, %error, "metadata left out"),
        }
    }
    out
}

/// Why a command got no answer.
pub(super) enum Setback {
    /// Our own database could not be read; nothing was sent.
    Ours(Problem),
    /// What was looked at first forbids it; nothing was sent.
    Refused(Problem),
    /// What the provider said, or failed to say.
    Theirs(StripeError),
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Ours(error.into())
    }
}

impl From<Problem> for Setback {
    fn from(problem: Problem) -> Self {
        Self::Ours(problem)
    }
}

impl From<StripeError> for Setback {
    fn from(error: StripeError) -> Self {
        Self::Theirs(error)
    }
}

impl From<SyncError> for Setback {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Provider(error) => Self::Theirs(error),
            error @ (SyncError::Store(_) | SyncError::WrongAccount(_)) => Self::Ours(as_problem(error)),
        }
    }
}

fn details(known: Option<&CustomerRow>) -> CustomerDetails<'_> {
    CustomerDetails {
        email: known.and_then(|row| row.email.as_deref()),
        name: known.and_then(|row| row.name.as_deref()),
        locale: known.and_then(|row| row.locale.as_deref()),
    }
}

impl Engine {
    /// Sends a command with its own key, or, once the provider may have forgotten that, with a `later` one: but
    /// only when a look shows that the earlier sendings did nothing.
    #[crate::boxed]
    pub(super) async fn execute(
        &self,
        row: &CommandRow,
        request: &Request,
        later: Option<String>,
    ) -> Result<Value, Setback> {
        if later.is_some()
            && !mutant::is(Mutant::LookUp)
            && let Some(found) = self.look_up(row, request).await?
        {
            return Ok(found);
        }
        let key = later.unwrap_or_else(|| row.idempotency_key.clone());
        let key = if mutant::is(Mutant::IdempotencyKey) {
            format!("{key}-{}", hex::encode(self.world().random()))
        } else {
            key
        };
        let Ok(key) = IdempotencyKey::new(key) else {
            tracing::error!(command = row.id.as_str(), "the key of a command cannot be sent");
            return Ok(Value::Null);
        };
        let answer = match request {
            Request::CreateCustomer { customer } => {
                let known = self.known_of(customer).await?;
                self.create_customer(customer, known.as_ref(), key).await
            }
            Request::UpdateCustomer { customer, provider_customer } => {
                let known = self.known_of(customer).await?;
                self.update_customer(known.as_ref(), provider_customer, key).await
            }
            Request::DeleteCustomer { provider_customer, .. } => {
                return self.delete_customer(provider_customer).await;
            }
            Request::CreateCheckout {
                checkout,
                provider_customer,
                price,
                once,
                trial_days,
                discount,
                most,
                starts,
            } => {
                let sale = Sale {
                    provider_customer,
                    price: price.as_deref(),
                    once: *once,
                    trial_days: *trial_days,
                    discount: discount.as_ref(),
                    most: *most,
                    starts: starts.as_ref(),
                };
                let id = checkout.clone();
                let row = self.db().read("checkouts.get", move |tx| checkouts::get(tx, id.as_str())).await?;
                let Some(row) = row else {
                    tracing::error!(checkout = checkout.as_str(), "a checkout to open is not written down");
                    return Ok(Value::Null);
                };
                self.open_at_provider(&row, &sale, key).await
            }
            Request::ExpireCheckout { session, .. } if is_payment(session) => {
                self.cancel_payment(session, key).await
            }
            Request::ExpireCheckout { session, .. } => self.expire_session(session, key).await,
            Request::CreatePortal { provider_customer, return_url, start, configuration, .. } => {
                let wanted = CreatePortal {
                    customer: provider_customer,
                    return_url: Some(return_url),
                    configuration: configuration.as_deref(),
                    locale: None,
                    flow: flow(start),
                    // Whoever came for one thing goes back where they came from when it is done.
                    after_url: Some(return_url),
                };
                self.create_portal(&wanted, key).await
            }
            Request::ChangeSubscription { .. }
            | Request::ScheduleChange { .. }
            | Request::UndoSchedule { .. }
            | Request::PauseSubscription { .. }
            | Request::CancelSubscription { .. }
            | Request::ResumeSubscription { .. } => self.execute_on_plan(row, request, key).await,
            Request::CancelDuplicate { subscription, kept } => {
                self.cancel_now(subscription, &format!("second subscription beside {kept}"), None).await
            }
            Request::EndTrial { subscription, charges } => self.end_trial(subscription, *charges, key).await,
            Request::RefundDuplicate { payment, .. } => {
                return self.refund_rest(row, payment, Some(Why::Duplicate), key).await;
            }
            Request::Refund { payment, amount, reason, invoice, out_of_band } => {
                let wish = GiveBack {
                    payment,
                    minor: amount.minor,
                    reason: Some(*reason),
                    invoice: invoice.as_deref(),
                    out_of_band: *out_of_band,
                };
                self.give_back(row, &wish, key).await
            }
            Request::ContestDispute { dispute, note, .. } => {
                // Names and addresses are read when it is sent, and stand in no command.
                let evidence = self.evidence_fields(dispute, note.as_deref()).await?;
                self.contest(dispute, &evidence, key).await
            }
            Request::AcceptDispute { dispute, .. } => self.accept_dispute(dispute, key).await,
            Request::Suspension { episode, step } => {
                return self.suspension_step(row, (*episode, step), key).await;
            }
            Request::PayInvoice { invoice, .. } => self.try_invoice(invoice, key).await,
            Request::GiveUpInvoice { subscription, invoice, how } => {
                self.give_up(subscription, invoice, *how, key).await
            }
        };
        Ok(answer?)
    }

    /// What is known of a customer, as the provider shall have it.
    async fn known_of(&self, customer: &CustomerId) -> Result<Option<CustomerRow>, StoreError> {
        let id = customer.clone();
        self.db().read("customers.get", move |tx| customers::get(tx, id.as_str())).await
    }

    async fn create_customer(
        &self,
        customer: &CustomerId,
        known: Option<&CustomerRow>,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let call =
            calls::customers::create(details(known), &metadata(&[(CUSTOMER_KEY, customer.as_str())]), key);
        match self.ask(call).await {
            Ok(created) => Ok(json!({ "id": created.id })),
            // The customer's details changed between two sendings: what the first one made is there.
            Err(error) if *error.kind() == ErrorKind::IdempotencyMismatch => {
                self.find_customer(customer, 0).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes what we know of a customer over what the provider has. Details that changed between two sendings are the
    /// next command's.
    async fn update_customer(
        &self,
        known: Option<&CustomerRow>,
        provider_customer: &str,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let call = calls::customers::update(provider_customer, details(known), &Metadata::new(), key);
        match self.ask(call).await {
            Ok(updated) => Ok(json!({ "id": updated.id })),
            Err(error) if *error.kind() == ErrorKind::IdempotencyMismatch => {
                Ok(json!({ "id": provider_customer }))
            }
            Err(error) => Err(error),
        }
    }

    /// The provider's customer that names ours, among those created since; search would not show a fresh one.
    async fn find_customer(&self, customer: &CustomerId, since_s: i64) -> Result<Option<Value>, StripeError> {
        let mut after: Option<String> = None;
        loop {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let page = self.ask(calls::customers::list(Some(since_s), paging)).await?;
            let found = page
                .items
                .iter()
                .find(|c| c.metadata.get(CUSTOMER_KEY).map(String::as_str) == Some(customer.as_str()));
            if let Some(found) = found {
                return Ok(Some(json!({ "id": found.id })));
            }
            if !page.has_more {
                return Ok(None);
            }
            after = page.last_id;
        }
    }

    async fn open_at_provider(
        &self,
        row: &CheckoutRow,
        sale: &Sale<'_>,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let mut named = vec![
            (CUSTOMER_KEY, row.wish.customer.as_str()),
            (CHECKOUT_KEY, row.id.as_str()),
            ("quittance_plan", row.wish.plan.as_str()),
        ];
        named.extend(sale.starts.map(|start| (STARTS_AFTER_KEY, start.after.as_str())));
        named.extend(row.wish.reference.as_deref().map(|reference| (REFERENCE_KEY, reference)));
        match (row.wish.ui, sale.price, sale.most) {
            (CheckoutUi::PaymentIntent, _, Some(amount)) => {
                named.push((BARE_KEY, "yes"));
                self.create_payment(row, sale, amount, &metadata(&named), key).await
            }
            (_, Some(price), _) => self.create_session(row, sale, price, &metadata(&named), key).await,
            (_, None, _) => {
                tracing::error!(checkout = row.id.as_str(), "a checkout to open has no price");
                Ok(Value::Null)
            }
        }
    }

    /// A bare payment of the amount that was computed: the provider adds nothing to it.
    async fn create_payment(
        &self,
        row: &CheckoutRow,
        sale: &Sale<'_>,
        amount: i64,
        marks: &Metadata,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let wanted = CreateIntent {
            amount,
            currency: row.wish.currency.code(),
            customer: sale.provider_customer,
            description: Some(row.wish.plan.as_str()),
            metadata: marks,
        };
        let intent = self.ask(calls::payments::create_intent(&wanted, key)).await?;
        Ok(payment_json(&intent))
    }

    /// Ends a payment that nobody has made; one that is made, or on its way, is told apart by its status.
    async fn cancel_payment(&self, payment: &str, key: IdempotencyKey) -> Result<Value, StripeError> {
        // A debit that the bank has yet to answer could be cancelled, and would be paid twice if it was not in time.
        let found = self.ask(calls::payments::retrieve_intent(payment)).await?;
        if payment_state(&found) != Some(CheckoutState::Open) {
            return Ok(payment_json(&found));
        }
        match self.ask(calls::payments::cancel_intent(payment, key)).await {
            Ok(intent) => Ok(payment_json(&intent)),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest { .. }) => {
                let call = calls::payments::retrieve_intent(payment);
                Ok(payment_json(&self.ask(call).await?))
            }
            Err(error) => Err(error),
        }
    }

    async fn create_session(
        &self,
        row: &CheckoutRow,
        sale: &Sale<'_>,
        price: &str,
        marks: &Metadata,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let (checkout, customer) = (&row.id, row.wish.customer.as_str());
        let days = (sale.trial_days > 0).then_some(i64::from(sale.trial_days));
        let begins = match sale.starts {
            Some(Start { by: Bridge::Trial, at_s, .. }) => Begins::AfterTrialUntil(*at_s),
            Some(Start { by: Bridge::Anchor, at_s, .. }) => Begins::FreeUntil(*at_s),
            None => days.map_or(Begins::Now, Begins::AfterTrialDays),
        };
        let mode = if sale.once {
            CheckoutMode::Payment { metadata: marks }
        } else {
            CheckoutMode::Subscription { metadata: marks, begins }
        };
        let return_url = row.wish.success_url.as_str();
        let wanted = CreateCheckout {
            mode,
            customer: sale.provider_customer,
            lines: &[(price, Some(row.wish.quantity))],
            place: match row.wish.ui {
                CheckoutUi::Embedded => Place::Embedded { return_url },
                CheckoutUi::Elements => Place::Elements { return_url },
                CheckoutUi::Hosted | CheckoutUi::PaymentIntent => {
                    Place::Hosted { success_url: return_url, cancel_url: Some(&row.wish.cancel_url) }
                }
            },
            client_reference_id: Some(customer),
            metadata: marks,
            discount: match (sale.discount, sale.most, row.wish.promotion_code.as_deref()) {
                (Some(Discounted::Code(code)), _, _) => Discount::PromotionCode(code),
                (Some(Discounted::Coupon(coupon)), _, _) => Discount::Coupon(coupon),
                // Written down by an earlier release, whose codes were the provider's ids.
                (None, None, Some(code)) => Discount::PromotionCode(code),
                (None, _, _) => Discount::None,
            },
            locale: None,
            expires_at_s: sale.starts.map(|start| start.closes_s),
            automatic_tax: false,
        };
        let expiring = IdempotencyKey::new(format!("{}-close", key.as_str()));
        let session = self.ask(calls::checkout::create(&wanted, key)).await?;
        match (asks_more(&session, sale.most), expiring) {
            (Some(asked), Ok(key)) => {
                // Nobody may be charged more than the price: it is closed before anybody has its address.
                tracing::error!(
                    checkout = checkout.as_str(),
                    asked,
                    most = sale.most,
                    "the provider asks more"
                );
                self.expire_session(&session.id, key).await?;
                Ok(json!({ "id": session.id, "status": "expired", "asked": asked }))
            }
            (Some(_) | None, _) => Ok(session_json(&session)),
        }
    }

    /// Closes a session; one that is closed already, or paid, is told apart by its status.
    async fn expire_session(&self, session: &str, key: IdempotencyKey) -> Result<Value, StripeError> {
        match self.ask(calls::checkout::expire(session, key)).await {
            Ok(session) => Ok(session_json(&session)),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest { .. }) => {
                let session = self.ask(calls::checkout::retrieve(session)).await?;
                Ok(session_json(&session))
            }
            Err(error) => Err(error),
        }
    }

    async fn create_portal(
        &self,
        wanted: &CreatePortal<'_>,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let session = self.ask(calls::portal::create(wanted, key)).await?;
        Ok(json!({ "url": session.url }))
    }

    /// Ends a subscription now; one that has ended already is what was wanted.
    #[crate::boxed]
    pub(super) async fn cancel_now(
        &self,
        id: &str,
        comment: &str,
        feedback: Option<&str>,
    ) -> Result<Value, StripeError> {
        let wanted = CancelSubscription { comment: Some(comment), feedback, ..CancelSubscription::default() };
        let refused = match self.ask(calls::subscriptions::cancel(id, wanted)).await {
            Ok(ended) => return Ok(json!({ "id": ended.id, "status": ended.status })),
            Err(error) => error,
        };
        if !matches!(refused.kind(), ErrorKind::NotFound { .. } | ErrorKind::InvalidRequest { .. }) {
            return Err(refused);
        }
        let found = self.ask(calls::subscriptions::retrieve(id, &[])).await?;
        if matches!(found.status.as_str(), "canceled" | "incomplete_expired") {
            Ok(json!({ "id": found.id, "status": found.status }))
        } else {
            Err(refused)
        }
    }

    /// What became of a command whose key the provider has forgotten; `None` when it did nothing, or when
    /// doing it again is harmless because it only sets a state.
    async fn look_up(&self, row: &CommandRow, request: &Request) -> Result<Option<Value>, StripeError> {
        match request {
            Request::CreateCustomer { customer } => {
                let since = row.first_sent_at.map_or(0, |at| at.seconds() - 3_600);
                self.find_customer(customer, since).await
            }
            Request::CreateCheckout { checkout, provider_customer, price: None, .. } => {
                let call = calls::payments::list_intents(provider_customer, Paging::default());
                let page = self.ask(call).await?;
                let ours = |i: &&ObservedPaymentIntent| {
                    i.metadata.get(CHECKOUT_KEY).map(String::as_str) == Some(checkout.as_str())
                };
                Ok(page.items.iter().find(ours).map(payment_json))
            }
            Request::CreateCheckout { checkout, provider_customer, .. } => {
                let call = calls::checkout::list(provider_customer, Paging::default());
                let page = self.ask(call).await?;
                let ours = |s: &&ObservedCheckout| {
                    s.metadata.get(CHECKOUT_KEY).map(String::as_str) == Some(checkout.as_str())
                };
                Ok(page.items.iter().find(ours).map(session_json))
            }
            Request::RefundDuplicate { payment, .. } => self.given_back_before(row, payment, None).await,
            Request::Refund { payment, invoice, .. } => {
                self.given_back_before(row, payment, invoice.as_deref()).await
            }
            // Asked once more, the provider would have it cancelled at a later moment, and the customer would hear of it twice.
            Request::CancelSubscription { subscription, at: CancelAt::PeriodEnd, .. } => {
                let call = calls::subscriptions::retrieve(subscription, &[]);
                let found = self.ask(call).await?;
                Ok(found.cancel_at_period_end.then(|| told(&found)))
            }
            Request::ChangeSubscription { subscription, .. } => self.changed_before(row, subscription).await,
            Request::UpdateCustomer { .. }
            | Request::ExpireCheckout { .. }
            | Request::CreatePortal { .. }
            | Request::ScheduleChange { .. }
            | Request::UndoSchedule { .. }
            | Request::PauseSubscription { .. }
            | Request::CancelSubscription { at: CancelAt::Now, .. }
            | Request::ResumeSubscription { .. }
            | Request::EndTrial { .. }
            | Request::CancelDuplicate { .. }
            // These look themselves before they do anything.
            | Request::DeleteCustomer { .. }
            | Request::ContestDispute { .. }
            | Request::AcceptDispute { .. }
            // Each sets a state, and a refund of the rest finds nothing left.
            | Request::Suspension { .. }
            | Request::PayInvoice { .. }
            | Request::GiveUpInvoice { .. } => Ok(None),
        }
    }
}

fn flow(start: &PortalStart) -> PortalFlow<'_> {
    match start {
        PortalStart::Home => PortalFlow::Home,
        PortalStart::PaymentMethod => PortalFlow::PaymentMethodUpdate,
        PortalStart::Cancel(subscription) => PortalFlow::SubscriptionCancel(subscription),
        PortalStart::Change(subscription) => PortalFlow::SubscriptionUpdate(subscription),
        PortalStart::ChangeTo { subscription, item, price, quantity } => {
            PortalFlow::SubscriptionUpdateConfirm { subscription, item, price, quantity: Some(*quantity) }
        }
    }
}

/// What a session asks for at once where that is more than it may; tax on top is the provider's to add.
fn asks_more(session: &ObservedCheckout, most: Option<i64>) -> Option<i64> {
    let (asked, most) = (session.amount_total?, most?);
    (asked.saturating_sub(session.amount_tax) > most).then_some(asked)
}

/// What a session sells.
struct Sale<'a> {
    provider_customer: &'a str,
    price: Option<&'a str>,
    once: bool,
    trial_days: u32,
    discount: Option<&'a Discounted>,
    most: Option<i64>,
    starts: Option<&'a Start>,
}

fn session_json(session: &ObservedCheckout) -> Value {
    json!({
        "id": session.id, "url": session.url, "status": session.status,
        "payment_status": session.payment_status, "expires_at_s": session.expires_at_s,
        "client_secret": session.client_secret,
    })
}

/// A bare payment, told as a session is.
fn payment_json(intent: &ObservedPaymentIntent) -> Value {
    let status = match payment_state(intent) {
        Some(CheckoutState::Processing | CheckoutState::Complete) => "complete",
        Some(CheckoutState::Expired) => "expired",
        Some(CheckoutState::Creating | CheckoutState::Open) | None => "open",
    };
    json!({ "id": intent.id, "status": status, "client_secret": intent.client_secret })
}
