//! Deliberate defects, each a protection taken away, to show that the simulator finds them.
//!
//! They exist only in builds with the feature `mutants`, which nothing but the simulator's own test turns on; without it
//! [`is`] is a constant no, and the compiler removes what asks for it.

/// A protection that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A sync writes although another worker has claimed the aggregate since.
    Fence,
    /// A repeated webhook is stored once more, and nobody is told.
    Dedupe,
    /// A command is sent with a fresh idempotency key each time.
    IdempotencyKey,
    /// Grace begins whenever somebody looks.
    GraceAnchor,
    /// A notice is written down however often its fact is observed.
    NaturalKey,
    /// A commit does not wait for the disk.
    Durability,
    /// Memory is not told of commits.
    Memory,
    /// A signature is believed without being checked.
    Signature,
    /// A command whose key the provider may have forgotten is sent again without a look at what it did.
    LookUp,
    /// An entry of the ledger is written however often its fact is observed.
    LedgerKey,
    /// What is planned is forgotten, and stays planned at the provider.
    Undo,
    /// A notice is sent without asking whether it is still so.
    StillTrue,
    /// A sweep does not look at the provider's events.
    Sweep,
    /// A quote is taken without asking whether it still holds.
    Quote,
    /// Nobody remembers who had a trial.
    TrialRegistry,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Fence,
        Self::Dedupe,
        Self::IdempotencyKey,
        Self::GraceAnchor,
        Self::NaturalKey,
        Self::Durability,
        Self::Memory,
        Self::Signature,
        Self::LookUp,
        Self::LedgerKey,
        Self::Undo,
        Self::StillTrue,
        Self::Sweep,
        Self::Quote,
        Self::TrialRegistry,
    ];

    /// What is missing, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fence => "the fence",
            Self::Dedupe => "the dedupe of events",
            Self::IdempotencyKey => "the idempotency key of commands",
            Self::GraceAnchor => "the anchor of grace",
            Self::NaturalKey => "the natural key of notices",
            Self::Durability => "the flush before an acknowledgement",
            Self::Memory => "the outdating of memory",
            Self::Signature => "the check of signatures",
            Self::LookUp => "the look at what an expired key did",
            Self::LedgerKey => "the natural key of ledger entries",
            Self::Undo => "the undoing of what is planned",
            Self::StillTrue => "the look before a notice is sent",
            Self::Sweep => "the sweep's look at missed events",
            Self::Quote => "the look whether a quote still holds",
            Self::TrialRegistry => "the registry of trials",
        }
    }
}

#[cfg(feature = "mutants")]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Takes one protection away in this thread, or gives it back.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

/// Whether this protection is missing.
#[cfg(feature = "mutants")]
#[must_use]
pub fn is(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether this protection is missing: never, in a build without mutants.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn is(_: Mutant) -> bool {
    false
}
