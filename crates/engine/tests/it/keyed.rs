//! One `Idempotency-Key`, and a call that takes so long that another with its key runs beside it.

use std::sync::Arc;

use quittance_domain::ids::ApiKeyId;
use quittance_engine::api_keys::Caller;
use quittance_engine::idempotency::{Answer, Ended, Request};
use quittance_engine::{Problem, ProblemCode};
use tokio::sync::Notify;

use crate::house::{House, on_each};

fn request() -> Request {
    let caller = Caller { key: ApiKeyId::derived(&["app"]), scopes: Vec::new() };
    Request::new(Arc::new(caller), Some("one".into()), "POST", "/v1/checkouts", b"{}")
}

fn refusal(problem: &Problem) -> Answer {
    Answer { status: 503, body: problem.to_string() }
}

fn says(body: &str) -> Answer {
    Answer { status: 200, body: body.to_owned() }
}

fn pass_lease(h: &House) {
    h.pass_ms(h.engine.settings().retry.lease_ms + 1);
}

#[tokio::test]
async fn who_is_overtaken_answers_what_the_other_was_told() {
    on_each(|h| {
        Box::pin(async move {
            let request = request();
            let work = |_| async {
                pass_lease(h);
                let quick = h.engine.once(&request, refusal, |_| async { Ok(says("quick")) }).await;
                assert!(matches!(&quick, Ended::Done(answer) if *answer == says("quick")), "{quick:?}");
                Ok(says("slow"))
            };
            let slow = h.engine.once(&request, refusal, work).await;
            assert!(matches!(&slow, Ended::Replayed(answer) if *answer == says("quick")), "{slow:?}");
            let again = h.engine.once(&request, refusal, |_| async { Ok(says("again")) }).await;
            assert!(matches!(&again, Ended::Replayed(answer) if *answer == says("quick")), "{again:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn who_is_overtaken_gives_no_key_back_that_another_holds() {
    on_each(|h| {
        Box::pin(async move {
            let request = request();
            let (late, taken, over) = (Notify::new(), Notify::new(), Notify::new());
            let busy = || Problem::new(ProblemCode::ProviderUnavailable, "busy", "later").retry_after(1);
            let slow = async {
                let work = |_| async {
                    pass_lease(h);
                    late.notify_one();
                    taken.notified().await;
                    Err(busy())
                };
                let slow = h.engine.once(&request, refusal, work).await;
                assert!(matches!(&slow, Ended::Refused(..)), "{slow:?}");
                let third = h.engine.once(&request, refusal, |_| async { Ok(says("third")) }).await;
                over.notify_one();
                assert!(
                    matches!(&third, Ended::Refused(problem, _) if problem.code == ProblemCode::IdempotencyInFlight),
                    "{third:?}"
                );
            };
            let quick = async {
                late.notified().await;
                let work = |_| async {
                    taken.notify_one();
                    over.notified().await;
                    Ok(says("quick"))
                };
                let quick = h.engine.once(&request, refusal, work).await;
                assert!(matches!(&quick, Ended::Done(answer) if *answer == says("quick")), "{quick:?}");
            };
            tokio::join!(slow, quick);
        })
    })
    .await;
}
