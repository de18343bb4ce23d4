//! The start of a subscription, from the API or from a paid checkout session.

use super::calendar::{last_boundary, next_boundary};
use super::invoicing::NewInvoice;
use super::lines::LineOf;
use crate::model::invoice::{BillingReason, Invoice, Line};
use crate::model::product::{Price, Recurring};
use crate::model::share::Share;
use crate::model::subscription::{
    CancellationDetails, Collection, MissingCard, Period, Subscription, SubscriptionItem, SubscriptionStatus,
};
use crate::model::terms::{ItemTerms, SubscriptionTerms};
use crate::payments::attempt::{Attempt, Presence, foresee};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// A subscription that is never paid gives up after this long, in seconds.
const INCOMPLETE_SECONDS: i64 = 23 * 3600;
const DAY: i64 = 86_400;

/// How the first invoice is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FirstPayment {
    /// Try the default card; a failure leaves the subscription incomplete.
    Try(Presence),
    /// Try the default card; a failure is an error and nothing is kept.
    Insist(Presence),
    /// Wait for somebody to confirm the payment.
    Wait,
    /// A checkout session has taken the money already.
    PaidBy(String),
    /// The first invoice stays a draft for a while and is collected like that of a renewal.
    Later,
}

/// An item of a subscription that is about to be made.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewItem {
    pub(crate) price: String,
    /// 0 for a metered price.
    pub(crate) quantity: i64,
    pub(crate) metadata: Metadata,
    pub(crate) terms: ItemTerms,
}

/// A subscription that is about to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewSubscription {
    pub(crate) customer: String,
    /// The currency that was asked for, where one was.
    pub(crate) currency: Option<String>,
    pub(crate) items: Vec<NewItem>,
    /// Single amounts for the first invoice.
    pub(crate) extras: Vec<Line>,
    pub(crate) terms: SubscriptionTerms,
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) trial_end: Option<i64>,
    pub(crate) anchor: Option<i64>,
    pub(crate) prorate_first: bool,
    pub(crate) collection: Collection,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) missing_card: MissingCard,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) save_default_payment_method: String,
    pub(crate) first_payment: FirstPayment,
    /// The schedule that makes it.
    pub(crate) schedule: Option<String>,
    /// When it began, in unix seconds, where that has passed.
    pub(crate) backdated: Option<i64>,
    /// Who else has a share in its payments.
    pub(crate) share: Share,
}

impl World {
    /// Makes a subscription with its first invoice. Answers its id.
    pub(crate) fn subscribe(&mut self, new: NewSubscription) -> ApiResult<String> {
        let customer = need(&self.customers, &new.customer, "customer")?;
        // Once the money is there nothing may stop the subscription any more: the session was checked before.
        let paid = matches!(new.first_payment, FirstPayment::PaidBy(_));
        if !paid {
            self.check_subscription_room(&customer.id)?;
        }
        let customers = customer.currency.as_deref().filter(|_| !paid);
        let currency = self.currency_of_items(&new.items, new.currency.clone(), customers)?;
        let priced = new.items.iter().map(|item| (item.price.as_str(), item.quantity));
        let prices = self.check_items(priced, Some(&currency))?;
        if let Some(price) = prices.iter().find(|price| !price.active && !paid && new.schedule.is_none()) {
            return Err(inactive(price));
        }
        if new.terms.automatic_tax.is_on() && !paid {
            self.check_location(&customer.id)?;
        }
        let first = prices.first().cloned().ok_or_else(|| {
            ApiError::invalid("parameter_missing", "items", "Missing required param: items.")
        })?;
        let recurring = first.recurring.unwrap_or(Recurring {
            interval: crate::model::product::Interval::Month,
            count: 1,
            trial_days: None,
        });
        let (period, anchor) = self.first_period(&new, recurring);
        let id = self.chance.id("sub_");
        let items = new
            .items
            .iter()
            .map(|item| SubscriptionItem {
                id: self.chance.id("si_"),
                created: self.now,
                price: item.price.clone(),
                quantity: item.quantity,
                usage_from: self.now,
                metadata: item.metadata.clone(),
                terms: item.terms.clone(),
            })
            .collect();
        let mut subscription = Subscription {
            id: id.clone(),
            created: self.now,
            status: SubscriptionStatus::Incomplete,
            customer: new.customer.clone(),
            currency: currency.clone(),
            items,
            period,
            anchor,
            start_date: new.backdated.unwrap_or(self.now),
            trial: new.trial_end.map(|end| Period { start: self.now, end }),
            missing_card: new.missing_card,
            cancel_at: if new.cancel_at_period_end { Some(period.end) } else { new.cancel_at },
            cancel_at_period_end: new.cancel_at_period_end,
            billed_until: None,
            cuts: Vec::new(),
            canceled_at: (new.cancel_at_period_end || new.cancel_at.is_some()).then_some(self.now),
            ended_at: None,
            cancellation: CancellationDetails::default(),
            collection: new.collection,
            days_until_due: new.days_until_due,
            default_payment_method: new.default_payment_method.clone(),
            description: new.description.clone(),
            latest_invoice: None,
            metadata: new.metadata.clone(),
            pause_collection: None,
            paused_at: None,
            pause_reason: String::new(),
            pause_ends: None,
            pause_credited: false,
            save_default_payment_method: new.save_default_payment_method.clone(),
            test_clock: customer.test_clock.clone(),
            announced: None,
            schedule: new.schedule.clone(),
            terms: new.terms.clone(),
            share: new.share.clone(),
            pending: None,
        };
        subscription.opened_period();
        let bills_nothing = !new.prorate_first && subscription.part_of(period) != period;
        if bills_nothing && new.trial_end.is_none() {
            subscription.bill_until(period.start);
        }
        let extras = self.name_extras(&new.extras, &id, period);
        let mut lines = extras.clone();
        lines.extend(self.first_lines(&subscription, &new, recurring));
        let frame = self.invoice_of(&subscription, BillingReason::SubscriptionCreate, lines);
        // What a buyer has paid already was worked out without items that happen to wait.
        let invoice = self.build_invoice(frame, !paid);
        subscription.status = self.first_status(&new, invoice.amount_due == 0)?;
        let mark = self.mark();
        self.subscriptions.put(subscription.clone());
        self.settle_discounts(&id, &[]);
        self.customers.edit(&new.customer, |customer| {
            customer.currency.get_or_insert(currency);
        });
        self.set_period_timers(&subscription);
        for line in extras {
            self.keep_item(&new.customer, &line.invoice_item.clone().unwrap_or_default(), line);
        }
        // Published: with `proration_behavior=none` the time up to the first full period is not invoiced.
        if !(bills_nothing && invoice.lines.is_empty()) {
            self.first_invoice(&subscription, &new, invoice)?;
        }
        let object = self.subscription_value(&id);
        self.emit_at(mark, "customer.subscription.created", object, None);
        Ok(id)
    }

    /// Gives single amounts the ids of the invoice items that they will be, and their periods.
    fn name_extras(&mut self, extras: &[Line], subscription: &str, period: Period) -> Vec<Line> {
        let named = |line: &Line| Line {
            invoice_item: Some(self.chance.id("ii_")),
            period: line.span.within(period, period),
            subscription: Some(subscription.to_owned()),
            ..line.clone()
        };
        extras.iter().map(named).collect()
    }

    fn first_period(&self, new: &NewSubscription, recurring: Recurring) -> (Period, i64) {
        let start = self.now;
        match (new.trial_end, new.anchor) {
            (Some(end), _) => (Period { start, end }, new.anchor.unwrap_or(end)),
            (None, Some(anchor)) => (Period { start, end: next_boundary(anchor, recurring, start) }, anchor),
            (None, None) => (Period { start, end: next_boundary(start, recurring, start) }, start),
        }
    }

    /// The status at birth. The answer of the issuer is foreseen, so that the first event shows the truth.
    fn first_status(&self, new: &NewSubscription, free: bool) -> ApiResult<SubscriptionStatus> {
        if new.trial_end.is_some() {
            return Ok(SubscriptionStatus::Trialing);
        }
        if free || new.collection == Collection::SendInvoice {
            return Ok(SubscriptionStatus::Active);
        }
        let presence = match &new.first_payment {
            FirstPayment::PaidBy(_) | FirstPayment::Later => return Ok(SubscriptionStatus::Active),
            FirstPayment::Wait => return Ok(SubscriptionStatus::Incomplete),
            FirstPayment::Try(presence) | FirstPayment::Insist(presence) => *presence,
        };
        let method = new.default_payment_method.clone().or_else(|| self.default_method(&new.customer, None));
        let method = method.and_then(|id| self.payment_methods.get(&id)).ok_or_else(|| {
            ApiError::state("resource_missing", "This customer has no attached payment source or default payment method. Please consider adding a default payment method. No money moved.")
        })?;
        match foresee(method, presence, false) {
            Attempt::Succeeded | Attempt::Held | Attempt::Underway => Ok(SubscriptionStatus::Active),
            Attempt::Declined(decline) if matches!(new.first_payment, FirstPayment::Insist(_)) => {
                Err(ApiError::card(decline.code, decline.decline_code, decline.message))
            }
            Attempt::RequiresAction if matches!(new.first_payment, FirstPayment::Insist(_)) => {
                Err(ApiError::card(
                    "subscription_payment_intent_requires_action",
                    None,
                    "Payment for this subscription requires additional user action before it can be completed successfully. No money moved.",
                ))
            }
            Attempt::Declined(_) | Attempt::RequiresAction => Ok(SubscriptionStatus::Incomplete),
        }
    }

    fn first_invoice(
        &mut self,
        subscription: &Subscription,
        new: &NewSubscription,
        invoice: Invoice,
    ) -> ApiResult<()> {
        let invoice = self.keep_draft(invoice);
        let paid_by = match &new.first_payment {
            FirstPayment::PaidBy(intent) => Some(intent.as_str()),
            FirstPayment::Try(_) | FirstPayment::Insist(_) | FirstPayment::Wait | FirstPayment::Later => None,
        };
        if new.first_payment == FirstPayment::Later
            && self.invoices.get(&invoice).is_some_and(|invoice| invoice.amount_due > 0)
        {
            self.plan_finalization(&invoice);
            return Ok(());
        }
        self.finalize_invoice(&invoice, paid_by)?;
        if subscription.status == SubscriptionStatus::Incomplete {
            self.timers.set(self.now + INCOMPLETE_SECONDS, Timer::IncompleteExpires(subscription.id.clone()));
        }
        let open = self.invoices.get(&invoice).is_some_and(|invoice| invoice.remaining() > 0);
        if let (
            FirstPayment::Try(presence) | FirstPayment::Insist(presence),
            true,
            Collection::ChargeAutomatically,
        ) = (&new.first_payment, open, subscription.collection)
        {
            let attempt = self.try_invoice(&invoice, None, *presence)?;
            if !attempt.is_some_and(Attempt::went_through) {
                self.note_first_failure(&invoice, attempt);
            }
        }
        Ok(())
    }

    fn first_lines(
        &mut self,
        subscription: &Subscription,
        new: &NewSubscription,
        recurring: Recurring,
    ) -> Vec<Line> {
        let period = subscription.period;
        if let Some(from) = new.backdated.filter(|_| new.trial_end.is_none() && new.prorate_first) {
            let mut lines = self.backdated_lines(subscription, from, recurring);
            lines.extend(self.period_lines(subscription, period, false));
            return lines;
        }
        let partial = new.trial_end.is_none()
            && (new.anchor.is_some_and(|anchor| anchor != self.now)
                || subscription.part_of(period) != period);
        if !partial {
            return self.period_lines(subscription, period, new.trial_end.is_some());
        }
        if !new.prorate_first {
            return Vec::new();
        }
        let whole = period.end - last_boundary(subscription.anchor, recurring, period.start);
        let part = subscription.part_of(period);
        let items = subscription.items.iter();
        items
            .filter_map(|item| self.first_part(&LineOf { subscription, item, period: part }, whole))
            .collect()
    }

    /// The frame of a subscription's next invoice.
    pub(crate) fn invoice_of(
        &self,
        subscription: &Subscription,
        reason: BillingReason,
        lines: Vec<Line>,
    ) -> NewInvoice {
        NewInvoice {
            customer: subscription.customer.clone(),
            subscription: Some(subscription.id.clone()),
            subscription_metadata: subscription.metadata.clone(),
            reason,
            currency: subscription.currency.clone(),
            lines,
            terms: subscription.terms.for_invoice(self.discounts_for(subscription, self.now)),
            period: Period { start: self.now, end: self.now },
            collection: subscription.collection,
            days_until_due: subscription.days_until_due,
            auto_advance: true,
            default_payment_method: None,
            description: None,
            metadata: Metadata::new(),
            share: subscription.share.clone(),
        }
    }

    /// Sets the timers of a period that has just begun.
    pub(crate) fn set_period_timers(&mut self, subscription: &Subscription) {
        let id = || subscription.id.clone();
        let end = subscription.period.end;
        self.timers.set(end, Timer::PeriodEnd(id()));
        if subscription.status == SubscriptionStatus::Trialing {
            self.timers.set((end - 3 * DAY).max(self.now), Timer::TrialWillEnd(id()));
        }
        self.set_upcoming_timer(subscription);
        if let Some(at) = subscription.cancel_at.filter(|at| *at != end) {
            self.timers.set(at.max(self.now), Timer::CancelAt(id()));
        }
    }

    /// Changes a subscription and notes the change.
    pub(crate) fn change_subscription(&mut self, id: &str, change: impl FnOnce(&mut Subscription)) {
        let Some(mut subscription) = self.subscriptions.get(id).cloned() else {
            return;
        };
        let before = subscription.render(&self.prices);
        change(&mut subscription);
        let after = subscription.render(&self.prices);
        self.subscriptions.put(subscription);
        self.emit_change("customer.subscription.updated", &before, after);
    }
}

/// Whether two prices recur at the same times; their trials do not matter.
pub(crate) fn same_rhythm(one: Option<Recurring>, other: Option<Recurring>) -> bool {
    let rhythm =
        |recurring: Option<Recurring>| recurring.map(|recurring| (recurring.interval, recurring.count));
    rhythm(one) == rhythm(other)
}

/// The error for a quantity that only the meter can know.
pub(crate) fn quantity_of_metered(param: &str) -> ApiError {
    ApiError::rule(format!(
        "The quantity of a price with `recurring[usage_type]` set to `metered` is what its meter counts; leave `{param}` out."
    ))
    .param(param)
}

/// The error for a price that is no longer sold.
pub(crate) fn inactive(price: &Price) -> ApiError {
    ApiError::rule(format!(
        "The price specified is inactive. This field only accepts active prices: {}",
        price.id
    ))
    .param("items")
}
