//! What buyers and their banks do to a running subscription, through the product and behind its back.

use serde_json::{Value, json};

use crate::book::Violation;
use crate::buyers::{Shopper, expect};
use crate::calls::Outcome;
use crate::http::{items, text};

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
        self.caller.book.note(customer, |buyer| buyer.billed += 1);
        self.settle(&change, &[200, 402])?;
        Ok(())
    }

    /// One tab asks and gets no answer, the other tab asks for something else, then the first asks again: still each
    /// has changed the subscription once at most.
    fn change_across_tabs(&mut self, customer: &str, subscription: &str) -> Outcome<()> {
        let before = self.invoices(subscription)?;
        let path = format!("/v1/subscriptions/{subscription}/change");
        let first = self.call("POST", path.clone(), json!({ "plan": "studio", "quantity": 1 }));
        let second = self.call("POST", path, json!({ "plan": "pro", "quantity": 1 }));
        self.caller.book.note(customer, |buyer| buyer.billed += 2);
        let early = self.caller.once(&first);
        self.settle(&second, &[200, 402])?;
        match early {
            Some(answer) => {
                expect(&first, &answer, &[200, 402])?;
                self.caller.again(&first, &answer)?;
            }
            None => {
                self.settle(&first, &[200, 402])?;
            }
        }
        let billed = self.invoices(subscription)?.saturating_sub(before);
        if billed <= 2 {
            return Ok(());
        }
        let what = format!("{} under {} and {}", first.path, first.key, second.key);
        Err(Violation::new("I8", what, "at most two changes that were billed", billed))
    }

    fn invoices(&self, subscription: &str) -> Outcome<usize> {
        let found = self.caller.provider.list(&format!("/v1/invoices?subscription={subscription}"));
        found.map(|found| found.len()).map_err(|error| {
            Violation::new("the sandbox", subscription, "a list of invoices", format!("{error:#}"))
        })
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
        self.caller.book.note(customer, |buyer| buyer.billed += 1);
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
