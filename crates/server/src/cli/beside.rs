//! What commands beside a server need: its database, and an engine that looks without serving.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quittance_domain::Catalog;
use quittance_engine::audit::{self, NewAct, Way};
use quittance_engine::shadow::{self, Served};
use quittance_engine::world::SystemWorld;
use quittance_engine::{Engine, Settings, World};
use quittance_store::Db;
use quittance_stripe::config::StripeConfig;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Common;
use crate::config::{self, Config, DEMO_CATALOG, Loaded};
use crate::failure::{self, Failure};
use crate::serve::{self, Opening};

/// What a command needs beside the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it never asks the provider and never reads a plan.
    Database,
    /// The catalog.
    Catalog,
    /// The provider and the catalog.
    Provider,
}

/// Opens an engine on the configured database. Beside a server that only watches it only watches too.
pub(super) async fn engine(common: &Common, opening: Opening, need: Need) -> Result<Engine, Failure> {
    let loaded = common.load()?;
    let db = serve::open_database(&loaded.config, opening).await?;
    let shadow = loaded.config.shadow.on || served(&loaded, &db).await? == Served::Shadow;
    open(common, &loaded, db, need, shadow).await
}

/// Opens the engine of an import. Before an installation is in charge it can only read, so that nothing of the past is acted upon;
/// afterwards it writes down what a server would, for that to send. It calls at half the rate: others have the rest.
pub(super) async fn importing_engine(common: &Common) -> Result<Engine, Failure> {
    let mut loaded = common.load()?;
    let db = serve::open_database(&loaded.config, Opening::First).await?;
    let rate = config::stripe_config(&loaded.config)?.limits.per_second;
    loaded.config.stripe.calls_per_second = Some((rate / 2).max(1));
    if loaded.config.shadow.on || served(&loaded, &db).await? != Served::InCharge {
        return open(common, &loaded, db, Need::Provider, true).await;
    }
    let checked = loaded.check()?;
    let world = Arc::new(SystemWorld::default());
    follow_sandbox(&checked.config, &checked.stripe, &world).await;
    recorded(common, serve::engine(db, &checked, world).await?).await
}

async fn served(loaded: &Loaded, db: &Db) -> Result<Served, Failure> {
    shadow::served(db).await.map_err(|error| failure::of_store(&loaded.config.database.url, &error))
}

async fn open(common: &Common, loaded: &Loaded, db: Db, need: Need, shadow: bool) -> Result<Engine, Failure> {
    let stripe = match config::stripe_config(&loaded.config) {
        Ok(stripe) => stripe,
        Err(failure) if need == Need::Provider => return Err(failure),
        // Never sent: these commands do not call the provider.
        Err(_) => StripeConfig::new(SecretString::from("sk_test_unused".to_owned()), false),
    };
    let catalog = read_catalog(loaded, need, stripe.livemode)?;
    let world = Arc::new(SystemWorld::default());
    follow_sandbox(&loaded.config, &stripe, &world).await;
    let settings = settings(&loaded.config, stripe.livemode)?;
    let client = serve::client_of(stripe, &world, shadow)?;
    let engine = Engine::open(db, Arc::new(client), Arc::new(catalog), settings, world)
        .await
        .map_err(|error| failure::of_store(&loaded.config.database.url, &error))?;
    recorded(common, engine).await
}

/// The engine of a command, once what the command is about to change is written down.
async fn recorded(common: &Common, engine: Engine) -> Result<Engine, Failure> {
    let act = record(common, &engine).await?;
    // A command opens one engine; of a second one nothing would have to be recorded again.
    let _filled = common.opened.engine.set((engine.clone(), act));
    Ok(engine)
}

/// Writes down what the command is about to change, before it can; the act's number.
async fn record(common: &Common, engine: &Engine) -> Result<Option<i64>, Failure> {
    let Some(act) = common.opened.act.as_ref().filter(|_| common.opened.engine.get().is_none()) else {
        return Ok(None);
    };
    // Who is at the keyboard, as far as the system says: behind sudo it is whoever called it.
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let new = NewAct {
        actor: user.filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".to_owned()),
        way: Way::Console,
        action: act.action.to_owned(),
        target: act.target.clone(),
        input: audit::kept(&act.input),
    };
    Ok(Some(engine.begin_act(new).await?))
}

fn read_catalog(loaded: &Loaded, need: Need, livemode: bool) -> Result<Catalog, Failure> {
    match config::catalog(loaded, livemode) {
        Ok((catalog, _)) => Ok(catalog),
        Err(failure) if need != Need::Database => Err(failure),
        Err(_) => Catalog::parse(DEMO_CATALOG)
            .map_err(|error| Failure::config(error.to_string(), "This build is broken: please report it.")),
    }
}

fn settings(config: &Config, livemode: bool) -> Result<Settings, Failure> {
    Ok(Settings {
        access: config.access.clone(),
        dunning: config.dunning.clone(),
        disputes: config.disputes.clone(),
        fraud: config.fraud.clone(),
        retry: config.retry,
        portal: config::portal_policy(config),
        on_duplicate: config.sync.on_duplicate,
        customer_metadata_keys: config.stripe.customer_metadata_keys.clone(),
        sweep_every_ms: config.sweep.every_s.saturating_mul(1_000),
        sweep_schedule: config::sweep_schedule(config)?,
        email_truth: config.sweep.email,
        cached_customers: 1_000,
        public_url: config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen)),
        root_key: config.secret.as_ref().map(config::Secret::to_secret),
        tokens: config::tokens(config),
        app_webhooks: config::app_webhooks(config, livemode)?,
        shadow_webhooks: config.shadow.webhooks,
        ..Settings::default()
    })
}

/// How long a sandbox on this machine may take to tell its time.
const PATIENCE: Duration = Duration::from_millis(300);

/// Beside `quittance dev` the time is the sandbox's, which may have travelled.
async fn follow_sandbox(config: &Config, stripe: &StripeConfig, world: &Arc<SystemWorld>) {
    if stripe.livemode || !stripe.is_local() {
        return;
    }
    let address = config.stripe.api_base.trim_start_matches("http://").trim_end_matches('/');
    let asked = tokio::time::timeout(PATIENCE, time_of(address)).await;
    if let Ok(Some(seconds)) = asked {
        let ahead_s = seconds - world.now().seconds();
        if ahead_s > 1 {
            world.set_offset_ms(ahead_s.saturating_mul(1_000));
        }
    }
}

/// `GET /_sandbox/time`; `None` from anything that is no sandbox.
async fn time_of(address: &str) -> Option<i64> {
    let address: SocketAddr = tokio::net::lookup_host(address).await.ok()?.next()?;
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = format!("GET /_sandbox/time HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).await.ok()?;
    let body = answer.split_once("\r\n\r\n")?.1;
    serde_json::from_str::<serde_json::Value>(body).ok()?.get("now")?.as_i64()
}
