//! Everything that speaks HTTP: the API, the webhooks, the pages' routes and the operations.
//!
//! Handlers translate between HTTP and the engine and decide nothing about money or access. Errors are
//! problem documents (RFC 9457) for programs and pages for people. The routes that must be fast (one
//! entitlement, a webhook) carry no layers.

mod app_events;
mod audit;
mod auth;
mod checkouts;
mod customers;
mod deliveries;
mod disputes;
mod drift;
mod dto;
mod dunning;
mod entitlements;
mod events;
mod exports;
mod extract;
mod grants;
mod guard;
mod history;
mod idempotency;
mod ledger;
mod notice_preferences;
mod notices;
mod openapi;
mod operations;
mod operators;
mod page_link;
mod peer;
mod plans;
mod price;
pub mod problem;
mod refunds;
mod reply;
mod shadow;
mod state;
mod stream;
mod subscription_view;
mod subscriptions;
mod suspensions;
mod terms;
mod tokens;
mod web;
mod webhook_deliveries;
mod webhook_endpoints;
mod webhooks;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;

pub use disputes::DisputeView;
pub use dunning::{CaseView, ChurnView};
pub use notices::NoticeView;
pub use operations::{Watched, watch_router};
pub use peer::{NoNetwork, Peer, Proxies};
pub use refunds::RefundView;
pub use shadow::ShadowView;
pub use state::{AppConfig, AppState, DevInfo, RenderMetrics};
pub use terms::terms_from_json;

/// The routes without layers.
fn fast() -> OpenApiRouter<AppState> {
    entitlements::fast_routes().merge(webhooks::fast_routes())
}

/// The other calls.
fn calls() -> OpenApiRouter<AppState> {
    entitlements::routes()
        .merge(tokens::routes())
        .merge(stream::routes())
        .merge(customers::routes())
        .merge(history::routes())
        .merge(notice_preferences::routes())
        .merge(page_link::routes())
        .merge(checkouts::routes())
        .merge(subscriptions::routes())
        .merge(plans::routes())
        .merge(price::routes())
        .merge(terms::routes())
        .merge(grants::routes())
        .merge(events::routes())
        .merge(deliveries::routes())
        .merge(drift::routes())
        .merge(shadow::routes())
        .merge(webhook_endpoints::routes())
        .merge(webhook_deliveries::routes())
        .merge(app_events::routes())
        .merge(audit::routes())
        .merge(ledger::routes())
        .merge(refunds::routes())
        .merge(disputes::routes())
        .merge(suspensions::routes())
        .merge(dunning::routes())
        .merge(notices::routes())
        .merge(operators::routes())
        .merge(operations::routes())
}

/// The whole HTTP side.
pub fn router(config: AppConfig) -> Router {
    let app = AppState::new(config);
    let (fast, _) = fast().split_for_parts();
    let (calls, _) = calls().split_for_parts();
    let calls = calls
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn_with_state(app.clone(), problem::documents));
    let pages = web::routes()
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn_with_state(app.clone(), problem::pages))
        .layer(from_fn_with_state(app.clone(), web::headers))
        .layer(CompressionLayer::new());
    Router::new()
        .merge(fast)
        .merge(calls)
        .merge(pages)
        .method_not_allowed_fallback(web::problem::no_method)
        .fallback(web::problem::no_route)
        .with_state(app)
}

/// What answers whoever comes when all connections are taken.
pub fn busy() -> Router {
    Router::new().fallback(async || problem::busy())
}

/// The OpenAPI document, made from the routes.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, document) = fast().merge(calls()).split_for_parts();
    openapi::complete(document)
}
