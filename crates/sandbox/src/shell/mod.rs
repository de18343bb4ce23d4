//! HTTP and real time around the state machine: the only asynchronous part.

mod deliver;
pub(crate) mod listen;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use tokio::net::TcpListener;

use crate::sandbox::Sandbox;
use crate::wire::request::{HttpRequest, HttpResponse};

/// Requests larger than this are refused.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

impl Sandbox {
    /// The sandbox as a router: the API, the control calls and the pages.
    ///
    /// Where a fault loses an answer, the connection closes without one. Webhooks need [`Sandbox::serve`].
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/subscribe/{account}", axum::routing::get(listen::subscribe))
            .fallback(answer)
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(Arc::clone(self))
    }

    /// Serves HTTP and delivers webhooks until the shutdown future is done.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let deliveries = tokio::spawn(deliver::run(Arc::clone(&self), stopped));
        let served = axum::serve(listener, self.router()).with_graceful_shutdown(shutdown).await;
        if let Err(error) = served {
            tracing::error!(%error, "the sandbox stopped serving");
        }
        // The delivery loop may have ended already, and then nobody listens.
        let _ = stop.send(true);
        let _ = deliveries.await;
    }
}

async fn answer(State(sandbox): State<Arc<Sandbox>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            r#"{"error":{"type":"invalid_request_error","message":"The request is too large."}}"#,
        );
    };
    let request = HttpRequest {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect(),
        body: body.to_vec(),
    };
    let response = sandbox.begin(request);
    if response.latency_ms > 0 {
        // On its own, so that the key is released even when the caller hangs up before the answer.
        let (held, response) = (Arc::clone(&sandbox), response.clone());
        let waited = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(response.latency_ms)).await;
            held.finish(&response);
        });
        let _ = waited.await;
    }
    if response.lost {
        return broken_off();
    }
    convert(response)
}

fn convert(response: HttpResponse) -> Response {
    let mut converted = Response::new(Body::from(response.body));
    *converted.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            converted.headers_mut().insert(name, value);
        }
    }
    converted
}

fn plain(status: StatusCode, body: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// An answer whose body fails at once: the connection is closed before the first byte is sent.
fn broken_off() -> Response {
    let failure =
        std::io::Error::new(std::io::ErrorKind::ConnectionReset, "a fault of the sandbox lost this answer");
    let stream = futures_util::stream::iter([Err::<Bytes, std::io::Error>(failure)]);
    Response::new(Body::from_stream(stream))
}
