//! Faults on demand: errors, latency and lost answers, by path.

use serde::{Deserialize, Serialize};

use crate::state::world::World;
use crate::wire::error::ApiError;

/// When, and what, is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// The request never arrives: nothing happens.
    Before,
    /// The request is carried out, and the answer is lost.
    After,
}

/// A rule that makes requests fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// The path, where `*` stands for anything: `/v1/subscriptions*`.
    pub path: String,
    /// The method; any when absent.
    pub method: Option<String>,
    /// The HTTP status to answer with; that of the code when absent.
    pub status: Option<u16>,
    /// The `code` of that error. `rate_limit` and `lock_timeout` are a 429, `idempotency_key_in_use` is a 409.
    pub code: Option<String>,
    /// The `message` of that error.
    pub message: Option<String>,
    /// Headers to add to the answer, such as `retry-after`.
    pub headers: Vec<(String, String)>,
    /// Carry the request out before answering with `status`.
    pub after_commit: bool,
    /// Close the connection without an answer.
    pub lost: Option<Lost>,
    /// Hold the answer back, in milliseconds.
    pub latency_ms: u64,
    /// How many requests it hits before it is used up; any number when absent.
    pub count: Option<u64>,
    /// Only requests beyond so many in one second of the sandbox's clock are hit: a rate limit.
    pub beyond_per_second: Option<u64>,
    /// The probability that it hits, from 0 to 1.
    pub probability: f64,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            path: "*".to_owned(),
            method: None,
            status: None,
            code: None,
            message: None,
            headers: Vec::new(),
            after_commit: false,
            lost: None,
            latency_ms: 0,
            count: None,
            beyond_per_second: None,
            probability: 1.0,
        }
    }
}

impl Fault {
    fn fits(&self, method: &str, path: &str) -> bool {
        self.count != Some(0)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && glob(&self.path, path)
    }

    /// The error that it answers with, where it does.
    pub(crate) fn error(&self) -> Option<ApiError> {
        let status = self.status.or(match self.code.as_deref() {
            Some("rate_limit" | "lock_timeout") => Some(429),
            Some("idempotency_key_in_use") => Some(409),
            Some(_) => Some(400),
            None => self.beyond_per_second.map(|_| 429),
        })?;
        Some(ApiError::injected(status, self.code.as_deref(), self.message.as_deref()))
    }

    /// The headers of its answer, with the reason that the provider gives for a rate limit.
    pub(crate) fn answer_headers(&self) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        if self.error().is_some_and(|error| error.code() == Some("rate_limit")) {
            let reason = if self.path == "*" { "global-rate" } else { "endpoint-rate" };
            headers.push(("stripe-rate-limited-reason".to_owned(), reason.to_owned()));
        }
        headers
    }
}

/// How many requests a limiting fault has seen in a second of the sandbox's clock.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Rate {
    second: i64,
    seen: u64,
}

impl Rate {
    /// Counts a request; whether it is beyond the limit.
    fn exceeds(&mut self, now: i64, limit: u64) -> bool {
        if self.second != now {
            *self = Self { second: now, seen: 0 };
        }
        self.seen = self.seen.saturating_add(1);
        self.seen > limit
    }
}

impl World {
    /// The fault that hits this request, used up by one.
    pub(crate) fn draw_fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let (chance, now, rates) = (&mut self.policy_chance, self.now, &mut self.rates);
        rates.resize(self.faults.len(), Rate::default());
        let mut hits = self.faults.iter_mut().zip(rates).filter_map(|(fault, rate)| {
            let hit = fault.fits(method, path)
                && fault.beyond_per_second.is_none_or(|limit| rate.exceeds(now, limit))
                && (fault.probability >= 1.0 || chance.happens(fault.probability));
            hit.then_some(fault)
        });
        let hit = hits.next()?;
        if let Some(count) = &mut hit.count {
            *count -= 1;
        }
        Some(hit.clone())
    }
}

/// Whether a pattern with `*` covers the whole path.
fn glob(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((head, rest)) => path.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).filter_map(|at| tail.get(at..)).any(|tail| glob(rest, tail))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(glob("/v1/subscriptions*", "/v1/subscriptions/sub_1"));
        assert!(glob("/v1/*/pay", "/v1/invoices/in_1/pay"));
        assert!(!glob("/v1/*/pay", "/v1/invoices/in_1/void"));
        assert!(!glob("/v1/customers", "/v1/customers/cus_1"));
    }
}
