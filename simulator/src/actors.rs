//! Who acts: buyers who are impatient and forgetful, cards that fail, people at the provider's dashboard.
//!
//! Each has chance of its own. What they may do is decided by what they see, as a person would see it.

use std::sync::Arc;

use futures_util::future::join;
use quittance_domain::CustomerId;
use quittance_domain::checkout::CheckoutUi;
use quittance_domain::ids::ApiKeyId;
use quittance_domain::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use quittance_engine::api_keys::Caller;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::idempotency::{Answer, Ended, Request};
use quittance_engine::problem::Money;
use quittance_engine::subscriptions::Change;
use quittance_engine::{Engine, Problem, ProblemCode};
use quittance_sandbox::{CheckoutOutcome, CustomerLedger};
use quittance_store::customers::{self, CustomerPatch};

use crate::chance::Chance;
use crate::gifts::{self, Known};
use crate::sim::Sim;

/// Cards that buyers pay with; good ones are likelier.
const CARDS: [&str; 12] = [
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_authenticationRequired",
    "pm_card_threeDSecure2Required",
    "pm_card_createDispute",
    "pm_card_chargeCustomerFail",
    "pm_card_visa",
];

/// A buyer's id.
#[must_use]
pub fn buyer_id(index: usize) -> String {
    format!("buyer_{index}")
}

/// A buyer, or what the same person does in another tab.
pub(crate) struct Buyer {
    pub(crate) sim: Arc<Sim>,
    pub(crate) chance: Chance,
    pub(crate) id: String,
    /// What the keys of this tab's requests begin with.
    tab: String,
    orders: u64,
    /// Sessions that this buyer has in some tab.
    tabs: Vec<String>,
}

/// Lives a buyer's life until the run is over.
pub async fn buyer(sim: Arc<Sim>, index: usize) {
    let mut buyer = Buyer::new(&sim, index, "buyer");
    sim.app_is_ready().await;
    loop {
        let most = (sim.plan.length_ms / 8).max(2 * HOUR_MS);
        let wait = match buyer.chance.below(4) {
            0 => buyer.chance.between(SECOND_MS, MINUTE_MS),
            1 => buyer.chance.between(MINUTE_MS, HOUR_MS),
            _ => buyer.chance.between(HOUR_MS, most),
        };
        sim.sleep(wait).await;
        if sim.is_over() {
            return;
        }
        buyer.act().await;
    }
}

impl Buyer {
    /// A buyer with the chance and the keys of its own that `tab` names.
    pub(crate) fn new(sim: &Arc<Sim>, index: usize, tab: &str) -> Self {
        let chance = Chance::new(sim.plan.seed, &format!("{tab} {index}"));
        let tab = format!("{tab}_{index}");
        Self { sim: Arc::clone(sim), chance, id: buyer_id(index), tab, orders: 0, tabs: Vec::new() }
    }

    /// Chance for one of several requests at once.
    pub(crate) fn lane(&mut self, lane: u64) -> Chance {
        self.orders += 1;
        Chance::new(self.sim.plan.seed, &format!("{} {} {lane}", self.tab, self.orders))
    }

    async fn act(&mut self) {
        match self.chance.below(100) {
            0..=39 => self.shop().await,
            40..=52 => self.change_plan().await,
            53..=64 => self.cancel().await,
            65..=72 => self.resume().await,
            73..=80 => self.change_card(),
            81..=87 => self.refund(),
            88..=91 => self.settle_dispute(),
            92..=95 => self.use_portal(),
            96 => self.tell_address().await,
            97..=98 => self.sell_again(),
            _ => self.look().await,
        }
    }

    fn customer(&self) -> Option<CustomerId> {
        CustomerId::parse(&self.id).ok()
    }

    fn wish(&mut self) -> Option<NewCheckout> {
        let (plan, intervals): (&str, &[&str]) = match self.chance.below(5) {
            0..=2 => ("pro", &["month", "month", "year"]),
            3 => ("studio", &["month", "year"]),
            _ => ("course", &["once"]),
        };
        let customer = self.customer()?;
        let interval = self.chance.pick(intervals).map(|i| (*i).to_owned());
        let currency = if self.chance.per_mille(850) { "jpy" } else { "usd" };
        let (plan, interval) = self.sold(plan, interval, currency)?;
        Some(NewCheckout {
            customer,
            plan,
            interval,
            quantity: Some(1),
            currency: Some(currency.to_owned()),
            promotion_code: None,
            channel: None,
            success_url: None,
            cancel_url: None,
            starts_after: None,
            ui: CheckoutUi::Hosted,
            reference: None,
            client_ip: None,
            idempotency: None,
        })
    }

    /// What the catalog sells instead, where it is not the demo's.
    fn sold(
        &mut self,
        plan: &str,
        interval: Option<String>,
        currency: &str,
    ) -> Option<(String, Option<String>)> {
        let catalog = Arc::clone(&self.sim.catalog);
        if let Some(found) = catalog.plan(plan) {
            let suits = |p: &&quittance_domain::catalog::Price| {
                Some(p.interval.as_str()) == interval.as_deref() && p.amount.currency.code() == currency
            };
            if found.prices.iter().any(|p| suits(&p)) {
                return Some((plan.to_owned(), interval));
            }
        }
        let all: Vec<(String, String)> = catalog
            .plans()
            .iter()
            .flat_map(|plan| plan.prices.iter().map(|price| (plan.key.to_string(), price)))
            .filter(|(_, price)| price.amount.currency.code() == currency)
            .map(|(plan, price)| (plan, price.interval.as_str().to_owned()))
            .collect();
        self.chance.pick(&all).map(|(plan, interval)| (plan.clone(), Some(interval.clone())))
    }

    async fn shop(&mut self) {
        let Some(wish) = self.wish() else { return };
        self.orders += 1;
        let key = self.chance.per_mille(700).then(|| format!("{}-{}", self.id, self.orders));
        let sessions = match self.chance.below(4) {
            // A double click: the same request twice at once.
            0 => {
                let (first, second) =
                    join(self.order(key.clone(), wish.clone(), 0), self.order(key.clone(), wish.clone(), 1))
                        .await;
                if let (Some(one), Some(other), Some(key)) = (&first, &second, &key)
                    && one != other
                {
                    let detail = format!("{key}: one key gave the sessions {one} and {other}");
                    self.sim.record().violation("I8", detail);
                }
                vec![first, second]
            }
            // Two tabs with two wishes.
            1 => {
                let Some(other) = self.wish() else { return };
                let first = self.order(key.clone(), wish, 0);
                let second = self.order(key.map(|key| format!("{key}-b")), other, 1);
                let (first, second) = join(first, second).await;
                vec![first, second]
            }
            _ => vec![self.order(key, wish, 0).await],
        };
        self.tabs.extend(sessions.into_iter().flatten());
        self.tabs.dedup();
        let keep = self.tabs.len().saturating_sub(4);
        self.tabs.drain(..keep);
        if self.chance.per_mille(800) {
            self.pay().await;
        }
        // Another tab is still open.
        if self.chance.per_mille(250) {
            self.pay().await;
        }
    }

    /// Asks for a checkout as an app does: again with the same key when the answer is lost.
    fn order(
        &self,
        key: Option<String>,
        wish: NewCheckout,
        lane: u64,
    ) -> impl Future<Output = Option<String>> + Send + 'static {
        let (sim, id) = (Arc::clone(&self.sim), self.id.clone());
        let mut chance = Chance::new(self.sim.plan.seed, &format!("{id} order {} {lane}", self.orders));
        async move {
            for _ in 0..4 {
                sim.record().asked(&id);
                let (key, wish) = (key.clone(), wish.clone());
                let plan = wish.plan.clone();
                let answer =
                    sim.call(chance.draw(), move |engine| checkout_under_key(engine, key, wish)).await;
                match answer {
                    Some(Ok(session)) => {
                        sim.tell(&id, format_args!("may pay {plan} at {session}"));
                        return Some(session);
                    }
                    Some(Err(problem)) => {
                        sim.tell(&id, format_args!("cannot order {plan}: {}", problem.code.as_str()));
                        problem.retry_after_s?;
                    }
                    None => sim.tell(&id, format_args!("ordered {plan}, and the connection broke")),
                }
                sim.sleep(chance.between(SECOND_MS, 30 * SECOND_MS)).await;
            }
            None
        }
    }

    async fn pay(&mut self) {
        let Some(session) = self.chance.pick(&self.tabs).cloned() else { return };
        let wait = self.chance.between(5 * SECOND_MS, 10 * MINUTE_MS);
        self.sim.sleep(wait).await;
        let card = self.chance.pick(&CARDS).copied().unwrap_or("pm_card_visa");
        let outcome = self.sim.sandbox.complete_checkout(&session, card);
        self.sim.provider_has_changed();
        match outcome {
            Ok(CheckoutOutcome::Complete { .. }) => {
                self.sim.tell(&self.id, format_args!("pays {session} with {card}"));
            }
            Ok(CheckoutOutcome::RequiresAction { intent, .. }) => {
                let wait = self.chance.between(SECOND_MS, 5 * MINUTE_MS);
                self.sim.sleep(wait).await;
                let success = self.chance.per_mille(750);
                let done = self.sim.sandbox.authenticate(&intent, success);
                self.sim.provider_has_changed();
                self.sim.tell(&self.id, format_args!("authenticates {session}: {done:?}"));
            }
            Err(refused) => {
                self.sim.tell(&self.id, format_args!("pays {session} with {card}: {}", refused.message))
            }
        }
        self.come_back(session).await;
    }

    /// Before the webhook, after it, or never.
    async fn come_back(&mut self, session: String) {
        if self.sim.plan.silent {
            return;
        }
        let wait = match self.chance.below(4) {
            0 => return,
            1 => 0,
            2 => self.chance.between(100, 3_000),
            _ => self.chance.between(3_000, HOUR_MS),
        };
        self.sim.sleep(wait).await;
        let patience = self.sim.plan.settings.redirect_wait_ms;
        let seen =
            self.sim
                .call(self.chance.draw(), move |engine| async move {
                    engine.buyer_returned(&session, patience).await
                })
                .await;
        match seen {
            Some(Ok(returned)) => {
                self.sim.tell(&self.id, format_args!("comes back and sees {}", returned.row.state.as_str()));
            }
            Some(Err(problem)) => {
                self.sim.tell(&self.id, format_args!("comes back: {}", problem.code.as_str()))
            }
            None => self.sim.tell(&self.id, format_args!("comes back to nobody")),
        }
    }

    /// One of this buyer's subscriptions as our API shows them.
    pub(crate) async fn mirrored(&mut self) -> Option<String> {
        let id = self.id.clone();
        let view = self.sim.call(self.chance.draw(), move |engine| async move { engine.customer(&id).await });
        let view = view.await?.ok()?;
        let live: Vec<String> = view
            .subscriptions
            .into_iter()
            .filter(|row| row.subscription.is_live())
            .map(|row| row.subscription.facts.id)
            .collect();
        self.chance.pick(&live).cloned()
    }

    async fn change_plan(&mut self) {
        let Some(id) = self.mirrored().await else { return };
        let plan = self.chance.pick(&["pro", "studio"]).map(|p| (*p).to_owned());
        let quantity = self.chance.per_mille(300).then(|| self.chance.between(1, 4));
        let change = Change { plan, quantity, ..Change::default() };
        let subscription = id.clone();
        self.ask(&id, format!("changes {id} to {change:?}"), move |engine, asked| {
            let (id, change) = (subscription.clone(), change.clone());
            async move { engine.change_subscription(&id, &change, asked.as_deref()).await.map(drop) }
        })
        .await;
    }

    async fn cancel(&mut self) {
        let Some(id) = self.mirrored().await else { return };
        let at = if self.chance.per_mille(700) { CancelAt::PeriodEnd } else { CancelAt::Now };
        let subscription = id.clone();
        self.ask(&id, format!("cancels {id} ({at:?})"), move |engine, asked| {
            let id = subscription.clone();
            async move { engine.cancel_subscription(&id, at, asked.as_deref()).await.map(drop) }
        })
        .await;
    }

    pub(crate) async fn resume(&mut self) {
        let Some(id) = self.mirrored().await else { return };
        let subscription = id.clone();
        self.ask(&id, format!("resumes {id}"), move |engine, asked| {
            let id = subscription.clone();
            async move { engine.resume_subscription(&id, asked.as_deref()).await.map(drop) }
        })
        .await;
    }

    /// Asks for a change as an app does: mostly under a key, and again with it when the answer is lost.
    pub(crate) async fn ask<F, Fut>(&mut self, on: &str, what: String, work: F) -> Known
    where
        F: Fn(Engine, Option<String>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        self.orders += 1;
        self.sim.record().changes.touch(on);
        let key = self.chance.per_mille(700).then(|| format!("{} {}", self.tab, self.orders));
        let request = Request::new(app(), key, "POST", "/v1/subscriptions", what.as_bytes());
        for _ in 0..3 {
            let (request, work, draw) = (request.clone(), work.clone(), self.chance.draw());
            let change = move |engine: Engine| async move {
                let change = |seed| {
                    let done = work(engine.clone(), seed);
                    async move { done.await.map(|()| Answer { status: 200, body: String::new() }) }
                };
                told(engine.once(&request, gifts::refusal, change).await).map(drop)
            };
            self.sim.record().asked(&self.id);
            let done = self.sim.call(draw, change).await;
            let known = match &done {
                Some(Ok(())) => Known::Yes,
                Some(Err(problem)) if is_final(problem) => Known::No,
                Some(Err(_)) | None => Known::Maybe,
            };
            let again = done.is_none();
            self.report(&what, done);
            if !again {
                self.sim.record().changes.left(on, known == Known::Maybe);
                return known;
            }
            let wait = self.chance.between(SECOND_MS, 2 * MINUTE_MS);
            self.sim.sleep(wait).await;
        }
        self.sim.record().changes.left(on, true);
        Known::Maybe
    }

    async fn tell_address(&mut self) {
        let Some(customer) = self.customer() else { return };
        let patch = CustomerPatch {
            email: customers::Change::Set(format!("{}@example.com", self.id)),
            ..CustomerPatch::default()
        };
        let done = self.sim.call(self.chance.draw(), move |engine| async move {
            engine.put_customer(&customer, patch).await.map(drop)
        });
        self.report("tells an address", done.await);
    }

    async fn look(&mut self) {
        if self.sim.plan.silent {
            return;
        }
        let Some(session) = self.chance.pick(&self.tabs).cloned() else { return };
        let done = self.sim.call(self.chance.draw(), move |engine| async move {
            engine.checkout_seen(&session).await.map(drop)
        });
        self.report("looks at a tab", done.await);
    }

    pub(crate) fn report(&self, what: &str, done: Option<Result<(), Problem>>) {
        match done {
            Some(Ok(())) => self.sim.tell(&self.id, format_args!("{what}: done")),
            Some(Err(problem)) => self.sim.tell(&self.id, format_args!("{what}: {}", problem.code.as_str())),
            None => self.sim.tell(&self.id, format_args!("{what}: no answer")),
        }
    }

    /// What the provider has of this buyer.
    pub(crate) fn at_provider(&self) -> Vec<CustomerLedger> {
        let ledger = self.sim.sandbox.ledger();
        let ours = |c: &CustomerLedger| c.metadata.get("quittance_customer") == Some(&self.id);
        ledger.customers.into_iter().filter(ours).collect()
    }

    /// A new card on the customer's page: good, or one that will fail later.
    fn change_card(&mut self) {
        for customer in self.at_provider() {
            let card = self.chance.pick(&[
                "pm_card_visa",
                "pm_card_chargeCustomerFail",
                "pm_card_chargeCustomerFail",
            ]);
            let card = card.copied().unwrap_or("pm_card_visa");
            let attach = format!("customer={}", customer.customer);
            let attached = self.sim.dashboard("POST", &format!("/v1/payment_methods/{card}/attach"), &attach);
            let value = attached.value();
            let Some(method) = value.get("id").and_then(serde_json::Value::as_str) else { continue };
            for subscription in &customer.subscriptions {
                self.sim.record().pays_otherwise(&self.sim, &subscription.id);
                let form = format!("default_payment_method={method}");
                self.sim.dashboard("POST", &format!("/v1/subscriptions/{}", subscription.id), &form);
            }
            let form = format!("invoice_settings[default_payment_method]={method}");
            self.sim.dashboard("POST", &format!("/v1/customers/{}", customer.customer), &form);
            self.sim.tell(&self.id, format_args!("has a new card, {card}"));
            // A good card is tried at once by some.
            if card == "pm_card_visa" {
                for invoice in customer.invoices.iter().filter(|i| i.status == "open") {
                    let paid = self.sim.dashboard("POST", &format!("/v1/invoices/{}/pay", invoice.id), "");
                    self.sim.record().paid_by_hand(&invoice.id, paid.status);
                    self.sim.tell(&self.id, format_args!("pays {}: {}", invoice.id, paid.status));
                }
            }
        }
    }

    /// What must never be, and is: a second subscription in the name of a checkout of ours, from a copy of the app
    /// that knows nothing of this one.
    fn sell_again(&mut self) {
        for customer in self.at_provider() {
            let live = customer.subscriptions.iter().find(|s| {
                s.status == "active"
                    && !s.cancel_at_period_end
                    && s.metadata.contains_key("quittance_checkout")
            });
            let Some((first, (price, _))) = live.and_then(|s| Some((s, s.items.first()?))) else { continue };
            let checkout = first.metadata.get("quittance_checkout").cloned().unwrap_or_default();
            let seen = self.sim.dashboard("GET", &format!("/v1/subscriptions/{}", first.id), "").value();
            let card =
                seen.get("default_payment_method").and_then(serde_json::Value::as_str).unwrap_or_default();
            let form = format!(
                "customer={}&items[0][price]={price}&default_payment_method={card}&metadata[quittance_customer]={}&metadata[quittance_checkout]={checkout}",
                customer.customer, self.id,
            );
            let done = self.sim.dashboard("POST", "/v1/subscriptions", &form);
            self.sim.tell(
                "dashboard",
                format_args!("sells {} again beside {}: {}", self.id, first.id, done.status),
            );
        }
    }

    fn refund(&mut self) {
        for customer in self.at_provider() {
            let paid: Vec<_> =
                customer.charges.iter().filter(|c| c.paid && c.amount_refunded < c.amount).collect();
            let Some(charge) = self.chance.pick(&paid) else { continue };
            let amount = if self.chance.per_mille(400) {
                format!("&amount={}", self.chance.between(1, charge.amount - charge.amount_refunded))
            } else {
                String::new()
            };
            let form = format!("payment_intent={}{amount}", charge.payment_intent);
            let done = self.sim.dashboard("POST", "/v1/refunds", &form);
            if let Some(id) = done.value().get("id").and_then(serde_json::Value::as_str) {
                self.sim.record().refunds.made_elsewhere(id.to_owned());
            }
            self.sim.tell("dashboard", format_args!("refunds {form}: {}", done.status));
        }
    }

    fn settle_dispute(&mut self) {
        for customer in self.at_provider() {
            let Some(dispute) = customer.disputes.iter().find(|d| d.status == "needs_response") else {
                continue;
            };
            let path = format!("/v1/disputes/{}", dispute.id);
            let done = if self.chance.per_mille(500) {
                self.sim.dashboard("POST", &format!("{path}/close"), "")
            } else {
                let form = "evidence[uncategorized_text]=winning_evidence&submit=true";
                self.sim.dashboard("POST", &path, form)
            };
            self.sim.tell("dashboard", format_args!("settles {}: {}", dispute.id, done.status));
        }
    }

    /// What the provider's portal lets a buyer do; we hear of it only by webhook.
    fn use_portal(&mut self) {
        for customer in self.at_provider() {
            let live: Vec<_> = customer
                .subscriptions
                .iter()
                .filter(|s| s.status == "active" || s.status == "past_due")
                .collect();
            let Some(subscription) = self.chance.pick(&live) else { continue };
            let path = format!("/v1/subscriptions/{}", subscription.id);
            let (method, form) = match self.chance.below(4) {
                0 => ("POST", "cancel_at_period_end=true"),
                1 => ("POST", "cancel_at_period_end=false"),
                2 => ("POST", "metadata[note]=seen"),
                _ => ("DELETE", ""),
            };
            self.sim.record().changes.touch(&subscription.id);
            let done = self.sim.dashboard(method, &path, form);
            self.sim.tell("portal", format_args!("{method} {} {form}: {}", subscription.id, done.status));
        }
    }
}

/// A checkout as the API makes it: under the caller's key where there is one.
pub(crate) async fn checkout_under_key(
    engine: Engine,
    key: Option<String>,
    mut wish: NewCheckout,
) -> Result<String, Problem> {
    let session = |row: quittance_store::checkouts::CheckoutRow| row.session.unwrap_or_default();
    let body = format!("{} {} {:?} {:?}", wish.customer, wish.plan, wish.interval, wish.currency);
    let request = Request::new(app(), key, "POST", "/v1/checkouts", body.as_bytes());
    let work = |seed| {
        let engine = engine.clone();
        wish.idempotency = seed;
        async move { engine.open_checkout(&wish).await.map(|row| Answer { status: 200, body: session(row) }) }
    };
    told(engine.once(&request, gifts::refusal, work).await)
}

/// Whether a refusal is the last word: nothing happened and nothing will.
pub(crate) fn is_final(problem: &Problem) -> bool {
    let runs = problem.code == ProblemCode::IdempotencyInFlight;
    problem.retry_after_s.is_none() && problem.money == Money::No && !runs
}

/// The app that the buyers use.
fn app() -> Arc<Caller> {
    Arc::new(Caller { key: ApiKeyId::derived(&["simulated app"]), scopes: Vec::new() })
}

/// What the app is told.
fn told(ended: Ended) -> Result<String, Problem> {
    match ended {
        Ended::Done(answer) => Ok(answer.body),
        Ended::Replayed(answer) if answer.status == 200 => Ok(answer.body),
        Ended::Replayed(_) => Err(Problem::invalid("as before")),
        Ended::Refused(problem, _) => Err(problem),
    }
}
