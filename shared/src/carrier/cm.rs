//! Kind `cm`: CM.com, Messages API v1.0.
//! Wire: `POST {base_url}/v1.0/message`; <https://developers.cm.com/messaging/docs/integration>. It cannot sign, gives no id of its own,
//! and knows one callback URL for the whole account, so a report names its message by our reference.

use ::http::{Method, Request, Response};
use serde_json::{Value, json};

use super::vendor_formats::{self, whole};
use super::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// Text messages that one message may be billed as.
const PARTS_MAX: u8 = 8;

/// A carrier of kind `cm`.
pub struct Cm {
    base_url: String,
    product_token: String,
    callback_token: String,
}

impl Cm {
    /// From its settings: `product_token`, `callback_token`.
    pub fn read(fields: &mut Fields) -> Self {
        let base_url = super::base_url(fields, "https://gw.messaging.cm.com");
        Self {
            base_url,
            product_token: vendor_formats::credential(fields, "product_token"),
            callback_token: vendor_formats::callback_token(fields),
        }
    }
}

impl Carrier for Cm {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        // Whole minutes that have passed when the code dies: a text with a dead code is worse than none.
        let minutes = (message.validity_seconds / 60).max(1);
        // `auto` is CM's flag for Unicode: it looks at the text.
        let mut text = json!({
            "allowedChannels": ["SMS"], "to": [{"number": format!("00{}", vendor_formats::digits(message.to))}],
            "body": {"type": "auto", "content": message.message.text}, "reference": message.reference, "validity": format!("{minutes}m"),
            "minimumNumberOfMessageParts": 1, "maximumNumberOfMessageParts": PARTS_MAX,
        });
        if let Some(sender) = message.sender {
            text["from"] = sender.into();
        }
        let url = format!("{}/v1.0/message", self.base_url);
        vendor_formats::post_json(
            &url,
            &[("x-cm-producttoken", self.product_token.clone())],
            &json!({"messages": {"msg": [text]}}),
        )
    }

    /// One recipient, so its own entry tells; the code above it, where there is none.
    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else {
            return vendor_formats::unreadable(answer, now);
        };
        let entry = &body["messages"][0];
        let code = [&entry["messageErrorCode"], &body["errorCode"]]
            .into_iter()
            .filter_map(whole)
            .find(|code| *code != 0);
        match (code, entry["status"].as_str()) {
            (None, Some("Accepted")) if answer.status().is_success() => Receipt::Accepted,
            (None, Some("Rejected")) | (Some(302 | 303 | 401..=403), _) => Receipt::Permanent,
            (Some(500 | 999), _) => vendor_formats::not_now(answer, now),
            // Authentication, balance, key; our document; the sender.
            (Some(101..=103 | 202 | 203 | 301 | 304 | 305), _) => Receipt::Misconfigured,
            (Some(_), _) => vendor_formats::unlisted(answer, now),
            (None, _) => vendor_formats::unreadable(answer, now),
        }
    }

    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Report, ReportError> {
        if *callback.method == Method::POST
            && let Ok(document) = vendor_formats::json_report(callback.body)
        {
            return Ok(from_document(&document));
        }
        // The template of an account may be a URL: `?reference=[REFERENCE]&status=[STATUS]&error=[STANDARDERRORTEXT]`.
        let fields = vendor_formats::report_fields(callback)?;
        let field = |name: &str| fields.get(name).map(String::as_str);
        let (reference, word) = (field("reference"), field("status"));
        if reference.is_none() && word.is_none() {
            return Err(ReportError::Unreadable);
        }
        Ok(Report {
            reference: reference.map(str::to_owned),
            status: word.and_then(|word| status(word, field("error").unwrap_or_default())),
        })
    }

    /// The second message of a list and those behind it.
    fn further_reports(&self, callback: &Callback<'_>) -> Vec<Report> {
        let document = serde_json::from_slice::<Value>(callback.body).unwrap_or_default();
        let messages = document["messages"]["msg"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        messages
            .iter()
            .skip(1)
            .map(from_message)
            .filter(|report| report.reference.is_some() && report.status.is_some())
            .collect()
    }

    fn account_token(&self) -> Option<&str> {
        Some(&self.callback_token)
    }
}

/// A JSON report: <https://developers.cm.com/messaging/docs/incoming-status-report>
fn from_document(document: &Value) -> Report {
    let message = &document["messages"]["msg"];
    // An object as documented, or a list.
    from_message(if message.is_array() {
        &message[0]
    } else {
        message
    })
}

fn from_message(message: &Value) -> Report {
    let code = &message["status"]["code"];
    let word = code
        .as_str()
        .map(str::to_owned)
        .or_else(|| code.as_i64().map(|code| code.to_string()));
    let error = message["status"]["errorDescription"]
        .as_str()
        .unwrap_or_default();
    Report {
        reference: message["reference"].as_str().map(str::to_owned),
        status: word.and_then(|word| status(&word, error)),
    }
}

/// The names are CM's (<https://www.cm.com/help/3308/>). What the numbers mean is said by others only.
fn status(word: &str, error: &str) -> Option<DeliveryStatus> {
    let has_expired = error.to_ascii_lowercase().contains("expired");
    match word.trim().to_ascii_lowercase().as_str() {
        "accepted" | "sent" | "0" => Some(DeliveryStatus::Sent),
        "delivered" | "read" | "2" | "4" => Some(DeliveryStatus::Delivered),
        "failed" | "rejected" | "1" | "3" if has_expired => Some(DeliveryStatus::Expired),
        "failed" | "3" => Some(DeliveryStatus::Undelivered),
        "rejected" | "cancelled" | "1" => Some(DeliveryStatus::Rejected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::vendor_formats::fixture::{self, CALLBACK_TOKEN, IN_SEVEN_SECONDS};
    use super::*;
    use crate::message::Encoding;

    fn settings() -> Value {
        json!({ "product_token": "00000000-0000-0000-0000-000000000000", "callback_token": CALLBACK_TOKEN, "base_url": "http://127.0.0.1:9000" })
    }

    fn carrier() -> Cm {
        fixture::read(Cm::read, settings()).0
    }

    fn posted(document: &Value) -> Result<Report, ReportError> {
        fixture::report(
            &carrier(),
            &Method::POST,
            "",
            document.to_string().as_bytes(),
        )
    }

    /// CM's own example, for our reference.
    fn document(code: Value, error: &str) -> Value {
        json!({"messages": {"msg": {"received": "2025-11-21T19:30:00", "to": "0033612345678", "reference": fixture::REFERENCE,
            "status": {"code": code, "errorCode": "", "errorDescription": error}, "operator": "20801"}}})
    }

    #[test]
    fn a_message_is_posted_as_documented() {
        let request = fixture::request(&carrier(), "Your code is 4217", Encoding::Gsm7, |_| ());
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/v1.0/message")
        );
        assert_eq!(
            request.headers()["x-cm-producttoken"],
            "00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        let expected = json!({"messages": {"msg": [{"allowedChannels": ["SMS"], "from": "AcmeInc", "to": [{"number": "0033612345678"}],
            "body": {"type": "auto", "content": "Your code is 4217"}, "reference": fixture::REFERENCE, "validity": "5m",
            "minimumNumberOfMessageParts": 1, "maximumNumberOfMessageParts": 8}]}});
        assert_eq!(fixture::json(&request), expected);
        assert!(
            fixture::REFERENCE.len() <= 32
                && fixture::REFERENCE
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric()),
            "the vendor takes no more"
        );
    }

    #[test]
    fn the_validity_ends_before_the_code_does() {
        for (seconds, validity) in [(i64::MIN, "1m"), (30, "1m"), (119, "1m"), (659, "10m")] {
            let request = fixture::request(&carrier(), "x", Encoding::Gsm7, |message| {
                message.validity_seconds = seconds;
                message.sender = None;
            });
            let message = &fixture::json(&request)["messages"]["msg"][0];
            assert_eq!(
                (&message["validity"], message.get("from")),
                (&json!(validity), None)
            );
        }
        let elsewhere = fixture::read(
            Cm::read,
            fixture::with(&settings(), "base_url", Value::Null),
        )
        .0;
        assert_eq!(
            fixture::request(&elsewhere, "x", Encoding::Gsm7, |_| ()).uri(),
            "https://gw.messaging.cm.com/v1.0/message"
        );
    }

    #[test]
    fn settings_without_tokens_are_refused() {
        assert_eq!(fixture::read(Cm::read, settings()).1, Vec::<String>::new());
        assert_eq!(
            fixture::read(Cm::read, json!({})).1,
            ["product_token", "callback_token"]
        );
        assert_eq!(
            fixture::read(
                Cm::read,
                fixture::with(&settings(), "product_token", json!("a\r\nx: y"))
            )
            .1,
            ["product_token"]
        );
        assert_eq!(carrier().account_token(), Some(CALLBACK_TOKEN));
    }

    #[test]
    fn every_class_of_answer_is_read() {
        let class = |http: u16, code: i64, status: &str, entry_code: i64| {
            let entry = json!({"to": "0033612345678", "status": status, "reference": fixture::REFERENCE, "parts": 1, "messageDetails": null,
                "messageErrorCode": entry_code});
            fixture::receipt(
                &carrier(),
                http,
                &json!({"details": "…", "errorCode": code, "messages": [entry]}).to_string(),
            )
        };
        let above = |code: i64| {
            fixture::receipt(
                &carrier(),
                400,
                &json!({"details": "…", "errorCode": code, "messages": []}).to_string(),
            )
        };
        assert_eq!(class(200, 0, "Accepted", 0), Receipt::Accepted);
        assert_eq!(class(200, 0, "Rejected", 0), Receipt::Permanent);
        for code in [302, 303, 401, 402, 403] {
            assert_eq!(
                [class(200, 201, "Rejected", code), above(code)],
                [Receipt::Permanent, Receipt::Permanent],
                "{code}"
            );
        }
        for code in [101, 102, 103, 202, 203, 301, 304, 305, 777] {
            assert_eq!(
                [class(200, 201, "Rejected", code), above(code)],
                [Receipt::Misconfigured, Receipt::Misconfigured],
                "{code}"
            );
        }
        for code in [500, 999] {
            assert_eq!(
                [class(200, 201, "Rejected", code), above(code)],
                [IN_SEVEN_SECONDS, IN_SEVEN_SECONDS],
                "{code}"
            );
        }
        assert_eq!(class(500, 0, "Accepted", 0), IN_SEVEN_SECONDS);
        assert_eq!(
            fixture::receipt(
                &carrier(),
                200,
                r#"{"details":"Created 0 message(s)","errorCode":0,"messages":[]}"#
            ),
            Receipt::Unknown
        );
        fixture::answers_that_cannot_be_read_are_no_success(&carrier());
    }

    #[test]
    fn every_status_is_read_by_name_and_by_number_and_names_its_message() {
        use DeliveryStatus::{Delivered, Expired, Rejected, Sent, Undelivered};
        for (codes, error, expected) in [
            (&["Accepted", "Sent", "0"][..], "", Some(Sent)),
            (
                &["Delivered", "DELIVERED", "Read", "2", "4"],
                "expired",
                Some(Delivered),
            ),
            (&["Failed", "3"], "", Some(Undelivered)),
            (&["Rejected", "Cancelled", "1"], "blocked", Some(Rejected)),
            (
                &["Failed", "Rejected", "1", "3"],
                "Message Expired at operator",
                Some(Expired),
            ),
            (&["", "17", "-1", "Teleported"], "", None),
        ] {
            for code in codes {
                let expected = Ok(Report {
                    reference: Some(fixture::REFERENCE.into()),
                    status: expected,
                });
                let mut document = document(json!(code), error);
                assert_eq!(posted(&document), expected, "{code}");
                assert_eq!(posted(&document), expected, "{code} again");
                document["messages"]["msg"] = json!([document["messages"]["msg"]]);
                assert_eq!(posted(&document), expected, "{code} in a list");
                let template = vendor_formats::form(&[
                    ("reference", fixture::REFERENCE),
                    ("status", code),
                    ("error", error),
                ]);
                assert_eq!(
                    fixture::report(&carrier(), &Method::GET, &template, b""),
                    expected,
                    "{code} in a URL"
                );
            }
        }
        assert_eq!(
            posted(&document(json!(2), "")).map(|report| report.status),
            Ok(Some(Delivered))
        );
    }

    #[test]
    fn a_report_is_for_the_message_that_it_names_and_for_no_other() {
        let mut other = document(json!("2"), "");
        other["messages"]["msg"]["reference"] = json!("other");
        assert_eq!(
            posted(&other).map(|report| report.reference),
            Ok(Some("other".into()))
        );
        let xml = b"<MESSAGES><MSG><REFERENCE>x</REFERENCE></MSG></MESSAGES>";
        assert_eq!(
            fixture::report(&carrier(), &Method::POST, "", xml),
            Err(ReportError::Unreadable)
        );
        assert_eq!(
            fixture::report(
                &carrier(),
                &Method::GET,
                "",
                document(json!("2"), "").to_string().as_bytes()
            ),
            Err(ReportError::Unreadable)
        );
        assert_eq!(
            fixture::report(
                &carrier(),
                &Method::PUT,
                "",
                document(json!("2"), "").to_string().as_bytes()
            ),
            Err(ReportError::Forged)
        );
        fixture::hostile_reports_change_nothing(&carrier());
    }

    #[test]
    fn a_report_that_lacks_something_is_taken_and_changes_nothing() {
        use DeliveryStatus::Delivered;
        let without = |field: &str| {
            let mut partial = document(json!("2"), "");
            partial["messages"]["msg"]
                .as_object_mut()
                .expect("an object")
                .remove(field);
            posted(&partial)
        };
        let (nobodys, wordless) = (
            Report {
                reference: None,
                status: Some(Delivered),
            },
            Report {
                reference: Some(fixture::REFERENCE.into()),
                status: None,
            },
        );
        assert_eq!(
            (without("reference"), without("status")),
            (Ok(nobodys.clone()), Ok(wordless.clone()))
        );
        let of_url = |query: &str| fixture::report(&carrier(), &Method::GET, query, b"");
        assert_eq!(
            (
                of_url("status=2"),
                of_url(&format!("reference={}", fixture::REFERENCE))
            ),
            (Ok(nobodys), Ok(wordless))
        );
        for nothing in [
            json!({}),
            json!({"messages": {"msg": []}}),
            json!({"messages": {"msg": [7]}}),
            json!({"messages": 7}),
        ] {
            assert_eq!(
                posted(&nothing),
                Ok(Report {
                    reference: None,
                    status: None
                }),
                "{nothing}"
            );
        }
        for unreadable in [json!([]), json!(7), json!("2"), Value::Null] {
            assert_eq!(
                posted(&unreadable),
                Err(ReportError::Unreadable),
                "{unreadable}"
            );
        }
    }

    #[test]
    fn a_message_that_is_none_of_ours_does_not_hold_up_those_behind_it() {
        let ours = document(json!("2"), "")["messages"]["msg"].clone();
        let body = json!({"messages": {"msg": [{"to": "00336", "status": {"code": "2"}}, 7, {"reference": "r"}, ours]}}).to_string();
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &::http::HeaderMap::new(),
            body: body.as_bytes(),
            url: fixture::CALLBACK_URL,
        };
        assert_eq!(
            carrier()
                .report(&callback, fixture::NOW)
                .map(|report| report.reference),
            Ok(None)
        );
        let delivered = Report {
            reference: Some(fixture::REFERENCE.into()),
            status: Some(DeliveryStatus::Delivered),
        };
        assert_eq!(carrier().further_reports(&callback), [delivered]);
    }
}
