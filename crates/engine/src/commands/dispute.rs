//! Answering a dispute, once: the bank takes evidence one time.

use quittance_domain::dispute::{DisputeStatus, Turn};
use quittance_stripe::calls::{self, IdempotencyKey};
use quittance_stripe::error::{ErrorKind, StripeError};
use quittance_stripe::observe::ObservedDispute;
use serde_json::{Value, json};

use crate::engine::Engine;

impl Engine {
    /// Submits the evidence, unless it was submitted or decided meanwhile.
    #[crate::boxed]
    pub(super) async fn contest(
        &self,
        id: &str,
        evidence: &[(&'static str, String)],
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let found = self.dispute_at_provider(id).await?;
        if DisputeStatus::from(found.status.clone()).turn() != Turn::Ours {
            return Ok(told(&found));
        }
        let fields: Vec<(&str, &str)> = evidence.iter().map(|(name, text)| (*name, text.as_str())).collect();
        match self.ask(calls::disputes::submit(id, &fields, key)).await {
            Ok(found) => Ok(told(&found)),
            // More has happened between two sendings: if the first one arrived, the bank has what it said.
            Err(error) if *error.kind() == ErrorKind::IdempotencyMismatch => {
                let found = self.dispute_at_provider(id).await?;
                if found.submissions > 0 { Ok(told(&found)) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a dispute up, unless it was answered or decided meanwhile.
    #[crate::boxed]
    pub(super) async fn accept_dispute(&self, id: &str, key: IdempotencyKey) -> Result<Value, StripeError> {
        let found = self.dispute_at_provider(id).await?;
        if DisputeStatus::from(found.status.clone()).turn() != Turn::Ours {
            return Ok(told(&found));
        }
        let closed = self.ask(calls::disputes::close(id, key)).await?;
        Ok(told(&closed))
    }

    async fn dispute_at_provider(&self, id: &str) -> Result<ObservedDispute, StripeError> {
        self.ask(calls::disputes::retrieve(id)).await
    }
}

fn told(found: &ObservedDispute) -> Value {
    json!({ "id": found.id, "status": found.status, "submissions": found.submissions })
}
