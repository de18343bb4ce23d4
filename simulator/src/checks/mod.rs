//! The checkers: after every step what must always hold, and after the faults what must hold in the end. Each names
//! its invariant (`I1` to `I10` of the architecture document).
//!
//! The provider's own ledger is the oracle. The rules of access are written down here a second time, from the table in
//! the documentation, so that the product and its checker cannot be wrong together.

mod access;
mod app;
mod books;
mod bounds;
mod changes;
mod end;
mod lives;
mod notices;
mod suspensions;
mod tries;

use access::{failing_since, payment_came_back, provider_grants, stands};
pub use bounds::Most;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use quittance_domain::access::{OnLatePayment, Standing};
use quittance_domain::delivery::DeliveryState;
use quittance_domain::subscription::Subscription;
use quittance_domain::time::{DAY_MS, HOUR_MS};
use quittance_domain::{Catalog, Mode, Provider, Scope, Timestamp};
use quittance_engine::entitlements::{self, Held};
use quittance_sandbox::{Ledger, LedgerSubscription};
use quittance_store::inbox::Accepted;
use quittance_store::mirror::SubscriptionRow;
use quittance_store::{Db, Tx, aggregates, commands, customers, deliveries, mirror};

use crate::actors::buyer_id;
use crate::changes::Changes;
use crate::gifts::Gift;
use crate::lives::Lived;
use crate::money::Refunds;
use crate::plan::MOST_SKEW_MS;
use crate::sim::{Sim, Violation, database_options};
use crate::suspensions::Suspensions;

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Events that the provider made.
    pub events: u64,
    /// Webhooks that it sent.
    pub deliveries: u64,
    /// Calls that it answered.
    pub provider_calls: u64,
    /// Subscriptions that buyers bought.
    pub subscriptions: u64,
    /// Payments that it took.
    pub payments: u64,
    /// Second subscriptions that were cancelled by us.
    pub duplicates: u64,
    /// Entries of the ledger.
    pub entries: u64,
    /// Mails and webhooks that were sent.
    pub sent: u64,
    /// Events that the app was told.
    pub heard: u64,
    /// Notices that were written down for customers.
    pub notices: u64,
    /// Changes that were made as they had been quoted.
    pub quotes: u64,
    /// Tries of ours at payments that had failed.
    pub own_tries: u64,
    /// The most that bounds were used.
    pub most: Most,
}

/// What a mirrored subscription and the provider's must have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    status: String,
    items: Vec<(String, i64)>,
    period_end: i64,
    cancel_at_period_end: bool,
    cancel_at: Option<i64>,
    ended_at: Option<i64>,
    trial_end: Option<i64>,
    paused: bool,
}

/// One state that a subscription had at the provider.
#[derive(Debug, Clone)]
struct Version {
    shape: Shape,
    /// When its oldest open invoice became due.
    failing_since: Option<i64>,
}

/// What is known of a price at the provider.
#[derive(Debug, Clone)]
struct Sold {
    plan: String,
    group: String,
}

/// What the checkers know.
pub struct Record {
    /// What the run did.
    pub figures: Figures,
    /// Events that were acknowledged, and whether one of the answers said that it was new.
    pub acknowledged: BTreeMap<String, bool>,
    /// How often each was acknowledged.
    copies: BTreeMap<String, i64>,
    /// Money that was given back by people.
    pub refunds: Refunds,
    /// What a last sweep, that only counts, found when all was calm.
    pub last_sweep: Option<u64>,
    /// Forgeries that were sent.
    pub forged: BTreeSet<String>,
    /// Events that never reach anybody by webhook.
    pub unreachable: BTreeSet<String>,
    /// What an operator gave by hand.
    pub gifts: Vec<Gift>,
    /// How often an operator freed what was parked: each gives another budget of tries.
    pub frees: u64,
    /// How often each buyer asked for something: each may try once more what is still to be done.
    asks: BTreeMap<String, u64>,
    /// The cards that subscriptions began with that are paid with another one; `None` where nobody had seen them before.
    first_cards: BTreeMap<String, Option<String>>,
    /// What was asked to change.
    pub changes: Changes,
    /// Who is shut out.
    pub suspensions: Suspensions,
    /// How often buyers tried an invoice themselves and were refused.
    pub refused_by_hand: BTreeMap<String, i64>,
    /// A life that was lived to its end.
    pub lived: Option<Lived>,
    /// Subscriptions and when somebody asked to end them, in the words of notices.
    cancelled: BTreeSet<(String, String)>,
    /// Subscriptions and ends that their trials had, in the same words.
    trials: BTreeSet<(String, String)>,
    /// When a subscription or a provider's customer was mirrored first, in milliseconds since the Unix epoch.
    first_seen: BTreeMap<String, i64>,
    prices: BTreeMap<String, Sold>,
    features: Vec<String>,
    auditor: Option<Db>,
    books: books::Books,
    work: bounds::Work,
    versions: BTreeMap<String, Vec<Version>>,
    mirrored: BTreeMap<String, usize>,
    customer_versions: BTreeMap<String, i64>,
    seen_writes: u64,
    remembered_writes: u64,
    first: Option<Violation>,
}

/// The kind under which the sweep keeps how far it is.
const SWEEP: &str = "provider";

fn scope() -> String {
    Scope::own(Provider::Stripe, Mode::Test).to_string()
}

fn seconds(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::seconds)
}

impl Shape {
    fn of_provider(found: &LedgerSubscription) -> Self {
        let mut items = found.items.clone();
        items.sort();
        Self {
            status: found.status.clone(),
            items,
            period_end: found.current_period_end,
            cancel_at_period_end: found.cancel_at_period_end,
            cancel_at: found.cancel_at,
            ended_at: found.ended_at,
            trial_end: found.trial_end,
            paused: found.paused,
        }
    }

    fn of_mirror(found: &Subscription) -> Self {
        let facts = &found.facts;
        let mut items: Vec<_> = facts.items.iter().map(|i| (i.price.clone(), i.quantity)).collect();
        items.sort();
        Self {
            status: facts.status.as_str().to_owned(),
            items,
            period_end: seconds(facts.period_end()).unwrap_or(0),
            cancel_at_period_end: facts.cancel_at_period_end,
            cancel_at: seconds(facts.cancel_at),
            ended_at: seconds(facts.ended_at),
            trial_end: seconds(facts.trial_end),
            paused: facts.ahead.pause.is_some(),
        }
    }
}

impl Record {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(catalog: &Catalog) -> Self {
        let features = catalog.features().iter().map(|feature| feature.key.to_string()).collect();
        Self {
            figures: Figures::default(),
            acknowledged: BTreeMap::new(),
            copies: BTreeMap::new(),
            refunds: Refunds::default(),
            last_sweep: None,
            forged: BTreeSet::new(),
            unreachable: BTreeSet::new(),
            gifts: Vec::new(),
            frees: 0,
            asks: BTreeMap::new(),
            first_cards: BTreeMap::new(),
            changes: Changes::default(),
            suspensions: Suspensions::default(),
            refused_by_hand: BTreeMap::new(),
            lived: None,
            cancelled: BTreeSet::new(),
            trials: BTreeSet::new(),
            first_seen: BTreeMap::new(),
            prices: BTreeMap::new(),
            features,
            auditor: None,
            books: books::Books::default(),
            work: bounds::Work::default(),
            versions: BTreeMap::new(),
            mirrored: BTreeMap::new(),
            customer_versions: BTreeMap::new(),
            seen_writes: 0,
            remembered_writes: 0,
            first: None,
        }
    }

    /// Notes a broken invariant; the first one counts.
    pub fn violation(&mut self, invariant: &'static str, detail: impl Into<String>) {
        self.first.get_or_insert_with(|| Violation { invariant, detail: detail.into() });
    }

    /// An event was acknowledged: as new at most once, however often it comes.
    pub fn acknowledged(&mut self, event: &str, accepted: Accepted) {
        *self.copies.entry(event.to_owned()).or_default() += 1;
        let new = self.acknowledged.entry(event.to_owned()).or_default();
        let again = *new && accepted == Accepted::New;
        *new |= accepted == Accepted::New;
        if again {
            self.violation("I2", format!("{event} was taken as new a second time"));
        }
    }

    /// A buyer asks for something.
    pub fn asked(&mut self, buyer: &str) {
        *self.asks.entry(buyer.to_owned()).or_default() += 1;
    }

    /// The first broken invariant.
    #[must_use]
    pub fn broken(&self) -> Option<&Violation> {
        self.first.as_ref()
    }

    /// Lets go of the database.
    pub fn close(&mut self) {
        self.auditor = None;
    }

    /// Reads the database as it is, past all nodes and without trouble.
    fn read<T: Send + 'static>(
        &mut self,
        sim: &Sim,
        f: impl Fn(&mut dyn Tx) -> quittance_store::Result<T> + Send + Sync + 'static,
    ) -> Option<T> {
        if self.auditor.is_none() {
            match Db::open(&sim.mount.url(), database_options()).now_or_never()? {
                Ok(db) => self.auditor = Some(db),
                Err(error) => {
                    self.violation("I1", format!("the database cannot be opened: {error}"));
                    return None;
                }
            }
        }
        let read = self.auditor.as_ref()?.read("auditor", f).now_or_never()?;
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.violation("I1", format!("the database cannot be read: {error}"));
                None
            }
        }
    }

    fn learn_prices(&mut self, sim: &Sim) {
        if !self.prices.is_empty() {
            return;
        }
        let listed = sim.dashboard("GET", "/v1/prices", "limit=100").value();
        let text = |value: &serde_json::Value, key: &str| {
            value.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        for price in listed.get("data").and_then(serde_json::Value::as_array).into_iter().flatten() {
            let (id, lookup) = (text(price, "id"), text(price, "lookup_key"));
            if let Some(plan) = sim.catalog.plan_of_price(&id, Some(&lookup)) {
                self.prices.insert(id, Sold { plan: plan.key.to_string(), group: plan.group.to_string() });
            }
        }
    }

    /// The provider has changed: keep its states, and look at what it must never come to by us.
    pub fn provider_changed(&mut self, sim: &Sim) {
        self.learn_prices(sim);
        let ledger = sim.sandbox.ledger();
        for customer in &ledger.customers {
            for found in &customer.subscriptions {
                let version = Version {
                    shape: Shape::of_provider(found),
                    failing_since: failing_since(&customer.invoices, &found.id),
                };
                let all = self.versions.entry(found.id.clone()).or_default();
                if all.last().is_none_or(|last| {
                    last.shape != version.shape || last.failing_since != version.failing_since
                }) {
                    all.push(version);
                }
                let stamp = |at: i64| (found.id.clone(), Timestamp::from_seconds(at).to_string());
                self.cancelled.extend(found.canceled_at.map(stamp));
                self.trials.extend(found.trial_end.map(stamp));
            }
        }
        self.one_customer_each(&ledger);
        self.one_open_session_each(&ledger);
    }

    fn one_customer_each(&mut self, ledger: &Ledger) {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for customer in &ledger.customers {
            let Some(ours) = customer.metadata.get("quittance_customer") else { continue };
            if let Some(first) = seen.insert(ours, &customer.customer) {
                let detail = format!("{ours} is {first} and {} at the provider", customer.customer);
                self.first.get_or_insert(Violation { invariant: "I2", detail });
            }
        }
    }

    fn one_open_session_each(&mut self, ledger: &Ledger) {
        for customer in &ledger.customers {
            let mut open: BTreeMap<&str, &str> = BTreeMap::new();
            let mut made: BTreeMap<&str, &str> = BTreeMap::new();
            for session in &customer.sessions {
                if let Some(checkout) = session.metadata.get("quittance_checkout")
                    && let Some(first) = made.insert(checkout, &session.id)
                {
                    let detail = format!("{checkout} has the sessions {first} and {}", session.id);
                    self.first.get_or_insert(Violation { invariant: "I2", detail });
                }
                if session.status != "open" {
                    continue;
                }
                for group in
                    session.prices.iter().filter_map(|price| self.prices.get(price)).map(|s| &s.group)
                {
                    if let Some(first) = open.insert(group, &session.id) {
                        let detail = format!("{first} and {} can both be paid for {group}", session.id);
                        self.first.get_or_insert(Violation { invariant: "I7", detail });
                    }
                }
            }
        }
    }

    /// After a commit: what is mirrored is something that the provider said, never older than what was mirrored before,
    /// and its standing is what the policy makes of it.
    pub fn database_changed(&mut self, sim: &Sim) {
        let writes = sim.mount.disk.writes();
        if writes == self.seen_writes {
            return;
        }
        self.seen_writes = writes;
        let ids: Vec<String> = (0..sim.plan.buyers).map(buyer_id).collect();
        let known = self.customer_versions.clone();
        let booked = self.books.last();
        let read = self.read(sim, move |tx| {
            let mut changed = Vec::new();
            for id in &ids {
                let Some(version) = customers::get(tx, id)?.map(|row| row.version) else { continue };
                if known.get(id) != Some(&version) {
                    changed.push((id.clone(), version, mirror::subscriptions_of_customer(tx, id)?));
                }
            }
            Ok((changed, books::after(tx, booked)?))
        });
        let Some((changed, entries)) = read else { return };
        self.books_changed(sim, entries);
        for (id, version, rows) in changed {
            self.customer_versions.insert(id, version);
            for row in &rows {
                self.mirrored_row(sim, row);
            }
        }
    }

    fn mirrored_row(&mut self, sim: &Sim, row: &SubscriptionRow) {
        let subscription = &row.subscription;
        let id = &subscription.facts.id;
        let now = sim.scheduler.now_ms();
        self.first_seen.entry(id.clone()).or_insert(now);
        let shape = Shape::of_mirror(subscription);
        let versions = self.versions.get(id).map_or(&[][..], Vec::as_slice);
        let Some(found) = versions.iter().rposition(|version| version.shape == shape) else {
            return self.violation("I3", format!("{id} is mirrored as it never was: {shape:?}"));
        };
        let before = self.mirrored.get(id).copied().unwrap_or(0);
        if found < before {
            let detail = format!("{id} went back from state {before} to state {found}: {shape:?}");
            return self.violation("I4", detail);
        }
        // The provider may be asked for the subscription and for its open invoices at two moments.
        let anchors: Vec<i64> =
            versions.iter().skip(before).filter_map(|version| version.failing_since).collect();
        self.mirrored.insert(id.clone(), found);
        self.standing(sim, subscription, &anchors);
    }

    /// A standing ends where the policy says, whenever it was looked at.
    fn standing(&mut self, sim: &Sim, subscription: &Subscription, anchors: &[i64]) {
        let policy = &sim.plan.settings.access;
        let facts = &subscription.facts;
        let slack = i64::from(policy.renewal_slack_hours) * HOUR_MS;
        let latest_clock = sim.scheduler.now_ms() + MOST_SKEW_MS;
        let wrong = match (facts.status.as_str(), subscription.standing) {
            (_, Standing::Revoked | Standing::Pending) => None,
            ("trialing" | "active", Standing::Granted { until: Some(until) }) => {
                let planned = facts.cancel_at.or(facts.period_end().filter(|_| facts.cancel_at_period_end));
                let most = match planned {
                    Some(end) => end.ms(),
                    None => facts.period_end().map_or(0, Timestamp::ms).max(latest_clock) + slack,
                };
                (until.ms() > most).then_some("lasts too long")
            }
            ("past_due", Standing::Grace { since, until }) => {
                let fixed = since.plus_ms(i64::from(policy.grace_days) * DAY_MS);
                let anchored = anchors.is_empty() || anchors.iter().any(|anchor| since.seconds() <= *anchor);
                (until != fixed || !anchored).then_some("is not anchored at the failure")
            }
            // What was paid late may give the period that it paid for.
            ("canceled", Standing::Granted { until: Some(until) })
                if policy.canceled_keeps_paid_period || policy.money.late_payment == OnLatePayment::Grant =>
            {
                (Some(until) != facts.period_end()).then_some("does not end with the period")
            }
            (_, Standing::Granted { .. } | Standing::Grace { .. }) => Some("is given for nothing"),
        };
        if let Some(wrong) = wrong {
            let detail =
                format!("{} ({}): {:?} {wrong}", facts.id, facts.status.as_str(), subscription.standing);
            self.violation("I5", detail);
        }
    }

    /// When nobody has anything to do: what the nodes answer is what the database says at this moment.
    pub fn memory(&mut self, sim: &Sim) {
        let writes = sim.mount.disk.writes();
        if writes == self.remembered_writes {
            return;
        }
        self.remembered_writes = writes;
        let mut held = Vec::new();
        for (node, engine, paused) in sim.engines() {
            if paused {
                // It has yet to hear of what the others did: looked at when it goes on.
                self.remembered_writes = 0;
                continue;
            }
            let now = sim.now_of(node);
            for index in 0..sim.plan.buyers {
                let id = buyer_id(index);
                if let Some(holdings) = engine.ask_memory(&id, <[_]>::to_vec) {
                    held.push((node, id, now, holdings));
                }
            }
        }
        if held.is_empty() {
            return;
        }
        let catalog = sim.catalog.clone();
        let asked: Vec<_> = held.iter().map(|(_, id, now, _)| (id.clone(), *now)).collect();
        let loaded = self.read(sim, move |tx| {
            let mut lasting: BTreeMap<&str, (Timestamp, Held)> = BTreeMap::new();
            let mut all = Vec::with_capacity(asked.len());
            for (id, now) in &asked {
                // Nothing changes by itself once the customer's own terms have begun: one look serves all nodes.
                let known = lasting.get(id.as_str()).filter(|(since, _)| since <= now);
                let found = match known {
                    Some((_, held)) => Some(held.clone()),
                    None => entitlements::load(tx, id, &catalog, *now)?.map(|(held, stays)| {
                        if stays {
                            lasting.insert(id, (*now, held.clone()));
                        }
                        held
                    }),
                };
                all.push(found);
            }
            Ok(all)
        });
        let loaded: Vec<_> = loaded.unwrap_or_default();
        for ((node, id, now, holdings), stored) in held.iter().zip(loaded) {
            // The same holdings give the same answers.
            let Some(stored) = stored.filter(|stored| *stored.holdings != **holdings) else {
                continue;
            };
            for feature in &self.features.clone() {
                let said = entitlements::answer(holdings, feature, *now);
                let true_now = entitlements::answer(&stored.holdings, feature, *now);
                if said != true_now {
                    let detail =
                        format!("node {node} answers {id} {feature}: {said:?}, the database {true_now:?}");
                    self.violation("I5", detail);
                }
            }
        }
    }

    /// Whether a sweep that began after the provider's last change has ended. Where webhooks tell, it need not.
    fn is_swept(&mut self, sim: &Sim) -> bool {
        let changed = sim.provider_changed_ms();
        let read = |tx: &mut dyn Tx| quittance_store::sweeps::get(tx, SWEEP, &scope());
        // Its beginning is by the clock of a node.
        !sim.plan.silent
            || self
                .read(sim, read)
                .flatten()
                .and_then(|row| row.watermark)
                .is_some_and(|began| began.ms() > changed + MOST_SKEW_MS)
    }

    /// Whether anything is left to do.
    pub fn is_at_rest(&mut self, sim: &Sim) -> bool {
        if !self.is_swept(sim) {
            return false;
        }
        let read = self.read(sim, |tx| {
            let pending = deliveries::Filter { state: Some(DeliveryState::Pending), ..Default::default() };
            // An operator sends again what was given up.
            let failed = deliveries::Filter { state: Some(DeliveryState::Failed), ..Default::default() };
            Ok((
                aggregates::backlog(tx)?,
                commands::next_due(tx)?,
                commands::parked(tx, 1)?.len(),
                deliveries::list(tx, &pending, i64::MAX, 1)?.len()
                    + deliveries::list(tx, &failed, i64::MAX, 1)?.len(),
            ))
        });
        let waiting = sim.sandbox.undelivered();
        read.is_some_and(|(backlog, due, parked, unsent)| {
            backlog.dirty == 0
                && backlog.parked == 0
                && due.is_none()
                && parked == 0
                && unsent == 0
                && waiting == 0
        })
    }

    /// What is left to do, for a report.
    pub fn what_is_left(&mut self, sim: &Sim) -> String {
        let read = self.read(sim, |tx| {
            Ok((
                aggregates::backlog(tx)?,
                commands::next_due(tx)?,
                commands::parked(tx, 10)?,
                aggregates::parked(tx, 10)?,
                deliveries::list(
                    tx,
                    &deliveries::Filter { state: Some(DeliveryState::Pending), ..Default::default() },
                    i64::MAX,
                    3,
                )?,
            ))
        });
        format!("{read:?}, {} webhooks to deliver", sim.sandbox.undelivered())
    }
}
