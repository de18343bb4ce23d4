//! Failing payments: why they fail, who tries again and when, and what became of them.
//!
//! A [`Case`] is one invoice of a subscription whose payment failed. It is opened once, by what the provider itself records,
//! and followed at every sync by [`follow`]: pure, like the projection beside which it runs. Its natural key is (subscription,
//! invoice), and each try of our own has one too: (invoice, number).
//!
//! Refuses to know how a payment is tried, and where a customer lives: the offset of the customer's time zone is an argument.

mod case;
mod cause;
mod follow;
mod issue;
mod policy;
#[cfg(test)]
mod tests;

pub use case::{Case, Outcome, OwnTries, Recovery, Tried, TriedState};
pub use cause::Cause;
pub use follow::{Followed, Step, follow};
pub use issue::{IssueKind, PaymentIssue};
pub use policy::{DunningPolicy, OnExhaustion, Retries};
