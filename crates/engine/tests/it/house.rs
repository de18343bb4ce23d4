//! A whole house for a test: database, sandbox, engine, and a clock that only moves when told.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use quittance_domain::checkout::CheckoutUi;
use quittance_domain::{Catalog, CustomerId, Timestamp};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::problem::Problem;
use quittance_engine::world::{Point, Waiting};
use quittance_engine::{Engine, Settings, World};
use quittance_sandbox::{
    CheckoutOutcome, Delivery, DeliveryOutcome, DeliveryPolicy, Sandbox, SandboxConfig, WebhookTarget,
};
use quittance_store::checkouts::CheckoutRow;
use quittance_store::testing::TestDb;
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::{RateLimits, StripeConfig};
use quittance_stripe::http::{
    Exchange, HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use tokio::sync::Semaphore;

/// 2026-01-31T12:00:00Z: the end of a long month, so that month arithmetic shows.
pub const START: i64 = 1_769_860_800;
pub const DAY: i64 = 86_400;
pub const SECRET: &str = "whsec_test_house";

/// The sandbox's clock is everybody's clock; sleeping takes no real time to speak of but moves this world on.
pub struct TestWorld {
    sandbox: Arc<Sandbox>,
    slept_ms: AtomicI64,
    workers: AtomicI64,
    drawn: AtomicU64,
    gates: Mutex<HashMap<Point, Gate>>,
}

/// How long a request waits for a sync that somebody else makes, in milliseconds of the house.
const WAIT_MS: i64 = 400;
/// How much slower time passes in this world while somebody waits for work that is being done.
const WORKED_SLOWLY: u64 = 40;

/// Stops whoever reaches a point until it is opened.
#[derive(Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// Waits until somebody stands at the gate.
    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets one through.
    pub fn open(&self) {
        self.open.add_permits(1);
    }
}

impl TestWorld {
    fn gate(&self, point: Point) -> Option<Gate> {
        self.gates.lock().unwrap().get(&point).cloned()
    }
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.sandbox.now_ms() + self.slept_ms.load(Ordering::SeqCst))
    }

    fn sleep(&self, ms: u64) -> Waiting<'_> {
        Box::pin(async move {
            // Those who sleep at the same time wake at the same time: their sleeps do not add up.
            // Whoever works needs real time for it, and more of it on a busy machine.
            let passes = match self.workers.load(Ordering::SeqCst) {
                0 => ms,
                _ => ms / WORKED_SLOWLY,
            };
            let wake = self.slept_ms.load(Ordering::SeqCst) + i64::try_from(passes).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis((ms / 4).clamp(1, 20))).await;
            self.slept_ms.fetch_max(wake, Ordering::SeqCst);
        })
    }

    fn limit(&self, ms: u64) -> Waiting<'_> {
        Box::pin(tokio::time::sleep(std::time::Duration::from_millis(ms)))
    }

    fn random(&self) -> [u8; 16] {
        let n = self.drawn.fetch_add(1, Ordering::SeqCst);
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(quittance_domain::digest::digest(&["random", &n.to_string()]))
        {
            *to = from;
        }
        bytes
    }

    fn point(&self, point: Point) -> Waiting<'_> {
        Box::pin(async move {
            if let Some(gate) = self.gate(point) {
                gate.reached.add_permits(1);
                gate.open.acquire().await.unwrap().forget();
            }
        })
    }

    fn spawn(&self, task: Waiting<'static>) {
        tokio::spawn(task);
    }
}

/// What the next answers of the provider become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The request never arrives.
    LostBefore,
    /// The provider did it, and its answer is lost.
    LostAfter,
    /// This status instead of an answer.
    Status(u16),
}

/// Carries calls to the sandbox in the same process.
pub struct SandboxTransport {
    /// What calls said that counts for nothing: a test that made one fails when it ends, since many are made by workers.
    ignored: Mutex<Vec<String>>,
    sandbox: Arc<Sandbox>,
    trouble: Mutex<Vec<(String, Trouble, usize)>>,
    gates: Mutex<HashMap<String, Gate>>,
}

impl SandboxTransport {
    /// Ends all trouble.
    pub fn mend(&self) {
        self.trouble.lock().unwrap().clear();
    }

    /// Makes the next answers something else: of calls whose method, target and idempotency key contain `part`.
    pub fn trouble(&self, part: &str, trouble: Trouble, times: usize) {
        self.trouble.lock().unwrap().push((part.to_owned(), trouble, times));
    }

    fn draw(&self, target: &str) -> Option<Trouble> {
        let mut all = self.trouble.lock().unwrap();
        let found = all.iter_mut().find(|(part, _, left)| *left > 0 && target.contains(part.as_str()))?;
        found.2 -= 1;
        Some(found.1)
    }

    fn call(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        use secrecy::ExposeSecret;
        let key = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        let key = key.map_or("", |(_, value)| value);
        let target = format!("{} {} {key}", request.method.as_str(), request.target);
        let trouble = self.draw(&target);
        let unknown =
            |message: &str| TransportError { kind: TransportErrorKind::Unknown, message: message.into() };
        match trouble {
            Some(Trouble::LostBefore) => return Err(unknown("lost before")),
            Some(Trouble::Status(status)) => {
                let body = br#"{"error":{"type":"api_error","message":"trouble"}}"#.to_vec();
                return Ok(HttpResponse { status, headers: Vec::new(), body });
            }
            Some(Trouble::LostAfter) | None => {}
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let mut headers: Vec<(String, String)> =
            request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        headers.push(("authorization".into(), request.authorization.expose_secret().to_owned()));
        let answer = self.sandbox.handle(quittance_sandbox::HttpRequest {
            method: request.method.as_str().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: request.body.clone().into_bytes(),
        });
        if answer.lost || trouble == Some(Trouble::LostAfter) {
            return Err(unknown("lost after"));
        }
        if let Some((_, names)) = answer.headers.iter().find(|(name, _)| name == "sandbox-ignored") {
            self.ignored.lock().unwrap().push(format!("{target}: {names}"));
        }
        Ok(HttpResponse { status: answer.status, headers: answer.headers, body: answer.body })
    }
}

impl Drop for SandboxTransport {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(
                *self.ignored.lock().unwrap(),
                Vec::<String>::new(),
                "parameters that count for nothing"
            );
        }
    }
}

impl Transport for SandboxTransport {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        Box::pin(async move {
            // The answer is taken before the gate: what is held back is a stale answer.
            let answer = self.call(&request);
            let gate = self
                .gates
                .lock()
                .unwrap()
                .iter()
                .find(|(part, _)| request.target.contains(part.as_str()))
                .map(|(_, g)| g.clone());
            if let Some(gate) = gate {
                gate.reached.add_permits(1);
                gate.open.acquire().await.unwrap().forget();
            }
            answer
        })
    }
}

/// The house.
pub struct House {
    pub engine: Engine,
    pub sandbox: Arc<Sandbox>,
    pub world: Arc<TestWorld>,
    pub transport: Arc<SandboxTransport>,
    pub test: TestDb,
}

pub fn catalog() -> Catalog {
    Catalog::parse(include_str!("../../../../catalog.toml")).unwrap()
}

pub fn customer(id: &str) -> CustomerId {
    CustomerId::parse(id).unwrap()
}

/// What a buyer asks for when nothing special matters.
pub fn pro(id: &str) -> NewCheckout {
    NewCheckout {
        customer: customer(id),
        plan: "pro".into(),
        interval: Some("month".into()),
        quantity: None,
        currency: Some("jpy".into()),
        promotion_code: None,
        channel: None,
        success_url: None,
        cancel_url: None,
        starts_after: None,
        ui: CheckoutUi::Hosted,
        reference: None,
        client_ip: None,
        idempotency: None,
    }
}

fn seed_prices(sandbox: &Sandbox, catalog: &Catalog) {
    let post = |path: &str, form: String| {
        let answer =
            sandbox.handle(quittance_sandbox::HttpRequest::new("POST", path, "sk_test_house", &form));
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.value()["id"].as_str().unwrap().to_owned()
    };
    for plan in catalog.plans().iter().filter(|p| !p.free) {
        let product =
            post("/v1/products", format!("name={}", plan.name.en.replace(' ', "+").replace(',', "")));
        for price in &plan.prices {
            let recurring = match price.interval.as_str() {
                "once" => String::new(),
                interval => format!("&recurring[interval]={interval}"),
            };
            post(
                "/v1/prices",
                format!(
                    "product={product}&currency={}&unit_amount={}&lookup_key={}{recurring}",
                    price.amount.currency.code(),
                    price.amount.minor,
                    price.lookup_key
                ),
            );
        }
    }
}

impl House {
    pub async fn build(test: TestDb) -> Self {
        let publishable_key = Some("pk_test_house".to_owned());
        Self::with(test, Settings { publishable_key, ..Settings::default() }, catalog()).await
    }

    pub async fn with(test: TestDb, settings: Settings, catalog: Catalog) -> Self {
        let sandbox = Sandbox::new(SandboxConfig {
            seed: Some(7),
            public_url: "http://127.0.0.1:12111".into(),
            webhook: Some(WebhookTarget {
                url: "http://127.0.0.1:4242/webhooks/stripe".into(),
                secret: SECRET.into(),
            }),
            start_time: Some(START),
            ..SandboxConfig::default()
        });
        seed_prices(&sandbox, &catalog);
        let world = Arc::new(TestWorld {
            sandbox: sandbox.clone(),
            slept_ms: AtomicI64::new(0),
            workers: AtomicI64::new(0),
            drawn: AtomicU64::new(0),
            gates: Mutex::new(HashMap::new()),
        });
        let transport = Arc::new(SandboxTransport {
            ignored: Mutex::default(),
            sandbox: sandbox.clone(),
            trouble: Mutex::new(Vec::new()),
            gates: Mutex::new(HashMap::new()),
        });
        let engine = Self::engine_on(&test, settings, catalog, &world, &transport).await;
        let house = Self { engine, sandbox, world, transport, test };
        house.settle().await;
        house.sandbox.reset_provider_calls();
        house
    }

    /// Another engine (another node, or the same one after a crash) on the same database and provider.
    pub async fn another_engine(&self) -> Engine {
        Self::engine_on(&self.test, self.engine.settings().clone(), catalog(), &self.world, &self.transport)
            .await
    }

    /// Another engine that sells something else.
    pub async fn engine_of(&self, catalog: Catalog) -> Engine {
        Self::engine_on(&self.test, self.engine.settings().clone(), catalog, &self.world, &self.transport)
            .await
    }

    /// Another engine with other settings.
    pub async fn engine_with(&self, settings: Settings) -> Engine {
        Self::engine_on(&self.test, settings, catalog(), &self.world, &self.transport).await
    }

    /// Another engine that asks the provider no faster than one in test mode.
    pub async fn engine_in_test_mode(&self) -> Engine {
        let (settings, limits) = (self.engine.settings().clone(), RateLimits::for_mode(false));
        Self::engine_within(&self.test, settings, catalog(), &self.world, &self.transport, limits).await
    }

    /// An engine on another database, beside this one.
    pub async fn engine_beside(&self, test: &TestDb) -> Engine {
        Self::engine_on(test, self.engine.settings().clone(), catalog(), &self.world, &self.transport).await
    }

    /// The same house after a restart with another catalog.
    pub async fn engine_in_force(&self, catalog: Catalog) -> Engine {
        let now = self.engine.now();
        quittance_engine::catalog_versions::put_in_force(&self.test.db, &catalog, now).await.unwrap();
        let settings = self.engine.settings().clone();
        Self::engine_on(&self.test, settings, catalog, &self.world, &self.transport).await
    }

    async fn engine_on(
        test: &TestDb,
        settings: Settings,
        catalog: Catalog,
        world: &Arc<TestWorld>,
        transport: &Arc<SandboxTransport>,
    ) -> Engine {
        let limits = RateLimits {
            per_second: 100_000,
            per_endpoint_per_second: 100_000,
            breaker_threshold: 1_000,
            ..RateLimits::for_mode(false)
        };
        Self::engine_within(test, settings, catalog, world, transport, limits).await
    }

    async fn engine_within(
        test: &TestDb,
        mut settings: Settings,
        catalog: Catalog,
        world: &Arc<TestWorld>,
        transport: &Arc<SandboxTransport>,
        limits: RateLimits,
    ) -> Engine {
        // Nobody works in the background of most tests, so that waiting for it is in vain.
        settings.redirect_wait_ms = settings.redirect_wait_ms.min(WAIT_MS);
        test.db.migrate().await.unwrap();
        settings.webhook_secrets = vec![SECRET.to_owned().into()];
        let mut config = StripeConfig::new("sk_test_house".to_owned().into(), false);
        config.limits = limits;
        let clock = world.clone();
        let now = Arc::new(move || clock.now().ms());
        let client = StripeClient::new(config, transport.clone(), now, Arc::new(|_| {})).unwrap();
        Engine::open(test.db.clone(), Arc::new(client), Arc::new(catalog), settings, world.clone())
            .await
            .unwrap()
    }

    /// Hands one delivery to the engine as the HTTP layer would.
    pub async fn hand_in(&self, delivery: &Delivery) -> Result<quittance_store::inbox::Accepted, Problem> {
        let header = delivery
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case("stripe-signature"))
            .map(|(_, v)| v.as_bytes());
        self.engine.accept_stripe(header, &delivery.body).await
    }

    /// Delivers every webhook that is due, and those that become due by that.
    pub async fn deliver(&self) -> usize {
        // What was slept through has passed at the provider too.
        let slept = self.world.slept_ms.swap(0, Ordering::SeqCst);
        self.sandbox.advance_time(slept.div_euclid(1_000));
        self.world.slept_ms.fetch_add(slept.rem_euclid(1_000), Ordering::SeqCst);
        let mut count = 0;
        loop {
            let due = self.sandbox.due_deliveries();
            if due.is_empty() {
                return count;
            }
            for delivery in due {
                self.hand_in(&delivery).await.unwrap();
                self.sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Answered(200));
                count += 1;
            }
        }
    }

    /// Waits for something while a worker works, as a server does.
    #[allow(dead_code, reason = "only the tests over HTTP wait")]
    pub async fn while_working<T>(&self, something: impl Future<Output = T>) -> T {
        let work = async {
            loop {
                self.engine.drain().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        self.world.workers.fetch_add(1, Ordering::SeqCst);
        let told = tokio::select! { told = something => told, () = work => unreachable!() };
        self.world.workers.fetch_sub(1, Ordering::SeqCst);
        told
    }

    /// Delivers and works until nothing is left to do.
    pub async fn settle(&self) {
        loop {
            let delivered = self.deliver().await;
            self.pass_burst();
            let synced = self.engine.drain().await.unwrap();
            if delivered == 0 && synced == 0 {
                return;
            }
        }
    }

    /// Lets so much time pass that a burst and what follows a sync are due.
    pub fn pass_burst(&self) {
        let settings = self.engine.settings();
        self.pass_ms(settings.settle_ms.max(settings.spacing_ms) + 1);
    }

    /// Takes the deliveries that are due without handing them in.
    pub fn withhold(&self) -> Vec<Delivery> {
        let due = self.sandbox.due_deliveries();
        for delivery in &due {
            self.sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Answered(200));
        }
        due
    }

    pub fn drop_webhooks(&self) {
        self.sandbox.set_delivery_policy(DeliveryPolicy { drop: 1.0, ..DeliveryPolicy::default() }).unwrap();
    }

    /// Lets time pass a day at a time, delivering and working on the way.
    pub async fn live(&self, days: i64) {
        for _ in 0..days {
            self.sandbox.advance_time(DAY);
            self.settle().await;
        }
    }

    pub async fn open(&self, new: &NewCheckout) -> CheckoutRow {
        self.engine.open_checkout(new).await.unwrap()
    }

    pub fn pay(&self, session: &str, card: &str) -> CheckoutOutcome {
        self.sandbox.complete_checkout(session, card).unwrap()
    }

    /// A customer with a paid Pro subscription; its provider subscription's id.
    pub async fn subscriber(&self, id: &str) -> String {
        let row = self.open(&pro(id)).await;
        self.pay(row.session.as_deref().unwrap(), "pm_card_visa");
        self.settle().await;
        let view = self.engine.customer(id).await.unwrap();
        view.subscriptions[0].subscription.facts.id.clone()
    }

    pub async fn allowed(&self, id: &str, feature: &str) -> bool {
        self.engine.check(id, feature).await.unwrap().allowed
    }

    /// A call as another program on the account would make it.
    pub fn provider(&self, method: &str, path: &str, form: &str) -> serde_json::Value {
        let answer =
            self.sandbox.handle(quittance_sandbox::HttpRequest::new(method, path, "sk_test_house", form));
        assert!(answer.status < 300, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        answer.value()
    }

    pub fn calls(&self) -> u64 {
        self.sandbox.provider_calls().values().sum()
    }

    pub fn trouble(&self, part: &str, trouble: Trouble, times: usize) {
        self.transport.trouble.lock().unwrap().push((part.to_owned(), trouble, times));
    }

    /// Holds answers whose target contains `part`, after they were made.
    pub fn hold_answers(&self, part: &str) -> Gate {
        let gate = Gate { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) };
        self.transport.gates.lock().unwrap().insert(part.to_owned(), gate.clone());
        gate
    }

    pub fn release_answers(&self, part: &str) {
        self.transport.gates.lock().unwrap().remove(part);
    }

    /// Holds whoever reaches a named point.
    pub fn hold_point(&self, point: Point) -> Gate {
        let gate = Gate { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) };
        self.world.gates.lock().unwrap().insert(point, gate.clone());
        gate
    }

    pub fn release_point(&self, point: Point) {
        self.world.gates.lock().unwrap().remove(&point);
    }

    /// Claims what is due and picks the one of a customer; the others keep their lease until it runs out.
    pub async fn claim_customer(&self) -> quittance_store::aggregates::Claim {
        let claims = self.engine.claim(50).await.unwrap();
        claims.into_iter().find(|c| c.key.contains("/customer/")).unwrap()
    }

    pub fn pass_ms(&self, ms: i64) {
        self.world.slept_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a story in a fresh house on each database.
pub async fn on_each<F>(story: F)
where
    F: for<'a> Fn(&'a House) -> Boxed<'a>,
{
    for test in quittance_store::testing::databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let house = House::build(test).await;
        story(&house).await;
    }
}
