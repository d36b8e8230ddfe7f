//! What the error numbers and the status words of the Messages API mean:
//! <https://developer.vonage.com/en/api-errors/messages>

use ::http::Response;
use serde_json::Value;

use crate::carrier::carrier_trait::Receipt;
use crate::carrier::vendor_format::lenient_json::whole_number;
use crate::carrier::vendor_format::response;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;

/// The number is barred, invalid, inactive or opted out, or no user of the channel.
const PERMANENT: [i64; 5] = [1050, 1170, 1190, 1240, 1300];
/// Throttled, internal errors, errors of the network, too many messages to one number.
const TRANSIENT: [i64; 6] = [1000, 1030, 1100, 1230, 1241, 1331];
/// The account is barred, has no credit, or may not use the API.
const ACCOUNT: [i64; 3] = [1060, 1070, 1080];
/// Errors of reports that are about the operator's account: those of [`ACCOUNT`], the request, the
/// template, the sender, a facility that is not enabled, a trial account's list of numbers, a
/// message that needs a template, credentials of the channel.
const ACCOUNT_FAULTS: [i64; 12] = [
    1010, 1020, 1021, 1022, 1060, 1070, 1080, 1120, 1140, 1160, 1340, 1370,
];
const OUTCOME_UNKNOWN: i64 = 1330;
const TTL_EXPIRED: i64 = 1360;

/// The number of an error: its `title`, the end of its `type`, or `code` in version 0.1.
pub(super) fn number(error: &Value) -> Option<i64> {
    let in_type = || error["type"].as_str()?.rsplit_once('#')?.1.parse().ok();
    whole_number(&error["title"])
        .or_else(in_type)
        .or_else(|| whole_number(&error["code"]))
}

/// The receipt for problem details. The number of the error decides, or the names of the invalid
/// parameters.
pub(super) fn receipt<B>(problem: &Value, response: &Response<B>, now: Timestamp) -> Receipt {
    match number(problem).unwrap_or_default() {
        number if PERMANENT.contains(&number) => Receipt::Permanent,
        number if TRANSIENT.contains(&number) => response::transient(response, now),
        number if ACCOUNT.contains(&number) => Receipt::AccountRejected,
        _ if response.status().is_client_error() && names_the_number(problem) => Receipt::Permanent,
        _ => response::unknown_error(response, now),
    }
}

/// Whether the number is one of the invalid parameters.
fn names_the_number(problem: &Value) -> bool {
    let invalid = problem["invalid_parameters"].as_array();
    let names = invalid.into_iter().flatten();
    let mut names = names.filter_map(|field| field["name"].as_str());
    names.any(|name| name == "to" || name.ends_with(".to"))
}

/// Whether the error of a report is about the operator's account.
pub(super) fn is_account_fault(error: Option<i64>) -> bool {
    error.is_some_and(|error| ACCOUNT_FAULTS.contains(&error))
}

/// Vonage also reports an expired message and an unknown outcome as `rejected`.
pub(super) fn status(word: &str, error: Option<i64>) -> Option<DeliveryStatus> {
    match word {
        "submitted" => Some(DeliveryStatus::Sent),
        "delivered" | "read" => Some(DeliveryStatus::Delivered),
        "undeliverable" => Some(DeliveryStatus::Undelivered),
        "rejected" if error == Some(TTL_EXPIRED) => Some(DeliveryStatus::Expired),
        "rejected" if error == Some(OUTCOME_UNKNOWN) => Some(DeliveryStatus::Undelivered),
        "rejected" => Some(DeliveryStatus::Rejected),
        _ => None,
    }
}
