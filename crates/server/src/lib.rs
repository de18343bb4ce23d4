//! Placeholder head; the module text follows with the code.
pub mod pages;
