//! Subscriptions with their items, in the shape before and since Basil (where the period moved to the items).

use serde_json::Value;

use super::MetadataMap;
use super::card::ObservedCard;
use super::customer::CustomerRef;
use super::invoice::ObservedInvoice;
use super::kept::Kept;
use super::read::{Node, ShapeError, ShapeProblem};
use super::schedule::{ObservedSchedule, PlannedItem};

/// A subscription as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSubscription {
    /// `sub_...`.
    pub id: String,
    /// Whose it is; none only for subscriptions of the newer account objects.
    pub customer: Option<CustomerRef>,
    /// Stripe's word, unmapped.
    pub status: String,
    /// Live or test.
    pub livemode: bool,
    /// When it was created.
    pub created_s: i64,
    /// What is subscribed to.
    pub items: Vec<ObservedItem>,
    /// False when Stripe left items out of the object: list them before deciding anything from them.
    pub items_complete: bool,
    /// Ends when the period ends.
    pub cancel_at_period_end: bool,
    /// When it will end.
    pub cancel_at_s: Option<i64>,
    /// When the end was asked for.
    pub canceled_at_s: Option<i64>,
    /// When it ended.
    pub ended_at_s: Option<i64>,
    /// Start of the trial.
    pub trial_start_s: Option<i64>,
    /// End of the trial.
    pub trial_end_s: Option<i64>,
    /// Collection is paused, which does not change the status.
    pub pause: Option<ObservedPause>,
    /// A change that waits for its payment.
    pub pending_update: Option<ObservedPendingUpdate>,
    /// Why it ends, Stripe's word.
    pub cancellation_reason: Option<String>,
    /// What the customer chose from the list of reasons.
    pub cancellation_feedback: Option<String>,
    /// What it is billed with besides its prices: discounts and tax rates.
    pub kept: Kept,
    /// Metadata.
    pub metadata: MetadataMap,
    /// The newest invoice, by id or expanded.
    pub latest_invoice: Option<LatestInvoice>,
    /// The payment method of its own.
    pub default_payment_method: Option<String>,
    /// The card of its own, when it was expanded.
    pub default_card: Option<ObservedCard>,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
    /// The schedule that manages it, by id or expanded.
    pub schedule: Option<Scheduled>,
}

/// The schedule of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheduled {
    /// Only named.
    Id(String),
    /// Expanded.
    Expanded(Box<ObservedSchedule>),
}

impl Scheduled {
    /// The schedule's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Expanded(schedule) => &schedule.id,
        }
    }
}

/// A pause of collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPause {
    /// Stripe's word for what becomes of the invoices.
    pub behavior: String,
    /// When it ends by itself.
    pub resumes_at_s: Option<i64>,
}

/// A change that Stripe holds back until it is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPendingUpdate {
    /// When Stripe forgets it.
    pub expires_at_s: i64,
    /// The items that it would have; empty when the change is of something else.
    pub items: Vec<PlannedItem>,
}

/// The newest invoice of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LatestInvoice {
    /// Only named.
    Id(String),
    /// Expanded.
    Expanded(Box<ObservedInvoice>),
}

impl LatestInvoice {
    /// The invoice's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Expanded(invoice) => &invoice.id,
        }
    }
}

/// One item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedItem {
    /// `si_...`.
    pub id: String,
    /// `price_...`, or a plan's id from before prices.
    pub price_id: String,
    /// `prod_...`.
    pub product_id: Option<String>,
    /// The price's lookup key.
    pub lookup_key: Option<String>,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// Minor units; none for tiered or fractional prices.
    pub unit_amount: Option<i64>,
    /// `day`, `week`, `month` or `year`; none for one-off prices.
    pub interval: Option<String>,
    /// How many intervals make a period.
    pub interval_count: Option<i64>,
    /// Seats; none for metered items.
    pub quantity: Option<i64>,
    /// Start of the paid period, of the item or else of the subscription.
    pub current_period_start_s: Option<i64>,
    /// End of the paid period.
    pub current_period_end_s: Option<i64>,
    /// What it is billed with besides its price: discounts and tax rates of its own.
    pub kept: Kept,
}

impl ObservedSubscription {
    /// Reads a subscription.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("subscription", value)?;
        let period = (node.opt_int("current_period_start")?, node.opt_int("current_period_end")?);
        let cancellation = node.child("cancellation_details")?;
        let details = |field| cancellation.as_ref().map(|details| details.opt_text(field)).transpose();
        let (items, more) = node.list("items")?.ok_or_else(|| node.error("items", ShapeProblem::Missing))?;
        Ok(Self {
            id: node.text("id")?,
            customer: CustomerRef::read(&node)?,
            status: node.text("status")?,
            livemode: node.flag("livemode")?,
            created_s: node.int("created")?,
            items: items
                .iter()
                .map(|item| ObservedItem::from_node(item, period))
                .collect::<Result<_, _>>()?,
            items_complete: !more,
            cancel_at_period_end: node.flag("cancel_at_period_end")?,
            cancel_at_s: node.opt_int("cancel_at")?,
            canceled_at_s: node.opt_int("canceled_at")?,
            ended_at_s: node.opt_int("ended_at")?,
            trial_start_s: node.opt_int("trial_start")?,
            trial_end_s: node.opt_int("trial_end")?,
            pause: pause(&node)?,
            pending_update: pending_update(&node)?,
            cancellation_reason: details("reason")?.flatten(),
            cancellation_feedback: details("feedback")?.flatten(),
            kept: Kept::of_subscription(&node)?,
            metadata: node.metadata("metadata")?,
            latest_invoice: latest_invoice(&node)?,
            default_payment_method: node.opt_id("default_payment_method")?,
            default_card: ObservedCard::expanded(&node, "default_payment_method"),
            currency: node.opt_text("currency")?,
            schedule: schedule(&node)?,
        })
    }
}

impl ObservedItem {
    /// Reads an item from the list of a subscription's items.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        Self::from_node(&Node::root("subscription_item", value)?, (None, None))
    }

    fn from_node(item: &Node<'_>, period: (Option<i64>, Option<i64>)) -> Result<Self, ShapeError> {
        let price = item.child("price")?;
        // Before prices there were plans, which name the same facts a little differently.
        let (priced, amount, recurring) = match price {
            Some(price) => (price.clone(), "unit_amount", price.child("recurring")?),
            None => {
                let plan = item.child("plan")?.ok_or_else(|| item.error("price", ShapeProblem::Missing))?;
                (plan.clone(), "amount", Some(plan))
            }
        };
        let every = |field| recurring.as_ref().map(|r| r.opt_text(field)).transpose();
        Ok(Self {
            id: item.text("id")?,
            price_id: priced.text("id")?,
            product_id: priced.opt_id("product")?,
            lookup_key: priced.opt_text("lookup_key")?,
            currency: priced.text("currency")?,
            unit_amount: priced.opt_int(amount)?,
            interval: every("interval")?.flatten(),
            interval_count: recurring.as_ref().map(|r| r.opt_int("interval_count")).transpose()?.flatten(),
            quantity: item.opt_int("quantity")?,
            current_period_start_s: item.opt_int("current_period_start")?.or(period.0),
            current_period_end_s: item.opt_int("current_period_end")?.or(period.1),
            kept: Kept::of_item(item)?,
        })
    }
}

fn pause(node: &Node<'_>) -> Result<Option<ObservedPause>, ShapeError> {
    let Some(pause) = node.child("pause_collection")? else { return Ok(None) };
    let resumes_at_s = pause.opt_int("resumes_at")?;
    Ok(Some(ObservedPause { behavior: pause.text("behavior")?, resumes_at_s }))
}

fn pending_update(node: &Node<'_>) -> Result<Option<ObservedPendingUpdate>, ShapeError> {
    let Some(waiting) = node.child("pending_update")? else { return Ok(None) };
    let items = waiting.array("subscription_items")?.unwrap_or_default();
    Ok(Some(ObservedPendingUpdate {
        expires_at_s: waiting.int("expires_at")?,
        items: items.iter().map(PlannedItem::from_node).collect::<Result<_, _>>()?,
    }))
}

fn schedule(node: &Node<'_>) -> Result<Option<Scheduled>, ShapeError> {
    let Some(found) = node.expandable("schedule")? else { return Ok(None) };
    Ok(Some(match found.expanded {
        None => Scheduled::Id(found.id),
        Some(schedule) => Scheduled::Expanded(Box::new(ObservedSchedule::from_node(
            &schedule.seen_as("subscription_schedule")?,
        )?)),
    }))
}

fn latest_invoice(node: &Node<'_>) -> Result<Option<LatestInvoice>, ShapeError> {
    let Some(found) = node.expandable("latest_invoice")? else { return Ok(None) };
    Ok(Some(match found.expanded {
        None => LatestInvoice::Id(found.id),
        Some(invoice) => {
            LatestInvoice::Expanded(Box::new(ObservedInvoice::from_node(&invoice.seen_as("invoice")?)?))
        }
    }))
}
