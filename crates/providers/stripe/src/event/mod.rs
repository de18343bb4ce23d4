//! Reads a webhook's envelope from its raw bytes: which event, which object, whose.
//!
//! It refuses to know what an event *means*: an event is only a hint that something may have changed. It copies nothing that it
//! does not need, and tolerates every shape of `data.object`; what is not there is `None`. Verify the signature first
//! ([`crate::signature`]).

mod loose;
mod wire;

use std::borrow::Cow;

use loose::Loose;
use wire::{Object, Wire};

/// A larger body is refused unread. Stripe's own events stay far below it.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Ids are keys in the inbox; Stripe's own limit for ids is 255 characters.
const MAX_ID_BYTES: usize = 255;

/// Why a signed body is not an event. Nothing was changed and no money moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The body is larger than [`MAX_BODY_BYTES`].
    #[error("the event has {bytes} bytes, more than the {MAX_BODY_BYTES} that are accepted")]
    TooLarge {
        /// The size of the body.
        bytes: usize,
    },
    /// The body is not JSON; the text itself is not repeated, since it can hold personal data.
    #[error("the event is not valid JSON at line {line}, column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Valid JSON, but a field without which no event can be kept is missing or has another shape.
    #[error("the event has no usable `{field}`; register the endpoint for Stripe's snapshot or thin events")]
    NotAnEvent {
        /// The field's name.
        field: &'static str,
    },
}

impl EventError {
    /// A stable code for metrics and problem documents.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "event_too_large",
            Self::NotJson { .. } => "event_not_json",
            Self::NotAnEvent { .. } => "event_malformed",
        }
    }

    pub(crate) fn not_json(error: &serde_json::Error) -> Self {
        Self::NotJson { line: error.line(), column: error.column() }
    }
}

/// The two families of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventForm {
    /// `object: "event"`, with the object as it was.
    Snapshot,
    /// `object: "v2.core.event"`, which only names the object.
    Thin,
}

/// What the inbox keeps of an event, borrowed from the raw body where possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// `evt_...`; unique within the account.
    pub id: Cow<'a, str>,
    /// Snapshot or thin.
    pub form: EventForm,
    /// For example `invoice.paid`, or `v1.invoice.paid` for the thin twin; unknown types are fine.
    pub event_type: Cow<'a, str>,
    /// The connected account, for events of connected accounts.
    pub account: Option<Cow<'a, str>>,
    /// The version that `data` was rendered in.
    pub api_version: Option<Cow<'a, str>>,
    /// When Stripe made the event, Unix seconds.
    pub created_s: Option<i64>,
    /// True for live mode, false for test mode.
    pub livemode: bool,
    /// The idempotency key of the request that caused it; none for thin events and for what nobody asked for.
    pub idempotency_key: Option<Cow<'a, str>>,
    /// The kind of the object, for example `invoice`.
    pub object_kind: Option<Cow<'a, str>>,
    /// The object's id; upcoming invoices have none.
    pub object_id: Option<Cow<'a, str>>,
    /// The customer that the object belongs to, or is.
    pub customer: Option<Cow<'a, str>>,
    /// The Checkout Session, when the object is one.
    pub checkout_session: Option<Cow<'a, str>>,
    /// The subscription that the object is or names.
    pub subscription: Option<Cow<'a, str>>,
    /// The invoice that the object is or names.
    pub invoice: Option<Cow<'a, str>>,
    /// The payment intent that the object is or names.
    pub payment_intent: Option<Cow<'a, str>>,
    /// The charge that the object is or names.
    pub charge: Option<Cow<'a, str>>,
    /// `client_reference_id` of a Checkout Session.
    pub client_reference_id: Option<Cow<'a, str>>,
    /// The metadata key `quittance_customer`: a claim, to be checked against what we recorded.
    pub quittance_customer: Option<Cow<'a, str>>,
    /// The metadata key `quittance_checkout`: likewise only a claim.
    pub quittance_checkout: Option<Cow<'a, str>>,
}

impl<'a> Event<'a> {
    /// Reads an event from a webhook's raw body.
    ///
    /// # Errors
    /// [`EventError`] when the body is too large, not JSON, or lacks `id`, `object`, `type` or `livemode`.
    pub fn parse(raw: &'a [u8]) -> Result<Self, EventError> {
        if raw.len() > MAX_BODY_BYTES {
            return Err(EventError::TooLarge { bytes: raw.len() });
        }
        let wire: Result<Loose<Wire<'a>>, _> = match std::str::from_utf8(raw) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(raw),
        };
        let wire = wire.map_err(|e| EventError::not_json(&e))?;
        let wire = wire.0.ok_or(EventError::NotAnEvent { field: "object" })?;
        let form = match wire.object.text().as_deref() {
            Some("event") => EventForm::Snapshot,
            Some("v2.core.event") => EventForm::Thin,
            Some(_) | None => return Err(EventError::NotAnEvent { field: "object" }),
        };
        let mut event = Event {
            id: key(wire.id).ok_or(EventError::NotAnEvent { field: "id" })?,
            form,
            event_type: key(wire.event_type).ok_or(EventError::NotAnEvent { field: "type" })?,
            account: account(wire.account)?,
            api_version: wire.api_version.text(),
            created_s: seconds(&wire.created),
            livemode: wire.livemode.boolean().ok_or(EventError::NotAnEvent { field: "livemode" })?,
            idempotency_key: wire.request.0.and_then(|request| request.idempotency_key.text()),
            object_kind: None,
            object_id: None,
            customer: None,
            checkout_session: None,
            subscription: None,
            invoice: None,
            payment_intent: None,
            charge: None,
            client_reference_id: None,
            quittance_customer: None,
            quittance_checkout: None,
        };
        if let Some(related) = wire.related_object.0 {
            event.object_kind = related.kind.text();
            event.object_id = key(related.id);
        }
        if let Some(object) = wire.data.0.and_then(|data| data.object.0) {
            event.describe(object);
        }
        event.name_itself();
        Ok(event)
    }

    fn describe(&mut self, object: Object<'a>) {
        let mut metadata = object.metadata.0.unwrap_or_default().into_pair();
        let details = object
            .parent
            .0
            .and_then(|parent| parent.subscription_details.0)
            .or(object.subscription_details.0);
        let mut subscription = object.subscription.id();
        if let Some(details) = details {
            subscription = subscription.or_else(|| details.subscription.id());
            let inherited = details.metadata.0.unwrap_or_default().into_pair();
            metadata = (metadata.0.or(inherited.0), metadata.1.or(inherited.1));
        }
        let payment = object
            .payment
            .0
            .map(|payment| (payment.payment_intent.id(), payment.charge.id()))
            .unwrap_or_default();
        self.object_kind = object.object.text();
        self.object_id = object.id.text();
        self.customer = object.customer.id();
        self.subscription = subscription;
        self.invoice = object.invoice.id();
        self.payment_intent = object.payment_intent.id().or(payment.0);
        self.charge = object.charge.id().or(payment.1);
        self.client_reference_id = object.client_reference_id.text();
        (self.quittance_customer, self.quittance_checkout) = metadata;
    }

    /// An invoice's `invoice` is itself, and so on; only kinds that other objects point to need it.
    fn name_itself(&mut self) {
        let slot = match self.object_kind.as_deref() {
            Some("customer") => &mut self.customer,
            Some("checkout.session") => &mut self.checkout_session,
            Some("subscription") => &mut self.subscription,
            Some("invoice") => &mut self.invoice,
            Some("payment_intent") => &mut self.payment_intent,
            Some("charge") => &mut self.charge,
            Some(_) | None => return,
        };
        slot.clone_from(&self.object_id);
    }

    /// The same event without a tie to the raw body.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        let own = |text: Option<Cow<'a, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Event {
            id: Cow::Owned(self.id.into_owned()),
            form: self.form,
            event_type: Cow::Owned(self.event_type.into_owned()),
            account: own(self.account),
            api_version: own(self.api_version),
            created_s: self.created_s,
            livemode: self.livemode,
            idempotency_key: own(self.idempotency_key),
            object_kind: own(self.object_kind),
            object_id: own(self.object_id),
            customer: own(self.customer),
            checkout_session: own(self.checkout_session),
            subscription: own(self.subscription),
            invoice: own(self.invoice),
            payment_intent: own(self.payment_intent),
            charge: own(self.charge),
            client_reference_id: own(self.client_reference_id),
            quittance_customer: own(self.quittance_customer),
            quittance_checkout: own(self.quittance_checkout),
        }
    }
}

/// The account is a part of the aggregate's key: one that cannot be one must not pass for another, nor for our own.
fn account(scalar: loose::Scalar<'_>) -> Result<Option<Cow<'_, str>>, EventError> {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match scalar {
        loose::Scalar::Nothing => Ok(None),
        other => {
            key(other).filter(|text| plain(text)).map(Some).ok_or(EventError::NotAnEvent { field: "account" })
        }
    }
}

fn key(scalar: loose::Scalar<'_>) -> Option<Cow<'_, str>> {
    scalar.text().filter(|text| text.len() <= MAX_ID_BYTES)
}

/// Snapshot events carry Unix seconds, thin events RFC 3339. What no calendar has is no time.
fn seconds(created: &loose::Scalar<'_>) -> Option<i64> {
    let told = match created {
        loose::Scalar::Int(seconds) => Some(*seconds),
        loose::Scalar::Text(text) => text.parse::<jiff::Timestamp>().ok().map(|t| t.as_second()),
        loose::Scalar::Nothing | loose::Scalar::Bool(_) => None,
    };
    told.filter(|seconds| jiff::Timestamp::from_second(*seconds).is_ok())
}

#[cfg(test)]
mod tests;
