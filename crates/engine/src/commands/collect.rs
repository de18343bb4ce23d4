//! Collecting an invoice whose payment failed: one try, or the end of trying.

use quittance_domain::dunning::OnExhaustion;
use quittance_stripe::calls::{self, IdempotencyKey};
use quittance_stripe::error::{ErrorKind, StripeError};
use quittance_stripe::observe::ObservedInvoice;
use serde_json::{Value, json};

use crate::engine::Engine;

impl Engine {
    /// Tries an invoice once, unless there is no need any more, or the provider has planned to do so itself.
    #[crate::boxed]
    pub(super) async fn try_invoice(&self, id: &str, key: IdempotencyKey) -> Result<Value, StripeError> {
        let found = self.invoice(id).await?;
        if found.status != "open" {
            return Ok(json!({ "id": id, "status": found.status, "tried": false }));
        }
        if let Some(next) = found.next_payment_attempt_s {
            return Ok(
                json!({ "id": id, "status": found.status, "tried": false, "provider_tries_at_s": next }),
            );
        }
        let paid = self.ask(calls::invoices::pay(id, key)).await?;
        Ok(json!({ "id": id, "status": paid.status, "tried": true }))
    }

    /// Ends what the invoice is for, unless it was paid meanwhile.
    #[crate::boxed]
    pub(super) async fn give_up(
        &self,
        subscription: &str,
        id: &str,
        how: OnExhaustion,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let found = self.invoice(id).await?;
        if found.status != "open" {
            return Ok(json!({ "id": id, "status": found.status }));
        }
        match how {
            OnExhaustion::Leave => Ok(json!({ "id": id, "status": found.status })),
            OnExhaustion::Cancel => self.cancel_now(subscription, "its payment failed too often", None).await,
            OnExhaustion::MarkUncollectible => {
                match self.ask(calls::invoices::mark_uncollectible(id, key)).await {
                    Ok(marked) => Ok(json!({ "id": id, "status": marked.status })),
                    // Somebody was faster: what it is now, it is.
                    Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest { .. }) => {
                        let now = self.invoice(id).await?;
                        if now.status == "open" {
                            Err(error)
                        } else {
                            Ok(json!({ "id": id, "status": now.status }))
                        }
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    async fn invoice(&self, id: &str) -> Result<ObservedInvoice, StripeError> {
        self.ask(calls::invoices::retrieve(id)).await
    }
}
