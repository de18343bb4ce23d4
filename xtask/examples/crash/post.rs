//! The mail server of the harness: takes everything, and remembers which letter came to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// The letters that came, by the name that they have on their way.
#[derive(Default)]
pub struct Letters(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl Letters {
    /// Takes a letter. One that was sent and not recorded comes again under its name.
    pub fn take(&self, id: &str, to: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(id.to_owned()).or_default().insert(to.to_owned());
    }

    /// Whom a letter came to.
    pub fn to(&self, id: &str) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
    }

    /// The names of all letters.
    pub fn ids(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// Starts a mail server; its port and what comes to it. Its threads end with the process.
///
/// # Errors
/// When there is no port.
pub fn start() -> Result<(u16, Arc<Letters>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let letters = Arc::new(Letters::default());
    let kept = letters.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let letters = letters.clone();
            thread::spawn(move || {
                // Who hangs up has sent what was answered, and nothing more.
                let _ = serve(stream, &letters);
            });
        }
    });
    Ok((port, kept))
}

/// One connection (RFC 5321): a letter is taken before it is answered.
fn serve(mut stream: TcpStream, letters: &Letters) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 here\r\n")?;
    let mut to = Vec::new();
    while let Some(line) = lines.next() {
        let line = line?;
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "RCPT" => {
                to.extend(line.split(['<', '>']).nth(1).map(str::to_owned));
                "250 ok"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                let mut id = None;
                for line in lines.by_ref() {
                    let line = line?;
                    if line == "." {
                        break;
                    }
                    if let Some((_, named)) = line.split_once("Message-ID: <").filter(|_| id.is_none()) {
                        id = Some(named.trim_end_matches('>').to_owned());
                    }
                }
                for one in to.drain(..) {
                    letters.take(id.as_deref().unwrap_or_default(), &one);
                }
                "250 taken"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => "250 ok",
        };
        stream.write_all(answer.as_bytes())?;
        stream.write_all(b"\r\n")?;
    }
    Ok(())
}
