//! A task as named stages, each with its time, and the sum at the end.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use xtask::clock::Stopwatch;
use xtask::interrupt;

/// The stages run so far.
#[derive(Default)]
pub struct Stages {
    done: Vec<(&'static str, u64)>,
}

impl Stages {
    /// Runs one stage and says how long it took; an error carries the stage's name.
    pub fn run<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        interrupt::check()?;
        eprintln!("\n=== {name}");
        let watch = Stopwatch::start();
        let outcome = work().with_context(|| name);
        let seconds = watch.elapsed().as_secs();
        eprintln!("=== {name}: {seconds} s");
        self.done.push((name, seconds));
        outcome
    }

    /// One line with all of them.
    pub fn summary(&self) -> String {
        let mut line = String::new();
        for (name, seconds) in &self.done {
            let _ = write!(line, "{name} {seconds} s · ");
        }
        let sum: u64 = self.done.iter().map(|(_, seconds)| seconds).sum();
        let _ = write!(line, "together {sum} s");
        line
    }
}
