//! Which calls there are and which parameters each takes: an unknown one is refused, as the API does, and one that the
//! sandbox does not play is refused with words of its own, because ignoring it would give wrong money.
//!
//! The tables are derived from the types of the public client library (MIT licence). One line of `params.txt` is one call
//! that is played: method, path, parameters; `x{…}` nests, `x[]` is an array, `x*` takes anything below it, `!x` is not
//! played. One line of `absent.txt` is one call that is not played. `docs/sandbox.md` is made from both.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::error::{ApiError, ApiResult};
use super::form::{Param, Tree};
use crate::model::currency;

static TABLE: LazyLock<Vec<Call>> =
    LazyLock::new(|| include_str!("params.txt").lines().filter_map(parse_line).collect());

#[derive(Debug)]
struct Call {
    method: String,
    segments: Vec<String>,
    template: String,
    params: Names,
}

static ABSENT: LazyLock<Vec<Call>> =
    LazyLock::new(|| include_str!("absent.txt").lines().filter_map(parse_line).collect());

type Names = BTreeMap<String, Taken>;

/// A parameter that the API takes.
#[derive(Debug)]
struct Taken {
    /// Whether the sandbox plays it.
    played: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Leaf,
    Free,
    Object(Names),
    Array(Option<Names>),
}

/// A call of the API that a request matched.
pub(crate) struct Matched {
    call: &'static Call,
    /// The values of the `{…}` parts of the path, in order.
    pub(crate) ids: Vec<String>,
}

impl Matched {
    /// The path with its `{…}` parts, such as `/v1/customers/{id}`.
    pub(crate) fn template(&self) -> &'static str {
        &self.call.template
    }

    /// Refuses parameters that the call does not take.
    pub(crate) fn check(&self, tree: &Tree) -> ApiResult<()> {
        check_names(&self.call.params, tree, "")
    }
}

/// Finds the call for a method and path; literal parts win over `{…}` parts.
pub(crate) fn find(method: &str, path: &str) -> Option<Matched> {
    find_in(&TABLE, method, path)
}

/// Whether the API has this call, although the sandbox does not play it: one of those that `absent.txt` names, or any of
/// a product that no billing needs.
pub(crate) fn is_absent(method: &str, path: &str) -> bool {
    let rest = path.strip_prefix("/v1/").unwrap_or_default();
    let rest = rest.strip_prefix("test_helpers/").unwrap_or(rest);
    let product = rest.split('/').next().unwrap_or_default();
    OTHER_PRODUCTS.contains(&product) || find_in(&ABSENT, method, path).is_some()
}

/// Where the paths of other products begin, after `/v1/` and `/v1/test_helpers/`; `sources` are the `src_…` of payment
/// methods that newer ones have replaced.
const OTHER_PRODUCTS: [&str; 14] = [
    "apple_pay",
    "apps",
    "climate",
    "crypto",
    "ephemeral_keys",
    "financial_connections",
    "forwarding",
    "identity",
    "issuing",
    "reporting",
    "sigma",
    "sources",
    "terminal",
    "treasury",
];

fn find_in(table: &'static [Call], method: &str, path: &str) -> Option<Matched> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let mut best: Option<Matched> = None;
    for call in table.iter().filter(|call| call.method == method && call.segments.len() == parts.len()) {
        let mut ids = Vec::new();
        let fits = call.segments.iter().zip(&parts).all(|(segment, part)| {
            if segment.starts_with('{') {
                ids.push((*part).to_owned());
                !part.is_empty()
            } else {
                segment == part
            }
        });
        if fits && best.as_ref().is_none_or(|found| ids.len() < found.ids.len()) {
            best = Some(Matched { call, ids });
        }
    }
    best
}

fn check_names(names: &Names, tree: &Tree, prefix: &str) -> ApiResult<()> {
    for (name, param) in tree {
        let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}[{name}]") };
        let Some(kind) = names.get(name) else {
            return Err(ApiError::invalid(
                "parameter_unknown",
                &full,
                format!("Received unknown parameter: {full}"),
            ));
        };
        if !kind.played && !is_off(param) {
            return Err(ApiError::invalid(
                "parameter_not_in_sandbox",
                &full,
                format!("The sandbox does not play '{full}' yet; leave it out."),
            ));
        }
        check_kind(&kind.kind, param, &full)?;
        check_currency(name, param, &full)?;
    }
    Ok(())
}

/// Parameters that name a currency.
const CURRENCIES: [&str; 3] = ["currency", "default_currency", "minimum_amount_currency"];

/// Refuses a currency that does not exist: nothing may be sold, booked or looked for in it.
fn check_currency(name: &str, param: &Param, full: &str) -> ApiResult<()> {
    let wrong = match param {
        Param::Text(code) if CURRENCIES.contains(&name) => {
            Some(code.as_str()).filter(|code| !code.is_empty() && !currency::is_supported(code))
        }
        Param::Tree(options) if name == "currency_options" => {
            options.keys().map(String::as_str).find(|code| !currency::is_supported(code))
        }
        // Its names are those of the price that it describes.
        Param::Tree(data) if name == "price_data" => {
            return data
                .iter()
                .try_for_each(|(inner, param)| check_currency(inner, param, &format!("{full}[{inner}]")));
        }
        Param::Text(_) | Param::Tree(_) => None,
    };
    match wrong {
        Some(code) => {
            let message =
                format!("Invalid currency: {code}. It is none of the currencies that are supported.");
            Err(ApiError::rule(message).param(full))
        }
        None => Ok(()),
    }
}

/// Whether a parameter asks for nothing: it is empty, or switched off.
fn is_off(param: &Param) -> bool {
    match param {
        Param::Text(text) => text.is_empty(),
        Param::Tree(tree) => tree.get("enabled") == Some(&Param::Text("false".to_owned())),
    }
}

/// Objects for which a token may stand.
const TOKENS: [&str; 1] = ["external_account"];

/// Whether it is a moment, or two that it lies between: lists take both.
fn is_range(kind: &Kind) -> bool {
    match kind {
        Kind::Object(names) => names.contains_key("gte"),
        Kind::Leaf | Kind::Free | Kind::Array(_) => false,
    }
}

fn check_kind(kind: &Kind, param: &Param, full: &str) -> ApiResult<()> {
    match (kind, param) {
        // Empty is unset, and what is not text cannot be read as if it had not been given.
        (Kind::Object(_) | Kind::Free, Param::Text(text))
            if !text.is_empty() && !is_range(kind) && !TOKENS.contains(&full) =>
        {
            Err(ApiError::rule("Invalid object").param(full))
        }
        (Kind::Array(_), Param::Text(text)) if !text.is_empty() => {
            Err(ApiError::rule("Invalid array").param(full))
        }
        (Kind::Free, _) | (_, Param::Text(_)) => Ok(()),
        (Kind::Leaf, Param::Tree(_)) => {
            Err(ApiError::rule(format!("Invalid string: {full} must not be a set of values.")).param(full))
        }
        (Kind::Object(names), Param::Tree(tree)) => check_names(names, tree, full),
        (Kind::Array(inner), Param::Tree(tree)) => {
            for (index, element) in tree {
                if index.parse::<usize>().is_err() {
                    return Err(ApiError::rule(format!("Invalid array: {full}")).param(full));
                }
                let full = format!("{full}[{index}]");
                match (inner, element) {
                    (Some(names), Param::Tree(below)) => check_names(names, below, &full)?,
                    (Some(_), Param::Text(_)) => return Err(ApiError::rule("Invalid object").param(&full)),
                    (None, _) => {}
                }
            }
            Ok(())
        }
    }
}

fn parse_line(line: &str) -> Option<Call> {
    let (method, rest) = line.split_once(' ')?;
    let (template, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let segments = template.trim_matches('/').split('/').map(str::to_owned).collect();
    let mut chars = text.chars().peekable();
    Some(Call {
        method: method.to_owned(),
        segments,
        template: template.to_owned(),
        params: parse_names(&mut chars),
    })
}

fn parse_names(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Names {
    let mut names = Names::new();
    let (mut name, mut array, mut played) = (String::new(), false, true);
    while let Some(char) = chars.next() {
        let kind = match char {
            '!' => {
                played = false;
                continue;
            }
            '[' => {
                array = true;
                continue;
            }
            ']' => continue,
            '{' => {
                let inner = parse_names(chars);
                Some(if array { Kind::Array(Some(inner)) } else { Kind::Object(inner) })
            }
            '*' => Some(Kind::Free),
            ' ' | '}' => (!name.is_empty()).then(|| plain(array)),
            other => {
                name.push(other);
                continue;
            }
        };
        if let Some(kind) = kind {
            names.insert(std::mem::take(&mut name), Taken { played, kind });
            (array, played) = (false, true);
        }
        if char == '}' {
            return names;
        }
    }
    if !name.is_empty() {
        names.insert(name, Taken { played, kind: plain(array) });
    }
    names
}

fn plain(array: bool) -> Kind {
    if array { Kind::Array(None) } else { Kind::Leaf }
}

/// Every call of the table, as method and path: for the test that each one is carried out.
#[cfg(test)]
pub(crate) fn all_calls() -> Vec<(&'static str, &'static str)> {
    TABLE.iter().map(|call| (call.method.as_str(), call.template.as_str())).collect()
}

#[cfg(test)]
#[path = "conformance_tests.rs"]
mod conformance;
