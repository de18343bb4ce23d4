//! Payment links: made, listed, changed.

use serde_json::Value;

use super::{Call, checkout_create};
use crate::model::checkout::Mode;
use crate::model::payment_link::{PaymentLink, SessionLimit};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{list, list_values};
use crate::wire::params::{Field, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "payment_links") => create(world, call),
        ("GET", "payment_links") => all(world, call),
        ("GET", "payment_links/{id}") => {
            need(&world.payment_links, call.id(), "payment_link").map(|link| link.render())
        }
        ("POST", "payment_links/{id}") => update(world, call),
        ("GET", "payment_links/{id}/line_items") => lines(world, call),
        _ => return None,
    })
}

/// A link with one recurring price makes subscriptions.
fn mode(world: &World, params: &Params<'_>) -> ApiResult<Mode> {
    for item in params.list("line_items") {
        let named = item.text("price")?.value();
        let named =
            named.and_then(|price| world.prices.get(&price)).is_some_and(|price| price.recurring.is_some());
        if named || item.sub("price_data").has("recurring") {
            return Ok(Mode::Subscription);
        }
    }
    Ok(Mode::Payment)
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mode = mode(world, params)?;
    let session = checkout_create::for_link(world, params, mode)?;
    let token = format!("test_{}", world.chance.text(24));
    let mut link = PaymentLink {
        id: world.chance.id("plink_"),
        url: format!("{}/b/{token}", world.public_url),
        token,
        active: true,
        inactive_message: None,
        custom_message: None,
        limit: None,
        session,
    };
    read(params, &mut link)?;
    let object = link.render();
    world.payment_links.put(link);
    world.emit("payment_link.created", object.clone());
    Ok(object)
}

/// What can be said at first and changed later.
fn read(params: &Params<'_>, link: &mut PaymentLink) -> ApiResult<()> {
    params.text("inactive_message")?.apply(&mut link.inactive_message);
    if let Field::Set(active) = params.flag("active")? {
        link.active = active;
    }
    if let Field::Set(allow) = params.flag("allow_promotion_codes")? {
        link.session.allow_promotion_codes = Some(allow);
    }
    let after = params.sub("after_completion");
    match after.one_of("type", &["hosted_confirmation", "redirect"])? {
        Field::Set("redirect") => {
            let redirect = after.sub("redirect");
            let url = redirect.required("url")?;
            if !url.starts_with("http://") && !url.starts_with("https://") {
                let message = "Not a valid URL: it must start with http:// or https://.";
                return Err(ApiError::invalid("url_invalid", &redirect.full("url"), message));
            }
            (link.session.success_url, link.custom_message) = (Some(url), None);
        }
        Field::Set(_) => {
            link.session.success_url = None;
            link.custom_message = after.sub("hosted_confirmation").text("custom_message")?.value();
        }
        Field::Absent if params.has("after_completion") => {
            let message = "Missing required param: after_completion[type].";
            return Err(ApiError::invalid("parameter_missing", "after_completion[type]", message));
        }
        Field::Absent | Field::Unset => {}
    }
    read_limit(params, link)?;
    params.metadata_into(link.metadata_mut())
}

/// How many of its sessions may be completed; those that were stay counted.
fn read_limit(params: &Params<'_>, link: &mut PaymentLink) -> ApiResult<()> {
    if !params.has("restrictions") {
        return Ok(());
    }
    let sessions = params.sub("restrictions").sub("completed_sessions");
    link.limit = match sessions.int_within("limit", 1..=i64::MAX)? {
        Field::Set(most) => {
            Some(SessionLimit { most, completed: link.limit.map_or(0, |limit| limit.completed) })
        }
        Field::Absent | Field::Unset if params.sub("restrictions").names().next().is_none() => None,
        Field::Absent | Field::Unset => {
            let full = sessions.full("limit");
            let message = format!("Missing required param: {full}.");
            return Err(ApiError::invalid("parameter_missing", &full, message));
        }
    };
    Ok(())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut link = need(&world.payment_links, call.id(), "payment_link")?;
    let before = link.render();
    read(&call.params, &mut link)?;
    let after = link.render();
    world.payment_links.put(link);
    world.emit_change("payment_link.updated", &before, after.clone());
    Ok(after)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let active = call.params.flag("active")?.value();
    let keep = |link: &PaymentLink| active.is_none_or(|active| link.active == active);
    list(&world.payment_links, &call.params, "/v1/payment_links", None, keep, PaymentLink::render)
}

fn lines(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let link = need(&world.payment_links, call.id(), "payment_link")?;
    let url = format!("/v1/payment_links/{}/line_items", link.id);
    list_values(link.session.render_lines(&world.prices), &call.params, &url)
}
