//! Buying and managing on hosted pages: checkout sessions and the customer portal, as functions of the state.

pub(crate) mod buy;
pub(crate) mod links;
pub(crate) mod portal;
pub(crate) mod pricing;
pub(crate) mod receipt;
pub(crate) mod sessions;
