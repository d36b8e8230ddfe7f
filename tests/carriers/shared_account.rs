//! Reports about messages of other programs that use the same account and its one callback URL:
//! they are acknowledged and change nothing.

use serde_json::{Value, json};

use super::setup::{VendorSetup, parsed, recipient};
use super::vendor::{CALLBACK_TOKEN, Vendor, VendorMessage, VendorReport};
use super::{aws, signed, vendors};
use crate::support::{assert_status, phone, with};

/// The vendors with one callback URL for the whole account. For Vonage that is an option.
fn vendors_with_account_urls() -> Vec<Vendor> {
    let mut all = vendors();
    // An event about a call does not name it.
    let is_vonage = |vendor: &&mut Vendor| vendor.kind == "vonage" && vendor.channel != "voice";
    for vendor in all.iter_mut().filter(is_vonage) {
        vendor.settings["callback_token"] = CALLBACK_TOKEN.into();
        vendor.url = None;
    }
    all.retain(|vendor| vendor.url.is_none());
    assert_eq!(all.len(), 13);
    all
}

/// Genuine reports that name no message, a message of another program, or no status.
fn reports(vendor: &Vendor, message: &VendorMessage) -> Vec<VendorReport> {
    match vendor.kind {
        "smsbox" => smsbox_reports(message),
        "cm" => cm_reports(message),
        "vonage" => vonage_reports(message),
        "ses" => ses_reports(message),
        _ => end_user_messaging_reports(message),
    }
}

fn smsbox_reports(message: &VendorMessage) -> Vec<VendorReport> {
    let queries = [
        "numero=33612345678&reference=123456789012&accuse=0&ts=1",
        "accuse=0&m=",
        "accuse=0&m=order-7",
        "m=order-7",
    ];
    let data = json!({"id": "wamid.1", "status": "delivered", "recipient_id": "33612345678"});
    let of_whatsapp = json!({"requestType": "status_update", "requestProd": "WABA", "data": data,
        "clientId": 123456, "reference": 1_234_567_890, "requestUUID": "1"});
    let mut reports = vec![post_report(message, &of_whatsapp)];
    reports.extend(queries.map(|query| get_report(message, query)));
    reports
}

fn post_report(message: &VendorMessage, body: &Value) -> VendorReport {
    VendorReport {
        method: "POST",
        url: message.url.clone(),
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string(),
    }
}

fn get_report(message: &VendorMessage, query: &str) -> VendorReport {
    VendorReport {
        method: "GET",
        url: format!("{}?{query}", message.url),
        headers: vec![],
        body: String::new(),
    }
}

fn cm_reports(message: &VendorMessage) -> Vec<VendorReport> {
    let status = json!({"code": "2", "errorCode": ""});
    let entries = [
        json!({"to": "00336", "status": status}),
        json!({"reference": "order-7", "status": status}),
        json!({"reference": "order-7"}),
    ];
    let single = entries
        .clone()
        .map(|entry| json!({"messages": {"msg": entry}}));
    let all = [
        json!({"messages": {"msg": entries}}),
        json!({"messages": {"msg": []}}),
        json!({}),
    ];
    single
        .into_iter()
        .chain(all)
        .map(|body| post_report(message, &body))
        .chain([
            get_report(message, "status=2"),
            get_report(message, "reference=order-7"),
        ])
        .collect()
}

fn vonage_reports(message: &VendorMessage) -> Vec<VendorReport> {
    let report = json!({"message_uuid": "aa", "to": "33612345678", "status": "delivered"});
    let reports = [
        report.clone(),
        with(report, &json!({"client_ref": "order-7"})),
        json!({"message_type": "text", "text": "STOP"}),
    ];
    reports
        .iter()
        .map(|report| signed::signed_vonage_report(message, report))
        .collect()
}

fn ses_reports(message: &VendorMessage) -> Vec<VendorReport> {
    let events = [
        "{}",
        r#"{"ses:source-ip":["192.0.2.1"]}"#,
        r#"{"m":["order-7"]}"#,
    ]
    .map(|tags| format!(r#"{{"tags":{tags}}}"#));
    let mail = |mail: &String| json!({"eventType": "Delivery", "mail": serde_json::from_str::<Value>(mail).expect("JSON")});
    let events = events
        .iter()
        .map(mail)
        .chain([json!({"eventType": "Delivery"}), json!({})]);
    events
        .map(|event| aws::notification(message, &event))
        .collect()
}

fn end_user_messaging_reports(message: &VendorMessage) -> Vec<VendorReport> {
    let event = json!({"eventType": "TEXT_DELIVERED", "eventVersion": "1.0"});
    let events = [
        event.clone(),
        with(event, &json!({"context": {"m": "order-7"}})),
        json!({}),
    ];
    events
        .iter()
        .map(|event| aws::notification(message, event))
        .collect()
}

#[tokio::test]
async fn account_report_about_another_program_changes_nothing() {
    for vendor in vendors_with_account_urls() {
        let (setup, label) = (VendorSetup::start(&vendor).await, vendor.label());
        let id = setup.open(&vendor, &recipient(&vendor, 1)).await;
        let message = setup.message(&vendor).await;
        let before = setup.stored_state().await;
        for (n, report) in reports(&vendor, &message).into_iter().enumerate() {
            let response = report.send(&setup.service).await;
            assert_eq!(response.status, 200, "{label}, report {n}: {response:?}");
        }
        assert_eq!(setup.stored_state().await, before, "{label}");
        assert_eq!(
            (vendor.report)(&message).send(&setup.service).await.status,
            200,
            "{label}"
        );
        assert_eq!(
            setup.delivery(&id).await.0,
            "delivered",
            "{label}: own reports are applied"
        );
    }
}

#[tokio::test]
async fn foreign_message_in_a_report_is_skipped() {
    let vendor = vendors_with_account_urls()
        .into_iter()
        .find(|vendor| vendor.kind == "cm")
        .expect("CM.com");
    let setup = VendorSetup::start(&vendor).await;
    let id = setup.open(&vendor, &phone(1)).await;
    let message = setup.message(&vendor).await;
    let ours = parsed(&setup.server.messages()[0])
        .pointer("/messages/msg/0/reference")
        .cloned()
        .unwrap_or_default();
    let status = json!({"code": "2", "errorCode": ""});
    let entries = json!([{"to": "00336", "status": status}, {"reference": "order-7"}, {"reference": ours, "status": status}]);
    let report = post_report(&message, &json!({"messages": {"msg": entries}}));
    assert_status(&report.send(&setup.service).await, 200);
    assert_eq!(setup.delivery(&id).await.0, "delivered");
}
