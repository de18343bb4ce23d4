//! `quittance openapi`.

use super::out;
use crate::failure::Failure;
use crate::http;

/// The document as it is committed and served.
///
/// # Errors
/// When it cannot be written as JSON, which a test excludes.
pub(super) fn document() -> Result<String, Failure> {
    http::openapi().to_pretty_json().map_err(|error| {
        Failure::problem("openapi", error.to_string(), "This is a defect: please report it.")
    })
}

pub(super) fn run() -> Result<(), Failure> {
    out::say(&document()?);
    Ok(())
}
