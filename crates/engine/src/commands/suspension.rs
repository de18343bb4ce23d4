//! The steps of a suspension, and of its end, at the provider.

use quittance_domain::Timestamp;
use quittance_domain::fraud::SuspensionStep;
use quittance_domain::refund::RefundReason;
use quittance_domain::subscription::CollectionPause;
use quittance_store::commands::CommandRow;
use quittance_stripe::calls::subscriptions::{PauseBehavior, PauseCollection, UpdateSubscription};
use quittance_stripe::calls::{self, IdempotencyKey};
use quittance_stripe::error::StripeError;
use serde_json::{Value, json};

use super::execute::Setback;
use crate::engine::Engine;
use crate::suspensions::NO_EPISODE;

impl Engine {
    #[crate::boxed]
    pub(super) async fn suspension_step(
        &self,
        row: &CommandRow,
        (episode, step): (i64, &SuspensionStep),
        key: IdempotencyKey,
    ) -> Result<Value, Setback> {
        let answer = match step {
            SuspensionStep::End { subscription } => {
                self.cancel_now(subscription, "the customer is suspended", None).await
            }
            SuspensionStep::Pause { subscription, .. } => {
                let pause = PauseCollection::Begin { behavior: PauseBehavior::Void, resumes_at_s: None };
                let wanted = UpdateSubscription { pause: Some(pause), ..UpdateSubscription::default() };
                self.update_subscription(subscription, &wanted, key).await
            }
            SuspensionStep::Resume { subscription, pause } => {
                let pause = Some(pause_after(pause.as_ref(), self.now()));
                let wanted = UpdateSubscription { pause, ..UpdateSubscription::default() };
                self.update_subscription(subscription, &wanted, key).await
            }
            SuspensionStep::Hold { invoice } => self.advance(invoice, false, key).await,
            SuspensionStep::Release { invoice } => self.advance(invoice, true, key).await,
            SuspensionStep::GiveBack { payment } => {
                // The provider blocks a card of which it is told so. A suspension may have other reasons.
                let reason = (episode == NO_EPISODE).then_some(RefundReason::Fraudulent);
                return self.refund_rest(row, payment, reason, key).await;
            }
        };
        Ok(answer?)
    }

    async fn advance(&self, invoice: &str, tries: bool, key: IdempotencyKey) -> Result<Value, StripeError> {
        let call = calls::invoices::set_auto_advance(invoice, tries, key);
        let found = self.ask(call).await?;
        Ok(json!({ "id": found.id, "status": found.status }))
    }
}

/// What a suspension leaves behind: the pause that was there before it, as long as that has not ended by now.
fn pause_after(before: Option<&CollectionPause>, now: Timestamp) -> PauseCollection {
    match before.and_then(|pause| pause.resumes_at.map(|at| (pause, at))) {
        Some((pause, at)) if at > now => PauseCollection::Begin {
            behavior: PauseBehavior::parse(&pause.behavior).unwrap_or(PauseBehavior::Void),
            resumes_at_s: Some(at.seconds()),
        },
        Some(_) | None => PauseCollection::End,
    }
}
