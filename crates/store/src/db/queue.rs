//! The bounded queue between callers and the threads that own connections. Full means refused, never unbounded.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::job::{Job, closed};
use crate::error::{Result, StoreError};

/// Jobs in the order they came.
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
}

/// What a worker gets.
pub(super) enum Taken {
    /// At least one job; all were started.
    Jobs(Vec<Box<dyn Job>>),
    /// Nothing came for a while.
    Idle,
    /// Closed and empty: the worker ends.
    Closed,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), ready: Condvar::new(), capacity }
    }

    /// Adds a job, or refuses it.
    pub(super) fn push(&self, job: Box<dyn Job>) -> Result<()> {
        let mut state = self.lock();
        if state.closed {
            return Err(closed());
        }
        if state.jobs.len() >= self.capacity {
            return Err(StoreError::Busy { waiting: state.jobs.len() });
        }
        state.jobs.push_back(job);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Waits (up to `patience`) for work and takes up to `most` jobs.
    pub(super) fn take(&self, most: usize, patience: Option<Duration>) -> Taken {
        let mut state = self.lock();
        if state.jobs.is_empty() && !state.closed {
            let idle = |state: &mut State| state.jobs.is_empty() && !state.closed;
            state = match patience {
                Some(limit) => {
                    let waited = self.ready.wait_timeout_while(state, limit, idle);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.ready.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let count = state.jobs.len().min(most);
        if count == 0 {
            return if state.closed { Taken::Closed } else { Taken::Idle };
        }
        let jobs: Vec<_> = state.jobs.drain(..count).collect();
        drop(state);
        Taken::Jobs(jobs.into_iter().filter(|job| job.start()).collect())
    }

    /// Refuses new work; what is queued is still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
