//! `expand[]`: replaces ids by objects, and adds what is shown only when asked for.

use serde_json::{Value, json};

use super::error::{ApiError, ApiResult};
use crate::model::coupon::{Coupon, PromotionCode};
use crate::model::customer::PaymentMethod;
use crate::model::product::Price;
use crate::model::tax_id::TaxId;
use crate::state::world::World;
use crate::versions::{Version, changes};

const MAX_DEPTH: usize = 4;

/// Names that a path can contain. They are checked before a call is carried out, so that a wrong name changes nothing.
const NAMES: &[&str] = &[
    "account",
    "application",
    "application_fee",
    "applies_to",
    "balance_transaction",
    "breakdown",
    "charge",
    "configuration",
    "confirmation_secret",
    "computed",
    "coupon",
    "credit_note",
    "currency_options",
    "customer",
    "customer_account",
    "customer_balance_transaction",
    "data",
    "default_payment_method",
    "default_price",
    "default_settings",
    "default_source",
    "destination",
    "destination_payment",
    "destination_payment_refund",
    "discount",
    "discount_amounts",
    "discounts",
    "failure_balance_transaction",
    "fee",
    "invoice",
    "invoice_credit_balance",
    "invoice_item_details",
    "invoice_settings",
    "items",
    "last_payment_error",
    "latest_charge",
    "latest_invoice",
    "line_items",
    "lines",
    "on_behalf_of",
    "original_payout",
    "originating_transaction",
    "parent",
    "payment",
    "payment_intent",
    "payment_link",
    "payment_method",
    "payments",
    "pending_setup_intent",
    "phases",
    "plan",
    "price",
    "price_details",
    "pricing",
    "product",
    "promotion",
    "promotion_code",
    "refund",
    "refunds",
    "restrictions",
    "reversed_by",
    "schedule",
    "setup_intent",
    "shipping_cost",
    "shipping_options",
    "shipping_rate",
    "source",
    "source_refund",
    "source_transaction",
    "source_transfer",
    "source_transfer_reversal",
    "sources",
    "subscription",
    "subscription_details",
    "subscription_item_details",
    "subscriptions",
    "tax",
    "tax_ids",
    "tax_rate",
    "tax_rate_details",
    "taxes",
    "test_clock",
    "tiers",
    "total_count",
    "total_details",
    "total_discount_amounts",
    "total_taxes",
    "transfer",
    "transfer_data",
    "transfer_reversal",
];

/// Checks paths before the call.
pub(crate) fn check(paths: &[String]) -> ApiResult<()> {
    for path in paths {
        if path.split('.').count() > MAX_DEPTH {
            return Err(ApiError::rule(format!(
                "You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}"
            ))
            .param("expand"));
        }
        if let Some(name) = path.split('.').find(|name| !NAMES.contains(name)) {
            return Err(ApiError::rule(format!("This property cannot be expanded ({name}). Path: {path}"))
                .param("expand"));
        }
    }
    Ok(())
}

/// Expands an answer along each path, such as `data.latest_invoice.payments`.
///
/// The answer is in the shape of a version already, and so is everything that is put into it.
pub(crate) fn expand(world: &World, version: Version, value: &mut Value, paths: &[String]) -> ApiResult<()> {
    let within = Within { world, version };
    for path in paths {
        let segments: Vec<&str> = path.split('.').collect();
        walk(within, value, &segments, path)?;
    }
    Ok(())
}

/// Where objects come from, and how they are shown.
#[derive(Clone, Copy)]
struct Within<'a> {
    world: &'a World,
    version: Version,
}

fn walk(within: Within<'_>, value: &mut Value, segments: &[&str], path: &str) -> ApiResult<()> {
    let Some((name, rest)) = segments.split_first() else {
        return Ok(());
    };
    // Of a deleted object only a stub is left, and nothing within it to expand.
    if value.is_null() || value.get("deleted").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    add_on_demand(within, value, name);
    let Some(field) = value.as_object_mut().and_then(|fields| fields.get_mut(*name)) else {
        let message = format!(
            "This property cannot be expanded ({name}). You may want to try expanding 'data.{name}' instead when listing. Path: {path}"
        );
        return Err(ApiError::rule(message).param("expand"));
    };
    match field {
        Value::Array(elements) => {
            for element in elements {
                step(within, element, name, rest, path)?;
            }
            Ok(())
        }
        single => step(within, single, name, rest, path),
    }
}

/// Replaces an id by its object and goes on below it.
fn step(within: Within<'_>, value: &mut Value, name: &str, rest: &[&str], path: &str) -> ApiResult<()> {
    if let Value::String(id) = value {
        let source = within.world.payment_methods.get(id).filter(|_| name == "default_source");
        match source.map(PaymentMethod::render_source).or_else(|| within.world.object_anywhere(id)) {
            Some(object) => {
                *value = object;
                changes::show(within.world, within.version, value);
            }
            None => {
                return Err(
                    ApiError::rule(format!("This property cannot be expanded ({path}).")).param("expand")
                );
            }
        }
    }
    walk(within, value, rest, path)
}

/// Fields that an object has only when they are asked for.
fn add_on_demand(within: Within<'_>, value: &mut Value, name: &str) {
    let world = within.world;
    let object = value.get("object").and_then(Value::as_str).unwrap_or_default();
    let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
    let listed = |data: Vec<Value>, url: String| json!({ "object": "list", "url": url, "has_more": false, "data": data });
    let mut added = match (object, name) {
        ("invoice", "payments") => {
            let payments = world.payments_of(id).iter().map(|payment| payment.render()).collect();
            listed(payments, format!("/v1/invoice_payments?invoice={id}"))
        }
        ("invoice", "confirmation_secret") => {
            let intent = world
                .invoices
                .get(id)
                .and_then(|invoice| invoice.payment_intent.as_ref())
                .and_then(|id| world.payment_intents.get(id));
            intent
                .map(|intent| json!({ "client_secret": intent.client_secret, "type": "payment_intent" }))
                .unwrap_or_default()
        }
        ("customer", "subscriptions") => {
            let subscriptions =
                world.subscriptions.of(id).rev().filter(|subscription| !subscription.status.is_terminal());
            listed(
                subscriptions.map(|subscription| subscription.render(&world.prices)).collect(),
                format!("/v1/customers/{id}/subscriptions"),
            )
        }
        ("price" | "plan", "tiers") => {
            world.prices.get(id).map(|price| price.pricing.render_tiers()).unwrap_or_default()
        }
        ("coupon", "applies_to") => world.coupons.get(id).map(Coupon::render_products).unwrap_or_default(),
        ("coupon", "currency_options") => {
            world.coupons.get(id).map(Coupon::render_currencies).unwrap_or_default()
        }
        ("customer", "invoice_credit_balance") => {
            let customer = world.customers.get(id);
            let balance = customer.map(|customer| (customer.currency.clone(), customer.balance));
            match balance {
                Some((Some(currency), balance)) => json!({ currency: balance }),
                Some((None, _)) | None => json!({}),
            }
        }
        ("promotion_code", "restrictions") => {
            let mut restrictions = value.get("restrictions").cloned().unwrap_or_default();
            let options = world.promotion_codes.get(id).map(PromotionCode::render_currencies);
            if let Some(fields) = restrictions.as_object_mut() {
                fields.insert("currency_options".to_owned(), options.unwrap_or_default());
            }
            restrictions
        }
        ("price", "currency_options") => {
            world.prices.get(id).map(Price::render_currency_options).unwrap_or_default()
        }
        ("customer", "tax") | ("product", "default_price") if value.get(name).is_none() => Value::Null,
        ("customer", "tax_ids") => {
            let tax_ids = world.tax_ids.of(id).rev().map(TaxId::render).collect();
            listed(tax_ids, format!("/v1/customers/{id}/tax_ids"))
        }
        ("customer", "sources") => {
            let sources = world.payment_methods.of(id).rev().filter(|method| method.is_source());
            listed(sources.map(PaymentMethod::render_source).collect(), format!("/v1/customers/{id}/sources"))
        }
        ("payment_link", "line_items") => {
            let link = world.payment_links.get(id);
            let lines = link.map(|link| link.session.render_lines(&world.prices)).unwrap_or_default();
            listed(lines, format!("/v1/payment_links/{id}/line_items"))
        }
        ("quote", "line_items") => {
            let quote = world.quotes.get(id);
            let lines = quote.map(|quote| quote.render_lines(quote.lines.iter(), &world.prices));
            listed(lines.unwrap_or_default(), format!("/v1/quotes/{id}/line_items"))
        }
        ("checkout.session", "line_items") => {
            let lines =
                world.sessions.get(id).map(|session| session.render_lines(&world.prices)).unwrap_or_default();
            listed(lines, format!("/v1/checkout/sessions/{id}/line_items"))
        }
        ("charge", "refunds") => {
            let refunds = world.refunds.iter().rev().filter(|refund| refund.charge == id);
            listed(refunds.map(|refund| refund.render()).collect(), format!("/v1/charges/{id}/refunds"))
        }
        _ => return,
    };
    changes::show(world, within.version, &mut added);
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), added);
    }
}
