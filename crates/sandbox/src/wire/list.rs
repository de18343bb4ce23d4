//! Lists: newest first, in pages, filtered.

use serde_json::{Value, json};

use super::error::{ApiError, ApiResult};
use super::params::{Field, Params};
use crate::state::table::{Stored, Table};

/// A page of a list, before it is rendered.
struct Page {
    limit: usize,
    after: Option<u64>,
    before: Option<u64>,
}

fn page<T: Stored>(table: &Table<T>, params: &Params<'_>) -> ApiResult<Page> {
    let place = |name: &str| -> ApiResult<Option<u64>> {
        match params.text(name)?.value() {
            None => Ok(None),
            Some(id) => table.place(&id).map(Some).ok_or_else(|| ApiError::missing(T::LABEL, &id, name)),
        }
    };
    let (after, before) = (place("starting_after")?, place("ending_before")?);
    if after.is_some() && before.is_some() {
        return Err(ApiError::rule("You cannot pass both 'starting_after' and 'ending_before'."));
    }
    let limit = params.int_within("limit", 1..=100)?.value().unwrap_or(10);
    Ok(Page { limit: usize::try_from(limit).unwrap_or(10), after, before })
}

/// A range of times: `created[gte]=…` or one exact time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    min: Option<i64>,
    max: Option<i64>,
}

impl Range {
    /// Reads the range of a parameter.
    pub(crate) fn read(params: &Params<'_>, name: &str) -> ApiResult<Self> {
        let below = params.sub(name);
        let number = |bound: &str| below.int(bound).map(Field::value);
        if below.has("gt") || below.has("gte") || below.has("lt") || below.has("lte") {
            let min = number("gte")?.or(number("gt")?.map(|time| time.saturating_add(1)));
            let max = number("lte")?.or(number("lt")?.map(|time| time.saturating_sub(1)));
            return Ok(Self { min, max });
        }
        let exact = params.int(name)?.value();
        Ok(Self { min: exact, max: exact })
    }

    /// Whether a time lies in it.
    pub(crate) fn holds(&self, time: i64) -> bool {
        self.min.is_none_or(|min| time >= min) && self.max.is_none_or(|max| time <= max)
    }
}

/// Lists a table, or one customer's part of it.
pub(crate) fn list<T: Stored>(
    table: &Table<T>,
    params: &Params<'_>,
    url: &str,
    customer: Option<&str>,
    keep: impl Fn(&T) -> bool,
    render: impl Fn(&T) -> Value,
) -> ApiResult<Value> {
    let page = page(table, params)?;
    let created = Range::read(params, "created")?;
    let fits = |row: &T| created.holds(row.created()) && keep(row);
    let mut found: Vec<Value> = Vec::new();
    let mut take = |row: &T| {
        if fits(row) {
            found.push(render(row));
        }
        found.len() > page.limit
    };
    // One more than asked for is looked for, to know whether there is more.
    match (customer, page.before) {
        (Some(customer), Some(before)) => {
            table.rows_of(customer).filter(|(place, _)| *place > before).any(|(_, row)| take(row));
        }
        (None, Some(before)) => {
            table.rows().filter(|(place, _)| *place > before).any(|(_, row)| take(row));
        }
        (Some(customer), None) => {
            let older = |place: u64| page.after.is_none_or(|after| place < after);
            table.rows_of(customer).rev().filter(|(place, _)| older(*place)).any(|(_, row)| take(row));
        }
        (None, None) => {
            let older = |place: u64| page.after.is_none_or(|after| place < after);
            table.rows().rev().filter(|(place, _)| older(*place)).any(|(_, row)| take(row));
        }
    }
    let has_more = found.len() > page.limit;
    found.truncate(page.limit);
    if page.before.is_some() {
        found.reverse();
    }
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": found }))
}

/// A list that is already there in full, cut into pages by the ids of its elements.
pub(crate) fn list_values(all: Vec<Value>, params: &Params<'_>, url: &str) -> ApiResult<Value> {
    let limit = usize::try_from(params.int_within("limit", 1..=100)?.value().unwrap_or(10)).unwrap_or(10);
    let after = params.text("starting_after")?.value();
    let skip = match after {
        None => 0,
        Some(id) => all
            .iter()
            .position(|value| value.get("id").and_then(Value::as_str) == Some(&id))
            .map_or(all.len(), |place| place + 1),
    };
    let has_more = all.len() > skip + limit;
    let data: Vec<Value> = all.into_iter().skip(skip).take(limit).collect();
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": data }))
}
