//! The books of all accounts, held against each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::As;
use crate::client::{Client, id, number, text};

/// What an entry moved between accounts, and not in from a buyer, out to one, or to the provider; of payments, those that
/// came by a transfer did.
fn between(entry: &Value, passed: &BTreeSet<String>) -> i64 {
    let internal = match text(entry, "/type") {
        "adjustment" => text(entry, "/source").starts_with("fr_"),
        "application_fee" | "application_fee_refund" | "transfer" | "transfer_refund" => true,
        "payment" => passed.contains(text(entry, "/source")),
        "payment_refund" => text(entry, "/source").starts_with("pyr_"),
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
    let transfers = entries(|query| client.get("/v1/transfers", query));
    let passed: BTreeSet<String> =
        transfers.iter().map(|transfer| text(transfer, "/destination_payment").to_owned()).collect();
    let mut check = |entries: Vec<Value>, shown: Value| {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for entry in &entries {
            let fees: i64 =
                entry["fee_details"].as_array().unwrap().iter().map(|fee| number(fee, "/amount")).sum();
            assert_eq!(fees, number(entry, "/fee"), "{entry:#}");
            assert_eq!(number(entry, "/net"), number(entry, "/amount") - number(entry, "/fee"), "{entry:#}");
            let currency = text(entry, "/currency").to_owned();
            *sums.entry(currency.clone()).or_default() += number(entry, "/net");
            *moved.entry(currency).or_default() += between(entry, &passed);
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

fn sum(objects: &[Value], pointer: &str) -> i64 {
    objects.iter().map(|object| number(object, pointer)).sum()
}

/// Holds the sum of all books against what buyers paid and got back, less the provider's 3.6 %; and no more came back
/// of a transfer or a fee than there was. For books without disputes, in one currency.
pub fn check_total(client: &Client, accounts: &[String]) {
    let mut expected = 0;
    let mut total = 0;
    let mut add = |charges: Vec<Value>, refunds: Vec<Value>, shown: Value| {
        let bought = |charge: &&Value| charge["source_transfer"].is_null();
        let fees = |amount: i64| (amount * 36 + 500) / 1000;
        expected += charges
            .iter()
            .filter(bought)
            .map(|charge| number(charge, "/amount_captured"))
            .map(|taken| taken - fees(taken))
            .sum::<i64>();
        expected -= refunds
            .iter()
            .filter(|refund| refund["source_transfer_reversal"].is_null())
            .map(|refund| number(refund, "/amount"))
            .sum::<i64>();
        total += balance(&shown).values().sum::<i64>();
    };
    add(
        entries(|query| client.get("/v1/charges", query)),
        entries(|query| client.get("/v1/refunds", query)),
        client.get("/v1/balance", ""),
    );
    for account in accounts {
        let me = As { client, account };
        add(
            entries(|query| me.get("/v1/charges", query)),
            entries(|query| me.get("/v1/refunds", query)),
            me.get("/v1/balance", ""),
        );
    }
    assert_eq!(total, expected, "what buyers paid is not what is there");
    let transfers = entries(|query| client.get("/v1/transfers", query));
    assert!(transfers.iter().all(|one| number(one, "/amount_reversed") <= number(one, "/amount")));
    let fees = entries(|query| client.get("/v1/application_fees", query));
    assert!(fees.iter().all(|one| number(one, "/amount_refunded") <= number(one, "/amount")));
    let reversed = sum(&transfers, "/amount_reversed");
    let mut back = 0;
    for account in accounts {
        let me = As { client, account };
        back += sum(
            &entries(|query| me.get("/v1/charges", query))
                .into_iter()
                .filter(|charge| !charge["source_transfer"].is_null())
                .collect::<Vec<_>>(),
            "/amount_refunded",
        );
    }
    assert_eq!(reversed, back, "each reversal is a refund on the other side");
}
