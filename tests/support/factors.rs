//! Requests about subjects, and a simulated authenticator: RFC 4226 and RFC 6238 once more, so
//! that a mistake in the service does not appear in both.

use data_encoding::BASE32_NOPAD;
use ring::hmac;
use serde_json::{Value, json};

use super::response::{TestResponse, assert_status};
use super::service::{DEFAULT_KEY, Service};

/// A factor with a secret, as the device of the user knows it.
#[derive(Clone)]
pub struct Authenticator {
    /// Path of the factor.
    pub path: String,
    pub id: String,
    key: hmac::Key,
    digits: u32,
    period: i64,
}

impl Authenticator {
    /// From the response to an enrolment for `subject`.
    pub fn new(subject: &str, enrolled: &Value) -> Self {
        let secret = enrolled["secret"].as_str().expect("a secret").as_bytes();
        let secret = BASE32_NOPAD.decode(secret).expect("base32");
        let algorithm = match enrolled["algorithm"].as_str() {
            Some("sha1") => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Some("sha256") => hmac::HMAC_SHA256,
            Some("sha512") => hmac::HMAC_SHA512,
            other => panic!("algorithm {other:?}"),
        };
        let id = enrolled["id"].as_str().expect("an id").to_owned();
        Self {
            path: format!("/v1/subjects/{subject}/factors/{id}"),
            id,
            key: hmac::Key::new(algorithm, &secret),
            digits: u32::try_from(enrolled["digits"].as_u64().expect("digits")).expect("small"),
            period: enrolled["period"].as_i64().unwrap_or(30),
        }
    }

    /// The code of a counter.
    pub fn code(&self, counter: i64) -> String {
        let mac = hmac::sign(&self.key, &counter.to_be_bytes());
        let mac = mac.as_ref();
        let offset = usize::from(mac[mac.len() - 1] % 16);
        let four = mac[offset..offset + 4].try_into().expect("four bytes");
        let number = u32::from_be_bytes(four) % 0x8000_0000 % 10u32.pow(self.digits);
        format!("{number:0width$}", width = self.digits as usize)
    }

    /// The code of a time, in seconds since 1970.
    pub fn code_at(&self, seconds: i64) -> String {
        self.code(seconds / self.period)
    }

    /// A code of no step near `seconds`.
    pub fn wrong_code_at(&self, seconds: i64) -> String {
        let step = seconds / self.period;
        let near: Vec<String> = (step - 5..=step + 5).map(|near| self.code(near)).collect();
        let mut all = (0..).map(|n| format!("{n:0width$}", width = self.digits as usize));
        all.find(|code| !near.contains(code)).expect("a code")
    }
}

/// A code of no counter from 0 to 1,000.
pub fn wrong_code_of(token: &Authenticator) -> String {
    let codes: Vec<String> = (0..1000).map(|counter| token.code(counter)).collect();
    let mut all = (0..).map(|n| format!("{n:0width$}", width = token.digits as usize));
    all.find(|code| !codes.contains(code)).expect("a code")
}

/// What a test needs of a decision.
pub struct Decision {
    pub path: String,
    pub id: String,
}

impl Service {
    /// A request under `/v1/subjects/{subject}`.
    pub async fn subject(
        &self,
        method: &str,
        subject: &str,
        rest: &str,
        body: Option<Value>,
    ) -> TestResponse {
        let path = format!("/v1/subjects/{subject}{rest}");
        self.call(method, &path, body).await
    }

    /// Shows a subject.
    pub async fn show_subject(&self, subject: &str) -> Value {
        let shown = self.subject("GET", subject, "", None).await;
        assert_status(&shown, 200);
        shown.body
    }

    /// Enrols a factor.
    pub async fn enrol(&self, subject: &str, body: Value) -> TestResponse {
        self.subject("POST", subject, "/factors", Some(body)).await
    }

    /// Enrols an authenticator app, which is unconfirmed.
    pub async fn unconfirmed_totp(&self, subject: &str) -> Authenticator {
        let body = json!({"type": "totp", "account": "ann@example.com"});
        self.enrolled(subject, body).await
    }

    /// Enrols an authenticator app, and confirms it with the code of the current step.
    pub async fn active_totp(&self, subject: &str) -> Authenticator {
        let app = self.unconfirmed_totp(subject).await;
        let code = app.code_at(self.now().await);
        let confirmed = self.check_factor(&app, &code).await;
        assert!(confirmed.is_valid(), "{confirmed:?}");
        app
    }

    /// Enrols a factor with a secret.
    pub async fn enrolled(&self, subject: &str, body: Value) -> Authenticator {
        let enrolled = self.enrol(subject, body).await;
        assert_status(&enrolled, 201);
        Authenticator::new(subject, &enrolled.body)
    }

    /// Enrols backup codes. Returns the path of the factor, and the codes.
    pub async fn backup_codes(&self, subject: &str) -> (String, Vec<String>) {
        let enrolled = self.enrol(subject, json!({"type": "backup_codes"})).await;
        assert_status(&enrolled, 201);
        let codes = enrolled.body["codes"].as_array().expect("codes");
        let codes = codes.iter().filter_map(Value::as_str).map(str::to_owned);
        let path = format!("/v1/subjects/{subject}/factors/{}", enrolled.id());
        (path, codes.collect())
    }

    /// Checks a code of a factor.
    pub async fn check_factor(&self, app: &Authenticator, code: &str) -> TestResponse {
        self.check_at(&app.path, json!({"code": code})).await
    }

    /// Checks a code of the factor at `path`.
    pub async fn check_at(&self, path: &str, body: Value) -> TestResponse {
        self.call("POST", &format!("{path}/check"), Some(body))
            .await
    }

    /// Checks a code of the factor at `path` with an `Idempotency-Key`.
    pub async fn check_at_with_key(&self, path: &str, body: Value, key: &str) -> TestResponse {
        let path = format!("{path}/check");
        let headers = [("idempotency-key", key)];
        self.call_as(DEFAULT_KEY, "POST", &path, Some(body), &headers)
            .await
    }

    /// Submits so many wrong codes of an authenticator app.
    pub async fn fail_factor_checks(&self, app: &Authenticator, times: usize) {
        let wrong = app.wrong_code_at(self.now().await);
        for _ in 0..times {
            let checked = self.check_factor(app, &wrong).await;
            assert_eq!(checked.body["reason"], "wrong_code", "{checked:?}");
        }
    }

    /// Makes a decision.
    pub async fn decide(&self, subject: &str, body: Value) -> TestResponse {
        self.subject("POST", subject, "/decisions", Some(body))
            .await
    }

    /// Makes a decision that is a challenge.
    pub async fn challenge(&self, subject: &str, action: &str) -> Decision {
        let decided = self.decide(subject, json!({"action": action})).await;
        assert_status(&decided, 201);
        assert_eq!(decided.body["status"], "pending", "{decided:?}");
        let id = decided.id();
        Decision {
            path: format!("/v1/subjects/{subject}/decisions/{id}"),
            id,
        }
    }

    /// Opens a verification for a subject. Returns its id and its code.
    pub async fn open_for(&self, subject: &str, to: &str) -> (String, String) {
        let channel = if to.contains('@') { "email" } else { "sms" };
        let body = json!({"to": to, "channel": channel, "subject": subject});
        let id = self.open_id(body).await;
        let code = self.code_of(to, &id).await;
        (id, code)
    }

    /// Verifies a recipient for a subject.
    pub async fn verify_for(&self, subject: &str, to: &str) -> TestResponse {
        let (id, code) = self.open_for(subject, to).await;
        self.check_body(&id, json!({"code": code, "subject": subject}))
            .await
    }
}
