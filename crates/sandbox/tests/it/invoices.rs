//! Invoices by hand: what is said about them, their lines while they are drafts, and sending; pauses and resumptions.

use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};

const MONTH: i64 = 31 * DAY;

fn draft(client: &Client, customer: &str, more: &str) -> Value {
    client.post("/v1/invoices", &format!("customer={customer}&currency=usd&{more}"))
}

fn amounts(invoice: &Value) -> Vec<i64> {
    invoice["lines"]["data"].as_array().unwrap().iter().map(|line| number(line, "/amount")).collect()
}

#[test]
fn what_is_said_about_an_invoice_is_kept_and_not_ignored() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let said = "collection_method=send_invoice&days_until_due=14&number=INV-7&footer=Thanks&statement_descriptor=SHOP&description=Work&custom_fields[0][name]=PO&custom_fields[0][value]=17&shipping_details[name]=Ada&shipping_details[address][country]=GB&metadata[a]=b";
    let invoice = draft(&client, &customer, &format!("{said}&effective_at={START}"));
    assert_eq!(number(&invoice, "/due_date"), START + 14 * DAY);
    assert_eq!((text(&invoice, "/footer"), text(&invoice, "/number")), ("Thanks", "INV-7"));
    assert_eq!(text(&invoice, "/custom_fields/0/value"), "17");
    assert_eq!(text(&invoice, "/shipping_details/address/country"), "GB");
    let path = format!("/v1/invoices/{}", id(&invoice));
    client.refused(400, "POST", "/v1/invoices", &format!("customer={customer}&number=INV-7"));
    client.refused(400, "POST", "/v1/invoices", &format!("customer={customer}&days_until_due=3"));
    client.refused(400, "POST", &path, "statement_descriptor=This is far too long for a card");
    client.refused(400, "POST", &path, &format!("due_date={}", START - 1));
    let changed =
        client.post(&path, &format!("due_date={}&footer=&custom_fields=&description=Other", START + DAY));
    assert_eq!((number(&changed, "/due_date"), text(&changed, "/description")), (START + DAY, "Other"));
    assert!(changed["footer"].is_null() && changed["custom_fields"].is_null());
    client.post("/v1/invoiceitems", &format!("customer={customer}&amount=900&invoice={}", id(&invoice)));
    let sent = client.post(&format!("{path}/send"), "");
    assert_eq!((text(&sent, "/status"), text(&sent, "/number")), ("open", "INV-7"));
    assert_eq!(client.events("type=invoice.sent").len(), 1);
    let late = client.refused(400, "POST", &path, "footer=Late");
    assert_eq!((text(&late, "/code"), text(&late, "/param")), ("invoice_not_editable", "footer"));
    client.post(&path, &format!("due_date={}&metadata[c]=d", START + 2 * DAY));
    client.sandbox.advance_time(DAY);
    assert_eq!(client.events("type=invoice.overdue").len(), 0);
    client.sandbox.advance_time(DAY);
    assert_eq!(client.events("type=invoice.overdue").len(), 1);
}

#[test]
fn only_invoices_that_are_sent_can_be_sent() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let charged = draft(&client, &customer, "");
    client.refused(400, "POST", &format!("/v1/invoices/{}/send", id(&charged)), "");
    let sent = draft(&client, &customer, "collection_method=send_invoice");
    assert_eq!(number(&sent, "/due_date"), START + 30 * DAY);
    let path = format!("/v1/invoices/{}", id(&sent));
    client.post(&path, "collection_method=charge_automatically");
    client.refused(400, "POST", &format!("{path}/send"), "");
    client.post(&path, "collection_method=send_invoice");
    client.post(&format!("{path}/finalize"), "");
    // Nothing was due, so it is paid.
    client.refused(400, "POST", &format!("{path}/send"), "");
}

#[test]
fn a_draft_becomes_final_when_it_says() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let at = START + 3 * HOUR;
    let invoice = draft(&client, &customer, &format!("auto_advance=true&automatically_finalizes_at={at}"));
    let path = format!("/v1/invoices/{}", id(&invoice));
    client.post("/v1/invoiceitems", &format!("customer={customer}&amount=900&invoice={}", id(&invoice)));
    client.post(&path, &format!("automatically_finalizes_at={}", at + HOUR));
    client.sandbox.advance_time_to(at);
    assert_eq!(text(&client.get(&path, ""), "/status"), "draft");
    client.post(&path, "auto_advance=false");
    client.sandbox.advance_time_to(at + 2 * HOUR);
    let waiting = client.get(&path, "");
    assert_eq!((text(&waiting, "/status"), &waiting["automatically_finalizes_at"]), ("draft", &Value::Null));
    client.post(&path, "auto_advance=true");
    client.sandbox.advance_time(HOUR);
    assert_eq!(text(&client.get(&path, ""), "/status"), "paid");
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 900);
}

#[test]
fn lines_of_a_draft_are_added_changed_and_removed() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let book = id(&client.post("/v1/prices", "unit_amount=300&currency=usd&product_data[name]=Book"));
    let waiting =
        id(&client.post("/v1/invoiceitems", &format!("customer={customer}&amount=50&currency=usd")));
    let invoice = draft(&client, &customer, "");
    let path = format!("/v1/invoices/{}", id(&invoice));
    let form = format!(
        "lines[0][amount]=1000&lines[0][description]=Work&lines[1][pricing][price]={book}&lines[1][quantity]=2&lines[2][invoice_item]={waiting}&invoice_metadata[a]=b"
    );
    let added = client.post(&format!("{path}/add_lines"), &form);
    assert_eq!((amounts(&added), number(&added, "/amount_due")), (vec![1_000, 600, 50], 1_650));
    assert_eq!(text(&added, "/metadata/a"), "b");
    assert_eq!(text(&added, "/lines/data/1/pricing/price_details/price"), book);
    client.refused(400, "POST", &format!("{path}/add_lines"), &format!("lines[0][invoice_item]={waiting}"));
    client.refused(400, "POST", &format!("{path}/add_lines"), "lines[0][description]=Nothing");
    let line = |index: usize| text(&added, &format!("/lines/data/{index}/id")).to_owned();
    let half = id(&client.post("/v1/coupons", "percent_off=50"));
    let form = format!(
        "lines[0][id]={}&lines[0][amount]=2000&lines[0][discounts][0][coupon]={half}&lines[1][id]={}&lines[1][quantity]=1",
        line(0),
        line(1)
    );
    let changed = client.post(&format!("{path}/update_lines"), &form);
    assert_eq!((amounts(&changed), number(&changed, "/total")), (vec![2_000, 300, 50], 1_350));
    let one = client.post(&format!("{path}/lines/{}", line(0)), "description=More work&discounts=");
    assert_eq!((text(&one, "/description"), number(&one, "/amount")), ("More work", 2_000));
    let item = text(&one, "/parent/invoice_item_details/invoice_item").to_owned();
    assert_eq!(text(&client.get(&format!("/v1/invoiceitems/{item}"), ""), "/description"), "More work");
    client.post(&format!("/v1/invoiceitems/{item}"), "amount=2500");
    let form = format!(
        "lines[0][id]={}&lines[0][behavior]=delete&lines[1][id]={}&lines[1][behavior]=unassign",
        line(1),
        line(2)
    );
    let removed = client.post(&format!("{path}/remove_lines"), &form);
    assert_eq!(amounts(&removed), [2_500]);
    let pending = client.get("/v1/invoiceitems", &format!("customer={customer}&pending=true"));
    assert_eq!(
        (pending["data"].as_array().unwrap().len(), text(&pending, "/data/0/id")),
        (1, waiting.as_str())
    );
    client.post(&format!("{path}/pay"), "");
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2_500);
    client.refused(400, "POST", &format!("{path}/add_lines"), "lines[0][amount]=1");
    client.refused(400, "POST", &format!("/v1/invoiceitems/{item}"), "amount=1");
    client.refused(400, "DELETE", &format!("/v1/invoiceitems/{item}"), "");
}

#[test]
fn a_line_of_a_subscription_says_more_but_costs_what_it_costs() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    client.subscribe(&customer, &client.price(1_000, "usd", "month"), "");
    client.sandbox.advance_time(MONTH);
    let renewal = client.get("/v1/invoices", &format!("customer={customer}&status=draft"))["data"][0].clone();
    let line = text(&renewal, "/lines/data/0/id").to_owned();
    let path = format!("/v1/invoices/{}/lines/{line}", id(&renewal));
    client.refused(400, "POST", &path, "amount=1");
    assert_eq!(text(&client.post(&path, "description=March"), "/description"), "March");
    let form = "lines[0][amount]=500&lines[0][description]=Usage";
    client.post(&format!("/v1/invoices/{}/add_lines", id(&renewal)), form);
    client.sandbox.advance_time(HOUR);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2_500);
}

#[test]
fn an_item_takes_a_price_that_is_described_with_it() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let product =
        text(&client.get(&format!("/v1/prices/{}", client.price(1, "usd", "month")), ""), "/product")
            .to_owned();
    let form = format!(
        "customer={customer}&price_data[currency]=usd&price_data[product]={product}&price_data[unit_amount]=70&quantity=3&period[start]={START}&period[end]={}",
        START + DAY
    );
    let item = client.post("/v1/invoiceitems", &form);
    assert_eq!((number(&item, "/amount"), number(&item, "/period/end")), (210, START + DAY));
    let recurring = client.price(100, "usd", "month");
    client.refused(
        400,
        "POST",
        "/v1/invoiceitems",
        &format!("customer={customer}&pricing[price]={recurring}"),
    );
    let gone = client.delete(&format!("/v1/invoiceitems/{}", id(&item)), "");
    assert_eq!(gone["deleted"], true);
}

#[test]
fn a_paused_collection_says_how_and_for_how_long() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let made = client.subscribe(&customer, &client.price(1_000, "usd", "month"), "");
    let path = format!("/v1/subscriptions/{}", id(&made));
    let missing =
        client.refused(400, "POST", &path, &format!("pause_collection[resumes_at]={}", START + DAY));
    assert_eq!(text(&missing, "/param"), "pause_collection[behavior]");
    client.refused(
        400,
        "POST",
        &path,
        &format!("pause_collection[behavior]=void&pause_collection[resumes_at]={START}"),
    );
    assert!(client.subscription(&id(&made))["pause_collection"].is_null());
    client.post(&path, "pause_collection[behavior]=void");
    assert!(client.post(&path, "pause_collection=")["pause_collection"].is_null());
}

#[test]
fn a_resumption_takes_its_parameters() {
    let client = client();
    let price = client.price(3_100, "usd", "month");
    let paused = |card: &str| {
        let customer = client.customer("pm_card_visa");
        let made = id(&client.subscribe(&customer, &price, ""));
        let how = "type=subscription&bill_for[unused_time_from][type]=none";
        client.post(&format!("/v1/subscriptions/{made}/pause"), how);
        let method =
            id(&client.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}")));
        client.post(
            &format!("/v1/customers/{customer}"),
            &format!("invoice_settings[default_payment_method]={method}"),
        );
        (customer, format!("/v1/subscriptions/{made}/resume"))
    };
    let (kept, free, whole) = (paused("pm_card_visa"), paused("pm_card_visa"), paused("pm_card_visa"));
    let (tried, waits) = (paused("pm_card_chargeCustomerFail"), paused("pm_card_chargeCustomerFail"));
    // Sixteen days after the end of the first period: twelve of the 28 of the second one are left.
    client.sandbox.advance_time(MONTH + 16 * DAY);
    let net = |customer: &str| client.sandbox.ledger().customer(customer).unwrap().net("usd");
    client.post(&kept.1, "billing_cycle_anchor[type]=unchanged");
    assert_eq!(net(&kept.0), 3_100 + 1_329);
    let resumed = client.post(&free.1, "billing_cycle_anchor[type]=unchanged&proration_behavior=none");
    assert_eq!((text(&resumed, "/status"), net(&free.0)), ("active", 3_100));
    let dated = format!("billing_cycle_anchor[type]=unchanged&proration_date={}", START + MONTH);
    client.refused(400, "POST", &whole.1, &format!("proration_date={}", START + MONTH));
    client.refused(400, "POST", &whole.1, &format!("{dated}0"));
    client.post(&whole.1, &dated);
    assert_eq!(net(&whole.0), 6_200);
    let resumed = client.post(&tried.1, "payment_behavior=resume_on_payment_attempt");
    assert_eq!(text(&resumed, "/status"), "past_due");
    let resumed = client.post(&waits.1, "payment_behavior=resume_on_payment_success");
    assert_eq!(text(&resumed, "/status"), "paused");
    assert_eq!(
        client.get("/v1/events", "type=customer.subscription.resumed")["data"].as_array().unwrap().len(),
        4
    );
    assert_eq!(json!(net(&waits.0)), 3_100);
}

#[test]
fn a_pause_credits_what_is_not_used_as_it_is_told() {
    let client = client();
    let price = client.price(3_100, "usd", "month");
    // Ten of 31 days are used.
    let made: Vec<(String, String)> = (0..5)
        .map(|_| {
            let customer = client.customer("pm_card_visa");
            let subscription = id(&client.subscribe(&customer, &price, ""));
            (customer, format!("/v1/subscriptions/{subscription}"))
        })
        .collect();
    client.sandbox.advance_time(10 * DAY);
    let waits = |customer: &str| -> i64 {
        let items = client.get("/v1/invoiceitems", &format!("customer={customer}&pending=true"));
        items["data"].as_array().unwrap().iter().map(|item| item["amount"].as_i64().unwrap()).sum()
    };
    let net = |customer: &str| client.sandbox.ledger().customer(customer).unwrap().net("usd");
    let [credited, whole, kept, invoiced, same] = &made[..] else { panic!("five") };
    client.post(&format!("{}/pause", credited.1), "");
    assert_eq!(waits(&credited.0), -2_100);
    client.post(&format!("{}/pause", whole.1), "bill_for[unused_time_from][type]=item_current_period_start");
    assert_eq!(waits(&whole.0), -3_100);
    client.post(&format!("{}/pause", kept.1), "bill_for[unused_time_from][type]=none");
    assert_eq!(waits(&kept.0), 0);
    client.post(&format!("{}/pause", invoiced.1), "invoicing_behavior=invoice");
    let balance = client.get(&format!("/v1/customers/{}", invoiced.0), "")["balance"].clone();
    assert_eq!((waits(&invoiced.0), balance), (0, json!(-2_100)));
    client.post(&format!("{}/pause", same.1), "");
    client.refused(400, "POST", &format!("{}/pause", same.1), "");
    assert_eq!(waits(&same.0), -2_100, "a refused pause credits nothing");
    // A new period costs what the credit leaves of it.
    client.post(&format!("{}/resume", credited.1), "");
    assert_eq!(net(&credited.0), 3_100 + 1_000);
    client.post(&format!("{}/resume", kept.1), "");
    assert_eq!(net(&kept.0), 6_200);
    // The period that still runs is billed again as far as it was credited: what was paused costs nothing.
    client.sandbox.advance_time(10 * DAY);
    let resumed = client.post(&format!("{}/resume", same.1), "billing_cycle_anchor[type]=unchanged");
    assert_eq!((text(&resumed, "/status"), waits(&same.0)), ("active", 0));
    let balance = client.get(&format!("/v1/customers/{}", same.0), "")["balance"].clone();
    assert_eq!((net(&same.0), balance), (3_100, json!(-1_000)));
}

/// What would be ignored would give wrong money in silence.
#[test]
fn a_text_is_no_object_and_no_array() {
    let client = client();
    let (customer, price) = (client.customer("pm_card_visa"), client.price(1_000, "usd", "month"));
    let made = client.subscribe(&customer, &price, "");
    let path = format!("/v1/subscriptions/{}", id(&made));
    let changes = [
        "pause_collection=void",
        "items=x",
        "trial_settings=pause",
        "billing_cycle_anchor=now",
        "items[0]=x",
    ];
    for form in changes.iter().chain(&["discounts=x", "discounts[0]=x", "metadata=x"]) {
        let refused = client.refused(400, "POST", &path, form);
        let name = form.split('=').next().unwrap();
        assert_eq!(text(&refused, "/param"), name, "{form}");
    }
    client.refused(400, "POST", &format!("/v1/customers/{customer}"), "address=x");
    assert_eq!(client.post(&path, "pause_collection=&metadata=")["status"], "active", "empty is unset");
}

#[test]
fn an_invoice_that_is_given_up_ends_being_past_due_and_pays_for_nothing() {
    let client = client();
    for (end, word) in [("void", "void"), ("mark_uncollectible", "uncollectible")] {
        let customer = client.customer("pm_card_visa");
        let price = client.price(1_000, "usd", "month");
        let made = id(&client.subscribe(&customer, &price, ""));
        let card = client
            .post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={customer}"));
        client.post(
            &format!("/v1/customers/{customer}"),
            &format!("invoice_settings[default_payment_method]={}", id(&card)),
        );
        client.sandbox.advance_time(MONTH + DAY);
        let found = client.subscription(&made);
        assert_eq!(text(&found, "/status"), "past_due");
        let given_up = client.post(&format!("/v1/invoices/{}/{end}", text(&found, "/latest_invoice")), "");
        assert_eq!(text(&given_up, "/status"), word);
        assert_eq!(text(&client.subscription(&made), "/status"), "active", "{end}");
        // Only what is marked by a call is forgiven: voiding is not among what clears the flag.
        let delinquent = client.get(&format!("/v1/customers/{customer}"), "")["delinquent"].clone();
        assert_eq!(delinquent, end == "void", "{end}");
        // A first invoice is paid, or it is not.
        let first = client.post(
            "/v1/subscriptions",
            &format!("customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete"),
        );
        client.post(&format!("/v1/invoices/{}/{end}", text(&first, "/latest_invoice")), "");
        assert_eq!(text(&client.subscription(&id(&first)), "/status"), "incomplete", "{end}");
    }
}

#[test]
fn a_payment_is_at_least_and_in_steps_of_what_its_currency_asks() {
    let client = client();
    for (form, code) in [
        ("amount=29&currency=gbp", "amount_too_small"),
        ("amount=1050&currency=huf", "amount_too_small"),
        ("amount=1234&currency=kwd", "parameter_invalid_integer"),
        ("amount=1050&currency=isk", "parameter_invalid_integer"),
    ] {
        let refused = client.refused(400, "POST", "/v1/payment_intents", form);
        assert_eq!(text(&refused, "/code"), code, "{form}");
    }
    client.post("/v1/payment_intents", "amount=30&currency=gbp");
}
