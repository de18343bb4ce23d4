//! What leaves the nodes: couriers that are slow, fail, and die between sending and recording; and the other side, which
//! keeps what arrived.

use std::collections::BTreeMap;
use std::sync::Arc;

use quittance_domain::delivery::Channel;
use quittance_domain::time::SECOND_MS;
use quittance_engine::Engine;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_store::deliveries::DeliveryRow;

use crate::sim::Sim;

/// How many deliveries in a thousand fail in a way that may pass, and for good.
const TROUBLE_PER_MILLE: u32 = 150;

/// What arrived on the other side.
#[derive(Debug, Default)]
pub struct Arrived {
    parcels: BTreeMap<(Channel, String), String>,
    newest: BTreeMap<(Channel, String), i64>,
}

impl Arrived {
    /// Keeps a parcel; what is wrong with it, if anything is. The same may arrive again, but never saying something else,
    /// and nothing arrives for the first time behind what was written later in its lane.
    fn take(&mut self, parcel: &DeliveryRow) -> Option<String> {
        let name = (parcel.channel, parcel.key.clone());
        if let Some(before) = self.parcels.get(&name) {
            let same = *before == parcel.payload;
            return (!same).then(|| format!("{} arrived again and says something else", parcel.key));
        }
        self.parcels.insert(name, parcel.payload.clone());
        let newest = self.newest.entry((parcel.channel, parcel.lane.clone())).or_insert(parcel.seq);
        let late = *newest > parcel.seq;
        *newest = parcel.seq.max(*newest);
        late.then(|| format!("{} arrived behind a later one of {}", parcel.key, parcel.lane))
    }

    /// Whether this one arrived.
    #[must_use]
    pub fn has(&self, channel: Channel, key: &str) -> bool {
        self.parcels.contains_key(&(channel, key.to_owned()))
    }
}

/// A node's courier, for any channel.
pub struct SimulatedCourier {
    sim: Arc<Sim>,
}

impl SimulatedCourier {
    /// A courier in this world.
    #[must_use]
    pub fn new(sim: Arc<Sim>) -> Self {
        Self { sim }
    }

    async fn carry(&self, parcel: &DeliveryRow) -> Outcome {
        let sim = &self.sim;
        let (pause, trouble, arrives) = {
            let mut chance = sim.post_chance();
            let trouble = !sim.faults().are_over() && chance.per_mille(TROUBLE_PER_MILLE);
            // Now and then longer than anybody waits: half a lease.
            (chance.between(10, sim.plan.settings.retry.lease_ms * 2 / 3), trouble, chance.per_mille(500))
        };
        sim.sleep(pause).await;
        let who = parcel.channel.as_str();
        if trouble && !arrives {
            sim.tell(who, format_args!("{} is refused", parcel.key));
            return Outcome::Retry { error: "refused".to_owned(), retry_after_ms: None };
        }
        let wrong = sim.arrived().take(parcel);
        if let Some(wrong) = wrong {
            sim.record().violation("I2", wrong);
        }
        sim.tell(who, format_args!("{} arrives{}", parcel.key, if trouble { ", unheard" } else { "" }));
        if trouble {
            return Outcome::Retry { error: "no answer".to_owned(), retry_after_ms: Some(SECOND_MS) };
        }
        Outcome::Delivered { detail: "taken".to_owned() }
    }
}

impl Courier for SimulatedCourier {
    fn deliver<'a>(&'a self, _engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(self.carry(parcel))
    }
}
