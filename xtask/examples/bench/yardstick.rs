//! The yardsticks alone: what this machine can do right now, and whether it is quiet enough to measure on.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use xtask::cluster::free_port;

use crate::Arguments;
use crate::bare::VERIFYING_PATH;
use crate::disk;
use crate::load::{self, Requests};
use crate::process::{Server, clean};
use crate::product::WEBHOOK_SECRET;
use crate::report::{Figure, Report, grouped};
use crate::requests::{Checks, Webhooks};
use crate::scenario::{CHECK_PATH, CONNECTIONS, MOST_PER_SECOND, WEBHOOK_PATH};

/// The bare handler and the disk alone.
pub fn run(arguments: &Arguments) -> Result<Report> {
    let release = arguments.release.canonicalize()?;
    let folder = tempfile::Builder::new().prefix("quittance-bench-").tempdir()?;
    let bare = bare(&release, folder.path())?;
    let mut report = Report::default();
    report.note(machine());
    report.note(format!("a durable write of 4 KiB takes {} µs", disk::probe(folder.path())?.as_micros()));
    for connections in CONNECTIONS {
        let checks: Arc<dyn Requests> = Arc::new(Checks::new(CHECK_PATH, "qk_bench", 1_000)?);
        for (what, requests) in [
            ("webhooks", unkept(WEBHOOK_PATH)?),
            ("webhooks, verified and parsed,", unkept(VERIFYING_PATH)?),
            ("checks", checks),
        ] {
            let cpu = bare.cpu_ms()?;
            let load = load::run(bare.port, connections, arguments.seconds, requests)?;
            let cpu = bare.cpu_ms()?.saturating_sub(cpu) * 1_000 / load.answered.max(1);
            report.add(Figure {
                what: format!("yardstick: {what} at {connections} connections"),
                value: format!(
                    "{}/s, p50 {} µs, p99 {} µs; CPU {cpu} µs",
                    grouped(load.per_second()),
                    grouped(load.percentile(50)),
                    grouped(load.percentile(99)),
                ),
                aim: String::new(),
                met: None,
                numbers: json!({ "per_second": load.per_second(), "refused": load.refused }),
            });
        }
    }
    Ok(report)
}

/// Webhooks for a server that somebody else has started.
pub fn send(arguments: &Arguments, port: u16, connections: usize, run: u32) -> Result<Report> {
    let count = usize::try_from(arguments.seconds * MOST_PER_SECOND)?;
    let webhooks = Arc::new(Webhooks::sign(WEBHOOK_PATH, WEBHOOK_SECRET, run, count)?);
    let load = load::run(port, connections, arguments.seconds, webhooks)?;
    let mut report = Report::default();
    report.add(Figure {
        what: format!("acknowledgements at {connections} connections"),
        value: format!(
            "{}/s, p50 {} µs, p99 {} µs, {} refused",
            grouped(load.per_second()),
            grouped(load.percentile(50)),
            grouped(load.percentile(99)),
            load.refused,
        ),
        aim: String::new(),
        met: None,
        numbers: json!({ "per_second": load.per_second(), "refused": load.refused }),
    });
    Ok(report)
}

/// Webhooks for a receiver that keeps nothing.
pub fn unkept(path: &str) -> Result<Arc<dyn Requests>> {
    Ok(Arc::new(Webhooks::sign(path, WEBHOOK_SECRET, 0, 10_000)?.repeated()))
}

/// The bare handler as a process of its own.
pub fn bare(release: &Path, folder: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut command = clean(&release.join("examples/bench"));
    command.args(["bare-server", "--port", &port.to_string()]);
    Server::start(&mut command, folder, "bare", port, "/readyz")
}

/// What the figures are taken on.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or_else(String::new, |line| line.trim_start_matches([' ', '\t', ':']).to_owned());
    format!("{cores} cores ({model}); server, database and load generator share them")
}
