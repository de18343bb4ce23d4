//! `quittance drift`: what sweeps found to differ, and what to do about it.

use clap::Subcommand;
use quittance_domain::CustomerId;
use quittance_domain::drift::DriftKind;
use quittance_domain::ids::ApiKeyId;
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_store::drifts::{DriftRow, Sum};
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, found, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with differences.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance reconcile --dry-run              look for differences now, change nothing
  quittance drift list                       those that are open; exit code 1 when there are any
  quittance drift summary                    how many of each kind, and how long access was wrong
  quittance drift claim 7 --customer user_42 a subscription or money of nobody is this customer's
  quittance drift ignore 7")]
pub(super) enum Command {
    /// The newest first
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,
        /// Only of this kind, such as status or unowned_payment
        #[arg(long = "type", value_name = "KIND", value_parser = kind)]
        kind: Option<DriftKind>,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number (the first column)
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
    /// How many of each kind and state, and for how long access was wrong
    Summary,
    /// One with everything that is known
    Show {
        /// Its number
        id: i64,
    },
    /// Give a subscription or a payment of nobody to one of your customers
    Claim {
        /// Its number
        id: i64,
        /// Your id of the customer
        #[arg(long, value_parser = customer)]
        customer: CustomerId,
    },
    /// Never tell of it again
    Ignore {
        /// Its number
        id: i64,
    },
}

fn customer(id: &str) -> Result<CustomerId, String> {
    CustomerId::parse(id).map_err(|error| error.to_string())
}

fn kind(word: &str) -> Result<DriftKind, String> {
    DriftKind::parse(word).ok_or_else(|| {
        let words: Vec<&str> = DriftKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("one of {}", words.join(", "))
    })
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    // A claim asks the provider who its customer is.
    let need = match command {
        Command::Claim { .. } => Need::Provider,
        Command::List { .. } | Command::Summary | Command::Show { .. } | Command::Ignore { .. } => {
            Need::Database
        }
    };
    let engine = beside::engine(common, Opening::Beside, need).await?;
    match command {
        Command::List { all, kind, limit, before } => {
            let rows = engine.drift(*all, *kind, before.unwrap_or(i64::MAX), *limit).await?;
            list(&rows, common.json);
            let open = rows.iter().filter(|row| row.state == "open").count();
            if open > 0 {
                return Err(found(
                    format!("{open} open"),
                    "One: quittance drift show NO. What a sync mends is mended by a running server or worker; what has the cause parked waits for: quittance parked retry KEY.",
                ));
            }
        }
        Command::Summary => summary(&engine.drift_sums().await?, common.json),
        Command::Show { id } => show(&engine.drift_finding(*id).await?, common.json),
        Command::Claim { id, customer } => {
            let by = Caller { key: ApiKeyId::derived(&["command line"]), scopes: KeyScope::ALL.to_vec() };
            show(&engine.claim_drift(*id, customer, &by).await?, common.json);
        }
        Command::Ignore { id } => show(&engine.ignore_drift(*id, "command line").await?, common.json),
    }
    Ok(())
}

fn value(row: &DriftRow) -> Value {
    json!({
        "id": row.seq,
        "type": row.kind,
        "state": row.state,
        "object": row.object,
        "customer": row.customer,
        "ours": row.ours,
        "theirs": row.theirs,
        "cause": row.cause,
        "cause_detail": row.cause_detail,
        "wrong_access": row.wrong,
        "wrong_since": row.wrong_since.map(|at| at.to_string()),
        "wrong_seconds": row.wrong_ms.map(|ms| ms / 1_000),
        "found_at": row.found_at.to_string(),
        "last_seen_at": row.last_seen_at.to_string(),
        "ended_at": row.ended_at.map(|at| at.to_string()),
        "ended_by": row.ended_by,
    })
}

fn list(rows: &[DriftRow], json: bool) {
    if json {
        let before = rows.last().map(|row| row.seq);
        out::say_json(&json!({ "drift": rows.iter().map(value).collect::<Vec<_>>(), "before": before }));
        return;
    }
    if rows.is_empty() {
        out::say("No differences. Look for some now: quittance reconcile --dry-run");
        return;
    }
    let cells = |row: &DriftRow| {
        vec![
            row.seq.to_string(),
            out::time(row.found_at),
            row.kind.as_str().to_owned(),
            row.state.clone(),
            row.object.clone(),
            row.customer.clone().unwrap_or_default(),
            row.ours.clone().unwrap_or_default(),
            row.theirs.clone().unwrap_or_default(),
            row.cause.clone(),
            row.wrong.as_str().to_owned(),
        ]
    };
    let header =
        ["no", "found", "kind", "state", "object", "customer", "ours", "provider's", "cause", "wrong access"];
    out::say(&out::table(&header, rows.iter().map(cells).collect()));
}

fn summary(sums: &[Sum], json: bool) {
    if json {
        let sums = sums.iter().map(|sum| {
            json!({ "type": sum.kind, "state": sum.state, "count": sum.count, "wrong_account_seconds": sum.wrong_ms / 1_000 })
        });
        out::say_json(&json!({ "drift": sums.collect::<Vec<_>>() }));
        return;
    }
    if sums.is_empty() {
        out::say("No sweep has found a difference so far.");
        return;
    }
    let cells = |sum: &Sum| {
        let seconds = sum.wrong_ms / 1_000;
        vec![sum.kind.as_str().to_owned(), sum.state.clone(), sum.count.to_string(), seconds.to_string()]
    };
    let header = ["kind", "state", "count", "account-seconds of wrong access"];
    out::say(&out::table(&header, sums.iter().map(cells).collect()));
}

fn show(row: &DriftRow, json: bool) {
    if json {
        out::say_json(&value(row));
        return;
    }
    let cause = row.cause_detail.as_ref().map_or(row.cause.clone(), |more| format!("{} ({more})", row.cause));
    let wrong = match (row.wrong_since, row.wrong_ms) {
        (_, Some(ms)) => format!("{}, for {} s", row.wrong.as_str(), ms / 1_000),
        (Some(since), None) => format!("{}, since {}", row.wrong.as_str(), out::time(since)),
        (None, None) => row.wrong.as_str().to_owned(),
    };
    let facts = [
        ("kind", row.kind.as_str().to_owned()),
        ("state", row.state.clone()),
        ("object", row.object.clone()),
        ("customer", row.customer.clone().unwrap_or_default()),
        ("ours", row.ours.clone().unwrap_or_else(|| "nothing".to_owned())),
        ("provider's", row.theirs.clone().unwrap_or_else(|| "nothing".to_owned())),
        ("cause", cause),
        ("access", wrong),
        ("found", out::time(row.found_at)),
        ("last seen", out::time(row.last_seen_at)),
        ("over", out::opt_time(row.ended_at)),
        ("by", row.ended_by.clone().unwrap_or_default()),
    ];
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<12}{value}")).collect();
    out::say(&lines.join("\n"));
}
