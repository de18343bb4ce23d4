//! What an import has covered: what the provider listed beside what the mirror has, and what is missing for which reason.

use std::collections::{BTreeMap, BTreeSet};

use quittance_domain::ledger::Kind;
use quittance_store::coverage;
use serde::Serialize;

use super::listing::{NOTHING, UNREADABLE, money_word};
use super::sets::IdSet;
use super::{Cursor, Customers, ImportReport, Run, Step};
use crate::engine::Engine;
use crate::problem::Problem;

/// By word.
type Sets = BTreeMap<String, IdSet>;

/// Rows that are read at a time.
const PAGE: i64 = 500;
/// What payments in the mirror are counted as; the other words say why one is not there.
const MIRRORED: [&str; 3] = ["kept", "partly_refunded", "refunded"];

/// One count on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoverageLine {
    /// `subscriptions`, `payments` or `invoices`.
    pub object: &'static str,
    /// The provider's status; for payments what became of the money, for invoices whether it is booked.
    pub status: String,
    /// As the provider lists them.
    pub provider: u64,
    /// As we have them.
    pub mirror: u64,
    /// Whether these are the same objects, and not only as many.
    pub same: bool,
}

/// What the mirror does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCovered {
    /// What.
    pub object: &'static str,
    /// How many.
    pub count: u64,
    /// Why.
    pub why: &'static str,
    /// What to do about it, where anything is to be done.
    pub mend: &'static str,
}

fn lines(object: &'static str, provider: &Sets, mirror: &Sets) -> Vec<CoverageLine> {
    let words: BTreeSet<&String> = provider.keys().chain(mirror.keys()).collect();
    let set = |side: &Sets, word: &String| side.get(word).copied().unwrap_or_default();
    words.into_iter().map(|word| line(object, word, set(provider, word), set(mirror, word))).collect()
}

fn line(object: &'static str, word: &str, provider: IdSet, mirror: IdSet) -> CoverageLine {
    CoverageLine {
        object,
        status: word.to_owned(),
        provider: provider.count,
        mirror: mirror.count,
        same: provider == mirror,
    }
}

fn whole(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

impl Engine {
    /// Lays what was listed beside what is mirrored now.
    #[crate::boxed]
    pub(super) async fn coverage(
        &self,
        run: &Run<'_>,
        cursor: &Cursor,
        resumed: bool,
    ) -> Result<ImportReport, Problem> {
        let (scope, now) = (self.scope().to_string(), self.now());
        let (prefix, buyers) = (format!("{scope}/"), format!("{scope}/customer/"));
        let (owners, waiting) = self
            .db()
            .read("import.coverage", move |tx| {
                Ok((coverage::owners(tx, &scope, &buyers)?, coverage::waiting(tx, &prefix, now)?))
            })
            .await?;
        let listed = |step: Step| cursor.listed.get(step.as_str()).cloned().unwrap_or_default();
        let mut theirs = listed(Step::Subscriptions);
        theirs.remove(UNREADABLE);
        let mut all = lines("subscriptions", &theirs, &self.subscriptions_by_word().await?);
        let mut theirs = listed(Step::Payments);
        theirs.retain(|word, _| MIRRORED.contains(&word.as_str()));
        all.extend(lines("payments", &theirs, &self.payments_by_word().await?));
        all.push(line("invoices", "booked", cursor.booked, self.booked_invoices().await?));
        let dry = run.options.dry_run;
        let balance_agrees = if dry { None } else { Some(self.tie_out(false).await?.agrees()) };
        Ok(ImportReport {
            dry_run: dry,
            resumed,
            customers: Customers {
                listed: cursor.total(Step::Customers),
                linked: whole(owners.linked),
                unowned: whole(owners.unowned),
                by_mapping: cursor.by_mapping,
                mapping_conflicts: cursor.conflicts,
                mapping_unknown: (run.options.mapping.len() as u64).saturating_sub(cursor.mapped),
            },
            not_covered: not_covered(cursor, whole(owners.unowned), whole(waiting.parked)),
            coverage: all,
            balance_agrees,
            calls: cursor.calls,
            syncs: run.syncs,
        })
    }

    async fn subscriptions_by_word(&self) -> Result<Sets, Problem> {
        let (mut words, mut after) = (Sets::new(), String::new());
        loop {
            let (scope, from) = (self.scope().to_string(), after.clone());
            let page = self
                .db()
                .read("import.subscriptions", move |tx| {
                    coverage::subscriptions_after(tx, &scope, &from, PAGE)
                })
                .await?;
            let Some((last, _)) = page.last() else { return Ok(words) };
            after.clone_from(last);
            for (id, status) in page {
                words.entry(status).or_default().add(&id);
            }
        }
    }

    async fn booked_invoices(&self) -> Result<IdSet, Problem> {
        let (mut set, mut after) = (IdSet::default(), String::new());
        loop {
            let (scope, from) = (self.scope().to_string(), after.clone());
            let page = self
                .db()
                .read("import.booked", move |tx| {
                    coverage::booked_after(tx, &scope, Kind::Invoice, &from, PAGE)
                })
                .await?;
            let Some(last) = page.last() else { return Ok(set) };
            after.clone_from(last);
            page.iter().for_each(|id| set.add(id));
        }
    }

    async fn payments_by_word(&self) -> Result<Sets, Problem> {
        let (mut words, mut after) = (Sets::new(), String::new());
        loop {
            let (scope, from) = (self.scope().to_string(), after.clone());
            let page = self
                .db()
                .read("import.payments", move |tx| coverage::payments(tx, &scope, &from, PAGE))
                .await?;
            let Some((last, _)) = page.last() else { return Ok(words) };
            after.clone_from(last);
            for (id, payment) in &page {
                let word = money_word(payment.amount.minor, payment.refunded.minor);
                words.entry(word.to_owned()).or_default().add(id);
            }
        }
    }
}

fn not_covered(cursor: &Cursor, unowned: u64, parked: u64) -> Vec<NotCovered> {
    let of = |step, word| cursor.counted(step, word);
    let invoices = cursor.total(Step::Invoices);
    let unreadable = [Step::Subscriptions, Step::Payments, Step::Invoices, Step::Customers];
    let all = [
        (
            "customers",
            of(Step::Customers, NOTHING),
            "they have no subscription, payment or invoice, and name no customer of yours: there is nothing to mirror",
            "",
        ),
        (
            "customers",
            unowned,
            "they are mirrored and belong to none of your customers, so nobody gets access through them",
            "Name them in a mapping file (quittance import --mapping FILE), or claim them: quittance drift list, quittance drift claim NUMBER --customer ID",
        ),
        ("payments", of(Step::Payments, "failed"), "they failed: no money moved", ""),
        (
            "payments",
            of(Step::Payments, "pending"),
            "they are under way: their webhook or the next sweep brings them",
            "",
        ),
        (
            "payments",
            of(Step::Payments, "guest"),
            "they have no customer at the provider; the ledger has their money",
            "quittance drift list --type unowned_payment",
        ),
        (
            "payments",
            of(Step::Payments, "without_intent"),
            "they were made without a payment intent, in the provider's old way; the ledger has their money",
            "",
        ),
        (
            "invoices",
            invoices.saturating_sub(cursor.booked.count + of(Step::Invoices, UNREADABLE)),
            "they are drafts, void, or of nothing: no money is owed by them, so the ledger has no entry",
            "",
        ),
        (
            "objects",
            unreadable.into_iter().map(|step| of(step, UNREADABLE)).sum(),
            "this release cannot read them",
            "Update Quittance, and see the standing alerts: GET /v1/alerts",
        ),
        (
            "aggregates",
            parked,
            "they could not be synced and were given up",
            "quittance parked list, then quittance parked retry NAME",
        ),
    ];
    all.into_iter()
        .filter(|(_, count, ..)| *count > 0)
        .map(|(object, count, why, mend)| NotCovered { object, count, why, mend })
        .collect()
}
