//! Subscriptions that change while a meter counts: each part of a period is billed at its own price.

use crate::client::{DAY, HOUR, id, number, text};
use crate::metered::{END, lines, metered};

#[test]
fn another_price_bills_each_part_at_its_own() {
    for (proration, expected) in [("create_prorations", 1000 + 400), ("none", 400)] {
        let set = metered("unit_amount=100");
        let other = set.another("unit_amount=200");
        let subscription = set.subscribe("");
        let item = text(&subscription, "/items/data/0/id").to_owned();
        set.use_up(10);
        set.client.sandbox.advance_time(15 * DAY);
        let changed = set.client.post(
            &format!("/v1/subscriptions/{}", id(&subscription)),
            &format!("items[0][id]={item}&items[0][price]={other}&proration_behavior={proration}"),
        );
        assert_eq!(number(&changed, "/items/data/0/current_period_end"), END);
        let waiting = set.client.get("/v1/invoiceitems", &format!("customer={}&pending=true", set.customer));
        assert_eq!(waiting["data"].as_array().unwrap().len(), usize::from(proration != "none"));
        set.use_up(2);
        set.client.sandbox.advance_time_to(END + 2 * HOUR);
        assert_eq!(set.paid(), expected, "{proration}");
        set.client.sandbox.advance_time_to(END + 28 * DAY + 2 * HOUR);
        assert_eq!(set.paid(), expected, "{proration}");
    }
}

#[test]
fn a_removed_item_and_a_new_period_bill_what_was_used() {
    let set = metered("unit_amount=100");
    let base = set.client.price(1000, "usd", "month");
    let subscription = set.subscribe(&format!("items[1][price]={base}"));
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    set.use_up(4);
    set.client.sandbox.advance_time(31 * DAY / 2);
    let reset = set
        .client
        .post(&path, "billing_cycle_anchor[type]=now&proration_behavior=none&expand[]=latest_invoice");
    assert_eq!(number(&reset, "/latest_invoice/total"), 400 + 1000);
    set.use_up(6);
    set.client.sandbox.advance_time(DAY);
    let item = text(&subscription, "/items/data/0/id");
    let change = format!("items[0][id]={item}&items[0][deleted]=true&proration_behavior=always_invoice");
    let removed = set.client.post(&path, &format!("{change}&expand[]=latest_invoice"));
    assert_eq!(lines(&removed["latest_invoice"]), [("6 × Calls (at $1.00 / month)".to_owned(), 6, 600)]);
    assert_eq!(set.paid(), 1000 + 1400 + 600);
    set.use_up(50);
    set.client.sandbox.advance_time(31 * DAY);
    assert_eq!(set.paid(), 1000 + 1400 + 600 + 1000);
}

#[test]
fn from_a_flat_fee_to_usage_and_back() {
    let set = metered("unit_amount=100&currency_options[eur][unit_amount]=80");
    let flat = set.client.price(1000, "usd", "month");
    let subscription = set.client.subscribe(&set.customer, &flat, "items[0][quantity]=2");
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    let item = text(&subscription, "/items/data/0/id");
    set.client.sandbox.advance_time(31 * DAY / 2);
    let usage =
        format!("items[0][id]={item}&items[0][price]={}&proration_behavior=always_invoice", set.price);
    let by_usage = set.client.post(&path, &format!("{usage}&expand[]=latest_invoice"));
    assert_eq!(number(&by_usage, "/latest_invoice/total"), -1000, "half of two flat fees is credit");
    assert_eq!(number(&by_usage, "/items/data/0/current_period_end"), END);
    set.use_up(3);
    set.client.sandbox.advance_time(DAY);
    let back = format!("items[0][id]={item}&items[0][price]={flat}&proration_behavior=always_invoice");
    let flat_again = set.client.post(&path, &format!("{back}&expand[]=latest_invoice"));
    assert_eq!(number(&flat_again, "/items/data/0/quantity"), 1);
    let amounts: Vec<i64> = lines(&flat_again["latest_invoice"]).iter().map(|(_, _, sum)| *sum).collect();
    assert_eq!(amounts, [300, 468], "the usage, and 14.5 of 31 days of one flat fee");
    assert_eq!(number(&flat_again, "/items/data/0/current_period_end"), END);
}

#[test]
fn an_item_that_joins_later_is_billed_from_then_on() {
    let set = metered("unit_amount=100");
    let base = set.client.price(1000, "usd", "month");
    let subscription = set.client.subscribe(&set.customer, &base, "");
    set.use_up(1000);
    set.client.sandbox.advance_time(10 * DAY);
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    let joined = set.client.post(&path, &format!("items[0][price]={}", set.price));
    assert_eq!(number(&joined, "/items/data/0/current_period_end"), END, "nothing begins anew");
    set.use_up(3);
    set.client.sandbox.advance_time_to(END + 2 * HOUR);
    assert_eq!(set.paid(), 1000 + 1000 + 300);
}
