//! The one place here that reads the clock: how long a task took, and when waiting must end.

use std::thread;
use std::time::{Duration, Instant};

/// A running stopwatch.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts at zero.
    #[allow(clippy::disallowed_methods, reason = "tasks measure real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks `ready` again and again until it answers something, for at most `limit`.
pub fn poll<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = ready() {
            return Some(found);
        }
        if watch.elapsed() >= limit {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}
