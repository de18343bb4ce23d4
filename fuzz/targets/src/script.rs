//! Requests written as text, so that a corpus file can be read: `METHOD path?query`, headers, an empty line, a body.
//!
//! Requests are separated by a line `---`. `{prefix}` stands for the last id with that prefix that an answer held: `{sub}` for
//! the last subscription.

use std::collections::BTreeMap;

use serde_json::Value;

/// More requests than this are not looked at.
const MOST: usize = 12;

/// One request, its placeholders not yet filled.
pub struct Step {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Reads one request; what has no such form is a request all the same.
pub fn step(input: &[u8], ids: &Ids) -> Step {
    let (head, body) = match find(input, b"\n\n") {
        Some(at) => (&input[..at], input.get(at + 2..).unwrap_or_default()),
        None => (input, &[][..]),
    };
    let head = ids.fill(&String::from_utf8_lossy(head));
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let (method, target) = first.split_once(' ').unwrap_or(("GET", first));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let body = match std::str::from_utf8(body) {
        Ok(text) => ids.fill(text).into_bytes(),
        Err(_) => body.to_vec(),
    };
    Step { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), headers, body }
}

/// The requests of a script, each still as text.
pub fn split(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = find(rest, b"\n---\n") {
        parts.push(&rest[..at]);
        rest = &rest[at + 5..];
    }
    parts.push(rest);
    parts.truncate(MOST);
    parts
}

fn find(input: &[u8], wanted: &[u8]) -> Option<usize> {
    input.windows(wanted.len()).position(|window| window == wanted)
}

/// The last id of each kind that was seen in an answer.
#[derive(Default, Clone)]
pub struct Ids(BTreeMap<String, String>);

impl Ids {
    /// Notes every id in an answer.
    pub fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, inner) in members {
                    match inner.as_str() {
                        Some(id) if name == "id" || name == "session" => {
                            let prefix = id.split('_').next().unwrap_or_default();
                            self.0.insert(prefix.to_owned(), id.to_owned());
                        }
                        _ => self.learn(inner),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|inner| self.learn(inner)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The last id with a prefix.
    pub fn get(&self, prefix: &str) -> Option<String> {
        self.0.get(prefix).cloned()
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (prefix, id) in &self.0 {
            text = text.replace(&format!("{{{prefix}}}"), id);
        }
        text
    }
}
