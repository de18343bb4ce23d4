//! The operator's choices that the engine works by.

use std::sync::Arc;

use quittance_domain::AccessPolicy;
use quittance_domain::change::ChangePolicy;
use quittance_domain::dispute::DisputePolicy;
use quittance_domain::dunning::DunningPolicy;
use quittance_domain::fraud::FraudPolicy;
use quittance_domain::lease::RetryPolicy;
use quittance_domain::notices::{NoticePolicy, RuleTable};
use quittance_domain::shop::PortalPolicy;
use quittance_domain::signing::RotationPolicy;
use quittance_domain::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use quittance_domain::trial::TrialPolicy;
use secrecy::SecretString;

use crate::alerts::AlertSettings;
use crate::app_webhooks::AppWebhooks;
use crate::retention::RetentionSettings;
use crate::schedule::Schedule;

/// The shortest pause after a sweep that the provider or the database interrupted, in milliseconds.
pub const SWEEP_AGAIN_MS: i64 = 5 * MINUTE_MS;

/// What to do with a second live subscription of a plan group that a checkout of ours made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// Cancel it at once and refund what it charged.
    CancelAndRefund,
    /// Only raise an alert.
    Alert,
}

/// Whose e-mail address is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailTruth {
    /// Ours: the provider is told.
    Ours,
    /// The provider's: we take it over.
    Provider,
    /// Nobody compares.
    Ignore,
}

/// All choices, with defaults that suit production.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What each status does to access.
    pub access: AccessPolicy,
    /// How failing payments are dealt with.
    pub dunning: DunningPolicy,
    /// What is done about fraud.
    pub fraud: FraudPolicy,
    /// What is done with disputes.
    pub disputes: DisputePolicy,
    /// How failures are retried and how long leases last.
    pub retry: RetryPolicy,
    /// When customers are told.
    pub notices: NoticePolicy,
    /// The rules about who must be told what, and when.
    pub notice_rules: Arc<RuleTable>,
    /// What the provider's portal lets customers do.
    pub portal: PortalPolicy,
    /// What happens to duplicates.
    pub on_duplicate: OnDuplicate,
    /// Metadata keys that name our customer on the provider's objects.
    pub customer_metadata_keys: Vec<String>,
    /// Secrets that webhooks may be signed with; several while one is rolled.
    pub webhook_secrets: Vec<SecretString>,
    /// How old or early a signature may be, in seconds.
    pub webhook_tolerance_s: i64,
    /// A webhook's aggregate waits this long, so that a burst becomes one fetch; milliseconds.
    pub settle_ms: i64,
    /// How long after a sync its aggregate is looked at again for anything but somebody who waits, so that the rest
    /// of a burst becomes one fetch too; milliseconds.
    pub spacing_ms: i64,
    /// Events that may wait for a commit before new ones get 503.
    pub inbox_queue: usize,
    /// Aggregates that are synced at the same time.
    pub sync_concurrency: usize,
    /// How long a redirect waits for its sync before it shows "processing"; milliseconds.
    pub redirect_wait_ms: i64,
    /// How long the worker waits at most before it looks again, in milliseconds: for what other nodes have
    /// written down. Its own hints, and what falls due, it does not wait for.
    pub look_ms: u64,
    /// Time between sweeps, in milliseconds.
    pub sweep_every_ms: i64,
    /// When sweeps run, instead of after a pause.
    pub sweep_schedule: Option<Schedule>,
    /// Whose e-mail address is the right one when a sweep finds two.
    pub email_truth: EmailTruth,
    /// Findings that one sweep keeps and tells at most; what differs beyond that is marked and counted all the same.
    pub sweep_findings: u64,
    /// Customers whose entitlements are kept in memory.
    pub cached_customers: usize,
    /// How long answers to inbound idempotency keys are kept, in milliseconds.
    pub idempotency_kept_ms: i64,
    /// The address that customers' browsers reach us at, without a trailing slash.
    pub public_url: String,
    /// When changes of subscriptions are made, and how.
    pub changes: ChangePolicy,
    /// Who gets a trial.
    pub trials: TrialPolicy,
    /// The key under which trials are remembered; the installation's root key. Without one they are remembered under a
    /// key of the database.
    pub trial_secret: Option<SecretString>,
    /// The app's own address, to which our pages and the provider's portal lead back.
    pub app_url: Option<String>,
    /// The provider's publishable key, which browsers use on pages of the app; it opens nothing by itself.
    pub publishable_key: Option<String>,
    /// The root key, under which secrets are stored.
    pub root_key: Option<SecretString>,
    /// Entitlement tokens.
    pub tokens: TokenSettings,
    /// Webhooks to the app.
    pub app_webhooks: AppWebhooks,
    /// How operators are told of alerts.
    pub alerts: AlertSettings,
    /// What is kept how long.
    pub retention: RetentionSettings,
    /// In shadow mode, whether the app is told by webhooks all the same.
    pub shadow_webhooks: bool,
}

/// The choices about entitlement tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenSettings {
    /// How long a token lasts at most, in milliseconds; what it grants may end it sooner.
    pub lifetime_ms: i64,
    /// When the keys that sign change.
    pub rotation: RotationPolicy,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self { lifetime_ms: 5 * MINUTE_MS, rotation: RotationPolicy::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access: AccessPolicy::default(),
            dunning: DunningPolicy::default(),
            disputes: DisputePolicy::default(),
            fraud: FraudPolicy::default(),
            retry: RetryPolicy::default(),
            notices: NoticePolicy::default(),
            notice_rules: Arc::new(RuleTable::built_in()),
            portal: PortalPolicy::default(),
            on_duplicate: OnDuplicate::CancelAndRefund,
            customer_metadata_keys: vec!["quittance_customer".to_owned()],
            webhook_secrets: Vec::new(),
            webhook_tolerance_s: 300,
            settle_ms: 150,
            spacing_ms: SECOND_MS,
            inbox_queue: 2_048,
            sync_concurrency: 8,
            redirect_wait_ms: 3 * SECOND_MS,
            look_ms: 250,
            sweep_every_ms: 10 * MINUTE_MS,
            sweep_schedule: None,
            email_truth: EmailTruth::Ours,
            sweep_findings: 10_000,
            cached_customers: 500_000,
            idempotency_kept_ms: 24 * 60 * MINUTE_MS,
            public_url: "http://127.0.0.1:4242".to_owned(),
            changes: ChangePolicy::default(),
            trials: TrialPolicy::default(),
            trial_secret: None,
            app_url: None,
            publishable_key: None,
            root_key: None,
            tokens: TokenSettings::default(),
            app_webhooks: AppWebhooks::default(),
            alerts: AlertSettings::default(),
            retention: RetentionSettings::default(),
            shadow_webhooks: false,
        }
    }
}

impl Settings {
    /// When the sweep after one that ended at `now` is due.
    #[must_use]
    pub fn next_sweep(&self, now: quittance_domain::Timestamp) -> quittance_domain::Timestamp {
        self.sweep_schedule
            .as_ref()
            .map_or_else(|| now.plus_ms(self.sweep_every_ms.max(1)), |schedule| schedule.next_after(now))
    }

    /// When a sweep that was interrupted at `now` goes on, the last whole one having ended at `finished`: soon, and later the
    /// longer it has been due, but not later than the next one would be, nor than an hour.
    #[must_use]
    pub fn sweep_again(
        &self,
        finished: Option<quittance_domain::Timestamp>,
        now: quittance_domain::Timestamp,
    ) -> quittance_domain::Timestamp {
        let overdue_ms = finished.map_or(0, |at| now.since(self.next_sweep(at)));
        let most_ms = self.next_sweep(now).since(now).clamp(SWEEP_AGAIN_MS, HOUR_MS);
        now.plus_ms((overdue_ms / 4).clamp(SWEEP_AGAIN_MS, most_ms))
    }
}

#[cfg(test)]
mod tests {
    use quittance_domain::Timestamp;

    use super::*;

    #[test]
    fn an_interrupted_sweep_waits_longer_the_longer_it_is_due() {
        let of = |sweep_every_ms: i64| Settings { sweep_every_ms, ..Settings::default() };
        let again = |settings: &Settings, due_min: i64| {
            let finished = Timestamp::from_ms(0);
            let now = settings.next_sweep(finished).plus_ms(due_min * MINUTE_MS);
            settings.sweep_again(Some(finished), now).since(now) / MINUTE_MS
        };
        let daily = of(24 * HOUR_MS);
        assert_eq!([0, 20, 40, 120, 240, 5_000].map(|min| again(&daily, min)), [5, 5, 10, 30, 60, 60]);
        assert_eq!([0, 20, 30, 5_000].map(|min| again(&of(10 * MINUTE_MS), min)), [5, 5, 7, 10]);
        assert_eq!(again(&of(MINUTE_MS), 5_000), 5);
        let now = Timestamp::from_ms(0);
        assert_eq!(daily.sweep_again(None, now), now.plus_ms(SWEEP_AGAIN_MS));
    }
}
