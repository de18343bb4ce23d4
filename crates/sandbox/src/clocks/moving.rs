//! Test clocks from their making to their end, and how far each may move at once.

use serde_json::Value;

use crate::billing::calendar::boundary;
use crate::clock::LAST;
use crate::model::product::{Interval, Recurring};
use crate::model::schedule::ScheduleState;
use crate::model::test_clock::{ClockState, TestClock};
use crate::state::timers::{Timer, Timers};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

const DAY: i64 = 86_400;
/// How many customers one clock takes, and how many running subscriptions each of them.
const MOST_CUSTOMERS: usize = 3;
const MOST_SUBSCRIPTIONS: usize = 3;
/// How many intervals of its shortest subscription a clock moves at most.
const MOST_INTERVALS: i64 = 2;

impl World {
    /// Makes a clock that stands at a unix second. Answers its id.
    pub(crate) fn add_clock(&mut self, now: i64, name: Option<String>) -> String {
        let clock = self.new_clock(now, name);
        self.tell_of_clock("created", &clock.id);
        clock.id
    }

    /// A clock of which nobody has been told yet.
    pub(super) fn new_clock(&mut self, now: i64, name: Option<String>) -> TestClock {
        let id = self.chance.id("clock_");
        let created = self.own_now();
        let deletes_after = created + self.settings.test_clock_days * DAY;
        let clock = TestClock {
            id: id.clone(),
            created,
            deletes_after,
            name,
            state: ClockState::Ready,
            now,
            timers: Timers::default(),
        };
        self.set_own_timer(deletes_after, Timer::ClockExpires(id));
        self.test_clocks.put(clock.clone());
        clock
    }

    pub(super) fn tell_of_clock(&mut self, what: &str, id: &str) {
        let object = self.test_clocks.get(id).map(TestClock::render).unwrap_or_default();
        self.emit(&format!("test_helpers.test_clock.{what}"), object);
    }

    /// A clock that stands, or the reason why it cannot be touched.
    pub(super) fn standing_clock(&self, id: &str) -> ApiResult<TestClock> {
        let clock = need(&self.test_clocks, id, "test_clock")?;
        match clock.state {
            ClockState::Ready => Ok(clock),
            ClockState::Advancing { .. } => Err(ApiError::locked(format!(
                "Test clock advancement underway: {id} cannot be changed until its status is ready. Nothing changed."
            ))),
        }
    }

    /// The furthest that a clock may be sent from where it stands, in unix seconds: two intervals of the shortest
    /// subscription that lives by it, two years when there is none.
    pub(crate) fn clock_reach(&self, clock: &TestClock) -> i64 {
        let running = self.subscriptions.iter().filter(|subscription| {
            subscription.test_clock.as_ref() == Some(&clock.id) && !subscription.status.is_terminal()
        });
        let reach = |recurring| boundary(clock.now, recurring, MOST_INTERVALS);
        let waiting = self.schedules.iter().filter(|schedule| {
            schedule.test_clock.as_ref() == Some(&clock.id) && schedule.state == ScheduleState::NotStarted
        });
        let waiting = waiting
            .filter_map(|schedule| schedule.phases.first()?.items.first())
            .filter_map(|item| self.prices.get(&item.price)?.recurring);
        let running = running.filter_map(|subscription| self.recurring(&subscription.items));
        let shortest = running.chain(waiting).map(reach).min();
        let years = Recurring { interval: Interval::Year, count: 1, trial_days: None };
        shortest.unwrap_or_else(|| reach(years)).min(LAST)
    }

    /// Sends a clock ahead. It arrives after the time that the settings give it.
    pub(crate) fn advance_clock(&mut self, id: &str, to: i64) -> ApiResult<()> {
        let clock = self.standing_clock(id)?;
        if to <= clock.now {
            let message =
                format!("A test clock only moves forward: frozen_time must be after {}.", clock.now);
            return Err(ApiError::rule(message).param("frozen_time"));
        }
        let reach = self.clock_reach(&clock);
        if to > reach {
            let message = format!(
                "A test clock moves at most two intervals of its shortest subscription at once (two years when it has none): frozen_time can be up to {reach}."
            );
            return Err(ApiError::rule(message).param("frozen_time"));
        }
        self.test_clocks.edit(id, |clock| clock.state = ClockState::Advancing { to });
        let arrives = self.own_now() + self.settings.clock_advance_seconds;
        self.set_own_timer(arrives, Timer::ClockArrives(id.to_owned()));
        self.tell_of_clock("advancing", id);
        Ok(())
    }

    /// A clock arrives: everything that falls due on the way happens at its own instant.
    pub(crate) fn clock_arrives(&mut self, id: &str) {
        let Some(ClockState::Advancing { to }) = self.test_clocks.get(id).map(|clock| clock.state) else {
            return;
        };
        self.on_line(Some(id), |world| world.pass_time(to));
        self.test_clocks.edit(id, |clock| clock.state = ClockState::Ready);
        self.tell_of_clock("ready", id);
    }

    /// Deletes a clock with its customers, whose subscriptions end.
    pub(crate) fn delete_clock(&mut self, id: &str) -> ApiResult<()> {
        self.standing_clock(id)?;
        let customers: Vec<String> = self
            .customers_of_clock(id)
            .filter(|(_, deleted)| !deleted)
            .map(|(id, _)| id.to_owned())
            .collect();
        for customer in customers {
            self.on_line(Some(id), |world| world.delete_customer(&customer))?;
        }
        let last = self.test_clocks.remove(id).map(|clock| clock.render()).unwrap_or(Value::Null);
        self.emit("test_helpers.test_clock.deleted", last);
        Ok(())
    }

    /// A clock is as old as clocks become. One that is on its way arrives first.
    pub(crate) fn clock_expires(&mut self, id: &str) {
        self.clock_arrives(id);
        // It stands now, and one that was deleted before has nothing left to delete.
        let _ = self.delete_clock(id);
    }

    /// The customers of a clock, with whether each was deleted.
    pub(crate) fn customers_of_clock(&self, clock: &str) -> impl Iterator<Item = (&str, bool)> {
        let of_it = move |found: &Option<String>| found.as_deref() == Some(clock);
        self.customers
            .iter()
            .filter(move |customer| of_it(&customer.test_clock))
            .map(|customer| (customer.id.as_str(), customer.deleted))
    }

    /// Whether a clock takes one more customer.
    pub(crate) fn check_clock_room(&self, clock: &str) -> ApiResult<()> {
        self.standing_clock(clock)?;
        if self.customers_of_clock(clock).filter(|(_, deleted)| !deleted).count() < MOST_CUSTOMERS {
            return Ok(());
        }
        Err(ApiError::rule(format!("A test clock can have up to {MOST_CUSTOMERS} customers."))
            .param("test_clock"))
    }

    /// Whether a customer of a test clock may have one more subscription.
    pub(crate) fn check_subscription_room(&self, customer: &str) -> ApiResult<()> {
        if self.clock_of_customer(customer).is_none() {
            return Ok(());
        }
        self.few_subscriptions(customer, MOST_SUBSCRIPTIONS - 1)
    }

    /// Whether a customer has no more running subscriptions than one of a test clock may have.
    pub(super) fn check_few_subscriptions(&self, customer: &str) -> ApiResult<()> {
        self.few_subscriptions(customer, MOST_SUBSCRIPTIONS)
    }

    fn few_subscriptions(&self, customer: &str, most: usize) -> ApiResult<()> {
        let running = self.subscriptions.of(customer).filter(|found| !found.status.is_terminal()).count();
        if running <= most {
            return Ok(());
        }
        Err(ApiError::rule(format!(
            "A customer of a test clock can have up to {MOST_SUBSCRIPTIONS} subscriptions. No money moved."
        ))
        .param("customer"))
    }
}
