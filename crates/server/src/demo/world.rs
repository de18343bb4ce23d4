//! Time, chance and the way to the provider in the demo: the sandbox's clock, numbers from a seed, no socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use quittance_domain::Timestamp;
use quittance_domain::digest::digest;
use quittance_engine::World;
use quittance_engine::world::{Point, Waiting};
use quittance_sandbox::Sandbox;

/// The sandbox's clock is everybody's; waiting takes no time and moves the engine's on.
pub(super) struct DemoWorld {
    sandbox: Arc<Sandbox>,
    ahead_ms: AtomicI64,
    drawn: AtomicU64,
}

impl DemoWorld {
    pub(super) fn new(sandbox: Arc<Sandbox>) -> Self {
        Self { sandbox, ahead_ms: AtomicI64::new(0), drawn: AtomicU64::new(0) }
    }

    /// Lets the engine's clock run ahead of the sandbox's, as waiting does.
    pub(super) fn wait_ms(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The sandbox's clock has overtaken what was waited.
    pub(super) fn catch_up(&self, seconds: i64) {
        let passed = seconds.saturating_mul(1_000);
        let ahead = self.ahead_ms.load(Ordering::SeqCst);
        self.ahead_ms.store(ahead.saturating_sub(passed).max(0), Ordering::SeqCst);
    }
}

impl World for DemoWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.sandbox.now_ms()).plus_ms(self.ahead_ms.load(Ordering::SeqCst))
    }

    fn sleep(&self, ms: u64) -> Waiting<'_> {
        Box::pin(async move {
            self.wait_ms(i64::try_from(ms).unwrap_or(i64::MAX));
            tokio::task::yield_now().await;
        })
    }

    fn limit(&self, ms: u64) -> Waiting<'_> {
        // What it limits runs in real time.
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn random(&self) -> [u8; 16] {
        let number = self.drawn.fetch_add(1, Ordering::SeqCst).to_string();
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(digest(&["demo", &number])) {
            *to = from;
        }
        bytes
    }

    fn point(&self, _point: Point) -> Waiting<'_> {
        Box::pin(std::future::ready(()))
    }

    fn spawn(&self, task: Waiting<'static>) {
        tokio::spawn(task);
    }
}
