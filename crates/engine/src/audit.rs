//! The audit log: who did what as an operator, when, and how it ended.
//!
//! An act is on record before it is done: what cannot be recorded is not done. One without an end is one whose process
//! died meanwhile. Secrets and personal data are left out of what is kept of a request, and so are words that somebody has
//! written about somebody: the log cannot be changed, so that an erasure would find them there.

use quittance_domain::refund::RefundReason;
use quittance_store::audit::{self, ActRow};
pub use quittance_store::audit::{ActState, NewAct, Way};
use serde_json::Value;

use crate::commands::request::Feedback;
use crate::engine::Engine;
use crate::problem::Problem;

/// Fields whose values are not kept, wherever they stand.
const HIDDEN: [&str; 10] =
    ["email", "name", "metadata", "secret", "token", "password", "phone", "address", "client_ip", "locale"];
/// Fields in which somebody writes in their own words, of which only the length is kept.
const WORDS: [&str; 4] = ["reason", "note", "comment", "reference"];
/// What is kept of a request at most, in bytes.
const MOST_INPUT: usize = 4_096;

/// What is kept of a request's body, or of what a command was given: nothing secret, nothing personal, and not too much.
#[must_use]
pub fn kept(body: &Value) -> Option<String> {
    if body.is_null() {
        return None;
    }
    let text = hidden(body).to_string();
    Some(if text.len() > MOST_INPUT { "\"too long to be kept\"".to_owned() } else { text })
}

fn hidden(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let lower = name.to_ascii_lowercase();
                let kept = match value {
                    _ if HIDDEN.iter().any(|word| lower.contains(word)) => Value::from("[hidden]"),
                    Value::String(text) if WORDS.contains(&lower.as_str()) && !is_choice(text) => {
                        Value::from(format!("[{} characters]", text.chars().count()))
                    }
                    _ => hidden(value),
                };
                (name.clone(), kept)
            })
            .collect(),
        Value::Array(all) => all.iter().map(hidden).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Whether a reason is one of a list instead of somebody's words.
fn is_choice(text: &str) -> bool {
    RefundReason::parse(text).is_some() || Feedback::ALL.iter().any(|feedback| feedback.as_str() == text)
}

impl Engine {
    /// Records that an act begins; returns its number.
    ///
    /// # Errors
    /// When the database cannot be used: then it must not be done.
    #[crate::boxed]
    pub async fn begin_act(&self, act: NewAct) -> Result<i64, Problem> {
        let now = self.now();
        Ok(self.db().write("audit.begin", move |tx| audit::begin(tx, &act, now)).await?)
    }

    /// Records how an act ended: with the code of a problem, or done.
    #[crate::boxed]
    pub async fn end_act(&self, act: i64, problem: Option<String>) {
        let now = self.now();
        let end = self.db().write("audit.end", move |tx| audit::end(tx, act, problem.as_deref(), now)).await;
        if let Err(error) = end {
            tracing::error!(act, %error, "how an operator's act ended could not be recorded");
        }
    }

    /// Acts before `cursor` (exclusive; `i64::MAX` for the newest), newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn audit(&self, cursor: i64, limit: i64) -> Result<Vec<ActRow>, Problem> {
        Ok(self.db().read("audit.list", move |tx| audit::list(tx, cursor, limit)).await?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_secret_or_personal_is_kept() {
        let body = json!({
            "customer": "ada", "email": "ada@example.com", "plan": "pro", "nested": [{ "Client_Secret": "x", "n": 1 }],
            "client_ip": "203.0.113.7", "locale": "fr", "reference": "Ada's order",
            "metadata": { "note": "likes tea" }, "reason": "Ada's stolen card", "note": "Ada says no", "comment": "Ada",
        });
        let text = kept(&body).unwrap();
        for gone in ["ada@example.com", "\"x\"", "tea", "Ada", "203.0.113.7", "\"fr\""] {
            assert!(!text.contains(gone), "{text}");
        }
        let stays = ["\"customer\":\"ada\"", "\"plan\":\"pro\"", "\"n\":1", "\"reason\":\"[17 characters]\""];
        for stays in stays {
            assert!(text.contains(stays), "{text}");
        }
        assert_eq!(kept(&Value::Null), None);
        for choice in ["fraudulent", "too_expensive"] {
            assert_eq!(kept(&json!({ "reason": choice })).unwrap(), json!({ "reason": choice }).to_string());
        }
        let long = kept(&json!({ "plan": "x".repeat(10_000) })).unwrap();
        assert!(long.len() < 100, "{long}");
    }
}
