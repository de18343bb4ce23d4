//! Plain HTTP messages and the one seam through which they leave.
//!
//! Nothing here opens a connection: a simulator implements [`Transport`] in memory, [`crate::transport`] over the network.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use secrecy::SecretString;

/// The verbs that Stripe's v1 API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads; parameters are in the query.
    Get,
    /// Changes; parameters are in the form body.
    Post,
    /// Ends or removes; parameters are in the query.
    Delete,
}

impl Method {
    /// The verb as written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A request ready to be sent. The secret key is kept apart from the other headers, so that nothing prints it by accident.
pub struct HttpRequest {
    /// The verb.
    pub method: Method,
    /// Scheme, host and port without a trailing slash, for example `https://api.stripe.com`.
    pub base: Arc<str>,
    /// Path with query, for example `/v1/customers?limit=3`.
    pub target: String,
    /// Headers but `Authorization`.
    pub headers: Vec<(&'static str, String)>,
    /// The value of the `Authorization` header.
    pub authorization: SecretString,
    /// The form body; empty for GET and DELETE.
    pub body: String,
}

impl HttpRequest {
    /// The whole address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.base, self.target)
    }
}

impl std::fmt::Debug for HttpRequest {
    /// Shows neither the secret nor the body nor the query: those can hold personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{} {}{path} ({} body bytes)", self.method.as_str(), self.base, self.body.len())
    }
}

/// What came back, whatever its status.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Header names in lowercase, with their values; values that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// The body, complete.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first value of a header named in lowercase.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} body bytes)", self.status, self.body.len())
    }
}

/// Whether the provider can have acted on a request that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// No byte of the request left, because nothing but reading is allowed.
    ReadOnly,
    /// No byte of the request left: no connection, or the request could not be built. The provider did nothing.
    NotSent,
    /// The request, or part of it, left and no complete answer came: timeout, lost connection, oversized answer.
    Unknown,
}

/// A request without a complete answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// Whether the provider can have acted.
    pub kind: TransportErrorKind,
    /// What happened, without secrets or personal data.
    pub message: String,
}

/// The future of one exchange.
pub type Exchange<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, TransportError>> + Send + 'a>>;

/// Sends one request and waits for one answer: no retries, no redirects, no cache.
pub trait Transport: Send + Sync {
    /// Sends `request`. An implementation must bound time and answer size, and must say `Unknown` whenever in doubt.
    fn send(&self, request: HttpRequest) -> Exchange<'_>;
}

/// Lets nothing through but reads: what changes something, and what only looks as if it could, does not leave.
pub struct ReadOnly(Arc<dyn Transport>);

impl ReadOnly {
    /// Reads through `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>) -> Self {
        Self(inner)
    }
}

impl Transport for ReadOnly {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        match request.method {
            Method::Get => self.0.send(request),
            Method::Post | Method::Delete => Box::pin(std::future::ready(Err(TransportError {
                kind: TransportErrorKind::ReadOnly,
                message: "nothing may be changed at the provider: this is shadow mode".to_owned(),
            }))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_secret_nor_personal_data() {
        let request = HttpRequest {
            method: Method::Post,
            base: "https://api.stripe.com".into(),
            target: "/v1/customers?email=jane%40example.com".into(),
            headers: vec![("Idempotency-Key", "k".into())],
            authorization: SecretString::from("Bearer sk_test_hush"),
            body: "email=jane%40example.com".into(),
        };
        assert_eq!(format!("{request:?}"), "POST https://api.stripe.com/v1/customers (24 body bytes)");
        let response =
            HttpResponse { status: 200, headers: vec![], body: b"{\"email\":\"jane@example.com\"}".to_vec() };
        assert_eq!(format!("{response:?}"), "200 (28 body bytes)");
    }
}
