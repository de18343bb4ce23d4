//! What `quittance dev` says when it is ready.

use std::path::PathBuf;

use quittance_domain::Catalog;
use quittance_domain::catalog::Interval;
use serde_json::{Value, json};

/// What the lines to try are about: something of the catalog that costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    /// A feature that only those have who paid.
    feature: Option<String>,
    /// What to buy.
    sale: Option<Sale>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sale {
    name: String,
    plan: String,
    interval: String,
    currency: String,
}

impl Example {
    /// The first plan that costs, with its monthly price where it has one.
    pub(super) fn of(catalog: &Catalog) -> Self {
        let Some(plan) = catalog.plans().iter().find(|plan| !plan.free && !plan.prices.is_empty()) else {
            return Self { feature: None, sale: None };
        };
        let free = |key: &str| catalog.free_plan().is_some_and(|free| free.features.get(key).is_some());
        let mut features = plan.features.keys().map(|key| key.as_str());
        let monthly = plan.prices.iter().find(|price| price.interval == Interval::Month);
        let sale = monthly.or(plan.prices.first()).map(|price| Sale {
            name: plan.name.en.clone(),
            plan: plan.key.to_string(),
            interval: price.interval.as_str().to_owned(),
            currency: price.amount.currency.code().to_owned(),
        });
        Self { feature: features.find(|key| !free(key)).map(str::to_owned), sale }
    }
}

/// Everything that a developer or a program needs.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The server.
    pub url: String,
    /// The sandbox.
    pub sandbox_url: String,
    /// The API key.
    pub api_key: String,
    /// The customer that exists.
    pub customer: String,
    /// What to try.
    pub(super) example: Example,
    /// The database.
    pub database_url: String,
    /// What webhooks are signed with.
    pub webhook_secret: String,
    /// Where the state is.
    pub folder: PathBuf,
    /// A configuration for commands beside it.
    pub config: PathBuf,
    /// Whether the state stays.
    pub kept: bool,
    /// Milliseconds from start to ready.
    pub ready_ms: u128,
}

impl Announcement {
    fn pricing(&self) -> String {
        format!("{}/pricing?customer={}", self.url, self.customer)
    }

    fn control(&self) -> String {
        format!("{}/_sandbox", self.sandbox_url)
    }

    /// Lines to try, with what each asks. Each ends its answer's line, which a terminal's prompt would follow else.
    fn lines(&self) -> Vec<(String, String)> {
        let (url, customer) = (&self.url, &self.customer);
        let curl = "curl -sw '\\n'";
        let bearer = format!("-H 'Authorization: Bearer {}'", self.api_key);
        let may = self.example.feature.as_ref().map(|feature| {
            (
                format!("May this customer use `{feature}`? Not before they have paid."),
                format!("{curl} {url}/v1/customers/{customer}/entitlements/{feature} {bearer}"),
            )
        });
        let buy = self.example.sale.as_ref().map(|Sale { plan, interval, currency, .. }| {
            (
                "Open a checkout; `url` is the page to pay on, with card 4242 4242 4242 4242.".to_owned(),
                format!(
                    "{curl} {url}/v1/checkouts {bearer} -H 'Content-Type: application/json' \\\n      -d '{{\"customer\":\"{customer}\",\"plan\":\"{plan}\",\"interval\":\"{interval}\",\"currency\":\"{currency}\"}}'"
                ),
            )
        });
        let why = self.example.feature.as_ref().map(|feature| {
            (
                "Why is the answer what it is?".to_owned(),
                format!("{curl} '{url}/v1/customers/{customer}/explain?feature={feature}' {bearer}"),
            )
        });
        may.into_iter().chain(buy).chain(why).collect()
    }

    /// One JSON value for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let lines: Vec<String> =
            self.lines().into_iter().map(|(_, line)| line.replace(" \\\n      ", " ")).collect();
        json!({
            "url": self.url,
            "pricing_url": self.pricing(),
            "billing_url": format!("{}/billing?customer={}", self.url, self.customer),
            "docs_url": format!("{}/docs", self.url),
            "admin_url": format!("{}/admin", self.url),
            "mail_url": format!("{}/admin/mail", self.url),
            "sandbox_url": self.sandbox_url,
            "control_url": self.control(),
            "api_key": self.api_key,
            "customer": self.customer,
            "database_url": self.database_url,
            "webhook_secret": self.webhook_secret,
            "data": self.folder.display().to_string(),
            "data_kept": self.kept,
            "config": self.config.display().to_string(),
            "try": lines,
            "ready_ms": u64::try_from(self.ready_ms).unwrap_or(u64::MAX),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let fate = if self.kept { "kept" } else { "removed when you stop; --data DIR keeps it" };
        let rows = [
            ("Pricing page", self.pricing()),
            ("Billing page", format!("{}/billing?customer={}", self.url, self.customer)),
            ("API docs", format!("{}/docs", self.url)),
            ("Admin", format!("{}/admin", self.url)),
            ("Mail", format!("{}/admin/mail   what customers are told", self.url)),
            ("Sandbox", format!("{}   break webhooks, lose answers, travel in time", self.control())),
            ("API key", self.api_key.clone()),
            ("Customer", self.customer.clone()),
            ("Data", format!("{}   ({fate})", self.folder.display())),
        ];
        let mut text = format!(
            "\n  Quittance is ready ({} ms). Everything runs on this machine; no money moves.\n\n",
            self.ready_ms
        );
        for (name, value) in rows {
            text.push_str(&format!("  {name:<14}{value}\n"));
        }
        text.push_str("\n  Try\n");
        for (what, line) in self.lines() {
            text.push_str(&format!("\n    # {what}\n    {line}\n"));
        }
        let choose = self.example.sale.as_ref().map_or("a plan", |sale| &sale.name);
        text.push_str(&format!(
            "\n  Next\n    1. Open the pricing page, choose {choose} and pay; the page turns to active by itself.\n    \
             2. Ask again: {program} --config {config} explain {customer}{feature}\n    \
             3. See what arrived: {program} --config {config} events list\n    \
             4. Live a month in a minute: the sandbox page declines cards, drops webhooks and moves the clock.\n\n  \
             Ctrl-C stops everything.\n",
            program = program(),
            config = self.config.display(),
            customer = self.customer,
            feature = self.example.feature.as_ref().map_or_else(|| " FEATURE".to_owned(), |feature| format!(" {feature}")),
        ));
        text
    }
}

/// How this program was called, so that lines can be copied also where it is in no search path.
fn program() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).unwrap_or_else(|| "quittance".to_owned())
}
