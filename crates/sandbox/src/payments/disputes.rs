//! Disputes: opened by certain test cards, answered with evidence that decides them.

use crate::model::money::{Dispute, DisputeStatus};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// What a dispute costs, in minor units.
const DISPUTE_FEE: i64 = 1500;

impl World {
    /// The cardholder disputes a charge. An inquiry takes no money yet.
    pub(crate) fn open_dispute(&mut self, charge_id: &str, reason: &str, inquiry: bool) {
        let Some(mut charge) = self.charges.get(charge_id).cloned() else {
            return;
        };
        let id = self.chance.id("dp_");
        let mut entries = Vec::new();
        if !inquiry {
            let description = Some(format!("Chargeback withdrawal for {charge_id}"));
            let entry =
                self.book("adjustment", &id, -charge.amount, DISPUTE_FEE, &charge.currency, description);
            entries.extend(self.bill_provider_fee(&entry.id));
        }
        let dispute = Dispute {
            id,
            created: self.now,
            status: if inquiry { DisputeStatus::WarningNeedsResponse } else { DisputeStatus::NeedsResponse },
            reason: reason.to_owned(),
            amount: charge.amount,
            currency: charge.currency.clone(),
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            customer: charge.customer.clone(),
            balance_transactions: entries,
            evidence_text: None,
            metadata: Metadata::new(),
        };
        charge.disputed = !inquiry;
        self.charges.put(charge);
        let object = dispute.render();
        self.disputes.put(dispute);
        self.emit("charge.dispute.created", object.clone());
        if !inquiry {
            self.emit("charge.dispute.funds_withdrawn", object);
        }
    }

    /// Ends a dispute.
    pub(crate) fn close_dispute(&mut self, id: &str, won: bool) -> ApiResult<()> {
        let mut dispute = need(&self.disputes, id, "dispute")?;
        match dispute.status {
            DisputeStatus::NeedsResponse => {
                dispute.status = if won { DisputeStatus::Won } else { DisputeStatus::Lost }
            }
            DisputeStatus::WarningNeedsResponse => dispute.status = DisputeStatus::WarningClosed,
            DisputeStatus::WarningClosed | DisputeStatus::Won | DisputeStatus::Lost => {
                return Err(ApiError::rule("This dispute is already closed."));
            }
        }
        let reinstated = dispute.status == DisputeStatus::Won;
        if reinstated {
            let description = Some(format!("Chargeback reversal for {}", dispute.charge));
            let entry = self.book(
                "adjustment",
                &dispute.id,
                dispute.amount,
                -DISPUTE_FEE,
                &dispute.currency,
                description,
            );
            dispute.balance_transactions.extend(self.bill_provider_fee(&entry.id));
            self.charges.edit(&dispute.charge, |charge| charge.disputed = false);
        }
        let object = dispute.render();
        self.disputes.put(dispute);
        if reinstated {
            self.emit("charge.dispute.funds_reinstated", object.clone());
        }
        self.emit("charge.dispute.closed", object);
        Ok(())
    }
}
