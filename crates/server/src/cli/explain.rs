//! `quittance explain`: the chain from the events to the answer.

use clap::Args;
use quittance_domain::Timestamp;
use quittance_domain::access::Standing;
use quittance_engine::explain::{Explanation, Link};
use quittance_store::history::HistoryRow;
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// Why the answer is what it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance explain user_42 article:full
  quittance --config ./billing/quittance.toml explain demo article:full     beside `quittance dev --data ./billing`")]
pub(super) struct Options {
    /// Your app's id of the customer
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    customer: String,
    /// The feature's key in the catalog
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    feature: String,
}

pub(super) async fn run(options: &Options, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Catalog).await?;
    let explanation = engine.explain(&options.customer, &options.feature).await?;
    if common.json {
        out::say_json(&value(&options.customer, &explanation));
    } else {
        out::say(&in_words(&options.customer, &explanation, engine.now()));
    }
    Ok(())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn value(customer: &str, explanation: &Explanation) -> Value {
    let answer = &explanation.answer;
    let links = explanation.links.iter().map(|link| {
        json!({
            "source": { "kind": link.source.kind.as_str(), "id": &*link.source.id },
            "plan": link.plan,
            "has_feature": link.has_feature,
            "standing": link.standing,
            "because": link.because,
            "history": link.history.iter().map(|line| json!({
                "at": line.at.to_string(), "kind": line.kind, "object": line.object,
                "data": parsed(&line.data), "cause": parsed(&line.cause),
            })).collect::<Vec<_>>(),
        })
    });
    json!({
        "customer": customer,
        "feature": answer.feature,
        "allowed": answer.allowed,
        "access": answer.access.map(quittance_domain::Access::as_str),
        "plan": answer.plan,
        "expires_at": answer.expires_at.map(|at| at.to_string()),
        "limit": answer.limit,
        "known_customer": explanation.known_customer,
        "known_feature": explanation.known_feature,
        "because": links.collect::<Vec<_>>(),
        "alerts": explanation.alerts.iter().map(|alert| json!({
            "kind": alert.kind, "object": alert.object, "detail": alert.detail, "mend": alert.mend,
        })).collect::<Vec<_>>(),
    })
}

fn in_words(customer: &str, explanation: &Explanation, now: Timestamp) -> String {
    let answer = &explanation.answer;
    let feature = &answer.feature;
    let mut text = format!(
        "{}: {customer} {} use {feature}",
        if answer.allowed { "YES" } else { "NO" },
        if answer.allowed { "may" } else { "may not" }
    );
    if let Some(access) = answer.access {
        text.push_str(&format!(" (access: {}", access.as_str()));
        if let Some(end) = answer.expires_at {
            text.push_str(&format!(", ends by itself at {}", out::time(end)));
        }
        text.push(')');
    }
    text.push('\n');
    if !explanation.known_customer {
        text.push_str(&format!("\n  No customer `{customer}` is known. Your app tells of one with PUT /v1/customers/{customer}.\n"));
    }
    if !explanation.known_feature {
        text.push_str(&format!(
            "\n  The catalog has no feature `{feature}`; check the spelling in catalog.toml.\n"
        ));
    }
    for link in &explanation.links {
        text.push_str(&link_in_words(link, feature, now));
    }
    if explanation.known_customer && explanation.links.is_empty() {
        text.push_str("\n  The customer holds nothing: no subscription, no purchase, no grant.\n");
    }
    for alert in &explanation.alerts {
        text.push_str(&format!(
            "\n  Open alert {}: {}\n    Mend: {}\n",
            alert.kind, alert.detail, alert.mend
        ));
    }
    text.trim_end().to_owned()
}

fn link_in_words(link: &Link, feature: &str, now: Timestamp) -> String {
    let plan = link.plan.as_deref().unwrap_or("no plan");
    let has = if link.has_feature { "has" } else { "does not have" };
    let mut text = format!(
        "\n  {} {}: {plan}, which {has} {feature}; {}\n    because {}\n",
        link.source.kind.as_str(),
        link.source.id,
        standing(link.standing, now),
        link.because
    );
    for line in &link.history {
        text.push_str(&history_in_words(line));
    }
    text
}

fn standing(standing: Standing, now: Timestamp) -> &'static str {
    standing.at(now).as_str()
}

fn history_in_words(line: &HistoryRow) -> String {
    let data = parsed(&line.data);
    let pairs = data.as_object().map(|fields| {
        let shown = fields.iter().filter(|(_, value)| !value.is_null());
        let words = shown.map(|(name, value)| {
            format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        });
        words.collect::<Vec<_>>().join(", ")
    });
    format!(
        "    {}  {}  {}\n      caused by {}\n",
        out::time(line.at),
        line.kind,
        pairs.unwrap_or_default(),
        cause_in_words(&line.cause)
    )
}

/// `{"sync": n, "events": [{"event", "type"}]}` of a sync, or who did it.
fn cause_in_words(cause: &str) -> String {
    let cause = parsed(cause);
    let Some(events) = cause.get("events").and_then(Value::as_array) else {
        return cause.as_str().map_or_else(|| cause.to_string(), str::to_owned);
    };
    if events.is_empty() {
        return "a look at the provider (redirect, sweep, timer or operator)".to_owned();
    }
    let text =
        |event: &Value, name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut sorted: Vec<&Value> = events.iter().collect();
    sorted.sort_by_key(|event| weight(&text(event, "type")));
    let told =
        sorted.iter().take(CAUSES).map(|event| format!("{} ({})", text(event, "type"), text(event, "event")));
    let mut words: Vec<String> = told.collect();
    if sorted.len() > CAUSES {
        words.push(format!("and {} more (--json names all)", sorted.len() - CAUSES));
    }
    words.join(", ")
}

/// Causes that are named; a purchase has a dozen, and most say the same.
const CAUSES: usize = 2;

/// What a person looks for first.
fn weight(kind: &str) -> usize {
    const TELLING: [&str; 6] = [
        "checkout.session.",
        "customer.subscription.",
        "invoice.pa",
        "charge.dispute.",
        "charge.refund",
        "invoice.",
    ];
    TELLING.iter().position(|start| kind.starts_with(start)).unwrap_or(TELLING.len())
}
