//! What customers were told, in the end: each fact once, nothing that never was, and whatever still is so, told.
//!
//! What must be told and when is written down here once more, from `docs/notices.md` and the provider's books: moments
//! are bounds, so that the table of rules is not copied.

use std::collections::BTreeMap;

use quittance_domain::Timestamp;
use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_domain::fraud::Level;
use quittance_domain::notices::NoticeKind;
use quittance_domain::subscription::Duplicate;
use quittance_domain::time::{DAY_MS, HOUR_MS};
use quittance_sandbox::{CustomerLedger, Ledger, LedgerSubscription};
use quittance_store::notices::{self, NoticeRow};
use quittance_store::{deliveries, mirror};

use super::end::mended;
use super::{Record, failing_since};
use crate::actors::buyer_id;
use crate::plan::MOST_SKEW_MS;
use crate::sim::Sim;

/// By then a trial's end is told by every rule and choice: they end three days before it.
const TRIAL_TOLD_MS: i64 = 3 * DAY_MS;
/// By then a long renewal is told by every rule and choice.
const RENEWAL_TOLD_MS: i64 = 7 * DAY_MS;
/// From so many days on a period is a long one.
const LONG_DAYS: i64 = 180;
/// What is told of ahead is not told earlier than this.
const EARLIEST_MS: i64 = 46 * DAY_MS;
/// What is as young as this may be under way.
const YOUNG_MS: i64 = HOUR_MS;

/// What was told to one buyer.
struct Told<'a> {
    rows: &'a [NoticeRow],
    now: i64,
}

impl Told<'_> {
    fn has(&self, kinds: &[NoticeKind], object: &str, occurrence: impl Fn(&str) -> bool) -> bool {
        let of = |row: &&NoticeRow| kinds.contains(&row.kind) && row.object == object;
        self.rows.iter().filter(of).any(|row| occurrence(&row.occurrence))
    }
}

fn stamp(seconds: i64) -> String {
    Timestamp::from_seconds(seconds).to_string()
}

impl Record {
    /// Everything that a buyer was told, or had to be.
    pub(super) fn customers_are_told(&mut self, sim: &Sim, ledger: &Ledger) {
        for index in 0..sim.plan.buyers {
            let id = buyer_id(index);
            let key = id.clone();
            let read = self.read(sim, move |tx| notices::of_customer(tx, &key, i64::MAX, None, 10_000));
            let Some(rows) = read else { return };
            let ours: Vec<&CustomerLedger> = ledger
                .customers
                .iter()
                .filter(|c| c.metadata.get("quittance_customer") == Some(&id))
                .collect();
            self.each_fact_once(&rows, &ours);
            let told = Told { rows: &rows, now: sim.scheduler.now_ms() };
            for customer in &ours {
                self.money_is_told(&told, customer);
                for found in customer.subscriptions.iter().filter(|s| mended(s).is_none()) {
                    // Of one too many, whoever ended it, its buyer hears by the refund.
                    if self.is_one_too_many(sim, &found.id) {
                        continue;
                    }
                    // Who is shut out, or may be, is not told of what will not be charged.
                    if self.suspensions.stands(&id, Level::All) != Some(false) {
                        continue;
                    }
                    if let Some(missing) = self.untold(&told, customer, found, sim) {
                        self.violation("I2", format!("{id} was never told of {}: {missing}", found.id));
                    }
                }
            }
            self.what_is_so_was_sent(sim, &rows, &ours);
            self.figures.notices += rows.len() as u64;
        }
    }

    /// The facts behind the natural keys: two messages of one fact under two keys are two too many, and so is one of
    /// something that the provider never had.
    fn each_fact_once(&mut self, rows: &[NoticeRow], ours: &[&CustomerLedger]) {
        let mut facts: BTreeMap<(NoticeKind, &str, String), &NoticeRow> = BTreeMap::new();
        let subscription =
            |id: &str| ours.iter().find_map(|c| Some((c, c.subscriptions.iter().find(|s| s.id == id)?)));
        for row in rows {
            let occurrence = row.occurrence.as_str();
            let (kind, fact) = match row.kind {
                // A failed try is told in one of two ways.
                NoticeKind::PaymentActionRequired => (NoticeKind::PaymentFailed, occurrence.to_owned()),
                // Whatever took it: access ends once at a moment.
                NoticeKind::AccessEnded => {
                    (row.kind, occurrence.split_once(':').map_or("", |(_, at)| at).to_owned())
                }
                kind => (kind, occurrence.to_owned()),
            };
            if let Some(first) = facts.insert((kind, &row.object, fact), row) {
                let detail = format!("{row:?} is what {first:?} is");
                self.violation("I2", format!("told twice: {detail}"));
            }
            let never = match row.kind {
                NoticeKind::GraceEnding => subscription(&row.object).is_none_or(|(customer, found)| {
                    !customer.invoices.iter().any(|i| {
                        i.subscription.as_ref() == Some(&found.id)
                            && stamp(i.finalized_at.unwrap_or(i.created)) == occurrence
                    })
                }),
                NoticeKind::SubscriptionCancelled => {
                    !self.cancelled.contains(&(row.object.clone(), occurrence.to_owned()))
                }
                NoticeKind::TrialEnding => {
                    let end = occurrence.split('/').next().unwrap_or_default();
                    !self.trials.contains(&(row.object.clone(), end.to_owned()))
                }
                NoticeKind::PlanChanged | NoticeKind::AccessEnded if row.object.starts_with("sub_") => {
                    subscription(&row.object).is_none()
                }
                _ => false,
            };
            if never {
                self.violation("I2", format!("told, and never was: {row:?}"));
            }
            let early = row.about.is_some_and(|about| about.since(row.created_at) > EARLIEST_MS);
            if early || row.about.is_some_and(|about| about <= row.created_at) {
                self.violation("I2", format!("told too early or too late: {row:?}"));
            }
        }
        let mut changes: BTreeMap<&str, u64> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.kind == NoticeKind::PlanChanged) {
            *changes.entry(&row.object).or_default() += 1;
        }
        for (id, count) in changes {
            let most = self.versions.get(id).map_or(0, |all| {
                all.windows(2).filter(|pair| matches!(pair, [a, b] if a.shape.items != b.shape.items)).count()
                    as u64
            });
            if count > most {
                self.violation("I2", format!("{id} was changed {most} times, and told {count} times"));
            }
        }
    }

    /// What was paid and what went back is told, once somebody has seen the buyer.
    fn money_is_told(&mut self, told: &Told<'_>, customer: &CustomerLedger) {
        let seen =
            customer.subscriptions.iter().filter_map(|found| self.first_seen.get(&found.id)).min().copied();
        let Some(seen) = seen else { return };
        let old = |at_s: i64| at_s * 1_000 < seen || at_s * 1_000 > told.now - YOUNG_MS;
        let mut missing = Vec::new();
        for invoice in customer.invoices.iter().filter(|i| i.status == "paid" && i.amount_paid > 0) {
            if invoice.paid_at.is_none_or(old) {
                continue;
            }
            if !told.has(&[NoticeKind::Receipt], &invoice.id, |_| true) {
                missing.push(format!("the payment of {}", invoice.id));
            }
        }
        for refund in customer.refunds.iter().filter(|refund| refund.status == "succeeded") {
            if !old(refund.created) && !told.has(&[NoticeKind::RefundMade], &refund.id, |_| true) {
                missing.push(format!("the refund {}", refund.id));
            }
        }
        if let Some(missing) = missing.first() {
            let id = customer.metadata.get("quittance_customer").map_or("", String::as_str);
            self.violation("I2", format!("{id} was never told of {missing}"));
        }
    }

    /// What is so now and should have been told, and was not.
    fn untold(
        &self,
        told: &Told<'_>,
        customer: &CustomerLedger,
        found: &LedgerSubscription,
        sim: &Sim,
    ) -> Option<&'static str> {
        let seen = *self.first_seen.get(&found.id)?;
        let now = told.now;
        let ms = |at: i64| at * 1_000;
        let ends = found.cancel_at.or(found.cancel_at_period_end.then_some(found.current_period_end));
        let goes_on = |at: i64| ends.is_none_or(|end| end > at);
        let id = found.id.as_str();
        let newest = customer.invoices.iter().find(|i| Some(&i.id) == found.latest_invoice.as_ref());
        if let Some(at) = found.canceled_at
            && ms(at) >= seen
            && ms(at) < now - YOUNG_MS
            && (found.status == "canceled" || ends.is_some())
            && !told.has(&[NoticeKind::SubscriptionCancelled], id, |o| o == stamp(at))
        {
            return Some("its cancellation");
        }
        if let Some(invoice) = newest
            && invoice.status == "paid"
            && invoice.paid_at.is_some_and(|at| ms(at) < now - YOUNG_MS)
            && told
                .has(&[NoticeKind::PaymentFailed, NoticeKind::PaymentActionRequired], &invoice.id, |_| true)
            && !told.has(&[NoticeKind::PaymentRecovered], &invoice.id, |_| true)
        {
            return Some("the payment that had failed and was made");
        }
        match found.status.as_str() {
            "trialing" => {
                let end = found.trial_end?;
                let due = ms(end) - now < TRIAL_TOLD_MS - YOUNG_MS && now < ms(end) - MOST_SKEW_MS;
                let missing = due
                    && goes_on(end)
                    && now - ms(found.created) > YOUNG_MS
                    && !told.has(&[NoticeKind::TrialEnding], id, |o| o.starts_with(&stamp(end)));
                missing.then_some("the end of its trial")
            }
            "active" => {
                let (start, end) = (found.current_period_start, found.current_period_end);
                let long = end - start >= LONG_DAYS * 86_400;
                let due = ms(end) - now < RENEWAL_TOLD_MS - YOUNG_MS && now < ms(end) - MOST_SKEW_MS;
                let missing = long
                    && due
                    && !found.paused
                    && goes_on(end)
                    && !told.has(&[NoticeKind::RenewalAhead], id, |o| o.starts_with(&stamp(end)));
                missing.then_some("its renewal")
            }
            "past_due" => {
                let since = failing_since(&customer.invoices, id)?;
                let invoice = newest.filter(|i| i.status == "open" && i.attempts > 0)?;
                let failed = [NoticeKind::PaymentFailed, NoticeKind::PaymentActionRequired];
                let tried = invoice.finalized_at.unwrap_or(invoice.created);
                if ms(tried) >= seen
                    && ms(tried) < now - YOUNG_MS
                    && !told.has(&failed, &invoice.id, |o| o == invoice.attempts.to_string())
                {
                    return Some("its failed payment");
                }
                let policy = &sim.plan.settings.access;
                let grace = i64::from(policy.grace_days) * DAY_MS;
                let until = ms(since) + grace;
                let early = (i64::from(sim.plan.settings.notices.grace_ending_days) * DAY_MS).min(grace / 2);
                if ends.is_none() && now > until - early + YOUNG_MS && now < until - MOST_SKEW_MS {
                    let missing = !told.has(&[NoticeKind::GraceEnding], id, |o| o == stamp(since));
                    return missing.then_some("the end of its grace");
                }
                None
            }
            _ => None,
        }
    }

    /// A notice of something that still is so was sent, and not held back as old news.
    fn what_is_so_was_sent(&mut self, sim: &Sim, rows: &[NoticeRow], ours: &[&CustomerLedger]) {
        // What was paid stays so; that a trial has begun need not.
        let free = |row: &NoticeRow| {
            ours.iter().flat_map(|c| &c.invoices).any(|i| i.id == row.object && i.amount_paid == 0)
        };
        let kept: Vec<String> = rows
            .iter()
            .filter(|row| row.kind == NoticeKind::Receipt && !free(row))
            .map(|row| format!("notice/{}", row.seq))
            .collect();
        let read = self.read(sim, move |tx| {
            kept.iter()
                .map(|key| Ok((key.clone(), deliveries::by_key(tx, Channel::Mail, key)?)))
                .collect::<quittance_store::Result<Vec<_>>>()
        });
        for (key, row) in read.into_iter().flatten() {
            if row.as_ref().is_none_or(|row| row.state != DeliveryState::Delivered) {
                self.violation("I2", format!("{key} is a receipt and was not sent: {row:?}"));
            }
        }
    }
}

impl Record {
    /// The mirror holds that a subscription stands beside another one and goes; somebody else may have ended it first.
    pub(super) fn is_one_too_many(&mut self, sim: &Sim, id: &str) -> bool {
        let id = id.to_owned();
        let row = self.read(sim, move |tx| mirror::subscription(tx, &id)).flatten();
        row.is_some_and(|row| matches!(row.subscription.duplicate, Some(Duplicate::Cancel { .. })))
    }

    /// Why a notice must not be sent by what the mirror has at this moment; `None` when it may.
    pub fn is_old_news(&mut self, sim: &Sim, notice: &NoticeRow) -> Option<String> {
        let object = notice.object.clone();
        let row = self.read(sim, move |tx| mirror::subscription(tx, &object)).flatten()?;
        let (found, now) = (&row.subscription, Timestamp::from_ms(sim.scheduler.now_ms()));
        let status = found.facts.status.as_str();
        let ends = found.facts.ends_at();
        let by = |at: Timestamp| ends.is_some_and(|end| end <= at);
        let near = found.standing.until().is_some_and(|at| at.since(now).abs() < MOST_SKEW_MS);
        let old = match notice.kind {
            NoticeKind::AccessEnded => found.standing.at(now).allows() && !near,
            NoticeKind::SubscriptionCancelled => status != "canceled" && ends.is_none(),
            NoticeKind::TrialEnding => status != "trialing" || notice.about.is_some_and(by),
            NoticeKind::RenewalAhead => status != "active" || notice.about.is_some_and(by),
            NoticeKind::GraceEnding => status != "past_due" || !found.standing.at(now).allows() && !near,
            NoticeKind::PlanChanged => matches!(status, "canceled" | "incomplete_expired"),
            _ => false,
        };
        old.then(|| format!("{} is {status}, {:?}, and ends at {ends:?}", found.facts.id, found.standing))
    }
}
