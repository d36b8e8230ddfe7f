//! Kind `smsbox`: SMSBOX (smsbox.net), over SMS, WhatsApp, and speech to French landlines.
//!
//! API: `POST {base_url}/1.1/api.php`, <https://docs.smsbox.dev/sms>.
//!
//! WhatsApp: `POST {base_url}/waba/1.1/json/{waba_id}/message/{phone_id}`,
//! <https://github.com/smsbox-net/api-documentation>, `docs/whatsapp/openapi.yaml`, "Send OTP
//! message". Its reports name the message by the vendor's reference alone, so they are accepted and
//! change nothing.
//!
//! Reports are not signed, and the vendor knows one callback URL per account: the callback token of
//! the account authenticates them. A report names the message by a variable of ours, `cvar`.

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::carrier_trait::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use super::vendor_format::whatsapp_template::WhatsappTemplate;
use super::vendor_format::{config_fields, flat_report, form, request, response};
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::message::Encoding;
use crate::platform::json::Fields;

/// `strategy` of notifications, which are sent at any hour and without a mention of STOP. Without
/// it a message counts as advertising and waits for office hours.
const STRATEGY_NOTIFICATION: &str = "2";
/// Longer texts are cut, not rejected. The end of the text is the line for automatic code entry.
const PARTS_MAX: &str = "8";
/// Bounds of `validity`.
const VALIDITY_MINUTES_MIN: i64 = 5;
const VALIDITY_MINUTES_MAX: i64 = 1440;
/// The parameter of a report that contains our reference.
const REFERENCE: &str = "m";

/// A carrier of kind `smsbox`.
pub struct SmsBox {
    base_url: String,
    api_key: String,
    has_voice: bool,
    whatsapp: Option<Whatsapp>,
}

struct Whatsapp {
    url: String,
    template: WhatsappTemplate,
}

impl SmsBox {
    /// Fields: `api_key`; `voice` for speech to landlines. For WhatsApp `whatsapp_template`,
    /// `waba_id` and `phone_id`.
    pub fn from_fields(fields: &mut Fields) -> Self {
        let [base_url, whatsapp_url] = config_fields::base_urls(
            fields,
            ["https://api.smsbox.pro", "https://api.wababox.net"],
        );
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let id = |fields: &mut Fields, name: &str| {
            config_fields::required(fields, name, is_id, "letters and digits")
        };
        let whatsapp = WhatsappTemplate::from_fields(fields).map(|template| {
            let (waba, phone) = (id(fields, "waba_id"), id(fields, "phone_id"));
            Whatsapp {
                url: format!("{whatsapp_url}/waba/1.1/json/{waba}/message/{phone}"),
                template,
            }
        });
        Self {
            base_url,
            api_key: config_fields::credential(fields, "api_key"),
            has_voice: config_fields::flag(fields, "voice"),
            whatsapp,
        }
    }

    fn chat(&self, whatsapp: &Whatsapp, message: &OutgoingMessage<'_>) -> Request<String> {
        let mut components = WhatsappTemplate::components(message.code);
        // A text here.
        components[1]["index"] = "0".into();
        let body = json!({
            "recipients": [message.to.reveal()],
            "contentMessage": {
                "type": "template",
                "template": {
                    "name": whatsapp.template.name,
                    "language": {"code": whatsapp.template.language(message.locale)["code"]},
                    "components": components,
                },
            },
        });
        request::post_json(&whatsapp.url, &[self.authorization()], &body)
    }

    fn authorization(&self) -> (&'static str, String) {
        ("authorization", format!("App {}", self.api_key))
    }
}

impl Carrier for SmsBox {
    fn serves(&self, channel: Channel) -> bool {
        match channel {
            Channel::Voice => self.has_voice,
            Channel::Whatsapp => self.whatsapp.is_some(),
            Channel::Sms | Channel::Email | Channel::Push => true,
        }
    }

    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        if let (Channel::Whatsapp, Some(whatsapp)) = (message.channel, &self.whatsapp) {
            return self.chat(whatsapp, message);
        }
        let coding = match message.message.encoding {
            Encoding::Gsm7 => "default",
            Encoding::Ucs2 => "unicode",
        };
        let validity = (message.validity_seconds / 60)
            .clamp(VALIDITY_MINUTES_MIN, VALIDITY_MINUTES_MAX)
            .to_string();
        // A query string as a value: the vendor appends it to the callback URL.
        let variables = form::encode(&[(REFERENCE, message.reference)]);
        let mut form = vec![
            ("dest", request::digits(message.to)),
            ("msg", &message.message.text),
        ];
        match message.sender {
            Some(sender) => {
                let sender = sender.trim_start_matches('+');
                form.extend([("mode", "Expert"), ("origine", sender)]);
            }
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
        if message.channel == Channel::Voice {
            form.push(("allow_vocal", "1"));
        }
        request::post_form(
            &format!("{}/1.1/api.php", self.base_url),
            &[self.authorization()],
            &form,
        )
    }

    /// The status of a response about a text is always 200 and the body is plain text; that of one
    /// about WhatsApp tells, and the body is JSON.
    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        if let Ok(body) = serde_json::from_slice::<Value>(response.body())
            && body["response"].is_object()
        {
            return chat_receipt(&body, response, now);
        }
        if !response.status().is_success() {
            return response::without_result(response, now);
        }
        let words = std::str::from_utf8(response.body())
            .unwrap_or_default()
            .trim();
        let is_id = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        match words.split_once(' ').unwrap_or((words, "")) {
            ("OK", "") => Receipt::Accepted,
            ("OK", ids) if ids.split(',').all(is_id) => Receipt::Accepted,
            ("ERROR", "04") => Receipt::Permanent,
            ("ERROR", "05") => response::transient(response, now),
            // Key or IP address; credit.
            ("ERROR", "02" | "03") => Receipt::AccountRejected,
            // Without a code: a prefix that is not served. The vendor's other reasons do not apply:
            // its blacklist is not checked with this strategy, and repeats are not refused without
            // `uniq_period`. 01: a parameter. And codes that are not documented.
            ("ERROR", _) => Receipt::Misconfigured,
            _ => Receipt::Unknown,
        }
    }

    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Vec<Report>, ReportError> {
        let fields = flat_report::fields(callback)?;
        // An event about WhatsApp, which does not name our message.
        if fields.contains_key("requestType") {
            return Ok(vec![Report::new(None, None)]);
        }
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
        Ok(vec![Report::new(reference.cloned(), status)])
    }
}

/// 202 with the state of each recipient. The reasons of another state are not documented.
fn chat_receipt(body: &Value, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
    let state = body["recipients"][0]["state"].as_str();
    match state {
        Some("ACCEPTED") if response.status().is_success() => Receipt::Accepted,
        Some(_) => response::unknown_error(response, now),
        None => response::without_result(response, now),
    }
}

#[cfg(test)]
mod tests {
    use ::http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::carrier::fixture::{self, IN_SEVEN_SECONDS};

    fn entry() -> Value {
        json!({ "api_key": "key-for-tests", "base_url": "http://127.0.0.1:9000" })
    }

    fn carrier() -> SmsBox {
        fixture::read(SmsBox::from_fields, entry()).0
    }

    fn reported(query: &str) -> Result<Report, ReportError> {
        fixture::report(&carrier(), &Method::GET, query, b"")
    }

    #[test]
    fn message_is_posted_as_documented() {
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
    fn coding_and_mode_depend_on_text_and_sender() {
        let default_url = fixture::read(
            SmsBox::from_fields,
            fixture::with(&entry(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&default_url, "код", Encoding::Ucs2, |message| {
            message.sender = None
        });
        assert_eq!(request.uri(), "https://api.smsbox.pro/1.1/api.php");
        assert!(request.body().starts_with("dest=33612345678&msg=%D0%BA%D0%BE%D0%B4&mode=Standard&strategy=2&charset=utf-8&coding=unicode&"));
    }

    #[test]
    fn validity_is_clamped_to_the_limits_of_the_vendor() {
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
    fn entries_without_a_key_are_rejected() {
        assert_eq!(
            fixture::read(SmsBox::from_fields, entry()).1,
            Vec::<String>::new()
        );
        assert_eq!(fixture::read(SmsBox::from_fields, json!({})).1, ["api_key"]);
    }

    #[test]
    fn responses_are_classified() {
        let class = |body: &str| fixture::receipt(&carrier(), 200, body);
        for accepted in [
            "OK",
            "OK 123456789012",
            "OK 123456789012,123456789013",
            "OK 123456789012\n",
        ] {
            assert_eq!(class(accepted), Receipt::Accepted, "{accepted}");
        }
        for misconfigured in ["ERROR", "ERROR 01", "ERROR 99", "ERROR on line 4"] {
            assert_eq!(
                class(misconfigured),
                Receipt::Misconfigured,
                "{misconfigured}"
            );
        }
        assert_eq!(
            [class("ERROR 02"), class("ERROR 03")],
            [const { Receipt::AccountRejected }; 2]
        );
        assert_eq!(class("ERROR 04"), Receipt::Permanent);
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
        fixture::unreadable_responses_are_not_accepted(&carrier());
    }

    #[test]
    fn report_codes_are_read() {
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
                let expected = Ok(Report::new(Some(fixture::REFERENCE.into()), expected));
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
    fn report_names_its_message() {
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
    fn reports_with_missing_fields_are_accepted() {
        for without_reference in [
            "accuse=0",
            "accuse=0&reference=123456789012&numero=33612345678&ts=1705326600",
        ] {
            assert_eq!(
                reported(without_reference),
                fixture::status(DeliveryStatus::Delivered),
                "{without_reference}"
            );
        }
        assert_eq!(
            reported("m=other"),
            Ok(Report::new(Some("other".into()), None))
        );
    }
}
