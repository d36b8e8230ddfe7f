//! The documented error responses of the vendors that cannot sign, and the class of each.

use super::response_classes::Class::{
    AccountRejected, Misconfigured, Permanent, Transient, Unknown,
};
use super::response_tables::Rows;

macro_rules! sms_partner {
    ($code:literal) => {
        (
            200,
            concat!("{\"success\":false,\"code\":", $code, ",\"message\":\"…\"}"),
        )
    };
}

pub const SMS_PARTNER: Rows = &[
    (
        (
            400,
            r#"{"success":false,"code":9,"errors":[{"elementId":"children[phoneNumbers].data","message":"…"}]}"#,
        ),
        Permanent,
    ),
    (sms_partner!(14), Permanent),
    (sms_partner!(55), Permanent),
    (sms_partner!(15), Permanent),
    // The request.
    (sms_partner!(2), Misconfigured),
    (sms_partner!(4), Misconfigured),
    (sms_partner!(42), Misconfigured),
    (sms_partner!(43), Misconfigured),
    (sms_partner!(45), Misconfigured),
    (sms_partner!(46), Misconfigured),
    (sms_partner!(47), Misconfigured),
    (sms_partner!(48), Misconfigured),
    (sms_partner!(49), Misconfigured),
    (sms_partner!(50), Misconfigured),
    (sms_partner!(51), Misconfigured),
    (sms_partner!(52), Misconfigured),
    (sms_partner!(90), Misconfigured),
    // No price for the destination.
    (sms_partner!(13), Misconfigured),
    (
        (
            400,
            r#"{"success":false,"code":9,"errors":[{"elementId":"children[sender].data","message":"…"}]}"#,
        ),
        Misconfigured,
    ),
    // The hours of marketing accounts.
    (sms_partner!(22), Misconfigured),
    (sms_partner!(23), Misconfigured),
    (sms_partner!(44), Misconfigured),
    (sms_partner!(992), Misconfigured),
    (sms_partner!(4321), Misconfigured),
    (sms_partner!(1), AccountRejected),
    (sms_partner!(10), AccountRejected),
    (sms_partner!(11), AccountRejected),
    (sms_partner!(20), AccountRejected),
    (sms_partner!(30), AccountRejected),
    (sms_partner!(40), AccountRejected),
    (sms_partner!(96), AccountRejected),
    (sms_partner!(500), Transient),
    ((200, "{\"message_id\":307}"), Unknown),
];

pub const SMSBOX: Rows = &[
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

pub const CM: Rows = &[
    (cm!(400, 302), Permanent),
    (cm!(400, 303), Permanent),
    // Spam, the black list, rejected.
    (cm!(400, 401), Permanent),
    (cm!(400, 402), Permanent),
    (cm!(400, 403), Permanent),
    // No `from`.
    (cm!(400, 301), Misconfigured),
    (cm!(400, 304), Misconfigured),
    (cm!(400, 305), Misconfigured),
    (cm!(400, 777), Misconfigured),
    ((400, r#"{"details":"…","errorCode":202}"#), Misconfigured),
    ((400, r#"{"details":"…","errorCode":203}"#), Misconfigured),
    ((401, r#"{"details":"…","errorCode":101}"#), AccountRejected),
    ((400, r#"{"details":"…","errorCode":102}"#), AccountRejected),
    ((400, r#"{"details":"…","errorCode":103}"#), AccountRejected),
    (cm!(400, 500), Transient),
    (cm!(200, 999), Transient),
    ((200, r#"{"errorCode":0,"messages":[]}"#), Unknown),
];

pub const SMSPM: Rows = &[
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

macro_rules! labs_mobile {
    ($status:literal, $code:literal) => {
        (
            $status,
            concat!("{\"code\":\"", $code, "\",\"message\":\"…\"}"),
        )
    };
}

pub const LABSMOBILE: Rows = &[
    // No recipients are left.
    (labs_mobile!(400, 23), Permanent),
    // The request.
    (labs_mobile!(400, 10), Misconfigured),
    (labs_mobile!(400, 11), Misconfigured),
    (labs_mobile!(400, 20), Misconfigured),
    (labs_mobile!(400, 21), Misconfigured),
    (labs_mobile!(400, 24), Misconfigured),
    (labs_mobile!(400, 27), Misconfigured),
    (labs_mobile!(400, 28), Misconfigured),
    (labs_mobile!(400, 39), Misconfigured),
    (labs_mobile!(400, 41), Misconfigured),
    (labs_mobile!(400, 777), Misconfigured),
    (labs_mobile!(400, 35), AccountRejected),
    (labs_mobile!(401, 403), AccountRejected),
    (labs_mobile!(400, 30), Transient),
    (labs_mobile!(429, 0), Transient),
    (labs_mobile!(503, 0), Transient),
    ((200, r#"{"message":"…"}"#), Unknown),
];
