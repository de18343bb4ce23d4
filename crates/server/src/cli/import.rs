//! `quittance import`: the mirror of an account that has lived without us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use quittance_domain::CustomerId;
use quittance_engine::import::{ImportOptions, ImportReport, MOST_MAPPINGS};
use quittance_engine::progress::LongRun;

use super::{Common, beside, found, out, progress};
use crate::failure::Failure;

/// An import.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance import --dry-run                 list and count, change nothing
  quittance import                           fill the mirror; interrupted, it goes on when it is run again
  quittance import --mapping customers.csv   and link customers as the file says

A mapping file has two columns and no header: the provider's id of a customer, and yours:
  cus_QwErTy,user_42

It calls at half the configured rate, so that your present integration keeps its own. Exit code 1 when something differs.
Next: `quittance serve --shadow` (docs/migrating.md).")]
pub(super) struct Options {
    /// Only list and count
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Whose the provider's customers are: lines of provider's id, comma, your id
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
}

pub(super) async fn run(options: &Options, common: &Common) -> Result<(), Failure> {
    let mapping = options.mapping.as_deref().map(read_mapping).transpose()?.unwrap_or_default();
    let engine = beside::importing_engine(common).await?;
    let wanted = ImportOptions { dry_run: options.dry_run, mapping };
    let report = progress::shown(&engine, LongRun::Import, common.json, engine.import(&wanted)).await?;
    let Some(report) = report else {
        return Err(Failure::problem(
            "import_running",
            "another process imports right now",
            "Wait for it and try again. One that was killed is forgotten after a minute, and gone on with.",
        ));
    };
    if common.json {
        let mut value = serde_json::to_value(&report).unwrap_or_default();
        if let Some(all) = value.as_object_mut() {
            all.insert("agrees".to_owned(), report.agrees().into());
        }
        out::say_json(&value);
    } else {
        out::say(&in_words(&report));
    }
    match (report.agrees(), report.dry_run) {
        (true, _) => Ok(()),
        (false, true) => Err(found("the mirror does not have all of it", "Fill it: quittance import")),
        (false, false) => Err(found(
            "some counts differ",
            "The account may have changed meanwhile: quittance reconcile names and mends what differs; quittance parked list shows what could not be synced.",
        )),
    }
}

/// Reads a mapping: two columns, no header, no quotes; lines of nothing are skipped.
fn read_mapping(path: &Path) -> Result<BTreeMap<String, CustomerId>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(
            "mapping",
            format!("{} cannot be read: {error}", path.display()),
            "Name a readable UTF-8 text file with --mapping.",
        )
    })?;
    parse_mapping(&text).map_err(|(line, what)| {
        Failure::usage(
            "mapping",
            format!("{} line {line}: {what}", path.display()),
            "Each line is the provider's id of a customer, a comma, and your id: cus_QwErTy,user_42",
        )
    })
}

fn parse_mapping(text: &str) -> Result<BTreeMap<String, CustomerId>, (usize, String)> {
    let mut mapping = BTreeMap::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() {
            continue;
        }
        if mapping.len() >= MOST_MAPPINGS {
            return Err((number, format!("more than {MOST_MAPPINGS} lines")));
        }
        let (theirs, ours) = line.split_once(',').ok_or_else(|| (number, "there is no comma".to_owned()))?;
        let (theirs, ours) = (theirs.trim(), ours.trim());
        if theirs.is_empty() || !theirs.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err((number, "the first column is no id of the provider".to_owned()));
        }
        let ours = CustomerId::parse(ours).map_err(|error| (number, error.to_string()))?;
        match mapping.insert(theirs.to_owned(), ours.clone()) {
            Some(before) if before != ours => {
                return Err((number, format!("{theirs} is given to two customers")));
            }
            Some(_) | None => {}
        }
    }
    Ok(mapping)
}

fn in_words(report: &ImportReport) -> String {
    let rows = report.coverage.iter().map(|line| {
        let same = match (line.same, line.provider == line.mirror) {
            (true, _) => "",
            (false, false) => "differs",
            (false, true) => "as many, and not the same",
        };
        let numbers = [line.provider, line.mirror].map(|n| n.to_string());
        let [provider, mirror] = numbers;
        vec![line.object.to_owned(), line.status.clone(), provider, mirror, same.to_owned()]
    });
    let mut text = out::table(&["object", "status", "provider", "mirror", ""], rows.collect());
    let customers = &report.customers;
    text.push_str(&format!(
        "\n\ncustomers: {} listed, {} linked to yours, {} of nobody",
        customers.listed, customers.linked, customers.unowned
    ));
    if customers.by_mapping + customers.mapping_conflicts + customers.mapping_unknown > 0 {
        text.push_str(&format!(
            "\nmapping: {} linked now, {} belong to another customer already, {} are not at the provider",
            customers.by_mapping, customers.mapping_conflicts, customers.mapping_unknown
        ));
    }
    match report.balance_agrees {
        Some(true) => text.push_str("\nbalance: the ledger agrees with the provider"),
        Some(false) => text.push_str("\nbalance: the ledger differs; see quittance ledger reconcile"),
        None => {}
    }
    if !report.not_covered.is_empty() {
        text.push_str("\n\nnot in the mirror:");
    }
    for missing in &report.not_covered {
        text.push_str(&format!("\n  {} {}: {}", missing.count, missing.object, missing.why));
        if !missing.mend.is_empty() {
            text.push_str(&format!("\n    {}", missing.mend));
        }
    }
    text.push_str(&format!("\n\n{} calls for lists, {} syncs", report.calls, report.syncs));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_line_by_line_and_a_wrong_line_is_named() {
        let read = parse_mapping("cus_1,user_1\r\n\n cus_2 , user_2\ncus_1,user_1\n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read["cus_2"].as_str(), "user_2");
        for (text, line) in [
            ("cus_1", 1),
            ("cus_1,a\n,b", 2),
            ("cus_1,\n", 1),
            ("cus_1,a\ncus_1,b", 2),
            ("provider customer,id", 1),
        ] {
            assert_eq!(parse_mapping(text).unwrap_err().0, line, "{text}");
        }
    }
}
