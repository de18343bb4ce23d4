//! Checking: everything that can be found out before the start is found out here, and named with its mend.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use quittance_domain::access::PolicyError;
use quittance_domain::alert::AlertPolicy;
use quittance_domain::change::When;
use quittance_domain::notices::RuleTable;
use quittance_domain::shop::PortalPolicy;
use quittance_domain::signing::RotationPolicy;
use quittance_domain::time::{DAY_MS, HOUR_MS, SECOND_MS};
use quittance_domain::{AccessPolicy, Catalog};
use quittance_engine::Settings;
use quittance_engine::alerts::AlertSettings;
use quittance_engine::app_webhooks::AppWebhooks;
use quittance_engine::app_webhooks::reach::Reach;
use quittance_engine::retention::RetentionSettings;
use quittance_engine::schedule::Schedule;
use quittance_engine::settings::TokenSettings;
use quittance_stripe::config::{ConfigError, RateLimits, StripeConfig};
use secrecy::SecretString;

use super::{CheckedMail, Config, DEMO_CATALOG, Loaded, Retention};
use crate::failure::Failure;
use crate::http::Proxies;

const MINUTE_MS: i64 = 60_000;
/// Addresses that mails about alerts may go to.
const MOST_OPERATORS: usize = 20;

/// A configuration that a server can start with.
#[derive(Debug)]
pub struct Checked {
    /// The settings as configured.
    pub config: Config,
    /// Where to listen.
    pub listen: SocketAddr,
    /// For the engine.
    pub settings: Settings,
    /// For the provider's client.
    pub stripe: StripeConfig,
    /// What is sold.
    pub catalog: Arc<Catalog>,
    /// The demo catalog stands in for a missing one.
    pub demo_catalog: bool,
    /// Mail to customers.
    pub mail: CheckedMail,
    /// The proxies whose word about visitors is taken.
    pub proxies: Proxies,
}

impl Loaded {
    /// Checks everything that `quittance serve` needs.
    ///
    /// # Errors
    /// The first thing that is wrong, with its key and mend.
    pub fn check(self) -> Result<Checked, Failure> {
        let stripe = stripe_config(&self.config)?;
        let secrets = webhook_secrets(&self.config)?;
        let (catalog, demo_catalog) = catalog(&self, stripe.livemode)?;
        policies(&self.config, &catalog)?;
        let settings = settings(&self.config, &stripe, secrets)?;
        let listen = listen(&self.config)?;
        database(&self.config)?;
        root_key(&self.config)?;
        let mail = super::mail(&self.config, &settings.public_url)?;
        let proxies = Proxies::read(&self.config.api.trusted_proxies).map_err(|error| {
            Failure::config(
                format!("api.trusted_proxies: {error}"),
                "List addresses and networks of proxies before this server, such as \"10.0.0.0/8\", \"192.0.2.7\" or \"2001:db8::/32\"; or none.",
            )
        })?;
        Ok(Checked {
            config: self.config,
            listen,
            settings,
            stripe,
            catalog: Arc::new(catalog),
            demo_catalog,
            mail,
            proxies,
        })
    }
}

/// The provider's client's settings; the mode follows the key's prefix.
///
/// # Errors
/// Names `STRIPE_SECRET_KEY` or `STRIPE_API_BASE`.
pub fn stripe_config(config: &Config) -> Result<StripeConfig, Failure> {
    let wanted = &config.stripe;
    let key = wanted.secret_key.as_ref().filter(|key| !key.expose().is_empty()).ok_or_else(|| {
        Failure::config(
            "STRIPE_SECRET_KEY (stripe.secret_key) is not set",
            "Copy the secret key from Stripe's dashboard (Developers, API keys), or run `quittance dev`, which needs none.",
        )
    })?;
    let kinds =
        [("sk_live_", true), ("rk_live_", true), ("sk_test_", false), ("rk_test_", false), ("pk_", false)];
    let Some((_, livemode)) = kinds.into_iter().find(|(prefix, _)| key.expose().starts_with(prefix)) else {
        return Err(Failure::config(
            "STRIPE_SECRET_KEY (stripe.secret_key) is no secret key: it begins with none of sk_live_, rk_live_, sk_test_, rk_test_",
            "Copy the secret key again; its prefix decides between live and test mode.",
        ));
    };
    let mut limits = RateLimits::for_mode(livemode);
    limits.per_second = wanted.calls_per_second.unwrap_or(limits.per_second);
    limits.per_endpoint_per_second =
        wanted.calls_per_endpoint_per_second.unwrap_or(limits.per_endpoint_per_second);
    if limits.per_second == 0 || limits.per_endpoint_per_second == 0 {
        return Err(out_of_range("stripe.calls_per_second", "1 or more"));
    }
    limits.sweep_reserve = limits.per_second / 2;
    let made = StripeConfig {
        api_base: wanted.api_base.clone(),
        account: wanted.account.clone().filter(|account| !account.is_empty()),
        allow_plain_http: wanted.allow_plain_http,
        limits,
        ..StripeConfig::new(key.to_secret(), livemode)
    };
    made.check().map_err(|error| of_stripe(&error))?;
    Ok(made)
}

fn of_stripe(error: &ConfigError) -> Failure {
    let mend = match error {
        ConfigError::NoKey
        | ConfigError::UnusableKey
        | ConfigError::PublishableKey
        | ConfigError::WrongMode { .. } => {
            "Set STRIPE_SECRET_KEY (stripe.secret_key) to the secret key of Stripe's dashboard."
        }
        ConfigError::UnusableHeader { .. } => "Correct it in quittance.toml, or remove it.",
        ConfigError::Address { .. } => {
            "Set STRIPE_API_BASE (stripe.api_base) to https://host, or remove it to use Stripe's own. For a test server on a private network set stripe.allow_plain_http = true."
        }
    };
    Failure::config(error.to_string(), mend)
}

/// The publishable key: no secret, and of the same mode as the secret one.
fn publishable_key(config: &Config, livemode: bool) -> Result<Option<String>, Failure> {
    let Some(key) = config.stripe.publishable_key.as_deref().filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    let prefix = if livemode { "pk_live_" } else { "pk_test_" };
    let fits = key.starts_with(prefix)
        && key.len() <= 500
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !fits {
        // It may be a secret key by mistake: it is not repeated.
        return Err(Failure::config(
            format!(
                "STRIPE_PUBLISHABLE_KEY (stripe.publishable_key) is no publishable key of this mode: it does not begin with {prefix}"
            ),
            "Copy the publishable key from the same page of Stripe's dashboard as the secret key (Developers, API keys).",
        ));
    }
    Ok(Some(key.to_owned()))
}

fn webhook_secrets(config: &Config) -> Result<Vec<SecretString>, Failure> {
    let text = config.stripe.webhook_secret.as_ref().map(super::Secret::expose).unwrap_or_default();
    let secrets: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if secrets.is_empty() {
        return Err(Failure::config(
            "STRIPE_WEBHOOK_SECRET (stripe.webhook_secret) is not set; without it no webhook could be told from a forged one",
            "Copy the signing secret (whsec_…) of the endpoint <your address>/webhooks/stripe from Stripe's dashboard (Developers, Webhooks).",
        ));
    }
    if let Some(wrong) = secrets.iter().position(|secret| !secret.starts_with("whsec_")) {
        return Err(Failure::config(
            format!(
                "STRIPE_WEBHOOK_SECRET (stripe.webhook_secret): part {} does not begin with whsec_",
                wrong + 1
            ),
            "Copy the endpoint's signing secret, not an API key; separate several with commas while one is rolled.",
        ));
    }
    Ok(secrets.into_iter().map(|secret| SecretString::from(secret.to_owned())).collect())
}

/// Reads the catalog. In test mode the demo catalog stands in for one that nobody named.
///
/// # Errors
/// When it is missing or broken; the text names the plan and the mend.
pub fn catalog(loaded: &Loaded, livemode: bool) -> Result<(Catalog, bool), Failure> {
    let path = Path::new(&loaded.config.catalog);
    let (text, demo) = match std::fs::read_to_string(path) {
        Ok(text) => (text, false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !loaded.catalog_named && !livemode => {
            (DEMO_CATALOG.to_owned(), true)
        }
        Err(error) => {
            return Err(Failure::config(
                format!("the catalog {} cannot be read: {error}", path.display()),
                "Write what you sell into it (the repository's catalog.toml is an example), or name another file with QUITTANCE_CATALOG or `catalog` in quittance.toml.",
            ));
        }
    };
    Ok((parsed(path, &text)?, demo))
}

/// Reads a catalog that was named.
///
/// # Errors
/// As [`catalog`].
pub fn read_catalog(path: &Path) -> Result<Catalog, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::config(
            format!("the catalog {} cannot be read: {error}", path.display()),
            "Name a catalog file; the repository's catalog.toml is an example.",
        )
    })?;
    parsed(path, &text)
}

fn parsed(path: &Path, text: &str) -> Result<Catalog, Failure> {
    Catalog::parse(text).map_err(|error| {
        let what = error.to_string();
        let what = what.trim().trim_start_matches("catalog: ");
        Failure::config(
            format!("the catalog {} cannot be used: {what}", path.display()),
            "Correct the catalog and start again; nothing was sold under it.",
        )
    })
}

/// The notice rules: those of the file that is named, or the built-in ones.
///
/// # Errors
/// When the file is missing or broken; the text names the rule and the mend.
fn notice_rules(config: &Config) -> Result<RuleTable, Failure> {
    let Some(path) = &config.notice_rules else { return Ok(RuleTable::built_in()) };
    let mend = "Correct it, or remove `notice_rules` to use the built-in rules; `quittance notices rules` prints them.";
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::config(format!("the notice rules {path} cannot be read: {error}"), mend))?;
    RuleTable::parse(&text)
        .map_err(|error| Failure::config(format!("the notice rules {path} cannot be used: {error}"), mend))
}

fn settings(
    config: &Config,
    stripe: &StripeConfig,
    webhook_secrets: Vec<SecretString>,
) -> Result<Settings, Failure> {
    ranges(config)?;
    Ok(Settings {
        access: config.access.clone(),
        changes: config.changes,
        notices: config.notices.clone(),
        notice_rules: Arc::new(notice_rules(config)?),
        dunning: config.dunning.clone(),
        disputes: config.disputes.clone(),
        fraud: config.fraud.clone(),
        trials: config.trials,
        trial_secret: config.secret.as_ref().map(super::Secret::to_secret),
        retry: config.retry,
        portal: portal_policy(config),
        on_duplicate: config.sync.on_duplicate,
        customer_metadata_keys: config.stripe.customer_metadata_keys.clone(),
        webhook_secrets,
        webhook_tolerance_s: config.webhooks.tolerance_s,
        settle_ms: config.webhooks.settle_ms,
        spacing_ms: config.webhooks.spacing_ms,
        inbox_queue: config.webhooks.queue,
        sync_concurrency: config.sync.concurrency,
        redirect_wait_ms: config.api.redirect_wait_ms,
        sweep_every_ms: config.sweep.every_s.saturating_mul(1_000),
        sweep_schedule: sweep_schedule(config)?,
        email_truth: config.sweep.email,
        cached_customers: config.api.cached_customers,
        idempotency_kept_ms: config.api.idempotency_kept_h.saturating_mul(60 * MINUTE_MS),
        public_url: public_url(config, stripe.livemode)?,
        publishable_key: publishable_key(config, stripe.livemode)?,
        look_ms: Settings::default().look_ms,
        sweep_findings: Settings::default().sweep_findings,
        app_url: app_url(config, stripe.livemode)?,
        root_key: config.secret.as_ref().map(super::Secret::to_secret),
        tokens: tokens(config),
        app_webhooks: app_webhooks(config, stripe.livemode)?,
        alerts: alerts(config)?,
        retention: retention(&config.retention),
        shadow_webhooks: config.shadow.webhooks,
    })
}

/// The choices about webhooks to the app; `http://` is for test mode only.
///
/// # Errors
/// Names `app_webhooks.allow`.
pub fn app_webhooks(config: &Config, livemode: bool) -> Result<AppWebhooks, Failure> {
    let allow = config.app_webhooks.allow.iter().map(|text| text.parse()).collect::<Result<_, String>>();
    let allow = allow.map_err(|why| {
        Failure::config(
            format!("app_webhooks.allow cannot be used: {why}"),
            "Name addresses or networks in quittance.toml, such as [\"10.1.2.3\", \"10.2.0.0/16\"], or remove it.",
        )
    })?;
    Ok(AppWebhooks {
        reach: Reach { allow, plain_http: !livemode },
        timeout_ms: config.app_webhooks.timeout_s.saturating_mul(1_000),
        disable_after_ms: config.app_webhooks.disable_after_days.saturating_mul(DAY_MS),
        kept_ms: config.app_webhooks.keep_days.saturating_mul(DAY_MS),
    })
}

fn retention(config: &Retention) -> RetentionSettings {
    let Retention { events_days, deliveries_days, mails_days, drifts_days } = *config;
    RetentionSettings { events_days, deliveries_days, mails_days, drifts_days }
}

/// How operators are told of alerts.
///
/// # Errors
/// Names `alerts.mail`.
fn alerts(config: &Config) -> Result<AlertSettings, Failure> {
    let alerts = &config.alerts;
    if let Some(place) = alerts.mail.iter().position(|address| !quittance_mail::message::is_address(address))
    {
        return Err(Failure::config(
            format!("alerts.mail: entry {} is no mail address", place + 1),
            "Name plain addresses such as [\"ops@example.com\"].",
        ));
    }
    if alerts.mail.len() > MOST_OPERATORS {
        return Err(out_of_range("alerts.mail", &format!("at most {MOST_OPERATORS} addresses")));
    }
    if !alerts.mail.is_empty() && config.mail.url.as_ref().is_none_or(|url| url.expose().is_empty()) {
        return Err(Failure::config(
            "alerts.mail names addresses, and no mail server is configured",
            "Set SMTP_URL (mail.url), or remove alerts.mail; webhooks tell of alerts too (docs/operating.md).",
        ));
    }
    let policy = AlertPolicy { gather_s: alerts.gather_s, pause_s: alerts.pause_s, quiet_s: alerts.quiet_s };
    Ok(AlertSettings { policy, mail: alerts.mail.clone() })
}

/// When sweeps run, if a cron line says so.
pub(crate) fn sweep_schedule(config: &Config) -> Result<Option<Schedule>, Failure> {
    let line = config.sweep.schedule.as_deref().filter(|line| !line.is_empty());
    let read = line.map(|line| Schedule::parse(line, &config.sweep.time_zone)).transpose();
    read.map_err(|why| {
        Failure::config(
            format!("sweep.schedule cannot be: {why}"),
            "Write minute, hour, day, month and weekday, such as \"*/10 * * * *\", and an IANA time_zone such as \"Asia/Tokyo\".",
        )
    })
}

/// The choices about entitlement tokens.
#[must_use]
pub fn tokens(config: &Config) -> TokenSettings {
    TokenSettings {
        lifetime_ms: config.tokens.lifetime_s.saturating_mul(SECOND_MS),
        rotation: RotationPolicy {
            rotate_every_ms: config.tokens.rotate_days.saturating_mul(DAY_MS),
            publish_ahead_ms: config.tokens.publish_ahead_h.saturating_mul(HOUR_MS),
        },
    }
}

/// The policies: what they say must make sense, and name plans and zones that exist.
///
/// # Errors
/// Names the setting and what may stand there.
pub fn policies(config: &Config, catalog: &Catalog) -> Result<(), Failure> {
    access_policy(&config.access, catalog)?;
    config.dunning.check().map_err(|error| of_policy("dunning", &error))?;
    config.fraud.check().map_err(|error| of_policy("fraud", &error))?;
    config.disputes.check().map_err(|error| of_policy("disputes", &error))?;
    if jiff::tz::TimeZone::get(&config.dunning.time_zone).is_err() {
        return Err(out_of_range(
            "dunning.time_zone",
            "an IANA name of a time zone, such as Asia/Tokyo or Europe/Berlin",
        ));
    }
    Ok(())
}

/// The access table, beside the catalog that it names plans of.
///
/// # Errors
/// Names the setting and what may stand there.
pub fn access_policy(policy: &AccessPolicy, catalog: &Catalog) -> Result<(), Failure> {
    policy.check().map_err(|error| of_policy("access", &error))?;
    if let Some(stray) = policy.plan.keys().find(|key| catalog.plan(key.as_str()).is_none()) {
        let known: Vec<&str> = catalog.plans().iter().map(|plan| plan.key.as_str()).collect();
        return Err(Failure::config(
            format!("access.plan.{stray} is about a plan that the catalog does not have"),
            format!("Name one of {}, or remove it.", known.join(", ")),
        ));
    }
    Ok(())
}

fn of_policy(section: &str, error: &PolicyError) -> Failure {
    let PolicyError { key, value, why, allowed } = error;
    Failure::config(
        format!("{section}.{key} cannot be {value}: {why}"),
        format!("Set {section}.{key} in quittance.toml to {allowed}."),
    )
}

fn out_of_range(key: &str, range: &str) -> Failure {
    Failure::config(format!("{key} is out of range"), format!("Set {key} in quittance.toml to {range}."))
}

fn ranges(config: &Config) -> Result<(), Failure> {
    let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let hours = i64::from(config.access.renewal_slack_hours);
    let notices = &config.notices;
    let days = |days: u32| i64::from(days);
    let timeout_s = i64::try_from(config.app_webhooks.timeout_s).unwrap_or(i64::MAX);
    let checks: [(&str, i64, i64, i64); 42] = [
        ("shutdown_s", i64::try_from(config.shutdown_s).unwrap_or(i64::MAX), 0, 3_600),
        ("database.connections", i64::from(config.database.connections), 2, 1_000),
        ("database.readers", whole(config.database.readers), 1, 256),
        ("webhooks.tolerance_s", config.webhooks.tolerance_s, 1, 86_400),
        ("webhooks.settle_ms", config.webhooks.settle_ms, 0, 60_000),
        ("webhooks.spacing_ms", config.webhooks.spacing_ms, 0, 60_000),
        ("webhooks.queue", whole(config.webhooks.queue), 1, 1_000_000),
        ("tokens.lifetime_s", config.tokens.lifetime_s, 30, 3_600),
        ("tokens.rotate_days", config.tokens.rotate_days, 1, 3_650),
        ("tokens.publish_ahead_h", config.tokens.publish_ahead_h, 1, config.tokens.rotate_days * 12),
        ("app_webhooks.timeout_s", timeout_s, 1, 30),
        ("app_webhooks.disable_after_days", config.app_webhooks.disable_after_days, 1, 365),
        ("app_webhooks.keep_days", config.app_webhooks.keep_days, 7, 3_650),
        ("access.grace_days", i64::from(config.access.grace_days), 0, 3_650),
        ("access.renewal_slack_hours", hours, 0, 87_600),
        ("changes.quote_minutes", i64::from(config.changes.quote_minutes), 1, 10_080),
        ("notices.news_days", days(notices.news_days), 0, 365),
        ("notices.grace_ending_days", days(notices.grace_ending_days), 0, 3_650),
        ("notices.trial_ending_days", days(notices.trial_ending_days), 0, 730),
        ("notices.renewal_ahead_days", days(notices.renewal_ahead_days), 0, 365),
        ("notices.renewal_ahead_from_days", days(notices.renewal_ahead_from_days), 0, 36_500),
        ("notices.change_ahead_days", days(notices.change_ahead_days), 0, 365),
        ("notices.card_expiring_days", days(notices.card_expiring_days), 0, 365),
        ("notices.lead_minutes", days(notices.lead_minutes), 0, 1_440),
        ("sync.concurrency", whole(config.sync.concurrency), 1, 1_024),
        ("retry.base_ms", config.retry.base_ms, 1, 3_600_000),
        ("retry.cap_ms", config.retry.cap_ms, config.retry.base_ms, 86_400_000),
        ("retry.max_attempts", i64::from(config.retry.max_attempts), 1, 1_000),
        ("retry.lease_ms", config.retry.lease_ms, 1_000, 3_600_000),
        ("sweep.every_s", config.sweep.every_s, 10, 604_800),
        ("alerts.gather_s", config.alerts.gather_s, 0, 3_600),
        ("alerts.pause_s", config.alerts.pause_s, 0, 86_400),
        ("alerts.quiet_s", config.alerts.quiet_s, 0, 604_800),
        // The provider lists events for 30 days: one that is listed must still be known.
        ("retention.events_days", config.retention.events_days, 45, 36_500),
        ("retention.deliveries_days", config.retention.deliveries_days, 7, 36_500),
        // Cardholders may dispute for 540 days at most networks.
        ("retention.mails_days", config.retention.mails_days, 540, 36_500),
        ("retention.drifts_days", config.retention.drifts_days, 7, 36_500),
        ("api.body_limit", whole(config.api.body_limit), 16_384, 67_108_864),
        ("api.redirect_wait_ms", config.api.redirect_wait_ms, 0, 30_000),
        ("api.streams", whole(config.api.streams), 0, 10_000),
        ("api.connections", whole(config.api.connections), 1, 100_000),
        ("api.idempotency_kept_h", config.api.idempotency_kept_h, 1, 8_760),
    ];
    for (key, value, least, most) in checks {
        if !(least..=most).contains(&value) {
            return Err(out_of_range(key, &format!("a number from {least} to {most}; it is {value}")));
        }
    }
    portal(&config.portal)?;
    if config.stripe.customer_metadata_keys.iter().any(String::is_empty) {
        return Err(out_of_range("stripe.customer_metadata_keys", "names that are not empty"));
    }
    Ok(())
}

/// The portal's settings, with what [changes] says of changes that wait: a change has the same result there as here.
pub fn portal_policy(config: &Config) -> PortalPolicy {
    let waits = |when: When| when == When::PeriodEnd;
    let changes = &config.changes;
    let conditions = [
        ("decreasing_item_amount", waits(changes.downgrade) || waits(changes.fewer_units)),
        ("shortening_interval", waits(changes.shorter_interval)),
    ];
    let at_period_end =
        conditions.into_iter().filter(|(_, on)| *on).map(|(word, _)| word.to_owned()).collect();
    PortalPolicy { at_period_end, ..config.portal.clone() }
}

/// The words that the provider's portal knows.
fn portal(policy: &PortalPolicy) -> Result<(), Failure> {
    let reasons = [
        "too_expensive",
        "missing_features",
        "switched_service",
        "unused",
        "customer_service",
        "too_complex",
        "low_quality",
        "other",
    ];
    let proration = std::slice::from_ref(&policy.proration);
    let lists: [(&str, &[String], &[&str]); 3] = [
        ("portal.cancel_reasons", &policy.cancel_reasons, &reasons),
        (
            "portal.customer_update",
            &policy.customer_update,
            &["email", "name", "phone", "address", "shipping"],
        ),
        ("portal.proration", proration, &["always_invoice", "create_prorations", "none"]),
    ];
    for (key, words, known) in lists {
        if words.iter().any(|word| !known.contains(&word.as_str())) {
            return Err(out_of_range(key, &format!("any of {}", known.join(", "))));
        }
    }
    Ok(())
}

fn public_url(config: &Config, livemode: bool) -> Result<String, Failure> {
    let Some(url) = config.public_url.as_ref().filter(|url| !url.is_empty()) else {
        if livemode {
            return Err(Failure::config(
                "QUITTANCE_PUBLIC_URL (public_url) is not set",
                "Set it to the https address at which customers' browsers reach this server, such as https://billing.example.com.",
            ));
        }
        return Ok(format!("http://{}", config.listen));
    };
    let parsed = web_address("QUITTANCE_PUBLIC_URL (public_url)", url, livemode)?;
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(Failure::config(
            "QUITTANCE_PUBLIC_URL (public_url) cannot be used: it must hold nothing after the path",
            "Set it to scheme and host, such as https://billing.example.com.",
        ));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The app's own address, if it is set.
///
/// # Errors
/// Names `QUITTANCE_APP_URL`.
pub fn app_url(config: &Config, livemode: bool) -> Result<Option<String>, Failure> {
    let Some(url) = config.app_url.as_ref().filter(|url| !url.is_empty()) else { return Ok(None) };
    web_address("QUITTANCE_APP_URL (app_url)", url, livemode)?;
    Ok(Some(url.clone()))
}

fn web_address(setting: &str, url: &str, livemode: bool) -> Result<reqwest::Url, Failure> {
    let bad = |why: &str| {
        Failure::config(
            format!("{setting} cannot be used: {why}"),
            "Set it to scheme and host, such as https://app.example.com.",
        )
    };
    let parsed: reqwest::Url = url.parse().map_err(|_| bad("it is no address"))?;
    match parsed.scheme() {
        "https" => {}
        "http" if !livemode => {}
        "http" => return Err(bad("live mode needs https://")),
        _ => return Err(bad("it must begin with https://")),
    }
    if parsed.host_str().is_none() {
        return Err(bad("it names no host"));
    }
    Ok(parsed)
}

fn listen(config: &Config) -> Result<SocketAddr, Failure> {
    use std::net::ToSocketAddrs;
    let resolved = config.listen.to_socket_addrs().ok().and_then(|mut all| all.next());
    resolved.ok_or_else(|| {
        Failure::config(
            format!("QUITTANCE_LISTEN (listen) is `{}`, which is no address to listen on", config.listen),
            "Set it to address:port, such as 127.0.0.1:4242 or 0.0.0.0:8080.",
        )
    })
}

fn database(config: &Config) -> Result<(), Failure> {
    let url = &config.database.url;
    if ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(());
    }
    Err(Failure::config(
        "DATABASE_URL (database.url) begins with neither sqlite:// nor postgres://",
        "Set it to sqlite://path/to/quittance.db or postgres://user:password@host/database.",
    ))
}

fn root_key(config: &Config) -> Result<(), Failure> {
    match &config.secret {
        Some(secret) if secret.expose().len() < 32 => Err(Failure::config(
            "QUITTANCE_SECRET (secret) is too short: a root key has at least 32 characters",
            "Make one with `openssl rand -hex 32`.",
        )),
        Some(_) | None => Ok(()),
    }
}
