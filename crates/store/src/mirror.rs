//! The mirror: our copy of the provider's subscriptions, purchases and payments, and the holdings
//! that follow from them.
//!
//! Rows are written only by the one door (the engine's `apply`), inside the transaction that checked the fence.

use quittance_domain::access::Standing;
use quittance_domain::entitlement::SourceKind;
use quittance_domain::projection::{PaymentFacts, Purchase};
use quittance_domain::{CustomerId, PlanKey, Subscription, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::{Row, V};
use crate::{json, params};

static PUT_SUBSCRIPTION: &Sql = crate::sql!(
    "mirror.put_subscription",
    "INSERT INTO subscriptions (scope, id, aggregate, customer, status, plan, digest, data, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (scope, id) DO UPDATE SET aggregate = $3, customer = $4, status = $5, plan = $6, digest = $7, data = $8, updated_at = $10"
);
static SUBSCRIPTIONS_OF_AGGREGATE: &Sql = crate::sql!(
    "mirror.subscriptions_of_aggregate",
    "SELECT data FROM subscriptions WHERE aggregate = $1 ORDER BY created_at, id"
);
static SUBSCRIPTIONS_OF_CUSTOMER: &Sql = crate::sql!(
    "mirror.subscriptions_of_customer",
    "SELECT scope, aggregate, data FROM subscriptions WHERE customer = $1 ORDER BY created_at DESC, id"
);
static SUBSCRIPTION: &Sql = crate::sql!(
    "mirror.subscription",
    "SELECT scope, aggregate, data FROM subscriptions WHERE id = $1 ORDER BY scope LIMIT 1"
);
static DIGEST: &Sql =
    crate::sql!("mirror.digest", "SELECT digest, status FROM subscriptions WHERE scope = $1 AND id = $2");
static LIVE_SUBSCRIPTIONS: &Sql = crate::sql!(
    "mirror.live_subscriptions",
    "SELECT id, aggregate FROM subscriptions WHERE scope = $1 AND id > $2
       AND status NOT IN ('canceled', 'incomplete_expired') ORDER BY id LIMIT $3"
);

/// A mirrored subscription and where it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Provider, mode and account.
    pub scope: String,
    /// The aggregate it belongs to.
    pub aggregate: String,
    /// The subscription.
    pub subscription: Subscription,
}

/// Writes a subscription. `digest` sums up what the provider said, for sweeps to compare.
///
/// # Errors
/// As the database.
pub fn put_subscription(
    tx: &mut dyn Tx,
    scope: &str,
    aggregate: &str,
    subscription: &Subscription,
    digest: &str,
    now: Timestamp,
) -> Result<()> {
    tx.exec(
        PUT_SUBSCRIPTION,
        params![
            scope,
            &subscription.facts.id,
            aggregate,
            subscription.customer.as_ref().map(CustomerId::as_str),
            subscription.facts.status.as_str(),
            subscription.plan().map(|held| held.plan.as_str()),
            digest,
            json::write(subscription)?,
            subscription.facts.created_at.ms(),
            now.ms()
        ],
    )?;
    Ok(())
}

/// The subscriptions of one aggregate, oldest first.
///
/// # Errors
/// As the database.
pub fn subscriptions_of_aggregate(tx: &mut dyn Tx, aggregate: &str) -> Result<Vec<Subscription>> {
    tx.query(SUBSCRIPTIONS_OF_AGGREGATE, params![aggregate])?
        .iter()
        .map(|row| json::read(row, "data"))
        .collect()
}

fn read_subscription(row: &Row) -> Result<SubscriptionRow> {
    Ok(SubscriptionRow {
        scope: row.text("scope")?,
        aggregate: row.text("aggregate")?,
        subscription: json::read(row, "data")?,
    })
}

/// The subscriptions of one customer over all providers, newest first.
///
/// # Errors
/// As the database.
pub fn subscriptions_of_customer(tx: &mut dyn Tx, customer: &str) -> Result<Vec<SubscriptionRow>> {
    tx.query(SUBSCRIPTIONS_OF_CUSTOMER, params![customer])?.iter().map(read_subscription).collect()
}

/// One subscription by the provider's id.
///
/// # Errors
/// As the database.
pub fn subscription(tx: &mut dyn Tx, id: &str) -> Result<Option<SubscriptionRow>> {
    tx.query(SUBSCRIPTION, params![id])?.first().map(read_subscription).transpose()
}

/// For each id the digest that we hold and the status that we believe, or `None` when we do not mirror it.
///
/// # Errors
/// As the database.
pub fn digests(tx: &mut dyn Tx, scope: &str, ids: &[String]) -> Result<Vec<Option<(String, String)>>> {
    let rows: Vec<Vec<V>> = ids.iter().map(|id| params![scope, id].to_vec()).collect();
    let found = tx.batch(DIGEST, &rows)?;
    let read = |row: &Row| Ok((row.text("digest")?, row.text("status")?));
    found.iter().map(|rows| rows.first().map(read).transpose()).collect()
}

/// Subscriptions that we believe not to be over, by id, after `after`: `(id, aggregate)`.
///
/// # Errors
/// As the database.
pub fn live_subscriptions(
    tx: &mut dyn Tx,
    scope: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, String)>> {
    let rows = tx.query(LIVE_SUBSCRIPTIONS, params![scope, after, limit])?;
    rows.iter().map(|row| Ok((row.text("id")?, row.text("aggregate")?))).collect()
}

static LIVE_WITH_PLAN: &Sql = crate::sql!(
    "mirror.live_with_plan",
    "SELECT id, aggregate FROM subscriptions WHERE scope = $1 AND id > $2
       AND status NOT IN ('canceled', 'incomplete_expired')
       AND (CAST($3 AS TEXT) IS NULL OR EXISTS (
         SELECT 1 FROM holdings h WHERE h.aggregate = subscriptions.aggregate AND h.source_id = subscriptions.id AND h.plan = $3))
     ORDER BY id LIMIT $4"
);

/// As [`live_subscriptions`], of those that give a plan, where one is named.
///
/// # Errors
/// As the database.
pub fn live_after(
    tx: &mut dyn Tx,
    scope: &str,
    plan: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, String)>> {
    let rows = tx.query(LIVE_WITH_PLAN, params![scope, after, plan, limit])?;
    rows.iter().map(|row| Ok((row.text("id")?, row.text("aggregate")?))).collect()
}

static LIVE_PAGE: &Sql = crate::sql!(
    "mirror.live_page",
    "SELECT id, scope, aggregate, data FROM subscriptions WHERE scope = $1 AND id > $2
       AND status NOT IN ('canceled', 'incomplete_expired') ORDER BY id LIMIT $3"
);
static SEVERAL_LIVE: &Sql = crate::sql!(
    "mirror.several_live",
    "SELECT customer FROM subscriptions WHERE customer > $1 AND status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
     GROUP BY customer HAVING COUNT(*) > 1 ORDER BY customer LIMIT $2"
);

/// As [`live_subscriptions`], whole.
///
/// # Errors
/// As the database.
pub fn live_page(tx: &mut dyn Tx, scope: &str, after: &str, limit: i64) -> Result<Vec<SubscriptionRow>> {
    tx.query(LIVE_PAGE, params![scope, after, limit])?.iter().map(read_subscription).collect()
}

/// Customers after `after` who have more than one live subscription.
///
/// # Errors
/// As the database.
pub fn several_live(tx: &mut dyn Tx, after: &str, limit: i64) -> Result<Vec<String>> {
    tx.query(SEVERAL_LIVE, params![after, limit])?.iter().map(|row| row.text("customer")).collect()
}

static PUT_PURCHASE: &Sql = crate::sql!(
    "mirror.put_purchase",
    "INSERT INTO purchases (scope, id, aggregate, customer, data, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (scope, id) DO UPDATE SET aggregate = $3, customer = $4, data = $5, updated_at = $6"
);
static PURCHASES_OF_AGGREGATE: &Sql = crate::sql!(
    "mirror.purchases_of_aggregate",
    "SELECT data FROM purchases WHERE aggregate = $1 ORDER BY id"
);
static PURCHASES_OF_CUSTOMER: &Sql =
    crate::sql!("mirror.purchases_of_customer", "SELECT data FROM purchases WHERE customer = $1 ORDER BY id");

/// Writes a purchase.
///
/// # Errors
/// As the database.
pub fn put_purchase(
    tx: &mut dyn Tx,
    scope: &str,
    aggregate: &str,
    purchase: &Purchase,
    now: Timestamp,
) -> Result<()> {
    let customer = purchase.customer.as_ref().map(CustomerId::as_str);
    let data = json::write(purchase)?;
    tx.exec(PUT_PURCHASE, params![scope, &purchase.facts.id, aggregate, customer, data, now.ms()])?;
    Ok(())
}

/// The purchases of one aggregate.
///
/// # Errors
/// As the database.
pub fn purchases_of_aggregate(tx: &mut dyn Tx, aggregate: &str) -> Result<Vec<Purchase>> {
    tx.query(PURCHASES_OF_AGGREGATE, params![aggregate])?.iter().map(|row| json::read(row, "data")).collect()
}

/// The purchases of one customer.
///
/// # Errors
/// As the database.
pub fn purchases_of_customer(tx: &mut dyn Tx, customer: &str) -> Result<Vec<Purchase>> {
    tx.query(PURCHASES_OF_CUSTOMER, params![customer])?.iter().map(|row| json::read(row, "data")).collect()
}

static PUT_PAYMENT: &Sql = crate::sql!(
    "mirror.put_payment",
    "INSERT INTO payments (scope, id, aggregate, customer, data, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (scope, id) DO UPDATE SET aggregate = $3, customer = $4, data = $5, updated_at = $7"
);
static PAYMENTS_OF_AGGREGATE: &Sql =
    crate::sql!("mirror.payments_of_aggregate", "SELECT data FROM payments WHERE aggregate = $1 ORDER BY id");

/// Writes a payment.
///
/// # Errors
/// As the database.
pub fn put_payment(
    tx: &mut dyn Tx,
    scope: &str,
    aggregate: &str,
    customer: Option<&CustomerId>,
    payment: &PaymentFacts,
    now: Timestamp,
) -> Result<()> {
    let data = json::write(payment)?;
    let customer = customer.map(CustomerId::as_str);
    tx.exec(
        PUT_PAYMENT,
        params![scope, &payment.id, aggregate, customer, data, payment.created_at.ms(), now.ms()],
    )?;
    Ok(())
}

/// The payments of one aggregate.
///
/// # Errors
/// As the database.
pub fn payments_of_aggregate(tx: &mut dyn Tx, aggregate: &str) -> Result<Vec<PaymentFacts>> {
    tx.query(PAYMENTS_OF_AGGREGATE, params![aggregate])?.iter().map(|row| json::read(row, "data")).collect()
}

static AGGREGATES_AFTER: &Sql = crate::sql!(
    "mirror.aggregates_after",
    "SELECT aggregate FROM subscriptions WHERE aggregate > $1 AND aggregate < $2
     UNION SELECT aggregate FROM purchases WHERE aggregate > $1 AND aggregate < $2
     ORDER BY aggregate LIMIT $3"
);

/// Aggregates of a scope that have anything mirrored, by name, after `after`.
///
/// # Errors
/// As the database.
pub fn aggregates_after(tx: &mut dyn Tx, scope: &str, after: &str, limit: i64) -> Result<Vec<String>> {
    // Names begin with their scope and a slash; `0` is what follows the slash.
    let (from, until) = (format!("{scope}/"), format!("{scope}0"));
    let from = if after.is_empty() { from.as_str() } else { after };
    tx.query(AGGREGATES_AFTER, params![from, until, limit])?.iter().map(|row| row.text("aggregate")).collect()
}

/// A mirrored payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRow {
    /// Whose it is.
    pub customer: Option<String>,
    /// The aggregate that it belongs to.
    pub aggregate: String,
    /// What the provider said last.
    pub facts: PaymentFacts,
}

static PAYMENT: &Sql = crate::sql!(
    "mirror.payment",
    "SELECT customer, aggregate, data FROM payments WHERE scope = $1 AND id = $2"
);
static PAYMENT_TIME: &Sql =
    crate::sql!("mirror.payment_time", "SELECT created_at FROM payments WHERE scope = $1 AND id = $2");
static PAYMENTS: &Sql = crate::sql!(
    "mirror.payments",
    "SELECT customer, aggregate, data FROM payments WHERE scope = $1 AND (created_at < $2 OR (created_at = $2 AND id < $3))
     ORDER BY created_at DESC, id DESC LIMIT $4"
);
static PAYMENTS_OF_CUSTOMER: &Sql = crate::sql!(
    "mirror.payments_of_customer",
    "SELECT customer, aggregate, data FROM payments
     WHERE customer = $5 AND scope = $1 AND (created_at < $2 OR (created_at = $2 AND id < $3))
     ORDER BY created_at DESC, id DESC LIMIT $4"
);

fn read_payment(row: &Row) -> Result<PaymentRow> {
    Ok(PaymentRow {
        customer: row.opt_text("customer")?,
        aggregate: row.text("aggregate")?,
        facts: json::read(row, "data")?,
    })
}

/// One payment by the provider's id.
///
/// # Errors
/// As the database.
pub fn payment(tx: &mut dyn Tx, scope: &str, id: &str) -> Result<Option<PaymentRow>> {
    tx.query(PAYMENT, params![scope, id])?.first().map(read_payment).transpose()
}

/// Payments before the payment `before`, newest first; of one customer where one is named.
///
/// # Errors
/// As the database.
pub fn payments(
    tx: &mut dyn Tx,
    scope: &str,
    customer: Option<&str>,
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<PaymentRow>> {
    let (id, at) = match before {
        None => ("", i64::MAX),
        Some(id) => match tx.query(PAYMENT_TIME, params![scope, id])?.first() {
            Some(row) => (id, row.i64("created_at")?),
            None => return Ok(Vec::new()),
        },
    };
    let rows = match customer {
        Some(customer) => tx.query(PAYMENTS_OF_CUSTOMER, params![scope, at, id, limit, customer])?,
        None => tx.query(PAYMENTS, params![scope, at, id, limit])?,
    };
    rows.iter().map(read_payment).collect()
}

/// Something that a customer holds, as stored: the plan by name, without the catalog's features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingRow {
    /// What it comes from.
    pub kind: SourceKind,
    /// The subscription's or purchase's id.
    pub source: String,
    /// The line of it.
    pub line: String,
    /// The plan.
    pub plan: PlanKey,
    /// Units.
    pub quantity: i64,
    /// What it does to access.
    pub standing: Standing,
    /// The catalog's version under which it was bought, where that is known.
    pub version: Option<String>,
}

static DROP_HOLDINGS: &Sql = crate::sql!("mirror.drop_holdings", "DELETE FROM holdings WHERE aggregate = $1");
static PUT_HOLDING: &Sql = crate::sql!(
    "mirror.put_holding",
    "INSERT INTO holdings (aggregate, source_type, source_id, line, customer, plan, quantity, standing, catalog_version)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
);
static HOLDINGS: &Sql = crate::sql!(
    "mirror.holdings",
    "SELECT source_type, source_id, line, plan, quantity, standing, catalog_version FROM holdings WHERE customer = $1
     ORDER BY source_type, source_id, line"
);

static HOLDINGS_AFTER: &Sql = crate::sql!(
    "mirror.holdings_after",
    "SELECT aggregate, customer, source_type, source_id, line, plan, quantity, standing, catalog_version FROM holdings
     WHERE aggregate > $1 OR (aggregate = $1 AND (source_type > $2 OR (source_type = $2 AND (source_id > $3
       OR (source_id = $3 AND line > $4)))))
     ORDER BY aggregate, source_type, source_id, line LIMIT $5"
);
static HOLDINGS_OF_AGGREGATE: &Sql = crate::sql!(
    "mirror.holdings_of_aggregate",
    "SELECT source_type, source_id, line, plan, quantity, standing, catalog_version FROM holdings WHERE aggregate = $1
     ORDER BY source_type, source_id, line"
);
static PURCHASE: &Sql =
    crate::sql!("mirror.purchase", "SELECT data FROM purchases WHERE scope = $1 AND id = $2");

/// A holding, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedHolding {
    /// The aggregate that gives it.
    pub aggregate: String,
    /// The customer who has it.
    pub customer: String,
    /// What is held.
    pub held: HoldingRow,
}

/// Where a reader of all holdings is: behind this one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HoldingPlace {
    aggregate: String,
    kind: String,
    source: String,
    line: String,
}

impl PlacedHolding {
    /// The place of this one.
    #[must_use]
    pub fn place(&self) -> HoldingPlace {
        HoldingPlace {
            aggregate: self.aggregate.clone(),
            kind: self.held.kind.as_str().to_owned(),
            source: self.held.source.clone(),
            line: self.held.line.clone(),
        }
    }
}

/// Holdings that come from subscriptions and purchases, of all customers, after a place.
///
/// # Errors
/// As the database.
pub fn holdings_after(tx: &mut dyn Tx, place: &HoldingPlace, limit: i64) -> Result<Vec<PlacedHolding>> {
    let read = |row: &Row| {
        Ok(PlacedHolding {
            aggregate: row.text("aggregate")?,
            customer: row.text("customer")?,
            held: read_holding(row)?,
        })
    };
    let at = params![&place.aggregate, &place.kind, &place.source, &place.line, limit];
    tx.query(HOLDINGS_AFTER, at)?.iter().map(read).collect()
}

/// What an aggregate gives to its customer.
///
/// # Errors
/// As the database.
pub fn holdings_of_aggregate(tx: &mut dyn Tx, aggregate: &str) -> Result<Vec<HoldingRow>> {
    tx.query(HOLDINGS_OF_AGGREGATE, params![aggregate])?.iter().map(read_holding).collect()
}

/// For each aggregate the subscriptions and purchases that it gives anything by.
///
/// # Errors
/// As the database.
pub fn sources_held(tx: &mut dyn Tx, aggregates: &[String]) -> Result<Vec<Vec<String>>> {
    let rows: Vec<Vec<V>> = aggregates.iter().map(|key| params![key].to_vec()).collect();
    let found = tx.batch(HOLDINGS_OF_AGGREGATE, &rows)?;
    found.iter().map(|rows| rows.iter().map(|row| row.text("source_id")).collect()).collect()
}

/// For each id the subscription that is mirrored.
///
/// # Errors
/// As the database.
pub fn subscriptions_of_ids(tx: &mut dyn Tx, ids: &[String]) -> Result<Vec<Option<SubscriptionRow>>> {
    let rows: Vec<Vec<V>> = ids.iter().map(|id| params![id].to_vec()).collect();
    let found = tx.batch(SUBSCRIPTION, &rows)?;
    found.iter().map(|rows| rows.first().map(read_subscription).transpose()).collect()
}

/// For each id the purchase that is mirrored.
///
/// # Errors
/// As the database.
pub fn purchases_of_ids(tx: &mut dyn Tx, scope: &str, ids: &[String]) -> Result<Vec<Option<Purchase>>> {
    let rows: Vec<Vec<V>> = ids.iter().map(|id| params![scope, id].to_vec()).collect();
    let found = tx.batch(PURCHASE, &rows)?;
    found.iter().map(|rows| rows.first().map(|row| json::read(row, "data")).transpose()).collect()
}

/// Replaces what an aggregate gives to its customer. Other aggregates' and operators' gifts stay.
///
/// # Errors
/// As the database.
pub fn replace_holdings(
    tx: &mut dyn Tx,
    aggregate: &str,
    customer: &CustomerId,
    holdings: &[HoldingRow],
) -> Result<()> {
    tx.exec(DROP_HOLDINGS, params![aggregate])?;
    for held in holdings {
        tx.exec(
            PUT_HOLDING,
            params![
                aggregate,
                held.kind.as_str(),
                &held.source,
                &held.line,
                customer.as_str(),
                held.plan.as_str(),
                held.quantity,
                json::write(&held.standing)?,
                held.version.as_deref()
            ],
        )?;
    }
    Ok(())
}

/// What a customer holds because of the mirror.
///
/// # Errors
/// As the database.
pub fn holdings(tx: &mut dyn Tx, customer: &str) -> Result<Vec<HoldingRow>> {
    tx.query(HOLDINGS, params![customer])?.iter().map(read_holding).collect()
}

fn read_holding(row: &Row) -> Result<HoldingRow> {
    Ok(HoldingRow {
        kind: json::parsed("source_type", &row.text("source_type")?, |text| match text {
            "subscription" => Ok(SourceKind::Subscription),
            "purchase" => Ok(SourceKind::Purchase),
            other => Err(format!("`{other}` is no source of the mirror")),
        })?,
        source: row.text("source_id")?,
        line: row.text("line")?,
        plan: json::parsed("plan", &row.text("plan")?, PlanKey::parse)?,
        quantity: row.i64("quantity")?,
        standing: json::read(row, "standing")?,
        version: row.opt_text("catalog_version")?,
    })
}
