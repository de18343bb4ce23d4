//! The announcement of a renewal (`invoice.upcoming`): once for each period, as many days ahead as the settings say.
//!
//! A timer is only a reason to look. Settings and periods may have changed since it was set, and the clock may have
//! passed it; what counts is whether the announcement of this period is due and was not made.

use crate::model::subscription::{Subscription, SubscriptionStatus};
use crate::settings::Settings;
use crate::state::timers::Timer;
use crate::state::world::World;

const DAY: i64 = 86_400;

impl World {
    /// When the renewal of a subscription is to be announced, in unix seconds; `None` for never.
    fn announcement_due(&self, subscription: &Subscription) -> Option<i64> {
        let days = self.settings.upcoming_days;
        (days > 0).then(|| subscription.period.end - days * DAY)
    }

    /// Sets the timer of the announcement, unless its time lies before this instant: a period shorter than that is
    /// not announced.
    pub(crate) fn set_upcoming_timer(&mut self, subscription: &Subscription) {
        if let Some(due) = self.announcement_due(subscription).filter(|due| *due > self.now) {
            self.timers.set(due, Timer::InvoiceUpcoming(subscription.id.clone()));
        }
    }

    /// The subscription of a customer whose renewal comes next; of several at one instant, the oldest.
    pub(crate) fn next_to_renew(&self, customer: &str) -> Option<String> {
        let renews = |found: &&Subscription| {
            !found.status.is_terminal() && found.cancel_at.is_none_or(|at| at > found.period.end)
        };
        let next = self.subscriptions.of(customer).filter(renews).min_by_key(|found| found.period.end)?;
        Some(next.id.clone())
    }

    /// A renewal comes up: shown as an invoice that has no id yet.
    pub(crate) fn invoice_comes_up(&mut self, id: &str) {
        let Some(subscription) = self.subscriptions.get(id).cloned() else {
            return;
        };
        let end = subscription.period.end;
        let runs = match subscription.status {
            SubscriptionStatus::Active | SubscriptionStatus::Trialing | SubscriptionStatus::PastDue => true,
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused => false,
        };
        let renews = subscription.cancel_at.is_none_or(|at| at > end);
        let Some(due) = self.announcement_due(&subscription).filter(|_| runs && renews) else {
            return;
        };
        if subscription.announced == Some(end) || self.now >= end {
            return;
        }
        if due > self.now {
            self.timers.set(due, Timer::InvoiceUpcoming(id.to_owned()));
            return;
        }
        self.subscriptions.edit(id, |subscription| subscription.announced = Some(end));
        let mut object = self.upcoming_invoice(&subscription).render();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("id");
        }
        self.emit("invoice.upcoming", object);
    }

    /// Puts other settings in force; announcements that they bring forward are planned anew.
    pub(crate) fn set_settings(&mut self, settings: Settings) {
        let earlier = settings.upcoming_days > self.settings.upcoming_days;
        self.settings = settings;
        if !earlier {
            return;
        }
        let running: Vec<Subscription> =
            self.subscriptions.iter().filter(|found| !found.status.is_terminal()).cloned().collect();
        for subscription in running {
            self.on_line_of(&subscription.id, |world| world.set_upcoming_timer(&subscription));
        }
    }
}
