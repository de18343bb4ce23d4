//! The ledger held against the provider by the clock: once a day beside the sweeps, and soon again while they differ.
//!
//! What was just paid is posted within a minute, so one look that finds a difference proves nothing: the account's money is looked
//! at again, and operators are told when the next look still finds one. Mends nothing itself: [`crate::sync`] posts.

use quittance_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use quittance_domain::{AggregateKey, Timestamp};
use quittance_store::outbox::{self, NewAlert};
use quittance_store::sweeps::{self, SweepLease, SweepRow};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::ledger::{Lines, TieOut};
use crate::problem::Problem;
use crate::progress::LongRun;
use crate::telemetry;

/// The alert that ledger and provider differ.
pub const LEDGER_DIFFERS: &str = "ledger_differs";
/// The command that mends it.
const MEND: &str = "quittance ledger tie-out --mend";
const KIND: &str = LongRun::TieOut.as_str();
/// How often the two are held against each other while they agree.
const EVERY_MS: i64 = DAY_MS;
/// And how soon again while they do not, or after trouble.
const AGAIN_MS: i64 = 10 * MINUTE_MS;
/// How far before the last look balance transactions are compared one by one.
const OVERLAP_MS: i64 = HOUR_MS;

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTieOut {
    /// Nothing differed.
    pub agrees: bool,
    /// What differed: lines, or currencies where no line explains it.
    pub differences: u64,
    /// Balance transactions that were compared one by one.
    pub compared: u64,
}

impl LastTieOut {
    fn of(tied: &TieOut) -> Self {
        let apart = tied.currencies.iter().filter(|currency| currency.difference() != 0).count();
        Self {
            agrees: tied.agrees(),
            differences: tied.lines.len().max(apart) as u64,
            compared: tied.compared,
        }
    }
}

impl Engine {
    /// Whether it is time to hold the ledger against the provider: beside a sweep that has ended once.
    #[crate::boxed]
    pub(crate) async fn tie_out_is_due(&self) -> bool {
        let (scope, now) = (self.scope().to_string(), self.now());
        let due = self.db().read("tie_out.due", move |tx| {
            let swept = sweeps::get(tx, LongRun::Sweep.as_str(), &scope)?;
            let row = sweeps::get(tx, KIND, &scope)?;
            Ok(swept.is_some_and(|row| row.finished_at.is_some()) && row.is_none_or(|row| row.next_at <= now))
        });
        due.await.unwrap_or(false)
    }

    /// Holds the ledger against the provider, if it is time to and no other node does; `None` when it is not.
    ///
    /// # Errors
    /// What the provider or the database says; it is tried again soon.
    #[crate::boxed]
    pub async fn tie_out_by_the_clock(&self) -> Result<Option<TieOut>, Problem> {
        let Some((lease, before)) = self.claim_run(LongRun::TieOut, false).await? else { return Ok(None) };
        let since = before.finished_at.map(|at| at.plus_ms(-OVERLAP_MS));
        match self.hold_against_provider(since.map_or(Lines::None, Lines::Since)).await {
            Ok(tied) => {
                self.note_tie_out(lease, &before, &tied).await?;
                Ok(Some(tied))
            }
            Err(problem) => {
                let next = self.now().plus_ms(AGAIN_MS);
                self.db().write("tie_out.release", move |tx| sweeps::release(tx, &lease, next)).await?;
                Err(problem)
            }
        }
    }

    /// The last look by the clock, and when it was.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn last_tie_out(&self) -> Result<Option<(Timestamp, LastTieOut)>, Problem> {
        let scope = self.scope().to_string();
        let row = self.db().read("tie_out.last", move |tx| sweeps::get(tx, KIND, &scope)).await?;
        Ok(row.and_then(|row| row.finished_at.zip(last_of(&row))))
    }

    /// Whether operators are told that the two differ.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn ledger_differs(&self) -> Result<bool, Problem> {
        let scope = self.scope().to_string();
        Ok(self.db().read("tie_out.differs", move |tx| outbox::is_raised(tx, LEDGER_DIFFERS, &scope)).await?)
    }

    /// The alert that they differ is over.
    #[crate::boxed]
    pub(crate) async fn ledger_agrees(&self) -> Result<(), Problem> {
        let (scope, now) = (self.scope().to_string(), self.now());
        self.db().write("tie_out.agrees", move |tx| outbox::resolve(tx, LEDGER_DIFFERS, &scope, now)).await?;
        Ok(())
    }

    async fn note_tie_out(&self, lease: SweepLease, before: &SweepRow, tied: &TieOut) -> Result<(), Problem> {
        let (now, last) = (self.now(), LastTieOut::of(tied));
        let twice = last_of(before).is_some_and(|before| !before.agrees);
        let alert = (!last.agrees && twice).then(|| alert_of(&lease.scope, tied, last.differences));
        let next = now.plus_ms(if last.agrees { EVERY_MS } else { AGAIN_MS });
        let (report, scope) = (serde_json::to_string(&last).unwrap_or_default(), lease.scope.clone());
        let raised = self
            .db()
            .write("tie_out.note", move |tx| {
                if !sweeps::finish(tx, &lease, now, next, None, &report)? {
                    return Ok(false);
                }
                match &alert {
                    Some(alert) => outbox::raise(tx, alert, now),
                    None if last.agrees => outbox::resolve(tx, LEDGER_DIFFERS, &scope, now).map(|()| false),
                    None => Ok(false),
                }
            })
            .await?;
        if !last.agrees {
            // What is only late is posted by that, and the next look finds nothing.
            self.mark_swept(vec![AggregateKey::balance(self.scope().clone()).to_string()]).await?;
            tracing::warn!(differences = last.differences, "the ledger and the provider differ");
        }
        if raised {
            telemetry::alert(LEDGER_DIFFERS);
        }
        Ok(())
    }
}

fn last_of(row: &SweepRow) -> Option<LastTieOut> {
    row.report.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

fn alert_of(scope: &str, tied: &TieOut, differences: u64) -> NewAlert {
    let apart = tied.currencies.iter().filter(|currency| currency.difference() != 0);
    let sums: Vec<String> = apart
        .map(|c| {
            format!(
                "{} {}: the provider has {}, the ledger {}",
                c.difference(),
                c.currency.code(),
                c.provider,
                c.ledger
            )
        })
        .collect();
    let sums = if sums.is_empty() { "the sums agree".to_owned() } else { sums.join("; ") };
    let first = tied.lines.first().map_or_else(String::new, |line| {
        format!("; first {} {} ({})", line.detail, line.object, line.reason.as_str())
    });
    NewAlert {
        kind: LEDGER_DIFFERS.to_owned(),
        object: scope.to_owned(),
        customer: None,
        aggregate: None,
        detail: format!(
            "{differences} differences between ledger and provider, in minor units {sums}{first}"
        ),
        mend: MEND.to_owned(),
    }
}
