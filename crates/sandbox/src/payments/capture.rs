//! Money that arrives: at once, or held first and then captured, let go, or out of time.

use crate::model::card::Aftermath;
use crate::model::charge::{Charge, Funds};
use crate::model::payment::{IntentStatus, PaymentIntent};
use crate::model::share::Share;
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// A card holds the money of an intent: it waits to be captured, and a checkout session is complete but unpaid.
    pub(crate) fn hold(&mut self, mut intent: PaymentIntent) -> ApiResult<()> {
        intent.status = IntentStatus::RequiresCapture;
        intent.last_error = serde_json::Value::Null;
        let until =
            intent.latest_charge.as_ref().and_then(|id| self.charges.get(id)).map(|charge| &charge.funds);
        if let Some(Funds::Held { until }) = until {
            self.timers.set(*until, Timer::HoldExpires(intent.id.clone()));
        }
        let object = intent.render();
        self.payment_intents.put(intent.clone());
        self.emit("payment_intent.amount_capturable_updated", object);
        match &intent.session {
            Some(session) => self.session_underway(session, &intent.id),
            None => Ok(()),
        }
    }

    /// The money of an intent is there: its invoice is paid, its checkout session completes.
    pub(crate) fn receive(&mut self, mut intent: PaymentIntent, amount: i64) -> ApiResult<()> {
        intent.status = IntentStatus::Succeeded;
        intent.amount_received = amount;
        intent.last_error = serde_json::Value::Null;
        let object = intent.render();
        self.payment_intents.put(intent.clone());
        self.emit("payment_intent.succeeded", object);
        if let Some(invoice) = &intent.invoice {
            self.invoice_paid(invoice, Some(&intent.id));
        }
        if let Some(session) = &intent.session {
            self.session_paid(session, &intent.id)?;
        }
        let charge = intent.latest_charge.as_ref().and_then(|id| self.charges.get(id)).cloned();
        if let Some(charge) = charge {
            match charge.instrument.aftermath() {
                Aftermath::Dispute { reason, inquiry } => self.open_dispute(&charge.id, reason, inquiry),
                Aftermath::FraudWarning => self.warn_of_fraud(&charge),
                Aftermath::Nothing
                | Aftermath::RefundFails
                | Aftermath::RefundPends
                | Aftermath::AvailableAtOnce => {}
            }
        }
        Ok(())
    }

    /// Takes money that is held: all of it, or a part, and then the rest is let go. Minor units. Others have the shares
    /// in it that are given, or those that the intent says.
    pub(crate) fn capture(
        &mut self,
        intent_id: &str,
        amount: Option<i64>,
        share: Option<Share>,
    ) -> ApiResult<()> {
        let mut intent = need(&self.payment_intents, intent_id, "intent")?;
        let held = intent.capturable();
        let charge = intent.latest_charge.as_ref().filter(|_| intent.status == IntentStatus::RequiresCapture);
        let Some(mut charge) = charge.and_then(|id| self.charges.get(id)).cloned() else {
            let message = format!(
                "This PaymentIntent could not be captured because it has a status of {}. Only a PaymentIntent with one of the following statuses may be captured: requires_capture. No money moved.",
                intent.status.as_str()
            );
            return Err(ApiError::state("payment_intent_unexpected_state", message)
                .with("payment_intent", intent.render()));
        };
        let amount = amount.unwrap_or(held);
        if amount > held {
            let message = format!(
                "The amount_to_capture ({amount}) is greater than the amount that can be captured ({held}). No money moved."
            );
            return Err(ApiError::invalid("amount_too_large", "amount_to_capture", message));
        }
        if let Some(share) = share {
            intent.share = share;
        }
        self.check_can_be_shared(&intent)?;
        charge.share.clone_from(&intent.share);
        self.take(&mut charge, amount);
        let object = self.keep_charge(charge);
        self.emit("charge.captured", object);
        self.receive(intent, amount)
    }

    /// Certain cards skip the time in which money is pending.
    pub(crate) fn hasten(&mut self, charge: &Charge) {
        if let (Aftermath::AvailableAtOnce, Funds::Taken { entry, .. }) =
            (charge.instrument.aftermath(), &charge.funds)
        {
            self.available_at_once(entry);
            let balance = crate::api::account::balance(self);
            self.emit("balance.available", balance);
        }
    }

    /// Nobody captured in time: the card has let the money go.
    pub(crate) fn hold_expires(&mut self, intent_id: &str) {
        let held = self
            .payment_intents
            .get(intent_id)
            .filter(|intent| intent.status == IntentStatus::RequiresCapture);
        let Some(charge) = held.and_then(|intent| intent.latest_charge.clone()) else {
            return;
        };
        self.cancel_intent(intent_id, "expired");
        let object = self.object(&charge).unwrap_or_default();
        self.emit("charge.expired", object);
    }
}
