//! What operators do: look at the inbox, replay, free what is parked, look at alerts.

use quittance_domain::CommandId;
use quittance_store::aggregates::{self, AggregateRow, Backlog, Hint, Priority};
use quittance_store::commands::{self, CommandRow};
use quittance_store::inbox::{self, EventRow};
use quittance_store::outbox::{self, AlertRow};

use crate::engine::Engine;
use crate::problem::Problem;
use crate::sync::{FAILING_ALERT, PARKED_ALERT};
use crate::telemetry;

/// What waits for an operator.
#[derive(Debug, Clone, Default)]
pub struct Parked {
    /// Aggregates that could not be synced.
    pub aggregates: Vec<AggregateRow>,
    /// Commands that could not be carried out.
    pub commands: Vec<CommandRow>,
}

impl Engine {
    /// Events before `cursor`, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn events(
        &self,
        cursor: i64,
        aggregate: Option<&str>,
        limit: i64,
    ) -> Result<Vec<EventRow>, Problem> {
        let aggregate = aggregate.map(str::to_owned);
        Ok(self
            .db()
            .read("events.list", move |tx| inbox::list(tx, cursor, aggregate.as_deref(), limit))
            .await?)
    }

    /// One event by the provider's id.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn event(&self, id: &str) -> Result<EventRow, Problem> {
        let (key, own) = (id.to_owned(), self.scope().clone());
        let row = self
            .db()
            .read("events.get", move |tx| inbox::get(tx, own.provider.as_str(), &own.account, &key))
            .await?;
        row.ok_or_else(|| {
            Problem::not_found("event")
                .mended_by("Check the id: quittance events list, or GET /v1/events, shows what is stored.")
        })
    }

    /// Looks again, thoroughly, at what an event was about, and waits a moment for the result:
    /// `processed` says whether this look has ended.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn replay(&self, id: &str, wait_ms: i64) -> Result<EventRow, Problem> {
        let event = self.event(id).await?;
        let mark = self.look_again(&event.aggregate).await?;
        let answered = wait_ms > 0 && self.wait_for(&event.aggregate, mark, wait_ms).await?;
        let event = self.event(id).await?;
        // Processed again, not merely once before.
        Ok(EventRow { processed: event.processed && answered, ..event })
    }

    #[crate::boxed]
    pub(crate) async fn look_again(&self, key: &str) -> Result<i64, Problem> {
        let (key, now) = (key.to_owned(), self.now());
        let mark = self
            .db()
            .write("operator.look_again", move |tx| {
                // Its tries are counted afresh, and told of afresh when they are used up.
                outbox::resolve(tx, PARKED_ALERT, &key, now)?;
                outbox::resolve(tx, FAILING_ALERT, &key, now)?;
                let hint =
                    Hint { key: &key, priority: Priority::Waiting, due: now, unpark: true, thorough: true };
                aggregates::mark(tx, &hint, now)
            })
            .await?;
        self.wake();
        Ok(mark)
    }

    /// What is parked.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn parked(&self, limit: i64) -> Result<Parked, Problem> {
        let parked = self
            .db()
            .read("parked.list", move |tx| {
                Ok(Parked {
                    aggregates: aggregates::parked(tx, limit)?,
                    commands: commands::parked(tx, limit)?,
                })
            })
            .await?;
        Ok(parked)
    }

    /// Lets a parked aggregate (by its key) or command (by its id) be tried again, or a failing aggregate at once.
    ///
    /// # Errors
    /// `not_found` when nothing of that name is parked or failing.
    #[crate::boxed]
    pub async fn retry_parked(&self, name: &str) -> Result<(), Problem> {
        if let Ok(id) = CommandId::parse(name) {
            let now = self.now();
            let found =
                self.db().write("parked.retry_command", move |tx| commands::unpark(tx, &id, now)).await?;
            self.wake();
            return if found {
                Ok(())
            } else {
                Err(Problem::not_found("parked command")
                    .mended_by("Check the name: quittance parked list shows what is parked."))
            };
        }
        let key = name.to_owned();
        let row = self.db().read("aggregates.get", move |tx| aggregates::get(tx, &key)).await?;
        if row.is_none_or(|row| row.parked_at.is_none() && row.attempts == 0) {
            return Err(Problem::not_found("parked aggregate")
                .mended_by("Check the name: quittance parked list shows what is parked."));
        }
        self.look_again(name).await?;
        Ok(())
    }

    /// Alerts, newest first; those that are over too when `all`.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn alerts(&self, all: bool, cursor: i64, limit: i64) -> Result<Vec<AlertRow>, Problem> {
        Ok(self.db().read("alerts.list", move |tx| outbox::alerts(tx, all, cursor, limit)).await?)
    }

    /// How much is waiting; also tells the metrics.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn backlog(&self) -> Result<Backlog, Problem> {
        let backlog = self.db().read("aggregates.backlog", aggregates::backlog).await?;
        let age = backlog.oldest.map_or(0, |since| self.now().since(since));
        telemetry::backlog(&backlog, age);
        Ok(backlog)
    }
}
