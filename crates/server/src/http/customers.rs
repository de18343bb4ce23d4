//! Customers: telling us of one, everything about one, its portal, its timeline, and why.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::CustomerId;
use quittance_domain::entitlement;
use quittance_engine::Problem;
use quittance_engine::commands::request::PortalStart;
use quittance_engine::erasure::DeletedThere;
use quittance_store::customers::{Change, CustomerPatch, CustomerRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth, Read, Write};
use super::dto::{IdempotencyHeader, Time};
use super::entitlements::{Entitlement, every};
use super::extract::InPath;
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;
use super::subscription_view::{PurchaseView, SubscriptionView};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(get_customer, put_customer, erase_customer))
        .routes(routes!(open_portal))
}

/// What you tell of a customer. A field that is left out stays as it is; null clears it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CustomerInput {
    /// Where mail goes.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "name@example.com", max_length = 320, pattern = "^[^@]+@.+$")]
    email: Change<String>,
    /// How it is called.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 320)]
    name: Change<String>,
    /// Language and region.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ja-JP", max_length = 320)]
    locale: Change<String>,
    /// Your own notes, replaced as a whole: up to 50 texts.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Change<BTreeMap<String, String>>,
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
struct Customer {
    /// Your id.
    #[schema(example = "user_42")]
    id: String,
    /// Where mail goes.
    email: Option<String>,
    /// How it is called.
    name: Option<String>,
    /// Language and region.
    locale: Option<String>,
    /// Your own notes.
    metadata: BTreeMap<String, String>,
    /// When we heard of it first.
    created_at: Time,
    /// When it was changed last.
    updated_at: Time,
    /// When its personal data was removed.
    erased_at: Option<Time>,
}

impl From<CustomerRow> for Customer {
    fn from(row: CustomerRow) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email,
            name: row.name,
            locale: row.locale,
            metadata: row.metadata,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
            erased_at: row.erased_at.map(Time),
        }
    }
}

/// A customer with everything it has.
#[derive(Debug, Serialize, ToSchema)]
struct CustomerDetails<'a> {
    #[serde(flatten)]
    customer: Customer,
    /// The best access over what was bought or granted: `granted`, `grace`, `pending` or `revoked`; null with nothing
    /// but the free plan.
    #[schema(example = "granted")]
    access: Option<&'static str>,
    /// Its subscriptions, newest first.
    subscriptions: Vec<SubscriptionView>,
    /// What it bought once.
    purchases: Vec<PurchaseView>,
    /// One entry for each feature.
    entitlements: Vec<Entitlement<'a>>,
}

/// Create or change a customer
///
/// The id is your own: a user, a team, an account. At most 200 bytes, without spaces and slashes.
#[utoipa::path(
    put, path = "/v1/customers/{id}", tag = "Customers", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), IdempotencyHeader),
    request_body = CustomerInput,
    responses((status = 200, description = "The customer", body = Customer))
)]
async fn put_customer(
    InPath(id): InPath<String>,
    change: Mutation<Write, CustomerInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let id = customer_id(&id)?;
            let patch = CustomerPatch {
                email: input.email,
                name: input.name,
                locale: input.locale,
                metadata: input.metadata,
            };
            Reply::ok(&Customer::from(context.engine.put_customer(&id, patch).await?))
        })
        .await
}

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
struct ErasedView {
    /// Your id of the customer.
    #[schema(example = "user_42")]
    customer: String,
    /// When.
    erased_at: Time,
    /// Mails whose address and text went.
    mails: u64,
    /// Events whose payload went.
    events: u64,
    /// What became of it at the provider; none where that was not asked for.
    at_provider: Option<Vec<DeletedView>>,
    /// Whether money moved by it: it never does.
    #[schema(example = "no")]
    money_moved: &'static str,
}

/// A customer of the provider's that was to be deleted.
#[derive(Debug, Serialize, ToSchema)]
struct DeletedView {
    /// The provider's id.
    #[schema(example = "cus_1SaBcDeF")]
    provider_customer: String,
    /// Whether it is gone.
    deleted: bool,
    /// The code of the problem why it is not.
    problem: Option<&'static str>,
}

impl From<DeletedThere> for DeletedView {
    fn from(deleted: DeletedThere) -> Self {
        Self {
            provider_customer: deleted.provider_customer,
            deleted: deleted.problem.is_none(),
            problem: deleted.problem.map(|problem| problem.code.as_str()),
        }
    }
}

/// How far somebody is erased.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EraseInput {
    /// Have the provider delete its customer too, with address and cards.
    #[serde(default)]
    at_provider: bool,
}

/// Erase what is personal about a customer
///
/// Address, name, language, notes, the texts of mails and what the provider's events said go; the id, subscriptions, payments, the
/// books and that something was told stay. It cannot be taken back. What the provider keeps goes with `at_provider`; asked again, what
/// is gone is left alone. No money moves.
#[utoipa::path(
    delete, path = "/v1/customers/{id}", tag = "Customers", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), IdempotencyHeader),
    request_body = EraseInput,
    responses((status = 200, description = "It is erased", body = ErasedView),
              (status = 404, description = "There is no such customer", body = ProblemDocument),
              (status = 409, description = "A subscription is live, a checkout can be paid, or a command is not done", body = ProblemDocument))
)]
async fn erase_customer(
    InPath(id): InPath<String>,
    change: Mutation<Admin, EraseInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let id = customer_id(&id)?;
            if input.at_provider {
                context.engine.may_delete_at_provider()?;
            }
            let (erased, at) = context.engine.erase_customer(&id, context.caller.key.as_str()).await?;
            let at_provider = if input.at_provider {
                let all = context.engine.delete_at_provider(&id).await?;
                Some(all.into_iter().map(DeletedView::from).collect())
            } else {
                None
            };
            Reply::ok(&ErasedView {
                customer: id.to_string(),
                erased_at: Time(at),
                mails: erased.mails,
                events: erased.events,
                at_provider,
                money_moved: "no",
            })
        })
        .await
}

/// Reads an id from a path.
///
/// # Errors
/// `invalid_request`.
pub fn customer_id(text: &str) -> Result<CustomerId, Problem> {
    CustomerId::parse(text).map_err(|error| Problem::invalid(format!("The path's {error}.")))
}

/// A customer with subscriptions, purchases, access and entitlements
#[utoipa::path(
    get, path = "/v1/customers/{id}", tag = "Customers", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42")),
    responses((status = 200, description = "The customer", body = CustomerDetails),
              (status = 404, description = "We were never told of it", body = ProblemDocument))
)]
async fn get_customer(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(id): InPath<String>,
) -> Result<Response, Fail> {
    let id = CustomerId::parse(&id).map_err(|_| Problem::not_found("customer"))?;
    let view = app.engine.customer(id.as_str()).await?;
    let held = app.engine.held(id.as_str()).await?;
    let holdings = held.as_ref().map_or(&[][..], |held| &held.holdings);
    let now = app.now();
    let details = CustomerDetails {
        customer: view.customer.into(),
        access: entitlement::overall_access(holdings, now).map(|access| access.as_str()),
        subscriptions: view
            .subscriptions
            .iter()
            .map(|row| SubscriptionView::of(row, now).with_page(&app, row))
            .collect(),
        purchases: view.purchases.iter().map(|purchase| PurchaseView::of(purchase, now)).collect(),
        entitlements: every(holdings, now),
    };
    Ok(Json(details).into_response())
}

/// Where the portal opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PortalPage {
    /// The overview.
    Home,
    /// Changing the payment method.
    PaymentMethod,
    /// Cancelling `subscription`.
    Cancel,
    /// Changing `subscription`.
    Change,
}

/// How to open the portal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PortalInput {
    /// Where the customer returns to; default: your app (`app_url`), else our billing page.
    #[schema(example = "https://app.example/account")]
    return_url: Option<String>,
    /// Where it opens; default: the overview. When the customer is done there, they return.
    #[serde(alias = "start")]
    flow: Option<PortalPage>,
    /// The subscription to cancel or change; only with those flows.
    subscription: Option<String>,
    /// The plan to change to, of the subscription's own group: then the customer only confirms. Only with `change`.
    #[schema(example = "studio")]
    plan: Option<String>,
    /// `day`, `week`, `month` or `year`; default: as it is now. Only with `change`.
    #[schema(example = "year", pattern = "^(day|week|month|year)$")]
    interval: Option<String>,
}

/// An open portal.
#[derive(Debug, Serialize, ToSchema)]
struct Portal {
    /// Send the customer there at once: the address is good for a few minutes and for this customer only.
    url: String,
}

/// Open the provider's portal
///
/// Where customers change their card and plan, cancel, and find receipts. What they do there reaches us by webhook.
#[utoipa::path(
    post, path = "/v1/customers/{id}/portal", tag = "Customers", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), IdempotencyHeader),
    request_body = PortalInput,
    responses((status = 200, description = "The portal", body = Portal),
              (status = 404, description = "The customer has no such subscription", body = ProblemDocument))
)]
async fn open_portal(
    InPath(id): InPath<String>,
    change: Mutation<Write, PortalInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let id = customer_id(&id)?;
            let to = input.plan.is_some() || input.interval.is_some();
            if to && input.flow != Some(PortalPage::Change) {
                return Err(Problem::invalid(
                    "`plan` and `interval` go with `flow` of `change`, and only with it.",
                ));
            }
            let start = match (input.flow.unwrap_or(PortalPage::Home), input.subscription) {
                (PortalPage::Home, None) => PortalStart::Home,
                (PortalPage::PaymentMethod, None) => PortalStart::PaymentMethod,
                (PortalPage::Cancel, Some(subscription)) => PortalStart::Cancel(subscription),
                (PortalPage::Change, Some(subscription)) if to => {
                    let (plan, interval) = (input.plan.as_deref(), input.interval.as_deref());
                    context.engine.portal_change(&id, &subscription, plan, interval).await?
                }
                (PortalPage::Change, Some(subscription)) => PortalStart::Change(subscription),
                (PortalPage::Home | PortalPage::PaymentMethod, Some(_))
                | (PortalPage::Cancel | PortalPage::Change, None) => {
                    return Err(Problem::invalid(
                        "`subscription` goes with `flow` of `cancel` or `change`, and only with these.",
                    ));
                }
            };
            let url = context.engine.open_portal(&id, input.return_url.as_deref(), start).await?;
            Reply::ok(&Portal { url })
        })
        .await
}
