//! What operators give by hand, and links between customers and the provider's customers.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_engine::Problem;
use quittance_engine::grants::NewGrant;
use quittance_store::grants::{Gift, GrantRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::customers::customer_id;
use super::dto::{IdempotencyHeader, Page, Paging, Time};
use super::extract::{InPath, InQuery, Nothing, ObjectId, page};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_grants, give_grant))
        .routes(routes!(revoke_grant))
        .routes(routes!(link_customer))
}

/// What to give: a plan, or a single feature.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GrantInput {
    /// A plan of the catalog.
    #[schema(example = "pro")]
    plan: Option<String>,
    /// A feature of the catalog.
    feature: Option<String>,
    /// A limit on the feature; none when left out.
    #[schema(minimum = 0)]
    limit: Option<i64>,
    /// When it ends by itself; never when left out.
    expires_at: Option<Time>,
    /// Why, for whoever asks later.
    #[schema(example = "Press review until December", min_length = 1, max_length = 500)]
    reason: String,
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
struct GrantView {
    /// Its id.
    #[schema(example = "grt_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    id: String,
    /// Whose it is.
    #[schema(example = "user_42")]
    customer: String,
    /// The plan that was given.
    plan: Option<String>,
    /// The feature that was given.
    feature: Option<String>,
    /// The limit on the feature.
    limit: Option<i64>,
    /// When it ends by itself.
    expires_at: Option<Time>,
    /// Why it was given.
    reason: String,
    /// The API key that gave it.
    created_by: String,
    /// When it was given.
    created_at: Time,
    /// When it was taken back.
    revoked_at: Option<Time>,
}

impl From<GrantRow> for GrantView {
    fn from(row: GrantRow) -> Self {
        let (plan, feature, limit) = match row.gift {
            Gift::Plan(plan) => (Some(plan.to_string()), None, None),
            Gift::Feature(feature, limit) => (None, Some(feature.to_string()), limit),
        };
        Self {
            id: row.id.to_string(),
            customer: row.customer.to_string(),
            plan,
            feature,
            limit,
            expires_at: row.expires_at.map(Time),
            reason: row.reason,
            created_by: row.created_by,
            created_at: Time(row.created_at),
            revoked_at: row.revoked_at.map(Time),
        }
    }
}

/// Give a plan or a feature by hand
///
/// In force at once, beside whatever the customer bought.
#[utoipa::path(
    post, path = "/v1/customers/{id}/grants", tag = "Grants", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), IdempotencyHeader),
    request_body = GrantInput,
    responses((status = 200, description = "The grant", body = GrantView),
              (status = 404, description = "No such customer", body = ProblemDocument))
)]
async fn give_grant(
    InPath(id): InPath<String>,
    change: Mutation<Admin, GrantInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let new = NewGrant {
                plan: input.plan,
                feature: input.feature,
                limit: input.limit,
                expires_at: input.expires_at.map(|time| time.0),
                reason: input.reason,
                idempotency: context.seed,
            };
            let row = context.engine.grant(&customer_id(&id)?, &new, &context.caller).await?;
            Reply::ok(&GrantView::from(row))
        })
        .await
}

/// The grants of a customer, newest first, past ones too
#[utoipa::path(
    get, path = "/v1/customers/{id}/grants", tag = "Grants", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), Paging),
    responses((status = 200, description = "The grants", body = Page<GrantView>))
)]
async fn list_grants(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(id): InPath<String>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(paging.limit, paging.cursor.as_deref())?;
    let grants = app.engine.grants_of(&customer_id(&id)?).await?;
    // Oldest first and never removed, so a place in the list is a lasting cursor.
    let rows: Vec<(i64, GrantRow)> = (1..)
        .zip(grants)
        .filter(|(place, _)| *place < cursor)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    Ok(Json(Page::of(rows, limit, |row| row.0, |row| GrantView::from(row.1))).into_response())
}

/// Take a grant back, at once
///
/// One that was taken back already stays so.
#[utoipa::path(
    delete, path = "/v1/customers/{id}/grants/{grant}", tag = "Grants", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"),
           ("grant" = String, Path, description = "The grant.", example = "grt_01hz3v9q8r7s6t5w4x3y2z1a0b"),
           IdempotencyHeader),
    responses((status = 204, description = "It is taken back"),
              (status = 404, description = "This customer never had such a grant", body = ProblemDocument))
)]
async fn revoke_grant(
    path: InPath<(String, ObjectId)>,
    change: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    let InPath((id, ObjectId(grant))) = path;
    change
        .run(move |context, _| async move {
            context.engine.revoke_grant(&customer_id(&id)?, &grant, &context.caller).await?;
            Ok(Reply::nothing())
        })
        .await
}

/// Which of the provider's customers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LinkInput {
    /// The provider's id.
    #[schema(example = "cus_QwErTy", min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_]+$")]
    provider_customer: String,
}

/// A link.
#[derive(Debug, Serialize, ToSchema)]
struct LinkView<'a> {
    /// Yours.
    #[schema(example = "user_42")]
    customer: &'a str,
    /// The provider's.
    #[schema(example = "cus_QwErTy")]
    provider_customer: &'a str,
    /// The provider.
    #[schema(example = "stripe")]
    provider: &'static str,
}

/// Say that one of the provider's customers is this one
///
/// For customers that were made elsewhere. Replaces an earlier link; what it holds moves with it. We never guess by e-mail.
#[utoipa::path(
    post, path = "/v1/customers/{id}/links", tag = "Grants", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), IdempotencyHeader),
    request_body = LinkInput,
    responses((status = 200, description = "The link", body = LinkView),
              (status = 404, description = "We were never told of the customer", body = ProblemDocument))
)]
async fn link_customer(
    InPath(id): InPath<String>,
    change: Mutation<Admin, LinkInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let customer = customer_id(&id)?;
            let theirs = input.provider_customer;
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if theirs.is_empty() || theirs.len() > 255 || !theirs.bytes().all(plain) {
                return Err(Problem::invalid(
                    "`provider_customer` must be the provider's id, such as `cus_…`.",
                ));
            }
            context.engine.link_customer(&customer, &theirs, &context.caller).await?;
            let provider = context.engine.scope().provider.as_str();
            Reply::ok(&LinkView { customer: customer.as_str(), provider_customer: &theirs, provider })
        })
        .await
}
