//! Quotes: what a change was said to cost, kept until it is made or too old.

use quittance_domain::{QuoteId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;

/// A quote as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteRow {
    /// Its id.
    pub id: QuoteId,
    /// Provider, mode and account.
    pub scope: String,
    /// The subscription that it is about.
    pub subscription: String,
    /// What was said, as JSON.
    pub data: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
}

impl QuoteRow {
    /// Whether it was refused once: then it holds for nobody any more, whatever a node's clock says.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.expires_at <= self.created_at
    }
}

static PUT: &Sql = crate::sql!(
    "quotes.put",
    "INSERT INTO quotes (id, scope, subscription, data, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)"
);
static GET: &Sql = crate::sql!(
    "quotes.get",
    "SELECT id, scope, subscription, data, created_at, expires_at FROM quotes WHERE id = $1"
);
static LOCK: &Sql = crate::sql!(
    "quotes.lock",
    "SELECT id, scope, subscription, data, created_at, expires_at FROM quotes WHERE id = $1 {FOR_UPDATE}"
);
static CLOSE: &Sql = crate::sql!("quotes.close", "UPDATE quotes SET expires_at = created_at WHERE id = $1");
static PRUNE: &Sql = crate::sql!("quotes.prune", "DELETE FROM quotes WHERE expires_at < $1");

/// Keeps a quote.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, quote: &QuoteRow) -> Result<()> {
    tx.exec(
        PUT,
        params![
            quote.id.as_str(),
            &quote.scope,
            &quote.subscription,
            &quote.data,
            quote.created_at.ms(),
            quote.expires_at.ms()
        ],
    )?;
    Ok(())
}

/// One quote.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, id: &QuoteId) -> Result<Option<QuoteRow>> {
    one(tx, GET, id)
}

/// One quote; concurrent decisions about it wait for each other.
///
/// # Errors
/// As the database.
pub fn lock(tx: &mut dyn Tx, id: &QuoteId) -> Result<Option<QuoteRow>> {
    one(tx, LOCK, id)
}

/// Lets a quote hold no longer.
///
/// # Errors
/// As the database.
pub fn close(tx: &mut dyn Tx, id: &QuoteId) -> Result<()> {
    tx.exec(CLOSE, params![id.as_str()])?;
    Ok(())
}

fn one(tx: &mut dyn Tx, sql: &'static Sql, id: &QuoteId) -> Result<Option<QuoteRow>> {
    let rows = tx.query(sql, params![id.as_str()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(QuoteRow {
        id: id.clone(),
        scope: row.text("scope")?,
        subscription: row.text("subscription")?,
        data: row.text("data")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
        expires_at: Timestamp::from_ms(row.i64("expires_at")?),
    }))
}

/// Drops quotes that ran out before `before`.
///
/// # Errors
/// As the database.
pub fn prune(tx: &mut dyn Tx, before: Timestamp) -> Result<u64> {
    tx.exec(PRUNE, params![before.ms()])
}
