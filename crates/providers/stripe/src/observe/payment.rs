//! Payment intents, charges and refunds. No card data is read.

use serde_json::Value;

use super::MetadataMap;
use super::read::{Node, ShapeError};

/// A payment intent as Stripe has it.
#[derive(Clone, PartialEq, Eq)]
pub struct ObservedPaymentIntent {
    /// `pi_...`.
    pub id: String,
    /// Stripe's word, unmapped.
    pub status: String,
    /// Live or test.
    pub livemode: bool,
    /// Minor units.
    pub amount: i64,
    /// Minor units.
    pub amount_received: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// `cus_...`.
    pub customer: Option<String>,
    /// `ch_...`.
    pub latest_charge: Option<String>,
    /// Only in the older shape; since Basil list the invoice payments.
    pub invoice: Option<String>,
    /// `pm_...`.
    pub payment_method: Option<String>,
    /// When it was created.
    pub created_s: i64,
    /// When it was canceled.
    pub canceled_at_s: Option<i64>,
    /// Why it was canceled.
    pub cancellation_reason: Option<String>,
    /// Why the last attempt failed.
    pub last_failure: Option<PaymentFailure>,
    /// What the buyer must do next (`redirect_to_url`, `konbini_display_details` …).
    pub next_action: Option<String>,
    /// What Stripe's library pays with; whoever has it can pay, so it is not shown in logs.
    pub client_secret: Option<String>,
    /// Metadata.
    pub metadata: MetadataMap,
}

/// Why an attempt to pay failed, in Stripe's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentFailure {
    /// For example `card_declined`.
    pub code: Option<String>,
    /// For example `insufficient_funds`.
    pub decline_code: Option<String>,
    /// For example `do_not_try_again`.
    pub advice_code: Option<String>,
    /// `pm_...` that was tried.
    pub payment_method: Option<String>,
}

/// A charge as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedCharge {
    /// `ch_...` or `py_...`.
    pub id: String,
    /// Stripe's word, unmapped.
    pub status: String,
    /// Live or test.
    pub livemode: bool,
    /// Minor units.
    pub amount: i64,
    /// Minor units.
    pub amount_captured: i64,
    /// Minor units; partial refunds included.
    pub amount_refunded: i64,
    /// Refunded in full.
    pub refunded: bool,
    /// A dispute exists or existed.
    pub disputed: bool,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// `cus_...`.
    pub customer: Option<String>,
    /// `pi_...`.
    pub payment_intent: Option<String>,
    /// Only in the older shape; since Basil list the invoice payments.
    pub invoice: Option<String>,
    /// `txn_...`.
    pub balance_transaction: Option<String>,
    /// When it was created.
    pub created_s: i64,
    /// Why it failed.
    pub failure_code: Option<String>,
    /// The fingerprint of the card, which is the same for the same card wherever it is entered.
    pub card_fingerprint: Option<String>,
    /// The refunds, when they were expanded.
    pub refunds: Vec<ObservedRefund>,
    /// False when Stripe left refunds out: list those of the charge.
    pub refunds_complete: bool,
    /// Metadata.
    pub metadata: MetadataMap,
}

/// A refund as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRefund {
    /// `re_...`.
    pub id: String,
    /// Stripe's word, unmapped; Stripe may leave it out.
    pub status: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// `ch_...`.
    pub charge: Option<String>,
    /// `pi_...`.
    pub payment_intent: Option<String>,
    /// `txn_...`.
    pub balance_transaction: Option<String>,
    /// `txn_...` that took a failed refund back.
    pub failure_balance_transaction: Option<String>,
    /// When it was created.
    pub created_s: i64,
    /// Why it was made.
    pub reason: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Metadata.
    pub metadata: MetadataMap,
}

impl std::fmt::Debug for ObservedPaymentIntent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObservedPaymentIntent")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("amount", &self.amount)
            .field("currency", &self.currency)
            .field("customer", &self.customer)
            .field("next_action", &self.next_action)
            .finish_non_exhaustive()
    }
}

impl ObservedPaymentIntent {
    /// Reads a payment intent.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("payment_intent", value)?;
        let last_failure = match node.child("last_payment_error")? {
            None => None,
            Some(error) => Some(PaymentFailure {
                code: error.opt_text("code")?,
                decline_code: error.opt_text("decline_code")?,
                advice_code: error.opt_text("advice_code")?,
                payment_method: error.opt_id("payment_method")?,
            }),
        };
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            livemode: node.flag("livemode")?,
            amount: node.int("amount")?,
            amount_received: node.int("amount_received")?,
            currency: node.text("currency")?,
            customer: node.opt_id("customer")?,
            latest_charge: node.opt_id("latest_charge")?,
            invoice: node.opt_id("invoice")?,
            payment_method: node.opt_id("payment_method")?,
            created_s: node.int("created")?,
            canceled_at_s: node.opt_int("canceled_at")?,
            cancellation_reason: node.opt_text("cancellation_reason")?,
            last_failure,
            next_action: node.child("next_action")?.map(|action| action.text("type")).transpose()?,
            client_secret: node.opt_text("client_secret")?,
            metadata: node.metadata("metadata")?,
        })
    }
}

impl ObservedCharge {
    /// Reads a charge.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("charge", value)?;
        let (refunds, more) = node.list("refunds")?.unwrap_or_default();
        let card_fingerprint = match node.child("payment_method_details")? {
            Some(details) => match details.child("card")? {
                Some(card) => card.opt_text("fingerprint")?,
                None => None,
            },
            None => None,
        };
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            livemode: node.flag("livemode")?,
            amount: node.int("amount")?,
            amount_captured: node.int("amount_captured")?,
            amount_refunded: node.int("amount_refunded")?,
            refunded: node.flag("refunded")?,
            disputed: node.flag("disputed")?,
            currency: node.text("currency")?,
            customer: node.opt_id("customer")?,
            payment_intent: node.opt_id("payment_intent")?,
            invoice: node.opt_id("invoice")?,
            balance_transaction: node.opt_id("balance_transaction")?,
            created_s: node.int("created")?,
            failure_code: node.opt_text("failure_code")?,
            card_fingerprint,
            refunds: refunds.iter().map(ObservedRefund::from_node).collect::<Result<_, _>>()?,
            refunds_complete: !more,
            metadata: node.metadata("metadata")?,
        })
    }
}

impl ObservedRefund {
    /// Reads a refund.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        Self::from_node(&Node::root("refund", value)?)
    }

    fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        Ok(Self {
            id: node.text("id")?,
            status: node.opt_text("status")?,
            amount: node.int("amount")?,
            currency: node.text("currency")?,
            charge: node.opt_id("charge")?,
            payment_intent: node.opt_id("payment_intent")?,
            balance_transaction: node.opt_id("balance_transaction")?,
            failure_balance_transaction: node.opt_id("failure_balance_transaction")?,
            created_s: node.int("created")?,
            reason: node.opt_text("reason")?,
            failure_reason: node.opt_text("failure_reason")?,
            metadata: node.metadata("metadata")?,
        })
    }
}
