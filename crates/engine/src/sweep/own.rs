//! What a sweep finds in our own books, without asking anybody: access that the policy would not give, subscriptions and
//! money that belong to nobody, several subscriptions where one is meant.

use quittance_domain::Subscription;
use quittance_domain::drift::{Cause, DriftKind, Finding, WrongAccess};
use quittance_domain::subscription::Duplicate;
use quittance_domain::time::HOUR_MS;
use quittance_store::mirror::SubscriptionRow;
use quittance_store::{customers, drifts, ledger, meta, mirror};

use super::{MIRROR_PAGE, Noticed, Run, SweepReport};
use crate::engine::Engine;
use crate::problem::Problem;

/// What the provider has of whoever paid without being its customer.
pub(crate) const GUEST: &str = "guest";
/// Money younger than this may still find its customer.
const MONEY_SETTLES_MS: i64 = HOUR_MS;

fn finding(kind: DriftKind, row: &SubscriptionRow, cause: Cause) -> Finding {
    Finding {
        kind,
        object: row.subscription.facts.id.clone(),
        customer: row.subscription.customer.clone(),
        aggregate: Some(row.aggregate.clone()),
        ours: None,
        theirs: Some(row.subscription.facts.status.to_string()),
        cause,
        wrong: WrongAccess::None,
        since: None,
    }
}

impl Engine {
    /// Looks through our own side.
    #[crate::boxed]
    pub(super) async fn sweep_own(&self, run: &Run, report: &mut SweepReport) -> Result<(), Problem> {
        let mut after = String::new();
        loop {
            let (scope, from) = (self.scope().to_string(), after.clone());
            let page = self
                .db()
                .read("sweep.live_page", move |tx| mirror::live_page(tx, &scope, &from, MIRROR_PAGE))
                .await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.subscription.facts.id);
            let noticed = self.own_findings(&page).await?;
            self.keep(run, noticed, report).await?;
        }
        self.sweep_holdings(run, report).await?;
        self.several_live(run, report).await?;
        self.money_of_nobody(run, report).await
    }

    /// Of a page of subscriptions, those of nobody, those whose price the catalog does not name, and those that give their
    /// customer nothing to hold.
    async fn own_findings(&self, page: &[SubscriptionRow]) -> Result<Vec<Noticed>, Problem> {
        let now = self.now();
        let keys: Vec<String> = page.iter().map(|row| row.aggregate.clone()).collect();
        let held = self.db().read("sweep.held", move |tx| mirror::sources_held(tx, &keys)).await?;
        let mut found = Vec::new();
        for (row, held) in page.iter().zip(held) {
            let subscription = &row.subscription;
            let live = subscription.is_live();
            if live && subscription.customer.is_none() {
                found.push(finding(DriftKind::UnownedSubscription, row, Cause::NotOurs).into());
            }
            if live && subscription.plans.is_empty() && !subscription.facts.items.is_empty() {
                found.push(finding(DriftKind::UnknownPrice, row, Cause::Unexplained).into());
            }
            let gives = subscription.customer.is_some() && subscription.standing.at(now).allows();
            if gives && !subscription.plans.is_empty() && !held.contains(&subscription.facts.id) {
                found.push(Noticed::from(Finding {
                    ours: Some("nothing is held".to_owned()),
                    wrong: WrongAccess::TooLittle,
                    ..finding(DriftKind::Entitlement, row, Cause::Unexplained)
                }));
            }
        }
        Ok(found)
    }

    /// Customers with more than one live subscription of one plan group, which no machine may mend.
    async fn several_live(&self, run: &Run, report: &mut SweepReport) -> Result<(), Problem> {
        let mut after = String::new();
        loop {
            let from = after.clone();
            let page = self
                .db()
                .read("sweep.several_live", move |tx| mirror::several_live(tx, &from, MIRROR_PAGE))
                .await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(last);
            let mut noticed = Vec::new();
            for customer in page {
                let rows = self
                    .db()
                    .read("sweep.of_customer", move |tx| mirror::subscriptions_of_customer(tx, &customer))
                    .await?;
                noticed.extend(too_many(&rows).into_iter().map(Noticed::from));
            }
            self.keep(run, noticed, report).await?;
        }
    }

    /// Payments in the ledger that belong to none of our customers; those found before are looked at again.
    async fn money_of_nobody(&self, run: &Run, report: &mut SweepReport) -> Result<(), Problem> {
        let (scope, name) = (self.scope().to_string(), format!("sweep.money/{}", self.scope()));
        let until = self.now().plus_ms(-MONEY_SETTLES_MS);
        let cursor = name.clone();
        let seen = self.db().read("sweep.money_seen", move |tx| meta::get(tx, &cursor)).await?;
        let mut seen: i64 = seen.and_then(|seq| seq.parse().ok()).unwrap_or(0);
        loop {
            let books = scope.clone();
            let page = self
                .db()
                .read("sweep.money", move |tx| ledger::money_in(tx, &books, seen, until, MIRROR_PAGE))
                .await?;
            let Some(last) = page.last().map(|money| money.seq) else { break };
            seen = last;
            let nobody = page.into_iter().filter(|money| money.customer.is_none()).map(|money| Finding {
                kind: DriftKind::UnownedPayment,
                object: money.payment,
                customer: None,
                aggregate: None,
                ours: None,
                theirs: Some(money.provider_customer.unwrap_or_else(|| GUEST.to_owned())),
                cause: Cause::NotOurs,
                wrong: WrongAccess::None,
                since: Some(money.at),
            });
            self.keep(run, nobody.map(Noticed::from).collect(), report).await?;
            if run.dry {
                continue;
            }
            let cursor = name.clone();
            self.db().write("sweep.money_seen", move |tx| meta::set(tx, &cursor, &last.to_string())).await?;
        }
        if run.dry { Ok(()) } else { self.money_found_an_owner().await }
    }

    /// Ends findings about money whose customer was linked meanwhile, and sees the others again.
    async fn money_found_an_owner(&self) -> Result<(), Problem> {
        let mut before = i64::MAX;
        loop {
            let (scope, now, cursor) = (self.scope().to_string(), self.now(), before);
            let last = self
                .db()
                .write("sweep.money_again", move |tx| {
                    let money = Some(DriftKind::UnownedPayment);
                    let open = drifts::list(tx, &scope, false, money, cursor, MIRROR_PAGE)?;
                    for row in &open {
                        let buyer = row.theirs.as_deref().unwrap_or_default();
                        if customers::linked(tx, &scope, buyer)?.is_some() {
                            drifts::claimed(tx, row.seq, "linked", now)?;
                            super::over(tx, row.kind, &row.object, now)?;
                        } else {
                            drifts::see(tx, row.seq, now)?;
                        }
                    }
                    Ok(open.last().map(|row| row.seq))
                })
                .await?;
            match last {
                Some(seq) => before = seq,
                None => return Ok(()),
            }
        }
    }
}

/// Of a customer's live subscriptions of one plan group, those that are one too many and that nobody is mending.
fn too_many(rows: &[SubscriptionRow]) -> Vec<Finding> {
    let live: Vec<&SubscriptionRow> = rows
        .iter()
        .filter(|row| row.subscription.is_live())
        .filter(|row| !matches!(row.subscription.duplicate, Some(Duplicate::Cancel { .. })))
        .collect();
    let too_close = |one: &Subscription, other: &Subscription| {
        one.plans.iter().any(|held| other.plans.iter().any(|plan| plan.group == held.group))
            && !one.follows(other)
            && !other.follows(one)
    };
    let mut found = Vec::new();
    for (index, row) in live.iter().enumerate() {
        // The list is newest first: the oldest of a group stays.
        let older =
            live.iter().skip(index + 1).find(|other| too_close(&row.subscription, &other.subscription));
        if let Some(older) = older {
            found.push(Finding {
                ours: Some(format!("beside {}", older.subscription.facts.id)),
                ..finding(DriftKind::Duplicate, row, Cause::NotOurs)
            });
        }
    }
    found
}
