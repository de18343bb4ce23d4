//! Subscriptions: read, list, change, cancel.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{ObservedItem, ObservedSubscription, Page, ShapeError};

/// Expansions of a single subscription that save the calls for its customer, newest invoice and payments.
pub const EXPAND: &[&str] = &["customer", "latest_invoice", "latest_invoice.payments", "schedule"];
/// The same for lists, and the card that pays: its own, or else the customer's.
pub const EXPAND_LIST: &[&str] = &[
    "data.customer",
    "data.latest_invoice",
    "data.latest_invoice.payments",
    "data.schedule",
    "data.default_payment_method",
    "data.customer.invoice_settings.default_payment_method",
];
/// What a list needs so that all that may differ can be compared: whose it is, what access depends on, what is planned.
pub const EXPAND_TO_COMPARE: &[&str] = &["data.customer", "data.latest_invoice", "data.schedule"];

/// Which subscriptions to list. The default is all of them, ended ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListSubscriptions<'a> {
    /// `cus_...`.
    pub customer: Option<&'a str>,
    /// `price_...`.
    pub price: Option<&'a str>,
    /// Created at or after, Unix seconds.
    pub created_gte_s: Option<i64>,
    /// Created before, Unix seconds.
    pub created_lt_s: Option<i64>,
    /// For example [`EXPAND_LIST`].
    pub expand: &'a [&'a str],
    /// Which page.
    pub paging: Paging<'a>,
}

/// How a change in the middle of a period is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProrationBehavior {
    /// On the next invoice.
    CreateProrations,
    /// On an invoice now.
    AlwaysInvoice,
    /// Not at all.
    None,
}

impl ProrationBehavior {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CreateProrations => "create_prorations",
            Self::AlwaysInvoice => "always_invoice",
            Self::None => "none",
        }
    }
}

/// What happens when the change's payment fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentBehavior {
    /// The change holds and the subscription may become past due.
    AllowIncomplete,
    /// The change waits for the customer.
    DefaultIncomplete,
    /// The change is held back until it is paid.
    PendingIfIncomplete,
    /// The call fails and nothing changes.
    ErrorIfIncomplete,
}

impl PaymentBehavior {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AllowIncomplete => "allow_incomplete",
            Self::DefaultIncomplete => "default_incomplete",
            Self::PendingIfIncomplete => "pending_if_incomplete",
            Self::ErrorIfIncomplete => "error_if_incomplete",
        }
    }
}

/// The change of one existing item. Without its id Stripe would *add* an item, so the id is not optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemChange<'a> {
    /// `si_...`.
    pub id: &'a str,
    /// The new price.
    pub price: Option<&'a str>,
    /// The new quantity.
    pub quantity: Option<i64>,
    /// Take the item away.
    pub deleted: bool,
}

/// What becomes of the invoices of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseBehavior {
    /// They are voided as they are made.
    Void,
    /// They stay drafts.
    KeepAsDraft,
    /// They are marked uncollectible.
    MarkUncollectible,
}

impl PauseBehavior {
    /// Stripe's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::KeepAsDraft => "keep_as_draft",
            Self::MarkUncollectible => "mark_uncollectible",
        }
    }

    /// Reads Stripe's word; none for one that is not known.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Void, Self::KeepAsDraft, Self::MarkUncollectible].into_iter().find(|b| b.as_str() == word)
    }
}

/// A change of a pause of collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseCollection {
    /// No money is taken, until this moment (Unix seconds) or until somebody ends it.
    Begin {
        /// What becomes of the invoices meanwhile.
        behavior: PauseBehavior,
        /// When Stripe ends it.
        resumes_at_s: Option<i64>,
    },
    /// Collection goes on.
    End,
}

/// A change to a subscription; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateSubscription<'a> {
    /// Changed items.
    pub items: &'a [ItemChange<'a>],
    /// How the difference is settled.
    pub proration_behavior: Option<ProrationBehavior>,
    /// The moment from which the difference counts, Unix seconds; use the preview's.
    pub proration_date_s: Option<i64>,
    /// What happens when the payment fails.
    pub payment_behavior: Option<PaymentBehavior>,
    /// Ask for, or take back, the end at the period's end.
    pub cancel_at_period_end: Option<bool>,
    /// `pm_...`.
    pub default_payment_method: Option<&'a str>,
    /// Added to the metadata.
    pub metadata: Option<&'a Metadata>,
    /// Pauses collection, or ends the pause.
    pub pause: Option<PauseCollection>,
    /// Ends the trial now; what it led to is charged.
    pub ends_trial: bool,
    /// Why it is cancelled, from Stripe's list.
    pub feedback: Option<&'a str>,
    /// Why it is cancelled, in the customer's words.
    pub comment: Option<&'a str>,
}

/// How an immediate cancellation is settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelSubscription<'a> {
    /// Bill open usage and prorations now.
    pub invoice_now: bool,
    /// Credit the unused time.
    pub prorate: bool,
    /// For the operators; shown in Stripe.
    pub comment: Option<&'a str>,
    /// Why, from Stripe's list.
    pub feedback: Option<&'a str>,
}

/// One subscription with the given expansions, for example [`EXPAND`].
#[must_use]
pub fn retrieve(id: &str, expand: &[&str]) -> Call<ObservedSubscription> {
    let form = Form::new().list("expand", expand.iter().copied());
    Call::new("subscriptions.retrieve", Verb::Get, all().id(id), form, ObservedSubscription::read)
}

/// Subscriptions of every status, newest first.
#[must_use]
pub fn list(wanted: &ListSubscriptions<'_>) -> Call<Page<ObservedSubscription>> {
    // Without status=all Stripe leaves the canceled ones out, and a lost end would never be found.
    let form = Form::new()
        .text("status", "all")
        .text_if("customer", wanted.customer)
        .text_if("price", wanted.price)
        .int_if("created[gte]", wanted.created_gte_s)
        .int_if("created[lt]", wanted.created_lt_s)
        .list("expand", wanted.expand.iter().copied());
    Call::new("subscriptions.list", Verb::Get, all(), wanted.paging.add(form), page)
}

/// The items of a subscription, when the subscription itself did not hold them all.
#[must_use]
pub fn list_items(subscription: &str, paging: Paging<'_>) -> Call<Page<ObservedItem>> {
    let form = paging.add(Form::new().text("subscription", subscription));
    Call::new("subscription_items.list", Verb::Get, Path::of("/v1/subscription_items"), form, items_page)
}

/// Changes a subscription.
#[must_use]
pub fn update(id: &str, wanted: &UpdateSubscription<'_>, key: IdempotencyKey) -> Call<ObservedSubscription> {
    let mut form = items(Form::new(), "items", wanted.items)
        .text_if("proration_behavior", wanted.proration_behavior.map(ProrationBehavior::as_str))
        .int_if("proration_date", wanted.proration_date_s)
        .text_if("payment_behavior", wanted.payment_behavior.map(PaymentBehavior::as_str))
        .flag_if("cancel_at_period_end", wanted.cancel_at_period_end)
        .text_if("default_payment_method", wanted.default_payment_method)
        .text_if("trial_end", wanted.ends_trial.then_some("now"))
        .text_if("cancellation_details[feedback]", wanted.feedback)
        .text_if("cancellation_details[comment]", wanted.comment);
    form = match wanted.pause {
        None => form,
        Some(PauseCollection::End) => form.unset("pause_collection"),
        Some(PauseCollection::Begin { behavior, resumes_at_s }) => form
            .text("pause_collection[behavior]", behavior.as_str())
            .int_if("pause_collection[resumes_at]", resumes_at_s),
    };
    if let Some(metadata) = wanted.metadata {
        form = form.metadata("metadata", metadata);
    }
    let form = form.list("expand", EXPAND.iter().copied());
    Call::new("subscriptions.update", Verb::Post(key), all().id(id), form, ObservedSubscription::read)
}

/// Ends a subscription now.
#[must_use]
pub fn cancel(id: &str, wanted: CancelSubscription<'_>) -> Call<ObservedSubscription> {
    let form = Form::new()
        .flag("invoice_now", wanted.invoice_now)
        .flag("prorate", wanted.prorate)
        .text_if("cancellation_details[comment]", wanted.comment)
        .text_if("cancellation_details[feedback]", wanted.feedback);
    Call::new("subscriptions.cancel", Verb::Delete, all().id(id), form, ObservedSubscription::read)
}

/// Pauses a subscription itself: no periods and no invoices until it is resumed.
#[must_use]
pub fn pause(id: &str, key: IdempotencyKey) -> Call<ObservedSubscription> {
    let path = all().id(id).then("/pause");
    Call::new("subscriptions.pause", Verb::Post(key), path, Form::new(), ObservedSubscription::read)
}

/// Resumes a paused subscription with a new period, which is paid first.
#[must_use]
pub fn resume(id: &str, key: IdempotencyKey) -> Call<ObservedSubscription> {
    let path = all().id(id).then("/resume");
    let form = Form::new()
        .text("billing_cycle_anchor[type]", "now")
        .text("payment_behavior", "resume_on_payment_success");
    Call::new("subscriptions.resume", Verb::Post(key), path, form, ObservedSubscription::read)
}

/// Adds item changes under `key`; shared with previews.
pub(super) fn items(mut form: Form, key: &str, changes: &[ItemChange<'_>]) -> Form {
    for (index, change) in changes.iter().enumerate() {
        form = form
            .text(&format!("{key}[{index}][id]"), change.id)
            .text_if(&format!("{key}[{index}][price]"), change.price)
            .int_if(&format!("{key}[{index}][quantity]"), change.quantity)
            .flag_if(&format!("{key}[{index}][deleted]"), change.deleted.then_some(true));
    }
    form
}

fn all() -> Path {
    Path::of("/v1/subscriptions")
}

fn page(value: &Value) -> Result<Page<ObservedSubscription>, ShapeError> {
    Page::read(value, ObservedSubscription::read)
}

fn items_page(value: &Value) -> Result<Page<ObservedItem>, ShapeError> {
    Page::read(value, ObservedItem::read)
}
