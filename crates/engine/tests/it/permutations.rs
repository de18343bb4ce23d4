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

/// Whether these stand in an order one after the other.
fn in_turn(order: &[usize], these: std::ops::RangeInclusive<usize>) -> bool {
    order.iter().filter(|at| these.contains(at)).is_sorted()
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
            // The three updates are of one kind: which of them comes first is another one each time.
            let updates = orders(3);
            let orders: Vec<Vec<usize>> =
                orders(events.len()).into_iter().filter(|order| in_turn(order, 1..=3)).collect();
            assert_eq!(orders.len(), 840);
            // Every order arrives as events of its own, one of them twice. Some are looked into after each step, so that no
            // prefix of an order leads astray; the others at their end. PostgreSQL takes a tenth.
            let every = if h.engine.db().dialect() == quittance_store::Dialect::Sqlite { 1 } else { 10 };
            for (round, order) in orders.iter().enumerate().step_by(every) {
                let stepwise = round % 40 == 0;
                let twice = round % order.len();
                let updates = &updates[round / every % updates.len()];
                for (step, at) in order.iter().enumerate() {
                    let at = if (1..=3).contains(at) { 1 + updates[at - 1] } else { *at };
                    let delivery = renamed(h, &events[at], round);
                    assert_eq!(h.hand_in(&delivery).await.unwrap(), Accepted::New, "round {round}");
                    if step == twice {
                        assert_eq!(h.hand_in(&delivery).await.unwrap(), Accepted::Duplicate, "round {round}");
                    }
                    if stepwise {
                        looked_into(h, &subscription, round).await;
                    }
                }
                if !stepwise {
                    looked_into(h, &subscription, round).await;
                }
            }
        })
    })
    .await;
}

/// One look follows what is new, and ends where the provider stands.
async fn looked_into(h: &House, subscription: &str, round: usize) {
    h.pass_ms(1_000);
    assert!(h.engine.drain().await.unwrap() > 0, "round {round}: a new event is looked into");
    let row = h.engine.subscription(subscription).await.unwrap();
    assert_eq!(row.subscription.facts.status.as_str(), "canceled", "round {round}");
    assert!(!h.allowed("ada", "article:full").await, "round {round}");
}

/// The same event under another id, as if the provider had made it anew.
fn renamed(h: &House, delivery: &Delivery, round: usize) -> Delivery {
    let body = String::from_utf8(delivery.body.clone()).unwrap();
    let body = body.replace(&delivery.event_id, &format!("{}r{round}", delivery.event_id));
    resigned(h, Delivery { body: body.into_bytes(), ..delivery.clone() })
}

fn resigned(h: &House, mut delivery: Delivery) -> Delivery {
    let header =
        quittance_sandbox::signature_header(crate::house::SECRET, h.engine.now().seconds(), &delivery.body);
    for (name, value) in &mut delivery.headers {
        if name.eq_ignore_ascii_case("stripe-signature") {
            value.clone_from(&header);
        }
    }
    delivery
}
