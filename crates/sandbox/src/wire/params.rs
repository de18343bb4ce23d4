//! Typed reading of decoded parameters, with the API's own error for each way a value can be wrong.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::error::{ApiError, ApiResult};
use super::form::{Param, Tree, elements, encode};

static EMPTY: Tree = Tree::new();

/// No amount and no time is further from zero than this, so that sums and products of them cannot overflow.
const LARGEST: i64 = 99_999_999_999;

/// A parameter that may be left out, unset with an empty string, or set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field<T> {
    Absent,
    Unset,
    Set(T),
}

impl<T> Field<T> {
    /// The value, where one was given.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Absent | Self::Unset => None,
        }
    }

    /// Writes the change into an optional field: absent leaves it, unset clears it.
    pub(crate) fn apply(self, slot: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Unset => *slot = None,
            Self::Set(value) => *slot = Some(value),
        }
    }

    fn map<U>(self, change: impl FnOnce(T) -> ApiResult<U>) -> ApiResult<Field<U>> {
        Ok(match self {
            Self::Absent => Field::Absent,
            Self::Unset => Field::Unset,
            Self::Set(value) => Field::Set(change(value)?),
        })
    }
}

/// Metadata as the API keeps it.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The parameters of a call that were read, by their full names. What a call takes and nobody reads would count for nothing in
/// silence.
#[derive(Debug, Default)]
pub(crate) struct Reads(RefCell<BTreeSet<String>>);

impl Reads {
    /// The parameters that nobody has read.
    pub(crate) fn unread(&self, tree: &Tree) -> Vec<String> {
        let mut unread = Vec::new();
        self.collect(tree, "", &mut unread);
        unread
    }

    fn collect(&self, tree: &Tree, prefix: &str, unread: &mut Vec<String>) {
        for (name, param) in tree {
            let full = below(prefix, name);
            match param {
                _ if self.0.borrow().contains(&full) => {}
                Param::Tree(inner) => self.collect(inner, &full, unread),
                Param::Text(_) => unread.push(full),
            }
        }
    }
}

fn below(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}[{name}]") }
}

/// The parameters below one name; the root has an empty name.
#[derive(Debug, Clone)]
pub(crate) struct Params<'a> {
    name: String,
    tree: &'a Tree,
    reads: Option<&'a Reads>,
}

impl<'a> Params<'a> {
    /// The parameters of a whole request.
    pub(crate) fn root(tree: &'a Tree) -> Self {
        Self { name: String::new(), tree, reads: None }
    }

    /// The same, and what is read of them is noted.
    pub(crate) fn watched(tree: &'a Tree, reads: &'a Reads) -> Self {
        Self { reads: Some(reads), ..Self::root(tree) }
    }

    /// A parameter, which is read by that.
    fn read(&self, name: &str) -> Option<&'a Param> {
        let found = self.tree.get(name)?;
        if let Some(reads) = self.reads {
            reads.0.borrow_mut().insert(self.full(name));
        }
        Some(found)
    }

    fn read_all(&self) -> &'a Tree {
        for name in self.tree.keys() {
            self.read(name);
        }
        self.tree
    }

    /// The full name of a parameter, as errors give it: `items[0][price]`.
    pub(crate) fn full(&self, name: &str) -> String {
        below(&self.name, name)
    }

    /// Everything that was given at this level.
    pub(crate) fn tree(&self) -> &'a Tree {
        self.read_all()
    }

    /// The names that were given at this level.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.tree.keys().map(String::as_str)
    }

    /// The parameters at this level as a query string, without one of them.
    pub(crate) fn query_without(&self, name: &str) -> String {
        let mut tree = self.read_all().clone();
        tree.remove(name);
        encode(&tree)
    }

    /// Whether the parameter is there at all. That reads a text, which says no more than that; not what is below a name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self.tree.get(name) {
            Some(Param::Text(_)) => self.read(name).is_some(),
            Some(Param::Tree(_)) => true,
            None => false,
        }
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> ApiResult<Field<String>> {
        match self.read(name) {
            None => Ok(Field::Absent),
            Some(Param::Text(text)) if text.is_empty() => Ok(Field::Unset),
            Some(Param::Text(text)) => Ok(Field::Set(text.clone())),
            Some(Param::Tree(_)) => {
                let full = self.full(name);
                Err(ApiError::rule(format!("Invalid string: {full} must not be a set of values."))
                    .param(&full))
            }
        }
    }

    /// A text that must be there and must not be empty.
    pub(crate) fn required(&self, name: &str) -> ApiResult<String> {
        let full = self.full(name);
        match self.text(name)? {
            Field::Set(text) => Ok(text),
            Field::Absent => {
                Err(ApiError::invalid("parameter_missing", &full, format!("Missing required param: {full}.")))
            }
            Field::Unset => Err(ApiError::invalid(
                "parameter_invalid_empty",
                &full,
                format!(
                    "You passed an empty string for '{full}'. We assume empty values are an attempt to unset a parameter; however '{full}' cannot be unset. You should remove '{full}' from your request or supply a non-empty value."
                ),
            )),
        }
    }

    /// A whole number.
    pub(crate) fn int(&self, name: &str) -> ApiResult<Field<i64>> {
        let full = self.full(name);
        self.text(name)?.map(|text| {
            text.parse::<i64>().ok().filter(|number| (-LARGEST..=LARGEST).contains(number)).ok_or_else(|| {
                ApiError::invalid("parameter_invalid_integer", &full, format!("Invalid integer: {text}"))
            })
        })
    }

    /// A whole number within bounds.
    pub(crate) fn int_within(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> ApiResult<Field<i64>> {
        let full = self.full(name);
        self.int(name)?.map(|number| {
            if range.contains(&number) {
                Ok(number)
            } else {
                let message = format!("This value must be between {} and {}.", range.start(), range.end());
                Err(ApiError::invalid("parameter_invalid_integer", &full, message))
            }
        })
    }

    /// A boolean.
    pub(crate) fn flag(&self, name: &str) -> ApiResult<Field<bool>> {
        let full = self.full(name);
        self.text(name)?.map(|text| match text.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(ApiError::rule(format!("Invalid boolean: {other}")).param(&full)),
        })
    }

    /// One word of a closed list.
    pub(crate) fn one_of(&self, name: &str, words: &[&'static str]) -> ApiResult<Field<&'static str>> {
        let full = self.full(name);
        self.text(name)?.map(|text| {
            words.iter().copied().find(|word| *word == text).ok_or_else(|| {
                ApiError::rule(format!("Invalid {full}: must be one of {}", words.join(", "))).param(&full)
            })
        })
    }

    /// The parameters below a name; empty when there are none.
    pub(crate) fn sub(&self, name: &str) -> Params<'a> {
        let tree = match self.tree.get(name) {
            Some(Param::Tree(tree)) => tree,
            Some(Param::Text(_)) | None => &EMPTY,
        };
        Params { name: self.full(name), tree, reads: self.reads }
    }

    /// The elements of an array of objects.
    pub(crate) fn list(&self, name: &str) -> Vec<Params<'a>> {
        let Some(Param::Tree(tree)) = self.tree.get(name) else {
            return Vec::new();
        };
        let full = self.full(name);
        elements(tree)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(index, element)| match element {
                Param::Tree(below) => {
                    Some(Params { name: format!("{full}[{index}]"), tree: below, reads: self.reads })
                }
                Param::Text(_) => None,
            })
            .collect()
    }

    /// The elements of an array of texts; `None` when the parameter is absent.
    pub(crate) fn texts(&self, name: &str) -> ApiResult<Option<Vec<String>>> {
        match self.read(name) {
            None => Ok(None),
            Some(Param::Text(text)) if text.is_empty() => Ok(Some(Vec::new())),
            Some(Param::Text(_)) => Err(ApiError::rule("Invalid array").param(&self.full(name))),
            Some(Param::Tree(tree)) => Ok(Some(
                elements(tree)
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|(_, element)| match element {
                        Param::Text(text) => Some(text.clone()),
                        Param::Tree(_) => None,
                    })
                    .collect(),
            )),
        }
    }

    /// Applies `metadata`: an empty value deletes its key, an empty `metadata` deletes all.
    pub(crate) fn metadata_into(&self, metadata: &mut Metadata) -> ApiResult<()> {
        self.metadata_of("metadata", metadata)
    }

    /// The same for metadata of another name.
    pub(crate) fn metadata_of(&self, name: &str, metadata: &mut Metadata) -> ApiResult<()> {
        match self.read(name) {
            None => Ok(()),
            Some(Param::Text(text)) if text.is_empty() => {
                metadata.clear();
                Ok(())
            }
            Some(Param::Text(_)) => Err(ApiError::rule("Invalid object").param(&self.full(name))),
            Some(Param::Tree(tree)) => {
                for (key, value) in tree {
                    let full = self.full(&format!("{name}[{key}]"));
                    let Param::Text(value) = value else {
                        return Err(ApiError::rule("Metadata values must be strings.").param(&full));
                    };
                    if key.chars().count() > 40 || value.chars().count() > 500 {
                        return Err(ApiError::rule(
                            "Metadata keys may have up to 40 characters and values up to 500.",
                        )
                        .param(&full));
                    }
                    if value.is_empty() {
                        metadata.remove(key);
                    } else {
                        metadata.insert(key.clone(), value.clone());
                    }
                }
                if metadata.len() > 50 {
                    return Err(ApiError::rule("You can have up to 50 metadata keys.").param(name));
                }
                Ok(())
            }
        }
    }

    /// An address.
    pub(crate) fn address(&self, name: &str) -> Option<Value> {
        self.free(name).map(whole_address)
    }

    /// Who lives at an address, or receives something there: a free-form parameter whose `address` is one.
    pub(crate) fn addressed(&self, name: &str) -> Option<Value> {
        let mut value = self.free(name)?;
        if let Some(address) = value.get_mut("address") {
            *address = whole_address(address.take());
        }
        Some(value)
    }

    /// A free-form parameter as JSON: texts stay texts, empty ones become null.
    pub(crate) fn free(&self, name: &str) -> Option<Value> {
        self.read(name).map(to_json)
    }
}

/// An address with all its fields; those that were not given are null.
fn whole_address(address: Value) -> Value {
    let Value::Object(given) = address else {
        return address;
    };
    let names = ["city", "country", "line1", "line2", "postal_code", "state"];
    let mut whole: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    whole.extend(given);
    Value::Object(whole)
}

fn to_json(param: &Param) -> Value {
    match param {
        Param::Text(text) if text.is_empty() => Value::Null,
        Param::Text(text) => Value::String(text.clone()),
        Param::Tree(tree) => match elements(tree) {
            Some(list) if !tree.is_empty() => {
                Value::Array(list.into_iter().map(|(_, element)| to_json(element)).collect())
            }
            _ => Value::Object(
                tree.iter().map(|(name, below)| (name.clone(), to_json(below))).collect::<Map<_, _>>(),
            ),
        },
    }
}
