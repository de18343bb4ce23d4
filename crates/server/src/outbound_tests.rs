//! The sender against servers on this machine.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn loopback() -> Reach {
    Reach { allow: vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()], plain_http: true }
}

fn message(url: String) -> Message {
    Message { url, headers: vec![("webhook-id", "aev_1".to_owned())], body: r#"{"a":1}"#.to_owned() }
}

/// Answers each connection with these bytes, and tells what it was sent.
async fn server(answer: &'static [u8]) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            let mut buffer = [0; 1024];
            while !seen.ends_with(br#"{"a":1}"#) {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => seen.extend_from_slice(&buffer[..count]),
                }
            }
            let _ = tell.send(String::from_utf8_lossy(&seen).into_owned());
            let _ = stream.write_all(answer).await;
        }
    });
    (port, told)
}

#[tokio::test]
async fn a_message_arrives_as_it_was_signed_and_the_answer_is_read() {
    let (port, mut told) =
        server(b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy").await;
    let sender = HttpsSender::new(&loopback()).unwrap();
    let answer = sender.post(&message(format!("http://127.0.0.1:{port}/hooks?x=1"))).await.unwrap();
    let expected = Answered { status: 429, retry_after: Some("7".into()), beginning: b"busy".to_vec() };
    assert_eq!(answer, expected);
    let seen = told.recv().await.unwrap();
    assert!(seen.starts_with("POST /hooks?x=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("webhook-id: aev_1\r\n") && seen.ends_with(r#"{"a":1}"#), "{seen}");
}

#[tokio::test]
async fn redirects_are_answers_and_long_bodies_are_cut() {
    let (port, _) =
        server(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
    let sender = HttpsSender::new(&loopback()).unwrap();
    assert_eq!(sender.post(&message(format!("http://127.0.0.1:{port}/"))).await.unwrap().status, 302);
    let long = Box::leak(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(100_000)).into_boxed_str());
    let (port, _) = server(long.as_bytes()).await;
    let answer = sender.post(&message(format!("http://127.0.0.1:{port}/"))).await.unwrap();
    assert_eq!((answer.status, answer.beginning.len()), (200, MOST_ANSWER_BYTES));
}

#[tokio::test]
async fn a_name_that_resolves_inward_is_never_connected_to() {
    let (port, mut told) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{port}/");
    let strict = HttpsSender::new(&Reach { allow: Vec::new(), plain_http: true }).unwrap();
    let refused = strict.post(&message(url.clone())).await.unwrap_err();
    assert!(
        matches!(&refused, SendError::Forbidden(why) if why.contains("not on the public internet")),
        "{refused:?}"
    );
    assert!(told.try_recv().is_err(), "it was connected to");
    // The same name, where it is allowed.
    assert_eq!(HttpsSender::new(&loopback()).unwrap().post(&message(url)).await.unwrap().status, 200);
}

#[test]
fn of_several_addresses_only_the_public_ones_remain() {
    let found: Vec<IpAddr> = ["10.0.0.1", "8.8.8.8", "::1", "fe80::1"].map(|ip| ip.parse().unwrap()).to_vec();
    let chosen = choose(&Reach::default(), &found).unwrap();
    assert_eq!(chosen, ["8.8.8.8:0".parse().unwrap()]);
    assert!(choose(&Reach::default(), &found[2..]).is_err());
    assert!(choose(&Reach::default(), &[]).is_err());
}

#[tokio::test]
async fn an_error_tells_the_cause_and_not_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let sender = HttpsSender::new(&loopback()).unwrap();
    let error = sender.post(&message(format!("http://127.0.0.1:{port}/?token=hush"))).await.unwrap_err();
    assert!(matches!(error, SendError::Failed(_)) && !error.to_string().contains("hush"), "{error}");
}
