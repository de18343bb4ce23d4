//! The requests that the benchmark sends: signed webhooks, each with an event id of its own, and entitlement checks.
//!
//! Signatures are computed before the run, so that the generator's own work does not stand beside the server's.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::load::Requests;

/// A `customer.subscription.updated` as the provider sends it, about 3.7 KB.
const EVENT: &str = include_str!("event.json");
const EVENT_ID: &str = "evt_bench0000000000000000";
const CUSTOMER_ID: &str = "cus_bench00000000";

/// Webhooks, signed for one endpoint.
pub struct Webhooks {
    head: String,
    template: Template,
    ids: Vec<(String, String)>,
    signatures: Vec<String>,
    repeated: bool,
}

impl Webhooks {
    /// Signs `count` events for this path. `run` tells the runs apart, so that no event is a duplicate.
    pub fn sign(path: &str, secret: &str, run: u32, count: usize) -> Result<Self> {
        let now = unix_seconds()?;
        let key = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
        let mut signed = Self {
            head: format!(
                "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n",
                EVENT.len()
            ),
            template: Template::split()?,
            ids: Vec::with_capacity(count),
            signatures: Vec::with_capacity(count),
            repeated: false,
        };
        let mut payload = Vec::new();
        for number in 0..count {
            let event = format!("evt_{run:06}{number:015}");
            // A thousand customers: deliveries come in bursts for some and single for others.
            let customer = format!("cus_bench{:08}", number % 1_000);
            payload.clear();
            payload.extend_from_slice(format!("{now}.").as_bytes());
            signed.template.write(&event, &customer, &mut payload);
            let mut mac = key.clone();
            mac.update(&payload);
            let signature = hex::encode(mac.finalize().into_bytes());
            signed.signatures.push(format!("t={now},v1={signature}"));
            signed.ids.push((event, customer));
        }
        Ok(signed)
    }

    /// The same ones again and again, for a receiver that keeps nothing.
    pub fn repeated(mut self) -> Self {
        self.repeated = true;
        self
    }
}

/// The template around its two ids. Replacements have the length of what they replace, so every body is as long.
struct Template([&'static str; 3]);

impl Template {
    fn split() -> Result<Self> {
        let (first, rest) = EVENT.split_once(EVENT_ID).context("the template holds no event id")?;
        let (second, third) = rest.split_once(CUSTOMER_ID).context("the template holds no customer")?;
        Ok(Self([first, second, third]))
    }

    fn write(&self, event: &str, customer: &str, buffer: &mut Vec<u8>) {
        let [first, second, third] = self.0;
        for part in [first, event, second, customer, third] {
            buffer.extend_from_slice(part.as_bytes());
        }
    }
}

impl Requests for Webhooks {
    fn write(&self, number: usize, buffer: &mut Vec<u8>) -> bool {
        let number = if self.repeated { number % self.ids.len().max(1) } else { number };
        let Some(((event, customer), signature)) = self.ids.get(number).zip(self.signatures.get(number))
        else {
            return false;
        };
        buffer.clear();
        buffer.extend_from_slice(self.head.as_bytes());
        buffer.extend_from_slice(b"Stripe-Signature: ");
        buffer.extend_from_slice(signature.as_bytes());
        buffer.extend_from_slice(b"\r\n\r\n");
        self.template.write(event, customer, buffer);
        true
    }
}

/// Entitlement checks over many customers.
pub struct Checks {
    prefix: String,
    suffix: String,
    customers: usize,
}

impl Checks {
    /// `path` holds `{customer}`, which becomes `bench_0` to `bench_{customers - 1}`.
    pub fn new(path: &str, api_key: &str, customers: usize) -> Result<Self> {
        let (before, after) = path.split_once("{customer}").context("the path names no {customer}")?;
        Ok(Self {
            prefix: format!("GET {before}bench_"),
            suffix: format!("{after} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api_key}\r\n\r\n"),
            customers,
        })
    }
}

impl Requests for Checks {
    fn write(&self, number: usize, buffer: &mut Vec<u8>) -> bool {
        // A stride that shares no factor with the number of customers visits all of them, and never in order.
        let customer = number.wrapping_mul(7_919) % self.customers.max(1);
        buffer.clear();
        buffer.extend_from_slice(self.prefix.as_bytes());
        buffer.extend_from_slice(customer.to_string().as_bytes());
        buffer.extend_from_slice(self.suffix.as_bytes());
        true
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "signatures carry the real time, and the server compares it with its own"
)]
fn unix_seconds() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
