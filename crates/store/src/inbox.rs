//! The inbox: events exactly as the provider sent them (redacted), each once, never removed.
//!
//! Whether an event was processed is not stored: it is `aggregates.done >= event.mark`.

use std::collections::{BTreeMap, HashSet};

use quittance_domain::mutant::{self, Mutant};
use quittance_domain::{CommandId, Timestamp};

use crate::aggregates::{self, Hint, Priority};
use crate::commands;
use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::{Many, Sql};
use crate::value::{Row, V};

/// An event to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The provider's name.
    pub provider: &'static str,
    /// The connected account it is about, or `self`.
    pub account: String,
    /// The provider's event id.
    pub event_id: String,
    /// Whether it is about real money.
    pub livemode: bool,
    /// The provider's event type.
    pub event_type: String,
    /// The id of the object it is about.
    pub object: Option<String>,
    /// The aggregate to mark.
    pub aggregate: String,
    /// The aggregate of the account's money, and when it may be synced at the earliest, where the event is about money.
    pub money: Option<(String, Timestamp)>,
    /// The API version that shaped it.
    pub api_version: Option<String>,
    /// The redacted payload, JSON.
    pub payload: String,
    /// SHA-256 of the raw body, hexadecimal.
    pub sha256: String,
    /// `webhook`, or `sweep` when it was found in the provider's event list.
    pub source: &'static str,
    /// When the provider made it.
    pub created_at: Timestamp,
    /// When it reached us.
    pub received_at: Timestamp,
    /// When its aggregate may be synced at the earliest.
    pub due: Timestamp,
    /// When it tells that its object was made: the command of ours whose key the making request had, if any.
    pub made_by: Option<CommandId>,
}

static INSERT: &Many = crate::many!(
    "inbox.insert",
    "INSERT INTO events (provider, account, event_id, livemode, type, object, aggregate, mark, api_version, payload,
       sha256, source, created_at, received_at, deliveries)
     VALUES {ROWS OF 15}
     ON CONFLICT (provider, account, event_id) DO NOTHING
     RETURNING provider, account, event_id"
);
static SET_MARK: &Sql = crate::sql!(
    "inbox.set_mark",
    "UPDATE events SET mark = $4 WHERE provider = $1 AND account = $2 AND event_id = $3"
);
static COUNT_DELIVERY: &Sql = crate::sql!(
    "inbox.count_delivery",
    "UPDATE events SET deliveries = deliveries + 1 WHERE provider = $1 AND account = $2 AND event_id = $3 RETURNING aggregate"
);
static UNPARK: &Sql = crate::sql!(
    "inbox.unpark",
    "UPDATE aggregates SET parked_at = NULL, attempts = 0, next_attempt_at = $2 WHERE key = $1 AND parked_at IS NOT NULL"
);

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Stored, and its aggregate marked; unless it only tells what a command of ours was answered already.
    New,
    /// It was here already: only its deliveries were counted, and a parked aggregate was freed.
    Duplicate,
}

/// An event whose aggregate was marked for it, before it is known whether it is new.
struct Marked<'e> {
    event: &'e NewEvent,
    mark: i64,
    new: bool,
}

/// Accepts a batch in one transaction: inserts what is new and marks its aggregates, counts what is not.
/// The answers come in the order of the events. An event that stands twice in one batch is new once.
///
/// Aggregates are marked first, so that an event is written once, with its mark. Where another node stores the same event
/// at this moment, the mark is taken back; nobody else can have seen it.
///
/// # Errors
/// As the database; then nothing of the batch is stored.
pub fn accept(tx: &mut dyn Tx, events: &[NewEvent]) -> Result<Vec<Accepted>> {
    let Some(now) = events.iter().map(|event| event.received_at).max() else { return Ok(Vec::new()) };
    // One order for all nodes, so that two batches cannot wait for each other.
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by_key(|at| events.get(*at).map(|e| (&e.aggregate, &e.event_id, *at)));
    let order: Vec<(usize, &NewEvent)> =
        order.into_iter().filter_map(|at| Some((at, events.get(at)?))).collect();
    let found = find(tx, &order.iter().map(|(_, event)| name_of(event)).collect::<Vec<_>>())?;
    let known = names(&found)?;
    let (mut hinted, mut quiet, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = HashSet::with_capacity(events.len());
    for (at, event) in order {
        let here = known.contains(&name_of(event)) && !mutant::is(Mutant::Dedupe);
        if here || !seen.insert(name_of(event)) {
            again.push(event);
        } else if answered_already(tx, event)? {
            quiet.push((at, event));
        } else {
            hinted.push((at, event));
        }
    }
    let hints: Vec<Hint<'_>> = hinted.iter().map(|(_, event)| hint(event)).collect();
    let marks = aggregates::mark_all(tx, &hints, now)?.into_iter().chain(quiet.iter().map(|_| 0));
    let firsts: Vec<(usize, &NewEvent)> = hinted.iter().chain(&quiet).copied().collect();
    // After all others, so that two batches cannot wait for each other.
    mark_money(tx, &firsts)?;
    let rows: Vec<(usize, &NewEvent, i64)> =
        firsts.into_iter().zip(marks).map(|((at, event), mark)| (at, event, mark)).collect();
    let sets = rows
        .iter()
        .map(|(_, event, mark)| {
            let again = mutant::is(Mutant::Dedupe) && known.contains(&name_of(event));
            insert_params(event, *mark, again)
        })
        .collect();
    let written = tx.query_all(&INSERT.over(&[], sets))?;
    let written = names(&written)?;
    let mut answers = vec![Accepted::Duplicate; events.len()];
    let mut marked = Vec::with_capacity(rows.len());
    for (at, event, mark) in rows {
        let new = written.contains(&name_of(event));
        match answers.get_mut(at) {
            Some(answer) if new => *answer = Accepted::New,
            Some(_) | None => {}
        }
        if !new {
            again.push(event);
        }
        if mark > 0 {
            marked.push(Marked { event, mark, new });
        }
    }
    close_gaps(tx, &marked)?;
    again.sort_by_key(|event| (&event.aggregate, &event.event_id));
    count_again(tx, &again)?;
    Ok(answers)
}

/// Marks the account's money once for all events that are about it. An event that another node stores at this moment
/// marks it needlessly, which is harmless.
fn mark_money(tx: &mut dyn Tx, events: &[(usize, &NewEvent)]) -> Result<()> {
    let mut due: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for (key, at) in events.iter().filter_map(|(_, event)| event.money.as_ref()) {
        let soonest = due.entry(key).or_insert(*at);
        *soonest = (*soonest).min(*at);
    }
    for (key, due) in due {
        let hint = Hint { key, priority: Priority::Event, due, unpark: false, thorough: false };
        aggregates::mark_shared(tx, &hint)?;
    }
    Ok(())
}

/// What nothing else is called: provider, account and event id.
type Name<'a> = (&'a str, &'a str, &'a str);

fn name_of(event: &NewEvent) -> Name<'_> {
    (event.provider, &event.account, &event.event_id)
}

fn names(rows: &[Row]) -> Result<HashSet<Name<'_>>> {
    rows.iter().map(|row| Ok((row.str("provider")?, row.str("account")?, row.str("event_id")?))).collect()
}

/// The names of those that are here already.
fn find(tx: &mut dyn Tx, events: &[Name<'_>]) -> Result<Vec<Row>> {
    let mut of_account: BTreeMap<(&str, &str), Vec<Vec<V>>> = BTreeMap::new();
    for (provider, account, id) in events {
        of_account.entry((provider, account)).or_default().push(vec![V::from(*id)]);
    }
    let work: Vec<(&Sql, Vec<V>)> = of_account
        .into_iter()
        .flat_map(|((provider, account), ids)| KNOWN.over(params![provider, account], ids))
        .collect();
    tx.query_all(&work)
}

/// Takes back the marks of events that were here already, and gives those of the same aggregate that are new the marks
/// that remain. The events of an aggregate stand together.
fn close_gaps(tx: &mut dyn Tx, marked: &[Marked<'_>]) -> Result<()> {
    for group in marked.chunk_by(|a, b| a.event.aggregate == b.event.aggregate) {
        let known: i64 = group.iter().map(|marked| i64::from(!marked.new)).sum();
        let Some(first) = group.first().filter(|_| known > 0) else { continue };
        aggregates::take_back(tx, &first.event.aggregate, known)?;
        for (Marked { event, .. }, mark) in group.iter().filter(|marked| marked.new).zip(first.mark..) {
            tx.exec(SET_MARK, params![event.provider, &event.account, &event.event_id, mark])?;
        }
    }
    Ok(())
}

fn hint(event: &NewEvent) -> Hint<'_> {
    Hint {
        key: &event.aggregate,
        priority: if event.source == "sweep" { Priority::Sweep } else { Priority::Event },
        due: event.due,
        unpark: false,
        thorough: false,
    }
}

/// The creation of what a command of ours has made: its answer was the news, and is recorded. The event stays
/// with mark 0, which every sync has reached. While the answer is not recorded, the event is a hint like any other.
fn answered_already(tx: &mut dyn Tx, event: &NewEvent) -> Result<bool> {
    match (&event.made_by, &event.object) {
        (Some(command), Some(object)) => commands::made(tx, command, object),
        (Some(_) | None, _) => Ok(false),
    }
}

/// The values of a new row; `again` is the mutant's, who stores what is here already under another name.
fn insert_params(e: &NewEvent, mark: i64, again: bool) -> Vec<V> {
    let event_id =
        if again { format!("{} at {}", e.event_id, e.received_at.ms()) } else { e.event_id.clone() };
    params![
        e.provider,
        &e.account,
        event_id,
        e.livemode,
        &e.event_type,
        e.object.clone(),
        &e.aggregate,
        mark,
        e.api_version.clone(),
        &e.payload,
        &e.sha256,
        e.source,
        e.created_at.ms(),
        e.received_at.ms(),
        i64::from(is_delivery(e))
    ]
    .to_vec()
}

/// Whether the provider brought the event, and no sweep found it in its list.
fn is_delivery(event: &NewEvent) -> bool {
    event.source == "webhook"
}

/// A sweep that sees an event again is no delivery, and no person who pressed "resend".
fn count_again(tx: &mut dyn Tx, again: &[&NewEvent]) -> Result<()> {
    for event in again.iter().filter(|event| is_delivery(event)) {
        let rows = tx.query(COUNT_DELIVERY, params![event.provider, &event.account, &event.event_id])?;
        if let Some(row) = rows.first() {
            tx.exec(UNPARK, params![row.text("aggregate")?, event.received_at.ms()])?;
        }
    }
    Ok(())
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Our running number; also the cursor of lists.
    pub seq: i64,
    /// The provider's name.
    pub provider: String,
    /// The connected account, or `self`.
    pub account: String,
    /// The provider's event id.
    pub event_id: String,
    /// Whether it is about real money.
    pub livemode: bool,
    /// The provider's event type.
    pub event_type: String,
    /// The object it is about.
    pub object: Option<String>,
    /// The aggregate it marked.
    pub aggregate: String,
    /// The API version that shaped it.
    pub api_version: Option<String>,
    /// The redacted payload, JSON text.
    pub payload: String,
    /// SHA-256 of the raw body.
    pub sha256: String,
    /// `webhook` or `sweep`.
    pub source: String,
    /// When the provider made it.
    pub created_at: Timestamp,
    /// When it reached us first.
    pub received_at: Timestamp,
    /// How often the provider brought it; none when only a sweep found it.
    pub deliveries: i64,
    /// Whether a sync has answered it.
    pub processed: bool,
    /// Whether its aggregate is parked.
    pub parked: bool,
}

fn read_event(row: &Row) -> Result<EventRow> {
    Ok(EventRow {
        seq: row.i64("seq")?,
        provider: row.text("provider")?,
        account: row.text("account")?,
        event_id: row.text("event_id")?,
        livemode: row.bool("livemode")?,
        event_type: row.text("type")?,
        object: row.opt_text("object")?,
        aggregate: row.text("aggregate")?,
        api_version: row.opt_text("api_version")?,
        payload: row.text("payload")?,
        sha256: row.text("sha256")?,
        source: row.text("source")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
        received_at: Timestamp::from_ms(row.i64("received_at")?),
        deliveries: row.i64("deliveries")?,
        processed: row.i64("done")? >= row.i64("mark")?,
        parked: row.opt_i64("parked_at")?.is_some(),
    })
}

macro_rules! rows_of_events {
    ($which:literal) => {
        concat!(
            "SELECT e.seq, e.provider, e.account, e.event_id, e.livemode, e.type, e.object, e.aggregate, e.mark, e.api_version,
               e.payload, e.sha256, e.source, e.created_at, e.received_at, e.deliveries, COALESCE(a.done, 0) AS done, a.parked_at
             FROM events e LEFT JOIN aggregates a ON a.key = e.aggregate ",
            $which
        )
    };
}

static LIST: &Sql =
    crate::sql!("inbox.list", rows_of_events!("WHERE e.seq < $1 ORDER BY e.seq DESC LIMIT $2"));
static LIST_OF_AGGREGATE: &Sql = crate::sql!(
    "inbox.list_of_aggregate",
    rows_of_events!("WHERE e.aggregate = $3 AND e.seq < $1 ORDER BY e.seq DESC LIMIT $2")
);
static GET: &Sql =
    crate::sql!("inbox.get", rows_of_events!("WHERE e.provider = $1 AND e.account = $2 AND e.event_id = $3"));
// The unique key begins with provider and account, so other accounts are ranges of it; mostly empty ones.
static GET_OF_ANOTHER: &Sql = crate::sql!(
    "inbox.get_of_another",
    rows_of_events!(
        "WHERE e.provider = $1 AND (e.account < $2 OR e.account > $2) AND e.event_id = $3 ORDER BY e.seq LIMIT 1"
    )
);
static HINTS: &Sql = crate::sql!(
    "inbox.hints",
    "SELECT event_id, type, object FROM events WHERE aggregate = $1 AND mark > $2 AND mark <= $3 ORDER BY mark LIMIT $4"
);
static KINDS: &Sql = crate::sql!(
    "inbox.kinds",
    "SELECT DISTINCT type FROM events WHERE aggregate = $1 AND mark > $2 AND mark <= $3"
);
static INVOICES: &Sql = crate::sql!(
    "inbox.invoices",
    "SELECT DISTINCT object FROM events WHERE aggregate = $1 AND mark > $2 AND mark <= $3 AND type LIKE 'invoice.%' AND object IS NOT NULL
     ORDER BY object LIMIT $4"
);
static SWEPT: &Sql = crate::sql!(
    "inbox.swept",
    "SELECT aggregate, event_id, created_at, received_at FROM events WHERE source = 'sweep' AND received_at >= $1
     ORDER BY created_at DESC, seq LIMIT $2"
);
static KNOWN: &Many = crate::many!(
    "inbox.known",
    "SELECT provider, account, event_id FROM events WHERE provider = $1 AND account = $2 AND event_id IN ({ROWS FROM $3})"
);

/// An event that a sweep found in the provider's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweptEvent {
    /// The aggregate it marked.
    pub aggregate: String,
    /// The provider's event id.
    pub event_id: String,
    /// When the provider made it.
    pub created_at: Timestamp,
    /// When the sweep found it.
    pub received_at: Timestamp,
}

/// What sweeps have found in the provider's list since `since`, newest first.
///
/// # Errors
/// As the database.
pub fn swept(tx: &mut dyn Tx, since: Timestamp, limit: i64) -> Result<Vec<SweptEvent>> {
    let read = |row: &Row| {
        Ok(SweptEvent {
            aggregate: row.text("aggregate")?,
            event_id: row.text("event_id")?,
            created_at: Timestamp::from_ms(row.i64("created_at")?),
            received_at: Timestamp::from_ms(row.i64("received_at")?),
        })
    };
    tx.query(SWEPT, params![since.ms(), limit])?.iter().map(read).collect()
}

/// Events before `cursor` (exclusive; `i64::MAX` for the newest), newest first, of one aggregate or of all.
///
/// # Errors
/// As the database.
pub fn list(tx: &mut dyn Tx, cursor: i64, aggregate: Option<&str>, limit: i64) -> Result<Vec<EventRow>> {
    let rows = match aggregate {
        None => tx.query(LIST, params![cursor, limit]),
        Some(aggregate) => tx.query(LIST_OF_AGGREGATE, params![cursor, limit, aggregate]),
    };
    rows?.iter().map(read_event).collect()
}

/// One event by the provider's id, of `account` rather than of another one.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, provider: &str, account: &str, event_id: &str) -> Result<Option<EventRow>> {
    let key = params![provider, account, event_id];
    let own = tx.query(GET, key)?;
    let rows = if own.is_empty() { tx.query(GET_OF_ANOTHER, key)? } else { own };
    rows.first().map(read_event).transpose()
}

/// Causes of a sync that are told at most; with as many there may be more.
pub const MOST_HINTS: i64 = 50;

/// An event as a cause of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hinted {
    /// The provider's id of the event.
    pub event: String,
    /// Its type.
    pub kind: String,
    /// The provider's id of what it is about, where the event names one.
    pub object: Option<String>,
}

/// The events of an aggregate whose marks lie in `(after, upto]`: the causes of a sync, the oldest [`MOST_HINTS`].
///
/// # Errors
/// As the database.
pub fn hints_between(tx: &mut dyn Tx, aggregate: &str, after: i64, upto: i64) -> Result<Vec<Hinted>> {
    let rows = tx.query(HINTS, params![aggregate, after, upto, MOST_HINTS])?;
    let hinted = rows.iter().map(|row| {
        Ok(Hinted { event: row.text("event_id")?, kind: row.text("type")?, object: row.opt_text("object")? })
    });
    hinted.collect()
}

/// The types of all events of an aggregate whose marks lie in `(after, upto]`, each once.
///
/// # Errors
/// As the database.
pub fn kinds_between(tx: &mut dyn Tx, aggregate: &str, after: i64, upto: i64) -> Result<Vec<String>> {
    tx.query(KINDS, params![aggregate, after, upto])?.iter().map(|row| row.text("type")).collect()
}

/// The invoices that the events of an aggregate whose marks lie in `(after, upto]` are about, at most `limit`.
///
/// # Errors
/// As the database.
pub fn invoices_between(
    tx: &mut dyn Tx,
    aggregate: &str,
    after: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<String>> {
    let rows = tx.query(INVOICES, params![aggregate, after, upto, limit])?;
    rows.iter().map(|row| row.text("object")).collect()
}

/// Which of these events have not reached us.
///
/// # Errors
/// As the database.
pub fn missing<'a>(tx: &mut dyn Tx, provider: &str, account: &str, ids: &[&'a str]) -> Result<Vec<&'a str>> {
    let found = find(tx, &ids.iter().map(|id| (provider, account, *id)).collect::<Vec<_>>())?;
    let found = names(&found)?;
    Ok(ids.iter().copied().filter(|id| !found.contains(&(provider, account, *id))).collect())
}
