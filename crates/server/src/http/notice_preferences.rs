//! Which mails a customer gets.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_engine::Problem;
use quittance_mail::Kind;
use quittance_mail::preferences::{self, By};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read, Write};
use super::customers::customer_id;
use super::dto::IdempotencyHeader;
use super::extract::InPath;
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(get_preferences, put_preferences))
}

/// A kind of mail, and whether the customer gets it.
#[derive(Debug, Serialize, ToSchema)]
struct NoticePreference {
    /// The kind.
    #[schema(example = "card_expiring")]
    kind: &'static str,
    /// The customer gets mails of this kind.
    wanted: bool,
    /// It can be declined. What rules demand, what asks for a payment and what confirms one cannot.
    optional: bool,
}

/// What a customer gets by mail.
#[derive(Debug, Serialize, ToSchema)]
struct NoticePreferences {
    /// One entry for each kind.
    preferences: Vec<NoticePreference>,
}

impl NoticePreferences {
    fn of(kinds: Vec<(Kind, bool)>) -> Self {
        let preferences = kinds
            .into_iter()
            .map(|(kind, wanted)| NoticePreference { kind: kind.as_str(), wanted, optional: kind.optional() })
            .collect();
        Self { preferences }
    }
}

/// What to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoticePreferencesInput {
    /// Kinds, and whether the customer wants mails of them. Kinds that are left out stay as they are.
    #[schema(example = json!({ "card_expiring": false }))]
    preferences: BTreeMap<String, bool>,
}

/// Which mails a customer gets
#[utoipa::path(
    get, path = "/v1/customers/{id}/notice-preferences", tag = "Customers", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42")),
    responses((status = 200, description = "One entry for each kind", body = NoticePreferences),
              (status = 404, description = "We were never told of the customer", body = ProblemDocument))
)]
async fn get_preferences(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(id): InPath<String>,
) -> Result<Response, Fail> {
    let kinds = preferences::of(&app.engine, &customer_id(&id)?).await?;
    Ok(Json(NoticePreferences::of(kinds)).into_response())
}

/// Choose which mails a customer gets
///
/// For a settings page of your own. Customers choose themselves by the link in mails that can be declined.
#[utoipa::path(
    put, path = "/v1/customers/{id}/notice-preferences", tag = "Customers", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), IdempotencyHeader),
    request_body = NoticePreferencesInput,
    responses((status = 200, description = "One entry for each kind", body = NoticePreferences),
              (status = 404, description = "We were never told of the customer", body = ProblemDocument))
)]
async fn put_preferences(
    InPath(id): InPath<String>,
    change: Mutation<Write, NoticePreferencesInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let id = customer_id(&id)?;
            let mut choices = Vec::with_capacity(input.preferences.len());
            for (word, wanted) in input.preferences {
                let Some(kind) = Kind::parse(&word) else {
                    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                    return Err(Problem::invalid(format!(
                        "`preferences` names a kind that does not exist. Kinds are {}.",
                        known.join(", ")
                    )));
                };
                choices.push((kind, wanted));
            }
            preferences::set(&context.engine, &id, &choices, By::Key(context.caller.key.as_str())).await?;
            Reply::ok(&NoticePreferences::of(preferences::of(&context.engine, &id).await?))
        })
        .await
}
