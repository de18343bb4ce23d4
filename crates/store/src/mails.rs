//! Mails that were sent, and which ones a customer does not want.

use quittance_domain::{CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;
use crate::value::Row;

/// A mail that was sent or captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// What it is told by on its way, without angle brackets.
    pub message_id: String,
    /// The delivery that it was sent for.
    pub delivery: Option<i64>,
    /// Whom it is for.
    pub customer: Option<CustomerId>,
    /// The kind of its notice.
    pub kind: String,
    /// Its language.
    pub language: String,
    /// Which wording.
    pub template: String,
    /// The rules that asked for it, as the notice has them.
    pub rules: Option<String>,
    /// A digest of customer and address, or the address itself where it was captured.
    pub address: String,
    /// The subject, where it is kept.
    pub subject: Option<String>,
    /// The text without its links, where it is kept.
    pub text: Option<String>,
    /// The HTML, where it was captured.
    pub html: Option<String>,
    /// The digest of subject and text without its links.
    pub sha256: String,
    /// It did not leave: there is no mail server.
    pub captured: bool,
}

/// A mail as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRow {
    /// Running number and cursor.
    pub seq: i64,
    /// What was sent.
    pub mail: NewMail,
    /// How often it was sent.
    pub sends: i64,
    /// When it was sent last.
    pub sent_at: Timestamp,
}

static PUT: &Sql = crate::sql!(
    "mails.put",
    "INSERT INTO mails (message_id, delivery, customer, kind, language, template, rules, address, subject, text, html, sha256,
       captured, sends, sent_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14)
     ON CONFLICT (message_id) DO UPDATE SET sends = mails.sends + 1, sent_at = $14"
);
static SENT: &Sql = crate::sql!(
    "mails.sent",
    "SELECT seq, message_id, delivery, customer, kind, language, template, rules, address, subject, text, html, sha256, captured,
       sends, sent_at
     FROM mails WHERE message_id = $1"
);
static GET: &Sql = crate::sql!(
    "mails.get",
    "SELECT seq, message_id, delivery, customer, kind, language, template, rules, address, subject, text, html, sha256, captured,
       sends, sent_at
     FROM mails WHERE seq = $1"
);
static OF_DELIVERY: &Sql = crate::sql!(
    "mails.of_delivery",
    "SELECT seq, message_id, delivery, customer, kind, language, template, rules, address, subject, text, html, sha256, captured,
       sends, sent_at
     FROM mails WHERE delivery = $1"
);
static CAPTURED: &Sql = crate::sql!(
    "mails.captured",
    "SELECT seq, message_id, delivery, customer, kind, language, template, rules, address, subject, text, html, sha256, captured,
       sends, sent_at
     FROM mails WHERE captured AND seq < $1 ORDER BY seq DESC LIMIT $2"
);
static UNWANTED: &Sql = crate::sql!(
    "notice_preferences.unwanted",
    "SELECT kind FROM notice_preferences WHERE customer = $1 AND wanted = $2 ORDER BY kind"
);
static PREFER: &Sql = crate::sql!(
    "notice_preferences.put",
    "INSERT INTO notice_preferences (customer, kind, wanted, changed_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (customer, kind) DO UPDATE SET wanted = $3, changed_at = $4 WHERE notice_preferences.wanted <> $3"
);

/// Records a mail that was sent; one with the same message id was sent once more.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, mail: &NewMail, now: Timestamp) -> Result<()> {
    let values = params![
        &mail.message_id,
        mail.delivery,
        mail.customer.as_ref().map(CustomerId::as_str),
        &mail.kind,
        &mail.language,
        &mail.template,
        mail.rules.clone(),
        &mail.address,
        mail.subject.clone(),
        mail.text.clone(),
        mail.html.clone(),
        &mail.sha256,
        mail.captured,
        now.ms()
    ];
    tx.exec(PUT, values)?;
    Ok(())
}

/// The mail with this message id, if it was sent.
///
/// # Errors
/// As the database.
pub fn sent(tx: &mut dyn Tx, message_id: &str) -> Result<Option<MailRow>> {
    tx.query(SENT, params![message_id])?.first().map(read).transpose()
}

/// One mail.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, seq: i64) -> Result<Option<MailRow>> {
    tx.query(GET, params![seq])?.first().map(read).transpose()
}

/// The mail of a delivery, if it was sent.
///
/// # Errors
/// As the database.
pub fn of_delivery(tx: &mut dyn Tx, delivery: i64) -> Result<Option<MailRow>> {
    tx.query(OF_DELIVERY, params![delivery])?.first().map(read).transpose()
}

/// Captured mails before `cursor` (exclusive; `i64::MAX` for the newest), newest first.
///
/// # Errors
/// As the database.
pub fn captured(tx: &mut dyn Tx, cursor: i64, limit: i64) -> Result<Vec<MailRow>> {
    tx.query(CAPTURED, params![cursor, limit])?.iter().map(read).collect()
}

/// The kinds of mails that a customer does not want.
///
/// # Errors
/// As the database.
pub fn unwanted(tx: &mut dyn Tx, customer: &str) -> Result<Vec<String>> {
    tx.query(UNWANTED, params![customer, false])?.iter().map(|row| row.text("kind")).collect()
}

/// Whether a customer wants mails of a kind from now on; `true` when that is new. What was never said is wanted, so wanting
/// it for the first time is new as well.
///
/// # Errors
/// As the database; a foreign-key error when there is no such customer.
pub fn prefer(
    tx: &mut dyn Tx,
    customer: &CustomerId,
    kind: &str,
    wanted: bool,
    now: Timestamp,
) -> Result<bool> {
    Ok(tx.exec(PREFER, params![customer.as_str(), kind, wanted, now.ms()])? == 1)
}

fn read(row: &Row) -> Result<MailRow> {
    let customer = row.opt_text("customer")?;
    Ok(MailRow {
        seq: row.i64("seq")?,
        mail: NewMail {
            message_id: row.text("message_id")?,
            delivery: row.opt_i64("delivery")?,
            customer: customer
                .map(|id| crate::json::parsed("customer", &id, CustomerId::parse))
                .transpose()?,
            kind: row.text("kind")?,
            language: row.text("language")?,
            template: row.text("template")?,
            rules: row.opt_text("rules")?,
            address: row.text("address")?,
            subject: row.opt_text("subject")?,
            text: row.opt_text("text")?,
            html: row.opt_text("html")?,
            sha256: row.text("sha256")?,
            captured: row.bool("captured")?,
        },
        sends: row.i64("sends")?,
        sent_at: Timestamp::from_ms(row.i64("sent_at")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customers::{CustomerPatch, upsert};
    use crate::testing::on_each_database;

    #[tokio::test]
    async fn a_message_is_one_row_and_a_customer_may_decline() {
        on_each_database(|db| {
            Box::pin(async move {
                db.write("test", |tx| {
                    let (at, ada) = (Timestamp::from_ms(5), CustomerId::parse("ada").expect("an id"));
                    upsert(tx, &ada, &CustomerPatch::default(), at)?;
                    let mail = NewMail {
                        message_id: "1@example.com".into(),
                        delivery: Some(7),
                        customer: Some(ada.clone()),
                        kind: "receipt".into(),
                        language: "ja".into(),
                        template: "v1".into(),
                        rules: None,
                        address: "digest".into(),
                        subject: Some("領収書".into()),
                        text: None,
                        html: None,
                        sha256: "ff".into(),
                        captured: true,
                    };
                    assert_eq!(sent(tx, "1@example.com")?, None);
                    put(tx, &mail, at)?;
                    put(tx, &mail, Timestamp::from_ms(9))?;
                    let row = sent(tx, "1@example.com")?.expect("it was sent");
                    assert_eq!((row.sends, row.sent_at.ms(), &row.mail), (2, 9, &mail));
                    assert_eq!(get(tx, row.seq)?.as_ref(), Some(&row));
                    assert_eq!(of_delivery(tx, 7)?.as_ref(), Some(&row));
                    assert_eq!(captured(tx, i64::MAX, 9)?, [row]);
                    assert!(prefer(tx, &ada, "card_expiring", false, at)?);
                    assert!(!prefer(tx, &ada, "card_expiring", false, at)?, "said before");
                    assert_eq!(unwanted(tx, "ada")?, ["card_expiring"]);
                    assert!(prefer(tx, &ada, "card_expiring", true, at)?);
                    assert!(unwanted(tx, "ada")?.is_empty());
                    Ok(())
                })
                .await
                .expect("a transaction");
            })
        })
        .await;
    }
}
