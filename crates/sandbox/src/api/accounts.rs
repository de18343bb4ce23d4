//! Connected accounts: made, told about, rejected, deleted, and the links that lead their owners to a page.

use serde_json::{Value, json};

use super::Call;
use super::account_data::{ask, read_account, read_controller};
use super::account_parts;
use crate::connect::onboarding::Told;
use crate::model::account::{Access, Account, Dashboard, Party, Rejection};
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Metadata, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "accounts") => create(world, call),
        ("GET", "accounts") => all(world, call),
        ("GET", "accounts/{id}") => one(world, call.id()),
        ("POST", "accounts/{id}") => update(world, call),
        ("DELETE", "accounts/{id}") => delete(world, call.id()),
        ("POST", "accounts/{id}/reject") => reject(world, call),
        ("POST", "accounts/{id}/unreject") => unreject(world, call.id()),
        ("POST", "accounts/{id}/login_links") => login_link(world, call.id()),
        ("POST", "account_links") => link(world, call),
        ("POST", "oauth/deauthorize") => deauthorize(world, call),
        _ => return account_parts::dispatch(world, method, path, call),
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    if id == world.account_id {
        return Ok(world.render_account());
    }
    world.live_account(id).map(|account| account.render())
}

/// The currency that accounts of a country settle in, unless they say otherwise.
fn currency_of(country: &str) -> &'static str {
    match country {
        "AU" => "aud",
        "BR" => "brl",
        "CA" => "cad",
        "CH" | "LI" => "chf",
        "DK" => "dkk",
        "GB" | "GI" => "gbp",
        "HK" => "hkd",
        "IN" => "inr",
        "JP" => "jpy",
        "MX" => "mxn",
        "NO" => "nok",
        "NZ" => "nzd",
        "SE" => "sek",
        "SG" => "sgd",
        "US" | "PR" => "usd",
        _ => "eur",
    }
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    world.check_is_platform()?;
    let params = &call.params;
    let (kind, controller) = read_controller(params)?;
    let country = params.text("country")?.value().unwrap_or_else(|| "US".to_owned()).to_ascii_uppercase();
    let mut account = Account {
        id: format!("acct_1{}", world.chance.text(15)),
        created: world.now,
        kind,
        controller,
        default_currency: currency_of(&country).to_owned(),
        country,
        email: None,
        told: json!({}),
        acceptance: None,
        service_agreement: None,
        capabilities: std::collections::BTreeMap::new(),
        external_accounts: Vec::new(),
        submitted: false,
        rejection: None,
        access: Access::Connected,
        metadata: Metadata::new(),
    };
    read_account(world, params, &mut account)?;
    if account.capabilities.is_empty() {
        match controller.dashboard {
            // The provider asks for these by itself where the owner has one of its dashboards.
            Dashboard::Full | Dashboard::Express => {
                ask(&mut account, "card_payments", true, world.now);
                ask(&mut account, "transfers", true, world.now);
            }
            Dashboard::None => {
                let message = "You must request at least one capability for an account without a Stripe dashboard, such as `capabilities[transfers][requested]`.";
                return Err(ApiError::invalid("parameter_missing", "capabilities", message));
            }
        }
    }
    let id = account.id.clone();
    let told = Told::known(&account).or_test_data();
    world.open_account(account);
    if world.settings.onboard_at_once {
        world.onboard(&id, &told);
    }
    one(world, &id)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    world.check_is_platform()?;
    let keep = |account: &Account| account.access == Access::Connected;
    list(&world.connect.accounts, &call.params, "/v1/accounts", None, keep, Account::render)
}

/// What the platform can no longer tell about an account whose owner has answered for itself.
const OWNERS: [&str; 6] =
    ["business_type", "company", "email", "external_account", "individual", "tos_acceptance"];

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut account = world.live_account(call.id())?;
    let owned = account.submitted && account.controller.collects == Party::Stripe;
    if let Some(name) = params.names().find(|name| owned && OWNERS.contains(name)) {
        let message = format!(
            "This application does not have the required permissions to change `{name}` of account '{}': its owner answers for it. Use an account link.",
            account.id
        );
        return Err(ApiError::forbidden(message).param(name));
    }
    read_account(world, params, &mut account)?;
    world.change_account(call.id(), |known| *known = account);
    one(world, call.id())
}

fn delete(world: &mut World, id: &str) -> ApiResult<Value> {
    world.check_is_platform()?;
    world.live_account(id)?;
    world.disconnect(id, Access::Deleted);
    Ok(json!({ "id": id, "object": "account", "deleted": true }))
}

fn reject(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    world.check_is_platform()?;
    call.params.required("reason")?;
    let reason = call.params.one_of("reason", &["fraud", "other", "terms_of_service"])?.value();
    world.live_account(call.id())?;
    let rejection = match reason {
        Some("fraud") => Rejection::Fraud,
        Some("terms_of_service") => Rejection::TermsOfService,
        Some(_) | None => Rejection::Other,
    };
    world.reject_account(call.id(), Some(rejection));
    one(world, call.id())
}

fn unreject(world: &mut World, id: &str) -> ApiResult<Value> {
    world.check_is_platform()?;
    if world.live_account(id)?.rejection.is_none() {
        return Err(ApiError::rule("This account is not rejected."));
    }
    world.reject_account(id, None);
    one(world, id)
}

fn login_link(world: &mut World, id: &str) -> ApiResult<Value> {
    world.check_is_platform()?;
    let account = world.live_account(id)?;
    if account.controller.dashboard != Dashboard::Express {
        let message = "Cannot create a login link for an account that is not an Express account.";
        return Err(ApiError::rule(message));
    }
    if !account.submitted {
        let message = "Cannot create a login link for an account that has not completed onboarding.";
        return Err(ApiError::rule(message));
    }
    let url = format!("{}/connect/express/{id}", world.public_url);
    Ok(json!({ "object": "login_link", "created": world.now, "url": url }))
}

fn web_address(params: &Params<'_>, name: &str) -> ApiResult<String> {
    let url = params.required(name)?;
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url);
    }
    Err(ApiError::invalid("url_invalid", name, "Not a valid URL: it must start with http:// or https://."))
}

fn link(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    world.check_is_platform()?;
    let params = &call.params;
    let account = world.live_account(&params.required("account")?)?;
    params.required("type")?;
    let kind = params.one_of("type", &["account_onboarding", "account_update"])?.value();
    if kind == Some("account_update") && account.controller.collects == Party::Stripe {
        let message = "You cannot create `account_update` type Account Links for this account: its owner changes it in its own dashboard.";
        return Err(ApiError::rule(message).param("type"));
    }
    let (refresh, back) = (web_address(params, "refresh_url")?, web_address(params, "return_url")?);
    Ok(world.add_link(&account.id, refresh, back))
}

fn deauthorize(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    world.check_is_platform()?;
    let client = call.params.required("client_id")?;
    if client != world.application_id() {
        return Err(ApiError::rule(format!("No such application: '{client}'")).param("client_id"));
    }
    let account = world.live_account(&call.params.required("stripe_user_id")?)?;
    if account.controller.dashboard != Dashboard::Full {
        let message = "Only accounts with their own dashboard can be disconnected; delete this one.";
        return Err(ApiError::rule(message).param("stripe_user_id"));
    }
    world.disconnect(&account.id, Access::Revoked);
    Ok(json!({ "stripe_user_id": account.id }))
}
