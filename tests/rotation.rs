//! Keys: two sealing keys live during a rotation, a retired one's codes are expired, and API keys belong to one app each.

use data_encoding::{BASE64, HEXLOWER};
use otp::crypto::hashes::sha256;
use serde_json::{Value, json};

use crate::given::phone;
use crate::harness::{Answer, Service};
use crate::spawned::{Directory, Process};

const SHOP: &str = "otp_test_shop_11111111111111111";
const SHOP_NEXT: &str = "otp_test_shop_22222222222222222";
const BANK: &str = "otp_test_bank_33333333333333333";

/// `OTP_SECRETS` with these sealing keys, the first one current, and these API keys.
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

/// A process with these keys on `data`; dropping it kills it.
async fn start(seal: &[&str], data: &Directory) -> Process {
    Process::start(
        &[("OTP_SECRETS", &secrets(seal, &[("shop", SHOP)]))],
        Some(&data.0),
    )
    .await
}

#[tokio::test]
async fn a_code_outlives_the_change_of_the_sealing_key_while_the_old_one_is_kept() {
    let data = Directory::new();
    let before = start(&["k1"], &data).await;
    let (id, code) = before.service.sent(&phone(1)).await;
    before.service.fail(&id, &code, 2).await;
    before.kill().await;

    let during = start(&["k2", "k1"], &data).await;
    let shown = during.service.show(&id).await;
    assert_eq!(
        (
            &shown.body["status"],
            &shown.body["to"],
            &shown.body["attempts_left"]
        ),
        (&json!("pending"), &json!(phone(1)), &json!(3))
    );
    assert_eq!(
        during.service.check(&id, &code).await.outcome(),
        (true, "", "approved", 2)
    );
    let (next, next_code) = during.service.sent(&phone(2)).await;
    during.kill().await;

    let after = start(&["k2"], &data).await;
    assert_eq!(
        after.service.check(&next, &next_code).await.outcome().0,
        true,
        "sealed under the current key"
    );
}

#[tokio::test]
async fn a_code_whose_sealing_key_is_gone_is_expired_and_not_an_error() {
    let data = Directory::new();
    let before = start(&["k1"], &data).await;
    let (id, code) = before.service.sent(&phone(1)).await;
    before.kill().await;

    let after = start(&["k2"], &data).await;
    for _ in 0..6 {
        let checked = after.service.check(&id, &code).await;
        assert_eq!(
            (checked.outcome().1, checked.outcome().2),
            ("expired", "expired")
        );
    }
    assert_eq!(after.service.show(&id).await.body["status"], "expired");
    assert_eq!(
        after.service.resend(&id).await.problem(),
        (409, "not_pending")
    );
    assert_eq!(
        after.service.send(&phone(1)).await.body["limit"],
        "cooldown",
        "the counts need no sealing key"
    );
    after.service.advance(30).await;
    let (next, next_code) = after.service.sent(&phone(1)).await;
    assert_eq!(
        after.service.check(&next, &next_code).await.outcome().0,
        true
    );
}

#[tokio::test]
async fn a_code_whose_sealing_key_is_gone_costs_no_guesses() {
    let data = Directory::new();
    let before = start(&["k1"], &data).await;
    let (id, code) = before.service.sent(&phone(1)).await;
    before.kill().await;

    let secrets = secrets(&["k2"], &[("shop", SHOP)]);
    let after = Process::start(
        &[("OTP_SECRETS", &secrets), ("OTP_GUESS_BUDGET", "5")],
        Some(&data.0),
    )
    .await;
    for _ in 0..4 {
        assert_eq!(after.service.check(&id, &code).await.outcome().0, false);
    }
    after.service.advance(30).await;
    let next = after.service.send(&phone(1)).await;
    assert_eq!(
        (next.status, &next.body["attempts_left"]),
        (201, &json!(5)),
        "nothing was compared, so nothing was wrong: {next:?}"
    );
}

#[tokio::test]
async fn counts_survive_a_rotation() {
    let data = Directory::new();
    let before = start(&["k1"], &data).await;
    let (id, code) = before.service.sent(&phone(1)).await;
    before.service.fail(&id, &code, 5).await;
    before.kill().await;

    let after = start(&["k2"], &data).await;
    assert_eq!(after.service.check(&id, &code).await.outcome().0, false);
    after.service.advance(30).await;
    let (second, code) = after.service.sent(&phone(1)).await;
    after.service.fail(&second, &code, 5).await;
    after.service.advance(60).await;
    assert_eq!(
        after.service.sent(&phone(1)).await.1.len(),
        8,
        "ten failures in a row, over two keys"
    );
}

async fn send_as(service: &Service, key: &str, n: u32) -> Answer {
    service
        .call_as(
            key,
            "POST",
            "/v1/verifications",
            Some(json!({"to": phone(n)})),
            &[],
        )
        .await
}

#[tokio::test]
async fn an_app_may_have_two_api_keys_and_each_key_one_app() {
    let both = secrets(
        &["k1"],
        &[("shop", SHOP), ("shop", SHOP_NEXT), ("bank", BANK)],
    );
    let service = Service::start_with(&[("OTP_SECRETS", &both)]).await;
    let sent = send_as(&service, SHOP, 1).await;
    assert_eq!(sent.status, 201);
    let path = format!("/v1/verifications/{}", sent.id());
    for (key, status) in [(SHOP, 200), (SHOP_NEXT, 200), (BANK, 404)] {
        assert_eq!(
            service.call_as(key, "GET", &path, None, &[]).await.status,
            status
        );
    }
    assert_eq!(
        send_as(&service, SHOP_NEXT, 1).await.status,
        429,
        "one app, one cooldown"
    );
    assert_eq!(send_as(&service, BANK, 1).await.status, 201);
    let retired =
        Service::start_with(&[("OTP_SECRETS", &secrets(&["k1"], &[("shop", SHOP_NEXT)]))]).await;
    assert_eq!(
        send_as(&retired, SHOP, 1).await.problem(),
        (401, "unauthorized")
    );
    assert_eq!(send_as(&retired, SHOP_NEXT, 1).await.status, 201);
}
