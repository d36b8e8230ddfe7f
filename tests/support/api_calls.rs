//! Requests of an app. Those without an explicit API key come from app `default`.

use serde_json::{Value, json};

use super::response::{TestResponse, assert_status};
use super::service::{DEFAULT_KEY, Service};
use super::values::another_code;

impl Service {
    /// A request of app `default` with a JSON body.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> TestResponse {
        self.call_as(DEFAULT_KEY, method, path, body, &[]).await
    }

    /// A request with the API key `key`, a JSON body and `more` headers.
    pub async fn call_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        more: &[(&str, &str)],
    ) -> TestResponse {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("authorization", bearer.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        headers.extend(more);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.raw(method, path, &headers, body).await
    }

    /// Opens a verification.
    pub async fn send(&self, to: &str) -> TestResponse {
        self.send_body(json!({"to": to})).await
    }

    /// Opens a verification with any body.
    pub async fn send_body(&self, body: Value) -> TestResponse {
        self.call("POST", "/v1/verifications", Some(body)).await
    }

    /// Opens a verification with this body and `Idempotency-Key`.
    pub async fn send_with_key(&self, body: Value, idempotency_key: &str) -> TestResponse {
        self.call_as(
            DEFAULT_KEY,
            "POST",
            "/v1/verifications",
            Some(body),
            &[("idempotency-key", idempotency_key)],
        )
        .await
    }

    /// Opens a verification of the app that `key` belongs to.
    pub async fn send_as(&self, key: &str, to: &str) -> TestResponse {
        let body = Some(json!({"to": to}));
        self.call_as(key, "POST", "/v1/verifications", body, &[])
            .await
    }

    /// Opens a verification and waits for its message; returns its id and its code.
    pub async fn open(&self, to: &str) -> (String, String) {
        let id = self.open_id(json!({"to": to})).await;
        let code = self.code_of(to, &id).await;
        (id, code)
    }

    /// Opens a verification with any body; returns its id.
    pub async fn open_id(&self, body: Value) -> String {
        let response = self.send_body(body).await;
        assert_status(&response, 201);
        response.id()
    }

    pub async fn resend(&self, id: &str) -> TestResponse {
        self.call("POST", &format!("/v1/verifications/{id}/resend"), None)
            .await
    }

    /// Resends with any body.
    pub async fn resend_body(&self, id: &str, body: Value) -> TestResponse {
        let path = format!("/v1/verifications/{id}/resend");
        self.call("POST", &path, Some(body)).await
    }

    pub async fn check(&self, id: &str, code: &str) -> TestResponse {
        self.check_body(id, json!({"code": code})).await
    }

    /// Checks with any body.
    pub async fn check_body(&self, id: &str, body: Value) -> TestResponse {
        self.call("POST", &format!("/v1/verifications/{id}/check"), Some(body))
            .await
    }

    /// Checks with an `Idempotency-Key`.
    pub async fn check_with_key(
        &self,
        id: &str,
        body: Value,
        idempotency_key: &str,
    ) -> TestResponse {
        let path = format!("/v1/verifications/{id}/check");
        let key = [("idempotency-key", idempotency_key)];
        self.call_as(DEFAULT_KEY, "POST", &path, Some(body), &key)
            .await
    }

    /// Checks `times` wrong codes, none of which is `code`; returns the last response.
    pub async fn fail_checks(&self, id: &str, code: &str, times: usize) -> Option<TestResponse> {
        let wrong = another_code(code);
        let mut last = None;
        for _ in 0..times {
            let response = self.check(id, &wrong).await;
            assert_eq!(response.check_result().reason, "wrong_code", "{response:?}");
            last = Some(response);
        }
        last
    }

    pub async fn show(&self, id: &str) -> TestResponse {
        self.call("GET", &format!("/v1/verifications/{id}"), None)
            .await
    }

    pub async fn cancel(&self, id: &str) -> TestResponse {
        self.call("DELETE", &format!("/v1/verifications/{id}"), None)
            .await
    }

    pub async fn unlock(&self, to: &str) -> TestResponse {
        self.call("POST", "/v1/recipients/unlock", Some(json!({"to": to})))
            .await
    }

    pub async fn forget(&self, to: &str) -> TestResponse {
        self.call("POST", "/v1/recipients/forget", Some(json!({"to": to})))
            .await
    }

    pub async fn lookup(&self, to: &str) -> TestResponse {
        self.call("POST", "/v1/recipients/lookup", Some(json!({"to": to})))
            .await
    }
}
