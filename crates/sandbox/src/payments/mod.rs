//! Money in and back: payment methods, attempts to charge, authentication, refunds, disputes and the balance.

pub(crate) mod attempt;
pub(crate) mod balance;
pub(crate) mod capture;
pub(crate) mod cash;
pub(crate) mod delayed;
pub(crate) mod disputes;
pub(crate) mod fraud;
pub(crate) mod methods;
pub(crate) mod payouts;
pub(crate) mod refunds;
pub(crate) mod setup;
pub(crate) mod sources;
pub(crate) mod topups;
