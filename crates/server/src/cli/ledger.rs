//! `quittance ledger`: the books, in tables, for other programs, and held against the provider.

mod export;

use clap::Subcommand;
use quittance_domain::ledger::Account;
use quittance_domain::{Money, Timestamp};
use quittance_engine::ledger::TieOut;
use quittance_engine::revenue::RevenueMonth;
use quittance_store::ledger::{Balance, EntryRow, Which};
use serde_json::{Value, json};

use self::export::{Format, decimal, export};
use super::beside::{self, Need};
use super::{Common, found, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance ledger trial-balance
  quittance ledger entries --customer user_42
  quittance ledger revenue --months 12   what was earned, day by day, and what is deferred
  quittance ledger export --format beancount > books.beancount
  quittance ledger tie-out               compare with the provider's balance; exit code 1 when they differ")]
pub(super) enum Command {
    /// Debits and credits of every account, per currency
    TrialBalance {
        /// Only what became so before this time, for example 2026-12-01T00:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Timestamp>,
    },
    /// The entries, the last written first
    Entries {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number (the first column)
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
        /// Only those with a posting in this account
        #[arg(long, value_parser = account)]
        account: Option<Account>,
        /// Only those of this customer
        #[arg(long)]
        customer: Option<String>,
    },
    /// Revenue by month: what was sold, what its days have earned, what is still to be earned
    Revenue {
        /// How many months, this one included
        #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=60))]
        months: i32,
    },
    /// Everything, oldest first; with --json one entry a line
    Export {
        /// For spreadsheets, or for plain-text accounting
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
    },
    /// Hold the ledger against the provider's balance, and name each difference
    TieOut {
        /// Compare every balance transaction, also where the sums agree
        #[arg(long)]
        each: bool,
        /// Have a running server or worker read everything at the provider again first
        #[arg(long)]
        mend: bool,
        /// How long to wait for it, in seconds
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(0..=3600))]
        wait: i64,
    },
}

fn time(text: &str) -> Result<Timestamp, String> {
    let at: jiff::Timestamp =
        text.parse().map_err(|_| "use RFC 3339, such as 2026-12-01T00:00:00Z".to_owned())?;
    Ok(Timestamp::from_ms(at.as_millisecond()))
}

fn account(text: &str) -> Result<Account, String> {
    let known: Vec<&str> = Account::ALL.iter().map(|account| account.as_str()).collect();
    Account::parse(text).ok_or_else(|| format!("one of {}", known.join(", ")))
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    // Whose ledger it is, the provider's key says.
    let engine = beside::engine(common, Opening::Beside, Need::Provider).await?;
    match command {
        Command::TrialBalance { until } => {
            let rows = engine.trial_balance(until.unwrap_or(Timestamp::from_ms(i64::MAX))).await?;
            trial_balance(&rows, common.json);
            Ok(())
        }
        Command::Entries { limit, before, account, customer } => {
            let which = Which {
                cursor: before.unwrap_or(i64::MAX),
                account: *account,
                customer: customer.clone(),
                ..Which::all("")
            };
            entries(&engine.ledger_entries(which, *limit).await?, common.json);
            Ok(())
        }
        Command::Revenue { months } => {
            revenue(&engine.revenue(*months).await?, common.json);
            Ok(())
        }
        Command::Export { format } => export(&engine, *format, common.json).await,
        Command::TieOut { each, mend, wait } => {
            if *mend && !engine.post_again(wait.saturating_mul(1_000)).await? {
                return Err(found(
                    "everything is marked to be read again; nobody has done so yet",
                    "A running server or worker does it: start one with `quittance serve`, or wait longer with --wait.",
                ));
            }
            tie_out(&engine.tie_out(*each).await?, common.json)
        }
    }
}

fn revenue(rows: &[RevenueMonth], json: bool) {
    if json {
        let rows = rows.iter().map(|row| {
            json!({
                "month": row.month, "currency": row.currency.code(), "sold": row.sold, "earned": row.earned,
                "deferred": row.deferred,
            })
        });
        out::say_json(&json!({ "data": rows.collect::<Vec<_>>() }));
        return;
    }
    if rows.is_empty() {
        out::say("Nothing was sold in these months.");
        return;
    }
    let cells = |row: &RevenueMonth| {
        let money = |minor| Money::new(minor, row.currency).to_string();
        vec![row.month.clone(), money(row.sold), money(row.earned), money(row.deferred)]
    };
    out::say(&out::table(&["month", "sold", "earned", "to be earned"], rows.iter().map(cells).collect()));
}

fn trial_balance(rows: &[Balance], json: bool) {
    if json {
        let row = |b: &Balance| {
            json!({ "account": b.account.as_str(), "class": b.account.class().as_str(), "currency": b.currency.code(),
                "debits": b.debits, "credits": b.credits, "balance": b.balance() })
        };
        out::say_json(&json!({ "data": rows.iter().map(row).collect::<Vec<_>>() }));
        return;
    }
    if rows.is_empty() {
        out::say("The ledger is empty. Entries come with what customers buy; see: quittance reconcile");
        return;
    }
    let cells = |b: &Balance| {
        let amount = |minor| decimal(Money::new(minor, b.currency));
        vec![
            b.currency.to_string(),
            b.account.to_string(),
            b.account.class().as_str().to_owned(),
            amount(b.debits),
            amount(b.credits),
            amount(b.balance()),
        ]
    };
    let header = ["currency", "account", "class", "debits", "credits", "balance"];
    out::say(&out::table(&header, rows.iter().map(cells).collect()));
}

fn value(row: &EntryRow) -> Value {
    let postings = row.entry.postings().iter().map(|p| {
        json!({ "account": p.account.as_str(), "amount": p.amount.minor, "currency": p.amount.currency.code() })
    });
    json!({
        "number": row.seq,
        "type": row.key.kind.as_str(),
        "object": row.key.object,
        "reverses": row.reverses,
        "detail": row.detail,
        "source": row.source,
        "payment": row.payment,
        "provider_customer": row.provider_customer,
        "at": row.at.to_string(),
        "posted_at": row.posted_at.to_string(),
        "postings": postings.collect::<Vec<_>>(),
    })
}

fn entries(rows: &[EntryRow], json: bool) {
    if json {
        let next = rows.last().map(|row| row.seq);
        out::say_json(&json!({ "entries": rows.iter().map(value).collect::<Vec<_>>(), "before": next }));
        return;
    }
    if rows.is_empty() {
        out::say("No such entries.");
        return;
    }
    let mut cells = Vec::new();
    for row in rows {
        let what = if row.reverses { format!("{} (taken back)", row.detail) } else { row.detail.clone() };
        let mut head = [row.seq.to_string(), out::time(row.at), what, row.key.object.clone()];
        for posting in row.entry.postings() {
            let mut line: Vec<String> = head.iter_mut().map(std::mem::take).collect();
            line.extend([posting.account.to_string(), posting.amount.to_string()]);
            cells.push(line);
        }
    }
    out::say(&out::table(&["no", "at", "what", "object", "account", "amount"], cells));
    if let Some(last) = rows.last() {
        out::say(&format!("\nOlder: quittance ledger entries --before {}", last.seq));
    }
}

fn tie_out(tied: &TieOut, json: bool) -> Result<(), Failure> {
    if json {
        let currencies = tied.currencies.iter().map(|t| {
            json!({ "currency": t.currency.code(), "provider": t.provider, "ledger": t.ledger, "difference": t.difference(),
                "explained": t.explained })
        });
        let lines = tied.lines.iter().map(|line| {
            json!({ "reason": line.reason.as_str(), "object": line.object, "type": line.detail, "currency": line.currency.code(),
                "provider": line.provider, "ledger": line.ledger })
        });
        out::say_json(&json!({ "agrees": tied.agrees(), "compared": tied.compared,
            "currencies": currencies.collect::<Vec<_>>(), "differences": lines.collect::<Vec<_>>() }));
    } else {
        let cells = |t: &quittance_engine::ledger::Tied| {
            let amount = |minor| decimal(Money::new(minor, t.currency));
            vec![
                t.currency.to_string(),
                amount(t.provider),
                amount(t.ledger),
                amount(t.difference()),
                t.explained.map_or_else(|| "-".to_owned(), amount),
            ]
        };
        let header = ["currency", "provider", "ledger", "difference", "explained"];
        out::say(&out::table(&header, tied.currencies.iter().map(cells).collect()));
        if !tied.lines.is_empty() {
            let cells = |line: &quittance_engine::ledger::Difference| {
                vec![
                    line.reason.as_str().to_owned(),
                    line.object.clone(),
                    line.detail.clone(),
                    Money::new(line.provider, line.currency).to_string(),
                    Money::new(line.ledger, line.currency).to_string(),
                ]
            };
            let header = ["why", "object", "type", "provider", "ledger"];
            let lines = tied.lines.iter().map(cells).collect();
            out::say(&format!("\n{}", out::table(&header, lines)));
        }
        if tied.compared > 0 {
            out::say(&format!("\n{} balance transactions were compared one by one.", tied.compared));
        }
    }
    if tied.agrees() {
        return Ok(());
    }
    Err(found(
        format!("{} differences between ledger and provider", tied.lines.len().max(1)),
        "What was just paid is posted within a minute: ask again. What stays: quittance ledger tie-out --mend",
    ))
}
