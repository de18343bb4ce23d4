//! The provider's portal, where customers change card and plan and cancel.

use quittance_domain::ids::PlanGroup;
use quittance_domain::shop::portal_mark;
use quittance_domain::{Currency, CustomerId, Subscription};
use quittance_store::mirror;

use crate::checkout::check_url;
use crate::commands::request::{PortalStart, Request};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::settings::Settings;
use crate::subscriptions::Change;

impl Engine {
    /// Opens the portal for a customer and returns its address, which lives a few minutes.
    ///
    /// # Errors
    /// `no_provider_customer` for one who never came to a checkout, `not_found` for a subscription of somebody else,
    /// `customer_suspended`.
    #[crate::boxed]
    pub async fn open_portal(
        &self,
        customer: &CustomerId,
        return_url: Option<&str>,
        start: PortalStart,
    ) -> Result<String, Problem> {
        self.refuse_suspended(Some(customer)).await?;
        let Some(provider_customer) = self.known_provider_customer(customer).await? else {
            return Err(Problem::new(
                ProblemCode::NoProviderCustomer,
                "This customer has nothing at the provider yet.",
                "Open a checkout first: POST /v1/checkouts.",
            ));
        };
        let shown = match &start {
            PortalStart::Home | PortalStart::PaymentMethod => self.shown_subscription(customer).await?,
            PortalStart::Cancel(subscription)
            | PortalStart::Change(subscription)
            | PortalStart::ChangeTo { subscription, .. } => {
                let row = self.subscription(subscription).await?;
                if row.subscription.customer.as_ref() != Some(customer) {
                    return Err(Problem::not_found("subscription"));
                }
                Some(row.subscription)
            }
        };
        let mark = portal_mark(shown.as_ref().and_then(place));
        let configuration = self.portal_configuration(&mark).await?;
        let return_url = way_back(return_url, self.settings());
        check_url("return_url", &return_url)?;
        let minute = self.now().ms().div_euclid(60_000);
        let request = Request::CreatePortal { provider_customer, return_url, start, minute, configuration };
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

impl Engine {
    /// The way to confirm one change of a subscription in the portal: to a plan of its own group, in its own currency.
    ///
    /// # Errors
    /// `unknown_price` for what is not sold like that, `wrong_state`, `not_found`.
    #[crate::boxed]
    pub async fn portal_change(
        &self,
        customer: &CustomerId,
        subscription: &str,
        plan: Option<&str>,
        interval: Option<&str>,
    ) -> Result<PortalStart, Problem> {
        let row = self.subscription(subscription).await?;
        if row.subscription.customer.as_ref() != Some(customer) {
            return Err(Problem::not_found("subscription"));
        }
        let change = Change {
            plan: plan.map(str::to_owned),
            interval: interval.map(str::to_owned),
            ..Change::default()
        };
        let (item, price, quantity) = self.change_target(subscription, &change).await?;
        Ok(PortalStart::ChangeTo { subscription: subscription.to_owned(), item, price, quantity })
    }

    /// The subscription that decides what a customer is offered: the newest that runs.
    async fn shown_subscription(&self, customer: &CustomerId) -> Result<Option<Subscription>, Problem> {
        let id = customer.clone();
        let read = move |tx: &mut dyn quittance_store::Tx| mirror::subscriptions_of_customer(tx, id.as_str());
        let rows = self.db().read("portal.subscriptions", read).await?;
        Ok(rows.into_iter().map(|row| row.subscription).find(Subscription::is_live))
    }
}

/// The plan group and currency of a subscription.
fn place(subscription: &Subscription) -> Option<(&PlanGroup, Currency)> {
    let of_item = || subscription.facts.items.iter().find_map(|item| item.unit_price.map(|p| p.currency));
    Some((&subscription.plan()?.group, subscription.facts.currency.or_else(of_item)?))
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
