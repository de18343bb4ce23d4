//! Where the time of an acknowledgement goes, without HTTP: what each step of a webhook costs, in microseconds of processor time
//! for an event. Storing is measured at the whole process, in batches as they are under load, and on a database of its own:
//! SQLite in a temporary directory, or the empty one whose address is given.
//!
//! `docs/bench.md` has what it printed.

#![allow(clippy::disallowed_methods, clippy::expect_used, reason = "a benchmark measures real time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use quittance_domain::digest::sha256_hex;
use quittance_domain::{Mode, Provider, Scope, Timestamp};
use quittance_engine::inbox::new_event;
use quittance_store::inbox::{self, NewEvent};
use quittance_store::{Db, Options};
use quittance_stripe::event::Event;
use quittance_stripe::{redact, signature};

const EVENT: &str = include_str!("../../../xtask/examples/bench/event.json");
const TIMES: u32 = 50_000;
/// Events of one commit, and commits.
const BATCHES: [(usize, usize); 3] = [(16, 400), (64, 200), (128, 200)];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let raw = EVENT.as_bytes();
    let secrets = ["whsec_bench".to_owned().into()];
    // Signed for nobody: it is computed over all the same, and then refused.
    let header = format!("t=1,v1={}", "0".repeat(64));
    step("signature", || signature::verify(Some(header.as_bytes()), raw, &secrets, 1, 300).is_err());
    step("digest of the body", || sha256_hex(raw).len() == 64);
    step("redaction", || redact::redact(raw).is_ok());
    let kept = redact::redact(raw).expect("an event");
    step("envelope", || Event::parse(kept.as_bytes()).is_ok());
    let scope = Scope::own(Provider::Stripe, Mode::Test);
    let now = Timestamp::from_ms(1_800_000_000_000);
    step("all but the signature", || new_event(raw, &scope, "webhook", now, now).is_ok());
    println!("kept of {} bytes: {}", raw.len(), kept.len());

    let directory = std::env::temp_dir().join(format!("quittance-accept-us-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| format!("sqlite://{}", directory.join("bench.db").display()));
    let db = Db::open(&url, Options::default()).await.expect("a database");
    db.migrate().await.expect("migrated");
    let event = new_event(raw, &scope, "webhook", now, now).expect("an event");
    let mut next = 0;
    for (size, count) in BATCHES {
        store(&db, &event, size, count, &mut next).await;
    }
    db.close().await;
    std::fs::remove_dir_all(&directory).expect("removed");
}

fn step(name: &str, mut run: impl FnMut() -> bool) {
    let begun = Instant::now();
    for _ in 0..TIMES {
        assert!(black_box(run()), "{name}");
    }
    println!("{name}: {} ns", begun.elapsed().as_nanos() / u128::from(TIMES));
}

async fn store(db: &Db, like: &NewEvent, size: usize, count: usize, next: &mut usize) {
    let batches: Vec<Arc<Vec<NewEvent>>> = (0..count)
        .map(|_| {
            let batch = (0..size).map(|_| {
                *next += 1;
                let event_id = format!("evt_accept{:015}", *next);
                let aggregate = format!("{}{:04}", like.aggregate, *next % 1_000);
                NewEvent { event_id, aggregate, ..like.clone() }
            });
            Arc::new(batch.collect())
        })
        .collect();
    let (begun, before, written) = (Instant::now(), cpu_us(), written());
    for batch in batches {
        db.write("bench.accept", move |tx| inbox::accept(tx, &batch)).await.expect("accepted");
    }
    let events = u128::try_from(size * count).expect("small");
    println!(
        "stored in batches of {size}: {} µs of processor time and {} bytes written an event in this process, {} µs in all",
        (cpu_us() - before) / events,
        (self::written() - written) / events,
        begun.elapsed().as_micros() / events,
    );
}

/// Bytes that this process has sent to the disk.
fn written() -> u128 {
    let io = std::fs::read_to_string("/proc/self/io").expect("Linux");
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Processor time of this process. Linux counts it in hundredths of a second.
fn cpu_us() -> u128 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let ticks =
        fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u128>().ok()).sum::<u128>();
    ticks * 10_000
}
