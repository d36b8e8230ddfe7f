//! Reports that mean "your account": the message has the reported status, the operator gets an
//! error in the log, and the next carrier gets the message once, while the verification is pending.

use serde_json::{Value, json};
use tracing::Level;

use super::setup::{VendorSetup, code, parsed};
use super::signed::{self, signed_vonage_report, twilio_report};
use super::vendor::{RECIPIENT, Vendor, VendorMessage, VendorReport};
use crate::support::{
    LogCapture, Service, assert_queue_is_empty, assert_status, built_functions, deliveries_of,
    delivery,
};

fn vendor(kind: &str, channel: &str) -> Vendor {
    let mut vendors = signed::vendors().into_iter();
    let vendor = vendors.find(|vendor| vendor.kind == kind && vendor.channel == channel);
    vendor.unwrap_or_else(|| panic!("{kind} {channel}"))
}

fn failed_at_twilio(message: &VendorMessage, status: &str, error: &str) -> VendorReport {
    let fields = [
        ("ErrorCode", error),
        ("MessageSid", "SMbb"),
        ("MessageStatus", status),
    ];
    twilio_report(message, &fields)
}

fn rejected_by_vonage(message: &VendorMessage, error: &str) -> VendorReport {
    let error = json!({"type": format!("https://developer.vonage.com/api-errors/messages#{error}"), "title": error});
    let body = json!({"status": "rejected", "client_ref": message.reference, "channel": "sms", "error": error});
    signed_vonage_report(message, &body)
}

/// Whether the log has an error for the operator. Functions that run as processes log elsewhere.
fn has_error(logs: &LogCapture) -> bool {
    let is_error = logs
        .take()
        .iter()
        .any(|line| line.level == Level::ERROR && line.field("error.kind") == "misconfigured");
    is_error || built_functions::for_suite().is_some()
}

#[tokio::test]
async fn account_fault_sends_the_code_through_the_next_carrier() {
    let (sms, whatsapp) = (vendor("twilio", "sms"), vendor("twilio", "whatsapp"));
    let vonage = vendor("vonage", "sms");
    type Reporter = Box<dyn Fn(&VendorMessage) -> VendorReport>;
    let twilio = |status: &'static str, error: &'static str| -> Reporter {
        Box::new(move |message| failed_at_twilio(message, status, error))
    };
    let by_vonage = |error: &'static str| -> Reporter {
        Box::new(move |message| rejected_by_vonage(message, error))
    };
    for (vendor, report, status) in [
        // Queue of the account full, account suspended, toll-free number not verified, number not
        // registered.
        (&sms, twilio("failed", "30001"), "rejected"),
        (&sms, twilio("undelivered", "30002"), "undelivered"),
        (&sms, twilio("undelivered", "30032"), "undelivered"),
        (&sms, twilio("undelivered", "30034"), "undelivered"),
        // Outside a session without a template.
        (&whatsapp, twilio("failed", "63016"), "rejected"),
        // An illegal sender; a trial account's list of numbers.
        (&vonage, by_vonage("1120"), "rejected"),
        (&vonage, by_vonage("1160"), "rejected"),
    ] {
        let logs = LogCapture::start();
        let (setup, label) = (VendorSetup::start(vendor).await, vendor.label());
        let id = setup.open(vendor, RECIPIENT).await;
        let report = report(&setup.message(vendor).await);
        logs.take();
        assert_status(&report.send(&setup.service).await, 200);
        assert!(has_error(&logs), "{label}");
        assert_eq!(
            deliveries_of(&setup.service, &id).await,
            [delivery(status, vendor.kind), delivery("sent", "second")],
            "{label}"
        );
        let sent = parsed(&setup.server.messages()[0]);
        let sent = sent.pointer(vendor.text).and_then(Value::as_str);
        let again = setup.second.received();
        assert_eq!(sent.map(code), Some(again[0].code()), "{label}: same code");
        assert_status(&report.send(&setup.service).await, 200);
        setup.service.advance(200).await;
        assert_eq!(setup.second.received().len(), 1, "{label}: once");
        assert_queue_is_empty(&setup.service).await;
    }
}

#[tokio::test]
async fn failure_at_the_recipient_needs_no_other_carrier() {
    let (vendor, logs) = (vendor("twilio", "sms"), LogCapture::start());
    let setup = VendorSetup::start(&vendor).await;
    let id = setup.open(&vendor, RECIPIENT).await;
    let report = failed_at_twilio(&setup.message(&vendor).await, "undelivered", "30003");
    logs.take();
    assert_status(&report.send(&setup.service).await, 200);
    let errors = logs
        .take()
        .into_iter()
        .filter(|line| line.level == Level::ERROR);
    assert_eq!(errors.count(), 0);
    assert_eq!(
        deliveries_of(&setup.service, &id).await,
        [delivery("undelivered", "twilio")]
    );
    assert!(setup.second.received().is_empty());
}

#[tokio::test]
async fn account_fault_after_the_code_was_used_sends_nothing() {
    let vendor = vendor("twilio", "sms");
    let setup = VendorSetup::start(&vendor).await;
    let id = setup.open(&vendor, RECIPIENT).await;
    let text = parsed(&setup.server.messages()[0])["Body"].to_string();
    assert_status(&setup.service.check(&id, &code(&text)).await, 200);
    let report = failed_at_twilio(&setup.message(&vendor).await, "undelivered", "30034");
    assert_status(&report.send(&setup.service).await, 200);
    setup.service.settle().await;
    assert!(setup.second.received().is_empty());
    assert_queue_is_empty(&setup.service).await;
}

#[tokio::test]
async fn account_fault_without_another_carrier_sends_the_fallback() {
    let vendor = vendor("twilio", "sms");
    let setup = VendorSetup::start_with(&vendor, &json!({"channels": ["voice"]}), &[]).await;
    let sent = setup
        .service
        .send_body(json!({"to": RECIPIENT, "fallback": ["voice"]}))
        .await;
    setup.service.settle().await;
    let report = failed_at_twilio(&setup.message(&vendor).await, "undelivered", "30034");
    // Twilio would be called first, and this stand-in takes calls as well.
    setup.server.respond_with((500, "{}"));
    assert_status(&report.send(&setup.service).await, 200);
    assert_eq!(
        deliveries_of(&setup.service, &sent.id()).await,
        [
            delivery("undelivered", "twilio"),
            delivery("sent", "second")
        ]
    );
    assert_eq!(setup.second.received()[0].channel(), "voice");
}

#[tokio::test]
async fn account_fault_before_the_response_is_kept() {
    let vendor = vendor("twilio", "sms");
    let setup = VendorSetup::start(&vendor).await;
    setup.server.before_response(|request| async move {
        let url = parsed(&request)["StatusCallback"]
            .as_str()
            .map(str::to_owned);
        let url = url.expect("a callback URL");
        let service = Service::at(url.split("/v1").next().unwrap_or_default());
        let message = VendorMessage {
            url,
            reference: String::new(),
            now: 0,
        };
        let report = failed_at_twilio(&message, "undelivered", "30034");
        assert_status(&report.send(&service).await, 200);
    });
    let id = setup.open(&vendor, RECIPIENT).await;
    assert_eq!(
        deliveries_of(&setup.service, &id).await,
        [
            delivery("undelivered", "twilio"),
            delivery("sent", "second")
        ]
    );
    assert_eq!(setup.second.received().len(), 1);
}
