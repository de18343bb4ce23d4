//! Subscription schedules: what a subscription becomes, and when.

use serde_json::Value;

use super::MetadataMap;
use super::kept::Kept;
use super::read::{Node, ShapeError};

/// A subscription schedule as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSchedule {
    /// `sub_sched_...`.
    pub id: String,
    /// Stripe's word, unmapped.
    pub status: String,
    /// The subscription that it manages.
    pub subscription: Option<String>,
    /// The subscription that it managed until it was released.
    pub released_subscription: Option<String>,
    /// When the phase that runs began.
    pub current_start_s: Option<i64>,
    /// When the phase that runs ends.
    pub current_end_s: Option<i64>,
    /// `release`, `cancel` …: what follows the last phase.
    pub end_behavior: String,
    /// The phases, past ones too.
    pub phases: Vec<ObservedPhase>,
    /// Metadata.
    pub metadata: MetadataMap,
}

/// One phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPhase {
    /// When it begins.
    pub start_s: i64,
    /// When it ends.
    pub end_s: i64,
    /// Its prices and quantities.
    pub items: Vec<PlannedItem>,
    /// When the trial within it ends.
    pub trial_end_s: Option<i64>,
    /// What becomes of the difference in price when it begins; Stripe's word.
    pub proration_behavior: Option<String>,
    /// What it sets for itself: tax, collection, invoices, shares.
    pub kept: Kept,
    /// What it is billed with besides its prices: discounts, tax rates, single amounts.
    pub bills: Kept,
}

/// A price and how many of it, of a phase or of a change that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedItem {
    /// `price_...`.
    pub price_id: String,
    /// The price's lookup key, where the price was expanded.
    pub lookup_key: Option<String>,
    /// How many; none of a metered price.
    pub quantity: Option<i64>,
    /// Discounts and tax rates of its own, as a phase says them.
    pub kept: Kept,
}

impl ObservedSchedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        Self::from_node(&Node::root("subscription_schedule", value)?)
    }

    pub(super) fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        let current = node.child("current_phase")?;
        let current = |field| current.as_ref().map(|phase| phase.opt_int(field)).transpose();
        let phases = node.array("phases")?.unwrap_or_default();
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            subscription: node.opt_id("subscription")?,
            released_subscription: node.opt_id("released_subscription")?,
            current_start_s: current("start_date")?.flatten(),
            current_end_s: current("end_date")?.flatten(),
            end_behavior: node.opt_text("end_behavior")?.unwrap_or_default(),
            phases: phases.iter().map(ObservedPhase::from_node).collect::<Result<_, _>>()?,
            metadata: node.metadata("metadata")?,
        })
    }

    /// The phase that runs.
    #[must_use]
    pub fn running_phase(&self) -> Option<&ObservedPhase> {
        let running = self.current_start_s?;
        self.phases.iter().find(|phase| phase.start_s == running)
    }

    /// The phase after the one that runs.
    #[must_use]
    pub fn next_phase(&self) -> Option<&ObservedPhase> {
        let running = self.current_start_s?;
        self.phases.iter().filter(|phase| phase.start_s > running).min_by_key(|phase| phase.start_s)
    }
}

impl ObservedPhase {
    fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        let items = node.array("items")?.unwrap_or_default();
        Ok(Self {
            start_s: node.int("start_date")?,
            end_s: node.int("end_date")?,
            items: items.iter().map(PlannedItem::of_phase).collect::<Result<_, _>>()?,
            trial_end_s: node.opt_int("trial_end")?,
            proration_behavior: node.opt_text("proration_behavior")?,
            kept: Kept::of_phase(node)?,
            bills: Kept::of_phase_bills(node)?,
        })
    }
}

impl PlannedItem {
    fn of_phase(node: &Node<'_>) -> Result<Self, ShapeError> {
        Ok(Self { kept: Kept::of_phase_item(node)?, ..Self::from_node(node)? })
    }

    pub(super) fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        let price = node.expandable("price")?;
        let price = match price {
            Some(price) => price,
            None => node
                .expandable("plan")?
                .ok_or_else(|| node.error("price", super::read::ShapeProblem::Missing))?,
        };
        Ok(Self {
            lookup_key: price.expanded.map(|p| p.opt_text("lookup_key")).transpose()?.flatten(),
            price_id: price.id,
            quantity: node.opt_int("quantity")?,
            kept: Kept::default(),
        })
    }
}
