//! The lines of invoices: full periods, and the two sides of a proration.

use super::amounts::priced;
use crate::model::decimal::Decimal;
use crate::model::invoice::Line;
use crate::model::pricing::Pricing;
use crate::model::product::{Interval, Price, Recurring};
use crate::model::subscription::{Period, Subscription, SubscriptionItem};
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
    quantity: i64,
}

impl Part {
    /// The whole quantity on one line, whatever its amount.
    fn of(pricing: &Pricing, quantity: i64, amount: i64) -> Self {
        Self { amount, unit: pricing.unit(), quantity }
    }
}

/// The share of a period that a proration is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
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

    /// A quantity of one item, each part that is priced alike on a line of its own; free during a trial.
    pub(crate) fn quantity_lines(&mut self, of: &LineOf<'_>, quantity: i64, free: bool) -> Vec<Line> {
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

    /// One side of a proration; none of a metered item, which is billed by what was used.
    pub(crate) fn proration_line(&mut self, of: &LineOf<'_>, share: Share) -> Option<Line> {
        let price = self.prices.get(&of.item.price)?.clone();
        if price.is_metered() {
            return None;
        }
        let pricing = price.pricing_in(&of.subscription.currency).unwrap_or(&price.pricing);
        let full = pricing.total(of.item.quantity);
        let amount = round_fraction(full, share.part, share.whole) * share.sign;
        let what = if share.sign < 0 { "Unused" } else { "Remaining" };
        let quantity =
            if of.item.quantity == 1 { String::new() } else { format!("{} × ", of.item.quantity) };
        let description =
            format!("{what} time on {quantity}{} after {}", self.product_name(&price), day(share.at));
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
        Line {
            id: self.chance.id("il_"),
            amount: part.amount,
            currency: of.subscription.currency.clone(),
            description,
            period: of.period,
            price: Some(price.id.clone()),
            product: Some(price.product.clone()),
            unit_amount: part.unit,
            quantity: part.quantity,
            subscription: Some(of.subscription.id.clone()),
            subscription_item: Some(of.item.id.clone()),
            invoice_item: None,
            proration,
            metadata: Metadata::new(),
        }
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
            .flat_map(|item| self.quantity_lines(&LineOf { subscription, item, period }, item.quantity, free))
            .collect()
    }

    /// How often the subscription recurs; all its items agree.
    pub(crate) fn recurring(&self, items: &[SubscriptionItem]) -> Option<Recurring> {
        items.iter().find_map(|item| self.prices.get(&item.price).and_then(|price| price.recurring))
    }
}
