//! Who is calling, and whether they may.
//!
//! The caller comes from the API key alone. Whose data a call is about stands in its path or body, never in
//! another header or a cookie.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::{Problem, ProblemCode};

use super::problem::Fail;
use super::state::AppState;

/// A scope that a route asks for.
pub trait Wanted: Send + Sync + 'static {
    /// Which one.
    const SCOPE: KeyScope;
}

/// Reading.
pub struct Read;
/// Changing.
pub struct Write;
/// Operating.
pub struct Admin;

impl Wanted for Read {
    const SCOPE: KeyScope = KeyScope::Read;
}
impl Wanted for Write {
    const SCOPE: KeyScope = KeyScope::Write;
}
impl Wanted for Admin {
    const SCOPE: KeyScope = KeyScope::Admin;
}

/// A caller that may do what `S` says.
pub struct Auth<S>(PhantomData<S>);

impl<S: Wanted> FromRequestParts<AppState> for Auth<S> {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Fail> {
        authorize(app, &parts.headers, S::SCOPE).await?;
        Ok(Self(PhantomData))
    }
}

/// The caller, if its key has the scope.
///
/// # Errors
/// `unauthenticated` or `forbidden`.
pub async fn authorize(app: &AppState, headers: &HeaderMap, scope: KeyScope) -> Result<Arc<Caller>, Problem> {
    authorize_key(app, bearer(headers).unwrap_or_default(), scope).await
}

/// The caller with this key, if it has the scope.
///
/// # Errors
/// `unauthenticated` or `forbidden`.
pub async fn authorize_key(app: &AppState, key: &str, scope: KeyScope) -> Result<Arc<Caller>, Problem> {
    let caller = app.engine.authenticate(key).await?;
    if caller.may(scope) {
        return Ok(caller);
    }
    Err(Problem::new(
        ProblemCode::Forbidden,
        format!("This API key has no `{}` scope.", scope.as_str()),
        "Use a key that has it; `quittance keys create --scope …` makes one.",
    ))
}

/// The key of an `Authorization: Bearer …` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
