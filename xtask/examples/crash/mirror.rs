//! One buyer at the provider beside the same buyer in the product. Pure: what is compared has been read before.
//!
//! The table of access stands here a second time on purpose: the product is not asked for its own rules.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::book::Violation;
use crate::check::Finding;
use crate::http::{flag, items, number, text};

/// The provider's prices by id, as plan and interval.
pub struct Prices(BTreeMap<String, (String, String)>);

impl Prices {
    /// Reads the provider's list; a lookup key is `plan_interval_currency`.
    pub fn read(prices: &[Value]) -> Self {
        let known = prices.iter().filter_map(|price| {
            let mut words = text(price, "lookup_key").split('_');
            Some((text(price, "id").to_owned(), (words.next()?.to_owned(), words.next()?.to_owned())))
        });
        Self(known.collect())
    }

    /// The plan that a price is of; empty for one that is not known.
    pub fn plan(&self, price: &str) -> String {
        self.0.get(price).map(|(plan, _)| plan.clone()).unwrap_or_default()
    }
}

fn is_over(status: &str) -> bool {
    matches!(status, "canceled" | "incomplete_expired")
}

/// What the provider says of a subscription, in the product's words.
fn wanted(account: &Value, subscription: &Value, prices: &Prices) -> Value {
    let item = items(subscription, "items").first();
    let price = item.and_then(|item| item.get(0)).and_then(Value::as_str).unwrap_or_default();
    let (plan, interval) = prices.0.get(price).cloned().unwrap_or_default();
    json!({
        "status": text(subscription, "status"),
        "plan": plan,
        "interval": interval,
        "quantity": item.and_then(|item| item.get(1)),
        "current_period_end": number(subscription, "current_period_end"),
        "cancel_at_period_end": flag(subscription, "cancel_at_period_end"),
        "access": access(account, subscription),
    })
}

fn access(account: &Value, subscription: &Value) -> &'static str {
    let id = text(subscription, "id");
    let latest = items(account, "invoices").iter().rfind(|invoice| text(invoice, "subscription") == id);
    let latest = latest.map_or("", |invoice| text(invoice, "id"));
    let came_back = |charge: &Value| {
        flag(charge, "disputed") || number(charge, "amount_refunded") >= number(charge, "amount")
    };
    let paid = |charge: &&Value| text(charge, "invoice") == latest && flag(charge, "paid");
    if items(account, "charges").iter().filter(paid).any(came_back) {
        return "revoked";
    }
    match text(subscription, "status") {
        "active" | "trialing" => "granted",
        "past_due" => "grace",
        "incomplete" => "pending",
        _ => "revoked",
    }
}

fn found(seen: &Value) -> Value {
    let end = text(seen, "current_period_end");
    json!({
        "status": text(seen, "status"),
        "plan": text(seen, "plan"),
        "interval": text(seen, "interval"),
        "quantity": seen.get("quantity"),
        "current_period_end": seconds(end),
        "cancel_at_period_end": flag(seen, "cancel_at_period_end"),
        "access": text(seen, "access"),
    })
}

/// Unix seconds of `2026-11-26T04:35:21Z`, with or without a fraction; 0 for anything else.
fn seconds(time: &str) -> i64 {
    let numbers: Vec<i64> =
        time.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    let [year, month, day, hour, minute, second, ..] = numbers.as_slice() else { return 0 };
    // Days since 1970 by years that begin in March.
    let (year, month) = if *month < 3 { (year - 1, month + 9) } else { (*year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    ((days * 24 + hour) * 60 + minute) * 60 + second
}

/// I3 and I7: the mirror equals the provider, access and entitlements follow from it, and one subscription lives.
pub fn compare(name: &str, account: &Value, seen: &Value, prices: &Prices) -> Finding {
    let mirrored = items(seen, "subscriptions");
    let there = items(account, "subscriptions");
    if mirrored.len() != there.len() {
        return Some(Violation::new("I3", name, format!("{} subscriptions", there.len()), seen));
    }
    let live: Vec<&str> =
        there.iter().filter(|s| !is_over(text(s, "status"))).map(|s| text(s, "id")).collect();
    if live.len() > 1 {
        return Some(Violation::new("I7", name, "one live subscription", live.join(", ")));
    }
    let mut features = BTreeMap::from([("article:full", false), ("course:library", false)]);
    for subscription in there {
        let id = text(subscription, "id");
        let wanted = wanted(account, subscription, prices);
        let found = mirrored.iter().find(|s| text(s, "id") == id).map_or(Value::Null, found);
        if wanted != found {
            return Some(Violation::new("I3", format!("{id} of {name}"), wanted, found));
        }
        if matches!(text(&wanted, "access"), "granted" | "grace") {
            features.insert("article:full", true);
            if text(&wanted, "plan") == "studio" {
                features.insert("course:library", true);
            }
        }
    }
    let once = items(account, "charges").iter().filter(|c| flag(c, "paid") && text(c, "invoice").is_empty());
    for charge in once {
        if !flag(charge, "disputed") && number(charge, "amount_refunded") < number(charge, "amount") {
            features.insert("course:library", true);
        }
    }
    features.into_iter().find_map(|(feature, wanted)| {
        let held = items(seen, "entitlements").iter().find(|e| text(e, "feature") == feature);
        let found = held.is_some_and(|held| flag(held, "allowed"));
        (wanted != found)
            .then(|| Violation::new("I3", format!("{feature} of {name}"), format!("allowed: {wanted}"), seen))
    })
}

/// I7: no invoice and no payment was charged twice.
pub fn charged_once(name: &str, account: &Value) -> Finding {
    let mut charged: BTreeMap<&str, &Value> = BTreeMap::new();
    for charge in items(account, "charges").iter().filter(|charge| flag(charge, "paid")) {
        let invoice = text(charge, "invoice");
        let reason = if invoice.is_empty() { text(charge, "payment_intent") } else { invoice };
        if let Some(other) = charged.insert(reason, charge) {
            return Some(Violation::new("I7", format!("{reason} of {name}"), other, charge));
        }
    }
    None
}

/// I2 and I4: each change is told once, and each begins where the last one about its object has ended.
pub fn told_once(name: &str, newest_first: &[Value]) -> Finding {
    let mut last: BTreeMap<(String, String), Value> = BTreeMap::new();
    for line in newest_first.iter().rev() {
        let (kind, object) = (text(line, "type"), text(line, "object"));
        let data = line.get("data").unwrap_or(&Value::Null);
        let once = matches!(kind, "subscription.created" | "checkout.complete" | "checkout.expired");
        let chained = kind.ends_with("_changed") || kind == "access.changed";
        let key = (kind.to_owned(), object.to_owned());
        let before = last.insert(key, data.clone());
        if once && before.is_some() {
            return Some(Violation::new("I2", format!("{object} of {name}"), format!("{kind} once"), line));
        }
        let (Some(from), Some(before)) = (data.get("from").filter(|_| chained), before) else { continue };
        let expected = before.get("to").unwrap_or(&Value::Null);
        // A plan changes to itself when only its quantity does.
        let moved = data.get("to") != Some(from) || kind == "subscription.plan_changed";
        if from != expected || !moved {
            let what = format!("{kind} from {expected} to something else");
            return Some(Violation::new("I2", format!("{object} of {name}"), what, line));
        }
    }
    None
}

/// What the provider's books hold in all.
pub fn totals(ledger: &Value) -> Value {
    let all = |field: &'static str| {
        items(ledger, "customers").iter().flat_map(move |customer| items(customer, field))
    };
    json!({
        "customers": items(ledger, "customers").len(),
        "subscriptions": all("subscriptions").count(),
        "charges": all("charges").filter(|charge| flag(charge, "paid")).count(),
        "failed_charges": all("charges").filter(|charge| !flag(charge, "paid")).count(),
        "refunds": all("refunds").count(),
        "disputes": all("disputes").count(),
        "invoices": all("invoices").count(),
    })
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_of_the_api_are_unix_seconds() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), 0);
        assert_eq!(seconds("2024-02-29T23:59:59Z"), 1_709_251_199);
        assert_eq!(seconds("2026-11-26T04:35:21.250Z"), 1_795_667_721);
        assert_eq!(seconds(""), 0);
    }
}
