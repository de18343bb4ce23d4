//! Notices: what customers were told, with the proof of it, and changes that operators announce.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::CustomerId;
use quittance_domain::notices::{AppliedRule, Fit, NoticeKind, RuleTable};
use quittance_engine::Problem;
use quittance_engine::notices::{NewAnnouncement, Proof};
use quittance_store::deliveries::{AttemptRow, DeliveryRow};
use quittance_store::mails::MailRow;
use quittance_store::notices::AnnouncementRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth, Read};
use super::dto::{IdempotencyHeader, Page, Time, json_of};
use super::exports::Export;
use super::extract::{InPath, InQuery, Nothing, ObjectId, page};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_notices))
        .routes(routes!(get_notice))
        .routes(routes!(notices_of_customer))
        .routes(routes!(list_announcements, announce))
        .routes(routes!(withdraw_announcement))
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KindWord {
    /// A renewal could not be charged.
    PaymentFailed,
    /// A renewal waits for the customer.
    PaymentActionRequired,
    /// A renewal that had failed was paid.
    PaymentRecovered,
    /// Access is about to end because a payment is missing.
    GraceEnding,
    /// Access has ended.
    AccessEnded,
    /// A trial is about to turn into a paid subscription.
    TrialEnding,
    /// A renewal is about to be charged.
    RenewalAhead,
    /// The price changes.
    PriceChanging,
    /// The terms change.
    TermsChanging,
    /// The plan changed.
    PlanChanged,
    /// The subscription was cancelled.
    SubscriptionCancelled,
    /// Something was paid.
    Receipt,
    /// Money goes back.
    RefundMade,
    /// Money that was said to go back did not arrive.
    RefundFailed,
    /// The card is about to expire.
    CardExpiring,
    /// Something that is bought once is paid by a method that settles days later.
    PurchaseProcessing,
    /// The money for something that is bought once did not come.
    PurchaseFailed,
}

impl From<NoticeKind> for KindWord {
    fn from(kind: NoticeKind) -> Self {
        match kind {
            NoticeKind::PaymentFailed => Self::PaymentFailed,
            NoticeKind::PaymentActionRequired => Self::PaymentActionRequired,
            NoticeKind::PaymentRecovered => Self::PaymentRecovered,
            NoticeKind::GraceEnding => Self::GraceEnding,
            NoticeKind::AccessEnded => Self::AccessEnded,
            NoticeKind::TrialEnding => Self::TrialEnding,
            NoticeKind::RenewalAhead => Self::RenewalAhead,
            NoticeKind::PriceChanging => Self::PriceChanging,
            NoticeKind::TermsChanging => Self::TermsChanging,
            NoticeKind::PlanChanged => Self::PlanChanged,
            NoticeKind::SubscriptionCancelled => Self::SubscriptionCancelled,
            NoticeKind::Receipt => Self::Receipt,
            NoticeKind::RefundMade => Self::RefundMade,
            NoticeKind::RefundFailed => Self::RefundFailed,
            NoticeKind::CardExpiring => Self::CardExpiring,
            NoticeKind::PurchaseProcessing => Self::PurchaseProcessing,
            NoticeKind::PurchaseFailed => Self::PurchaseFailed,
        }
    }
}

/// Which notices.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichNotices {
    /// For this customer.
    #[param(value_type = Option<String>)]
    customer: Option<ObjectId>,
    /// About this.
    #[serde(rename = "type")]
    #[param(value_type = Option<KindWord>)]
    kind: Option<NoticeKind>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// Which notices of a customer.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichOfCustomer {
    /// About this.
    #[serde(rename = "type")]
    #[param(value_type = Option<KindWord>)]
    kind: Option<NoticeKind>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// A rule that asked for a notice, and how its moment kept it.
#[derive(Debug, Serialize, ToSchema)]
struct RuleView {
    /// The rule.
    #[schema(example = "visa_trial")]
    id: String,
    /// Its version when the notice was written down.
    #[schema(example = "2020-04-18")]
    version: String,
    /// Where it is written down, as the table of today has it.
    source: Option<String>,
    /// From when on it may be told.
    opens_at: Option<Time>,
    /// Until when it must be told; null for a rule about something that is told when it happens.
    closes_at: Option<Time>,
    /// `kept`, `at_start` (the window was over before there was anything to tell), `first_sight` (over when the subscription
    /// was seen for the first time) or `missed`.
    #[schema(value_type = String, example = "kept")]
    fit: Fit,
}

/// A try to deliver.
#[derive(Debug, Serialize, ToSchema)]
struct NoticeTry {
    /// Which one, from 1.
    attempt: i64,
    /// When it began.
    began_at: Time,
    /// When it ended.
    ended_at: Time,
    /// `delivered`, `suppressed`, `retry` or `failed`.
    #[schema(example = "delivered")]
    outcome: String,
    /// What the other side said, or why it was not sent.
    detail: String,
}

/// The mail of a notice.
#[derive(Debug, Serialize, ToSchema)]
struct NoticeDelivery {
    /// Its number among the deliveries.
    id: i64,
    /// `pending`, `delivered`, `suppressed` or `failed`.
    #[schema(example = "delivered")]
    state: String,
    /// When it was over.
    finished_at: Option<Time>,
    /// What went wrong last, or why it was not sent.
    last_error: Option<String>,
    /// Each try, newest first.
    tries: Vec<NoticeTry>,
    /// What left, once it did.
    mail: Option<NoticeMail>,
}

/// The mail that left, so that it can be proven: whoever has the text can compute its digest.
#[derive(Debug, Serialize, ToSchema)]
struct NoticeMail {
    /// What it was told by on its way.
    message_id: String,
    /// Its language, `en` or `ja`.
    #[schema(example = "en")]
    language: String,
    /// Which wording.
    template: String,
    /// SHA-256 of subject, two line ends and text, with `(link)` in place of what a link opens.
    sha256: String,
    /// SHA-256 of customer and address; none where no mail server is configured.
    address_sha256: Option<String>,
    /// The subject, where mails are kept.
    subject: Option<String>,
    /// The text without what its links open, where mails are kept.
    text: Option<String>,
    /// How often it left; more than once where a process died before it was recorded.
    sends: i64,
    /// When it left last.
    sent_at: Time,
}

impl From<MailRow> for NoticeMail {
    fn from(row: MailRow) -> Self {
        // What was only captured is kept as it is, with links that open and the address.
        let left = !row.mail.captured;
        Self {
            message_id: row.mail.message_id,
            language: row.mail.language,
            template: row.mail.template,
            sha256: row.mail.sha256,
            address_sha256: left.then_some(row.mail.address),
            subject: row.mail.subject,
            text: row.mail.text.filter(|_| left),
            sends: row.sends,
            sent_at: Time(row.sent_at),
        }
    }
}

/// What a customer was told, when, by which rule, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeView {
    /// Its number.
    id: i64,
    /// What it is about.
    #[serde(rename = "type")]
    kind: KindWord,
    /// The customer.
    customer: Option<String>,
    /// The object that it is about.
    #[schema(example = "sub_1SaBcDeF")]
    object: String,
    /// Which occurrence: with type and object it is told once.
    occurrence: String,
    /// The moment that it tells of beforehand.
    about: Option<Time>,
    /// What was known when it was written down.
    #[schema(value_type = Object)]
    data: serde_json::Value,
    /// When it was written down.
    written_at: Time,
    /// The rules that asked for it.
    rules: Vec<RuleView>,
    /// Its mail; none where no mail was configured then.
    delivery: Option<NoticeDelivery>,
}

impl NoticeView {
    /// The view of a proof; the table says where a rule is written down.
    pub fn of(proof: Proof, table: &RuleTable) -> Self {
        let notice = proof.notice;
        let rule = |applied: AppliedRule| RuleView {
            source: table.rules.iter().find(|rule| rule.id == applied.id).map(|rule| rule.source.clone()),
            id: applied.id,
            version: applied.version,
            opens_at: applied.opens.map(Time),
            closes_at: applied.closes.map(Time),
            fit: applied.fit,
        };
        Self {
            id: notice.seq,
            kind: notice.kind.into(),
            customer: notice.customer,
            object: notice.object,
            occurrence: notice.occurrence,
            about: notice.about.map(Time),
            data: json_of(&notice.data),
            written_at: Time(notice.created_at),
            rules: notice.rules.into_iter().map(rule).collect(),
            delivery: proof.delivery.map(|row| delivery(row, proof.tries, proof.mail)),
        }
    }
}

fn delivery(row: DeliveryRow, tries: Vec<AttemptRow>, mail: Option<MailRow>) -> NoticeDelivery {
    let one = |row: AttemptRow| NoticeTry {
        attempt: row.attempt,
        began_at: Time(row.began_at),
        ended_at: Time(row.ended_at),
        outcome: row.outcome,
        detail: row.detail,
    };
    NoticeDelivery {
        id: row.seq,
        state: row.state.as_str().to_owned(),
        finished_at: row.finished_at.map(Time),
        last_error: row.last_error,
        tries: tries.into_iter().map(one).collect(),
        mail: mail.map(NoticeMail::from),
    }
}

/// What customers were told, newest first, with the proof of it
#[utoipa::path(
    get, path = "/v1/notices", tag = "Operations", security(("api_key" = ["admin"])),
    params(WhichNotices),
    responses((status = 200, description = "The notices", body = Page<NoticeView>))
)]
async fn list_notices(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichNotices>,
    export: Export,
) -> Result<Response, Fail> {
    let customer = which.customer.map(|ObjectId(id)| id);
    let told = answer(&app, customer.as_deref(), which.kind, which.limit, which.cursor.as_deref());
    Ok(export.made(async { told.await.map_err(|Fail(problem)| problem) }).await?)
}

/// What a customer was told, newest first, with the proof of it
#[utoipa::path(
    get, path = "/v1/customers/{id}/notices", tag = "Customers", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), WhichOfCustomer),
    responses((status = 200, description = "The notices", body = Page<NoticeView>),
              (status = 404, description = "No customer can have this id", body = ProblemDocument))
)]
async fn notices_of_customer(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(id): InPath<String>,
    InQuery(which): InQuery<WhichOfCustomer>,
) -> Result<Response, Fail> {
    let customer = CustomerId::parse(&id).map_err(|_| Problem::not_found("customer"))?;
    answer(&app, Some(customer.as_str()), which.kind, which.limit, which.cursor.as_deref()).await
}

async fn answer(
    app: &AppState,
    customer: Option<&str>,
    kind: Option<NoticeKind>,
    limit: Option<i64>,
    cursor: Option<&str>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(limit, cursor)?;
    let rows = app.engine.notice_proofs(customer, kind, cursor, limit + 1).await?;
    let table = &app.engine.settings().notice_rules;
    let view = |proof| NoticeView::of(proof, table);
    Ok(Json(Page::of(rows, limit, |proof| proof.notice.seq, view)).into_response())
}

/// One notice with the proof of it
#[utoipa::path(
    get, path = "/v1/notices/{id}", tag = "Operations", security(("api_key" = ["admin"])),
    params(("id" = i64, Path, description = "Its number", example = 1)),
    responses((status = 200, description = "The notice", body = NoticeView),
              (status = 404, description = "There is none", body = ProblemDocument))
)]
async fn get_notice(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(id): InPath<String>,
) -> Result<Response, Fail> {
    let seq: i64 = id.parse().map_err(|_| Problem::not_found("notice"))?;
    let proof = app.engine.notice_proof(seq).await?;
    Ok(Json(NoticeView::of(proof, &app.engine.settings().notice_rules)).into_response())
}

/// Which change is announced.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ChangeWord {
    /// The price changes.
    PriceChanging,
    /// The terms change.
    TermsChanging,
}

/// A change of price or terms to announce.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnnouncementInput {
    /// Your name for it: announcing it again changes nothing.
    #[schema(example = "fees-2027", min_length = 1, max_length = 500, pattern = "^[A-Za-z0-9._-]+$")]
    id: String,
    /// What changes.
    #[serde(rename = "type")]
    kind: ChangeWord,
    /// Only subscriptions with this plan; all of them when left out.
    #[schema(example = "pro")]
    plan: Option<String>,
    /// When the change takes effect.
    effective_at: Time,
    /// The lookup key of the price that will be charged, or the provider's id of it.
    #[schema(example = "pro_month_jpy_2027", min_length = 1, max_length = 500)]
    new_price: Option<String>,
    /// Where the new terms can be read.
    #[schema(example = "https://app.example.com/terms", min_length = 1, max_length = 500)]
    url: Option<String>,
}

/// A change that was announced.
#[derive(Debug, Serialize, ToSchema)]
struct AnnouncementView {
    /// Its name.
    id: String,
    /// What changes.
    #[serde(rename = "type")]
    #[schema(value_type = ChangeWord)]
    kind: NoticeKind,
    /// Only subscriptions with this plan.
    plan: Option<String>,
    /// When the change takes effect.
    effective_at: Time,
    /// The price that will be charged.
    new_price: Option<String>,
    /// Where the new terms can be read.
    url: Option<String>,
    /// The API key that announced it.
    created_by: String,
    /// When it was announced.
    created_at: Time,
    /// When it was taken back.
    withdrawn_at: Option<Time>,
}

impl From<AnnouncementRow> for AnnouncementView {
    fn from(row: AnnouncementRow) -> Self {
        let change = row.announcement;
        Self {
            id: change.id,
            kind: change.kind,
            plan: change.plan.map(|plan| plan.to_string()),
            effective_at: Time(change.effective_at),
            new_price: change.new_price,
            url: change.url,
            created_by: row.created_by,
            created_at: Time(change.created_at),
            withdrawn_at: row.withdrawn_at.map(Time),
        }
    }
}

/// All announcements.
#[derive(Debug, Serialize, ToSchema)]
struct Announcements {
    /// The last to take effect first.
    data: Vec<AnnouncementView>,
}

/// An announcement, and whom it may meet.
#[derive(Debug, Serialize, ToSchema)]
struct Announced {
    /// The announcement.
    #[serde(flatten)]
    announcement: AnnouncementView,
    /// Subscriptions that are looked at because of it; each is told at the moment that the rules leave.
    subscriptions: u64,
}

/// Announced changes of price and terms
#[utoipa::path(
    get, path = "/v1/announcements", tag = "Operations", security(("api_key" = ["admin"])),
    responses((status = 200, description = "The announcements", body = Announcements))
)]
async fn list_announcements(State(app): State<AppState>, _: Auth<Admin>) -> Result<Response, Fail> {
    let rows = app.engine.announcements().await?;
    Ok(Json(Announcements { data: rows.into_iter().map(AnnouncementView::from).collect() }).into_response())
}

/// Announce a change of price or terms
///
/// Everybody whom it meets is told beforehand, once, at the moment that the notice rules leave. It changes no price:
/// that is done at the provider, on the day.
#[utoipa::path(
    post, path = "/v1/announcements", tag = "Operations", security(("api_key" = ["admin"])),
    params(IdempotencyHeader), request_body = AnnouncementInput,
    responses((status = 200, description = "It is announced", body = Announced),
              (status = 409, description = "The id stands for another announcement", body = ProblemDocument))
)]
async fn announce(change: Mutation<Admin, AnnouncementInput>) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let new = NewAnnouncement {
                id: input.id,
                kind: match input.kind {
                    ChangeWord::PriceChanging => NoticeKind::PriceChanging,
                    ChangeWord::TermsChanging => NoticeKind::TermsChanging,
                },
                plan: input.plan,
                effective_at: input.effective_at.0,
                new_price: input.new_price,
                url: input.url,
            };
            let (row, subscriptions) = context.engine.announce(&new, &context.caller.key.to_string()).await?;
            Reply::ok(&Announced { announcement: row.into(), subscriptions })
        })
        .await
}

/// Take an announcement back: whoever was not told yet will not be
#[utoipa::path(
    delete, path = "/v1/announcements/{id}", tag = "Operations", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Its name.", example = "fees-2027"), IdempotencyHeader),
    responses((status = 204, description = "It is taken back"),
              (status = 404, description = "There is none", body = ProblemDocument))
)]
async fn withdraw_announcement(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            context.engine.withdraw_announcement(&id).await?;
            Ok(Reply::nothing())
        })
        .await
}
