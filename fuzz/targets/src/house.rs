//! A whole product in one thread: engine, SQLite in memory, the sandbox for a provider, and a clock that only moves when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use quittance_domain::{Catalog, Timestamp};
use quittance_engine::api_keys::KeyScope;
use quittance_engine::world::{Point, Waiting};
use quittance_engine::{Engine, Settings, World};
use quittance_sandbox::{Sandbox, SandboxConfig, WebhookTarget};
use quittance_server::catalog_seed;
use quittance_server::config;
use quittance_server::http::{self, AppConfig};
use quittance_store::{Db, Options};
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::{RateLimits, StripeConfig};
use quittance_stripe::http::{
    Exchange, HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use secrecy::ExposeSecret;

/// The key that may do everything.
pub const KEY: &str = "qk_fuzz";
/// What webhooks are signed with.
pub const SECRET: &str = "whsec_fuzz";
const PROVIDER_KEY: &str = "sk_test_fuzz";
const START: i64 = 1_769_860_800;

/// The product and its provider.
pub struct House {
    pub engine: Engine,
    pub router: Router,
    pub sandbox: Arc<Sandbox>,
}

struct StillWorld {
    sandbox: Arc<Sandbox>,
    drawn: AtomicU64,
}

impl World for StillWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.sandbox.now_ms())
    }

    fn sleep(&self, ms: u64) -> Waiting<'_> {
        let seconds = i64::try_from(ms.div_ceil(1_000)).expect("a short sleep");
        Box::pin(async move {
            self.sandbox.advance_time(seconds);
            tokio::task::yield_now().await;
        })
    }

    fn random(&self) -> [u8; 16] {
        u128::from(self.drawn.fetch_add(1, Ordering::Relaxed))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
            .to_be_bytes()
    }

    fn limit(&self, ms: u64) -> Waiting<'_> {
        Box::pin(tokio::time::sleep(std::time::Duration::from_millis(ms)))
    }

    fn point(&self, _: Point) -> Waiting<'_> {
        Box::pin(std::future::ready(()))
    }

    fn spawn(&self, task: Waiting<'static>) {
        tokio::spawn(task);
    }
}

struct Direct(Arc<Sandbox>);

impl Transport for Direct {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        Box::pin(async move {
            let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
            let mut headers: Vec<(String, String)> =
                request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            headers.push(("authorization".to_owned(), request.authorization.expose_secret().to_owned()));
            let answer = self.0.handle(quittance_sandbox::HttpRequest {
                method: request.method.as_str().to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers,
                body: request.body.clone().into_bytes(),
            });
            if answer.lost {
                return Err(TransportError { kind: TransportErrorKind::Unknown, message: "lost".to_owned() });
            }
            assert!(
                answer.status < 500,
                "the sandbox answers {} {path} with {}",
                request.method.as_str(),
                answer.status
            );
            Ok(HttpResponse { status: answer.status, headers: answer.headers, body: answer.body })
        })
    }
}

impl House {
    /// Builds it, with the demo catalog at the provider and one key.
    pub async fn build() -> Self {
        let sandbox = Sandbox::new(SandboxConfig {
            seed: Some(7),
            public_url: "http://127.0.0.1:12111".to_owned(),
            webhook: Some(WebhookTarget {
                url: "http://127.0.0.1:4242/webhooks/stripe".to_owned(),
                secret: SECRET.to_owned(),
            }),
            start_time: Some(START),
            ..SandboxConfig::default()
        });
        let catalog = Catalog::parse(quittance_server::config::DEMO_CATALOG).expect("the demo catalog");
        catalog_seed::seed(&sandbox, PROVIDER_KEY, &catalog).expect("the provider has the catalog");
        let db = Db::open("sqlite::memory:", Options { inline: true, ..Options::default() })
            .await
            .expect("a database");
        db.migrate().await.expect("its schema");
        let world = Arc::new(StillWorld { sandbox: sandbox.clone(), drawn: AtomicU64::new(1) });
        let mut stripe = StripeConfig::new(PROVIDER_KEY.to_owned().into(), false);
        stripe.limits = RateLimits {
            per_second: 1_000_000,
            per_endpoint_per_second: 1_000_000,
            breaker_threshold: 1_000_000,
            ..stripe.limits
        };
        let clock = world.clone();
        let client = StripeClient::new(
            stripe,
            Arc::new(Direct(sandbox.clone())),
            Arc::new(move || clock.now().ms()),
            Arc::new(|_| {}),
        )
        .expect("a client");
        let settings = Settings { webhook_secrets: vec![SECRET.to_owned().into()], ..Settings::default() };
        let engine =
            Engine::open(db, Arc::new(client), Arc::new(catalog), settings, world).await.expect("an engine");
        engine.put_key("fuzz", &KeyScope::ALL, &KEY.to_owned().into()).await.expect("a key");
        let router = http::router(AppConfig {
            engine: engine.clone(),
            site: "Atelier".to_owned(),
            mail: config::mail(&config::Config::default(), "http://127.0.0.1:4242").expect("no mail").writer,
            metrics: None,
            dev: None,
            provider_origins: Vec::new(),
            body_limit: 64 * 1024,
            streams: 4,
            proxies: http::Proxies::default(),
            ready: Arc::new(|| true),
            secret: None,
        });
        Self { engine, router, sandbox }
    }

    /// Hands due webhooks in and syncs what is marked.
    pub async fn settle(&self) {
        for delivery in self.sandbox.due_deliveries() {
            let header = delivery
                .headers
                .iter()
                .find(|(name, _)| name == "stripe-signature")
                .map(|(_, value)| value.as_bytes());
            self.engine.accept_stripe(header, &delivery.body).await.expect("the sandbox signs well");
            self.sandbox
                .delivery_result(&delivery.delivery_id, quittance_sandbox::DeliveryOutcome::Answered(200));
        }
        self.sandbox.advance_time(1);
        self.engine.drain().await.expect("nothing is in the way of a sync");
    }
}
