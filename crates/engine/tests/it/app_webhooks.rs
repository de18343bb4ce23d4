//! App webhooks on their way: signed by the scheme, in order for each customer and endpoint, again until they are taken.

use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_domain::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use quittance_engine::app_webhooks::{EndpointPatch, NewEndpoint, Replay};
use quittance_engine::grants::NewGrant;
use quittance_engine::world::Point;
use quittance_engine::{ProblemCode, Settings};
use quittance_store::customers::CustomerPatch;
use quittance_store::deliveries::{DeliveryRow, Filter};

use crate::app_kit::{App, Does, app_of, endpoint, on_each_keyed as on_each, tell, told};
use crate::house::{House, customer};
use crate::known_kit::operator;

const A: &str = "https://a.example.com/hooks";
const B: &str = "https://b.example.com/hooks";

/// Changes what a customer has, `times` times: two events each.
async fn changes(h: &House, id: &str, times: usize) {
    h.engine.put_customer(&customer(id), CustomerPatch::default()).await.unwrap();
    for n in 0..times {
        let new = NewGrant {
            plan: None,
            feature: Some("review:request".into()),
            limit: Some(i64::try_from(n).unwrap() + 1),
            expires_at: None,
            reason: "a test".into(),
            idempotency: None,
        };
        h.engine.grant(&customer(id), &new, &operator()).await.unwrap();
    }
}

async fn deliveries(h: &House, state: Option<DeliveryState>) -> Vec<DeliveryRow> {
    let filter = Filter { channel: Some(Channel::Webhook), state, ..Filter::default() };
    h.engine.deliveries(filter, i64::MAX, 1_000).await.unwrap()
}

fn ids(app: &App, url: &str) -> Vec<String> {
    app.got(url).into_iter().map(|got| got.id).collect()
}

async fn ids_told(h: &House, id: &str) -> Vec<String> {
    told(h, id).await.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_endpoint_gets_what_it_wants_signed_with_its_own_secret() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            let (_, first) = endpoint(h, A, &[]).await;
            let (_, second) = endpoint(h, B, &["customer.access_changed"]).await;
            changes(h, "ada", 3).await;
            h.engine.drain().await.unwrap();
            assert_eq!(ids(&app, A), ids_told(h, "ada").await, "all, in order");
            assert_eq!(app.kinds(B), ["customer.access_changed"]);
            for got in app.got(A) {
                assert!(got.verifies(&first) && !got.verifies(&second));
                assert_eq!(got.at, h.engine.now().seconds());
            }
            assert!(app.got(B)[0].verifies(&second));
            // Another body, another id and another time are another signature.
            let mut forged = app.got(A)[0].clone();
            forged.body.push(' ');
            assert!(!forged.verifies(&first));
            let mut forged = app.got(A)[0].clone();
            forged.id.push('0');
            assert!(!forged.verifies(&first));
            let mut forged = app.got(A)[0].clone();
            forged.at += 1;
            assert!(!forged.verifies(&first));
        })
    })
    .await;
}

#[tokio::test]
async fn a_failing_endpoint_keeps_its_order_and_holds_nobody_else_back() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, A, &[]).await;
            endpoint(h, B, &[]).await;
            app.next(A, &[Does::Answers(500), Does::Breaks]);
            changes(h, "ada", 2).await;
            h.engine.drain().await.unwrap();
            assert_eq!(ids(&app, A), Vec::<String>::new(), "the first failed, and the others wait for it");
            assert_eq!(ids(&app, B), ids_told(h, "ada").await);
            // Another customer's lane goes on at the failing endpoint, once it answers again.
            h.pass_ms(6 * SECOND_MS);
            h.engine.drain().await.unwrap();
            assert_eq!(ids(&app, A), Vec::<String>::new(), "the second try broke");
            changes(h, "bob", 1).await;
            h.engine.drain().await.unwrap();
            assert_eq!(ids(&app, A), ids_told(h, "bob").await);
            app.forget();
            h.pass_ms(5 * MINUTE_MS + 31 * SECOND_MS);
            h.engine.drain().await.unwrap();
            assert_eq!(ids(&app, A), ids_told(h, "ada").await, "in order, each once");
            let first = deliveries(h, None).await.into_iter().find(|row| row.attempts > 1).unwrap();
            let (_, tries) = h.engine.delivery(first.seq).await.unwrap();
            let said: Vec<&str> = tries.iter().rev().map(|one| one.detail.as_str()).collect();
            assert_eq!(said, ["500: answer 500", "the connection broke", "200: answer 200"]);
            let row = &h.engine.endpoints().await.unwrap()[0];
            assert_eq!((row.url.as_str(), row.failing_since), (A, None), "it works again");
        })
    })
    .await;
}

/// Waits until something is so; far beyond that it is not going to be.
async fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if so() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it never came to be");
}

/// An endpoint that does not answer holds its own places and nothing else: other endpoints, other customers, and what comes
/// later go on.
#[tokio::test]
async fn a_slow_endpoint_holds_nobody_elses_messages() {
    for test in quittance_store::testing::databases().await {
        let mut settings = Settings {
            root_key: Some("a root key of thirty-two characters".to_owned().into()),
            ..Settings::default()
        };
        // Nothing here ends because it took too long.
        settings.app_webhooks.timeout_ms = 3_600_000;
        settings.retry.lease_ms = 100 * DAY_MS;
        let h = &House::with(test, settings, crate::house::catalog()).await;
        let app = app_of(h);
        endpoint(h, A, &[]).await;
        endpoint(h, B, &[]).await;
        app.next(A, &vec![Does::Hangs; 8]);
        let names: Vec<String> = (0..10).map(|n| format!("customer_{n}")).collect();
        changes(h, &names[0], 1).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let worker = tokio::spawn(h.engine.clone().work_until(async move { drop(stopped.await) }));
        until(|| app.hanging() == 1).await;
        let first = ids_told(h, &names[0]).await;
        until(|| ids(&app, B) == first).await;
        // What comes while it hangs goes to the other endpoint at once, and takes the rest of the places of this one.
        let mut all = first.len();
        for name in &names[1..] {
            changes(h, name, 1).await;
            all += ids_told(h, name).await.len();
        }
        h.engine.wake();
        until(|| app.hanging() == 8 && ids(&app, B).len() == all).await;
        assert!(ids(&app, A).is_empty(), "eight hang, and two wait for a place");
        // One place is free: who waited goes on, while the others still hang.
        app.release();
        until(|| ids(&app, A).len() >= 3 * first.len() && app.hanging() == 7).await;
        for _ in 0..7 {
            app.release();
        }
        until(|| ids(&app, A).len() == all && app.hanging() == 0).await;
        for name in &names {
            let told = ids_told(h, name).await;
            let got: Vec<String> = ids(&app, A).into_iter().filter(|id| told.contains(id)).collect();
            assert_eq!(got, told, "{name}: in order, each once");
        }
        stop.send(()).unwrap();
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn the_schedule_is_kept_and_retry_after_is_honoured() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, A, &["customer.access_changed"]).await;
            app.next(A, &[Does::AsksToWait(429, "3600"), Does::Answers(302)]);
            changes(h, "ada", 1).await;
            h.engine.drain().await.unwrap();
            let wait = |row: &DeliveryRow, h: &House| row.next_attempt_at.since(h.engine.now());
            let row = deliveries(h, None).await.remove(0);
            assert!((3_599_000..=3_600_000).contains(&wait(&row, h)), "{}", wait(&row, h));
            h.pass_ms(3_600_001);
            h.engine.drain().await.unwrap();
            let row = deliveries(h, None).await.remove(0);
            assert!((290_000..=330_000).contains(&wait(&row, h)), "five minutes: {}", wait(&row, h));
            assert!(row.last_error.as_deref().unwrap().contains("redirects are not followed"));
            assert_eq!(app.kinds(A), Vec::<String>::new());
            // Given up after the whole schedule, with an alert that names the mend.
            app.next(A, &vec![Does::Answers(500); 20]);
            let mut row = row;
            for _ in 0..20 {
                if row.state == DeliveryState::Pending {
                    h.pass_ms(wait(&row, h).max(0) + 1);
                    h.engine.drain().await.unwrap();
                    row = deliveries(h, None).await.remove(0);
                }
            }
            assert_eq!(row.state, DeliveryState::Failed, "given up, and not merely left out: {row:?}");
            assert!(row.last_error.as_deref().unwrap().contains("500"), "by the last answer: {row:?}");
            assert!(row.attempts > 8, "after the whole schedule: {row:?}");
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            let given_up = alerts.iter().find(|alert| alert.kind == "delivery_failed");
            assert!(given_up.is_some_and(|alert| alert.mend.contains("deliveries retry")), "{alerts:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_switched_off_and_replayed_when_it_is_back() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            let (id, _) = endpoint(h, A, &[]).await;
            let began = h.engine.now();
            app.next(A, &[Does::Answers(410)]);
            changes(h, "ada", 2).await;
            h.engine.drain().await.unwrap();
            let row = h.engine.endpoint(&id).await.unwrap();
            assert_eq!(row.disabled_why.as_deref(), Some("it answered 410 Gone"));
            assert_eq!(app.got(A).len(), 0);
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            let alert = alerts.iter().find(|alert| alert.kind == "webhook_endpoint_disabled").unwrap();
            assert!(alert.mend.contains(&format!("quittance webhooks enable {id}")), "{}", alert.mend);
            // Nothing new is written down for it, and it cannot be asked to take anything.
            changes(h, "bob", 1).await;
            h.engine.drain().await.unwrap();
            assert!(deliveries(h, Some(DeliveryState::Pending)).await.is_empty());
            let since = Replay::Since(began);
            let refused = h.engine.replay_to(&id, &since, None).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::WrongState);
            assert_eq!(h.engine.ping_endpoint(&id).await.unwrap_err().code, ProblemCode::WrongState);
            let on = EndpointPatch { enabled: Some(true), ..EndpointPatch::default() };
            h.engine.update_endpoint(&id, &on).await.unwrap();
            let standing = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(standing.iter().all(|alert| alert.kind != "webhook_endpoint_disabled"));
            let replayed = h.engine.replay_to(&id, &since, Some("a key")).await.unwrap();
            let again = h.engine.replay_to(&id, &since, Some("a key")).await.unwrap();
            assert_eq!(again.events, 0, "the same request queues once");
            h.engine.drain().await.unwrap();
            let mut all = ids_told(h, "ada").await;
            assert_eq!(
                app.got(A)
                    .iter()
                    .filter(|got| all.contains(&got.id))
                    .map(|got| got.id.clone())
                    .collect::<Vec<_>>(),
                all
            );
            all.extend(ids_told(h, "bob").await);
            assert_eq!((replayed.events, app.got(A).len()), (all.len(), all.len()));
            // One event, once more, with the id that it always had.
            app.forget();
            let one = Replay::Event(all[0].clone());
            h.engine.replay_to(&id, &one, None).await.unwrap();
            h.engine.drain().await.unwrap();
            assert_eq!(ids(&app, A), [all[0].clone()]);
            let unknown = h.engine.replay_to(&id, &Replay::Event("aev_none".into()), None).await.unwrap_err();
            assert_eq!(unknown.code, ProblemCode::NotFound);
        })
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_fails_for_days_is_switched_off() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            let (id, _) = endpoint(h, A, &["customer.access_changed"]).await;
            app.next(A, &vec![Does::Answers(500); 100]);
            changes(h, "ada", 1).await;
            h.engine.drain().await.unwrap();
            let since = h.engine.endpoint(&id).await.unwrap().failing_since.unwrap();
            h.pass_ms(5 * DAY_MS - MINUTE_MS);
            changes(h, "bob", 1).await;
            h.engine.drain().await.unwrap();
            let row = h.engine.endpoint(&id).await.unwrap();
            assert_eq!((row.failing_since, row.disabled_at), (Some(since), None), "not yet");
            h.pass_ms(2 * DAY_MS);
            h.engine.drain().await.unwrap();
            let row = h.engine.endpoint(&id).await.unwrap();
            assert!(row.disabled_why.unwrap().contains("every attempt since"));
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            let alert = alerts.iter().find(|alert| alert.kind == "webhook_endpoint_disabled").unwrap();
            assert!(alert.mend.contains(&format!("--since {since}")), "{}", alert.mend);
            // Switched on again it has its days anew, and of what it missed it gets what it wants.
            let on = EndpointPatch { enabled: Some(true), ..EndpointPatch::default() };
            h.engine.update_endpoint(&id, &on).await.unwrap();
            let replayed = h.engine.replay_to(&id, &Replay::Since(since), None).await.unwrap();
            let (mut wanted, mut others) = (0, 0);
            for event in told(h, "ada").await.iter().chain(&told(h, "bob").await) {
                *(if event["type"] == "customer.access_changed" { &mut wanted } else { &mut others }) += 1;
            }
            assert!(others > 0, "there are events that it does not want");
            assert_eq!(replayed.events, wanted);
            h.pass_ms(DAY_MS);
            h.engine.drain().await.unwrap();
            let row = h.engine.endpoint(&id).await.unwrap();
            assert!(row.failing_since.unwrap() > since);
            assert_eq!(row.disabled_at, None, "it has failed for no days yet");
        })
    })
    .await;
}

#[tokio::test]
async fn both_secrets_sign_while_one_is_rotated() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            let (id, old) = endpoint(h, A, &["customer.access_changed"]).await;
            let (_, new) = h.engine.rotate_secret(&id, 3_600_000).await.unwrap();
            changes(h, "ada", 1).await;
            h.engine.drain().await.unwrap();
            let got = app.got(A).remove(0);
            assert!(got.verifies(&old) && got.verifies(&new));
            h.pass_ms(3_600_001);
            changes(h, "bob", 1).await;
            h.engine.drain().await.unwrap();
            let got = app.got(A).remove(1);
            assert!(!got.verifies(&old) && got.verifies(&new));
            let (_, newest) = h.engine.rotate_secret(&id, 0).await.unwrap();
            changes(h, "eve", 1).await;
            h.engine.drain().await.unwrap();
            let got = app.got(A).remove(2);
            assert!(!got.verifies(&new) && got.verifies(&newest));
            for wrong in [-1, 31 * DAY_MS] {
                let refused = h.engine.rotate_secret(&id, wrong).await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::InvalidRequest);
            }
        })
    })
    .await;
}

/// Killed between sending and recording: it comes again, and the app can tell that it is the same.
#[tokio::test]
async fn what_was_sent_and_not_recorded_comes_again_under_the_same_id() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, A, &[]).await;
            changes(h, "ada", 1).await;
            let gate = h.hold_point(Point::DeliverySent);
            let engine = h.engine.clone();
            let dying = tokio::spawn(async move { engine.deliver_due().await });
            gate.reached().await;
            dying.abort();
            let _killed = dying.await;
            h.release_point(Point::DeliverySent);
            assert_eq!(app.got(A).len(), 1);
            let other = h.another_engine().await;
            tell(&other, &app);
            other.drain().await.unwrap();
            assert_eq!(app.got(A).len(), 1, "the lease holds, and the order too");
            h.pass_ms(h.engine.settings().retry.lease_ms + 1);
            other.drain().await.unwrap();
            let all = ids_told(h, "ada").await;
            let mut expected = vec![all[0].clone()];
            expected.extend(all);
            assert_eq!(ids(&app, A), expected, "the first twice, then the rest in order");
        })
    })
    .await;
}

#[tokio::test]
async fn two_workers_deliver_each_message_once_and_in_order() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, A, &[]).await;
            endpoint(h, B, &[]).await;
            app.next(A, &[Does::Answers(503)]);
            for id in ["ada", "bob", "eve"] {
                changes(h, id, 4).await;
            }
            let other = h.another_engine().await;
            tell(&other, &app);
            for _ in 0..2 {
                let (one, two) = tokio::join!(h.engine.drain(), other.drain());
                one.unwrap();
                two.unwrap();
                h.pass_ms(6 * SECOND_MS);
            }
            h.engine.drain().await.unwrap();
            for id in ["ada", "bob", "eve"] {
                let all = ids_told(h, id).await;
                for url in [A, B] {
                    let got: Vec<String> =
                        ids(&app, url).into_iter().filter(|one| all.contains(one)).collect();
                    assert_eq!(got, all, "{id} at {url}");
                }
            }
        })
    })
    .await;
}

#[tokio::test]
async fn pings_go_to_one_endpoint_and_removed_endpoints_get_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let app = app_of(h);
            let (first, secret) = endpoint(h, A, &["payment.failed"]).await;
            endpoint(h, B, &[]).await;
            let event = h.engine.ping_endpoint(&first).await.unwrap();
            h.engine.drain().await.unwrap();
            assert_eq!((app.kinds(A), app.kinds(B)), (vec!["webhook.ping".to_owned()], Vec::new()));
            assert!(app.got(A)[0].verifies(&secret) && app.got(A)[0].id == event.as_str());
            app.next(B, &[Does::Answers(500)]);
            changes(h, "ada", 1).await;
            h.engine.drain().await.unwrap();
            for row in h.engine.endpoints().await.unwrap() {
                h.engine.delete_endpoint(row.id.as_str()).await.unwrap();
            }
            h.pass_ms(MINUTE_MS);
            h.engine.drain().await.unwrap();
            assert_eq!(app.got(B).len(), 0);
            let rows = deliveries(h, Some(DeliveryState::Suppressed)).await;
            assert!(
                !rows.is_empty()
                    && rows.iter().all(|row| row.last_error.as_deref() == Some("the endpoint was removed"))
            );
            let gone = h.engine.delete_endpoint(&first).await.unwrap_err();
            assert_eq!(gone.code, ProblemCode::NotFound);
        })
    })
    .await;
}

#[tokio::test]
async fn addresses_inside_and_types_that_are_none_are_refused() {
    on_each(|h| {
        Box::pin(async move {
            for url in ["http://a.example.com/", "https://127.0.0.1/", "https://169.254.169.254/latest", "a"]
            {
                let new = NewEndpoint { url: url.to_owned(), ..NewEndpoint::default() };
                let refused = h.engine.create_endpoint(&new, "a test").await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::InvalidRequest, "{url}");
            }
            for kind in ["payment.paid", "webhook.ping", ""] {
                let new = NewEndpoint { url: A.into(), types: vec![kind.into()], ..NewEndpoint::default() };
                let refused = h.engine.create_endpoint(&new, "a test").await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::InvalidRequest, "{kind}");
            }
            let (id, _) = endpoint(h, A, &[]).await;
            let inward = EndpointPatch { url: Some("https://10.0.0.1/".into()), ..EndpointPatch::default() };
            let refused = h.engine.update_endpoint(&id, &inward).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::InvalidRequest);
            // The same request makes one endpoint, and shows the secret once.
            let new =
                NewEndpoint { url: B.into(), idempotency: Some("seed".into()), ..NewEndpoint::default() };
            let (row, secret) = h.engine.create_endpoint(&new, "a test").await.unwrap();
            let (same, none) = h.engine.create_endpoint(&new, "a test").await.unwrap();
            assert_eq!((row.id, secret.is_some(), none.is_none()), (same.id, true, true));
        })
    })
    .await;
}

/// An address that other settings allowed is not reached under those of now.
#[tokio::test]
async fn an_address_is_looked_at_again_before_each_sending() {
    for test in quittance_store::testing::databases().await {
        let root_key = Some("a root key of thirty-two characters".to_owned().into());
        let strict = Settings { root_key, ..Settings::default() };
        let mut loose = strict.clone();
        loose.app_webhooks.reach.plain_http = true;
        let h = &House::with(test, loose, crate::house::catalog()).await;
        let plain = "http://a.example.com/hooks";
        endpoint(h, plain, &["customer.access_changed"]).await;
        changes(h, "ada", 1).await;
        let app = std::sync::Arc::new(App::default());
        let engine = h.engine_with(strict).await;
        tell(&engine, &app);
        engine.drain().await.unwrap();
        assert!(app.got(plain).is_empty());
        let row = deliveries(h, None).await.remove(0);
        assert!(row.attempts == 1 && row.last_error.unwrap().contains("https"), "refused, not sent");
    }
}
