//! Consent, names, the seller's own words, items to add, and the invoice of a payment in checkout.

use serde_json::{Value, json};

use crate::client::{Client, client, id, number, text};

const CARD: &str = "email=ada@example.com&number=4242424242424242&expiry=12/40&cvc=123&name=Ada";
const URLS: &str = "success_url=https://app.test/done";

fn once(client: &Client, amount: i64, name: &str) -> String {
    id(&client.post("/v1/prices", &format!("unit_amount={amount}&currency=usd&product_data[name]={name}")))
}

fn open(client: &Client, price: &str, form: &str) -> String {
    let form = format!("mode=payment&line_items[0][price]={price}&line_items[0][quantity]=1&{URLS}&{form}");
    id(&client.post("/v1/checkout/sessions", &form))
}

fn read(client: &Client, session: &str) -> Value {
    client.get(&format!("/v1/checkout/sessions/{session}"), "")
}

fn page(client: &Client, session: &str) -> String {
    String::from_utf8(client.send("GET", &format!("/c/pay/{session}"), "").body).unwrap()
}

fn submit(client: &Client, session: &str, form: &str) -> u16 {
    client.send("POST", &format!("/c/pay/{session}"), form).status
}

#[test]
fn terms_must_be_accepted_and_news_may_be() {
    let client = client();
    let box_ = once(&client, 5_000, "Box");
    let asked = "consent_collection[terms_of_service]=required&consent_collection[promotions]=auto&consent_collection[payment_method_reuse_agreement][position]=hidden&custom_text[terms_of_service_acceptance][message]=Our%20terms&custom_text[submit][message]=Sent%20soon&custom_text[after_submit][message]=Thank%20you&custom_text[shipping_address][message]=Weekdays&shipping_address_collection[allowed_countries][0]=US";
    let address = "ship_name=Ada&ship_line1=1%20Street&ship_city=X&ship_postal=1&ship_country=US";
    for (answer, given) in [("terms=on", "opt_out"), ("terms=on&promotions=on", "opt_in")] {
        let session = open(&client, &box_, asked);
        let shown = page(&client, &session);
        for words in
            ["Our terms", "Sent soon", "Thank you", "Weekdays", "name=\"terms\"", "name=\"promotions\""]
        {
            assert!(shown.contains(words), "{words}");
        }
        let made = read(&client, &session);
        assert_eq!(made["consent"], json!({ "promotions": null, "terms_of_service": null }));
        assert_eq!(text(&made, "/consent_collection/payment_method_reuse_agreement/position"), "hidden");
        assert_eq!(text(&made, "/custom_text/submit/message"), "Sent soon");
        assert_eq!(submit(&client, &session, &format!("{CARD}&{address}")), 422, "not accepted");
        assert_eq!(text(&read(&client, &session), "/status"), "open");
        assert_eq!(submit(&client, &session, &format!("{CARD}&{address}&{answer}")), 303);
        let done = read(&client, &session);
        assert_eq!(done["consent"], json!({ "promotions": given, "terms_of_service": "accepted" }));
    }
    let plain = read(&client, &open(&client, &box_, ""));
    assert!(plain["consent"].is_null() && plain["consent_collection"].is_null());
    let base = format!("mode=payment&line_items[0][price]={box_}&line_items[0][quantity]=1&{URLS}");
    let long = format!("custom_text[submit][message]={}", "x".repeat(1201));
    for wrong in [
        "consent_collection[terms_of_service]=maybe",
        "consent_collection[cookies]=auto",
        "consent_collection[payment_method_reuse_agreement][colour]=red",
        "custom_text[footer][message]=x",
        "custom_text[submit][text]=x",
        &long,
    ] {
        client.refused(400, "POST", "/v1/checkout/sessions", &format!("{base}&{wrong}"));
    }
}

#[test]
fn names_are_asked_for_and_kept_with_the_customer() {
    let client = client();
    let box_ = once(&client, 5_000, "Box");
    let asked = "customer_creation=always&name_collection[business][enabled]=true&name_collection[business][optional]=true&name_collection[individual][enabled]=true";
    let session = open(&client, &box_, asked);
    assert!(page(&client, &session).contains("name=\"business_name\""));
    assert_eq!(submit(&client, &session, CARD), 422, "the name is not optional");
    assert_eq!(
        submit(&client, &session, &format!("{CARD}&individual_name=Ada%20L&business_name=Engines")),
        303
    );
    let done = read(&client, &session);
    assert_eq!(done["name_collection"]["business"], json!({ "enabled": true, "optional": true }));
    let customer = client.get(&format!("/v1/customers/{}", text(&done, "/customer")), "");
    for place in [&done["collected_information"], &done["customer_details"], &customer] {
        assert_eq!((text(place, "/business_name"), text(place, "/individual_name")), ("Engines", "Ada L"));
    }
    // The names are the customer's own, by any call.
    let path = format!("/v1/customers/{}", id(&customer));
    assert!(client.post(&path, "business_name=").get("business_name").is_none());
    assert_eq!(text(&client.post(&path, "business_name=Looms"), "/business_name"), "Looms");
    client.refused(400, "POST", &path, &format!("individual_name={}", "x".repeat(151)));
    let optional = open(
        &client,
        &box_,
        "name_collection[business][enabled]=true&name_collection[business][optional]=true",
    );
    assert_eq!(submit(&client, &optional, CARD), 303);
    assert!(read(&client, &optional)["collected_information"]["business_name"].is_null());
}

#[test]
fn what_a_buyer_adds_is_paid_and_listed() {
    let client = client();
    let (box_, wrap) = (once(&client, 5_000, "Box"), once(&client, 300, "Wrap"));
    let offer = format!(
        "optional_items[0][price]={wrap}&optional_items[0][quantity]=1&optional_items[0][adjustable_quantity][enabled]=true&optional_items[0][adjustable_quantity][maximum]=3"
    );
    let session = open(&client, &box_, &offer);
    let made = read(&client, &session);
    let shown = json!([{ "price": wrap, "quantity": 1, "adjustable_quantity": { "enabled": true, "minimum": 0, "maximum": 3 } }]);
    assert_eq!((&made["optional_items"], number(&made, "/amount_total")), (&shown, 5_000));
    assert!(page(&client, &session).contains("Add Wrap"));
    for wrong in
        ["place=0&quantity=4", "place=1&quantity=1", "place=x&quantity=1", "place=0&quantity=-1", "place=0"]
    {
        assert_eq!(submit(&client, &session, &format!("step=optional&{wrong}")), 422, "{wrong}");
    }
    for (quantity, total) in [(2, 5_600), (0, 5_000), (3, 5_900)] {
        assert_eq!(submit(&client, &session, &format!("step=optional&place=0&quantity={quantity}")), 303);
        assert_eq!(number(&read(&client, &session), "/amount_total"), total);
    }
    assert_eq!(submit(&client, &session, CARD), 303);
    assert_eq!(number(&client.get("/v1/charges", ""), "/data/0/amount"), 5_900);
    let lines = client.get(&format!("/v1/checkout/sessions/{session}/line_items"), "");
    assert_eq!(number(&lines, "/data/1/quantity"), 3);
    let monthly = client.price(900, "usd", "month");
    let base = format!("mode=payment&line_items[0][price]={box_}&line_items[0][quantity]=1&{URLS}");
    for wrong in [
        format!("optional_items[0][price]={monthly}&optional_items[0][quantity]=1"),
        format!("optional_items[0][price]={wrap}"),
        format!("optional_items[0][price]={wrap}&optional_items[0][quantity]=1&optional_items[0][name]=x"),
    ] {
        client.refused(400, "POST", "/v1/checkout/sessions", &format!("{base}&{wrong}"));
    }
}

#[test]
fn a_subscription_takes_what_a_buyer_adds() {
    let client = client();
    let (base, seat) = (client.price(1_000, "usd", "month"), client.price(200, "usd", "month"));
    let form = format!(
        "mode=subscription&line_items[0][price]={base}&line_items[0][quantity]=1&optional_items[0][price]={seat}&optional_items[0][quantity]=1&{URLS}"
    );
    let session = id(&client.post("/v1/checkout/sessions", &form));
    assert_eq!(submit(&client, &session, "step=optional&place=0&quantity=1"), 303);
    assert_eq!(submit(&client, &session, CARD), 303);
    let subscription = client.subscription(text(&read(&client, &session), "/subscription"));
    assert_eq!(subscription["items"]["data"].as_array().unwrap().len(), 2);
    let yearly = client.price(200, "usd", "year");
    let wrong = form.replace(&seat, &yearly);
    client.refused(400, "POST", "/v1/checkout/sessions", &wrong);
}

#[test]
fn a_payment_gets_an_invoice_that_says_what_was_paid() {
    let client = client();
    let box_ = once(&client, 5_000, "Box");
    let rate = id(&client.post("/v1/tax_rates", "display_name=T&percentage=10&inclusive=false"));
    let coupon = id(&client.post("/v1/coupons", "percent_off=20"));
    let ship = "shipping_options[0][shipping_rate_data][display_name]=Post&shipping_options[0][shipping_rate_data][type]=fixed_amount&shipping_options[0][shipping_rate_data][fixed_amount][amount]=700&shipping_options[0][shipping_rate_data][fixed_amount][currency]=usd";
    let asked = format!(
        "invoice_creation[enabled]=true&invoice_creation[invoice_data][description]=Thanks&invoice_creation[invoice_data][metadata][order]=7&line_items[0][tax_rates][0]={rate}&discounts[0][coupon]={coupon}&{ship}"
    );
    let session = open(&client, &box_, &asked);
    assert_eq!(submit(&client, &session, CARD), 303);
    let done = read(&client, &session);
    assert_eq!(done["invoice_creation"]["enabled"], true);
    assert_eq!(number(&done, "/amount_total"), 4_000 + 400 + 700);
    let path = format!("/v1/invoices/{}", text(&done, "/invoice"));
    let invoice = client.get(&path, "expand[]=payments.data.payment.payment_intent");
    assert_eq!((text(&invoice, "/status"), text(&invoice, "/description")), ("paid", "Thanks"));
    assert_eq!((number(&invoice, "/total"), number(&invoice, "/amount_paid")), (5_100, 5_100));
    assert_eq!(text(&invoice, "/metadata/order"), "7");
    assert_eq!(text(&invoice, "/customer"), text(&done, "/customer"), "an invoice is somebody's");
    let intent = "/payments/data/0/payment/payment_intent/id";
    assert_eq!(text(&invoice, intent), text(&done, "/payment_intent"));
    // A balance is not touched: the card has paid all of it.
    let customer = client.customer("pm_card_visa");
    client.post(&format!("/v1/customers/{customer}"), "balance=-900");
    let session = open(&client, &box_, &format!("customer={customer}&invoice_creation[enabled]=true"));
    assert_eq!(submit(&client, &session, CARD), 303);
    let invoice = client.get(&format!("/v1/invoices/{}", text(&read(&client, &session), "/invoice")), "");
    assert_eq!((number(&invoice, "/amount_paid"), number(&invoice, "/total")), (5_000, 5_000));
    assert_eq!(number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance"), -900);
    let plain = read(&client, &open(&client, &box_, ""));
    assert_eq!(plain["invoice_creation"]["enabled"], false);
    let monthly = client.price(900, "usd", "month");
    let form = format!("mode=subscription&line_items[0][price]={monthly}&line_items[0][quantity]=1&{URLS}");
    for wrong in
        ["invoice_creation[enabled]=true", "customer_creation=always", "customer_creation=if_required"]
    {
        let error = client.refused(400, "POST", "/v1/checkout/sessions", &format!("{form}&{wrong}"));
        assert!(wrong.starts_with(text(&error, "/param")), "{wrong}");
    }
}

#[test]
fn a_delayed_payment_pays_its_invoice_when_the_bank_answers() {
    let client = client();
    let box_ = once(&client, 5_000, "Box");
    let session = open(
        &client,
        &box_,
        "invoice_creation[enabled]=true&allowed_payment_method_types[0]=us_bank_account",
    );
    client.sandbox.complete_checkout(&session, "pm_usBankAccount_success").unwrap();
    let invoice = || client.get(&format!("/v1/invoices/{}", text(&read(&client, &session), "/invoice")), "");
    assert_eq!(text(&invoice(), "/status"), "open");
    client.sandbox.advance_time(5 * 86_400);
    assert_eq!((text(&invoice(), "/status"), number(&invoice(), "/amount_paid")), ("paid", 5_000));
}

#[test]
fn a_quantity_can_be_changed_where_the_seller_lets_it() {
    let client = client();
    let box_ = once(&client, 5_000, "Box");
    let asked = "line_items[0][adjustable_quantity][enabled]=true&line_items[0][adjustable_quantity][maximum]=4&line_items[0][metadata][shelf]=3";
    let session = open(&client, &box_, asked);
    let items = || client.get(&format!("/v1/checkout/sessions/{session}/line_items"), "")["data"][0].clone();
    let line = items();
    let range = json!({ "enabled": true, "maximum": 4, "minimum": 0 });
    assert_eq!((&line["adjustable_quantity"], text(&line, "/metadata/shelf")), (&range, "3"));
    assert!(page(&client, &session).contains("Quantity of Box"));
    for wrong in ["5", "0", "-1", "x", ""] {
        let form = format!("step=quantity&line={}&quantity={wrong}", id(&line));
        assert_eq!(submit(&client, &session, &form), 422, "{wrong}");
    }
    assert_eq!(submit(&client, &session, &format!("step=quantity&line={}&quantity=3", id(&line))), 303);
    assert_eq!((number(&items(), "/quantity"), number(&items(), "/amount_total")), (3, 15_000));
    assert_eq!(submit(&client, &session, CARD), 303);
    assert_eq!(number(&client.get("/v1/charges", ""), "/data/0/amount"), 15_000);
    let fixed = open(&client, &box_, "");
    let line = id(&client.get(&format!("/v1/checkout/sessions/{fixed}/line_items"), "")["data"][0]);
    assert_eq!(submit(&client, &fixed, &format!("step=quantity&line={line}&quantity=2")), 422);
}
