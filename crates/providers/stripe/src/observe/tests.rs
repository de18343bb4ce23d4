//! Objects in the old and the new shape, in odd shapes, and as the provider publishes them.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn price() -> Value {
    json!({"id": "price_1", "object": "price", "product": "prod_1", "lookup_key": "pro_month_jpy", "currency": "jpy",
        "unit_amount": 1980, "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"}})
}

/// A subscription as both shapes have it, without the period.
fn subscription() -> Value {
    json!({"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "livemode": false,
    "created": 1_794_000_000, "cancel_at_period_end": false, "cancel_at": null, "canceled_at": null, "ended_at": null,
    "trial_start": null, "trial_end": null, "pause_collection": null, "metadata": {"quittance_customer": "u1"},
    "latest_invoice": "in_1", "default_payment_method": "pm_1", "currency": "jpy", "schedule": null,
    "items": {"object": "list", "has_more": false, "data": [
        {"id": "si_1", "object": "subscription_item", "quantity": 2, "price": price()}
    ]}})
}

fn new_subscription() -> Value {
    let mut value = subscription();
    value["items"]["data"][0]["current_period_start"] = json!(10);
    value["items"]["data"][0]["current_period_end"] = json!(20);
    value
}

fn old_subscription() -> Value {
    let mut value = subscription();
    value["current_period_start"] = json!(10);
    value["current_period_end"] = json!(20);
    value
}

fn invoice() -> Value {
    json!({"id": "in_1", "object": "invoice", "status": "paid", "livemode": false, "customer": "cus_1", "currency": "jpy",
        "total": 3960, "amount_due": 3960, "amount_paid": 3960, "amount_remaining": 0, "attempt_count": 1,
        "next_payment_attempt": null, "created": 5, "due_date": null, "billing_reason": "subscription_cycle",
        "status_transitions": {"finalized_at": 6, "paid_at": 7, "voided_at": null, "marked_uncollectible_at": null},
        "metadata": {}})
}

fn old_invoice() -> Value {
    let mut value = invoice();
    value["subscription"] = json!("sub_1");
    value["subscription_details"] = json!({"metadata": {"quittance_customer": "u1"}});
    value["payment_intent"] = json!("pi_1");
    value["charge"] = json!("ch_1");
    value
}

fn new_invoice() -> Value {
    let mut value = invoice();
    value["parent"] = json!({"type": "subscription_details", "quote_details": null,
        "subscription_details": {"subscription": "sub_1", "metadata": {"quittance_customer": "u1"}}});
    value["payments"] = json!({"object": "list", "has_more": false, "data": [
        {"id": "inpay_1", "object": "invoice_payment", "amount_paid": 3960, "status": "paid",
            "payment": {"type": "payment_intent", "payment_intent": {"id": "pi_1", "object": "payment_intent"}}}]});
    value
}

fn field<T: std::fmt::Debug>(result: Result<T, ShapeError>) -> (String, ShapeProblem) {
    let error = result.unwrap_err();
    (error.field, error.problem)
}

/// A22 and B13: the period is found in either shape.
#[test]
fn a22_b13_subscriptions_in_both_shapes_say_the_same() {
    let (old, new) = (old_subscription(), new_subscription());
    let read = ObservedSubscription::read(&new).unwrap();
    assert_eq!(ObservedSubscription::read(&old).unwrap(), read);
    let item = &read.items[0];
    assert_eq!((item.current_period_start_s, item.current_period_end_s), (Some(10), Some(20)));
    assert_eq!(
        (item.price_id.as_str(), item.product_id.as_deref(), item.quantity),
        ("price_1", Some("prod_1"), Some(2))
    );
    assert_eq!((item.lookup_key.as_deref(), item.unit_amount), (Some("pro_month_jpy"), Some(1980)));
    assert_eq!((item.interval.as_deref(), item.interval_count), (Some("month"), Some(1)));
    assert_eq!(read.metadata["quittance_customer"], "u1");
    assert_eq!(read.latest_invoice.as_ref().map(LatestInvoice::id), Some("in_1"));
    assert!(read.items_complete && read.pause.is_none());
    let none = ObservedSubscription::read(&subscription()).unwrap();
    assert_eq!(none.items[0].current_period_end_s, None, "an unknown period is not invented");
}

#[test]
fn subscriptions_with_everything_expanded() {
    let mut value = new_subscription();
    value["customer"] = json!({"id": "cus_1", "object": "customer", "metadata": {"quittance_customer": "u1"}, "email": "j@e.com"});
    value["latest_invoice"] = new_invoice();
    value["default_payment_method"] = json!({"id": "pm_9", "object": "payment_method"});
    value["schedule"] = json!({
        "id": "sub_sched_1", "status": "active", "end_behavior": "release",
        "current_phase": {"start_date": 10, "end_date": 20},
        "phases": [
            {"start_date": 1, "end_date": 10, "items": []},
            {"start_date": 10, "end_date": 20, "items": [{"price": "price_1", "quantity": 2}]},
            {"start_date": 20, "end_date": 30, "items": [{"price": "price_2", "quantity": 1}]},
        ],
    });
    value["items"]["data"][0]["price"]["product"] = json!({"id": "prod_9", "object": "product"});
    value["items"]["has_more"] = json!(true);
    value["pause_collection"] = json!({"behavior": "void", "resumes_at": null});
    let read = ObservedSubscription::read(&value).unwrap();
    let customer = read.customer.unwrap();
    assert_eq!((customer.id.as_str(), customer.deleted), ("cus_1", Some(false)));
    assert_eq!(customer.metadata.unwrap()["quittance_customer"], "u1");
    let invoice = ObservedInvoice::read(&new_invoice()).unwrap();
    assert_eq!(read.latest_invoice, Some(LatestInvoice::Expanded(Box::new(invoice))));
    assert_eq!(read.default_payment_method.as_deref(), Some("pm_9"));
    let Some(Scheduled::Expanded(schedule)) = read.schedule else { panic!("{:?}", read.schedule) };
    assert_eq!(schedule.next_phase().map(|phase| phase.items[0].price_id.as_str()), Some("price_2"));
    assert_eq!(read.items[0].product_id.as_deref(), Some("prod_9"));
    assert!(!read.items_complete && read.pause.is_some());

    value["customer"] = json!({"id": "cus_1", "object": "customer", "deleted": true});
    let customer = ObservedSubscription::read(&value).unwrap().customer.unwrap();
    assert_eq!((customer.deleted, customer.metadata), (Some(true), None));
}

/// A15 and A24: several items in any order, and statuses nobody has heard of, are read as they are.
#[test]
fn a15_a24_several_items_and_unknown_words() {
    let mut value = new_subscription();
    let mut second = value["items"]["data"][0].clone();
    second["id"] = json!("si_2");
    second["price"]["recurring"]["interval"] = json!("fortnight");
    second["quantity"] = Value::Null;
    value["items"]["data"].as_array_mut().unwrap().push(second);
    value["status"] = json!("hibernating");
    let read = ObservedSubscription::read(&value).unwrap();
    assert_eq!(read.status, "hibernating");
    let ids: Vec<_> = read.items.iter().map(|item| (item.id.as_str(), item.quantity)).collect();
    assert_eq!(ids, [("si_1", Some(2)), ("si_2", None)]);
    assert_eq!(read.items[1].interval.as_deref(), Some("fortnight"));
    value["items"]["data"] = json!([]);
    assert!(ObservedSubscription::read(&value).unwrap().items.is_empty());
}

#[test]
fn plans_from_before_prices() {
    let mut value = old_subscription();
    value["items"]["data"][0]["price"] = Value::Null;
    value["items"]["data"][0]["plan"] = json!({"id": "plan_1", "object": "plan", "amount": 500, "currency": "usd", "interval": "year", "interval_count": 1, "product": "prod_1"});
    let item = ObservedSubscription::read(&value).unwrap().items.remove(0);
    assert_eq!(
        (item.price_id.as_str(), item.unit_amount, item.interval.as_deref()),
        ("plan_1", Some(500), Some("year"))
    );
}

/// A22: an unknown shape is an error that names the field, never a default.
#[test]
fn a22_what_must_be_known_is_never_replaced_by_a_default() {
    let cases: [(&[&str], ShapeProblem); 9] = [
        (&["id"], ShapeProblem::Missing),
        (&["status"], ShapeProblem::Missing),
        (&["livemode"], ShapeProblem::Missing),
        (&["created"], ShapeProblem::Missing),
        (&["items"], ShapeProblem::Missing),
        (&["items", "data"], ShapeProblem::Missing),
        (&["items", "data", "0", "id"], ShapeProblem::Missing),
        (&["items", "data", "0", "price"], ShapeProblem::Missing),
        (&["items", "data", "0", "price", "currency"], ShapeProblem::Missing),
    ];
    for (path, problem) in cases {
        let mut value = new_subscription();
        let (last, parents) = path.split_last().unwrap();
        let parent = parents.iter().fold(&mut value, |at, key| match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[*key],
        });
        parent.as_object_mut().unwrap().remove(*last);
        let name = path.join(".").replace(".0", "[0]");
        assert_eq!(field(ObservedSubscription::read(&value)), (name, problem), "{path:?}");
    }
}

#[test]
fn wrong_types_and_overflows_are_named() {
    let odd = [
        ("status", json!(7), ShapeProblem::NotA("text")),
        ("status", json!(""), ShapeProblem::Missing),
        ("created", json!("now"), ShapeProblem::NotA("a number")),
        ("created", json!(1.5), ShapeProblem::OutOfRange),
        ("created", json!(9_223_372_036_854_775_808_u64), ShapeProblem::OutOfRange),
        ("cancel_at_period_end", json!("false"), ShapeProblem::NotA("true or false")),
        ("customer", json!(5), ShapeProblem::NotA("an id or an object")),
        ("customer", json!(""), ShapeProblem::NotA("an id or an object")),
        ("metadata", json!([]), ShapeProblem::NotA("an object")),
        ("items", json!([]), ShapeProblem::NotA("an object")),
        ("object", json!("invoice"), ShapeProblem::NotA("subscription")),
    ];
    for (name, bad, problem) in odd {
        let mut value = new_subscription();
        value[name] = bad;
        assert_eq!(field(ObservedSubscription::read(&value)), (name.to_owned(), problem));
    }
    let mut value = new_subscription();
    value["metadata"]["count"] = json!(3);
    assert_eq!(field(ObservedSubscription::read(&value)).0, "metadata.count");
    value = new_subscription();
    value["latest_invoice"] = json!({"id": "in_1", "object": "invoice"});
    let error = ObservedSubscription::read(&value).unwrap_err();
    assert_eq!(
        (error.object, error.id.as_deref(), error.field.as_str()),
        ("invoice", Some("in_1"), "amount_paid")
    );
    assert_eq!(error.to_string(), "invoice in_1 has no usable `amount_paid`: it is missing");
    assert!(ObservedSubscription::read(&json!([])).is_err());
}

/// A22: an invoice's subscription and payments are found in either shape.
#[test]
fn a22_invoices_in_both_shapes() {
    for (value, status) in [(old_invoice(), None), (new_invoice(), Some("paid"))] {
        let read = ObservedInvoice::read(&value).unwrap();
        assert_eq!(read.subscription.as_deref(), Some("sub_1"));
        assert_eq!(read.subscription_metadata["quittance_customer"], "u1");
        let payments = read.payments.unwrap();
        assert_eq!(payments.len(), 1);
        assert_eq!(
            (payments[0].payment_intent.as_deref(), payments[0].amount_paid),
            (Some("pi_1"), Some(3960))
        );
        assert_eq!(payments[0].status.as_deref(), status);
        assert!(read.payments_complete);
        assert_eq!((read.finalized_at_s, read.paid_at_s, read.voided_at_s), (Some(6), Some(7), None));
        assert_eq!((read.total, read.amount_paid, read.attempt_count), (3960, 3960, 1));
    }
}

#[test]
fn payments_that_stripe_did_not_tell_are_unknown_and_not_none() {
    let unknown = ObservedInvoice::read(&invoice()).unwrap();
    assert_eq!((unknown.payments, unknown.payments_complete), (None, false));
    let mut value = invoice();
    value["payment_intent"] = Value::Null;
    value["charge"] = Value::Null;
    let free = ObservedInvoice::read(&value).unwrap();
    assert_eq!((free.payments, free.payments_complete), (Some(vec![]), true));
    let mut partial = new_invoice();
    partial["payments"]["has_more"] = json!(true);
    assert!(!ObservedInvoice::read(&partial).unwrap().payments_complete);
}

/// B9: one-off and credit invoices have no subscription, and amounts may be negative.
#[test]
fn b9_one_off_and_credit_invoices() {
    let mut value = invoice();
    value["parent"] = Value::Null;
    value["total"] = json!(-500);
    value["amount_paid"] = json!(0);
    let read = ObservedInvoice::read(&value).unwrap();
    assert_eq!((read.subscription, read.total), (None, -500));
    value.as_object_mut().unwrap().remove("amount_due");
    assert_eq!(field(ObservedInvoice::read(&value)), ("amount_due".to_owned(), ShapeProblem::Missing));
}

#[test]
fn checkouts_with_and_without_lines() {
    let mut value = json!({"id": "cs_test_1", "object": "checkout.session", "mode": "subscription", "status": "open",
        "payment_status": "unpaid", "livemode": false, "customer": "cus_1", "subscription": null, "payment_intent": null,
        "invoice": null, "amount_total": 1980, "currency": "jpy", "metadata": {"quittance_checkout": "c1"},
        "client_reference_id": "u1", "url": "https://pay.example/s", "expires_at": 20, "created": 10});
    let read = ObservedCheckout::read(&value).unwrap();
    assert_eq!((read.line_items.as_ref(), read.line_items_complete), (None, false));
    assert_eq!(
        (read.amount_total, read.expires_at_s, read.url.as_deref()),
        (Some(1980), 20, Some("https://pay.example/s"))
    );
    assert!(!format!("{read:?}").contains("pay.example"), "whoever has the address can pay");
    value["line_items"] = json!({"object": "list", "has_more": false, "data": [
        {"id": "li_1", "object": "item", "price": price(), "quantity": 1, "amount_total": 1980, "currency": "jpy"}]});
    let lines = ObservedCheckout::read(&value).unwrap().line_items.unwrap();
    assert_eq!(
        (lines[0].price_id.as_deref(), lines[0].lookup_key.as_deref()),
        (Some("price_1"), Some("pro_month_jpy"))
    );
    value["payment_status"] = Value::Null;
    assert_eq!(field(ObservedCheckout::read(&value)).0, "payment_status");
}

#[test]
fn charges_tell_partial_refunds() {
    let mut value = json!({"id": "ch_1", "object": "charge", "status": "succeeded", "livemode": false, "amount": 1980,
        "amount_captured": 1980, "amount_refunded": 500, "refunded": false, "disputed": false, "currency": "jpy",
        "customer": null, "payment_intent": "pi_1", "balance_transaction": {"id": "txn_1"}, "created": 1, "metadata": {}});
    let read = ObservedCharge::read(&value).unwrap();
    assert_eq!((read.amount_refunded, read.refunded), (500, false));
    assert_eq!((read.balance_transaction.as_deref(), read.customer), (Some("txn_1"), None));
    value.as_object_mut().unwrap().remove("disputed");
    assert_eq!(field(ObservedCharge::read(&value)).0, "disputed");
}

#[test]
fn customers_and_the_stub_of_a_deleted_one() {
    let value = json!({"id": "cus_1", "object": "customer", "created": 1, "livemode": false, "email": "jane@example.com",
        "metadata": {"quittance_customer": "u1"}, "invoice_settings": {"default_payment_method": "pm_1"}});
    let read = ObservedCustomer::read(&value).unwrap();
    assert!(read.email.is_some() && !read.deleted);
    assert_eq!(read.default_payment_method.as_deref(), Some("pm_1"));
    assert!(!format!("{read:?}").contains("jane"));
    let stub =
        ObservedCustomer::read(&json!({"id": "cus_1", "object": "customer", "deleted": true})).unwrap();
    assert!(stub.deleted && stub.created_s.is_none());
    assert_eq!(field(ObservedCustomer::read(&json!({"id": "cus_1"}))).0, "created");
}

#[test]
fn previews_read_lines_of_both_shapes() {
    let new = json!({"amount": -990, "currency": "jpy", "description": "Unused time", "quantity": 1, "period": {"start": 1, "end": 2},
        "parent": {"type": "subscription_item_details", "subscription_item_details": {"proration": true}},
        "pricing": {"type": "price_details", "price_details": {"price": "price_1", "product": "prod_1"}}});
    let old = json!({"amount": -990, "currency": "jpy", "description": "Unused time", "quantity": 1, "period": {"start": 1, "end": 2},
        "proration": true, "price": price()});
    let value = json!({"object": "invoice", "currency": "jpy", "subtotal": 5, "total": 6, "amount_due": 6, "starting_balance": 0,
        "next_payment_attempt": null, "lines": {"object": "list", "has_more": false, "data": [new, old]}});
    let read = InvoicePreview::read(&value).unwrap();
    assert_eq!(read.lines[0], read.lines[1]);
    assert!(read.lines[0].proration && read.lines_complete);
    assert_eq!((read.lines[0].price_id.as_deref(), read.lines[0].amount), (Some("price_1"), -990));
}

#[test]
fn a_page_survives_an_odd_element() {
    let value = json!({"object": "list", "has_more": true, "url": "/v1/subscriptions",
        "data": [new_subscription(), {"id": "sub_odd", "object": "subscription"}]});
    let page = Page::read(&value, ObservedSubscription::read).unwrap();
    assert_eq!((page.items.len(), page.odd.len()), (1, 1));
    assert_eq!(page.odd[0].id.as_deref(), Some("sub_odd"));
    assert_eq!((page.first_id.as_deref(), page.last_id.as_deref()), (Some("sub_1"), Some("sub_odd")));
    let lost = json!({"object": "list", "has_more": true, "data": [{}]});
    assert_eq!(field(Page::read(&lost, ObservedSubscription::read)).0, "data[last].id");
    for bad in [
        json!({"object": "list", "data": []}),
        json!({"object": "list", "has_more": false}),
        json!({"has_more": false, "data": {}}),
    ] {
        assert!(Page::read(&bad, ObservedSubscription::read).is_err(), "{bad}");
    }
}

#[test]
fn listed_events_can_be_read_like_webhooks() {
    let value = json!({"id": "evt_1", "object": "event", "type": "invoice.paid", "created": 1, "livemode": false,
        "data": {"object": new_invoice()}});
    let listed = ListedEvent::read(&value).unwrap();
    let event = crate::event::Event::parse(listed.json.as_bytes()).unwrap();
    assert_eq!((event.id.as_ref(), event.customer.as_deref()), ("evt_1", Some("cus_1")));
    assert_eq!(format!("{listed:?}"), "evt_1 invoice.paid at 1");
}

#[test]
fn webhook_endpoints_hide_their_secret() {
    let value = json!({"id": "we_1", "object": "webhook_endpoint", "status": "enabled", "livemode": false, "url": "https://a/b",
        "api_version": null, "enabled_events": ["*"], "metadata": {}, "secret": "whsec_hush"});
    let read = ObservedWebhookEndpoint::read(&value).unwrap();
    assert_eq!(read.enabled_events, ["*"]);
    assert!(read.secret.is_some() && !format!("{read:?}").contains("hush"));
}

#[test]
fn balance_transactions_say_what_moved_and_for_whom() {
    let mut value = json!({"id": "txn_1", "object": "balance_transaction", "type": "charge", "amount": 1500, "fee": 50, "net": 1450,
        "currency": "jpy", "created": 7, "reporting_category": "charge", "balance_type": "payments",
        "source": {"id": "ch_1", "object": "charge", "customer": "cus_1", "payment_intent": "pi_1", "amount": 1200,
            "amount_captured": 1000, "currency": "usd"}});
    let read = ObservedBalanceTransaction::read(&value).unwrap();
    assert_eq!((read.kind.as_str(), read.amount, read.fee, read.net), ("charge", 1500, 50, 1450));
    let source = read.source.unwrap();
    assert_eq!((source.customer.as_deref(), source.payment_intent.as_deref()), (Some("cus_1"), Some("pi_1")));
    assert_eq!((source.amount, source.currency.as_deref()), (Some(1000), Some("usd")), "what was captured");
    value["source"] = json!("re_1");
    let source = ObservedBalanceTransaction::read(&value).unwrap().source.unwrap();
    assert_eq!(source, BalanceSource { id: "re_1".into(), ..BalanceSource::default() });
    value["source"] = Value::Null;
    assert_eq!(ObservedBalanceTransaction::read(&value).unwrap().source, None);
    value["net"] = json!(14.5);
    assert_eq!(field(ObservedBalanceTransaction::read(&value)), ("net".into(), ShapeProblem::OutOfRange));
}

#[test]
fn balances_and_payouts_are_read() {
    let balance = json!({"object": "balance", "livemode": false, "available": [{"amount": 5, "currency": "usd"}],
        "pending": [{"amount": -2, "currency": "usd"}, {"amount": 7, "currency": "jpy"}]});
    let read = ObservedBalance::read(&balance).unwrap();
    assert_eq!(read.available, [("usd".to_owned(), 5)]);
    assert_eq!(read.pending, [("usd".to_owned(), -2), ("jpy".to_owned(), 7)]);
    assert_eq!(
        field(ObservedBalance::read(&json!({"object": "balance", "livemode": true, "available": []}))).0,
        "pending"
    );
    let payout = |status: &str| {
        ObservedPayout::read(&json!({"id": "po_1", "object": "payout", "status": status, "livemode": false,
            "amount": 900, "currency": "jpy", "arrival_date": 9, "created": 1}))
        .unwrap()
    };
    assert!(payout("paid").has_arrived());
    assert!(!payout("in_transit").has_arrived() && !payout("failed").has_arrived());
}

/// The tax is the sum of its parts in the newer shape and one number in the older one.
#[test]
fn invoices_tell_their_tax_and_what_became_of_the_balance() {
    let mut value = new_invoice();
    value["total_taxes"] =
        json!([{"amount": 30, "tax_behavior": "exclusive"}, {"amount": 6, "tax_behavior": "inclusive"}]);
    value["starting_balance"] = json!(-500);
    value["ending_balance"] = json!(0);
    let read = ObservedInvoice::read(&value).unwrap();
    assert_eq!((read.tax, read.starting_balance, read.ending_balance), (36, Some(-500), Some(0)));
    let mut value = old_invoice();
    assert_eq!(ObservedInvoice::read(&value).unwrap().tax, 0);
    value["tax"] = json!(42);
    let read = ObservedInvoice::read(&value).unwrap();
    assert_eq!((read.tax, read.starting_balance), (42, None), "what is not told is not guessed");
}

/// The provider's own sample objects, when they are beside the repository.
#[test]
fn published_samples_can_be_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/specs/stripe/fixtures3.json");
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("SKIPPED: the provider's samples are not beside the repository: {error}");
            return;
        }
    };
    let samples: Value = serde_json::from_slice(&bytes).unwrap();
    let sample = |name: &str| samples["resources"][name].clone();
    let subscription = ObservedSubscription::read(&sample("subscription")).unwrap();
    assert_eq!((subscription.status.as_str(), subscription.items[0].unit_amount), ("active", Some(2000)));
    assert_eq!(subscription.items[0].current_period_end_s, Some(976_287_773));
    assert_eq!(ObservedInvoice::read(&sample("invoice")).unwrap().total, 1000);
    assert_eq!(ObservedCheckout::read(&sample("checkout.session")).unwrap().payment_status, "unpaid");
    assert_eq!(ObservedPaymentIntent::read(&sample("payment_intent")).unwrap().amount, 1099);
    assert_eq!(ObservedCharge::read(&sample("charge")).unwrap().amount, 100);
    assert_eq!(ObservedBalanceTransaction::read(&sample("balance_transaction")).unwrap().amount, 100);
    assert_eq!(ObservedBalance::read(&sample("balance")).unwrap().available.len(), 1);
    assert_eq!(ObservedPayout::read(&sample("payout")).unwrap().amount, 1100);
    assert_eq!(ObservedRefund::read(&sample("refund")).unwrap().status.as_deref(), Some("succeeded"));
    assert!(ObservedCustomer::read(&sample("customer")).unwrap().email.is_none());
    assert!(ObservedCustomer::read(&sample("deleted_customer")).unwrap().deleted);
    assert_eq!(ObservedPrice::read(&sample("price")).unwrap().unit_amount, Some(2000));
    assert_eq!(ObservedProduct::read(&sample("product")).unwrap().name, "T-shirt");
    assert_eq!(ObservedAccount::read(&sample("account")).unwrap().country.as_deref(), Some("US"));
    assert_eq!(ObservedInvoicePayment::read(&sample("invoice_payment")).unwrap().invoice, "invoice");
    assert!(
        ObservedPortalSession::read(&sample("billing_portal.session")).unwrap().url.starts_with("https://")
    );
    assert_eq!(ObservedWebhookEndpoint::read(&sample("webhook_endpoint")).unwrap().enabled_events.len(), 2);
    assert_eq!(ListedEvent::read(&sample("event")).unwrap().event_type, "plan.created");
    assert_eq!(ObservedItem::read(&sample("subscription_item")).unwrap().currency, "usd");
    for (name, object) in samples["resources"].as_object().unwrap() {
        let text = json!({"id": "evt_1", "object": "event", "type": "t", "livemode": false, "data": {"object": object}}).to_string();
        let event = crate::event::Event::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(event.object_kind.as_deref(), object["object"].as_str(), "{name}");
        let kept = crate::redact::redact(text.as_bytes()).unwrap();
        for personal in ["Jenny", "@", "last4", "client_secret", "_secret_", "https://", "T-shirt"] {
            assert!(!kept.contains(personal), "{name}: {personal} in {kept}");
        }
    }
}

proptest! {
    /// Any JSON in place of any field gives an error or an object, never a panic.
    #[test]
    fn odd_fields_never_panic(index in any::<prop::sample::Index>(), which in 0_usize..8) {
        let odd = [json!(null), json!(7), json!(-1.5), json!("x"), json!([]), json!([1]), json!({}), json!({"id": "x", "data": [null]})];
        for mut value in [new_subscription(), old_invoice(), new_invoice()] {
            let names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            value[&names[index.index(names.len())]] = odd[which].clone();
            let _ = ObservedSubscription::read(&value);
            let _ = ObservedInvoice::read(&value);
            let _ = InvoicePreview::read(&value);
        }
    }
}
