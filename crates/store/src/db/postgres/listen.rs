//! One connection that listens for `NOTIFY quittance_change` and passes the payloads on. Specification: PostgreSQL manual, LISTEN.
//!
//! Notifications sent while nobody listened are gone, so every (re)connection announces [`Change::Resync`].

use std::sync::Arc;
use std::time::Duration;

use super::connect::{ANSWER_LIMIT, Event, Target, answered};
use super::errors::cannot_connect;
use crate::db::{Change, Shared};

const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// A line on which nothing is heard looks like a day without changes, so the server is asked now and then.
const ASK_EVERY: Duration = Duration::from_secs(20);

/// Listens until the task is aborted.
pub(super) async fn listen(target: Arc<Target>, shared: Arc<Shared>) {
    loop {
        if let Err(error) = listen_once(&target, &shared, ASK_EVERY, ANSWER_LIMIT).await {
            tracing::warn!(%error, "not listening for changes; trying again");
        }
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}

async fn listen_once(
    target: &Target,
    shared: &Shared,
    every: Duration,
    limit: Duration,
) -> crate::Result<()> {
    let (client, mut driver) = answered(limit, target.connect_raw()).await?;
    let ask = async |question: &str| {
        answered(limit, async {
            client.batch_execute(question).await.map_err(|error| cannot_connect(&error))
        })
        .await
    };
    let asking = async {
        ask("LISTEN quittance_change").await?;
        shared.publish(Change::Resync);
        loop {
            tokio::time::sleep(every).await;
            ask("SELECT 1").await?;
        }
    };
    let hearing = async {
        loop {
            match std::future::poll_fn(|context| driver.poll_event(context)).await {
                Some(Event::Notification(payload)) => shared.publish(Change::Payload(payload)),
                Some(Event::Other) => {}
                Some(Event::Broken(reason)) => return Err(crate::StoreError::unavailable(reason)),
                None => return Err(crate::StoreError::unavailable("the server closed the connection")),
            }
        }
    };
    tokio::select! {
        ended = asking => ended,
        ended = hearing => ended,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Answers the login and `answers` questions as PostgreSQL does, then keeps the line open and says nothing.
    async fn server(mut line: TcpStream, answers: usize) {
        const READY: &[u8] = b"Z\0\0\0\x05I";
        const DONE: &[u8] = b"C\0\0\0\x0bLISTEN\0";
        let mut heard = [0; 1024];
        for question in 0..=answers {
            assert!(line.read(&mut heard).await.expect("a question") > 0);
            let answer: &[u8] = if question == 0 { b"R\0\0\0\x08\0\0\0\0" } else { DONE };
            line.write_all(&[answer, READY].concat()).await.expect("answered");
        }
        while line.read(&mut heard).await.is_ok_and(|read| read > 0) {}
    }

    async fn ends_after(answers: usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { server(listener.accept().await.expect("accepts").0, answers).await });
        let target = Target::parse(&format!("postgres://u@{address}/d?sslmode=disable")).expect("parsed");
        let shared = Shared { counters: Arc::default(), changes: tokio::sync::broadcast::channel(8).0 };
        let mut changes = shared.changes.subscribe();
        // Long enough for a busy machine to answer; that it is never answered is the point.
        let limit = Duration::from_secs(2);
        let ended =
            listen_once(&target, &shared, Duration::from_millis(1), limit).await.expect_err("it ends");
        assert!(ended.to_string().contains("does not answer"), "{ended}");
        assert_eq!(changes.try_recv().ok(), (answers > 0).then_some(Change::Resync));
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_is_noticed() {
        tokio::join!(ends_after(0), ends_after(1), ends_after(4));
    }
}
