//! The one who walks a life: acts as its table says, and waits until each line has become so.

use std::sync::Arc;

use quittance_domain::change::When;
use quittance_domain::checkout::CheckoutUi;
use quittance_domain::notices::NoticeKind;
use quittance_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use quittance_domain::{CustomerId, Timestamp};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::dunning::WayToPay;
use quittance_engine::notices::NewAnnouncement;
use quittance_engine::subscriptions::Change;
use quittance_engine::{Engine, Problem};
use quittance_sandbox::{CheckoutOutcome, CustomerLedger, HttpRequest};
use serde_json::json;

use super::{Counted, Life, Line, Lived, PATIENCE_MS, Told, heard_words, mail_word};
use crate::actors::{buyer_id, checkout_under_key};
use crate::chance::Chance;
use crate::operations;
use crate::plan::MOST_SKEW_MS;
use crate::sim::Sim;

/// How often somebody looks whether a line has become so, in milliseconds: often at first.
const LOOK_MS: (i64, i64) = (MINUTE_MS, 10 * MINUTE_MS);
/// How many looks are made often.
const OFTEN: i64 = 10;
/// How often an operator frees what is parked meanwhile, in milliseconds.
const FREE_EVERY_MS: i64 = 3 * HOUR_MS;

struct Walk {
    sim: Arc<Sim>,
    chance: Chance,
    life: Life,
    /// When it began, in seconds since the Unix epoch.
    born_s: Option<i64>,
    subscription: Option<String>,
    mails: Told,
    heard: Told,
    acts: u64,
}

/// Lives a life to its end.
pub async fn walk(sim: Arc<Sim>, life: Life) {
    sim.app_is_ready().await;
    let mut walk = Walk {
        chance: Chance::new(sim.plan.seed, life.name),
        sim: Arc::clone(&sim),
        life,
        born_s: None,
        subscription: None,
        mails: Told::default(),
        heard: Told::default(),
        acts: 0,
    };
    for (index, line) in life.lines().iter().enumerate() {
        if let Err(detail) = walk.line(index, line).await {
            let detail = format!("the life {}, at '{}': {detail}", life.name, line.what);
            return sim.record().violation("I3", detail);
        }
    }
    let last = life.lines().pop();
    sim.tell("life", format_args!("{} was lived", life.name));
    sim.record().lived = last.map(|line| Lived {
        life,
        subscription: walk.subscription,
        status: line.status,
        access: line.access,
        mails: walk.mails,
        heard: walk.heard,
    });
}

impl Walk {
    async fn line(&mut self, index: usize, line: &Line) -> Result<(), String> {
        let moment = self.born_s.map_or(0, |born| (born + line.at_s) * SECOND_MS);
        self.wait_until(moment).await;
        if line.by_itself {
            self.ended_by_itself().await?;
        }
        if line.what != "nothing" {
            self.act(line.what).await?;
            self.sim.tell("life", format_args!("{}", line.what));
        }
        // What the provider does next by itself does not wait until this has become so.
        let next = self.life.lines().into_iter().nth(index + 1).filter(|next| next.what == "nothing");
        let until = next.zip(self.born_s).map(|(next, born)| (born + next.at_s) * SECOND_MS);
        let (mut mails, mut heard) = (self.mails.clone(), self.heard.clone());
        mails.add(&line.mails, true);
        heard.add(&line.heard, true);
        let seen = self.follow(line, &mails, &heard, until).await?;
        if !seen {
            self.sim.tell("life", format_args!("{} passes before it was seen", line.what));
            heard = self.heard.clone();
            heard.add(&line.heard, false);
        }
        (self.mails, self.heard) = (mails, heard);
        Ok(())
    }

    /// Waits until a line has become so; `false` when the next line came first.
    async fn follow(
        &mut self,
        line: &Line,
        mails: &Told,
        heard: &Told,
        until: Option<i64>,
    ) -> Result<bool, String> {
        let begun = self.sim.scheduler.now_ms();
        let (mut looks, mut freed) = (0, begun);
        loop {
            let Some(wrong) = self.differs(line, mails, heard).await else { return Ok(true) };
            let now = self.sim.scheduler.now_ms();
            if until.is_some_and(|until| now >= until) {
                return Ok(false);
            }
            if now > begun + PATIENCE_MS {
                return Err(wrong);
            }
            let pause = if looks < OFTEN { LOOK_MS.0 } else { LOOK_MS.1 };
            self.sim.sleep(pause.min(until.map_or(pause, |until| until - now))).await;
            looks += 1;
            freed = self.free(freed).await;
        }
    }

    /// Waits for a moment; what is parked meanwhile does not wait for it.
    async fn wait_until(&mut self, moment: i64) {
        let mut freed = self.sim.scheduler.now_ms();
        loop {
            let left = moment - self.sim.scheduler.now_ms();
            if left <= 0 {
                return;
            }
            self.sim.sleep(left.min(FREE_EVERY_MS)).await;
            freed = self.free(freed).await;
        }
    }

    /// An operator looks after what is parked, now and then; when that was last.
    async fn free(&mut self, last: i64) -> i64 {
        let now = self.sim.scheduler.now_ms();
        if now < last + FREE_EVERY_MS {
            return last;
        }
        let sim = Arc::clone(&self.sim);
        operations::free_parked(&sim, &mut self.chance).await;
        now
    }

    /// What is not as a line says.
    async fn differs(&mut self, line: &Line, mails: &Told, heard: &Told) -> Option<String> {
        if let Some(id) = self.subscription.clone() {
            let status = self.sim.record().mirrored_status(&self.sim, &id).unwrap_or_default();
            if status != line.status {
                return Some(format!("{id} is mirrored as {status}, and should be {}", line.status));
            }
        }
        let feature = self.life.feature;
        let access = self.access().await?;
        if access != line.access {
            return Some(format!("access to {feature} is {access}, and should be {}", line.access));
        }
        mails.differs(&mails_sent(&self.sim)).or_else(|| heard.differs(&heard_by_app(&self.sim)))
    }

    /// What a node says now; an empty word when nobody answers.
    async fn access(&mut self) -> Option<String> {
        let feature = self.life.feature;
        let said = self
            .sim
            .call(self.chance.draw(), move |engine| async move { engine.check(&buyer_id(0), feature).await });
        let said = match said.await {
            Some(Ok(said)) => said,
            Some(Err(_)) | None => return Some(String::new()),
        };
        Some(said.access.filter(|_| said.allowed).map_or("revoked", |access| access.as_str()).to_owned())
    }

    /// Reads end access by themselves: whatever was delivered, as soon as every clock agrees that it is over.
    async fn ended_by_itself(&mut self) -> Result<(), String> {
        self.sim.sleep(MOST_SKEW_MS).await;
        match self.access().await.as_deref() {
            Some("granted" | "grace") => Err("access is still given".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    /// Asks a node until it says that it is done.
    async fn ask<T, F, Fut>(&mut self, what: &str, work: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: Fn(Engine) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let begun = self.sim.scheduler.now_ms();
        let (mut refused, mut freed) = (String::from("nobody answers"), begun);
        while self.sim.scheduler.now_ms() < begun + PATIENCE_MS {
            self.sim.record().asked(&buyer_id(0));
            match self.sim.call(self.chance.draw(), work.clone()).await {
                Some(Ok(done)) => return Ok(done),
                Some(Err(problem)) => {
                    self.sim.tell("life", format_args!("{what}: {}", problem.code.as_str()));
                    refused = problem.to_string();
                }
                None => self.sim.tell("life", format_args!("{what}: no answer")),
            }
            let pause = self.chance.between(SECOND_MS, LOOK_MS.1);
            self.sim.sleep(pause).await;
            freed = self.free(freed).await;
        }
        Err(format!("{what}: {refused}"))
    }

    /// Waits until our side has what the provider has, and has told it.
    async fn until_we_know(&mut self) -> Result<(), String> {
        let begun = self.sim.scheduler.now_ms();
        let mut freed = begun;
        loop {
            let differs = self.sim.record().lags(&self.sim, &buyer_id(0));
            let Some(differs) = differs else { return Ok(()) };
            if self.sim.scheduler.now_ms() > begun + PATIENCE_MS {
                return Err(differs);
            }
            self.sim.sleep(LOOK_MS.1).await;
            freed = self.free(freed).await;
        }
    }

    fn at_provider(&self) -> Option<CustomerLedger> {
        let ours = |c: &CustomerLedger| c.metadata.get("quittance_customer") == Some(&buyer_id(0));
        self.sim.sandbox.ledger().customers.into_iter().find(ours)
    }

    fn post(&self, path: &str, form: &str) -> Result<serde_json::Value, String> {
        let answer = self.sim.dashboard("POST", path, form);
        let value = answer.value();
        if answer.status == 200 { Ok(value) } else { Err(format!("{path} is refused: {value}")) }
    }

    async fn act(&mut self, what: &str) -> Result<(), String> {
        let card = match what {
            "card stops working" => Some("pm_card_chargeCustomerFail"),
            "card that asks" => Some("pm_card_authenticationRequired"),
            "new card" => Some("pm_card_visa"),
            _ => None,
        };
        // A card fails whether or not anybody knows anything.
        if let Some(card) = card {
            return self.use_card(card);
        }
        self.until_we_know().await?;
        match what {
            "buys pro" => self.buy("pro", "month", "pm_card_visa").await,
            "buys pro for a year" => self.buy("pro", "year", "pm_card_visa").await,
            "buys the course" => self.buy("course", "once", "pm_card_visa").await,
            "buys without return" => self.buy("course", "once", "pm_card_refundFail").await,
            "buys at a store" => self.buy("course", "once", "pm_konbini").await,
            "pays there" => self.settle_payment("success"),
            "does not pay there" => self.settle_payment("failure"),
            "card runs out soon" => self.card_runs_out(),
            "announces terms" => self.announce(NoticeKind::TermsChanging, 40, None).await,
            "announces a price" => {
                let dearer = self.dearer_price()?;
                self.announce(NoticeKind::PriceChanging, 60, Some(dearer)).await
            }
            "is kept when unpaid" => self.keep_unpaid(),
            "pays what is owed" => self.pay_what_is_owed().await,
            "gets half back" => self.give_back("&amount=6000"),
            "gets it all back" => self.give_back(""),
            "pays the invoice" => {
                let found = self.at_provider().and_then(|c| c.subscriptions.first()?.latest_invoice.clone());
                self.post(&format!("/v1/invoices/{}/pay", found.unwrap_or_default()), "").map(drop)
            }
            "confirms" => self.confirm().await,
            other => self.order(other).await,
        }
    }

    /// What is asked of us under a key, which makes it one wish however often it is asked.
    async fn order(&mut self, what: &str) -> Result<(), String> {
        let to =
            |plan: &str, when| Change { plan: Some(plan.to_owned()), when: Some(when), ..Change::default() };
        let change = match what {
            "upgrades to studio" => Some(to("studio", When::Now)),
            "plans pro" => Some(to("pro", When::PeriodEnd)),
            "takes three" => Some(Change { quantity: Some(3), ..Change::default() }),
            _ => None,
        };
        self.acts += 1;
        let (id, key) =
            (self.subscription.clone().unwrap_or_default(), format!("{} {}", self.life.name, self.acts));
        let wish = what.to_owned();
        self.ask(what, move |engine| {
            let (id, key, change, wish) = (id.clone(), key.clone(), change.clone(), wish.clone());
            async move {
                let key = Some(key.as_str());
                let done = match (change, wish.as_str()) {
                    (Some(change), _) => engine.change_subscription(&id, &change, key).await,
                    (None, "undoes the plan") => engine.undo_change(&id, key).await,
                    (None, "pauses") => engine.pause_subscription(&id, None, key).await,
                    (None, "resumes") => engine.resume_subscription(&id, key).await,
                    (None, "cancels") => engine.cancel_subscription(&id, CancelAt::PeriodEnd, key).await,
                    (None, "cancels now") => engine.cancel_subscription(&id, CancelAt::Now, key).await,
                    (None, _) => Err(Problem::not_found("word")),
                };
                done.map(drop)
            }
        })
        .await
    }

    async fn buy(&mut self, plan: &str, interval: &str, method: &str) -> Result<(), String> {
        let customer = CustomerId::parse(&buyer_id(0)).map_err(|error| error.to_string())?;
        let wish = NewCheckout {
            customer,
            plan: plan.to_owned(),
            interval: Some(interval.to_owned()),
            quantity: None,
            currency: Some("jpy".to_owned()),
            promotion_code: None,
            channel: None,
            success_url: None,
            cancel_url: None,
            starts_after: None,
            ui: CheckoutUi::Hosted,
            reference: None,
            idempotency: None,
            client_ip: None,
        };
        let begun = self.sim.scheduler.now_ms();
        while self.sim.scheduler.now_ms() < begun + PATIENCE_MS {
            self.acts += 1;
            let (wish, key) = (wish.clone(), format!("{} {}", self.life.name, self.acts));
            let session = self
                .ask("opens a checkout", move |engine| {
                    checkout_under_key(engine, Some(key.clone()), wish.clone())
                })
                .await?;
            let paid = self.sim.sandbox.complete_checkout(&session, method);
            self.sim.provider_has_changed();
            if matches!(paid, Ok(CheckoutOutcome::Complete { .. })) {
                let bought = self.at_provider().and_then(|c| c.subscriptions.first().cloned());
                // The provider's own second, from which trial and periods count.
                let created = bought.as_ref().map_or_else(|| self.sim.sandbox.now(), |s| s.created);
                self.born_s.get_or_insert(created);
                self.subscription = bought.map(|s| s.id);
                return Ok(());
            }
            // It has run out meanwhile: another one.
            self.sim.sleep(LOOK_MS.1).await;
        }
        Err("nothing could be bought".to_owned())
    }

    fn use_card(&self, card: &str) -> Result<(), String> {
        let Some(customer) = self.at_provider() else { return Err("the provider knows nobody".to_owned()) };
        let attach = format!("customer={}", customer.customer);
        let method = self.post(&format!("/v1/payment_methods/{card}/attach"), &attach)?;
        let method = method.get("id").and_then(serde_json::Value::as_str).unwrap_or_default();
        let form = format!("invoice_settings[default_payment_method]={method}");
        self.post(&format!("/v1/customers/{}", customer.customer), &form)?;
        for subscription in &customer.subscriptions {
            let form = format!("default_payment_method={method}");
            self.post(&format!("/v1/subscriptions/{}", subscription.id), &form)?;
        }
        Ok(())
    }

    fn give_back(&self, part: &str) -> Result<(), String> {
        let charge = self.at_provider().and_then(|c| c.charges.into_iter().find(|charge| charge.paid));
        let intent = charge.map(|charge| charge.payment_intent).unwrap_or_default();
        let made = self.post("/v1/refunds", &format!("payment_intent={intent}{part}"))?;
        if let Some(id) = made.get("id").and_then(serde_json::Value::as_str) {
            self.sim.record().refunds.made_elsewhere(id.to_owned());
        }
        Ok(())
    }

    /// The store tells the provider what became of the newest purchase.
    fn settle_payment(&self, outcome: &str) -> Result<(), String> {
        let intents = self.at_provider().into_iter().flat_map(|c| c.sessions);
        let newest = intents.filter_map(|session| session.payment_intent).next_back().unwrap_or_default();
        self.control(
            "POST",
            &format!("/_sandbox/payment_intents/{newest}/settle"),
            &json!({ "outcome": outcome }),
        )
    }

    /// Whoever does not pay keeps the subscription.
    fn keep_unpaid(&self) -> Result<(), String> {
        self.control("PUT", "/_sandbox/settings", &json!({ "on_exhaustion": "unpaid" }))
    }

    fn control(&self, method: &str, path: &str, body: &serde_json::Value) -> Result<(), String> {
        let mut request = HttpRequest::new(method, path, "", "");
        request.body = body.to_string().into_bytes();
        let answer = self.sim.sandbox.handle(request);
        self.sim.provider_has_changed();
        if answer.status == 200 { Ok(()) } else { Err(format!("{path} is refused: {}", answer.value())) }
    }

    /// In the third month from now.
    fn card_runs_out(&self) -> Result<(), String> {
        let now = Timestamp::from_seconds(self.sim.sandbox.now()).to_string();
        let part = |at: std::ops::Range<usize>| now.get(at).and_then(|text| text.parse::<u32>().ok());
        let (Some(year), Some(month)) = (part(0..4), part(5..7)) else { return Err(now) };
        let (year, month) = if month > 9 { (year + 1, month - 9) } else { (year, month + 3) };
        let path = format!("/v1/subscriptions/{}", self.subscription.as_deref().unwrap_or_default());
        let found = self.sim.dashboard("GET", &path, "").value();
        let method = found.get("default_payment_method").and_then(serde_json::Value::as_str);
        let form = format!("card[exp_month]={month}&card[exp_year]={year}");
        self.post(&format!("/v1/payment_methods/{}", method.unwrap_or_default()), &form).map(drop)
    }

    fn dearer_price(&self) -> Result<String, String> {
        let found = self.sim.dashboard("GET", "/v1/prices", "lookup_keys[]=pro_year_jpy").value();
        let product = found.pointer("/data/0/product").and_then(serde_json::Value::as_str);
        let form = format!(
            "product={}&currency=jpy&unit_amount=24800&recurring[interval]=year",
            product.unwrap_or_default()
        );
        let made = self.post("/v1/prices", &form)?;
        Ok(made.get("id").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned())
    }

    async fn announce(
        &mut self,
        kind: NoticeKind,
        days: i64,
        new_price: Option<String>,
    ) -> Result<(), String> {
        let new = NewAnnouncement {
            id: kind.as_str().to_owned(),
            kind,
            plan: Some("pro".to_owned()),
            effective_at: Timestamp::from_ms(self.sim.scheduler.now_ms() + days * DAY_MS),
            new_price,
            url: Some("https://app.example/terms".to_owned()),
        };
        self.ask(kind.as_str(), move |engine| {
            let new = new.clone();
            async move { engine.announce(&new, "an operator").await.map(drop) }
        })
        .await
    }

    /// The page behind the link of the letter; the rest of its address.
    async fn page_to_pay(&mut self) -> Result<String, String> {
        let customer = CustomerId::parse(&buyer_id(0)).map_err(|error| error.to_string())?;
        let way = self
            .ask("wants to pay", move |engine| {
                let customer = customer.clone();
                async move { engine.way_to_pay(&customer, None).await }
            })
            .await?;
        let WayToPay::Page(url) = way else { return Err(format!("there is no page to pay at: {way:?}")) };
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
        Ok(path.unwrap_or_default().to_owned())
    }

    /// Where a page leads to.
    fn page(&self, method: &str, path: &str, form: &str) -> Result<String, String> {
        let answer = self.sim.sandbox.handle(HttpRequest::new(method, path, "", form));
        self.sim.provider_has_changed();
        let to = answer.header_value("location").map(str::to_owned);
        to.ok_or_else(|| format!("{path}: {}", answer.status))
    }

    async fn pay_what_is_owed(&mut self) -> Result<(), String> {
        let page = self.page_to_pay().await?;
        self.page("POST", &page, "use=saved").map(drop)
    }

    /// The link of the letter, then the bank's page.
    async fn confirm(&mut self) -> Result<(), String> {
        let page = self.page_to_pay().await?;
        let bank = self.page("GET", &page, "")?;
        self.page("POST", &bank, "outcome=success").map(drop)
    }
}

fn counted(words: impl Iterator<Item = String>) -> Counted {
    words.fold(Counted::new(), |mut all, word| {
        *all.entry(word).or_default() += 1;
        all
    })
}

/// The mails that arrived.
pub(crate) fn mails_sent(sim: &Sim) -> Counted {
    counted(sim.arrived().mails.iter().map(|kind| mail_word(kind.as_str()).to_owned()))
}

/// What the app heard.
pub(crate) fn heard_by_app(sim: &Sim) -> Counted {
    let app = sim.app();
    counted(app.order.iter().filter_map(|id| app.heard.get(id)).flat_map(|heard| heard_words(&heard.value)))
}
