//! The provider's portal, where customers change card and plan and cancel.

use quittance_domain::CustomerId;

use crate::commands::request::{PortalStart, Request};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

impl Engine {
    /// Opens the portal for a customer and returns its address, which lives a few minutes.
    ///
    /// # Errors
    /// `no_provider_customer` for one who never came to a checkout, `not_found` for a subscription of somebody else.
    pub async fn open_portal(
        &self,
        customer: &CustomerId,
        return_url: Option<&str>,
        start: PortalStart,
    ) -> Result<String, Problem> {
        let Some(provider_customer) = self.known_provider_customer(customer).await? else {
            return Err(Problem::new(
                ProblemCode::NoProviderCustomer,
                "This customer has nothing at the provider yet.",
                "Open a checkout first: POST /v1/checkouts.",
            ));
        };
        match &start {
            PortalStart::Home | PortalStart::PaymentMethod => {}
            PortalStart::Cancel(subscription) | PortalStart::Change(subscription) => {
                let row = self.subscription(subscription).await?;
                if row.subscription.customer.as_ref() != Some(customer) {
                    return Err(Problem::not_found("subscription"));
                }
            }
        }
        let return_url = return_url.map_or_else(
            || format!("{}/billing?customer={customer}", self.settings().public_url),
            str::to_owned,
        );
        if !(return_url.starts_with("https://") || return_url.starts_with("http://"))
            || return_url.len() > 2_000
        {
            return Err(Problem::invalid(
                "`return_url` must be an http or https address of at most 2,000 bytes.",
            ));
        }
        let minute = self.now().ms().div_euclid(60_000);
        let request = Request::CreatePortal { provider_customer, return_url, start, minute };
        let command = self.want(&request, None, Some(customer)).await?;
        let answer = self.perform(&command).await?;
        answer.get("url").and_then(serde_json::Value::as_str).map(str::to_owned).ok_or_else(|| {
            Problem::new(
                ProblemCode::Internal,
                "The provider's portal has no address.",
                "See the server's log.",
            )
        })
    }
}
