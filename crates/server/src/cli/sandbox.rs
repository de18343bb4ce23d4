//! `quittance sandbox`: only the provider emulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use quittance_sandbox::{Sandbox, SandboxConfig, WebhookTarget};
use serde_json::json;
use tokio::sync::watch;

use super::sandbox_data::DataFile;
use super::{Common, out};
use crate::dev::SANDBOX_KEY;
use crate::failure::Failure;
use crate::{catalog_seed, config, serve};

/// A year in each second, as the sandbox's own limit.
const FASTEST: i64 = 366 * 86_400;

/// The emulator.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance sandbox
  quittance sandbox --data sandbox.json                goes on where it stopped
  quittance sandbox --speed 86400                      every second is a day
  quittance sandbox --port 0 --json                    any free port, for test suites
  quittance sandbox --webhook-url http://127.0.0.1:3000/webhooks/stripe --webhook-secret whsec_test
  STRIPE_API_BASE=http://127.0.0.1:12111 STRIPE_SECRET_KEY=sk_test_sandbox your-program

Next: open its page, which breaks webhooks, loses answers and travels in time.")]
pub(super) struct Options {
    /// Where it listens on 127.0.0.1; 0 for any free port
    #[arg(long, default_value_t = 12111)]
    port: u16,
    /// Deliver every event to this address
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Sign those with this secret
    #[arg(long, value_name = "SECRET", requires = "webhook_url", default_value = "whsec_sandbox")]
    webhook_secret: String,
    /// Make ids and chances repeatable
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Let this many seconds pass in each second: 86400 lives a day a second
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=FASTEST))]
    speed: Option<u32>,
    /// Keep the state in this file: it is loaded at the start, and written every few seconds and at the end
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Make products and prices of the configured catalog (the demo catalog where there is none)
    #[arg(long)]
    with_catalog: bool,
}

pub(super) async fn run(options: Options, common: &Common) -> Result<(), Failure> {
    if options
        .webhook_url
        .as_ref()
        .is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://"))
    {
        return Err(Failure::usage(
            "usage",
            "--webhook-url is no address: it must begin with http:// or https://",
            "Write it in full, such as http://127.0.0.1:3000/webhooks/stripe.",
        ));
    }
    let listener = serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)), "--port").await?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::problem("listen", error.to_string(), "Start it again."))?;
    let url = format!("http://{address}");
    let signal = serve::signal();
    let secret = options.webhook_secret;
    let sandbox = Sandbox::new(SandboxConfig {
        seed: options.seed,
        public_url: url.clone(),
        webhook: options.webhook_url.clone().map(|url| WebhookTarget { url, secret: secret.clone() }),
        speed: options.speed,
        ..SandboxConfig::default()
    });
    let data = options.data.as_deref().map(DataFile::open).transpose()?;
    let resumed = data.as_ref().map_or(Ok(false), |data| data.load(&sandbox))?;
    if options.with_catalog {
        let loaded = common.load()?;
        let (catalog, _) = config::catalog(&loaded, false)?;
        if !resumed {
            catalog_seed::seed(&sandbox, SANDBOX_KEY, &catalog)?;
        }
        let weak = Arc::downgrade(&sandbox);
        sandbox.on_reset(move |_| {
            let Some(sandbox) = weak.upgrade() else { return };
            if let Err(failure) = catalog_seed::seed(&sandbox, SANDBOX_KEY, &catalog) {
                tracing::error!(reason = failure.what, "the catalog is not in the sandbox after its reset");
            }
        });
    }
    if common.json {
        out::say_json(&json!({
            "url": url, "secret_key": SANDBOX_KEY, "control_url": format!("{url}/_sandbox"),
            "webhook_url": options.webhook_url,
            "webhook_secret": options.webhook_url.as_ref().map(|_| secret),
        }));
    } else {
        out::say(&announcement(&url, options.webhook_url.as_deref(), &secret, options.data.as_deref()));
    }
    let (stop, stopped) = watch::channel(false);
    let keeper = data.map(|data| tokio::spawn(data.keep(Arc::clone(&sandbox), stopped)));
    sandbox.serve(listener, signal).await;
    // Without a file nobody listens.
    let _ = stop.send(true);
    match keeper {
        Some(keeper) => keeper.await.unwrap_or_else(|error| {
            Err(Failure::problem("data_file", error.to_string(), "Start it again; the file is whole."))
        }),
        None => Ok(()),
    }
}

fn announcement(url: &str, webhook: Option<&str>, secret: &str, data: Option<&Path>) -> String {
    let kept = data.map_or_else(
        || "its state is not kept; --data FILE keeps it".to_owned(),
        |file| format!("its state stays in {}", file.display()),
    );
    let webhooks = webhook.map_or_else(
        || "none; --webhook-url, or POST /v1/webhook_endpoints".to_owned(),
        |to| format!("{to}   signed with {secret}"),
    );
    format!(
        "\n  The sandbox is ready. No money moves.\n\n  STRIPE_API_BASE    {url}\n  STRIPE_SECRET_KEY  {SANDBOX_KEY}\n  \
         Control page       {url}/_sandbox\n  Webhooks           {webhooks}\n\n  Ctrl-C stops it; {kept}."
    )
}
