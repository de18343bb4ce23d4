//! Missing programs from the system's package manager, where we may use it; else the one line that a person runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::interrupt::run;
use crate::programs::{find, is_root};

const CLUSTER_DEFAULTS: &str = "/etc/postgresql-common/createcluster.conf";

/// Installs Debian packages, or fails with the line that would.
pub fn install(missing: &str, packages: &[&str]) -> Result<()> {
    let Some(apt) = find(&["apt-get"]) else {
        bail!(
            "{missing} is missing. Install it and put it in the PATH, then run this again. Packages on Debian: {}; on macOS: `brew install {}`",
            packages.join(" "),
            brew(packages)
        );
    };
    if !is_root()? {
        bail!(
            "{missing} is missing. Run: sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        );
    }
    eprintln!("{missing} is missing: installing {}", packages.join(" "));
    run(&mut apt_get(&apt, &["update", "-qq"]))?;
    run(apt_get(&apt, &["install", "-y", "-qq", "--no-install-recommends"]).args(packages))
}

/// Installs the PostgreSQL server without the cluster that Debian would create and start for it.
pub fn install_postgres() -> Result<()> {
    let missing = "the PostgreSQL server";
    let defaults = Path::new(CLUSTER_DEFAULTS);
    if find(&["apt-get"]).is_none() || !is_root()? || defaults.exists() {
        return install(missing, &["postgresql"]);
    }
    install(missing, &["postgresql-common"])?;
    let before =
        fs::read_to_string(defaults).with_context(|| format!("{CLUSTER_DEFAULTS} cannot be read"))?;
    fs::write(defaults, format!("{before}\ncreate_main_cluster = false\n"))?;
    let outcome = install(missing, &["postgresql"]);
    fs::write(defaults, before)?;
    outcome
}

fn apt_get(apt: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(apt);
    command.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn brew(packages: &[&str]) -> String {
    let names: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|name| *name != "npm" && !name.starts_with("fonts-"))
        .map(|name| if name == "nodejs" { "node" } else { name })
        .collect();
    names.join(" ")
}
