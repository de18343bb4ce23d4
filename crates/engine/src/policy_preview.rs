//! What another access policy would do to customers, from the stored mirror, before it is switched on. Reads only.

use quittance_domain::access::AccessPolicy;
use quittance_domain::projection::{AccessDiffers, Stored, under};
use quittance_domain::{AggregateKey, AggregateObject};
use quittance_store::{customers, mirror};

use crate::engine::Engine;
use crate::problem::Problem;

/// Aggregates that are read at a time.
const PAGE: i64 = 200;
/// Prices that one customer's lines name at most, as far as their past meaning is asked for.
const MOST_PRICES: usize = 100;

/// A customer whose access another policy would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// Whose it is; `None` while nobody is linked.
    pub customer: Option<String>,
    /// Where it is mirrored.
    pub aggregate: String,
    /// What would change.
    pub differs: AccessDiffers,
}

/// What another policy would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyPreview {
    /// Customers of the provider that were looked at.
    pub looked_at: u64,
    /// Those whose access would change, as many as were asked for.
    pub affected: Vec<Affected>,
    /// How many subscriptions and purchases would give access that give none now.
    pub gain: u64,
    /// How many would give none any more.
    pub lose: u64,
    /// How many would change otherwise, for example from granted to grace.
    pub other: u64,
}

impl Engine {
    /// Who would gain or lose access if `policy` were in force, of all that is mirrored; at most `most` are named, all are
    /// counted. `on_page` is told how many were looked at.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn preview_policy(
        &self,
        policy: &AccessPolicy,
        most: usize,
        on_page: &(dyn Fn(u64) + Sync),
    ) -> Result<PolicyPreview, Problem> {
        let mut out = PolicyPreview::default();
        let mut after = String::new();
        loop {
            let page = self.stored_after(&after).await?;
            let Some((last, _)) = page.last() else { return Ok(out) };
            after.clone_from(last);
            for (aggregate, stored) in page {
                out.looked_at += 1;
                let now = self.now();
                for differs in under(policy, &self.settings().access, &stored, self.catalog(), now) {
                    match (differs.before.allows(), differs.after.allows()) {
                        (false, true) => out.gain += 1,
                        (true, false) => out.lose += 1,
                        (true, true) | (false, false) => out.other += 1,
                    }
                    if out.affected.len() < most {
                        let customer = stored.customer.as_ref().map(ToString::to_string);
                        out.affected.push(Affected { customer, aggregate: aggregate.clone(), differs });
                    }
                }
            }
            on_page(out.looked_at);
        }
    }

    async fn stored_after(&self, after: &str) -> Result<Vec<(String, Stored)>, Problem> {
        let (scope, after) = (self.scope().to_string(), after.to_owned());
        let page = self
            .db()
            .read("policy.page", move |tx| {
                let mut page = Vec::new();
                for key in mirror::aggregates_after(tx, &scope, &after, PAGE)? {
                    let customer = match AggregateKey::parse(&key).map(|key| key.object) {
                        Some(AggregateObject::Customer(id)) => customers::linked(tx, &scope, &id)?,
                        Some(
                            AggregateObject::Checkout(_)
                            | AggregateObject::Payment(_)
                            | AggregateObject::Balance
                            | AggregateObject::Other(_),
                        )
                        | None => None,
                    };
                    let subscriptions = mirror::subscriptions_of_aggregate(tx, &key)?;
                    let mut known_prices = Vec::new();
                    let items = subscriptions.iter().flat_map(|s| &s.facts.items).take(MOST_PRICES);
                    for item in items {
                        known_prices.extend(quittance_store::catalogs::known(tx, &scope, &item.price)?);
                    }
                    let stored = Stored {
                        customer,
                        subscriptions,
                        purchases: mirror::purchases_of_aggregate(tx, &key)?,
                        payments: mirror::payments_of_aggregate(tx, &key)?,
                        known_prices,
                    };
                    page.push((key, stored));
                }
                Ok(page)
            })
            .await?;
        Ok(page)
    }
}
