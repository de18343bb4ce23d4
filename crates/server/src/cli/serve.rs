//! `quittance serve` and `quittance worker`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use quittance_engine::world::SystemWorld;
use tokio::net::TcpListener;

use super::{Common, SERVER, on_all_cores, out};
use crate::config::{Checked, Role};
use crate::failure::Failure;
use crate::http::{self, AppConfig, Watched};
use crate::serve::{self, Opening, Parts};
use crate::telemetry;

/// Production.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  STRIPE_SECRET_KEY=sk_test_… STRIPE_WEBHOOK_SECRET=whsec_… quittance serve
  quittance serve --print-config          the result of file and environment, secrets hidden
  quittance serve --role api              accept events and answer; a worker syncs
  quittance serve --shadow                beside another integration: docs/migrating.md
  quittance serve --metrics 127.0.0.1:9464          /metrics there, and no longer where customers reach it
  quittance serve --log json

Stops in order on Ctrl-C or SIGTERM: no new requests, those under way are finished, then the syncs.
Next: `quittance keys create --name app`, then point Stripe's webhook endpoint to <public_url>/webhooks/stripe.")]
pub(super) struct Options {
    /// Which work this process does [default: both]
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Where HTTP listens on the configured address; 0 for any free port
    #[arg(long)]
    port: Option<u16>,
    /// Beside an existing integration: mirror everything, change nothing at the provider, and mail nobody
    #[arg(long)]
    shadow: bool,
    /// Serve /metrics at an address of its own, with /healthz and /readyz, and not beside the API
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Refuse to start on an old schema instead of bringing it up to date
    #[arg(long)]
    no_migrate: bool,
    /// Print the configuration with secrets hidden, and stop
    #[arg(long)]
    print_config: bool,
}

/// Only the syncing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance worker
  quittance worker --metrics 127.0.0.1:9464

It needs PostgreSQL: an SQLite file belongs to one process.")]
pub(super) struct WorkerOptions {
    /// Serve /healthz, /readyz and /metrics here
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Refuse to start on an old schema instead of bringing it up to date
    #[arg(long)]
    no_migrate: bool,
}

pub(super) fn run(options: &Options, common: &Common) -> Result<(), Failure> {
    let mut loaded = common.load()?;
    if let Some(role) = options.role {
        loaded.config.role = role;
    }
    if let Some(port) = options.port {
        let host = loaded.config.listen.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host).to_owned();
        loaded.config.listen = format!("{host}:{port}");
    }
    loaded.config.shadow.on |= options.shadow;
    if options.print_config {
        return print_config(&loaded.config, common.json);
    }
    let checked = loaded.check()?;
    telemetry::start_logs(checked.config.log, SERVER);
    let role = checked.config.role;
    let (metrics, migrate) = (options.metrics, !options.no_migrate);
    on_all_cores(async move {
        match role {
            Role::Both | Role::Api => serve_http(checked, metrics, migrate).await,
            Role::Worker => work(checked, metrics, migrate).await,
        }
    })
}

pub(super) fn run_worker(options: &WorkerOptions, common: &Common) -> Result<(), Failure> {
    let mut loaded = common.load()?;
    loaded.config.role = Role::Worker;
    let checked = loaded.check()?;
    telemetry::start_logs(checked.config.log, SERVER);
    on_all_cores(work(checked, options.metrics, !options.no_migrate))
}

fn print_config(config: &crate::config::Config, json: bool) -> Result<(), Failure> {
    let mut shown = config.clone();
    shown.database.url = crate::failure::without_password(&shown.database.url);
    let defect = |error: &dyn std::fmt::Display| {
        Failure::problem(
            "print",
            format!("the configuration cannot be printed: {error}"),
            "This is a defect: please report it.",
        )
    };
    if json {
        out::say_json(&serde_json::to_value(&shown).map_err(|error| defect(&error))?);
    } else {
        out::say(toml::to_string(&shown).map_err(|error| defect(&error))?.trim_end());
    }
    Ok(())
}

async fn serve_http(mut checked: Checked, metrics: Option<SocketAddr>, migrate: bool) -> Result<(), Failure> {
    let apart = listen_apart(metrics).await?;
    let listener = serve::bind(checked.listen, "`--port` or QUITTANCE_LISTEN").await?;
    if let (None | Some(""), Ok(address)) = (checked.config.public_url.as_deref(), listener.local_addr()) {
        // With port 0 the system chose one only now.
        checked.settings.public_url = format!("http://{address}");
    }
    let db = serve::open_database(&checked.config, Opening::Server { migrate }).await?;
    let engine = serve::engine(db, &checked, Arc::new(SystemWorld::default())).await?;
    let signal = serve::signal();
    let ready = Arc::new(AtomicBool::new(true));
    let render = telemetry::start_metrics()?;
    let watched =
        Watched { engine: engine.clone(), metrics: Some(render.clone()), ready: serve::readiness(&ready) };
    let router = http::router(AppConfig {
        engine: engine.clone(),
        site: checked.config.site.clone(),
        mail: checked.mail.writer.clone(),
        secret: checked.config.secret.clone(),
        metrics: apart.is_none().then_some(render),
        dev: None,
        provider_origins: serve::provider_origins(&checked.stripe),
        body_limit: checked.config.api.body_limit,
        streams: checked.config.api.streams,
        proxies: checked.proxies.clone(),
        ready: serve::readiness(&ready),
    });
    announce(&checked, listener.local_addr().unwrap_or(checked.listen));
    let parts = Parts {
        engine,
        http: std::iter::once((listener, router))
            .chain(apart.map(|apart| (apart, http::watch_router(watched))))
            .collect(),
        connections: checked.config.api.connections,
        role: checked.config.role,
        ready,
        patience: Duration::from_secs(checked.config.shutdown_s),
    };
    serve::run(parts, signal).await?;
    tracing::info!("stopped");
    Ok(())
}

fn announce(checked: &Checked, listen: SocketAddr) {
    if checked.demo_catalog {
        tracing::warn!(
            "there is no catalog.toml: the demo catalog is used; write your own before you go live"
        );
    }
    if checked.config.site == crate::config::Config::default().site {
        tracing::warn!("site is not set: pages call your app by Quittance's name");
    }
    if checked.settings.app_url.is_none() {
        tracing::warn!("app_url (QUITTANCE_APP_URL) is not set: no page leads back to your app");
    }
    if checked.config.secret.is_none() {
        tracing::info!(
            "QUITTANCE_SECRET (secret) is not set: your app cannot link customers to /pricing and /billing"
        );
    }
    if checked.config.shadow.on {
        tracing::warn!(
            "shadow mode: everything is mirrored, nothing is changed at the provider, and no customer is told anything"
        );
    } else if matches!(checked.mail.outlet, crate::config::Outlet::None) {
        tracing::warn!("mail.url (SMTP_URL) is not set: customers are told nothing by mail");
    }
    let database = crate::failure::without_password(&checked.config.database.url);
    let mode = if checked.stripe.livemode { "live" } else { "test" };
    tracing::info!(
        %listen,
        public_url = checked.settings.public_url,
        mode,
        database,
        plans = checked.catalog.plans().len(),
        role = checked.config.role.as_str(),
        "serving; the webhook endpoint is <public_url>/webhooks/stripe"
    );
}

/// Where metrics are served apart from the API, and says so.
async fn listen_apart(metrics: Option<SocketAddr>) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = metrics else { return Ok(None) };
    let listener = serve::bind(address, "`--metrics`").await?;
    let listen = listener.local_addr().unwrap_or(address);
    tracing::info!(metrics = %listen, "metrics are served here");
    Ok(Some(listener))
}

async fn work(checked: Checked, metrics: Option<SocketAddr>, migrate: bool) -> Result<(), Failure> {
    let listener = listen_apart(metrics).await?;
    let db = serve::open_database(&checked.config, Opening::Server { migrate }).await?;
    let engine = serve::engine(db, &checked, Arc::new(SystemWorld::default())).await?;
    let signal = serve::signal();
    let ready = Arc::new(AtomicBool::new(true));
    let watched = Watched {
        engine: engine.clone(),
        metrics: Some(telemetry::start_metrics()?),
        ready: serve::readiness(&ready),
    };
    tracing::info!("working; requests are served by others");
    let parts = Parts {
        engine,
        http: listener.map(|listener| (listener, http::watch_router(watched))).into_iter().collect(),
        connections: checked.config.api.connections,
        role: Role::Worker,
        ready,
        patience: Duration::from_secs(checked.config.shutdown_s),
    };
    serve::run(parts, signal).await?;
    tracing::info!("stopped");
    Ok(())
}
