//! The story, a function for each step. Each says what came in, what was done, and checks that it was right.

use quittance_domain::access::Standing;
use quittance_domain::{CheckoutId, Timestamp};
use quittance_engine::commands::request::CancelAt;
use quittance_engine::subscriptions::Change;
use quittance_sandbox::DeliveryPolicy;
use serde_json::json;

use super::stage::{Counts, DAY, FEATURE, HOUR, Stage, text};
use super::tell::{Check, Step, Teller};
use crate::cli::out;
use crate::dev::SANDBOX_KEY;
use crate::failure::Failure;

const HANA: &str = "hana";
const KEN: &str = "ken";
const BOTH: [&str; 2] = [HANA, KEN];

/// The story.
pub(super) struct Story {
    stage: Stage,
    teller: Teller,
    began: Timestamp,
    before: Counts,
    subscription: String,
}

fn check(what: impl Into<String>, holds: bool) -> Check {
    Check { what: what.into(), holds }
}

impl Story {
    pub(super) fn new(stage: Stage, teller: Teller) -> Self {
        let began = stage.engine.now();
        Self { stage, teller, began, before: Counts::default(), subscription: String::new() }
    }

    /// Plays everything; answers what failed.
    pub(super) async fn play(mut self) -> Result<Vec<String>, Failure> {
        self.retry_sooner();
        self.subscribe().await?;
        self.renew().await?;
        let end = self.card_fails().await?;
        self.retries_do_not_move_it(end).await?;
        self.recover().await?;
        self.change_plan().await?;
        self.second_tab().await?;
        self.cancel().await?;
        self.close().await
    }

    async fn tell(
        &mut self,
        title: &str,
        did: Vec<String>,
        access: String,
        mut checks: Vec<Check>,
    ) -> Result<(), Failure> {
        self.stage.compare(&BOTH).await?;
        let total = self.stage.counts(&BOTH).await?;
        let counts = total.since(&self.before);
        self.before = total;
        checks.push(check("the answer was right at every look", counts.wrong == 0));
        let day = self.stage.engine.now().since(self.began) / (DAY * 1_000);
        self.teller.tell(Step { title: title.to_owned(), day, did, access, counts, checks }).await;
        Ok(())
    }

    async fn allowed(&self, customer: &str, feature: &str) -> Result<bool, Failure> {
        Ok(self.stage.engine.check(customer, feature).await?.allowed)
    }

    async fn access(&self, customer: &str) -> Result<String, Failure> {
        let answer = self.stage.engine.check(customer, FEATURE).await?;
        let word = answer.access.map_or("none", quittance_domain::Access::as_str);
        let yes = if answer.allowed { "yes" } else { "no" };
        let plan = answer.plan.map_or_else(String::new, |plan| format!(" by {plan}"));
        let end =
            answer.expires_at.map_or_else(String::new, |at| format!(", to {} unless renewed", out::time(at)));
        Ok(format!("{customer}: {word}; {FEATURE} {yes}{plan}{end}"))
    }

    async fn standing(&self) -> Result<Standing, Failure> {
        Ok(self.stage.engine.subscription(&self.subscription).await?.subscription.standing)
    }

    async fn paid_charges(&self, customer: &str) -> Result<usize, Failure> {
        Ok(self.stage.ledger(customer).await?.charges.iter().filter(|charge| charge.paid).count())
    }

    /// The demo's provider tries a failed card again after 1, 2 and 2 days, so that several tries fit into the grace.
    fn retry_sooner(&self) {
        let mut request = quittance_sandbox::HttpRequest::new("PUT", "/_sandbox/settings", SANDBOX_KEY, "");
        request.body = json!({ "retry_days": [1, 2, 2, 20] }).to_string().into_bytes();
        // Refused, the step about retries says so.
        let _answer = self.stage.sandbox.handle(request);
    }

    async fn subscribe(&mut self) -> Result<(), Failure> {
        self.stage.engine.put_customer(&super::stage::id(HANA)?, Default::default()).await?;
        let before = self.allowed(HANA, FEATURE).await?;
        let row = self.stage.checkout(HANA).await?;
        // Opening the page is told as well; what is counted below is the payment.
        self.stage.settle().await?;
        self.before = self.stage.counts(&BOTH).await?;
        self.stage.pay(row.session.as_deref().unwrap_or_default(), "pm_card_visa")?;
        self.stage.settle().await?;
        let view = self.stage.engine.customer(HANA).await?;
        self.subscription =
            view.subscriptions.first().map(|row| row.subscription.facts.id.clone()).unwrap_or_default();
        let lines = self.stage.engine.timeline(HANA, i64::MAX, 100).await?;
        let changes = lines.iter().filter(|line| line.kind == "access.changed").count();
        let checks = vec![
            check("no access before paying", !before),
            check("access after paying", self.allowed(HANA, FEATURE).await?),
            check("charged once", self.paid_charges(HANA).await? == 1),
            check("one change of access, however often it was told", changes == 1),
            check("the checkout is complete", self.stage.is_complete(&row).await?),
        ];
        let access = self.access(HANA).await?;
        self.tell("Hana subscribes to Pro, 1,980 JPY a month", Vec::new(), access, checks).await
    }

    async fn renew(&mut self) -> Result<(), Failure> {
        self.stage.live(30, &BOTH).await?;
        let checks = vec![
            check("charged a second time, for the second month", self.paid_charges(HANA).await? == 2),
            check("access without a gap", self.allowed(HANA, FEATURE).await?),
        ];
        let access = self.access(HANA).await?;
        self.tell("The month ends and renews", Vec::new(), access, checks).await
    }

    async fn card_fails(&mut self) -> Result<Timestamp, Failure> {
        let buyer = self.stage.buyer(HANA).await?;
        self.stage.change_card(&buyer, &self.subscription, "pm_card_chargeCustomerFail")?;
        self.stage.settle().await?;
        let mut days = 0;
        while self.status().await? != "past_due" && days < 40 {
            self.stage.live(1, &[]).await?;
            days += 1;
        }
        let end = self.stage.note_grace(HANA).await?;
        let stored = self.standing().await?;
        let checks = vec![
            check("the provider says past_due", self.status().await? == "past_due"),
            check("access stays, as grace", self.allowed(HANA, FEATURE).await?),
            check(
                "grace ends seven days after the provider's own record of the failure",
                matches!(stored, Standing::Grace { until, .. } if until == end),
            ),
        ];
        let access = self.access(HANA).await?;
        let did = vec![format!("grace until {}, fixed", out::time(end))];
        self.tell("The renewal's card is declined", did, access, checks).await?;
        Ok(end)
    }

    async fn status(&self) -> Result<String, Failure> {
        let row = self.stage.engine.subscription(&self.subscription).await?;
        Ok(row.subscription.facts.status.as_str().to_owned())
    }

    async fn retries_do_not_move_it(&mut self, end: Timestamp) -> Result<(), Failure> {
        let failures = |ledger: &quittance_sandbox::CustomerLedger| {
            ledger.charges.iter().filter(|charge| !charge.paid).count()
        };
        let before = failures(&self.stage.ledger(HANA).await?);
        let mut moved = false;
        for _ in 0..5 {
            self.stage.live(1, &BOTH).await?;
            moved |= !matches!(self.standing().await?, Standing::Grace { until, .. } if until == end);
        }
        let tries = failures(&self.stage.ledger(HANA).await?) - before;
        let checks = vec![
            check(format!("{tries} more tries were declined"), tries >= 2),
            check("and the end of grace did not move", !moved),
            check("nothing was charged", self.paid_charges(HANA).await? == 2),
        ];
        let access = self.access(HANA).await?;
        self.tell("The provider tries the card again and again", Vec::new(), access, checks).await
    }

    async fn recover(&mut self) -> Result<(), Failure> {
        let buyer = self.stage.buyer(HANA).await?;
        self.stage.change_card(&buyer, &self.subscription, "pm_card_visa")?;
        let invoices = self.stage.ledger(HANA).await?.invoices;
        let open = invoices.iter().find(|invoice| invoice.status == "open").map(|invoice| invoice.id.clone());
        self.stage.provider("POST", &format!("/v1/invoices/{}/pay", open.unwrap_or_default()), "")?;
        self.stage.settle().await?;
        let checks = vec![
            check("granted again", matches!(self.standing().await?, Standing::Granted { .. })),
            check("the open invoice is paid, once", self.paid_charges(HANA).await? == 3),
        ];
        let access = self.access(HANA).await?;
        self.tell("Hana enters another card and pays", Vec::new(), access, checks).await
    }

    async fn change_plan(&mut self) -> Result<(), Failure> {
        let before = self.allowed(HANA, "review:request").await?;
        let change = Change { plan: Some("studio".to_owned()), ..Change::default() };
        let preview = self.stage.engine.preview_change(&self.subscription, &change).await?;
        self.stage.engine.change_as_quoted(&self.subscription, preview.quote.as_str()).await?;
        self.stage.settle().await?;
        let seats = self.stage.engine.check(HANA, "team:seats").await?;
        let last = self.stage.ledger(HANA).await?.charges.last().cloned();
        let charged = last.map_or(0, |charge| charge.amount);
        let checks = vec![
            check(
                "review:request was not Hana's before, and is now",
                !before && self.allowed(HANA, "review:request").await?,
            ),
            check("five team seats", seats.limit == Some(5)),
            check(format!("charged {charged} JPY, as the preview said"), charged == preview.due.minor),
            check("still one subscription", self.stage.ledger(HANA).await?.subscriptions.len() == 1),
        ];
        let did = vec![format!("the preview said {} JPY for the rest of the period", preview.due.minor)];
        let access = self.access(HANA).await?;
        self.tell("Hana changes to Studio", did, access, checks).await
    }

    /// A second session for the same wish, as a second tab of an old page or another program would open it.
    async fn second_tab(&mut self) -> Result<(), Failure> {
        let first = self.stage.checkout(KEN).await?;
        let again = self.stage.checkout(KEN).await?;
        let session = first.session.clone().unwrap_or_default();
        let opened = self.stage.provider("GET", &format!("/v1/checkout/sessions/{session}"), "")?;
        let buyer = text(&opened, "customer");
        let prices = self.stage.provider("GET", "/v1/prices", "lookup_keys[]=pro_month_jpy")?;
        let price = prices.pointer("/data/0/id").and_then(serde_json::Value::as_str).unwrap_or_default();
        let other = CheckoutId::derived(&["demo", "second tab"]);
        let second = self.stage.provider(
            "POST",
            "/v1/checkout/sessions",
            &format!(
                "mode=subscription&customer={buyer}&line_items[0][price]={price}&line_items[0][quantity]=1\
                 &success_url=http://127.0.0.1/ok&subscription_data[metadata][quittance_checkout]={other}"
            ),
        )?;
        self.stage.pay(&session, "pm_card_visa")?;
        self.stage.pass(2);
        self.stage.pay(&text(&second, "id"), "pm_card_visa")?;
        self.stage.settle().await?;
        let ledger = self.stage.ledger(KEN).await?;
        let live = ledger.subscriptions.iter().filter(|subscription| subscription.status == "active").count();
        let alerts = self.stage.engine.alerts(true, i64::MAX, 50).await?;
        let checks = vec![
            check("asking twice through Quittance opens one session", first.session == again.session),
            check(
                "one subscription is kept, the other is cancelled",
                (ledger.subscriptions.len(), live) == (2, 1),
            ),
            check(
                "one payment went back, once and in full",
                ledger.refunds.len() == 1 && ledger.refunds.iter().all(|refund| refund.amount == 1_980),
            ),
            check(
                "the operators are told",
                alerts.iter().any(|alert| alert.kind == "duplicate_subscription"),
            ),
            check("Ken has access", self.allowed(KEN, FEATURE).await?),
        ];
        let did = vec!["1 subscription cancelled, 1,980 JPY refunded, 1 alert".to_owned()];
        let access = self.access(KEN).await?;
        self.tell("Ken pays in two tabs", did, access, checks).await
    }

    async fn cancel(&mut self) -> Result<(), Failure> {
        let row =
            self.stage.engine.cancel_subscription(&self.subscription, CancelAt::PeriodEnd, None).await?;
        self.stage.settle().await?;
        let stays = self.allowed(HANA, FEATURE).await?;
        let end = self.standing().await?.until().unwrap_or(row.subscription.facts.created_at);
        // From here on nobody tells us anything: access has its end written beside it.
        let silence = DeliveryPolicy { drop: 1.0, ..DeliveryPolicy::default() };
        self.stage.sandbox.set_delivery_policy(silence).map_err(|error| {
            Failure::problem("demo", error.to_string(), "This is a defect: please report it.")
        })?;
        let seconds = end.since(self.stage.engine.now()) / 1_000;
        self.stage.pass(seconds - HOUR);
        self.stage.compare(&BOTH).await?;
        let left = end.since(self.stage.engine.now());
        self.stage.pass(left / 1_000 - 1);
        let just_before = self.allowed(HANA, FEATURE).await?;
        let (before, until) = (self.stage.engine.now(), end);
        self.stage.pass(2);
        let just_after = self.allowed(HANA, FEATURE).await?;
        let checks = vec![
            check("access stays after the cancellation", stays),
            check(
                format!("a second before the end ({}): yes", out::time(before)),
                just_before && before < until,
            ),
            check(
                format!(
                    "a second after it ({}): no, though nothing came in",
                    out::time(self.stage.engine.now())
                ),
                !just_after,
            ),
            check("nothing more was charged", self.paid_charges(HANA).await? == 4),
        ];
        let did = vec![format!("access ends by itself at {}", out::time(end))];
        let access = self.access(HANA).await?;
        self.tell("Hana cancels at the end of the period; then every webhook is lost", did, access, checks)
            .await
    }

    async fn close(mut self) -> Result<Vec<String>, Failure> {
        let total = self.stage.counts(&BOTH).await?;
        let doubles = self.double_charges().await?;
        if doubles > 0 {
            self.teller.failed.push(format!("{doubles} double charges"));
        }
        if total.refused > 0 {
            self.teller.failed.push(format!("{} webhooks were refused", total.refused));
        }
        self.teller.close(&total, doubles);
        Ok(self.teller.failed)
    }

    /// Payments that were kept beyond one per invoice and beyond one live subscription per customer.
    async fn double_charges(&self) -> Result<usize, Failure> {
        let mut doubles = 0;
        for customer in BOTH {
            let ledger = self.stage.ledger(customer).await?;
            let kept =
                ledger.charges.iter().filter(|charge| charge.paid && charge.amount_refunded < charge.amount);
            let mut invoices: Vec<Option<&String>> =
                kept.clone().map(|charge| charge.invoice.as_ref()).collect();
            let all = invoices.len();
            invoices.sort();
            invoices.dedup();
            doubles += all - invoices.len();
            let live =
                ledger.subscriptions.iter().filter(|subscription| subscription.status == "active").count();
            doubles += live.saturating_sub(1);
        }
        Ok(doubles)
    }
}
