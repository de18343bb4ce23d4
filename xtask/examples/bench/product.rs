//! The product as the benchmark runs it: `quittance serve` beside `quittance sandbox`, configured by the environment.
//!
//! Everything that the benchmark assumes about the command line and the HTTP contract stands here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use xtask::clock::poll;
use xtask::cluster::free_port;
use xtask::interrupt;

use crate::http::Client;
use crate::process::{Server, clean};
use crate::scenario::WEBHOOK_PATH;

/// The secret that signs the webhooks.
pub const WEBHOOK_SECRET: &str = "whsec_bench";
/// The customer whose rows the large database is made of.
pub const TEMPLATE: &str = "bench_template";

const PROVIDER_KEY: &str = "sk_test_bench";

/// Which work a server does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// API and webhooks only.
    Api,
    /// API, webhooks and workers: the default of `quittance serve`.
    Both,
}

/// The binary, a directory for its files and the emulated provider.
pub struct Product {
    binary: PathBuf,
    folder: PathBuf,
    sandbox: Server,
}

impl Product {
    /// Starts the emulated provider and gives it the prices of the catalog.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut command = clean(binary);
        command.args(["sandbox", "--port", &port.to_string(), "--seed", "1"]);
        let sandbox = Server::start(&mut command, folder, "sandbox", port, "/_sandbox/ledger")?;
        let product = Self { binary: binary.to_owned(), folder: folder.to_owned(), sandbox };
        product.price("Pro", "pro_month_jpy", 1_980)?;
        product.price("Studio", "studio_month_jpy", 9_800)?;
        Ok(product)
    }

    fn price(&self, name: &str, lookup_key: &str, amount: u32) -> Result<()> {
        let provider = self.provider();
        let product = provider.form("/v1/products", &format!("name={name}"))?;
        let id = text(&product, "id")?;
        provider.form(
            "/v1/prices",
            &format!(
                "product={id}&lookup_key={lookup_key}&currency=jpy&unit_amount={amount}&recurring%5Binterval%5D=month"
            ),
        )?;
        Ok(())
    }

    /// The emulated provider's API and control API.
    pub fn provider(&self) -> Client {
        Client { port: self.sandbox.port, key: PROVIDER_KEY.to_owned() }
    }

    fn command(&self, database: &str, listen: u16) -> Command {
        let mut command = clean(&self.binary);
        command
            .current_dir(&self.folder)
            .env("DATABASE_URL", database)
            .env("QUITTANCE_LISTEN", format!("127.0.0.1:{listen}"))
            .env("QUITTANCE_PUBLIC_URL", format!("http://127.0.0.1:{listen}"))
            .env("QUITTANCE_SECRET", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
            .env("STRIPE_SECRET_KEY", PROVIDER_KEY)
            .env("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("STRIPE_API_BASE", format!("http://127.0.0.1:{}", self.sandbox.port))
            .env("RUST_LOG", "warn");
        command
    }

    /// Brings the schema up to date and creates an API key, which it returns.
    pub fn prepare(&self, database: &str) -> Result<String> {
        interrupt::output(self.command(database, 1).arg("migrate"))?;
        let printed = interrupt::output(
            self.command(database, 1).args(["keys", "create", "--name", "bench", "--json"]),
        )?;
        let printed: Value = serde_json::from_str(printed.trim()).context("keys create --json")?;
        text(&printed, "key")
    }

    /// Starts the server; one that works is also told to the provider, whose webhooks it then gets.
    pub fn serve(&self, database: &str, role: Role) -> Result<Server> {
        let port = free_port()?;
        let mut command = self.command(database, port);
        if role == Role::Both {
            let url = format!("http://127.0.0.1:{port}{WEBHOOK_PATH}");
            let made = self
                .provider()
                .form("/v1/webhook_endpoints", &format!("url={url}&enabled_events%5B%5D=*"))?;
            command.env("STRIPE_WEBHOOK_SECRET", format!("{WEBHOOK_SECRET},{}", text(&made, "secret")?));
        }
        command.arg("serve");
        if role == Role::Api {
            command.args(["--role", "api"]);
        }
        Server::start(&mut command, &self.folder, "serve", port, "/readyz")
    }

    /// One customer buys Pro, comes back from the payment page and waits until the plan is there.
    pub fn buy(&self, api: &Client, customer: &str) -> Result<()> {
        api.json(
            "PUT",
            &format!("/v1/customers/{customer}"),
            &json!({ "email": format!("{customer}@example.com") }),
        )?;
        let checkout = api.json(
            "POST",
            "/v1/checkouts",
            &json!({ "customer": customer, "plan": "pro", "interval": "month", "currency": "jpy" }),
        )?;
        let session = session(&text(&checkout, "url")?)?;
        self.provider().json(
            "POST",
            &format!("/_sandbox/checkout_sessions/{session}/complete"),
            &json!({ "payment_method": "pm_card_visa" }),
        )?;
        api.get(&format!("/checkout/return?session_id={session}"))?;
        let path = format!("/v1/customers/{customer}/entitlements/article:full");
        let allowed = poll(Duration::from_secs(30), || {
            let answer = api.json("GET", &path, &Value::Null).ok()?;
            answer.get("allowed")?.as_bool()?.then_some(())
        });
        if allowed.is_none() {
            bail!("{customer} paid, but was not allowed within 30 s");
        }
        Ok(())
    }

    /// A customer's newest subscription ends now.
    pub fn leave(&self, api: &Client, customer: &str) -> Result<()> {
        let found = api.json("GET", &format!("/v1/customers/{customer}"), &Value::Null)?;
        let newest = found.pointer("/subscriptions/0").context("a customer without a subscription")?;
        let path = format!("/v1/subscriptions/{}/cancel", text(newest, "id")?);
        api.json("POST", &path, &json!({ "at": "now" }))?;
        Ok(())
    }
}

/// A counter of the metrics page, summed for each value of one of its labels.
pub fn counters_by(api: &Client, name: &str, label: &str) -> Result<BTreeMap<String, u64>> {
    let (status, page) = api.get("/metrics")?;
    if status != 200 {
        bail!("/metrics answered {status}");
    }
    let mut sums = BTreeMap::new();
    let begin = format!("{label}=\"");
    for line in page.lines().filter(|line| line.starts_with(name)) {
        let (_, value) = line.rsplit_once(' ').context("a metric without a value")?;
        let of = line.split_once(&begin).and_then(|(_, rest)| rest.split_once('"')).map_or("", |(of, _)| of);
        *sums.entry(of.to_owned()).or_default() += value.parse::<u64>().with_context(|| line.to_owned())?;
    }
    Ok(sums)
}

/// The id of the checkout session in the address of its page.
fn session(url: &str) -> Result<String> {
    let start = url.find("cs_").with_context(|| format!("no session in {url}"))?;
    let rest = url.get(start..).unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Ok(rest.get(..end).unwrap_or(rest).to_owned())
}

/// A text field of a JSON answer.
fn text(value: &Value, field: &str) -> Result<String> {
    value
        .get(field)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no `{field}` in {value}"))
}
