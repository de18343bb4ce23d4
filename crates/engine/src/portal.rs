//! The provider's portal, where customers change card and plan and cancel.

use quittance_domain::CustomerId;

use crate::checkout::check_url;
use crate::commands::request::{PortalStart, Request};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::settings::Settings;

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
        let return_url = way_back(return_url, self.settings());
        check_url("return_url", &return_url)?;
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

/// Where the portal leads back to: what the caller says, else the app, else our own page.
fn way_back(wanted: Option<&str>, settings: &Settings) -> String {
    let ours = || format!("{}/billing", settings.public_url);
    wanted.or(settings.app_url.as_deref()).map_or_else(ours, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portal_leads_back_to_the_app() {
        let bare = Settings::default();
        let with_app = Settings { app_url: Some("https://app.example".into()), ..Settings::default() };
        assert_eq!(way_back(None, &bare), "http://127.0.0.1:4242/billing");
        assert_eq!(way_back(None, &with_app), "https://app.example");
        assert_eq!(way_back(Some("https://a.example/x"), &with_app), "https://a.example/x");
    }
}
