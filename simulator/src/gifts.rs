//! What an operator gives by hand and takes back: what was acknowledged stands, each gift is given once, and it gives
//! access until it ends.

use std::sync::Arc;

use quittance_domain::ids::ApiKeyId;
use quittance_domain::time::DAY_MS;
use quittance_domain::{Catalog, CustomerId, Timestamp};
use quittance_engine::api_keys::Caller;
use quittance_engine::grants::NewGrant;
use quittance_engine::idempotency::{Answer, Ended, Request};
use quittance_engine::{Engine, Problem};
use quittance_store::grants::GrantRow;

use crate::actors::buyer_id;
use crate::chance::Chance;
use crate::sim::{Sim, Violation};

/// How often a call is made again whose answer was lost.
const TRIES: usize = 5;

/// What is known of a change that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was not made.
    No,
    /// Nobody answered.
    Maybe,
    /// It was acknowledged.
    Yes,
}

/// One gift, as its giver knows it.
#[derive(Debug, Clone)]
pub struct Gift {
    buyer: String,
    /// Its reason, which no other gift has.
    reason: String,
    plan: Option<String>,
    feature: Option<String>,
    expires_at: Option<Timestamp>,
    given: Known,
    id: String,
    revoked: Known,
}

/// Who gives by hand.
pub(crate) fn operator() -> Arc<Caller> {
    Arc::new(Caller { key: ApiKeyId::derived(&["simulated operator"]), scopes: Vec::new() })
}

/// A problem in the words of no protocol: only whether it may be tried again counts.
pub fn refusal(problem: &Problem) -> Answer {
    Answer { status: 400, body: problem.code.as_str().to_owned() }
}

async fn give_once(engine: Engine, customer: CustomerId, key: String, new: NewGrant) -> Ended {
    let caller = operator();
    let path = format!("/v1/customers/{customer}/grants");
    let request = Request::new(Arc::clone(&caller), Some(key), "POST", &path, new.reason.as_bytes());
    let work = |seed| {
        let (engine, caller) = (engine.clone(), Arc::clone(&caller));
        let new = NewGrant { idempotency: seed, ..new };
        async move {
            let row = engine.grant(&customer, &new, &caller).await?;
            Ok(Answer { status: 201, body: row.id.to_string() })
        }
    };
    engine.once(&request, refusal, work).await
}

/// Gives a plan or a feature to some buyer.
pub async fn give(sim: &Arc<Sim>, chance: &mut Chance) {
    let index = usize::try_from(chance.below(sim.plan.buyers as u64)).unwrap_or(0);
    let Ok(customer) = CustomerId::parse(&buyer_id(index)) else { return };
    let plans: Vec<String> = sim.catalog.plans().iter().map(|plan| plan.key.to_string()).collect();
    let features: Vec<String> = sim.catalog.features().iter().map(|f| f.key.to_string()).collect();
    let by_plan = chance.per_mille(500);
    let days = chance.between(0, 60);
    let number = sim.record().gifts.len();
    let gift = Gift {
        buyer: customer.to_string(),
        reason: format!("gift {number}"),
        plan: chance.pick(&plans).filter(|_| by_plan).cloned(),
        feature: chance.pick(&features).filter(|_| !by_plan).cloned(),
        expires_at: (days > 0).then(|| Timestamp::from_ms(sim.scheduler.now_ms() + days * DAY_MS)),
        given: Known::Maybe,
        id: String::new(),
        revoked: Known::No,
    };
    let new = NewGrant {
        plan: gift.plan.clone(),
        feature: gift.feature.clone(),
        limit: None,
        expires_at: gift.expires_at,
        reason: gift.reason.clone(),
        idempotency: None,
    };
    let key = gift.reason.clone();
    sim.record().gifts.push(gift);
    for _ in 0..TRIES {
        let (buyer, key, gift) = (customer.clone(), key.clone(), new.clone());
        let answer = sim.call(chance.draw(), move |engine| give_once(engine, buyer, key, gift)).await;
        let (given, id) = match answer {
            Some(Ended::Done(answer)) => (Known::Yes, answer.body),
            // A refusal is given again, too.
            Some(Ended::Replayed(answer)) if answer.status != 201 => (Known::No, String::new()),
            Some(Ended::Replayed(answer)) => (Known::Yes, answer.body),
            Some(Ended::Refused(problem, _)) if problem.retry_after_s.is_none() => (Known::No, String::new()),
            Some(Ended::Refused(..)) | None => {
                sim.sleep(chance.between(1_000, 90_000)).await;
                continue;
            }
        };
        sim.tell("operator", format_args!("gives {customer} {new:?}: {given:?}"));
        if let Some(gift) = sim.record().gifts.get_mut(number) {
            (gift.given, gift.id) = (given, id);
        }
        return;
    }
}

/// Takes some gift back.
pub async fn take_back(sim: &Arc<Sim>, chance: &mut Chance) {
    let standing = |gift: &Gift| gift.given == Known::Yes && gift.revoked == Known::No;
    let candidates: Vec<usize> =
        sim.record().gifts.iter().enumerate().filter(|(_, g)| standing(g)).map(|(index, _)| index).collect();
    let Some(number) = chance.pick(&candidates).copied() else { return };
    let Some(gift) = sim.record().gifts.get(number).cloned() else { return };
    let Ok(customer) = CustomerId::parse(&gift.buyer) else { return };
    let know = |known| {
        if let Some(gift) = sim.record().gifts.get_mut(number) {
            gift.revoked = known;
        }
    };
    know(Known::Maybe);
    for _ in 0..TRIES {
        let (customer, id) = (customer.clone(), gift.id.clone());
        let revoke = move |engine: Engine| async move {
            engine.revoke_grant(&customer, &id, &operator()).await.map_err(|problem| problem.code)
        };
        match sim.call(chance.draw(), revoke).await {
            Some(Ok(())) => {
                sim.tell("operator", format_args!("takes {} of {} back", gift.reason, gift.buyer));
                return know(Known::Yes);
            }
            Some(Err(_)) | None => sim.sleep(chance.between(1_000, 90_000)).await,
        }
    }
}

/// Whether a buyer has a feature by some gift; `None` where nobody can know.
pub fn gives(gifts: &[Gift], buyer: &str, feature: &str, catalog: &Catalog, now: Timestamp) -> Option<bool> {
    let has = |gift: &Gift| {
        let by_plan = gift.plan.as_deref().and_then(|plan| catalog.plan(plan));
        gift.feature.as_deref() == Some(feature)
            || by_plan.is_some_and(|plan| plan.features.get(feature).is_some())
    };
    let of_buyer = gifts
        .iter()
        .filter(|gift| gift.buyer == buyer && has(gift) && gift.expires_at.is_none_or(|end| now < end));
    let mut unsure = false;
    for gift in of_buyer {
        match (gift.given, gift.revoked) {
            (Known::Yes, Known::No) => return Some(true),
            (Known::No, _) | (_, Known::Yes) => {}
            (Known::Maybe, _) | (_, Known::Maybe) => unsure = true,
        }
    }
    (!unsure).then_some(false)
}

/// What is stored of a buyer's gifts is what their giver was told.
pub fn broken(gifts: &[Gift], buyer: &str, stored: &[GrantRow]) -> Option<Violation> {
    for gift in gifts.iter().filter(|gift| gift.buyer == buyer) {
        let rows: Vec<&GrantRow> = stored.iter().filter(|row| row.reason == gift.reason).collect();
        let (invariant, what) = match (gift.given, rows.as_slice()) {
            (_, [_, _, ..]) => ("I2", "was given twice"),
            (Known::Yes, []) => ("I1", "was acknowledged and is not stored"),
            (Known::No, [_]) => ("I2", "was refused and is stored"),
            (_, [row]) if gift.revoked == Known::Yes && row.revoked_at.is_none() => {
                ("I1", "was taken back and stands")
            }
            (_, [row]) if gift.revoked == Known::No && row.revoked_at.is_some() => {
                ("I2", "was taken back by nobody")
            }
            (Known::Yes | Known::Maybe, [_]) | (Known::No | Known::Maybe, []) => continue,
        };
        return Some(Violation { invariant, detail: format!("{} of {buyer} {what}", gift.reason) });
    }
    None
}
