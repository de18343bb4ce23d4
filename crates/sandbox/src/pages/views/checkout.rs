//! Views of the checkout page and of the 3-D Secure step.

use super::super::CardProblem;
use super::{Frame, Interval, Money};

/// What a checkout session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutMode {
    /// One payment.
    Payment,
    /// A subscription.
    Subscription,
    /// Keeping a card for later; no payment.
    Setup,
}

/// One line of what is bought.
#[derive(Clone, Debug)]
pub struct CheckoutLine {
    /// Product name.
    pub name: String,
    /// How many.
    pub quantity: u64,
    /// Amount of the whole line.
    pub amount: Money,
    /// Billing interval of a recurring price.
    pub interval: Option<Interval>,
}

/// The card form's state: what was typed last (never the number or CVC) and why it failed.
#[derive(Clone, Debug, Default)]
pub struct CardForm {
    /// Name on the card as typed last.
    pub name: String,
    /// What went wrong last time.
    pub problem: Option<FormProblem>,
}

/// A field that changes what is due before the buyer pays. Posted fields: `step` = `code` with `promotion_code`, or
/// `step` = `country` with `country`.
#[derive(Clone, Debug, Default)]
pub struct StepField {
    /// What counts now.
    pub applied: Option<String>,
    /// What was typed last, when it cannot be used here.
    pub refused: Option<String>,
}

/// Why a form came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormProblem {
    /// A field is missing or malformed; nothing was attempted.
    Card(CardProblem),
    /// The e-mail field is missing or malformed; nothing was attempted.
    Email,
    /// The bank declined: the standard decline code (`generic_decline`, `insufficient_funds`, ...) or the error code
    /// where there is none (`incorrect_number`, `expired_card`). Unknown codes get the general sentence.
    Declined(String),
    /// 3-D Secure was failed or closed by the buyer.
    AuthenticationFailed,
}

/// The hosted checkout page.
#[derive(Clone, Debug)]
pub struct CheckoutView {
    /// The frame.
    pub frame: Frame,
    /// `cs_…`, shown small for developers.
    pub session_id: String,
    /// Seller as the buyer knows it.
    pub merchant: String,
    /// What the session is for.
    pub mode: CheckoutMode,
    /// Lines, in order; empty in setup mode.
    pub lines: Vec<CheckoutLine>,
    /// Sum of the lines before discount and tax, when it differs from `total`.
    pub subtotal: Option<Money>,
    /// Discount taken off (positive amount).
    pub discount: Option<Money>,
    /// Tax included in or added to `total`.
    pub tax: Option<Money>,
    /// What is charged today; `None` in setup mode.
    pub total: Option<Money>,
    /// Free days before the first charge.
    pub trial_days: Option<u32>,
    /// What is charged when the trial ends, with [`Self::trial_end`].
    pub after_trial: Option<Money>,
    /// When the trial ends, seconds.
    pub trial_end: Option<i64>,
    /// The customer's e-mail when the session already has one: shown, not asked.
    pub email: Option<String>,
    /// E-mail as typed last, when asked for.
    pub email_typed: String,
    /// The card form's state.
    pub form: CardForm,
    /// The field for a promotion code, where the session takes one.
    pub code: Option<StepField>,
    /// The field for the buyer's country, where taxes depend on it.
    pub country: Option<StepField>,
    /// Where the form posts.
    pub action: String,
    /// Where "back" leads: the session's `cancel_url`.
    pub cancel_url: Option<String>,
}

/// The 3-D Secure step. Posted field: `outcome` = `success` | `failure`.
#[derive(Clone, Debug)]
pub struct ThreeDSecureView {
    /// The frame.
    pub frame: Frame,
    /// Seller as the buyer knows it.
    pub merchant: String,
    /// The amount that the bank asks about; `None` for setup.
    pub amount: Option<Money>,
    /// Last four digits of the card.
    pub last4: String,
    /// `pi_…` or `seti_…`, shown small.
    pub intent_id: String,
    /// Where the form posts.
    pub action: String,
}
