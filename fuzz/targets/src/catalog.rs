//! The catalog file: refused with words that lead to the mend, or accepted with every rule kept.

use std::collections::BTreeSet;

use quittance_domain::Catalog;
use quittance_domain::catalog::Limit;

/// An accepted catalog is total and unambiguous; a refusal names a line or a key.
pub fn catalog(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match Catalog::parse(&text) {
        Ok(catalog) => sound(&catalog),
        Err(error) => {
            let words = error.to_string();
            assert!(words.contains("line ") || words.contains('`'), "it names no place: {words}");
        }
    }
}

fn sound(catalog: &Catalog) {
    let features: BTreeSet<&str> = catalog.features().iter().map(|feature| feature.key.as_str()).collect();
    assert_eq!(features.len(), catalog.features().len(), "a feature twice");
    let (mut keys, mut prices) = (BTreeSet::new(), BTreeSet::new());
    for plan in catalog.plans() {
        assert!(keys.insert(plan.key.as_str()), "plan {} twice", plan.key);
        assert_eq!(catalog.plan(plan.key.as_str()), Some(plan));
        assert_eq!(plan.free, plan.prices.is_empty(), "{}", plan.key);
        for (key, limit) in plan.features.iter() {
            assert!(features.contains(key.as_str()), "{key} is declared nowhere");
            assert_eq!(plan.features.get(key.as_str()), Some(limit));
            match limit {
                Limit::Unlimited => {}
                Limit::Fixed(most) | Limit::PerUnit(most) => assert!(*most >= 0),
            }
        }
        for price in &plan.prices {
            assert!(price.amount.minor > 0);
            assert_eq!(plan.price(price.interval, price.amount.currency), Some(price));
            for name in price.stripe.iter().chain([&price.lookup_key]) {
                assert!(!name.is_empty(), "a price without a name");
                assert!(prices.insert(name.clone()), "{name} means two prices");
            }
            assert_eq!(catalog.plan_of_price("", Some(&price.lookup_key)), Some(plan));
            if let Some(id) = &price.stripe {
                assert_eq!(catalog.plan_of_price(id, None), Some(plan));
            }
        }
    }
    assert!(catalog.plans().iter().filter(|plan| plan.free).count() <= 1);
    assert_eq!(catalog.plan_of_price("price_of_nobody", Some("")), None);
}
