//! What a request tells about a connected account, read into it.

use serde_json::{Value, json};

use crate::model::account::{Acceptance, Account, AccountType, Asked, Controller, Dashboard, Party, Payer};
use crate::model::bank_account::BankAccount;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Metadata, Params};
use crate::wire::shape::overlay;

/// Leaves of what is told that are whole numbers on the wire.
const NUMBERS: [&str; 6] = ["amount", "day", "estimated_worker_count", "month", "percent_ownership", "year"];
/// Leaves that are true or false.
const FLAGS: [&str; 6] =
    ["director", "directors_provided", "executive", "executives_provided", "owner", "owners_provided"];

/// Gives numbers and flags their types; everything else is a text.
fn typed(value: Value, name: &str, path: &str) -> ApiResult<Value> {
    match value {
        Value::Object(fields) => {
            let typed_field = |(name, value): (String, Value)| {
                let value = typed(value, &name, &format!("{path}[{name}]"))?;
                Ok((name, value))
            };
            fields.into_iter().map(typed_field).collect::<ApiResult<_>>().map(Value::Object)
        }
        Value::String(text) if NUMBERS.contains(&name) => {
            text.parse::<i64>().map(|number| json!(number)).map_err(|_| {
                ApiError::invalid("parameter_invalid_integer", path, format!("Invalid integer: {text}"))
            })
        }
        Value::String(text) if FLAGS.contains(&name) => match text.as_str() {
            "true" => Ok(json!(true)),
            "false" => Ok(json!(false)),
            other => Err(ApiError::rule(format!("Invalid boolean: {other}")).param(path)),
        },
        other => Ok(other),
    }
}

/// The type and the controller of a new account, of which only one is told.
pub(super) fn read_controller(params: &Params<'_>) -> ApiResult<(AccountType, Controller)> {
    let kind = params.one_of("type", &["standard", "express", "custom"])?.value();
    if !params.has("controller") {
        let kind = match kind {
            Some("express") => AccountType::Express,
            Some("custom") => AccountType::Custom,
            Some(_) | None => AccountType::Standard,
        };
        return Ok((kind, Controller::of(kind)));
    }
    if kind.is_some() {
        return Err(ApiError::rule("You may not provide the `type` parameter and `controller` parameters simultaneously. They are mutually exclusive.").param("type"));
    }
    let told = params.sub("controller");
    let parties = ["application", "stripe"];
    let payer = match told.sub("fees").one_of("payer", &["account", "application"])?.value() {
        Some("application") => Payer::Application,
        Some(_) | None => Payer::Account,
    };
    let losses = match told.sub("losses").one_of("payments", &parties)?.value() {
        Some("application") => Party::Application,
        Some(_) | None => Party::Stripe,
    };
    let collects = match told.one_of("requirement_collection", &parties)?.value() {
        Some("application") => Party::Application,
        Some(_) | None => Party::Stripe,
    };
    let dashboard = match told.sub("stripe_dashboard").one_of("type", &["express", "full", "none"])?.value() {
        Some("express") => Dashboard::Express,
        Some("none") => Dashboard::None,
        Some(_) | None => Dashboard::Full,
    };
    let controller = Controller { payer, losses, collects, dashboard };
    let platform_answers = payer == Payer::Application && losses == Party::Application;
    if collects == Party::Application && !(platform_answers && dashboard == Dashboard::None) {
        let message = "When `controller[requirement_collection]=application`, `controller[fees][payer]` and `controller[losses][payments]` must be `application` and `controller[stripe_dashboard][type]` must be `none`.";
        return Err(ApiError::rule(message).param("controller[requirement_collection]"));
    }
    Ok((AccountType::None, controller))
}

/// Asks for a capability, or no longer.
pub(super) fn ask(account: &mut Account, name: &str, requested: bool, now: i64) {
    let at = match account.capabilities.get(name) {
        Some(asked) if asked.requested == requested => asked.at,
        Some(_) | None => Some(now),
    };
    account.capabilities.insert(name.to_owned(), Asked { requested, at });
}

fn read_capabilities(params: &Params<'_>, account: &mut Account, now: i64) -> ApiResult<()> {
    let told = params.sub("capabilities");
    for name in told.names() {
        if let Field::Set(requested) = told.sub(name).flag("requested")? {
            ask(account, name, requested, now);
        }
    }
    Ok(())
}

fn read_acceptance(params: &Params<'_>, account: &mut Account) -> ApiResult<()> {
    let told = params.sub("tos_acceptance");
    told.text("service_agreement")?.apply(&mut account.service_agreement);
    if let Field::Set(date) = told.int("date")? {
        if account.controller.collects == Party::Stripe {
            let message = "You cannot accept the Terms of Service on behalf of accounts whose requirements Stripe collects: send the owner an account link.";
            return Err(ApiError::rule(message).param("tos_acceptance[date]"));
        }
        account.acceptance = Some(Acceptance {
            date,
            ip: Some(told.required("ip")?),
            user_agent: told.text("user_agent")?.value(),
        });
    }
    Ok(())
}

/// A bank account from its numbers, or from a test token.
pub(super) fn read_bank_account(
    world: &mut World,
    params: &Params<'_>,
    account: &Account,
) -> ApiResult<BankAccount> {
    let mut bank = BankAccount {
        id: world.chance.id("ba_"),
        account: account.id.clone(),
        country: account.country.clone(),
        currency: account.default_currency.clone(),
        last4: "6789".to_owned(),
        routing_number: Some("110000000".to_owned()),
        holder_name: None,
        holder_type: None,
        is_default: false,
        metadata: Metadata::new(),
    };
    let told = params.sub("external_account");
    if told.names().next().is_none() {
        let token = params.required("external_account")?;
        if !token.starts_with("btok_") {
            let message = format!(
                "The sandbox takes bank accounts only, by their numbers or by a test token such as `btok_us`: not '{token}'."
            );
            return Err(ApiError::invalid("parameter_not_in_sandbox", "external_account", message));
        }
        return Ok(bank);
    }
    if told.required("object")? != "bank_account" {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            "external_account[object]",
            "The sandbox takes bank accounts only.",
        ));
    }
    bank.country = told.required("country")?;
    bank.currency = told.required("currency")?.to_ascii_lowercase();
    bank.routing_number = told.text("routing_number")?.value();
    bank.holder_name = told.text("account_holder_name")?.value();
    bank.holder_type =
        told.one_of("account_holder_type", &["individual", "company"])?.value().map(str::to_owned);
    let number: Vec<char> = told.required("account_number")?.chars().collect();
    bank.last4 = number.iter().skip(number.len().saturating_sub(4)).collect();
    Ok(bank)
}

/// Adds a bank account; the first of its currency is the default, and so is one that is asked to be.
pub(super) fn add_bank_account(account: &mut Account, mut bank: BankAccount, default: bool) {
    let first = !account.external_accounts.iter().any(|other| other.currency == bank.currency);
    bank.is_default = first || default;
    if bank.is_default {
        for other in account.external_accounts.iter_mut().filter(|other| other.currency == bank.currency) {
            other.is_default = false;
        }
    }
    account.external_accounts.push(bank);
}

/// Reads everything that can be told at the start and later.
pub(super) fn read_account(world: &mut World, params: &Params<'_>, account: &mut Account) -> ApiResult<()> {
    params.text("email")?.apply(&mut account.email);
    if let Field::Set(currency) = params.text("default_currency")? {
        account.default_currency = currency.to_ascii_lowercase();
    }
    let kinds = ["company", "government_entity", "individual", "non_profit"];
    let mut told = json!({});
    if let Field::Set(kind) = params.one_of("business_type", &kinds)? {
        overlay(&mut told, json!({ "business_type": kind }));
    }
    for name in ["business_profile", "company", "individual", "settings"] {
        if let Some(value) = params.free(name).filter(Value::is_object) {
            overlay(&mut told, json!({ name: typed(value, name, name)? }));
        }
    }
    overlay(&mut account.told, told);
    read_capabilities(params, account, world.now)?;
    read_acceptance(params, account)?;
    if params.has("external_account") {
        let bank = read_bank_account(world, params, account)?;
        account.external_accounts.retain(|other| other.currency != bank.currency);
        add_bank_account(account, bank, true);
    }
    params.metadata_into(&mut account.metadata)
}
