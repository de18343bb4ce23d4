//! Which mails a customer gets: those that can be declined, and what the customer said about them.

use quittance_domain::CustomerId;
use quittance_engine::{Engine, Problem};
use quittance_store::history::{self, NewLine};
use quittance_store::{customers, mails};
use serde_json::json;

use crate::kind::Kind;

/// Who changed a preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    /// An API key, by its id.
    Key(&'a str),
    /// The customer, on the page behind a link.
    Page,
    /// The customer's mail program, by one click (RFC 8058).
    OneClick,
}

/// All kinds, and whether the customer gets mails of them.
///
/// # Errors
/// `not_found` for a customer that we were never told of.
pub async fn of(engine: &Engine, customer: &CustomerId) -> Result<Vec<(Kind, bool)>, Problem> {
    let id = customer.clone();
    let unwanted = engine
        .db()
        .read("notice_preferences.of", move |tx| {
            Ok(match customers::get(tx, id.as_str())? {
                Some(_) => Some(mails::unwanted(tx, id.as_str())?),
                None => None,
            })
        })
        .await?;
    let unwanted = unwanted.ok_or_else(|| Problem::not_found("customer"))?;
    let wanted = |kind: Kind| !kind.optional() || !unwanted.iter().any(|word| word == kind.as_str());
    Ok(Kind::ALL.into_iter().map(|kind| (kind, wanted(kind))).collect())
}

/// Sets whether a customer gets mails of these kinds. Saying the same again changes nothing.
///
/// # Errors
/// `not_found` for a customer that we were never told of, `invalid_request` for a kind that cannot be declined.
pub async fn set(
    engine: &Engine,
    customer: &CustomerId,
    choices: &[(Kind, bool)],
    by: By<'_>,
) -> Result<(), Problem> {
    if let Some((kind, _)) = choices.iter().find(|(kind, wanted)| !kind.optional() && !wanted) {
        return Err(Problem::invalid(format!(
            "Mails of kind `{kind}` cannot be declined: rules demand them, or they confirm something about money."
        )));
    }
    let cause = match by {
        By::Key(key) => json!({ "api_key": key }),
        By::Page => json!({ "page": "mail preferences" }),
        By::OneClick => json!({ "mail": "one-click unsubscribe" }),
    };
    let (id, choices, cause, now) = (customer.clone(), choices.to_vec(), cause.to_string(), engine.now());
    let known = engine
        .db()
        .write("notice_preferences.set", move |tx| {
            if !customers::lock(tx, &id)? {
                return Ok(false);
            }
            let before = mails::unwanted(tx, id.as_str())?;
            for (kind, wanted) in &choices {
                let was_wanted = !before.iter().any(|word| word == kind.as_str());
                if !kind.optional() || was_wanted == *wanted {
                    continue;
                }
                mails::prefer(tx, &id, kind.as_str(), *wanted, now)?;
                let line = NewLine {
                    customer: Some(id.clone()),
                    aggregate: None,
                    at: now,
                    kind: "notice_preference.changed".to_owned(),
                    object: kind.as_str().to_owned(),
                    data: json!({ "wanted": wanted }).to_string(),
                    cause: cause.clone(),
                };
                history::insert(tx, &line)?;
            }
            Ok(true)
        })
        .await?;
    if known { Ok(()) } else { Err(Problem::not_found("customer")) }
}
