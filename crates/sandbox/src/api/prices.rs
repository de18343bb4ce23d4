//! Prices.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Call, pricing};
use crate::model::product::{Interval, Price, Recurring};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "prices") => world
            .add_price(&call.params, None)
            .and_then(|id| need(&world.prices, &id, "id"))
            .map(|price| price.render()),
        ("GET", "prices") => all(world, call),
        ("GET", "prices/{id}") => need(&world.prices, call.id(), "id").map(|price| price.render()),
        ("POST", "prices/{id}") => update(world, call),
        _ => return None,
    })
}

fn recurring(params: &Params<'_>) -> ApiResult<Option<Recurring>> {
    if !params.has("recurring") {
        return Ok(None);
    }
    let params = params.sub("recurring");
    params.required("interval")?;
    let interval = match params.one_of("interval", &["day", "week", "month", "year"])? {
        Field::Set("day") => Interval::Day,
        Field::Set("week") => Interval::Week,
        Field::Set("year") => Interval::Year,
        Field::Set(_) | Field::Absent | Field::Unset => Interval::Month,
    };
    let longest = match interval {
        Interval::Day => 1095,
        Interval::Week => 156,
        Interval::Month => 36,
        Interval::Year => 3,
    };
    let count = params.int_within("interval_count", 1..=longest)?.value().unwrap_or(1);
    Ok(Some(Recurring {
        interval,
        count,
        trial_days: params.int_within("trial_period_days", 1..=730)?.value(),
    }))
}

/// The meter of a metered price.
fn meter(world: &World, params: &Params<'_>) -> ApiResult<Option<String>> {
    let params = params.sub("recurring");
    let metered = params.one_of("usage_type", &["licensed", "metered"])? == Field::Set("metered");
    match (metered, params.text("meter")?.value()) {
        (false, None) => Ok(None),
        (true, None) => {
            let message = "A metered price must have a `recurring[meter]` that counts its usage.";
            Err(ApiError::invalid("parameter_missing", &params.full("meter"), message))
        }
        (false, Some(_)) => {
            let message = "`recurring[meter]` needs `recurring[usage_type]` set to `metered`.";
            Err(ApiError::rule(message).param(&params.full("meter")))
        }
        (true, Some(id)) => {
            let meter = need(&world.metering.meters, &id, &params.full("meter"))?;
            if !meter.is_active() {
                let message = format!("The meter `{id}` is inactive and cannot be attached to a price.");
                return Err(ApiError::rule(message).param(&params.full("meter")));
            }
            Ok(Some(id))
        }
    }
}

impl World {
    /// Makes a price from its parameters, for the product given or named in them.
    pub(crate) fn add_price(&mut self, params: &Params<'_>, product: Option<&str>) -> ApiResult<String> {
        self.add_price_as(params, product, None)
    }

    /// Makes a price whose id is given.
    pub(super) fn add_price_as(
        &mut self,
        params: &Params<'_>,
        product: Option<&str>,
        id: Option<String>,
    ) -> ApiResult<String> {
        let currency = pricing::currency(&params.required("currency")?, &params.full("currency"))?;
        let pricing = pricing::read(params)?;
        let mut currency_options = BTreeMap::new();
        pricing::read_options(params, (&currency, &pricing), &mut currency_options)?;
        let recurring = recurring(params)?;
        let meter = meter(self, params)?;
        if recurring.is_none() && pricing.tiers_mode().is_some() {
            return Err(ApiError::rule("A one-time price cannot have `billing_scheme` set to `tiered`.")
                .param(&params.full("billing_scheme")));
        }
        let lookup_key = params.text("lookup_key")?.value();
        let transfer = params.flag("transfer_lookup_key")?.value().unwrap_or(false);
        self.check_lookup_key(lookup_key.as_deref(), transfer, "")?;
        let mut metadata = Metadata::new();
        params.metadata_into(&mut metadata)?;
        let data = params.sub("product_data");
        let product = match product {
            Some(product) => product.to_owned(),
            None if data.has("name") => self.add_product(&data)?,
            None => need(&self.products, &params.required("product")?, &params.full("product"))?.id,
        };
        let id = id.unwrap_or_else(|| self.chance.id("price_"));
        self.free_lookup_key(lookup_key.as_deref(), transfer);
        let price = Price {
            id: id.clone(),
            created: self.now,
            active: params.flag("active")?.value().unwrap_or(true),
            currency,
            pricing,
            currency_options,
            product,
            recurring,
            meter,
            lookup_key,
            nickname: params.text("nickname")?.value(),
            tax_behavior: params
                .one_of("tax_behavior", &["exclusive", "inclusive", "unspecified"])?
                .value()
                .unwrap_or("unspecified")
                .to_owned(),
            metadata,
            deleted: false,
        };
        let object = price.render();
        self.prices.put(price);
        self.emit("price.created", object);
        Ok(id)
    }

    /// The price that an item names, or describes in `price_data`.
    pub(crate) fn price_of(&mut self, item: &Params<'_>) -> ApiResult<Option<String>> {
        // `plan` is the older word for the same thing.
        if let Some(price) = item.text("price")?.value().or(item.text("plan")?.value()) {
            return Ok(Some(price));
        }
        let data = item.sub("price_data");
        if data.has("currency") { self.add_price(&data, None).map(Some) } else { Ok(None) }
    }

    fn check_lookup_key(&self, key: Option<&str>, transfer: bool, own: &str) -> ApiResult<()> {
        let Some(key) = key.filter(|_| !transfer) else {
            return Ok(());
        };
        match self.prices.iter().find(|price| price.lookup_key.as_deref() == Some(key) && price.id != own) {
            Some(other) => Err(ApiError::state(
                "resource_already_exists",
                format!("A price (`{}`) already uses that lookup key.", other.id),
            )
            .param("lookup_key")),
            None => Ok(()),
        }
    }

    fn free_lookup_key(&mut self, key: Option<&str>, transfer: bool) {
        let holder = key
            .filter(|_| transfer)
            .and_then(|key| self.prices.iter().find(|price| price.lookup_key.as_deref() == Some(key)));
        if let Some(mut holder) = holder.cloned() {
            let before = holder.render();
            holder.lookup_key = None;
            self.emit_change("price.updated", &before, holder.render());
            self.prices.put(holder);
        }
    }
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut price = need(&world.prices, call.id(), "id")?;
    let before = price.render();
    if let Field::Set(active) = params.flag("active")? {
        price.active = active;
    }
    params.text("nickname")?.apply(&mut price.nickname);
    if let Field::Set(behavior) = params.text("tax_behavior")? {
        price.tax_behavior = behavior;
    }
    params.metadata_into(&mut price.metadata)?;
    pricing::read_options(params, (&price.currency, &price.pricing), &mut price.currency_options)?;
    let key = params.text("lookup_key")?;
    if key != Field::Absent {
        let transfer = params.flag("transfer_lookup_key")?.value().unwrap_or(false);
        let wanted = key.clone().value();
        world.check_lookup_key(wanted.as_deref(), transfer, &price.id)?;
        if wanted != price.lookup_key {
            world.free_lookup_key(wanted.as_deref(), transfer);
        }
        key.apply(&mut price.lookup_key);
    }
    let after = price.render();
    world.prices.put(price);
    world.emit_change("price.updated", &before, after.clone());
    Ok(after)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let active = params.flag("active")?.value();
    let keys = params.texts("lookup_keys")?;
    let product = params.text("product")?.value();
    let currency = params.text("currency")?.value();
    let kind = params.one_of("type", &["one_time", "recurring"])?.value();
    let recurring = params.sub("recurring");
    let interval = recurring.text("interval")?.value();
    let usage = recurring.one_of("usage_type", &["licensed", "metered"])?.value();
    let meter = recurring.text("meter")?.value();
    let keep = |price: &Price| {
        active.is_none_or(|active| price.active == active)
            && keys
                .as_ref()
                .is_none_or(|keys| price.lookup_key.as_ref().is_some_and(|key| keys.contains(key)))
            && product.as_ref().is_none_or(|product| price.product == *product)
            && currency.as_ref().is_none_or(|currency| price.currency == *currency)
            && kind.is_none_or(|kind| (kind == "recurring") == price.recurring.is_some())
            && usage
                .is_none_or(|usage| price.recurring.is_some() && (usage == "metered") == price.is_metered())
            && meter.as_ref().is_none_or(|meter| price.meter.as_ref() == Some(meter))
            && interval.as_ref().is_none_or(|interval| {
                price.recurring.is_some_and(|recurring| recurring.interval.as_str() == interval)
            })
    };
    list(&world.prices, params, "/v1/prices", None, keep, Price::render)
}
