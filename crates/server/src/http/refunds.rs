//! Money in and back: payments, and refunds of them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::Currency;
use quittance_domain::projection::RefundFacts;
use quittance_domain::refund::{RefundReason, RefundStatus};
use quittance_engine::Problem;
use quittance_engine::refunds::{NewRefund, RefundOf, Refunded};
use quittance_store::mirror::PaymentRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{Amount, IdempotencyHeader, Page, Time};
use super::extract::{InQuery, ObjectId, page};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list_payments)).routes(routes!(create_refund))
}

/// Which payments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichPayments {
    /// Only those of this customer of yours.
    #[param(value_type = Option<String>, example = "user_42")]
    customer: Option<ObjectId>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    #[param(value_type = Option<String>)]
    cursor: Option<ObjectId>,
}

/// Money that went back, or is on its way.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentRefund {
    /// The provider's id.
    #[schema(example = "re_1SaBcDeF")]
    id: String,
    /// Where it stands, in the provider's word: `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    #[schema(example = "succeeded")]
    status: String,
    /// How much.
    amount: Amount,
    /// When it was made.
    created_at: Time,
}

impl From<RefundFacts> for PaymentRefund {
    fn from(facts: RefundFacts) -> Self {
        let RefundFacts { id, status, amount, created_at } = facts;
        Self { id, status, amount: amount.into(), created_at: Time(created_at) }
    }
}

/// A payment that brought money.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentView {
    /// The provider's id.
    #[schema(example = "pi_1SaBcDeF")]
    id: String,
    /// Whose it is; null while nobody is linked.
    #[schema(example = "user_42")]
    customer: Option<String>,
    /// What was paid.
    amount: Amount,
    /// What went back of it or is on its way.
    refunded: Amount,
    /// `kept`, `partly_refunded`, `refunded`, `disputed`, `dispute_lost` or `dispute_won`.
    #[schema(example = "kept")]
    money: &'static str,
    /// When it was made.
    created_at: Time,
    /// Its refunds, where there are any.
    refunds: Vec<PaymentRefund>,
}

impl From<PaymentRow> for PaymentView {
    fn from(row: PaymentRow) -> Self {
        let facts = row.facts;
        Self {
            customer: row.customer,
            amount: facts.amount.into(),
            refunded: facts.refunded.into(),
            money: facts.money.as_str(),
            created_at: Time(facts.created_at),
            refunds: facts.refunds.into_iter().map(PaymentRefund::from).collect(),
            id: facts.id,
        }
    }
}

/// Payments, newest first
///
/// As they were when their customer was last looked at.
#[utoipa::path(
    get, path = "/v1/payments", tag = "Money", security(("api_key" = ["admin"])),
    params(WhichPayments),
    responses((status = 200, description = "The payments", body = Page<PaymentView>))
)]
async fn list_payments(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichPayments>,
) -> Result<Response, Fail> {
    let (_, limit) = page(which.limit, None)?;
    let customer = which.customer.as_ref().map(|id| id.0.as_str());
    let before = which.cursor.as_ref().map(|id| id.0.as_str());
    let mut rows = app.engine.payments(customer, before, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(0);
    let more = rows.len() > most;
    rows.truncate(most);
    let next_cursor = rows.last().map(|row| row.facts.id.clone()).filter(|_| more);
    Ok(Json(Page { data: rows.into_iter().map(PaymentView::from).collect(), next_cursor }).into_response())
}

/// Why money goes back.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReasonInput {
    /// The customer asked.
    RequestedByCustomer,
    /// Paid twice.
    Duplicate,
    /// Not paid by the owner of the card; the provider blocks the card.
    Fraudulent,
}

impl From<ReasonInput> for RefundReason {
    fn from(reason: ReasonInput) -> Self {
        match reason {
            ReasonInput::RequestedByCustomer => Self::RequestedByCustomer,
            ReasonInput::Duplicate => Self::Duplicate,
            ReasonInput::Fraudulent => Self::Fraudulent,
        }
    }
}

const fn yes() -> bool {
    true
}

/// What to give back: name the payment or the invoice.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefundInput {
    /// The payment, by the provider's id.
    #[schema(example = "pi_1SaBcDeF", max_length = 255)]
    payment: Option<String>,
    /// The invoice, by the provider's id.
    #[schema(example = "in_1SaBcDeF", max_length = 255)]
    invoice: Option<String>,
    /// How much, in minor units; all that is left when it is left out.
    #[schema(example = 500, minimum = 1)]
    amount: Option<i64>,
    /// The currency of the amount, ISO 4217 in lower case. Where it is named and the payment is in another one, nothing moves.
    #[schema(example = "jpy")]
    currency: Option<String>,
    /// Default: `requested_by_customer`.
    reason: Option<ReasonInput>,
    /// Whether an invoice that was paid gets a credit note, which makes the refund; default true. Without one, the provider's
    /// tax documents do not know of the refund.
    #[serde(default = "yes")]
    credit_note: bool,
    /// Whether the money went back outside of the provider: only the credit note and the books say so. Default false.
    #[serde(default)]
    out_of_band: bool,
}

impl RefundInput {
    fn read(self) -> Result<NewRefund, Problem> {
        let of = match (self.payment, self.invoice) {
            (Some(payment), None) => RefundOf::Payment(payment),
            (None, Some(invoice)) => RefundOf::Invoice(invoice),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Problem::invalid("Name either `payment` or `invoice`."));
            }
        };
        let currency = self
            .currency
            .map(|code| {
                Currency::parse(&code).map_err(|error| Problem::invalid(format!("`currency`: {error}")))
            })
            .transpose()?;
        Ok(NewRefund {
            of,
            amount: self.amount,
            currency,
            reason: self.reason.map_or(RefundReason::RequestedByCustomer, Into::into),
            credit_note: self.credit_note,
            out_of_band: self.out_of_band,
        })
    }
}

/// A refund that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundView {
    /// The command that makes it.
    #[schema(example = "cmd_01arz3ndektsv4rrffq69g5fav")]
    command: String,
    /// The provider's refund; null for money that went back outside of it.
    #[schema(example = "re_1SaBcDeF")]
    refund: Option<String>,
    /// The credit note, where an invoice was paid.
    #[schema(example = "cn_1SaBcDeF")]
    credit_note: Option<String>,
    /// The payment.
    #[schema(example = "pi_1SaBcDeF")]
    payment: String,
    /// The invoice.
    #[schema(example = "in_1SaBcDeF")]
    invoice: Option<String>,
    /// How much.
    amount: Amount,
    /// Where it stands, in the provider's word. One that `succeeded` may still fail days later: the alert `refund_failed`.
    #[schema(example = "succeeded")]
    status: String,
    /// Whether money moved: `yes`, `no`, or `unknown` while it is on its way.
    #[schema(example = "yes")]
    money_moved: &'static str,
}

impl From<Refunded> for RefundView {
    fn from(made: Refunded) -> Self {
        debug_assert_eq!(RefundStatus::from(made.status.as_str()).moved(), made.moved);
        Self {
            command: made.command.to_string(),
            refund: made.refund,
            credit_note: made.credit_note,
            payment: made.payment,
            invoice: made.invoice,
            amount: made.amount.into(),
            status: made.status,
            money_moved: made.moved.as_str(),
        }
    }
}

/// Give money back
///
/// A part or all that is left, once, and never more than is left: refunds that are under way count. Where an invoice was paid,
/// its credit note makes the refund. What a full or partial refund does to access is configuration (`[access.money]`).
#[utoipa::path(
    post, path = "/v1/refunds", tag = "Money", security(("api_key" = ["admin"])),
    params(IdempotencyHeader),
    request_body = RefundInput,
    responses(
        (status = 200, description = "The refund, as far as it has come", body = RefundView),
        (status = 404, description = "There is no such payment or invoice", body = ProblemDocument),
        (status = 409, description = "`wrong_state`: it brought no money, or by several payments", body = ProblemDocument),
        (status = 422, description = "`refund_refused`: more than is left, another currency, disputed", body = ProblemDocument),
    )
)]
async fn create_refund(mutation: Mutation<Admin, RefundInput>) -> Result<Response, Fail> {
    mutation
        .run(|context, input| async move {
            let new = input.read()?;
            let made = context.engine.refund(&new, &context.caller, context.seed.as_deref()).await?;
            Reply::ok(&RefundView::from(made))
        })
        .await
}
