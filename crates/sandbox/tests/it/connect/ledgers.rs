//! The books of all accounts, held against each other.

use std::collections::BTreeMap;

use serde_json::Value;

use super::As;
use crate::client::{Client, id, number, text};

/// What an entry moved between accounts, and not in from a buyer, out to one, or to the provider.
fn between(entry: &Value) -> i64 {
    let internal = match text(entry, "/type") {
        "adjustment" => text(entry, "/source").starts_with("fr_"),
        "application_fee"
        | "application_fee_refund"
        | "payment"
        | "payment_refund"
        | "transfer"
        | "transfer_refund" => true,
        _ => false,
    };
    let fees = entry["fee_details"].as_array().unwrap();
    let taken: i64 =
        fees.iter().filter(|fee| fee["type"] == "application_fee").map(|fee| number(fee, "/amount")).sum();
    (if internal { number(entry, "/amount") } else { 0 }) - taken
}

/// All entries of a list, newest first.
pub fn entries(list: impl Fn(&str) -> Value) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map(|entry| format!("&starting_after={}", id(entry))).unwrap_or_default();
        let page = list(&format!("limit=100{after}"));
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            return all;
        }
    }
}

/// Net amounts by currency, as the balance has them.
pub fn balance(value: &Value) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for part in ["available", "pending"] {
        for sum in value[part].as_array().unwrap() {
            *sums.entry(text(sum, "/currency").to_owned()).or_default() += number(sum, "/amount");
        }
    }
    sums
}

/// Holds all books against each other: every balance is the sum of its entries, each entry adds up, and what moved
/// between accounts sums to zero.
pub fn check_books(client: &Client, accounts: &[String]) {
    let mut moved: BTreeMap<String, i64> = BTreeMap::new();
    let mut check = |entries: Vec<Value>, shown: Value| {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for entry in &entries {
            let fees: i64 =
                entry["fee_details"].as_array().unwrap().iter().map(|fee| number(fee, "/amount")).sum();
            assert_eq!(fees, number(entry, "/fee"), "{entry:#}");
            assert_eq!(number(entry, "/net"), number(entry, "/amount") - number(entry, "/fee"), "{entry:#}");
            let currency = text(entry, "/currency").to_owned();
            *sums.entry(currency.clone()).or_default() += number(entry, "/net");
            *moved.entry(currency).or_default() += between(entry);
        }
        assert_eq!(balance(&shown), sums);
    };
    check(entries(|query| client.get("/v1/balance_transactions", query)), client.get("/v1/balance", ""));
    for account in accounts {
        let me = As { client, account };
        check(entries(|query| me.get("/v1/balance_transactions", query)), me.get("/v1/balance", ""));
    }
    assert!(moved.values().all(|sum| *sum == 0), "money came or went between accounts: {moved:?}");
}
