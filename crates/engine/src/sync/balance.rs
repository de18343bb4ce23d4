//! The sync of the account's money: what moved the balance since the last look, posted, and payouts followed.
//!
//! One aggregate for each account, synced as every other: lease, fetch, commit behind the fence. Balance transactions never
//! change and have natural keys, so each look begins a little before the end of the last one. A long list is posted page by
//! page, each behind the fence with where it goes on; only the last page answers the hints.

use std::collections::BTreeMap;

use quittance_domain::ledger::Record;
use quittance_domain::ledger::balance::{BalanceKind, PayoutFacts, arrival};
use quittance_domain::time::{HOUR_MS, MINUTE_MS};
use quittance_domain::{Currency, Money, Timestamp};
use quittance_store::aggregates::{self, Claim, Priority as Urgency};
use quittance_store::outbox::{self, NewAlert};
use quittance_store::{inbox, ledger, meta};
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::error::ErrorKind;
use quittance_stripe::observe::{ObservedBalanceTransaction, ObservedPayout, Page};
use serde::{Deserialize, Serialize};

use super::books::{Books, movement};
use super::{PARKED_ALERT, SyncEnd, SyncError};
use crate::engine::Engine;
use crate::telemetry;
use crate::world::Point;

/// How far before the end of the last look a look after an event begins, in milliseconds.
const NEAR_MS: i64 = 2 * MINUTE_MS;
/// And one after a sweep.
const WIDE_MS: i64 = HOUR_MS;
/// Payouts that one look follows.
const MOST_PAYOUTS: i64 = 20;
/// Pages of payouts that are read again at most: 100 years of daily ones.
const MOST_PAYOUT_PAGES: usize = 400;
/// The kind of alert for what is not understood.
const SUSPENSE_ALERT: &str = "ledger_suspense";
/// The kind of alert for what cannot be read or posted.
const UNPOSTED_ALERT: &str = "ledger_unposted";

/// How far the account's money is posted.
#[derive(Debug, Clone, Copy, Default)]
struct Since(Option<i64>);

/// What the database remembers of the looks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Progress {
    /// All that was made before this is posted, Unix seconds.
    upto: Option<i64>,
    /// A list that was left in the middle.
    walk: Option<Walk>,
}

/// A list on the way from the newest to `since`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Walk {
    since: Option<i64>,
    newest: Option<i64>,
    after: Option<String>,
}

/// What one page comes to.
struct Step {
    records: Vec<Record>,
    /// What is odd: kind of alert, object, words.
    odd: Vec<(&'static str, String, String)>,
    progress: Progress,
    /// It answers the hints.
    last: bool,
    /// Every balance transaction of the account was looked at: alerts that are not odd any more are over.
    whole: bool,
}

/// An operator who asks has everything read again.
fn asked_for(claim: &Claim) -> bool {
    claim.thorough && claim.priority == Urgency::Waiting
}

impl Since {
    fn of(claim: &Claim, progress: &Progress) -> Self {
        let again = asked_for(claim);
        let before = if claim.thorough { WIDE_MS } else { NEAR_MS };
        let since = |upto: i64| Timestamp::from_seconds(upto).plus_ms(-before).seconds();
        Self(progress.upto.filter(|_| !again).map(since))
    }
}

impl Engine {
    #[crate::boxed]
    pub(super) async fn sync_balance(&self, claim: &Claim) -> Result<SyncEnd, SyncError> {
        self.check_account().await?;
        let (mut progress, told, under_way) = self.load_progress(claim).await?;
        let mut payouts =
            if told || claim.thorough { self.follow_payouts(&under_way).await? } else { Vec::new() };
        if asked_for(claim) {
            payouts.extend(self.all_payouts().await?);
        }
        let mut resumed = progress.walk.is_some();
        let mut walk = progress.walk.take();
        let (mut odd, mut first) = (Vec::new(), true);
        loop {
            let fresh = || Walk { since: Since::of(claim, &progress).0, ..Walk::default() };
            let here = walk.take().unwrap_or_else(fresh);
            let page = self.list_movements(&here).await?;
            self.world().point(Point::SyncFetched).await;
            let listed = page.items.iter().map(|found| found.created_s).max();
            let newest = here.newest.max(listed);
            let next = Walk { newest, after: page.last_id.clone(), since: here.since };
            let mut books = self.books_of(&page, &mut odd);
            if first {
                payouts.iter().cloned().for_each(|record| books.add(record));
            }
            first = false;
            if !page.has_more {
                // Never beyond our own time: what a customer on another clock does must not hide what others do now.
                let seen = newest.map(|newest| newest.min(self.now().seconds()));
                progress.upto = progress.upto.max(seen);
            }
            progress.walk = page.has_more.then_some(next.clone());
            let last = !page.has_more && !resumed;
            let step = Step {
                records: books.records(),
                odd: odd.clone(),
                progress: progress.clone(),
                last,
                whole: last && here.since.is_none(),
            };
            if !self.post(claim, step).await? {
                return Ok(SyncEnd::Fenced);
            }
            if last {
                return Ok(SyncEnd::Done);
            }
            // After the rest of a list that was left in the middle comes what is new since.
            resumed &= page.has_more;
            walk = page.has_more.then_some(next);
        }
    }

    /// How far the last look came, whether an event is about payouts, and the payouts that have not arrived.
    async fn load_progress(&self, claim: &Claim) -> Result<(Progress, bool, Vec<String>), SyncError> {
        let (claim, scope) = (claim.clone(), self.scope().to_string());
        let loaded = self
            .db()
            .read("sync.progress", move |tx| {
                let told = inbox::kinds_between(tx, &claim.key, claim.done, claim.target)?;
                let progress = meta::get(tx, &progress_key(&scope))?;
                let progress = progress.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
                let under_way = ledger::payouts_under_way(tx, &scope, MOST_PAYOUTS)?;
                Ok((progress, !told.is_empty(), under_way))
            })
            .await?;
        Ok(loaded)
    }

    async fn list_movements(&self, walk: &Walk) -> Result<Page<ObservedBalanceTransaction>, SyncError> {
        let paging = Paging { starting_after: walk.after.as_deref(), ..Paging::default() };
        let call = calls::balance::list_transactions(walk.since, paging);
        Ok(self.look(call).await?)
    }

    /// Payouts that were under way: which of them have arrived.
    async fn follow_payouts(&self, ids: &[String]) -> Result<Vec<Record>, SyncError> {
        let scope = self.scope().to_string();
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            let call = calls::balance::retrieve_payout(id);
            let found = match self.look(call).await {
                Ok(found) => found,
                // What cannot be followed does not hold up what can be posted.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. } | ErrorKind::Shape(_)) => {
                    tracing::warn!(payout = id, %error, "not followed");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            records.extend(arrival_of(&scope, found));
        }
        Ok(records)
    }

    /// Every payout: what was noted of one that had arrived is read again too.
    async fn all_payouts(&self) -> Result<Vec<Record>, SyncError> {
        let scope = self.scope().to_string();
        let (mut records, mut after) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAYOUT_PAGES {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let page = self.look(calls::balance::list_payouts(paging)).await?;
            records.extend(page.items.into_iter().filter_map(|found| arrival_of(&scope, found)));
            after = page.last_id;
            if !page.has_more {
                break;
            }
        }
        Ok(records)
    }

    fn books_of(
        &self,
        page: &Page<ObservedBalanceTransaction>,
        odd: &mut Vec<(&'static str, String, String)>,
    ) -> Books {
        let scope = self.scope().to_string();
        let mut books = Books::default();
        for found in &page.odd {
            let object = found.id.clone().unwrap_or_else(|| "without an id".to_owned());
            odd.push((UNPOSTED_ALERT, object, found.error.to_string()));
        }
        // The oldest first, as they came about.
        for found in page.items.iter().rev() {
            match movement(&scope, found) {
                Ok((record, strange)) => {
                    if let Some(strange) = strange {
                        odd.push((SUSPENSE_ALERT, found.kind.clone(), format!("{}: {strange}", found.id)));
                    }
                    books.came_back(&scope, found);
                    books.add(record);
                }
                Err(error) => odd.push((UNPOSTED_ALERT, found.id.clone(), error)),
            }
        }
        books
    }

    /// Writes one page down; `false` when the fence was closed.
    async fn post(&self, claim: &Claim, step: Step) -> Result<bool, SyncError> {
        self.world().point(Point::ApplyBeforeCommit).await;
        let (claim, scope, now) = (claim.clone(), self.scope().to_string(), self.now());
        let until = now.plus_ms(self.settings().retry.lease_ms);
        let raised = self
            .db()
            .write("sync.post", move |tx| {
                let held = if step.last {
                    super::complete(tx, &claim, now)?
                } else {
                    aggregates::hold(tx, &claim, until)?
                };
                if !held {
                    return Ok(None);
                }
                ledger::record(tx, &step.records, now)?;
                if step.last {
                    outbox::resolve(tx, PARKED_ALERT, &claim.key, now)?;
                }
                let mut raised = Vec::new();
                for (kind, object, detail) in each_once(&step.odd) {
                    let alert = alert_of(&claim, kind, object, detail);
                    if outbox::raise(tx, &alert, now)? {
                        raised.push(kind);
                    }
                }
                if step.whole {
                    let standing: Vec<(String, String)> = step
                        .odd
                        .iter()
                        .map(|(kind, object, _)| ((*kind).to_owned(), object.clone()))
                        .collect();
                    outbox::resolve_others(tx, &claim.key, &standing, now)?;
                }
                let progress = serde_json::to_string(&step.progress)
                    .map_err(|error| quittance_store::StoreError::Aborted(error.to_string()))?;
                meta::set(tx, &progress_key(&scope), &progress)?;
                Ok(Some(raised))
            })
            .await?;
        self.world().point(Point::ApplyAfterCommit).await;
        let Some(raised) = raised else { return Ok(false) };
        raised.into_iter().for_each(telemetry::alert);
        Ok(true)
    }
}

/// Whether a payout has arrived, for the books.
fn arrival_of(scope: &str, found: ObservedPayout) -> Option<Record> {
    let facts = PayoutFacts {
        arrived: found.has_arrived(),
        amount: Money::new(found.amount, Currency::parse(&found.currency).ok()?),
        at: Timestamp::from_seconds(found.arrival_date_s),
        id: found.id,
    };
    arrival(scope, &facts).inspect_err(|error| tracing::error!(payout = facts.id, %error, "not posted")).ok()
}

/// What is odd, by kind of alert and object: of many of one type the first is told.
fn each_once<'o>(
    odd: &'o [(&'static str, String, String)],
) -> impl Iterator<Item = (&'static str, &'o str, &'o str)> {
    let mut first: BTreeMap<(&'static str, &'o str), &'o str> = BTreeMap::new();
    for (kind, object, detail) in odd {
        first.entry((kind, object)).or_insert(detail);
    }
    first.into_iter().map(|((kind, object), detail)| (kind, object, detail))
}

fn alert_of(claim: &Claim, kind: &str, object: &str, detail: &str) -> NewAlert {
    NewAlert {
        kind: kind.to_owned(),
        object: object.to_owned(),
        customer: None,
        aggregate: Some(claim.key.clone()),
        detail: detail.to_owned(),
        mend: "look at it: quittance ledger entries --account suspense; after an update: quittance ledger tie-out --mend"
            .to_owned(),
    }
}

/// Where the progress is kept.
fn progress_key(scope: &str) -> String {
    format!("ledger/{scope}")
}

impl Books {
    /// A payout that came back has not arrived, whatever was believed before.
    fn came_back(&mut self, scope: &str, found: &ObservedBalanceTransaction) {
        let kind = BalanceKind::from(found.kind.clone());
        let back = matches!(kind, BalanceKind::PayoutFailure | BalanceKind::PayoutCancel);
        let (true, Some(source), Ok(currency)) = (back, &found.source, Currency::parse(&found.currency))
        else {
            return;
        };
        let facts = PayoutFacts {
            id: source.id.clone(),
            arrived: false,
            amount: Money::new(0, currency),
            at: Timestamp::from_seconds(found.created_s),
        };
        if let Ok(record) = arrival(scope, &facts) {
            self.add(record);
        }
    }
}
