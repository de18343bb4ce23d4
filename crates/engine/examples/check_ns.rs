//! How long one entitlement check takes in process, from memory, among many customers.
//!
//! Customers are asked about in no order, so that each question finds its customer's memory cold; the questions themselves
//! lie in the order of asking, as a name does that was just read from a request. Every second customer holds something of its
//! own beside the free plan, which all share. Prints `check_ns MEDIAN` and the number of
//! customers; `cargo xtask bench` reads it.

#![allow(clippy::disallowed_methods, clippy::expect_used, reason = "a benchmark measures real time")]

use std::sync::Arc;
use std::time::Instant;

use quittance_domain::{Catalog, CustomerId, GrantId, PlanKey, Timestamp};
use quittance_engine::world::SystemWorld;
use quittance_engine::{Engine, Settings};
use quittance_store::customers::{self, CustomerPatch};
use quittance_store::grants::{self, Gift, GrantRow};
use quittance_store::{Db, Options};
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::StripeConfig;
use quittance_stripe::transport::{HttpsTransport, TransportConfig};

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CUSTOMERS: usize = 100_000;
const CHECKS: usize = 200_000;
const ROUNDS: usize = 9;

#[tokio::main]
async fn main() {
    let directory = std::env::temp_dir().join(format!("quittance-check-ns-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    let url = format!("sqlite://{}", directory.join("bench.db").display());
    let engine = open(&url).await;
    let names: Vec<String> = (0..CUSTOMERS).map(|n| format!("customer_{n:06}")).collect();
    for chunk in names.chunks(1_000) {
        let chunk = chunk.to_vec();
        engine
            .db()
            .write("bench.fill", move |tx| {
                for (number, name) in chunk.iter().enumerate() {
                    let id = CustomerId::parse(name).expect("a valid id");
                    customers::upsert(tx, &id, &CustomerPatch::default(), Timestamp::from_ms(0))?;
                    if number % 2 == 0 {
                        grants::put(tx, &gift(id))?;
                    }
                }
                Ok(())
            })
            .await
            .expect("filled");
    }
    for name in &names {
        engine.held(name).await.expect("loaded");
    }
    let questions: Vec<String> =
        (1..=CHECKS).filter_map(|n| names.get(n * 7_919 % CUSTOMERS)).cloned().collect();
    let mut rounds: Vec<u128> = (0..ROUNDS).map(|_| round(&engine, &questions)).collect();
    rounds.sort_unstable();
    println!("check_ns {}", rounds.get(ROUNDS / 2).copied().unwrap_or_default());
    println!("customers {CUSTOMERS}");
    std::fs::remove_dir_all(&directory).expect("removed");
}

fn gift(customer: CustomerId) -> GrantRow {
    GrantRow {
        id: GrantId::derived(&["check_ns", customer.as_str()]),
        gift: Gift::Plan(PlanKey::parse("pro").expect("a plan")),
        customer,
        expires_at: Some(Timestamp::from_ms(i64::MAX)),
        reason: "measured".to_owned(),
        created_by: "check_ns".to_owned(),
        created_at: Timestamp::from_ms(0),
        revoked_at: None,
    }
}

/// Nanoseconds of one check, averaged over many spread over all customers.
fn round(engine: &Engine, questions: &[String]) -> u128 {
    let now = engine.now();
    let begun = Instant::now();
    let mut allowed = 0_usize;
    for customer in questions {
        let yes = engine.ask_memory(customer, |holdings| {
            quittance_domain::entitlement::check(holdings, "article:preview", now).allowed
        });
        allowed += usize::from(yes.expect("in memory"));
    }
    assert_eq!(std::hint::black_box(allowed), CHECKS);
    begun.elapsed().as_nanos() / CHECKS as u128
}

async fn open(url: &str) -> Engine {
    let db = Db::open(url, Options::default()).await.expect("a database");
    db.migrate().await.expect("migrated");
    let config = StripeConfig::new("sk_test_bench".to_owned().into(), false);
    let transport = HttpsTransport::new(&TransportConfig::default()).expect("a transport");
    let client =
        StripeClient::new(config, Arc::new(transport), Arc::new(|| 0), Arc::new(|_| {})).expect("a client");
    let catalog = Catalog::parse(include_str!("../../../catalog.toml")).expect("the demo catalog");
    let world = Arc::new(SystemWorld::default());
    Engine::open(db, Arc::new(client), Arc::new(catalog), Settings::default(), world)
        .await
        .expect("an engine")
}
