//! The provider's portal, where customers change card and plan and cancel.

use quittance_domain::change::When;
use quittance_domain::ids::PlanGroup;
use quittance_domain::shop::portal_mark;
use quittance_domain::subscription::SubscriptionFacts;
use quittance_domain::{Currency, CustomerId, Subscription};
use quittance_store::mirror;

use crate::checkout::check_url;
use crate::commands::request::{PortalStart, Request};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::settings::Settings;
use crate::subscriptions::{Change, check_charged};

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
        let offered = match &start {
            PortalStart::Home | PortalStart::PaymentMethod => self.offered(customer, None).await?,
            PortalStart::Cancel(subscription) => {
                self.own(customer, subscription).await?;
                self.offered(customer, None).await?
            }
            PortalStart::Change(subscription) | PortalStart::ChangeTo { subscription, .. } => {
                let own = self.own(customer, subscription).await?;
                let offered = self.offered(customer, Some(&own)).await?;
                if let Offered::Nothing(why) = &offered {
                    why.refuse_change(&own.facts)?;
                }
                offered
            }
        };
        let mark = portal_mark(offered.place());
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
        self.own(customer, subscription).await?;
        let change = Change {
            plan: plan.map(str::to_owned),
            interval: interval.map(str::to_owned),
            ..Change::default()
        };
        let (item, price, quantity) = self.change_target(subscription, &change).await?;
        Ok(PortalStart::ChangeTo { subscription: subscription.to_owned(), item, price, quantity })
    }

    /// A subscription that is this customer's.
    async fn own(&self, customer: &CustomerId, subscription: &str) -> Result<Subscription, Problem> {
        let row = self.subscription(subscription).await?;
        match row.subscription.customer.as_ref() == Some(customer) {
            true => Ok(row.subscription),
            false => Err(Problem::not_found("subscription")),
        }
    }

    /// What plans the portal may offer: beside `named`, or to the subscription that the customer has. The portal offers the
    /// same to all of a customer's subscriptions, at the list's price, whatever is owed or paused; so it is nothing where that
    /// would be wrong for one of them.
    async fn offered(&self, customer: &CustomerId, named: Option<&Subscription>) -> Result<Offered, Problem> {
        let id = customer.clone();
        let read = move |tx: &mut dyn quittance_store::Tx| mirror::subscriptions_of_customer(tx, id.as_str());
        let rows = self.db().read("portal.subscriptions", read).await?;
        let live: Vec<Subscription> =
            rows.into_iter().map(|row| row.subscription).filter(Subscription::is_live).collect();
        let Some((group, currency)) = named.or(live.first()).and_then(place) else {
            return Ok(Offered::Nothing(Withheld::NoPlan));
        };
        for subscription in &live {
            let facts = &subscription.facts;
            if let Err(why) = check_charged(&facts.id, When::Now, &facts.status, facts.ahead.pause.is_some())
            {
                return Ok(Offered::Nothing(Withheld::NotCharged(why)));
            }
        }
        if named.is_none() && live.iter().any(|other| place(other) != Some((group, currency))) {
            return Ok(Offered::Nothing(Withheld::SeveralPlaces));
        }
        for subscription in &live {
            if self.priced_for(subscription).await?.has_own_prices(self, group, currency) {
                return Ok(Offered::Nothing(Withheld::OwnPrices));
            }
        }
        Ok(Offered::Plans(group.clone(), currency))
    }
}

/// What plans a customer finds in the portal.
enum Offered {
    /// Those of a plan group, in one currency.
    Plans(PlanGroup, Currency),
    /// None; what else the portal does is there.
    Nothing(Withheld),
}

/// Why the portal offers no plans.
enum Withheld {
    /// There is no subscription with a plan of the catalog.
    NoPlan,
    /// A renewal is owed or collection is paused, and the portal would take a change all the same.
    NotCharged(Problem),
    /// What is offered to one subscription would be offered to one of another plan group or currency.
    SeveralPlaces,
    /// The portal knows the list's prices only.
    OwnPrices,
}

impl Offered {
    fn place(&self) -> Option<(&PlanGroup, Currency)> {
        match self {
            Self::Plans(group, currency) => Some((group, *currency)),
            Self::Nothing(_) => None,
        }
    }
}

impl Withheld {
    /// Refuses to lead to a change that the portal does not offer.
    fn refuse_change(&self, facts: &SubscriptionFacts) -> Result<(), Problem> {
        match self {
            Self::NotCharged(problem) => Err(problem.clone()),
            Self::OwnPrices => Err(Problem::new(
                ProblemCode::WrongState,
                format!("The subscription {} is sold at prices that the portal does not offer.", facts.id),
                "Change it here instead: POST /v1/subscriptions/{id}/change.",
            )),
            Self::NoPlan | Self::SeveralPlaces => Ok(()),
        }
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
