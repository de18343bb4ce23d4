//! Aggregates that are not a customer: a payment or a session that leads to one, or nothing to fetch.

use quittance_domain::dispute::WarningFacts;
use quittance_domain::{AggregateKey, Timestamp};
use quittance_store::aggregates::{self, Claim, Hint, Priority as Urgency};
use quittance_store::{disputes, inbox};
use quittance_stripe::calls::{self, Paging};

use super::{SyncEnd, SyncError};
use crate::engine::Engine;

impl Engine {
    /// A dispute or refund names only its payment: find the customer and mark that, thoroughly.
    #[crate::boxed]
    pub(super) async fn sync_payment(&self, claim: &Claim, payment: &str) -> Result<SyncEnd, SyncError> {
        let intent = self.look(calls::payments::retrieve_intent(payment)).await?;
        if let Some(customer) = &intent.customer
            && self.is_warned(claim).await?
        {
            self.keep_warnings(payment, customer).await?;
        }
        self.pass_on(claim, intent.customer).await
    }

    /// Whether an event that led here is a warning.
    async fn is_warned(&self, claim: &Claim) -> Result<bool, SyncError> {
        let claim = claim.clone();
        let kinds = self
            .db()
            .read("sync.kinds", move |tx| inbox::kinds_between(tx, &claim.key, claim.done, claim.target))
            .await?;
        Ok(kinds.iter().any(|kind| kind.starts_with("radar.")))
    }

    /// A warning names its payment and no customer, so that the look at the payment keeps it, for the customer's to find. What is
    /// written is what the provider says now, whoever writes it.
    async fn keep_warnings(&self, payment: &str, customer: &str) -> Result<(), SyncError> {
        let call = calls::disputes::list_warnings(payment, Paging::default());
        let page = self.look(call).await?;
        let facts: Vec<WarningFacts> = page
            .items
            .into_iter()
            .map(|found| WarningFacts {
                id: found.id,
                kind: found.kind,
                actionable: found.actionable,
                created_at: Timestamp::from_seconds(found.created_s),
            })
            .collect();
        let (scope, payment, customer) = (self.scope().to_string(), payment.to_owned(), customer.to_owned());
        self.db()
            .write("sync.keep_warnings", move |tx| {
                facts
                    .iter()
                    .try_for_each(|facts| disputes::put_warning(tx, &scope, &payment, &customer, facts))
            })
            .await?;
        Ok(())
    }

    /// A session without a customer at first may have one by now.
    #[crate::boxed]
    pub(super) async fn sync_checkout(&self, claim: &Claim, session: &str) -> Result<SyncEnd, SyncError> {
        let found = self.look(calls::checkout::retrieve(session)).await?;
        self.pass_on(claim, found.customer).await
    }

    /// Nothing is fetched for this object: its event is kept, and that is all.
    #[crate::boxed]
    pub(super) async fn sync_nothing(&self, claim: &Claim) -> Result<SyncEnd, SyncError> {
        self.pass_on(claim, None).await
    }

    async fn pass_on(&self, claim: &Claim, customer: Option<String>) -> Result<SyncEnd, SyncError> {
        let target = customer.map(|id| AggregateKey::customer(self.scope().clone(), &id).to_string());
        let (claim, now) = (claim.clone(), self.now());
        let held = self
            .db()
            .write("sync.pass_on", move |tx| {
                if !super::complete(tx, &claim, now)? {
                    return Ok(false);
                }
                if let Some(key) = &target {
                    let hint =
                        Hint { key, priority: Urgency::Event, due: now, unpark: false, thorough: true };
                    aggregates::mark(tx, &hint, now)?;
                }
                Ok(true)
            })
            .await?;
        self.wake();
        Ok(if held { SyncEnd::Done } else { SyncEnd::Fenced })
    }
}
