//! Who visits a page: whoever a signed link of the app names, and under `quittance dev` whoever the address names.
//!
//! A link stands in the page's address and in its forms, never in a cookie: no other site's page can send it along.

use axum::http::Uri;
use quittance_domain::CustomerId;
use quittance_engine::{Problem, ProblemCode};

use super::frame::query_of;
use crate::http::state::AppState;

/// Carries a signed link.
pub const LINK: &str = "link";
/// Carries a customer's id, in development.
pub const CUSTOMER: &str = "customer";

/// Somebody whom we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Who.
    pub customer: CustomerId,
    /// How the page's links and forms say so again: a name and its value.
    pub pair: (&'static str, String),
}

impl Visitor {
    /// For addresses.
    #[must_use]
    pub fn pair(&self) -> (&str, &str) {
        (self.pair.0, &self.pair.1)
    }
}

/// Who visits by what an address or a form says; `None` for nobody that we know, and for a link that has run out.
///
/// # Errors
/// `invalid_request` for an id that cannot be, in development.
pub fn visitor(
    app: &AppState,
    link: Option<&str>,
    customer: Option<&str>,
) -> Result<Option<Visitor>, Problem> {
    if let Some(link) = link {
        let known = app.links.as_ref().and_then(|links| links.read(link, app.now()));
        return Ok(known.map(|customer| Visitor { customer, pair: (LINK, link.to_owned()) }));
    }
    let Some(dev) = &app.dev else { return Ok(None) };
    let id = customer.unwrap_or(&dev.demo_customer);
    let customer = CustomerId::parse(id).map_err(|error| Problem::invalid(format!("{error}.")))?;
    Ok(Some(Visitor { pair: (CUSTOMER, customer.to_string()), customer }))
}

/// As [`visitor`], by an address.
///
/// # Errors
/// As [`visitor`].
pub fn of_address(app: &AppState, uri: &Uri) -> Result<Option<Visitor>, Problem> {
    let query = query_of(uri);
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    visitor(app, value(LINK), value(CUSTOMER))
}

/// What a page says to somebody whom it must know and does not.
#[must_use]
pub fn stranger() -> Problem {
    Problem::new(
        ProblemCode::Forbidden,
        "This page does not know who you are, or its link has run out.",
        "The app's server calls POST /v1/customers/{id}/page-link and sends the customer to the `url` that it gets.",
    )
}
