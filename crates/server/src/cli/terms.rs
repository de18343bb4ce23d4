//! `quittance terms`: what was negotiated with single customers.

use std::path::PathBuf;

use clap::Subcommand;
use quittance_domain::CustomerId;
use quittance_domain::terms::CustomerTerms;
use serde_json::json;

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::http::terms_from_json;
use crate::serve::Opening;

/// What to do with a customer's own terms.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show a customer's terms
    Show {
        /// Your id of the customer
        customer: String,
    },
    /// Write a customer's terms over those that were there, from a file of the form of PUT /v1/customers/{id}/terms
    Set {
        /// Your id of the customer
        customer: String,
        /// The JSON file
        file: PathBuf,
    },
    /// Take a customer's terms away; what was bought under them keeps its price
    Remove {
        /// Your id of the customer
        customer: String,
    },
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Catalog).await?;
    match command {
        Command::Show { customer } => {
            let row = engine.terms_of(&id(customer)?).await?;
            say(common, customer, Some(&row.terms));
        }
        Command::Set { customer, file } => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::usage(
                    "file",
                    format!("{} cannot be read: {error}", file.display()),
                    "Name a JSON file.",
                )
            })?;
            let row = engine.put_terms(&id(customer)?, terms_from_json(&text)?, "command line").await?;
            say(common, customer, Some(&row.terms));
        }
        Command::Remove { customer } => {
            engine.drop_terms(&id(customer)?, "command line").await?;
            say(common, customer, None);
        }
    }
    Ok(())
}

fn id(text: &str) -> Result<CustomerId, Failure> {
    CustomerId::parse(text)
        .map_err(|error| Failure::usage("customer", error.to_string(), "Give your own id of the customer."))
}

fn say(common: &Common, customer: &str, terms: Option<&CustomerTerms>) {
    if common.json {
        out::say_json(&json!({ "customer": customer, "terms": terms }));
        return;
    }
    let Some(terms) = terms else {
        out::say(&format!("{customer} has no terms of its own."));
        return;
    };
    for own in &terms.prices {
        out::say(&format!("{} per {}: {}", own.plan, own.interval.as_str(), own.amount));
    }
    if let Some(reduction) = &terms.reduction {
        out::say(&format!("{} off, {}", reduction.off, reduction.lasts));
    }
    for (feature, limit) in &terms.features {
        out::say(&format!(
            "{feature}: {}",
            limit.map_or_else(|| "without limit".to_owned(), |most| most.to_string())
        ));
    }
    let (from, until) = (out::opt_time(terms.window.from), out::opt_time(terms.window.until));
    out::say(&format!("from {from} until {until}; {}", terms.note));
}
