//! Erasing a customer on its own or the operator's wish.
//!
//! What is personal goes, in one transaction: address, name, language, notes, the texts of mails, what the provider's events
//! said, where checkouts came from, which cards failed, answers kept for a repeated key, why somebody was shut out or given something, what
//! the app called a checkout, and what was written in terms, in a cancellation or in an answer to a dispute. The id that the app gave, subscriptions, payments, the books and the record of what was told stay: they are
//! what was sold, and must be kept. What the provider keeps goes by a command of its own, where it is asked for.

use quittance_domain::{AggregateKey, CustomerId, Timestamp};
pub use quittance_store::erasure::Erased;
use quittance_store::history::{self, NewLine};
use quittance_store::{customers, erasure, fraud, mirror, terms};
use serde_json::json;

use crate::commands::request::Request;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// Why a customer cannot be erased now.
enum Obstacle {
    Unknown,
    Live(String),
    UnderWay,
}

/// A request as it is written down, without what somebody wrote in their own words; none when nothing of that is in it.
fn without_words(request: &str) -> Option<String> {
    let silent = serde_json::from_str::<Request>(request).ok()?.without_words()?;
    serde_json::to_string(&silent).ok()
}

/// What became of a customer at the provider.
#[derive(Debug)]
pub struct DeletedThere {
    /// The provider's customer.
    pub provider_customer: String,
    /// Why it is still there, if it is; what takes longer is finished by a server or a worker.
    pub problem: Option<Problem>,
}

impl Engine {
    /// Has the provider delete its customers of one who was erased, each by one command: asked again, what is gone is left alone.
    /// No money moves by it.
    ///
    /// # Errors
    /// `shadow_mode`, or when the database cannot be used; what the provider refuses stands in the answer.
    #[crate::boxed]
    pub async fn delete_at_provider(&self, id: &CustomerId) -> Result<Vec<DeletedThere>, Problem> {
        self.refuse_in_shadow()?;
        let (key, scope) = (id.clone(), self.scope().to_string());
        let present =
            self.db().read("customers.present", move |tx| customers::present(tx, &key, &scope)).await?;
        let mut all = Vec::with_capacity(present.len());
        for provider_customer in present {
            let request = Request::DeleteCustomer {
                customer: id.clone(),
                provider_customer: provider_customer.clone(),
            };
            let aggregate = AggregateKey::customer(self.scope().clone(), &provider_customer).to_string();
            let command = self.want(&request, Some(&aggregate), Some(id)).await?;
            let problem = self.perform(&command).await.err();
            all.push(DeletedThere { provider_customer, problem });
        }
        Ok(all)
    }

    /// Refuses what could not be done at the provider, before anything is done here.
    ///
    /// # Errors
    /// `shadow_mode`.
    pub fn may_delete_at_provider(&self) -> Result<(), Problem> {
        self.refuse_in_shadow()
    }

    /// Removes what is personal about a customer; `by` says who wishes it. Again, it removes what came since.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` while a subscription is live, a checkout can be paid or a command is not done.
    #[crate::boxed]
    pub async fn erase_customer(&self, id: &CustomerId, by: &str) -> Result<(Erased, Timestamp), Problem> {
        let (key, scope, now, by) = (id.clone(), self.scope().clone(), self.now(), by.to_owned());
        let erased = self
            .db()
            .write("customers.erase", move |tx| {
                if !customers::lock(tx, &key)? {
                    return Ok(Err(Obstacle::Unknown));
                }
                let held = mirror::subscriptions_of_customer(tx, key.as_str())?;
                if let Some(live) = held.into_iter().find(|row| row.subscription.is_live()) {
                    return Ok(Err(Obstacle::Live(live.subscription.facts.id.to_string())));
                }
                if erasure::unfinished(tx, &key, now)? {
                    return Ok(Err(Obstacle::UnderWay));
                }
                let known = customers::provider_ids(tx, &key, &scope.to_string())?;
                let aggregates: Vec<String> =
                    known.iter().map(|id| AggregateKey::customer(scope.clone(), id).to_string()).collect();
                fraud::erase(tx, &key, &scope.to_string(), &known)?;
                let erased = erasure::erase(tx, &key, &aggregates, now)?;
                if let Some(mut row) = terms::get(tx, key.as_str())? {
                    row.terms.note.clear();
                    terms::put(tx, &key, &row)?;
                }
                for (command, request) in erasure::finished(tx, &key)? {
                    if let Some(silent) = without_words(&request) {
                        erasure::reword(tx, &command, &silent)?;
                    }
                }
                let line = NewLine {
                    customer: Some(key.clone()),
                    aggregate: None,
                    at: now,
                    kind: "customer.erased".into(),
                    object: key.to_string(),
                    data: json!({ "mails": erased.mails, "events": erased.events }).to_string(),
                    cause: json!({ "by": by }).to_string(),
                };
                history::insert(tx, &line)?;
                Ok(Ok(erased))
            })
            .await?;
        let refused = |detail: String, mend: &str| Err(Problem::new(ProblemCode::WrongState, detail, mend));
        match erased {
            Ok(erased) => Ok((erased, now)),
            Err(Obstacle::Unknown) => Err(Problem::not_found("customer")),
            Err(Obstacle::Live(subscription)) => refused(
                format!("The customer has a live subscription, {subscription}; nothing was erased."),
                "Cancel it at once (POST /v1/subscriptions/{id}/cancel), then erase the customer.",
            ),
            Err(Obstacle::UnderWay) => refused(
                "A checkout of the customer can still be paid, or a command is not done; nothing was erased."
                    .to_owned(),
                "Try again when it has ended: checkouts run out within a day, `quittance parked list` shows commands that are stuck.",
            ),
        }
    }
}
