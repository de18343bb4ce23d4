//! Subscription schedules: make one of a running subscription, say what comes next, release it.

use super::{Call, IdempotencyKey, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{Kept, ObservedSchedule};

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
    /// Discounts, tax and whatever else a phase that does not name it takes away.
    pub kept: Kept,
}

/// A schedule that takes a running subscription over, with the period that runs as its only phase.
#[must_use]
pub fn from_subscription(subscription: &str, key: IdempotencyKey) -> Call<ObservedSchedule> {
    let form = Form::new().text("from_subscription", subscription);
    Call::new("schedules.create", Verb::Post(key), all(), form, ObservedSchedule::read)
}

/// Replaces the phases. Nothing is prorated where one follows another, and after the last the subscription goes on
/// by itself.
#[must_use]
pub fn set_phases(
    id: &str,
    phases: &[Phase],
    metadata: &Metadata,
    key: IdempotencyKey,
) -> Call<ObservedSchedule> {
    let mut form = Form::new()
        .text("end_behavior", "release")
        .text("proration_behavior", "none")
        .metadata("metadata", metadata);
    for (at, phase) in phases.iter().enumerate() {
        let name = |field: &str| format!("phases[{at}]{field}");
        form = form
            .int(&name("[start_date]"), phase.start_s)
            .int(&name("[end_date]"), phase.end_s)
            .text(&name("[proration_behavior]"), "none")
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
