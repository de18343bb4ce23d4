//! What stood in the ledger and is not so any more: taken back by reversal, and nothing else moves.

use quittance_domain::AggregateKey;
use quittance_domain::ledger::{Account, Key, Kind};
use quittance_store::aggregates::{self, Hint, Priority};
use quittance_store::ledger::of_object;
use serde_json::{Value, json};

use crate::house::{House, on_each};
use crate::known_kit::{Bent, bought_with, on_each_bent, text};
use crate::ledger::{agrees, look, yen};

/// An open invoice of 1,000 yen to a customer who has bought before; the provider's customer and the invoice.
async fn open_invoice(h: &House) -> (String, String) {
    let (buyer, _) = bought_with(h, "ada", "pm_card_visa").await;
    h.provider("POST", "/v1/invoiceitems", &format!("customer={buyer}&amount=1000&currency=jpy"));
    let form = format!("customer={buyer}&pending_invoice_items_behavior=include&auto_advance=false");
    let invoice = text(&h.provider("POST", "/v1/invoices", &form)["id"]);
    h.provider("POST", &format!("/v1/invoices/{invoice}/finalize"), "");
    look(h).await;
    assert_eq!(yen(h, Account::Receivable).await, 1_000);
    (buyer, invoice)
}

/// How often the entry of a key was written and taken back.
async fn turns(h: &House, kind: Kind, object: &str) -> Vec<bool> {
    let key = Key { scope: h.engine.scope().to_string(), kind, object: object.to_owned() };
    let rows = h.test.db.read("test.key", move |tx| of_object(tx, &key)).await.unwrap();
    rows.iter().map(|row| row.reverses).collect()
}

#[tokio::test]
async fn a_note_that_lowered_an_invoice_goes_with_it_when_it_is_voided() {
    on_each(|h| {
        Box::pin(async move {
            let (buyer, invoice) = open_invoice(h).await;
            let note =
                text(&h.provider("POST", "/v1/credit_notes", &format!("invoice={invoice}&amount=300"))["id"]);
            look(h).await;
            assert_eq!((yen(h, Account::Receivable).await, yen(h, Account::Refunds).await), (700, 300));
            h.provider("POST", &format!("/v1/invoices/{invoice}/void"), "");
            look(h).await;
            assert_eq!((yen(h, Account::Receivable).await, yen(h, Account::Refunds).await), (0, 0));
            assert_eq!(yen(h, Account::Revenue).await, -1_980, "only the first purchase is left");
            assert_eq!(turns(h, Kind::CreditNote, &note).await, [false, true]);
            look_through(h, &buyer).await;
            assert_eq!(turns(h, Kind::CreditNote, &note).await, [false, true], "once");
            agrees(h).await;
        })
    })
    .await;
}

/// A note that is heard of only when its invoice is already void, its event lost, books nothing.
#[tokio::test]
async fn a_note_of_an_invoice_that_is_void_by_then_is_never_booked() {
    on_each(|h| {
        Box::pin(async move {
            let (_, invoice) = open_invoice(h).await;
            let note =
                text(&h.provider("POST", "/v1/credit_notes", &format!("invoice={invoice}&amount=300"))["id"]);
            h.provider("POST", &format!("/v1/invoices/{invoice}/void"), "");
            look(h).await;
            assert_eq!((yen(h, Account::Receivable).await, yen(h, Account::Refunds).await), (0, 0));
            assert_eq!(turns(h, Kind::CreditNote, &note).await, Vec::<bool>::new());
            agrees(h).await;
        })
    })
    .await;
}

/// Has everything of a provider's customer read again, as after a sweep that found a difference.
async fn look_through(h: &House, buyer: &str) {
    let key = AggregateKey::customer(h.engine.scope().clone(), buyer).to_string();
    let now = h.engine.now();
    let mark = move |tx: &mut dyn quittance_store::Tx| {
        let hint = Hint { key: &key, priority: Priority::Sweep, due: now, unpark: false, thorough: true };
        aggregates::mark(tx, &hint, now)
    };
    h.test.db.write("test.mark", mark).await.unwrap();
    look(h).await;
}

/// Changes one invoice wherever it stands in an answer.
fn bend_invoice(bent: &Bent, id: &str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
    fn walk(value: &mut Value, id: &str, change: &dyn Fn(&mut Value)) {
        if value["object"] == "invoice" && value["id"] == id {
            change(value);
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, id, change)),
            Value::Object(fields) => fields.values_mut().for_each(|field| walk(field, id, change)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let id = id.to_owned();
    bent.bend(move |_, body| walk(body, &id, &change));
}

/// What was noted as paid elsewhere is read again: it is void, or owed, or a payment has paid it after all.
#[tokio::test]
async fn what_was_paid_outside_is_taken_back_when_the_provider_shows_it_otherwise() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            let (buyer, invoice) = open_invoice(h).await;
            h.provider("POST", &format!("/v1/invoices/{invoice}/pay"), "paid_out_of_band=true");
            look(h).await;
            assert_eq!((yen(h, Account::Receivable).await, yen(h, Account::Bank).await), (0, 1_000));
            let again = async |receivable, bank, turned: &[bool]| {
                look_through(h, &buyer).await;
                let found = (yen(h, Account::Receivable).await, yen(h, Account::Bank).await);
                assert_eq!(found, (receivable, bank));
                assert_eq!(turns(h, Kind::PaidOutside, &invoice).await, turned);
            };
            again(0, 1_000, &[false]).await;

            bend_invoice(bent, &invoice, |found| {
                found["status"] = json!("void");
                found["amount_paid"] = json!(0);
            });
            again(0, 0, &[false, true]).await;

            bend_invoice(bent, &invoice, |found| {
                found["status"] = json!("open");
                found["amount_paid"] = json!(0);
                found["amount_remaining"] = json!(1_000);
            });
            again(1_000, 0, &[false, true]).await;

            bent.straighten();
            again(0, 1_000, &[false, true, false]).await;

            // The payment itself would come by its balance transaction.
            bend_invoice(bent, &invoice, |found| {
                found["payments"] = json!({ "object": "list", "has_more": false, "data": [{
                    "object": "invoice_payment", "id": "inpay_late", "status": "paid", "amount_paid": 1_000,
                    "payment": { "type": "payment_intent", "payment_intent": "pi_late" },
                }] });
            });
            again(1_000, 0, &[false, true, false, true]).await;
        })
    })
    .await;
}
