//! Reads the phases of a subscription schedule and works out their times.

use super::discounts::read_discounts;
use super::invoice_lines::read_extras;
use super::subscription_changes::read_proration;
use super::subscriptions::{owned_method, read_quantity};
use super::tax_rates::{read_automatic, read_rates};
use crate::billing::discounts::Place;
use crate::billing::subscribe::same_rhythm;
use crate::model::product::{Price, Recurring};
use crate::model::schedule::{Phase, PhaseAnchor, PhaseItem, PhaseSettings};
use crate::model::subscription::Collection;
use crate::model::terms::ItemTerms;
use crate::schedules::phases::{Length, check_end, end_of, interval_of};
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Metadata, Params};

/// The first version in which `iterations` is gone.
const WITHOUT_ITERATIONS: &str = "2025-09-30.clover";
/// The longest phase, in its own unit.
const LONGEST: i64 = 3660;

/// What is known before the phases are read.
pub(super) struct Ahead<'a> {
    pub(super) customer: &'a str,
    /// The currency that all prices must have, where it is fixed.
    pub(super) currency: Option<String>,
    /// When the first phase begins, in unix seconds.
    pub(super) start: i64,
    /// Where the billing cycle began.
    pub(super) anchor: i64,
    /// The version that the request asked for.
    pub(super) version: Option<&'a str>,
    /// The prices that the subscription has now: it keeps them although they are archived.
    pub(super) held: &'a [String],
}

/// Reads `default_settings`, or the settings of one phase.
pub(super) fn read_settings(
    world: &mut World,
    params: &Params<'_>,
    customer: &str,
    settings: &mut PhaseSettings,
) -> ApiResult<()> {
    match params.one_of("collection_method", &["charge_automatically", "send_invoice"])? {
        Field::Set("send_invoice") => settings.collection = Some(Collection::SendInvoice),
        Field::Set(_) => settings.collection = Some(Collection::ChargeAutomatically),
        Field::Absent | Field::Unset => {}
    }
    match params.one_of("billing_cycle_anchor", &["automatic", "phase_start"])? {
        Field::Set("phase_start") => settings.anchor = Some(PhaseAnchor::PhaseStart),
        Field::Set(_) => settings.anchor = Some(PhaseAnchor::Automatic),
        Field::Absent | Field::Unset => {}
    }
    if let Some(automatic) = read_automatic(params)? {
        if automatic {
            world.check_location(customer)?;
        }
        settings.automatic_tax = Some(automatic);
    }
    params.text("description")?.apply(&mut settings.description);
    let days = params.sub("invoice_settings").int_within("days_until_due", 0..=3650)?;
    days.apply(&mut settings.days_until_due);
    match params.text("default_payment_method")? {
        Field::Set(reference) => {
            settings.default_payment_method = Some(owned_method(world, &reference, customer)?);
        }
        Field::Unset => settings.default_payment_method = None,
        Field::Absent => {}
    }
    Ok(())
}

/// Reads `phases`. Each begins where the one before ends.
pub(super) fn read_phases(
    world: &mut World,
    params: &Params<'_>,
    ahead: &Ahead<'_>,
    defaults: &PhaseSettings,
) -> ApiResult<Vec<Phase>> {
    let mut phases: Vec<Phase> = Vec::new();
    let (mut start, mut anchor) = (ahead.start, ahead.anchor);
    let mut currency = ahead.currency.clone();
    let mut rhythm: Option<Recurring> = None;
    for (index, given) in params.list("phases").iter().enumerate() {
        if index > 0 && given.text("start_date")?.value().is_some_and(|text| text != start.to_string()) {
            return Err(ApiError::rule("A phase must begin where the one before it ends.")
                .param(&given.full("start_date")));
        }
        let items = read_items(world, given)?;
        let price = items.first().and_then(|item| world.prices.get(&item.price));
        let recurring = price.and_then(|price| price.recurring);
        let of_phase = price.map(|price| price.currency.clone()).unwrap_or_default();
        let mut settings = PhaseSettings::default();
        read_settings(world, given, ahead.customer, &mut settings)?;
        let resets = settings.over(defaults).anchor == Some(PhaseAnchor::PhaseStart)
            || (rhythm.is_some() && !same_rhythm(rhythm, recurring));
        if resets {
            anchor = start;
        }
        rhythm = recurring;
        let length = read_length(given, ahead.version, recurring)?;
        let end = end_of(start, length, anchor, world.now);
        check_end(start, end, &given.full("end_date"))?;
        let trial_end = read_trial(given, end, world.now)?;
        if trial_end.is_some() && settings.anchor == Some(PhaseAnchor::PhaseStart) {
            return Err(ApiError::rule("billing_cycle_anchor=phase_start cannot be used with a trial.")
                .param(&given.full("billing_cycle_anchor")));
        }
        anchor = trial_end.unwrap_or(anchor);
        let mut metadata = Metadata::new();
        given.metadata_into(&mut metadata)?;
        let wanted = given.text("currency")?.value().or_else(|| currency.clone()).unwrap_or(of_phase);
        let place = Place { customer: Some(ahead.customer), currency: Some(&wanted), subtotal: None };
        let discounts = read_discounts(world, given, place)?.unwrap_or_default();
        let currency_of_phase = wanted.to_ascii_lowercase();
        let extras = read_extras(world, given, "add_invoice_items", ahead.customer, &currency_of_phase)?;
        let items = read_item_terms(world, given, items, place)?;
        let phase = Phase {
            start,
            end,
            items,
            currency: currency_of_phase,
            proration: read_proration(given)?,
            trial_end,
            settings,
            discounts,
            default_tax_rates: read_rates(world, given, "default_tax_rates")?.unwrap_or_default(),
            extras,
            metadata,
        };
        world.check_phase(&phase, defaults, index, ahead.held)?;
        currency = Some(phase.currency.clone());
        start = end;
        phases.push(phase);
    }
    if phases.is_empty() {
        return Err(ApiError::invalid("parameter_missing", "phases", "Missing required param: phases."));
    }
    Ok(phases)
}

fn read_items(world: &mut World, phase: &Params<'_>) -> ApiResult<Vec<PhaseItem>> {
    let mut items = Vec::new();
    for item in phase.list("items") {
        let price = match world.price_of(&item)?.or(item.text("plan")?.value()) {
            Some(price) => price,
            None => item.required("price")?,
        };
        let mut metadata = Metadata::new();
        item.metadata_into(&mut metadata)?;
        let metered = world.prices.get(&price).is_some_and(Price::is_metered);
        let quantity = read_quantity(world, &item, &price, 0)?.unwrap_or(1);
        let quantity = (!metered).then_some(quantity);
        items.push(PhaseItem { price, quantity, metadata, terms: ItemTerms::default() });
    }
    if items.is_empty() {
        let full = phase.full("items");
        return Err(ApiError::invalid(
            "parameter_missing",
            &full,
            format!("Missing required param: {full}."),
        ));
    }
    Ok(items)
}

/// Reads the discounts and tax rates of items that were read before.
fn read_item_terms(
    world: &mut World,
    phase: &Params<'_>,
    items: Vec<PhaseItem>,
    place: Place<'_>,
) -> ApiResult<Vec<PhaseItem>> {
    let mut read = Vec::new();
    for (item, given) in items.into_iter().zip(phase.list("items")) {
        let terms = ItemTerms {
            discounts: read_discounts(world, &given, place)?.unwrap_or_default(),
            tax_rates: read_rates(world, &given, "tax_rates")?.unwrap_or_default(),
        };
        read.push(PhaseItem { terms, ..item });
    }
    Ok(read)
}

/// One interval of its price, unless the phase says how long it is.
fn read_length(phase: &Params<'_>, version: Option<&str>, recurring: Option<Recurring>) -> ApiResult<Length> {
    let price = recurring.unwrap_or(Recurring { interval: interval_of("month"), count: 1, trial_days: None });
    let given = ["end_date", "duration", "iterations"].into_iter().filter(|name| phase.has(name)).count();
    if given > 1 {
        return Err(
            ApiError::rule("Give one of end_date and duration, and only one.").param(&phase.full("end_date"))
        );
    }
    if phase.has("iterations") {
        let full = phase.full("iterations");
        // A request that names no version may come from an account that has kept an old one.
        if version.is_some_and(|version| version >= WITHOUT_ITERATIONS) {
            let message = format!("Received unknown parameter: {full}. Did you mean duration?");
            return Err(ApiError::invalid("parameter_unknown", &full, message));
        }
        let times = phase.int_within("iterations", 1..=LONGEST)?.value().unwrap_or(1);
        return Ok(Length::Lasting(Recurring {
            count: price.count.saturating_mul(times).min(LONGEST),
            ..price
        }));
    }
    if phase.has("duration") {
        let duration = phase.sub("duration");
        duration.required("interval")?;
        let word = duration.one_of("interval", &["day", "week", "month", "year"])?.value();
        let count = duration.int_within("interval_count", 1..=LONGEST)?.value().unwrap_or(1);
        let interval = interval_of(word.unwrap_or("month"));
        return Ok(Length::Lasting(Recurring { interval, count, trial_days: None }));
    }
    match phase.text("end_date")?.value().as_deref() {
        None => Ok(Length::Lasting(price)),
        Some("now") => Ok(Length::UntilNow),
        Some(_) => Ok(Length::Until(phase.int("end_date")?.value().unwrap_or_default())),
    }
}

/// The trial of a phase: the whole of it, or up to an instant.
fn read_trial(phase: &Params<'_>, end: i64, now: i64) -> ApiResult<Option<i64>> {
    let until = match phase.text("trial_end")?.value().as_deref() {
        None => None,
        Some("now") => Some(now),
        Some(_) => phase.int("trial_end")?.value(),
    };
    match (phase.flag("trial")? == Field::Set(true), until) {
        (true, Some(until)) if until != end => {
            Err(ApiError::rule("With trial=true the trial ends with the phase; leave trial_end out.")
                .param(&phase.full("trial_end")))
        }
        (true, _) => Ok(Some(end)),
        (false, until) => Ok(until),
    }
}
