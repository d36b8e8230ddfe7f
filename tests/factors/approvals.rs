//! The writes of an approval for a subject: a repetition, a read or the next send writes what is
//! missing after a failed write, and the owner is in effect from the first write on.

use serde_json::json;

use crate::support::{
    BROKEN, ProxiedService, Service, TestResponse, no_send_limits_and, phone, rfc3339,
};

async fn start(more: &[(&str, &str)]) -> ProxiedService {
    let variables = [more, &[("OTP_UNIQUE_RECIPIENTS", "on")]].concat();
    ProxiedService::start(&no_send_limits_and(&variables)).await
}

/// A service whose check is cut after its first `writes` writes.
async fn cut_after(writes: usize) -> (ProxiedService, String, String) {
    let proxied = start(&[]).await;
    let (id, code) = proxied.service.open_for("ann", &phone(1)).await;
    proxied.service.settle().await;
    check_cut_after(&proxied, &id, &code, writes).await;
    (proxied, id, code)
}

/// A check that fails after its first `writes` writes.
async fn check_cut_after(proxied: &ProxiedService, id: &str, code: &str, writes: usize) {
    let mut left = writes;
    proxied.table.break_by(move |call| {
        if !call.is_write() {
            return None;
        }
        let is_allowed = left > 0;
        left = left.saturating_sub(1);
        (!is_allowed).then_some(BROKEN)
    });
    let checked = check(&proxied.service, id, code).await;
    assert_eq!(checked.problem(), (503, "unavailable"), "{writes}");
    proxied.table.clear_faults();
}

async fn check(service: &Service, id: &str, code: &str) -> TestResponse {
    let body = json!({"code": code, "subject": "ann"});
    service.check_with_key(id, body, "k").await
}

async fn assert_recorded(service: &Service) {
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["recipients"].as_array().map(Vec::len), Some(1));
    assert_eq!(shown["recipients"][0]["unique"], true);
    let taken = service.verify_for("bob", &phone(1)).await;
    assert_eq!(taken.body["reason"], "recipient_taken");
    let again = service.verify_for("ann", &phone(1)).await;
    assert!(again.is_valid());
}

#[tokio::test]
async fn repeated_check_completes_an_approval() {
    for writes in [0, 1, 2] {
        let (proxied, id, code) = cut_after(writes).await;
        let again = check(&proxied.service, &id, &code).await;
        assert!(again.is_valid(), "{writes}: {again:?}");
        assert_recorded(&proxied.service).await;
    }
}

#[tokio::test]
async fn read_of_the_verification_completes_an_approval() {
    for writes in [1, 2] {
        let (proxied, id, _) = cut_after(writes).await;
        let shown = proxied.service.show(&id).await;
        assert_eq!(shown.body["status"], "approved", "{writes}");
        assert_recorded(&proxied.service).await;
    }
}

#[tokio::test]
async fn next_send_completes_an_approval() {
    for writes in [1, 2] {
        let (proxied, ..) = cut_after(writes).await;
        let taken = proxied.service.verify_for("bob", &phone(1)).await;
        assert_eq!(taken.body["reason"], "recipient_taken", "{writes}");
        assert_recorded(&proxied.service).await;
    }
}

#[tokio::test]
async fn send_without_subject_completes_an_approval() {
    let (proxied, ..) = cut_after(1).await;
    let (id, code) = proxied.service.open(&phone(1)).await;
    assert!(proxied.service.check(&id, &code).await.is_valid());
    assert_recorded(&proxied.service).await;
}

#[tokio::test]
async fn release_completes_an_approval_first() {
    let (proxied, ..) = cut_after(1).await;
    let service = &proxied.service;
    let body = Some(json!({"to": phone(1)}));
    let released = service.call("POST", "/v1/recipients/release", body).await;
    assert_eq!(released.status, 200);
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["recipients"], json!([]));
    assert!(service.verify_for("bob", &phone(1)).await.is_valid());
}

#[tokio::test]
async fn forget_completes_an_approval_first() {
    for writes in [1, 2] {
        let (proxied, ..) = cut_after(writes).await;
        let service = &proxied.service;
        assert_eq!(service.forget(&phone(1)).await.status, 200);
        assert_recorded(service).await;
        let id = service.show_subject("ann").await["recipients"][0]["id"].clone();
        let path = format!("/recipients/{}", id.as_str().expect("an id"));
        service.subject("DELETE", "ann", &path, None).await;
        assert!(service.verify_for("bob", &phone(1)).await.is_valid());
    }
}

#[tokio::test]
async fn send_to_a_test_number_completes_an_approval() {
    let until = rfc3339(Service::start().await.now().await + 86_400);
    let number = json!({"to": phone(1), "code": "424242", "until": &until[..10]});
    let numbers = json!([number]).to_string();
    for writes in [1, 2] {
        let proxied = start(&[("OTP_TEST_NUMBERS", &numbers)]).await;
        let service = &proxied.service;
        let open = async |subject: &str| {
            let body = json!({"to": phone(1), "subject": subject});
            service.open_id(body).await
        };
        let id = open("ann").await;
        check_cut_after(&proxied, &id, "424242", writes).await;
        let next = open("bob").await;
        let body = json!({"code": "424242", "subject": "bob"});
        let taken = service.check_body(&next, body).await;
        assert_eq!(taken.body["reason"], "recipient_taken", "{writes}");
        let shown = service.show_subject("ann").await;
        assert_eq!(shown["recipients"][0]["to"], phone(1), "{writes}");
    }
}

/// The process ends after it has recorded the 21st recipient, and before it has removed the first.
#[tokio::test]
async fn surplus_recipient_is_removed_by_the_next_write() {
    let proxied = start(&[("OTP_PREFIX_SENDS", "1000/600")]).await;
    let service = &proxied.service;
    for n in 1..=20 {
        assert!(service.verify_for("ann", &phone(n)).await.is_valid());
        service.advance(1).await;
    }
    let (id, code) = service.open_for("ann", &phone(21)).await;
    service.settle().await;
    check_cut_after(&proxied, &id, &code, 3).await;
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["recipients"].as_array().map(Vec::len), Some(20));
    assert_eq!(shown["recipients"][0]["to"], phone(2));
    service.backup_codes("ann").await;
    assert!(service.verify_for("bob", &phone(1)).await.is_valid());
}
