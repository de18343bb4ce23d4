//! The configuration: `quittance.toml`, and the environment, which wins.
//!
//! Read strictly: an unknown field, a value out of range or a missing secret stops the start and names the key and the
//! mend. The settings of the engine are all here; what they do is written in the annotated `quittance.toml` of the
//! repository, which a test compares with these defaults.

mod check;
mod keys;
mod load;
mod mail;
mod secret;
#[cfg(test)]
mod tests;

use quittance_domain::AccessPolicy;
use quittance_domain::alert::AlertPolicy;
use quittance_domain::change::ChangePolicy;
use quittance_domain::dispute::DisputePolicy;
use quittance_domain::dunning::DunningPolicy;
use quittance_domain::fraud::FraudPolicy;
use quittance_domain::lease::RetryPolicy;
use quittance_domain::notices::NoticePolicy;
use quittance_domain::shop::PortalPolicy;
use quittance_domain::time::{DAY_MS, HOUR_MS, SECOND_MS};
use quittance_domain::trial::TrialPolicy;
use quittance_engine::retention::RetentionSettings;
use quittance_engine::settings::{EmailTruth, OnDuplicate};
use serde::{Deserialize, Serialize};

pub(crate) use check::access_policy;
pub(crate) use check::sweep_schedule;
pub use check::{
    Checked, app_url, app_webhooks, catalog, portal_policy, read_catalog, stripe_config, tokens,
};
pub use load::{Loaded, load};
pub use mail::{CheckedMail, Mail, Outlet, mail, server as mail_server, templates as mail_templates};
pub use secret::Secret;

/// The name of the file that is read when `QUITTANCE_CONFIG` names none.
pub const DEFAULT_FILE: &str = "quittance.toml";
/// The catalog that is read when `catalog` names none.
pub const DEFAULT_CATALOG: &str = "catalog.toml";
/// The demo catalog, for `quittance dev` and for test mode without a catalog.
pub const DEMO_CATALOG: &str = include_str!("../../../../catalog.toml");

/// Which work a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// HTTP and syncing.
    #[default]
    Both,
    /// HTTP only: events are accepted and wait for a worker.
    Api,
    /// Syncing only.
    Worker,
}

impl Role {
    /// The word of configuration and command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people on a terminal, else JSON.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name that customers read on the pages.
    pub site: String,
    /// Where HTTP listens.
    pub listen: String,
    /// The address that browsers reach us at; `http://` and `listen` when absent, which only test mode allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// The app's own address, to which pages and the portal lead back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_url: Option<String>,
    /// The catalog's file.
    pub catalog: String,
    /// The file of the notice rules; the built-in ones when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_rules: Option<String>,
    /// Which work this process does.
    pub role: Role,
    /// How log lines look.
    pub log: LogFormat,
    /// The root key, which signs links to pages and encrypts stored secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// How long requests that are under way may take when the process is asked to stop, in seconds.
    pub shutdown_s: u64,
    /// The database.
    pub database: Database,
    /// The provider.
    pub stripe: Stripe,
    /// Incoming webhooks.
    pub webhooks: Webhooks,
    /// Entitlement tokens.
    pub tokens: Tokens,
    /// Webhooks to the app.
    pub app_webhooks: AppWebhooks,
    /// What each status does to access.
    pub access: AccessPolicy,
    /// When changes of subscriptions are made, and how.
    pub changes: ChangePolicy,
    /// When customers are told.
    pub notices: NoticePolicy,
    /// Failing payments.
    pub dunning: DunningPolicy,
    /// Fraud.
    pub fraud: FraudPolicy,
    /// Disputes.
    pub disputes: DisputePolicy,
    /// Who gets a trial.
    pub trials: TrialPolicy,
    /// Syncing.
    pub sync: Sync,
    /// What the provider's portal lets customers do.
    pub portal: PortalPolicy,
    /// How failures are retried.
    pub retry: RetryPolicy,
    /// Reconciliation.
    pub sweep: Sweep,
    /// The HTTP API.
    pub api: Api,
    /// Mail to customers.
    pub mail: Mail,
    /// Telling operators of alerts.
    pub alerts: Alerts,
    /// What is kept how long.
    pub retention: Retention,
    /// Beside an existing integration.
    pub shadow: Shadow,
}

/// Shadow mode: everything is mirrored, and nothing is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shadow {
    /// Whether it is on.
    pub on: bool,
    /// Whether the app is told by webhooks all the same.
    pub webhooks: bool,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// PostgreSQL: connections.
    pub connections: u32,
    /// SQLite: threads that read.
    pub readers: usize,
}

/// The provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stripe {
    /// The secret key; its prefix decides between live and test mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<Secret>,
    /// The publishable key, which browsers use on pages of the app: for checkouts that are not hosted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publishable_key: Option<String>,
    /// Signing secrets of the webhook endpoint, separated by commas while one is rolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<Secret>,
    /// Whom to call.
    pub api_base: String,
    /// A connected account on whose behalf to call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Lets `http://` go to other machines in test mode.
    pub allow_plain_http: bool,
    /// Metadata keys that name our customer on the provider's objects.
    pub customer_metadata_keys: Vec<String>,
    /// Calls a second in all; by mode when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<u32>,
    /// Calls a second to one endpoint; by mode when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_endpoint_per_second: Option<u32>,
}

/// Incoming webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// How old or early a signature may be, in seconds.
    pub tolerance_s: i64,
    /// How long a webhook's aggregate waits, so that a burst becomes one fetch, in milliseconds.
    pub settle_ms: i64,
    /// How long after a look the same customer is not looked at again for mere webhooks, in milliseconds.
    pub spacing_ms: i64,
    /// Events that may wait for a commit before new ones get 503.
    pub queue: usize,
}

/// Entitlement tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// How long a token lasts at most, in seconds.
    pub lifetime_s: i64,
    /// How long a key signs, in days.
    pub rotate_days: i64,
    /// How long a key is published before it signs, in hours.
    pub publish_ahead_h: i64,
}

/// Webhooks to the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppWebhooks {
    /// Addresses and networks that may be reached although they are not of the public internet.
    pub allow: Vec<String>,
    /// How long an endpoint may take to answer, in seconds.
    pub timeout_s: u64,
    /// Days of nothing but failures after which an endpoint is switched off.
    pub disable_after_days: i64,
    /// How long events are kept, in days.
    pub keep_days: i64,
}

/// Syncing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sync {
    /// Aggregates that are synced at the same time.
    pub concurrency: usize,
    /// What happens to a second live subscription of a plan group.
    pub on_duplicate: OnDuplicate,
}

/// Reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Seconds between sweeps.
    pub every_s: i64,
    /// A cron line that says when, instead.
    pub schedule: Option<String>,
    /// The time zone of the line, an IANA name.
    pub time_zone: String,
    /// Whose e-mail address is the right one.
    pub email: EmailTruth,
}

/// Telling operators of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// The addresses that mails about alerts go to.
    pub mail: Vec<String>,
    /// How long the first one waits for others, in seconds.
    pub gather_s: i64,
    /// The least time between two messages, in seconds.
    pub pause_s: i64,
    /// The least time between two tellings of one that ends and comes back, in seconds.
    pub quiet_s: i64,
}

/// What is kept how long, in days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// What the provider sent.
    pub events_days: i64,
    /// Records of mails and webhooks that left.
    pub deliveries_days: i64,
    /// What was sent by mail.
    pub mails_days: i64,
    /// Findings of sweeps that are mended.
    pub drifts_days: i64,
}

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// How long the return page waits for its sync before it shows "processing", in milliseconds.
    pub redirect_wait_ms: i64,
    /// How long answers to idempotency keys are kept, in hours.
    pub idempotency_kept_h: i64,
    /// Customers whose entitlements are kept in memory.
    pub cached_customers: usize,
    /// Streams of changes that may be open at the same time.
    pub streams: usize,
    /// Connections that may be open at the same time.
    pub connections: usize,
    /// Addresses and networks of proxies before this server, whose `X-Forwarded-For` says where visitors come from.
    pub trusted_proxies: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let engine = quittance_engine::Settings::default();
        Self {
            site: "Quittance".to_owned(),
            listen: "127.0.0.1:4242".to_owned(),
            public_url: None,
            app_url: None,
            catalog: DEFAULT_CATALOG.to_owned(),
            notice_rules: None,
            role: Role::default(),
            log: LogFormat::default(),
            secret: None,
            shutdown_s: 25,
            database: Database::default(),
            stripe: Stripe::default(),
            webhooks: Webhooks::default(),
            tokens: Tokens::default(),
            app_webhooks: AppWebhooks::default(),
            access: engine.access,
            changes: ChangePolicy::default(),
            notices: engine.notices,
            dunning: engine.dunning,
            disputes: engine.disputes,
            fraud: engine.fraud,
            trials: TrialPolicy::default(),
            sync: Sync::default(),
            portal: engine.portal,
            retry: engine.retry,
            sweep: Sweep::default(),
            api: Api::default(),
            mail: Mail::default(),
            alerts: Alerts::default(),
            retention: Retention::default(),
            shadow: Shadow::default(),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        let options = quittance_store::Options::default();
        Self {
            url: "sqlite://quittance.db".to_owned(),
            connections: options.connections,
            readers: options.readers,
        }
    }
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            secret_key: None,
            webhook_secret: None,
            publishable_key: None,
            api_base: quittance_stripe::config::DEFAULT_API_BASE.to_owned(),
            account: None,
            allow_plain_http: false,
            customer_metadata_keys: quittance_engine::Settings::default().customer_metadata_keys,
            calls_per_second: None,
            calls_per_endpoint_per_second: None,
        }
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        let engine = quittance_engine::Settings::default();
        Self {
            tolerance_s: engine.webhook_tolerance_s,
            settle_ms: engine.settle_ms,
            spacing_ms: engine.spacing_ms,
            queue: engine.inbox_queue,
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        let engine = quittance_engine::settings::TokenSettings::default();
        Self {
            lifetime_s: engine.lifetime_ms / SECOND_MS,
            rotate_days: engine.rotation.rotate_every_ms / DAY_MS,
            publish_ahead_h: engine.rotation.publish_ahead_ms / HOUR_MS,
        }
    }
}

impl Default for AppWebhooks {
    fn default() -> Self {
        let engine = quittance_engine::app_webhooks::AppWebhooks::default();
        Self {
            allow: Vec::new(),
            timeout_s: engine.timeout_ms / 1_000,
            disable_after_days: engine.disable_after_ms / DAY_MS,
            keep_days: engine.kept_ms / DAY_MS,
        }
    }
}

impl Default for Sync {
    fn default() -> Self {
        let engine = quittance_engine::Settings::default();
        Self { concurrency: engine.sync_concurrency, on_duplicate: engine.on_duplicate }
    }
}

impl Default for Sweep {
    fn default() -> Self {
        let engine = quittance_engine::Settings::default();
        Self {
            every_s: engine.sweep_every_ms / 1_000,
            schedule: None,
            time_zone: "UTC".to_owned(),
            email: engine.email_truth,
        }
    }
}

impl Default for Alerts {
    fn default() -> Self {
        let AlertPolicy { gather_s, pause_s, quiet_s } = AlertPolicy::default();
        Self { mail: Vec::new(), gather_s, pause_s, quiet_s }
    }
}

impl Default for Retention {
    fn default() -> Self {
        let RetentionSettings { events_days, deliveries_days, mails_days, drifts_days } =
            RetentionSettings::default();
        Self { events_days, deliveries_days, mails_days, drifts_days }
    }
}

impl Default for Api {
    fn default() -> Self {
        let engine = quittance_engine::Settings::default();
        Self {
            body_limit: 512 * 1024,
            redirect_wait_ms: engine.redirect_wait_ms,
            idempotency_kept_h: engine.idempotency_kept_ms / 3_600_000,
            cached_customers: engine.cached_customers,
            streams: 64,
            // Below the 1,024 file handles that a process mostly has.
            connections: 800,
            trusted_proxies: Vec::new(),
        }
    }
}
