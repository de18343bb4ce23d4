//! Stripe's own list of events, kept for 30 days: how missed webhooks are found.

use serde_json::Value;

use super::{Call, Paging, Path, Verb};
use crate::form::Form;
use crate::observe::{ListedEvent, Page, ShapeError};

/// Which events to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListEvents<'a> {
    /// Made at or after, Unix seconds of Stripe's wall clock.
    pub created_gte_s: Option<i64>,
    /// At most 20 types; none is all.
    pub types: &'a [&'a str],
    /// `Some(false)`: only those that some endpoint has not accepted.
    pub delivery_success: Option<bool>,
    /// Which page.
    pub paging: Paging<'a>,
}

/// Events, newest first.
#[must_use]
pub fn list(wanted: &ListEvents<'_>) -> Call<Page<ListedEvent>> {
    let form = Form::new()
        .int_if("created[gte]", wanted.created_gte_s)
        .list("types", wanted.types.iter().copied())
        .flag_if("delivery_success", wanted.delivery_success);
    Call::new("events.list", Verb::Get, Path::of("/v1/events"), wanted.paging.add(form), page)
}

/// One event.
#[must_use]
pub fn retrieve(id: &str) -> Call<ListedEvent> {
    Call::new("events.retrieve", Verb::Get, Path::of("/v1/events").id(id), Form::new(), ListedEvent::read)
}

fn page(value: &Value) -> Result<Page<ListedEvent>, ShapeError> {
    Page::read(value, ListedEvent::read)
}
