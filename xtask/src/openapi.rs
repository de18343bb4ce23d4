//! The walk over the OpenAPI document: Schemathesis against the running product, from a Python environment of its own.
//!
//! The environment lies in the target directory and is made anew only when `tests/openapi/requirements.txt` changes.
//! `QUITTANCE_SKIP_OPENAPI=1` leaves the walk out, and says so.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::browser::{Build, build};
use crate::suite::scrub;
use xtask::interrupt::run;
use xtask::packages::install;
use xtask::programs::{find, works};
use xtask::workspace::{root, target};

const SKIP: &str = "QUITTANCE_SKIP_OPENAPI";
/// What an interpreter must have; Debian ships the last two apart.
const MODULES: &str = "import ssl, venv, ensurepip, sys; sys.exit(sys.version_info < (3, 11))";

/// Installs what is missing, builds the product and asks it everything that its document describes.
pub fn run_walk(how: Build) -> Result<()> {
    if env::var_os(SKIP).is_some_and(|value| value == "1") {
        eprintln!("SKIPPED: QUITTANCE_SKIP_OPENAPI=1, so no answer was compared with the OpenAPI document");
        return Ok(());
    }
    let folder = root().join("tests/openapi");
    let python = environment(&folder, "schemathesis", SKIP)?;
    let binary = build(how)?;
    let mut command = Command::new(python);
    command.current_dir(&folder).args(["-B", "walk.py"]);
    scrub(&mut command);
    run(command.env("QUITTANCE_BIN", binary))
}

/// The interpreter of an environment that holds exactly the packages that `folder/requirements.txt` pins, `proof` among
/// them. `skip` is the variable that leaves the stage out.
pub fn environment(folder: &Path, proof: &str, skip: &str) -> Result<PathBuf> {
    let list = folder.join("requirements.txt");
    let wanted = fs::read(&list).with_context(|| format!("{} cannot be read", list.display()))?;
    let name = folder.file_name().context("the folder has no name")?.to_string_lossy();
    let place = target()?.join(format!("{name}-python"));
    let (python, stamp) = (place.join("bin/python"), place.join("installed-requirements.txt"));
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted)
        && works(&python, &["-c", &format!("import {proof}")])
    {
        return Ok(python);
    }
    let system = python3().with_context(|| format!("{skip}=1 leaves this stage out"))?;
    run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&place))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"])
        .arg(&list))
    .with_context(|| {
        format!(
            "the packages of {} could not be had from the Python package index ({skip}=1 leaves this stage out)",
            list.display()
        )
    })?;
    fs::write(stamp, wanted)?;
    Ok(python)
}

fn python3() -> Result<PathBuf> {
    let look = || find(&["python3"]).filter(|python| works(python, &["-c", MODULES]));
    if let Some(found) = look() {
        return Ok(found);
    }
    install("Python 3.11 or newer with venv", &["python3", "python3-venv"])
        .context("tests with programs in Python need it")?;
    look().context("Python was installed, but `python3` in the PATH is older than 3.11 or has no venv")
}
