//! Capabilities, external accounts and sessions of connected accounts.
//!
//! A session is answered in full; the components that it is for come from the provider's script, which speaks to the
//! provider only, so nothing is shown with it here.

use serde_json::{Value, json};

use super::Call;
use super::account_data::{add_bank_account, ask, read_bank_account};
use crate::model::account::{Account, Party};
use crate::model::bank_account::BankAccount;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list_values;
use crate::wire::params::Field;
use crate::wire::shape::Shape;

/// How long the secret of a session holds, in seconds.
const SESSION_SECONDS: i64 = 1800;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "accounts/{id}/capabilities") => capabilities(world, call),
        ("GET", "accounts/{accountId}/capabilities/{id}") => capability(world, call),
        ("POST", "accounts/{accountId}/capabilities/{id}") => change_capability(world, call),
        ("POST", "account_sessions") => session(world, call),
        ("GET", "accounts/{id}/external_accounts") => banks(world, call),
        ("POST", "accounts/{id}/external_accounts") => add_bank(world, call),
        ("GET", "accounts/{accountId}/external_accounts/{id}") => {
            bank(world, call).map(|(_, bank)| bank.render())
        }
        ("POST", "accounts/{accountId}/external_accounts/{id}") => change_bank(world, call),
        ("DELETE", "accounts/{accountId}/external_accounts/{id}") => remove_bank(world, call),
        _ => return None,
    })
}

/// The second id of the path.
fn part<'a>(call: &Call<'a>) -> &'a str {
    call.ids.get(1).map_or("", String::as_str)
}

/// Every leaf of a session's components says yes or no.
fn flags(value: Value, path: &str) -> ApiResult<Value> {
    match value {
        Value::Object(fields) => {
            let each = |(name, value): (String, Value)| {
                let value = flags(value, &format!("{path}[{name}]"))?;
                Ok((name, value))
            };
            fields.into_iter().map(each).collect::<ApiResult<_>>().map(Value::Object)
        }
        Value::String(text) if text == "true" => Ok(json!(true)),
        Value::String(text) if text == "false" => Ok(json!(false)),
        other => Err(ApiError::rule(format!("Invalid boolean: {other}")).param(path)),
    }
}

fn session(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    world.check_is_platform()?;
    let account = world.live_account(&call.params.required("account")?)?;
    let components = call.params.free("components").filter(Value::is_object).ok_or_else(|| {
        ApiError::invalid("parameter_missing", "components", "Missing required param: components.")
    })?;
    Ok(Shape::AccountSession.with(json!({
        "account": account.id,
        "client_secret": format!("accs_secret__{}", world.chance.text(40)),
        "components": flags(components, "components")?,
        "expires_at": world.now + SESSION_SECONDS,
    })))
}

fn capabilities(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let account = world.live_account(call.id())?;
    let all = account.capabilities.keys().map(|name| account.render_capability(name)).collect();
    list_values(all, &call.params, &format!("/v1/accounts/{}/capabilities", account.id))
}

fn known(name: &str) -> bool {
    name.ends_with("_payments")
        || ["transfers", "card_issuing", "treasury", "app_distribution"].contains(&name)
        || name.starts_with("tax_reporting_")
}

fn capability(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let account = world.live_account(call.id())?;
    if !known(part(call)) {
        return Err(ApiError::missing("capability", part(call), "capability"));
    }
    Ok(account.render_capability(part(call)))
}

fn change_capability(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    capability(world, call)?;
    let (name, now) = (part(call), world.now);
    if let Field::Set(requested) = call.params.flag("requested")? {
        world.change_account(call.id(), |account| ask(account, name, requested, now));
    }
    capability(world, call)
}

fn banks(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let account = world.live_account(call.id())?;
    if call.params.one_of("object", &["bank_account", "card"])?.value() == Some("card") {
        return list_values(
            Vec::new(),
            &call.params,
            &format!("/v1/accounts/{}/external_accounts", account.id),
        );
    }
    let all = account.external_accounts.iter().rev().map(BankAccount::render).collect();
    list_values(all, &call.params, &format!("/v1/accounts/{}/external_accounts", account.id))
}

fn bank(world: &World, call: &Call<'_>) -> ApiResult<(Account, BankAccount)> {
    let account = world.live_account(call.id())?;
    let bank = account.external_accounts.iter().find(|bank| bank.id == part(call)).cloned();
    let bank = bank.ok_or_else(|| ApiError::missing("external account", part(call), "id"))?;
    Ok((account, bank))
}

/// The owner of an account that the provider onboards keeps its bank accounts itself.
fn check_writable(account: &Account) -> ApiResult<()> {
    if account.submitted && account.controller.collects == Party::Stripe {
        let message = format!(
            "This application does not have the required permissions to change the external accounts of account '{}'.",
            account.id
        );
        return Err(ApiError::forbidden(message));
    }
    Ok(())
}

fn add_bank(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let account = world.live_account(call.id())?;
    check_writable(&account)?;
    let params = &call.params;
    let mut bank = read_bank_account(world, params, &account)?;
    params.metadata_into(&mut bank.metadata)?;
    let default = params.flag("default_for_currency")? == Field::Set(true);
    let id = bank.id.clone();
    let mut changed = account.clone();
    add_bank_account(&mut changed, bank, default);
    let object = changed.external_accounts.iter().find(|bank| bank.id == id).map(BankAccount::render);
    let object = object.unwrap_or_default();
    let told = object.clone();
    world.within(&account.id, |books| books.emit("account.external_account.created", told));
    world.change_account(&account.id, |account| *account = changed);
    Ok(object)
}

fn change_bank(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let (account, before) = bank(world, call)?;
    let params = &call.params;
    let mut after = before.clone();
    params.metadata_into(&mut after.metadata)?;
    if params.names().any(|name| name != "metadata" && name != "expand") {
        check_writable(&account)?;
    }
    params.text("account_holder_name")?.apply(&mut after.holder_name);
    let kinds = ["individual", "company"];
    match params.one_of("account_holder_type", &kinds)? {
        Field::Set(kind) => after.holder_type = Some(kind.to_owned()),
        Field::Unset => after.holder_type = None,
        Field::Absent => {}
    }
    if params.flag("default_for_currency")? == Field::Set(true) {
        after.is_default = true;
    }
    let (old, new) = (before.render(), after.render());
    let object = new.clone();
    world.change_account(&account.id, |account| {
        for bank in &mut account.external_accounts {
            if bank.id == after.id {
                *bank = after.clone();
            } else if after.is_default && bank.currency == after.currency {
                bank.is_default = false;
            }
        }
    });
    world.within(&account.id, |books| books.emit_change("account.external_account.updated", &old, new));
    Ok(object)
}

fn remove_bank(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let (account, bank) = bank(world, call)?;
    check_writable(&account)?;
    if bank.is_default {
        let message = "You cannot delete the default external account for your default currency. Please make another external account the default using the `default_for_currency` param, and then delete this one.";
        return Err(ApiError::rule(message));
    }
    let object = bank.render();
    world.within(&account.id, |books| books.emit("account.external_account.deleted", object));
    world
        .change_account(&account.id, |account| account.external_accounts.retain(|other| other.id != bank.id));
    Ok(json!({ "id": bank.id, "object": "bank_account", "deleted": true }))
}
