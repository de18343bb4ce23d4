//! A card of the platform's customer, copied into the books of a connected account for a direct payment there.

use crate::model::customer::PaymentMethod;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

impl World {
    /// Copies a payment method of the platform into the open books; the copy's id. It belongs to no customer there.
    pub(crate) fn copy_method(&mut self, customer: Option<&str>, method: &str) -> ApiResult<String> {
        if self.connected().is_none() {
            let message = "A payment method is copied into a connected account: name that with the Stripe-Account header.";
            return Err(ApiError::rule(message).param("payment_method"));
        }
        let original = self.at_platform(|platform| {
            let method = platform.resolve_method(method, "payment_method")?;
            need(&platform.payment_methods, &method, "payment_method")
        });
        let original =
            original.unwrap_or_else(|| Err(ApiError::missing("PaymentMethod", method, "payment_method")))?;
        if original.customer.is_some() && original.customer.as_deref() != customer {
            let message = format!(
                "The payment method {} belongs to a customer: provide that customer with it.",
                original.id
            );
            return Err(ApiError::rule(message).param("customer"));
        }
        let id = self.chance.id("pm_");
        self.payment_methods.put(PaymentMethod {
            id: id.clone(),
            created: self.now,
            customer: None,
            metadata: Metadata::new(),
            ..original
        });
        Ok(id)
    }
}
