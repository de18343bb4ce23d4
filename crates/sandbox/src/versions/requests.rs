//! How requests of older versions differ, as one table: each row turns parameters that a later version renamed into
//! those of the newest.

use super::Version;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::form::{Param, Tree};

/// A renaming: the version that brought it, the call, and what makes older parameters new.
type Renaming = (&'static str, &'static str, &'static [&'static str], fn(&mut Tree));

const RENAMINGS: &[Renaming] = &[
    ("2025-03-31.basil", "POST", &["/v1/subscriptions", "/v1/subscriptions/{id}"], first_discount),
    ("2025-09-30.clover", "POST", &["/v1/promotion_codes"], promotion),
    ("2026-03-25.dahlia", "POST", &["/v1/checkout/sessions"], ui_mode),
    ("2026-09-30.endive", "POST", &["/v1/checkout/sessions"], types),
    ("2026-09-30.endive", "POST", &["/v1/subscriptions/{id}", "/v1/subscriptions/{id}/resume"], anchor),
    ("2026-09-30.endive", "POST", &["/v1/invoices/create_preview"], preview_anchor),
];

/// The parameters of a request as the newest version names them.
pub(crate) fn modern(version: Version, method: &str, template: &str, tree: &Tree) -> Option<Tree> {
    let mut later = RENAMINGS
        .iter()
        .filter(|(since, of, paths, _)| *since > version.name() && *of == method && paths.contains(&template))
        .peekable();
    later.peek()?;
    let mut tree = tree.clone();
    for (_, _, _, rename) in later {
        rename(&mut tree);
    }
    Some(tree)
}

/// Parameters that a version took away: since when, and of which calls. Older versions have them as they were.
const RETIRED: &[(&str, &[&str], &[&str])] = &[
    ("2025-03-31.basil", &["/v1/customers", "/v1/customers/{id}"], &["coupon", "promotion_code"]),
    ("2025-09-30.clover", &["/v1/promotion_codes"], &["coupon"]),
];

/// Refuses what the version of a request does not have any more, as any name that the API does not know.
pub(crate) fn check_retired(version: Version, method: &str, template: &str, tree: &Tree) -> ApiResult<()> {
    let mut gone = RETIRED
        .iter()
        .filter(|(since, paths, _)| method == "POST" && *since <= version.name() && paths.contains(&template))
        .flat_map(|(_, _, names)| *names);
    match gone.find(|name| tree.contains_key(**name)) {
        Some(name) => {
            Err(ApiError::invalid("parameter_unknown", name, format!("Received unknown parameter: {name}")))
        }
        None => Ok(()),
    }
}

fn one(name: &str, param: Param) -> Param {
    Param::Tree(Tree::from([(name.to_owned(), param)]))
}

fn is_empty(param: &Param) -> bool {
    matches!(param, Param::Text(text) if text.is_empty())
}

/// `coupon` and `promotion_code` became elements of `discounts`.
pub(super) fn first_discount(tree: &mut Tree) {
    for name in ["coupon", "promotion_code"] {
        if let Some(given) = tree.remove(name) {
            let discounts = if is_empty(&given) { given } else { one("0", one(name, given)) };
            tree.entry("discounts".to_owned()).or_insert(discounts);
        }
    }
}

/// `coupon` became the `promotion`.
fn promotion(tree: &mut Tree) {
    if let Some(coupon) = tree.remove("coupon") {
        let kind = ("type".to_owned(), Param::Text("coupon".to_owned()));
        let promotion = Tree::from([kind, ("coupon".to_owned(), coupon)]);
        tree.entry("promotion".to_owned()).or_insert(Param::Tree(promotion));
    }
}

fn ui_mode(tree: &mut Tree) {
    if let Some(Param::Text(word)) = tree.get_mut("ui_mode") {
        let newer = match word.as_str() {
            "hosted" => "hosted_page",
            "embedded" => "embedded_page",
            "custom" => "elements",
            other => other,
        };
        *word = newer.to_owned();
    }
}

/// The list of types went. One that asks for cards alone asks for what is played; others that are played became those
/// that are allowed.
fn types(tree: &mut Tree) {
    const PLAYED: [&str; 4] = ["card", "konbini", "sepa_debit", "us_bank_account"];
    let Some(Param::Tree(types)) = tree.get("payment_method_types").cloned() else {
        return;
    };
    let all = |words: &[&str]| {
        types.values().all(|kind| matches!(kind, Param::Text(word) if words.contains(&word.as_str())))
    };
    let (cards, played) = (all(&["card"]), all(&PLAYED));
    if cards || played {
        tree.remove("payment_method_types");
    }
    if played && !cards {
        tree.entry("allowed_payment_method_types".to_owned()).or_insert(Param::Tree(types));
    }
}

/// `billing_cycle_anchor` became an object with a type.
fn anchor(tree: &mut Tree) {
    if let Some(Param::Text(word)) = tree.get("billing_cycle_anchor").cloned() {
        tree.insert("billing_cycle_anchor".to_owned(), one("type", Param::Text(word)));
    }
}

fn preview_anchor(tree: &mut Tree) {
    let Some(Param::Tree(details)) = tree.get_mut("subscription_details") else {
        return;
    };
    match details.get("billing_cycle_anchor").cloned() {
        Some(Param::Text(time)) if time.parse::<i64>().is_ok() => {
            let kind = ("type".to_owned(), Param::Text("timestamp".to_owned()));
            let anchor = Tree::from([kind, ("timestamp".to_owned(), Param::Text(time))]);
            details.insert("billing_cycle_anchor".to_owned(), Param::Tree(anchor));
        }
        Some(Param::Text(_)) => anchor(details),
        Some(Param::Tree(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::form::decode;

    #[test]
    fn older_parameters_become_those_of_today() {
        let old = Version::read(Some("2024-06-20")).unwrap();
        for (path, older, newer) in [
            ("/v1/subscriptions", "coupon=c&customer=x", "discounts[0][coupon]=c&customer=x"),
            ("/v1/subscriptions/{id}", "coupon=", "discounts="),
            ("/v1/promotion_codes", "coupon=c", "promotion[type]=coupon&promotion[coupon]=c"),
            ("/v1/checkout/sessions", "ui_mode=embedded", "ui_mode=embedded_page"),
            ("/v1/checkout/sessions", "payment_method_types[]=card&mode=setup", "mode=setup"),
            (
                "/v1/checkout/sessions",
                "payment_method_types[]=sepa_debit",
                "allowed_payment_method_types[]=sepa_debit",
            ),
            ("/v1/checkout/sessions", "payment_method_types[]=ideal", "payment_method_types[]=ideal"),
            ("/v1/subscriptions/{id}", "billing_cycle_anchor=now", "billing_cycle_anchor[type]=now"),
            (
                "/v1/invoices/create_preview",
                "subscription_details[billing_cycle_anchor]=12",
                "subscription_details[billing_cycle_anchor][type]=timestamp&subscription_details[billing_cycle_anchor][timestamp]=12",
            ),
        ] {
            let tree = decode(older.as_bytes()).unwrap();
            assert_eq!(modern(old, "POST", path, &tree), Some(decode(newer.as_bytes()).unwrap()), "{older}");
            assert_eq!(modern(Version::newest(), "POST", path, &tree), None, "{older}");
        }
        assert_eq!(modern(old, "POST", "/v1/products", &Tree::new()), None);
    }
}
