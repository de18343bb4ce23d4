//! The shop: what must be at the provider so that the catalog can be sold, and the steps that lead there.
//!
//! Level-triggered like everything else: what is wanted is compared with what was found, and only the difference is done.
//! So it can be stopped anywhere and begun again, and when nothing differs nothing is done. Refuses to know how a step is
//! carried out.

mod offers;
mod portal;
mod tax;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Interval, Plan, Price, TaxBehavior};
use crate::money::Money;
use crate::offer::Reduction;
use crate::time::Timestamp;

pub use portal::{CancelMode, Portal, PortalCancel, PortalPolicy, PortalProduct, PortalUpdate, portal_mark};

/// A product as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundProduct {
    /// Its id.
    pub id: String,
    /// What customers read.
    pub name: String,
    /// One line about it.
    pub description: Option<String>,
    /// Whether it is sold.
    pub active: bool,
    /// The plan that our mark on it names.
    pub plan: Option<String>,
}

/// A price as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPrice {
    /// Its id.
    pub id: String,
    /// Its product.
    pub product: Option<String>,
    /// Whether it can be bought.
    pub active: bool,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// Per unit in minor units, where it is that simple.
    pub amount: Option<i64>,
    /// `day`, `week`, `month` or `year` with how many of them; `None` is once.
    pub every: Option<(String, i64)>,
    /// Its lookup key.
    pub lookup_key: Option<String>,
    /// The plan that our mark on it names.
    pub plan: Option<String>,
    /// Whether it was negotiated with customers.
    pub own: bool,
    /// `inclusive`, `exclusive` or `unspecified`, where the provider says.
    pub tax: Option<String>,
}

/// A coupon as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCoupon {
    /// Its id.
    pub id: String,
    /// What people read.
    pub name: Option<String>,
}

/// A promotion code as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCode {
    /// Its id.
    pub id: String,
    /// What buyers type.
    pub code: String,
    /// Whether it can be redeemed.
    pub active: bool,
    /// The coupon's id.
    pub coupon: String,
    /// How often it was redeemed.
    pub redeemed: i64,
    /// The promotion that our mark on it names.
    pub promotion: Option<String>,
}

/// A portal configuration as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPortal {
    /// Its id.
    pub id: String,
    /// What it lets customers do, with our mark.
    pub portal: Portal,
}

/// Everything that was found at the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Products.
    pub products: Vec<FoundProduct>,
    /// Prices: those that the catalog names, and those that are sold of its products.
    pub prices: Vec<FoundPrice>,
    /// The coupons that the catalog derives, as far as they are there.
    pub coupons: Vec<FoundCoupon>,
    /// Promotion codes: those that the catalog names, and those that carry our mark.
    pub codes: Vec<FoundCode>,
    /// Active portal configurations with our mark.
    pub portals: Vec<FoundPortal>,
}

/// One thing to do at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// Make a plan's product.
    CreateProduct {
        /// Its id.
        product: String,
        /// The plan.
        plan: String,
        /// What customers read.
        name: String,
        /// One line about it.
        description: Option<String>,
    },
    /// Bring a plan's product in step: name, description, sold, mark.
    UpdateProduct {
        /// Its id.
        product: String,
        /// The plan.
        plan: String,
        /// What customers read.
        name: String,
        /// One line about it.
        description: Option<String>,
    },
    /// Make a price; it takes its lookup key over from the price that has it.
    CreatePrice {
        /// The product.
        product: String,
        /// The plan.
        plan: String,
        /// Its lookup key.
        lookup_key: String,
        /// How often it is charged.
        interval: Interval,
        /// Per unit.
        amount: Money,
        /// Whether tax is in it.
        tax: TaxBehavior,
        /// The price whose key it takes over.
        replaces: Option<String>,
    },
    /// Sell a price again, and mark it as the plan's.
    AdoptPrice {
        /// The price.
        price: String,
        /// The plan.
        plan: String,
        /// What is known of it.
        lookup_key: String,
    },
    /// Sell a price no longer. Whoever pays it goes on paying it.
    ArchivePrice {
        /// The price.
        price: String,
        /// The plan that it means.
        plan: String,
    },
    /// Sell the product of a plan that left the catalog no longer. Whoever holds it keeps it.
    RetireProduct {
        /// The product.
        product: String,
        /// The plan.
        plan: String,
        /// Subscriptions that hold it now.
        holders: i64,
    },
    /// Make a coupon.
    CreateCoupon {
        /// Its id.
        coupon: String,
        /// What people read.
        name: String,
        /// What it takes off.
        reduction: Reduction,
        /// The products that it is for; empty is all.
        products: Vec<String>,
        /// How many may use it.
        max_redemptions: Option<i64>,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Rename a coupon.
    RenameCoupon {
        /// Its id.
        coupon: String,
        /// What people read.
        name: String,
    },
    /// Make a promotion code.
    CreateCode {
        /// What buyers type.
        code: String,
        /// The coupon.
        coupon: String,
        /// The promotion.
        promotion: String,
        /// Whether it is for a first purchase.
        first_purchase: bool,
        /// How many may use it.
        max_redemptions: Option<i64>,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Switch a promotion code on or off.
    SwitchCode {
        /// Its id.
        id: String,
        /// What buyers type.
        code: String,
        /// Whether it can be redeemed from now on.
        active: bool,
    },
    /// Make a portal configuration. Prices without an id yet are named by `lookup:` and their key.
    CreatePortal {
        /// What it lets customers do.
        portal: Portal,
    },
    /// Bring a portal configuration in step.
    UpdatePortal {
        /// Its id.
        id: String,
        /// What it lets customers do.
        portal: Portal,
    },
}

/// Something that differs and that no step mends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is about.
    pub about: String,
    /// What was found.
    pub what: String,
    /// What mends it.
    pub mend: String,
}

/// What leads from what was found to what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShopPlan {
    /// In the order in which they must be done.
    pub steps: Vec<Step>,
    /// What a person must mend.
    pub findings: Vec<Finding>,
    /// What a person must decide about tax; it holds up no sale.
    pub tax: Vec<Finding>,
}

impl Step {
    /// What it does, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::CreateProduct { product, plan, .. } => format!("create product {product} for plan {plan}"),
            Self::UpdateProduct { product, plan, .. } => format!("update product {product} of plan {plan}"),
            Self::CreatePrice { lookup_key, amount, interval, replaces: None, .. } => {
                format!("create price {lookup_key}: {amount} per {}", interval.as_str())
            }
            Self::CreatePrice { lookup_key, amount, interval, replaces: Some(old), .. } => format!(
                "create price {lookup_key}: {amount} per {}, in place of {old} for new sales",
                interval.as_str()
            ),
            Self::AdoptPrice { price, plan, .. } => format!("sell price {price} and mark it as plan {plan}"),
            Self::ArchivePrice { price, plan } => {
                format!("archive price {price} of plan {plan}; whoever pays it goes on paying it")
            }
            Self::RetireProduct { product, plan, holders } => format!(
                "archive product {product}: plan {plan} left the catalog; its {holders} subscriptions keep plan and price"
            ),
            Self::CreateCoupon { coupon, reduction, .. } => {
                format!("create coupon {coupon}: {} off, {}", reduction.off, reduction.lasts)
            }
            Self::RenameCoupon { coupon, name } => format!("rename coupon {coupon} to {name}"),
            Self::CreateCode { code, coupon, .. } => {
                format!("create promotion code {code} for coupon {coupon}")
            }
            Self::SwitchCode { id, code, active: true } => format!("switch promotion code {code} ({id}) on"),
            Self::SwitchCode { id, code, active: false } => {
                format!("switch promotion code {code} ({id}) off")
            }
            Self::CreatePortal { portal } => format!("create portal configuration {}", portal.mark),
            Self::UpdatePortal { id, portal } => {
                format!("update portal configuration {} ({id})", portal.mark)
            }
        }
    }

    /// Why it is not done without being asked twice; `None` for what is harmless.
    #[must_use]
    pub fn danger(&self) -> Option<String> {
        match self {
            Self::RetireProduct { plan, holders, .. } if *holders > 0 => Some(format!(
                "plan {plan} left the catalog, and {holders} subscriptions hold it: nobody can buy it any more; they keep \
                 its features as they were and their price until they end"
            )),
            _ => None,
        }
    }
}

impl FoundPrice {
    fn charges(&self, price: &Price) -> bool {
        let every = (price.interval != Interval::Once).then(|| (price.interval.as_str(), 1));
        self.amount == Some(price.amount.minor)
            && self.currency == price.amount.currency.code()
            && self.every.as_ref().map(|(interval, count)| (interval.as_str(), *count)) == every
    }
}

impl Found {
    /// The price at the provider that a price of the catalog is.
    #[must_use]
    pub fn price(&self, price: &Price) -> Option<&FoundPrice> {
        match &price.stripe {
            Some(id) => self.prices.iter().find(|found| found.id == *id),
            None => self.prices.iter().find(|found| found.lookup_key.as_deref() == Some(&price.lookup_key)),
        }
    }

    /// The product of a plan: the one that the catalog names, that its prices are of, or that carries its mark; else the
    /// one to make.
    #[must_use]
    pub fn product_of(&self, plan: &Plan) -> String {
        let of_price = || plan.prices.iter().find_map(|price| self.price(price)?.product.clone());
        let marked = || {
            let found = self.products.iter().find(|found| found.plan.as_deref() == Some(plan.key.as_str()));
            found.map(|found| found.id.clone())
        };
        plan.product.clone().or_else(of_price).or_else(marked).unwrap_or_else(|| format!("prod_{}", plan.key))
    }
}

/// What leads from what was found to the catalog. `holders` are subscriptions by plan.
#[must_use]
pub fn plan_shop(
    catalog: &Catalog,
    policy: &PortalPolicy,
    holders: &[(String, i64)],
    found: &Found,
    now: Timestamp,
) -> ShopPlan {
    let mut out = ShopPlan::default();
    for plan in catalog.plans().iter().filter(|plan| !plan.free) {
        product_step(plan, found, &mut out);
    }
    for (plan, price) in catalog.prices() {
        price_step(plan, price, found, &mut out);
    }
    strays(catalog, holders, found, &mut out);
    offers::steps(catalog, found, now, &mut out);
    portal::steps(catalog, policy, found, &mut out);
    out.tax = tax::findings(catalog, found);
    out
}

fn product_step(plan: &Plan, found: &Found, out: &mut ShopPlan) {
    let product = found.product_of(plan);
    let description = plan.description.as_ref().map(|text| text.en.clone());
    let (name, key) = (plan.name.en.clone(), plan.key.to_string());
    match found.products.iter().find(|known| known.id == product) {
        None => out.steps.push(Step::CreateProduct { product, plan: key, name, description }),
        Some(known) => {
            if let Some(other) = known.plan.as_ref().filter(|other| **other != key) {
                out.findings.push(Finding {
                    about: product,
                    what: format!("it carries the mark of plan `{other}`, and its prices mean plan `{key}`"),
                    mend: "A product is of one plan: name another with `product = \"prod_…\"`, or remove its metadata `quittance_plan`.".to_owned(),
                });
            } else if known.name != name
                || known.description != description
                || !known.active
                || known.plan.is_none()
            {
                out.steps.push(Step::UpdateProduct { product, plan: key, name, description });
            }
        }
    }
}

fn price_step(plan: &Plan, price: &Price, found: &Found, out: &mut ShopPlan) {
    let create = |replaces| Step::CreatePrice {
        product: found.product_of(plan),
        plan: plan.key.to_string(),
        lookup_key: price.lookup_key.clone(),
        interval: price.interval,
        amount: price.amount,
        tax: plan.tax,
        replaces,
    };
    match (found.price(price), &price.stripe) {
        (None, Some(id)) => out.findings.push(Finding {
            about: id.clone(),
            what: format!("plan `{}` names this price, and the provider has none of that id", plan.key),
            mend: "Correct `stripe = \"…\"` in the catalog, or remove it: then `catalog push` makes the price.".to_owned(),
        }),
        (None, None) => out.steps.push(create(None)),
        (Some(known), Some(id)) if !known.charges(price) => out.findings.push(Finding {
            about: id.clone(),
            what: format!("it does not charge the {} per {} of the catalog", price.amount, price.interval.as_str()),
            mend: "Prices never change at the provider: name another one, or remove `stripe = \"…\"`; then `catalog push` makes it, and holders keep this one.".to_owned(),
        }),
        (Some(known), None) if !known.charges(price) => {
            out.steps.push(create(Some(known.id.clone())));
            if known.active {
                out.steps.push(Step::ArchivePrice { price: known.id.clone(), plan: plan.key.to_string() });
            }
        }
        (Some(known), _) if !known.active || known.plan.as_deref() != Some(plan.key.as_str()) => {
            if let Some(other) = known.plan.as_ref().filter(|other| **other != plan.key.as_str()) {
                out.findings.push(Finding {
                    about: known.id.clone(),
                    what: format!("it was sold as plan `{other}`, and the catalog says plan `{}`", plan.key),
                    mend: "A price means one plan for ever: give the plan a price with another lookup key.".to_owned(),
                });
            } else {
                out.steps.push(Step::AdoptPrice {
                    price: known.id.clone(),
                    plan: plan.key.to_string(),
                    lookup_key: price.lookup_key.clone(),
                });
            }
        }
        (Some(_), _) => {}
    }
}

/// What carries our mark and is not in the catalog any more.
fn strays(catalog: &Catalog, holders: &[(String, i64)], found: &Found, out: &mut ShopPlan) {
    let named: Vec<&str> =
        catalog.prices().filter_map(|(_, price)| found.price(price)).map(|known| known.id.as_str()).collect();
    for stray in found.prices.iter().filter(|price| price.active && !price.own) {
        if let Some(plan) = stray.plan.as_ref().filter(|_| !named.contains(&stray.id.as_str())) {
            out.steps.push(Step::ArchivePrice { price: stray.id.clone(), plan: plan.clone() });
        }
    }
    for product in found.products.iter().filter(|product| product.active) {
        let Some(plan) = product.plan.as_ref().filter(|plan| catalog.plan(plan).is_none()) else { continue };
        let count = holders.iter().find(|(of, _)| of == plan).map_or(0, |(_, count)| *count);
        out.steps.push(Step::RetireProduct {
            product: product.id.clone(),
            plan: plan.clone(),
            holders: count,
        });
    }
}

#[cfg(test)]
mod tests;
