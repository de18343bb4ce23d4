//! One simulated world: the provider, the disk, the nodes on it, and what binds them.
//!
//! Nodes run the shipped engine on the shipped store with the shipped provider client. Only what [`World`] and
//! [`quittance_stripe::http::Transport`] name is played here.

use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use quittance_domain::delivery::Channel;
use quittance_domain::dunning::Retries;
use quittance_domain::time::SECOND_MS;
use quittance_domain::{Catalog, Timestamp};
use quittance_engine::app_webhooks::WebhookCourier;
use quittance_engine::world::{Point, Waiting};
use quittance_engine::{Engine, Settings, World};
use quittance_sandbox::{HttpRequest, HttpResponse, Sandbox, SandboxConfig};
use quittance_store::{Change, Db, Options};
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::StripeConfig;
use tokio::sync::{broadcast, oneshot};

use crate::app::{App, ToApp};
use crate::chance::Chance;
use crate::checks::Record;
use crate::disk::{self, AUDITOR, Casualty, Mount, Process};
use crate::faults::{Fault, Faults};
use crate::network::Network;
use crate::plan::Plan;
use crate::post::{Arrived, SimulatedCourier};
use crate::scheduler::{Owner, Scheduler};
use crate::trace::Trace;

/// The key of the simulated account.
pub const SECRET_KEY: &str = "sk_test_simulated";
const ENDPOINT_URL: &str = "http://127.0.0.1:4242/webhooks/stripe";

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its number in the design, such as `I4`.
    pub invariant: &'static str,
    /// What was expected and what was there.
    pub detail: String,
}

/// How often each point was passed, and how often somebody died there.
pub type Coverage = BTreeMap<Point, (u64, u64)>;

struct Running {
    life: u64,
    engine: Engine,
    db: Db,
}

#[derive(Default)]
struct Node {
    lives: u64,
    up: Option<Running>,
    /// What a life that ended between two transactions had open, for the next one: opening the database takes longer
    /// than most lives, and finds the same bytes as long as the disk has lost nothing.
    kept: Option<Kept>,
}

struct Kept {
    life: u64,
    db: Db,
}

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Between two uses of the disk.
    Between,
    /// While it used the disk, or with the disk.
    WithDisk,
}

/// A simulated world.
pub struct Sim {
    /// What its seed decided.
    pub plan: Plan,
    /// What is sold.
    pub catalog: Arc<Catalog>,
    /// Tasks and clock.
    pub scheduler: Arc<Scheduler>,
    /// The provider.
    pub sandbox: Arc<Sandbox>,
    /// The disk that the nodes share.
    pub mount: Mount,
    /// The signing secret of the webhook endpoint.
    pub endpoint_secret: String,
    faults: Mutex<Faults>,
    trace: Mutex<Trace>,
    record: Mutex<Record>,
    arrived: Mutex<Arrived>,
    app: Mutex<App>,
    post_chance: Mutex<Chance>,
    nodes: Mutex<Vec<Node>>,
    coverage: Mutex<Coverage>,
    doomed: Mutex<Vec<(usize, u64, &'static str)>>,
    resync: broadcast::Sender<Change>,
    unreachable_until: AtomicI64,
    provider_changed: AtomicBool,
    provider_changed_ms: AtomicI64,
    closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn process_of(node: usize, life: u64) -> Process {
    1 + node as u64 + life * 16
}

/// Options of a simulated node's database: everything in the calling thread.
#[must_use]
pub fn database_options() -> Options {
    Options { inline: true, ..Options::default() }
}

impl Sim {
    /// Makes the world of a plan. `mount` holds an empty, migrated database; only the first `most_faults` strike.
    ///
    /// # Errors
    /// When the provider refuses the catalog.
    pub fn new(
        plan: Plan,
        catalog: Arc<Catalog>,
        mount: Mount,
        most_faults: u64,
    ) -> Result<Arc<Self>, String> {
        let sandbox = Sandbox::new(SandboxConfig {
            seed: Some(plan.seed),
            public_url: "http://127.0.0.1:12111".to_owned(),
            start_time: Some(plan.start_ms / SECOND_MS),
            // Nobody is there to enable an endpoint again that was unreachable for too long.
            settings: quittance_sandbox::Settings { webhook_disable_days: 0, ..Default::default() },
            ..SandboxConfig::default()
        });
        let endpoint_secret = prepare(&sandbox, &catalog, &plan)?;
        let faults = Faults::new(Chance::new(plan.seed, "faults"), plan.rates, most_faults);
        let nodes = (0..plan.nodes).map(|_| Node::default()).collect();
        Ok(Arc::new(Self {
            scheduler: Scheduler::new(plan.start_ms, Chance::new(plan.seed, "schedule")),
            sandbox,
            mount,
            endpoint_secret,
            faults: Mutex::new(faults),
            trace: Mutex::default(),
            record: Mutex::new(Record::new(&catalog)),
            arrived: Mutex::default(),
            app: Mutex::default(),
            post_chance: Mutex::new(Chance::new(plan.seed, "post")),
            nodes: Mutex::new(nodes),
            coverage: Mutex::default(),
            doomed: Mutex::default(),
            resync: broadcast::channel(16).0,
            unreachable_until: AtomicI64::new(i64::MIN),
            provider_changed: AtomicBool::new(true),
            provider_changed_ms: AtomicI64::new(plan.start_ms),
            closed: AtomicBool::new(false),
            plan,
            catalog,
        }))
    }

    /// Adds a line to the trace.
    pub fn tell(&self, who: &str, what: Arguments<'_>) {
        lock(&self.trace).line(self.scheduler.now_ms(), who, what);
    }

    /// The trace so far.
    pub fn trace(&self) -> MutexGuard<'_, Trace> {
        lock(&self.trace)
    }

    /// What the checkers know.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// What the other side of mails and webhooks got.
    pub fn arrived(&self) -> MutexGuard<'_, Arrived> {
        lock(&self.arrived)
    }

    /// The operator's app.
    pub fn app(&self) -> MutexGuard<'_, App> {
        lock(&self.app)
    }

    /// Waits until the app can be told what happens: before that nobody buys.
    pub async fn app_is_ready(&self) {
        while !self.app().is_ready() {
            self.sleep(SECOND_MS).await;
        }
    }

    /// Chance for what befalls mails and webhooks.
    pub fn post_chance(&self) -> MutexGuard<'_, Chance> {
        lock(&self.post_chance)
    }

    /// The faults of this run.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// Which points were passed.
    pub fn coverage(&self) -> MutexGuard<'_, Coverage> {
        lock(&self.coverage)
    }

    /// Whether a fault strikes here.
    pub fn strikes(&self, fault: Fault) -> bool {
        self.faults().strikes(fault, 1)
    }

    /// A number from `low` to `high` for the details of a fault.
    pub fn drawn(&self, low: i64, high: i64) -> i64 {
        self.faults().chance().between(low, high)
    }

    /// Waits for some simulated milliseconds.
    pub async fn sleep(&self, ms: i64) {
        self.scheduler.sleep(u64::try_from(ms).unwrap_or(0)).await;
    }

    /// Whether buyers and faults are done.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.scheduler.now_ms() >= self.plan.start_ms + self.plan.length_ms
    }

    /// Runs a task that belongs to no node.
    pub fn outside(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.scheduler.spawn(Owner::Outside, Box::pin(task));
    }

    /// Asks the provider as a person at its dashboard or another program would: no fault touches it.
    pub fn dashboard(&self, method: &str, path: &str, form: &str) -> HttpResponse {
        let answer = self.sandbox.handle(HttpRequest::new(method, path, SECRET_KEY, form));
        if method != "GET" {
            self.provider_has_changed();
        }
        answer
    }

    /// Notes that the provider may have changed, for the checkers.
    pub fn provider_has_changed(&self) {
        self.provider_changed.store(true, Ordering::Relaxed);
        self.provider_changed_ms.store(self.scheduler.now_ms(), Ordering::Relaxed);
    }

    /// Whether the provider may have changed since the last call.
    pub fn take_provider_changed(&self) -> bool {
        self.provider_changed.swap(false, Ordering::Relaxed)
    }

    /// When the provider may have changed last, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn provider_changed_ms(&self) -> i64 {
        self.provider_changed_ms.load(Ordering::Relaxed)
    }

    /// Until when the provider cannot be reached.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.scheduler.now_ms() < self.unreachable_until.load(Ordering::Relaxed)
    }

    /// Makes the provider unreachable for a while.
    pub fn cut_provider(&self, ms: i64) {
        self.unreachable_until.store(self.scheduler.now_ms() + ms, Ordering::Relaxed);
    }

    /// A node's time.
    #[must_use]
    pub fn now_of(&self, node: usize) -> Timestamp {
        let skew = self.plan.skews_ms.get(node).copied().unwrap_or(0);
        Timestamp::from_ms(self.scheduler.now_ms() + skew)
    }

    /// The nodes that are up, and whether each stands still: such a node answers nobody.
    #[must_use]
    pub fn engines(&self) -> Vec<(usize, Engine, bool)> {
        let nodes = lock(&self.nodes);
        let up = nodes.iter().enumerate().filter_map(|(node, slot)| Some((node, slot.up.as_ref()?)));
        up.map(|(node, up)| {
            let paused = self.scheduler.is_paused(Owner::Node { node, life: up.life });
            (node, up.engine.clone(), paused)
        })
        .collect()
    }

    /// Runs a call on some node that is up, and waits for its answer; `None` when the connection is lost.
    pub async fn call<T, F, Fut>(self: &Arc<Self>, draw: u64, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(Engine) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        let answer = {
            let nodes = lock(&self.nodes);
            let up: Vec<(usize, &Running)> =
                nodes.iter().enumerate().filter_map(|(n, node)| Some((n, node.up.as_ref()?))).collect();
            let index = usize::try_from(draw.checked_rem(up.len() as u64)?).ok()?;
            let (node, running) = up.get(index)?;
            let (reply, answer) = oneshot::channel();
            let (owner, engine) = (Owner::Node { node: *node, life: running.life }, running.engine.clone());
            let task: Waiting<'static> = Box::pin(async move {
                // Nobody may wait any more.
                let _gone = reply.send(work(engine).await);
            });
            self.scheduler.spawn(owner, task);
            answer
        };
        answer.await.ok()
    }

    /// Starts a node that is down. `false` when it could not start, and tries again later.
    pub fn start(self: &Arc<Self>, node: usize) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let life = {
            let mut nodes = lock(&self.nodes);
            let Some(slot) = nodes.get_mut(node).filter(|slot| slot.up.is_none()) else { return };
            slot.lives += 1;
            slot.lives
        };
        disk::act_as(process_of(node, life));
        let opened = self.open(node, life).now_or_never();
        disk::act_as(AUDITOR);
        match opened {
            Some(Ok(running)) => {
                self.tell(&format!("node {node}"), format_args!("starts (life {life})"));
                self.set_to_work(node, running);
            }
            Some(Err(error)) => {
                self.tell(&format!("node {node}"), format_args!("cannot start: {error}"));
                self.let_go(node, life);
                self.start_later(node, 30 * SECOND_MS);
            }
            // Everything is inline, so nothing waits.
            None => self.record().violation("I10", "opening a database waits for something"),
        }
    }

    async fn open(self: &Arc<Self>, node: usize, life: u64) -> Result<Running, String> {
        let kept = lock(&self.nodes).get_mut(node).and_then(|slot| slot.kept.take());
        let db = match kept {
            Some(kept) => {
                self.mount.disk.hand_over(process_of(node, kept.life), process_of(node, life));
                kept.db
            }
            None => Db::open(&self.mount.url(), database_options()).await.map_err(|e| e.to_string())?,
        };
        let world = Arc::new(NodeWorld {
            sim: Arc::clone(self),
            node,
            life,
            chance: Mutex::new(Chance::new(self.plan.seed, &format!("node {node} life {life}"))),
        });
        let clock = Arc::clone(&world);
        let client = StripeClient::new(
            StripeConfig::new(SECRET_KEY.to_owned().into(), false),
            Arc::new(Network::new(Arc::clone(self), node)),
            Arc::new(move || clock.now().ms()),
            Arc::new(|_| {}),
        )
        .map_err(|e| e.to_string())?;
        let settings = Settings {
            webhook_secrets: vec![self.endpoint_secret.clone().into()],
            root_key: Some("the root key of a simulated installation".to_owned().into()),
            ..self.plan.settings.clone()
        };
        let engine = Engine::open(db.clone(), Arc::new(client), Arc::clone(&self.catalog), settings, world)
            .await
            .map_err(|e| e.to_string())?;
        let mail = Arc::new(SimulatedCourier::new(Arc::clone(self)));
        let hooks = Arc::new(WebhookCourier::new(Arc::new(ToApp(Arc::clone(self)))));
        let engine = engine.with_courier(Channel::Mail, mail).with_courier(Channel::Webhook, hooks);
        Ok(Running { life, engine, db })
    }

    fn set_to_work(self: &Arc<Self>, node: usize, running: Running) {
        let owner = Owner::Node { node, life: running.life };
        let spawn = |owner, engine: &Engine, changes| {
            let engine = engine.clone();
            self.scheduler.spawn(owner, Box::pin(engine.follow(changes)));
        };
        spawn(owner, &running.engine, running.db.changes());
        spawn(owner, &running.engine, self.resync.subscribe());
        let mut nodes = lock(&self.nodes);
        for (other, slot) in nodes.iter().enumerate() {
            if let Some(up) = &slot.up {
                // What one commits, the others hear.
                spawn(owner, &running.engine, up.db.changes());
                spawn(Owner::Node { node: other, life: up.life }, &up.engine, running.db.changes());
            }
        }
        let working = running.engine.clone().work_until(std::future::pending());
        self.scheduler.spawn(owner, Box::pin(working));
        if let Some(slot) = nodes.get_mut(node) {
            slot.up = Some(running);
        }
    }

    fn start_later(self: &Arc<Self>, node: usize, most_ms: i64) {
        let (sim, wait) = (Arc::clone(self), self.drawn(SECOND_MS, most_ms.max(SECOND_MS)));
        self.outside(async move {
            sim.sleep(wait).await;
            sim.start(node);
        });
    }

    /// Ends a node's present life: its tasks, its memory and its hold on the disk.
    fn crash(self: &Arc<Self>, node: usize, life: u64, end: End, why: &str) {
        let running = {
            let mut nodes = lock(&self.nodes);
            let Some(slot) = nodes.get_mut(node) else { return };
            match slot.up.take_if(|up| up.life == life) {
                Some(running) => running,
                None => {
                    // It died of something else in the step in which the disk failed it.
                    let _closed = slot.kept.take_if(|kept| kept.life == life && end == End::WithDisk);
                    return;
                }
            }
        };
        self.tell(&format!("node {node}"), format_args!("dies: {why}"));
        let owner = Owner::Node { node, life };
        let process = process_of(node, life);
        self.mount.disk.cut_off(process);
        disk::act_as(process);
        drop(self.scheduler.end(owner));
        let kept = if end == End::Between { running.db.pass_on().map(|db| Kept { life, db }) } else { None };
        drop(running);
        if let Some(slot) = lock(&self.nodes).get_mut(node) {
            slot.kept = kept;
        }
        disk::act_as(AUDITOR);
        self.let_go(node, life);
        self.start_later(node, 5 * 60 * SECOND_MS);
    }

    fn let_go(&self, node: usize, life: u64) {
        self.mount.disk.cut_off(process_of(node, life));
        // What it committed and had no time to tell.
        let _listeners = self.resync.send(Change::Resync);
    }

    /// Takes away everything that holds the world in a circle.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for node in 0..self.plan.nodes {
            let (running, kept) = match lock(&self.nodes).get_mut(node) {
                Some(slot) => (slot.up.take(), slot.kept.take()),
                None => (None, None),
            };
            drop(kept);
            if let Some(running) = running {
                drop(self.scheduler.end(Owner::Node { node, life: running.life }));
            }
        }
        drop(self.scheduler.end(Owner::Outside));
        self.record().close();
    }

    /// Carries out deaths that were decided during the last step.
    pub fn bury(self: &Arc<Self>) {
        for (node, life, why) in std::mem::take(&mut *lock(&self.doomed)) {
            self.crash(node, life, End::Between, why);
        }
        for casualty in self.mount.disk.take_casualties() {
            match casualty {
                Casualty::Process(process) => {
                    let (node, life) = ((process - 1) % 16, (process - 1) / 16);
                    self.crash(
                        usize::try_from(node).unwrap_or(0),
                        life,
                        End::WithDisk,
                        "killed while writing",
                    );
                }
                Casualty::Power => self.lose_power(),
            }
        }
    }

    fn lose_power(self: &Arc<Self>) {
        self.tell("disk", format_args!("power is lost"));
        for (node, life) in self.lives() {
            self.crash(node, life, End::WithDisk, "power is lost");
        }
        let kept: Vec<Kept> = lock(&self.nodes).iter_mut().filter_map(|slot| slot.kept.take()).collect();
        drop(kept);
        self.record().close();
        let mut faults = self.faults();
        self.mount.disk.power_returns(faults.chance());
    }

    /// The nodes that are up, with their lives.
    fn lives(&self) -> Vec<(usize, u64)> {
        let nodes = lock(&self.nodes);
        nodes.iter().enumerate().filter_map(|(n, slot)| Some((n, slot.up.as_ref()?.life))).collect()
    }

    /// One of the nodes that are up, if there is one.
    fn some_life(&self, draw: i64) -> Option<(usize, u64)> {
        let up = self.lives();
        let index = usize::try_from(draw).ok()?.checked_rem(up.len())?;
        up.get(index).copied()
    }

    /// Kills a node that is up, if there is one.
    pub fn kill_some(self: &Arc<Self>, draw: i64) {
        if let Some((node, life)) = self.some_life(draw) {
            self.crash(node, life, End::Between, "killed");
        }
    }

    /// Stops a node for a while, as a full machine or a debugger would.
    pub fn pause_some(&self, draw: i64, ms: i64) {
        if let Some((node, life)) = self.some_life(draw) {
            self.tell(&format!("node {node}"), format_args!("stands still for {ms} ms"));
            self.scheduler.pause(Owner::Node { node, life }, self.scheduler.now_ms() + ms);
        }
    }

    /// Wakes the nodes that did not make the last commit: another process would hear of it from the database.
    pub fn wake_others(&self) {
        let committed = self.scheduler.last();
        for (node, slot) in lock(&self.nodes).iter().enumerate() {
            if let Some(up) = &slot.up
                && committed != Some(Owner::Node { node, life: up.life })
            {
                up.engine.wake();
            }
        }
    }

    /// Moves time on to the next moment at which anything happens, at most to `limit`; `false` when that is reached.
    pub fn advance(&self, limit: i64) -> bool {
        let sandbox = self.sandbox.next_due().map(|at| at.saturating_mul(SECOND_MS));
        let next = self.scheduler.next_moment().into_iter().chain(sandbox).min().unwrap_or(limit);
        // What the provider has overdue must not keep the clock from moving.
        let next = next.max(self.scheduler.now_ms()).min(limit);
        self.scheduler.advance_to(next);
        if self.sandbox.next_due().is_some_and(|at| at.saturating_mul(SECOND_MS) <= next) {
            self.provider_has_changed();
        }
        self.sandbox.advance_time_to(next.div_euclid(SECOND_MS));
        next < limit
    }
}

/// Puts the catalog's prices and, unless the world is silent, an endpoint into the provider; the endpoint's signing
/// secret.
fn prepare(sandbox: &Sandbox, catalog: &Catalog, plan: &Plan) -> Result<String, String> {
    let post = |path: &str, form: &str| {
        let answer = sandbox.handle(HttpRequest::new("POST", path, SECRET_KEY, form));
        let value = answer.value();
        if answer.status == 200 { Ok(value) } else { Err(format!("{path} is refused: {value}")) }
    };
    let text = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    for sold in catalog.plans().iter().filter(|p| !p.free) {
        let product = text(&post("/v1/products", &format!("name={}", sold.key))?, "id");
        for price in &sold.prices {
            let recurring = match price.interval.as_str() {
                "once" => String::new(),
                interval => format!("&recurring[interval]={interval}"),
            };
            let form = format!(
                "product={product}&currency={}&unit_amount={}&lookup_key={}{recurring}",
                price.amount.currency.code(),
                price.amount.minor,
                price.lookup_key
            );
            post("/v1/prices", &form)?;
        }
    }
    let settings = match plan.settings.dunning.retries {
        Retries::Provider => serde_json::json!({ "on_exhaustion": plan.on_exhaustion }),
        Retries::Own => serde_json::json!({ "on_exhaustion": "leave", "retry_days": [] }),
    };
    let mut request = HttpRequest::new("PUT", "/_sandbox/settings", SECRET_KEY, "");
    request.body = settings.to_string().into_bytes();
    request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    let set = sandbox.handle(request);
    if set.status != 200 {
        return Err(format!("the provider's settings are refused: {}", set.value()));
    }
    if plan.silent {
        return Ok("whsec_of_no_endpoint".to_owned());
    }
    let version = plan.api_version.map_or_else(String::new, |version| format!("&api_version={version}"));
    let form = format!("url={ENDPOINT_URL}&enabled_events[0]=*{version}");
    Ok(text(&post("/v1/webhook_endpoints", &form)?, "secret"))
}

/// A node's world: the simulated clock with the node's error, its own chance, and points where it may die.
struct NodeWorld {
    sim: Arc<Sim>,
    node: usize,
    life: u64,
    chance: Mutex<Chance>,
}

impl World for NodeWorld {
    fn now(&self) -> Timestamp {
        self.sim.now_of(self.node)
    }

    fn sleep(&self, ms: u64) -> Waiting<'_> {
        Box::pin(self.sim.scheduler.sleep(ms))
    }

    fn limit(&self, ms: u64) -> Waiting<'_> {
        self.sleep(ms)
    }

    fn random(&self) -> [u8; 16] {
        lock(&self.chance).bytes()
    }

    fn point(&self, point: Point) -> Waiting<'_> {
        let favour = if self.sim.plan.favourite == point { 10 } else { 1 };
        let dies = self.sim.faults().strikes(Fault::CrashAtPoint, favour);
        let mut coverage = self.sim.coverage();
        let (passed, died) = coverage.entry(point).or_default();
        *passed += 1;
        *died += u64::from(dies);
        drop(coverage);
        if dies {
            lock(&self.sim.doomed).push((self.node, self.life, point.as_str()));
            return Box::pin(std::future::pending());
        }
        // Often others run first; now and then for long.
        let mut chance = lock(&self.chance);
        let lease_ms = self.sim.plan.settings.retry.lease_ms;
        let wait = if self.sim.plan.stalls_at == Some(point) && chance.per_mille(STALLS_PER_MILLE) {
            chance.between(lease_ms, 3 * lease_ms)
        } else {
            match chance.below(64) {
                0..=31 => 0,
                32..=60 => chance.between(1, 40),
                61..=62 => chance.between(100, 3_000),
                _ => chance.between(SECOND_MS, 100 * SECOND_MS),
            }
        };
        drop(chance);
        let wait = if self.sim.faults().are_over() { 0 } else { wait };
        Box::pin(self.sim.scheduler.sleep(u64::try_from(wait).unwrap_or(0)))
    }

    fn spawn(&self, task: Waiting<'static>) {
        self.sim.scheduler.spawn(Owner::Node { node: self.node, life: self.life }, task);
    }
}

/// How many in a thousand tasks stall at the point that the plan names.
const STALLS_PER_MILLE: u32 = 150;
