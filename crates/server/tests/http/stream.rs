//! The stream of entitlements as a reader elsewhere sees it: bytes of server-sent events.

use std::pin::Pin;

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::{Stream, StreamExt};
use quittance_store::customers::CustomerPatch;
use serde_json::Value;
use tower::ServiceExt;

use crate::client::{App, READ, WRITE};
use crate::house::{House, customer, on_each};

/// One event of the stream.
#[derive(Debug, Clone)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

/// Reads a stream event by event.
struct Source {
    bytes: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    text: String,
}

impl Source {
    async fn open(app: &App, path: &str, last: Option<&str>) -> (u16, Self) {
        let mut request = Request::get(path).header("authorization", format!("Bearer {READ}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = app.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        if status == 200 {
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
        let bytes = response.into_body().into_data_stream().map(|frame| frame.unwrap());
        (status, Self { bytes: Box::pin(bytes), text: String::new() })
    }

    /// The next event; `None` at the end. Comments are skipped.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while !self.text.contains("\n\n") {
                self.text.push_str(std::str::from_utf8(&self.bytes.next().await?).unwrap());
            }
            let (block, rest) = self.text.split_once("\n\n").unwrap();
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let event = field("event: ").map(|name| Event {
                name,
                id: field("id: "),
                data: serde_json::from_str(&field("data: ").unwrap()).unwrap(),
            });
            self.text = rest.to_owned();
            if event.is_some() {
                return event;
            }
        }
    }
}

async fn put(h: &House, id: &str) {
    h.engine.put_customer(&customer(id), CustomerPatch::default()).await.unwrap();
}

#[tokio::test]
async fn a_reader_gets_a_snapshot_then_changes_and_goes_on_after_a_break() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            put(h, "ada").await;
            put(h, "eve").await;
            let (_, mut source) = Source::open(&app, "/v1/entitlements/stream", None).await;
            let mut begun = Vec::new();
            while begun.last().is_none_or(|event: &Event| event.name != "live") {
                begun.push(source.next().await.unwrap());
            }
            let names: Vec<&str> = begun.iter().map(|event| event.name.as_str()).collect();
            assert_eq!(names, ["reset", "customer", "customer", "live"]);
            assert_eq!((&begun[0].id, begun[1].data["customer"].as_str()), (&None, Some("ada")));
            assert_eq!(
                begun[1].data["holdings"][0]["features"],
                serde_json::json!({ "article:preview": null })
            );
            let last = begun[3].id.clone();

            h.subscriber("eve").await;
            let held = h.engine.held("eve").await.unwrap().unwrap();
            let until =
                held.holdings.iter().filter_map(|held| held.standing.until()).max().unwrap().to_string();
            // First that she is there, with what is free; then what she bought.
            let (told, bought) = loop {
                let told = source.next().await.unwrap();
                assert_eq!((told.name.as_str(), told.data["customer"].as_str()), ("customer", Some("eve")));
                let holdings = told.data["holdings"].as_array().unwrap();
                let bought = holdings.iter().find(|held| held["until"] == until.as_str()).cloned();
                if let Some(bought) = bought {
                    break (told, bought);
                }
            };
            assert_eq!(bought["access"], "granted");
            drop(source);

            // Back with the cursor from before the change: only the change. With its own: nothing.
            let path = "/v1/entitlements/stream?follow=false";
            let (_, mut again) = Source::open(&app, path, last.as_deref()).await;
            assert_eq!(again.next().await.unwrap().data["customer"], "eve");
            assert!(again.next().await.is_none());
            let (_, mut again) = Source::open(&app, path, told.id.as_deref()).await;
            assert!(again.next().await.is_none());
            let (_, mut odd) = Source::open(&app, &format!("{path}&cursor=gone.1"), None).await;
            assert_eq!(odd.next().await.unwrap().name, "reset");
        })
    })
    .await;
}

#[tokio::test]
async fn streams_are_counted_and_end_with_their_key() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let path = "/v1/entitlements/stream";
            let (_, mut one) = Source::open(&app, path, None).await;
            let (_, two) = Source::open(&app, path, None).await;
            app.get(path).send().await.problem(503, "overloaded");
            drop(two);
            // Its task notices within one look.
            while Source::open(&app, path, None).await.0 == 503 {
                tokio::task::yield_now().await;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            while one.next().await.unwrap().name != "live" {}
            let keys = h.engine.list_keys().await.unwrap();
            let key = keys.iter().find(|key| key.name == READ).unwrap();
            h.engine.revoke_key(&key.id).await.unwrap();
            assert!(one.next().await.is_none(), "the stream of a revoked key ends");
            app.get(path).key(Some(WRITE)).send().await.problem(403, "forbidden");
        })
    })
    .await;
}

/// A revoked key hears nothing more, however much there is to tell: neither the rest of a snapshot nor any change.
#[tokio::test]
async fn a_revoked_key_ends_a_stream_that_is_never_quiet() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for number in 0..450 {
                put(h, &format!("reader_{number:03}")).await;
            }
            let (_, mut source) = Source::open(&app, "/v1/entitlements/stream", None).await;
            assert_eq!(source.next().await.unwrap().name, "reset");
            let keys = h.engine.list_keys().await.unwrap();
            let key = keys.iter().find(|key| key.name == READ).unwrap();
            h.engine.revoke_key(&key.id).await.unwrap();
            let mut heard = 0;
            while source.next().await.is_some() {
                heard += 1;
                // Somebody is new each time, so that no look finds nothing to tell.
                put(h, &format!("new_{heard:04}")).await;
                assert!(heard < 350, "pages of a hundred: what was on its way, and no more");
            }
        })
    })
    .await;
}

/// A reader that takes nothing: its task reads no further than a page or two ahead.
#[tokio::test]
async fn whoever_takes_nothing_is_not_read_for() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for number in 0..350 {
                put(h, &format!("user_{number:03}")).await;
            }
            let (_, mut slow) = Source::open(&app, "/v1/entitlements/stream", None).await;
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            // What is changed now, behind what may have been read ahead, comes as it is when it is read.
            h.subscriber("user_349").await;
            let mut held = None;
            loop {
                let event = slow.next().await.unwrap();
                if event.data["customer"] == "user_349" {
                    held = event.data["holdings"].as_array().map(Vec::len);
                }
                if event.name == "live" {
                    break;
                }
            }
            assert_eq!(held, Some(2), "the subscription is in the snapshot");
        })
    })
    .await;
}
