//! How the story is told: a paragraph for people, a JSON line for programs, and a table at the end.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::stage::Counts;
use crate::cli::out;

/// One thing that must be so.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    /// What must be so.
    pub(super) what: String,
    /// Whether it is.
    pub(super) holds: bool,
}

/// One step as it was played.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Step {
    /// What the customer or the provider did.
    pub(super) title: String,
    /// The day of the story.
    pub(super) day: i64,
    /// What Quittance did, in words.
    pub(super) did: Vec<String>,
    /// Access now, in words.
    pub(super) access: String,
    /// What was counted.
    pub(super) counts: Counts,
    /// What was checked.
    pub(super) checks: Vec<Check>,
}

/// Tells a story step by step.
pub(super) struct Teller {
    json: bool,
    slow: bool,
    told: usize,
    pub(super) failed: Vec<String>,
}

impl Teller {
    pub(super) fn new(json: bool, slow: bool) -> Self {
        Self { json, slow, told: 0, failed: Vec::new() }
    }

    pub(super) fn open(&self, seed: u64) {
        if !self.json {
            out::say(&format!(
                "\n  Quittance plays two months in a moment: no network, no money, virtual time (seed {seed}).\n  \
                 Every webhook comes three times, in random order, and some copies come late.\n"
            ));
        }
    }

    pub(super) async fn tell(&mut self, step: Step) {
        self.told += 1;
        self.failed.extend(step.checks.iter().filter(|check| !check.holds).map(|check| check.what.clone()));
        if self.json {
            out::say_json(&json!({ "step": self.told, "told": step }));
            return;
        }
        out::say(&self.paragraph(&step));
        if self.slow {
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
    }

    fn paragraph(&self, step: &Step) -> String {
        let counts = &step.counts;
        let mut lines = vec![format!("  {}. {}   (day {})", self.told, step.title, step.day)];
        let mut row = |name: &str, text: &str| lines.push(format!("     {name:<9} {text}"));
        if counts.deliveries > 0 {
            let (events, times) =
                (many(counts.events, "event", "events"), many(counts.deliveries, "time", "times"));
            row("came in", &format!("{events}, delivered {times}"));
        } else {
            row("came in", "nothing");
        }
        row(
            "did",
            &format!(
                "{}, {}, {}",
                many(counts.syncs, "sync", "syncs"),
                many(counts.calls, "provider call", "provider calls"),
                many(counts.access_changes, "change of access", "changes of access")
            ),
        );
        for line in &step.did {
            row("", line);
        }
        row("access", &step.access);
        for check in &step.checks {
            row(if check.holds { "    ok" } else { "FAILED" }, &check.what);
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The end of the story.
    pub(super) fn close(&self, total: &Counts, double_charges: usize) {
        if self.json {
            out::say_json(&json!({
                "summary": total, "double_charges": double_charges, "failed": self.failed, "passed": self.failed.is_empty(),
            }));
            return;
        }
        let rows = [
            ("events", total.events.to_string(), "each acted on once"),
            ("deliveries", total.deliveries.to_string(), "how often they knocked"),
            ("duplicates", total.duplicates.to_string(), "answered, counted, otherwise without effect"),
            ("refused", total.refused.to_string(), "must be 0: nothing true was turned away"),
            ("syncs", total.syncs.to_string(), "looks at the provider"),
            ("provider calls", total.calls.to_string(), ""),
            ("double charges", double_charges.to_string(), "must be 0: the second payment went back"),
            (
                "wrong access",
                format!("{} of {}", total.wrong, total.compared),
                "must be 0: compared with the provider's own state",
            ),
        ];
        let cells = rows.into_iter().map(|(name, value, note)| vec![name.to_owned(), value, note.to_owned()]);
        let table = out::table(&["in all", "count", ""], cells.collect());
        let indented: Vec<String> = table.lines().map(|line| format!("  {line}")).collect();
        out::say(&indented.join("\n"));
        if self.failed.is_empty() {
            out::say("\n  Everything held. Next: `quittance dev`, and live it yourself in a browser.");
        }
    }
}

fn many(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
