//! A PostgreSQL server that goes away and comes back, played by a proxy between the store and the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::notify::{next, subscribed};
use super::{ids, insert, statement, tables};
use crate::db::{Change, Db, Options};
use crate::error::StoreError;
use crate::testing::{TestDb, options, postgres};

/// Passes bytes on until it is dropped, which cuts all its connections at once.
struct Proxy {
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn start(at: SocketAddr, server: SocketAddr) -> (Self, SocketAddr) {
        let listener = TcpListener::bind(at).await.expect("the proxy's port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.expect("accepts");
                connections.spawn(async move {
                    let mut upstream = TcpStream::connect(server).await.expect("the server answers");
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                });
            }
        });
        (Self { task }, address)
    }

    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// The test's database, its server's address, a proxy, and a handle through the proxy.
async fn through_proxy() -> Option<(TestDb, SocketAddr, Proxy, SocketAddr, Db)> {
    let test = postgres().await?;
    tables(&test.db).await;
    let config: tokio_postgres::Config = test.url.parse().expect("an address");
    let host = match config.get_hosts().first() {
        Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
        other => panic!("these tests need a TCP address, not {other:?}"),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let server =
        tokio::net::lookup_host((host.as_str(), port)).await.expect("resolves").next().expect("an address");
    let (proxy, address) = Proxy::start(([127, 0, 0, 1], 0).into(), server).await;
    let url = test.url.replace(&format!("{host}:{port}"), &address.to_string());
    assert_ne!(url, test.url, "the address must name its port");
    let db = Db::open(&url, Options { connections: 1, ..options() }).await.expect("opens through the proxy");
    Some((test, server, proxy, address, db))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable_while_away_and_well_again_afterwards() {
    let Some((_test, server, proxy, address, db)) = through_proxy().await else { return };
    db.write("before", |tx| insert(tx, 1, "a")).await.expect("committed");
    proxy.stop().await;
    let away = db.write("away", |tx| insert(tx, 2, "b")).await;
    assert!(matches!(away, Err(StoreError::Unavailable { outcome_unknown: false, .. })), "{away:?}");
    let (_proxy, _) = Proxy::start(address, server).await;
    db.write("back", |tx| insert(tx, 3, "c")).await.expect("committed");
    assert_eq!(ids(&db).await, [1, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_before_the_commit_is_replaced_and_the_work_done_once() {
    let Some((test, _server, _proxy, _address, db)) = through_proxy().await else { return };
    let killer = test.db.clone();
    let cut = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Handle::current();
    db.write("cut", move |tx| {
        insert(tx, 1, "a")?;
        if !cut.swap(true, Ordering::Relaxed) {
            let me = tx.query_one(statement!("SELECT pg_backend_pid() AS pid"), &[])?.i64("pid")?;
            let killer = killer.clone();
            let kill = async move { killer.read("kill", move |tx| terminate(tx, me)).await };
            // From another thread: this one drives the connection's own runtime.
            let (runtime, done) = (runtime.clone(), std::sync::mpsc::channel());
            runtime.spawn(async move { done.0.send(kill.await) });
            done.1.recv().expect("killed").expect("the server ends the connection");
        }
        insert(tx, 2, "b")
    })
    .await
    .expect("committed on a new connection");
    assert_eq!(ids(&db).await, [1, 2]);
    assert_eq!(db.stats().retries, 1);
}

fn terminate(tx: &mut dyn crate::Tx, pid: i64) -> crate::Result<bool> {
    tx.query_one(statement!("SELECT pg_terminate_backend(CAST($1 AS INT), 5000) AS gone"), &[pid.into()])?
        .bool("gone")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_during_the_commit_leaves_the_outcome_unknown() {
    let Some((test, _server, _proxy, _address, db)) = through_proxy().await else { return };
    let killer = test.db.clone();
    let runtime = tokio::runtime::Handle::current();
    let result = db
        .write("cut", move |tx| {
            insert(tx, 1, "a")?;
            let me = tx.query_one(statement!("SELECT pg_backend_pid() AS pid"), &[])?.i64("pid")?;
            let killer = killer.clone();
            let (done, is_done) = std::sync::mpsc::channel();
            runtime.spawn(async move { done.send(killer.read("kill", move |tx| terminate(tx, me)).await) });
            is_done.recv().expect("killed").map(drop)
        })
        .await;
    assert!(matches!(result, Err(StoreError::Unavailable { outcome_unknown: true, .. })), "{result:?}");
    assert!(result.expect_err("unknown").to_string().contains("may or may not have been written"));
    db.write("again", |tx| insert(tx, 1, "a")).await.expect("here it had not been written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_lost_its_server_listens_again_and_says_that_it_missed_something() {
    let Some((test, server, proxy, address, db)) = through_proxy().await else { return };
    let mut changes = subscribed(&db).await;
    proxy.stop().await;
    test.db.write("missed", |tx| tx.notify("missed")).await.expect("committed");
    let (_proxy, _) = Proxy::start(address, server).await;
    assert_eq!(next(&mut changes).await, Change::Resync);
    test.db.write("heard", |tx| tx.notify("heard")).await.expect("committed");
    assert_eq!(next(&mut changes).await, Change::Payload("heard".to_owned()));
}
