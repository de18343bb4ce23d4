//! The one-click way to pay: a link of ours that leads on to the provider's page of the invoice. Following it changes
//! nothing, here or at the provider.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_engine::dunning::WayToPay;

use super::frame::{address, locale, query_of};
use super::visitor::{of_address, stranger};
use crate::http::problem::Fail;
use crate::http::state::AppState;

/// `GET /billing/pay?link=&invoice=`: changes nothing. Without an invoice it is that of the subscription that fails.
pub async fn pay(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Result<Response, Fail> {
    let visitor = of_address(&app, &uri)?.ok_or_else(stranger)?;
    let query = query_of(&uri);
    let invoice = query.iter().find(|(name, _)| name == "invoice").map(|(_, value)| value.as_str());
    let lang = locale(&uri, &headers).tag();
    let back = |notice: &str| address("/billing", &[("notice", notice), visitor.pair(), ("lang", lang)]);
    let to = match app.engine.way_to_pay(&visitor.customer, invoice).await? {
        WayToPay::Page(url) => url,
        WayToPay::Paid => back("paid"),
        // The button there opens the provider's page.
        WayToPay::PaymentMethod => back("method"),
    };
    Ok(Redirect::to(&to).into_response())
}
