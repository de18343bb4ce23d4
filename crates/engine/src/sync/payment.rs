//! Aggregates that are not a customer: a payment or a session that leads to one, or nothing to fetch.

use quittance_domain::AggregateKey;
use quittance_store::aggregates::{self, Claim, Hint, Priority as Urgency};
use quittance_stripe::calls;
use quittance_stripe::client::Priority;

use super::{SyncEnd, SyncError};
use crate::engine::Engine;

impl Engine {
    /// A dispute or refund names only its payment: find the customer and mark that, thoroughly.
    pub(super) async fn sync_payment(&self, claim: &Claim, payment: &str) -> Result<SyncEnd, SyncError> {
        let intent = self.stripe().send(calls::payments::retrieve_intent(payment), Priority::Live).await?;
        self.pass_on(claim, intent.customer).await
    }

    /// A session without a customer at first may have one by now.
    pub(super) async fn sync_checkout(&self, claim: &Claim, session: &str) -> Result<SyncEnd, SyncError> {
        let found = self.stripe().send(calls::checkout::retrieve(session), Priority::Live).await?;
        self.pass_on(claim, found.customer).await
    }

    /// Nothing is fetched for this object: its event is kept, and that is all.
    pub(super) async fn sync_nothing(&self, claim: &Claim) -> Result<SyncEnd, SyncError> {
        self.pass_on(claim, None).await
    }

    async fn pass_on(&self, claim: &Claim, customer: Option<String>) -> Result<SyncEnd, SyncError> {
        let target = customer.map(|id| AggregateKey::customer(self.scope().clone(), &id).to_string());
        let (claim, now) = (claim.clone(), self.now());
        let held = self
            .db()
            .write("sync.pass_on", move |tx| {
                if !aggregates::complete(tx, &claim, now)? {
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
