//! The ledger over HTTP: accounts, entries, trial balance.

use serde_json::Value;

use crate::client::App;
use crate::house::{House, on_each};

/// A subscriber whose payment is in the books.
async fn sold(h: &House, id: &str) {
    h.subscriber(id).await;
    h.pass_ms(quittance_engine::inbox::MONEY_SETTLE_MS + 1_000);
    h.settle().await;
}

fn balance(accounts: &Value, name: &str) -> Option<i64> {
    let all = accounts["data"].as_array().unwrap();
    all.iter().find(|account| account["account"] == name).unwrap()["balances"][0]["amount"].as_i64()
}

#[tokio::test]
async fn the_books_can_be_read() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let empty = app.get("/v1/ledger/trial-balance").send().await.ok();
            assert_eq!(empty, serde_json::json!({ "data": [], "totals": [] }));
            sold(h, "ada").await;
            sold(h, "bob").await;
            let accounts = app.get("/v1/ledger/accounts").send().await.ok();
            assert_eq!(balance(&accounts, "revenue"), Some(-3_960));
            assert_eq!(balance(&accounts, "receivable"), Some(0));
            assert_eq!(balance(&accounts, "disputes"), None, "listed, and never used");
            let trial = app.get("/v1/ledger/trial-balance").send().await.ok();
            let total = &trial["totals"][0];
            assert_eq!((total["currency"].as_str(), &total["debits"]), (Some("jpy"), &total["credits"]));
            let before = app.get("/v1/ledger/trial-balance?until=2020-01-01T00:00:00Z").send().await.ok();
            assert_eq!(before["data"].as_array().unwrap().len(), 0);
            let mut paged = Vec::new();
            let mut cursor = String::new();
            loop {
                let page = app.get(&format!("/v1/ledger/entries?limit=3{cursor}")).send().await.ok();
                paged.extend(page["data"].as_array().unwrap().clone());
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(paged.len(), 4);
            for entry in &paged {
                let lines = entry["postings"].as_array().unwrap();
                assert_eq!(
                    lines.iter().map(|line| line["amount"].as_i64().unwrap()).sum::<i64>(),
                    0,
                    "{entry}"
                );
            }
            for (query, count) in [
                ("customer=ada", 2),
                ("customer=nobody", 0),
                ("account=fees", 2),
                ("account=fees&customer=bob", 1),
                ("from=2020-01-01T00:00:00Z", 4),
                ("until=2020-01-01T00:00:00Z", 0),
            ] {
                let found = app.get(&format!("/v1/ledger/entries?{query}")).send().await.ok();
                assert_eq!(found["data"].as_array().unwrap().len(), count, "{query}");
            }
            for bad in ["account=cash", "limit=0", "cursor=x", "from=yesterday", "sum=1", "customer=%00"] {
                app.get(&format!("/v1/ledger/entries?{bad}")).send().await.problem(422, "invalid_request");
            }
        })
    })
    .await;
}
