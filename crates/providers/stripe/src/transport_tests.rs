//! The transport against a server on this machine that misbehaves in all the ways that matter for money.

use std::time::Duration;

use super::*;
use crate::http::{HttpRequest, Method, Transport, TransportErrorKind};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn request(base: &str, method: Method) -> HttpRequest {
    HttpRequest {
        method,
        base: base.into(),
        target: "/v1/customers?email=jane%40example.com".to_owned(),
        headers: vec![("Idempotency-Key", "k1".to_owned()), ("Stripe-Version", "v".to_owned())],
        authorization: SecretString::from("Bearer sk_test_hush"),
        body: "a=b".to_owned(),
    }
}

fn transport() -> HttpsTransport {
    let config = TransportConfig {
        connect_timeout: Duration::from_millis(500),
        total_timeout: Duration::from_millis(500),
        max_answer_bytes: 1000,
        use_system_proxy: false,
    };
    HttpsTransport::new(&config).unwrap()
}

/// Takes one connection, reads one request, answers with `reply`, and hands the request over. With no reply it keeps the
/// connection open until the test is over.
async fn server(reply: Option<String>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !complete(&seen) {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the client went away");
            seen.extend_from_slice(&buffer[..read]);
        }
        match reply {
            Some(reply) => stream.write_all(reply.as_bytes()).await.unwrap(),
            None => while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {},
        }
        String::from_utf8(seen).unwrap()
    });
    (base, task)
}

fn complete(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

fn reply(status: &str, headers: &str, body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()))
}

#[tokio::test]
async fn sends_what_it_was_given_and_returns_what_came() {
    let (base, task) = server(reply("402 Payment Required", "Request-Id: req_1\r\n", "{}")).await;
    let answer = transport().send(request(&base, Method::Post)).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("request-id"), answer.body.as_slice()),
        (402, Some("req_1"), &b"{}"[..])
    );
    let seen = task.await.unwrap().to_lowercase();
    assert!(seen.starts_with("post /v1/customers?email=jane%40example.com http/1.1\r\n"), "{seen}");
    for part in [
        "authorization: bearer sk_test_hush\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "idempotency-key: k1\r\n",
        "\r\n\r\na=b",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
}

#[tokio::test]
async fn follows_no_redirect() {
    let (base, _task) =
        server(reply("307 Temporary Redirect", "Location: http://127.0.0.1:1/evil\r\n", "")).await;
    assert_eq!(transport().send(request(&base, Method::Get)).await.unwrap().status, 307);
}

#[tokio::test]
async fn nobody_listening_means_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = transport().send(request(&base, Method::Post)).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::NotSent, "{error}");
    assert!(!error.message.contains("jane") && !error.message.contains("hush"), "{error}");
}

#[tokio::test]
async fn a_failed_handshake_means_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"this is not TLS").await.unwrap();
    });
    let error = transport().send(request(&base, Method::Post)).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::NotSent, "{error}");
    task.await.unwrap();
}

#[tokio::test]
async fn no_answer_in_time_means_unknown() {
    let (base, _task) = server(None).await;
    let error = transport().send(request(&base, Method::Post)).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Unknown, "{error}");
    assert!(!error.message.contains("jane") && !error.message.contains("hush"), "{error}");
}

#[tokio::test]
async fn a_connection_lost_after_sending_means_unknown() {
    for lost in ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"] {
        let (base, _task) = server(Some(lost.to_owned())).await;
        let error = transport().send(request(&base, Method::Post)).await.unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::Unknown, "{lost:?}: {error}");
    }
}

#[tokio::test]
async fn an_oversized_answer_is_given_up_as_unknown() {
    let (base, _task) = server(reply("200 OK", "", &"x".repeat(1000))).await;
    assert_eq!(transport().send(request(&base, Method::Get)).await.unwrap().body.len(), 1000);
    let (base, _task) = server(reply("200 OK", "", &"x".repeat(1001))).await;
    let error = transport().send(request(&base, Method::Get)).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Unknown);
}

#[tokio::test]
async fn a_secret_that_no_header_may_have_is_never_sent() {
    let mut odd = request("http://127.0.0.1:1", Method::Get);
    odd.authorization = SecretString::from("Bearer a\nb");
    assert_eq!(transport().send(odd).await.unwrap_err().kind, TransportErrorKind::NotSent);
}
