//! Who is shut out, where checkouts come from, and which cards failed.

use quittance_domain::fraud::{CardAttempt, Level};
use quittance_domain::{CheckoutId, CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A customer who is, or was, shut out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspensionRow {
    /// Who.
    pub customer: CustomerId,
    /// How far.
    pub level: Level,
    /// Why.
    pub reason: String,
    /// Which key, command line or rule did it.
    pub set_by: String,
    /// Since when.
    pub since: Timestamp,
    /// When it was lifted.
    pub lifted_at: Option<Timestamp>,
    /// When a person let the customer in again last, in whole or in part, from this one or one before.
    pub let_in_at: Option<Timestamp>,
}

static PUT: &Sql = crate::sql!(
    "fraud.suspend",
    "INSERT INTO suspensions (customer, level, reason, set_by, since, let_in_at) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (customer) DO UPDATE SET level = $2, reason = $3, set_by = $4, since = $5, let_in_at = $6, lifted_at = NULL"
);
static LIFT: &Sql = crate::sql!(
    "fraud.lift",
    "UPDATE suspensions SET lifted_at = $2, let_in_at = $2 WHERE customer = $1 AND lifted_at IS NULL"
);
static GET: &Sql = crate::sql!(
    "fraud.suspension",
    "SELECT customer, level, reason, set_by, since, lifted_at, let_in_at FROM suspensions WHERE customer = $1"
);
static LIST: &Sql = crate::sql!(
    "fraud.suspensions",
    "SELECT customer, level, reason, set_by, since, lifted_at, let_in_at FROM suspensions WHERE lifted_at IS NULL AND customer > $1
     ORDER BY customer LIMIT $2"
);

fn read(row: &Row) -> Result<SuspensionRow> {
    Ok(SuspensionRow {
        customer: json::parsed("customer", &row.text("customer")?, CustomerId::parse)?,
        level: json::parsed("level", &row.text("level")?, |text| Level::parse(text).ok_or("not a level"))?,
        reason: row.text("reason")?,
        set_by: row.text("set_by")?,
        since: Timestamp::from_ms(row.i64("since")?),
        lifted_at: row.opt_i64("lifted_at")?.map(Timestamp::from_ms),
        let_in_at: row.opt_i64("let_in_at")?.map(Timestamp::from_ms),
    })
}

/// Shuts a customer out, in place of what stood.
///
/// # Errors
/// As the database.
pub fn suspend(tx: &mut dyn Tx, row: &SuspensionRow) -> Result<()> {
    let SuspensionRow { customer, level, reason, set_by, since, let_in_at, lifted_at: _ } = row;
    let let_in_at = let_in_at.map(Timestamp::ms);
    tx.exec(PUT, params![customer.as_str(), level.as_str(), reason, set_by, since.ms(), let_in_at])?;
    Ok(())
}

/// Lifts what stands; `false` when nothing does.
///
/// # Errors
/// As the database.
pub fn lift(tx: &mut dyn Tx, customer: &CustomerId, now: Timestamp) -> Result<bool> {
    Ok(tx.exec(LIFT, params![customer.as_str(), now.ms()])? == 1)
}

/// What is or was done to a customer last.
///
/// # Errors
/// As the database.
pub fn suspension(tx: &mut dyn Tx, customer: &str) -> Result<Option<SuspensionRow>> {
    tx.query(GET, params![customer])?.first().map(read).transpose()
}

/// What stands now.
///
/// # Errors
/// As the database.
pub fn standing(tx: &mut dyn Tx, customer: &str) -> Result<Option<SuspensionRow>> {
    Ok(suspension(tx, customer)?.filter(|row| row.lifted_at.is_none()))
}

/// Customers who are shut out, by name, after `after`.
///
/// # Errors
/// As the database.
pub fn suspensions(tx: &mut dyn Tx, after: &str, limit: i64) -> Result<Vec<SuspensionRow>> {
    tx.query(LIST, params![after, limit])?.iter().map(read).collect()
}

static PUT_ORIGIN: &Sql = crate::sql!(
    "fraud.put_origin",
    "INSERT INTO checkout_origins (checkout, customer, address, at) VALUES ($1, $2, $3, $4) ON CONFLICT (checkout) DO NOTHING"
);
static BY_CUSTOMER: &Sql = crate::sql!(
    "fraud.checkouts_by_customer",
    "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM checkout_origins WHERE customer = $1 AND at >= $2 LIMIT $3) AS counted"
);
static BY_ADDRESS: &Sql = crate::sql!(
    "fraud.checkouts_by_address",
    "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM checkout_origins WHERE address = $1 AND at >= $2 LIMIT $3) AS counted"
);
static NEWEST_ADDRESS: &Sql = crate::sql!(
    "fraud.newest_address",
    "SELECT address FROM checkout_origins WHERE customer = $1 AND at >= $2 AND address IS NOT NULL ORDER BY at DESC LIMIT 1"
);

/// Notes where a new checkout came from.
///
/// # Errors
/// As the database.
pub fn put_origin(
    tx: &mut dyn Tx,
    checkout: &CheckoutId,
    customer: &CustomerId,
    address: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    tx.exec(PUT_ORIGIN, params![checkout.as_str(), customer.as_str(), address, now.ms()])?;
    Ok(())
}

/// New checkouts of a customer since `since`, counted up to `most`.
///
/// # Errors
/// As the database.
pub fn checkouts_of_customer(
    tx: &mut dyn Tx,
    customer: &CustomerId,
    since: Timestamp,
    most: i64,
) -> Result<i64> {
    tx.query_one(BY_CUSTOMER, params![customer.as_str(), since.ms(), most])?.i64("n")
}

/// New checkouts from an address since `since`, counted up to `most`.
///
/// # Errors
/// As the database.
pub fn checkouts_of_address(tx: &mut dyn Tx, address: &str, since: Timestamp, most: i64) -> Result<i64> {
    tx.query_one(BY_ADDRESS, params![address, since.ms(), most])?.i64("n")
}

/// Where a customer came from last.
///
/// # Errors
/// As the database.
pub fn address_of(tx: &mut dyn Tx, customer: &CustomerId, since: Timestamp) -> Result<Option<String>> {
    let rows = tx.query(NEWEST_ADDRESS, params![customer.as_str(), since.ms()])?;
    rows.first().map_or(Ok(None), |row| row.opt_text("address"))
}

static PUT_ATTEMPT: &Sql = crate::sql!(
    "fraud.put_attempt",
    "INSERT INTO card_attempts (scope, charge, provider_customer, address, card, at) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (scope, charge) DO NOTHING"
);
static CARDS_OF_CUSTOMER: &Sql = crate::sql!(
    "fraud.cards_of_customer",
    "SELECT charge, card, at FROM card_attempts WHERE scope = $1 AND provider_customer = $2 AND at >= $3 ORDER BY at LIMIT 1000"
);
static CARDS_OF_ADDRESS: &Sql = crate::sql!(
    "fraud.cards_of_address",
    "SELECT charge, card, at FROM card_attempts WHERE scope = $1 AND address = $2 AND at >= $3 ORDER BY at LIMIT 1000"
);

/// Notes a card that failed, once for its charge.
///
/// # Errors
/// As the database.
pub fn put_attempt(
    tx: &mut dyn Tx,
    scope: &str,
    provider_customer: &str,
    address: Option<&str>,
    attempt: &CardAttempt,
) -> Result<()> {
    tx.exec(
        PUT_ATTEMPT,
        params![scope, &attempt.charge, provider_customer, address, &attempt.card, attempt.at.ms()],
    )?;
    Ok(())
}

static PRUNE_ORIGINS: &Sql = crate::sql!("fraud.prune_origins", "DELETE FROM checkout_origins WHERE at < $1");
static PRUNE_ATTEMPTS: &Sql = crate::sql!("fraud.prune_attempts", "DELETE FROM card_attempts WHERE at < $1");

/// Forgets where checkouts came from and which cards failed before `before`.
///
/// # Errors
/// As the database.
pub fn prune(tx: &mut dyn Tx, before: Timestamp) -> Result<()> {
    tx.exec(PRUNE_ORIGINS, params![before.ms()])?;
    tx.exec(PRUNE_ATTEMPTS, params![before.ms()])?;
    Ok(())
}

static ERASE_ORIGINS: &Sql =
    crate::sql!("fraud.erase_origins", "DELETE FROM checkout_origins WHERE customer = $1");
static ERASE_REASON: &Sql =
    crate::sql!("fraud.erase_reason", "UPDATE suspensions SET reason = 'erased' WHERE customer = $1");
static ERASE_ATTEMPTS: &Sql = crate::sql!(
    "fraud.erase_attempts",
    "DELETE FROM card_attempts WHERE scope = $1 AND provider_customer = $2"
);

/// Removes where a customer came from, which of its cards failed, and what somebody wrote about it. That it is shut out stays.
///
/// # Errors
/// As the database.
pub fn erase(
    tx: &mut dyn Tx,
    customer: &CustomerId,
    scope: &str,
    provider_customers: &[String],
) -> Result<()> {
    tx.exec(ERASE_ORIGINS, params![customer.as_str()])?;
    tx.exec(ERASE_REASON, params![customer.as_str()])?;
    for id in provider_customers {
        tx.exec(ERASE_ATTEMPTS, params![scope, id])?;
    }
    Ok(())
}

fn read_attempt(row: &Row) -> Result<CardAttempt> {
    Ok(CardAttempt {
        charge: row.text("charge")?,
        card: row.text("card")?,
        at: Timestamp::from_ms(row.i64("at")?),
    })
}

/// Cards that failed for a provider's customer since `since`.
///
/// # Errors
/// As the database.
pub fn cards_of_customer(
    tx: &mut dyn Tx,
    scope: &str,
    provider_customer: &str,
    since: Timestamp,
) -> Result<Vec<CardAttempt>> {
    tx.query(CARDS_OF_CUSTOMER, params![scope, provider_customer, since.ms()])?
        .iter()
        .map(read_attempt)
        .collect()
}

/// Cards that failed from an address since `since`.
///
/// # Errors
/// As the database.
pub fn cards_of_address(
    tx: &mut dyn Tx,
    scope: &str,
    address: &str,
    since: Timestamp,
) -> Result<Vec<CardAttempt>> {
    tx.query(CARDS_OF_ADDRESS, params![scope, address, since.ms()])?.iter().map(read_attempt).collect()
}
