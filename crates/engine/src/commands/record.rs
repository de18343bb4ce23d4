//! Writing down what a command did: its end and its effects on our own records, in one transaction.

use quittance_domain::checkout::CheckoutState;
use quittance_domain::ids::LeaseToken;
use quittance_domain::ledger::sale;
use quittance_domain::{AggregateKey, CustomerId, Timestamp};
use quittance_store::aggregates::{self, Hint, Priority};
use quittance_store::checkouts::Opened;
use quittance_store::commands::{self, CommandRow, Outcome};
use quittance_store::customers::{self, LinkedBy};
use quittance_store::{Tx, checkouts, ledger, outbox};
use serde_json::Value;

use super::request::Request;
use super::{FAILING, MENDING_REFUSED};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::suspensions::close_if_shut_out;
use crate::telemetry::{self, Funnel};

impl Engine {
    /// `false`: the lease was lost, and whoever has it now records the end.
    #[crate::boxed]
    pub(super) async fn record_success(
        &self,
        row: &CommandRow,
        request: &Request,
        token: &LeaseToken,
        answer: Value,
    ) -> Result<bool, Problem> {
        let (row_, request_, token_, scope) =
            (row.clone(), request.clone(), token.clone(), self.scope().clone());
        let (now, answer_, engine) = (self.now(), answer.clone(), self.clone());
        let held = self
            .db()
            .write("commands.record_success", move |tx| {
                let outcome = Outcome::Succeeded(answer_.to_string());
                if !commands::finish(tx, &row_.id, &token_, &outcome, now)? {
                    return Ok(false);
                }
                record_effects(tx, &row_, &request_, &answer_, &scope, now)?;
                if let Request::CreateCheckout { checkout, .. } = &request_ {
                    close_if_shut_out(tx, &engine, checkout, now)?;
                }
                outbox::resolve(tx, "command_parked", row_.id.as_str(), now)?;
                if request_.mends() {
                    outbox::resolve(tx, MENDING_REFUSED, &row_.object, now)?;
                    outbox::resolve(tx, FAILING, row_.id.as_str(), now)?;
                }
                if let Some(key) = &row_.aggregate {
                    look_again(tx, key, thorough(&request_), now)?;
                }
                Ok(true)
            })
            .await?;
        if held {
            self.tell(row, request).await;
            if row.aggregate.is_some() {
                self.wake();
            }
        }
        Ok(held)
    }

    async fn tell(&self, row: &CommandRow, request: &Request) {
        let customer = row.customer.as_deref().and_then(|id| CustomerId::parse(id).ok());
        let customer = customer.as_ref();
        match request {
            Request::CreateCheckout { checkout, .. } => {
                let id = checkout.clone();
                let read = self.db().read("checkouts.get", move |tx| checkouts::get(tx, id.as_str()));
                let plan = read.await.ok().flatten().map(|row| row.wish.plan.to_string());
                telemetry::funnel(Funnel::CheckoutStarted, customer, checkout.as_str(), plan.as_deref());
            }
            Request::CreatePortal { provider_customer, .. } => {
                telemetry::funnel(Funnel::PortalOpened, customer, provider_customer, None);
            }
            Request::CreateCustomer { .. }
            | Request::UpdateCustomer { .. }
            | Request::DeleteCustomer { .. }
            | Request::ExpireCheckout { .. }
            | Request::ChangeSubscription { .. }
            | Request::ScheduleChange { .. }
            | Request::UndoSchedule { .. }
            | Request::PauseSubscription { .. }
            | Request::CancelSubscription { .. }
            | Request::ResumeSubscription { .. }
            | Request::CancelDuplicate { .. }
            | Request::EndTrial { .. }
            | Request::RefundDuplicate { .. }
            | Request::Refund { .. }
            | Request::ContestDispute { .. }
            | Request::AcceptDispute { .. }
            | Request::Suspension { .. }
            | Request::PayInvoice { .. }
            | Request::GiveUpInvoice { .. } => {}
        }
    }
}

/// Has the aggregate of a command looked at at once.
pub(super) fn look_again(
    tx: &mut dyn Tx,
    key: &str,
    thorough: bool,
    now: Timestamp,
) -> quittance_store::Result<()> {
    let hint = Hint { key, priority: Priority::Waiting, due: now, unpark: false, thorough };
    aggregates::mark(tx, &hint, now).map(drop)
}

/// A refund shows in the payments, which only a thorough sync looks at.
const fn thorough(request: &Request) -> bool {
    match request {
        Request::RefundDuplicate { .. }
        | Request::Refund { .. }
        | Request::ContestDispute { .. }
        | Request::AcceptDispute { .. }
        | Request::Suspension { .. } => true,
        Request::CreateCustomer { .. }
        | Request::UpdateCustomer { .. }
        | Request::DeleteCustomer { .. }
        | Request::CreateCheckout { .. }
        | Request::ExpireCheckout { .. }
        | Request::CreatePortal { .. }
        | Request::ChangeSubscription { .. }
        | Request::ScheduleChange { .. }
        | Request::UndoSchedule { .. }
        | Request::PauseSubscription { .. }
        | Request::CancelSubscription { .. }
        | Request::ResumeSubscription { .. }
        | Request::EndTrial { .. }
        | Request::CancelDuplicate { .. }
        | Request::PayInvoice { .. }
        | Request::GiveUpInvoice { .. } => false,
    }
}

fn record_effects(
    tx: &mut dyn Tx,
    row: &CommandRow,
    request: &Request,
    answer: &Value,
    scope: &quittance_domain::Scope,
    now: Timestamp,
) -> quittance_store::Result<()> {
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    match request {
        Request::CreateCustomer { customer } => {
            if let Some(id) = text("id") {
                customers::link(tx, &scope.to_string(), id, customer, LinkedBy::Created, now)?;
            }
        }
        Request::CreateCheckout { checkout, provider_customer, .. } => {
            let expires = answer.get("expires_at_s").and_then(Value::as_i64).map(Timestamp::from_seconds);
            if let Some(session) = text("id") {
                let opened = Opened {
                    session,
                    url: text("url"),
                    client_secret: text("client_secret"),
                    expires_at: expires,
                };
                checkouts::opened(tx, checkout, &opened, now)?;
            }
            // Looked up a day later it may be paid by now, or over.
            match text("status") {
                Some("complete") => {
                    let key = AggregateKey::customer(scope.clone(), provider_customer).to_string();
                    let hint = Hint {
                        key: &key,
                        priority: Priority::Waiting,
                        due: now,
                        unpark: false,
                        thorough: true,
                    };
                    aggregates::mark(tx, &hint, now)?;
                }
                Some("expired") => {
                    checkouts::set_state(tx, checkout, CheckoutState::Expired, now)?;
                }
                Some(_) | None => {}
            }
        }
        Request::ExpireCheckout { checkout, .. } => {
            let state = match text("status") {
                Some("complete") => CheckoutState::Processing,
                Some(_) | None => CheckoutState::Expired,
            };
            checkouts::set_state(tx, checkout, state, now)?;
        }
        Request::DeleteCustomer { provider_customer, .. } => {
            customers::gone(tx, &scope.to_string(), provider_customer, now)?;
        }
        // What the provider knows of, its credit note will tell.
        Request::Refund { payment, amount, invoice: None, out_of_band: true, .. } => {
            let record = sale::refund_outside(&scope.to_string(), row.id.as_str(), payment, *amount, now)
                .map_err(|error| quittance_store::StoreError::Aborted(error.to_string()))?;
            ledger::record(tx, &[record], now)?;
        }
        Request::Refund { .. }
        | Request::ContestDispute { .. }
        | Request::AcceptDispute { .. }
        | Request::Suspension { .. }
        | Request::UpdateCustomer { .. }
        | Request::CreatePortal { .. }
        | Request::ChangeSubscription { .. }
        | Request::ScheduleChange { .. }
        | Request::UndoSchedule { .. }
        | Request::PauseSubscription { .. }
        | Request::CancelSubscription { .. }
        | Request::ResumeSubscription { .. }
        | Request::CancelDuplicate { .. }
        | Request::EndTrial { .. }
        | Request::RefundDuplicate { .. }
        | Request::PayInvoice { .. }
        | Request::GiveUpInvoice { .. } => {}
    }
    Ok(())
}
