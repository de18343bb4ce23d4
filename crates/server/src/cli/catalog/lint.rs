//! What can be said of a catalog without asking anybody: it can be sold, and yet something is probably not meant.

use quittance_domain::Catalog;
use quittance_domain::catalog::{Interval, Plan};
use quittance_domain::shop::Finding;

fn finding(about: String, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { about, what: what.into(), mend: mend.into() }
}

/// Everything that looks wrong.
pub(super) fn findings(catalog: &Catalog) -> Vec<Finding> {
    let mut all = Vec::new();
    if catalog.plans().is_empty() {
        all.push(finding("catalog".into(), "it has no plan", "Add a [[plan]]."));
    }
    for plan in catalog.plans() {
        of_plan(catalog, plan, &mut all);
    }
    for promotion in catalog.promotions() {
        let about = format!("promotion {}", promotion.key);
        if promotion.code.is_none() && promotion.public {
            all.push(finding(
                about.clone(),
                "it is public and has no code that buyers could type",
                "Add `code = \"…\"`, or remove `public = true`.",
            ));
        }
        let reaches = |plan: &&Plan| {
            let fits = promotion.plans.is_empty() || promotion.plans.contains(&plan.key);
            fits && plan.prices.iter().any(|price| promotion.reduction.off.of(price.amount).is_some())
        };
        if !catalog.plans().iter().any(|plan| !plan.free && reaches(&plan)) {
            all.push(finding(
                about,
                "none of its plans is sold in a currency that it takes something off",
                "Add the currency to `off`, or plans to `plans`.",
            ));
        }
    }
    for channel in catalog.channels() {
        let about = format!("channel {}", channel.key);
        if channel.reduction.is_none() && channel.prices.is_empty() {
            all.push(finding(about.clone(), "it changes no price", "Add `off` or `price`, or remove it."));
        }
        for (key, price) in &channel.prices {
            let listed =
                catalog.plan(key.as_str()).and_then(|p| p.price(price.interval, price.amount.currency));
            if listed.is_some_and(|listed| listed.amount.minor < price.amount.minor) {
                all.push(finding(
                    about.clone(),
                    format!("its price of `{key}`, {}, is above the list's", price.amount),
                    "Lower it, or remove it: the list's price holds then.",
                ));
            }
        }
    }
    all
}

fn of_plan(catalog: &Catalog, plan: &Plan, all: &mut Vec<Finding>) {
    let about = format!("plan {}", plan.key);
    if plan.name.ja.is_none() {
        all.push(finding(
            about.clone(),
            "its name has no Japanese",
            "Add `ja = \"…\"`; pages show the English until then.",
        ));
    }
    let recurs = plan.prices.iter().any(|price| price.interval != Interval::Once);
    if plan.trial_days > 0 && !recurs {
        all.push(finding(about.clone(), "a trial of what is bought once", "Remove `trial_days`."));
    }
    if plan.features.keys().next().is_none() {
        all.push(finding(
            about.clone(),
            "it gives no feature",
            "Add `features = { … }`, or `includes = \"…\"`.",
        ));
    }
    // Whoever pays in one currency can only change to plans that are sold in it.
    for other in catalog.plans().iter().filter(|other| other.group == plan.group && !other.free && !plan.free)
    {
        for price in &other.prices {
            let sold = plan.prices.iter().any(|own| own.amount.currency == price.amount.currency);
            let told =
                all.iter().any(|f| f.about == about && f.what.contains(&price.amount.currency.to_string()));
            if !sold && !told {
                all.push(finding(
                    about.clone(),
                    format!(
                        "it is not sold in {}, in which `{}` of its group is",
                        price.amount.currency, other.key
                    ),
                    "Add the price: customers stay in their currency when they change.",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEMO_CATALOG;

    #[test]
    fn the_demo_catalog_is_clean_and_mistakes_are_found() {
        assert_eq!(findings(&Catalog::parse(DEMO_CATALOG).unwrap()), []);
        let odd = format!(
            "{}\n[[promotion]]\nkey = \"p\"\nname = {{ en = \"P\" }}\noff = {{ amount = {{ eur = 1 }} }}\npublic = true\n\
             [[channel]]\nkey = \"c\"\nname = {{ en = \"C\" }}\n",
            DEMO_CATALOG
                .replace("    { interval = \"month\", currency = \"usd\", amount = 7500 },\n", "")
                .replace("    { interval = \"year\", currency = \"usd\", amount = 75000 },\n", "")
                .replace("name = { en = \"Pro\", ja = \"プロ\" }", "name = { en = \"Pro\" }")
        );
        let found: Vec<String> = findings(&Catalog::parse(&odd).unwrap())
            .into_iter()
            .map(|f| format!("{}: {}", f.about, f.what))
            .collect();
        assert_eq!(
            found,
            [
                "plan pro: its name has no Japanese",
                "plan studio: it is not sold in USD, in which `pro` of its group is",
                "promotion p: it is public and has no code that buyers could type",
                "promotion p: none of its plans is sold in a currency that it takes something off",
                "channel c: it changes no price",
            ]
        );
    }
}
