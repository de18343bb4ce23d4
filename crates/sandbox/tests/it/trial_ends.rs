//! `trial_end=now`: a trial that is ended early goes on as one whose time is up.

use crate::client::{client, id, text};

#[test]
fn a_trial_that_is_ended_without_a_card_pauses_or_cancels_where_it_says_so() {
    let client = client();
    let price = client.price(1500, "usd", "month");
    for (behavior, status, event) in [
        ("pause", "paused", "customer.subscription.paused"),
        ("cancel", "canceled", "customer.subscription.deleted"),
    ] {
        let customer = id(&client.post("/v1/customers", ""));
        let form =
            format!("trial_period_days=7&trial_settings[end_behavior][missing_payment_method]={behavior}");
        let made = client.subscribe(&customer, &price, &form);
        let ended = client.post(&format!("/v1/subscriptions/{}", id(&made)), "trial_end=now");
        assert_eq!(text(&ended, "/status"), status);
        assert_eq!(ended["trial_end"], ended["items"]["data"][0]["current_period_end"]);
        assert!(client.kinds().iter().any(|kind| kind == event), "{event}");
        let invoices = client.get("/v1/invoices", &format!("customer={customer}"));
        assert_eq!(invoices["data"].as_array().unwrap().len(), 1, "only that of the trial");
    }
    let customer = client.customer("pm_card_visa");
    let form = "trial_period_days=7&trial_settings[end_behavior][missing_payment_method]=pause";
    let made = client.subscribe(&customer, &price, form);
    let ended = client.post(&format!("/v1/subscriptions/{}", id(&made)), "trial_end=now");
    assert_eq!(text(&ended, "/status"), "active");
}
