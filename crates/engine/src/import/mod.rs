//! Filling the mirror from an account that has lived without us.
//!
//! It lists what the provider has, 100 at a time and behind the limiter's reserve, and marks each customer once; the syncs that
//! follow fill the mirror through the one door. Each page is one transaction with where the run is, so that a run that was
//! interrupted goes on. At the end it lays what was listed beside what is mirrored.
//!
//! It links customers only as an operator's file says; what metadata names, the sync links.

mod coverage;
mod listing;
mod sets;

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;
use quittance_domain::{AggregateKey, CustomerId, Timestamp};
use quittance_store::sweeps::{self, SweepLease};
use quittance_store::{aggregates, coverage as store_coverage};
use serde::{Deserialize, Serialize};

pub use coverage::{CoverageLine, NotCovered};
use sets::IdSet;

use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::progress::{LongRun, Meter, Progress};
use crate::sync::SyncEnd;
use crate::world::Point;

/// Rows of a mapping file at most.
pub const MOST_MAPPINGS: usize = 1_000_000;
/// First and longest pause while others sync what this run has marked, in milliseconds.
const WAIT_MS: (u64, u64) = (20, 2_000);

/// What to import, and how.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Only list and count: nothing is marked, linked or synced.
    pub dry_run: bool,
    /// Whose the provider's customers are, as the operator says: the provider's id to ours.
    pub mapping: BTreeMap<String, CustomerId>,
}

/// What an import listed, and what the mirror has of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// It only counted.
    pub dry_run: bool,
    /// It went on where an earlier run had been interrupted.
    pub resumed: bool,
    /// Customers.
    pub customers: Customers,
    /// What was listed beside what is mirrored, by object and status.
    pub coverage: Vec<CoverageLine>,
    /// What is not in the mirror, and why.
    pub not_covered: Vec<NotCovered>,
    /// Whether the ledger's provider balance is the provider's own, to the minor unit; none where it was not compared.
    pub balance_agrees: Option<bool>,
    /// Calls to the provider for lists; the syncs made their own.
    pub calls: u64,
    /// Syncs that this process has ended.
    pub syncs: u64,
}

impl ImportReport {
    /// Whether both sides have the same objects in every line that is compared, and the same balance.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.coverage.iter().all(|line| line.same) && self.balance_agrees != Some(false)
    }
}

/// The provider's customers, by owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Customers {
    /// Listed by the provider.
    pub listed: u64,
    /// Linked to a customer of yours.
    pub linked: u64,
    /// With subscriptions, payments or invoices, and linked to nobody.
    pub unowned: u64,
    /// Linked by the mapping file in this run.
    pub by_mapping: u64,
    /// Rows of the mapping file that name a customer who is linked to another one already; left as they are.
    pub mapping_conflicts: u64,
    /// Rows of the mapping file whose customer the provider does not list.
    pub mapping_unknown: u64,
}

/// What a run does; in this order, because the customers that have anything are known by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    #[default]
    Subscriptions,
    Payments,
    Invoices,
    Customers,
    Syncs,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Subscriptions => "subscriptions",
            Self::Payments => "payments",
            Self::Invoices => "invoices",
            Self::Customers => "customers",
            Self::Syncs => "syncs",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Subscriptions => Self::Payments,
            Self::Payments => Self::Invoices,
            Self::Invoices => Self::Customers,
            Self::Customers | Self::Syncs => Self::Syncs,
        }
    }
}

/// Where an interrupted run goes on, and what it has counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Cursor {
    step: Step,
    after: Option<String>,
    /// By step: what was listed, by word.
    listed: BTreeMap<String, BTreeMap<String, IdSet>>,
    /// Listed invoices that leave an entry in the ledger.
    booked: IdSet,
    by_mapping: u64,
    conflicts: u64,
    /// Listed customers whom the mapping names.
    mapped: u64,
    calls: u64,
}

impl Cursor {
    /// Begins a step again.
    fn forget(&mut self, step: Step) {
        self.listed.remove(step.as_str());
        match step {
            Step::Invoices => self.booked = IdSet::default(),
            Step::Customers => (self.conflicts, self.mapped) = (0, 0),
            Step::Subscriptions | Step::Payments | Step::Syncs => {}
        }
    }

    fn count(&mut self, step: Step, word: &str, id: &str) {
        let of_step = self.listed.entry(step.as_str().to_owned()).or_default();
        of_step.entry(word.to_owned()).or_default().add(id);
    }

    fn counted(&self, step: Step, word: &str) -> u64 {
        self.listed.get(step.as_str()).and_then(|words| words.get(word)).map_or(0, |set| set.count)
    }

    fn total(&self, step: Step) -> u64 {
        self.listed.get(step.as_str()).map_or(0, |words| words.values().map(|set| set.count).sum())
    }
}

/// A run under way.
struct Run<'a> {
    lease: SweepLease,
    options: &'a ImportOptions,
    /// Where an interrupted run was; a dry one leaves it alone.
    kept: Option<String>,
    /// Customers that this process has marked: once is enough.
    marked: HashSet<String>,
    syncs: u64,
}

impl Engine {
    /// Fills the mirror from the provider's account, and says how much of it is covered; `None` while another process does.
    ///
    /// # Errors
    /// What the provider or the database says; run again, it goes on where it was.
    #[crate::boxed]
    pub async fn import(&self, options: &ImportOptions) -> Result<Option<ImportReport>, Problem> {
        if options.mapping.len() > MOST_MAPPINGS {
            return Err(Problem::invalid(format!("A mapping may have {MOST_MAPPINGS} rows.")));
        }
        let now = self.now();
        let Some((lease, found)) = self.claim_run(LongRun::Import, true).await? else { return Ok(None) };
        let kept = found.cursor.as_deref().filter(|_| !options.dry_run);
        let cursor: Option<Cursor> = kept.and_then(|text| serde_json::from_str(text).ok());
        let (resumed, mut cursor) = (cursor.is_some(), cursor.unwrap_or_default());
        let began = found.started_at.filter(|_| resumed).unwrap_or(now);
        let mut run = Run { lease, options, kept: found.cursor, marked: HashSet::new(), syncs: 0 };
        let outcome = self.run_import(&mut run, &mut cursor, resumed).await;
        let (held, now) = (run.lease.clone(), self.now());
        let ended = match &outcome {
            Ok(report) if !options.dry_run => serde_json::to_string(report).ok(),
            Ok(_) | Err(_) => None,
        };
        self.db()
            .write("import.end", move |tx| match &ended {
                Some(report) => {
                    // Every customer was looked at after it began: a sweep need not ask for the events of before.
                    if sweeps::finish(tx, &held, now, now, Some(began), report)? {
                        sweeps::seen(tx, LongRun::Sweep.as_str(), &held.scope, began, now)?;
                    }
                    Ok(())
                }
                None => sweeps::release(tx, &held, now),
            })
            .await?;
        outcome.map(Some)
    }

    async fn run_import(
        &self,
        run: &mut Run<'_>,
        cursor: &mut Cursor,
        resumed: bool,
    ) -> Result<ImportReport, Problem> {
        while cursor.step != Step::Syncs {
            self.list_step(run, cursor).await?;
            cursor.step = cursor.step.next();
            cursor.after = None;
        }
        if !run.options.dry_run {
            self.sync_marked(run, cursor).await?;
        }
        self.coverage(run, cursor, resumed).await
    }

    /// Syncs what was marked, together with whoever else works on this database, until nothing of it waits.
    async fn sync_marked(&self, run: &mut Run<'_>, cursor: &Cursor) -> Result<(), Problem> {
        let balance = AggregateKey::balance(self.scope().clone()).to_string();
        self.mark_swept(vec![balance]).await?;
        let (prefix, until) = (format!("{}/", self.scope()), self.now());
        let waiting = async || {
            let prefix = prefix.clone();
            let count =
                self.db().read("import.waiting", move |tx| store_coverage::waiting(tx, &prefix, until));
            Ok::<_, Problem>(u64::try_from(count.await?.waiting).unwrap_or(0))
        };
        let (of, meter) = (waiting().await?, Meter::start(self.now(), 0));
        let mut pause = WAIT_MS.0;
        let at_once = i64::try_from(self.settings().sync_concurrency.max(1)).unwrap_or(1);
        loop {
            let claims = self.claim(at_once).await?;
            let progress = meter.read(Step::Syncs.as_str(), run.syncs, Some(of), self.now());
            self.keep_place(run, cursor, &progress, Vec::new()).await?;
            if claims.is_empty() {
                if waiting().await? == 0 {
                    return Ok(());
                }
                self.world().sleep(pause).await;
                pause = (pause * 2).min(WAIT_MS.1);
                continue;
            }
            pause = WAIT_MS.0;
            for ended in join_all(claims.into_iter().map(|claim| self.sync(claim))).await {
                run.syncs += u64::from(ended? == SyncEnd::Done);
            }
        }
    }

    /// Writes down what a page brought, and where the run is, at once; what that has come to counts with it. A run that another
    /// process has taken over stops.
    async fn keep_place(
        &self,
        run: &Run<'_>,
        cursor: &Cursor,
        progress: &Progress,
        found: Vec<listing::Found>,
    ) -> Result<Cursor, Problem> {
        let (dry, before) = (run.options.dry_run, run.kept.clone());
        let told = serde_json::to_string(progress).ok();
        let (held, now, cursor) = (run.lease.clone(), self.now(), cursor.clone());
        let until = now.plus_ms(self.settings().retry.lease_ms);
        let engine = self.clone();
        let kept = self
            .db()
            .write("import.page", move |tx| {
                let mut next = cursor.clone();
                for found in &found {
                    listing::keep(tx, &engine, found, &mut next, dry, now)?;
                }
                let text = if dry { before.clone() } else { serde_json::to_string(&next).ok() };
                let ours = sweeps::checkpoint(tx, &held, text.as_deref(), told.as_deref(), until)?;
                Ok(ours.then_some(next))
            })
            .await?;
        self.world().point(Point::ImportCheckpointed).await;
        kept.ok_or_else(|| {
            Problem::new(
                ProblemCode::WrongState,
                "Another process has taken this import over.",
                "Wait for it, or run it again later: it goes on where the other one is.",
            )
        })
    }
}

/// A mark that looks at everything, and tries again what was given up: an operator asks.
fn hint(key: &str, now: Timestamp) -> aggregates::Hint<'_> {
    aggregates::Hint { key, priority: aggregates::Priority::Sweep, due: now, unpark: true, thorough: true }
}
