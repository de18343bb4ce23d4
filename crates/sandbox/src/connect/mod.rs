//! The platform and its connected accounts: whose books are open, and how money moves between them.
//!
//! Every account has a whole [`World`](crate::state::world::World) of its own; `books` opens the one that a request or
//! a timer is about, and everything else in the sandbox works on the open books without knowing whose they are. Only
//! what moves between accounts lives here.

pub(crate) mod accounts;
pub(crate) mod books;
mod cards;
pub(crate) mod fees;
pub(crate) mod onboarding;
pub(crate) mod sharing;
pub(crate) mod terms;
pub(crate) mod transfers;
