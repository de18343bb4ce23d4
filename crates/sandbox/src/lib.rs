//! A stateful look-alike of Stripe for development and tests: no account, no network, repeatable.
//!
//! The sandbox is a deterministic state machine: state, time, chance and a request give an answer and webhook
//! deliveries to make. HTTP and real time are a thin shell around it (`shell`), so the same code serves the
//! development server, other programs' test suites and a simulator in one process.
//!
//! It follows the public API of version 2026-10-28.endive, shows and takes the shapes of versions back to 2024-06-20 at
//! the door, and shares no code with the client of this project: the two would otherwise agree with each other while
//! both are wrong. It is meant for one machine and has no security beyond that: whoever reaches it may do everything.

#![recursion_limit = "256"]

mod api;
mod billing;
mod checkout;
mod clock;
mod clocks;
mod connect;
mod control;
mod faults;
mod gateway;
mod ledger;
mod model;
pub mod pages;
mod payments;
mod sandbox;
mod schedules;
mod settings;
mod shell;
mod site;
mod state;
mod versions;
mod webhooks;
mod wire;
mod words;

pub use control::{CheckoutOutcome, SandboxError};
pub use faults::{Fault, Lost};
pub use ledger::{
    CustomerLedger, Ledger, LedgerCharge, LedgerDispute, LedgerInvoice, LedgerRefund, LedgerSession,
    LedgerSubscription,
};
pub use payments::methods::TypedCard;
pub use sandbox::{Sandbox, SandboxConfig, WebhookTarget};
pub use settings::{Exhaustion, InvoiceExhaustion, PayoutSchedule, Settings};
pub use webhooks::policy::DeliveryPolicy;
pub use webhooks::queue::{Delivery, DeliveryOutcome};
pub use webhooks::signature::signature_header;
pub use wire::request::{HttpRequest, HttpResponse};
