//! PostgreSQL behind the facade: a fixed number of workers, each a thread with one connection, share one bounded queue.

mod connect;
mod errors;
mod listen;
mod tx;
mod types;
mod worker;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::connect::Target;
#[cfg(test)]
pub(super) use self::types::carried;
use self::worker::Worker;
use super::job::{Answer, Job};
use super::queue::Queue;
use super::{Access, Options, Shared};
use crate::error::{Result, StoreError};

/// An open PostgreSQL database.
pub(super) struct Postgres {
    queue: Arc<Queue>,
    wait: Duration,
    read_only: bool,
    target: Arc<Target>,
    shared: Arc<Shared>,
    runtime: Handle,
    listener: OnceLock<AbortHandle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Postgres {
    /// Starts the workers; they connect when there is work. Must be called within a runtime, where the listener will live.
    pub(super) fn open(url: &str, options: &Options, shared: &Arc<Shared>) -> Result<Self> {
        let target = Arc::new(Target::parse(url)?);
        let queue = Arc::new(Queue::new(options.queue));
        let start = |index| start(index, &target, &queue, shared);
        let threads = (0..options.connections.max(1))
            .map(start)
            .collect::<Result<_>>()
            .inspect_err(|_| queue.close())?;
        Ok(Self {
            queue,
            wait: options.wait,
            read_only: options.access == Access::ReadOnly,
            target: Arc::clone(&target),
            shared: Arc::clone(shared),
            runtime: Handle::current(),
            listener: OnceLock::new(),
            threads: Mutex::new(threads),
        })
    }

    /// Gives the job to whichever worker is free first and waits.
    pub(super) async fn run<T: Send + 'static>(&self, job: Box<dyn Job>, answer: Answer<T>) -> Result<T> {
        if self.read_only && !job.reads() {
            return Err(StoreError::ReadOnly {
                reason: "this handle was opened for reading only".to_owned(),
            });
        }
        self.queue.push(job)?;
        answer.wait_for_start(self.wait).await
    }

    /// Makes sure that notifications are listened for.
    pub(super) fn listen(&self) {
        self.listener.get_or_init(|| {
            let listening = listen::listen(Arc::clone(&self.target), Arc::clone(&self.shared));
            self.runtime.spawn(listening).abort_handle()
        });
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// No new work; the threads end after what is queued.
    pub(super) fn shut(&self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
        self.queue.close();
    }

    /// The threads to wait for after [`Self::shut`].
    pub(super) fn threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn start(
    index: u32,
    target: &Arc<Target>,
    queue: &Arc<Queue>,
    shared: &Arc<Shared>,
) -> Result<JoinHandle<()>> {
    let cannot = |error: std::io::Error| StoreError::unavailable(format!("cannot start a thread: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let worker =
        Worker { runtime, target: Arc::clone(target), shared: Arc::clone(shared), session: None, index };
    let queue = Arc::clone(queue);
    std::thread::Builder::new()
        .name("store-worker".to_owned())
        .spawn(move || worker.serve(&queue))
        .map_err(cannot)
}
