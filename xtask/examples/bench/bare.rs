//! The yardsticks: what the web framework alone does on this machine, and what it does with a signature and a parser.
//!
//! The bare handler reads the body, or looks at the path, and answers a constant of the product's length; it checks
//! nothing. The verifying one does what every honest receiver must do before it stores anything. Neither keeps anything.

use std::net::Ipv4Addr;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::product::WEBHOOK_SECRET;

/// Where the verifying yardstick listens.
pub const VERIFYING_PATH: &str = "/verifying";

const CHECKED: &str = r#"{"feature":"article:full","allowed":true,"access":"granted","plan":"pro","expires_at":"2026-12-23T00:00:00Z","limit":null,"used":null,"remaining":null,"source":{"type":"subscription","id":"sub_00000000000000000000"}}"#;

/// Serves until it is killed.
pub fn serve(port: u16) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = Router::new()
            .route("/webhooks/stripe", post(accept))
            .route(VERIFYING_PATH, post(verify))
            .route("/v1/customers/{customer}/entitlements/{feature}", get(check))
            .route("/readyz", get(|| async { "ready" }));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(axum::serve(listener, router).await?)
    })
}

async fn accept(body: Bytes) -> impl IntoResponse {
    let received = if body.is_empty() { "" } else { r#"{"received":true}"# };
    ([(CONTENT_TYPE, "application/json")], received)
}

/// The fields that a receiver needs of an event.
#[derive(serde::Deserialize)]
struct Event<'a> {
    id: &'a str,
    r#type: &'a str,
    livemode: bool,
}

async fn verify(headers: HeaderMap, body: Bytes) -> Result<&'static str, StatusCode> {
    let header = headers
        .get("stripe-signature")
        .and_then(|value| value.to_str().ok())
        .ok_or(StatusCode::BAD_REQUEST)?;
    let (time, signature) =
        header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).ok_or(StatusCode::BAD_REQUEST)?;
    let signature = hex::decode(signature).map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes())
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(&body);
    mac.verify_slice(&signature).map_err(|_| StatusCode::BAD_REQUEST)?;
    let event: Event = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    if event.livemode || event.id.is_empty() || event.r#type.is_empty() {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(r#"{"received":true}"#)
}

async fn check(Path((_customer, _feature)): Path<(String, String)>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], CHECKED)
}
