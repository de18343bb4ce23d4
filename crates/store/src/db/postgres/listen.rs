//! One connection that listens for `NOTIFY quittance_change` and passes the payloads on. Specification: PostgreSQL manual, LISTEN.
//!
//! Notifications sent while nobody listened are gone, so every (re)connection announces [`Change::Resync`].

use std::sync::Arc;
use std::time::Duration;

use super::connect::{Event, Target};
use crate::db::{Change, Shared};

const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Listens until the task is aborted.
pub(super) async fn listen(target: Arc<Target>, shared: Arc<Shared>) {
    loop {
        if let Err(error) = listen_once(&target, &shared).await {
            tracing::warn!(%error, "not listening for changes; trying again");
        }
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}

async fn listen_once(target: &Target, shared: &Shared) -> crate::Result<()> {
    let (client, mut driver) = target.connect_raw().await?;
    let mut listening = Box::pin(async {
        client
            .batch_execute("LISTEN quittance_change")
            .await
            .map_err(|error| super::errors::cannot_connect(&error))
    });
    let mut asked = true;
    loop {
        tokio::select! {
            listens = &mut listening, if asked => {
                listens?;
                asked = false;
                shared.publish(Change::Resync);
            }
            event = std::future::poll_fn(|context| driver.poll_event(context)) => match event {
                Some(Event::Notification(payload)) => shared.publish(Change::Payload(payload)),
                Some(Event::Other) => {}
                Some(Event::Broken(reason)) => return Err(crate::StoreError::unavailable(reason)),
                None => return Err(crate::StoreError::unavailable("the server closed the connection")),
            },
        }
    }
}
