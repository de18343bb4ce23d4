//! Versions of the API: which are taken, and what the older ones look like.

use quittance_sandbox::{HttpRequest, HttpResponse};

use crate::client::{Client, VERSION, client, text};

fn asking(client: &Client, version: &str) -> HttpResponse {
    client.handle(HttpRequest::new("GET", "/v1/account", "sk_test_1", "").header("Stripe-Version", version))
}

#[test]
fn a_version_that_does_not_exist_is_refused_and_an_unplayed_one_too() {
    let client = client();
    assert_eq!(asking(&client, "2025-03-31.basil").header_value("stripe-version"), Some("2025-03-31.basil"));
    for wrong in ["2025-03-31", "2024-6-20", "2025-09-30.acacia", "2099-01-01", "latest", ""] {
        let refused = asking(&client, wrong);
        assert_eq!(refused.status, 400, "{wrong}");
        assert_eq!(
            text(&refused.value(), "/error/message"),
            format!("Invalid Stripe API version: {wrong}"),
            "in the words of the API"
        );
        assert_eq!(refused.header_value("stripe-version"), Some(VERSION));
    }
    let old = asking(&client, "2020-08-27");
    assert_eq!((old.status, text(&old.value(), "/error/code")), (400, "version_not_in_sandbox"));
}

#[test]
fn an_endpoint_takes_no_version_and_no_type_of_event_that_does_not_exist() {
    let client = client();
    let path = "/v1/webhook_endpoints";
    let made = |form: &str| client.send("POST", path, &format!("url=https://x.test/hook&{form}"));
    let refused = made("enabled_events[]=*&api_version=2025-09-30.acacia").value();
    assert_eq!(text(&refused, "/error/param"), "api_version");
    assert_eq!(text(&made("enabled_events[]=invoice.pade").value(), "/error/param"), "enabled_events[0]");
    assert_eq!(text(&made("").value(), "/error/code"), "parameter_missing");
    assert_eq!(text(&made("enabled_events=").value(), "/error/code"), "parameter_invalid_empty");
    let endpoint = made("enabled_events[]=invoice.paid").value();
    let path = format!("{path}/{}", text(&endpoint, "/id"));
    let refused = client.refused(400, "POST", &path, "enabled_events=");
    assert_eq!(text(&refused, "/code"), "parameter_invalid_empty");
    assert_eq!(client.get(&path, "")["enabled_events"], serde_json::json!(["invoice.paid"]));
}
