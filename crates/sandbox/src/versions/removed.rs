//! Calls that left the API: what replaced each, and how the sandbox still answers one where an older version asks.
//!
//! Published: changelog 2025-03-31.basil, "Removes legacy usage-based billing" and "Invoice preview API deprecations".

use serde_json::Value;

use super::Version;
use super::requests::first_discount;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::form::{Param, Tree};
use crate::wire::list::list_values;
use crate::wire::params::Params;

/// The version that took them away.
const BASIL: &str = "2025-03-31.basil";

/// What a call that was removed is answered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Still {
    /// The preview of an invoice, as the call showed it.
    Preview,
    /// The lines of that preview.
    PreviewLines,
    /// Nothing: what it wrote to is gone.
    Nothing,
}

/// A call that was removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Removed {
    method: &'static str,
    path: &'static str,
    instead: &'static str,
    still: Still,
}

const CALLS: [Removed; 5] = [
    Removed {
        method: "GET",
        path: "/v1/invoices/upcoming",
        instead: "POST /v1/invoices/create_preview",
        still: Still::Preview,
    },
    Removed {
        method: "GET",
        path: "/v1/invoices/upcoming/lines",
        instead: "POST /v1/invoices/create_preview",
        still: Still::PreviewLines,
    },
    Removed {
        method: "POST",
        path: "/v1/subscription_items/{id}/usage_records",
        instead: "POST /v1/billing/meter_events",
        still: Still::Nothing,
    },
    Removed {
        method: "GET",
        path: "/v1/subscription_items/{id}/usage_record_summaries",
        instead: "GET /v1/billing/meters/{id}/event_summaries",
        still: Still::Nothing,
    },
    Removed {
        method: "GET",
        path: "/v1/subscription_items/{id}/period_summaries",
        instead: "GET /v1/billing/meters/{id}/event_summaries",
        still: Still::Nothing,
    },
];

/// The parameters of pages, which a preview does not have.
const PAGING: [&str; 3] = ["limit", "starting_after", "ending_before"];

/// The call with a method and path, where it was removed.
pub(crate) fn find(method: &str, path: &str) -> Option<Removed> {
    let fits = |call: &&Removed| {
        let (of, given) = (call.path.trim_matches('/').split('/'), path.trim_matches('/').split('/'));
        call.method == method
            && of.clone().count() == given.clone().count()
            && of.zip(given).all(|(segment, part)| segment == part || segment.starts_with('{'))
    };
    CALLS.iter().find(fits).copied()
}

impl Removed {
    /// The call that answers it now, as method and path.
    pub(crate) const NOW: (&'static str, &'static str) = ("POST", "/v1/invoices/create_preview");

    /// Refuses it for versions that do not have it any more, and where the sandbox does not play it.
    pub(crate) fn check(self, version: Version) -> ApiResult<()> {
        if version.name() >= BASIL {
            return Err(ApiError::removed(self.method, self.path, BASIL, self.instead));
        }
        match self.still {
            Still::Preview | Still::PreviewLines => Ok(()),
            Still::Nothing => Err(ApiError::absent(self.method, self.path)),
        }
    }

    /// Its parameters as those of the call that answers it. Without a subscription it was about the customer's next renewal.
    pub(crate) fn translate(self, world: &World, tree: &Tree) -> ApiResult<Tree> {
        let mut new = Tree::new();
        let mut details = Tree::new();
        for (name, param) in tree {
            match name.strip_prefix("subscription_") {
                Some("details") => {
                    if let Param::Tree(given) = param {
                        details.extend(given.clone());
                    }
                }
                Some(inner) => {
                    details.insert(inner.to_owned(), param.clone());
                }
                None if self.still == Still::PreviewLines && PAGING.contains(&name.as_str()) => {}
                None => {
                    new.insert(name.clone(), param.clone());
                }
            }
        }
        first_discount(&mut new);
        if !details.is_empty() {
            new.insert("subscription_details".to_owned(), Param::Tree(details));
        }
        if let (None, Some(Param::Text(customer))) = (new.get("subscription"), new.get("customer")) {
            let next =
                world.next_to_renew(customer).ok_or_else(|| ApiError::none_upcoming("customer", customer))?;
            new.insert("subscription".to_owned(), Param::Text(next));
        }
        if let (Still::PreviewLines, Some(Param::Tree(paths))) = (self.still, new.get_mut("expand")) {
            for path in paths.values_mut() {
                if let Param::Text(path) = path {
                    *path = format!("lines.{path}");
                }
            }
        }
        Ok(new)
    }

    /// What it answers, of the answer of the call that answers it now. What was only supposed had no id.
    pub(crate) fn show(self, mut value: Value, tree: &Tree) -> ApiResult<Value> {
        match self.still {
            Still::Preview | Still::Nothing => {
                if let Some(fields) = value.as_object_mut() {
                    fields.remove("id");
                }
                Ok(value)
            }
            Still::PreviewLines => {
                let lines = value.pointer("/lines/data").and_then(Value::as_array).cloned();
                list_values(lines.unwrap_or_default(), &Params::root(tree), self.path)
            }
        }
    }
}
