//! The audit log: who did what as an operator, when, and how it ended.
//!
//! An act is on record before it is done: what cannot be recorded is not done. One without an end is one whose process
//! died meanwhile. Secrets and personal data are left out of what is kept of a request.

use quittance_store::audit::{self, ActRow};
pub use quittance_store::audit::{ActState, NewAct, Way};
use serde_json::Value;

use crate::engine::Engine;
use crate::problem::Problem;

/// Fields whose values are not kept, wherever they stand.
const HIDDEN: [&str; 8] = ["email", "name", "metadata", "secret", "token", "password", "phone", "address"];
/// What is kept of a request at most, in bytes.
const MOST_INPUT: usize = 4_096;

/// What is kept of a request's body: nothing secret, nothing personal, and not too much.
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
                let secret = HIDDEN.iter().any(|word| name.to_ascii_lowercase().contains(word));
                (name.clone(), if secret { Value::from("[hidden]") } else { hidden(value) })
            })
            .collect(),
        Value::Array(all) => all.iter().map(hidden).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

impl Engine {
    /// Records that an act begins; returns its number.
    ///
    /// # Errors
    /// When the database cannot be used: then it must not be done.
    pub async fn begin_act(&self, act: NewAct) -> Result<i64, Problem> {
        let now = self.now();
        Ok(self.db().write("audit.begin", move |tx| audit::begin(tx, &act, now)).await?)
    }

    /// Records how an act ended: with the code of a problem, or done.
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
            "metadata": { "note": "likes tea" },
        });
        let text = kept(&body).unwrap();
        for gone in ["ada@example.com", "\"x\"", "tea"] {
            assert!(!text.contains(gone), "{text}");
        }
        for stays in ["\"customer\":\"ada\"", "\"plan\":\"pro\"", "\"n\":1"] {
            assert!(text.contains(stays), "{text}");
        }
        assert_eq!(kept(&Value::Null), None);
        let long = kept(&json!({ "reason": "x".repeat(10_000) })).unwrap();
        assert!(long.len() < 100, "{long}");
    }
}
