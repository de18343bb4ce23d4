//! Calls that must end: repeated with their key for as long as their answer is lost, and never answered twice
//! differently.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use xtask::clock::Stopwatch;

use crate::book::{Book, Violation, count};
use crate::gate::Gate;
use crate::http::{Answer, Client, FORM, JSON, Request, number, text};

/// Longer than any lease and any retry, also on a machine that others use up: what has no end so long after the last
/// kill has none. While the product is killed, nothing can be asked of its speed.
const PATIENCE: Duration = Duration::from_secs(600);

/// Anything that a thread of the load ends with.
pub type Outcome<T> = Result<T, Violation>;

/// A change that is asked for under a key.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The key.
    pub key: String,
    /// The body.
    pub body: Value,
}

/// A call that was answered for good.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The answer.
    pub answer: Answer,
    /// The database was there while it was made, so that it is kept: the same call gets it again, word for word. Where the
    /// database went away, the effect stands and the answer may be made again.
    pub kept: bool,
}

/// The product and the provider as the load sees them.
#[derive(Clone)]
pub struct Caller {
    /// The product's API.
    pub api: Client,
    /// The provider's.
    pub provider: Client,
    /// What is known.
    pub book: Arc<Book>,
    /// Closed while nobody is killed.
    pub gate: Arc<Gate>,
}

impl Caller {
    /// Sends a call once; nothing when its answer was lost or said to try again.
    pub fn once(&self, call: &Call) -> Option<Answer> {
        let body = call.body.to_string();
        let request = Request {
            method: call.method,
            path: &call.path,
            kind: JSON,
            headers: &[("Idempotency-Key", &call.key)],
            body: body.as_bytes(),
        };
        self.api.send(&request).ok().filter(Answer::is_final)
    }

    /// Sends a call with the same key until it is answered for good.
    ///
    /// # Errors
    /// I8 when that never comes.
    pub fn settle(&self, call: &Call) -> Outcome<Settled> {
        loop {
            let outages = self.book.outages();
            if let Some(answer) = self.once(call) {
                count(&self.book.counts.calls);
                let kept = self.book.had_database_since(outages);
                return Ok(Settled { answer, kept });
            }
            count(&self.book.counts.repeated);
            if self.gate.closed_for() > PATIENCE {
                return Err(Violation::new(
                    "I8",
                    format!("{} {} under {}", call.method, call.path, call.key),
                    format!("an answer within {} s of the last kill", PATIENCE.as_secs()),
                    format!("none; body: {}", call.body),
                ));
            }
            thread::sleep(Duration::from_millis(80));
        }
    }

    /// Sends a call again whose answer is known: it must be the same. The answer that is known from now on.
    ///
    /// # Errors
    /// I8 when it is another.
    pub fn again(&self, call: &Call, known: &Settled) -> Outcome<Settled> {
        count(&self.book.counts.replayed);
        let Settled { answer, kept } = self.settle(call)?;
        let (before, replayed) = (&known.answer, answer.header("idempotent-replayed") == Some("true"));
        let same = if known.kept || replayed {
            replayed && answer.text == before.text && answer.status == before.status
        } else {
            count(&self.book.counts.made_again);
            answer.status == before.status && text(&answer.json(), "id") == text(&before.json(), "id")
        };
        if same {
            return Ok(Settled { answer, kept: kept || replayed });
        }
        Err(Violation::new(
            "I8",
            format!("{} {} under {}", call.method, call.path, call.key),
            format!("{} {} (kept: {})", before.status, before.text, known.kept),
            format!("{} {} (replayed: {replayed})", answer.status, answer.text),
        ))
    }

    /// The provider's time, in unix seconds.
    ///
    /// # Errors
    /// When the provider is gone.
    pub fn provider_time(&self) -> Outcome<i64> {
        let path = "/_sandbox/time";
        let told = self.provider.json("GET", path, &Value::Null);
        let told =
            told.map_err(|error| Violation::new("the sandbox", path, "a time", format!("{error:#}")))?;
        Ok(number(&told, "now"))
    }

    /// Changes something at the provider, as its own dashboard or another program would; repeated until it is
    /// answered. Its answer, whatever it is.
    ///
    /// # Errors
    /// When the provider is gone, which is no finding about the product.
    pub fn at_provider(&self, path: &str, form: &str, key: &str) -> Outcome<Answer> {
        let request = Request {
            method: "POST",
            path,
            kind: FORM,
            headers: &[("Idempotency-Key", key)],
            body: form.as_bytes(),
        };
        let watch = Stopwatch::start();
        loop {
            match self.provider.send(&request) {
                Ok(answer) if answer.status < 500 => return Ok(answer),
                Ok(_) | Err(_) if watch.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
                other => {
                    return Err(Violation::new(
                        "the sandbox",
                        path,
                        "an answer",
                        format!("{:?}", other.map(|answer| answer.status)),
                    ));
                }
            }
        }
    }

    /// A control call of the sandbox: what a buyer does on the provider's page. Its status and its answer.
    ///
    /// # Errors
    /// When the provider is gone.
    pub fn on_page(&self, path: &str, body: &Value) -> Outcome<Answer> {
        let body = body.to_string();
        let request = Request { method: "POST", path, kind: JSON, headers: &[], body: body.as_bytes() };
        self.provider
            .send(&request)
            .map_err(|error| Violation::new("the sandbox", path, "an answer", format!("{error:#}")))
    }

    /// Asks the product until the answer is what is waited for.
    ///
    /// # Errors
    /// I3 when that never comes.
    pub fn until<T>(&self, path: &str, what: &str, mut look: impl FnMut(&Value) -> Option<T>) -> Outcome<T> {
        loop {
            let answer = self.api.get(path).map(|answer| answer.json()).unwrap_or_default();
            if let Some(found) = look(&answer) {
                return Ok(found);
            }
            if self.gate.closed_for() > PATIENCE {
                return Err(Violation::new("I3", path, what, answer));
            }
            thread::sleep(Duration::from_millis(80));
        }
    }
}
