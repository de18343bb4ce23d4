//! Checkouts that we opened. The database itself allows one open per customer and plan group.

use quittance_domain::checkout::{CheckoutState, CheckoutWish, EarlierCheckout};
use quittance_domain::{CheckoutId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutRow {
    /// Its id.
    pub id: CheckoutId,
    /// Provider, mode and account.
    pub scope: String,
    /// What was asked for.
    pub wish: CheckoutWish,
    /// Where it stands.
    pub state: CheckoutState,
    /// The provider's session, once there is one.
    pub session: Option<String>,
    /// Where the buyer pays, while open.
    pub url: Option<String>,
    /// What the provider's library on a page of the app pays with; whoever has it can pay, and nothing else.
    pub client_secret: Option<String>,
    /// When the provider closes it.
    pub expires_at: Option<Timestamp>,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl CheckoutRow {
    /// The part that decides what a new wish meets.
    #[must_use]
    pub fn as_earlier(&self) -> EarlierCheckout {
        EarlierCheckout {
            id: self.id.clone(),
            fingerprint: self.wish.fingerprint(),
            state: self.state,
            expires_at: self.expires_at,
        }
    }
}

static INSERT: &Sql = crate::sql!(
    "checkouts.insert",
    "INSERT INTO checkouts (id, scope, customer, plan_group, wish, fingerprint, state, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, 'creating', $7, $7)"
);
static OPENED: &Sql = crate::sql!(
    "checkouts.opened",
    "UPDATE checkouts SET state = 'open', session = $2, url = $3, expires_at = $4, updated_at = $5, client_secret = $6
     WHERE id = $1 AND state = 'creating'"
);
static SET_STATE: &Sql = crate::sql!(
    "checkouts.set_state",
    "UPDATE checkouts SET state = $2, updated_at = $3, url = CASE WHEN $2 = 'open' THEN url ELSE NULL END,
       client_secret = CASE WHEN $2 IN ('open', 'processing') THEN client_secret ELSE NULL END
     WHERE id = $1 AND state <> $2 AND (state IN ('creating', 'open', 'processing') OR state = 'expired' AND $2 = 'complete')"
);
// What is sent again may still open it.
static GIVE_UP: &Sql = crate::sql!(
    "checkouts.give_up",
    "UPDATE checkouts SET state = 'expired', updated_at = $2
     WHERE id = $1 AND state = 'creating'
       AND NOT EXISTS (SELECT 1 FROM commands WHERE object = $1 AND state = 'pending' AND parked_at IS NULL)"
);
static GET: &Sql = crate::sql!(
    "checkouts.get",
    "SELECT id, scope, wish, state, session, url, client_secret, expires_at, created_at FROM checkouts WHERE id = $1 OR session = $1"
);
static UNFINISHED: &Sql = crate::sql!(
    "checkouts.unfinished",
    "SELECT id, scope, wish, state, session, url, client_secret, expires_at, created_at FROM checkouts
     WHERE customer = $1 AND plan_group = $2 AND state IN ('creating', 'open', 'processing')"
);
static OF_CUSTOMER: &Sql = crate::sql!(
    "checkouts.of_customer",
    "SELECT id, scope, wish, state, session, url, client_secret, expires_at, created_at FROM checkouts
     WHERE customer = $1 AND scope = $2 ORDER BY created_at DESC, id LIMIT $3"
);
static RECENT: &Sql = crate::sql!(
    "checkouts.recent",
    "SELECT id, scope, wish, state, session, url, client_secret, expires_at, created_at FROM checkouts ORDER BY created_at DESC, id LIMIT $1"
);

fn read(row: &Row) -> Result<CheckoutRow> {
    Ok(CheckoutRow {
        id: json::parsed("id", &row.text("id")?, CheckoutId::parse)?,
        scope: row.text("scope")?,
        wish: json::read(row, "wish")?,
        state: json::parsed("state", &row.text("state")?, |text| {
            CheckoutState::parse(text).ok_or("not a checkout state")
        })?,
        session: row.opt_text("session")?,
        url: row.opt_text("url")?,
        client_secret: row.opt_text("client_secret")?,
        expires_at: row.opt_i64("expires_at")?.map(Timestamp::from_ms),
        created_at: Timestamp::from_ms(row.i64("created_at")?),
    })
}

/// Writes a new checkout down, before the provider is asked.
///
/// # Errors
/// A unique violation when another one of the plan group is open.
pub fn insert(
    tx: &mut dyn Tx,
    id: &CheckoutId,
    scope: &str,
    wish: &CheckoutWish,
    now: Timestamp,
) -> Result<()> {
    tx.exec(
        INSERT,
        params![
            id.as_str(),
            scope,
            wish.customer.as_str(),
            wish.group.as_str(),
            json::write(wish)?,
            wish.fingerprint(),
            now.ms()
        ],
    )?;
    Ok(())
}

/// What the provider opened for a checkout.
#[derive(Debug, Clone, Copy)]
pub struct Opened<'a> {
    /// The session, or the bare payment.
    pub session: &'a str,
    /// Where the buyer pays; none when a page of the app shows it.
    pub url: Option<&'a str>,
    /// What the provider's library pays with.
    pub client_secret: Option<&'a str>,
    /// When the provider closes it.
    pub expires_at: Option<Timestamp>,
}

/// Records what the provider opened; `false` when the checkout is no longer waiting for it.
///
/// # Errors
/// As the database.
pub fn opened(tx: &mut dyn Tx, id: &CheckoutId, opened: &Opened<'_>, now: Timestamp) -> Result<bool> {
    let expires = opened.expires_at.map(Timestamp::ms);
    let row = params![id.as_str(), opened.session, opened.url, expires, now.ms(), opened.client_secret];
    Ok(tx.exec(OPENED, row)? == 1)
}

/// Moves a checkout to another state. One that is over stays over, so that it never stands in the way of the one
/// that followed it; only `expired` may turn out to be `complete`.
///
/// # Errors
/// As the database.
pub fn set_state(tx: &mut dyn Tx, id: &CheckoutId, state: CheckoutState, now: Timestamp) -> Result<bool> {
    Ok(tx.exec(SET_STATE, params![id.as_str(), state.as_str(), now.ms()])? == 1)
}

/// Ends a checkout that the provider has not opened and that nothing under way opens any more.
///
/// # Errors
/// As the database.
pub fn give_up(tx: &mut dyn Tx, id: &CheckoutId, now: Timestamp) -> Result<()> {
    tx.exec(GIVE_UP, params![id.as_str(), now.ms()])?;
    Ok(())
}

/// One checkout, by our id or by the provider's session.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, id: &str) -> Result<Option<CheckoutRow>> {
    tx.query(GET, params![id])?.first().map(read).transpose()
}

/// The checkout of this customer and plan group that is not over, if any.
///
/// # Errors
/// As the database.
pub fn unfinished(tx: &mut dyn Tx, customer: &str, group: &str) -> Result<Option<CheckoutRow>> {
    tx.query(UNFINISHED, params![customer, group])?.first().map(read).transpose()
}

/// A customer's checkouts, newest first.
///
/// # Errors
/// As the database.
pub fn of_customer(tx: &mut dyn Tx, customer: &str, scope: &str, limit: i64) -> Result<Vec<CheckoutRow>> {
    tx.query(OF_CUSTOMER, params![customer, scope, limit])?.iter().map(read).collect()
}

/// The newest checkouts of all customers.
///
/// # Errors
/// As the database.
pub fn recent(tx: &mut dyn Tx, limit: i64) -> Result<Vec<CheckoutRow>> {
    tx.query(RECENT, params![limit])?.iter().map(read).collect()
}
