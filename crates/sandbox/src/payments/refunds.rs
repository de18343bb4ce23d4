//! Refunds: full and partial, never more than is left, and those that fail or wait.

use crate::connect::sharing::GiveBack;
use crate::model::card::Aftermath;
use crate::model::money::{Refund, RefundStatus};
use crate::model::payment::Charge;
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// How long a pending or failing refund takes, in seconds.
const SETTLES_AFTER: i64 = 3600;

impl World {
    /// Refunds a charge; the whole rest when no amount is given. Answers the refund's id.
    pub(crate) fn refund_charge(
        &mut self,
        charge_id: &str,
        amount: Option<i64>,
        reason: Option<String>,
        metadata: Metadata,
        back: GiveBack,
    ) -> ApiResult<String> {
        let charge = need(&self.charges, charge_id, "charge")?;
        let amount = self.refundable_amount(&charge, amount)?;
        let returned = self.returned_with(&charge, amount, back)?;
        let id = self.chance.id("re_");
        let status = match charge.test_card().aftermath {
            Aftermath::RefundPends => RefundStatus::Pending,
            Aftermath::Nothing | Aftermath::Dispute { .. } | Aftermath::RefundFails => {
                RefundStatus::Succeeded
            }
        };
        if charge.test_card().aftermath != Aftermath::Nothing {
            self.timers.set(self.now + SETTLES_AFTER, Timer::RefundSettles(id.clone()));
        }
        let entry =
            self.book("refund", &id, -amount, 0, &charge.currency, Some("REFUND FOR CHARGE".to_owned()));
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
            reason,
            metadata,
            balance_transaction: Some(entry.id),
            failure_balance_transaction: None,
            failure_reason: None,
            transfer_reversal,
            source_transfer_reversal: None,
        };
        let object = refund.render();
        self.refunds.put(refund);
        let mut charge = charge;
        let before = charge.render();
        charge.amount_refunded += amount;
        let after = charge.render();
        self.charges.put(charge);
        self.emit("refund.created", object.clone());
        self.emit_change("charge.refunded", &before, after);
        self.emit("charge.refund.updated", object);
        Ok(id)
    }

    /// What a refund of this amount, or of all that is left, comes to.
    pub(crate) fn refundable_amount(&self, charge: &Charge, amount: Option<i64>) -> ApiResult<i64> {
        if !charge.paid {
            return Err(ApiError::state(
                "charge_not_refundable",
                format!("Charge {} failed, so there is nothing to refund. No money moved.", charge.id),
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

    /// A pending refund arrives; one that looked fine fails and the money is back.
    pub(crate) fn settle_refund(&mut self, id: &str) {
        let Some(mut refund) = self.refunds.get(id).cloned() else {
            return;
        };
        let before = refund.render();
        let aftermath = self
            .charges
            .get(&refund.charge)
            .map_or(Aftermath::Nothing, |charge| charge.test_card().aftermath);
        match (refund.status, aftermath) {
            (RefundStatus::Pending, _) => {
                refund.status = RefundStatus::Succeeded;
                let after = refund.render();
                self.refunds.put(refund);
                self.emit_change("refund.updated", &before, after.clone());
                self.emit_change("charge.refund.updated", &before, after);
            }
            (RefundStatus::Succeeded, Aftermath::RefundFails) => {
                let entry = self.book(
                    "refund_failure",
                    id,
                    refund.amount,
                    0,
                    &refund.currency,
                    Some("REFUND FAILURE".to_owned()),
                );
                refund.status = RefundStatus::Failed;
                refund.failure_reason = Some("expired_or_canceled_card".to_owned());
                refund.failure_balance_transaction = Some(entry.id);
                let (charge, amount, after) = (refund.charge.clone(), refund.amount, refund.render());
                self.refunds.put(refund);
                self.charges.edit(&charge, |charge| charge.amount_refunded -= amount);
                self.emit_change("refund.updated", &before, after.clone());
                self.emit("refund.failed", after.clone());
                self.emit_change("charge.refund.updated", &before, after);
            }
            (RefundStatus::Succeeded | RefundStatus::Failed, _) => {}
        }
    }
}
