//! A mail server for tests: it speaks enough SMTP (RFC 5321), STARTTLS and login, keeps what arrives, and fails when told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A message that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Headers and body as sent.
    pub data: String,
    /// It came over TLS.
    pub tls: bool,
    /// The login, as it was sent.
    pub login: Option<String>,
}

impl Arrived {
    /// A header's value, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ");
        head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    }
}

/// What happens to the next messages.
#[derive(Debug, Clone)]
pub enum Mood {
    /// The recipient is answered with this.
    Recipient(&'static str),
    /// The whole message is answered with this.
    Message(&'static str),
    /// The message is taken, and its sender never hears of it.
    HangUp,
    /// The login is answered with this.
    Login(&'static str),
}

#[derive(Default)]
struct Kept {
    arrived: Vec<Arrived>,
    moods: VecDeque<Mood>,
}

/// A running server.
#[derive(Clone)]
pub struct Server {
    pub port: u16,
    kept: Arc<Mutex<Kept>>,
    tls: Option<TlsAcceptor>,
    from_the_start: bool,
}

impl Server {
    /// Without TLS.
    pub async fn plain() -> Self {
        Self::start(None, false).await
    }

    /// With TLS for `localhost`, from the start or by STARTTLS; and the certificate to trust.
    pub async fn with_tls(from_the_start: bool) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let server = Self::start(Some(TlsAcceptor::from(Arc::new(config))), from_the_start).await;
        (server, made.cert.pem())
    }

    async fn start(tls: Option<TlsAcceptor>, from_the_start: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, kept: Arc::default(), tls, from_the_start };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move { server.meet(stream).await });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub fn expect(&self, mood: Mood) {
        self.kept.lock().unwrap().moods.push_back(mood);
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.kept.lock().unwrap().arrived.clone()
    }

    fn mood(&self, fits: impl Fn(&Mood) -> bool) -> Option<Mood> {
        let mut kept = self.kept.lock().unwrap();
        if kept.moods.front().is_some_and(fits) { kept.moods.pop_front() } else { None }
    }

    async fn meet(&self, stream: TcpStream) {
        match (&self.tls, self.from_the_start) {
            (Some(tls), true) => {
                if let Ok(stream) = tls.accept(stream).await {
                    self.talk(BufReader::new(stream), true, true).await;
                }
            }
            (Some(tls), false) => {
                if let Some(stream) = self.talk(BufReader::new(stream), false, true).await
                    && let Ok(stream) = tls.accept(stream.into_inner()).await
                {
                    self.talk(BufReader::new(stream), true, false).await;
                }
            }
            (None, _) => {
                self.talk(BufReader::new(stream), false, true).await;
            }
        }
    }

    /// Talks until the client goes; the stream when it asks for TLS.
    async fn talk<S>(&self, mut stream: BufReader<S>, tls: bool, greet: bool) -> Option<BufReader<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if greet {
            say(&mut stream, "220 test server").await?;
        }
        let (mut to, mut login) = (Vec::new(), None);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let (verb, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" if self.tls.is_some() && !tls => {
                    say(&mut stream, "250-test\r\n250-8BITMIME\r\n250 STARTTLS").await?;
                }
                "EHLO" => say(&mut stream, "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN").await?,
                "STARTTLS" => {
                    say(&mut stream, "220 go ahead").await?;
                    return Some(stream);
                }
                "AUTH" => match self.mood(|mood| matches!(mood, Mood::Login(_))) {
                    Some(Mood::Login(answer)) => say(&mut stream, answer).await?,
                    _ => {
                        login = Some(rest.to_owned());
                        say(&mut stream, "235 ok").await?;
                    }
                },
                "MAIL" => {
                    to.clear();
                    say(&mut stream, "250 ok").await?;
                }
                "RCPT" => match self.mood(|mood| matches!(mood, Mood::Recipient(_))) {
                    Some(Mood::Recipient(answer)) => say(&mut stream, answer).await?,
                    _ => {
                        to.push(rest.to_owned());
                        say(&mut stream, "250 ok").await?;
                    }
                },
                "DATA" => {
                    say(&mut stream, "354 go on").await?;
                    let mut data = String::new();
                    while !data.ends_with("\r\n.\r\n") {
                        if stream.read_line(&mut data).await.ok()? == 0 {
                            return None;
                        }
                    }
                    let data = data.trim_end_matches(".\r\n").replace("\r\n..", "\r\n.");
                    match self.mood(|mood| matches!(mood, Mood::Message(_) | Mood::HangUp)) {
                        Some(Mood::Message(answer)) => {
                            say(&mut stream, answer).await?;
                            continue;
                        }
                        mood => {
                            let arrived = Arrived { to: to.clone(), data, tls, login: login.clone() };
                            self.kept.lock().unwrap().arrived.push(arrived);
                            if mood.is_some() {
                                return None;
                            }
                            say(&mut stream, "250 2.0.0 queued as 1").await?;
                        }
                    }
                }
                "QUIT" => {
                    say(&mut stream, "221 bye").await?;
                    return None;
                }
                _ => say(&mut stream, "250 ok").await?,
            }
        }
    }
}

async fn say<S: AsyncWrite + AsyncRead + Unpin>(stream: &mut BufReader<S>, text: &str) -> Option<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}
