//! Checkout Sessions.

use serde_json::Value;

use super::MetadataMap;
use super::read::{Node, ShapeError};

/// A Checkout Session as Stripe has it.
#[derive(Clone, PartialEq, Eq)]
pub struct ObservedCheckout {
    /// `cs_...`.
    pub id: String,
    /// `subscription`, `payment` or `setup`.
    pub mode: String,
    /// Stripe's word, unmapped.
    pub status: String,
    /// Stripe's word, unmapped.
    pub payment_status: String,
    /// Live or test.
    pub livemode: bool,
    /// `cus_...`.
    pub customer: Option<String>,
    /// Known once it is complete.
    pub subscription: Option<String>,
    /// In mode `payment`.
    pub payment_intent: Option<String>,
    /// The invoice that it made.
    pub invoice: Option<String>,
    /// Minor units.
    pub amount_total: Option<i64>,
    /// The tax in the total, minor units; none is no tax.
    pub amount_tax: i64,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
    /// Metadata.
    pub metadata: MetadataMap,
    /// What we said when we made it.
    pub client_reference_id: Option<String>,
    /// Where the buyer pays; none when it is not open. Whoever has it can pay, so it is not shown in logs.
    pub url: Option<String>,
    /// What Stripe's library pays with on a page of the app; whoever has it can pay, so it is not shown in logs.
    pub client_secret: Option<String>,
    /// When it stops being payable.
    pub expires_at_s: i64,
    /// When it was created.
    pub created_s: i64,
    /// What is bought; none when not expanded.
    pub line_items: Option<Vec<CheckoutLine>>,
    /// False when Stripe left lines out.
    pub line_items_complete: bool,
}

/// One line of a Checkout Session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutLine {
    /// `price_...`.
    pub price_id: Option<String>,
    /// `prod_...`.
    pub product_id: Option<String>,
    /// The price's lookup key.
    pub lookup_key: Option<String>,
    /// How many.
    pub quantity: Option<i64>,
    /// Minor units.
    pub amount_total: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
}

impl std::fmt::Debug for ObservedCheckout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObservedCheckout")
            .field("id", &self.id)
            .field("mode", &self.mode)
            .field("status", &self.status)
            .field("payment_status", &self.payment_status)
            .field("customer", &self.customer)
            .field("subscription", &self.subscription)
            .finish_non_exhaustive()
    }
}

impl ObservedCheckout {
    /// Reads a Checkout Session.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("checkout.session", value)?;
        let (line_items, line_items_complete) = match node.list("line_items")? {
            None => (None, false),
            Some((lines, more)) => {
                (Some(lines.iter().map(CheckoutLine::from_node).collect::<Result<_, _>>()?), !more)
            }
        };
        let details = node.child("total_details")?;
        Ok(Self {
            id: node.text("id")?,
            mode: node.text("mode")?,
            status: node.text("status")?,
            payment_status: node.text("payment_status")?,
            livemode: node.flag("livemode")?,
            customer: node.opt_id("customer")?,
            subscription: node.opt_id("subscription")?,
            payment_intent: node.opt_id("payment_intent")?,
            invoice: node.opt_id("invoice")?,
            amount_total: node.opt_int("amount_total")?,
            amount_tax: details.map(|d| d.opt_int("amount_tax")).transpose()?.flatten().unwrap_or(0),
            currency: node.opt_text("currency")?,
            metadata: node.metadata("metadata")?,
            client_reference_id: node.opt_text("client_reference_id")?,
            url: node.opt_text("url")?,
            client_secret: node.opt_text("client_secret")?,
            expires_at_s: node.int("expires_at")?,
            created_s: node.int("created")?,
            line_items,
            line_items_complete,
        })
    }
}

impl CheckoutLine {
    fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        let price = node.expandable("price")?;
        let expanded = price.as_ref().and_then(|p| p.expanded.as_ref());
        Ok(Self {
            product_id: expanded.map(|p| p.opt_id("product")).transpose()?.flatten(),
            lookup_key: expanded.map(|p| p.opt_text("lookup_key")).transpose()?.flatten(),
            price_id: price.map(|p| p.id),
            quantity: node.opt_int("quantity")?,
            amount_total: node.int("amount_total")?,
            currency: node.text("currency")?,
        })
    }
}
