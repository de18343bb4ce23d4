//! The objects: what each one holds, and how it is rendered in the shape of version 2026-10-28.endive.
//!
//! Rendering is pure. Rules that change objects live in `billing`, `payments` and `checkout`.

pub(crate) mod account;
mod account_view;
pub(crate) mod accounts;
pub(crate) mod bank_account;
pub(crate) mod card;
pub(crate) mod cash;
pub(crate) mod charge;
pub(crate) mod checkout;
pub(crate) mod checkout_asks;
pub(crate) mod checkout_form;
pub(crate) mod coupon;
pub(crate) mod credit_note;
pub(crate) mod currency;
pub(crate) mod customer;
pub(crate) mod customer_balance;
pub(crate) mod decimal;
pub(crate) mod dispute;
pub(crate) mod event;
pub(crate) mod fraud;
pub(crate) mod instrument;
pub(crate) mod invoice;
pub(crate) mod invoice_item;
pub(crate) mod invoice_payment;
pub(crate) mod meter;
pub(crate) mod money;
pub(crate) mod payment;
pub(crate) mod payment_link;
pub(crate) mod payout;
pub(crate) mod pending;
pub(crate) mod percent;
pub(crate) mod portal;
pub(crate) mod portal_flow;
pub(crate) mod pricing;
pub(crate) mod product;
pub(crate) mod quote;
pub(crate) mod schedule;
pub(crate) mod share;
pub(crate) mod subscription;
pub(crate) mod tax;
pub(crate) mod tax_id;
pub(crate) mod terms;
pub(crate) mod test_cards;
pub(crate) mod test_clock;
pub(crate) mod topup;
pub(crate) mod transfer;
