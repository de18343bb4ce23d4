//! The trace of a run: what happened, in order, with the simulated time. Two runs of one seed give the same bytes.

use std::fmt::Write as _;

/// Everything that happened so far, a line each.
#[derive(Debug, Default)]
pub struct Trace {
    text: String,
    lines: u64,
}

impl Trace {
    /// Adds a line.
    pub fn line(&mut self, now_ms: i64, who: &str, what: std::fmt::Arguments<'_>) {
        self.lines += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{} {who:<9} {what}", moment(now_ms));
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes the text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// How many lines there are.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }
}

/// A moment as people read it, UTC with milliseconds.
#[must_use]
pub fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string())
}
