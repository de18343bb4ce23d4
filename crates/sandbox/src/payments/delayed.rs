//! Payments whose answer takes days: debits that the bank has yet to answer, and vouchers that somebody has yet to pay.

use serde_json::{Value, json};

use super::attempt::{Attempt, error_value};
use crate::model::accounts::{Answer, TestAccount};
use crate::model::card::Decline;
use crate::model::charge::Funds;
use crate::model::customer::PaymentMethod;
use crate::model::invoice::Invoice;
use crate::model::payment::{IntentStatus, PaymentIntent, Voucher};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

const DAY: i64 = 86_400;

/// Nobody paid at the store in time.
const RAN_OUT: Decline = Decline {
    code: "payment_intent_payment_attempt_expired",
    decline_code: None,
    message: "The latest payment attempt of this PaymentIntent has expired. Provide another payment method to try again.",
};
/// A bank that a control call answers for.
const REFUSED: Decline = Decline {
    code: "payment_method_provider_decline",
    decline_code: None,
    message: "The bank could not process this debit.",
};

impl World {
    /// Starts a payment whose answer comes later; an invoice stays open and a checkout session is complete but unpaid.
    pub(crate) fn start_delayed(
        &mut self,
        mut intent: PaymentIntent,
        method: &PaymentMethod,
        account: &TestAccount,
    ) -> ApiResult<()> {
        if intent.currency != account.rail.currency() {
            let message = format!(
                "The payment method type {} pays in {} only, and this payment is in {}. No money moved.",
                account.rail.as_str(),
                account.rail.currency(),
                intent.currency
            );
            return Err(ApiError::invalid("payment_method_currency_mismatch", "payment_method", message));
        }
        intent.last_error = Value::Null;
        let at = if account.rail.is_debit() {
            intent.status = IntentStatus::Processing;
            intent.latest_charge = Some(self.add_charge(&intent, method, false, Some(Funds::Pending)));
            match account.answer {
                Answer::Pays | Answer::Refuses(_) | Answer::TakesBack(_) => {
                    Some(self.now + self.settings.debit_days * DAY)
                }
                Answer::Silence => None,
            }
        } else {
            intent.status = IntentStatus::RequiresAction;
            let until = self.now + intent.voucher_days.unwrap_or(self.settings.voucher_days) * DAY;
            intent.voucher = Some(Voucher {
                until,
                confirmation: self.digits(11),
                code: self.digits(6),
                url: format!("{}/pending/{}", self.public_url, intent.id),
            });
            Some(until)
        };
        if let Some(at) = at {
            self.timers.set(at, Timer::PaymentAnswered(intent.id.clone()));
        }
        let kind = match intent.status {
            IntentStatus::Processing => "payment_intent.processing",
            IntentStatus::RequiresPaymentMethod
            | IntentStatus::RequiresConfirmation
            | IntentStatus::RequiresAction
            | IntentStatus::RequiresCapture
            | IntentStatus::Succeeded
            | IntentStatus::Canceled => "payment_intent.requires_action",
        };
        let object = intent.render();
        self.payment_intents.put(intent.clone());
        self.emit(kind, object);
        if let Some(invoice) = &intent.invoice {
            self.invoices.edit(invoice, |invoice| invoice.attempted = true);
        }
        match &intent.session {
            Some(session) => self.session_underway(session, &intent.id),
            None => Ok(()),
        }
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| self.chance.below(10).to_string()).collect()
    }

    /// Whether a payment waits for an answer that takes days.
    pub(crate) fn is_underway(&self, intent: &PaymentIntent) -> bool {
        match intent.status {
            IntentStatus::Processing => true,
            IntentStatus::RequiresAction => intent.voucher.is_some(),
            IntentStatus::RequiresPaymentMethod
            | IntentStatus::RequiresConfirmation
            | IntentStatus::RequiresCapture
            | IntentStatus::Succeeded
            | IntentStatus::Canceled => false,
        }
    }

    /// Whether the payment of an invoice is with the bank, so that nothing else may pay or void it.
    pub(crate) fn awaits_bank(&self, invoice: &Invoice) -> bool {
        let intent = invoice.payment_intent.as_ref().and_then(|id| self.payment_intents.get(id));
        intent.is_some_and(|intent| intent.status == IntentStatus::Processing)
    }

    /// The time of an answer has come: the bank's own, or that of a voucher that nobody paid.
    pub(crate) fn payment_answered(&mut self, id: &str) {
        let Some(intent) = self.payment_intents.get(id).filter(|intent| self.is_underway(intent)).cloned()
        else {
            return;
        };
        if intent.voucher.as_ref().is_some_and(|voucher| voucher.until > self.now) {
            return;
        }
        let Some(account) = self.account_of(&intent) else {
            return;
        };
        let refusal = match (account.rail.is_debit(), account.answer) {
            (true, Answer::Refuses(decline)) => Some(decline),
            (true, Answer::Pays | Answer::TakesBack(_)) => None,
            (true, Answer::Silence) => return,
            (false, _) => Some(RAN_OUT),
        };
        // Nothing but the end of a subscription's checkout can be refused, and that was checked when it was opened.
        let _ = self.settle_delayed(intent, refusal);
    }

    fn account_of(&self, intent: &PaymentIntent) -> Option<&'static TestAccount> {
        let method = intent.payment_method.as_ref().and_then(|id| self.payment_methods.get(id));
        method.and_then(|method| method.instrument.account())
    }

    /// A control call answers for the bank or the buyer, now.
    pub(crate) fn settle_by_hand(&mut self, id: &str, success: bool) -> ApiResult<()> {
        let intent = need(&self.payment_intents, id, "intent")?;
        let account = self.account_of(&intent).filter(|_| self.is_underway(&intent));
        let Some(account) = account else {
            return Err(ApiError::state(
                "payment_intent_unexpected_state",
                "This payment does not wait for an answer of a bank or a store. No money moved.",
            ));
        };
        let refusal = match (success, account.answer) {
            (true, _) => None,
            (false, Answer::Refuses(decline)) => Some(decline),
            (false, Answer::Pays | Answer::TakesBack(_) | Answer::Silence) if account.rail.is_debit() => {
                Some(REFUSED)
            }
            (false, Answer::Pays | Answer::TakesBack(_) | Answer::Silence) => Some(RAN_OUT),
        };
        self.settle_delayed(intent, refusal)
    }

    fn settle_delayed(&mut self, mut intent: PaymentIntent, refusal: Option<Decline>) -> ApiResult<()> {
        let method_id = intent.payment_method.clone().unwrap_or_default();
        let method = need(&self.payment_methods, &method_id, "payment_method")?;
        let answer = method.instrument.account().map(|account| account.answer);
        let pending = intent.latest_charge.clone().filter(|_| intent.status == IntentStatus::Processing);
        intent.voucher = None;
        if let Some(decline) = refusal {
            return self.refuse_delayed(intent, &method, pending.as_deref(), &decline);
        }
        match &pending {
            Some(id) => {
                let mut charge = need(&self.charges, id, "charge")?;
                let amount = charge.amount;
                self.take(&mut charge, amount);
                let object = self.keep_charge(charge);
                self.emit("charge.succeeded", object);
            }
            None => intent.latest_charge = Some(self.add_charge(&intent, &method, false, None)),
        }
        let (amount, charge) = (intent.amount, intent.latest_charge.clone().unwrap_or_default());
        self.receive(intent, amount)?;
        if let Some(Answer::TakesBack(reason)) = answer {
            self.take_back(&charge, reason)?;
        }
        Ok(())
    }

    fn refuse_delayed(
        &mut self,
        mut intent: PaymentIntent,
        method: &PaymentMethod,
        pending: Option<&str>,
        decline: &Decline,
    ) -> ApiResult<()> {
        if let Some(id) = pending {
            let mut charge = need(&self.charges, id, "charge")?;
            charge.funds = Funds::refused(decline);
            let object = charge.render();
            self.charges.put(charge);
            self.emit("charge.failed", object);
        }
        intent.status = IntentStatus::RequiresPaymentMethod;
        intent.payment_method = None;
        intent.last_error = error_value(decline, pending, method);
        let (object, invoice, session) = (intent.render(), intent.invoice.clone(), intent.session.clone());
        self.payment_intents.put(intent);
        self.emit("payment_intent.payment_failed", object);
        if let Some(session) = session {
            let object = self.object(&session).unwrap_or_default();
            self.emit("checkout.session.async_payment_failed", object);
        }
        if let Some(invoice) = invoice {
            self.note_failure(&invoice, Some(Attempt::Declined(*decline)));
        }
        Ok(())
    }
}

impl Voucher {
    /// The `next_action` that tells a buyer how to pay.
    pub(crate) fn next_action(&self) -> Value {
        let store = json!({ "confirmation_number": self.confirmation, "payment_code": self.code });
        json!({
            "type": "konbini_display_details",
            "konbini_display_details": {
                "expires_at": self.until,
                "hosted_voucher_url": self.url,
                "stores": { "familymart": store, "lawson": store, "ministop": store, "seicomart": store },
            },
        })
    }
}
