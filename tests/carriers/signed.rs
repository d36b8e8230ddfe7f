//! Vendors that sign with a shared secret: Twilio (HMAC-SHA1 over the URL and the sorted form) and
//! Vonage (a JWT with the hash of the body, HS256). Their documentation is followed here, without
//! the code under test.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::vendor::{Vendor, VendorMessage, VendorReport};

const ACCOUNT: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const AUTH_TOKEN: &str = "twilio-auth-token-for-tests-0001";
const SIGNATURE_SECRET: &str = "my-vonage-signature-secret-32bytes";
const PRIVATE_KEY: &str = include_str!("../data/sns-for-tests.key.pem");
const FROM: &str = "+15017122661";

pub fn vendors() -> Vec<Vendor> {
    vec![
        twilio_sms(),
        twilio_whatsapp(),
        twilio_voice(),
        vonage(),
        vonage_whatsapp(),
        vonage_voice(),
    ]
}

/// What the three channels of Twilio have in common.
fn twilio() -> Vendor {
    let basic = format!(
        "Basic {}",
        BASE64.encode(format!("{ACCOUNT}:{AUTH_TOKEN}").as_bytes())
    );
    Vendor {
        kind: "twilio",
        channel: "sms",
        settings: json!({"account_sid": ACCOUNT, "from": FROM, "whatsapp_from": "+14155238886", "content_sid": "HXaaaa"}),
        secrets: json!({"auth_token": AUTH_TOKEN}),
        path: "/2010-04-01/Accounts/ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/Messages.json",
        headers: vec![
            ("authorization", basic),
            ("content-type", "application/x-www-form-urlencoded".into()),
        ],
        fields: vec![],
        text: "/Body",
        url: Some("/StatusCallback"),
        reference: None,
        accepted: (
            201,
            r#"{"error_code":null,"error_message":null,"sid":"SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","status":"queued"}"#,
        ),
        permanent: (
            400,
            r#"{"code":21211,"message":"The 'To' number is not a valid phone number.","status":400}"#,
        ),
        transient: (
            429,
            r#"{"code":20429,"message":"Too Many Requests","status":429}"#,
        ),
        misconfigured: (
            401,
            r#"{"code":20003,"message":"Authenticate","status":401}"#,
        ),
        unreadable: (201, r#"{"status":"queued"}"#),
        report: |message| {
            twilio_report(
                message,
                &[
                    ("MessageStatus", "delivered"),
                    ("SmsStatus", "delivered"),
                    ("MessageSid", "SMbb"),
                ],
            )
        },
        altered: Some(("MessageStatus=delivered", "MessageStatus=read")),
    }
}

fn twilio_sms() -> Vendor {
    Vendor {
        fields: vec![("/To", json!("+33612345678")), ("/From", json!(FROM))],
        ..twilio()
    }
}

fn twilio_whatsapp() -> Vendor {
    Vendor {
        channel: "whatsapp",
        fields: vec![
            ("/To", json!("whatsapp:+33612345678")),
            ("/From", json!("whatsapp:+14155238886")),
            ("/ContentSid", json!("HXaaaa")),
        ],
        text: "/ContentVariables",
        permanent: (
            400,
            r#"{"code":63024,"message":"Invalid message recipient","status":400}"#,
        ),
        transient: (
            429,
            r#"{"code":63018,"message":"Rate limit exceeded for Channel","status":429}"#,
        ),
        report: |message| {
            let fields = [
                ("ChannelPrefix", "whatsapp"),
                ("MessageStatus", "read"),
                ("EventType", "READ"),
                ("To", "whatsapp:+33612345678"),
            ];
            twilio_report(message, &fields)
        },
        altered: Some(("MessageStatus=read", "MessageStatus=delivered")),
        ..twilio()
    }
}

fn twilio_voice() -> Vendor {
    Vendor {
        channel: "voice",
        path: "/2010-04-01/Accounts/ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/Calls.json",
        fields: vec![
            ("/To", json!("+33612345678")),
            ("/From", json!(FROM)),
            ("/StatusCallbackEvent", json!("completed")),
        ],
        text: "/Twiml",
        accepted: (
            201,
            r#"{"sid":"CAcccccccccccccccccccccccccccccccc","status":"queued"}"#,
        ),
        permanent: (
            400,
            r#"{"code":13224,"message":"Invalid phone number","status":400}"#,
        ),
        report: |message| {
            // Empty fields are signed as well.
            let fields = [
                ("CallSid", "CAcc"),
                ("CallStatus", "completed"),
                ("CallerCity", ""),
                ("ToZip", ""),
                ("Timestamp", "Fri, 21 Nov 2025"),
            ];
            twilio_report(message, &fields)
        },
        altered: Some(("CallStatus=completed", "CallStatus=canceled")),
        ..twilio()
    }
}

/// <https://www.twilio.com/docs/usage/webhooks/webhooks-security>
pub fn twilio_report(message: &VendorMessage, fields: &[(&str, &str)]) -> VendorReport {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let signed: String = [message.url.as_str()]
        .into_iter()
        .chain(sorted.into_iter().flat_map(|(name, value)| [name, value]))
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, AUTH_TOKEN.as_bytes());
    let signature = BASE64.encode(hmac::sign(&key, signed.as_bytes()).as_ref());
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let headers = vec![
        ("content-type", "application/x-www-form-urlencoded".into()),
        ("x-twilio-signature", signature),
    ];
    VendorReport {
        method: "POST",
        url: message.url.clone(),
        headers,
        body,
    }
}

fn vonage() -> Vendor {
    Vendor {
        kind: "vonage",
        channel: "sms",
        settings: json!({"sender": "AcmeInc", "api_key": "abcd1234"}),
        secrets: json!({"api_secret": "secret-for-tests", "signature_secret": SIGNATURE_SECRET}),
        path: "/v1/messages",
        headers: vec![
            (
                "authorization",
                "Basic YWJjZDEyMzQ6c2VjcmV0LWZvci10ZXN0cw==".into(),
            ),
            ("content-type", "application/json".into()),
        ],
        fields: vec![
            ("/message_type", json!("text")),
            ("/channel", json!("sms")),
            ("/to", json!("33612345678")),
            ("/from", json!("AcmeInc")),
            ("/webhook_version", json!("v1")),
        ],
        text: "/text",
        url: Some("/webhook_url"),
        reference: Some("/client_ref"),
        accepted: (
            202,
            r#"{"message_uuid":"aaaaaaaa-bbbb-cccc-dddd-0123456789ab"}"#,
        ),
        permanent: (
            422,
            r#"{"title":"Unprocessable","detail":"…","invalid_parameters":[{"name":"to","reason":"Invalid"}]}"#,
        ),
        transient: (
            429,
            r#"{"type":"https://developer.vonage.com/api-errors#throttled","title":"Rate Limit Hit"}"#,
        ),
        misconfigured: (
            401,
            r#"{"type":"https://developer.vonage.com/api-errors#unauthorized","title":"Unauthorized"}"#,
        ),
        unreadable: (202, "{}"),
        report: vonage_report,
        altered: Some(("delivered", "rejected")),
    }
}

/// The settings of an application, which authenticates by a JWT.
fn vonage_application() -> Vendor {
    let settings = json!({"sender": "AcmeInc", "api_key": "abcd1234", "voice_from": "+447700900001",
        "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "whatsapp_from": "+447700900002",
        "whatsapp_template": "login_code"});
    let secrets = json!({"api_secret": "secret-for-tests", "signature_secret": SIGNATURE_SECRET,
        "private_key": PRIVATE_KEY});
    Vendor {
        settings,
        secrets,
        headers: vec![
            // {"alg":"RS256","typ":"JWT"}
            (
                "authorization",
                "Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.".into(),
            ),
            ("content-type", "application/json".into()),
        ],
        ..vonage()
    }
}

fn vonage_whatsapp() -> Vendor {
    Vendor {
        channel: "whatsapp",
        fields: vec![
            ("/message_type", json!("custom")),
            ("/channel", json!("whatsapp")),
            ("/to", json!("33612345678")),
            ("/from", json!("447700900002")),
            ("/custom/type", json!("template")),
            ("/custom/template/name", json!("login_code")),
            ("/custom/template/language/code", json!("fr")),
        ],
        text: "/custom/template/components/1/parameters/0/text",
        ..vonage_application()
    }
}

fn vonage_voice() -> Vendor {
    Vendor {
        channel: "voice",
        path: "/v1/calls",
        fields: vec![
            ("/to", json!([{"type": "phone", "number": "33612345678"}])),
            ("/from", json!({"type": "phone", "number": "447700900001"})),
            ("/ncco/0/action", json!("talk")),
            ("/ncco/0/language", json!("fr-FR")),
            ("/event_method", json!("POST")),
        ],
        text: "/ncco/0/text",
        url: Some("/event_url/0"),
        reference: None,
        accepted: (
            201,
            r#"{"uuid":"63f61863-4a51-4f6b-86e1-46edebcf9356","status":"started","direction":"outbound","conversation_uuid":"CON-f972836a"}"#,
        ),
        unreadable: (201, "{}"),
        report: |message| {
            let body = json!({"uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "conversation_uuid": "CON-f972836a",
                "status": "completed", "direction": "outbound", "duration": "12"});
            signed_vonage_report(message, &body)
        },
        altered: Some(("completed", "busy")),
        ..vonage_application()
    }
}

fn vonage_report(message: &VendorMessage) -> VendorReport {
    let body = json!({"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "to": "33612345678", "from": "AcmeInc", "channel": "sms",
        "timestamp": "2025-11-21T19:30:00.000Z", "status": "delivered", "client_ref": message.reference});
    signed_vonage_report(message, &body)
}

/// <https://developer.vonage.com/en/messages/concepts/signed-webhooks>
pub fn signed_vonage_report(message: &VendorMessage, body: &Value) -> VendorReport {
    let body = body.to_string();
    let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
    let claims = json!({"iat": message.now, "jti": "c5ba8f24", "iss": "Vonage", "payload_hash": hash, "api_key": "abcd1234"});
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!(
        "{}.{}",
        part(&json!({"alg": "HS256", "typ": "JWT"})),
        part(&claims)
    );
    let mac = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SIGNATURE_SECRET.as_bytes()),
        signed.as_bytes(),
    );
    let token = format!("Bearer {signed}.{}", BASE64URL_NOPAD.encode(mac.as_ref()));
    let headers = vec![
        ("content-type", "application/json".into()),
        ("authorization", token),
    ];
    VendorReport {
        method: "POST",
        url: message.url.clone(),
        headers,
        body,
    }
}
