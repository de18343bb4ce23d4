//! Everything that speaks HTTP: the API, the webhooks, the pages' routes and the operations.
//!
//! Handlers translate between HTTP and the engine and decide nothing about money or access. Errors are
//! problem documents (RFC 9457) for programs and pages for people. The routes that must be fast (one
//! entitlement, a webhook) carry no layers.

mod guard;
mod state;

pub use state::{AppConfig, AppState, DevInfo};

/// The whole HTTP side.
pub fn router(config: AppConfig) -> axum::Router {
    axum::Router::new().with_state(AppState::new(config))
}

/// The OpenAPI document, made from the code.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    utoipa::openapi::OpenApi::default()
}
