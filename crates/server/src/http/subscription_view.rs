//! How a subscription and a purchase are shown.

use quittance_domain::dunning::PaymentIssue;
use quittance_domain::projection::Purchase;
use quittance_domain::subscription::{Duplicate, Planned, Subscription};
use quittance_domain::{Scope, Timestamp};
use quittance_store::mirror::SubscriptionRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::dto::{Amount, Time};
use super::state::AppState;
use super::web::address;
use crate::page_links::LIFE_MS;

/// A subscription, as the provider reported it last, and what it does to access.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionView {
    /// The provider's id.
    #[schema(example = "sub_1SaBcDeF")]
    pub id: String,
    /// The provider.
    #[schema(example = "stripe")]
    pub provider: String,
    /// Whose it is; null while nobody is linked.
    #[schema(example = "user_42")]
    pub customer: Option<String>,
    /// The plan; null when its price is not in the catalog.
    #[schema(example = "pro")]
    pub plan: Option<String>,
    /// The provider's word: `active`, `trialing`, `past_due`, `incomplete`, `incomplete_expired`, `unpaid`,
    /// `paused`, `canceled`, or one that is new.
    #[schema(example = "active")]
    pub status: String,
    /// `granted`, `grace`, `pending` or `revoked`, now.
    #[schema(example = "granted")]
    pub access: &'static str,
    /// Units.
    #[schema(example = 1)]
    pub quantity: i64,
    /// `day`, `week`, `month` or `year`.
    #[schema(example = "month")]
    pub interval: Option<String>,
    /// Price of one unit.
    pub unit_price: Option<Amount>,
    /// When the running period began.
    pub current_period_start: Option<Time>,
    /// When it ends.
    pub current_period_end: Option<Time>,
    /// Whether the subscription ends with it.
    pub cancel_at_period_end: bool,
    /// When the subscription is set to end; null when it renews.
    pub ends_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// When its trial ends or ended.
    pub trial_end: Option<Time>,
    /// Until when access lasts although a payment failed; null when none did.
    pub grace_until: Option<Time>,
    /// What is wrong with its payment; null when nothing is.
    pub payment_issue: Option<PaymentIssueView>,
    /// The subscription that was kept when this one turned out to be one too many.
    pub duplicate_of: Option<String>,
    /// What it becomes at a known moment, whoever planned it; null when nothing is planned.
    pub scheduled_change: Option<PlannedView>,
    /// A change that waits until the customer has confirmed its payment, and is forgotten at `at`.
    pub pending_change: Option<PlannedView>,
    /// Where the customer confirms that payment; only in the answer to the change itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://invoice.example.com/i/acct_1/test_1")]
    pub pay_url: Option<String>,
    /// Whether the provider takes no money for it now.
    pub paused: bool,
    /// When its pause ends by itself.
    pub resumes_at: Option<Time>,
    /// Why it was cancelled, from the provider's list.
    #[schema(example = "too_expensive")]
    pub cancel_feedback: Option<String>,
    /// When it was created.
    pub created_at: Time,
}

/// A plan to come.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedView {
    /// The plan; null when its price is not in the catalog.
    #[schema(example = "pro")]
    pub plan: Option<String>,
    /// `day`, `week`, `month` or `year`.
    #[schema(example = "month")]
    pub interval: Option<String>,
    /// Units.
    #[schema(example = 1)]
    pub quantity: i64,
    /// When.
    pub at: Time,
}

impl From<&Planned> for PlannedView {
    fn from(planned: &Planned) -> Self {
        Self {
            plan: planned.plan.as_ref().map(ToString::to_string),
            interval: planned.interval.clone(),
            quantity: planned.quantity,
            at: Time(planned.at),
        }
    }
}

impl SubscriptionView {
    /// A view as of `now`.
    #[must_use]
    pub fn of(row: &SubscriptionRow, now: Timestamp) -> Self {
        let subscription = &row.subscription;
        let facts = &subscription.facts;
        let item = main_item(subscription);
        let access = subscription.standing.at(now);
        let grace_until = (access == quittance_domain::Access::Grace).then(|| subscription.standing.until());
        let provider = Scope::parse(&row.scope).map(|scope| scope.provider.as_str().to_owned());
        Self {
            id: facts.id.clone(),
            provider: provider.unwrap_or_else(|| row.scope.clone()),
            customer: subscription.customer.as_ref().map(ToString::to_string),
            plan: subscription.plan().map(|held| held.plan.to_string()),
            status: facts.status.as_str().to_owned(),
            access: access.as_str(),
            quantity: item.map_or(1, |item| item.quantity),
            interval: item.and_then(|item| item.interval.clone()),
            unit_price: item.and_then(|item| item.unit_price).map(Amount::from),
            current_period_start: item.and_then(|item| item.period_start).map(Time),
            current_period_end: item.and_then(|item| item.period_end).map(Time),
            cancel_at_period_end: facts.cancel_at_period_end,
            ends_at: facts.ends_at().map(Time),
            ended_at: facts.ended_at.map(Time),
            trial_end: facts.trial_end.map(Time),
            grace_until: grace_until.flatten().map(Time),
            payment_issue: PaymentIssueView::of(subscription),
            duplicate_of: subscription.duplicate.as_ref().map(|duplicate| match duplicate {
                Duplicate::Cancel { kept, .. } | Duplicate::AskOperator { kept } => kept.clone(),
            }),
            scheduled_change: subscription.scheduled.as_ref().map(PlannedView::from),
            pending_change: subscription.pending.as_ref().map(PlannedView::from),
            pay_url: None,
            paused: facts.is_paused(),
            resumes_at: facts.ahead.pause.as_ref().and_then(|pause| pause.resumes_at).map(Time),
            cancel_feedback: facts.ahead.cancellation.as_ref().and_then(|why| why.feedback.clone()),
            created_at: Time(facts.created_at),
        }
    }
}

/// An open invoice that keeps a subscription from being in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentIssueView {
    /// `action_required` (the bank wants the customer to confirm), `declined`, `no_method`, `processing` or `due`.
    #[schema(example = "declined")]
    pub kind: &'static str,
    /// The invoice.
    #[schema(example = "in_1SaBcDeF")]
    pub invoice: String,
    /// What is owed.
    pub amount: Amount,
    /// The provider's count of tries so far.
    #[schema(example = 2)]
    pub attempts: i64,
    /// When it is tried next by itself, by the provider or by us; null when it will not be.
    pub next_attempt_at: Option<Time>,
    /// The bank's reason, in the provider's standard words.
    #[schema(example = "insufficient_funds")]
    pub decline_code: Option<String>,
    /// `insufficient_funds`, `expired_card`, `authentication`, `hard_decline`, `no_method` or `other`.
    #[schema(example = "insufficient_funds")]
    pub cause: &'static str,
    /// Where the customer pays or confirms. Give it to nobody else. Null where neither the provider has a page nor the server a
    /// root key for its own.
    #[schema(example = "https://invoice.stripe.com/i/acct_1/test_1")]
    pub action_url: Option<String>,
}

impl PaymentIssueView {
    fn of(subscription: &Subscription) -> Option<Self> {
        let issue = PaymentIssue::of(subscription)?;
        let invoice = subscription.facts.latest_invoice.as_ref();
        Some(Self {
            kind: issue.kind.as_str(),
            invoice: issue.invoice,
            amount: issue.amount.into(),
            attempts: issue.attempts,
            next_attempt_at: issue.next_attempt_at.map(Time),
            decline_code: issue.decline_code,
            cause: issue.cause.as_str(),
            action_url: invoice.and_then(|invoice| invoice.pay_link.as_ref()).map(|link| link.0.clone()),
        })
    }
}

impl SubscriptionView {
    /// With a page of ours, which leads on, where the provider's is not known.
    #[must_use]
    pub fn with_page(mut self, app: &AppState, row: &SubscriptionRow) -> Self {
        if let (Some(issue), Some(customer)) = (&mut self.payment_issue, &row.subscription.customer)
            && issue.action_url.is_none()
        {
            let link = app.links.as_ref().and_then(|links| links.sign(customer, app.now().plus_ms(LIFE_MS)));
            issue.action_url = link.map(|link| {
                let path = address("/billing/pay", &[("link", &link), ("invoice", &issue.invoice)]);
                format!("{}{path}", app.engine.settings().public_url)
            });
        }
        self
    }
}

/// The line that gives the plan to be named; else the first.
#[must_use]
pub fn main_item(subscription: &Subscription) -> Option<&quittance_domain::subscription::ItemFacts> {
    let items = &subscription.facts.items;
    let held = subscription.plan().and_then(|held| items.iter().find(|item| item.id == held.item));
    held.or_else(|| items.first())
}

/// Something bought once.
#[derive(Debug, Serialize, ToSchema)]
pub struct PurchaseView {
    /// The provider's checkout session.
    #[schema(example = "cs_test_a1B2c3")]
    pub id: String,
    /// The plan.
    #[schema(example = "course")]
    pub plan: Option<String>,
    /// Whether the money has arrived.
    pub paid: bool,
    /// `granted`, `pending` or `revoked`, now.
    #[schema(example = "granted")]
    pub access: &'static str,
    /// Units.
    #[schema(example = 1)]
    pub quantity: i64,
    /// The provider's payment.
    pub payment: Option<String>,
}

impl PurchaseView {
    /// A view as of `now`.
    #[must_use]
    pub fn of(purchase: &Purchase, now: Timestamp) -> Self {
        let facts = &purchase.facts;
        Self {
            id: facts.id.clone(),
            plan: facts.plan.as_ref().map(ToString::to_string),
            paid: facts.paid,
            access: purchase.standing.at(now).as_str(),
            quantity: facts.quantity,
            payment: facts.payment.clone(),
        }
    }
}
