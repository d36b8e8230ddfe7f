//! Responses of the local-only endpoints to requests that they reject.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// `{"detail":"..."}` under `status`.
pub(crate) fn reject(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"detail": detail}))).into_response()
}
