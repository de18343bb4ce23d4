//! An operator who shuts buyers out and lets them in again, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quittance_domain::CustomerId;
use quittance_domain::fraud::Level;
use quittance_domain::time::{DAY_MS, HOUR_MS, SECOND_MS};
use quittance_engine::{Engine, ProblemCode};

use crate::actors::buyer_id;
use crate::chance::Chance;
use crate::gifts::operator;
use crate::sim::Sim;

/// How often a call is made again whose answer was lost.
const TRIES: usize = 5;

/// How it stands with one buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// Shut out, as was acknowledged at a moment, in milliseconds since the Unix epoch.
    Out(Level, i64),
    /// Let in again, as was acknowledged.
    In,
    /// Nobody answered.
    Unknown,
}

/// A time in which somebody may have been shut out of everything, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
struct Episode {
    asked_ms: i64,
    ended_ms: Option<i64>,
}

/// Who is shut out.
#[derive(Debug, Default)]
pub struct Suspensions {
    stands: BTreeMap<String, Stands>,
    episodes: BTreeMap<String, Vec<Episode>>,
    paused: BTreeSet<String>,
}

impl Suspensions {
    /// How it stands with a buyer of whom anything was said.
    #[must_use]
    pub fn of(&self, buyer: &str) -> Option<Stands> {
        self.stands.get(buyer).copied()
    }

    /// Whether a buyer is shut out so far; `None` where nobody knows.
    #[must_use]
    pub fn stands(&self, buyer: &str, level: Level) -> Option<bool> {
        match self.of(buyer) {
            None | Some(Stands::In) => Some(false),
            Some(Stands::Out(stands, _)) => Some(stands >= level),
            Some(Stands::Unknown) => None,
        }
    }

    /// Whether a buyer may have been shut out of everything at a moment, in seconds since the Unix epoch. Clocks differ.
    #[must_use]
    pub fn were_standing(&self, buyer: &str, at_s: i64) -> bool {
        let at = at_s * SECOND_MS;
        self.episodes.get(buyer).into_iter().flatten().any(|episode| {
            let begun = at + crate::plan::MOST_SKEW_MS + SECOND_MS >= episode.asked_ms;
            begun && episode.ended_ms.is_none_or(|ended| at <= ended)
        })
    }

    /// Its buyer pauses a subscription.
    pub fn pauses(&mut self, subscription: &str) {
        self.paused.insert(subscription.to_owned());
    }

    /// Whether its buyer ever asked for a pause of a subscription.
    #[must_use]
    pub fn was_paused(&self, subscription: &str) -> bool {
        self.paused.contains(subscription)
    }

    fn asked(&mut self, buyer: &str, level: Level, now_ms: i64) {
        self.stands.insert(buyer.to_owned(), Stands::Unknown);
        if level == Level::All {
            let episode = Episode { asked_ms: now_ms, ended_ms: None };
            self.episodes.entry(buyer.to_owned()).or_default().push(episode);
        }
    }

    fn let_in(&mut self, buyer: &str, now_ms: i64) {
        self.stands.insert(buyer.to_owned(), Stands::In);
        for episode in self.episodes.get_mut(buyer).into_iter().flatten() {
            episode.ended_ms.get_or_insert(now_ms);
        }
    }
}

/// An operator who shuts somebody out now and then, mostly of everything, and mostly not for ever.
pub async fn warden(sim: Arc<Sim>) {
    let mut chance = Chance::new(sim.plan.seed, "warden");
    sim.app_is_ready().await;
    while !sim.is_over() {
        let most = (sim.plan.length_ms / 4).max(DAY_MS);
        sim.sleep(chance.between(HOUR_MS, most)).await;
        let index = usize::try_from(chance.below(sim.plan.buyers as u64)).unwrap_or(0);
        let Ok(customer) = CustomerId::parse(&buyer_id(index)) else { return };
        let level = if chance.per_mille(750) { Level::All } else { Level::Checkouts };
        suspend(&sim, &mut chance, &customer, level).await;
        sim.sleep(chance.between(HOUR_MS, most)).await;
        if !sim.is_over() && chance.per_mille(750) {
            let_in(&sim, &mut chance, &customer).await;
        }
    }
}

async fn suspend(sim: &Arc<Sim>, chance: &mut Chance, customer: &CustomerId, level: Level) {
    let before = sim.record().suspensions.of(customer.as_str());
    let now = sim.scheduler.now_ms();
    sim.record().suspensions.asked(customer.as_str(), level, now);
    for _ in 0..TRIES {
        let id = customer.clone();
        let call = move |engine: Engine| async move {
            engine.suspend(&id, level, "simulated", &operator()).await.map(drop)
        };
        match sim.call(chance.draw(), call).await {
            Some(Ok(())) => {
                sim.tell("operator", format_args!("shuts {customer} out ({})", level.as_str()));
                let stands = Stands::Out(level, sim.scheduler.now_ms());
                sim.record().suspensions.stands.insert(customer.to_string(), stands);
                return;
            }
            // Nobody has bought yet under this name.
            Some(Err(problem)) if problem.code == ProblemCode::NotFound && before.is_none() => {
                let now = sim.scheduler.now_ms();
                return sim.record().suspensions.let_in(customer.as_str(), now);
            }
            Some(Err(_)) | None => sim.sleep(chance.between(SECOND_MS, 90 * SECOND_MS)).await,
        }
    }
}

async fn let_in(sim: &Arc<Sim>, chance: &mut Chance, customer: &CustomerId) {
    if let Some(stands) = sim.record().suspensions.stands.get_mut(customer.as_str()) {
        *stands = Stands::Unknown;
    }
    for _ in 0..TRIES {
        let id = customer.clone();
        let call = move |engine: Engine| async move { engine.unsuspend(&id, &operator()).await };
        match sim.call(chance.draw(), call).await {
            Some(Ok(())) => {
                sim.tell("operator", format_args!("lets {customer} in again"));
                let now = sim.scheduler.now_ms();
                return sim.record().suspensions.let_in(customer.as_str(), now);
            }
            // An answer was lost, and it was done.
            Some(Err(problem)) if problem.code == ProblemCode::NotFound => {
                let now = sim.scheduler.now_ms();
                return sim.record().suspensions.let_in(customer.as_str(), now);
            }
            Some(Err(_)) | None => sim.sleep(chance.between(SECOND_MS, 90 * SECOND_MS)).await,
        }
    }
}
