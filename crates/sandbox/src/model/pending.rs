//! A change of a subscription that waits for its payment.

use serde::{Deserialize, Serialize};

use super::subscription::{Period, SubscriptionItem, SubscriptionStatus};
use super::terms::SubscriptionTerms;

/// What the subscription becomes once the invoice is paid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PendingUpdate {
    pub(crate) items: Vec<SubscriptionItem>,
    pub(crate) terms: SubscriptionTerms,
    pub(crate) period: Period,
    pub(crate) anchor: i64,
    pub(crate) trial: Option<Period>,
    pub(crate) status: SubscriptionStatus,
    pub(crate) invoice: String,
    /// Unpaid until then, it is forgotten and its invoice voided, in unix seconds.
    pub(crate) expires_at: i64,
}
