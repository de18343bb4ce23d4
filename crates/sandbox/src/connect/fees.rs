//! What the platform takes of its accounts' payments, and gives back.

use crate::model::transfer::{ApplicationFee, FeeRefund};
use crate::state::world::World;
use crate::wire::params::Metadata;

/// A fee that is about to be taken.
#[derive(Debug, Clone)]
pub(crate) struct NewFee {
    pub(crate) account: String,
    /// The account's payment.
    pub(crate) charge: String,
    /// The platform's charge behind it.
    pub(crate) originating_transaction: Option<String>,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: String,
}

impl World {
    /// Takes a fee, in the platform's books; its id. The account's side is on its payment.
    pub(crate) fn add_fee(&mut self, new: NewFee) -> String {
        let id = self.chance.id("fee_");
        let description = Some(format!("Application fee from {}", new.account));
        let entry = self.book("application_fee", &id, new.amount, 0, &new.currency, description);
        let fee = ApplicationFee {
            id: id.clone(),
            created: self.now,
            account: new.account,
            application: self.application_id(),
            amount: new.amount,
            currency: new.currency,
            balance_transaction: entry.id,
            charge: new.charge,
            originating_transaction: new.originating_transaction,
            refunds: Vec::new(),
        };
        let object = fee.render();
        self.connect.fees.put(fee);
        self.emit("application_fee.created", object);
        id
    }

    /// Gives a part of a fee back, in the platform's books. Unless the account's side is booked with a refund already,
    /// it is booked there too.
    pub(crate) fn refund_fee(
        &mut self,
        id: &str,
        amount: i64,
        metadata: Metadata,
        booked: bool,
    ) -> Option<FeeRefund> {
        let mut fee = self.connect.fees.get(id).cloned()?;
        let refund_id = self.chance.id("fr_");
        let description = Some(format!("Application fee refund to {}", fee.account));
        let entry =
            self.book("application_fee_refund", &refund_id, -amount, 0, &fee.currency, description.clone());
        if !booked {
            let (account, currency) = (fee.account.clone(), fee.currency.clone());
            self.within(&account, |books| {
                books.book("adjustment", &refund_id, amount, 0, &currency, description)
            });
        }
        let refund = FeeRefund {
            id: refund_id,
            created: self.now,
            fee: id.to_owned(),
            amount,
            currency: fee.currency.clone(),
            balance_transaction: entry.id,
            metadata,
        };
        fee.refunds.push(refund.clone());
        let object = fee.render();
        self.connect.fees.put(fee);
        self.emit("application_fee.refunded", object);
        Some(refund)
    }
}
