//! What leaves the house by a call that only reads: on record in the audit log before it is given, like an operator's acts.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use quittance_engine::api_keys::KeyScope;
use quittance_engine::audit::{NewAct, Way};
use quittance_engine::{Engine, Problem};

use super::auth::authorize;
use super::problem::Fail;
use super::state::AppState;

/// An export by an operator: authorized, and on record as begun.
pub struct Export {
    engine: Engine,
    act: i64,
}

impl FromRequestParts<AppState> for Export {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Fail> {
        let caller = authorize(app, &parts.headers, KeyScope::Admin).await?;
        let route = parts.extensions.get::<MatchedPath>().map_or("(none)", MatchedPath::as_str);
        let act = NewAct {
            actor: caller.key.to_string(),
            way: Way::Api,
            action: format!("{} {route}", parts.method),
            target: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            input: None,
        };
        let act = app.engine.begin_act(act).await?;
        Ok(Self { engine: app.engine.clone(), act })
    }
}

impl Export {
    /// Makes the export, records how it ended, and hands that on.
    pub async fn made<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let outcome = work.await;
        let problem = outcome.as_ref().err().map(|problem| problem.code.as_str().to_owned());
        self.engine.end_act(self.act, problem).await;
        outcome
    }
}
