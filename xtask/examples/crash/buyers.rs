//! The load: buyers who live one life after another, each with double clicks, two tabs, cards that fail and second
//! thoughts, and who send everything again whose answer they did not get.

use std::sync::Arc;
use std::thread;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::book::Violation;
use crate::calls::{Call, Caller, Outcome, Settled};
use crate::gate::Gate;
use crate::http::{Answer, items, text};

/// Calls whose answers are remembered, to be sent again much later.
const REMEMBERED: usize = 24;

/// A session that can be paid.
struct Session {
    id: String,
    once: bool,
}

/// One thread of the load.
pub struct Shopper {
    pub(crate) caller: Caller,
    pub(crate) chance: Rng,
    gate: Arc<Gate>,
    name: String,
    serial: u32,
    remembered: Vec<(Call, Settled)>,
}

/// Starts the load; a finding goes into the book and ends its thread.
pub fn start(threads: usize, seed: u64, caller: &Caller, gate: &Arc<Gate>) {
    let mut chance = Rng::with_seed(seed);
    for number in 0..threads {
        let mut shopper = Shopper {
            caller: caller.clone(),
            chance: chance.fork(),
            gate: gate.clone(),
            name: format!("s{seed}_{number}"),
            serial: 0,
            remembered: Vec::new(),
        };
        thread::spawn(move || {
            let mut life = 0;
            while shopper.gate.pass() {
                life += 1;
                if let Err(violation) = shopper.live(life) {
                    shopper.caller.book.break_off(violation);
                    break;
                }
            }
            shopper.gate.leave();
        });
    }
}

impl Shopper {
    /// True with this chance in a hundred.
    pub(crate) fn happens(&mut self, percent: u32) -> bool {
        self.chance.u32(0..100) < percent
    }

    /// A call under a fresh key.
    pub(crate) fn call(&mut self, method: &'static str, path: String, body: Value) -> Call {
        self.serial += 1;
        Call { method, path, key: format!("{}-{}", self.name, self.serial), body }
    }

    /// A key for a change at the provider.
    pub(crate) fn key(&mut self) -> String {
        self.serial += 1;
        format!("{}-{}-provider", self.name, self.serial)
    }

    fn remember(&mut self, call: &Call, known: Settled) {
        if self.remembered.len() >= REMEMBERED {
            self.remembered.remove(0);
        }
        self.remembered.push((call.clone(), known));
    }

    /// Settles a call whose answer must have one of these statuses.
    pub(crate) fn settle(&mut self, call: &Call, allowed: &[u16]) -> Outcome<Answer> {
        let settled = self.caller.settle(call)?;
        expect(call, &settled.answer, allowed)?;
        self.remember(call, settled.clone());
        Ok(settled.answer)
    }

    /// The same request a long time later: a browser's back button, a queue that delivers twice.
    pub(crate) fn repeat_an_old_one(&mut self) -> Outcome<()> {
        let Some(at) = self.remembered.len().checked_sub(1) else { return Ok(()) };
        let at = self.chance.usize(0..=at);
        let caller = self.caller.clone();
        if let Some((call, known)) = self.remembered.get_mut(at) {
            *known = caller.again(call, known)?;
        }
        Ok(())
    }

    fn live(&mut self, life: u32) -> Outcome<()> {
        let customer = format!("{}_{life}", self.name);
        self.caller.book.note(&customer, |_| ());
        let told = json!({ "email": format!("{customer}@example.com"), "name": "A Buyer" });
        let put = self.call("PUT", format!("/v1/customers/{customer}"), told);
        self.settle(&put, &[200])?;
        loop {
            let sessions = self.shop(&customer)?;
            let bought = self.pay(&customer, &sessions)?;
            if !self.gate.pass() {
                return Ok(());
            }
            let Some(session) = bought else { return Ok(()) };
            if self.happens(70) {
                // Only a hint; the webhook and the sweep say the same.
                let _ = self.caller.api.get(&format!("/checkout/return?session_id={}", session.id));
            }
            if session.once {
                return self.has_bought(&customer);
            }
            let subscription = self.has_subscribed(&customer)?;
            for _ in 0..self.chance.u32(0..5) {
                if !self.gate.pass() {
                    return Ok(());
                }
                self.caller.book.note(&customer, |_| ());
                self.second_thought(&customer, &subscription)?;
            }
            if !self.happens(35) {
                return Ok(());
            }
            self.leave(&customer, &subscription)?;
            if self.happens(50) {
                return Ok(());
            }
        }
    }

    /// Opens a checkout in one of the ways that people do; the sessions that were handed out.
    fn shop(&mut self, customer: &str) -> Outcome<Vec<Session>> {
        let wish = |plan: &str, interval: &str| json!({ "customer": customer, "plan": plan, "interval": interval, "currency": "jpy" });
        let path = "/v1/checkouts".to_owned();
        let first = match self.chance.u32(0..10) {
            0 => wish("course", "once"),
            1..=6 => wish("pro", "month"),
            _ => wish("studio", "month"),
        };
        let once = text(&first, "plan") == "course";
        let one = self.call("POST", path.clone(), first.clone());
        let other = match self.chance.u32(0..100) {
            // One click.
            0..=39 => None,
            // A double click: the same key.
            40..=64 => Some(one.clone()),
            // Two tabs, one wish.
            65..=84 => Some(self.call("POST", path, first)),
            // Two tabs, two wishes.
            _ if once => None,
            _ => Some(self.call("POST", path, wish("pro", "year"))),
        };
        let Some(other) = other else {
            let answer = self.settle(&one, &[200])?;
            return Ok(vec![session(&answer, once)]);
        };
        let caller = self.caller.clone();
        let (left, right) = thread::scope(|scope| {
            let left = scope.spawn(|| caller.settle(&one));
            (left.join(), caller.settle(&other))
        });
        let left =
            left.unwrap_or_else(|_| Err(Violation::new("the harness", customer, "no panic", "a panic")))?;
        let right = right?;
        expect(&one, &left.answer, &[200])?;
        expect(&other, &right.answer, &[200])?;
        self.remember(&one, left.clone());
        let (left, right) = (left.answer, right.answer);
        let (a, b) = (left.json(), right.json());
        let same_wish = one.body == other.body;
        if same_wish && text(&a, "id") != text(&b, "id") {
            return Err(Violation::new(
                "I7",
                customer,
                format!("one checkout: {a}"),
                format!("another one: {b}"),
            ));
        }
        let mut sessions = vec![session(&left, once)];
        if !same_wish {
            sessions.push(session(&right, once));
        }
        Ok(sessions)
    }

    /// Pays whatever can be paid, in any order; the session that took the money.
    fn pay(&mut self, customer: &str, sessions: &[Session]) -> Outcome<Option<Session>> {
        if self.happens(6) {
            return Ok(None);
        }
        let mut order: Vec<&Session> = sessions.iter().collect();
        self.chance.shuffle(&mut order);
        let mut paid = Vec::new();
        for session in order {
            let card = match self.chance.u32(0..100) {
                0..=69 => "pm_card_visa",
                70..=79 => "pm_card_chargeDeclined",
                80..=87 => "pm_card_threeDSecure2Required",
                88..=93 => "pm_card_createDispute",
                _ => "pm_card_chargeCustomerFail",
            };
            let mut done = self.pay_with(session, card)?;
            if !done && card != "pm_card_visa" {
                done = self.pay_with(session, "pm_card_visa")?;
            }
            if done {
                self.caller.book.note(customer, |buyer| {
                    if session.once {
                        buyer.bought += 1;
                    } else {
                        buyer.subscribed += 1;
                    }
                });
                paid.push(Session { id: session.id.clone(), once: session.once });
            }
        }
        match paid.len() {
            0 | 1 => Ok(paid.pop()),
            many => Err(Violation::new("I7", customer, "one session that can be paid", many)),
        }
    }

    fn pay_with(&mut self, session: &Session, card: &str) -> Outcome<bool> {
        let path = format!("/_sandbox/checkout_sessions/{}/complete", session.id);
        let answer = self.caller.on_page(&path, &json!({ "payment_method": card }))?;
        let answered = answer.json();
        if text(&answered, "status") != "requires_action" {
            return Ok(answer.status == 200 && text(&answered, "status") == "complete");
        }
        let path = format!("/_sandbox/payment_intents/{}/authenticate", text(&answered, "payment_intent"));
        let outcome = if self.happens(80) { "success" } else { "failure" };
        let answer = self.caller.on_page(&path, &json!({ "outcome": outcome }))?;
        Ok(answer.json().get("succeeded").and_then(Value::as_bool) == Some(true))
    }

    /// The subscription that was just paid, once the product knows it.
    fn has_subscribed(&mut self, customer: &str) -> Outcome<String> {
        self.caller.until(&format!("/v1/customers/{customer}"), "the paid subscription", |seen| {
            let live = items(seen, "subscriptions").iter().find(|s| text(s, "status") == "active");
            live.map(|subscription| text(subscription, "id").to_owned())
        })
    }

    fn has_bought(&mut self, customer: &str) -> Outcome<()> {
        self.caller.until(&format!("/v1/customers/{customer}"), "the paid purchase", |seen| {
            (!items(seen, "purchases").is_empty()).then_some(())
        })
    }

    /// Ends the subscription at once, and waits until the product says so.
    fn leave(&mut self, customer: &str, subscription: &str) -> Outcome<()> {
        let path = format!("/v1/subscriptions/{subscription}/cancel");
        let cancel = self.call("POST", path, json!({ "at": "now" }));
        self.settle(&cancel, &[200])?;
        self.caller.book.note(customer, |_| ());
        self.caller.until(
            &format!("/v1/subscriptions/{subscription}"),
            "a subscription that has ended",
            |seen| (text(seen, "status") == "canceled").then_some(()),
        )
    }
}

/// An answer with another status than these is a finding.
pub(crate) fn expect(call: &Call, answer: &Answer, allowed: &[u16]) -> Outcome<()> {
    if allowed.contains(&answer.status) {
        return Ok(());
    }
    Err(Violation::new(
        "I8",
        format!("{} {} {} under {}", call.method, call.path, call.body, call.key),
        format!("one of {allowed:?}"),
        format!("{} {}", answer.status, answer.text),
    ))
}

fn session(answer: &Answer, once: bool) -> Session {
    Session { id: text(&answer.json(), "session").to_owned(), once }
}
