//! The operator's app on the other side of webhooks: it answers as it is told, keeps what came, and verifies each message
//! by the published Standard Webhooks scheme, written here anew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use quittance_domain::Timestamp;
use quittance_domain::delivery::Channel;
use quittance_engine::Settings;
use quittance_engine::app_webhooks::send::{Answered, Message, SendError, Sender, Sending};
use quittance_engine::app_webhooks::{NewEndpoint, WebhookCourier};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::Notify;

use crate::house::{House, catalog};

/// What an endpoint does with the next message.
#[derive(Clone, Debug)]
pub enum Does {
    Answers(u16),
    AsksToWait(u16, &'static str),
    Breaks,
    /// Takes the message and says nothing until it is released; then 200.
    Hangs,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Got {
    pub url: String,
    pub id: String,
    pub at: i64,
    pub signatures: String,
    pub body: String,
}

impl Got {
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn kind(&self) -> String {
        self.value()["type"].as_str().unwrap().to_owned()
    }

    /// Whether one of the signatures is that of this secret over this message.
    pub fn verifies(&self, secret: &SecretString) -> bool {
        let key = secret.expose_secret().strip_prefix("whsec_").unwrap();
        let key = base64::engine::general_purpose::STANDARD.decode(key).unwrap();
        assert!((24..=64).contains(&key.len()), "the scheme wants 24 to 64 bytes");
        self.signatures.split(' ').any(|one| {
            let (version, signature) = one.split_once(',').unwrap();
            let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            for part in [self.id.as_str(), ".", &self.at.to_string(), ".", &self.body] {
                mac.update(part.as_bytes());
            }
            version == "v1" && mac.verify_slice(&signature).is_ok()
        })
    }
}

/// The app.
#[derive(Default)]
pub struct App {
    got: Mutex<Vec<Got>>,
    does: Mutex<BTreeMap<String, VecDeque<Does>>>,
    /// Messages about one customer that are under way at once to one endpoint; more than one is out of order.
    under_way: Mutex<Vec<(String, Value)>>,
    hanging: AtomicUsize,
    released: Notify,
}

impl App {
    /// How many messages hang now.
    pub fn hanging(&self) -> usize {
        self.hanging.load(Ordering::SeqCst)
    }

    /// Lets one that hangs be answered.
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// What the next messages to an address meet; afterwards each is answered 200.
    pub fn next(&self, url: &str, does: &[Does]) {
        self.does.lock().unwrap().entry(url.to_owned()).or_default().extend(does.iter().cloned());
    }

    pub fn got(&self, url: &str) -> Vec<Got> {
        self.got.lock().unwrap().iter().filter(|got| got.url == url).cloned().collect()
    }

    pub fn kinds(&self, url: &str) -> Vec<String> {
        self.got(url).iter().map(Got::kind).collect()
    }

    pub fn forget(&self) {
        self.got.lock().unwrap().clear();
    }

    async fn take(&self, message: &Message) -> Result<Answered, SendError> {
        let header = |wanted: &str| {
            let found = message.headers.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.clone()).unwrap_or_else(|| panic!("no {wanted}"))
        };
        assert_eq!(header("content-type"), "application/json");
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let lane = (message.url.clone(), body["data"]["customer"].clone());
        {
            let mut under_way = self.under_way.lock().unwrap();
            assert!(!under_way.contains(&lane), "two at once about {lane:?}");
            under_way.push(lane.clone());
        }
        let does = self.does.lock().unwrap().get_mut(&message.url).and_then(VecDeque::pop_front);
        // Others get their turn while this one is under way.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if let Some(Does::Hangs) = does {
            self.hanging.fetch_add(1, Ordering::SeqCst);
            self.released.notified().await;
            self.hanging.fetch_sub(1, Ordering::SeqCst);
        }
        self.under_way.lock().unwrap().retain(|other| *other != lane);
        let got = Got {
            url: message.url.clone(),
            id: header("webhook-id"),
            at: header("webhook-timestamp").parse().unwrap(),
            signatures: header("webhook-signature"),
            body: message.body.clone(),
        };
        assert_eq!(body["id"], got.id.as_str());
        let answered = |status, retry_after: Option<&str>| {
            let retry_after = retry_after.map(str::to_owned);
            Ok(Answered { status, retry_after, beginning: format!("answer {status}").into_bytes() })
        };
        match does {
            None | Some(Does::Hangs) => {
                self.got.lock().unwrap().push(got);
                answered(200, None)
            }
            Some(Does::Answers(status)) => {
                if (200..300).contains(&status) {
                    self.got.lock().unwrap().push(got);
                }
                answered(status, None)
            }
            Some(Does::AsksToWait(status, wait)) => answered(status, Some(wait)),
            Some(Does::Breaks) => Err(SendError::Failed("the connection broke".to_owned())),
        }
    }
}

/// Carries messages to the app in the same process.
struct Post(Arc<App>);

impl Sender for Post {
    fn post<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.0.take(message))
    }
}

/// Runs a story in a fresh house with a root key on each database.
pub async fn on_each_keyed<F>(story: F)
where
    F: for<'a> Fn(&'a House) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + 'a>>,
{
    for test in quittance_store::testing::databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let root_key = Some("a root key of thirty-two characters".to_owned().into());
        let settings = Settings { root_key, ..Settings::default() };
        story(&House::with(test, settings, catalog()).await).await;
    }
}

/// Makes an app that this house's engine tells of changes.
pub fn app_of(house: &House) -> Arc<App> {
    let app = Arc::new(App::default());
    tell(&house.engine, &app);
    app
}

/// Lets an engine tell an app.
pub fn tell(engine: &quittance_engine::Engine, app: &Arc<App>) {
    let courier = WebhookCourier::new(Arc::new(Post(app.clone())));
    let _same = engine.clone().with_courier(Channel::Webhook, Arc::new(courier));
}

/// An endpoint that wants these types; its id and secret.
pub async fn endpoint(house: &House, url: &str, types: &[&str]) -> (String, SecretString) {
    let new = NewEndpoint {
        url: url.to_owned(),
        types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        ..NewEndpoint::default()
    };
    let (row, secret) = house.engine.create_endpoint(&new, "a test").await.unwrap();
    (row.id.to_string(), secret.unwrap())
}

/// Everything that the app was to be told of a customer, oldest first.
pub async fn told(house: &House, customer: &str) -> Vec<Value> {
    let rows = house.engine.app_events(Some(customer), i64::MAX, 1_000).await.unwrap();
    rows.iter().rev().map(|row| serde_json::from_str(&row.body).unwrap()).collect()
}

pub fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

/// From and to of every change of access, in order.
pub fn accesses(events: &[Value]) -> Vec<(String, String, Timestamp)> {
    let word = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let time = |value: &Value| {
        let at: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
        Timestamp::from_ms(at.as_millisecond())
    };
    of_kind(events, "customer.access_changed")
        .into_iter()
        .map(|event| (word(&event["data"]["from"]), word(&event["data"]["to"]), time(&event["timestamp"])))
        .collect()
}
