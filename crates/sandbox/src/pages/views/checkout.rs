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
    /// Its id, the fewest and the most, where the buyer can change how many. Posted fields: `step` = `quantity`, `line`,
    /// `quantity`.
    pub adjustable: Option<(String, i64, i64)>,
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
    /// Something else that is asked for is missing or malformed; nothing was attempted.
    Details,
    /// 3-D Secure was failed or closed by the buyer.
    AuthenticationFailed,
}

/// What a button that pays once says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitWord {
    /// Pays.
    Pay,
    /// Books.
    Book,
    /// Donates.
    Donate,
}

/// A field of the seller's own.
#[derive(Clone, Debug)]
pub struct FieldView {
    /// The name that it posts.
    pub name: String,
    /// What the seller calls it.
    pub label: String,
    /// It may stay empty.
    pub optional: bool,
    /// Digits only.
    pub numeric: bool,
    /// What stands in it.
    pub value: String,
    /// Value and label of each choice; empty for a field to type in.
    pub options: Vec<(String, String)>,
}

/// A way to send the goods. Posted as `shipping_rate`.
#[derive(Clone, Debug)]
pub struct RateView {
    /// `shr_…`.
    pub id: String,
    /// What the seller calls it.
    pub name: String,
    /// What it costs.
    pub amount: Money,
    /// It is chosen now.
    pub chosen: bool,
}

/// What is asked beside the payment. Posted: `phone`, the names of the fields, `ship_name`, `ship_line1`, `ship_city`,
/// `ship_postal`, `ship_country`, `shipping_rate`.
#[derive(Clone, Debug, Default)]
pub struct DetailsView {
    /// A telephone number is asked for.
    pub phone: bool,
    /// The seller's own fields.
    pub fields: Vec<FieldView>,
    /// Countries that goods are sent to; empty when no address is asked for.
    pub countries: Vec<String>,
    /// Ways to send the goods.
    pub rates: Vec<RateView>,
    /// The buyer's business is asked for: whether that may stay empty. Posted as `business_name`.
    pub business: Option<bool>,
    /// The buyer's full name is asked for: whether that may stay empty. Posted as `individual_name`.
    pub individual: Option<bool>,
    /// The seller's words beside the address.
    pub address_text: Option<String>,
}

/// What the buyer agrees to, beside the button. Posted as `terms` and `promotions`, each `on`.
#[derive(Clone, Debug, Default)]
pub struct ConsentView {
    /// The terms of service must be accepted.
    pub terms: bool,
    /// The seller's own words for that.
    pub terms_text: Option<String>,
    /// News are offered.
    pub promotions: bool,
    /// The seller's words above the button.
    pub before_button: Option<String>,
    /// The seller's words below the button.
    pub after_button: Option<String>,
}

/// Something that can be added to the order. Posted fields: `step` = `optional`, `place`, `quantity` (0 takes it out).
#[derive(Clone, Debug)]
pub struct OptionalView {
    /// Product name.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// Billing interval of a recurring price.
    pub interval: Option<Interval>,
    /// How many are added now.
    pub added: i64,
    /// How many a click adds.
    pub quantity: i64,
    /// The fewest and the most, where the buyer can choose.
    pub range: Option<(i64, i64)>,
}

/// A way to pay whose answer takes days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherWay {
    /// A bank account whose bank pays.
    DebitPays,
    /// A bank account whose bank refuses.
    DebitFails,
    /// Cash at a store.
    Store,
    /// A bank transfer.
    Transfer,
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
    /// Ways to pay beside a card, by the name of the payment method that each posts as `method`.
    pub other_ways: Vec<(String, OtherWay)>,
    /// Whether a card is asked for at all.
    pub needs_card: bool,
    /// What the button says where something is paid once.
    pub button: SubmitWord,
    /// What is asked beside the payment.
    pub details: DetailsView,
    /// What the buyer agrees to.
    pub consent: ConsentView,
    /// What can be added to the order.
    pub optional: Vec<OptionalView>,
    /// Where the form posts.
    pub action: String,
    /// Where "back" leads: the session's `cancel_url`.
    pub cancel_url: Option<String>,
}

/// The hosted page of an open invoice.
#[derive(Clone, Debug)]
pub struct InvoicePayView {
    /// The frame.
    pub frame: Frame,
    /// Seller as the customer knows it.
    pub merchant: String,
    /// The invoice's number.
    pub number: Option<String>,
    /// What it is for, and what each costs.
    pub lines: Vec<(String, Money)>,
    /// What is owed.
    pub due: Money,
    /// The last digits of the card on file.
    pub saved: Option<String>,
    /// The card form's state.
    pub form: CardForm,
    /// `in_…`, shown small for developers.
    pub invoice_id: String,
    /// Where the forms post to.
    pub action: String,
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

/// What a payment waits for.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// A bank, which needs nobody.
    Bank,
    /// Cash at a store.
    Store {
        /// The confirmation number.
        confirmation: String,
        /// The payment code.
        code: String,
        /// The last moment, seconds.
        until: i64,
    },
    /// A bank transfer to this account number.
    Transfer(String),
}

/// A payment whose answer takes days. Posted field: `outcome` = `success` | `failure`.
#[derive(Clone, Debug)]
pub struct PendingView {
    /// The frame.
    pub frame: Frame,
    /// Seller as the buyer knows it.
    pub merchant: String,
    /// What is paid.
    pub amount: Money,
    /// What it waits for.
    pub awaited: Awaited,
    /// `pi_…`, shown small.
    pub intent_id: String,
    /// Where the form posts.
    pub action: String,
    /// Back to the seller.
    pub continue_url: Option<String>,
}
