//! What else an account has in books of its own, and what becomes of shares in prices that are lowered, taxed and captured
//! in part.

use proptest::prelude::*;
use quittance_sandbox::HttpRequest;
use serde_json::{Value, json};

use super::ledgers::{balance, check_books, check_total, entries};
use super::{As, ready};
use crate::client::{Client, DAY, HOUR, START, client, id, number, text};
use crate::payment_links::visit;

const CLOCKS: &str = "/v1/test_helpers/test_clocks";
const PAY: &str = "currency=usd&payment_method=pm_card_visa&confirm=true";
/// Four years later than the sandbox's own time.
const LATER: i64 = START + 1461 * DAY;

fn platform(client: &Client) -> String {
    client.sandbox.account_id()
}

/// A customer of some books with a card, on a test clock if one is named.
fn customer(me: &As<'_>, more: &str) -> String {
    let customer = id(&me.post("/v1/customers", &format!("email=ada@example.com{more}")));
    let method = id(&me.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")));
    let form = format!("invoice_settings[default_payment_method]={method}");
    me.post(&format!("/v1/customers/{customer}"), &form);
    customer
}

fn price(me: &As<'_>, amount: i64) -> String {
    let form = format!("unit_amount={amount}&currency=usd&recurring[interval]=month&product_data[name]=Pro");
    id(&me.post("/v1/prices", &form))
}

fn count(list: &Value) -> usize {
    list["data"].as_array().unwrap().len()
}

#[test]
fn an_account_has_coupons_of_its_own() {
    let client = client();
    let (account, own) = (ready(&client), platform(&client));
    let (me, us) = (As { client: &client, account: &account }, As { client: &client, account: &own });
    us.post("/v1/coupons", "id=SPRING&percent_off=10");
    me.refused(404, "GET", "/v1/coupons/SPRING", "");
    me.post("/v1/coupons", "id=SPRING&percent_off=50");
    assert_eq!(number(&us.get("/v1/coupons/SPRING", ""), "/percent_off"), 10);
    let code =
        id(&me.post("/v1/promotion_codes", "promotion[type]=coupon&promotion[coupon]=SPRING&code=MAY"));
    assert_eq!(count(&us.get("/v1/promotion_codes", "")), 0);
    for (books, total) in [(&us, 900), (&me, 500)] {
        let (customer, price) = (customer(books, ""), price(books, 1000));
        let form = format!(
            "customer={customer}&items[0][price]={price}&discounts[0][coupon]=SPRING&expand[]=latest_invoice"
        );
        let made = books.post("/v1/subscriptions", &form);
        assert_eq!(number(&made, "/latest_invoice/amount_paid"), total);
    }
    let (theirs, offer) = (customer(&us, ""), price(&us, 1000));
    let form = format!("customer={theirs}&items[0][price]={offer}&discounts[0][promotion_code]={code}");
    us.refused(404, "POST", "/v1/subscriptions", &form);
}

#[test]
fn an_account_has_a_test_clock_and_schedules_of_its_own() {
    let client = client();
    let (account, own) = (ready(&client), platform(&client));
    let (me, us) = (As { client: &client, account: &account }, As { client: &client, account: &own });
    let clock = id(&me.post(CLOCKS, &format!("frozen_time={LATER}")));
    us.refused(404, "GET", &format!("{CLOCKS}/{clock}"), "");
    us.refused(404, "POST", "/v1/customers", &format!("test_clock={clock}"));
    let ours = customer(&us, "");
    let plain = us.post("/v1/subscriptions", &format!("customer={ours}&items[0][price]={}", price(&us, 700)));
    let (theirs, offer) = (customer(&me, &format!("&test_clock={clock}")), price(&me, 1000));
    let form = format!(
        "customer={theirs}&start_date=now&phases[0][items][0][price]={offer}&phases[0][duration][interval]=month&phases[0][duration][interval_count]=1\
        &phases[1][items][0][price]={offer}&phases[1][items][0][quantity]=2"
    );
    let schedule = id(&me.post("/v1/subscription_schedules", &form));
    us.refused(404, "GET", &format!("/v1/subscription_schedules/{schedule}"), "");
    me.post(&format!("{CLOCKS}/{clock}/advance"), &format!("frozen_time={}", LATER + 45 * DAY));
    let arrived = me.get(&format!("{CLOCKS}/{clock}"), "");
    assert_eq!((text(&arrived, "/status"), number(&arrived, "/frozen_time")), ("ready", LATER + 45 * DAY));
    let paid = me.get("/v1/invoices", "status=paid");
    let amounts: Vec<i64> =
        paid["data"].as_array().unwrap().iter().map(|invoice| number(invoice, "/amount_paid")).collect();
    assert_eq!(amounts, [2000, 1000], "the schedule turned in the account's books");
    assert_eq!(count(&us.get("/v1/invoices", "")), 1, "the platform's time stood still");
    assert_eq!(number(&us.get(&format!("/v1/subscriptions/{}", id(&plain)), ""), "/created"), START);
    let told = me.get("/v1/events", "type=invoice.paid");
    assert!(told["data"].as_array().unwrap().iter().all(|event| event["created"] == START));
    let snapshot = client.sandbox.snapshot();
    let other = crate::client::client();
    other.sandbox.restore(&snapshot).unwrap();
    assert_eq!(other.sandbox.snapshot(), snapshot, "nothing is lost on the way");
    let there = As { client: &other, account: &account };
    there.post(&format!("{CLOCKS}/{clock}/advance"), &format!("frozen_time={}", LATER + 80 * DAY));
    assert_eq!(count(&there.get("/v1/invoices", "status=paid")), 3);
}

#[test]
fn a_platform_on_a_test_clock_passes_on_in_the_accounts_own_time() {
    let client = client();
    let (account, own) = (ready(&client), platform(&client));
    let (me, us) = (As { client: &client, account: &account }, As { client: &client, account: &own });
    let clock = id(&us.post(CLOCKS, &format!("frozen_time={LATER}")));
    let buyer = customer(&us, &format!("&test_clock={clock}"));
    let form = format!(
        "customer={buyer}&items[0][price]={}&transfer_data[destination]={account}&application_fee_percent=10",
        price(&us, 1000)
    );
    us.post("/v1/subscriptions", &form);
    let arrived = me.get("/v1/charges", "")["data"][0].clone();
    assert_eq!((number(&arrived, "/created"), number(&arrived, "/amount")), (START, 1000));
    assert_eq!(number(&me.get("/v1/balance", ""), "/pending/0/amount"), 900);
    client.sandbox.advance_time(8 * DAY);
    assert_eq!(number(&me.get("/v1/balance", ""), "/available/0/amount"), 900, "after the usual days");
    check_books(&client, &[account]);
}

#[test]
fn an_account_is_paid_out_to_its_own_bank() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let charge = "amount=10000&currency=usd&confirm=true&payment_method=pm_card_bypassPending";
    me.post("/v1/payment_intents", charge);
    let other = ready(&client);
    let other = As { client: &client, account: &other };
    other.post("/v1/payment_intents", charge);
    client.refused(400, "POST", "/v1/payouts", "amount=100&currency=usd");
    me.refused(404, "POST", "/v1/payouts", "amount=100&currency=usd&destination=ba_other");
    me.refused(400, "POST", "/v1/payouts", "amount=100&currency=eur");
    let bank = id(&me.get(&format!("/v1/accounts/{account}"), "")["external_accounts"]["data"][0]);
    let payout = me.post("/v1/payouts", &format!("amount=1000&currency=usd&destination={bank}"));
    assert_eq!(text(&payout, "/destination"), bank);
    client.refused(404, "GET", &format!("/v1/payouts/{}", id(&payout)), "");
    client.control("PUT", "settings", &json!({ "payout_schedule": "daily" }));
    client.post("/v1/payment_intents", charge);
    client.post(&format!("/v1/accounts/{account}/reject"), "reason=other");
    client.sandbox.advance_time(8 * DAY);
    let rejected = me.refused(400, "POST", "/v1/payouts", "amount=100&currency=usd");
    assert_eq!(text(&rejected, "/code"), "payouts_not_allowed");
    let automatic = |list: Value| -> Vec<i64> {
        let all = list["data"].as_array().unwrap().clone();
        let mine = all.iter().filter(|payout| payout["automatic"] == true);
        mine.map(|payout| number(payout, "/amount")).collect()
    };
    assert_eq!(automatic(client.get("/v1/payouts", "")), [9640]);
    assert_eq!(automatic(other.get("/v1/payouts", "")), [9640], "the schedule is for all accounts");
    assert!(automatic(me.get("/v1/payouts", "")).is_empty(), "it waits until that is undone");
    client.post(&format!("/v1/accounts/{account}/unreject"), "");
    client.sandbox.advance_time(DAY + HOUR);
    assert_eq!(automatic(me.get("/v1/payouts", "")), [8640]);
    assert!(balance(&me.get("/v1/balance", "")).values().all(|sum| *sum == 0));
}

#[test]
fn a_part_that_is_captured_is_all_that_is_shared() {
    let client = client();
    let (account, own) = (ready(&client), platform(&client));
    let (me, us) = (As { client: &client, account: &account }, As { client: &client, account: &own });
    let hold = format!("amount=1000&application_fee_amount=500&capture_method=manual&{PAY}");
    let direct = id(&me.post("/v1/payment_intents", &hold));
    let passed = us.post("/v1/payment_intents", &format!("{hold}&transfer_data[destination]={account}"));
    assert_eq!(count(&us.get("/v1/application_fees", "")), 0, "a hold is shared with nobody");
    assert_eq!(count(&us.get("/v1/transfers", "")), 0);
    me.post(&format!("/v1/payment_intents/{direct}/capture"), "amount_to_capture=300");
    let fee = us.get("/v1/application_fees", "")["data"][0].clone();
    assert_eq!(number(&fee, "/amount"), 300, "no more than there is");
    assert_eq!(number(&me.get("/v1/balance", ""), "/pending/0/amount"), -11);
    let capture = format!("/v1/payment_intents/{}/capture", id(&passed));
    us.refused(400, "POST", &capture, "amount_to_capture=300&application_fee_amount=301");
    us.post(&capture, "amount_to_capture=300&application_fee_amount=30");
    let transfer = us.get("/v1/transfers", "")["data"][0].clone();
    assert_eq!(number(&transfer, "/amount"), 300);
    assert_eq!(number(&us.get("/v1/application_fees", "")["data"][0], "/amount"), 30);
    check_books(&client, std::slice::from_ref(&account));
    check_total(&client, &[account]);
}

#[test]
fn a_debit_is_shared_when_the_bank_has_answered() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let buyer = id(&me.post("/v1/customers", "name=Ada&email=ada@example.com"));
    let method = id(&me.post(
        "/v1/payment_methods",
        "type=sepa_debit&sepa_debit[iban]=AT611904300234573201&billing_details[name]=Ada&billing_details[email]=ada@example.com",
    ));
    me.post(&format!("/v1/payment_methods/{method}/attach"), &format!("customer={buyer}"));
    let form = format!(
        "amount=1000&currency=eur&customer={buyer}&payment_method={method}&payment_method_types[]=sepa_debit&confirm=true&application_fee_amount=100"
    );
    let intent = me.post("/v1/payment_intents", &form);
    assert_eq!(text(&intent, "/status"), "processing");
    assert_eq!(count(&client.get("/v1/application_fees", "")), 0);
    client.sandbox.advance_time(14 * DAY);
    assert_eq!(number(&client.get("/v1/application_fees", "")["data"][0], "/amount"), 100);
    check_books(&client, std::slice::from_ref(&account));
    check_total(&client, &[account]);
}

#[test]
fn a_destination_hears_thin_events_of_accounts_where_it_asks_for_them() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    for (name, from) in
        [("own", json!(["@self"])), ("theirs", json!(["@accounts"])), ("both", json!(["@self", "@accounts"]))]
    {
        let body = json!({
            "name": name, "type": "webhook_endpoint", "event_payload": "thin", "events_from": from,
            "enabled_events": ["v1.customer.created"], "webhook_endpoint": { "url": format!("https://{name}.test") },
        });
        let mut request =
            HttpRequest::new("POST", "/v2/core/event_destinations", "sk_test_1", &body.to_string());
        request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let made = client.handle(request);
        assert_eq!((made.status, &made.value()["events_from"]), (200, &from));
    }
    let theirs = id(&me.post("/v1/customers", "name=Theirs"));
    let ours = id(&client.post("/v1/customers", "name=Ours"));
    let due = client.sandbox.due_deliveries();
    let heard = |name: &str| -> Vec<(String, Value)> {
        let url = format!("https://{name}.test");
        let bodies = due.iter().filter(|delivery| delivery.url == url);
        let events = bodies.map(|delivery| serde_json::from_slice::<Value>(&delivery.body).unwrap());
        events
            .map(|event| (text(&event, "/related_object/id").to_owned(), event["context"].clone()))
            .collect()
    };
    let (first, second) = ((theirs, json!(account)), (ours, Value::Null));
    assert_eq!(heard("own"), std::slice::from_ref(&second));
    assert_eq!(heard("theirs"), std::slice::from_ref(&first));
    assert_eq!(heard("both"), [first, second]);
    let event = due.iter().find(|delivery| delivery.url == "https://theirs.test").unwrap();
    let event = format!("/v2/core/events/{}", text(&serde_json::from_slice(&event.body).unwrap(), "/id"));
    client.refused(404, "GET", &event, "");
    assert_eq!(me.get(&event, "")["context"], json!(account));
    assert_eq!(count(&me.get("/v2/core/event_destinations", "")), 0);
}

#[derive(Debug, Clone)]
enum Step {
    /// A subscription with a discount, a tax and a fee, direct or passed on, on a test clock or not.
    Subscribe {
        account: usize,
        direct: bool,
        clock: bool,
        amount: i64,
        off: i64,
        tax: i64,
        fee: i64,
    },
    Capture {
        account: usize,
        direct: bool,
        amount: i64,
        part: i64,
        fee: i64,
    },
    Refund {
        owner: usize,
        charge: usize,
        part: i64,
        transfer: bool,
        fee: bool,
    },
    Advance,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let of = (0..2_usize, any::<bool>(), any::<bool>(), 100..500_000_i64);
    let terms = (1..100_i64, 0..40_i64, 0..=100_i64);
    prop_oneof![
        3 => (of.clone(), terms.clone()).prop_map(|((account, direct, clock, amount), (off, tax, fee))| {
            Step::Subscribe { account, direct, clock, amount, off, tax, fee }
        }),
        3 => (of, terms).prop_map(|((account, direct, _, amount), (part, _, fee))| {
            Step::Capture { account, direct, amount, part, fee }
        }),
        2 => (0..3_usize, 0..8_usize, 1..100_i64, any::<bool>(), any::<bool>())
            .prop_map(|(owner, charge, part, transfer, fee)| Step::Refund { owner, charge, part, transfer, fee }),
        1 => Just(Step::Advance),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_sums_are_zero_with_discounts_taxes_clocks_and_parts(steps in prop::collection::vec(step(), 1..12)) {
        let client = client();
        let (accounts, own) = ([ready(&client), ready(&client)], platform(&client));
        let books = [&accounts[0], &accounts[1], &own].map(|account| As { client: &client, account });
        let clocks = books.each_ref().map(|me| id(&me.post(CLOCKS, &format!("frozen_time={LATER}"))));
        let mut reached = LATER;
        for step in steps {
            match step {
                Step::Subscribe { account, direct, clock, amount, off, tax, fee } => {
                    let place = if direct { account } else { 2 };
                    let (me, to) = (&books[place], &accounts[account]);
                    let clock = if clock { format!("&test_clock={}", clocks[place]) } else { String::new() };
                    let (buyer, offer) = (customer(me, &clock), price(me, amount));
                    let coupon = id(&me.post("/v1/coupons", &format!("percent_off={off}&duration=forever")));
                    let rate = id(&me.post("/v1/tax_rates", &format!("display_name=VAT&percentage={tax}&inclusive=false")));
                    let passed = if direct { String::new() } else { format!("&transfer_data[destination]={to}") };
                    me.post("/v1/subscriptions", &format!("customer={buyer}&items[0][price]={offer}&discounts[0][coupon]={coupon}&default_tax_rates[0]={rate}&application_fee_percent={fee}{passed}"));
                }
                Step::Capture { account, direct, amount, part, fee } => {
                    let (me, to) = (&books[if direct { account } else { 2 }], &accounts[account]);
                    let passed = if direct { String::new() } else { format!("&transfer_data[destination]={to}") };
                    let form = format!("amount={amount}&capture_method=manual&application_fee_amount={}{passed}&{PAY}", amount * fee / 100);
                    let held = id(&me.post("/v1/payment_intents", &form));
                    let part = (amount * part / 100).max(1);
                    me.post(&format!("/v1/payment_intents/{held}/capture"), &format!("amount_to_capture={part}"));
                }
                Step::Refund { owner, charge, part, transfer, fee } => {
                    let me = &books[owner];
                    let charges = entries(|query| me.get("/v1/charges", query));
                    let Some(charge) = charges.get(charge) else { continue };
                    let amount = number(charge, "/amount_captured") * part / 100;
                    // Some are refused, and must then change nothing.
                    me.send("POST", "/v1/refunds", &format!("charge={}&amount={amount}&reverse_transfer={transfer}&refund_application_fee={fee}", id(charge)));
                }
                Step::Advance => {
                    reached += 32 * DAY;
                    for (me, clock) in books.iter().zip(&clocks) {
                        me.post(&format!("{CLOCKS}/{clock}/advance"), &format!("frozen_time={reached}"));
                    }
                }
                Step::Wait => client.sandbox.advance_time(32 * DAY),
            }
            check_books(&client, &accounts);
        }
        check_total(&client, &accounts);
    }
}

#[test]
fn what_a_payment_link_passes_on_each_of_its_payments_passes_on() {
    let client = client();
    let account = ready(&client);
    let price = id(&client.post("/v1/prices", "unit_amount=5000&currency=usd&product_data[name]=Book"));
    let link = client.post(
        "/v1/payment_links",
        &format!(
            "line_items[0][price]={price}&line_items[0][quantity]=1&transfer_data[destination]={account}&application_fee_amount=700&on_behalf_of={account}"
        ),
    );
    assert_eq!(text(&link, "/transfer_data/destination"), account);
    assert_eq!((number(&link, "/application_fee_amount"), text(&link, "/on_behalf_of")), (700, &*account));
    for _ in 0..2 {
        let session = visit(&client, &link, "").unwrap();
        client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    }
    let fees = client.get("/v1/application_fees", "");
    let fees: Vec<i64> = fees["data"].as_array().unwrap().iter().map(|fee| number(fee, "/amount")).collect();
    assert_eq!(fees, [700, 700]);
    let me = As { client: &client, account: &account };
    assert_eq!(balance(&me.get("/v1/balance", ""))["usd"], 2 * 4_300);
    check_books(&client, &[account]);
}
