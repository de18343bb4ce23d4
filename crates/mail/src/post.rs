//! Sending: an SMTP server, or keeping mails where there is none.
//!
//! TLS is the rule: `smtps://` from the first byte, `smtp://` by STARTTLS, which must succeed. Plain text goes to this
//! machine only, or where the address says `?tls=none`.

use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// How long the server may take for one step.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections that are kept open at most.
const MOST_CONNECTIONS: u32 = 4;
/// Answers that say that our login is refused: the operator's to mend, not the recipient's.
const LOGIN_REFUSED: [u16; 4] = [530, 534, 535, 538];

/// The way mails leave.
#[derive(Clone)]
pub enum Post {
    /// By a mail server.
    Smtp(Smtp),
    /// Not at all: they are kept, to be looked at.
    Capture,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Smtp(_) => "Smtp",
            Self::Capture => "Capture",
        })
    }
}

/// Why a mail did not leave. The texts hold no address and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It may leave later.
    Later(String),
    /// It never will.
    Never(String),
}

/// A setting of the mail server cannot be used; the text holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(pub String);

/// Where and how to reach a mail server; nothing is opened yet.
#[derive(Clone)]
pub struct SmtpServer {
    builder: AsyncSmtpTransportBuilder,
    shown: String,
}

impl std::fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl SmtpServer {
    /// The server at `smtps://user:password@host:port` or `smtp://…`. `hello` is the name by which this
    /// machine introduces itself, `roots` are certificates (PEM) that are trusted besides the usual ones.
    ///
    /// # Errors
    /// Says what is wrong with the address, without repeating it.
    pub fn parse(url: &str, hello: Option<&str>, roots: Option<&[u8]>) -> Result<Self, AddressError> {
        let bad = |why: &str| AddressError(why.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it is no address"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.trim_end_matches('/');
        let (login, server) =
            place.rsplit_once('@').map_or((None, place), |(login, server)| (Some(login), server));
        let (host, port) =
            host_and_port(server).ok_or_else(|| bad("it names no host, or no port from 1 to 65535"))?;
        let mode = query.split('&').find_map(|pair| pair.strip_prefix("tls="));
        let tls = match (scheme, mode) {
            ("smtps", None | Some("required")) => Wish::FromTheStart,
            ("smtp", Some("required")) => Wish::StartTls,
            ("smtp", Some("none")) => Wish::Plain,
            ("smtp", None) if is_here(&host) => Wish::Plain,
            ("smtp", None) => Wish::StartTls,
            ("smtp" | "smtps", Some(_)) => {
                return Err(bad("after `?tls=` comes `required` or, with smtp://, `none`"));
            }
            _ => return Err(bad("it begins with neither smtp:// nor smtps://")),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
            .port(port.unwrap_or(tls.port()))
            .timeout(Some(PATIENCE))
            .pool_config(PoolConfig::new().max_size(MOST_CONNECTIONS));
        if tls != Wish::Plain {
            let mut parameters = TlsParameters::builder(host.clone());
            if let Some(pem) = roots {
                let root = Certificate::from_pem(pem)
                    .map_err(|_| bad("the certificates in `mail.ca_file` cannot be read"))?;
                parameters = parameters.add_root_certificate(root);
            }
            let parameters = parameters.build().map_err(|_| bad("TLS cannot be set up for it"))?;
            builder = builder.tls(match tls {
                Wish::FromTheStart => Tls::Wrapper(parameters),
                Wish::StartTls | Wish::Plain => Tls::Required(parameters),
            });
        }
        if let Some(name) = hello.filter(|name| !name.is_empty()) {
            builder = builder.hello_name(ClientId::Domain(name.to_owned()));
        }
        if let Some(login) = login {
            let (user, password) =
                login.split_once(':').ok_or_else(|| bad("it has a user and no password"))?;
            let decode = |text: &str| {
                decoded(text).ok_or_else(|| bad("its user or password is not encoded as in an address"))
            };
            builder = builder.credentials(lettre::transport::smtp::authentication::Credentials::new(
                decode(user)?,
                decode(password)?,
            ));
        }
        let shown = format!("{scheme}://{host}:{}", port.unwrap_or(tls.port()));
        Ok(Self { builder, shown })
    }

    /// Ready to send; connections are made when they are needed. Must be called within the runtime.
    #[must_use]
    pub fn open(&self) -> Smtp {
        Smtp { transport: self.builder.clone().build() }
    }

    /// The server's address without its login.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// A mail server.
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Smtp {
    /// Sends a message; what the server said.
    ///
    /// # Errors
    /// Whether trying again makes sense.
    pub async fn send(&self, message: Message) -> Result<String, Trouble> {
        let to: Vec<String> = message.envelope().to().iter().map(ToString::to_string).collect();
        match self.transport.send(message).await {
            Ok(response) => {
                let said = response.message().collect::<Vec<_>>().join(" ");
                Ok(without(&format!("{} {said}", response.code()), &to))
            }
            Err(error) => Err(trouble(&error, &to)),
        }
    }

    /// Connects and says hello, logs in where there is a login, and sends nothing.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn check(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the server does not answer as a mail server".to_owned()),
            Err(error) => Err(chain(&error)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    FromTheStart,
    StartTls,
    Plain,
}

impl Wish {
    const fn port(self) -> u16 {
        match self {
            Self::FromTheStart => 465,
            Self::StartTls => 587,
            Self::Plain => 25,
        }
    }
}

fn host_and_port(server: &str) -> Option<(String, Option<u16>)> {
    let (host, rest) = match server.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => server.split_once(':').map_or((server, ""), |(host, _)| (host, &server[host.len()..])),
    };
    let named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port: &u16| *port > 0)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    named.then(|| (host.to_owned(), port))
}

/// This machine: what is said to it passes no wire.
fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Percent-decoded.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = [rest.next()?, rest.next()?];
        bytes.extend(hex::decode(pair).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn trouble(error: &lettre::transport::smtp::Error, to: &[String]) -> Trouble {
    let said = without(&chain(error), to);
    let code = error.status().map(u16::from);
    if code.is_some_and(|code| LOGIN_REFUSED.contains(&code)) {
        return Trouble::Later(format!("the mail server refuses the login: {said}"));
    }
    if error.is_permanent() { Trouble::Never(said) } else { Trouble::Later(said) }
}

/// An error with what it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

/// Servers like to repeat the recipient; logs and lists need not.
fn without(text: &str, addresses: &[String]) -> String {
    let mut text = text.to_owned();
    for address in addresses {
        text = text.replace(address.as_str(), "(address)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_goes_to_this_machine_only() {
        for (url, port) in [
            ("smtp://localhost", 25),
            ("smtp://127.0.0.1:2525", 2525),
            ("smtp://[::1]:2525", 2525),
            ("smtp://relay.example.com?tls=none", 25),
            ("smtp://relay.example.com", 587),
            ("smtps://user:p%40ss@relay.example.com/", 465),
        ] {
            let smtp = SmtpServer::parse(url, Some("billing.example.com"), None)
                .unwrap_or_else(|e| panic!("{url}: {e}"));
            assert!(
                smtp.shown().ends_with(&format!(":{port}")) && !smtp.shown().contains("user"),
                "{}",
                smtp.shown()
            );
        }
        assert_eq!(decoded("p%40ss%3a").as_deref(), Some("p@ss:"));
    }

    #[test]
    fn an_address_that_cannot_be_is_named_and_not_repeated() {
        for (url, word) in [
            ("mail.example.com", "no address"),
            ("http://u:hush@mail.example.com", "smtps://"),
            ("smtp://u:hush@", "no host"),
            ("smtp://u:hush@host:99999", "port"),
            ("smtp://u:hush@host?tls=maybe", "required"),
            ("smtps://u:hush@host?tls=none", "required"),
            ("smtp://hush@host", "no password"),
            ("smtp://u:%zz@host", "encoded"),
        ] {
            let error =
                SmtpServer::parse(url, None, None).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(word) && !error.contains("hush"), "{url}: {error}");
        }
    }

    #[test]
    fn the_recipient_is_not_repeated() {
        assert_eq!(
            without("550 <ada@example.com> unknown", &["ada@example.com".to_owned()]),
            "550 <(address)> unknown"
        );
    }
}
