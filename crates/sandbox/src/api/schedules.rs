//! Subscription schedules: made, listed, changed, cancelled, released.

use serde_json::Value;

use super::Call;
use super::schedule_phases::{Ahead, read_phases, read_settings};
use super::subscription_changes::read_proration;
use crate::model::schedule::{EndBehavior, PhaseSettings, Schedule, ScheduleState};
use crate::model::subscription::Collection;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{Range, list};
use crate::wire::params::{Field, Metadata, Params};

/// How many phases may lie ahead.
const MOST_PHASES: usize = 10;
/// How far back a schedule may begin, in seconds.
const LONGEST_BACK: i64 = 5 * 366 * 86_400;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "subscription_schedules") => create(world, call),
        ("GET", "subscription_schedules") => all(world, call),
        ("GET", "subscription_schedules/{id}") => one(world, call.id()),
        ("POST", "subscription_schedules/{id}") => update(world, call),
        ("POST", "subscription_schedules/{id}/cancel") => cancel(world, call),
        ("POST", "subscription_schedules/{id}/release") => release(world, call),
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.schedules, id, "schedule").map(|schedule| schedule.render())
}

/// Reads what follows the last phase. Published: `none` was the word for `cancel` and is read back as it, and `renew` can
/// be read only (changelog 2019-10-17, "Renames and updates subscription schedule renewal properties").
fn read_end(params: &Params<'_>) -> ApiResult<Option<EndBehavior>> {
    Ok(match params.one_of("end_behavior", &["cancel", "none", "release", "renew"])? {
        Field::Set("cancel" | "none") => Some(EndBehavior::Cancel),
        Field::Set("release") => Some(EndBehavior::Release),
        Field::Set(_) => {
            let message = "You can no longer set `end_behavior` to `renew`; use `release` or `cancel`.";
            return Err(ApiError::rule(message).param("end_behavior"));
        }
        Field::Absent | Field::Unset => None,
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    if let Some(subscription) = params.text("from_subscription")?.value() {
        let allowed = ["from_subscription", "expand", "billing_mode"];
        if let Some(name) = params.names().find(|name| !allowed.contains(name)) {
            let message = format!(
                "You cannot set '{name}' together with from_subscription: make the schedule first, then update it."
            );
            return Err(ApiError::rule(message).param(name));
        }
        let id = world.schedule_from(&subscription)?;
        return one(world, &id);
    }
    let customer = world.live_customer(&params.required("customer")?, "customer")?;
    world.check_subscription_room(&customer.id)?;
    let end_behavior = read_end(params)?.unwrap_or(EndBehavior::Release);
    let start = match params.text("start_date")?.value().as_deref() {
        None | Some("now") => world.now,
        Some(_) => params.int("start_date")?.value().unwrap_or(world.now),
    };
    if start < world.now - LONGEST_BACK {
        return Err(ApiError::rule("start_date can lie up to five years back.").param("start_date"));
    }
    let mut defaults =
        PhaseSettings { collection: Some(Collection::ChargeAutomatically), ..PhaseSettings::default() };
    read_settings(world, &params.sub("default_settings"), &customer.id, &mut defaults)?;
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let ahead = Ahead {
        customer: &customer.id,
        currency: customer.currency.clone(),
        start,
        anchor: start,
        version: call.version,
        held: &[],
    };
    let phases = read_phases(world, params, &ahead, &defaults)?;
    check_count(phases.len())?;
    if phases.first().is_some_and(|phase| phase.end <= world.now) {
        return Err(ApiError::rule("The first phase must end in the future.").param("phases[0][end_date]"));
    }
    let schedule = Schedule {
        id: world.chance.id("sub_sched_"),
        created: world.now,
        test_clock: customer.test_clock.clone(),
        customer: customer.id,
        state: ScheduleState::NotStarted,
        end_behavior,
        defaults,
        phases,
        metadata,
        announced: None,
    };
    let id = world.add_schedule(schedule)?;
    one(world, &id)
}

fn check_count(phases: usize) -> ApiResult<()> {
    if phases > MOST_PHASES {
        let message = format!("A subscription schedule can have up to {MOST_PHASES} phases ahead.");
        return Err(ApiError::rule(message).param("phases"));
    }
    Ok(())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut schedule = world.open_schedule(call.id(), "update")?;
    params.metadata_into(&mut schedule.metadata)?;
    if let Some(end_behavior) = read_end(params)? {
        schedule.end_behavior = end_behavior;
    }
    let customer = schedule.customer.clone();
    read_settings(world, &params.sub("default_settings"), &customer, &mut schedule.defaults)?;
    let proration = read_proration(params)?;
    if params.has("phases") {
        replace_phases(world, call, &mut schedule)?;
    }
    world.update_schedule(schedule, proration)?;
    one(world, call.id())
}

/// Puts the phases of an update in the place of those that are not over. The phase that runs must be among them, with
/// its start as it is; `now` as the first start ends it.
fn replace_phases(world: &mut World, call: &Call<'_>, schedule: &mut Schedule) -> ApiResult<()> {
    const START: &str = "phases[0][start_date]";
    let now = world.now;
    let first = call.params.list("phases").into_iter().next();
    let first =
        first.ok_or_else(|| ApiError::rule("A schedule needs at least one phase.").param("phases"))?;
    let start = match first.text("start_date")?.value().as_deref() {
        None => {
            let message = format!("Missing required param: {START}.");
            return Err(ApiError::invalid("parameter_missing", START, message));
        }
        Some("now") => now,
        Some(_) => first.int("start_date")?.value().unwrap_or(now),
    };
    let mut former = schedule.phases.clone();
    let mut anchor = start;
    let running = match &schedule.state {
        ScheduleState::Active { subscription, phase } => {
            anchor = world.subscriptions.get(subscription).map_or(start, |found| found.anchor);
            former.get(*phase).map(|running| (*phase, running.start))
        }
        ScheduleState::NotStarted
        | ScheduleState::Completed { .. }
        | ScheduleState::Released { .. }
        | ScheduleState::Canceled { .. } => None,
    };
    match running {
        None => former.clear(),
        Some((place, running_start)) => {
            let kept = former.iter().position(|phase| phase.start == start).filter(|kept| *kept <= place);
            match kept {
                Some(kept) => former.truncate(kept),
                None if start == now && now > running_start => {
                    former.truncate(place + 1);
                    if let Some(running) = former.last_mut() {
                        running.end = now;
                        running.trial_end = running.trial_end.map(|end| end.min(now));
                    }
                }
                None => {
                    let message = "You can not modify the start date of the current phase: the first phase must begin where a phase that has begun did, or `now`.";
                    return Err(ApiError::rule(message).param(START));
                }
            }
        }
    }
    let managed = schedule.state.managed().and_then(|id| world.subscriptions.get(id));
    let held: Vec<String> =
        managed.iter().flat_map(|found| &found.items).map(|item| item.price.clone()).collect();
    let ahead = Ahead {
        customer: &schedule.customer,
        currency: former.first().map(|phase| phase.currency.clone()),
        start,
        anchor,
        version: call.version,
        held: &held,
    };
    let new = read_phases(world, &call.params, &ahead, &schedule.defaults)?;
    former.extend(new);
    let place = match running {
        None => 0,
        Some((_, running_start)) => {
            former.iter().position(|phase| phase.start == running_start).ok_or_else(|| {
                ApiError::rule("The phase that runs now must be among the phases.").param("phases")
            })?
        }
    };
    check_count(former.len() - place)?;
    if former.get(place).is_some_and(|phase| phase.end < now)
        || (running.is_none() && former.first().is_some_and(|phase| phase.end <= now))
    {
        return Err(ApiError::rule("The phase that runs now must end in the future.").param("phases"));
    }
    if let ScheduleState::Active { phase, .. } = &mut schedule.state {
        *phase = place;
    }
    schedule.phases = former;
    Ok(())
}

fn cancel(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let invoice = call.params.flag("invoice_now")?.value().unwrap_or(true);
    let prorate = call.params.flag("prorate")?.value().unwrap_or(true);
    world.cancel_schedule(call.id(), invoice, prorate)?;
    one(world, call.id())
}

fn release(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let keeps_end = call.params.flag("preserve_cancel_date")? == Field::Set(true);
    world.release_schedule(call.id(), keeps_end)?;
    one(world, call.id())
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = params.text("customer")?.value();
    if let Some(customer) = &customer {
        need(&world.customers, customer, "customer")?;
    }
    let scheduled = params.flag("scheduled")?.value();
    let within = |name: &str| -> ApiResult<Option<Range>> {
        params.has(name).then(|| Range::read(params, name)).transpose()
    };
    let (canceled, completed, released) =
        (within("canceled_at")?, within("completed_at")?, within("released_at")?);
    let keep = |schedule: &Schedule| {
        let (mut canceled_at, mut completed_at, mut released_at) = (None, None, None);
        match schedule.state {
            ScheduleState::NotStarted | ScheduleState::Active { .. } => {}
            ScheduleState::Canceled { at, .. } => canceled_at = Some(at),
            ScheduleState::Completed { at, .. } => completed_at = Some(at),
            ScheduleState::Released { at, after_last, .. } => {
                released_at = Some(at);
                completed_at = released_at.filter(|_| after_last);
            }
        }
        let fits = |range: &Option<Range>, at: Option<i64>| {
            range.is_none_or(|range| at.is_some_and(|at| range.holds(at)))
        };
        let waits = schedule.state == ScheduleState::NotStarted;
        (customer.is_some() || schedule.test_clock.is_none())
            && scheduled.is_none_or(|wanted| !wanted || waits)
            && fits(&canceled, canceled_at)
            && fits(&completed, completed_at)
            && fits(&released, released_at)
    };
    list(&world.schedules, params, "/v1/subscription_schedules", customer.as_deref(), keep, Schedule::render)
}
