//! What Twilio's error codes and status words mean: <https://www.twilio.com/docs/api/errors>
//!
//! Twilio adds codes and splits existing ones, so a code that is not here is not about the number:
//! the next carrier is tried.

use ::http::Response;

use crate::carrier::carrier_trait::Receipt;
use crate::carrier::vendor_format::response;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;

/// Errors that are about the number: invalid, opted out, not mobile, a landline, a short code, the
/// sender itself, a premium-rate number; for WhatsApp: not a user.
const PERMANENT: [i64; 11] = [
    21211, 21610, 21614, 21635, 21265, 21266, 21268, 13224, 21214, 21217, 63024,
];
/// Errors that are about the account: credentials, or it is not active.
const ACCOUNT: [i64; 3] = [10001, 20003, 20005];
/// Too many requests, of the account or to WhatsApp.
const TRANSIENT: [i64; 2] = [20429, 63018];

/// Errors of reports: a filter of the network, and Twilio's two filters against SMS pumping.
const BLOCKED: [&str; 3] = ["30007", "30450", "30453"];
/// Error of reports: the message waited longer than its `ValidityPeriod`.
const VALIDITY_EXPIRED: &str = "30036";
/// Errors of reports that are about the account: its queue is full, suspended, daily cap of the
/// brand reached, sender not provisioned, toll-free number not verified, campaign suspended, number
/// not registered or still being registered, messaging disabled, WhatsApp message without a
/// template.
const ACCOUNT_FAULTS: [&str; 10] = [
    "30001", "30002", "30023", "30024", "30032", "30033", "30034", "30035", "30037", "63016",
];

/// The receipt for an error code. Geographic permissions (21408), the combination of numbers
/// (21612) and a missing template (63016) are settings, as are all codes that are not listed.
pub(super) fn receipt<B>(code: i64, response: &Response<B>, now: Timestamp) -> Receipt {
    if PERMANENT.contains(&code) {
        Receipt::Permanent
    } else if TRANSIENT.contains(&code) {
        response::transient(response, now)
    } else if ACCOUNT.contains(&code) {
        Receipt::AccountRejected
    } else {
        response::unknown_error(response, now)
    }
}

/// Whether the error of a report is about the operator's account.
pub(super) fn is_account_fault(error: &str) -> bool {
    ACCOUNT_FAULTS.contains(&error)
}

/// <https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks>
pub(super) fn text_status(word: &str, error: &str) -> Option<DeliveryStatus> {
    match word {
        "queued" | "accepted" | "scheduled" | "sending" => Some(DeliveryStatus::Queued),
        "sent" => Some(DeliveryStatus::Sent),
        "delivered" | "read" => Some(DeliveryStatus::Delivered),
        "undelivered" | "failed" if error == VALIDITY_EXPIRED => Some(DeliveryStatus::Expired),
        "undelivered" if BLOCKED.contains(&error) => Some(DeliveryStatus::Rejected),
        "undelivered" => Some(DeliveryStatus::Undelivered),
        "failed" | "canceled" => Some(DeliveryStatus::Rejected),
        _ => None,
    }
}

/// <https://www.twilio.com/docs/voice/api/call-resource>
pub(super) fn call_status(word: &str, answered_by: &str) -> Option<DeliveryStatus> {
    match word {
        "queued" | "initiated" => Some(DeliveryStatus::Queued),
        "ringing" | "in-progress" => Some(DeliveryStatus::Sent),
        // A machine answered, so no person heard the code. `AnsweredBy` is present only if the
        // account has turned on answering machine detection.
        "completed" if answered_by.starts_with("machine") || answered_by == "fax" => {
            Some(DeliveryStatus::Undelivered)
        }
        "completed" => Some(DeliveryStatus::Delivered),
        "busy" | "no-answer" | "failed" => Some(DeliveryStatus::Undelivered),
        "canceled" => Some(DeliveryStatus::Rejected),
        _ => None,
    }
}
