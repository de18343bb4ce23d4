//! Portal configurations that hold, and sessions that lead to one task and onwards.

use serde_json::{Value, json};

use crate::client::{Client, DAY, START, client, id, number, text};

struct Scene {
    client: Client,
    customer: String,
    small: String,
    large: String,
    subscription: Value,
}

fn scene() -> Scene {
    let client = client();
    let (small, large) = (client.price(1000, "usd", "month"), client.price(3000, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let subscription = client.subscribe(&customer, &small, "");
    Scene { client, customer, small, large, subscription }
}

impl Scene {
    fn open(&self, form: &str) -> (Value, String) {
        let form = format!("customer={}&return_url=https://app.test/billing&{form}", self.customer);
        let session = self.client.post("/v1/billing_portal/sessions", &form);
        let path = text(&session, "/url").strip_prefix("http://sandbox.test").unwrap().to_owned();
        (session, path)
    }

    fn subscription(&self) -> Value {
        self.client.subscription(&id(&self.subscription))
    }

    fn item(&self) -> &str {
        text(&self.subscription, "/items/data/0/id")
    }

    fn submit(&self, path: &str, form: &str) -> (u16, String) {
        answer(&self.client, "POST", path, form)
    }

    fn show(&self, path: &str) -> String {
        let response = self.client.send("GET", path, "");
        assert_eq!(response.status, 200, "{path}");
        String::from_utf8(response.body).unwrap()
    }
}

fn answer(client: &Client, method: &str, path: &str, form: &str) -> (u16, String) {
    let response = client.send(method, path, form);
    let to = response.headers.iter().find(|(name, _)| name == "location").map(|(_, to)| to.clone());
    (response.status, to.unwrap_or_default())
}

const CARD: &str = "number=5555555555554444&expiry=12/40&cvc=123&name=Ada";

#[test]
fn a_session_leads_to_one_task_and_back_to_the_seller() {
    let scene = scene();
    let sub = id(&scene.subscription);
    let redirect = "flow_data[after_completion][type]=redirect&flow_data[after_completion][redirect][return_url]=https://app.test/done";
    let flow =
        |kind: &str| format!("flow_data[type]={kind}&flow_data[{kind}][subscription]={sub}&{redirect}");
    let back = (303, "https://app.test/done".to_owned());
    let (session, home) = scene.open(&format!("flow_data[type]=payment_method_update&{redirect}"));
    assert_eq!(text(&session, "/flow/after_completion/redirect/return_url"), "https://app.test/done");
    assert_eq!(answer(&scene.client, "GET", &home, "").1, format!("{home}/card"));
    assert!(scene.show(&format!("{home}/card")).contains("name=\"number\""));
    let wrong = scene.submit(&format!("{home}/card"), &CARD.replace("5555555555554444", "4000000000000002"));
    assert_eq!(wrong.0, 402, "a refused card stays on the page");
    assert_eq!(scene.submit(&format!("{home}/card"), CARD), back);
    let (_, home) = scene.open(&flow("subscription_update"));
    let change = format!("{home}/subscriptions/{sub}/change");
    assert_eq!(answer(&scene.client, "GET", &home, "").1, change);
    assert!(scene.show(&change).contains(&scene.large));
    assert_eq!(scene.submit(&change, &format!("price={}", scene.large)), back);
    assert_eq!(text(&scene.subscription(), "/items/data/0/price/id"), scene.large);
    let (_, home) = scene.open(&flow("subscription_cancel"));
    let cancel = format!("{home}/subscriptions/{sub}/cancel");
    assert_eq!(answer(&scene.client, "GET", &home, "").1, cancel);
    assert_eq!(scene.submit(&cancel, ""), back);
    assert_eq!(number(&scene.subscription(), "/cancel_at"), START + 31 * DAY);
    let other = scene.submit(&format!("{home}/subscriptions/{sub}/resume"), "");
    assert!(other.1.starts_with(&home), "only the task itself leads back to the seller");
}

#[test]
fn a_chosen_change_only_needs_to_be_confirmed() {
    let scene = scene();
    let sub = id(&scene.subscription);
    let kind = "subscription_update_confirm";
    let flow = format!(
        "flow_data[type]={kind}&flow_data[{kind}][subscription]={sub}&flow_data[{kind}][items][0][id]={}&flow_data[{kind}][items][0][price]={}&flow_data[{kind}][items][0][quantity]=2&flow_data[after_completion][type]=hosted_confirmation&flow_data[after_completion][hosted_confirmation][custom_message]=All%20yours",
        scene.item(),
        scene.large
    );
    let (session, home) = scene.open(&flow);
    assert_eq!(text(&session, "/flow/subscription_update_confirm/items/0/price"), scene.large);
    let confirm = format!("{home}/subscriptions/{sub}/confirm");
    assert_eq!(answer(&scene.client, "GET", &home, "").1, confirm);
    let page = scene.show(&confirm);
    assert!(page.contains("$10.00") && page.contains("$30.00"));
    assert_eq!(number(&scene.subscription(), "/items/data/0/quantity"), 1, "showing changes nothing");
    let failing = id(&scene.client.post(
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        &format!("customer={}", scene.customer),
    ));
    let good = text(
        &scene.client.get(&format!("/v1/customers/{}", scene.customer), ""),
        "/invoice_settings/default_payment_method",
    )
    .to_owned();
    let default = |method: &str| {
        scene.client.post(
            &format!("/v1/customers/{}", scene.customer),
            &format!("invoice_settings[default_payment_method]={method}"),
        )
    };
    default(&failing);
    assert_eq!(scene.submit(&confirm, "").0, 402);
    assert_eq!(
        number(&scene.subscription(), "/items/data/0/quantity"),
        1,
        "a refused payment changes nothing"
    );
    default(&good);
    assert_eq!(scene.submit(&confirm, ""), (303, format!("{home}/done")));
    assert!(scene.show(&format!("{home}/done")).contains("All yours"));
    let after = scene.subscription();
    assert_eq!(
        (number(&after, "/items/data/0/quantity"), text(&after, "/items/data/0/price/id")),
        (2, scene.large.as_str())
    );
    assert_eq!(scene.client.sandbox.ledger().customer(&scene.customer).unwrap().net("usd"), 1000 + 5000);
    let foreign = scene.client.customer("pm_card_visa");
    scene.client.refused(404, "POST", "/v1/billing_portal/sessions", &format!("customer={foreign}&{flow}"));
    scene.client.refused(
        400,
        "POST",
        "/v1/billing_portal/sessions",
        &format!("customer={}&flow_data[type]={kind}&flow_data[{kind}][subscription]={sub}", scene.customer),
    );
    let bad = flow.replace(&scene.large, &scene.client.price(9, "eur", "month"));
    scene.client.refused(
        400,
        "POST",
        "/v1/billing_portal/sessions",
        &format!("customer={}&{bad}", scene.customer),
    );
}

#[test]
fn a_configuration_says_what_the_portal_offers() {
    let scene = scene();
    let product = text(&scene.client.get(&format!("/v1/prices/{}", scene.small), ""), "/product").to_owned();
    let features = [
        "customer_update][enabled]=true",
        "customer_update][allowed_updates][0]=email",
        "customer_update][allowed_updates][1]=phone",
        "subscription_cancel][enabled]=true",
        "subscription_cancel][cancellation_reason][enabled]=true",
        "subscription_cancel][cancellation_reason][options][0]=too_expensive",
        "subscription_update][enabled]=true",
        "subscription_update][default_allowed_updates][0]=quantity",
        "subscription_update][proration_behavior]=always_invoice",
        "subscription_update][products][0][adjustable_quantity][enabled]=true",
        "subscription_update][products][0][adjustable_quantity][maximum]=5",
    ];
    let features: Vec<String> = features.iter().map(|feature| format!("features[{feature}")).collect();
    let form = format!(
        "{}&features[subscription_update][products][0][product]={product}&features[subscription_update][products][0][prices][0]={}",
        features.join("&"),
        scene.small
    );
    let configuration = scene.client.post("/v1/billing_portal/configurations", &form);
    assert_eq!(configuration["features"]["customer_update"]["allowed_updates"], json!(["email", "phone"]));
    assert_eq!(
        number(&configuration, "/features/subscription_update/products/0/adjustable_quantity/maximum"),
        5
    );
    assert_eq!(text(&configuration, "/features/subscription_update/trial_update_behavior"), "end_trial");
    let (_, home) = scene.open(&format!("configuration={}", id(&configuration)));
    let page = scene.show(&home);
    assert!(
        page.contains("name=\"phone\"")
            && page.contains("name=\"quantity\"")
            && !page.contains("name=\"price\"")
    );
    let sub = id(&scene.subscription);
    let change = format!("{home}/subscriptions/{sub}/change");
    assert_eq!(scene.submit(&change, "quantity=6").0, 400);
    assert_eq!(scene.submit(&change, &format!("price={}", scene.large)).0, 400, "plans are not offered");
    assert_eq!(scene.submit(&change, "quantity=3").0, 303);
    assert_eq!(number(&scene.subscription(), "/items/data/0/quantity"), 3);
    assert_eq!(scene.submit(&format!("{home}/customer"), "email=new@example.com&phone=123").0, 303);
    let customer = scene.client.get(&format!("/v1/customers/{}", scene.customer), "");
    assert_eq!((text(&customer, "/email"), text(&customer, "/phone")), ("new@example.com", "123"));
    assert_eq!(scene.submit(&format!("{home}/customer"), "name=Eve").0, 400);
    let cancel = format!("{home}/subscriptions/{sub}/cancel");
    assert!(scene.show(&cancel).contains("too_expensive"));
    scene.submit(&cancel, "feedback=too_expensive&comment=Too%20much");
    let canceled = scene.subscription();
    assert_eq!(
        (text(&canceled, "/cancellation_details/feedback"), text(&canceled, "/cancellation_details/comment")),
        ("too_expensive", "Too much")
    );
    let flow = "flow_data[type]=payment_method_update";
    scene.client.refused(
        400,
        "POST",
        "/v1/billing_portal/sessions",
        &format!("customer={}&configuration={}&{flow}", scene.customer, id(&configuration)),
    );
    for wrong in [
        "features[customer_update][allowed_updates][0]=colour",
        "features[subscription_cancel][cancellation_reason][enabled]=true&features[subscription_cancel][cancellation_reason][options][0]=bored",
    ] {
        scene.client.refused(400, "POST", "/v1/billing_portal/configurations", wrong);
    }
}

/// The published default: whoever changes plan in the portal ends their trial; the account's own configuration does not.
#[test]
fn a_change_ends_a_trial_where_the_configuration_says_so() {
    for (behavior, status) in [("end_trial", "active"), ("continue_trial", "trialing")] {
        let client = client();
        let (small, large) = (client.price(1000, "usd", "month"), client.price(3000, "usd", "month"));
        let customer = client.customer("pm_card_visa");
        let subscription = id(&client.subscribe(&customer, &small, "trial_period_days=7"));
        let configuration = id(&client.post("/v1/billing_portal/configurations", &format!("features[subscription_update][enabled]=true&features[subscription_update][default_allowed_updates][0]=price&features[subscription_update][trial_update_behavior]={behavior}")));
        let session = client.post(
            "/v1/billing_portal/sessions",
            &format!("customer={customer}&configuration={configuration}"),
        );
        let home = text(&session, "/url").strip_prefix("http://sandbox.test").unwrap().to_owned();
        assert_eq!(
            answer(
                &client,
                "POST",
                &format!("{home}/subscriptions/{subscription}/change"),
                &format!("price={large}")
            )
            .0,
            303
        );
        assert_eq!(text(&client.subscription(&subscription), "/status"), status, "{behavior}");
    }
}

const PAUSES: &str = "features[subscription_pause][enabled]=true";

#[test]
fn a_customer_pauses_for_a_while_and_the_plan_goes_on_by_itself() {
    let scene = scene();
    let two = format!(
        "{PAUSES}&features[subscription_pause][duration][type]=interval_options&features[subscription_pause][duration][interval_options][0][interval]=week&features[subscription_pause][duration][interval_options][1][interval]=month&features[subscription_pause][duration][interval_options][1][interval_count]=2"
    );
    let configuration = scene.client.post("/v1/billing_portal/configurations", &two);
    let pause = &configuration["features"]["subscription_pause"];
    assert_eq!(pause["duration"]["interval_options"][1], json!({ "interval": "month", "interval_count": 2 }));
    let id = id(&scene.subscription);
    let form = format!(
        "configuration={}&flow_data[type]=subscription_pause&flow_data[subscription_pause][subscription]={id}&flow_data[after_completion][type]=redirect&flow_data[after_completion][redirect][return_url]=https://app.test/paused",
        text(&configuration, "/id")
    );
    let (session, path) = scene.open(&form);
    assert_eq!(text(&session, "/flow/subscription_pause/subscription"), id);
    let (_, page) = answer(&scene.client, "GET", &path, "");
    assert!(page.ends_with(&format!("/subscriptions/{id}/pause")), "{page}");
    let shown = scene.show(&page);
    assert!(shown.contains("name=\"length\"") && shown.contains("15 Mar 2026"), "{shown}");
    assert_eq!(scene.submit(&page, "length=2").0, 400, "nobody offered that");
    assert_eq!(scene.submit(&page, "length=0"), (303, "https://app.test/paused".to_owned()));
    let paused = scene.subscription();
    assert_eq!(text(&paused, "/status"), "paused");
    assert_eq!(text(&paused, "/status_details/paused/subscription/type"), "pause_requested");
    assert_eq!(scene.client.events("type=customer.subscription.paused").len(), 1);
    let home = scene.client.send("GET", &path, "notice=paused");
    assert!(String::from_utf8(home.body).unwrap().contains("Paused until 22 Jan 2026"));
    scene.client.sandbox.advance_time(7 * DAY - 1);
    assert_eq!(text(&scene.subscription(), "/status"), "paused");
    scene.client.sandbox.advance_time(1);
    let again = scene.subscription();
    assert_eq!(text(&again, "/status"), "active");
    assert_eq!(number(&again, "/items/data/0/current_period_start"), START + 7 * DAY);
    // Nothing of the first period was used: its credit pays the next.
    assert_eq!(scene.client.sandbox.ledger().customer(&scene.customer).unwrap().net("usd"), 1000);
}

#[test]
fn a_pause_without_an_end_lasts_until_the_customer_resumes() {
    let scene = scene();
    let month = scene.client.post("/v1/billing_portal/configurations", PAUSES);
    let duration = &month["features"]["subscription_pause"]["duration"];
    assert_eq!(duration["interval_options"], json!([{ "interval": "month", "interval_count": 1 }]));
    let form = format!("{PAUSES}&features[subscription_pause][duration][type]=indefinite");
    let open = scene.client.post(&format!("/v1/billing_portal/configurations/{}", id(&month)), &form);
    assert_eq!(text(&open, "/features/subscription_pause/duration/type"), "indefinite");
    let (_, path) = scene.open(&format!("configuration={}", id(&open)));
    let page = format!("{path}/subscriptions/{}/pause", id(&scene.subscription));
    assert!(scene.show(&path).contains(&page));
    assert_eq!(scene.submit(&page, ""), (303, format!("{path}?notice=paused")));
    scene.client.sandbox.advance_time(DAY / 48);
    let home = scene.show(&path);
    assert!(home.contains("Resume plan") && !home.contains(&page), "{home}");
    let resume = page.replace("/pause", "/resume");
    assert_eq!(scene.submit(&resume, ""), (303, format!("{path}?notice=going")));
    assert_eq!(text(&scene.subscription(), "/status"), "active");
    // What the configuration does not offer, and what cannot be paused.
    let (_, plain) = scene.open("");
    let refused = format!("{plain}/subscriptions/{}/pause", id(&scene.subscription));
    assert_eq!(answer(&scene.client, "GET", &refused, "").0, 404);
    assert_eq!(scene.submit(&refused, "").0, 400);
    let flow = format!(
        "customer={}&flow_data[type]=subscription_pause&flow_data[subscription_pause][subscription]={}",
        scene.customer,
        id(&scene.subscription)
    );
    scene.client.refused(400, "POST", "/v1/billing_portal/sessions", &flow);
    scene
        .client
        .post("/v1/subscription_schedules", &format!("from_subscription={}", id(&scene.subscription)));
    assert_eq!(scene.submit(&page, "").0, 400, "a schedule manages it");
    for wrong in [
        "[type]=interval_options",
        "[type]=interval_options&features[subscription_pause][duration][interval_options][0][interval]=year&features[subscription_pause][duration][interval_options][0][interval_count]=4",
    ] {
        let form = format!("{PAUSES}&features[subscription_pause][duration]{wrong}");
        scene.client.refused(400, "POST", "/v1/billing_portal/configurations", &form);
    }
}
