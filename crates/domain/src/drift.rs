//! Drift: what a sweep found to differ between mirror and provider, what that does to access, and who mends it.
//!
//! Refuses to know how the two sides were read, and to mend anything: finding is one thing, the one door another.

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::time::Timestamp;

macro_rules! drift_kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal by $mending:ident;)*) => {
        /// What differs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DriftKind { $($(#[$doc])* $name,)* }

        impl DriftKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word used in database, API and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Who mends it.
            #[must_use]
            pub const fn mending(self) -> Mending {
                match self { $(Self::$name => Mending::$mending,)* }
            }
        }
    };
}

drift_kinds! {
    /// A subscription has another status at the provider.
    Status = "status" by Sync;
    /// A subscription has the same status, but other lines, periods, ends or metadata.
    Content = "content" by Sync;
    /// A subscription is not mirrored.
    Unknown = "unknown" by Sync;
    /// The provider no longer lists a subscription that we believe to run.
    Gone = "gone" by Sync;
    /// The mirror gives access that today's policy would not give, or the other way round.
    Entitlement = "entitlement" by Sync;
    /// The provider's customer has another e-mail address than ours.
    Email = "email" by Sync;
    /// The provider has deleted a customer that is linked to one of ours.
    DeletedCustomer = "deleted_customer" by Sync;
    /// A subscription runs at the provider, and belongs to none of our customers.
    UnownedSubscription = "unowned_subscription" by Operator;
    /// Money arrived that belongs to none of our customers.
    UnownedPayment = "unowned_payment" by Operator;
    /// A customer has several live subscriptions of one plan group.
    Duplicate = "duplicate" by Operator;
    /// A live subscription has a price that the catalog does not name.
    UnknownPrice = "unknown_price" by Operator;
}

impl DriftKind {
    /// Whether the sync that answers its mark has also mended it. An address is written by a command or taken over at once:
    /// it is over when a whole sweep finds it no more.
    #[must_use]
    pub const fn is_over_with_a_sync(self) -> bool {
        match self {
            Self::Status
            | Self::Content
            | Self::Unknown
            | Self::Gone
            | Self::Entitlement
            | Self::DeletedCustomer => true,
            Self::Email
            | Self::UnownedSubscription
            | Self::UnownedPayment
            | Self::Duplicate
            | Self::UnknownPrice => false,
        }
    }

    /// Whether only the list of the provider's customers shows it: a sweep that left them out has not looked.
    #[must_use]
    pub const fn is_found_among_customers(self) -> bool {
        match self {
            Self::Email | Self::DeletedCustomer => true,
            Self::Status
            | Self::Content
            | Self::Unknown
            | Self::Gone
            | Self::Entitlement
            | Self::UnownedSubscription
            | Self::UnownedPayment
            | Self::Duplicate
            | Self::UnknownPrice => false,
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// Who mends a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mending {
    /// The next sync: the aggregate is marked.
    Sync,
    /// A person decides: a machine could take access or money from the wrong one.
    Operator,
}

/// Why the two sides differ, where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Cause {
    /// An event about it never reached us.
    MissedEvent {
        /// The provider's event.
        event: String,
    },
    /// Its aggregate is parked: every look failed.
    Parked,
    /// Its aggregate is dirty, and looking fails.
    Failing,
    /// The provider's customer was deleted.
    CustomerDeleted,
    /// The policy changed since the last look.
    PolicyChanged,
    /// Made by somebody else at the provider.
    NotOurs,
    /// Nothing explains it.
    Unexplained,
}

impl Cause {
    /// The word used in database, API and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::MissedEvent { .. } => "missed_event",
            Self::Parked => "parked",
            Self::Failing => "failing",
            Self::CustomerDeleted => "customer_deleted",
            Self::PolicyChanged => "policy_changed",
            Self::NotOurs => "not_ours",
            Self::Unexplained => "unexplained",
        }
    }

    /// What more is known: the event's id.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::MissedEvent { event } => Some(event),
            Self::Parked
            | Self::Failing
            | Self::CustomerDeleted
            | Self::PolicyChanged
            | Self::NotOurs
            | Self::Unexplained => None,
        }
    }
}

/// What a difference does to access until it is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrongAccess {
    /// Nothing: both sides give or refuse it.
    None,
    /// Our side allows what the provider's truth does not.
    TooMuch,
    /// Our side refuses what was paid for.
    TooLittle,
}

impl WrongAccess {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::TooMuch, Self::TooLittle];

    /// Compares what our side gives with what it should.
    #[must_use]
    pub const fn between(ours: Access, theirs: Access) -> Self {
        match (ours.allows(), theirs.allows()) {
            (true, false) => Self::TooMuch,
            (false, true) => Self::TooLittle,
            (true, true) | (false, false) => Self::None,
        }
    }

    /// The word used in database, API and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TooMuch => "too_much",
            Self::TooLittle => "too_little",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wrong| wrong.as_str() == text)
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What differs.
    pub kind: DriftKind,
    /// The provider's object that it is about.
    pub object: String,
    /// The customer, if one is known.
    pub customer: Option<crate::CustomerId>,
    /// The aggregate whose sync mends it.
    pub aggregate: Option<String>,
    /// What our side says, in a word or two; no personal data.
    pub ours: Option<String>,
    /// What the provider says.
    pub theirs: Option<String>,
    /// Why, where that is known.
    pub cause: Cause,
    /// What it does to access.
    pub wrong: WrongAccess,
    /// Since when: the provider's own time of the change where an event tells it, else our last look.
    pub since: Option<Timestamp>,
}

/// How long access was wrong, in milliseconds, when it is mended at `now`. One that nobody can date counts from when it
/// was found.
#[must_use]
pub fn wrong_ms(wrong: WrongAccess, since: Option<Timestamp>, found_at: Timestamp, now: Timestamp) -> i64 {
    match wrong {
        WrongAccess::None => 0,
        WrongAccess::TooMuch | WrongAccess::TooLittle => now.since(since.unwrap_or(found_at)).max(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_and_are_unique() {
        for kind in DriftKind::ALL {
            assert_eq!(DriftKind::parse(kind.as_str()), Some(*kind));
        }
        for wrong in WrongAccess::ALL {
            assert_eq!(WrongAccess::parse(wrong.as_str()), Some(wrong));
        }
    }

    #[test]
    fn access_is_wrong_in_one_direction_or_not_at_all() {
        use Access::{Grace, Granted, Pending, Revoked};
        for (ours, theirs, wrong) in [
            (Granted, Revoked, WrongAccess::TooMuch),
            (Grace, Pending, WrongAccess::TooMuch),
            (Revoked, Granted, WrongAccess::TooLittle),
            (Pending, Grace, WrongAccess::TooLittle),
            (Granted, Grace, WrongAccess::None),
            (Revoked, Pending, WrongAccess::None),
        ] {
            assert_eq!(WrongAccess::between(ours, theirs), wrong, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn wrong_access_is_counted_from_the_change_and_never_negative() {
        let at = Timestamp::from_ms;
        assert_eq!(wrong_ms(WrongAccess::None, Some(at(0)), at(5), at(9)), 0);
        assert_eq!(wrong_ms(WrongAccess::TooMuch, Some(at(2)), at(5), at(9)), 7);
        assert_eq!(wrong_ms(WrongAccess::TooLittle, None, at(5), at(9)), 4);
        assert_eq!(wrong_ms(WrongAccess::TooMuch, Some(at(20)), at(5), at(9)), 0);
    }
}
