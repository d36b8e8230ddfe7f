//! Requests of all kinds against a service whose responses and codes are recorded.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::{
    DEFAULT_KEY, LocalProcess, NO_SEND_LIMITS, SHOP_KEY, Service, TestResponse, another_code, phone,
};

pub const EMAIL: &str = "canary.person@secret-domain.example";
pub const IDEMPOTENCY_KEY: &str = "idempotency-canary-7f3a";
pub const BAD_KEY: &str = "otp_test_canary_of_a_wrong_key";

/// A service whose responses and codes are recorded.
pub struct Recorder {
    pub process: LocalProcess,
    pub responses: Mutex<Vec<(String, TestResponse)>>,
    pub codes: Mutex<BTreeSet<String>>,
}

impl Recorder {
    pub async fn start() -> Self {
        let process = LocalProcess::start(&NO_SEND_LIMITS, None).await;
        Self {
            process,
            responses: Mutex::default(),
            codes: Mutex::default(),
        }
    }

    pub fn service(&self) -> &Service {
        &self.process.service
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.call_as(DEFAULT_KEY, method, path, body, &[]).await
    }

    pub async fn call_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        more: &[(&str, &str)],
    ) -> Value {
        let response = self.service().call_as(key, method, path, body, more).await;
        let body = response.body.clone();
        self.responses
            .lock()
            .expect("no poison")
            .push((format!("{method} {path}"), response));
        body
    }

    pub async fn send(&self, body: Value) -> String {
        let sent = self.call("POST", "/v1/verifications", Some(body)).await;
        self.service().settle().await;
        self.record_codes(sent["to"].as_str().unwrap_or_default())
            .await;
        sent["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{sent}"))
            .to_owned()
    }

    pub async fn check(&self, id: &str, code: &str) {
        self.codes
            .lock()
            .expect("no poison")
            .insert(code.to_owned());
        self.call(
            "POST",
            &format!("/v1/verifications/{id}/check"),
            Some(json!({"code": code})),
        )
        .await;
    }

    /// Records the codes on a phone; returns the latest one.
    pub async fn record_codes(&self, to: &str) -> String {
        let messages = self.service().messages_now(to).await;
        let codes: Vec<String> = messages
            .iter()
            .filter_map(|message| message["code"].as_str().map(str::to_owned))
            .collect();
        self.codes
            .lock()
            .expect("no poison")
            .extend(codes.iter().cloned());
        codes.last().cloned().unwrap_or_default()
    }

    pub async fn carriers(&self, behaviour: Value) {
        for name in ["sim-a", "sim-b"] {
            self.service().set_carrier(name, behaviour.clone()).await;
        }
    }

    pub async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) {
        let response = self.service().raw(method, path, headers, body).await;
        let mut responses = self.responses.lock().expect("no poison");
        responses.push((format!("{method} {path}"), response));
    }
}

/// Every outcome of a check, every end and every channel.
pub async fn flows(recorder: &Recorder) {
    for (n, channel) in [(1, "sms"), (2, "voice"), (3, "whatsapp")] {
        let to = phone(n);
        let id = recorder
            .send(json!({"to": to, "channel": channel, "reference": "r", "code_length": 5 + n}))
            .await;
        let code = recorder.record_codes(&to).await;
        recorder.check(&id, &another_code(&code)).await;
        recorder
            .call(
                "POST",
                &format!("/v1/verifications/{id}/resend"),
                Some(json!({"channel": "voice"})),
            )
            .await;
        recorder.check(&id, &code).await;
        recorder.check(&id, &code).await;
        recorder
            .call("GET", &format!("/v1/verifications/{id}"), None)
            .await;
        for message in recorder.service().messages(&to).await {
            for status in ["sent", "delivered", "undelivered"] {
                recorder.service().report(&message, status).await;
            }
        }
    }
    let email = recorder
        .send(json!({"to": EMAIL, "channel": "email"}))
        .await;
    let code = recorder.record_codes(EMAIL).await;
    recorder.check(&email, &code).await;
    let to = phone(4);
    let superseded = recorder.send(json!({"to": to})).await;
    let canceled = recorder.send(json!({"to": to})).await;
    let code = recorder.record_codes(&to).await;
    recorder
        .call("DELETE", &format!("/v1/verifications/{canceled}"), None)
        .await;
    for id in [&superseded, &canceled] {
        recorder.check(id, &code).await;
    }
    for _ in 0..6 {
        let pending = recorder.send(json!({"to": phone(5)})).await;
        let code = recorder.record_codes(&phone(5)).await;
        for _ in 0..3 {
            recorder.check(&pending, &another_code(&code)).await;
        }
    }
    for path in ["lookup", "unlock", "forget"] {
        let path = &format!("/v1/recipients/{path}");
        recorder
            .call("POST", path, Some(json!({"to": phone(5)})))
            .await;
    }
}

/// Rejected requests, with numbers and codes where a client may put them by mistake.
pub async fn errors(recorder: &Recorder) {
    let to = phone(6);
    let id = recorder.send(json!({"to": to})).await;
    let code = recorder.record_codes(&to).await;
    for body in [
        json!({"to": format!("{to},{}", phone(7))}),
        json!({"to": format!("{to} x5")}),
        json!({"to": &to[3..]}),
        json!({"to": format!("tel:{to}")}),
        json!({"to": to, "channel": "email"}),
        json!({"to": EMAIL}),
        json!({"to": to, "purpose": to, "locale": to, "country": to, "channel": to, "client_ip": to, "reference": to.repeat(9)}),
        json!({"to": to, "transaction": {"amount": "", "currency": code, "payee": to}}),
        json!({"to": [to]}),
        json!({"to": to, "code": code}),
    ] {
        recorder.call("POST", "/v1/verifications", Some(body)).await;
    }
    for body in [json!({"code": format!("{code}x")}), json!({"code": [code]})] {
        recorder
            .call("POST", &format!("/v1/verifications/{id}/check"), Some(body))
            .await;
    }
    for path in [
        format!("/v1/verifications/{to}"),
        format!("/v1/verifications/{code}"),
        format!("/v1/verifications/{id}/{code}"),
        format!("/{to}"),
    ] {
        recorder.call("GET", &path, None).await;
        recorder.call("PUT", &path, Some(json!({"to": to}))).await;
    }
    other_keys(recorder, &to, &id, &code).await;
    malformed(recorder, &to, &code).await;
}

/// Requests with an unknown API key, the API key of another app, and an `Idempotency-Key`.
async fn other_keys(recorder: &Recorder, to: &str, id: &str, code: &str) {
    recorder
        .call_as(
            BAD_KEY,
            "POST",
            "/v1/verifications",
            Some(json!({"to": to})),
            &[],
        )
        .await;
    recorder
        .call_as(
            SHOP_KEY,
            "GET",
            &format!("/v1/verifications/{id}"),
            None,
            &[],
        )
        .await;
    let key = [("idempotency-key", IDEMPOTENCY_KEY)];
    for body in [
        json!({"to": phone(8)}),
        json!({"to": phone(8)}),
        json!({"to": phone(8), "purpose": "other"}),
    ] {
        recorder
            .call_as(DEFAULT_KEY, "POST", "/v1/verifications", Some(body), &key)
            .await;
    }
    for attempt in [&another_code(code), &another_code(code), &code.to_owned()] {
        let path = format!("/v1/verifications/{id}/check");
        recorder
            .call_as(
                DEFAULT_KEY,
                "POST",
                &path,
                Some(json!({"code": attempt})),
                &key,
            )
            .await;
    }
}

/// Bodies that cannot be parsed, and a forged report.
async fn malformed(recorder: &Recorder, to: &str, code: &str) {
    for (bearer, body) in [
        (DEFAULT_KEY, format!("{{\"to\":\"{to}\"")),
        (DEFAULT_KEY, format!("{{\"to\":\"{to}\",\"to\":\"{to}\"}}")),
        (BAD_KEY, to.to_owned()),
    ] {
        let authorization = format!("Bearer {bearer}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        recorder
            .raw("POST", "/v1/verifications", &headers, body)
            .await;
    }
    let forged = format!("{{\"status\":\"delivered\",\"to\":\"{to}\",\"text\":\"{code}\"}}");
    let path = format!("/v1/callbacks/sim-a/{code}");
    recorder.raw("POST", &path, &[], forged).await;
}

/// Every failure of a carrier, but for a time-out.
pub async fn failures(recorder: &Recorder) {
    for (n, mode) in [
        (10, "reject"),
        (11, "throttle"),
        (12, "error"),
        (13, "down"),
        (14, "lose"),
    ] {
        recorder.carriers(json!({"mode": mode})).await;
        let id = recorder
            .send(json!({"to": phone(n), "fallback": ["voice"]}))
            .await;
        recorder.service().advance(90).await;
        recorder
            .call("GET", &format!("/v1/verifications/{id}"), None)
            .await;
    }
    recorder.carriers(json!({"mode": "ok"})).await;
    recorder.service().advance(120).await;
    for n in 10..15 {
        recorder.record_codes(&phone(n)).await;
    }
}
