//! The one writer of a SQLite database: group commit.
//!
//! Whatever closures are waiting run one after another in one `BEGIN IMMEDIATE`, each under its own savepoint, then one commit (one
//! flush to disk) makes all of them durable, and only then are their callers answered. A closure that fails, or panics, undoes itself only.

use std::sync::Arc;

use rusqlite::Connection;

use super::checkpoint::Checkpoints;
use super::errors::{Refusal, translate};
use super::tx::SqliteTx;
use crate::db::job::Job;
use crate::db::stats::count;
use crate::db::tx::swallowed;
use crate::db::{Change, Shared};
use crate::error::StoreError;

/// What became of one closure of a group.
enum Step {
    /// Its changes wait for the commit.
    Kept,
    /// It undid itself.
    Undone,
    /// SQLite rolled the whole transaction back (disk full, input/output error): the others must run again.
    GroupLost,
}

pub(super) struct Writer {
    connection: Connection,
    checkpoints: Option<Checkpoints>,
    shared: Arc<Shared>,
    data_version: i64,
}

impl Writer {
    pub(super) fn new(connection: Connection, checkpoints: Option<Checkpoints>, shared: Arc<Shared>) -> Self {
        let mut writer = Self { connection, checkpoints, shared, data_version: 0 };
        writer.data_version = writer.read_data_version();
        writer
    }

    /// For reading between two groups, where there is no other connection.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The same connection for another handle, whose listeners are others; `None` in the middle of a transaction.
    pub(super) fn passed_on(self, shared: Arc<Shared>) -> Option<Self> {
        self.connection.is_autocommit().then_some(Self { shared, ..self })
    }

    /// Runs the jobs in one commit and answers them. A group that SQLite rolled back runs again without the job that caused it.
    pub(super) fn group(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        while !jobs.is_empty() {
            if let Err(error) = self.simple("BEGIN IMMEDIATE") {
                return refuse_all(jobs, &Refusal::of(&error));
            }
            let mut notices = Vec::new();
            let mut kept = 0;
            let mut culprit = None;
            let alone = jobs.len() == 1;
            for (index, job) in jobs.iter_mut().enumerate() {
                match self.step(job.as_mut(), alone, &mut notices) {
                    Step::Kept => kept += 1,
                    Step::Undone => {}
                    Step::GroupLost => {
                        culprit = Some(index);
                        break;
                    }
                }
            }
            match culprit {
                Some(index) => jobs.remove(index).reply(),
                None => return self.commit(jobs, kept, notices),
            }
        }
    }

    /// Runs one job; alone, it needs no savepoint, for which SQLite copies every page that is changed.
    fn step(&self, job: &mut dyn Job, alone: bool, notices: &mut Vec<String>) -> Step {
        let stats = &self.shared.counters;
        if !job.reads()
            && !alone
            && let Err(error) = self.simple("SAVEPOINT work")
        {
            job.spoil(translate(job.name(), &error));
            return self.undone();
        }
        let mut tx = SqliteTx::new(&self.connection, job.reads());
        let wants_commit = job.run(&mut tx);
        let (failed, mut sent) = (tx.failed, tx.notices);
        if let Some(statement) = failed {
            job.spoil(swallowed(statement));
        }
        if job.reads() {
            count(&stats.reads);
            // It could not have written, so there is nothing to undo.
            return self.undone();
        }
        if wants_commit && failed.is_none() {
            let released = if alone { Ok(()) } else { self.simple("RELEASE work") };
            return match released {
                Ok(()) => {
                    notices.append(&mut sent);
                    Step::Kept
                }
                Err(error) => {
                    job.spoil(translate(job.name(), &error));
                    self.undone()
                }
            };
        }
        count(&stats.rolled_back);
        if alone {
            self.roll_back();
        } else if !self.connection.is_autocommit() {
            let undo = self.simple("ROLLBACK TO work").and_then(|()| self.simple("RELEASE work"));
            if let Err(error) = undo {
                // Half of a closure must not be committed with the others.
                job.spoil(translate(job.name(), &error));
                self.roll_back();
            }
        }
        self.undone()
    }

    fn undone(&self) -> Step {
        if self.connection.is_autocommit() { Step::GroupLost } else { Step::Undone }
    }

    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>, kept: u64, notices: Vec<String>) {
        match self.simple("COMMIT") {
            Ok(()) => {
                if kept > 0 {
                    self.shared.counters.committed(kept);
                }
                for payload in notices {
                    self.shared.publish(Change::Payload(payload));
                }
                for job in jobs {
                    job.reply();
                }
                if let Some(checkpoints) = &mut self.checkpoints {
                    checkpoints.after_commit(&self.connection, &self.shared.counters);
                }
            }
            Err(error) => {
                self.roll_back();
                let refusal = Refusal::of(&error);
                if refusal.is_deferred_constraint() && jobs.len() > 1 {
                    for job in jobs.drain(..) {
                        self.group(vec![job]);
                    }
                }
                refuse_all(jobs, &refusal);
            }
        }
    }

    /// Called after each group, and now and then when there is no work: did another process write to this file?
    pub(super) fn look_around(&mut self) {
        let version = self.read_data_version();
        if version != self.data_version {
            self.data_version = version;
            self.shared.publish(Change::Resync);
        }
    }

    fn read_data_version(&self) -> i64 {
        let read = self
            .connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut pragma| pragma.query_row([], |row| row.get(0)));
        read.unwrap_or(self.data_version)
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // When even this fails the next BEGIN fails too, and its callers are told.
            let _ = self.simple("ROLLBACK");
        }
    }

    fn simple(&self, text: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(text)?.raw_execute().map(drop)
    }
}

fn refuse_all(jobs: Vec<Box<dyn Job>>, refusal: &Refusal) {
    for mut job in jobs {
        let error: StoreError = refusal.error(job.name());
        job.spoil(error);
        job.reply();
    }
}
