//! Connecting to PostgreSQL: the address, TLS, and what every session is set to.
//!
//! TLS is rustls with the Mozilla root certificates, plus those in the file that `sslrootcert=` names. `sslmode` is libpq's, except that
//! `require` verifies too: `disable`, `prefer` (the default: TLS if it works, else plain), `require` = `verify-ca` = `verify-full`.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::cannot_connect;
use crate::error::{Result, StoreError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connecting with login, or any other answer that takes the server no time.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// After this long a connection of which nothing is heard counts as lost: between two machines one can end without a sign.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Outside a transaction nothing can write: so a `BEGIN` that failed can never let the statement behind it commit alone.
const SESSION: &str = "SET default_transaction_read_only = on; SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning; SET TIME ZONE 'UTC'; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// What drives the socket; must be polled for the client to work. Yields notifications.
pub(super) trait Drive: Send {
    fn poll_event(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Event>>;
}

/// What came from the server unasked.
pub(super) enum Event {
    Notification(String),
    Other,
    Broken(String),
}

impl<S, T> Drive for Connection<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    fn poll_event(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Event>> {
        self.poll_message(context).map(|message| {
            message.map(|message| match message {
                Ok(tokio_postgres::AsyncMessage::Notification(notification)) => {
                    Event::Notification(notification.payload().to_owned())
                }
                Ok(_) => Event::Other,
                Err(error) => Event::Broken(error.to_string()),
            })
        })
    }
}

/// The connection's end that must be driven.
pub(super) type Driver = Pin<Box<dyn Drive + Unpin>>;

/// How to reach the server.
pub(super) struct Target {
    config: Config,
    tls: MakeRustlsConnect,
    /// `prefer`, and the server's TLS did not work: do not try again for every connection.
    plain: AtomicBool,
}

impl Target {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (url, mode, root_file) = split_tls_options(url);
        let mut config = Config::from_str(&url).map_err(|error| StoreError::Config(with_source(&error)))?;
        config.ssl_mode(match mode.as_deref() {
            None | Some("prefer" | "allow") => SslMode::Prefer,
            Some("disable") => SslMode::Disable,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(other) => {
                return Err(StoreError::Config(format!(
                    "sslmode={other} is not known: use disable, prefer or verify-full"
                )));
            }
        });
        config.application_name("quittance");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_LIMIT).keepalives_idle(SILENCE_LIMIT);
        }
        Ok(Self { config, tls: tls(root_file.as_deref())?, plain: AtomicBool::new(false) })
    }

    /// Connects, and sets the session up.
    pub(super) async fn connect(&self) -> Result<(Client, impl Future<Output = ()> + Send + 'static)> {
        let (client, mut driver) = self.connect_raw().await?;
        let driving = async move {
            loop {
                match std::future::poll_fn(|context| driver.poll_event(context)).await {
                    Some(Event::Notification(_) | Event::Other) => {}
                    Some(Event::Broken(_)) | None => return,
                }
            }
        };
        Ok((client, driving))
    }

    /// Connects only.
    pub(super) async fn connect_raw(&self) -> Result<(Client, Driver)> {
        let prefers = self.config.get_ssl_mode() == SslMode::Prefer;
        if self.config.get_ssl_mode() == SslMode::Disable || (prefers && self.plain.load(Ordering::Relaxed)) {
            return self.connect_plain().await;
        }
        match self.config.connect(self.tls.clone()).await {
            Ok((client, connection)) => Ok((client, Box::pin(connection))),
            Err(error) if prefers && error.as_db_error().is_none() => {
                // Refused, or a certificate nobody vouches for. `prefer` promises no secrecy; a refused connection fails again below.
                let connected = self.connect_plain().await?;
                self.plain.store(true, Ordering::Relaxed);
                tracing::warn!(
                    "the database's TLS certificate could not be verified, so the connection is not encrypted; set sslrootcert and sslmode=verify-full, or sslmode=disable"
                );
                Ok(connected)
            }
            Err(error) => Err(cannot_connect(&error)),
        }
    }

    async fn connect_plain(&self) -> Result<(Client, Driver)> {
        let mut config = self.config.clone();
        config.ssl_mode(SslMode::Disable);
        let (client, connection) = config.connect(NoTls).await.map_err(|error| cannot_connect(&error))?;
        Ok((client, Box::pin(connection)))
    }
}

/// Waits for what the server answers at once, if it answers at all.
pub(super) async fn answered<X>(limit: Duration, work: impl Future<Output = Result<X>>) -> Result<X> {
    let in_time = tokio::time::timeout(limit, work).await;
    in_time.unwrap_or_else(|_| Err(StoreError::unavailable("the server does not answer")))
}

/// Sets a fresh session up; the driver must be running.
pub(super) async fn prepare_session(client: &Client) -> Result<()> {
    client.batch_execute(SESSION).await.map_err(|error| cannot_connect(&error))
}

/// Takes the two options out that the driver does not know in full.
fn split_tls_options(url: &str) -> (String, Option<String>, Option<String>) {
    let Some((base, options)) = url.split_once('?') else { return (url.to_owned(), None, None) };
    let (mut mode, mut root_file, mut rest) = (None, None, Vec::new());
    for option in options.split('&') {
        match option.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => root_file = Some(value.replace("%2F", "/").replace("%2f", "/")),
            Some(_) | None => rest.push(option),
        }
    }
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    (url, mode, root_file)
}

fn tls(root_file: Option<&str>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = root_file {
        let refuse = |reason: String| StoreError::Config(format!("sslrootcert={path}: {reason}"));
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))? {
            let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Config(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn with_source(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
