//! Coupons and promotion codes, as the catalog is compared with them.

use serde_json::Value;

use super::MetadataMap;
use super::read::{Node, ShapeError};

/// A coupon as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedCoupon {
    /// Its id, of our choice or Stripe's.
    pub id: String,
    /// Whether it can still be redeemed.
    pub valid: bool,
    /// What people read.
    pub name: Option<String>,
    /// A percentage as Stripe writes it; never computed with here.
    pub percent_off: Option<String>,
    /// An amount in minor units.
    pub amount_off: Option<i64>,
    /// The currency of the amount, lowercase ISO 4217.
    pub currency: Option<String>,
    /// `once`, `repeating` or `forever`.
    pub duration: String,
    /// Months, when repeating.
    pub duration_in_months: Option<i64>,
    /// Metadata.
    pub metadata: MetadataMap,
}

/// A promotion code as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPromotionCode {
    /// `promo_...`.
    pub id: String,
    /// What buyers type.
    pub code: String,
    /// Whether it can be redeemed.
    pub active: bool,
    /// The coupon's id.
    pub coupon: String,
    /// The coupon, when expanded.
    pub expanded: Option<ObservedCoupon>,
    /// How often it was redeemed.
    pub times_redeemed: i64,
    /// When it ends.
    pub expires_at_s: Option<i64>,
    /// Whether it is for a first purchase.
    pub first_purchase: bool,
    /// Metadata.
    pub metadata: MetadataMap,
}

impl ObservedCoupon {
    /// Reads a coupon.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        Self::from_node(&Node::root("coupon", value)?)
    }

    fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        Ok(Self {
            id: node.text("id")?,
            valid: node.flag("valid")?,
            name: node.opt_text("name")?,
            percent_off: node.opt_number_text("percent_off")?,
            amount_off: node.opt_int("amount_off")?,
            currency: node.opt_text("currency")?,
            duration: node.text("duration")?,
            duration_in_months: node.opt_int("duration_in_months")?,
            metadata: node.metadata("metadata")?,
        })
    }
}

impl ObservedPromotionCode {
    /// Reads a promotion code; the coupon is in `promotion` since Clover, and was in `coupon` before.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("promotion_code", value)?;
        let holder = node.child("promotion")?;
        let holder = holder.as_ref().unwrap_or(&node);
        let coupon = holder.expandable("coupon")?;
        let coupon = coupon.ok_or_else(|| node.error("promotion.coupon", super::ShapeProblem::Missing))?;
        let restrictions = node.child("restrictions")?;
        let first = restrictions.map(|r| r.opt_flag("first_time_transaction")).transpose()?.flatten();
        Ok(Self {
            id: node.text("id")?,
            code: node.text("code")?,
            active: node.flag("active")?,
            expanded: coupon.expanded.as_ref().map(ObservedCoupon::from_node).transpose()?,
            coupon: coupon.id,
            times_redeemed: node.opt_int("times_redeemed")?.unwrap_or(0),
            expires_at_s: node.opt_int("expires_at")?,
            first_purchase: first.unwrap_or(false),
            metadata: node.metadata("metadata")?,
        })
    }
}
