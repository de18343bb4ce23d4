//! The figures, beside what they are measured against, as Markdown for people and as JSON for programs.

use serde_json::{Value, json};

/// One figure.
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// The figure with its unit.
    pub value: String,
    /// The aim in words.
    pub aim: String,
    /// Whether it was met; none where there is no aim.
    pub met: Option<bool>,
    /// The plain numbers, for programs.
    pub numbers: Value,
}

/// All figures and what they were taken on.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a figure and shows it at once.
    pub fn add(&mut self, figure: Figure) {
        eprintln!("{}: {} ({})", figure.what, figure.value, verdict(&figure));
        self.figures.push(figure);
    }

    /// Adds a sentence about the run.
    pub fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            text += &format!("- {note}\n");
        }
        text += "\n| what | measured | aim | met |\n| --- | --- | --- | --- |\n";
        for figure in &self.figures {
            text +=
                &format!("| {} | {} | {} | {} |\n", figure.what, figure.value, figure.aim, verdict(figure));
        }
        text
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "what": figure.what, "value": figure.value, "aim": figure.aim, "met": figure.met,
                    "numbers": figure.numbers,
                })
            })
            .collect();
        json!({ "notes": self.notes, "figures": figures })
    }
}

fn verdict(figure: &Figure) -> &'static str {
    match figure.met {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    }
}

/// `part / whole` with two decimals, without floats.
pub fn ratio(part: u64, whole: u64) -> String {
    let hundredths = part.saturating_mul(100) / whole.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A number with a space between each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
