//! Discounts: who may have one, when it ends, and how it is spread over lines.
//!
//! A discount of a line comes before those of the invoice; each takes its share of what the former ones left. The lines
//! that the tiers of one item make are one line for its discounts. An
//! invoice's discount is worked out on the sum of the lines that it is for and spread over them in proportion, so that
//! the shares add up to it exactly: each is rounded down, and the units left over go to the largest fractions.

use super::calendar::boundary;
use crate::model::coupon::{Coupon, Discount, Duration, PromotionCode, Reduction};
use crate::model::customer::Customer;
use crate::model::invoice::{Invoice, InvoiceStatus, Line};
use crate::model::product::{Interval, Recurring};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

/// Where a discount would hold: what the rules of coupons and codes look at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    pub(crate) customer: Option<&'a str>,
    pub(crate) currency: Option<&'a str>,
    /// What is bought before discounts, in minor units, where that is known.
    pub(crate) subtotal: Option<i64>,
}

/// What a discount is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer<'a> {
    Subscription(&'a str),
    Item {
        subscription: &'a str,
        item: &'a str,
    },
    Invoice(&'a str),
    InvoiceItem(&'a str),
    /// A customer; whoever binds it tells.
    Customer,
    Session,
}

/// Shares of a total in proportion to the weights; they add up to it. Nothing when there is no weight.
pub(crate) fn spread(total: i64, weights: &[i64]) -> Vec<i64> {
    let whole: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if whole <= 0 {
        return vec![0; weights.len()];
    }
    let product = |weight: &i64| i128::from(total) * i128::from(*weight);
    let mut shares: Vec<i64> =
        weights.iter().map(|weight| i64::try_from(product(weight) / whole).unwrap_or_default()).collect();
    let left = total - shares.iter().sum::<i64>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(weights.get(*place).map(|weight| product(weight) % whole)));
    for place in order.into_iter().take(usize::try_from(left).unwrap_or_default()) {
        if let Some(share) = shares.get_mut(place) {
            *share += 1;
        }
    }
    shares
}

/// Takes a discount off the lines that it is for.
fn take_off(lines: &mut [Line], id: &str, reduction: Reduction, is_for: impl Fn(&Line) -> bool) {
    let fits = |line: &Line| !line.terms.settled && line.net() > 0 && is_for(line);
    let weights: Vec<i64> = lines.iter().map(|line| if fits(line) { line.net() } else { 0 }).collect();
    let sum: i64 = weights.iter().sum();
    let total = match reduction {
        Reduction::Percent(percent) => percent.of(sum),
        Reduction::Amount(amount) => amount.min(sum),
    };
    for (line, share) in lines.iter_mut().zip(spread(total, &weights)) {
        if share > 0 {
            line.terms.discount_amounts.push((id.to_owned(), share));
        }
    }
}

impl World {
    /// Works out what each discount takes off each line.
    pub(crate) fn discount_lines(&self, lines: &mut [Line], discounts: &[String], currency: &str) {
        let found = |id: &String| {
            let coupon = self.discounts.get(id).and_then(|discount| self.coupons.get(&discount.coupon))?;
            Some((id.clone(), coupon.off.in_currency(currency)?, coupon.products.clone()))
        };
        let is_for = |products: &[String], line: &Line| {
            products.is_empty() || line.product.as_ref().is_some_and(|product| products.contains(product))
        };
        for line in lines.iter_mut() {
            line.terms.discount_amounts.clear();
        }
        let mut firsts: Vec<Line> = Vec::new();
        for line in lines.iter().filter(|line| !line.terms.discounts.is_empty()) {
            if !firsts.iter().any(|first| first.is_sold_with(line)) {
                firsts.push(line.clone());
            }
        }
        for first in firsts {
            for (id, reduction, products) in first.terms.discounts.iter().filter_map(found) {
                take_off(lines, &id, reduction, |line| first.is_sold_with(line) && is_for(&products, line));
            }
        }
        for (id, reduction, products) in discounts.iter().filter_map(found) {
            take_off(lines, &id, reduction, |line| is_for(&products, line));
        }
    }

    /// Those of some discounts that an invoice made at an instant gets.
    pub(crate) fn holding(&self, discounts: &[String], at: i64) -> Vec<String> {
        let holds = |id: &&String| self.discounts.get(id).is_some_and(|discount| discount.holds_at(at));
        discounts.iter().filter(holds).cloned().collect()
    }

    /// Those that go on: a discount for one invoice is not in a proration, because it waits for a whole line.
    pub(crate) fn lasting(&self, discounts: &[String], at: i64) -> Vec<String> {
        let lasts = |id: &String| {
            let coupon = self.discounts.get(id).and_then(|discount| self.coupons.get(&discount.coupon));
            coupon.is_some_and(|coupon| coupon.duration != Duration::Once)
        };
        self.holding(discounts, at).into_iter().filter(lasts).collect()
    }

    /// Supposes a discount from a coupon, after the rules for it were looked at. Answers its id.
    pub(crate) fn suppose_coupon(
        &mut self,
        coupon: &str,
        place: Place<'_>,
        param: &str,
    ) -> ApiResult<String> {
        let coupon = need(&self.coupons, coupon, param)?;
        if coupon.deleted {
            return Err(ApiError::missing("coupon", &coupon.id, param));
        }
        self.check_coupon(&coupon, place, param)?;
        Ok(self.suppose(&coupon, None))
    }

    /// Supposes a discount from a promotion code. Answers its id.
    pub(crate) fn suppose_code(&mut self, code: &str, place: Place<'_>, param: &str) -> ApiResult<String> {
        let code = need(&self.promotion_codes, code, param)?;
        let coupon = need(&self.coupons, &code.coupon, param)?;
        self.check_code(&code, place, param)?;
        self.check_coupon(&coupon, place, param)?;
        Ok(self.suppose(&coupon, Some(code.id)))
    }

    /// Looks again whether a supposed discount may be given: something may have happened since.
    pub(crate) fn check_supposed(&self, discount: &str, place: Place<'_>) -> ApiResult<()> {
        let discount = need(&self.discounts, discount, "discounts")?;
        if let Some(code) = &discount.promotion_code {
            self.check_code(&need(&self.promotion_codes, code, "discounts")?, place, "discounts")?;
        }
        self.check_coupon(&need(&self.coupons, &discount.coupon, "discounts")?, place, "discounts")
    }

    fn suppose(&mut self, coupon: &Coupon, code: Option<String>) -> String {
        let id = self.chance.id("di_");
        let discount = Discount {
            id: id.clone(),
            coupon: coupon.id.clone(),
            promotion_code: code,
            start: self.now,
            end: self.end_of(coupon),
            ..Discount::default()
        };
        self.discounts.put(discount);
        id
    }

    /// When a repeating discount that begins now ends.
    fn end_of(&self, coupon: &Coupon) -> Option<i64> {
        let monthly = Recurring { interval: Interval::Month, count: 1, trial_days: None };
        coupon.months.map(|months| boundary(self.now, monthly, months))
    }

    fn check_coupon(&self, coupon: &Coupon, place: Place<'_>, param: &str) -> ApiResult<()> {
        if !coupon.is_valid(self.now) {
            let message = format!("Coupon expired: {}. No money moved.", coupon.id);
            return Err(ApiError::invalid("coupon_expired", param, message));
        }
        match place.currency {
            Some(currency) if coupon.off.in_currency(currency).is_none() => {
                let message = format!("The coupon {} is for other currencies than {currency}.", coupon.id);
                Err(ApiError::rule(message).param(param))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_code(&self, code: &PromotionCode, place: Place<'_>, param: &str) -> ApiResult<()> {
        let refuse = |why: String| Err(ApiError::rule(why).param(param));
        if !code.is_open(self.now) {
            return refuse(format!("The promotion code {} is no longer active. No money moved.", code.code));
        }
        let customer = place.customer.and_then(|id| self.customers.get(id));
        if code.customer.is_some() && code.customer.as_deref() != place.customer {
            return refuse(format!("The promotion code {} is for another customer.", code.code));
        }
        if code.first_time && customer.is_some_and(|customer| self.has_bought(customer)) {
            return refuse(format!(
                "The promotion code {} is for customers who have bought nothing yet.",
                code.code
            ));
        }
        let least = place.currency.and_then(|currency| code.minimum.get(currency));
        match (least, place.subtotal, place.currency) {
            (Some(least), Some(subtotal), _) if subtotal < *least => refuse(format!(
                "The promotion code {} needs a purchase of at least {least}; this one is {subtotal}.",
                code.code
            )),
            (None, Some(_), Some(currency)) if !code.minimum.is_empty() => {
                refuse(format!("The promotion code {} has no minimum in {currency}.", code.code))
            }
            _ => Ok(()),
        }
    }

    fn has_bought(&self, customer: &Customer) -> bool {
        let finalized = |invoice: &Invoice| match invoice.status {
            InvoiceStatus::Open | InvoiceStatus::Paid | InvoiceStatus::Uncollectible => true,
            InvoiceStatus::Draft | InvoiceStatus::Void => false,
        };
        self.charges.of(&customer.id).any(|charge| charge.taken() > 0)
            || self.invoices.of(&customer.id).any(finalized)
    }

    /// Binds a supposed discount: now it counts as redeemed. Nothing happens to one that is bound already.
    pub(crate) fn bind_discount(&mut self, id: &str, customer: Option<&str>, bearer: Bearer<'_>) {
        let Some(mut discount) = self.discounts.get(id).filter(|discount| !discount.bound).cloned() else {
            return;
        };
        discount.bound = true;
        discount.start = self.now;
        discount.customer = customer.map(str::to_owned);
        match bearer {
            Bearer::Subscription(subscription) => discount.subscription = Some(subscription.to_owned()),
            Bearer::Item { subscription, item } => {
                discount.subscription = Some(subscription.to_owned());
                discount.subscription_item = Some(item.to_owned());
            }
            Bearer::Invoice(invoice) => discount.invoice = Some(invoice.to_owned()),
            Bearer::InvoiceItem(item) => discount.invoice_item = Some(item.to_owned()),
            Bearer::Customer | Bearer::Session => {}
        }
        if let Some(mut coupon) = self.coupons.get(&discount.coupon).cloned() {
            discount.end = self.end_of(&coupon);
            coupon.times_redeemed += 1;
            self.coupons.put(coupon);
        }
        if let Some(code) = &discount.promotion_code {
            self.promotion_codes.edit(code, |code| code.times_redeemed += 1);
        }
        let (object, tells) = (discount.render(), discount.subscription.is_some());
        self.discounts.put(discount);
        if tells {
            self.emit("customer.discount.created", object);
        }
    }

    /// Ends a discount; whoever bore it must let go of it.
    pub(crate) fn end_discount(&mut self, id: &str) {
        let Some(mut discount) = self.discounts.get(id).filter(|discount| !discount.over).cloned() else {
            return;
        };
        discount.over = true;
        let tells = discount.invoice.is_none() && discount.invoice_item.is_none();
        let object = discount.render();
        self.discounts.put(discount);
        if tells {
            self.emit("customer.discount.deleted", object);
        }
    }

    /// Binds the discounts that a subscription has now, and ends those that it had and has no more.
    pub(crate) fn settle_discounts(&mut self, id: &str, had: &[String]) {
        let Some(subscription) = self.subscriptions.get(id).cloned() else { return };
        let customer = Some(subscription.customer.as_str());
        for discount in &subscription.terms.discounts {
            self.bind_discount(discount, customer, Bearer::Subscription(id));
        }
        for item in &subscription.items {
            for discount in &item.terms.discounts {
                self.bind_discount(discount, customer, Bearer::Item { subscription: id, item: &item.id });
            }
        }
        let has = subscription.all_discounts();
        for gone in had.iter().filter(|discount| !has.contains(discount)) {
            self.end_discount(gone);
        }
    }

    /// After an invoice of a subscription was made: the discounts that were for one invoice only, and those whose time
    /// is over, leave the subscription.
    pub(crate) fn use_up_discounts(&mut self, invoice: &Invoice) {
        let Some(subscription) =
            invoice.subscription.as_ref().and_then(|id| self.subscriptions.get(id)).cloned()
        else {
            return;
        };
        let is_over = |id: &&String| {
            let Some(discount) = self.discounts.get(id) else { return true };
            let once =
                self.coupons.get(&discount.coupon).is_none_or(|coupon| coupon.duration == Duration::Once);
            !discount.holds_at(self.now) || (once && invoice.applied(id))
        };
        let over: Vec<String> = subscription.all_discounts().iter().filter(is_over).cloned().collect();
        if over.is_empty() {
            return;
        }
        self.subscriptions.edit(&subscription.id, |subscription| {
            subscription.terms.discounts.retain(|id| !over.contains(id));
            for item in &mut subscription.items {
                item.terms.discounts.retain(|id| !over.contains(id));
            }
        });
        for id in over {
            self.end_discount(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::spread;

    #[test]
    fn the_units_left_over_go_to_the_largest_fractions() {
        assert_eq!(spread(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(spread(100, &[300, 0, 700]), [30, 0, 70]);
        assert_eq!(spread(5, &[0, 0]), [0, 0]);
        assert_eq!(spread(2, &[1, 5]), [0, 2]);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_never_exceed_their_weight(weights in proptest::collection::vec(0_i64..100_000, 1..8), part in 0_i64..101) {
            let whole: i64 = weights.iter().sum();
            let total = whole * part / 100;
            let shares = spread(total, &weights);
            prop_assert_eq!(shares.iter().sum::<i64>(), total);
            prop_assert!(shares.iter().zip(&weights).all(|(share, weight)| (0..=*weight).contains(share)));
        }
    }
}
