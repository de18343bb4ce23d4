//! An operator's money: refunds by payment, whole and in part, twice at once and again under their key, and disputes that are
//! contested or accepted; and what must have come of them at the provider.

use std::collections::BTreeMap;
use std::sync::Arc;

use quittance_domain::refund::RefundReason;
use quittance_domain::time::{DAY_MS, HOUR_MS};
use quittance_engine::Engine;
use quittance_engine::idempotency::{Answer, Ended, Request};
use quittance_engine::refunds::{NewRefund, RefundOf};
use quittance_sandbox::CustomerLedger;

use crate::actors::is_final;
use crate::chance::Chance;
use crate::gifts::{Known, operator, refusal};
use crate::sim::{Sim, Violation};

/// How often a call is made again whose answer was lost.
const TRIES: usize = 5;

/// One refund, as its operator knows it.
#[derive(Debug, Clone)]
pub struct Refund {
    payment: String,
    /// What was asked for, in minor units; `None` is all that was left.
    amount: Option<i64>,
    known: Known,
    /// The provider's refund, once somebody has told.
    id: String,
}

/// Everything that gave money back.
#[derive(Debug, Default)]
pub struct Refunds {
    /// By our API.
    asked: Vec<Refund>,
    /// At the provider's dashboard, by the provider's id.
    elsewhere: Vec<String>,
}

impl Refunds {
    /// Somebody gave money back at the provider.
    pub fn made_elsewhere(&mut self, id: String) {
        self.elsewhere.push(id);
    }
}

/// An operator who gives money back and answers disputes, now and then.
pub async fn accountant(sim: Arc<Sim>) {
    let mut chance = Chance::new(sim.plan.seed, "accountant");
    while !sim.is_over() {
        let most = (sim.plan.length_ms / 6).max(DAY_MS);
        sim.sleep(chance.between(HOUR_MS, most)).await;
        if chance.per_mille(700) {
            give_back(&sim, &mut chance).await;
        } else {
            answer_dispute(&sim, &mut chance).await;
        }
    }
}

async fn refund_once(engine: Engine, key: String, new: NewRefund) -> Ended {
    let caller = operator();
    let body = format!("{:?} {:?}", new.of, new.amount);
    let request = Request::new(Arc::clone(&caller), Some(key), "POST", "/v1/refunds", body.as_bytes());
    let work = |seed: Option<String>| {
        let (engine, caller, new) = (engine.clone(), Arc::clone(&caller), new.clone());
        async move {
            let made = engine.refund(&new, &caller, seed.as_deref()).await?;
            Ok(Answer { status: 200, body: made.refund.unwrap_or_default() })
        }
    };
    engine.once(&request, refusal, work).await
}

/// What an answer tells; `None` when the call is to be made again.
fn learnt(answer: Option<Ended>) -> Option<(Known, String)> {
    match answer {
        Some(Ended::Done(answer)) => Some((Known::Yes, answer.body)),
        Some(Ended::Replayed(answer)) if answer.status == 200 => Some((Known::Yes, answer.body)),
        // A refusal is given again, too: it was not the last word when money may have moved.
        Some(Ended::Replayed(_)) => Some((Known::Maybe, String::new())),
        Some(Ended::Refused(problem, _)) if is_final(&problem) => Some((Known::No, String::new())),
        Some(Ended::Refused(..)) | None => None,
    }
}

async fn give_back(sim: &Arc<Sim>, chance: &mut Chance) {
    let charges: Vec<(String, i64)> = sim
        .sandbox
        .ledger()
        .customers
        .iter()
        .flat_map(|c| &c.charges)
        .filter(|c| c.paid && c.amount_refunded < c.amount)
        .map(|c| (c.payment_intent.clone(), c.amount - c.amount_refunded))
        .collect();
    let Some((payment, left)) = chance.pick(&charges).cloned() else { return };
    let amount = chance.per_mille(500).then(|| chance.between(1, left));
    let new = NewRefund {
        of: RefundOf::Payment(payment.clone()),
        amount,
        currency: None,
        reason: RefundReason::RequestedByCustomer,
        credit_note: chance.per_mille(700),
        out_of_band: false,
    };
    let number = {
        let refunds = &mut sim.record().refunds;
        refunds.asked.push(Refund {
            payment: payment.clone(),
            amount,
            known: Known::Maybe,
            id: String::new(),
        });
        refunds.asked.len() - 1
    };
    let key = format!("refund {number}");
    let twice = chance.per_mille(300);
    for _ in 0..TRIES {
        let call = |draw| {
            let (key, new) = (key.clone(), new.clone());
            sim.call(draw, move |engine| refund_once(engine, key, new))
        };
        let (first, second) = (chance.draw(), chance.draw());
        let told: Vec<(Known, String)> = if twice {
            let (one, other) = futures_util::future::join(call(first), call(second)).await;
            [one, other].into_iter().filter_map(learnt).collect()
        } else {
            learnt(call(first).await).into_iter().collect()
        };
        if let [(_, one), (_, other)] = told.as_slice()
            && !one.is_empty()
            && !other.is_empty()
            && one != other
        {
            sim.record().violation("I8", format!("one key gave two refunds: {one} and {other}"));
        }
        let known = told.iter().find(|(known, _)| *known == Known::Yes).or(told.first()).cloned();
        let Some((known, id)) = known else {
            sim.sleep(chance.between(1_000, 90_000)).await;
            continue;
        };
        sim.tell("operator", format_args!("gives {amount:?} of {payment} back: {known:?} {id}"));
        if let Some(refund) = sim.record().refunds.asked.get_mut(number) {
            (refund.known, refund.id) = (known, id);
        }
        return;
    }
}

async fn answer_dispute(sim: &Arc<Sim>, chance: &mut Chance) {
    let ledger = sim.sandbox.ledger();
    let open: Vec<String> = ledger
        .customers
        .iter()
        .flat_map(|c| &c.disputes)
        .filter(|d| d.status == "needs_response")
        .map(|d| d.id.clone())
        .collect();
    let Some(id) = chance.pick(&open).cloned() else { return };
    let accepts = chance.per_mille(400);
    let called = id.clone();
    let answer = sim
        .call(chance.draw(), move |engine| async move {
            let by = operator();
            if accepts {
                engine.accept_dispute_of(&called, &by).await
            } else {
                engine.contest_dispute(&called, None, &by).await
            }
        })
        .await;
    let word = if accepts { "accepts" } else { "contests" };
    match answer {
        Some(Ok(row)) => {
            sim.tell("operator", format_args!("{word} {id}: {}", row.facts.status.as_str()));
        }
        Some(Err(problem)) => sim.tell("operator", format_args!("{word} {id}: {}", problem.code.as_str())),
        None => sim.tell("operator", format_args!("{word} {id}: no answer")),
    }
}

impl Refunds {
    /// In the end: what an operator was told was given back went back once, and nothing went back that nobody asked for.
    /// `ours` tells of which charges we give back by ourselves.
    pub fn broken(&self, customer: &CustomerLedger, ours: impl Fn(&str) -> bool) -> Option<Violation> {
        let payments: BTreeMap<&str, &str> =
            customer.charges.iter().map(|c| (c.id.as_str(), c.payment_intent.as_str())).collect();
        let violation = |detail: String| Some(Violation { invariant: "I2", detail });
        let mut doubtful: Vec<&Refund> = self.asked.iter().filter(|r| r.known == Known::Maybe).collect();
        for refund in &customer.refunds {
            let payment = payments.get(refund.charge.as_str()).copied().unwrap_or_default();
            let told: Vec<&Refund> = self.asked.iter().filter(|r| r.id == refund.id).collect();
            match told.as_slice() {
                [] => {}
                [one]
                    if one.payment == payment && one.amount.is_none_or(|amount| amount == refund.amount) =>
                {
                    continue;
                }
                _ => return violation(format!("{} was told as {told:?} and is {refund:?}", refund.id)),
            }
            if self.elsewhere.contains(&refund.id) || ours(&refund.charge) {
                continue;
            }
            // One of which all was asked for may be of any amount: those of a named amount are taken first.
            let of = |wanted: Option<i64>| {
                doubtful.iter().position(|r| r.payment == payment && r.amount == wanted)
            };
            match of(Some(refund.amount)).or_else(|| of(None)) {
                Some(at) => drop(doubtful.remove(at)),
                None => return violation(format!("{refund:?} was asked for by nobody: {:?}", self.asked)),
            }
        }
        let own = |payment: &str| customer.charges.iter().any(|c| c.payment_intent == payment);
        let lost = self.asked.iter().find(|r| {
            let made = !r.id.is_empty() && customer.refunds.iter().any(|refund| refund.id == r.id);
            r.known == Known::Yes && own(&r.payment) && !made
        });
        lost.and_then(|refund| violation(format!("{refund:?} was told and is not at the provider")))
    }
}
