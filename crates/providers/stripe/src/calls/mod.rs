//! The calls that Quittance makes, one file for each kind of object: what is sent and how the answer is read, nothing else.
//!
//! A [`Call`] is a value; [`crate::client::StripeClient`] sends it. A POST cannot be built without an idempotency key, with one
//! exception: a preview changes nothing, and a key would freeze its answer for a day.

pub mod account;
pub mod balance;
pub mod checkout;
pub mod credit_notes;
pub mod customers;
pub mod disputes;
pub mod events;
pub mod invoices;
pub mod offers;
pub mod payments;
pub mod portal;
pub mod prices;
pub mod schedules;
pub mod subscriptions;
pub mod webhook_endpoints;

use serde_json::Value;

use crate::form::{Form, percent_encode};
use crate::http::Method;
use crate::observe::ShapeError;

/// Names one intended change; the same change sent again carries the same key and happens once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text cannot be an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key must have 1 to 255 visible ASCII characters")]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Checks the text. Derive it from what is wanted, never from chance: Stripe forgets keys after 24 hours, so an outcome
    /// unknown for longer must be looked up instead of sent again.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidKey> {
        let text = text.into();
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(InvalidKey) }
    }

    /// The key as sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a call does, and with which key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verb {
    Get,
    /// A POST that changes nothing.
    Preview,
    Post(IdempotencyKey),
    /// Idempotent by itself: a second one finds nothing to end.
    Delete,
}

/// A call that can be sent, and the reader of its answer.
#[derive(Debug)]
pub struct Call<T> {
    endpoint: &'static str,
    verb: Verb,
    path: Path,
    form: Form,
    read: fn(&Value) -> Result<T, ShapeError>,
}

// By hand: what the answer is read as need not be `Clone`.
impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        let Self { endpoint, verb, path, form, read } = self;
        Self { endpoint, verb: verb.clone(), path: path.clone(), form: form.clone(), read: *read }
    }
}

impl<T> Call<T> {
    fn new(
        endpoint: &'static str,
        verb: Verb,
        path: Path,
        form: Form,
        read: fn(&Value) -> Result<T, ShapeError>,
    ) -> Self {
        Self { endpoint, verb, path, form, read }
    }

    /// The fixed name of the call, for metrics and limits.
    #[must_use]
    pub const fn endpoint(&self) -> &'static str {
        self.endpoint
    }

    /// The verb on the wire.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self.verb {
            Verb::Get => Method::Get,
            Verb::Preview | Verb::Post(_) => Method::Post,
            Verb::Delete => Method::Delete,
        }
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path.text
    }

    /// The parameters.
    #[must_use]
    pub const fn form(&self) -> &Form {
        &self.form
    }

    /// The idempotency key of a change.
    #[must_use]
    pub const fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        match &self.verb {
            Verb::Post(key) => Some(key),
            Verb::Get | Verb::Preview | Verb::Delete => None,
        }
    }

    /// Whether the call can change nothing.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        matches!(self.verb, Verb::Get | Verb::Preview)
    }

    /// Whether the path holds something that no id can be; such a call is answered "not found" without being sent.
    #[must_use]
    pub const fn names_impossible_id(&self) -> bool {
        self.path.impossible
    }

    /// Reads the answer to this call.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(&self, value: &Value) -> Result<T, ShapeError> {
        (self.read)(value)
    }
}

/// A path whose ids cannot leave their place: `../` or an empty id would name another object or a whole list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path {
    text: String,
    impossible: bool,
}

impl Path {
    fn of(fixed: &'static str) -> Self {
        Self { text: fixed.to_owned(), impossible: false }
    }

    /// Adds an id as the next segment. Product ids may be of our choice, so dots are fine, but not alone.
    fn id(mut self, id: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let fits =
            (1..=255).contains(&id.len()) && id.bytes().all(plain) && !id.bytes().all(|byte| byte == b'.');
        self.impossible |= !fits;
        self.text.push('/');
        percent_encode(&mut self.text, id, b"");
        self
    }

    fn then(mut self, fixed: &'static str) -> Self {
        self.text.push_str(fixed);
        self
    }
}

/// Which page of a list, and how long; newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging<'a> {
    /// 1 to 100.
    pub limit: u8,
    /// Continue after this id (older).
    pub starting_after: Option<&'a str>,
    /// What is newer than this id.
    pub ending_before: Option<&'a str>,
}

impl Default for Paging<'_> {
    fn default() -> Self {
        Self { limit: 100, starting_after: None, ending_before: None }
    }
}

impl<'a> Paging<'a> {
    /// The page after the object with this id.
    #[must_use]
    pub fn after(id: &'a str) -> Self {
        Self { starting_after: Some(id), ..Self::default() }
    }

    fn add(self, form: Form) -> Form {
        form.int("limit", i64::from(self.limit.clamp(1, 100)))
            .text_if("starting_after", self.starting_after)
            .text_if("ending_before", self.ending_before)
    }
}

#[cfg(test)]
mod tests;
