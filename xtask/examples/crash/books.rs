//! I6, money: the product's ledger beside the provider's books. Pure: what is compared has been read before.
//!
//! Sums are made here once more, from the lines as the API gives them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::book::Violation;
use crate::check::Finding;
use crate::http::{flag, items, number, text};

/// What an entry stands for: its type and the provider's id.
type Name<'a> = (&'a str, &'a str);

/// What the provider has.
pub struct Provider<'a> {
    /// Its books, by customer.
    pub ledger: &'a Value,
    /// Its balance transactions.
    pub moved: &'a [Value],
    /// Its invoices.
    pub invoices: &'a [Value],
}

fn broken(object: &str, expected: String, found: impl std::fmt::Display) -> Finding {
    Some(Violation::new("I6", object, expected, found))
}

/// What an entry posts to an account, in minor units; this load has one currency.
fn posted(entry: &Value, account: &str) -> i64 {
    let lines = items(entry, "postings").iter().filter(|line| text(line, "account") == account);
    lines.map(|line| number(line, "amount")).sum()
}

/// Entries balance, each thing stands once at most, and what stands is what the provider has: every movement of its balance, and
/// behind them every payment, refund and dispute; every invoice, and every sale without one.
pub fn compare(entries: &[Value], provider: &Provider<'_>) -> Finding {
    let mut standing: BTreeMap<Name<'_>, Vec<&Value>> = BTreeMap::new();
    // The list is newest first.
    for entry in entries.iter().rev() {
        let name = (text(entry, "type"), text(entry, "object"));
        let sum: i64 = items(entry, "postings").iter().map(|line| number(line, "amount")).sum();
        if sum != 0 {
            return broken(name.1, format!("a {} that sums to nothing", name.0), entry);
        }
        let stands = standing.entry(name).or_default();
        match (flag(entry, "reverses"), stands.is_empty()) {
            (false, true) => stands.push(entry),
            (true, false) => stands.clear(),
            (_, _) => return broken(name.1, format!("one {} that stands", name.0), entry),
        }
    }
    standing.retain(|_, stands| !stands.is_empty());
    let standing: BTreeMap<Name<'_>, &Value> =
        standing.into_iter().filter_map(|(name, stands)| Some((name, *stands.first()?))).collect();
    balance(&standing, provider)
        .or_else(|| invoices(&standing, provider.invoices))
        .or_else(|| sales(&standing, provider.ledger))
}

/// Every movement of the balance stands once, by its amount, and nothing else does.
fn balance(standing: &BTreeMap<Name<'_>, &Value>, provider: &Provider<'_>) -> Finding {
    let mut left: BTreeSet<&str> = standing
        .keys()
        .filter(|(kind, _)| *kind == "balance_transaction")
        .map(|(_, object)| *object)
        .collect();
    let mut sources: BTreeSet<&str> = BTreeSet::new();
    for movement in provider.moved {
        let id = text(movement, "id");
        let entry = standing.get(&("balance_transaction", id)).copied().unwrap_or(&Value::Null);
        let (net, ours) = (number(movement, "net"), posted(entry, "provider_balance"));
        if entry.is_null() || net != ours {
            return broken(id, format!("an entry of {net}: {movement}"), entry);
        }
        if text(entry, "source") != text(movement, "source") {
            return broken(id, format!("the source {}", text(movement, "source")), entry);
        }
        sources.insert(text(entry, "source"));
        left.remove(id);
    }
    if let Some(id) = left.first() {
        return broken(id, "an object of the provider".to_owned(), "an entry alone");
    }
    // The provider's own two sides agree, so that nothing is missing from both.
    let all = |field: &'static str| {
        items(provider.ledger, "customers").iter().flat_map(move |customer| items(customer, field))
    };
    let taken = all("charges").filter(|charge| flag(charge, "paid"));
    let given = all("refunds").filter(|refund| text(refund, "status") == "succeeded");
    let mut moved = taken.chain(given).chain(all("disputes")).map(|object| text(object, "id"));
    moved.find(|id| !sources.contains(id)).and_then(|id| broken(id, "an entry".to_owned(), "none"))
}

/// What customers owe by each invoice is what the books say; a draft and one that is void say nothing.
fn invoices(standing: &BTreeMap<Name<'_>, &Value>, invoices: &[Value]) -> Finding {
    invoices.iter().find_map(|invoice| {
        let (id, status) = (text(invoice, "id"), text(invoice, "status"));
        let sold = number(invoice, "total") + number(invoice, "starting_balance")
            - number(invoice, "ending_balance");
        let wanted = match status {
            "open" | "paid" => sold,
            "uncollectible" => sold - number(invoice, "amount_remaining"),
            _ => 0,
        };
        let of = |kind: &'static str| standing.get(&(kind, id)).copied();
        let owed: i64 =
            of("invoice").into_iter().chain(of("write_off")).map(|entry| posted(entry, "receivable")).sum();
        let stands = matches!(status, "open" | "paid" | "uncollectible") && number(invoice, "total") != 0;
        if owed != wanted || stands != of("invoice").is_some() {
            return broken(
                id,
                format!("{wanted} to receive ({status})"),
                format!("{owed}: {:?}", of("invoice")),
            );
        }
        None
    })
}

/// Every sale without an invoice that was paid stands once.
fn sales(standing: &BTreeMap<Name<'_>, &Value>, ledger: &Value) -> Finding {
    let mut left: BTreeSet<&str> =
        standing.keys().filter(|(kind, _)| *kind == "purchase").map(|(_, object)| *object).collect();
    for customer in items(ledger, "customers") {
        let sold = |session: &&Value| flag(session, "once") && text(session, "payment_status") == "paid";
        for session in items(customer, "sessions").iter().filter(sold) {
            let (id, intent) = (text(session, "id"), text(session, "payment_intent"));
            let charge = items(customer, "charges")
                .iter()
                .find(|charge| flag(charge, "paid") && text(charge, "payment_intent") == intent);
            let amount = charge.map_or(0, |charge| number(charge, "amount"));
            let entry = standing.get(&("purchase", id)).copied().unwrap_or(&Value::Null);
            if posted(entry, "receivable") != amount {
                return broken(id, format!("a sale of {amount}"), entry);
            }
            left.remove(id);
        }
    }
    left.first().and_then(|id| broken(id, "a sale of the provider".to_owned(), "an entry alone"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(kind: &str, object: &str, account: &str, amount: i64) -> Value {
        json!({ "type": kind, "object": object, "source": "ch_1", "reverses": false, "postings": [
            { "account": account, "amount": amount, "currency": "jpy" },
            { "account": "revenue", "amount": -amount, "currency": "jpy" },
        ] })
    }

    fn found(entries: &[Value]) -> Option<String> {
        let ledger =
            json!({ "customers": [{ "charges": [{ "id": "ch_1", "paid": true }], "sessions": [] }] });
        let moved = [json!({ "id": "txn_1", "net": 90, "source": "ch_1" })];
        let invoices = [json!({ "id": "in_1", "status": "paid", "total": 100 })];
        let provider = Provider { ledger: &ledger, moved: &moved, invoices: &invoices };
        compare(entries, &provider).map(|violation| violation.object)
    }

    #[test]
    fn each_thing_stands_once_by_its_amount() {
        let movement = entry("balance_transaction", "txn_1", "provider_balance", 90);
        let sale = entry("invoice", "in_1", "receivable", 100);
        assert_eq!(found(&[movement.clone(), sale.clone()]), None);
        assert_eq!(found(std::slice::from_ref(&movement)).as_deref(), Some("in_1"), "an invoice is missing");
        assert_eq!(found(std::slice::from_ref(&sale)).as_deref(), Some("txn_1"), "a payment is missing");
        let twice = [movement.clone(), movement.clone(), sale.clone()];
        assert_eq!(found(&twice).as_deref(), Some("txn_1"), "twice");
        let mut back = movement.clone();
        back["reverses"] = json!(true);
        assert_eq!(found(&[movement.clone(), back, movement.clone(), sale.clone()]), None, "corrected");
        let other = entry("balance_transaction", "txn_1", "provider_balance", 91);
        assert_eq!(found(&[other, sale.clone()]).as_deref(), Some("txn_1"), "another amount");
        let strange = entry("balance_transaction", "txn_2", "provider_balance", 1);
        assert_eq!(found(&[movement.clone(), sale.clone(), strange]).as_deref(), Some("txn_2"));
        let mut odd = sale;
        odd["postings"][0]["amount"] = json!(99);
        assert_eq!(found(&[movement, odd]).as_deref(), Some("in_1"), "it does not balance");
    }
}
