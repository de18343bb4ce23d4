//! `quittance dunning`: failing payments, and what became of them.

use clap::Subcommand;
use quittance_domain::Money;
use quittance_domain::dunning::Outcome;
use quittance_engine::dunning::{Line, MonthOfCases, Tally, WhichCases};
use quittance_store::dunning::CaseRow;
use serde_json::json;

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::http::{CaseView, ChurnView};
use crate::serve::Opening;

/// What to show of failing payments.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance dunning report               at risk, recovered and lost, by month and cause
  quittance dunning report --months 12 --json
  quittance dunning list --outcome open")]
pub(super) enum Command {
    /// At risk, recovered and lost, in money and number, by month and cause
    Report {
        /// How many months, this one included
        #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=60))]
        months: i32,
    },
    /// The cases, newest first
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number (the first column)
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
        /// Only those that are open, recovered, forgiven, lost or cancelled
        #[arg(long, value_parser = outcome)]
        outcome: Option<Outcome>,
        /// Only those of this customer
        #[arg(long)]
        customer: Option<String>,
    },
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let known: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    Outcome::parse(text).ok_or_else(|| format!("one of {}", known.join(", ")))
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    // Whose cases they are, the provider's key says.
    let engine = beside::engine(common, Opening::Beside, Need::Provider).await?;
    match command {
        Command::Report { months } => report(&engine.dunning_report(*months).await?, common.json),
        Command::List { limit, before, outcome, customer } => {
            let which = WhichCases {
                cursor: before.unwrap_or(i64::MAX),
                outcome: *outcome,
                customer: customer.clone(),
            };
            list(engine.dunning_cases(which, *limit).await?, common.json);
        }
    }
    Ok(())
}

fn report(months: &[MonthOfCases], json: bool) {
    if json {
        out::say_json(&json!({ "data": ChurnView::all(months) }));
        return;
    }
    let shown = |line: &Line, tally: Tally| match tally.count {
        0 => "-".to_owned(),
        count => format!("{} ({count})", Money::new(tally.amount, line.currency)),
    };
    let mut cells = Vec::new();
    for month in months {
        for line in month.lines() {
            let mut row =
                vec![month.month.clone(), line.cause.as_str().to_owned(), shown(&line, line.at_risk())];
            row.extend(Outcome::ALL.map(|outcome| shown(&line, line.of(outcome))));
            cells.push(row);
        }
    }
    if cells.is_empty() {
        out::say("No payment of a running subscription has failed in these months.");
        return;
    }
    let header = ["month", "cause", "at risk", "open", "recovered", "forgiven", "lost", "cancelled"];
    out::say(&out::table(&header, cells));
    out::say("\nIn brackets how many. The cases: quittance dunning list");
}

fn list(rows: Vec<CaseRow>, json: bool) {
    let next = rows.last().map(|row| row.seq);
    if json {
        let rows: Vec<CaseView> = rows.into_iter().map(CaseView::from).collect();
        out::say_json(&json!({ "cases": rows, "before": next }));
        return;
    }
    if rows.is_empty() {
        out::say("No such cases.");
        return;
    }
    let cells = |row: &CaseRow| {
        let case = &row.case;
        vec![
            row.seq.to_string(),
            out::time(case.at_risk_since),
            row.customer.clone().unwrap_or_else(|| "-".to_owned()),
            case.invoice.clone(),
            case.amount.to_string(),
            case.decline_code.clone().unwrap_or_else(|| case.cause.as_str().to_owned()),
            case.recovery.map_or(case.outcome.as_str().to_owned(), |by| {
                format!("{} ({})", case.outcome.as_str(), by.as_str())
            }),
        ]
    };
    let header = ["no", "at risk since", "customer", "invoice", "amount", "why", "outcome"];
    out::say(&out::table(&header, rows.iter().map(cells).collect()));
    if let Some(last) = next {
        out::say(&format!("\nOlder: quittance dunning list --before {last}"));
    }
}
