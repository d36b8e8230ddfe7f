//! Apps: an API key belongs to one app, and nothing of one app is visible to another.

use serde_json::{Value, json};

use crate::support::{
    DEFAULT_KEY, SHOP_KEY, Service, assert_fields, assert_problem, assert_status, phone,
    unix_seconds,
};

#[tokio::test]
async fn verification_of_another_app_is_not_found() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    let calls: [(&str, &str, Option<Value>); 4] = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/check", Some(json!({"code": code}))),
        ("POST", "/resend", None),
    ];
    for (method, end, body) in calls {
        let response = service
            .call_as(
                SHOP_KEY,
                method,
                &format!("/v1/verifications/{id}{end}"),
                body,
                &[],
            )
            .await;
        assert_eq!(response.problem(), (404, "not_found"), "{method} {end}");
    }
    let shown = service.show(&id).await;
    assert_fields(
        &shown.body,
        json!({"status": "pending", "attempts_left": 5}),
    );
    assert!(service.check(&id, &code).await.is_valid());
}

#[tokio::test]
async fn apps_share_neither_limits_nor_verifications() {
    let service = Service::start().await;
    let (ours, code) = service.open(&phone(1)).await;
    service.fail_checks(&ours, &code, 2).await;
    let theirs = service.send_as(SHOP_KEY, &phone(1)).await;
    assert_status(&theirs, 201);
    assert_fields(&theirs.body, json!({"sends_left": 4, "attempts_left": 5}));
    assert_eq!(
        service.show(&ours).await.body["status"],
        "pending",
        "a verification of another app supersedes nothing"
    );
    for path in ["/v1/recipients/unlock", "/v1/recipients/forget"] {
        assert_status(
            &service
                .call_as(SHOP_KEY, "POST", path, Some(json!({"to": phone(1)})), &[])
                .await,
            200,
        );
    }
    assert_eq!(service.show(&ours).await.body["attempts_left"], 3);
    let forgotten = service
        .call_as(
            SHOP_KEY,
            "GET",
            &format!("/v1/verifications/{}", theirs.id()),
            None,
            &[],
        )
        .await;
    assert_status(&forgotten, 404);
}

#[tokio::test]
async fn app_has_the_settings_of_its_own_entry() {
    let own = json!({"brand": "Shop", "code_length": 8, "sends_per_hour": 3, "max_attempts": 2, "code_ttl_seconds": 120, "cooldown_seconds": "7"});
    let service = Service::start_with(&[("OTP_APPS", &json!({"shop": own}).to_string())]).await;
    let theirs = service.send_as(SHOP_KEY, "+12025550143").await;
    let created = unix_seconds(&theirs.body["created_at"]);
    assert_fields(&theirs.body, json!({"sends_left": 2, "attempts_left": 2}));
    assert_eq!(
        (
            unix_seconds(&theirs.body["expires_at"]) - created,
            unix_seconds(&theirs.body["resend_at"]) - created
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
    let ours = service.send_as(DEFAULT_KEY, "+12025550143").await;
    assert_fields(&ours.body, json!({"sends_left": 4, "attempts_left": 5}));
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
    assert_problem(&too_short, 422, "invalid_request");
}

#[tokio::test]
async fn request_without_a_known_key_is_unauthorized() {
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
    assert_problem(&none, 401, "unauthorized");
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
}
