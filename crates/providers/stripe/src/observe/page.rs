//! Lists, a page at a time. One object of an unknown shape does not hide the others.

use serde_json::Value;

use super::read::{Node, ShapeError, ShapeProblem};

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The objects that could be read.
    pub items: Vec<T>,
    /// Those that could not: each is an anomaly to record, and the rest still counts.
    pub odd: Vec<OddItem>,
    /// Whether another page follows.
    pub has_more: bool,
    /// The first object's id, read or odd: `ending_before` for what is newer.
    pub first_id: Option<String>,
    /// The last object's id, read or odd: `starting_after` for the next page.
    pub last_id: Option<String>,
}

/// An object in a list that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddItem {
    /// Its id, when it has one.
    pub id: Option<String>,
    /// What is wrong with it.
    pub error: ShapeError,
}

impl<T> Page<T> {
    /// Reads a list object with `read` for each element.
    ///
    /// # Errors
    /// [`ShapeError`] when it is not a list, or when more pages follow an element without an id.
    pub(crate) fn read(
        value: &Value,
        read: impl Fn(&Value) -> Result<T, ShapeError>,
    ) -> Result<Self, ShapeError> {
        let node = Node::root("list", value)?;
        let data = node.value("data").and_then(Value::as_array);
        let data = data.ok_or_else(|| node.error("data", ShapeProblem::Missing))?;
        let id = |element: Option<&Value>| element?.get("id")?.as_str().map(str::to_owned);
        let mut page = Self {
            items: Vec::with_capacity(data.len()),
            odd: Vec::new(),
            has_more: node.flag("has_more")?,
            first_id: id(data.first()),
            last_id: id(data.last()),
        };
        for element in data {
            match read(element) {
                Ok(item) => page.items.push(item),
                Err(error) => page.odd.push(OddItem { id: id(Some(element)), error }),
            }
        }
        if page.has_more && page.last_id.is_none() {
            return Err(node.error("data[last].id", ShapeProblem::Missing));
        }
        Ok(page)
    }
}
