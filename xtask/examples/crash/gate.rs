//! Holds the load still while the product is checked, and ends it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xtask::clock::Stopwatch;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Go,
    Wait,
    End,
}

struct State {
    sign: Sign,
    waiting: usize,
    inside: usize,
    closed: Option<Stopwatch>,
}

/// Every thread of the load passes here between two steps.
pub struct Gate {
    state: Mutex<State>,
    moved: Condvar,
}

impl Gate {
    /// Open, for so many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            state: Mutex::new(State { sign: Sign::Go, waiting: 0, inside: threads, closed: None }),
            moved: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the gate is closed; `false` when the load is over.
    pub fn pass(&self) -> bool {
        let mut state = self.lock();
        while state.sign == Sign::Wait {
            state.waiting += 1;
            self.moved.notify_all();
            state = self.wait(state);
            state.waiting -= 1;
        }
        state.sign == Sign::Go
    }

    /// For how long nobody has been killed any more; zero while somebody may be.
    pub fn closed_for(&self) -> Duration {
        self.lock().closed.map(Stopwatch::elapsed).unwrap_or_default()
    }

    /// A thread that comes no more.
    pub fn leave(&self) {
        self.lock().inside -= 1;
        self.moved.notify_all();
    }

    /// Closes the gate and waits until every thread stands before it.
    pub fn close(&self) {
        let mut state = self.lock();
        state.sign = Sign::Wait;
        state.closed = Some(Stopwatch::start());
        while state.waiting < state.inside {
            state = self.wait(state);
        }
    }

    /// Opens it again.
    pub fn open(&self) {
        let mut state = self.lock();
        (state.sign, state.closed) = (Sign::Go, None);
        drop(state);
        self.moved.notify_all();
    }

    /// Ends the load and waits until every thread has left.
    pub fn end(&self) {
        let mut state = self.lock();
        (state.sign, state.closed) = (Sign::End, Some(Stopwatch::start()));
        self.moved.notify_all();
        while state.inside > 0 {
            state = self.wait(state);
        }
    }
}
