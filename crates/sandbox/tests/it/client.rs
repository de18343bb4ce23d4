//! A client for the tests. Each answer is checked against the published schema, where that is at hand.

use std::sync::Arc;

use quittance_sandbox::{DeliveryOutcome, HttpRequest, HttpResponse, Sandbox, SandboxConfig, WebhookTarget};
use serde_json::Value;

use crate::schema;

/// 15 January 2026, 12:00 UTC.
pub const START: i64 = 1_768_478_400;
pub const DAY: i64 = 86_400;
pub const HOUR: i64 = 3600;
/// The version that the sandbox plays.
pub const VERSION: &str = "2026-10-28.endive";
pub const SECRET: &str = "whsec_of_the_tests";

/// A sandbox whose clock stands still, with one endpoint.
pub struct Client {
    pub sandbox: Arc<Sandbox>,
}

pub fn client() -> Client {
    client_at(START)
}

pub fn client_at(start: i64) -> Client {
    let webhook = WebhookTarget { url: "http://127.0.0.1:1/hooks".to_owned(), secret: SECRET.to_owned() };
    let config = SandboxConfig {
        seed: Some(7),
        public_url: "http://sandbox.test".to_owned(),
        webhook: Some(webhook),
        start_time: Some(start),
        ..SandboxConfig::default()
    };
    Client { sandbox: Sandbox::new(config) }
}

impl Client {
    /// Any request. An answer of the API, errors included, is held against the published types; a page, and an answer in
    /// the shape of an older version, is not.
    pub fn handle(&self, request: HttpRequest) -> HttpResponse {
        let older = request.header_value("stripe-version").is_some_and(|version| version < VERSION);
        let (method, path) = (request.method.clone(), request.path.clone());
        let page = !["/v1/", "/v2/", "/oauth/"].iter().any(|api| path.starts_with(api));
        let response = self.sandbox.handle(request);
        if page {
            return response;
        }
        let ignored = response.headers.iter().find(|(name, _)| name == "sandbox-ignored");
        assert_eq!(ignored, None, "{method} {path} took parameters and made nothing of them");
        if !older || response.status >= 300 {
            schema::check_response(&method, &path, &response);
        }
        response
    }

    pub fn send(&self, method: &str, path: &str, form: &str) -> HttpResponse {
        self.handle(HttpRequest::new(method, path, "sk_test_123", form))
    }

    fn ok(&self, method: &str, path: &str, form: &str) -> Value {
        let response = self.send(method, path, form);
        let value = response.value();
        assert_eq!(response.status, 200, "{method} {path} {form}: {value:#}");
        value
    }

    pub fn get(&self, path: &str, query: &str) -> Value {
        self.ok("GET", path, query)
    }

    pub fn post(&self, path: &str, form: &str) -> Value {
        self.ok("POST", path, form)
    }

    pub fn delete(&self, path: &str, query: &str) -> Value {
        self.ok("DELETE", path, query)
    }

    /// A call by a program that was written for the oldest version that is played.
    pub fn older(&self, method: &str, path: &str, form: &str) -> Value {
        let request =
            HttpRequest::new(method, path, "sk_test_1", form).header("Stripe-Version", "2024-06-20");
        let response = self.handle(request);
        assert_eq!(response.status, 200, "{method} {path} {form}: {:#}", response.value());
        response.value()
    }

    /// The error of a call that must be refused with this status.
    pub fn refused(&self, status: u16, method: &str, path: &str, form: &str) -> Value {
        let response = self.send(method, path, form);
        assert_eq!(response.status, status, "{method} {path} {form}: {:#}", response.value());
        response.value()["error"].clone()
    }

    pub fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let request = HttpRequest {
            method: method.to_owned(),
            path: format!("/_sandbox/{path}"),
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
            ..HttpRequest::default()
        };
        let response = self.sandbox.handle(request);
        assert_eq!(response.status, 200, "{method} {path} {body}: {:#}", response.value());
        response.value()
    }

    /// A product with a monthly price; the price's id.
    pub fn price(&self, amount: i64, currency: &str, interval: &str) -> String {
        let form = format!(
            "unit_amount={amount}&currency={currency}&recurring[interval]={interval}&product_data[name]=Pro"
        );
        id(&self.post("/v1/prices", &form))
    }

    /// A customer with a default card.
    pub fn customer(&self, card: &str) -> String {
        let customer = id(&self.post("/v1/customers", "email=ada@example.com&name=Ada"));
        let method =
            id(&self.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}")));
        self.post(
            &format!("/v1/customers/{customer}"),
            &format!("invoice_settings[default_payment_method]={method}"),
        );
        customer
    }

    pub fn subscribe(&self, customer: &str, price: &str, more: &str) -> Value {
        self.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={price}&{more}"))
    }

    pub fn subscription(&self, id: &str) -> Value {
        self.get(&format!("/v1/subscriptions/{id}"), "")
    }

    /// The types of all events so far, oldest first.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> =
            self.events("").iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
        kinds.reverse();
        kinds
    }

    /// Events, newest first, over all pages.
    pub fn events(&self, filter: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all
                .last()
                .map(|event| format!("&starting_after={}", event["id"].as_str().unwrap()))
                .unwrap_or_default();
            let page = self.get("/v1/events", &format!("limit=100&{filter}{after}"));
            all.extend(page["data"].as_array().unwrap().iter().cloned());
            if page["has_more"] == false {
                return all;
            }
        }
    }

    /// Acknowledges everything that is due and answers what was delivered.
    pub fn deliver(&self) -> Vec<Value> {
        let due = self.sandbox.due_deliveries();
        due.iter()
            .map(|delivery| {
                self.sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Answered(200));
                let event: Value = serde_json::from_slice(&delivery.body).unwrap();
                if event["object"] == "event" && event["api_version"] == VERSION {
                    schema::check_object("Event", &event);
                }
                event
            })
            .collect()
    }
}

pub fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id in {value:#}")).to_owned()
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text at {pointer} in {value:#}"))
}

pub fn number(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_else(|| panic!("no number at {pointer} in {value:#}"))
}
