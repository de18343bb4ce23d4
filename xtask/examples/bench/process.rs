//! The processes that are measured: started with nothing of the caller's environment, read from the outside.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use xtask::clock::poll;
use xtask::interrupt::{self, Group};

use crate::http::Client;

/// A running server; dropped, it ends.
pub struct Server {
    group: Group,
    log: PathBuf,
    /// The port it listens on.
    pub port: u16,
}

impl Server {
    /// Starts a program and waits until this path answers something below 500.
    pub fn start(command: &mut Command, folder: &Path, name: &str, port: u16, path: &str) -> Result<Self> {
        let log = folder.join(format!("{name}-{port}.log"));
        let file = File::create(&log)?;
        let group = Group::spawn(
            command.current_dir(folder).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file),
        )?;
        let mut server = Self { group, log, port };
        let client = Client { port, key: String::new() };
        let up = poll(Duration::from_secs(120), || {
            let answers = client.get(path).is_ok_and(|(status, _)| status < 500);
            (answers || server.group.ended().is_some() || interrupt::check().is_err()).then_some(answers)
        });
        interrupt::check()?;
        if up != Some(true) {
            bail!("{name} did not start on port {port}. Its log:\n{}", server.log());
        }
        Ok(server)
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Processor time used so far, in milliseconds. Linux counts it in hundredths of a second.
    pub fn cpu_ms(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.group.id()))?;
        // The name in parentheses may hold spaces; the fields behind it do not.
        let (_, fields) = stat.rsplit_once(") ").context("an unknown /proc/PID/stat")?;
        let ticks =
            fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>()).sum::<Result<u64, _>>()?;
        Ok(ticks * 10)
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.group.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc names no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Ends it in an orderly way.
    pub fn stop(mut self) {
        self.group.stop("TERM", Duration::from_secs(30));
    }
}

/// A command with an empty environment but for the path.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
}
