//! Sends webhooks to the app over the network: the one place where this server connects to addresses that an operator
//! named through the API.
//!
//! It resolves a name itself, drops every address that may not be reached, and connects to one of those that remain, so
//! that a name cannot mean something else between the check and the connection. No proxy, no redirects, no cookies, no
//! retries; bounded in time and in what it reads.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quittance_engine::app_webhooks::reach::{Reach, not_public};
use quittance_engine::app_webhooks::send::{
    Answered, MOST_ANSWER_BYTES, Message, SendError, Sender, Sending,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::failure::Failure;

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the whole exchange may take; the courier's own limit is lower.
const TOTAL: Duration = Duration::from_secs(60);
/// Idle connections to one host that are kept.
const IDLE: usize = 4;

/// The sender of the server.
pub struct HttpsSender {
    client: reqwest::Client,
    reach: Reach,
}

impl HttpsSender {
    /// Prepares the client; nothing is sent.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(reach: &Reach) -> Result<Self, Failure> {
        let defect = |why: String| {
            let mend = "Reinstall quittance; its TLS is built in.";
            Failure::problem("tls", format!("TLS cannot be set up: {why}"), mend)
        };
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| defect(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .dns_resolver(Arc::new(Resolver { reach: reach.clone() }))
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_max_idle_per_host(IDLE)
            .build()
            .map_err(|error| defect(error.to_string()))?;
        Ok(Self { client, reach: reach.clone() })
    }

    async fn exchange(&self, message: &Message) -> Result<Answered, SendError> {
        // An address that is written as numbers is resolved by nobody.
        self.reach.check(&message.url).map_err(SendError::Forbidden)?;
        let mut request = self.client.post(&message.url).body(message.body.clone());
        for (name, value) in &message.headers {
            request = request.header(*name, value);
        }
        let mut response = request.send().await.map_err(failed)?;
        let header = response.headers().get(reqwest::header::RETRY_AFTER);
        let retry_after = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let mut beginning = Vec::new();
        // The status is the answer: a body that breaks off or never ends changes nothing.
        while beginning.len() < MOST_ANSWER_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            beginning.extend_from_slice(&chunk);
        }
        beginning.truncate(MOST_ANSWER_BYTES);
        Ok(Answered { status, retry_after, beginning })
    }
}

impl Sender for HttpsSender {
    fn post<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.exchange(message))
    }
}

/// Without the address, which may hold a secret, but with the causes, which name the mend.
fn failed(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Forbidden>() {
            return SendError::Forbidden(refused.to_string());
        }
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    SendError::Failed(text)
}

/// None of the addresses of a name may be reached.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Forbidden(String);

/// Resolves by the system and lets only what may be reached through.
struct Resolver {
    reach: Reach,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach.clone();
        Box::pin(async move {
            // The port is filled in by whoever connects.
            let found: Vec<IpAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.map(|address| address.ip()).collect();
            let allowed = choose(&reach, &found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn choose(reach: &Reach, found: &[IpAddr]) -> Result<Vec<SocketAddr>, Forbidden> {
    let allowed: Vec<SocketAddr> =
        found.iter().filter(|ip| reach.allows(**ip)).map(|ip| SocketAddr::new(*ip, 0)).collect();
    match (allowed.is_empty(), found.first()) {
        (true, Some(first)) => Err(Forbidden(format!("its name resolves to {}", not_public(*first)))),
        (true, None) => Err(Forbidden("its name has no address".to_owned())),
        (false, _) => Ok(allowed),
    }
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
