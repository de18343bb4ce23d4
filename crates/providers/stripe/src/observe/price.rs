//! Prices and products, as the catalog is compared with them.

use serde_json::Value;

use super::MetadataMap;
use super::read::{Node, ShapeError};

/// A price as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPrice {
    /// `price_...`.
    pub id: String,
    /// Whether it can still be bought.
    pub active: bool,
    /// Live or test.
    pub livemode: bool,
    /// `prod_...`.
    pub product_id: Option<String>,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// Minor units; none for tiered, custom or fractional prices.
    pub unit_amount: Option<i64>,
    /// Minor units as Stripe writes them, with up to twelve decimals; never computed with here.
    pub unit_amount_decimal: Option<String>,
    /// The key that catalogs use.
    pub lookup_key: Option<String>,
    /// `recurring` or `one_time`.
    pub price_type: String,
    /// `day`, `week`, `month` or `year`.
    pub interval: Option<String>,
    /// How many intervals make a period.
    pub interval_count: Option<i64>,
    /// `licensed` or `metered`.
    pub usage_type: Option<String>,
    /// `inclusive`, `exclusive` or `unspecified`.
    pub tax_behavior: Option<String>,
    /// When it was created.
    pub created_s: i64,
    /// Metadata.
    pub metadata: MetadataMap,
}

/// A product as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedProduct {
    /// `prod_...` or an id of our choice.
    pub id: String,
    /// The name that customers see.
    pub name: String,
    /// One line about it.
    pub description: Option<String>,
    /// Whether it can still be bought.
    pub active: bool,
    /// Live or test.
    pub livemode: bool,
    /// Metadata.
    pub metadata: MetadataMap,
}

impl ObservedPrice {
    /// Reads a price.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("price", value)?;
        let recurring = node.child("recurring")?;
        let every = |field| recurring.as_ref().map(|r| r.opt_text(field)).transpose().map(Option::flatten);
        Ok(Self {
            id: node.text("id")?,
            active: node.flag("active")?,
            livemode: node.flag("livemode")?,
            product_id: node.opt_id("product")?,
            currency: node.text("currency")?,
            unit_amount: node.opt_int("unit_amount")?,
            unit_amount_decimal: node.opt_text("unit_amount_decimal")?,
            lookup_key: node.opt_text("lookup_key")?,
            price_type: node.text("type")?,
            interval: every("interval")?,
            interval_count: recurring.as_ref().map(|r| r.opt_int("interval_count")).transpose()?.flatten(),
            usage_type: every("usage_type")?,
            tax_behavior: node.opt_text("tax_behavior")?,
            created_s: node.int("created")?,
            metadata: node.metadata("metadata")?,
        })
    }
}

impl ObservedProduct {
    /// Reads a product.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("product", value)?;
        Ok(Self {
            id: node.text("id")?,
            name: node.text("name")?,
            description: node.opt_text("description")?,
            active: node.flag("active")?,
            livemode: node.flag("livemode")?,
            metadata: node.metadata("metadata")?,
        })
    }
}
