//! The sandbox as its users hold it: one lock around the state, the clock, and what is told of changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::{Clock, fresh_seed};
use crate::settings::Settings;
use crate::shell::listen::Hub;
use crate::state::world::World;
use crate::webhooks::queue::{Delivery, DeliveryOutcome};
use crate::wire::error::ApiError;
use crate::wire::request::{HttpRequest, HttpResponse};
use crate::{gateway, site};

/// The format of snapshots; a change of what [`World`] holds is another format.
const SNAPSHOT_FORMAT: u64 = 2;

/// Where webhooks go from the start, without a call to make an endpoint.
#[derive(Debug, Clone)]
pub struct WebhookTarget {
    /// The URL that receives every event.
    pub url: String,
    /// The signing secret, `whsec_…`.
    pub secret: String,
}

/// How a sandbox starts.
#[derive(Debug, Clone, Default)]
pub struct SandboxConfig {
    /// Makes ids and chances repeatable; from the system's entropy when absent.
    pub seed: Option<u64>,
    /// The one key that is accepted; any `sk_test_…` or `rk_test_…` when absent.
    pub secret_key: Option<String>,
    /// Where the pages are reached, for links: `http://127.0.0.1:12111`, without a slash at the end.
    pub public_url: String,
    /// What the seller is called on the pages; `Sandbox` when absent.
    pub merchant: Option<String>,
    /// An endpoint that exists from the start.
    pub webhook: Option<WebhookTarget>,
    /// A clock that stands at this unix second and only moves when told; the real time when absent.
    pub start_time: Option<i64>,
    /// Live mode: how many seconds pass in each real second, such as 86400 for a day, at most a year. Without it the
    /// clock runs with the real one, or stands still where `start_time` put it.
    pub speed: Option<u32>,
    /// What the real provider keeps in its dashboard, as it is from the start and after each reset. Settings out of
    /// range ([`Settings::fault`]) are not taken.
    pub settings: Settings,
}

type TimeListener = Box<dyn Fn(i64) + Send + Sync>;
type ResetListener = Box<dyn Fn(&Sandbox) + Send + Sync>;

/// State and clock, behind one lock.
pub(crate) struct Inner {
    pub(crate) world: World,
    pub(crate) clock: Clock,
    seed: u64,
    resets: u64,
    /// Grows with everything that may have changed the state.
    changes: u64,
}

/// What all handles of one sandbox hold together.
struct Shared {
    config: SandboxConfig,
    inner: Mutex<Inner>,
    listeners: Mutex<Vec<TimeListener>>,
    after_reset: Mutex<Vec<ResetListener>>,
    wake: Notify,
    hub: Hub,
}

/// A running sandbox. All methods may be called from any thread.
pub struct Sandbox {
    shared: Arc<Shared>,
    /// The connected account whose books this handle opens; the platform's when absent.
    account: Option<String>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sandbox").field("account_id", &self.account_id()).finish_non_exhaustive()
    }
}

fn fresh_world(config: &SandboxConfig, seed: u64, now: i64) -> World {
    let mut world = World::new(seed, config.public_url.trim_end_matches('/').to_owned(), now);
    match config.settings.fault() {
        None => world.settings = config.settings.clone(),
        Some(fault) => tracing::error!(%fault, "the sandbox keeps its usual settings"),
    }
    if let Some(merchant) = &config.merchant {
        world.merchant.clone_from(merchant);
    }
    if let Some(webhook) = &config.webhook {
        world.add_endpoint(&webhook.url, &webhook.secret);
    }
    world
}

impl Sandbox {
    /// Starts an empty sandbox.
    #[must_use]
    pub fn new(config: SandboxConfig) -> Arc<Self> {
        let seed = config.seed.unwrap_or_else(fresh_seed);
        let clock = Clock::new(config.start_time, config.speed);
        let world = fresh_world(&config, seed, clock.now());
        let shared = Shared {
            inner: Mutex::new(Inner { world, clock, seed, resets: 0, changes: 0 }),
            config,
            listeners: Mutex::new(Vec::new()),
            after_reset: Mutex::new(Vec::new()),
            wake: Notify::new(),
            hub: Hub::default(),
        };
        Arc::new(Self { shared: Arc::new(shared), account: None })
    }

    /// The same sandbox as it looks in the books of a connected account (`acct_…`): what is bought, authenticated and
    /// read is that account's. The platform's books stay open where there is no such account.
    #[must_use]
    pub fn speaking_for(&self, account: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), account: Some(account.to_owned()) }
    }

    /// The same sandbox in the books that hold an object: for pages, whose paths name one and no account.
    fn holding(&self, path: &str) -> Self {
        let account = self.read(|world| path.split('/').find_map(|id| world.elsewhere(id)));
        let account = account.or_else(|| self.account.clone());
        Self { shared: Arc::clone(&self.shared), account }
    }

    /// The id of the account that it plays.
    #[must_use]
    pub fn account_id(&self) -> String {
        self.raw().world.account_id.clone()
    }

    /// A number that grows with everything that may have changed the state; for whoever keeps snapshots.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// How it was started.
    #[must_use]
    pub fn config(&self) -> &SandboxConfig {
        &self.shared.config
    }

    /// The sandbox's time, in unix seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.raw().clock.now()
    }

    /// The sandbox's time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.raw().clock.now_ms()
    }

    /// Calls back after each jump of the clock, and again and again in live mode, with its distance from the real time
    /// in seconds.
    pub fn on_time_change(&self, listener: Box<dyn Fn(i64) + Send + Sync>) {
        self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Calls back after each reset, so that whoever filled the sandbox can fill it again.
    pub fn on_reset(&self, listener: impl Fn(&Self) + Send + Sync + 'static) {
        self.shared.after_reset.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    /// Answers a request to the API, to the control calls or to a page.
    #[must_use]
    pub fn handle(&self, request: HttpRequest) -> HttpResponse {
        let response = self.begin(request);
        self.finish(&response);
        response
    }

    /// Carries a request out like [`Sandbox::handle`], for a caller that holds the answer back as long as its
    /// `latency_ms` says. Until [`Sandbox::finish`] the idempotency key of the request is in use.
    #[must_use]
    pub fn begin(&self, request: HttpRequest) -> HttpResponse {
        let api = ["/v1/", "/v2/", "/oauth/"].iter().any(|start| request.path.starts_with(start))
            || request.path == "/v1";
        if api {
            let key = self.shared.config.secret_key.as_deref();
            self.change(|world| gateway::answer(world, key, &request))
        } else {
            self.site(&request)
        }
    }

    /// Answers a control call or a page, in the books that its header or its path names.
    fn site(&self, request: &HttpRequest) -> HttpResponse {
        match request.header_value("stripe-account").filter(|account| !account.is_empty()) {
            Some(account) if self.read(|world| world.may_speak_for(account)) => {
                site::answer(&self.speaking_for(account), request)
            }
            Some(account) => {
                let error = ApiError::no_access(account);
                HttpResponse::json(error.status(), &error.body(""))
            }
            None => site::answer(&self.holding(&request.path), request),
        }
    }

    /// Says that an answer of [`Sandbox::begin`] has left.
    pub fn finish(&self, response: &HttpResponse) {
        if let Some(held) = &response.held_key {
            self.raw().world.keys.release(held);
        }
    }

    /// When the passing of time alone will change something next, or make a delivery due; in unix seconds. For
    /// whoever moves the clock in steps.
    #[must_use]
    pub fn next_due(&self) -> Option<i64> {
        let inner = self.raw();
        inner.world.next_timer().into_iter().chain(inner.world.next_delivery()).min()
    }

    /// Takes the webhook deliveries that are due. Report each one's outcome with [`Sandbox::delivery_result`].
    #[must_use]
    pub fn due_deliveries(&self) -> Vec<Delivery> {
        let mut inner = self.lock();
        let due = inner.world.take_due_deliveries();
        inner.changes += u64::from(!due.is_empty());
        due
    }

    /// How many deliveries are still to be made, under way ones included.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.raw().world.deliveries.len()
    }

    /// How many events there have been, forgotten ones included.
    #[must_use]
    pub fn events_made(&self) -> u64 {
        self.raw().world.events.made()
    }

    /// Notes how a delivery went; a failed one is tried again later on the sandbox's clock.
    pub fn delivery_result(&self, delivery_id: &str, outcome: DeliveryOutcome) {
        let mut inner = self.lock();
        inner.world.note_delivery(delivery_id, outcome);
        inner.changes += 1;
    }

    /// Moves the clock ahead by seconds. Everything that falls due on the way happens at its own instant.
    pub fn advance_time(&self, seconds: i64) {
        self.move_clock(|clock| clock.advance(seconds));
    }

    /// Moves the clock ahead to a unix second; nothing happens when that has passed.
    pub fn advance_time_to(&self, to: i64) {
        self.move_clock(|clock| clock.advance(to.saturating_sub(clock.now())));
    }

    fn move_clock(&self, change: impl FnOnce(&mut Clock)) {
        let offset = {
            let mut inner = self.raw();
            change(&mut inner.clock);
            let now = inner.clock.now();
            inner.world.pass_all_time(now);
            inner.changes += 1;
            inner.clock.offset()
        };
        self.tell_offset(offset);
        self.shared.wake.notify_one();
    }

    fn tell_offset(&self, offset: i64) {
        for listener in self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(offset);
        }
    }

    /// How many seconds pass in each real second; 0 when the clock stands still, 1 when it runs with the real one.
    #[must_use]
    pub fn speed(&self) -> u32 {
        self.raw().clock.speed()
    }

    /// Lets the clock go on from where it is at another speed, up to a year in each real second; 0 stops it.
    pub fn set_speed(&self, speed: u32) {
        self.move_clock(|clock| clock.set_speed(speed));
    }

    /// In live mode: plays what has become due, and tells whoever follows the clock. Answers whether it is live.
    pub(crate) fn keep_pace(&self) -> bool {
        let offset = {
            let inner = self.lock();
            (inner.clock.speed() > 1).then(|| inner.clock.offset())
        };
        if let Some(offset) = offset {
            self.tell_offset(offset);
        }
        offset.is_some()
    }

    /// Forgets everything but the account and the time; ids do not repeat.
    pub fn reset(&self) {
        let mut inner = self.raw();
        inner.resets += 1;
        let (seed, now) =
            (inner.seed.wrapping_add(inner.resets.wrapping_mul(0x9e37_79b9_7f4a_7c15)), inner.clock.now());
        let mut world = fresh_world(&self.shared.config, seed, now);
        world.account_id.clone_from(&inner.world.account_id);
        inner.world = world;
        inner.changes += 1;
        drop(inner);
        self.shared.hub.close();
        for listener in self.shared.after_reset.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(self);
        }
    }

    /// The whole state as JSON, to be restored with [`Sandbox::restore`].
    #[must_use]
    pub fn snapshot(&self) -> serde_json::Value {
        let inner = self.lock();
        serde_json::json!({ "format": SNAPSHOT_FORMAT, "now": inner.clock.now(), "world": inner.world })
    }

    /// Restores a snapshot. The clock goes on from where it is, or jumps ahead to the snapshot's time.
    ///
    /// # Errors
    /// When the text is no snapshot, or one of another format; the state is then unchanged.
    pub fn restore(&self, snapshot: &serde_json::Value) -> Result<(), crate::SandboxError> {
        let format = snapshot.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(SNAPSHOT_FORMAT) {
            let found = format.map_or_else(|| "no format".to_owned(), |format| format!("format {format}"));
            return Err(crate::SandboxError::invalid(format!(
                "This sandbox reads snapshots of format {SNAPSHOT_FORMAT}, and this one has {found}. The state is unchanged. Take the snapshot again with this version, or move the file away and start empty."
            )));
        }
        let world = snapshot.get("world").cloned().unwrap_or_default();
        let mut world: World = serde_json::from_value(world)
            .map_err(|error| crate::SandboxError::invalid(format!(
                "This snapshot cannot be read, as one of another version ({error}). The state is unchanged. Take the snapshot again with this version, or move the file away and start empty."
            )))?;
        let to = snapshot.get("now").and_then(serde_json::Value::as_i64).unwrap_or(world.now);
        // Where this sandbox is reached and what it was started with is not the snapshot's to say.
        world.reached_at(self.shared.config.public_url.trim_end_matches('/'));
        if let Some(webhook) = &self.shared.config.webhook {
            world.add_endpoint(&webhook.url, &webhook.secret);
        }
        {
            let mut inner = self.raw();
            inner.world = world;
            inner.changes += 1;
        }
        self.shared.hub.close();
        self.advance_time_to(to);
        Ok(())
    }

    /// How many requests each call of the API has had: `POST /v1/customers`, `GET /v1/subscriptions/{id}`.
    #[must_use]
    pub fn provider_calls(&self) -> BTreeMap<String, u64> {
        self.raw().world.calls.clone()
    }

    /// Starts counting from nothing.
    pub fn reset_provider_calls(&self) {
        self.raw().world.calls.clear();
    }

    /// Changes the state at the present time and lets the events of the change go.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut inner = self.lock();
        let result = inner.world.visit(self.account.as_deref(), change);
        inner.world.flush_events();
        inner.changes += 1;
        drop(inner);
        self.shared.wake.notify_one();
        result
    }

    /// Reads the state at the present time.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        self.lock().world.visit(self.account.as_deref(), |world| read(world))
    }

    /// The command-line programs that listen.
    pub(crate) fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Waits until something may have become due.
    pub(crate) async fn changed(&self) {
        self.shared.wake.notified().await;
    }

    /// The state, brought up to the present.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.raw();
        let now = inner.clock.now();
        if inner.world.pass_all_time(now) {
            inner.changes += 1;
        }
        inner
    }

    fn raw(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
