//! What operators gave by hand: a plan or a single feature, with a reason.

use quittance_domain::{CustomerId, FeatureKey, GrantId, PlanKey, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// What was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gift {
    /// A whole plan.
    Plan(PlanKey),
    /// One feature, with a limit or without.
    Feature(FeatureKey, Option<i64>),
}

/// A gift in force or past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// Its id.
    pub id: GrantId,
    /// Whose it is.
    pub customer: CustomerId,
    /// What was given.
    pub gift: Gift,
    /// When it ends; `None` has no end.
    pub expires_at: Option<Timestamp>,
    /// Why it was given.
    pub reason: String,
    /// The API key or operator that gave it.
    pub created_by: String,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

static PUT: &Sql = crate::sql!(
    "grants.put",
    "INSERT INTO grants (id, customer, plan, feature, feature_limit, expires_at, reason, created_by, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING"
);
static REVOKE: &Sql = crate::sql!(
    "grants.revoke",
    "UPDATE grants SET revoked_at = $3 WHERE id = $1 AND customer = $2 AND revoked_at IS NULL"
);
static OF_CUSTOMER: &Sql = crate::sql!(
    "grants.of_customer",
    "SELECT id, customer, plan, feature, feature_limit, expires_at, reason, created_by, created_at, revoked_at
     FROM grants WHERE customer = $1 ORDER BY created_at, id"
);

/// Writes a gift down; `false` when one with this id is there already.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, grant: &GrantRow) -> Result<bool> {
    let (plan, feature, limit) = match &grant.gift {
        Gift::Plan(plan) => (Some(plan.as_str()), None, None),
        Gift::Feature(feature, limit) => (None, Some(feature.as_str()), *limit),
    };
    let new = tx.exec(
        PUT,
        params![
            grant.id.as_str(),
            grant.customer.as_str(),
            plan,
            feature,
            limit,
            grant.expires_at.map(Timestamp::ms),
            &grant.reason,
            &grant.created_by,
            grant.created_at.ms()
        ],
    )?;
    Ok(new == 1)
}

/// Takes a gift back; `false` when the customer has no such gift in force.
///
/// # Errors
/// As the database.
pub fn revoke(tx: &mut dyn Tx, id: &str, customer: &CustomerId, now: Timestamp) -> Result<bool> {
    Ok(tx.exec(REVOKE, params![id, customer.as_str(), now.ms()])? == 1)
}

/// All gifts of a customer, oldest first, those taken back too.
///
/// # Errors
/// As the database.
pub fn of_customer(tx: &mut dyn Tx, customer: &str) -> Result<Vec<GrantRow>> {
    tx.query(OF_CUSTOMER, params![customer])?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<GrantRow> {
    let gift = match (row.opt_text("plan")?, row.opt_text("feature")?) {
        (Some(plan), _) => Gift::Plan(json::parsed("plan", &plan, PlanKey::parse)?),
        (None, feature) => {
            let key = json::parsed("feature", feature.as_deref().unwrap_or_default(), FeatureKey::parse)?;
            Gift::Feature(key, row.opt_i64("feature_limit")?)
        }
    };
    Ok(GrantRow {
        id: json::parsed("id", &row.text("id")?, GrantId::parse)?,
        customer: json::parsed("customer", &row.text("customer")?, CustomerId::parse)?,
        gift,
        expires_at: row.opt_i64("expires_at")?.map(Timestamp::from_ms),
        reason: row.text("reason")?,
        created_by: row.text("created_by")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
        revoked_at: row.opt_i64("revoked_at")?.map(Timestamp::from_ms),
    })
}
