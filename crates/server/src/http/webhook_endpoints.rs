//! Where your app listens: endpoints, their secrets, and sending again.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::Timestamp;
use quittance_engine::Problem;
use quittance_engine::app_webhooks::{EndpointPatch, NewEndpoint, OVERLAP_MS, Replay};
use quittance_store::webhook_endpoints::EndpointRow;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{IdempotencyHeader, Page, Time};
use super::extract::{InPath, Nothing, ObjectId};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_webhook_endpoints, create_webhook_endpoint))
        .routes(routes!(get_webhook_endpoint, update_webhook_endpoint, delete_webhook_endpoint))
        .routes(routes!(rotate_webhook_secret))
        .routes(routes!(ping_webhook_endpoint))
        .routes(routes!(replay_webhooks))
}

/// An address to be told of changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookEndpointInput {
    /// Where your app listens. Live mode needs `https://`, and an address of the public internet.
    #[schema(example = "https://app.example.com/hooks/quittance", min_length = 1, max_length = 2000)]
    url: String,
    /// What you call it.
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// The types that it wants; all when left out or empty.
    #[schema(example = json!(["customer.access_changed", "payment.failed"]))]
    types: Option<Vec<String>>,
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookEndpointChange {
    /// Where your app listens.
    #[schema(example = "https://app.example.com/hooks/quittance", min_length = 1, max_length = 2000)]
    url: Option<String>,
    /// What you call it.
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// The types that it wants; all when empty.
    types: Option<Vec<String>>,
    /// Switches it on or off. While it is off, nothing is sent; replay what it missed afterwards.
    enabled: Option<bool>,
}

/// An address that is told of changes.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct WebhookEndpoint {
    /// Its id.
    #[schema(example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    id: String,
    /// Where your app listens.
    #[schema(example = "https://app.example.com/hooks/quittance")]
    url: String,
    /// What you call it.
    description: String,
    /// The types that it wants; empty for all.
    types: Vec<&'static str>,
    /// Whether it is told of changes.
    enabled: bool,
    /// Since when it is off.
    disabled_at: Option<Time>,
    /// Why it is off.
    disabled_why: Option<String>,
    /// Since when every attempt has failed; null when the last one succeeded.
    failing_since: Option<Time>,
    /// Until when the secret before signs as well.
    old_secret_until: Option<Time>,
    /// When it was made.
    created_at: Time,
    /// When it was changed last.
    updated_at: Time,
}

/// An endpoint with its secret.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookEndpointWithSecret {
    #[serde(flatten)]
    endpoint: WebhookEndpoint,
    /// What messages are signed with. Shown this once: keep it where your app finds it. Null when the same request is
    /// sent again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    secret: Option<String>,
}

impl From<EndpointRow> for WebhookEndpoint {
    fn from(row: EndpointRow) -> Self {
        Self {
            id: row.id.to_string(),
            url: row.url,
            description: row.description,
            types: row.types.iter().map(|kind| kind.as_str()).collect(),
            enabled: row.disabled_at.is_none(),
            disabled_at: row.disabled_at.map(Time),
            disabled_why: row.disabled_why,
            failing_since: row.failing_since.map(Time),
            old_secret_until: row.old_secret_until.map(Time),
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}

/// All endpoints, oldest first
#[utoipa::path(
    get, path = "/v1/webhook-endpoints", tag = "App webhooks", security(("api_key" = ["admin"])),
    responses((status = 200, description = "The endpoints", body = Page<WebhookEndpoint>))
)]
async fn list_webhook_endpoints(State(app): State<AppState>, _: Auth<Admin>) -> Result<Response, Fail> {
    let rows = app.engine.endpoints().await?;
    let data = rows.into_iter().map(WebhookEndpoint::from).collect();
    Ok(Json(Page { data, next_cursor: None }).into_response())
}

/// What may be in an answer and must not be kept with it: a repetition gets the answer without it.
#[derive(Clone, Default)]
struct ShownOnce(Arc<Mutex<Option<SecretString>>>);

impl ShownOnce {
    fn put(&self, secret: Option<SecretString>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    /// Puts the secret into an answer that was made now; any other answer stays as it is.
    async fn show(&self, response: Response) -> Result<Response, Fail> {
        let secret = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(secret) = secret.filter(|_| response.status().is_success()) else { return Ok(response) };
        let (mut parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| super::problem::internal())?;
        let mut value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|_| super::problem::internal())?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("secret".to_owned(), secret.expose_secret().into());
        }
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        Ok(Response::from_parts(parts, value.to_string().into()))
    }
}

/// Tell another address of changes
///
/// The answer holds the secret that messages are signed with, this once.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(IdempotencyHeader),
    request_body = WebhookEndpointInput,
    responses((status = 200, description = "The endpoint", body = WebhookEndpointWithSecret),
              (status = 501, description = "There is no root key to store secrets under", body = ProblemDocument))
)]
async fn create_webhook_endpoint(change: Mutation<Admin, WebhookEndpointInput>) -> Result<Response, Fail> {
    let once = ShownOnce::default();
    let shown = once.clone();
    let response = change
        .run(move |context, input| async move {
            let new = NewEndpoint {
                url: input.url,
                description: input.description.unwrap_or_default(),
                types: input.types.unwrap_or_default(),
                idempotency: context.seed,
            };
            let by = context.caller.key.to_string();
            let (row, secret) = context.engine.create_endpoint(&new, &by).await?;
            once.put(secret);
            Reply::ok(&WebhookEndpointWithSecret { endpoint: WebhookEndpoint::from(row), secret: None })
        })
        .await?;
    shown.show(response).await
}

/// One endpoint
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b")),
    responses((status = 200, description = "The endpoint", body = WebhookEndpoint),
              (status = 404, description = "No such endpoint", body = ProblemDocument))
)]
async fn get_webhook_endpoint(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(ObjectId(id)): InPath<ObjectId>,
) -> Result<Response, Fail> {
    Ok(Json(WebhookEndpoint::from(app.engine.endpoint(&id).await?)).into_response())
}

/// Change an endpoint, or switch it on or off
#[utoipa::path(
    put, path = "/v1/webhook-endpoints/{id}", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b"),
           IdempotencyHeader),
    request_body = WebhookEndpointChange,
    responses((status = 200, description = "The endpoint", body = WebhookEndpoint),
              (status = 404, description = "No such endpoint", body = ProblemDocument))
)]
async fn update_webhook_endpoint(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Admin, WebhookEndpointChange>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let patch = EndpointPatch {
                url: input.url,
                description: input.description,
                types: input.types,
                enabled: input.enabled,
            };
            Reply::ok(&WebhookEndpoint::from(context.engine.update_endpoint(&id, &patch).await?))
        })
        .await
}

/// Remove an endpoint
///
/// What waits for it is not sent.
#[utoipa::path(
    delete, path = "/v1/webhook-endpoints/{id}", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b"),
           IdempotencyHeader),
    responses((status = 204, description = "It is removed"),
              (status = 404, description = "No such endpoint", body = ProblemDocument))
)]
async fn delete_webhook_endpoint(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            context.engine.delete_endpoint(&id).await?;
            Ok(Reply::nothing())
        })
        .await
}

/// How to rotate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookRotateInput {
    /// How many hours the secret before signs as well, 0 to 720; default 24. Messages carry both signatures meanwhile.
    #[schema(minimum = 0, maximum = 720, example = 24)]
    old_secret_hours: Option<i64>,
}

/// Give an endpoint a new secret
///
/// The answer holds it, this once.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b"),
           IdempotencyHeader),
    request_body = WebhookRotateInput,
    responses((status = 200, description = "The endpoint", body = WebhookEndpointWithSecret),
              (status = 404, description = "No such endpoint", body = ProblemDocument),
              (status = 501, description = "There is no root key to store secrets under", body = ProblemDocument))
)]
async fn rotate_webhook_secret(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Admin, WebhookRotateInput>,
) -> Result<Response, Fail> {
    let once = ShownOnce::default();
    let shown = once.clone();
    let response = change
        .run(move |context, input| async move {
            let overlap_ms = input.old_secret_hours.map_or(OVERLAP_MS, |h| h.saturating_mul(3_600_000));
            let (row, secret) = context.engine.rotate_secret(&id, overlap_ms).await?;
            once.put(Some(secret));
            Reply::ok(&WebhookEndpointWithSecret { endpoint: WebhookEndpoint::from(row), secret: None })
        })
        .await?;
    shown.show(response).await
}

/// A test message.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookPinged {
    /// The event of type `webhook.ping` that is sent.
    #[schema(example = "aev_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    event: String,
}

/// Send a test message to an endpoint
///
/// Its deliveries show how it went.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/ping", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b"),
           IdempotencyHeader),
    responses((status = 200, description = "It is being sent", body = WebhookPinged),
              (status = 404, description = "No such endpoint", body = ProblemDocument))
)]
async fn ping_webhook_endpoint(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            let event = context.engine.ping_endpoint(&id).await?;
            Reply::ok(&WebhookPinged { event: event.to_string() })
        })
        .await
}

/// What to send again: one event, or all since a time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookReplayInput {
    /// An event.
    #[schema(example = "aev_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    event: Option<String>,
    /// Or: everything that the endpoint wants from then on.
    since: Option<Time>,
}

/// What is sent again.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookReplayed {
    /// How many events.
    events: usize,
    /// When there are more than one call takes: the time up to which it came. Go on with it as `since`.
    up_to: Option<Time>,
}

/// Send again what an endpoint was told
///
/// With the same `webhook-id`s, in the order in which it became so.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/replay", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b"),
           IdempotencyHeader),
    request_body = WebhookReplayInput,
    responses((status = 200, description = "It is being sent", body = WebhookReplayed),
              (status = 404, description = "No such endpoint or event", body = ProblemDocument))
)]
async fn replay_webhooks(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Admin, WebhookReplayInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let what = what_of(input.event, input.since.map(|time| time.0))?;
            let replayed = context.engine.replay_to(&id, &what, context.seed.as_deref()).await?;
            Reply::ok(&WebhookReplayed { events: replayed.events, up_to: replayed.up_to.map(Time) })
        })
        .await
}

fn what_of(event: Option<String>, since: Option<Timestamp>) -> Result<Replay, Problem> {
    match (event, since) {
        (Some(event), None) => Ok(Replay::Event(event)),
        (None, Some(since)) => Ok(Replay::Since(since)),
        (Some(_), Some(_)) | (None, None) => Err(Problem::invalid("Name either `event` or `since`.")),
    }
}
