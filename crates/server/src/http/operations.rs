//! For machines that watch: alive, ready, metrics, and the API's description.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quittance_engine::{Engine, Problem, ProblemCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Fail, ProblemDocument};
use super::reply::Json;
use super::state::{AppState, RenderMetrics};

/// What those who watch ask about.
#[derive(Clone)]
pub struct Watched {
    /// The engine.
    pub engine: Engine,
    /// Renders the metrics; `None` leaves `/metrics` out.
    pub metrics: Option<RenderMetrics>,
    /// Whether new work is welcome; false while shutting down.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl FromRef<AppState> for Watched {
    fn from_ref(app: &AppState) -> Self {
        Self { engine: app.engine.clone(), metrics: app.metrics.clone(), ready: app.ready.clone() }
    }
}

/// The routes of a public server.
pub fn routes() -> OpenApiRouter<AppState> {
    watched_routes().routes(routes!(get_openapi))
}

/// What a listener of its own serves: alive, ready, metrics.
pub fn watch_router(watched: Watched) -> Router {
    let (router, _) = watched_routes().split_for_parts();
    router.with_state(watched)
}

fn watched_routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S>
where
    Watched: FromRef<S>,
{
    OpenApiRouter::default()
        .routes(routes!(get_health))
        .routes(routes!(get_readiness))
        .routes(routes!(get_metrics))
}

/// Alive.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// The process lives
///
/// Says nothing of the database: a restart would not mend it.
#[utoipa::path(
    get, path = "/healthz", tag = "Health", security(()),
    responses((status = 200, description = "It does", body = Health))
)]
async fn get_health() -> Response {
    Json(Health { status: "ok" }).into_response()
}

/// Ready.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    /// `ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// `sqlite` or `postgres`.
    #[schema(example = "sqlite")]
    database: String,
    /// The schema's version.
    #[schema(example = 1)]
    schema: i64,
}

/// Send traffic here?
///
/// The database answers, its schema is that of this release, and the server is not shutting down.
#[utoipa::path(
    get, path = "/readyz", tag = "Health", security(()),
    responses((status = 200, description = "Yes", body = Readiness),
              (status = 503, description = "No, and why", body = ProblemDocument))
)]
async fn get_readiness(State(watched): State<Watched>) -> Result<Response, Fail> {
    let not_ready =
        |code: ProblemCode, detail: String, mend: &str| Problem::new(code, detail, mend).retry_after(5);
    if !(watched.ready)() {
        return Err(not_ready(
            ProblemCode::Overloaded,
            "The server is shutting down.".to_owned(),
            "Send the request to another node.",
        )
        .into());
    }
    let db = watched.engine.db();
    let schema = db.schema_state().await.map_err(Problem::from)?;
    if schema.current != schema.expected {
        let (current, expected) = (schema.current, schema.expected);
        return Err(not_ready(
            ProblemCode::DatabaseUnavailable,
            format!("The database has schema {current}; this release needs {expected}."),
            "Run `quittance migrate`, or the release that fits the database.",
        )
        .into());
    }
    let database = db.dialect().name().to_owned();
    Ok(Json(Readiness { status: "ready", database, schema: schema.current }).into_response())
}

/// Metrics
///
/// Prometheus text. Labels carry plans, statuses and kinds, never customers.
#[utoipa::path(
    get, path = "/metrics", tag = "Health", security(()),
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"),
              (status = 404, description = "They are served at another address (`serve --metrics`), or not at all", body = ProblemDocument))
)]
async fn get_metrics(State(watched): State<Watched>) -> Result<Response, Fail> {
    let Some(render) = &watched.metrics else {
        return Err(Problem::not_found("page: metrics are served at another address, if at all").into());
    };
    // Fresh gauges; when the database is away the other numbers are wanted all the more.
    if let Err(problem) = watched.engine.backlog().await {
        tracing::warn!(%problem, "the backlog could not be counted");
    }
    let media = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, media)], render()).into_response())
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "Health", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object))
)]
async fn get_openapi() -> Response {
    let media = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, media)], super::openapi::text()).into_response()
}
