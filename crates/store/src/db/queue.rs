//! The bounded queue between callers and the threads that own connections. Full means refused, never unbounded.
//!
//! The thread that fell idle last is woken first: what the load needs stays few, so that only their connections are opened and
//! only their buffers grow.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::job::{Job, closed};
use crate::error::{Result, StoreError};

/// Jobs in the order they came.
pub(super) struct Queue {
    state: Mutex<State>,
    capacity: usize,
}

/// What one worker waits on.
#[derive(Clone, Default)]
pub(super) struct Seat(Arc<Condvar>);

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
    /// Who waits, the last one last.
    idle: Vec<Seat>,
}

impl State {
    fn nothing_to_do(&self) -> bool {
        self.jobs.is_empty() && !self.closed
    }
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
        Self { state: Mutex::default(), capacity }
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
        let woken = state.idle.pop();
        drop(state);
        if let Some(Seat(seat)) = woken {
            seat.notify_one();
        }
        Ok(())
    }

    /// Waits in `seat` (up to `patience`) for work and takes up to `most` jobs.
    pub(super) fn take(&self, seat: &Seat, most: usize, patience: Option<Duration>) -> Taken {
        let mut state = self.lock();
        let mut late = false;
        // Another worker may have taken what this one was woken for; then it waits again, and is to be woken again.
        while state.nothing_to_do() && !late {
            state.idle.push(seat.clone());
            (state, late) = match patience {
                Some(limit) => {
                    let waited = seat.0.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
                    (waited.0, waited.1.timed_out())
                }
                None => (seat.0.wait(state).unwrap_or_else(PoisonError::into_inner), false),
            };
            // Nobody took it out who did not wake it.
            state.idle.retain(|other| !Arc::ptr_eq(&other.0, &seat.0));
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
        let mut state = self.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.into_iter().for_each(|Seat(seat)| seat.notify_one());
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use super::{Job, Queue, Seat, Taken};
    use crate::db::Tx;
    use crate::error::StoreError;

    struct Nothing;

    impl Job for Nothing {
        fn name(&self) -> &'static str {
            "nothing"
        }
        fn reads(&self) -> bool {
            true
        }
        fn start(&self) -> bool {
            true
        }
        fn run(&mut self, _tx: &mut dyn Tx) -> bool {
            true
        }
        fn spoil(&mut self, _error: StoreError) {}
        fn fail(&mut self, _error: StoreError) {}
        fn reply(self: Box<Self>) {}
    }

    fn worker(name: usize, queue: &Arc<Queue>, done: &Sender<usize>) -> JoinHandle<()> {
        let (queue, done) = (Arc::clone(queue), done.clone());
        thread::spawn(move || {
            let seat = Seat::default();
            while let Taken::Jobs(jobs) = queue.take(&seat, 1, None) {
                jobs.iter().for_each(|_| done.send(name).expect("somebody counts"));
            }
        })
    }

    /// Until so many wait.
    fn idle(queue: &Queue, count: usize) {
        while queue.lock().idle.len() != count {
            thread::sleep(Duration::from_micros(50));
        }
    }

    #[test]
    fn who_fell_idle_last_works_first() {
        let queue = Arc::new(Queue::new(8));
        let (done, finished) = channel();
        let mut workers = Vec::new();
        for name in 0..4 {
            workers.push(worker(name, &queue, &done));
            idle(&queue, name + 1);
        }
        for _ in 0..50 {
            queue.push(Box::new(Nothing)).expect("there is room");
            assert_eq!(finished.recv_timeout(Duration::from_secs(10)), Ok(3));
            idle(&queue, 4);
        }
        queue.close();
        workers.into_iter().for_each(|worker| worker.join().expect("ends"));
    }

    #[test]
    fn every_job_is_done_though_workers_take_each_others() {
        const JOBS: usize = 40_000;
        let queue = Arc::new(Queue::new(JOBS));
        let (done, finished) = channel();
        let workers: Vec<_> = (0..4).map(|name| worker(name, &queue, &done)).collect();
        let pushers: Vec<_> = (0..4)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    for turn in 0..JOBS / 4 {
                        queue.push(Box::new(Nothing)).expect("there is room");
                        if turn % 3 == 0 {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        for _ in 0..JOBS {
            assert!(finished.recv_timeout(Duration::from_secs(20)).is_ok(), "{} jobs lie there", queue.len());
        }
        pushers.into_iter().for_each(|pusher| pusher.join().expect("ends"));
        // Whoever was woken in vain can be woken again.
        idle(&queue, 4);
        for _ in 0..4 {
            queue.push(Box::new(Nothing)).expect("there is room");
        }
        (0..4).for_each(|_| assert!(finished.recv_timeout(Duration::from_secs(20)).is_ok()));
        queue.close();
        workers.into_iter().for_each(|worker| worker.join().expect("ends"));
    }

    #[test]
    fn nothing_for_a_while_is_said() {
        let queue = Queue::new(1);
        assert!(matches!(queue.take(&Seat::default(), 1, Some(Duration::from_millis(5))), Taken::Idle));
        assert!(queue.lock().idle.is_empty());
        queue.close();
        assert!(matches!(queue.take(&Seat::default(), 1, None), Taken::Closed));
    }
}
