//! What is stored of a subject, and how long.

use serde_json::{Value, json};

use crate::support::{Service, phone, stored_items};

#[tokio::test]
async fn table_holds_no_secret_and_no_subject() {
    let service = Service::start().await;
    let subject = "subject-of-this-test";
    let body = json!({"type": "totp", "account": "account@example.com", "issuer": "Issuer-X"});
    let enrolled = service.enrol(subject, body).await;
    let (_, codes) = service.backup_codes(subject).await;
    service.verify_for(subject, &phone(1)).await;
    let context = json!({"ip": "203.0.113.7", "device_id": "device-of-this-test"});
    let body = json!({"action": "login", "context": context});
    service.decide(subject, body).await;
    let stored = Value::from(stored_items(&service).await).to_string();
    let secret = enrolled.body["secret"].as_str().expect("a secret");
    let texts = [
        "account@example.com",
        "Issuer-X",
        "device-of-this-test",
        "203.0.113",
    ];
    let number = phone(1);
    let bytes = data_encoding::BASE32_NOPAD
        .decode(secret.as_bytes())
        .expect("base32");
    let encoded = data_encoding::BASE64.encode(&bytes);
    for hidden in [subject, secret, &encoded[..24], &codes[0], &number[1..]]
        .into_iter()
        .chain(texts)
    {
        assert!(!stored.contains(hidden), "{hidden}");
        let in_base64 = data_encoding::BASE64_NOPAD.encode(hidden.as_bytes());
        assert!(
            !stored.contains(&in_base64[..in_base64.len() - 2]),
            "{hidden}"
        );
    }
}

/// The items that end by their TTL.
async fn ending(service: &Service) -> usize {
    let items = stored_items(service).await;
    items.iter().filter(|item| item["ttl"].is_object()).count()
}

#[tokio::test]
async fn lasting_subjects_have_no_time_to_live() {
    let service = Service::start().await;
    let app = service.unconfirmed_totp("ann").await;
    assert_eq!(
        (ending(&service).await, stored_items(&service).await.len()),
        (1, 1)
    );
    let code = app.code_at(service.now().await);
    assert!(service.check_factor(&app, &code).await.is_valid());
    assert_eq!(ending(&service).await, 0);
    service.fail_factor_checks(&app, 1).await;
    assert_eq!(
        ending(&service).await,
        0,
        "also after writes that read nothing"
    );
    service.advance(30 * 86_400).await;
    let code = app.code_at(service.now().await);
    assert!(service.check_factor(&app, &code).await.is_valid());
    service.call("DELETE", &app.path, None).await;
    assert_eq!(ending(&service).await, 1);
    service.advance(30 * 86_400).await;
    assert_eq!(stored_items(&service).await.len(), 0);
}

#[tokio::test]
async fn verified_recipients_outlive_their_verification() {
    let service = Service::start().await;
    service.verify_for("ann", &phone(1)).await;
    service.advance(30 * 86_400).await;
    let recipients = service.show_subject("ann").await["recipients"].clone();
    assert_eq!(recipients[0]["to"], phone(1));
}
