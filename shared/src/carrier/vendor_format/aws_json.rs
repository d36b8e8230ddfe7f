//! Responses of the JSON APIs of AWS: a message id, or an error type.
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#operation-error-serialization>

use ::http::{Response, StatusCode};
use serde_json::Value;

use super::response;
use crate::carrier::carrier_trait::Receipt;
use crate::domain::time::Timestamp;

/// The receipt for a response: accepted if it has a message id, transient for throttling and server
/// errors, else what `classify_error` makes of the error type and the body.
#[must_use]
pub fn receipt(
    response: &Response<Vec<u8>>,
    now: Timestamp,
    classify_error: fn(&str, &Value) -> Receipt,
) -> Receipt {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    if response.status().is_success() {
        let has_id = body["MessageId"].as_str().is_some_and(|id| !id.is_empty());
        return if has_id {
            Receipt::Accepted
        } else {
            Receipt::Unknown
        };
    }
    let error_type = error_type(response, &body);
    let is_throttling = matches!(
        error_type,
        "ThrottlingException"
            | "TooManyRequestsException"
            | "LimitExceededException"
            | "InternalServerException"
    );
    if is_throttling
        || response.status() == StatusCode::TOO_MANY_REQUESTS
        || response.status().is_server_error()
    {
        return response::transient(response, now);
    }
    match error_type {
        // Not a response of AWS.
        "" => response::without_result(response, now),
        _ if is_credential_error(error_type) => Receipt::AccountRejected,
        _ => classify_error(error_type, &body),
    }
}

/// The id of the message that `response` accepts.
#[must_use]
pub fn message_id(response: &Response<Vec<u8>>) -> Option<String> {
    let body: Value = serde_json::from_slice(response.body()).ok()?;
    body["MessageId"].as_str().map(str::to_owned)
}

/// Whether an error of AWS is about the credentials of the function, not about its permissions:
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>
#[must_use]
pub fn is_credential_error(error_type: &str) -> bool {
    let name = error_type.strip_suffix("Exception").unwrap_or(error_type);
    matches!(
        name,
        "UnrecognizedClient"
            | "InvalidClientTokenId"
            | "ExpiredToken"
            | "InvalidSignature"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "OptInRequired"
    )
}

/// The error type in the header or in the body, without the namespace before it and the URL after
/// it.
fn error_type<'a>(response: &'a Response<Vec<u8>>, body: &'a Value) -> &'a str {
    let header = response
        .headers()
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty());
    let qualified = header
        .or_else(|| body["__type"].as_str())
        .unwrap_or_default();
    let without_namespace = qualified.rsplit('#').next().unwrap_or_default();
    without_namespace.split(':').next().unwrap_or_default()
}
