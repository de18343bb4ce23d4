//! What goes wrong, how often, and which of it was counted.
//!
//! Every fault is drawn from one stream, whether or not it is let strike, so that a run can be repeated with only its
//! first faults: that is how a failure is made small.

use crate::chance::Chance;

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A webhook comes twice, or more often.
    WebhookDuplicated,
    /// A webhook is late by seconds to minutes, and others overtake it.
    WebhookDelayed,
    /// All tries of the provider to deliver an event fail, until it gives up.
    WebhookUnreachable,
    /// A webhook is lost, and the provider believes it arrived.
    WebhookDropped,
    /// A webhook is accepted, and the provider never hears of it.
    AcknowledgementLost,
    /// A webhook of somebody else: tampered, unsigned, old, or of the other mode.
    WebhookForged,
    /// A request to the provider is lost on its way.
    RequestLost,
    /// A request arrives after we gave it up.
    RequestLate,
    /// The provider did it, and its answer is lost.
    AnswerLost,
    /// 409: the key is in use.
    Conflict,
    /// 429.
    RateLimited,
    /// 429 with `lock_timeout`.
    LockTimeout,
    /// 500 before anything was done.
    ServerError,
    /// 500 after everything was done.
    ServerErrorAfter,
    /// The provider cannot be reached for hours or days, longer than it keeps idempotency keys.
    Outage,
    /// A node dies at a named point.
    CrashAtPoint,
    /// A node dies anywhere.
    Killed,
    /// A node stands still, longer than a lease lasts.
    Paused,
    /// The disk is full, fails, is locked, or loses power.
    Disk,
    /// A mail server refuses a message, or its answer is lost.
    MailTrouble,
    /// The app refuses a message, fails, is slow, or its answer is lost.
    AppTrouble,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::WebhookDuplicated,
        Self::WebhookDelayed,
        Self::WebhookUnreachable,
        Self::WebhookDropped,
        Self::AcknowledgementLost,
        Self::WebhookForged,
        Self::RequestLost,
        Self::RequestLate,
        Self::AnswerLost,
        Self::Conflict,
        Self::RateLimited,
        Self::LockTimeout,
        Self::ServerError,
        Self::ServerErrorAfter,
        Self::Outage,
        Self::CrashAtPoint,
        Self::Killed,
        Self::Paused,
        Self::Disk,
        Self::MailTrouble,
        Self::AppTrouble,
    ];

    /// The words in traces and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebhookDuplicated => "webhook duplicated",
            Self::WebhookDelayed => "webhook delayed",
            Self::WebhookUnreachable => "webhook unreachable",
            Self::WebhookDropped => "webhook dropped",
            Self::AcknowledgementLost => "acknowledgement lost",
            Self::WebhookForged => "webhook forged",
            Self::RequestLost => "request lost",
            Self::RequestLate => "request late",
            Self::AnswerLost => "answer lost",
            Self::Conflict => "409",
            Self::RateLimited => "429",
            Self::LockTimeout => "lock_timeout",
            Self::ServerError => "500",
            Self::ServerErrorAfter => "500 after commit",
            Self::Outage => "outage",
            Self::CrashAtPoint => "crash at a point",
            Self::Killed => "killed",
            Self::Paused => "paused",
            Self::Disk => "disk",
            Self::MailTrouble => "mail trouble",
            Self::AppTrouble => "app trouble",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }

    /// How often it is drawn in a thousand occasions, at most.
    const fn worst(self) -> u64 {
        match self {
            Self::WebhookDuplicated | Self::WebhookDelayed => 400,
            Self::WebhookDropped | Self::WebhookUnreachable | Self::AcknowledgementLost => 200,
            Self::WebhookForged | Self::AnswerLost | Self::RequestLost => 120,
            Self::Conflict | Self::RateLimited | Self::LockTimeout | Self::ServerError => 80,
            Self::RequestLate | Self::ServerErrorAfter | Self::CrashAtPoint => 40,
            Self::Outage | Self::Killed | Self::Paused | Self::Disk => 400,
            Self::MailTrouble | Self::AppTrouble => 300,
        }
    }
}

const KINDS: usize = Fault::ALL.len();

/// How often each kind is drawn in a thousand occasions; 0 for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates([u32; KINDS]);

impl Rates {
    /// Each of these kinds is on or off by chance, so that every combination comes up in some seed.
    pub fn draw(&mut self, kinds: &[Fault], chance: &mut Chance) {
        for fault in kinds {
            let rate = 1 + u32::try_from(chance.below(fault.worst())).unwrap_or(0);
            if chance.per_mille(550)
                && let Some(slot) = self.0.get_mut(fault.index())
            {
                *slot = rate;
            }
        }
    }

    /// How often in a thousand occasions.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u32 {
        self.0.get(fault.index()).copied().unwrap_or(0)
    }
}

/// How often each kind struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; KINDS]);

impl Counts {
    /// How often one kind struck.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(fault.index()).copied().unwrap_or(0)
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

/// The faults of one run.
#[derive(Debug)]
pub struct Faults {
    chance: Chance,
    rates: Rates,
    most: u64,
    over: bool,
    struck: u64,
    counts: Counts,
}

impl Faults {
    /// Faults at these rates, of which only the first `most` strike.
    #[must_use]
    pub fn new(chance: Chance, rates: Rates, most: u64) -> Self {
        Self { chance, rates, most, over: false, struck: 0, counts: Counts::default() }
    }

    /// Whether this kind strikes here. `favour` multiplies its chance.
    pub fn strikes(&mut self, fault: Fault, favour: u32) -> bool {
        let drawn = self.chance.per_mille(self.rates.of(fault).saturating_mul(favour));
        self.lets(fault, drawn)
    }

    /// The same for a kind that is drawn from `chance`, which is somebody else's.
    pub fn strikes_by(&mut self, fault: Fault, chance: &mut Chance) -> bool {
        let drawn = chance.per_mille(self.rates.of(fault));
        self.lets(fault, drawn)
    }

    fn lets(&mut self, fault: Fault, drawn: bool) -> bool {
        if !drawn || self.over || self.struck >= self.most {
            return false;
        }
        self.struck += 1;
        if let Some(count) = self.counts.0.get_mut(fault.index()) {
            *count += 1;
        }
        true
    }

    /// A draw for the details of a fault.
    pub fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// From now on nothing goes wrong.
    pub fn stop(&mut self) {
        self.over = true;
    }

    /// Whether anything may still go wrong.
    #[must_use]
    pub fn are_over(&self) -> bool {
        self.over
    }

    /// What struck so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}
