//! Letters as customers read them, and mails against a real mail server on this machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

#[path = "it/amounts.rs"]
mod amounts;
#[path = "../../engine/tests/it/app_kit.rs"]
#[allow(dead_code, reason = "the engine's tests use the rest")]
mod app_kit;
#[path = "it/courier.rs"]
mod courier;
#[path = "../../engine/tests/it/house.rs"]
#[allow(dead_code, reason = "the engine's tests use the rest")]
mod house;
#[path = "../../engine/tests/it/known_kit.rs"]
#[allow(dead_code, reason = "the engine's tests use the rest")]
mod known_kit;
#[path = "it/letters.rs"]
mod letters;
#[path = "../../engine/tests/it/lives.rs"]
mod lives;
#[path = "it/post.rs"]
mod post;
#[path = "it/smtp.rs"]
mod smtp;
#[path = "it/taken.rs"]
mod taken;
