//! Calls that change something: who, once, and to the end even when the caller hangs up.
//!
//! With an `Idempotency-Key` the answer is kept and given again (engine.md section 5). Whatever the handler makes
//! gets its id from the key and the body, so that a repetition after a crash finds what the first one made.

use std::future::Future;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use quittance_domain::digest::{sha256_hex, short_hex};
use quittance_engine::api_keys::Caller;
use quittance_engine::idempotency::{Keyed, Start};
use quittance_engine::{Engine, Problem};
use serde::de::DeserializeOwned;

use super::auth::{Wanted, authorize};
use super::extract::{parse, read_body};
use super::problem::{self, Fail};
use super::reply::Reply;
use super::state::AppState;

/// A request that changes something: authorized, read and checked, not yet begun.
pub struct Mutation<S, T> {
    input: T,
    order: Order,
    scope: std::marker::PhantomData<S>,
}

/// What is known of the request besides its fields.
struct Order {
    app: AppState,
    caller: Arc<Caller>,
    key: Option<String>,
    method: Method,
    path: String,
    route: String,
    body: Bytes,
}

/// What a handler gets besides the fields.
#[derive(Clone)]
pub struct Context {
    /// The engine.
    pub engine: Engine,
    /// Who is calling.
    pub caller: Arc<Caller>,
    /// From key, caller and body, when there is a key: makes the ids of what is made.
    pub seed: Option<String>,
}

impl<S: Wanted, T: DeserializeOwned> FromRequest<AppState> for Mutation<S, T> {
    type Rejection = Fail;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Fail> {
        let caller = authorize(app, request.headers(), S::SCOPE).await?;
        let (method, route) = (request.method().clone(), problem::route_of(&request));
        let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let (headers, body) = read_body(request, app).await?;
        let input = parse(&headers, &body)?;
        let key = key_of(&headers)?;
        let order = Order { app: app.clone(), caller, key, method, path, route, body };
        Ok(Self { input, order, scope: std::marker::PhantomData })
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (first, second) = (values.next(), values.next());
    match (first.map(HeaderValue::to_str), second) {
        (None, _) => Ok(None),
        (Some(Ok(key)), None) => Ok(Some(key.to_owned())),
        (Some(_), _) => {
            Err(Problem::invalid("Send one Idempotency-Key of 1 to 255 visible ASCII characters."))
        }
    }
}

impl<S, T: Send + 'static> Mutation<S, T> {
    /// Runs the change in a task of its own, which goes on when the caller hangs up.
    ///
    /// # Errors
    /// Only a panic in the task; what `change` fails with is an answer.
    pub async fn run<F, Fut>(self, change: F) -> Result<Response, Fail>
    where
        F: FnOnce(Context, T) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Reply, Problem>> + Send,
    {
        let Self { input, order, .. } = self;
        let task = tokio::spawn(async move {
            let keyed = match order.begin().await {
                Ok(Begun::Run(keyed)) => keyed,
                Ok(Begun::Replay(reply)) => return replayed(reply),
                Err(problem) => return order.refused(&problem).1,
            };
            let outcome = change(order.context(), input).await;
            order.finish(keyed, outcome).await
        });
        task.await.map_err(|_| Fail(problem::internal()))
    }
}

enum Begun {
    Run(Option<Keyed>),
    Replay(Reply),
}

impl Order {
    fn context(&self) -> Context {
        let key = self.key.as_ref();
        let seed = key.map(|key| {
            let parts =
                [self.caller.key.as_str(), key, self.method.as_str(), &self.path, &sha256_hex(&self.body)];
            short_hex(&parts)
        });
        Context { engine: self.app.engine.clone(), caller: self.caller.clone(), seed }
    }

    async fn begin(&self) -> Result<Begun, Problem> {
        let Some(key) = &self.key else { return Ok(Begun::Run(None)) };
        let (engine, method) = (&self.app.engine, self.method.as_str());
        match engine.begin_keyed(&self.caller, key, method, &self.path, &self.body).await? {
            Start::Run(keyed) => Ok(Begun::Run(Some(keyed))),
            Start::Replay(status, body) => {
                let status = StatusCode::from_u16(status).map_err(|_| problem::internal())?;
                Ok(Begun::Replay(Reply { status, body }))
            }
        }
    }

    /// The answer to a problem, with the text that is kept.
    fn refused(&self, problem: &Problem) -> (Reply, Response) {
        let id = problem::request_id(&self.app);
        problem::log(problem, &self.method, &self.route, &id);
        let body = problem::document(problem, &id);
        let reply = Reply { status: problem::status(problem.code), body };
        let mut response = reply.clone().into_response();
        problem::add_headers(response.headers_mut(), problem, &id);
        (reply, response)
    }

    async fn finish(&self, keyed: Option<Keyed>, outcome: Result<Reply, Problem>) -> Response {
        let again = outcome.as_ref().is_err_and(|problem| problem.retry_after_s.is_some());
        let (reply, response) = match outcome {
            Ok(reply) => {
                let (caller, status) = (&self.caller.key, reply.status.as_u16());
                tracing::info!(%caller, method = %self.method, route = self.route, status, "changed");
                (reply.clone(), reply.into_response())
            }
            Err(problem) => self.refused(&problem),
        };
        if let Some(keyed) = keyed {
            let engine = &self.app.engine;
            let kept = if again {
                engine.abandon_keyed(&keyed).await
            } else {
                engine.finish_keyed(&keyed, reply.status.as_u16(), &reply.body).await
            };
            if let Err(problem) = kept {
                // The effect stands and is found again by its ids; only the quick replay is lost.
                tracing::error!(%problem, route = self.route, "an answer could not be kept");
            }
        }
        response
    }
}

fn replayed(reply: Reply) -> Response {
    let mut response = reply.into_response();
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}
