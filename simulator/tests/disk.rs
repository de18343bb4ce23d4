//! The simulated disk under the shipped store: what is committed survives, and trouble is told as what it is.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use futures_util::FutureExt as _;
use quittance_simulator::chance::Chance;
use quittance_simulator::disk::{AUDITOR, Disk, Mount, Trouble, act_as};
use quittance_simulator::sim::database_options;
use quittance_store::{Db, StoreError, meta};
use tokio::sync::broadcast::error::TryRecvError;

fn open(mount: &Mount) -> Db {
    Db::open(&mount.url(), database_options()).now_or_never().unwrap().unwrap()
}

fn put(db: &Db, key: &'static str) -> Result<String, StoreError> {
    db.write("test.put", move |tx| meta::put_once(tx, key, "first")).now_or_never().unwrap()
}

fn fresh() -> (Mount, Db) {
    let mount = Disk::default().mount().unwrap();
    let db = open(&mount);
    db.migrate().now_or_never().unwrap().unwrap();
    (mount, db)
}

/// What stands under a key: `put_once` answers with what was there before.
fn stands(db: &Db, key: &'static str) -> bool {
    let found = db.write("test.ask", move |tx| meta::put_once(tx, key, "second")).now_or_never().unwrap();
    found.unwrap() == "first"
}

#[test]
fn what_was_committed_survives_a_power_failure() {
    // Any process but the checkers', whom no trouble touches.
    act_as(7);
    for seed in 0..50 {
        let (mount, db) = fresh();
        put(&db, "kept").unwrap();
        // The next commit meets the failure at its flush.
        mount.disk.set_trap(Trouble::PowerFails, 0, 1);
        assert!(put(&db, "lost").is_err(), "seed {seed}");
        drop(db);
        mount.disk.power_returns(&mut Chance::new(seed, "power"));
        let db = open(&mount);
        assert!(stands(&db, "kept"), "seed {seed}");
    }
}

#[test]
fn a_process_that_dies_while_it_writes_leaves_whole_transactions() {
    for after in 0..12 {
        let (mount, db) = fresh();
        put(&db, "kept").unwrap();
        act_as(7);
        let dying = open(&mount);
        mount.disk.set_trap(Trouble::Killed, after, 1);
        let _ended = put(&dying, "half");
        mount.disk.clear_trap();
        drop(dying);
        act_as(AUDITOR);
        assert!(stands(&db, "kept"), "after {after} writes");
        put(&db, "next").unwrap();
    }
}

#[test]
fn trouble_is_told_as_what_it_is() {
    let (mount, db) = fresh();
    drop(db);
    act_as(7);
    let db = open(&mount);
    mount.disk.set_trap(Trouble::Full, 0, 1);
    assert!(matches!(put(&db, "a"), Err(StoreError::Full { .. })));
    mount.disk.set_trap(Trouble::Busy, 0, u32::MAX);
    assert!(matches!(put(&db, "a"), Err(StoreError::Unavailable { .. })));
    mount.disk.set_trap(Trouble::Busy, 0, 3);
    put(&db, "a").unwrap();
    mount.disk.set_trap(Trouble::FlushFails, 0, 1);
    assert!(put(&db, "b").is_err());
    put(&db, "b").unwrap();
    act_as(AUDITOR);
}

#[test]
fn what_one_life_had_open_serves_the_next_and_the_dead_one_nothing() {
    let (mount, first) = fresh();
    put(&first, "kept").unwrap();
    act_as(7);
    let db = open(&mount);
    act_as(AUDITOR);
    let mut changes = db.changes();
    mount.disk.cut_off(7);
    assert!(put(&db, "lost").is_err());
    let next = db.pass_on().unwrap();
    assert!(put(&db, "lost").is_err(), "the old handle is answered no more");
    assert!(db.pass_on().is_none(), "it has nothing left to pass on");
    drop(db);
    assert_eq!(changes.try_recv(), Err(TryRecvError::Closed), "nobody listens to the old one");
    assert!(put(&next, "lost").is_err(), "it is still the dead one's");
    mount.disk.hand_over(7, 8);
    assert!(stands(&next, "kept") && !stands(&next, "lost"));
    put(&next, "next").unwrap();
    assert!(stands(&first, "next"));
    mount.disk.cut_off(8);
    assert!(put(&next, "more").is_err());
}
