//! Apps: an API key belongs to one of them, and nothing of one is visible to another.

use serde_json::{Value, json};

use crate::given::{phone, seconds};
use crate::harness::{Answer, DEFAULT_KEY, SHOP_KEY, Service};

async fn send_as(service: &Service, key: &str, to: &str) -> Answer {
    service
        .call_as(
            key,
            "POST",
            "/v1/verifications",
            Some(json!({"to": to})),
            &[],
        )
        .await
}

#[tokio::test]
async fn a_verification_of_another_app_is_not_there() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    let calls: [(&str, &str, Option<Value>); 4] = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/check", Some(json!({"code": code}))),
        ("POST", "/resend", None),
    ];
    for (method, end, body) in calls {
        let answer = service
            .call_as(
                SHOP_KEY,
                method,
                &format!("/v1/verifications/{id}{end}"),
                body,
                &[],
            )
            .await;
        assert_eq!(answer.problem(), (404, "not_found"), "{method} {end}");
    }
    let shown = service.show(&id).await;
    assert_eq!(
        (&shown.body["status"], &shown.body["attempts_left"]),
        (&json!("pending"), &json!(5))
    );
    assert_eq!(service.check(&id, &code).await.outcome().0, true);
}

#[tokio::test]
async fn limits_and_verifications_of_one_app_do_not_touch_another() {
    let service = Service::start().await;
    let (ours, code) = service.sent(&phone(1)).await;
    service.fail(&ours, &code, 2).await;
    let theirs = send_as(&service, SHOP_KEY, &phone(1)).await;
    assert_eq!(
        (
            theirs.status,
            &theirs.body["sends_left"],
            &theirs.body["attempts_left"]
        ),
        (201, &json!(4), &json!(5))
    );
    assert_eq!(
        service.show(&ours).await.body["status"],
        "pending",
        "the other app's verification supersedes nothing here"
    );
    for path in ["/v1/recipients/unlock", "/v1/recipients/forget"] {
        assert_eq!(
            service
                .call_as(SHOP_KEY, "POST", path, Some(json!({"to": phone(1)})), &[])
                .await
                .status,
            200
        );
    }
    assert_eq!(service.show(&ours).await.body["attempts_left"], 3);
    let gone = service
        .call_as(
            SHOP_KEY,
            "GET",
            &format!("/v1/verifications/{}", theirs.id()),
            None,
            &[],
        )
        .await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn an_app_has_the_settings_of_its_own_entry() {
    let own = json!({"brand": "Shop", "code_length": 8, "sends_per_hour": 3, "max_attempts": 2, "code_ttl_seconds": 120, "cooldown_seconds": "7"});
    let service = Service::start_with(&[("OTP_APPS", &json!({"shop": own}).to_string())]).await;
    let theirs = send_as(&service, SHOP_KEY, "+12025550143").await;
    let created = seconds(&theirs.body["created_at"]);
    assert_eq!(
        (&theirs.body["sends_left"], &theirs.body["attempts_left"]),
        (&json!(2), &json!(2)),
        "{theirs:?}"
    );
    assert_eq!(
        (
            seconds(&theirs.body["expires_at"]) - created,
            seconds(&theirs.body["resend_at"]) - created
        ),
        (120, 7)
    );
    let message = &service.messages("+12025550143").await[0];
    assert_eq!(message["code"].as_str().map(str::len), Some(8));
    assert!(
        message["text"]
            .as_str()
            .is_some_and(|text| text.contains("Shop")),
        "{message}"
    );
    let ours = send_as(&service, DEFAULT_KEY, "+12025550143").await;
    assert_eq!(
        (&ours.body["sends_left"], &ours.body["attempts_left"]),
        (&json!(4), &json!(5))
    );
    assert_eq!(service.code("+12025550143").await.len(), 6);
    let too_short = service
        .call_as(
            SHOP_KEY,
            "POST",
            "/v1/verifications",
            Some(json!({"to": phone(2), "code_length": 7})),
            &[],
        )
        .await;
    assert_eq!(too_short.problem(), (422, "invalid_request"));
}

#[tokio::test]
async fn only_a_known_key_opens_the_door() {
    let service = Service::start().await;
    let almost = format!("Bearer {}", &DEFAULT_KEY[1..]);
    let longer = format!("Bearer {DEFAULT_KEY}0");
    let basic = format!("Basic {DEFAULT_KEY}");
    let two = format!("Bearer {DEFAULT_KEY}, Bearer {SHOP_KEY}");
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        DEFAULT_KEY,
        &almost,
        &longer,
        &basic,
        &two,
    ] {
        for (method, path) in [
            ("POST", "/v1/verifications"),
            ("GET", "/v1/verifications/ve_1"),
            ("POST", "/v1/recipients/unlock"),
        ] {
            let body = if method == "POST" {
                json!({"to": phone(1)}).to_string()
            } else {
                String::new()
            };
            let headers = [
                ("authorization", header),
                ("content-type", "application/json"),
            ];
            assert_eq!(
                service.raw(method, path, &headers, body).await.problem(),
                (401, "unauthorized"),
                "{header:?} {path}"
            );
        }
    }
    let none = service
        .raw(
            "POST",
            "/v1/verifications",
            &[("content-type", "application/json")],
            json!({"to": phone(1)}).to_string(),
        )
        .await;
    assert_eq!(none.problem(), (401, "unauthorized"));
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
}
