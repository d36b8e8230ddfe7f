//! Status polling of a vendor that sends no report, at most twice; and reports about several
//! messages at once.

use serde_json::{Value, json};

use super::setup::{VendorSetup, code, parsed};
use super::unsigned;
use super::vendor::{CALLBACK_TOKEN, RECIPIENT, VendorReport};
use crate::support::{assert_fields, assert_status, phone, with};

const ACCEPTED: &str =
    r#"{"success":true,"code":200,"message_id":307,"nb_sms":1,"cost":0.038,"currency":"EUR"}"#;
const WAITING: &str =
    r#"{"success":true,"code":200,"number":"+33612345678","messageId":"307","statut":"Waiting"}"#;
const DELIVERED: &str =
    r#"{"success":true,"code":200,"number":"+33612345678","messageId":"307","statut":"Delivered"}"#;
const UNDELIVERED: &str = r#"{"success":true,"code":200,"number":"+33612345678","messageId":"307","statut":"Not delivered"}"#;
const STATUS_REQUEST: &str = "/v1/message-status?apiKey=0123456789abcdef0123456789abcdef01234567&messageId=307&phoneNumber=%2B33612345678";

/// A vendor that has accepted a message to [`RECIPIENT`] with these additional fields, and responds
/// with `status` from now on. Returns the id of the verification as well.
async fn start_polling(fields: Value, status: &'static str) -> (VendorSetup, String) {
    let vendor = unsigned::vendors().remove(0);
    assert_eq!(vendor.kind, "smspartner");
    let setup = VendorSetup::start(&vendor).await;
    let sent = setup
        .service
        .send_body(with(json!({"to": RECIPIENT}), &fields))
        .await;
    assert_status(&sent, 201);
    setup.service.settle().await;
    let before = setup.server.respond_with((200, status));
    assert_eq!(before.1, ACCEPTED, "the message was accepted");
    (setup, sent.id())
}

#[tokio::test]
async fn vendor_without_reports_is_polled_twice() {
    let (setup, id) = start_polling(json!({}), WAITING).await;
    setup.service.advance(19).await;
    assert!(
        setup.server.get_requests().is_empty(),
        "the vendor has time to report first"
    );
    setup.service.advance(2).await;
    assert_eq!(setup.server.get_requests(), [STATUS_REQUEST]);
    setup.service.advance(30).await;
    assert_eq!(
        setup.server.get_requests(),
        [STATUS_REQUEST, STATUS_REQUEST]
    );
    assert_eq!(
        setup.delivery(&id).await,
        ("sent".into(), "smspartner".into())
    );
    setup.service.advance(400).await;
    assert_eq!(setup.server.get_requests().len(), 2, "no third poll");
    let state = setup.service.state().await;
    assert_fields(&state, json!({"queue": [], "dead_letters": []}));
}

#[tokio::test]
async fn polled_status_is_stored_and_ends_the_polling() {
    let (setup, id) = start_polling(json!({}), DELIVERED).await;
    setup.service.advance(25).await;
    assert_eq!(
        setup.delivery(&id).await,
        ("delivered".into(), "smspartner".into())
    );
    setup.service.advance(60).await;
    assert_eq!(setup.server.get_requests().len(), 1);
    let shown = setup.service.show(&id).await.body;
    assert!(
        !shown.to_string().contains("307"),
        "the id of the vendor is not shown: {shown}"
    );
}

#[tokio::test]
async fn polled_failure_sends_the_fallback_at_once() {
    let (setup, id) = start_polling(json!({"fallback": ["voice"]}), UNDELIVERED).await;
    setup.service.advance(25).await;
    let shown = setup.service.show(&id).await.body;
    let states: Vec<_> = shown["deliveries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|d| (d["channel"].clone(), d["status"].clone()))
        .collect();
    assert_eq!(
        states,
        [
            (json!("sms"), json!("undelivered")),
            (json!("voice"), json!("sent"))
        ]
    );
    assert_eq!(setup.second.received().len(), 1);
}

#[tokio::test]
async fn unreadable_poll_response_does_not_delay_the_fallback() {
    let (setup, id) = start_polling(json!({"fallback": ["voice"]}), "<html>Welcome</html>").await;
    setup.service.advance(61).await;
    assert_eq!(setup.server.get_requests().len(), 2);
    assert_eq!(setup.delivery(&id).await, ("sent".into(), "second".into()));
    assert_eq!(setup.second.received().len(), 1, "one message");
}

#[tokio::test]
async fn approved_verification_is_not_polled() {
    let (setup, id) = start_polling(json!({}), WAITING).await;
    let text = parsed(&setup.server.messages()[0])["message"]
        .as_str()
        .map(code)
        .unwrap_or_default();
    assert_eq!(setup.service.check(&id, &text).await.body["valid"], true);
    setup.service.advance(120).await;
    assert!(setup.server.get_requests().is_empty());
}

#[tokio::test]
async fn report_about_several_messages_updates_each() {
    let vendor = unsigned::vendors()
        .into_iter()
        .find(|vendor| vendor.kind == "cm")
        .expect("CM.com");
    let setup = VendorSetup::start(&vendor).await;
    let mut ids = vec![];
    for n in 1..=3 {
        ids.push(setup.open(&vendor, &phone(n)).await);
    }
    let reference = |n: usize| {
        parsed(&setup.server.messages()[n])
            .pointer("/messages/msg/0/reference")
            .cloned()
            .unwrap_or_default()
    };
    let entry = |reference: Value, code: &str| json!({"to": "00336", "reference": reference, "status": {"code": code, "errorCode": ""}});
    let entries = json!([
        entry(reference(0), "2"),
        entry(json!("unknown"), "2"),
        json!(7),
        entry(reference(1), "3"),
        entry(reference(2), "2")
    ]);
    let url = format!("{}/v1/callbacks/cm/{CALLBACK_TOKEN}", setup.service.base);
    let headers = vec![("content-type", "application/json".to_owned())];
    let report = VendorReport {
        method: "POST",
        url,
        headers,
        body: json!({"messages": {"msg": entries}}).to_string(),
    };
    assert_status(&report.send(&setup.service).await, 200);
    let mut states = vec![];
    for id in &ids {
        states.push(setup.delivery(id).await.0);
    }
    assert_eq!(states, ["delivered", "undelivered", "delivered"]);
}
