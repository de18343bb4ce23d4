//! The delivery loop: sends what is due over HTTP and reports how it went.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;

use crate::sandbox::Sandbox;
use crate::webhooks::queue::{Delivery, DeliveryOutcome};

/// An endpoint that takes longer has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// The longest sleep: the clock of the sandbox may have been moved meanwhile, or a delay have passed.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// The longest sleep in live mode, where time runs ahead of the real one.
const LIVE_SLEEP: Duration = Duration::from_millis(50);
/// How many deliveries are under way at once.
const AT_ONCE: usize = 16;

/// Delivers until told to stop.
pub(super) async fn run(sandbox: Arc<Sandbox>, mut stop: watch::Receiver<bool>) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no webhook will be delivered: the HTTP client cannot start");
            return;
        }
    };
    loop {
        let longest = if sandbox.keep_pace() { LIVE_SLEEP } else { LONGEST_SLEEP };
        let due = sandbox.due_deliveries();
        if due.is_empty() {
            tokio::select! {
                _ = stop.changed() => return,
                () = sandbox.changed() => {}
                () = tokio::time::sleep(longest) => {}
            }
            continue;
        }
        // A slow endpoint must not hold up what becomes due later, so a batch runs on its own.
        tokio::spawn(send_all(client.clone(), Arc::clone(&sandbox), due));
    }
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    // Endpoints on this machine speak plain HTTP; the provider is only needed for those that do not.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(ANSWER_WITHIN).redirect(reqwest::redirect::Policy::none()).build()
}

async fn send_all(client: reqwest::Client, sandbox: Arc<Sandbox>, due: Vec<Delivery>) {
    let (together, in_turn): (Vec<_>, Vec<_>) = due.into_iter().partition(|delivery| delivery.concurrently);
    let sending = |delivery| send(client.clone(), Arc::clone(&sandbox), delivery);
    let together = futures_util::future::join_all(together.into_iter().map(sending));
    let in_turn = futures_util::stream::iter(in_turn).for_each_concurrent(AT_ONCE, sending);
    futures_util::future::join(together, in_turn).await;
}

async fn send(client: reqwest::Client, sandbox: Arc<Sandbox>, delivery: Delivery) {
    let outcome = match &delivery.listener {
        Some(listener) => sandbox.hub().deliver(listener, &delivery).await,
        None => post(&client, &delivery).await,
    };
    sandbox.delivery_result(&delivery.delivery_id, outcome);
}

async fn post(client: &reqwest::Client, delivery: &Delivery) -> DeliveryOutcome {
    let mut request = client.post(&delivery.url).body(delivery.body.clone());
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    match request.send().await {
        Ok(response) => DeliveryOutcome::Answered(response.status().as_u16()),
        Err(error) => {
            tracing::debug!(event = %delivery.event_id, %error, "a webhook could not be delivered");
            DeliveryOutcome::Failed
        }
    }
}
