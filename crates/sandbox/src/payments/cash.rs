//! Bank transfers: money reaches a customer's cash balance, and pays the oldest payment that waits for it, in parts if
//! need be.

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
        for mut intent in waiting {
            let (amount, cash) = (intent.amount, self.cash_of(customer, currency));
            let Some(Voucher::Transfer { funded, .. }) = &mut intent.voucher else {
                continue;
            };
            let part = (amount - *funded).min(cash);
            if part <= 0 {
                break;
            }
            *funded += part;
            let whole = *funded == amount;
            let reason = CashReason::AppliedToPayment { payment_intent: intent.id.clone() };
            self.move_cash(customer, currency, -part, reason);
            if whole {
                self.settle_delayed(intent, None)?;
            } else {
                let object = intent.render();
                self.payment_intents.put(intent);
                self.emit("payment_intent.partially_funded", object);
            }
        }
        if self.cash_of(customer, currency) > 0 {
            self.emit("cash_balance.funds_available", self.cash_balance(customer));
        }
        Ok(())
    }

    /// An intent no longer waits for a store or a transfer; what has come for it goes back to the cash balance.
    pub(crate) fn drop_voucher(&mut self, intent: &mut PaymentIntent) {
        intent.answer_due = None;
        if let (Some(Voucher::Transfer { funded: funded @ 1.., .. }), Some(customer)) =
            (intent.voucher.take(), &intent.customer)
        {
            let reason = CashReason::UnappliedFromPayment { payment_intent: intent.id.clone() };
            self.move_cash(customer, &intent.currency, funded, reason);
        }
    }
}
