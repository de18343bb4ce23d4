//! Answers come from memory and are right at once: on the node that wrote, and on the others.

use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::grants::NewGrant;
use quittance_engine::world::Point;
use quittance_store::customers::CustomerPatch;

use crate::house::{customer, on_each};

fn gift() -> NewGrant {
    NewGrant {
        plan: Some("pro".into()),
        feature: None,
        limit: None,
        expires_at: None,
        reason: "test".into(),
        idempotency: None,
    }
}

fn operator() -> Caller {
    Caller { key: quittance_domain::ids::ApiKeyId::derived(&["operator"]), scopes: KeyScope::ALL.to_vec() }
}

#[tokio::test]
async fn other_nodes_hear_of_a_change_without_being_asked() {
    on_each(|h| {
        Box::pin(async move {
            let other = h.another_engine().await;
            let following = tokio::spawn(other.clone().follow_changes());
            let ada = customer("ada");
            h.engine.put_customer(&ada, CustomerPatch::default()).await.unwrap();
            assert!(
                !other.check("ada", "article:full").await.unwrap().allowed,
                "now it is in the other's memory"
            );
            let grant = h.engine.grant(&ada, &gift(), &operator()).await.unwrap();
            assert!(h.engine.ask_memory("ada", |_| ()).is_some());
            assert!(h.allowed("ada", "article:full").await, "at once where it was written");
            eventually(async || other.check("ada", "article:full").await.unwrap().allowed).await;
            h.engine.revoke_grant(&ada, grant.id.as_str(), &operator()).await.unwrap();
            eventually(async || !other.check("ada", "article:full").await.unwrap().allowed).await;
            following.abort();
        })
    })
    .await;
}

#[tokio::test]
async fn e10_an_unknown_customer_is_not_remembered_as_a_no() {
    on_each(|h| {
        Box::pin(async move {
            assert!(!h.allowed("ada", "article:preview").await);
            h.engine.put_customer(&customer("ada"), CustomerPatch::default()).await.unwrap();
            assert!(h.allowed("ada", "article:preview").await);
        })
    })
    .await;
}

/// Between the commit and the reload there is no moment at which memory says what is no longer so.
#[tokio::test]
async fn an_answer_is_right_from_the_very_commit_on() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            assert!(h.allowed("ada", "article:full").await, "now it is in memory");
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.deliver().await;
            h.pass_ms(1_000);
            let gate = h.hold_point(Point::ApplyAfterCommit);
            let (engine, claim) = (h.engine.clone(), h.claim_customer().await);
            let syncing = tokio::spawn(async move { engine.sync(claim).await.unwrap() });
            gate.reached().await;
            assert!(!h.allowed("ada", "article:full").await);
            h.release_point(Point::ApplyAfterCommit);
            gate.open();
            syncing.await.unwrap();
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// Tries for some seconds of real time; the last try decides.
pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it never came to hold");
}
