//! What is looked at: this machine, the database, the provider, the mail server, the address that customers are sent to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quittance_domain::drift::Mending;
use quittance_domain::{Mode, Scope, Timestamp};
use quittance_engine::progress::LongRun;
use quittance_engine::world::SystemWorld;
use quittance_engine::{Engine, Settings, World};
use quittance_store::{Access, Db, Options, health};
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::client::{Priority, StripeClient};
use quittance_stripe::config::StripeConfig;
use quittance_stripe::http::{HttpRequest, Method, Transport};
use quittance_stripe::transport::{HttpsTransport, TransportConfig};
use secrecy::SecretString;

use super::{Check, judge};
use crate::config::{self, Config, Loaded};
use crate::failure::{self, Failure};
use crate::serve;

/// How long somebody may take to answer a check.
const PATIENCE: Duration = Duration::from_secs(10);

/// The machine's time.
pub(super) fn now() -> Timestamp {
    SystemWorld::default().now()
}

/// The configuration, and the keys in it.
pub(super) fn configuration(loaded: &Loaded) -> Vec<Check> {
    const NAME: &str = "configuration";
    let first = match loaded.clone().check() {
        Ok(checked) if checked.demo_catalog => Check::warning(
            NAME,
            "there is no catalog.toml: the demo catalog is sold",
            "Write your own: docs/catalog.md",
        ),
        Ok(checked) if judge::hides_visitors(&checked.config) => Check::warning(
            NAME,
            "public_url is https, so that something before this server speaks TLS, and it is not named: every visitor would have its address, and checkouts are counted by customer only",
            "Name it in api.trusted_proxies, such as [\"127.0.0.1\"] or [\"10.0.0.0/8\"]: docs/money.md",
        ),
        Ok(checked) => {
            Check::ok(NAME, format!("`quittance serve` would start; {} plans", checked.catalog.plans().len()))
        }
        Err(failure) => Check::of(NAME, &failure),
    };
    vec![first, judge::keys(&loaded.config)]
}

/// Whether the address can be listened on, or one of ours does so already.
pub(super) async fn listen(config: &Config) -> Check {
    const NAME: &str = "listen";
    let Ok(address) = config.listen.parse::<SocketAddr>() else {
        return Check::failed(
            NAME,
            format!("`{}` is no address", config.listen),
            "Set QUITTANCE_LISTEN (listen) to address:port, such as 127.0.0.1:4242",
        );
    };
    match serve::bind(address, "QUITTANCE_LISTEN").await {
        Ok(_) => Check::ok(NAME, format!("{address} is free: no server runs there")),
        Err(failure) => match get(&format!("http://{address}"), "/healthz", true).await {
            Ok((200, _)) => Check::ok(NAME, format!("a server answers on {address}")),
            Ok(_) | Err(_) => Check::of(NAME, &failure),
        },
    }
}

/// The room that an SQLite file has.
pub(super) fn disk(config: &Config) -> Check {
    let Some(path) = serve::sqlite_path(&config.database.url) else {
        return Check::skipped("disk", "PostgreSQL has its own disk: watch it there");
    };
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    match free_bytes(folder.unwrap_or_else(|| Path::new("."))) {
        Ok(free) => judge::room(free),
        Err(why) => Check::failed(
            "disk",
            format!("the database's folder cannot be looked at: {why}"),
            "Make it, or name another with DATABASE_URL.",
        ),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Result<u64, String> {
    let found = rustix::fs::statvfs(folder).map_err(|error| error.to_string())?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(folder: &Path) -> Result<u64, String> {
    std::fs::metadata(folder).map(|_| u64::MAX).map_err(|error| error.to_string())
}

/// The database as it is, without bringing its schema up to date.
pub(super) async fn database(loaded: &Loaded) -> (Check, Option<Db>) {
    const NAME: &str = "database";
    let config = &loaded.config;
    let url = &config.database.url;
    if let Some(path) = serve::sqlite_path(url)
        && !Path::new(path).exists()
    {
        let check = Check::warning(
            NAME,
            format!("there is no database at {path} yet"),
            "The first start makes it; or run `quittance migrate`.",
        );
        return (check, None);
    }
    let options = Options {
        access: Access::ReadWrite,
        connections: config.database.connections.min(2),
        ..Options::default()
    };
    let refused =
        |error: &quittance_store::StoreError| (Check::of(NAME, &failure::of_store(url, error)), None);
    let db = match Db::open(url, options).await {
        Ok(db) => db,
        Err(error) => return refused(&error),
    };
    let schema = match db.schema_state().await {
        Ok(schema) => schema,
        Err(error) => return refused(&error),
    };
    let whole = !schema.newer && schema.current == schema.expected;
    let (mut written, mut lost) = (Ok(()), String::new());
    if whole {
        let at = now();
        written = db
            .write("doctor.write", move |tx| health::write(tx, at))
            .await
            .map_err(|error| error.to_string());
        match db.read("doctor.lost", health::lost_commits).await {
            Ok(word) => lost = word,
            Err(error) => return refused(&error),
        }
    }
    (judge::database(&schema, written, &lost), whole.then_some(db))
}

/// An engine that only reads.
pub(super) async fn engine(loaded: &Loaded, db: Db) -> Result<Engine, Failure> {
    let stripe = config::stripe_config(&loaded.config)
        .unwrap_or_else(|_| StripeConfig::new(SecretString::from("sk_test_unused".to_owned()), false));
    let (catalog, _) = config::catalog(loaded, stripe.livemode)?;
    let settings = Settings {
        customer_metadata_keys: loaded.config.stripe.customer_metadata_keys.clone(),
        portal: config::portal_policy(&loaded.config),
        sweep_every_ms: loaded.config.sweep.every_s.saturating_mul(1_000),
        cached_customers: 1_000,
        ..Settings::default()
    };
    let world = Arc::new(SystemWorld::default());
    let client = serve::client_of(stripe, &world, true)?;
    let url = &loaded.config.database.url;
    Engine::open(db, Arc::new(client), Arc::new(catalog), settings, world)
        .await
        .map_err(|error| failure::of_store(url, &error))
}

/// What the database says of the work.
pub(super) async fn inside(engine: &Engine) -> Vec<Check> {
    match look_inside(engine).await {
        Ok(all) => all,
        Err(problem) => {
            let failure = Failure::from(problem);
            ["modes", "work", "sweep", "ledger", "webhooks_received"]
                .map(|name| Check::of(name, &failure))
                .to_vec()
        }
    }
}

async fn look_inside(engine: &Engine) -> Result<Vec<Check>, quittance_engine::Problem> {
    let at = now();
    let live = engine.scope().mode == Mode::Live;
    let other = if live { Mode::Test } else { Mode::Live };
    // Up to the account: `stripe/live/`.
    let prefix = Scope { mode: other, ..engine.scope().clone() }.to_string();
    let prefix = prefix.rsplit_once('/').map_or(prefix.clone(), |(start, _)| format!("{start}/"));
    let (others, newest) = engine
        .db()
        .read("doctor.inside", move |tx| {
            let others = health::has_aggregates(tx, &prefix)?;
            Ok((others, health::newest_webhook(tx)?))
        })
        .await?;
    let backlog = engine.backlog().await?;
    let sums = engine.drift_sums().await?;
    let open: Vec<_> = sums
        .into_iter()
        .filter(|sum| sum.state == "open" && sum.kind.mending() == Mending::Operator)
        .map(|sum| (sum.kind, sum.count))
        .collect();
    let state = engine.run_state(LongRun::Sweep).await?;
    let tied = engine.last_tie_out().await?;
    let told = engine.ledger_differs().await?;
    Ok(vec![
        judge::modes(others, live),
        judge::work(&backlog, at),
        judge::sweep(state.as_ref(), &open, at),
        judge::ledger(tied, told, at),
        judge::received(newest, at),
    ])
}

/// The account, its clock, and where it posts to.
pub(super) async fn provider(loaded: &Loaded, stripe: StripeConfig) -> Vec<Check> {
    let world = Arc::new(SystemWorld::default());
    let skew = skew_ms(&stripe).await;
    let clock = judge::clock(skew, loaded.config.webhooks.tolerance_s);
    let client = match serve::client_of(stripe, &world, true) {
        Ok(client) => client,
        Err(failure) => {
            let why = format!("not looked at: {}", failure.what);
            return vec![Check::of("provider", &failure), clock, Check::skipped("webhook_endpoint", why)];
        }
    };
    match client.send(calls::account::retrieve(), Priority::Live).await {
        Ok(account) => vec![judge::account(&account), clock, endpoint(loaded, &client).await],
        Err(error) => {
            let failure = Failure::problem("provider", error.what(), error.mend());
            let why = "not looked at: the provider does not answer this key";
            vec![Check::of("provider", &failure), clock, Check::skipped("webhook_endpoint", why)]
        }
    }
}

async fn endpoint(loaded: &Loaded, client: &StripeClient) -> Check {
    let config = &loaded.config;
    let base = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let url = format!("{}/webhooks/stripe", base.trim_end_matches('/'));
    match client.send(calls::webhook_endpoints::list(Paging::default()), Priority::Live).await {
        Ok(page) => judge::endpoint(&page.items, &url),
        Err(error) => {
            let failure = Failure::problem("provider", error.what(), error.mend());
            Check::of("webhook_endpoint", &failure)
        }
    }
}

/// How far this clock is ahead of the provider's, by the Date of an answer; half of the way is not taken off, since it is less
/// than what matters here.
async fn skew_ms(stripe: &StripeConfig) -> Option<i64> {
    let (_, date) = get(stripe.api_base.trim_end_matches('/'), "/healthz", stripe.is_local()).await.ok()?;
    let theirs = jiff::fmt::rfc2822::parse(&date?).ok()?.timestamp().as_millisecond();
    // The header has whole seconds.
    let ours = now().ms();
    Some(if ours > theirs { (ours - theirs - 1_000).max(0) } else { ours - theirs })
}

/// What the catalog sells, beside what the provider sells.
pub(super) async fn shop(engine: &Engine) -> Vec<Check> {
    match engine.compare_catalog().await {
        Ok(plan) => judge::shop(&plan).to_vec(),
        Err(problem) => {
            let failure = Failure::from(problem);
            ["catalog", "portal", "tax"].map(|name| Check::of(name, &failure)).to_vec()
        }
    }
}

/// Whether the mail server greets, and takes the login.
pub(super) async fn mail(config: &Config) -> Check {
    const NAME: &str = "mail";
    let Some(url) = config.mail.url.as_ref().filter(|url| !url.expose().is_empty()) else {
        return Check::warning(
            NAME,
            "no mail server is configured: customers are told nothing",
            "Set SMTP_URL (mail.url), and mail.from.",
        );
    };
    let public_url = config.public_url.clone().unwrap_or_default();
    let server = match config::mail_server(&config.mail, url.expose(), &public_url) {
        Ok(server) => server,
        Err(failure) => return Check::of(NAME, &failure),
    };
    match tokio::time::timeout(PATIENCE, server.open().check()).await {
        Ok(Ok(())) => Check::ok(NAME, "the mail server answers and takes the login"),
        Ok(Err(why)) => Check::failed(
            NAME,
            why,
            "Check SMTP_URL (mail.url), the firewall, and the login; then: quittance mail test ADDRESS",
        ),
        Err(_) => Check::failed(
            NAME,
            "the mail server does not answer",
            "Check its name and port, and whether this machine may reach it.",
        ),
    }
}

/// Whether the address that customers are sent to leads to a server of ours.
pub(super) async fn public_url(config: &Config) -> Check {
    let base = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let base = base.trim_end_matches('/');
    let local =
        ["http://127.", "http://localhost", "http://[::1]"].iter().any(|start| base.starts_with(start));
    judge::reached(base, get(base, "/healthz", local).await.map(|(status, _)| status))
}

/// A plain GET: status and Date. It carries no secret.
async fn get(base: &str, target: &str, local: bool) -> Result<(u16, Option<String>), String> {
    let config =
        TransportConfig { total_timeout: PATIENCE, use_system_proxy: !local, ..TransportConfig::default() };
    let transport = HttpsTransport::new(&config).map_err(|error| error.message)?;
    let request = HttpRequest {
        method: Method::Get,
        base: base.into(),
        target: target.to_owned(),
        headers: vec![("User-Agent", concat!("Quittance/", env!("CARGO_PKG_VERSION")).to_owned())],
        authorization: SecretString::from("none".to_owned()),
        body: String::new(),
    };
    let answer = transport.send(request).await.map_err(|error| error.message)?;
    Ok((answer.status, answer.header("date").map(str::to_owned)))
}
