//! A link to our pages for somebody whom the app has signed in.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_engine::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Write};
use super::customers::customer_id;
use super::dto::Time;
use super::extract::{InBody, InPath};
use super::problem::{self, Fail, ProblemDocument};
use super::reply::Json;
use super::state::AppState;
use super::web::address;
use crate::page_links::LIFE_MS;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(link_page))
}

/// Which of our pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LinkedPage {
    /// What the customer has, and the way to the portal.
    #[default]
    Billing,
    /// The plans, with buttons.
    Pricing,
}

/// Where the link leads.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PageLinkInput {
    /// Default: `billing`.
    page: Option<LinkedPage>,
}

/// A link.
#[derive(Debug, Serialize, ToSchema)]
struct PageLink {
    /// Send the customer there at once, and give it to nobody else: whoever opens it is this customer on our pages.
    #[schema(example = "https://billing.example.com/billing?link=1764165600.757365725f3432.5d0c")]
    url: String,
    /// When it stops working.
    expires_at: Time,
}

/// Link a customer to our pages
///
/// For somebody whom your app has signed in: `/billing` and `/pricing` then know who it is, for an hour. The server needs a
/// root key (QUITTANCE_SECRET). Stores nothing; a customer that we do not know yet becomes known with its first checkout.
#[utoipa::path(
    post, path = "/v1/customers/{id}/page-link", tag = "Customers", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42")),
    request_body = PageLinkInput,
    responses((status = 200, description = "The link", body = PageLink),
              (status = 501, description = "The server has no root key", body = ProblemDocument))
)]
async fn link_page(
    State(app): State<AppState>,
    _: Auth<Write>,
    InPath(id): InPath<String>,
    InBody(input): InBody<PageLinkInput>,
) -> Result<Response, Fail> {
    let customer = customer_id(&id)?;
    let links = app.links.as_ref().ok_or_else(|| {
        Problem::new(
            ProblemCode::NotConfigured,
            "Links to pages are signed with the root key, and this server has none.",
            "Operators: set QUITTANCE_SECRET (secret) to the output of `openssl rand -hex 32`, the same on all nodes.",
        )
    })?;
    let path = match input.page.unwrap_or_default() {
        LinkedPage::Billing => "/billing",
        LinkedPage::Pricing => "/pricing",
    };
    let until = app.now().plus_ms(LIFE_MS);
    let link = links.sign(&customer, until).ok_or_else(problem::internal)?;
    let url = format!("{}{}", app.engine.settings().public_url, address(path, &[("link", &link)]));
    Ok(Json(PageLink { url, expires_at: Time(until) }).into_response())
}
