//! Customer portal sessions and configurations.

use serde_json::Value;

use super::Call;
use crate::model::portal::{PortalConfiguration, PortalProduct, PortalSession};
use crate::model::product::Recurring;
use crate::schedules::phases::interval_of;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

/// Why customers cancel, as the API words it.
const CANCEL_REASONS: [&str; 8] = [
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "low_quality",
    "other",
];

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "billing_portal/sessions") => create_session(world, call),
        ("POST", "billing_portal/configurations") => create(world, call),
        ("GET", "billing_portal/configurations") => all(world, call),
        ("GET", "billing_portal/configurations/{id}") => {
            need(&world.portal_configurations, call.id(), "configuration")
                .map(|configuration| configuration.render())
        }
        ("POST", "billing_portal/configurations/{id}") => update(world, call),
        _ => return None,
    })
}

fn create_session(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = world.live_customer(&params.required("customer")?, "customer")?;
    let configuration = match params.text("configuration")?.value() {
        Some(id) => need(&world.portal_configurations, &id, "configuration")?,
        None => world
            .portal_configurations
            .iter()
            .find(|configuration| configuration.is_default)
            .cloned()
            .ok_or_else(|| {
                ApiError::rule("You can't create a portal session without a configuration. Create one first.")
            })?,
    };
    if !configuration.active {
        return Err(ApiError::rule("This portal configuration is not active.").param("configuration"));
    }
    let flow = super::portal_flow::read(world, params, &customer.id, &configuration)?;
    let token = format!("test_{}", world.chance.text(40));
    let session = PortalSession {
        id: world.chance.id("bps_"),
        created: world.own_now(),
        customer: customer.id,
        configuration: configuration.id,
        return_url: params.text("return_url")?.value().or(configuration.default_return_url),
        locale: params.text("locale")?.value(),
        flow,
        url: format!("{}/p/session/{token}", world.public_url),
        token,
    };
    let object = session.render();
    world.portal_sessions.put(session);
    world.emit("billing_portal.session.created", object.clone());
    Ok(object)
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    if !params.has("features") {
        return Err(ApiError::invalid("parameter_missing", "features", "Missing required param: features."));
    }
    let mut configuration = PortalConfiguration {
        id: world.chance.id("bpc_"),
        created: world.now,
        updated: world.now,
        active: true,
        is_default: false,
        name: None,
        headline: None,
        privacy_policy_url: None,
        terms_of_service_url: None,
        default_return_url: None,
        metadata: Metadata::new(),
        payment_method_update: false,
        invoice_history: false,
        customer_update: false,
        customer_updates: Vec::new(),
        subscription_cancel: false,
        cancel_mode: "at_period_end".to_owned(),
        cancel_proration: "none".to_owned(),
        cancel_reasons: None,
        subscription_update: false,
        update_proration: "none".to_owned(),
        allowed_updates: Vec::new(),
        update_ends_trial: true,
        update_restarts: false,
        update_later: Vec::new(),
        subscription_pause: false,
        pause_lengths: Vec::new(),
        products: Vec::new(),
    };
    read(world, params, &mut configuration)?;
    let object = configuration.render();
    world.portal_configurations.put(configuration);
    world.emit("billing_portal.configuration.created", object.clone());
    Ok(object)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut configuration = need(&world.portal_configurations, call.id(), "configuration")?;
    let before = configuration.render();
    read(world, &call.params, &mut configuration)?;
    if let Field::Set(active) = call.params.flag("active")? {
        configuration.active = active || configuration.is_default;
    }
    configuration.updated = world.now;
    let after = configuration.render();
    world.portal_configurations.put(configuration);
    world.emit_change("billing_portal.configuration.updated", &before, after.clone());
    Ok(after)
}

fn read(world: &World, params: &Params<'_>, configuration: &mut PortalConfiguration) -> ApiResult<()> {
    let profile = params.sub("business_profile");
    profile.text("headline")?.apply(&mut configuration.headline);
    profile.text("privacy_policy_url")?.apply(&mut configuration.privacy_policy_url);
    profile.text("terms_of_service_url")?.apply(&mut configuration.terms_of_service_url);
    params.text("default_return_url")?.apply(&mut configuration.default_return_url);
    params.text("name")?.apply(&mut configuration.name);
    params.metadata_into(&mut configuration.metadata)?;
    let features = params.sub("features");
    let switches: [(&str, &mut bool); 6] = [
        ("payment_method_update", &mut configuration.payment_method_update),
        ("invoice_history", &mut configuration.invoice_history),
        ("customer_update", &mut configuration.customer_update),
        ("subscription_cancel", &mut configuration.subscription_cancel),
        ("subscription_pause", &mut configuration.subscription_pause),
        ("subscription_update", &mut configuration.subscription_update),
    ];
    for (name, switch) in switches {
        if let Field::Set(enabled) = features.sub(name).flag("enabled")? {
            *switch = enabled;
        }
    }
    let cancel = features.sub("subscription_cancel");
    let prorations = ["none", "create_prorations", "always_invoice"];
    if let Field::Set(mode) = cancel.one_of("mode", &["at_period_end", "immediately"])? {
        mode.clone_into(&mut configuration.cancel_mode);
    }
    if let Field::Set(word) = cancel.one_of("proration_behavior", &prorations)? {
        word.clone_into(&mut configuration.cancel_proration);
    }
    read_words(&features, configuration)?;
    read_pause(&features.sub("subscription_pause"), configuration)?;
    read_update(world, &features.sub("subscription_update"), &prorations, configuration)
}

/// The longest pause that can be chosen, in days.
const LONGEST_PAUSE: i64 = 3 * 366;

/// How long a customer may pause; a month where nothing is said.
fn read_pause(pause: &Params<'_>, configuration: &mut PortalConfiguration) -> ApiResult<()> {
    let month = Recurring { interval: interval_of("month"), count: 1, trial_days: None };
    if !pause.has("duration") {
        if pause.flag("enabled")? == Field::Set(true) && configuration.pause_lengths.is_empty() {
            configuration.pause_lengths = vec![month];
        }
        return Ok(());
    }
    let duration = pause.sub("duration");
    duration.required("type")?;
    if duration.one_of("type", &["indefinite", "interval_options"])? == Field::Set("indefinite") {
        configuration.pause_lengths.clear();
        return Ok(());
    }
    let mut lengths = Vec::new();
    for option in duration.list("interval_options") {
        option.required("interval")?;
        let word = option.one_of("interval", &["day", "week", "month", "year"])?.value();
        let count = option.int_within("interval_count", 1..=LONGEST_PAUSE)?.value().unwrap_or(1);
        let length = Recurring { interval: interval_of(word.unwrap_or("month")), count, ..month };
        if length.days() > LONGEST_PAUSE {
            let message = "A pause lasts up to three years.";
            return Err(ApiError::rule(message).param(&option.full("interval_count")));
        }
        lengths.push(length);
    }
    if lengths.is_empty() {
        let full = duration.full("interval_options");
        let message = format!("Missing required param: {full}.");
        return Err(ApiError::invalid("parameter_missing", &full, message));
    }
    configuration.pause_lengths = lengths;
    Ok(())
}

/// What a customer may change of themselves, and what they are asked when they cancel.
fn read_words(features: &Params<'_>, configuration: &mut PortalConfiguration) -> ApiResult<()> {
    let known = |words: &[String], all: &[&str], param: String| match words
        .iter()
        .find(|word| !all.contains(&word.as_str()))
    {
        Some(word) => {
            Err(ApiError::rule(format!("Invalid {param}: {word} is none of {}", all.join(", ")))
                .param(&param))
        }
        None => Ok(()),
    };
    let customer = features.sub("customer_update");
    if let Some(words) = customer.texts("allowed_updates")? {
        known(&words, &["email", "name", "phone", "address", "shipping"], customer.full("allowed_updates"))?;
        configuration.customer_updates = words;
    }
    let reason = features.sub("subscription_cancel").sub("cancellation_reason");
    match reason.flag("enabled")? {
        Field::Set(true) => {
            let words = reason.texts("options")?.unwrap_or_default();
            known(&words, &CANCEL_REASONS, reason.full("options"))?;
            let all = || CANCEL_REASONS.map(str::to_owned).to_vec();
            configuration.cancel_reasons = Some(if words.is_empty() { all() } else { words });
        }
        Field::Set(false) => configuration.cancel_reasons = None,
        Field::Absent | Field::Unset => {}
    }
    Ok(())
}

fn read_update(
    world: &World,
    update: &Params<'_>,
    prorations: &[&'static str],
    configuration: &mut PortalConfiguration,
) -> ApiResult<()> {
    if let Field::Set(word) = update.one_of("proration_behavior", prorations)? {
        word.clone_into(&mut configuration.update_proration);
    }
    if let Field::Set(word) = update.one_of("trial_update_behavior", &["end_trial", "continue_trial"])? {
        configuration.update_ends_trial = word == "end_trial";
    }
    if let Field::Set(word) = update.one_of("billing_cycle_anchor", &["now", "unchanged"])? {
        configuration.update_restarts = word == "now";
    }
    if let Some(words) = update.texts("default_allowed_updates")? {
        configuration.allowed_updates = words;
    }
    if update.has("schedule_at_period_end") {
        let conditions = update.sub("schedule_at_period_end").list("conditions");
        let kinds = ["decreasing_item_amount", "shortening_interval"];
        let read = |condition: &Params<'_>| match condition.one_of("type", &kinds)? {
            Field::Set(kind) => Ok(kind.to_owned()),
            Field::Absent | Field::Unset => condition.required("type"),
        };
        configuration.update_later = conditions.iter().map(read).collect::<ApiResult<_>>()?;
    }
    if update.has("products") {
        configuration.products.clear();
        for product in update.list("products") {
            let id = need(&world.products, &product.required("product")?, &product.full("product"))?.id;
            let prices = product.texts("prices")?.unwrap_or_default();
            for price in &prices {
                need(&world.prices, price, &product.full("prices"))?;
            }
            let adjustable = product.sub("adjustable_quantity");
            let quantity = if adjustable.flag("enabled")? == Field::Set(true) {
                let least = adjustable.int_within("minimum", 1..=999_999)?.value().unwrap_or(1);
                Some((least, adjustable.int_within("maximum", 1..=999_999)?.value()))
            } else {
                None
            };
            configuration.products.push(PortalProduct { product: id, prices, quantity });
        }
    }
    Ok(())
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let active = call.params.flag("active")?.value();
    let default = call.params.flag("is_default")?.value();
    let keep = |configuration: &PortalConfiguration| {
        active.is_none_or(|active| configuration.active == active)
            && default.is_none_or(|default| configuration.is_default == default)
    };
    list(
        &world.portal_configurations,
        &call.params,
        "/v1/billing_portal/configurations",
        None,
        keep,
        PortalConfiguration::render,
    )
}
