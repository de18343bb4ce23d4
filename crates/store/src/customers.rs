//! Customers, and which of the provider's customers belongs to which of ours.

use std::collections::BTreeMap;

use quittance_domain::{CustomerId, Timestamp};
use serde::{Deserialize, Deserializer};

use crate::db::Tx;
use crate::error::Result;
use crate::feed;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A customer of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRow {
    /// The app's own id.
    pub id: CustomerId,
    /// Where mail goes.
    pub email: Option<String>,
    /// How it is called.
    pub name: Option<String>,
    /// Language and region, for example `ja-JP`.
    pub locale: Option<String>,
    /// The app's own notes.
    pub metadata: BTreeMap<String, String>,
    /// When we heard of it first.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Grows with every change of what it holds.
    pub version: i64,
    /// When its personal data was removed; nothing personal is written about it again.
    pub erased_at: Option<Timestamp>,
}

/// What a caller does with one field. Read from JSON, null clears; a field that is not there is the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It has no value any more.
    Clear,
    /// It has this value.
    Set(T),
}

impl<T> Change<T> {
    /// The new value, if there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    const fn changes(&self) -> bool {
        match self {
            Self::Set(_) | Self::Clear => true,
            Self::Keep => false,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// What a caller changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomerPatch {
    /// Where mail goes.
    pub email: Change<String>,
    /// How it is called.
    pub name: Change<String>,
    /// Language and region.
    pub locale: Change<String>,
    /// The app's own notes, replaced as a whole; cleared, there are none.
    pub metadata: Change<BTreeMap<String, String>>,
}

static UPSERT: &Sql = crate::sql!(
    "customers.upsert",
    "INSERT INTO customers (id, email, name, locale, metadata, created_at, updated_at, version)
     VALUES ($1, $2, $3, $4, COALESCE(CAST($5 AS TEXT), '{}'), $6, $6, 1)
     ON CONFLICT (id) DO UPDATE SET
       email = CASE WHEN $7 AND customers.erased_at IS NULL THEN $2 ELSE customers.email END,
       name = CASE WHEN $8 AND customers.erased_at IS NULL THEN $3 ELSE customers.name END,
       locale = CASE WHEN $9 AND customers.erased_at IS NULL THEN $4 ELSE customers.locale END,
       metadata = CASE WHEN $10 AND customers.erased_at IS NULL THEN COALESCE(CAST($5 AS TEXT), '{}') ELSE customers.metadata END,
       updated_at = $6
     RETURNING id, email, name, locale, metadata, created_at, updated_at, version, erased_at"
);
static GET: &Sql = crate::sql!(
    "customers.get",
    "SELECT id, email, name, locale, metadata, created_at, updated_at, version, erased_at FROM customers WHERE id = $1"
);
static LOCK: &Sql = crate::sql!("customers.lock", "SELECT version FROM customers WHERE id = $1 {FOR_UPDATE}");
static BUMP: &Sql = crate::sql!(
    "customers.bump",
    "UPDATE customers SET version = version + 1 WHERE id = $1 RETURNING version"
);

fn read(row: &Row) -> Result<CustomerRow> {
    Ok(CustomerRow {
        id: json::parsed("id", &row.text("id")?, CustomerId::parse)?,
        email: row.opt_text("email")?,
        name: row.opt_text("name")?,
        locale: row.opt_text("locale")?,
        metadata: json::read(row, "metadata")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
        updated_at: Timestamp::from_ms(row.i64("updated_at")?),
        version: row.i64("version")?,
        erased_at: row.opt_i64("erased_at")?.map(Timestamp::from_ms),
    })
}

/// Creates a customer, or changes what the patch names; of one that was erased nothing is changed.
///
/// # Errors
/// As the database.
pub fn upsert(
    tx: &mut dyn Tx,
    id: &CustomerId,
    patch: &CustomerPatch,
    now: Timestamp,
) -> Result<CustomerRow> {
    let metadata = patch.metadata.value().map(json::write).transpose()?;
    let rows = tx.query(
        UPSERT,
        params![
            id.as_str(),
            patch.email.value().cloned(),
            patch.name.value().cloned(),
            patch.locale.value().cloned(),
            metadata,
            now.ms(),
            patch.email.changes(),
            patch.name.changes(),
            patch.locale.changes(),
            patch.metadata.changes()
        ],
    )?;
    let row =
        rows.first().map_or_else(|| Err(crate::StoreError::Aborted("no customer came back".into())), read)?;
    // A new one has the free plan. One that is as young as this write may be told of once too often.
    if row.created_at == now {
        feed::changed(tx, id.as_str())?;
    }
    Ok(row)
}

/// One customer.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, id: &str) -> Result<Option<CustomerRow>> {
    tx.query(GET, params![id])?.first().map(read).transpose()
}

/// Makes concurrent decisions about one customer wait for each other; `false` when there is none.
///
/// # Errors
/// As the database.
pub fn lock(tx: &mut dyn Tx, id: &CustomerId) -> Result<bool> {
    Ok(!tx.query(LOCK, params![id.as_str()])?.is_empty())
}

/// Counts a change of what the customer holds, tells every node after the commit, and returns the
/// customer's new version (0 when there is no such customer).
///
/// # Errors
/// As the database.
pub fn touch(tx: &mut dyn Tx, id: &CustomerId) -> Result<i64> {
    let Some(row) = tx.query_opt(BUMP, params![id.as_str()])? else { return Ok(0) };
    let version = row.i64("version")?;
    feed::changed(tx, id.as_str())?;
    tx.notify(&format!("customer:{version}:{id}"))?;
    Ok(version)
}

/// A change of what a customer holds, as told to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched<'a> {
    /// Which customer.
    pub customer: &'a str,
    /// Its version since then.
    pub version: i64,
}

impl<'a> Touched<'a> {
    /// Reads what [`touch`] told; `None` when the payload is about something else.
    #[must_use]
    pub fn parse(payload: &'a str) -> Option<Self> {
        let (version, customer) = payload.strip_prefix("customer:")?.split_once(':')?;
        Some(Self { customer, version: version.parse().ok()? })
    }
}

/// Who said that a provider's customer is one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkedBy {
    /// We created it at the provider.
    Created,
    /// An operator said so.
    Operator,
    /// Its metadata at the provider names ours.
    Metadata,
}

impl LinkedBy {
    /// The word stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Operator => "operator",
            Self::Metadata => "metadata",
        }
    }
}

static LINK: &Sql = crate::sql!(
    "customers.link",
    "INSERT INTO provider_customers (scope, provider_customer, customer, linked_by, created_at)
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (scope, provider_customer) DO NOTHING"
);
static RELINK: &Sql = crate::sql!(
    "customers.relink",
    "UPDATE provider_customers SET customer = $3, linked_by = 'operator', gone_at = NULL
     WHERE scope = $1 AND provider_customer = $2"
);
static LINKED: &Sql = crate::sql!(
    "customers.linked",
    "SELECT customer FROM provider_customers WHERE scope = $1 AND provider_customer = $2"
);
static OF: &Sql = crate::sql!(
    "customers.provider_ids",
    "SELECT provider_customer FROM provider_customers WHERE customer = $1 AND scope = $2
     ORDER BY CASE linked_by WHEN 'created' THEN 0 ELSE 1 END, created_at, provider_customer"
);
static PRESENT: &Sql = crate::sql!(
    "customers.present",
    "SELECT provider_customer FROM provider_customers WHERE customer = $1 AND scope = $2 AND gone_at IS NULL ORDER BY provider_customer"
);
static USABLE: &Sql = crate::sql!(
    "customers.usable",
    "SELECT provider_customer FROM provider_customers WHERE customer = $1 AND scope = $2 AND gone_at IS NULL
     ORDER BY CASE linked_by WHEN 'created' THEN 0 ELSE 1 END, created_at, provider_customer LIMIT 1"
);
static GONE: &Sql = crate::sql!(
    "customers.gone",
    "UPDATE provider_customers SET gone_at = $3 WHERE scope = $1 AND provider_customer = $2 AND gone_at IS NULL"
);
static BELIEVED: &Sql = crate::sql!(
    "customers.believed",
    "SELECT provider_customer, customer, created_at FROM provider_customers
     WHERE scope = $1 AND provider_customer > $2 AND gone_at IS NULL ORDER BY provider_customer LIMIT $3"
);

/// Links a provider's customer to ours; an existing link stays. An operator may replace one.
///
/// # Errors
/// As the database; a foreign-key error when our customer does not exist.
pub fn link(
    tx: &mut dyn Tx,
    scope: &str,
    provider_customer: &str,
    customer: &CustomerId,
    by: LinkedBy,
    now: Timestamp,
) -> Result<()> {
    let new = tx.exec(LINK, params![scope, provider_customer, customer.as_str(), by.as_str(), now.ms()])?;
    if new == 0 && by == LinkedBy::Operator {
        tx.exec(RELINK, params![scope, provider_customer, customer.as_str()])?;
    }
    Ok(())
}

/// Our customer behind a provider's one.
///
/// # Errors
/// As the database.
pub fn linked(tx: &mut dyn Tx, scope: &str, provider_customer: &str) -> Result<Option<CustomerId>> {
    let rows = tx.query(LINKED, params![scope, provider_customer])?;
    rows.first().map(|row| json::parsed("customer", &row.text("customer")?, CustomerId::parse)).transpose()
}

/// The provider's customers of one of ours, the one that we created first.
///
/// # Errors
/// As the database.
pub fn provider_ids(tx: &mut dyn Tx, customer: &CustomerId, scope: &str) -> Result<Vec<String>> {
    tx.query(OF, params![customer.as_str(), scope])?.iter().map(|row| row.text("provider_customer")).collect()
}

/// The provider's customer that new purchases of one of ours are made with: as [`provider_ids`], without those that the
/// provider has deleted.
///
/// # Errors
/// As the database.
pub fn usable(tx: &mut dyn Tx, customer: &CustomerId, scope: &str) -> Result<Option<String>> {
    let rows = tx.query(USABLE, params![customer.as_str(), scope])?;
    rows.first().map(|row| row.text("provider_customer")).transpose()
}

/// Records that the provider has deleted one of its customers. The link stays, for what it bought.
///
/// # Errors
/// As the database.
pub fn gone(tx: &mut dyn Tx, scope: &str, provider_customer: &str, now: Timestamp) -> Result<()> {
    tx.exec(GONE, params![scope, provider_customer, now.ms()])?;
    Ok(())
}

/// The provider's customers of one of ours that are not known to be deleted.
///
/// # Errors
/// As the database.
pub fn present(tx: &mut dyn Tx, customer: &CustomerId, scope: &str) -> Result<Vec<String>> {
    let rows = tx.query(PRESENT, params![customer.as_str(), scope])?;
    rows.iter().map(|row| row.text("provider_customer")).collect()
}

/// A link to a customer of the provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The provider's customer.
    pub provider_customer: String,
    /// Ours.
    pub customer: CustomerId,
    /// Since when.
    pub created_at: Timestamp,
}

/// Links to customers that the provider is believed to have, by its id, after `after`.
///
/// # Errors
/// As the database.
pub fn believed(tx: &mut dyn Tx, scope: &str, after: &str, limit: i64) -> Result<Vec<Link>> {
    let read = |row: &Row| {
        Ok(Link {
            provider_customer: row.text("provider_customer")?,
            customer: json::parsed("customer", &row.text("customer")?, CustomerId::parse)?,
            created_at: Timestamp::from_ms(row.i64("created_at")?),
        })
    };
    tx.query(BELIEVED, params![scope, after, limit])?.iter().map(read).collect()
}

static LINKED_EMAIL: &Sql = crate::sql!(
    "customers.linked_email",
    "SELECT c.id, c.email, NOT EXISTS (
       SELECT 1 FROM provider_customers o WHERE o.customer = c.id AND o.scope = $1 AND o.provider_customer <> $2 AND o.gone_at IS NULL
     ) AS alone,
     p.provider_customer = (
       SELECT u.provider_customer FROM provider_customers u WHERE u.customer = c.id AND u.scope = $1 AND u.gone_at IS NULL
       ORDER BY CASE u.linked_by WHEN 'created' THEN 0 ELSE 1 END, u.created_at, u.provider_customer LIMIT 1
     ) AS in_use
     FROM provider_customers p JOIN customers c ON c.id = p.customer
     WHERE p.scope = $1 AND p.provider_customer = $2 AND c.erased_at IS NULL"
);

/// A customer of ours, and its e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedEmail {
    /// Who.
    pub customer: CustomerId,
    /// The address, if we have one.
    pub email: Option<String>,
    /// Whether the provider has no other customer for it.
    pub alone: bool,
    /// Whether it is the one that is used for what the customer buys next.
    pub in_use: bool,
}

/// For each of the provider's customers ours with its e-mail address, if it is linked.
///
/// # Errors
/// As the database.
pub fn linked_emails(
    tx: &mut dyn Tx,
    scope: &str,
    provider_customers: &[String],
) -> Result<Vec<Option<LinkedEmail>>> {
    let rows: Vec<Vec<crate::V>> = provider_customers.iter().map(|id| params![scope, id].to_vec()).collect();
    let found = tx.batch(LINKED_EMAIL, &rows)?;
    let read = |row: &Row| {
        Ok(LinkedEmail {
            customer: json::parsed("id", &row.text("id")?, CustomerId::parse)?,
            email: row.opt_text("email")?,
            alone: row.bool("alone")?,
            in_use: row.opt_bool("in_use")?.unwrap_or(false),
        })
    };
    found.iter().map(|rows| rows.first().map(read).transpose()).collect()
}
