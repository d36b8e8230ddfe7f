//! Signature Version 4 of requests to AWS:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//!
//! The SDK's signer derives the key of the day for each request and hashes headers that AWS does
//! not ask for, which is a third of the instructions of a call.
//!
//! Invariant: `host`, `content-type` and all `x-amz-*` headers are signed, and the whole body.
//! Invariant: an error contains nothing of the request.

use std::fmt;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use ring::{digest, hmac};
use thiserror::Error;

use crate::domain::time::Timestamp;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// `20251121`, the start of `20251121T193000Z`.
const DAY_LENGTH: usize = 8;

/// The credentials of the Lambda environment. They do not change during the life of the process.
#[derive(Clone, Default)]
pub struct AwsCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
}

/// Signs requests to one service in one region.
pub struct Signer {
    credentials: AwsCredentials,
    region: String,
    service: &'static str,
    /// The latest day that was signed, and its key.
    key: Mutex<Option<(String, hmac::Key)>>,
}

/// A request before its signature.
pub struct Unsigned<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The absolute URL.
    pub url: &'a str,
    /// All headers, with lower-case names.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The whole body.
    pub body: &'a [u8],
}

/// The headers that make a signed request of it.
pub type SignatureHeaders = Vec<(&'static str, String)>;

/// Why a request could not be signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SignError {
    /// The URL is relative.
    #[error("the URL of the request has no host")]
    NoHost,
    /// No service that we call has requests with a query.
    #[error("the URL of the request has a query")]
    Query,
    /// The body is a stream.
    #[error("the body of the request is not in memory")]
    Body,
    /// Not printable ASCII.
    #[error("a header value is not text")]
    Header,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// For `service` in `region`.
    #[must_use]
    pub fn new(credentials: AwsCredentials, region: String, service: &'static str) -> Self {
        Self {
            credentials,
            region,
            service,
            key: Mutex::default(),
        }
    }

    /// The headers to add to `request`, which must not change afterwards.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(
        &self,
        request: Unsigned<'_>,
        now: Timestamp,
    ) -> Result<SignatureHeaders, SignError> {
        // RFC 3339 without its separators: `20251121T193000Z`.
        let mut time = Timestamp(now.0.max(0)).to_string();
        time.retain(|c| c != '-' && c != ':');
        let day = &time[..DAY_LENGTH];
        let (host, path) = host_and_path(request.url)?;

        let mut headers = request.headers;
        headers.retain(|(name, _)| *name == "content-type" || name.starts_with("x-amz-"));
        headers.push(("host", host));
        headers.push(("x-amz-date", &time));
        if let Some(token) = &self.credentials.session_token {
            headers.push(("x-amz-security-token", token));
        }
        headers.sort_unstable_by_key(|(name, _)| *name);
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");

        let canonical = canonical_request(request.method, path, &headers, &names, request.body);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let hash = hex_sha256(canonical.as_bytes());
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{hash}");
        let signature = hmac::sign(&self.key_of(day), text.as_bytes());
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.credentials.access_key_id,
            HEXLOWER.encode(signature.as_ref())
        );
        let mut signed = vec![("authorization", authorization)];
        if let Some(token) = &self.credentials.session_token {
            signed.push(("x-amz-security-token", token.clone()));
        }
        signed.push(("x-amz-date", time));
        Ok(signed)
    }

    fn key_of(&self, day: &str) -> hmac::Key {
        let mut kept = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = kept.as_ref().filter(|(of, _)| of == day) {
            return key.clone();
        }
        let secret = format!("AWS4{}", self.credentials.secret_access_key);
        let steps = [day, &self.region, self.service, "aws4_request"];
        let key = steps.iter().fold(hmac_key(secret.as_bytes()), |key, step| {
            hmac_key(hmac::sign(&key, step.as_bytes()).as_ref())
        });
        *kept = Some((day.to_owned(), key.clone()));
        key
    }
}

fn hmac_key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

fn hex_sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn canonical_request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    names: &str,
    body: &[u8],
) -> String {
    let length: usize = headers.iter().map(|(n, v)| n.len() + v.len() + 2).sum();
    let mut text = String::with_capacity(length + path.len() + names.len() + 100);
    text.push_str(method);
    text.push('\n');
    push_encoded(&mut text, path);
    // The query is empty.
    text.push_str("\n\n");
    for (name, value) in headers {
        text.push_str(name);
        text.push(':');
        let words = value.split(' ').filter(|word| !word.is_empty());
        for (position, word) in words.enumerate() {
            if position > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
        text.push('\n');
    }
    text.push('\n');
    text.push_str(names);
    text.push('\n');
    text.push_str(&hex_sha256(body));
    text
}

/// Host and path of an absolute URL. The port of the scheme is left out, as in the header `host`.
fn host_and_path(url: &str) -> Result<(&str, &str), SignError> {
    let (scheme, rest) = url.split_once("://").ok_or(SignError::NoHost)?;
    if rest.contains('?') {
        return Err(SignError::Query);
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match scheme {
        "https" => host.strip_suffix(":443").unwrap_or(host),
        _ => host.strip_suffix(":80").unwrap_or(host),
    };
    match host {
        "" => Err(SignError::NoHost),
        host => Ok((host, if path.is_empty() { "/" } else { path })),
    }
}

/// AWS encodes the path of a URL, which is encoded already, once more.
fn push_encoded(text: &mut String, path: &str) {
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(byte));
            }
            // Writing to a string does not fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4;
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// Headers of the SDK that are not signed.
    const NOT_SIGNED: [&str; 2] = ["amz-sdk-request", "content-length"];

    fn signer(session_token: Option<&str>) -> Signer {
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: SECRET.into(),
            session_token: session_token.map(str::to_owned),
        };
        Signer::new(credentials, "eu-west-1".into(), "dynamodb")
    }

    /// The header `authorization` that the signer of the AWS SDK makes.
    fn expected(request: &Unsigned<'_>, session_token: Option<&str>, now: i64) -> String {
        let session_token = session_token.map(str::to_owned);
        let identity = Credentials::new("AKIDEXAMPLE", SECRET, session_token, None, "tests").into();
        let mut settings = SigningSettings::default();
        let excluded = settings.excluded_headers.get_or_insert_default();
        excluded.extend(NOT_SIGNED.map(Into::into));
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("dynamodb")
            .time(UNIX_EPOCH + Duration::from_secs(now.unsigned_abs()))
            .settings(settings)
            .build()
            .expect("parameters")
            .into();
        let signable = SignableRequest::new(
            request.method,
            request.url,
            request.headers.iter().copied(),
            SignableBody::Bytes(request.body),
        );
        let (instructions, _) = sign(signable.expect("a request"), &params)
            .expect("a signature")
            .into_parts();
        let mut signed = http::Request::builder()
            .uri(request.url)
            .body(())
            .expect("a request");
        instructions.apply_to_request_http1x(&mut signed);
        let value = signed.headers()["authorization"].to_str();
        value.expect("text").to_owned()
    }

    proptest! {
        #[test]
        fn signature_equals_that_of_the_sdk(
            host in "(https://dynamodb\\.eu-west-1\\.amazonaws\\.com|http://[a-z]{1,9}:[1-9][0-9]{3})",
            path in "(/[a-zA-Z0-9~_-]{1,5}(%[2-7][0-9A-F])?)?",
            agent in "[!-~]{1,20}( [!-~]{1,20}){0,3}",
            token in proptest::option::of("[A-Za-z0-9+/=]{1,200}"),
            body in proptest::collection::vec(any::<u8>(), 0..300),
            now in 0_i64..4_102_444_800,
        ) {
            let url = format!("{host}{path}");
            let headers = vec![
                ("x-amz-target", "DynamoDB_20120810.UpdateItem"),
                ("content-type", "application/x-amz-json-1.0"),
                ("content-length", "300"),
                ("x-amz-user-agent", agent.as_str()),
                ("amz-sdk-request", "attempt=1; max=3"),
            ];
            let request = Unsigned { method: "POST", url: &url, headers, body: &body };
            let token = token.as_deref();
            let expected = expected(&request, token, now);
            let signer = signer(token);
            let signed = signer.sign(request, Timestamp(now)).expect("a signature");
            prop_assert_eq!(&signed[0], &("authorization", expected));
            let added: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
            let with_token = ["authorization", "x-amz-security-token", "x-amz-date"];
            let without = ["authorization", "x-amz-date"];
            prop_assert_eq!(added, if token.is_some() { &with_token[..] } else { &without });
        }
    }

    #[test]
    fn each_day_has_its_own_key() {
        let (signer, day) = (signer(None), 86_400);
        for now in [0, day - 1, day, day + 1, 0] {
            let request = || Unsigned {
                method: "POST",
                url: "https://h/",
                headers: vec![],
                body: b"{}",
            };
            let signed = signer.sign(request(), Timestamp(now)).expect("a signature");
            assert_eq!(signed[0].1, expected(&request(), None, now));
        }
    }

    #[test]
    fn unsignable_urls_are_errors() {
        for (url, error) in [
            ("/", SignError::NoHost),
            ("https:///a", SignError::NoHost),
            ("https://h/?a=b", SignError::Query),
        ] {
            let request = Unsigned {
                method: "POST",
                url,
                headers: vec![],
                body: b"",
            };
            assert_eq!(
                signer(None).sign(request, Timestamp(0)),
                Err(error),
                "{url}"
            );
        }
    }
}
