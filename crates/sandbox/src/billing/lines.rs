//! The lines of invoices: full periods, and the two sides of a proration.

use crate::model::invoice::Line;
use crate::model::product::{Interval, Price, Recurring};
use crate::model::subscription::{Period, Subscription, SubscriptionItem};
use crate::model::terms::LineTerms;
use crate::pages::{Locale, Money, format_money};
use crate::payments::balance::round_fraction;
use crate::state::world::World;
use crate::wire::params::Metadata;

/// An amount with its symbol, as line descriptions write it: `¥1,980`, `$12.00`.
fn priced(amount: i64, currency: &str) -> String {
    format_money(Locale::En, &Money { amount, currency: currency.to_owned() })
}

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
pub(crate) struct LineOf<'a> {
    pub(crate) subscription: &'a Subscription,
    pub(crate) item: &'a SubscriptionItem,
    pub(crate) period: Period,
}

/// The share of a whole period that is billed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
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

    /// A full period of one item; free during a trial.
    pub(crate) fn period_line(&mut self, of: &LineOf<'_>, free: bool) -> Option<Line> {
        let price = self.prices.get(&of.item.price)?.clone();
        let name = self.product_name(&price);
        let description = if free {
            format!("Trial period for {name}")
        } else {
            let each = priced(price.unit_amount, &price.currency);
            format!(
                "{} × {name} (at {each} {})",
                of.item.quantity,
                price.recurring.map(every).unwrap_or_default()
            )
        };
        let amount = if free { 0 } else { self.full_price(of.item) };
        Some(self.line(of, &price, amount, description, false))
    }

    /// The charge for a part of a period of which the whole costs `full`.
    pub(crate) fn debit_line(&mut self, of: &LineOf<'_>, full: i64, part: Part) -> Option<Line> {
        let price = self.prices.get(&of.item.price)?.clone();
        let amount = round_fraction(full, part.part, part.whole);
        let description = self.proration_words("Remaining", of, &price);
        Some(self.line(of, &price, amount, description, true))
    }

    /// The credits for the items that go, each for what it was debited from an instant on.
    pub(crate) fn credit_lines(
        &mut self,
        subscription: &Subscription,
        at: i64,
        goes: impl Fn(&SubscriptionItem) -> bool,
    ) -> Vec<Line> {
        let period = Period { start: at, end: subscription.period.end };
        let mut lines = Vec::new();
        for item in subscription.items.iter().filter(|item| goes(item)) {
            let of = LineOf { subscription, item, period };
            let Some(price) = self.prices.get(&item.price).cloned() else { continue };
            let amount = -self.debited(subscription, item, at);
            let description = self.proration_words("Unused", &of, &price);
            lines.push(self.line(&of, &price, amount, description, true));
        }
        lines
    }

    fn proration_words(&self, what: &str, of: &LineOf<'_>, price: &Price) -> String {
        let quantity =
            if of.item.quantity == 1 { String::new() } else { format!("{} × ", of.item.quantity) };
        format!("{what} time on {quantity}{} after {}", self.product_name(price), day(of.period.start))
    }

    fn line(
        &mut self,
        of: &LineOf<'_>,
        price: &Price,
        amount: i64,
        description: String,
        proration: bool,
    ) -> Line {
        // A proration has its discounts in its amount.
        let terms = LineTerms {
            settled: proration,
            discounts: self.holding(&of.item.terms.discounts, of.period.start),
            tax_rates: of.item.terms.tax_rates.clone(),
            inclusive: price.includes_tax(),
            ..LineTerms::default()
        };
        Line {
            id: self.chance.id("il_"),
            amount,
            currency: price.currency.clone(),
            description,
            period: of.period,
            price: Some(price.id.clone()),
            product: Some(price.product.clone()),
            unit_amount: price.unit_amount,
            quantity: of.item.quantity,
            subscription: Some(of.subscription.id.clone()),
            subscription_item: Some(of.item.id.clone()),
            invoice_item: None,
            proration,
            metadata: Metadata::new(),
            terms,
        }
    }

    /// What a whole period of each item costs, lasting discounts taken off.
    pub(crate) fn whole_amounts(&mut self, subscription: &Subscription, at: i64) -> Vec<i64> {
        let lasting = self.lasting(&subscription.all_discounts(), at);
        if lasting.is_empty() {
            return subscription.items.iter().map(|item| self.full_price(item)).collect();
        }
        let mut lines = self.period_lines(subscription, Period { start: at, end: at }, false);
        for line in &mut lines {
            line.terms.discounts.retain(|discount| lasting.contains(discount));
        }
        let whole = self.lasting(&subscription.terms.discounts, at);
        self.discount_lines(&mut lines, &whole, &subscription.currency);
        lines.iter().map(Line::net).collect()
    }

    /// What a whole period of an item costs without discounts.
    pub(crate) fn full_price(&self, item: &SubscriptionItem) -> i64 {
        self.prices.get(&item.price).map_or(0, |price| price.unit_amount.saturating_mul(item.quantity))
    }

    /// The lines of all items for a period.
    pub(crate) fn period_lines(
        &mut self,
        subscription: &Subscription,
        period: Period,
        free: bool,
    ) -> Vec<Line> {
        subscription
            .items
            .iter()
            .filter_map(|item| self.period_line(&LineOf { subscription, item, period }, free))
            .collect()
    }

    /// How often the subscription recurs; all its items agree.
    pub(crate) fn recurring(&self, items: &[SubscriptionItem]) -> Option<Recurring> {
        items.iter().find_map(|item| self.prices.get(&item.price).and_then(|price| price.recurring))
    }
}
