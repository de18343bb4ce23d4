//! `quittance dev`: the whole product on this machine, with a sandbox for a provider.
//!
//! Everything that differs from production is in this file: an embedded database in a folder of its own, generated
//! secrets, the demo catalog, a fixed API key, and a clock that follows the sandbox's.

mod announce;
mod folder;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quittance_domain::{Catalog, CustomerId};
use quittance_engine::api_keys::KeyScope;
use quittance_engine::world::SystemWorld;
use quittance_engine::{Engine, Settings, World};
use quittance_sandbox::{Sandbox, SandboxConfig, WebhookTarget};
use quittance_store::customers::{Change, CustomerPatch};
use quittance_stripe::config::{RateLimits, StripeConfig};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{self, Checked, CheckedMail, Config, DEMO_CATALOG, Outlet, Role, Secret};
use crate::failure::Failure;
use crate::http::{self, AppConfig, DevInfo};
use crate::serve::{self, Opening, Parts, until};
use crate::{catalog_seed, cli::out, telemetry};

pub use announce::Announcement;
use announce::Example;
use folder::Folder;

/// The key that programs on this machine use unless `QUITTANCE_API_KEY` names another.
pub const API_KEY: &str = "qk_dev";
/// The customer that exists from the start.
pub const DEMO_CUSTOMER: &str = "demo";
/// The provider's key in the sandbox; any key of test mode is accepted.
pub const SANDBOX_KEY: &str = "sk_test_sandbox";
/// What is sold here.
pub const SITE: &str = "Atelier";

/// How a developer starts it.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where the server listens on 127.0.0.1; 0 for any free port.
    pub port: u16,
    /// Where the sandbox listens on 127.0.0.1; 0 for any free port.
    pub sandbox_port: u16,
    /// Where to keep the state; a temporary folder when absent.
    pub data: Option<PathBuf>,
    /// What is sold; the demo catalog when absent.
    pub catalog: Option<PathBuf>,
    /// The API key.
    pub api_key: String,
    /// The developer's own app, to which pages lead back.
    pub app_url: Option<String>,
    /// Print one JSON line instead of text.
    pub json: bool,
}

/// Runs until Ctrl-C.
///
/// # Errors
/// When a port is in use or the folder cannot be used.
pub async fn run(wish: Wish) -> Result<(), Failure> {
    let began = tokio::time::Instant::now();
    let signal = serve::signal();
    let listener = serve::bind(local(wish.port), "--port").await?;
    let sandbox_listener = serve::bind(local(wish.sandbox_port), "--sandbox-port").await?;
    let url = format!("http://{}", address(&listener)?);
    let sandbox_url = format!("http://{}", address(&sandbox_listener)?);

    let folder = Folder::open(wish.data.as_deref())?;
    let target = WebhookTarget { url: format!("{url}/webhooks/stripe"), secret: folder.webhook_secret() };
    let (catalog, file) = sold(wish.catalog.as_deref())?;
    let example = Example::of(&catalog);
    let sandbox = Sandbox::new(SandboxConfig {
        public_url: sandbox_url.clone(),
        merchant: Some(SITE.to_owned()),
        webhook: Some(target.clone()),
        ..SandboxConfig::default()
    });
    folder.restore(&sandbox)?;
    let found = catalog_seed::seed(&sandbox, SANDBOX_KEY, &catalog)?;
    let learner: Arc<OnceLock<Engine>> = Arc::default();
    seed_again(&sandbox, catalog.clone(), Arc::clone(&learner));

    let mut checked = checked(&url, &sandbox_url, &folder, catalog, &target.secret)?;
    checked.config.app_url = wish.app_url;
    checked.settings.app_url = config::app_url(&checked.config, false)?;
    let db = serve::open_database(&checked.config, Opening::Server { migrate: true }).await?;
    let world = Arc::new(SystemWorld::default());
    follow_clock(&sandbox, &world);
    let engine = serve::engine(db, &checked, world).await?;
    prepare(&engine, &wish.api_key).await?;
    engine.learn_pushed(&found).await?;
    // Set once, here.
    let _ = learner.set(engine.clone());
    folder.write_config(&checked.config, file.as_deref(), &target.secret)?;

    let ready = Arc::new(AtomicBool::new(true));
    let router = http::router(AppConfig {
        engine: engine.clone(),
        site: SITE.to_owned(),
        mail: checked.mail.writer.clone(),
        secret: checked.config.secret.clone(),
        metrics: Some(telemetry::start_metrics()?),
        dev: Some(DevInfo {
            sandbox_url: sandbox_url.clone(),
            demo_customer: DEMO_CUSTOMER.to_owned(),
            api_key: wish.api_key.clone(),
        }),
        provider_origins: vec![sandbox_url.clone()],
        body_limit: checked.config.api.body_limit,
        streams: checked.config.api.streams,
        proxies: checked.proxies.clone(),
        ready: serve::readiness(&ready),
    });
    let announcement = Announcement {
        url,
        sandbox_url,
        api_key: wish.api_key,
        customer: DEMO_CUSTOMER.to_owned(),
        example,
        database_url: checked.config.database.url.clone(),
        webhook_secret: target.secret,
        folder: folder.path().to_owned(),
        config: folder.config_path(),
        kept: folder.kept(),
        ready_ms: began.elapsed().as_millis(),
    };
    let (tell, told) = watch::channel(false);
    let playing = tokio::spawn(sandbox.clone().serve(sandbox_listener, until(told.clone())));
    let keeping = tokio::spawn(folder.clone().keep(sandbox.clone(), until(told)));
    out::say(&if wish.json { announcement.json().to_string() } else { announcement.text() });

    let parts = Parts {
        engine,
        http: vec![(listener, router)],
        connections: checked.config.api.connections,
        role: Role::Both,
        ready,
        patience: Duration::from_secs(checked.config.shutdown_s),
    };
    let ended = serve::run(parts, signal).await;
    // Nobody may be left to hear it.
    let _ = tell.send(true);
    let _ = tokio::time::timeout(Duration::from_secs(5), playing).await;
    let _ = tokio::time::timeout(Duration::from_secs(5), keeping).await;
    let farewell = folder.leave(&sandbox);
    if !wish.json {
        out::say(&farewell);
    }
    ended
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| {
        Failure::problem("listen", format!("the socket has no address: {error}"), "Start it again.")
    })
}

/// The demo catalog, which is part of the binary.
///
/// # Errors
/// When this build's catalog is broken, which a test excludes.
pub fn demo_catalog() -> Result<Catalog, Failure> {
    Catalog::parse(DEMO_CATALOG).map_err(|error| {
        Failure::config(error.to_string(), "This build's demo catalog is broken: please report it.")
    })
}

/// What is sold, and its file where it is not the demo catalog.
fn sold(file: Option<&Path>) -> Result<(Catalog, Option<PathBuf>), Failure> {
    let Some(file) = file else { return Ok((demo_catalog()?, None)) };
    let catalog = config::read_catalog(file)?;
    // Commands beside it may be started elsewhere.
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    Ok((catalog, Some(whole)))
}

/// The configuration of production with what a developer needs instead.
fn checked(
    url: &str,
    sandbox_url: &str,
    folder: &Folder,
    catalog: Catalog,
    secret: &str,
) -> Result<Checked, Failure> {
    let mut config = Config { site: SITE.to_owned(), public_url: Some(url.to_owned()), ..Config::default() };
    config.listen = url.trim_start_matches("http://").to_owned();
    config.database.url = folder.database_url();
    config.stripe.api_base = sandbox_url.to_owned();
    config.stripe.publishable_key = Some(PUBLISHABLE_KEY.to_owned());
    config.sweep.every_s = SWEEP_EVERY_S;
    config.shutdown_s = 5;
    config.secret = Some(Secret::new(folder.root_key().to_owned()));
    // The developer's app listens on this machine.
    config.app_webhooks.allow = vec!["127.0.0.0/8".to_owned(), "::1".to_owned()];
    let app_webhooks = config::app_webhooks(&config, false)?;
    config.mail.url = std::env::var("SMTP_URL").ok().filter(|url| !url.is_empty()).map(Secret::new);
    config.mail.from = Some(format!("{SITE} <billing@example.com>"));
    config.mail.support = Some("help@example.com".to_owned());
    config.mail.company = Some("Atelier (a demo)".to_owned());
    let settings = Settings {
        root_key: config.secret.as_ref().map(Secret::to_secret),
        app_webhooks,
        webhook_secrets: vec![SecretString::from(secret.to_owned())],
        sweep_every_ms: SWEEP_EVERY_S * 1_000,
        public_url: url.to_owned(),
        publishable_key: Some(PUBLISHABLE_KEY.to_owned()),
        ..Settings::default()
    };
    let key = SecretString::from(SANDBOX_KEY.to_owned());
    let stripe =
        StripeConfig { api_base: sandbox_url.to_owned(), limits: limits(), ..StripeConfig::new(key, false) };
    let listen = local(0);
    let mail = config::mail(&config, url)?;
    let outlet = match mail.outlet {
        Outlet::None => Outlet::Capture,
        configured @ (Outlet::Smtp(_) | Outlet::Capture) => configured,
    };
    let mail = CheckedMail { outlet, ..mail };
    Ok(Checked {
        config,
        listen,
        settings,
        stripe,
        catalog: Arc::new(catalog),
        demo_catalog: true,
        mail,
        proxies: http::Proxies::default(),
    })
}

/// What the sandbox's stand-in of the browser library takes.
const PUBLISHABLE_KEY: &str = "pk_test_sandbox";

/// A webhook that was dropped is made good within this many seconds.
const SWEEP_EVERY_S: i64 = 30;

/// Nobody shares the sandbox, and a developer who switched a fault off does not want to wait.
#[must_use]
pub fn limits() -> RateLimits {
    RateLimits {
        per_second: 10_000,
        per_endpoint_per_second: 10_000,
        breaker_open_ms: 500,
        ..RateLimits::for_mode(false)
    }
}

/// After a reset the sandbox sells the same again, under other ids, which the engine learns.
fn seed_again(sandbox: &Arc<Sandbox>, catalog: Catalog, learner: Arc<OnceLock<Engine>>) {
    let weak = Arc::downgrade(sandbox);
    sandbox.on_reset(move |_| {
        let Some(sandbox) = weak.upgrade() else { return };
        match catalog_seed::seed(&sandbox, SANDBOX_KEY, &catalog) {
            Ok(found) => {
                let Some(engine) = learner.get().cloned() else { return };
                tokio::spawn(async move {
                    if let Err(problem) = engine.learn_pushed(&found).await {
                        tracing::error!(%problem, "the sandbox's new prices are not known");
                    }
                });
            }
            Err(failure) => {
                tracing::error!(reason = failure.what, "the catalog is not in the sandbox after its reset");
            }
        }
    });
}

fn follow_clock(sandbox: &Arc<Sandbox>, world: &Arc<SystemWorld>) {
    let ahead_ms = sandbox.now_ms() - world.now().ms();
    // A sandbox that never travelled differs by the time between two reads, which is none.
    if ahead_ms > 2_000 {
        world.set_offset_ms(ahead_ms);
    }
    let follower = world.clone();
    sandbox.on_time_change(Box::new(move |seconds| follower.set_offset_ms(seconds.saturating_mul(1_000))));
}

async fn prepare(engine: &Engine, api_key: &str) -> Result<(), Failure> {
    let secret = SecretString::from(api_key.to_owned());
    engine.put_key("dev", &KeyScope::ALL, &secret).await?;
    let id = CustomerId::parse(DEMO_CUSTOMER).map_err(|error| {
        Failure::problem("customer", error.to_string(), "This is a defect: please report it.")
    })?;
    let patch =
        CustomerPatch { email: Change::Set("demo@example.com".to_owned()), ..CustomerPatch::default() };
    engine.put_customer(&id, patch).await?;
    Ok(())
}
