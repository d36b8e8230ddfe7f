//! Kind `cm`: CM.com, over SMS (with RCS before it), voice, WhatsApp and push.
//!
//! API: Messages API v1.0, `POST {base_url}/v1.0/message`,
//! <https://developers.cm.com/messaging/docs/integration>; reports:
//! <https://developers.cm.com/messaging/docs/incoming-status-report>; RCS:
//! <https://developers.cm.com/messaging/docs/rcs>.
//!
//! A report is JSON, XML, a form or a query: the account chooses, and names may be in capitals.
//! Reports are not signed, and the vendor knows one callback URL per account: the callback token of
//! the account authenticates them. There is no vendor id; a report names the message by our
//! reference.

mod report_fields;

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::carrier_trait::{
    Callback, Carrier, Conversion, ConversionFeedback, OutgoingMessage, Receipt, Report,
    ReportError,
};
use super::vendor_format::lenient_json::whole_number;
use super::vendor_format::whatsapp_template::WhatsappTemplate;
use super::vendor_format::{config_fields, request, response};
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// Most parts that one message may be billed as.
const PARTS_MAX: u8 = 8;

/// A carrier of kind `cm`.
pub struct Cm {
    base_url: String,
    /// The host of the Conversion API.
    conversion_url: String,
    /// Whether CM.com is informed when a code came back.
    has_feedback: bool,
    product_token: String,
    /// Whether texts go out by RCS where the phone has it.
    has_rcs: bool,
    /// The number that calls come from.
    voice_from: Option<String>,
    whatsapp: Option<Whatsapp>,
    /// The app on the devices, an UUID.
    app_key: Option<String>,
}

struct Whatsapp {
    from: String,
    namespace: String,
    template: WhatsappTemplate,
}

impl Cm {
    /// Fields: `product_token`; optional `feedback` and `rcs`. For calls `voice_from`; for WhatsApp
    /// `whatsapp_template`, `whatsapp_namespace` and `whatsapp_from`; for notifications `app_key`.
    pub fn from_fields(fields: &mut Fields) -> Self {
        let template = WhatsappTemplate::from_fields(fields);
        let app_key = |key: &str| {
            let is_uuid =
                key.len() == 36 && key.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
            is_uuid.then(|| key.to_owned())
        };
        let [base_url, conversion_url] = config_fields::base_urls(
            fields,
            ["https://gw.messaging.cm.com", "https://api.cm.com"],
        );
        Self {
            base_url,
            conversion_url,
            has_feedback: config_fields::flag(fields, "feedback"),
            product_token: config_fields::credential(fields, "product_token"),
            has_rcs: config_fields::flag(fields, "rcs"),
            voice_from: config_fields::number(fields, "voice_from"),
            app_key: fields.parsed_text("app_key", app_key, "the UUID of an app"),
            whatsapp: template.map(|template| Whatsapp {
                from: config_fields::required_number(fields, "whatsapp_from"),
                namespace: config_fields::credential(fields, "whatsapp_namespace"),
                template,
            }),
        }
    }

    /// The channels in the order of CM.com's tries, what a message has beside a text, and where it
    /// comes from.
    fn of_channel(
        &self,
        message: &OutgoingMessage<'_>,
    ) -> (&'static [&'static str], Value, Option<String>) {
        let sender = message.sender.map(str::to_owned);
        match (message.channel, &self.whatsapp) {
            (Channel::Voice, _) => (&["Voice"], json!({}), self.voice_from.clone()),
            (Channel::Whatsapp, Some(whatsapp)) => {
                let template = json!({
                    "namespace": whatsapp.namespace,
                    "element_name": whatsapp.template.name,
                    "language": whatsapp.template.language(message.locale),
                    "components": WhatsappTemplate::components(message.code),
                });
                let conversation = json!([{"template": {"whatsapp": template}}]);
                let more = json!({"richContent": {"conversation": conversation}});
                (&["WhatsApp"], more, Some(whatsapp.from.clone()))
            }
            (Channel::Push, _) => (&["Push"], json!({"appKey": self.app_key}), sender),
            // WhatsApp without settings is not served; the registry has no e-mail for this kind.
            (Channel::Sms | Channel::Whatsapp | Channel::Email, _) => {
                let mut more = json!({
                    "minimumNumberOfMessageParts": 1,
                    "maximumNumberOfMessageParts": PARTS_MAX,
                });
                if !self.has_rcs {
                    return (&["SMS"], more, sender);
                }
                // The text of SMS stays in `body`.
                let text = &message.message.text;
                more["richContent"] = json!({"conversation": [{"text": text}]});
                (&["RCS", "SMS"], more, sender)
            }
        }
    }
}

impl ConversionFeedback for Cm {
    /// CM.com knows a message by our reference.
    fn message_id(&self, _response: &Response<Vec<u8>>, reference: &str) -> Option<String> {
        Some(reference.to_owned())
    }

    /// <https://developers.cm.com/messaging/docs/conversion-api>
    fn feedback_request(&self, conversion: &Conversion<'_>) -> Request<String> {
        let at = conversion.at.to_string();
        let mut body = json!({
            "ProductToken": self.product_token,
            "Reference": conversion.message_id,
            // As in the vendor's example, without a time zone.
            "ConvertedTimestamp": at.trim_end_matches('Z'),
        });
        if let Some(to) = conversion.to {
            body["Msisdn"] = format!("00{}", request::digits(to)).into();
        }
        request::post_json(
            &format!("{}/v1.0/conversion", self.conversion_url),
            &[],
            &body,
        )
    }
}

impl Carrier for Cm {
    fn feedback(&self) -> Option<&dyn ConversionFeedback> {
        self.has_feedback.then_some(self)
    }

    fn serves(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Voice => self.voice_from.is_some(),
            Channel::Whatsapp => self.whatsapp.is_some(),
            Channel::Push => self.app_key.is_some(),
            Channel::Email => false,
        }
    }

    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        // Whole minutes, rounded down: a message must not arrive after its code has expired.
        let minutes = (message.validity_seconds / 60).max(1);
        let (channels, more, from) = self.of_channel(message);
        let mut body = json!({
            "allowedChannels": channels,
            "to": [{"number": format!("00{}", request::digits(message.to))}],
            // With `auto` CM chooses Unicode if the text needs it.
            "body": {"type": "auto", "content": message.message.text},
            "reference": message.reference,
            "validity": format!("{minutes}m"),
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        if let Some(from) = from {
            body["from"] = from.trim_start_matches('+').into();
        }
        request::post_json(
            &format!("{}/v1.0/message", self.base_url),
            &[("x-cm-producttoken", self.product_token.clone())],
            &json!({"messages": {"msg": [body]}}),
        )
    }

    /// There is one recipient, so the entry of the message decides; the code of the whole response
    /// if there is no entry.
    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(response.body()) else {
            return response::without_result(response, now);
        };
        let entry = &body["messages"][0];
        let code = [&entry["messageErrorCode"], &body["errorCode"]]
            .into_iter()
            .filter_map(whole_number)
            .find(|code| *code != 0);
        match (code, entry["status"].as_str()) {
            (None, Some("Accepted")) if response.status().is_success() => Receipt::Accepted,
            (None, Some("Rejected")) | (Some(302 | 303 | 401..=403), _) => Receipt::Permanent,
            (Some(500 | 999), _) => response::transient(response, now),
            // Authentication, balance, key.
            (Some(101..=103), _) => Receipt::AccountRejected,
            // The request; the sender.
            (Some(202 | 203 | 301 | 304 | 305), _) => Receipt::Misconfigured,
            (Some(_), _) => response::unknown_error(response, now),
            (None, _) => response::without_result(response, now),
        }
    }

    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Vec<Report>, ReportError> {
        let messages = report_fields::messages(callback)?;
        let reports = messages.iter().map(|message| {
            let field = |name: &str| message.get(name).map(String::as_str);
            let error = field("error").unwrap_or_default();
            Report::new(
                field("reference").map(str::to_owned),
                field("status").and_then(|word| status(word, error)),
            )
        });
        Ok(reports.collect())
    }
}

/// CM documents the names (<https://www.cm.com/help/3308/>). Two published clients agree on the
/// numbers 0 to 3; 4 is not confirmed.
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
    use ::http::Method;

    use super::*;
    use crate::carrier::fixture::{self, IN_SEVEN_SECONDS};
    use crate::carrier::vendor_format::form;
    use crate::message::Encoding;

    fn entry() -> Value {
        json!({
            "product_token": "00000000-0000-0000-0000-000000000000",
            "base_url": "http://127.0.0.1:9000",
        })
    }

    fn carrier() -> Cm {
        fixture::read(Cm::from_fields, entry()).0
    }

    fn posted(document: &Value) -> Result<Report, ReportError> {
        fixture::report(
            &carrier(),
            &Method::POST,
            "",
            document.to_string().as_bytes(),
        )
    }

    /// CM's example, with our reference.
    fn document(code: Value, error: &str) -> Value {
        json!({
            "messages": {
                "msg": {
                    "received": "2025-11-21T19:30:00",
                    "to": "0033612345678",
                    "reference": fixture::REFERENCE,
                    "status": {"code": code, "errorCode": "", "errorDescription": error},
                    "operator": "20801",
                },
            },
        })
    }

    #[test]
    fn message_is_posted_as_documented() {
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
        let expected = json!({
            "messages": {
                "msg": [
                    {
                        "allowedChannels": ["SMS"],
                        "from": "AcmeInc",
                        "to": [{"number": "0033612345678"}],
                        "body": {"type": "auto", "content": "Your code is 4217"},
                        "reference": fixture::REFERENCE,
                        "validity": "5m",
                        "minimumNumberOfMessageParts": 1,
                        "maximumNumberOfMessageParts": 8,
                    },
                ],
            },
        });
        assert_eq!(fixture::json(&request), expected);
        assert!(
            fixture::REFERENCE.len() <= 32
                && fixture::REFERENCE
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric()),
            "the vendor allows no more"
        );
    }

    #[test]
    fn rcs_is_tried_before_sms_if_it_is_set() {
        let entry = fixture::with(&entry(), "rcs", json!(true));
        let carrier = fixture::read(Cm::from_fields, entry).0;
        let request = fixture::request(&carrier, "Your code is 4217", Encoding::Gsm7, |_| ());
        let message = &fixture::json(&request)["messages"]["msg"][0];
        assert_eq!(
            (
                &message["allowedChannels"],
                &message["body"]["content"],
                &message["richContent"]
            ),
            (
                &json!(["RCS", "SMS"]),
                &json!("Your code is 4217"),
                &json!({"conversation": [{"text": "Your code is 4217"}]})
            )
        );
    }

    #[test]
    fn other_channels_need_their_settings() {
        let all = [Channel::Voice, Channel::Whatsapp, Channel::Push];
        assert_eq!(all.map(|channel| carrier().serves(channel)), [false; 3]);
        let mut entry = entry();
        let settings = json!({
            "voice_from": "+31201234567",
            "whatsapp_from": "+31201234568",
            "whatsapp_template": "login_code",
            "whatsapp_namespace": "b6b61d04_4b55_4b3c",
            "app_key": "2fa6ad9a-2b2a-4b1c-9f8e-6e8ee5b0c111",
        });
        for (name, value) in settings.as_object().expect("an object") {
            entry[name] = value.clone();
        }
        let (carrier, wrong) = fixture::read(Cm::from_fields, entry.clone());
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(all.map(|channel| carrier.serves(channel)), [true; 3]);
        let body = |channel| {
            let request = fixture::request(&carrier, "text", Encoding::Gsm7, |message| {
                message.channel = channel;
                message.locale = "pt-BR";
            });
            fixture::json(&request)["messages"]["msg"][0].clone()
        };
        let call = body(Channel::Voice);
        assert_eq!(
            (
                &call["allowedChannels"],
                &call["from"],
                &call["body"]["content"]
            ),
            (&json!(["Voice"]), &json!("31201234567"), &json!("text"))
        );
        let chat = body(Channel::Whatsapp);
        let parameters = json!([{"type": "text", "text": "4217"}]);
        let template = json!({
            "namespace": "b6b61d04_4b55_4b3c",
            "element_name": "login_code",
            "language": {"code": "pt_BR", "policy": "deterministic"},
            "components": [
                {"type": "body", "parameters": parameters},
                {"type": "button", "sub_type": "url", "index": 0, "parameters": parameters},
            ],
        });
        assert_eq!(
            (
                &chat["allowedChannels"],
                &chat["from"],
                &chat["richContent"]
            ),
            (
                &json!(["WhatsApp"]),
                &json!("31201234568"),
                &json!({"conversation": [{"template": {"whatsapp": template}}]})
            )
        );
        let notification = body(Channel::Push);
        assert_eq!(
            (&notification["allowedChannels"], &notification["appKey"]),
            (&json!(["Push"]), &settings["app_key"])
        );
        for (name, missing) in [
            ("whatsapp_from", "whatsapp_from"),
            ("whatsapp_namespace", "whatsapp_namespace"),
        ] {
            let entry = fixture::with(&entry, name, Value::Null);
            assert_eq!(fixture::read(Cm::from_fields, entry).1, [missing]);
        }
        let entry = fixture::with(&entry, "whatsapp_language", json!("en"));
        let (carrier, _) = fixture::read(Cm::from_fields, entry);
        let whatsapp = carrier.whatsapp.expect("settings");
        assert_eq!(whatsapp.template.language("fr")["code"], "en");
    }

    #[test]
    fn validity_ends_before_the_code_expires() {
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
        let default_url = fixture::read(
            Cm::from_fields,
            fixture::with(&entry(), "base_url", Value::Null),
        )
        .0;
        assert_eq!(
            fixture::request(&default_url, "x", Encoding::Gsm7, |_| ()).uri(),
            "https://gw.messaging.cm.com/v1.0/message"
        );
    }

    #[test]
    fn entries_without_a_token_are_rejected() {
        assert_eq!(
            fixture::read(Cm::from_fields, entry()).1,
            Vec::<String>::new()
        );
        assert_eq!(
            fixture::read(Cm::from_fields, json!({})).1,
            ["product_token"]
        );
        assert_eq!(
            fixture::read(
                Cm::from_fields,
                fixture::with(&entry(), "product_token", json!("a\r\nx: y"))
            )
            .1,
            ["product_token"]
        );
    }

    #[test]
    fn responses_are_classified() {
        let class = |http: u16, code: i64, status: &str, entry_code: i64| {
            let entry = json!({
                "to": "0033612345678",
                "status": status,
                "reference": fixture::REFERENCE,
                "parts": 1,
                "messageDetails": null,
                "messageErrorCode": entry_code,
            });
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
        for code in [101, 102, 103] {
            assert_eq!(
                [class(200, 201, "Rejected", code), above(code)],
                [const { Receipt::AccountRejected }; 2],
                "{code}"
            );
        }
        for code in [202, 203, 301, 304, 305, 777] {
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
        fixture::unreadable_responses_are_not_accepted(&carrier());
    }

    #[test]
    fn statuses_are_read_by_name_and_by_number() {
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
                let expected = Ok(Report::new(Some(fixture::REFERENCE.into()), expected));
                let mut document = document(json!(code), error);
                assert_eq!(posted(&document), expected, "{code}");
                assert_eq!(posted(&document), expected, "{code} again");
                document["messages"]["msg"] = json!([document["messages"]["msg"]]);
                assert_eq!(posted(&document), expected, "{code} in a list");
                let template = form::encode(&[
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
    fn report_names_its_message() {
        let mut other = document(json!("2"), "");
        other["messages"]["msg"]["reference"] = json!("other");
        assert_eq!(
            posted(&other).map(|report| report.reference),
            Ok(Some("other".into()))
        );
        let xml = b"<MESSAGES><MSG><REFERENCE>x</REFERENCE><STATUS><CODE>2</CODE></STATUS></MSG></MESSAGES>";
        assert_eq!(
            fixture::report(&carrier(), &Method::POST, "", xml),
            Ok(Report::new(
                Some("x".into()),
                Some(DeliveryStatus::Delivered)
            ))
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
    fn reports_with_missing_fields_are_accepted() {
        use DeliveryStatus::Delivered;
        let without = |field: &str| {
            let mut partial = document(json!("2"), "");
            partial["messages"]["msg"]
                .as_object_mut()
                .expect("an object")
                .remove(field);
            posted(&partial)
        };
        let (without_reference, without_status) = (
            Report::new(None, Some(Delivered)),
            Report::new(Some(fixture::REFERENCE.into()), None),
        );
        assert_eq!(
            (without("reference"), without("status")),
            (Ok(without_reference.clone()), Ok(without_status.clone()))
        );
        let in_url = |query: &str| fixture::report(&carrier(), &Method::GET, query, b"");
        assert_eq!(
            (
                in_url("status=2"),
                in_url(&format!("reference={}", fixture::REFERENCE))
            ),
            (Ok(without_reference), Ok(without_status))
        );
        for nothing in [
            json!({}),
            json!({"messages": {"msg": [7]}}),
            json!({"messages": 7}),
        ] {
            assert_eq!(posted(&nothing), Ok(Report::new(None, None)), "{nothing}");
        }
        let empty = json!({"messages": {"msg": []}}).to_string();
        assert_eq!(
            fixture::reports(&carrier(), &Method::POST, "", empty.as_bytes()),
            Ok(vec![])
        );
        for unreadable in [json!([]), json!(7), json!("2"), Value::Null] {
            assert_eq!(
                posted(&unreadable),
                Err(ReportError::Unreadable),
                "{unreadable}"
            );
        }
    }

    #[test]
    fn list_has_a_report_for_every_message() {
        let ours = document(json!("2"), "")["messages"]["msg"].clone();
        let body = json!({
            "messages": {
                "msg": [{"to": "00336", "status": {"code": "2"}}, 7, {"reference": "r"}, ours],
            },
        })
        .to_string();
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &::http::HeaderMap::new(),
            body: body.as_bytes(),
            url: fixture::CALLBACK_URL,
        };
        let report =
            |reference: Option<&str>, status| Report::new(reference.map(str::to_owned), status);
        let delivered = Some(DeliveryStatus::Delivered);
        assert_eq!(
            carrier().report(&callback, fixture::NOW),
            Ok(vec![
                report(None, delivered),
                report(None, None),
                report(Some("r"), None),
                report(Some(fixture::REFERENCE), delivered),
            ])
        );
    }
}
