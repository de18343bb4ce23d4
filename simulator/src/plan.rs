//! What a seed stands for: when and how long, how many nodes and buyers, which settings, which faults.

use std::fmt;
use std::sync::Arc;

use quittance_domain::access::{MoneyPolicy, OnLatePayment, OnMoneyBack};
use quittance_domain::catalog::{Interval, Plan as Sold};
use quittance_domain::dunning::{DunningPolicy, OnExhaustion, Retries};
use quittance_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use quittance_domain::{AccessPolicy, Catalog};
use quittance_engine::Settings;
use quittance_engine::app_webhooks::settings::AppWebhooks;
use quittance_engine::retention::RetentionSettings;
use quittance_engine::world::Point;

use crate::chance::Chance;
use crate::faults::{Fault, Rates};
use crate::lives::{LONGEST_OUTAGE_MS, Life};
use crate::trace::moment;

/// Moments at which calendars are odd, in seconds since the Unix epoch, UTC.
const STARTS: [i64; 8] = [
    1_769_860_800, // 2026-01-31 12:00, the end of a long month
    1_772_236_800, // 2026-02-28 00:00, the end of a short one
    1_774_735_200, // 2026-03-28 22:00, before Europe's clocks go forward
    1_792_875_600, // 2026-10-24 21:00, before they go back
    1_798_761_540, // 2026-12-31 23:59
    1_835_395_200, // 2028-02-29 00:00, a leap day
    1_835_222_400, // 2028-02-27 00:00
    1_793_491_199, // 2026-10-31 23:59:59
];

/// Versions of the API that an endpoint may have been made with; `None` is the account's own.
const VERSIONS: [Option<&str>; 4] =
    [None, Some("2026-10-28.endive"), Some("2025-03-31.basil"), Some("2024-06-20")];

/// Everything about a run that its seed decides before it begins.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// When it begins, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// How long buyers and faults are about, in milliseconds.
    pub length_ms: i64,
    /// How many nodes share the database.
    pub nodes: usize,
    /// How far each node's clock is off, in milliseconds.
    pub skews_ms: Vec<i64>,
    /// How many buyers there are.
    pub buyers: usize,
    /// Which version the endpoint's webhooks have.
    pub api_version: Option<&'static str>,
    /// Days of trial that a plan of the catalog gets; 0 for none.
    pub trial_days: u32,
    /// No webhooks at all, and no buyer comes back: only the sweep tells what happens at the provider.
    pub silent: bool,
    /// An operator imports the account again and again, while buyers and faults are about and once more when all is calm.
    pub imports: bool,
    /// An operator gives money back and answers disputes by our API.
    pub accountant: bool,
    /// An operator shuts buyers out and lets them in again.
    pub warden: bool,
    /// What the provider does when its retries are used up: `cancel`, `unpaid` or `leave`. It has none where we try ourselves.
    pub on_exhaustion: &'static str,
    /// The operator's choices.
    pub settings: Settings,
    /// What goes wrong, and how often.
    pub rates: Rates,
    /// The point at which crashes are likeliest.
    pub favourite: Point,
    /// A point at which tasks now and then stand longer than a lease lasts, while their node goes on.
    pub stalls_at: Option<Point>,
    /// How long an outage of the provider lasts at most, in milliseconds.
    pub longest_outage_ms: i64,
    /// The life that is walked here, instead of buyers who do what they like.
    pub life: Option<Life>,
}

/// How far a node's clock is off at most, in milliseconds.
pub const MOST_SKEW_MS: i64 = 120 * SECOND_MS;
/// How long an outage of the provider lasts at most, in milliseconds: longer than idempotency keys live.
const OUTAGE_MS: i64 = 50 * HOUR_MS;
/// How many worlds in a thousand are silent.
const SILENT_PER_MILLE: u32 = 80;
/// How many worlds in a thousand have an operator who gives money back and answers disputes.
const ACCOUNTANT_PER_MILLE: u32 = 400;
/// How many worlds in a thousand have an operator who shuts buyers out.
const WARDEN_PER_MILLE: u32 = 250;
/// How many worlds in a thousand have other rules for money that comes back or late.
const OTHER_RULES_PER_MILLE: u32 = 400;
/// How many worlds in a thousand try payments that failed by our own schedule.
const OWN_TRIES_PER_MILLE: u32 = 250;
/// How many worlds in a thousand have an operator who imports.
const IMPORTS_PER_MILLE: u32 = 300;
/// The pause between the sweeps of a life's world, in milliseconds.
const LIFE_SWEEP_MS: i64 = 3 * HOUR_MS;
/// The longest pause between the sweeps of a silent world, in milliseconds.
const SILENT_SWEEP_MS: i64 = DAY_MS;

/// How many worlds in a thousand sell a trial, where their catalog has none.
const TRIAL_PER_MILLE: u32 = 350;

/// Where a stall lets a lease run out under the one who holds it.
const STALLS: [Point; 4] =
    [Point::SyncClaimed, Point::SyncFetched, Point::ApplyBeforeCommit, Point::CommandClaimed];

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed, "plan");
        let start_s = STARTS.get(usize::try_from(seed % 8).unwrap_or(0)).copied().unwrap_or(1_769_860_800);
        let nodes = match chance.below(10) {
            0..=5 => 1,
            6..=8 => 2,
            _ => 3,
        };
        let skewed = chance.per_mille(400);
        let skew = |chance: &mut Chance| if skewed { chance.between(-MOST_SKEW_MS, MOST_SKEW_MS) } else { 0 };
        let days = match chance.below(10) {
            0..=4 => chance.between(2, 20),
            5..=8 => chance.between(30, 75),
            _ => chance.between(100, 400),
        };
        let settings = Self::settings(seed, &mut chance, days);
        let plan = Self {
            seed,
            start_ms: start_s * SECOND_MS,
            length_ms: days * DAY_MS,
            nodes,
            skews_ms: (0..nodes).map(|_| skew(&mut chance)).collect(),
            buyers: usize::try_from(chance.between(1, 3)).unwrap_or(1),
            api_version: chance.pick(&VERSIONS).copied().flatten(),
            on_exhaustion: chance.pick(&["cancel", "unpaid", "leave"]).copied().unwrap_or("cancel"),
            settings,
            rates: Self::rates(seed, &mut chance),
            favourite: chance.pick(&Point::ALL).copied().unwrap_or(Point::ApplyBeforeCommit),
            stalls_at: Self::stall(seed),
            trial_days: Self::trial(seed),
            silent: false,
            imports: Chance::new(seed, "imports").per_mille(IMPORTS_PER_MILLE),
            accountant: Chance::new(seed, "accountant's").per_mille(ACCOUNTANT_PER_MILLE),
            warden: Chance::new(seed, "warden's").per_mille(WARDEN_PER_MILLE),
            longest_outage_ms: OUTAGE_MS,
            life: None,
        };
        // Drawn apart, as stalls are.
        if Chance::new(seed, "silence").per_mille(SILENT_PER_MILLE) { plan.silenced() } else { plan }
    }

    /// The world of a life: its moments are those of the table, and what lasts a day is seen. Nodes, clocks and faults are
    /// the seed's.
    #[must_use]
    pub fn of_life(seed: u64, life: Life) -> Self {
        let mut plan = Self::of(seed);
        plan.start_ms = STARTS[0] * SECOND_MS;
        plan.length_ms = life.length_ms();
        plan.buyers = 1;
        plan.trial_days = 0;
        plan.silent = false;
        plan.on_exhaustion = "cancel";
        plan.settings.access = Settings::default().access;
        plan.settings.dunning = DunningPolicy::default();
        plan.settings.sweep_every_ms = LIFE_SWEEP_MS;
        plan.longest_outage_ms = LONGEST_OUTAGE_MS;
        plan.life = Some(life);
        plan
    }

    /// The same world with its webhooks switched off.
    #[must_use]
    pub fn silenced(mut self) -> Self {
        self.silent = true;
        self.settings.sweep_every_ms = self.settings.sweep_every_ms.min(SILENT_SWEEP_MS);
        self
    }

    fn rates(seed: u64, chance: &mut Chance) -> Rates {
        let mut rates = Rates::default();
        let (apart, others): (Vec<Fault>, Vec<Fault>) =
            Fault::ALL.into_iter().partition(|f| matches!(f, Fault::MailTrouble | Fault::AppTrouble));
        rates.draw(&others, chance);
        rates.draw(&apart, &mut Chance::new(seed, "post and app"));
        rates
    }

    /// Drawn apart, so that the other worlds stay what they were before there were stalls.
    fn stall(seed: u64) -> Option<Point> {
        let mut chance = Chance::new(seed, "stalls");
        if chance.per_mille(250) { chance.pick(&STALLS).copied() } else { None }
    }

    fn trial(seed: u64) -> u32 {
        let mut chance = Chance::new(seed, "trials");
        if chance.per_mille(TRIAL_PER_MILLE) { u32::try_from(chance.between(1, 40)).unwrap_or(0) } else { 0 }
    }

    /// What is sold in this world: the catalog, in some worlds with a trial of its dearest plan.
    #[must_use]
    pub fn sold(&self, catalog: &Arc<Catalog>) -> Arc<Catalog> {
        let recurs = |plan: &&Sold| plan.prices.iter().any(|price| price.interval != Interval::Once);
        let known = catalog.plans().iter().any(|plan| plan.trial_days > 0);
        let dearest = catalog
            .plans()
            .iter()
            .filter(recurs)
            .max_by_key(|plan| plan.prices.iter().map(|p| p.amount.minor).max());
        let Some(plan) = dearest.filter(|_| self.trial_days > 0 && !known) else {
            return Arc::clone(catalog);
        };
        let line = format!("key = \"{}\"", plan.key);
        let text = catalog.text().replacen(&line, &format!("{line}\ntrial_days = {}", self.trial_days), 1);
        Catalog::parse(&text).map_or_else(|_| Arc::clone(catalog), Arc::new)
    }

    /// Other rules for what money does that comes back or late; drawn apart, as stalls are.
    fn other_rules(seed: u64, access: &mut AccessPolicy) {
        let mut chance = Chance::new(seed, "rules");
        if !chance.per_mille(OTHER_RULES_PER_MILLE) {
            return;
        }
        let mut rule = || if chance.per_mille(500) { OnMoneyBack::Revoke } else { OnMoneyBack::Keep };
        access.money.refund_full = rule();
        access.money.refund_partial = rule();
        access.money.dispute_opened = rule();
        access.money.dispute_lost = rule();
        access.money.late_payment =
            if chance.per_mille(500) { OnLatePayment::Grant } else { OnLatePayment::Ignore };
        access.renewal_slack_hours = chance.pick(&[1, 24, 72]).copied().unwrap_or(72);
    }

    /// Who tries payments again that failed; drawn apart, as stalls are.
    fn tries(seed: u64) -> DunningPolicy {
        let mut chance = Chance::new(seed, "own tries");
        if !chance.per_mille(OWN_TRIES_PER_MILLE) {
            return DunningPolicy::default();
        }
        let schedules: [&[u32]; 3] = [&[1, 3, 5, 7], &[2], &[1, 2, 4, 8, 12]];
        let zones = ["UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin"];
        let ends = [OnExhaustion::Cancel, OnExhaustion::Cancel, OnExhaustion::MarkUncollectible];
        DunningPolicy {
            retries: Retries::Own,
            schedule_days: chance.pick(&schedules).map_or_else(|| vec![1], |days| days.to_vec()),
            hour: u32::try_from(chance.between(0, 23)).unwrap_or(10),
            time_zone: chance.pick(&zones).copied().unwrap_or("UTC").to_owned(),
            on_exhaustion: chance.pick(&ends).copied().unwrap_or(OnExhaustion::Cancel),
            ..DunningPolicy::default()
        }
    }

    fn settings(seed: u64, chance: &mut Chance, days: i64) -> Settings {
        let mut settings = Settings {
            settle_ms: chance.pick(&[0, 150, 150, 2_000]).copied().unwrap_or(150),
            inbox_queue: chance.pick(&[2, 16, 2_048]).copied().unwrap_or(2_048),
            sync_concurrency: chance.pick(&[1, 4, 8]).copied().unwrap_or(8),
            // A long run sweeps less often, so that months stay cheap.
            sweep_every_ms: HOUR_MS * chance.between(1, 6) * (1 + days / 10),
            // Others wake a node when they commit: it need not look by itself.
            look_ms: u64::try_from(6 * HOUR_MS).unwrap_or(u64::MAX),
            cached_customers: chance.pick(&[1, 10_000]).copied().unwrap_or(10_000),
            // What is checked at the end is all that ever came.
            retention: RetentionSettings {
                events_days: 36_500,
                deliveries_days: 36_500,
                ..RetentionSettings::default()
            },
            // Its app hears everything in the end: an endpoint that is switched off is told nothing.
            app_webhooks: AppWebhooks { disable_after_ms: 36_500 * DAY_MS, ..AppWebhooks::default() },
            ..Settings::default()
        };
        settings.access.grace_days = u32::try_from(chance.between(0, 14)).unwrap_or(7);
        settings.access.canceled_keeps_paid_period = chance.per_mille(200);
        Self::other_rules(seed, &mut settings.access);
        settings.dunning = Self::tries(seed);
        settings.retry.lease_ms = chance.pick(&[5 * SECOND_MS, MINUTE_MS]).copied().unwrap_or(MINUTE_MS);
        settings.retry.max_attempts = u32::try_from(chance.between(3, 20)).unwrap_or(20);
        settings
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = |ms: i64| ms / HOUR_MS;
        writeln!(
            out,
            "seed {}{}: {} days from {}, {} node(s) {:?} ms off, {} buyer(s), {}, then {}{}",
            self.seed,
            self.life.map_or_else(String::new, |life| format!(", the life {}", life.name)),
            self.length_ms / DAY_MS,
            moment(self.start_ms),
            self.nodes,
            self.skews_ms,
            self.buyers,
            match (self.silent, self.api_version) {
                (true, _) => "no webhooks".to_owned(),
                (false, version) => format!("webhooks of {}", version.unwrap_or("the account's version")),
            },
            self.on_exhaustion,
            [
                (self.imports, ", imported now and then"),
                (self.accountant, ", with refunds by hand"),
                (self.warden, ", with buyers shut out"),
            ]
            .into_iter()
            .filter_map(|(so, word)| so.then_some(word))
            .collect::<String>(),
        )?;
        writeln!(
            out,
            "  settle {} ms, lease {} ms, {} tries, queue {}, {} syncs at once, sweep every {} h, grace {} days, {} customers in memory",
            self.settings.settle_ms,
            self.settings.retry.lease_ms,
            self.settings.retry.max_attempts,
            self.settings.inbox_queue,
            self.settings.sync_concurrency,
            hours(self.settings.sweep_every_ms),
            self.settings.access.grace_days,
            self.settings.cached_customers,
        )?;
        if self.settings.access.money != MoneyPolicy::default() {
            writeln!(
                out,
                "  {:?}, slack {} h",
                self.settings.access.money, self.settings.access.renewal_slack_hours
            )?;
        }
        let tries = &self.settings.dunning;
        if tries.retries == Retries::Own {
            let (days, hour, zone) = (&tries.schedule_days, tries.hour, &tries.time_zone);
            writeln!(
                out,
                "  tried by ourselves on days {days:?} at {hour} h in {zone}, then {:?}",
                tries.on_exhaustion
            )?;
        }
        write!(out, "  faults in a thousand:")?;
        for fault in Fault::ALL.into_iter().filter(|fault| self.rates.of(*fault) > 0) {
            write!(out, " {} {},", fault.as_str(), self.rates.of(fault))?;
        }
        write!(out, " crashes mostly at {}", self.favourite)?;
        if let Some(point) = self.stalls_at {
            write!(out, ", stalls at {point}")?;
        }
        if self.trial_days > 0 {
            write!(out, ", trials of {} days", self.trial_days)?;
        }
        writeln!(out)
    }
}
