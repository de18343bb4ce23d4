//! Money and ids: no text makes a wrong one, and no computation loses a unit or wraps around.
//!
//! Input: lines of text; numbers in it become amounts.

use quittance_domain::ids::{ApiKeyId, CheckoutId, CommandId, GrantId, LeaseToken, PlanGroup};
use quittance_domain::{AggregateKey, Currency, CustomerId, FeatureKey, Money, PlanKey, Scope, Timestamp};

/// Whatever is accepted is written as it was read; arithmetic answers exactly or refuses.
pub fn values(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut numbers = vec![i64::MAX, 0];
    for line in text.lines() {
        ids(line);
        if let Ok(currency) = Currency::parse(line) {
            assert_eq!(currency.code(), line.to_ascii_lowercase());
            assert_eq!(currency.to_string(), line.to_ascii_uppercase());
        }
        numbers.extend(
            line.split(|c: char| !c.is_ascii_digit() && c != '-').filter_map(|word| word.parse::<i64>().ok()),
        );
    }
    numbers.truncate(12);
    money(&numbers);
    for number in numbers {
        times(number);
    }
}

/// Each kind of id keeps the text that it accepted.
macro_rules! kept {
    ($text:ident: $($kind:ty),*) => { $(
        if let Ok(id) = <$kind>::parse($text) {
            assert_eq!(id.as_str(), $text);
            assert_eq!(id.to_string(), $text);
            let json = serde_json::to_string(&id).expect("an id is text");
            assert_eq!(serde_json::from_str::<$kind>(&json).ok(), Some(id));
        }
    )* };
}

fn ids(text: &str) {
    kept!(text: ApiKeyId, CheckoutId, CommandId, GrantId, LeaseToken, CustomerId, PlanKey, PlanGroup, FeatureKey);
    let own = [CheckoutId::PREFIX, CommandId::PREFIX, GrantId::PREFIX, ApiKeyId::PREFIX, LeaseToken::PREFIX];
    let fits = [
        CheckoutId::parse(text).is_ok(),
        CommandId::parse(text).is_ok(),
        GrantId::parse(text).is_ok(),
        ApiKeyId::parse(text).is_ok(),
        LeaseToken::parse(text).is_ok(),
    ];
    assert!(fits.iter().filter(|fit| **fit).count() <= 1, "{text} is of two kinds");
    assert!(fits.iter().zip(own).all(|(fit, prefix)| !fit || text.starts_with(prefix)));
    if CustomerId::parse(text).is_ok() {
        assert!(!text.contains(['/', '\\', '\0', '\n']) && text.len() <= 200);
    }
    if let Some(scope) = Scope::parse(text) {
        assert_eq!(scope.to_string(), text);
    }
    if let Some(key) = AggregateKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
}

fn money(numbers: &[i64]) {
    for code in ["jpy", "usd", "kwd"] {
        let currency = Currency::parse(code).expect("a currency");
        let of = |minor| Money::new(minor, currency);
        for pair in numbers.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            assert_eq!(of(a).checked_add(of(b)).ok().map(|sum| sum.minor), a.checked_add(b));
            assert_eq!(of(a).checked_sub(of(b)).ok().map(|rest| rest.minor), a.checked_sub(b));
            assert_eq!(of(a).checked_mul(b).ok().map(|product| product.minor), a.checked_mul(b));
            let shown = of(a).to_string();
            let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(digits.parse::<u64>().ok(), Some(a.unsigned_abs()), "{shown}");
            assert_eq!(shown.starts_with('-'), a < 0, "{shown}");
        }
        let weights: Vec<u32> = numbers
            .iter()
            .map(|number| u32::try_from(number.unsigned_abs() % 5_000_000_000).unwrap_or(u32::MAX))
            .collect();
        for minor in numbers.iter().copied().chain([i64::MIN]) {
            let shares = of(minor).allocate(&weights);
            if weights.iter().any(|weight| *weight > 0) {
                assert_eq!(shares.len(), weights.len());
                assert_eq!(
                    shares.iter().map(|share| i128::from(share.minor)).sum::<i128>(),
                    i128::from(minor)
                );
            } else {
                assert!(shares.is_empty());
            }
        }
    }
}

fn times(number: i64) {
    let at = Timestamp::from_seconds(number);
    assert!(!at.to_string().is_empty());
    assert!(at.plus_ms(i64::MAX) >= at && at.plus_ms(i64::MIN) <= at);
    assert_eq!(at.since(at), 0);
    assert_eq!(
        serde_json::from_str::<Timestamp>(&serde_json::to_string(&at).expect("a number")).ok(),
        Some(at)
    );
}
