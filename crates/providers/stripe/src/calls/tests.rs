//! Every call as it goes over the wire, and every parameter against the provider's schema.

use super::subscriptions::{
    CancelSubscription, EXPAND, EXPAND_LIST, ItemChange, ListSubscriptions, PaymentBehavior,
    ProrationBehavior, UpdateSubscription,
};
use super::*;
use crate::form::Metadata;
use crate::observe::{ObservedPhase, ObservedSubscription, Scheduled};
use serde_json::{Value, json};

/// A call without the type of its answer.
struct Wire {
    endpoint: &'static str,
    line: String,
    method: Method,
    path: String,
    form: String,
}

fn wire<T>(call: Call<T>) -> Wire {
    let key = call.idempotency_key().map(|key| format!(" key={}", key.as_str())).unwrap_or_default();
    let (method, path, form) = (call.method(), call.path().to_owned(), call.form().as_str().to_owned());
    let line = format!("{} {path} {form}{key}", method.as_str());
    Wire {
        endpoint: call.endpoint(),
        line: line.replace("  ", " ").trim_end().to_owned(),
        method,
        path,
        form,
    }
}

fn key() -> IdempotencyKey {
    IdempotencyKey::new("k1").unwrap()
}

fn metadata() -> Metadata {
    Metadata::new().with("quittance_customer", "u1").unwrap()
}

fn checkouts() -> Vec<Wire> {
    let (metadata, none) = (metadata(), Metadata::new());
    let base = checkout::CreateCheckout {
        mode: checkout::CheckoutMode::Subscription {
            metadata: &metadata,
            begins: checkout::Begins::AfterTrialDays(14),
        },
        customer: "cus_1",
        lines: &[("price_1", Some(2)), ("price_metered", None)],
        place: checkout::Place::Hosted {
            success_url: "https://app/r?s={CHECKOUT_SESSION_ID}",
            cancel_url: Some("https://app/c"),
        },
        client_reference_id: Some("u1"),
        metadata: &metadata,
        discount: checkout::Discount::BuyerEntersCode,
        locale: Some("ja"),
        expires_at_s: Some(1_795_003_600),
        automatic_tax: true,
    };
    let bare = checkout::CreateCheckout {
        mode: checkout::CheckoutMode::Payment { metadata: &metadata },
        lines: &[("price_2", Some(1))],
        place: checkout::Place::Hosted {
            success_url: "https://app/r?s={CHECKOUT_SESSION_ID}",
            cancel_url: None,
        },
        client_reference_id: None,
        metadata: &none,
        discount: checkout::Discount::None,
        locale: None,
        expires_at_s: None,
        automatic_tax: false,
        ..base
    };
    let coded = checkout::CreateCheckout { discount: checkout::Discount::PromotionCode("promo_1"), ..bare };
    let coupon = checkout::CreateCheckout { discount: checkout::Discount::Coupon("c1"), ..bare };
    let return_url = "https://app/r?s={CHECKOUT_SESSION_ID}";
    let embedded = checkout::CreateCheckout { place: checkout::Place::Embedded { return_url }, ..bare };
    let elements = checkout::CreateCheckout { place: checkout::Place::Elements { return_url }, ..bare };
    vec![
        wire(checkout::create(&base, key())),
        wire(checkout::create(&bare, key())),
        wire(checkout::create(&coded, key())),
        wire(checkout::create(&coupon, key())),
        wire(checkout::create(&embedded, key())),
        wire(checkout::create(&elements, key())),
        wire(checkout::retrieve("cs_test_1")),
        wire(checkout::list("cus_1", Paging::after("cs_0"))),
        wire(checkout::expire("cs_test_1", key())),
    ]
}

fn portals() -> Vec<Wire> {
    use portal::PortalFlow as Flow;
    let confirm = Flow::SubscriptionUpdateConfirm {
        subscription: "sub_1",
        item: "si_1",
        price: "price_2",
        quantity: Some(3),
    };
    let flows = [
        Flow::Home,
        Flow::PaymentMethodUpdate,
        Flow::SubscriptionCancel("sub_1"),
        Flow::SubscriptionUpdate("sub_1"),
        confirm,
    ];
    let base = portal::CreatePortal {
        customer: "cus_1",
        return_url: Some("https://app/b"),
        configuration: Some("bpc_1"),
        locale: Some("ja"),
        flow: Flow::Home,
        after_url: Some("https://app/done"),
    };
    flows.map(|flow| wire(portal::create(&portal::CreatePortal { flow, ..base }, key()))).into()
}

/// A subscription whose schedule says everything that a phase can say.
fn billed() -> ObservedSubscription {
    let rate = |id: &str| json!({ "id": id, "object": "tax_rate", "percentage": 10.0 });
    let value = json!({
        "id": "sub_1", "object": "subscription", "status": "active", "livemode": false, "created": 1,
        "cancel_at_period_end": false, "discounts": ["di_1", { "id": "di_2", "object": "discount" }],
        "default_tax_rates": [rate("txr_1")], "metadata": { "a": "b" },
        "items": { "has_more": false, "data": [{
            "id": "si_1", "quantity": 3, "discounts": ["di_3"], "tax_rates": [rate("txr_2")],
            "billing_thresholds": { "usage_gte": 5 }, "metadata": { "seat": "1" },
            "price": { "id": "price_1", "currency": "jpy", "unit_amount": 1 },
        }] },
        "schedule": {
            "id": "sub_sched_1", "object": "subscription_schedule", "status": "active",
            "current_phase": { "start_date": 1, "end_date": 2 },
            "phases": [{
                "start_date": 1, "end_date": 2, "proration_behavior": "always_invoice",
                "items": [{
                    "price": "price_1", "quantity": 3, "tax_rates": [rate("txr_3")],
                    "discounts": [{ "coupon": "c_1", "discount": null, "promotion_code": null }],
                }],
                "add_invoice_items": [{
                    "discountable": true, "discounts": [], "metadata": {}, "price": "price_9", "quantity": 1,
                    "period": { "start": { "type": "phase_start" }, "end": { "type": "timestamp", "timestamp": 2 } },
                    "tax_rates": [],
                }],
                "billing_cycle_anchor": "phase_start", "default_tax_rates": [rate("txr_4")],
                "application_fee_percent": 2.5,
                "automatic_tax": {
                    "disabled_reason": null, "enabled": true, "liability": { "type": "account", "account": "acct_1" },
                },
                "billing_thresholds": { "amount_gte": 500, "reset_billing_cycle_anchor": false },
                "collection_method": "send_invoice", "default_payment_method": "pm_1", "description": "Ours",
                "discounts": [{ "coupon": null, "discount": "di_0", "promotion_code": null }],
                "invoice_settings": {
                    "account_tax_ids": ["atxi_1"], "custom_fields": [{ "name": "PO", "value": "7" }],
                    "days_until_due": 14, "description": null, "footer": "Thanks", "issuer": { "type": "self" },
                },
                "metadata": { "phase": "one" }, "on_behalf_of": "acct_1",
                "transfer_data": { "amount_percent": 90, "destination": "acct_2" },
            }],
        },
    });
    ObservedSubscription::read(&value).unwrap()
}

/// A phase that was read, to be written as it was.
fn again(phase: &ObservedPhase) -> schedules::Phase {
    schedules::Phase::again(phase, phase.start_s)
}

fn subscription_calls() -> Vec<Wire> {
    let billed = billed();
    let Some(Scheduled::Expanded(schedule)) = &billed.schedule else { panic!("{:?}", billed.schedule) };
    let phase = schedule.running_phase().unwrap();
    let metadata = metadata();
    let items = [ItemChange { id: "si_1", price: Some("price_2"), quantity: Some(3), deleted: false }];
    let gone = [ItemChange { id: "si_1", price: None, quantity: None, deleted: true }];
    let update = UpdateSubscription {
        items: &items,
        proration_behavior: Some(ProrationBehavior::AlwaysInvoice),
        proration_date_s: Some(1_795_000_000),
        payment_behavior: Some(PaymentBehavior::ErrorIfIncomplete),
        cancel_at_period_end: Some(false),
        default_payment_method: Some("pm_1"),
        metadata: Some(&metadata),
        pause: Some(subscriptions::PauseCollection::Begin {
            behavior: subscriptions::PauseBehavior::Void,
            resumes_at_s: Some(1_795_000_000),
        }),
        ends_trial: true,
        feedback: Some("unused"),
        comment: Some("no time"),
    };
    let list = ListSubscriptions {
        customer: Some("cus_1"),
        price: Some("price_1"),
        created_gte_s: Some(1),
        created_lt_s: Some(2),
        expand: EXPAND_LIST,
        paging: Paging::default(),
    };
    let cancel =
        CancelSubscription { invoice_now: true, prorate: true, comment: Some("duplicate"), feedback: None };
    vec![
        wire(subscriptions::retrieve("sub_1", EXPAND)),
        wire(subscriptions::list(&list)),
        wire(subscriptions::list_items("sub_1", Paging::default())),
        wire(subscriptions::update("sub_1", &update, key())),
        wire(subscriptions::update(
            "sub_1",
            &UpdateSubscription { items: &gone, ..Default::default() },
            key(),
        )),
        wire(subscriptions::cancel("sub_1", CancelSubscription::default())),
        wire(subscriptions::cancel("sub_1", cancel)),
        wire(schedules::from_subscription("sub_1", key())),
        wire(schedules::set_phases(
            "sub_sched_1",
            &[schedules::Phase {
                start_s: 1,
                end_s: 2,
                items: vec![schedules::PhaseItem {
                    price: "price_1".into(),
                    quantity: Some(3),
                    kept: billed.items[0].kept.clone(),
                }],
                trial_end_s: Some(2),
                proration_behavior: None,
                kept: billed.kept.clone().and(&phase.kept),
            }],
            "release",
            &metadata,
            key(),
        )),
        wire(schedules::set_phases("sub_sched_1", &[again(phase)], "cancel", &Metadata::new(), key())),
        wire(schedules::mark("sub_sched_1", &metadata, key())),
        wire(schedules::list("cus_1", Paging::default())),
        wire(schedules::release("sub_sched_1", key())),
        wire(schedules::retrieve("sub_sched_1")),
        wire(subscriptions::pause("sub_1", key())),
        wire(subscriptions::resume("sub_1", key())),
        wire(subscriptions::update(
            "sub_1",
            &UpdateSubscription { pause: Some(subscriptions::PauseCollection::End), ..Default::default() },
            key(),
        )),
    ]
}

fn invoice_calls() -> Vec<Wire> {
    let list = invoices::ListInvoices {
        customer: Some("cus_1"),
        subscription: Some("sub_1"),
        status: Some("open"),
        created_gte_s: Some(1),
        paging: Paging::default(),
    };
    let items = [ItemChange { id: "si_1", price: Some("price_2"), quantity: None, deleted: false }];
    let preview = invoices::PreviewChange {
        subscription: "sub_1",
        items: &items,
        proration_behavior: Some(ProrationBehavior::CreateProrations),
        proration_date_s: Some(1_795_000_000),
    };
    vec![
        wire(invoices::retrieve("in_1")),
        wire(invoices::list(&list)),
        wire(invoices::pay("in_1", key())),
        wire(invoices::mark_uncollectible("in_1", key())),
        wire(invoices::create_preview(&preview)),
        wire(invoices::list_payments(invoices::PaymentOf::Invoice("in_1"), Paging::default())),
        wire(invoices::list_payments(invoices::PaymentOf::PaymentIntent("pi_1"), Paging::default())),
    ]
}

fn other_calls() -> Vec<Wire> {
    let metadata = metadata();
    let details = customers::CustomerDetails {
        email: Some("jane@example.com"),
        name: Some("Jané"),
        locale: Some("ja"),
    };
    let events = events::ListEvents {
        created_gte_s: Some(5),
        types: &["invoice.paid", "customer.updated"],
        delivery_success: Some(false),
        paging: Paging { limit: 200, starting_after: None, ending_before: Some("evt_9") },
    };
    let prices = prices::ListPrices {
        lookup_keys: &["pro_month_jpy"],
        active: Some(true),
        product: Some("prod_1"),
        paging: Paging::default(),
    };
    let price = prices::CreatePrice {
        product: "prod_1",
        currency: "jpy",
        unit_amount: 1980,
        recurring: Some(("month", 1)),
        lookup_key: Some("pro_month_jpy"),
        transfer_lookup_key: true,
        tax_behavior: None,
        metadata: &metadata,
    };
    let product =
        prices::ProductDetails { name: "Pro", description: Some("All"), active: true, metadata: &metadata };
    let coupon = offers::CreateCoupon {
        id: "c_1",
        name: Some("Welcome"),
        off: offers::CouponOff::Percent("12.5"),
        duration: "repeating",
        months: Some(3),
        max_redemptions: Some(9),
        redeem_by_s: Some(1_900_000_000),
        products: &["prod_1"],
        metadata: &metadata,
    };
    let amounts =
        offers::CreateCoupon { off: offers::CouponOff::Amounts(&[("jpy", 500), ("usd", 4)]), ..coupon };
    let code = offers::CreatePromotionCode {
        coupon: "c_1",
        code: "WELCOME20",
        first_purchase: true,
        max_redemptions: Some(9),
        expires_at_s: Some(1_900_000_000),
        metadata: &metadata,
    };
    let offered = [
        portal::OfferedProduct { product: "prod_1", prices: vec!["price_1", "price_2"], units: false },
        portal::OfferedProduct { product: "prod_2", prices: vec!["price_3"], units: true },
    ];
    let features = portal::PortalFeatures {
        customer_update: &["email"],
        invoice_history: true,
        payment_method_update: true,
        cancel: Some((false, &["unused"])),
        update: Some(portal::PortalUpdates {
            proration: "always_invoice",
            at_period_end: &["decreasing_item_amount"],
            products: &offered,
        }),
        metadata: &metadata,
    };
    let bare_payment = payments::CreateIntent {
        amount: 12_000,
        currency: "jpy",
        customer: "cus_1",
        description: Some("course"),
        metadata: &metadata,
    };
    let intent = payments::Paid::PaymentIntent("pi_1");
    let reason = Some(payments::RefundReason::Duplicate);
    vec![
        wire(account::retrieve()),
        wire(balance::retrieve()),
        wire(balance::list_transactions(Some(5), Paging::after("txn_1"))),
        wire(balance::retrieve_payout("po_1")),
        wire(balance::list_payouts(Paging::default())),
        wire(customers::create(details, &metadata, key())),
        wire(customers::retrieve("cus_1")),
        wire(customers::update("cus_1", customers::CustomerDetails::default(), &metadata, key())),
        wire(customers::list(Some(7), Paging::default())),
        wire(payments::retrieve_intent("pi_1")),
        wire(payments::create_intent(&bare_payment, key())),
        wire(payments::cancel_intent("pi_1", key())),
        wire(payments::list_intents("cus_1", Paging::default())),
        wire(payments::list_charges("cus_1", Paging::default())),
        wire(payments::refund(intent, Some(980), reason, &metadata, key())),
        wire(payments::list_refunds(payments::Paid::Charge("ch_1"), Paging::default())),
        wire(credit_notes::create("in_1", 980, credit_notes::GivenBack::Refund, None, &metadata, key())),
        wire(credit_notes::list("in_1", Paging::default())),
        wire(events::list(&events)),
        wire(events::retrieve("evt_1")),
        wire(prices::list(&prices)),
        wire(prices::retrieve("price_1")),
        wire(prices::create(&price, key())),
        wire(prices::create_product(Some("quittance.pro"), product, key())),
        wire(prices::update_product("prod_1", product, key())),
        wire(prices::archive_product("prod_1", key())),
        wire(prices::list_products(Paging::default())),
        wire(prices::update("price_1", true, &metadata, key())),
        wire(offers::retrieve_coupon("c_1")),
        wire(offers::create_coupon(&coupon, key())),
        wire(offers::create_coupon(&amounts, key())),
        wire(offers::rename_coupon("c_1", "New", key())),
        wire(offers::retrieve_code("promo_1")),
        wire(offers::list_codes(&offers::ListPromotionCodes {
            code: Some("A"),
            active: Some(true),
            paging: Paging::default(),
        })),
        wire(offers::create_code(&code, key())),
        wire(offers::set_code_active("promo_1", false, key())),
        wire(portal::list_configurations(Paging::default())),
        wire(portal::create_configuration(&features, key())),
        wire(portal::update_configuration("bpc_1", &features, key())),
        wire(prices::retrieve_product("quittance.pro")),
        wire(webhook_endpoints::list(Paging::default())),
        wire(webhook_endpoints::create("https://app/webhooks/stripe", &["*"], "2026-10-28.endive", key())),
    ]
}

fn every_call() -> Vec<Wire> {
    [checkouts(), portals(), subscription_calls(), invoice_calls(), other_calls()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn calls_on_the_wire() {
    let lines: Vec<String> =
        every_call().into_iter().map(|call| format!("{:<24} {}", call.endpoint, call.line)).collect();
    if std::env::var_os("QUITTANCE_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/calls/wire.txt");
        std::fs::write(path, format!("{}\n", lines.join("\n"))).unwrap();
        return;
    }
    let expected = include_str!("wire.txt");
    for (index, (got, want)) in lines.iter().zip(expected.lines()).enumerate() {
        assert_eq!(got, want, "line {}", index + 1);
    }
    assert_eq!(lines.len(), expected.lines().count(), "all calls:\n{}", lines.join("\n"));
}

#[test]
fn only_changes_carry_keys_and_only_reads_are_read_only() {
    for call in every_call() {
        let keyed = call.line.ends_with(" key=k1");
        let preview = call.endpoint == "invoices.create_preview";
        assert_eq!(keyed, call.method == Method::Post && !preview, "{}", call.line);
    }
    assert!(invoices::create_preview(&invoices::PreviewChange::default()).is_read_only());
    assert!(!subscriptions::cancel("sub_1", CancelSubscription::default()).is_read_only());
    assert!(customers::retrieve("cus_1").is_read_only());
}

#[test]
fn idempotency_keys() {
    assert!(IdempotencyKey::new("k".repeat(255)).is_ok());
    for bad in [String::new(), "k".repeat(256), "a b".into(), "a\nb".into(), "é".into()] {
        assert_eq!(IdempotencyKey::new(bad), Err(InvalidKey));
    }
}

/// B1 and C9: an id from outside cannot name another object or a whole list.
#[test]
fn ids_cannot_leave_their_place() {
    for id in [
        "",
        ".",
        "..",
        "../customers",
        "cus_1/sources",
        "cus_1?expand[]=x",
        "cus 1",
        "cus_é",
        &"c".repeat(256),
    ] {
        let call = customers::retrieve(id);
        assert!(call.names_impossible_id(), "{id}");
        assert_eq!(call.path().matches('/').count(), 3, "{id}");
        assert!(!call.path().contains('?'), "{id}");
    }
    assert!(!prices::retrieve_product("quittance.pro-1_a").names_impossible_id());
}

/// One of the provider's published files, when they are beside the repository.
fn published(name: &str) -> Option<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/specs/stripe");
    match std::fs::read(format!("{folder}/{name}")) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: {name} is not beside the repository: {error}");
            None
        }
    }
}

#[test]
fn every_wanted_event_exists() {
    let Some(types) = published("event-types.json") else { return };
    for wanted in webhook_endpoints::WANTED_EVENTS {
        assert!(types.as_array().unwrap().contains(&Value::from(*wanted)), "{wanted}");
    }
}

fn resolve<'s>(schema: &'s Value, mut node: &'s Value) -> &'s Value {
    while let Some(name) = node.get("$ref").and_then(Value::as_str) {
        node = &schema["$defs"][name.trim_start_matches("#/$defs/")];
    }
    node
}

/// Whether a parameter path such as `items[0][price]` exists below a schema node.
fn knows(schema: &Value, node: &Value, path: &[&str]) -> bool {
    let node = resolve(schema, node);
    let Some((first, rest)) = path.split_first() else { return true };
    for choice in ["anyOf", "allOf", "oneOf"] {
        let options = node.get(choice).and_then(Value::as_array).into_iter().flatten();
        if options.into_iter().any(|option| knows(schema, option, path)) {
            return true;
        }
    }
    let next = node.get("properties").and_then(|p| p.get(first)).or_else(|| node.get("additionalProperties"));
    let next = if first.bytes().all(|b| b.is_ascii_digit()) { node.get("items") } else { next };
    next.is_some_and(|next| knows(schema, next, rest))
}

#[test]
fn every_path_and_parameter_is_in_the_providers_schema() {
    let Some(schema) = published("stripe-2026-10-28.endive.schema.json") else { return };
    let paths = schema["paths"].as_object().unwrap();
    for call in every_call() {
        let fits = |pattern: &str| {
            let (pattern, path) = (pattern.split('/'), call.path.split('/'));
            pattern.clone().count() == path.clone().count()
                && pattern.zip(path).all(|(p, c)| p == c || p.starts_with('{'))
        };
        // A fixed path is a better fit than one with a placeholder.
        let found =
            paths.get(&call.path).or_else(|| paths.iter().find(|(p, _)| fits(p)).map(|(_, entry)| entry));
        let operation = found.and_then(|entry| entry.get(call.method.as_str().to_lowercase()));
        let operation =
            operation.unwrap_or_else(|| panic!("{} {} is no operation", call.method.as_str(), call.path));
        for pair in call.form.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap();
            let path: Vec<&str> = name.split(['[', ']']).filter(|part| !part.is_empty()).collect();
            assert!(knows(&schema, &operation["params"], &path), "{}: unknown parameter {name}", call.line);
        }
    }
}
