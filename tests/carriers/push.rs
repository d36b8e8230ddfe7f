//! Notifications: they go to the device that the app names; limits and guesses are those of its
//! owner. If the device is not registered any more, the next channel follows.

use serde_json::{Value, json};

use super::aws_response_tables;
use super::setup::{VendorSetup, parsed};
use super::vendor::{DEVICE, EMAIL, RECIPIENT};
use crate::support::{
    Behaviour, HttpCarrier, Service, assert_approved, assert_fields, assert_problem,
    assert_rejected, assert_status, field_of_each, phone, with,
};

const TOKEN: &str = "device-token-of-the-app-7f3a91";

/// A send over push, with these further fields.
fn push(to: &str, more: &Value) -> Value {
    with(json!({"to": to, "channel": "push", "push_to": TOKEN}), more)
}

async fn start() -> (HttpCarrier, Service) {
    let carrier = HttpCarrier::start("first").await;
    let service = Service::start_with_carriers(&[&carrier], &[]).await;
    (carrier, service)
}

#[tokio::test]
async fn notification_goes_to_the_device() {
    for to in [RECIPIENT, EMAIL] {
        let (carrier, service) = start().await;
        let sent = service.send_body(push(to, &json!({}))).await;
        assert_status(&sent, 201);
        assert_fields(&sent.body, json!({"to": to, "channel": "push"}));
        service.settle().await;
        let received = carrier.received();
        let (body, code) = (&received[0].body, received[0].code());
        let data = json!({"code": code, "verification_id": sent.id()});
        assert_fields(
            body,
            json!({"to": to, "channel": "push", "push_to": TOKEN, "title": "Example", "data": data}),
        );
        let report = carrier.report(&received[0], "delivered", service.now().await);
        assert_status(&report.send(&service).await, 200);
        let shown = service.show(&sent.id()).await;
        assert_fields(&shown.body, json!({"delivery": {"status": "delivered"}}));
        assert!(!shown.body.to_string().contains(TOKEN), "{shown:?}");
        assert_approved(&service.check(&sent.id(), &code).await, 4);
    }
}

#[tokio::test]
async fn text_has_no_fields_of_a_notification() {
    let (carrier, service) = start().await;
    let body = json!({"to": RECIPIENT, "fallback": ["push"], "push_to": TOKEN});
    service.open_id(body).await;
    service.settle().await;
    let received = carrier.received();
    for field in ["push_to", "title", "data"] {
        assert_eq!(received[0].body.get(field), None, "{field}");
    }
}

#[tokio::test]
async fn notification_without_a_device_is_rejected() {
    let (_, service) = start().await;
    for body in [
        json!({"to": RECIPIENT, "channel": "push"}),
        json!({"to": RECIPIENT, "channel": "push", "push_to": null}),
        json!({"to": RECIPIENT, "fallback": ["voice", "push"]}),
    ] {
        let response = service.send_body(body.clone()).await;
        assert_problem(&response, 422, "invalid_request");
        assert_eq!(response.error_fields(), ["push_to"], "{body}");
    }
    let id = service.open_id(json!({"to": RECIPIENT})).await;
    service.advance(30).await;
    let resent = service.resend_body(&id, json!({"channel": "push"})).await;
    assert_problem(&resent, 422, "invalid_request");
    assert_eq!(resent.error_fields(), ["push_to"]);
}

#[tokio::test]
async fn resend_may_name_another_device() {
    let (carrier, service) = start().await;
    let id = service.open_id(push(RECIPIENT, &json!({}))).await;
    for (seconds, body) in [
        (30, json!({})),
        (60, json!({"push_to": "another"})),
        (120, json!({"channel": "push"})),
    ] {
        service.advance(seconds).await;
        assert_status(&service.resend_body(&id, body).await, 200);
    }
    service.settle().await;
    let devices: Vec<_> = carrier
        .received()
        .iter()
        .map(|message| message.body["push_to"].clone())
        .collect();
    assert_eq!(devices, [TOKEN, TOKEN, "another", "another"]);
}

#[tokio::test]
async fn next_channel_follows_a_device_that_is_gone() {
    let vendor = aws_response_tables::sns_push();
    for channels in [json!(["sms"]), json!(["voice", "sms"])] {
        let setup = VendorSetup::start(&vendor).await;
        setup
            .server
            .respond_with(aws_response_tables::SNS_PUSH[0].0);
        let body =
            json!({"to": RECIPIENT, "channel": "push", "push_to": DEVICE, "fallback": channels});
        let id = setup.service.open_id(body).await;
        setup.service.settle().await;
        let shown = setup.service.show(&id).await.body;
        let deliveries = shown["deliveries"].as_array().cloned().unwrap_or_default();
        assert_eq!(
            (
                &field_of_each(&deliveries, "channel")[..2],
                &field_of_each(&deliveries, "status")[0]
            ),
            (
                &[
                    "push".to_owned(),
                    channels[0].as_str().unwrap_or_default().to_owned()
                ][..],
                &"rejected".to_owned()
            ),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn notification_follows_a_text_that_was_not_delivered() {
    let (carrier, service) = start().await;
    carrier.behave(Behaviour::Accept);
    let body = json!({"to": RECIPIENT, "fallback": ["push"], "push_to": TOKEN});
    service.open_id(body).await;
    service.advance(62).await;
    let received = carrier.received();
    let channels: Vec<_> = received.iter().map(|message| message.channel()).collect();
    assert_eq!(channels, ["sms", "push"]);
    assert_eq!(received[1].body["push_to"], TOKEN);
    assert_eq!(received[0].code(), received[1].code(), "the same code");
}

#[tokio::test]
async fn sns_gets_a_payload_for_each_platform() {
    let vendor = aws_response_tables::sns_push();
    let setup = VendorSetup::start(&vendor).await;
    let id = setup.open(&vendor, RECIPIENT).await;
    assert_eq!(setup.delivery(&id).await, ("sent".into(), "sns".into()));
    let published = parsed(&setup.server.messages()[0]);
    assert_fields(
        &published,
        json!({"Action": "Publish", "TargetArn": DEVICE, "MessageStructure": "json"}),
    );
    assert_eq!(published.get("PhoneNumber"), None);
    let document = |text: &Value| -> Value {
        serde_json::from_str(text.as_str().expect("a text")).expect("JSON")
    };
    let payloads = document(&published["Message"]);
    let (apns, fcm) = (document(&payloads["APNS"]), document(&payloads["GCM"]));
    let message = &fcm["fcmV1Message"]["message"];
    assert_eq!(payloads["APNS"], payloads["APNS_SANDBOX"]);
    let text = payloads["default"].as_str().expect("a text");
    let shown = json!({"title": "Example", "body": text});
    assert_eq!(
        (&apns["aps"]["alert"], &message["notification"]),
        (&shown, &shown)
    );
    let code = super::setup::code(text);
    for data in [&apns, &message["data"]] {
        assert_fields(data, json!({"code": code, "verification_id": id}));
    }
    assert_eq!(message["android"]["priority"], "high");
    assert_approved(&setup.service.check(&id, &code).await, 4);
}

#[tokio::test]
async fn code_is_not_published_to_a_topic() {
    let vendor = aws_response_tables::sns_push();
    let setup = VendorSetup::start(&vendor).await;
    for device in [
        "arn:aws:sns:eu-west-1:123456789012:news",
        "token",
        RECIPIENT,
    ] {
        let body = json!({"to": phone(device.len() as u32), "channel": "push", "push_to": device});
        let id = setup.service.open_id(body).await;
        assert_eq!(setup.delivery(&id).await, ("rejected".into(), "sns".into()));
    }
    assert_eq!(setup.server.messages().len(), 0);
}

#[tokio::test]
async fn device_is_stored_sealed() {
    let (_, service) = start().await;
    service.open_id(push(RECIPIENT, &json!({}))).await;
    service.settle().await;
    let state = service.state().await.to_string();
    let base64 = data_encoding::BASE64.encode(TOKEN.as_bytes());
    assert!(
        !state.contains(TOKEN) && !state.contains(&base64),
        "{state}"
    );
    assert!(state.contains("sealed_device"), "{state}");
    service.forget(RECIPIENT).await;
    let state = service.state().await.to_string();
    assert!(!state.contains("sealed_device"), "{state}");
}

#[tokio::test]
async fn limits_are_those_of_the_owner() {
    let (_, service) = start().await;
    service.open_id(push(RECIPIENT, &json!({}))).await;
    let other_device = push(RECIPIENT, &json!({"push_to": "another"}));
    assert_rejected(&service.send_body(other_device).await, "cooldown");
    assert_rejected(&service.send(RECIPIENT).await, "cooldown");
}

#[tokio::test]
async fn simulated_phone_shows_a_notification() {
    for dispatch in ["queue", "sns"] {
        let carriers = json!([{"kind": "sns"}]).to_string();
        let variables = [("OTP_CARRIERS", &*carriers), ("OTP_DISPATCH", dispatch)];
        let service = Service::start_with(&variables).await;
        let body = push(RECIPIENT, &json!({"push_to": DEVICE}));
        let id = service.open_id(body).await;
        let messages = service.messages(RECIPIENT).await;
        assert_fields(
            &messages[0],
            json!({"to": RECIPIENT, "channel": "push", "from": "Example", "carrier": "sns", "verification_id": id}),
        );
        let code = messages[0]["code"].as_str().expect("a code");
        assert_approved(&service.check(&id, code).await, 4);
    }
    let service = Service::start().await;
    let id = service.open_id(push(RECIPIENT, &json!({}))).await;
    let messages = service.messages(RECIPIENT).await;
    assert_fields(
        &messages[0],
        json!({"channel": "push", "from": "Example", "carrier": "sim-a", "verification_id": id}),
    );
}
