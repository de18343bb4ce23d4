//! A request and its answer as plain data, so that callers in the same process need no socket.

/// An HTTP request to the sandbox.
#[derive(Debug, Clone, Default)]
pub struct HttpRequest {
    /// The method in upper case: `GET`, `POST`, `PUT`, `DELETE`.
    pub method: String,
    /// The path without the query, as sent: `/v1/customers`.
    pub path: String,
    /// The query without the question mark; empty when there is none.
    pub query: String,
    /// Header names in any case, with their values.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A request with a bearer key and a body that is already form-encoded (the query, for `GET` and `DELETE`).
    #[must_use]
    pub fn new(method: &str, path: &str, key: &str, form: &str) -> Self {
        let in_query = matches!(method, "GET" | "DELETE");
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: if in_query { form.to_owned() } else { String::new() },
            headers: vec![("authorization".to_owned(), format!("Bearer {key}"))],
            body: if in_query { Vec::new() } else { form.as_bytes().to_vec() },
        }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The first value of a header, its name compared without case.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The sandbox's answer.
#[derive(Debug, Clone, Default)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// A fault lost this answer: the caller must behave as if the connection had broken, and must not look at the rest.
    pub lost: bool,
    /// How long a fault wants the answer held back, in milliseconds.
    pub latency_ms: u64,
    /// The idempotency key that stays in use until the held-back answer has left: see `Sandbox::begin`.
    pub held_key: Option<String>,
}

impl HttpResponse {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes(), ..Self::default() }
    }

    /// The first value of a header, its name compared without case.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
