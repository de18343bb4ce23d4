//! Shadow mode: beside an existing integration, everything is mirrored and nothing is done.
//!
//! An engine is in shadow mode when its provider client can only read; there is no other switch. What it would have asked of the
//! provider is kept as *withheld* and never carried out later. The app reports what it answered itself, and we keep what we would
//! have answered.

use std::collections::HashMap;

use quittance_domain::drift::DriftKind;
use quittance_domain::{CustomerId, Money, Timestamp};
use quittance_store::commands::{self, NewCommand};
use quittance_store::shadow::{self, AnswerRow, WithheldRow};
use quittance_store::{Db, StoreError, Tx, meta, mirror};

use crate::engine::Engine;
use crate::entitlements::{Answer, answer};
use crate::problem::Problem;

/// Answers of one report at most.
pub const MOST_ANSWERS: usize = 1_000;
/// Lines of each kind in a report of the comparison; what is beyond is counted.
pub const MOST_LINES: usize = 1_000;
/// Rows that are read at a time.
const PAGE: i64 = 500;
/// Longest name of a feature, in bytes.
const MAX_FEATURE: usize = 200;

/// What the database remembers of how it was served last.
const SERVED: &str = "served";

/// How an installation was served last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Never.
    Never,
    /// Beside another integration.
    Shadow,
    /// In charge.
    InCharge,
}

/// How this database was served last: what works beside a server that only watches must only watch too.
///
/// # Errors
/// As the database.
#[crate::boxed]
pub async fn served(db: &Db) -> Result<Served, StoreError> {
    let word = db.read("shadow.served", |tx| meta::get(tx, SERVED)).await?;
    Ok(match word.as_deref() {
        None => Served::Never,
        Some("shadow") => Served::Shadow,
        Some(_) => Served::InCharge,
    })
}

/// What the app answered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppAnswer {
    /// Who was asked about.
    pub customer: CustomerId,
    /// The feature.
    pub feature: String,
    /// Yes or no.
    pub allowed: bool,
}

/// All reports, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Different pairs of customer and feature.
    pub pairs: i64,
    /// Reports.
    pub reports: i64,
    /// Reports in which the two differed.
    pub differed: i64,
}

impl Sums {
    fn add(&mut self, row: &AnswerRow) {
        self.pairs += 1;
        self.reports = self.reports.saturating_add(row.reports);
        self.differed = self.differed.saturating_add(row.differed);
    }
}

/// One report, compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Answers that are the same as ours.
    pub agreed: u64,
    /// Answers that are not.
    pub differed: u64,
}

/// A customer whose access would change with the cut-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The customer.
    pub customer: String,
    /// The feature.
    pub feature: String,
    /// Since when the two answers differ.
    pub since: Timestamp,
    /// What we answer now.
    pub ours: Answer,
}

/// Money that a subscription beside another of its plan group has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundDue {
    /// The customer.
    pub customer: Option<String>,
    /// The subscription that is one too many.
    pub subscription: String,
    /// Its payment.
    pub payment: String,
    /// What is left of it, minor units with currency.
    pub amount: Money,
}

/// Something that a sweep has found and that waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its number, for `quittance drift`.
    pub number: i64,
    /// `duplicate`, `unowned_subscription` or `unowned_payment`.
    pub kind: DriftKind,
    /// The provider's object.
    pub object: String,
    /// The customer, where there is one.
    pub customer: Option<String>,
}

/// How the two integrations compare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShadowReport {
    /// Nothing can be asked of the provider.
    pub shadow: bool,
    /// All reports so far.
    pub sums: Sums,
    /// Pairs for which the app's last answer is ours now.
    pub agreed: u64,
    /// Would have access after the cut-over, and have none today.
    pub would_gain: Vec<Changed>,
    /// How many those are, lines beyond the most included.
    pub gaining: u64,
    /// Have access today, and would have none.
    pub would_lose: Vec<Changed>,
    /// How many those are.
    pub losing: u64,
    /// Several live subscriptions of one plan group.
    pub duplicates: Vec<Finding>,
    /// Subscriptions and payments of nobody.
    pub orphans: Vec<Finding>,
    /// What duplicates have taken.
    pub refunds_due: Vec<RefundDue>,
    /// What would have been asked of the provider, the newest first.
    pub withheld: Vec<WithheldRow>,
}

impl ShadowReport {
    /// Whether a cut-over changes nothing for anybody who was reported, and nothing waits for an operator.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.gaining == 0
            && self.losing == 0
            && self.duplicates.is_empty()
            && self.orphans.is_empty()
            && self.refunds_due.is_empty()
    }
}

impl Engine {
    /// Whether this engine only watches: its client of the provider can do nothing else.
    #[must_use]
    pub fn in_shadow(&self) -> bool {
        self.stripe().reads_only()
    }

    /// Remembers how this database is served: see [`served`].
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn remember_served(&self) -> Result<(), Problem> {
        let word = if self.in_shadow() { "shadow" } else { "in_charge" };
        Ok(self.db().write("shadow.remember", move |tx| meta::set(tx, SERVED, word)).await?)
    }

    /// Refuses before anything is written down, rather than when it would be sent.
    ///
    /// # Errors
    /// `shadow_mode`.
    pub(crate) fn refuse_in_shadow(&self) -> Result<(), Problem> {
        if self.in_shadow() { Err(Problem::shadow_mode()) } else { Ok(()) }
    }

    /// Writes a command down: the one door for all of them. In shadow mode it is only kept that it would have been; what a person or
    /// the app asks for is refused before. `true` when it is new.
    ///
    /// # Errors
    /// As the database.
    pub(crate) fn write_down(
        &self,
        tx: &mut dyn Tx,
        command: &NewCommand,
        now: Timestamp,
    ) -> quittance_store::Result<bool> {
        if self.in_shadow() {
            shadow::withhold(tx, &self.scope().to_string(), command, now)?;
            return Ok(false);
        }
        commands::insert(tx, command, now)
    }

    /// Compares what the app answered with what we answer now, and keeps both.
    ///
    /// # Errors
    /// `invalid_request` for more than [`MOST_ANSWERS`] or a feature that cannot be.
    #[crate::boxed]
    pub async fn report_answers(&self, answers: Vec<AppAnswer>) -> Result<Compared, Problem> {
        if answers.len() > MOST_ANSWERS {
            return Err(Problem::invalid(format!("`answers` may have at most {MOST_ANSWERS} entries.")));
        }
        let fits =
            |feature: &str| !feature.is_empty() && feature.len() <= MAX_FEATURE && !feature.contains('\0');
        if answers.iter().any(|a| !fits(&a.feature)) {
            return Err(Problem::invalid(format!("`feature` must have 1 to {MAX_FEATURE} bytes.")));
        }
        let (mut held, now, mut compared) = (HashMap::new(), self.now(), Compared::default());
        let mut rows = Vec::with_capacity(answers.len());
        for reported in answers {
            if !held.contains_key(&reported.customer) {
                held.insert(reported.customer.clone(), self.held(reported.customer.as_str()).await?);
            }
            let holdings = held.get(&reported.customer).and_then(Option::as_ref);
            let ours = answer(holdings.map_or(&[], |held| &held.holdings), &reported.feature, now).allowed;
            if ours == reported.allowed {
                compared.agreed += 1;
            } else {
                compared.differed += 1;
            }
            rows.push((reported, ours));
        }
        self.db()
            .write("shadow.report", move |tx| {
                for (reported, ours) in &rows {
                    let customer = reported.customer.as_str();
                    shadow::put(tx, customer, &reported.feature, reported.allowed, *ours, now)?;
                }
                Ok(())
            })
            .await?;
        Ok(compared)
    }

    /// Forgets what the app has reported, so that a comparison begins anew; how many pairs there were.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn forget_answers(&self) -> Result<u64, Problem> {
        Ok(self.db().write("shadow.clear", shadow::clear).await?)
    }

    /// How the two integrations compare: the app's last answers with ours now, and what waits for an operator.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn shadow_report(&self) -> Result<ShadowReport, Problem> {
        let mut report = ShadowReport { shadow: self.in_shadow(), ..ShadowReport::default() };
        let mut after = (String::new(), String::new());
        loop {
            let from = after.clone();
            let page =
                self.db().read("shadow.page", move |tx| shadow::page(tx, (&from.0, &from.1), PAGE)).await?;
            let Some(last) = page.last() else { break };
            after = (last.customer.clone(), last.feature.clone());
            for row in page {
                report.sums.add(&row);
                self.compare_now(row, &mut report).await?;
            }
        }
        report.duplicates = self.findings(&[DriftKind::Duplicate]).await?;
        report.orphans = self.findings(&[DriftKind::UnownedSubscription, DriftKind::UnownedPayment]).await?;
        for duplicate in &report.duplicates {
            report.refunds_due.extend(self.refunds_due(duplicate).await?);
        }
        let (scope, most) = (self.scope().to_string(), i64::try_from(MOST_LINES).unwrap_or(i64::MAX));
        report.withheld =
            self.db().read("shadow.withheld", move |tx| shadow::withheld(tx, &scope, i64::MAX, most)).await?;
        Ok(report)
    }

    async fn compare_now(&self, row: AnswerRow, report: &mut ShadowReport) -> Result<(), Problem> {
        let ours = self.check(&row.customer, &row.feature).await?;
        let (lines, count) = match (row.theirs, ours.allowed) {
            (true, true) | (false, false) => {
                report.agreed += 1;
                return Ok(());
            }
            (false, true) => (&mut report.would_gain, &mut report.gaining),
            (true, false) => (&mut report.would_lose, &mut report.losing),
        };
        *count += 1;
        if lines.len() < MOST_LINES {
            // Where the report itself agreed, they differ since some moment after it.
            let since = row.differs_since.unwrap_or(row.last_at);
            lines.push(Changed { customer: row.customer, feature: row.feature, since, ours });
        }
        Ok(())
    }

    async fn findings(&self, kinds: &[DriftKind]) -> Result<Vec<Finding>, Problem> {
        let mut found = Vec::new();
        let most = i64::try_from(MOST_LINES).unwrap_or(i64::MAX);
        for kind in kinds {
            let rows = self.drift(false, Some(*kind), i64::MAX, most).await?;
            found.extend(rows.into_iter().filter(|row| row.state == "open").map(|row| Finding {
                number: row.seq,
                kind: row.kind,
                object: row.object,
                customer: row.customer,
            }));
        }
        Ok(found)
    }

    /// What a duplicate's newest invoice has taken, and nobody has given back.
    async fn refunds_due(&self, duplicate: &Finding) -> Result<Vec<RefundDue>, Problem> {
        let id = duplicate.object.clone();
        let known = self
            .db()
            .read("shadow.duplicate", move |tx| {
                let Some(row) = mirror::subscription(tx, &id)? else { return Ok(None) };
                let payments = mirror::payments_of_aggregate(tx, &row.aggregate)?;
                Ok(Some((row, payments)))
            })
            .await?;
        let Some((row, payments)) = known else { return Ok(Vec::new()) };
        let taken = row.subscription.facts.latest_invoice.iter().flat_map(|invoice| &invoice.payments);
        let due = taken.filter_map(|taken| {
            let back = payments.iter().find(|payment| payment.id == taken.payment);
            // What a dispute holds is not ours to give.
            if back.is_some_and(|payment| !payment.money.is_ours()) {
                return None;
            }
            let returned = back.map_or(0, |payment| payment.refunded.minor);
            let left = taken.amount.minor.saturating_sub(returned);
            (left > 0).then(|| RefundDue {
                customer: duplicate.customer.clone(),
                subscription: row.subscription.facts.id.clone(),
                payment: taken.payment.clone(),
                amount: Money::new(left, taken.amount.currency),
            })
        });
        Ok(due.collect())
    }
}
