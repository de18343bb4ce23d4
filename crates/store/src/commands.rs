//! Commands: changes that we ask a provider to make, written down before they are sent.
//!
//! The idempotency key is unique: the same wish is one row, whoever has it and however often. Commands on one
//! object go one after the other, in the order in which they were written. Each statement is a transition of
//! `quittance_domain::command` made atomic; `transitions_tests` holds both side by side.

pub use quittance_domain::command::CommandState;
use quittance_domain::ids::LeaseToken;
use quittance_domain::{CommandId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// Its id.
    pub id: CommandId,
    /// The key that the provider gets with it.
    pub idempotency_key: String,
    /// Its kind, a stable word.
    pub kind: String,
    /// The object that it changes.
    pub object: String,
    /// The aggregate to look at afterwards.
    pub aggregate: Option<String>,
    /// The customer it is for.
    pub customer: Option<String>,
    /// What to ask, JSON.
    pub request: String,
    /// Where it stands.
    pub state: CommandState,
    /// What the provider answered, JSON.
    pub result: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was sent for the first time.
    pub first_sent_at: Option<Timestamp>,
    /// When it is tried next.
    pub next_attempt_at: Timestamp,
    /// Until when somebody works on it.
    pub lease_until: Option<Timestamp>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Since when it waits for an operator.
    pub parked_at: Option<Timestamp>,
    /// When it was written down.
    pub created_at: Timestamp,
}

/// A command to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    /// The key derived from what is wanted.
    pub idempotency_key: String,
    /// Its kind.
    pub kind: &'static str,
    /// The object that it changes.
    pub object: String,
    /// The aggregate to look at afterwards.
    pub aggregate: Option<String>,
    /// The customer it is for.
    pub customer: Option<String>,
    /// What to ask, JSON.
    pub request: String,
}

impl NewCommand {
    /// Its id follows from its key.
    #[must_use]
    pub fn id(&self) -> CommandId {
        id_of(&self.idempotency_key)
    }
}

/// The id of the command that a key belongs to, if it is a command's at all.
#[must_use]
pub fn id_of(idempotency_key: &str) -> CommandId {
    CommandId::derived(&["command", idempotency_key])
}

// Of two that insert the same at once PostgreSQL may see the id meet before the key: no constraint is named.
static INSERT: &Sql = crate::sql!(
    "commands.insert",
    "INSERT INTO commands (id, idempotency_key, kind, object, aggregate, customer, request, state, attempts, next_attempt_at, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', 0, $8,
       CASE WHEN EXISTS (SELECT 1 FROM commands WHERE object = $4 AND created_at >= $8)
         THEN (SELECT MAX(created_at) + 1 FROM commands WHERE object = $4) ELSE $8 END)
     ON CONFLICT DO NOTHING"
);
static GET: &Sql = crate::sql!(
    "commands.get",
    "SELECT id, idempotency_key, kind, object, aggregate, customer, request, state, result, attempts, first_sent_at, next_attempt_at,
       lease_until, last_error, parked_at, created_at
     FROM commands WHERE id = $1"
);
static CLAIM_ONE: &Sql = crate::sql!(
    "commands.claim_one",
    "UPDATE commands SET lease_token = $2, lease_until = $3, attempts = attempts + 1,
       first_sent_at = COALESCE(first_sent_at, $4)
     WHERE id = $1 AND state = 'pending' AND (lease_until IS NULL OR lease_until <= $4)
       AND NOT EXISTS (SELECT 1 FROM commands AS older
         WHERE older.object = commands.object AND older.state = 'pending' AND older.created_at < commands.created_at)"
);
static DUE: &Sql = crate::sql!(
    "commands.due",
    "SELECT id FROM commands
     WHERE state = 'pending' AND parked_at IS NULL AND next_attempt_at <= $1 AND (lease_until IS NULL OR lease_until <= $1)
       AND NOT EXISTS (SELECT 1 FROM commands AS older
         WHERE older.object = commands.object AND older.state = 'pending' AND older.created_at < commands.created_at)
     ORDER BY next_attempt_at LIMIT $2"
);
static FINISH: &Sql = crate::sql!(
    "commands.finish",
    "UPDATE commands SET state = $3, result = $4, last_error = $5, finished_at = $6, lease_token = NULL, lease_until = NULL
     WHERE id = $1 AND lease_token = $2 AND state = 'pending'"
);
static RETRY: &Sql = crate::sql!(
    "commands.retry",
    "UPDATE commands SET next_attempt_at = $3, last_error = $4, lease_token = NULL, lease_until = NULL
     WHERE id = $1 AND lease_token = $2 AND state = 'pending'"
);
static PARK: &Sql = crate::sql!(
    "commands.park",
    "UPDATE commands SET parked_at = $3, last_error = $4, lease_token = NULL, lease_until = NULL
     WHERE id = $1 AND lease_token = $2 AND state = 'pending'"
);
static UNPARK: &Sql = crate::sql!(
    "commands.unpark",
    "UPDATE commands SET parked_at = NULL, next_attempt_at = $2, attempts = 0
     WHERE id = $1 AND state = 'pending' AND parked_at IS NOT NULL"
);
static PARKED: &Sql = crate::sql!(
    "commands.parked",
    "SELECT id, idempotency_key, kind, object, aggregate, customer, request, state, result, attempts, first_sent_at, next_attempt_at,
       lease_until, last_error, parked_at, created_at
     FROM commands WHERE parked_at IS NOT NULL AND state = 'pending' ORDER BY parked_at DESC, id LIMIT $1"
);
static OF_CUSTOMER: &Sql = crate::sql!(
    "commands.of_customer",
    "SELECT id, idempotency_key, kind, object, aggregate, customer, request, state, result, attempts, first_sent_at, next_attempt_at,
       lease_until, last_error, parked_at, created_at
     FROM commands WHERE customer = $1 ORDER BY created_at DESC, id LIMIT $2"
);

static NEXT_DUE: &Sql = crate::sql!(
    "commands.next_due",
    "SELECT MIN(CASE WHEN lease_until IS NOT NULL AND lease_until > next_attempt_at THEN lease_until ELSE next_attempt_at END) AS due
     FROM commands WHERE state = 'pending' AND parked_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM commands AS older
         WHERE older.object = commands.object AND older.state = 'pending' AND older.created_at < commands.created_at)"
);

/// When the next command may be carried out, if one is waiting.
///
/// # Errors
/// As the database.
pub fn next_due(tx: &mut dyn Tx) -> Result<Option<Timestamp>> {
    Ok(tx.query_one(NEXT_DUE, params![])?.opt_i64("due")?.map(Timestamp::from_ms))
}

static OF_OBJECT: &Sql = crate::sql!(
    "commands.of_object",
    "SELECT id, idempotency_key, kind, object, aggregate, customer, request, state, result, attempts, first_sent_at, next_attempt_at,
       lease_until, last_error, parked_at, created_at
     FROM commands WHERE object = $1 ORDER BY created_at, id LIMIT 1000"
);

/// All commands on an object, oldest first.
///
/// # Errors
/// As the database.
pub fn of_object(tx: &mut dyn Tx, object: &str) -> Result<Vec<CommandRow>> {
    tx.query(OF_OBJECT, params![object])?.iter().map(read).collect()
}

static COUNT: &Sql = crate::sql!("commands.count", "SELECT COUNT(*) AS n FROM commands WHERE object = $1");
static NEWEST: &Sql = crate::sql!(
    "commands.newest",
    "SELECT id, idempotency_key, kind, object, aggregate, customer, request, state, result, attempts, first_sent_at, next_attempt_at,
       lease_until, last_error, parked_at, created_at
     FROM commands WHERE object = $1 ORDER BY created_at DESC, id LIMIT 1"
);
static HEAD: &Sql = crate::sql!(
    "commands.head",
    "SELECT older.id FROM commands JOIN commands AS older ON older.object = commands.object
     WHERE commands.id = $1 AND older.state = 'pending' AND older.created_at < commands.created_at
     ORDER BY older.created_at, older.id LIMIT 1"
);

/// What was asked of an object so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How many commands: the next one's turn, and part of its key.
    pub count: i64,
    /// The newest of them.
    pub newest: Option<CommandRow>,
}

/// What was asked of an object so far: another wish, or the same one later, is another command.
///
/// # Errors
/// As the database.
pub fn asked(tx: &mut dyn Tx, object: &str) -> Result<Asked> {
    let newest = tx.query(NEWEST, params![object])?.first().map(read).transpose()?;
    Ok(Asked { count: tx.query_one(COUNT, params![object])?.i64("n")?, newest })
}

/// The oldest unfinished command that a command must wait for, if there is one.
///
/// # Errors
/// As the database.
pub fn head(tx: &mut dyn Tx, id: &CommandId) -> Result<Option<CommandId>> {
    let rows = tx.query(HEAD, params![id.as_str()])?;
    rows.first().map(|row| json::parsed("id", &row.text("id")?, CommandId::parse)).transpose()
}

/// Writes a command down unless its wish is there already; `true` when it is new. It is younger than every other
/// on its object, whatever this node's clock says.
///
/// # Errors
/// As the database.
pub fn insert(tx: &mut dyn Tx, command: &NewCommand, now: Timestamp) -> Result<bool> {
    let new = tx.exec(
        INSERT,
        params![
            command.id().as_str(),
            &command.idempotency_key,
            command.kind,
            &command.object,
            command.aggregate.clone(),
            command.customer.clone(),
            &command.request,
            now.ms()
        ],
    )?;
    Ok(new == 1)
}

fn read(row: &Row) -> Result<CommandRow> {
    let time =
        |column: &'static str| Ok::<_, crate::StoreError>(row.opt_i64(column)?.map(Timestamp::from_ms));
    Ok(CommandRow {
        id: json::parsed("id", &row.text("id")?, CommandId::parse)?,
        idempotency_key: row.text("idempotency_key")?,
        kind: row.text("kind")?,
        object: row.text("object")?,
        aggregate: row.opt_text("aggregate")?,
        customer: row.opt_text("customer")?,
        request: row.text("request")?,
        state: json::parsed("state", &row.text("state")?, |text| match text {
            "pending" => Ok(CommandState::Pending),
            "succeeded" => Ok(CommandState::Succeeded),
            "failed" => Ok(CommandState::Failed),
            other => Err(format!("`{other}` is not a command state")),
        })?,
        result: row.opt_text("result")?,
        attempts: row.i64("attempts")?,
        first_sent_at: time("first_sent_at")?,
        next_attempt_at: Timestamp::from_ms(row.i64("next_attempt_at")?),
        lease_until: time("lease_until")?,
        last_error: row.opt_text("last_error")?,
        parked_at: time("parked_at")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
    })
}

/// One command.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, id: &CommandId) -> Result<Option<CommandRow>> {
    tx.query(GET, params![id.as_str()])?.first().map(read).transpose()
}

/// Whether a command has made this object of the provider's, and its answer is recorded.
///
/// # Errors
/// As the database.
pub fn made(tx: &mut dyn Tx, id: &CommandId, object: &str) -> Result<bool> {
    #[derive(serde::Deserialize)]
    struct Answer {
        id: String,
    }
    let Some(row) = get(tx, id)?.filter(|row| row.state == CommandState::Succeeded) else { return Ok(false) };
    let answer = row.result.as_deref().map(serde_json::from_str::<Answer>);
    Ok(matches!(answer, Some(Ok(answer)) if answer.id == object))
}

/// Takes a command to work on it; `None` when it is over, somebody else works on it, or an older one on its
/// object is unfinished.
///
/// # Errors
/// As the database.
pub fn claim(
    tx: &mut dyn Tx,
    id: &CommandId,
    token: &LeaseToken,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<CommandRow>> {
    let claimed = tx.exec(CLAIM_ONE, params![id.as_str(), token.as_str(), until.ms(), now.ms()])?;
    if claimed == 1 { get(tx, id) } else { Ok(None) }
}

/// Commands that are due, that nobody works on, and that wait for no older one.
///
/// # Errors
/// As the database.
pub fn due(tx: &mut dyn Tx, now: Timestamp, limit: i64) -> Result<Vec<CommandId>> {
    let rows = tx.query(DUE, params![now.ms(), limit])?;
    rows.iter().map(|row| json::parsed("id", &row.text("id")?, CommandId::parse)).collect()
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider did it and answered this JSON.
    Succeeded(String),
    /// The provider refused it for good; JSON for callers, and a line for operators.
    Failed(String, String),
}

/// Records the end of a command that we hold; `false` when the lease was lost.
///
/// # Errors
/// As the database.
pub fn finish(
    tx: &mut dyn Tx,
    id: &CommandId,
    token: &LeaseToken,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<bool> {
    let (state, result, error) = match outcome {
        Outcome::Succeeded(result) => ("succeeded", result, None),
        Outcome::Failed(result, error) => ("failed", result, Some(error.as_str())),
    };
    Ok(tx.exec(FINISH, params![id.as_str(), token.as_str(), state, result, error, now.ms()])? == 1)
}

/// Gives a command back, to be tried again at `next`.
///
/// # Errors
/// As the database.
pub fn retry(
    tx: &mut dyn Tx,
    id: &CommandId,
    token: &LeaseToken,
    next: Timestamp,
    error: &str,
) -> Result<bool> {
    Ok(tx.exec(RETRY, params![id.as_str(), token.as_str(), next.ms(), error])? == 1)
}

/// Sets a command aside for an operator.
///
/// # Errors
/// As the database.
pub fn park(
    tx: &mut dyn Tx,
    id: &CommandId,
    token: &LeaseToken,
    now: Timestamp,
    error: &str,
) -> Result<bool> {
    Ok(tx.exec(PARK, params![id.as_str(), token.as_str(), now.ms(), error])? == 1)
}

/// Lets a parked command be tried again; `false` when it is not parked.
///
/// # Errors
/// As the database.
pub fn unpark(tx: &mut dyn Tx, id: &CommandId, now: Timestamp) -> Result<bool> {
    Ok(tx.exec(UNPARK, params![id.as_str(), now.ms()])? == 1)
}

/// Commands that wait for an operator, newest first.
///
/// # Errors
/// As the database.
pub fn parked(tx: &mut dyn Tx, limit: i64) -> Result<Vec<CommandRow>> {
    tx.query(PARKED, params![limit])?.iter().map(read).collect()
}

static OF_CUSTOMER_AND_KIND: &Sql = crate::sql!(
    "commands.of_customer_and_kind",
    "SELECT id, idempotency_key, kind, object, aggregate, customer, request, state, result, attempts, first_sent_at, next_attempt_at,
       lease_until, last_error, parked_at, created_at
     FROM commands WHERE customer = $1 AND kind = $2 ORDER BY created_at, id"
);

/// All commands of one kind for a customer, oldest first.
///
/// # Errors
/// As the database.
pub fn of_customer_and_kind(tx: &mut dyn Tx, customer: &str, kind: &str) -> Result<Vec<CommandRow>> {
    tx.query(OF_CUSTOMER_AND_KIND, params![customer, kind])?.iter().map(read).collect()
}

/// A customer's commands, newest first.
///
/// # Errors
/// As the database.
pub fn of_customer(tx: &mut dyn Tx, customer: &str, limit: i64) -> Result<Vec<CommandRow>> {
    tx.query(OF_CUSTOMER, params![customer, limit])?.iter().map(read).collect()
}
