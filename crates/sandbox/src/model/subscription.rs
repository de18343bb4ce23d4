//! Subscriptions and their items.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pending::PendingUpdate;
use super::product::Price;
use super::share::Share;
use super::tax::TaxRate;
use super::terms::{ItemTerms, SubscriptionTerms};
use crate::state::table::{Stored, Table};
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// The eight statuses.
    SubscriptionStatus {
        Incomplete = "incomplete",
        IncompleteExpired = "incomplete_expired",
        Trialing = "trialing",
        Active = "active",
        PastDue = "past_due",
        Canceled = "canceled",
        Unpaid = "unpaid",
        Paused = "paused",
    }
}

impl SubscriptionStatus {
    /// Whether nothing can happen to it any more.
    pub(crate) const fn is_terminal(self) -> bool {
        match self {
            Self::IncompleteExpired | Self::Canceled => true,
            Self::Incomplete
            | Self::Trialing
            | Self::Active
            | Self::PastDue
            | Self::Unpaid
            | Self::Paused => false,
        }
    }
}

words! {
    /// Who starts the payment of an invoice.
    Collection { ChargeAutomatically = "charge_automatically", SendInvoice = "send_invoice" }
}

words! {
    /// What a trial does at its end when there is no card.
    MissingCard { Cancel = "cancel", CreateInvoice = "create_invoice", Pause = "pause" }
}

words! {
    /// What a paused collection does with its invoices.
    PauseBehavior { KeepAsDraft = "keep_as_draft", MarkUncollectible = "mark_uncollectible", Void = "void" }
}

/// Collection is paused, the subscription is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PauseCollection {
    pub(crate) behavior: PauseBehavior,
    pub(crate) resumes_at: Option<i64>,
}

/// Why a subscription ended or will end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CancellationDetails {
    pub(crate) comment: Option<String>,
    pub(crate) feedback: Option<String>,
    pub(crate) reason: Option<String>,
}

/// One price of a subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SubscriptionItem {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) price: String,
    /// 0 for a metered price: its meter knows better.
    pub(crate) quantity: i64,
    /// Since when it has its price, in unix seconds: usage before is not billed at it.
    #[serde(default)]
    pub(crate) usage_from: i64,
    pub(crate) metadata: Metadata,
    pub(crate) terms: ItemTerms,
}

/// A billing period: from the start, up to and without the end, in unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Period {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: SubscriptionStatus,
    pub(crate) customer: String,
    pub(crate) currency: String,
    pub(crate) items: Vec<SubscriptionItem>,
    /// All items share one interval, and therefore one period.
    pub(crate) period: Period,
    pub(crate) anchor: i64,
    pub(crate) start_date: i64,
    pub(crate) trial: Option<Period>,
    pub(crate) missing_card: MissingCard,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) cancel_at_period_end: bool,
    /// Up to when the running period is billed, where that is not its end, in unix seconds: the unused time was credited
    /// when an end within the period was planned, or was never billed.
    #[serde(default)]
    pub(crate) billed_until: Option<i64>,
    /// Every such instant of the running period: debits that stand can end there.
    #[serde(default)]
    pub(crate) cuts: Vec<i64>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) cancellation: CancellationDetails,
    pub(crate) collection: Collection,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) latest_invoice: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) pause_collection: Option<PauseCollection>,
    pub(crate) paused_at: Option<i64>,
    pub(crate) pause_reason: String,
    /// When a pause that was chosen in the portal ends by itself, in unix seconds.
    #[serde(default)]
    pub(crate) pause_ends: Option<i64>,
    /// The pause credited what was not used, so that the rest of a running period is billed again when it ends.
    #[serde(default)]
    pub(crate) pause_credited: bool,
    pub(crate) save_default_payment_method: String,
    #[serde(default)]
    pub(crate) test_clock: Option<String>,
    /// The end of the period whose renewal has been announced (`invoice.upcoming`).
    #[serde(default)]
    pub(crate) announced: Option<i64>,
    /// The schedule that manages it, or did until it ended.
    #[serde(default)]
    pub(crate) schedule: Option<String>,
    pub(crate) terms: SubscriptionTerms,
    /// Who else has a share in its payments.
    #[serde(default)]
    pub(crate) share: Share,
    pub(crate) pending: Option<PendingUpdate>,
}

impl Stored for Subscription {
    const LABEL: &'static str = "subscription";
    const SEARCHED: bool = true;
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn customer(&self) -> Option<&str> {
        Some(&self.customer)
    }
}

impl Subscription {
    /// The discounts of the subscription and of its items.
    pub(crate) fn all_discounts(&self) -> Vec<String> {
        let items = self.items.iter().flat_map(|item| &item.terms.discounts);
        self.terms.discounts.iter().chain(items).cloned().collect()
    }

    /// Up to when the running period is billed, in unix seconds.
    pub(crate) fn billed_until(&self) -> i64 {
        self.billed_until.unwrap_or(self.period.end)
    }

    /// The part of a period up to the planned end, where that lies within it: what is billed when it begins.
    pub(crate) fn part_of(&self, period: Period) -> Period {
        let within = self.cancel_at.filter(|at| (period.start + 1..period.end).contains(at));
        Period { end: within.unwrap_or(period.end), ..period }
    }

    /// Notes up to when the running period is billed.
    pub(crate) fn bill_until(&mut self, until: i64) {
        self.billed_until = Some(until).filter(|until| *until != self.period.end);
        self.cuts.extend(self.billed_until.filter(|until| !self.cuts.contains(until)));
    }

    /// A period has begun, and was billed up to its end or to the planned one within it.
    pub(crate) fn opened_period(&mut self) {
        self.cuts.clear();
        self.bill_until(self.part_of(self.period).end);
    }

    /// The object; prices are shown in full, as the API does.
    pub(crate) fn render(&self, prices: &Table<Price>) -> Value {
        let items: Vec<Value> = self.items.iter().map(|item| self.render_item(item, prices)).collect();
        let mut value = Shape::Subscription.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "customer": self.customer,
            "currency": self.currency,
            "items": { "data": items, "url": format!("/v1/subscription_items?subscription={}", self.id) },
            "billing_cycle_anchor": self.anchor,
            "billing_mode": { "type": "flexible", "flexible": { "proration_discounts": "included" } },
            "start_date": self.start_date,
            "trial_start": self.trial.map(|trial| trial.start),
            "trial_end": self.trial.map(|trial| trial.end),
            "trial_settings": { "end_behavior": { "billing_cycle_anchor": null, "missing_payment_method": self.missing_card.as_str() } },
            "cancel_at": self.cancel_at,
            "cancel_at_period_end": self.cancel_at_period_end,
            "canceled_at": self.canceled_at,
            "ended_at": self.ended_at,
            "cancellation_details": {
                "comment": self.cancellation.comment,
                "feedback": self.cancellation.feedback,
                "feedback_option": null,
                "reason": self.cancellation.reason,
            },
            "collection_method": self.collection.as_str(),
            "days_until_due": self.days_until_due,
            "default_payment_method": self.default_payment_method,
            "description": self.description,
            "discounts": self.terms.discounts,
            "automatic_tax": {
                "enabled": self.terms.automatic_tax.is_on(),
                "liability": self.terms.automatic_tax.liability(),
            },
            "default_tax_rates": self.terms.default_tax_rates.iter().map(TaxRate::render).collect::<Vec<_>>(),
            "invoice_settings": { "issuer": { "type": "self" } },
            "latest_invoice": self.latest_invoice,
            "metadata": self.metadata,
            "schedule": self.schedule,
            "test_clock": self.test_clock,
            "pause_collection": self.pause_collection.map(|pause| json!({ "behavior": pause.behavior.as_str(), "resumes_at": pause.resumes_at })),
            "pending_update": self.render_pending(prices),
            "payment_settings": {
                "payment_method_options": null,
                "payment_method_types": null,
                "save_default_payment_method": self.save_default_payment_method,
            },
        }));
        self.share.onto_subscription(&mut value);
        if let (Some(at), Some(fields)) = (self.paused_at, value.as_object_mut()) {
            let paused = json!({ "type": "subscription", "transitioned_at": at, "subscription": { "type": self.pause_reason } });
            fields.insert("status_details".to_owned(), json!({ "paused": paused }));
        }
        value
    }

    fn render_pending(&self, prices: &Table<Price>) -> Value {
        let Some(pending) = &self.pending else { return Value::Null };
        let items: Vec<Value> = pending.items.iter().map(|item| self.render_item(item, prices)).collect();
        let trial_end = pending.trial.filter(|_| pending.trial != self.trial).map(|trial| trial.end);
        json!({
            "billing_cycle_anchor": (pending.anchor != self.anchor).then_some(pending.anchor),
            "cancel_at_period_end": null,
            "discount": null,
            "discounts": (pending.terms.discounts != self.terms.discounts).then_some(&pending.terms.discounts),
            "expires_at": pending.expires_at,
            "metadata": null,
            "subscription_items": items,
            "trial_end": trial_end,
            "trial_from_plan": null,
        })
    }

    /// One item.
    pub(crate) fn render_item(&self, item: &SubscriptionItem, prices: &Table<Price>) -> Value {
        let price = prices.get(&item.price);
        let mut value = Shape::SubscriptionItem.with(json!({
            "id": item.id,
            "created": item.created,
            "current_period_start": self.period.start,
            "current_period_end": self.period.end,
            "discounts": item.terms.discounts,
            "metadata": item.metadata,
            "plan": price.map(Price::render_plan),
            "price": price.map(Price::render),
            "quantity": item.quantity,
            "subscription": self.id,
            "tax_rates": item.terms.tax_rates.iter().map(TaxRate::render).collect::<Vec<_>>(),
        }));
        if let (Some(true), Some(fields)) = (price.map(Price::is_metered), value.as_object_mut()) {
            fields.remove("quantity");
        }
        value
    }
}
