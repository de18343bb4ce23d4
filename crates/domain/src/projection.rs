//! The projection: from what was observed at a provider to what we keep and what must follow.
//!
//! One pure function for every path (webhook, redirect, sweep, timer, operator): it looks at the
//! observed truth and at what was stored before, never at what an event said. Effects carry natural
//! keys, so that computing them again is harmless.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::{Access, AccessPolicy, MoneyState, Standing};
use crate::catalog::Catalog;
use crate::dispute::{DisputeFacts, Stage, WarningFacts};
use crate::ids::{CheckoutId, CustomerId, PlanGroup, PlanKey};
use crate::money::Money;
use crate::notices::Notice;
use crate::past::KnownPrice;
use crate::refund;
use crate::subscription::{
    Duplicate, FutureItem, HeldPlan, InvoiceFacts, InvoicePayment, Planned, Subscription, SubscriptionFacts,
    SubscriptionStatus,
};
use crate::time::{HOUR_MS, Timestamp};

/// A payment as observed, as far as access depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentFacts {
    /// The provider's id (Stripe: the PaymentIntent).
    pub id: String,
    /// What was captured.
    pub amount: Money,
    /// What went back so far.
    pub refunded: Money,
    /// What became of it.
    pub money: MoneyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// What went back, refund by refund, where the provider told.
    #[serde(default)]
    pub refunds: Vec<RefundFacts>,
    /// Its disputes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disputes: Vec<DisputeFacts>,
    /// Its early fraud warning, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<WarningFacts>,
}

/// A refund as observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFacts {
    /// The provider's id.
    pub id: String,
    /// The provider's word (`succeeded`, `pending`, `failed` …).
    pub status: String,
    /// What goes back.
    pub amount: Money,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What notices need of a purchase, beyond what access does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SaleFacts {
    /// What it came to.
    pub amount: Option<Money>,
    /// When its checkout was opened.
    pub created_at: Option<Timestamp>,
    /// The app's own name for it, such as the number of an order.
    #[serde(default)]
    pub reference: Option<String>,
}

/// A one-off purchase as observed: a paid checkout in payment mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseFacts {
    /// The provider's checkout session, or its bare payment.
    pub id: String,
    /// The payment, once there is one.
    pub payment: Option<String>,
    /// Whether the money has arrived (delayed methods settle days later).
    pub paid: bool,
    /// Whether it failed for good.
    pub failed: bool,
    /// The plan that our checkout named when it was opened, from our own record.
    pub plan: Option<PlanKey>,
    /// The checkout of ours that made it.
    pub checkout: Option<CheckoutId>,
    /// The customer that its metadata names, if any.
    pub named_customer: Option<CustomerId>,
    /// Units bought.
    pub quantity: i64,
    /// What only notices need.
    #[serde(default)]
    pub sale: SaleFacts,
}

/// Our copy of a purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// What the provider said last.
    pub facts: PurchaseFacts,
    /// Whose it is.
    pub customer: Option<CustomerId>,
    /// What it does to access.
    pub standing: Standing,
}

/// Where a purchase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurchaseState {
    /// Its money is on its way: methods that settle days later.
    Processing,
    /// Its money has arrived.
    Paid,
    /// Its money will not come; nothing was charged.
    Failed,
    /// Its money went back, and access with it.
    TakenBack,
}

impl PurchaseState {
    /// The word for apps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::TakenBack => "taken_back",
        }
    }
}

impl Purchase {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> PurchaseState {
        match (self.facts.failed, self.facts.paid, self.standing) {
            (true, _, _) => PurchaseState::Failed,
            (false, false, _) => PurchaseState::Processing,
            (false, true, Standing::Revoked) => PurchaseState::TakenBack,
            (false, true, Standing::Pending | Standing::Granted { .. } | Standing::Grace { .. }) => {
                PurchaseState::Paid
            }
        }
    }
}

/// Everything that one sync observed about one provider customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// All subscriptions, final ones too.
    pub subscriptions: Vec<SubscriptionFacts>,
    /// Paid or pending one-off purchases; `None` when this sync did not look.
    pub purchases: Option<Vec<PurchaseFacts>>,
    /// Payments with what came back; `None` when this sync did not look.
    pub payments: Option<Vec<PaymentFacts>>,
    /// Every invoice that this sync saw, the newest of each subscription too.
    pub invoices: Vec<InvoiceFacts>,
    /// The provider does not know the customer, or has deleted it.
    pub customer_gone: bool,
    /// Objects that are there but could not be read: their mirror stays as it is.
    pub unreadable: Vec<Unreadable>,
}

/// An object at the provider without something that we must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its id, when even that could be read.
    pub id: Option<String>,
    /// What is wrong with it, for an operator.
    pub detail: String,
}

/// What was stored before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// The customer that the provider's customer is linked to.
    pub customer: Option<CustomerId>,
    /// The mirror of its subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// The mirror of its purchases.
    pub purchases: Vec<Purchase>,
    /// The mirror of its payments.
    pub payments: Vec<PaymentFacts>,
    /// What prices that the catalog does not name meant before.
    pub known_prices: Vec<KnownPrice>,
}

/// A permanent surprise: recorded, alerted, shown; the rest still syncs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// Its kind, a stable word.
    pub kind: AnomalyKind,
    /// The provider object it is about.
    pub object: String,
    /// What was found, for an operator.
    pub detail: String,
}

/// The kinds of anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// A price that the catalog does not name.
    UnknownPrice,
    /// A status that this version does not know.
    UnknownStatus,
    /// A provider customer that belongs to none of ours.
    UnlinkedCustomer,
    /// Metadata names another customer than the one linked.
    CustomerContradiction,
    /// The provider no longer lists a subscription that we mirror.
    SubscriptionMissing,
    /// Two live subscriptions of one plan group.
    DuplicateSubscription,
    /// An object without a required field, or with one of the wrong kind.
    UnreadableObject,
    /// A notice was written down only after a rule's window for it was over.
    NoticeWindowMissed,
    /// The provider retries a payment although the policy says that we do.
    ProviderRetries,
    /// A refund came back, and the customer still has not got the money.
    RefundFailed,
    /// A payment arrived after its subscription had ended, and the policy gives nothing for it.
    LatePayment,
    /// A dispute waits for our answer.
    DisputeNeedsResponse,
    /// A dispute waits for our answer, and not for long any more.
    DisputeDeadline,
    /// A cardholder has told the bank of fraud, and a refund would still prevent a dispute.
    EarlyFraudWarning,
    /// Many different cards failed within a short time.
    CardTesting,
    /// What a suspension did is undone at the provider again and again, and is asked for no more.
    SuspensionUndone,
}

impl AnomalyKind {
    /// The word used in database, API and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPrice => "unknown_price",
            Self::UnknownStatus => "unknown_status",
            Self::UnlinkedCustomer => "unlinked_customer",
            Self::CustomerContradiction => "customer_contradiction",
            Self::SubscriptionMissing => "subscription_missing",
            Self::DuplicateSubscription => "duplicate_subscription",
            Self::UnreadableObject => "unreadable_object",
            Self::NoticeWindowMissed => "notice_window_missed",
            Self::ProviderRetries => "provider_retries",
            Self::RefundFailed => "refund_failed",
            Self::LatePayment => "late_payment",
            Self::DisputeNeedsResponse => "dispute_needs_response",
            Self::DisputeDeadline => "dispute_deadline",
            Self::EarlyFraudWarning => "early_fraud_warning",
            Self::CardTesting => "card_testing",
            Self::SuspensionUndone => "suspension_undone",
        }
    }
}

/// Something that must happen once because of what was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Cancel a subscription that is one too many.
    CancelDuplicate {
        /// Which one.
        subscription: String,
        /// Which one stays.
        kept: String,
    },
    /// Give back what a duplicate charged.
    RefundDuplicate {
        /// Whose payment.
        subscription: String,
        /// The payment.
        payment: String,
        /// What was paid; all that is left of it goes back.
        amount: Money,
    },
    /// Give a dispute up, because a rule says so.
    AcceptDispute {
        /// Which one.
        dispute: String,
        /// How far it has come.
        stage: Stage,
    },
    /// Answer a dispute with the evidence that we have, because a rule says so.
    ContestDispute {
        /// Which one.
        dispute: String,
        /// How far it has come.
        stage: Stage,
    },
    /// Take back what was planned for later, because a change that had waited for its payment was made.
    DropPlan {
        /// Whose plan.
        subscription: String,
        /// The schedule that holds it.
        schedule: String,
    },
    /// Tell the customer something; once per natural key.
    Notice(Notice),
}

/// A line of the customer's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// A stable word.
    pub kind: &'static str,
    /// The provider object.
    pub object: String,
    /// What changed.
    pub data: serde_json::Value,
}

/// The result of a projection: what to store and what must follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Projection {
    /// The mirror's subscriptions, all of them.
    pub subscriptions: Vec<Subscription>,
    /// The mirror's purchases, all of them.
    pub purchases: Vec<Purchase>,
    /// The mirror's payments, all of them.
    pub payments: Vec<PaymentFacts>,
    /// The invoices that were seen; they are not kept.
    pub invoices: Vec<InvoiceFacts>,
    /// Surprises that stand now; those not named any more are resolved.
    pub anomalies: Vec<Anomaly>,
    /// What must follow, once each.
    pub effects: Vec<Effect>,
    /// What changed, for the timeline.
    pub history: Vec<HistoryLine>,
    /// When to look again even if nothing is heard.
    pub look_again_at: Option<Timestamp>,
}

/// Projects what was observed onto what was stored.
#[must_use]
pub fn project(
    observed: Observed,
    stored: &Stored,
    catalog: &Catalog,
    policy: &AccessPolicy,
    now: Timestamp,
) -> Projection {
    let payments = match observed.payments {
        Some(all) => all,
        None => with_new_payments(stored, &observed.invoices, observed.purchases.as_deref()),
    };
    let mut out = Projection { payments, invoices: observed.invoices, ..Projection::default() };
    for mut facts in observed.subscriptions {
        let previous = stored.subscriptions.iter().find(|s| s.facts.id == facts.id);
        facts.paid = facts.newest_paid(previous.and_then(|p| p.facts.paid.clone()), &out.invoices);
        let subscription = project_subscription(facts, previous, stored, catalog, policy, now, &mut out);
        out.subscriptions.push(subscription);
    }
    keep_unseen(stored, observed.customer_gone, &observed.unreadable, &mut out);
    project_purchases(observed.purchases, stored, policy, now, &mut out);
    settle_duplicates(stored, now, &mut out);
    drop_outdated_plans(stored, &mut out);
    find_failed_refunds(&mut out);
    if stored.customer.is_none() && !(out.subscriptions.is_empty() && out.purchases.is_empty()) {
        let subscription = out.subscriptions.first().map(|s| s.facts.id.clone());
        let object = subscription.or_else(|| out.purchases.first().map(|p| p.facts.id.clone()));
        out.anomalies.push(Anomaly {
            kind: AnomalyKind::UnlinkedCustomer,
            object: object.unwrap_or_default(),
            detail: "the provider's customer belongs to none of ours; link it or name it in metadata".into(),
        });
    }
    write_history(stored, now, &mut out);
    out.look_again_at = look_again_at(&out, policy, now);
    out
}

/// Access that another policy would give, or take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessDiffers {
    /// The subscription or purchase.
    pub object: String,
    /// The plan.
    pub plan: Option<PlanKey>,
    /// What it gives now.
    pub before: Access,
    /// What it would give.
    pub after: Access,
}

/// What `policy` would change of what is stored, if it were in force at `now`; nothing is decided again but access.
#[must_use]
pub fn under(
    policy: &AccessPolicy,
    in_force: &AccessPolicy,
    stored: &Stored,
    catalog: &Catalog,
    now: Timestamp,
) -> Vec<AccessDiffers> {
    let observed = || Observed {
        subscriptions: stored.subscriptions.iter().filter(|s| !s.missing).map(|s| s.facts.clone()).collect(),
        purchases: Some(stored.purchases.iter().map(|p| p.facts.clone()).collect()),
        payments: Some(stored.payments.clone()),
        ..Observed::default()
    };
    let access = |policy: &AccessPolicy| -> Vec<(String, Option<PlanKey>, Access)> {
        let out = project(observed(), stored, catalog, policy, now);
        let subscriptions = out
            .subscriptions
            .iter()
            .map(|s| (s.facts.id.clone(), s.plan().map(|held| held.plan.clone()), s.standing.at(now)));
        let purchases =
            out.purchases.iter().map(|p| (p.facts.id.clone(), p.facts.plan.clone(), p.standing.at(now)));
        subscriptions.chain(purchases).collect()
    };
    let before = access(in_force);
    access(policy)
        .into_iter()
        .filter_map(|(object, plan, after)| {
            let (_, _, before) = before.iter().find(|(id, _, _)| *id == object)?;
            (*before != after).then_some(AccessDiffers { object, plan, before: *before, after })
        })
        .collect()
}

/// The payments that are known, with those that invoices and purchases tell of and that nobody has looked at: nothing of them
/// came back, or an event would have had them looked at.
fn with_new_payments(
    stored: &Stored,
    invoices: &[InvoiceFacts],
    purchases: Option<&[PurchaseFacts]>,
) -> Vec<PaymentFacts> {
    let mut all = stored.payments.clone();
    let mut add = |id: &str, amount: Money, at: Option<Timestamp>| {
        let Some(created_at) = at.filter(|_| amount.minor > 0 && !all.iter().any(|p| p.id == id)) else {
            return;
        };
        let refunded = Money::new(0, amount.currency);
        let money = MoneyState::Kept;
        all.push(PaymentFacts {
            id: id.to_owned(),
            amount,
            refunded,
            money,
            created_at,
            refunds: Vec::new(),
            disputes: Vec::new(),
            warning: None,
        });
    };
    for invoice in invoices {
        for paid in &invoice.payments {
            add(&paid.payment, paid.amount, invoice.paid_at);
        }
    }
    for purchase in purchases.unwrap_or_default().iter().filter(|purchase| purchase.paid) {
        if let (Some(payment), Some(amount)) = (&purchase.payment, purchase.sale.amount) {
            add(payment, amount, purchase.sale.created_at);
        }
    }
    all
}

fn project_subscription(
    facts: SubscriptionFacts,
    previous: Option<&Subscription>,
    stored: &Stored,
    catalog: &Catalog,
    policy: &AccessPolicy,
    now: Timestamp,
    out: &mut Projection,
) -> Subscription {
    let mut note = |kind, detail: String| {
        out.anomalies.push(Anomaly { kind, object: facts.id.clone(), detail });
    };
    let mut plans = Vec::new();
    for item in &facts.items {
        let before = previous.and_then(|p| p.plans.iter().find(|held| held.item == item.id));
        let meaning = catalog.meaning(&item.price, item.lookup_key.as_deref(), &stored.known_prices);
        let known = meaning.map(|(plan, group)| {
            let bought = || {
                let at = if previous.is_none() { facts.created_at } else { now };
                catalog.past().version_at(at).map(str::to_owned)
            };
            // What was bought stays what it was until another plan is bought.
            let version = match before {
                Some(held) if held.plan == plan => held.version.clone(),
                Some(_) | None => bought(),
            };
            HeldPlan { item: item.id.clone(), plan, group, quantity: item.quantity, version }
        });
        // An unknown price keeps the plan that the line gave before: a rotated price must not cut
        // off a paying customer, nor give anything new. What is over needs none.
        let held = known.or_else(|| {
            if !facts.status.is_final() {
                note(
                    AnomalyKind::UnknownPrice,
                    format!("price {} is not in the catalog; add its id or lookup key to a plan", item.price),
                );
            }
            before.cloned()
        });
        plans.extend(held);
    }
    let before = previous.map(|p| p.standing);
    let contradicts =
        matches!((&facts.named_customer, &stored.customer), (Some(named), Some(linked)) if named != linked);
    let mut standing =
        policy.standing_of(&facts, plans.first().map(|held: &HeldPlan| &held.plan), before, now);
    if let SubscriptionStatus::Unknown(raw) = &facts.status {
        note(AnomalyKind::UnknownStatus, format!("status `{raw}` is not known; access stays as it was"));
    }
    if facts.status.is_live() && !facts.items.is_empty() && facts.period_end().is_none() {
        note(
            AnomalyKind::UnreadableObject,
            "its lines name no period; access lasts from one look at the provider to the next".into(),
        );
    }
    if contradicts {
        note(
            AnomalyKind::CustomerContradiction,
            "its metadata names another customer than the one linked; nobody gains access until this is mended".into(),
        );
        // What another customer had through it is no access that this one can keep.
        let own = previous.filter(|p| p.customer == stored.customer);
        standing = standing.not_beyond(own.map(|p| p.standing), now);
    }
    if let Some(invoice) = policy.paid_for_nothing(&facts)
        && previous.is_none_or(|p| p.duplicate.is_none())
        && invoice.payments.iter().all(|paid| is_ours(&paid.payment, &out.payments))
    {
        out.anomalies.push(Anomaly {
            kind: AnomalyKind::LatePayment,
            object: invoice.id.clone(),
            detail: format!(
                "it was paid after {} had ended, and by [access.money] late_payment = \"ignore\" it gives nothing: the customer has paid for nothing",
                facts.id
            ),
        });
    }
    if paid_money_came_back(&facts, &out.payments, policy) {
        standing = Standing::Revoked;
    }
    Subscription {
        customer: stored.customer.clone(),
        plans,
        standing,
        access: standing.at(now),
        duplicate: previous.and_then(|p| p.duplicate.clone()),
        missing: false,
        own_tries: previous.and_then(|p| p.own_tries.clone()),
        scheduled: facts
            .ahead
            .next_phase
            .as_ref()
            .and_then(|next| planned(&next.items, next.at, catalog, stored)),
        pending: facts
            .ahead
            .pending
            .as_ref()
            .and_then(|waiting| planned(&waiting.items, waiting.expires_at, catalog, stored)),
        facts,
    }
}

/// What a subscription is to become, in the catalog's terms: by its first line that the catalog knows, else its first.
fn planned(items: &[FutureItem], at: Timestamp, catalog: &Catalog, stored: &Stored) -> Option<Planned> {
    let of = |item: &FutureItem| {
        let listed = catalog.price_of(&item.price, item.lookup_key.as_deref());
        let listed = listed.map(|(plan, price)| (plan.key.clone(), price.interval));
        let known = listed.or_else(|| {
            let before = stored.known_prices.iter().find(|known| known.price == item.price)?;
            Some((before.plan.clone(), before.interval))
        });
        Planned {
            plan: known.as_ref().map(|(plan, _)| plan.clone()),
            interval: known.map(|(_, interval)| interval.as_str().to_owned()),
            quantity: item.quantity,
            at,
        }
    };
    let mut all = items.iter().map(of);
    let first = all.next()?;
    if first.plan.is_some() { Some(first) } else { Some(all.find(|p| p.plan.is_some()).unwrap_or(first)) }
}

/// Whether the money of a payment is still ours; one that nobody has looked at is.
fn is_ours(id: &str, payments: &[PaymentFacts]) -> bool {
    payments.iter().find(|payment| payment.id == id).is_none_or(|payment| payment.money.is_ours())
}

/// Whether the money that paid for the newest period came back, in a way that ends access.
#[must_use]
pub fn paid_money_came_back(
    facts: &SubscriptionFacts,
    payments: &[PaymentFacts],
    policy: &AccessPolicy,
) -> bool {
    let ends = |paid: &InvoicePayment, counts: fn(MoneyState) -> bool| {
        let found = payments.iter().filter(|p| p.id == paid.payment);
        found.into_iter().any(|p| counts(p.money) && policy.money_ends_access(p.money))
    };
    let newest = facts.latest_invoice.iter().flat_map(|invoice| &invoice.payments);
    match facts.paid.as_ref().filter(|_| facts.period_is_paid()) {
        // A change that is paid back leaves the period paid for; one whose payment is contested speaks of the payer.
        Some(period) => {
            period.payments.iter().any(|paid| ends(paid, |_| true))
                || newest.into_iter().any(|paid| ends(paid, |money| !went_back(money)))
        }
        None => newest.into_iter().any(|paid| ends(paid, |_| true)),
    }
}

/// Whether we gave the money back ourselves.
fn went_back(money: MoneyState) -> bool {
    match money {
        MoneyState::PartlyRefunded | MoneyState::Refunded => true,
        MoneyState::Kept
        | MoneyState::Warned
        | MoneyState::Inquiry
        | MoneyState::Disputed
        | MoneyState::DisputeLost
        | MoneyState::DisputeWon => false,
    }
}

/// A refund that failed is money that the customer believes to have got; it is over once as much went back after it.
fn find_failed_refunds(out: &mut Projection) {
    for payment in &out.payments {
        for refund in refund::owed_again(&payment.refunds) {
            out.anomalies.push(Anomaly {
                kind: AnomalyKind::RefundFailed,
                object: refund.id.clone(),
                detail: format!(
                    "the refund of {} of {} came back; the money is with us again, and the customer has not got it",
                    refund.amount, payment.id
                ),
            });
        }
    }
}

fn keep_unseen(stored: &Stored, customer_gone: bool, unreadable: &[Unreadable], out: &mut Projection) {
    for odd in unreadable {
        out.anomalies.push(Anomaly {
            kind: AnomalyKind::UnreadableObject,
            object: odd.id.clone().unwrap_or_else(|| "without id".into()),
            detail: format!("{}; its mirror stays as it was", odd.detail),
        });
    }
    for old in &stored.subscriptions {
        if out.subscriptions.iter().any(|s| s.facts.id == old.facts.id) {
            continue;
        }
        if unreadable.iter().any(|odd| odd.id.as_ref().is_none_or(|id| id == &old.facts.id)) {
            out.subscriptions.push(old.clone());
            continue;
        }
        if !old.facts.status.is_final() {
            let detail = if customer_gone {
                "the provider no longer knows its customer; access ended"
            } else {
                "the provider no longer lists it; access ended"
            };
            out.anomalies.push(Anomaly {
                kind: AnomalyKind::SubscriptionMissing,
                object: old.facts.id.clone(),
                detail: detail.into(),
            });
        }
        out.subscriptions.push(Subscription {
            missing: true,
            standing: Standing::Revoked,
            access: Access::Revoked,
            ..old.clone()
        });
    }
}

fn project_purchases(
    observed: Option<Vec<PurchaseFacts>>,
    stored: &Stored,
    policy: &AccessPolicy,
    now: Timestamp,
    out: &mut Projection,
) {
    // A purchase never disappears by not being looked at: old ones stay as they were.
    let mut all: Vec<PurchaseFacts> = observed.unwrap_or_default();
    for old in &stored.purchases {
        if !all.iter().any(|p| p.id == old.facts.id) {
            all.push(old.facts.clone());
        }
    }
    for mut facts in all {
        let old = stored.purchases.iter().find(|p| p.facts.id == facts.id);
        if facts.plan.is_none() {
            facts.plan = old.and_then(|p| p.facts.plan.clone());
        }
        let came_back = out
            .payments
            .iter()
            .any(|p| Some(&p.id) == facts.payment.as_ref() && policy.money_ends_access(p.money));
        let contradicts = matches!((&facts.named_customer, &stored.customer), (Some(named), Some(linked)) if named != linked);
        if contradicts {
            out.anomalies.push(Anomaly {
                kind: AnomalyKind::CustomerContradiction,
                object: facts.id.clone(),
                detail: "its metadata names another customer than the one linked; nobody gains access".into(),
            });
        }
        let mut standing = match (facts.paid, facts.failed || came_back) {
            (_, true) => Standing::Revoked,
            (true, false) => Standing::Granted { until: None },
            (false, false) => Standing::Pending,
        };
        if contradicts {
            let own = old.filter(|p| p.customer == stored.customer);
            standing = standing.not_beyond(own.map(|p| p.standing), now);
        }
        out.purchases.push(Purchase { customer: stored.customer.clone(), standing, facts });
    }
}

/// Finds plan groups with more than one live subscription. The one that serves best stays: access
/// first, then age. What a checkout of ours made too much is cancelled; a younger one is refunded.
/// Anything else is for a person to decide: a machine mends only what it made.
fn settle_duplicates(stored: &Stored, now: Timestamp, out: &mut Projection) {
    if stored.customer.is_none() {
        return;
    }
    forget_outdated(out);
    let mut groups: Vec<PlanGroup> =
        out.subscriptions.iter().flat_map(|s| s.plans.iter().map(|p| p.group.clone())).collect();
    groups.sort();
    groups.dedup();
    for group in groups {
        let mut live: Vec<usize> = out
            .subscriptions
            .iter()
            .enumerate()
            .filter(|(_, s)| s.is_live() && s.plans.iter().any(|p| p.group == group))
            .filter(|(_, s)| !matches!(s.duplicate, Some(Duplicate::Cancel { .. })))
            .filter(|(_, s)| !out.subscriptions.iter().any(|other| other.is_live() && s.follows(other)))
            .map(|(i, _)| i)
            .collect();
        live.sort_by_key(|i| {
            out.subscriptions
                .get(*i)
                .map(|s| (std::cmp::Reverse(s.standing.at(now)), s.facts.created_at, s.facts.id.clone()))
        });
        let Some((kept, extra)) = live.split_first() else {
            continue;
        };
        let Some((kept_id, kept_created)) =
            out.subscriptions.get(*kept).map(|s| (s.facts.id.clone(), s.facts.created_at))
        else {
            continue;
        };
        // Nobody bought the same twice where a change brought together what was bought apart.
        let moved = |id: &str| {
            let before = stored.subscriptions.iter().find(|s| s.facts.id == id).filter(|s| s.is_live());
            before.is_some_and(|s| {
                let elsewhere = !s.plans.is_empty() && s.plans.iter().all(|held| held.group != group);
                elsewhere || matches!(s.duplicate, Some(Duplicate::AskOperator { .. }))
            })
        };
        for index in extra {
            let Some(subscription) = out.subscriptions.get_mut(*index) else {
                continue;
            };
            let met = moved(&subscription.facts.id) || moved(&kept_id);
            let ours = subscription.facts.checkout.is_some() && !met;
            subscription.duplicate = Some(if ours {
                let refund = subscription.facts.created_at >= kept_created;
                Duplicate::Cancel { kept: kept_id.clone(), refund }
            } else {
                Duplicate::AskOperator { kept: kept_id.clone() }
            });
        }
    }
    demand_mending(stored, out);
}

/// A cancellation that was decided stays decided, so that never both of two are cancelled, but only while
/// what was kept for it lives: the last one left is no duplicate. What a person must decide is found anew.
fn forget_outdated(out: &mut Projection) {
    let live: Vec<String> =
        out.subscriptions.iter().filter(|s| s.is_live()).map(|s| s.facts.id.clone()).collect();
    for subscription in &mut out.subscriptions {
        let stands = match &subscription.duplicate {
            Some(Duplicate::Cancel { kept, .. }) => !subscription.is_live() || live.contains(kept),
            Some(Duplicate::AskOperator { .. }) | None => false,
        };
        if !stands {
            subscription.duplicate = None;
        }
    }
}

fn demand_mending(stored: &Stored, out: &mut Projection) {
    for subscription in &out.subscriptions {
        let id = &subscription.facts.id;
        let live = subscription.is_live();
        // One that nobody had seen gave nobody access: all that was paid for it goes back, should it have renewed meanwhile. Of
        // another one earlier periods may have been the customer's only ones.
        let unseen = stored.subscriptions.iter().all(|old| old.facts.id != *id);
        match &subscription.duplicate {
            Some(Duplicate::Cancel { kept, refund }) => {
                if live {
                    out.effects
                        .push(Effect::CancelDuplicate { subscription: id.clone(), kept: kept.clone() });
                    out.anomalies.push(Anomaly {
                        kind: AnomalyKind::DuplicateSubscription,
                        object: id.clone(),
                        detail: format!("a second live subscription of its plan group beside {kept}"),
                    });
                }
                let newest = subscription.facts.latest_invoice.iter();
                let earlier = out.invoices.iter().filter(|invoice| {
                    let newest =
                        subscription.facts.latest_invoice.as_ref().is_some_and(|i| i.id == invoice.id);
                    unseen && !newest && invoice.bill.subscription.as_ref() == Some(id)
                });
                let paid = newest.chain(earlier).flat_map(|i| &i.payments);
                // What a dispute holds is not ours to give; should it be won, the payment is kept again.
                let kept_money = |payment: &str| {
                    let known = out.payments.iter().find(|p| p.id == payment);
                    known.is_none_or(|p| p.money.is_ours())
                };
                for payment in paid.filter(|p| *refund && p.amount.minor > 0 && kept_money(&p.payment)) {
                    out.effects.push(Effect::RefundDuplicate {
                        subscription: id.clone(),
                        payment: payment.payment.clone(),
                        amount: payment.amount,
                    });
                }
            }
            Some(Duplicate::AskOperator { kept }) if live => out.anomalies.push(Anomaly {
                kind: AnomalyKind::DuplicateSubscription,
                object: id.clone(),
                detail: format!(
                    "a second subscription beside {kept}, which no checkout of ours made one too many; cancel one"
                ),
            }),
            Some(Duplicate::AskOperator { .. }) | None => {}
        }
    }
}

/// A change replaces what was planned before it, by whichever way it was made: it is what was wanted last. One that waits for its
/// payment leaves the plan alone until then, as it may lapse.
fn drop_outdated_plans(stored: &Stored, out: &mut Projection) {
    for new in out.subscriptions.iter().filter(|s| s.is_live() && s.facts.ahead.pending.is_none()) {
        let Some(old) = stored.subscriptions.iter().find(|s| s.facts.id == new.facts.id) else { continue };
        let made = |wanted: &FutureItem| {
            new.facts.items.iter().any(|i| i.price == wanted.price && i.quantity == wanted.quantity)
        };
        let (before, after) = (&old.facts.ahead, &new.facts.ahead);
        let changed = match &before.pending {
            Some(waited) => waited.items.iter().all(made),
            // What the plan itself has made of it leaves another phase ahead, or none.
            None => before.next_phase == after.next_phase && bought(&old.facts) != bought(&new.facts),
        };
        if let Some(schedule) = &after.schedule
            && after.next_phase.is_some()
            && before.schedule.as_ref() == Some(schedule)
            && changed
        {
            let (subscription, schedule) = (new.facts.id.clone(), schedule.clone());
            out.effects.push(Effect::DropPlan { subscription, schedule });
        }
    }
}

/// What its lines are, whatever their periods.
fn bought(facts: &SubscriptionFacts) -> Vec<(&str, i64)> {
    facts.items.iter().map(|item| (item.price.as_str(), item.quantity)).collect()
}

fn write_history(stored: &Stored, now: Timestamp, out: &mut Projection) {
    let mut lines = Vec::new();
    for new in &out.subscriptions {
        let old = stored.subscriptions.iter().find(|s| s.facts.id == new.facts.id);
        lines.extend(subscription_history(old, new));
    }
    for new in &out.purchases {
        let old = stored.purchases.iter().find(|p| p.facts.id == new.facts.id);
        let (from, to) = (old.map(|p| p.standing.at(now)), new.standing.at(now));
        if from != Some(to) {
            lines.push(HistoryLine {
                kind: "purchase.access_changed",
                object: new.facts.id.clone(),
                data: json!({ "from": from, "to": to, "plan": new.facts.plan }),
            });
        }
    }
    for new in &out.payments {
        let before = stored.payments.iter().find(|p| p.id == new.id);
        for dispute in &new.disputes {
            let old = before.and_then(|p| p.disputes.iter().find(|d| d.id == dispute.id));
            if old.map(|old| &old.status) != Some(&dispute.status) {
                lines.push(HistoryLine {
                    kind: "dispute.changed",
                    object: dispute.id.clone(),
                    data: json!({
                        "from": old.map(|old| &old.status), "to": dispute.status, "stage": dispute.status.stage(),
                        "payment": new.id, "amount": dispute.amount, "reason": dispute.reason,
                        "due_by": dispute.due_by.map(|at| at.to_string()),
                    }),
                });
            }
        }
        let old = before.map_or(MoneyState::Kept, |p| p.money);
        if old != new.money {
            lines.push(HistoryLine {
                kind: "payment.money_changed",
                object: new.id.clone(),
                data: json!({ "from": old, "to": new.money, "refunded": new.refunded }),
            });
        }
    }
    out.history = lines;
}

fn subscription_history(old: Option<&Subscription>, new: &Subscription) -> Vec<HistoryLine> {
    let mut lines = Vec::new();
    let mut line = |kind, data| lines.push(HistoryLine { kind, object: new.facts.id.clone(), data });
    let plan = new.plan().map(|p| p.plan.clone());
    match old {
        None => line("subscription.created", json!({ "status": new.facts.status, "plan": plan })),
        Some(old) => {
            if old.facts.status != new.facts.status {
                line(
                    "subscription.status_changed",
                    json!({ "from": old.facts.status, "to": new.facts.status }),
                );
            }
            let (had, has) = (terms_of(old), terms_of(new));
            if had != has {
                line(
                    "subscription.plan_changed",
                    json!({
                        "from": old.plan().map(|p| &p.plan), "to": plan,
                        "quantity": new.plan().map(|p| p.quantity), "interval": main_interval(new),
                    }),
                );
            }
            lines_ahead(old, new, had != has, &mut line);
            if old.facts.ends_at() != new.facts.ends_at() && !new.facts.status.is_final() {
                line(
                    "subscription.end_changed",
                    json!({
                        "ends_at": new.facts.ends_at().map(|t| t.to_string()),
                        "feedback": new.facts.ahead.cancellation.as_ref().and_then(|c| c.feedback.as_ref()),
                    }),
                );
            }
            if new.missing && !old.missing {
                line("subscription.missing", json!({}));
            }
        }
    }
    if new.duplicate.is_some() && old.and_then(|o| o.duplicate.as_ref()) != new.duplicate.as_ref() {
        line("subscription.duplicate_found", json!({ "duplicate": new.duplicate }));
    }
    let (from, to) = (old.map(|s| s.access), new.access);
    if from != Some(to) {
        line(
            "access.changed",
            json!({ "from": from, "to": to, "until": new.standing.until().map(|t| t.to_string()), "plan": plan }),
        );
    }
    lines
}

/// What a customer has, line by line; a line that was replaced by an equal one is no change.
fn terms_of(subscription: &Subscription) -> Vec<(&PlanKey, i64, Option<&str>)> {
    let interval = |held: &HeldPlan| {
        let item = subscription.facts.items.iter().find(|item| item.id == held.item);
        item.and_then(|item| item.interval.as_deref())
    };
    subscription.plans.iter().map(|held| (&held.plan, held.quantity, interval(held))).collect()
}

fn main_interval(subscription: &Subscription) -> Option<&str> {
    terms_of(subscription).first().and_then(|(_, _, interval)| *interval)
}

/// What was planned, held back or paused since; what was carried out needs no second line.
fn lines_ahead(
    old: &Subscription,
    new: &Subscription,
    changed: bool,
    line: &mut impl FnMut(&'static str, serde_json::Value),
) {
    if new.facts.status.is_final() {
        return;
    }
    let told = |planned: &Planned| {
        json!({
            "plan": planned.plan, "interval": planned.interval, "quantity": planned.quantity,
            "at": planned.at.to_string(),
        })
    };
    if old.scheduled != new.scheduled {
        match (&old.scheduled, &new.scheduled) {
            (_, Some(planned)) => line("subscription.change_scheduled", told(planned)),
            (Some(planned), None) if !changed => line("subscription.change_unscheduled", told(planned)),
            (Some(_) | None, None) => {}
        }
    }
    if old.pending != new.pending {
        match (&old.pending, &new.pending) {
            (_, Some(planned)) => line("subscription.change_waits_for_payment", told(planned)),
            (Some(planned), None) if !changed => line("subscription.change_lapsed", told(planned)),
            (Some(_) | None, None) => {}
        }
    }
    match (old.facts.is_paused(), new.facts.is_paused()) {
        (false, true) => {
            let resumes_at = new.facts.ahead.pause.as_ref().and_then(|pause| pause.resumes_at);
            line("subscription.paused", json!({ "resumes_at": resumes_at.map(|at| at.to_string()) }));
        }
        (true, false) => line("subscription.resumed", json!({})),
        (true, true) | (false, false) => {}
    }
}

/// The provider finalises a renewal about an hour after the period's end; looking then finds the result.
const AFTER_PERIOD_END_MS: i64 = 2 * HOUR_MS;

fn look_again_at(out: &Projection, policy: &AccessPolicy, now: Timestamp) -> Option<Timestamp> {
    let mut times = Vec::new();
    // One that is over may still give the period that was paid for.
    times.extend(
        out.subscriptions.iter().filter(|s| s.facts.status.is_final()).filter_map(|s| s.standing.until()),
    );
    for subscription in out.subscriptions.iter().filter(|s| !s.facts.status.is_final() && !s.missing) {
        times.extend(subscription.standing.until());
        times.extend(subscription.facts.ends_at());
        times.extend(subscription.facts.period_end());
        times.extend(subscription.facts.period_end().map(|t| t.plus_ms(AFTER_PERIOD_END_MS)));
        times.extend(subscription.facts.trial_end);
        times.extend(subscription.facts.ahead.pause.iter().filter_map(|pause| pause.resumes_at));
        times.extend(subscription.scheduled.iter().chain(&subscription.pending).map(|planned| planned.at));
        times.extend(subscription.facts.latest_invoice.iter().filter_map(|i| i.next_attempt_at));
        if subscription.standing.at(now).allows() {
            // A provider that is late itself is asked again within the slack, and so is one that names no period.
            let slack = i64::from(policy.renewal_slack_hours) * HOUR_MS;
            times.push(subscription.facts.confirmed_until(now).plus_ms(slack / 2));
        }
    }
    times.into_iter().filter(|t| *t > now).min()
}

#[cfg(test)]
mod tests;
