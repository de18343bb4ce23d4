//! What can be charged in a currency: the smallest amount, and the steps in which amounts go.
//!
//! Follows the published currency page of the provider. Knows nothing of exchange rates: a currency that the page does
//! not list has the minimum of half a major unit.

/// Currencies whose amounts have no decimals.
const ZERO_DECIMAL: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
/// Currencies with thousandths; a charge must end in 0.
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];
/// Currencies without decimals whose amounts are still written with two, which must be 00.
const WHOLE_UNITS: [&str; 2] = ["isk", "ugx"];

/// The published minimum of a charge, in minor units.
const MINIMUM: [(&str, i64); 24] = [
    ("aed", 200),
    ("aud", 50),
    ("bgn", 100),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("czk", 1_500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1_000),
    ("myr", 200),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1_000),
    ("usd", 50),
];

/// The currencies that can be charged in, by the published currency page.
const SUPPORTED: &str = "\
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf clp cny \
    cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel ghs gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd \
    jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mro mru mur mvr mwk mxn myr mzn nad \
    ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sll sos srd std stn svc \
    szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vef vnd vuv wst xaf xcd xcg xof xpf yer zar zmw usdc";

/// Whether anything can be priced in a currency; capital letters do not matter.
pub(crate) fn is_supported(currency: &str) -> bool {
    SUPPORTED.split(' ').any(|code| code.eq_ignore_ascii_case(currency))
}

/// The smallest amount that can be charged, in minor units.
pub(crate) fn minimum(currency: &str) -> i64 {
    let listed = MINIMUM.iter().find(|(code, _)| *code == currency).map(|(_, amount)| *amount);
    listed.unwrap_or(if THREE_DECIMAL.contains(&currency) {
        500
    } else if ZERO_DECIMAL.contains(&currency) {
        1
    } else {
        50
    })
}

/// A charge must be a multiple of this many minor units.
pub(crate) fn step(currency: &str) -> i64 {
    if THREE_DECIMAL.contains(&currency) {
        10
    } else if WHOLE_UNITS.contains(&currency) {
        100
    } else {
        1
    }
}

/// What is charged of an amount that is owed, and what stays on the customer's balance: an amount below the minimum
/// stays whole, and so does what is below the currency's step. A negative amount is owed to the customer and stays.
pub(crate) fn chargeable(owed: i64, currency: &str) -> (i64, i64) {
    let rest = owed.rem_euclid(step(currency));
    let charged = owed.saturating_sub(rest);
    if charged < minimum(currency) { (0, owed) } else { (charged, rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_currency_has_its_own_minimum_and_step() {
        assert_eq!(chargeable(49, "usd"), (0, 49));
        assert_eq!(chargeable(50, "usd"), (50, 0));
        assert_eq!(chargeable(30, "gbp"), (30, 0));
        assert_eq!(chargeable(17_499, "huf"), (0, 17_499));
        assert_eq!(chargeable(49, "jpy"), (0, 49));
        assert_eq!(chargeable(1, "krw"), (1, 0));
        assert_eq!(chargeable(5_124, "kwd"), (5_120, 4));
        assert_eq!(chargeable(509, "kwd"), (500, 9));
        assert_eq!(chargeable(499, "kwd"), (0, 499));
        assert_eq!(chargeable(5_150, "isk"), (5_100, 50));
        assert_eq!(chargeable(-7, "kwd"), (0, -7));
        assert_eq!(chargeable(i64::MIN, "kwd"), (0, i64::MIN));
    }
}
