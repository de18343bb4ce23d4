//! Explaining: why the answer is yes or no, from the events to the entitlement; and the timeline.

use quittance_domain::Timestamp;
use quittance_domain::access::Standing;
use quittance_domain::entitlement::{Holding, Source};
use quittance_store::history::{self, HistoryRow};
use quittance_store::mirror::{self, SubscriptionRow};
use quittance_store::outbox::{self, AlertRow};

use crate::engine::Engine;
use crate::entitlements::{Answer, answer};
use crate::problem::Problem;

/// Lines of history that an explanation shows for each source.
const LINES: usize = 8;

/// One thing that the customer holds, as far as the feature is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it comes from.
    pub source: Source,
    /// The plan.
    pub plan: Option<String>,
    /// Whether the plan has the feature.
    pub has_feature: bool,
    /// What it does to access.
    pub standing: Standing,
    /// The rule that made it so, in words.
    pub because: String,
    /// What led there, newest first.
    pub history: Vec<HistoryRow>,
}

/// Why the answer is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The answer.
    pub answer: Answer,
    /// Whether we know the customer.
    pub known_customer: bool,
    /// Whether the catalog has the feature.
    pub known_feature: bool,
    /// Everything the customer holds.
    pub links: Vec<Link>,
    /// Open alerts about the customer.
    pub alerts: Vec<AlertRow>,
}

impl Engine {
    /// Why may, or may not, this customer use this feature?
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn explain(&self, customer: &str, feature: &str) -> Result<Explanation, Problem> {
        // From the database, not from memory: an explanation shows what is stored.
        let held = self.reload(customer).await?;
        let id = customer.to_owned();
        let (subscriptions, lines, alerts) = self
            .db()
            .read("explain", move |tx| {
                Ok((
                    mirror::subscriptions_of_customer(tx, &id)?,
                    history::of_customer(tx, &id, i64::MAX, 200)?,
                    outbox::alerts(tx, false, i64::MAX, 500)?,
                ))
            })
            .await?;
        let now = self.now();
        let holdings = held.as_ref().map_or(&[][..], |h| &h.holdings);
        let links = holdings
            .iter()
            .map(|holding| Link {
                source: holding.source.clone(),
                plan: holding.plan.as_ref().map(ToString::to_string),
                has_feature: holding.features.get(feature).is_some(),
                standing: holding.standing,
                because: because(holding, &subscriptions, now),
                history: lines
                    .iter()
                    .filter(|l| *l.object == *holding.source.id)
                    .take(LINES)
                    .cloned()
                    .collect(),
            })
            .collect();
        Ok(Explanation {
            answer: answer(holdings, feature, now),
            known_customer: held.is_some(),
            known_feature: self.catalog().features().iter().any(|f| f.key.as_str() == feature),
            links,
            alerts: alerts.into_iter().filter(|a| a.customer.as_deref() == Some(customer)).collect(),
        })
    }

    /// A customer's timeline before `cursor` (exclusive), newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn timeline(
        &self,
        customer: &str,
        cursor: i64,
        limit: i64,
    ) -> Result<Vec<HistoryRow>, Problem> {
        let id = customer.to_owned();
        Ok(self.db().read("timeline", move |tx| history::of_customer(tx, &id, cursor, limit)).await?)
    }
}

fn because(holding: &Holding, subscriptions: &[SubscriptionRow], now: Timestamp) -> String {
    let status = subscriptions
        .iter()
        .find(|row| *row.subscription.facts.id == *holding.source.id)
        .map(|row| row.subscription.facts.status.as_str().to_owned());
    let status = status.map_or_else(String::new, |s| format!("the provider says {s}; "));
    let effect = match holding.standing {
        Standing::Pending => "access waits for the first payment".to_owned(),
        Standing::Revoked => "there is no access".to_owned(),
        Standing::Granted { until: None } => "access has no end".to_owned(),
        Standing::Granted { until: Some(until) } if now < until => {
            format!("access lasts until {until} unless it is renewed before")
        }
        Standing::Granted { until: Some(until) } => format!("access ended at {until}"),
        Standing::Grace { since, until } if now < until => {
            format!("a payment has failed since {since}; access lasts until {until}")
        }
        Standing::Grace { since, until } => {
            format!("a payment has failed since {since}; grace ended at {until}")
        }
    };
    format!("{status}{effect}")
}
