//! The routes of the web pages: they fill the views of [`crate::pages`] and read their forms.
//!
//! Who a visitor is never comes from a field that the visitor controls, except under `quittance dev`: in production it
//! comes from a link that we signed for the app ([`visitor`]). To others the pages show prices and the state of a
//! checkout whose session id is known, and nothing else.

mod admin;
mod billing;
mod billing_change;
mod cards;
mod docs;
mod embedded;
mod frame;
mod mail_links;
mod mails;
mod pay;
mod pricing;
pub mod problem;
mod returned;
mod visitor;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

pub use frame::address;

use super::state::AppState;
use crate::pages::{SCRIPT, SCRIPT_PATH, STYLE, STYLE_PATH};

/// The routes of pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/pricing") }))
        .route("/pricing", get(pricing::show))
        .route("/pricing/checkout", post(pricing::buy))
        .route("/checkout/return", get(returned::show))
        .route("/checkout/return/status", get(returned::status))
        .route("/billing", get(billing::show))
        .route("/billing/portal", post(billing::portal))
        .route("/billing/pay", get(pay::pay))
        .route("/billing/preview", post(billing_change::preview))
        .route("/billing/change", post(billing_change::change))
        .route("/billing/undo", post(billing_change::undo))
        .route("/billing/cancel", post(billing_change::cancel))
        .route("/billing/resume", post(billing_change::resume))
        .route("/admin", get(admin::show))
        .route("/admin/mail", get(mails::all))
        .route("/admin/mail/kept/{seq}", get(mails::kept))
        .route("/admin/mail/kept/{seq}/html", get(mails::kept_html))
        .route("/admin/mail/{kind}/{language}", get(mails::preview))
        .route("/admin/mail/{kind}/{language}/html", get(mails::preview_html))
        .route("/mail/open/{token}", get(mail_links::open).post(mail_links::go))
        .route("/mail/preferences/{token}", get(mail_links::choices).post(mail_links::choose))
        .route("/demo/embedded", get(embedded::choose).post(embedded::open))
        .route("/demo/embedded/{checkout}", get(embedded::show))
        .route("/docs", get(docs::show))
        .route(STYLE_PATH, get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route(SCRIPT_PATH, get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
}

/// The name carries a hash of the content, so it may be kept for ever.
fn asset(media: &'static str, text: &'static str) -> Response {
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    ([(header::CONTENT_TYPE, HeaderValue::from_static(media)), (header::CACHE_CONTROL, kept)], text)
        .into_response()
}

/// Adds the headers under which all pages are served.
pub async fn headers(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    protect(&app, &mut response);
    response
}

/// Marks a mail's own HTML: it has its styles in its elements, runs nothing, fetches nothing, and stands only in frames of
/// our pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framed;

impl Framed {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox allow-same-origin; base-uri 'none'; form-action 'none'; \
                          frame-ancestors 'self'";
}

/// Marks a page that lets in more than ours do: the provider's library and its frames.
#[derive(Debug, Clone)]
pub(super) struct OwnPolicy(HeaderValue);

/// Content security policy, no sniffing, no framing, no foreign referrers, no caches.
pub fn protect(app: &AppState, response: &mut Response) {
    let fixed: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let framed = response.extensions().get::<Framed>().is_some();
    let own = response.extensions().get::<OwnPolicy>().map(|own| own.0.clone());
    let headers = response.headers_mut();
    let policy = match own {
        Some(policy) => policy,
        None if framed => HeaderValue::from_static(Framed::POLICY),
        None => app.csp.clone(),
    };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if framed {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
