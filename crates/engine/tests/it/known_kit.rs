//! Tools for the tests named after known failures: other programs on the account, bent answers, and what to look at afterwards.

use std::sync::{Arc, Mutex};

use quittance_domain::Catalog;
use quittance_domain::notices::NoticeKind;
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::{Engine, Settings};
use quittance_sandbox::Delivery;
use quittance_store::aggregates::AggregateRow;
use quittance_store::notices::NoticeRow;
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::{RateLimits, StripeConfig};
use quittance_stripe::http::{Exchange, HttpRequest, Transport};
use serde_json::Value;

use crate::house::{House, SECRET, SandboxTransport, catalog, customer, pro};

/// Changes an answer of the provider: the request's target and the answer's body.
pub type Bend = Box<dyn Fn(&str, &mut Value) + Send + Sync>;

/// Carries calls as the house does, and lets a test change the answers: shapes and words that the sandbox does not have.
pub struct Bent {
    inner: Arc<SandboxTransport>,
    bend: Mutex<Option<Bend>>,
}

impl Bent {
    /// From now on every answer goes through `bend`.
    pub fn bend(&self, bend: impl Fn(&str, &mut Value) + Send + Sync + 'static) {
        *self.bend.lock().unwrap() = Some(Box::new(bend));
    }

    /// From now on answers are what the sandbox says.
    pub fn straighten(&self) {
        *self.bend.lock().unwrap() = None;
    }
}

impl Transport for Bent {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        Box::pin(async move {
            let target = request.target.clone();
            let mut answer = self.inner.send(request).await?;
            if let Some(bend) = &*self.bend.lock().unwrap()
                && let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body)
            {
                let refused = body.get("error").is_some();
                bend(&target, &mut body);
                if refused && body.get("error").is_none() {
                    answer.status = 200;
                }
                answer.body = serde_json::to_vec(&body).unwrap();
            }
            Ok(answer)
        })
    }
}

/// An engine on the house's database whose provider can be bent.
pub async fn bent_engine(h: &House, mut settings: Settings, catalog: Catalog) -> (Engine, Arc<Bent>) {
    if settings.webhook_secrets.is_empty() {
        settings.webhook_secrets = vec![SECRET.to_owned().into()];
    }
    let mut config = StripeConfig::new("sk_test_house".to_owned().into(), false);
    config.limits = RateLimits {
        per_second: 100_000,
        per_endpoint_per_second: 100_000,
        breaker_threshold: 1_000,
        ..config.limits
    };
    let clock = h.world.clone();
    let now = Arc::new(move || quittance_engine::World::now(&*clock).ms());
    let bent = Arc::new(Bent { inner: h.transport.clone(), bend: Mutex::new(None) });
    let client = StripeClient::new(config, bent.clone(), now, Arc::new(|_| {})).unwrap();
    let engine =
        Engine::open(h.test.db.clone(), Arc::new(client), Arc::new(catalog), settings, h.world.clone());
    (engine.await.unwrap(), bent)
}

type Boxed<'a> = std::pin::Pin<Box<dyn std::future::Future<Output = ()> + 'a>>;

/// As `on_each`, in a house whose provider can be bent.
pub async fn on_each_bent<F>(story: F)
where
    F: for<'a> Fn(&'a House, &'a Bent) -> Boxed<'a>,
{
    for test in quittance_store::testing::databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let mut house = House::build(test).await;
        let (engine, bent) = bent_engine(&house, Settings::default(), catalog()).await;
        house.engine = engine;
        story(&house, &bent).await;
    }
}

/// As `on_each`, with a catalog of its own.
pub async fn on_each_selling<F>(text: &str, story: F)
where
    F: for<'a> Fn(&'a House) -> Boxed<'a>,
{
    for test in quittance_store::testing::databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let house = House::with(test, Settings::default(), Catalog::parse(text).unwrap()).await;
        story(&house).await;
    }
}

/// The subscriptions in an answer: those of a list, or the one that it is.
pub fn each_subscription(body: &mut Value, change: impl Fn(&mut Value)) {
    change_each(body, &change);
}

fn change_each(body: &mut Value, change: &dyn Fn(&mut Value)) {
    match body["object"].as_str() {
        Some("list") => {
            for found in body["data"].as_array_mut().into_iter().flatten() {
                change_each(found, change);
            }
        }
        Some("subscription") => change(body),
        Some(_) | None => {}
    }
}

pub fn operator() -> Caller {
    Caller { key: quittance_domain::ids::ApiKeyId::derived(&["operator"]), scopes: KeyScope::ALL.to_vec() }
}

/// The provider's customer of a subscription.
pub fn buyer_of(h: &House, subscription: &str) -> String {
    text(&h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "")["customer"])
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

pub fn price_id(h: &House, lookup_key: &str) -> String {
    text(&h.provider("GET", "/v1/prices", &format!("lookup_keys[]={lookup_key}"))["data"][0]["id"])
}

/// A monthly price that the catalog does not name.
pub fn odd_price(h: &House) -> String {
    let product = text(&h.provider("POST", "/v1/products", "name=Gold")["id"]);
    let form = format!("product={product}&currency=jpy&unit_amount=500&recurring[interval]=month");
    text(&h.provider("POST", "/v1/prices", &form)["id"])
}

/// Puts a card on a provider's customer and makes it the one that pays.
pub fn give_card(h: &House, buyer: &str, card: &str) -> String {
    let path = format!("/v1/payment_methods/{card}/attach");
    let method = text(&h.provider("POST", &path, &format!("customer={buyer}"))["id"]);
    let form = format!("invoice_settings[default_payment_method]={method}");
    h.provider("POST", &format!("/v1/customers/{buyer}"), &form);
    method
}

/// A customer with a working card, made at the provider by somebody else.
pub fn foreign_buyer(h: &House, form: &str) -> String {
    let buyer = text(&h.provider("POST", "/v1/customers", form)["id"]);
    give_card(h, &buyer, "pm_card_visa");
    buyer
}

/// A subscription made by somebody else; its id.
pub fn foreign_subscription(h: &House, buyer: &str, price: &str, more: &str) -> String {
    let form = format!("customer={buyer}&items[0][price]={price}{more}");
    text(&h.provider("POST", "/v1/subscriptions", &form)["id"])
}

/// Makes the next charges of a subscription fail.
pub fn break_card(h: &House, subscription: &str) {
    use_card(h, subscription, "pm_card_chargeCustomerFail");
}

pub fn use_card(h: &House, subscription: &str, card: &str) {
    let method = give_card(h, &buyer_of(h, subscription), card);
    let form = format!("default_payment_method={method}");
    h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &form);
}

/// Sets how the provider retries, and what follows when its tries are used up.
pub fn retry_settings(h: &House, settings: &Value) {
    let mut request = quittance_sandbox::HttpRequest::new("PUT", "/_sandbox/settings", "sk_test_house", "");
    request.body = settings.to_string().into_bytes();
    request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    let set = h.sandbox.handle(request);
    assert_eq!(set.status, 200, "{}", set.value());
}

/// A call that may be refused; its status.
pub fn attempt(h: &House, method: &str, path: &str, form: &str) -> u16 {
    h.sandbox.handle(quittance_sandbox::HttpRequest::new(method, path, "sk_test_house", form)).status
}

/// The newest invoice of a subscription.
pub fn newest_invoice(h: &House, subscription: &str) -> String {
    text(&h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "")["latest_invoice"])
}

/// The payment behind the newest charge of a provider's customer.
pub fn newest_payment(h: &House, buyer: &str) -> String {
    text(&h.provider("GET", "/v1/charges", &format!("customer={buyer}"))["data"][0]["payment_intent"])
}

/// A subscriber whose first renewal has failed.
pub async fn failing_subscriber(h: &House, id: &str) -> String {
    let subscription = h.subscriber(id).await;
    break_card(h, &subscription);
    h.live(29).await;
    let status = h.engine.subscription(&subscription).await.unwrap().subscription.facts.status;
    assert_eq!(status.as_str(), "past_due");
    subscription
}

/// What a customer was told about failed payments, newest first.
pub async fn notices(h: &House, customer: &str) -> Vec<NoticeRow> {
    told(h, customer, Some(NoticeKind::PaymentFailed)).await
}

/// What a customer was told, newest first.
pub async fn told(h: &House, customer: &str, kind: Option<NoticeKind>) -> Vec<NoticeRow> {
    let id = customer.to_owned();
    let read = move |tx: &mut dyn quittance_store::Tx| {
        quittance_store::notices::of_customer(tx, &id, i64::MAX, kind, 500)
    };
    h.test.db.read("test.notices", read).await.unwrap()
}

/// The kinds of the alerts that stand.
pub async fn standing_alerts(h: &House) -> Vec<String> {
    h.engine.alerts(false, i64::MAX, 100).await.unwrap().into_iter().map(|alert| alert.kind).collect()
}

/// How many lines of one kind a customer's timeline has.
pub async fn lines_of(h: &House, customer: &str, kind: &str) -> usize {
    let lines = h.engine.timeline(customer, i64::MAX, 500).await.unwrap();
    lines.iter().filter(|line| line.kind == kind).count()
}

pub async fn nothing_parked(h: &House) -> bool {
    let parked = h.engine.parked(10).await.unwrap();
    parked.aggregates.is_empty() && parked.commands.is_empty()
}

pub async fn aggregate(h: &House, key: &str) -> AggregateRow {
    let key = key.to_owned();
    let row = h.test.db.read("test.aggregate", move |tx| quittance_store::aggregates::get(tx, &key)).await;
    row.unwrap().unwrap()
}

/// Signs a body with the house's secret and hands it in.
pub async fn hand_raw(
    h: &House,
    body: &str,
) -> Result<quittance_store::inbox::Accepted, quittance_engine::problem::Problem> {
    let header = quittance_sandbox::signature_header(SECRET, h.engine.now().seconds(), body.as_bytes());
    h.engine.accept_stripe(Some(header.as_bytes()), body.as_bytes()).await
}

/// The same delivery, signed now.
pub fn resigned(h: &House, mut delivery: Delivery) -> Delivery {
    let header = quittance_sandbox::signature_header(SECRET, h.engine.now().seconds(), &delivery.body);
    for (name, value) in &mut delivery.headers {
        if name.eq_ignore_ascii_case("stripe-signature") {
            value.clone_from(&header);
        }
    }
    delivery
}

/// The same event under another id, as if the provider had made it anew.
pub fn renamed(h: &House, delivery: &Delivery, suffix: &str) -> Delivery {
    let body = String::from_utf8(delivery.body.clone()).unwrap();
    let body = body.replace(&delivery.event_id, &format!("{}{suffix}", delivery.event_id));
    resigned(h, Delivery { body: body.into_bytes(), ..delivery.clone() })
}

/// Makes an event by hand.
pub fn event(id: &str, kind: &str, object: &Value) -> String {
    serde_json::json!({
        "id": id, "object": "event", "type": kind, "livemode": false, "created": crate::house::START,
        "data": { "object": object }
    })
    .to_string()
}

/// A paid Pro subscription with this card, and the provider's customer and payment behind it.
pub async fn bought_with(h: &House, id: &str, card: &str) -> (String, String) {
    let row = h.open(&pro(id)).await;
    h.pay(row.session.as_deref().unwrap(), card);
    h.settle().await;
    for _ in 0..3 {
        h.sandbox.advance_time(60);
        h.settle().await;
    }
    let buyer = h.engine.known_provider_customer(&customer(id)).await.unwrap().unwrap();
    let payment = newest_payment(h, &buyer);
    (buyer, payment)
}
