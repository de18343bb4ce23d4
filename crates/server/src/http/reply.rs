//! Answers that succeeded.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quittance_engine::Problem;
use serde::Serialize;

use super::problem;

/// A JSON answer of a call that changes something: kept as text, so that it can be given again.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body; empty for none.
    pub body: String,
}

impl Reply {
    /// 200 with this body.
    ///
    /// # Errors
    /// `internal` when it does not serialize.
    pub fn ok<T: Serialize>(body: &T) -> Result<Self, Problem> {
        Ok(Self {
            status: StatusCode::OK,
            body: serde_json::to_string(body).map_err(|_| problem::internal())?,
        })
    }

    /// 204.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: String::new() }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        if self.body.is_empty() {
            return self.status.into_response();
        }
        let media = if self.status.is_success() { "application/json" } else { problem::MEDIA_TYPE };
        let media = HeaderValue::from_static(media);
        (self.status, [(header::CONTENT_TYPE, media)], self.body).into_response()
    }
}

/// 200 with JSON, for calls that only read.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let media = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, media)], body).into_response()
            }
            Err(_) => problem::Fail(problem::internal()).into_response(),
        }
    }
}
