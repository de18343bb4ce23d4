//! Setup intents, as far as cards that were tried need them.

use serde_json::Value;

use super::read::{Node, ShapeError};

/// A setup intent: a card to be saved without a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSetup {
    /// `seti_...`.
    pub id: String,
    /// When it was created.
    pub created_s: i64,
    /// The fingerprint of the card that was refused last; none where none was, or it was no card.
    pub refused_card: Option<String>,
}

impl ObservedSetup {
    /// Reads a setup intent.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("setup_intent", value)?;
        let card = value.pointer("/last_setup_error/payment_method/card/fingerprint");
        Ok(Self {
            id: node.text("id")?,
            created_s: node.int("created")?,
            refused_card: card.and_then(Value::as_str).map(str::to_owned),
        })
    }
}
