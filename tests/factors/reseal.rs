//! Rotation: everything is sealed again under the current key, part by part.

use data_encoding::BASE64;
use otp::crypto::hashes::sha256;
use serde_json::{Value, json};

use crate::support::{
    DEFAULT_KEY, LocalProcess, TempDirectory, assert_fields, assert_status, phone,
};

/// A local server with these seal keys, of which the first is current.
async fn start(seal: &[&str], data: &TempDirectory) -> LocalProcess {
    let key = |id: &&str| {
        (
            (*id).to_owned(),
            json!(BASE64.encode(&sha256(id.as_bytes()))),
        )
    };
    let keys: serde_json::Map<_, _> = seal.iter().map(key).collect();
    let secrets =
        json!({"seal": {"current": seal[0], "keys": keys}, "lookup": BASE64.encode(&[7; 32])});
    let variables = [
        ("OTP_SECRETS", secrets.to_string()),
        ("OTP_LOCAL_API_KEYS", format!("default={}", DEFAULT_KEY)),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    LocalProcess::start(&variables, Some(data.path())).await
}

#[tokio::test]
async fn resealed_subjects_do_not_need_the_old_key() {
    let data = TempDirectory::new();
    let before = start(&["k1"], &data).await;
    let app = before.service.active_totp("ann").await;
    before.service.verify_for("ann", &phone(1)).await;
    let (pending, code) = before.service.open_for("bob", &phone(2)).await;
    before.kill().await;

    let during = start(&["k2", "k1"], &data).await;
    let resealed = during.call("POST", "/local/reseal", None).await;
    assert_status(&resealed, 200);
    assert_fields(&resealed.body, json!({"resealed": 3}));
    assert!(resealed.body["scanned"].as_u64() >= Some(3), "{resealed:?}");
    let again = during.call("POST", "/local/reseal", None).await;
    assert_eq!(again.body["resealed"], 0);
    during.kill().await;

    let after = start(&["k2"], &data).await;
    let shown = after.service.show_subject("ann").await;
    assert_eq!(shown["recipients"][0]["to"], phone(1));
    assert_eq!(shown["factors"][0]["status"], "active");
    after.service.advance(60).await;
    let now = after.service.now().await;
    let checked = after.service.check_factor(&app, &app.code_at(now)).await;
    assert!(checked.is_valid(), "{checked:?}");
    let body = json!({"code": code, "subject": "bob"});
    let checked = after.service.check_body(&pending, body).await;
    assert!(checked.is_valid(), "{checked:?}");
}

#[tokio::test]
async fn factor_without_its_seal_key_is_unreadable() {
    let data = TempDirectory::new();
    let before = start(&["k1"], &data).await;
    let app = before.service.active_totp("ann").await;
    before.service.verify_for("ann", &phone(1)).await;
    // Settles the log: an entry that cannot be opened later costs an attempt.
    before.service.backup_codes("ann").await;
    before.kill().await;

    let after = start(&["k2"], &data).await;
    let service = &after.service;
    let code = app.code_at(service.now().await);
    let checked = service.check_factor(&app, &code).await;
    assert_fields(
        &checked.body,
        json!({"valid": false, "reason": "unreadable", "status": "unreadable", "attempts_left": 20}),
    );
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["factors"][0]["status"], "unreadable");
    assert_eq!(shown["recipients"][0]["to"], Value::Null);
    let removed = service.call("DELETE", &app.path, None).await;
    assert_eq!(removed.body["status"], "unreadable");
}
