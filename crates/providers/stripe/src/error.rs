//! What can go wrong with a call, in the terms an engine needs: may it pass by itself, how long to wait, can money have moved.
//!
//! An answer becomes one of these in [`crate::answer`]. Texts are scrubbed.

use std::fmt;

use crate::http::{HttpResponse, TransportError, TransportErrorKind};
use crate::observe::ShapeError;
use crate::scrub::{is_identifier, scrub};

/// A Retry-After above this is cut: an hour later the work is due again anyway.
const MAX_RETRY_AFTER_S: u64 = 3600;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// 429: too many calls.
    RateLimited,
    /// Another call holds the object (`lock_timeout`).
    LockTimeout,
    /// A call with the same idempotency key is still running (`idempotency_key_in_use`), or another 409.
    Conflict,
    /// The idempotency key was used with other parameters: a fault of ours, never to be retried as it is.
    IdempotencyMismatch,
    /// 401: the secret key is wrong or revoked.
    Authentication,
    /// 403: the key may not do this.
    Permission,
    /// The object, or one that a parameter names, does not exist in this account and mode.
    NotFound {
        /// Stripe's code, usually `resource_missing`.
        code: Option<String>,
        /// The parameter that names the missing object.
        param: Option<String>,
    },
    /// The request is refused as it stands.
    InvalidRequest {
        /// Stripe's code.
        code: Option<String>,
        /// The parameter at fault.
        param: Option<String>,
    },
    /// 402: the payment was declined.
    Card {
        /// Stripe's code, for example `card_declined`.
        code: Option<String>,
        /// The issuer's reason, for example `insufficient_funds`.
        decline_code: Option<String>,
    },
    /// 5xx: Stripe failed; it can have acted before it failed.
    Provider,
    /// The request left and no complete answer came.
    OutcomeUnknown,
    /// No byte left.
    NotSent,
    /// No byte left, because this client only reads.
    ReadOnly,
    /// Our own rate limiter held the call back.
    Throttled,
    /// Our own circuit breaker held the call back.
    CircuitOpen,
    /// An answer that is not Stripe's JSON: a proxy, a wrong address, a redirect.
    Malformed,
    /// The answer is of the other mode (live or test) than configured.
    WrongMode,
    /// Stripe's JSON, but without something that we must know.
    Shape(Box<ShapeError>),
}

/// Whether money can have moved because of the failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyMoved {
    /// It has not.
    No,
    /// Nobody here can tell: ask again with the same idempotency key, or look the object up.
    Unknown,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeError {
    kind: ErrorKind,
    message: Box<str>,
    status: Option<u16>,
    request_id: Option<Box<str>>,
    retry_after_ms: Option<u64>,
    should_retry: Option<bool>,
    /// A read cannot move money, whatever happens to it.
    read_only: bool,
    /// Refused before anything was sent.
    refused_here: bool,
}

impl std::error::Error for StripeError {}

impl fmt::Display for StripeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what(), self.mend())
    }
}

impl StripeError {
    /// What happened and whether money moved, for places that show [`Self::mend`] apart.
    #[must_use]
    pub fn what(&self) -> String {
        let request = self.request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default();
        let money = match self.money_moved() {
            MoneyMoved::No => "no money moved",
            MoneyMoved::Unknown => "it is unknown whether money moved",
        };
        format!("{}: {}{request}; {money}", self.code(), self.message)
    }

    pub(crate) fn local(kind: ErrorKind, message: impl Into<String>, read_only: bool) -> Self {
        Self {
            kind,
            message: message.into().into_boxed_str(),
            status: None,
            request_id: None,
            retry_after_ms: None,
            should_retry: None,
            read_only,
            refused_here: false,
        }
    }

    pub(crate) fn impossible_id(read_only: bool) -> Self {
        let kind =
            ErrorKind::NotFound { code: Some("resource_missing".to_owned()), param: Some("id".to_owned()) };
        let error = Self::local(kind, "the id is empty or holds characters that no id has", read_only);
        Self { refused_here: true, ..error }
    }

    pub(crate) fn held_back(kind: ErrorKind, wait_ms: u64, read_only: bool) -> Self {
        let error = Self::local(kind, format!("held back here for {wait_ms} ms"), read_only);
        Self { retry_after_ms: Some(wait_ms), ..error }
    }

    pub(crate) fn transport(error: &TransportError, read_only: bool) -> Self {
        let kind = match error.kind {
            TransportErrorKind::ReadOnly => ErrorKind::ReadOnly,
            TransportErrorKind::NotSent => ErrorKind::NotSent,
            TransportErrorKind::Unknown => ErrorKind::OutcomeUnknown,
        };
        let refused_here = kind == ErrorKind::ReadOnly;
        Self { refused_here, ..Self::local(kind, scrub(&error.message), read_only) }
    }

    pub(crate) fn answer(response: &HttpResponse, kind: ErrorKind, message: String, read_only: bool) -> Self {
        Self {
            kind,
            message: message.into_boxed_str(),
            status: Some(response.status),
            request_id: response.header("request-id").filter(|id| is_identifier(id)).map(Box::from),
            retry_after_ms: retry_after_ms(response.header("retry-after")),
            should_retry: response.header("stripe-should-retry").and_then(|text| text.parse().ok()),
            read_only,
            refused_here: false,
        }
    }

    /// What happened.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The scrubbed message, without the code and the mend.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Stripe's id of the request, for its support and its request log.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The HTTP status, when there was an answer.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// The milliseconds that Stripe, or our own limiter, asks to wait.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// Whether the same call, with the same idempotency key, can succeed later without anyone mending anything.
    ///
    /// `stripe-should-retry` decides when it is there, with one exception: "false" on a read says only that trying at once is no
    /// use, so a read stays transient when its kind is.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        let by_kind = match &self.kind {
            ErrorKind::RateLimited
            | ErrorKind::LockTimeout
            | ErrorKind::Conflict
            | ErrorKind::Provider
            | ErrorKind::OutcomeUnknown
            | ErrorKind::NotSent
            | ErrorKind::Throttled
            | ErrorKind::CircuitOpen
            | ErrorKind::Malformed => true,
            ErrorKind::IdempotencyMismatch
            | ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::NotFound { .. }
            | ErrorKind::InvalidRequest { .. }
            | ErrorKind::Card { .. }
            | ErrorKind::WrongMode
            | ErrorKind::ReadOnly
            | ErrorKind::Shape(_) => false,
        };
        match self.should_retry {
            Some(true) => true,
            Some(false) => by_kind && self.read_only,
            None => by_kind,
        }
    }

    /// Whether money can have moved.
    #[must_use]
    pub const fn money_moved(&self) -> MoneyMoved {
        if self.read_only {
            return MoneyMoved::No;
        }
        match &self.kind {
            ErrorKind::RateLimited
            | ErrorKind::LockTimeout
            | ErrorKind::IdempotencyMismatch
            | ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::NotFound { .. }
            | ErrorKind::InvalidRequest { .. }
            | ErrorKind::Card { .. }
            | ErrorKind::NotSent
            | ErrorKind::ReadOnly
            | ErrorKind::Throttled
            | ErrorKind::CircuitOpen => MoneyMoved::No,
            ErrorKind::Conflict
            | ErrorKind::Provider
            | ErrorKind::OutcomeUnknown
            | ErrorKind::Malformed
            | ErrorKind::WrongMode
            | ErrorKind::Shape(_) => MoneyMoved::Unknown,
        }
    }

    /// Whether the failure says that Stripe as a whole is in trouble; the circuit breaker counts these.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Provider | ErrorKind::OutcomeUnknown | ErrorKind::NotSent | ErrorKind::Malformed
        )
    }

    /// Whether our own limiter or breaker held the call back: nothing was tried, and waiting is all it takes.
    #[must_use]
    pub const fn is_held_back(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::CircuitOpen)
    }

    /// Whether the call never left this process: held back, or refused as it stands.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.is_held_back() || self.refused_here
    }

    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match &self.kind {
            ErrorKind::RateLimited => "provider_rate_limited",
            ErrorKind::LockTimeout => "provider_object_locked",
            ErrorKind::Conflict => "provider_conflict",
            ErrorKind::IdempotencyMismatch => "provider_idempotency_mismatch",
            ErrorKind::Authentication => "provider_authentication",
            ErrorKind::Permission => "provider_permission",
            ErrorKind::NotFound { .. } => "provider_not_found",
            ErrorKind::InvalidRequest { .. } => "provider_refused",
            ErrorKind::Card { .. } => "payment_declined",
            ErrorKind::Provider => "provider_failed",
            ErrorKind::OutcomeUnknown => "provider_outcome_unknown",
            ErrorKind::NotSent => "provider_unreachable",
            ErrorKind::ReadOnly => "provider_read_only",
            ErrorKind::Throttled => "provider_throttled",
            ErrorKind::CircuitOpen => "provider_circuit_open",
            ErrorKind::Malformed => "provider_answer_malformed",
            ErrorKind::WrongMode => "provider_wrong_mode",
            ErrorKind::Shape(_) => "provider_answer_unknown_shape",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn mend(&self) -> &'static str {
        match &self.kind {
            ErrorKind::RateLimited
            | ErrorKind::LockTimeout
            | ErrorKind::Throttled
            | ErrorKind::CircuitOpen => "it is tried again by itself",
            ErrorKind::Conflict | ErrorKind::Provider | ErrorKind::OutcomeUnknown if self.read_only => {
                "it is asked again by itself"
            }
            ErrorKind::Conflict | ErrorKind::Provider | ErrorKind::OutcomeUnknown => {
                "it is sent again with the same idempotency key"
            }
            ErrorKind::NotSent => "check the network and STRIPE_API_BASE; it is tried again by itself",
            ErrorKind::ReadOnly => {
                "end shadow mode (quittance serve without --shadow) when the old integration is off"
            }
            ErrorKind::Malformed => "check STRIPE_API_BASE and any proxy in between",
            ErrorKind::IdempotencyMismatch => "report this: the same command was built in two ways",
            ErrorKind::Authentication => "check STRIPE_SECRET_KEY",
            ErrorKind::Permission => "give the key the missing permission in Stripe's dashboard",
            ErrorKind::NotFound { .. } => "check that the object exists in this account and mode",
            ErrorKind::InvalidRequest { .. } => "correct the named parameter",
            ErrorKind::Card { .. } => "ask the customer for another payment method",
            ErrorKind::WrongMode => "use a key of the configured mode",
            ErrorKind::Shape(_) => "look at the object in Stripe and report the field",
        }
    }
}

/// Whole seconds only; a date would need a clock and Stripe sends none.
fn retry_after_ms(header: Option<&str>) -> Option<u64> {
    let seconds: u64 = header?.trim().parse().ok()?;
    Some(seconds.min(MAX_RETRY_AFTER_S).saturating_mul(1000))
}
