//! Connections: accepted one by one, each with a limit on how long its next request may take to announce itself.
//!
//! Somebody who connects and says nothing, or half a header, is let go; otherwise few clients could hold every socket
//! and, at the end, the server itself.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::serve::until;

/// How long a connection may wait for its next whole header. Longer than the minute for which load balancers keep idle
/// connections, so that they never send into one that is just being closed.
pub const HEADER_WAIT: Duration = Duration::from_secs(75);
/// Pause after an accept that failed, as when the process has no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop` resolves, then lets the requests under way finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    header_wait: Duration,
    stop: impl Future<Output = ()>,
) {
    let (tell, told) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = stop.as_mut() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.spawn(converse(stream, router.clone(), header_wait, told.clone()));
                }
                Err(error) => {
                    // A client that went away again says nothing of us.
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
    drop(listener);
    // Nobody may be left to hear it.
    let _ = tell.send(true);
    while open.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, router: Router, header_wait: Duration, told: watch::Receiver<bool>) {
    // Answers are written whole: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_wait)
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
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    async fn started(header_wait: Duration, router: Router) -> (std::net::SocketAddr, oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(serve(listener, router, header_wait, async move { stopped.await.unwrap_or(()) }));
        (address, stop)
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
