//! What people do to schedules: make, take over, change, cancel, release.

use super::phases::check_end;
use crate::billing::cancel::{CancelNow, End};
use crate::billing::change::Proration;
use crate::model::schedule::{EndBehavior, Phase, PhaseItem, PhaseSettings, Schedule, ScheduleState};
use crate::model::subscription::{Collection, Subscription, SubscriptionStatus};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

impl World {
    /// Keeps a schedule and starts it when its time has come. Answers its id.
    pub(crate) fn add_schedule(&mut self, schedule: Schedule) -> ApiResult<String> {
        let id = schedule.id.clone();
        let mark = self.mark();
        let starts = schedule.starts();
        self.schedules.put(schedule.clone());
        if starts > self.now {
            self.set_schedule_timers(&schedule);
        } else {
            let started = self.start_schedule(&id);
            if let Err(error) = started {
                self.schedules.remove(&id);
                return Err(error);
            }
        }
        let object = self.schedules.get(&id).map(Schedule::render).unwrap_or_default();
        self.emit_at(mark, "subscription_schedule.created", object, None);
        Ok(id)
    }

    /// A schedule that takes a running subscription over, with its present period as the only phase.
    pub(crate) fn schedule_from(&mut self, subscription: &str) -> ApiResult<String> {
        let found = need(&self.subscriptions, subscription, "from_subscription")?;
        self.check_takes_schedule(&found)?;
        let end = found.cancel_at.unwrap_or(found.period.end);
        let start = found.period.start;
        check_end(start, end, "from_subscription")?;
        let phase = Phase {
            start,
            end,
            items: found
                .items
                .iter()
                .map(|item| PhaseItem {
                    price: item.price.clone(),
                    quantity: (!self.is_metered(item)).then_some(item.quantity),
                    metadata: item.metadata.clone(),
                    terms: item.terms.clone(),
                })
                .collect(),
            currency: found.currency.clone(),
            proration: Proration::Wait,
            trial_end: found
                .trial
                .filter(|_| found.status == SubscriptionStatus::Trialing)
                .map(|trial| trial.end),
            settings: PhaseSettings::default(),
            discounts: found.terms.discounts.clone(),
            default_tax_rates: found.terms.default_tax_rates.clone(),
            extras: Vec::new(),
            metadata: Metadata::new(),
        };
        let id = self.chance.id("sub_sched_");
        let schedule = Schedule {
            id: id.clone(),
            created: self.now,
            customer: found.customer.clone(),
            test_clock: found.test_clock.clone(),
            state: ScheduleState::Active { subscription: found.id.clone(), phase: 0 },
            end_behavior: if found.cancel_at.is_some() { EndBehavior::Cancel } else { EndBehavior::Release },
            defaults: PhaseSettings {
                collection: Some(found.collection),
                days_until_due: found.days_until_due,
                default_payment_method: found.default_payment_method.clone(),
                description: found.description.clone(),
                anchor: None,
                automatic_tax: Some(found.terms.automatic_tax.is_on()),
            },
            phases: vec![phase],
            metadata: Metadata::new(),
            announced: None,
        };
        self.schedules.put(schedule);
        self.tell_of_schedule("created", &id);
        self.change_subscription(&found.id, |subscription| {
            subscription.schedule = Some(id.clone());
            // From now on the schedule ends it.
            subscription.cancel_at_period_end = false;
        });
        self.plan_schedule(&id, Proration::Wait)?;
        Ok(id)
    }

    fn check_takes_schedule(&self, subscription: &Subscription) -> ApiResult<()> {
        if let Some(schedule) = self.schedule_of(subscription) {
            let message = format!(
                "You cannot migrate a subscription that is already attached to a schedule: `{}`.",
                schedule.id
            );
            return Err(ApiError::rule(message).param("from_subscription"));
        }
        match subscription.status {
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Active
            | SubscriptionStatus::PastDue
            | SubscriptionStatus::Unpaid => Ok(()),
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Paused => {
                let message = format!(
                    "A subscription with status {} cannot be managed by a schedule.",
                    subscription.status.as_str()
                );
                Err(ApiError::rule(message).param("from_subscription"))
            }
        }
    }

    /// A schedule that can still be changed.
    pub(crate) fn open_schedule(&self, id: &str, what: &str) -> ApiResult<Schedule> {
        let schedule = need(&self.schedules, id, "schedule")?;
        match schedule.state {
            ScheduleState::NotStarted | ScheduleState::Active { .. } => Ok(schedule),
            ScheduleState::Completed { .. }
            | ScheduleState::Released { .. }
            | ScheduleState::Canceled { .. } => {
                let status = schedule.state.as_str();
                Err(ApiError::rule(format!(
                    "You cannot {what} a subscription schedule that is currently in the `{status}` status. It must be `not_started` or `active`."
                )))
            }
        }
    }

    /// Refuses to plan the end of a subscription behind the back of its schedule.
    pub(crate) fn check_unscheduled(&self, subscription: &Subscription, param: &str) -> ApiResult<()> {
        match self.schedule_of(subscription) {
            Some(schedule) => Err(ApiError::rule(format!(
                "The subscription is managed by the subscription schedule `{}`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead.",
                schedule.id
            ))
            .param(param)),
            None => Ok(()),
        }
    }

    /// Puts other phases and settings in force.
    pub(crate) fn update_schedule(&mut self, changed: Schedule, proration: Proration) -> ApiResult<()> {
        let id = changed.id.clone();
        let former = need(&self.schedules, &id, "schedule")?;
        let mark = self.mark();
        self.schedules.put(changed.clone());
        let phase = changed
            .running()
            .filter(|phase| former.defaults != changed.defaults || former.running() != Some(*phase));
        if let Some(phase) = phase.cloned() {
            self.apply_phase(&changed, &phase, proration, false)?;
        }
        let (before, after) = (former.render(), changed.render());
        if let Some(previous) = crate::webhooks::emit::difference(&before, &after) {
            self.emit_at(mark, "subscription_schedule.updated", after, Some(previous));
        }
        self.plan_schedule(&id, proration)?;
        self.schedule_turns(&id);
        Ok(())
    }

    /// Ends a schedule, and its subscription where it runs.
    pub(crate) fn cancel_schedule(&mut self, id: &str, invoice: bool, prorate: bool) -> ApiResult<()> {
        match self.open_schedule(id, "cancel")?.state.managed() {
            Some(subscription) => {
                self.cancel_now(subscription, CancelNow { invoice, prorate, ..CancelNow::default() })
            }
            None => {
                // What never began is aborted as well.
                self.close_schedule(id, "aborted");
                self.tell_of_schedule("canceled", id);
                Ok(())
            }
        }
    }

    /// Ends a schedule and leaves its subscription as it is.
    pub(crate) fn release_schedule(&mut self, id: &str, keeps_end: bool) -> ApiResult<()> {
        self.open_schedule(id, "release")?;
        self.let_go(id, keeps_end, false);
        Ok(())
    }

    /// The subscription of a schedule goes on alone. The end that the schedule planned for it is taken back, unless it
    /// is to be kept.
    pub(super) fn let_go(&mut self, id: &str, keeps_end: bool, after_last: bool) {
        let Some(schedule) = self.schedules.get(id).cloned() else {
            return;
        };
        let freed = schedule.state.managed().map(str::to_owned);
        let state = ScheduleState::Released { at: self.now, subscription: freed.clone(), after_last };
        if let Some(subscription) = &freed {
            if !keeps_end
                && self.subscriptions.get(subscription).is_some_and(|found| found.cancel_at.is_some())
            {
                // Nothing is invoiced by it, so that nothing can be refused.
                let _ = self.plan_end(subscription, End::Never, Proration::Wait);
            }
            self.change_subscription(subscription, |subscription| subscription.schedule = None);
        }
        self.change_schedule(id, |schedule| schedule.state = state);
        if after_last {
            self.tell_of_schedule("completed", id);
        }
        self.tell_of_schedule("released", id);
    }

    /// Ends the schedules of a customer that have not begun.
    pub(crate) fn forget_schedules(&mut self, customer: &str) {
        let waiting: Vec<String> = self
            .schedules
            .of(customer)
            .filter(|schedule| schedule.state == ScheduleState::NotStarted)
            .map(|schedule| schedule.id.clone())
            .collect();
        for schedule in waiting {
            self.close_schedule(&schedule, "canceled");
        }
    }

    /// Checks that a phase can be billed: its prices fit together, and a sent invoice has a due date.
    /// `held` are the prices of the subscription, which keeps those that are archived.
    pub(crate) fn check_phase(
        &self,
        phase: &Phase,
        defaults: &PhaseSettings,
        index: usize,
        held: &[String],
    ) -> ApiResult<()> {
        let param = |name: &str| format!("phases[{index}][{name}]");
        let listed = phase.items.iter().map(|item| (item.price.as_str(), item.quantity.unwrap_or(0)));
        let prices = self.check_items(listed, Some(&phase.currency))?;
        if let Some(price) = prices.iter().find(|price| !price.active && !held.contains(&price.id)) {
            return Err(crate::billing::subscribe::inactive(price));
        }
        let settings = phase.settings.over(defaults);
        if settings.collection == Some(Collection::SendInvoice) && settings.days_until_due.is_none() {
            return Err(ApiError::rule(
                "collection_method=send_invoice needs invoice_settings[days_until_due].",
            )
            .param(&param("invoice_settings")));
        }
        if phase.trial_end.is_some_and(|end| end <= phase.start || end > phase.end) {
            return Err(ApiError::rule("The trial must end within its phase.").param(&param("trial_end")));
        }
        Ok(())
    }
}
