//! What the operator chose about mail.

use jiff::tz::TimeZone;

use crate::format::Language;
use crate::kind::Kind;

/// What is kept of a mail after it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Subject and text, links left out: what a customer was told can be shown.
    Text,
    /// Only the digest of the text: what a customer was told can be checked, not read.
    Digest,
}

/// Choices for all mails, checked.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// What is sold, as customers know it.
    pub site: String,
    /// Who sends: `Atelier <billing@example.com>`.
    pub from: String,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// The language for customers whose own we do not write in or do not know.
    pub language: Language,
    /// The zone of dates for customers whose own we do not know.
    pub zone: TimeZone,
    /// Kinds that are not sent at all.
    pub off: Vec<Kind>,
    /// Where customers get help: an address or a page.
    pub support: Option<String>,
    /// Who does business, for the foot of each mail.
    pub company: Option<String>,
    /// Its postal address, for the foot of each mail.
    pub address: Option<String>,
    /// Where the terms can be read.
    pub terms_url: Option<String>,
    /// What is kept after sending.
    pub keep: Keep,
    /// The address at which browsers reach our pages, without a slash at the end.
    pub public_url: String,
}
