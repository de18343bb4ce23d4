//! SQLite behind the facade: one thread writes, a few threads read, one copies the log.

mod checkpoint;
mod connect;
mod errors;
mod tx;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use self::checkpoint::Checkpoints;
use self::connect::{Place, place};
use self::errors::translate;
use self::tx::SqliteTx;
use self::writer::Writer;
use super::job::{Answer, Job, closed};
use super::queue::{Queue, Seat, Taken};
use super::stats::count;
use super::tx::swallowed;
use super::{Access, Options, Shared};
use crate::error::{Result, StoreError};

/// How often an idle writer looks whether another process wrote.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// An open SQLite database.
pub(super) struct Sqlite {
    mode: Mode,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

enum Mode {
    /// Reads on their own connections.
    Threads { writes: Arc<Queue>, reads: Arc<Queue> },
    /// A private database in memory has one connection, so reads take their turn with writes.
    OneThread { queue: Arc<Queue> },
    /// Everything runs in the caller, for simulations in virtual time.
    Inline { writer: Mutex<Option<Box<Writer>>>, _lock: Option<File> },
    /// Only reads.
    ReadOnly { reads: Arc<Queue> },
}

impl Sqlite {
    /// Opens the file, or refuses with a reason. Blocks for as long as the disk takes.
    pub(super) fn open(url: &str, options: &Options, shared: &Arc<Shared>) -> Result<Self> {
        let place = place(url)?;
        let queue = || Arc::new(Queue::new(options.queue));
        if options.access == Access::ReadOnly {
            let Place::File(path) = &place else {
                return Err(StoreError::Config(
                    "a database in memory cannot be read-only: it would stay empty".to_owned(),
                ));
            };
            let reads = queue();
            let threads = readers(path, options.readers, &reads, shared)?;
            return Ok(Self { mode: Mode::ReadOnly { reads }, threads: Mutex::new(threads) });
        }
        let connection = connect::writer(&place, options.inline)?;
        let lock = match (&place, options.exclusive) {
            (Place::File(path), true) => Some(connect::lock(path)?),
            (Place::File(_) | Place::Memory, _) => None,
        };
        if options.inline {
            let writer = Mutex::new(Some(Box::new(Writer::new(connection, None, Arc::clone(shared)))));
            return Ok(Self { mode: Mode::Inline { writer, _lock: lock }, threads: Mutex::default() });
        }
        let writes = queue();
        let Place::File(path) = &place else {
            let writer = Writer::new(connection, None, Arc::clone(shared));
            let thread = write_thread(writer, &writes, options.group, None)?;
            return Ok(Self { mode: Mode::OneThread { queue: writes }, threads: Mutex::new(vec![thread]) });
        };
        let reads = queue();
        let (mut threads, writer) = Self::checkpointed(path, connection, shared)?;
        threads.extend(readers(path, options.readers, &reads, shared)?);
        threads.push(write_thread(writer, &writes, options.group, lock)?);
        Ok(Self { mode: Mode::Threads { writes, reads }, threads: Mutex::new(threads) })
    }

    fn checkpointed(
        path: &Path,
        connection: Connection,
        shared: &Arc<Shared>,
    ) -> Result<(Vec<JoinHandle<()>>, Writer)> {
        let (checkpoints, thread) = Checkpoints::start(path, &connection, Arc::clone(&shared.counters))?;
        Ok((vec![thread], Writer::new(connection, Some(checkpoints), Arc::clone(shared))))
    }

    /// Takes the connection away from a database that runs in its callers, and opens another handle on it.
    pub(super) fn pass_on(&self, shared: &Arc<Shared>) -> Option<Self> {
        let Mode::Inline { writer, _lock: None } = &self.mode else { return None };
        let taken = writer.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let writer = Mutex::new(Some(Box::new(taken.passed_on(Arc::clone(shared))?)));
        Some(Self { mode: Mode::Inline { writer, _lock: None }, threads: Mutex::default() })
    }

    /// Gives the job to whoever does it and waits.
    pub(super) async fn run<T: Send + 'static>(&self, job: Box<dyn Job>, answer: Answer<T>) -> Result<T> {
        match &self.mode {
            Mode::Threads { writes, reads } => (if job.reads() { reads } else { writes }).push(job)?,
            Mode::OneThread { queue } => queue.push(job)?,
            Mode::ReadOnly { reads } if job.reads() => reads.push(job)?,
            Mode::ReadOnly { .. } => {
                return Err(StoreError::ReadOnly {
                    reason: "this handle was opened for reading only".to_owned(),
                });
            }
            Mode::Inline { writer, .. } => {
                match writer.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                    Some(_) if !job.start() => return Err(closed()),
                    Some(writer) if job.reads() => read(writer.connection(), job, writer.shared()),
                    Some(writer) => writer.group(vec![job]),
                    None => return Err(closed()),
                }
            }
        }
        answer.wait().await
    }

    /// The queue whose length says how loaded this is.
    pub(super) fn queue(&self) -> Option<&Queue> {
        match &self.mode {
            Mode::Threads { writes, .. } => Some(writes),
            Mode::OneThread { queue } | Mode::ReadOnly { reads: queue } => Some(queue),
            Mode::Inline { .. } => None,
        }
    }

    /// No new work; the threads end after what is queued.
    pub(super) fn shut(&self) {
        match &self.mode {
            Mode::Threads { writes, reads } => {
                reads.close();
                writes.close();
            }
            Mode::OneThread { queue } | Mode::ReadOnly { reads: queue } => queue.close(),
            Mode::Inline { writer, .. } => *writer.lock().unwrap_or_else(PoisonError::into_inner) = None,
        }
    }

    /// The threads to wait for after [`Self::shut`].
    pub(super) fn threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn write_thread(
    mut writer: Writer,
    queue: &Arc<Queue>,
    group: usize,
    lock: Option<File>,
) -> Result<JoinHandle<()>> {
    let queue = Arc::clone(queue);
    spawn("store-writer", move || {
        let _held_while_open = lock;
        let seat = Seat::default();
        loop {
            match queue.take(&seat, group, Some(LOOK_AROUND)) {
                Taken::Jobs(jobs) => {
                    writer.group(jobs);
                    // A busy writer is never idle, and what others wrote must be noticed all the same.
                    writer.look_around();
                }
                Taken::Idle => writer.look_around(),
                Taken::Closed => return,
            }
        }
    })
}

fn readers(
    path: &Path,
    count: usize,
    queue: &Arc<Queue>,
    shared: &Arc<Shared>,
) -> Result<Vec<JoinHandle<()>>> {
    let start = |_| {
        let connection = connect::reader(path)?;
        let (queue, shared) = (Arc::clone(queue), Arc::clone(shared));
        spawn("store-reader", move || {
            let seat = Seat::default();
            loop {
                match queue.take(&seat, 1, None) {
                    Taken::Jobs(jobs) => jobs.into_iter().for_each(|job| read(&connection, job, &shared)),
                    Taken::Idle => {}
                    Taken::Closed => return,
                }
            }
        })
    };
    // When one cannot be opened, the others must not wait for work that never comes.
    (0..count.max(1)).map(start).collect::<Result<_>>().inspect_err(|_| queue.close())
}

fn read(connection: &Connection, mut job: Box<dyn Job>, shared: &Shared) {
    let simple =
        |text: &str| connection.prepare_cached(text).and_then(|mut statement| statement.raw_execute());
    count(&shared.counters.reads);
    if let Err(error) = simple("BEGIN") {
        job.spoil(translate(job.name(), &error));
        return job.reply();
    }
    let mut tx = SqliteTx::new(connection, true);
    job.run(&mut tx);
    if let Some(statement) = tx.failed {
        job.spoil(swallowed(statement));
    }
    if !connection.is_autocommit()
        && let Err(error) = simple("ROLLBACK")
    {
        job.spoil(translate(job.name(), &error));
    }
    job.reply();
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(body).map_err(|error| StoreError::unavailable(format!("cannot start a thread: {error}")))
}
