//! A thread that owns one connection and runs transactions on it, one at a time.
//!
//! Each worker has a runtime of its own for its one socket, so a round trip wakes no other thread. A closure runs again after a
//! serialization failure, a deadlock, a plan made stale by a migration, or a connection lost before the commit was sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::connect::{ANSWER_LIMIT, Target, answered, prepare_session};
use super::errors::{Remedy, remedy, translate};
use super::tx::{PgTx, Session};
use crate::db::Shared;
use crate::db::job::Job;
use crate::db::queue::{Queue, Seat, Taken};
use crate::db::stats::count;
use crate::db::tx::swallowed;
use crate::error::{Result, StoreError};

/// Writers lock rows and rely on unique keys.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// Readers see one snapshot, as on SQLite.
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How often a transaction runs before [`StoreError::Conflict`].
const MOST_ATTEMPTS: u32 = 10;
/// How often it runs when the connection keeps breaking.
const MOST_CONNECTIONS: u32 = 3;

pub(super) struct Worker {
    pub(super) runtime: Runtime,
    pub(super) target: Arc<Target>,
    pub(super) shared: Arc<Shared>,
    pub(super) session: Option<Session>,
    /// Tells workers apart, so that two in conflict do not wait equally long.
    pub(super) index: u32,
}

/// What an attempt came to.
enum Attempt {
    /// The job holds its final result.
    Done,
    /// So it does, and a read transaction is left to end after the answer is out.
    DoneReading,
    /// Rolled back; run it again.
    Again(Remedy),
}

impl Worker {
    /// Serves until the queue is closed and empty.
    pub(super) fn serve(mut self, queue: &Queue) {
        let seat = Seat::default();
        loop {
            match queue.take(&seat, 1, None) {
                Taken::Jobs(jobs) => jobs.into_iter().for_each(|job| self.run(job)),
                Taken::Idle => {}
                Taken::Closed => return,
            }
        }
    }

    fn run(&mut self, mut job: Box<dyn Job>) {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(job.as_mut()) {
                Attempt::Done => return job.reply(),
                Attempt::DoneReading => {
                    job.reply();
                    return self.end("COMMIT");
                }
                Attempt::Again(Remedy::Reconnect) if attempts >= MOST_CONNECTIONS => {
                    job.fail(StoreError::unavailable(
                        "the connection broke several times; nothing was written",
                    ));
                    return job.reply();
                }
                Attempt::Again(_) if attempts >= MOST_ATTEMPTS => {
                    job.fail(StoreError::Conflict { operation: job.name(), attempts });
                    return job.reply();
                }
                Attempt::Again(_) => {
                    count(&self.shared.counters.retries);
                    std::thread::sleep(self.pause(attempts));
                }
            }
        }
    }

    fn attempt(&mut self, job: &mut dyn Job) -> Attempt {
        if job.reads() {
            count(&self.shared.counters.reads);
        }
        let mut session = match self.session() {
            Ok(session) => session,
            Err(error) => {
                job.fail(error);
                return Attempt::Done;
            }
        };
        let mut tx =
            PgTx::new(&self.runtime, &mut session, if job.reads() { BEGIN_READ } else { BEGIN_WRITE });
        let wants_commit = job.run(&mut tx);
        let (begun, failed) = (tx.begun(), tx.failed);
        let remedy = failed.map_or(Remedy::None, |failed| failed.remedy);
        if remedy == Remedy::Reconnect {
            return Attempt::Again(remedy);
        }
        self.session = Some(session);
        if let Some(failed) = failed {
            job.spoil(swallowed(failed.statement));
        }
        if !begun {
            return if remedy == Remedy::Again { Attempt::Again(remedy) } else { Attempt::Done };
        }
        if wants_commit && failed.is_none() {
            return if job.reads() { Attempt::DoneReading } else { self.commit(job) };
        }
        self.end("ROLLBACK");
        if remedy == Remedy::Again {
            return Attempt::Again(remedy);
        }
        count(&self.shared.counters.rolled_back);
        Attempt::Done
    }

    fn commit(&mut self, job: &mut dyn Job) -> Attempt {
        let Some(session) = &self.session else { return Attempt::Done };
        let Err(error) = self.runtime.block_on(session.client.batch_execute("COMMIT")) else {
            self.shared.counters.committed(1);
            return Attempt::Done;
        };
        match remedy(&error) {
            Remedy::Again => Attempt::Again(Remedy::Again),
            Remedy::Reconnect => {
                self.session = None;
                job.fail(StoreError::Unavailable { reason: error.to_string(), outcome_unknown: true });
                Attempt::Done
            }
            Remedy::None => {
                job.fail(translate(job.name(), &error));
                Attempt::Done
            }
        }
    }

    /// Ends a transaction whose result no longer matters.
    fn end(&mut self, how: &str) {
        let ended =
            self.session.as_ref().map(|session| self.runtime.block_on(session.client.batch_execute(how)));
        if let Some(Err(_)) = ended {
            self.session = None;
        }
    }

    fn session(&mut self) -> Result<Session> {
        if let Some(session) = self.session.take().filter(|session| !session.client.is_closed()) {
            return Ok(session);
        }
        let target = Arc::clone(&self.target);
        count(&self.shared.counters.connects);
        let client = self.runtime.block_on(answered(ANSWER_LIMIT, async move {
            let (client, driving) = target.connect().await?;
            tokio::spawn(driving);
            prepare_session(&client).await?;
            Ok(client)
        }))?;
        Ok(Session::new(client))
    }

    fn pause(&self, attempts: u32) -> Duration {
        let longer = 1_u64 << attempts.min(6);
        Duration::from_millis(longer + u64::from((attempts * 7 + self.index * 3) % 5))
    }
}
