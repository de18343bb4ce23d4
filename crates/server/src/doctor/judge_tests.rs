//! Each check, broken and whole.

use quittance_domain::shop::Finding;
use quittance_engine::progress::RunState;
use quittance_engine::tie_out::LastTieOut;

use super::*;
use crate::config::Secret;
use crate::doctor::Outcome;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(1_800_000_000_000 + ms)
}

fn shown(check: &Check, outcome: Outcome, words: &str) {
    assert_eq!(check.outcome, outcome, "{check:?}");
    assert!(check.what.contains(words), "{words}: {check:?}");
    let mended = !matches!(outcome, Outcome::Ok | Outcome::Skipped);
    assert_eq!(!check.mend.is_empty(), mended, "{check:?}");
}

fn config(key: &str, secret: &str) -> Config {
    let mut config = Config::default();
    config.stripe.secret_key = Some(Secret::new(key.to_owned()));
    config.stripe.webhook_secret = Some(Secret::new(secret.to_owned()));
    config.secret = Some(Secret::new("0".repeat(64)));
    config
}

const SIGNING: &str = "whsec_0123456789abcdef0123456789abcdef";

#[test]
fn a_proxy_that_nobody_named_hides_visitors() {
    let mut config = config("sk_test_1", SIGNING);
    for (url, proxies, hidden) in [
        (None, Vec::new(), false),
        (Some("http://127.0.0.1:4242"), Vec::new(), false),
        (Some("https://pay.example.com"), Vec::new(), true),
        (Some("https://pay.example.com"), vec!["10.0.0.0/8".to_owned()], false),
    ] {
        config.public_url = url.map(str::to_owned);
        config.api.trusted_proxies = proxies;
        assert_eq!(hides_visitors(&config), hidden, "{url:?}");
    }
}

#[test]
fn keys_fit_together_or_do_not() {
    shown(&keys(&config("sk_test_1", SIGNING)), Outcome::Ok, "test key");
    let mut live = config("sk_live_1", SIGNING);
    shown(&keys(&live), Outcome::Failed, "customers cannot reach");
    live.public_url = Some("https://localhost:1".into());
    shown(&keys(&live), Outcome::Failed, "customers cannot reach");
    live.public_url = Some("https://pay.example.com".into());
    shown(&keys(&live), Outcome::Ok, "live key");
    live.stripe.api_base = "https://elsewhere.example.com".into();
    shown(&keys(&live), Outcome::Failed, "another address");
    shown(&keys(&config("", SIGNING)), Outcome::Failed, "no secret key");
    for odd in ["whsec_short", "whsec_0123456789abcdef 0123456789", "whsec_…………………………"] {
        shown(&keys(&config("sk_test_1", odd)), Outcome::Warning, "signing secret");
        let live = Config { public_url: Some("https://pay.example.com".into()), ..config("rk_live_1", odd) };
        shown(&keys(&live), Outcome::Failed, "signing secret");
    }
    let rolling = format!("{SIGNING}, {SIGNING}");
    shown(&keys(&config("sk_test_1", &rolling)), Outcome::Ok, "test key");
    let rootless = Config { secret: None, ..config("sk_test_1", SIGNING) };
    shown(&keys(&rootless), Outcome::Warning, "QUITTANCE_SECRET");
}

#[test]
fn the_ledger_agrees_differs_or_was_not_looked_at() {
    let last = |agrees, differences| Some((at(0), LastTieOut { agrees, differences, compared: 3 }));
    shown(&ledger(None, false, at(0)), Outcome::Warning, "has not been held");
    shown(&ledger(last(true, 0), false, at(DAY_MS)), Outcome::Ok, "agreed");
    shown(&ledger(last(true, 0), false, at(3 * DAY_MS)), Outcome::Warning, "nobody has looked since");
    // One look may have come before the money was posted.
    shown(&ledger(last(false, 2), false, at(0)), Outcome::Warning, "2 differences");
    let failed = ledger(last(false, 2), true, at(0));
    shown(&failed, Outcome::Failed, "2 differences");
    assert_eq!(failed.mend, "quittance ledger tie-out --mend");
}

#[test]
fn cron_lines_and_zones_are_read() {
    let mut config = Config::default();
    shown(&schedule(&config, at(0)), Outcome::Ok, "every 600 seconds");
    config.sweep.schedule = Some("*/10 * * * *".into());
    config.sweep.time_zone = "Asia/Tokyo".into();
    shown(&schedule(&config, at(0)), Outcome::Ok, "Asia/Tokyo");
    config.sweep.schedule = Some("0 4 1 * *".into());
    shown(&schedule(&config, at(0)), Outcome::Warning, "more than a day");
    for line in ["every day", "61 * * * *", "0 0 30 2 *"] {
        config.sweep.schedule = Some(line.into());
        shown(&schedule(&config, at(0)), Outcome::Failed, line);
    }
    config.sweep.schedule = None;
    config.sweep.time_zone = "Moon/Base".into();
    shown(&schedule(&config, at(0)), Outcome::Failed, "Moon/Base");
    config.sweep.time_zone = "UTC".into();
    config.mail.zone = "Mars".into();
    shown(&schedule(&config, at(0)), Outcome::Failed, "mail.zone");
}

#[test]
fn room_is_enough_little_or_none() {
    shown(&room(50_000_000_000), Outcome::Ok, "50000 MB");
    shown(&room(500_000_000), Outcome::Warning, "500 MB");
    shown(&room(50_000_000), Outcome::Failed, "50 MB");
}

#[test]
fn a_database_is_current_writable_and_durable() {
    let schema = |current, newer| SchemaState { current, expected: 7, newer };
    shown(&database(&schema(7, false), Ok(()), ""), Outcome::Ok, "schema 7");
    shown(&database(&schema(6, false), Ok(()), ""), Outcome::Failed, "needs 7");
    shown(&database(&schema(8, true), Ok(()), ""), Outcome::Failed, "newer release");
    shown(&database(&schema(7, false), Err("read-only".into()), ""), Outcome::Failed, "read-only");
    shown(&database(&schema(7, false), Ok(()), "fsync"), Outcome::Failed, "`fsync`");
}

#[test]
fn modes_are_kept_apart() {
    shown(&modes(false, true), Outcome::Ok, "one mode");
    shown(&modes(true, true), Outcome::Warning, "test customers too");
    shown(&modes(true, false), Outcome::Warning, "live customers too");
}

#[test]
fn work_is_done_waits_too_long_or_was_given_up() {
    let backlog = |dirty, parked, parked_commands, oldest: i64| Backlog {
        dirty,
        parked,
        parked_commands,
        oldest: (dirty > 0).then(|| at(oldest)),
    };
    shown(&work(&backlog(0, 0, 0, 0), at(0)), Outcome::Ok, "0 customers");
    shown(&work(&backlog(3, 0, 0, -60_000), at(0)), Outcome::Ok, "3 customers");
    shown(&work(&backlog(3, 0, 0, -600_000), at(0)), Outcome::Failed, "10 minutes");
    shown(&work(&backlog(0, 1, 0, 0), at(0)), Outcome::Failed, "given up");
    shown(&work(&backlog(0, 0, 2, 0), at(0)), Outcome::Failed, "2 customers or commands");
}

#[test]
fn sweeps_run_and_their_findings_are_told() {
    let state = |running, next: i64| RunState {
        running,
        progress: None,
        finished_at: Some(at(-1_000)),
        next_at: at(next),
    };
    shown(&sweep(None, &[], at(0)), Outcome::Warning, "no sweep");
    shown(&sweep(Some(&state(false, 60_000)), &[], at(0)), Outcome::Ok, "ended at");
    shown(&sweep(Some(&state(false, -2 * DAY_MS)), &[], at(0)), Outcome::Failed, "due since");
    shown(&sweep(Some(&state(true, -2 * DAY_MS)), &[], at(0)), Outcome::Ok, "ended at");
    let open = [(DriftKind::Duplicate, 2), (DriftKind::UnownedPayment, 1)];
    shown(&sweep(Some(&state(false, 60_000)), &open, at(0)), Outcome::Warning, "3 findings");
}

#[test]
fn an_account_takes_payments_or_does_not() {
    let account = |charges, payouts| ObservedAccount {
        id: "acct_1".into(),
        charges_enabled: charges,
        payouts_enabled: payouts,
        details_submitted: payouts,
        country: None,
        default_currency: None,
    };
    shown(&super::account(&account(true, true)), Outcome::Ok, "takes payments");
    shown(&super::account(&account(true, false)), Outcome::Warning, "not paid out");
    shown(&super::account(&account(false, true)), Outcome::Failed, "cannot take payments");
}

#[test]
fn a_clock_is_right_a_little_off_or_wrong() {
    shown(&clock(Some(-1_500), 300), Outcome::Ok, "two seconds");
    shown(&clock(Some(20_000), 300), Outcome::Warning, "20 seconds");
    shown(&clock(Some(-200_000), 300), Outcome::Failed, "-200 seconds");
    shown(&clock(None, 300), Outcome::Skipped, "did not tell");
}

#[test]
fn an_endpoint_is_there_on_and_told_everything() {
    let url = "https://pay.example.com/webhooks/stripe";
    let whole = || ObservedWebhookEndpoint {
        id: "we_1".into(),
        status: "enabled".into(),
        livemode: false,
        url: url.into(),
        api_version: Some(API_VERSION.into()),
        enabled_events: WANTED_EVENTS.iter().map(|event| (*event).to_owned()).collect(),
        metadata: Default::default(),
        secret: None,
    };
    shown(&endpoint(&[whole()], url), Outcome::Ok, "every event");
    let all = ObservedWebhookEndpoint { enabled_events: vec!["*".into()], ..whole() };
    shown(&endpoint(&[all], url), Outcome::Ok, "every event");
    shown(&endpoint(&[], url), Outcome::Failed, "no webhook endpoint");
    shown(
        &endpoint(&[whole()], "https://other.example.com/webhooks/stripe"),
        Outcome::Failed,
        "no webhook endpoint",
    );
    shown(&endpoint(&[whole(), whole()], url), Outcome::Warning, "2 endpoints");
    let off = ObservedWebhookEndpoint { status: "disabled".into(), ..whole() };
    shown(&endpoint(&[off], url), Outcome::Failed, "disabled");
    for event in WANTED_EVENTS {
        let mut less = whole();
        less.enabled_events.retain(|has| has != event);
        shown(&endpoint(&[less], url), Outcome::Failed, event);
    }
    for version in [Some("2024-06-20".to_owned()), None] {
        let older = ObservedWebhookEndpoint { api_version: version, ..whole() };
        shown(&endpoint(&[older], url), Outcome::Warning, API_VERSION);
    }
}

#[test]
fn webhooks_arrive_or_nothing_shows_that_they_do() {
    shown(&received(Some(at(-1_000)), at(0)), Outcome::Ok, "accepted at");
    shown(&received(Some(at(-8 * DAY_MS)), at(0)), Outcome::Warning, "accepted at");
    shown(&received(None, at(0)), Outcome::Warning, "no webhook");
}

#[test]
fn the_provider_sells_what_the_catalog_says_or_not() {
    let outcomes = |plan: &ShopPlan| shop(plan).map(|check| check.outcome);
    assert_eq!(outcomes(&ShopPlan::default()), [Outcome::Ok, Outcome::Ok, Outcome::Ok]);
    let product = Step::CreateProduct {
        product: "p".into(),
        plan: "pro".into(),
        name: "Pro".into(),
        description: None,
    };
    let missing = ShopPlan { steps: vec![product], ..ShopPlan::default() };
    assert_eq!(outcomes(&missing), [Outcome::Failed, Outcome::Ok, Outcome::Ok]);
    let archive = Step::ArchivePrice { price: "price_1".into(), plan: "pro".into() };
    assert_eq!(
        outcomes(&ShopPlan { steps: vec![archive], ..ShopPlan::default() }),
        [Outcome::Warning, Outcome::Ok, Outcome::Ok]
    );
    let found = Finding { about: "pro".into(), what: "another amount".into(), mend: "change it".into() };
    let differs = ShopPlan { findings: vec![found.clone()], ..ShopPlan::default() };
    shown(&shop(&differs)[0], Outcome::Warning, "another amount");
    let taxed = ShopPlan { tax: vec![found.clone()], ..ShopPlan::default() };
    assert_eq!(outcomes(&taxed), [Outcome::Ok, Outcome::Ok, Outcome::Warning]);
    shown(&shop(&taxed)[2], Outcome::Warning, "pro: another amount");
    let several = ShopPlan { tax: vec![found.clone(), found], ..ShopPlan::default() };
    shown(&shop(&several)[2], Outcome::Warning, "2 prices; first: pro");
}

#[test]
fn the_address_leads_here_elsewhere_or_nowhere() {
    shown(&reached("https://a.example", Ok(200)), Outcome::Ok, "answers");
    shown(&reached("https://a.example", Ok(502)), Outcome::Failed, "502");
    shown(&reached("https://a.example", Err("no such host".into())), Outcome::Warning, "no such host");
}
