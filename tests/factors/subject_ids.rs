//! Ids of subjects, and the ids of what belongs to them.

use serde_json::json;

use crate::support::{DEFAULT_KEY, SHOP_KEY, Service, assert_problem, assert_status};

#[tokio::test]
async fn encoded_and_literal_characters_name_the_same_subject() {
    let service = Service::start().await;
    let app = service.unconfirmed_totp("a%7Cb:c@d").await;
    for spelling in ["a%7Cb%3Ac%40d", "%61%7cb:c%40d"] {
        let shown = service.show_subject(spelling).await;
        assert_eq!(shown["subject"], "a|b:c@d");
        assert_eq!(shown["factors"][0]["id"], app.id.as_str());
    }
    let other = service.show_subject("A%7Cb:c@d").await;
    assert_eq!(other["factors"], json!([]), "case matters");
}

#[tokio::test]
async fn location_names_the_encoded_subject() {
    let service = Service::start().await;
    let body = json!({"type": "backup_codes"});
    let enrolled = service.enrol("a:b%7Cc", body).await;
    let location = enrolled.header("location").expect("a location");
    let expected = format!("/v1/subjects/a%3Ab%7Cc/factors/{}", enrolled.id());
    assert_eq!(location, expected);
    assert_status(&service.call("GET", location, None).await, 200);
}

#[tokio::test]
async fn invalid_subject_id_is_rejected() {
    let service = Service::start().await;
    let too_long = "a".repeat(256);
    let invalid = [
        "a%2Fb", "a%20b", "-a", ".a", "a%25b", "a%2541", "%C3%A9", "a+b", "%FF", &too_long,
    ];
    for subject in invalid {
        let shown = service.subject("GET", subject, "", None).await;
        assert_problem(&shown, 422, "invalid_request");
        assert_eq!(shown.error_fields(), ["subject"], "{subject}");
    }
    let longest = "a".repeat(255);
    service.show_subject(&longest).await;
    let sent = json!({"to": "+12025550143", "subject": "a b"});
    let sent = service.send_body(sent).await;
    assert_eq!(sent.error_fields(), ["subject"]);
}

#[tokio::test]
async fn subject_that_was_never_seen_needs_no_creation() {
    let service = Service::start().await;
    let shown = service.show_subject("new").await;
    let expected = json!({"subject": "new", "factors": [], "recipients": [], "attempts_left": 20,
        "backup_attempts_left": 20, "unlocks_at": null, "last_strong_at": null,
        "places": {"countries": 0, "devices": 0, "networks": 0}});
    assert_eq!(shown, expected);
    for (method, rest) in [("DELETE", ""), ("POST", "/unlock")] {
        let done = service.subject(method, "new", rest, None).await;
        assert_eq!((done.status, &done.body), (200, &json!({"subject": "new"})));
    }
    let listed = service.subject("GET", "new", "/factors", None).await;
    assert_eq!(listed.body, json!({"factors": []}));
}

#[tokio::test]
async fn unknown_ids_look_alike() {
    let service = Service::start().await;
    let app = service.active_totp("ann").await;
    let others = [
        "fa_AAAAAAAAAAAAAAAAAAAAAA",
        "fa_",
        "x",
        "fa_gone!",
        app.id.as_str(),
    ];
    for id in others {
        let rest = format!("/factors/{id}");
        for (method, rest, body) in [
            ("GET", rest.clone(), None),
            ("DELETE", rest.clone(), None),
            (
                "POST",
                format!("{rest}/check"),
                Some(json!({"code": "123456"})),
            ),
        ] {
            let response = service.subject(method, "bob", &rest, body).await;
            assert_problem(&response, 404, "not_found");
            assert_eq!(
                response.body["detail"],
                "This subject has no factor with this id."
            );
        }
    }
    let path = format!("/v1/subjects/ann/factors/{}", app.id);
    let of_other_app = service.call_as(SHOP_KEY, "GET", &path, None, &[]).await;
    assert_problem(&of_other_app, 404, "not_found");
    let own = service.call_as(DEFAULT_KEY, "GET", &path, None, &[]).await;
    assert_status(&own, 200);
}

#[tokio::test]
async fn requests_are_checked_in_the_documented_order() {
    let service = Service::start().await;
    let path = "/v1/subjects/a%20b/factors";
    let wrong_method = service.raw("PUT", path, &[], "").await;
    assert_problem(&wrong_method, 405, "method_not_allowed");
    assert_eq!(wrong_method.header("allow"), Some("POST, GET, HEAD"));
    let without_key = service.raw("POST", path, &[], "{").await;
    assert_problem(&without_key, 401, "unauthorized");
    let authorization = format!("Bearer {DEFAULT_KEY}");
    let (long, empty) = (" ".repeat(16_385), "{}".to_owned());
    let own = "/v1/subjects/ann/factors/";
    for path in [
        path.to_owned(),
        "/v1/subjects/_bad/decisions".to_owned(),
        "/v1/subjects/_bad/factors/x/check".to_owned(),
        format!("{own}x/check"),
        format!("{own}fa_AAAAAAAAAAAAAAAAAAAAAA/check"),
    ] {
        for (content_type, body, expected) in [
            ("application/json", &long, (413, "body_too_large")),
            ("text/plain", &empty, (415, "unsupported_media_type")),
            (
                "application/json",
                &"{".to_owned(),
                (400, "malformed_request"),
            ),
            ("application/json", &empty, (422, "invalid_request")),
        ] {
            let headers = [
                ("content-type", content_type),
                ("authorization", authorization.as_str()),
            ];
            let response = service.raw("POST", &path, &headers, body.clone()).await;
            assert_problem(&response, expected.0, expected.1);
        }
    }
    let unlock = service.subject("POST", "ann", "/unlock", Some(json!({"a": 1})));
    assert_eq!(unlock.await.error_fields(), ["a"]);
    let unlock = service.subject("POST", "ann", "/unlock", Some(json!({})));
    assert_status(&unlock.await, 200);
}
