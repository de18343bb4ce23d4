//! How a subscription and a purchase are shown.

use quittance_domain::projection::Purchase;
use quittance_domain::subscription::{Duplicate, Subscription};
use quittance_domain::{Scope, Timestamp};
use quittance_store::mirror::SubscriptionRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::dto::{Amount, Time};

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
    /// The subscription that was kept when this one turned out to be one too many.
    pub duplicate_of: Option<String>,
    /// When it was created.
    pub created_at: Time,
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
            duplicate_of: subscription.duplicate.as_ref().map(|duplicate| match duplicate {
                Duplicate::Cancel { kept, .. } | Duplicate::AskOperator { kept } => kept.clone(),
            }),
            created_at: Time(facts.created_at),
        }
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
