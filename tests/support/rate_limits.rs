//! Assertions about limits: which one rejects a request, until when, and that every header says so.

use std::ops::AsyncFn;

use super::response::{TestResponse, assert_rejected, assert_status};
use super::service::Service;

impl Service {
    /// The responses to `call` in the second before `moment` and from `moment` on. Real time passes
    /// beside the clock: the first one is `None` if that second was over before the response came.
    async fn call_around(
        &self,
        moment: i64,
        call: impl AsyncFn() -> TestResponse,
    ) -> (Option<TestResponse>, TestResponse) {
        self.advance_to(moment - 1).await;
        let first = call().await;
        let in_time = self.now().await < moment;
        if !in_time && first.status < 300 {
            return (None, first);
        }
        self.advance_to(moment).await;
        (in_time.then_some(first), call().await)
    }

    /// Asserts that `limit` rejects `call` until `until`, and that every header says so.
    pub async fn assert_rejects(
        &self,
        limit: &str,
        until: i64,
        call: impl AsyncFn() -> TestResponse,
    ) {
        let before = self.now().await;
        let response = call().await;
        let after = self.now().await;
        assert_rejected(&response, limit);
        let wait: i64 = response
            .header("retry-after")
            .and_then(|wait| wait.parse().ok())
            .unwrap_or_else(|| panic!("{response:?}"));
        assert!(
            (until - after..=until - before).contains(&wait),
            "Retry-After: {wait}, until {until} from {before} to {after}"
        );
        assert_eq!(
            response.header("ratelimit"),
            Some(format!("\"{limit}\";r=0;t={wait}").as_str())
        );
        let policy = response.header("ratelimit-policy").unwrap_or_default();
        assert!(
            policy.starts_with(&format!("\"{limit}\";q=")),
            "RateLimit-Policy: {policy}"
        );
    }

    /// Asserts that `limit` rejects `call` up to the second before `until`, and that `call` gets
    /// `status` at `until`.
    pub async fn assert_rejects_until(
        &self,
        limit: &str,
        until: i64,
        status: u16,
        call: impl AsyncFn() -> TestResponse,
    ) -> TestResponse {
        self.assert_rejects(limit, until, &call).await;
        let (before, after) = self.call_around(until, &call).await;
        if let Some(before) = before {
            assert_rejected(&before, limit);
            assert_eq!(before.header("retry-after"), Some("1"), "{before:?}");
        }
        assert_status(&after, status);
        after
    }
}
