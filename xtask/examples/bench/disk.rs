//! How fast the disk is right now. A virtual disk slows down many times over once its write budget is spent, and then
//! a durable benchmark measures the budget.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use xtask::clock::{Stopwatch, poll};
use xtask::interrupt;

/// Above this, durable figures are the disk's and not the product's.
pub const SLOW: Duration = Duration::from_millis(1);

/// The median time of an append of 4 KiB that is made durable.
pub fn probe(folder: &Path) -> Result<Duration> {
    let path = folder.join("probe");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..51 {
        let watch = Stopwatch::start();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        times.push(watch.elapsed());
    }
    times.sort_unstable();
    std::fs::remove_file(path)?;
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// Waits for the disk to recover, for at most `limit`, and returns its time at the end.
pub fn recovered(folder: &Path, limit: Duration) -> Result<Duration> {
    let mut last = probe(folder)?;
    if last > SLOW {
        eprintln!("the disk takes {} µs for a durable write: waiting for it to recover", last.as_micros());
        poll(limit, || {
            if interrupt::check().is_err() {
                return Some(());
            }
            std::thread::sleep(Duration::from_secs(5));
            last = probe(folder).unwrap_or(last);
            (last <= SLOW).then_some(())
        });
        interrupt::check()?;
    }
    Ok(last)
}
