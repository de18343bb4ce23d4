//! Calls that change something: who, once, and to the end even when the caller hangs up.
//!
//! With an `Idempotency-Key` the answer is kept and given again (engine.md section 5). Whatever the handler makes
//! gets its id from the key and the body, so that a repetition after a crash finds what the first one made.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, MatchedPath, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::audit::{self, NewAct, Way};
use quittance_engine::idempotency::{Answer, Ended};
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
    /// What the audit log says of it; only of what operators do.
    act: Option<NewAct>,
    request: quittance_engine::idempotency::Request,
    method: Method,
    route: String,
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
        let (mut parts, body) = request.into_parts();
        let named = customer_of(&mut parts).await;
        let request = Request::from_parts(parts, body);
        let caller = authorize(app, request.headers(), S::SCOPE).await?;
        let (method, route) = (request.method().clone(), problem::route_of(&request));
        let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let (headers, body) = read_body(request, app).await?;
        let input = parse(&headers, &body)?;
        let key = key_of(&headers)?;
        // What an operator's key may do it does as an operator, also where less would be enough.
        let by_operator = match S::SCOPE {
            KeyScope::Admin => true,
            KeyScope::Write => caller.may(KeyScope::Admin),
            KeyScope::Read => false,
        };
        let act = by_operator.then(|| NewAct {
            actor: caller.key.to_string(),
            way: Way::Api,
            action: format!("{method} {route}"),
            target: path.clone(),
            // What is no JSON was refused already, or is empty.
            input: audit::kept(&serde_json::from_slice(&body).unwrap_or_default()),
        });
        let request = quittance_engine::idempotency::Request::new(caller, key, method.as_str(), &path, &body);
        let request = request.about(named);
        let order = Order { app: app.clone(), act, request, method, route };
        Ok(Self { input, order, scope: std::marker::PhantomData })
    }
}

/// The customer that the path names.
async fn customer_of(parts: &mut Parts) -> Option<String> {
    let route = parts.extensions.get::<MatchedPath>()?;
    if !route.as_str().starts_with("/v1/customers/{id}") {
        return None;
    }
    let named = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    named.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned())
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
            let (engine, caller) = (order.app.engine.clone(), order.request.caller.clone());
            let act = order.act.clone();
            let work = |seed| async move {
                let act = match act {
                    Some(act) => Some(engine.begin_act(act).await?),
                    None => None,
                };
                let ended = change(Context { engine: engine.clone(), caller, seed }, input).await;
                if let Some(act) = act {
                    engine
                        .end_act(act, ended.as_ref().err().map(|problem| problem.code.as_str().to_owned()))
                        .await;
                }
                let reply = ended?;
                Ok(Answer { status: reply.status.as_u16(), body: reply.body })
            };
            let id = problem::request_id(&order.app);
            let refusal = |problem: &Problem| Answer {
                status: problem::status(problem.code).as_u16(),
                body: problem::document(problem, &id),
            };
            order.response(order.app.engine.once(&order.request, refusal, work).await, &id)
        });
        task.await.map_err(|_| Fail(problem::internal()))
    }
}

impl Order {
    fn response(&self, ended: Ended, id: &str) -> Response {
        match ended {
            Ended::Done(answer) => {
                let (caller, status) = (&self.request.caller.key, answer.status);
                tracing::info!(%caller, method = %self.method, route = self.route, status, "changed");
                reply(answer).into_response()
            }
            Ended::Replayed(answer) => {
                let mut response = reply(answer).into_response();
                response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
                response
            }
            Ended::Refused(problem, answer) => {
                problem::log(&problem, &self.method, &self.route, id);
                let mut response = reply(answer).into_response();
                problem::add_headers(response.headers_mut(), &problem, id);
                response
            }
        }
    }
}

fn reply(answer: Answer) -> Reply {
    // What is no status was written by nobody of ours.
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply { status, body: answer.body }
}
