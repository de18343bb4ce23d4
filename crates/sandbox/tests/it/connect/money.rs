//! Money between the platform and its accounts: fees, transfers, and what comes back.

use serde_json::{Value, json};

use super::ledgers::{balance, check_books, entries};
use super::{As, ready};
use crate::client::{Client, DAY, client, id, number, text};

fn net(entries: &[Value], kind: &str) -> Vec<i64> {
    entries.iter().filter(|entry| entry["type"] == kind).map(|entry| number(entry, "/net")).collect()
}

fn of_platform(client: &Client) -> Vec<Value> {
    entries(|query| client.get("/v1/balance_transactions", query))
}

const PAY: &str = "currency=usd&payment_method=pm_card_visa&confirm=true";

#[test]
fn a_direct_charge_is_the_accounts_and_its_fee_the_platforms() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let intent = me.post(
        "/v1/payment_intents",
        &format!("amount=10000&application_fee_amount=1230&{PAY}&expand[]=latest_charge.balance_transaction"),
    );
    let charge = &intent["latest_charge"];
    assert_eq!(charge["application_fee_amount"], 1230);
    assert_eq!(intent["application"], charge["application"]);
    // The provider's 3.6 % and the platform's fee are both on the account's entry.
    assert_eq!(
        (number(charge, "/balance_transaction/fee"), number(charge, "/balance_transaction/net")),
        (1590, 8410)
    );
    let fee = client.get(&format!("/v1/application_fees/{}", text(charge, "/application_fee")), "");
    assert_eq!((number(&fee, "/amount"), text(&fee, "/account")), (1230, account.as_str()));
    assert_eq!((text(&fee, "/charge"), &fee["originating_transaction"]), (text(charge, "/id"), &Value::Null));
    assert_eq!(net(&of_platform(&client), "application_fee"), [1230]);
    check_books(&client, std::slice::from_ref(&account));

    let refund =
        me.post("/v1/refunds", &format!("charge={}&amount=5000&refund_application_fee=true", id(charge)));
    let entry = me.get(&format!("/v1/balance_transactions/{}", text(&refund, "/balance_transaction")), "");
    assert_eq!(
        (number(&entry, "/amount"), number(&entry, "/fee"), number(&entry, "/net")),
        (-5000, -615, -4385)
    );
    let fee = client.get(&format!("/v1/application_fees/{}", id(&fee)), "expand[]=charge");
    assert_eq!((number(&fee, "/amount_refunded"), &fee["refunded"]), (615, &json!(false)));
    assert_eq!(text(&fee, "/charge/object"), "charge", "it is found in the account's books");
    client.post(&format!("/v1/application_fees/{}/refunds", id(&fee)), "metadata[why]=kind");
    client.refused(400, "POST", &format!("/v1/application_fees/{}/refunds", id(&fee)), "");
    let refunds = client.get(&format!("/v1/application_fees/{}/refunds", id(&fee)), "");
    let refund = id(&refunds["data"][0]);
    client.post(&format!("/v1/application_fees/{}/refunds/{refund}", id(&fee)), "metadata[why]=fair");
    me.refused(400, "POST", "/v1/refunds", &format!("charge={}&reverse_transfer=true", id(charge)));
    me.post("/v1/refunds", &format!("charge={}&refund_application_fee=true", id(charge)));
    check_books(&client, std::slice::from_ref(&account));
    let kinds = client.kinds();
    for kind in ["application_fee.created", "application_fee.refunded", "application_fee.refund.updated"] {
        assert!(kinds.contains(&kind.to_owned()), "{kind}");
    }
}

#[test]
fn a_platform_that_pays_the_provider_pays_for_direct_charges_too() {
    let client = client();
    let controller = "controller[fees][payer]=application&controller[losses][payments]=application&controller[stripe_dashboard][type]=express";
    let account = id(&client.post("/v1/accounts", controller));
    client.control("POST", &format!("accounts/{account}/onboard"), &Value::Null);
    let me = As { client: &client, account: &account };
    me.post("/v1/payment_intents", &format!("amount=10000&application_fee_amount=1000&{PAY}"));
    assert_eq!(
        net(&me.get("/v1/balance_transactions", "")["data"].as_array().unwrap().clone(), "charge"),
        [9000]
    );
    assert_eq!(net(&of_platform(&client), "stripe_fee"), [-360]);
    me.post(
        "/v1/payment_intents",
        "amount=3000&currency=usd&payment_method=pm_card_createDispute&confirm=true",
    );
    let dispute = id(&me.get("/v1/disputes", "")["data"][0]);
    me.post(&format!("/v1/disputes/{dispute}"), "evidence[uncategorized_text]=winning_evidence");
    let theirs = entries(|query| me.get("/v1/balance_transactions", query));
    assert_eq!(net(&theirs, "adjustment"), [3000, -3000]);
    assert_eq!(net(&of_platform(&client), "stripe_fee"), [1500, -1500, -108, -360]);
    check_books(&client, &[account]);
}

#[test]
fn a_destination_charge_is_passed_on() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let form = format!(
        "amount=10000&transfer_data[destination]={account}&application_fee_amount=1000&on_behalf_of={account}&{PAY}&expand[]=latest_charge.transfer.destination_payment"
    );
    let intent = client.post("/v1/payment_intents", &form);
    let charge = &intent["latest_charge"];
    let transfer = &charge["transfer"];
    assert_eq!((number(transfer, "/amount"), text(transfer, "/destination")), (10_000, account.as_str()));
    assert_eq!(text(transfer, "/source_transaction"), id(charge));
    assert_eq!(text(transfer, "/transfer_group"), format!("group_{}", id(&intent)));
    let payment = me.get(
        &format!("/v1/charges/{}", text(transfer, "/destination_payment/id")),
        "expand[]=source_transfer",
    );
    assert_eq!(
        (number(&payment, "/amount"), text(&payment, "/source_transfer/id")),
        (10_000, text(transfer, "/id"))
    );
    let fee = client.get("/v1/application_fees", &format!("charge={}", id(charge)));
    assert_eq!(text(&fee["data"][0], "/charge"), id(&payment));
    assert_eq!(text(&fee["data"][0], "/originating_transaction"), id(charge));
    let platform = of_platform(&client);
    assert_eq!(
        (net(&platform, "charge"), net(&platform, "transfer"), net(&platform, "application_fee")),
        (vec![9640], vec![-10_000], vec![1000])
    );
    assert_eq!(balance(&me.get("/v1/balance", ""))["usd"], 9000);
    check_books(&client, std::slice::from_ref(&account));

    let pay = format!("charge={}", id(charge));
    client.refused(400, "POST", "/v1/refunds", &format!("{pay}&refund_application_fee=true"));
    me.refused(400, "POST", "/v1/refunds", &format!("charge={}", id(&payment)));
    let kept = client.post("/v1/refunds", &format!("{pay}&amount=1000"));
    assert_eq!(kept["transfer_reversal"], Value::Null, "the platform pays it alone");
    assert_eq!(balance(&me.get("/v1/balance", ""))["usd"], 9000);
    let shared = client.post(
        "/v1/refunds",
        &format!(
            "{pay}&amount=3333&reverse_transfer=true&refund_application_fee=true&expand[]=transfer_reversal"
        ),
    );
    let reversal = &shared["transfer_reversal"];
    assert_eq!((number(reversal, "/amount"), text(reversal, "/source_refund")), (3333, text(&shared, "/id")));
    let there = me.get(&format!("/v1/refunds/{}", text(reversal, "/destination_payment_refund")), "");
    assert_eq!(
        (number(&there, "/amount"), text(&there, "/source_transfer_reversal")),
        (3333, text(reversal, "/id"))
    );
    assert_eq!(balance(&me.get("/v1/balance", ""))["usd"], 9000 - 3333 + 333);
    let payment = me.get(&format!("/v1/charges/{}", id(&payment)), "");
    assert_eq!(number(&payment, "/amount_refunded"), 3333);
    check_books(&client, std::slice::from_ref(&account));
    client.post("/v1/refunds", &format!("{pay}&reverse_transfer=true&refund_application_fee=true"));
    let transfer = client.get(&format!("/v1/transfers/{}", id(transfer)), "");
    assert_eq!(number(&transfer, "/amount_reversed"), 9000, "what was refunded alone stays there");
    check_books(&client, &[account]);
}

#[test]
fn no_more_comes_back_than_is_left() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let form = format!(
        "amount=10000&transfer_data[destination]={account}&application_fee_amount=1000&{PAY}&expand[]=latest_charge"
    );
    let charge = client.post("/v1/payment_intents", &form)["latest_charge"].clone();
    let path = format!("/v1/transfers/{}", text(&charge, "/transfer"));
    client.post(&format!("{path}/reversals"), "amount=8000");
    let everything = "reverse_transfer=true&refund_application_fee=true";
    client.post("/v1/refunds", &format!("charge={}&amount=5000&{everything}", id(&charge)));
    assert_eq!(number(&client.get(&path, ""), "/amount_reversed"), 10_000, "two thousand were left");
    assert_eq!(balance(&me.get("/v1/balance", ""))["usd"], -1000 + 500);
    let last = client.post("/v1/refunds", &format!("charge={}&{everything}", id(&charge)));
    assert_eq!(last["transfer_reversal"], Value::Null, "nothing was left to reverse");
    assert_eq!(balance(&me.get("/v1/balance", ""))["usd"], 0, "but its part of the fee comes back");
    check_books(&client, &[account]);
}

#[test]
fn a_part_can_be_passed_on_instead() {
    let client = client();
    let account = ready(&client);
    let form = |more: &str| {
        format!("amount=5000&transfer_data[destination]={account}&transfer_data[amount]={more}&{PAY}")
    };
    client.post("/v1/payment_intents", &form("4000"));
    let platform = of_platform(&client);
    assert_eq!((net(&platform, "transfer"), net(&platform, "application_fee")), (vec![-4000], vec![]));
    client.refused(400, "POST", "/v1/payment_intents", &form("5001"));
    client.refused(400, "POST", "/v1/payment_intents", &form("4000&application_fee_amount=1"));
    client.refused(
        400,
        "POST",
        "/v1/payment_intents",
        &format!("amount=5000&application_fee_amount=100&{PAY}"),
    );
    client.refused(
        404,
        "POST",
        "/v1/payment_intents",
        &format!("amount=5000&transfer_data[destination]=acct_none&{PAY}"),
    );
    let idle = id(&client.post("/v1/accounts", "type=express"));
    let refused = client.refused(
        400,
        "POST",
        "/v1/payment_intents",
        &format!("amount=5000&transfer_data[destination]={idle}&{PAY}"),
    );
    assert!(text(&refused, "/message").contains("capabilities enabled: transfers"), "{refused:#}");
    assert_eq!(text(&refused, "/param"), "transfer_data[destination]");
    let me = As { client: &client, account: &account };
    me.refused(400, "POST", "/v1/payment_intents", &format!("amount=5000&application_fee_amount=5001&{PAY}"));
    me.refused(400, "POST", "/v1/payment_intents", &form("100"));
    As { client: &client, account: &idle }.refused(
        400,
        "POST",
        "/v1/payment_intents",
        &format!("amount=5000&{PAY}"),
    );
    let waiting = id(&me.post("/v1/payment_intents", "amount=5000&currency=usd"));
    let changed = me.post(&format!("/v1/payment_intents/{waiting}"), "application_fee_amount=700");
    assert_eq!(changed["application_fee_amount"], 700);
    me.post(&format!("/v1/payment_intents/{waiting}/confirm"), "payment_method=pm_card_visa");
    assert_eq!(net(&of_platform(&client), "application_fee"), [700]);
    check_books(&client, &[account, idle]);
}

#[test]
fn charges_and_transfers_can_be_apart() {
    let client = client();
    let (one, two) = (ready(&client), ready(&client));
    let charge = id(&client.post(
        "/v1/payment_intents",
        &format!("amount=10000&transfer_group=ORDER1&{PAY}&expand[]=latest_charge"),
    )["latest_charge"]);
    let to = |account: &str, more: &str| format!("currency=usd&destination={account}&{more}");
    let refused = client.refused(400, "POST", "/v1/transfers", &to(&one, "amount=1000"));
    assert_eq!(text(&refused, "/code"), "balance_insufficient", "the charge is still on its way");
    let first = client
        .post("/v1/transfers", &to(&one, &format!("amount=6000&source_transaction={charge}&metadata[a]=1")));
    assert_eq!(text(&first, "/transfer_group"), "ORDER1");
    client.refused(
        400,
        "POST",
        "/v1/transfers",
        &to(&two, &format!("amount=4001&source_transaction={charge}")),
    );
    client.post("/v1/transfers", &to(&two, &format!("source_transaction={charge}&transfer_group=ORDER1")));
    assert_eq!(balance(&As { client: &client, account: &two }.get("/v1/balance", ""))["usd"], 4000);
    let pending = As { client: &client, account: &one }.get("/v1/balance", "");
    assert_eq!(number(&pending, "/pending/0/amount"), 6000, "available when the charge is");
    client.sandbox.advance_time(3 * DAY);
    assert_eq!(
        number(&As { client: &client, account: &one }.get("/v1/balance", ""), "/available/0/amount"),
        6000
    );
    let listed = client.get("/v1/transfers", &format!("transfer_group=ORDER1&destination={one}"));
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(client.get("/v1/charges", "transfer_group=ORDER1")["data"].as_array().unwrap().len(), 1);
    let path = format!("/v1/transfers/{}", id(&first));
    assert_eq!(client.post(&path, "description=half")["description"], "half");
    let reversal = client.post(&format!("{path}/reversals"), "amount=1000");
    client.post(&format!("{path}/reversals/{}", id(&reversal)), "metadata[why]=late");
    assert_eq!(client.get(&format!("{path}/reversals"), "")["data"][0]["metadata"]["why"], "late");
    client.refused(400, "POST", &format!("{path}/reversals"), "amount=5001");
    client.refused(400, "POST", &format!("{path}/reversals"), "refund_application_fee=true");
    client.post(&format!("{path}/reversals"), "");
    assert_eq!(client.get(&path, "")["reversed"], true);
    client.post(
        "/v1/payment_intents",
        "amount=2000&currency=usd&payment_method=pm_card_bypassPending&confirm=true",
    );
    client.refused(400, "POST", "/v1/transfers", &to(&one, "amount=99999999"));
    check_books(&client, &[one, two]);
    let kinds = client.kinds();
    for kind in ["transfer.created", "transfer.updated", "transfer.reversed"] {
        assert!(kinds.contains(&kind.to_owned()), "{kind}");
    }
}

#[test]
fn subscriptions_share_every_invoice() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let price = client.price(1000, "usd", "month");
    let customer = client.customer("pm_card_visa");
    let form =
        format!("application_fee_percent=10.25&transfer_data[destination]={account}&on_behalf_of={account}");
    let made = client
        .send("POST", "/v1/subscriptions", &format!("customer={customer}&items[0][price]={price}&{form}"))
        .value();
    assert_eq!(made["application_fee_percent"].to_string(), "10.25");
    assert_eq!(made["transfer_data"], json!({ "destination": account, "amount_percent": null }));
    client.sandbox.advance_time(35 * DAY);
    assert_eq!(net(&of_platform(&client), "application_fee"), [103, 103]);
    assert_eq!(net(&entries(|query| me.get("/v1/balance_transactions", query)), "payment"), [897, 897]);
    let path = format!("/v1/subscriptions/{}", id(&made));
    client.refused(400, "POST", &path, "application_fee_percent=10.255");
    client.refused(400, "POST", &path, "application_fee_percent=101");
    let changed = client.post(&path, "application_fee_percent=&transfer_data[amount_percent]=50");
    assert_eq!(
        (&changed["application_fee_percent"], &changed["transfer_data"]["amount_percent"]),
        (&Value::Null, &json!(50))
    );
    client.sandbox.advance_time(31 * DAY);
    assert_eq!(net(&of_platform(&client), "transfer")[0], -500);
    client.post(&path, "transfer_data=");
    client.sandbox.advance_time(31 * DAY);
    assert_eq!(net(&of_platform(&client), "transfer").len(), 3, "the platform keeps it now");
    check_books(&client, std::slice::from_ref(&account));
    client.refused(
        400,
        "POST",
        "/v1/subscriptions",
        &format!("customer={customer}&items[0][price]={price}&application_fee_percent=10"),
    );

    let price = id(&me.post(
        "/v1/prices",
        "unit_amount=2000&currency=usd&recurring[interval]=month&product_data[name]=Pro",
    ));
    let customer = id(&me.post("/v1/customers", "name=Ada"));
    let method = id(&me.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")));
    let direct = me.post("/v1/subscriptions", &format!("customer={customer}&items[0][price]={price}&default_payment_method={method}&application_fee_percent=20"));
    assert_eq!(direct["application_fee_percent"], 20);
    let latest = me.get(&format!("/v1/invoices/{}", text(&direct, "/latest_invoice")), "");
    assert_eq!(latest["application"], direct["application"]);
    assert_eq!(net(&of_platform(&client), "application_fee")[0], 400);
    check_books(&client, &[account]);
}

#[test]
fn sessions_and_invoices_are_shared_too() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let line = "success_url=https://shop.test/ok&line_items[0][quantity]=1&line_items[0][price_data][currency]=usd&line_items[0][price_data][product_data][name]=Chair&line_items[0][price_data][unit_amount]=2500";
    let complete = |session: &Value| {
        client.control("POST", &format!("checkout_sessions/{}/complete", id(session)), &Value::Null);
    };
    complete(&me.post(
        "/v1/checkout/sessions",
        &format!("mode=payment&{line}&payment_intent_data[application_fee_amount]=250"),
    ));
    complete(&client.post("/v1/checkout/sessions", &format!("mode=payment&{line}&payment_intent_data[transfer_data][destination]={account}&payment_intent_data[transfer_data][amount]=2000")));
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("mode=payment&{line}&payment_intent_data[application_fee_amount]=250"),
    );
    me.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("mode=payment&{line}&payment_intent_data[application_fee_amount]=2501"),
    );
    let monthly = format!("mode=subscription&{line}&line_items[0][price_data][recurring][interval]=month");
    complete(
        &me.post(
            "/v1/checkout/sessions",
            &format!("{monthly}&subscription_data[application_fee_percent]=10"),
        ),
    );
    client.sandbox.advance_time(32 * DAY);
    let platform = of_platform(&client);
    assert_eq!(net(&platform, "application_fee"), [250, 250, 250], "once, at the start, and at the renewal");
    assert_eq!(net(&platform, "transfer"), [-2000]);

    let customer = client.customer("pm_card_visa");
    client.post("/v1/invoiceitems", &format!("customer={customer}&amount=9000&currency=usd"));
    let invoice = client.post(
        "/v1/invoices",
        &format!(
            "customer={customer}&pending_invoice_items_behavior=include&transfer_data[destination]={account}"
        ),
    );
    let path = format!("/v1/invoices/{}", id(&invoice));
    client.post(&path, &format!("application_fee_amount=900&on_behalf_of={account}"));
    client.post(&format!("{path}/pay"), "");
    client.refused(400, "POST", &path, "application_fee_amount=1");
    let platform = of_platform(&client);
    assert_eq!((net(&platform, "application_fee")[0], net(&platform, "transfer")[0]), (900, -9000));
    check_books(&client, &[account]);
}

#[test]
fn a_dispute_falls_on_whoever_took_the_charge() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let form = "amount=3000&currency=usd&payment_method=pm_card_createDispute&confirm=true";
    me.post("/v1/payment_intents", form);
    client.post("/v1/payment_intents", &format!("{form}&transfer_data[destination]={account}"));
    assert_eq!(net(&of_platform(&client), "adjustment"), [-4500]);
    let theirs = entries(|query| me.get("/v1/balance_transactions", query));
    assert_eq!((net(&theirs, "adjustment"), net(&theirs, "payment")), (vec![-4500], vec![3000]));
    check_books(&client, &[account]);
}

#[test]
fn a_renewal_that_cannot_be_passed_on_takes_nothing() {
    let client = client();
    let account = ready(&client);
    let price = client.price(1000, "usd", "month");
    let customer = client.customer("pm_card_visa");
    let made = client.subscribe(&customer, &price, &format!("transfer_data[destination]={account}"));
    client.post(&format!("/v1/accounts/{account}/reject"), "reason=other");
    client.sandbox.advance_time(32 * DAY);
    assert_eq!(client.subscription(&id(&made))["status"], "past_due");
    assert_eq!(net(&of_platform(&client), "charge").len(), 1, "only the first one");
    let latest = text(&client.subscription(&id(&made)), "/latest_invoice").to_owned();
    let refused = client.refused(400, "POST", &format!("/v1/invoices/{latest}/pay"), "");
    assert!(text(&refused, "/message").contains("capabilities enabled: transfers"), "{refused:#}");
    assert_eq!(text(&refused, "/param"), "transfer_data[destination]");
    client.post(&format!("/v1/accounts/{account}/unreject"), "");
    client.post(&format!("/v1/invoices/{latest}/pay"), "");
    assert_eq!(client.subscription(&id(&made))["status"], "active");
    assert_eq!(net(&of_platform(&client), "transfer"), [-1000, -1000]);
    let dear = client.price(5000, "usd", "month");
    client.post(&format!("/v1/accounts/{account}/reject"), "reason=other");
    let item = text(&made, "/items/data/0/id");
    let form = format!("items[0][id]={item}&items[0][price]={dear}&proration_behavior=always_invoice");
    let changed = client.post(&format!("/v1/subscriptions/{}", id(&made)), &form);
    assert_eq!(changed["status"], "past_due", "the change is made, its invoice waits");
    assert_eq!(net(&of_platform(&client), "charge").len(), 2);
    let idle = id(&client.post("/v1/accounts", "type=express"));
    let me = As { client: &client, account: &idle };
    let customer = id(&me.post("/v1/customers", "name=Ada"));
    let method = id(&me.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")));
    let price = id(&me.post(
        "/v1/prices",
        "unit_amount=2000&currency=usd&recurring[interval]=month&product_data[name]=Pro",
    ));
    me.refused(
        400,
        "POST",
        "/v1/subscriptions",
        &format!("customer={customer}&items[0][price]={price}&default_payment_method={method}"),
    );
    assert!(
        me.get("/v1/subscriptions", "")["data"].as_array().unwrap().is_empty(),
        "nothing is left half done"
    );
    check_books(&client, &[account, idle]);
}

#[test]
fn a_card_of_the_platform_is_copied_for_a_direct_charge() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let customer = client.customer("pm_card_visa");
    let method = id(&client.get("/v1/payment_methods", &format!("customer={customer}"))["data"][0]);
    let copy = me.post("/v1/payment_methods", &format!("customer={customer}&payment_method={method}"));
    assert_ne!(text(&copy, "/id"), method);
    assert_eq!((text(&copy, "/card/last4"), &copy["customer"]), ("4242", &Value::Null));
    let paid = me.post(
        "/v1/payment_intents",
        &format!("amount=1000&currency=usd&payment_method={}&confirm=true", id(&copy)),
    );
    assert_eq!(paid["status"], "succeeded");
    me.refused(
        404,
        "POST",
        "/v1/payment_intents",
        &format!("amount=1000&currency=usd&payment_method={method}&confirm=true"),
    );
    me.refused(400, "POST", "/v1/payment_methods", &format!("payment_method={method}"));
    client.refused(
        400,
        "POST",
        "/v1/payment_methods",
        &format!("customer={customer}&payment_method={method}"),
    );
    client.refused(
        400,
        "POST",
        "/v1/payment_methods",
        &format!("customer={customer}&type=card&card[token]=tok_visa"),
    );
}

#[test]
fn what_is_captured_later_or_answered_late_is_shared_then() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let form = format!(
        "amount=10000&transfer_data[destination]={account}&application_fee_amount=1000&capture_method=manual&{PAY}"
    );
    let held = client.post("/v1/payment_intents", &form);
    assert!(of_platform(&client).is_empty(), "nothing is taken yet");
    client.post(&format!("/v1/payment_intents/{}/capture", id(&held)), "amount_to_capture=6000");
    let platform = of_platform(&client);
    assert_eq!((net(&platform, "transfer"), net(&platform, "application_fee")), (vec![-6000], vec![1000]));
    check_books(&client, std::slice::from_ref(&account));
    let debit = "type=sepa_debit&sepa_debit[iban]=AT611904300234573201&billing_details[name]=Ada&billing_details[email]=ada@shop.test";
    let method = id(&me.post("/v1/payment_methods", debit));
    let late = me.post(
        "/v1/payment_intents",
        &format!("amount=5000&currency=eur&payment_method={method}&confirm=true&application_fee_amount=500&mandate_data[customer_acceptance][type]=offline"),
    );
    assert_eq!(late["status"], "processing");
    assert_eq!(net(&of_platform(&client), "application_fee"), [1000]);
    client.sandbox.advance_time(15 * DAY);
    assert_eq!(net(&of_platform(&client), "application_fee"), [500, 1000]);
    assert_eq!(balance(&me.get("/v1/balance", ""))["eur"], 5000 - 180 - 500);
}

#[test]
fn an_account_pays_out_to_its_own_bank() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    me.post("/v1/payment_intents", &format!("amount=10000&{PAY}"));
    client.sandbox.advance_time(3 * DAY);
    let bank = id(&client.get(&format!("/v1/accounts/{account}/external_accounts"), "")["data"][0]);
    let payout = me.post("/v1/payouts", "amount=5000&currency=usd");
    assert_eq!(text(&payout, "/destination"), bank);
    assert_eq!(balance(&me.get("/v1/balance", ""))["usd"], 10_000 - 360 - 5000);
    client.post(&format!("/v1/accounts/{account}/reject"), "reason=other");
    let refused = me.refused(400, "POST", "/v1/payouts", "amount=1000&currency=usd");
    assert_eq!(text(&refused, "/code"), "payouts_not_allowed");
    check_books(&client, &[account]);
}
