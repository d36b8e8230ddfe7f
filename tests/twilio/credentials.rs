//! Credentials: HTTP Basic with the sids of an app, and the app that `GET /v1/app` names.

use serde_json::json;

use crate::support::twilio::assert_error;
use crate::support::{
    DEFAULT_KEY, SHOP_KEY, Service, TempDirectory, TestResponse, Twilio, assert_problem,
    assert_status,
};

async fn service_as(twilio: &Twilio, authorization: Option<&str>) -> TestResponse {
    let headers: Vec<_> = authorization
        .map(|value| ("authorization", value))
        .into_iter()
        .collect();
    twilio
        .service
        .raw("GET", &twilio.path(""), &headers, "")
        .await
}

#[tokio::test]
async fn key_determines_the_app() {
    let twilio = Twilio::start(&[]).await;
    let shop = Twilio::of(&twilio.service, SHOP_KEY).await;
    let any_key = format!("SK{}", "0aF9".repeat(8));
    let upper_case = twilio.account_sid.to_ascii_uppercase();
    let bare = DEFAULT_KEY
        .strip_prefix("otp_test_")
        .expect("a key for tests");
    for (user, password) in [
        (twilio.account_sid.as_str(), DEFAULT_KEY),
        (&upper_case, DEFAULT_KEY),
        (&any_key, DEFAULT_KEY),
        (&any_key, bare),
    ] {
        let fetched = service_as(&twilio, Some(&Twilio::basic(user, password))).await;
        assert_status(&fetched, 200);
        assert_eq!(fetched.body["account_sid"], twilio.account_sid);
    }
    let basic = Twilio::basic(&any_key, SHOP_KEY);
    assert_error(
        &service_as(&twilio, Some(&basic)).await,
        404,
        20404,
        "not_found",
    );
    assert_eq!(
        shop.raw("GET", &shop.path(""), "").await.body["sid"],
        shop.service_sid
    );
}

#[tokio::test]
async fn other_credentials_are_rejected() {
    let twilio = Twilio::start(&[]).await;
    let shop = Twilio::of(&twilio.service, SHOP_KEY).await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let unknown_app = format!("AC{}", "0".repeat(32));
    let basics = [
        (shop.account_sid.as_str(), DEFAULT_KEY),
        (&unknown_app, DEFAULT_KEY),
        (&twilio.account_sid, "wrong"),
        (&twilio.account_sid, ""),
        ("", DEFAULT_KEY),
        ("SK1", DEFAULT_KEY),
        (&twilio.service_sid, DEFAULT_KEY),
    ]
    .map(|(user, password)| Twilio::basic(user, password));
    let others = [bearer.as_str(), "Basic", "Basic !", "Basic YQ==", ""];
    let all = basics.iter().map(String::as_str).chain(others);
    for authorization in all.map(Some).chain([None]) {
        let rejected = service_as(&twilio, authorization).await;
        assert_error(&rejected, 401, 20003, "unauthorized");
        assert_eq!(rejected.body["message"], "Authenticate");
        assert_eq!(rejected.header("www-authenticate"), Some("Basic"));
    }
}

#[tokio::test]
async fn service_is_the_app_and_its_policy() {
    let variables = [
        ("OTP_BRAND", "Acme"),
        ("OTP_CODE_LENGTH", "8"),
        ("OTP_CALLER_CODES", "on"),
        ("OTP_PUBLIC_URL", "https://otp.example.com/base"),
    ];
    let twilio = Twilio::start(&variables).await;
    let fetched = twilio.raw("GET", &twilio.path(""), "").await;
    let url = format!(
        "https://otp.example.com/base/v2/Services/{}",
        twilio.service_sid
    );
    assert_eq!(
        fetched.body,
        json!({
            "sid": twilio.service_sid, "account_sid": twilio.account_sid, "friendly_name": "Acme",
            "code_length": 8, "custom_code_enabled": true, "psd2_enabled": true,
            "skip_sms_to_landlines": true, "lookup_enabled": false, "dtmf_input_required": false,
            "do_not_share_warning_enabled": false, "verify_event_subscription_enabled": false,
            "push": {}, "totp": {}, "whatsapp": {}, "passkeys": {}, "tts_name": null,
            "default_template_sid": null, "date_created": null, "date_updated": null, "url": url,
            "links": {
                "verifications": format!("{url}/Verifications"),
                "verification_checks": format!("{url}/VerificationCheck"),
            },
        })
    );
    let head = twilio.raw("HEAD", &twilio.path(""), "").await;
    assert_status(&head, 200);
    let based = format!("/base{}", twilio.path(""));
    assert_eq!(twilio.raw("GET", &based, "").await.body["url"], url);
}

#[tokio::test]
async fn app_has_the_same_sids_after_a_restart() {
    let data = TempDirectory::new();
    let mut all = vec![];
    for _ in 0..2 {
        let service = Service::start_in(&data, &[("OTP_BRAND", "Acme")]).await;
        let app = service.call("GET", "/v1/app", None).await;
        assert_status(&app, 200);
        assert_eq!(
            (&app.body["app"], &app.body["brand"]),
            (&json!("default"), &json!("Acme"))
        );
        all.push(app.body);
    }
    assert_eq!(all[0], all[1]);
}

#[tokio::test]
async fn app_needs_an_api_key() {
    let service = Service::start().await;
    assert_problem(
        &service.raw("GET", "/v1/app", &[], "").await,
        401,
        "unauthorized",
    );
    let posted = service.call("POST", "/v1/app", Some(json!({}))).await;
    assert_problem(&posted, 405, "method_not_allowed");
    assert_eq!(posted.header("allow"), Some("GET, HEAD"));
}
