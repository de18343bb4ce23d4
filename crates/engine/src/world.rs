//! The world as an argument: time, waiting, chance, tasks, and named points where a crash may strike.
//!
//! Production brings [`SystemWorld`]; a simulator brings its own. Nothing else in this crate looks at
//! a clock, draws a random number or starts a task.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quittance_domain::Timestamp;

/// A future that a trait object can return or be given.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A named step between two effects: where a crash leaves something half done, or another worker slips in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// A webhook is verified, and nothing of it is stored.
    InboxBeforeCommit,
    /// A webhook is stored, and the provider does not know it.
    InboxAfterCommit,
    /// An aggregate is claimed, and the provider was not asked.
    SyncClaimed,
    /// The provider has answered, and nothing is compared or stored.
    SyncFetched,
    /// The end of a failed sync is recorded.
    SyncFailed,
    /// What was fetched is about to be written.
    ApplyBeforeCommit,
    /// What was fetched is written, and memory does not know it.
    ApplyAfterCommit,
    /// A command is written down, and nobody works on it.
    CommandWanted,
    /// A command is claimed, and not sent.
    CommandClaimed,
    /// The provider has answered a command, and the answer is not recorded.
    CommandAnswered,
    /// The answer of a command is recorded, and its caller does not know it.
    CommandRecorded,
    /// A checkout is decided, and nothing was asked of the provider.
    CheckoutDecided,
    /// A buyer's return is a mark, and nobody has looked.
    ReturnMarked,
    /// A grant was given or taken back, and its answer not yet kept.
    GrantCommitted,
    /// A request runs under an idempotency key, and has done nothing.
    RequestBegun,
    /// A request's answer is kept, and the caller does not know it.
    RequestFinished,
    /// A delivery is claimed, and not sent.
    DeliveryClaimed,
    /// A delivery may have arrived, and that is not recorded.
    DeliverySent,
    /// How a delivery went is recorded.
    DeliveryRecorded,
    /// A sweep is claimed, and has looked at nothing.
    SweepClaimed,
    /// A sweep has marked what a page showed, and the next page is not asked for.
    SweepCheckpointed,
    /// An import has kept a page and where it is, and the next one is not asked for.
    ImportCheckpointed,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::InboxBeforeCommit,
        Self::InboxAfterCommit,
        Self::SyncClaimed,
        Self::SyncFetched,
        Self::SyncFailed,
        Self::ApplyBeforeCommit,
        Self::ApplyAfterCommit,
        Self::CommandWanted,
        Self::CommandClaimed,
        Self::CommandAnswered,
        Self::CommandRecorded,
        Self::CheckoutDecided,
        Self::ReturnMarked,
        Self::GrantCommitted,
        Self::RequestBegun,
        Self::RequestFinished,
        Self::DeliveryClaimed,
        Self::DeliverySent,
        Self::DeliveryRecorded,
        Self::SweepClaimed,
        Self::SweepCheckpointed,
        Self::ImportCheckpointed,
    ];

    /// The name in traces and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InboxBeforeCommit => "inbox.before_commit",
            Self::InboxAfterCommit => "inbox.after_commit",
            Self::SyncClaimed => "sync.claimed",
            Self::SyncFetched => "sync.fetched",
            Self::SyncFailed => "sync.failed",
            Self::ApplyBeforeCommit => "apply.before_commit",
            Self::ApplyAfterCommit => "apply.after_commit",
            Self::CommandWanted => "command.wanted",
            Self::CommandClaimed => "command.claimed",
            Self::CommandAnswered => "command.answered",
            Self::CommandRecorded => "command.recorded",
            Self::CheckoutDecided => "checkout.decided",
            Self::ReturnMarked => "return.marked",
            Self::GrantCommitted => "grant.committed",
            Self::RequestBegun => "request.begun",
            Self::RequestFinished => "request.finished",
            Self::DeliveryClaimed => "delivery.claimed",
            Self::DeliverySent => "delivery.sent",
            Self::DeliveryRecorded => "delivery.recorded",
            Self::SweepClaimed => "sweep.claimed",
            Self::SweepCheckpointed => "sweep.checkpointed",
            Self::ImportCheckpointed => "import.checkpointed",
        }
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where time and chance come from.
pub trait World: Send + Sync + 'static {
    /// Now, UTC.
    fn now(&self) -> Timestamp;

    /// Waits for about this many milliseconds.
    fn sleep(&self, ms: u64) -> Waiting<'_>;

    /// A limit of about this many milliseconds on something that runs meanwhile. A world whose sleeps take no time
    /// must not let this one pass sooner than what it limits can end.
    fn limit(&self, ms: u64) -> Waiting<'_>;

    /// 128 fresh random bits; unguessable in production.
    fn random(&self) -> [u8; 16];

    /// A point between two steps: nothing in production, where a simulator or a test stops.
    fn point(&self, point: Point) -> Waiting<'_>;

    /// Runs a task beside its maker until it ends or this world does.
    fn spawn(&self, task: Waiting<'static>);

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

    fn limit(&self, ms: u64) -> Waiting<'_> {
        self.sleep(ms)
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

    fn point(&self, _point: Point) -> Waiting<'_> {
        Box::pin(std::future::ready(()))
    }

    fn spawn(&self, task: Waiting<'static>) {
        tokio::spawn(task);
    }
}
