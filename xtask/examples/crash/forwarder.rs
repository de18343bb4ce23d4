//! The network between the provider and the product: it passes webhooks on, keeps a record of every copy that was
//! acknowledged, and loses acknowledgements, doubles copies and brings old ones again by a seeded chance.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fastrand::Rng;
use serde_json::Value;
use xtask::clock::Stopwatch;

use crate::book::{Book, count};
use crate::http::{Client, Incoming, JSON, Request, answer, text};

/// Where the product takes webhooks.
pub const PATH: &str = "/webhooks/stripe";
/// Old copies at hand.
const KEPT: usize = 64;
/// A copy that is older would be refused for its signature, and rightly.
const TOO_OLD: Duration = Duration::from_secs(240);

/// One signed delivery.
#[derive(Clone)]
struct Copy {
    signature: String,
    body: Vec<u8>,
    taken: Stopwatch,
}

/// The running forwarder. Its threads end with the process.
pub struct Forwarder {
    /// Where the provider sends to.
    pub port: u16,
    calm: Arc<AtomicBool>,
}

struct Line {
    product: Client,
    book: Arc<Book>,
    calm: Arc<AtomicBool>,
    chance: Mutex<Rng>,
    kept: Mutex<Vec<Copy>>,
}

impl Forwarder {
    /// Starts listening on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn start(product_port: u16, book: Arc<Book>, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let calm = Arc::new(AtomicBool::new(false));
        let line = Arc::new(Line {
            product: Client { port: product_port, key: String::new() },
            book,
            calm: calm.clone(),
            chance: Mutex::new(Rng::with_seed(seed)),
            kept: Mutex::new(Vec::new()),
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let line = line.clone();
                thread::spawn(move || {
                    // A provider that hangs up is told nothing; it sends again.
                    let _ = line.answer(stream);
                });
            }
        });
        Ok(Self { port, calm })
    }

    /// Whether from now on every delivery is passed on once, truthfully.
    pub fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::Relaxed);
    }
}

impl Line {
    /// True with this chance in a hundred, never while calm.
    fn happens(&self, percent: u32) -> bool {
        let drawn = self.chance.lock().unwrap_or_else(PoisonError::into_inner).u32(0..100);
        !self.calm.load(Ordering::Relaxed) && drawn < percent
    }

    fn answer(self: &Arc<Self>, mut stream: TcpStream) -> Result<()> {
        let request = Incoming::read(&mut stream)?;
        let signature = request.header("stripe-signature").context("no signature")?.to_owned();
        let copy = Copy { signature, body: request.body, taken: Stopwatch::start() };
        if self.happens(8) {
            self.send_aside(copy.clone());
        }
        let status = self.pass_on(&copy);
        if self.happens(20)
            && let Some(old) = self.old_copy()
        {
            self.send_aside(old);
        }
        self.keep(copy);
        let status = if status.is_some_and(|status| status < 300) && self.happens(5) {
            count(&self.book.counts.lost_acknowledgements);
            None
        } else {
            status
        };
        answer(&mut stream, status.unwrap_or(503))
    }

    /// Passes a copy on; the product's status, if it gave one.
    fn pass_on(&self, copy: &Copy) -> Option<u16> {
        let request = Request {
            method: "POST",
            path: PATH,
            kind: JSON,
            headers: &[("Stripe-Signature", &copy.signature)],
            body: &copy.body,
        };
        let status = self.product.send(&request).ok()?.status;
        if (200..300).contains(&status) {
            let event: Value = serde_json::from_slice(&copy.body).unwrap_or_default();
            self.book.acknowledge(text(&event, "id"));
        }
        Some(status)
    }

    /// Sends a copy that the provider did not send, beside everything else.
    fn send_aside(self: &Arc<Self>, copy: Copy) {
        count(&self.book.counts.extra_copies);
        let line = self.clone();
        thread::spawn(move || line.pass_on(&copy));
    }

    fn keep(&self, copy: Copy) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(copy);
    }

    fn old_copy(&self) -> Option<Copy> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let old = kept.get(chance.usize(0..kept.len().max(1)))?;
        (old.taken.elapsed() < TOO_OLD).then(|| old.clone())
    }
}
