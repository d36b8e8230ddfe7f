//! Whole flows, as a caller, a carrier and a person meet them.

use serde_json::json;

use crate::harness::Service;

const TO: &str = "+12025550143";

#[tokio::test]
async fn a_code_arrives_and_is_approved_once() {
    let service = Service::start().await;
    let sent = service.send(TO).await;
    assert_eq!(sent.status, 201);
    assert_eq!(
        sent.header("location"),
        Some(format!("/v1/verifications/{}", sent.id()).as_str())
    );
    let code = service.code(TO).await;
    let checked = service.check(&sent.id(), &code).await;
    assert_eq!(
        (
            checked.status,
            &checked.body["valid"],
            &checked.body["status"]
        ),
        (200, &json!(true), &json!("approved"))
    );
    let again = service.check(&sent.id(), &code).await;
    assert_eq!(
        (&again.body["valid"], &again.body["reason"]),
        (&json!(false), &json!("already_used"))
    );
    assert_eq!(
        service.show(&sent.id()).await.body["delivery"]["status"],
        "sent"
    );
}
