//! Kind `smspm`: SMSPM, its API v2.0.
//! Wire: `POST {base_url}/`; <https://app.smspm.com/docs>. Its pages contradict one another: the request is the one that every
//! integration uses, answers and reports are read in all their shapes. It cannot sign: a report counts for the message whose token
//! URL it came to. Hash and token have no place but the body (or the query, which ends up in logs).

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::vendor_formats;
use super::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// A carrier of kind `smspm`.
pub struct SmsPm {
    base_url: String,
    hash: String,
    token: String,
}

impl SmsPm {
    /// From its settings: `hash`, `token`.
    pub fn read(fields: &mut Fields) -> Self {
        let base_url = super::base_url(fields, "https://api.smspm.com");
        Self {
            base_url,
            hash: vendor_formats::credential(fields, "hash"),
            token: vendor_formats::credential(fields, "token"),
        }
    }
}

impl Carrier for SmsPm {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        // Unicode and parts are the vendor's own business, and there is no field for a validity.
        let mut body = json!({
            "hash": self.hash, "token": self.token, "toNumber": vendor_formats::digits(message.to), "text": message.message.text, "smsId": message.reference,
            "report": message.callback_url,
        });
        if let Some(sender) = message.sender {
            body["fromNumber"] = sender.into();
        }
        vendor_formats::post_json(&format!("{}/", self.base_url), &[], &body)
    }

    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else {
            return vendor_formats::unreadable(answer, now);
        };
        let entry = &body["messages"][0];
        let words = |values: [&Value; 2]| {
            values
                .into_iter()
                .filter_map(|value| value.as_str().map(str::to_ascii_lowercase))
                .find(|word| !word.is_empty())
        };
        let (error, state) = (
            words([&entry["error"], &body["error"]]),
            words([&entry["status"], &body["status"]]),
        );
        let has_id = [&entry["id"], &body["messageId"], &body["id"]]
            .into_iter()
            .any(|id| id.as_str().is_some_and(|id| !id.is_empty()));
        match (error, state.as_deref()) {
            (Some(error), _) => refused(&error, answer, now),
            (None, Some(state)) if is_an_error(state) => refused(state, answer, now),
            (None, Some(state)) if status(state).is_some_and(DeliveryStatus::is_failure) => {
                Receipt::Permanent
            }
            (None, _) if has_id && answer.status().is_success() => Receipt::Accepted,
            (None, _) => vendor_formats::unreadable(answer, now),
        }
    }

    /// The format is not documented in one way, and a report that cannot be read must not be sent again and again: it is taken
    /// and changes nothing.
    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Report, ReportError> {
        let fields = vendor_formats::report_fields(callback)?;
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
        Ok(Report {
            reference: None,
            status: status(&word.trim().to_ascii_lowercase()),
        })
    }
}

/// What an error means, in the words of the API (`Invalid phone number: …`) or of the guide (`invalid_phone`).
fn refused(error: &str, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
    if ["rate_limit", "server_error"].contains(&error) {
        vendor_formats::not_now(answer, now)
    } else if error.contains("phone") || error == "destination_blocked" {
        Receipt::Permanent
    } else {
        vendor_formats::unlisted(answer, now)
    }
}

/// Errors that the guide has in the `status` of an answer with status 200.
fn is_an_error(state: &str) -> bool {
    const ERRORS: [&str; 9] = [
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
    ERRORS.contains(&state)
}

/// A word in lower case.
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

    use super::super::vendor_formats::fixture::{self, CALLBACK_URL, IN_SEVEN_SECONDS, REFERENCE};
    use super::*;
    use crate::message::Encoding;

    fn settings() -> Value {
        json!({ "hash": "hash-for-tests", "token": "token-for-tests", "base_url": "http://127.0.0.1:9000" })
    }

    fn carrier() -> SmsPm {
        fixture::read(SmsPm::read, settings()).0
    }

    #[test]
    fn a_message_is_posted_as_documented() {
        let request = fixture::request(&carrier(), "Your code is 4217", Encoding::Gsm7, |_| ());
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/")
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        let expected = json!({"hash": "hash-for-tests", "token": "token-for-tests", "toNumber": "33612345678", "fromNumber": "AcmeInc",
            "text": "Your code is 4217", "smsId": REFERENCE, "report": CALLBACK_URL});
        assert_eq!(fixture::json(&request), expected);
        let elsewhere = fixture::read(
            SmsPm::read,
            fixture::with(&settings(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&elsewhere, "код", Encoding::Ucs2, |message| {
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
    fn settings_without_hash_or_token_are_refused() {
        assert_eq!(
            fixture::read(SmsPm::read, settings()).1,
            Vec::<String>::new()
        );
        assert_eq!(fixture::read(SmsPm::read, json!({})).1, ["hash", "token"]);
        assert_eq!(
            fixture::read(SmsPm::read, fixture::with(&settings(), "hash", json!("ü"))).1,
            ["hash"]
        );
    }

    #[test]
    fn every_class_of_answer_is_read() {
        let class = |status: u16, body: &str| fixture::receipt(&carrier(), status, body);
        let entry = |entry: Value| class(200, &json!({"messages": [entry]}).to_string());
        let id = "a7b3c1d2-0000-4000-8000-000000000001";
        assert_eq!(
            entry(json!({"id": id, "toNumber": "33612345678", "status": "Added to queue"})),
            Receipt::Accepted
        );
        assert_eq!(
            class(200, &json!({"status": "success", "messageId": id, "parts": 1, "cost": 0.045, "currency": "EUR"}).to_string()),
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
                Receipt::Misconfigured,
            ),
            (
                400,
                r#"{"error":"Hash is required"}"#,
                Receipt::Misconfigured,
            ),
            (
                400,
                r#"{"error":"Invalid phone number: 3361"}"#,
                Receipt::Permanent,
            ),
            (401, r#"{"error":"Unauthorized"}"#, Receipt::Misconfigured),
            (
                402,
                r#"{"error":"Payment required"}"#,
                Receipt::Misconfigured,
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
                Receipt::Misconfigured,
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
            (401, r#"{"status":"auth_failed"}"#, Receipt::Misconfigured),
            (429, r#"{"status":"rate_limit"}"#, IN_SEVEN_SECONDS),
            (200, r#"{"status":"rate_limit"}"#, IN_SEVEN_SECONDS),
            (500, r#"{"status":"server_error"}"#, IN_SEVEN_SECONDS),
            (500, r#"{"error":"Something broke"}"#, IN_SEVEN_SECONDS),
            (500, r#"{"messages":[{"id":"1"}]}"#, IN_SEVEN_SECONDS),
        ] {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
        fixture::answers_that_cannot_be_read_are_no_success(&carrier());
    }

    #[test]
    fn every_word_is_read_in_every_shape() {
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
                let query = vendor_formats::form(&[
                    ("id", "a7b3c1d2"),
                    ("status", word),
                    ("toNumber", "33612345678"),
                ]);
                let first = json!({"messageId": "a7b3c1d2", "status": word, "to": "+33612345678", "timestamp": "2025-11-21T19:30:00Z"}).to_string();
                let second = json!({"event": format!("sms.{}", word.to_lowercase()), "id": "a7b3c1d2", "to": "+33612345678"}).to_string();
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
    fn reports_that_say_nothing_are_taken_and_change_nothing() {
        let nothing = Ok(Report {
            reference: None,
            status: None,
        });
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
