//! The lines of invoices: full periods, and the two sides of a proration.

use super::amounts::{in_advance, priced};
use super::calendar::last_boundary;
use crate::model::decimal::Decimal;
use crate::model::invoice::{Line, Span};
use crate::model::pricing::Pricing;
use crate::model::product::{Interval, Price, Recurring};
use crate::model::subscription::{Period, Subscription, SubscriptionItem};
use crate::model::terms::LineTerms;
use crate::payments::balance::round_fraction;
use crate::state::world::World;
use crate::wire::params::Metadata;

fn day(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(
        |_| at.to_string(),
        |instant| instant.to_zoned(jiff::tz::TimeZone::UTC).strftime("%d %b %Y").to_string(),
    )
}

fn every(recurring: Recurring) -> String {
    let unit = match recurring.interval {
        Interval::Day => "day",
        Interval::Week => "week",
        Interval::Month => "month",
        Interval::Year => "year",
    };
    if recurring.count == 1 { format!("/ {unit}") } else { format!("every {} {unit}s", recurring.count) }
}

/// What one line is about.
#[derive(Clone, Copy)]
pub(crate) struct LineOf<'a> {
    pub(crate) subscription: &'a Subscription,
    pub(crate) item: &'a SubscriptionItem,
    pub(crate) period: Period,
}

/// What of an item a line is for, and what it comes to.
#[derive(Debug, Clone, Copy)]
struct Part {
    amount: i64,
    unit: Option<Decimal>,
    quantity: Decimal,
}

impl Part {
    /// The whole quantity on one line, whatever its amount.
    fn of(pricing: &Pricing, quantity: impl Into<Decimal>, amount: i64) -> Self {
        Self { amount, unit: pricing.unit(), quantity: quantity.into() }
    }
}

/// The share of a whole period that is billed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// Seconds of the period that are counted, out of its length.
    pub(crate) part: i64,
    pub(crate) whole: i64,
}

impl World {
    pub(crate) fn product_name(&self, price: &Price) -> String {
        self.products
            .get(&price.product)
            .map_or_else(|| price.product.clone(), |product| product.name.clone())
    }

    /// A quantity of one item, each part that is priced alike on a line of its own; free during a trial.
    pub(crate) fn quantity_lines(
        &mut self,
        of: &LineOf<'_>,
        quantity: impl Into<Decimal>,
        free: bool,
    ) -> Vec<Line> {
        let quantity = quantity.into();
        let Some(price) = self.prices.get(&of.item.price).cloned() else {
            return Vec::new();
        };
        let name = self.product_name(&price);
        let currency = &of.subscription.currency;
        let pricing = price.pricing_in(currency).unwrap_or(&price.pricing);
        if free {
            let part = Part::of(pricing, quantity, 0);
            return vec![self.line(of, &price, part, format!("Trial period for {name}"), false)];
        }
        let every = price.recurring.map(every).unwrap_or_default();
        let per = pricing.packages().map(|packages| format!("per {} ", packages.size)).unwrap_or_default();
        let pieces = pricing.pieces(quantity);
        pieces
            .into_iter()
            .map(|piece| {
                let tier = piece.tier.map(|tier| format!("Tier {tier} ")).unwrap_or_default();
                let each = priced(piece.unit, currency);
                let description = format!("{} × {name} ({tier}at {each} {per}{every})", piece.quantity);
                let part = Part { amount: piece.amount, unit: Some(piece.unit), quantity: piece.quantity };
                self.line(of, &price, part, description, false)
            })
            .collect()
    }

    /// An item that is billed in advance for a period that begins: the whole of it, or the part up to the planned end of
    /// its subscription. Published: a `cancel_at` "during a future period … will always cause a proration for that period".
    pub(crate) fn advance_lines(&mut self, of: &LineOf<'_>, free: bool) -> Vec<Line> {
        let part = of.subscription.part_of(of.period);
        if free || part == of.period {
            return self.quantity_lines(of, of.item.quantity, free);
        }
        let whole = self.full_interval(of.subscription, of.period);
        self.first_part(&LineOf { period: part, ..*of }, whole).into_iter().collect()
    }

    /// The charge for the part of an interval that an item begins with: nothing has taken its discounts off yet.
    pub(crate) fn first_part(&mut self, of: &LineOf<'_>, whole: i64) -> Option<Line> {
        let full = self.full_price(of.item, &of.subscription.currency);
        let share = Share { part: of.period.end - of.period.start, whole };
        let mut line = self.debit_line(of, full, share)?;
        line.terms.settled = false;
        Some(line)
    }

    /// The seconds of the whole interval that a period is, or is the end of.
    pub(crate) fn full_interval(&self, subscription: &Subscription, period: Period) -> i64 {
        let Period { start, end } = period;
        let full = self
            .recurring(&subscription.items)
            .map_or(start, |recurring| last_boundary(subscription.anchor, recurring, end - 1).min(start));
        end - full
    }

    /// The charge for a share of a period of which the whole costs `full`; none for a metered item, which is billed by
    /// what was used.
    pub(crate) fn debit_line(&mut self, of: &LineOf<'_>, full: i64, share: Share) -> Option<Line> {
        let amount = round_fraction(full, share.part, share.whole);
        self.proration_line(of, amount, "Remaining")
    }

    /// The credits for the items that go, each for what it was debited from an instant on.
    pub(crate) fn credit_lines(
        &mut self,
        subscription: &Subscription,
        at: i64,
        goes: impl Fn(&SubscriptionItem) -> bool,
    ) -> Vec<Line> {
        let period = Period { start: at, end: subscription.billed_until() };
        let mut lines = Vec::new();
        if period.start > period.end {
            return lines;
        }
        for item in subscription.items.iter().filter(|item| goes(item)) {
            let amount = -self.debited(subscription, item, at);
            lines.extend(self.proration_line(&LineOf { subscription, item, period }, amount, "Unused"));
        }
        lines
    }

    fn proration_line(&mut self, of: &LineOf<'_>, amount: i64, what: &str) -> Option<Line> {
        let price = self.prices.get(&of.item.price).filter(|price| !price.is_metered())?.clone();
        let pricing = price.pricing_in(&of.subscription.currency).unwrap_or(&price.pricing);
        let quantity =
            if of.item.quantity == 1 { String::new() } else { format!("{} × ", of.item.quantity) };
        let name = self.product_name(&price);
        let description = format!("{what} time on {quantity}{name} after {}", day(of.period.start));
        let part = Part::of(pricing, of.item.quantity, amount);
        Some(self.line(of, &price, part, description, true))
    }

    fn line(
        &mut self,
        of: &LineOf<'_>,
        price: &Price,
        part: Part,
        description: String,
        proration: bool,
    ) -> Line {
        // Usage is billed when its period is over.
        let billed = if price.is_metered() { of.period.end } else { of.period.start };
        // A proration has its discounts in its amount.
        let terms = LineTerms {
            settled: proration,
            discounts: self.holding(&of.item.terms.discounts, billed),
            tax_rates: of.item.terms.tax_rates.clone(),
            inclusive: price.includes_tax(&of.subscription.currency),
            ..LineTerms::default()
        };
        Line {
            id: self.chance.id("il_"),
            amount: part.amount,
            currency: of.subscription.currency.clone(),
            description,
            period: of.period,
            price: Some(price.id.clone()),
            product: Some(price.product.clone()),
            unit_amount: part.unit,
            quantity: part.quantity.truncated(),
            exact: part.quantity.whole().is_none().then_some(part.quantity),
            span: Span::default(),
            subscription: Some(of.subscription.id.clone()),
            subscription_item: Some(of.item.id.clone()),
            invoice_item: None,
            proration,
            metadata: Metadata::new(),
            terms,
        }
    }

    /// What a whole period of each item costs in advance, lasting discounts taken off.
    pub(crate) fn whole_amounts(&mut self, subscription: &Subscription, at: i64) -> Vec<i64> {
        let mut all = self.discounts_for(subscription, at);
        all.extend(subscription.items.iter().flat_map(|item| item.terms.discounts.clone()));
        let lasting = self.lasting(&all, at);
        if lasting.is_empty() {
            let price = |item| self.full_price(item, &subscription.currency);
            return subscription.items.iter().map(price).collect();
        }
        let mut lines = self.period_lines(subscription, Period { start: at, end: at }, false);
        for line in &mut lines {
            line.terms.discounts.retain(|discount| lasting.contains(discount));
        }
        let whole = self.lasting(&self.discounts_for(subscription, at), at);
        self.discount_lines(&mut lines, &whole, &subscription.currency);
        let of = |item: &SubscriptionItem| {
            let own = lines.iter().filter(|line| line.subscription_item.as_ref() == Some(&item.id));
            own.map(Line::net).sum()
        };
        subscription.items.iter().map(of).collect()
    }

    /// What a whole period of an item costs in advance without discounts; nothing where a meter says it.
    pub(crate) fn full_price(&self, item: &SubscriptionItem, currency: &str) -> i64 {
        self.prices.get(&item.price).map_or(0, |price| in_advance(price, currency, item.quantity))
    }

    /// The lines of all items for a period that begins; metered ones are billed when it ends.
    pub(crate) fn period_lines(
        &mut self,
        subscription: &Subscription,
        period: Period,
        free: bool,
    ) -> Vec<Line> {
        let items: Vec<_> = subscription.items.iter().filter(|item| !self.is_metered(item)).collect();
        items
            .into_iter()
            .flat_map(|item| self.advance_lines(&LineOf { subscription, item, period }, free))
            .collect()
    }

    /// How often the subscription recurs; all its items agree.
    pub(crate) fn recurring(&self, items: &[SubscriptionItem]) -> Option<Recurring> {
        items.iter().find_map(|item| self.prices.get(&item.price).and_then(|price| price.recurring))
    }
}
