//! Writing to the terminal: a reader that went away is no error, and text stays readable without colours.

use std::io::Write;

use comfy_table::{Table, presets};
use quittance_domain::Timestamp;
use serde_json::Value;

use crate::failure::Failure;

/// Writes a line to the output.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // `quittance events list | head` closes the pipe early.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a value for programs, on one line.
pub fn say_json(value: &Value) {
    say(&value.to_string());
}

/// Writes why the command stopped to the error stream.
pub fn fail(failure: &Failure, json: bool) {
    let text = if json { format!("{}\n", failure.as_json()) } else { failure.for_people() };
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A table without lines, as `ls` and `ps` print.
#[must_use]
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// A time without the fraction that nobody reads.
#[must_use]
pub fn time(at: Timestamp) -> String {
    Timestamp::from_seconds(at.seconds()).to_string()
}

/// A time that may be absent.
#[must_use]
pub fn opt_time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), time)
}
