//! The `quittance` binary's parts: command line, configuration, HTTP, pages, and the development environment.
//!
//! Only here is it known where time, chance, sockets, files and the environment come from; everything below takes them
//! as arguments.

pub mod catalog_seed;
pub mod cli;
pub mod config;
pub mod connections;
pub mod demo;
pub mod dev;
pub mod doctor;
pub mod failure;
pub mod http;
pub mod in_process;
pub mod outbound;
pub mod page_links;
pub mod pages;
pub mod serve;
pub mod telemetry;
