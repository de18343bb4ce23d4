//! The configuration: the reference file is the defaults, mistakes are named with their mend, secrets stay hidden.

use std::path::PathBuf;

use super::*;
use crate::failure::Exit;

const REFERENCE: &str = include_str!("../../../../quittance.toml");

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quittance.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn loaded(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, crate::failure::Failure> {
    let (_folder, path) = file(text);
    load(Some(&path), &|name| {
        environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

const GOOD: [(&str, &str); 2] =
    [("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_WEBHOOK_SECRET", "whsec_1, whsec_2")];

fn refusal(text: &str, environment: &[(&str, &str)]) -> String {
    let failure = match loaded(text, environment) {
        Ok(loaded) => loaded.check().map(drop).unwrap_err(),
        Err(failure) => failure,
    };
    assert_eq!(failure.exit, Exit::Usage, "{failure:?}");
    format!("{} | {}", failure.what, failure.mend)
}

#[test]
fn the_reference_file_is_the_defaults_and_names_every_setting() {
    let mut read = loaded(REFERENCE, &[]).unwrap().config;
    // A relative catalog lies beside the file.
    assert!(read.catalog.ends_with("/catalog.toml"), "{}", read.catalog);
    read.catalog = DEFAULT_CATALOG.to_owned();
    assert_eq!(read, Config::default());

    let mut section = String::new();
    let mut named: Vec<(String, String)> = Vec::new();
    for line in REFERENCE.lines() {
        let line = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            // A table within a section is a key of it.
            if let Some((outer, inner)) = name.split_once('.') {
                named.push((outer.to_owned(), inner.to_owned()));
            }
        } else if let Some((key, _)) = line.split_once(" = ") {
            named.push((section.clone(), key.to_owned()));
        }
    }
    for (section, names) in keys::all() {
        for key in names {
            assert!(
                named.contains(&(section.clone(), key.clone())),
                "quittance.toml does not name {section}.{key}"
            );
        }
    }
}

#[test]
fn commented_settings_of_the_reference_are_settings() {
    let text: String = REFERENCE
        .lines()
        .map(|line| {
            if line.starts_with("# ") && line.contains(" = ") { line.trim_start_matches("# ") } else { line }
        })
        .map(|line| format!("{line}\n"))
        .collect();
    loaded(&text, &[]).unwrap();
}

#[test]
fn the_environment_wins_and_an_empty_variable_is_unset() {
    let text = "listen = \"127.0.0.1:1\"\n[database]\nurl = \"sqlite://one.db\"\n[stripe]\nsecret_key = \"sk_test_file\"";
    let environment =
        [("DATABASE_URL", "sqlite://two.db"), ("QUITTANCE_LISTEN", ""), ("STRIPE_SECRET_KEY", "rk_live_env")];
    let config = loaded(text, &environment).unwrap().config;
    assert_eq!(config.database.url, "sqlite://two.db");
    assert_eq!(config.listen, "127.0.0.1:1");
    assert_eq!(config.stripe.secret_key.as_ref().unwrap().expose(), "rk_live_env");
}

#[test]
fn a_good_configuration_starts_in_the_mode_of_its_key() {
    let checked = loaded("", &GOOD).unwrap().check().unwrap();
    assert!(!checked.stripe.livemode && checked.demo_catalog);
    assert_eq!(checked.settings.webhook_secrets.len(), 2);
    assert_eq!(checked.settings.public_url, "http://127.0.0.1:4242");
    let mut live = GOOD.to_vec();
    live.extend([("STRIPE_SECRET_KEY", "sk_live_1"), ("QUITTANCE_PUBLIC_URL", "https://pay.example.com/")]);
    live.remove(0);
    let (folder, path) = file("");
    std::fs::write(folder.path().join("catalog.toml"), DEMO_CATALOG).unwrap();
    let get = |name: &str| live.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let checked = load(Some(&path), &get).unwrap().check().unwrap();
    assert!(checked.stripe.livemode && !checked.demo_catalog);
    assert_eq!(checked.settings.public_url, "https://pay.example.com");
}

/// A14: nothing starts half configured, and nothing that is missing turns into a plan.
#[test]
fn a14_what_is_missing_is_named() {
    assert!(refusal("", &[]).contains("STRIPE_SECRET_KEY"));
    assert!(refusal("", &[("STRIPE_SECRET_KEY", "sk_test_1")]).contains("STRIPE_WEBHOOK_SECRET"));
    assert!(refusal("", &[GOOD[0], ("STRIPE_WEBHOOK_SECRET", " , ")]).contains("STRIPE_WEBHOOK_SECRET"));
    let live = [("STRIPE_SECRET_KEY", "sk_live_1"), GOOD[1]];
    assert!(refusal("", &live).contains("catalog"), "live mode sells nothing that nobody wrote down");
}

/// A file, an environment, and words of the error and of the mend.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

#[test]
fn what_cannot_be_is_named_with_its_mend() {
    let cases: [Case; 23] = [
        ("[stripe]\nsecert_key = \"x\"", &[], "stripe.secert_key", "secret_key"),
        ("grace_days = 3", &[], "grace_days", "grace_days in [access]"),
        ("[strip]\nx = 1", &[], "[strip]", "stripe"),
        ("sit = \"x\"", &[], "`sit`", "site"),
        ("listen = ", &[], "TOML", "line"),
        ("[access]\ngrace_days = -1", &[], "grace_days", "value"),
        ("[access.money]\nrefund_full = \"maybe\"", &[], "refund_full", "value"),
        ("[access.status]\nactive = \"revoked\"", &GOOD, "access.status.active", "granted"),
        ("[access.status]\nhibernating = \"granted\"", &[], "hibernating", "past_due"),
        ("[access]\nplan = { gold = { grace_days = 1 } }", &GOOD, "access.plan.gold", "pro"),
        ("[dunning]\nschedule_days = [3, 1]", &GOOD, "dunning.schedule_days", "growing"),
        ("[dunning]\ntime_zone = \"Mars\"", &GOOD, "dunning.time_zone", "Asia/Tokyo"),
        ("[webhooks]\ntolerance_s = 0", &GOOD, "webhooks.tolerance_s", "1 to 86400"),
        ("[retry]\ncap_ms = 1", &GOOD, "retry.cap_ms", "500"),
        ("[api]\ntrusted_proxies = [\"proxy.internal\"]", &GOOD, "api.trusted_proxies", "10.0.0.0/8"),
        ("[api]\ntrusted_proxies = [\"0.0.0.0/0\"]", &GOOD, "api.trusted_proxies", "10.0.0.0/8"),
        ("listen = \"nowhere\"", &GOOD, "QUITTANCE_LISTEN", "address:port"),
        ("public_url = \"ftp://x\"", &GOOD, "QUITTANCE_PUBLIC_URL", "https://"),
        ("", &[GOOD[1], ("STRIPE_SECRET_KEY", "pk_test_1")], "publishable", "secret key"),
        ("", &[GOOD[1], ("STRIPE_SECRET_KEY", "hunter2")], "prefix", "prefix"),
        ("", &[GOOD[0], ("STRIPE_WEBHOOK_SECRET", "sk_test_1")], "whsec_", "signing secret"),
        ("", &[GOOD[0], GOOD[1], ("DATABASE_URL", "mysql://x")], "DATABASE_URL", "postgres://"),
        (
            "",
            &[GOOD[0], GOOD[1], ("STRIPE_API_BASE", "http://elsewhere")],
            "STRIPE_API_BASE",
            "allow_plain_http",
        ),
    ];
    for (text, environment, what, mend) in cases {
        let said = refusal(text, environment);
        let (before, after) = said.split_once(" | ").unwrap();
        assert!(
            said.contains(what) && (after.contains(mend) || before.contains(mend)),
            "{text:?} {environment:?}: {said}"
        );
        assert!(!said.contains("hunter2"), "a secret is not repeated: {said}");
    }
}

#[test]
fn a_catalog_with_two_plans_for_one_price_is_refused() {
    let (folder, path) = file("catalog = \"mine.toml\"");
    let doubled = DEMO_CATALOG.replace(
        "currency = \"jpy\", amount = 9800 }",
        "currency = \"jpy\", amount = 9800, lookup_key = \"pro_month_jpy\" }",
    );
    assert_ne!(doubled, DEMO_CATALOG);
    std::fs::write(folder.path().join("mine.toml"), doubled).unwrap();
    let get = |name: &str| GOOD.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let failure = load(Some(&path), &get).unwrap().check().unwrap_err();
    assert!(
        failure.what.contains("`pro_month_jpy` belongs to plan `pro` and to plan `studio`"),
        "{failure:?}"
    );
    std::fs::remove_file(folder.path().join("mine.toml")).unwrap();
    let failure = load(Some(&path), &get).unwrap().check().unwrap_err();
    assert!(failure.what.contains("mine.toml"), "one that was named must exist: {failure:?}");
}

/// The line of a mistake may hold a secret: only its number is told.
#[test]
fn a_broken_file_is_not_quoted() {
    for text in [
        "[stripe]\nsecret_key = \"sk_live_hunter2\nwebhook_secret = \"whsec_1\"",
        "[stripe]\nsecret_key = sk_live_hunter2",
        "[stripe]\nsecret_key = \"sk_live_hunter2\" x",
    ] {
        let said = refusal(text, &[]);
        assert!(said.contains("line 2") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn the_apps_address_is_a_web_address() {
    let checked = |text: &str| loaded(text, &GOOD).unwrap().check();
    assert_eq!(checked("").unwrap().settings.app_url, None);
    let app = checked("app_url = \"https://app.example/home?from=billing\"").unwrap().settings.app_url;
    assert_eq!(app.as_deref(), Some("https://app.example/home?from=billing"));
    for bad in ["javascript:alert(1)", "app.example", "ftp://app.example", "https://"] {
        let failure = checked(&format!("app_url = \"{bad}\"")).unwrap_err();
        assert!(failure.what.contains("QUITTANCE_APP_URL (app_url)"), "{bad}: {failure:?}");
    }
}

const SMTP: (&str, &str) = ("SMTP_URL", "smtps://user:hush@mail.example.com");
const ROOT: (&str, &str) = ("QUITTANCE_SECRET", "0123456789abcdef0123456789abcdef");
const FROM: &str = "[mail]\nfrom = \"Atelier <billing@example.com>\"\n";

#[test]
fn mail_is_checked_before_the_start() {
    let checked = loaded(FROM, &[GOOD[0], GOOD[1], SMTP, ROOT]).unwrap().check().unwrap();
    assert!(matches!(checked.mail.outlet, Outlet::Smtp(_)));
    assert!(!format!("{:?}", checked.mail).contains("hush"));
    let none = loaded("", &GOOD).unwrap().check().unwrap();
    assert!(matches!(none.mail.outlet, Outlet::None));
    let cases: [Case; 9] = [
        ("", &[GOOD[0], GOOD[1], SMTP, ROOT], "mail.from", "billing@example.com"),
        (FROM, &[GOOD[0], GOOD[1], SMTP], "QUITTANCE_SECRET", "openssl"),
        (FROM, &[GOOD[0], GOOD[1], ROOT, ("SMTP_URL", "mail.example.com")], "SMTP_URL", "smtps://"),
        ("[mail]\nfrom = \"Atelier\"", &GOOD, "mail.from", "billing@example.com"),
        ("[mail]\nreply_to = \"x\"", &GOOD, "mail.reply_to", "billing@example.com"),
        ("[mail]\nzone = \"Tokyo\"", &GOOD, "mail.zone", "Asia/Tokyo"),
        ("[mail]\noff = [\"newsletter\"]", &GOOD, "newsletter", "value"),
        ("[mail]\nlocale = \"fr\"", &GOOD, "fr", "value"),
        ("[mail]\ntemplates = \"nowhere\"", &GOOD, "templates", "mail.templates"),
    ];
    for (text, environment, what, mend) in cases {
        let said = refusal(text, environment);
        assert!(said.contains(what) && said.contains(mend), "{text:?}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

/// A broken template stops the start, with file, line and mend.
#[test]
fn a_broken_template_is_named() {
    let (folder, path) = file("[mail]\ntemplates = \"mine\"");
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("receipt.ja.md"), "subject: 領収書\n\n{{ amont }}\n").unwrap();
    let get = |name: &str| GOOD.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let failure = load(Some(&path), &get).unwrap().check().unwrap_err();
    for word in ["receipt.ja.md", "line 3", "`amont` is no variable"] {
        assert!(failure.what.contains(word), "{failure:?}");
    }
    assert!(failure.mend.contains("amount"), "{failure:?}");
}

#[test]
fn printed_it_hides_secrets() {
    let environment = [
        ("STRIPE_SECRET_KEY", "sk_test_hush"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_hush"),
        ("QUITTANCE_SECRET", "hush"),
    ];
    let config = loaded("", &environment).unwrap().config;
    let shown = format!("{}{config:?}", toml::to_string(&config).unwrap());
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("sk_test_(hidden)") && shown.contains("whsec_(hidden)"));
}

#[test]
fn a_cron_line_says_when_sweeps_run_and_a_wrong_one_is_named() {
    let sweep = |lines: &str| {
        format!("[sweep]\n{lines}\n[stripe]\nsecret_key = \"sk_test_x\"\nwebhook_secret = \"whsec_x\"")
    };
    let checked = |lines: &str| {
        let loaded = loaded(&sweep(lines), &[]).unwrap();
        super::sweep_schedule(&loaded.config)
    };
    assert!(checked("every_s = 60").unwrap().is_none());
    let schedule = checked("schedule = \"30 3 * * *\"\ntime_zone = \"Asia/Tokyo\"").unwrap().unwrap();
    assert_eq!(format!("{schedule:?}"), "30 3 * * * Asia/Tokyo");
    for lines in ["schedule = \"every night\"", "schedule = \"* * * * *\"\ntime_zone = \"Moon\""] {
        let failure = checked(lines).unwrap_err();
        assert!(failure.what.contains("sweep.schedule") && failure.mend.contains("*/10"), "{failure:?}");
        assert_eq!(failure.exit, Exit::Usage);
    }
}
