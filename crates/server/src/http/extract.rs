//! Reading requests strictly: bodies of bounded size, JSON without unknown fields, ids that a database can hold.

use std::pin::pin;

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::future::{Either, select};
use quittance_engine::{Problem, ProblemCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::problem::Fail;
use super::state::AppState;

/// Fields in which callers like to send what only the catalog knows.
const PRICE_FIELDS: [&str; 6] = ["price", "price_id", "amount", "unit_amount", "line_items", "total"];
/// The longest id of a provider's object or of ours.
const MAX_ID_BYTES: usize = 255;
/// Entries of one page at most, and when nothing is said.
const PAGE: (i64, i64) = (100, 20);

/// The id of an object, ours or the provider's, that can be looked up.
#[derive(Debug, Clone)]
pub struct ObjectId(pub String);

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.len() > MAX_ID_BYTES || text.chars().any(char::is_control) {
            return Err(serde::de::Error::custom("this is no id"));
        }
        Ok(Self(text))
    }
}

/// A body that has nothing to say: `{}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Parameters of the path.
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for InPath<T> {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Fail> {
        let Path(value) =
            Path::<T>::from_request_parts(parts, app).await.map_err(|rejection| match rejection {
                PathRejection::FailedToDeserializePathParams(error) => {
                    Problem::invalid(format!("The path names no such thing: {}", error.body_text()))
                }
                _ => Problem::not_found("address"),
            })?;
        Ok(Self(value))
    }
}

/// Parameters after the question mark.
pub struct InQuery<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for InQuery<T> {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Fail> {
        let Query(value) =
            Query::<T>::from_request_parts(parts, app).await.map_err(|rejection: QueryRejection| {
                Problem::invalid(format!("A parameter after `?` cannot be: {}", rejection.body_text()))
            })?;
        Ok(Self(value))
    }
}

/// A body of JSON, for calls that change nothing.
pub struct InBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for InBody<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Fail> {
        let (headers, body) = read_body(request, app).await?;
        Ok(Self(parse(&headers, &body)?))
    }
}

/// How long a body may take to arrive, in milliseconds.
const BODY_WAIT_MS: u64 = 30_000;

/// Reads a body up to the limit, in bytes and in time.
///
/// # Errors
/// `too_large`, or `invalid_json` when it does not arrive whole.
pub async fn read_body(mut request: Request, app: &AppState) -> Result<(HeaderMap, Bytes), Problem> {
    let too_large = || {
        Problem::new(
            ProblemCode::TooLarge,
            format!("The body is longer than {} bytes.", app.body_limit),
            "Send less at once.",
        )
    };
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > app.body_limit) {
        return Err(too_large());
    }
    DefaultBodyLimit::max(app.body_limit).apply(&mut request);
    let headers = std::mem::take(request.headers_mut());
    let world = app.engine.world();
    let read = match select(pin!(Bytes::from_request(request, &())), world.sleep(BODY_WAIT_MS)).await {
        Either::Left((read, _)) => read,
        Either::Right(((), _)) => {
            return Err(Problem::new(
                ProblemCode::InvalidJson,
                format!("The body did not arrive within {} s.", BODY_WAIT_MS / 1_000),
                "Send the request again.",
            ));
        }
    };
    match read {
        Ok(body) => Ok((headers, body)),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Err(_) => Err(Problem::new(
            ProblemCode::InvalidJson,
            "The body did not arrive whole.",
            "Send the request again.",
        )),
    }
}

/// Reads a JSON object. No body at all is an object without fields.
///
/// # Errors
/// `unsupported_media_type`, or `invalid_json` naming the place and the field.
pub fn parse<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    if body.is_empty() {
        return from_slice(b"{}");
    }
    if !is_json(headers) {
        return Err(Problem::new(
            ProblemCode::UnsupportedMediaType,
            "The body must be JSON.",
            "Send `Content-Type: application/json`.",
        ));
    }
    // An array would fill a structure's fields by their order; only objects name them.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(not_json("The body must be a JSON object.".to_owned()));
    }
    if has_nul(body) {
        return Err(not_json("The body holds a NUL character, which no field may have.".to_owned()));
    }
    from_slice(body)
}

fn from_slice<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        let of_price = PRICE_FIELDS.iter().any(|field| text.starts_with(&format!("unknown field `{field}`")));
        let mut problem = not_json(format!("The body cannot be used: {text}."));
        if of_price {
            problem.mend =
                "Leave it out: prices come from the catalog, never from the caller. Name `plan`, `interval` and `currency`."
                    .to_owned();
        }
        problem
    })
}

fn not_json(detail: String) -> Problem {
    Problem::new(
        ProblemCode::InvalidJson,
        detail,
        "Correct the body; /docs shows its fields. Nothing was changed.",
    )
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Whether a string of the JSON holds U+0000, which PostgreSQL cannot store: an escape `\u0000` behind an even
/// number of backslashes.
fn has_nul(body: &[u8]) -> bool {
    let mut escaped = false;
    body.iter().enumerate().any(|(at, byte)| {
        let here = escaped && *byte == b'u' && body.get(at + 1..at + 5) == Some(b"0000");
        escaped = *byte == b'\\' && !escaped;
        here
    })
}

/// How many entries, and before which one.
///
/// # Errors
/// `invalid_request` for a limit or cursor that cannot be.
pub fn page(limit: Option<i64>, cursor: Option<&str>) -> Result<(i64, i64), Problem> {
    let (most, usual) = PAGE;
    let limit = limit.unwrap_or(usual);
    if !(1..=most).contains(&limit) {
        return Err(Problem::invalid(format!("`limit` must be between 1 and {most}.")));
    }
    let cursor =
        match cursor {
            None => i64::MAX,
            Some(text) => text.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
                Problem::invalid("`cursor` must be the `next_cursor` of an earlier answer.")
            })?,
        };
    Ok((cursor, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_found_only_where_it_is_one() {
        assert!(has_nul(br#"{"a":"\u0000"}"#));
        assert!(has_nul(br#"{"a":"\\\u0000"}"#));
        assert!(!has_nul(br#"{"a":"\\u0000"}"#));
        assert!(!has_nul(br#"{"a":"u0000"}"#));
        assert!(!has_nul(br#"{"a":"\u0001"}"#));
    }

    #[test]
    fn pages_are_bounded() {
        assert_eq!(page(None, None), Ok((i64::MAX, 20)));
        assert_eq!(page(Some(100), Some("7")), Ok((7, 100)));
        for (limit, cursor) in
            [(Some(0), None), (Some(101), None), (Some(-1), None), (None, Some("x")), (None, Some("-1"))]
        {
            assert!(page(limit, cursor).is_err(), "{limit:?} {cursor:?}");
        }
    }
}
