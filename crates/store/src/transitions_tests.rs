//! The transitions of `quittance_domain::lease` and `::command`, which the model checker runs, beside the statements,
//! which the product runs: after any sequence of steps both have the same row and have given the same answers.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use quittance_domain::Timestamp;
use quittance_domain::command::{Command, CommandState};
use quittance_domain::ids::LeaseToken;
use quittance_domain::lease::{AggregateState, ClaimTerms, HintTerms, Lease, Priority};

use crate::aggregates::{self, Claim, Hint};
use crate::commands::{self, NewCommand, Outcome};
use crate::db::{Db, Tx};
use crate::error::Result;
use crate::inbox::{self, NewEvent};
use crate::params;
use crate::sql::{Dialect, Sql};
use crate::testing::on_each_database;

/// Sequences on a database. Each step is a few round trips: PostgreSQL takes fewer.
fn sequences_on(db: &Db) -> usize {
    match db.dialect() {
        Dialect::Sqlite => 64,
        Dialect::Postgres => 16,
    }
}
const KEY: &str = "k";

static AGGREGATE: &Sql = crate::sql!(
    "test.aggregate_state",
    "SELECT wanted, done, lease_token, lease_until, attempts, next_attempt_at, parked_at, priority, thorough, look_at, synced_at
     FROM aggregates WHERE key = $1"
);
static COMMAND: &Sql = crate::sql!(
    "test.command_state",
    "SELECT state, lease_token, lease_until, attempts, first_sent_at, next_attempt_at, parked_at
     FROM commands WHERE id = $1"
);
static RESET: &Sql = crate::sql!("test.reset", "DELETE FROM aggregates");
static FORGET: &Sql = crate::sql!("test.forget", "DELETE FROM events");
static RESET_COMMANDS: &Sql = crate::sql!("test.reset_commands", "DELETE FROM commands");

/// Times of a sequence: few, so that edges (due now, expired now) are hit often.
fn time() -> impl Strategy<Value = Timestamp> {
    // Close together, and about as far apart as somebody waits at most.
    prop_oneof![4 => 0_i64..12, 1 => 4_994_i64..5_012].prop_map(Timestamp::from_ms)
}

fn token(n: u8) -> LeaseToken {
    LeaseToken::from_random([n; 16])
}

#[derive(Debug, Clone)]
enum Step {
    Mark(HintTerms),
    Accept(Timestamp),
    Repeat(Timestamp),
    Wake(Timestamp),
    Claim {
        now: Timestamp,
        until: Timestamp,
        rested: Timestamp,
    },
    /// `held` picks one of the claims so far, the newest first.
    Complete {
        held: usize,
        now: Timestamp,
        look_at: Option<Timestamp>,
    },
    Retry {
        held: usize,
        attempts: u32,
        next: Timestamp,
    },
    Park {
        held: usize,
        attempts: u32,
        now: Timestamp,
    },
}

fn hint() -> impl Strategy<Value = HintTerms> {
    let priority = prop_oneof![Just(Priority::Sweep), Just(Priority::Event), Just(Priority::Waiting)];
    (priority, time(), any::<bool>(), any::<bool>()).prop_map(|(priority, due, unpark, thorough)| HintTerms {
        priority,
        due,
        unpark,
        thorough,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let held = || prop_oneof![4 => Just(0_usize), 1 => Just(1_usize)];
    prop_oneof![
        3 => hint().prop_map(Step::Mark),
        1 => time().prop_map(Step::Accept),
        1 => time().prop_map(Step::Repeat),
        1 => time().prop_map(Step::Wake),
        5 => (time(), time(), time()).prop_map(|(now, until, rested)| Step::Claim { now, until, rested }),
        3 => (held(), time(), proptest::option::of(time()))
            .prop_map(|(held, now, look_at)| Step::Complete { held, now, look_at }),
        1 => (held(), 0_u32..4, time()).prop_map(|(held, attempts, next)| Step::Retry { held, attempts, next }),
        1 => (held(), 0_u32..4, time()).prop_map(|(held, attempts, now)| Step::Park { held, attempts, now }),
    ]
}

fn event(due: Timestamp) -> NewEvent {
    NewEvent {
        provider: "stripe",
        account: "self".into(),
        event_id: "evt_1".into(),
        livemode: false,
        event_type: "invoice.paid".into(),
        object: None,
        aggregate: KEY.into(),
        money: None,
        api_version: None,
        payload: "{}".into(),
        sha256: "00".into(),
        source: "webhook",
        made_by: None,
        created_at: due,
        received_at: due,
        due,
    }
}

/// What a step answered, in words that both sides share.
type Answer = String;

/// The model's side.
#[derive(Default)]
struct Model {
    row: AggregateState,
    claims: Vec<ClaimTerms>,
    seen: bool,
}

impl Model {
    fn held(&self, back: usize) -> Option<ClaimTerms> {
        self.claims.iter().rev().nth(back).cloned()
    }

    fn run(&mut self, step: &Step) -> Answer {
        match step {
            Step::Mark(hint) => self.row.mark(hint).to_string(),
            Step::Accept(due) | Step::Repeat(due) if !self.seen => {
                self.seen = true;
                let terms =
                    HintTerms { priority: Priority::Event, due: *due, unpark: false, thorough: false };
                self.row.mark(&terms);
                "New".into()
            }
            Step::Accept(due) | Step::Repeat(due) => {
                self.row.unpark(*due);
                "Duplicate".into()
            }
            Step::Wake(now) => u64::from(self.row.wake(*now)).to_string(),
            Step::Claim { now, until, rested } => {
                let lease = Lease { token: token(self.claims.len() as u8), until: *until };
                let claim = self.row.claim(lease, *now, *rested);
                self.claims.extend(claim.clone());
                format!("{claim:?}")
            }
            Step::Complete { held, now, look_at } => {
                self.held(*held).is_some_and(|claim| self.row.complete(&claim, *now, *look_at)).to_string()
            }
            Step::Retry { held, attempts, next } => {
                self.held(*held).is_some_and(|claim| self.row.retry(&claim, *attempts, *next)).to_string()
            }
            Step::Park { held, attempts, now } => {
                self.held(*held).is_some_and(|claim| self.row.park(&claim, *attempts, *now)).to_string()
            }
        }
    }
}

fn terms(claim: &Claim) -> ClaimTerms {
    ClaimTerms {
        token: claim.token.clone(),
        target: claim.target,
        done: claim.done,
        attempts: u32::try_from(claim.attempts).expect("small"),
        thorough: claim.thorough,
        priority: claim.priority,
    }
}

/// The database's side: the same step as the product takes it.
fn run(tx: &mut dyn Tx, claims: &mut Vec<Claim>, step: &Step) -> Result<Answer> {
    let held = |claims: &[Claim], back: usize| claims.iter().rev().nth(back).cloned();
    Ok(match step {
        Step::Mark(hint) => {
            let (priority, due, unpark, thorough) = (hint.priority, hint.due, hint.unpark, hint.thorough);
            aggregates::mark(tx, &Hint { key: KEY, priority, due, unpark, thorough }, due)?.to_string()
        }
        Step::Accept(due) | Step::Repeat(due) => {
            format!("{:?}", inbox::accept(tx, &[event(*due)])?.first().expect("one answer"))
        }
        Step::Wake(now) => aggregates::wake_due(tx, *now, 10)?.to_string(),
        Step::Claim { now, until, rested } => {
            let claim = aggregates::claim(tx, &token(claims.len() as u8), *now, *until, *rested, 10)?.pop();
            claims.extend(claim.clone());
            format!("{:?}", claim.as_ref().map(terms))
        }
        Step::Complete { held: back, now, look_at } => match held(claims, *back) {
            Some(claim) if aggregates::complete(tx, &claim, *now)? => {
                aggregates::set_look_at(tx, KEY, *look_at)?;
                true
            }
            Some(_) | None => false,
        }
        .to_string(),
        Step::Retry { held: back, attempts, next } => match held(claims, *back) {
            Some(claim) => aggregates::retry(tx, &claim, i64::from(*attempts), *next, "no")?,
            None => false,
        }
        .to_string(),
        Step::Park { held: back, attempts, now } => match held(claims, *back) {
            Some(claim) => aggregates::park(tx, &claim, i64::from(*attempts), *now, "no")?,
            None => false,
        }
        .to_string(),
    })
}

fn lease(row: &crate::value::Row) -> Result<Option<Lease>> {
    let token = row.opt_text("lease_token")?.map(|text| LeaseToken::parse(&text).expect("a token"));
    let until = row.opt_i64("lease_until")?.map(Timestamp::from_ms);
    Ok(token.zip(until).map(|(token, until)| Lease { token, until }))
}

fn aggregate(tx: &mut dyn Tx) -> Result<AggregateState> {
    let rows = tx.query(AGGREGATE, params![KEY])?;
    let Some(row) = rows.first() else { return Ok(AggregateState::default()) };
    Ok(AggregateState {
        wanted: row.i64("wanted")?,
        done: row.i64("done")?,
        lease: lease(row)?,
        attempts: u32::try_from(row.i64("attempts")?).expect("small"),
        next_attempt_at: Timestamp::from_ms(row.i64("next_attempt_at")?),
        parked_at: row.opt_i64("parked_at")?.map(Timestamp::from_ms),
        priority: match row.i64("priority")? {
            0 => Priority::Sweep,
            1 => Priority::Event,
            _ => Priority::Waiting,
        },
        thorough: row.bool("thorough")?,
        look_at: row.opt_i64("look_at")?.map(Timestamp::from_ms),
        synced_at: row.opt_i64("synced_at")?.map(Timestamp::from_ms),
    })
}

/// Sequences of steps, the same in every run.
fn sequences<S: Strategy>(count: usize, step: S, most: usize) -> Vec<Vec<S::Value>> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let many = proptest::collection::vec(step, 1..most);
    (0..count).map(|_| many.new_tree(&mut runner).expect("a sequence").current()).collect()
}

/// Runs one sequence in one transaction and tells after each step what it answered and left behind.
async fn trace<T: Send + 'static>(
    db: &Db,
    f: impl Fn(&mut dyn Tx) -> Result<T> + Send + Sync + 'static,
) -> T {
    db.write("test.trace", f).await.expect("written")
}

#[tokio::test]
async fn aggregates_move_in_sql_as_in_the_model() {
    on_each_database(async |db: Db| {
        let (count, mut claimed) = (sequences_on(&db), 0);
        for steps in sequences(count, step(), 40) {
            let todo = steps.clone();
            let seen = trace(&db, move |tx| {
                tx.exec(RESET, params![])?;
                tx.exec(FORGET, params![])?;
                let mut claims = Vec::new();
                todo.iter().map(|step| Ok((run(tx, &mut claims, step)?, aggregate(tx)?))).collect()
            })
            .await;
            let mut model = Model::default();
            let seen: Vec<(Answer, AggregateState)> = seen;
            for (at, (step, (answer, row))) in steps.iter().zip(seen).enumerate() {
                assert_eq!(answer, model.run(step), "step {at} of {steps:#?}");
                assert_eq!(row, model.row, "after step {at} of {steps:#?}");
            }
            claimed += model.claims.len();
        }
        assert!(claimed > count, "the sequences get somewhere: {claimed} claims");
    })
    .await;
}

#[derive(Debug, Clone)]
enum Work {
    Claim { n: u8, now: Timestamp, until: Timestamp },
    Finish { n: u8, end: CommandState },
    Retry { n: u8, next: Timestamp },
    Park { n: u8, now: Timestamp },
    Unpark(Timestamp),
    Due(Timestamp),
}

fn work() -> impl Strategy<Value = Work> {
    let end = prop_oneof![Just(CommandState::Succeeded), Just(CommandState::Failed)];
    let n = || 0_u8..3;
    prop_oneof![
        5 => (n(), time(), time()).prop_map(|(n, now, until)| Work::Claim { n, now, until }),
        2 => (n(), end).prop_map(|(n, end)| Work::Finish { n, end }),
        2 => (n(), time()).prop_map(|(n, next)| Work::Retry { n, next }),
        1 => (n(), time()).prop_map(|(n, now)| Work::Park { n, now }),
        1 => time().prop_map(Work::Unpark),
        2 => time().prop_map(Work::Due),
    ]
}

fn work_in_model(row: &mut Command, work: &Work) -> bool {
    match work {
        Work::Claim { n, now, until } => row.claim(Lease { token: token(*n), until: *until }, *now),
        Work::Finish { n, end } => row.finish(&token(*n), *end),
        Work::Retry { n, next } => row.retry(&token(*n), *next),
        Work::Park { n, now } => row.park(&token(*n), *now),
        Work::Unpark(now) => row.unpark(*now),
        Work::Due(now) => row.due(*now),
    }
}

fn work_in_sql(tx: &mut dyn Tx, id: &quittance_domain::CommandId, work: &Work) -> Result<bool> {
    match work {
        Work::Claim { n, now, until } => Ok(commands::claim(tx, id, &token(*n), *now, *until)?.is_some()),
        Work::Finish { n, end } => {
            let outcome = match end {
                CommandState::Failed => Outcome::Failed("{}".into(), "no".into()),
                CommandState::Pending | CommandState::Succeeded => Outcome::Succeeded("{}".into()),
            };
            commands::finish(tx, id, &token(*n), &outcome, Timestamp::from_ms(0))
        }
        Work::Retry { n, next } => commands::retry(tx, id, &token(*n), *next, "no"),
        Work::Park { n, now } => commands::park(tx, id, &token(*n), *now, "no"),
        Work::Unpark(now) => commands::unpark(tx, id, *now),
        Work::Due(now) => Ok(commands::due(tx, *now, 10)?.contains(id)),
    }
}

fn command(tx: &mut dyn Tx, id: &quittance_domain::CommandId) -> Result<Command> {
    let row = tx.query_one(COMMAND, params![id.as_str()])?;
    Ok(Command {
        state: commands::get(tx, id)?.expect("written").state,
        lease: lease(&row)?,
        attempts: u32::try_from(row.i64("attempts")?).expect("small"),
        first_sent_at: row.opt_i64("first_sent_at")?.map(Timestamp::from_ms),
        next_attempt_at: Timestamp::from_ms(row.i64("next_attempt_at")?),
        parked_at: row.opt_i64("parked_at")?.map(Timestamp::from_ms),
    })
}

#[tokio::test]
async fn commands_move_in_sql_as_in_the_model() {
    on_each_database(async |db: Db| {
        let (count, mut ended) = (sequences_on(&db), 0);
        for works in sequences(count, work(), 25) {
            let todo = works.clone();
            let seen: Vec<(bool, Command)> = trace(&db, move |tx| {
                tx.exec(RESET_COMMANDS, params![])?;
                let wish = NewCommand {
                    idempotency_key: "key".into(),
                    kind: "customer.create",
                    object: "customer/u".into(),
                    aggregate: None,
                    customer: None,
                    request: "{}".into(),
                };
                commands::insert(tx, &wish, Timestamp::from_ms(3))?;
                todo.iter()
                    .map(|work| Ok((work_in_sql(tx, &wish.id(), work)?, command(tx, &wish.id())?)))
                    .collect()
            })
            .await;
            let mut row = Command::written(Timestamp::from_ms(3));
            for (at, (work, (answer, stored))) in works.iter().zip(seen).enumerate() {
                assert_eq!(answer, work_in_model(&mut row, work), "step {at} of {works:#?}");
                assert_eq!(stored, row, "after step {at} of {works:#?}");
            }
            ended += usize::from(row.state != CommandState::Pending);
        }
        assert!(ended > count / 8, "the sequences get somewhere: {ended} commands ended");
    })
    .await;
}
