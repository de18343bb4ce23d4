//! The sandbox's web pages: what a buyer or a developer sees of the emulated provider.
//!
//! Every page is a pure function from a view (plain data, in [`views`]) to HTML. This module knows no state, no
//! routes and no clock: the caller fills a view, passes the paths its forms post to, and reads the posted fields,
//! which are listed at each function. Nothing here is shared with the server's pages: the wall between emulator
//! and product is deliberate, and the short stylesheet is simply written twice.
//!
//! The style sheet and the script have their own URLs ([`STYLE_PATH`], [`SCRIPT_PATH`]); [`csp`] composes the
//! content security policy under which all pages work. Every page works without the script.

mod assets;
mod card;
mod checkout;
mod control;
mod details;
mod format;
mod index;
mod invoice;
mod layout;
mod onboarding;
mod outcome;
mod pending;
mod portal;
mod portal_step;
mod text;
mod three_d_secure;
mod time;
pub mod views;
mod words;

#[cfg(test)]
mod tests;

pub use assets::{LIBRARY, LIBRARY_PATH, SCRIPT, SCRIPT_PATH, STYLE, STYLE_PATH, csp, origin_of};
pub use card::{CardFields, CardProblem, TEST_CARDS, TestCard, TestCardOutcome, parse_card_fields};
pub use checkout::{checkout_page, leave_page};
pub use control::control_page;
pub use format::{format_money, format_timestamp};
pub use index::index_page;
pub use invoice::invoice_page;
pub use onboarding::{ExpressView, OnboardingView, express_page, onboarding_page};
pub use outcome::{OutcomeView, SessionOutcome, outcome_page, portal_closed_page, problem_page};
pub use pending::pending_page;
pub use portal::{portal_cancel_page, portal_page};
pub use portal_step::portal_step_page;
pub use three_d_secure::three_d_secure_page;
pub use views::*;
