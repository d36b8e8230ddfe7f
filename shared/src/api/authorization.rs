//! Authorization: from an API key to its app.

use lambda_http::Request;
use lambda_http::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::problem::{ErrorCode, Problem};
use crate::config::ApiKeys;
use crate::domain::time::Timestamp;

/// The app whose API key the request carries, if the key is valid at `now`.
///
/// # Errors
/// 401.
pub fn authorize(request: &Request, keys: &ApiKeys, now: Timestamp) -> Result<String, Problem> {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let key = header
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim());
    let app = key.and_then(|key| keys.app_of(key, now));
    app.map(str::to_owned).ok_or_else(|| {
        Problem::new(
            ErrorCode::Unauthorized,
            "Send `Authorization: Bearer` with a valid API key.",
        )
        .header(WWW_AUTHENTICATE, "Bearer".into())
    })
}
