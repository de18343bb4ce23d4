//! Single HTTP calls to loopback, for preparing what is measured. HTTP/1.0: one answer, then the connection ends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Where to call, and with which key.
pub struct Client {
    /// The port on loopback.
    pub port: u16,
    /// The bearer token.
    pub key: String,
}

impl Client {
    /// A JSON call that must be answered with 2xx.
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = self.call(method, path, "application/json", &body)?;
        ensure!((200..300).contains(&status), "{method} {path} answered {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answered no JSON: {text}"))
    }

    /// A form post, as the provider's API takes it, that must be answered with 2xx.
    pub fn form(&self, path: &str, body: &str) -> Result<Value> {
        let (status, text) = self.call("POST", path, "application/x-www-form-urlencoded", body)?;
        ensure!((200..300).contains(&status), "POST {path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Status and body of a GET, whatever they are.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        self.call("GET", path, "application/json", "")
    }

    fn call(&self, method: &str, path: &str, kind: &str, body: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            self.key,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, text) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
        let status = head.split(' ').nth(1).context("an answer without a status")?;
        Ok((status.parse()?, text.to_owned()))
    }
}
