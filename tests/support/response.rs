//! A response, and assertions about it. A failed assertion prints the whole response and the
//! request that it answers.

use std::time::Duration;

use serde_json::Value;

/// A response of the service.
pub struct TestResponse {
    /// Method and path.
    pub request: String,
    pub status: u16,
    pub headers: hyper::HeaderMap,
    /// `null` if the body is not JSON.
    pub body: Value,
    pub raw: Vec<u8>,
    /// From the request to the last byte.
    pub took: Duration,
}

impl std::fmt::Debug for TestResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.raw);
        write!(
            f,
            "{} -> {} {body} {:?}",
            self.request, self.status, self.headers
        )
    }
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckResult<'a> {
    pub valid: bool,
    /// Empty for a valid code.
    pub reason: &'a str,
    /// The status of the verification.
    pub status: &'a str,
    pub attempts_left: i64,
}

impl<'a> CheckResult<'a> {
    pub fn approved(attempts_left: i64) -> Self {
        Self {
            valid: true,
            reason: "",
            status: "approved",
            attempts_left,
        }
    }

    pub fn failed(reason: &'a str, status: &'a str, attempts_left: i64) -> Self {
        Self {
            valid: false,
            reason,
            status,
            attempts_left,
        }
    }
}

impl TestResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The status, and the code of the problem.
    pub fn problem(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    /// The id of the verification.
    pub fn id(&self) -> String {
        self.body["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {self:?}"))
            .to_owned()
    }

    /// The outcome of a check that was carried out.
    #[track_caller]
    pub fn check_result(&self) -> CheckResult<'_> {
        assert_status(self, 200);
        let text = |name: &str| self.body[name].as_str().unwrap_or_default();
        CheckResult {
            valid: self.body["valid"] == true,
            reason: text("reason"),
            status: text("status"),
            attempts_left: self.body["attempts_left"].as_i64().unwrap_or(-1),
        }
    }

    /// Whether a check that was carried out approved the verification.
    #[track_caller]
    pub fn is_valid(&self) -> bool {
        self.check_result().valid
    }

    /// The fields that a 422 names, in order.
    pub fn error_fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| error["field"].as_str()).collect()
    }

    /// Whether it repeats an earlier response.
    pub fn is_replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }
}

#[track_caller]
pub fn assert_status(response: &TestResponse, status: u16) {
    assert_eq!(response.status, status, "{response:?}");
}

/// Asserts that the request failed with this status and this code of a problem.
#[track_caller]
pub fn assert_problem(response: &TestResponse, status: u16, code: &str) {
    assert_eq!(response.problem(), (status, code), "{response:?}");
}

/// Asserts that `limit` rejected the send.
#[track_caller]
pub fn assert_rejected(response: &TestResponse, limit: &str) {
    assert_problem(response, 429, "rate_limited");
    assert_eq!(response.body["limit"], limit, "{response:?}");
}

/// Asserts that the check approved the verification.
#[track_caller]
pub fn assert_approved(response: &TestResponse, attempts_left: i64) {
    let expected = CheckResult::approved(attempts_left);
    assert_eq!(response.check_result(), expected, "{response:?}");
}

/// Asserts that the check failed for this reason, and what it left behind.
#[track_caller]
pub fn assert_check(response: &TestResponse, reason: &str, status: &str, attempts_left: i64) {
    let expected = CheckResult::failed(reason, status, attempts_left);
    assert_eq!(response.check_result(), expected, "{response:?}");
}

/// Asserts that a send replays the verification `id`.
#[track_caller]
pub fn assert_replays_send(response: &TestResponse, id: &str) {
    assert_status(response, 201);
    assert!(response.is_replayed(), "{response:?}");
    assert_eq!(response.id(), id, "{response:?}");
}

/// Asserts that `response` repeats `first`, and says so.
#[track_caller]
pub fn assert_replays(response: &TestResponse, first: &TestResponse) {
    assert_eq!(response.body, first.body, "{response:?}");
    assert!(response.is_replayed(), "{response:?}");
}

/// Asserts that `value` has each field of `expected` with its value; objects within it are compared
/// in the same way.
#[track_caller]
pub fn assert_fields(value: &Value, expected: Value) {
    let fields = expected.as_object().expect("expected fields are an object");
    for (name, expected) in fields {
        if expected.is_object() {
            assert_fields(&value[name], expected.clone());
        } else {
            assert_eq!(&value[name], expected, "`{name}` of {value}");
        }
    }
}
