//! The order of validation: a request with two errors gets the first one.

use serde_json::json;

use crate::support::{DEFAULT_KEY, Service, UNKNOWN_ID, assert_problem, assert_status, phone};

const JSON: &str = "application/json";
const LARGE: usize = 16 * 1024;

/// Every path with its methods.
fn paths() -> [(String, &'static [&'static str]); 8] {
    [
        ("/v1/verifications".into(), &["POST"]),
        (
            format!("/v1/verifications/{UNKNOWN_ID}"),
            &["GET", "HEAD", "DELETE"],
        ),
        (format!("/v1/verifications/{UNKNOWN_ID}/resend"), &["POST"]),
        (format!("/v1/verifications/{UNKNOWN_ID}/check"), &["POST"]),
        ("/v1/recipients/unlock".into(), &["POST"]),
        ("/v1/recipients/forget".into(), &["POST"]),
        ("/v1/recipients/lookup".into(), &["POST"]),
        ("/healthz".into(), &["GET", "HEAD"]),
    ]
}

#[tokio::test]
async fn unknown_path_is_rejected_first() {
    let service = Service::start().await;
    let below = format!("/v1/verifications/{UNKNOWN_ID}/check/now");
    let paths = [
        "/v1",
        "/v1/",
        "/v1/verification",
        "/v1/verifications/",
        "/v1/recipients",
        "/v1/recipients/ban",
        "/v3/verifications",
        "/V1/verifications",
        &below,
    ];
    for path in paths {
        for method in ["GET", "POST", "PUT"] {
            let response = service
                .raw(
                    method,
                    path,
                    &[("content-type", "text/plain")],
                    vec![b' '; LARGE + 1],
                )
                .await;
            assert_eq!(response.problem(), (404, "not_found"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn unsupported_method_is_rejected_before_the_api_key() {
    let service = Service::start().await;
    for (path, allowed) in paths() {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
            .into_iter()
            .filter(|method| !allowed.contains(method))
        {
            let response = service.raw(method, &path, &[], "").await;
            // The response to a HEAD has no body.
            let code = if method == "HEAD" {
                ""
            } else {
                "method_not_allowed"
            };
            assert_eq!(response.problem(), (405, code), "{method} {path}");
            let mut listed: Vec<_> = response
                .header("allow")
                .unwrap_or_default()
                .split(", ")
                .collect();
            let mut expected = allowed.to_vec();
            listed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(listed, expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn key_size_and_content_type_are_checked_in_order() {
    let service = Service::start().await;
    let key = format!("Bearer {DEFAULT_KEY}");
    let large = " ".repeat(LARGE + 1);
    for (path, methods) in paths().iter().filter(|(_, methods)| *methods == ["POST"]) {
        let cases = [
            (
                vec![("content-type", "text/plain")],
                large.as_str(),
                (401, "unauthorized"),
            ),
            (
                vec![
                    ("authorization", key.as_str()),
                    ("content-type", "text/plain"),
                ],
                large.as_str(),
                (413, "body_too_large"),
            ),
            (
                vec![
                    ("authorization", key.as_str()),
                    ("content-type", "text/plain"),
                ],
                "{",
                (415, "unsupported_media_type"),
            ),
            (
                vec![("authorization", key.as_str())],
                "{",
                (415, "unsupported_media_type"),
            ),
            (
                vec![("authorization", key.as_str()), ("content-type", JSON)],
                "{",
                (400, "malformed_request"),
            ),
        ];
        for (headers, body, expected) in cases {
            assert_eq!(
                service
                    .raw(methods[0], path, &headers, body.to_owned())
                    .await
                    .problem(),
                expected,
                "{path} {expected:?}"
            );
        }
    }
}

#[tokio::test]
async fn fields_are_checked_before_the_id() {
    let service = Service::start().await;
    let check = format!("/v1/verifications/{UNKNOWN_ID}/check");
    let resend = format!("/v1/verifications/{UNKNOWN_ID}/resend");
    for (path, body) in [
        (&check, json!({"code": 1})),
        (&check, json!({})),
        (&check, json!({"code": "123456", "x": 1})),
        (&resend, json!({"channel": "fax"})),
    ] {
        let response = service.call("POST", path, Some(body.clone())).await;
        assert!(
            matches!(
                response.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{path} {body}: {response:?}"
        );
    }
    assert_problem(&service.check(UNKNOWN_ID, "12").await, 422, "invalid_code");
    assert_problem(&service.check(UNKNOWN_ID, "123456").await, 404, "not_found");
    assert_problem(&service.resend(UNKNOWN_ID).await, 404, "not_found");
}

#[tokio::test]
async fn fields_are_checked_before_rules_and_limits() {
    let service = Service::start_with(&[("OTP_ALLOWED_COUNTRIES", "FR")]).await;
    let premium = json!({"to": "+33899123456", "ttl_seconds": 1});
    assert_problem(&service.send_body(premium).await, 422, "invalid_request");
    let sent = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_status(&sent, 201);
    assert_problem(
        &service
            .send_body(json!({"to": phone(1), "ttl_seconds": 1}))
            .await,
        422,
        "invalid_request",
    );
    assert_problem(
        &service
            .send_with_key(json!({"to": phone(1), "ttl_seconds": 60}), "k")
            .await,
        422,
        "idempotency_mismatch",
    );
    assert_problem(&service.send(&phone(1)).await, 429, "rate_limited");
    assert_problem(&service.resend(&sent.id()).await, 429, "rate_limited");
    assert_status(&service.cancel(&sent.id()).await, 200);
    // This comes before the cooldown.
    assert_problem(&service.resend(&sent.id()).await, 409, "not_pending");
    assert_status(
        &service
            .resend_body(&sent.id(), json!({"channel": "fax"}))
            .await,
        422,
    );
}

#[tokio::test]
async fn body_of_exactly_16_kib_is_accepted() {
    let service = Service::start().await;
    let key = format!("Bearer {DEFAULT_KEY}");
    let padded = |length: usize| format!("{:length$}", json!({"to": phone(1)}).to_string());
    let headers = [("authorization", key.as_str()), ("content-type", JSON)];
    assert_problem(
        &service
            .raw("POST", "/v1/verifications", &headers, padded(LARGE + 1))
            .await,
        413,
        "body_too_large",
    );
    assert_status(
        &service
            .raw("POST", "/v1/verifications", &headers, padded(LARGE))
            .await,
        201,
    );
}

#[tokio::test]
async fn content_type_must_be_json_with_any_parameters() {
    let service = Service::start().await;
    let key = format!("Bearer {DEFAULT_KEY}");
    let body = |n: u32| json!({"to": phone(n)}).to_string();
    for wrong in [
        "text/json",
        "application/jsonp",
        "application/x-www-form-urlencoded",
        "application/json-seq",
        "",
        "application",
        "text/plain; application/json",
    ] {
        let headers = [("authorization", key.as_str()), ("content-type", wrong)];
        assert_eq!(
            service
                .raw("POST", "/v1/verifications", &headers, body(1))
                .await
                .problem(),
            (415, "unsupported_media_type"),
            "{wrong:?}"
        );
    }
    for (n, right) in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
    ]
    .into_iter()
    .enumerate()
    {
        let headers = [("authorization", key.as_str()), ("content-type", right)];
        assert_eq!(
            service
                .raw("POST", "/v1/verifications", &headers, body(n as u32 + 1))
                .await
                .status,
            201,
            "{right:?}"
        );
    }
}
