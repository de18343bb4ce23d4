//! The world as an argument: time, waiting, chance, and named points where a crash may strike.
//!
//! Production brings [`SystemWorld`]; a simulator brings its own. Nothing else in this crate looks at
//! a clock or draws a random number.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quittance_domain::Timestamp;

/// A future that a trait object can return.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where time and chance come from.
pub trait World: Send + Sync + 'static {
    /// Now, UTC.
    fn now(&self) -> Timestamp;

    /// Waits for about this many milliseconds.
    fn sleep(&self, ms: u64) -> Waiting<'_>;

    /// 128 fresh random bits; unguessable in production.
    fn random(&self) -> [u8; 16];

    /// A named point between two steps: nothing in production, where a simulator or a crash harness stops.
    fn point(&self, name: &'static str) -> Waiting<'_>;

    /// 64 fresh random bits, for jitter.
    fn chance(&self) -> u64 {
        let mut half = [0_u8; 8];
        for (to, from) in half.iter_mut().zip(self.random()) {
            *to = from;
        }
        u64::from_be_bytes(half)
    }
}

/// The real world: the machine's clock (moved by an offset when a sandbox travels in time) and the
/// operating system's random source.
#[derive(Debug, Default)]
pub struct SystemWorld {
    offset_ms: AtomicI64,
}

impl SystemWorld {
    /// Moves this world's clock against the machine's: `quittance dev` follows its sandbox's clock.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }
}

impl World for SystemWorld {
    #[allow(clippy::disallowed_methods, reason = "this is where the machine's clock enters")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_ms(ms).plus_ms(self.offset_ms.load(Ordering::Relaxed))
    }

    fn sleep(&self, ms: u64) -> Waiting<'_> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0_u8; 16];
        // The operating system's source fails only before it is seeded at boot; an id of zeros would
        // then collide on its unique column and be refused, never reused.
        if getrandom::fill(&mut bytes).is_err() {
            tracing::error!("the operating system gives no random numbers");
        }
        bytes
    }

    fn point(&self, _name: &'static str) -> Waiting<'_> {
        Box::pin(std::future::ready(()))
    }
}
