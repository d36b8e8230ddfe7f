//! Rotation of seal keys and API keys: during a rotation two keys are valid, and codes of a retired
//! seal key are expired.

use data_encoding::{BASE64, HEXLOWER};
use otp::crypto::hashes::sha256;
use serde_json::{Value, json};

use crate::support::{
    LocalProcess, Service, TempDirectory, assert_approved, assert_fields, assert_problem,
    assert_status, phone,
};

const SHOP: &str = "otp_test_shop_11111111111111111";
const SHOP_NEXT: &str = "otp_test_shop_22222222222222222";
const BANK: &str = "otp_test_bank_33333333333333333";

/// `OTP_SECRETS` with these seal keys, of which the first is current, and these API keys.
fn secrets(seal: &[&str], api_keys: &[(&str, &str)]) -> String {
    let keys: serde_json::Map<_, _> = seal
        .iter()
        .map(|id| {
            (
                (*id).to_owned(),
                json!(BASE64.encode(&sha256(id.as_bytes()))),
            )
        })
        .collect();
    let api_keys: Vec<Value> = api_keys
        .iter()
        .map(|(app, key)| json!({"app": app, "sha256": HEXLOWER.encode(&sha256(key.as_bytes()))}))
        .collect();
    json!({"seal": {"current": seal[0], "keys": keys}, "lookup": BASE64.encode(&[7; 32]), "api_keys": api_keys}).to_string()
}

/// A local server with these seal keys and its table in `data`.
async fn start(seal: &[&str], data: &TempDirectory) -> LocalProcess {
    LocalProcess::start(
        &[("OTP_SECRETS", &secrets(seal, &[("shop", SHOP)]))],
        Some(data.path()),
    )
    .await
}

#[tokio::test]
async fn code_survives_a_rotation_with_the_old_key_kept() {
    let data = TempDirectory::new();
    let before = start(&["k1"], &data).await;
    let (id, code) = before.service.open(&phone(1)).await;
    before.service.fail_checks(&id, &code, 2).await;
    before.kill().await;

    let during = start(&["k2", "k1"], &data).await;
    let shown = during.service.show(&id).await;
    assert_fields(
        &shown.body,
        json!({"status": "pending", "to": phone(1), "attempts_left": 3}),
    );
    assert_approved(&during.service.check(&id, &code).await, 2);
    let (next, next_code) = during.service.open(&phone(2)).await;
    during.kill().await;

    let after = start(&["k2"], &data).await;
    assert!(
        after.service.check(&next, &next_code).await.is_valid(),
        "sealed with the current key"
    );
}

#[tokio::test]
async fn code_without_its_seal_key_is_expired() {
    let data = TempDirectory::new();
    let before = start(&["k1"], &data).await;
    let (id, code) = before.service.open(&phone(1)).await;
    before.kill().await;

    let after = start(&["k2"], &data).await;
    for _ in 0..6 {
        let checked = after.service.check(&id, &code).await;
        assert_eq!(
            (checked.check_result().reason, checked.check_result().status),
            ("expired", "expired")
        );
    }
    assert_eq!(after.service.show(&id).await.body["status"], "expired");
    assert_problem(&after.service.resend(&id).await, 409, "not_pending");
    assert_eq!(
        after.service.send(&phone(1)).await.body["limit"],
        "cooldown",
        "the counts need no seal key"
    );
    after.service.advance(30).await;
    let (next, next_code) = after.service.open(&phone(1)).await;
    assert!(after.service.check(&next, &next_code).await.is_valid());
}

#[tokio::test]
async fn check_without_the_seal_key_costs_no_budget() {
    let data = TempDirectory::new();
    let before = start(&["k1"], &data).await;
    let (id, code) = before.service.open(&phone(1)).await;
    before.kill().await;

    let secrets = secrets(&["k2"], &[("shop", SHOP)]);
    let after = LocalProcess::start(
        &[("OTP_SECRETS", &secrets), ("OTP_GUESS_BUDGET", "5")],
        Some(data.path()),
    )
    .await;
    for _ in 0..4 {
        assert!(!after.service.check(&id, &code).await.is_valid());
    }
    after.service.advance(30).await;
    let next = after.service.send(&phone(1)).await;
    assert_eq!(
        (next.status, &next.body["attempts_left"]),
        (201, &json!(5)),
        "no code was compared: {next:?}"
    );
}

#[tokio::test]
async fn counts_survive_a_rotation() {
    let data = TempDirectory::new();
    let before = start(&["k1"], &data).await;
    let (id, code) = before.service.open(&phone(1)).await;
    before.service.fail_checks(&id, &code, 5).await;
    before.kill().await;

    let after = start(&["k2"], &data).await;
    assert!(!after.service.check(&id, &code).await.is_valid());
    after.service.advance(30).await;
    let (second, code) = after.service.open(&phone(1)).await;
    after.service.fail_checks(&second, &code, 5).await;
    after.service.advance(60).await;
    assert_eq!(
        after.service.open(&phone(1)).await.1.len(),
        8,
        "ten consecutive failures, over two keys"
    );
}

#[tokio::test]
async fn app_can_have_two_api_keys() {
    let both = secrets(
        &["k1"],
        &[("shop", SHOP), ("shop", SHOP_NEXT), ("bank", BANK)],
    );
    let service = Service::start_with(&[("OTP_SECRETS", &both)]).await;
    let sent = service.send_as(SHOP, &phone(1)).await;
    assert_status(&sent, 201);
    let path = format!("/v1/verifications/{}", sent.id());
    for (key, status) in [(SHOP, 200), (SHOP_NEXT, 200), (BANK, 404)] {
        assert_eq!(
            service.call_as(key, "GET", &path, None, &[]).await.status,
            status
        );
    }
    // Both keys of an app share its cooldown.
    assert_status(&service.send_as(SHOP_NEXT, &phone(1)).await, 429);
    assert_status(&service.send_as(BANK, &phone(1)).await, 201);
    let retired =
        Service::start_with(&[("OTP_SECRETS", &secrets(&["k1"], &[("shop", SHOP_NEXT)]))]).await;
    assert_problem(&retired.send_as(SHOP, &phone(1)).await, 401, "unauthorized");
    assert_status(&retired.send_as(SHOP_NEXT, &phone(1)).await, 201);
}
