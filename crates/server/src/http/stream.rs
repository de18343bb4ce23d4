//! The changes of entitlements as server-sent events, for copies elsewhere.
//!
//! Each stream is a task that reads pages from the engine and hands them to the connection one at a time, so a slow reader
//! holds a page or two of memory and is let go when it takes nothing for a while. What it missed it gets with its cursor.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use quittance_engine::api_keys::KeyScope;
use quittance_engine::feed::{Message, Reader, Told};
use quittance_engine::{Problem, ProblemCode};
use serde::Deserialize;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::timeout;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::authorize;
use super::extract::InQuery;
use super::problem::{Fail, ProblemDocument};
use super::state::AppState;

/// Pages that may wait for a reader.
const WAITING: usize = 1;
/// How long a reader may take nothing before it is let go.
const STALL: Duration = Duration::from_secs(30);
/// How long a stream waits for news before it looks by itself, in milliseconds.
const LOOK_MS: u64 = 1_000;
/// Quiet looks after which a heartbeat is sent.
const QUIET: u32 = 15;
/// The longest cursor that is read.
const MAX_CURSOR: usize = 1_000;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(stream_entitlements))
}

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct From {
    /// The newest `id` that was taken in; the header `Last-Event-ID` wins. Without either, or with one that is no longer
    /// valid, everything is sent anew.
    #[param(example = "0f3a9c2b7d615e48.1042")]
    cursor: Option<String>,
    /// `false`: end when there is nothing more to tell, instead of waiting.
    follow: Option<bool>,
}

/// A stream of entitlements
///
/// Server-sent events for a service that keeps a copy. `reset`: forget everything, a snapshot follows. `customer`: what one
/// customer holds, replacing what you knew of it. `live`: the snapshot is complete, changes follow as they happen. Keep the
/// newest `id` and send it as `Last-Event-ID` after a break: nothing is missed, and what changed twice is told once. A holding
/// allows its features while `access` is `granted` or `grace` and `until` has not come, so what ends by time ends without
/// a word. A comment comes every 15 seconds of silence. A reader that takes nothing for 30 seconds is let go.
#[utoipa::path(
    get, path = "/v1/entitlements/stream", tag = "Entitlements", security(("api_key" = ["read"])),
    params(From),
    responses((status = 200, description = "The stream", content_type = "text/event-stream", body = String),
              (status = 503, description = "As many streams are open as may be", body = ProblemDocument))
)]
async fn stream_entitlements(
    State(app): State<AppState>,
    headers: HeaderMap,
    InQuery(from): InQuery<From>,
) -> Result<Response, Fail> {
    authorize(&app, &headers, KeyScope::Read).await?;
    let room = app.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            ProblemCode::Overloaded,
            "As many streams are open as this process keeps.",
            "Try again in a moment, share one stream between readers, or raise api.streams.",
        )
        .retry_after(10)
    })?;
    let last =
        headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned).or(from.cursor);
    let last = last.filter(|id| id.len() <= MAX_CURSOR);
    let reader = app.engine.follow_entitlements(last.as_deref()).await?;
    let (pages, taken) = mpsc::channel::<Bytes>(WAITING);
    let teller = Teller { app, headers: key_of(&headers), pages, follow: from.follow.unwrap_or(true) };
    tokio::spawn(async move {
        teller.tell(reader).await;
        drop(room);
    });
    let frames = futures_util::stream::unfold(taken, |mut taken| async move {
        let page = taken.recv().await?;
        Some((Ok::<Bytes, Infallible>(page), taken))
    });
    let mut response = Body::from_stream(frames).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that collect answers would hold news back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Only what says who is calling.
fn key_of(headers: &HeaderMap) -> HeaderMap {
    headers.get(header::AUTHORIZATION).map(|key| (header::AUTHORIZATION, key.clone())).into_iter().collect()
}

/// The task behind one stream.
struct Teller {
    app: AppState,
    headers: HeaderMap,
    pages: Sender<Bytes>,
    follow: bool,
}

impl Teller {
    async fn tell(&self, mut reader: Reader) {
        let mut quiet = 0;
        while (self.app.ready)() && !self.pages.is_closed() {
            let page = match reader.next().await {
                Ok(messages) => frames(&messages),
                Err(problem) => {
                    tracing::warn!(%problem, "a stream ends; its reader comes back with its cursor");
                    return;
                }
            };
            if !page.is_empty() {
                quiet = 0;
                if !self.allowed().await || !self.send(page).await {
                    return;
                }
                continue;
            }
            if !self.follow {
                return;
            }
            reader.wait(LOOK_MS).await;
            quiet += 1;
            if quiet >= QUIET {
                quiet = 0;
                if !self.allowed().await || !self.send(": still here\n\n".to_owned()).await {
                    return;
                }
            }
        }
    }

    /// A key that was revoked meanwhile ends its streams, before the next page of a snapshot or of changes. Keys that are in
    /// use are kept in memory, so asking each time costs nothing.
    async fn allowed(&self) -> bool {
        authorize(&self.app, &self.headers, KeyScope::Read).await.is_ok()
    }

    /// Hands a page over; `false` when nobody takes it.
    async fn send(&self, page: String) -> bool {
        match timeout(STALL, self.pages.send(page.into())).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                tracing::info!(
                    "a reader of the stream took nothing for {} s and was let go",
                    STALL.as_secs()
                );
                false
            }
        }
    }
}

fn frames(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        let (event, data) = match &message.told {
            Told::Reset => ("reset", "{}".to_owned()),
            Told::Live => ("live", "{}".to_owned()),
            // Texts, numbers and maps with text keys always serialize.
            Told::Customer(state) => ("customer", serde_json::to_string(state).unwrap_or_default()),
        };
        text.push_str("event: ");
        text.push_str(event);
        if let Some(cursor) = &message.cursor {
            text.push_str("\nid: ");
            text.push_str(cursor);
        }
        text.push_str("\ndata: ");
        text.push_str(&data);
        text.push_str("\n\n");
    }
    text
}
