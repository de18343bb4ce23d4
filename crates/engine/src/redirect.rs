//! Layer 1: the buyer comes back. The redirect grants nothing: it marks the aggregate dirty, waits a
//! moment for the sync, and tells where the checkout stands.

use quittance_domain::checkout::CheckoutState;
use quittance_domain::{AggregateKey, CustomerId};
use quittance_store::aggregates::{self, Hint, Priority};
use quittance_store::checkouts::CheckoutRow;

use crate::engine::Engine;
use crate::problem::Problem;
use crate::world::Point;

/// First and longest pause between looks while waiting, in milliseconds: it grows by half each time.
const LOOK_MS: (u64, u64) = (20, 200);

/// Where a checkout stands for somebody who came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The checkout as stored.
    pub row: CheckoutRow,
    /// Whether that is what the provider said since we were last told to look. While it is not, a checkout
    /// that is stored as open may be paid already.
    pub looked: bool,
}

/// A look at the provider that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// The provider's customer.
    pub provider_customer: String,
    /// Its aggregate.
    pub key: String,
    /// The look is done when the aggregate's `done` has reached this.
    pub mark: i64,
}

impl Engine {
    /// Where a checkout stands, after having looked at the provider if that can still change.
    ///
    /// # Errors
    /// `not_found` for a session that is not ours.
    #[crate::boxed]
    pub async fn checkout_returned(&self, session: &str, wait_ms: i64) -> Result<CheckoutRow, Problem> {
        Ok(self.buyer_returned(session, wait_ms).await?.row)
    }

    /// As [`Engine::checkout_returned`], and whether the wait was long enough.
    ///
    /// # Errors
    /// `not_found` for a session that is not ours.
    #[crate::boxed]
    pub async fn buyer_returned(&self, session: &str, wait_ms: i64) -> Result<Returned, Problem> {
        let row = self.checkout_row(session).await?;
        match row.state {
            CheckoutState::Complete | CheckoutState::Expired => return Ok(Returned { row, looked: true }),
            CheckoutState::Creating | CheckoutState::Open | CheckoutState::Processing => {}
        }
        let Some(look) = self.look_for(&row.wish.customer, false).await? else {
            return Ok(Returned { row, looked: true });
        };
        let looked = self.wait_for(&look.key, look.mark, wait_ms).await?;
        Ok(Returned { row: self.checkout_row(session).await?, looked })
    }

    /// Has a customer's truth looked at, at the provider and before others, because somebody waits; `thorough`ly also at what
    /// seldom changes. `None` for a customer that has nothing there.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub(crate) async fn look_for(
        &self,
        customer: &CustomerId,
        thorough: bool,
    ) -> Result<Option<Look>, Problem> {
        let Some(provider_customer) = self.known_provider_customer(customer).await? else { return Ok(None) };
        let key = AggregateKey::customer(self.scope().clone(), &provider_customer).to_string();
        let (marked, now) = (key.clone(), self.now());
        let mark = self
            .db()
            .write("redirect.mark", move |tx| {
                let hint =
                    Hint { key: &marked, priority: Priority::Waiting, due: now, unpark: false, thorough };
                aggregates::mark(tx, &hint, now)
            })
            .await?;
        self.world().point(Point::ReturnMarked).await;
        self.wake();
        Ok(Some(Look { provider_customer, key, mark }))
    }

    /// Where a checkout stands as far as we know, without looking at the provider again: for a page that asks
    /// every second.
    ///
    /// # Errors
    /// `not_found` for a session that is not ours.
    #[crate::boxed]
    pub async fn checkout_seen(&self, session: &str) -> Result<Returned, Problem> {
        let row = self.checkout_row(session).await?;
        let Some(provider_customer) = self.known_provider_customer(&row.wish.customer).await? else {
            return Ok(Returned { row, looked: true });
        };
        let key = AggregateKey::customer(self.scope().clone(), &provider_customer).to_string();
        let aggregate = self.db().read("aggregates.get", move |tx| aggregates::get(tx, &key)).await?;
        let looked = aggregate.is_none_or(|aggregate| aggregate.done >= aggregate.wanted);
        // Read again, so that an answer that came in between is not paired with the state before it.
        Ok(Returned { row: self.checkout_row(session).await?, looked })
    }

    /// Waits until an aggregate has answered a mark, at most `wait_ms`; `true` when it has.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn wait_for(&self, key: &str, mark: i64, wait_ms: i64) -> Result<bool, Problem> {
        let deadline = self.now().plus_ms(wait_ms);
        let mut look_ms = LOOK_MS.0;
        loop {
            let id = key.to_owned();
            let row = self.db().read("aggregates.get", move |tx| aggregates::get(tx, &id)).await?;
            if row.as_ref().is_some_and(|row| row.done >= mark) {
                return Ok(true);
            }
            if self.now() >= deadline || row.is_some_and(|row| row.parked_at.is_some()) {
                return Ok(false);
            }
            let synced = self.synced().notified();
            let pause = self.world().sleep(look_ms);
            look_ms = (look_ms + look_ms / 2).min(LOOK_MS.1);
            futures_util::future::select(std::pin::pin!(synced), pause).await;
        }
    }

    /// Waits until everything that an aggregate was marked for by now is answered.
    #[crate::boxed]
    pub(crate) async fn wait_clean(&self, key: &str, wait_ms: i64) -> Result<bool, Problem> {
        let id = key.to_owned();
        let row = self.db().read("aggregates.get", move |tx| aggregates::get(tx, &id)).await?;
        match row {
            Some(row) => self.wait_for(key, row.wanted, wait_ms).await,
            None => Ok(true),
        }
    }
}
