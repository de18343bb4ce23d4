//! I2, notices: each fact was told to its customer once, nothing was told that never was, and what was written down has left.
//! Pure: what is compared has been read before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::book::{Buyer, Violation};
use crate::check::Finding;
use crate::http::{flag, items, number, text};
use crate::post::Letters;

fn broken(name: &str, expected: &str, found: impl std::fmt::Display) -> Finding {
    Some(Violation::new("I2", name, expected, found))
}

/// A buyer's notices beside the provider's books.
pub fn compare(name: &str, buyer: &Buyer, account: &Value, notices: &[Value], letters: &Letters) -> Finding {
    let mut facts: BTreeMap<(&str, &str, &str), &Value> = BTreeMap::new();
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for notice in notices {
        let (kind, object) = (kind_of(notice), text(notice, "object"));
        if let Some(other) = facts.insert((kind, object, occurrence(notice)), notice) {
            return broken(name, &format!("one notice: {other}"), format!("another: {notice}"));
        }
        *counts.entry((kind, object)).or_default() += 1;
    }
    for ((kind, object), count) in &counts {
        let most = most(kind, object, buyer, account);
        if *count > most {
            return broken(name, &format!("{kind} of {object} at most {most} times"), count);
        }
    }
    due(account)
        .into_iter()
        .find(|(kind, object)| !counts.contains_key(&(*kind, object.as_str())))
        .and_then(|(kind, object)| broken(name, &format!("{kind} of {object}"), "never told"))
        .or_else(|| notices.iter().find_map(|notice| left(name, notice, letters)))
}

/// A failed try is told in one of two ways.
fn kind_of(notice: &Value) -> &str {
    match text(notice, "type") {
        "payment_action_required" => "payment_failed",
        kind => kind,
    }
}

/// Access ends once at a moment, whatever took it.
fn occurrence(notice: &Value) -> &str {
    let occurrence = text(notice, "occurrence");
    match text(notice, "type") {
        "access_ended" => occurrence.split_once(':').map_or(occurrence, |(_, at)| at),
        _ => occurrence,
    }
}

fn is_paid(account: &Value, object: &str) -> bool {
    let invoice = items(account, "invoices").iter().find(|invoice| text(invoice, "id") == object);
    let session = items(account, "sessions").iter().find(|session| text(session, "id") == object);
    invoice.is_some_and(|invoice| text(invoice, "status") == "paid")
        || session.is_some_and(|session| text(session, "payment_status") == "paid")
}

fn has(account: &Value, field: &str, object: &str) -> bool {
    items(account, field).iter().any(|one| text(one, "id") == object)
}

/// How often at most a kind of fact can have come about, by the provider's books and by what was asked for.
fn most(kind: &str, object: &str, buyer: &Buyer, account: &Value) -> u64 {
    match kind {
        "receipt" | "payment_recovered" => u64::from(is_paid(account, object)),
        "refund_made" => u64::from(has(account, "refunds", object)),
        "payment_failed" => {
            let invoice = items(account, "invoices").iter().find(|invoice| text(invoice, "id") == object);
            invoice.map_or(0, |invoice| u64::try_from(number(invoice, "attempts")).unwrap_or(0))
        }
        "plan_changed" => {
            let made = buyer.changes.iter().filter(|change| change.made && change.subscription == object);
            made.count() as u64
        }
        // An end may be taken back, and the access of a purchase ends with its money.
        "access_ended" if has(account, "sessions", object) => u64::MAX,
        "access_ended" | "subscription_cancelled" | "grace_ending" | "renewal_ahead"
            if has(account, "subscriptions", object) =>
        {
            u64::MAX
        }
        // Nothing of this load has a trial, an announced change, a card about to expire, or money that takes days.
        _ => 0,
    }
}

/// What must have been told: each payment and each refund. All of it is younger than news are.
fn due(account: &Value) -> Vec<(&'static str, String)> {
    let paid = items(account, "invoices")
        .iter()
        .filter(|invoice| text(invoice, "status") == "paid" && number(invoice, "amount_paid") > 0)
        .chain(
            items(account, "sessions")
                .iter()
                .filter(|session| flag(session, "once") && text(session, "payment_status") == "paid"),
        );
    let given = items(account, "refunds").iter().filter(|refund| text(refund, "status") == "succeeded");
    let named = |kind: &'static str| move |one: &Value| (kind, text(one, "id").to_owned());
    paid.map(named("receipt")).chain(given.map(named("refund_made"))).collect()
}

/// What was written down was sent, or not sent because it was no longer so; what counts as sent has arrived.
fn left(name: &str, notice: &Value, letters: &Letters) -> Finding {
    let delivery = notice.get("delivery").unwrap_or(&Value::Null);
    match text(delivery, "state") {
        "suppressed" if text(notice, "type") != "receipt" => None,
        "delivered" => {
            let id = delivery.pointer("/mail/message_id").and_then(Value::as_str).unwrap_or_default();
            let arrived = letters.to(id);
            let wanted = format!("{name}@example.com");
            (arrived != BTreeSet::from([wanted.clone()])).then(|| {
                Violation::new(
                    "I1",
                    format!("{id} of {name}"),
                    format!("a letter to {wanted}"),
                    format!("{arrived:?}"),
                )
            })
        }
        _ => Some(Violation::new("I1", name, "a notice that has left", notice)),
    }
}

/// Whether a notice that is held back may have been sent: a try of it was cut off before it was recorded, and by the next one it
/// was no longer so.
pub fn may_have_left(notice: &Value) -> bool {
    let delivery = notice.get("delivery").unwrap_or(&Value::Null);
    let tries = items(delivery, "tries");
    let last = tries.iter().map(|one| number(one, "attempt")).max().unwrap_or(0);
    text(delivery, "state") == "suppressed" && usize::try_from(last).is_ok_and(|last| last > tries.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notice(kind: &str, object: &str, occurrence: &str) -> Value {
        json!({ "type": kind, "object": object, "occurrence": occurrence,
            "delivery": { "state": "delivered", "mail": { "message_id": "m@q" } } })
    }

    fn found(notices: &[Value]) -> bool {
        let account = json!({
            "invoices": [{ "id": "in_1", "status": "paid", "amount_paid": 5, "attempts": 2 },
                         { "id": "in_2", "status": "open", "amount_paid": 0, "attempts": 1 }],
            "refunds": [{ "id": "re_1", "status": "succeeded" }],
            "subscriptions": [{ "id": "sub_1" }],
        });
        let letters = Letters::default();
        letters.take("m@q", "ada@example.com");
        compare("ada", &Buyer::default(), &account, notices, &letters).is_some()
    }

    #[test]
    fn each_fact_is_told_once_and_nothing_else() {
        let told = || {
            vec![
                notice("receipt", "in_1", "paid"),
                notice("refund_made", "re_1", "made"),
                notice("payment_failed", "in_1", "1"),
            ]
        };
        let with = |more: Value| [told(), vec![more]].concat();
        assert!(!found(&told()));
        assert!(found(&told()[1..]), "no receipt");
        assert!(found(&told()[..1]), "a refund that nobody told of");
        assert!(found(&with(notice("receipt", "in_1", "paid again"))), "told twice under two keys");
        assert!(found(&with(notice("receipt", "in_2", "paid"))), "never paid");
        assert!(found(&with(notice("payment_action_required", "in_1", "1"))), "one try in both ways");
        assert!(!found(&with(notice("payment_failed", "in_1", "2"))));
        let thrice =
            [with(notice("payment_failed", "in_1", "2")), vec![notice("payment_failed", "in_1", "3")]];
        assert!(found(&thrice.concat()), "more failures than tries");
        assert!(found(&with(notice("plan_changed", "sub_1", "x"))), "nothing was changed");
        assert!(found(&with(notice("trial_ending", "sub_1", "x"))), "there was no trial");
    }

    #[test]
    fn a_try_that_was_cut_off_may_have_left() {
        let with = |state: &str, attempt: i64| {
            may_have_left(&json!({ "delivery": { "state": state, "tries": [{ "attempt": attempt }] } }))
        };
        assert!(with("suppressed", 2));
        assert!(!with("suppressed", 1) && !with("delivered", 2));
    }

    #[test]
    fn what_is_told_has_arrived() {
        let with = |change: fn(&mut Value)| {
            let mut receipt = notice("receipt", "in_1", "paid");
            change(&mut receipt);
            found(&[receipt, notice("refund_made", "re_1", "made")])
        };
        assert!(!with(|_| ()));
        assert!(with(|notice| notice["delivery"]["state"] = json!("pending")));
        assert!(with(|notice| notice["delivery"]["state"] = json!("suppressed")), "a receipt stays true");
        assert!(with(|notice| notice["delivery"]["mail"]["message_id"] = json!("other@q")));
    }
}
