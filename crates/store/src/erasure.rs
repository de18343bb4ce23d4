//! Erasing a customer: personal data goes, the books and the proof that something was told stay.

use quittance_domain::checkout::CheckoutWish;
use quittance_domain::time::DAY_MS;
use quittance_domain::{CommandId, CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::json;
use crate::params;
use crate::sql::Sql;

static CUSTOMER: &Sql = crate::sql!(
    "erasure.customer",
    "UPDATE customers SET email = NULL, name = NULL, locale = NULL, metadata = '{}', updated_at = $2, erased_at = $2
     WHERE id = $1 AND erased_at IS NULL"
);
static MAILS: &Sql = crate::sql!(
    "erasure.mails",
    "UPDATE mails SET address = 'erased', subject = NULL, text = NULL, html = NULL WHERE customer = $1"
);
static EVENTS: &Sql = crate::sql!("erasure.events", "UPDATE events SET payload = '{}' WHERE aggregate = $1");
static CHECKOUTS: &Sql = crate::sql!(
    "erasure.checkouts",
    "UPDATE checkouts SET url = NULL, client_secret = NULL WHERE customer = $1"
);
static WISHES: &Sql = crate::sql!("erasure.wishes", "SELECT id, wish FROM checkouts WHERE customer = $1");
static WISH: &Sql = crate::sql!("erasure.wish", "UPDATE checkouts SET wish = $2 WHERE id = $1");
static ANSWERS: &Sql = crate::sql!("erasure.answers", "DELETE FROM api_requests WHERE customer = $1");
static GRANTS: &Sql =
    crate::sql!("erasure.grants", "UPDATE grants SET reason = 'erased' WHERE customer = $1");
// Earlier releases repeated there why something was given or negotiated.
static LINES: &Sql = crate::sql!(
    "erasure.lines",
    "UPDATE history SET data = '{}' WHERE customer = $1 AND kind IN ('grant.given', 'terms.changed') AND data <> '{}'"
);
static WITHHELD: &Sql =
    crate::sql!("erasure.withheld", "UPDATE shadow_withheld SET request = '{}' WHERE customer = $1");
// That the provider deletes its customer is a part of the erasure itself.
// What the provider opens closes within a day: a checkout that is older and was never told to be open is none that can be paid.
static UNFINISHED: &Sql = crate::sql!(
    "erasure.unfinished",
    "SELECT (SELECT COUNT(*) FROM commands WHERE customer = $1 AND state = 'pending' AND kind <> 'customer.delete')
       + (SELECT COUNT(*) FROM checkouts WHERE customer = $1
          AND (state IN ('open', 'processing') OR state = 'creating' AND created_at > $2)) AS n"
);

static FINISHED: &Sql = crate::sql!(
    "erasure.finished",
    "SELECT id, request FROM commands WHERE customer = $1 AND state <> 'pending'"
);
static REWORD: &Sql = crate::sql!("erasure.reword", "UPDATE commands SET request = $2 WHERE id = $1");

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Mails whose address and text went.
    pub mails: u64,
    /// Events whose payload went.
    pub events: u64,
}

/// Whether something about a customer is still under way: a command that is not done, a checkout that may be paid.
///
/// # Errors
/// As the database.
pub fn unfinished(tx: &mut dyn Tx, customer: &CustomerId, now: Timestamp) -> Result<bool> {
    let since = now.plus_ms(-DAY_MS);
    Ok(tx.query_one(UNFINISHED, params![customer.as_str(), since.ms()])?.i64("n")? > 0)
}

/// A customer's finished commands: their ids and requests, in which somebody may have written in their own words.
///
/// # Errors
/// As the database.
pub fn finished(tx: &mut dyn Tx, customer: &CustomerId) -> Result<Vec<(CommandId, String)>> {
    let rows = tx.query(FINISHED, params![customer.as_str()])?;
    rows.iter()
        .map(|row| Ok((json::parsed("id", &row.text("id")?, CommandId::parse)?, row.text("request")?)))
        .collect()
}

/// Replaces the request of a finished command.
///
/// # Errors
/// As the database.
pub fn reword(tx: &mut dyn Tx, command: &CommandId, request: &str) -> Result<()> {
    tx.exec(REWORD, params![command.as_str(), request])?;
    Ok(())
}

/// Removes what is personal about a customer. `aggregates` are the keys of all that the provider told of it. Erasing again
/// removes what came since.
///
/// # Errors
/// As the database.
pub fn erase(
    tx: &mut dyn Tx,
    customer: &CustomerId,
    aggregates: &[String],
    now: Timestamp,
) -> Result<Erased> {
    tx.exec(CUSTOMER, params![customer.as_str(), now.ms()])?;
    for statement in [CHECKOUTS, GRANTS, LINES, WITHHELD, ANSWERS] {
        tx.exec(statement, params![customer.as_str()])?;
    }
    for row in tx.query(WISHES, params![customer.as_str()])? {
        let mut wish: CheckoutWish = json::read(&row, "wish")?;
        if wish.reference.take().is_some() {
            tx.exec(WISH, params![row.text("id")?, json::write(&wish)?])?;
        }
    }
    let mails = tx.exec(MAILS, params![customer.as_str()])?;
    let mut events = 0;
    for key in aggregates {
        events += tx.exec(EVENTS, params![key])?;
    }
    Ok(Erased { mails, events })
}
