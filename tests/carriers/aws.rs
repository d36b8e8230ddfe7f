//! The vendors of AWS: End User Messaging (texts and calls) and SES. Reports come in envelopes of
//! SNS. A key for tests signs them; the stand-in for SNS serves its certificate.

use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::setup::VendorSetup;
use super::vendor::{CALLBACK_TOKEN, EMAIL, Vendor, VendorMessage, VendorReport};
use crate::support::{assert_status, phone, rfc3339, with};

pub const CERTIFICATE: &str = include_str!("../data/sns-for-tests.pem");
const KEY: &str = include_str!("../data/sns-for-tests.key.pem");
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:otp-reports";
const AT_SNS: &str = "https://sns.eu-west-1.amazonaws.com/";

pub fn vendors() -> Vec<Vendor> {
    vec![text(), call(), mail(), notify_text(), notify_call()]
}

/// Headers of a request that is signed with the credentials of the local server.
fn signed_headers(content_type: &str, target: &str) -> Vec<(&'static str, String)> {
    let authorization = (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=local/".to_owned(),
    );
    let mut headers = vec![
        authorization,
        ("x-amz-date", "20".to_owned()),
        ("content-type", content_type.to_owned()),
    ];
    headers.push(("x-amz-target", target.to_owned()));
    headers
}

fn text() -> Vendor {
    Vendor {
        kind: "end_user_messaging",
        channel: "sms",
        settings: json!({"origination_identity": "AcmeInc", "configuration_set": "otp", "topic_arn": TOPIC}),
        secrets: json!({"callback_token": CALLBACK_TOKEN}),
        path: "/",
        headers: signed_headers(
            "application/x-amz-json-1.0",
            "PinpointSMSVoiceV2.SendTextMessage",
        ),
        fields: vec![
            ("/DestinationPhoneNumber", json!("+33612345678")),
            ("/OriginationIdentity", json!("AcmeInc")),
            ("/MessageType", json!("TRANSACTIONAL")),
            ("/ConfigurationSetName", json!("otp")),
        ],
        text: "/MessageBody",
        url: None,
        reference: Some("/Context/m"),
        accepted: (
            200,
            r#"{"MessageId":"862a8790-60c0-4430-9b2b-658bdexample"}"#,
        ),
        permanent: (
            400,
            r#"{"__type":"ConflictException","Message":"…","Reason":"DESTINATION_PHONE_NUMBER_OPTED_OUT"}"#,
        ),
        transient: (400, r#"{"__type":"ThrottlingException","Message":"…"}"#),
        misconfigured: (
            400,
            r#"{"__type":"AccessDeniedException","Message":"…","Reason":"ACCOUNT_DISABLED"}"#,
        ),
        unreadable: (200, "{}"),
        report: |message| notification(message, &event("TEXT_DELIVERED", message)),
        altered: Some(("TEXT_DELIVERED", "TEXT_BLOCKED")),
    }
}

fn call() -> Vendor {
    Vendor {
        channel: "voice",
        settings: with(
            text().settings,
            &json!({"origination_identity": "+12065550152"}),
        ),
        headers: signed_headers(
            "application/x-amz-json-1.0",
            "PinpointSMSVoiceV2.SendVoiceMessage",
        ),
        fields: vec![
            ("/DestinationPhoneNumber", json!("+33612345678")),
            ("/MessageBodyTextType", json!("TEXT")),
        ],
        report: |message| notification(message, &event("VOICE_COMPLETED", message)),
        altered: Some(("VOICE_COMPLETED", "VOICE_BUSY")),
        ..text()
    }
}

fn notify_text() -> Vendor {
    Vendor {
        kind: "notify",
        settings: json!({"notify_configuration_id": "nc-1", "configuration_set": "otp", "topic_arn": TOPIC}),
        headers: signed_headers(
            "application/x-amz-json-1.0",
            "PinpointSMSVoiceV2.SendNotifyTextMessage",
        ),
        fields: vec![
            ("/NotifyConfigurationId", json!("nc-1")),
            ("/DestinationPhoneNumber", json!("+33612345678")),
            ("/ConfigurationSetName", json!("otp")),
        ],
        text: "/TemplateVariables/code",
        ..text()
    }
}

fn notify_call() -> Vendor {
    Vendor {
        channel: "voice",
        headers: signed_headers(
            "application/x-amz-json-1.0",
            "PinpointSMSVoiceV2.SendNotifyVoiceMessage",
        ),
        report: |message| notification(message, &event("VOICE_COMPLETED", message)),
        altered: Some(("VOICE_COMPLETED", "VOICE_BUSY")),
        ..notify_text()
    }
}

fn mail() -> Vendor {
    Vendor {
        kind: "ses",
        channel: "email",
        settings: json!({"from": "Acme <otp@example.com>", "configuration_set": "otp", "callback_token": CALLBACK_TOKEN}),
        secrets: json!({}),
        path: "/v2/email/outbound-emails",
        headers: signed_headers("application/json", ""),
        fields: vec![
            ("/FromEmailAddress", json!("Acme <otp@example.com>")),
            ("/Destination/ToAddresses", json!([EMAIL])),
            ("/EmailTags/0/Name", json!("m")),
            ("/ConfigurationSetName", json!("otp")),
        ],
        text: "/Content/Simple/Body/Text/Data",
        reference: Some("/EmailTags/0/Value"),
        permanent: (
            400,
            r#"{"__type":"MessageRejected","message":"Email address is on the suppression list"}"#,
        ),
        transient: (
            429,
            r#"{"__type":"TooManyRequestsException","message":"…"}"#,
        ),
        misconfigured: (400, r#"{"__type":"SendingPausedException","message":"…"}"#),
        report: |message| {
            let mail = json!({"messageId": "0102018c-000000", "tags": {"m": [message.reference], "ses:configuration-set": ["otp"]}});
            notification(
                message,
                &json!({"eventType": "Delivery", "mail": mail, "delivery": {"smtpResponse": "250 ok"}}),
            )
        },
        altered: Some(("Delivery", "Complaint")),
        ..text()
    }
}

fn event(event_type: &str, message: &VendorMessage) -> Value {
    json!({"eventType": event_type, "eventVersion": "1.0", "isFinal": true, "context": {"m": message.reference}})
}

pub fn notification(message: &VendorMessage, event: &Value) -> VendorReport {
    let envelope = json!({"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC,
        "Message": event.to_string(), "Timestamp": rfc3339(message.now)});
    signed_envelope(
        message,
        &envelope,
        &["Message", "MessageId", "Timestamp", "TopicArn", "Type"],
    )
}

/// <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>, version 2.
fn signed_envelope(message: &VendorMessage, envelope: &Value, keys: &[&str]) -> VendorReport {
    let signed: String = keys
        .iter()
        .map(|key| format!("{key}\n{}\n", envelope[*key].as_str().expect("a text")))
        .collect();
    let key: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let key =
        RsaKeyPair::from_pkcs8(&BASE64.decode(key.as_bytes()).expect("base64")).expect("a key");
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .expect("a signature");
    let certificate =
        format!("{AT_SNS}SimpleNotificationService-0123456789abcdef0123456789abcdef.pem");
    let signature = json!({"SignatureVersion": "2", "Signature": BASE64.encode(&signature), "SigningCertURL": certificate});
    let body = with(envelope.clone(), &signature).to_string();
    // SNS posts its JSON as text.
    let headers = vec![("content-type", "text/plain; charset=UTF-8".to_owned())];
    VendorReport {
        method: "POST",
        url: message.url.clone(),
        headers,
        body,
    }
}

/// What a topic posts first.
fn confirmation(message: &VendorMessage, topic: &str) -> VendorReport {
    let envelope = json!({"Type": "SubscriptionConfirmation", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b", "Token": "2336412f37",
        "TopicArn": topic, "Message": "You have chosen to subscribe", "Timestamp": rfc3339(message.now),
        "SubscribeURL": format!("{AT_SNS}?Action=ConfirmSubscription&TopicArn={topic}&Token=2336412f37")});
    signed_envelope(
        message,
        &envelope,
        &[
            "Message",
            "MessageId",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ],
    )
}

#[tokio::test]
async fn complaint_of_the_suppression_list_is_rejected() {
    for (sub_type, status) in [
        (json!(null), "delivered"),
        (json!("OnAccountSuppressionList"), "rejected"),
    ] {
        let (vendor, setup) = (mail(), VendorSetup::start(&mail()).await);
        let id = setup.open(&vendor, EMAIL).await;
        let message = setup.message(&vendor).await;
        let tags = json!({"m": [message.reference], "ses:configuration-set": ["otp"]});
        let event = json!({"eventType": "Complaint", "mail": {"messageId": "0102018c", "tags": tags},
            "complaint": {"complaintSubType": sub_type, "feedbackId": "1"}});
        assert_status(
            &notification(&message, &event).send(&setup.service).await,
            200,
        );
        assert_eq!(setup.delivery(&id).await.0, status, "{sub_type}");
    }
}

#[tokio::test]
async fn subscription_is_confirmed_for_the_own_topic_only() {
    let (vendor, setup) = (text(), VendorSetup::start(&text()).await);
    setup.open(&vendor, &phone(1)).await;
    let message = setup.message(&vendor).await;
    let other = confirmation(&message, "arn:aws:sns:eu-west-1:999999999999:other");
    assert_status(&other.send(&setup.service).await, 401);
    let altered = confirmation(&message, TOPIC);
    let altered = VendorReport {
        body: altered.body.replace("2336412f37", "2336412f38"),
        ..altered
    };
    assert_status(&altered.send(&setup.service).await, 401);
    let is_confirmation = |path: &String| path.contains("ConfirmSubscription");
    assert!(
        !setup.server.get_requests().iter().any(is_confirmation),
        "{:?}",
        setup.server.get_requests()
    );
    assert_status(
        &confirmation(&message, TOPIC).send(&setup.service).await,
        200,
    );
    let get_requests: Vec<_> = setup
        .server
        .get_requests()
        .into_iter()
        .filter(is_confirmation)
        .collect();
    assert_eq!(
        get_requests,
        [format!(
            "/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
        )]
    );
}
