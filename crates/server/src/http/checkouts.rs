//! Checkouts: from a wish to an address where the buyer pays. There is no price in a request.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::checkout::{CheckoutState, CheckoutUi};
use quittance_domain::{CustomerId, Scope};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::{Engine, Problem};
use quittance_store::checkouts::CheckoutRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read, Write};
use super::dto::{IdempotencyHeader, Time};
use super::extract::{InPath, ObjectId};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(open_checkout)).routes(routes!(get_checkout))
}

/// What the buyer wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckoutInput {
    /// Your id of the customer; created when we do not know it.
    #[schema(example = "user_42", min_length = 1, max_length = 200)]
    customer: String,
    /// The plan's key.
    #[schema(example = "pro")]
    plan: String,
    /// `day`, `week`, `month`, `year` or `once`; default: the plan's first.
    #[schema(example = "month", pattern = "^(day|week|month|year|once)$")]
    interval: Option<String>,
    /// Units; default 1.
    #[schema(example = 1, minimum = 1)]
    quantity: Option<i64>,
    /// ISO 4217; default: the first in which the plan is sold.
    #[schema(example = "jpy", pattern = "^[A-Za-z]{3}$")]
    currency: Option<String>,
    /// A promotion: the code that buyers type, its key in the catalog, or the provider's id of a promotion code.
    #[schema(example = "WELCOME20", max_length = 100)]
    promotion_code: Option<String>,
    /// The channel that the buyer came by: an agency's key in the catalog.
    #[schema(example = "agency_north", max_length = 64)]
    channel: Option<String>,
    /// The provider; only `stripe` today.
    #[schema(example = "stripe", pattern = "^stripe$")]
    provider: Option<String>,
    /// Where the buyer returns to after paying; default: our own return page. `{CHECKOUT_SESSION_ID}` in it is
    /// replaced.
    #[schema(example = "https://app.example/welcome?session_id={CHECKOUT_SESSION_ID}")]
    success_url: Option<String>,
    /// Where the buyer returns to without paying; default: our pricing page.
    #[schema(example = "https://app.example/plans")]
    cancel_url: Option<String>,
    /// A subscription of this customer that is set to end: what is bought begins then, to the second, and is charged
    /// then. Not earlier than half an hour ahead.
    #[schema(example = "sub_1SaBcDeF")]
    starts_after: Option<String>,
    /// Where the buyer pays: `hosted` (default) on the provider's page; on a page of yours `embedded`, in the provider's
    /// whole form, or `elements`, in its single fields; or `payment_intent`, in its fields over a bare payment for what is
    /// bought once. What the buyer enters goes to the provider, never to us or to you.
    #[schema(example = "hosted", pattern = "^(hosted|embedded|elements|payment_intent)$")]
    ui: Option<String>,
    /// Your own name for what is bought, such as the number of an order. It is kept at the provider and told in
    /// `purchase.changed`; another one is another checkout.
    #[schema(example = "order-1042", max_length = 200)]
    reference: Option<String>,
    /// The buyer's address, for limits and against card testing. Only a digest of it is kept.
    #[schema(example = "203.0.113.7")]
    client_ip: Option<String>,
}

/// A checkout.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckoutView {
    /// Our id.
    #[schema(example = "chk_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    id: String,
    /// The provider's id of its page.
    #[schema(example = "cs_test_a1B2c3")]
    session: Option<String>,
    /// The provider.
    #[schema(example = "stripe")]
    provider: String,
    /// `open` (the buyer can pay), `processing` (being confirmed), `complete` (paid, and the access is there) or
    /// `expired` (nothing was charged).
    #[schema(example = "open")]
    status: &'static str,
    /// Where the buyer pays; null unless open, and unless `ui` is `hosted`.
    #[schema(example = "https://checkout.example/c/pay/cs_test_a1B2c3")]
    url: Option<String>,
    /// Where the buyer pays: `hosted`, `embedded`, `elements` or `payment_intent`.
    #[schema(example = "hosted")]
    ui: &'static str,
    /// For the provider's library on a page of yours; null for `hosted`, and once it is over. Whoever has it can pay this
    /// checkout, and nothing else: give it to the buyer's browser only, and keep it out of logs and addresses.
    client_secret: Option<String>,
    /// The provider's publishable key, which its library needs with `client_secret`; null where that is null.
    publishable_key: Option<String>,
    /// Your own name for what is bought.
    #[schema(example = "order-1042")]
    reference: Option<String>,
    /// Whose it is.
    #[schema(example = "user_42")]
    customer: String,
    /// What is bought.
    #[schema(example = "pro")]
    plan: String,
    /// `day`, `week`, `month`, `year` or `once`.
    #[schema(example = "month")]
    interval: String,
    /// ISO 4217.
    #[schema(example = "jpy")]
    currency: String,
    /// Units.
    #[schema(example = 1)]
    quantity: i64,
    /// Days of trial.
    #[schema(example = 14)]
    trial_days: u32,
    /// The plan has a trial, and this buyer had one: it is charged at once.
    #[schema(example = false)]
    trial_refused: bool,
    /// When what is bought begins and is charged, when that is not with the purchase.
    starts_at: Option<Time>,
    /// When the provider closes it.
    expires_at: Option<Time>,
    /// When it was asked for.
    created_at: Time,
}

/// The word for a state: a checkout that is just being opened is open, with no address yet.
const fn status_word(state: CheckoutState) -> &'static str {
    match state {
        CheckoutState::Creating | CheckoutState::Open => "open",
        CheckoutState::Processing => "processing",
        CheckoutState::Complete => "complete",
        CheckoutState::Expired => "expired",
    }
}

impl CheckoutView {
    fn of(row: CheckoutRow, engine: &Engine) -> Self {
        let provider = Scope::parse(&row.scope).map(|scope| scope.provider.as_str().to_owned());
        Self {
            id: row.id.to_string(),
            session: row.session,
            provider: provider.unwrap_or(row.scope),
            status: status_word(row.state),
            url: row.url,
            ui: row.wish.ui.as_str(),
            publishable_key: row
                .client_secret
                .as_ref()
                .and_then(|_| engine.settings().publishable_key.clone())
                .filter(|_| row.wish.ui.is_on_our_page()),
            client_secret: row.client_secret.filter(|_| row.wish.ui.is_on_our_page()),
            reference: row.wish.reference,
            customer: row.wish.customer.to_string(),
            plan: row.wish.plan.to_string(),
            interval: row.wish.interval,
            currency: row.wish.currency.code().to_owned(),
            quantity: row.wish.quantity,
            trial_days: row.wish.trial_days.unwrap_or(0),
            trial_refused: row.wish.trial_refused,
            starts_at: row.wish.starts_after.map(|(_, at)| Time(at)),
            expires_at: row.expires_at.map(Time),
            created_at: Time(row.created_at),
        }
    }
}

/// Open a checkout
///
/// Send the buyer to `url`, or show the provider's form on a page of yours with `client_secret` and `publishable_key` (`ui`). Prices come from the catalog, never from the caller. A customer has at most one open checkout
/// for each plan group: the same wish gets the same checkout, another wish closes the first one. Access comes when the
/// provider confirms the payment, not when the buyer returns.
#[utoipa::path(
    post, path = "/v1/checkouts", tag = "Checkouts", security(("api_key" = ["write"])),
    params(IdempotencyHeader),
    request_body = CheckoutInput,
    responses(
        (status = 200, description = "The checkout", body = CheckoutView),
        (status = 403, description = "The key has not the scope, or `customer_suspended`", body = ProblemDocument),
        (status = 404, description = "The customer has no such subscription as `starts_after` names", body = ProblemDocument),
        (status = 429, description = "`too_many_checkouts`: see Retry-After", body = ProblemDocument),
    )
)]
async fn open_checkout(change: Mutation<Write, CheckoutInput>) -> Result<Response, Fail> {
    change
        .run(|context, input| async move {
            if input.provider.as_deref().is_some_and(|provider| provider != "stripe") {
                return Err(Problem::invalid("`provider` must be `stripe`."));
            }
            let customer = CustomerId::parse(&input.customer)
                .map_err(|error| Problem::invalid(format!("`customer`: {error}.")))?;
            let new = NewCheckout {
                customer,
                plan: input.plan,
                interval: input.interval,
                quantity: input.quantity,
                currency: input.currency,
                promotion_code: input.promotion_code,
                channel: input.channel,
                success_url: input.success_url,
                cancel_url: input.cancel_url,
                starts_after: input.starts_after,
                ui: match input.ui.as_deref() {
                    None => CheckoutUi::Hosted,
                    Some(word) => CheckoutUi::parse(word).ok_or_else(|| {
                        Problem::invalid("`ui` must be `hosted`, `embedded`, `elements` or `payment_intent`.")
                    })?,
                },
                reference: input.reference,
                client_ip: input
                    .client_ip
                    .map(|text| {
                        text.parse().map_err(|_| Problem::invalid("`client_ip` must be an IP address."))
                    })
                    .transpose()?,
                idempotency: context.seed,
            };
            let row = context.engine.open_checkout(&new).await?;
            Reply::ok(&CheckoutView::of(row, &context.engine))
        })
        .await
}

/// A checkout, by our id or the provider's
#[utoipa::path(
    get, path = "/v1/checkouts/{id}", tag = "Checkouts", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "`chk_…` or the provider's `cs_…`.", example = "chk_01hz3v9q8r7s6t5w4x3y2z1a0b")),
    responses((status = 200, description = "The checkout", body = CheckoutView),
              (status = 404, description = "No such checkout", body = ProblemDocument))
)]
async fn get_checkout(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(ObjectId(id)): InPath<ObjectId>,
) -> Result<Response, Fail> {
    Ok(Json(CheckoutView::of(app.engine.checkout_row(&id).await?, &app.engine)).into_response())
}
