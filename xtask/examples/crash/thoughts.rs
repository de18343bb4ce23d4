//! What buyers and their banks do to a running subscription, through the product and behind its back.

use serde_json::{Value, json};

use crate::book::Change;
use crate::buyers::{Shopper, expect};
use crate::calls::{Call, Outcome, Settled};
use crate::http::{Answer, flag, items, number, text};

/// How a change may be answered: made, its payment refused, or ruled out by how the subscription stands.
const CHANGED: [u16; 3] = [200, 402, 409];

impl Shopper {
    /// One thing that happens to a subscription.
    pub(crate) fn second_thought(&mut self, customer: &str, subscription: &str) -> Outcome<()> {
        match self.chance.u32(0..100) {
            0..=27 => self.change(customer, subscription),
            28..=39 => self.change_across_tabs(customer, subscription),
            40..=49 => self.cancel(subscription),
            50..=57 => self.resume(subscription),
            58..=65 => self.refund(subscription),
            66..=79 => self.renew(customer, subscription),
            80..=86 => self.portal(customer),
            _ => self.repeat_an_old_one(),
        }
    }

    fn wanted(&mut self) -> Value {
        match self.chance.u32(0..3) {
            0 => json!({ "plan": "pro", "quantity": 1 }),
            1 => json!({ "plan": "studio", "quantity": 1 }),
            _ => json!({ "plan": "studio", "quantity": self.chance.u32(2..6) }),
        }
    }

    fn change(&mut self, customer: &str, subscription: &str) -> Outcome<()> {
        let wanted = self.wanted();
        let change = self.call("POST", format!("/v1/subscriptions/{subscription}/change"), wanted);
        let began = self.caller.provider_time()?;
        let answer = self.settle(&change, &CHANGED)?;
        self.note_change(customer, subscription, (&change, &answer), began)
    }

    /// A change that would be made with the period's end is refused where the subscription ends before, and only there.
    fn expect_refusal(&self, subscription: &str, call: &Call, answer: &Answer) -> Outcome<()> {
        if answer.status != 409 {
            return Ok(());
        }
        let seen = self.caller.provider.get(&format!("/v1/subscriptions/{subscription}"));
        let seen = seen.map(|answer| answer.json()).unwrap_or_default();
        if text(&answer.json(), "code") == "wrong_state" && flag(&seen, "cancel_at_period_end") {
            return Ok(());
        }
        expect(call, answer, &[200, 402])
    }

    /// Keeps what a change was answered with: its bill must lie between its first sending and its answer.
    fn note_change(
        &self,
        customer: &str,
        subscription: &str,
        (call, answer): (&Call, &Answer),
        began: i64,
    ) -> Outcome<()> {
        self.expect_refusal(subscription, call, answer)?;
        let change = Change {
            subscription: subscription.to_owned(),
            plan: text(&call.body, "plan").to_owned(),
            quantity: number(&call.body, "quantity"),
            began,
            ended: self.caller.provider_time()?,
            made: answer.status == 200,
        };
        self.caller.book.note(customer, |buyer| buyer.changes.push(change));
        Ok(())
    }

    /// One tab asks and gets no answer, the other tab asks for something else, then the first asks again: still each
    /// has changed the subscription once at most.
    fn change_across_tabs(&mut self, customer: &str, subscription: &str) -> Outcome<()> {
        let path = format!("/v1/subscriptions/{subscription}/change");
        let first = self.call("POST", path.clone(), json!({ "plan": "studio", "quantity": 1 }));
        let second = self.call("POST", path, json!({ "plan": "pro", "quantity": 1 }));
        let began = self.caller.provider_time()?;
        let outages = self.caller.book.outages();
        let early = self.caller.once(&first);
        let kept = self.caller.book.had_database_since(outages);
        let between = self.caller.provider_time()?;
        let answer = self.settle(&second, &CHANGED)?;
        self.note_change(customer, subscription, (&second, &answer), between)?;
        let answer = match early {
            Some(answer) => {
                expect(&first, &answer, &CHANGED)?;
                self.caller.again(&first, &Settled { answer, kept })?.answer
            }
            None => self.settle(&first, &CHANGED)?,
        };
        self.note_change(customer, subscription, (&first, &answer), began)
    }

    fn cancel(&mut self, subscription: &str) -> Outcome<()> {
        let cancel = self.call("POST", format!("/v1/subscriptions/{subscription}/cancel"), json!({}));
        self.settle(&cancel, &[200])?;
        Ok(())
    }

    fn resume(&mut self, subscription: &str) -> Outcome<()> {
        let resume = self.call("POST", format!("/v1/subscriptions/{subscription}/resume"), json!({}));
        self.settle(&resume, &[200])?;
        Ok(())
    }

    fn portal(&mut self, customer: &str) -> Outcome<()> {
        let body = json!({ "return_url": "http://127.0.0.1/account" });
        let portal = self.call("POST", format!("/v1/customers/{customer}/portal"), body);
        self.settle(&portal, &[200])?;
        Ok(())
    }

    fn provider_customer(&self, subscription: &str) -> String {
        let answer = self.caller.provider.get(&format!("/v1/subscriptions/{subscription}"));
        answer.map(|answer| text(&answer.json(), "customer").to_owned()).unwrap_or_default()
    }

    /// The seller gives money back in the provider's dashboard, all of it or a part.
    fn refund(&mut self, subscription: &str) -> Outcome<()> {
        let path = format!("/v1/charges?customer={}&limit=1", self.provider_customer(subscription));
        let charges = self.caller.provider.get(&path).map(|answer| answer.json()).unwrap_or_default();
        let Some(charge) = items(&charges, "data").first().map(|charge| text(charge, "id").to_owned()) else {
            return Ok(());
        };
        let part = if self.happens(50) { "&amount=100" } else { "" };
        let key = self.key();
        // One that is refunded or disputed already is refused, which is as good.
        self.caller.at_provider("/v1/refunds", &format!("charge={charge}{part}"), &key)?;
        Ok(())
    }

    /// A new period begins at the provider, and its payment succeeds, or fails and is mended later.
    fn renew(&mut self, customer: &str, subscription: &str) -> Outcome<()> {
        let path = format!("/v1/subscriptions/{subscription}");
        let provider_customer = self.provider_customer(subscription);
        let fails = self.happens(35);
        if fails {
            self.use_card(&provider_customer, subscription, "pm_card_chargeCustomerFail")?;
        }
        self.caller.book.note(customer, |buyer| {
            *buyer.renewals.entry(subscription.to_owned()).or_default() += 1;
        });
        let key = self.key();
        self.caller.at_provider(&path, "billing_cycle_anchor=now&proration_behavior=none", &key)?;
        if fails && self.happens(60) {
            self.use_card(&provider_customer, subscription, "pm_card_visa")?;
            let seen = self.caller.provider.get(&path).map(|answer| answer.json()).unwrap_or_default();
            let (invoice, key) = (text(&seen, "latest_invoice").to_owned(), self.key());
            self.caller.at_provider(&format!("/v1/invoices/{invoice}/pay"), "", &key)?;
        }
        Ok(())
    }

    fn use_card(&mut self, provider_customer: &str, subscription: &str, card: &str) -> Outcome<()> {
        let key = self.key();
        let path = format!("/v1/payment_methods/{card}/attach");
        let attached = self.caller.at_provider(&path, &format!("customer={provider_customer}"), &key)?;
        let form = format!("default_payment_method={}", text(&attached.json(), "id"));
        let key = self.key();
        self.caller.at_provider(&format!("/v1/subscriptions/{subscription}"), &form, &key)?;
        Ok(())
    }
}
