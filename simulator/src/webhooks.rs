//! The way from the provider to the nodes: webhooks that come twice, late, out of order or never, and messages that
//! only pretend to be webhooks.

use std::sync::Arc;

use quittance_domain::time::{MINUTE_MS, SECOND_MS};
use quittance_engine::Problem;
use quittance_sandbox::{Delivery, DeliveryOutcome, signature_header};
use quittance_store::inbox::Accepted;

use crate::faults::Fault;
use crate::sim::Sim;

/// Takes what the provider wants to deliver and sends each on its way.
pub fn pump(sim: &Arc<Sim>) {
    for delivery in sim.sandbox.due_deliveries() {
        let carrier = Arc::clone(sim);
        sim.outside(async move { carry(carrier, delivery).await });
    }
}

fn name(delivery: &Delivery) -> String {
    format!("{} {}", delivery.event_id, delivery.event_type)
}

async fn carry(sim: Arc<Sim>, delivery: Delivery) {
    sim.record().figures.deliveries += 1;
    if sim.strikes(Fault::WebhookForged) {
        forge(&sim, &delivery).await;
    }
    let report = |outcome| sim.sandbox.delivery_result(&delivery.delivery_id, outcome);
    let lost_for_good = sim.record().unreachable.contains(&delivery.event_id);
    let unreachable = lost_for_good || sim.strikes(Fault::WebhookUnreachable);
    if unreachable && !sim.faults().are_over() {
        sim.record().unreachable.insert(delivery.event_id.clone());
        sim.tell("webhook", format_args!("{}: nobody is reached", name(&delivery)));
        return report(DeliveryOutcome::Failed);
    }
    if sim.strikes(Fault::WebhookDropped) {
        sim.tell("webhook", format_args!("{}: dropped, and believed delivered", name(&delivery)));
        return report(DeliveryOutcome::Answered(200));
    }
    if sim.strikes(Fault::WebhookDelayed) {
        // Later than that the signature is too old, and the provider signs again for its next try.
        let wait = sim.drawn(SECOND_MS, 2 * MINUTE_MS);
        sim.sleep(wait).await;
    }
    if sim.strikes(Fault::WebhookDuplicated) {
        for _ in 0..sim.drawn(1, 3) {
            let (copy, again) = (Arc::clone(&sim), delivery.clone());
            let wait = sim.drawn(0, 20 * SECOND_MS);
            sim.outside(async move {
                copy.sleep(wait).await;
                hand_in(&copy, &again).await;
            });
        }
    }
    match hand_in(&sim, &delivery).await {
        Some(Ok(_)) if sim.strikes(Fault::AcknowledgementLost) => report(DeliveryOutcome::Failed),
        Some(Ok(_)) => report(DeliveryOutcome::Answered(200)),
        Some(Err(_)) => report(DeliveryOutcome::Answered(503)),
        None => report(DeliveryOutcome::Failed),
    }
}

fn header(delivery: &Delivery) -> Option<Vec<u8>> {
    let found = delivery.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("stripe-signature"));
    found.map(|(_, value)| value.clone().into_bytes())
}

/// Gives a delivery to some node; `None` when nobody answers.
async fn hand_in(sim: &Arc<Sim>, delivery: &Delivery) -> Option<Result<Accepted, Problem>> {
    let (header, body) = (header(delivery), delivery.body.clone());
    let draw = sim.faults().chance().draw();
    let answer = sim
        .call(draw, move |engine| async move { engine.accept_stripe(header.as_deref(), &body).await })
        .await;
    match &answer {
        Some(Ok(accepted)) => {
            sim.record().acknowledged(&delivery.event_id, *accepted);
            sim.tell("webhook", format_args!("{}: {accepted:?}", name(delivery)));
        }
        Some(Err(problem)) => {
            sim.tell("webhook", format_args!("{}: refused, {}", name(delivery), problem.code.as_str()));
        }
        None => sim.tell("webhook", format_args!("{}: no answer", name(delivery))),
    }
    answer
}

/// Sends something that looks like this delivery and must not be believed.
async fn forge(sim: &Arc<Sim>, delivery: &Delivery) {
    let kind = sim.drawn(0, 5);
    let now = sim.sandbox.now();
    let forged_id = format!("evt_forged{:020x}", sim.faults().chance().draw());
    let text = String::from_utf8_lossy(&delivery.body);
    let body = text.replace(&delivery.event_id, &forged_id);
    let signed =
        |secret: &str, at: i64, body: &str| signature_header(secret, at, body.as_bytes()).into_bytes();
    let secret = sim.endpoint_secret.as_str();
    // Clocks of nodes are off by two minutes at most, signatures count for five, and a node may stand still for five before it
    // looks at its clock.
    let (what, header, body) = match kind {
        0 => ("without a signature", None, body),
        1 => ("with the signature of another body", header(delivery), body),
        2 => ("with another's signature", Some(signed("whsec_somebody_else", now, &body)), body),
        3 => ("signed long ago", Some(signed(secret, now - 430, &body)), body),
        4 => ("signed in the future", Some(signed(secret, now + 900, &body)), body),
        _ => {
            let body = body.replace("\"livemode\": false", "\"livemode\": true");
            ("of the other mode", Some(signed(secret, now, &body)), body)
        }
    };
    sim.tell("webhook", format_args!("{forged_id}: a forgery {what}"));
    sim.record().forged.insert(forged_id.clone());
    let draw = sim.faults().chance().draw();
    let answer = sim.call(draw, move |engine| async move {
        engine.accept_stripe(header.as_deref(), body.as_bytes()).await
    });
    if let Some(Ok(accepted)) = answer.await {
        sim.record().violation("I9", format!("a forgery {what} was accepted ({accepted:?})"));
    }
}
