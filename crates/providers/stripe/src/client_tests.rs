//! The client against a scripted transport and a clock that only the test moves.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::calls::{IdempotencyKey, customers, subscriptions};
use crate::error::MoneyMoved;
use crate::form::Metadata;
use crate::http::{Exchange, TransportError, TransportErrorKind};

type Answer = Result<HttpResponse, TransportError>;

/// Answers from a list, keeps what was asked, and moves the clock by 7 ms for each exchange.
struct Scripted {
    answers: Mutex<Vec<Answer>>,
    asked: Mutex<Vec<HttpRequest>>,
    clock: Arc<AtomicI64>,
}

impl Transport for Scripted {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        self.asked.lock().unwrap().push(request);
        self.clock.fetch_add(7, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().pop().unwrap_or_else(|| answer(200, CUSTOMER));
        Box::pin(async move { answer })
    }
}

const CUSTOMER: &str = r#"{"id":"cus_1","object":"customer","created":1,"livemode":false,"metadata":{}}"#;

fn answer(status: u16, body: &str) -> Answer {
    let headers =
        vec![("request-id".to_owned(), "req_1".to_owned()), ("retry-after".to_owned(), "3".to_owned())];
    Ok(HttpResponse { status, headers, body: body.as_bytes().to_vec() })
}

fn broken(kind: TransportErrorKind) -> Answer {
    Err(TransportError { kind, message: "connection reset".to_owned() })
}

struct World {
    client: StripeClient,
    transport: Arc<Scripted>,
    clock: Arc<AtomicI64>,
    records: Arc<Mutex<Vec<CallRecord>>>,
}

/// `answers` are given in order; then every answer is a customer.
fn world(mut answers: Vec<Answer>, change: impl FnOnce(&mut StripeConfig)) -> World {
    answers.reverse();
    let clock = Arc::new(AtomicI64::new(1_000_000));
    let records = Arc::new(Mutex::new(Vec::new()));
    let transport = Arc::new(Scripted {
        answers: Mutex::new(answers),
        asked: Mutex::new(Vec::new()),
        clock: clock.clone(),
    });
    let mut config = StripeConfig::new(SecretString::from("sk_test_hush"), false);
    change(&mut config);
    let (time, seen) = (clock.clone(), records.clone());
    let now: NowMs = Arc::new(move || time.load(Ordering::SeqCst));
    let on_call: OnCall = Arc::new(move |record| seen.lock().unwrap().push(record));
    let client = StripeClient::new(config, transport.clone(), now, on_call).unwrap();
    World { client, transport, clock, records }
}

impl World {
    async fn read(&self, priority: Priority) -> Result<(), StripeError> {
        self.client.send(customers::retrieve("cus_1"), priority).await.map(|_| ())
    }

    async fn change(&self) -> Result<(), StripeError> {
        let key = IdempotencyKey::new("k1").unwrap();
        let metadata = Metadata::new().with("quittance_customer", "u1").unwrap();
        let details = customers::CustomerDetails { email: Some("jane@example.com"), ..Default::default() };
        self.client.send(customers::create(details, &metadata, key), Priority::Live).await.map(|_| ())
    }

    fn sent(&self) -> usize {
        self.transport.asked.lock().unwrap().len()
    }

    fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn requests_carry_version_key_and_account() {
    let world = world(vec![], |config| config.account = Some("acct_1".to_owned()));
    world.change().await.unwrap();
    world.read(Priority::Live).await.unwrap();
    let asked = world.transport.asked.lock().unwrap();
    let headers = |index: usize| asked[index].headers.clone();
    let has = |index: usize, name, value: &str| headers(index).contains(&(name, value.to_owned()));
    assert_eq!(asked[0].url(), "https://api.stripe.com/v1/customers");
    assert_eq!(asked[0].body, "email=jane%40example.com&metadata[quittance_customer]=u1");
    assert!(has(0, "Stripe-Version", "2026-10-28.endive"));
    assert!(has(0, "Idempotency-Key", "k1"));
    assert!(has(0, "Stripe-Account", "acct_1"));
    assert_eq!(asked[0].authorization.expose_secret(), "Bearer sk_test_hush");
    assert_eq!(
        (asked[1].method, asked[1].url().as_str()),
        (Method::Get, "https://api.stripe.com/v1/customers/cus_1")
    );
    assert!(asked[1].body.is_empty() && !headers(1).iter().any(|(name, _)| *name == "Idempotency-Key"));
    let shown = format!("{:?} {:?}", world.client, asked);
    assert!(!shown.contains("hush") && !shown.contains("jane"), "{shown}");
}

#[tokio::test]
async fn parameters_of_reads_are_in_the_query() {
    let empty = r#"{"object":"list","has_more":false,"data":[]}"#;
    let world = world(vec![answer(200, empty)], |_| {});
    let call = subscriptions::list(&subscriptions::ListSubscriptions {
        customer: Some("cus_1"),
        ..Default::default()
    });
    let page = world.client.send(call, Priority::Sweep).await.unwrap();
    assert!(page.items.is_empty() && !page.has_more);
    let asked = world.transport.asked.lock().unwrap();
    assert_eq!(asked[0].target, "/v1/subscriptions?status=all&customer=cus_1&limit=100");
}

#[tokio::test]
async fn every_call_is_recorded() {
    let world =
        world(vec![answer(200, CUSTOMER), answer(500, "{}"), broken(TransportErrorKind::Unknown)], |_| {});
    for _ in 0..3 {
        let _ = world.change().await;
    }
    let impossible = world.client.send(customers::retrieve("../x"), Priority::Live).await.unwrap_err();
    assert!(impossible.is_local() && !impossible.is_held_back(), "waiting does not mend it");
    let records = world.records.lock().unwrap();
    let seen: Vec<_> = records.iter().map(|r| (r.endpoint, r.status, r.outcome, r.duration_ms)).collect();
    assert_eq!(
        seen,
        [
            ("customers.create", Some(200), "ok", Some(7)),
            ("customers.create", Some(500), "provider_failed", Some(7)),
            ("customers.create", None, "provider_outcome_unknown", Some(7)),
            ("customers.retrieve", None, "provider_not_found", None),
        ]
    );
    drop(records);
    assert_eq!(world.sent(), 3, "an impossible id is never sent");
}

#[tokio::test]
async fn lost_answers_say_whether_money_can_have_moved() {
    let world = world(vec![broken(TransportErrorKind::Unknown), broken(TransportErrorKind::NotSent)], |_| {});
    let lost = world.change().await.unwrap_err();
    assert_eq!(
        (lost.kind(), lost.money_moved(), lost.is_transient()),
        (&ErrorKind::OutcomeUnknown, MoneyMoved::Unknown, true)
    );
    let unsent = world.change().await.unwrap_err();
    assert_eq!(
        (unsent.kind(), unsent.money_moved(), unsent.is_transient()),
        (&ErrorKind::NotSent, MoneyMoved::No, true)
    );
}

#[tokio::test]
async fn odd_answers_keep_their_request_id() {
    let no_created = r#"{"id":"cus_1","object":"customer","livemode":false}"#;
    let live = r#"{"id":"cus_1","object":"customer","created":1,"livemode":true}"#;
    let listed = r#"{"object":"list","has_more":false,"data":[{"id":"cus_1","livemode":true}]}"#;
    let world = world(vec![answer(200, no_created), answer(200, live), answer(200, listed)], |_| {});
    let shape = world.change().await.unwrap_err();
    assert_eq!(
        (shape.code(), shape.request_id(), shape.status()),
        ("provider_answer_unknown_shape", Some("req_1"), Some(200))
    );
    assert_eq!(shape.money_moved(), MoneyMoved::Unknown, "the change happened, only its answer is odd");
    assert!(shape.to_string().contains("`created`"), "{shape}");
    assert_eq!(world.change().await.unwrap_err().kind(), &ErrorKind::WrongMode);
    let page =
        world.client.send(customers::list(None, crate::calls::Paging::default()), Priority::Live).await;
    assert_eq!(page.unwrap_err().kind(), &ErrorKind::WrongMode);
}

#[tokio::test]
async fn bursts_are_throttled_and_sweeps_leave_a_reserve() {
    let world = world(vec![], |config| {
        config.limits = RateLimits {
            per_second: 4,
            per_endpoint_per_second: 100,
            sweep_reserve: 2,
            ..config.limits.clone()
        };
    });
    world.read(Priority::Sweep).await.unwrap();
    world.read(Priority::Sweep).await.unwrap();
    let held = world.read(Priority::Sweep).await.unwrap_err();
    assert_eq!(
        (held.kind(), held.money_moved(), held.is_transient()),
        (&ErrorKind::Throttled, MoneyMoved::No, true)
    );
    assert!(held.retry_after_ms().is_some_and(|wait| (200..=250).contains(&wait)), "{held}");
    world.read(Priority::Live).await.unwrap();
    world.read(Priority::Live).await.unwrap();
    assert_eq!(world.read(Priority::Live).await.unwrap_err().kind(), &ErrorKind::Throttled);
    assert_eq!(world.sent(), 4);
    world.pass(250);
    world.read(Priority::Live).await.unwrap();
}

#[tokio::test]
async fn one_endpoint_cannot_use_up_the_others_share() {
    let world = world(vec![], |config| {
        config.limits = RateLimits { per_second: 100, per_endpoint_per_second: 2, ..config.limits.clone() };
    });
    world.read(Priority::Live).await.unwrap();
    world.read(Priority::Live).await.unwrap();
    let held = world.read(Priority::Live).await.unwrap_err();
    assert_eq!((held.kind(), held.is_held_back()), (&ErrorKind::Throttled, true));
    world.change().await.unwrap();
}

#[tokio::test]
async fn a_429_holds_everything_back_as_long_as_it_says() {
    let world = world(vec![answer(429, r#"{"error":{"code":"rate_limit"}}"#)], |_| {});
    let limited = world.read(Priority::Live).await.unwrap_err();
    assert_eq!((limited.kind(), limited.retry_after_ms()), (&ErrorKind::RateLimited, Some(3_000)));
    let held = world.change().await.unwrap_err();
    assert_eq!((held.kind(), held.retry_after_ms()), (&ErrorKind::Throttled, Some(3_000)));
    assert_eq!(world.sent(), 1);
    world.pass(3_000);
    world.change().await.unwrap();
}

#[tokio::test]
async fn an_outage_opens_the_circuit_and_one_probe_closes_it() {
    let world = world((0..6).map(|_| answer(503, "busy")).collect(), |config| {
        config.limits = RateLimits { breaker_threshold: 5, breaker_open_ms: 10_000, ..config.limits.clone() };
    });
    for _ in 0..5 {
        assert_eq!(world.read(Priority::Live).await.unwrap_err().kind(), &ErrorKind::Provider);
    }
    assert!(world.client.circuit_is_open());
    let held = world.change().await.unwrap_err();
    assert_eq!((held.kind(), held.money_moved()), (&ErrorKind::CircuitOpen, MoneyMoved::No));
    world.pass(10_000);
    assert_eq!(world.read(Priority::Live).await.unwrap_err().kind(), &ErrorKind::Provider, "the probe");
    assert_eq!(world.read(Priority::Live).await.unwrap_err().kind(), &ErrorKind::CircuitOpen);
    world.pass(10_000);
    world.read(Priority::Live).await.unwrap();
    assert!(!world.client.circuit_is_open());
    assert_eq!(world.sent(), 7);
}

#[tokio::test]
async fn refusals_are_no_outage() {
    let world =
        world((0..20).map(|_| answer(402, r#"{"error":{"code":"card_declined"}}"#)).collect(), |_| {});
    for _ in 0..10 {
        let declined = world.change().await.unwrap_err();
        assert_eq!((declined.code(), declined.money_moved()), ("payment_declined", MoneyMoved::No));
    }
    assert!(!world.client.circuit_is_open());
}
