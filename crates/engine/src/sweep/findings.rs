//! What becomes of what a sweep finds: it is kept and marked for the one door, told once, or, in a dry run, shown.
//!
//! Refuses to know how the two sides were compared.

use std::collections::BTreeMap;

use quittance_domain::Timestamp;
use quittance_domain::drift::{Cause, DriftKind, Finding, Mending, WrongAccess};
use quittance_domain::projection::AnomalyKind;
use quittance_store::Tx;
use quittance_store::aggregates::{self, Hint};
use quittance_store::customers::{self, Change, CustomerPatch};
use quittance_store::drifts::{self, Kept};
use quittance_store::outbox::{self, NewAlert};
use quittance_store::sweeps;
use serde::Serialize;

use super::{Run, SweepReport, hint, taken_over};
use crate::commands::request::{Request, Which};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::settings::EmailTruth;
use crate::telemetry;

/// The kind of alert for a run that found more than it keeps.
const OVERFLOW_ALERT: &str = "drift_overflow";
/// Differences that a dry run shows at most; it counts all.
const MOST_SHOWN: usize = 1_000;

/// A difference that a dry run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub finding: Finding,
    /// What a run that is not dry does about it.
    pub then: Then,
}

/// What becomes of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// A sync looks and mends it.
    Sync,
    /// Our address is written to the provider.
    WriteOurs,
    /// The provider's address is taken over.
    TakeTheirs,
    /// It waits for an operator.
    Operator,
}

impl Then {
    /// The word of command line and API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::WriteOurs => "write_ours",
            Self::TakeTheirs => "take_theirs",
            Self::Operator => "operator",
        }
    }

    /// A sync mends nothing where looks were given up.
    fn of(finding: &Finding, truth: EmailTruth) -> Self {
        if finding.cause == Cause::Parked {
            return Self::Operator;
        }
        match (finding.kind, finding.kind.mending()) {
            (DriftKind::Email, _) => match truth {
                EmailTruth::Ours => Self::WriteOurs,
                EmailTruth::Provider => Self::TakeTheirs,
                EmailTruth::Ignore => Self::Operator,
            },
            (_, Mending::Sync) => Self::Sync,
            (_, Mending::Operator) => Self::Operator,
        }
    }
}

/// A finding, with what only its mending needs.
#[derive(Debug, Clone)]
pub(super) struct Noticed {
    pub(super) finding: Finding,
    /// The address that the provider has, where addresses differ.
    pub(super) email: Option<String>,
}

impl From<Finding> for Noticed {
    fn from(finding: Finding) -> Self {
        Self { finding, email: None }
    }
}

impl Engine {
    /// Keeps findings and marks what a sync mends, in one transaction; a dry run only counts them.
    #[crate::boxed]
    pub(super) async fn keep(
        &self,
        run: &Run,
        noticed: Vec<Noticed>,
        report: &mut SweepReport,
    ) -> Result<(), Problem> {
        let truth = self.settings().email_truth;
        for Noticed { finding, .. } in &noticed {
            report.findings += 1;
            match finding.kind {
                DriftKind::Status | DriftKind::Content => report.differing += 1,
                DriftKind::Unknown => report.unknown += 1,
                DriftKind::Gone => report.gone += 1,
                DriftKind::Entitlement
                | DriftKind::Email
                | DriftKind::DeletedCustomer
                | DriftKind::UnownedSubscription
                | DriftKind::UnownedPayment
                | DriftKind::Duplicate
                | DriftKind::UnknownPrice => {}
            }
            report.for_operator += u64::from(Then::of(finding, truth) == Then::Operator);
        }
        let instance = self.instance().to_owned();
        if run.dry {
            {
                let mut shown = run.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let room = MOST_SHOWN.saturating_sub(shown.len());
                shown.extend(noticed.into_iter().take(room).map(|Noticed { finding, .. }| {
                    let then = Then::of(&finding, truth);
                    Difference { finding, then }
                }));
            }
            return self.hold(run).await;
        }
        if noticed.is_empty() {
            return self.hold(run).await;
        }
        let most = self.settings().sweep_findings;
        let room = most.saturating_sub(report.findings.saturating_sub(noticed.len() as u64));
        report.overflowed +=
            noticed.iter().zip(0..).filter(|(n, at)| *at >= room && !always_kept(n)).count() as u64;
        let (scope, now) = (self.scope().to_string(), self.now());
        let engine = self.clone();
        let (held, until) = (run.lease.clone(), now.plus_ms(self.settings().retry.lease_ms));
        let new = self
            .db()
            .write("sweep.keep", move |tx| {
                if !sweeps::renew(tx, &held, until)? {
                    return Ok(None);
                }
                let mends = |n: &&Noticed| n.finding.kind.is_over_with_a_sync();
                let keys: Vec<&str> =
                    noticed.iter().filter(mends).filter_map(|n| n.finding.aggregate.as_deref()).collect();
                let hints: Vec<Hint<'_>> = keys.iter().map(|key| hint(key, now)).collect();
                let marks = aggregates::mark_all(tx, &hints, now)?;
                let marked: BTreeMap<&str, i64> = keys.into_iter().zip(marks).collect();
                let mut new = Vec::new();
                for n in
                    noticed.iter().zip(0..).filter(|(n, at)| *at < room || always_kept(n)).map(|(n, _)| n)
                {
                    let key = n.finding.aggregate.as_deref().filter(|_| mends(&n));
                    let mark = key.and_then(|key| marked.get(key)).copied();
                    match drifts::put(tx, &scope, &n.finding, mark, now)? {
                        Kept::New(seq) => {
                            raise(tx, &n.finding, seq, now)?;
                            new.push((seq, n.finding.clone()));
                        }
                        Kept::TurnedWrong(seq) => raise(tx, &n.finding, seq, now)?,
                        Kept::Known => {}
                    }
                    mend_email(tx, &engine, n, truth, &instance, now)?;
                }
                Ok(Some(new))
            })
            .await?;
        let Some(new) = new else { return Err(taken_over()) };
        report.new_findings += new.len() as u64;
        for (seq, finding) in &new {
            telemetry::drift(finding.kind.as_str());
            tracing::warn!(
                finding = seq,
                kind = finding.kind.as_str(),
                object = finding.object,
                ours = finding.ours,
                theirs = finding.theirs,
                cause = finding.cause.as_str(),
                wrong_access = finding.wrong.as_str(),
                "drift"
            );
        }
        self.wake();
        Ok(())
    }
}

impl Engine {
    /// Holds on to a run that looks through our own side, page by page.
    async fn hold(&self, run: &Run) -> Result<(), Problem> {
        let (held, until) = (run.lease.clone(), self.now().plus_ms(self.settings().retry.lease_ms));
        let renewed = self.db().write("sweep.hold", move |tx| sweeps::renew(tx, &held, until));
        if renewed.await? { Ok(()) } else { Err(taken_over()) }
    }
}

/// Money is found once each, at its place in the ledger: what is not kept is not found again.
fn always_kept(noticed: &Noticed) -> bool {
    noticed.finding.kind == DriftKind::UnownedPayment
}

/// Says that a whole run found more than it keeps; over with one that does not.
pub(super) fn tell_overflow(
    tx: &mut dyn Tx,
    scope: &str,
    overflowed: u64,
    most: u64,
    now: Timestamp,
) -> quittance_store::Result<()> {
    if overflowed == 0 {
        return outbox::resolve(tx, OVERFLOW_ALERT, scope, now);
    }
    let alert = NewAlert {
        kind: OVERFLOW_ALERT.to_owned(),
        object: scope.to_owned(),
        customer: None,
        aggregate: None,
        detail: format!(
            "a sweep found {overflowed} differences more than the {most} that it keeps; what a sync mends is marked, and the others are not listed"
        ),
        mend: "Find out why so much differs: quittance drift list. When that is mended, sweep again: quittance reconcile"
            .to_owned(),
    };
    outbox::raise(tx, &alert, now).map(drop)
}

/// Tells operators of a finding, unless the sync of its aggregate has told them of the same.
fn raise(tx: &mut dyn Tx, finding: &Finding, seq: i64, now: Timestamp) -> quittance_store::Result<()> {
    let said = match finding.kind {
        DriftKind::UnownedSubscription => Some(AnomalyKind::UnlinkedCustomer),
        DriftKind::Duplicate => Some(AnomalyKind::DuplicateSubscription),
        DriftKind::UnknownPrice => Some(AnomalyKind::UnknownPrice),
        DriftKind::Status
        | DriftKind::Content
        | DriftKind::Unknown
        | DriftKind::Gone
        | DriftKind::Entitlement
        | DriftKind::Email
        | DriftKind::DeletedCustomer
        | DriftKind::UnownedPayment => None,
    };
    if let (Some(said), Some(key)) = (said, &finding.aggregate)
        && outbox::stands(tx, key, said.as_str())?
    {
        return Ok(());
    }
    match alert(finding, seq) {
        Some(alert) => outbox::raise(tx, &alert, now).map(|_| ()),
        None => Ok(()),
    }
}

/// What operators should know of a finding: access that is wrong, or something that only they can mend.
fn alert(finding: &Finding, seq: i64) -> Option<NewAlert> {
    let sides = format!(
        "ours: {}; the provider's: {}; cause: {}",
        finding.ours.as_deref().unwrap_or("nothing"),
        finding.theirs.as_deref().unwrap_or("nothing"),
        finding.cause.as_str()
    );
    let told = |kind: String, detail: String, mend: String, aggregate: Option<String>| NewAlert {
        kind,
        object: finding.object.clone(),
        customer: finding.customer.clone(),
        aggregate,
        detail,
        mend,
    };
    match (finding.kind.mending(), finding.wrong) {
        (Mending::Operator, _) => Some(told(
            operator_alert(finding.kind),
            sides,
            format!(
                "Look: quittance drift show {seq}. Then claim it for a customer, mend it at the provider, or ignore it"
            ),
            None,
        )),
        (Mending::Sync, WrongAccess::None) => None,
        // Over with the sync that mends it, as every alert of an aggregate that no longer stands.
        (Mending::Sync, wrong @ (WrongAccess::TooMuch | WrongAccess::TooLittle)) => Some(told(
            outbox::WRONG_ACCESS.to_owned(),
            format!("access is {}; {sides}", wrong.as_str().replace('_', " ")),
            mend_of_wrong_access(finding, seq),
            finding.aggregate.clone(),
        )),
    }
}

/// The sync mends it, unless nobody looks any more.
fn mend_of_wrong_access(finding: &Finding, seq: i64) -> String {
    match (&finding.cause, &finding.aggregate) {
        (Cause::Parked, Some(key)) => {
            format!(
                "Looks at it were given up. When what made them fail is mended: quittance parked retry {key}"
            )
        }
        (
            Cause::Parked
            | Cause::MissedEvent { .. }
            | Cause::Failing
            | Cause::CustomerDeleted
            | Cause::PolicyChanged
            | Cause::NotOurs
            | Cause::Unexplained,
            _,
        ) => format!("Nothing to do: it is being mended. Why it happened: quittance drift show {seq}"),
    }
}

fn operator_alert(kind: DriftKind) -> String {
    format!("drift_{}", kind.as_str())
}

/// A finding is over, and so is its alert.
pub(crate) fn over(
    tx: &mut dyn Tx,
    kind: DriftKind,
    object: &str,
    now: Timestamp,
) -> quittance_store::Result<()> {
    match kind.mending() {
        Mending::Operator => outbox::resolve(tx, &operator_alert(kind), object, now),
        Mending::Sync => outbox::resolve(tx, outbox::WRONG_ACCESS, object, now),
    }
}

/// An address that differs is written to the provider, or taken over from it, as the operator chose.
fn mend_email(
    tx: &mut dyn Tx,
    engine: &Engine,
    noticed: &Noticed,
    truth: EmailTruth,
    instance: &str,
    now: Timestamp,
) -> quittance_store::Result<()> {
    let (DriftKind::Email, Some(customer)) = (noticed.finding.kind, &noticed.finding.customer) else {
        return Ok(());
    };
    match truth {
        EmailTruth::Ignore => {}
        EmailTruth::Provider => {
            let email = noticed.email.clone().map_or(Change::Clear, Change::Set);
            let patch = CustomerPatch { email, ..Default::default() };
            customers::upsert(tx, customer, &patch, now)?;
        }
        EmailTruth::Ours => {
            let request = Request::UpdateCustomer {
                customer: customer.clone(),
                provider_customer: noticed.finding.object.clone(),
            };
            if let crate::commands::Place::Turn(turn) = crate::commands::place(tx, &request)? {
                let command = request.command(
                    instance,
                    noticed.finding.aggregate.as_deref(),
                    Some(customer),
                    Which::Turn(turn),
                )?;
                engine.write_down(tx, &command, now)?;
            }
        }
    }
    Ok(())
}
