//! Genuine reports: each changes the status of one delivery, which never goes back, and nothing
//! else.

use serde_json::json;

use super::{one_message, status, stored_state};
use crate::support::{Service, SignedReport, TO, assert_fields, assert_status};

/// Sends `report`; holds that it is acknowledged, and that nothing is written.
async fn assert_changes_nothing(service: &Service, report: &SignedReport, what: &str) {
    let before = stored_state(service).await;
    let response = report.send(service).await;
    assert_eq!(response.status, 200, "{what}: {response:?}");
    assert_eq!(
        stored_state(service).await,
        before,
        "{what}: nothing is written"
    );
}

#[tokio::test]
async fn report_changes_only_the_status_of_its_delivery() {
    let (service, carrier, id, message) = one_message().await;
    let before = service.show(&id).await.body;
    assert_status(
        &carrier
            .report(&message, "delivered", service.now().await)
            .send(&service)
            .await,
        200,
    );
    let mut after = service.show(&id).await.body;
    assert_fields(
        &after,
        json!({"delivery": {"status": "delivered", "carrier": "acme"}}),
    );
    // Without a cooldown `resend_at` is the current time.
    for field in ["delivery", "deliveries", "resend_at"] {
        after[field] = before[field].clone();
    }
    assert_eq!(after, before, "a report changes nothing else");
}

#[tokio::test]
async fn repeated_report_changes_nothing() {
    let (service, carrier, id, message) = one_message().await;
    let report = carrier.report(&message, "delivered", service.now().await);
    assert_status(&report.send(&service).await, 200);
    for _ in 0..3 {
        assert_changes_nothing(&service, &report, "repeated").await;
    }
    assert_eq!(status(&service, &id).await, "delivered");
}

#[tokio::test]
async fn parallel_copies_of_a_report_apply_once() {
    let (service, carrier, id, message) = one_message().await;
    let report = carrier.report(&message, "undelivered", service.now().await);
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (report, service) = (report.clone(), service.clone());
        copies.spawn(async move { report.send(&service).await.status });
    }
    assert!(
        copies
            .join_all()
            .await
            .into_iter()
            .all(|status| status == 200)
    );
    assert_eq!(status(&service, &id).await, "undelivered");
    assert_eq!(carrier.received().len(), 1);
}

#[tokio::test]
async fn reports_out_of_order_end_at_the_highest_status() {
    let (service, carrier, id, message) = one_message().await;
    for status_word in [
        "delivered",
        "sent",
        "queued",
        "undelivered",
        "expired",
        "rejected",
    ] {
        let report = carrier.report(&message, status_word, service.now().await);
        assert_eq!(report.send(&service).await.status, 200, "{status_word}");
        assert_eq!(
            status(&service, &id).await,
            "delivered",
            "after {status_word}"
        );
    }
}

#[tokio::test]
async fn late_report_updates_an_expired_verification() {
    let (service, carrier, id, message) = one_message().await;
    service.advance(3600).await;
    assert_status(
        &carrier
            .report(&message, "delivered", service.now().await)
            .send(&service)
            .await,
        200,
    );
    let shown = service.show(&id).await.body;
    assert_fields(
        &shown,
        json!({"delivery": {"status": "delivered"}, "status": "expired"}),
    );
}

#[tokio::test]
async fn unknown_status_changes_nothing() {
    let (service, carrier, _, message) = one_message().await;
    for status_word in ["exploded", "", "DELIVERED", "approved", "failed", "unknown"] {
        assert_changes_nothing(
            &service,
            &carrier.report(&message, status_word, service.now().await),
            status_word,
        )
        .await;
    }
    let mut report = carrier.report(&message, "", service.now().await);
    for odd in [
        json!(7),
        json!(null),
        json!(["delivered"]),
        json!({"status": "delivered"}),
    ] {
        report.body = json!({"reference": message.reference(), "status": odd})
            .to_string()
            .into();
        let signed = report.clone().signed(&carrier.secret, service.now().await);
        assert_changes_nothing(&service, &signed, &odd.to_string()).await;
    }
}

#[tokio::test]
async fn report_without_a_reference_applies_to_its_url() {
    let (service, carrier, id, message) = one_message().await;
    let now = service.now().await;
    let signed = |body: &str| {
        carrier
            .report(&message, "", now)
            .with_body(body)
            .signed(&carrier.secret, now)
    };
    assert_changes_nothing(&service, &signed("{}"), "no status either").await;
    assert_status(
        &signed("{\"status\":\"delivered\"}").send(&service).await,
        200,
    );
    assert_eq!(status(&service, &id).await, "delivered");
}

#[tokio::test]
async fn report_updates_a_superseded_verification() {
    let (service, carrier, old, message) = one_message().await;
    let new = service.send(TO).await.id();
    assert_eq!(status(&service, &new).await, "sent");
    let report = carrier.report(&message, "delivered", service.now().await);
    assert_status(&report.send(&service).await, 200);
    assert_changes_nothing(&service, &report, "repeated").await;
    let shown = service.show(&old).await.body;
    assert_fields(
        &shown,
        json!({"delivery": {"status": "delivered"}, "status": "superseded"}),
    );
    assert_eq!(
        status(&service, &new).await,
        "sent",
        "the newer verification has a status of its own"
    );
}

#[tokio::test]
async fn report_about_a_forgotten_recipient_changes_nothing() {
    let (service, carrier, _, message) = one_message().await;
    let forgotten = service.forget(TO).await;
    assert_status(&forgotten, 200);
    for status_word in ["delivered", "undelivered"] {
        assert_changes_nothing(
            &service,
            &carrier.report(&message, status_word, service.now().await),
            "forgotten",
        )
        .await;
    }
    for _ in 0..4 {
        service.advance(86_400).await;
    }
    let report = carrier.report(&message, "delivered", service.now().await);
    assert_changes_nothing(&service, &report, "the record is deleted").await;
    assert!(
        !service.state().await["table"]
            .to_string()
            .contains("deliveries"),
        "the deliveries stay deleted"
    );
}

#[tokio::test]
async fn report_needs_no_api_key() {
    let (service, carrier, id, message) = one_message().await;
    let good = carrier.report(&message, "delivered", service.now().await);
    let headers: Vec<_> = good
        .headers()
        .into_iter()
        .chain([("authorization", "Bearer nonsense")])
        .collect();
    assert_status(
        &service
            .raw("POST", &good.path, &headers, good.body.clone())
            .await,
        200,
    );
    assert_eq!(status(&service, &id).await, "delivered");
}
