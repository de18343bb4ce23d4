//! The customer's balance and credit notes: every change is an entry, and the sums agree.

use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, client, id, number, text};

const MONTH: i64 = 31 * DAY;

/// The entries of a customer's balance, oldest first; they must add up to it.
fn entries(client: &Client, customer: &str) -> Vec<(String, i64, i64)> {
    let list = client.get(&format!("/v1/customers/{customer}/balance_transactions"), "limit=100");
    let mut found: Vec<(String, i64, i64)> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (text(entry, "/type").to_owned(), number(entry, "/amount"), number(entry, "/ending_balance"))
        })
        .collect();
    found.reverse();
    let balance = number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance");
    assert_eq!(found.iter().map(|(_, amount, _)| amount).sum::<i64>(), balance, "{found:?}");
    let mut sum = 0;
    for (kind, amount, ending) in &found {
        sum += amount;
        assert_eq!(sum, *ending, "{kind}");
    }
    found
}

fn entry(kind: &str, amount: i64, ending: i64) -> (String, i64, i64) {
    (kind.to_owned(), amount, ending)
}

#[test]
fn a_balance_is_adjusted_and_applied_to_invoices() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let path = format!("/v1/customers/{customer}/balance_transactions");
    let made = client.post(&path, "amount=-1500&currency=usd&description=Sorry&metadata[a]=b");
    assert_eq!((text(&made, "/type"), number(&made, "/ending_balance")), ("adjustment", -1_500));
    let one = format!("{path}/{}", id(&made));
    assert_eq!(client.get(&one, ""), made);
    assert_eq!(text(&client.post(&one, "description=Very sorry"), "/description"), "Very sorry");
    client.refused(400, "POST", &path, "amount=100&currency=eur");
    client.refused(400, "POST", &path, "amount=0&currency=usd");
    client.refused(
        404,
        "GET",
        &format!("/v1/customers/{}/balance_transactions/{}", client.customer("pm_card_visa"), id(&made)),
        "",
    );
    let price = client.price(1_000, "usd", "month");
    let first = client.subscribe(&customer, &price, "expand[]=latest_invoice");
    assert_eq!(text(&first, "/status"), "active");
    assert_eq!(number(&first, "/latest_invoice/amount_due"), 0);
    assert_eq!(number(&first, "/latest_invoice/starting_balance"), -1_500);
    assert_eq!(number(&first, "/latest_invoice/ending_balance"), -500);
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 500);
    assert_eq!(
        entries(&client, &customer),
        [
            entry("adjustment", -1_500, -1_500),
            entry("applied_to_invoice", 1_000, -500),
            entry("applied_to_invoice", 500, 0)
        ]
    );
    let of_first = client.get(&path, &format!("invoice={}", text(&first, "/latest_invoice/id")));
    assert_eq!(of_first["data"].as_array().unwrap().len(), 1);
    let shown = client.get(&format!("/v1/customers/{customer}"), "expand[]=invoice_credit_balance");
    assert_eq!(shown["invoice_credit_balance"], json!({ "usd": 0 }));
}

#[test]
fn what_is_too_small_and_what_is_below_zero_becomes_an_entry() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    client.post(&format!("/v1/customers/{customer}"), "balance=-960");
    let (small, large) = (client.price(1_000, "usd", "month"), client.price(9_000, "usd", "month"));
    let made = client.subscribe(&customer, &small, "");
    assert_eq!(
        entries(&client, &customer),
        [
            entry("adjustment", -960, -960),
            entry("applied_to_invoice", 960, 0),
            entry("invoice_too_small", 40, 40)
        ]
    );
    let item = text(&made, "/items/data/0/id").to_owned();
    let path = format!("/v1/subscriptions/{}", id(&made));
    client.post(
        &path,
        &format!("items[0][id]={item}&items[0][price]={large}&proration_behavior=always_invoice"),
    );
    client.sandbox.advance_time(MONTH / 2);
    client.post(
        &path,
        &format!("items[0][id]={item}&items[0][price]={small}&proration_behavior=always_invoice"),
    );
    // 8000 and the 40 were paid; half of 9000 comes back as credit, less half of 1000.
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 8_040);
    let all = entries(&client, &customer);
    assert_eq!(all[3..], [entry("applied_to_invoice", -40, 0), entry("applied_to_invoice", -4_000, -4_000)]);
}

#[test]
fn a_voided_invoice_gives_the_balance_back() {
    let client = client();
    let customer = client.customer("pm_card_chargeCustomerFail");
    client.post(&format!("/v1/customers/{customer}"), "balance=-300");
    let made = client.subscribe(&customer, &client.price(1_000, "usd", "month"), "expand[]=latest_invoice");
    assert_eq!((text(&made, "/status"), number(&made, "/latest_invoice/amount_due")), ("incomplete", 700));
    client.sandbox.advance_time(DAY);
    assert_eq!(text(&client.subscription(&id(&made)), "/status"), "incomplete_expired");
    let all = entries(&client, &customer);
    assert_eq!(all[1..], [entry("applied_to_invoice", 300, 0), entry("unapplied_from_invoice", -300, -300)]);
}

#[test]
fn a_balance_in_another_currency_is_left_alone() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let path = format!("/v1/customers/{customer}/balance_transactions");
    client.post(&path, "amount=-5000&currency=eur");
    client.post("/v1/invoiceitems", &format!("customer={customer}&currency=usd&amount=700"));
    let form = format!("customer={customer}&currency=usd&pending_invoice_items_behavior=include");
    let invoice = id(&client.post("/v1/invoices", &form));
    let paid = client.post(&format!("/v1/invoices/{invoice}/pay"), "");
    assert_eq!((number(&paid, "/starting_balance"), number(&paid, "/amount_paid")), (0, 700));
    assert_eq!(entries(&client, &customer), [entry("adjustment", -5_000, -5_000)]);
}

#[test]
fn a_customer_is_born_with_a_balance() {
    let client = client();
    let customer = id(&client.post("/v1/customers", "balance=-200&email=a@example.com"));
    assert_eq!(entries(&client, &customer), [entry("initial", -200, -200)]);
    let snapshot: Value = client.control("GET", "snapshot", &Value::Null);
    client.post(&format!("/v1/customers/{customer}"), "balance=0");
    client.control("PUT", "snapshot", &snapshot);
    assert_eq!(entries(&client, &customer), [entry("initial", -200, -200)]);
}

/// A paid invoice of 1000 for two units; the customer and the invoice.
fn paid(client: &Client) -> (String, Value) {
    let customer = client.customer("pm_card_visa");
    let price = client.price(500, "usd", "month");
    let made = client.subscribe(&customer, &price, "items[0][quantity]=2&expand[]=latest_invoice");
    (customer, made["latest_invoice"].clone())
}

fn open_invoice(client: &Client) -> (String, String) {
    let customer = client.customer("pm_card_visa");
    client
        .post("/v1/invoiceitems", &format!("customer={customer}&amount=1000&currency=usd&description=Work"));
    let form = format!("customer={customer}&pending_invoice_items_behavior=include");
    let invoice = id(&client.post("/v1/invoices", &form));
    client.refused(400, "POST", "/v1/credit_notes", &format!("invoice={invoice}&amount=100"));
    client.post(&format!("/v1/invoices/{invoice}/finalize"), "");
    (customer, invoice)
}

#[test]
fn a_note_of_a_paid_invoice_gives_back_in_three_ways() {
    let client = client();
    let (customer, invoice) = paid(&client);
    let note = |more: &str| format!("invoice={}&{more}", id(&invoice));
    // What was paid must be given back in full, and no more than that.
    for wrong in
        ["amount=400", "amount=400&refund_amount=300", "amount=1001&refund_amount=1001", "refund_amount=5"]
    {
        client.refused(400, "POST", "/v1/credit_notes", &note(wrong));
    }
    let form = "amount=600&refund_amount=300&credit_amount=200&out_of_band_amount=100&reason=duplicate&memo=Sorry&metadata[a]=b";
    let preview = client.get("/v1/credit_notes/preview", &note(form));
    assert_eq!(number(&preview, "/post_payment_amount"), 600);
    assert_eq!(client.get("/v1/credit_notes", "")["data"], json!([]));
    let made = client.post("/v1/credit_notes", &note(form));
    assert_eq!((text(&made, "/type"), number(&made, "/total")), ("post_payment", 600));
    assert!(text(&made, "/number").ends_with("-CN-01"));
    let refund = client.get(&format!("/v1/refunds/{}", text(&made, "/refunds/0/refund")), "");
    assert_eq!((number(&refund, "/amount"), text(&refund, "/reason")), (300, "duplicate"));
    assert_eq!(entries(&client, &customer), [entry("credit_note", -200, -200)]);
    let booked = client.get(
        &format!(
            "/v1/customers/{customer}/balance_transactions/{}",
            text(&made, "/customer_balance_transaction")
        ),
        "",
    );
    assert_eq!(text(&booked, "/credit_note"), id(&made));
    let after = client.get(&format!("/v1/invoices/{}", id(&invoice)), "");
    assert_eq!(
        (number(&after, "/post_payment_credit_notes_amount"), number(&after, "/amount_paid")),
        (600, 1_000)
    );
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 700);
    client.refused(400, "POST", "/v1/credit_notes", &note("amount=401&refund_amount=401"));
    // A refund that was made before can be counted, once.
    let charge = &client.sandbox.ledger().customer(&customer).unwrap().charges[0].id.clone();
    let refund = id(&client.post("/v1/refunds", &format!("charge={charge}&amount=150")));
    let linked = note(&format!("amount=150&refunds[0][refund]={refund}"));
    client.post("/v1/credit_notes", &linked);
    client.refused(400, "POST", "/v1/credit_notes", &linked);
    client.refused(400, "POST", &format!("/v1/credit_notes/{}/void", id(&made)), "");
    let path = format!("/v1/credit_notes/{}", id(&made));
    assert_eq!(text(&client.post(&path, "memo=Very sorry"), "/memo"), "Very sorry");
    assert_eq!(
        client.get("/v1/credit_notes", &format!("invoice={}", id(&invoice)))["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let kinds = client.kinds();
    let place = |kind: &str| kinds.iter().position(|found| found == kind).unwrap();
    assert!(place("credit_note.created") < place("refund.created"));
    assert!(kinds.contains(&"credit_note.updated".to_owned()));
}

#[test]
fn a_note_of_an_open_invoice_lowers_it_until_nothing_is_left() {
    let client = client();
    let (customer, invoice) = open_invoice(&client);
    let path = format!("/v1/invoices/{invoice}");
    let first = client.post("/v1/credit_notes", &format!("invoice={invoice}&amount=300"));
    assert_eq!((text(&first, "/type"), number(&first, "/pre_payment_amount")), ("pre_payment", 300));
    let lowered = client.get(&path, "expand[]=payments");
    assert_eq!((number(&lowered, "/amount_due"), number(&lowered, "/total")), (700, 1_000));
    assert_eq!(number(&lowered, "/pre_payment_credit_notes_amount"), 300);
    let intent = text(&lowered, "/payments/data/0/payment/payment_intent").to_owned();
    assert_eq!(number(&client.get(&format!("/v1/payment_intents/{intent}"), ""), "/amount"), 700);
    let voided = client.post(&format!("/v1/credit_notes/{}/void", id(&first)), "");
    assert_eq!(text(&voided, "/status"), "void");
    assert_eq!(number(&client.get(&path, ""), "/amount_due"), 1_000);
    client.post("/v1/credit_notes", &format!("invoice={invoice}&amount=400"));
    client.post(&format!("{path}/pay"), "");
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 600);
    // 600 were paid, so a note for them gives back.
    let rest = client.post("/v1/credit_notes", &format!("invoice={invoice}&amount=600&credit_amount=600"));
    assert_eq!(text(&rest, "/type"), "post_payment");
    assert_eq!(entries(&client, &customer), [entry("credit_note", -600, -600)]);
    let (_, other) = open_invoice(&client);
    client.post("/v1/credit_notes", &format!("invoice={other}&amount=1000"));
    let done = client.get(&format!("/v1/invoices/{other}"), "");
    assert_eq!((text(&done, "/status"), number(&done, "/amount_paid")), ("paid", 0));
    let kinds = client.kinds();
    assert!(
        kinds.contains(&"credit_note.voided".to_owned())
            && kinds.contains(&"payment_intent.canceled".to_owned())
    );
}

#[test]
fn lines_are_taken_back_with_their_discounts_and_taxes_to_the_last_unit() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let tax = id(&client.post("/v1/tax_rates", "display_name=VAT&percentage=19&inclusive=false"));
    let third = id(&client.post("/v1/coupons", "percent_off=33.3"));
    let price = client.price(333, "usd", "month");
    let more = format!(
        "items[0][quantity]=3&default_tax_rates[0]={tax}&discounts[0][coupon]={third}&expand[]=latest_invoice"
    );
    let made = client.subscribe(&customer, &price, &more);
    let invoice = &made["latest_invoice"];
    // 999 - 333 = 666, and 19 % of that is 127.
    assert_eq!(number(invoice, "/total"), 793);
    let line = text(invoice, "/lines/data/0/id");
    let form = |more: &str| {
        format!(
            "invoice={}&lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&{more}",
            id(invoice)
        )
    };
    let mut sums = [0, 0, 0];
    for (more, total) in [("lines[0][quantity]=1", 264), ("lines[0][amount]=333", 264), ("", 265)] {
        let note = client.post("/v1/credit_notes", &form(&format!("{more}&credit_amount={total}")));
        let part = &note["lines"]["data"][0];
        assert_eq!(text(part, "/invoice_line_item"), line);
        sums[0] += number(part, "/amount");
        sums[1] += number(part, "/discount_amount");
        sums[2] += number(part, "/taxes/0/amount");
        assert_eq!(number(&note, "/total"), total);
    }
    assert_eq!(sums, [999, 333, 127]);
    client.refused(400, "POST", "/v1/credit_notes", &form("lines[0][amount]=1&credit_amount=1"));
    assert_eq!(number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance"), -793);
}

#[test]
fn a_note_has_lines_of_its_own_and_its_lines_are_listed() {
    let client = client();
    let (_, invoice) = paid(&client);
    let tax = id(&client.post("/v1/tax_rates", "display_name=VAT&percentage=10&inclusive=false"));
    let form = format!(
        "invoice={}&lines[0][type]=custom_line_item&lines[0][description]=Late&lines[0][quantity]=2&lines[0][unit_amount]=100&lines[0][tax_rates][0]={tax}&lines[1][type]=custom_line_item&lines[1][description]=Late&lines[1][unit_amount]=30&refund_amount=250",
        id(&invoice)
    );
    let previewed = client.get("/v1/credit_notes/preview/lines", &form);
    assert_eq!(number(&previewed, "/data/0/amount"), 200);
    let note = client.post("/v1/credit_notes", &form);
    assert_eq!(
        (number(&note, "/subtotal"), number(&note, "/total"), number(&note, "/total_taxes/0/amount")),
        (230, 250, 20)
    );
    let lines = client.get(&format!("/v1/credit_notes/{}/lines", id(&note)), "limit=1");
    assert_eq!((lines["has_more"].clone(), number(&lines, "/data/0/unit_amount")), (json!(true), 100));
}
