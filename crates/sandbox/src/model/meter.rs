//! Billing meters and the events that they count. How they are counted is in `billing::metering`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::decimal::Decimal;
use crate::state::table::Stored;
use crate::words::words;

words! {
    /// How the events of a period become one number.
    Formula { Sum = "sum", Count = "count", Last = "last" }
}

words! {
    /// Events of one window replace each other: the caller has added them up already.
    TimeWindow { Hour = "hour", Day = "day" }
}

impl TimeWindow {
    /// Its length in seconds; windows begin at whole hours and days of UTC.
    pub(crate) const fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }
}

/// A meter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Meter {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) display_name: String,
    /// The name by which events find it; one active meter has it.
    pub(crate) event_name: String,
    pub(crate) formula: Formula,
    /// Where an event's payload has its customer.
    pub(crate) customer_key: String,
    /// Where an event's payload has its value.
    pub(crate) value_key: String,
    pub(crate) time_window: Option<TimeWindow>,
    /// When it was switched off, in unix seconds; none while it counts.
    pub(crate) deactivated_at: Option<i64>,
}

impl Stored for Meter {
    const LABEL: &'static str = "billing meter";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl Meter {
    pub(crate) fn is_active(&self) -> bool {
        self.deactivated_at.is_none()
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "object": "billing.meter",
            "created": self.created,
            "customer_mapping": { "event_payload_key": self.customer_key, "type": "by_id" },
            "default_aggregation": { "formula": self.formula.as_str() },
            "display_name": self.display_name,
            "event_name": self.event_name,
            "event_time_window": self.time_window.map(TimeWindow::as_str),
            "livemode": false,
            "status": if self.is_active() { "active" } else { "inactive" },
            "status_transitions": { "deactivated_at": self.deactivated_at },
            "updated": self.updated,
            "value_settings": { "event_payload_key": self.value_key },
        })
    }
}

/// A value as a snapshot has it: a text, and a whole number in those of before values had decimal places.
fn read_value<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Whole(i64),
        Exact(Decimal),
    }
    Ok(match Written::deserialize(from)? {
        Written::Whole(value) => Decimal::from(value),
        Written::Exact(value) => value,
    })
}

/// Something that a customer used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MeterEvent {
    /// Its place among all events; the API shows the identifier instead.
    pub(crate) id: String,
    pub(crate) identifier: String,
    pub(crate) meter: String,
    pub(crate) event_name: String,
    pub(crate) customer: String,
    /// Units; negative to take some back.
    #[serde(deserialize_with = "read_value")]
    pub(crate) value: Decimal,
    /// When it was used, in unix seconds.
    pub(crate) timestamp: i64,
    /// When it was reported, in unix seconds.
    pub(crate) received: i64,
    pub(crate) cancelled: bool,
    pub(crate) payload: BTreeMap<String, String>,
}

impl Stored for MeterEvent {
    const LABEL: &'static str = "billing meter event";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.received
    }
    fn customer(&self) -> Option<&str> {
        Some(&self.customer)
    }
}

impl MeterEvent {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        json!({
            "object": "billing.meter_event",
            "created": self.received,
            "event_name": self.event_name,
            "identifier": self.identifier,
            "livemode": false,
            "payload": self.payload,
            "timestamp": self.timestamp,
        })
    }
}
