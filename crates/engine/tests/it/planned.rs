//! What is planned for a period's end, and what a change that cannot be made now does to it: nothing. And changes that must not
//! be made now at all.

use quittance_domain::change::{ChangePolicy, PauseHow, When};
use quittance_domain::fraud::Level;
use quittance_domain::subscription::Subscription;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::subscriptions::Change;
use quittance_engine::{ProblemCode, Settings};
use quittance_store::commands::{self, CommandState};
use serde_json::{Value, json};

use crate::house::{DAY, House, Trouble, customer, on_each, pro};
use crate::known_kit::{
    break_card, failing_subscriber, lines_of, newest_invoice, operator, standing_alerts, text, use_card,
};

const HOUR: i64 = 3_600;

fn units(quantity: i64) -> Change {
    Change { quantity: Some(quantity), when: Some(When::Now), ..Change::default() }
}

fn to(plan: &str) -> Change {
    Change { plan: Some(plan.into()), ..Change::default() }
}

fn charged(h: &House) -> i64 {
    h.sandbox.ledger().customers.iter().flat_map(|c| &c.charges).filter(|c| c.paid).map(|c| c.amount).sum()
}

async fn mirrored(h: &House, id: &str) -> Subscription {
    h.settle().await;
    h.engine.subscription(id).await.unwrap().subscription
}

fn planned(subscription: &Subscription) -> Option<String> {
    subscription.scheduled.as_ref().and_then(|planned| planned.plan.as_ref()).map(ToString::to_string)
}

/// A Studio subscription that becomes Pro with the end of its period, and that end.
async fn studio_then_pro(h: &House) -> (String, i64) {
    let row = h.open(&NewCheckout { plan: "studio".into(), ..pro("ada") }).await;
    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
    h.settle().await;
    h.sandbox.advance_time(10 * DAY);
    let id = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.id.clone();
    h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
    let row = mirrored(h, &id).await;
    assert_eq!(planned(&row).as_deref(), Some("pro"));
    (id, row.facts.period_end().unwrap().seconds())
}

#[tokio::test]
async fn a_declined_change_leaves_what_was_planned() {
    on_each(|h| {
        Box::pin(async move {
            let (id, end) = studio_then_pro(h).await;
            break_card(h, &id);
            let refused = h.engine.change_subscription(&id, &units(2), None).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::PaymentDeclined, "{refused:?}");
            let row = mirrored(h, &id).await;
            assert_eq!(planned(&row).as_deref(), Some("pro"), "plan, period and money are as before");
            use_card(h, &id, "pm_card_visa");
            let paid = charged(h);
            h.sandbox.advance_time(end + 2 * HOUR - h.engine.now().seconds());
            let after = mirrored(h, &id).await;
            assert_eq!(after.plan().unwrap().plan.as_str(), "pro");
            assert_eq!(charged(h) - paid, 1_980, "and Pro is what is charged");
        })
    })
    .await;
}

#[tokio::test]
async fn a_change_that_waits_for_the_bank_leaves_what_was_planned_until_it_is_made() {
    on_each(|h| {
        Box::pin(async move {
            let (id, end) = studio_then_pro(h).await;
            use_card(h, &id, "pm_card_authenticationRequired");
            h.engine.change_subscription(&id, &units(2), None).await.unwrap();
            let waiting = mirrored(h, &id).await;
            assert!(waiting.pending.is_some() && planned(&waiting).as_deref() == Some("pro"), "{waiting:?}");
            // Nobody confirms: it lapses, and what was planned still holds.
            h.sandbox.advance_time(DAY);
            h.settle().await;
            let lapsed = mirrored(h, &id).await;
            assert_eq!((lapsed.pending.as_ref(), planned(&lapsed).as_deref()), (None, Some("pro")));
            assert_eq!(lines_of(h, "ada", "subscription.change_lapsed").await, 1);
            // Asked for again and confirmed, it is what was wanted last.
            h.engine.change_subscription(&id, &units(3), None).await.unwrap();
            h.settle().await;
            let path = format!("/v1/invoices/{}/pay", newest_invoice(h, &id));
            h.provider("POST", &path, "payment_method=pm_card_visa");
            h.settle().await;
            let made = mirrored(h, &id).await;
            assert_eq!(
                (made.plan().unwrap().quantity, made.pending.as_ref(), planned(&made)),
                (3, None, None)
            );
            assert_eq!(made.facts.ahead.schedule, None, "its schedule is released");
            use_card(h, &id, "pm_card_visa");
            h.sandbox.advance_time(end + 2 * HOUR - h.engine.now().seconds());
            let after = mirrored(h, &id).await;
            let held = after.plan().unwrap();
            assert_eq!((held.plan.as_str(), held.quantity), ("studio", 3));
            assert!(standing_alerts(h).await.is_empty());
        })
    })
    .await;
}

/// What the customer was asked to confirm lapsed, and no answer of ours told that they were asked: they are not asked again.
#[tokio::test]
async fn a_change_that_lapsed_unheard_is_not_laid_before_the_customer_again() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            use_card(h, &id, "pm_card_authenticationRequired");
            h.settle().await;
            let asked = |h: &House| {
                let all = h.provider("GET", "/v1/invoices", &format!("subscription={id}"));
                all["data"].as_array().unwrap().len()
            };
            let before = asked(h);
            h.trouble("-link", Trouble::LostAfter, 1);
            h.trouble("-link", Trouble::LostBefore, 1_000);
            h.engine.change_subscription(&id, &units(2), None).await.unwrap_err();
            assert_eq!(asked(h), before + 1, "they were asked");
            // Nobody is up until the provider has forgotten the key.
            h.transport.mend();
            for _ in 0..2 {
                h.sandbox.advance_time(DAY + 2 * HOUR);
                h.settle().await;
            }
            assert_eq!(asked(h), before + 1, "and once only");
            let now = mirrored(h, &id).await;
            assert_eq!((now.plan().unwrap().quantity, now.pending.as_ref()), (1, None));
        })
    })
    .await;
}

/// The small invoice of a change would be taken for the renewal's.
#[tokio::test]
async fn who_owes_a_renewal_pays_it_before_anything_else_costs_money() {
    on_each(|h| {
        Box::pin(async move {
            let id = failing_subscriber(h, "ada").await;
            use_card(h, &id, "pm_card_visa");
            h.settle().await;
            let paid = charged(h);
            for wanted in [units(2), Change { when: Some(When::Now), ..to("studio") }] {
                let refused = h.engine.change_subscription(&id, &wanted, None).await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::PaymentOwed, "{refused:?}");
                assert!(refused.mend.contains("payment_issue"), "it says where to pay: {refused:?}");
                let quoted = h.engine.preview_change(&id, &wanted).await.unwrap_err();
                assert_eq!(quoted.code, ProblemCode::PaymentOwed);
            }
            assert_eq!(charged(h), paid);
            assert_eq!(mirrored(h, &id).await.facts.status.as_str(), "past_due");
            h.provider("POST", &format!("/v1/invoices/{}/pay", newest_invoice(h, &id)), "");
            h.settle().await;
            h.engine.change_subscription(&id, &units(2), None).await.unwrap();
            assert_eq!(mirrored(h, &id).await.plan().unwrap().quantity, 2);
        })
    })
    .await;
}

#[tokio::test]
async fn who_owes_a_renewal_can_still_leave() {
    on_each(|h| {
        Box::pin(async move {
            use quittance_engine::commands::request::CancelAt;
            let id = failing_subscriber(h, "ada").await;
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            assert!(mirrored(h, &id).await.facts.ends_at().is_some());
            h.engine.cancel_subscription(&id, CancelAt::Now, None).await.unwrap();
            assert!(mirrored(h, &id).await.facts.status.is_final());
        })
    })
    .await;
}

/// A quote that was made before somebody was shut out is no way around it, and neither is a plan.
#[tokio::test]
async fn nothing_is_changed_for_somebody_who_is_shut_out_meanwhile() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&NewCheckout { plan: "studio".into(), ..pro("ada") }).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let id = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.id.clone();
            let later = h.engine.preview_change(&id, &to("pro")).await.unwrap();
            assert_eq!(later.when, When::PeriodEnd);
            // Written down before, sent after: the command itself must look.
            let gate = h.hold_point(quittance_engine::world::Point::CommandWanted);
            let (engine, asked) = (h.engine.clone(), id.clone());
            let change = tokio::spawn(async move {
                let wanted = Change { when: Some(When::PeriodEnd), ..to("pro") };
                engine.change_subscription(&asked, &wanted, None).await
            });
            gate.reached().await;
            h.release_point(quittance_engine::world::Point::CommandWanted);
            h.engine.suspend(&customer("ada"), Level::All, "stolen card", &operator()).await.unwrap();
            gate.open();
            let held = change.await.unwrap().unwrap_err();
            assert_eq!(held.code, ProblemCode::CustomerSuspended, "{held:?}");
            let quoted = h.engine.change_as_quoted(&id, later.quote.as_str()).await.unwrap_err();
            assert_eq!(quoted.code, ProblemCode::CustomerSuspended, "{quoted:?}");
            let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
            assert!(found["schedule"].is_null(), "nothing was planned: {}", found["schedule"]);
        })
    })
    .await;
}

/// The first invoice after what is planned: its total and what of it is tax.
async fn billed_after(h: &House, id: &str, end: i64) -> (i64, i64) {
    h.sandbox.advance_time(end + 2 * HOUR - h.engine.now().seconds());
    assert_eq!(mirrored(h, id).await.plan().unwrap().plan.as_str(), "pro");
    let invoice = h.provider("GET", &format!("/v1/invoices/{}", newest_invoice(h, id)), "");
    assert_eq!(invoice["status"], "paid", "{invoice}");
    let taxes = invoice["total_taxes"].as_array().into_iter().flatten();
    (invoice["total"].as_i64().unwrap(), taxes.map(|tax| tax["amount"].as_i64().unwrap()).sum())
}

fn coupon(h: &House, percent: i64) -> String {
    let form = format!("percent_off={percent}&duration=forever");
    text(&h.provider("POST", "/v1/coupons", &form)["id"])
}

fn rate(h: &House, percent: i64) -> String {
    let form = format!("display_name=Tax&percentage={percent}&inclusive=false");
    text(&h.provider("POST", "/v1/tax_rates", &form)["id"])
}

/// A phase of a schedule is all that a subscription is: what it does not name is taken away.
#[tokio::test]
async fn a_planned_change_keeps_taxes_and_discounts() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&NewCheckout { plan: "studio".into(), ..pro("ada") }).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let id = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.id.clone();
            let (half, fifth, tax) = (coupon(h, 50), coupon(h, 20), rate(h, 10));
            let path = format!("/v1/subscriptions/{id}");
            let item = text(&h.provider("GET", &path, "")["items"]["data"][0]["id"]);
            let form = format!(
                "discounts[0][coupon]={half}&default_tax_rates[0]={tax}&items[0][id]={item}&items[0][discounts][0][coupon]={fifth}&items[0][metadata][team]=blue&proration_behavior=none"
            );
            let before = h.provider("POST", &path, &form);
            let end = mirrored(h, &id).await.facts.period_end().unwrap().seconds();
            h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
            let planned = h.provider("GET", &path, "");
            for kept in ["/discounts", "/default_tax_rates", "/items/data/0/discounts"] {
                assert_eq!(planned.pointer(kept), before.pointer(kept), "the running period is as it was");
            }
            // 1,980 less a fifth is 1,584, half of that 792, and a tenth of that the tax.
            assert_eq!(billed_after(h, &id, end).await, (871, 79));
            let after = h.provider("GET", &path, "");
            assert_eq!(after["items"]["data"][0]["metadata"]["team"], "blue");
        })
    })
    .await;
}

/// What the phase that runs sets for itself is not the schedule's default, and holds on; so does a line's own tax.
#[tokio::test]
async fn a_planned_change_keeps_what_the_running_phase_sets() {
    on_each(|h| {
        Box::pin(async move {
            for (id, settings, expected) in [("ada", "automatic_tax[enabled]=true", 376), ("bob", "", 99)] {
                let row = h.open(&NewCheckout { plan: "studio".into(), ..pro(id) }).await;
                h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
                h.settle().await;
                let held = h.engine.customer(id).await.unwrap().subscriptions[0].subscription.facts.clone();
                let (id, end) = (held.id.clone(), held.period_end().unwrap().seconds());
                let path = format!("/v1/subscriptions/{id}");
                let found = h.provider("GET", &path, "");
                if settings.is_empty() {
                    let item = text(&found["items"]["data"][0]["id"]);
                    let form = format!("items[0][id]={item}&items[0][tax_rates][0]={}", rate(h, 5));
                    h.provider("POST", &path, &form);
                } else {
                    let customer = format!("/v1/customers/{}", text(&found["customer"]));
                    h.provider("POST", &customer, "address[country]=DE");
                    let made = h.provider(
                        "POST",
                        "/v1/subscription_schedules",
                        &format!("from_subscription={id}"),
                    );
                    let phase = &made["phases"][0];
                    let form = format!(
                        "phases[0][start_date]={}&phases[0][end_date]={end}&phases[0][items][0][price]={}&phases[0][{}",
                        phase["start_date"],
                        text(&phase["items"][0]["price"]),
                        settings.replacen('[', "][", 1),
                    );
                    let path = format!("/v1/subscription_schedules/{}", text(&made["id"]));
                    h.provider("POST", &path, &form);
                }
                h.settle().await;
                h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
                assert_eq!(billed_after(h, &id, end).await.1, expected, "{settings}");
            }
        })
    })
    .await;
}

/// The same plan cannot be written again with other words, and need not be: it is there.
#[tokio::test]
async fn a_plan_whose_answer_was_lost_is_made_although_the_subscription_changed_since() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&NewCheckout { plan: "studio".into(), ..pro("ada") }).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let id = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.id.clone();
            h.trouble("POST /v1/subscription_schedules/sub", Trouble::LostAfter, 100);
            let gate = h.hold_answers("/v1/subscription_schedules/sub");
            let (engine, asked) = (h.engine.clone(), id.clone());
            let change =
                tokio::spawn(async move { engine.change_subscription(&asked, &to("pro"), None).await });
            gate.reached().await;
            let form = format!("discounts[0][coupon]={}", coupon(h, 50));
            h.provider("POST", &format!("/v1/subscriptions/{id}"), &form);
            h.release_answers("/v1/subscription_schedules/sub");
            gate.open();
            change.await.unwrap().unwrap();
            assert_eq!(planned(&mirrored(h, &id).await).as_deref(), Some("pro"));
            let all = |tx: &mut dyn quittance_store::Tx| commands::of_customer(tx, "ada", 100);
            let asked = h.test.db.read("test", all).await.unwrap();
            let left: Vec<_> = asked.into_iter().filter(|row| row.state != CommandState::Succeeded).collect();
            assert!(left.is_empty(), "{left:?}");
        })
    })
    .await;
}

/// What the provider's schedule says of the time after the period, without what is another one's.
fn next_phase(h: &House, id: &str) -> Option<Value> {
    let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
    let schedule = found["schedule"].as_str()?;
    let schedule = h.provider("GET", &format!("/v1/subscription_schedules/{schedule}"), "");
    Some(json!([schedule["phases"], schedule["metadata"], schedule["end_behavior"]]))
}

/// A plan has to make way before an end or a pause can be asked for, which the provider may refuse.
#[tokio::test]
async fn a_refused_end_or_pause_leaves_what_was_planned() {
    use quittance_engine::commands::request::CancelAt;
    for test in quittance_store::testing::databases().await {
        let changes = ChangePolicy { pause: PauseHow::Subscription, ..ChangePolicy::default() };
        let settings = Settings { changes, ..Settings::default() };
        let house = House::with(test, settings, crate::house::catalog()).await;
        let h = &house;
        let (id, end) = studio_then_pro(h).await;
        let (tax, half) = (rate(h, 10), coupon(h, 50));
        let form = format!("default_tax_rates[0]={tax}&discounts[0][coupon]={half}&proration_behavior=none");
        h.provider("POST", &format!("/v1/subscriptions/{id}"), &form);
        h.engine.undo_change(&id, None).await.unwrap();
        h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
        let before = next_phase(h, &id).unwrap();
        h.trouble(&format!("POST /v1/subscriptions/{id}"), Trouble::Status(400), 100);
        let refused = h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::ProviderRefused, "{refused:?}");
        assert_eq!(planned(&mirrored(h, &id).await).as_deref(), Some("pro"));
        assert_eq!(next_phase(h, &id).as_ref(), Some(&before), "word for word");
        let refused = h.engine.pause_subscription(&id, None, None).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::ProviderRefused, "{refused:?}");
        assert_eq!(next_phase(h, &id).as_ref(), Some(&before));
        h.transport.mend();
        let paid = charged(h);
        h.sandbox.advance_time(end + 2 * HOUR - h.engine.now().seconds());
        assert_eq!(mirrored(h, &id).await.plan().unwrap().plan.as_str(), "pro");
        assert_eq!(charged(h) - paid, 1_089, "half of 1,980 and a tenth on top");
    }
}

/// Whatever interrupts the planning again: what was planned comes back, and not what was begun meanwhile.
#[tokio::test]
async fn a_plan_that_comes_back_in_several_goes_is_the_same() {
    use quittance_engine::commands::request::CancelAt;
    on_each(|h| {
        Box::pin(async move {
            let (id, _) = studio_then_pro(h).await;
            let before = next_phase(h, &id).unwrap();
            h.trouble(&format!("POST /v1/subscriptions/{id}"), Trouble::Status(400), 100);
            let gate = h.hold_answers("/v1/subscription_schedules?customer");
            let (engine, asked) = (h.engine.clone(), id.clone());
            let cancel =
                tokio::spawn(
                    async move { engine.cancel_subscription(&asked, CancelAt::PeriodEnd, None).await },
                );
            gate.reached().await;
            assert_eq!(next_phase(h, &id), None, "it is released, and the refusal is there");
            h.trouble("POST /v1/subscription_schedules/sub", Trouble::Status(500), 100);
            h.release_answers("/v1/subscription_schedules?customer");
            gate.open();
            cancel.await.unwrap().unwrap_err();
            assert_ne!(next_phase(h, &id).as_ref(), Some(&before), "a schedule without what was planned");
            h.transport.mend();
            h.trouble(&format!("POST /v1/subscriptions/{id}"), Trouble::Status(400), 100);
            h.sandbox.advance_time(HOUR);
            h.settle().await;
            assert_eq!(next_phase(h, &id).as_ref(), Some(&before));
            assert_eq!(planned(&mirrored(h, &id).await).as_deref(), Some("pro"));
        })
    })
    .await;
}
