//! B7: every order of the events of one life, with duplicates, ends where the provider stands.

use quittance_sandbox::Delivery;
use quittance_store::inbox::Accepted;

use crate::house::{House, on_each, pro};

/// All orders of seven things: 5,040.
fn orders(items: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for n in 0..items {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, n);
                    longer
                })
            })
            .collect();
    }
    all
}

/// Lives a subscription through creation, three updates, a failed renewal, a paid invoice and its end, and
/// collects one delivery of each kind without handing any in.
async fn events_of_a_life(h: &House) -> (String, Vec<Delivery>) {
    let row = h.open(&pro("ada")).await;
    h.withhold();
    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
    let mut seen = h.withhold();
    let session = h.provider("GET", &format!("/v1/checkout/sessions/{}", row.session.unwrap()), "");
    let subscription = session["subscription"].as_str().unwrap().to_owned();
    for n in 0..3 {
        h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &format!("metadata[n]={n}"));
        seen.extend(h.withhold());
    }
    let customer = session["customer"].as_str().unwrap();
    let method = h.provider(
        "POST",
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        &format!("customer={customer}"),
    );
    let id = method["id"].as_str().unwrap();
    h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &format!("default_payment_method={id}"));
    h.withhold();
    h.sandbox.advance_time(29 * 86_400);
    seen.extend(h.withhold());
    h.provider("DELETE", &format!("/v1/subscriptions/{subscription}"), "");
    seen.extend(h.withhold());
    let mut kept: Vec<Delivery> = Vec::new();
    for (kind, count) in [
        ("customer.subscription.created", 1),
        ("customer.subscription.updated", 3),
        ("customer.subscription.deleted", 1),
        ("invoice.paid", 1),
        ("invoice.payment_failed", 1),
    ] {
        let found: Vec<_> = seen.iter().filter(|d| d.event_type == kind).take(count).cloned().collect();
        assert_eq!(found.len(), count, "{kind}");
        kept.extend(found);
    }
    (subscription, kept)
}

#[tokio::test]
async fn b7_every_order_converges_to_the_provider() {
    on_each(|h| {
        Box::pin(async move {
            let (subscription, events) = events_of_a_life(h).await;
            // The clock has moved on since they were signed; the tolerance is not what is tested here.
            let events: Vec<Delivery> = events.into_iter().map(|d| resigned(h, d)).collect();
            let orders = orders(events.len());
            assert_eq!(orders.len(), 5_040);
            // Some orders arrive as events of their own, with a look after each step, so that no prefix of an
            // order leads astray; all others as storms of duplicates. PostgreSQL takes a tenth of the storms.
            let every = if h.engine.db().dialect() == quittance_store::Dialect::Sqlite { 1 } else { 10 };
            for (round, order) in orders.iter().enumerate().step_by(every) {
                if round % 240 != 0 {
                    let storm: Vec<_> = order.iter().map(|at| h.hand_in(&events[*at])).collect();
                    for accepted in futures_util::future::join_all(storm).await {
                        assert_eq!(accepted.unwrap() == Accepted::New, round == every, "round {round}");
                    }
                    continue;
                }
                for at in order {
                    assert_eq!(h.hand_in(&renamed(h, &events[*at], round)).await.unwrap(), Accepted::New);
                    h.pass_ms(1_000);
                    assert!(h.engine.drain().await.unwrap() > 0, "a new event is looked into");
                    let row = h.engine.subscription(&subscription).await.unwrap();
                    assert_eq!(row.subscription.facts.status.as_str(), "canceled");
                    assert!(!h.allowed("ada", "article:full").await);
                }
            }
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            let row = h.engine.subscription(&subscription).await.unwrap();
            assert_eq!(row.subscription.facts.status.as_str(), "canceled");
        })
    })
    .await;
}

/// The same event under another id, as if the provider had made it anew.
fn renamed(h: &House, delivery: &Delivery, round: usize) -> Delivery {
    let body = String::from_utf8(delivery.body.clone()).unwrap();
    let body = body.replace(&delivery.event_id, &format!("{}r{round}", delivery.event_id));
    resigned(h, Delivery { body: body.into_bytes(), ..delivery.clone() })
}

fn resigned(h: &House, mut delivery: Delivery) -> Delivery {
    let header = quittance_sandbox::signature_header(crate::house::SECRET, h.sandbox.now(), &delivery.body);
    for (name, value) in &mut delivery.headers {
        if name.eq_ignore_ascii_case("stripe-signature") {
            value.clone_from(&header);
        }
    }
    delivery
}
