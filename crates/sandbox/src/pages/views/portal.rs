//! Views of the customer portal.

use super::{CardForm, Frame, Interval, Money};

/// Subscription status as the provider names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// First payment outstanding.
    Incomplete,
    /// First payment never came.
    IncompleteExpired,
    /// In trial.
    Trialing,
    /// Paid.
    Active,
    /// A renewal failed.
    PastDue,
    /// Over.
    Canceled,
    /// Retries exhausted.
    Unpaid,
    /// Paused.
    Paused,
}

impl SubscriptionStatus {
    /// The status for the provider's word; `None` for an unknown one.
    #[must_use]
    pub fn from_wire(word: &str) -> Option<Self> {
        Some(match word {
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "trialing" => Self::Trialing,
            "active" => Self::Active,
            "past_due" => Self::PastDue,
            "canceled" => Self::Canceled,
            "unpaid" => Self::Unpaid,
            "paused" => Self::Paused,
            _ => return None,
        })
    }
}

/// A price that the customer may change to. Posted as `price` = `price_id`.
#[derive(Clone, Debug)]
pub struct PlanChoice {
    /// `price_…`.
    pub price_id: String,
    /// Product name.
    pub name: String,
    /// Amount per interval.
    pub price: Money,
    /// Interval.
    pub interval: Interval,
    /// It is the price of now.
    pub current: bool,
}

/// One subscription in the portal.
#[derive(Clone, Debug)]
pub struct PortalSubscription {
    /// `sub_…`.
    pub id: String,
    /// Product name.
    pub name: String,
    /// Status.
    pub status: SubscriptionStatus,
    /// Price per interval.
    pub price: Money,
    /// Interval.
    pub interval: Interval,
    /// End of the current period or trial, seconds.
    pub period_end: i64,
    /// A change of plan is charged when it is made, not with the next invoice.
    pub charges_at_once: bool,
    /// When it will end if it is cancelled (period end or another day), seconds.
    pub cancel_at: Option<i64>,
    /// What is owed on the open invoice while past due.
    pub owed: Option<Money>,
    /// Quantity of now, least and most, where it can be changed.
    pub quantity: Option<(i64, i64, Option<i64>)>,
    /// Choices for a change; empty when changing is off or the subscription is over.
    pub choices: Vec<PlanChoice>,
    /// When a pause ends by itself, seconds.
    pub pause_ends: Option<i64>,
    /// GET: the page that asks how long to pause; nothing where that is not offered.
    pub pause_path: Option<String>,
    /// GET: the page that asks before cancelling ([`portal_cancel_page`](super::super::portal_cancel_page)).
    pub cancel_path: String,
    /// POST, no fields: undo the cancellation, or end the pause.
    pub resume_action: String,
    /// POST `price`, `quantity`: change the plan.
    pub change_action: String,
}

/// An invoice's status as the provider names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvoiceStatus {
    /// Being prepared.
    Draft,
    /// Waiting for payment.
    Open,
    /// Paid.
    Paid,
    /// Void.
    Void,
    /// Written off.
    Uncollectible,
}

impl InvoiceStatus {
    /// The status for the provider's word; `None` for an unknown one.
    #[must_use]
    pub fn from_wire(word: &str) -> Option<Self> {
        Some(match word {
            "draft" => Self::Draft,
            "open" => Self::Open,
            "paid" => Self::Paid,
            "void" => Self::Void,
            "uncollectible" => Self::Uncollectible,
            _ => return None,
        })
    }
}

/// One row of the invoice history.
#[derive(Clone, Debug)]
pub struct PortalInvoice {
    /// Number, or the id while it is a draft.
    pub number: String,
    /// Created, seconds.
    pub created: i64,
    /// What it is for.
    pub description: String,
    /// Total.
    pub total: Money,
    /// Status.
    pub status: InvoiceStatus,
}

/// The card on file.
#[derive(Clone, Debug)]
pub struct CardOnFile {
    /// `visa`, `mastercard`, ...
    pub brand: String,
    /// Last four digits.
    pub last4: String,
    /// Month 1 to 12 and four-digit year of its expiry; nothing for a bank account.
    pub expiry: Option<(u32, u32)>,
}

/// What the portal says at the top after an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortalNotice {
    /// A cancellation was set for this time, seconds.
    CancelScheduled(i64),
    /// The cancellation was undone.
    Resumed,
    /// The plan is paused: until this time, seconds, or until somebody resumes it.
    Paused(Option<i64>),
    /// The pause was ended.
    PauseOver,
    /// The plan was changed to this one.
    Changed(String),
    /// The customer's details were changed.
    CustomerChanged,
    /// The card was changed; nothing was charged.
    CardChanged,
    /// The card was changed and the open invoice was paid with it.
    CardChangedAndPaid(Money),
    /// The change needed a payment that the bank declined: the decline code. The plan stays as it was.
    ChangeDeclined(String),
}

/// The customer portal.
#[derive(Clone, Debug)]
pub struct PortalView {
    /// The frame.
    pub frame: Frame,
    /// Seller as the customer knows it.
    pub merchant: String,
    /// The customer's e-mail or name or id.
    pub customer: String,
    /// What just happened.
    pub notice: Option<PortalNotice>,
    /// Subscriptions, live ones first.
    pub subscriptions: Vec<PortalSubscription>,
    /// The card on file.
    pub card: Option<CardOnFile>,
    /// State of the card form.
    pub card_form: CardForm,
    /// POST with the card fields: change the card.
    pub card_action: String,
    /// What the customer may change of themselves; nothing when nothing.
    pub details: Option<CustomerForm>,
    /// Invoices, newest first.
    pub invoices: Vec<PortalInvoice>,
    /// Where the return link leads.
    pub return_url: Option<String>,
}

/// The page that asks before a cancellation. POST to `action`, with `feedback` and `comment` where reasons are asked.
#[derive(Clone, Debug)]
pub struct PortalCancelView {
    /// The frame.
    pub frame: Frame,
    /// Seller as the customer knows it.
    pub merchant: String,
    /// Product name.
    pub name: String,
    /// When it will end, seconds.
    pub ends_at: i64,
    /// Reasons to choose from, by the API's words; empty when none is asked.
    pub reasons: Vec<String>,
    /// It ends a trial: nothing has been paid.
    pub trialing: bool,
    /// Where the form posts.
    pub action: String,
    /// Back to the portal.
    pub back_path: String,
}

/// What a customer may change of themselves, posted under these names.
#[derive(Clone, Debug)]
pub struct CustomerForm {
    /// Name (`email`, `name`, `phone`) and value of now.
    pub fields: Vec<(String, String)>,
    /// Where the form posts.
    pub action: String,
}

/// One line of a change to confirm.
#[derive(Clone, Debug)]
pub struct ChangedLine {
    /// Product name.
    pub name: String,
    /// Price per interval of one.
    pub price: Money,
    /// Interval.
    pub interval: Interval,
    /// How many.
    pub quantity: i64,
}

/// The one task of a portal page.
#[derive(Clone, Debug)]
pub enum PortalStep {
    /// Another card.
    Card {
        /// State of the form.
        form: CardForm,
        /// Where it posts.
        action: String,
    },
    /// Details of the customer.
    Customer(CustomerForm),
    /// Another plan.
    Change(Box<PortalSubscription>),
    /// A pause.
    Pause {
        /// What is paused.
        subscription: Box<PortalSubscription>,
        /// When each pause to choose from would end, seconds; empty for one that has no end. The place in the list is
        /// posted as `length`.
        ends: Vec<i64>,
        /// Where the form posts.
        action: String,
    },
    /// A change that is already chosen.
    Confirm {
        /// What runs now.
        before: Vec<ChangedLine>,
        /// What will run.
        after: Vec<ChangedLine>,
        /// It is charged when it is made, not with the next invoice.
        charges_at_once: bool,
        /// The decline code of an attempt that failed.
        declined: Option<String>,
        /// Where the form posts, without fields.
        action: String,
    },
    /// It is done.
    Done {
        /// The seller's own words.
        message: Option<String>,
    },
}

/// A portal page with one task.
#[derive(Clone, Debug)]
pub struct PortalStepView {
    /// The frame.
    pub frame: Frame,
    /// Seller as the customer knows it.
    pub merchant: String,
    /// The task.
    pub step: PortalStep,
    /// Where the return link leads.
    pub return_url: Option<String>,
}
