//! Sends calls: adds headers, holds back what would exceed the limits, reads the answer, reports each call to metrics.
//!
//! It never sleeps and never retries: a call that may not go now comes back as `Throttled` or `CircuitOpen` with the time to wait,
//! and whoever made it decides. Time comes from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::answer::read_answer;
use crate::breaker::CircuitBreaker;
use crate::calls::Call;
use crate::config::{ConfigError, RateLimits, StripeConfig};
use crate::error::{ErrorKind, StripeError};
use crate::http::{HttpRequest, HttpResponse, Method, ReadOnly, Transport};
use crate::limiter::TokenBucket;

/// After a 429 without Retry-After nothing is sent for this long, in milliseconds.
const DEFAULT_HOLD_MS: u64 = 1_000;

/// Who asks: someone waits for live traffic, nobody for a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A customer, an operator or a webhook's sync.
    Live,
    /// Scheduled comparison; leaves a reserve of tokens to the others.
    Sweep,
}

/// One call as metrics see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRecord {
    /// The call's fixed name, for example `checkout.create`.
    pub endpoint: &'static str,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// `ok` or the error's stable code; calls held back here are told too.
    pub outcome: &'static str,
    /// From sending to the read answer, in milliseconds; none for a call that was held back here and never left.
    pub duration_ms: Option<i64>,
}

/// Now, in Unix milliseconds.
pub type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;
/// Told of every call.
pub type OnCall = Arc<dyn Fn(CallRecord) + Send + Sync>;

/// A client for one account in one mode.
pub struct StripeClient {
    config: StripeConfig,
    base: Arc<str>,
    authorization: SecretString,
    transport: Arc<dyn Transport>,
    /// The transport lets nothing else through.
    reads_only: bool,
    now_ms: NowMs,
    on_call: OnCall,
    gate: Mutex<Gate>,
}

impl std::fmt::Debug for StripeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StripeClient").field("config", &self.config).finish_non_exhaustive()
    }
}

impl StripeClient {
    /// Checks the configuration; nothing is sent.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting and the mend.
    pub fn new(
        config: StripeConfig,
        transport: Arc<dyn Transport>,
        now_ms: NowMs,
        on_call: OnCall,
    ) -> Result<Self, ConfigError> {
        let base = config.check()?;
        let authorization = SecretString::from(format!("Bearer {}", config.secret_key.expose_secret()));
        let gate = Mutex::new(Gate::new(config.limits.clone(), now_ms()));
        Ok(Self { config, base, authorization, transport, reads_only: false, now_ms, on_call, gate })
    }

    /// The same client, which from now on can only read: its transport sends nothing else.
    #[must_use]
    pub fn reading_only(self) -> Self {
        Self { transport: Arc::new(ReadOnly::new(self.transport)), reads_only: true, ..self }
    }

    /// Whether this client can only read.
    #[must_use]
    pub const fn reads_only(&self) -> bool {
        self.reads_only
    }

    /// The mode in which this client works.
    #[must_use]
    pub const fn livemode(&self) -> bool {
        self.config.livemode
    }

    /// The connected account on whose behalf it calls.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.config.account.as_deref()
    }

    /// Whether the circuit breaker holds calls back; for metrics and readiness.
    #[must_use]
    pub fn circuit_is_open(&self) -> bool {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).breaker.is_open()
    }

    /// Sends one call and reads its answer.
    ///
    /// # Errors
    /// [`StripeError`] tells whether it may pass by itself, how long to wait, and whether money can have moved.
    pub async fn send<T>(&self, call: Call<T>, priority: Priority) -> Result<T, StripeError> {
        let (endpoint, read_only) = (call.endpoint(), call.is_read_only());
        let begun = (self.now_ms)();
        let result = match self.admit(&call, priority, begun) {
            Err(error) => Err(error),
            Ok(()) => self.exchange(&call).await,
        };
        let sent = !matches!(&result, Err(error) if error.is_local());
        let ended = (self.now_ms)();
        let answer = result.and_then(|(response, value)| {
            let odd = |kind, message| Err(StripeError::answer(&response, kind, message, read_only));
            if let Some(message) = self.wrong_mode(&value) {
                return odd(ErrorKind::WrongMode, message.to_owned());
            }
            match call.read(&value) {
                Ok(read) => Ok((response.status, read)),
                Err(shape) => {
                    let message = shape.to_string();
                    odd(ErrorKind::Shape(Box::new(shape)), message)
                }
            }
        });
        let (status, outcome) = match &answer {
            Ok((status, _)) => (Some(*status), "ok"),
            Err(error) => (error.status(), error.code()),
        };
        let duration_ms = sent.then(|| ended.saturating_sub(begun).max(0));
        tracing::debug!(endpoint, status, outcome, duration_ms, "stripe call");
        (self.on_call)(CallRecord { endpoint, status, outcome, duration_ms });
        answer.map(|(_, read)| read)
    }

    /// The HTTP request of a call: pure but for the configuration.
    #[must_use]
    pub fn request<T>(&self, call: &Call<T>) -> HttpRequest {
        let mut headers = vec![
            ("Stripe-Version", self.config.api_version.clone()),
            ("User-Agent", concat!("Quittance/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Accept", "application/json".to_owned()),
        ];
        if let Some(account) = &self.config.account {
            headers.push(("Stripe-Account", account.clone()));
        }
        if let Some(key) = call.idempotency_key() {
            headers.push(("Idempotency-Key", key.as_str().to_owned()));
        }
        let form = call.form().as_str();
        let (target, body) = match call.method() {
            Method::Post => (call.path().to_owned(), form.to_owned()),
            Method::Get | Method::Delete if form.is_empty() => (call.path().to_owned(), String::new()),
            Method::Get | Method::Delete => (format!("{}?{form}", call.path()), String::new()),
        };
        HttpRequest {
            method: call.method(),
            base: self.base.clone(),
            target,
            headers,
            authorization: self.authorization.clone(),
            body,
        }
    }

    fn admit<T>(&self, call: &Call<T>, priority: Priority, now_ms: i64) -> Result<(), StripeError> {
        if call.names_impossible_id() {
            return Err(StripeError::impossible_id(call.is_read_only()));
        }
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.admit(call.endpoint(), priority, now_ms)
            .map_err(|(kind, wait_ms)| StripeError::held_back(kind, wait_ms, call.is_read_only()))
    }

    async fn exchange<T>(&self, call: &Call<T>) -> Result<(HttpResponse, Value), StripeError> {
        let read_only = call.is_read_only();
        let answer = match self.transport.send(self.request(call)).await {
            Ok(response) => read_answer(&response, read_only).map(|value| (response, value)),
            Err(error) => Err(StripeError::transport(&error, read_only)),
        };
        let now_ms = (self.now_ms)();
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).learn(answer.as_ref().err(), now_ms);
        answer
    }

    /// Answers of the other mode are refused, whichever object or list element carries the flag.
    fn wrong_mode(&self, value: &Value) -> Option<&'static str> {
        let elements = value.get("data").and_then(Value::as_array).into_iter().flatten();
        let mut flags = elements.chain([value]).filter_map(|v| v.get("livemode")).filter_map(Value::as_bool);
        flags.any(|livemode| livemode != self.config.livemode).then_some(if self.config.livemode {
            "a test object in live mode"
        } else {
            "a live object in test mode"
        })
    }
}

/// All that is shared between calls.
struct Gate {
    limits: RateLimits,
    breaker: CircuitBreaker,
    all: TokenBucket,
    by_endpoint: BTreeMap<&'static str, TokenBucket>,
}

impl Gate {
    fn new(limits: RateLimits, now_ms: i64) -> Self {
        Self {
            breaker: CircuitBreaker::new(limits.breaker_threshold, limits.breaker_open_ms),
            all: TokenBucket::new(limits.per_second, limits.per_second, now_ms),
            by_endpoint: BTreeMap::new(),
            limits,
        }
    }

    /// Takes a token from both buckets or from neither.
    fn admit(
        &mut self,
        endpoint: &'static str,
        priority: Priority,
        now_ms: i64,
    ) -> Result<(), (ErrorKind, u64)> {
        let rate = self.limits.per_endpoint_per_second;
        let reserve = match priority {
            Priority::Live => 0,
            Priority::Sweep => self.limits.sweep_reserve,
        };
        let own = self.by_endpoint.entry(endpoint).or_insert_with(|| TokenBucket::new(rate, rate, now_ms));
        // The reserve of an endpoint's own bucket is in proportion: a sweep may use half of it as well.
        let own_reserve = if reserve == 0 { 0 } else { rate / 2 };
        let wait = self.all.wait_ms(now_ms, reserve).max(own.wait_ms(now_ms, own_reserve));
        if let Some(wait) = wait {
            return Err((ErrorKind::Throttled, wait));
        }
        // Last, because being let through an open breaker makes this call the probe.
        self.breaker.admit(now_ms).map_err(|wait| (ErrorKind::CircuitOpen, wait))?;
        let taken = self.all.try_take(now_ms, reserve).and_then(|()| own.try_take(now_ms, own_reserve));
        taken.map_err(|wait| (ErrorKind::Throttled, wait))
    }

    fn learn(&mut self, error: Option<&StripeError>, now_ms: i64) {
        match error {
            Some(error) if error.is_outage() => self.breaker.failed(now_ms),
            Some(_) | None => self.breaker.succeeded(),
        }
        if let Some(error) = error.filter(|error| *error.kind() == ErrorKind::RateLimited) {
            let wait = i64::try_from(error.retry_after_ms().unwrap_or(DEFAULT_HOLD_MS)).unwrap_or(i64::MAX);
            self.all.hold_until(now_ms.saturating_add(wait));
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
