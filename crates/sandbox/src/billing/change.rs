//! Changes of a running subscription: other prices and quantities, prorated to the second; a new anchor; the trial's end.

use super::calendar::next_boundary;
use super::cancel::End;
use super::lines::{LineOf, Share};
use super::subscribe::{inactive, quantity_of_metered, same_rhythm};
use super::usage::Seen;
use crate::model::invoice::{BillingReason, Line};
use crate::model::product::Price;
use crate::model::subscription::{Collection, Period, Subscription, SubscriptionItem, SubscriptionStatus};
use crate::model::terms::{ItemTerms, ItemTermsChange, SubscriptionTerms, TermsChange};
use crate::payments::attempt::{Attempt, Presence, foresee};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;
use crate::words::words;

words! {
    /// What happens to the difference in price: it waits for the next invoice, is invoiced now, or there is none.
    Proration { Wait = "create_prorations", Invoice = "always_invoice", None = "none" }
}

/// How strictly a payment that the change causes is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// The change holds even when the payment fails.
    Allow,
    /// The payment is left for somebody to confirm.
    Wait,
    /// A payment that would fail refuses the change.
    Insist,
    /// A change whose payment would fail waits until it is paid.
    Hold,
}

/// A change of one item; without an id it is a new item.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemChange {
    pub(crate) id: Option<String>,
    pub(crate) price: Option<String>,
    pub(crate) quantity: Option<i64>,
    pub(crate) deleted: bool,
    pub(crate) metadata: Option<Metadata>,
    /// The price may be archived: it was chosen while it was not.
    pub(crate) archived_too: bool,
    pub(crate) terms: ItemTermsChange,
}

/// A change of a subscription.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) items: Vec<ItemChange>,
    pub(crate) proration: Proration,
    /// The instant from which the difference counts.
    pub(crate) at: Option<i64>,
    pub(crate) restart: bool,
    /// A new end of the trial; an instant that has passed ends it now.
    pub(crate) trial_end: Option<i64>,
    /// Discounts and taxes of the whole subscription.
    pub(crate) terms: TermsChange,
    /// Single amounts for its next invoice.
    pub(crate) extras: Vec<Line>,
    /// When it is to end, where that changes.
    pub(crate) end: Option<End>,
}

impl Change {
    /// Whether it asks for anything but another end.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
            && !self.restart
            && self.trial_end.is_none()
            && self.terms.is_empty()
            && self.extras.is_empty()
    }
}

/// What a change would do.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// The subscription with its new end and nothing else changed.
    pub(crate) ended: Subscription,
    pub(crate) items: Vec<SubscriptionItem>,
    pub(crate) terms: SubscriptionTerms,
    /// The two sides of each difference, and single amounts.
    pub(crate) prorations: Vec<Line>,
    pub(crate) period: Period,
    pub(crate) anchor: i64,
    pub(crate) trial: Option<Period>,
    pub(crate) status: SubscriptionStatus,
    /// A new period begins now, and is billed now.
    pub(crate) restarts: bool,
}

/// Whether a change ends a trial that runs.
fn trial_ends_now(subscription: &Subscription, change: &Change, now: i64) -> bool {
    change.trial_end.is_some_and(|end| end <= now) && subscription.status == SubscriptionStatus::Trialing
}

impl World {
    /// Works a change out, without making it.
    pub(crate) fn plan_change(&mut self, subscription: &Subscription, change: &Change) -> ApiResult<Planned> {
        let (ended, cut) = match change.end {
            Some(end) => self.planned_end(subscription, end, change.proration),
            None => (subscription.clone(), Vec::new()),
        };
        let subscription = &ended;
        let at = change.at.unwrap_or(self.now);
        if change.at.is_some_and(|at| !(subscription.period.start..=subscription.period.end).contains(&at)) {
            return Err(ApiError::rule(format!(
                "Cannot specify a proration date outside of the current billing period ({} to {}).",
                subscription.period.start, subscription.period.end
            ))
            .param("proration_date"));
        }
        let items = self.changed_items(subscription, &change.items, at)?;
        let (Some(before), Some(after)) = (self.recurring(&subscription.items), self.recurring(&items))
        else {
            return Err(ApiError::rule("A subscription must have at least one active price."));
        };
        let trialing = subscription.status == SubscriptionStatus::Trialing;
        let trial_ends_now = trial_ends_now(subscription, change, self.now);
        let trial_goes_on = change.trial_end.map_or(trialing, |end| end > self.now);
        let currency = &subscription.currency;
        let wakes = self.is_free(&subscription.items, currency) && self.total(&items, currency) > 0;
        let restarts = !trial_goes_on
            && (change.restart || trial_ends_now || !same_rhythm(Some(before), Some(after)) || wakes);
        let mut after_change = subscription.clone();
        after_change.items.clone_from(&items);
        change.terms.write(&mut after_change.terms);
        let mut prorations = match change.proration {
            _ if trialing => Vec::new(),
            Proration::None => self.closing_usage(subscription, &items, at, restarts, false),
            Proration::Wait | Proration::Invoice => {
                let credit_all = restarts || trial_goes_on;
                let mut lines = self.closing_usage(subscription, &items, at, credit_all, true);
                lines.extend(self.prorations(subscription, &after_change, at, credit_all));
                lines
            }
        };
        prorations.splice(0..0, cut);
        let terms = after_change.terms;
        let now = self.now;
        let (period, anchor, trial, status) = if restarts {
            let status = if trialing { SubscriptionStatus::Active } else { subscription.status };
            let trial = subscription.trial.map(|trial| Period { end: trial.end.min(now), ..trial });
            (Period { start: now, end: next_boundary(now, after, now) }, now, trial, status)
        } else if let Some(end) = change.trial_end.filter(|_| trial_goes_on) {
            let start = subscription.trial.map_or(now, |trial| trial.start);
            (
                Period { start: subscription.period.start, end },
                end,
                Some(Period { start, end }),
                SubscriptionStatus::Trialing,
            )
        } else {
            (subscription.period, subscription.anchor, subscription.trial, subscription.status)
        };
        prorations.extend(change.extras.iter().map(|line| Line {
            period: line.span.within(period, period),
            subscription: Some(subscription.id.clone()),
            ..line.clone()
        }));
        Ok(Planned { ended, items, terms, prorations, period, anchor, trial, status, restarts })
    }

    fn total(&self, items: &[SubscriptionItem], currency: &str) -> i64 {
        items.iter().map(|item| self.full_price(item, currency)).sum()
    }

    /// Whether items cost nothing whatever happens.
    fn is_free(&self, items: &[SubscriptionItem], currency: &str) -> bool {
        self.total(items, currency) == 0 && !items.iter().any(|item| self.is_metered(item))
    }

    /// The usage of items that end: those that are gone or get another price, unless that is not to be billed; and all
    /// others when a new period begins.
    pub(crate) fn closing_usage(
        &mut self,
        subscription: &Subscription,
        after: &[SubscriptionItem],
        at: i64,
        all: bool,
        bills_gone: bool,
    ) -> Vec<Line> {
        let period = Period { start: subscription.period.start, end: at };
        let mut lines = Vec::new();
        for item in &subscription.items {
            let stays = after.iter().any(|other| other.id == item.id && other.price == item.price);
            let closes = if stays { all } else { bills_gone };
            if closes && self.is_metered(item) {
                lines.extend(self.usage_lines(subscription, item, period, Seen::Reported));
            }
        }
        lines.retain(|line| line.amount != 0);
        lines
    }

    /// The items of a subscription as changes would leave them.
    pub(crate) fn changed_items(
        &mut self,
        subscription: &Subscription,
        changes: &[ItemChange],
        at: i64,
    ) -> ApiResult<Vec<SubscriptionItem>> {
        let mut items = subscription.items.clone();
        for (index, change) in changes.iter().enumerate() {
            if let Some(price) = &change.price {
                let price = need(&self.prices, price, &format!("items[{index}][price]"))?;
                if !price.active && !change.archived_too {
                    return Err(inactive(&price));
                }
            }
            match &change.id {
                Some(id) => {
                    let position = items.iter().position(|item| item.id == *id);
                    let position = position.ok_or_else(|| {
                        ApiError::missing("subscription item", id, &format!("items[{index}][id]"))
                    })?;
                    if change.deleted {
                        items.remove(position);
                    } else if let Some(item) = items.get_mut(position) {
                        let kept = if self.metered_price(&item.price) { 1 } else { item.quantity };
                        if let Some(price) = change.price.as_ref().filter(|price| **price != item.price) {
                            item.price.clone_from(price);
                            item.usage_from = at;
                        }
                        item.quantity = self.quantity_in(&item.price, change.quantity, kept, index)?;
                        if let Some(metadata) = &change.metadata {
                            item.metadata.clone_from(metadata);
                        }
                        change.terms.write(&mut item.terms);
                    }
                }
                None => {
                    let price = change.price.clone().ok_or_else(|| {
                        ApiError::invalid(
                            "parameter_missing",
                            &format!("items[{index}][price]"),
                            format!("Missing required param: items[{index}][price]."),
                        )
                    })?;
                    let mut terms = ItemTerms::default();
                    change.terms.write(&mut terms);
                    let quantity = self.quantity_in(&price, change.quantity, 1, index)?;
                    items.push(SubscriptionItem {
                        id: self.chance.id("si_"),
                        created: self.now,
                        price,
                        quantity,
                        usage_from: at,
                        metadata: change.metadata.clone().unwrap_or_default(),
                        terms,
                    });
                }
            }
        }
        let priced = items.iter().map(|item| (item.price.as_str(), item.quantity));
        self.check_items(priced, Some(&subscription.currency))?;
        Ok(items)
    }

    fn metered_price(&self, price: &str) -> bool {
        self.prices.get(price).is_some_and(Price::is_metered)
    }

    /// The quantity that an item has with a price; a metered one has none.
    fn quantity_in(&self, price: &str, asked: Option<i64>, kept: i64, index: usize) -> ApiResult<i64> {
        match (self.metered_price(price), asked) {
            (true, Some(_)) => Err(quantity_of_metered(&format!("items[{index}][quantity]"))),
            (true, None) => Ok(0),
            (false, asked) => Ok(asked.unwrap_or(kept)),
        }
    }

    /// Credit for what was paid and is not used, and a charge for what will be used instead.
    fn prorations(
        &mut self,
        subscription: &Subscription,
        changed: &Subscription,
        at: i64,
        credit_all: bool,
    ) -> Vec<Line> {
        let same = |one: &SubscriptionItem, other: &SubscriptionItem| {
            one.id == other.id && one.price == other.price && one.quantity == other.quantity
        };
        let goes =
            |item: &SubscriptionItem| credit_all || !changed.items.iter().any(|other| same(item, other));
        let mut lines = self.credit_lines(subscription, at, goes);
        if credit_all {
            return lines;
        }
        let period = Period { start: at, end: subscription.billed_until() };
        if period.start > period.end {
            return lines;
        }
        let part = self.rest_of_period(subscription, at);
        let wholes = self.whole_amounts(changed, at);
        for (item, whole) in changed.items.iter().zip(wholes) {
            if !subscription.items.iter().any(|other| same(item, other)) {
                lines.extend(self.debit_line(&LineOf { subscription, item, period }, whole, part));
            }
        }
        lines
    }

    /// The rest of the running period so far as it is billed, out of a full interval.
    pub(crate) fn rest_of_period(&self, subscription: &Subscription, at: i64) -> Share {
        let whole = self.full_interval(subscription, subscription.period);
        Share { part: (subscription.billed_until() - at).max(0), whole }
    }

    /// Makes a change: the difference waits or is invoiced, a new period is billed.
    pub(crate) fn apply_change(
        &mut self,
        id: &str,
        change: &Change,
        strictness: Strictness,
        presence: Presence,
    ) -> ApiResult<()> {
        let subscription = need(&self.subscriptions, id, "subscription")?;
        let planned = self.plan_change(&subscription, change)?;
        let bills =
            planned.restarts || (change.proration == Proration::Invoice && !planned.prorations.is_empty());
        let asks = change.terms.automatic_tax == Some(true);
        if asks || (bills && planned.terms.automatic_tax.is_on()) {
            self.check_location(&subscription.customer)?;
        }
        self.forget_pending(id);
        let subscription = need(&self.subscriptions, id, "subscription")?;
        let changed = planned.changed(&subscription);
        let lines =
            if planned.restarts { self.period_lines(&changed, planned.period, false) } else { Vec::new() };
        let charges = bills && subscription.collection == Collection::ChargeAutomatically;
        if charges && matches!(strictness, Strictness::Insist | Strictness::Hold) {
            let all = planned.prorations.iter().chain(&lines).cloned().collect();
            let supposed =
                self.build_invoice(self.invoice_of(&changed, BillingReason::SubscriptionUpdate, all), true);
            match (self.insist(&subscription, supposed.amount_due), strictness) {
                (Ok(()), _) => {}
                (Err(_), Strictness::Hold) => {
                    return self.hold_change(&subscription, planned, lines, presence);
                }
                (Err(error), _) => return Err(error),
            }
        }
        if trial_ends_now(&subscription, change, self.now) && self.ends_trial_without_card(&changed) {
            return Ok(());
        }
        let before = subscription.render(&self.prices);
        let mark = self.mark();
        let new_period = changed.period != subscription.period;
        self.subscriptions.put(changed.clone());
        self.set_end_timer(id, changed.cancel_at);
        self.settle_discounts(id, &subscription.all_discounts());
        if new_period {
            self.set_period_timers(&changed);
        }
        for line in planned.prorations {
            self.add_invoice_item(&subscription.customer, line);
        }
        let mut invoice = None;
        if bills {
            let draft =
                self.draft_invoice(self.invoice_of(&changed, BillingReason::SubscriptionUpdate, lines), true);
            self.finalize_invoice(&draft, None)?;
            invoice = Some(draft);
        }
        let after = self.subscription_value(id);
        if let Some(previous) = crate::webhooks::emit::difference(&before, &after) {
            self.emit_at(mark, "customer.subscription.updated", after, Some(previous));
        }
        if let (Some(invoice), Collection::ChargeAutomatically, true) =
            (invoice, subscription.collection, strictness != Strictness::Wait)
        {
            self.collect_change(&invoice, presence)?;
        }
        Ok(())
    }

    fn collect_change(&mut self, invoice: &str, presence: Presence) -> ApiResult<()> {
        if self.invoices.get(invoice).is_none_or(|invoice| invoice.remaining() == 0) {
            return Ok(());
        }
        let attempt = self.try_invoice(invoice, None, presence)?;
        if !attempt.is_some_and(Attempt::went_through) {
            self.note_failure(invoice, attempt);
        }
        Ok(())
    }

    /// Refuses a change whose payment would fail; nothing has happened yet.
    fn insist(&self, subscription: &Subscription, due: i64) -> ApiResult<()> {
        if due == 0 {
            return Ok(());
        }
        let method = self
            .default_method(&subscription.customer, Some(&subscription.id))
            .and_then(|id| self.payment_methods.get(&id));
        match method.map(|method| foresee(method, Presence::OffSession, false)) {
            Some(Attempt::Succeeded | Attempt::Held | Attempt::Underway) => Ok(()),
            Some(Attempt::Declined(decline)) => {
                Err(ApiError::card(decline.code, decline.decline_code, decline.message))
            }
            Some(Attempt::RequiresAction) => Err(ApiError::card(
                "subscription_payment_intent_requires_action",
                None,
                "Payment for this subscription requires additional user action before it can be completed successfully. No money moved.",
            )),
            None => Err(ApiError::card(
                "card_declined",
                None,
                "There is no payment method to charge. No money moved.",
            )),
        }
    }
}
