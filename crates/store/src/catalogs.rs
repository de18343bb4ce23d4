//! Catalogs that were in force, and the provider's prices that ever meant a plan.

use quittance_domain::catalog::Interval;
use quittance_domain::ids::PlanGroup;
use quittance_domain::past::KnownPrice;
use quittance_domain::{Currency, Money, PlanKey, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A catalog that came into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The digest of its content.
    pub version: String,
    /// Its text.
    pub text: String,
    /// When it came into force.
    pub since: Timestamp,
}

static PUT_VERSION: &Sql = crate::sql!(
    "catalogs.put_version",
    "INSERT INTO catalog_versions (version, text, created_at) VALUES ($1, $2, $3) ON CONFLICT (version) DO NOTHING"
);
static NEWEST: &Sql = crate::sql!(
    "catalogs.newest",
    "SELECT version FROM catalogs_in_force WHERE seq = (SELECT MAX(seq) FROM catalogs_in_force)"
);
static PUT_IN_FORCE: &Sql =
    crate::sql!("catalogs.put_in_force", "INSERT INTO catalogs_in_force (version, since) VALUES ($1, $2)");
static IN_FORCE: &Sql = crate::sql!(
    "catalogs.in_force",
    "SELECT f.version, v.text, f.since FROM catalogs_in_force f JOIN catalog_versions v ON v.version = f.version
     ORDER BY f.seq"
);
static KNOW: &Sql = crate::sql!(
    "catalogs.know",
    "INSERT INTO known_prices (scope, price, lookup_key, plan, plan_group, charged, amount, currency, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (scope, price) DO NOTHING"
);
static KNOWN: &Sql = crate::sql!(
    "catalogs.known",
    "SELECT price, lookup_key, plan, plan_group, charged, amount, currency FROM known_prices
     WHERE scope = $1 AND price = $2"
);
static HOLDERS: &Sql = crate::sql!(
    "catalogs.holders",
    "SELECT plan, COUNT(*) AS holders FROM holdings WHERE source_type = 'subscription'
     AND standing NOT LIKE '%revoked%' GROUP BY plan"
);

/// Writes down that a catalog is in force from now on; `false` when it was already.
///
/// # Errors
/// As the database.
pub fn put_in_force(tx: &mut dyn Tx, version: &str, text: &str, now: Timestamp) -> Result<bool> {
    tx.exec(PUT_VERSION, params![version, text, now.ms()])?;
    let newest = tx.query(NEWEST, params![])?.first().map(|row| row.text("version")).transpose()?;
    if newest.as_deref() == Some(version) {
        return Ok(false);
    }
    tx.exec(PUT_IN_FORCE, params![version, now.ms()])?;
    Ok(true)
}

/// Every catalog that was in force, oldest first.
///
/// # Errors
/// As the database.
pub fn in_force(tx: &mut dyn Tx) -> Result<Vec<InForce>> {
    let read = |row: &Row| {
        Ok(InForce {
            version: row.text("version")?,
            text: row.text("text")?,
            since: Timestamp::from_ms(row.i64("since")?),
        })
    };
    tx.query(IN_FORCE, params![])?.iter().map(read).collect()
}

/// Remembers what one of the provider's prices means. What was remembered first stays.
///
/// # Errors
/// As the database.
pub fn know(tx: &mut dyn Tx, scope: &str, known: &KnownPrice, now: Timestamp) -> Result<()> {
    tx.exec(
        KNOW,
        params![
            scope,
            &known.price,
            &known.lookup_key,
            known.plan.as_str(),
            known.group.as_str(),
            known.interval.as_str(),
            known.amount.minor,
            known.amount.currency.code(),
            now.ms()
        ],
    )?;
    Ok(())
}

/// What one of the provider's prices meant, if it ever meant a plan.
///
/// # Errors
/// As the database.
pub fn known(tx: &mut dyn Tx, scope: &str, price: &str) -> Result<Option<KnownPrice>> {
    let read = |row: &Row| {
        let currency = json::parsed("currency", &row.text("currency")?, Currency::parse)?;
        Ok(KnownPrice {
            price: row.text("price")?,
            lookup_key: row.text("lookup_key")?,
            plan: json::parsed("plan", &row.text("plan")?, PlanKey::parse)?,
            group: json::parsed("plan_group", &row.text("plan_group")?, PlanGroup::parse)?,
            interval: json::parsed("charged", &row.text("charged")?, |text| {
                Interval::parse(text).ok_or("not an interval")
            })?,
            amount: Money::new(row.i64("amount")?, currency),
        })
    };
    tx.query(KNOWN, params![scope, price])?.first().map(read).transpose()
}

/// How many subscriptions that give access each plan has.
///
/// # Errors
/// As the database.
pub fn holders(tx: &mut dyn Tx) -> Result<Vec<(String, i64)>> {
    tx.query(HOLDERS, params![])?.iter().map(|row| Ok((row.text("plan")?, row.i64("holders")?))).collect()
}
