//! `quittance signing-keys`: the keys that sign entitlement tokens.

use clap::Subcommand;
use quittance_engine::signing_keys::SigningKeyView;
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with the keys.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance signing-keys list
  quittance signing-keys rotate
  quittance signing-keys rotate --withdraw     a private part may be known to somebody else

Keys change by themselves (tokens.rotate_days); whoever verifies tokens finds them at /.well-known/jwks.json.")]
pub(super) enum Command {
    /// All keys, without their private parts
    List,
    /// Make the next key now; it signs once it was published long enough
    Rotate {
        /// Let the new key sign at once, and nobody believe any earlier one: tokens in force stop working
        #[arg(long)]
        withdraw: bool,
    },
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    match command {
        Command::List => list(common).await,
        Command::Rotate { withdraw } => rotate(*withdraw, common).await,
    }
}

fn value(key: &SigningKeyView) -> Value {
    json!({ "kid": key.kid, "state": key.state.as_str(), "created_at": key.created_at.to_string(),
        "signs_from": key.signs_from.to_string(), "withdrawn_at": key.withdrawn_at.map(|at| at.to_string()) })
}

async fn list(common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    let keys = engine.signing_keys().await?;
    if common.json {
        out::say_json(&json!({ "keys": keys.iter().map(value).collect::<Vec<_>>() }));
    } else if keys.is_empty() {
        out::say("No keys yet: the first one is made with the first token. It needs QUITTANCE_SECRET.");
    } else {
        let rows = keys.iter().map(|key| {
            let (from, withdrawn) = (out::time(key.signs_from), out::opt_time(key.withdrawn_at));
            vec![key.kid.clone(), key.state.as_str().to_owned(), out::time(key.created_at), from, withdrawn]
        });
        out::say(&out::table(&["kid", "state", "published", "signs from", "withdrawn"], rows.collect()));
    }
    Ok(())
}

async fn rotate(withdraw: bool, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    let made = engine.rotate_signing_keys(withdraw).await?;
    let Some(key) = made else {
        let waiting = "a key waits already, or another node is just making one";
        return Err(super::found(waiting, "See `quittance signing-keys list`; it signs by itself."));
    };
    if common.json {
        out::say_json(&value(&key));
    } else if withdraw {
        out::say(&format!(
            "{} signs from now on, and no earlier key is believed. Copies of /.well-known/jwks.json elsewhere may be some minutes old.",
            key.kid
        ));
    } else {
        out::say(&format!("{} is published, and signs from {} on.", key.kid, out::time(key.signs_from)));
    }
    Ok(())
}
