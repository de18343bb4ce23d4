//! What a catalog may say, what it answers, and how mistakes are named.

use super::*;

pub(crate) const SMALL: &str = r#"
        [[feature]]
        key = "article:preview"
        name = { en = "Previews", ja = "プレビュー" }
        [[feature]]
        key = "article:full"
        name = { en = "Articles" }
        [[feature]]
        key = "team:seats"
        name = { en = "Seats" }
        [[plan]]
        key = "free"
        group = "main"
        name = { en = "Free" }
        free = true
        features = { "article:preview" = true }
        [[plan]]
        key = "pro"
        group = "main"
        name = { en = "Pro" }
        includes = "free"
        features = { "article:full" = true }
        price = [
            { interval = "month", currency = "jpy", amount = 1980, stripe = "price_pro" },
            { interval = "year", currency = "jpy", amount = 19800 },
        ]
        [[plan]]
        key = "studio"
        group = "main"
        name = { en = "Studio" }
        includes = "pro"
        features = { "team:seats" = { per_unit = 5 } }
        price = [{ interval = "month", currency = "jpy", amount = 9800 }]
        [[plan]]
        key = "course"
        group = "course"
        name = { en = "Course" }
        features = { "article:full" = true }
        price = [{ interval = "once", currency = "jpy", amount = 12000 }]
    "#;

fn error(change: impl Fn(&str) -> String) -> String {
    Catalog::parse(&change(SMALL)).unwrap_err().to_string()
}

#[test]
fn a_good_catalog_answers() {
    let catalog = Catalog::parse(SMALL).unwrap();
    let studio = catalog.plan("studio").unwrap();
    assert_eq!(studio.features.get("team:seats"), Some(&Limit::PerUnit(5)));
    assert!(studio.features.get("article:preview").is_some(), "inherited through pro");
    assert_eq!(catalog.plan("pro").unwrap().prices[1].lookup_key, "pro_year_jpy");
    assert_eq!(catalog.free_plan().unwrap().key.as_str(), "free");
}

#[test]
fn a13_a14_an_unknown_price_is_no_plan() {
    let catalog = Catalog::parse(SMALL).unwrap();
    assert_eq!(catalog.plan_of_price("price_pro", None).unwrap().key.as_str(), "pro");
    assert_eq!(catalog.plan_of_price("price_x", Some("studio_month_jpy")).unwrap().key.as_str(), "studio");
    assert!(catalog.plan_of_price("price_x", Some("gone")).is_none());
    assert!(catalog.plan_of_price("", None).is_none());
    let without = SMALL.replace("stripe = \"price_pro\"", "stripe = \"\"");
    assert!(Catalog::parse(&without).unwrap().plan_of_price("", Some("")).is_none());
    let unnamed = SMALL.replace("stripe = \"price_pro\"", "lookup_key = \"\"");
    let unnamed = Catalog::parse(&unnamed).unwrap();
    assert!(unnamed.plan_of_price("price_x", Some("")).is_none());
    assert!(unnamed.plan_of_price("price_x", Some("pro_month_jpy")).is_some());
}

#[test]
fn the_reference_of_the_file_is_what_is_read() {
    let page = include_str!("../../../../docs/catalog.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let catalog = Catalog::parse(example).unwrap();
    let pro = catalog.plan("pro").unwrap();
    assert_eq!((pro.holders, pro.tax, pro.trial_days), (Holders::Bought, TaxBehavior::Inclusive, 14));
    assert_eq!(catalog.promotion("welcome20").unwrap().max_redemptions, Some(100));
    assert_eq!(catalog.channel("agency_north").unwrap().prices[0].1.lookup_key, "pro_month_jpy_agency_north");
    for field in [
        "key",
        "group",
        "name",
        "description",
        "free",
        "trial_days",
        "includes",
        "features",
        "price",
        "product",
        "tax",
        "holders",
        "interval",
        "currency",
        "amount",
        "stripe",
        "lookup_key",
        "code",
        "off",
        "lasts",
        "from",
        "until",
        "plans",
        "currencies",
        "first_purchase",
        "max_redemptions",
        "public",
        "plan",
    ] {
        assert!(page.contains(&format!("{field} = ")), "docs/catalog.md does not name {field}");
    }
}

#[test]
fn a7_paid_plans_contain_what_they_include() {
    let catalog = Catalog::parse(SMALL).unwrap();
    let free: Vec<_> = catalog.plan("free").unwrap().features.keys().cloned().collect();
    for plan in ["pro", "studio"] {
        for feature in &free {
            assert!(catalog.plan(plan).unwrap().features.get(feature.as_str()).is_some());
        }
    }
}

#[test]
fn mistakes_are_named() {
    let double = error(|s| s.replace("amount = 9800", "amount = 9800, lookup_key = \"pro_year_jpy\""));
    assert!(double.contains("price `pro_year_jpy` belongs to plan `pro` and to plan `studio`"), "{double}");
    for (from, to, expected) in [
        ("amount = 1980", "amount = -1", "amount -1 is not a price"),
        ("amount = 1980", "amount = 999999999999", "is not a price"),
        ("amount = 1980", "amount = 9223372036854775808", "cannot be read"),
        ("amount = 1980", "amount = 19.80", "cannot be read"),
        ("currency = \"jpy\", amount = 9800", "currency = \"yen\", amount = 9800", "`yen` is not a currency"),
        ("key = \"studio\"", "key = \"course\"", "declared twice"),
        ("includes = \"free\"", "includes = \"studio\"", "includes itself"),
        ("includes = \"free\"", "includes = \"gratis\"", "which is not a plan"),
        (
            "features = { \"article:full\" = true }",
            "features = { \"nope\" = true }",
            "which no [[feature]] declares",
        ),
        ("group = \"main\"", "group = \"main\"\ncolour = 1", "unknown field `colour`"),
        ("per_unit = 5", "per_unit = 5, most = 9", "cannot be read"),
        ("interval = \"year\", currency = \"jpy\"", "interval = \"month\", currency = \"jpy\"", "two prices"),
    ] {
        let text = error(|s| s.replace(from, to));
        assert!(text.contains(expected), "{from} -> {to}: {text}");
    }
}
