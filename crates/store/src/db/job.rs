//! A transaction waiting to run: the closure, its result, and who waits for it. Knows no database.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Tx;
use crate::error::{Result, StoreError};

/// What a worker can do with a transaction whose type it does not know.
pub(super) trait Job: Send {
    /// The name given to `write` or `read`.
    fn name(&self) -> &'static str;
    /// May it only read?
    fn reads(&self) -> bool;
    /// Takes it; false when the caller gave up waiting, and then it must not run.
    fn start(&self) -> bool;
    /// Runs the closure and keeps its result; true when it returned `Ok`. May be called again after a rollback.
    fn run(&mut self, tx: &mut dyn Tx) -> bool;
    /// Turns a kept `Ok` into this error (the commit failed); a kept error stays.
    fn spoil(&mut self, error: StoreError);
    /// Replaces whatever result is kept: the closure's own error was only a consequence.
    fn fail(&mut self, error: StoreError);
    /// Hands the kept result to the caller.
    fn reply(self: Box<Self>);
}

const WAITING: u8 = 0;
const STARTED: u8 = 1;
const ABANDONED: u8 = 2;

struct Typed<T, F> {
    name: &'static str,
    reads: bool,
    work: F,
    state: Arc<AtomicU8>,
    result: Option<Result<T>>,
    caller: oneshot::Sender<Result<T>>,
}

/// The caller's end of a job.
pub(super) struct Answer<T> {
    receiver: oneshot::Receiver<Result<T>>,
    state: Arc<AtomicU8>,
}

/// Makes a job and the end its caller waits on.
pub(super) fn job<T, F>(name: &'static str, reads: bool, work: F) -> (Box<dyn Job>, Answer<T>)
where
    T: Send + 'static,
    F: Fn(&mut dyn Tx) -> Result<T> + Send + 'static,
{
    let (caller, receiver) = oneshot::channel();
    let state = Arc::new(AtomicU8::new(WAITING));
    let typed = Typed { name, reads, work, state: Arc::clone(&state), result: None, caller };
    (Box::new(typed), Answer { receiver, state })
}

impl<T: Send + 'static> Answer<T> {
    /// Waits without limit.
    pub(super) async fn wait(self) -> Result<T> {
        self.receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Waits; if the job has not *started* after `limit`, gives up and the job will not run.
    pub(super) async fn wait_for_start(mut self, limit: Duration) -> Result<T> {
        match tokio::time::timeout(limit, &mut self.receiver).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(closed())),
            Err(_) => {
                let gave_up = self
                    .state
                    .compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok();
                if gave_up {
                    let reason = format!(
                        "no connection became free within {} ms; nothing was done",
                        limit.as_millis()
                    );
                    return Err(StoreError::unavailable(reason));
                }
                self.wait().await
            }
        }
    }
}

/// The answer to work given after [`super::Db::close`].
pub(super) fn closed() -> StoreError {
    StoreError::unavailable("this handle was closed")
}

impl<T, F> Job for Typed<T, F>
where
    T: Send + 'static,
    F: Fn(&mut dyn Tx) -> Result<T> + Send + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn reads(&self) -> bool {
        self.reads
    }

    fn start(&self) -> bool {
        self.state.compare_exchange(WAITING, STARTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn run(&mut self, tx: &mut dyn Tx) -> bool {
        // A closure that panics has only touched its transaction, which is rolled back, so nothing torn is seen afterwards.
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(tx))).unwrap_or_else(|panic| {
            Err(StoreError::Panicked { operation: self.name, message: panic_message(&*panic) })
        });
        let ok = result.is_ok();
        self.result = Some(result);
        ok
    }

    fn spoil(&mut self, error: StoreError) {
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(error));
        }
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn reply(self: Box<Self>) {
        // The caller may be gone (client disconnected); what was committed stays committed.
        let _gone = self.caller.send(self.result.unwrap_or_else(|| Err(closed())));
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
