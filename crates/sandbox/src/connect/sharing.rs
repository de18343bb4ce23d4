//! A payment and its refunds as they concern others: the fee that the platform takes, the transfer that passes it on,
//! and what of both comes back.

use serde_json::Value;

use super::fees::NewFee;
use super::transfers::NewTransfer;
use crate::model::account::Payer;
use crate::model::charge::{Charge, Funds};
use crate::model::payment::PaymentIntent;
use crate::payments::balance::round_fraction;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// What a refund is asked to take along.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GiveBack {
    pub(crate) transfer: bool,
    pub(crate) fee: bool,
}

/// What a refund takes along, in minor units.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Returned {
    transfer: i64,
    fee: i64,
}

/// The share of a whole that belongs to a part given back, when some of it was given back before: over all parts the
/// shares add up to the whole.
pub(crate) fn share_of(whole: i64, before: i64, part: i64, of: i64) -> i64 {
    round_fraction(whole, before.saturating_add(part), of) - round_fraction(whole, before, of)
}

impl World {
    /// Refuses a payment that cannot be shared as it says, before any money moves.
    pub(crate) fn check_can_be_shared(&self, intent: &PaymentIntent) -> ApiResult<()> {
        self.check_may_charge()?;
        match &intent.share.destination {
            Some(to) => self.check_destination(to, "transfer_data[destination]"),
            None => Ok(()),
        }
    }

    /// Refuses an intent that cannot be shared as it says.
    pub(crate) fn check_intent(&self, id: &str) -> ApiResult<()> {
        self.payment_intents.get(id).map_or(Ok(()), |intent| self.check_can_be_shared(intent))
    }

    /// The money of a charge is taken, in minor units: books it with the platform's fee on it. Where the platform pays
    /// the provider, that fee is booked there.
    pub(crate) fn take(&mut self, charge: &mut Charge, amount: i64) {
        let entry = self.book_charge(&charge.id, amount, &charge.currency, charge.description.clone());
        self.bill_provider_fee(&entry);
        if self.connected().is_some() {
            let taken = charge.share.fee_on(amount);
            self.balance_transactions.edit(&entry, |entry| {
                entry.application_fee = taken;
                entry.fee += taken;
            });
        }
        charge.funds = Funds::Taken { amount, entry };
        self.hasten(charge);
    }

    /// Moves the provider's fee on an entry of a connected account to the platform, where that pays it.
    pub(crate) fn bill_provider_fee(&mut self, entry: &str) {
        let account = self.connected().and_then(|id| self.connect.accounts.get(id));
        let platform_pays = account.is_some_and(|account| match account.controller.payer {
            Payer::Application => true,
            Payer::Account | Payer::ApplicationCustom | Payer::ApplicationExpress => false,
        });
        let billed =
            self.balance_transactions.get(entry).filter(|entry| platform_pays && entry.fee != 0).cloned();
        if let Some(billed) = billed {
            self.balance_transactions.edit(entry, |entry| entry.fee = 0);
            let description = Some("Stripe processing fees".to_owned());
            self.at_platform(|platform| {
                platform.book("stripe_fee", &billed.source, -billed.fee, 0, &billed.currency, description)
            });
        }
    }

    /// Keeps a charge as it stands now. The platform's fee is taken and the money passed on, as the charge says, once
    /// it has been taken itself. Answers the charge as it is then shown.
    pub(crate) fn keep_charge(&mut self, charge: Charge) -> Value {
        let id = charge.id.clone();
        self.charges.put(charge);
        self.share_out(&id);
        self.charges.get(&id).map(Charge::render).unwrap_or_default()
    }

    fn share_out(&mut self, charge_id: &str) {
        let Some(charge) = self.charges.get(charge_id).filter(|charge| charge.taken() > 0).cloned() else {
            return;
        };
        let taken = charge.share.fee_on(charge.taken());
        let fee = NewFee {
            account: String::new(),
            charge: charge.id.clone(),
            originating_transaction: None,
            amount: taken,
            currency: charge.currency.clone(),
        };
        if let Some(account) = self.connected().map(str::to_owned) {
            if taken > 0 {
                let id = self.at_platform(|platform| platform.add_fee(NewFee { account, ..fee }));
                self.charges.edit(charge_id, |charge| charge.application_fee = id);
            }
            return;
        }
        let Some(destination) = charge.share.destination.clone() else {
            return;
        };
        let amount = charge.share.passed_on.map_or(charge.taken(), |part| part.of(charge.taken()));
        if amount == 0 {
            return;
        }
        let group =
            charge.share.transfer_group.clone().unwrap_or_else(|| format!("group_{}", charge.payment_intent));
        let transfer = self.add_transfer(NewTransfer {
            amount,
            currency: charge.currency.clone(),
            destination: destination.clone(),
            description: None,
            metadata: Metadata::new(),
            source: Some(charge.id.clone()),
            transfer_group: Some(group.clone()),
            fee: taken,
        });
        let fee = (taken > 0).then(|| {
            self.add_fee(NewFee {
                account: destination,
                charge: transfer.destination_payment.clone(),
                originating_transaction: Some(charge.id.clone()),
                ..fee
            })
        });
        self.charges.edit(charge_id, |charge| {
            charge.transfer = Some(transfer.id);
            charge.application_fee = fee;
            charge.share.transfer_group = Some(group);
        });
    }

    /// What a refund of this amount takes along; refused where the charge has no such thing.
    pub(crate) fn returned_with(&self, charge: &Charge, amount: i64, back: GiveBack) -> ApiResult<Returned> {
        let refuse = |message: &str, param: &str| {
            Err(ApiError::rule(format!("{message} No money moved.")).param(param))
        };
        if charge.source_transfer.is_some() {
            return refuse("This payment came by a transfer: reverse the transfer instead.", "charge");
        }
        if back.transfer && charge.transfer.is_none() {
            return refuse("This charge has no transfer to reverse.", "reverse_transfer");
        }
        if back.fee && charge.application_fee.is_none() {
            return refuse("This charge has no application fee to refund.", "refund_application_fee");
        }
        if back.fee && charge.transfer.is_some() && !back.transfer {
            return refuse(
                "The application fee of a destination charge can only be refunded together with its transfer: set `reverse_transfer`.",
                "refund_application_fee",
            );
        }
        let part = |whole: i64, gone: i64| {
            share_of(whole, charge.amount_refunded, amount, charge.taken()).min(whole - gone)
        };
        let transfer = charge.transfer.as_ref().and_then(|id| self.connect.transfers.get(id));
        let fee = charge.application_fee.as_ref().and_then(|id| self.connect.fees.get(id));
        Ok(Returned {
            transfer: transfer
                .filter(|_| back.transfer)
                .map_or(0, |transfer| part(transfer.amount, transfer.reversed())),
            fee: fee.filter(|_| back.fee).map_or(0, |fee| part(fee.amount, fee.refunded())),
        })
    }

    /// Gives back what goes along with a refund; the id of the transfer's reversal, where there is one.
    pub(crate) fn give_back(
        &mut self,
        charge: &Charge,
        refund: &str,
        entry: &str,
        returned: Returned,
    ) -> Option<String> {
        let Returned { transfer, fee } = returned;
        let reversal = match charge.transfer.as_ref().filter(|_| transfer > 0) {
            Some(id) => self.reverse_transfer(id, transfer, fee, Some(refund), Metadata::new()),
            None => None,
        };
        if let Some(id) = charge.application_fee.as_ref().filter(|_| fee > 0) {
            let direct = self.connected().is_some();
            if direct {
                self.balance_transactions.edit(entry, |entry| {
                    entry.fee -= fee;
                    entry.application_fee -= fee;
                });
            }
            // The account's side is on its refund already, unless nothing of the transfer was left to reverse.
            let told = direct || reversal.is_some();
            self.at_platform(|platform| platform.refund_fee(id, fee, Metadata::new(), told));
        }
        reversal
    }
}

#[cfg(test)]
mod tests {
    use super::share_of;

    #[test]
    fn shares_of_parts_add_up_to_the_whole() {
        let (whole, of) = (101, 1000);
        let parts = [1, 333, 333, 332, 1];
        let mut before = 0;
        let mut sum = 0;
        for part in parts {
            sum += share_of(whole, before, part, of);
            before += part;
        }
        assert_eq!((before, sum), (of, whole));
    }
}
