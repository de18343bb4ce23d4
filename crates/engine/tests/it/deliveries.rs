//! What leaves after a commit: once for each fact, in order, again after trouble, and with an alert when it is given up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_engine::world::Point;
use quittance_engine::{Engine, ProblemCode};
use quittance_store::deliveries::{DeliveryRow, Filter};

use crate::house::{House, on_each};
use crate::known_kit::break_card;

/// Keeps what it carried, and fares as it was told; when told nothing, well.
#[derive(Default)]
struct Notebook {
    carried: Mutex<Vec<String>>,
    fares: Mutex<VecDeque<Outcome>>,
}

impl Notebook {
    fn carried(&self) -> Vec<String> {
        self.carried.lock().unwrap().clone()
    }

    fn will(&self, outcome: Outcome, times: usize) {
        self.fares.lock().unwrap().extend(std::iter::repeat_n(outcome, times));
    }
}

impl Courier for Notebook {
    fn deliver<'a>(&'a self, _engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(async move {
            self.carried.lock().unwrap().push(parcel.key.clone());
            let told = self.fares.lock().unwrap().pop_front();
            told.unwrap_or_else(|| Outcome::Delivered { detail: "taken".into() })
        })
    }
}

fn refused() -> Outcome {
    Outcome::Retry { error: "451 try later".into(), retry_after_ms: None }
}

/// A subscriber whose next renewal fails.
async fn failing(h: &House) -> (Engine, Arc<Notebook>) {
    let notebook = Arc::new(Notebook::default());
    let engine = h.another_engine().await.with_courier(Channel::Mail, notebook.clone());
    let subscription = h.subscriber("ada").await;
    break_card(h, &subscription);
    (engine, notebook)
}

async fn all(engine: &Engine) -> Vec<DeliveryRow> {
    engine.deliveries(Filter::default(), i64::MAX, 100).await.unwrap()
}

/// Lets time pass and webhooks arrive; only this engine works.
async fn days(h: &House, engine: &Engine, days: i64) {
    for _ in 0..days * 4 {
        h.sandbox.advance_time(6 * 3_600);
        h.deliver().await;
        h.pass_burst();
        engine.drain().await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_payment_is_told_once_for_each_try_by_whichever_node() {
    on_each(|h| {
        Box::pin(async move {
            let (engine, notebook) = failing(h).await;
            let other = h.another_engine().await.with_courier(Channel::Mail, notebook.clone());
            days(h, &engine, 40).await;
            let told = notebook.carried();
            assert!(told.len() >= 3, "{told:?}");
            let mut once = told.clone();
            once.dedup();
            assert_eq!(once, told, "in order, and none again");
            let (one, two) = tokio::join!(engine.deliver_due(), other.deliver_due());
            assert_eq!((one.unwrap(), two.unwrap()), (0, 0));
            let rows = all(&engine).await;
            assert_eq!(rows.len(), told.len());
            assert!(rows.iter().all(|row| row.state == DeliveryState::Delivered && row.attempts == 1));
            assert!(rows.iter().all(|row| row.customer.as_deref() == Some("ada")));
            let again = engine.deliver_again(rows[0].seq).await.unwrap_err();
            assert_eq!(again.code, ProblemCode::WrongState);
        })
    })
    .await;
}

#[tokio::test]
async fn two_nodes_at_once_send_one() {
    on_each(|h| {
        Box::pin(async move {
            let (engine, notebook) = failing(h).await;
            notebook.will(refused(), 1);
            days(h, &engine, 33).await;
            let other = h.another_engine().await.with_courier(Channel::Mail, notebook.clone());
            let before = notebook.carried().len();
            assert!(before >= 2, "refused once, then taken");
            notebook.will(refused(), 1);
            days(h, &engine, 4).await;
            h.pass_ms(60_000);
            let rows = all(&engine).await;
            let waiting = rows.iter().filter(|row| row.state == DeliveryState::Pending).count();
            let (one, two) = tokio::join!(engine.deliver_due(), other.deliver_due());
            assert_eq!(one.unwrap() + two.unwrap(), waiting);
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_given_up_raises_an_alert_that_names_the_mend_and_can_be_sent_again() {
    on_each(|h| {
        Box::pin(async move {
            let (engine, notebook) = failing(h).await;
            notebook.will(refused(), 1_000);
            days(h, &engine, 31).await;
            for _ in 0..60 {
                h.pass_ms(6 * 3_600_000);
                engine.drain().await.unwrap();
            }
            let rows = all(&engine).await;
            let failed = rows.iter().rfind(|row| row.state == DeliveryState::Failed).expect("given up");
            let (_, tries) = engine.delivery(failed.seq).await.unwrap();
            assert_eq!(tries.len(), Channel::Mail.waits_ms().len() + 1);
            assert_eq!((tries[0].outcome.as_str(), tries[1].outcome.as_str()), ("failed", "retry"));
            let alerts = engine.alerts(false, i64::MAX, 10).await.unwrap();
            let alert = alerts.iter().find(|alert| alert.kind == "delivery_failed").expect("an alert");
            assert!(alert.mend.contains("quittance deliveries retry "), "{}", alert.mend);
            notebook.fares.lock().unwrap().clear();
            let back = engine.deliver_again(failed.seq).await.unwrap();
            let before = i64::try_from(tries.len()).unwrap();
            assert_eq!(
                (back.state, back.attempts, back.attempts_before),
                (DeliveryState::Pending, before, before),
                "its schedule begins anew"
            );
            h.pass_ms(30 * 3_600_000);
            engine.drain().await.unwrap();
            let (again, log) = engine.delivery(failed.seq).await.unwrap();
            assert_eq!((again.state, again.attempts), (DeliveryState::Delivered, before + 1));
            assert_eq!(
                (log.len(), log[0].outcome.as_str()),
                (tries.len() + 1, "delivered"),
                "and its log goes on"
            );
            let alerts = engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(
                alerts.iter().all(|alert| alert.kind != "delivery_failed"),
                "over with the first that arrives"
            );
        })
    })
    .await;
}

#[tokio::test]
async fn nothing_is_written_down_for_a_channel_that_nobody_carries() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            break_card(h, &subscription);
            h.live(33).await;
            assert!(all(&h.engine).await.is_empty());
            let absent = h.engine.delivery(1).await.unwrap_err();
            assert_eq!(absent.code, ProblemCode::NotFound);
        })
    })
    .await;
}

/// Killed between sending and recording, and no longer so by the next try: the record does not say that nothing was sent.
#[tokio::test]
async fn what_may_have_left_is_not_on_record_as_held_back_alone() {
    on_each(|h| {
        Box::pin(async move {
            let (engine, notebook) = failing(h).await;
            notebook.will(refused(), 1);
            let gate = h.hold_point(Point::DeliverySent);
            gate.open();
            tokio::select! {
                () = days(h, &engine, 40) => panic!("nothing was sent a second time"),
                () = async { gate.reached().await; gate.reached().await } => {}
            }
            h.release_point(Point::DeliverySent);
            notebook.will(Outcome::Suppressed { reason: "no longer so".into() }, 2);
            days(h, &engine, 40).await;
            let rows = all(&engine).await;
            let held: Vec<_> =
                rows.iter().rev().map(|row| (row.state, row.last_error.as_deref())).take(2).collect();
            let over = DeliveryState::Suppressed;
            let unknown = "no longer so; a try before was cut off, and may have left";
            assert_eq!(held, [(over, Some(unknown)), (over, Some("no longer so"))]);
            let (_, tries) = engine.delivery(rows[rows.len() - 1].seq).await.unwrap();
            let tries: Vec<_> = tries.iter().map(|one| (one.attempt, one.outcome.as_str())).collect();
            assert_eq!(tries, [(3, "suppressed"), (1, "retry")], "the second was cut off");
        })
    })
    .await;
}
