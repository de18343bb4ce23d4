//! `quittance keys`: API keys.

use clap::Subcommand;
use quittance_domain::ids::ApiKeyId;
use quittance_engine::api_keys::KeyScope;
use secrecy::ExposeSecret;
use serde_json::json;

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with API keys.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance keys create --name app --scopes read,write
  quittance keys create --name ops --scopes read,write,admin
  quittance keys revoke key_…

Scopes: read (customers, entitlements, plans), write (checkouts, portal, changes), admin (events, parked work, grants).")]
pub(super) enum Command {
    /// Make a key; it is shown once
    Create {
        /// What it is for, to tell keys apart
        #[arg(long)]
        name: String,
        /// What it may do, separated by commas
        #[arg(long, value_delimiter = ',', default_values = ["read", "write"], value_parser = ["read", "write", "admin"])]
        scopes: Vec<String>,
    },
    /// All keys, without their secrets
    List,
    /// Take a key back, at once and on all nodes
    Revoke {
        /// Its id, key_… (not the key itself)
        id: String,
    },
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    match command {
        Command::Create { name, scopes } => create(name, scopes, common).await,
        Command::List => list(common).await,
        Command::Revoke { id } => revoke(id, common).await,
    }
}

async fn create(name: &str, scopes: &[String], common: &Common) -> Result<(), Failure> {
    if name.trim().is_empty() || name.len() > 100 {
        return Err(Failure::usage(
            "usage",
            "--name is empty or longer than 100 bytes",
            "Say what the key is for: --name app",
        ));
    }
    let wanted: Vec<KeyScope> = scopes.iter().filter_map(|word| KeyScope::parse(word)).collect();
    let engine = beside::engine(common, Opening::First, Need::Database).await?;
    let (id, secret) = engine.create_key(name, &wanted).await?;
    let key = secret.expose_secret();
    if common.json {
        out::say_json(&json!({ "id": id, "name": name, "scopes": scopes, "key": key }));
    } else {
        out::say(&format!(
            "{key}\n\nThis is the only time that the key is shown ({id}, {}). Give it to your app as QUITTANCE_API_KEY and try:\n  \
             curl -s {}/v1/plans -H 'Authorization: Bearer {key}'",
            scopes.join(", "),
            engine.settings().public_url
        ));
    }
    Ok(())
}

async fn list(common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    let keys = engine.list_keys().await?;
    if common.json {
        let values = keys.iter().map(|key| {
            let scopes: Vec<&str> = key.scopes.split(',').collect();
            json!({ "id": key.id, "name": key.name, "scopes": scopes, "created_at": key.created_at.to_string(),
                "revoked_at": key.revoked_at.map(|at| at.to_string()) })
        });
        out::say_json(&json!({ "keys": values.collect::<Vec<_>>() }));
    } else if keys.is_empty() {
        out::say("No keys. Make one: quittance keys create --name app");
    } else {
        let rows = keys.iter().map(|key| {
            let revoked = out::opt_time(key.revoked_at);
            vec![
                key.id.to_string(),
                key.name.clone(),
                key.scopes.replace(',', ", "),
                out::time(key.created_at),
                revoked,
            ]
        });
        out::say(&out::table(&["id", "name", "scopes", "created", "revoked"], rows.collect()));
    }
    Ok(())
}

async fn revoke(id: &str, common: &Common) -> Result<(), Failure> {
    let parsed = ApiKeyId::parse(id).map_err(|error| {
        let mend = if id.starts_with("qk_") {
            "That is the key itself; its id begins with key_ and is in `quittance keys list`."
        } else {
            "See `quittance keys list`."
        };
        // Not repeated: it may be the key itself.
        Failure::usage("usage", format!("this is no id of a key: {}", error.reason), mend)
    })?;
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    engine.revoke_key(&parsed).await?;
    if common.json {
        out::say_json(&json!({ "id": parsed, "revoked": true }));
    } else {
        out::say(&format!("{parsed} is revoked. Running servers refuse it within a second."));
    }
    Ok(())
}
