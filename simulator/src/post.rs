//! What leaves the nodes: couriers that are slow, fail, and die between sending and recording; and the other side, which
//! keeps what arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quittance_domain::delivery::Channel;
use quittance_domain::notices::NoticeKind;
use quittance_domain::time::SECOND_MS;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_engine::notices::Ready;
use quittance_engine::{Engine, Problem};
use quittance_sandbox::Ledger;
use quittance_store::deliveries::DeliveryRow;
use quittance_store::notices::NoticeRow;
use serde::Deserialize;

use crate::faults::Fault;
use crate::sim::Sim;

/// What arrived on the other side.
#[derive(Debug, Default)]
pub struct Arrived {
    parcels: BTreeMap<(Channel, String), String>,
    newest: BTreeMap<(Channel, String), i64>,
    over: BTreeSet<(Channel, String)>,
    spoilt: BTreeMap<(Channel, String), u64>,
    /// What the mails were about, as they came first.
    pub mails: Vec<NoticeKind>,
    /// Numbers of parcels that were given up and that an operator sent again: they come when they come.
    pub again: BTreeSet<i64>,
}

impl Arrived {
    /// Keeps a parcel; what is wrong with it, if anything is. The same may arrive again, but never saying something else,
    /// and nothing arrives for the first time behind what was written later in its lane.
    fn take(&mut self, parcel: &DeliveryRow, about: Option<NoticeKind>) -> Option<String> {
        let name = (parcel.channel, parcel.key.clone());
        if let Some(before) = self.parcels.get(&name) {
            let same = *before == parcel.payload;
            return (!same).then(|| format!("{} arrived again and says something else", parcel.key));
        }
        self.parcels.insert(name, parcel.payload.clone());
        self.mails.extend(about);
        let newest = self.newest.entry((parcel.channel, parcel.lane.clone())).or_insert(parcel.seq);
        let late = *newest > parcel.seq && !self.again.contains(&parcel.seq);
        *newest = parcel.seq.max(*newest);
        late.then(|| format!("{} arrived behind a later one of {}", parcel.key, parcel.lane))
    }

    /// Whether this one was held back, because it was no longer so.
    #[must_use]
    pub fn is_over(&self, channel: Channel, key: &str) -> bool {
        self.over.contains(&(channel, key.to_owned()))
    }

    /// How many tries of this one the world spoilt.
    #[must_use]
    pub fn spoilt(&self, channel: Channel, name: &str) -> u64 {
        self.spoilt.get(&(channel, name.to_owned())).copied().unwrap_or(0)
    }

    /// Whether this one arrived.
    #[must_use]
    pub fn has(&self, channel: Channel, key: &str) -> bool {
        self.parcels.contains_key(&(channel, key.to_owned()))
    }
}

/// A try to deliver something: spoilt by the world, unless it says otherwise before it ends.
pub struct Try {
    sim: Arc<Sim>,
    name: (Channel, String),
    counts: bool,
}

impl Try {
    /// Somebody tries.
    #[must_use]
    pub fn new(sim: &Arc<Sim>, channel: Channel, name: &str) -> Self {
        Self { sim: Arc::clone(sim), name: (channel, name.to_owned()), counts: true }
    }

    /// Whatever became of it, the world is not to blame.
    pub fn was_let_be(mut self) {
        self.counts = false;
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        if self.counts {
            *self.sim.arrived().spoilt.entry(self.name.clone()).or_default() += 1;
        }
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

    /// Asks as the mail's own courier does. What is sent is compared with what the mirror had when it was asked.
    async fn is_still_so(&self, engine: &Engine, parcel: &DeliveryRow) -> Result<Mail, Problem> {
        let Ok(payload) = serde_json::from_str::<Payload>(&parcel.payload) else {
            return Ok(Mail::Send(None));
        };
        let notice = engine.notice(payload.notice).await?;
        let before = self.sim.record().is_old_news(&self.sim, &notice);
        let asked_s = self.sim.scheduler.now_ms() / SECOND_MS;
        match engine.prepare_notice(&notice).await? {
            Ready::Over(why) => Ok(Mail::Over(why)),
            Ready::Send(_) => {
                let ledger = self.sim.sandbox.ledger();
                let old = before.or_else(|| settled(&ledger, &notice, asked_s));
                if let Some(old) = old {
                    self.sim.record().violation("I2", format!("{notice:?} is sent, and {old}"));
                }
                Ok(Mail::Send(Some(notice.kind)))
            }
        }
    }

    async fn carry(&self, engine: &Engine, parcel: &DeliveryRow) -> Outcome {
        let sim = &self.sim;
        let attempt = Try::new(sim, parcel.channel, &parcel.key);
        let about = match self.is_still_so(engine, parcel).await {
            Ok(Mail::Send(about)) => about,
            Ok(Mail::Over(why)) => {
                sim.tell("mail", format_args!("{} is held back: {why}", parcel.key));
                sim.arrived().over.insert((parcel.channel, parcel.key.clone()));
                attempt.was_let_be();
                return Outcome::Suppressed { reason: why };
            }
            Err(problem) => return Outcome::Retry { error: problem.detail, retry_after_ms: None },
        };
        let (pause, trouble, arrives) = {
            let mut chance = sim.post_chance();
            let trouble = sim.faults().strikes_by(Fault::MailTrouble, &mut chance);
            // Now and then longer than anybody waits: half a lease.
            (chance.between(10, sim.plan.settings.retry.lease_ms * 2 / 3), trouble, chance.per_mille(500))
        };
        sim.sleep(pause).await;
        let who = parcel.channel.as_str();
        if trouble && !arrives {
            sim.tell(who, format_args!("{} is refused", parcel.key));
            return Outcome::Retry { error: "refused".to_owned(), retry_after_ms: None };
        }
        let wrong = sim.arrived().take(parcel, about);
        if let Some(wrong) = wrong {
            sim.record().violation("I2", wrong);
        }
        sim.tell(who, format_args!("{} arrives{}", parcel.key, if trouble { ", unheard" } else { "" }));
        if trouble {
            return Outcome::Retry { error: "no answer".to_owned(), retry_after_ms: Some(SECOND_MS) };
        }
        attempt.was_let_be();
        Outcome::Delivered { detail: "taken".to_owned() }
    }
}

/// What becomes of a mail.
enum Mail {
    /// It is sent; what it is about, when that can be read.
    Send(Option<NoticeKind>),
    /// It is no longer so.
    Over(String),
}

/// What a mail's delivery carries.
#[derive(Deserialize)]
struct Payload {
    notice: i64,
}

impl Courier for SimulatedCourier {
    fn deliver<'a>(&'a self, engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(self.carry(engine, parcel))
    }
}

/// What was no longer owed when the provider was asked; `None` where the notice asks for nothing.
fn settled(ledger: &Ledger, notice: &NoticeRow, asked_s: i64) -> Option<String> {
    let owes = matches!(notice.kind, NoticeKind::PaymentFailed | NoticeKind::PaymentActionRequired);
    let mut invoices = ledger.customers.iter().flat_map(|customer| &customer.invoices);
    let invoice = invoices.find(|invoice| owes && invoice.id == notice.object)?;
    let paid = invoice.paid_at.filter(|at| *at < asked_s)?;
    Some(format!("{} was paid at {paid}, before {asked_s}", invoice.id))
}
