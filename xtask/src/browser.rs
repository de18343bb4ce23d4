//! The walk in a browser: the system's Chromium, driven by playwright-core from Node's test runner.
//!
//! Playwright's own browser download is never used. `QUITTANCE_SKIP_BROWSER=1` leaves the walk out, and says so.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::suite::scrub;
use xtask::interrupt::{output, run};
use xtask::packages::install;
use xtask::programs::find;
use xtask::workspace::{cargo, root, target};

/// How the binary that the browser, or another program, meets is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// With the features that the tests were built with, so that nothing is compiled twice.
    AsTested,
    /// Alone, for `--only browser` and `--only openapi`.
    Alone,
}

/// Installs what is missing, builds the product and walks the purchase.
pub fn run_walk(how: Build) -> Result<()> {
    if env::var_os("QUITTANCE_SKIP_BROWSER").is_some_and(|value| value == "1") {
        eprintln!("SKIPPED: QUITTANCE_SKIP_BROWSER=1, so no page was seen in a browser");
        return Ok(());
    }
    let chromium = chromium()?;
    japanese_font()?;
    let (node, npm) = node()?;
    let folder = root().join("tests/browser");
    modules(&npm, &folder, "playwright-core")?;

    let binary = build(how)?;
    let mut command = Command::new(node);
    command.current_dir(&folder).args([
        "--test",
        "--test-concurrency=1",
        "--test-reporter=spec",
        "guards.mjs",
        "purchase.mjs",
        "embedded.mjs",
        "mails.mjs",
    ]);
    scrub(&mut command);
    run(command
        .env("QUITTANCE_BIN", binary)
        .env("QUITTANCE_CHROMIUM", chromium)
        .env("QUITTANCE_SCREENSHOTS", target()?.join("screenshots")))
}

/// Builds the binary and answers where it is.
pub fn build(how: Build) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--workspace", "--bin", "quittance"]);
    if how == Build::AsTested {
        command.arg("--tests");
    }
    run(&mut command)?;
    Ok(target()?.join("debug/quittance"))
}

fn chromium() -> Result<PathBuf> {
    let look = || {
        env::var_os("QUITTANCE_CHROMIUM")
            .map(PathBuf::from)
            .or_else(|| find(&["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]))
    };
    if let Some(found) = look() {
        return Ok(found);
    }
    install("Chromium", &["chromium"]).context("the browser test needs a Chromium (QUITTANCE_CHROMIUM may name one; QUITTANCE_SKIP_BROWSER=1 leaves the test out)")?;
    look().context("Chromium was installed, but is not in the PATH")
}

/// Without a font for it, every Japanese page would be a page of boxes, and no assertion would notice.
fn japanese_font() -> Result<()> {
    let Some(list) = find(&["fc-list"]) else {
        return Ok(());
    };
    if output(Command::new(list).arg(":lang=ja"))?.trim().is_empty() {
        install("a Japanese font for the screenshots", &["fonts-noto-cjk"])?;
    }
    Ok(())
}

/// Node.js and npm, got where they are missing.
pub fn node() -> Result<(PathBuf, PathBuf)> {
    let look = || find(&["node"]).zip(find(&["npm"]));
    if let Some(found) = look() {
        return Ok(found);
    }
    install("Node.js with npm", &["nodejs", "npm"])?;
    look().context("Node.js was installed, but `node` or `npm` is not in the PATH")
}

/// `npm ci`, unless the modules already are those of the lock file; `proof` is one that must then be there.
pub fn modules(npm: &Path, folder: &Path, proof: &str) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let lock = fs::read(&lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    let stamp = folder.join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run(Command::new(npm).current_dir(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    ensure!(
        folder.join("node_modules").join(proof).exists(),
        "npm ci ended well but left no {proof} in {}",
        folder.display()
    );
    fs::write(stamp, lock)?;
    Ok(())
}
