//! Subscription schedules: the phases that a subscription will go through.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::invoice::Line;
use super::subscription::Collection;
use super::tax::TaxRate;
use super::terms::ItemTerms;
use crate::billing::change::Proration;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// What follows the last phase.
    EndBehavior { Release = "release", Cancel = "cancel" }
}

words! {
    /// Whether entering a phase moves the billing cycle to its start.
    PhaseAnchor { Automatic = "automatic", PhaseStart = "phase_start" }
}

/// Where a schedule stands. Instants are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ScheduleState {
    /// The first phase has not begun.
    NotStarted,
    /// A phase runs; `phase` is its place.
    Active { subscription: String, phase: usize },
    /// The last phase is over and the subscription ended with it.
    Completed { at: i64, subscription: String },
    /// The subscription goes on without the schedule: because somebody released it, or after the last phase.
    Released { at: i64, subscription: Option<String>, after_last: bool },
    /// Schedule and subscription ended early.
    Canceled { at: i64, subscription: Option<String> },
}

impl ScheduleState {
    /// The word of the API.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Active { .. } => "active",
            Self::Completed { .. } => "completed",
            Self::Released { .. } => "released",
            Self::Canceled { .. } => "canceled",
        }
    }

    /// The subscription that the schedule manages now.
    pub(crate) fn managed(&self) -> Option<&str> {
        match self {
            Self::Active { subscription, .. } => Some(subscription),
            Self::NotStarted | Self::Completed { .. } | Self::Released { .. } | Self::Canceled { .. } => None,
        }
    }
}

/// How subscriptions are billed in a phase, or in every phase that says nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PhaseSettings {
    pub(crate) collection: Option<Collection>,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) anchor: Option<PhaseAnchor>,
    /// Whether taxes are worked out by the table of countries.
    #[serde(default)]
    pub(crate) automatic_tax: Option<bool>,
}

impl PhaseSettings {
    /// These settings where they say something, the others where they do not.
    pub(crate) fn over(&self, others: &Self) -> Self {
        Self {
            collection: self.collection.or(others.collection),
            days_until_due: self.days_until_due.or(others.days_until_due),
            default_payment_method: self
                .default_payment_method
                .clone()
                .or_else(|| others.default_payment_method.clone()),
            description: self.description.clone().or_else(|| others.description.clone()),
            anchor: self.anchor.or(others.anchor),
            automatic_tax: self.automatic_tax.or(others.automatic_tax),
        }
    }

    fn invoice_settings(&self, issuer: &Value) -> Value {
        json!({
            "account_tax_ids": null,
            "custom_fields": null,
            "days_until_due": self.days_until_due,
            "description": null,
            "footer": null,
            "issuer": issuer,
        })
    }
}

/// One price of a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PhaseItem {
    pub(crate) price: String,
    /// None of a metered price.
    pub(crate) quantity: Option<i64>,
    pub(crate) metadata: Metadata,
    /// Discounts and tax rates of its own, all of them.
    #[serde(default)]
    pub(crate) terms: ItemTerms,
}

/// A phase: from its start, up to and without its end, in unix seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) items: Vec<PhaseItem>,
    pub(crate) currency: String,
    /// What happens to the difference in price when the phase begins.
    pub(crate) proration: Proration,
    pub(crate) trial_end: Option<i64>,
    pub(crate) settings: PhaseSettings,
    /// The subscription's discounts in this phase, all of them: none leaves it to the customer's own.
    #[serde(default)]
    pub(crate) discounts: Vec<String>,
    /// The subscription's tax rates in this phase, all of them.
    #[serde(default)]
    pub(crate) default_tax_rates: Vec<TaxRate>,
    /// Single amounts for the next invoice once it has begun.
    #[serde(default)]
    pub(crate) extras: Vec<Line>,
    pub(crate) metadata: Metadata,
}

fn render_discounts(discounts: &[String]) -> Vec<Value> {
    let named = |id: &String| json!({ "coupon": null, "discount": id, "promotion_code": null });
    discounts.iter().map(named).collect()
}

fn render_rates(rates: &[TaxRate]) -> Vec<Value> {
    rates.iter().map(TaxRate::render).collect()
}

fn render_automatic(enabled: bool) -> Value {
    let liability = if enabled { json!({ "type": "self" }) } else { Value::Null };
    json!({ "disabled_reason": null, "enabled": enabled, "liability": liability })
}

fn render_extra(line: &Line) -> Value {
    json!({
        "discountable": !line.terms.settled,
        "discounts": render_discounts(&line.terms.discounts),
        "metadata": line.metadata,
        "period": line.span.render(),
        "price": line.price,
        "quantity": line.quantity,
        "tax_rates": render_rates(&line.terms.tax_rates),
    })
}

impl Phase {
    fn render(&self) -> Value {
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|item| {
                let mut value = json!({
                    "billing_thresholds": null,
                    "discounts": render_discounts(&item.terms.discounts),
                    "metadata": item.metadata,
                    "plan": item.price,
                    "price": item.price,
                    "tax_rates": render_rates(&item.terms.tax_rates),
                });
                if let (Some(quantity), Some(fields)) = (item.quantity, value.as_object_mut()) {
                    fields.insert("quantity".to_owned(), json!(quantity));
                }
                value
            })
            .collect();
        let settings = &self.settings;
        let mut value = json!({
            "add_invoice_items": self.extras.iter().map(render_extra).collect::<Vec<_>>(),
            "application_fee_percent": null,
            "billing_cycle_anchor": settings.anchor.map(PhaseAnchor::as_str),
            "billing_thresholds": null,
            "collection_method": settings.collection.map(Collection::as_str),
            "currency": self.currency,
            "default_payment_method": settings.default_payment_method,
            "default_tax_rates": render_rates(&self.default_tax_rates),
            "description": settings.description,
            "discounts": render_discounts(&self.discounts),
            "end_date": self.end,
            "invoice_settings": settings.days_until_due.map(|_| settings.invoice_settings(&Value::Null)),
            "items": items,
            "metadata": self.metadata,
            "on_behalf_of": null,
            "proration_behavior": self.proration.as_str(),
            "start_date": self.start,
            "transfer_data": null,
            "trial_end": self.trial_end,
        });
        if let (Some(enabled), Some(fields)) = (settings.automatic_tax, value.as_object_mut()) {
            fields.insert("automatic_tax".to_owned(), render_automatic(enabled));
        }
        value
    }
}

/// A schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    pub(crate) test_clock: Option<String>,
    pub(crate) state: ScheduleState,
    pub(crate) end_behavior: EndBehavior,
    pub(crate) defaults: PhaseSettings,
    /// At least one, each beginning where the one before ends.
    pub(crate) phases: Vec<Phase>,
    pub(crate) metadata: Metadata,
    /// The end that has been announced (`subscription_schedule.expiring`).
    pub(crate) announced: Option<i64>,
}

impl Stored for Schedule {
    const LABEL: &'static str = "subscription_schedule";
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

impl Schedule {
    /// The phase that runs.
    pub(crate) fn running(&self) -> Option<&Phase> {
        match self.state {
            ScheduleState::Active { phase, .. } => self.phases.get(phase),
            ScheduleState::NotStarted
            | ScheduleState::Completed { .. }
            | ScheduleState::Released { .. }
            | ScheduleState::Canceled { .. } => None,
        }
    }

    /// When the first phase begins, in unix seconds.
    pub(crate) fn starts(&self) -> i64 {
        self.phases.first().map_or(self.created, |phase| phase.start)
    }

    /// When the last phase ends, in unix seconds.
    pub(crate) fn ends(&self) -> i64 {
        self.phases.last().map_or(self.created, |phase| phase.end)
    }

    /// When it ends its subscription, as far as the phase at this place knows it.
    pub(crate) fn planned_end(&self, phase: usize) -> Option<i64> {
        let last = phase + 1 >= self.phases.len();
        match self.end_behavior {
            EndBehavior::Cancel if last => Some(self.ends()),
            EndBehavior::Cancel | EndBehavior::Release => None,
        }
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let (mut subscription, mut released, mut current) = (None, None, None);
        let (mut canceled_at, mut completed_at, mut released_at) = (None, None, None);
        match &self.state {
            ScheduleState::NotStarted => {}
            ScheduleState::Active { subscription: managed, phase } => {
                subscription = Some(managed);
                current = self.phases.get(*phase);
            }
            ScheduleState::Completed { at, subscription: ended } => {
                (completed_at, subscription) = (Some(at), Some(ended));
            }
            ScheduleState::Released { at, subscription: freed, after_last } => {
                (released_at, released) = (Some(at), freed.as_ref());
                completed_at = Some(at).filter(|_| *after_last);
            }
            ScheduleState::Canceled { at, subscription: ended } => {
                (canceled_at, subscription) = (Some(at), ended.as_ref());
            }
        }
        let defaults = &self.defaults;
        Shape::SubscriptionSchedule.with(json!({
            "id": self.id,
            "created": self.created,
            "customer": self.customer,
            "test_clock": self.test_clock,
            "status": self.state.as_str(),
            "subscription": subscription,
            "released_subscription": released,
            "canceled_at": canceled_at,
            "completed_at": completed_at,
            "released_at": released_at,
            "current_phase": current.map(|phase| json!({ "start_date": phase.start, "end_date": phase.end })),
            "end_behavior": self.end_behavior.as_str(),
            "default_settings": {
                "automatic_tax": render_automatic(defaults.automatic_tax == Some(true)),
                "billing_cycle_anchor": defaults.anchor.unwrap_or(PhaseAnchor::Automatic).as_str(),
                "collection_method": defaults.collection.map(Collection::as_str),
                "default_payment_method": defaults.default_payment_method,
                "description": defaults.description,
                "invoice_settings": defaults.invoice_settings(&json!({ "type": "self" })),
            },
            "metadata": self.metadata,
            "phases": self.phases.iter().map(Phase::render).collect::<Vec<_>>(),
        }))
    }
}
