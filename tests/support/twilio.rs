//! A client of Twilio's dialect, and what every response of it must be: successes are validated
//! against Twilio's published description of Verify v2, errors against their exact shape.

use std::sync::LazyLock;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::response::{TestResponse, assert_status};
use super::service::{DEFAULT_KEY, Service};

/// Twilio's description, as JSON Schema.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let document = include_str!("../data/twilio_verify_v2.json");
    nullable(serde_json::from_str(document).expect("JSON"))
});

/// Members of the resources, exactly.
const VERIFICATION: [&str; 15] = [
    "account_sid",
    "amount",
    "channel",
    "date_created",
    "date_updated",
    "lookup",
    "payee",
    "send_code_attempts",
    "service_sid",
    "sid",
    "sna",
    "status",
    "to",
    "url",
    "valid",
];
const CHECK: [&str; 12] = [
    "account_sid",
    "amount",
    "channel",
    "date_created",
    "date_updated",
    "payee",
    "service_sid",
    "sid",
    "sna_attempts_error_codes",
    "status",
    "to",
    "valid",
];
const ERROR: [&str; 5] = ["code", "details", "message", "more_info", "status"];

/// A schema of OpenAPI 3.0 as JSON Schema.
fn nullable(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(object) => {
            let is_nullable = object.remove("nullable") == Some(Value::Bool(true));
            for value in object.values_mut() {
                *value = nullable(value.take());
            }
            if let (true, Some(Value::String(kind))) = (is_nullable, object.get("type")) {
                let kinds = json!([kind, "null"]);
                object.insert("type".into(), kinds);
            }
        }
        Value::Array(list) => {
            for value in list {
                *value = nullable(value.take());
            }
        }
        _ => {}
    }
    schema
}

fn members(value: &Value) -> Vec<&str> {
    let object = value.as_object().expect("an object");
    let mut names: Vec<_> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Panics unless the response is one of Twilio's dialect.
pub fn validate_response(method: &str, path: &str, response: &TestResponse) {
    assert_eq!(
        response.header("cache-control"),
        Some("no-store"),
        "{response:?}"
    );
    assert_eq!(
        response.header("content-type"),
        Some("application/json"),
        "{response:?}"
    );
    let request_id = response.header("request-id").expect("a request id");
    if method == "HEAD" {
        assert!(response.raw.is_empty(), "{response:?}");
    } else if response.status >= 400 {
        validate_error(response, request_id);
    } else {
        validate_success(method, path, response);
    }
}

fn validate_error(response: &TestResponse, request_id: &str) {
    let (body, status) = (&response.body, response.status);
    assert_eq!(members(body), ERROR, "{response:?}");
    assert_eq!(body["status"], status, "{response:?}");
    let more_info = format!("https://www.twilio.com/docs/errors/{}", body["code"]);
    assert_eq!(body["more_info"], more_info, "{response:?}");
    assert_eq!(body["details"]["request_id"], request_id, "{response:?}");
    assert!(body["details"]["code"].is_string(), "{response:?}");
    let retry_after = (status == 503).then_some("1");
    assert_eq!(response.header("retry-after"), retry_after, "{response:?}");
}

fn validate_success(method: &str, path: &str, response: &TestResponse) {
    let path = path.split("/v2/").nth(1).unwrap_or_default();
    let segments: Vec<_> = path.split('/').collect();
    let (template, exact): (_, Option<&[&str]>) = match segments[..] {
        ["Services", _] => ("/v2/Services/{Sid}", None),
        ["Services", _, "VerificationCheck"] => {
            ("/v2/Services/{ServiceSid}/VerificationCheck", Some(&CHECK))
        }
        ["Services", _, "Verifications"] => (
            "/v2/Services/{ServiceSid}/Verifications",
            Some(&VERIFICATION),
        ),
        ["Services", _, "Verifications", _] => (
            "/v2/Services/{ServiceSid}/Verifications/{Sid}",
            Some(&VERIFICATION),
        ),
        _ => panic!("a success that Twilio does not describe: {response:?}"),
    };
    let operation = &DESCRIPTION["paths"][template][method.to_ascii_lowercase()];
    let described = &operation["responses"][response.status.to_string()];
    let schema = &described["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "not described: {response:?}");
    let root = json!({"allOf": [schema], "components": DESCRIPTION["components"]});
    let validator = jsonschema::draft202012::new(&root).expect("valid schemas");
    let errors: Vec<_> = validator
        .iter_errors(&response.body)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?} {response:?}");
    if let Some(exact) = exact {
        assert_eq!(members(&response.body), exact, "{response:?}");
    }
}

/// A client with the credentials of one app.
#[derive(Clone)]
pub struct Twilio {
    pub service: Service,
    pub account_sid: String,
    pub service_sid: String,
    pub key: String,
}

impl Twilio {
    /// Starts a service with these variables; a client of app `default`.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        Self::of(&Service::start_with(variables).await, DEFAULT_KEY).await
    }

    /// A client of the app that `key` belongs to.
    pub async fn of(service: &Service, key: &str) -> Self {
        let app = service.call_as(key, "GET", "/v1/app", None, &[]).await;
        assert_status(&app, 200);
        let sid = |name: &str| {
            let sid = app.body["twilio"][name].as_str();
            sid.expect("a sid").to_owned()
        };
        Self {
            service: service.clone(),
            account_sid: sid("account_sid"),
            service_sid: sid("service_sid"),
            key: key.to_owned(),
        }
    }

    /// The value of `Authorization`.
    pub fn basic(user: &str, password: &str) -> String {
        let credentials = format!("{user}:{password}");
        format!("Basic {}", BASE64.encode(credentials.as_bytes()))
    }

    /// A request with a raw body.
    pub async fn raw(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> TestResponse {
        let authorization = Self::basic(&self.account_sid, &self.key);
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.service.raw(method, path, &headers, body.into()).await
    }

    /// The path of the service, and what follows it.
    pub fn path(&self, rest: &str) -> String {
        format!("/v2/Services/{}{rest}", self.service_sid)
    }

    /// A form.
    pub fn form(parameters: &[(&str, &str)]) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(parameters);
        form.finish()
    }

    pub async fn post(&self, rest: &str, parameters: &[(&str, &str)]) -> TestResponse {
        self.raw("POST", &self.path(rest), Self::form(parameters))
            .await
    }

    /// Creates a verification over SMS.
    pub async fn create(&self, to: &str) -> TestResponse {
        self.create_with(to, &[]).await
    }

    /// Creates a verification, over SMS unless `more` has a channel.
    pub async fn create_with(&self, to: &str, more: &[(&str, &str)]) -> TestResponse {
        let mut parameters = vec![("To", to)];
        if !more.iter().any(|(name, _)| *name == "Channel") {
            parameters.push(("Channel", "sms"));
        }
        parameters.extend(more);
        self.post("/Verifications", &parameters).await
    }

    /// Creates a verification and waits for its message; returns its sid and its code.
    pub async fn open(&self, to: &str) -> (String, String) {
        let created = self.create(to).await;
        assert_status(&created, 201);
        (sid(&created), self.service.code(to).await)
    }

    pub async fn check(&self, to: &str, code: &str) -> TestResponse {
        self.post("/VerificationCheck", &[("To", to), ("Code", code)])
            .await
    }

    pub async fn check_sid(&self, sid: &str, code: &str) -> TestResponse {
        let parameters = [("VerificationSid", sid), ("Code", code)];
        self.post("/VerificationCheck", &parameters).await
    }

    pub async fn fetch(&self, sid: &str) -> TestResponse {
        self.raw("GET", &self.path(&format!("/Verifications/{sid}")), "")
            .await
    }

    pub async fn update(&self, sid: &str, status: &str) -> TestResponse {
        self.post(&format!("/Verifications/{sid}"), &[("Status", status)])
            .await
    }
}

/// The sid of a verification.
#[track_caller]
pub fn sid(response: &TestResponse) -> String {
    let sid = response.body["sid"].as_str();
    sid.unwrap_or_else(|| panic!("no sid in {response:?}"))
        .to_owned()
}

/// The native id of the verification with this sid.
pub fn native_id(sid: &str) -> String {
    let digits = sid.strip_prefix("VE").expect("a verification");
    let bytes = data_encoding::HEXLOWER
        .decode(digits.as_bytes())
        .expect("hex");
    let encoded = data_encoding::BASE32_NOPAD
        .encode(&bytes)
        .to_ascii_lowercase();
    format!("ve_{encoded}")
}

/// Asserts status, Twilio's number and the native code of an error.
#[track_caller]
pub fn assert_error(response: &TestResponse, status: u16, number: u32, code: &str) {
    let found = (
        response.status,
        &response.body["code"],
        &response.body["details"]["code"],
    );
    assert_eq!(
        found,
        (status, &json!(number), &json!(code)),
        "{response:?}"
    );
}

/// Asserts the outcome of a check.
#[track_caller]
pub fn assert_checked(response: &TestResponse, status: &str, valid: bool) {
    let found = (
        response.status,
        &response.body["status"],
        &response.body["valid"],
    );
    assert_eq!(found, (200, &json!(status), &json!(valid)), "{response:?}");
}
