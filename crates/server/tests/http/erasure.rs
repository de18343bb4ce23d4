//! Erasing over HTTP: what operators wrote about a person stands in no column of any table afterwards.

use axum::http::Method;
use quittance_store::{Dialect, Sql, params};
use serde_json::json;

use crate::client::App;
use crate::house::{House, on_each, pro};

/// A word that every text below has.
const WORD: &str = "Lovelace";

/// A statement that is made up while the test runs; each has a name of its own, by which it is kept prepared.
fn statement(text: String) -> &'static Sql {
    let text: &'static str = text.leak();
    Box::leak(Box::new(Sql::registered(text, text)))
}

/// Where the word stands: `table.column` of all columns of text that there are.
async fn places(h: &House) -> Vec<String> {
    let columns = match h.test.db.dialect() {
        Dialect::Sqlite => {
            "SELECT tables.name AS tab, columns.name AS col FROM sqlite_master AS tables
             JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' AND columns.type = 'TEXT' ORDER BY 1, 2"
        }
        Dialect::Postgres => {
            "SELECT CAST(table_name AS TEXT) AS tab, CAST(column_name AS TEXT) AS col FROM information_schema.columns
             WHERE table_schema = current_schema() AND data_type = 'text' ORDER BY 1, 2"
        }
    };
    let columns = statement(columns.to_owned());
    let rows = h.test.db.read("test.columns", move |tx| tx.query(columns, params![])).await.unwrap();
    assert!(rows.len() > 150, "{} columns", rows.len());
    let mut found = Vec::new();
    for row in rows {
        let (table, column) = (row.text("tab").unwrap(), row.text("col").unwrap());
        let count = statement(format!("SELECT COUNT(*) AS n FROM {table} WHERE {column} LIKE '%{WORD}%'"));
        let n = h.test.db.read("test.count", move |tx| tx.query_one(count, params![])?.i64("n")).await;
        if n.unwrap() > 0 {
            found.push(format!("{table}.{column}"));
        }
    }
    found
}

#[tokio::test]
async fn what_was_written_about_a_person_is_in_no_table_after_the_erasure() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let about = json!({ "email": "lovelace@example.com", "name": "Ada Lovelace", "metadata": { "note": "Lovelace" } });
            let put = |path: &str, body| app.call(Method::PUT, path).json(body).send();
            put("/v1/customers/ada", &about).await.ok();
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_createDispute");
            h.settle().await;
            h.sandbox.advance_time(60);
            h.settle().await;
            let terms = json!({ "features": { "article:full": null }, "note": "Ms Lovelace signed" });
            put("/v1/customers/ada/terms", &terms).await.ok();
            let post = async |path: &str, body: serde_json::Value| {
                let answer = app.post(path).json(&body).send().await;
                assert!(answer.status.is_success(), "{path}: {}", answer.text());
                h.settle().await;
                answer.value()
            };
            post("/v1/customers/ada/grants", json!({ "plan": "pro", "reason": "Lovelace writes about us" })).await;
            let dispute = app.get("/v1/disputes").send().await.ok()["data"][0]["id"].clone();
            let contest = format!("/v1/disputes/{}/contest", dispute.as_str().unwrap());
            post(&contest, json!({ "note": "Lovelace had it all" })).await;
            for level in ["all", "checkouts"] {
                let why = json!({ "level": level, "reason": "Lovelace shares her card" });
                post("/v1/customers/ada/suspend", why).await;
            }
            let held = app.get("/v1/customers/ada").send().await.ok()["subscriptions"][0]["id"].clone();
            let cancel = format!("/v1/subscriptions/{}/cancel", held.as_str().unwrap());
            post(&cancel, json!({ "at": "now", "reason": "other", "comment": "Lovelace moves away" })).await;

            let before = places(h).await;
            for place in [
                "customers.name",
                "customers.metadata",
                "customer_terms.terms",
                "grants.reason",
                "suspensions.reason",
                "commands.request",
            ] {
                assert!(before.iter().any(|found| found == place), "{place}: {before:?}");
            }
            assert!(!before.iter().any(|found| found.starts_with("audit")), "{before:?}");
            app.call(Method::DELETE, "/v1/customers/ada").send().await.ok();
            assert_eq!(places(h).await, Vec::<String>::new());
            // What an operator does afterwards is not kept by name either.
            let acts = app.get("/v1/audit?limit=100").send().await.ok();
            let mut acts = acts["data"].as_array().unwrap().iter();
            let suspended = acts.find(|act| act["action"] == "POST /v1/customers/{id}/suspend").unwrap();
            assert_eq!(suspended["input"], json!({ "level": "checkouts", "reason": "[24 characters]" }));
        })
    })
    .await;
}
