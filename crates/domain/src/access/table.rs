//! The table from a provider's status to access, as configuration, and what would be nonsense in it.

use serde::{Deserialize, Serialize};

use super::Access;
use crate::subscription::SubscriptionStatus;

/// What is wrong with a policy: which setting of its section, and what may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} cannot be {value}: {why}")]
pub struct PolicyError {
    /// The setting, within its section.
    pub key: String,
    /// What stands there.
    pub value: String,
    /// Why that cannot be.
    pub why: String,
    /// What may stand there instead.
    pub allowed: String,
}

/// The access that each status of the provider gives. A status that is not here, because the provider has invented it since,
/// keeps what was: no configuration can make an unknown value give anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusTable {
    /// In a trial.
    pub trialing: Access,
    /// Paid, or about to be renewed.
    pub active: Access,
    /// A payment failed and is being retried.
    pub past_due: Access,
    /// The first payment has not succeeded yet.
    pub incomplete: Access,
    /// The first payment never succeeded.
    pub incomplete_expired: Access,
    /// Retries are exhausted; the subscription is kept without being charged.
    pub unpaid: Access,
    /// Ended.
    pub canceled: Access,
    /// Paused, or a trial that ended without a payment method.
    pub paused: Access,
}

impl Default for StatusTable {
    fn default() -> Self {
        Self {
            trialing: Access::Granted,
            active: Access::Granted,
            past_due: Access::Grace,
            incomplete: Access::Pending,
            incomplete_expired: Access::Revoked,
            unpaid: Access::Revoked,
            canceled: Access::Revoked,
            paused: Access::Revoked,
        }
    }
}

impl StatusTable {
    /// The access of a status; `None` for one that this version does not know.
    #[must_use]
    pub const fn of(&self, status: &SubscriptionStatus) -> Option<Access> {
        match status {
            SubscriptionStatus::Trialing => Some(self.trialing),
            SubscriptionStatus::Active => Some(self.active),
            SubscriptionStatus::PastDue => Some(self.past_due),
            SubscriptionStatus::Incomplete => Some(self.incomplete),
            SubscriptionStatus::IncompleteExpired => Some(self.incomplete_expired),
            SubscriptionStatus::Unpaid => Some(self.unpaid),
            SubscriptionStatus::Canceled => Some(self.canceled),
            SubscriptionStatus::Paused => Some(self.paused),
            SubscriptionStatus::Unknown(_) => None,
        }
    }

    /// Whether each status may have what it is given.
    ///
    /// # Errors
    /// The first one that may not, with what it may have.
    pub fn check(&self) -> Result<(), PolicyError> {
        use Access::{Grace, Granted, Pending, Revoked};
        let paid = "somebody who has paid has what they paid for";
        let unpaid = "nobody has paid yet";
        let over = "it is over; what was paid for is kept by access.canceled_keeps_paid_period";
        let rows: [(&str, Access, &[Access], &str); 8] = [
            (
                "trialing",
                self.trialing,
                &[Granted, Pending, Revoked],
                "no payment failed that grace could count from",
            ),
            ("active", self.active, &[Granted], paid),
            ("past_due", self.past_due, &[Granted, Grace, Revoked], "the first payment is long made"),
            ("incomplete", self.incomplete, &[Pending, Revoked], unpaid),
            ("incomplete_expired", self.incomplete_expired, &[Revoked], "nobody has paid, and nobody will"),
            (
                "unpaid",
                self.unpaid,
                &[Grace, Revoked],
                "the provider has given up, so that access needs an end",
            ),
            ("canceled", self.canceled, &[Revoked], over),
            (
                "paused",
                self.paused,
                &[Pending, Revoked],
                "it is not charged, so that access would have no end",
            ),
        ];
        for (status, access, allowed, why) in rows {
            if !allowed.contains(&access) {
                let allowed: Vec<&str> = allowed.iter().map(|access| access.as_str()).collect();
                return Err(PolicyError {
                    key: format!("status.{status}"),
                    value: format!("\"{}\"", access.as_str()),
                    why: why.to_owned(),
                    allowed: format!("\"{}\"", allowed.join("\" or \"")),
                });
            }
        }
        Ok(())
    }
}
