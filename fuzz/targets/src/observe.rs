//! The provider's answers: every reader takes any JSON, and one object that cannot be read hides no other.
//!
//! Input: one object as JSON.

use quittance_stripe::answer::read_answer;
use quittance_stripe::calls::{self, Call, Paging, events, invoices, payments, prices, subscriptions};
use quittance_stripe::http::HttpResponse;
use quittance_stripe::observe::{
    InvoicePreview, ObservedAccount, ObservedCharge, ObservedCheckout, ObservedCustomer, ObservedDispute,
    ObservedInvoice, ObservedPortalSession, ObservedPrice, ObservedProduct, ObservedSubscription, Page,
    ShapeError,
};
use serde_json::{Value, json};

/// Each reader answers or names the field that it misses; lists keep what could be read and set the rest aside as odd.
pub fn observe(input: &[u8]) {
    answers(input);
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
    named(ObservedSubscription::read(&value));
    named(ObservedInvoice::read(&value));
    named(InvoicePreview::read(&value));
    named(ObservedCheckout::read(&value));
    named(ObservedCustomer::read(&value));
    named(ObservedCharge::read(&value));
    named(ObservedDispute::read(&value));
    named(ObservedPrice::read(&value));
    named(ObservedProduct::read(&value));
    named(ObservedAccount::read(&value));
    named(ObservedPortalSession::read(&value));
    let paging = Paging::default();
    page(&subscriptions::list(&subscriptions::ListSubscriptions::default()), &value);
    page(&subscriptions::list_items("sub_1", paging), &value);
    page(&invoices::list(&invoices::ListInvoices::default()), &value);
    page(&invoices::list_payments(invoices::PaymentOf::Invoice("in_1"), paging), &value);
    page(&payments::list_intents("cus_1", paging), &value);
    page(&payments::list_charges("cus_1", paging), &value);
    page(&payments::list_refunds(payments::Paid::Charge("ch_1"), paging), &value);
    page(&prices::list(&prices::ListPrices::default()), &value);
    page(&events::list(&events::ListEvents::default()), &value);
    page(&calls::checkout::list("cus_1", paging), &value);
    page(&calls::customers::list(None, paging), &value);
    page(&calls::disputes::list("pi_1", paging), &value);
    page(&calls::webhook_endpoints::list(paging), &value);
}

fn named<T>(read: Result<T, ShapeError>) -> bool {
    if let Err(error) = &read {
        assert!(!error.object.is_empty() && error.to_string().contains(error.object), "{error:?}");
        assert!(error.id.as_ref().is_none_or(|id| id.chars().count() <= 255));
    }
    read.is_ok()
}

/// The object between two that no reader can read, alone, and as the list itself.
fn page<T>(call: &Call<Page<T>>, value: &Value) {
    let odd = json!({ "id": "odd_1", "object": 7 });
    let list = |data: Value| json!({ "object": "list", "data": data, "has_more": false });
    let alone = call.read(&list(json!([value]))).expect("one object makes no list unreadable");
    assert_eq!(alone.items.len() + alone.odd.len(), 1);
    let between = call.read(&list(json!([odd, value, odd]))).expect("nor do three");
    assert_eq!(between.items.len(), alone.items.len(), "{} depends on its neighbours", call.endpoint());
    assert_eq!(between.odd.len(), 3 - between.items.len());
    assert_eq!((between.first_id.as_deref(), between.last_id.as_deref()), (Some("odd_1"), Some("odd_1")));
    for found in between.odd {
        named(Err::<(), _>(found.error));
    }
    let more = call.read(&json!({ "object": "list", "data": [value], "has_more": true }));
    // More pages after an object without an id could not be asked for.
    assert_eq!(more.is_ok(), value["id"].is_string(), "{}", call.endpoint());
    let _ = call.read(value);
}

/// Whatever the status, an answer is JSON or an error that repeats no address.
fn answers(body: &[u8]) {
    for status in [200, 202, 301, 400, 402, 404, 409, 429, 500, 503, 999] {
        let response = HttpResponse { status, headers: Vec::new(), body: body.to_vec() };
        for read_only in [true, false] {
            match read_answer(&response, read_only) {
                Ok(_) => assert!((200..300).contains(&status)),
                Err(error) => {
                    let words = error.to_string();
                    assert!(!words.contains('@') && !words.contains("sk_live_"), "{words}");
                }
            }
        }
    }
}
