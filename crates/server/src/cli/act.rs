//! What a command changes, for the audit log: every command says here whether it changes something, and what.

use serde_json::{Value, json};

use super::{
    Command, catalog, customers, deliveries, dispute, drift, events, keys, ledger, mail, notices, parked,
    shadow, signing_keys, terms, webhooks,
};

/// An act of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    /// The command.
    pub action: &'static str,
    /// What it names.
    pub target: String,
    /// What else it was given, where that says how much or how far.
    pub input: Value,
}

fn act(action: &'static str, target: impl ToString) -> Option<Act> {
    with(action, target, Value::Null)
}

fn with(action: &'static str, target: impl ToString, input: Value) -> Option<Act> {
    Some(Act { action, target: target.to_string(), input })
}

/// What a command changes; `None` when it only looks, starts something that answers for itself, or works on files.
pub(super) fn of(command: &Command) -> Option<Act> {
    match command {
        Command::Dev(_)
        | Command::Serve(_)
        | Command::Worker(_)
        | Command::Sandbox(_)
        | Command::Demo(_)
        | Command::Migrate
        | Command::Explain(_)
        | Command::Dunning(_)
        | Command::Audit(_)
        | Command::Doctor(_)
        | Command::Simulate(_)
        | Command::Openapi
        | Command::Completions(_) => None,
        Command::Ledger(command) => match command {
            ledger::Command::TrialBalance { .. }
            | ledger::Command::Entries { .. }
            | ledger::Command::Revenue { .. }
            | ledger::Command::TieOut { mend: false, .. } => None,
            // What leaves the house is on record too.
            ledger::Command::Export { .. } => act("ledger export", "everything"),
            ledger::Command::TieOut { mend: true, .. } => act("ledger tie-out", "mend"),
        },
        Command::Events(command) => match command {
            events::Command::List { .. } | events::Command::Show { .. } => None,
            events::Command::Replay { id, .. } => act("events replay", id),
        },
        Command::Deliveries(command) => match command {
            deliveries::Command::List { .. } | deliveries::Command::Show { .. } => None,
            deliveries::Command::Retry { id } => act("deliveries retry", id),
        },
        Command::Notices(command) => match command {
            notices::Command::List { .. }
            | notices::Command::Show { .. }
            | notices::Command::Announcements
            | notices::Command::Rules { .. } => None,
            // What leaves the house is on record too.
            notices::Command::Export { customer, .. } => {
                act("notices export", customer.as_deref().unwrap_or("everything"))
            }
            notices::Command::Announce { id, .. } => act("notices announce", id),
            notices::Command::Withdraw { id } => act("notices withdraw", id),
        },
        Command::Parked(command) => match command {
            parked::Command::List { .. } => None,
            parked::Command::Retry { name, all: _ } => {
                act("parked retry", name.as_deref().unwrap_or("everything"))
            }
        },
        Command::Mail(command) => match command {
            mail::Command::Preview(_) | mail::Command::Templates(_) | mail::Command::List { .. } => None,
            mail::Command::SendTest { kind, .. } => act("mail send-test", kind),
        },
        Command::Keys(command) => match command {
            keys::Command::List => None,
            keys::Command::Create { scopes, .. } => act("keys create", scopes.join(",")),
            keys::Command::Revoke { id } => act("keys revoke", id),
        },
        Command::SigningKeys(command) => match command {
            signing_keys::Command::List => None,
            signing_keys::Command::Rotate { withdraw } => {
                act("signing-keys rotate", if *withdraw { "and withdraw" } else { "" })
            }
        },
        Command::Drift(command) => match command {
            drift::Command::List { .. } | drift::Command::Summary | drift::Command::Show { .. } => None,
            drift::Command::Claim { id, customer } => {
                with("drift claim", id, json!({ "customer": customer.as_str() }))
            }
            drift::Command::Ignore { id } => act("drift ignore", id),
        },
        Command::Webhooks(command) => match command {
            webhooks::Command::List | webhooks::Command::Deliveries(_) | webhooks::Command::Tail { .. } => {
                None
            }
            webhooks::Command::Create(_) => act("webhooks create", ""),
            webhooks::Command::Enable { id } => act("webhooks enable", id),
            webhooks::Command::Disable { id } => act("webhooks disable", id),
            webhooks::Command::Remove { id } => act("webhooks remove", id),
            webhooks::Command::Rotate { id, .. } => act("webhooks rotate", id),
            webhooks::Command::Ping { id, .. } => act("webhooks ping", id),
            webhooks::Command::Replay(again) => act("webhooks replay", &again.endpoint),
        },
        Command::Catalog(command) => match command {
            catalog::Command::Check(_) | catalog::Command::Diff => None,
            catalog::Command::Push(options) if options.dry_run => None,
            catalog::Command::Push(_) => act("catalog push", ""),
        },
        Command::Terms(command) => match command {
            terms::Command::Show { .. } => None,
            terms::Command::Set { customer, .. } => act("terms set", customer),
            terms::Command::Remove { customer } => act("terms remove", customer),
        },
        Command::Dispute(command) => match command {
            dispute::Command::List { .. } | dispute::Command::Show { .. } => None,
            // What leaves the house is on record too.
            dispute::Command::Evidence { id, .. } => act("dispute evidence", id),
            dispute::Command::Contest { id, note } => with("dispute contest", id, json!({ "note": note })),
            dispute::Command::Accept { id, .. } => act("dispute accept", id),
        },
        Command::Refund(options) if options.dry_run => None,
        Command::Refund(options) => with("refund", &options.of, options.told()),
        Command::Customers(command) => match command {
            customers::Command::Suspended { .. } => None,
            customers::Command::Suspend { id, reason, checkouts } => {
                let input = json!({ "level": customers::level(*checkouts), "reason": reason });
                with("customers suspend", id, input)
            }
            customers::Command::Unsuspend { id } => act("customers unsuspend", id),
            customers::Command::Erase { customer, yes: _, at_provider } => {
                with("customers erase", customer, json!({ "at_provider": at_provider }))
            }
        },
        Command::Import(options) if options.dry_run => None,
        Command::Import(_) => act("import", ""),
        Command::Shadow(command) => match command {
            shadow::Command::Report => None,
            shadow::Command::Reset => act("shadow reset", ""),
        },
        Command::Reconcile(options) => act("reconcile", if options.dry_run { "dry run" } else { "" }),
    }
}
