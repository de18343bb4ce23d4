//! Money that the platform passes on to an account, and takes back: an entry in the books of both.

use serde_json::json;

use crate::model::card::{CardFace, TestCard};
use crate::model::charge::{Charge, Funds};
use crate::model::instrument::Instrument;
use crate::model::money::{Refund, RefundStatus};
use crate::model::payment::Statement;
use crate::model::share::Share;
use crate::model::transfer::{Reversal, Transfer};
use crate::state::world::World;
use crate::wire::params::Metadata;

/// A transfer that is about to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewTransfer {
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) destination: String,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    /// The charge that the money comes from.
    pub(crate) source: Option<String>,
    pub(crate) transfer_group: Option<String>,
    /// What the platform takes of it on the other side, in minor units.
    pub(crate) fee: i64,
}

/// What arrives in the account's books.
struct Arrival<'a> {
    payment: &'a str,
    transfer: &'a str,
    amount: i64,
    fee: i64,
    currency: &'a str,
    available_on: i64,
}

impl World {
    /// What is there in a currency in the open books: available now, and still on its way; in minor units.
    pub(crate) fn balance_in(&self, currency: &str) -> (i64, i64) {
        let entries = self.balance_transactions.iter().filter(|entry| entry.currency == currency);
        entries.fold((0, 0), |(available, pending), entry| {
            if entry.available_on <= self.now {
                (available + entry.net(), pending)
            } else {
                (available, pending + entry.net())
            }
        })
    }

    /// When the money of a charge becomes available, in unix seconds.
    fn available_with(&self, charge: Option<&str>) -> i64 {
        let charge = charge.and_then(|id| self.charges.get(id));
        charge
            .and_then(Charge::entry)
            .and_then(|entry| self.balance_transactions.get(entry))
            .map_or(self.now, |entry| entry.available_on)
    }

    /// Makes a transfer, from the platform's books.
    pub(crate) fn add_transfer(&mut self, new: NewTransfer) -> Transfer {
        let (id, payment) = (self.chance.id("tr_"), self.chance.id("py_"));
        let available_on = self.available_with(new.source.as_deref());
        let description = Some(format!("Transfer to {}", new.destination));
        let entry = self.book("transfer", &id, -new.amount, 0, &new.currency, description);
        self.balance_transactions.edit(&entry.id, |entry| entry.available_on = available_on);
        // The account lives by its own time, whatever test clock the platform's payment lives by.
        let available_on = self.own_now().saturating_add(available_on - self.now);
        let arrival = Arrival {
            payment: &payment,
            transfer: &id,
            amount: new.amount,
            fee: new.fee,
            currency: &new.currency,
            available_on,
        };
        self.within(&new.destination, |books| books.receive_transfer(&arrival));
        let transfer = Transfer {
            id: id.clone(),
            created: self.now,
            amount: new.amount,
            currency: new.currency,
            description: new.description,
            destination: new.destination,
            destination_payment: payment.clone(),
            balance_transaction: entry.id,
            source_transaction: new.source,
            transfer_group: new.transfer_group,
            metadata: new.metadata,
            reversals: Vec::new(),
        };
        let object = transfer.render();
        self.connect.transfers.put(transfer.clone());
        self.emit("transfer.created", object);
        transfer
    }

    fn receive_transfer(&mut self, arrival: &Arrival<'_>) {
        let &Arrival { payment, transfer, amount, fee, currency, available_on } = arrival;
        let entry = self.book("payment", payment, amount, fee, currency, None);
        self.balance_transactions.edit(&entry.id, |entry| {
            entry.available_on = available_on;
            entry.application_fee = fee;
        });
        self.plan_payout(available_on, currency);
        self.charges.put(Charge {
            id: payment.to_owned(),
            created: self.now,
            funds: Funds::Taken { amount, entry: entry.id },
            amount,
            amount_refunded: 0,
            currency: currency.to_owned(),
            customer: None,
            payment_intent: String::new(),
            payment_method: String::new(),
            // Nothing shows it: the charge came by a transfer.
            instrument: Instrument::Card {
                token: TestCard::plain().token().to_owned(),
                face: CardFace { exp_month: 12, exp_year: 2034 },
            },
            authenticated: false,
            billing_details: json!({}),
            description: None,
            receipt_email: None,
            statement: Statement::default(),
            metadata: Metadata::new(),
            disputed: false,
            share: Share::default(),
            application_fee: None,
            transfer: None,
            source_transfer: Some(transfer.to_owned()),
        });
    }

    /// Takes a part of a transfer back, and with it a part of the fee; the reversal's id.
    pub(crate) fn reverse_transfer(
        &mut self,
        id: &str,
        amount: i64,
        fee: i64,
        source_refund: Option<&str>,
        metadata: Metadata,
    ) -> Option<String> {
        let mut transfer = self.connect.transfers.get(id).cloned()?;
        let (reversal_id, refund_id) = (self.chance.id("trr_"), self.chance.id("pyr_"));
        let description = Some("REFUND FOR TRANSFER".to_owned());
        let entry = self.book("transfer_refund", &reversal_id, amount, 0, &transfer.currency, description);
        self.balance_transactions.edit(&entry.id, |entry| entry.available_on = entry.created);
        let (own_now, now) = (self.own_now(), self.now);
        self.within(&transfer.destination, |books| {
            let payment = &transfer.destination_payment;
            let description = Some("REFUND FOR PAYMENT".to_owned());
            let entry =
                books.book("payment_refund", &refund_id, -amount, -fee, &transfer.currency, description);
            books.balance_transactions.edit(&entry.id, |entry| {
                entry.available_on = own_now;
                entry.application_fee = -fee;
            });
            books.charges.edit(payment, |charge| charge.amount_refunded += amount);
            books.refunds.put(Refund {
                id: refund_id.clone(),
                created: own_now,
                status: RefundStatus::Succeeded,
                amount,
                currency: transfer.currency.clone(),
                charge: payment.clone(),
                payment_intent: String::new(),
                payment_method: String::new(),
                customer: None,
                reason: None,
                metadata: Metadata::new(),
                balance_transaction: Some(entry.id),
                failure_balance_transaction: None,
                failure_reason: None,
                destination: "stripe_account".to_owned(),
                instructions: None,
                transfer_reversal: None,
                source_transfer_reversal: Some(reversal_id.clone()),
            });
        });
        transfer.reversals.push(Reversal {
            id: reversal_id.clone(),
            created: now,
            transfer: id.to_owned(),
            amount,
            currency: transfer.currency.clone(),
            balance_transaction: entry.id,
            destination_refund: refund_id,
            source_refund: source_refund.map(str::to_owned),
            metadata,
        });
        let object = transfer.render();
        self.connect.transfers.put(transfer);
        self.emit("transfer.reversed", object);
        Some(reversal_id)
    }
}
