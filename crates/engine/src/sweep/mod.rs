//! Layer 3: the sweep. It reads the provider's own list of events, so that a webhook that never came is made good; lists
//! what the provider has, compares with the mirror, and marks what differs; and looks through our own side.
//!
//! It writes nothing around the one door: a difference is kept as a finding, and is just another hint. What a machine
//! could mend wrongly waits for an operator.

mod compare;
mod customers;
mod holdings;
mod ids;
mod own;

use std::collections::BTreeMap;
use std::sync::Mutex;

use quittance_domain::drift::{Cause, DriftKind, Finding, Mending, WrongAccess};
use quittance_domain::ids::LeaseToken;
use quittance_domain::projection::AnomalyKind;
use quittance_domain::time::MINUTE_MS;
use quittance_domain::{AggregateKey, Timestamp};
use quittance_store::aggregates::{self, Hint, Priority as Urgency};
use quittance_store::drifts::{self, Kept};
use quittance_store::inbox::{self, NewEvent};
use quittance_store::outbox::{self, NewAlert};
use quittance_store::sweeps::{self, SweepLease, SweepRow};
use quittance_store::{Tx, coverage, customers as store_customers, mirror};
use quittance_stripe::calls::events::ListEvents;
use quittance_stripe::calls::subscriptions::{EXPAND_TO_COMPARE, ListSubscriptions};
use quittance_stripe::calls::{self, Call, Paging};
use quittance_stripe::error::StripeError;
use serde::{Deserialize, Serialize};

use crate::commands::request::{Request, Which};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::progress::{LongRun, Meter, Progress};
use crate::settings::EmailTruth;
use crate::sync::names_missing;
use crate::turns::Turn;
use crate::world::Point;
use crate::{inbox as inbox_of_engine, telemetry};
use ids::Ids;

const KIND: &str = LongRun::Sweep.as_str();
/// Events are looked for this far before the last run began: clocks differ, and lists lag.
const OVERLAP_MS: i64 = 10 * MINUTE_MS;
/// The provider keeps events for 30 days.
const EVENTS_KEPT_MS: i64 = 30 * 24 * 60 * MINUTE_MS;
/// Pages of one list at most: 100 million objects.
const MOST_PAGES: u32 = 1_000_000;
/// Pause after a run that the provider or the database interrupted.
pub(crate) const AGAIN_MS: i64 = 5 * MINUTE_MS;
/// Mirrored subscriptions that are looked through at a time.
const MIRROR_PAGE: i64 = 500;
/// Findings that one run keeps and tells at most; what differs beyond that is marked and counted all the same.
const MOST_FINDINGS: u64 = 10_000;
/// Differences that a dry run shows at most; it counts all.
const MOST_SHOWN: usize = 1_000;

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SweepReport {
    /// Subscriptions that were compared.
    pub subscriptions: u64,
    /// Customers that were compared; none in a run by the clock that left them to the day's first.
    #[serde(default)]
    pub customers: u64,
    /// Those that the mirror has otherwise.
    pub differing: u64,
    /// Those that the mirror does not have.
    pub unknown: u64,
    /// Those that the mirror has and the provider no longer lists.
    pub gone: u64,
    /// Events that the provider lists.
    pub events: u64,
    /// Those that had not reached us.
    pub missed_events: u64,
    /// Those that differ because a look is about to answer their webhook: no drift.
    #[serde(default)]
    pub under_way: u64,
    /// Differences that were found, of all kinds.
    #[serde(default)]
    pub findings: u64,
    /// Those that no run had found before.
    #[serde(default)]
    pub new_findings: u64,
    /// Those that wait for an operator.
    #[serde(default)]
    pub for_operator: u64,
    /// Calls to the provider.
    pub calls: u64,
}

/// What a sweep came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// How much of what.
    pub report: SweepReport,
    /// What a dry run found, which keeps nothing: the first thousand. Of another run [`Engine::drift`] has them.
    pub differences: Vec<Difference>,
}

/// A difference that a dry run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub finding: Finding,
    /// What a run that is not dry does about it.
    pub then: Then,
}

/// What becomes of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// A sync looks and mends it.
    Sync,
    /// Our address is written to the provider.
    WriteOurs,
    /// The provider's address is taken over.
    TakeTheirs,
    /// It waits for an operator.
    Operator,
}

impl Then {
    /// The word of command line and API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::WriteOurs => "write_ours",
            Self::TakeTheirs => "take_theirs",
            Self::Operator => "operator",
        }
    }

    fn of(kind: DriftKind, truth: EmailTruth) -> Self {
        match (kind, kind.mending()) {
            (DriftKind::Email, _) => match truth {
                EmailTruth::Ours => Self::WriteOurs,
                EmailTruth::Provider => Self::TakeTheirs,
                EmailTruth::Ignore => Self::Operator,
            },
            (_, Mending::Sync) => Self::Sync,
            (_, Mending::Operator) => Self::Operator,
        }
    }
}

/// A finding, with what only its mending needs.
#[derive(Debug, Clone)]
struct Noticed {
    finding: Finding,
    /// The address that the provider has.
    email: Option<String>,
}

/// Where an interrupted run goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Cursor {
    after: Option<String>,
    report: SweepReport,
    /// The last event that was read.
    #[serde(default)]
    told_upto: Option<String>,
    /// The events were read.
    #[serde(default)]
    told: bool,
    /// The subscriptions were compared.
    seen: bool,
    /// The last customer that was read.
    #[serde(default)]
    customers_after: Option<String>,
    /// The customers were compared.
    #[serde(default)]
    customers_seen: bool,
}

/// A run under way.
struct Run {
    lease: SweepLease,
    /// It changes nothing: not even where an interrupted run goes on, nor when the next one is due.
    dry: bool,
    /// Somebody asked for it.
    by_hand: bool,
    /// The row as it was found.
    found: SweepRow,
    /// When it began, before whatever interrupted it.
    began: Timestamp,
    /// What it shows, if it is dry.
    shown: Mutex<Vec<Difference>>,
}

impl Engine {
    /// Runs the sweep if it is due (or `by_hand`) and no other node runs it; `None` when it is not.
    /// With `dry_run` it only counts.
    ///
    /// # Errors
    /// What the provider or the database says; the run goes on from its checkpoint next time.
    pub async fn sweep(&self, by_hand: bool, dry_run: bool) -> Result<Option<SweepReport>, Problem> {
        Ok(self.swept(by_hand, dry_run).await?.map(|swept| swept.report))
    }

    /// As [`Engine::sweep`], and with `dry_run` also what was found.
    ///
    /// # Errors
    /// As [`Engine::sweep`].
    pub async fn swept(&self, by_hand: bool, dry_run: bool) -> Result<Option<Swept>, Problem> {
        let lease = SweepLease {
            kind: KIND,
            scope: self.scope().to_string(),
            token: LeaseToken::from_random(self.world().random()),
        };
        let (claim, now) = (lease.clone(), self.now());
        let until = now.plus_ms(self.settings().retry.lease_ms);
        let claimed =
            self.db().write("sweep.claim", move |tx| sweeps::claim(tx, &claim, now, until, by_hand)).await?;
        let Some(found) = claimed else { return Ok(None) };
        self.world().point(Point::SweepClaimed).await;
        let began =
            found.started_at.filter(|_| !dry_run && found.cursor.is_some()).unwrap_or_else(|| self.now());
        let run = Run { lease, dry: dry_run, by_hand, found, began, shown: Mutex::default() };
        let outcome = self.run_sweep(&run).await;
        if run.dry || outcome.is_err() {
            let next = if run.dry { run.found.next_at } else { self.now().plus_ms(AGAIN_MS) };
            let held = run.lease.clone();
            self.db().write("sweep.release", move |tx| sweeps::release(tx, &held, next)).await?;
        }
        let report = outcome?;
        let differences = run.shown.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Some(Swept { report, differences }))
    }

    /// When the next run is due; `None` while the database does not say.
    pub(crate) async fn sweep_due_at(&self) -> Option<Timestamp> {
        let (scope, now) = (self.scope().to_string(), self.now());
        let row = self.db().read("sweep.due", move |tx| sweeps::get(tx, KIND, &scope)).await.ok()?;
        Some(row.map_or(now, |row| row.next_at))
    }

    async fn run_sweep(&self, run: &Run) -> Result<SweepReport, Problem> {
        let row = &run.found;
        let (resumed, began) = (row.cursor.as_deref().filter(|_| !run.dry), run.began);
        let mut cursor: Cursor = resumed.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        // The events first: they say why something differs.
        let mut missed = BTreeMap::new();
        if !cursor.told {
            let since =
                row.watermark.map_or(began.plus_ms(-EVENTS_KEPT_MS), |mark| mark.plus_ms(-OVERLAP_MS));
            missed = self.sweep_events(run, since, &mut cursor).await?;
            cursor.told = true;
        }
        if !cursor.seen {
            self.sweep_subscriptions(run, &missed, &mut cursor).await?;
        }
        if !cursor.customers_seen {
            self.sweep_customers(run, &mut cursor).await?;
        }
        self.sweep_own(run, &mut cursor.report).await?;
        let report = cursor.report;
        if !run.dry {
            // What moves the balance has no event of its own everywhere: fees, for one.
            self.mark_swept(vec![AggregateKey::balance(self.scope().clone()).to_string()]).await?;
            self.finish_sweep(run, began, &report).await?;
        }
        tracing::info!(
            subscriptions = report.subscriptions,
            differing = report.differing,
            unknown = report.unknown,
            gone = report.gone,
            missed_events = report.missed_events,
            findings = report.findings,
            new_findings = report.new_findings,
            calls = report.calls,
            dry_run = run.dry,
            "sweep done"
        );
        self.wake();
        Ok(report)
    }

    /// Ends a whole run: what it has not seen any more is over.
    async fn finish_sweep(&self, run: &Run, began: Timestamp, report: &SweepReport) -> Result<(), Problem> {
        let (held, scope, now) = (run.lease.clone(), self.scope().to_string(), self.now());
        let next = self.settings().next_sweep(now);
        let text = serde_json::to_string(report).unwrap_or_default();
        self.db()
            .write("sweep.finish", move |tx| {
                if sweeps::finish(tx, &held, now, next, Some(began), &text)? {
                    for ended in drifts::unseen(tx, &scope, began, now)? {
                        over(tx, ended.kind, &ended.object, now)?;
                    }
                }
                Ok(())
            })
            .await?;
        Ok(())
    }

    /// Lists behind the limiter's reserve, and counts the call.
    pub(crate) async fn listed<T>(&self, call: Call<T>, calls: &mut u64) -> Result<T, StripeError> {
        *calls += 1;
        self.in_turn(call, Turn::Sweep).await
    }

    async fn sweep_subscriptions(
        &self,
        run: &Run,
        missed: &BTreeMap<String, (String, Timestamp)>,
        cursor: &mut Cursor,
    ) -> Result<(), Problem> {
        // A run that goes on from a checkpoint has not seen the pages before it: what is gone, the next one tells.
        let mut listed = cursor.after.is_none().then(Ids::default);
        let (of, meter) = (self.mirrored().await?, Meter::start(self.now(), cursor.report.subscriptions));
        for _ in 0..MOST_PAGES {
            let after = cursor.after.clone();
            let call = calls::subscriptions::list(&ListSubscriptions {
                expand: EXPAND_TO_COMPARE,
                paging: Paging { starting_after: after.as_deref(), ..Paging::default() },
                ..Default::default()
            });
            let page = match self.listed(call, &mut cursor.report.calls).await {
                // Where it was left off is gone at the provider: from the newest again.
                Err(error) if after.is_some() && names_missing(&error) => {
                    (cursor.after, cursor.report.subscriptions) = (None, 0);
                    listed = Some(Ids::default());
                    continue;
                }
                listed => listed?,
            };
            let noticed = self.compare(&page.items, missed, &mut cursor.report).await?;
            self.keep(run, noticed, &mut cursor.report).await?;
            if let Some(listed) = &mut listed {
                page.items.iter().for_each(|s| listed.add(&s.id));
                // What cannot be read is there all the same.
                page.odd.iter().filter_map(|odd| odd.id.as_deref()).for_each(|id| listed.add(id));
                if !page.has_more {
                    self.find_gone(run, listed, missed, &mut cursor.report).await?;
                }
            }
            cursor.after = page.last_id.clone();
            cursor.seen = !page.has_more;
            let done = cursor.report.subscriptions;
            let progress = meter.read("subscriptions", done, Some(of), self.now());
            let still = self.checkpoint(run, cursor, &progress).await?;
            self.world().point(Point::SweepCheckpointed).await;
            if !still || cursor.seen {
                break;
            }
        }
        Ok(())
    }

    /// About how many subscriptions the provider will list: as many as the mirror has.
    async fn mirrored(&self) -> Result<u64, Problem> {
        let scope = self.scope().to_string();
        let words = self.db().read("sweep.mirrored", move |tx| coverage::subscriptions(tx, &scope)).await?;
        Ok(u64::try_from(words.values().sum::<i64>()).unwrap_or(0))
    }

    /// Remembers where the run is and holds on to it; `false` when another node has it now.
    async fn checkpoint(&self, run: &Run, cursor: &Cursor, progress: &Progress) -> Result<bool, Problem> {
        let text = if run.dry { run.found.cursor.clone() } else { serde_json::to_string(cursor).ok() };
        let told = serde_json::to_string(progress).ok();
        let (held, until) = (run.lease.clone(), self.now().plus_ms(self.settings().retry.lease_ms));
        let renewed = self.db().write("sweep.checkpoint", move |tx| {
            sweeps::checkpoint(tx, &held, text.as_deref(), told.as_deref(), until)
        });
        Ok(renewed.await?)
    }

    /// Finds what we believe to run and the provider no longer lists: it ended, and nobody told us.
    async fn find_gone(
        &self,
        run: &Run,
        listed: &Ids,
        missed: &BTreeMap<String, (String, Timestamp)>,
        report: &mut SweepReport,
    ) -> Result<(), Problem> {
        let mut after = String::new();
        loop {
            let (scope, from) = (self.scope().to_string(), after.clone());
            let page = self
                .db()
                .read("sweep.live", move |tx| mirror::live_page(tx, &scope, &from, MIRROR_PAGE))
                .await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.subscription.facts.id);
            let now = self.now();
            // One that was made while the pages came may be on none of them.
            let settled = run.began.plus_ms(-OVERLAP_MS);
            let gone = page.into_iter().filter(|row| {
                let held = &row.subscription;
                !listed.has(&held.facts.id) && !held.missing && held.facts.created_at < settled
            });
            let findings = gone.map(|row| {
                let event = missed.get(&row.aggregate);
                let gives = row.subscription.standing.at(now).allows();
                Finding {
                    kind: DriftKind::Gone,
                    object: row.subscription.facts.id.clone(),
                    customer: row.subscription.customer.clone(),
                    ours: Some(row.subscription.facts.status.to_string()),
                    theirs: None,
                    cause: event
                        .map_or(Cause::Unexplained, |(event, _)| Cause::MissedEvent { event: event.clone() }),
                    wrong: if gives { WrongAccess::TooMuch } else { WrongAccess::None },
                    since: event.map(|(_, at)| *at),
                    aggregate: Some(row.aggregate),
                }
            });
            self.keep(run, findings.map(Noticed::from).collect(), report).await?;
        }
    }

    /// Keeps findings and marks what a sync mends, in one transaction; a dry run only counts them.
    async fn keep(&self, run: &Run, noticed: Vec<Noticed>, report: &mut SweepReport) -> Result<(), Problem> {
        for Noticed { finding, .. } in &noticed {
            report.findings += 1;
            match finding.kind {
                DriftKind::Status | DriftKind::Content => report.differing += 1,
                DriftKind::Unknown => report.unknown += 1,
                DriftKind::Gone => report.gone += 1,
                DriftKind::Entitlement
                | DriftKind::Email
                | DriftKind::DeletedCustomer
                | DriftKind::UnownedSubscription
                | DriftKind::UnownedPayment
                | DriftKind::Duplicate
                | DriftKind::UnknownPrice => {}
            }
            report.for_operator += u64::from(finding.kind.mending() == Mending::Operator);
        }
        let (truth, instance) = (self.settings().email_truth, self.instance().to_owned());
        if run.dry {
            let mut shown = run.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let room = MOST_SHOWN.saturating_sub(shown.len());
            shown.extend(noticed.into_iter().take(room).map(|Noticed { finding, .. }| {
                let then = Then::of(finding.kind, truth);
                Difference { finding, then }
            }));
            return Ok(());
        }
        if noticed.is_empty() {
            return Ok(());
        }
        let room = MOST_FINDINGS.saturating_sub(report.findings - noticed.len() as u64);
        let (scope, now) = (self.scope().to_string(), self.now());
        let engine = self.clone();
        let new = self
            .db()
            .write("sweep.keep", move |tx| {
                let mends = |n: &&Noticed| n.finding.kind.is_over_with_a_sync();
                let keys: Vec<&str> =
                    noticed.iter().filter(mends).filter_map(|n| n.finding.aggregate.as_deref()).collect();
                let hints: Vec<Hint<'_>> = keys.iter().map(|key| hint(key, now)).collect();
                let marks = aggregates::mark_all(tx, &hints, now)?;
                let marked: BTreeMap<&str, i64> = keys.into_iter().zip(marks).collect();
                let mut new = Vec::new();
                // Money is found once each, at its place in the ledger: what is not kept is not found again.
                let kept = |n: &&Noticed| n.finding.kind == DriftKind::UnownedPayment;
                for n in noticed.iter().zip(0..).filter(|(n, at)| *at < room || kept(n)).map(|(n, _)| n) {
                    let key = n.finding.aggregate.as_deref().filter(|_| mends(&n));
                    let mark = key.and_then(|key| marked.get(key)).copied();
                    match drifts::put(tx, &scope, &n.finding, mark, now)? {
                        Kept::New(seq) => {
                            raise(tx, &n.finding, seq, now)?;
                            new.push((seq, n.finding.clone()));
                        }
                        Kept::TurnedWrong(seq) => raise(tx, &n.finding, seq, now)?,
                        Kept::Known => {}
                    }
                    mend_email(tx, &engine, n, truth, &instance, now)?;
                }
                Ok(new)
            })
            .await?;
        report.new_findings += new.len() as u64;
        for (seq, finding) in &new {
            telemetry::drift(finding.kind.as_str());
            tracing::warn!(
                finding = seq,
                kind = finding.kind.as_str(),
                object = finding.object,
                ours = finding.ours,
                theirs = finding.theirs,
                cause = finding.cause.as_str(),
                wrong_access = finding.wrong.as_str(),
                "drift"
            );
        }
        self.wake();
        Ok(())
    }

    pub(crate) async fn mark_swept(&self, mut keys: Vec<String>) -> Result<(), Problem> {
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.now();
        self.db()
            .write("sweep.mark", move |tx| {
                let hints: Vec<Hint<'_>> = keys.iter().map(|key| hint(key, now)).collect();
                aggregates::mark_all(tx, &hints, now)
            })
            .await?;
        self.wake();
        Ok(())
    }

    /// Reads the provider's events; for each aggregate the oldest that had not reached us.
    async fn sweep_events(
        &self,
        run: &Run,
        since: Timestamp,
        cursor: &mut Cursor,
    ) -> Result<BTreeMap<String, (String, Timestamp)>, Problem> {
        let mut all: BTreeMap<String, (String, Timestamp)> = BTreeMap::new();
        let meter = Meter::start(self.now(), cursor.report.events);
        for _ in 0..MOST_PAGES {
            let call = calls::events::list(&ListEvents {
                created_gte_s: Some(since.seconds()),
                paging: Paging { starting_after: cursor.told_upto.as_deref(), ..Paging::default() },
                ..Default::default()
            });
            let page = match self.listed(call, &mut cursor.report.calls).await {
                // Where it was left off the provider keeps no longer: from the newest again.
                Err(error) if cursor.told_upto.is_some() && names_missing(&error) => {
                    (cursor.told_upto, cursor.report.events) = (None, 0);
                    continue;
                }
                listed => listed?,
            };
            cursor.report.events += page.items.len() as u64;
            let now = self.now();
            let events: Vec<NewEvent> = page
                .items
                .iter()
                .filter_map(|e| {
                    inbox_of_engine::new_event(e.json.as_bytes(), self.scope(), "sweep", now, now).ok()
                })
                .collect();
            for event in self.store_missed(events, run.dry).await? {
                cursor.report.missed_events += 1;
                // The list is newest first: what comes later is older.
                if (all.len() as u64) < MOST_FINDINGS || all.contains_key(&event.aggregate) {
                    all.insert(event.aggregate, (event.event_id, event.created_at));
                }
            }
            cursor.told_upto = page.last_id.clone();
            let progress = meter.read("events", cursor.report.events, None, self.now());
            if !page.has_more || !self.checkpoint(run, cursor, &progress).await? {
                break;
            }
        }
        Ok(all)
    }

    /// Stores the events that had not reached us, which marks their aggregates.
    async fn store_missed(&self, events: Vec<NewEvent>, dry_run: bool) -> Result<Vec<NewEvent>, Problem> {
        let missed = self
            .db()
            .write("sweep.store_missed", move |tx| {
                let mut missed: Vec<NewEvent> = Vec::new();
                for event in &events {
                    let ids = [event.event_id.as_str()];
                    if !inbox::missing(tx, event.provider, &event.account, &ids)?.is_empty() {
                        missed.push(event.clone());
                    }
                }
                if !dry_run && !missed.is_empty() {
                    inbox::accept(tx, &missed)?;
                }
                Ok(missed)
            })
            .await?;
        for event in missed.iter().filter(|_| !dry_run) {
            telemetry::drift("missed_event");
            tracing::warn!(event = event.event_id, kind = event.event_type, "an event had not reached us");
        }
        if !missed.is_empty() {
            self.wake();
        }
        Ok(missed)
    }
}

fn hint(key: &str, now: Timestamp) -> Hint<'_> {
    Hint { key, priority: Urgency::Sweep, due: now, unpark: false, thorough: true }
}

/// Tells operators of a finding, unless the sync of its aggregate has told them of the same.
fn raise(tx: &mut dyn Tx, finding: &Finding, seq: i64, now: Timestamp) -> quittance_store::Result<()> {
    let said = match finding.kind {
        DriftKind::UnownedSubscription => Some(AnomalyKind::UnlinkedCustomer),
        DriftKind::Duplicate => Some(AnomalyKind::DuplicateSubscription),
        DriftKind::UnknownPrice => Some(AnomalyKind::UnknownPrice),
        DriftKind::Status
        | DriftKind::Content
        | DriftKind::Unknown
        | DriftKind::Gone
        | DriftKind::Entitlement
        | DriftKind::Email
        | DriftKind::DeletedCustomer
        | DriftKind::UnownedPayment => None,
    };
    if let (Some(said), Some(key)) = (said, &finding.aggregate)
        && outbox::stands(tx, key, said.as_str())?
    {
        return Ok(());
    }
    match alert(finding, seq) {
        Some(alert) => outbox::raise(tx, &alert, now).map(|_| ()),
        None => Ok(()),
    }
}

/// What operators should know of a finding: access that is wrong, or something that only they can mend.
fn alert(finding: &Finding, seq: i64) -> Option<NewAlert> {
    let sides = format!(
        "ours: {}; the provider's: {}; cause: {}",
        finding.ours.as_deref().unwrap_or("nothing"),
        finding.theirs.as_deref().unwrap_or("nothing"),
        finding.cause.as_str()
    );
    let told = |kind: String, detail: String, mend: String, aggregate: Option<String>| NewAlert {
        kind,
        object: finding.object.clone(),
        customer: finding.customer.clone(),
        aggregate,
        detail,
        mend,
    };
    match (finding.kind.mending(), finding.wrong) {
        (Mending::Operator, _) => Some(told(
            operator_alert(finding.kind),
            sides,
            format!(
                "Look: quittance drift show {seq}. Then claim it for a customer, mend it at the provider, or ignore it"
            ),
            None,
        )),
        (Mending::Sync, WrongAccess::None) => None,
        // Over with the sync that mends it, as every alert of an aggregate that no longer stands.
        (Mending::Sync, wrong @ (WrongAccess::TooMuch | WrongAccess::TooLittle)) => Some(told(
            outbox::WRONG_ACCESS.to_owned(),
            format!("access is {}; {sides}", wrong.as_str().replace('_', " ")),
            format!("Nothing to do: it is being mended. Why it happened: quittance drift show {seq}"),
            finding.aggregate.clone(),
        )),
    }
}

fn operator_alert(kind: DriftKind) -> String {
    format!("drift_{}", kind.as_str())
}

/// A finding is over, and so is its alert.
pub(crate) fn over(
    tx: &mut dyn Tx,
    kind: DriftKind,
    object: &str,
    now: Timestamp,
) -> quittance_store::Result<()> {
    match kind.mending() {
        Mending::Operator => outbox::resolve(tx, &operator_alert(kind), object, now),
        Mending::Sync => outbox::resolve(tx, outbox::WRONG_ACCESS, object, now),
    }
}

/// An address that differs is written to the provider, or taken over from it, as the operator chose.
fn mend_email(
    tx: &mut dyn Tx,
    engine: &Engine,
    noticed: &Noticed,
    truth: EmailTruth,
    instance: &str,
    now: Timestamp,
) -> quittance_store::Result<()> {
    let (Some(theirs), Some(customer)) = (&noticed.email, &noticed.finding.customer) else { return Ok(()) };
    match truth {
        EmailTruth::Ignore => {}
        EmailTruth::Provider => {
            let patch = store_customers::CustomerPatch {
                email: store_customers::Change::Set(theirs.clone()),
                ..Default::default()
            };
            store_customers::upsert(tx, customer, &patch, now)?;
        }
        EmailTruth::Ours => {
            let request = Request::UpdateCustomer {
                customer: customer.clone(),
                provider_customer: noticed.finding.object.clone(),
            };
            if let crate::commands::Place::Turn(turn) = crate::commands::place(tx, &request)? {
                let command = request.command(
                    instance,
                    noticed.finding.aggregate.as_deref(),
                    Some(customer),
                    Which::Turn(turn),
                )?;
                engine.write_down(tx, &command, now)?;
            }
        }
    }
    Ok(())
}
