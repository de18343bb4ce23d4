//! Portal configurations of the shop: one for each plan group and currency, so that a customer is offered only what they
//! can change to, and one without plans for everybody else.

use serde::{Deserialize, Serialize};

use super::{Finding, Found, ShopPlan, Step};
use crate::catalog::{Catalog, Interval, Limit, Plan};
use crate::ids::PlanGroup;
use crate::money::Currency;

/// Most products that one configuration may offer.
const MOST_PRODUCTS: usize = 10;

/// How customers may cancel in the portal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelMode {
    /// With the period that is paid for.
    #[default]
    PeriodEnd,
    /// At once.
    Now,
    /// Not there.
    Off,
}

/// The operator's choices for the portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortalPolicy {
    /// How customers may cancel there.
    pub cancel: CancelMode,
    /// What they may choose from when asked why; empty does not ask.
    pub cancel_reasons: Vec<String>,
    /// Whether they may change plan and interval there.
    pub plan_change: bool,
    /// Whether they may change how many units they have, of plans that give something for each unit.
    pub quantity_change: bool,
    /// How a change is charged: `always_invoice`, `create_prorations` or `none`.
    pub proration: String,
    /// Changes that wait for the end of the period: `decreasing_item_amount`, `shortening_interval`. Not written here:
    /// it follows from when the API makes such changes, so that both ways have the same result.
    #[serde(skip)]
    pub at_period_end: Vec<String>,
    /// What they may change of themselves: `email`, `name`, `address`, `phone`. Empty by default: the truth is ours.
    pub customer_update: Vec<String>,
    /// Whether they see their invoices.
    pub invoice_history: bool,
    /// Whether they may change the payment method.
    pub payment_method_update: bool,
}

impl Default for PortalPolicy {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            cancel: CancelMode::PeriodEnd,
            cancel_reasons: words(&[
                "too_expensive",
                "missing_features",
                "switched_service",
                "unused",
                "customer_service",
                "too_complex",
                "low_quality",
                "other",
            ]),
            plan_change: true,
            quantity_change: true,
            proration: "always_invoice".to_owned(),
            at_period_end: words(&["decreasing_item_amount", "shortening_interval"]),
            customer_update: Vec::new(),
            invoice_history: true,
            payment_method_update: true,
        }
    }
}

/// What one configuration lets customers do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portal {
    /// Plan group and currency, or `none`.
    pub mark: String,
    /// What they may change of themselves.
    pub customer_update: Vec<String>,
    /// Whether they see their invoices.
    pub invoice_history: bool,
    /// Whether they may change the payment method.
    pub payment_method_update: bool,
    /// How they may cancel; `None` is not there.
    pub cancel: Option<PortalCancel>,
    /// How they may change; `None` is not there.
    pub update: Option<PortalUpdate>,
}

/// How customers cancel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalCancel {
    /// At once instead of with the period.
    pub at_once: bool,
    /// What they are asked to choose from; empty does not ask.
    pub reasons: Vec<String>,
}

/// How customers change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalUpdate {
    /// How it is charged.
    pub proration: String,
    /// Changes that wait for the end of the period, sorted.
    pub at_period_end: Vec<String>,
    /// A change in a trial leaves the trial as it is, as by our API.
    #[serde(default)]
    pub keeps_trial: bool,
    /// What is offered, sorted.
    pub products: Vec<PortalProduct>,
}

/// A product that customers may change to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortalProduct {
    /// The provider's product.
    pub product: String,
    /// Its prices, sorted.
    pub prices: Vec<String>,
    /// Whether they choose how many units.
    #[serde(default)]
    pub units: bool,
}

/// The mark of the configuration for a plan group and currency, or for neither.
#[must_use]
pub fn portal_mark(of: Option<(&PlanGroup, Currency)>) -> String {
    of.map_or_else(|| "none".to_owned(), |(group, currency)| format!("{group}/{}", currency.code()))
}

fn sorted(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    words.sort_unstable();
    words.dedup();
    words
}

fn bare(mark: String, policy: &PortalPolicy) -> Portal {
    Portal {
        mark,
        customer_update: sorted(&policy.customer_update),
        invoice_history: policy.invoice_history,
        payment_method_update: policy.payment_method_update,
        cancel: match policy.cancel {
            CancelMode::Off => None,
            CancelMode::PeriodEnd | CancelMode::Now => Some(PortalCancel {
                at_once: policy.cancel == CancelMode::Now,
                reasons: sorted(&policy.cancel_reasons),
            }),
        },
        update: None,
    }
}

/// Every configuration that the catalog wants.
fn wanted(catalog: &Catalog, policy: &PortalPolicy, found: &Found) -> Vec<Portal> {
    let mut all = vec![bare(portal_mark(None), policy)];
    let recurring = || {
        let plans = catalog.plans().iter();
        plans
            .flat_map(|plan| plan.prices.iter().map(move |price| (plan, price)))
            .filter(|(_, price)| price.interval != Interval::Once)
    };
    let mut places: Vec<(&PlanGroup, Currency)> =
        recurring().map(|(plan, price)| (&plan.group, price.amount.currency)).collect();
    places.sort();
    places.dedup();
    for (group, currency) in places {
        let mut products: Vec<PortalProduct> = Vec::new();
        for (plan, price) in recurring() {
            if plan.group != *group || price.amount.currency != currency {
                continue;
            }
            let (product, id) = (found.product_of(plan), price_name(found, price));
            let units = policy.quantity_change && counts_units(plan);
            match products.iter_mut().find(|known| known.product == product) {
                Some(known) => known.prices.push(id),
                None => products.push(PortalProduct { product, prices: vec![id], units }),
            }
        }
        for known in &mut products {
            known.prices.sort_unstable();
        }
        products.sort();
        let update = policy.plan_change.then(|| PortalUpdate {
            proration: policy.proration.clone(),
            at_period_end: sorted(&policy.at_period_end),
            keeps_trial: true,
            products,
        });
        all.push(Portal { update, ..bare(portal_mark(Some((group, currency))), policy) });
    }
    all
}

/// Whether a plan gives something for each unit.
fn counts_units(plan: &Plan) -> bool {
    plan.features.iter().any(|(_, limit)| match limit {
        Limit::PerUnit(_) => true,
        Limit::Unlimited | Limit::Fixed(_) => false,
    })
}

/// A price that is there and charges what the catalog says goes by its id; one that is still to be made by its key.
fn price_name(found: &Found, price: &crate::catalog::Price) -> String {
    match found.price(price).filter(|known| known.charges(price)) {
        Some(known) => known.id.clone(),
        None => format!("lookup:{}", price.lookup_key),
    }
}

pub(super) fn steps(catalog: &Catalog, policy: &PortalPolicy, found: &Found, out: &mut ShopPlan) {
    for portal in wanted(catalog, policy, found) {
        let count = portal.update.as_ref().map_or(0, |update| update.products.len());
        if count > MOST_PRODUCTS {
            out.findings.push(Finding {
                about: portal.mark,
                what: format!("{count} plans, and a portal configuration offers at most {MOST_PRODUCTS}"),
                mend: "Split the plan group, or set portal.plan_change = false and change plans through the API.".to_owned(),
            });
            continue;
        }
        match found.portals.iter().find(|known| known.portal.mark == portal.mark) {
            None => out.steps.push(Step::CreatePortal { portal }),
            Some(known) if known.portal != portal => {
                out.steps.push(Step::UpdatePortal { id: known.id.clone(), portal });
            }
            Some(_) => {}
        }
    }
}
