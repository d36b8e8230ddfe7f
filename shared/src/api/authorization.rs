//! Authorization: from an API key to its app.

use lambda_http::Request;
use lambda_http::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::problem::{ErrorCode, Problem};
use crate::config::ApiKeys;

/// The app whose API key the request carries.
///
/// # Errors
/// 401.
pub fn authorize(request: &Request, keys: &ApiKeys) -> Result<String, Problem> {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let key = header
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim());
    let app = key.and_then(|key| keys.app_of(key));
    app.map(str::to_owned).ok_or_else(|| {
        Problem::new(
            ErrorCode::Unauthorized,
            "Send `Authorization: Bearer` with a valid API key.",
        )
        .header(WWW_AUTHENTICATE, "Bearer".into())
    })
}
