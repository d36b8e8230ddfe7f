//! Kind `end_user_messaging`: AWS End User Messaging, over SMS and voice.
//!
//! API: `pinpoint-sms-voice-v2`, `POST {base_url}/`,
//! <https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html>;
//! events:
//! <https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html>.
//!
//! Our reference is in `Context`, which is in every event.
//!
//! Invariant: events come through SNS, and the caller of `report` has verified their envelope.

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::carrier_trait::{
    Callback, Carrier, Conversion, ConversionFeedback, OutgoingMessage, Receipt, Report,
    ReportError,
};
use super::sender::is_number;
use super::vendor_format::{aws_json, config_fields, request};
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// Bounds of `TimeToLive`.
pub(super) const VALIDITY_SECONDS_MIN: i64 = 5;
pub(super) const VALIDITY_SECONDS_MAX: i64 = 259_200;
/// Longest origination identity and configuration set.
const IDENTITY_LENGTH_MAX: usize = 256;
/// Key of our reference in `Context`.
pub(super) const REFERENCE_KEY: &str = "m";
/// Voices of Amazon Polly that the API supports, by language. Other languages have no voice: the
/// default, `MATTHEW`, reads their digits.
const VOICES: &[(&str, &str)] = &[
    ("ar", "ZEINA"),
    ("da", "NAJA"),
    ("de", "VICKI"),
    ("es", "LUCIA"),
    ("fr", "LEA"),
    ("is", "DORA"),
    ("it", "BIANCA"),
    ("ja", "MIZUKI"),
    ("ko", "SEOYEON"),
    ("nb", "LIV"),
    ("nl", "LOTTE"),
    ("pl", "EWA"),
    ("pt-BR", "CAMILA"),
    ("pt", "INES"),
    ("ro", "CARMEN"),
    ("ru", "TATYANA"),
    ("sv", "ASTRID"),
    ("tr", "FILIZ"),
    ("zh", "ZHIYU"),
];

/// A carrier of kind `end_user_messaging`.
pub struct EndUserMessaging {
    base_url: String,
    origination_identity: String,
    configuration_set: Option<String>,
    /// The rules by country and number that are checked for its messages; those of the account if
    /// `None`.
    protect_configuration: Option<String>,
    /// Most that a text, or a minute of a call, may cost, in US dollars.
    max_price: Option<String>,
    /// Whether AWS is informed when a code came back.
    has_feedback: bool,
}

impl EndUserMessaging {
    /// Fields: `origination_identity` (phone number, sender id, pool or ARN); optional
    /// `configuration_set`, which has the destination of the events, `protect_configuration_id` and
    /// `max_price`.
    pub fn from_fields(fields: &mut Fields, region: &str) -> Self {
        let default_url = format!("https://sms-voice.{region}.amazonaws.com");
        Self {
            base_url: config_fields::base_url(fields, Some(&default_url)),
            has_feedback: config_fields::flag(fields, "feedback"),
            origination_identity: config_fields::required(
                fields,
                "origination_identity",
                is_identity,
                "a phone number, a sender id, a pool or an ARN",
            ),
            configuration_set: fields.parsed_text(
                "configuration_set",
                |name| is_identity(name).then(|| name.to_owned()),
                "the name of a configuration set",
            ),
            protect_configuration: fields.parsed_text(
                "protect_configuration_id",
                |id| is_identity(id).then(|| id.to_owned()),
                "the id or the ARN of a protect configuration",
            ),
            max_price: fields.parsed_text(
                "max_price",
                |price| is_price(price).then(|| price.to_owned()),
                "US dollars as text, with a point, such as \"0.50\"",
            ),
        }
    }
}

/// As the API writes it: up to two digits, a point, and one to five digits.
fn is_price(text: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(dollars, rest)| {
        dollars.len() <= 2 && (1..=5).contains(&rest.len()) && is_number(dollars) && is_number(rest)
    })
}

pub(super) fn is_identity(text: &str) -> bool {
    (1..=IDENTITY_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_:/+-".contains(&b))
}

impl ConversionFeedback for EndUserMessaging {
    fn message_id(&self, response: &Response<Vec<u8>>, _reference: &str) -> Option<String> {
        aws_json::message_id(response)
    }

    fn feedback_request(&self, conversion: &Conversion<'_>) -> Request<String> {
        message_feedback(&self.base_url, conversion.message_id)
    }
}

impl Carrier for EndUserMessaging {
    fn feedback(&self) -> Option<&dyn ConversionFeedback> {
        self.has_feedback.then_some(self)
    }

    /// A sender id cannot call; a number, a pool or an ARN may.
    fn serves(&self, channel: Channel) -> bool {
        let identity = self.origination_identity.as_str();
        let is_resource = ["arn:", "pool-", "phone-"]
            .iter()
            .any(|p| identity.starts_with(p));
        channel != Channel::Voice || is_resource || is_number(identity)
    }

    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let validity_seconds = message
            .validity_seconds
            .clamp(VALIDITY_SECONDS_MIN, VALIDITY_SECONDS_MAX);
        let is_voice = message.channel == Channel::Voice;
        // A name cannot call.
        let sender = message
            .sender
            .filter(|sender| !is_voice || is_number(sender));
        let mut body = json!({
            "DestinationPhoneNumber": message.to.reveal(),
            "OriginationIdentity": sender.unwrap_or(&self.origination_identity),
            "MessageBody": message.message.text,
            "TimeToLive": validity_seconds,
            "Context": {REFERENCE_KEY: message.reference},
        });
        if let Some(id) = &self.protect_configuration {
            body["ProtectConfigurationId"] = id.as_str().into();
        }
        if let Some(price) = &self.max_price {
            let name = if is_voice {
                "MaxPricePerMinute"
            } else {
                "MaxPrice"
            };
            body[name] = price.as_str().into();
        }
        let operation = if is_voice {
            // The text already contains the code digit by digit, so it needs no markup and no
            // escaping.
            body["MessageBodyTextType"] = "TEXT".into();
            if let Some(voice) = voice(message.locale) {
                body["VoiceId"] = voice.into();
            }
            "SendVoiceMessage"
        } else {
            body["MessageType"] = "TRANSACTIONAL".into();
            // The parameters of this API are those of India.
            let is_india = message.to.country() == Some("IN");
            if let Some(registered) = message.registered.filter(|_| is_india) {
                body["DestinationCountryParameters"] = json!({
                    "IN_ENTITY_ID": registered.entity_id,
                    "IN_TEMPLATE_ID": registered.template_id,
                });
            }
            "SendTextMessage"
        };
        if self.has_feedback {
            body["MessageFeedbackEnabled"] = true.into();
        }
        if let Some(name) = &self.configuration_set {
            body["ConfigurationSetName"] = name.as_str().into();
        }
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", format!("PinpointSMSVoiceV2.{operation}")),
        ];
        request::post(&format!("{}/", self.base_url), &headers, body.to_string())
    }

    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        aws_json::receipt(response, now, classify_error)
    }

    fn report(&self, callback: &Callback<'_>, _: Timestamp) -> Result<Vec<Report>, ReportError> {
        event_report(callback)
    }
}

/// The request that says that the code of a message came back.
pub(super) fn message_feedback(base_url: &str, message_id: &str) -> Request<String> {
    let operation = "PutMessageFeedback";
    let body = json!({"MessageId": message_id, "MessageFeedbackStatus": "RECEIVED"});
    let headers = [
        ("content-type", "application/x-amz-json-1.0".to_owned()),
        ("x-amz-target", format!("PinpointSMSVoiceV2.{operation}")),
    ];
    request::post(&format!("{base_url}/"), &headers, body.to_string())
}

/// The report in an event of the service.
pub(super) fn event_report(callback: &Callback<'_>) -> Result<Vec<Report>, ReportError> {
    let event: Value =
        serde_json::from_slice(callback.body).map_err(|_| ReportError::Unreadable)?;
    let word = event["eventType"].as_str().ok_or(ReportError::Unreadable)?;
    let is_final = event["isFinal"].as_bool().unwrap_or_default();
    Ok(vec![Report::new(
        event["context"][REFERENCE_KEY].as_str().map(str::to_owned),
        status(word, is_final),
    )])
}

pub(super) fn voice(locale: &str) -> Option<&'static str> {
    let language = locale.split('-').next();
    VOICES
        .iter()
        .find(|(tag, _)| *tag == locale)
        .or_else(|| VOICES.iter().find(|(tag, _)| Some(*tag) == language))
        .map(|(_, voice)| *voice)
}

/// What an error other than throttling means. Only errors about the number end the delivery; the
/// others are about the account, so the next carrier may accept the message.
pub(super) fn classify_error(error_type: &str, body: &Value) -> Receipt {
    match (error_type, body["Reason"].as_str().unwrap_or_default()) {
        ("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT")
        // The daily limit of calls to one number: no other carrier should call either, and it must
        // not count as a failure of this carrier.
        | ("ServiceQuotaExceededException", "DAILY_DESTINATION_CALL_LIMIT") => Receipt::Permanent,
        ("ValidationException", "INVALID_PARAMETER") if is_about_the_number(body) => {
            Receipt::Permanent
        }
        // A protect configuration is the operator's own block.
        (
            "ConflictException",
            "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION"
            | "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE",
        ) => Receipt::Blocked,
        ("AccessDeniedException", "INSUFFICIENT_ACCOUNT_REPUTATION" | "ACCOUNT_DISABLED") => {
            Receipt::AccountRejected
        }
        // The country (DESTINATION_COUNTRY_BLOCKED, COUNTRY_NOT_ENABLED), PRICE_OVER_THRESHOLD, the
        // spend limit of the channel, the sender, the sandbox, permissions.
        _ => Receipt::Misconfigured,
    }
}

/// Whether a validation error names the destination, or no field at all.
fn is_about_the_number(body: &Value) -> bool {
    let fields = body["Fields"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    fields.is_empty()
        || fields.iter().any(|field| {
            field["Name"]
                .as_str()
                .is_some_and(|name| name.eq_ignore_ascii_case("DestinationPhoneNumber"))
        })
}

/// A pool with an RCS agent sends texts by RCS first, and then by SMS. Until AWS says that a
/// failure is final, it tries SMS itself, and no second message may go out beside it.
fn status(word: &str, is_final: bool) -> Option<DeliveryStatus> {
    Some(match word {
        "TEXT_PENDING" | "TEXT_QUEUED" | "VOICE_INITIATED" | "RCS_QUEUED" => DeliveryStatus::Queued,
        // The network has the message. TEXT_SUCCESSFUL is the last event if the network sends no
        // receipts.
        "TEXT_SUCCESSFUL"
        | "TEXT_SENT"
        | "VOICE_RINGING"
        | "VOICE_ANSWERED"
        | "RCS_SENT"
        | "RCS_FALLEN_BACK_TO_SMS" => DeliveryStatus::Sent,
        "TEXT_DELIVERED" | "VOICE_COMPLETED" | "RCS_DELIVERED" | "RCS_READ" => {
            DeliveryStatus::Delivered
        }
        "RCS_FAILED" if is_final => DeliveryStatus::Undelivered,
        "RCS_TTL_EXPIRED" if is_final => DeliveryStatus::Expired,
        "TEXT_UNREACHABLE"
        | "TEXT_CARRIER_UNREACHABLE"
        | "TEXT_UNKNOWN"
        | "VOICE_BUSY"
        | "VOICE_NO_ANSWER"
        | "VOICE_FAILED" => DeliveryStatus::Undelivered,
        "TEXT_INVALID"
        | "TEXT_INVALID_MESSAGE"
        | "TEXT_BLOCKED"
        | "TEXT_CARRIER_BLOCKED"
        | "TEXT_SPAM"
        | "TEXT_PROTECT_BLOCKED"
        | "RCS_PROTECT_BLOCKED" => DeliveryStatus::Rejected,
        "TEXT_TTL_EXPIRED" | "VOICE_TTL_EXPIRED" => DeliveryStatus::Expired,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, Method};

    use super::*;
    use crate::carrier::fixture;
    use crate::domain::address::Address;
    use crate::domain::phone::PhoneNumber;
    use crate::message::{Encoding, Message};

    fn carrier(entry: Value) -> Result<EndUserMessaging, Vec<String>> {
        let Value::Object(object) = entry else {
            unreachable!()
        };
        let mut fields = Fields::new(object);
        let carrier = EndUserMessaging::from_fields(&mut fields, "eu-west-1");
        fields
            .finish()
            .map(|()| carrier)
            .map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    fn request(
        entry: Value,
        channel: Channel,
        locale: &str,
        validity_seconds: i64,
    ) -> Request<String> {
        request_from(None, entry, channel, locale, validity_seconds)
    }

    /// `sender` is that of the entry for the country.
    fn request_from(
        sender: Option<&str>,
        entry: Value,
        channel: Channel,
        locale: &str,
        validity_seconds: i64,
    ) -> Request<String> {
        let to = Address::Phone(PhoneNumber::parse("+33612345678", None).expect("a number"));
        let message = Message {
            text: "Your code is 4217".into(),
            subject: None,
            html: None,
            encoding: Encoding::Gsm7,
            parts: 1,
        };
        let carrier = carrier(entry).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        carrier.request(&OutgoingMessage {
            to: &to,
            sender,
            notification: None,
            registered: None,
            channel,
            message: &message,
            code: "4217",
            locale,
            reference: "msg_01HZX",
            validity_seconds,
            now: Timestamp(1_763_753_400),
            callback_url: "https://otp.example/v1/callbacks/end_user_messaging/x",
        })
    }

    fn body(request: &Request<String>) -> Value {
        serde_json::from_str(request.body()).expect("JSON")
    }

    #[test]
    fn text_is_sent_like_the_sdk() {
        let request = request(
            json!({"origination_identity": "AcmeInc", "configuration_set": "otp"}),
            Channel::Sms,
            "en",
            300,
        );
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "https://sms-voice.eu-west-1.amazonaws.com/")
        );
        assert_eq!(
            request.headers()["x-amz-target"],
            "PinpointSMSVoiceV2.SendTextMessage"
        );
        assert_eq!(
            request.headers()["content-type"],
            "application/x-amz-json-1.0"
        );
        let expected = json!({
            "DestinationPhoneNumber": "+33612345678",
            "OriginationIdentity": "AcmeInc",
            "MessageBody": "Your code is 4217",
            "MessageType": "TRANSACTIONAL",
            "ConfigurationSetName": "otp",
            "TimeToLive": 300,
            "Context": {"m": "msg_01HZX"},
        });
        assert_eq!(body(&request), expected);
    }

    #[test]
    fn sender_of_the_country_replaces_the_identity() {
        let identity = |sender, channel| {
            let entry = json!({"origination_identity": "pool-1"});
            body(&request_from(Some(sender), entry, channel, "en", 300))["OriginationIdentity"]
                .clone()
        };
        assert_eq!(identity("AcmeInc", Channel::Sms), "AcmeInc");
        assert_eq!(identity("+12065550152", Channel::Voice), "+12065550152");
        assert_eq!(
            identity("AcmeInc", Channel::Voice),
            "pool-1",
            "a name cannot call"
        );
    }

    #[test]
    fn price_and_protect_configuration_are_passed_on() {
        let entry = |price: Value| {
            json!({
                "origination_identity": "+12065550152",
                "protect_configuration_id": "protect-1",
                "max_price": price,
            })
        };
        for (channel, name) in [
            (Channel::Sms, "MaxPrice"),
            (Channel::Voice, "MaxPricePerMinute"),
        ] {
            let request = request(entry(json!("0.50")), channel, "en", 300);
            let body: Value = serde_json::from_str(request.body()).expect("JSON");
            assert_eq!(
                (&body["ProtectConfigurationId"], &body[name]),
                (&json!("protect-1"), &json!("0.50"))
            );
        }
        for wrong in ["1", "0.", "123.4", "0.123456", "-1.0", "0,5"] {
            let fields = carrier(entry(json!(wrong))).err();
            assert_eq!(fields, Some(vec!["max_price".to_owned()]), "{wrong}");
        }
    }

    #[test]
    fn call_has_a_voice_of_its_language() {
        let entry =
            json!({"origination_identity": "+12065550152", "base_url": "http://127.0.0.1:9000/"});
        let request = request(entry, Channel::Voice, "fr", 300);
        assert_eq!(request.uri().to_string(), "http://127.0.0.1:9000/");
        assert_eq!(
            request.headers()["x-amz-target"],
            "PinpointSMSVoiceV2.SendVoiceMessage"
        );
        let expected = json!({
            "DestinationPhoneNumber": "+33612345678",
            "OriginationIdentity": "+12065550152",
            "MessageBody": "Your code is 4217",
            "MessageBodyTextType": "TEXT",
            "VoiceId": "LEA",
            "TimeToLive": 300,
            "Context": {"m": "msg_01HZX"},
        });
        assert_eq!(body(&request), expected);
        assert_eq!(
            ["pt", "pt-BR", "zh-Hant", "fr-CA", "el", "en", ""].map(voice),
            [
                Some("INES"),
                Some("CAMILA"),
                Some("ZHIYU"),
                Some("LEA"),
                None,
                None,
                None
            ]
        );
    }

    #[test]
    fn every_voice_has_a_language_of_our_texts() {
        for (tag, _) in VOICES {
            assert!(crate::message::Locale::from_tag(tag).is_some(), "{tag}");
        }
    }

    #[test]
    fn time_to_live_is_clamped_to_the_api_limits() {
        let seconds = |validity| {
            body(&request(
                json!({"origination_identity": "AcmeInc"}),
                Channel::Sms,
                "en",
                validity,
            ))["TimeToLive"]
                .clone()
        };
        assert_eq!(
            [-1, 5, 600, i64::MAX].map(seconds),
            [json!(5), json!(5), json!(600), json!(259_200)]
        );
    }

    #[test]
    fn invalid_entries_are_rejected() {
        assert_eq!(
            carrier(json!({})).err(),
            Some(vec!["origination_identity".to_owned()])
        );
        let pool = "arn:aws:sms-voice:eu-west-1:123456789012:pool/pool-1";
        assert!(carrier(json!({ "origination_identity": pool })).is_ok());
        for wrong in [
            json!({"origination_identity": "Acme Inc"}),
            json!({"origination_identity": "A\n"}),
            json!({"origination_identity": 1}),
            json!({"origination_identity": ""}),
        ] {
            assert!(carrier(wrong).is_err());
        }
        assert!(
            carrier(json!({"origination_identity": "AcmeInc", "configuration_set": "a b"}))
                .is_err()
        );
        assert!(
            carrier(json!({"origination_identity": "AcmeInc", "base_url": "ftp://h"})).is_err()
        );
    }

    fn receipt(status: u16, body: &str) -> Receipt {
        let response = Response::builder()
            .status(status)
            .header("retry-after", "3")
            .body(body.as_bytes().to_vec())
            .expect("a response");
        carrier(json!({"origination_identity": "AcmeInc"}))
            .map(|c| c.receipt(&response, Timestamp(0)))
            .unwrap_or(Receipt::Unknown)
    }

    fn error(code: &str, reason: &str) -> Receipt {
        let body = json!({
            "__type": format!("com.amazonaws.pinpointsmsvoicev2#{code}"),
            "Message": "…",
            "Reason": reason,
        });
        receipt(400, &body.to_string())
    }

    #[test]
    fn message_is_accepted_only_with_an_id() {
        assert_eq!(
            receipt(
                200,
                r#"{"MessageId":"862a8790-60c0-4430-9b2b-658bdexample"}"#
            ),
            Receipt::Accepted
        );
        for unreadable in [
            "",
            "{}",
            "[]",
            "null",
            "<html>",
            r#"{"MessageId":1}"#,
            r#"{"MessageId":""}"#,
        ] {
            assert_eq!(receipt(200, unreadable), Receipt::Unknown, "{unreadable}");
        }
    }

    #[test]
    fn errors_about_the_number_are_permanent() {
        for (code, reason) in [
            ("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"),
            ("ValidationException", "INVALID_PARAMETER"),
            (
                "ServiceQuotaExceededException",
                "DAILY_DESTINATION_CALL_LIMIT",
            ),
        ] {
            assert_eq!(error(code, reason), Receipt::Permanent, "{code} {reason}");
        }
        for reason in [
            "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION",
            "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE",
        ] {
            assert_eq!(error("ConflictException", reason), Receipt::Blocked);
        }
        let about = |field: &str| {
            let fields = json!([{"Name": field, "Message": "…"}]);
            receipt(
                400,
                &json!({
                    "__type": "ValidationException",
                    "Reason": "INVALID_PARAMETER",
                    "Fields": fields,
                })
                .to_string(),
            )
        };
        assert_eq!(about("DestinationPhoneNumber"), Receipt::Permanent);
        assert_eq!(about("OriginationIdentity"), Receipt::Misconfigured);
    }

    #[test]
    fn account_errors_are_misconfigured_and_throttling_is_transient() {
        for (code, reason) in [
            ("AccessDeniedException", "ACCOUNT_DISABLED"),
            ("AccessDeniedException", "INSUFFICIENT_ACCOUNT_REPUTATION"),
            ("UnrecognizedClientException", ""),
            ("InvalidSignatureException", ""),
        ] {
            assert_eq!(error(code, reason), Receipt::AccountRejected, "{code}");
        }
        for (code, reason) in [
            ("AccessDeniedException", ""),
            ("ValidationException", "DESTINATION_COUNTRY_BLOCKED"),
            ("ValidationException", "COUNTRY_NOT_ENABLED"),
            ("ValidationException", "PRICE_OVER_THRESHOLD"),
            (
                "ServiceQuotaExceededException",
                "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT",
            ),
            (
                "ServiceQuotaExceededException",
                "MONTHLY_SPEND_LIMIT_REACHED_FOR_VOICE",
            ),
            ("ResourceNotFoundException", ""),
            ("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"),
            ("ConflictException", "NO_ORIGINATION_IDENTITIES_FOUND"),
            ("ValidationException", "SENDER_ID_NOT_SUPPORTED"),
            ("ValidationException", "SENDER_ID_REQUIRES_REGISTRATION"),
            ("ValidationException", "SENDER_ID_NOT_REGISTERED"),
            (
                "ValidationException",
                "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY",
            ),
            ("ValidationException", "VOICE_CAPABILITY_NOT_AVAILABLE"),
            ("ValidationException", "A_REASON_OF_TOMORROW"),
        ] {
            assert_eq!(
                error(code, reason),
                Receipt::Misconfigured,
                "{code} {reason}"
            );
        }
        let later = Receipt::Transient {
            retry_after_seconds: Some(3),
        };
        assert_eq!(error("ThrottlingException", ""), later);
        assert_eq!(
            receipt(
                500,
                r#"{"__type":"InternalServerException","RequestId":"r"}"#
            ),
            later
        );
        assert_eq!(
            [receipt(503, ""), receipt(429, "slow down")],
            [later.clone(), later]
        );
        assert_eq!(
            [receipt(400, ""), receipt(403, "<html>"), receipt(302, "")],
            [(); 3].map(|()| Receipt::Misconfigured)
        );
    }

    fn report(event: &str) -> Result<Report, ReportError> {
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &HeaderMap::new(),
            body: event.as_bytes(),
            url: "",
        };
        let carrier = carrier(json!({"origination_identity": "AcmeInc"}))
            .unwrap_or_else(|wrong| panic!("{wrong:?}"));
        fixture::only_report(carrier.report(&callback, Timestamp(0)))
    }

    #[test]
    fn documented_event_names_our_message() {
        let event = r#"{"eventType":"TEXT_DELIVERED","eventVersion":"1.0","eventTimestamp":1763753400000,"isFinal":true,
            "originationPhoneNumber":"+12065550152","destinationPhoneNumber":"+14255550156","isoCountryCode":"US","mcc":"310","mnc":"800",
            "carrierName":"…","messageId":"862a8790-60c0-4430-9b2b-658bdexample","messageRequestTimestamp":1763753399000,"messageEncoding":"GSM",
            "messageType":"TRANSACTIONAL","messageStatus":"DELIVERED","messageStatusDescription":"Message has been accepted by phone",
            "context":{"m":"msg_01HZX"},"totalMessageParts":1,"totalMessagePrice":0.09582,"totalCarrierFee":0.0}"#;
        assert_eq!(
            report(event),
            Ok(Report::new(
                Some("msg_01HZX".into()),
                Some(DeliveryStatus::Delivered)
            ))
        );
    }

    #[test]
    fn statuses_of_events_are_read() {
        use DeliveryStatus::{Delivered, Expired, Queued, Rejected, Sent, Undelivered};
        for (words, status) in [
            ("TEXT_PENDING TEXT_QUEUED VOICE_INITIATED", Some(Queued)),
            (
                "TEXT_SUCCESSFUL TEXT_SENT VOICE_RINGING VOICE_ANSWERED",
                Some(Sent),
            ),
            ("TEXT_DELIVERED VOICE_COMPLETED", Some(Delivered)),
            (
                "TEXT_UNREACHABLE TEXT_CARRIER_UNREACHABLE TEXT_UNKNOWN VOICE_BUSY VOICE_NO_ANSWER VOICE_FAILED",
                Some(Undelivered),
            ),
            (
                "TEXT_INVALID TEXT_INVALID_MESSAGE TEXT_BLOCKED TEXT_CARRIER_BLOCKED TEXT_SPAM TEXT_PROTECT_BLOCKED",
                Some(Rejected),
            ),
            ("TEXT_TTL_EXPIRED VOICE_TTL_EXPIRED", Some(Expired)),
            ("TEXT_ALL VOICE_ALL TEXT_OF_TOMORROW TEXT_", None),
        ] {
            for word in words.split(' ') {
                let event = json!({"eventType": word, "context": {"m": "r"}}).to_string();
                assert_eq!(
                    report(&event),
                    Ok(Report::new(Some("r".into()), status)),
                    "{word}"
                );
            }
        }
    }

    #[test]
    fn rcs_failures_count_only_when_they_are_final() {
        use DeliveryStatus::{Delivered, Expired, Queued, Rejected, Sent, Undelivered};
        for (word, status, final_status) in [
            ("RCS_QUEUED", Some(Queued), Some(Queued)),
            ("RCS_SENT", Some(Sent), Some(Sent)),
            ("RCS_FALLEN_BACK_TO_SMS", Some(Sent), Some(Sent)),
            ("RCS_DELIVERED", Some(Delivered), Some(Delivered)),
            ("RCS_READ", Some(Delivered), Some(Delivered)),
            ("RCS_FAILED", None, Some(Undelivered)),
            ("RCS_TTL_EXPIRED", None, Some(Expired)),
            ("RCS_PROTECT_BLOCKED", Some(Rejected), Some(Rejected)),
            ("RCS_OF_TOMORROW", None, None),
        ] {
            let event = json!({"eventType": word, "context": {"m": "r"}});
            let of = |is_final: Value| {
                let event = fixture::with(&event, "isFinal", is_final).to_string();
                report(&event).map(|report| report.status)
            };
            assert_eq!(of(json!(false)), Ok(status), "{word}");
            assert_eq!(of(Value::Null), Ok(status), "{word}");
            assert_eq!(of(json!(true)), Ok(final_status), "{word}, final");
        }
    }

    #[test]
    fn other_documents_are_unreadable_events_need_no_context() {
        for text in [
            "",
            "{",
            "[]",
            "null",
            "{}",
            r#"{"eventType":1}"#,
            &"[".repeat(100_000),
        ] {
            assert_eq!(report(text), Err(ReportError::Unreadable));
        }
        let of_ses = r#"{"eventType":"Delivery","mail":{"tags":{"m":["r"]}}}"#;
        assert_eq!(report(of_ses), Ok(Report::new(None, None)));
        for context in ["null", "{}", "[]", r#"{"m":1}"#, r#""m""#] {
            let event = format!(r#"{{"eventType":"TEXT_DELIVERED","context":{context}}}"#);
            assert_eq!(report(&event).map(|r| r.reference), Ok(None), "{context}");
        }
    }
}
