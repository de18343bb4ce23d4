//! The customers of the provider beside ours: addresses that differ, and customers that were deleted there.
//!
//! They change seldom, and nothing of access hangs on them that a subscription does not tell: they are listed once a day, and
//! whenever somebody sweeps by hand.

use quittance_domain::drift::{Cause, DriftKind, Finding, WrongAccess};
use quittance_domain::time::DAY_MS;
use quittance_domain::{AggregateKey, Timestamp};
use quittance_store::customers::{self, LinkedEmail};
use quittance_store::meta;
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::observe::ObservedCustomer;

use super::ids::Ids;
use super::{Cursor, MIRROR_PAGE, MOST_PAGES, Noticed, OVERLAP_MS, Run};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::progress::Meter;
use crate::settings::EmailTruth;
use crate::sync::names_missing;

/// How often a sweep by the clock lists them.
const EVERY_MS: i64 = DAY_MS;

impl Engine {
    /// Lists the provider's customers, if it is time to.
    #[crate::boxed]
    pub(super) async fn sweep_customers(&self, run: &Run, cursor: &mut Cursor) -> Result<(), Problem> {
        let name = format!("sweep.customers/{}", self.scope());
        let key = name.clone();
        let listed = self.db().read("sweep.customers_at", move |tx| meta::get(tx, &key)).await?;
        let at = listed.and_then(|text| text.parse().ok()).map(Timestamp::from_ms);
        if !run.by_hand && at.is_some_and(|at| run.began.since(at) < EVERY_MS) {
            return Ok(());
        }
        self.list_customers(run, cursor).await?;
        if cursor.customers_seen && !run.dry {
            let began = run.began.ms().to_string();
            self.db().write("sweep.customers_at", move |tx| meta::set(tx, &name, &began)).await?;
        }
        Ok(())
    }

    async fn list_customers(&self, run: &Run, cursor: &mut Cursor) -> Result<(), Problem> {
        let mut listed = cursor.customers_after.is_none().then(Ids::default);
        let meter = Meter::start(self.now(), cursor.report.customers);
        for _ in 0..MOST_PAGES {
            let after = cursor.customers_after.clone();
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let page = match self.listed(calls::customers::list(None, paging), &mut cursor.report.calls).await
            {
                // Where it was left off is gone at the provider: from the newest again.
                Err(error) if after.is_some() && names_missing(&error) => {
                    (cursor.customers_after, cursor.report.customers) = (None, 0);
                    listed = Some(Ids::default());
                    continue;
                }
                listed => listed?,
            };
            cursor.report.customers += page.items.len() as u64;
            let noticed = self.other_emails(&page.items).await?;
            self.keep(run, noticed, &mut cursor.report).await?;
            if let Some(listed) = &mut listed {
                page.items.iter().for_each(|found| listed.add(&found.id));
                // What cannot be read is there all the same.
                page.odd.iter().filter_map(|odd| odd.id.as_deref()).for_each(|id| listed.add(id));
                if !page.has_more {
                    self.find_deleted(run, listed, cursor).await?;
                }
            }
            cursor.customers_after = page.last_id.clone();
            cursor.customers_seen = !page.has_more;
            let progress = meter.read("customers", cursor.report.customers, None, self.now());
            self.checkpoint(run, cursor, &progress).await?;
            if cursor.customers_seen {
                break;
            }
        }
        Ok(())
    }

    /// Customers whose address at the provider is not ours.
    async fn other_emails(&self, listed: &[ObservedCustomer]) -> Result<Vec<Noticed>, Problem> {
        let truth = self.settings().email_truth;
        if truth == EmailTruth::Ignore {
            return Ok(Vec::new());
        }
        let scope = self.scope().to_string();
        let ids: Vec<String> = listed.iter().map(|found| found.id.clone()).collect();
        let linked =
            self.db().read("sweep.emails", move |tx| customers::linked_emails(tx, &scope, &ids)).await?;
        let mut noticed = Vec::new();
        for (found, ours) in listed.iter().zip(linked) {
            let Some(LinkedEmail { customer, email: Some(address), alone, in_use }) = ours else { continue };
            // Of several with an address each, one decides; else ours would follow one after the other for ever.
            if truth == EmailTruth::Provider && !in_use {
                continue;
            }
            let same = match &found.email {
                Some(theirs) => theirs.is(&address),
                // Of several there one may have the address and another none: nothing is removed for that.
                None => truth == EmailTruth::Provider && !alone,
            };
            if same {
                continue;
            }
            noticed.push(Noticed {
                finding: Finding {
                    kind: DriftKind::Email,
                    object: found.id.clone(),
                    aggregate: Some(AggregateKey::customer(self.scope().clone(), &found.id).to_string()),
                    customer: Some(customer),
                    ours: Some("an address".to_owned()),
                    theirs: Some(
                        if found.email.is_some() { "another address" } else { "no address" }.to_owned(),
                    ),
                    cause: Cause::Unexplained,
                    wrong: WrongAccess::None,
                    since: None,
                },
                email: found.email.as_ref().map(|theirs| theirs.expose().to_owned()),
            });
        }
        Ok(noticed)
    }

    /// Finds links to customers that the provider no longer lists. What they had is found by their subscriptions; what they
    /// buy next needs another customer there.
    async fn find_deleted(&self, run: &Run, listed: &Ids, cursor: &mut Cursor) -> Result<(), Problem> {
        let mut after = String::new();
        loop {
            let (scope, from) = (self.scope().to_string(), after.clone());
            let page = self
                .db()
                .read("sweep.believed", move |tx| customers::believed(tx, &scope, &from, MIRROR_PAGE))
                .await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.provider_customer);
            // One that was linked while the pages came may be on none of them.
            let settled = run.began.plus_ms(-OVERLAP_MS);
            let deleted = page
                .into_iter()
                .filter(|link| !listed.has(&link.provider_customer) && link.created_at < settled);
            let findings = deleted.map(|link| Finding {
                kind: DriftKind::DeletedCustomer,
                aggregate: Some(
                    AggregateKey::customer(self.scope().clone(), &link.provider_customer).to_string(),
                ),
                object: link.provider_customer,
                customer: Some(link.customer),
                ours: Some("linked".to_owned()),
                theirs: None,
                cause: Cause::CustomerDeleted,
                wrong: WrongAccess::None,
                since: None,
            });
            self.keep(run, findings.map(Noticed::from).collect(), &mut cursor.report).await?;
        }
    }
}
