//! I8 and I7, changes: each change that was answered is billed once at most, by an invoice of its own, of what it asked for and
//! while it was asked for; nothing else is billed between two renewals. Pure: what is compared has been read before.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::book::{Buyer, Change, Violation};
use crate::check::Finding;
use crate::http::{flag, items, number, text};
use crate::mirror::Prices;

/// An invoice of the provider for a change.
struct Bill<'a> {
    id: &'a str,
    subscription: &'a str,
    plan: String,
    quantity: i64,
    created: i64,
    paid: bool,
}

/// Compares the provider's invoices between two renewals with the changes that were answered, one by one.
pub fn each_once(name: &str, buyer: &Buyer, invoices: &[Value], prices: &Prices) -> Finding {
    let updates = invoices.iter().filter(|invoice| {
        text(invoice, "billing_reason") == "subscription_update" && text(invoice, "status") != "void"
    });
    let mut renewals: BTreeMap<&str, u64> = BTreeMap::new();
    let mut bills = Vec::new();
    for invoice in updates {
        let subscription = invoice.pointer("/parent/subscription_details/subscription");
        let subscription = subscription.and_then(Value::as_str).unwrap_or_default();
        match charged_for(invoice) {
            Some(line) => bills.push(bill(invoice, subscription, line, prices)),
            // A credit alone gives units back and bills none.
            None if lines(invoice).iter().any(is_proration) => {}
            None => *renewals.entry(subscription).or_default() += 1,
        }
    }
    for (subscription, count) in renewals {
        let most = buyer.renewals.get(subscription).copied().unwrap_or(0);
        if count > most {
            let object = format!("{subscription} of {name}");
            return Some(Violation::new("I7", object, format!("at most {most} renewals"), count));
        }
    }
    bills.sort_by_key(|bill| (bill.created, bill.id.to_owned()));
    let mut open: Vec<&Change> = buyer.changes.iter().collect();
    open.sort_by_key(|change| change.ended);
    for bill in bills {
        // What could hold the fewest later bills is taken first.
        let Some(at) = open.iter().position(|change| bill.is_of(change)) else {
            return Some(Violation::new(
                "I8",
                format!("{} of {name}", bill.id),
                format!("one change of its own to {} × {} at {}", bill.quantity, bill.plan, bill.created),
                format!("{:?}", buyer.changes),
            ));
        };
        let change = open.remove(at);
        if bill.paid && !change.made {
            let what = format!("nothing paid for a change that was refused: {change:?}");
            return Some(Violation::new("I7", format!("{} of {name}", bill.id), what, "paid"));
        }
    }
    None
}

impl Bill<'_> {
    fn is_of(&self, change: &Change) -> bool {
        self.subscription == change.subscription
            && self.plan == change.plan
            && self.quantity == change.quantity
            && (change.began..=change.ended).contains(&self.created)
    }
}

fn lines(invoice: &Value) -> &[Value] {
    invoice.get("lines").map_or(&[], |lines| items(lines, "data"))
}

fn is_proration(line: &Value) -> bool {
    ["subscription_item_details", "invoice_item_details"]
        .iter()
        .filter_map(|kind| line.get("parent")?.get(kind))
        .any(|details| flag(details, "proration"))
}

/// The line for the rest of the period, after what is given back.
fn charged_for(invoice: &Value) -> Option<&Value> {
    lines(invoice).iter().find(|line| is_proration(line) && number(line, "amount") > 0)
}

fn bill<'a>(invoice: &'a Value, subscription: &'a str, line: &'a Value, prices: &Prices) -> Bill<'a> {
    let price = line.pointer("/pricing/price_details/price").and_then(Value::as_str).unwrap_or_default();
    Bill {
        id: text(invoice, "id"),
        subscription,
        plan: prices.plan(price),
        quantity: number(line, "quantity"),
        created: number(invoice, "created"),
        paid: text(invoice, "status") == "paid",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(plan: &str, began: i64, ended: i64, made: bool) -> Change {
        let (subscription, plan) = ("sub_1".to_owned(), plan.to_owned());
        Change { subscription, plan, quantity: 1, began, ended, made }
    }

    fn invoice(id: &str, price: &str, created: i64) -> Value {
        let line = |amount: i64, price: &str| {
            json!({ "amount": amount, "quantity": 1, "pricing": { "price_details": { "price": price } },
                "parent": { "subscription_item_details": { "proration": true } } })
        };
        json!({
            "id": id, "billing_reason": "subscription_update", "status": "paid", "created": created,
            "parent": { "subscription_details": { "subscription": "sub_1" } },
            "lines": { "data": [line(-10, "price_other"), line(20, price)] },
        })
    }

    fn found(changes: Vec<Change>, invoices: &[Value]) -> Option<&'static str> {
        let prices = Prices::read(&[
            json!({ "id": "price_pro", "lookup_key": "pro_month_jpy" }),
            json!({ "id": "price_studio", "lookup_key": "studio_month_jpy" }),
        ]);
        let buyer = Buyer { changes, ..Buyer::default() };
        each_once("ada", &buyer, invoices, &prices).map(|violation| violation.invariant)
    }

    #[test]
    fn a_change_has_one_bill_while_it_was_asked_for() {
        let both = || vec![change("studio", 10, 20, true), change("pro", 15, 18, true)];
        let fine = [invoice("in_1", "price_studio", 19), invoice("in_2", "price_pro", 16)];
        assert_eq!(found(both(), &fine), None);
        assert_eq!(found(both(), &[]), None, "a change may cost nothing");
        let twice = [invoice("in_1", "price_studio", 12), invoice("in_2", "price_studio", 14)];
        assert_eq!(found(both(), &twice), Some("I8"), "one change, two bills, fewer than there were changes");
        assert_eq!(found(both(), &[invoice("in_1", "price_studio", 21)]), Some("I8"), "after its answer");
        assert_eq!(found(both(), &[invoice("in_1", "price_pro", 12)]), Some("I8"), "before it was asked for");
    }

    #[test]
    fn a_change_that_was_refused_is_not_paid() {
        let refused = vec![change("studio", 10, 20, false)];
        assert_eq!(found(refused, &[invoice("in_1", "price_studio", 12)]), Some("I7"));
    }

    #[test]
    fn a_renewal_is_one_that_was_made() {
        let whole = json!({
            "id": "in_1", "billing_reason": "subscription_update", "status": "paid", "created": 5,
            "parent": { "subscription_details": { "subscription": "sub_1" } },
            "lines": { "data": [{ "amount": 20, "parent": { "subscription_item_details": { "proration": false } } }] },
        });
        assert_eq!(found(Vec::new(), &[whole]), Some("I7"));
    }
}
