//! How far a long run has come, for whoever waits: on this node or another, since it is told through the database.

use quittance_domain::Timestamp;
use quittance_domain::ids::LeaseToken;
use quittance_store::sweeps::{self, SweepLease, SweepRow};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::problem::Problem;

/// A long run of which there is one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongRun {
    /// The comparison of the mirror with the provider.
    Sweep,
    /// The filling of the mirror from an existing account.
    Import,
    /// The ledger held against the provider's balance and payouts.
    TieOut,
}

impl LongRun {
    /// The name in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sweep => "provider",
            Self::Import => "import",
            Self::TieOut => "tie_out",
        }
    }
}

/// How far a run has come in its present step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it does: `events`, `subscriptions`, `payments`, `invoices`, `customers`, `syncs`.
    pub step: String,
    /// Objects done in this step.
    pub done: u64,
    /// Of about how many; none where nobody can know, because the provider's lists do not tell their length.
    pub of: Option<u64>,
    /// Objects a second in this step, in this process.
    pub per_second: u64,
}

/// Where a long run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// Somebody runs it now.
    pub running: bool,
    /// How far it has come, of the run under way or the last one.
    pub progress: Option<Progress>,
    /// When the last whole run ended.
    pub finished_at: Option<Timestamp>,
    /// When the next is due; of no meaning for an import.
    pub next_at: Timestamp,
}

/// Measures a step: what was done before it began here says nothing of how fast it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    begun: Timestamp,
    before: u64,
}

impl Meter {
    pub(crate) const fn start(now: Timestamp, before: u64) -> Self {
        Self { begun: now, before }
    }

    pub(crate) fn read(self, step: &str, done: u64, of: Option<u64>, now: Timestamp) -> Progress {
        let (new, ms) = (done.saturating_sub(self.before), now.since(self.begun).max(1));
        let per_second = new.saturating_mul(1_000) / u64::try_from(ms).unwrap_or(1);
        // An estimate that was passed is no estimate any more.
        Progress { step: step.to_owned(), done, of: of.map(|of| of.max(done)), per_second }
    }
}

impl Engine {
    /// Claims a run if it is due (or `by_hand`) and nobody has it: the right to it, and its row as it was found.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub(crate) async fn claim_run(
        &self,
        run: LongRun,
        by_hand: bool,
    ) -> Result<Option<(SweepLease, SweepRow)>, Problem> {
        let lease = SweepLease {
            kind: run.as_str(),
            scope: self.scope().to_string(),
            token: LeaseToken::from_random(self.world().random()),
        };
        let (claim, now) = (lease.clone(), self.now());
        let until = now.plus_ms(self.settings().retry.lease_ms);
        let claimed = self
            .db()
            .write("progress.claim", move |tx| sweeps::claim(tx, &claim, now, until, by_hand))
            .await?;
        Ok(claimed.map(|found| (lease, found)))
    }

    /// Where a long run is; none when there never was one.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn run_state(&self, run: LongRun) -> Result<Option<RunState>, Problem> {
        let (scope, now) = (self.scope().to_string(), self.now());
        let row = self.db().read("progress.get", move |tx| sweeps::get(tx, run.as_str(), &scope)).await?;
        Ok(row.map(|row| RunState {
            running: row.lease_until.is_some_and(|until| until > now),
            progress: row.progress.and_then(|text| serde_json::from_str(&text).ok()),
            finished_at: row.finished_at,
            next_at: row.next_at,
        }))
    }
}
