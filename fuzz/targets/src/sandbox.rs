//! The sandbox: any sequence of requests is answered, never with an error of its own, and leaves a state that can be kept.
//!
//! Input: a script (see `script.rs`), played after a fixed opening: a customer with a card, prices, a subscription and a checkout.

use std::sync::{Arc, LazyLock};

use quittance_sandbox::{HttpRequest, HttpResponse, Sandbox, SandboxConfig, WebhookTarget};
use serde_json::Value;

use crate::script::{Ids, split, step};

const START: i64 = 1_769_860_800;

const OPENING: &[u8] = b"POST /v1/products\n\nname=Pro
---
POST /v1/prices\n\nproduct={prod}&currency=jpy&unit_amount=1980&recurring[interval]=month&lookup_key=pro_month_jpy
---
POST /v1/customers\n\nemail=a@example.com
---
POST /v1/payment_methods/pm_card_visa/attach\n\ncustomer={cus}
---
POST /v1/customers/{cus}\n\ninvoice_settings[default_payment_method]={pm}
---
POST /v1/subscriptions\n\ncustomer={cus}&items[0][price]={price}&expand[]=latest_invoice.payments
---
POST /v1/checkout/sessions\n\nmode=subscription&customer={cus}&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://a.example/ok
---
GET /v1/charges
---
GET /v1/events?limit=1
---
GET /v1/webhook_endpoints";

/// The state after the opening, made once.
static OPENED: LazyLock<(Value, Ids)> = LazyLock::new(|| {
    let (sandbox, mut ids) = (fresh(), Ids::default());
    for (step, answer) in play(&sandbox, OPENING, &mut ids) {
        assert_eq!(answer.status, 200, "{step}: {}", answer.value());
    }
    (sandbox.snapshot(), ids)
});

/// No script makes the sandbox fail, and what it left can be written out and read back.
pub fn sandbox(input: &[u8]) {
    let (state, mut ids) = OPENED.clone();
    let sandbox = fresh();
    sandbox.restore(&state).expect("the opening is restored");
    play(&sandbox, input, &mut ids);
    for delivery in sandbox.due_deliveries().into_iter().take(50) {
        assert!(serde_json::from_slice::<Value>(&delivery.body).is_ok());
    }
    let snapshot = sandbox.snapshot();
    fresh().restore(&snapshot).expect("a snapshot is restored");
    let _ = sandbox.ledger();
}

fn fresh() -> Arc<Sandbox> {
    Sandbox::new(SandboxConfig {
        seed: Some(7),
        public_url: "http://sandbox.test".to_owned(),
        webhook: Some(WebhookTarget {
            url: "http://127.0.0.1:1/hooks".to_owned(),
            secret: "whsec_fuzz".to_owned(),
        }),
        start_time: Some(START),
        ..SandboxConfig::default()
    })
}

fn play(sandbox: &Sandbox, script: &[u8], ids: &mut Ids) -> Vec<(String, HttpResponse)> {
    let mut answers = Vec::new();
    for part in split(script) {
        let step = step(part, ids);
        let mut headers = step.headers;
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            headers.push(("authorization".to_owned(), "Bearer sk_test_fuzz".to_owned()));
        }
        let name = format!("{} {}", step.method, step.path);
        // A fault that the script itself asked for may answer what it likes.
        let faulty = !sandbox.faults().is_empty();
        let answer = sandbox.handle(HttpRequest {
            method: step.method,
            path: step.path,
            query: step.query,
            headers,
            body: step.body,
        });
        if !faulty {
            assert!((200..500).contains(&answer.status), "{name}: {}", answer.status);
            let kind = answer.header_value("content-type").unwrap_or_default();
            if kind == "application/json" {
                assert!(serde_json::from_slice::<Value>(&answer.body).is_ok(), "{name} answers no JSON");
            }
        }
        ids.learn(&answer.value());
        answers.push((name, answer));
    }
    answers
}
