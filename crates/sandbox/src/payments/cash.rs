//! Bank transfers: money reaches a customer's cash balance, and pays the oldest payment that waits for it.
//!
//! A payment is paid when the balance covers the whole of it; payment in parts is not played.

use serde_json::{Value, json};

use crate::model::cash::{CashEntry, CashReason};
use crate::model::payment::{PaymentIntent, Voucher};
use crate::state::world::World;
use crate::wire::error::ApiResult;

impl World {
    /// What a customer has sent and not used, in minor units of a currency.
    pub(crate) fn cash_of(&self, customer: &str, currency: &str) -> i64 {
        let entries = self.cash_entries.of(customer).filter(|entry| entry.currency == currency);
        entries.map(|entry| entry.net_amount).sum()
    }

    /// The `cash_balance` of a customer.
    pub(crate) fn cash_balance(&self, customer: &str) -> Value {
        let mut available = serde_json::Map::new();
        for entry in self.cash_entries.of(customer) {
            available.insert(entry.currency.clone(), json!(self.cash_of(customer, &entry.currency)));
        }
        json!({
            "object": "cash_balance", "available": if available.is_empty() { Value::Null } else { Value::Object(available) },
            "customer": customer, "customer_account": null, "livemode": false,
            "settings": { "reconciliation_mode": "automatic", "using_merchant_default": true },
        })
    }

    /// Changes a cash balance by minor units. Answers the entry's id.
    pub(crate) fn move_cash(
        &mut self,
        customer: &str,
        currency: &str,
        amount: i64,
        reason: CashReason,
    ) -> String {
        let entry = CashEntry {
            id: self.chance.id("ccsbtxn_"),
            created: self.now,
            customer: customer.to_owned(),
            currency: currency.to_owned(),
            net_amount: amount,
            ending_balance: self.cash_of(customer, currency).saturating_add(amount),
            reason,
        };
        let (id, object) = (entry.id.clone(), entry.render());
        self.cash_entries.put(entry);
        self.emit("customer_cash_balance_transaction.created", object);
        id
    }

    /// Pays what the cash balance covers, oldest first; what is left is told.
    pub(crate) fn reconcile_cash(&mut self, customer: &str, currency: &str) -> ApiResult<()> {
        let transfers = |intent: &&PaymentIntent| {
            intent.currency == currency && matches!(intent.voucher, Some(Voucher::Transfer { .. }))
        };
        let waiting: Vec<PaymentIntent> =
            self.payment_intents.of(customer).filter(transfers).cloned().collect();
        for intent in waiting {
            if self.cash_of(customer, currency) < intent.amount {
                break;
            }
            let reason = CashReason::AppliedToPayment { payment_intent: intent.id.clone() };
            self.move_cash(customer, currency, -intent.amount, reason);
            self.settle_delayed(intent, None)?;
        }
        if self.cash_of(customer, currency) > 0 {
            self.emit("cash_balance.funds_available", self.cash_balance(customer));
        }
        Ok(())
    }
}
