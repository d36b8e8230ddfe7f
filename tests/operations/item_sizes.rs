//! The sizes of stored items, on which their capacity units depend.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::{
    HttpCarrier, ProxiedService, Service, TO, assert_status, stored_items, stored_recipients,
};

/// A write unit covers an item of up to this size.
const UNIT_BYTES: usize = 1024;

/// The size of an item as DynamoDB counts it.
pub fn size(item: &Value) -> usize {
    let size_of_value = |value: &Value| -> usize {
        let (kind, inner) = value
            .as_object()
            .and_then(|v| v.iter().next())
            .expect("a typed value");
        match (kind.as_str(), inner) {
            ("S", Value::String(text)) => text.len(),
            ("B", Value::String(text)) => BASE64.decode(text.as_bytes()).expect("base64").len(),
            ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
            ("L", Value::Array(items)) => {
                3 + items
                    .iter()
                    .map(|item| 1 + size(&json!({"": item})))
                    .sum::<usize>()
            }
            ("M", inner) => 3 + inner.as_object().map_or(0, |map| map.len() + size(inner)),
            _ => 1,
        }
    };
    item.as_object()
        .expect("an item")
        .iter()
        .map(|(name, value)| name.len() + size_of_value(value))
        .sum()
}

#[tokio::test]
async fn typical_item_fits_one_write_unit() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let service = &proxied.service;
    let item = async || stored_recipients(service).await.remove(0);
    let fresh = size(&item().await);
    assert!(fresh < UNIT_BYTES / 2, "one send: {fresh} bytes");
    service.check(&id, &service.wrong_code(TO).await).await;
    assert_status(&service.resend(&id).await, 200);
    let message = service.messages(TO).await.remove(0);
    service.report(&message, "delivered").await;
    assert_eq!(
        service.check(&id, &service.code(TO).await).await.body["valid"],
        true
    );
    let used = size(&item().await);
    assert!(
        used < UNIT_BYTES,
        "a send, a resend, a report, two checks: {used} bytes"
    );
    for _ in 0..2 {
        let id = service
            .send_with_key(
                json!({"to": TO, "client_ip": "192.0.2.1"}),
                &format!("login {}", service.now().await),
            )
            .await
            .id();
        assert_eq!(
            service.check(&id, &service.code(TO).await).await.body["valid"],
            true
        );
        service.advance(7200).await;
    }
    let third = size(&item().await);
    assert!(third < UNIT_BYTES, "three logins of a day: {third} bytes");
}

/// The size of the item after sends like `body`, each with an `Idempotency-Key`, a report, wrong
/// attempts and the right one.
async fn size_after_keyed_logins(
    service: &Service,
    body: &Value,
    count: u32,
    wrong_attempts: u32,
) -> usize {
    for n in 0..count {
        let mut sending = body.clone();
        if body["reference"].is_string() {
            sending["reference"] = json!(format!("3f2504e0-4f89-41d3-9a0c-{n:07}"));
        }
        let sent = service.send_with_key(sending, &format!("login {n}")).await;
        assert_status(&sent, 201);
        let message = service.messages(TO).await.remove(0);
        service.report(&message, "delivered").await;
        let check = async |code: String| {
            let mut checked = json!({"code": code});
            if body["subject"].is_string() {
                checked["subject"] = body["subject"].clone();
            }
            service.check_body(&sent.id(), checked).await
        };
        for _ in 0..wrong_attempts {
            check(service.wrong_code(TO).await).await;
        }
        let checked = check(service.code(TO).await).await;
        assert!(checked.is_valid(), "{checked:?}");
    }
    size(&stored_recipients(service).await.remove(0))
}

#[tokio::test]
async fn ten_keyed_logins_fit_one_write_unit() {
    let variables = [("OTP_COOLDOWN_SECONDS", "0"), ("OTP_SENDS_PER_HOUR", "10")];
    // A reference has 31 characters.
    let with_reference = json!({"to": TO, "client_ip": "192.0.2.1", "reference": ""});
    let mut with_subject = with_reference.clone();
    with_subject["subject"] = json!("user-48151623");
    for (body, wrong_attempts) in [
        (json!({"to": TO}), 1),
        (with_reference, 1),
        (with_subject, 0),
    ] {
        let service = Service::start_with(&variables).await;
        let tenth = size_after_keyed_logins(&service, &body, 10, wrong_attempts).await;
        println!("{body}, {wrong_attempts} wrong attempts each: {tenth} bytes");
        assert!(tenth < UNIT_BYTES, "{body}: {tenth} bytes");
    }
}

#[tokio::test]
async fn two_hundred_keyed_logins_fit_two_write_units() {
    let variables = [
        ("OTP_COOLDOWN_SECONDS", "0"),
        ("OTP_SENDS_PER_HOUR", "1000"),
        ("OTP_SENDS_PER_DAY", "200"),
        ("OTP_PREFIX_SENDS", "1000/600"),
    ];
    let service = Service::start_with(&variables).await;
    let size = size_after_keyed_logins(&service, &json!({"to": TO}), 200, 0).await;
    println!("{size} bytes");
    assert!(size < 2 * UNIT_BYTES, "{size} bytes");
}

#[tokio::test]
async fn largest_item_is_below_6_kib() {
    let longest = |letter: &str| letter.repeat(64);
    let carrier = HttpCarrier::start("carrier-with-the-longest-of-name").await;
    let carriers = json!([carrier.entry()]);
    let variables = [
        ("OTP_CARRIERS", carriers.to_string()),
        ("OTP_COOLDOWN_SECONDS", "0".into()),
        ("OTP_SENDS_PER_HOUR", "1000".into()),
        ("OTP_SENDS_PER_DAY", "1000".into()),
        ("OTP_PREFIX_SENDS", "1000/600".into()),
        ("OTP_MAX_ATTEMPTS", "10".into()),
        ("OTP_GUESS_BUDGET", "100".into()),
        ("OTP_CODE_LENGTH", "10".into()),
    ];
    let service = Service::start_with(
        &variables
            .each_ref()
            .map(|(name, value)| (*name, value.as_str())),
    )
    .await;
    let body = json!({"to": TO, "reference": longest("r"), "purpose": "p".repeat(32), "fallback": ["voice", "whatsapp", "sms"],
        "transaction": {"amount": longest("9"), "currency": longest("C"), "payee": longest("P")}});
    for n in 0..6 {
        let id = service
            .send_with_key(body.clone(), &format!("{n}"))
            .await
            .id();
        for _ in 0..7 {
            service.settle().await;
            assert_status(&service.resend(&id).await, 200);
        }
        service.settle().await;
        for attempt in 0..10 {
            let key = format!("{attempt}");
            assert_eq!(
                service
                    .check_with_key(&id, json!({"code": "0000000000"}), &key)
                    .await
                    .body["reason"],
                "wrong_code"
            );
        }
    }
    service.settle().await;
    let worst = stored_recipients(&service)
        .await
        .iter()
        .map(size)
        .max()
        .expect("a record");
    println!("{worst} bytes");
    assert!(worst < 6 * UNIT_BYTES, "{worst} bytes");
    assert!(
        worst > 5 * UNIT_BYTES,
        "docs/costs.md should list a smaller size: {worst} bytes"
    );
}

#[tokio::test]
async fn typical_subject_fits_one_write_unit() {
    let proxied = ProxiedService::start(&[]).await;
    let service = &proxied.service;
    let app = service.active_totp("ann").await;
    service.backup_codes("ann").await;
    assert!(service.verify_for("ann", TO).await.is_valid());
    for _ in 0..2 {
        service.advance(300).await;
        let decision = service.challenge("ann", "login").await;
        let code = app.code_at(service.now().await);
        let body = json!({"code": code, "decision": decision.id});
        assert!(service.check_at(&app.path, body).await.is_valid());
    }
    let mut items = stored_items(service).await;
    items.retain(|item| item["kind"]["S"] == "subject");
    let used = size(&items[0]);
    assert!(
        used < UNIT_BYTES,
        "an app, backup codes, a number, two logins with decisions: {used} bytes"
    );
}
