//! Kind `ses`: e-mail through Amazon SES, API v2. Our reference goes out as an e-mail tag and comes back in every event
//! of the configuration set. Events come through SNS: who calls `report` has verified them.
//! Wire: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>,
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>.

use ::http::{Request, Response};
use serde_json::{Value, json};

use super::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError, vendor_formats};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::email::EmailAddress;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// What requests are signed for.
pub const SERVICE: &str = "ses";
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
    callback_token: Option<String>,
}

impl Ses {
    /// From its settings: `from` (an address, or `Name <address>`), `configuration_set`, which decides where events go,
    /// and `callback_token` for events that SNS posts.
    pub fn read(fields: &mut Fields, region: &str) -> Self {
        let base_url = super::base_url(fields, &format!("https://email.{region}.amazonaws.com"));
        let from = vendor_formats::required(
            fields,
            "from",
            is_from,
            "an e-mail address, or a name and an address in angle brackets",
        );
        let is_name = |name: &str| {
            (1..=CONFIGURATION_SET_LENGTH_MAX).contains(&name.len())
                && name.bytes().all(is_name_byte)
        };
        let configuration_set = fields.word(
            "configuration_set",
            |name| is_name(name).then(|| name.to_owned()),
            "the name of a configuration set",
        );
        Self {
            base_url,
            from,
            configuration_set,
            callback_token: vendor_formats::callback_token_if_any(fields),
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

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

impl Carrier for Ses {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let utf8 = |text: &str| json!({"Data": text, "Charset": "UTF-8"});
        let mut body = json!({
            "FromEmailAddress": self.from, "Destination": {"ToAddresses": [message.to.reveal()]},
            "Content": {"Simple": {
                "Subject": utf8(message.message.subject.as_deref().unwrap_or_default()), "Body": {"Text": utf8(&message.message.text)},
            }},
            "EmailTags": [{"Name": REFERENCE_TAG, "Value": message.reference}],
        });
        if let Some(html) = &message.message.html {
            body["Content"]["Simple"]["Body"]["Html"] = utf8(html);
        }
        if let Some(name) = &self.configuration_set {
            body["ConfigurationSetName"] = name.as_str().into();
        }
        let headers = [("content-type", "application/json".to_owned())];
        super::post(
            &format!("{}/v2/email/outbound-emails", self.base_url),
            &headers,
            body.to_string(),
        )
    }

    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        vendor_formats::aws_receipt(answer, now, refusal)
    }

    fn report(&self, callback: &Callback<'_>, _: Timestamp) -> Result<Report, ReportError> {
        let event: Value =
            serde_json::from_slice(callback.body).map_err(|_| ReportError::Unreadable)?;
        // A topic that hangs on the identity instead of the configuration set has the other key, and no tags.
        let word = event["eventType"]
            .as_str()
            .or_else(|| event["notificationType"].as_str());
        let word = word
            .filter(|_| event["mail"].is_object())
            .ok_or(ReportError::Unreadable)?;
        let reference = event["mail"]["tags"][REFERENCE_TAG][0]
            .as_str()
            .map(str::to_owned);
        Ok(Report {
            reference,
            status: status(word, &event),
        })
    }

    fn account_token(&self) -> Option<&str> {
        self.callback_token.as_deref()
    }
}

/// What an error that is not about load means.
fn refusal(code: &str, body: &Value) -> Receipt {
    let says = body["message"]
        .as_str()
        .or_else(|| body["Message"].as_str())
        .unwrap_or_default();
    match code {
        // In the sandbox every recipient has to be verified, and the sender always: settings, not the recipient.
        "MessageRejected" if says.contains("not verified") => Receipt::Misconfigured,
        "MessageRejected" | "BadRequestException" => Receipt::Permanent,
        // AccountSuspendedException, SendingPausedException, MailFromDomainNotVerifiedException, NotFoundException, signatures.
        _ => Receipt::Misconfigured,
    }
}

fn status(word: &str, event: &Value) -> Option<DeliveryStatus> {
    Some(match word {
        // A delay may still end well; the bounce that ends it otherwise is an event of its own.
        "Send" | "DeliveryDelay" => DeliveryStatus::Sent,
        // Who opens or complains has it.
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
    use crate::domain::address::Address;
    use crate::domain::channel::Channel;
    use crate::domain::email::EmailAddress;
    use crate::message::{Encoding, Message};

    fn carrier(settings: Value) -> Result<Ses, Vec<String>> {
        let Value::Object(object) = settings else {
            unreachable!()
        };
        let mut fields = Fields::of(object);
        let carrier = Ses::read(&mut fields, "eu-west-1");
        fields
            .finish()
            .map(|()| carrier)
            .map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    fn request(settings: Value, html: Option<&str>) -> Request<String> {
        let to = Address::Email(EmailAddress::parse("user@example.net").expect("an address"));
        let (subject, html) = (Some("Your code".into()), html.map(str::to_owned));
        let message = Message {
            text: "Your code is 4217".into(),
            subject,
            html,
            encoding: Encoding::Gsm7,
            parts: 1,
        };
        let carrier = carrier(settings).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        carrier.request(&OutgoingMessage {
            to: &to,
            sender: None,
            channel: Channel::Email,
            message: &message,
            code: "4217",
            locale: "en",
            reference: "msg_01HZX",
            validity_seconds: 300,
            callback_url: "https://otp.example/v1/callbacks/ses/x",
        })
    }

    #[test]
    fn an_e_mail_is_sent_as_the_sdk_sends_it() {
        let settings = json!({"from": "Acme <otp@example.com>", "configuration_set": "otp"});
        let request = request(settings, Some("<p>Your code is <b>4217</b></p>"));
        assert_eq!(request.method(), Method::POST);
        assert_eq!(
            request.uri().to_string(),
            "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails"
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_str(request.body()).expect("JSON");
        let expected = json!({"FromEmailAddress": "Acme <otp@example.com>", "Destination": {"ToAddresses": ["user@example.net"]},
            "Content": {"Simple": {"Subject": {"Data": "Your code", "Charset": "UTF-8"}, "Body": {
                "Text": {"Data": "Your code is 4217", "Charset": "UTF-8"},
                "Html": {"Data": "<p>Your code is <b>4217</b></p>", "Charset": "UTF-8"}}}},
            "EmailTags": [{"Name": "m", "Value": "msg_01HZX"}], "ConfigurationSetName": "otp"});
        assert_eq!(body, expected);
    }

    #[test]
    fn what_is_not_set_is_left_out() {
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
    fn settings_that_the_api_would_refuse_are_refused_at_the_start() {
        let token = "t".repeat(22);
        let all =
            json!({"from": "otp@example.com", "configuration_set": "otp", "callback_token": token});
        assert_eq!(
            carrier(all).map(|c| c.account_token().map(str::to_owned)),
            Ok(Some(token))
        );
        for wrong in [
            json!({}),
            json!({"from": "Acme"}),
            json!({"from": "a@b.example\r\nBcc: c@d.example"}),
            json!({"from": format!("{}@b.example", "a".repeat(320))}),
            json!({"from": "a@b.example", "configuration_set": "a b"}),
            json!({"from": "a@b.example", "callback_token": "short"}),
        ] {
            assert!(carrier(wrong.clone()).is_err(), "{wrong}");
        }
    }

    fn receipt(status: u16, error_type: &str, body: &str) -> Receipt {
        let answer = Response::builder()
            .status(status)
            .header("x-amzn-errortype", error_type)
            .header("retry-after", "3");
        let answer = answer.body(body.as_bytes().to_vec()).expect("an answer");
        carrier(json!({"from": "otp@example.com"}))
            .map(|c| c.receipt(&answer, Timestamp(0)))
            .unwrap_or(Receipt::Unknown)
    }

    #[test]
    fn an_e_mail_is_accepted_only_with_an_id() {
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
    fn errors_are_classed_by_their_type() {
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
            (400, "AccountSuspendedException", "", Receipt::Misconfigured),
            (400, "SendingPausedException", "", Receipt::Misconfigured),
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
            (403, "InvalidSignatureException", "", Receipt::Misconfigured),
            (
                403,
                "MissingAuthenticationToken",
                "",
                Receipt::Misconfigured,
            ),
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
        carrier(json!({"from": "otp@example.com"}))
            .map_err(|_| ReportError::Forged)?
            .report(&callback, Timestamp(0))
    }

    #[test]
    fn the_documented_event_names_our_message() {
        let event = r#"{"eventType":"Bounce","mail":{"timestamp":"2025-11-21T19:29:58.000Z","messageId":"0102018c-000000","source":"otp@example.com",
              "destination":["user@example.net"],"tags":{"m":["msg_01HZX"],"ses:configuration-set":["otp"]}},
            "bounce":{"bounceType":"Permanent","bounceSubType":"General","timestamp":"2025-11-21T19:30:00.000Z","feedbackId":"f",
              "bouncedRecipients":[{"emailAddress":"user@example.net","action":"failed","status":"5.1.1",
                "diagnosticCode":"smtp; 550 5.1.1 user unknown"}],
              "reportingMTA":"dns; a4-1.smtp-out.eu-west-1.amazonses.com"}}"#;
        assert_eq!(
            report(event),
            Ok(Report {
                reference: Some("msg_01HZX".into()),
                status: Some(DeliveryStatus::Undelivered)
            })
        );
    }

    #[test]
    fn every_event_has_its_state_and_an_unknown_one_changes_nothing() {
        use DeliveryStatus::{Delivered, Rejected, Sent, Undelivered};
        let event = |key: &str, word: &str, sub_type: &str| {
            let event = json!({key: word, "mail": {"tags": {"m": ["r"]}}, "bounce": {"bounceType": "Permanent", "bounceSubType": sub_type}});
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
        for sub_type in ["Suppressed", "OnAccountSuppressionList"] {
            assert_eq!(
                event("eventType", "Bounce", sub_type),
                Ok(Some(Rejected)),
                "{sub_type}"
            );
        }
    }

    #[test]
    fn what_is_not_an_event_is_unreadable_and_one_without_tags_names_nobody() {
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
