//! The same over a socket: answers, webhooks that arrive, connections that break.

use std::sync::Arc;

use quittance_sandbox::{Fault, HttpResponse, Lost, Sandbox, SandboxConfig, WebhookTarget, signature_header};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

struct Running {
    sandbox: Arc<Sandbox>,
    base: String,
    hooks: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<()>,
    http: reqwest::Client,
}

async fn start() -> Running {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (sender, hooks) = mpsc::unbounded_channel();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook_url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let app = axum::Router::new().route(
        "/hook",
        axum::routing::post(move |headers: axum::http::HeaderMap, body: axum::body::Bytes| {
            let sender = sender.clone();
            async move {
                let signature = headers.get("stripe-signature").unwrap().to_str().unwrap().to_owned();
                let _ = sender.send((signature, body.to_vec()));
            }
        }),
    );
    tokio::spawn(async move { axum::serve(receiver, app).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let webhook = Some(WebhookTarget { url: hook_url, secret: "whsec_http".to_owned() });
    let sandbox = Sandbox::new(SandboxConfig {
        seed: Some(1),
        public_url: base.clone(),
        webhook,
        ..SandboxConfig::default()
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(Arc::clone(&sandbox).serve(listener, async move {
        let _ = stopped.await;
    }));
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    Running { sandbox, base, hooks, stop, server, http }
}

impl Running {
    /// The answer, which is of the published type.
    async fn post(&self, path: &str, form: &str) -> Result<HttpResponse, reqwest::Error> {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .bearer_auth("sk_test_1")
            .header("idempotency-key", "k");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form.to_owned()).send().await?;
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()));
        let (status, headers) = (answer.status().as_u16(), headers.collect());
        let body = answer.bytes().await?.to_vec();
        let response = HttpResponse { status, headers, body, ..HttpResponse::default() };
        crate::schema::check_response("POST", path, &response);
        Ok(response)
    }
}

#[tokio::test]
async fn an_event_arrives_signed_and_the_server_stops_cleanly() {
    let mut running = start().await;
    let answer = running.post("/v1/customers", "email=ada%40example.com").await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header_value("request-id").is_some());
    let (signature, body) = running.hooks.recv().await.unwrap();
    let at: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(signature, signature_header("whsec_http", at, &body));
    let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(event["data"]["object"]["email"], "ada@example.com");
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_breaks_the_connection_after_the_effect() {
    let running = start().await;
    running.sandbox.set_faults(vec![Fault {
        path: "/v1/customers".to_owned(),
        lost: Some(Lost::After),
        count: Some(1),
        ..Fault::default()
    }]);
    let mut stream =
        tokio::net::TcpStream::connect(running.base.trim_start_matches("http://")).await.unwrap();
    let request = "POST /v1/customers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk_test_1\r\nidempotency-key: k\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut received).await;
    assert!(received.is_empty(), "not one byte: {}", String::from_utf8_lossy(&received));
    let again = running.post("/v1/customers", "").await.unwrap();
    assert_eq!(again.header_value("idempotent-replayed"), Some("true"));
    assert_eq!(running.sandbox.ledger().customers.len(), 1);
}

#[tokio::test]
async fn two_requests_at_once_with_one_key_make_one_customer() {
    let running = start().await;
    running.sandbox.set_faults(vec![Fault { latency_ms: 300, count: Some(1), ..Fault::default() }]);
    let (slow, quick) = tokio::join!(running.post("/v1/customers", ""), async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        running.post("/v1/customers", "").await
    });
    assert_eq!((slow.unwrap().status, quick.unwrap().status), (200, 409));
    assert_eq!(running.post("/v1/customers", "").await.unwrap().status, 200);
    assert_eq!(running.sandbox.ledger().customers.len(), 1);
}

#[tokio::test]
async fn too_large_a_body_is_refused() {
    let running = start().await;
    let form = format!("name={}", "a".repeat(5 * 1024 * 1024));
    // The server may close before it has read everything.
    if let Ok(answer) = running.post("/v1/customers", &form).await {
        assert_eq!(answer.status, 413);
    }
    assert!(running.sandbox.ledger().customers.is_empty());
}

#[tokio::test]
async fn listeners_hear_of_a_moved_clock() {
    let running = start().await;
    let (sender, mut moved) = mpsc::unbounded_channel();
    running.sandbox.on_time_change(Box::new(move |offset| {
        let _ = sender.send(offset);
    }));
    let request =
        running.http.post(format!("{}/_sandbox/time/advance", running.base)).body(r#"{"seconds":3600}"#);
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(moved.recv().await, Some(3600));
}
