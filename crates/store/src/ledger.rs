//! The ledger's tables: entries are added and never changed; both databases refuse anything else.
//!
//! [`record`] is the only way in. It compares what should stand with what does, and corrects by reversal, so it can be told
//! the same any number of times. Knows nothing of what an entry is for.

use std::collections::BTreeMap;

use quittance_domain::ledger::{Account, Entry, Key, Kind, Posting, Record};
use quittance_domain::mutant::{self, Mutant};
use quittance_domain::{Currency, CustomerId, Money, Timestamp};

use crate::db::Tx;
use crate::error::{Result, StoreError};
use crate::sql::Sql;
use crate::value::{Row, V};
use crate::{json, params};

static STANDING: &Sql = crate::sql!(
    "ledger.standing",
    "SELECT seq, revision, reverses FROM ledger_entries WHERE scope = $1 AND kind = $2 AND object = $3
     ORDER BY revision DESC LIMIT 1"
);
static POSTINGS: &Sql = crate::sql!(
    "ledger.postings",
    "SELECT account, currency, amount FROM ledger_postings WHERE entry = $1 ORDER BY account, currency"
);
static INSERT: &Sql = crate::sql!(
    "ledger.insert",
    "INSERT INTO ledger_entries (scope, kind, object, revision, reverses, at, posted_at, detail, source, payment, provider_customer)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     ON CONFLICT (scope, kind, object, revision) DO NOTHING RETURNING seq"
);
static INSERT_POSTING: &Sql = crate::sql!(
    "ledger.insert_posting",
    "INSERT INTO ledger_postings (entry, account, currency, amount, scope, at) VALUES ($1, $2, $3, $4, $5, $6)"
);

/// One entry to write.
struct New<'r> {
    record: &'r Record,
    revision: i64,
    reverses: bool,
    entry: Entry,
}

impl New<'_> {
    fn params(&self, now: Timestamp) -> Vec<V> {
        let Record { key, at, detail, source, payment, provider_customer, entry: _ } = self.record;
        params![
            &key.scope,
            key.kind.as_str(),
            &key.object,
            self.revision,
            self.reverses,
            at.ms(),
            now.ms(),
            detail,
            source.clone(),
            payment.clone(),
            provider_customer.clone()
        ]
        .to_vec()
    }
}

/// Makes the ledger say what these records say, and returns how many entries that took: none where it says so already.
/// What stands and should not is reversed. Two records of one call must not have the same key.
///
/// # Errors
/// As the database.
pub fn record(tx: &mut dyn Tx, records: &[Record], now: Timestamp) -> Result<u64> {
    let latest = latest_of(tx, records.iter().map(|record| &record.key))?;
    let standing: Vec<i64> = latest.iter().flatten().filter(|l| !l.reverses).map(|l| l.seq).collect();
    let mut stands = entries_of(tx, &standing)?;
    let mut new: Vec<New<'_>> = Vec::new();
    for (record, latest) in records.iter().zip(latest) {
        let twice = mutant::is(Mutant::LedgerKey) && record.entry.is_some();
        let (stood, next) = match latest {
            _ if twice => (None, now.ms()),
            None => (None, 0),
            Some(latest) => (stands.remove(&latest.seq), latest.revision.saturating_add(1)),
        };
        if stood == record.entry {
            continue;
        }
        let mut revision = next;
        if let Some(stood) = stood {
            new.push(New { record, revision, reverses: true, entry: stood.reversed() });
            revision = revision.saturating_add(1);
        }
        if let Some(entry) = record.entry.clone() {
            new.push(New { record, revision, reverses: false, entry });
        }
    }
    write(tx, &new, now)
}

fn write(tx: &mut dyn Tx, new: &[New<'_>], now: Timestamp) -> Result<u64> {
    if new.is_empty() {
        return Ok(0);
    }
    let rows: Vec<Vec<V>> = new.iter().map(|new| new.params(now)).collect();
    let written = tx.batch(INSERT, &rows)?;
    let (mut count, mut lines) = (0, Vec::new());
    for (new, rows) in new.iter().zip(&written) {
        // Somebody else wrote it at this moment.
        let Some(row) = rows.first() else { continue };
        let seq = row.i64("seq")?;
        count += 1;
        lines.extend(new.entry.postings().iter().map(|Posting { account, amount }| {
            params![
                seq,
                account.as_str(),
                amount.currency.code(),
                amount.minor,
                &new.record.key.scope,
                new.record.at.ms()
            ]
            .to_vec()
        }));
    }
    tx.exec_batch(INSERT_POSTING, &lines)?;
    Ok(count)
}

/// The entry that stands under each key, if one does.
///
/// # Errors
/// As the database.
pub fn standing(tx: &mut dyn Tx, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
    let latest = latest_of(tx, keys.iter())?;
    let seqs: Vec<i64> = latest.iter().flatten().filter(|l| !l.reverses).map(|l| l.seq).collect();
    let mut entries = entries_of(tx, &seqs)?;
    Ok(latest.into_iter().map(|latest| latest.and_then(|latest| entries.remove(&latest.seq))).collect())
}

/// The newest entry under a key.
struct Latest {
    seq: i64,
    revision: i64,
    reverses: bool,
}

fn latest_of<'k>(tx: &mut dyn Tx, keys: impl Iterator<Item = &'k Key>) -> Result<Vec<Option<Latest>>> {
    let keys: Vec<Vec<V>> =
        keys.map(|key| params![&key.scope, key.kind.as_str(), &key.object].to_vec()).collect();
    let found = tx.batch(STANDING, &keys)?;
    let read = |row: &Row| {
        Ok(Latest { seq: row.i64("seq")?, revision: row.i64("revision")?, reverses: row.bool("reverses")? })
    };
    found.iter().map(|rows| rows.first().map(read).transpose()).collect()
}

/// The postings of these entries, by the entries' numbers.
fn entries_of(tx: &mut dyn Tx, seqs: &[i64]) -> Result<BTreeMap<i64, Entry>> {
    let keys: Vec<Vec<V>> = seqs.iter().map(|seq| params![*seq].to_vec()).collect();
    let found = tx.batch(POSTINGS, &keys)?;
    seqs.iter().zip(&found).map(|(seq, rows)| Ok((*seq, entry_of(rows)?))).collect()
}

fn entry_of(rows: &[Row]) -> Result<Entry> {
    let mut postings = Vec::with_capacity(rows.len());
    for row in rows {
        let account = json::parsed("account", &row.text("account")?, account)?;
        let currency = json::parsed("currency", &row.text("currency")?, Currency::parse)?;
        postings.push(Posting { account, amount: Money::new(row.i64("amount")?, currency) });
    }
    let broken = |error: quittance_domain::ledger::LedgerError| StoreError::Row {
        column: "amount".to_owned(),
        message: error.to_string(),
    };
    Entry::new(postings).map_err(broken)
}

fn account(text: &str) -> std::result::Result<Account, String> {
    Account::parse(text).ok_or_else(|| format!("`{text}` is no account"))
}

fn kind(text: &str) -> std::result::Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| format!("`{text}` is no kind of entry"))
}

/// An entry as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Running number and cursor.
    pub seq: i64,
    /// What it stands for.
    pub key: Key,
    /// Whether it takes an earlier one back.
    pub reverses: bool,
    /// When it became so, by the provider's clock.
    pub at: Timestamp,
    /// When it was written.
    pub posted_at: Timestamp,
    /// The provider's own word for it.
    pub detail: String,
    /// The object behind it.
    pub source: Option<String>,
    /// The payment it belongs to.
    pub payment: Option<String>,
    /// The provider's customer.
    pub provider_customer: Option<String>,
    /// The postings.
    pub entry: Entry,
}

macro_rules! rows_of_entries {
    ($which:literal) => {
        concat!(
            "SELECT e.seq, e.scope, e.kind, e.object, e.reverses, e.at, e.posted_at, e.detail, e.source, e.payment, e.provider_customer
             FROM ledger_entries e WHERE e.scope = $1 AND ",
            $which
        )
    };
}

static PAGE: &Sql = crate::sql!(
    "ledger.page",
    rows_of_entries!(
        "e.seq < $2 AND e.at >= $3 AND e.at < $4
         AND (CAST($5 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM ledger_postings p WHERE p.entry = e.seq AND p.account = $5))
         ORDER BY e.seq DESC LIMIT $6"
    )
);
// A refund names no customer: it is its payment's.
static PAGE_OF_CUSTOMER: &Sql = crate::sql!(
    "ledger.page_of_customer",
    rows_of_entries!(
        "e.seq < $2 AND e.at >= $3 AND e.at < $4
         AND (CAST($5 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM ledger_postings p WHERE p.entry = e.seq AND p.account = $5))
         AND (e.provider_customer IN (SELECT l.provider_customer FROM provider_customers l WHERE l.scope = $1 AND l.customer = $7)
           OR e.payment IN (SELECT c.payment FROM ledger_entries c WHERE c.scope = $1 AND c.payment IS NOT NULL
             AND c.provider_customer IN (SELECT l.provider_customer FROM provider_customers l WHERE l.scope = $1 AND l.customer = $7))
           OR e.payment IN (SELECT o.payment FROM payment_owners o WHERE o.scope = $1 AND o.customer = $7))
         ORDER BY e.seq DESC LIMIT $6"
    )
);
static AFTER: &Sql = crate::sql!("ledger.after", rows_of_entries!("e.seq > $2 ORDER BY e.seq LIMIT $3"));
static OF_OBJECT: &Sql =
    crate::sql!("ledger.of_object", rows_of_entries!("e.kind = $2 AND e.object = $3 ORDER BY e.revision"));

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// Provider, mode and account.
    pub scope: String,
    /// Before this number; `i64::MAX` for the newest.
    pub cursor: i64,
    /// At or after this time.
    pub from: Timestamp,
    /// Before this time.
    pub until: Timestamp,
    /// Only those with a posting in this account.
    pub account: Option<Account>,
    /// Only those of this customer of ours.
    pub customer: Option<String>,
}

impl Which {
    /// The newest of a scope.
    #[must_use]
    pub fn all(scope: &str) -> Self {
        Self {
            scope: scope.to_owned(),
            cursor: i64::MAX,
            from: Timestamp::from_ms(i64::MIN),
            until: Timestamp::from_ms(i64::MAX),
            account: None,
            customer: None,
        }
    }
}

/// Entries, the last written first.
///
/// # Errors
/// As the database.
pub fn page(tx: &mut dyn Tx, which: &Which, limit: i64) -> Result<Vec<EntryRow>> {
    let account = which.account.map(Account::as_str);
    let Which { scope, cursor, from, until, account: _, customer } = which;
    let rows = match customer {
        None => tx.query(PAGE, params![scope, *cursor, from.ms(), until.ms(), account, limit]),
        Some(customer) => tx.query(
            PAGE_OF_CUSTOMER,
            params![scope, *cursor, from.ms(), until.ms(), account, limit, customer],
        ),
    };
    read_all(tx, &rows?)
}

/// Entries in the order in which they were written, after `seq`.
///
/// # Errors
/// As the database.
pub fn after(tx: &mut dyn Tx, scope: &str, seq: i64, limit: i64) -> Result<Vec<EntryRow>> {
    let rows = tx.query(AFTER, params![scope, seq, limit])?;
    read_all(tx, &rows)
}

/// All entries under one key, oldest first, reversals among them.
///
/// # Errors
/// As the database.
pub fn of_object(tx: &mut dyn Tx, key: &Key) -> Result<Vec<EntryRow>> {
    let rows = tx.query(OF_OBJECT, params![&key.scope, key.kind.as_str(), &key.object])?;
    read_all(tx, &rows)
}

fn read_all(tx: &mut dyn Tx, rows: &[Row]) -> Result<Vec<EntryRow>> {
    let seqs = rows.iter().map(|row| row.i64("seq")).collect::<Result<Vec<i64>>>()?;
    let mut entries = entries_of(tx, &seqs)?;
    let read = |row: &Row| {
        let seq = row.i64("seq")?;
        Ok(EntryRow {
            seq,
            key: Key {
                scope: row.text("scope")?,
                kind: json::parsed("kind", &row.text("kind")?, kind)?,
                object: row.text("object")?,
            },
            reverses: row.bool("reverses")?,
            at: Timestamp::from_ms(row.i64("at")?),
            posted_at: Timestamp::from_ms(row.i64("posted_at")?),
            detail: row.text("detail")?,
            source: row.opt_text("source")?,
            payment: row.opt_text("payment")?,
            provider_customer: row.opt_text("provider_customer")?,
            entry: entries.remove(&seq).unwrap_or_default(),
        })
    };
    rows.iter().map(read).collect()
}

static BALANCES: &Sql = crate::sql!(
    "ledger.balances",
    "SELECT account, currency, CAST(SUM(CASE WHEN amount > 0 THEN amount ELSE 0 END) AS BIGINT) AS debits,
       CAST(SUM(CASE WHEN amount < 0 THEN -amount ELSE 0 END) AS BIGINT) AS credits
     FROM ledger_postings WHERE scope = $1 AND at < $2 GROUP BY account, currency ORDER BY currency, account"
);

/// What was debited and credited to one account in one currency, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The account.
    pub account: Account,
    /// The currency.
    pub currency: Currency,
    /// The sum of debits.
    pub debits: i64,
    /// The sum of credits, as a positive number.
    pub credits: i64,
}

impl Balance {
    /// Debits less credits.
    #[must_use]
    pub const fn balance(&self) -> i64 {
        self.debits.saturating_sub(self.credits)
    }
}

/// The trial balance of what became so before `until`: each account that was used, per currency.
///
/// # Errors
/// As the database; also when a sum does not fit 64 bits.
pub fn trial_balance(tx: &mut dyn Tx, scope: &str, until: Timestamp) -> Result<Vec<Balance>> {
    let read = |row: &Row| {
        Ok(Balance {
            account: json::parsed("account", &row.text("account")?, account)?,
            currency: json::parsed("currency", &row.text("currency")?, Currency::parse)?,
            debits: row.i64("debits")?,
            credits: row.i64("credits")?,
        })
    };
    tx.query(BALANCES, params![scope, until.ms()])?.iter().map(read).collect()
}

// The index is of the three details: they are named as it names them, so that it is used.
static UNDER_WAY: &Sql = crate::sql!(
    "ledger.payouts_under_way",
    "SELECT e.source FROM ledger_entries e
     WHERE e.scope = $1 AND e.detail IN ('payout', 'payout_cancel', 'payout_failure') AND e.detail = 'payout' AND e.source IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM ledger_entries a WHERE a.scope = $1 AND a.kind = 'payout_arrival' AND a.object = e.source)
       AND NOT EXISTS (SELECT 1 FROM ledger_entries b WHERE b.scope = $1 AND b.source = e.source
         AND b.detail IN ('payout', 'payout_cancel', 'payout_failure') AND b.detail <> 'payout')
     ORDER BY e.source LIMIT $2"
);

/// Payouts that have left the balance, and neither arrived nor came back.
///
/// # Errors
/// As the database.
pub fn payouts_under_way(tx: &mut dyn Tx, scope: &str, limit: i64) -> Result<Vec<String>> {
    tx.query(UNDER_WAY, params![scope, limit])?.iter().map(|row| row.text("source")).collect()
}

static MONEY_IN: &Sql = crate::sql!(
    "ledger.money_in",
    "SELECT e.seq, e.payment, e.provider_customer, e.at, e.posted_at, COALESCE(o.customer, p.customer) AS customer
     FROM ledger_entries e
     LEFT JOIN provider_customers p ON p.scope = e.scope AND p.provider_customer = e.provider_customer
     LEFT JOIN payment_owners o ON o.scope = e.scope AND o.payment = e.payment
     WHERE e.scope = $1 AND e.seq > $2 AND e.payment IS NOT NULL AND e.detail IN ('charge', 'payment')
       AND e.revision = 0
     ORDER BY e.seq LIMIT $3"
);

/// A payment in the ledger, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyIn {
    /// The entry's number.
    pub seq: i64,
    /// The provider's payment.
    pub payment: String,
    /// The provider's customer; none for a guest.
    pub provider_customer: Option<String>,
    /// When it moved.
    pub at: Timestamp,
    /// When it was written.
    pub posted_at: Timestamp,
    /// Our customer, if the provider's is linked or somebody claimed it.
    pub customer: Option<String>,
}

static OWN: &Sql = crate::sql!(
    "ledger.own",
    "INSERT INTO payment_owners (scope, payment, customer, claimed_by, claimed_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (scope, payment) DO UPDATE SET customer = $3, claimed_by = $4, claimed_at = $5"
);

/// Says whose a payment of the provider's guests is.
///
/// # Errors
/// As the database.
pub fn own(
    tx: &mut dyn Tx,
    scope: &str,
    payment: &str,
    customer: &CustomerId,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    tx.exec(OWN, params![scope, payment, customer.as_str(), by, now.ms()])?;
    Ok(())
}

/// Payments after entry `after`, in the order of the books, up to the first that moved and was written after `until`. Books
/// are not written in the order of time: whoever goes on after the last of these must not have passed a younger one.
///
/// # Errors
/// As the database.
pub fn money_in(
    tx: &mut dyn Tx,
    scope: &str,
    after: i64,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<MoneyIn>> {
    let read = |row: &Row| {
        Ok(MoneyIn {
            seq: row.i64("seq")?,
            payment: row.text("payment")?,
            provider_customer: row.opt_text("provider_customer")?,
            at: Timestamp::from_ms(row.i64("at")?),
            posted_at: Timestamp::from_ms(row.i64("posted_at")?),
            customer: row.opt_text("customer")?,
        })
    };
    let rows = tx.query(MONEY_IN, params![scope, after, limit])?;
    let settled = |money: &Result<MoneyIn>| {
        // A simulated clock of the provider may be ahead of ours: that money settles by when it was written.
        money.as_ref().map_or(true, |money| money.at.min(money.posted_at) <= until)
    };
    rows.iter().map(read).take_while(settled).collect()
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
