//! Values that go into statements, and rows that come out.
//!
//! Five kinds only: integers (minor units, milliseconds since 1970 UTC, counts), booleans, text, bytes and null. There is no
//! floating-point value on purpose: money never passes through one. JSON travels as text.

use std::sync::Arc;

use crate::error::{Result, StoreError};

/// One value bound to a statement or read from a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum V {
    /// An integer.
    I(i64),
    /// A boolean (SQLite keeps it as 0 or 1).
    B(bool),
    /// Text, without the character NUL, which PostgreSQL cannot store.
    T(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// No value; takes whatever type the statement wants there.
    Null,
}

impl From<i64> for V {
    fn from(value: i64) -> Self {
        Self::I(value)
    }
}
impl From<i32> for V {
    fn from(value: i32) -> Self {
        Self::I(i64::from(value))
    }
}
impl From<u32> for V {
    fn from(value: u32) -> Self {
        Self::I(i64::from(value))
    }
}
impl From<bool> for V {
    fn from(value: bool) -> Self {
        Self::B(value)
    }
}
impl From<&str> for V {
    fn from(value: &str) -> Self {
        Self::T(value.to_owned())
    }
}
impl From<String> for V {
    fn from(value: String) -> Self {
        Self::T(value)
    }
}
impl From<&String> for V {
    fn from(value: &String) -> Self {
        Self::T(value.clone())
    }
}
impl From<Vec<u8>> for V {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}
impl From<&[u8]> for V {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}
impl<X: Into<V>> From<Option<X>> for V {
    fn from(value: Option<X>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl V {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::I(_) => "an integer",
            Self::B(_) => "a boolean",
            Self::T(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Null => "null",
        }
    }
}

/// Builds the parameters of a statement: `params![id, "text", None::<i64>]` is `&[V; 3]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::V::from($value)),*] as &[$crate::V] };
}

/// A way to say which column: its name, or its index from 0.
pub trait Column: Copy {
    /// The index among `names`, if there.
    fn index(&self, names: &[String]) -> Option<usize>;
    /// How to call it in an error.
    fn label(&self) -> String;
}

impl Column for &str {
    fn index(&self, names: &[String]) -> Option<usize> {
        names.iter().position(|name| name == self)
    }
    fn label(&self) -> String {
        (*self).to_owned()
    }
}
impl Column for usize {
    fn index(&self, names: &[String]) -> Option<usize> {
        (*self < names.len()).then_some(*self)
    }
    fn label(&self) -> String {
        format!("#{self}")
    }
}

/// One row of a result. Columns are read by name (or index); a wrong name or type is a [`StoreError::Row`] that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    names: Arc<[String]>,
    values: Vec<V>,
}

impl Row {
    pub(crate) fn new(names: Arc<[String]>, values: Vec<V>) -> Self {
        Self { names, values }
    }

    /// The names of the columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.names
    }

    /// The value as it came.
    ///
    /// # Errors
    /// When there is no such column; so for all readers below, which also refuse another type, and (without `opt_`) null.
    pub fn value(&self, column: impl Column) -> Result<&V> {
        column.index(&self.names).and_then(|at| self.values.get(at)).ok_or_else(|| StoreError::Row {
            column: column.label(),
            message: format!("not in this result, which has {}", self.names.join(", ")),
        })
    }

    fn get<'r, X>(
        &'r self,
        column: impl Column,
        wanted: &str,
        read: impl Fn(&'r V) -> Option<X>,
    ) -> Result<Option<X>> {
        let value = self.value(column)?;
        if *value == V::Null {
            return Ok(None);
        }
        read(value).map(Some).ok_or_else(|| StoreError::Row {
            column: column.label(),
            message: format!("is {}, not {wanted}", value.kind()),
        })
    }

    fn required<X>(found: Option<X>, column: impl Column) -> Result<X> {
        found.ok_or_else(|| StoreError::Row { column: column.label(), message: "is null".to_owned() })
    }

    /// An integer, never null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn i64(&self, column: impl Column) -> Result<i64> {
        Self::required(self.opt_i64(column)?, column)
    }

    /// An integer, or null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn opt_i64(&self, column: impl Column) -> Result<Option<i64>> {
        self.get(column, "an integer", |value| if let V::I(i) = value { Some(*i) } else { None })
    }

    /// A boolean (0 and 1 count as one, for SQLite), never null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn bool(&self, column: impl Column) -> Result<bool> {
        Self::required(self.opt_bool(column)?, column)
    }

    /// A boolean (0 and 1 count as one, for SQLite), or null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn opt_bool(&self, column: impl Column) -> Result<Option<bool>> {
        self.get(column, "a boolean", |value| match value {
            V::B(b) => Some(*b),
            V::I(0) => Some(false),
            V::I(1) => Some(true),
            V::I(_) | V::T(_) | V::Bytes(_) | V::Null => None,
        })
    }

    /// Text, never null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn text(&self, column: impl Column) -> Result<String> {
        Self::required(self.opt_text(column)?, column)
    }

    /// Text, or null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn opt_text(&self, column: impl Column) -> Result<Option<String>> {
        self.get(column, "text", |value| if let V::T(text) = value { Some(text.clone()) } else { None })
    }

    /// Text where it lies, never null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn str(&self, column: impl Column) -> Result<&str> {
        let found = self.get(column, "text", |value| if let V::T(text) = value { Some(text) } else { None });
        Self::required(found?.map(String::as_str), column)
    }

    /// Bytes, never null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn bytes(&self, column: impl Column) -> Result<Vec<u8>> {
        Self::required(self.opt_bytes(column)?, column)
    }

    /// Bytes, or null.
    ///
    /// # Errors
    /// See [`Row::value`].
    pub fn opt_bytes(&self, column: impl Column) -> Result<Option<Vec<u8>>> {
        self.get(
            column,
            "bytes",
            |value| if let V::Bytes(bytes) = value { Some(bytes.clone()) } else { None },
        )
    }
}
