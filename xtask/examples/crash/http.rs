//! HTTP calls to loopback that may find nobody there, or lose their answer in the middle, and those that come in. HTTP/1.0:
//! one answer, then the connection ends.

use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Longer than anything that is asked for here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The content type of the product's API and of the sandbox's control calls.
pub const JSON: &str = "application/json";
/// The content type of the provider's API.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Where to call, and with which key.
#[derive(Clone)]
pub struct Client {
    /// The port on loopback.
    pub port: u16,
    /// The bearer token.
    pub key: String,
}

/// One request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The path with its query.
    pub path: &'a str,
    /// The content type.
    pub kind: &'a str,
    /// More headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head in lower case.
    head: String,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Whether it says how the request ended, not that it should be sent again.
    pub fn is_final(&self) -> bool {
        self.status < 500 && self.status != 429 && self.header("retry-after").is_none()
    }
}

impl Client {
    /// Sends one request.
    ///
    /// # Errors
    /// When no complete answer came; whether the request was carried out is then not known.
    pub fn send(&self, request: &Request<'_>) -> Result<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!(
            "{} {} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            request.method,
            request.path,
            self.port,
            self.key,
            request.kind,
            request.body.len()
        );
        for (name, value) in request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(&[head.as_bytes(), request.body].concat())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let (head, text) = text.split_once("\r\n\r\n").context("an answer without a head")?;
        let status = head.split(' ').nth(1).context("an answer without a status")?.parse()?;
        let answer = Answer { status, head: head.to_ascii_lowercase(), text: text.to_owned() };
        let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
        ensure!(length.is_none_or(|length| length == text.len()), "the answer broke off");
        Ok(answer)
    }

    /// A GET.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send(&Request { method: "GET", path, kind: JSON, headers: &[], body: &[] })
    }

    /// A call with a JSON body that must be answered with 2xx.
    ///
    /// # Errors
    /// As [`Client::send`], and when the answer is another.
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(&Request { method, path, kind: JSON, headers: &[], body: text.as_bytes() })?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path} answered {}: {}", answer.status, answer.text);
        }
        Ok(answer.json())
    }

    /// Every entry of a list of the product, or of the provider (which pages by the last id).
    ///
    /// # Errors
    /// As [`Client::json`].
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut from = String::new();
        let mark = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = self.json("GET", &format!("{path}{mark}limit=100{from}"), &Value::Null)?;
            let data = page.get("data").and_then(Value::as_array).context("a list without data")?;
            all.extend(data.iter().cloned());
            let cursor = page.get("next_cursor").and_then(Value::as_str);
            let more = page.get("has_more").and_then(Value::as_bool) == Some(true);
            from = match (cursor, data.last().filter(|_| more)) {
                (Some(cursor), _) => format!("&cursor={cursor}"),
                (None, Some(last)) => format!("&starting_after={}", text(last, "id")),
                (None, None) => return Ok(all),
            };
        }
    }
}

/// A request that came in.
#[derive(Clone)]
pub struct Incoming {
    head: String,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl Incoming {
    /// Reads one request.
    ///
    /// # Errors
    /// When it breaks off, or says nothing of its length.
    pub fn read(stream: &mut TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE / 2))?;
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            more(stream, &mut bytes)?;
        };
        let mut body = bytes.split_off(end + 4);
        let mut incoming = Self { head: String::from_utf8_lossy(&bytes).into_owned(), body: Vec::new() };
        let length: usize = incoming.header("content-length").context("no length")?.parse()?;
        while body.len() < length {
            more(stream, &mut body)?;
        }
        incoming.body = body;
        Ok(incoming)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Reads what is there.
fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Result<()> {
    let mut part = [0_u8; 8192];
    let count = stream.read(&mut part)?;
    bytes.extend_from_slice(part.get(..count).filter(|part| !part.is_empty()).context("broken off")?);
    Ok(())
}

/// Answers a request that came in, with a status alone.
///
/// # Errors
/// When nobody listens any more.
pub fn answer(stream: &mut TcpStream, status: u16) -> Result<()> {
    write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(())
}

/// A text field; empty when there is none.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A list field; empty when there is none.
pub fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A number field; 0 when there is none.
pub fn number(value: &Value, field: &str) -> i64 {
    value.get(field).and_then(Value::as_i64).unwrap_or_default()
}

/// A yes-or-no field; no when there is none.
pub fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or_default()
}
