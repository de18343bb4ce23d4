//! Stripe's own programs against the sandbox: the command-line program and the libraries for Node.js and Python, which know
//! nothing of us. Their versions are pinned in `tests/witnesses`.
//!
//! `QUITTANCE_SKIP_WITNESSES=1` leaves them out, and says so.

use std::env;
use std::process::Command;

use anyhow::Result;

use crate::browser::{Build, build, modules, node};
use crate::openapi::environment;
use crate::suite::scrub;
use xtask::interrupt::run;
use xtask::workspace::root;

const SKIP: &str = "QUITTANCE_SKIP_WITNESSES";

/// Gets the programs, builds the product and lets each have its say.
pub fn hear(how: Build) -> Result<()> {
    if env::var_os(SKIP).is_some_and(|value| value == "1") {
        eprintln!("SKIPPED: {SKIP}=1, so none of Stripe's own programs has met the sandbox");
        return Ok(());
    }
    let folder = root().join("tests/witnesses");
    let (node, npm) = node()?;
    modules(&npm, &folder, "stripe")?;
    let python = environment(&folder, "stripe", SKIP)?;
    let binary = build(how)?;
    let mut command = Command::new(node);
    command.current_dir(&folder).args([
        "--test",
        "--test-reporter=spec",
        "cli.mjs",
        "listen.mjs",
        "node-sdk.mjs",
        "python-sdk.mjs",
    ]);
    scrub(&mut command);
    run(command.env("QUITTANCE_BIN", binary).env("QUITTANCE_PYTHON", python))
}
