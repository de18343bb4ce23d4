//! The price function as tables and properties: never negative, total, and a trace that sums up.

use proptest::prelude::*;

use super::*;
use crate::access::tests::T0;
use crate::time::DAY_MS;

const SHOP: &str = r#"
    [[feature]]
    key = "article:full"
    name = { en = "Articles" }
    [[plan]]
    key = "free"
    group = "main"
    name = { en = "Free" }
    free = true
    [[plan]]
    key = "pro"
    group = "main"
    name = { en = "Pro" }
    features = { "article:full" = true }
    price = [
        { interval = "month", currency = "jpy", amount = 1980 },
        { interval = "year", currency = "jpy", amount = 19800 },
        { interval = "month", currency = "usd", amount = 1500 },
    ]
    [[plan]]
    key = "try"
    group = "main"
    name = { en = "Try" }
    trial_days = 14
    price = [{ interval = "month", currency = "jpy", amount = 500 }]
    [[plan]]
    key = "course"
    group = "course"
    name = { en = "Course" }
    trial_days = 9
    price = [{ interval = "once", currency = "jpy", amount = 12000 }]

    [[promotion]]
    key = "welcome"
    code = "WELCOME20"
    name = { en = "Welcome" }
    off = { percent = 20 }
    lasts = { months = 3 }
    first_purchase = true
    plans = ["pro"]
    [[promotion]]
    key = "spring"
    code = "SPRING"
    name = { en = "Spring" }
    off = { amount = { jpy = 500 } }
    from = "2026-01-01T00:00:00Z"
    until = "2036-01-01T00:00:00Z"
    [[promotion]]
    key = "past"
    name = { en = "Past" }
    off = { percent = "33.33" }
    until = "2020-01-01T00:00:00Z"
    [[promotion]]
    key = "future"
    name = { en = "Future" }
    off = { percent = 1 }
    from = "2090-01-01T00:00:00Z"

    [[channel]]
    key = "north"
    name = { en = "Agency North" }
    off = { percent = 15 }
    price = [{ plan = "pro", interval = "month", currency = "jpy", amount = 1500 }]
    [[channel]]
    key = "gone"
    name = { en = "Gone" }
    off = { percent = 15 }
    until = "2020-01-01T00:00:00Z"
"#;

fn shop() -> Catalog {
    Catalog::parse(SHOP).unwrap()
}

fn ask(plan: &str) -> Asked<'_> {
    Asked {
        plan,
        interval: None,
        currency: None,
        quantity: 1,
        promotion: None,
        channel: None,
        terms: None,
        bought_before: false,
        at: T0,
    }
}

/// A case as text: `plan interval currency quantity promotion channel own` and what it comes to.
fn told(line: &str) -> String {
    let catalog = shop();
    let words: Vec<&str> = line.split_whitespace().collect();
    let word = |index: usize| words.get(index).copied().filter(|word| *word != "-");
    let own: Option<CustomerTerms> = word(6).map(|name| {
        let json = match name {
            "price" => r#"{"prices":[{"plan":"pro","interval":"month","amount":1000,"currency":"jpy"}]}"#,
            "ten" => r#"{"reduction":{"off":{"percent":"10"},"lasts":"forever"}}"#,
            "over" => r#"{"reduction":{"off":{"percent":"99"}},"until":1}"#,
            other => panic!("{other}"),
        };
        serde_json::from_str(json).unwrap()
    });
    let asked = Asked {
        interval: word(1).and_then(Interval::parse),
        currency: word(2).and_then(|code| Currency::parse(code).ok()),
        quantity: words[3].parse().unwrap(),
        promotion: word(4).map(|name| catalog.promotion(name).unwrap()),
        channel: word(5),
        terms: own.as_ref(),
        bought_before: words.get(7) == Some(&"again"),
        ..ask(words[0])
    };
    match price(&catalog, &asked) {
        Ok(priced) => {
            let rules: Vec<String> = priced
                .trace
                .iter()
                .map(|step| format!("{} {}>{}", step.rule, step.before, step.after))
                .collect();
            format!(
                "{} then {} due {} list {} | {}",
                priced.total,
                priced.later,
                priced.due_now.minor,
                priced.list.minor,
                rules.join(", ")
            )
        }
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn prices_from_a_table() {
    for (case, expected) in [
        ("pro - - 1", "1,980 JPY then 1,980 JPY due 1980 list 1980 | list_price 0>1980, quantity 1980>1980"),
        (
            "pro year jpy 2",
            "39,600 JPY then 39,600 JPY due 39600 list 39600 | list_price 0>19800, quantity 19800>39600",
        ),
        (
            "pro month usd 3",
            "45.00 USD then 45.00 USD due 4500 list 4500 | list_price 0>1500, quantity 1500>4500",
        ),
        (
            "pro month jpy 1 welcome20",
            "1,584 JPY then 1,980 JPY due 1584 list 1980 | list_price 0>1980, quantity 1980>1980, promotion 1980>1584",
        ),
        (
            "pro month jpy 1 SPRING",
            "1,480 JPY then 1,980 JPY due 1480 list 1980 | list_price 0>1980, quantity 1980>1980, promotion 1980>1480",
        ),
        (
            "try month jpy 1 SPRING",
            "0 JPY then 500 JPY due 0 list 500 | list_price 0>500, quantity 500>500, promotion 500>0, trial 0>0",
        ),
        (
            "try month jpy 1",
            "500 JPY then 500 JPY due 0 list 500 | list_price 0>500, quantity 500>500, trial 500>500",
        ),
        (
            "course once jpy 1",
            "12,000 JPY then 12,000 JPY due 12000 list 12000 | list_price 0>12000, quantity 12000>12000",
        ),
        (
            "pro month jpy 1 - north",
            "1,275 JPY then 1,275 JPY due 1275 list 1980 | list_price 0>1980, channel_price 1980>1500, quantity 1500>1500, channel_reduction 1500>1275",
        ),
        (
            "pro year jpy 1 - north",
            "16,830 JPY then 16,830 JPY due 16830 list 19800 | list_price 0>19800, quantity 19800>19800, channel_reduction 19800>16830",
        ),
        (
            "pro month jpy 1 SPRING north",
            "1,000 JPY then 1,500 JPY due 1000 list 1980 | list_price 0>1980, channel_price 1980>1500, quantity 1500>1500, promotion 1500>1000, channel_reduction 1000>1000",
        ),
        (
            "pro month jpy 2 - north price",
            "1,700 JPY then 1,700 JPY due 1700 list 3960 | list_price 0>1980, own_price 1980>1000, quantity 1000>2000, channel_reduction 2000>1700",
        ),
        (
            "pro month jpy 1 - - ten",
            "1,782 JPY then 1,782 JPY due 1782 list 1980 | list_price 0>1980, quantity 1980>1980, own_reduction 1980>1782",
        ),
        (
            "pro month jpy 1 - - over",
            "1,980 JPY then 1,980 JPY due 1980 list 1980 | list_price 0>1980, quantity 1980>1980",
        ),
        ("pro month jpy 1 WELCOME20 - - again", "Promotion(NotFirst)"),
        ("course once jpy 1 WELCOME20", "Promotion(OtherPlan)"),
        ("pro month usd 1 SPRING", "Promotion(OtherCurrency)"),
        ("pro month jpy 1 past", "Promotion(Over)"),
        ("pro month jpy 1 future", "Promotion(NotYet)"),
        ("pro month jpy 1 - gone", "UnknownChannel"),
        ("pro month jpy 1 - south", "UnknownChannel"),
        ("pro week jpy 1", "NotSold(PlanKey(\"pro\"))"),
        ("pro month jpy 0", "Quantity"),
        ("pro month jpy 100001", "Quantity"),
        ("free - - 1", "Free(PlanKey(\"free\"))"),
        ("nope - - 1", "UnknownPlan"),
    ] {
        assert_eq!(told(case), expected, "{case}");
    }
}

#[test]
fn an_amount_that_no_invoice_holds_is_an_error() {
    let huge = SHOP.replace("amount = 1980 }", "amount = 99999999999 }");
    let catalog = Catalog::parse(&huge).unwrap();
    let of = |quantity| price(&catalog, &Asked { quantity, ..ask("pro") }).map(|priced| priced.total.minor);
    assert_eq!(of(10), Ok(999_999_999_990));
    assert_eq!(of(11), Err(PriceError::TooLarge));
    assert_eq!(of(100_000), Err(PriceError::TooLarge));
}

#[test]
fn mistakes_in_offers_are_named() {
    for (from, to, expected) in [
        ("percent = 20 }", "percent = 20.5 }", "cannot be read"),
        ("percent = 20 }", "percent = 101 }", "is not a percentage"),
        ("months = 3", "months = 0", "0 is not a number of months"),
        ("code = \"SPRING\"", "code = \"welcome20\"", "have the code `welcome20`"),
        ("code = \"SPRING\"", "code = \"a b\"", "letters, digits and dashes"),
        ("key = \"spring\"", "key = \"welcome\"", "declared twice"),
        ("plans = [\"pro\"]", "plans = [\"prro\"]", "which is not a plan"),
        ("plans = [\"pro\"]", "plans = [\"free\"]", "which is free"),
        ("until = \"2036", "until = \"1036", "must be after"),
        ("until = \"2036-01-01T00:00:00Z\"", "until = \"soon\"", "is no time"),
        ("amount = { jpy = 500 }", "amount = { yen = 500 }", "is not a currency"),
        ("amount = 1500 }]", "amount = 0 }]", "is not a price"),
        (
            "interval = \"month\", currency = \"jpy\", amount = 1500 }]",
            "interval = \"week\", currency = \"jpy\", amount = 1500 }]",
            "which the plan itself has not",
        ),
        ("key = \"north\"", "key = \"gone\"", "declared twice"),
    ] {
        let text = SHOP.replacen(from, to, 1);
        assert_ne!(text, SHOP, "{from}");
        let said = Catalog::parse(&text).unwrap_err().to_string();
        assert!(said.contains(expected), "{from} -> {to}: {said}");
    }
}

#[test]
fn only_what_matters_makes_another_version() {
    let spaced = SHOP.replace("    ", "  ").replacen("amount = 1980 }", "amount   =  1_980 } # yen\n", 1);
    assert_eq!(Catalog::parse(&spaced).unwrap().version(), shop().version());
    assert_ne!(Catalog::parse(&SHOP.replace("1980", "1981")).unwrap().version(), shop().version());
    assert_eq!(Catalog::parse(shop().text()).unwrap().version(), shop().version());
}

fn offers() -> impl Strategy<Value = (Option<usize>, Option<&'static str>, Option<CustomerTerms>)> {
    let percent = (1_u32..=10_000).prop_map(|h| format!(r#"{{"percent":"{}.{:02}"}}"#, h / 100, h % 100));
    let amount = (1_i64..5_000).prop_map(|minor| format!(r#"{{"amount":{{"jpy":{minor}}}}}"#));
    let own = prop_oneof![percent, amount].prop_map(|off| {
        serde_json::from_str::<CustomerTerms>(&format!(
            r#"{{"reduction":{{"off":{off},"lasts":"forever"}}}}"#
        ))
        .unwrap()
    });
    (proptest::option::of(0..2_usize), proptest::option::of(Just("north")), proptest::option::of(own))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_price_is_never_negative_grows_with_the_quantity_and_its_trace_adds_up(
        quantity in 1_i64..100_000,
        (promotion, channel, terms) in offers(),
        year in any::<bool>(),
    ) {
        let catalog = shop();
        let asked = |quantity| Asked {
            interval: Some(if year { Interval::Year } else { Interval::Month }),
            quantity,
            promotion: promotion.and_then(|index| catalog.promotions().get(index)),
            channel,
            terms: terms.as_ref(),
            ..ask("pro")
        };
        let one = price(&catalog, &asked(quantity)).unwrap();
        let more = price(&catalog, &asked(quantity + 1)).unwrap();
        prop_assert!(one.total.minor >= 0 && one.discount.minor >= 0);
        prop_assert!(more.total.minor >= one.total.minor);
        prop_assert_eq!(one.subtotal.minor - one.discount.minor, one.total.minor);
        prop_assert!(one.later.minor >= one.total.minor && one.later.minor <= one.subtotal.minor);
        let mut now = 0;
        for step in &one.trace {
            prop_assert_eq!(step.before, now);
            now = step.after;
        }
        prop_assert_eq!(now, one.total.minor);
        prop_assert_eq!(&one, &price(&catalog, &asked(quantity)).unwrap());
    }

    #[test]
    fn the_function_is_total(
        plan in prop_oneof![Just("pro"), Just("free"), Just("try"), Just("course"), Just("x")],
        quantity in any::<i64>(),
        interval in 0..5_usize,
        at in any::<i64>(),
        bought_before in any::<bool>(),
        promotion in proptest::option::of(0..4_usize),
        channel in proptest::option::of(prop_oneof![Just("north"), Just("gone"), Just("?")]),
    ) {
        let catalog = shop();
        let all = [Interval::Day, Interval::Week, Interval::Month, Interval::Year, Interval::Once];
        let asked = Asked {
            interval: all.get(interval).copied(),
            quantity,
            promotion: promotion.and_then(|index| catalog.promotions().get(index)),
            channel,
            bought_before,
            at: Timestamp::from_ms(at),
            ..ask(plan)
        };
        if let Ok(priced) = price(&catalog, &asked) {
            prop_assert!((0..=MAX_TOTAL).contains(&priced.total.minor));
        }
    }
}

#[test]
fn terms_hold_from_their_first_moment_and_not_at_their_end() {
    let catalog = shop();
    let mut terms: CustomerTerms =
        serde_json::from_str(r#"{"reduction":{"off":{"percent":"50"},"lasts":"forever"}}"#).unwrap();
    terms.window.from = Some(T0);
    terms.window.until = Some(T0.plus_ms(DAY_MS));
    for (at, total) in [(-1, 1_980), (0, 990), (DAY_MS - 1, 990), (DAY_MS, 1_980)] {
        let asked = Asked { terms: Some(&terms), at: T0.plus_ms(at), ..ask("pro") };
        assert_eq!(price(&catalog, &asked).unwrap().total.minor, total, "{at}");
    }
}
