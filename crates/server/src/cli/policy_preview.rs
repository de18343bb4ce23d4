//! `quittance simulate --policy`: who would gain or lose access under another policy, from the stored mirror.

use std::path::Path;

use quittance_engine::policy_preview::{Affected, PolicyPreview};
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::config;
use crate::failure::Failure;
use crate::serve::Opening;

/// Customers that are named; all are counted.
const MOST_NAMED: usize = 1_000;

/// Compares the policy of `file` (the section `[access]` of a configuration) with the one that is in force.
pub(super) async fn run(file: &Path, common: &Common) -> Result<(), Failure> {
    let other = config::load(Some(file), &|_| None)?.config.access;
    let engine = beside::engine(common, Opening::Beside, Need::Catalog).await?;
    config::access_policy(&other, engine.catalog())?;
    let preview = engine.preview_policy(&other, MOST_NAMED, &|_| ()).await?;
    if common.json {
        out::say_json(&value(&preview));
    } else {
        out::say(&in_words(&preview));
    }
    Ok(())
}

fn value(preview: &PolicyPreview) -> Value {
    let one = |affected: &Affected| {
        json!({
            "customer": affected.customer, "object": affected.differs.object, "plan": affected.differs.plan,
            "before": affected.differs.before, "after": affected.differs.after,
        })
    };
    json!({
        "looked_at": preview.looked_at, "gain": preview.gain, "lose": preview.lose, "other": preview.other,
        "affected": preview.affected.iter().map(one).collect::<Vec<_>>(),
    })
}

fn in_words(preview: &PolicyPreview) -> String {
    let sums = format!(
        "Of {} customers of the provider {} subscriptions or purchases would gain access, {} would lose it, {} would change otherwise.",
        preview.looked_at, preview.gain, preview.lose, preview.other
    );
    if preview.affected.is_empty() {
        return format!("{sums}\nNothing was changed.");
    }
    let cells = |affected: &Affected| {
        vec![
            affected.customer.clone().unwrap_or_else(|| "-".to_owned()),
            affected.differs.object.clone(),
            affected.differs.plan.as_ref().map(ToString::to_string).unwrap_or_default(),
            affected.differs.before.as_str().to_owned(),
            affected.differs.after.as_str().to_owned(),
        ]
    };
    let table = out::table(
        &["customer", "what", "plan", "now", "then"],
        preview.affected.iter().map(cells).collect(),
    );
    format!(
        "{table}\n\n{sums}\nNothing was changed. Switch it on: put the section [access] into your configuration, and restart."
    )
}
