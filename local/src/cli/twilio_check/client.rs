//! Requests as Twilio's SDKs make them, and what a program sees of the responses.

use std::time::Duration;

use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use otp::platform::https;
use serde_json::Value;

/// Time for opening a connection, and for a whole request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// A request without a response.
#[derive(Debug, thiserror::Error)]
#[error("{request} got no response")]
pub(super) struct NoResponse {
    request: String,
    #[source]
    cause: Cause,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A client with the credentials of a program.
pub(super) struct Client {
    http: https::Client<Full<Bytes>>,
    base_url: String,
    account_sid: String,
    api_key: String,
}

/// A request.
pub(super) struct Call {
    method: &'static str,
    path: String,
    form: String,
    credentials: Credentials,
}

/// What a request authenticates with.
enum Credentials {
    Basic,
    WrongBasic,
    Bearer,
}

/// What a program sees.
pub(super) struct Seen {
    pub(super) status: u16,
    /// `null` if it is not JSON.
    pub(super) body: Value,
}

impl Call {
    /// The request of the native API for the app of the key.
    pub(super) fn app() -> Self {
        Self {
            credentials: Credentials::Bearer,
            ..Self::get("/v1/app")
        }
    }

    pub(super) fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            form: String::new(),
            credentials: Credentials::Basic,
        }
    }

    pub(super) fn post(path: &str, parameters: &[(&str, &str)]) -> Self {
        let pairs = parameters.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={}", escaped(value)));
        Self {
            method: "POST",
            form: pairs.collect::<Vec<_>>().join("&"),
            ..Self::get(path)
        }
    }

    pub(super) fn with_wrong_secret(self) -> Self {
        Self {
            credentials: Credentials::WrongBasic,
            ..self
        }
    }
}

impl Client {
    pub(super) fn new(base_url: &str, account_sid: &str, api_key: &str) -> Self {
        Self {
            http: https::client(CONNECT_TIMEOUT),
            base_url: base_url.to_owned(),
            account_sid: account_sid.to_owned(),
            api_key: api_key.to_owned(),
        }
    }

    /// Makes a request.
    pub(super) async fn send(&self, call: Call) -> Result<Seen, NoResponse> {
        let request = format!("{} {}", call.method, call.path);
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, self.try_send(call)).await;
        let seen = sent.unwrap_or_else(|_| Err("the time for it is over".into()));
        seen.map_err(|cause| NoResponse { request, cause })
    }

    async fn try_send(&self, call: Call) -> Result<Seen, Cause> {
        let basic = |secret: &str| {
            let credentials = format!("{}:{secret}", self.account_sid);
            format!("Basic {}", BASE64.encode(credentials.as_bytes()))
        };
        let authorization = match call.credentials {
            Credentials::Basic => basic(&self.api_key),
            Credentials::WrongBasic => basic("wrong"),
            Credentials::Bearer => format!("Bearer {}", self.api_key),
        };
        let request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base_url, call.path))
            .header("authorization", authorization)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(Full::new(Bytes::from(call.form)))?;
        let response = self.http.request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX);
        let body = body.collect().await?.to_bytes();
        Ok(Seen {
            status,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }
}

impl Seen {
    /// Twilio's number of an error; 0 for a success.
    pub(super) fn number(&self) -> u64 {
        match self.status {
            200..=299 => 0,
            _ => self.body["code"].as_u64().unwrap_or_default(),
        }
    }

    /// Status and what a program reads of the body, in one line.
    pub(super) fn summary(&self) -> String {
        let names = [
            "code",
            "message",
            "status",
            "valid",
            "sid",
            "friendly_name",
            "app",
        ];
        let shown = names.iter().filter_map(|name| match &self.body[*name] {
            Value::Null => None,
            Value::String(text) => Some(format!("{name}={text}")),
            Value::Number(number)
                if *name == "status" && number.as_u64() == Some(self.status.into()) =>
            {
                None
            }
            value => Some(format!("{name}={value}")),
        });
        let details = &self.body["details"];
        let wait = details["retry_after"].as_u64();
        let wait = wait.map(|seconds| format!("retry_after={seconds}"));
        let ended = details["status"]
            .as_str()
            .map(|status| format!("ended={status}"));
        let words: Vec<String> = shown.chain(wait).chain(ended).collect();
        format!("{} {}", self.status, words.join(" "))
    }
}

/// `text` as a value of a form.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
