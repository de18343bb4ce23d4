//! The OpenAPI document, the docs page and the list of errors say what is there, all of it and nothing else.

use std::collections::BTreeSet;

use quittance_engine::ProblemCode;
use quittance_server::http::problem;
use serde_json::Value;

use crate::client::{App, openapi};
use crate::house::{House, on_each};

/// The contract, as far as it is built.
const CONTRACT: &[&str] = &[
    "DELETE /v1/announcements/{id}",
    "DELETE /v1/customers/{id}",
    "DELETE /v1/customers/{id}/grants/{grant}",
    "DELETE /v1/customers/{id}/terms",
    "DELETE /v1/webhook-endpoints/{id}",
    "GET /.well-known/jwks.json",
    "GET /healthz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /readyz",
    "GET /v1/alerts",
    "GET /v1/announcements",
    "GET /v1/app-events",
    "GET /v1/app-events/{id}",
    "GET /v1/audit",
    "GET /v1/checkouts/{id}",
    "GET /v1/customers/{id}",
    "GET /v1/customers/{id}/entitlements",
    "GET /v1/customers/{id}/entitlements/{feature}",
    "GET /v1/customers/{id}/explain",
    "GET /v1/customers/{id}/grants",
    "GET /v1/customers/{id}/notice-preferences",
    "GET /v1/customers/{id}/notices",
    "GET /v1/customers/{id}/terms",
    "GET /v1/customers/{id}/timeline",
    "GET /v1/deliveries",
    "GET /v1/deliveries/{id}",
    "GET /v1/disputes",
    "GET /v1/disputes/{id}",
    "GET /v1/disputes/{id}/evidence",
    "GET /v1/drift",
    "GET /v1/drift/summary",
    "GET /v1/drift/{id}",
    "GET /v1/dunning",
    "GET /v1/entitlements/stream",
    "GET /v1/events",
    "GET /v1/events/{id}",
    "GET /v1/ledger/accounts",
    "GET /v1/ledger/entries",
    "GET /v1/ledger/revenue",
    "GET /v1/ledger/trial-balance",
    "GET /v1/notices",
    "GET /v1/notices/{id}",
    "GET /v1/parked",
    "GET /v1/payments",
    "GET /v1/plans",
    "GET /v1/shadow/report",
    "GET /v1/subscriptions/{id}",
    "GET /v1/suspensions",
    "GET /v1/sweeps",
    "GET /v1/webhook-endpoints",
    "GET /v1/webhook-endpoints/{id}",
    "GET /v1/webhook-endpoints/{id}/deliveries",
    "GET /v1/webhook-endpoints/{id}/deliveries/{delivery}",
    "POST /v1/announcements",
    "POST /v1/checkouts",
    "POST /v1/customers/{id}/entitlement-token",
    "POST /v1/customers/{id}/grants",
    "POST /v1/customers/{id}/links",
    "POST /v1/customers/{id}/page-link",
    "POST /v1/customers/{id}/portal",
    "POST /v1/customers/{id}/suspend",
    "POST /v1/customers/{id}/unsuspend",
    "POST /v1/deliveries/{id}/retry",
    "POST /v1/disputes/{id}/accept",
    "POST /v1/disputes/{id}/contest",
    "POST /v1/drift/{id}/claim",
    "POST /v1/drift/{id}/ignore",
    "POST /v1/entitlements/check",
    "POST /v1/events/{id}/replay",
    "POST /v1/parked/retry",
    "POST /v1/price",
    "POST /v1/refunds",
    "POST /v1/shadow/answers",
    "POST /v1/subscriptions/{id}/cancel",
    "POST /v1/subscriptions/{id}/change",
    "POST /v1/subscriptions/{id}/pause",
    "POST /v1/subscriptions/{id}/preview",
    "POST /v1/subscriptions/{id}/resume",
    "POST /v1/subscriptions/{id}/undo",
    "POST /v1/sweeps",
    "POST /v1/webhook-endpoints",
    "POST /v1/webhook-endpoints/{id}/ping",
    "POST /v1/webhook-endpoints/{id}/replay",
    "POST /v1/webhook-endpoints/{id}/rotate-secret",
    "POST /webhooks/stripe",
    "PUT /v1/customers/{id}",
    "PUT /v1/customers/{id}/notice-preferences",
    "PUT /v1/customers/{id}/terms",
    "PUT /v1/webhook-endpoints/{id}",
];

fn operations() -> Vec<(String, &'static Value)> {
    let mut all = Vec::new();
    for (path, item) in openapi()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    all
}

#[test]
fn the_document_names_the_contracts_calls() {
    let documented: BTreeSet<String> = operations().into_iter().map(|(name, _)| name).collect();
    let contract: BTreeSet<String> = CONTRACT.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(documented, contract);
}

#[test]
fn the_document_is_3_1_and_whole() {
    let document = openapi();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["api_key"]["scheme"], "bearer");
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is named, but not there");
    }
    let mut ids = BTreeSet::new();
    for (name, operation) in operations() {
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 3), "{name} has no summary");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}");
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "two calls are named {id}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        for (status, response) in responses {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{name} {status}");
            if status.starts_with('4') || status.starts_with('5') {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ProblemDocument", "{name} {status}");
            }
        }
        if name.contains(" /v1/") {
            assert!(responses.contains_key("401") && responses.contains_key("403"), "{name}");
        }
    }
}

#[test]
fn every_change_takes_an_idempotency_key() {
    for (name, operation) in operations() {
        let changes = !name.starts_with("GET") && name.contains(" /v1/");
        let only_asks = ["/preview", "/entitlements/check", "/entitlement-token", "/page-link", "/v1/price"]
            .iter()
            .any(|end| name.ends_with(end));
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let takes = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(takes, changes && !only_asks, "{name}");
        if takes {
            assert!(operation["responses"].get("409").is_some(), "{name}");
        }
    }
}

#[tokio::test]
async fn the_document_is_served_and_the_page_shows_every_call() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let served = app.get("/openapi.json").key(None).send().await;
            assert_eq!(&served.ok(), openapi());
            let page = app.get("/docs").key(None).send().await;
            assert_eq!(page.status, 200);
            assert!(page.header("content-type").starts_with("text/html"));
            let html = page.text();
            for (name, operation) in operations() {
                let (method, path) = name.split_once(' ').unwrap();
                let anchor: String =
                    path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
                let anchor = format!("id=\"{}{anchor}\"", method.to_lowercase());
                assert!(html.contains(&anchor), "{name} is not on the page ({anchor})");
                let summary = operation["summary"].as_str().unwrap().replace('\'', "&#39;");
                assert!(
                    html.contains(&summary) || html.contains(&summary.replace("&#39;", "'")),
                    "{summary}"
                );
            }
            assert!(!html.contains("src=\"http") && !html.contains("href=\"http"), "works offline");
        })
    })
    .await;
}

#[test]
fn errors_md_lists_every_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    let mut wanted = String::from(
        "# Errors\n\n\
         Every error of the API is a problem document (RFC 9457, `application/problem+json`) with the fields `type`, `title`,\n\
         `status`, `code`, `detail`, `mend`, `money_moved` and `request_id`. Decide by `code`: it never changes its meaning.\n\
         `mend` says what to do. `money_moved` is `no`, `yes` or `unknown`; when it is `unknown`, send the same request with the\n\
         same `Idempotency-Key`: it is finished once, never twice. With `Retry-After`, the same request can be sent again.\n\n\
         | code | status | meaning |\n| --- | --- | --- |\n",
    );
    for code in ProblemCode::ALL {
        let (status, title) = (problem::status(*code).as_u16(), problem::title(*code));
        wanted.push_str(&format!("| `{}` | {status} | {title} |\n", code.as_str()));
    }
    if std::env::var_os("QUITTANCE_WRITE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "write it anew with QUITTANCE_WRITE_DOCS=1 cargo test -p quittance-server --test http"
    );
}

#[test]
fn codes_and_titles_are_distinct() {
    let codes: BTreeSet<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    let titles: BTreeSet<&str> = ProblemCode::ALL.iter().map(|code| problem::title(*code)).collect();
    assert_eq!((codes.len(), titles.len()), (ProblemCode::ALL.len(), ProblemCode::ALL.len()));
}
