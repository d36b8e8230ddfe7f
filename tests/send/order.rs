//! The order of checks: a request that is wrong in two ways is told the earlier one.

use serde_json::json;

use crate::given::{UNKNOWN_ID, phone};
use crate::harness::{DEFAULT_KEY, Service};

const JSON: &str = "application/json";
const LARGE: usize = 16 * 1024;

/// Every path, with the methods that it takes.
fn paths() -> [(String, &'static [&'static str]); 7] {
    [
        ("/v1/verifications".into(), &["POST"]),
        (
            format!("/v1/verifications/{UNKNOWN_ID}"),
            &["GET", "DELETE"],
        ),
        (format!("/v1/verifications/{UNKNOWN_ID}/resend"), &["POST"]),
        (format!("/v1/verifications/{UNKNOWN_ID}/check"), &["POST"]),
        ("/v1/recipients/unlock".into(), &["POST"]),
        ("/v1/recipients/forget".into(), &["POST"]),
        ("/healthz".into(), &["GET"]),
    ]
}

#[tokio::test]
async fn a_path_that_is_not_there_is_told_before_anything_else() {
    let service = Service::start().await;
    let below = format!("/v1/verifications/{UNKNOWN_ID}/check/now");
    let paths = [
        "/v1",
        "/v1/",
        "/v1/verification",
        "/v1/verifications/",
        "/v1/recipients",
        "/v1/recipients/ban",
        "/v2/verifications",
        "/V1/verifications",
        &below,
    ];
    for path in paths {
        for method in ["GET", "POST", "PUT"] {
            let answer = service
                .raw(
                    method,
                    path,
                    &[("content-type", "text/plain")],
                    vec![b' '; LARGE + 1],
                )
                .await;
            assert_eq!(answer.problem(), (404, "not_found"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_without_a_key_and_the_allowed_ones_are_named() {
    let service = Service::start().await;
    for (path, allowed) in paths() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
            .into_iter()
            .filter(|method| !allowed.contains(method))
        {
            let answer = service.raw(method, &path, &[], "").await;
            assert_eq!(
                answer.problem(),
                (405, "method_not_allowed"),
                "{method} {path}"
            );
            let mut named: Vec<_> = answer
                .header("allow")
                .unwrap_or_default()
                .split(", ")
                .collect();
            let mut expected = allowed.to_vec();
            named.sort_unstable();
            expected.sort_unstable();
            assert_eq!(named, expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn key_then_size_then_content_type_then_json_then_fields_then_id() {
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
    let check = format!("/v1/verifications/{UNKNOWN_ID}/check");
    let resend = format!("/v1/verifications/{UNKNOWN_ID}/resend");
    for (path, body) in [
        (&check, json!({"code": 1})),
        (&check, json!({})),
        (&check, json!({"code": "123456", "x": 1})),
        (&resend, json!({"channel": "fax"})),
    ] {
        let answer = service.call("POST", path, Some(body.clone())).await;
        assert!(
            matches!(
                answer.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{path} {body}: {answer:?}"
        );
    }
    assert_eq!(
        service.check(UNKNOWN_ID, "12").await.problem(),
        (422, "invalid_code")
    );
    assert_eq!(
        service.check(UNKNOWN_ID, "123456").await.problem(),
        (404, "not_found")
    );
    assert_eq!(
        service.resend(UNKNOWN_ID).await.problem(),
        (404, "not_found")
    );
}

#[tokio::test]
async fn formats_come_before_rules_and_rules_before_limits() {
    let service = Service::start_with(&[("OTP_ALLOWED_COUNTRIES", "FR")]).await;
    let premium = json!({"to": "+33899123456", "ttl_seconds": 1});
    assert_eq!(
        service.send_body(premium).await.problem(),
        (422, "invalid_request")
    );
    let sent = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_eq!(sent.status, 201);
    assert_eq!(
        service
            .send_body(json!({"to": phone(1), "ttl_seconds": 1}))
            .await
            .problem(),
        (422, "invalid_request")
    );
    assert_eq!(
        service
            .send_with_key(json!({"to": phone(1), "ttl_seconds": 60}), "k")
            .await
            .problem(),
        (422, "idempotency_mismatch")
    );
    assert_eq!(
        service.send(&phone(1)).await.problem(),
        (429, "rate_limited")
    );
    assert_eq!(
        service.resend(&sent.id()).await.problem(),
        (429, "rate_limited")
    );
    assert_eq!(service.cancel(&sent.id()).await.status, 200);
    assert_eq!(
        service.resend(&sent.id()).await.problem(),
        (409, "not_pending"),
        "within the cooldown, too"
    );
    assert_eq!(
        service
            .resend_body(&sent.id(), json!({"channel": "fax"}))
            .await
            .status,
        422
    );
}

#[tokio::test]
async fn a_body_of_exactly_sixteen_kibibytes_is_read() {
    let service = Service::start().await;
    let key = format!("Bearer {DEFAULT_KEY}");
    let padded = |length: usize| format!("{:length$}", json!({"to": phone(1)}).to_string());
    let headers = [("authorization", key.as_str()), ("content-type", JSON)];
    assert_eq!(
        service
            .raw("POST", "/v1/verifications", &headers, padded(LARGE + 1))
            .await
            .problem(),
        (413, "body_too_large")
    );
    assert_eq!(
        service
            .raw("POST", "/v1/verifications", &headers, padded(LARGE))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn the_content_type_may_carry_parameters_and_nothing_else_passes_for_json() {
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
