//! An existing customer joins a new test clock, with everything of theirs and everything that will fall due for it.

use crate::model::schedule::Schedule;
use crate::model::test_clock::TestClock;
use crate::state::timers::Timer;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// Makes a clock for a customer who has lived by the account's own time so far. The clock goes on from there to
    /// the instant that it is to stand at. Answers its id.
    pub(crate) fn add_clock_for(
        &mut self,
        customer: &str,
        now: i64,
        name: Option<String>,
    ) -> ApiResult<String> {
        let customer = self.live_customer(customer, "customer")?;
        let own = self.own_now();
        if let Some(clock) = &customer.test_clock {
            let message = format!("The customer is attached to the test clock {clock} and cannot leave it.");
            return Err(ApiError::rule(message).param("customer"));
        }
        if now < own {
            let message = format!("The customer has lived up to {own}: frozen_time cannot lie before that.");
            return Err(ApiError::rule(message).param("frozen_time"));
        }
        self.check_few_subscriptions(&customer.id)?;
        let clock = self.new_clock(own, name);
        let id = clock.id.clone();
        // Told before what happens on the way, and as it will stand.
        self.emit("test_helpers.test_clock.created", TestClock { now, ..clock }.render());
        self.join_clock(&customer.id, &id);
        self.on_line(Some(&id), |world| world.pass_time(now));
        Ok(id)
    }

    /// Moves a customer's objects and timers from the account's own time to a clock.
    fn join_clock(&mut self, customer: &str, clock: &str) {
        let joins = || Some(clock.to_owned());
        self.customers.edit(customer, |customer| customer.test_clock = joins());
        let ids = |found: Vec<&str>| found.into_iter().map(str::to_owned).collect::<Vec<_>>();
        for id in ids(self.subscriptions.of(customer).map(|found| found.id.as_str()).collect()) {
            self.subscriptions.edit(&id, |subscription| subscription.test_clock = joins());
        }
        for id in ids(self.invoices.of(customer).map(|found| found.id.as_str()).collect()) {
            self.invoices.edit(&id, |invoice| invoice.test_clock = joins());
        }
        for id in ids(self.invoice_items.of(customer).map(|found| found.id.as_str()).collect()) {
            self.invoice_items.edit(&id, |item| item.test_clock = joins());
        }
        for id in ids(self.schedules.of(customer).map(|found| found.id.as_str()).collect()) {
            self.schedules.edit(&id, |schedule: &mut Schedule| schedule.test_clock = joins());
        }
        // A checkout waits for its buyer on the account's own time whoever that is.
        let (theirs, stay): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.timers).in_order().partition(|(_, timer)| {
                !matches!(timer, Timer::SessionExpires(_))
                    && self.clock_of(timer.subject()).as_deref() == Some(clock)
            });
        for (at, timer) in stay {
            self.timers.set(at, timer);
        }
        self.on_line(Some(clock), |world| {
            for (at, timer) in theirs {
                world.timers.set(at, timer);
            }
        });
    }
}
