//! What a checkout session asks beside the payment, how it can be shown, and what comes after it has expired.

use serde_json::{Value, json};

use crate::client::{Client, DAY, client, id, number, text};

const BOX: &str = "mode=payment&line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=5000&line_items[0][price_data][product_data][name]=Box&line_items[0][quantity]=1";
const HOSTED: &str = "success_url=https://app.test/done&cancel_url=https://app.test/shop";

fn session(client: &Client, form: &str) -> Value {
    client.post("/v1/checkout/sessions", form)
}

fn read(client: &Client, session: &str) -> Value {
    client.get(&format!("/v1/checkout/sessions/{session}"), "")
}

fn page(client: &Client, session: &str) -> String {
    String::from_utf8(client.send("GET", &format!("/c/pay/{session}"), "").body).unwrap()
}

const CARD: &str = "email=ada@example.com&number=4242424242424242&expiry=12/40&cvc=123&name=Ada";

#[test]
fn fields_of_the_sellers_own_are_asked_and_kept() {
    let client = client();
    let fields = "custom_fields[0][key]=size&custom_fields[0][label][type]=custom&custom_fields[0][label][custom]=Size&custom_fields[0][type]=dropdown&custom_fields[0][dropdown][options][0][label]=Small&custom_fields[0][dropdown][options][0][value]=s&custom_fields[1][key]=code&custom_fields[1][label][type]=custom&custom_fields[1][label][custom]=Code&custom_fields[1][type]=numeric&custom_fields[1][numeric][minimum_length]=3&custom_fields[2][key]=note&custom_fields[2][label][type]=custom&custom_fields[2][label][custom]=Note&custom_fields[2][type]=text&custom_fields[2][optional]=true";
    let open = session(&client, &format!("{BOX}&{HOSTED}&{fields}&phone_number_collection[enabled]=true"));
    let session = id(&open);
    assert_eq!(
        (
            text(&open, "/custom_fields/0/dropdown/options/0/value"),
            &open["phone_number_collection"]["enabled"]
        ),
        ("s", &json!(true))
    );
    let shown = page(&client, &session);
    for name in ["field_size", "field_code", "field_note", "phone"] {
        assert!(shown.contains(&format!("name=\"{name}\"")), "{name}");
    }
    let path = format!("/c/pay/{session}");
    for wrong in [
        "",
        "&phone=1&field_size=xl&field_code=123",
        "&phone=1&field_size=s&field_code=12",
        "&phone=1&field_size=s&field_code=abc",
        "&field_size=s&field_code=123",
    ] {
        assert_eq!(client.send("POST", &path, &format!("{CARD}{wrong}")).status, 422, "{wrong}");
    }
    assert_eq!(
        (
            text(&read(&client, &session), "/status"),
            client.get("/v1/charges", "")["data"].as_array().unwrap().len()
        ),
        ("open", 0)
    );
    assert_eq!(
        client
            .send("POST", &path, &format!("{CARD}&phone=%2B81312345678&field_size=s&field_code=1234"))
            .status,
        303
    );
    let complete = read(&client, &session);
    assert_eq!(
        (
            text(&complete, "/custom_fields/0/dropdown/value"),
            text(&complete, "/custom_fields/1/numeric/value")
        ),
        ("s", "1234")
    );
    assert!(complete["custom_fields"][2]["text"]["value"].is_null());
    assert_eq!(text(&complete, "/customer_details/phone"), "+81312345678");
    client.refused(400, "POST", "/v1/checkout/sessions", &format!("{BOX}&{HOSTED}&custom_fields[0][key]=a&custom_fields[0][label][type]=custom&custom_fields[0][label][custom]=A&custom_fields[0][type]=dropdown"));
}

#[test]
fn goods_are_sent_at_the_chosen_price() {
    let client = client();
    let rate = |place: usize, name: &str, amount: i64| {
        let at = format!("shipping_options[{place}][shipping_rate_data]");
        format!(
            "&{at}[type]=fixed_amount&{at}[display_name]={name}&{at}[fixed_amount][amount]={amount}&{at}[fixed_amount][currency]=usd&{at}[delivery_estimate][minimum][unit]=day&{at}[delivery_estimate][minimum][value]=2"
        )
    };
    let options = format!(
        "{}{}&shipping_address_collection[allowed_countries][0]=JP&shipping_address_collection[allowed_countries][1]=DE",
        rate(0, "Post", 500),
        rate(1, "Courier", 1500)
    );
    let open = session(
        &client,
        &format!("{BOX}&{HOSTED}{options}&customer_creation=always&expand[]=shipping_cost.shipping_rate"),
    );
    let session = id(&open);
    assert_eq!(
        (
            number(&open, "/amount_subtotal"),
            number(&open, "/amount_total"),
            number(&open, "/total_details/amount_shipping")
        ),
        (5000, 5500, 500)
    );
    assert_eq!(text(&open, "/shipping_cost/shipping_rate/display_name"), "Post");
    let courier = text(&open, "/shipping_options/1/shipping_rate").to_owned();
    let path = format!("/c/pay/{session}");
    let address = "ship_name=Ada&ship_line1=1-2-3&ship_city=Tokyo&ship_postal=1000001";
    assert_eq!(
        client
            .send("POST", &path, &format!("{CARD}&{address}&ship_country=US&shipping_rate={courier}"))
            .status,
        422
    );
    assert_eq!(
        client
            .send("POST", &path, &format!("{CARD}&{address}&ship_country=JP&shipping_rate=shr_other"))
            .status,
        422
    );
    assert_eq!(number(&read(&client, &session), "/amount_total"), 5500, "what is refused changes nothing");
    assert_eq!(
        client
            .send("POST", &path, &format!("{CARD}&{address}&ship_country=JP&shipping_rate={courier}"))
            .status,
        303
    );
    let complete = read(&client, &session);
    assert_eq!(
        (number(&complete, "/amount_total"), text(&complete, "/shipping_cost/shipping_rate")),
        (6500, courier.as_str())
    );
    assert_eq!(text(&complete, "/collected_information/shipping_details/address/city"), "Tokyo");
    let intent = client.get(&format!("/v1/payment_intents/{}", text(&complete, "/payment_intent")), "");
    assert_eq!((number(&intent, "/amount_received"), text(&intent, "/shipping/name")), (6500, "Ada"));
    let customer = client.get(&format!("/v1/customers/{}", text(&complete, "/customer")), "");
    assert_eq!(text(&customer, "/shipping/address/country"), "JP");
    client.refused(
        404,
        "POST",
        "/v1/checkout/sessions",
        &format!("{BOX}&{HOSTED}&shipping_options[0][shipping_rate]=shr_1"),
    );
    let price = client.price(1000, "usd", "month");
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!(
            "mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1&{HOSTED}{}",
            rate(0, "Post", 500)
        ),
    );
}

/// A control call plays a buyer who fills in whatever is asked.
#[test]
fn a_control_call_answers_what_is_asked() {
    let client = client();
    let open = session(
        &client,
        &format!(
            "{BOX}&{HOSTED}&phone_number_collection[enabled]=true&shipping_address_collection[allowed_countries][0]=JP&custom_fields[0][key]=pin&custom_fields[0][label][type]=custom&custom_fields[0][label][custom]=Pin&custom_fields[0][type]=numeric&custom_fields[0][numeric][minimum_length]=4"
        ),
    );
    client.sandbox.complete_checkout(&id(&open), "pm_card_visa").unwrap();
    let complete = read(&client, &id(&open));
    assert_eq!(
        (
            text(&complete, "/custom_fields/0/numeric/value"),
            text(&complete, "/collected_information/shipping_details/address/country")
        ),
        ("1111", "JP")
    );
}

#[test]
fn an_expired_session_can_be_recovered() {
    let client = client();
    let first = session(
        &client,
        &format!(
            "{BOX}&{HOSTED}&after_expiration[recovery][enabled]=true&after_expiration[recovery][allow_promotion_codes]=true&metadata[a]=1"
        ),
    );
    assert!(first["after_expiration"]["recovery"]["url"].is_null());
    client.sandbox.advance_time(DAY);
    let expired = read(&client, &id(&first));
    assert_eq!(text(&expired, "/status"), "expired");
    assert_eq!(number(&expired, "/after_expiration/recovery/expires_at"), client.sandbox.now() + 30 * DAY);
    let event = &client.events("type=checkout.session.expired")[0]["data"]["object"];
    let link =
        text(event, "/after_expiration/recovery/url").trim_start_matches("http://sandbox.test").to_owned();
    let leads = |client: &Client| {
        let answer = client.send("GET", &link, "");
        let location =
            answer.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.clone());
        (answer.status, location.unwrap_or_default())
    };
    let (status, path) = leads(&client);
    assert_eq!(status, 303);
    assert_eq!(leads(&client).1, path, "the link leads to the same copy again");
    let copy = path.trim_start_matches("/c/pay/").to_owned();
    client.sandbox.complete_checkout(&copy, "pm_card_visa").unwrap();
    let complete = read(&client, &copy);
    assert_eq!(
        (
            text(&complete, "/recovered_from"),
            text(&complete, "/metadata/a"),
            text(&complete, "/payment_status")
        ),
        (id(&first).as_str(), "1", "paid")
    );
    client.sandbox.advance_time(31 * DAY);
    assert_eq!(leads(&client).0, 404);
    let plain = id(&session(&client, &format!("{BOX}&{HOSTED}")));
    client.post(&format!("/v1/checkout/sessions/{plain}/expire"), "");
    assert!(read(&client, &plain)["after_expiration"].is_null());
}

#[test]
fn a_trial_needs_no_card_where_none_is_asked() {
    let client = client();
    let price = client.price(1000, "usd", "month");
    let trial = format!(
        "mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1&{HOSTED}&subscription_data[trial_period_days]=7"
    );
    let always = id(&session(&client, &trial));
    assert!(client.sandbox.complete_checkout(&always, "").is_err());
    let open = id(&session(
        &client,
        &format!(
            "{trial}&payment_method_collection=if_required&subscription_data[trial_settings][end_behavior][missing_payment_method]=cancel"
        ),
    ));
    assert!(!page(&client, &open).contains("name=\"number\""));
    assert_eq!(client.send("POST", &format!("/c/pay/{open}"), "email=ada@example.com").status, 303);
    let complete = read(&client, &open);
    assert_eq!(
        (text(&complete, "/status"), text(&complete, "/payment_status")),
        ("complete", "no_payment_required")
    );
    let subscription = client.subscription(text(&complete, "/subscription"));
    assert_eq!(text(&subscription, "/status"), "trialing");
    assert!(subscription["default_payment_method"].is_null());
    client.sandbox.advance_time(7 * DAY);
    assert_eq!(text(&client.subscription(&id(&subscription)), "/status"), "canceled");
    let due = id(&session(
        &client,
        &format!(
            "mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1&{HOSTED}&payment_method_collection=if_required"
        ),
    ));
    assert!(client.sandbox.complete_checkout(&due, "").is_err(), "what is due needs a card");
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("{BOX}&{HOSTED}&payment_method_collection=if_required"),
    );
}

#[test]
fn a_card_is_saved_without_a_payment() {
    let client = client();
    let open = session(
        &client,
        &format!(
            "mode=setup&currency=usd&customer_creation=always&{HOSTED}&setup_intent_data[description]=Later&setup_intent_data[metadata][k]=v"
        ),
    );
    assert_eq!(
        (text(&open, "/payment_status"), &open["amount_total"]),
        ("no_payment_required", &Value::Null)
    );
    client.sandbox.complete_checkout(&id(&open), "pm_card_visa").unwrap();
    let complete = read(&client, &id(&open));
    let setup = client.get(&format!("/v1/setup_intents/{}", text(&complete, "/setup_intent")), "");
    assert_eq!(
        (text(&setup, "/status"), text(&setup, "/description"), text(&setup, "/metadata/k")),
        ("succeeded", "Later", "v")
    );
    assert_eq!(text(&setup, "/customer"), text(&complete, "/customer"));
    assert_eq!(
        client.get(&format!("/v1/customers/{}/payment_methods", text(&complete, "/customer")), "")["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("{BOX}&{HOSTED}&setup_intent_data[description]=x"),
    );
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("mode=setup&currency=usd&{HOSTED}&submit_type=pay"),
    );
}

#[test]
fn embedded_sessions_have_a_secret_and_a_way_back() {
    let client = client();
    for ui_mode in ["embedded_page", "elements", "form"] {
        let open = session(
            &client,
            &format!("{BOX}&ui_mode={ui_mode}&return_url=https://app.test/back?s={{CHECKOUT_SESSION_ID}}"),
        );
        assert!(open["url"].is_null());
        assert!(text(&open, "/client_secret").starts_with(&format!("{}_secret_", id(&open))));
        assert_eq!(text(&open, "/redirect_on_completion"), "always");
        let posted = client.send("POST", &format!("/c/pay/{}", id(&open)), CARD);
        let back = posted.headers.iter().find(|(name, _)| name == "location").unwrap().1.clone();
        assert_eq!(back, format!("https://app.test/back?s={}", id(&open)));
        assert!(read(&client, &id(&open))["client_secret"].is_null());
    }
    let stays = id(&session(&client, &format!("{BOX}&ui_mode=embedded_page&redirect_on_completion=never")));
    assert_eq!(client.send("POST", &format!("/c/pay/{stays}"), CARD).status, 303);
    assert!(page(&client, &stays).contains("$50.00"));
    client.refused(400, "POST", "/v1/checkout/sessions", &format!("{BOX}&ui_mode=embedded_page"));
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("{BOX}&ui_mode=embedded_page&redirect_on_completion=never&return_url=https://app.test/"),
    );
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("{BOX}&{HOSTED}&redirect_on_completion=never"),
    );
    client.refused(400, "POST", "/v1/checkout/sessions", &format!("{BOX}&{HOSTED}&ui_mode=embedded"));
}

#[test]
fn the_button_and_the_ways_to_pay_are_the_sellers_choice() {
    let client = client();
    for (submit_type, words) in
        [("donate", "Donate $50.00"), ("book", "Book for $50.00"), ("pay", "Pay $50.00")]
    {
        let open = id(&session(&client, &format!("{BOX}&{HOSTED}&submit_type={submit_type}")));
        assert!(page(&client, &open).contains(words), "{submit_type}");
    }
    client.refused(400, "POST", "/v1/checkout/sessions", &format!("{BOX}&{HOSTED}&submit_type=subscribe"));
    let cards = session(&client, &format!("{BOX}&{HOSTED}&excluded_payment_method_types[0]=us_bank_account"));
    assert_eq!(cards["payment_method_types"], json!(["card"]));
    assert!(client.sandbox.complete_checkout(&id(&cards), "pm_usBankAccount_success").is_err());
    let debits = session(&client, &format!("{BOX}&{HOSTED}&allowed_payment_method_types[0]=us_bank_account"));
    assert_eq!(debits["payment_method_types"], json!(["us_bank_account"]));
    let shown = page(&client, &id(&debits));
    assert!(shown.contains("pm_usBankAccount_success") && !shown.contains("name=\"number\""));
    assert!(client.sandbox.complete_checkout(&id(&debits), "pm_card_visa").is_err());
    client.sandbox.complete_checkout(&id(&debits), "pm_usBankAccount_success").unwrap();
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("{BOX}&{HOSTED}&allowed_payment_method_types[0]=alipay"),
    );
    let older = session(&client, &format!("{BOX}&{HOSTED}&payment_method_types[0]=card"));
    assert_eq!(older["payment_method_types"], json!(["card"]));
}

#[test]
fn a_kept_shipping_rate_is_offered_until_it_is_archived() {
    let client = client();
    let form = "display_name=Ground&type=fixed_amount&fixed_amount[amount]=500&fixed_amount[currency]=USD&delivery_estimate[maximum][unit]=day&delivery_estimate[maximum][value]=3&metadata[a]=b";
    let rate = client.post("/v1/shipping_rates", form);
    let other = id(&client
        .post("/v1/shipping_rates", "display_name=Luft&fixed_amount[amount]=900&fixed_amount[currency]=eur"));
    let ground = id(&rate);
    assert_eq!((text(&rate, "/fixed_amount/currency"), &rate["active"]), ("usd", &json!(true)));
    let session = format!("{BOX}&{HOSTED}&shipping_options[0][shipping_rate]={ground}");
    let made = client.post("/v1/checkout/sessions", &session);
    assert_eq!(
        (text(&made, "/shipping_cost/shipping_rate"), number(&made, "/shipping_cost/amount_total")),
        (ground.as_str(), 500)
    );
    let wrong = format!("{BOX}&{HOSTED}&shipping_options[0][shipping_rate]={other}");
    client.refused(400, "POST", "/v1/checkout/sessions", &wrong);
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("{session}&shipping_options[0][shipping_rate_data][display_name]=x"),
    );
    let listed = client.get("/v1/shipping_rates", "currency=eur");
    assert_eq!((listed["data"].as_array().unwrap().len(), text(&listed, "/data/0/id")), (1, other.as_str()));
    let path = format!("/v1/shipping_rates/{ground}");
    assert_eq!(text(&client.post(&path, "active=false&metadata[c]=d"), "/metadata/c"), "d");
    client.refused(400, "POST", "/v1/checkout/sessions", &session);
    assert_eq!(text(&client.get("/v1/shipping_rates", "active=false"), "/data/0/id"), ground);
    assert_eq!(client.get(&path, "")["active"], false);
    client.refused(400, "POST", "/v1/shipping_rates", "display_name=x");
}
