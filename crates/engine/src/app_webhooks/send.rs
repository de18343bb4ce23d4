//! The seam through which webhooks leave: a simulator or a test answers in memory, the server over the network.

use std::future::Future;
use std::pin::Pin;

/// A message ready to be sent.
pub struct Message {
    /// Where to.
    pub url: String,
    /// The headers of the scheme, among them the signatures.
    pub headers: Vec<(&'static str, String)>,
    /// The body, byte for byte as it was signed.
    pub body: String,
}

impl std::fmt::Debug for Message {
    /// Shows neither signatures nor the body nor what may be secret in the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a message of {} bytes", self.body.len())
    }
}

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The value of `Retry-After`, if there is one.
    pub retry_after: Option<String>,
    /// The beginning of the body, at most [`MOST_ANSWER_BYTES`].
    pub beginning: Vec<u8>,
}

/// How much of an answer is read.
pub const MOST_ANSWER_BYTES: usize = 2_048;

/// Why there is no answer. In doubt the endpoint may have seen the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The address may not be reached; nothing was sent.
    #[error("{0}")]
    Forbidden(String),
    /// No connection, no answer in time, or a broken one.
    #[error("{0}")]
    Failed(String),
}

/// What sending resolves to.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answered, SendError>> + Send + 'a>>;

/// Sends messages. It follows no redirects, retries nothing, and asks [`super::reach::Reach`] about each address that
/// the name resolves to before it connects to that very address.
pub trait Sender: Send + Sync + 'static {
    /// Sends one message as a POST.
    fn post<'a>(&'a self, message: &'a Message) -> Sending<'a>;
}
