//! The state of the sandbox: tables of objects, timers, chance, and the rules for numbering.

pub(crate) mod chance;
pub(crate) mod lag;
pub(crate) mod table;
pub(crate) mod timers;
pub(crate) mod world;
