//! Subscription schedules: make one of a running subscription, say what comes next, release it.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{Kept, ObservedPhase, ObservedSchedule, Page, ShapeError};

/// One price of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseItem {
    /// `price_...`.
    pub price: String,
    /// How many; none of a metered price.
    pub quantity: Option<i64>,
    /// Discounts and tax rates of its own, which an item that does not name them loses.
    pub kept: Kept,
}

/// One phase of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// When it begins, Unix seconds.
    pub start_s: i64,
    /// When it ends, Unix seconds.
    pub end_s: i64,
    /// What is charged in it. All of it: what is left out is taken away.
    pub items: Vec<PhaseItem>,
    /// The trial within it, up to this moment.
    pub trial_end_s: Option<i64>,
    /// What becomes of the difference in price when it begins; nothing, where it is not said.
    pub proration_behavior: Option<String>,
    /// Discounts, tax and whatever else a phase that does not name it takes away.
    pub kept: Kept,
}

impl Phase {
    /// A phase that was read, as it was but for its start. A trial within it is over at the phase's start or later.
    #[must_use]
    pub fn again(observed: &ObservedPhase, start_s: i64) -> Self {
        let items = observed.items.iter().map(|item| PhaseItem {
            price: item.price_id.clone(),
            quantity: item.quantity,
            kept: item.kept.clone(),
        });
        Self {
            start_s,
            end_s: observed.end_s,
            items: items.collect(),
            trial_end_s: observed.trial_end_s,
            proration_behavior: observed.proration_behavior.clone(),
            kept: observed.bills.clone().and(&observed.kept),
        }
    }
}

/// A schedule that takes a running subscription over, with the period that runs as its only phase.
#[must_use]
pub fn from_subscription(subscription: &str, key: IdempotencyKey) -> Call<ObservedSchedule> {
    let form = Form::new().text("from_subscription", subscription);
    Call::new("schedules.create", Verb::Post(key), all(), form, ObservedSchedule::read)
}

/// Replaces the phases, without charging anything for that. `end_behavior` says what follows the last: with `release`
/// the subscription goes on by itself.
#[must_use]
pub fn set_phases(
    id: &str,
    phases: &[Phase],
    end_behavior: &str,
    metadata: &Metadata,
    key: IdempotencyKey,
) -> Call<ObservedSchedule> {
    let mut form = Form::new()
        .text("end_behavior", end_behavior)
        .text("proration_behavior", "none")
        .metadata("metadata", metadata);
    for (at, phase) in phases.iter().enumerate() {
        let name = |field: &str| format!("phases[{at}]{field}");
        form = form
            .int(&name("[start_date]"), phase.start_s)
            .int(&name("[end_date]"), phase.end_s)
            .text(&name("[proration_behavior]"), phase.proration_behavior.as_deref().unwrap_or("none"))
            .int_if(&name("[trial_end]"), phase.trial_end_s);
        for (index, item) in phase.items.iter().enumerate() {
            form = form
                .text(&name(&format!("[items][{index}][price]")), &item.price)
                .int_if(&name(&format!("[items][{index}][quantity]")), item.quantity);
            for (said, value) in item.kept.said() {
                form = form.text(&name(&format!("[items][{index}]{said}")), value);
            }
        }
        for (said, value) in phase.kept.said() {
            form = form.text(&name(said), value);
        }
    }
    Call::new("schedules.update", Verb::Post(key), all().id(id), form, ObservedSchedule::read)
}

/// Writes metadata on a schedule, and changes nothing else.
#[must_use]
pub fn mark(id: &str, metadata: &Metadata, key: IdempotencyKey) -> Call<ObservedSchedule> {
    let form = Form::new().metadata("metadata", metadata);
    Call::new("schedules.update", Verb::Post(key), all().id(id), form, ObservedSchedule::read)
}

/// The schedules of a customer, newest first; those that are over too.
#[must_use]
pub fn list(customer: &str, paging: Paging<'_>) -> Call<Page<ObservedSchedule>> {
    let form = paging.add(Form::new().text("customer", customer));
    Call::new("schedules.list", Verb::Get, all(), form, page)
}

/// Lets the subscription go on by itself, as it is now.
#[must_use]
pub fn release(id: &str, key: IdempotencyKey) -> Call<ObservedSchedule> {
    let path = all().id(id).then("/release");
    Call::new("schedules.release", Verb::Post(key), path, Form::new(), ObservedSchedule::read)
}

/// One schedule.
#[must_use]
pub fn retrieve(id: &str) -> Call<ObservedSchedule> {
    Call::new("schedules.retrieve", Verb::Get, all().id(id), Form::new(), ObservedSchedule::read)
}

fn all() -> Path {
    Path::of("/v1/subscription_schedules")
}

fn page(value: &Value) -> Result<Page<ObservedSchedule>, ShapeError> {
    Page::read(value, ObservedSchedule::read)
}
