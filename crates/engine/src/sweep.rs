//! Layer 3: the sweep. It lists what the provider has, compares with the mirror, and marks what differs;
//! it also reads the provider's own list of events, so that a webhook that never came is made good.
//!
//! It writes nothing around the one door: finding a difference is just another hint.

use std::collections::BTreeSet;

use quittance_domain::ids::LeaseToken;
use quittance_domain::time::MINUTE_MS;
use quittance_domain::{AggregateKey, Timestamp};
use quittance_store::aggregates::{self, Hint, Priority as Urgency};
use quittance_store::inbox::{self, NewEvent};
use quittance_store::mirror;
use quittance_store::sweeps::{self, SweepLease, SweepRow};
use quittance_stripe::calls::events::ListEvents;
use quittance_stripe::calls::subscriptions::{EXPAND_TO_COMPARE, ListSubscriptions};
use quittance_stripe::calls::{self, Call, Paging};
use quittance_stripe::client::Priority;
use quittance_stripe::error::StripeError;
use quittance_stripe::observe::ObservedSubscription;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::problem::Problem;
use crate::sync::digest_of;
use crate::world::Point;
use crate::{inbox as inbox_of_engine, telemetry};

const KIND: &str = "provider";
/// Events are looked for this far before the last run began: clocks differ, and lists lag.
const OVERLAP_MS: i64 = 10 * MINUTE_MS;
/// The provider keeps events for 30 days.
const EVENTS_KEPT_MS: i64 = 30 * 24 * 60 * MINUTE_MS;
/// Pages of one run at most; a longer run goes on next time.
const MOST_PAGES: u32 = 5_000;
/// Pause after a run that the provider or the database interrupted.
pub(crate) const AGAIN_MS: i64 = 5 * MINUTE_MS;
/// Mirrored subscriptions that are looked through at a time.
const MIRROR_PAGE: i64 = 500;

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SweepReport {
    /// Subscriptions that were compared.
    pub subscriptions: u64,
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
    /// Calls to the provider.
    pub calls: u64,
}

/// Where an interrupted run goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Cursor {
    after: Option<String>,
    report: SweepReport,
    seen: bool,
}

/// A run under way.
struct Run {
    lease: SweepLease,
    /// It changes nothing: not even where an interrupted run goes on, nor when the next one is due.
    dry: bool,
    /// The row as it was found.
    found: SweepRow,
}

impl Engine {
    /// Runs the sweep if it is due (or `by_hand`) and no other node runs it; `None` when it is not.
    /// With `dry_run` it only counts.
    ///
    /// # Errors
    /// What the provider or the database says; the run goes on from its checkpoint next time.
    pub async fn sweep(&self, by_hand: bool, dry_run: bool) -> Result<Option<SweepReport>, Problem> {
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
        let run = Run { lease, dry: dry_run, found };
        let outcome = self.run_sweep(&run).await;
        if run.dry || outcome.is_err() {
            let next = if run.dry { run.found.next_at } else { self.now().plus_ms(AGAIN_MS) };
            let held = run.lease.clone();
            self.db().write("sweep.release", move |tx| sweeps::release(tx, &held, next)).await?;
        }
        outcome.map(Some)
    }

    /// When the next run is due; `None` while the database does not say.
    pub(crate) async fn sweep_due_at(&self) -> Option<Timestamp> {
        let (scope, now) = (self.scope().to_string(), self.now());
        let row = self.db().read("sweep.due", move |tx| sweeps::get(tx, KIND, &scope)).await.ok()?;
        Some(row.map_or(now, |row| row.next_at))
    }

    async fn run_sweep(&self, run: &Run) -> Result<SweepReport, Problem> {
        let row = &run.found;
        let resumed = row.cursor.as_deref().filter(|_| !run.dry);
        let began = row.started_at.filter(|_| resumed.is_some()).unwrap_or_else(|| self.now());
        let mut cursor: Cursor = resumed.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if !cursor.seen {
            self.sweep_subscriptions(run, &mut cursor).await?;
        }
        let since = row.watermark.map_or(began.plus_ms(-EVENTS_KEPT_MS), |mark| mark.plus_ms(-OVERLAP_MS));
        self.sweep_events(run, since, &mut cursor).await?;
        let report = cursor.report;
        if !run.dry {
            // What moves the balance has no event of its own everywhere: fees, for one.
            self.mark_swept(vec![AggregateKey::balance(self.scope().clone()).to_string()]).await?;
            let (held, now) = (run.lease.clone(), self.now());
            let next = now.plus_ms(self.settings().sweep_every_ms);
            let text = serde_json::to_string(&report).unwrap_or_default();
            self.db()
                .write("sweep.finish", move |tx| sweeps::finish(tx, &held, now, next, Some(began), &text))
                .await?;
        }
        tracing::info!(
            subscriptions = report.subscriptions,
            differing = report.differing,
            unknown = report.unknown,
            gone = report.gone,
            missed_events = report.missed_events,
            calls = report.calls,
            dry_run = run.dry,
            "sweep done"
        );
        self.wake();
        Ok(report)
    }

    /// Lists behind the limiter's reserve: live traffic goes first, and being held back only means waiting.
    async fn listed<T>(
        &self,
        make: impl Fn() -> Call<T>,
        report: &mut SweepReport,
    ) -> Result<T, StripeError> {
        loop {
            report.calls += 1;
            match self.stripe().send(make(), Priority::Sweep).await {
                Err(error) if error.is_held_back() => {
                    report.calls -= 1;
                    self.world().sleep(error.retry_after_ms().unwrap_or(100).clamp(5, 5_000)).await;
                }
                other => return other,
            }
        }
    }

    async fn sweep_subscriptions(&self, run: &Run, cursor: &mut Cursor) -> Result<(), Problem> {
        // A run that goes on from a checkpoint has not seen the pages before it: what is gone, the next one tells.
        let mut listed = cursor.after.is_none().then(BTreeSet::new);
        for _ in 0..MOST_PAGES {
            let after = cursor.after.clone();
            let page = self
                .listed(
                    || {
                        calls::subscriptions::list(&ListSubscriptions {
                            paging: Paging { starting_after: after.as_deref(), ..Paging::default() },
                            expand: EXPAND_TO_COMPARE,
                            ..Default::default()
                        })
                    },
                    &mut cursor.report,
                )
                .await?;
            self.compare(&page.items, &mut cursor.report, run.dry).await?;
            if let Some(listed) = &mut listed {
                listed.extend(page.items.iter().map(|s| s.id.clone()));
                // What cannot be read is there all the same.
                listed.extend(page.odd.iter().filter_map(|odd| odd.id.clone()));
                if !page.has_more {
                    self.find_gone(listed, &mut cursor.report, run.dry).await?;
                }
            }
            cursor.after = page.last_id.clone();
            cursor.seen = !page.has_more;
            let still = self.checkpoint(run, cursor).await?;
            self.world().point(Point::SweepCheckpointed).await;
            if !still || cursor.seen {
                break;
            }
        }
        Ok(())
    }

    /// Remembers where the run is and holds on to it; `false` when another node has it now.
    async fn checkpoint(&self, run: &Run, cursor: &Cursor) -> Result<bool, Problem> {
        let text = if run.dry { run.found.cursor.clone() } else { serde_json::to_string(cursor).ok() };
        let (held, until) = (run.lease.clone(), self.now().plus_ms(self.settings().retry.lease_ms));
        let renewed = self
            .db()
            .write("sweep.checkpoint", move |tx| sweeps::checkpoint(tx, &held, text.as_deref(), until));
        Ok(renewed.await?)
    }

    async fn compare(
        &self,
        listed: &[ObservedSubscription],
        report: &mut SweepReport,
        dry_run: bool,
    ) -> Result<(), Problem> {
        let scope = self.scope().to_string();
        let ids: Vec<String> = listed.iter().map(|s| s.id.clone()).collect();
        let known = self.db().read("sweep.digests", move |tx| mirror::digests(tx, &scope, &ids)).await?;
        let mut dirty: Vec<String> = Vec::new();
        for (subscription, mirrored) in listed.iter().zip(known) {
            report.subscriptions += 1;
            let kind = match mirrored {
                Some(digest) if digest == digest_of(subscription) => continue,
                Some(_) => "differing",
                None => "unknown",
            };
            report.differing += u64::from(kind == "differing");
            report.unknown += u64::from(kind == "unknown");
            telemetry::drift(kind);
            tracing::warn!(subscription = subscription.id, kind, "drift");
            if let Some(customer) = &subscription.customer {
                dirty.push(AggregateKey::customer(self.scope().clone(), &customer.id).to_string());
            }
        }
        if !dry_run {
            self.mark_swept(dirty).await?;
        }
        Ok(())
    }

    /// Marks what we believe to run and the provider no longer lists: it ended, and nobody told us.
    async fn find_gone(
        &self,
        listed: &BTreeSet<String>,
        report: &mut SweepReport,
        dry_run: bool,
    ) -> Result<(), Problem> {
        let mut after = String::new();
        loop {
            let (scope, from) = (self.scope().to_string(), after.clone());
            let page = self
                .db()
                .read("sweep.live", move |tx| mirror::live_subscriptions(tx, &scope, &from, MIRROR_PAGE))
                .await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after.clone_from(last);
            let gone: Vec<(String, String)> =
                page.into_iter().filter(|(id, _)| !listed.contains(id)).collect();
            for (subscription, _) in &gone {
                report.gone += 1;
                telemetry::drift("gone");
                tracing::warn!(subscription, kind = "gone", "drift");
            }
            if !dry_run {
                self.mark_swept(gone.into_iter().map(|(_, aggregate)| aggregate).collect()).await?;
            }
        }
    }

    async fn mark_swept(&self, mut keys: Vec<String>) -> Result<(), Problem> {
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.now();
        self.db()
            .write("sweep.mark", move |tx| {
                let hints: Vec<Hint<'_>> = keys
                    .iter()
                    .map(|key| Hint {
                        key,
                        priority: Urgency::Sweep,
                        due: now,
                        unpark: false,
                        thorough: true,
                    })
                    .collect();
                aggregates::mark_all(tx, &hints, now)
            })
            .await?;
        self.wake();
        Ok(())
    }

    async fn sweep_events(&self, run: &Run, since: Timestamp, cursor: &mut Cursor) -> Result<(), Problem> {
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let from = after.clone();
            let page = self
                .listed(
                    || {
                        calls::events::list(&ListEvents {
                            created_gte_s: Some(since.seconds()),
                            paging: Paging { starting_after: from.as_deref(), ..Paging::default() },
                            ..Default::default()
                        })
                    },
                    &mut cursor.report,
                )
                .await?;
            cursor.report.events += page.items.len() as u64;
            let now = self.now();
            let events: Vec<NewEvent> = page
                .items
                .iter()
                .filter_map(|e| {
                    inbox_of_engine::new_event(e.json.as_bytes(), self.scope(), "sweep", now, now).ok()
                })
                .collect();
            cursor.report.missed_events += self.store_missed(events, run.dry).await?;
            after = page.last_id.clone();
            if !page.has_more || !self.checkpoint(run, cursor).await? {
                break;
            }
        }
        Ok(())
    }

    /// Stores the events that had not reached us, which marks their aggregates.
    async fn store_missed(&self, events: Vec<NewEvent>, dry_run: bool) -> Result<u64, Problem> {
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
        for event in &missed {
            telemetry::drift("missed_event");
            tracing::warn!(event = event.event_id, kind = event.event_type, "an event had not reached us");
        }
        if !missed.is_empty() {
            self.wake();
        }
        Ok(missed.len() as u64)
    }
}
