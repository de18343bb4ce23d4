//! The operator's own app: an endpoint that hears of changes, believes what is signed and nothing else, and now and then loses
//! its answer. What it heard is compared with what the product says that it told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::book::{Book, Violation};
use crate::check::Finding;
use crate::http::{Incoming, answer, text};

/// How many of a hundred events have the first answer to them lost.
const LOST: u32 = 3;

struct Heard {
    secret: String,
    chance: Rng,
    /// Events in the order in which they came first.
    order: Vec<String>,
    /// Their bodies.
    bodies: BTreeMap<String, Value>,
}

/// The running app. Its threads end with the process.
pub struct App {
    /// Where it listens.
    pub port: u16,
    heard: Arc<Mutex<Heard>>,
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    /// Starts listening on a free port. A message that is not signed, or that comes again and says something else, goes into the
    /// book.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(book: Arc<Book>, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let heard = Arc::new(Mutex::new(Heard {
            secret: String::new(),
            chance: Rng::with_seed(seed ^ 0x61_7070),
            order: Vec::new(),
            bodies: BTreeMap::new(),
        }));
        let ears = heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, book) = (ears.clone(), book.clone());
                thread::spawn(move || {
                    // A product that was killed in the middle comes again.
                    let _ = serve(stream, &heard, &book);
                });
            }
        });
        Ok(Self { port, heard })
    }

    /// What messages are signed with.
    pub fn learn(&self, secret: &str) {
        secret.clone_into(&mut lock(&self.heard).secret);
    }

    /// How many events it heard.
    pub fn count(&self) -> usize {
        lock(&self.heard).order.len()
    }

    /// I1, I2, I4 and I9: each event of the product's log was heard, as the log has it, those of a customer in their order, and
    /// nothing else. The log is newest first.
    pub fn compare(&self, log: &[Value]) -> Finding {
        let heard = lock(&self.heard);
        let places: BTreeMap<&str, usize> =
            heard.order.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        let mut last: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for event in log.iter().rev() {
            let id = text(event, "id");
            // What is for operators is told only to who asks for it.
            if matches!(text(event, "type"), "alert.raised" | "alert.resolved" | "ping") {
                continue;
            }
            known.insert(id);
            let (Some(place), Some(body)) = (places.get(id), heard.bodies.get(id)) else {
                return Some(Violation::new("I1", id, "an event that the app heard", event));
            };
            if body != event {
                return Some(Violation::new("I2", id, event, body));
            }
            let customer = event.pointer("/data/customer").and_then(Value::as_str).unwrap_or_default();
            if let Some((before, first)) = last.insert(customer, (*place, id))
                && before > *place
            {
                let what = format!("{first} of {customer} first");
                return Some(Violation::new("I4", id, what, "the other way round"));
            }
        }
        let invented = heard.order.iter().find(|id| !known.contains(id.as_str()));
        invented
            .map(|id| Violation::new("I9", id.as_str(), "an event of the log", "one that the app alone has"))
    }
}

fn serve(mut stream: TcpStream, heard: &Mutex<Heard>, book: &Book) -> Result<()> {
    let message = Incoming::read(&mut stream)?;
    let header = |name: &str| message.header(name).unwrap_or_default();
    let (id, at) = (header("webhook-id").to_owned(), header("webhook-timestamp"));
    let mut heard = lock(heard);
    let wanted = signature(&heard.secret, &id, at, &message.body).context("no secret")?;
    if !header("webhook-signature").split(' ').any(|one| one == wanted) {
        book.break_off(Violation::new("I9", &id, wanted, header("webhook-signature")));
        return answer(&mut stream, 401);
    }
    let body: Value = serde_json::from_slice(&message.body)?;
    let again = heard.bodies.contains_key(&id);
    if !again {
        heard.order.push(id.clone());
    }
    if let Some(before) = heard.bodies.insert(id.clone(), body.clone()).filter(|before| *before != body) {
        book.break_off(Violation::new("I2", &id, before, &body));
    }
    // Only the first time: an endpoint that fails again and again is left alone for longer than a check waits.
    let loses = !again && heard.chance.u32(0..100) < LOST;
    drop(heard);
    if loses { Ok(()) } else { answer(&mut stream, 200) }
}

/// What the scheme (Standard Webhooks) signs a message with; `None` for a secret that is none.
fn signature(secret: &str, id: &str, at: &str, body: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in [id.as_bytes(), b".", at.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}
