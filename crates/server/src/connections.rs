//! Connections: accepted one by one, so many at once, each with a limit on how long its next request may take to announce itself.
//!
//! Somebody who connects and says nothing, or half a header, is let go; otherwise few clients could hold every socket
//! and, at the end, the server itself. When all places are taken, some more are told so and let go, and the rest are only let go.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::http::Peer;
use crate::serve::until;
use crate::telemetry;

/// How long a connection may wait for its next whole header. Longer than the minute for which load balancers keep idle
/// connections, so that they never send into one that is just being closed.
pub const HEADER_WAIT: Duration = Duration::from_secs(75);
/// The same for a connection that is only told to come back later.
const BUSY_WAIT: Duration = Duration::from_secs(2);
/// Connections beyond the limit that are told so at the same time.
const TOLD: usize = 64;
/// Pause after an accept that failed, as when the process has no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How much is let in.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// How long one may wait for its next whole header; normally [`HEADER_WAIT`].
    pub header_wait: Duration,
}

/// Serves until `stop` resolves, then lets the requests under way finish. `busy` answers whoever comes when all places are taken.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    busy: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let (tell, told) = watch::channel(false);
    let (mut open, mut refused) = (JoinSet::new(), JoinSet::new());
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = stop.as_mut() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if open.len() < limits.connections => {
                    let way = Way { router: router.clone(), keep_alive: true, header_wait: limits.header_wait };
                    open.spawn(converse((stream, peer), way, told.clone()));
                }
                Ok((stream, peer)) => {
                    telemetry::connection_refused();
                    if refused.len() < TOLD {
                        let way = Way { router: busy.clone(), keep_alive: false, header_wait: BUSY_WAIT };
                        refused.spawn(converse((stream, peer), way, told.clone()));
                    }
                }
                Err(error) => {
                    // A client that went away again says nothing of us.
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
            Some(_) = refused.join_next() => {}
        }
    }
    drop(listener);
    // Nobody may be left to hear it.
    let _ = tell.send(true);
    while open.join_next().await.is_some() {}
}

/// How a connection is served.
struct Way {
    router: Router,
    keep_alive: bool,
    header_wait: Duration,
}

async fn converse((stream, peer): (TcpStream, SocketAddr), way: Way, told: watch::Receiver<bool>) {
    // Answers are written whole: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let router = way.router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(way.header_wait)
        .keep_alive(way.keep_alive)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = until(told) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    async fn started(header_wait: Duration, router: Router) -> (std::net::SocketAddr, oneshot::Sender<()>) {
        limited(Limits { connections: 100, header_wait }, router).await
    }

    async fn limited(limits: Limits, router: Router) -> (std::net::SocketAddr, oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { stopped.await.unwrap_or(()) };
        tokio::spawn(serve(listener, router, crate::http::busy(), limits, stopped));
        (address, stop)
    }

    /// Asks once, and reads to the end or to the end of the head.
    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (mut answer, mut part) = (Vec::new(), [0; 1024]);
        loop {
            let read = stream.read(&mut part).await.unwrap();
            answer.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&answer);
            if read == 0 || text.contains("200 OK") && text.ends_with("yes") {
                return text.into_owned();
            }
        }
    }

    #[tokio::test]
    async fn more_connections_than_there_is_room_for_are_told_so_and_let_go() {
        let router = Router::new().route("/", get(|| async { "yes" }));
        let limits = Limits { connections: 2, header_wait: HEADER_WAIT };
        let (address, _stop) = limited(limits, router).await;
        let mut inside =
            [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        for stream in &mut inside {
            assert!(ask(stream).await.ends_with("yes"));
        }
        let refusal = ask(&mut TcpStream::connect(address).await.unwrap()).await;
        assert!(refusal.starts_with("HTTP/1.1 503"), "{refusal}");
        assert!(refusal.contains("retry-after: ") && refusal.contains(r#""code":"overloaded""#), "{refusal}");
        let [left, stays] = &mut inside;
        assert!(ask(stays).await.ends_with("yes"), "who is in stays in");
        left.shutdown().await.unwrap();
        assert_eq!(left.read(&mut [0; 1]).await.unwrap(), 0);
        let mut next = TcpStream::connect(address).await.unwrap();
        // The place is free as soon as the server has seen the end of the one that left.
        while !ask(&mut next).await.ends_with("yes") {
            next = TcpStream::connect(address).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_request_knows_the_other_end_of_its_connection() {
        let whose =
            |Extension(peer): Extension<Peer>| async move { if peer.0.is_loopback() { "yes" } else { "no" } };
        let (address, _stop) = started(HEADER_WAIT, Router::new().route("/", get(whose))).await;
        assert!(ask(&mut TcpStream::connect(address).await.unwrap()).await.ends_with("yes"));
    }

    #[tokio::test]
    async fn half_a_header_does_not_hold_a_connection() {
        let (address, _stop) =
            started(Duration::from_millis(100), Router::new().route("/", get(|| async { "yes" }))).await;
        for said in ["", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(said.as_bytes()).await.unwrap();
            let mut answer = String::new();
            slow.read_to_string(&mut answer).await.unwrap();
            assert!(!answer.contains("yes"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished_and_an_idle_connection_let_go() {
        let (entered, at_work) = oneshot::channel::<()>();
        let (finish, finished) = oneshot::channel::<()>();
        let parts = std::sync::Arc::new(std::sync::Mutex::new(Some((entered, finished))));
        let slow = move || {
            let (entered, finished) = parts.lock().unwrap().take().unwrap();
            async move {
                entered.send(()).unwrap();
                finished.await.unwrap();
                "done"
            }
        };
        let (address, stop) = started(HEADER_WAIT, Router::new().route("/", get(slow))).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        at_work.await.unwrap();
        stop.send(()).unwrap();
        assert_eq!(idle.read_to_string(&mut String::new()).await.unwrap(), 0);
        finish.send(()).unwrap();
        let mut answer = String::new();
        busy.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    }
}
