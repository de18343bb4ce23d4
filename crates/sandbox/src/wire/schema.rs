//! Which parameters each call takes: an unknown one is refused, as the API does.
//!
//! The table in `params.txt` is derived from the parameter types of the public client library (MIT licence). One line
//! is one call: method, path, parameters; `x{…}` nests, `x[]` is an array, `x*` takes anything below it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::error::{ApiError, ApiResult};
use super::form::{Param, Tree};

static TABLE: LazyLock<Vec<Call>> =
    LazyLock::new(|| include_str!("params.txt").lines().filter_map(parse_line).collect());

#[derive(Debug)]
struct Call {
    method: String,
    segments: Vec<String>,
    template: String,
    params: Names,
}

type Names = BTreeMap<String, Kind>;

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
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let mut best: Option<Matched> = None;
    for call in TABLE.iter().filter(|call| call.method == method && call.segments.len() == parts.len()) {
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
        check_kind(kind, param, &full)?;
    }
    Ok(())
}

fn check_kind(kind: &Kind, param: &Param, full: &str) -> ApiResult<()> {
    match (kind, param) {
        (Kind::Free, _) | (_, Param::Text(_)) => Ok(()),
        (Kind::Leaf, Param::Tree(_)) => Err(ApiError::invalid(
            "parameter_invalid_string",
            full,
            format!("Invalid string: {full} must not be a set of values."),
        )),
        (Kind::Object(names), Param::Tree(tree)) => check_names(names, tree, full),
        (Kind::Array(inner), Param::Tree(tree)) => {
            for (index, element) in tree {
                if index.parse::<usize>().is_err() {
                    return Err(ApiError::rule(format!("Invalid array: {full}")).param(full));
                }
                if let (Some(names), Param::Tree(below)) = (inner, element) {
                    check_names(names, below, &format!("{full}[{index}]"))?;
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
    let mut name = String::new();
    let mut array = false;
    while let Some(char) = chars.next() {
        match char {
            '{' => {
                let inner = parse_names(chars);
                let kind = if array { Kind::Array(Some(inner)) } else { Kind::Object(inner) };
                names.insert(std::mem::take(&mut name), kind);
                array = false;
            }
            '[' => array = true,
            ']' => {}
            '*' => {
                names.insert(std::mem::take(&mut name), Kind::Free);
            }
            ' ' | '}' => {
                if !name.is_empty() {
                    let kind = if array { Kind::Array(None) } else { Kind::Leaf };
                    names.insert(std::mem::take(&mut name), kind);
                }
                array = false;
                if char == '}' {
                    return names;
                }
            }
            other => name.push(other),
        }
    }
    if !name.is_empty() {
        names.insert(name, if array { Kind::Array(None) } else { Kind::Leaf });
    }
    names
}

/// Every call of the table, as method and path: for the test that each one is carried out.
#[cfg(test)]
pub(crate) fn all_calls() -> Vec<(&'static str, &'static str)> {
    TABLE.iter().map(|call| (call.method.as_str(), call.template.as_str())).collect()
}
