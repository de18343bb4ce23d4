//! What customers hold, beside the policy and the mirror: answers are read from holdings, so a wrong one is wrong access,
//! whatever the mirror says.

use quittance_domain::drift::{Cause, DriftKind, Finding, WrongAccess};
use quittance_domain::entitlement::SourceKind;
use quittance_domain::projection::paid_money_came_back;
use quittance_domain::{Access, Standing, Timestamp};
use quittance_store::aggregates;
use quittance_store::mirror::{self, HoldingPlace, HoldingRow, PlacedHolding, SubscriptionRow};

use super::{MIRROR_PAGE, Noticed, Run, SweepReport};
use crate::engine::Engine;
use crate::problem::Problem;

/// What a holding is said to come from.
enum Source {
    /// The mirror has no such thing.
    Nothing,
    /// A subscription.
    Subscription(Box<SubscriptionRow>),
    /// A purchase, and what it does to access.
    Purchase { status: &'static str, standing: Standing },
}

impl Engine {
    /// Looks through all holdings.
    #[crate::boxed]
    pub(super) async fn sweep_holdings(&self, run: &Run, report: &mut SweepReport) -> Result<(), Problem> {
        let mut place = HoldingPlace::default();
        let within = format!("{}/", self.scope());
        loop {
            let from = place.clone();
            let page = self
                .db()
                .read("sweep.holdings", move |tx| mirror::holdings_after(tx, &from, MIRROR_PAGE))
                .await?;
            let Some(last) = page.last() else { return Ok(()) };
            place = last.place();
            let ours: Vec<PlacedHolding> =
                page.into_iter().filter(|placed| placed.aggregate.starts_with(&within)).collect();
            let sources = self.sources_of(&ours).await?;
            let mut noticed = Vec::new();
            for (placed, source) in ours.iter().zip(&sources) {
                if let Some(finding) = self.held_otherwise(placed, source).await? {
                    noticed.push(Noticed::from(finding));
                }
            }
            self.keep(run, noticed, report).await?;
        }
    }

    async fn sources_of(&self, page: &[PlacedHolding]) -> Result<Vec<Source>, Problem> {
        let scope = self.scope().to_string();
        let held: Vec<(SourceKind, String)> =
            page.iter().map(|placed| (placed.held.kind, placed.held.source.clone())).collect();
        let read = self.db().read("sweep.sources", move |tx| {
            let of = |kind| held.iter().filter(move |(of, _)| *of == kind).map(|(_, id)| id.clone());
            let ids: Vec<String> = of(SourceKind::Subscription).collect();
            let mut subscriptions = mirror::subscriptions_of_ids(tx, &ids)?.into_iter();
            let ids: Vec<String> = of(SourceKind::Purchase).collect();
            let mut purchases = mirror::purchases_of_ids(tx, &scope, &ids)?.into_iter();
            let source = |(kind, _): &(SourceKind, String)| match kind {
                SourceKind::Subscription => {
                    let row = subscriptions.next().flatten();
                    row.map_or(Source::Nothing, |row| Source::Subscription(Box::new(row)))
                }
                SourceKind::Purchase => {
                    purchases.next().flatten().map_or(Source::Nothing, |purchase| Source::Purchase {
                        status: if purchase.facts.paid { "paid" } else { "not paid" },
                        standing: purchase.standing,
                    })
                }
                // Not kept among what comes from the mirror.
                SourceKind::Grant | SourceKind::FreePlan => Source::Nothing,
            };
            Ok(held.iter().map(source).collect())
        });
        Ok(read.await?)
    }

    /// What is wrong with a holding, if anything.
    async fn held_otherwise(
        &self,
        placed: &PlacedHolding,
        source: &Source,
    ) -> Result<Option<Finding>, Problem> {
        let now = self.now();
        let held = &placed.held;
        let (ours, theirs, wrong, cause) = match source {
            Source::Nothing => {
                let wrong = WrongAccess::between(held.standing.at(now), Access::Revoked);
                (in_words(held, now), None, wrong, Cause::Unexplained)
            }
            Source::Purchase { status, standing } => {
                if standing == &held.standing {
                    return Ok(None);
                }
                let wrong = WrongAccess::between(held.standing.at(now), standing.at(now));
                (in_words(held, now), Some((*status).to_owned()), wrong, Cause::Unexplained)
            }
            Source::Subscription(row) => {
                let subscription = &row.subscription;
                let status = Some(subscription.facts.status.to_string());
                let line = subscription.plans.iter().find(|plan| plan.item == held.line);
                let as_mirrored = subscription.standing == held.standing
                    && line.is_some_and(|plan| plan.plan == held.plan && plan.quantity == held.quantity)
                    && subscription.customer.as_ref().is_some_and(|id| id.as_str() == placed.customer);
                let wrong = WrongAccess::between(held.standing.at(now), self.should_give(row).await?);
                let cause = match (as_mirrored, wrong) {
                    (true, WrongAccess::None) => return Ok(None),
                    (true, WrongAccess::TooMuch | WrongAccess::TooLittle) => Cause::PolicyChanged,
                    (false, _) => Cause::Unexplained,
                };
                (in_words(held, now), status, wrong, cause)
            }
        };
        Ok(Some(Finding {
            kind: DriftKind::Entitlement,
            object: held.source.clone(),
            customer: quittance_domain::CustomerId::parse(&placed.customer).ok(),
            aggregate: Some(placed.aggregate.clone()),
            ours: Some(ours),
            theirs,
            cause,
            wrong,
            since: None,
        }))
    }

    /// What a mirrored subscription gives by today's policy; as it is stored, where that is not the policy's to say.
    async fn should_give(&self, row: &SubscriptionRow) -> Result<Access, Problem> {
        let (now, policy, held) = (self.now(), &self.settings().access, &row.subscription);
        let stored = held.standing.at(now);
        let contradicts = held.facts.named_customer.is_some() && held.facts.named_customer != held.customer;
        if held.missing || contradicts {
            return Ok(stored);
        }
        let plan = held.plans.first().map(|held| &held.plan);
        // What the provider has confirmed it had confirmed when somebody looked last.
        let should =
            |looked_at| policy.standing_of(&held.facts, plan, Some(held.standing), looked_at).at(now);
        if WrongAccess::between(stored, should(now)) == WrongAccess::None {
            return Ok(stored);
        }
        let key = row.aggregate.clone();
        let (payments, looked_at) = self
            .db()
            .read("sweep.payments", move |tx| {
                let looked_at = aggregates::get(tx, &key)?.and_then(|row| row.synced_at);
                Ok((mirror::payments_of_aggregate(tx, &key)?, looked_at))
            })
            .await?;
        let should = should(looked_at.unwrap_or(now));
        Ok(match WrongAccess::between(stored, should) {
            WrongAccess::None => stored,
            WrongAccess::TooLittle if paid_money_came_back(&held.facts, &payments, policy) => stored,
            WrongAccess::TooLittle | WrongAccess::TooMuch => should,
        })
    }
}

fn in_words(held: &HoldingRow, now: Timestamp) -> String {
    format!("{} × {}: {}", held.plan, held.quantity, held.standing.at(now).as_str())
}
