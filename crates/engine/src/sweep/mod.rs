//! Layer 3: the sweep. It reads the provider's own list of events, so that a webhook that never came is made good; lists
//! what the provider has, compares with the mirror, and marks what differs; and looks through our own side.
//!
//! It writes nothing around the one door: a difference is kept as a finding, and is just another hint. What a machine
//! could mend wrongly waits for an operator.

mod compare;
mod customers;
mod findings;
mod holdings;
mod ids;
mod own;

use std::collections::BTreeMap;
use std::sync::Mutex;

use quittance_domain::drift::{Cause, DriftKind, Finding, WrongAccess};
use quittance_domain::mutant::{self, Mutant};
use quittance_domain::time::MINUTE_MS;
use quittance_domain::{AggregateKey, Timestamp};
use quittance_store::aggregates::{self, Hint, Priority as Urgency};
use quittance_store::inbox::{self, NewEvent, SweptEvent};
use quittance_store::sweeps::{self, SweepLease, SweepRow};
use quittance_store::{coverage, drifts, mirror};
use quittance_stripe::calls::events::ListEvents;
use quittance_stripe::calls::subscriptions::{EXPAND_TO_COMPARE, ListSubscriptions};
use quittance_stripe::calls::{self, Call, Paging};
use quittance_stripe::error::StripeError;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::progress::{LongRun, Meter, Progress};
use crate::sync::names_missing;
use crate::turns::Turn;
use crate::world::Point;
use crate::{inbox as inbox_of_engine, telemetry};
pub(crate) use findings::over;
pub use findings::{Difference, Then};
use findings::{Noticed, tell_overflow};
use ids::Ids;
pub(crate) use own::GUEST;

const KIND: &str = LongRun::Sweep.as_str();
/// Events are looked for this far before the last run began: clocks differ, and lists lag.
const OVERLAP_MS: i64 = 10 * MINUTE_MS;
/// How long an event may be on its way before it counts as missed.
const ON_ITS_WAY_MS: i64 = 2 * MINUTE_MS;
/// The provider keeps events for 30 days.
const EVENTS_KEPT_MS: i64 = 30 * 24 * 60 * MINUTE_MS;
/// Pages of one list at most: 100 million objects.
const MOST_PAGES: u32 = 1_000_000;
/// Mirrored subscriptions that are looked through at a time.
const MIRROR_PAGE: i64 = 500;
/// The oldest event that had not reached us, by aggregate.
type Missed = BTreeMap<String, (String, Timestamp)>;

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
    /// Those beyond what one run keeps: marked and counted, and not told one by one.
    #[serde(default)]
    pub overflowed: u64,
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
    #[crate::boxed]
    pub async fn sweep(&self, by_hand: bool, dry_run: bool) -> Result<Option<SweepReport>, Problem> {
        Ok(self.swept(by_hand, dry_run).await?.map(|swept| swept.report))
    }

    /// As [`Engine::sweep`], and with `dry_run` also what was found.
    ///
    /// # Errors
    /// As [`Engine::sweep`].
    #[crate::boxed]
    pub async fn swept(&self, by_hand: bool, dry_run: bool) -> Result<Option<Swept>, Problem> {
        let Some((lease, found)) = self.claim_run(LongRun::Sweep, by_hand).await? else { return Ok(None) };
        self.world().point(Point::SweepClaimed).await;
        let began =
            found.started_at.filter(|_| !dry_run && found.cursor.is_some()).unwrap_or_else(|| self.now());
        let run = Run { lease, dry: dry_run, by_hand, found, began, shown: Mutex::default() };
        let outcome = self.run_sweep(&run).await;
        if run.dry || outcome.is_err() {
            let again = || self.settings().sweep_again(run.found.finished_at, self.now());
            let next = if run.dry { run.found.next_at } else { again() };
            let held = run.lease.clone();
            self.db().write("sweep.release", move |tx| sweeps::release(tx, &held, next)).await?;
        }
        let report = outcome?;
        let differences = run.shown.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Some(Swept { report, differences }))
    }

    /// A schedule that was changed since the last run counts from now on.
    ///
    /// # Errors
    /// As the database.
    #[crate::boxed]
    pub async fn follow_the_schedule(&self) -> Result<(), Problem> {
        let (scope, next) = (self.scope().to_string(), self.settings().next_sweep(self.now()));
        self.db().write("sweep.sooner", move |tx| sweeps::sooner(tx, KIND, &scope, next)).await?;
        Ok(())
    }

    /// When the next run is due; `None` while the database does not say.
    #[crate::boxed]
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
        let mut missed = if resumed.is_some() { self.missed_before(run).await? } else { Missed::new() };
        if !cursor.told && !mutant::is(Mutant::Sweep) {
            let since =
                row.watermark.map_or(began.plus_ms(-EVENTS_KEPT_MS), |mark| mark.plus_ms(-OVERLAP_MS));
            self.sweep_events(run, since, &mut cursor, &mut missed).await?;
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
            self.finish_sweep(run, began, cursor.customers_seen, &report).await?;
        }
        tracing::info!(
            subscriptions = report.subscriptions,
            differing = report.differing,
            unknown = report.unknown,
            gone = report.gone,
            missed_events = report.missed_events,
            findings = report.findings,
            overflowed = report.overflowed,
            new_findings = report.new_findings,
            calls = report.calls,
            dry_run = run.dry,
            "sweep done"
        );
        self.wake();
        Ok(report)
    }

    /// Ends a whole run: what it has not seen any more is over.
    async fn finish_sweep(
        &self,
        run: &Run,
        began: Timestamp,
        customers_seen: bool,
        report: &SweepReport,
    ) -> Result<(), Problem> {
        let (held, scope, now) = (run.lease.clone(), self.scope().to_string(), self.now());
        let next = self.settings().next_sweep(now);
        let text = serde_json::to_string(report).unwrap_or_default();
        let (overflowed, most) = (report.overflowed, self.settings().sweep_findings);
        self.db()
            .write("sweep.finish", move |tx| {
                if sweeps::finish(tx, &held, now, next, Some(began), &text)? {
                    tell_overflow(tx, &scope, overflowed, most, now)?;
                    // What was not kept was not seen either: nothing is over because of that.
                    if overflowed > 0 {
                        return Ok(());
                    }
                    for ended in drifts::unseen(tx, &scope, customers_seen, began, now)? {
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
        missed: &Missed,
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
            self.checkpoint(run, cursor, &progress).await?;
            self.world().point(Point::SweepCheckpointed).await;
            if cursor.seen {
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

    /// Remembers where the run is and holds on to it.
    ///
    /// # Errors
    /// When another node has it now, and as the database.
    async fn checkpoint(&self, run: &Run, cursor: &Cursor, progress: &Progress) -> Result<(), Problem> {
        let text = if run.dry { run.found.cursor.clone() } else { serde_json::to_string(cursor).ok() };
        let told = serde_json::to_string(progress).ok();
        let (held, until) = (run.lease.clone(), self.now().plus_ms(self.settings().retry.lease_ms));
        let renewed = self.db().write("sweep.checkpoint", move |tx| {
            sweeps::checkpoint(tx, &held, text.as_deref(), told.as_deref(), until)
        });
        if renewed.await? { Ok(()) } else { Err(taken_over()) }
    }

    /// Finds what we believe to run and the provider no longer lists: it ended, and nobody told us.
    async fn find_gone(
        &self,
        run: &Run,
        listed: &Ids,
        missed: &Missed,
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

    #[crate::boxed]
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
        all: &mut Missed,
    ) -> Result<(), Problem> {
        let most = self.settings().sweep_findings;
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
            for event in self.store_missed(events, run, now).await? {
                cursor.report.missed_events += 1;
                // The list is newest first: what comes later is older.
                if (all.len() as u64) < most || all.contains_key(&event.aggregate) {
                    all.insert(event.aggregate, (event.event_id, event.created_at));
                }
            }
            cursor.told_upto = page.last_id.clone();
            let progress = meter.read("events", cursor.report.events, None, self.now());
            if !page.has_more {
                break;
            }
            self.checkpoint(run, cursor, &progress).await?;
        }
        Ok(())
    }

    /// The events that an interrupted run had found, for each aggregate the oldest: why what it has yet to compare differs.
    async fn missed_before(&self, run: &Run) -> Result<Missed, Problem> {
        let most = i64::try_from(self.settings().sweep_findings).unwrap_or(i64::MAX);
        let (began, within) = (run.began, format!("{}/", self.scope()));
        let found = self.db().read("sweep.missed_before", move |tx| inbox::swept(tx, began, most)).await?;
        let late =
            |event: &SweptEvent| run.by_hand || event.received_at.since(event.created_at) >= ON_ITS_WAY_MS;
        Ok(found
            .into_iter()
            .filter(|event| event.aggregate.starts_with(&within) && late(event))
            .map(|event| (event.aggregate, (event.event_id, event.created_at)))
            .collect())
    }

    /// Stores the events that had not reached us, which marks their aggregates, and returns those that should have: what may
    /// be on its way is not missed, unless somebody asks now.
    async fn store_missed(
        &self,
        events: Vec<NewEvent>,
        run: &Run,
        now: Timestamp,
    ) -> Result<Vec<NewEvent>, Problem> {
        let dry_run = run.dry;
        let mut missed = self
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
        let any = !missed.is_empty();
        missed.retain(|event| run.by_hand || now.since(event.created_at) >= ON_ITS_WAY_MS);
        for event in missed.iter().filter(|_| !dry_run) {
            telemetry::drift("missed_event");
            tracing::warn!(event = event.event_id, kind = event.event_type, "an event had not reached us");
        }
        if any {
            self.wake();
        }
        Ok(missed)
    }
}

/// A node that stood still for longer than its lease does nothing more of a run that goes on elsewhere.
fn taken_over() -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        "Another node has taken this sweep over, because this one did not renew its lease in time.",
        "Nothing to do: the sweep goes on there.",
    )
}

fn hint(key: &str, now: Timestamp) -> Hint<'_> {
    Hint { key, priority: Urgency::Sweep, due: now, unpark: false, thorough: true }
}
