//! Puts the catalog's products and prices into a sandbox, under the lookup keys by which the engine finds them.
//!
//! For `quittance dev`, `sandbox` and `demo` only; it speaks the provider's API like any other program on the account.

use quittance_domain::Catalog;
use quittance_domain::catalog::{Interval, Plan, Price};
use quittance_sandbox::{HttpRequest, Sandbox};
use serde_json::Value;

use crate::failure::Failure;

/// Makes what is missing and leaves alone what is there; returns how many prices were made.
///
/// # Errors
/// When the sandbox refuses, with its words.
pub fn seed(sandbox: &Sandbox, key: &str, catalog: &Catalog) -> Result<usize, Failure> {
    let mut made = 0;
    for plan in catalog.plans().iter().filter(|plan| !plan.free) {
        let missing: Vec<&Price> =
            plan.prices.iter().filter(|price| !has_price(sandbox, key, price)).collect();
        if missing.is_empty() {
            continue;
        }
        let product = product(sandbox, key, plan)?;
        for price in missing {
            post(sandbox, key, "/v1/prices", &price_form(&product, price))?;
            made += 1;
        }
    }
    if made > 0 {
        offer_in_portal(sandbox, key)?;
    }
    sandbox.reset_provider_calls();
    Ok(made)
}

fn has_price(sandbox: &Sandbox, key: &str, price: &Price) -> bool {
    let query = format!("active=true&lookup_keys[]={}", encoded(&price.lookup_key));
    let answer = sandbox.handle(HttpRequest::new("GET", "/v1/prices", key, &query)).value();
    answer.get("data").and_then(Value::as_array).is_some_and(|prices| !prices.is_empty())
}

fn product(sandbox: &Sandbox, key: &str, plan: &Plan) -> Result<String, Failure> {
    let id = format!("prod_{}", plan.key);
    let found = sandbox.handle(HttpRequest::new("GET", &format!("/v1/products/{id}"), key, ""));
    if found.status == 200 {
        return Ok(id);
    }
    let description = plan.description.as_ref().map(|text| text.en.as_str());
    let mut form = format!("id={}&name={}", encoded(&id), encoded(&plan.name.en));
    if let Some(description) = description {
        form.push_str(&format!("&description={}", encoded(description)));
    }
    post(sandbox, key, "/v1/products", &form)?;
    Ok(id)
}

fn price_form(product: &str, price: &Price) -> String {
    let recurring = match price.interval {
        Interval::Once => String::new(),
        Interval::Day | Interval::Week | Interval::Month | Interval::Year => {
            format!("&recurring[interval]={}", price.interval.as_str())
        }
    };
    format!(
        "product={}&currency={}&unit_amount={}&lookup_key={}{recurring}",
        encoded(product),
        price.amount.currency.code(),
        price.amount.minor,
        encoded(&price.lookup_key)
    )
}

/// The portal's default configuration lets customers change between the catalog's prices, change the card and cancel.
fn offer_in_portal(sandbox: &Sandbox, key: &str) -> Result<(), Failure> {
    let path = "/v1/billing_portal/configurations";
    let all = sandbox.handle(HttpRequest::new("GET", path, key, "is_default=true")).value();
    let id = all.pointer("/data/0/id").and_then(Value::as_str).map(str::to_owned);
    let form = "features[payment_method_update][enabled]=true&features[invoice_history][enabled]=true\
        &features[subscription_cancel][enabled]=true&features[subscription_cancel][mode]=at_period_end\
        &features[subscription_update][enabled]=true&features[subscription_update][default_allowed_updates][0]=price\
        &features[subscription_update][proration_behavior]=always_invoice";
    let path = id.map_or_else(|| path.to_owned(), |id| format!("{path}/{id}"));
    post(sandbox, key, &path, form).map(drop)
}

/// Asks the sandbox for something as the account's own key.
///
/// # Errors
/// When it refuses.
pub fn post(sandbox: &Sandbox, key: &str, path: &str, form: &str) -> Result<Value, Failure> {
    call(sandbox, "POST", key, path, form)
}

/// Any call of the sandbox's API.
///
/// # Errors
/// When it refuses.
pub fn call(sandbox: &Sandbox, method: &str, key: &str, path: &str, form: &str) -> Result<Value, Failure> {
    let answer = sandbox.handle(HttpRequest::new(method, path, key, form));
    if answer.status < 300 {
        return Ok(answer.value());
    }
    let value = answer.value();
    let said = value.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given");
    Err(Failure::problem(
        "sandbox_refused",
        format!("the sandbox refused {method} {path} with {}: {said}", answer.status),
        "If you switched faults on, switch them off; else this is a defect of quittance: please report it.",
    ))
}

fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
