//! What a buyer does with a subscription after the first payment, in another tab: asks what a change costs and makes it
//! or not, in time or too late; takes back what is planned; pauses, resumes, cancels with a reason, and pays late.

use std::sync::Arc;

use futures_util::future::join;
use quittance_domain::Timestamp;
use quittance_domain::change::When;
use quittance_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use quittance_engine::Engine;
use quittance_engine::commands::request::{CancelAt, Feedback};
use quittance_engine::quotes::Preview;
use quittance_engine::subscriptions::{Change, Ending};
use serde_json::Value;

use crate::actors::{Buyer, is_final};
use crate::changes::{Quoted, Said};
use crate::gifts::Known;
use crate::sim::Sim;

/// How often a quote is used again whose answer was lost.
const TRIES: usize = 4;

/// Lives the later life of a buyer's subscriptions until the run is over.
pub async fn subscriber(sim: Arc<Sim>, index: usize) {
    let mut tab = Buyer::new(&sim, index, "subscriber");
    sim.app_is_ready().await;
    loop {
        let most = (sim.plan.length_ms / 10).max(2 * HOUR_MS);
        let wait = tab.chance.between(HOUR_MS, most);
        sim.sleep(wait).await;
        if sim.is_over() {
            return;
        }
        match tab.chance.below(100) {
            0..=34 => tab.change_as_quoted().await,
            35..=49 => tab.undo().await,
            50..=59 => tab.pause().await,
            60..=67 => tab.resume().await,
            68..=75 => tab.leave().await,
            76..=87 => tab.pay_late(),
            _ => tab.renew_card(),
        }
    }
}

impl Buyer {
    fn drawn_change(&mut self) -> Change {
        let some = |buyer: &mut Self, words: &[&str]| buyer.chance.pick(words).map(|word| (*word).to_owned());
        let plan = if self.chance.per_mille(600) { some(self, &["pro", "studio"]) } else { None };
        let interval = if self.chance.per_mille(300) { some(self, &["month", "year"]) } else { None };
        let quantity = self.chance.per_mille(400).then(|| self.chance.between(1, 4));
        let when = match self.chance.below(6) {
            0 => Some(When::Now),
            1 => Some(When::PeriodEnd),
            _ => None,
        };
        Change { plan, interval, quantity, when, ..Change::default() }
    }

    async fn change_as_quoted(&mut self) {
        let Some(id) = self.mirrored().await else { return };
        let change = self.drawn_change();
        let (subscription, wish) = (id.clone(), change.clone());
        let seen = self.sim.call(self.chance.draw(), move |engine| async move {
            engine.preview_change(&subscription, &wish).await
        });
        let preview = match seen.await {
            Some(Ok(preview)) => preview,
            Some(Err(problem)) => {
                return self.report(&format!("asks what {id} would cost"), Some(Err(problem)));
            }
            None => return,
        };
        self.sim.tell(
            &self.id,
            format_args!("{id} to {change:?} would cost {:?} ({:?})", preview.due, preview.when),
        );
        let wait = match self.chance.below(6) {
            0 => 0,
            1..=3 => self.chance.between(SECOND_MS, 5 * MINUTE_MS),
            4 => self.chance.between(5 * MINUTE_MS, HOUR_MS),
            _ => self.chance.between(HOUR_MS, DAY_MS),
        };
        self.sim.sleep(wait).await;
        if self.chance.per_mille(150) {
            self.change_beside(&id);
        }
        if self.chance.per_mille(150) {
            // Thought better of it.
            return;
        }
        let Some(said) = self.sim.record().said(&self.sim, &preview.quote) else { return };
        let begun = self.sim.record().changes.touch(&id);
        let quoted = Quoted::new(&id, &preview, said.clone());
        let number = self.sim.record().changes.quoted(quoted);
        let twice = self.chance.per_mille(200);
        let known = if twice {
            let (one, other) = join(self.use_quote(&id, &preview, 0), self.use_quote(&id, &preview, 1)).await;
            if matches!((one, other), (Known::Yes, Known::No) | (Known::No, Known::Yes)) {
                let detail = format!("{} was made and refused, to one who clicked twice", preview.quote);
                self.sim.record().violation("I8", detail);
            }
            match (one, other) {
                (Known::Yes, _) | (_, Known::Yes) => Known::Yes,
                (Known::No, Known::No) => Known::No,
                (Known::Maybe, _) | (_, Known::Maybe) => Known::Maybe,
            }
        } else {
            self.use_quote(&id, &preview, 0).await
        };
        self.sim.tell(&self.id, format_args!("takes {} for {id}: {known:?}", preview.quote));
        self.sim.record().changes.ended(number, known);
        let alone = self.sim.record().changes.alone(&id, begun) && !twice;
        if known == Known::Yes && alone && preview.when == When::PeriodEnd {
            self.is_planned(&id, &said, preview.at);
        }
        self.sim.record().changes.left(&id, known == Known::Maybe);
    }

    /// Somebody at the provider changes how many it is, at once and for nothing.
    fn change_beside(&mut self, id: &str) {
        let found = self.sim.dashboard("GET", &format!("/v1/subscriptions/{id}"), "").value();
        let item = found.pointer("/items/data/0/id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let quantity = self.chance.between(1, 6);
        let form = format!("items[0][id]={item}&items[0][quantity]={quantity}&proration_behavior=none");
        let done = self.sim.dashboard("POST", &format!("/v1/subscriptions/{id}"), &form);
        self.sim.tell("dashboard", format_args!("makes {id} {quantity} units: {}", done.status));
    }

    /// Uses a quote, again while nobody answers: it is its own key.
    fn use_quote(
        &mut self,
        id: &str,
        preview: &Preview,
        lane: u64,
    ) -> impl Future<Output = Known> + Send + 'static {
        let (sim, id, quote) = (Arc::clone(&self.sim), id.to_owned(), preview.quote.to_string());
        let buyer = self.id.clone();
        let mut chance = self.lane(lane);
        async move {
            for _ in 0..TRIES {
                sim.record().asked(&buyer);
                let (subscription, quote) = (id.clone(), quote.clone());
                let answer = sim.call(chance.draw(), move |engine: Engine| async move {
                    engine.change_as_quoted(&subscription, &quote).await.map(drop)
                });
                match answer.await {
                    Some(Ok(())) => return Known::Yes,
                    Some(Err(problem)) if is_final(&problem) => {
                        sim.tell(&id, format_args!("is not changed: {}", problem.code.as_str()));
                        return Known::No;
                    }
                    Some(Err(_)) | None => sim.sleep(chance.between(SECOND_MS, 2 * MINUTE_MS)).await,
                }
            }
            Known::Maybe
        }
    }

    /// What was promised for the period's end is planned at the provider, when nobody else touched it.
    fn is_planned(&self, id: &str, said: &Said, at: Option<Timestamp>) {
        let found = self.sim.dashboard("GET", &format!("/v1/subscriptions/{id}"), "").value();
        let now = self.sim.scheduler.now_ms();
        let runs =
            matches!(found.get("status").and_then(Value::as_str), Some("active" | "past_due" | "trialing"));
        if !runs || at.is_none_or(|at| at.ms() <= now + MINUTE_MS) {
            return;
        }
        let line = |item: &Value| -> Option<(String, i64)> {
            let price = item.get("price")?;
            let price = price.as_str().or_else(|| price.get("id").and_then(Value::as_str))?;
            Some((price.to_owned(), item.get("quantity")?.as_i64()?))
        };
        let wanted = Some((said.price.clone(), said.quantity));
        let is = found.pointer("/items/data/0").and_then(line);
        let schedule = found.get("schedule").and_then(Value::as_str).unwrap_or_default();
        let plan = self.sim.dashboard("GET", &format!("/v1/subscription_schedules/{schedule}"), "").value();
        let phases = plan.get("phases").and_then(Value::as_array).cloned().unwrap_or_default();
        let planned = phases.last().and_then(|phase| phase.pointer("/items/0")).and_then(line);
        let active = plan.get("status").and_then(Value::as_str) == Some("active");
        let becomes = if active { planned } else { is.clone() };
        if becomes != wanted {
            let detail = format!("{id} was to become {wanted:?}, and will be {becomes:?}; it is {is:?}");
            self.sim.record().violation("I7", detail);
        }
    }

    /// Takes back what is planned; a schedule whose end was acknowledged is over.
    async fn undo(&mut self) {
        let Some(id) = self.mirrored().await else { return };
        let subscription = id.clone();
        let seen = self
            .sim
            .call(self.chance.draw(), move |engine| async move { engine.subscription(&subscription).await });
        let schedule = match seen.await {
            Some(Ok(row)) => row.subscription.facts.ahead.schedule,
            Some(Err(_)) | None => return,
        };
        let what = format!("takes back what is planned for {id}");
        let subscription = id.clone();
        let done = self.ask(&id, what, move |engine, asked| {
            let id = subscription.clone();
            async move { engine.undo_change(&id, asked.as_deref()).await.map(drop) }
        });
        if done.await == Known::Yes
            && let Some(schedule) = schedule
        {
            let found =
                self.sim.dashboard("GET", &format!("/v1/subscription_schedules/{schedule}"), "").value();
            let status = found.get("status").and_then(Value::as_str).unwrap_or_default();
            if matches!(status, "active" | "not_started") {
                let detail = format!("{schedule} of {id} was taken back, and is {status}");
                self.sim.record().violation("I7", detail);
            }
        }
    }

    async fn pause(&mut self) {
        let Some(id) = self.mirrored().await else { return };
        let now = self.sim.scheduler.now_ms();
        let ends = self.chance.per_mille(500);
        let until = ends.then(|| Timestamp::from_ms(now + self.chance.between(HOUR_MS, 40 * DAY_MS)));
        self.sim.record().suspensions.pauses(&id);
        let subscription = id.clone();
        self.ask(&id, format!("pauses {id} until {until:?}"), move |engine, asked| {
            let id = subscription.clone();
            async move { engine.pause_subscription(&id, until, asked.as_deref()).await.map(drop) }
        })
        .await;
    }

    async fn leave(&mut self) {
        let Some(id) = self.mirrored().await else { return };
        let at = if self.chance.per_mille(800) { CancelAt::PeriodEnd } else { CancelAt::Now };
        let feedback = self.chance.pick(&Feedback::ALL).copied();
        let comment = self.chance.per_mille(500).then(|| "too many mails".to_owned());
        let ending = Ending { at, feedback, comment };
        let subscription = id.clone();
        self.ask(&id, format!("leaves {id}: {ending:?}"), move |engine, asked| {
            let (id, ending) = (subscription.clone(), ending.clone());
            async move { engine.cancel_subscription(&id, ending, asked.as_deref()).await.map(drop) }
        })
        .await;
    }

    /// Pays what is still owed, for what has ended too.
    fn pay_late(&mut self) {
        for customer in self.at_provider() {
            let open: Vec<_> = customer.invoices.iter().filter(|i| i.status == "open").collect();
            let Some(invoice) = self.chance.pick(&open) else { continue };
            let attach = format!("customer={}", customer.customer);
            let card = self.sim.dashboard("POST", "/v1/payment_methods/pm_card_visa/attach", &attach).value();
            let Some(card) = card.get("id").and_then(Value::as_str) else { continue };
            let form = format!("payment_method={card}");
            let paid = self.sim.dashboard("POST", &format!("/v1/invoices/{}/pay", invoice.id), &form);
            self.sim.record().paid_by_hand(&invoice.id, paid.status);
            self.sim.tell(&self.id, format_args!("pays {} late: {}", invoice.id, paid.status));
        }
    }

    /// The bank sends a new card of the same number: it ends in some months.
    fn renew_card(&mut self) {
        for customer in self.at_provider() {
            let form = format!("customer={}&type=card", customer.customer);
            let cards = self.sim.dashboard("GET", "/v1/payment_methods", &form).value();
            let cards = cards.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            let Some(card) = self.chance.pick(&cards).and_then(|card| card.get("id")?.as_str()) else {
                continue;
            };
            let Ok(now) = jiff::Timestamp::from_millisecond(self.sim.scheduler.now_ms()) else { continue };
            let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
            let months = i64::from(day.month()) - 1 + self.chance.between(0, 14);
            let (year, month) = (i64::from(day.year()) + months / 12, months % 12 + 1);
            let form = format!("card[exp_month]={month}&card[exp_year]={year}");
            let done = self.sim.dashboard("POST", &format!("/v1/payment_methods/{card}"), &form);
            self.sim.tell(&self.id, format_args!("has {card} until {year}-{month:02}: {}", done.status));
        }
    }
}
