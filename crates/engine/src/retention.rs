//! What is kept how long, and forgetting the rest.
//!
//! The books, the audit log, the timeline and the record of what a customer was told are not touched here; what is forgotten
//! has done its work. Refuses to know: erasing one customer (`erasure`).

use quittance_domain::Timestamp;
use quittance_domain::time::DAY_MS;
use quittance_store::retention::{self, Forgettable};
use quittance_store::{api_requests, app_events, fraud, quotes};

use crate::engine::Engine;
use crate::problem::Problem;

/// How long a quote that ran out is kept, so that it is told from one that never was; in milliseconds.
const QUOTES_KEPT_MS: i64 = DAY_MS;
/// How long it is kept where checkouts came from and which cards failed: twice the longest time in which they are counted.
const ATTEMPTS_KEPT_MS: i64 = 2 * DAY_MS;
/// Windows that one round looks at of each kind, so that a large backlog is forgotten in many rounds.
const WINDOWS: usize = 40;

/// The operator's choices, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// What the provider sent.
    pub events_days: i64,
    /// Records of deliveries: mails and webhooks that left or were given up.
    pub deliveries_days: i64,
    /// What was sent by mail, which is proof for disputes.
    pub mails_days: i64,
    /// Findings of sweeps that are mended.
    pub drifts_days: i64,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { events_days: 400, deliveries_days: 400, mails_days: 2_557, drifts_days: 400 }
    }
}

impl RetentionSettings {
    fn before(&self, what: Forgettable, now: Timestamp) -> Timestamp {
        let days = match what {
            Forgettable::Events => self.events_days,
            Forgettable::Deliveries => self.deliveries_days,
            Forgettable::Mails => self.mails_days,
            Forgettable::Drifts => self.drifts_days,
        };
        now.plus_ms(-days.saturating_mul(DAY_MS))
    }
}

impl Engine {
    /// Forgets what is older than it is to be kept; returns how many rows of the kinds of [`Forgettable`].
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn forget_old(&self) -> Result<u64, Problem> {
        let now = self.now();
        let mut forgotten = 0;
        for what in Forgettable::ALL {
            let before = self.settings().retention.before(what, now);
            let mut from = 0;
            for _window in 0..WINDOWS {
                let step = move |tx: &mut dyn quittance_store::Tx| retention::step(tx, what, from, before);
                let step = self.db().write("retention.step", step).await?;
                forgotten += step.forgotten;
                match step.next {
                    Some(next) => from = next,
                    None => break,
                }
            }
        }
        let before = now.plus_ms(-self.settings().idempotency_kept_ms);
        self.db().write("api_requests.prune", move |tx| api_requests::prune(tx, before)).await?;
        let before = now.plus_ms(-QUOTES_KEPT_MS);
        self.db().write("quotes.prune", move |tx| quotes::prune(tx, before)).await?;
        let before = now.plus_ms(-ATTEMPTS_KEPT_MS);
        self.db().write("fraud.prune", move |tx| fraud::prune(tx, before)).await?;
        let before = now.plus_ms(-self.settings().app_webhooks.kept_ms);
        self.db().write("app_events.prune", move |tx| app_events::prune(tx, before)).await?;
        Ok(forgotten)
    }
}
