//! What is kept how long: each kind of old row goes when its time is over, and what is younger, not done, or proof stays.

use std::net::IpAddr;

use quittance_domain::Timestamp;
use quittance_domain::time::DAY_MS;
use quittance_engine::checkout::NewCheckout;
use quittance_store::audit::{self, NewAct, Way};
use quittance_store::{Sql, params};

use crate::house::{House, on_each, pro};

/// A statement that is made up while the test runs; each has a name of its own, by which it is kept prepared.
fn statement(text: String) -> &'static Sql {
    let text: &'static str = text.leak();
    Box::leak(Box::new(Sql::registered(text, text)))
}

async fn count(h: &House, table: &str) -> i64 {
    let counted = statement(format!("SELECT COUNT(*) AS n FROM {table}"));
    let n = h.test.db.read("test.count", move |tx| tx.query_one(counted, params![])?.i64("n")).await;
    n.unwrap()
}

/// Writes a row as it would have been written `days` ago; `{AT}` in the text is that time.
async fn put(h: &House, text: &str, days: i64) {
    let at = h.engine.now().plus_ms(-days * DAY_MS).ms();
    let text = text.replace("{AT}", &at.to_string());
    h.test.db.write("test.put", move |tx| tx.script(&text)).await.unwrap();
}

/// How many rows of a table are left once those of these ages were written and the old ones forgotten.
async fn left(h: &House, table: &str, text: &str, ages: &[i64]) -> i64 {
    for (n, days) in ages.iter().enumerate() {
        put(h, &text.replace("{N}", &n.to_string()), *days).await;
    }
    let written = count(h, table).await;
    assert_eq!(written, i64::try_from(ages.len()).unwrap(), "{table}");
    h.engine.forget_old().await.unwrap();
    count(h, table).await
}

#[tokio::test]
async fn what_the_provider_sent_goes_once_it_is_old_and_processed() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            // What names only the payment is looked at after all others.
            h.pass_ms(31_000);
            h.settle().await;
            let processed = count(h, "events").await;
            assert!(processed > 3);
            h.provider("POST", &format!("/v1/subscriptions/{subscription}"), "metadata[a]=b");
            let waiting = i64::try_from(h.deliver().await).unwrap();
            assert!(waiting > 0 && count(h, "events").await == processed + waiting);

            h.pass_ms(399 * DAY_MS);
            h.engine.forget_old().await.unwrap();
            assert_eq!(count(h, "events").await, processed + waiting, "younger than 400 days");
            h.pass_ms(2 * DAY_MS);
            assert_eq!(h.engine.forget_old().await.unwrap(), u64::try_from(processed).unwrap());
            assert_eq!(count(h, "events").await, waiting, "nobody has looked at these yet");
            h.engine.drain().await.unwrap();
            h.engine.forget_old().await.unwrap();
            assert_eq!(count(h, "events").await, 0);
            assert!(count(h, "history").await > 0 && count(h, "notices").await > 0);
        })
    })
    .await;
}

#[tokio::test]
async fn what_fraud_is_counted_by_goes_after_two_days() {
    on_each(|h| {
        Box::pin(async move {
            let address = Some("203.0.113.7".parse::<IpAddr>().unwrap());
            let row = h.open(&NewCheckout { client_ip: address, ..pro("ada") }).await;
            let session = row.session.unwrap();
            h.sandbox.complete_checkout(&session, "pm_card_visa_chargeDeclined").unwrap_err();
            h.settle().await;
            for (days, left) in [(1, 1), (2, 0)] {
                h.pass_ms(days * DAY_MS);
                h.engine.forget_old().await.unwrap();
                for table in ["checkout_origins", "card_attempts"] {
                    assert_eq!(count(h, table).await, left, "{table}");
                }
            }
        })
    })
    .await;
}

#[tokio::test]
async fn every_other_kind_has_its_time_and_what_is_proof_stays() {
    on_each(|h| {
        Box::pin(async move {
            let mail = "INSERT INTO mails (message_id, kind, language, template, address, sha256, captured, sends, sent_at)
                VALUES ('{N}@example.com', 'receipt', 'en', 'v1', 'a@example.com', 'x', TRUE, 1, {AT})";
            assert_eq!(left(h, "mails", mail, &[2_558, 2_556, 0]).await, 2);
            let drift = "INSERT INTO drifts (scope, kind, object, cause, wrong, state, found_at, last_seen_at)
                VALUES ('s', 'status', '{N}', 'unknown', 'none', 'mended', {AT}, {AT})";
            assert_eq!(left(h, "drifts", drift, &[401, 399]).await, 1);
            for state in ["open", "ignored"] {
                put(h, &drift.replace("'mended'", &format!("'{state}'")).replace("{N}", state), 5_000).await;
            }
            h.engine.forget_old().await.unwrap();
            assert_eq!(count(h, "drifts").await, 3, "what is not mended waits for a person, or is never told again");
            let quote = "INSERT INTO quotes (id, scope, subscription, data, created_at, expires_at)
                VALUES ('{N}', 's', 'sub_1', '{}', {AT}, {AT})";
            assert_eq!(left(h, "quotes", quote, &[2, 0]).await, 1);
            let request = "INSERT INTO api_requests (api_key, idempotency_key, fingerprint, lease_until, created_at)
                VALUES ('k', '{N}', 'x', 0, {AT})";
            assert_eq!(left(h, "api_requests", request, &[2, 0]).await, 1);
            let told = "INSERT INTO app_events (id, natural_key, type, at, body) VALUES ('{N}', '{N}', 'x', {AT}, '{}')";
            let kept = h.engine.settings().app_webhooks.kept_ms / DAY_MS;
            assert_eq!(left(h, "app_events", told, &[kept + 1, kept - 1]).await, 1);
            let delivery = "INSERT INTO deliveries (channel, key, lane, destination, payload, state, attempts, next_attempt_at, created_at)
                VALUES ('mail', '{N}', 'l', 'd', '{}', 'delivered', 1, {AT}, {AT})";
            assert_eq!(left(h, "deliveries", delivery, &[401, 399]).await, 1);
            put(h, &delivery.replace("{N}", "7").replace("'delivered'", "'pending'"), 5_000).await;
            h.engine.forget_old().await.unwrap();
            assert_eq!(count(h, "deliveries").await, 2, "what waits is not forgotten");

            let act = NewAct {
                actor: "grace".into(),
                way: Way::Console,
                action: "refund".into(),
                target: "pi_1".into(),
                input: None,
            };
            let write = move |tx: &mut dyn quittance_store::Tx| {
                let act = audit::begin(tx, &act, Timestamp::from_ms(1))?;
                audit::end(tx, act, None, Timestamp::from_ms(2))
            };
            h.test.db.write("test.act", write).await.unwrap();
            h.engine.forget_old().await.unwrap();
            assert_eq!((count(h, "audit").await, count(h, "audit_ends").await), (1, 1));
        })
    })
    .await;
}

/// What is kept for good, beside what an erasure takes out of it: docs/operating.md says why.
const FOR_GOOD: [&str; 29] = [
    "alerts",
    "announcements",
    "audit",
    "audit_ends",
    "catalog_versions",
    "catalogs_in_force",
    "checkouts",
    "commands",
    "customer_terms",
    "customers",
    "disputes",
    "dunning_cases",
    "fraud_warnings",
    "grants",
    "history",
    "holdings",
    "invoice_services",
    "known_prices",
    "ledger_entries",
    "ledger_postings",
    "notice_preferences",
    "notices",
    "payment_owners",
    "payments",
    "provider_customers",
    "purchases",
    "subscriptions",
    "suspensions",
    "trials",
];
/// What has a time of its own; each is tried above.
const FORGOTTEN: [&str; 9] = [
    "api_requests",
    "app_events",
    "card_attempts",
    "checkout_origins",
    "deliveries",
    "drifts",
    "events",
    "mails",
    "quotes",
];
/// Goes with what it is about.
const WITH_ANOTHER: [&str; 1] = ["delivery_attempts"];
/// Where the work stands: one row for each thing, replaced by the next; and what somebody clears by hand.
const STATE: [&str; 14] = [
    "aggregates",
    "api_keys",
    "app_told",
    "feed",
    "feed_counter",
    "feed_pending",
    "meta",
    "schema_migrations",
    "shadow_answers",
    "shadow_withheld",
    "signing_keys",
    "sweeps",
    "trial_claims",
    "webhook_endpoints",
];

/// A new table has to say how long its rows are kept, here and in docs/operating.md.
#[tokio::test]
async fn every_table_has_a_time() {
    on_each(|h| {
        Box::pin(async move {
            let tables = match h.test.db.dialect() {
                quittance_store::Dialect::Sqlite => {
                    "SELECT name AS tab FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
                }
                quittance_store::Dialect::Postgres => {
                    "SELECT CAST(table_name AS TEXT) AS tab FROM information_schema.tables
                     WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1"
                }
            };
            let tables = statement(tables.to_owned());
            let rows = h.test.db.read("test.tables", move |tx| tx.query(tables, params![])).await.unwrap();
            let mut found: Vec<String> = rows.iter().map(|row| row.text("tab").unwrap()).collect();
            let mut known: Vec<&str> = [&FOR_GOOD[..], &FORGOTTEN, &WITH_ANOTHER, &STATE].concat();
            known.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, known);
            let documented = include_str!("../../../../docs/operating.md");
            for table in known.iter().filter(|table| !table.starts_with("ledger_") && **table != "schema_migrations") {
                assert!(documented.contains(&format!("`{table}`")), "docs/operating.md does not say of {table}");
            }

            // Young or old, what is for good is there after many years.
            h.subscriber("ada").await;
            h.pass_ms(31_000);
            h.settle().await;
            let mut before = Vec::new();
            for table in FOR_GOOD {
                before.push((table, count(h, table).await));
            }
            h.pass_ms(20 * 365 * DAY_MS);
            h.engine.forget_old().await.unwrap();
            for (table, rows) in before {
                assert_eq!(count(h, table).await, rows, "{table}");
            }
            for table in ["events", "delivery_attempts", "mails"] {
                assert_eq!(count(h, table).await, 0, "{table}");
            }
        })
    })
    .await;
}
