//! Top-ups: money from the seller's bank account.

use crate::client::{DAY, client, id, number, text};
use crate::schema;

fn available(client: &crate::client::Client) -> i64 {
    client
        .get("/v1/balance", "")
        .pointer("/available/0/amount")
        .and_then(serde_json::Value::as_i64)
        .unwrap_or(0)
}

#[test]
fn a_topup_comes_after_the_days_of_a_debit_and_is_booked_once() {
    let client = client();
    let made = client.post("/v1/topups", "amount=2000&currency=USD&description=More&metadata[a]=b");
    schema::check_object("Topup", &made);
    let topup = id(&made);
    assert_eq!((text(&made, "/status"), text(&made, "/currency")), ("pending", "usd"));
    assert!(made["balance_transaction"].is_null());
    client.sandbox.advance_time(4 * DAY - 1);
    assert_eq!(
        (text(&client.get(&format!("/v1/topups/{topup}"), ""), "/status"), available(&client)),
        ("pending", 0)
    );
    client.sandbox.advance_time(1);
    let come = client.get(&format!("/v1/topups/{topup}"), "expand[]=balance_transaction");
    schema::check_object("Topup", &come);
    assert_eq!(text(&come, "/status"), "succeeded");
    let entry = &come["balance_transaction"];
    assert_eq!((text(entry, "/type"), text(entry, "/source")), ("topup", topup.as_str()));
    assert_eq!((number(entry, "/net"), number(entry, "/fee"), available(&client)), (2000, 0, 2000));
    let kinds: Vec<String> = client.kinds().into_iter().filter(|kind| kind.starts_with("topup.")).collect();
    assert_eq!(kinds, ["topup.created", "topup.succeeded"]);
    client.refused(400, "POST", &format!("/v1/topups/{topup}/cancel"), "");
    client.sandbox.advance_time(10 * DAY);
    assert_eq!(available(&client), 2000);
}

#[test]
fn a_canceled_topup_never_comes() {
    let client = client();
    let kept = id(&client.post("/v1/topups", "amount=300&currency=usd"));
    let topup = id(&client.post("/v1/topups", "amount=2000&currency=usd"));
    let described = client.post(&format!("/v1/topups/{topup}"), "description=Other&metadata[a]=b");
    assert_eq!((text(&described, "/description"), text(&described, "/metadata/a")), ("Other", "b"));
    assert_eq!(text(&client.post(&format!("/v1/topups/{topup}/cancel"), ""), "/status"), "canceled");
    client.sandbox.advance_time(10 * DAY);
    assert_eq!(available(&client), 300, "the other one came");
    assert_eq!(text(&client.get("/v1/topups", "status=canceled"), "/data/0/id"), topup);
    assert_eq!(text(&client.get("/v1/topups", "amount[lt]=2000"), "/data/0/id"), kept);
    assert_eq!(client.get("/v1/topups", "status=failed")["data"].as_array().map(Vec::len), Some(0));
    assert_eq!(client.refused(400, "POST", "/v1/topups", "amount=0&currency=usd")["param"], "amount");
    let unplayed = client.refused(400, "POST", "/v1/topups", "amount=1&currency=usd&source=src_1");
    assert_eq!(unplayed["code"], "parameter_not_in_sandbox");
    let missing = client.refused(404, "GET", "/v1/topups/tu_none", "");
    assert_eq!(missing["code"], "resource_missing");
}
