//! The changes of entitlements as a stream, for copies that answer without asking us.
//!
//! A reader without a cursor gets everything, then each customer whose holdings change, as it is when it is read. Cursors
//! name positions in the order of commits (see [`quittance_store::feed`]), so a reader that comes back misses nothing; one
//! whose cursor is of another database or catalog begins anew. What ends by time is in what is sent, so nothing is sent when
//! it ends. Readers pull: one that is slow costs nobody else memory. The word of other nodes only wakes; the database decides.

use std::pin::pin;

use futures_util::future::select;
use quittance_domain::Timestamp;
use quittance_domain::access::Standing;
use quittance_domain::digest::short_hex;
use quittance_domain::entitlement::{Holding, limit_of};
use quittance_domain::fraud::SuspendedAccess;
use quittance_domain::replica::{Cursor, Marked};
use quittance_store::{Tx, feed};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::engine::Engine;
use crate::entitlements::{self, Held};
use crate::problem::Problem;

/// Customers of one page.
const PAGE: i64 = 100;
/// Changes that get their positions in one transaction.
const NUMBERED: i64 = 500;
/// The form of what is sent; another one begins another epoch.
const FORM: &str = "1";

/// What a copy of one customer needs to answer as we do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomerState {
    /// The customer.
    pub customer: String,
    /// Counts the changes of what it holds.
    pub version: i64,
    /// Everything that gives features, or did.
    pub holdings: Vec<HoldingState>,
}

/// Something held: it allows its features while `access` is `granted` or `grace` and `until` has not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldingState {
    /// `subscription`, `purchase`, `grant` or `free_plan`.
    pub source: &'static str,
    /// The id of that subscription, purchase or grant; the plan's key for the free plan.
    pub id: String,
    /// The plan, unless a single feature was granted.
    pub plan: Option<String>,
    /// `granted`, `grace`, `pending` or `revoked`, before `until` is looked at.
    pub access: &'static str,
    /// When it ends by itself, RFC 3339; null has no end.
    pub until: Option<String>,
    /// Each feature with its limit; null is no limit.
    pub features: Map<String, Value>,
}

impl From<&Holding> for HoldingState {
    fn from(held: &Holding) -> Self {
        let access = match held.standing {
            Standing::Pending => "pending",
            Standing::Granted { .. } => "granted",
            Standing::Grace { .. } => "grace",
            Standing::Revoked => "revoked",
        };
        Self {
            source: held.source.kind.as_str(),
            id: held.source.id.to_string(),
            plan: held.plan.as_ref().map(ToString::to_string),
            access,
            until: held.standing.until().map(|at| at.to_string()),
            features: held
                .features
                .iter()
                .map(|(f, limit)| (f.to_string(), json!(limit_of(held, limit))))
                .collect(),
        }
    }
}

impl CustomerState {
    fn of(customer: String, held: &Held) -> Self {
        let holdings = held.holdings.iter().map(HoldingState::from).collect();
        Self { customer, version: held.version, holdings }
    }
}

/// What a reader is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Forget everything: a snapshot follows.
    Reset,
    /// This customer is so.
    Customer(CustomerState),
    /// The snapshot is complete: changes follow.
    Live,
}

/// One message, and where to go on once it is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The cursor after it; `None` for a message that changes nothing about where to go on.
    pub cursor: Option<String>,
    /// What is told.
    pub told: Told,
}

/// A reader of the changes.
#[derive(Debug)]
pub struct Reader {
    engine: Engine,
    epoch: String,
    cursor: Cursor,
    /// A reset is still to be told.
    reset: bool,
    moved: watch::Receiver<u64>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.scope())
    }
}

impl Engine {
    /// What cursors are valid for: this database and this catalog.
    fn epoch(&self) -> String {
        let mut epoch = short_hex(&["feed", FORM, self.instance(), self.catalog_mark()]);
        epoch.truncate(16);
        epoch
    }

    /// Begins to read where `last` says, or with a snapshot when there is nothing to go on from.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn follow_entitlements(&self, last: Option<&str>) -> Result<Reader, Problem> {
        let (epoch, moved) = (self.epoch(), self.moved());
        self.number_changes().await?;
        let head = self.db().read("feed.head", feed::head).await?;
        // A position that is not reached yet is one of a database that was set back.
        let known =
            last.and_then(|text| Cursor::read(text, &epoch)).filter(|cursor| cursor.position() <= head);
        let reset = known.is_none();
        let cursor = known.unwrap_or(Cursor::Snapshot { since: head, after: String::new() });
        Ok(Reader { engine: self.clone(), epoch, cursor, reset, moved })
    }

    /// Gives committed changes their positions, until none waits. Every node does so; one at a time does it.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn number_changes(&self) -> Result<(), Problem> {
        while self.db().read("feed.waiting", feed::is_waiting).await? {
            self.db().write("feed.number", |tx| feed::number(tx, NUMBERED)).await?;
        }
        Ok(())
    }
}

impl Reader {
    /// What is new, a page of it; empty when there is nothing. Dropping the answer loses it: go on from a cursor then.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn next(&mut self) -> Result<Vec<Message>, Problem> {
        let mut messages = Vec::new();
        if std::mem::take(&mut self.reset) {
            messages.push(Message { cursor: None, told: Told::Reset });
        }
        match self.cursor.clone() {
            Cursor::Snapshot { since, after } => self.snapshot(since, after, &mut messages).await?,
            Cursor::At(position) => self.changes(position, &mut messages).await?,
        }
        Ok(messages)
    }

    /// Waits until something may be new, `ms` milliseconds at most.
    #[crate::boxed]
    pub async fn wait(&mut self, ms: u64) {
        // The sender lives as long as the engine.
        let _either = select(pin!(self.moved.changed()), self.engine.world().sleep(ms)).await;
    }

    async fn snapshot(
        &mut self,
        since: i64,
        after: String,
        messages: &mut Vec<Message>,
    ) -> Result<(), Problem> {
        let (catalog, now) = (self.engine.catalog_handle(), self.engine.now());
        let access = self.engine.settings().fraud.suspended_access;
        let states = self
            .engine
            .db()
            .read("feed.snapshot", move |tx| {
                let customers = feed::customers(tx, &after, PAGE)?;
                customers
                    .into_iter()
                    .map(|customer| state_of(tx, customer, &catalog, access, now))
                    .collect::<quittance_store::Result<Vec<_>>>()
            })
            .await?;
        let ended = i64::try_from(states.len()).is_ok_and(|count| count < PAGE);
        for state in states.into_iter().flatten() {
            self.cursor = Cursor::Snapshot { since, after: state.customer.clone() };
            messages.push(self.message(Told::Customer(state)));
        }
        if ended {
            self.cursor = Cursor::At(since);
            messages.push(self.message(Told::Live));
        }
        Ok(())
    }

    async fn changes(&mut self, position: i64, messages: &mut Vec<Message>) -> Result<(), Problem> {
        self.engine.number_changes().await?;
        let (catalog, now) = (self.engine.catalog_handle(), self.engine.now());
        let access = self.engine.settings().fraud.suspended_access;
        let states = self
            .engine
            .db()
            .read("feed.changes", move |tx| {
                let changed = feed::after(tx, position, PAGE)?;
                let load = |(customer, at)| Ok((state_of(tx, customer, &catalog, access, now)?, at));
                changed.into_iter().map(load).collect::<quittance_store::Result<Vec<_>>>()
            })
            .await?;
        for (state, at) in states {
            self.cursor = Cursor::At(at);
            messages.extend(state.map(|state| self.message(Told::Customer(state))));
        }
        Ok(())
    }

    fn message(&self, told: Told) -> Message {
        let cursor = Marked { epoch: &self.epoch, cursor: &self.cursor }.to_string();
        Message { cursor: Some(cursor), told }
    }
}

/// A customer as it is now, which is at least as new as the change that led here.
fn state_of(
    tx: &mut dyn Tx,
    customer: String,
    catalog: &quittance_domain::Catalog,
    access: SuspendedAccess,
    now: Timestamp,
) -> quittance_store::Result<Option<CustomerState>> {
    let held = entitlements::load_as(tx, &customer, catalog, access, now)?;
    Ok(held.map(|(held, _)| CustomerState::of(customer, &held)))
}
