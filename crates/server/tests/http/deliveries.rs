//! Mails and webhooks as operators see them.

use std::sync::Arc;

use quittance_domain::delivery::Channel;
use quittance_engine::Engine;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_store::deliveries::DeliveryRow;

use crate::client::{ADMIN, App, READ};
use crate::house::{House, on_each};

/// Refuses everything.
struct Closed;

impl Courier for Closed {
    fn deliver<'a>(&'a self, _engine: &'a Engine, _parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(async { Outcome::Failed { error: "550 no such mailbox".into() } })
    }
}

#[tokio::test]
async fn what_was_given_up_is_listed_shown_and_sent_again() {
    on_each(|h: &House| {
        Box::pin(async move {
            let _engine = h.engine.clone().with_courier(Channel::Mail, Arc::new(Closed));
            let app = App::live(h).await;
            let subscription = h.subscriber("ada").await;
            let buyer =
                h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "")["customer"].clone();
            let buyer = buyer.as_str().unwrap().to_owned();
            let card = h.provider(
                "POST",
                "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
                &format!("customer={buyer}"),
            );
            let form = format!("invoice_settings[default_payment_method]={}", card["id"].as_str().unwrap());
            h.provider("POST", &format!("/v1/customers/{buyer}"), &form);
            h.provider(
                "POST",
                &format!("/v1/subscriptions/{subscription}"),
                &format!("default_payment_method={}", card["id"].as_str().unwrap()),
            );
            h.live(33).await;
            let failed = app.get("/v1/deliveries?state=failed&channel=mail&customer=ada").send().await.ok();
            let row = &failed["data"][0];
            assert_eq!(
                (row["state"].as_str(), row["attempts"].as_i64()),
                (Some("failed"), Some(1)),
                "{failed}"
            );
            assert!(row["next_attempt_at"].is_null());
            let path = format!("/v1/deliveries/{}", row["id"]);
            let shown = app.get(&path).send().await.ok();
            assert_eq!(shown["tries"][0]["detail"], "550 no such mailbox", "{shown}");
            assert_eq!(shown["payload"]["notice"].as_i64().map(|n| n > 0), Some(true), "{shown}");
            assert_eq!(app.get(&path).key(Some(READ)).send().await.status, 403);
            let again = app.post(&format!("{path}/retry")).key(Some(ADMIN)).send().await.ok();
            assert_eq!(
                (again["state"].as_str(), again["attempts"].as_i64()),
                (Some("pending"), Some(1)),
                "tries count on"
            );
            for (path, status) in [
                ("/v1/deliveries/nine", 404),
                ("/v1/deliveries/999999", 404),
                ("/v1/deliveries?state=lost", 422),
                ("/v1/deliveries?limit=0", 422),
            ] {
                assert_eq!(app.get(path).send().await.status, status, "{path}");
            }
        })
    })
    .await;
}
