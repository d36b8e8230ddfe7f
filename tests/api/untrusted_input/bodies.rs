//! Malformed bodies and odd characters in them.

use serde_json::json;

use super::samples::{invalid_objects, malformed_bodies};
use super::{MIB, assert_rejected_quickly, assert_works, bearer, json_headers};
use crate::support::{Service, assert_approved, assert_problem, assert_status, phone, with};

#[tokio::test]
async fn malformed_body_is_rejected_and_changes_nothing() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(5)).await;
    let bearer = bearer();
    let headers = json_headers(&bearer);
    let check = format!("/v1/verifications/{id}/check");
    let resend = format!("/v1/verifications/{id}/resend");
    for (case, body) in malformed_bodies() {
        for path in [
            "/v1/verifications",
            &check,
            &resend,
            "/v1/recipients/unlock",
            "/v1/recipients/forget",
            "/v1/recipients/lookup",
        ] {
            let response =
                assert_rejected_quickly(&service, "POST", path, &headers, &body, case).await;
            assert!(
                matches!(
                    response.problem(),
                    (400, "malformed_request") | (413, "body_too_large") | (422, "invalid_request")
                ),
                "{case}: {response:?}"
            );
        }
    }
    for (case, body) in invalid_objects() {
        for path in [
            "/v1/verifications",
            &check,
            "/v1/recipients/unlock",
            "/v1/recipients/forget",
            "/v1/recipients/lookup",
        ] {
            assert_rejected_quickly(
                &service,
                "POST",
                path,
                &headers,
                body.to_string().as_bytes(),
                case,
            )
            .await;
        }
    }
    // No attempt was counted.
    assert_approved(&service.check(&id, &code).await, 4);
    assert_eq!(
        service.raw("GET", "/local/messages", &[], "").await.body["messages"]
            .as_array()
            .map(Vec::len),
        Some(1),
        "nothing was sent"
    );
    assert_works(&service, 6).await;
}

#[tokio::test]
async fn body_of_11_mib_is_too_large() {
    let service = Service::start().await;
    let bearer = bearer();
    let headers = json_headers(&bearer);
    let response = service
        .raw("POST", "/v1/verifications", &headers, vec![b' '; 11 * MIB])
        .await;
    assert_problem(&response, 413, "body_too_large");
    assert_works(&service, 1).await;
}

#[tokio::test]
async fn malformed_body_without_a_key_is_unauthorized() {
    let service = Service::start().await;
    for (case, body) in malformed_bodies() {
        let response = assert_rejected_quickly(
            &service,
            "POST",
            "/v1/verifications",
            &[("content-type", "application/json")],
            &body,
            case,
        )
        .await;
        assert_eq!(response.problem(), (401, "unauthorized"), "{case}");
    }
    assert_works(&service, 1).await;
}

#[tokio::test]
async fn malformed_body_of_a_report_is_rejected() {
    let service = Service::start().await;
    let (id, _) = service.open(&phone(1)).await;
    for (case, body) in malformed_bodies() {
        assert_rejected_quickly(
            &service,
            "POST",
            "/v1/callbacks/sim-a/token",
            &[],
            &body,
            case,
        )
        .await;
        assert_rejected_quickly(
            &service,
            "POST",
            "/v1/callbacks/unknown/token",
            &[("content-type", "application/json")],
            &body,
            case,
        )
        .await;
    }
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
    assert_works(&service, 2).await;
}

#[tokio::test]
async fn one_byte_order_mark_before_a_body_is_ignored() {
    let service = Service::start().await;
    let bearer = bearer();
    let headers = json_headers(&bearer);
    let post = async |path: &str, body: &str| {
        let body = format!("\u{feff}{body}");
        service.raw("POST", path, &headers, body).await
    };
    let body = json!({"to": phone(1)}).to_string();
    let sent = post("/v1/verifications", &body).await;
    assert_status(&sent, 201);
    let path = format!("/v1/verifications/{}", sent.id());
    let code = service.code(&phone(1)).await;
    service.advance(30).await;
    assert_status(&post(&format!("{path}/resend"), "").await, 200);
    let body_of_check = json!({"code": code}).to_string();
    let checked = post(&format!("{path}/check"), &body_of_check).await;
    assert!(checked.is_valid());
    for end in ["unlock", "forget"] {
        let done = post(&format!("/v1/recipients/{end}"), &body).await;
        assert_status(&done, 200);
    }
}

#[tokio::test]
async fn control_characters_never_add_lines_to_a_message() {
    let service = Service::start().await;
    let texts = [
        "\n@evil.example #999999",
        "a\r\nb",
        "\u{0}",
        "\u{1b}[31m",
        "\u{202e}abc",
        "\u{2028}@evil.example #1",
        "a\u{85}b",
        "\u{feff}",
    ];
    for (n, text) in texts.into_iter().enumerate() {
        let (to, quiet) = (phone(n as u32 + 10), phone(n as u32 + 30));
        let reference = service
            .send_body(json!({"to": quiet, "reference": text}))
            .await;
        assert!(
            reference.status == 422
                || (reference.status == 201 && reference.body["reference"] == text),
            "{text:?}: {reference:?}"
        );
        let transaction =
            json!({"amount": "10", "currency": "EUR", "payee": format!("Shop{text}")});
        let sent = service
            .send_body(json!({"to": to, "transaction": transaction}))
            .await;
        assert!(
            sent.status == 422 || (sent.status == 201 && sent.body["transaction"] == transaction),
            "{text:?}: {sent:?}"
        );
        for message in service.messages(&to).await {
            let shown = message["text"].as_str().unwrap_or_default();
            assert!(
                !shown.contains(|c: char| c.is_control() || "\u{202e}\u{2028}\u{feff}".contains(c)),
                "{shown:?}"
            );
            assert!(
                !shown.lines().any(|line| line.starts_with(['@', '#'])),
                "{shown:?}"
            );
        }
        if sent.status == 201 {
            let body = json!({"code": service.code(&to).await});
            assert!(
                service
                    .check_body(&sent.id(), with(body, &json!({"transaction": transaction})))
                    .await
                    .is_valid()
            );
        }
    }
}
