//! Where visitors of our own pages come from is counted as for the API; a header says so only where a trusted proxy wrote it.

use quittance_domain::fraud::FraudPolicy;
use quittance_engine::Settings;
use quittance_server::http::{self, AppConfig, Proxies};

use crate::client::{App, config};
use crate::house::{House, catalog};

async fn house(test: quittance_store::testing::TestDb) -> House {
    let fraud = FraudPolicy { checkouts_per_address: 1, ..FraudPolicy::default() };
    House::with(test, Settings { fraud, ..Settings::default() }, catalog()).await
}

/// Whether the page lets a customer who comes this way open a checkout.
async fn opens(app: &App, id: &str, peer: &str, forwarded: Option<&str>) -> bool {
    let form = format!("customer={id}&plan=pro&interval=month&currency=jpy");
    let mut call = app.post("/pricing/checkout").key(None).from(peer.parse().unwrap()).form(&form);
    if let Some(forwarded) = forwarded {
        call = call.header("x-forwarded-for", forwarded);
    }
    let answer = call.send().await;
    assert!(["303", "429"].contains(&answer.status.as_str()), "{} {}", answer.status, answer.text());
    answer.status == 303
}

#[tokio::test]
async fn checkouts_of_the_pages_are_counted_by_address_and_a_header_is_not_believed() {
    for test in quittance_store::testing::databases().await {
        let h = house(test).await;
        let app = App::dev(&h).await;
        assert!(opens(&app, "ada", "203.0.113.7", None).await);
        assert!(!opens(&app, "bob", "203.0.113.7", Some("198.51.100.1")).await, "whatever the header says");
        assert!(
            opens(&app, "cyd", "203.0.113.8", Some("203.0.113.7")).await,
            "nobody else pays for it either"
        );
        // A proxy that nobody has named is not one visitor.
        for id in ["dan", "eve", "fay"] {
            assert!(opens(&app, id, "10.0.0.1", Some("203.0.113.7")).await, "{id}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_who_comes() {
    for test in quittance_store::testing::databases().await {
        let h = house(test).await;
        let mut app = App::dev(&h).await;
        let proxies = Proxies::read(&["10.0.0.0/8".to_owned()]).unwrap();
        app.router = http::router(AppConfig { proxies, ..config(&h.engine, true) });
        assert!(opens(&app, "ada", "10.0.0.1", Some("203.0.113.7")).await);
        assert!(!opens(&app, "bob", "10.0.0.2", Some("203.0.113.7")).await, "through another proxy");
        assert!(
            !opens(&app, "cyd", "10.0.0.1", Some("198.51.100.1, 203.0.113.7")).await,
            "what came with it"
        );
        assert!(opens(&app, "dan", "10.0.0.1", Some("203.0.113.8")).await);
        assert!(!opens(&app, "eve", "203.0.113.8", Some("198.51.100.1")).await, "past the proxy");
    }
}
