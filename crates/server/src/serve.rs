//! A server process: opens what it needs, runs HTTP and workers, and stops in order.
//!
//! `serve`, `worker` and `dev` are this with different parts. Order of stopping: `/readyz` says no, no new requests,
//! those under way are finished, syncs under way are finished, the database is let go.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use quittance_domain::delivery::Channel;
use quittance_engine::app_webhooks::WebhookCourier;
use quittance_engine::world::SystemWorld;
use quittance_engine::{Engine, catalog_versions};
use quittance_mail::{MailCourier, MailLinks, Post};
use quittance_store::{Access, Db, Options};
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::StripeConfig;
use quittance_stripe::transport::{HttpsTransport, TransportConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::config::{self, Checked, Config, Outlet, Role};
use crate::failure::{self, Failure};
use crate::outbound::HttpsSender;
use crate::{connections, http, telemetry};

/// How a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// By a server: alone on an SQLite file, and migrated.
    Server {
        /// Whether missing migrations are applied.
        migrate: bool,
    },
    /// By a command beside a server: the file must exist and be migrated.
    Beside,
    /// By a command that may be the first one: a missing or empty database is made.
    First,
}

/// Opens the database as configured.
///
/// # Errors
/// What is in the way, with its mend.
pub async fn open_database(config: &Config, opening: Opening) -> Result<Db, Failure> {
    let url = &config.database.url;
    let refused = |error: quittance_store::StoreError| failure::of_store(url, &error);
    if opening == Opening::Beside
        && let Some(path) = sqlite_path(url)
        && !std::path::Path::new(path).exists()
    {
        return Err(Failure::problem(
            "no_database",
            format!("there is no database at {path}"),
            "Name it with --database or DATABASE_URL, or make one with `quittance migrate`. `quittance dev` prints the address of its own.",
        ));
    }
    let options = Options {
        access: Access::ReadWrite,
        exclusive: matches!(opening, Opening::Server { .. }),
        readers: config.database.readers,
        connections: config.database.connections,
        ..Options::default()
    };
    let db = Db::open(url, options).await.map_err(refused)?;
    let schema = db.schema_state().await.map_err(refused)?;
    let migrate = match opening {
        Opening::Server { migrate } => migrate,
        Opening::Beside => false,
        Opening::First => schema.current == 0,
    };
    if schema.newer {
        let error =
            quittance_store::StoreError::NewerSchema { found: schema.current, known: schema.expected };
        return Err(refused(error));
    }
    if schema.current < schema.expected && !migrate {
        return Err(Failure::problem(
            "schema_behind",
            format!("the database has schema {}, this release needs {}", schema.current, schema.expected),
            "Run `quittance migrate`.",
        ));
    }
    if migrate {
        // Also with nothing to apply: it compares what was applied with what this release knows, and needs to write.
        let report = db.migrate().await.map_err(refused)?;
        if !report.applied.is_empty() {
            tracing::info!(from = report.from, to = report.to, "schema migrated");
        }
    }
    if let Opening::Server { .. } = opening {
        let at = quittance_domain::Timestamp::from_ms(jiff::Timestamp::now().as_millisecond());
        db.write("serve.write", move |tx| quittance_store::health::write(tx, at)).await.map_err(refused)?;
    }
    Ok(db)
}

/// The file of an SQLite address.
#[must_use]
pub fn sqlite_path(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    (path != ":memory:").then_some(path)
}

/// Makes the provider's client; nothing is sent.
///
/// # Errors
/// When TLS cannot be set up or a setting is unusable.
pub fn client(config: StripeConfig, world: &Arc<SystemWorld>) -> Result<StripeClient, Failure> {
    use quittance_engine::World;
    let transport = TransportConfig { use_system_proxy: !config.is_local(), ..TransportConfig::default() };
    let transport = HttpsTransport::new(&transport).map_err(|error| {
        Failure::problem(
            "tls",
            format!("TLS cannot be set up: {}", error.message),
            "Reinstall quittance; its TLS is built in.",
        )
    })?;
    let clock = world.clone();
    let now = Arc::new(move || clock.now().ms());
    StripeClient::new(config, Arc::new(transport), now, telemetry::count_calls())
        .map_err(|error| Failure::config(error.to_string(), "Correct the setting that it names."))
}

/// Opens the listening socket.
///
/// # Errors
/// Names `flag`, the way to choose another port.
pub async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let mend = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("Stop whatever listens there, or choose another port with {flag}.")
            }
            std::io::ErrorKind::PermissionDenied => format!(
                "Ports below 1024 are privileged: choose one above with {flag}, and let a reverse proxy take 80 and 443."
            ),
            std::io::ErrorKind::AddrNotAvailable => {
                format!("This machine has no such address: use 127.0.0.1 or 0.0.0.0 with {flag}.")
            }
            _ => format!("Choose another address with {flag}."),
        };
        let what = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!("port {} is in use ({address})", address.port()),
            _ => format!("cannot listen on {address}: {error}"),
        };
        Failure::problem("listen", what, mend)
    })
}

/// Makes the provider's client; beside another integration one that can only read.
///
/// # Errors
/// As [`client`].
pub fn client_of(
    config: StripeConfig,
    world: &Arc<SystemWorld>,
    shadow: bool,
) -> Result<StripeClient, Failure> {
    let client = client(config, world)?;
    Ok(if shadow { client.reading_only() } else { client })
}

/// An engine as a server runs it. Beside another integration it carries no mail, and tells the app only where that was asked for.
///
/// # Errors
/// When the database cannot be used.
pub async fn engine(db: Db, checked: &Checked, world: Arc<SystemWorld>) -> Result<Engine, Failure> {
    use quittance_engine::World;
    let shadow = checked.config.shadow.on;
    let client = client_of(checked.stripe.clone(), &world, shadow)?;
    let url = &checked.config.database.url;
    let in_force = catalog_versions::put_in_force(&db, &checked.catalog, world.now()).await;
    if in_force.map_err(|error| failure::of_store(url, &error))? {
        tracing::info!(version = checked.catalog.version(), "another catalog is in force");
    }
    let sender = HttpsSender::new(&checked.settings.app_webhooks.reach)?;
    let engine = Engine::open(db, Arc::new(client), checked.catalog.clone(), checked.settings.clone(), world)
        .await
        .map_err(|error| failure::of_store(url, &error))?;
    engine.remember_served().await?;
    if shadow && !checked.config.shadow.webhooks {
        return Ok(engine);
    }
    let engine = engine.with_courier(Channel::Webhook, Arc::new(WebhookCourier::new(Arc::new(sender))));
    if shadow {
        return Ok(engine);
    }
    Ok(match courier(checked, &engine) {
        Some(courier) => engine.with_courier(Channel::Mail, Arc::new(courier)),
        None => engine,
    })
}

/// Who carries mail, where it goes anywhere.
fn courier(checked: &Checked, engine: &Engine) -> Option<MailCourier> {
    let post = match &checked.mail.outlet {
        Outlet::None => return None,
        Outlet::Smtp(server) => Post::Smtp(server.open()),
        Outlet::Capture => Post::Capture,
    };
    let root = checked.config.secret.as_ref().map(config::Secret::to_secret);
    let links = root.map(|root| MailLinks::new(root, engine.scope()));
    Some(MailCourier::new(checked.mail.writer.clone(), links, post))
}

/// The parts of a running process.
pub struct Parts {
    /// The engine.
    pub engine: Engine,
    /// What is served where; a worker may serve nothing.
    pub http: Vec<(TcpListener, Router)>,
    /// How many connections it takes at the same time.
    pub connections: usize,
    /// Which work is done.
    pub role: Role,
    /// Says whether this process wants requests; shared with the router, and true until it is asked to stop.
    pub ready: Arc<AtomicBool>,
    /// How long requests under way may take at the end.
    pub patience: Duration,
}

/// Runs until `stop` resolves, then stops in order.
///
/// # Errors
/// When HTTP or the worker has ended by itself: half a server would accept what nobody does.
pub async fn run(parts: Parts, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    let (tell, told) = watch::channel(false);
    let follower = tokio::spawn(parts.engine.clone().follow_changes());
    let mut worker = match parts.role {
        Role::Both | Role::Worker => Some(tokio::spawn(parts.engine.clone().work_until(until(told.clone())))),
        Role::Api => None,
    };
    let mut servers = JoinSet::new();
    for (listener, router) in parts.http {
        let stopped = until(told.clone());
        let limits =
            connections::Limits { connections: parts.connections, header_wait: connections::HEADER_WAIT };
        servers.spawn(connections::serve(listener, router, http::busy(), limits, stopped));
    }
    let ended_early = tokio::select! {
        () = stop => None,
        Some(_) = servers.join_next() => Some("the HTTP server"),
        () = end_of(&mut worker) => Some("the worker"),
    };
    parts.ready.store(false, Ordering::Release);
    // Nobody may be left to hear it.
    let _ = tell.send(true);
    let finished = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(parts.patience, finished).await.is_err() {
        tracing::warn!("requests were cut off: they took longer than shutdown_s");
    }
    if let Some(worker) = worker
        && tokio::time::timeout(parts.patience, worker).await.is_err()
    {
        tracing::warn!("a sync was cut off; another worker takes it over when its lease has run out");
    }
    follower.abort();
    parts.engine.db().clone().close().await;
    match ended_early {
        None => Ok(()),
        Some(part) => Err(Failure::problem(
            "ended",
            format!("{part} ended by itself"),
            "See the log, and start it again: what was accepted is in the database, and goes on from there.",
        )),
    }
}

/// Resolves when a task that should run on has ended, by a panic or otherwise, and takes it out; never without a task.
async fn end_of<T>(task: &mut Option<JoinHandle<T>>) {
    match task {
        Some(running) => {
            // Its panic, if it was one, is in the log.
            let _ = running.await;
            *task = None;
        }
        None => std::future::pending().await,
    }
}

/// Resolves when it is told to stop.
pub(crate) async fn until(mut told: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ = told.wait_for(|stop| *stop).await;
}

/// Listens for Ctrl-C and SIGTERM from now on; the answer resolves on the first. A second one ends the process at once.
pub fn signal() -> impl Future<Output = ()> + Send + 'static {
    let mut signals = Signals::listen();
    async move {
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(130);
        });
    }
}

#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        // What cannot be listened for ends the process as the system has it.
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let any = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// What `/readyz` asks.
#[must_use]
pub fn readiness(ready: &Arc<AtomicBool>) -> Arc<dyn Fn() -> bool + Send + Sync> {
    let ready = ready.clone();
    Arc::new(move || ready.load(Ordering::Acquire))
}

/// Where forms of our pages may lead: the provider's hosted pages.
#[must_use]
pub fn provider_origins(stripe: &StripeConfig) -> Vec<String> {
    if stripe.api_base == quittance_stripe::config::DEFAULT_API_BASE {
        vec!["https://checkout.stripe.com".to_owned(), "https://billing.stripe.com".to_owned()]
    } else {
        vec![stripe.api_base.trim_end_matches('/').to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_dies_is_noticed_and_waited_for_once() {
        let mut dying: Option<JoinHandle<()>> = Some(tokio::spawn(async { panic!("as a defect would") }));
        let mut absent: Option<JoinHandle<()>> = None;
        let mut living = Some(tokio::spawn(std::future::pending::<()>()));
        tokio::select! {
            () = end_of(&mut absent) => panic!("what is not there cannot end"),
            () = end_of(&mut living) => panic!("it runs on"),
            () = end_of(&mut dying) => {}
        }
        assert!(dying.is_none() && living.is_some());
    }
}
