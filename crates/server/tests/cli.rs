//! The real binary, as users and operators meet it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests stop at the first surprise, and wait in real time for another process"
)]

#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/card_data.rs"]
mod card_data;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/crash.rs"]
mod crash;
#[path = "cli/cutover.rs"]
mod cutover;
#[path = "cli/dev.rs"]
mod dev;
#[path = "cli/disk.rs"]
mod disk;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/dunning.rs"]
mod dunning;
#[path = "cli/erase.rs"]
mod erase;
#[path = "cli/house.rs"]
mod house;
#[path = "cli/ledger.rs"]
mod ledger;
#[path = "cli/mail.rs"]
mod mail;
#[path = "cli/money.rs"]
mod money;
#[path = "cli/notices.rs"]
mod notices;
#[path = "cli/refund.rs"]
mod refund;
#[path = "cli/sandbox_data.rs"]
mod sandbox_data;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/webhooks.rs"]
mod webhooks;
