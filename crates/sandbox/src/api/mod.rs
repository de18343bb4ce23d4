//! The calls of the API: each reads its parameters, changes the state and renders the answer.

pub(crate) mod account;
mod account_data;
pub(crate) mod account_parts;
pub(crate) mod accounts;
mod cash;
pub(crate) mod checkout;
mod checkout_asks;
mod checkout_create;
mod checkout_form;
pub(crate) mod coupons;
pub(crate) mod credit_notes;
mod customer_balance;
pub(crate) mod customers;
mod destinations;
mod discounts;
pub(crate) mod disputes;
pub(crate) mod events;
pub(crate) mod intents;
mod invoice_frame;
pub(crate) mod invoice_items;
mod invoice_lines;
pub(crate) mod invoices;
mod listen;
mod meters;
pub(crate) mod methods;
pub(crate) mod money;
mod payment_links;
pub(crate) mod payouts;
mod plans;
pub(crate) mod portal;
mod portal_flow;
pub(crate) mod prices;
mod pricing;
pub(crate) mod products;
pub(crate) mod promotion_codes;
mod quotes;
pub(crate) mod radar;
mod schedule_phases;
mod schedules;
mod search;
mod setup_intents;
mod shipping_rates;
mod sources;
mod streams;
pub(crate) mod subscription_changes;
pub(crate) mod subscription_items;
pub(crate) mod subscriptions;
mod tax_ids;
pub(crate) mod tax_rates;
mod test_clocks;
mod topups;
pub(crate) mod transfers;

use serde_json::Value;

use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Params;

/// A call that was matched and checked.
pub(crate) struct Call<'a> {
    pub(crate) ids: &'a [String],
    pub(crate) params: Params<'a>,
    /// The version that the request asked for.
    pub(crate) version: Option<&'a str>,
}

impl Call<'_> {
    /// The first id of the path.
    pub(crate) fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }
}

/// Carries a call out.
pub(crate) fn dispatch(world: &mut World, method: &str, template: &str, call: &Call<'_>) -> ApiResult<Value> {
    if let Some(path) = template.strip_prefix("/v2/core/") {
        let answer = destinations::dispatch(world, method, path, call);
        return answer.unwrap_or_else(|| Err(ApiError::unknown_path(method, template)));
    }
    if let Some(path) = template.strip_prefix("/v2/billing/") {
        let answer = streams::dispatch(world, method, path, call);
        return answer.unwrap_or_else(|| Err(ApiError::unknown_path(method, template)));
    }
    let path = template.strip_prefix("/v1/").unwrap_or(template.trim_start_matches('/'));
    if let Some(resource) = path.strip_suffix("/search") {
        let answer = search::dispatch(world, resource, call);
        return answer.unwrap_or_else(|| Err(ApiError::unknown_path(method, template)));
    }
    let resource = path.split('/').next().unwrap_or_default();
    let answer = match resource {
        "account" | "balance" | "balance_transactions" => account::dispatch(world, method, path, call),
        "customers" if path.contains("/sources") => sources::dispatch(world, method, path, call),
        "customers" if path.contains("/tax_ids") => tax_ids::dispatch(world, method, path, call),
        "customers" if path.contains("/cash_balance") => cash::dispatch(world, method, path, call),
        "test_helpers" if path.starts_with("test_helpers/customers") => {
            cash::dispatch(world, method, path, call)
        }
        "accounts" | "account_links" | "account_sessions" | "oauth" => {
            accounts::dispatch(world, method, path, call)
        }
        "transfers" | "application_fees" => transfers::dispatch(world, method, path, call),
        "customers" => customers::dispatch(world, method, path, call)
            .or_else(|| customer_balance::dispatch(world, method, path, call)),
        "products" => products::dispatch(world, method, path, call),
        "prices" => prices::dispatch(world, method, path, call),
        "plans" => plans::dispatch(world, method, path, call),
        "payment_links" => payment_links::dispatch(world, method, path, call),
        "coupons" => coupons::dispatch(world, method, path, call),
        "promotion_codes" => promotion_codes::dispatch(world, method, path, call),
        "payment_methods" => methods::dispatch(world, method, path, call),
        "setup_intents" => setup_intents::dispatch(world, method, path, call),
        "payment_intents" => intents::dispatch(world, method, path, call),
        "test_helpers" if path.starts_with("test_helpers/refunds") => {
            money::dispatch(world, method, path, call)
        }
        "charges" | "refunds" => money::dispatch(world, method, path, call),
        "disputes" => disputes::dispatch(world, method, path, call),
        "topups" => topups::dispatch(world, method, path, call),
        "payouts" => payouts::dispatch(world, method, path, call),
        "radar" => radar::dispatch(world, method, path, call),
        "checkout" | "payment_pages" => checkout::dispatch(world, method, path, call),
        "subscriptions" => subscriptions::dispatch(world, method, path, call),
        "subscription_items" => subscription_items::dispatch(world, method, path, call),
        "subscription_schedules" => schedules::dispatch(world, method, path, call),
        "quotes" => quotes::dispatch(world, method, path, call),
        "invoices" | "invoice_payments" => invoices::dispatch(world, method, path, call),
        "invoiceitems" => invoice_items::dispatch(world, method, path, call),
        "credit_notes" => credit_notes::dispatch(world, method, path, call),
        "shipping_rates" => shipping_rates::dispatch(world, method, path, call),
        "tax_rates" => tax_rates::dispatch(world, method, path, call),
        "events" | "webhook_endpoints" => events::dispatch(world, method, path, call),
        "stripecli" => listen::dispatch(world, method, path, call),
        "test_helpers" => test_clocks::dispatch(world, method, path, call),
        "billing" => meters::dispatch(world, method, path, call),
        "billing_portal" => portal::dispatch(world, method, path, call),
        _ => None,
    };
    answer.unwrap_or_else(|| Err(ApiError::unknown_path(method, template)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::form::Tree;
    use crate::wire::schema;

    #[test]
    fn every_call_of_the_table_is_carried_out() {
        let ids = vec!["x_none".to_owned()];
        let missing: Vec<String> = schema::all_calls()
            .into_iter()
            .filter(|(method, template)| {
                let mut world = World::new(1, String::new(), 1_768_478_400);
                let tree = Tree::new();
                let call = Call { ids: &ids, params: Params::root(&tree), version: None };
                dispatch(&mut world, method, template, &call)
                    .is_err_and(|error| error.message().starts_with("Unrecognized"))
            })
            .map(|(method, template)| format!("{method} {template}"))
            .collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
