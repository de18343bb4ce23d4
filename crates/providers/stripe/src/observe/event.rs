//! Events from Stripe's own list, with which missed webhooks are found.

use serde_json::Value;

use super::read::{Node, ShapeError};

/// An event as the list shows it. Its JSON is read and redacted like a webhook's body ([`crate::event`], [`crate::redact`]).
#[derive(Clone, PartialEq, Eq)]
pub struct ListedEvent {
    /// `evt_...`.
    pub id: String,
    /// For example `invoice.paid`.
    pub event_type: String,
    /// When Stripe made it.
    pub created_s: i64,
    /// Live or test.
    pub livemode: bool,
    /// The event as JSON text; not byte for byte what a webhook would carry. It can hold personal data.
    pub json: String,
}

impl std::fmt::Debug for ListedEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} at {}", self.id, self.event_type, self.created_s)
    }
}

impl ListedEvent {
    /// Reads an event.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("event", value)?;
        Ok(Self {
            id: node.text("id")?,
            event_type: node.text("type")?,
            created_s: node.int("created")?,
            livemode: node.flag("livemode")?,
            json: value.to_string(),
        })
    }
}
