//! One attempt to take a payment: what the issuer would say, and what follows from it.

use serde_json::{Value, json};

use crate::model::accounts::TypeFilter;
use crate::model::card::{AUTHENTICATION_REQUIRED, Challenge, Decline};
use crate::model::charge::{Charge, Funds};
use crate::model::customer::PaymentMethod;
use crate::model::payment::{CaptureMethod, Confirmation, IntentStatus, PaymentIntent, Statement};
use crate::model::share::Share;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// Whether the customer is there to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    OnSession,
    OffSession,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Succeeded,
    /// The money is held and waits to be captured.
    Held,
    /// A bank or a store has the word, and takes days.
    Underway,
    RequiresAction,
    Declined(Decline),
}

/// A payment that is about to be collected.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewIntent {
    pub(crate) amount: i64,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) currency: String,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) statement: Statement,
    pub(crate) confirmation: Confirmation,
    pub(crate) no_redirects: bool,
    pub(crate) metadata: Metadata,
    pub(crate) shipping: Value,
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) voucher_days: Option<i64>,
    pub(crate) types: TypeFilter,
    pub(crate) invoice: Option<String>,
    pub(crate) session: Option<String>,
    /// Who else has a share in it.
    pub(crate) share: Share,
}

/// How long a card holds money that is not captured, in seconds: seven days.
const HOLD_SECONDS: i64 = 7 * 86_400;

/// What the issuer would say, without asking it.
pub(crate) fn foresee(method: &PaymentMethod, presence: Presence, authenticated: bool) -> Attempt {
    let Some(card) = method.instrument.card() else {
        return Attempt::Underway;
    };
    let challenged = match card.challenge {
        Challenge::Never => false,
        Challenge::Always => true,
        Challenge::UntilSetUp => !method.set_up,
        Challenge::OnSession => presence == Presence::OnSession,
    };
    match card.decline {
        _ if challenged && !authenticated => Attempt::RequiresAction,
        Some(decline) => Attempt::Declined(decline),
        None => Attempt::Succeeded,
    }
}

/// The `last_payment_error` and the error answer of a refusal share these fields.
pub(super) fn error_value(decline: &Decline, charge: Option<&str>, method: &PaymentMethod) -> Value {
    let mut error = json!({ "type": "card_error", "code": decline.code, "message": decline.message, "payment_method": method.render() });
    if let Some(fields) = error.as_object_mut() {
        if let Some(code) = decline.decline_code {
            fields.insert("decline_code".to_owned(), json!(code));
        }
        if let Some(charge) = charge {
            fields.insert("charge".to_owned(), json!(charge));
        }
    }
    error
}

impl Attempt {
    /// Whether nothing more can be asked of the buyer now.
    pub(crate) const fn went_through(self) -> bool {
        match self {
            Self::Succeeded | Self::Held | Self::Underway => true,
            Self::RequiresAction | Self::Declined(_) => false,
        }
    }
}

impl World {
    /// Makes an intent to pay.
    pub(crate) fn add_intent(&mut self, new: NewIntent) -> String {
        let id = self.chance.id("pi_");
        let intent = PaymentIntent {
            client_secret: format!("{id}_secret_{}", self.chance.text(24)),
            page_url: format!("{}/3ds/{id}", self.public_url),
            id: id.clone(),
            created: self.now,
            status: IntentStatus::RequiresPaymentMethod,
            amount: new.amount,
            amount_received: 0,
            capture_method: new.capture_method,
            currency: new.currency,
            customer: new.customer,
            payment_method: None,
            latest_charge: None,
            last_error: Value::Null,
            description: new.description,
            receipt_email: new.receipt_email,
            statement: new.statement,
            confirmation: new.confirmation,
            proven: false,
            no_redirects: new.no_redirects,
            metadata: new.metadata,
            shipping: new.shipping,
            setup_future_usage: new.setup_future_usage,
            canceled_at: None,
            cancellation_reason: None,
            return_url: new.return_url,
            types: new.types,
            voucher_days: new.voucher_days,
            voucher: None,
            answer_due: None,
            invoice: new.invoice,
            session: new.session,
            share: new.share,
        };
        let object = intent.render();
        self.payment_intents.put(intent);
        self.emit("payment_intent.created", object);
        id
    }

    /// Tries to take the payment. What a success means for an invoice or a checkout session follows at once.
    pub(crate) fn attempt_payment(
        &mut self,
        intent_id: &str,
        method_id: &str,
        presence: Presence,
        authenticated: bool,
    ) -> ApiResult<Attempt> {
        let mut intent = need(&self.payment_intents, intent_id, "payment_intent")?;
        self.check_can_be_shared(&intent)?;
        let mut method = need(&self.payment_methods, method_id, "payment_method")?;
        if intent.status == IntentStatus::Processing {
            let message = "This payment is with the bank, which has not answered yet. No money moved.";
            return Err(ApiError::state("payment_intent_unexpected_state", message));
        }
        let word = method.instrument.word();
        if !intent.types.takes(word) {
            let message =
                format!("This PaymentIntent takes no payment methods of type {word}. No money moved.");
            return Err(ApiError::invalid(
                "payment_intent_incompatible_payment_method",
                "payment_method",
                message,
            ));
        }
        if intent.voucher.is_some() {
            // Kept at once, so that a refusal below does not leave money in two places.
            self.drop_voucher(&mut intent);
            intent.status = IntentStatus::RequiresPaymentMethod;
            self.payment_intents.put(intent.clone());
        }
        intent.payment_method = Some(method_id.to_owned());
        let attempt = match foresee(&method, presence, authenticated) {
            Attempt::Succeeded if intent.capture_method == CaptureMethod::Manual => Attempt::Held,
            other => other,
        };
        match attempt {
            Attempt::RequiresAction => {
                intent.status = IntentStatus::RequiresAction;
                intent.last_error = Value::Null;
                let object = intent.render();
                self.payment_intents.put(intent);
                self.emit("payment_intent.requires_action", object);
            }
            Attempt::Declined(decline) => self.refuse_payment(intent, &method, &decline, authenticated),
            Attempt::Underway => {
                if let Some(account) = method.instrument.account() {
                    self.start_delayed(intent, &method, account)?;
                }
            }
            Attempt::Held => {
                let funds = Funds::Held { until: self.now + HOLD_SECONDS };
                intent.latest_charge = Some(self.add_charge(&intent, &method, authenticated, Some(funds)));
                self.keep_set_up(&intent, &mut method);
                self.hold(intent)?;
            }
            Attempt::Succeeded => {
                intent.latest_charge = Some(self.add_charge(&intent, &method, authenticated, None));
                self.keep_set_up(&intent, &mut method);
                let amount = intent.amount;
                self.receive(intent, amount)?;
            }
        }
        Ok(attempt)
    }

    fn refuse_payment(
        &mut self,
        mut intent: PaymentIntent,
        method: &PaymentMethod,
        decline: &Decline,
        authenticated: bool,
    ) {
        let charge = self.add_charge(&intent, method, authenticated, Some(Funds::refused(decline)));
        intent.status = IntentStatus::RequiresPaymentMethod;
        intent.payment_method = None;
        intent.latest_charge = Some(charge.clone());
        intent.last_error = error_value(decline, Some(&charge), method);
        let object = intent.render();
        self.payment_intents.put(intent);
        self.emit("payment_intent.payment_failed", object);
    }

    /// Ends an off-session attempt that would need the customer.
    pub(crate) fn refuse_unauthenticated(&mut self, intent_id: &str, method_id: &str) -> ApiResult<Attempt> {
        let intent = need(&self.payment_intents, intent_id, "payment_intent")?;
        let method = need(&self.payment_methods, method_id, "payment_method")?;
        self.refuse_payment(intent, &method, &AUTHENTICATION_REQUIRED, false);
        Ok(Attempt::Declined(AUTHENTICATION_REQUIRED))
    }

    /// A card that was used with the customer there is ready for payments without them, if that was asked for.
    fn keep_set_up(&mut self, intent: &PaymentIntent, method: &mut PaymentMethod) {
        if intent.setup_future_usage.as_deref() == Some("off_session") {
            method.set_up = true;
            self.payment_methods.put(method.clone());
        }
    }

    /// Writes an attempt down; the money is taken where nothing else is said.
    pub(super) fn add_charge(
        &mut self,
        intent: &PaymentIntent,
        method: &PaymentMethod,
        authenticated: bool,
        funds: Option<Funds>,
    ) -> String {
        let id = self.chance.id(if method.instrument.card().is_some() { "ch_" } else { "py_" });
        let mut charge = Charge {
            id: id.clone(),
            created: self.now,
            funds: funds.clone().unwrap_or(Funds::Pending),
            amount: intent.amount,
            amount_refunded: 0,
            currency: intent.currency.clone(),
            customer: intent.customer.clone(),
            payment_intent: intent.id.clone(),
            payment_method: method.id.clone(),
            instrument: method.instrument.clone(),
            authenticated,
            billing_details: method.billing_details.clone(),
            description: intent.description.clone(),
            receipt_email: intent.receipt_email.clone(),
            statement: intent.statement.clone(),
            metadata: intent.metadata.clone(),
            disputed: false,
            share: intent.share.clone(),
            application_fee: None,
            transfer: None,
            source_transfer: None,
        };
        if funds.is_none() {
            self.take(&mut charge, intent.amount);
        }
        let kind = match &charge.funds {
            Funds::Held { .. } | Funds::Taken { .. } | Funds::LetGo => "charge.succeeded",
            Funds::Pending => "charge.pending",
            Funds::Refused { .. } => "charge.failed",
        };
        let object = self.keep_charge(charge);
        self.emit(kind, object);
        id
    }

    /// The error answer of a refused attempt, with the intent in full.
    pub(crate) fn refusal(&self, intent_id: &str, decline: &Decline) -> ApiError {
        let mut error = ApiError::card(decline.code, decline.decline_code, decline.message);
        if let Some(intent) = self.payment_intents.get(intent_id) {
            if let Some(charge) = &intent.latest_charge {
                error = error.with("charge", json!(charge));
            }
            error = error.with("payment_intent", intent.render());
            if let Some(method) = intent.last_error.get("payment_method") {
                error = error.with("payment_method", method.clone());
            }
        }
        error
    }

    /// The customer has, or has not, proved who they are: the 3-D Secure step.
    pub(crate) fn authenticate_payment(&mut self, intent_id: &str, success: bool) -> ApiResult<Attempt> {
        let intent = need(&self.payment_intents, intent_id, "payment_intent")?;
        let method_id = match (intent.status, &intent.payment_method) {
            (IntentStatus::RequiresAction, Some(method)) if intent.voucher.is_none() => method.clone(),
            _ => {
                return Err(ApiError::state(
                    "payment_intent_unexpected_state",
                    "This payment does not wait for an authentication. No money moved.",
                ));
            }
        };
        if success {
            if self.invoice_closed(&intent) {
                return Err(ApiError::state(
                    "payment_intent_unexpected_state",
                    "The invoice of this payment is closed. No money moved.",
                ));
            }
            if intent.confirmation == Confirmation::Manual {
                self.payment_intents.edit(intent_id, |intent| {
                    intent.status = IntentStatus::RequiresConfirmation;
                    intent.proven = true;
                });
                return Ok(Attempt::Underway);
            }
            let attempt = self.attempt_payment(intent_id, &method_id, Presence::OnSession, true)?;
            if let (Attempt::Declined(_), Some(invoice)) = (attempt, &intent.invoice) {
                self.note_manual_failure(invoice, attempt);
            }
            return Ok(attempt);
        }
        let method = need(&self.payment_methods, &method_id, "payment_method")?;
        let failure = Decline {
            code: "payment_intent_authentication_failure",
            decline_code: None,
            message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
        };
        let mut intent = intent;
        intent.status = IntentStatus::RequiresPaymentMethod;
        intent.payment_method = None;
        intent.last_error = error_value(&failure, None, &method);
        let (object, invoice) = (intent.render(), intent.invoice.clone());
        self.payment_intents.put(intent);
        self.emit("payment_intent.payment_failed", object);
        if let Some(invoice) = invoice {
            self.note_manual_failure(&invoice, Attempt::Declined(failure));
        }
        Ok(Attempt::Declined(failure))
    }

    fn invoice_closed(&self, intent: &PaymentIntent) -> bool {
        let invoice = intent.invoice.as_ref().and_then(|id| self.invoices.get(id));
        invoice.is_some_and(|invoice| !invoice.is_payable())
    }

    /// Cancels an intent that has not succeeded.
    pub(crate) fn cancel_intent(&mut self, intent_id: &str, reason: &str) {
        let Some(mut intent) = self.payment_intents.get(intent_id).cloned() else {
            return;
        };
        // What is with the bank cannot be stopped any more.
        if matches!(
            intent.status,
            IntentStatus::Processing | IntentStatus::Succeeded | IntentStatus::Canceled
        ) {
            return;
        }
        self.drop_voucher(&mut intent);
        if let (IntentStatus::RequiresCapture, Some(charge)) = (intent.status, &intent.latest_charge) {
            self.charges.edit(charge, |charge| charge.funds = Funds::LetGo);
        }
        intent.status = IntentStatus::Canceled;
        intent.canceled_at = Some(self.now);
        intent.cancellation_reason = Some(reason.to_owned());
        let object = intent.render();
        self.payment_intents.put(intent);
        self.emit("payment_intent.canceled", object);
    }
}
