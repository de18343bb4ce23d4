//! Whether a letter says what the notice rules ask for: the items of the rules' table (`must_say`), looked for in the text
//! that is about to be sent, because operators write their own texts. Pure.
//!
//! An item that the table of an operator adds cannot be looked for, and counts as said.

use std::collections::BTreeMap;

use minijinja::Value;

use crate::kind::Kind;
use crate::letter::Letter;

/// Those of the items that a letter leaves out. `variables` are those that it was written with
/// ([`crate::Facts::variables`]). What is not known cannot be said and is left out by nobody; a way to cancel must be known.
#[must_use]
pub fn missing<'a>(
    items: impl IntoIterator<Item = &'a str>,
    letter: &Letter,
    variables: &BTreeMap<&'static str, Value>,
) -> Vec<&'a str> {
    let said = format!("{}\n{}", letter.subject, letter.text);
    let known = |name: &str| variables.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
    let says = |name: &str| known(name).is_some_and(|value| said.contains(value));
    let hides = |name: &str| known(name).is_some() && !says(name);
    let leaves_out = |item: &&str| match *item {
        "product" => hides("plan"),
        "amount" => hides("amount"),
        // The day of a receipt is the day on which it was paid.
        "trial_end" if letter.kind == Kind::Receipt => hides("trial_end"),
        "charge_date" | "trial_end" | "effective_date" => hides("date"),
        "frequency" => hides("interval"),
        "terms" => hides("terms_url"),
        "new_terms" => hides(if letter.kind == Kind::PriceChanging { "new_amount" } else { "terms_url" }),
        "cancel_link" => !says("cancel_url"),
        "cancel_steps" => !says("cancel_url") && !says("billing_url"),
        "card_last4" => hides("card"),
        "decline" => hides("next_try"),
        "decline_reason" => hides("reason"),
        _ => false,
    };
    items.into_iter().filter(leaves_out).collect()
}
