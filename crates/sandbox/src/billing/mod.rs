//! Subscriptions through time: periods, prorations, invoices, collection, retries and the end.

pub(crate) mod amounts;
mod backdate;
pub(crate) mod balance;
pub(crate) mod calendar;
pub(crate) mod cancel;
pub(crate) mod change;
pub(crate) mod collect;
pub(crate) mod credit;
pub(crate) mod credit_notes;
pub(crate) mod customer_discount;
pub(crate) mod cycle;
pub(crate) mod discounts;
pub(crate) mod invoicing;
pub(crate) mod lines;
pub(crate) mod metering;
pub(crate) mod pause;
pub(crate) mod pending;
pub(crate) mod preview;
pub(crate) mod pricing;
mod quotes;
pub(crate) mod settling;
mod stream;
pub(crate) mod subscribe;
pub(crate) mod taxes;
pub(crate) mod timeline;
mod upcoming;
pub(crate) mod usage;
