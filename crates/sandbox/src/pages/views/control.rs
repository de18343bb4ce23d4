//! Views of the pages for developers: control and index.

use super::{Frame, SubscriptionStatus};

/// One attempt or plan to deliver an event to one endpoint.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    /// Endpoint URL.
    pub url: String,
    /// What became of it.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
}

/// State of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Waiting for its time (seconds), or for the pause to end.
    Pending {
        /// Next attempt, seconds.
        at: Option<i64>,
    },
    /// Answered 2xx.
    Delivered {
        /// HTTP status.
        status: u16,
    },
    /// The last attempt failed: HTTP status, or none when the connection failed.
    Failed {
        /// HTTP status.
        status: Option<u16>,
    },
    /// Lost on purpose by the delivery policy.
    Dropped,
}

/// One event on the control page.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// `evt_…`.
    pub id: String,
    /// `invoice.paid`, ...
    pub kind: String,
    /// Created, seconds.
    pub created: i64,
    /// The object it is about.
    pub object_id: String,
    /// Deliveries.
    pub deliveries: Vec<DeliveryRow>,
    /// POST fields `times`, `concurrently` (`true`|`false`): deliver again.
    pub deliver_action: String,
}

/// Delivery policy; probabilities in thousandths (0 to 1000), since there are no floats here.
///
/// Posted fields: `duplicate`, `shuffle`, `drop` (whole percent 0 to 100), `delay_seconds`, `seed`; missing = 0.
#[derive(Clone, Debug)]
pub struct DeliveryPolicyView {
    /// Deliver twice, in whole percent.
    pub duplicate_percent: u32,
    /// Swap with a later one, in whole percent.
    pub shuffle_percent: u32,
    /// Never deliver, in whole percent.
    pub drop_percent: u32,
    /// Longest delay, seconds of the sandbox's clock.
    pub delay_seconds: u64,
    /// Seed of the policy's dice.
    pub seed: u64,
    /// Deliveries are held back.
    pub paused: bool,
    /// Deliveries held back now.
    pub held: usize,
    /// Where the policy form posts.
    pub action: String,
    /// POST field `paused` = `true`|`false`.
    pub pause_action: String,
}

/// A fault in force.
#[derive(Clone, Debug)]
pub struct FaultRow {
    /// Its id; posted as `id` to [`ControlView::fault_clear_action`].
    pub id: String,
    /// Path pattern.
    pub path: String,
    /// In words or code: `429 rate_limit`, `500`, `lost after the commit`.
    pub effect: String,
    /// How many more times; `None` without limit.
    pub remaining: Option<u64>,
}

/// A customer on the control page.
#[derive(Clone, Debug)]
pub struct CustomerRow {
    /// `cus_…`.
    pub id: String,
    /// What the app calls it, from the metadata.
    pub app_id: Option<String>,
    /// E-mail.
    pub email: Option<String>,
    /// The test clock by which they live: its name or its id.
    pub clock: Option<String>,
    /// The time by which they live, seconds.
    pub now: i64,
    /// Subscriptions.
    pub subscriptions: Vec<SubscriptionRow>,
    /// POST, no fields: open a portal session and redirect to it. `None` hides the button.
    pub portal_action: Option<String>,
}

/// A subscription on the control page.
#[derive(Clone, Debug)]
pub struct SubscriptionRow {
    /// `sub_…`.
    pub id: String,
    /// Product name.
    pub name: String,
    /// Status.
    pub status: SubscriptionStatus,
    /// End of the current period, seconds.
    pub period_end: i64,
    /// Set to end.
    pub cancel_at: Option<i64>,
}

/// A checkout session that is still open.
#[derive(Clone, Debug)]
pub struct OpenSessionRow {
    /// `cs_…`.
    pub id: String,
    /// Hosted page.
    pub path: String,
    /// What is bought.
    pub description: String,
    /// Expires, seconds.
    pub expires_at: i64,
}

/// A time line on the control page: the sandbox's own, or a test clock's.
#[derive(Clone, Debug)]
pub struct TimeLineRow {
    /// What it is called; `None` for a test clock without a name.
    pub name: Option<String>,
    /// `clock_…`; `None` for the sandbox's own time.
    pub id: Option<String>,
    /// Where it stands, seconds.
    pub now: i64,
    /// How many customers live by it; `None` for the sandbox's own time.
    pub customers: Option<usize>,
    /// It was sent ahead and has not arrived.
    pub advancing: bool,
    /// When the next renewal on it is due, seconds; `None` disables that button.
    pub next_renewal: Option<i64>,
    /// POST fields `step` = `day` | `month` | `renewal`, and `return_to`.
    pub travel_action: String,
    /// POST, no fields: delete the clock. `None` hides the button.
    pub delete_action: Option<String>,
}

/// The control page `/_sandbox`. English only.
#[derive(Clone, Debug)]
pub struct ControlView {
    /// The frame.
    pub frame: Frame,
    /// Result of the last action, in words.
    pub notice: Option<String>,
    /// The sandbox's own time, then the test clocks, newest first.
    pub time_lines: Vec<TimeLineRow>,
    /// Seconds of the sandbox's own time in each real second; 0 when it stands still.
    pub speed: u32,
    /// POST field `speed`.
    pub speed_action: String,
    /// POST field `name`, which may be empty: make a test clock that stands at the sandbox's own time.
    pub new_clock_action: String,
    /// Recent events, newest first.
    pub events: Vec<EventRow>,
    /// Events in total.
    pub events_total: usize,
    /// Delivery policy.
    pub policy: DeliveryPolicyView,
    /// Webhook endpoints: URL and whether it is enabled.
    pub endpoints: Vec<(String, bool)>,
    /// Faults in force.
    pub faults: Vec<FaultRow>,
    /// POST fields `path` (pattern, `*` for all), `kind` = `429`|`500`|`lost_before_commit`|`lost_after_commit`|
    /// `latency`, `latency_ms` (only for latency), `count`.
    pub fault_action: String,
    /// POST field `id`, or none for all: lift faults.
    pub fault_clear_action: String,
    /// Open checkout sessions.
    pub open_sessions: Vec<OpenSessionRow>,
    /// Customers, newest first.
    pub customers: Vec<CustomerRow>,
    /// POST, no fields: start again.
    pub reset_action: String,
}

/// The index page `/`. English only.
#[derive(Clone, Debug)]
pub struct IndexView {
    /// The frame.
    pub frame: Frame,
    /// Where the sandbox answers, without a slash at the end: `http://127.0.0.1:12111`.
    pub base_url: String,
    /// A key that the sandbox accepts, for the curl lines.
    pub api_key: String,
    /// The pinned API version.
    pub api_version: String,
    /// Path of the control page.
    pub control_path: String,
}
