//! What an object says beyond what anybody here decides from, as the parameters that say it again.
//!
//! A phase of a schedule is all that its subscription is: what a call does not name is taken away (facts section 12 and the
//! parameters of `SubscriptionScheduleUpdateParams.Phase`). So that a change of a price takes no tax rate and no discount
//! with it, those are read here and written back as they are. What they mean stays Stripe's to know.

use serde_json::Value;

use super::read::{Node, ShapeError, ShapeProblem};

/// Parameters that say what an object said. They begin with their bracket: `[tax_rates][0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    said: Vec<(String, String)>,
}

/// How a field is said again.
enum Field {
    /// Text, a number, true or false.
    Word,
    /// An id, or an object with one.
    Id,
    /// Several of them, each with what follows its index.
    Ids(&'static str),
    /// Discounts as a phase has them: objects of three ids, of which one is there.
    Reductions,
    /// Keys of the account's own.
    Map,
    /// An object of these.
    Inside(Fields),
    /// Several such objects.
    Each(Fields),
}

type Fields = &'static [(&'static str, Field)];

/// What a subscription is billed with, besides its prices.
const SUBSCRIPTION: Fields =
    &[("default_tax_rates", Field::Ids("")), ("discounts", Field::Ids("[discount]"))];

const ITEM: Fields = &[
    ("billing_thresholds", Field::Inside(&[("usage_gte", Field::Word)])),
    ("discounts", Field::Ids("[discount]")),
    ("metadata", Field::Map),
    ("tax_rates", Field::Ids("")),
];

const PHASE_ITEM: Fields = &[
    ("billing_thresholds", Field::Inside(&[("usage_gte", Field::Word)])),
    ("discounts", Field::Reductions),
    ("metadata", Field::Map),
    ("tax_rates", Field::Ids("")),
];

/// What a phase takes from its subscription at first, and what comes with its beginning.
const PHASE_BILLS: Fields = &[
    (
        "add_invoice_items",
        Field::Each(&[
            ("discountable", Field::Word),
            ("discounts", Field::Reductions),
            ("metadata", Field::Map),
            (
                "period",
                Field::Inside(&[
                    ("start", Field::Inside(&[("type", Field::Word), ("timestamp", Field::Word)])),
                    ("end", Field::Inside(&[("type", Field::Word), ("timestamp", Field::Word)])),
                ]),
            ),
            ("price", Field::Id),
            ("quantity", Field::Word),
            ("tax_rates", Field::Ids("")),
        ]),
    ),
    ("billing_cycle_anchor", Field::Word),
    ("default_tax_rates", Field::Ids("")),
    ("discounts", Field::Reductions),
];

const PARTY: Fields = &[("type", Field::Word), ("account", Field::Id)];

/// What a phase sets for itself; the rest follows the schedule's own `default_settings`, which nobody touches.
const PHASE: Fields = &[
    ("application_fee_percent", Field::Word),
    ("automatic_tax", Field::Inside(&[("enabled", Field::Word), ("liability", Field::Inside(PARTY))])),
    (
        "billing_thresholds",
        Field::Inside(&[("amount_gte", Field::Word), ("reset_billing_cycle_anchor", Field::Word)]),
    ),
    ("collection_method", Field::Word),
    ("default_payment_method", Field::Id),
    ("description", Field::Word),
    (
        "invoice_settings",
        Field::Inside(&[
            ("account_tax_ids", Field::Ids("")),
            ("custom_fields", Field::Each(&[("name", Field::Word), ("value", Field::Word)])),
            ("days_until_due", Field::Word),
            ("description", Field::Word),
            ("footer", Field::Word),
            ("issuer", Field::Inside(PARTY)),
        ]),
    ),
    ("metadata", Field::Map),
    ("on_behalf_of", Field::Id),
    ("transfer_data", Field::Inside(&[("amount_percent", Field::Word), ("destination", Field::Id)])),
];

impl Kept {
    pub(super) fn of_subscription(node: &Node<'_>) -> Result<Self, ShapeError> {
        Self::read(node, SUBSCRIPTION)
    }

    pub(super) fn of_item(node: &Node<'_>) -> Result<Self, ShapeError> {
        Self::read(node, ITEM)
    }

    pub(super) fn of_phase(node: &Node<'_>) -> Result<Self, ShapeError> {
        Self::read(node, PHASE)
    }

    pub(super) fn of_phase_item(node: &Node<'_>) -> Result<Self, ShapeError> {
        Self::read(node, PHASE_ITEM)
    }

    pub(super) fn of_phase_bills(node: &Node<'_>) -> Result<Self, ShapeError> {
        Self::read(node, PHASE_BILLS)
    }

    /// All of both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.said.extend_from_slice(&other.said);
        self
    }

    /// Each parameter and its value.
    pub fn said(&self) -> impl Iterator<Item = (&str, &str)> {
        self.said.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn read(node: &Node<'_>, fields: Fields) -> Result<Self, ShapeError> {
        let mut kept = Self::default();
        kept.gather("", node, fields)?;
        Ok(kept)
    }

    fn gather(&mut self, at: &str, node: &Node<'_>, fields: Fields) -> Result<(), ShapeError> {
        for (name, field) in fields {
            let here = format!("{at}[{name}]");
            match field {
                Field::Word => self.word(here, node, name)?,
                Field::Id => self.said.extend(node.opt_id(name)?.map(|id| (here, id))),
                Field::Ids(then) => {
                    let ids = node.ids(name)?.into_iter().enumerate();
                    self.said.extend(ids.map(|(index, id)| (format!("{here}[{index}]{then}"), id)));
                }
                Field::Reductions => {
                    for (index, child) in node.array(name)?.unwrap_or_default().iter().enumerate() {
                        let mut named = Ok(None);
                        for by in ["discount", "promotion_code", "coupon"] {
                            if matches!(named, Ok(None)) {
                                named = child.opt_id(by).map(|id| id.map(|id| (by, id)));
                            }
                        }
                        self.said.extend(named?.map(|(by, id)| (format!("{here}[{index}][{by}]"), id)));
                    }
                }
                Field::Map => {
                    let map = node.metadata(name)?.into_iter();
                    // A key with brackets would be another parameter; Stripe takes none.
                    let plain = map.filter(|(key, _)| !key.contains(['[', ']']));
                    self.said.extend(plain.map(|(key, value)| (format!("{here}[{key}]"), value)));
                }
                Field::Inside(fields) => {
                    if let Some(child) = node.child(name)? {
                        self.gather(&here, &child, fields)?;
                    }
                }
                Field::Each(fields) => {
                    for (index, child) in node.array(name)?.unwrap_or_default().iter().enumerate() {
                        self.gather(&format!("{here}[{index}]"), child, fields)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn word(&mut self, here: String, node: &Node<'_>, name: &str) -> Result<(), ShapeError> {
        let value = match node.value(name) {
            None => return Ok(()),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(Value::String(_) | Value::Number(_)) => node.opt_number_text(name)?.unwrap_or_default(),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) => {
                return Err(node.error(name, ShapeProblem::NotA("text or a number")));
            }
        };
        self.said.push((here, value));
        Ok(())
    }
}
