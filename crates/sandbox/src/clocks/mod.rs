//! More than one time: the account's own, and that of each test clock.
//!
//! `World::now` and `World::timers` belong to the time line at work; [`World::switch`] is the one place that exchanges
//! them. Whoever acts on an object does it on the line of its customer ([`World::on_line_of`]). Events, deliveries,
//! pages and idempotency keys always go by the account's own time ([`World::own_now`]).

mod joining;
mod moving;
pub(crate) mod steps;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::subscription::Subscription;
use crate::state::timers::{Timer, Timers};
use crate::state::world::World;

/// The account's own time, put aside while a test clock is at work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Away {
    clock: String,
    own_now: i64,
    own_timers: Timers,
}

/// Fields that name the object whose time line another object shares.
const OWNERS: [&str; 6] = ["customer", "subscription", "invoice", "payment_intent", "charge", "schedule"];
/// The longest chain of such fields: a refund names its charge, a charge its customer.
const CHAIN: usize = 4;

impl World {
    /// The account's own time, in unix seconds.
    pub(crate) fn own_now(&self) -> i64 {
        self.away.as_ref().map_or(self.now, |away| away.own_now)
    }

    /// Brings the account's own time to an instant, without playing what is due.
    pub(crate) fn come_to(&mut self, own_now: i64) {
        match &mut self.away {
            Some(away) => away.own_now = own_now,
            None => self.now = own_now,
        }
    }

    /// Sets a timer on the account's own time.
    pub(crate) fn set_own_timer(&mut self, at: i64, timer: Timer) {
        match &mut self.away {
            Some(away) => away.own_timers.set(at, timer),
            None => self.timers.set(at, timer),
        }
    }

    /// The time by which a customer lives, in unix seconds: the clock's, or the account's.
    pub(crate) fn now_of(&self, customer: Option<&str>) -> i64 {
        match customer.and_then(|customer| self.clock_of_customer(customer)) {
            Some(clock) if self.at_work() == Some(clock) => self.now,
            Some(clock) => self.test_clocks.get(clock).map_or_else(|| self.own_now(), |clock| clock.now),
            None => self.own_now(),
        }
    }

    /// The test clock of a customer.
    pub(crate) fn clock_of_customer(&self, customer: &str) -> Option<&str> {
        self.customers.get(customer).and_then(|customer| customer.test_clock.as_deref())
    }

    /// The test clock by which an object lives, found through its customer.
    pub(crate) fn clock_of(&self, id: &str) -> Option<String> {
        if self.test_clocks.len() == 0 {
            return None;
        }
        let mut id = id.to_owned();
        for _ in 0..CHAIN {
            if self.customers.get(&id).is_some() {
                return self.clock_of_customer(&id).map(str::to_owned);
            }
            if id.starts_with("si_") {
                let has = |found: &&Subscription| found.items.iter().any(|item| item.id == id);
                id = self.subscriptions.iter().find(has)?.customer.clone();
                continue;
            }
            let object = self.object(&id)?;
            let owner = OWNERS.iter().find_map(|name| object.get(name).and_then(Value::as_str));
            id = owner?.to_owned();
        }
        None
    }

    /// The clock at work; `None` on the account's own time.
    pub(crate) fn at_work(&self) -> Option<&str> {
        self.away.as_ref().map(|away| away.clock.as_str())
    }

    /// Acts at the time of a test clock, or at the account's own, and plays what that made due at once.
    pub(crate) fn on_line<T>(&mut self, clock: Option<&str>, act: impl FnOnce(&mut Self) -> T) -> T {
        if self.at_work() == clock {
            return act(self);
        }
        let before = self.switch(clock);
        let result = act(self);
        if self.away.is_some() {
            // The account's time comes to what is due at this instant by itself; a clock stands still.
            let request = self.request.take();
            self.pass_time(self.now);
            self.request = request;
        }
        self.switch(before.as_deref());
        result
    }

    /// Acts at the time by which an object lives.
    pub(crate) fn on_line_of<T>(&mut self, id: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let clock = self.clock_of(id);
        self.on_line(clock.as_deref(), act)
    }

    /// Puts another time line to work and answers which one was. An unknown clock means the account's own time.
    fn switch(&mut self, to: Option<&str>) -> Option<String> {
        let from = self.away.take().map(|away| {
            let now = std::mem::replace(&mut self.now, away.own_now);
            let timers = std::mem::replace(&mut self.timers, away.own_timers);
            self.test_clocks.edit(&away.clock, |clock| {
                clock.now = now;
                clock.timers = timers;
            });
            away.clock
        });
        let mut there = None;
        if let Some(id) = to {
            self.test_clocks.edit(id, |clock| {
                there = Some((clock.id.clone(), clock.now, std::mem::take(&mut clock.timers)))
            });
        }
        self.away = there.map(|(clock, now, timers)| Away {
            clock,
            own_now: std::mem::replace(&mut self.now, now),
            own_timers: std::mem::replace(&mut self.timers, timers),
        });
        from
    }
}
