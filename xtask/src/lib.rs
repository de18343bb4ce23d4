//! What the project's tasks are made of: children that never outlive us, a temporary PostgreSQL, missing packages.
//!
//! Shared by the task runner (`main.rs`) and the benchmark (`examples/bench`). Knows the product only from outside.

pub mod clock;
pub mod cluster;
pub mod interrupt;
pub mod packages;
pub mod programs;
pub mod scratch;
pub mod workspace;
