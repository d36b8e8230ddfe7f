//! Kind `smsbox`: SMSBOX (smsbox.net).
//! Wire: `POST {base_url}/1.1/api.php`; <https://docs.smsbox.dev/sms>. It cannot sign, and knows one callback URL for the whole
//! account, so a report names its message by the variable that we hand along.

use ::http::{Request, Response};

use super::vendor_formats;
use super::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::message::Encoding;
use crate::platform::json::Fields;

/// Notifications: sent at any hour, without a mention of STOP. Left out, a message counts as advertising and waits for
/// office hours.
const STRATEGY_NOTIFICATION: &str = "2";
/// A longer text is cut, not refused, and what is cut off is the line that fills the code in.
const PARTS_MAX: &str = "8";
const VALIDITY_MINUTES_MIN: i64 = 5;
const VALIDITY_MINUTES_MAX: i64 = 1440;
/// The parameter of a report that carries our reference.
const REFERENCE: &str = "m";

/// A carrier of kind `smsbox`.
pub struct SmsBox {
    base_url: String,
    api_key: String,
    callback_token: String,
}

impl SmsBox {
    /// From its settings: `api_key`, `callback_token`.
    pub fn read(fields: &mut Fields) -> Self {
        let base_url = super::base_url(fields, "https://api.smsbox.pro");
        Self {
            base_url,
            api_key: vendor_formats::credential(fields, "api_key"),
            callback_token: vendor_formats::callback_token(fields),
        }
    }
}

impl Carrier for SmsBox {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let coding = match message.message.encoding {
            Encoding::Gsm7 => "default",
            Encoding::Ucs2 => "unicode",
        };
        let validity = (message.validity_seconds / 60)
            .clamp(VALIDITY_MINUTES_MIN, VALIDITY_MINUTES_MAX)
            .to_string();
        // A query string in itself: it is appended to the callback's.
        let variables = vendor_formats::form(&[(REFERENCE, message.reference)]);
        let mut form = vec![
            ("dest", vendor_formats::digits(message.to)),
            ("msg", &message.message.text),
        ];
        match message.sender {
            Some(sender) => form.extend([("mode", "Expert"), ("origine", sender)]),
            None => form.push(("mode", "Standard")),
        }
        form.extend([
            ("strategy", STRATEGY_NOTIFICATION),
            ("charset", "utf-8"),
            ("coding", coding),
            ("max_parts", PARTS_MAX),
            ("validity", &validity),
            ("id", "1"),
            ("callback", "1"),
            ("cvar", &variables),
        ]);
        vendor_formats::post_form(
            &format!("{}/1.1/api.php", self.base_url),
            &[("authorization", format!("App {}", self.api_key))],
            &form,
        )
    }

    /// Always 200 and plain text.
    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let words = std::str::from_utf8(answer.body())
            .unwrap_or_default()
            .trim();
        if !answer.status().is_success() {
            return vendor_formats::unreadable(answer, now);
        }
        let is_reference =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        match words.split_once(' ').unwrap_or((words, "")) {
            ("OK", "") => Receipt::Accepted,
            ("OK", references) if references.split(',').all(is_reference) => Receipt::Accepted,
            // Black list, repeated message, prefix that is not served.
            ("ERROR", "" | "04") => Receipt::Permanent,
            ("ERROR", "05") => vendor_formats::not_now(answer, now),
            // 01 parameter, 02 key or IP address, 03 credit; and what is not documented.
            ("ERROR", _) => Receipt::Misconfigured,
            _ => Receipt::Unknown,
        }
    }

    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Report, ReportError> {
        let fields = vendor_formats::report_fields(callback)?;
        let (reference, code) = (fields.get(REFERENCE), fields.get("accuse"));
        if reference.is_none() && code.is_none() {
            return Err(ReportError::Unreadable);
        }
        let status = match code.map(String::as_str).unwrap_or_default() {
            "0" | "33" | "34" => Some(DeliveryStatus::Delivered),
            "9" | "10" | "30" | "31" | "32" | "39" => Some(DeliveryStatus::Sent),
            "-3" | "-1" | "1" | "3" | "4" | "5" | "6" | "35" | "36" | "37" | "38" => {
                Some(DeliveryStatus::Undelivered)
            }
            "2" | "7" | "8" => Some(DeliveryStatus::Rejected),
            _ => None,
        };
        Ok(Report {
            reference: reference.cloned(),
            status,
        })
    }

    fn account_token(&self) -> Option<&str> {
        Some(&self.callback_token)
    }
}

#[cfg(test)]
mod tests {
    use ::http::Method;
    use serde_json::{Value, json};

    use super::super::vendor_formats::fixture::{self, CALLBACK_TOKEN, IN_SEVEN_SECONDS};
    use super::*;

    fn settings() -> Value {
        json!({ "api_key": "key-for-tests", "callback_token": CALLBACK_TOKEN, "base_url": "http://127.0.0.1:9000" })
    }

    fn carrier() -> SmsBox {
        fixture::read(SmsBox::read, settings()).0
    }

    fn reported(query: &str) -> Result<Report, ReportError> {
        fixture::report(&carrier(), &Method::GET, query, b"")
    }

    #[test]
    fn a_message_is_posted_as_documented() {
        let request = fixture::request(&carrier(), "Your code is 4217", Encoding::Gsm7, |_| ());
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/1.1/api.php")
        );
        assert_eq!(request.headers()["authorization"], "App key-for-tests");
        assert_eq!(
            request.headers()["content-type"],
            "application/x-www-form-urlencoded"
        );
        let expected = "dest=33612345678&msg=Your+code+is+4217&mode=Expert&origine=AcmeInc&strategy=2&charset=utf-8&coding=default&max_parts=8\
            &validity=5&id=1&callback=1&cvar=m%3Dabcdefghijklmnopqrstuvwxyz234567";
        assert_eq!(request.body(), expected);
    }

    #[test]
    fn letters_outside_gsm_are_unicode_and_a_message_without_sender_is_standard() {
        let elsewhere = fixture::read(
            SmsBox::read,
            fixture::with(&settings(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&elsewhere, "код", Encoding::Ucs2, |message| {
            message.sender = None
        });
        assert_eq!(request.uri(), "https://api.smsbox.pro/1.1/api.php");
        assert!(request.body().starts_with("dest=33612345678&msg=%D0%BA%D0%BE%D0%B4&mode=Standard&strategy=2&charset=utf-8&coding=unicode&"));
    }

    #[test]
    fn the_validity_stays_within_what_the_vendor_takes() {
        for (seconds, minutes) in [
            (i64::MIN, 5),
            (10, 5),
            (659, 10),
            (1_800, 30),
            (i64::MAX, 1440),
        ] {
            let request = fixture::request(&carrier(), "x", Encoding::Gsm7, |message| {
                message.validity_seconds = seconds
            });
            assert!(
                request.body().contains(&format!("&validity={minutes}&")),
                "{seconds}"
            );
        }
    }

    #[test]
    fn settings_without_key_or_token_are_refused() {
        assert_eq!(
            fixture::read(SmsBox::read, settings()).1,
            Vec::<String>::new()
        );
        assert_eq!(
            fixture::read(SmsBox::read, json!({})).1,
            ["api_key", "callback_token"]
        );
        assert_eq!(
            fixture::read(
                SmsBox::read,
                fixture::with(&settings(), "callback_token", json!("short"))
            )
            .1,
            ["callback_token"]
        );
        assert_eq!(carrier().account_token(), Some(CALLBACK_TOKEN));
    }

    #[test]
    fn every_class_of_answer_is_read() {
        let class = |body: &str| fixture::receipt(&carrier(), 200, body);
        for accepted in [
            "OK",
            "OK 123456789012",
            "OK 123456789012,123456789013",
            "OK 123456789012\n",
        ] {
            assert_eq!(class(accepted), Receipt::Accepted, "{accepted}");
        }
        for misconfigured in [
            "ERROR 01",
            "ERROR 02",
            "ERROR 03",
            "ERROR 99",
            "ERROR on line 4",
        ] {
            assert_eq!(
                class(misconfigured),
                Receipt::Misconfigured,
                "{misconfigured}"
            );
        }
        assert_eq!(
            [class("ERROR"), class("ERROR 04")],
            [Receipt::Permanent, Receipt::Permanent]
        );
        assert_eq!(class("ERROR 05"), IN_SEVEN_SECONDS);
        assert_eq!(
            [
                class("OK then"),
                class("OK 12,"),
                class("ok"),
                class("ERRORS")
            ],
            [const { Receipt::Unknown }; 4]
        );
        assert_eq!(
            fixture::receipt(&carrier(), 502, "OK 123456789012"),
            IN_SEVEN_SECONDS
        );
        fixture::answers_that_cannot_be_read_are_no_success(&carrier());
    }

    #[test]
    fn every_code_is_read_and_names_its_message() {
        use DeliveryStatus::{Delivered, Rejected, Sent, Undelivered};
        for (codes, expected) in [
            (&[0, 33, 34][..], Some(Delivered)),
            (&[9, 10, 30, 31, 32, 39], Some(Sent)),
            (&[-3, -1, 1, 3, 4, 5, 6, 35, 36, 37, 38], Some(Undelivered)),
            (&[2, 7, 8], Some(Rejected)),
            (&[-2, 11, 40, i64::MIN], None),
        ] {
            for code in codes {
                let query = format!(
                    "numero=33612345678&reference=123456789012&accuse={code}&ts=1705326600&m={}",
                    fixture::REFERENCE
                );
                let expected = Ok(Report {
                    reference: Some(fixture::REFERENCE.into()),
                    status: expected,
                });
                assert_eq!(reported(&query), expected, "{code}");
                assert_eq!(reported(&query), expected, "{code} again");
                assert_eq!(
                    fixture::report(&carrier(), &Method::POST, "", query.as_bytes()),
                    expected,
                    "{code} posted"
                );
            }
        }
    }

    #[test]
    fn a_report_is_for_the_message_that_it_names_and_for_no_other() {
        let named = |query: &str| reported(query).map(|report| report.reference);
        assert_eq!(named("accuse=0&m=other"), Ok(Some("other".into())));
        assert_eq!(named("accuse=0&m=first&m=second"), Ok(Some("first".into())));
        for nothing in ["", "M=other&Accuse=0", "{\"accuse\":0"] {
            assert_eq!(named(nothing), Err(ReportError::Unreadable), "{nothing}");
        }
        assert_eq!(
            fixture::report(&carrier(), &Method::PUT, "accuse=0&m=other", b""),
            Err(ReportError::Forged)
        );
        fixture::hostile_reports_change_nothing(&carrier());
    }

    #[test]
    fn a_report_that_lacks_something_is_taken_and_changes_nothing() {
        for nobodys in [
            "accuse=0",
            "accuse=0&reference=123456789012&numero=33612345678&ts=1705326600",
        ] {
            assert_eq!(
                reported(nobodys),
                fixture::status(DeliveryStatus::Delivered),
                "{nobodys}"
            );
        }
        assert_eq!(
            reported("m=other"),
            Ok(Report {
                reference: Some("other".into()),
                status: None
            })
        );
    }
}
