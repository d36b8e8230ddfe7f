//! Kind `smspartner`: SMS Partner, over SMS and voice (Voice Partner). Its support enables the OTP
//! route on the account.
//!
//! API: `POST {base_url}/v1/send`,
//! <https://www.docpartner.dev/en/api/sms-partner/send-sms/single-send>; status API: `GET
//! {base_url}/v1/message-status`, same site, "message status". The API key is in the body, and in
//! the query of the status API.
//!
//! Calls: `POST {base_url}/v1/tts/send`, <https://github.com/toodiz/docpartner>,
//! `pages/docs/VOIX/sms-vocaux`; the same key.
//!
//! Reports are not signed: the callback URL authenticates the message. The format of those about
//! texts is not documented, so the status API is polled as well.

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::carrier_trait::{
    Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError, StatusPolling,
};
use super::vendor_format::lenient_json::whole_number;
use super::vendor_format::{config_fields, flat_report, form, request, response};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::message::Encoding;
use crate::platform::json::Fields;

/// A carrier of kind `smspartner`.
pub struct SmsPartner {
    base_url: String,
    voice_url: String,
    api_key: String,
    has_voice: bool,
}

impl SmsPartner {
    /// Fields: `api_key`; `voice` if the account may call.
    pub fn from_fields(fields: &mut Fields) -> Self {
        let [base_url, voice_url] = config_fields::base_urls(
            fields,
            ["https://api.smspartner.fr", "https://api.voicepartner.fr"],
        );
        Self {
            base_url,
            voice_url,
            api_key: config_fields::credential(fields, "api_key"),
            has_voice: config_fields::flag(fields, "voice"),
        }
    }
}

impl Carrier for SmsPartner {
    fn serves(&self, channel: Channel) -> bool {
        channel != Channel::Voice || self.has_voice
    }

    /// There is no field for a validity, and `tag` is too short for our reference.
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        if message.channel == Channel::Voice {
            return self.call(message);
        }
        let mut body = json!({
            "apiKey": self.api_key,
            "phoneNumbers": message.to.reveal(),
            "message": encode_text(&message.message.text),
            "gamme": 1,
            "isUnicode": u8::from(message.message.encoding == Encoding::Ucs2),
            "isStopSms": 0,
            "urlDlr": message.callback_url,
            "sandbox": 0,
            "_format": "json",
        });
        if let Some(sender) = message.sender {
            body["sender"] = sender.trim_start_matches('+').into();
        }
        request::post_json(&format!("{}/v1/send", self.base_url), &[], &body)
    }

    /// The HTTP status of an error is not documented, so the code in the body decides:
    /// <https://github.com/toodiz/docpartner>, `pages/docs/SMS/gestion-des-erreurs`
    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(response.body()) else {
            return response::without_result(response, now);
        };
        match (body["success"].as_bool(), whole_number(&body["code"])) {
            (Some(true), None | Some(200)) => Receipt::Accepted,
            (None, None | Some(200)) => response::without_result(response, now),
            (_, Some(9)) => invalid_field(&body),
            // In the STOP list, twice in the list, no number.
            (_, Some(14 | 15 | 55)) => Receipt::Permanent,
            (_, Some(500)) => response::transient(response, now),
            // Key, credit, account disabled or blocked, API or IP address not allowed.
            (_, Some(1 | 10 | 11 | 20 | 30 | 40 | 96)) => Receipt::AccountRejected,
            // 13: no price for the destination. The others: the request, the sender, the hour.
            (_, Some(2 | 4 | 13 | 22 | 23 | 42..=52 | 90 | 992)) => Receipt::Misconfigured,
            (Some(false), None) | (_, Some(_)) => response::unknown_error(response, now),
        }
    }

    /// A report without a known status is accepted and changes nothing: the format is not
    /// documented, and the vendor would repeat a rejected report.
    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Vec<Report>, ReportError> {
        let fields = flat_report::fields(callback)?;
        // The key is French in the status API; others have received it in English.
        let word = fields.get("status").or_else(|| fields.get("statut"));
        Ok(vec![Report::new(None, word.and_then(|word| status(word)))])
    }
}

impl SmsPartner {
    /// A comma is a pause of half a second. A call has an id of another kind, which the status API
    /// does not know.
    fn call(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let body = json!({
            "apiKey": self.api_key,
            "phoneNumbers": message.to.reveal(),
            "text": message.message.text,
            "lang": message.locale.split('-').next(),
            "notifyUrl": message.callback_url,
        });
        request::post_json(&format!("{}/v1/tts/send", self.voice_url), &[], &body)
    }
}

impl StatusPolling for SmsPartner {
    /// A number in this response; a text in the status API.
    fn vendor_id(&self, response: &Response<Vec<u8>>) -> Option<String> {
        let body = serde_json::from_slice::<Value>(response.body()).ok()?;
        let id = &body["message_id"];
        id.as_str()
            .map(str::to_owned)
            .or_else(|| id.as_u64().map(|id| id.to_string()))
    }

    fn status_request(&self, vendor_id: &str, to: &Address) -> Request<String> {
        let query = form::encode(&[
            ("apiKey", self.api_key.as_str()),
            ("messageId", vendor_id),
            ("phoneNumber", to.reveal()),
        ]);
        request::get(&format!("{}/v1/message-status?{query}", self.base_url))
    }

    fn parse_status(&self, response: &Response<Vec<u8>>) -> Option<DeliveryStatus> {
        let body = serde_json::from_slice::<Value>(response.body()).ok()?;
        body["success"].as_bool().filter(|success| *success)?;
        status(body["statut"].as_str()?)
    }
}

/// Statuses of the status API and of the networks behind it.
fn status(word: &str) -> Option<DeliveryStatus> {
    match word.trim().to_ascii_lowercase().as_str() {
        "waiting" | "pending" | "enroute" => Some(DeliveryStatus::Queued),
        "acceptd" | "sent" => Some(DeliveryStatus::Sent),
        "delivered" | "delivrd" => Some(DeliveryStatus::Delivered),
        // `undelivered` is the word of their voice API.
        "not delivered" | "undelivered" | "undeliv" | "unknown" | "ko" => {
            Some(DeliveryStatus::Undelivered)
        }
        "rejectd" => Some(DeliveryStatus::Rejected),
        "expired" => Some(DeliveryStatus::Expired),
        _ => None,
    }
}

/// Code 9 names invalid fields. Only an invalid number ends the delivery; any other field is about
/// this carrier alone.
fn invalid_field(body: &Value) -> Receipt {
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

/// `text` in the vendor's encoding, where `:br:` is a line break and `:euro:` the euro sign. Text
/// that looks like one of these tags, such as in the name of a payee, gets a space, so that it is
/// not one.
fn encode_text(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            '\n' => encoded.push_str(":br:"),
            '€' => encoded.push_str(":euro:"),
            ':' if continues_as_tag(&text[at + 1..]) => encoded.push_str(": "),
            _ => encoded.push(character),
        }
    }
    encoded
}

fn continues_as_tag(rest: &str) -> bool {
    ["br:", "euro:"].iter().any(|tag| {
        rest.get(..tag.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tag))
    })
}

#[cfg(test)]
mod tests {
    use ::http::Method;

    use super::*;
    use crate::carrier::fixture::{self, CALLBACK_URL, IN_SEVEN_SECONDS};

    fn entry() -> Value {
        json!({ "api_key": "key-for-tests", "base_url": "http://127.0.0.1:9000/" })
    }

    fn carrier() -> SmsPartner {
        fixture::read(SmsPartner::from_fields, entry()).0
    }

    #[test]
    fn message_is_posted_as_documented() {
        let request = fixture::request(&carrier(), "Your code is 4217", Encoding::Gsm7, |_| ());
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/v1/send")
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.headers().len(), 1, "the key is in the body");
        let expected = json!({
            "apiKey": "key-for-tests",
            "phoneNumbers": "+33612345678",
            "message": "Your code is 4217",
            "gamme": 1,
            "sender": "AcmeInc",
            "isUnicode": 0,
            "isStopSms": 0,
            "urlDlr": CALLBACK_URL,
            "sandbox": 0,
            "_format": "json",
        });
        assert_eq!(fixture::json(&request), expected);
        let default_url = fixture::read(
            SmsPartner::from_fields,
            fixture::with(&entry(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&default_url, "код 4217", Encoding::Ucs2, |message| {
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
    fn line_breaks_are_encoded_and_cannot_be_injected() {
        assert_eq!(
            encode_text("Code 4217, 5 €\n@a.example #4217"),
            "Code 4217, 5 :euro::br:@a.example #4217"
        );
        assert_eq!(
            encode_text("to x:br:@evil.example #1"),
            "to x: br:@evil.example #1"
        );
        assert_eq!(encode_text(":br:br:BR::Euro:é:"), ": br: br: BR:: Euro:é:");
        assert_eq!(encode_text("12:30 : é:bré:"), "12:30 : é:bré:");
    }

    #[test]
    fn entries_without_a_valid_key_are_rejected() {
        assert_eq!(
            fixture::read(SmsPartner::from_fields, entry()).1,
            Vec::<String>::new()
        );
        for wrong in [Value::Null, json!(""), json!("a\nb"), json!(7)] {
            assert_eq!(
                fixture::read(
                    SmsPartner::from_fields,
                    fixture::with(&entry(), "api_key", wrong)
                )
                .1,
                ["api_key"]
            );
        }
    }

    #[test]
    fn responses_are_classified() {
        let class = |status: u16, body: &str| fixture::receipt(&carrier(), status, body);
        assert_eq!(
            class(
                200,
                r#"{"success":true,"code":200,"message_id":307,"nb_sms":1,"cost":0.038,"currency":"EUR"}"#
            ),
            Receipt::Accepted
        );
        // The HTTP status is not documented, so it does not change the receipt.
        for status in [200, 400] {
            let coded = |code: i64| {
                class(
                    status,
                    &json!({"success": false, "code": code, "message": "…"}).to_string(),
                )
            };
            for code in [14, 15, 55] {
                assert_eq!(coded(code), Receipt::Permanent, "{code}");
            }
            for code in [1, 10, 11, 20, 30, 40, 96] {
                assert_eq!(coded(code), Receipt::AccountRejected, "{code}");
            }
            for code in [
                2, 4, 13, 22, 23, 42, 43, 45, 46, 47, 48, 49, 50, 51, 52, 90, 992, 777,
            ] {
                assert_eq!(coded(code), Receipt::Misconfigured, "{code}");
            }
            assert_eq!(coded(500), IN_SEVEN_SECONDS);
        }
        assert_eq!(
            class(200, r#"{"success":"no","code":"10"}"#),
            Receipt::AccountRejected,
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
        fixture::unreadable_responses_are_not_accepted(&carrier());
    }

    #[test]
    fn invalid_field_is_permanent_only_for_the_number() {
        for key in ["error", "errors"] {
            let invalid = |field: &str| {
                let body = json!({
                    "success": false,
                    "code": 9,
                    key: [{"elementId": field, "message": "Le numéro de téléphone est incorrect"}],
                });
                fixture::receipt(&carrier(), 400, &body.to_string())
            };
            assert_eq!(invalid("children[phoneNumbers].data"), Receipt::Permanent);
            assert_eq!(invalid("children[sender].data"), Receipt::Misconfigured);
        }
        assert_eq!(
            fixture::receipt(&carrier(), 200, r#"{"success":false,"code":9}"#),
            Receipt::Permanent
        );
    }

    #[test]
    fn statuses_are_read_in_every_format() {
        use DeliveryStatus::{Delivered, Expired, Queued, Rejected, Sent, Undelivered};
        for (words, expected) in [
            (&["Waiting", "waiting", "PENDING", "ENROUTE"][..], Queued),
            (&["ACCEPTD", "sent"], Sent),
            (&["Delivered", "delivered", "DELIVRD"], Delivered),
            (
                &[
                    "Not delivered",
                    "not delivered",
                    "undelivered",
                    "UNDELIV",
                    "UNKNOWN",
                    "ko",
                ],
                Undelivered,
            ),
            (&["REJECTD"], Rejected),
            (&["EXPIRED"], Expired),
        ] {
            for word in words {
                let pushed = json!({
                    "message_id": 307,
                    "phone": "+33612345678",
                    "status": word,
                    "date": 1_763_753_400,
                    "cost": 0.038,
                    "currency": "EUR",
                });
                let form = form::encode(&[
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
    fn reports_without_a_status_are_accepted() {
        let nothing = Ok(Report::new(None, None));
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
    fn status_request_has_the_vendor_id() {
        let response = |body: &str| Response::new(body.as_bytes().to_vec());
        let carrier = carrier();
        let accepted = r#"{"success":true,"code":200,"message_id":307,"nb_sms":1,"cost":0.038,"currency":"EUR"}"#;
        assert_eq!(
            carrier.vendor_id(&response(accepted)).as_deref(),
            Some("307")
        );
        assert_eq!(
            carrier
                .vendor_id(&response(r#"{"message_id":"x-307"}"#))
                .as_deref(),
            Some("x-307")
        );
        assert_eq!(
            [r#"{"message_id":null}"#, "{}", "[]", "", "307"]
                .map(|body| carrier.vendor_id(&response(body))),
            [const { None }; 5]
        );
        let to = Address::Phone(
            crate::domain::phone::PhoneNumber::parse("+33612345678", None).expect("a number"),
        );
        let request = carrier.status_request("307", &to);
        let url = "http://127.0.0.1:9000/v1/message-status?apiKey=key-for-tests&messageId=307&phoneNumber=%2B33612345678";
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::GET, url)
        );
    }

    #[test]
    fn polled_status_is_a_known_status_or_none() {
        let parsed = |body: &str| carrier().parse_status(&Response::new(body.as_bytes().to_vec()));
        let documented = r#"{"success":true,"code":200,"number":"+33612345678","messageId":"307","stopSms":false,
            "date":"2015-02-07 22:39:46","statut":"Delivered","cost":"0.038","countryCode":"FR","currency":"EUR"}"#;
        assert_eq!(parsed(documented), Some(DeliveryStatus::Delivered));
        assert_eq!(
            parsed(&documented.replace("Delivered", "Not delivered")),
            Some(DeliveryStatus::Undelivered)
        );
        assert_eq!(
            parsed(&documented.replace("Delivered", "Waiting")),
            Some(DeliveryStatus::Queued)
        );
        assert_eq!(parsed(&documented.replace("Delivered", "Verzonden")), None);
        assert_eq!(parsed(&documented.replace("true", "false")), None);
        assert_eq!(
            ["", "{}", "[1]", r#"{"success":true,"statut":7}"#, "\u{0}"].map(parsed),
            [None; 5]
        );
    }
}
