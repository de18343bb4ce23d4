//! `quittance customers`: erasing what is personal.

use clap::Subcommand;
use quittance_domain::CustomerId;
use serde_json::json;

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with a customer.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance customers erase user_42 --yes

Erased are address, name, language, notes, the texts of mails and what the provider's events said. Kept are the id, subscriptions,
payments, the books, and that something was told. What the provider keeps is erased there (Stripe: delete the customer).")]
pub(super) enum Command {
    /// Remove what is personal about a customer; the books stay. It cannot be taken back
    Erase {
        /// Your id of the customer
        #[arg(value_parser = CustomerId::parse)]
        customer: CustomerId,
        /// Without it, nothing is done
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    let Command::Erase { customer, yes } = command;
    if !yes {
        return Err(Failure::usage(
            "confirm",
            format!("erasing {customer} cannot be taken back"),
            format!("To do it: quittance customers erase {customer} --yes"),
        ));
    }
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    let (erased, at) = engine.erase_customer(customer, "command line").await?;
    if common.json {
        out::say_json(&json!({
            "customer": customer, "erased_at": at.to_string(), "mails": erased.mails, "events": erased.events,
        }));
    } else {
        out::say(&format!(
            "{customer} is erased: the texts of {} mails and {} events went with it. No money moved.\n\
             Next: delete the customer at Stripe too, where its address and cards are kept.",
            erased.mails, erased.events
        ));
    }
    Ok(())
}
