//! Kind `labsmobile`: LabsMobile.
//! Wire: `POST {base_url}/json/send`; <https://apidocs.labsmobile.com/>. It cannot sign, and its `subid` is too short for our reference:
//! a report counts for the message whose token URL it came to.

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::vendor_formats::{self, whole};
use super::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::message::Encoding;
use crate::platform::json::Fields;

/// A carrier of kind `labsmobile`.
pub struct LabsMobile {
    base_url: String,
    username: String,
    token: String,
}

impl LabsMobile {
    /// From its settings: `username`, `token`.
    pub fn read(fields: &mut Fields) -> Self {
        let base_url = super::base_url(fields, "https://api.labsmobile.com");
        Self {
            base_url,
            username: vendor_formats::basic_credential(fields, "username"),
            token: vendor_formats::credential(fields, "token"),
        }
    }
}

impl Carrier for LabsMobile {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        // There is no field for a validity. `long` lets a text take several parts; without it a long one is refused.
        let mut body = json!({
            "message": message.message.text, "recipient": [{"msisdn": vendor_formats::digits(message.to)}], "label": "otp", "long": 1,
            "ucs2": u8::from(message.message.encoding == Encoding::Ucs2), "test": 0, "ackurl": message.callback_url,
        });
        if let Some(sender) = message.sender {
            body["tpoa"] = sender.into();
        }
        let headers = [(
            "authorization",
            vendor_formats::basic(&self.username, &self.token),
        )];
        vendor_formats::post_json(&format!("{}/json/send", self.base_url), &headers, &body)
    }

    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else {
            return vendor_formats::unreadable(answer, now);
        };
        match whole(&body["code"]) {
            Some(0) if answer.status().is_success() => Receipt::Accepted,
            // No recipients: what is left of a list of one bad number.
            Some(23) => Receipt::Permanent,
            Some(30) => vendor_formats::not_now(answer, now),
            // Our document; 35 is the balance.
            Some(10 | 11 | 20 | 21 | 24 | 27 | 28 | 35 | 39 | 41) => Receipt::Misconfigured,
            Some(0) | None => vendor_formats::unreadable(answer, now),
            Some(_) => vendor_formats::unlisted(answer, now),
        }
    }

    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Report, ReportError> {
        let fields = vendor_formats::report_fields(callback)?;
        let word = |name: &str| {
            fields
                .get(name)
                .map(|word| word.trim().to_ascii_lowercase())
                .unwrap_or_default()
        };
        let (level, state, description) = (word("acklevel"), word("status"), word("desc"));
        if !["acklevel", "status", "desc", "subid"]
            .iter()
            .any(|name| fields.contains_key(*name))
        {
            return Err(ReportError::Unreadable);
        }
        Ok(Report {
            reference: None,
            status: by_description(&level, &description).or_else(|| by_level(&level, &state)),
        })
    }
}

/// The operator's word, which says most: <https://www.labsmobile.com/en/sms-api/api-versions/http-rest-post-json>
fn by_description(level: &str, description: &str) -> Option<DeliveryStatus> {
    match description {
        // Only the phone can say so; from a station on the way it means that this one is done.
        "delivrd" | "delivered" | "read" if matches!(level, "operator" | "gateway") => {
            Some(DeliveryStatus::Sent)
        }
        "delivrd" | "delivered" | "read" => Some(DeliveryStatus::Delivered),
        "undeliv" | "undeliverable" | "unknown" | "error" => Some(DeliveryStatus::Undelivered),
        "rejectd" | "rejected" | "blocked" => Some(DeliveryStatus::Rejected),
        "expired" => Some(DeliveryStatus::Expired),
        "sent" => Some(DeliveryStatus::Sent),
        "processed" => Some(DeliveryStatus::Queued),
        _ => None,
    }
}

fn by_level(level: &str, state: &str) -> Option<DeliveryStatus> {
    match (level, state) {
        ("error", _) | ("operator" | "handset", "ko") => Some(DeliveryStatus::Undelivered),
        ("handset", "ok") => Some(DeliveryStatus::Delivered),
        ("operator", "ok") => Some(DeliveryStatus::Sent),
        ("gateway", "ok") | (_, "processed") => Some(DeliveryStatus::Queued),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ::http::Method;

    use super::super::vendor_formats::fixture::{self, CALLBACK_URL, IN_SEVEN_SECONDS};
    use super::*;

    fn settings() -> Value {
        json!({ "username": "ops@example.com", "token": "token-for-tests", "base_url": "http://127.0.0.1:9000" })
    }

    fn carrier() -> LabsMobile {
        fixture::read(LabsMobile::read, settings()).0
    }

    fn reported(query: &str) -> Result<Report, ReportError> {
        fixture::report(&carrier(), &Method::GET, query, b"")
    }

    #[test]
    fn a_message_is_posted_as_documented() {
        let request = fixture::request(&carrier(), "Your code is 4217", Encoding::Gsm7, |_| ());
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/json/send")
        );
        assert_eq!(
            request.headers()["authorization"],
            "Basic b3BzQGV4YW1wbGUuY29tOnRva2VuLWZvci10ZXN0cw=="
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        let expected = json!({"message": "Your code is 4217", "tpoa": "AcmeInc", "recipient": [{"msisdn": "33612345678"}], "label": "otp", "long": 1,
            "ucs2": 0, "test": 0, "ackurl": CALLBACK_URL});
        assert_eq!(fixture::json(&request), expected);
        let elsewhere = fixture::read(
            LabsMobile::read,
            fixture::with(&settings(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&elsewhere, "код", Encoding::Ucs2, |message| {
            message.sender = None
        });
        let body = fixture::json(&request);
        assert_eq!(
            (
                request.uri().to_string().as_str(),
                &body["ucs2"],
                body.get("tpoa")
            ),
            ("https://api.labsmobile.com/json/send", &json!(1), None)
        );
    }

    #[test]
    fn settings_without_user_or_token_are_refused() {
        assert_eq!(
            fixture::read(LabsMobile::read, settings()).1,
            Vec::<String>::new()
        );
        assert_eq!(
            fixture::read(LabsMobile::read, json!({})).1,
            ["username", "token"]
        );
        assert_eq!(
            fixture::read(
                LabsMobile::read,
                fixture::with(&settings(), "username", json!("a:b"))
            )
            .1,
            ["username"]
        );
    }

    #[test]
    fn every_class_of_answer_is_read() {
        let class = |status: u16, code: Value| {
            fixture::receipt(
                &carrier(),
                status,
                &json!({"code": code, "message": "…", "subid": "x"}).to_string(),
            )
        };
        assert_eq!(
            [class(200, json!("0")), class(200, json!(0))],
            [Receipt::Accepted, Receipt::Accepted]
        );
        for status in [200, 400] {
            assert_eq!(class(status, json!("23")), Receipt::Permanent);
            assert_eq!(class(status, json!("30")), IN_SEVEN_SECONDS);
            for code in [10, 11, 20, 21, 24, 27, 28, 35, 39, 41, 777, -1] {
                assert_eq!(
                    class(status, json!(code.to_string())),
                    Receipt::Misconfigured,
                    "{code}"
                );
            }
        }
        assert_eq!(class(401, json!("403")), Receipt::Misconfigured);
        assert_eq!(
            [
                class(500, json!("99")),
                class(500, json!("0")),
                class(429, json!(null))
            ],
            [const { IN_SEVEN_SECONDS }; 3]
        );
        fixture::answers_that_cannot_be_read_are_no_success(&carrier());
    }

    #[test]
    fn every_word_is_read() {
        use DeliveryStatus::{Delivered, Expired, Queued, Rejected, Sent, Undelivered};
        for (level, state, description, expected) in [
            ("handset", "ok", "DELIVRD", Some(Delivered)),
            ("handset", "ok", "READ", Some(Delivered)),
            ("handset", "ok", "", Some(Delivered)),
            ("operator", "ok", "", Some(Sent)),
            ("operator", "ok", "DELIVRD", Some(Sent)),
            ("gateway", "ok", "", Some(Queued)),
            ("", "processed", "", Some(Queued)),
            ("handset", "ok", "UNDELIV", Some(Undelivered)),
            ("handset", "ko", "UNKNOWN", Some(Undelivered)),
            ("handset", "ko", "", Some(Undelivered)),
            ("error", "", "", Some(Undelivered)),
            ("handset", "ko", "REJECTD", Some(Rejected)),
            ("error", "ko", "BLOCKED", Some(Rejected)),
            ("handset", "ko", "EXPIRED", Some(Expired)),
            ("", "", "DELIVRD", Some(Delivered)),
            ("moon", "ok", "LANDED", None),
            ("handset", "perhaps", "", None),
        ] {
            let query = vendor_formats::form(&[
                ("acklevel", level),
                ("msisdn", "33612345678"),
                ("status", state),
                ("desc", description),
                ("subid", "x"),
                ("timestamp", "2026-02-26 12:00:00"),
            ]);
            let expected = Ok(Report {
                reference: None,
                status: expected,
            });
            assert_eq!(reported(&query), expected, "{query}");
            assert_eq!(reported(&query), expected, "{query} again");
            assert_eq!(
                fixture::report(&carrier(), &Method::POST, "", query.as_bytes()),
                expected,
                "{query} posted"
            );
        }
    }

    #[test]
    fn reports_without_a_status_change_nothing_and_name_no_message() {
        for query in ["subid=x", "desc=", "acklevel=&status=&desc=+"] {
            assert_eq!(
                reported(query),
                Ok(Report {
                    reference: None,
                    status: None
                }),
                "{query}"
            );
        }
        for query in ["", "Desc=DELIVRD", "<desc>DELIVRD</desc>"] {
            assert_eq!(reported(query), Err(ReportError::Unreadable), "{query}");
        }
        let named =
            reported("acklevel=handset&desc=DELIVRD&subid=abcdefghijklmnopqrstuvwxyz234567");
        assert_eq!(
            named.map(|report| report.reference),
            Ok(None),
            "the URL names the message, nothing in the report does"
        );
        assert_eq!(
            fixture::report(&carrier(), &Method::PUT, "desc=DELIVRD", b""),
            Err(ReportError::Forged)
        );
        fixture::hostile_reports_change_nothing(&carrier());
    }
}
