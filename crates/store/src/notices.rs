//! Notices to customers, once per natural key, and the changes that operators announce.

use quittance_domain::mutant::{self, Mutant};
use quittance_domain::notices::{Announcement, AppliedRule, Notice, NoticeKind, Told};
use quittance_domain::{CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::{Result, StoreError};
use crate::json;
use crate::params;
use crate::sql::Sql;
use crate::value::Row;

static PUT: &Sql = crate::sql!(
    "notices.put",
    "INSERT INTO notices (kind, object, occurrence, customer, aggregate, about, data, rules, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     ON CONFLICT (kind, object, occurrence) DO NOTHING RETURNING seq"
);
static GET: &Sql = crate::sql!(
    "notices.get",
    "SELECT seq, kind, object, occurrence, customer, aggregate, about, data, rules, created_at FROM notices WHERE seq = $1"
);
static LIST: &Sql = crate::sql!(
    "notices.list",
    "SELECT seq, kind, object, occurrence, customer, aggregate, about, data, rules, created_at FROM notices
     WHERE seq < $1 AND (CAST($2 AS TEXT) IS NULL OR kind = $2) ORDER BY seq DESC LIMIT $3"
);
static OF_CUSTOMER: &Sql = crate::sql!(
    "notices.of_customer",
    "SELECT seq, kind, object, occurrence, customer, aggregate, about, data, rules, created_at FROM notices
     WHERE customer = $1 AND seq < $2 AND (CAST($3 AS TEXT) IS NULL OR kind = $3) ORDER BY seq DESC LIMIT $4"
);
static OF_AGGREGATE: &Sql = crate::sql!(
    "notices.of_aggregate",
    "SELECT kind, object, occurrence, about, rules FROM notices WHERE aggregate = $1 ORDER BY seq DESC LIMIT $2"
);

/// A notice that was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// Running number and cursor.
    pub seq: i64,
    /// What it is about.
    pub kind: NoticeKind,
    /// The object it is about.
    pub object: String,
    /// Which occurrence.
    pub occurrence: String,
    /// Whom it is for.
    pub customer: Option<String>,
    /// The aggregate that it came up in.
    pub aggregate: Option<String>,
    /// The moment that it is about, where that lay ahead.
    pub about: Option<Timestamp>,
    /// What was known when it was written down, JSON.
    pub data: String,
    /// The rules that it was for and how it kept them.
    pub rules: Vec<AppliedRule>,
    /// When it was written down.
    pub created_at: Timestamp,
}

/// Writes a notice down; its number when this fact was not told before.
///
/// # Errors
/// As the database.
pub fn put(
    tx: &mut dyn Tx,
    notice: &Notice,
    customer: &CustomerId,
    aggregate: &str,
    now: Timestamp,
) -> Result<Option<i64>> {
    let again = mutant::is(Mutant::NaturalKey).then(|| format!("{} at {}", notice.occurrence, now.ms()));
    let rows = tx.query(
        PUT,
        params![
            notice.kind.as_str(),
            &notice.object,
            again.as_deref().unwrap_or(&notice.occurrence),
            customer.as_str(),
            aggregate,
            notice.about.map(Timestamp::ms),
            notice.data.to_string(),
            json::write(&notice.rules)?,
            now.ms()
        ],
    )?;
    rows.first().map(|row| row.i64("seq")).transpose()
}

/// One notice by its number.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, seq: i64) -> Result<Option<NoticeRow>> {
    tx.query(GET, params![seq])?.first().map(read).transpose()
}

/// Notices before `cursor` (exclusive; `i64::MAX` for the newest), newest first, of one kind when that is given.
///
/// # Errors
/// As the database.
pub fn list(tx: &mut dyn Tx, cursor: i64, kind: Option<NoticeKind>, limit: i64) -> Result<Vec<NoticeRow>> {
    tx.query(LIST, params![cursor, kind.map(NoticeKind::as_str), limit])?.iter().map(read).collect()
}

/// The same for one customer.
///
/// # Errors
/// As the database.
pub fn of_customer(
    tx: &mut dyn Tx,
    customer: &str,
    cursor: i64,
    kind: Option<NoticeKind>,
    limit: i64,
) -> Result<Vec<NoticeRow>> {
    let params = params![customer, cursor, kind.map(NoticeKind::as_str), limit];
    tx.query(OF_CUSTOMER, params)?.iter().map(read).collect()
}

/// What was told about an aggregate, newest first, for the next decision.
///
/// # Errors
/// As the database.
pub fn told(tx: &mut dyn Tx, aggregate: &str, limit: i64) -> Result<Vec<Told>> {
    tx.query(OF_AGGREGATE, params![aggregate, limit])?
        .iter()
        .map(|row| {
            Ok(Told {
                kind: kind(row)?,
                object: row.text("object")?,
                occurrence: row.text("occurrence")?,
                about: row.opt_i64("about")?.map(Timestamp::from_ms),
                rules: json::read(row, "rules")?,
            })
        })
        .collect()
}

fn kind(row: &Row) -> Result<NoticeKind> {
    let word = row.text("kind")?;
    let message = format!("`{word}` is no kind of notice");
    NoticeKind::parse(&word).ok_or(StoreError::Row { column: "kind".to_owned(), message })
}

fn read(row: &Row) -> Result<NoticeRow> {
    Ok(NoticeRow {
        seq: row.i64("seq")?,
        kind: kind(row)?,
        object: row.text("object")?,
        occurrence: row.text("occurrence")?,
        customer: row.opt_text("customer")?,
        aggregate: row.opt_text("aggregate")?,
        about: row.opt_i64("about")?.map(Timestamp::from_ms),
        data: row.text("data")?,
        rules: json::read(row, "rules")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
    })
}

static ANNOUNCE: &Sql = crate::sql!(
    "announcements.put",
    "INSERT INTO announcements (id, scope, kind, effective_at, data, created_by, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING"
);
static WITHDRAW: &Sql = crate::sql!(
    "announcements.withdraw",
    "UPDATE announcements SET withdrawn_at = $2 WHERE id = $1 AND withdrawn_at IS NULL"
);
static AHEAD: &Sql = crate::sql!(
    "announcements.ahead",
    "SELECT data FROM announcements WHERE scope = $1 AND effective_at > $2 AND withdrawn_at IS NULL
     ORDER BY effective_at, id LIMIT $3"
);
static ALL: &Sql = crate::sql!(
    "announcements.all",
    "SELECT data, created_by, withdrawn_at FROM announcements WHERE scope = $1 ORDER BY effective_at DESC, id LIMIT $2"
);
static ONE: &Sql = crate::sql!(
    "announcements.one",
    "SELECT data, created_by, withdrawn_at FROM announcements WHERE id = $1"
);
/// Most announcements that are ahead at the same time.
pub const MOST_AHEAD: i64 = 200;

/// An announcement and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncementRow {
    /// What was announced.
    pub announcement: Announcement,
    /// Who announced it.
    pub created_by: String,
    /// When it was taken back.
    pub withdrawn_at: Option<Timestamp>,
}

/// Writes an announcement down; `false` when its id is taken.
///
/// # Errors
/// As the database.
pub fn announce(tx: &mut dyn Tx, scope: &str, new: &Announcement, by: &str) -> Result<bool> {
    let data = json::write(new)?;
    let params =
        params![&new.id, scope, new.kind.as_str(), new.effective_at.ms(), data, by, new.created_at.ms()];
    Ok(tx.exec(ANNOUNCE, params)? == 1)
}

/// Takes an announcement back; `false` when there is none, or it was taken back before.
///
/// # Errors
/// As the database.
pub fn withdraw(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Result<bool> {
    Ok(tx.exec(WITHDRAW, params![id, now.ms()])? == 1)
}

/// The announcements that still stand and take effect later than `now`.
///
/// # Errors
/// As the database.
pub fn ahead(tx: &mut dyn Tx, scope: &str, now: Timestamp) -> Result<Vec<Announcement>> {
    let rows = tx.query(AHEAD, params![scope, now.ms(), MOST_AHEAD])?;
    rows.iter().map(|row| json::read(row, "data")).collect()
}

/// All announcements, the last to take effect first.
///
/// # Errors
/// As the database.
pub fn announcements(tx: &mut dyn Tx, scope: &str, limit: i64) -> Result<Vec<AnnouncementRow>> {
    tx.query(ALL, params![scope, limit])?.iter().map(read_announcement).collect()
}

/// One announcement.
///
/// # Errors
/// As the database.
pub fn announcement(tx: &mut dyn Tx, id: &str) -> Result<Option<AnnouncementRow>> {
    tx.query(ONE, params![id])?.first().map(read_announcement).transpose()
}

fn read_announcement(row: &Row) -> Result<AnnouncementRow> {
    Ok(AnnouncementRow {
        announcement: json::read(row, "data")?,
        created_by: row.text("created_by")?,
        withdrawn_at: row.opt_i64("withdrawn_at")?.map(Timestamp::from_ms),
    })
}
