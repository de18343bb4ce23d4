//! Comparing what the provider lists with the mirror: one page at a time, with a cause and what it does to access.

use quittance_domain::drift::{Cause, DriftKind, Finding, WrongAccess};
use quittance_domain::subscription::SubscriptionFacts;
use quittance_domain::{Access, AggregateKey, CustomerId, PlanKey, SubscriptionStatus, Timestamp};
use quittance_store::aggregates::AggregateRow;
use quittance_store::mirror::SubscriptionRow;
use quittance_store::{aggregates, customers, mirror};
use quittance_stripe::observe::ObservedSubscription;

use super::{Missed, Noticed, SweepReport};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::sync::{digest_of, translate};

/// What we hold of a subscription that differs.
struct Ours {
    row: Option<SubscriptionRow>,
    aggregate: Option<AggregateRow>,
    customer: Option<CustomerId>,
}

impl Engine {
    /// Finds what differs on a page of the provider's list.
    #[crate::boxed]
    pub(super) async fn compare(
        &self,
        listed: &[ObservedSubscription],
        missed: &Missed,
        report: &mut SweepReport,
    ) -> Result<Vec<Noticed>, Problem> {
        let (scope, ids) =
            (self.scope().to_string(), listed.iter().map(|s| s.id.clone()).collect::<Vec<_>>());
        let known = self.db().read("sweep.digests", move |tx| mirror::digests(tx, &scope, &ids)).await?;
        report.subscriptions += listed.len() as u64;
        let mut noticed = Vec::new();
        for (found, known) in listed.iter().zip(known) {
            // The status beside the digest: what was written wrongly has the digest of what was read rightly.
            if known.is_some_and(|(digest, status)| status == found.status && digest == digest_of(found)) {
                continue;
            }
            let ours = self.ours_of(found).await?;
            // Its webhook has arrived and is about to be answered: that is no drift, unless this run has brought it.
            let waits =
                ours.aggregate.as_ref().is_some_and(|row| under_way(row) && !missed.contains_key(&row.key));
            if waits {
                report.under_way += 1;
                continue;
            }
            noticed.push(self.differing(found, &ours, missed));
        }
        Ok(noticed)
    }

    async fn ours_of(&self, found: &ObservedSubscription) -> Result<Ours, Problem> {
        let (scope, id) = (self.scope().to_string(), found.id.clone());
        let buyer = found.customer.as_ref().map(|customer| customer.id.clone());
        let key = buyer.as_deref().map(|id| AggregateKey::customer(self.scope().clone(), id).to_string());
        let ours = self.db().read("sweep.ours", move |tx| {
            Ok(Ours {
                row: mirror::subscription(tx, &id)?,
                aggregate: key.as_deref().map(|key| aggregates::get(tx, key)).transpose()?.flatten(),
                customer: buyer.as_deref().map(|id| customers::linked(tx, &scope, id)).transpose()?.flatten(),
            })
        });
        Ok(ours.await?)
    }

    /// The plan whose rules a subscription follows: what its first line means today, else what the mirror holds.
    fn plan_of(&self, facts: &SubscriptionFacts, row: Option<&SubscriptionRow>) -> Option<PlanKey> {
        let catalog = self.catalog();
        let line = facts.items.first()?;
        let meant = catalog.meaning(&line.price, line.lookup_key.as_deref(), &[]).map(|(plan, _)| plan);
        meant.or_else(|| row?.subscription.plans.first().map(|held| held.plan.clone()))
    }

    fn differing(&self, found: &ObservedSubscription, ours: &Ours, missed: &Missed) -> Noticed {
        let now = self.now();
        let before = ours.row.as_ref().map(|row| row.subscription.standing);
        let aggregate = found
            .customer
            .as_ref()
            .map(|customer| AggregateKey::customer(self.scope().clone(), &customer.id).to_string());
        let missed = aggregate.as_ref().and_then(|key| missed.get(key));
        let theirs =
            translate::subscription(found, &[], &[], &self.settings().customer_metadata_keys, self.prices())
                .map(|mut facts| {
                    let known = ours.row.as_ref().and_then(|row| row.subscription.facts.paid.clone());
                    facts.paid = facts.newest_paid(known, &[]);
                    let plan = self.plan_of(&facts, ours.row.as_ref());
                    self.settings().access.standing_of(&facts, plan.as_ref(), before, now).at(now)
                });
        let mine = before.map_or(Access::Revoked, |standing| standing.at(now));
        let kind = match &ours.row {
            None => DriftKind::Unknown,
            Some(row) if row.subscription.facts.status == SubscriptionStatus::from(found.status.clone()) => {
                DriftKind::Content
            }
            Some(_) => DriftKind::Status,
        };
        let synced = ours.aggregate.as_ref().and_then(|row| row.synced_at);
        Noticed {
            finding: Finding {
                kind,
                object: found.id.clone(),
                customer: ours.customer.clone(),
                aggregate,
                ours: ours.row.as_ref().map(|row| row.subscription.facts.status.to_string()),
                theirs: Some(found.status.clone()),
                cause: cause(found, ours, missed),
                wrong: theirs.map_or(WrongAccess::None, |theirs| WrongAccess::between(mine, theirs)),
                since: missed.map(|(_, at)| *at).or(synced),
            },
            email: None,
        }
    }
}

/// Whether a look is about to answer, and nothing stands in its way.
fn under_way(row: &AggregateRow) -> bool {
    row.done < row.wanted && row.parked_at.is_none() && row.attempts == 0
}

fn cause(found: &ObservedSubscription, ours: &Ours, missed: Option<&(String, Timestamp)>) -> Cause {
    if let Some((event, _)) = missed {
        return Cause::MissedEvent { event: event.clone() };
    }
    match &ours.aggregate {
        Some(row) if row.parked_at.is_some() => return Cause::Parked,
        Some(row) if row.done < row.wanted && row.attempts > 0 => return Cause::Failing,
        Some(_) | None => {}
    }
    if found.customer.as_ref().and_then(|customer| customer.deleted) == Some(true) {
        Cause::CustomerDeleted
    } else if ours.row.is_none() && ours.customer.is_none() {
        Cause::NotOurs
    } else {
        Cause::Unexplained
    }
}
