//! The lines of invoices: full periods, and the two sides of a proration.

use crate::model::invoice::Line;
use crate::model::product::{Interval, Price, Recurring};
use crate::model::subscription::{Period, Subscription, SubscriptionItem};
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

/// A proration of one item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Seconds of the period that are counted, out of its length.
    pub(crate) part: i64,
    pub(crate) whole: i64,
    /// 1 for what will be used, -1 for what was paid and is not used.
    pub(crate) sign: i64,
    pub(crate) at: i64,
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
        let amount = if free { 0 } else { price.amount(of.item.quantity, "items").ok()? };
        Some(self.line(of, &price, amount, description, false))
    }

    /// One side of a proration.
    pub(crate) fn proration_line(&mut self, of: &LineOf<'_>, part: Part) -> Option<Line> {
        let price = self.prices.get(&of.item.price)?.clone();
        let full = price.amount(of.item.quantity, "items").ok()?;
        let amount = round_fraction(full, part.part, part.whole) * part.sign;
        let what = if part.sign < 0 { "Unused" } else { "Remaining" };
        let quantity =
            if of.item.quantity == 1 { String::new() } else { format!("{} × ", of.item.quantity) };
        let description =
            format!("{what} time on {quantity}{} after {}", self.product_name(&price), day(part.at));
        Some(self.line(of, &price, amount, description, true))
    }

    fn line(
        &mut self,
        of: &LineOf<'_>,
        price: &Price,
        amount: i64,
        description: String,
        proration: bool,
    ) -> Line {
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
        }
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
