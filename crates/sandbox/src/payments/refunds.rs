//! Refunds: full and partial, never more than is left, and those that wait, need the buyer, fail or are canceled.

use crate::connect::sharing::GiveBack;
use crate::model::accounts::Rail;
use crate::model::card::Aftermath;
use crate::model::charge::{Charge, Funds};
use crate::model::money::{Refund, RefundStatus};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// How long a pending or failing refund takes, in seconds.
const SETTLES_AFTER: i64 = 3600;
/// How long a buyer has to say where the money goes, in seconds.
const CLAIM_SECONDS: i64 = 45 * 86_400;

/// A refund that is about to be made; the whole rest where no amount (minor units) is given.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewRefund {
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) instructions_email: Option<String>,
    /// What of other accounts' shares comes back with it.
    pub(crate) back: GiveBack,
}

impl World {
    /// Refunds a charge. Answers the refund's id.
    pub(crate) fn refund_charge(&mut self, charge_id: &str, new: NewRefund) -> ApiResult<String> {
        let mut charge = need(&self.charges, charge_id, "charge")?;
        let amount = refundable_amount(&charge, new.amount)?;
        let returned = self.returned_with(&charge, amount, new.back)?;
        let instructions = self.refund_instructions(&charge, new.instructions_email)?;
        let id = self.chance.id("re_");
        let (status, settles) = match (&instructions, charge.instrument.aftermath()) {
            (Some((_, until)), _) => (RefundStatus::RequiresAction, Some(*until)),
            (None, Aftermath::RefundPends) => (RefundStatus::Pending, Some(self.now + SETTLES_AFTER)),
            (None, Aftermath::RefundFails) => (RefundStatus::Succeeded, Some(self.now + SETTLES_AFTER)),
            (
                None,
                Aftermath::Nothing
                | Aftermath::Dispute { .. }
                | Aftermath::FraudWarning
                | Aftermath::AvailableAtOnce,
            ) => (RefundStatus::Succeeded, None),
        };
        if let Some(at) = settles {
            self.timers.set(at, Timer::RefundSettles(id.clone()));
        }
        let kind = if charge.instrument.account().is_some() { "payment_refund" } else { "refund" };
        let description = Some("REFUND FOR CHARGE".to_owned());
        let entry = self.book(kind, &id, -amount, 0, &charge.currency, description);
        let transfer_reversal = self.give_back(&charge, &id, &entry.id, returned);
        let refund = Refund {
            id: id.clone(),
            created: self.now,
            status,
            amount,
            currency: charge.currency.clone(),
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            payment_method: charge.payment_method.clone(),
            customer: charge.customer.clone(),
            reason: new.reason,
            metadata: new.metadata,
            balance_transaction: Some(entry.id),
            failure_balance_transaction: None,
            failure_reason: None,
            destination: charge.instrument.word().to_owned(),
            instructions,
            transfer_reversal,
            source_transfer_reversal: None,
        };
        let object = refund.render();
        self.refunds.put(refund);
        let before = charge.render();
        charge.amount_refunded += amount;
        let (after, left) = (charge.render(), charge.refundable());
        self.charges.put(charge);
        self.emit("refund.created", object.clone());
        self.emit_change("charge.refunded", &before, after);
        self.emit("charge.refund.updated", object);
        if left == 0 {
            self.given_back(charge_id);
        }
        Ok(id)
    }

    /// A store takes no money back, so its buyer is asked for a bank account by e-mail.
    fn refund_instructions(
        &self,
        charge: &Charge,
        email: Option<String>,
    ) -> ApiResult<Option<(String, i64)>> {
        let store = charge.instrument.account().filter(|account| account.rail == Rail::Konbini);
        match (store, email) {
            (None, None) => Ok(None),
            (None, Some(_)) => {
                let message =
                    "instructions_email is for payment methods that take no money back. No money moved.";
                Err(ApiError::rule(message).param("instructions_email"))
            }
            (Some(_), email) => {
                let known = charge.billing_details.get("email").and_then(serde_json::Value::as_str);
                let email = email.or(known.map(str::to_owned)).or(charge.receipt_email.clone());
                let email = email.ok_or_else(|| {
                    let message = "The buyer of this payment must be asked where the money goes: give their address in instructions_email. No money moved.";
                    ApiError::invalid("parameter_missing", "instructions_email", message)
                })?;
                Ok(Some((email, self.now + CLAIM_SECONDS)))
            }
        }
    }

    /// Stores a refund and notes the change.
    fn change_refund(&mut self, id: &str, change: impl FnOnce(&mut Refund)) {
        let Some(mut refund) = self.refunds.get(id).cloned() else {
            return;
        };
        let before = refund.render();
        change(&mut refund);
        let (after, failed) = (refund.render(), refund.status == RefundStatus::Failed);
        self.refunds.put(refund);
        self.emit_change("refund.updated", &before, after.clone());
        if failed {
            self.emit("refund.failed", after.clone());
        }
        self.emit_change("charge.refund.updated", &before, after);
    }

    /// The money of a refund is back: it failed for a reason, or was canceled.
    fn undo_refund(&mut self, id: &str, failure: Option<&str>) {
        let Some(refund) = self.refunds.get(id).cloned() else {
            return;
        };
        let kind = if refund.charge.starts_with("py_") { "payment_failure_refund" } else { "refund_failure" };
        let description = Some("REFUND FAILURE".to_owned());
        let entry = self.book(kind, id, refund.amount, 0, &refund.currency, description);
        self.charges.edit(&refund.charge, |charge| charge.amount_refunded -= refund.amount);
        self.change_refund(id, |refund| {
            refund.status = if failure.is_some() { RefundStatus::Failed } else { RefundStatus::Canceled };
            refund.failure_reason = failure.map(str::to_owned);
            refund.failure_balance_transaction = Some(entry.id);
        });
    }

    /// A pending refund arrives; one that looked fine fails; one that nobody claimed runs out.
    pub(crate) fn settle_refund(&mut self, id: &str) {
        let Some(refund) = self.refunds.get(id) else {
            return;
        };
        let charge = self.charges.get(&refund.charge);
        let aftermath = charge.map_or(Aftermath::Nothing, |charge| charge.instrument.aftermath());
        match (refund.status, aftermath) {
            (RefundStatus::Pending, _) => {
                self.change_refund(id, |refund| refund.status = RefundStatus::Succeeded);
            }
            (RefundStatus::RequiresAction, _) => self.undo_refund(id, Some("unknown")),
            (RefundStatus::Succeeded, Aftermath::RefundFails) => {
                self.undo_refund(id, Some("expired_or_canceled_card"));
            }
            (RefundStatus::Succeeded | RefundStatus::Failed | RefundStatus::Canceled, _) => {}
        }
    }

    fn unclaimed(&self, id: &str, what: &str) -> ApiResult<()> {
        let refund = need(&self.refunds, id, "refund")?;
        match refund.status {
            RefundStatus::RequiresAction => Ok(()),
            RefundStatus::Pending
            | RefundStatus::Succeeded
            | RefundStatus::Failed
            | RefundStatus::Canceled => Err(ApiError::rule(format!(
                "Only refunds with the status requires_action can be {what}; this one is {}. No money moved.",
                refund.status.as_str()
            ))),
        }
    }

    /// Takes a refund back that its buyer has not claimed.
    pub(crate) fn cancel_refund(&mut self, id: &str) -> ApiResult<()> {
        self.unclaimed(id, "canceled")?;
        self.undo_refund(id, None);
        Ok(())
    }

    /// The time to claim a refund is up, as a test helper says.
    pub(crate) fn expire_refund(&mut self, id: &str) -> ApiResult<()> {
        self.unclaimed(id, "expired")?;
        self.settle_refund(id);
        Ok(())
    }

    /// The buyer says where a refund goes.
    pub(crate) fn claim_refund(&mut self, id: &str) -> ApiResult<()> {
        self.unclaimed(id, "claimed")?;
        self.change_refund(id, |refund| refund.status = RefundStatus::Succeeded);
        Ok(())
    }
}

/// What a refund of this amount, or of all that is left, comes to.
pub(crate) fn refundable_amount(charge: &Charge, amount: Option<i64>) -> ApiResult<i64> {
    let nothing = match charge.funds {
        Funds::Taken { .. } => None,
        Funds::Held { .. } => Some("is not captured: cancel its PaymentIntent to let the money go"),
        Funds::Pending => Some("is still with the bank"),
        Funds::LetGo => Some("was never captured"),
        Funds::Refused { .. } => Some("failed"),
    };
    if let Some(why) = nothing {
        return Err(ApiError::state(
            "charge_not_refundable",
            format!("Charge {} {why}, so there is nothing to refund. No money moved.", charge.id),
        ));
    }
    if charge.disputed {
        return Err(ApiError::state(
            "charge_disputed",
            format!("Charge {} has been charged back; cannot issue a refund. No money moved.", charge.id),
        ));
    }
    let left = charge.refundable();
    if left == 0 {
        return Err(ApiError::state(
            "charge_already_refunded",
            format!("Charge {} has already been refunded.", charge.id),
        ));
    }
    let amount = amount.unwrap_or(left);
    if amount <= 0 {
        return Err(ApiError::invalid("parameter_invalid_integer", "amount", "Invalid positive integer"));
    }
    if amount > left {
        let message = format!(
            "Refund amount ({amount} {0}) is greater than unrefunded amount on charge ({left} {0})",
            charge.currency
        );
        return Err(ApiError::rule(message).param("amount"));
    }
    Ok(amount)
}
