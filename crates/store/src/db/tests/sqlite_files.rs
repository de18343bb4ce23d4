//! SQLite files: who may open them, and how.

use super::{ids, insert, tables};
use crate::db::{Access, Db, Options};
use crate::error::StoreError;
use crate::testing::{options, sqlite_with};

#[tokio::test]
async fn two_servers_cannot_share_a_file_but_a_command_can_work_beside_one() {
    let exclusive = Options { exclusive: true, ..options() };
    let server = sqlite_with(exclusive.clone()).await;
    tables(&server.db).await;
    let second = Db::open(&server.url, exclusive.clone()).await.err();
    let Some(StoreError::Locked { path }) = second else { panic!("{second:?}") };
    assert!(path.ends_with("test.db-lock"), "{path}");

    let command = Db::open(&server.url, options()).await.expect("a command opens beside the server");
    command.write("command", |tx| insert(tx, 1, "a")).await.expect("committed");
    server.db.write("server", |tx| insert(tx, 2, "b")).await.expect("committed");
    assert_eq!(ids(&server.db).await, [1, 2]);
    command.close().await;

    server.db.clone().close().await;
    let next = Db::open(&server.url, exclusive).await.expect("the lock is free after close");
    assert_eq!(ids(&next).await, [1, 2]);
}

#[tokio::test]
async fn a_link_to_the_file_meets_the_same_lock() {
    let exclusive = Options { exclusive: true, ..options() };
    let server = sqlite_with(exclusive.clone()).await;
    let path = server.url.strip_prefix("sqlite://").expect("a file");
    let link = path.replace("test.db", "link.db");
    std::os::unix::fs::symlink(path, &link).expect("a link");
    let second = Db::open(&format!("sqlite://{link}"), exclusive).await.err();
    assert!(matches!(second, Some(StoreError::Locked { .. })), "{second:?}");
}

#[tokio::test]
async fn a_read_only_handle_reads_beside_a_writer_and_writes_nothing() {
    let server = sqlite_with(options()).await;
    tables(&server.db).await;
    server.db.write("w", |tx| insert(tx, 1, "a")).await.expect("committed");
    let reader =
        Db::open(&server.url, Options { access: Access::ReadOnly, ..options() }).await.expect("opens");
    assert_eq!(ids(&reader).await, [1]);
    let refused = reader.write("w", |tx| insert(tx, 2, "b")).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
    assert!(!reader.schema_state().await.expect("readable").newer);
}

#[tokio::test]
async fn unusable_addresses_are_refused_with_a_reason() {
    for (url, words) in [
        ("sqlite:///no/such/folder/q.db", "check that the folder exists"),
        ("sqlite://", "needs a path"),
        ("mysql://localhost/q", "must begin with sqlite:// or postgres://"),
    ] {
        let error = Db::open(url, options()).await.err().expect("refused").to_string();
        assert!(error.contains(words), "{url}: {error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing.db");
    let missing =
        Db::open(&format!("sqlite://{}", path.display()), Options { access: Access::ReadOnly, ..options() })
            .await
            .err();
    assert!(matches!(missing, Some(StoreError::Unavailable { .. })), "{missing:?}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_damaged_file_is_called_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text.db");
    std::fs::write(&path, "this is not a database, it is a text of some length".repeat(100))
        .expect("written");
    let error = Db::open(&format!("sqlite://{}", path.display()), options()).await.err();
    assert!(matches!(error, Some(StoreError::Corrupt { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_may_create_the_file_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..10 {
        let url = format!("sqlite://{}", folder.path().join(format!("{round}.db")).display());
        let open = |_| {
            let url = url.clone();
            tokio::spawn(async move { Db::open(&url, options()).await?.migrate().await })
        };
        let opening: Vec<_> = (0..6).map(open).collect();
        for opened in opening {
            opened.await.expect("joined").expect("opened and migrated");
        }
    }
}
