//! A strict reader over a JSON object that knows where it is, so that an error names the field.
//!
//! Absent and null are the same; anything else of a wrong type is an error and never a default.

use serde_json::{Map, Value};

use super::MetadataMap;

/// A provider's object lacks something that must be known. The object is set aside and looked at by a person; no money moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object} {} has no usable `{field}`: {problem}", id.as_deref().unwrap_or("(no id)"))]
pub struct ShapeError {
    /// The kind of the object, for example `subscription`.
    pub object: &'static str,
    /// Its id, when it has one.
    pub id: Option<String>,
    /// The field's path, for example `items.data[0].price`.
    pub field: String,
    /// What is wrong.
    pub problem: ShapeProblem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeProblem {
    /// Absent, null or empty.
    #[error("it is missing")]
    Missing,
    /// Of another type.
    #[error("it should be {0}")]
    NotA(&'static str),
    /// A number that does not fit, or a fraction.
    #[error("it should be a whole number within 64 bits")]
    OutOfRange,
}

/// A JSON object with its place in the answer.
#[derive(Clone)]
pub(super) struct Node<'v> {
    object: &'static str,
    id: Option<&'v str>,
    prefix: String,
    map: &'v Map<String, Value>,
}

/// An expandable field: the id, and the object when it was expanded.
pub(super) struct Expandable<'v> {
    pub(super) id: String,
    pub(super) expanded: Option<Node<'v>>,
}

impl<'v> Node<'v> {
    /// Starts at an object of the given kind; another kind is an error, so that ids of one kind cannot stand for another.
    pub(super) fn root(object: &'static str, value: &'v Value) -> Result<Self, ShapeError> {
        let Some(map) = value.as_object() else {
            let problem = ShapeProblem::NotA("an object");
            return Err(ShapeError { object, id: None, field: String::new(), problem });
        };
        let node = Self { object, id: map.get("id").and_then(Value::as_str), prefix: String::new(), map };
        match node.opt_text("object")? {
            Some(kind) if kind != object => Err(node.error("object", ShapeProblem::NotA(object))),
            Some(_) | None => Ok(node),
        }
    }

    pub(super) fn error(&self, field: &str, problem: ShapeProblem) -> ShapeError {
        ShapeError {
            object: self.object,
            id: self.id.map(|id| id.chars().take(255).collect()),
            field: format!("{}{field}", self.prefix),
            problem,
        }
    }

    pub(super) fn value(&self, field: &str) -> Option<&'v Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is named at all, null included: it tells an old shape from a new one.
    pub(super) fn names(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    pub(super) fn opt_text(&self, field: &str) -> Result<Option<String>, ShapeError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.error(field, ShapeProblem::NotA("text"))),
        }
    }

    /// Non-empty text.
    pub(super) fn text(&self, field: &str) -> Result<String, ShapeError> {
        let text = self.opt_text(field)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.error(field, ShapeProblem::Missing))
    }

    pub(super) fn opt_int(&self, field: &str) -> Result<Option<i64>, ShapeError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                number.as_i64().map(Some).ok_or_else(|| self.error(field, ShapeProblem::OutOfRange))
            }
            Some(_) => Err(self.error(field, ShapeProblem::NotA("a number"))),
        }
    }

    /// A number as it is written, or a decimal in text: read on exactly, never as a float.
    pub(super) fn opt_number_text(&self, field: &str) -> Result<Option<String>, ShapeError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                let text = number.to_string();
                Ok(Some(text.strip_suffix(".0").map_or(text.clone(), str::to_owned)))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.error(field, ShapeProblem::NotA("a number"))),
        }
    }

    pub(super) fn int(&self, field: &str) -> Result<i64, ShapeError> {
        self.opt_int(field)?.ok_or_else(|| self.error(field, ShapeProblem::Missing))
    }

    pub(super) fn opt_flag(&self, field: &str) -> Result<Option<bool>, ShapeError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.error(field, ShapeProblem::NotA("true or false"))),
        }
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, ShapeError> {
        self.opt_flag(field)?.ok_or_else(|| self.error(field, ShapeProblem::Missing))
    }

    pub(super) fn child(&self, field: &str) -> Result<Option<Node<'v>>, ShapeError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(self.inside(field, map))),
            Some(_) => Err(self.error(field, ShapeProblem::NotA("an object"))),
        }
    }

    /// The objects of a list object (`{"object":"list","data":[...]}`) and whether there are more.
    pub(super) fn list(&self, field: &str) -> Result<Option<(Vec<Node<'v>>, bool)>, ShapeError> {
        let Some(list) = self.child(field)? else { return Ok(None) };
        let more = list.opt_flag("has_more")?.unwrap_or(false);
        Ok(Some((list.array("data")?.ok_or_else(|| list.error("data", ShapeProblem::Missing))?, more)))
    }

    /// A list of texts; none is empty.
    pub(super) fn texts(&self, field: &str) -> Result<Vec<String>, ShapeError> {
        let Some(value) = self.value(field) else { return Ok(Vec::new()) };
        let elements = value.as_array().ok_or_else(|| self.error(field, ShapeProblem::NotA("a list")))?;
        let text = |element: &Value| element.as_str().map(str::to_owned);
        let texts = elements.iter().map(text).collect::<Option<Vec<String>>>();
        texts.ok_or_else(|| self.error(field, ShapeProblem::NotA("a list of texts")))
    }

    pub(super) fn array(&self, field: &str) -> Result<Option<Vec<Node<'v>>>, ShapeError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let elements = value.as_array().ok_or_else(|| self.error(field, ShapeProblem::NotA("a list")))?;
        let nodes = elements.iter().enumerate().map(|(index, element)| {
            let field = format!("{field}[{index}]");
            match element {
                Value::Object(map) => Ok(self.inside(&field, map)),
                _ => Err(self.error(&field, ShapeProblem::NotA("an object"))),
            }
        });
        nodes.collect::<Result<_, _>>().map(Some)
    }

    /// An id, or an expanded object with an id.
    pub(super) fn expandable(&self, field: &str) -> Result<Option<Expandable<'v>>, ShapeError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(id)) if !id.is_empty() => {
                Ok(Some(Expandable { id: id.clone(), expanded: None }))
            }
            Some(Value::Object(map)) => {
                let node = self.inside(field, map);
                Ok(Some(Expandable { id: node.text("id")?, expanded: Some(node) }))
            }
            Some(_) => Err(self.error(field, ShapeProblem::NotA("an id or an object"))),
        }
    }

    pub(super) fn opt_id(&self, field: &str) -> Result<Option<String>, ShapeError> {
        Ok(self.expandable(field)?.map(|found| found.id))
    }

    /// Ids, or objects with one; none is empty.
    pub(super) fn ids(&self, field: &str) -> Result<Vec<String>, ShapeError> {
        let Some(value) = self.value(field) else { return Ok(Vec::new()) };
        let elements = value.as_array().ok_or_else(|| self.error(field, ShapeProblem::NotA("a list")))?;
        let id = |element: &Value| match element {
            Value::String(id) => Some(id.clone()),
            Value::Object(found) => found.get("id").and_then(Value::as_str).map(str::to_owned),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        };
        let ids = elements.iter().map(id).collect::<Option<Vec<String>>>();
        ids.ok_or_else(|| self.error(field, ShapeProblem::NotA("ids or objects")))
    }

    /// Metadata; none is empty.
    pub(super) fn metadata(&self, field: &str) -> Result<MetadataMap, ShapeError> {
        let Some(node) = self.child(field)? else { return Ok(MetadataMap::new()) };
        node.map.keys().map(|key| Ok((key.clone(), node.opt_text(key)?.unwrap_or_default()))).collect()
    }

    /// The same place, seen as an object of its own kind (an expanded invoice within a subscription keeps its path).
    pub(super) fn seen_as(mut self, object: &'static str) -> Result<Self, ShapeError> {
        match self.opt_text("object")? {
            Some(kind) if kind != object => Err(self.error("object", ShapeProblem::NotA(object))),
            Some(_) | None => {
                self.object = object;
                self.id = self.map.get("id").and_then(Value::as_str);
                self.prefix.clear();
                Ok(self)
            }
        }
    }

    fn inside(&self, field: &str, map: &'v Map<String, Value>) -> Node<'v> {
        Node { object: self.object, id: self.id, prefix: format!("{}{field}.", self.prefix), map }
    }
}
