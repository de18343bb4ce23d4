//! Test clocks: a time of their own for a few customers.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::state::timers::Timers;

/// Whether a clock stands, or is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ClockState {
    /// It stands at its time.
    Ready,
    /// It was told to move and has not arrived.
    Advancing {
        /// Where it goes, in unix seconds.
        to: i64,
    },
}

/// A test clock, with the timers of everything that lives by it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TestClock {
    pub(crate) id: String,
    /// On the account's own time, as is `deletes_after`.
    pub(crate) created: i64,
    pub(crate) deletes_after: i64,
    pub(crate) name: Option<String>,
    pub(crate) state: ClockState,
    /// Where it stands, in unix seconds.
    pub(crate) now: i64,
    pub(crate) timers: Timers,
}

impl Stored for TestClock {
    const LABEL: &'static str = "test_clock";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl TestClock {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let (status, details) = match self.state {
            ClockState::Ready => ("ready", json!({})),
            ClockState::Advancing { to } => {
                ("advancing", json!({ "advancing": { "target_frozen_time": to } }))
            }
        };
        json!({
            "id": self.id,
            "object": "test_helpers.test_clock",
            "created": self.created,
            "deletes_after": self.deletes_after,
            "frozen_time": self.now,
            "livemode": false,
            "name": self.name,
            "status": status,
            "status_details": details,
        })
    }
}
