//! The worker: claims what is due, syncs it, carries out commands, wakes timers, sweeps.
//!
//! It holds no state of its own: killed at any point, the next one goes on from the database.

use std::future::Future;
use std::sync::Arc;

use quittance_store::{aggregates, api_requests};
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::problem::Problem;

/// How long it waits at most before it looks again, in milliseconds: other nodes' hints and timers.
const LOOK_MS: u64 = 250;
/// How often old answers to idempotency keys are dropped, in milliseconds.
const PRUNE_EVERY_MS: i64 = 10 * 60 * 1_000;
/// Commands carried out in one go.
const COMMANDS: i64 = 16;

impl Engine {
    /// Works until `shutdown` resolves; syncs that run then are finished first.
    pub async fn work_until(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let slots = Arc::new(Semaphore::new(self.settings().sync_concurrency.max(1)));
        let sweeper = tokio::spawn(self.clone().sweep_loop());
        let commander = tokio::spawn(self.clone().command_loop());
        loop {
            let busy = match self.dispatch(&slots).await {
                Ok(claimed) => claimed > 0,
                Err(problem) => {
                    tracing::error!(%problem, "the worker could not claim");
                    self.world().sleep(1_000).await;
                    false
                }
            };
            if busy {
                continue;
            }
            let woken = std::pin::pin!(self.work().notified());
            let pause = self.world().sleep(self.idle_ms().await);
            let idle = futures_util::future::select(woken, pause);
            if let futures_util::future::Either::Left(_) =
                futures_util::future::select(shutdown.as_mut(), idle).await
            {
                break;
            }
        }
        sweeper.abort();
        commander.abort();
        // All slots back: every sync that was running has ended.
        let most = u32::try_from(self.settings().sync_concurrency.max(1)).unwrap_or(u32::MAX);
        let _all = slots.acquire_many(most).await;
    }

    /// Claims as much as there are free slots and syncs each in a task of its own.
    async fn dispatch(&self, slots: &Arc<Semaphore>) -> Result<usize, Problem> {
        let Ok(first) = slots.clone().acquire_owned().await else { return Ok(0) };
        let mut permits = vec![first];
        while let Ok(more) = slots.clone().try_acquire_owned() {
            permits.push(more);
        }
        let claims = self.claim(i64::try_from(permits.len()).unwrap_or(1)).await?;
        let count = claims.len();
        for (claim, permit) in claims.into_iter().zip(permits) {
            let engine = self.clone();
            tokio::spawn(async move {
                let key = claim.key.clone();
                if let Err(problem) = engine.sync(claim).await {
                    tracing::error!(aggregate = key, %problem, "the end of a sync was not recorded; its lease runs out");
                }
                drop(permit);
                engine.wake();
            });
        }
        Ok(count)
    }

    /// Until the next hint or timer is due, but no longer than until the next look.
    async fn idle_ms(&self) -> u64 {
        let spacing = self.settings().spacing_ms;
        let due = self.db().read("aggregates.next_due", move |tx| aggregates::next_due(tx, spacing)).await;
        let due = due.ok().flatten();
        due.map_or(LOOK_MS, |at| u64::try_from(at.since(self.now())).unwrap_or(0).clamp(1, LOOK_MS))
    }

    async fn command_loop(self) {
        loop {
            match self.perform_due(COMMANDS).await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(problem) => tracing::error!(%problem, "commands could not be carried out"),
            }
            self.world().sleep(LOOK_MS).await;
        }
    }

    async fn sweep_loop(self) {
        let mut prune_at = self.now();
        loop {
            if self.sweep_is_due().await
                && let Err(problem) = self.sweep(false, false).await
            {
                tracing::warn!(%problem, "sweep interrupted; it goes on from its checkpoint");
            }
            if let Err(problem) = self.backlog().await {
                tracing::warn!(%problem, "backlog not counted");
            }
            let now = self.now();
            if now >= prune_at {
                prune_at = now.plus_ms(PRUNE_EVERY_MS);
                let before = now.plus_ms(-self.settings().idempotency_kept_ms);
                if let Err(error) =
                    self.db().write("api_requests.prune", move |tx| api_requests::prune(tx, before)).await
                {
                    tracing::warn!(%error, "old answers not dropped");
                }
            }
            self.world().sleep(1_000).await;
        }
    }

    /// Does everything that is due now, in this task: for tests, demos and commands without a server.
    /// Returns how many syncs ended.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn drain(&self) -> Result<usize, Problem> {
        let mut done = 0;
        loop {
            let commands = self.perform_due(COMMANDS).await?;
            let claims = self.claim(COMMANDS).await?;
            if claims.is_empty() && commands == 0 {
                return Ok(done);
            }
            for claim in claims {
                self.sync(claim).await?;
                done += 1;
            }
        }
    }
}
