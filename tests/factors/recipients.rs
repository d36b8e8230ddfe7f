//! Verified recipients: what an approved verification with a subject records.

use serde_json::{Value, json};

use crate::support::{
    SHOP_KEY, Service, assert_check, assert_fields, assert_problem, assert_status,
    no_send_limits_and, phone, unix_seconds,
};

#[tokio::test]
async fn approved_verification_records_its_recipient() {
    let service = Service::start_with(&no_send_limits_and(&[])).await;
    let verified = service.verify_for("ann", &phone(1)).await;
    assert!(verified.is_valid());
    assert_eq!(verified.body["subject"], "ann");
    let subject = service.show_subject("ann").await;
    let first = subject["recipients"][0].clone();
    assert_fields(
        &first,
        json!({"to": phone(1), "channel": "sms", "purpose": "default", "unique": false}),
    );
    assert_eq!(first["first_verified_at"], first["verified_at"]);

    service.advance(60).await;
    let body = json!({"to": phone(1), "subject": "ann", "channel": "voice", "purpose": "payment"});
    let id = service.open_id(body).await;
    let code = service.code_of(&phone(1), &id).await;
    let body = json!({"code": code, "subject": "ann", "purpose": "payment"});
    assert!(service.check_body(&id, body).await.is_valid());
    let subject = service.show_subject("ann").await;
    let renewed = &subject["recipients"][0];
    assert_eq!(subject["recipients"].as_array().map(Vec::len), Some(1));
    assert_fields(
        renewed,
        json!({"id": first["id"], "channel": "voice", "purpose": "payment",
            "first_verified_at": first["first_verified_at"]}),
    );
    assert!(unix_seconds(&renewed["verified_at"]) > unix_seconds(&first["verified_at"]));
}

#[tokio::test]
async fn check_must_repeat_the_subject() {
    let service = Service::start().await;
    let (id, code) = service.open_for("ann", &phone(1)).await;
    assert_eq!(service.show(&id).await.body["subject"], "ann");
    for (body, left) in [
        (json!({"code": code}), 4),
        (json!({"code": code, "subject": "Ann"}), 3),
    ] {
        let checked = service.check_body(&id, body).await;
        assert_check(&checked, "wrong_code", "pending", left);
    }
    let body = json!({"code": code, "subject": "ann"});
    assert!(service.check_body(&id, body).await.is_valid());
    assert_eq!(service.show_subject("Ann").await["recipients"], json!([]));

    let (id, code) = service.open(&phone(2)).await;
    assert!(service.show(&id).await.body.get("subject").is_none());
    let with_subject = json!({"code": code, "subject": "ann"});
    let checked = service.check_body(&id, with_subject).await;
    assert_check(&checked, "wrong_code", "pending", 4);
    assert!(service.check(&id, &code).await.is_valid());
    let recipients = service.show_subject("ann").await["recipients"].clone();
    assert_eq!(recipients.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn subject_belongs_to_the_body_of_an_idempotency_key() {
    let service = Service::start().await;
    let body = |subject: Value| json!({"to": phone(1), "subject": subject});
    let first = service.send_with_key(body(json!("ann")), "k").await;
    assert_status(&first, 201);
    let again = service.send_with_key(body(json!("ann")), "k").await;
    assert!(again.is_replayed());
    for other in [json!("bob"), Value::Null] {
        let other = service.send_with_key(body(other), "k").await;
        assert_problem(&other, 422, "idempotency_mismatch");
    }
}

#[tokio::test]
async fn verified_recipient_is_removed_by_its_id() {
    let service = Service::start().await;
    service.verify_for("ann", &phone(1)).await;
    service.advance(1).await;
    service.verify_for("ann", "ann@example.com").await;
    let recipients = service.show_subject("ann").await["recipients"].clone();
    let channels = json!([recipients[0]["channel"], recipients[1]["channel"]]);
    assert_eq!(channels, json!(["sms", "email"]), "oldest first");
    let id = recipients[0]["id"].as_str().expect("an id");
    let path = format!("/recipients/{id}");
    let foreign = service.subject("DELETE", "bob", &path, None).await;
    assert_problem(&foreign, 404, "not_found");
    let removed = service.subject("DELETE", "ann", &path, None).await;
    assert_eq!((removed.status, &removed.body), (200, &recipients[0]));
    let again = service.subject("DELETE", "ann", &path, None).await;
    assert_problem(&again, 404, "not_found");
    let left = service.show_subject("ann").await["recipients"].clone();
    assert_eq!(left, json!([recipients[1]]));
}

#[tokio::test]
async fn recipient_verified_longest_ago_makes_room() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1000/600")]).await;
    for n in 1..=21 {
        assert!(service.verify_for("ann", &phone(n)).await.is_valid());
        service.advance(1).await;
    }
    let recipients = service.show_subject("ann").await["recipients"].clone();
    let recipients = recipients.as_array().expect("a list");
    let numbers: Vec<_> = recipients.iter().map(|known| known["to"].clone()).collect();
    let expected: Vec<_> = (2..=21).map(|n| json!(phone(n))).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn subjects_of_two_apps_share_nothing() {
    let service = Service::start().await;
    service.verify_for("ann", &phone(1)).await;
    let shown = service
        .call_as(SHOP_KEY, "GET", "/v1/subjects/ann", None, &[])
        .await;
    assert_eq!(shown.body["recipients"], json!([]));
}

#[tokio::test]
async fn forgotten_recipient_stays_verified() {
    let service = Service::start().await;
    service.verify_for("ann", &phone(1)).await;
    service.forget(&phone(1)).await;
    let recipients = service.show_subject("ann").await["recipients"].clone();
    assert_eq!(recipients[0]["to"], phone(1));
}

#[tokio::test]
async fn erased_subject_is_not_brought_back_by_a_repetition() {
    let service = Service::start().await;
    let (id, code) = service.open_for("ann", &phone(1)).await;
    let body = json!({"code": code, "subject": "ann"});
    let check = async || {
        let body = body.clone();
        service.check_with_key(&id, body, "k").await
    };
    assert!(check().await.is_valid());
    service.subject("DELETE", "ann", "", None).await;
    assert!(check().await.is_replayed());
    service.show(&id).await;
    assert_eq!(service.show_subject("ann").await["recipients"], json!([]));
}

#[tokio::test]
async fn removed_recipient_stays_removed_after_days() {
    const HOUR: i64 = 3600;
    let service = Service::start_with(&no_send_limits_and(&[])).await;
    let (id, code) = service.open_for("ann", &phone(1)).await;
    let body = json!({"code": code, "subject": "ann"});
    assert!(service.check_body(&id, body).await.is_valid());
    let shown = service.show_subject("ann").await;
    let path = format!(
        "/recipients/{}",
        shown["recipients"][0]["id"].as_str().expect("an id")
    );
    service.subject("DELETE", "ann", &path, None).await;
    // The verification is kept for two days from here.
    service.advance(40 * HOUR).await;
    assert_status(&service.unlock(&phone(1)).await, 200);
    service.advance(20 * HOUR).await;
    // Any write drops what is not remembered any more.
    service.backup_codes("ann").await;
    assert_status(&service.show(&id).await, 200);
    assert!(service.verify_for("bob", &phone(1)).await.is_valid());
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["recipients"], json!([]));
}
