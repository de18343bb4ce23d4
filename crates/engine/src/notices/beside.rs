//! What a decision about notices needs and no projection shows: what else the customer has, and what we ourselves asked for.

use quittance_domain::dunning::OnExhaustion;
use quittance_domain::fraud::SuspensionStep;
use quittance_domain::notices::{Beside, Held, OwnEnd};
use quittance_domain::projection::Projection;
use quittance_domain::subscription::SubscriptionStatus;
use quittance_domain::{Catalog, CustomerId, PlanKey, Timestamp};
use quittance_store::commands::{self, CommandRow, CommandState};
use quittance_store::grants::{self, Gift};
use quittance_store::{Tx, mirror};

use crate::commands::request::{GIVE_UP, Request, SUSPENSION, TRIAL_END};

/// All of it, for the customer whom a commit is about. `changed` has the catalog where what they have may have ended, and
/// `ended` are the subscriptions that are seen ended for the first time.
pub(crate) fn beside(
    tx: &mut dyn Tx,
    customer: &CustomerId,
    changed: Option<&Catalog>,
    projection: &Projection,
    ended: &[&str],
    now: Timestamp,
) -> quittance_store::Result<Beside> {
    let held = match changed {
        Some(catalog) => held(tx, customer.as_str(), catalog, now)?,
        None => Vec::new(),
    };
    let mut trials_cut = Vec::new();
    for trial in projection.subscriptions.iter().filter(|s| s.facts.status == SubscriptionStatus::Trialing) {
        let request = Request::EndTrial { subscription: trial.facts.id.clone(), charges: true };
        if commands::asked(tx, &request.object())?.newest.is_some_and(|row| stands(&row)) {
            trials_cut.push(trial.facts.id.clone());
        }
    }
    let mut own_ends = Vec::new();
    if !ended.is_empty() {
        for kind in [GIVE_UP, TRIAL_END, SUSPENSION] {
            let asked = commands::of_customer_and_kind(tx, customer.as_str(), kind)?;
            own_ends.extend(asked.iter().filter(|row| stands(row)).filter_map(own_end));
        }
        own_ends.retain(|(subscription, _)| ended.contains(&subscription.as_str()));
    }
    Ok(Beside { held, trials_cut, own_ends })
}

/// What the customer has the use of at a moment, from whichever source.
pub(super) fn held(
    tx: &mut dyn Tx,
    customer: &str,
    catalog: &Catalog,
    now: Timestamp,
) -> quittance_store::Result<Vec<Held>> {
    let group = |plan: &PlanKey| catalog.plan(plan.as_str()).map(|plan| plan.group.clone());
    let rows = mirror::holdings(tx, customer)?.into_iter().filter(|row| row.standing.at(now).allows());
    let mut held: Vec<Held> =
        rows.map(|row| Held { group: group(&row.plan), source: row.source, plan: row.plan }).collect();
    for grant in grants::of_customer(tx, customer)? {
        let stands = grant.revoked_at.is_none() && grant.expires_at.is_none_or(|at| now < at);
        if let (true, Gift::Plan(plan)) = (stands, grant.gift) {
            held.push(Held { group: group(&plan), source: grant.id.to_string(), plan });
        }
    }
    Ok(held)
}

/// Whether a command was carried out, or will be.
fn stands(row: &CommandRow) -> bool {
    match row.state {
        CommandState::Pending | CommandState::Succeeded => true,
        CommandState::Failed => false,
    }
}

/// Which subscription a command of ours ends at once, and why. To the provider each is a request like a customer's.
fn own_end(row: &CommandRow) -> Option<(String, OwnEnd)> {
    match serde_json::from_str(&row.request).ok()? {
        Request::GiveUpInvoice { subscription, how: OnExhaustion::Cancel, .. } => {
            Some((subscription, OwnEnd::PaymentFailed))
        }
        Request::EndTrial { subscription, charges: false } => Some((subscription, OwnEnd::TrialUsed)),
        Request::Suspension { step: SuspensionStep::End { subscription }, .. } => {
            Some((subscription, OwnEnd::Suspended))
        }
        _ => None,
    }
}
