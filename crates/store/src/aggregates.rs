//! Aggregates: marks, leases, fences, timers and parking (engine.md section 3).
//!
//! Each statement is a transition of `quittance_domain::lease` made atomic; `transitions_tests` holds both side
//! by side. Knows nothing of what an aggregate contains or how it is fetched.

use std::collections::{BTreeMap, HashMap};

use quittance_domain::Timestamp;
use quittance_domain::ids::LeaseToken;
pub use quittance_domain::lease::Priority;
#[cfg(feature = "mutants")]
use quittance_domain::mutant::{self, Mutant};

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::{Dialect, Many, Sql};
use crate::value::{Row, V};

const fn level(priority: Priority) -> i64 {
    match priority {
        Priority::Sweep => 0,
        Priority::Event => 1,
        Priority::Waiting => 2,
    }
}

/// A hint to write down.
#[derive(Debug, Clone, Copy)]
pub struct Hint<'a> {
    /// The aggregate's key.
    pub key: &'a str,
    /// How urgent it is.
    pub priority: Priority,
    /// Not to be synced before: webhooks wait a moment, so that a burst becomes one fetch.
    pub due: Timestamp,
    /// Whether a parked aggregate is tried again: a person pressed a button.
    pub unpark: bool,
    /// Whether to look also at what seldom changes (payments, refunds, one-off purchases).
    pub thorough: bool,
}

// 2 is [`Priority::Waiting`], 5000 [`quittance_domain::lease::WAITED_FOR_MS`].
static MARK: &Many = crate::many!(
    "aggregates.mark",
    "INSERT INTO aggregates (key, wanted, done, attempts, next_attempt_at, priority, dirty_since, thorough)
     VALUES {ROWS OF 8}
     ON CONFLICT (key) DO UPDATE SET
       wanted = aggregates.wanted + excluded.wanted,
       dirty_since = CASE WHEN aggregates.done >= aggregates.wanted THEN excluded.dirty_since ELSE aggregates.dirty_since END,
       next_attempt_at = CASE
         WHEN aggregates.done >= aggregates.wanted
           OR aggregates.attempts = 0 AND excluded.next_attempt_at < aggregates.next_attempt_at THEN excluded.next_attempt_at
         WHEN aggregates.attempts > 0 AND excluded.priority = 2 AND excluded.next_attempt_at + 5000 < aggregates.next_attempt_at
           THEN excluded.next_attempt_at + 5000
         ELSE aggregates.next_attempt_at END,
       priority = CASE WHEN aggregates.priority < excluded.priority THEN excluded.priority ELSE aggregates.priority END,
       thorough = aggregates.thorough OR excluded.thorough
     RETURNING key, wanted"
);
// One column, which stands in no index; and without `RETURNING`, for which SQLite makes a table each time.
static MARK_AGAIN: &Sql = crate::sql!(
    "aggregates.mark_again",
    "UPDATE aggregates SET wanted = wanted + $2
     WHERE key = $1 AND done < wanted AND priority >= $3 AND (thorough OR NOT $5)
       AND (next_attempt_at <= $4 OR attempts > 0 AND ($3 < 2 OR next_attempt_at <= $4 + 5000))"
);
static WANTED: &Many =
    crate::many!("aggregates.wanted", "SELECT key, wanted FROM aggregates WHERE key IN ({ROWS FROM $1})");
static FREE: &Sql = crate::sql!(
    "aggregates.free",
    "UPDATE aggregates SET parked_at = NULL, attempts = 0, next_attempt_at = $2 WHERE key = $1"
);

/// Hints at one aggregate, as one: the soonest, the most urgent.
struct Together {
    count: i64,
    priority: Priority,
    due: Timestamp,
    unpark: bool,
    thorough: bool,
}

impl Together {
    fn new_row(&self, key: &str, now: Timestamp) -> Vec<V> {
        let (due, priority) = (self.due.ms(), level(self.priority));
        params![key, self.count, 0, 0, due, priority, now.ms(), self.thorough].to_vec()
    }

    fn again(&self, key: &str) -> Vec<V> {
        params![key, self.count, level(self.priority), self.due.ms(), self.thorough].to_vec()
    }
}

/// Marks all, the waiting ones on SQLite by the short way: it writes every index of a column that is set, changed or not.
fn write_marks(tx: &mut dyn Tx, together: &BTreeMap<&str, Together>, now: Timestamp) -> Result<Vec<Row>> {
    let mut rows = Vec::with_capacity(together.len());
    let mut left: Vec<(&str, &Together)> = together.iter().map(|(key, all)| (*key, all)).collect();
    if tx.dialect() == Dialect::Sqlite {
        let again: Vec<Vec<V>> = left.iter().map(|(key, all)| all.again(key)).collect();
        let mut changed = tx.exec_batch(MARK_AGAIN, &again)?.into_iter();
        let mut marked = Vec::new();
        left.retain(|(key, _)| {
            let done = changed.next().is_some_and(|rows| rows > 0);
            if done {
                marked.push(vec![V::from(*key)]);
            }
            !done
        });
        rows.extend(tx.query_all(&WANTED.over(&[], marked))?);
    }
    let left = left.iter().map(|(key, all)| all.new_row(key, now)).collect();
    rows.extend(tx.query_all(&MARK.over(&[], left))?);
    Ok(rows)
}

/// Writes hints down and returns for each the mark: it is answered once `done` has reached it. Several hints at one
/// aggregate are one write, and have a mark each all the same, in their order.
///
/// # Errors
/// As the database.
pub fn mark_all(tx: &mut dyn Tx, hints: &[Hint<'_>], now: Timestamp) -> Result<Vec<i64>> {
    // Ordered by key, so that two transactions cannot wait for each other.
    let mut together: BTreeMap<&str, Together> = BTreeMap::new();
    for hint in hints {
        let Hint { key, priority, due, unpark, thorough } = *hint;
        let all = together.entry(key).or_insert(Together { count: 0, priority, due, unpark, thorough });
        all.count += 1;
        all.priority = all.priority.max(priority);
        all.due = all.due.min(due);
        all.unpark |= unpark;
        all.thorough |= thorough;
    }
    let freed = together.iter().filter(|(_, all)| all.unpark);
    let freed: Vec<Vec<V>> = freed.map(|(key, all)| params![*key, all.due.ms()].to_vec()).collect();
    tx.exec_batch(FREE, &freed)?;
    let rows = write_marks(tx, &together, now)?;
    let mut last: HashMap<&str, i64> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let key = row.str("key")?;
        last.insert(key, row.i64("wanted")? - together.get(key).map_or(0, |all| all.count));
    }
    let mut marks = Vec::with_capacity(hints.len());
    for hint in hints {
        let mark = last.entry(hint.key).or_default();
        *mark += 1;
        marks.push(*mark);
    }
    Ok(marks)
}

static TAKE_BACK: &Sql = crate::sql!(
    "aggregates.take_back",
    "UPDATE aggregates SET wanted = wanted - $2,
       dirty_since = CASE WHEN done >= wanted - $2 THEN NULL ELSE dirty_since END
     WHERE key = $1"
);

/// Takes the last `count` marks back that this transaction itself has set, and that nobody has been told.
///
/// # Errors
/// As the database.
pub(crate) fn take_back(tx: &mut dyn Tx, key: &str, count: i64) -> Result<()> {
    tx.exec(TAKE_BACK, params![key, count])?;
    Ok(())
}

/// Writes one hint down and returns its mark.
///
/// # Errors
/// As the database.
pub fn mark(tx: &mut dyn Tx, hint: &Hint<'_>, now: Timestamp) -> Result<i64> {
    Ok(mark_all(tx, std::slice::from_ref(hint), now)?.first().copied().unwrap_or(0))
}

/// A claimed aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its key.
    pub key: String,
    /// The hints that this sync will have answered.
    pub target: i64,
    /// The hints that were answered before.
    pub done: i64,
    /// Failed tries so far.
    pub attempts: i64,
    /// The fencing token.
    pub token: LeaseToken,
    /// When the oldest unanswered hint arrived.
    pub dirty_since: Option<Timestamp>,
    /// Whether to look also at what seldom changes.
    pub thorough: bool,
    /// How urgent its hints were, as [`Priority`] counts; a failed claim gives it back.
    pub priority: Priority,
}

static CLAIMABLE: &Sql = crate::sql!(
    "aggregates.claimable",
    "SELECT key, wanted, done, attempts, dirty_since, thorough, priority FROM aggregates
     WHERE dirty_since IS NOT NULL AND done < wanted AND parked_at IS NULL AND next_attempt_at <= $1
       AND (lease_until IS NULL OR lease_until <= $1)
       AND (synced_at IS NULL OR synced_at <= $2 OR synced_at > $1 OR priority >= $3)
     ORDER BY priority DESC, next_attempt_at LIMIT $4 {FOR_UPDATE_SKIP_LOCKED}"
);
static LEASE: &Sql = crate::sql!(
    "aggregates.lease",
    "UPDATE aggregates SET lease_token = $2, lease_until = $3, priority = 0 WHERE key = $1"
);

/// Claims up to `limit` due aggregates until `until`, the most urgent first.
///
/// One that was synced after `rested` is claimed only for somebody who waits, so that the rest of a burst
/// is one look. The urgency goes with the claim: what is urgent afterwards arrived since.
///
/// # Errors
/// As the database.
pub fn claim(
    tx: &mut dyn Tx,
    token: &LeaseToken,
    now: Timestamp,
    until: Timestamp,
    rested: Timestamp,
    limit: i64,
) -> Result<Vec<Claim>> {
    let waiting = level(Priority::Waiting);
    let rows = tx.query(CLAIMABLE, params![now.ms(), rested.ms(), waiting, limit])?;
    let claims = rows.iter().map(|row| read_claim(row, token)).collect::<Result<Vec<Claim>>>()?;
    let leases: Vec<Vec<V>> =
        claims.iter().map(|claim| params![&claim.key, token.as_str(), until.ms()].to_vec()).collect();
    tx.batch(LEASE, &leases)?;
    Ok(claims)
}

fn read_claim(row: &Row, token: &LeaseToken) -> Result<Claim> {
    Ok(Claim {
        key: row.text("key")?,
        target: row.i64("wanted")?,
        done: row.i64("done")?,
        attempts: row.i64("attempts")?,
        token: token.clone(),
        dirty_since: row.opt_i64("dirty_since")?.map(Timestamp::from_ms),
        thorough: row.bool("thorough")?,
        priority: match row.i64("priority")? {
            0 => Priority::Sweep,
            1 => Priority::Event,
            _ => Priority::Waiting,
        },
    })
}

/// What a completed sync leaves behind, and who may write it.
macro_rules! complete {
    ($fence:literal) => {
        concat!(
            "UPDATE aggregates SET done = $3, lease_token = NULL, lease_until = NULL, attempts = 0, last_error = NULL,
               synced_at = $4, look_at = NULL,
               thorough = thorough AND wanted > $3,
               dirty_since = CASE WHEN wanted > $3 THEN CAST($4 AS BIGINT) ELSE NULL END,
               next_attempt_at = $4
             WHERE key = $1 AND ",
            $fence
        )
    };
}

static COMPLETE: &Sql = crate::sql!("aggregates.complete", complete!("lease_token = $2"));

#[cfg(feature = "mutants")]
static COMPLETE_UNFENCED: &Sql = crate::sql!("aggregates.complete_unfenced", complete!("$2 <> ''"));

/// Records a completed sync, if the lease is still ours: the fence. `false` means that another
/// worker has claimed the aggregate since, and nothing may be written.
///
/// Run it first in the transaction: it also locks the row.
///
/// # Errors
/// As the database.
pub fn complete(tx: &mut dyn Tx, claim: &Claim, now: Timestamp) -> Result<bool> {
    #[cfg(feature = "mutants")]
    let sql = if mutant::is(Mutant::Fence) { COMPLETE_UNFENCED } else { COMPLETE };
    #[cfg(not(feature = "mutants"))]
    let sql = COMPLETE;
    let changed = tx.exec(sql, params![&claim.key, claim.token.as_str(), claim.target, now.ms()])?;
    Ok(changed == 1)
}

static HOLD: &Sql = crate::sql!(
    "aggregates.hold",
    "UPDATE aggregates SET lease_until = $3 WHERE key = $1 AND lease_token = $2"
);

/// Keeps a claim until `until`, for a sync of several steps; `false` when another worker has claimed the aggregate since,
/// and nothing may be written: the fence of a step that is not the last. Run it first in the transaction.
///
/// # Errors
/// As the database.
pub fn hold(tx: &mut dyn Tx, claim: &Claim, until: Timestamp) -> Result<bool> {
    Ok(tx.exec(HOLD, params![&claim.key, claim.token.as_str(), until.ms()])? == 1)
}

static WAITS: &Sql = crate::sql!(
    "aggregates.waits",
    "SELECT 1 AS one FROM aggregates WHERE key = $1 AND done < wanted AND lease_token IS NULL AND parked_at IS NULL"
);

/// Marks an aggregate that many events are about, unless it waits for a sync already. What is marked and not claimed is
/// looked at after this moment, and so sees what the event is about; its row is then neither changed nor locked, and
/// writers do not queue for it.
///
/// # Errors
/// As the database.
pub fn mark_shared(tx: &mut dyn Tx, hint: &Hint<'_>) -> Result<()> {
    if tx.query(WAITS, params![hint.key])?.is_empty() {
        // It lies still until it is due: only from then on it is late.
        mark(tx, hint, hint.due)?;
    }
    Ok(())
}

static SET_LOOK_AT: &Sql =
    crate::sql!("aggregates.set_look_at", "UPDATE aggregates SET look_at = $2 WHERE key = $1");

/// Sets the timer of an aggregate whose row this transaction has locked with [`complete`].
///
/// # Errors
/// As the database.
pub fn set_look_at(tx: &mut dyn Tx, key: &str, look_at: Option<Timestamp>) -> Result<()> {
    tx.exec(SET_LOOK_AT, params![key, look_at.map(Timestamp::ms)])?;
    Ok(())
}

static RETRY: &Sql = crate::sql!(
    "aggregates.retry",
    "UPDATE aggregates SET lease_token = NULL, lease_until = NULL, attempts = $3, next_attempt_at = $4, last_error = $5,
       priority = CASE WHEN priority < $6 THEN $6 ELSE priority END
     WHERE key = $1 AND lease_token = $2"
);
static PARK: &Sql = crate::sql!(
    "aggregates.park",
    "UPDATE aggregates SET lease_token = NULL, lease_until = NULL, attempts = $3, parked_at = $4, last_error = $5,
       priority = CASE WHEN priority < $6 THEN $6 ELSE priority END
     WHERE key = $1 AND lease_token = $2"
);

/// Gives a failed claim back, to be tried again at `next`. `attempts` counts the failures so far.
///
/// # Errors
/// As the database.
pub fn retry(tx: &mut dyn Tx, claim: &Claim, attempts: i64, next: Timestamp, error: &str) -> Result<bool> {
    let params = params![&claim.key, claim.token.as_str(), attempts, next.ms(), error, level(claim.priority)];
    Ok(tx.exec(RETRY, params)? == 1)
}

/// Parks a failed claim: it waits for an operator or a resent event.
///
/// # Errors
/// As the database.
pub fn park(tx: &mut dyn Tx, claim: &Claim, attempts: i64, now: Timestamp, error: &str) -> Result<bool> {
    let params = params![&claim.key, claim.token.as_str(), attempts, now.ms(), error, level(claim.priority)];
    Ok(tx.exec(PARK, params)? == 1)
}

static DUE_LOOKS: &Sql = crate::sql!(
    "aggregates.due_looks",
    "UPDATE aggregates SET wanted = wanted + 1, look_at = NULL,
       dirty_since = CASE WHEN done >= wanted THEN $1 ELSE dirty_since END,
       next_attempt_at = CASE WHEN done >= wanted THEN $1 ELSE next_attempt_at END
     WHERE key IN (SELECT key FROM aggregates WHERE look_at <= $1 ORDER BY look_at LIMIT $2 {FOR_UPDATE_SKIP_LOCKED})"
);

/// Turns timers that are due into hints; returns how many.
///
/// # Errors
/// As the database.
pub fn wake_due(tx: &mut dyn Tx, now: Timestamp, limit: i64) -> Result<u64> {
    tx.exec(DUE_LOOKS, params![now.ms(), limit])
}

/// An aggregate as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateRow {
    /// Its key.
    pub key: String,
    /// Hints so far.
    pub wanted: i64,
    /// Hints answered.
    pub done: i64,
    /// Failed tries since the last success.
    pub attempts: i64,
    /// When it is tried next.
    pub next_attempt_at: Timestamp,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Since when it is parked.
    pub parked_at: Option<Timestamp>,
    /// When it was synced last.
    pub synced_at: Option<Timestamp>,
    /// When it is looked at next by itself.
    pub look_at: Option<Timestamp>,
    /// Since when a hint is unanswered.
    pub dirty_since: Option<Timestamp>,
    /// Who holds it.
    pub lease_until: Option<Timestamp>,
}

fn read_row(row: &Row) -> Result<AggregateRow> {
    let time =
        |column: &'static str| Ok::<_, crate::StoreError>(row.opt_i64(column)?.map(Timestamp::from_ms));
    Ok(AggregateRow {
        key: row.text("key")?,
        wanted: row.i64("wanted")?,
        done: row.i64("done")?,
        attempts: row.i64("attempts")?,
        next_attempt_at: Timestamp::from_ms(row.i64("next_attempt_at")?),
        last_error: row.opt_text("last_error")?,
        parked_at: time("parked_at")?,
        synced_at: time("synced_at")?,
        look_at: time("look_at")?,
        dirty_since: time("dirty_since")?,
        lease_until: time("lease_until")?,
    })
}

static GET: &Sql = crate::sql!(
    "aggregates.get",
    "SELECT key, wanted, done, attempts, next_attempt_at, last_error, parked_at, synced_at, look_at, dirty_since, lease_until
     FROM aggregates WHERE key = $1"
);
static PARKED: &Sql = crate::sql!(
    "aggregates.parked",
    "SELECT key, wanted, done, attempts, next_attempt_at, last_error, parked_at, synced_at, look_at, dirty_since, lease_until
     FROM aggregates WHERE parked_at IS NOT NULL ORDER BY parked_at DESC, key LIMIT $1"
);

/// One aggregate, if it was ever marked.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, key: &str) -> Result<Option<AggregateRow>> {
    tx.query(GET, params![key])?.first().map(read_row).transpose()
}

/// The parked aggregates, newest first.
///
/// # Errors
/// As the database.
pub fn parked(tx: &mut dyn Tx, limit: i64) -> Result<Vec<AggregateRow>> {
    tx.query(PARKED, params![limit])?.iter().map(read_row).collect()
}

/// How much is waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Aggregates with unanswered hints that are not parked.
    pub dirty: i64,
    /// Parked ones.
    pub parked: i64,
    /// Commands that are parked: asked for, and not carried out.
    pub parked_commands: i64,
    /// When the oldest unanswered hint arrived.
    pub oldest: Option<Timestamp>,
}

static BACKLOG: &Sql = crate::sql!(
    "aggregates.backlog",
    "SELECT
       (SELECT COUNT(*) FROM aggregates WHERE dirty_since IS NOT NULL AND parked_at IS NULL) AS dirty,
       (SELECT COUNT(*) FROM aggregates WHERE parked_at IS NOT NULL) AS parked,
       (SELECT COUNT(*) FROM commands WHERE parked_at IS NOT NULL AND state = 'pending') AS parked_commands,
       (SELECT MIN(dirty_since) FROM aggregates WHERE dirty_since IS NOT NULL AND parked_at IS NULL) AS oldest"
);

/// Counts what is waiting.
///
/// # Errors
/// As the database.
pub fn backlog(tx: &mut dyn Tx) -> Result<Backlog> {
    let rows = tx.query(BACKLOG, params![])?;
    let Some(row) = rows.first() else { return Ok(Backlog::default()) };
    Ok(Backlog {
        dirty: row.i64("dirty")?,
        parked: row.i64("parked")?,
        parked_commands: row.i64("parked_commands")?,
        oldest: row.opt_i64("oldest")?.map(Timestamp::from_ms),
    })
}

static NEXT_DUE: &Sql = crate::sql!(
    "aggregates.next_due",
    "SELECT
       (SELECT MIN({GREATEST}(next_attempt_at, COALESCE(lease_until, 0),
            CASE WHEN synced_at IS NULL OR priority >= $2 THEN 0 ELSE synced_at + $1 END))
          FROM aggregates WHERE dirty_since IS NOT NULL AND parked_at IS NULL) AS due,
       (SELECT MIN(look_at) FROM aggregates WHERE look_at IS NOT NULL) AS look"
);

/// When the next claim or timer is due, if anything is planned at all. `spacing_ms` is how long before a claim's
/// `now` its `rested` lies.
///
/// # Errors
/// As the database.
pub fn next_due(tx: &mut dyn Tx, spacing_ms: i64) -> Result<Option<Timestamp>> {
    let rows = tx.query(NEXT_DUE, params![spacing_ms, level(Priority::Waiting)])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let times = [row.opt_i64("due")?, row.opt_i64("look")?];
    Ok(times.into_iter().flatten().min().map(Timestamp::from_ms))
}
