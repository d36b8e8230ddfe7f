//! The documented error responses of each vendor, and the class of each. Where the vendor
//! documents no HTTP status for an error, several are listed.

use super::aws_response_tables;
use super::response_classes::Class::{
    self, AccountRejected, Misconfigured, Permanent, Transient, Unknown,
};
use super::vendor::{Vendor, VendorResponse};
use super::vendors;

pub struct ResponseTable {
    pub vendor: Vendor,
    pub rows: Vec<(VendorResponse, Class)>,
}

/// A table for every kind that has errors of its own.
pub fn all() -> Vec<ResponseTable> {
    let mut tables: Vec<_> = vendors()
        .into_iter()
        .filter_map(|vendor| {
            let rows = rows(&vendor)?;
            Some(ResponseTable { vendor, rows })
        })
        .collect();
    tables.push(ResponseTable {
        vendor: aws_response_tables::sns(),
        rows: aws_response_tables::SNS.to_vec(),
    });
    tables.push(ResponseTable {
        vendor: aws_response_tables::sns_push(),
        rows: aws_response_tables::SNS_PUSH.to_vec(),
    });
    tables
}

fn rows(vendor: &Vendor) -> Option<Vec<(VendorResponse, Class)>> {
    let rows = match (vendor.kind, vendor.channel) {
        ("twilio", "sms") => TWILIO_TEXT,
        ("twilio", "whatsapp") => TWILIO_WHATSAPP,
        ("twilio", "voice") => TWILIO_VOICE,
        ("vonage", _) => VONAGE,
        ("smspartner", _) => SMS_PARTNER,
        ("smsbox", "sms") => SMSBOX,
        ("cm", _) => CM,
        ("smspm", "sms") => SMSPM,
        ("labsmobile", "sms") => LABSMOBILE,
        ("end_user_messaging" | "notify", "sms") => aws_response_tables::END_USER_MESSAGING,
        ("notify", "voice") => aws_response_tables::END_USER_MESSAGING,
        ("ses", "email") => aws_response_tables::SES,
        _ => return None,
    };
    Some(rows.to_vec())
}

pub type Rows = &'static [(VendorResponse, Class)];

macro_rules! twilio {
    ($status:literal, $code:literal) => {
        (
            $status,
            concat!(
                "{\"code\":",
                $code,
                ",\"message\":\"…\",\"status\":",
                $status,
                "}"
            ),
        )
    };
}

const TWILIO_TEXT: Rows = &[
    (twilio!(400, 21211), Permanent),
    (twilio!(400, 21610), Permanent),
    (twilio!(400, 21614), Permanent),
    (twilio!(400, 21635), Permanent),
    // Split off 21211 and 21614 in July 2024: a short code, the sender itself, premium rate.
    (twilio!(400, 21265), Permanent),
    (twilio!(400, 21266), Permanent),
    (twilio!(400, 21268), Permanent),
    // Geographic permissions; a combination of numbers without a route.
    (twilio!(400, 21408), Misconfigured),
    (twilio!(400, 21612), Misconfigured),
    (twilio!(400, 21606), Misconfigured),
    (twilio!(400, 21608), Misconfigured),
    (twilio!(404, 20404), Misconfigured),
    (twilio!(400, 99999), Misconfigured),
    (twilio!(401, 20003), AccountRejected),
    (twilio!(403, 20005), AccountRejected),
    (twilio!(400, 10001), AccountRejected),
    (twilio!(429, 20429), Transient),
    (twilio!(429, 21611), Transient),
    (twilio!(500, 20500), Transient),
    ((201, "{\"status\":\"queued\"}"), Unknown),
];
const TWILIO_WHATSAPP: Rows = &[
    (twilio!(400, 63024), Permanent),
    // No template, and no session.
    (twilio!(400, 63016), Misconfigured),
    (twilio!(429, 63018), Transient),
];
const TWILIO_VOICE: Rows = &[
    (twilio!(400, 13224), Permanent),
    (twilio!(400, 21214), Permanent),
    (twilio!(400, 21217), Permanent),
    (twilio!(403, 21215), Misconfigured),
    (twilio!(400, 21212), Misconfigured),
];

macro_rules! vonage {
    ($status:literal, $number:literal) => {
        (
            $status,
            concat!(
                "{\"type\":\"https://developer.vonage.com/api-errors/messages#",
                $number,
                "\",\"title\":\"…\",\"detail\":\"…\",\"instance\":\"bf0ca0bf927b3b52\"}"
            ),
        )
    };
}

const VONAGE: Rows = &[
    (vonage!(422, 1050), Permanent),
    (vonage!(422, 1170), Permanent),
    (vonage!(422, 1240), Permanent),
    (
        (
            422,
            r#"{"type":"https://developer.vonage.com/api-errors/messages#1020","title":"Invalid params",
                "invalid_parameters":[{"name":"to","reason":"…"}]}"#,
        ),
        Permanent,
    ),
    (
        (
            422,
            r#"{"title":"Invalid params","invalid_parameters":[{"name":"from","reason":"…"}]}"#,
        ),
        Misconfigured,
    ),
    // Without a list of fields, and a wrong path.
    (
        (422, r#"{"title":"Unprocessable","detail":"…"}"#),
        Misconfigured,
    ),
    (
        (404, r#"{"title":"Not found","detail":"…"}"#),
        Misconfigured,
    ),
    (
        (403, r#"{"title":"Forbidden","detail":"…"}"#),
        Misconfigured,
    ),
    // An illegal sender; a trial account's list of numbers; no route; a template.
    (vonage!(422, 1120), Misconfigured),
    (vonage!(403, 1120), Misconfigured),
    (vonage!(422, 1160), Misconfigured),
    (vonage!(422, 1250), Misconfigured),
    (vonage!(422, 1022), Misconfigured),
    (
        (
            401,
            r#"{"type":"https://developer.vonage.com/api-errors#unauthorized","title":"Unauthorized"}"#,
        ),
        AccountRejected,
    ),
    (
        (
            402,
            r#"{"type":"https://developer.vonage.com/api-errors#low-balance","title":"Low balance"}"#,
        ),
        AccountRejected,
    ),
    (vonage!(422, 1060), AccountRejected),
    (vonage!(422, 1070), AccountRejected),
    (vonage!(422, 1000), Transient),
    ((429, r#"{"title":"Rate Limit Hit"}"#), Transient),
    ((503, r#"{"title":"Internal error"}"#), Transient),
    ((202, "{}"), Unknown),
];

macro_rules! sms_partner {
    ($code:literal) => {
        (
            200,
            concat!("{\"success\":false,\"code\":", $code, ",\"message\":\"…\"}"),
        )
    };
}

const SMS_PARTNER: Rows = &[
    (
        (
            400,
            r#"{"success":false,"code":9,"errors":[{"elementId":"children[phoneNumbers].data","message":"…"}]}"#,
        ),
        Permanent,
    ),
    (sms_partner!(14), Permanent),
    (sms_partner!(55), Permanent),
    // No price for the destination.
    (sms_partner!(13), Misconfigured),
    (
        (
            400,
            r#"{"success":false,"code":9,"errors":[{"elementId":"children[sender].data","message":"…"}]}"#,
        ),
        Misconfigured,
    ),
    (sms_partner!(22), Misconfigured),
    (sms_partner!(44), Misconfigured),
    (sms_partner!(992), Misconfigured),
    (sms_partner!(4321), Misconfigured),
    (sms_partner!(10), AccountRejected),
    (sms_partner!(11), AccountRejected),
    (sms_partner!(30), AccountRejected),
    (sms_partner!(96), AccountRejected),
    (sms_partner!(500), Transient),
    ((200, "{\"message_id\":307}"), Unknown),
];

const SMSBOX: Rows = &[
    ((200, "ERROR 04"), Permanent),
    ((200, "ERROR 01"), Misconfigured),
    // A prefix that is not served.
    ((200, "ERROR"), Misconfigured),
    ((200, "ERROR 02"), AccountRejected),
    ((200, "ERROR 03"), AccountRejected),
    ((200, "ERROR 05"), Transient),
    ((200, "OK then"), Unknown),
];

macro_rules! cm {
    ($status:literal, $code:literal) => {
        (
            $status,
            concat!(
                "{\"details\":\"…\",\"errorCode\":201,\"messages\":[{\"to\":\"0033612345678\",",
                "\"status\":\"Rejected\",\"messageErrorCode\":",
                $code,
                "}]}"
            ),
        )
    };
}

const CM: Rows = &[
    (cm!(400, 302), Permanent),
    (cm!(400, 303), Permanent),
    (cm!(400, 402), Permanent),
    (cm!(400, 403), Permanent),
    // No `from`.
    (cm!(400, 301), Misconfigured),
    (cm!(400, 304), Misconfigured),
    ((400, r#"{"details":"…","errorCode":202}"#), Misconfigured),
    ((401, r#"{"details":"…","errorCode":101}"#), AccountRejected),
    ((400, r#"{"details":"…","errorCode":102}"#), AccountRejected),
    ((400, r#"{"details":"…","errorCode":103}"#), AccountRejected),
    (cm!(400, 500), Transient),
    (cm!(200, 999), Transient),
    ((200, r#"{"errorCode":0,"messages":[]}"#), Unknown),
];

const SMSPM: Rows = &[
    ((400, r#"{"error":"Invalid phone number: 336"}"#), Permanent),
    ((200, r#"{"status":"invalid_phone"}"#), Permanent),
    ((200, r#"{"status":"destination_blocked"}"#), Permanent),
    ((200, r#"{"status":"invalid_sender"}"#), Misconfigured),
    ((400, r#"{"status":"invalid_params"}"#), Misconfigured),
    ((400, r#"{"error":"Token is required"}"#), AccountRejected),
    ((401, r#"{"status":"auth_failed"}"#), AccountRejected),
    ((200, r#"{"status":"low_balance"}"#), AccountRejected),
    ((402, r#"{"error":"Payment required"}"#), AccountRejected),
    ((429, r#"{"status":"rate_limit"}"#), Transient),
    ((500, r#"{"status":"server_error"}"#), Transient),
    ((200, r#"{"status":"success"}"#), Unknown),
];

const LABSMOBILE: Rows = &[
    ((400, r#"{"code":"23","message":"…"}"#), Permanent),
    ((400, r#"{"code":"24","message":"…"}"#), Misconfigured),
    ((400, r#"{"code":"27","message":"…"}"#), Misconfigured),
    ((400, r#"{"code":"777","message":"…"}"#), Misconfigured),
    ((400, r#"{"code":"35","message":"…"}"#), AccountRejected),
    ((401, r#"{"code":"403","message":"…"}"#), AccountRejected),
    ((400, r#"{"code":"30","message":"…"}"#), Transient),
    ((200, r#"{"message":"…"}"#), Unknown),
];
