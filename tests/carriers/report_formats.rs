//! Formats of reports: what each vendor sends beside the format of `vendors`, and how old a
//! signature may be.

use serde_json::{Value, json};

use super::setup::{VendorSetup, recipient};
use super::signed::{self, signed_vonage_report};
use super::vendor::{RECIPIENT, Vendor, VendorMessage, VendorReport};
use super::{aws, unsigned};
use crate::support::{assert_status, with};

/// How old the signature of a report may be.
const DAY: i64 = 24 * 3600 + 300;

fn vendor(kind: &str) -> Vendor {
    let vendors = [unsigned::vendors(), signed::vendors(), aws::vendors()];
    let mut vendors = vendors.into_iter().flatten();
    let vendor = vendors.find(|vendor| vendor.kind == kind);
    vendor.unwrap_or_else(|| panic!("{kind}"))
}

fn delivered_by_vonage(message: &VendorMessage) -> VendorReport {
    signed_vonage_report(
        message,
        &json!({"status": "delivered", "client_ref": message.reference}),
    )
}

fn posted(message: &VendorMessage, content_type: &str, body: &str) -> VendorReport {
    VendorReport {
        method: "POST",
        url: message.url.clone(),
        headers: vec![("content-type", content_type.to_owned())],
        body: body.to_owned(),
    }
}

#[tokio::test]
async fn unsigned_report_of_vonage_is_repeated_later() {
    let (vendor, setup) = (
        vendor("vonage"),
        VendorSetup::start(&vendor("vonage")).await,
    );
    let id = setup.open(&vendor, RECIPIENT).await;
    let message = setup.message(&vendor).await;
    let before = setup.stored_state().await;
    let signed = delivered_by_vonage(&message);
    let unsigned = posted(&message, "application/json", &signed.body);
    let response = unsigned.send(&setup.service).await;
    assert_status(&response, 503);
    assert!(response.headers.contains_key("retry-after"));
    assert_eq!(setup.stored_state().await, before);
    assert_status(&signed.send(&setup.service).await, 200);
    assert_eq!(setup.delivery(&id).await.0, "delivered");
}

#[tokio::test]
async fn signature_of_vonage_is_valid_for_a_day() {
    let (vendor, setup) = (
        vendor("vonage"),
        VendorSetup::start(&vendor("vonage")).await,
    );
    // Not to the second, as in the module of the carrier: real time passes beside the clock.
    let ages = [(-310, 401), (300, 200), (DAY - 10, 200), (DAY + 60, 401)];
    for (n, (seconds, status)) in (1..).zip(ages) {
        setup.open(&vendor, &recipient(&vendor, n)).await;
        let message = setup.message(&vendor).await;
        let now = setup.service.now().await;
        let report = delivered_by_vonage(&VendorMessage {
            now: now - seconds,
            ..message
        });
        assert_status(&report.send(&setup.service).await, status);
    }
}

#[tokio::test]
async fn both_secrets_of_vonage_are_valid_while_one_changes() {
    let mut vendor = vendor("vonage");
    let secret = vendor.secrets["signature_secret"].clone();
    vendor.secrets["signature_secret"] = json!(["the-new-signature-secret-for-tests", secret]);
    let setup = VendorSetup::start(&vendor).await;
    let id = setup.open(&vendor, RECIPIENT).await;
    let report = delivered_by_vonage(&setup.message(&vendor).await);
    assert_status(&report.send(&setup.service).await, 200);
    assert_eq!(setup.delivery(&id).await.0, "delivered");
}

#[tokio::test]
async fn cm_reports_are_read_in_every_format() {
    let (vendor, setup) = (vendor("cm"), VendorSetup::start(&vendor("cm")).await);
    let reports: [fn(&VendorMessage) -> VendorReport; 6] = [
        |message| {
            let msg = json!({"REFERENCE": message.reference, "STATUS": {"CODE": "2"}});
            let body = json!({"MESSAGES": {"MSG": msg}}).to_string();
            posted(message, "application/json", &body)
        },
        |message| {
            let xml = format!(
                "<MESSAGES><MSG RECEIVED=\"2025-11-21T19:30:00\"><TO>0033612345678</TO><REFERENCE>{}</REFERENCE>\
                 <STATUS><CODE>2</CODE><ERRORCODE/><ERRORDESCRIPTION/></STATUS></MSG></MESSAGES>",
                message.reference
            );
            posted(message, "text/xml", &xml)
        },
        |message| {
            let form = format!("GSM=0033612345678&REFERENCE={}&STATUS=2", message.reference);
            posted(message, "application/x-www-form-urlencoded", &form)
        },
        |message| {
            let form = format!("reference={}&status=2&error=", message.reference);
            posted(message, "application/x-www-form-urlencoded", &form)
        },
        |message| {
            in_query(
                message,
                &format!("REFERENCE={}&STATUS=2", message.reference),
            )
        },
        |message| {
            in_query(
                message,
                &format!("reference={}&status=2", message.reference),
            )
        },
    ];
    for (n, report) in (1..).zip(reports) {
        let id = setup.open(&vendor, &recipient(&vendor, n)).await;
        let mut message = setup.message(&vendor).await;
        let sent = super::setup::parsed(&setup.server.messages()[n as usize - 1]);
        message.reference = text(&sent, "/messages/msg/0/reference");
        let report = report(&message);
        let response = report.send(&setup.service).await;
        assert_eq!(response.status, 200, "{n}: {response:?}");
        assert_eq!(setup.delivery(&id).await.0, "delivered", "report {n}");
    }
}

fn text(body: &Value, at: &str) -> String {
    let text = body.pointer(at).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("{at} of {body}")).to_owned()
}

fn in_query(message: &VendorMessage, query: &str) -> VendorReport {
    VendorReport {
        method: "GET",
        url: format!("{}?{query}", message.url),
        headers: vec![],
        body: String::new(),
    }
}

#[tokio::test]
async fn smspm_gets_the_callback_url_by_both_names() {
    let (vendor, setup) = (vendor("smspm"), VendorSetup::start(&vendor("smspm")).await);
    let id = setup.open(&vendor, RECIPIENT).await;
    let sent = super::setup::parsed(&setup.server.messages()[0]);
    assert_eq!(text(&sent, "/callbackUrl"), text(&sent, "/report"));
    let message = setup.message(&vendor).await;
    let body = json!({"messageId": "a7b3c1d2", "status": "undelivered", "to": "+33612345678",
        "timestamp": "2026-11-21T20:00:00Z"});
    let report = posted(&message, "application/json", &body.to_string());
    assert_status(&report.send(&setup.service).await, 200);
    assert_eq!(setup.delivery(&id).await.0, "undelivered");
}

#[tokio::test]
async fn undelivered_report_of_sms_partner_is_read() {
    let vendor = vendor("smspartner");
    let setup = VendorSetup::start(&vendor).await;
    let id = setup.open(&vendor, RECIPIENT).await;
    let message = setup.message(&vendor).await;
    let report = posted(
        &message,
        "application/json",
        r#"{"messageId":307,"status":"undelivered"}"#,
    );
    assert_status(&report.send(&setup.service).await, 200);
    assert_eq!(setup.delivery(&id).await.0, "undelivered");
}

#[tokio::test]
async fn rcs_events_move_the_status_of_a_text() {
    let vendor = vendor("end_user_messaging");
    let setup = VendorSetup::start(&vendor).await;
    let id = setup.open(&vendor, RECIPIENT).await;
    let message = setup.message(&vendor).await;
    let context = json!({"eventVersion": "1.0", "context": {"m": message.reference}});
    for (event, is_final, status) in [
        ("RCS_QUEUED", false, "sent"),
        ("RCS_FAILED", false, "sent"),
        ("RCS_FALLEN_BACK_TO_SMS", false, "sent"),
        ("RCS_OF_TOMORROW", true, "sent"),
        ("RCS_TTL_EXPIRED", true, "expired"),
        ("RCS_READ", false, "delivered"),
    ] {
        let event = with(
            context.clone(),
            &json!({"eventType": event, "isFinal": is_final}),
        );
        let report = aws::notification(&message, &event);
        assert_status(&report.send(&setup.service).await, 200);
        assert_eq!(setup.delivery(&id).await.0, status, "{event}");
    }
}
