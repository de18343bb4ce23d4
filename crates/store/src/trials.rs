//! Who had a trial: keyed hashes of customer, card and e-mail, and which trials were looked at.

use quittance_domain::Timestamp;
use quittance_domain::trial::ClaimKind;

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;

static CLAIM: &Sql = crate::sql!(
    "trials.claim",
    "INSERT INTO trial_claims (scope, kind, value, subscription, claimed_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (scope, kind, value) DO NOTHING"
);
static HOLDER: &Sql = crate::sql!(
    "trials.holder",
    "SELECT subscription FROM trial_claims WHERE scope = $1 AND kind = $2 AND value = $3"
);
static SEEN: &Sql =
    crate::sql!("trials.seen", "SELECT card, judged_at FROM trials WHERE scope = $1 AND subscription = $2");
static NOTE: &Sql = crate::sql!(
    "trials.note",
    "INSERT INTO trials (scope, subscription, card, judged_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (scope, subscription) DO UPDATE SET card = COALESCE($3, trials.card), judged_at = $4"
);

/// When a trial was looked at last, and the card that it was seen with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The card's keyed hash; `None` while no card was there.
    pub card: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Claims something for a subscription's trial; the subscription that has it, which may be another one.
///
/// # Errors
/// As the database.
pub fn claim(
    tx: &mut dyn Tx,
    scope: &str,
    kind: ClaimKind,
    value: &str,
    subscription: &str,
    now: Timestamp,
) -> Result<String> {
    tx.exec(CLAIM, params![scope, kind.as_str(), value, subscription, now.ms()])?;
    tx.query_one(HOLDER, params![scope, kind.as_str(), value])?.text("subscription")
}

/// The subscription whose trial has this, if one does.
///
/// # Errors
/// As the database.
pub fn holder(tx: &mut dyn Tx, scope: &str, kind: ClaimKind, value: &str) -> Result<Option<String>> {
    let rows = tx.query(HOLDER, params![scope, kind.as_str(), value])?;
    rows.first().map(|row| row.text("subscription")).transpose()
}

/// When a trial was looked at, and with which card; `None` when nobody has.
///
/// # Errors
/// As the database.
pub fn seen(tx: &mut dyn Tx, scope: &str, subscription: &str) -> Result<Option<Looked>> {
    let rows = tx.query(SEEN, params![scope, subscription])?;
    let looked = |row: &crate::Row| {
        Ok(Looked { card: row.opt_text("card")?, at: Timestamp::from_ms(row.i64("judged_at")?) })
    };
    rows.first().map(looked).transpose()
}

/// Notes that a trial was looked at. Without a card the one that was seen stays.
///
/// # Errors
/// As the database.
pub fn note(
    tx: &mut dyn Tx,
    scope: &str,
    subscription: &str,
    card: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    tx.exec(NOTE, params![scope, subscription, card, now.ms()])?;
    Ok(())
}
