//! What `quittance dev` says when it is ready.

use std::path::PathBuf;

use serde_json::{Value, json};

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

    /// Three lines to try, with what each asks.
    fn lines(&self) -> [(&'static str, String); 3] {
        let (url, customer) = (&self.url, &self.customer);
        let bearer = format!("-H 'Authorization: Bearer {}'", self.api_key);
        [
            (
                "May this customer read whole articles? Not before they have paid.",
                format!("curl -s {url}/v1/customers/{customer}/entitlements/article:full {bearer}"),
            ),
            (
                "Open a checkout; `url` is the page to pay on, with card 4242 4242 4242 4242.",
                format!(
                    "curl -s {url}/v1/checkouts {bearer} -H 'Content-Type: application/json' \\\n      -d '{{\"customer\":\"{customer}\",\"plan\":\"pro\",\"interval\":\"month\",\"currency\":\"jpy\"}}'"
                ),
            ),
            (
                "Why is the answer what it is?",
                format!("curl -s '{url}/v1/customers/{customer}/explain?feature=article:full' {bearer}"),
            ),
        ]
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
        text.push_str(&format!(
            "\n  Next\n    1. Open the pricing page, choose Pro and pay; the page turns to active by itself.\n    \
             2. Ask again: {program} --config {config} explain {customer} article:full\n    \
             3. See what arrived: {program} --config {config} events list\n    \
             4. Live a month in a minute: the sandbox page declines cards, drops webhooks and moves the clock.\n\n  \
             Ctrl-C stops everything.\n",
            program = program(),
            config = self.config.display(),
            customer = self.customer,
        ));
        text
    }
}

/// How this program was called, so that lines can be copied also where it is in no search path.
fn program() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).unwrap_or_else(|| "quittance".to_owned())
}
