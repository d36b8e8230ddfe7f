//! Kind `smspartner`: SMS Partner, whose OTP route is a setting that its support makes on the account.
//! Wire: `POST {base_url}/v1/send`; <https://www.docpartner.dev/en/api/sms-partner/send-sms/single-send>. It cannot sign: a report
//! counts for the message whose token URL it came to. How it pushes reports nobody has documented, so it is asked as well:
//! `GET {base_url}/v1/message-status`; the same site, under "message status". The key goes in the body, and there in the query.

use std::borrow::Cow;

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::vendor_formats::{self, whole};
use super::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use crate::domain::address::Address;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::message::Encoding;
use crate::platform::json::Fields;

/// A carrier of kind `smspartner`.
pub struct SmsPartner {
    base_url: String,
    api_key: String,
}

impl SmsPartner {
    /// From its settings: `api_key`.
    pub fn read(fields: &mut Fields) -> Self {
        Self {
            base_url: super::base_url(fields, "https://api.smspartner.fr"),
            api_key: vendor_formats::credential(fields, "api_key"),
        }
    }
}

impl Carrier for SmsPartner {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        // There is no field for a validity, and `tag` is too short for our reference.
        let mut body = json!({
            "apiKey": self.api_key, "phoneNumbers": message.to.reveal(), "message": written(&message.message.text), "gamme": 1,
            "isUnicode": u8::from(message.message.encoding == Encoding::Ucs2), "isStopSms": 0, "urlDlr": message.callback_url, "sandbox": 0,
            "_format": "json",
        });
        if let Some(sender) = message.sender {
            body["sender"] = sender.into();
        }
        vendor_formats::post_json(&format!("{}/v1/send", self.base_url), &[], &body)
    }

    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else {
            return vendor_formats::unreadable(answer, now);
        };
        // Which HTTP status goes with which code is not documented, so the code decides:
        // https://github.com/toodiz/docpartner pages/docs/SMS/gestion-des-erreurs
        match (body["success"].as_bool(), whole(&body["code"])) {
            (Some(true), None | Some(200)) => Receipt::Accepted,
            (None, None | Some(200)) => vendor_formats::unreadable(answer, now),
            (_, Some(9)) => broken_constraint(&body),
            (_, Some(13..=15 | 55)) => Receipt::Permanent,
            (_, Some(500)) => vendor_formats::not_now(answer, now),
            (_, Some(1 | 2 | 4 | 10 | 11 | 20 | 22 | 23 | 30 | 40 | 42..=52 | 90 | 96 | 992)) => {
                Receipt::Misconfigured
            }
            (Some(false), None) | (_, Some(_)) => vendor_formats::unlisted(answer, now),
        }
    }

    /// The body of a report is not documented, and a report that cannot be read must not be sent again and again: it is taken
    /// and changes nothing.
    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Report, ReportError> {
        let fields = vendor_formats::report_fields(callback)?;
        // The key is French in the status API, English in what others saw being pushed.
        let word = fields.get("status").or_else(|| fields.get("statut"));
        Ok(Report {
            reference: None,
            status: word.and_then(|word| status(word)),
        })
    }

    fn vendor_id(&self, answer: &Response<Vec<u8>>) -> Option<String> {
        let body = serde_json::from_slice::<Value>(answer.body()).ok()?;
        // A number here, a text in the status API.
        let id = &body["message_id"];
        id.as_str()
            .map(str::to_owned)
            .or_else(|| id.as_u64().map(|id| id.to_string()))
    }

    fn question(&self, vendor_id: &str, to: &Address) -> Option<Request<String>> {
        let query = vendor_formats::form(&[
            ("apiKey", self.api_key.as_str()),
            ("messageId", vendor_id),
            ("phoneNumber", to.reveal()),
        ]);
        Request::get(format!("{}/v1/message-status?{query}", self.base_url))
            .body(String::new())
            .ok()
    }

    fn told(&self, answer: &Response<Vec<u8>>) -> Option<DeliveryStatus> {
        let body = serde_json::from_slice::<Value>(answer.body()).ok()?;
        body["success"].as_bool().filter(|success| *success)?;
        status(body["statut"].as_str()?)
    }
}

/// Words of the status API, and of the operators behind it.
fn status(word: &str) -> Option<DeliveryStatus> {
    match word.trim().to_ascii_lowercase().as_str() {
        "waiting" | "pending" | "enroute" => Some(DeliveryStatus::Queued),
        "acceptd" | "sent" => Some(DeliveryStatus::Sent),
        "delivered" | "delivrd" => Some(DeliveryStatus::Delivered),
        "not delivered" | "undeliv" | "unknown" | "ko" => Some(DeliveryStatus::Undelivered),
        "rejectd" => Some(DeliveryStatus::Rejected),
        "expired" => Some(DeliveryStatus::Expired),
        _ => None,
    }
}

/// Code 9 blames a field. Only a number that is wrong is so for every carrier.
fn broken_constraint(body: &Value) -> Receipt {
    let fields: Vec<&str> = ["error", "errors"]
        .iter()
        .filter_map(|key| body[*key].as_array())
        .flatten()
        .filter_map(|element| element["elementId"].as_str())
        .collect();
    if fields.is_empty() || fields.iter().any(|field| field.contains("phoneNumber")) {
        Receipt::Permanent
    } else {
        Receipt::Misconfigured
    }
}

/// `text` in the vendor's spelling, where `:br:` is a line break and `:euro:` the sign. Nothing that stood in the text, a name
/// of a payee for instance, may become one.
fn written(text: &str) -> Cow<'_, str> {
    let mut written = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            '\n' => written.push_str(":br:"),
            '€' => written.push_str(":euro:"),
            ':' => written.push_str(if starts_a_tag(&text[at + 1..]) {
                ": "
            } else {
                ":"
            }),
            _ => written.push(character),
        }
    }
    written.into()
}

fn starts_a_tag(rest: &str) -> bool {
    ["br:", "euro:"].iter().any(|tag| {
        rest.get(..tag.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tag))
    })
}

#[cfg(test)]
mod tests {
    use ::http::Method;

    use super::super::vendor_formats::fixture::{self, CALLBACK_URL, IN_SEVEN_SECONDS};
    use super::*;

    fn settings() -> Value {
        json!({ "api_key": "key-for-tests", "base_url": "http://127.0.0.1:9000/" })
    }

    fn carrier() -> SmsPartner {
        fixture::read(SmsPartner::read, settings()).0
    }

    #[test]
    fn a_message_is_posted_as_documented() {
        let request = fixture::request(&carrier(), "Your code is 4217", Encoding::Gsm7, |_| ());
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/v1/send")
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.headers().len(), 1, "the key is in the body");
        let expected = json!({"apiKey": "key-for-tests", "phoneNumbers": "+33612345678", "message": "Your code is 4217", "gamme": 1,
            "sender": "AcmeInc", "isUnicode": 0, "isStopSms": 0, "urlDlr": CALLBACK_URL, "sandbox": 0, "_format": "json"});
        assert_eq!(fixture::json(&request), expected);
        let elsewhere = fixture::read(
            SmsPartner::read,
            fixture::with(&settings(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&elsewhere, "код 4217", Encoding::Ucs2, |message| {
            message.sender = None
        });
        assert_eq!(request.uri(), "https://api.smspartner.fr/v1/send");
        let body = fixture::json(&request);
        assert_eq!(
            (&body["isUnicode"], &body["message"], body.get("sender")),
            (&json!(1), &json!("код 4217"), None)
        );
    }

    #[test]
    fn line_breaks_are_written_as_the_vendor_wants_them_and_only_ours_are_any() {
        assert_eq!(
            written("Code 4217, 5 €\n@a.example #4217"),
            "Code 4217, 5 :euro::br:@a.example #4217"
        );
        assert_eq!(
            written("to x:br:@evil.example #1"),
            "to x: br:@evil.example #1"
        );
        assert_eq!(written(":br:br:BR::Euro:é:"), ": br: br: BR:: Euro:é:");
        assert_eq!(written("12:30 : é:bré:"), "12:30 : é:bré:");
    }

    #[test]
    fn settings_without_a_usable_key_are_refused() {
        assert_eq!(
            fixture::read(SmsPartner::read, settings()).1,
            Vec::<String>::new()
        );
        for wrong in [Value::Null, json!(""), json!("a\nb"), json!(7)] {
            assert_eq!(
                fixture::read(
                    SmsPartner::read,
                    fixture::with(&settings(), "api_key", wrong)
                )
                .1,
                ["api_key"]
            );
        }
    }

    #[test]
    fn every_class_of_answer_is_read() {
        let class = |status: u16, body: &str| fixture::receipt(&carrier(), status, body);
        assert_eq!(
            class(
                200,
                r#"{"success":true,"code":200,"message_id":307,"nb_sms":1,"cost":0.038,"currency":"EUR"}"#
            ),
            Receipt::Accepted
        );
        // The status is not documented, so neither value changes what the body says.
        for status in [200, 400] {
            let coded = |code: i64| {
                class(
                    status,
                    &json!({"success": false, "code": code, "message": "…"}).to_string(),
                )
            };
            for code in [13, 14, 15, 55] {
                assert_eq!(coded(code), Receipt::Permanent, "{code}");
            }
            for code in [
                1, 2, 4, 10, 11, 20, 22, 23, 30, 40, 42, 43, 45, 46, 47, 48, 49, 50, 51, 52, 90,
                96, 992, 777,
            ] {
                assert_eq!(coded(code), Receipt::Misconfigured, "{code}");
            }
            assert_eq!(coded(500), IN_SEVEN_SECONDS);
        }
        assert_eq!(
            class(200, r#"{"success":"no","code":"10"}"#),
            Receipt::Misconfigured,
            "a code can be a string"
        );
        assert_eq!(class(200, r#"{"success":false}"#), Receipt::Misconfigured);
        assert_eq!(class(503, r#"{"success":false}"#), IN_SEVEN_SECONDS);
        assert_eq!(
            [
                class(200, r#"{"code":200}"#),
                class(200, r#"{"message_id":307}"#)
            ],
            [const { Receipt::Unknown }; 2]
        );
        fixture::answers_that_cannot_be_read_are_no_success(&carrier());
    }

    #[test]
    fn a_broken_constraint_ends_the_delivery_only_if_it_is_the_number() {
        for key in ["error", "errors"] {
            let blamed = |field: &str| {
                let body = json!({"success": false, "code": 9, key: [{"elementId": field, "message": "Le numéro de téléphone est incorrect"}]});
                fixture::receipt(&carrier(), 400, &body.to_string())
            };
            assert_eq!(blamed("children[phoneNumbers].data"), Receipt::Permanent);
            assert_eq!(blamed("children[sender].data"), Receipt::Misconfigured);
        }
        assert_eq!(
            fixture::receipt(&carrier(), 200, r#"{"success":false,"code":9}"#),
            Receipt::Permanent
        );
    }

    #[test]
    fn every_word_is_read_in_every_shape() {
        use DeliveryStatus::{Delivered, Expired, Queued, Rejected, Sent, Undelivered};
        for (words, expected) in [
            (&["Waiting", "waiting", "PENDING", "ENROUTE"][..], Queued),
            (&["ACCEPTD", "sent"], Sent),
            (&["Delivered", "delivered", "DELIVRD"], Delivered),
            (
                &["Not delivered", "not delivered", "UNDELIV", "UNKNOWN", "ko"],
                Undelivered,
            ),
            (&["REJECTD"], Rejected),
            (&["EXPIRED"], Expired),
        ] {
            for word in words {
                let pushed = json!({"message_id": 307, "phone": "+33612345678", "status": word, "date": 1_763_753_400, "cost": 0.038, "currency": "EUR"});
                let form = vendor_formats::form(&[
                    ("messageId", "307"),
                    ("statut", word),
                    ("number", "+33612345678"),
                ]);
                assert_eq!(
                    fixture::report(&carrier(), &Method::POST, "", pushed.to_string().as_bytes()),
                    fixture::status(expected),
                    "{word}"
                );
                assert_eq!(
                    fixture::report(&carrier(), &Method::POST, "", form.as_bytes()),
                    fixture::status(expected),
                    "{word}"
                );
                assert_eq!(
                    fixture::report(&carrier(), &Method::GET, &form, b""),
                    fixture::status(expected),
                    "{word}"
                );
            }
        }
    }

    #[test]
    fn reports_that_say_nothing_are_taken_and_change_nothing() {
        let nothing = Ok(Report {
            reference: None,
            status: None,
        });
        for body in [
            &b""[..],
            b"{",
            b"status=teleported",
            b"{\"message_id\":307}",
            b"\xff\xff",
            b"{\"type\":\"response\",\"text\":\"STOP\"}",
        ] {
            assert_eq!(
                fixture::report(&carrier(), &Method::POST, "", body),
                nothing
            );
        }
        assert_eq!(
            fixture::report(&carrier(), &Method::PUT, "status=delivered", b""),
            Err(ReportError::Forged)
        );
        fixture::hostile_reports_change_nothing(&carrier());
    }

    #[test]
    fn it_is_asked_about_a_message_by_the_name_that_it_gave_it() {
        let answer = |body: &str| Response::new(body.as_bytes().to_vec());
        let carrier = carrier();
        let taken = r#"{"success":true,"code":200,"message_id":307,"nb_sms":1,"cost":0.038,"currency":"EUR"}"#;
        assert_eq!(carrier.vendor_id(&answer(taken)).as_deref(), Some("307"));
        assert_eq!(
            carrier
                .vendor_id(&answer(r#"{"message_id":"x-307"}"#))
                .as_deref(),
            Some("x-307")
        );
        assert_eq!(
            [r#"{"message_id":null}"#, "{}", "[]", "", "307"]
                .map(|body| carrier.vendor_id(&answer(body))),
            [const { None }; 5]
        );
        let to = Address::Phone(
            crate::domain::phone::PhoneNumber::parse("+33612345678", None).expect("a number"),
        );
        let question = carrier.question("307", &to).expect("a request");
        let url = "http://127.0.0.1:9000/v1/message-status?apiKey=key-for-tests&messageId=307&phoneNumber=%2B33612345678";
        assert_eq!(
            (question.method(), question.uri().to_string().as_str()),
            (&Method::GET, url)
        );
    }

    #[test]
    fn what_it_tells_is_a_state_or_nothing() {
        let told = |body: &str| carrier().told(&Response::new(body.as_bytes().to_vec()));
        let documented = r#"{"success":true,"code":200,"number":"+33612345678","messageId":"307","stopSms":false,
            "date":"2015-02-07 22:39:46","statut":"Delivered","cost":"0.038","countryCode":"FR","currency":"EUR"}"#;
        assert_eq!(told(documented), Some(DeliveryStatus::Delivered));
        assert_eq!(
            told(&documented.replace("Delivered", "Not delivered")),
            Some(DeliveryStatus::Undelivered)
        );
        assert_eq!(
            told(&documented.replace("Delivered", "Waiting")),
            Some(DeliveryStatus::Queued)
        );
        assert_eq!(told(&documented.replace("Delivered", "Verzonden")), None);
        assert_eq!(told(&documented.replace("true", "false")), None);
        assert_eq!(
            ["", "{}", "[1]", r#"{"success":true,"statut":7}"#, "\u{0}"].map(told),
            [None; 5]
        );
    }
}
