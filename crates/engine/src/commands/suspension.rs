//! The steps of a suspension, and of its end, at the provider.

use quittance_domain::fraud::SuspensionStep;
use quittance_store::commands::CommandRow;
use quittance_stripe::calls::subscriptions::{PauseCollection, UpdateSubscription};
use quittance_stripe::calls::{self, IdempotencyKey};
use quittance_stripe::client::Priority;
use quittance_stripe::error::StripeError;
use serde_json::{Value, json};

use crate::engine::Engine;

impl Engine {
    pub(super) async fn suspension_step(
        &self,
        row: &CommandRow,
        step: &SuspensionStep,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        match step {
            SuspensionStep::End { subscription } => {
                self.cancel_now(subscription, "the customer is suspended", None).await
            }
            SuspensionStep::Pause { subscription } => {
                let pause = Some(PauseCollection::Void { resumes_at_s: None });
                let wanted = UpdateSubscription { pause, ..UpdateSubscription::default() };
                self.update_subscription(subscription, &wanted, key).await
            }
            SuspensionStep::Resume { subscription } => {
                let wanted =
                    UpdateSubscription { pause: Some(PauseCollection::End), ..UpdateSubscription::default() };
                self.update_subscription(subscription, &wanted, key).await
            }
            SuspensionStep::Hold { invoice } => self.advance(invoice, false, key).await,
            SuspensionStep::Release { invoice } => self.advance(invoice, true, key).await,
            SuspensionStep::GiveBack { payment } => self.refund_rest(row, payment, key).await,
        }
    }

    async fn advance(&self, invoice: &str, tries: bool, key: IdempotencyKey) -> Result<Value, StripeError> {
        let call = calls::invoices::set_auto_advance(invoice, tries, key);
        let found = self.stripe().send(call, Priority::Live).await?;
        Ok(json!({ "id": found.id, "status": found.status }))
    }
}
