//! The checkers of the end: after the faults, when nothing is left to do, everything must agree.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use quittance_domain::AccessPolicy;
use quittance_domain::catalog::Interval;
use quittance_domain::checkout::CheckoutState;
use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_domain::fraud::Level;
use quittance_domain::notices::NoticeKind;
use quittance_sandbox::{CustomerLedger, Ledger, LedgerSubscription};
use quittance_store::deliveries::DeliveryRow;
use quittance_store::inbox::{self, EventRow};
use quittance_store::notices::NoticeRow;
use quittance_store::{aggregates, checkouts, commands, deliveries, grants, mirror, notices, outbox};
use serde_json::Value;

use super::{Record, Shape, payment_came_back, provider_grants, scope, stands};
use crate::actors::buyer_id;
use crate::gifts;
use crate::plan::MOST_SKEW_MS;
use crate::sim::{Sim, Violation};

impl Record {
    /// After faults have stopped and all is done: everything must agree.
    pub fn in_the_end(&mut self, sim: &Sim) {
        let ledger = sim.sandbox.ledger();
        self.everybody_is_up(sim);
        self.inbox_is_whole(sim);
        self.nothing_twice(sim, &ledger);
        self.everything_left(sim);
        for index in 0..sim.plan.buyers {
            let id = buyer_id(index);
            let ours: Vec<&CustomerLedger> = ledger
                .customers
                .iter()
                .filter(|c| c.metadata.get("quittance_customer") == Some(&id))
                .collect();
            for customer in ours {
                self.mirror_is_true(sim, &id, customer);
                self.one_live_each(customer);
                self.money_is_mirrored(sim, customer);
                self.only_what_was_asked_went_back(sim, &id, customer);
                self.access_is_true(sim, &id, customer);
                self.shut_out_is_not_charged(&id, customer);
                self.tries_are_ours(sim, &id, customer);
                self.plans_are_true(sim, customer);
            }
            self.gifts_stand(sim, &id);
        }
        for customer in &ledger.customers {
            self.figures.subscriptions += customer.subscriptions.len() as u64;
            self.figures.payments += customer.charges.iter().filter(|c| c.paid).count() as u64;
            self.figures.duplicates +=
                customer.subscriptions.iter().filter(|s| mended(s).is_some()).count() as u64;
        }
        self.figures.provider_calls = sim.sandbox.provider_calls().values().sum();
        self.figures.events = sim.sandbox.events_made();
        self.books_are_true(sim);
        self.changes_are_as_quoted(sim);
        self.one_trial_each(sim, &ledger);
        self.customers_are_told(sim, &ledger);
        self.app_is_told(sim, &ledger);
        self.life_is_as_its_table(sim);
        self.work_was_bounded(sim);
    }

    /// In a quiet world every node runs, and a sweep finds nothing.
    fn everybody_is_up(&mut self, sim: &Sim) {
        let engines = sim.engines();
        if engines.len() != sim.plan.nodes || engines.iter().any(|(_, _, paused)| *paused) {
            self.violation("I3", format!("{} of {} nodes run", engines.len(), sim.plan.nodes));
        }
        match self.last_sweep {
            Some(0) => {}
            Some(found) => self.violation("I3", format!("a last sweep finds {found} differences")),
            None => self.violation("I3", "no last sweep was let run"),
        }
    }

    /// What came back of a payment, and whether it is disputed, is mirrored.
    fn money_is_mirrored(&mut self, sim: &Sim, customer: &CustomerLedger) {
        for charge in customer.charges.iter().filter(|c| c.paid) {
            let payment = charge.payment_intent.clone();
            let row = self.read(sim, move |tx| mirror::payment(tx, &scope(), &payment)).flatten();
            let disputes: BTreeMap<&str, &str> = customer
                .disputes
                .iter()
                .filter(|d| d.charge == charge.id)
                .map(|d| (d.id.as_str(), d.status.as_str()))
                .collect();
            let Some(row) = row else {
                if charge.amount_refunded > 0 || disputes.values().any(|status| stands(status)) {
                    let detail =
                        format!("{} is refunded or disputed and not mirrored", charge.payment_intent);
                    self.violation("I3", detail);
                }
                continue;
            };
            let facts = &row.facts;
            let mirrored: BTreeMap<&str, &str> =
                facts.disputes.iter().map(|d| (d.id.as_str(), d.status.as_str())).collect();
            // One that was over before anybody looked has left no sign on the payment, and took nothing.
            let mut wanted = disputes;
            wanted.retain(|id, status| stands(status) || mirrored.contains_key(id));
            let ours = (facts.amount.minor, facts.refunded.minor, mirrored);
            let wanted = (charge.amount, charge.amount_refunded, wanted);
            if ours != wanted {
                let detail = format!("{} is mirrored as {ours:?} and is {wanted:?}", charge.payment_intent);
                self.violation("I3", detail);
            }
        }
    }

    /// Money goes back because somebody gave it, or because it was charged for one too many.
    fn only_what_was_asked_went_back(&mut self, sim: &Sim, buyer: &str, customer: &CustomerLedger) {
        let twins = |prices: &[String]| {
            let paid = customer.sessions.iter().filter(|s| s.once && s.payment_status == "paid");
            paid.filter(|s| s.prices == prices).count() > 1
        };
        let mut spare: Vec<String> = Vec::new();
        for charge in customer.charges.iter().filter(|c| c.amount_refunded > 0) {
            let invoice = customer.invoices.iter().find(|i| Some(&i.id) == charge.invoice.as_ref());
            let of = invoice.and_then(|i| i.subscription.as_ref());
            let found = customer.subscriptions.iter().find(|s| Some(&s.id) == of);
            let by_subscription =
                found.is_some_and(|s| mended(s).is_some() || self.is_one_too_many(sim, &s.id));
            let session = customer
                .sessions
                .iter()
                .find(|s| s.once && s.payment_intent.as_ref() == Some(&charge.payment_intent));
            let shut_out = self.suspensions.were_standing(buyer, charge.created);
            if by_subscription || shut_out || session.is_some_and(|s| twins(&s.prices)) {
                spare.push(charge.id.clone());
            }
        }
        if let Some(broken) = self.refunds.broken(customer, |charge| spare.iter().any(|id| id == charge)) {
            self.violation(broken.invariant, broken.detail);
        }
    }

    fn inbox_is_whole(&mut self, sim: &Sim) {
        let mut stored: BTreeMap<String, EventRow> = BTreeMap::new();
        let mut cursor = i64::MAX;
        loop {
            let Some(page) = self.read(sim, move |tx| inbox::list(tx, cursor, None, 500)) else { return };
            let Some(last) = page.last() else { break };
            cursor = last.seq;
            for row in page {
                // By its own words: what is stored under another name is the same event.
                let told: Option<Value> = serde_json::from_str(&row.payload).ok();
                let told = told.as_ref().and_then(|told| told.get("id")).and_then(Value::as_str);
                let id = told.unwrap_or(&row.event_id).to_owned();
                if stored.insert(id.clone(), row).is_some() {
                    self.violation("I2", format!("{id} is in the inbox twice"));
                }
            }
        }
        for id in self.acknowledged.clone().into_keys() {
            match stored.get(&id) {
                None => self.violation("I1", format!("{id} was acknowledged and is not stored")),
                Some(row) if !row.processed => {
                    self.violation(
                        "I1",
                        format!("{id} was acknowledged and never synced ({})", row.aggregate),
                    );
                }
                // A sweep that stores what was lost again has been told of none of its copies.
                Some(row) if row.deliveries < self.copies.get(&id).copied().unwrap_or(0) => {
                    let copies = self.copies.get(&id).copied().unwrap_or(0);
                    let detail =
                        format!("{id} was acknowledged {copies} times and came {} times", row.deliveries);
                    self.violation("I1", detail);
                }
                Some(_) => {}
            }
        }
        if let Some(id) = self.forged.clone().iter().find(|id| stored.contains_key(*id)) {
            self.violation("I9", format!("the forgery {id} is in the inbox"));
        }
    }

    /// A failed payment is told once for each try that the provider counts, and for each of ours.
    fn nothing_twice(&mut self, sim: &Sim, ledger: &Ledger) {
        let tries = self.tries(sim, ledger);
        for index in 0..sim.plan.buyers {
            let id = buyer_id(index);
            let Some(notices) =
                self.read(sim, move |tx| notices::of_customer(tx, &id, i64::MAX, None, 10_000))
            else {
                return;
            };
            let mut told: BTreeMap<&str, i64> = BTreeMap::new();
            for notice in notices.iter().filter(|notice| notice.kind == NoticeKind::PaymentFailed) {
                *told.entry(&notice.object).or_default() += 1;
            }
            for (invoice, count) in told {
                let most = tries.get(invoice).copied().unwrap_or(0);
                if count > most {
                    let detail = format!("{invoice} was tried {most} times and told {count} times");
                    self.violation("I2", detail);
                }
            }
            self.told_once(&notices, ledger);
        }
    }

    /// What can be so only once is told once, and nothing is told that never was.
    fn told_once(&mut self, notices: &[NoticeRow], ledger: &Ledger) {
        let mut told: BTreeMap<(NoticeKind, &str), i64> = BTreeMap::new();
        for notice in notices {
            let object = notice.object.as_str();
            let mut of = ledger.customers.iter();
            let was = match notice.kind {
                NoticeKind::Receipt | NoticeKind::PaymentRecovered => of.any(|c| {
                    let paid = c.invoices.iter().any(|i| i.id == object && i.status == "paid");
                    paid || c.sessions.iter().any(|s| s.id == object && s.payment_status == "paid")
                }),
                NoticeKind::RefundMade => of.any(|c| c.refunds.iter().any(|r| r.id == object)),
                // Their natural key has the attempt, the moment or the change in it.
                _ => continue,
            };
            let count = told.entry((notice.kind, object)).or_default();
            *count += 1;
            if *count > 1 || !was {
                let detail =
                    format!("{} of {object}: told {count} times, and was so: {was}", notice.kind.as_str());
                self.violation("I2", detail);
            }
        }
    }

    /// What was written down to be sent has arrived, what was given up after it was sent again; and no try failed by
    /// itself.
    fn everything_left(&mut self, sim: &Sim) {
        let mut cursor = i64::MAX;
        loop {
            let page =
                self.read(sim, move |tx| deliveries::list(tx, &deliveries::Filter::default(), cursor, 500));
            let Some(page) = page else { return };
            let Some(last) = page.last() else { return };
            cursor = last.seq;
            for row in &page {
                self.figures.sent += 1;
                self.parcel_is_bounded(sim, row);
                self.tries_were_spoilt(sim, row);
                let arrived = match row.channel {
                    Channel::Mail => sim.arrived().has(row.channel, &row.key),
                    Channel::Webhook => {
                        row.key.split(':').next().is_some_and(|id| sim.app().heard.contains_key(id))
                    }
                };
                let over = sim.arrived().is_over(row.channel, &row.key);
                let holds = match row.state {
                    DeliveryState::Delivered => arrived,
                    // The app heard it and its answer was lost; its event was forgotten before it was sent again by hand.
                    DeliveryState::Suppressed => over || row.channel == Channel::Webhook && arrived,
                    DeliveryState::Pending | DeliveryState::Failed => false,
                };
                if !holds {
                    let detail = format!(
                        "{} is {}, arrived: {arrived}, held back: {over}: {:?}",
                        row.key,
                        row.state.as_str(),
                        row.last_error
                    );
                    self.violation("I1", detail);
                }
            }
        }
    }

    /// A try that failed is one that a fault spoilt.
    fn tries_were_spoilt(&mut self, sim: &Sim, row: &DeliveryRow) {
        if row.attempts <= 1 {
            return;
        }
        let seq = row.seq;
        let Some(tries) = self.read(sim, move |tx| deliveries::attempts(tx, seq, 1_000)) else { return };
        // The disk's faults strike before anybody is asked to carry it.
        let counts = |outcome: &str, detail: &str| {
            matches!(outcome, "retry" | "failed") && !detail.starts_with("the database cannot be used")
        };
        let failed = tries.iter().filter(|t| counts(&t.outcome, &t.detail)).count() as u64;
        let name = match row.channel {
            Channel::Mail => row.key.as_str(),
            Channel::Webhook => row.key.split(':').next().unwrap_or_default(),
        };
        let spoilt = sim.arrived().spoilt(row.channel, name);
        if failed > spoilt {
            let detail = format!("{failed} tries of {} failed, and {spoilt} were spoilt: {tries:?}", row.key);
            self.violation("I1", detail);
        }
    }

    /// Operators hear of what was given up, when it is.
    pub fn given_up_is_told(&mut self, sim: &Sim) {
        self.parked_is_told(sim);
        let failed = deliveries::Filter { state: Some(DeliveryState::Failed), ..Default::default() };
        let read = self.read(sim, move |tx| {
            let failed = deliveries::list(tx, &failed, i64::MAX, 100)?;
            let alerts =
                if failed.is_empty() { Vec::new() } else { outbox::alerts(tx, true, i64::MAX, 1_000)? };
            Ok((failed, alerts))
        });
        let Some((failed, alerts)) = read else { return };
        for row in failed {
            let object = format!("{}/{}", row.channel.as_str(), row.destination);
            let mut told = alerts.iter().filter(|a| a.kind == "delivery_failed" && a.object == object);
            let since = row.finished_at.map(|at| at.plus_ms(-2 * MOST_SKEW_MS));
            if !told.any(|alert| since.is_some_and(|since| alert.last_seen_at >= since)) {
                self.violation("I1", format!("{} was given up and nobody was alerted: {alerts:?}", row.key));
            }
        }
    }

    /// All trouble of these worlds passes: no sync may give up for it. A caller's command may, and operators hear of it.
    fn parked_is_told(&mut self, sim: &Sim) {
        let read = self.read(sim, |tx| {
            let parked = (aggregates::parked(tx, 100)?, commands::parked(tx, 100)?);
            let alerts =
                if parked.1.is_empty() { Vec::new() } else { outbox::alerts(tx, true, i64::MAX, 1_000)? };
            Ok((parked, alerts))
        });
        let Some(((syncs, wishes), alerts)) = read else { return };
        if let Some(row) = syncs.first() {
            self.violation(
                "I3",
                format!("{} is parked, for trouble that passes: {:?}", row.key, row.last_error),
            );
        }
        for row in wishes {
            let object = row.id.to_string();
            let told = alerts.iter().any(|a| a.kind == "command_parked" && a.object == object);
            if !told || row.last_error.is_none() {
                self.violation("I1", format!("{object} ({}) is parked and nobody was alerted", row.kind));
            }
        }
    }

    fn mirror_is_true(&mut self, sim: &Sim, id: &str, customer: &CustomerLedger) {
        let key = id.to_owned();
        let read = self.read(sim, move |tx| {
            let scope = scope();
            Ok((
                mirror::subscriptions_of_customer(tx, &key)?,
                mirror::purchases_of_customer(tx, &key)?,
                checkouts::of_customer(tx, &key, &scope, 10_000)?,
            ))
        });
        let Some((rows, purchases, opened)) = read else { return };
        for found in &customer.subscriptions {
            let wanted = Shape::of_provider(found);
            let row = rows.iter().find(|row| row.subscription.facts.id == found.id);
            match row.map(|row| Shape::of_mirror(&row.subscription)) {
                None => self.violation("I3", format!("{} of {id} is not mirrored", found.id)),
                Some(shape) if shape != wanted => {
                    self.violation("I3", format!("{} is mirrored as {shape:?} and is {wanted:?}", found.id));
                }
                Some(_) => {}
            }
        }
        for session in &customer.sessions {
            let Some(ours) = opened.iter().find(|c| c.session.as_deref() == Some(session.id.as_str())) else {
                self.violation("I3", format!("{} was opened and is not known", session.id));
                continue;
            };
            let unpaid = session.payment_status == "unpaid";
            let agree = match (session.status.as_str(), ours.state) {
                ("open", CheckoutState::Open) => true,
                ("complete", CheckoutState::Complete) => !unpaid,
                ("complete", CheckoutState::Processing) => unpaid && session.underway,
                // The money that was on its way did not come.
                ("complete", CheckoutState::Expired) => unpaid && !session.underway,
                ("expired", CheckoutState::Expired) => true,
                _ => false,
            };
            if !agree {
                let detail =
                    format!("{} is {} and our checkout {:?}", session.id, session.status, ours.state);
                self.violation("I3", detail);
            }
            let once = ours.wish.interval == Interval::Once.as_str();
            let bought = purchases.iter().any(|p| p.facts.id == session.id && p.facts.paid);
            if once && session.payment_status == "paid" && !bought {
                self.violation("I3", format!("{} is paid and not mirrored as a purchase", session.id));
            }
        }
    }

    /// One live subscription for each plan group, and what a second one charged is given back.
    fn one_live_each(&mut self, customer: &CustomerLedger) {
        let mut live: BTreeMap<&str, &str> = BTreeMap::new();
        for found in &customer.subscriptions {
            let ended = matches!(found.status.as_str(), "canceled" | "incomplete_expired" | "incomplete");
            let groups = found.items.iter().filter_map(|(price, _)| self.prices.get(price)).map(|s| &s.group);
            for group in groups.filter(|_| !ended) {
                if let Some(first) = live.insert(group, &found.id) {
                    let detail = format!("{first} and {} are both live in {group}", found.id);
                    self.first.get_or_insert(Violation { invariant: "I7", detail });
                }
            }
        }
        for found in &customer.subscriptions {
            let Some(kept) = mended(found) else { continue };
            if self.all_were_taken(customer, found) {
                let detail =
                    format!("{} was cancelled as the second one, and so was what was kept", found.id);
                self.violation("I7", detail);
            }
            let younger = customer.subscriptions.iter().any(|s| s.id == kept && s.created <= found.created);
            let left: Vec<_> = customer
                .charges
                .iter()
                .filter(|c| c.paid && !c.disputed && c.amount_refunded < c.amount)
                .filter(|c| {
                    customer.invoices.iter().any(|i| {
                        Some(&i.id) == c.invoice.as_ref() && i.subscription.as_ref() == Some(&found.id)
                    })
                })
                .collect();
            if let Some(charge) = left.first().filter(|_| younger) {
                let detail = format!(
                    "{} was cancelled as the second beside {kept}, and {} of {} {} of it were not given back",
                    found.id,
                    charge.amount - charge.amount_refunded,
                    charge.amount,
                    charge.currency
                );
                self.violation("I7", detail);
            }
        }
    }

    /// Whether what was kept beside a second one was itself cancelled beside it: then nothing is left of both.
    fn all_were_taken(&self, customer: &CustomerLedger, found: &LedgerSubscription) -> bool {
        let mut at = found;
        for _ in 0..customer.subscriptions.len() {
            let kept = mended(at).and_then(|kept| customer.subscriptions.iter().find(|s| s.id == kept));
            match kept {
                Some(kept) => at = kept,
                None => return false,
            }
        }
        true
    }

    fn gifts_stand(&mut self, sim: &Sim, id: &str) {
        let buyer = id.to_owned();
        let Some(rows) = self.read(sim, move |tx| grants::of_customer(tx, &buyer)) else { return };
        if let Some(broken) = gifts::broken(&self.gifts, id, &rows) {
            self.violation(broken.invariant, broken.detail);
        }
    }

    fn access_is_true(&mut self, sim: &Sim, id: &str, customer: &CustomerLedger) {
        let policy = &sim.plan.settings.access;
        let free = sim.catalog.free_plan();
        // Where nobody knows whether a buyer is shut out, all answers may be true.
        let Some(shut_out) = self.suspensions.stands(id, Level::All) else { return };
        for (node, engine, _) in sim.engines() {
            let now = sim.now_of(node);
            let held = match engine.held(id).now_or_never() {
                Some(Ok(held)) => held,
                Some(Err(_)) | None => continue,
            };
            for feature in &self.features.clone() {
                let has = |plan: &str| {
                    sim.catalog.plan(plan).is_some_and(|plan| plan.features.get(feature).is_some())
                };
                let by_subscription = customer.subscriptions.iter().any(|found| {
                    let plans = found.items.iter().filter_map(|(price, _)| self.prices.get(price));
                    provider_grants(customer, found, policy, now.seconds())
                        && plans.into_iter().any(|s| has(&s.plan))
                });
                let by_purchase =
                    customer.sessions.iter().filter(|s| s.payment_status == "paid").any(|session| {
                        let plans = session.prices.iter().filter_map(|price| self.prices.get(price));
                        session.once
                            && plans.into_iter().any(|s| has(&s.plan))
                            && !session_came_back(customer, session, policy)
                    });
                let by_nothing = free.is_some_and(|plan| has(plan.key.as_str()));
                // Where nobody knows whether a gift was given, both answers may be true.
                let Some(by_gift) = gifts::gives(&self.gifts, id, feature, &sim.catalog, now) else {
                    continue;
                };
                let bought = by_subscription || by_purchase || by_gift;
                let wanted = by_nothing || bought && !shut_out;
                let holdings = held.as_ref().map_or(&[][..], |held| &held.holdings);
                let said = quittance_engine::entitlements::answer(holdings, feature, now).allowed;
                if said != wanted {
                    let detail = format!(
                        "node {node} says {said} for {id} {feature}; by the provider and by what was given it is {wanted}"
                    );
                    self.violation("I3", detail);
                }
            }
        }
    }
}

fn session_came_back(
    customer: &CustomerLedger,
    session: &quittance_sandbox::LedgerSession,
    policy: &AccessPolicy,
) -> bool {
    let charges =
        customer.charges.iter().filter(|c| Some(&c.payment_intent) == session.payment_intent.as_ref());
    charges.into_iter().any(|c| payment_came_back(customer, &c.id, policy))
}

/// Which subscription stayed, when we ended this one as a second one beside it.
pub(super) fn mended(found: &LedgerSubscription) -> Option<&str> {
    found.cancellation_comment.as_deref()?.strip_prefix("second subscription beside ")
}
