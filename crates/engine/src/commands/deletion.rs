//! Having the provider delete its customer of one who was erased.

use quittance_domain::SubscriptionStatus;
use quittance_stripe::calls::subscriptions::ListSubscriptions;
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::error::StripeError;
use serde_json::{Value, json};

use super::execute::Setback;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::sync::names_missing;

impl Engine {
    /// Has a customer deleted, which would end its subscriptions too: nothing is done while one runs there. One who is gone already
    /// is what was wanted.
    #[crate::boxed]
    pub(super) async fn delete_customer(&self, provider_customer: &str) -> Result<Value, Setback> {
        let gone = json!({ "id": provider_customer, "deleted": true });
        match self.runs_there(provider_customer).await {
            Ok(None) => {}
            Ok(Some(live)) => {
                return Err(Setback::Refused(Problem::new(
                    ProblemCode::WrongState,
                    format!("{provider_customer} has a live subscription there, {live}; it was not deleted."),
                    "End it at the provider, then erase the customer again.",
                )));
            }
            Err(error) if names_missing(&error) => return Ok(gone),
            Err(error) => return Err(error.into()),
        }
        match self.ask(calls::customers::delete(provider_customer)).await {
            Ok(_) => Ok(gone),
            Err(error) if names_missing(&error) => Ok(gone),
            Err(error) => Err(error.into()),
        }
    }

    /// A subscription that has not ended there, or cannot be read.
    async fn runs_there(&self, provider_customer: &str) -> Result<Option<String>, StripeError> {
        let mut after: Option<String> = None;
        loop {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let wanted = ListSubscriptions {
                customer: Some(provider_customer),
                paging,
                ..ListSubscriptions::default()
            };
            let page = self.ask(calls::subscriptions::list(&wanted)).await?;
            let runs = page.items.iter().find(|s| !SubscriptionStatus::from(s.status.clone()).is_final());
            if let Some(live) = runs {
                return Ok(Some(live.id.clone()));
            }
            if let Some(odd) = page.odd.first() {
                return Ok(Some(odd.id.clone().unwrap_or_else(|| "one that cannot be read".to_owned())));
            }
            after = page.last_id;
            if !page.has_more {
                return Ok(None);
            }
        }
    }
}
