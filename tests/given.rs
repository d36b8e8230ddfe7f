//! What the files of the suite share beside the service: phones, bodies, moments, and calls that many of them make.
//! Must hold no rule that a single file tests.

use std::ops::AsyncFn;

use serde_json::{Value, json};

pub use crate::harness::seconds;
use crate::harness::{Answer, DEFAULT_KEY, Service};

/// Variables that take all limits of sends away, for tests of something else.
pub const NO_SEND_LIMITS: [(&str, &str); 3] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_SENDS_PER_HOUR", "1000"),
    ("OTP_SENDS_PER_DAY", "1000"),
];

/// An id that is well formed and names nothing.
pub const UNKNOWN_ID: &str = "ve_aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A French mobile number for each `n` below 999, no two of them with one prefix.
pub fn phone(n: u32) -> String {
    format!("+3361{:07}", n * 10_007)
}

/// Seconds since 1970, as answers write them.
pub fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .expect("a moment")
        .to_string()
}

/// `base` with the fields of `more`.
pub fn with(mut base: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        base[name] = value.clone();
    }
    base
}

impl Answer {
    /// What a check found: valid, reason, status, attempts left.
    #[track_caller]
    pub fn outcome(&self) -> (bool, &str, &str, i64) {
        assert_eq!(self.status, 200, "{self:?}");
        let text = |name: &str| self.body[name].as_str().unwrap_or_default();
        (
            self.body["valid"] == true,
            text("reason"),
            text("status"),
            self.body["attempts_left"].as_i64().unwrap_or(-1),
        )
    }

    /// Whether it repeats an earlier answer.
    pub fn is_replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }
}

impl Service {
    /// The answers to `call` in the second before `moment` and from `moment` on. Real time goes on beside the clock, so there
    /// is no first one if that second was over before it came.
    pub async fn around(
        &self,
        moment: i64,
        call: impl AsyncFn() -> Answer,
    ) -> (Option<Answer>, Answer) {
        self.advance_to(moment - 1).await;
        let first = call().await;
        let in_time = self.now().await < moment;
        if !in_time && first.status < 300 {
            return (None, first);
        }
        self.advance_to(moment).await;
        (in_time.then_some(first), call().await)
    }

    /// Holds that `limit` refuses `call` until `until`, and that every header says so.
    pub async fn refuses(&self, limit: &str, until: i64, call: impl AsyncFn() -> Answer) {
        let before = self.now().await;
        let answer = call().await;
        let after = self.now().await;
        assert_eq!(
            (answer.problem(), &answer.body["limit"]),
            ((429, "rate_limited"), &json!(limit)),
            "{answer:?}"
        );
        let wait: i64 = answer
            .header("retry-after")
            .and_then(|wait| wait.parse().ok())
            .unwrap_or_else(|| panic!("{answer:?}"));
        assert!(
            (until - after..=until - before).contains(&wait),
            "Retry-After: {wait}, until {until} from {before} to {after}"
        );
        assert_eq!(
            answer.header("ratelimit"),
            Some(format!("\"{limit}\";r=0;t={wait}").as_str())
        );
        let policy = answer.header("ratelimit-policy").unwrap_or_default();
        assert!(
            policy.starts_with(&format!("\"{limit}\";q=")),
            "RateLimit-Policy: {policy}"
        );
    }

    /// Holds that `limit` refuses `call` up to the second before `until`, and that it is answered with `status` at `until`.
    pub async fn refuses_until(
        &self,
        limit: &str,
        until: i64,
        status: u16,
        call: impl AsyncFn() -> Answer,
    ) -> Answer {
        self.refuses(limit, until, &call).await;
        let (before, after) = self.around(until, &call).await;
        if let Some(before) = before {
            assert_eq!(
                (
                    before.status,
                    &before.body["limit"],
                    before.header("retry-after")
                ),
                (429, &json!(limit), Some("1")),
                "{before:?}"
            );
        }
        assert_eq!(after.status, status, "{after:?}");
        after
    }

    /// Opens a verification with any body.
    pub async fn send_body(&self, body: Value) -> Answer {
        self.call("POST", "/v1/verifications", Some(body)).await
    }

    /// Checks with any body.
    pub async fn check_body(&self, id: &str, body: Value) -> Answer {
        self.call("POST", &format!("/v1/verifications/{id}/check"), Some(body))
            .await
    }

    /// Checks with an `Idempotency-Key`.
    pub async fn check_with_key(&self, id: &str, body: Value, idempotency_key: &str) -> Answer {
        let path = format!("/v1/verifications/{id}/check");
        self.call_as(
            DEFAULT_KEY,
            "POST",
            &path,
            Some(body),
            &[("idempotency-key", idempotency_key)],
        )
        .await
    }

    /// Resends with any body.
    pub async fn resend_body(&self, id: &str, body: Value) -> Answer {
        self.call(
            "POST",
            &format!("/v1/verifications/{id}/resend"),
            Some(body),
        )
        .await
    }

    pub async fn cancel(&self, id: &str) -> Answer {
        self.call("DELETE", &format!("/v1/verifications/{id}"), None)
            .await
    }

    pub async fn unlock(&self, to: &str) -> Answer {
        self.call("POST", "/v1/recipients/unlock", Some(json!({"to": to})))
            .await
    }

    pub async fn forget(&self, to: &str) -> Answer {
        self.call("POST", "/v1/recipients/forget", Some(json!({"to": to})))
            .await
    }

    /// Opens a verification; its id and the code on the phone.
    pub async fn sent(&self, to: &str) -> (String, String) {
        let sent = self.send(to).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        (sent.id(), self.code_of(to, &sent.id()).await)
    }

    /// Presents `times` wrong codes; the last outcome.
    pub async fn fail(&self, id: &str, code: &str, times: usize) -> Option<Answer> {
        let wrong = crate::harness::other_than(code);
        let mut last = None;
        for _ in 0..times {
            let answer = self.check(id, &wrong).await;
            assert_eq!(answer.outcome().1, "wrong_code", "{answer:?}");
            last = Some(answer);
        }
        last
    }
}
