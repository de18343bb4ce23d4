//! Placeholder head; the module text follows with the code.
pub mod http;
pub mod pages;
