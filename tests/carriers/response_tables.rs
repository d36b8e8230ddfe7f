//! The documented error responses of each vendor, and the class of each. Where the vendor
//! documents no HTTP status for an error, several are listed.

use serde_json::json;

use super::response_classes::Class::{
    self, AccountRejected, Misconfigured, Permanent, Transient, Unknown,
};
use super::vendor::{Vendor, VendorResponse};
use super::vendors;
use super::{aws_response_tables, more_channels, unsigned_response_tables};

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
    tables.push(ResponseTable {
        vendor: smsbox_voice(),
        rows: unsigned_response_tables::SMSBOX.to_vec(),
    });
    tables.push(more_channels::smsbox_whatsapp_table());
    tables.push(ResponseTable {
        vendor: http(),
        rows: HTTP.to_vec(),
    });
    tables
}

/// It speaks to landlines of France, so the other tests have no recipient for it.
fn smsbox_voice() -> Vendor {
    let mut vendors = vendors().into_iter();
    let vendor = vendors.find(|vendor| vendor.kind == "smsbox" && vendor.channel == "sms");
    let mut vendor = vendor.expect("smsbox");
    vendor.channel = "voice";
    vendor.settings["voice"] = true.into();
    vendor
}

/// Our own format, of which the contract gives the HTTP statuses. The other tests have stand-ins of
/// their own for it.
fn http() -> Vendor {
    Vendor {
        kind: "http",
        channel: "sms",
        settings: json!({"token": "t0ken", "secret": "whsec_Z2VuZXJpYy1jYXJyaWVyLXNlY3JldC0zMi1ieXRlcyE="}),
        secrets: json!({}),
        path: "/messages",
        accepted: (200, r#"{"id":"m-1"}"#),
        ..vendors().swap_remove(0)
    }
}

fn rows(vendor: &Vendor) -> Option<Vec<(VendorResponse, Class)>> {
    let rows = match (vendor.kind, vendor.channel) {
        ("twilio", "sms") => TWILIO_TEXT,
        ("twilio", "whatsapp") => TWILIO_WHATSAPP,
        ("twilio", "voice") => TWILIO_VOICE,
        ("vonage", _) => VONAGE,
        ("smspartner", _) => unsigned_response_tables::SMS_PARTNER,
        ("smsbox", "sms") => unsigned_response_tables::SMSBOX,
        ("cm", _) => unsigned_response_tables::CM,
        ("smspm", "sms") => unsigned_response_tables::SMSPM,
        ("labsmobile", "sms") => unsigned_response_tables::LABSMOBILE,
        ("end_user_messaging" | "notify", _) => aws_response_tables::END_USER_MESSAGING,
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
    (twilio!(400, 21659), Misconfigured),
    (twilio!(400, 21660), Misconfigured),
    (twilio!(400, 21704), Misconfigured),
    (twilio!(400, 21705), Misconfigured),
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
    (twilio!(400, 13227), Misconfigured),
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
    (vonage!(422, 1190), Permanent),
    (vonage!(422, 1240), Permanent),
    (vonage!(422, 1300), Permanent),
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
    (vonage!(422, 1010), Misconfigured),
    (vonage!(422, 1020), Misconfigured),
    (vonage!(422, 1021), Misconfigured),
    (vonage!(422, 1022), Misconfigured),
    (vonage!(422, 1140), Misconfigured),
    (vonage!(422, 1340), Misconfigured),
    (vonage!(422, 1370), Misconfigured),
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
    (vonage!(422, 1080), AccountRejected),
    (vonage!(422, 1000), Transient),
    (vonage!(422, 1030), Transient),
    (vonage!(422, 1100), Transient),
    (vonage!(422, 1230), Transient),
    (vonage!(422, 1241), Transient),
    (vonage!(422, 1331), Transient),
    ((429, r#"{"title":"Rate Limit Hit"}"#), Transient),
    ((503, r#"{"title":"Internal error"}"#), Transient),
    ((202, "{}"), Unknown),
];

const HTTP: Rows = &[
    ((400, "{}"), Permanent),
    ((404, "{}"), Permanent),
    ((422, "{}"), Permanent),
    ((301, "{}"), Misconfigured),
    ((403, "{}"), Misconfigured),
    ((401, "{}"), AccountRejected),
    ((402, "{}"), AccountRejected),
    ((408, "{}"), Transient),
    ((425, "{}"), Transient),
    ((429, "{}"), Transient),
    ((500, "{}"), Transient),
    ((503, "{}"), Transient),
];
