//! The API reference.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};

use super::frame::frame;
use crate::http::openapi;
use crate::http::state::AppState;
use crate::pages::{DocsView, docs_page};

/// `GET /docs`
pub async fn show(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Response {
    let frame = frame(&app, &uri, &headers);
    let api_key = app.dev.as_ref().map_or("$QUITTANCE_API_KEY", |dev| dev.api_key.as_str());
    docs_page(&DocsView {
        frame: &frame,
        openapi: openapi::value(),
        base_url: &app.engine.settings().public_url,
        api_key,
        customer: app.dev.as_ref().map_or("user_42", |dev| dev.demo_customer.as_str()),
        openapi_path: "/openapi.json",
    })
    .into_response()
}
