//! Kind `smspm`: SMSPM, over SMS.
//!
//! API: version 2.0, `POST {base_url}/`, <https://app.smspm.com/docs>. The pages contradict one
//! another: the request is the one of the known integrations; responses and reports are read in
//! every documented format. Hash and token can only be in the body, or in the query, which would be
//! logged.
//!
//! Reports are not signed: the callback URL authenticates the message.

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::carrier_trait::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use super::vendor_format::{config_fields, flat_report, request, response};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// Errors that the guide has in the `status` of a response with HTTP status 200.
const ERRORS_IN_STATUS: [&str; 9] = [
    "error",
    "invalid_phone",
    "destination_blocked",
    "low_balance",
    "invalid_sender",
    "invalid_params",
    "auth_failed",
    "rate_limit",
    "server_error",
];

/// Errors about the account: credentials and balance.
const ACCOUNT_ERRORS: [&str; 4] = [
    "token is required",
    "hash is required",
    "auth_failed",
    "low_balance",
];

/// A carrier of kind `smspm`.
pub struct SmsPm {
    base_url: String,
    hash: String,
    token: String,
}

impl SmsPm {
    /// Fields: `hash`, `token`.
    pub fn from_fields(fields: &mut Fields) -> Self {
        Self {
            base_url: config_fields::base_url(fields, Some("https://api.smspm.com")),
            hash: config_fields::credential(fields, "hash"),
            token: config_fields::credential(fields, "token"),
        }
    }
}

impl Carrier for SmsPm {
    /// There are no fields for the encoding, the parts and the validity.
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let mut body = json!({
            "hash": self.hash,
            "token": self.token,
            "toNumber": request::digits(message.to),
            "text": message.message.text,
            "smsId": message.reference,
            // The vendor's guides have `callbackUrl`; integrations of others have `report`.
            "callbackUrl": message.callback_url,
            "report": message.callback_url,
        });
        if let Some(sender) = message.sender {
            body["fromNumber"] = sender.trim_start_matches('+').into();
        }
        request::post_json(&format!("{}/", self.base_url), &[], &body)
    }

    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(response.body()) else {
            return response::without_result(response, now);
        };
        let entry = &body["messages"][0];
        let first_word = |values: [&Value; 2]| {
            values
                .into_iter()
                .filter_map(|value| value.as_str().map(str::to_ascii_lowercase))
                .find(|word| !word.is_empty())
        };
        let error = first_word([&entry["error"], &body["error"]]);
        let state = first_word([&entry["status"], &body["status"]]);
        let has_id = [&entry["id"], &body["messageId"], &body["id"]]
            .into_iter()
            .any(|id| id.as_str().is_some_and(|id| !id.is_empty()));
        match (error, state.as_deref()) {
            (Some(error), _) => error_receipt(&error, response, now),
            (None, Some(state)) if ERRORS_IN_STATUS.contains(&state) => {
                error_receipt(state, response, now)
            }
            (None, Some(state)) if status(state).is_some_and(DeliveryStatus::is_failure) => {
                Receipt::Permanent
            }
            (None, _) if has_id && response.status().is_success() => Receipt::Accepted,
            (None, _) => response::without_result(response, now),
        }
    }

    /// A report without a known status is accepted and changes nothing: the documented formats
    /// contradict one another, and the vendor would repeat a rejected report.
    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Vec<Report>, ReportError> {
        let fields = flat_report::fields(callback)?;
        let event = || {
            fields
                .get("event")
                .and_then(|event| event.strip_prefix("sms."))
        };
        let word = fields
            .get("status")
            .map(String::as_str)
            .or_else(event)
            .unwrap_or_default();
        Ok(vec![Report::new(
            None,
            status(&word.trim().to_ascii_lowercase()),
        )])
    }
}

/// What an error means, as the API writes it (`Invalid phone number: …`, in lower case) or as the
/// guide does (`invalid_phone`).
fn error_receipt(error: &str, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
    if ["rate_limit", "server_error"].contains(&error) {
        response::transient(response, now)
    } else if error.contains("phone") || error == "destination_blocked" {
        Receipt::Permanent
    } else if ACCOUNT_ERRORS.contains(&error) {
        Receipt::AccountRejected
    } else {
        response::unknown_error(response, now)
    }
}

/// The status for a word in lower case.
fn status(word: &str) -> Option<DeliveryStatus> {
    match word {
        "added to queue" | "queued" | "submitted" | "pending" => Some(DeliveryStatus::Queued),
        "sent" => Some(DeliveryStatus::Sent),
        "delivered" => Some(DeliveryStatus::Delivered),
        "failed" | "undelivered" => Some(DeliveryStatus::Undelivered),
        "rejected" => Some(DeliveryStatus::Rejected),
        "expired" => Some(DeliveryStatus::Expired),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ::http::Method;

    use super::*;
    use crate::carrier::fixture::{self, CALLBACK_URL, IN_SEVEN_SECONDS, REFERENCE};
    use crate::carrier::vendor_format::form;
    use crate::message::Encoding;

    fn entry() -> Value {
        json!({
            "hash": "hash-for-tests",
            "token": "token-for-tests",
            "base_url": "http://127.0.0.1:9000",
        })
    }

    fn carrier() -> SmsPm {
        fixture::read(SmsPm::from_fields, entry()).0
    }

    #[test]
    fn message_is_posted_as_documented() {
        let request = fixture::request(&carrier(), "Your code is 4217", Encoding::Gsm7, |_| ());
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/")
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        let expected = json!({
            "hash": "hash-for-tests",
            "token": "token-for-tests",
            "toNumber": "33612345678",
            "fromNumber": "AcmeInc",
            "text": "Your code is 4217",
            "smsId": REFERENCE,
            "callbackUrl": CALLBACK_URL,
            "report": CALLBACK_URL,
        });
        assert_eq!(fixture::json(&request), expected);
        let default_url = fixture::read(
            SmsPm::from_fields,
            fixture::with(&entry(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&default_url, "код", Encoding::Ucs2, |message| {
            message.sender = None
        });
        assert_eq!(
            (
                request.uri().to_string().as_str(),
                fixture::json(&request).get("fromNumber")
            ),
            ("https://api.smspm.com/", None)
        );
    }

    #[test]
    fn entries_without_hash_or_token_are_rejected() {
        assert_eq!(
            fixture::read(SmsPm::from_fields, entry()).1,
            Vec::<String>::new()
        );
        assert_eq!(
            fixture::read(SmsPm::from_fields, json!({})).1,
            ["hash", "token"]
        );
        assert_eq!(
            fixture::read(
                SmsPm::from_fields,
                fixture::with(&entry(), "hash", json!("ü"))
            )
            .1,
            ["hash"]
        );
    }

    #[test]
    fn responses_are_classified() {
        let class = |status: u16, body: &str| fixture::receipt(&carrier(), status, body);
        let entry = |entry: Value| class(200, &json!({"messages": [entry]}).to_string());
        let id = "a7b3c1d2-0000-4000-8000-000000000001";
        assert_eq!(
            entry(json!({"id": id, "toNumber": "33612345678", "status": "Added to queue"})),
            Receipt::Accepted
        );
        assert_eq!(
            class(
                200,
                &json!({
                    "status": "success",
                    "messageId": id,
                    "parts": 1,
                    "cost": 0.045,
                    "currency": "EUR",
                })
                .to_string()
            ),
            Receipt::Accepted
        );
        assert_eq!(
            class(201, r#"{"id":"msg_1","status":"queued","price":0.04}"#),
            Receipt::Accepted
        );
        assert_eq!(
            entry(json!({"toNumber": "33612345678", "status": "Added to queue"})),
            Receipt::Unknown,
            "no id, no success"
        );
        assert_eq!(
            entry(json!({"id": id, "error": "Invalid phone number: 33612345678"})),
            Receipt::Permanent
        );
        assert_eq!(
            entry(json!({"id": id, "error": "Sender is not approved"})),
            Receipt::Misconfigured
        );
        assert_eq!(
            entry(json!({"id": id, "status": "rejected"})),
            Receipt::Permanent
        );
        for (status, body, expected) in [
            (
                400,
                r#"{"error":"Token is required"}"#,
                Receipt::AccountRejected,
            ),
            (
                400,
                r#"{"error":"Hash is required"}"#,
                Receipt::AccountRejected,
            ),
            (
                400,
                r#"{"error":"Invalid phone number: 3361"}"#,
                Receipt::Permanent,
            ),
            (401, r#"{"error":"Unauthorized"}"#, Receipt::AccountRejected),
            (
                402,
                r#"{"error":"Payment required"}"#,
                Receipt::AccountRejected,
            ),
            (200, r#"{"status":"invalid_phone"}"#, Receipt::Permanent),
            (
                200,
                r#"{"status":"destination_blocked"}"#,
                Receipt::Permanent,
            ),
            (
                200,
                r#"{"status":"low_balance","messageId":"1"}"#,
                Receipt::AccountRejected,
            ),
            (
                200,
                r#"{"status":"invalid_sender"}"#,
                Receipt::Misconfigured,
            ),
            (
                400,
                r#"{"status":"invalid_params"}"#,
                Receipt::Misconfigured,
            ),
            (401, r#"{"status":"auth_failed"}"#, Receipt::AccountRejected),
            (429, r#"{"status":"rate_limit"}"#, IN_SEVEN_SECONDS),
            (200, r#"{"status":"rate_limit"}"#, IN_SEVEN_SECONDS),
            (500, r#"{"status":"server_error"}"#, IN_SEVEN_SECONDS),
            (500, r#"{"error":"Something broke"}"#, IN_SEVEN_SECONDS),
            (500, r#"{"messages":[{"id":"1"}]}"#, IN_SEVEN_SECONDS),
        ] {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
        fixture::unreadable_responses_are_not_accepted(&carrier());
    }

    #[test]
    fn statuses_are_read_in_every_format() {
        use DeliveryStatus::{Delivered, Expired, Queued, Rejected, Sent, Undelivered};
        for (words, expected) in [
            (
                &["Added to queue", "queued", "submitted", "pending"][..],
                Queued,
            ),
            (&["sent", "SENT"], Sent),
            (&["delivered"], Delivered),
            (&["failed", "undelivered"], Undelivered),
            (&["rejected"], Rejected),
            (&["expired"], Expired),
        ] {
            for word in words {
                let query = form::encode(&[
                    ("id", "a7b3c1d2"),
                    ("status", word),
                    ("toNumber", "33612345678"),
                ]);
                let first = json!({
                    "messageId": "a7b3c1d2",
                    "status": word,
                    "to": "+33612345678",
                    "timestamp": "2025-11-21T19:30:00Z",
                })
                .to_string();
                let second = json!({
                    "event": format!("sms.{}", word.to_lowercase()),
                    "id": "a7b3c1d2",
                    "to": "+33612345678",
                })
                .to_string();
                assert_eq!(
                    fixture::report(&carrier(), &Method::GET, &query, b""),
                    fixture::status(expected),
                    "{word}"
                );
                for body in [query, first, second] {
                    assert_eq!(
                        fixture::report(&carrier(), &Method::POST, "", body.as_bytes()),
                        fixture::status(expected),
                        "{body}"
                    );
                    assert_eq!(
                        fixture::report(&carrier(), &Method::POST, "", body.as_bytes()),
                        fixture::status(expected),
                        "{body} again"
                    );
                }
            }
        }
    }

    #[test]
    fn reports_without_a_status_are_accepted() {
        let nothing = Ok(Report::new(None, None));
        for query in [
            "",
            "id=1",
            "status=teleported",
            "status=",
            "event=delivered",
            "event=sms.",
        ] {
            assert_eq!(
                fixture::report(&carrier(), &Method::GET, query, b""),
                nothing,
                "{query}"
            );
        }
        assert_eq!(
            fixture::report(&carrier(), &Method::PUT, "status=delivered", b""),
            Err(ReportError::Forged)
        );
        fixture::hostile_reports_change_nothing(&carrier());
    }
}
