//! The whole flow of an app, a carrier and a person.

use serde_json::json;

use crate::support::{Service, TO, assert_fields, assert_status};

#[tokio::test]
async fn code_is_delivered_and_approved_once() {
    let service = Service::start().await;
    let sent = service.send(TO).await;
    assert_status(&sent, 201);
    assert_eq!(
        sent.header("location"),
        Some(format!("/v1/verifications/{}", sent.id()).as_str())
    );
    let code = service.code(TO).await;
    let checked = service.check(&sent.id(), &code).await;
    assert_status(&checked, 200);
    assert_fields(&checked.body, json!({"valid": true, "status": "approved"}));
    let again = service.check(&sent.id(), &code).await;
    assert_fields(
        &again.body,
        json!({"valid": false, "reason": "already_used"}),
    );
    assert_eq!(
        service.show(&sent.id()).await.body["delivery"]["status"],
        "sent"
    );
}
