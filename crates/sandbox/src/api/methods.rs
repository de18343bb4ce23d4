//! Payment methods.

use serde_json::Value;

use super::Call;
use crate::model::accounts::{ROUTING_NUMBER, Rail, TestAccount};
use crate::model::customer::PaymentMethod;
use crate::model::instrument::Instrument;
use crate::payments::methods::TypedCard;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Params};

const NO_TEST_ACCOUNT: &str =
    "This is not the number of a test account; see the published list of test accounts.";

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "payment_methods") => create(world, call),
        ("GET", "payment_methods") => all(world, call),
        ("GET", "payment_methods/{id}") => retrieve(world, call),
        ("POST", "payment_methods/{id}") => update(world, call),
        ("POST", "payment_methods/{id}/attach") => attach(world, call),
        ("POST", "payment_methods/{id}/detach") => {
            let id = call.id();
            world
                .detach_method(id)
                .and_then(|()| need(&world.payment_methods, id, "id"))
                .map(|method| method.render())
        }
        _ => return None,
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = params.text("customer")?.value();
    let original = params.text("payment_method")?.value();
    if customer.is_some() && original.is_none() {
        let message = "The customer is that of a payment method to copy: provide `payment_method` too, or attach the new one afterwards.";
        return Err(ApiError::rule(message).param("customer"));
    }
    let id = match original {
        Some(original) => world.copy_method(customer.as_deref(), &original)?,
        None => create_new(world, params)?,
    };
    let mut method = need(&world.payment_methods, &id, "id")?;
    read(params, &mut method)?;
    let object = method.render();
    world.payment_methods.put(method);
    Ok(object)
}

/// Makes a method of what the buyer types in; its id.
fn create_new(world: &mut World, params: &Params<'_>) -> ApiResult<String> {
    Ok(match params.required("type")?.as_str() {
        "card" => create_card(world, params)?,
        "sepa_debit" => {
            let sepa = params.sub("sepa_debit");
            let account = TestAccount::by_number(Rail::SepaDebit, &sepa.required("iban")?);
            let account = account.ok_or_else(|| ApiError::rule(NO_TEST_ACCOUNT).param("sepa_debit[iban]"))?;
            world.add_account(account, "individual", "checking")
        }
        "us_bank_account" => create_us_account(world, params)?,
        "konbini" => world.add_account(TestAccount::konbini(), "individual", "checking"),
        _ => {
            return Err(ApiError::invalid(
                "parameter_not_in_sandbox",
                "type",
                "The sandbox plays card, sepa_debit, us_bank_account and konbini.",
            ));
        }
    })
}

fn create_us_account(world: &mut World, params: &Params<'_>) -> ApiResult<String> {
    let us = params.sub("us_bank_account");
    let account = TestAccount::by_number(Rail::UsBankAccount, &us.required("account_number")?);
    let account = account.ok_or_else(|| {
        ApiError::invalid("account_number_invalid", "us_bank_account[account_number]", NO_TEST_ACCOUNT)
    })?;
    if us.required("routing_number")? != ROUTING_NUMBER {
        return Err(ApiError::invalid(
            "routing_number_invalid",
            "us_bank_account[routing_number]",
            "The routing number of every test account is 110000000.",
        ));
    }
    let holder = us.one_of("account_holder_type", &["individual", "company"])?.value();
    let kind = us.one_of("account_type", &["checking", "savings"])?.value();
    Ok(world.add_account(account, holder.unwrap_or("individual"), kind.unwrap_or("checking")))
}

fn create_card(world: &mut World, params: &Params<'_>) -> ApiResult<String> {
    let card = params.sub("card");
    match card.text("token")?.value() {
        Some(token) => world.resolve_method(&token, "card[token]"),
        None => {
            let typed = TypedCard {
                number: card.required("number")?,
                exp_month: card.int("exp_month")?.value().unwrap_or(12),
                exp_year: card.int("exp_year")?.value().unwrap_or(2099),
                cvc: card.text("cvc")?.value().unwrap_or_default(),
            };
            world.card_from_typed(&typed)
        }
    }
}

fn read(params: &Params<'_>, method: &mut PaymentMethod) -> ApiResult<()> {
    if let (Some(Value::Object(given)), Some(fields)) =
        (params.addressed("billing_details"), method.billing_details.as_object_mut())
    {
        fields.extend(given);
    }
    if let Field::Set(word) = params.one_of("allow_redisplay", &["always", "limited", "unspecified"])? {
        word.clone_into(&mut method.allow_redisplay);
    }
    params.metadata_into(&mut method.metadata)
}

fn retrieve(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let id = world.resolve_method(call.id(), "id")?;
    need(&world.payment_methods, &id, "id").map(|method| method.render())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut method = need(&world.payment_methods, call.id(), "id")?;
    let before = method.render();
    read(params, &mut method)?;
    let card = params.sub("card");
    let (month, year) = (card.int_within("exp_month", 1..=12)?, card.int_within("exp_year", 2000..=2099)?);
    if let Instrument::Card { face, .. } = &mut method.instrument {
        face.exp_month = month.value().unwrap_or(face.exp_month);
        face.exp_year = year.value().unwrap_or(face.exp_year);
    }
    let after = method.render();
    world.payment_methods.put(method);
    world.emit_change("payment_method.updated", &before, after.clone());
    Ok(after)
}

/// A token of a test card becomes a payment method of its own, whose id is answered.
fn attach(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = world.live_customer(&call.params.required("customer")?, "customer")?;
    let id = world.resolve_method(call.id(), "payment_method")?;
    world.attach_method(&id, &customer.id)?;
    need(&world.payment_methods, &id, "id").map(|method| method.render())
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = call.params.text("customer")?.value();
    if let Some(customer) = &customer {
        need(&world.customers, customer, "customer")?;
    }
    let wanted = call.params.text("type")?.value();
    list(
        &world.payment_methods,
        &call.params,
        "/v1/payment_methods",
        customer.as_deref(),
        |method| wanted.as_ref().is_none_or(|wanted| method.instrument.word() == wanted),
        PaymentMethod::render,
    )
}
