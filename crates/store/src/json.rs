//! JSON in text columns: one place that turns a broken row into an error that names it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Result, StoreError};
use crate::value::Row;

/// Writes a value as JSON text.
pub(crate) fn write<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Aborted(format!("cannot be written as JSON: {e}")))
}

/// Reads a column of JSON text.
pub(crate) fn read<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T> {
    let text = row.text(column)?;
    serde_json::from_str(&text)
        .map_err(|e| StoreError::Row { column: column.to_owned(), message: e.to_string() })
}

/// Reads a typed id or word that is stored as text.
pub(crate) fn parsed<T, E: std::fmt::Display>(
    column: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> std::result::Result<T, E>,
) -> Result<T> {
    parse(text).map_err(|e| StoreError::Row { column: column.to_owned(), message: e.to_string() })
}
