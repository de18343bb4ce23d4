//! What must be at the provider, compared with what is there, as tables.

use super::*;
use crate::access::tests::T0;
use crate::catalog::tests::SMALL;

fn small() -> Catalog {
    Catalog::parse(SMALL).unwrap()
}

/// Does every step on what was found, as the provider would.
fn done(steps: Vec<Step>, mut found: Found) -> Found {
    for step in steps {
        match step {
            Step::CreateProduct { product, plan, name, description } => found.products.push(FoundProduct {
                id: product,
                name,
                description,
                active: true,
                plan: Some(plan),
            }),
            Step::UpdateProduct { product, plan, name, description } => {
                let known = found.products.iter_mut().find(|p| p.id == product).unwrap();
                *known = FoundProduct { id: product, name, description, active: true, plan: Some(plan) };
            }
            Step::CreatePrice { product, plan, lookup_key, interval, amount, replaces, tax } => {
                for old in &mut found.prices {
                    if Some(&old.id) == replaces.as_ref() {
                        old.lookup_key = None;
                    }
                }
                found.prices.push(FoundPrice {
                    id: format!("price_{}_{}", lookup_key, amount.minor),
                    product: Some(product),
                    active: true,
                    currency: amount.currency.code().into(),
                    amount: Some(amount.minor),
                    every: (interval != Interval::Once).then(|| (interval.as_str().into(), 1)),
                    lookup_key: Some(lookup_key),
                    plan: Some(plan),
                    own: false,
                    tax: Some(tax.as_str().into()),
                });
            }
            Step::AdoptPrice { price, plan, .. } => {
                let known = found.prices.iter_mut().find(|p| p.id == price).unwrap();
                known.active = true;
                known.plan = Some(plan);
            }
            Step::ArchivePrice { price, .. } => {
                found.prices.iter_mut().find(|p| p.id == price).unwrap().active = false;
            }
            Step::RetireProduct { product, .. } => {
                found.products.iter_mut().find(|p| p.id == product).unwrap().active = false;
            }
            Step::CreateCoupon { coupon, name, .. } => {
                found.coupons.push(FoundCoupon { id: coupon, name: Some(name) });
            }
            Step::RenameCoupon { coupon, name } => {
                found.coupons.iter_mut().find(|c| c.id == coupon).unwrap().name = Some(name);
            }
            Step::CreateCode { code, coupon, promotion, .. } => found.codes.push(FoundCode {
                id: format!("promo_{code}_{}", found.codes.len()),
                code,
                active: true,
                coupon,
                redeemed: 0,
                promotion: Some(promotion),
            }),
            Step::SwitchCode { id, active, .. } => {
                found.codes.iter_mut().find(|c| c.id == id).unwrap().active = active;
            }
            Step::CreatePortal { portal } | Step::UpdatePortal { portal, .. } => {
                let text = serde_json::to_string(&portal).unwrap();
                let mut text = text;
                for price in &found.prices {
                    if let Some(key) = &price.lookup_key {
                        text = text.replace(&format!("lookup:{key}\""), &format!("{}\"", price.id));
                    }
                }
                let portal: Portal = serde_json::from_str(&text).unwrap();
                found.portals.retain(|p| p.portal.mark != portal.mark);
                found.portals.push(FoundPortal { id: format!("bpc_{}", portal.mark), portal });
            }
        }
    }
    found
}

fn steps(catalog: &Catalog, found: &Found) -> Vec<Step> {
    let plan = plan_shop(catalog, &PortalPolicy::default(), &[("studio".into(), 3)], found, T0);
    assert_eq!(plan.findings, Vec::new());
    plan.steps
}

fn words(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::in_words).collect()
}

fn stocked(catalog: &Catalog) -> Found {
    let mut found = Found::default();
    for _ in 0..3 {
        found = done(steps(catalog, &found), found);
    }
    found
}

/// The explicit id of the test catalog is not at an empty provider.
fn unnamed() -> String {
    SMALL.replace(", stripe = \"price_pro\"", "")
}

#[test]
fn an_empty_provider_is_filled_and_then_nothing_differs() {
    let catalog = Catalog::parse(&unnamed()).unwrap();
    let first = steps(&catalog, &Found::default());
    assert_eq!(first.len(), 3 + 4 + 2, "{:?}", words(&first));
    let found = done(first, Found::default());
    let again = steps(&catalog, &found);
    assert_eq!(words(&again), Vec::<String>::new());
}

#[test]
fn interrupted_anywhere_it_ends_the_same() {
    let catalog = Catalog::parse(&unnamed()).unwrap();
    let whole = stocked(&catalog);
    for cut in 0..steps(&catalog, &Found::default()).len() {
        let mut some = steps(&catalog, &Found::default());
        some.truncate(cut);
        let mut found = done(some, Found::default());
        for _ in 0..3 {
            found = done(steps(&catalog, &found), found);
        }
        assert_eq!(found, whole, "cut after {cut}");
    }
}

#[test]
fn another_amount_is_another_price_and_the_old_one_is_archived() {
    let catalog = Catalog::parse(&unnamed()).unwrap();
    let found = stocked(&catalog);
    let dearer = Catalog::parse(&unnamed().replace("amount = 1980 }", "amount = 2480 }")).unwrap();
    let change = steps(&dearer, &found);
    assert_eq!(
        words(&change),
        [
            "create price pro_month_jpy: 2,480 JPY per month, in place of price_pro_month_jpy_1980 for new sales",
            "archive price price_pro_month_jpy_1980 of plan pro; whoever pays it goes on paying it",
            "update portal configuration main/jpy (bpc_main/jpy)",
        ]
    );
    for cut in 0..=change.len() {
        let mut found = done(change.iter().take(cut).cloned().collect(), found.clone());
        for _ in 0..2 {
            found = done(steps(&dearer, &found), found);
        }
        let sold: Vec<i64> = found.prices.iter().filter(|p| p.active).filter_map(|p| p.amount).collect();
        assert!(sold.contains(&2_480) && !sold.contains(&1_980), "cut after {cut}: {sold:?}");
        assert!(steps(&dearer, &found).is_empty());
    }
}

#[test]
fn a_plan_that_leaves_is_dangerous_while_somebody_holds_it() {
    let catalog = Catalog::parse(&unnamed()).unwrap();
    let found = stocked(&catalog);
    let at = unnamed().find("[[plan]]\n        key = \"studio\"").unwrap();
    let end = unnamed().find("[[plan]]\n        key = \"course\"").unwrap();
    let less = format!("{}{}", &unnamed()[..at], &unnamed()[end..]);
    let change = steps(&Catalog::parse(&less).unwrap(), &found);
    let dangers: Vec<String> = change.iter().filter_map(Step::danger).collect();
    assert_eq!(dangers.len(), 1, "{:?}", words(&change));
    assert!(dangers[0].contains("3 subscriptions hold it"), "{dangers:?}");
}

#[test]
fn what_no_step_mends_is_found() {
    let plan = plan_shop(&small(), &PortalPolicy::default(), &[], &Found::default(), T0);
    assert_eq!(plan.findings.len(), 1);
    assert!(plan.findings[0].what.contains("the provider has none of that id"));
    // A price that was sold as another plan is refused.
    let catalog = Catalog::parse(&unnamed()).unwrap();
    let mut found = stocked(&catalog);
    for price in found.prices.iter_mut().filter(|p| p.lookup_key.as_deref() == Some("pro_year_jpy")) {
        price.plan = Some("studio".into());
    }
    let plan = plan_shop(&catalog, &PortalPolicy::default(), &[], &found, T0);
    assert!(
        plan.findings.iter().any(|f| f.what.contains("it was sold as plan `studio`")),
        "{:?}",
        plan.findings
    );
}

#[test]
fn codes_begin_end_and_change_hands() {
    let offers = format!(
        "{}\n[[promotion]]\nkey = \"welcome\"\ncode = \"HELLO\"\nname = {{ en = \"Hello\" }}\noff = {{ percent = 20 }}\nmax_redemptions = 5\n",
        unnamed()
    );
    let catalog = Catalog::parse(&offers).unwrap();
    let found = stocked(&catalog);
    assert!(steps(&catalog, &found).is_empty());
    let more = Catalog::parse(&offers.replace("percent = 20", "percent = 30")).unwrap();
    let change = words(&steps(&more, &found));
    assert_eq!(change.len(), 3, "{change:?}");
    assert!(change[1].contains("off") && change[2].contains("create promotion code HELLO"), "{change:?}");
    let gone = words(&steps(&Catalog::parse(&unnamed()).unwrap(), &found));
    assert_eq!(gone, ["switch promotion code HELLO (promo_HELLO_0) off"]);
    // One that is used up is not opened again.
    let mut used = found;
    used.codes[0].active = false;
    used.codes[0].redeemed = 5;
    let plan = plan_shop(&catalog, &PortalPolicy::default(), &[], &used, T0);
    assert!(plan.steps.is_empty() && plan.findings[0].what.contains("used up"), "{plan:?}");
}

#[test]
fn tax_is_as_the_catalog_says_or_a_person_decides() {
    let of = |tax: &str, theirs: Option<&str>| {
        let pro = format!("key = \"pro\"\n        tax = \"{tax}\"");
        let catalog = Catalog::parse(&unnamed().replace("key = \"pro\"", &pro)).unwrap();
        let mut found = stocked(&catalog);
        for price in &mut found.prices {
            price.tax = theirs.map(str::to_owned);
        }
        plan_shop(&catalog, &PortalPolicy::default(), &[], &found, T0).tax
    };
    for (ours, theirs) in [
        ("inclusive", Some("inclusive")),
        ("unspecified", Some("unspecified")),
        ("unspecified", Some("exclusive")),
        ("unspecified", None),
    ] {
        assert_eq!(of(ours, theirs), Vec::new(), "{ours} {theirs:?}");
    }
    for (ours, theirs, word) in [
        ("inclusive", Some("exclusive"), "provider says exclusive"),
        ("inclusive", Some("unspecified"), "provider says unspecified"),
        ("inclusive", None, "provider says unspecified"),
        ("exclusive", Some("inclusive"), "provider says inclusive"),
        ("exclusive", Some("exclusive"), "the bare price is charged"),
    ] {
        let all = of(ours, theirs);
        assert!(!all.is_empty() && all.iter().all(|f| f.what.contains(word)), "{ours} {theirs:?}: {all:?}");
    }
}
