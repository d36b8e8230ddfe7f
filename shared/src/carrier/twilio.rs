//! Kind `twilio`: Twilio, over SMS, voice and WhatsApp.
//!
//! API: `POST {base_url}/2010-04-01/Accounts/{sid}/Messages.json` and `…/Calls.json`,
//! <https://www.twilio.com/docs/messaging/api/message-resource>.
//!
//! The signed callback URL names the message; a report has no field for our reference.

mod errors;
mod language;
mod report;

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::carrier_trait::{
    Callback, Carrier, Conversion, ConversionFeedback, OutgoingMessage, Receipt, Report,
    ReportError,
};
use super::sender::is_number;
use super::vendor_format::lenient_json::whole_number;
use super::vendor_format::{config_fields, request, response};
use crate::domain::channel::Channel;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;
use language::language;

/// Longest id of an account or a template; ids are part of the URL.
const SID_LENGTH_MAX: usize = 64;
/// Bounds of `ValidityPeriod`.
const VALIDITY_SECONDS_MIN: i64 = 1;
const VALIDITY_SECONDS_MAX: i64 = 36_000;
/// `Timeout` of a call: how long the phone rings.
const RING_SECONDS: &str = "30";

/// A carrier of kind `twilio`.
pub struct Twilio {
    base_url: String,
    account_sid: String,
    /// The key of the signatures of reports, and the password of requests without an API key.
    auth_token: String,
    api_key: Option<ApiKey>,
    from: Option<String>,
    messaging_service_sid: Option<String>,
    whatsapp_from: Option<String>,
    content_sid: Option<String>,
    /// Whether Twilio is informed when a code came back.
    has_feedback: bool,
}

/// An API key of the account, for requests.
struct ApiKey {
    sid: String,
    secret: String,
}

impl Twilio {
    /// Fields: `account_sid`, `auth_token`, `from` or `messaging_service_sid`; optional
    /// `api_key_sid` with `api_key_secret`, `whatsapp_from` and `content_sid`.
    pub fn from_fields(fields: &mut Fields) -> Self {
        const SID: &str = "1 to 64 letters and digits";
        let base_url = config_fields::base_url(fields, Some("https://api.twilio.com"));
        let account_sid = config_fields::required(fields, "account_sid", is_sid, SID);
        let auth_token = config_fields::credential(fields, "auth_token");
        let optional_sid = |fields: &mut Fields, name: &str| {
            fields.parsed_text(name, |sid| is_sid(sid).then(|| sid.to_owned()), SID)
        };
        let api_key = optional_sid(fields, "api_key_sid").map(|sid| ApiKey {
            sid,
            secret: config_fields::credential(fields, "api_key_secret"),
        });
        let from = config_fields::sender(fields, "from");
        let messaging_service_sid = optional_sid(fields, "messaging_service_sid");
        if from.is_none() && messaging_service_sid.is_none() {
            fields.reject("from", "Is required without messaging_service_sid.");
        }
        let number = |text: &str| {
            Some(text.strip_prefix("whatsapp:").unwrap_or(text))
                .filter(|number| is_e164(number))
                .map(str::to_owned)
        };
        let whatsapp_from = fields.parsed_text("whatsapp_from", number, "`+` and up to 15 digits");
        let content_sid = optional_sid(fields, "content_sid");
        Self {
            base_url,
            account_sid,
            auth_token,
            api_key,
            from,
            messaging_service_sid,
            whatsapp_from,
            content_sid,
            has_feedback: config_fields::flag(fields, "feedback"),
        }
    }
}

fn is_sid(text: &str) -> bool {
    (1..=SID_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

impl ConversionFeedback for Twilio {
    /// Calls have another kind of feedback, about their quality.
    fn message_id(&self, response: &Response<Vec<u8>>, _reference: &str) -> Option<String> {
        let body = serde_json::from_slice::<Value>(response.body()).ok()?;
        let sid = body["sid"].as_str()?;
        sid.starts_with("SM").then(|| sid.to_owned())
    }

    /// <https://www.twilio.com/docs/messaging/api/message-feedback-resource>
    fn feedback_request(&self, conversion: &Conversion<'_>) -> Request<String> {
        let resource = format!("Messages/{}/Feedback", conversion.message_id);
        self.post(&resource, &[("Outcome", "confirmed")])
    }
}

impl Carrier for Twilio {
    fn feedback(&self) -> Option<&dyn ConversionFeedback> {
        self.has_feedback.then_some(self)
    }

    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        match message.channel {
            // The registry has neither e-mail nor push for this kind.
            Channel::Sms | Channel::Email | Channel::Push => self.text(message),
            Channel::Whatsapp => self.whatsapp(message),
            Channel::Voice => self.call(message),
        }
    }

    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(response.body()) else {
            return response::without_result(response, now);
        };
        let has_id = body["sid"].as_str().is_some_and(|sid| !sid.is_empty());
        let code = [&body["code"], &body["error_code"]]
            .into_iter()
            .find_map(whole_number);
        match code {
            Some(code) => errors::receipt(code, response, now),
            None if has_id && response.status().is_success() => Receipt::Accepted,
            None => response::without_result(response, now),
        }
    }

    fn report(&self, callback: &Callback<'_>, _now: Timestamp) -> Result<Vec<Report>, ReportError> {
        report::read(&self.auth_token, callback)
    }
}

impl Twilio {
    /// A text message. `SmartEncoded` and `RiskCheck` keep their defaults: the text is already in
    /// the right alphabet, and a protection that the operator pays for stays on.
    fn text(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let validity = validity(message);
        let mut form = vec![
            ("To", message.to.reveal()),
            ("StatusCallback", message.callback_url),
            ("ValidityPeriod", &validity),
        ];
        // The sender of the message is one of the entry: Twilio rejects a name that the account has
        // not registered.
        let from = message.sender.or(self.from.as_deref());
        form.extend(match (message.sender, &self.messaging_service_sid) {
            (None, Some(service)) => Some(("MessagingServiceSid", service.as_str())),
            (Some(_), _) | (None, None) => from.map(|from| ("From", from)),
        });
        form.push(("Body", &message.message.text));
        if self.has_feedback {
            form.push(("ProvideFeedback", "true"));
        }
        self.post("Messages", &form)
    }

    /// A WhatsApp message. Outside a session it needs an approved template: `content_sid`, whose
    /// first variable is the code.
    fn whatsapp(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let to = format!("whatsapp:{}", message.to.reveal());
        let validity = validity(message);
        let from = self
            .whatsapp_from
            .as_ref()
            .or(self.from.as_ref())
            .map(|from| format!("whatsapp:{from}"));
        let variables = json!({ "1": message.code }).to_string();
        let mut form = vec![
            ("To", to.as_str()),
            ("StatusCallback", message.callback_url),
            ("ValidityPeriod", &validity),
        ];
        form.extend(match (&from, &self.messaging_service_sid) {
            (Some(from), _) => Some(("From", from.as_str())),
            (None, service) => service
                .as_deref()
                .map(|service| ("MessagingServiceSid", service)),
        });
        match &self.content_sid {
            Some(template) => form.extend([
                ("ContentSid", template.as_str()),
                ("ContentVariables", &variables),
            ]),
            None => form.push(("Body", &message.message.text)),
        }
        if self.has_feedback {
            form.push(("ProvideFeedback", "true"));
        }
        self.post("Messages", &form)
    }

    /// A call that speaks the text, which already contains the code twice and digit by digit.
    fn call(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let language = language(message.locale, message.to.country())
            .map(|tag| format!(" language=\"{tag}\""))
            .unwrap_or_default();
        let text = escape_xml(&message.message.text);
        let twiml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <Response><Say{language}>{text}</Say></Response>"
        );
        let mut form = vec![("To", message.to.reveal())];
        // A messaging service cannot call. Without a number Twilio rejects the call with an error
        // that alerts the operator.
        let number = message.sender.filter(|sender| is_number(sender));
        let from = number.or(self.from.as_deref());
        form.extend(from.map(|from| ("From", from)));
        form.push(("StatusCallback", message.callback_url));
        form.extend(
            ["initiated", "ringing", "answered", "completed"]
                .map(|event| ("StatusCallbackEvent", event)),
        );
        form.extend([("Timeout", RING_SECONDS), ("Twiml", &twiml)]);
        self.post("Calls", &form)
    }

    fn post(&self, resource: &str, form: &[(&str, &str)]) -> Request<String> {
        let url = format!(
            "{}/2010-04-01/Accounts/{}/{resource}.json",
            self.base_url, self.account_sid
        );
        let authorization = match &self.api_key {
            Some(key) => request::basic_auth(&key.sid, &key.secret),
            None => request::basic_auth(&self.account_sid, &self.auth_token),
        };
        request::post_form(&url, &[authorization], form)
    }
}

/// `ValidityPeriod`: seconds that a message may wait at Twilio.
fn validity(message: &OutgoingMessage<'_>) -> String {
    message
        .validity_seconds
        .clamp(VALIDITY_SECONDS_MIN, VALIDITY_SECONDS_MAX)
        .to_string()
}

/// `text` as the content of an XML element.
fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use ::http::Method;
    use data_encoding::BASE64;

    use super::*;
    use crate::carrier::fixture::{self, CALLBACK_URL, IN_SEVEN_SECONDS};
    use crate::carrier::vendor_format::form;
    use crate::message::Encoding;

    const SID: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const PATH: &str =
        "http://127.0.0.1:9000/2010-04-01/Accounts/ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const CALLBACK_FIELD: &str =
        "StatusCallback=https%3A%2F%2Fotp.example.com%2Fv1%2Fcallbacks%2Fvendor%2Ftoken";

    fn entry() -> Value {
        json!({
            "account_sid": SID,
            "auth_token": "twilio-auth-token-for-tests-0001",
            "from": "+15017122661",
            "base_url": "http://127.0.0.1:9000",
        })
    }

    fn carrier_with(name: &str, value: Value) -> Twilio {
        fixture::read(Twilio::from_fields, fixture::with(&entry(), name, value)).0
    }

    fn carrier() -> Twilio {
        fixture::read(Twilio::from_fields, entry()).0
    }

    fn requested(carrier: &Twilio, channel: Channel) -> Request<String> {
        requested_from(carrier, channel, None)
    }

    /// `sender` is that of the entry for the country.
    fn requested_from(
        carrier: &Twilio,
        channel: Channel,
        sender: Option<&'static str>,
    ) -> Request<String> {
        fixture::request(carrier, "Your code is 4217", Encoding::Gsm7, |message| {
            message.channel = channel;
            message.sender = sender;
        })
    }

    #[test]
    fn sender_of_the_country_replaces_the_own_number() {
        let service = carrier_with("messaging_service_sid", json!("MGaaaa"));
        for carrier in [carrier(), service] {
            let text = requested_from(&carrier, Channel::Sms, Some("Acme Shop"));
            assert!(text.body().contains("&From=Acme+Shop&Body="));
            assert!(!text.body().contains("MessagingServiceSid"));
            let call = requested_from(&carrier, Channel::Voice, Some("+442071838750"));
            assert!(call.body().contains("&From=%2B442071838750&"));
            let call = requested_from(&carrier, Channel::Voice, Some("Acme"));
            assert!(
                call.body().contains("&From=%2B15017122661&"),
                "a name cannot call"
            );
        }
    }

    #[test]
    fn text_message_is_posted_like_the_sdk() {
        let request = requested(&carrier(), Channel::Sms);
        assert_eq!(
            (request.method(), request.uri().to_string()),
            (&Method::POST, format!("{PATH}/Messages.json"))
        );
        assert_eq!(
            request.headers()["content-type"],
            "application/x-www-form-urlencoded"
        );
        let basic = BASE64.encode(format!("{SID}:twilio-auth-token-for-tests-0001").as_bytes());
        assert_eq!(
            request.headers()["authorization"],
            format!("Basic {basic}").as_str()
        );
        let expected = format!(
            "To=%2B33612345678&{CALLBACK_FIELD}&ValidityPeriod=300&From=%2B15017122661&Body=Your+code+is+4217"
        );
        assert_eq!(request.body(), &expected);
        let service = carrier_with("messaging_service_sid", json!("MGaaaa"));
        assert!(
            requested(&service, Channel::Sms)
                .body()
                .contains("&MessagingServiceSid=MGaaaa&Body=")
        );
        let vendor = carrier_with("base_url", Value::Null);
        assert_eq!(
            requested(&vendor, Channel::Sms).uri(),
            &*format!("https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages.json")
        );
    }

    #[test]
    fn requests_use_the_api_key_if_there_is_one() {
        let key = json!("SKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        let mut entry = fixture::with(&entry(), "api_key_sid", key);
        let missing = fixture::read(Twilio::from_fields, entry.clone()).1;
        assert_eq!(missing, ["api_key_secret"]);
        entry["api_key_secret"] = json!("secret");
        let (carrier, wrong) = fixture::read(Twilio::from_fields, entry);
        assert_eq!(wrong, Vec::<String>::new());
        let request = requested(&carrier, Channel::Sms);
        assert_eq!(
            request.uri().to_string(),
            format!("{PATH}/Messages.json"),
            "the account is in the path"
        );
        let basic = BASE64.encode(b"SKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:secret");
        let expected = format!("Basic {basic}");
        assert_eq!(request.headers()["authorization"], expected.as_str());
    }

    #[test]
    fn validity_is_clamped_to_the_limits_of_the_vendor() {
        for (seconds, expected) in [(i64::MIN, 1), (42, 42), (i64::MAX, 36_000)] {
            let request = fixture::request(&carrier(), "x", Encoding::Ucs2, |message| {
                message.validity_seconds = seconds
            });
            assert!(
                request
                    .body()
                    .contains(&format!("&ValidityPeriod={expected}&")),
                "{seconds}"
            );
        }
    }

    #[test]
    fn whatsapp_message_has_a_template_or_the_text() {
        let template = fixture::with(&entry(), "whatsapp_from", json!("whatsapp:+14155238886"));
        let template = fixture::read(
            Twilio::from_fields,
            fixture::with(&template, "content_sid", json!("HXaaaa")),
        )
        .0;
        let expected = format!(
            "To=whatsapp%3A%2B33612345678&{CALLBACK_FIELD}&ValidityPeriod=300&From=whatsapp%3A%2B14155238886&ContentSid=HXaaaa\
            &ContentVariables=%7B%221%22%3A%224217%22%7D"
        );
        assert_eq!(requested(&template, Channel::Whatsapp).body(), &expected);
        let plain = carrier_with("whatsapp_from", json!("+14155238886"));
        assert!(
            requested(&plain, Channel::Whatsapp)
                .body()
                .ends_with("&From=whatsapp%3A%2B14155238886&Body=Your+code+is+4217")
        );
        assert!(
            requested(&plain, Channel::Sms)
                .body()
                .contains("&From=%2B15017122661&"),
            "the number of text messages does not change"
        );
        assert!(
            requested(&carrier(), Channel::Whatsapp)
                .body()
                .contains("&From=whatsapp%3A%2B15017122661&")
        );
    }

    #[test]
    fn call_speaks_the_escaped_text_in_its_language() {
        let request = fixture::request(
            &carrier(),
            "Code <Q> & </Say><Hangup/> \"4217\"",
            Encoding::Gsm7,
            |message| {
                message.channel = Channel::Voice;
                message.locale = "fr";
            },
        );
        assert_eq!(request.uri().to_string(), format!("{PATH}/Calls.json"));
        let form: Vec<_> = form::decode(request.body().as_bytes()).collect();
        let twiml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Say language=\"fr-FR\">\
            Code &lt;Q&gt; &amp; &lt;/Say&gt;&lt;Hangup/&gt; \"4217\"</Say></Response>";
        let expected = [
            ("To", "+33612345678"),
            ("From", "+15017122661"),
            ("StatusCallback", CALLBACK_URL),
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "ringing"),
            ("StatusCallbackEvent", "answered"),
            ("StatusCallbackEvent", "completed"),
            ("Timeout", "30"),
            ("Twiml", twiml),
        ];
        assert!(
            form.iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .eq(expected),
            "{form:?}"
        );
    }

    #[test]
    fn spoken_language_depends_on_the_country() {
        for (locale, country, expected) in [
            ("en", Some("GB"), Some("en-GB")),
            ("en", Some("FR"), Some("en-US")),
            ("en", None, Some("en-US")),
            ("fr", Some("CA"), Some("fr-CA")),
            ("es", Some("AR"), Some("es-ES")),
            ("pt-BR", Some("PT"), Some("pt-BR")),
            ("pt", Some("BR"), Some("pt-BR")),
            ("ar", Some("SA"), Some("ar-AE")),
            ("zh", Some("CN"), Some("zh-CN")),
            ("zh-Hant", Some("HK"), Some("zh-TW")),
            ("fil", Some("PH"), Some("fil-PH")),
            ("fi", Some("FI"), Some("fi-FI")),
            ("ka", Some("GE"), None),
            ("", None, None),
        ] {
            assert_eq!(language(locale, country), expected, "{locale} {country:?}");
        }
    }

    #[test]
    fn invalid_entries_are_rejected() {
        let wrong = |name: &str, value: Value| {
            fixture::read(Twilio::from_fields, fixture::with(&entry(), name, value))
                .1
                .join(" ")
        };
        assert_eq!(
            fixture::read(Twilio::from_fields, json!({})).1,
            ["account_sid", "auth_token", "from"]
        );
        assert_eq!(wrong("messaging_service_sid", json!("MG1")), "");
        assert_eq!(wrong("from", Value::Null), "from");
        assert_eq!(
            wrong("from", json!("")),
            "from from",
            "neither a number nor a service"
        );
        assert_eq!(wrong("account_sid", json!("AC/../x")), "account_sid");
        assert_eq!(wrong("auth_token", json!("")), "auth_token");
        assert_eq!(
            wrong("messaging_service_sid", json!("MG 1")),
            "messaging_service_sid"
        );
        assert_eq!(wrong("content_sid", json!("é")), "content_sid");
        assert_eq!(
            wrong("whatsapp_from", json!("whatsapp:Acme")),
            "whatsapp_from"
        );
    }

    #[test]
    fn responses_are_classified() {
        let accepted = json!({
            "account_sid": SID,
            "body": "Your code is 4217",
            "error_code": null,
            "error_message": null,
            "num_segments": "1",
            "sid": "SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "status": "queued",
            "to": "+33612345678",
        });
        assert_eq!(
            fixture::receipt(&carrier(), 201, &accepted.to_string()),
            Receipt::Accepted
        );
        let class = |http: u16, code: i64| {
            let body = json!({
                "code": code,
                "message": "…",
                "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
                "status": http,
            });
            fixture::receipt(&carrier(), http, &body.to_string())
        };
        for code in [
            21211, 21214, 21217, 21265, 21266, 21268, 21610, 21614, 21635, 13224, 63024,
        ] {
            assert_eq!(
                [class(400, code), class(403, code), class(200, code)],
                [const { Receipt::Permanent }; 3],
                "{code}"
            );
        }
        for code in [21212, 21215, 21408, 21606, 21608, 21612, 63016, 99_999] {
            assert_eq!(
                [class(400, code), class(403, code), class(200, code)],
                [const { Receipt::Misconfigured }; 3],
                "{code}"
            );
            assert_eq!(class(401, code), Receipt::AccountRejected, "{code}");
        }
        for code in [10001, 20003, 20005] {
            assert_eq!(
                [class(400, code), class(401, code), class(403, code)],
                [const { Receipt::AccountRejected }; 3],
                "{code}"
            );
        }
        assert_eq!(
            class(404, 20404),
            Receipt::Misconfigured,
            "about the account, not the number"
        );
        assert_eq!(
            [
                class(429, 20429),
                class(400, 63018),
                class(429, 1),
                class(500, 20500)
            ],
            [const { IN_SEVEN_SECONDS }; 4]
        );
        assert_eq!(
            fixture::receipt(
                &carrier(),
                201,
                &fixture::with(&accepted, "error_code", json!(21610)).to_string()
            ),
            Receipt::Permanent
        );
        assert_eq!(
            fixture::receipt(
                &carrier(),
                201,
                &fixture::with(&accepted, "sid", json!("")).to_string()
            ),
            Receipt::Unknown
        );
        assert_eq!(
            fixture::receipt(&carrier(), 500, &accepted.to_string()),
            IN_SEVEN_SECONDS
        );
        fixture::unreadable_responses_are_not_accepted(&carrier());
    }

    #[test]
    fn reports_without_a_signature_are_forged() {
        let body = b"MessageStatus=delivered";
        assert_eq!(
            fixture::report(&carrier(), &Method::POST, "", body),
            Err(ReportError::Forged)
        );
        fixture::hostile_reports_change_nothing(&carrier());
    }
}
