//! Deliveries: what leaves the system after a commit, by mail or webhook (engine.md section 1, "outbox").
//!
//! One mechanism for both: claim with a lease, let the channel's courier carry it, record how it went. It may be carried
//! twice when a process dies in between, and never lost: couriers name each delivery so that the other side can
//! tell. Refuses to know what stands in a parcel and how a courier sends it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};

use futures_util::future::{Either, join_all, select};
use quittance_domain::CustomerId;
use quittance_domain::Timestamp;
use quittance_domain::delivery::{AfterTry, Channel, DeliveryState, after_try};
use quittance_domain::ids::LeaseToken;
use quittance_domain::notices::NoticeKind;
use quittance_store::deliveries::{self, AttemptOutcome, AttemptRow, DeliveryRow, Filter};
use quittance_store::notices;
use quittance_store::outbox::{self, NewAlert};

use serde_json::Value;

use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::telemetry::{self, Funnel};
use crate::world::Point;

/// Deliveries of a channel that are under way at the same time, in one process.
pub(crate) const AT_ONCE: usize = 64;
/// How many of them may go to one destination, over all processes, so that a slow one leaves room.
const OF_ONE_DESTINATION: i64 = 8;
/// Most characters of what the other side said that are kept.
const MOST_DETAIL: usize = 500;
/// Tries that are shown of one delivery.
const MOST_ATTEMPTS: i64 = 100;

/// How a courier fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Delivered {
        /// What it said; no secrets.
        detail: String,
    },
    /// It was not sent: it is no longer true, or not wanted.
    Suppressed {
        /// Why.
        reason: String,
    },
    /// It did not work, and may later.
    Retry {
        /// What went wrong; no secrets.
        error: String,
        /// How long the other side asked to wait, in milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// It will never work.
    Failed {
        /// What went wrong; no secrets.
        error: String,
    },
}

/// A courier's answer.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Carries deliveries of one channel. It may be asked to carry the same one again, and must then say the same under
/// the same name.
pub trait Courier: Send + Sync + 'static {
    /// Carries one. It is dropped when it takes longer than half a lease.
    fn deliver<'a>(&'a self, engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a>;
}

/// A delivery that this process sends.
pub(crate) struct Claimed {
    row: DeliveryRow,
    token: LeaseToken,
    began: Timestamp,
    courier: Arc<dyn Courier>,
}

impl Claimed {
    /// Its number.
    pub(crate) const fn seq(&self) -> i64 {
        self.row.seq
    }
}

/// The couriers of a process.
#[derive(Default)]
pub(crate) struct Couriers([OnceLock<Arc<dyn Courier>>; Channel::ALL.len()]);

impl Couriers {
    fn slot(&self, channel: Channel) -> &OnceLock<Arc<dyn Courier>> {
        let [mail, webhook] = &self.0;
        match channel {
            Channel::Mail => mail,
            Channel::Webhook => webhook,
        }
    }
}

impl Engine {
    /// Gives a channel its courier; the first one stays. Without one, nothing is written down for the channel.
    #[must_use]
    pub fn with_courier(self, channel: Channel, courier: Arc<dyn Courier>) -> Self {
        if self.couriers().slot(channel).set(courier).is_err() {
            tracing::error!(channel = channel.as_str(), "the channel has a courier already");
        }
        self
    }

    /// Whether somebody carries deliveries of this channel here.
    #[must_use]
    pub fn delivers(&self, channel: Channel) -> bool {
        self.couriers().slot(channel).get().is_some()
    }

    /// Sends what is due on every channel; returns how many were tried.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn deliver_due(&self) -> Result<usize, Problem> {
        let mut tried = 0;
        for channel in Channel::ALL {
            tried += self.deliver_channel(channel).await?;
        }
        Ok(tried)
    }

    async fn deliver_channel(&self, channel: Channel) -> Result<usize, Problem> {
        let claimed = self.claim_deliveries(channel, AT_ONCE).await?;
        let count = claimed.len();
        for ended in join_all(claimed.into_iter().map(|claim| self.carry_delivery(claim))).await {
            ended?;
        }
        Ok(count)
    }

    /// Takes what is due on a channel, `most` of them; nothing where nobody carries it.
    #[crate::boxed]
    pub(crate) async fn claim_deliveries(
        &self,
        channel: Channel,
        most: usize,
    ) -> Result<Vec<Claimed>, Problem> {
        let Some(courier) = self.couriers().slot(channel).get().cloned() else { return Ok(Vec::new()) };
        let (now, most) = (self.now(), i64::try_from(most).unwrap_or(1));
        // Most looks find nothing: they write nothing, too.
        let due = self
            .db()
            .read("deliveries.due", move |tx| deliveries::due(tx, channel, now, OF_ONE_DESTINATION, most))
            .await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let (token, began) = (LeaseToken::from_random(self.world().random()), self.now());
        let (lease, until) = (token.clone(), began.plus_ms(self.settings().retry.lease_ms));
        let rows = self
            .db()
            .write("deliveries.claim", move |tx| {
                let mut rows = Vec::with_capacity(due.len());
                for seq in &due {
                    // Somebody else may have taken it since.
                    rows.extend(deliveries::claim(tx, *seq, &lease, began, until)?);
                }
                Ok(rows)
            })
            .await?;
        let claimed = |row| Claimed { row, token: token.clone(), began, courier: courier.clone() };
        Ok(rows.into_iter().map(claimed).collect())
    }

    /// Carries what was claimed, and records how it went.
    #[crate::boxed]
    pub(crate) async fn carry_delivery(&self, claim: Claimed) -> Result<(), Problem> {
        let Claimed { row, token, began, courier } = claim;
        self.world().point(Point::DeliveryClaimed).await;
        let limit = u64::try_from(self.settings().retry.lease_ms / 2).unwrap_or(1).max(1);
        let outcome = match select(courier.deliver(self, &row), pin!(self.world().limit(limit))).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), _)) => {
                Outcome::Retry { error: "it took too long".to_owned(), retry_after_ms: None }
            }
        };
        self.world().point(Point::DeliverySent).await;
        self.record_delivery(row, token, outcome, began).await
    }

    async fn record_delivery(
        &self,
        row: DeliveryRow,
        token: LeaseToken,
        outcome: Outcome,
        began: Timestamp,
    ) -> Result<(), Problem> {
        let now = self.now();
        let (end, detail) = match outcome {
            Outcome::Delivered { detail } => (AttemptOutcome::Over(DeliveryState::Delivered), detail),
            Outcome::Suppressed { reason } => (AttemptOutcome::Over(DeliveryState::Suppressed), reason),
            Outcome::Failed { error } => (AttemptOutcome::Over(DeliveryState::Failed), error),
            Outcome::Retry { error, retry_after_ms } => {
                let chance = self.world().chance();
                let tried = row.attempts - row.attempts_before;
                match after_try(row.channel, tried, retry_after_ms, chance, now) {
                    AfterTry::RetryAt(next) => (AttemptOutcome::RetryAt(next), error),
                    AfterTry::GiveUp => (AttemptOutcome::Over(DeliveryState::Failed), error),
                }
            }
        };
        let detail: String = detail.chars().take(MOST_DETAIL).collect();
        let (channel, seq) = (row.channel, row.seq);
        let told = detail.clone();
        let (kept, noticed) = self
            .db()
            .write("deliveries.record", move |tx| {
                let held = end == AttemptOutcome::Over(DeliveryState::Suppressed);
                let more = if held && deliveries::was_cut_off(tx, &row)? { MAY_HAVE_LEFT } else { "" };
                let told = format!("{told}{more}");
                let kept = deliveries::record(tx, &row, &token, end, &told, (began, now))?;
                match end {
                    AttemptOutcome::Over(DeliveryState::Failed) if kept => {
                        outbox::raise(tx, &failed_alert(&row, &told), now)?;
                    }
                    AttemptOutcome::Over(DeliveryState::Delivered) if kept => {
                        outbox::resolve(tx, DELIVERY_FAILED, &destination_of(&row), now)?;
                    }
                    AttemptOutcome::Over(_) | AttemptOutcome::RetryAt(_) => {}
                }
                let arrived = kept && end == AttemptOutcome::Over(DeliveryState::Delivered);
                let notice = arrived.then(|| notice_of(&row)).flatten();
                let noticed = notice.map_or(Ok(None), |seq| notices::get(tx, seq))?;
                Ok((kept, noticed))
            })
            .await?;
        self.world().point(Point::DeliveryRecorded).await;
        let word = match end {
            AttemptOutcome::Over(state) => state.as_str(),
            AttemptOutcome::RetryAt(_) => "retry",
        };
        telemetry::delivery(channel, word);
        if let Some(notice) = noticed.filter(|notice| notice.kind == NoticeKind::PaymentFailed) {
            let data: Value = serde_json::from_str(&notice.data).unwrap_or_default();
            let said = |name: &str| data.get(name).and_then(Value::as_str);
            let customer = notice.customer.as_deref().and_then(|id| CustomerId::parse(id).ok());
            let object = said("subscription").unwrap_or(&notice.object);
            telemetry::funnel(Funnel::PaymentFailedNotified, customer.as_ref(), object, said("plan"));
        }
        if kept && !matches!(end, AttemptOutcome::Over(DeliveryState::Delivered)) {
            tracing::info!(
                channel = channel.as_str(),
                delivery = seq,
                outcome = word,
                detail,
                "not delivered"
            );
        }
        Ok(())
    }

    /// When the next delivery of a channel is due here.
    #[crate::boxed]
    pub(crate) async fn next_delivery_due(&self, channel: Channel) -> Option<Timestamp> {
        if !self.delivers(channel) {
            return None;
        }
        let due = self.db().read("deliveries.next_due", move |tx| deliveries::next_due(tx, channel));
        due.await.ok().flatten()
    }

    /// Deliveries before `cursor`, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn deliveries(
        &self,
        filter: Filter,
        cursor: i64,
        limit: i64,
    ) -> Result<Vec<DeliveryRow>, Problem> {
        let list = move |tx: &mut dyn quittance_store::Tx| deliveries::list(tx, &filter, cursor, limit);
        Ok(self.db().read("deliveries.list", list).await?)
    }

    /// A delivery with its tries, newest first.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn delivery(&self, seq: i64) -> Result<(DeliveryRow, Vec<AttemptRow>), Problem> {
        let found = self
            .db()
            .read("deliveries.get", move |tx| {
                Ok((deliveries::get(tx, seq)?, deliveries::attempts(tx, seq, MOST_ATTEMPTS)?))
            })
            .await?;
        match found {
            (Some(row), attempts) => Ok((row, attempts)),
            (None, _) => Err(Problem::not_found("delivery")),
        }
    }

    /// Tries a delivery again, at once and from the beginning of its schedule.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` when it is delivered, or being sent right now.
    #[crate::boxed]
    pub async fn deliver_again(&self, seq: i64) -> Result<DeliveryRow, Problem> {
        self.delivery(seq).await?;
        let now = self.now();
        let freed = self.db().write("deliveries.again", move |tx| deliveries::again(tx, seq, now)).await?;
        if !freed {
            return Err(Problem::new(
                ProblemCode::WrongState,
                "The delivery has arrived, or is being sent right now.",
                "GET /v1/deliveries/{id} shows its state.",
            ));
        }
        self.wake();
        Ok(self.delivery(seq).await?.0)
    }
}

/// What is on record beside why something was not sent, where a try before was cut off: proof must not say what nobody knows.
const MAY_HAVE_LEFT: &str = "; a try before was cut off, and may have left";

/// The alert's kind, with channel and destination as its object.
const DELIVERY_FAILED: &str = "delivery_failed";

/// The number of the notice that a mail tells.
fn notice_of(row: &DeliveryRow) -> Option<i64> {
    let payload: Value = serde_json::from_str(&row.payload).ok()?;
    payload.get("notice").filter(|_| row.channel == Channel::Mail)?.as_i64()
}

fn destination_of(row: &DeliveryRow) -> String {
    format!("{}/{}", row.channel.as_str(), row.destination)
}

fn failed_alert(row: &DeliveryRow, error: &str) -> NewAlert {
    NewAlert {
        kind: DELIVERY_FAILED.to_owned(),
        object: destination_of(row),
        customer: row.customer.as_deref().and_then(|id| CustomerId::parse(id).ok()),
        aggregate: None,
        detail: format!("{} {} was given up: {error}", row.channel.as_str(), row.seq),
        mend: format!(
            "Mend the other side, then: quittance deliveries retry {}. Others: quittance deliveries list --state failed",
            row.seq
        ),
    }
}
