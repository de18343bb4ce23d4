//! What a subscription's status does to access: the state table of engine.md section 6.
//!
//! Pure and total over the statuses. What is stored is a [`Standing`], which carries its own end, so
//! that access ends on time when nobody looks, no event arrives and no job runs.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

mod policy;
mod table;
#[cfg(test)]
pub(crate) mod tests;

pub use policy::{AccessPolicy, MoneyPolicy, MoneyState, OnLatePayment, OnMoneyBack, PlanAccess};
pub use table::{PolicyError, StatusTable};

/// What a customer may do now, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Not any more.
    Revoked,
    /// Not yet: a payment is being made.
    Pending,
    /// Yes, although a payment failed, until a fixed time.
    Grace,
    /// Yes.
    Granted,
}

impl Access {
    /// The word used in API, logs, metrics and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Pending => "pending",
            Self::Grace => "grace",
            Self::Granted => "granted",
        }
    }

    /// Whether the feature may be used.
    #[must_use]
    pub const fn allows(self) -> bool {
        match self {
            Self::Granted | Self::Grace => true,
            Self::Pending | Self::Revoked => false,
        }
    }
}

/// What is stored: the access and how long it lasts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "access")]
pub enum Standing {
    /// Waiting for a first payment.
    Pending,
    /// Paid for, until `until` unless the provider confirms a renewal before; `None` has no end.
    Granted {
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// A payment failed at `since`; access lasts until `until`, fixed.
    Grace {
        /// The provider's record of the failure.
        since: Timestamp,
        /// When access ends.
        until: Timestamp,
    },
    /// No access.
    Revoked,
}

impl Standing {
    /// The access at a moment; expiry is evaluated here and nowhere else.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Access {
        match self {
            Self::Pending => Access::Pending,
            Self::Granted { until: None } => Access::Granted,
            Self::Granted { until: Some(until) } if now < *until => Access::Granted,
            Self::Grace { until, .. } if now < *until => Access::Grace,
            Self::Granted { until: Some(_) } | Self::Grace { .. } | Self::Revoked => Access::Revoked,
        }
    }

    /// When the access it gives ends by itself.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Granted { until } => *until,
            Self::Grace { until, .. } => Some(*until),
            Self::Pending | Self::Revoked => None,
        }
    }

    /// This standing, but never more access at `now` than `before` gives: a no stays a no, and a yes needs
    /// an earlier yes and ends with whichever ends first.
    #[must_use]
    pub fn not_beyond(self, before: Option<Self>, now: Timestamp) -> Self {
        if !self.at(now).allows() {
            return self;
        }
        let before = before.unwrap_or(Self::Pending);
        let end = |standing: &Self| standing.until().map_or(i64::MAX, Timestamp::ms);
        if before.at(now).allows() && end(&self) < end(&before) { self } else { before }
    }
}
