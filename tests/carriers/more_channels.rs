//! Channels of vendors that are not in `vendors`: SMSBOX speaks to French landlines and sends
//! WhatsApp messages without reports; CM.com finds devices by the number of their owner.

use serde_json::{Value, json};

use super::response_classes::Class::{self, AccountRejected, Misconfigured, Transient, Unknown};
use super::response_tables::ResponseTable;
use super::setup::{VendorSetup, code, parsed};
use super::unsigned;
use super::vendor::{EMAIL, RECIPIENT, Vendor, VendorResponse};
use crate::support::{assert_fields, assert_problem, assert_status, with};

const LANDLINE: &str = "+33142685300";

fn vendor(kind: &str, channel: &str) -> Vendor {
    let mut vendors = unsigned::vendors().into_iter();
    let vendor = vendors.find(|vendor| vendor.kind == kind && vendor.channel == channel);
    vendor.unwrap_or_else(|| panic!("{kind} {channel}"))
}

fn smsbox_whatsapp() -> Vendor {
    let smsbox = vendor("smsbox", "sms");
    let more = json!({"whatsapp_template": "otp", "waba_id": "waba1", "phone_id": "phone1"});
    Vendor {
        channel: "whatsapp",
        settings: with(smsbox.settings.clone(), &more),
        text: "/contentMessage/template/components/0/parameters/0/text",
        reference: None,
        accepted: (
            202,
            r#"{"response":{"response_code":"202","response_desc":"Request successfully queued."},"details":"Request accepted for processing.",
                "reference":"123","recipients":[{"submitted":"+33612345678","rewrited":"33612345678","state":"ACCEPTED","reason_code":"PROCESSING"}]}"#,
        ),
        ..smsbox
    }
}

macro_rules! refused {
    ($status:literal) => {
        (
            $status,
            concat!("{\"response\":{\"response_code\":\"", $status, "\"}}"),
        )
    };
}

const SMSBOX_WHATSAPP: &[(VendorResponse, Class)] = &[
    (refused!(400), Misconfigured),
    (refused!(401), AccountRejected),
    (refused!(402), AccountRejected),
    (refused!(403), Misconfigured),
    (refused!(404), Misconfigured),
    (refused!(405), Misconfigured),
    (refused!(413), Misconfigured),
    (refused!(503), Transient),
    (refused!(202), Unknown),
    (
        (
            202,
            r#"{"response":{"response_code":"202"},"recipients":[{"state":"REJECTED"}]}"#,
        ),
        Misconfigured,
    ),
];

/// Its documented errors.
pub fn smsbox_whatsapp_table() -> ResponseTable {
    ResponseTable {
        vendor: smsbox_whatsapp(),
        rows: SMSBOX_WHATSAPP.to_vec(),
    }
}

#[tokio::test]
async fn smsbox_sends_the_template_of_whatsapp() {
    let vendor = smsbox_whatsapp();
    let setup = VendorSetup::start(&vendor).await;
    let id = setup.open(&vendor, RECIPIENT).await;
    assert_eq!(setup.delivery(&id).await, ("sent".into(), "smsbox".into()));
    let request = &setup.server.messages()[0];
    assert_eq!(request.path, "/waba/1.1/json/waba1/message/phone1");
    assert_eq!(request.headers["authorization"], "App key-for-tests");
    let body = parsed(request);
    let code = code(
        body.pointer(vendor.text)
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );
    let parameters = json!([{"type": "text", "text": code}]);
    let components = json!([
        {"type": "body", "parameters": parameters},
        {"type": "button", "sub_type": "url", "index": "0", "parameters": parameters},
    ]);
    let template = json!({"name": "otp", "language": {"code": "fr"}, "components": components});
    let content = json!({"type": "template", "template": template});
    assert_eq!(
        body,
        json!({"recipients": [RECIPIENT], "contentMessage": content})
    );
    assert!(setup.service.check(&id, &code).await.is_valid());
}

#[tokio::test]
async fn smsbox_speaks_to_french_landlines_only() {
    let mut vendor = vendor("smsbox", "sms");
    vendor.settings["voice"] = true.into();
    let no_voice = json!({"channels": ["sms"]});
    let setup = VendorSetup::start_with(&vendor, &no_voice, &[]).await;
    let call = |to: &str| {
        setup
            .service
            .send_body(json!({"to": to, "channel": "voice"}))
    };
    assert_status(&call(LANDLINE).await, 201);
    setup.service.settle().await;
    let form = parsed(&setup.server.messages()[0]);
    assert_fields(&form, json!({"dest": "33142685300", "allow_vocal": "1"}));
    for other in [RECIPIENT, "+442071234567"] {
        assert_problem(&call(other).await, 422, "channel_not_configured");
    }
    setup.open(&vendor, RECIPIENT).await;
    let text = parsed(&setup.server.messages()[1]);
    assert_eq!(text.get("allow_vocal"), None);
}

#[tokio::test]
async fn cm_finds_devices_by_number() {
    let vendor = vendor("cm", "push");
    let no_push = json!({"channels": ["sms", "email"]});
    let setup = VendorSetup::start_with(&vendor, &no_push, &[]).await;
    let body = json!({"to": EMAIL, "channel": "push", "push_to": "token"});
    let response = setup.service.send_body(body).await;
    assert_problem(&response, 422, "channel_not_configured");
}

#[tokio::test]
async fn channel_without_its_settings_is_not_served() {
    // A sender id of AWS cannot call.
    for kind in ["cm", "vonage", "smsbox", "smspartner", "end_user_messaging"] {
        let vendors = super::vendors().into_iter();
        let mut vendors = vendors.filter(|vendor| vendor.kind == kind && vendor.channel == "sms");
        let vendor = vendors.next().expect("a vendor");
        let only_texts = json!({"channels": ["sms"]});
        let setup = VendorSetup::start_with(&vendor, &only_texts, &[]).await;
        for channel in ["voice", "whatsapp", "push"] {
            let body = json!({"to": RECIPIENT, "channel": channel, "push_to": "token"});
            let response = setup.service.send_body(body).await;
            assert_problem(&response, 422, "channel_not_configured");
        }
    }
}
