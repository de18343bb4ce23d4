//! The HTTP side, as a stranger with a key meets it: every answer is documented, and none is an error of ours.
//!
//! Input: a script (see `script.rs`), played against the real router after a customer has bought Pro. A header
//! `stripe-signature: {sign}` is replaced by a genuine signature of the body.

use std::sync::LazyLock;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Request};
use quittance_sandbox::signature_header;
use quittance_server::http;
use serde_json::Value;
use tower::ServiceExt;

use crate::house::{House, KEY, SECRET};
use crate::script::{Ids, Step, split, step};

const OPENING: &[u8] = b"PUT /v1/customers/user_1\n\n{\"email\":\"a@example.com\"}
---
POST /v1/checkouts\n\n{\"customer\":\"user_1\",\"plan\":\"pro\",\"interval\":\"month\",\"currency\":\"jpy\"}
---
POST /v1/customers/user_1/grants\n\n{\"feature\":\"article:full\",\"reason\":\"press\"}";

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(http::openapi()).expect("the document"));

/// No script gets an undocumented answer, a 5xx, or a problem that is not whole; and every sync after it works.
pub fn api(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let house = House::build().await;
        let mut ids = Ids::default();
        play(&house, OPENING, &mut ids).await;
        let session = ids.get("cs").expect("a session");
        house.sandbox.complete_checkout(&session, "pm_card_visa").expect("the card is good");
        house.settle().await;
        let customer = play(&house, b"GET /v1/customers/user_1", &mut ids).await;
        assert_eq!(customer["access"], "granted", "{customer}");
        play(&house, b"GET /v1/customers/user_1/timeline\n---\nGET /v1/events?limit=1", &mut ids).await;
        play(&house, input, &mut ids).await;
        house.settle().await;
    });
}

/// Plays a script and returns the last answer's body.
async fn play(house: &House, script: &[u8], ids: &mut Ids) -> Value {
    let mut last = Value::Null;
    for part in split(script) {
        let step = step(part, ids);
        let name = format!("{} {}", step.method, step.path);
        let (path, method) = (step.path.clone(), step.method.clone());
        let Some(request) = request(step) else { continue };
        let answer = house.router.clone().oneshot(request).await.expect("the router answers");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 64 * 1024 * 1024).await.expect("a body");
        last = serde_json::from_slice(&body).unwrap_or_default();
        let kind = parts.headers.get("content-type").map_or("", |value| value.to_str().expect("ASCII"));
        let status = parts.status.as_u16();
        assert!(status < 500, "{name}: {status} {last}");
        if kind == "application/problem+json" {
            assert_eq!(last["status"], status, "{name}: {last}");
            for field in ["type", "title", "code", "detail", "mend", "money_moved", "request_id"] {
                assert!(
                    last[field].as_str().is_some_and(|text| !text.is_empty()),
                    "{name}: {field} of {last}"
                );
            }
        }
        if let Some(operation) = operation(&method, &path) {
            let documented = &operation["responses"][parts.status.as_str()];
            assert!(documented.is_object(), "{name}: {status} is not documented: {last}");
            if !body.is_empty() {
                let media = kind.split(';').next().unwrap_or_default();
                assert!(
                    documented["content"][media].is_object(),
                    "{name}: {status} as {kind} is not documented"
                );
            }
        }
        ids.learn(&last);
    }
    last
}

/// The request, unless HTTP itself has no way to say it.
fn request(step: Step) -> Option<Request<Body>> {
    let target = if step.query.is_empty() { step.path } else { format!("{}?{}", step.path, step.query) };
    let mut request =
        Request::builder().method(step.method.as_bytes()).uri(target).body(Body::empty()).ok()?;
    for (name, value) in step.headers {
        let value =
            if value == "{sign}" { signature_header(SECRET, 1_769_860_801, &step.body) } else { value };
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            continue;
        };
        request.headers_mut().append(name, value);
    }
    for (name, value) in
        [("authorization", format!("Bearer {KEY}")), ("content-type", "application/json".to_owned())]
    {
        if !request.headers().contains_key(name) {
            request.headers_mut().insert(name, HeaderValue::try_from(value).expect("ASCII"));
        }
    }
    *request.body_mut() = Body::from(step.body);
    Some(request)
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        // The router gives no empty part to a parameter.
        let pairs = || wanted.iter().zip(&parts);
        wanted.len() == parts.len()
            && pairs().all(|(want, part)| want == part || (want.starts_with('{') && !part.is_empty()))
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let item = paths
        .get(path)
        .or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item))?;
    item.get(method.to_ascii_lowercase())
}
