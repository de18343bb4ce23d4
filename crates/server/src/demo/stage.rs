//! The stage: database in memory, sandbox, engine, and a network that repeats, shuffles and delays webhooks.

use std::collections::HashMap;
use std::sync::Arc;

use quittance_domain::checkout::CheckoutState;
use quittance_domain::checkout::CheckoutUi;
use quittance_domain::{CustomerId, Timestamp};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::problem::Problem;
use quittance_engine::{Engine, Settings, World};
use quittance_sandbox::{CustomerLedger, Delivery, DeliveryOutcome, Sandbox, SandboxConfig, WebhookTarget};
use quittance_store::checkouts::CheckoutRow;
use quittance_store::inbox::Accepted;
use quittance_store::{Db, Options};
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::{RateLimits, StripeConfig};
use secrecy::SecretString;
use serde_json::Value;

use super::world::DemoWorld;
use crate::dev::{SANDBOX_KEY, demo_catalog, limits};
use crate::failure::{Failure, of_store};
use crate::in_process::InProcess;
use crate::{catalog_seed, telemetry};

/// 2026-01-31T12:00:00Z: the end of a long month, so that the month after is short.
const START: i64 = 1_769_860_800;
const SECRET: &str = "whsec_demo";
/// How often each webhook arrives.
const COPIES: u64 = 3;
pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 86_400;
/// The feature that the demo asks about.
pub(super) const FEATURE: &str = "article:full";

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Counts {
    /// Events that were new to us.
    pub(super) events: u64,
    /// Requests to the webhook endpoint.
    pub(super) deliveries: u64,
    /// Those that were answered as duplicates.
    pub(super) duplicates: u64,
    /// Those that were refused.
    pub(super) refused: u64,
    /// Syncs that ended.
    pub(super) syncs: u64,
    /// Calls to the provider.
    pub(super) calls: u64,
    /// Lines about access in all timelines.
    pub(super) access_changes: u64,
    /// Answers compared with what the provider says.
    pub(super) compared: u64,
    /// Those that were wrong.
    pub(super) wrong: u64,
}

impl Counts {
    /// What came since an earlier count.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            events: self.events - earlier.events,
            deliveries: self.deliveries - earlier.deliveries,
            duplicates: self.duplicates - earlier.duplicates,
            refused: self.refused - earlier.refused,
            syncs: self.syncs - earlier.syncs,
            calls: self.calls - earlier.calls,
            access_changes: self.access_changes - earlier.access_changes,
            compared: self.compared - earlier.compared,
            wrong: self.wrong - earlier.wrong,
        }
    }
}

/// Everything that plays.
pub(super) struct Stage {
    pub(super) engine: Engine,
    pub(super) sandbox: Arc<Sandbox>,
    world: Arc<DemoWorld>,
    random: fastrand::Rng,
    counts: Counts,
    /// Events of which one more copy comes with the next step.
    late: Vec<String>,
    /// When grace ends, by customer, as computed from the provider's own record when the payment failed first.
    grace: HashMap<String, Timestamp>,
}

impl Stage {
    /// Builds it.
    pub(super) async fn build(seed: u64) -> Result<Self, Failure> {
        let catalog = demo_catalog()?;
        let sandbox = Sandbox::new(SandboxConfig {
            seed: Some(seed),
            public_url: "http://127.0.0.1:12111".to_owned(),
            webhook: Some(WebhookTarget {
                url: "http://127.0.0.1:4242/webhooks/stripe".to_owned(),
                secret: SECRET.to_owned(),
            }),
            start_time: Some(START),
            ..SandboxConfig::default()
        });
        let found = catalog_seed::seed(&sandbox, SANDBOX_KEY, &catalog)?;
        // The events of making the catalog are no part of the story.
        discard(&sandbox);
        let world = Arc::new(DemoWorld::new(sandbox.clone()));
        let url = "sqlite::memory:";
        let db = Db::open(url, Options::default()).await.map_err(|error| of_store(url, &error))?;
        db.migrate().await.map_err(|error| of_store(url, &error))?;
        let config = StripeConfig {
            limits: RateLimits { per_second: 1_000_000, per_endpoint_per_second: 1_000_000, ..limits() },
            ..StripeConfig::new(SecretString::from(SANDBOX_KEY.to_owned()), false)
        };
        let clock = world.clone();
        let now = Arc::new(move || clock.now().ms());
        let client =
            StripeClient::new(config, Arc::new(InProcess(sandbox.clone())), now, telemetry::count_calls())
                .map_err(|error| Failure::config(error.to_string(), "This is a defect: please report it."))?;
        let settings = Settings {
            webhook_secrets: vec![SecretString::from(SECRET.to_owned())],
            // Nobody works in the background here, so nothing is to be waited for.
            redirect_wait_ms: 0,
            ..Settings::default()
        };
        let engine = Engine::open(db, Arc::new(client), Arc::new(catalog), settings, world.clone())
            .await
            .map_err(|error| of_store(url, &error))?;
        engine.learn_pushed(&found).await?;
        let random = fastrand::Rng::with_seed(seed);
        Ok(Self {
            engine,
            sandbox,
            world,
            random,
            counts: Counts::default(),
            late: Vec::new(),
            grace: HashMap::new(),
        })
    }

    /// The counts now.
    pub(super) async fn counts(&mut self, customers: &[&str]) -> Result<Counts, Failure> {
        let mut changes = 0;
        for customer in customers {
            let lines = self.engine.timeline(customer, i64::MAX, 1_000).await?;
            changes += lines.iter().filter(|line| line.kind == "access.changed").count() as u64;
        }
        self.counts.access_changes = changes;
        self.counts.calls = self.sandbox.provider_calls().values().sum();
        Ok(self.counts)
    }

    /// Brings every webhook that is due three times, in random order, keeps a copy of some back, and works.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        // Copies that were held back come now, after what happened since; sent and signed again, as a retry is.
        let late = std::mem::take(&mut self.late);
        for event in &late {
            self.sandbox.deliver_event(event, 1, false).map_err(sandbox_refused)?;
        }
        loop {
            let due = self.sandbox.due_deliveries();
            let delivered = !due.is_empty();
            self.deliver(due, &late).await;
            let settings = self.engine.settings();
            self.world.wait_ms(settings.settle_ms.max(settings.spacing_ms) + 1);
            let synced = self.engine.drain().await?;
            self.counts.syncs += synced as u64;
            if !delivered && synced == 0 {
                return Ok(());
            }
        }
    }

    async fn deliver(&mut self, due: Vec<Delivery>, late: &[String]) {
        let mut copies: Vec<Delivery> = Vec::new();
        for delivery in &due {
            let again = late.contains(&delivery.event_id);
            let count = if again { 1 } else { COPIES };
            let held_back = !again && self.random.u8(0..4) == 0;
            if held_back {
                self.late.push(delivery.event_id.clone());
            }
            copies.extend((0..count - u64::from(held_back)).map(|_| delivery.clone()));
        }
        self.random.shuffle(&mut copies);
        for copy in &copies {
            let header = copy.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("stripe-signature"));
            let header = header.map(|(_, value)| value.as_bytes());
            self.counts.deliveries += 1;
            match self.engine.accept_stripe(header, &copy.body).await {
                Ok(Accepted::New) => self.counts.events += 1,
                Ok(Accepted::Duplicate) => self.counts.duplicates += 1,
                Err(_) => self.counts.refused += 1,
            }
        }
        for delivery in &due {
            self.sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Answered(200));
        }
    }

    /// Lets time pass without anybody telling us anything.
    pub(super) fn pass(&self, seconds: i64) {
        self.sandbox.advance_time(seconds);
        self.world.catch_up(seconds);
    }

    /// Lets time pass by days, delivering, working and comparing on the way.
    pub(super) async fn live(&mut self, days: i64, customers: &[&str]) -> Result<(), Failure> {
        for _ in 0..days {
            self.pass(DAY);
            self.settle().await?;
            self.compare(customers).await?;
        }
        Ok(())
    }

    /// Opens a checkout of Pro, by the month, in yen.
    pub(super) async fn checkout(&self, customer: &str) -> Result<CheckoutRow, Failure> {
        let wish = NewCheckout {
            customer: id(customer)?,
            plan: "pro".to_owned(),
            interval: Some("month".to_owned()),
            quantity: None,
            currency: Some("jpy".to_owned()),
            promotion_code: None,
            channel: None,
            success_url: None,
            cancel_url: None,
            starts_after: None,
            ui: CheckoutUi::Hosted,
            reference: None,
            client_ip: None,
            idempotency: None,
        };
        Ok(self.engine.open_checkout(&wish).await?)
    }

    /// The buyer pays.
    pub(super) fn pay(&self, session: &str, card: &str) -> Result<(), Failure> {
        self.sandbox.complete_checkout(session, card).map(drop).map_err(sandbox_refused)
    }

    /// The customer changes the card of a subscription, as in the portal.
    pub(super) fn change_card(&self, buyer: &str, subscription: &str, card: &str) -> Result<(), Failure> {
        let method = self.provider(
            "POST",
            &format!("/v1/payment_methods/{card}/attach"),
            &format!("customer={buyer}"),
        )?;
        let method = text(&method, "id");
        let path = format!("/v1/subscriptions/{subscription}");
        self.provider("POST", &path, &format!("default_payment_method={method}"))?;
        Ok(())
    }

    /// A call as another program on the account would make it.
    pub(super) fn provider(&self, method: &str, path: &str, form: &str) -> Result<Value, Failure> {
        catalog_seed::call(&self.sandbox, method, SANDBOX_KEY, path, form)
    }

    /// What really happened to the customer's money.
    pub(super) async fn ledger(&self, customer: &str) -> Result<CustomerLedger, Failure> {
        let buyer = self.buyer(customer).await?;
        let found = self.sandbox.ledger().customer(&buyer).cloned();
        found.ok_or_else(|| {
            Failure::problem(
                "demo",
                "the provider has no such customer",
                "This is a defect: please report it.",
            )
        })
    }

    /// The provider's id of a customer.
    pub(super) async fn buyer(&self, customer: &str) -> Result<String, Failure> {
        let known = self.engine.known_provider_customer(&id(customer)?).await?;
        known.ok_or_else(|| {
            Failure::problem(
                "demo",
                "the customer has nothing at the provider",
                "This is a defect: please report it.",
            )
        })
    }

    /// Remembers when grace must end, computed from the provider's record of the failure and the policy alone.
    pub(super) async fn note_grace(&mut self, customer: &str) -> Result<Timestamp, Failure> {
        let ledger = self.ledger(customer).await?;
        let oldest = ledger
            .invoices
            .iter()
            .filter(|invoice| invoice.status == "open")
            .map(|invoice| invoice.id.clone())
            .next();
        let invoice = oldest.unwrap_or_default();
        let invoice = self.provider("GET", &format!("/v1/invoices/{invoice}"), "")?;
        let finalized =
            invoice.pointer("/status_transitions/finalized_at").and_then(Value::as_i64).unwrap_or_default();
        let days = i64::from(self.engine.settings().access.grace_days);
        let end = Timestamp::from_seconds(finalized + days * DAY);
        self.grace.insert(customer.to_owned(), end);
        Ok(end)
    }

    /// Compares the answers with what the provider says now, without asking Quittance how it came to them.
    pub(super) async fn compare(&mut self, customers: &[&str]) -> Result<(), Failure> {
        for customer in customers {
            let Ok(ledger) = self.ledger(customer).await else { continue };
            let now = self.engine.now();
            let grace = self.grace.get(*customer).copied();
            let expected =
                ledger.subscriptions.iter().any(|subscription| match subscription.status.as_str() {
                    "active" | "trialing" => true,
                    "past_due" => grace.is_none_or(|end| now < end),
                    _ => false,
                });
            let answered = self.engine.check(customer, FEATURE).await?.allowed;
            self.counts.compared += 1;
            self.counts.wrong += u64::from(answered != expected);
        }
        Ok(())
    }

    /// Whether a checkout is done.
    pub(super) async fn is_complete(&self, row: &CheckoutRow) -> Result<bool, Problem> {
        Ok(self.engine.checkout_row(row.id.as_str()).await?.state == CheckoutState::Complete)
    }
}

fn discard(sandbox: &Sandbox) {
    for delivery in sandbox.due_deliveries() {
        sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Answered(200));
    }
}

fn sandbox_refused(error: quittance_sandbox::SandboxError) -> Failure {
    Failure::problem("sandbox_refused", error.to_string(), "This is a defect: please report it.")
}

pub(super) fn id(customer: &str) -> Result<CustomerId, Failure> {
    CustomerId::parse(customer)
        .map_err(|error| Failure::problem("demo", error.to_string(), "This is a defect: please report it."))
}

pub(super) fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
