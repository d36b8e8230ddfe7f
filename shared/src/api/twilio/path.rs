//! Paths: which requests are of this dialect, and what errors and resources show of a path.

use std::borrow::Cow;

use lambda_http::http::header::HOST;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt as _};

use super::sid::is_sid;
use crate::api::routing::BasePath;

/// What every path of this dialect begins with.
pub const VERSION: &str = "/v2";

/// The words in paths of Twilio Verify v2.
const WORDS: [&str; 21] = [
    "AccessTokens",
    "ApproveChallenge",
    "Attempts",
    "Buckets",
    "Challenges",
    "Entities",
    "Factors",
    "Forms",
    "MessagingConfigurations",
    "Notifications",
    "Numbers",
    "Passkeys",
    "RateLimits",
    "SafeList",
    "Services",
    "Summary",
    "Templates",
    "VerificationCheck",
    "Verifications",
    "VerifyFactor",
    "Webhooks",
];

/// The path of `request` from [`VERSION`] on, without stage and base path; `None` for a request of
/// another dialect.
#[must_use]
pub fn path_of<'r>(request: &'r Request, base: &BasePath) -> Option<&'r str> {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone().unwrap_or_default(),
        _ => String::new(),
    };
    let is_ours = |path: &&str| {
        let rest = path.strip_prefix(VERSION);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    base.strip(request.raw_http_path(), &stage).find(is_ours)
}

/// `path` as an error message shows it: without [`VERSION`], and with `-` for each segment that is
/// neither one of Twilio's words nor a well-formed sid.
pub(super) fn shown(path: &str) -> String {
    let rest = path.strip_prefix(VERSION).unwrap_or(path);
    let shown = rest.split('/').map(|segment| {
        let is_shown = segment.is_empty() || WORDS.contains(&segment) || is_sid(segment);
        if is_shown { segment } else { "-" }
    });
    shown.collect::<Vec<_>>().join("/")
}

/// Where this API is reached, for the URLs in resources.
pub struct Links(String);

impl Links {
    /// `public_url`, or else the host of the request and what preceded its path.
    #[must_use]
    pub fn new(public_url: Option<&str>, request: &Request, base: &str) -> Self {
        if let Some(url) = public_url {
            return Self(url.to_owned());
        }
        let host = request.headers().get(HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        Self(format!("https://{host}{base}"))
    }

    /// The URL of a path from [`VERSION`] on.
    pub(super) fn to(&self, path: &str) -> String {
        format!("{}{VERSION}{path}", self.0)
    }
}

/// `text` with its percent-escapes decoded; `None` unless they are well-formed and the result is
/// UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let value = digit(digits[0])? * 16 + digit(digits[1])?;
        bytes.push(u8::try_from(value).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_path_has_no_number_and_no_address() {
        let sid = format!("VA{}", "0a".repeat(16));
        for (path, expected) in [
            (format!("/v2/Services/{sid}"), format!("/Services/{sid}")),
            (
                format!("/v2/Services/{sid}/Verifications/%2B12025550143"),
                format!("/Services/{sid}/Verifications/-"),
            ),
            ("/v2/Services/123456".into(), "/Services/-".into()),
            ("/v2".into(), String::new()),
            ("/v2/a@example.com/".into(), "/-/".into()),
        ] {
            assert_eq!(shown(&path), expected);
        }
    }

    #[test]
    fn escapes_are_decoded_or_rejected() {
        let decoded = |text| percent_decoded(text).map(Cow::into_owned);
        assert_eq!(decoded("%2B1202"), Some("+1202".into()));
        assert_eq!(decoded("+1202"), Some("+1202".into()));
        assert_eq!(decoded("caf%C3%a9"), Some("café".into()));
        for text in ["%", "%2", "%2g", "%+1", "%ff"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
