//! "Read your payment": whoever knows that something happened asks for an answer that includes it.
//!
//! A caller names what it knows of (a checkout, an event, or a mark of an earlier answer). We look at the provider for it, or
//! wait for a look that is under way, and answer from what that look wrote: no webhook has to arrive first, and any node may
//! be asked. The wait is bounded; when it was too short, the answer says so and carries a mark to go on with.

use quittance_domain::checkout::CheckoutState;
use quittance_domain::{AggregateKey, AggregateObject, CustomerId};
use quittance_store::{aggregates, customers};

use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::redirect::Look;

/// The longest wait, in milliseconds.
pub const LONGEST_WAIT_MS: i64 = 30_000;
/// How a mark of ours begins.
const MARK: &str = "mark_";

/// Whether an answer includes what its caller knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// It does.
    Reached,
    /// The wait was too short: ask again with this.
    Waiting(String),
}

impl Freshness {
    /// Whether the answer may still change because of what the caller knows of.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        match self {
            Self::Reached => false,
            Self::Waiting(_) => true,
        }
    }

    /// What to ask with again.
    #[must_use]
    pub fn mark(&self) -> Option<&str> {
        match self {
            Self::Reached => None,
            Self::Waiting(mark) => Some(mark),
        }
    }
}

impl Look {
    fn mark(&self) -> String {
        format!("{MARK}{}_{}", self.mark, self.provider_customer)
    }
}

impl Engine {
    /// Waits until what we know of a customer includes what `after` names: a checkout (ours or the provider's session), an
    /// event of the provider, or the mark of an earlier answer. When the time is up, memory is reloaded all the same.
    ///
    /// # Errors
    /// `invalid_request` for what is none of these, `not_found` for what is not this customer's.
    #[crate::boxed]
    pub async fn catch_up(
        &self,
        customer: &CustomerId,
        after: &str,
        wait_ms: Option<i64>,
    ) -> Result<Freshness, Problem> {
        let wait_ms = wait_ms.unwrap_or(self.settings().redirect_wait_ms);
        if !(0..=LONGEST_WAIT_MS).contains(&wait_ms) {
            return Err(Problem::invalid(format!("`wait_ms` must be between 0 and {LONGEST_WAIT_MS}.")));
        }
        let look = if let Some(mark) = after.strip_prefix(MARK) {
            Some(self.marked_look(customer, mark).await?)
        } else if after.starts_with("evt_") {
            self.look_for_event(customer, after).await?
        } else if after.starts_with("chk_") || after.starts_with("cs_") {
            self.look_for_checkout(customer, after).await?
        } else {
            return Err(Problem::invalid(
                "`after` must be the id of a checkout (chk_… or cs_…), of an event (evt_…), or the `after` of an earlier answer.",
            ));
        };
        let reached = match &look {
            Some(look) => self.wait_for(&look.key, look.mark, wait_ms).await?,
            None => true,
        };
        // Another node may have made the look, and its word of it may still be on the way.
        self.reload(customer.as_str()).await?;
        Ok(match look {
            Some(look) if !reached => Freshness::Waiting(look.mark()),
            Some(_) | None => Freshness::Reached,
        })
    }

    async fn look_for_checkout(&self, customer: &CustomerId, id: &str) -> Result<Option<Look>, Problem> {
        let row = self.checkout_row(id).await?;
        if row.wish.customer != *customer {
            return Err(Problem::not_found("checkout"));
        }
        match row.state {
            // What was bought was written together with this state.
            CheckoutState::Complete => Ok(None),
            CheckoutState::Creating
            | CheckoutState::Open
            | CheckoutState::Processing
            | CheckoutState::Expired => self.look_for(customer, false).await,
        }
    }

    /// An event that has not arrived, or that no look has answered, is looked for at the provider, where it has happened.
    async fn look_for_event(&self, customer: &CustomerId, id: &str) -> Result<Option<Look>, Problem> {
        let event = match self.event(id).await {
            Ok(event) => event,
            Err(problem) if problem.code == ProblemCode::NotFound => {
                return self.look_for(customer, true).await;
            }
            Err(problem) => return Err(problem),
        };
        match AggregateKey::parse(&event.aggregate).map(|key| key.object) {
            Some(AggregateObject::Customer(of)) if !self.owns(customer, &of).await? => {
                Err(Problem::not_found("event of this customer"))
            }
            Some(AggregateObject::Customer(_)) if event.processed => Ok(None),
            // A payment or a session leads to its customer, whose look includes it.
            Some(
                AggregateObject::Customer(_)
                | AggregateObject::Payment(_)
                | AggregateObject::Checkout(_)
                | AggregateObject::Balance
                | AggregateObject::Other(_),
            )
            | None => self.look_for(customer, true).await,
        }
    }

    async fn marked_look(&self, customer: &CustomerId, text: &str) -> Result<Look, Problem> {
        let parsed =
            text.split_once('_').and_then(|(mark, id)| Some((mark.parse::<i64>().ok()?, id.to_owned())));
        let Some((mark, provider_customer)) = parsed.filter(|(mark, _)| *mark > 0) else {
            return Err(Problem::invalid("`after` is no mark of ours."));
        };
        if !self.owns(customer, &provider_customer).await? {
            return Err(Problem::not_found("mark of this customer"));
        }
        let key = AggregateKey::customer(self.scope().clone(), &provider_customer).to_string();
        let id = key.clone();
        let row = self.db().read("aggregates.get", move |tx| aggregates::get(tx, &id)).await?;
        // A mark that was never given would never be reached.
        if row.is_none_or(|row| row.wanted < mark) {
            return Err(Problem::not_found("mark of this customer"));
        }
        Ok(Look { provider_customer, key, mark })
    }

    async fn owns(&self, customer: &CustomerId, provider_customer: &str) -> Result<bool, Problem> {
        let (scope, id) = (self.scope().to_string(), provider_customer.to_owned());
        let linked = self.db().read("customers.linked", move |tx| customers::linked(tx, &scope, &id)).await?;
        Ok(linked.as_ref() == Some(customer))
    }
}
