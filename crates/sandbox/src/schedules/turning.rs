//! A schedule in time: it starts its subscription, takes it from phase to phase, and lets go of it or ends it.

use crate::billing::calendar::next_boundary;
use crate::billing::cancel::End;
use crate::billing::change::{Change, ItemChange, Proration, Strictness};
use crate::billing::subscribe::{FirstPayment, NewItem, NewSubscription, same_rhythm};
use crate::model::invoice::{Line, Span};
use crate::model::schedule::{EndBehavior, Phase, PhaseAnchor, PhaseItem, Schedule, ScheduleState};
use crate::model::subscription::{
    CancellationDetails, Collection, MissingCard, Period, Subscription, SubscriptionItem, SubscriptionStatus,
};
use crate::model::tax::AutomaticTax;
use crate::model::terms::{ItemTerms, ItemTermsChange, SubscriptionTerms, TermsChange};
use crate::payments::attempt::Presence;
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::ApiResult;

const DAY: i64 = 86_400;
/// How long before its end a schedule is announced to expire.
const EXPIRING_SECONDS: i64 = 7 * DAY;

impl World {
    /// Changes a schedule and notes the change.
    pub(super) fn change_schedule(&mut self, id: &str, change: impl FnOnce(&mut Schedule)) {
        if let Some(mut schedule) = self.schedules.get(id).cloned() {
            let before = schedule.render();
            change(&mut schedule);
            let after = schedule.render();
            self.schedules.put(schedule);
            self.emit_change("subscription_schedule.updated", &before, after);
        }
    }

    pub(super) fn tell_of_schedule(&mut self, what: &str, id: &str) {
        let object = self.schedules.get(id).map(Schedule::render).unwrap_or_default();
        self.emit(&format!("subscription_schedule.{what}"), object);
    }

    /// The schedule that manages a subscription now.
    pub(crate) fn schedule_of(&self, subscription: &Subscription) -> Option<&Schedule> {
        let schedule = self.schedules.get(subscription.schedule.as_deref()?)?;
        schedule.state.managed().map(|_| schedule)
    }

    /// Sets the timers of what comes next: the start, the end of the phase, the announcement of the end.
    pub(super) fn set_schedule_timers(&mut self, schedule: &Schedule) {
        let turns = match &schedule.state {
            ScheduleState::NotStarted => schedule.starts(),
            ScheduleState::Active { phase, .. } => {
                schedule.phases.get(*phase).map_or(schedule.ends(), |phase| phase.end)
            }
            ScheduleState::Completed { .. }
            | ScheduleState::Released { .. }
            | ScheduleState::Canceled { .. } => return,
        };
        self.timers.set(turns.max(self.now), Timer::ScheduleTurns(schedule.id.clone()));
        let expiring = schedule.ends() - EXPIRING_SECONDS;
        if expiring > self.now {
            self.timers.set(expiring, Timer::ScheduleExpires(schedule.id.clone()));
        }
    }

    /// A schedule ends in a week.
    pub(crate) fn schedule_expires(&mut self, id: &str) {
        let Some(schedule) = self.schedules.get(id) else {
            return;
        };
        let ends = schedule.ends();
        let runs = matches!(schedule.state, ScheduleState::NotStarted | ScheduleState::Active { .. });
        if runs && schedule.announced != Some(ends) && ends - EXPIRING_SECONDS <= self.now {
            self.schedules.edit(id, |schedule| schedule.announced = Some(ends));
            self.tell_of_schedule("expiring", id);
        }
    }

    /// A phase may have to begin.
    pub(crate) fn schedule_turns(&mut self, id: &str) {
        let Some(schedule) = self.schedules.get(id).cloned() else {
            return;
        };
        match &schedule.state {
            ScheduleState::NotStarted if schedule.starts() <= self.now => {
                if self.start_schedule(id).is_err() {
                    // Its customer is gone, or has as many subscriptions as can be: there is nothing to start.
                    self.close_schedule(id, "canceled");
                    return;
                }
                let after = self.schedules.get(id).map(Schedule::render).unwrap_or_default();
                self.emit_change("subscription_schedule.updated", &schedule.render(), after);
            }
            ScheduleState::Active { subscription, .. } => {
                self.turn_phases(id);
                let over = |found: &Subscription| found.period.end <= self.now;
                if self.subscriptions.get(subscription).is_some_and(over) {
                    self.period_ends(subscription);
                }
            }
            ScheduleState::NotStarted
            | ScheduleState::Completed { .. }
            | ScheduleState::Released { .. }
            | ScheduleState::Canceled { .. } => {}
        }
    }

    /// Makes the subscription of the first phase. Its first invoice stays a draft for a while, as one of a renewal.
    pub(super) fn start_schedule(&mut self, id: &str) -> ApiResult<()> {
        let schedule = need(&self.schedules, id, "schedule")?;
        let Some(phase) = schedule.phases.first() else {
            return Ok(());
        };
        self.live_customer(&schedule.customer, "customer")?;
        let settings = phase.settings.over(&schedule.defaults);
        let backdated = Some(phase.start).filter(|start| *start < self.now);
        let trial_end = phase.trial_end.filter(|end| *end > self.now);
        // A customer who has no country by now is not left without a subscription for it.
        let automatic =
            settings.automatic_tax == Some(true) && self.check_location(&schedule.customer).is_ok();
        let terms = SubscriptionTerms {
            discounts: phase.discounts.clone(),
            default_tax_rates: phase.default_tax_rates.clone(),
            automatic_tax: AutomaticTax::asked(automatic),
        };
        let extras = self.phase_extras(phase, Coming { anchor: self.now, start: self.now, end: trial_end });
        let subscription = self.subscribe(NewSubscription {
            customer: schedule.customer.clone(),
            currency: Some(phase.currency.clone()),
            extras,
            items: phase
                .items
                .iter()
                .map(|item| NewItem {
                    price: item.price.clone(),
                    quantity: item.quantity.unwrap_or(0),
                    metadata: item.metadata.clone(),
                    terms: item.terms.clone(),
                })
                .collect(),
            metadata: phase.metadata.clone(),
            share: self.nobodys_share(),
            description: settings.description,
            trial_end,
            anchor: None,
            prorate_first: phase.proration != Proration::None,
            collection: settings.collection.unwrap_or(Collection::ChargeAutomatically),
            days_until_due: settings.days_until_due,
            default_payment_method: settings.default_payment_method,
            missing_card: MissingCard::CreateInvoice,
            cancel_at: schedule.planned_end(0),
            cancel_at_period_end: false,
            save_default_payment_method: "off".to_owned(),
            first_payment: FirstPayment::Later,
            schedule: Some(id.to_owned()),
            backdated,
            terms,
        })?;
        self.schedules.edit(id, |schedule| schedule.state = ScheduleState::Active { subscription, phase: 0 });
        let schedule = need(&self.schedules, id, "schedule")?;
        self.set_schedule_timers(&schedule);
        Ok(())
    }

    /// Lets every phase begin whose time has come, and lets the schedule end after the last.
    pub(crate) fn turn_phases(&mut self, id: &str) {
        while let Some((schedule, phase)) = self.over_phase(id) {
            let next = phase + 1;
            match schedule.phases.get(next).cloned() {
                Some(entered) => {
                    self.change_schedule(id, |schedule| {
                        if let ScheduleState::Active { phase, .. } = &mut schedule.state {
                            *phase = next;
                        }
                    });
                    let applied = self.apply_phase(&schedule, &entered, entered.proration, true);
                    if applied.and_then(|()| self.plan_schedule(id, entered.proration)).is_err() {
                        // Its prices fitted when the schedule was made, and do not any more.
                        self.close_schedule(id, "aborted");
                        return;
                    }
                }
                None => {
                    self.finish_schedule(&schedule);
                    return;
                }
            }
        }
    }

    /// A running schedule with the place of its phase, when that is over.
    fn over_phase(&self, id: &str) -> Option<(Schedule, usize)> {
        let schedule = self.schedules.get(id)?;
        let ScheduleState::Active { phase, .. } = schedule.state else {
            return None;
        };
        (schedule.phases.get(phase)?.end <= self.now).then(|| (schedule.clone(), phase))
    }

    /// Plans what the present phase leads to: timers, and the end of the subscription where the schedule ends it.
    /// What an end within the running period leaves unused is credited as `proration` says.
    pub(super) fn plan_schedule(&mut self, id: &str, proration: Proration) -> ApiResult<()> {
        let Some(schedule) = self.schedules.get(id).cloned() else {
            return Ok(());
        };
        self.set_schedule_timers(&schedule);
        let ScheduleState::Active { subscription, phase } = &schedule.state else {
            return Ok(());
        };
        let planned = schedule.planned_end(*phase);
        if self.subscriptions.get(subscription).is_some_and(|found| found.cancel_at != planned) {
            self.plan_end(subscription, planned.map_or(End::Never, End::At), proration)?;
        }
        Ok(())
    }

    fn finish_schedule(&mut self, schedule: &Schedule) {
        match schedule.end_behavior {
            EndBehavior::Release => self.let_go(&schedule.id, false, true),
            EndBehavior::Cancel => {
                let managed = schedule.state.managed().and_then(|id| self.subscriptions.get(id)).cloned();
                if let Some(subscription) = managed {
                    self.end_subscription(&subscription.id, CancellationDetails::default());
                    self.bill_last(&subscription);
                }
            }
        }
    }

    /// Ends a schedule early, with the event of its reason.
    pub(super) fn close_schedule(&mut self, id: &str, event: &str) {
        let now = self.now;
        self.schedules.edit(id, |schedule| {
            let subscription = schedule.state.managed().map(str::to_owned);
            schedule.state = ScheduleState::Canceled { at: now, subscription };
        });
        self.tell_of_schedule(event, id);
    }

    /// A subscription has ended, and its schedule with it: as planned, for want of payment, or because somebody
    /// cancelled it.
    pub(crate) fn schedule_loses(&mut self, subscription: &Subscription) {
        let Some(schedule) = self.schedule_of(subscription).cloned() else {
            return;
        };
        if schedule.end_behavior == EndBehavior::Cancel && schedule.ends() <= self.now {
            let state = ScheduleState::Completed { at: self.now, subscription: subscription.id.clone() };
            self.schedules.edit(&schedule.id, |schedule| schedule.state = state);
            self.tell_of_schedule("completed", &schedule.id);
        } else if subscription.cancellation.reason.as_deref() == Some("payment_failed") {
            self.close_schedule(&schedule.id, "aborted");
        } else {
            self.close_schedule(&schedule.id, "canceled");
        }
    }

    /// Makes the subscription what a phase says. `enters` tells a phase that begins from one that is changed.
    pub(super) fn apply_phase(
        &mut self,
        schedule: &Schedule,
        phase: &Phase,
        proration: Proration,
        enters: bool,
    ) -> ApiResult<()> {
        let ScheduleState::Active { subscription: id, .. } = &schedule.state else {
            return Ok(());
        };
        let settings = phase.settings.over(&schedule.defaults);
        let had = self.subscriptions.get(id).map(Subscription::all_discounts).unwrap_or_default();
        let discounts = self.holding(&phase.discounts, self.now);
        self.change_subscription(id, |subscription| {
            subscription.terms.discounts = discounts;
            subscription.terms.default_tax_rates.clone_from(&phase.default_tax_rates);
            let automatic = settings.automatic_tax == Some(true);
            if subscription.terms.automatic_tax.is_on() != automatic {
                subscription.terms.automatic_tax = AutomaticTax::asked(automatic);
            }
            subscription.collection = settings.collection.unwrap_or(subscription.collection);
            if settings.days_until_due.is_some() || subscription.collection == Collection::ChargeAutomatically
            {
                subscription.days_until_due = settings.days_until_due;
            }
            if settings.default_payment_method.is_some() {
                subscription.default_payment_method.clone_from(&settings.default_payment_method);
            }
            if settings.description.is_some() {
                subscription.description.clone_from(&settings.description);
            }
            subscription.metadata.extend(phase.metadata.clone());
        });
        self.settle_discounts(id, &had);
        let subscription = need(&self.subscriptions, id, "subscription")?;
        let items = self.item_changes(&subscription.items, phase, self.now);
        let restart = enters && settings.anchor == Some(PhaseAnchor::PhaseStart);
        let trial_end = phase
            .trial_end
            .filter(|end| subscription.trial.is_none_or(|trial| trial.end != *end))
            .filter(|end| *end > self.now || subscription.status == SubscriptionStatus::Trialing);
        if subscription.period.end <= self.now && trial_end.is_none() {
            // The renewal comes at this very instant: it bills the new prices, and there is nothing to prorate.
            self.swap_items(&subscription, &items, restart)?;
            if enters {
                let subscription = need(&self.subscriptions, id, "subscription")?;
                for line in self.coming_extras(phase, &subscription) {
                    self.add_invoice_item(&subscription.customer, line);
                }
            }
            return Ok(());
        }
        let extras = match (enters, restart) {
            (false, _) => Vec::new(),
            (true, true) => {
                self.phase_extras(phase, Coming { anchor: self.now, start: self.now, end: trial_end })
            }
            (true, false) => {
                let Period { start, end } = subscription.period;
                let coming = Coming { anchor: subscription.anchor, start, end: trial_end.or(Some(end)) };
                self.phase_extras(phase, coming)
            }
        };
        if items.is_empty() && !restart && trial_end.is_none() && extras.is_empty() {
            return Ok(());
        }
        let change = Change {
            items,
            proration,
            at: None,
            restart,
            trial_end,
            terms: TermsChange::default(),
            extras,
            end: None,
        };
        self.apply_change(id, &change, Strictness::Allow, Presence::OffSession)
    }

    fn swap_items(
        &mut self,
        subscription: &Subscription,
        changes: &[ItemChange],
        restart: bool,
    ) -> ApiResult<()> {
        let items = self.changed_items(subscription, changes, self.now)?;
        for line in self.leaving_usage(subscription, &items) {
            self.add_invoice_item(&subscription.customer, line);
        }
        let rhythm = same_rhythm(self.recurring(&subscription.items), self.recurring(&items));
        let now = self.now;
        self.change_subscription(&subscription.id, |subscription| {
            subscription.items = items;
            if restart || !rhythm {
                subscription.anchor = now;
            }
        });
        Ok(())
    }

    /// A subscription as it will be at its next renewal, when a phase begins until then.
    pub(crate) fn at_renewal(&mut self, subscription: &Subscription) -> Subscription {
        let mut renewed = subscription.clone();
        let end = subscription.period.end;
        if let Some((phase, automatic, cancel_at)) = self.coming_phase(subscription)
            && let Ok(items) =
                self.changed_items(subscription, &self.item_changes(&subscription.items, &phase, end), end)
        {
            renewed.items = items;
            renewed.cancel_at = cancel_at;
            renewed.terms = SubscriptionTerms {
                discounts: self.holding(&phase.discounts, end),
                default_tax_rates: phase.default_tax_rates,
                automatic_tax: AutomaticTax::asked(automatic),
            };
        }
        renewed
    }

    /// The last phase that begins until the next renewal of a subscription, whether its tax is automatic, and the end of
    /// the subscription that it plans.
    fn coming_phase(&self, subscription: &Subscription) -> Option<(Phase, bool, Option<i64>)> {
        let schedule = self.schedule_of(subscription)?;
        let running = schedule.running()?.start;
        let by_then = |phase: &&Phase| running < phase.start && phase.start <= subscription.period.end;
        let place = schedule.phases.iter().rposition(|phase| by_then(&phase))?;
        let phase = schedule.phases.get(place)?;
        let automatic = phase.settings.over(&schedule.defaults).automatic_tax == Some(true);
        Some((phase.clone(), automatic, schedule.planned_end(place)))
    }

    /// The single amounts that phases add to the next renewal of a subscription.
    pub(crate) fn extras_at_renewal(&self, subscription: &Subscription) -> Vec<Line> {
        let coming = self.coming_phase(subscription);
        coming.map(|(phase, _, _)| self.coming_extras(&phase, subscription)).unwrap_or_default()
    }

    /// The single amounts of a phase that begins with a period of its subscription, as lines of that period.
    fn coming_extras(&self, phase: &Phase, subscription: &Subscription) -> Vec<Line> {
        let start = subscription.period.end;
        // A new anchor is where the period begins.
        let anchor = if subscription.anchor > start { start } else { subscription.anchor };
        let lines = self.phase_extras(phase, Coming { anchor, start, end: None });
        let named = |line: Line| Line { subscription: Some(subscription.id.clone()), ..line };
        lines.into_iter().map(named).collect()
    }

    /// The single amounts of a phase as lines of the period that its first invoice is for.
    fn phase_extras(&self, phase: &Phase, coming: Coming) -> Vec<Line> {
        let price = phase.items.first().and_then(|item| self.prices.get(&item.price));
        let recurring = price.and_then(|price| price.recurring);
        let end = coming.end.or_else(|| Some(next_boundary(coming.anchor, recurring?, coming.start)));
        let period = Period { start: coming.start, end: end.unwrap_or(coming.start) };
        let of_phase = Period { start: phase.start, end: phase.end };
        let placed = |line: &Line| {
            let period = line.span.within(period, of_phase);
            Line { period, span: Span::at(period), ..line.clone() }
        };
        phase.extras.iter().map(placed).collect()
    }

    /// What was used of metered items that leave a subscription with the end of its period; nothing of a trial.
    pub(crate) fn leaving_usage(
        &mut self,
        subscription: &Subscription,
        items: &[SubscriptionItem],
    ) -> Vec<Line> {
        if subscription.status == SubscriptionStatus::Trialing {
            return Vec::new();
        }
        self.closing_usage(subscription, items, subscription.period.end, false, true)
    }

    /// What turns the items of a subscription into those of a phase: a price that stays keeps its item.
    fn item_changes(&self, present: &[SubscriptionItem], phase: &Phase, at: i64) -> Vec<ItemChange> {
        let mut changes = Vec::new();
        for item in present {
            let Some(wanted) = phase.items.iter().find(|wanted| wanted.price == item.price) else {
                changes.push(ItemChange {
                    id: Some(item.id.clone()),
                    deleted: true,
                    ..ItemChange::default()
                });
                continue;
            };
            let mut metadata = item.metadata.clone();
            metadata.extend(wanted.metadata.clone());
            let quantity = wanted.quantity.filter(|quantity| *quantity != item.quantity);
            let terms = self.wanted_terms(wanted, at);
            if quantity.is_some() || metadata != item.metadata || terms != item.terms {
                changes.push(ItemChange {
                    id: Some(item.id.clone()),
                    quantity,
                    metadata: Some(metadata),
                    terms: change_of(terms),
                    ..ItemChange::default()
                });
            }
        }
        let new = phase.items.iter().filter(|wanted| present.iter().all(|item| item.price != wanted.price));
        changes.extend(new.map(|wanted| ItemChange {
            price: Some(wanted.price.clone()),
            quantity: wanted.quantity,
            metadata: Some(wanted.metadata.clone()),
            archived_too: true,
            terms: change_of(self.wanted_terms(wanted, at)),
            ..ItemChange::default()
        }));
        changes
    }

    /// The terms of an item in its phase, without discounts that are over.
    fn wanted_terms(&self, wanted: &PhaseItem, at: i64) -> ItemTerms {
        let ItemTerms { discounts, tax_rates } = &wanted.terms;
        ItemTerms { discounts: self.holding(discounts, at), tax_rates: tax_rates.clone() }
    }
}

/// The period that the first invoice of a phase is for, in unix seconds; without an end it is one interval of its prices.
#[derive(Debug, Clone, Copy)]
struct Coming {
    anchor: i64,
    start: i64,
    end: Option<i64>,
}

fn change_of(terms: ItemTerms) -> ItemTermsChange {
    ItemTermsChange { discounts: Some(terms.discounts), tax_rates: Some(terms.tax_rates) }
}
