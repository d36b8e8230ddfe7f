//! Kind `ses`: Amazon SES, over e-mail.
//!
//! API: version 2, `POST {base_url}/v2/email/outbound-emails`,
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>; events:
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>.
//!
//! Our reference is an e-mail tag, which is in every event of the configuration set.
//!
//! Invariant: events come through SNS, and the caller of `report` has verified their envelope.

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::carrier_trait::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use super::vendor_format::{aws_json, config_fields, request};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::email::EmailAddress;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// Longest `from`, with its display name.
const FROM_LENGTH_MAX: usize = 320;
/// Longest name of a configuration set.
const CONFIGURATION_SET_LENGTH_MAX: usize = 64;
/// Name of the tag with our reference.
const REFERENCE_TAG: &str = "m";

/// A carrier of kind `ses`.
pub struct Ses {
    base_url: String,
    from: String,
    configuration_set: Option<String>,
}

impl Ses {
    /// Fields: `from` (an address, or `Name <address>`); optional `configuration_set`, which has
    /// the destination of the events.
    pub fn from_fields(fields: &mut Fields, region: &str) -> Self {
        let default_url = format!("https://email.{region}.amazonaws.com");
        Self {
            base_url: config_fields::base_url(fields, Some(&default_url)),
            from: config_fields::required(
                fields,
                "from",
                is_from,
                "an e-mail address, or a name and an address in angle brackets",
            ),
            configuration_set: fields.parsed_text(
                "configuration_set",
                |name| is_configuration_set(name).then(|| name.to_owned()),
                "the name of a configuration set",
            ),
        }
    }
}

fn is_from(text: &str) -> bool {
    let address = text
        .rsplit_once('<')
        .map_or(Some(text), |(_, address)| address.strip_suffix('>'));
    text.len() <= FROM_LENGTH_MAX
        && !text.contains(char::is_control)
        && address.is_some_and(|address| EmailAddress::parse(address).is_some())
}

fn is_configuration_set(name: &str) -> bool {
    (1..=CONFIGURATION_SET_LENGTH_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

impl Carrier for Ses {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let utf8 = |text: &str| json!({"Data": text, "Charset": "UTF-8"});
        let subject = message.message.subject.as_deref().unwrap_or_default();
        let mut body = json!({
            "FromEmailAddress": self.from,
            "Destination": {"ToAddresses": [message.to.reveal()]},
            "Content": {
                "Simple": {
                    "Subject": utf8(subject),
                    "Body": {"Text": utf8(&message.message.text)},
                },
            },
            "EmailTags": [{"Name": REFERENCE_TAG, "Value": message.reference}],
        });
        if let Some(html) = &message.message.html {
            body["Content"]["Simple"]["Body"]["Html"] = utf8(html);
        }
        if let Some(name) = &self.configuration_set {
            body["ConfigurationSetName"] = name.as_str().into();
        }
        request::post_json(
            &format!("{}/v2/email/outbound-emails", self.base_url),
            &[],
            &body,
        )
    }

    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        aws_json::receipt(response, now, classify_error)
    }

    fn report(&self, callback: &Callback<'_>, _: Timestamp) -> Result<Vec<Report>, ReportError> {
        let event: Value =
            serde_json::from_slice(callback.body).map_err(|_| ReportError::Unreadable)?;
        // Notifications of an identity have the other key and no tags.
        let word = event["eventType"]
            .as_str()
            .or_else(|| event["notificationType"].as_str())
            .filter(|_| event["mail"].is_object())
            .ok_or(ReportError::Unreadable)?;
        let reference = event["mail"]["tags"][REFERENCE_TAG][0]
            .as_str()
            .map(str::to_owned);
        Ok(vec![Report::new(reference, status(word, &event))])
    }
}

/// What an error other than throttling means.
fn classify_error(error_type: &str, body: &Value) -> Receipt {
    let text = body["message"]
        .as_str()
        .or_else(|| body["Message"].as_str())
        .unwrap_or_default();
    match error_type {
        // The sender is not verified, or the account is in the sandbox, where every recipient has
        // to be: this is about the configuration, not about the recipient.
        "MessageRejected" if text.contains("not verified") => Receipt::Misconfigured,
        // Such as `Missing required header 'From'.`
        "BadRequestException" if text.contains("'From'") => Receipt::Misconfigured,
        "MessageRejected" | "BadRequestException" => Receipt::Permanent,
        "AccountSuspendedException" | "SendingPausedException" => Receipt::AccountRejected,
        // MailFromDomainNotVerifiedException, NotFoundException, permissions.
        _ => Receipt::Misconfigured,
    }
}

fn status(word: &str, event: &Value) -> Option<DeliveryStatus> {
    Some(match word {
        // SES still tries after a delay; if it gives up, it publishes a bounce.
        "Send" | "DeliveryDelay" => DeliveryStatus::Sent,
        // SES did not send to an address that complained before.
        "Complaint" if event["complaint"]["complaintSubType"] == "OnAccountSuppressionList" => {
            DeliveryStatus::Rejected
        }
        // A message that was opened, clicked or complained about has arrived.
        "Delivery" | "Open" | "Click" | "Complaint" => DeliveryStatus::Delivered,
        "Bounce" => match event["bounce"]["bounceSubType"].as_str() {
            Some("Suppressed" | "OnAccountSuppressionList") => DeliveryStatus::Rejected,
            _ => DeliveryStatus::Undelivered,
        },
        "Reject" | "Rendering Failure" => DeliveryStatus::Rejected,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, Method};

    use super::*;
    use crate::carrier::fixture;
    use crate::domain::address::Address;
    use crate::domain::channel::Channel;
    use crate::domain::email::EmailAddress;
    use crate::message::{Encoding, Message};

    fn carrier(entry: Value) -> Result<Ses, Vec<String>> {
        let Value::Object(object) = entry else {
            unreachable!()
        };
        let mut fields = Fields::new(object);
        let carrier = Ses::from_fields(&mut fields, "eu-west-1");
        fields
            .finish()
            .map(|()| carrier)
            .map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    fn request(entry: Value, html: Option<&str>) -> Request<String> {
        let to = Address::Email(EmailAddress::parse("user@example.net").expect("an address"));
        let (subject, html) = (Some("Your code".into()), html.map(str::to_owned));
        let message = Message {
            text: "Your code is 4217".into(),
            subject,
            html,
            encoding: Encoding::Gsm7,
            parts: 1,
        };
        let carrier = carrier(entry).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        carrier.request(&OutgoingMessage {
            to: &to,
            sender: None,
            notification: None,
            registered: None,
            channel: Channel::Email,
            message: &message,
            code: "4217",
            locale: "en",
            reference: "msg_01HZX",
            validity_seconds: 300,
            now: Timestamp(1_763_753_400),
            callback_url: "https://otp.example/v1/callbacks/ses/x",
        })
    }

    #[test]
    fn email_is_sent_like_the_sdk() {
        let entry = json!({"from": "Acme <otp@example.com>", "configuration_set": "otp"});
        let request = request(entry, Some("<p>Your code is <b>4217</b></p>"));
        assert_eq!(request.method(), Method::POST);
        assert_eq!(
            request.uri().to_string(),
            "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails"
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_str(request.body()).expect("JSON");
        let expected = json!({
            "FromEmailAddress": "Acme <otp@example.com>",
            "Destination": {"ToAddresses": ["user@example.net"]},
            "Content": {
                "Simple": {
                    "Subject": {"Data": "Your code", "Charset": "UTF-8"},
                    "Body": {
                        "Text": {"Data": "Your code is 4217", "Charset": "UTF-8"},
                        "Html": {"Data": "<p>Your code is <b>4217</b></p>", "Charset": "UTF-8"},
                    },
                },
            },
            "EmailTags": [{"Name": "m", "Value": "msg_01HZX"}],
            "ConfigurationSetName": "otp",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn optional_fields_are_left_out() {
        let request = request(
            json!({"from": "otp@example.com", "base_url": "http://127.0.0.1:9000/"}),
            None,
        );
        assert_eq!(
            request.uri().to_string(),
            "http://127.0.0.1:9000/v2/email/outbound-emails"
        );
        let body: Value = serde_json::from_str(request.body()).expect("JSON");
        assert!(
            body.get("ConfigurationSetName").is_none()
                && body["Content"]["Simple"]["Body"].get("Html").is_none()
        );
    }

    #[test]
    fn invalid_entries_are_rejected() {
        assert!(carrier(json!({"from": "otp@example.com", "configuration_set": "otp"})).is_ok());
        for wrong in [
            json!({}),
            json!({"from": "Acme"}),
            json!({"from": "a@b.example\r\nBcc: c@d.example"}),
            json!({"from": format!("{}@b.example", "a".repeat(320))}),
            json!({"from": "a@b.example", "configuration_set": "a b"}),
        ] {
            assert!(carrier(wrong.clone()).is_err(), "{wrong}");
        }
    }

    fn receipt(status: u16, error_type: &str, body: &str) -> Receipt {
        let response = Response::builder()
            .status(status)
            .header("x-amzn-errortype", error_type)
            .header("retry-after", "3");
        let response = response.body(body.as_bytes().to_vec()).expect("a response");
        carrier(json!({"from": "otp@example.com"}))
            .map(|c| c.receipt(&response, Timestamp(0)))
            .unwrap_or(Receipt::Unknown)
    }

    #[test]
    fn email_is_accepted_only_with_an_id() {
        assert_eq!(
            receipt(200, "", r#"{"MessageId":"0102018c-000000"}"#),
            Receipt::Accepted
        );
        for unreadable in [
            "",
            "{}",
            "null",
            "<html>",
            r#"{"MessageId":null}"#,
            r#"{"message":"no"}"#,
        ] {
            assert_eq!(
                receipt(200, "", unreadable),
                Receipt::Unknown,
                "{unreadable}"
            );
        }
    }

    #[test]
    fn errors_are_classified_by_type() {
        let later = Receipt::Transient {
            retry_after_seconds: Some(3),
        };
        for (status, error_type, message, expected) in [
            (429, "TooManyRequestsException", "", later.clone()),
            (
                400,
                "LimitExceededException",
                "Daily message quota exceeded.",
                later.clone(),
            ),
            (500, "InternalFailure", "", later.clone()),
            (503, "", "", later),
            (
                400,
                "AccountSuspendedException",
                "",
                Receipt::AccountRejected,
            ),
            (400, "SendingPausedException", "", Receipt::AccountRejected),
            (
                400,
                "MailFromDomainNotVerifiedException",
                "",
                Receipt::Misconfigured,
            ),
            (
                404,
                "NotFoundException",
                "Configuration set <otp> does not exist.",
                Receipt::Misconfigured,
            ),
            (
                400,
                "MessageRejected",
                "Email address is not verified. The following identities failed the check",
                Receipt::Misconfigured,
            ),
            (
                400,
                "MessageRejected:http://internal.amazon.com/coral/",
                "Address blacklisted.",
                Receipt::Permanent,
            ),
            (
                400,
                "BadRequestException",
                "Missing final '@domain'",
                Receipt::Permanent,
            ),
            (
                400,
                "BadRequestException",
                "Missing required header 'From'.",
                Receipt::Misconfigured,
            ),
            (
                403,
                "InvalidSignatureException",
                "",
                Receipt::AccountRejected,
            ),
            (
                403,
                "MissingAuthenticationToken",
                "",
                Receipt::AccountRejected,
            ),
            (403, "AccessDeniedException", "", Receipt::Misconfigured),
            (400, "", "", Receipt::Misconfigured),
        ] {
            assert_eq!(
                receipt(status, error_type, &json!({"message": message}).to_string()),
                expected,
                "{error_type} {message}"
            );
        }
    }

    fn report(event: &str) -> Result<Report, ReportError> {
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &HeaderMap::new(),
            body: event.as_bytes(),
            url: "",
        };
        let carrier =
            carrier(json!({"from": "otp@example.com"})).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        fixture::only_report(carrier.report(&callback, Timestamp(0)))
    }

    #[test]
    fn documented_event_names_our_message() {
        let event = r#"{"eventType":"Bounce","mail":{"timestamp":"2025-11-21T19:29:58.000Z","messageId":"0102018c-000000","source":"otp@example.com",
              "destination":["user@example.net"],"tags":{"m":["msg_01HZX"],"ses:configuration-set":["otp"]}},
            "bounce":{"bounceType":"Permanent","bounceSubType":"General","timestamp":"2025-11-21T19:30:00.000Z","feedbackId":"f",
              "bouncedRecipients":[{"emailAddress":"user@example.net","action":"failed","status":"5.1.1",
                "diagnosticCode":"smtp; 550 5.1.1 user unknown"}],
              "reportingMTA":"dns; a4-1.smtp-out.eu-west-1.amazonses.com"}}"#;
        assert_eq!(
            report(event),
            Ok(Report::new(
                Some("msg_01HZX".into()),
                Some(DeliveryStatus::Undelivered)
            ))
        );
    }

    #[test]
    fn statuses_of_events_are_read() {
        use DeliveryStatus::{Delivered, Rejected, Sent, Undelivered};
        let event = |key: &str, word: &str, sub_type: &str| {
            let event = json!({
                key: word,
                "mail": {"tags": {"m": ["r"]}},
                "bounce": {"bounceType": "Permanent", "bounceSubType": sub_type},
            });
            report(&event.to_string()).map(|report| report.status)
        };
        for (word, status) in [
            ("Send", Some(Sent)),
            ("DeliveryDelay", Some(Sent)),
            ("Delivery", Some(Delivered)),
            ("Open", Some(Delivered)),
            ("Click", Some(Delivered)),
            ("Complaint", Some(Delivered)),
            ("Bounce", Some(Undelivered)),
            ("Reject", Some(Rejected)),
            ("Rendering Failure", Some(Rejected)),
            ("Subscription", None),
            ("Teleport", None),
        ] {
            assert_eq!(event("eventType", word, "General"), Ok(status), "{word}");
            assert_eq!(
                event("notificationType", word, "MailboxFull"),
                Ok(status),
                "{word}"
            );
        }
        let suppressed = json!({
            "eventType": "Complaint",
            "mail": {"tags": {"m": ["r"]}},
            "complaint": {"complaintSubType": "OnAccountSuppressionList"},
        });
        assert_eq!(
            report(&suppressed.to_string()).map(|report| report.status),
            Ok(Some(Rejected)),
            "SES did not send"
        );
        for sub_type in ["Suppressed", "OnAccountSuppressionList"] {
            assert_eq!(
                event("eventType", "Bounce", sub_type),
                Ok(Some(Rejected)),
                "{sub_type}"
            );
        }
    }

    #[test]
    fn other_documents_are_unreadable_events_need_no_tags() {
        let validated = "Successfully validated SNS topic for Amazon SES event publishing.";
        for text in [
            "",
            validated,
            "{",
            "null",
            "{}",
            r#"{"eventType":"Send"}"#,
            r#"{"eventType":1,"mail":{}}"#,
            &"{\"a\":".repeat(50_000),
        ] {
            assert_eq!(report(text), Err(ReportError::Unreadable));
        }
        for tags in ["null", "{}", r#"{"m":[]}"#, r#"{"m":[1]}"#, r#"{"m":"r"}"#] {
            let event = format!(r#"{{"eventType":"Delivery","mail":{{"tags":{tags}}}}}"#);
            assert_eq!(report(&event).map(|r| r.reference), Ok(None), "{tags}");
        }
    }
}
