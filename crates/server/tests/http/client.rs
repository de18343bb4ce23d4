//! A client in process. Every answer to a documented call must have a documented status.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use quittance_engine::Engine;
use quittance_engine::api_keys::KeyScope;
use quittance_server::http::{self, AppConfig, DevInfo};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tower::ServiceExt;

use crate::house::House;

/// The HTTP side of a house, with a key for each scope.
pub struct App {
    pub router: Router,
}

pub const ROOT: &str = "a root key of thirty-two characters";
pub const ALL: &str = "qk_all";
pub const READ: &str = "qk_read";
pub const WRITE: &str = "qk_write";
pub const ADMIN: &str = "qk_admin";

pub fn config(engine: &Engine, dev: bool) -> AppConfig {
    AppConfig {
        engine: engine.clone(),
        site: "Atelier".to_owned(),
        mail: quittance_mail::Writer::new(
            quittance_mail::Templates::built_in().unwrap(),
            quittance_mail::samples::settings(),
        ),
        secret: Some(quittance_server::config::Secret::new(ROOT.to_owned())),
        metrics: Some(Arc::new(|| "quittance_up 1\n".to_owned())),
        dev: dev.then(|| DevInfo {
            sandbox_url: "http://127.0.0.1:12111".to_owned(),
            demo_customer: "demo".to_owned(),
            api_key: ALL.to_owned(),
        }),
        provider_origins: vec!["https://checkout.stripe.com".to_owned(), "http://127.0.0.1:12111".to_owned()],
        body_limit: 64 * 1024,
        streams: 2,
        proxies: http::Proxies::default(),
        ready: Arc::new(|| true),
    }
}

impl App {
    /// As in production.
    pub async fn live(house: &House) -> Self {
        Self::of(house, false).await
    }

    /// As under `quittance dev`.
    pub async fn dev(house: &House) -> Self {
        Self::of(house, true).await
    }

    async fn of(house: &House, dev: bool) -> Self {
        for (secret, scopes) in [
            (ALL, &KeyScope::ALL[..]),
            (READ, &[KeyScope::Read]),
            (WRITE, &[KeyScope::Write]),
            (ADMIN, &[KeyScope::Admin]),
        ] {
            house.engine.put_key(secret, scopes, &secret.to_owned().into()).await.unwrap();
        }
        Self { router: http::router(config(&house.engine, dev)) }
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub fn call(&self, method: Method, path: &str) -> Call {
        Call {
            router: self.router.clone(),
            method,
            path: path.to_owned(),
            key: Some(ALL.to_owned()),
            headers: HeaderMap::new(),
            peer: None,
            body: Body::empty(),
        }
    }
}

pub struct Call {
    router: Router,
    method: Method,
    path: String,
    key: Option<String>,
    headers: HeaderMap,
    peer: Option<IpAddr>,
    body: Body,
}

impl Call {
    pub fn key(mut self, key: Option<&str>) -> Self {
        self.key = key.map(str::to_owned);
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// The other end of the connection.
    pub fn from(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    pub fn once(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn json(self, body: &Value) -> Self {
        let body = body.to_string();
        self.header("content-type", "application/json").raw(body)
    }

    pub fn form(self, body: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").raw(body.to_owned())
    }

    pub fn raw(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Answer {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(peer) = self.peer {
            request = request.extension(http::Peer(peer));
        }
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response = self.router.oneshot(request.body(self.body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        // A stream does not end by itself; who wants to read one takes it frame by frame.
        let endless = parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = if endless { Body::empty() } else { body };
        let body = to_bytes(body, 10_000_000).await.unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, body: body.to_vec() };
        answer.assert_documented(&self.method, &self.path);
        answer
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        self.value()
    }

    /// The problem, after checking that the document is whole.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.value();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:quittance:problem:{code}"));
        for field in ["title", "detail", "mend", "money_moved"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {problem}");
        }
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{problem}");
        problem
    }

    fn assert_documented(&self, method: &Method, path: &str) {
        let Some(operation) = operation_of(method, path) else { return };
        let documented = operation["responses"].as_object().unwrap();
        assert!(
            documented.contains_key(self.status.as_str()),
            "{method} {path} answered {}, which is not documented: {}",
            self.status,
            self.text()
        );
    }
}

/// The OpenAPI document.
pub fn openapi() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::to_value(http::openapi()).unwrap())
}

fn operation_of(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        wanted.len() == parts.len()
            && wanted.iter().zip(&parts).all(|(want, part)| want == part || want.starts_with('{'))
    };
    let paths = openapi()["paths"].as_object().unwrap();
    let exact = paths.get(path);
    let item = exact.or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item))?;
    item.get(method.as_str().to_ascii_lowercase())
}
