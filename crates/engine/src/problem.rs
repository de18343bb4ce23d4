//! What went wrong, as callers meet it: a stable code, what happened, whether money moved, what to do.

use quittance_store::StoreError;
use quittance_stripe::error::{ErrorKind, MoneyMoved, StripeError};

/// Whether money moved because of the failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Money {
    /// It did not.
    No,
    /// It did.
    Yes,
    /// Not known yet; it will be found out, and the same request can be sent again safely.
    Unknown,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Stable codes of problems. A code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemCode { $($(#[$doc])* $name),+ }

        impl ProblemCode {
            /// Every code, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as written in answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

codes! {
    /// A field has a value that cannot be.
    InvalidRequest = "invalid_request",
    /// The body is not JSON of the expected shape.
    InvalidJson = "invalid_json",
    /// No API key, or one that is not in force.
    Unauthenticated = "unauthenticated",
    /// The API key may not do this.
    Forbidden = "forbidden",
    /// There is no such object, or it is another customer's.
    NotFound = "not_found",
    /// There is no such plan, interval or currency in the catalog.
    UnknownPrice = "unknown_price",
    /// The promotion, its code or its channel does not hold for this purchase.
    PromotionRefused = "promotion_refused",
    /// The provider would charge more than the catalog's price; nothing was opened.
    PriceMismatch = "price_mismatch",
    /// The customer has a live subscription of this plan group.
    AlreadySubscribed = "already_subscribed",
    /// An earlier checkout is paid or being paid.
    CheckoutInProgress = "checkout_in_progress",
    /// The subscription's state does not allow this.
    WrongState = "wrong_state",
    /// A renewal is not paid: that comes before a change that costs something.
    PaymentOwed = "payment_owed",
    /// The quote ran out, or what it was computed from has changed.
    QuoteStale = "quote_stale",
    /// The customer is shut out.
    CustomerSuspended = "customer_suspended",
    /// More checkouts than may be opened in that time.
    TooManyCheckouts = "too_many_checkouts",
    /// The amount cannot be given back.
    RefundRefused = "refund_refused",
    /// The customer has nothing at the provider yet.
    NoProviderCustomer = "no_provider_customer",
    /// The idempotency key was used with another request.
    IdempotencyMismatch = "idempotency_mismatch",
    /// A request with this idempotency key is still running.
    IdempotencyInFlight = "idempotency_in_flight",
    /// The payment was declined.
    PaymentDeclined = "payment_declined",
    /// The provider refused the request for good.
    ProviderRefused = "provider_refused",
    /// The provider cannot be reached or asks to wait.
    ProviderUnavailable = "provider_unavailable",
    /// The provider did not answer in time; the request is finished in the background.
    OutcomePending = "outcome_pending",
    /// This installation only watches: nothing can be asked of the provider.
    ShadowMode = "shadow_mode",
    /// The signature of a webhook is missing, wrong, or too old or new.
    InvalidSignature = "invalid_signature",
    /// A live webhook reached a test server, or the other way round.
    WrongMode = "wrong_mode",
    /// The body is too large.
    TooLarge = "too_large",
    /// The address exists, but not for this method.
    MethodNotAllowed = "method_not_allowed",
    /// The body is not of a kind that is read here.
    UnsupportedMediaType = "unsupported_media_type",
    /// The server lacks a setting that this call needs.
    NotConfigured = "not_configured",
    /// More work is waiting than may wait.
    Overloaded = "overloaded",
    /// The database cannot be used now.
    DatabaseUnavailable = "database_unavailable",
    /// Something that must not happen happened; it is in the log.
    Internal = "internal",
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code})", code = code.as_str())]
pub struct Problem {
    /// The stable code.
    pub code: ProblemCode,
    /// What happened, for the person who reads the log.
    pub detail: String,
    /// What to do next.
    pub mend: String,
    /// Whether money moved.
    pub money: Money,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem that moved no money.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), mend: mend.into(), money: Money::No, retry_after_s: None }
    }

    /// A field that cannot be.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, detail, "Correct the field and send the request again.")
    }

    /// An object that is not there for this caller.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("There is no such {what}."), "Check the id.")
    }

    /// The same problem with another mend.
    #[must_use]
    pub fn mended_by(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    /// Something was to be changed at the provider by an installation that only watches.
    #[must_use]
    pub fn shadow_mode() -> Self {
        Self::new(
            ProblemCode::ShadowMode,
            "This installation runs in shadow mode: nothing can be changed at the provider.",
            "Ask the integration that is in charge; or end shadow mode, as docs/migrating.md says.",
        )
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Changes whether money moved.
    #[must_use]
    pub fn money(mut self, money: Money) -> Self {
        self.money = money;
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let busy = matches!(error, StoreError::Busy { .. });
        tracing::error!(error = %error, "the database refused");
        if busy {
            return Self::new(
                ProblemCode::Overloaded,
                "More work is waiting than may wait.",
                "Send the request again.",
            )
            .retry_after(1);
        }
        let mend = "Nothing was lost; send the request again. Operators: see the server's log and /readyz.";
        Self::new(ProblemCode::DatabaseUnavailable, "The database cannot be used now.", mend).retry_after(5)
    }
}

impl From<StripeError> for Problem {
    fn from(error: StripeError) -> Self {
        let money = match error.money_moved() {
            MoneyMoved::No => Money::No,
            MoneyMoved::Unknown => Money::Unknown,
        };
        let wait =
            error.retry_after_ms().map_or(2, |ms| u32::try_from(ms.div_ceil(1_000)).unwrap_or(3_600)).max(1);
        let problem = match error.kind() {
            ErrorKind::Card { .. } => Self::new(
                ProblemCode::PaymentDeclined,
                error.to_string(),
                "Ask the customer for another payment method.",
            ),
            ErrorKind::NotFound { .. }
            | ErrorKind::InvalidRequest { .. }
            | ErrorKind::IdempotencyMismatch
            | ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::WrongMode => Self::new(
                ProblemCode::ProviderRefused,
                error.to_string(),
                "Operators: check the provider's key, mode and catalog prices.",
            ),
            ErrorKind::ReadOnly => Self::shadow_mode(),
            ErrorKind::RateLimited
            | ErrorKind::LockTimeout
            | ErrorKind::Conflict
            | ErrorKind::NotSent
            | ErrorKind::Throttled
            | ErrorKind::CircuitOpen => Self::new(
                ProblemCode::ProviderUnavailable,
                error.to_string(),
                "Send the same request again with the same Idempotency-Key.",
            )
            .retry_after(wait),
            ErrorKind::Provider | ErrorKind::OutcomeUnknown | ErrorKind::Malformed | ErrorKind::Shape(_) => Self::new(
                ProblemCode::OutcomePending,
                error.to_string(),
                "Send the same request again with the same Idempotency-Key; it is finished once, never twice.",
            )
            .retry_after(wait),
        };
        problem.money(money)
    }
}
