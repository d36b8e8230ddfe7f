//! Malformed paths and headers.

use serde_json::json;

use super::{assert_rejected_quickly, assert_works, bearer, json_headers};
use crate::support::{Service, assert_approved, phone};

/// Path segments in place of an id, a carrier or a token.
const MALFORMED_SEGMENTS: [&str; 20] = [
    "%",
    "%2",
    "%zz",
    "%00",
    "%0d%0aX-Injected:%201",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..",
    "%c0%af",
    "%ff%fe",
    "%ed%a0%80",
    "%252e",
    "ve_%00",
    "ve_%2F",
    "'%20OR%201=1",
    "%24%7Bjndi:ldap://x%7D",
    "{id}",
    "ve_=",
    "ve_AAAA====",
    "~",
    "-",
];

const MALFORMED_PATHS: [&str; 7] = [
    "//v1/verifications",
    "/v1//verifications",
    "/v1/verifications//check",
    "/v1/verifications/a/b/c/d",
    "/%761/verifications",
    "/v1/verifications%2F",
    "/*",
];

#[tokio::test]
async fn malformed_path_is_not_found() {
    let service = Service::start().await;
    let bearer = bearer();
    let headers = json_headers(&bearer);
    let long = "A".repeat(6000);
    for segment in MALFORMED_SEGMENTS.into_iter().chain([long.as_str()]) {
        for (method, end) in [
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/check"),
            ("POST", "/resend"),
        ] {
            let body = if end == "/check" {
                "{\"code\":\"123456\"}"
            } else {
                ""
            };
            let response = assert_rejected_quickly(
                &service,
                method,
                &format!("/v1/verifications/{segment}{end}"),
                &headers,
                body.as_bytes(),
                segment,
            )
            .await;
            assert_eq!(response.problem(), (404, "not_found"), "{method} {segment}");
            assert!(!response.headers.contains_key("x-injected"));
        }
        for path in [
            format!("/v1/callbacks/{segment}/token"),
            format!("/v1/callbacks/sim-a/{segment}"),
        ] {
            let response =
                assert_rejected_quickly(&service, "POST", &path, &[], b"{}", segment).await;
            assert!(matches!(response.status, 401 | 404), "{response:?}");
        }
    }
    for path in MALFORMED_PATHS {
        let response = assert_rejected_quickly(
            &service,
            "POST",
            path,
            &headers,
            b"{\"code\":\"123456\"}",
            path,
        )
        .await;
        assert_eq!(response.problem(), (404, "not_found"), "{path}");
    }
    assert_works(&service, 1).await;
}

#[tokio::test]
async fn malformed_idempotency_key_is_rejected() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(5)).await;
    let long = "k".repeat(20_000);
    let check = format!("/v1/verifications/{id}/check");
    let bearer = bearer();
    let json = ("content-type", "application/json");
    let body = json!({"to": phone(5), "code": code}).to_string();
    for key in [long.as_str(), "", "\"\"", "é", "a\tb", "☂"] {
        for path in ["/v1/verifications", &check] {
            assert_rejected_quickly(
                &service,
                "POST",
                path,
                &[("authorization", &bearer), json, ("idempotency-key", key)],
                body.as_bytes(),
                key,
            )
            .await;
        }
    }
    // No attempt was counted.
    assert_approved(&service.check(&id, &code).await, 4);
    assert_works(&service, 1).await;
}

#[tokio::test]
async fn malformed_authorization_is_rejected() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(5)).await;
    let long = "k".repeat(20_000);
    let check = format!("/v1/verifications/{id}/check");
    let json = ("content-type", "application/json");
    let body = json!({"to": phone(5), "code": code}).to_string();
    for value in [
        long.as_str(),
        "Bearer é",
        "Bearer \t",
        "Bearer  ",
        "bearer",
        "Bearer ' OR 1=1",
        "é",
    ] {
        let response = assert_rejected_quickly(
            &service,
            "POST",
            &check,
            &[("authorization", value), json],
            body.as_bytes(),
            value,
        )
        .await;
        assert_eq!(response.problem(), (401, "unauthorized"), "{value}");
    }
    // No attempt was counted.
    assert_approved(&service.check(&id, &code).await, 4);
    assert_works(&service, 1).await;
}

#[tokio::test]
async fn malformed_content_type_is_rejected() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(5)).await;
    let long = "k".repeat(20_000);
    let check = format!("/v1/verifications/{id}/check");
    let bearer = bearer();
    let body = json!({"code": code}).to_string();
    for value in [
        long.as_str(),
        "é",
        "application/json,application/json",
        ";",
        "application/jso",
    ] {
        let response = assert_rejected_quickly(
            &service,
            "POST",
            &check,
            &[("authorization", &bearer), ("content-type", value)],
            body.as_bytes(),
            value,
        )
        .await;
        assert_eq!(
            response.problem(),
            (415, "unsupported_media_type"),
            "{value}"
        );
    }
    // No attempt was counted.
    assert_approved(&service.check(&id, &code).await, 4);
    assert_works(&service, 1).await;
}

#[tokio::test]
async fn malformed_signature_header_is_rejected() {
    let service = Service::start().await;
    let (id, _) = service.open(&phone(1)).await;
    for timestamp in [
        "-9223372036854775808",
        "9223372036854775807",
        "99999999999999999999",
        "",
        "now",
        "1e9",
        "+1",
        "0",
    ] {
        for signature in ["", "v1,", "v1,AAAA", "v1,é", "v2,AAAA", "v1,v1,v1", ", , ,"] {
            let headers = [
                ("webhook-id", "evt"),
                ("webhook-timestamp", timestamp),
                ("webhook-signature", signature),
            ];
            let response = assert_rejected_quickly(
                &service,
                "POST",
                "/v1/callbacks/sim-a/token",
                &headers,
                b"{\"status\":\"delivered\"}",
                timestamp,
            )
            .await;
            assert!(matches!(response.status, 401 | 404), "{response:?}");
        }
    }
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
}
