//! The discount of a customer: on every invoice that has none of its subscription.
//!
//! Only older versions of the API give one (`coupon` and `promotion_code` of a customer), and the official command line
//! still does; every version takes it away.

use super::discounts::Bearer;
use crate::model::coupon::Duration;
use crate::model::customer::Customer;
use crate::model::invoice::Invoice;
use crate::model::subscription::Subscription;
use crate::state::world::{World, need};
use crate::webhooks::emit::difference;
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// The discounts of an invoice of a subscription made at an instant: its own, else its customer's.
    pub(crate) fn discounts_for(&self, subscription: &Subscription, at: i64) -> Vec<String> {
        let own = self.holding(&subscription.terms.discounts, at);
        if own.is_empty() { self.discounts_of_customer(&subscription.customer, at) } else { own }
    }

    /// The discount of a customer, where one holds at an instant.
    pub(crate) fn discounts_of_customer(&self, customer: &str, at: i64) -> Vec<String> {
        let discount = self.customers.get(customer).and_then(|customer| customer.discount.as_ref());
        discount.map(|discount| self.holding(std::slice::from_ref(&discount.id), at)).unwrap_or_default()
    }

    /// Gives a customer, whom the caller holds and will put back, a supposed discount, in place of the one they have.
    /// The event is told at the mark.
    pub(crate) fn give_discount(&mut self, customer: &mut Customer, id: &str) {
        let former = customer.discount.take();
        self.bind_discount(id, Some(&customer.id), Bearer::Customer);
        let Some(discount) = self.discounts.get(id).cloned() else { return };
        let object = discount.render();
        customer.discount = Some(discount);
        match former {
            None => self.emit("customer.discount.created", object),
            Some(former) => {
                self.discounts.edit(&former.id, |former| former.over = true);
                let previous = difference(&former.render(), &object);
                let at = self.mark();
                self.emit_at(at, "customer.discount.updated", object, previous);
            }
        }
    }

    /// Takes a customer's discount away. Answers its id.
    pub(crate) fn take_discount(&mut self, customer: &str) -> ApiResult<String> {
        let mut customer = need(&self.customers, customer, "customer")?;
        let before = customer.render();
        let discount = customer.discount.take().ok_or_else(|| {
            ApiError::rule(format!("The customer {} has no discount that could be deleted.", customer.id))
        })?;
        let after = customer.render();
        self.customers.put(customer);
        self.end_discount(&discount.id);
        self.emit_change("customer.updated", &before, after);
        Ok(discount.id)
    }

    /// After an invoice was made: a customer's discount for one invoice, or one whose time is over, is gone.
    pub(crate) fn use_up_customers_discount(&mut self, invoice: &Invoice) {
        let customer = self.customers.get(&invoice.customer);
        let Some(discount) = customer.and_then(|customer| customer.discount.clone()) else { return };
        let applied = invoice.applied(&discount.id);
        let once = self.coupons.get(&discount.coupon).is_none_or(|coupon| coupon.duration == Duration::Once);
        if !discount.holds_at(self.now) || (once && applied) {
            // The customer has it, so taking it away cannot be refused.
            drop(self.take_discount(&invoice.customer));
        }
    }
}
