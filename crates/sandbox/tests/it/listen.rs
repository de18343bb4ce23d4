//! What Stripe's command-line program does to listen: a session, a web socket, events that it forwards.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use quittance_sandbox::{HttpRequest, Sandbox, SandboxConfig, signature_header};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn start() -> Arc<Sandbox> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public_url = format!("http://{}", listener.local_addr().unwrap());
    let sandbox = Sandbox::new(SandboxConfig { seed: Some(1), public_url, ..SandboxConfig::default() });
    tokio::spawn(Arc::clone(&sandbox).serve(listener, std::future::pending()));
    sandbox
}

fn post(sandbox: &Sandbox, path: &str, form: &str) -> Value {
    let response = sandbox.handle(HttpRequest::new("POST", path, "sk_test_1", form));
    assert_eq!(response.status, 200, "{}", response.value());
    response.value()
}

fn session(sandbox: &Sandbox) -> Value {
    post(sandbox, "/v1/stripecli/sessions", "device_name=desk&websocket_features[]=webhooks")
}

async fn connect(session: &Value, id: &str) -> Result<Socket, Box<tokio_tungstenite::tungstenite::Error>> {
    let url = format!("{}?websocket_feature=webhooks", session["websocket_url"].as_str().unwrap());
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("websocket-id", id.parse().unwrap());
    request.headers_mut().insert("sec-websocket-protocol", "stripecli-devproxy-v1".parse().unwrap());
    Ok(tokio_tungstenite::connect_async(request).await.map_err(Box::new)?.0)
}

async fn next(socket: &mut Socket) -> Value {
    let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
    serde_json::from_str(message.unwrap().unwrap().unwrap().to_text().unwrap()).unwrap()
}

async fn answer(socket: &mut Socket, event: &Value, status: u16) {
    let answer = json!({
        "type": "webhook_response",
        "webhook_id": event["webhook_id"],
        "webhook_conversation_id": event["webhook_conversation_id"],
        "status": status,
        "body": "",
    });
    socket.send(Message::text(answer.to_string())).await.unwrap();
}

#[tokio::test]
async fn a_listening_program_hears_of_events_and_says_how_they_were_taken() {
    let sandbox = start().await;
    let opened = session(&sandbox);
    assert_eq!(session(&sandbox)["secret"], opened["secret"], "a device keeps its secret");
    let mut socket = connect(&opened, opened["websocket_id"].as_str().unwrap()).await.unwrap();
    let customer = post(&sandbox, "/v1/customers", "email=ada@example.com");
    let event = next(&mut socket).await;
    assert_eq!((&event["type"], &event["endpoint"]["api_version"]), (&json!("webhook_event"), &Value::Null));
    let newest = next(&mut socket).await;
    assert_eq!(newest["endpoint"]["api_version"], "2026-10-28.endive", "and for those that want the newest");
    assert_eq!(newest["webhook_id"], event["webhook_id"]);
    let body = event["event_payload"].as_str().unwrap();
    let signature = event["http_headers"]["Stripe-Signature"].as_str().unwrap();
    let at: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(signature, signature_header(opened["secret"].as_str().unwrap(), at, body.as_bytes()));
    let inner: Value = serde_json::from_str(body).unwrap();
    assert_eq!(inner["data"]["object"]["id"], customer["id"]);
    assert_eq!(inner["pending_webhooks"], 0, "who listens is not counted");
    assert_eq!(sandbox.undelivered(), 1);
    answer(&mut socket, &event, 500).await;
    for _ in 0..100 {
        if sandbox.undelivered() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sandbox.undelivered(), 0, "nothing is tried again for it");
    let listed = sandbox.handle(HttpRequest::new("GET", "/v1/webhook_endpoints", "sk_test_1", ""));
    assert_eq!(listed.value()["data"], json!([]), "it is no endpoint of the account's");
}

#[tokio::test]
async fn a_program_that_asks_for_thin_events_is_sent_those() {
    let sandbox = start().await;
    let form = "device_name=desk&websocket_features[]=v2_events&forward_thin_to_url=http://x.test";
    let opened = post(&sandbox, "/v1/stripecli/sessions", form);
    assert_eq!(opened["websocket_authorized_feature"], "v2_events");
    let mut socket = connect(&opened, opened["websocket_id"].as_str().unwrap()).await.unwrap();
    let customer = post(&sandbox, "/v1/customers", "");
    let event = next(&mut socket).await;
    assert_eq!(event["type"], "v2_event");
    let body = event["payload"].as_str().unwrap();
    let inner: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&inner["type"], &inner["related_object"]["id"]),
        (&json!("v1.customer.created"), &customer["id"])
    );
    let signature = event["http_headers"]["Stripe-Signature"].as_str().unwrap();
    let at: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(signature, signature_header(opened["secret"].as_str().unwrap(), at, body.as_bytes()));
}

#[tokio::test]
async fn a_program_of_the_platform_hears_of_connected_accounts_too() {
    let sandbox = start().await;
    let account = post(&sandbox, "/v1/accounts", "type=standard")["id"].as_str().unwrap().to_owned();
    let opened = session(&sandbox);
    let mut socket = connect(&opened, opened["websocket_id"].as_str().unwrap()).await.unwrap();
    let request = HttpRequest::new("POST", "/v1/customers", "sk_test_1", "");
    let theirs = sandbox.handle(request.header("Stripe-Account", &account)).value();
    let event = next(&mut socket).await;
    let inner: Value = serde_json::from_str(event["event_payload"].as_str().unwrap()).unwrap();
    assert_eq!((&inner["account"], &inner["data"]["object"]["id"]), (&json!(account), &theirs["id"]));
}

#[tokio::test]
async fn a_session_that_nobody_opened_is_refused() {
    let sandbox = start().await;
    let opened = session(&sandbox);
    let refused = connect(&opened, "cliws_none").await.unwrap_err();
    let tokio_tungstenite::tungstenite::Error::Http(response) = *refused else { panic!("{refused}") };
    assert_eq!(response.status(), 400);
    let body = String::from_utf8(response.into_body().unwrap()).unwrap();
    assert!(body.contains("Unknown WebSocket ID."), "{body}");
    let other = HttpRequest::new(
        "POST",
        "/v1/stripecli/sessions",
        "sk_test_1",
        "device_name=desk&websocket_features[]=request_logs",
    );
    assert_eq!(sandbox.handle(other).status, 400);
    let mut socket = connect(&opened, opened["websocket_id"].as_str().unwrap()).await.unwrap();
    sandbox.reset();
    let closed = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.unwrap();
    assert!(!matches!(closed, Some(Ok(Message::Text(_)))), "a reset ends it");
}
