//! Alerts leave: by mail to the operators, and as app events to the endpoints that ask for them by name.
//!
//! An alert is raised in the transaction that finds its reason, by whatever process that is; what is not told yet stands in
//! its row. Here several become one message, in one transaction with the record that they were told.
//!
//! Refuses to know: what alerts are about.

use quittance_domain::Timestamp;
use quittance_domain::alert::AlertPolicy;
use quittance_domain::app_event::{AppEventType, AppFact};
use quittance_domain::delivery::Channel;
use quittance_domain::digest::short_hex;
use quittance_store::deliveries::{self, NewDelivery};
use quittance_store::outbox::{self, AlertRow};
use serde_json::json;

use crate::engine::Engine;
use crate::problem::Problem;

/// Alerts that are told in one go.
const AT_ONCE: i64 = 100;
/// Where mails to operators go, as deliveries name it.
const OPERATORS: &str = "operators";

/// How operators are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertSettings {
    /// When.
    pub policy: AlertPolicy,
    /// The addresses that mails go to.
    pub mail: Vec<String>,
}

/// Whether what is to be told of a row is its end: operators know that it stood.
fn ended(row: &AlertRow) -> bool {
    row.resolved_at.is_some() && row.announced_at.is_some_and(|at| at >= row.created_at)
}

/// The fact that an app event tells.
fn fact(row: &AlertRow) -> AppFact {
    let kind = if ended(row) { AppEventType::AlertResolved } else { AppEventType::AlertRaised };
    AppFact {
        kind,
        key: format!("{}:{}", row.seq, row.created_at.ms()),
        data: json!({
            "alert": row.seq,
            "kind": row.kind,
            "object": row.object,
            "customer": row.customer,
            "detail": row.detail,
            "mend": row.mend,
            "since": row.created_at.to_string(),
            "ended_at": row.resolved_at.map(|at| at.to_string()),
        }),
    }
}

impl Engine {
    /// Tells operators of the alerts that are due; returns how many.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn announce_alerts(&self) -> Result<usize, Problem> {
        let now = self.now();
        if self.next_alert_due().await?.is_none_or(|at| at > now) {
            return Ok(0);
        }
        let engine = self.clone();
        let told = self
            .db()
            .write("alerts.announce", move |tx| {
                let rows = outbox::due(tx, engine.settings().alerts.policy.quiet_ms(), now, AT_ONCE)?;
                let mut standing = Vec::new();
                let mut told = 0;
                for row in &rows {
                    let stands = !ended(row);
                    // Another node may be faster.
                    if !outbox::told(tx, row, stands.then_some(now))? {
                        continue;
                    }
                    told += 1;
                    engine.tell_endpoints(tx, None, &fact(row), now)?;
                    if stands {
                        standing.push(row);
                    }
                }
                if !standing.is_empty() && engine.delivers(Channel::Mail) {
                    for address in &engine.settings().alerts.mail {
                        deliveries::put(tx, &mail(&standing, address), now)?;
                    }
                }
                Ok(told)
            })
            .await?;
        self.wake();
        Ok(told)
    }

    /// When the next message about alerts is due.
    #[crate::boxed]
    pub(crate) async fn next_alert_due(&self) -> Result<Option<Timestamp>, Problem> {
        let policy = self.settings().alerts.policy;
        let read = self.db().read("alerts.due", move |tx| {
            let Some(first) = outbox::first_due(tx, policy.quiet_ms())? else { return Ok(None) };
            Ok(Some(policy.due(first, outbox::last_told(tx)?)))
        });
        Ok(read.await?)
    }

    /// One alert by its number, as it is now.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn alert(&self, seq: i64) -> Result<AlertRow, Problem> {
        let row = self.db().read("alerts.get", move |tx| outbox::alert(tx, seq)).await?;
        row.ok_or_else(|| Problem::not_found("alert"))
    }
}

/// One mail about all of them to one address.
fn mail(alerts: &[&AlertRow], address: &str) -> NewDelivery {
    let which: Vec<String> =
        alerts.iter().map(|row| format!("{}:{}", row.seq, row.created_at.ms())).collect();
    let mut parts: Vec<&str> = which.iter().map(String::as_str).collect();
    parts.push(address);
    let seqs: Vec<i64> = alerts.iter().map(|row| row.seq).collect();
    NewDelivery {
        channel: Channel::Mail,
        key: format!("alerts/{}", short_hex(&parts)),
        lane: format!("alerts/{address}"),
        destination: OPERATORS.to_owned(),
        customer: None,
        payload: json!({ "alerts": seqs, "to": address }).to_string(),
        not_before: None,
    }
}
