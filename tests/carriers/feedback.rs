//! Conversion feedback: with `feedback` in its entry, the carrier that delivered a message is
//! informed that its code came back, once the code has expired; never during a check.

use serde_json::{Value, json};

use super::setup::{VendorSetup, code, parsed};
use super::vendor::{RECIPIENT, Vendor};
use super::{aws, signed, unsigned};
use crate::support::{assert_queue_is_empty, assert_status, unix_seconds, with};

const TWILIO: &str = "/2010-04-01/Accounts/ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/Messages/SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/Feedback.json";

fn vendor(kind: &str, channel: &str) -> Vendor {
    let vendors = [signed::vendors(), aws::vendors(), unsigned::vendors()];
    let mut vendors = vendors.into_iter().flatten();
    let vendor = vendors.find(|vendor| vendor.kind == kind && vendor.channel == channel);
    let mut vendor = vendor.unwrap_or_else(|| panic!("{kind} {channel}"));
    vendor.settings["feedback"] = true.into();
    vendor
}

/// A verification whose code was sent by `vendor`. Returns its id and the code.
async fn open(setup: &VendorSetup, vendor: &Vendor) -> (String, String) {
    let id = setup.open(vendor, RECIPIENT).await;
    let messages = setup.server.messages();
    let body = parsed(messages.last().expect("a message"));
    let text = body.pointer(vendor.text).and_then(Value::as_str);
    (id, code(text.unwrap_or_default()))
}

#[tokio::test]
async fn twilio_is_informed_when_the_code_has_expired() {
    for channel in ["sms", "whatsapp"] {
        let vendor = vendor("twilio", channel);
        let setup = VendorSetup::start(&vendor).await;
        let (id, code) = open(&setup, &vendor).await;
        assert_eq!(
            parsed(&setup.server.messages()[0])["ProvideFeedback"],
            "true"
        );
        assert!(setup.service.check(&id, &code).await.is_valid());
        setup.service.advance(250).await;
        assert_eq!(setup.server.messages().len(), 1, "not before the end");
        setup.service.advance(60).await;
        let messages = setup.server.messages();
        assert_eq!(messages.len(), 2, "{channel}");
        assert_eq!(messages[1].path, TWILIO);
        assert_eq!(parsed(&messages[1]), json!({"Outcome": "confirmed"}));
        assert!(messages[1].headers.contains_key("authorization"));
        assert_queue_is_empty(&setup.service).await;
    }
}

#[tokio::test]
async fn aws_is_informed_by_the_id_of_the_message() {
    for (kind, channel) in [
        ("end_user_messaging", "sms"),
        ("end_user_messaging", "voice"),
        ("notify", "sms"),
    ] {
        let vendor = vendor(kind, channel);
        let setup = VendorSetup::start(&vendor).await;
        let (id, code) = open(&setup, &vendor).await;
        assert_eq!(
            parsed(&setup.server.messages()[0])["MessageFeedbackEnabled"],
            true
        );
        assert!(setup.service.check(&id, &code).await.is_valid());
        setup.service.advance(310).await;
        let messages = setup.server.messages();
        assert_eq!(messages.len(), 2, "{kind} {channel}");
        let target = "PinpointSMSVoiceV2.PutMessageFeedback";
        assert_eq!(messages[1].headers["x-amz-target"], target);
        assert!(messages[1].headers.contains_key("authorization"), "signed");
        assert_eq!(
            parsed(&messages[1]),
            json!({"MessageId": "862a8790-60c0-4430-9b2b-658bdexample", "MessageFeedbackStatus": "RECEIVED"})
        );
    }
}

#[tokio::test]
async fn cm_is_informed_by_our_reference() {
    for channel in ["sms", "voice"] {
        let vendor = vendor("cm", channel);
        let setup = VendorSetup::start(&vendor).await;
        let (id, code) = open(&setup, &vendor).await;
        let before = setup.service.now().await;
        assert!(setup.service.check(&id, &code).await.is_valid());
        let after = setup.service.now().await;
        setup.service.advance(310).await;
        let messages = setup.server.messages();
        assert_eq!(messages[1].path, "/v1.0/conversion");
        let sent = parsed(&messages[0]);
        let body = parsed(&messages[1]);
        let converted = body["ConvertedTimestamp"].as_str().expect("a time");
        let converted = unix_seconds(&json!(format!("{converted}Z")));
        assert!((before..=after).contains(&converted), "{body}");
        assert_eq!(
            with(body.clone(), &json!({"ConvertedTimestamp": null})),
            json!({
                "ProductToken": "00000000-0000-0000-0000-000000000000",
                "Reference": sent["messages"]["msg"][0]["reference"],
                "Msisdn": "0033612345678",
                "ConvertedTimestamp": null,
            })
        );
    }
}

#[tokio::test]
async fn carrier_is_not_informed_of_an_unused_code() {
    let vendor = vendor("twilio", "sms");
    let setup = VendorSetup::start(&vendor).await;
    let (id, code) = open(&setup, &vendor).await;
    setup.service.fail_checks(&id, &code, 2).await;
    setup.service.advance(1000).await;
    assert_eq!(setup.server.messages().len(), 1);
    assert_queue_is_empty(&setup.service).await;
}

#[tokio::test]
async fn feedback_is_off_by_default() {
    let mut vendor = vendor("twilio", "sms");
    vendor.settings["feedback"] = Value::Null;
    let setup = VendorSetup::start(&vendor).await;
    let (id, code) = open(&setup, &vendor).await;
    assert_eq!(
        parsed(&setup.server.messages()[0]).get("ProvideFeedback"),
        None
    );
    assert!(setup.service.check(&id, &code).await.is_valid());
    setup.service.advance(1000).await;
    assert_eq!(setup.server.messages().len(), 1);
}

#[tokio::test]
async fn newer_verification_does_not_prevent_the_feedback() {
    let vendor = vendor("twilio", "sms");
    let setup = VendorSetup::start(&vendor).await;
    let (id, code) = open(&setup, &vendor).await;
    assert!(setup.service.check(&id, &code).await.is_valid());
    open(&setup, &vendor).await;
    setup.service.advance(400).await;
    let messages = setup.server.messages();
    let feedback = messages.iter().filter(|message| message.path == TWILIO);
    assert_eq!(feedback.count(), 1);
}

#[tokio::test]
async fn carrier_that_did_not_deliver_is_not_informed() {
    let vendor = vendor("twilio", "sms");
    let only_push = json!({"channels": ["push"]});
    let setup = VendorSetup::start_with(&vendor, &only_push, &[]).await;
    let body = json!({"to": RECIPIENT, "fallback": ["push"], "push_to": "token"});
    let id = setup.service.open_id(body).await;
    setup.service.advance(62).await;
    let received = setup.second.received();
    let report = setup
        .second
        .report(&received[0], "delivered", setup.service.now().await);
    assert_status(&report.send(&setup.service).await, 200);
    assert!(
        setup
            .service
            .check(&id, &received[0].code())
            .await
            .is_valid()
    );
    setup.service.advance(400).await;
    assert_eq!(setup.server.messages().len(), 1, "no feedback");
}

#[tokio::test]
async fn refused_feedback_is_not_repeated() {
    let vendor = vendor("twilio", "sms");
    let setup = VendorSetup::start(&vendor).await;
    let (id, code) = open(&setup, &vendor).await;
    assert!(setup.service.check(&id, &code).await.is_valid());
    setup.server.respond_with((500, "{}"));
    setup.service.advance(1000).await;
    assert_eq!(setup.server.messages().len(), 2);
    assert_queue_is_empty(&setup.service).await;
}
