//! Kind `labsmobile`: LabsMobile, over SMS.
//!
//! API: `POST {base_url}/json/send`, <https://apidocs.labsmobile.com/>.
//!
//! Reports are not signed, and `subid` is too short for our reference: the callback URL
//! authenticates and names the message.

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::carrier_trait::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use super::vendor_format::lenient_json::whole_number;
use super::vendor_format::{config_fields, flat_report, request, response};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::message::Encoding;
use crate::platform::json::Fields;

/// The fields of a report. A report with none of them is not one.
const REPORT_FIELDS: [&str; 4] = ["acklevel", "status", "desc", "subid"];

/// A carrier of kind `labsmobile`.
pub struct LabsMobile {
    base_url: String,
    username: String,
    token: String,
}

impl LabsMobile {
    /// Fields: `username`, `token`.
    pub fn from_fields(fields: &mut Fields) -> Self {
        Self {
            base_url: config_fields::base_url(fields, Some("https://api.labsmobile.com")),
            username: config_fields::basic_user(fields, "username"),
            token: config_fields::credential(fields, "token"),
        }
    }
}

impl Carrier for LabsMobile {
    /// There is no field for a validity. Without `long` a text of several parts is rejected.
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let mut body = json!({
            "message": message.message.text,
            "recipient": [{"msisdn": request::digits(message.to)}],
            "label": "otp",
            "long": 1,
            "ucs2": u8::from(message.message.encoding == Encoding::Ucs2),
            "test": 0,
            "ackurl": message.callback_url,
        });
        if let Some(sender) = message.sender {
            body["tpoa"] = sender.trim_start_matches('+').into();
        }
        let authorization = request::basic_auth(&self.username, &self.token);
        let url = format!("{}/json/send", self.base_url);
        request::post_json(&url, &[authorization], &body)
    }

    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(response.body()) else {
            return response::without_result(response, now);
        };
        match whole_number(&body["code"]) {
            Some(0) if response.status().is_success() => Receipt::Accepted,
            // No recipients: the vendor has removed the invalid number from the list.
            Some(23) => Receipt::Permanent,
            Some(30) => response::transient(response, now),
            // The balance.
            Some(35) => Receipt::AccountRejected,
            // Errors of the request.
            Some(10 | 11 | 20 | 21 | 24 | 27 | 28 | 39 | 41) => Receipt::Misconfigured,
            Some(0) | None => response::without_result(response, now),
            Some(_) => response::unknown_error(response, now),
        }
    }

    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Vec<Report>, ReportError> {
        let fields = flat_report::fields(callback)?;
        if !REPORT_FIELDS.iter().any(|name| fields.contains_key(*name)) {
            return Err(ReportError::Unreadable);
        }
        let word = |name: &str| {
            fields
                .get(name)
                .map(|word| word.trim().to_ascii_lowercase())
                .unwrap_or_default()
        };
        let (level, state, description) = (word("acklevel"), word("status"), word("desc"));
        Ok(vec![Report::new(
            None,
            description_status(&level, &description).or_else(|| level_status(&level, &state)),
        )])
    }
}

/// The status of the network, which is the most precise:
/// <https://www.labsmobile.com/en/sms-api/api-versions/http-rest-post-json>
fn description_status(level: &str, description: &str) -> Option<DeliveryStatus> {
    match description {
        // Only the phone confirms the delivery. At the other levels it means that the message was
        // passed on.
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

fn level_status(level: &str, state: &str) -> Option<DeliveryStatus> {
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

    use super::*;
    use crate::carrier::fixture::{self, CALLBACK_URL, IN_SEVEN_SECONDS};
    use crate::carrier::vendor_format::form;

    fn entry() -> Value {
        json!({
            "username": "ops@example.com",
            "token": "token-for-tests",
            "base_url": "http://127.0.0.1:9000",
        })
    }

    fn carrier() -> LabsMobile {
        fixture::read(LabsMobile::from_fields, entry()).0
    }

    fn reported(query: &str) -> Result<Report, ReportError> {
        fixture::report(&carrier(), &Method::GET, query, b"")
    }

    #[test]
    fn message_is_posted_as_documented() {
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
        let expected = json!({
            "message": "Your code is 4217",
            "tpoa": "AcmeInc",
            "recipient": [{"msisdn": "33612345678"}],
            "label": "otp",
            "long": 1,
            "ucs2": 0,
            "test": 0,
            "ackurl": CALLBACK_URL,
        });
        assert_eq!(fixture::json(&request), expected);
        let default_url = fixture::read(
            LabsMobile::from_fields,
            fixture::with(&entry(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&default_url, "код", Encoding::Ucs2, |message| {
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
    fn entries_without_user_or_token_are_rejected() {
        assert_eq!(
            fixture::read(LabsMobile::from_fields, entry()).1,
            Vec::<String>::new()
        );
        assert_eq!(
            fixture::read(LabsMobile::from_fields, json!({})).1,
            ["username", "token"]
        );
        assert_eq!(
            fixture::read(
                LabsMobile::from_fields,
                fixture::with(&entry(), "username", json!("a:b"))
            )
            .1,
            ["username"]
        );
    }

    #[test]
    fn responses_are_classified() {
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
            assert_eq!(class(status, json!("35")), Receipt::AccountRejected);
            for code in [10, 11, 20, 21, 24, 27, 28, 39, 41, 777, -1] {
                assert_eq!(
                    class(status, json!(code.to_string())),
                    Receipt::Misconfigured,
                    "{code}"
                );
            }
        }
        assert_eq!(class(401, json!("403")), Receipt::AccountRejected);
        assert_eq!(
            [
                class(500, json!("99")),
                class(500, json!("0")),
                class(429, json!(null))
            ],
            [const { IN_SEVEN_SECONDS }; 3]
        );
        fixture::unreadable_responses_are_not_accepted(&carrier());
    }

    #[test]
    fn statuses_are_read() {
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
            let query = form::encode(&[
                ("acklevel", level),
                ("msisdn", "33612345678"),
                ("status", state),
                ("desc", description),
                ("subid", "x"),
                ("timestamp", "2026-02-26 12:00:00"),
            ]);
            let expected = Ok(Report::new(None, expected));
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
    fn reports_without_a_status_are_accepted() {
        for query in ["subid=x", "desc=", "acklevel=&status=&desc=+"] {
            assert_eq!(reported(query), Ok(Report::new(None, None)), "{query}");
        }
        for query in ["", "Desc=DELIVRD", "<desc>DELIVRD</desc>"] {
            assert_eq!(reported(query), Err(ReportError::Unreadable), "{query}");
        }
        let with_subid =
            reported("acklevel=handset&desc=DELIVRD&subid=abcdefghijklmnopqrstuvwxyz234567");
        assert_eq!(
            with_subid.map(|report| report.reference),
            Ok(None),
            "only the URL names the message"
        );
        assert_eq!(
            fixture::report(&carrier(), &Method::PUT, "desc=DELIVRD", b""),
            Err(ReportError::Forged)
        );
        fixture::hostile_reports_change_nothing(&carrier());
    }
}
