//! The worker: claims what is due, syncs it, carries out commands, wakes timers, tells the app, sweeps.
//!
//! It holds no state of its own: killed at any point, the next one goes on from the database.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, join, join4, select};
use quittance_domain::Timestamp;
use quittance_domain::delivery::Channel;
use quittance_store::{aggregates, app_events, commands};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::deliveries::AT_ONCE;
use crate::engine::Engine;
use crate::problem::Problem;
use crate::settings::SWEEP_AGAIN_MS;

/// How often what is old is forgotten, in milliseconds.
const FORGET_EVERY_MS: i64 = 10 * 60 * 1_000;
/// How often at most upkeep is done, in milliseconds.
const UPKEEP_MS: i64 = 1_000;
/// Pause after the database could not be used, in milliseconds.
const TROUBLE_MS: u64 = 1_000;
/// Commands carried out in one go.
const COMMANDS: i64 = 16;

/// How the parts of the worker are woken: each sleeps on its own, so that none takes another's call.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// An aggregate may have become dirty.
    syncs: Notify,
    /// A command may have been written down.
    commands: Notify,
    /// A mail may have been written down, or one that was under way has ended.
    mails: Notify,
    /// As `mails`, of webhooks.
    webhooks: Notify,
}

impl Wakers {
    /// An aggregate was marked; nobody else has work of that.
    pub(crate) fn wake_syncs(&self) {
        self.syncs.notify_one();
    }

    pub(crate) fn wake(&self) {
        self.wake_syncs();
        self.commands.notify_one();
        self.mails.notify_one();
        self.webhooks.notify_one();
    }

    const fn deliveries(&self, channel: Channel) -> &Notify {
        match channel {
            Channel::Mail => &self.mails,
            Channel::Webhook => &self.webhooks,
        }
    }
}

impl Engine {
    /// Works until `shutdown` resolves; syncs that run then are finished first.
    pub async fn work_until(self, shutdown: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(self.settings().sync_concurrency.max(1)));
        let deliveries = join(self.delivery_loop(Channel::Mail), self.delivery_loop(Channel::Webhook));
        let others = pin!(join4(self.command_loop(), deliveries, self.upkeep_loop(), self.tell_loop()));
        // The others never end by themselves; they are dropped with the syncs' end.
        let _ended = select(pin!(self.sync_loop(&slots, shutdown)), others).await;
        // All slots back: every sync that was running has ended.
        let most = u32::try_from(self.settings().sync_concurrency.max(1)).unwrap_or(u32::MAX);
        let _all = slots.acquire_many(most).await;
    }

    async fn sync_loop(&self, slots: &Arc<Semaphore>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            // A backlog does not keep a shutdown waiting: it is looked at before each claim.
            let slot = match select(shutdown.as_mut(), pin!(slots.clone().acquire_owned())).await {
                Either::Right((Ok(slot), _)) => slot,
                Either::Right((Err(_), _)) | Either::Left(_) => return,
            };
            // Asked first: a claim is a write, and every event that is accepted calls.
            let due = match self.next_sync_due().await {
                Ok(due) if due.is_none_or(|at| at > self.now()) => {
                    drop(slot);
                    due
                }
                Ok(_) | Err(_) => {
                    match self.dispatch(slots, slot).await {
                        Ok(0) => {}
                        Ok(_) => continue,
                        Err(problem) => {
                            tracing::error!(%problem, "the worker could not claim");
                            self.world().sleep(TROUBLE_MS).await;
                        }
                    }
                    self.next_sync_due().await.ok().flatten()
                }
            };
            let idle = pin!(self.idle(due, self.settings().look_ms, Some(&self.wakers().syncs)));
            if let Either::Left(_) = select(shutdown.as_mut(), idle).await {
                return;
            }
        }
    }

    /// When the next claim or timer is due, if anything is planned.
    async fn next_sync_due(&self) -> Result<Option<Timestamp>, Problem> {
        let spacing = self.settings().spacing_ms;
        Ok(self.db().read("aggregates.next_due", move |tx| aggregates::next_due(tx, spacing)).await?)
    }

    /// Waits until something is due or somebody calls, but no longer than until the next look.
    async fn idle(&self, due: Option<Timestamp>, look_ms: u64, called: Option<&Notify>) {
        let wait = due.map_or(look_ms, |at| u64::try_from(at.since(self.now())).unwrap_or(0));
        let pause = self.world().sleep(wait.clamp(1, look_ms.max(1)));
        match called {
            Some(notify) => {
                let _either = select(pin!(notify.notified()), pause).await;
            }
            None => pause.await,
        }
    }

    /// Claims as much as there are free slots and syncs each in a task of its own.
    async fn dispatch(&self, slots: &Arc<Semaphore>, first: OwnedSemaphorePermit) -> Result<usize, Problem> {
        let mut permits = vec![first];
        while let Ok(more) = slots.clone().try_acquire_owned() {
            permits.push(more);
        }
        let claims = self.claim(i64::try_from(permits.len()).unwrap_or(1)).await?;
        let count = claims.len();
        for (claim, permit) in claims.into_iter().zip(permits) {
            let engine = self.clone();
            self.world().spawn(Box::pin(async move {
                let key = claim.key.clone();
                if let Err(problem) = engine.sync(claim).await {
                    tracing::error!(aggregate = key, %problem, "the end of a sync was not recorded; its lease runs out");
                }
                drop(permit);
                engine.wake();
            }));
        }
        Ok(count)
    }

    async fn command_loop(&self) {
        loop {
            match self.perform_due(COMMANDS).await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(problem) => {
                    tracing::error!(%problem, "commands could not be carried out");
                    self.world().sleep(TROUBLE_MS).await;
                }
            }
            let due = self.db().read("commands.next_due", commands::next_due).await.ok().flatten();
            self.idle(due, self.settings().look_ms, Some(&self.wakers().commands)).await;
        }
    }

    /// Delivers on one channel. Each delivery is a task of its own, so that one that is slow holds nothing but its place.
    async fn delivery_loop(&self, channel: Channel) {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let looked_at = self.now();
            match self.dispatch_deliveries(channel, &slots, slot).await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(problem) => {
                    tracing::error!(%problem, "deliveries could not be sent");
                    self.world().sleep(TROUBLE_MS).await;
                }
            }
            // What was due and is left waits for a place, which wakes us when it is free.
            let due = self.next_delivery_due(channel).await.filter(|at| *at > looked_at);
            self.idle(due, self.settings().look_ms, Some(self.wakers().deliveries(channel))).await;
        }
    }

    /// Claims as many deliveries as there are free places, and sends each in a task of its own.
    async fn dispatch_deliveries(
        &self,
        channel: Channel,
        slots: &Arc<Semaphore>,
        first: OwnedSemaphorePermit,
    ) -> Result<usize, Problem> {
        let mut permits = vec![first];
        while let Ok(more) = slots.clone().try_acquire_owned() {
            permits.push(more);
        }
        let claimed = self.claim_deliveries(channel, permits.len()).await?;
        let count = claimed.len();
        for (claim, permit) in claimed.into_iter().zip(permits) {
            let engine = self.clone();
            self.world().spawn(Box::pin(async move {
                let delivery = claim.seq();
                if let Err(problem) = engine.carry_delivery(claim).await {
                    tracing::error!(delivery, %problem, "the end of a delivery was not recorded; its lease runs out");
                }
                drop(permit);
                engine.wakers().deliveries(channel).notify_one();
            }));
        }
        Ok(count)
    }

    /// Tells the app of what ends by itself, when it ends, and operators of alerts.
    async fn tell_loop(&self) {
        loop {
            let told = match self.tell_due().await {
                Ok(told) => self.announce_alerts().await.map(|alerts| told + alerts),
                Err(problem) => Err(problem),
            };
            match told {
                Ok(0) => {}
                Ok(_) => continue,
                Err(problem) => {
                    tracing::error!(%problem, "what ended, or an alert, could not be told");
                    self.world().sleep(TROUBLE_MS).await;
                }
            }
            let ends = self.db().read("app_told.next", app_events::next_due).await.ok().flatten();
            let alerts = self.next_alert_due().await.ok().flatten();
            let due = ends.into_iter().chain(alerts).min();
            self.idle(due, self.settings().look_ms.saturating_mul(4), None).await;
        }
    }

    /// What is done now and then: the sweep, counting the backlog, forgetting what is old.
    async fn upkeep_loop(&self) {
        let mut forget_at = self.now();
        if let Err(problem) = self.follow_the_schedule().await {
            tracing::warn!(%problem, "the next sweep is due as it was planned before");
        }
        loop {
            let mut rest_ms = UPKEEP_MS;
            if self.sweep_due_at().await.is_some_and(|at| at <= self.now())
                && let Err(problem) = self.sweep(false, false).await
            {
                tracing::warn!(%problem, "sweep interrupted; it goes on from its checkpoint");
                rest_ms = SWEEP_AGAIN_MS;
            }
            if self.tie_out_is_due().await
                && let Err(problem) = self.tie_out_by_the_clock().await
            {
                tracing::warn!(%problem, "the ledger was not held against the provider");
            }
            if let Err(problem) = self.number_changes().await {
                tracing::warn!(%problem, "changes not numbered; whoever follows them does it");
            }
            if let Err(problem) = self.backlog().await {
                tracing::warn!(%problem, "backlog not counted");
            }
            if let Err(problem) = self.wrong_access_now().await {
                tracing::warn!(%problem, "wrong access not counted");
            }
            let now = self.now();
            if now >= forget_at {
                forget_at = now.plus_ms(FORGET_EVERY_MS);
                if let Err(problem) = self.forget_old().await {
                    tracing::warn!(%problem, "what is old was not forgotten");
                }
                if let Err(problem) = self.tend_signing_keys().await {
                    tracing::warn!(%problem, "signing keys not looked after");
                }
            }
            let due = self.sweep_due_at().await.map(|at| at.max(self.now().plus_ms(rest_ms)));
            self.idle(due, self.settings().look_ms.saturating_mul(4), None).await;
        }
    }

    /// Does everything that is due now, in this task: for tests, demos and commands without a server.
    /// Returns how many syncs ended.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn drain(&self) -> Result<usize, Problem> {
        let mut done = 0;
        loop {
            let commands = self.perform_due(COMMANDS).await?;
            let told = self.tell_due().await? + self.announce_alerts().await?;
            let claims = self.claim(COMMANDS).await?;
            let delivered = self.deliver_due().await?;
            if claims.is_empty() && commands == 0 && delivered == 0 && told == 0 {
                return Ok(done);
            }
            for claim in claims {
                self.sync(claim).await?;
                done += 1;
            }
        }
    }
}
