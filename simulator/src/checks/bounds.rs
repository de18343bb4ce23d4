//! I10, bounded work: what is done at one moment, for one event and for one wish has a bound, what waits is limited,
//! and a world in which nothing happens costs next to nothing.
//!
//! The bounds are several times what the worst of some thousand seeds took; what has no bound passes any.

use quittance_domain::command::{CommandState, MOST_REFUSALS};
use quittance_domain::time::{DAY_MS, MINUTE_MS};
use quittance_store::commands::{self, CommandRow};
use quittance_store::deliveries::{self, DeliveryRow};

use super::Record;
use crate::actors::buyer_id;
use crate::sim::Sim;

/// Steps of all tasks at one moment.
const MOST_AT_ONCE: u64 = 20_000;
/// Calls to the provider that every world may cost, for each of its nodes.
const CALLS_AT_FIRST: u64 = 2_000;
/// Calls for each event of the provider.
const CALLS_AN_EVENT: u64 = 60;
/// Calls for each sweep that can have run.
const CALLS_A_SWEEP: u64 = 40;
/// Steps in an idle day, for each node.
const STEPS_A_DAY: u64 = 6_000;

/// Work that was counted so far.
#[derive(Debug, Default)]
pub(super) struct Work {
    moment: i64,
    at_once: u64,
    /// When the world was first at rest, and the steps until then.
    rest: Option<(i64, u64)>,
}

/// The most that the bounds were used, to set them by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Most {
    /// Steps at one moment.
    pub at_once: u64,
    /// Calls to the provider for a hundred events, beyond those that every world costs.
    pub calls_a_hundred: u64,
    /// Steps in an idle day of a node.
    pub idle: u64,
    /// Tries of a command.
    pub tries: u64,
    /// Commands on one object.
    pub on_one: u64,
}

impl Most {
    /// The larger of each.
    pub fn add(&mut self, other: &Self) {
        self.at_once = self.at_once.max(other.at_once);
        self.calls_a_hundred = self.calls_a_hundred.max(other.calls_a_hundred);
        self.idle = self.idle.max(other.idle);
        self.tries = self.tries.max(other.tries);
        self.on_one = self.on_one.max(other.on_one);
    }
}

impl Record {
    /// A task has run.
    pub fn stepped(&mut self, now_ms: i64) {
        if self.work.moment != now_ms {
            (self.work.moment, self.work.at_once) = (now_ms, 0);
        }
        self.work.at_once += 1;
        self.figures.most.at_once = self.figures.most.at_once.max(self.work.at_once);
        if self.work.at_once > MOST_AT_ONCE {
            self.violation("I10", format!("{MOST_AT_ONCE} steps at one moment"));
        }
    }

    /// Nothing is left to do: from now on next to nothing is done.
    pub fn rests(&mut self, sim: &Sim) {
        self.work.rest.get_or_insert((sim.scheduler.now_ms(), sim.scheduler.steps()));
    }

    /// A parcel's tries are those that its schedule allows, and those that a dead node ended unheard.
    pub(super) fn parcel_is_bounded(&mut self, sim: &Sim, row: &DeliveryRow) {
        let most = row.channel.waits_ms().len() as i64 + 1;
        // An operator who sends it again begins its schedule anew.
        let tries = row.attempts - row.attempts_before;
        if tries <= most {
            return;
        }
        let seq = row.seq;
        let Some(recorded) = self.read(sim, move |tx| deliveries::attempts(tx, seq, 1_000)) else { return };
        let unheard = row.attempts - recorded.len() as i64;
        if tries > most + unheard.max(0) {
            let word = row.channel.as_str();
            self.violation("I10", format!("{} by {word} was tried {tries} of {most} times", row.key));
        }
    }

    /// In the end: what was done is in proportion to what happened.
    pub(super) fn work_was_bounded(&mut self, sim: &Sim) {
        let nodes = sim.plan.nodes as u64;
        let sweeps = (sim.scheduler.now_ms() - sim.plan.start_ms) / sim.plan.settings.sweep_every_ms.max(1);
        let sweeps = u64::try_from(sweeps).unwrap_or(0) + 1;
        let (calls, events) = (self.figures.provider_calls, self.figures.events);
        let fixed = CALLS_AT_FIRST * nodes + CALLS_A_SWEEP * sweeps;
        self.figures.most.calls_a_hundred = calls.saturating_sub(fixed) * 100 / events.max(1);
        if calls > fixed + CALLS_AN_EVENT * events {
            self.violation(
                "I10",
                format!("{calls} calls to the provider for {events} events and {sweeps} sweeps"),
            );
        }
        if let Some((since, steps)) = self.work.rest {
            let days = u64::try_from((sim.scheduler.now_ms() - since) / DAY_MS).unwrap_or(0) + 1;
            let idle = (sim.scheduler.steps() - steps) / days / nodes;
            self.figures.most.idle = self.figures.most.idle.max(idle);
            if idle > STEPS_A_DAY {
                self.violation("I10", format!("{idle} steps of each node in a day in which nothing happens"));
            }
        }
        for index in 0..sim.plan.buyers {
            let id = buyer_id(index);
            let Some(rows) = self.read(sim, move |tx| commands::of_customer(tx, &id, 10_000)) else { return };
            for row in &rows {
                self.command_is_bounded(sim, row, &rows);
            }
        }
    }

    /// A command is over, after no more tries than its budget, its operators and those who asked gave it, and was not written down again
    /// and again.
    fn command_is_bounded(&mut self, sim: &Sim, row: &CommandRow, all: &[CommandRow]) {
        if row.state == CommandState::Pending {
            self.violation("I10", format!("{} ({}) never ends", row.id, row.kind));
        }
        let tries = u64::try_from(row.attempts).unwrap_or(0);
        self.figures.most.tries = self.figures.most.tries.max(tries);
        let budget = u64::from(sim.plan.settings.retry.max_attempts) + 1;
        let asks = row.customer.as_ref().and_then(|id| self.asks.get(id.as_str())).copied().unwrap_or(0);
        // What we want ourselves is tried on through an outage, at the slowest pace: every seven minutes in the mean.
        let since = sim.scheduler.now_ms() - row.created_at.ms();
        let on = if patient(&row.kind) { u64::try_from(since / (2 * MINUTE_MS)).unwrap_or(0) } else { 0 };
        let most = budget * (1 + self.frees) + asks + on;
        if tries > most {
            self.violation("I10", format!("{} ({}) was tried {tries} of {most} times", row.id, row.kind));
        }
        let mends = matches!(row.kind.as_str(), "duplicate.cancel" | "duplicate.refund" | "trial.end");
        let on_one =
            all.iter().filter(|other| other.object == row.object && other.kind == row.kind).count() as i64;
        self.figures.most.on_one = self.figures.most.on_one.max(on_one.unsigned_abs());
        if mends && on_one > MOST_REFUSALS + 1 {
            self.violation("I10", format!("{} is asked of {} {on_one} times", row.kind, row.object));
        }
    }
}

/// Commands that nobody waits for and that are wanted until they are done.
fn patient(kind: &str) -> bool {
    matches!(
        kind,
        "customer.update"
            | "duplicate.cancel"
            | "duplicate.refund"
            | "trial.end"
            | "dispute.contest"
            | "dispute.accept"
            | "invoice.give_up"
            | "suspension.step"
    )
}
