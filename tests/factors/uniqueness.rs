//! Unique recipients: a recipient belongs to at most one subject.

use serde_json::json;

use crate::support::{
    SHOP_KEY, Service, another_code, assert_check, assert_fields, no_send_limits_and, phone,
};

async fn start() -> Service {
    Service::start_with(&no_send_limits_and(&[("OTP_UNIQUE_RECIPIENTS", "on")])).await
}

async fn recipients(service: &Service, subject: &str) -> Vec<serde_json::Value> {
    let shown = service.show_subject(subject).await;
    shown["recipients"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn first_approved_subject_owns_the_recipient() {
    let service = start().await;
    assert!(service.verify_for("ann", &phone(1)).await.is_valid());
    assert_eq!(recipients(&service, "ann").await[0]["unique"], true);
    let (id, code) = service.open_for("bob", &phone(1)).await;
    let shown = service.show(&id).await;
    assert_fields(&shown.body, json!({"status": "pending", "subject": "bob"}));
    let wrong = json!({"code": another_code(&code), "subject": "bob"});
    let wrong = service.check_body(&id, wrong).await;
    assert_check(&wrong, "wrong_code", "pending", 4);
    for _ in 0..2 {
        let right = json!({"code": code, "subject": "bob"});
        let right = service.check_body(&id, right).await;
        assert_check(&right, "recipient_taken", "refused", 3);
    }
    assert_eq!(service.show(&id).await.body["status"], "refused");
    assert_eq!(
        recipients(&service, "bob").await,
        Vec::<serde_json::Value>::new()
    );
    assert!(service.verify_for("ann", &phone(1)).await.is_valid());
    let past = service.show(&id).await.body["status"].clone();
    assert_eq!(past, "refused", "in every later response");
}

#[tokio::test]
async fn verification_without_subject_is_not_affected() {
    let service = start().await;
    service.verify_for("ann", &phone(1)).await;
    let (id, code) = service.open(&phone(1)).await;
    assert!(service.check(&id, &code).await.is_valid());
    let (id, code) = service.open(&phone(2)).await;
    assert!(service.check(&id, &code).await.is_valid());
    assert!(service.verify_for("bob", &phone(2)).await.is_valid());
}

#[tokio::test]
async fn release_removal_and_erasure_end_ownership() {
    let service = start().await;
    let mut owner = "ann".to_owned();
    service.verify_for(&owner, &phone(1)).await;
    for (n, way) in ["release", "removal", "erasure"].into_iter().enumerate() {
        match way {
            "release" => {
                let body = Some(json!({"to": phone(1)}));
                let released = service.call("POST", "/v1/recipients/release", body).await;
                assert_eq!(released.body, json!({"to": phone(1)}));
            }
            "removal" => {
                let id = recipients(&service, &owner).await[0]["id"].clone();
                let path = format!("/recipients/{}", id.as_str().expect("an id"));
                service.subject("DELETE", &owner, &path, None).await;
            }
            _ => {
                service.subject("DELETE", &owner, "", None).await;
            }
        }
        assert_eq!(recipients(&service, &owner).await.len(), 0, "{way}");
        let next = format!("user-{n}");
        assert!(
            service.verify_for(&next, &phone(1)).await.is_valid(),
            "{way}"
        );
        let taken = service.verify_for(&owner, &phone(1)).await;
        assert_eq!(taken.body["reason"], "recipient_taken", "{way}");
        owner = next;
    }
}

#[tokio::test]
async fn mark_of_a_verification_does_not_change() {
    let service = start().await;
    service.verify_for("ann", &phone(1)).await;
    let (id, code) = service.open_for("bob", &phone(1)).await;
    let body = Some(json!({"to": phone(1)}));
    service.call("POST", "/v1/recipients/release", body).await;
    let checked = service.check_body(&id, json!({"code": code, "subject": "bob"}));
    assert_check(&checked.await, "recipient_taken", "refused", 4);
    assert!(service.verify_for("bob", &phone(1)).await.is_valid());
}

#[tokio::test]
async fn ownership_outlives_time_and_forget() {
    let service = start().await;
    service.verify_for("ann", &phone(1)).await;
    service.forget(&phone(1)).await;
    assert_eq!(
        service.verify_for("bob", &phone(1)).await.body["reason"],
        "recipient_taken"
    );
    service.advance(90 * 86_400).await;
    assert_eq!(
        service.verify_for("bob", &phone(1)).await.body["reason"],
        "recipient_taken"
    );
    assert_eq!(recipients(&service, "ann").await[0]["to"], phone(1));
}

#[tokio::test]
async fn owner_of_one_app_is_unknown_to_another() {
    let service = start().await;
    service.verify_for("ann", &phone(1)).await;
    let body = json!({"to": phone(1), "subject": "bob"});
    let sent = service
        .call_as(SHOP_KEY, "POST", "/v1/verifications", Some(body), &[])
        .await;
    let code = service.code_of(&phone(1), &sent.id()).await;
    let path = format!("/v1/verifications/{}/check", sent.id());
    let body = json!({"code": code, "subject": "bob"});
    let checked = service
        .call_as(SHOP_KEY, "POST", &path, Some(body), &[])
        .await;
    assert!(checked.is_valid());
}

#[tokio::test]
async fn policy_at_the_time_of_the_send_applies() {
    let service = Service::start_with(&no_send_limits_and(&[])).await;
    service.verify_for("ann", &phone(1)).await;
    assert!(service.verify_for("bob", &phone(1)).await.is_valid());
    assert_eq!(recipients(&service, "bob").await[0]["unique"], false);
}
