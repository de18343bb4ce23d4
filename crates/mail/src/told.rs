//! What a notice says at the moment of sending, and whether it is still so: the engine's answer in this crate's words.

use quittance_domain::Timestamp;
use quittance_engine::notices::Ready as Prepared;
use quittance_engine::{Engine, Problem};
use quittance_store::notices::NoticeRow;
use serde_json::{Map, Value};

use crate::kind::Kind;

/// A notice to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What it is about.
    pub kind: Kind,
    /// The object it is about.
    pub object: String,
    /// What is known: amounts are minor units with a `currency`, times RFC 3339.
    pub data: Map<String, Value>,
    /// Whether the provider has a page on which its invoice can be seen.
    pub has_document: bool,
    /// The rules that asked for it and how they were kept, JSON.
    pub rules: Option<String>,
    /// What the text must say by these rules: keys of the table's items.
    pub must_say: Vec<String>,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it is told.
    pub now: Timestamp,
}

/// What is to become of a notice.
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// Tell it.
    Tell(Box<Told>),
    /// It is no longer so, and why.
    Over(String),
}

/// A notice as it is now.
///
/// # Errors
/// What keeps us from knowing.
pub async fn prepare(engine: &Engine, notice: &NoticeRow) -> Result<Ready, Problem> {
    let prepared = match engine.prepare_notice(notice).await? {
        Prepared::Over(why) => return Ok(Ready::Over(why)),
        Prepared::Send(prepared) => prepared,
    };
    let rules = (!notice.rules.is_empty()).then(|| serde_json::to_string(&notice.rules).unwrap_or_default());
    Ok(Ready::Tell(Box::new(Told {
        kind: notice.kind,
        object: notice.object.clone(),
        data: prepared.data.as_object().cloned().unwrap_or_default(),
        has_document: prepared.hosted_url.is_some(),
        rules,
        must_say: prepared.must_say.clone(),
        created_at: notice.created_at,
        now: engine.now(),
    })))
}
