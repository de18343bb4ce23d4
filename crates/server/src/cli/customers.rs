//! `quittance customers`: shutting customers out and letting them in again, and erasing what is personal.

use clap::Subcommand;
use quittance_domain::CustomerId;
use quittance_domain::fraud::Level;
use quittance_domain::ids::ApiKeyId;
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::erasure::DeletedThere;
use quittance_store::fraud::SuspensionRow;
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with customers.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance customers suspended                                 who is shut out
  quittance customers suspend user_42 --reason \"card testing\"   of everything: nothing is charged any more
  quittance customers suspend user_42 --checkouts --reason \"many cards\"
  quittance customers unsuspend user_42                         what was paused goes on
  quittance customers erase user_42 --yes
  quittance customers erase user_42 --yes --at-provider          and has Stripe delete its customer

Erased are address, name, language, notes, the texts of mails and what the provider's events said. Kept are the id, subscriptions,
payments, the books, and that something was told. What the provider keeps goes with --at-provider, once its subscriptions have
ended. Done again, what is gone is left alone. No money moves.")]
pub(super) enum Command {
    /// Those who are shut out, by name
    Suspended {
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those after this one
        #[arg(long, value_name = "ID", default_value = "")]
        after: String,
    },
    /// Shut a customer out: open checkouts are closed, nothing is charged, what is still paid goes back
    Suspend {
        /// Your id of the customer
        #[arg(value_parser = customer)]
        id: CustomerId,
        /// Why
        #[arg(long)]
        reason: String,
        /// Only of new checkouts
        #[arg(long)]
        checkouts: bool,
    },
    /// Let a customer in again
    Unsuspend {
        /// Your id of the customer
        #[arg(value_parser = customer)]
        id: CustomerId,
    },
    /// Remove what is personal about a customer; the books stay. It cannot be taken back
    Erase {
        /// Your id of the customer
        #[arg(value_parser = customer)]
        customer: CustomerId,
        /// Without it, nothing is done
        #[arg(long)]
        yes: bool,
        /// Have the provider delete its customer too, with address and cards
        #[arg(long)]
        at_provider: bool,
    },
}

pub(super) const fn level(only_checkouts: bool) -> Level {
    if only_checkouts { Level::Checkouts } else { Level::All }
}

fn customer(id: &str) -> Result<CustomerId, String> {
    CustomerId::parse(id).map_err(|error| error.to_string())
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    if let Command::Erase { customer, yes: false, at_provider } = command {
        let more = if *at_provider { " --at-provider" } else { "" };
        return Err(Failure::usage(
            "confirm",
            format!("erasing {customer} cannot be taken back"),
            format!("To do it: quittance customers erase {customer} --yes{more}"),
        ));
    }
    let need = match command {
        Command::Erase { at_provider: true, .. } => Need::Provider,
        Command::Erase { at_provider: false, .. } => Need::Database,
        Command::Suspended { .. } | Command::Suspend { .. } | Command::Unsuspend { .. } => Need::Catalog,
    };
    let engine = beside::engine(common, Opening::Beside, need).await?;
    let by = Caller { key: ApiKeyId::derived(&["command line"]), scopes: KeyScope::ALL.to_vec() };
    match command {
        Command::Suspended { limit, after } => list(&engine.suspensions(after, *limit).await?, common.json),
        Command::Suspend { id, reason, checkouts } => {
            let row = engine.suspend(id, level(*checkouts), reason, &by).await?;
            if common.json {
                out::say_json(&value(&row));
            } else {
                out::say(&format!(
                    "{id} is shut out ({}). A running server or worker does the rest; take it back: quittance customers unsuspend {id}",
                    row.level.as_str()
                ));
            }
        }
        Command::Unsuspend { id } => {
            engine.unsuspend(id, &by).await?;
            if common.json {
                out::say_json(&json!({ "customer": id, "suspended": false }));
            } else {
                out::say(&format!(
                    "{id} is let in again. What was paused goes on; what ended or went back stays so."
                ));
            }
        }
        Command::Erase { customer, at_provider, .. } => {
            if *at_provider {
                engine.may_delete_at_provider()?;
            }
            let (erased, at) = engine.erase_customer(customer, "command line").await?;
            if !common.json {
                out::say(&format!(
                    "{customer} is erased: the texts of {} mails and {} events went with it. No money moved.",
                    erased.mails, erased.events
                ));
            }
            let there = if *at_provider { Some(engine.delete_at_provider(customer).await?) } else { None };
            if common.json {
                out::say_json(&json!({
                    "customer": customer, "erased_at": at.to_string(), "mails": erased.mails, "events": erased.events,
                    "at_provider": there.as_ref().map(|all| all.iter().map(told_there).collect::<Vec<_>>()),
                    "money_moved": "no",
                }));
            }
            at_provider_too(customer, there, common.json)?;
        }
    }
    Ok(())
}

fn told_there(deleted: &DeletedThere) -> Value {
    json!({
        "provider_customer": deleted.provider_customer,
        "deleted": deleted.problem.is_none(),
        "problem": deleted.problem.as_ref().map(|problem| problem.code.as_str()),
    })
}

/// What became of the customer at the provider; fails with the first that is still there.
fn at_provider_too(
    customer: &CustomerId,
    there: Option<Vec<DeletedThere>>,
    json: bool,
) -> Result<(), Failure> {
    let Some(there) = there else {
        if !json {
            out::say(&format!(
                "Next: have Stripe delete its customer too, where address and cards are kept: quittance customers erase {customer} --yes --at-provider"
            ));
        }
        return Ok(());
    };
    if !json {
        if there.is_empty() {
            out::say("The provider has no customer of it any more.");
        }
        for gone in there.iter().filter(|deleted| deleted.problem.is_none()) {
            out::say(&format!("{} is deleted at the provider. No money moved.", gone.provider_customer));
        }
    }
    there.into_iter().find_map(|deleted| deleted.problem).map_or(Ok(()), |problem| Err(problem.into()))
}

fn value(row: &SuspensionRow) -> Value {
    json!({
        "customer": row.customer, "level": row.level, "reason": row.reason, "set_by": row.set_by,
        "since": row.since.to_string(), "suspended": row.lifted_at.is_none(),
    })
}

fn list(rows: &[SuspensionRow], json: bool) {
    if json {
        out::say_json(&json!({ "suspensions": rows.iter().map(value).collect::<Vec<_>>() }));
        return;
    }
    if rows.is_empty() {
        out::say("Nobody is shut out.");
        return;
    }
    let cells = |row: &SuspensionRow| {
        vec![
            row.customer.to_string(),
            row.level.as_str().to_owned(),
            out::time(row.since),
            row.set_by.clone(),
            row.reason.clone(),
        ]
    };
    out::say(&out::table(&["customer", "from", "since", "by", "why"], rows.iter().map(cells).collect()));
}
