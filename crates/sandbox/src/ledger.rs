//! The truth about money, per customer, for oracles: what was taken, given back and disputed, and what runs.

use serde::Serialize;

use crate::model::charge::Funds;
use crate::model::subscription::Subscription;
use crate::state::world::World;

/// Everything that happened to money.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// The sandbox's time, in unix seconds.
    pub now: i64,
    /// Customers in order of creation, deleted ones included.
    pub customers: Vec<CustomerLedger>,
    /// Charges without a customer.
    pub charges: Vec<LedgerCharge>,
}

/// What happened to one customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomerLedger {
    /// `cus_…`.
    pub customer: String,
    /// As the API has them.
    pub metadata: std::collections::BTreeMap<String, String>,
    /// Credit (negative) or debt for the next invoice, in minor units.
    pub balance: i64,
    /// Charges, oldest first, failed ones included.
    pub charges: Vec<LedgerCharge>,
    /// Refunds, oldest first.
    pub refunds: Vec<LedgerRefund>,
    /// Disputes, oldest first.
    pub disputes: Vec<LedgerDispute>,
    /// Subscriptions, oldest first.
    pub subscriptions: Vec<LedgerSubscription>,
    /// Invoices, oldest first.
    pub invoices: Vec<LedgerInvoice>,
    /// Checkout sessions, oldest first.
    pub sessions: Vec<LedgerSession>,
}

/// One attempt to take money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerCharge {
    /// `ch_…`.
    pub id: String,
    /// The intent behind it.
    pub payment_intent: String,
    /// The invoice that it pays.
    pub invoice: Option<String>,
    /// Unix seconds.
    pub created: i64,
    /// Minor units: what was taken, or what would have been.
    pub amount: i64,
    /// Minor units given back.
    pub amount_refunded: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Whether money moved.
    pub paid: bool,
    /// Whether it is charged back.
    pub disputed: bool,
    /// Why it failed.
    pub failure_code: Option<String>,
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRefund {
    /// `re_…`.
    pub id: String,
    /// The charge.
    pub charge: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// The API's status.
    pub status: String,
    /// Unix seconds.
    pub created: i64,
}

/// A dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerDispute {
    /// `dp_…`.
    pub id: String,
    /// The charge.
    pub charge: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// The API's status.
    pub status: String,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerSubscription {
    /// `sub_…`.
    pub id: String,
    /// The API's status.
    pub status: String,
    /// Price and quantity of each item.
    pub items: Vec<(String, i64)>,
    /// Unix seconds.
    pub current_period_start: i64,
    /// Unix seconds.
    pub current_period_end: i64,
    /// Unix seconds.
    pub cancel_at: Option<i64>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// When its end was asked for, in unix seconds.
    pub canceled_at: Option<i64>,
    /// When its trial ends or ended, in unix seconds.
    pub trial_end: Option<i64>,
    /// Whether its payments are not collected for now.
    pub paused: bool,
    /// Unix seconds.
    pub ended_at: Option<i64>,
    /// As the API has them.
    pub metadata: std::collections::BTreeMap<String, String>,
    /// Unix seconds.
    pub created: i64,
    /// The newest invoice.
    pub latest_invoice: Option<String>,
    /// What whoever ended it said.
    pub cancellation_comment: Option<String>,
}

/// A checkout session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerSession {
    /// `cs_…`.
    pub id: String,
    /// The API's status.
    pub status: String,
    /// The API's payment status.
    pub payment_status: String,
    /// Whether it sells something once, and no subscription.
    pub once: bool,
    /// The payment, where there is one.
    pub payment_intent: Option<String>,
    /// Whether a bank or a store has its money on the way.
    pub underway: bool,
    /// Prices on sale.
    pub prices: Vec<String>,
    /// As the API has them.
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// An invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerInvoice {
    /// `in_…`.
    pub id: String,
    /// The subscription behind it.
    pub subscription: Option<String>,
    /// The API's status.
    pub status: String,
    /// Minor units.
    pub amount_due: i64,
    /// Minor units.
    pub amount_paid: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Unix seconds.
    pub created: i64,
    /// How often its payment was tried.
    pub attempts: i64,
    /// When it became due, in unix seconds.
    pub finalized_at: Option<i64>,
    /// When it was paid, in unix seconds.
    pub paid_at: Option<i64>,
    /// How far it pays ahead, in unix seconds: the earliest end of the whole periods that it bills; `None` for one that only
    /// corrects what was billed before, or bills what was used.
    pub reaches: Option<i64>,
}

impl Ledger {
    /// Reads the state.
    pub(crate) fn of(world: &World) -> Self {
        Self {
            now: world.now,
            customers: world
                .customers
                .iter()
                .map(|customer| CustomerLedger::of(world, &customer.id))
                .collect(),
            charges: world
                .charges
                .iter()
                .filter(|charge| charge.customer.is_none())
                .map(|charge| LedgerCharge::of(world, charge))
                .collect(),
        }
    }

    /// One customer's part.
    #[must_use]
    pub fn customer(&self, id: &str) -> Option<&CustomerLedger> {
        self.customers.iter().find(|customer| customer.customer == id)
    }
}

impl CustomerLedger {
    fn of(world: &World, id: &str) -> Self {
        let customer = world.customers.get(id);
        Self {
            customer: id.to_owned(),
            metadata: customer.map(|customer| customer.metadata.clone()).unwrap_or_default(),
            balance: customer.map_or(0, |customer| customer.balance),
            charges: world.charges.of(id).map(|charge| LedgerCharge::of(world, charge)).collect(),
            refunds: world
                .refunds
                .of(id)
                .map(|refund| LedgerRefund {
                    id: refund.id.clone(),
                    charge: refund.charge.clone(),
                    amount: refund.amount,
                    currency: refund.currency.clone(),
                    status: refund.status.as_str().to_owned(),
                    created: refund.created,
                })
                .collect(),
            disputes: world
                .disputes
                .of(id)
                .map(|dispute| LedgerDispute {
                    id: dispute.id.clone(),
                    charge: dispute.charge.clone(),
                    amount: dispute.amount,
                    currency: dispute.currency.clone(),
                    status: dispute.status.as_str().to_owned(),
                })
                .collect(),
            subscriptions: world.subscriptions.of(id).map(LedgerSubscription::of).collect(),
            invoices: world
                .invoices
                .of(id)
                .map(|invoice| LedgerInvoice {
                    id: invoice.id.clone(),
                    subscription: invoice.subscription.clone(),
                    status: invoice.status.as_str().to_owned(),
                    amount_due: invoice.amount_due,
                    amount_paid: invoice.amount_paid,
                    currency: invoice.currency.clone(),
                    created: invoice.created,
                    attempts: invoice.attempt_count,
                    finalized_at: invoice.transitions.finalized,
                    paid_at: invoice.transitions.paid,
                    reaches: invoice
                        .lines
                        .iter()
                        .filter(|line| line.subscription.is_some() && !line.proration)
                        .map(|line| line.period.end)
                        .filter(|end| *end > invoice.created)
                        .min(),
                })
                .collect(),
            sessions: world
                .sessions
                .of(id)
                .map(|session| LedgerSession {
                    id: session.id.clone(),
                    status: session.status.as_str().to_owned(),
                    payment_status: session.payment_status.as_str().to_owned(),
                    once: session.mode == crate::model::checkout::Mode::Payment,
                    payment_intent: session.payment_intent.clone(),
                    underway: session
                        .payment_intent
                        .as_ref()
                        .and_then(|intent| world.payment_intents.get(intent))
                        .is_some_and(|intent| world.is_underway(intent)),
                    prices: session.lines.iter().map(|line| line.price.clone()).collect(),
                    metadata: session.metadata.clone(),
                })
                .collect(),
        }
    }

    /// What was taken and not given back, in minor units of a currency. Money in dispute counts as taken.
    #[must_use]
    pub fn net(&self, currency: &str) -> i64 {
        self.charges
            .iter()
            .filter(|charge| charge.paid && charge.currency == currency)
            .map(|charge| charge.amount - charge.amount_refunded)
            .sum()
    }
}

impl LedgerCharge {
    fn of(world: &World, charge: &crate::model::charge::Charge) -> Self {
        let paid = matches!(charge.funds, Funds::Taken { .. });
        Self {
            id: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            invoice: world
                .payment_intents
                .get(&charge.payment_intent)
                .and_then(|intent| intent.invoice.clone()),
            created: charge.created,
            amount: if paid { charge.taken() } else { charge.amount },
            amount_refunded: charge.amount_refunded,
            currency: charge.currency.clone(),
            paid,
            disputed: charge.disputed,
            failure_code: match &charge.funds {
                Funds::Refused { code, .. } => Some(code.clone()),
                Funds::Held { .. } | Funds::Taken { .. } | Funds::Pending | Funds::LetGo => None,
            },
        }
    }
}

impl LedgerSubscription {
    fn of(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id.clone(),
            status: subscription.status.as_str().to_owned(),
            items: subscription.items.iter().map(|item| (item.price.clone(), item.quantity)).collect(),
            current_period_start: subscription.period.start,
            current_period_end: subscription.period.end,
            cancel_at: subscription.cancel_at,
            cancel_at_period_end: subscription.cancel_at_period_end,
            canceled_at: subscription.canceled_at,
            trial_end: subscription.trial.map(|trial| trial.end),
            paused: subscription.pause_collection.is_some(),
            ended_at: subscription.ended_at,
            metadata: subscription.metadata.clone(),
            created: subscription.created,
            latest_invoice: subscription.latest_invoice.clone(),
            cancellation_comment: subscription.cancellation.comment.clone(),
        }
    }
}
