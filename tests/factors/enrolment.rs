//! Enrolment: what it accepts, what it shows once, and how many factors a subject has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Authenticator, DEFAULT_KEY, Service, TestResponse, assert_fields, assert_problem,
    assert_status, unix_seconds, with,
};

/// The secret of the RFCs, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn totp() -> Value {
    json!({"type": "totp", "account": "ann@example.com"})
}

async fn enrol_with_key(service: &Service, body: Value, key: &str) -> TestResponse {
    let headers = [("idempotency-key", key)];
    let path = "/v1/subjects/ann/factors";
    service
        .call_as(DEFAULT_KEY, "POST", path, Some(body), &headers)
        .await
}

#[tokio::test]
async fn secret_is_shown_by_its_enrolment_only() {
    let service = Service::start().await;
    let body = with(totp(), &json!({"name": "Phone", "qr": true}));
    let enrolled = service.enrol("ann", body).await;
    assert_status(&enrolled, 201);
    let id = enrolled.id();
    let location = format!("/v1/subjects/ann/factors/{id}");
    assert_eq!(enrolled.header("location"), Some(location.as_str()));
    assert_fields(
        &enrolled.body,
        json!({"type": "totp", "name": "Phone", "status": "unconfirmed", "algorithm": "sha1",
            "digits": 6, "period": 30, "skew": 1, "confirmed_at": null, "last_used_at": null,
            "warnings": []}),
    );
    let times = ["created_at", "expires_at"].map(|name| unix_seconds(&enrolled.body[name]));
    assert_eq!(times[1] - times[0], 600);
    assert_eq!(enrolled.body["secret"].as_str().map(str::len), Some(32));
    let mut without_secret = enrolled.body.clone();
    for name in ["secret", "uri", "qr_svg", "warnings"] {
        let removed = without_secret
            .as_object_mut()
            .expect("an object")
            .remove(name);
        assert!(removed.is_some(), "{name}");
    }
    let shown = service.call("GET", &location, None).await;
    assert_eq!(shown.body, without_secret);
    let listed = service.subject("GET", "ann", "/factors", None).await;
    assert_eq!(listed.body, json!({"factors": [without_secret]}));
    let removed = service.call("DELETE", &location, None).await;
    assert_eq!((removed.status, removed.body), (200, without_secret));
    assert_status(&service.call("GET", &location, None).await, 404);
}

#[tokio::test]
async fn uri_has_all_parameters_in_order() {
    let service = Service::start_with(&[("OTP_BRAND", "Shop: & Söhne")]).await;
    let uri = async |body: Value| {
        let enrolled = service.enrol("ann", body).await;
        assert_status(&enrolled, 201);
        enrolled.body["uri"].clone()
    };
    let totp = json!({"type": "totp", "account": "ann b@example.com", "secret": SECRET,
        "algorithm": "sha512", "digits": 8, "period": 60});
    assert_eq!(
        uri(totp).await,
        format!(
            "otpauth://totp/Shop%20%26%20S%C3%B6hne:ann%20b%40example.com?secret={SECRET}\
             &issuer=Shop%20%26%20S%C3%B6hne&algorithm=SHA512&digits=8&period=60"
        )
    );
    let hotp = json!({"type": "hotp", "account": "a-._~", "issuer": "I+", "counter": 7,
        "secret": SECRET});
    assert_eq!(
        uri(hotp).await,
        format!(
            "otpauth://hotp/I%2B:a-._~?secret={SECRET}&issuer=I%2B&algorithm=SHA1&digits=6\
             &counter=7"
        )
    );
    let without_account = json!({"type": "totp", "secret": SECRET});
    assert_eq!(uri(without_account).await, Value::Null);
}

#[tokio::test]
async fn qr_code_is_one_harmless_svg_document() {
    let service = Service::start().await;
    let qr = |account: String| json!({"type": "totp", "account": account, "qr": true});
    let longest = service.enrol("ann", qr("é".repeat(128))).await;
    assert_status(&longest, 201);
    let svg = longest.body["qr_svg"].as_str().expect("a QR code");
    assert!(svg.starts_with("<?xml") && svg.ends_with("</svg>"), "{svg}");
    for forbidden in ["<script", "href", "url("] {
        assert!(!svg.contains(forbidden), "{forbidden}");
    }
    assert!(svg.len() <= 256 * 1024, "{}", svg.len());
    let too_long = service.enrol("ann", qr("漢".repeat(128))).await;
    assert_problem(&too_long, 422, "invalid_request");
    assert_eq!(too_long.error_fields(), ["qr"]);
    let without_qr = json!({"type": "totp", "account": "漢".repeat(128)});
    assert_status(&service.enrol("ann", without_qr).await, 201);
}

#[tokio::test]
async fn imported_secret_is_read_in_every_notation() {
    let service = Service::start().await;
    for secret in [
        SECRET,
        "gezd gnbv-gy3t qojq gezd gnbv gy3t qojq",
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ======",
    ] {
        let body = json!({"type": "totp", "secret": secret, "confirmed": true});
        let enrolled = service.enrol("ann", body).await;
        assert_status(&enrolled, 201);
        assert_fields(
            &enrolled.body,
            json!({"secret": SECRET, "status": "active", "expires_at": null, "uri": null}),
        );
        assert_eq!(enrolled.body["confirmed_at"], enrolled.body["created_at"]);
    }
    for invalid in [
        "",
        "GEZDGNBV",
        "0EZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "GEZDGNBVGY3TQOJQGEZDGNBVGB",
    ] {
        let enrolled = service.enrol("ann", json!({"type": "hotp", "secret": invalid}));
        assert_eq!(enrolled.await.error_fields(), ["secret"], "{invalid}");
    }
}

#[tokio::test]
async fn warnings_name_what_apps_ignore() {
    let service = Service::start().await;
    let body = json!({"type": "totp", "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY", "algorithm": "sha256",
        "digits": 8, "period": 60});
    let enrolled = service.enrol("ann", body).await;
    let expected = [
        "short_secret",
        "algorithm_ignored_by_apps",
        "digits_ignored_by_apps",
        "period_ignored_by_apps",
    ];
    assert_eq!(enrolled.body["warnings"], json!(expected));
}

#[tokio::test]
async fn new_secret_has_the_length_of_its_hash() {
    let service = Service::start().await;
    for (algorithm, characters) in [("sha1", 32), ("sha256", 52), ("sha512", 103)] {
        let body = with(totp(), &json!({"algorithm": algorithm}));
        let secret = service.enrol("ann", body).await.body["secret"].clone();
        assert_eq!(
            secret.as_str().map(str::len),
            Some(characters),
            "{algorithm}"
        );
    }
}

#[tokio::test]
async fn fields_of_other_types_are_rejected() {
    let service = Service::start().await;
    for (body, fields) in [
        (json!({}), vec!["type"]),
        (json!({"type": "push"}), vec!["type"]),
        (json!({"type": "totp"}), vec!["account"]),
        (json!({"type": "totp", "account": "a:b"}), vec!["account"]),
        (
            json!({"type": "totp", "account": "a", "counter": 1}),
            vec!["counter"],
        ),
        (
            json!({"type": "totp", "account": "a", "period": 14}),
            vec!["period"],
        ),
        (
            json!({"type": "totp", "account": "a", "skew": 3}),
            vec!["skew"],
        ),
        (
            json!({"type": "totp", "account": "a", "digits": 7}),
            vec!["digits"],
        ),
        (
            json!({"type": "totp", "account": "a", "confirmed": true}),
            vec!["confirmed"],
        ),
        (json!({"type": "totp", "account": "a", "qr": 1}), vec!["qr"]),
        (
            json!({"type": "hotp", "account": "a", "period": 30, "skew": 1}),
            vec!["period", "skew"],
        ),
        (
            json!({"type": "hotp", "account": "a", "counter": 9_007_199_254_740_992_u64}),
            vec!["counter"],
        ),
        (
            json!({"type": "backup_codes", "account": "a", "digits": 6}),
            vec!["account", "digits"],
        ),
        (json!({"type": "backup_codes", "name": ""}), vec!["name"]),
    ] {
        let response = service.enrol("ann", body.clone()).await;
        assert_problem(&response, 422, "invalid_request");
        assert_eq!(response.error_fields(), fields, "{body}");
    }
    let with_null = json!({"type": "backup_codes", "account": null});
    assert_status(&service.enrol("ann", with_null).await, 201);
}

#[tokio::test]
async fn policy_sets_skew_and_look_ahead() {
    let variables = [("OTP_TOTP_SKEW", "2"), ("OTP_HOTP_LOOK_AHEAD", "3")];
    let service = Service::start_with(&variables).await;
    let app = service.enrol("ann", totp()).await;
    assert_eq!(app.body["skew"], 2);
    let app = service
        .enrol("ann", with(totp(), &json!({"skew": 0})))
        .await;
    assert_eq!(app.body["skew"], 0);
    let token = service
        .enrol("ann", json!({"type": "hotp", "account": "a"}))
        .await;
    assert_fields(&token.body, json!({"counter": 0, "look_ahead": 3}));
}

#[tokio::test]
async fn unconfirmed_factor_is_gone_after_ten_minutes() {
    let service = Service::start().await;
    let app = service.unconfirmed_totp("ann").await;
    // Real time passes as well.
    service.advance(570).await;
    assert_status(&service.call("GET", &app.path, None).await, 200);
    service.advance(30).await;
    assert_status(&service.call("GET", &app.path, None).await, 404);
    let code = app.code_at(service.now().await);
    assert_problem(&service.check_factor(&app, &code).await, 404, "not_found");
    assert_eq!(service.show_subject("ann").await["factors"], json!([]));
}

#[tokio::test]
async fn new_factor_evicts_the_oldest_unconfirmed_one() {
    let service = Service::start().await;
    let import = json!({"type": "totp", "secret": SECRET, "confirmed": true});
    for _ in 0..18 {
        assert_status(&service.enrol("ann", import.clone()).await, 201);
    }
    let first = service.unconfirmed_totp("ann").await;
    service.advance(1).await;
    let second = service.unconfirmed_totp("ann").await;
    assert_status(&service.enrol("ann", import.clone()).await, 201);
    assert_status(&service.call("GET", &first.path, None).await, 404);
    assert_status(&service.call("GET", &second.path, None).await, 200);
    assert_status(&service.enrol("ann", import.clone()).await, 201);
    let refused = service.enrol("ann", import).await;
    assert_problem(&refused, 409, "too_many_factors");
    let factors = service.show_subject("ann").await["factors"].clone();
    assert_eq!(factors.as_array().map(Vec::len), Some(20));
}

#[tokio::test]
async fn repeated_enrolment_returns_the_same_factor() {
    let service = Service::start().await;
    let first = enrol_with_key(&service, totp(), "k").await;
    let again = enrol_with_key(&service, totp(), "\"k\"").await;
    assert!(again.is_replayed() && !first.is_replayed());
    assert_eq!((again.status, &again.body), (201, &first.body));
    let other = with(totp(), &json!({"name": "x"}));
    let other = enrol_with_key(&service, other, "k").await;
    assert_problem(&other, 422, "idempotency_mismatch");

    let app = Authenticator::new("ann", &first.body);
    let code = app.code_at(service.now().await);
    assert!(service.check_factor(&app, &code).await.is_valid());
    let confirmed = enrol_with_key(&service, totp(), "k").await;
    assert_fields(
        &confirmed.body,
        json!({"status": "active", "secret": null, "uri": null, "qr_svg": null}),
    );
    service.call("DELETE", &app.path, None).await;
    let gone = enrol_with_key(&service, totp(), "k").await;
    assert_problem(&gone, 404, "not_found");
    service.advance(86_400).await;
    let anew = enrol_with_key(&service, totp(), "k").await;
    assert!(!anew.is_replayed() && anew.status == 201);
}

#[tokio::test]
async fn backup_codes_are_shown_once() {
    let service = Service::start().await;
    let body = json!({"type": "backup_codes"});
    let enrolled = enrol_with_key(&service, body.clone(), "k").await;
    assert_fields(
        &enrolled.body,
        json!({"type": "backup_codes", "status": "active", "codes_left": 10, "expires_at": null}),
    );
    let codes = enrolled.body["codes"].as_array().expect("codes");
    let distinct: BTreeSet<_> = codes.iter().filter_map(Value::as_str).collect();
    assert_eq!(distinct.len(), 10);
    let again = enrol_with_key(&service, body, "k").await;
    assert_fields(&again.body, json!({"id": enrolled.id(), "codes": null}));
}

#[tokio::test]
async fn new_backup_codes_replace_the_old_set() {
    let service = Service::start().await;
    let (old, codes) = service.backup_codes("ann").await;
    let (new, _) = service.backup_codes("ann").await;
    assert_status(&service.call("GET", &old, None).await, 404);
    let checked = service.check_at(&old, json!({"code": codes[0]})).await;
    assert_problem(&checked, 404, "not_found");
    let checked = service.check_at(&new, json!({"code": codes[0]})).await;
    assert_eq!(checked.body["reason"], "wrong_code");
    let factors = service.show_subject("ann").await["factors"].clone();
    assert_eq!(factors.as_array().map(Vec::len), Some(1));
}
