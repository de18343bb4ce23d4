//! `quittance dev`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::dev::{self, API_KEY, Wish};
use crate::failure::Failure;

/// Everything on this machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance dev                      temporary, gone on Ctrl-C
  quittance dev --data ./billing     goes on from where it was
  quittance dev --catalog catalog.toml   sells your plans instead of the demo's
  quittance dev --port 0 --sandbox-port 0 --json   any free ports, for programs

Next: open the pricing page that it prints and pay with 4242 4242 4242 4242.")]
pub(super) struct Options {
    /// Where the server listens on 127.0.0.1; 0 for any free port
    #[arg(long, default_value_t = 4242)]
    port: u16,
    /// Where the sandbox provider listens on 127.0.0.1; 0 for any free port
    #[arg(long, default_value_t = 12111)]
    sandbox_port: u16,
    /// Keep the state in this folder, and go on from it [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Sell the plans of this file [default: the built-in demo catalog]
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

pub(super) async fn run(options: Options, common: &Common) -> Result<(), Failure> {
    for (flag, given) in [("--config", common.config.is_some()), ("--database", common.database.is_some())] {
        if given {
            return Err(Failure::usage(
                "usage",
                format!("`dev` brings its own configuration and database and takes no {flag}"),
                "Leave it out. --data DIR keeps the state, --catalog FILE sells your own plans; \
                 `quittance serve` runs with your configuration.",
            ));
        }
    }
    let api_key = std::env::var("QUITTANCE_API_KEY").ok().filter(|key| !key.is_empty());
    let api_key = api_key.unwrap_or_else(|| API_KEY.to_owned());
    if !api_key.starts_with("qk_") || !api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::config(
            "QUITTANCE_API_KEY is no API key: it must begin with qk_ and hold no spaces",
            format!("Unset it to use {API_KEY}, or set it to something like qk_local_1."),
        ));
    }
    let Options { port, sandbox_port, data, catalog } = options;
    let app_url = std::env::var("QUITTANCE_APP_URL").ok();
    dev::run(Wish { port, sandbox_port, data, catalog, api_key, app_url, json: common.json }).await
}
