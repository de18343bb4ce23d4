//! Sending what changes a subscription: its plan now or later, its end, its pause.
//!
//! What is wanted last holds: a schedule that stands is released, whoever made it. A change that is paid now releases it once
//! it is made, so that one that is declined takes nothing away; an end or a pause has to do so before, and where it is
//! refused then, what was planned is planned again. Every call has a key of its own that follows from the command's, so that
//! a command can be sent again from its beginning.

use quittance_domain::change::PauseHow;
use quittance_domain::command::Verdict;
use quittance_domain::mutant::{self, Mutant};
use quittance_domain::time::DAY_MS;
use quittance_store::commands::CommandRow;
use quittance_stripe::calls::events::ListEvents;
use quittance_stripe::calls::schedules::{Phase, PhaseItem};
use quittance_stripe::calls::subscriptions::{
    ItemChange, PauseBehavior, PauseCollection, PaymentBehavior, ProrationBehavior, UpdateSubscription,
};
use quittance_stripe::calls::{self, Call, IdempotencyKey, Paging};
use quittance_stripe::error::{ErrorKind, StripeError};
use quittance_stripe::event::Event;
use quittance_stripe::observe::{ObservedSchedule, ObservedSubscription, Scheduled};
use serde_json::{Value, json};

use super::execute::{COMMAND_KEY, metadata};
use super::judge;
use super::request::{CancelAt, Proration, Request};
use crate::engine::Engine;

/// The metadata key that names the command a schedule was released for.
const RELEASED_KEY: &str = "quittance_released_for";
/// How long the phase lasts that a scheduled change leads to, in seconds: after it the provider lets the subscription
/// go on by itself, so that nothing of ours must.
const LAST_PHASE_S: i64 = DAY_MS / 1_000;

/// How far a clock of ours may be ahead of the provider's when events of a sending are looked for, in seconds.
const SKEW_S: i64 = 3_600;

impl Engine {
    #[crate::boxed]
    pub(super) async fn execute_on_plan(
        &self,
        row: &CommandRow,
        request: &Request,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        match request {
            Request::ChangeSubscription {
                subscription,
                item,
                price,
                quantity,
                proration,
                proration_date_s,
                waits_for_customer,
                keeps_price,
            } => {
                let change = ItemChange {
                    id: item,
                    // A price that stays is not named: it may be sold no longer.
                    price: (!keeps_price).then_some(price.as_str()),
                    quantity: Some(*quantity),
                    deleted: false,
                };
                let wanted = UpdateSubscription {
                    items: std::slice::from_ref(&change),
                    proration_behavior: Some(behavior(*proration)),
                    proration_date_s: *proration_date_s,
                    // A change that cannot be paid changes nothing: no unpaid upgrade, no surprise.
                    payment_behavior: Some(PaymentBehavior::ErrorIfIncomplete),
                    ..UpdateSubscription::default()
                };
                let updated = match self.change_items(subscription, &wanted, key.clone()).await {
                    // Nothing happened yet. Held back, the change is there once the customer has confirmed.
                    Err(error) if *waits_for_customer && needs_customer(&error) => {
                        let wanted = UpdateSubscription {
                            payment_behavior: Some(PaymentBehavior::PendingIfIncomplete),
                            ..wanted
                        };
                        self.change_items(subscription, &wanted, derived(&key, "link")).await?
                    }
                    other => other?,
                };
                // What waits may lapse, and then what was planned still holds; the sync releases it once it is paid.
                if updated.pending_update.is_none() {
                    self.release_schedule_of(subscription, &key).await?;
                }
                Ok(told(&updated))
            }
            Request::ScheduleChange { subscription, item, price, quantity } => {
                self.schedule_change(row, subscription, item, (price, *quantity), &key).await
            }
            Request::UndoSchedule { schedule, .. } if mutant::is(Mutant::Undo) => {
                Ok(json!({ "schedule": schedule }))
            }
            Request::UndoSchedule { schedule, .. } => self.release(schedule, key).await,
            Request::PauseSubscription { subscription, how: PauseHow::Collection, resumes_at_s } => {
                let pause =
                    PauseCollection::Begin { behavior: PauseBehavior::Void, resumes_at_s: *resumes_at_s };
                let wanted = UpdateSubscription { pause: Some(pause), ..UpdateSubscription::default() };
                self.update_subscription(subscription, &wanted, key).await
            }
            Request::PauseSubscription { subscription, how: PauseHow::Subscription, .. } => {
                let call = calls::subscriptions::pause(subscription, key.clone());
                self.in_place_of_plan(row, subscription, call, &key).await
            }
            Request::CancelSubscription { subscription, at: CancelAt::PeriodEnd, feedback, comment } => {
                // It ends with the period, so that what was planned for after it falls away.
                let wanted = UpdateSubscription {
                    cancel_at_period_end: Some(true),
                    feedback: feedback.map(super::request::Feedback::as_str),
                    comment: comment.as_deref(),
                    ..UpdateSubscription::default()
                };
                let call = calls::subscriptions::update(subscription, &wanted, key.clone());
                self.in_place_of_plan(row, subscription, call, &key).await
            }
            Request::CancelSubscription { subscription, at: CancelAt::Now, feedback, comment } => {
                let comment = comment.as_deref().unwrap_or("cancelled through Quittance");
                let feedback = feedback.map(super::request::Feedback::as_str);
                self.cancel_now(subscription, comment, feedback).await
            }
            Request::ResumeSubscription { subscription } => self.resume(subscription, key).await,
            Request::CreateCustomer { .. }
            | Request::UpdateCustomer { .. }
            | Request::DeleteCustomer { .. }
            | Request::CreateCheckout { .. }
            | Request::ExpireCheckout { .. }
            | Request::CreatePortal { .. }
            | Request::CancelDuplicate { .. }
            | Request::EndTrial { .. }
            | Request::RefundDuplicate { .. }
            | Request::Refund { .. }
            | Request::ContestDispute { .. }
            | Request::AcceptDispute { .. }
            | Request::Suspension { .. }
            | Request::PayInvoice { .. }
            | Request::GiveUpInvoice { .. } => Ok(Value::Null),
        }
    }

    /// A change that an earlier sending made, or laid before the customer. It may have lapsed, or someone may have taken it
    /// back since: made again, it would be charged again. So it is not looked for in the subscription but in the events,
    /// which name the key of the call that caused them and are kept for 30 days.
    pub(super) async fn changed_before(
        &self,
        row: &CommandRow,
        id: &str,
    ) -> Result<Option<Value>, StripeError> {
        if !self.caused_events(row, &["customer.subscription.updated", "invoice.created"]).await? {
            return Ok(None);
        }
        let found = self.look_at(id).await?;
        if let (Some(schedule), None, Ok(key)) = (
            managing(found.schedule.as_ref()),
            &found.pending_update,
            IdempotencyKey::new(row.idempotency_key.clone()),
        ) {
            self.release(&schedule.id, derived(&key, "release")).await?;
        }
        Ok(Some(told(&found)))
    }

    /// Whether an event of these types came of any sending of a command.
    async fn caused_events(&self, row: &CommandRow, types: &[&str]) -> Result<bool, StripeError> {
        let since = row.first_sent_at.map(|at| at.seconds() - SKEW_S);
        let ours = |json: &str| {
            Event::parse(json.as_bytes()).is_ok_and(|event| {
                event.idempotency_key.is_some_and(|key| key.starts_with(&row.idempotency_key))
            })
        };
        let mut after: Option<String> = None;
        loop {
            let call = calls::events::list(&ListEvents {
                created_gte_s: since,
                types,
                paging: Paging { starting_after: after.as_deref(), ..Paging::default() },
                ..ListEvents::default()
            });
            let page = self.ask(call).await?;
            if page.items.iter().any(|event| ours(&event.json)) {
                return Ok(true);
            }
            if !page.has_more || page.last_id.is_none() {
                return Ok(false);
            }
            after = page.last_id;
        }
    }

    /// Ends a trial that still runs; one that is over already is left alone, unless what it was charged for is not paid.
    #[crate::boxed]
    pub(super) async fn end_trial(
        &self,
        id: &str,
        charges: bool,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let mut found = self.look_at(id).await?;
        if found.status == "trialing" {
            if !charges {
                return self.cancel_now(id, "a second trial", None).await;
            }
            let wanted = UpdateSubscription { ends_trial: true, ..UpdateSubscription::default() };
            found = self.change_items(id, &wanted, key).await?;
        }
        // Who has paid nothing yet has no grace to wait for the next try: that would be one more trial.
        if charges && found.status == "past_due" {
            return self.cancel_now(id, "a second trial that could not be charged", None).await;
        }
        Ok(told(&found))
    }

    async fn look_at(&self, id: &str) -> Result<ObservedSubscription, StripeError> {
        self.ask(calls::subscriptions::retrieve(id, &["schedule"])).await
    }

    #[crate::boxed]
    pub(super) async fn update_subscription(
        &self,
        id: &str,
        wanted: &UpdateSubscription<'_>,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        Ok(told(&self.change_items(id, wanted, key).await?))
    }

    async fn change_items(
        &self,
        id: &str,
        wanted: &UpdateSubscription<'_>,
        key: IdempotencyKey,
    ) -> Result<ObservedSubscription, StripeError> {
        self.ask(calls::subscriptions::update(id, wanted, key)).await
    }

    /// Takes back the end and ends the pause: whichever stands. What is planned for its plan stays planned.
    async fn resume(&self, id: &str, key: IdempotencyKey) -> Result<Value, StripeError> {
        let found = self.look_at(id).await?;
        let ends = found.cancel_at_period_end || found.cancel_at_s.is_some();
        let scheduled = managing(found.schedule.as_ref());
        if ends && let Some(schedule) = &scheduled {
            // The schedule ends it, and only without it the end can be taken back.
            self.release(&schedule.id, releasing(&key, &schedule.id)).await?;
        }
        let keeps = scheduled.is_some() && !ends;
        let mut answer = told(&found);
        if !keeps || found.pause.is_some() {
            let wanted = UpdateSubscription {
                cancel_at_period_end: (!keeps).then_some(false),
                pause: found.pause.as_ref().map(|_| PauseCollection::End),
                ..UpdateSubscription::default()
            };
            answer = self.update_subscription(id, &wanted, key.clone()).await?;
        }
        if found.status == "paused" {
            let call = calls::subscriptions::resume(id, derived(&key, "unpause"));
            answer = told(&self.ask(call).await?);
        }
        Ok(answer)
    }

    /// Lets a subscription go from the schedule that manages it, if one does.
    async fn release_schedule_of(&self, id: &str, key: &IdempotencyKey) -> Result<(), StripeError> {
        let found = self.look_at(id).await?;
        if let Some(schedule) = managing(found.schedule.as_ref()) {
            self.release(&schedule.id, releasing(key, &schedule.id)).await?;
        }
        Ok(())
    }

    /// Makes a call that the provider only takes without a schedule. Refused, it leaves what was planned as it was: the
    /// schedule is marked before it is released, so that it is found whenever the refusal comes.
    async fn in_place_of_plan(
        &self,
        row: &CommandRow,
        id: &str,
        call: Call<ObservedSubscription>,
        key: &IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let found = self.look_at(id).await?;
        if let Some(schedule) = managing(found.schedule.as_ref()) {
            let marks = metadata(&[(RELEASED_KEY, row.id.as_str())]);
            let mark = calls::schedules::mark(&schedule.id, &marks, marking(key, &schedule.id));
            self.ask(mark).await?;
            self.release(&schedule.id, releasing(key, &schedule.id)).await?;
        }
        let refused = match self.ask(call).await {
            Ok(done) => return Ok(told(&done)),
            Err(error) => error,
        };
        if judge(&refused) != Verdict::Refused {
            return Err(refused);
        }
        match self.plan_again(row, &found, key).await {
            // Sent again, the command is refused again, and then it is tried again too.
            Err(error) if judge(&error) == Verdict::Again => Err(error),
            Err(error) => {
                tracing::error!(subscription = id, %error, "what was planned could not be planned again");
                Err(refused)
            }
            Ok(()) => Err(refused),
        }
    }

    /// Plans again what this command has released.
    async fn plan_again(
        &self,
        row: &CommandRow,
        found: &ObservedSubscription,
        key: &IdempotencyKey,
    ) -> Result<(), StripeError> {
        let Some(customer) = &found.customer else { return Ok(()) };
        let call = calls::schedules::list(&customer.id, Paging::default());
        let all = self.ask(call).await?.items;
        let ours = |schedule: &&ObservedSchedule| {
            schedule.metadata.get(RELEASED_KEY).map(String::as_str) == Some(row.id.as_str())
                && schedule.released_subscription.as_deref() == Some(&found.id)
        };
        // The oldest is the plan; a newer one was begun here, and interrupted.
        let ours: Vec<&ObservedSchedule> = all.iter().filter(ours).collect();
        let Some(former) = ours.last() else { return Ok(()) };
        let again = derived(key, &format!("again-{}", ours.len()));
        let call = calls::schedules::from_subscription(&found.id, again.clone());
        let made = self.ask(call).await?;
        let now_s = self.now().seconds();
        let ahead = former.phases.iter().filter(|phase| phase.end_s > now_s);
        let phases = ahead.enumerate().map(|(index, phase)| match made.current_start_s {
            Some(start_s) if index == 0 => Phase::again(phase, start_s),
            Some(_) | None => Phase::again(phase, phase.start_s),
        });
        let phases: Vec<Phase> = phases.collect();
        let marks = former.metadata.iter().filter(|(name, _)| *name != RELEASED_KEY);
        let marks: Vec<(&str, &str)> = marks.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let call = calls::schedules::set_phases(
            &made.id,
            &phases,
            &former.end_behavior,
            &metadata(&marks),
            derived(&again, "phases"),
        );
        self.ask(call).await?;
        Ok(())
    }

    /// Releases a schedule; one that is over already is what was wanted.
    async fn release(&self, schedule: &str, key: IdempotencyKey) -> Result<Value, StripeError> {
        let sent = self.ask(calls::schedules::release(schedule, key)).await;
        let refused = match sent {
            Ok(released) => return Ok(json!({ "schedule": released.id, "status": released.status })),
            Err(error) => error,
        };
        if !matches!(refused.kind(), ErrorKind::InvalidRequest { .. }) {
            return Err(refused);
        }
        let found = self.ask(calls::schedules::retrieve(schedule)).await?;
        if is_over(&found) {
            Ok(json!({ "schedule": found.id, "status": found.status }))
        } else {
            Err(refused)
        }
    }

    /// Two phases: the period that runs, as it is; then what is wanted, until the provider lets go. A schedule that
    /// stands is changed in place, so that no moment is without a plan.
    async fn schedule_change(
        &self,
        row: &CommandRow,
        id: &str,
        item: &str,
        (price, quantity): (&str, i64),
        key: &IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let mut found = self.look_at(id).await?;
        if !found.items_complete {
            // A phase is all of its items: one that is not named would be taken away.
            let call = calls::subscriptions::list_items(id, Paging::default());
            found.items = self.ask(call).await?.items;
        }
        let schedule = match managing(found.schedule.as_ref()) {
            // An earlier sending of this command, whose answer was lost.
            Some(schedule) if planned_by(&schedule, row) => {
                let at = schedule.next_phase().map(|phase| phase.start_s);
                return Ok(json!({ "id": id, "schedule": schedule.id, "at_s": at }));
            }
            Some(schedule) => schedule,
            None => {
                let call = calls::schedules::from_subscription(id, derived(key, "open"));
                self.ask(call).await?
            }
        };
        let period = |of: fn(&quittance_stripe::observe::ObservedItem) -> Option<i64>| {
            found.items.iter().filter_map(of).min()
        };
        let start = schedule.current_start_s.or_else(|| period(|i| i.current_period_start_s));
        let end = period(|i| i.current_period_end_s).unwrap_or_default();
        let now = found.items.iter().map(|i| PhaseItem {
            price: i.price_id.clone(),
            quantity: i.quantity,
            kept: i.kept.clone(),
        });
        let now: Vec<PhaseItem> = now.collect();
        let then = found.items.iter().zip(&now).map(|(i, same)| {
            if i.id == item {
                PhaseItem { price: price.to_owned(), quantity: Some(quantity), kept: i.kept.clone() }
            } else {
                same.clone()
            }
        });
        let then = then.collect();
        // Only the price changes: discounts and taxes are the subscription's, settings those of the phase that runs.
        let kept = found.kept.clone();
        let kept = schedule.running_phase().map_or(kept.clone(), |running| kept.and(&running.kept));
        let phases = [
            Phase {
                start_s: start.unwrap_or_default(),
                end_s: end,
                items: now,
                trial_end_s: found.trial_end_s.filter(|_| found.status == "trialing"),
                proration_behavior: None,
                kept: kept.clone(),
            },
            Phase {
                start_s: end,
                end_s: end.saturating_add(LAST_PHASE_S),
                items: then,
                trial_end_s: None,
                proration_behavior: None,
                kept,
            },
        ];
        let marks = metadata(&[(COMMAND_KEY, row.id.as_str())]);
        let call =
            calls::schedules::set_phases(&schedule.id, &phases, "release", &marks, derived(key, "phases"));
        let planned = self.ask(call).await?;
        Ok(json!({ "id": id, "schedule": planned.id, "at_s": end }))
    }
}

/// A call of the same command with another purpose.
pub(super) fn derived(key: &IdempotencyKey, purpose: &str) -> IdempotencyKey {
    IdempotencyKey::new(format!("{}-{purpose}", key.as_str())).unwrap_or_else(|_| key.clone())
}

/// Another schedule is another call: one that was planned again may have to be released too.
fn releasing(key: &IdempotencyKey, schedule: &str) -> IdempotencyKey {
    derived(key, &format!("release-{schedule}"))
}

fn marking(key: &IdempotencyKey, schedule: &str) -> IdempotencyKey {
    derived(key, &format!("mark-{schedule}"))
}

pub(super) fn told(found: &ObservedSubscription) -> Value {
    json!({ "id": found.id, "status": found.status, "waits": found.pending_update.is_some() })
}

/// Whether a schedule says already what this command wants: only with its phases it is marked.
fn planned_by(schedule: &ObservedSchedule, row: &CommandRow) -> bool {
    schedule.metadata.get(COMMAND_KEY).map(String::as_str) == Some(row.id.as_str())
}

fn is_over(schedule: &ObservedSchedule) -> bool {
    !matches!(schedule.status.as_str(), "active" | "not_started")
}

/// The schedule that manages a subscription now; one that is over only left its name there.
fn managing(schedule: Option<&Scheduled>) -> Option<ObservedSchedule> {
    match schedule {
        Some(Scheduled::Expanded(schedule)) if !is_over(schedule) => Some((**schedule).clone()),
        Some(Scheduled::Expanded(_) | Scheduled::Id(_)) | None => None,
    }
}

/// The bank wants the customer to confirm: no refusal, but nothing that we can do alone.
fn needs_customer(error: &StripeError) -> bool {
    const CODES: [&str; 3] = [
        "subscription_payment_intent_requires_action",
        "invoice_payment_intent_requires_action",
        "authentication_required",
    ];
    let known = |code: &Option<String>| code.as_deref().is_some_and(|code| CODES.contains(&code));
    matches!(error.kind(), ErrorKind::Card { code, decline_code } if known(code) || known(decline_code))
}

pub(crate) fn behavior(proration: Proration) -> ProrationBehavior {
    match proration {
        Proration::NextInvoice => ProrationBehavior::CreateProrations,
        Proration::Now => ProrationBehavior::AlwaysInvoice,
        Proration::None => ProrationBehavior::None,
    }
}
