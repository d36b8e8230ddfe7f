//! Vendors that cannot sign: SMS Partner, SMSBOX, CM.com, SMSPM, LabsMobile. A secret in the
//! callback URL, that of the message or of the account, authenticates their reports. The examples
//! are from their documentation.

use serde_json::json;

use super::vendor::{CALLBACK_TOKEN, Vendor, VendorMessage, VendorReport, VendorResponse};
use crate::support::with;

const DIGITS: &str = "33612345678";
/// A response of a proxy in between.
const NOT_THE_VENDOR: VendorResponse = (200, "<html>Welcome</html>");

pub fn vendors() -> Vec<Vendor> {
    vec![
        smspartner(),
        smspartner_voice(),
        smsbox(),
        cm(),
        cm_rcs(),
        cm_voice(),
        cm_whatsapp(),
        cm_push(),
        smspm(),
        labsmobile(),
    ]
}

fn content_type(value: &str) -> (&'static str, String) {
    ("content-type", value.to_owned())
}

fn get_report(message: &VendorMessage, query: &str) -> VendorReport {
    VendorReport {
        method: "GET",
        url: format!("{}?{query}", message.url),
        headers: vec![],
        body: String::new(),
    }
}

fn post_report(message: &VendorMessage, body: String) -> VendorReport {
    VendorReport {
        method: "POST",
        url: message.url.clone(),
        headers: vec![content_type("application/json")],
        body,
    }
}

fn smspartner() -> Vendor {
    Vendor {
        kind: "smspartner",
        channel: "sms",
        settings: json!({"sender": "AcmeInc"}),
        secrets: json!({"api_key": "0123456789abcdef0123456789abcdef01234567"}),
        path: "/v1/send",
        headers: vec![content_type("application/json")],
        fields: vec![
            ("/apiKey", json!("0123456789abcdef0123456789abcdef01234567")),
            ("/phoneNumbers", json!("+33612345678")),
            ("/gamme", json!(1)),
            ("/sender", json!("AcmeInc")),
            ("/isStopSms", json!(0)),
            ("/sandbox", json!(0)),
        ],
        text: "/message",
        url: Some("/urlDlr"),
        reference: None,
        accepted: (
            200,
            r#"{"success":true,"code":200,"message_id":307,"nb_sms":1,"cost":0.038,"currency":"EUR"}"#,
        ),
        permanent: (
            200,
            r#"{"success":false,"code":9,"error":[{"elementId":"children[phoneNumbers].data","message":"Le numéro est incorrect"}]}"#,
        ),
        transient: (200, r#"{"success":false,"code":500,"message":"queue"}"#),
        misconfigured: (
            200,
            r#"{"success":false,"code":10,"message":"Clé API incorrecte"}"#,
        ),
        unreadable: NOT_THE_VENDOR,
        report: |message| {
            let body = json!({"message_id": 307, "phone": "+33612345678", "status": "delivered", "date": message.now, "cost": 0.038});
            post_report(message, body.to_string())
        },
        altered: None,
    }
}

/// Voice Partner: the same key, a documented report.
fn smspartner_voice() -> Vendor {
    Vendor {
        channel: "voice",
        settings: json!({"sender": "AcmeInc", "voice": true}),
        path: "/v1/tts/send",
        fields: vec![
            ("/apiKey", json!("0123456789abcdef0123456789abcdef01234567")),
            ("/phoneNumbers", json!("+33612345678")),
            ("/lang", json!("fr")),
        ],
        text: "/text",
        url: Some("/notifyUrl"),
        accepted: (
            200,
            r#"{"success":true,"campaignId":"Ff1tbu0lax","cost":0.1,"currency":"EUR","nbSms":1,"lang":"fr","duration":6.3}"#,
        ),
        report: |message| {
            let body = json!({"campaignId": "Ff1tbu0lax", "status": "delivered"});
            post_report(message, body.to_string())
        },
        ..smspartner()
    }
}

fn smsbox() -> Vendor {
    Vendor {
        kind: "smsbox",
        channel: "sms",
        settings: json!({"sender": "AcmeInc", "api_key": "key-for-tests", "callback_token": CALLBACK_TOKEN}),
        secrets: json!({}),
        path: "/1.1/api.php",
        headers: vec![
            ("authorization", "App key-for-tests".into()),
            content_type("application/x-www-form-urlencoded"),
        ],
        fields: vec![
            ("/dest", json!(DIGITS)),
            ("/mode", json!("Expert")),
            ("/origine", json!("AcmeInc")),
            ("/strategy", json!("2")),
            ("/charset", json!("utf-8")),
            ("/id", json!("1")),
            ("/callback", json!("1")),
        ],
        text: "/msg",
        url: None,
        reference: Some("/cvar"),
        accepted: (200, "OK 123456789012"),
        permanent: (200, "ERROR 04"),
        transient: (200, "ERROR 05"),
        misconfigured: (200, "ERROR 02"),
        unreadable: NOT_THE_VENDOR,
        report: |message| {
            let query = format!(
                "numero={DIGITS}&reference=123456789012&accuse=0&ts={}&m={}",
                message.now, message.reference
            );
            get_report(message, &query)
        },
        altered: None,
    }
}

fn cm() -> Vendor {
    Vendor {
        kind: "cm",
        channel: "sms",
        settings: json!({"sender": "AcmeInc"}),
        secrets: json!({"product_token": "00000000-0000-0000-0000-000000000000", "callback_token": CALLBACK_TOKEN}),
        path: "/v1.0/message",
        headers: vec![
            (
                "x-cm-producttoken",
                "00000000-0000-0000-0000-000000000000".into(),
            ),
            content_type("application/json"),
        ],
        fields: vec![
            ("/messages/msg/0/allowedChannels", json!(["SMS"])),
            ("/messages/msg/0/from", json!("AcmeInc")),
            ("/messages/msg/0/to", json!([{"number": "0033612345678"}])),
            ("/messages/msg/0/body/type", json!("auto")),
        ],
        text: "/messages/msg/0/body/content",
        url: None,
        reference: Some("/messages/msg/0/reference"),
        accepted: (
            200,
            r#"{"details":"Created 1 message(s)","errorCode":0,"messages":[{"to":"0033612345678","status":"Accepted","reference":"msg01HZX",
                "parts":1,"messageDetails":null,"messageErrorCode":0}]}"#,
        ),
        permanent: (
            400,
            r#"{"details":"No messages accepted","errorCode":201,"messages":[{"to":"0033612345678","status":"Rejected","reference":"msg01HZX",
                "parts":0,"messageDetails":"Invalid MSISDN","messageErrorCode":303}]}"#,
        ),
        transient: (
            500,
            r#"{"details":"Internal error","errorCode":500,"messages":[]}"#,
        ),
        misconfigured: (
            401,
            r#"{"details":"Authentication failed","errorCode":101,"messages":[]}"#,
        ),
        unreadable: NOT_THE_VENDOR,
        report: |message| {
            let status = json!({"code": "2", "errorCode": "", "errorDescription": ""});
            let entry = json!({"received": "2025-11-21T19:30:00", "to": "0033612345678", "reference": message.reference, "status": status});
            post_report(message, json!({"messages": {"msg": entry}}).to_string())
        },
        altered: None,
    }
}

fn cm_settings(more: serde_json::Value) -> serde_json::Value {
    with(json!({"sender": "AcmeInc"}), &more)
}

/// RCS where the phone has it, else SMS: <https://developers.cm.com/messaging/docs/rcs>
fn cm_rcs() -> Vendor {
    Vendor {
        settings: cm_settings(json!({"rcs": true})),
        fields: vec![
            ("/messages/msg/0/allowedChannels", json!(["RCS", "SMS"])),
            ("/messages/msg/0/from", json!("AcmeInc")),
            ("/messages/msg/0/body/type", json!("auto")),
        ],
        text: "/messages/msg/0/richContent/conversation/0/text",
        ..cm()
    }
}

fn cm_voice() -> Vendor {
    Vendor {
        channel: "voice",
        settings: cm_settings(json!({"voice_from": "+31201234567"})),
        fields: vec![
            ("/messages/msg/0/allowedChannels", json!(["Voice"])),
            ("/messages/msg/0/from", json!("31201234567")),
        ],
        ..cm()
    }
}

fn cm_whatsapp() -> Vendor {
    let template = "/messages/msg/0/richContent/conversation/0/template/whatsapp/element_name";
    Vendor {
        channel: "whatsapp",
        settings: cm_settings(
            json!({"whatsapp_from": "+31201234568", "whatsapp_template": "login_code",
            "whatsapp_namespace": "b6b61d04"}),
        ),
        fields: vec![
            ("/messages/msg/0/allowedChannels", json!(["WhatsApp"])),
            ("/messages/msg/0/from", json!("31201234568")),
            (template, json!("login_code")),
        ],
        text: "/messages/msg/0/richContent/conversation/0/template/whatsapp/components/1/parameters/0/text",
        ..cm()
    }
}

fn cm_push() -> Vendor {
    let app_key = "2fa6ad9a-2b2a-4b1c-9f8e-6e8ee5b0c111";
    Vendor {
        channel: "push",
        settings: cm_settings(json!({"app_key": app_key})),
        fields: vec![
            ("/messages/msg/0/allowedChannels", json!(["Push"])),
            ("/messages/msg/0/appKey", json!(app_key)),
        ],
        ..cm()
    }
}

fn smspm() -> Vendor {
    Vendor {
        kind: "smspm",
        channel: "sms",
        settings: json!({"sender": "AcmeInc", "hash": "hash-for-tests", "token": "token-for-tests"}),
        secrets: json!({}),
        path: "/",
        headers: vec![content_type("application/json")],
        fields: vec![
            ("/hash", json!("hash-for-tests")),
            ("/token", json!("token-for-tests")),
            ("/toNumber", json!(DIGITS)),
            ("/fromNumber", json!("AcmeInc")),
        ],
        text: "/text",
        url: Some("/report"),
        reference: Some("/smsId"),
        accepted: (
            200,
            r#"{"messages":[{"id":"a7b3c1d2-0000-4000-8000-000000000001","toNumber":"33612345678","status":"Added to queue"}]}"#,
        ),
        permanent: (400, r#"{"error":"Invalid phone number: 336"}"#),
        transient: (429, r#"{"status":"rate_limit"}"#),
        misconfigured: (400, r#"{"error":"Token is required"}"#),
        unreadable: NOT_THE_VENDOR,
        report: |message| {
            get_report(
                message,
                &format!(
                    "id=a7b3c1d2-0000-4000-8000-000000000001&status=delivered&toNumber={DIGITS}"
                ),
            )
        },
        altered: None,
    }
}

fn labsmobile() -> Vendor {
    Vendor {
        kind: "labsmobile",
        channel: "sms",
        settings: json!({"sender": "AcmeInc", "username": "otp@example.com"}),
        secrets: json!({"token": "token-for-tests"}),
        path: "/json/send",
        headers: vec![
            (
                "authorization",
                "Basic b3RwQGV4YW1wbGUuY29tOnRva2VuLWZvci10ZXN0cw==".into(),
            ),
            content_type("application/json"),
        ],
        fields: vec![
            ("/recipient", json!([{"msisdn": DIGITS}])),
            ("/tpoa", json!("AcmeInc")),
            ("/test", json!(0)),
        ],
        text: "/message",
        url: Some("/ackurl"),
        reference: None,
        accepted: (
            200,
            r#"{"code":"0","message":"Message has been successfully sent","subid":"msg_01HZX"}"#,
        ),
        permanent: (400, r#"{"code":"23","message":"There are no recipients"}"#),
        transient: (
            400,
            r#"{"code":"30","message":"There was an error while sending the message"}"#,
        ),
        misconfigured: (
            400,
            r#"{"code":"35","message":"The account has no enough credit for this sending"}"#,
        ),
        unreadable: NOT_THE_VENDOR,
        report: |message| {
            let query = format!(
                "acklevel=handset&msisdn={DIGITS}&status=ok&desc=DELIVRD&subid=5a1b&timestamp=2026-02-26%2012:00:00"
            );
            get_report(message, &query)
        },
        altered: None,
    }
}
