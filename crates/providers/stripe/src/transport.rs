//! The one file that opens connections: [`Transport`] over HTTPS.
//!
//! It follows no redirects, retries nothing, bounds time and answer size, and trusts Mozilla's root certificates. It knows nothing
//! of Stripe. Its only judgement is whether a failed request can have reached the other side: in doubt it can.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::ExposeSecret;

use crate::http::{
    Exchange, HttpRequest, HttpResponse, Method, Transport, TransportError, TransportErrorKind,
};

/// How to connect.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long the whole exchange may take, connection included.
    pub total_timeout: Duration,
    /// Larger answers are given up.
    pub max_answer_bytes: usize,
    /// Whether the proxy settings of the environment apply; they must not for a server on this machine.
    pub use_system_proxy: bool,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
            max_answer_bytes: 16 * 1024 * 1024,
            use_system_proxy: true,
        }
    }
}

/// Sends over the network, with pooled connections.
#[derive(Debug)]
pub struct HttpsTransport {
    client: reqwest::Client,
    max_answer_bytes: usize,
}

impl HttpsTransport {
    /// Prepares the client; nothing is sent.
    ///
    /// # Errors
    /// [`TransportError`] of kind `NotSent` when TLS cannot be set up.
    pub fn new(config: &TransportConfig) -> Result<Self, TransportError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(config.connect_timeout)
            .timeout(config.total_timeout);
        if !config.use_system_proxy {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| failure(TransportErrorKind::NotSent, e))?;
        Ok(Self { client, max_answer_bytes: config.max_answer_bytes })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let built = self.build(&request)?;
        let mut response = self.client.execute(built).await.map_err(|e| {
            // A connection that was never made, or a request that could not be built, reached nobody.
            let kind = if e.is_connect() || e.is_builder() {
                TransportErrorKind::NotSent
            } else {
                TransportErrorKind::Unknown
            };
            failure(kind, e)
        })?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failure(TransportErrorKind::Unknown, e))? {
            if body.len().saturating_add(chunk.len()) > self.max_answer_bytes {
                let message = format!("the answer is larger than {} bytes", self.max_answer_bytes);
                return Err(TransportError { kind: TransportErrorKind::Unknown, message });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body })
    }

    fn build(&self, request: &HttpRequest) -> Result<reqwest::Request, TransportError> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut authorization =
            HeaderValue::from_str(request.authorization.expose_secret()).map_err(|_| TransportError {
                kind: TransportErrorKind::NotSent,
                message: "the secret key holds characters that no header may have".to_owned(),
            })?;
        authorization.set_sensitive(true);
        let mut builder = self.client.request(method, request.url()).header(AUTHORIZATION, authorization);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if request.method == Method::Post {
            builder = builder
                .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(request.body.clone());
        }
        builder.build().map_err(|e| failure(TransportErrorKind::NotSent, e))
    }
}

impl Transport for HttpsTransport {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        Box::pin(self.exchange(request))
    }
}

fn tls() -> Result<rustls::ClientConfig, TransportError> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| TransportError {
            kind: TransportErrorKind::NotSent,
            message: format!("TLS cannot be set up: {e}"),
        })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Without the address, whose query can hold an e-mail address, but with the causes, which name the mend.
fn failure(kind: TransportErrorKind, error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        message.push_str(": ");
        message.push_str(&inner.to_string());
        cause = inner.source();
    }
    TransportError { kind, message }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
