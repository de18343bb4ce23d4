//! The rules of money and access.
//!
//! Pure: nothing here reads a clock, draws a random number, awaits, or touches a file, a network or
//! a database. `now`, ids and policy are arguments, so every rule can be tested from a table and run
//! unchanged by the server, the simulator and the model checker.
//!
//! Refuses to know: any provider's wire format, SQL, HTTP.

pub mod access;
pub mod aggregate;
pub mod alert;
pub mod app_event;
pub mod catalog;
pub mod change;
pub mod checkout;
pub mod command;
pub mod delivery;
pub mod digest;
pub mod dispute;
pub mod drift;
pub mod dunning;
pub mod entitlement;
pub mod fraud;
pub mod ids;
pub mod lease;
pub mod ledger;
pub mod money;
pub mod mutant;
pub mod notices;
pub mod offer;
pub mod past;
pub mod pricing;
pub mod projection;
pub mod refund;
pub mod replica;
pub mod shop;
pub mod signing;
pub mod subscription;
pub mod terms;
pub mod time;
pub mod trial;

pub use access::{Access, AccessPolicy, Standing};
pub use aggregate::{AggregateKey, AggregateObject, Mode, Provider, Scope};
pub use catalog::Catalog;
pub use ids::{
    AppEventId, CheckoutId, CommandId, CustomerId, FeatureKey, GrantId, PlanKey, QuoteId, WebhookEndpointId,
};
pub use money::{Currency, Money};
pub use subscription::{Subscription, SubscriptionStatus};
pub use time::Timestamp;
