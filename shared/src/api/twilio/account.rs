//! Accounts: from HTTP Basic credentials to the app, and the sids that the app has here.

use data_encoding::{BASE64, BASE64_NOPAD};
use lambda_http::Request;
use lambda_http::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::rejection::Rejection;
use super::sid::{is_sid, sid};
use crate::api::problem::{ErrorCode, Problem};
use crate::config::ApiKeys;
use crate::crypto::keyring::Keyring;
use crate::domain::time::Timestamp;

/// What the user name of an API key of Twilio begins with. Any one is accepted: the password
/// determines the app.
const API_KEY_PREFIX: &str = "SK";
/// Prefixes of API keys that a password may omit: an SDK rejects passwords with `_`.
const OMITTED_PREFIXES: [&str; 3] = ["", "otp_live_", "otp_test_"];

/// The app of a request, and its sids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The app.
    pub app: String,
    /// `AC` and 32 hex digits.
    pub account_sid: String,
    /// `VA` and 32 hex digits.
    pub service_sid: String,
}

impl Account {
    /// That of `app`: the same in every function and after every restart.
    #[must_use]
    pub fn of(app: &str, keyring: &Keyring) -> Self {
        Self {
            app: app.to_owned(),
            account_sid: sid("AC", keyring.app_alias("account", app)),
            service_sid: sid("VA", keyring.app_alias("service", app)),
        }
    }

    /// The account whose credentials the request has, if they are valid at `now`.
    ///
    /// # Errors
    /// 401.
    pub fn authorize(
        request: &Request,
        keys: &ApiKeys,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<Self, Rejection> {
        let account = credentials(request).and_then(|(user, password)| {
            let mut candidates = OMITTED_PREFIXES.iter();
            let app =
                candidates.find_map(|omitted| keys.app_of(&format!("{omitted}{password}"), now))?;
            let account = Self::of(app, keyring);
            let is_own = user.eq_ignore_ascii_case(&account.account_sid);
            let is_allowed = is_sid(&user) && (is_own || user.starts_with(API_KEY_PREFIX));
            is_allowed.then_some(account)
        });
        account.ok_or_else(|| {
            let problem = Problem::new(ErrorCode::Unauthorized, "");
            Rejection::of(problem.header(WWW_AUTHENTICATE, "Basic".into()))
        })
    }

    /// Checks that `service` is the service of this account.
    ///
    /// # Errors
    /// 404, for every other one.
    pub fn check_service(&self, service: &str) -> Result<(), Rejection> {
        let is_own = is_sid(service) && service.eq_ignore_ascii_case(&self.service_sid);
        is_own.then_some(()).ok_or_else(Rejection::not_found)
    }
}

/// User name and password.
fn credentials(request: &Request) -> Option<(String, String)> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let encoded = encoded.trim().as_bytes();
    let decoded = BASE64
        .decode(encoded)
        .or_else(|_| BASE64_NOPAD.decode(encoded));
    let decoded = String::from_utf8(decoded.ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
