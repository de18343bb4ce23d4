//! Test clocks.

use serde_json::{Value, json};

use super::Call;
use crate::clock::LAST;
use crate::model::test_clock::TestClock;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::Params;

/// The longest name that a clock takes, in characters.
const LONGEST_NAME: usize = 300;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "test_helpers/test_clocks") => create(world, call),
        ("GET", "test_helpers/test_clocks") => list(
            &world.test_clocks,
            &call.params,
            "/v1/test_helpers/test_clocks",
            None,
            |_| true,
            TestClock::render,
        ),
        ("GET", "test_helpers/test_clocks/{id}") => one(world, call.id()),
        ("POST", "test_helpers/test_clocks/{id}/advance") => advance(world, call),
        ("DELETE", "test_helpers/test_clocks/{id}") => world
            .delete_clock(call.id())
            .map(|()| json!({ "id": call.id(), "object": "test_helpers.test_clock", "deleted": true })),
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.test_clocks, id, "test_clock").map(|clock| clock.render())
}

fn frozen_time(params: &Params<'_>) -> ApiResult<i64> {
    params.required("frozen_time")?;
    Ok(params.int_within("frozen_time", 0..=LAST)?.value().unwrap_or_default())
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let frozen_time = frozen_time(&call.params)?;
    let name = call.params.text("name")?.value();
    if name.as_ref().is_some_and(|name| name.chars().count() > LONGEST_NAME) {
        let message = format!("The name of a test clock may have up to {LONGEST_NAME} characters.");
        return Err(ApiError::rule(message).param("name"));
    }
    let id = match call.params.text("customer")?.value() {
        Some(customer) => world.add_clock_for(&customer, frozen_time, name)?,
        None => world.add_clock(frozen_time, name),
    };
    one(world, &id)
}

fn advance(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let to = frozen_time(&call.params)?;
    world.advance_clock(call.id(), to)?;
    one(world, call.id())
}
