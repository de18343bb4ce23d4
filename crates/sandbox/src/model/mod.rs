//! The objects: what each one holds, and how it is rendered in the shape of version 2026-10-28.endive.
//!
//! Rendering is pure. Rules that change objects live in `billing`, `payments` and `checkout`.

pub(crate) mod accounts;
pub(crate) mod card;
pub(crate) mod cash;
pub(crate) mod charge;
pub(crate) mod checkout;
pub(crate) mod checkout_form;
pub(crate) mod customer;
pub(crate) mod dispute;
pub(crate) mod event;
pub(crate) mod fraud;
pub(crate) mod instrument;
pub(crate) mod invoice;
pub(crate) mod money;
pub(crate) mod payment;
pub(crate) mod payout;
pub(crate) mod portal;
pub(crate) mod portal_flow;
pub(crate) mod product;
pub(crate) mod subscription;
pub(crate) mod test_cards;
