//! Races, with barriers at the places where others lose: fetch against write, checkout against checkout,
//! node against node.

use futures_util::future::join_all;
use quittance_domain::checkout::CheckoutState;
use quittance_engine::ProblemCode;
use quittance_engine::world::Point;
use quittance_sandbox::DeliveryOutcome;
use quittance_store::customers::CustomerPatch;

use crate::house::{House, Trouble, customer, on_each, pro};
use crate::known_kit::{buyer_of, operator};

/// A stale answer is held back while another node fetches and writes the truth.
#[tokio::test]
async fn a5_e4_a_stale_fetch_never_overwrites_a_newer_one() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            let gate = h.hold_answers("/v1/subscriptions?status=all");
            h.provider("POST", &format!("/v1/subscriptions/{subscription}"), "metadata[note]=1");
            h.deliver().await;
            h.pass_ms(1_000);
            // Node one has fetched "active" and stands before its write, until its lease has run out.
            let slow_claim = h.claim_customer().await;
            let (slow_engine, claim) = (h.engine.clone(), slow_claim.clone());
            let slow = tokio::spawn(async move { slow_engine.sync(claim).await.unwrap() });
            gate.reached().await;
            h.release_answers("/v1/subscriptions?status=all");
            h.provider("DELETE", &format!("/v1/subscriptions/{subscription}"), "");
            h.deliver().await;
            h.pass_ms(h.engine.settings().retry.lease_ms + 1_000);
            let other = h.another_engine().await;
            other.drain().await.unwrap();
            assert!(!other.check("ada", "article:full").await.unwrap().allowed, "cancelled is written");
            gate.open();
            assert_eq!(slow.await.unwrap(), quittance_engine::sync::SyncEnd::Fenced);
            h.engine.drain().await.unwrap();
            let row = h.engine.subscription(&subscription).await.unwrap();
            assert_eq!(row.subscription.facts.status.as_str(), "canceled");
            h.engine.reload("ada").await.unwrap();
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// A change at the provider between fetch and write leaves the aggregate dirty, and is found.
#[tokio::test]
async fn a5_a_change_during_a_sync_is_synced_again() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            h.provider("POST", &format!("/v1/subscriptions/{subscription}"), "metadata[note]=1");
            h.deliver().await;
            h.pass_ms(1_000);
            let gate = h.hold_point(Point::SyncFetched);
            let (engine, claim) = (h.engine.clone(), h.claim_customer().await);
            let first = tokio::spawn(async move { engine.sync(claim).await.unwrap() });
            gate.reached().await;
            h.release_point(Point::SyncFetched);
            h.provider("DELETE", &format!("/v1/subscriptions/{subscription}"), "");
            h.deliver().await;
            gate.open();
            first.await.unwrap();
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// Somebody else's subscription never comes back to its former customer, not even for a moment.
#[tokio::test]
async fn a17_a_sync_that_runs_while_an_operator_links_anew_gives_the_old_customer_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            h.engine.put_customer(&customer("eve"), CustomerPatch::default()).await.unwrap();
            h.provider("POST", &format!("/v1/subscriptions/{subscription}"), "cancel_at_period_end=true");
            h.deliver().await;
            h.pass_ms(1_000);
            let gate = h.hold_point(Point::SyncFetched);
            let (engine, claim) = (h.engine.clone(), h.claim_customer().await);
            let first = tokio::spawn(async move { engine.sync(claim).await.unwrap() });
            gate.reached().await;
            h.release_point(Point::SyncFetched);
            let buyer = buyer_of(h, &subscription);
            h.engine.link_customer(&customer("eve"), &buyer, &operator()).await.unwrap();
            assert!(!h.allowed("ada", "article:full").await);
            gate.open();
            first.await.unwrap();
            assert!(!h.allowed("ada", "article:full").await, "what was read before the link is no link");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a4_e12_a_burst_is_one_fetch() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            for n in 0..50 {
                h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &format!("metadata[n]={n}"));
            }
            h.sandbox.reset_provider_calls();
            assert!(h.deliver().await >= 50);
            h.settle().await;
            assert!(h.calls() <= 2, "{:?}", h.sandbox.provider_calls());
        })
    })
    .await;
}

#[tokio::test]
async fn a18_a19_twenty_parallel_checkouts_are_one_customer_and_one_session() {
    on_each(|h| {
        Box::pin(async move {
            let wish = pro("ada");
            let rows = join_all((0..20).map(|_| h.engine.open_checkout(&wish))).await;
            let mut sessions: Vec<String> = rows.into_iter().map(|r| r.unwrap().session.unwrap()).collect();
            sessions.sort();
            sessions.dedup();
            assert_eq!(sessions.len(), 1);
            let customers = h.provider("GET", "/v1/customers", "limit=100");
            assert_eq!(customers["data"].as_array().unwrap().len(), 1);
            let open = h.provider("GET", "/v1/checkout/sessions", "limit=100&status=open");
            assert_eq!(open["data"].as_array().unwrap().len(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn a18_two_nodes_make_one_customer_even_when_an_answer_is_lost() {
    on_each(|h| {
        Box::pin(async move {
            h.trouble("POST /v1/customers", Trouble::LostAfter, 1);
            let other = h.another_engine().await;
            let (wish, again) = (pro("ada"), pro("ada"));
            let (one, two) = tokio::join!(h.engine.open_checkout(&wish), other.open_checkout(&again));
            assert_eq!(one.unwrap().session, two.unwrap().session);
            let customers = h.provider("GET", "/v1/customers", "limit=100");
            assert_eq!(customers["data"].as_array().unwrap().len(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn a19_another_wish_closes_the_first_before_it_opens() {
    on_each(|h| {
        Box::pin(async move {
            let first = h.open(&pro("ada")).await;
            let mut yearly = pro("ada");
            yearly.interval = Some("year".into());
            let second = h.open(&yearly).await;
            assert_ne!(first.session, second.session);
            let open = h.provider("GET", "/v1/checkout/sessions", "limit=100&status=open");
            assert_eq!(open["data"].as_array().unwrap().len(), 1);
            assert_eq!(open["data"][0]["id"].as_str(), second.session.as_deref());
            assert_eq!(h.engine.checkout_row(first.id.as_str()).await.unwrap().state, CheckoutState::Expired);
        })
    })
    .await;
}

#[tokio::test]
async fn a19_many_different_wishes_at_once_leave_one_open() {
    on_each(|h| {
        Box::pin(async move {
            let wishes: Vec<_> = (1..=8)
                .map(|quantity| {
                    let mut wish = pro("ada");
                    wish.quantity = Some(quantity);
                    wish
                })
                .collect();
            let rows = join_all(wishes.iter().map(|wish| h.engine.open_checkout(wish))).await;
            assert!(rows.iter().any(Result::is_ok));
            for refused in rows.iter().filter_map(|r| r.as_ref().err()) {
                assert_eq!(refused.code, ProblemCode::CheckoutInProgress, "{refused:?}");
            }
            let open = h.provider("GET", "/v1/checkout/sessions", "limit=100&status=open");
            assert_eq!(open["data"].as_array().unwrap().len(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn a19_e8_a_live_subscription_stops_a_second_checkout() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::AlreadySubscribed);
        })
    })
    .await;
}

/// Another program on the account opens a session for the same customer, naming our checkout as ours do.
async fn paid_twice(h: &House) -> (String, String) {
    paid_twice_with(h, "pm_card_visa").await
}

/// As [`paid_twice`], the second one with this card.
async fn paid_twice_with(h: &House, card: &str) -> (String, String) {
    let row = h.open(&pro("ada")).await;
    let session =
        h.provider("GET", &format!("/v1/checkout/sessions/{}", row.session.as_deref().unwrap()), "");
    let customer = session["customer"].as_str().unwrap().to_owned();
    let price = h.provider("GET", "/v1/prices", "lookup_keys[]=pro_month_jpy")["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = quittance_domain::CheckoutId::derived(&["second tab"]);
    let second = h.provider(
        "POST",
        "/v1/checkout/sessions",
        &format!(
            "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1\
             &success_url=http://localhost/ok&subscription_data[metadata][quittance_checkout]={other}"
        ),
    );
    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
    h.sandbox.advance_time(2);
    h.pay(second["id"].as_str().unwrap(), card);
    (customer, row.session.unwrap())
}

#[tokio::test]
async fn a19_e8_two_paid_sessions_end_with_one_subscription_and_one_refund() {
    on_each(|h| {
        Box::pin(async move {
            let (customer, _) = paid_twice(h).await;
            h.settle().await;
            let ledger = h.sandbox.ledger();
            let ledger = ledger.customer(&customer).unwrap();
            let live: Vec<_> = ledger.subscriptions.iter().filter(|s| s.status == "active").collect();
            assert_eq!((ledger.subscriptions.len(), live.len()), (2, 1));
            assert_eq!(ledger.charges.iter().filter(|c| c.paid).count(), 2);
            assert_eq!(ledger.refunds.len(), 1, "one payment went back, once");
            assert_eq!(ledger.refunds[0].amount, 1980);
            let notes = h.provider("GET", "/v1/credit_notes", &format!("customer={customer}"));
            assert_eq!((&notes["data"][0]["reason"], &notes["data"][1]), (&"duplicate".into(), &().into()));
            assert!(h.allowed("ada", "article:full").await);
            let alerts = h.engine.alerts(true, i64::MAX, 10).await.unwrap();
            assert!(alerts.iter().any(|a| a.kind == "duplicate_subscription"), "{alerts:?}");
            // Looking again, however often, gives nothing back twice.
            for _ in 0..3 {
                h.engine.sweep(true, false).await.unwrap();
                h.settle().await;
            }
            assert_eq!(h.sandbox.ledger().customer(&customer).unwrap().refunds.len(), 1);
        })
    })
    .await;
}

/// Found by the simulator: with the whole amount asked for, the provider refused and the rest stayed.
#[tokio::test]
async fn e8_what_a_person_gave_back_of_a_duplicate_is_not_given_twice_and_the_rest_is() {
    on_each(|h| {
        Box::pin(async move {
            let (customer, _) = paid_twice(h).await;
            let newest = h.sandbox.ledger().customer(&customer).unwrap().charges.last().unwrap().clone();
            h.provider(
                "POST",
                "/v1/refunds",
                &format!("payment_intent={}&amount=700", newest.payment_intent),
            );
            h.settle().await;
            let ledger = h.sandbox.ledger();
            let ledger = ledger.customer(&customer).unwrap();
            let mut given: Vec<i64> = ledger.refunds.iter().map(|r| r.amount).collect();
            given.sort_unstable();
            assert_eq!(given, [700, 1280]);
            assert_eq!(ledger.subscriptions.iter().filter(|s| s.status == "active").count(), 1);
        })
    })
    .await;
}

/// Found by the simulator: the refund of a disputed payment is refused, and was never asked for again.
#[tokio::test]
async fn e8_a_disputed_duplicate_is_given_back_when_the_dispute_is_won() {
    on_each(|h| {
        Box::pin(async move {
            let (customer, _) = paid_twice_with(h, "pm_card_createDispute").await;
            h.settle().await;
            let ledger = |h: &House| h.sandbox.ledger().customer(&customer).unwrap().clone();
            let before = ledger(h);
            assert_eq!(before.subscriptions.iter().filter(|s| s.status == "active").count(), 1);
            assert!(before.refunds.is_empty(), "what a dispute holds is not given back as well");
            let won = format!("/v1/disputes/{}", before.disputes[0].id);
            h.provider("POST", &won, "evidence[uncategorized_text]=winning_evidence&submit=true");
            h.live(100).await;
            let after = ledger(h);
            assert_eq!(after.disputes[0].status, "won");
            let given: Vec<i64> = after.refunds.iter().map(|r| r.amount).collect();
            assert_eq!(given, [1980]);
            let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
            assert!(alerts.iter().all(|a| a.kind != "mending_refused"), "{alerts:?}");
        })
    })
    .await;
}

/// Nobody waits for the answer of what we mend by ourselves, so a refusal is told.
#[tokio::test]
async fn e8_a_refund_that_stays_refused_is_told_and_not_tried_for_ever() {
    on_each(|h| {
        Box::pin(async move {
            for call in ["POST /v1/refunds", "POST /v1/credit_notes"] {
                h.trouble(call, Trouble::Status(400), usize::MAX);
            }
            let (customer, _) = paid_twice(h).await;
            for _ in 0..8 {
                h.settle().await;
                h.engine.sweep(true, false).await.unwrap();
            }
            let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
            assert_eq!(alerts.iter().filter(|a| a.kind == "mending_refused").count(), 1, "{alerts:?}");
            let read =
                |tx: &mut dyn quittance_store::Tx| quittance_store::commands::of_customer(tx, "ada", 100);
            let commands = h.engine.db().read("test", read).await.unwrap();
            assert_eq!(commands.iter().filter(|c| c.kind == "duplicate.refund").count(), 3);
            // A person gives it back, and the alert is over.
            let newest = h.sandbox.ledger().customer(&customer).unwrap().charges.last().unwrap().clone();
            h.provider("POST", "/v1/refunds", &format!("payment_intent={}", newest.payment_intent));
            h.settle().await;
            let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
            assert!(alerts.iter().all(|a| a.kind != "mending_refused"), "{alerts:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn e9_a_lost_refund_answer_does_not_refund_twice() {
    on_each(|h| {
        Box::pin(async move {
            h.trouble("POST /v1/refunds", Trouble::LostAfter, 2);
            h.trouble("DELETE /v1/subscriptions", Trouble::LostAfter, 2);
            let (customer, _) = paid_twice(h).await;
            for _ in 0..20 {
                h.settle().await;
                h.pass_ms(5_000);
            }
            let ledger = h.sandbox.ledger();
            let ledger = ledger.customer(&customer).unwrap();
            assert_eq!(ledger.refunds.len(), 1);
            assert_eq!(ledger.subscriptions.iter().filter(|s| s.status == "active").count(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn e9_a_lost_session_answer_opens_one_session() {
    on_each(|h| {
        Box::pin(async move {
            h.trouble("POST /v1/checkout/sessions", Trouble::LostAfter, 2);
            let row = h.open(&pro("ada")).await;
            assert!(row.session.is_some());
            let open = h.provider("GET", "/v1/checkout/sessions", "limit=100");
            assert_eq!(open["data"].as_array().unwrap().len(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn e9_after_a_day_a_lost_answer_is_looked_up_and_not_sent_again() {
    on_each(|h| {
        Box::pin(async move {
            // Every try within the caller's patience is lost after the provider acted; then a day passes.
            h.trouble("POST /v1/checkout/sessions", Trouble::LostAfter, 3);
            let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::OutcomePending);
            assert_eq!(refused.money, quittance_engine::Money::Unknown);
            h.sandbox.advance_time(25 * 3_600);
            h.withhold();
            h.engine.drain().await.unwrap();
            let sessions = h.provider("GET", "/v1/checkout/sessions", "limit=100");
            assert_eq!(sessions["data"].as_array().unwrap().len(), 1, "found by its metadata");
            // By then it had expired: nobody is sent to it, and it stands in nobody's way.
            let row = h.engine.checkout_row(sessions["data"][0]["id"].as_str().unwrap()).await.unwrap();
            assert_eq!(row.state, CheckoutState::Expired);
        })
    })
    .await;
}

/// A3, E1: the event is stored, the process dies, the provider stays silent; another process goes on.
#[tokio::test]
async fn a3_e1_a_dead_worker_loses_nothing() {
    on_each(|h| {
        Box::pin(async move {
            for point in
                [Point::SyncClaimed, Point::SyncFetched, Point::ApplyBeforeCommit, Point::ApplyAfterCommit]
            {
                let id = format!("ada-{}", point.as_str().replace('.', "-"));
                let row = h.open(&pro(&id)).await;
                h.settle().await;
                h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
                h.deliver().await;
                h.pass_ms(1_000);
                let gate = h.hold_point(point);
                let (engine, claim) = (h.engine.clone(), h.claim_customer().await);
                let dying = tokio::spawn(async move { engine.sync(claim).await });
                gate.reached().await;
                dying.abort();
                assert!(dying.await.unwrap_err().is_cancelled());
                h.release_point(point);
                h.pass_ms(h.engine.settings().retry.lease_ms + 1_000);
                let next = h.another_engine().await;
                next.drain().await.unwrap();
                assert!(next.check(&id, "article:full").await.unwrap().allowed, "{point}");
                let history = next.timeline(&id, i64::MAX, 50).await.unwrap();
                let granted = history.iter().filter(|l| l.kind == "access.changed").count();
                assert_eq!(granted, 1, "{point}: once, not twice");
            }
        })
    })
    .await;
}

/// A command dies between sending and recording: the next one gets the same answer for the same key.
#[tokio::test]
async fn a18_a_command_that_dies_after_sending_is_not_done_twice() {
    on_each(|h| {
        Box::pin(async move {
            let gate = h.hold_point(Point::CommandAnswered);
            let engine = h.engine.clone();
            let dying = tokio::spawn(async move { engine.open_checkout(&pro("ada")).await });
            gate.reached().await;
            dying.abort();
            assert!(dying.await.unwrap_err().is_cancelled());
            h.release_point(Point::CommandAnswered);
            h.pass_ms(120_000);
            let row = h.open(&pro("ada")).await;
            assert!(row.session.is_some());
            let customers = h.provider("GET", "/v1/customers", "limit=100");
            assert_eq!(customers["data"].as_array().unwrap().len(), 1);
        })
    })
    .await;
}

/// B5: fifty parallel duplicates are acknowledged, and only one of them is new.
#[tokio::test]
async fn a1_b5_parallel_duplicates_are_all_acknowledged() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            h.settle().await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            for delivery in h.sandbox.due_deliveries() {
                let copies: Vec<_> = (0..50).map(|_| h.hand_in(&delivery)).collect();
                let answers = join_all(copies).await;
                let new = answers.iter().filter(|a| **a == Ok(quittance_store::inbox::Accepted::New)).count();
                assert_eq!((new, answers.iter().filter(|a| a.is_err()).count()), (1, 0));
                h.sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Answered(200));
            }
            h.sandbox.reset_provider_calls();
            h.settle().await;
            assert!(h.calls() <= 2);
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// E8, another channel: a second customer at the provider names the same customer of ours.
#[tokio::test]
async fn e8_a_second_subscription_through_another_provider_customer_is_told_to_a_person() {
    on_each(|h| {
        Box::pin(async move {
            let first = h.subscriber("ada").await;
            let buyer = h.provider("POST", "/v1/customers", "metadata[quittance_customer]=ada");
            let buyer = buyer["id"].as_str().unwrap();
            let method =
                h.provider("POST", "/v1/payment_methods/pm_card_visa/attach", &format!("customer={buyer}"));
            let price = h.provider("GET", "/v1/prices", "lookup_keys[]=pro_month_jpy");
            let form = format!(
                "customer={buyer}&items[0][price]={}&default_payment_method={}",
                price["data"][0]["id"].as_str().unwrap(),
                method["id"].as_str().unwrap()
            );
            h.provider("POST", "/v1/subscriptions", &form);
            h.settle().await;
            let view = h.engine.customer("ada").await.unwrap();
            assert_eq!(view.subscriptions.len(), 2, "both are mirrored, neither overwrites the other");
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(
                alerts.iter().any(|a| a.kind == "duplicate_subscription" && a.detail.contains(&first)),
                "{alerts:?}"
            );
            let ledger = h.sandbox.ledger();
            assert!(ledger.customers.iter().all(|c| c.refunds.is_empty()), "nothing is mended by a guess");
        })
    })
    .await;
}

/// Hours in which somebody delivers and works, and nobody is awake.
async fn hours(h: &House, hours: i64) {
    for _ in 0..hours * 20 {
        h.pass_ms(3 * 60_000);
        h.settle().await;
    }
}

async fn standing(h: &House) -> Vec<String> {
    let rows = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
    rows.into_iter().map(|row| row.kind).collect()
}

#[tokio::test]
async fn what_an_outage_of_hours_kept_from_being_done_is_done_when_it_ends() {
    on_each(|h| {
        Box::pin(async move {
            paid_twice(h).await;
            h.trouble("/v1/", Trouble::Status(500), usize::MAX);
            hours(h, 8).await;
            assert!(h.engine.parked(10).await.unwrap().aggregates.is_empty(), "an outage passes");
            assert!(standing(h).await.contains(&"sync_failing".to_owned()), "and is told");
            assert!(!h.allowed("ada", "article:full").await);
            h.transport.mend();
            // All but what takes back the second one.
            h.trouble("DELETE /v1/subscriptions", Trouble::Status(500), usize::MAX);
            hours(h, 8).await;
            assert!(h.allowed("ada", "article:full").await, "nobody freed anything");
            assert!(
                h.engine.parked(10).await.unwrap().commands.is_empty(),
                "what mends is wanted until it is done"
            );
            let told = standing(h).await;
            assert!(!told.contains(&"sync_failing".to_owned()), "it is over: {told:?}");
            assert!(told.contains(&"command_failing".to_owned()), "{told:?}");
            h.transport.mend();
            hours(h, 1).await;
            let ledger = h.sandbox.ledger();
            let subscriptions = ledger.customers.iter().flat_map(|c| &c.subscriptions);
            assert_eq!(subscriptions.filter(|s| s.status == "active").count(), 1);
            let refunds = ledger.customers.iter().flat_map(|c| &c.refunds);
            assert_eq!(refunds.filter(|r| r.status == "succeeded").count(), 1);
            assert!(!standing(h).await.contains(&"command_failing".to_owned()));
        })
    })
    .await;
}

#[tokio::test]
async fn a_buyer_who_comes_back_after_an_outage_waits_for_seconds() {
    on_each(|h| {
        Box::pin(async move {
            let session = h.open(&pro("ada")).await.session.unwrap();
            h.pay(&session, "pm_card_visa");
            h.trouble("/v1/", Trouble::Status(500), usize::MAX);
            hours(h, 8).await;
            h.transport.mend();
            // Whoever only delivers or looks on waits for the next try.
            h.pass_ms(6_000);
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await, "the next try is minutes away");
            h.engine.checkout_returned(&session, 0).await.unwrap();
            h.pass_ms(5_000);
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a_guests_payment_that_could_not_be_looked_at_for_hours_is_told_until_it_is() {
    on_each(|h| {
        Box::pin(async move {
            let form = "amount=500&currency=jpy&payment_method=pm_card_visa&confirm=true&return_url=https://shop.test";
            let paid = h.provider("POST", "/v1/payment_intents", form)["id"].as_str().unwrap().to_owned();
            h.provider("POST", "/v1/refunds", &format!("payment_intent={paid}"));
            h.trouble("/v1/payment_intents", Trouble::Status(500), usize::MAX);
            hours(h, 8).await;
            assert_eq!(standing(h).await, ["sync_failing"]);
            // By hand at once, and it still fails: told again when its tries are used up again.
            let alert = h.engine.alerts(false, i64::MAX, 1).await.unwrap().remove(0);
            h.engine.retry_parked(&alert.object).await.unwrap();
            assert!(standing(h).await.is_empty());
            hours(h, 8).await;
            assert_eq!(standing(h).await, ["sync_failing"]);
            h.transport.mend();
            hours(h, 1).await;
            assert!(standing(h).await.is_empty());
        })
    })
    .await;
}
