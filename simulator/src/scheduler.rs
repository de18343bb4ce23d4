//! The one scheduler: all tasks of all nodes on one thread, who runs next drawn from the seed, and a clock that
//! moves only when nobody can run.
//!
//! It knows nothing of billing: a task belongs to somebody ([`Owner`]), who can be stopped for a while or ended.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use quittance_engine::world::Waiting;

use crate::chance::Chance;

/// Whose task it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Buyers, operators, the network, the provider: what no crash of ours ends.
    Outside,
    /// A node in one of its lives.
    Node {
        /// Which node, from 0.
        node: usize,
        /// How often it has started.
        life: u64,
    },
}

type TaskId = u64;

struct Task {
    owner: Owner,
    future: Option<Waiting<'static>>,
    waker: Arc<TaskWaker>,
}

struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}

struct State {
    now_ms: i64,
    chance: Chance,
    tasks: BTreeMap<TaskId, Task>,
    next_task: TaskId,
    timers: BTreeMap<(i64, u64), Waker>,
    next_timer: u64,
    paused: BTreeMap<Owner, i64>,
    last: Option<Owner>,
    polls: u64,
}

/// Tasks and clock of one simulated world.
pub struct Scheduler {
    state: Mutex<State>,
    ready: Arc<Mutex<Vec<TaskId>>>,
}

impl Scheduler {
    /// An empty world at a moment, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(now_ms: i64, chance: Chance) -> Arc<Self> {
        let state = State {
            now_ms,
            chance,
            tasks: BTreeMap::new(),
            next_task: 0,
            timers: BTreeMap::new(),
            next_timer: 0,
            paused: BTreeMap::new(),
            last: None,
            polls: 0,
        };
        Arc::new(Self { state: Mutex::new(state), ready: Arc::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.state().now_ms
    }

    /// Steps so far: how often any task was run.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state().polls
    }

    /// Whose task ran last.
    #[must_use]
    pub fn last(&self) -> Option<Owner> {
        self.state().last
    }

    /// Adds a task, which may run at once.
    pub fn spawn(&self, owner: Owner, future: Waiting<'static>) {
        let mut state = self.state();
        let id = state.next_task;
        state.next_task += 1;
        let waker =
            Arc::new(TaskWaker { id, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        state.tasks.insert(id, Task { owner, future: Some(future), waker: Arc::clone(&waker) });
        drop(state);
        waker.wake();
    }

    /// Waits for some milliseconds.
    #[must_use]
    pub fn sleep(self: &Arc<Self>, ms: u64) -> Sleep {
        let until = self.now_ms().saturating_add_unsigned(ms);
        Sleep { scheduler: Arc::clone(self), until, timer: None }
    }

    /// Ends all tasks of an owner. Their futures are returned, to be dropped by the caller.
    #[must_use]
    pub fn end(&self, owner: Owner) -> Vec<Waiting<'static>> {
        let mut state = self.state();
        state.paused.remove(&owner);
        let ids: Vec<TaskId> =
            state.tasks.iter().filter(|(_, task)| task.owner == owner).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| state.tasks.remove(&id)?.future).collect()
    }

    /// Lets an owner stand still until a moment: its timers fire and its messages arrive, but it does not run.
    pub fn pause(&self, owner: Owner, until_ms: i64) {
        self.state().paused.insert(owner, until_ms);
    }

    /// Whether an owner stands still.
    #[must_use]
    pub fn is_paused(&self, owner: Owner) -> bool {
        self.state().paused.contains_key(&owner)
    }

    /// Runs one task that can, chosen by the seed; `false` when none can.
    pub fn run_one(&self) -> bool {
        let Some((id, owner, mut future, waker)) = self.choose() else { return false };
        self.state().last = Some(owner);
        let waker = Waker::from(waker);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut state = self.state();
        match polled {
            Poll::Ready(()) => {
                state.tasks.remove(&id);
            }
            Poll::Pending => {
                if let Some(task) = state.tasks.get_mut(&id) {
                    task.future = Some(future);
                    return true;
                }
            }
        }
        // Outside the lock: what a future holds may call back when it is dropped.
        drop(state);
        drop(future);
        true
    }

    fn choose(&self) -> Option<(TaskId, Owner, Waiting<'static>, Arc<TaskWaker>)> {
        let mut state = self.state();
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let open: Vec<usize> = if state.paused.is_empty() {
                Vec::new()
            } else {
                let stands = |id: &TaskId| {
                    state.tasks.get(id).is_some_and(|task| state.paused.contains_key(&task.owner))
                };
                (0..ready.len()).filter(|index| ready.get(*index).is_some_and(|id| !stands(id))).collect()
            };
            let count = if state.paused.is_empty() { ready.len() } else { open.len() };
            if count == 0 {
                return None;
            }
            let drawn = usize::try_from(state.chance.below(count as u64)).ok()?;
            let index = if state.paused.is_empty() { drawn } else { *open.get(drawn)? };
            let id = ready.swap_remove(index);
            // A task that has ended meanwhile may still have been called.
            let Some(task) = state.tasks.get_mut(&id) else { continue };
            let Some(future) = task.future.take() else { continue };
            task.waker.queued.store(false, Ordering::Relaxed);
            let found = (id, task.owner, future, Arc::clone(&task.waker));
            state.polls += 1;
            return Some(found);
        }
    }

    /// The next moment at which something happens by itself: a timer, or the end of a pause.
    #[must_use]
    pub fn next_moment(&self) -> Option<i64> {
        let state = self.state();
        let timer = state.timers.keys().next().map(|(at, _)| *at);
        let pause = state.paused.values().min().copied();
        timer.into_iter().chain(pause).min()
    }

    /// Moves the clock on and calls whoever waited for it. The clock never goes back.
    pub fn advance_to(&self, now_ms: i64) {
        let mut called = Vec::new();
        let mut state = self.state();
        state.now_ms = state.now_ms.max(now_ms);
        let now = state.now_ms;
        state.paused.retain(|_, until| *until > now);
        while let Some(entry) = state.timers.first_entry()
            && entry.key().0 <= now
        {
            called.push(entry.remove());
        }
        drop(state);
        called.into_iter().for_each(Waker::wake);
    }
}

/// A wait on the simulated clock.
pub struct Sleep {
    scheduler: Arc<Scheduler>,
    until: i64,
    timer: Option<(i64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.scheduler.state();
        if state.now_ms >= self.until {
            return Poll::Ready(());
        }
        let key = self.timer.unwrap_or((self.until, state.next_timer));
        state.next_timer += u64::from(self.timer.is_none());
        state.timers.insert(key, context.waker().clone());
        drop(state);
        self.timer = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.timer {
            self.scheduler.state().timers.remove(&key);
        }
    }
}
