//! Letters as customers read them, and mails against a real mail server on this machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

#[path = "it/courier.rs"]
mod courier;
#[path = "../../engine/tests/it/house.rs"]
#[allow(dead_code, reason = "the engine's tests use the rest")]
mod house;
#[path = "it/letters.rs"]
mod letters;
#[path = "it/post.rs"]
mod post;
#[path = "it/smtp.rs"]
mod smtp;
