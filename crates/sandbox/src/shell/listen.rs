//! The web sockets of Stripe's command-line program: `stripe listen` hears of events here, forwards them to a program
//! of the developer's and says how that answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::plain;
use crate::sandbox::Sandbox;
use crate::state::world::API_VERSION;
use crate::webhooks::queue::{Delivery, DeliveryOutcome};

/// The protocol that the program speaks.
const PROTOCOL: &str = "stripecli-devproxy-v1";
/// How long a delivery waits for the program's word on how it went.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long a program may be away before it counts as gone: it opens its connection anew from time to time.
const RETURN_WITHIN: Duration = Duration::from_secs(10);
/// How often a delivery looks whether a program is back.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A program that sends nothing for so long, not even a ping, is gone.
const SILENT_AT_MOST: Duration = Duration::from_secs(30);

/// What a socket is to send, and who waits for the answer.
struct Outgoing {
    /// Names the exchange; the answer repeats it.
    conversation: String,
    messages: Vec<String>,
    answer: oneshot::Sender<u16>,
}

/// The programs that are connected, by the ids of their sessions.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    sockets: Mutex<HashMap<String, mpsc::UnboundedSender<Outgoing>>>,
}

impl Hub {
    fn sockets(&self) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Outgoing>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes every connection: their sessions are not of this state any more.
    pub(crate) fn close(&self) {
        self.sockets().clear();
    }

    /// The connection of a program, as soon as it has one.
    async fn connected(&self, listener: &str) -> mpsc::UnboundedSender<Outgoing> {
        loop {
            let socket = self.sockets().get(listener).filter(|socket| !socket.is_closed()).cloned();
            match socket {
                Some(socket) => return socket,
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Sends an event to a program and waits until it says how the forwarding went.
    pub(super) async fn deliver(&self, listener: &str, delivery: &Delivery) -> DeliveryOutcome {
        let (answer, answered) = oneshot::channel();
        let conversation = format!("wc_{}", delivery.delivery_id);
        let messages = messages(delivery, listener, &conversation);
        let outgoing = Outgoing { conversation, messages, answer };
        let Ok(socket) = tokio::time::timeout(RETURN_WITHIN, self.connected(listener)).await else {
            return DeliveryOutcome::Failed;
        };
        let sent = socket.send(outgoing).is_ok();
        // Not kept while waiting: the hub closes a connection by dropping the last sender.
        drop(socket);
        if !sent {
            return DeliveryOutcome::Failed;
        }
        if delivery.thin {
            // The program says nothing of thin events.
            return DeliveryOutcome::Answered(200);
        }
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(status)) => DeliveryOutcome::Answered(status),
            Ok(Err(_)) | Err(_) => DeliveryOutcome::Failed,
        }
    }
}

/// The same event twice: in the shape of the account's version and in that of the newest. The program forwards the one
/// that it was started for.
fn messages(delivery: &Delivery, listener: &str, conversation: &str) -> Vec<String> {
    let headers: HashMap<&str, &str> = delivery
        .headers
        .iter()
        .map(|(name, value)| {
            let name = if name == "stripe-signature" { "Stripe-Signature" } else { name.as_str() };
            (name, value.as_str())
        })
        .collect();
    let body = String::from_utf8_lossy(&delivery.body);
    if delivery.thin {
        let message = json!({
            "type": "v2_event", "http_headers": headers, "payload": body, "destination_id": listener,
        });
        return vec![message.to_string()];
    }
    let version = |version: Value| {
        json!({
            "type": "webhook_event",
            "webhook_id": format!("wh_{}", delivery.delivery_id),
            "webhook_conversation_id": conversation,
            "event_payload": body,
            "http_headers": headers,
            "endpoint": { "api_version": version },
        })
        .to_string()
    };
    vec![version(Value::Null), version(json!(API_VERSION))]
}

/// Takes a program's connection, if it names a session.
pub(super) async fn subscribe(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let id = headers.get("websocket-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    if !sandbox.change(|world| world.listener_joins(&id)) {
        // In these words: the program then opens another session.
        let body = r#"{"error":{"type":"invalid_request_error","message":"Unknown WebSocket ID."}}"#;
        return plain(StatusCode::BAD_REQUEST, body);
    }
    upgrade.protocols([PROTOCOL]).on_upgrade(move |socket| talk(sandbox, id, socket)).into_response()
}

async fn talk(sandbox: Arc<Sandbox>, id: String, socket: WebSocket) {
    let (sender, outgoing) = mpsc::unbounded_channel();
    // Only the hub holds the sender, so that it can close the connection by dropping it.
    let mine = sender.downgrade();
    sandbox.hub().sockets().insert(id.clone(), sender);
    exchange(socket, outgoing).await;
    // The same program may have come back on another connection, or may do so soon.
    let is_current = |sandbox: &Sandbox| {
        let mine = mine.upgrade();
        sandbox
            .hub()
            .sockets()
            .get(&id)
            .is_none_or(|socket| mine.is_some_and(|mine| mine.same_channel(socket)))
    };
    if is_current(&sandbox) {
        tokio::time::sleep(RETURN_WITHIN).await;
    }
    if is_current(&sandbox) {
        sandbox.hub().sockets().remove(&id);
        sandbox.change(|world| world.listener_leaves(&id));
    }
}

/// Sends what is to be sent and hears what is said, until one of the two ends it.
async fn exchange(socket: WebSocket, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
    let (mut writer, mut reader) = socket.split();
    let mut waiting: HashMap<String, oneshot::Sender<u16>> = HashMap::new();
    loop {
        tokio::select! {
            next = outgoing.recv() => {
                let Some(Outgoing { conversation, messages, answer }) = next else { return };
                waiting.retain(|_, waits| !waits.is_closed());
                waiting.insert(conversation, answer);
                for message in messages {
                    if writer.send(Message::Text(message.into())).await.is_err() {
                        return;
                    }
                }
            }
            received = tokio::time::timeout(SILENT_AT_MOST, reader.next()) => match received {
                Ok(Some(Ok(Message::Text(text)))) => note(&mut waiting, &text),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_)))) => {}
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return,
            },
        }
    }
}

/// Passes on what the program says of a forwarded event. Its acknowledgements say nothing new.
fn note(waiting: &mut HashMap<String, oneshot::Sender<u16>>, text: &str) {
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    if message.get("type").and_then(Value::as_str) != Some("webhook_response") {
        return;
    }
    let conversation = message.get("webhook_conversation_id").and_then(Value::as_str).unwrap_or_default();
    let status = message.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    if let (Some(answer), Some(status)) = (waiting.remove(conversation), status) {
        // Whoever waited may have given up.
        let _ = answer.send(status);
    }
}
