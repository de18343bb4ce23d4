//! The ledger for other programs: CSV, Beancount, and a line of JSON for each entry.

use std::fmt::Write as _;

use clap::ValueEnum;
use quittance_domain::Money;
use quittance_domain::ledger::{Account, Class};
use quittance_engine::Engine;
use quittance_store::ledger::EntryRow;

use super::value;
use crate::cli::out;
use crate::failure::Failure;

/// Entries that are read at a time.
const PAGE: i64 = 500;

/// What an export is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// One line for each posting.
    Csv,
    /// Beancount 2 and 3.
    Beancount,
}

/// An amount as programs read it: the currency's decimals, no grouping.
pub(super) fn decimal(money: Money) -> String {
    let places = usize::try_from(money.currency.exponent()).unwrap_or(0);
    let sign = if money.minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", money.minor.unsigned_abs(), width = places + 1);
    match digits.split_at_checked(digits.len().saturating_sub(places)) {
        Some((whole, part)) if places > 0 => format!("{sign}{whole}.{part}"),
        Some(_) | None => format!("{sign}{digits}"),
    }
}

pub(super) async fn export(engine: &Engine, format: Format, json: bool) -> Result<(), Failure> {
    if !json {
        out::say(head_of(format).trim_end());
    }
    let mut seq = 0;
    loop {
        let rows = engine.ledger_after(seq, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        seq = last.seq;
        for row in &rows {
            let text = match (json, format) {
                (true, _) => value(row).to_string(),
                (false, Format::Csv) => csv(row),
                (false, Format::Beancount) => beancount(row),
            };
            if !text.is_empty() {
                out::say(text.trim_end());
            }
        }
    }
}

fn head_of(format: Format) -> String {
    match format {
        Format::Csv => {
            "number,at,posted_at,type,object,detail,reverses,source,payment,provider_customer,account,amount,currency,minor_units"
                .to_owned()
        }
        Format::Beancount => {
            let mut text = "option \"title\" \"Quittance\"\n".to_owned();
            for account in Account::ALL {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "1970-01-01 open {}", beancount_name(*account));
            }
            text
        }
    }
}

/// A field of a CSV line (RFC 4180). What a spreadsheet would take for a formula is made text.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// One line for each posting.
fn csv(row: &EntryRow) -> String {
    let text: [&str; 10] = [
        &row.seq.to_string(),
        &row.at.to_string(),
        &row.posted_at.to_string(),
        row.key.kind.as_str(),
        &row.key.object,
        &row.detail,
        if row.reverses { "true" } else { "false" },
        row.source.as_deref().unwrap_or_default(),
        row.payment.as_deref().unwrap_or_default(),
        row.provider_customer.as_deref().unwrap_or_default(),
    ];
    let head = text.map(field).join(",");
    let mut lines = String::new();
    for posting in row.entry.postings() {
        let (account, amount) = (posting.account, posting.amount);
        let _ = writeln!(lines, "{head},{account},{},{},{}", decimal(amount), amount.currency, amount.minor);
    }
    lines
}

/// `Assets:ProviderBalance`.
fn beancount_name(account: Account) -> String {
    let class = match account.class() {
        Class::Asset => "Assets",
        Class::Liability => "Liabilities",
        Class::Income => "Income",
        Class::Expense => "Expenses",
        Class::Equity => "Equity",
    };
    let mut name = format!("{class}:");
    for word in account.as_str().split('_') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// A transaction; none where nothing moved.
fn beancount(row: &EntryRow) -> String {
    if row.entry.is_empty() {
        return String::new();
    }
    let quoted = |text: &str| text.replace(['"', '\\', '\n', '\r'], " ");
    let day: String = row.at.to_string().chars().take(10).collect();
    let detail = if row.reverses { format!("{} taken back", row.detail) } else { row.detail.clone() };
    let mut text = format!("\n{day} * \"{}\"\n", quoted(&detail));
    let _ = writeln!(text, "  number: \"{}\"", row.seq);
    let facts = [
        (row.key.kind.as_str(), Some(&row.key.object)),
        ("source", row.source.as_ref()),
        ("payment", row.payment.as_ref()),
        ("provider_customer", row.provider_customer.as_ref()),
    ];
    for (name, id) in facts {
        if let Some(id) = id {
            let _ = writeln!(text, "  {name}: \"{}\"", quoted(id));
        }
    }
    for posting in row.entry.postings() {
        let (name, amount) = (beancount_name(posting.account), posting.amount);
        let _ = writeln!(text, "  {name}  {} {}", decimal(amount), amount.currency);
    }
    text
}

#[cfg(test)]
mod tests {
    use quittance_domain::ledger::{Entry, Key, Kind, Posting};
    use quittance_domain::{Currency, Timestamp};

    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).unwrap())
    }

    fn row(detail: &str) -> EntryRow {
        let line = |account, minor| Posting { account, amount: money(minor, "usd") };
        EntryRow {
            seq: 7,
            key: Key { scope: String::new(), kind: Kind::BalanceTransaction, object: "txn_1".into() },
            reverses: false,
            at: Timestamp::from_seconds(1_769_860_800),
            posted_at: Timestamp::from_seconds(1_769_860_900),
            detail: detail.into(),
            source: Some("ch_1".into()),
            payment: None,
            provider_customer: Some("cus_1".into()),
            entry: Entry::new([
                line(Account::ProviderBalance, 964),
                line(Account::Fees, 36),
                line(Account::Receivable, -1_000),
            ])
            .unwrap(),
        }
    }

    #[test]
    fn amounts_have_their_currencys_decimals() {
        for (minor, code, text) in [
            (5, "usd", "0.05"),
            (-1_250, "usd", "-12.50"),
            (1_980, "jpy", "1980"),
            (-7, "jpy", "-7"),
            (1, "kwd", "0.001"),
            (0, "usd", "0.00"),
            (i64::MIN, "usd", "-92233720368547758.08"),
        ] {
            assert_eq!(decimal(money(minor, code)), text);
        }
    }

    #[test]
    fn an_export_is_what_other_programs_read() {
        let head =
            "7,2026-01-31T12:00:00Z,2026-01-31T12:01:40Z,balance_transaction,txn_1,charge,false,ch_1,,cus_1";
        let wanted = format!(
            "{head},provider_balance,9.64,USD,964\n{head},receivable,-10.00,USD,-1000\n{head},fees,0.36,USD,36\n"
        );
        assert_eq!(csv(&row("charge")), wanted);
        assert!(
            csv(&row("=1+1, \"x\"")).contains(",\"'=1+1, \"\"x\"\"\","),
            "neither a formula nor two fields"
        );
        assert_eq!(
            beancount(&row("char\"ge")),
            "\n2026-01-31 * \"char ge\"\n  number: \"7\"\n  balance_transaction: \"txn_1\"\n  source: \"ch_1\"\n  \
             provider_customer: \"cus_1\"\n  Assets:ProviderBalance  9.64 USD\n  Assets:Receivable  -10.00 USD\n  \
             Expenses:Fees  0.36 USD\n"
        );
        assert_eq!(beancount(&EntryRow { entry: Entry::default(), ..row("charge") }), "");
        let head = head_of(Format::Beancount);
        for account in Account::ALL {
            assert!(head.contains(&format!("open {}\n", beancount_name(*account))));
        }
        assert_eq!(
            head_of(Format::Csv).split(',').count(),
            csv(&row("charge")).lines().next().unwrap().split(',').count()
        );
    }
}
