//! Where the app listens: addresses, the types that each wants, and their secrets as the engine encrypted them.

use quittance_domain::app_event::AppEventType;
use quittance_domain::{Timestamp, WebhookEndpointId};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// Its id.
    pub id: WebhookEndpointId,
    /// Where it listens.
    pub url: String,
    /// What an operator calls it.
    pub description: String,
    /// The types that it wants; empty for all.
    pub types: Vec<AppEventType>,
    /// Its secret, encrypted.
    pub secret: String,
    /// The secret before, encrypted.
    pub old_secret: Option<String>,
    /// Until when the secret before signs as well.
    pub old_secret_until: Option<Timestamp>,
    /// When it was switched off.
    pub disabled_at: Option<Timestamp>,
    /// Why it was switched off.
    pub disabled_why: Option<String>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// The API key or command that made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an operator changed it last.
    pub updated_at: Timestamp,
}

impl EndpointRow {
    /// Whether it is to be told of such a change.
    #[must_use]
    pub fn wants(&self, kind: AppEventType) -> bool {
        let chosen = if self.types.is_empty() { kind.by_default() } else { self.types.contains(&kind) };
        self.disabled_at.is_none() && chosen
    }
}

static PUT: &Sql = crate::sql!(
    "webhook_endpoints.put",
    "INSERT INTO webhook_endpoints (id, url, description, types, secret, created_by, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (id) DO NOTHING"
);
static UPDATE: &Sql = crate::sql!(
    "webhook_endpoints.update",
    "UPDATE webhook_endpoints SET url = $2, description = $3, types = $4, secret = $5, old_secret = $6,
       old_secret_until = $7, disabled_at = $8, disabled_why = $9, failing_since = $10, updated_at = $11
     WHERE id = $1"
);
static GET: &Sql = crate::sql!(
    "webhook_endpoints.get",
    "SELECT id, url, description, types, secret, old_secret, old_secret_until, disabled_at, disabled_why, failing_since,
       created_by, created_at, updated_at FROM webhook_endpoints WHERE id = $1 {FOR_UPDATE}"
);
static FIND: &Sql = crate::sql!(
    "webhook_endpoints.find",
    "SELECT id, url, description, types, secret, old_secret, old_secret_until, disabled_at, disabled_why, failing_since,
       created_by, created_at, updated_at FROM webhook_endpoints WHERE id = $1"
);
static LIST: &Sql = crate::sql!(
    "webhook_endpoints.list",
    "SELECT id, url, description, types, secret, old_secret, old_secret_until, disabled_at, disabled_why, failing_since,
       created_by, created_at, updated_at FROM webhook_endpoints ORDER BY created_at, id LIMIT 1000"
);
static DELETE: &Sql = crate::sql!("webhook_endpoints.delete", "DELETE FROM webhook_endpoints WHERE id = $1");

fn words(types: &[AppEventType]) -> String {
    let words: Vec<&str> = types.iter().map(|kind| kind.as_str()).collect();
    words.join(",")
}

/// Writes an endpoint down; `false` when one with this id is there already.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, endpoint: &EndpointRow) -> Result<bool> {
    let new = tx.exec(
        PUT,
        params![
            endpoint.id.as_str(),
            &endpoint.url,
            &endpoint.description,
            words(&endpoint.types),
            &endpoint.secret,
            &endpoint.created_by,
            endpoint.created_at.ms()
        ],
    )?;
    Ok(new == 1)
}

/// Replaces everything of an endpoint but its id and its making; `false` when there is none.
///
/// # Errors
/// As the database.
pub fn update(tx: &mut dyn Tx, endpoint: &EndpointRow) -> Result<bool> {
    let changed = tx.exec(
        UPDATE,
        params![
            endpoint.id.as_str(),
            &endpoint.url,
            &endpoint.description,
            words(&endpoint.types),
            &endpoint.secret,
            endpoint.old_secret.clone(),
            endpoint.old_secret_until.map(Timestamp::ms),
            endpoint.disabled_at.map(Timestamp::ms),
            endpoint.disabled_why.clone(),
            endpoint.failing_since.map(Timestamp::ms),
            endpoint.updated_at.ms()
        ],
    )?;
    Ok(changed == 1)
}

/// One endpoint, locked until the transaction ends.
///
/// # Errors
/// As the database.
pub fn lock(tx: &mut dyn Tx, id: &str) -> Result<Option<EndpointRow>> {
    tx.query(GET, params![id])?.first().map(read).transpose()
}

/// One endpoint.
///
/// # Errors
/// As the database.
pub fn find(tx: &mut dyn Tx, id: &str) -> Result<Option<EndpointRow>> {
    tx.query(FIND, params![id])?.first().map(read).transpose()
}

/// All endpoints, oldest first.
///
/// # Errors
/// As the database.
pub fn list(tx: &mut dyn Tx) -> Result<Vec<EndpointRow>> {
    tx.query(LIST, params![])?.iter().map(read).collect()
}

/// Removes an endpoint; `false` when there is none.
///
/// # Errors
/// As the database.
pub fn delete(tx: &mut dyn Tx, id: &str) -> Result<bool> {
    Ok(tx.exec(DELETE, params![id])? == 1)
}

fn read(row: &Row) -> Result<EndpointRow> {
    let time =
        |column: &'static str| Ok::<_, crate::StoreError>(row.opt_i64(column)?.map(Timestamp::from_ms));
    let types = row.text("types")?;
    Ok(EndpointRow {
        id: json::parsed("id", &row.text("id")?, WebhookEndpointId::parse)?,
        url: row.text("url")?,
        description: row.text("description")?,
        types: types.split(',').filter_map(AppEventType::parse).collect(),
        secret: row.text("secret")?,
        old_secret: row.opt_text("old_secret")?,
        old_secret_until: time("old_secret_until")?,
        disabled_at: time("disabled_at")?,
        disabled_why: row.opt_text("disabled_why")?,
        failing_since: time("failing_since")?,
        created_by: row.text("created_by")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
        updated_at: Timestamp::from_ms(row.i64("updated_at")?),
    })
}
