//! Verifies the envelopes in which SNS posts messages: signature, topic and time.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>
//!
//! Invariant: the message of an envelope is returned only after its signature was verified. Nothing
//! is fetched from a host other than SNS.

mod certificate;
mod sns_client;
mod url;

use data_encoding::BASE64;
use serde_json::{Map, Value};

pub use certificate::Certificate;
use certificate::SignatureVersion;
pub use sns_client::{SnsClient, SnsError};
pub use url::SnsUrl;

use super::carrier_trait::ReportError;
use crate::domain::time::Timestamp;
use crate::platform::json;

/// Largest envelope: SNS messages are no longer.
const ENVELOPE_BYTES_MAX: usize = 256 * 1024;
/// Longest signature: base64 of RSA with 8192 bits.
const SIGNATURE_LENGTH_MAX: usize = 1368;
/// Oldest message: SNS retries for up to an hour; five minutes for clock differences and transit.
const AGE_SECONDS_MAX: i64 = 3600 + 300;
/// How far the clock of SNS may be ahead of ours.
const AHEAD_SECONDS_MAX: i64 = 300;

/// The fields that are signed, in this order.
const NOTIFICATION_KEYS: &[&str] = &[
    "Message",
    "MessageId",
    "Subject",
    "Timestamp",
    "TopicArn",
    "Type",
];
const CONFIRMATION_KEYS: &[&str] = &[
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
];

/// A message of SNS that is well-formed and not verified yet.
pub struct Envelope {
    notice: Notice,
    certificate_url: SnsUrl,
    version: SignatureVersion,
    signature: Vec<u8>,
    signed: String,
    topic_arn: String,
    sent_at: Timestamp,
}

/// The content of an authentic message of SNS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A message that was published on the topic.
    Notification(String),
    /// The topic asks to confirm a subscription, by fetching the URL.
    SubscriptionConfirmation(SnsUrl),
    /// The topic has ended the subscription. Fetching the URL of the message would restore it,
    /// which only the operator should do.
    UnsubscribeConfirmation,
}

impl Envelope {
    /// Parses an envelope.
    ///
    /// # Errors
    /// [`ReportError::Forged`] if a URL in it is not one of SNS, else [`ReportError::Unreadable`].
    pub fn parse(body: &[u8]) -> Result<Self, ReportError> {
        if body.len() > ENVELOPE_BYTES_MAX {
            return Err(ReportError::Unreadable);
        }
        let fields = json::parse_object(body).map_err(|_| ReportError::Unreadable)?;
        let (keys, notice) = match text(&fields, "Type")? {
            "Notification" => (
                NOTIFICATION_KEYS,
                Notice::Notification(text(&fields, "Message")?.to_owned()),
            ),
            "SubscriptionConfirmation" => (
                CONFIRMATION_KEYS,
                Notice::SubscriptionConfirmation(confirmation_url(&fields)?),
            ),
            "UnsubscribeConfirmation" => (
                CONFIRMATION_KEYS,
                confirmation_url(&fields).map(|_| Notice::UnsubscribeConfirmation)?,
            ),
            _ => return Err(ReportError::Unreadable),
        };
        let version = match text(&fields, "SignatureVersion")? {
            "1" => SignatureVersion::Sha1,
            "2" => SignatureVersion::Sha256,
            _ => return Err(ReportError::Unreadable),
        };
        let signature = Some(text(&fields, "Signature")?)
            .filter(|signature| signature.len() <= SIGNATURE_LENGTH_MAX)
            .and_then(|signature| BASE64.decode(signature.as_bytes()).ok());
        let sent_at: jiff::Timestamp = text(&fields, "Timestamp")?
            .parse()
            .map_err(|_| ReportError::Unreadable)?;
        Ok(Self {
            notice,
            certificate_url: SnsUrl::of_certificate(text(&fields, "SigningCertURL")?)
                .ok_or(ReportError::Forged)?,
            version,
            signature: signature.ok_or(ReportError::Unreadable)?,
            signed: string_to_sign(&fields, keys)?,
            topic_arn: text(&fields, "TopicArn")?.to_owned(),
            sent_at: Timestamp(sent_at.as_second()),
        })
    }

    /// The URL of the certificate that verifies the signature.
    #[must_use]
    pub fn certificate_url(&self) -> &SnsUrl {
        &self.certificate_url
    }

    /// The content, if `certificate` has signed it, it is recent, and it comes from `topic_arn`.
    /// Without `topic_arn` any topic is accepted: anyone can own a topic, so the signature alone
    /// does not authenticate the publisher.
    ///
    /// # Errors
    /// [`ReportError::Forged`].
    pub fn verify(
        self,
        certificate: &Certificate,
        topic_arn: Option<&str>,
        now: Timestamp,
    ) -> Result<Notice, ReportError> {
        let age_seconds = now.seconds_since(self.sent_at);
        let is_recent = (-AHEAD_SECONDS_MAX..=AGE_SECONDS_MAX).contains(&age_seconds);
        let is_our_topic = topic_arn.is_none_or(|ours| ours == self.topic_arn);
        let is_signed =
            certificate.has_signed(self.version, self.signed.as_bytes(), &self.signature);
        if is_signed && is_our_topic && is_recent {
            Ok(self.notice)
        } else {
            Err(ReportError::Forged)
        }
    }
}

/// A required field. A field that is `null` is missing.
fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, ReportError> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .ok_or(ReportError::Unreadable)
}

fn confirmation_url(fields: &Map<String, Value>) -> Result<SnsUrl, ReportError> {
    SnsUrl::of_confirmation(text(fields, "SubscribeURL")?).ok_or(ReportError::Forged)
}

/// Keys and values, each with a line break after it. Only `Subject` may be missing.
fn string_to_sign(fields: &Map<String, Value>, keys: &[&str]) -> Result<String, ReportError> {
    let mut signed = String::new();
    for key in keys {
        let is_left_out = *key == "Subject" && fields.get(*key).is_none_or(Value::is_null);
        if !is_left_out {
            signed.extend([*key, "\n", text(fields, key)?, "\n"]);
        }
    }
    Ok(signed)
}

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::json;

    use super::fixture::{
        CERTIFICATE, ELLIPTIC_CURVE_CERTIFICATE, OTHER_HOSTS, OTHER_RSA_CERTIFICATE, certificate,
        notification_v1, notification_v2, notification_v2_without_subject,
        subscription_confirmation_v1, subscription_confirmation_v2, unsubscribe_confirmation_v2,
    };
    use super::*;
    use crate::crypto::hashes::sha256;

    const TOPIC_ARN: &str = "arn:aws:sns:eu-west-1:123456789012:otp-dlr";
    const SUBSCRIBE_URL: &str = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription\
        &TopicArn=arn:aws:sns:eu-west-1:123456789012:otp-dlr&Token=2336412f37";
    /// `Timestamp` of the notifications and of the confirmations.
    const NOTIFIED_AT: i64 = 1_763_753_400;
    const SUBSCRIBED_AT: i64 = NOTIFIED_AT - 1800;

    fn with(mut envelope: Value, name: &str, value: Value) -> Value {
        envelope[name] = value;
        envelope
    }

    fn without(mut envelope: Value, name: &str) -> Value {
        envelope
            .as_object_mut()
            .and_then(|fields| fields.remove(name));
        envelope
    }

    /// `envelope` with the signature of `other`.
    fn with_signature_of(envelope: Value, other: &Value) -> Value {
        with(envelope, "Signature", other["Signature"].clone())
    }

    /// `envelope` with another `SignatureVersion`.
    fn with_version(envelope: Value, version: &str) -> Value {
        with(envelope, "SignatureVersion", version.into())
    }

    /// The message of the notifications.
    fn message() -> String {
        let notification = notification_v2();
        notification["Message"].as_str().expect("a text").to_owned()
    }

    fn verify(envelope: &Value, topic_arn: Option<&str>, now: i64) -> Result<Notice, ReportError> {
        Envelope::parse(envelope.to_string().as_bytes())?.verify(
            &certificate(CERTIFICATE),
            topic_arn,
            Timestamp(now),
        )
    }

    fn verify_now(envelope: &Value) -> Result<Notice, ReportError> {
        verify(envelope, Some(TOPIC_ARN), NOTIFIED_AT)
    }

    #[test]
    fn string_to_sign_is_the_documented_one() {
        let envelope = Envelope::parse(notification_v2().to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(
            HEXLOWER.encode(&sha256(envelope.signed.as_bytes())),
            "0b16510809732e8adf463e7edd19d6d96a3d8be559458f400c3209496dfe0c64"
        );
        assert!(
            envelope.signed.starts_with("Message\n{\"eventType\"")
                && envelope.signed.ends_with("\nType\nNotification\n")
        );
    }

    #[test]
    fn notifications_of_both_signature_versions_are_verified() {
        let message = Ok(Notice::Notification(message()));
        assert_eq!(verify_now(&notification_v1()), message);
        assert_eq!(verify_now(&notification_v2()), message);
        assert_eq!(verify_now(&notification_v2_without_subject()), message);
        assert_eq!(
            verify_now(&with(
                notification_v2_without_subject(),
                "Subject",
                Value::Null
            )),
            message,
            "null counts as missing"
        );
        assert_eq!(
            verify_now(&with(notification_v2(), "MessageAttributes", json!({}))),
            message,
            "a field that is not signed changes nothing"
        );
    }

    #[test]
    fn only_a_subscription_confirmation_returns_its_url() {
        let subscription = Ok(Notice::SubscriptionConfirmation(
            SnsUrl::of_confirmation(SUBSCRIBE_URL).expect("a URL of SNS"),
        ));
        assert_eq!(verify_now(&subscription_confirmation_v1()), subscription);
        assert_eq!(verify_now(&subscription_confirmation_v2()), subscription);
        assert_eq!(
            verify_now(&unsubscribe_confirmation_v2()),
            Ok(Notice::UnsubscribeConfirmation)
        );
        assert_eq!(
            verify_now(&with_signature_of(
                unsubscribe_confirmation_v2(),
                &subscription_confirmation_v2()
            )),
            Err(ReportError::Forged)
        );
        assert_eq!(
            verify_now(&with_signature_of(
                subscription_confirmation_v2(),
                &unsubscribe_confirmation_v2()
            )),
            Err(ReportError::Forged)
        );
    }

    #[test]
    fn signature_of_the_other_version_is_forged() {
        assert_eq!(
            verify_now(&with_version(notification_v1(), "2")),
            Err(ReportError::Forged)
        );
        assert_eq!(
            verify_now(&with_version(notification_v2(), "1")),
            Err(ReportError::Forged)
        );
        assert_eq!(
            verify_now(&with(
                notification_v2_without_subject(),
                "Subject",
                "dlr".into()
            )),
            Err(ReportError::Forged),
            "a subject was added"
        );
        for version in ["", "0", "3", "2 ", "02"] {
            assert_eq!(
                verify_now(&with_version(notification_v2(), version)),
                Err(ReportError::Unreadable),
                "{version}"
            );
        }
    }

    #[test]
    fn message_with_one_altered_byte_is_forged() {
        assert_eq!(
            verify_now(&with(
                notification_v2(),
                "Message",
                message().replace("DELIVERED", "BLOCKED").into()
            )),
            Err(ReportError::Forged)
        );
        let (parsed, key) = (notification_v2(), certificate(CERTIFICATE));
        let signed = Envelope::parse(parsed.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error:?}"));
        for at in 0..signed.signed.len() {
            let mut altered = signed.signed.as_bytes().to_vec();
            altered[at] ^= 1;
            assert!(
                !key.has_signed(SignatureVersion::Sha256, &altered, &signed.signature),
                "byte {at} of the text"
            );
        }
        for at in 0..signed.signature.len() {
            let mut altered = signed.signature.clone();
            altered[at] ^= 1;
            assert!(
                !key.has_signed(SignatureVersion::Sha256, signed.signed.as_bytes(), &altered),
                "byte {at} of the signature"
            );
            assert!(
                !key.has_signed(
                    SignatureVersion::Sha256,
                    signed.signed.as_bytes(),
                    &altered[..at]
                ),
                "cut at {at}"
            );
        }
        for (name, value) in [
            ("MessageId", "other"),
            ("Subject", "drl"),
            ("TopicArn", "arn:aws:sns:eu-west-1:1:a"),
            ("Subject", ""),
        ] {
            assert_eq!(
                verify(&with(parsed.clone(), name, value.into()), None, NOTIFIED_AT),
                Err(ReportError::Forged),
                "{name}"
            );
        }
        let moved = with(parsed, "Timestamp", "2025-11-21T19:30:01.000Z".into());
        assert_eq!(verify_now(&moved), Err(ReportError::Forged));
    }

    #[test]
    fn confirmation_with_another_url_or_token_is_forged() {
        let subscription = subscription_confirmation_v2();
        let other = SUBSCRIBE_URL.replace("2336412f37", "2336412f38");
        assert_eq!(
            verify_now(&with(subscription.clone(), "SubscribeURL", other.into())),
            Err(ReportError::Forged)
        );
        assert_eq!(
            verify_now(&with(subscription.clone(), "Token", "2336412f38".into())),
            Err(ReportError::Forged)
        );
        assert_eq!(
            verify_now(&with(
                subscription,
                "SubscribeURL",
                "https://evil.example/".into()
            )),
            Err(ReportError::Forged)
        );
    }

    #[test]
    fn envelope_of_another_certificate_is_forged() {
        for pem in [OTHER_RSA_CERTIFICATE, ELLIPTIC_CURVE_CERTIFICATE] {
            let envelope = Envelope::parse(notification_v2().to_string().as_bytes())
                .unwrap_or_else(|error| panic!("{error:?}"));
            let verdict =
                envelope.verify(&certificate(pem), Some(TOPIC_ARN), Timestamp(NOTIFIED_AT));
            assert_eq!(verdict, Err(ReportError::Forged));
        }
    }

    #[test]
    fn only_messages_of_our_topic_are_accepted() {
        let message = Ok(Notice::Notification(message()));
        assert_eq!(verify(&notification_v2(), None, NOTIFIED_AT), message);
        for other in [
            "",
            "arn:aws:sns:eu-west-1:123456789012:otp-dl",
            "arn:aws:sns:eu-west-1:123456789012:otp-dlr2",
        ] {
            assert_eq!(
                verify(&notification_v2(), Some(other), NOTIFIED_AT),
                Err(ReportError::Forged),
                "{other}"
            );
        }
    }

    #[test]
    fn messages_are_accepted_while_sns_retries() {
        let at = |now| verify(&notification_v2(), Some(TOPIC_ARN), now).is_ok();
        assert!(
            [-300, 0, 60, 3600, 3900]
                .iter()
                .all(|age| at(NOTIFIED_AT + age))
        );
        assert!(
            [-301, 3901, 86_400]
                .iter()
                .all(|age| !at(NOTIFIED_AT + age))
        );
        assert!(!at(i64::MIN) && !at(i64::MAX));
        assert!(verify(&subscription_confirmation_v1(), None, SUBSCRIBED_AT + 3901).is_err());
        for timestamp in [
            "",
            "0",
            "2025-11-21",
            "-9999999-01-01T00:00:00Z",
            "9".repeat(500).as_str(),
        ] {
            assert!(
                verify_now(&with(notification_v2(), "Timestamp", timestamp.into())).is_err(),
                "{timestamp}"
            );
        }
    }

    #[test]
    fn certificate_url_of_another_host_is_forged() {
        for host in OTHER_HOSTS {
            let url =
                format!("{host}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem");
            let hostile = with(notification_v2(), "SigningCertURL", url.as_str().into());
            assert_eq!(verify_now(&hostile), Err(ReportError::Forged), "{url}");
        }
    }

    #[test]
    fn other_documents_are_unreadable() {
        for body in [
            "",
            "{",
            "null",
            "[]",
            "1",
            "{}",
            &message(),
            r#"{"Type":"Notification"}"#,
            "\u{feff}{}",
            &"[".repeat(100_000),
            &"{\"a\":".repeat(40_000),
        ] {
            assert_eq!(
                Envelope::parse(body.as_bytes()).err(),
                Some(ReportError::Unreadable)
            );
        }
        let all = [
            notification_v2(),
            subscription_confirmation_v2(),
            unsubscribe_confirmation_v2(),
        ];
        for envelope in all {
            for name in envelope
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name)
                .filter(|name| !matches!(name.as_str(), "Subject" | "UnsubscribeURL"))
            {
                for broken in [
                    without(envelope.clone(), name),
                    with(envelope.clone(), name, Value::Null),
                    with(envelope.clone(), name, json!([1])),
                ] {
                    assert_eq!(verify_now(&broken), Err(ReportError::Unreadable), "{name}");
                }
            }
        }
        assert_eq!(
            verify_now(&with(notification_v2(), "Subject", json!(1))),
            Err(ReportError::Unreadable)
        );
        let twice = notification_v2()
            .to_string()
            .replacen('{', r#"{"Message":"first","#, 1);
        assert_eq!(
            Envelope::parse(twice.as_bytes()).err(),
            Some(ReportError::Unreadable),
            "a duplicate key"
        );
        for unknown in [
            "",
            "notification",
            "Notification ",
            "Confirmation",
            "__proto__",
        ] {
            assert_eq!(
                verify_now(&with(notification_v2(), "Type", unknown.into())),
                Err(ReportError::Unreadable),
                "{unknown}"
            );
        }
        let notification = notification_v2();
        let valid = notification["Signature"].as_str().expect("a text");
        for signature in [
            "",
            "!",
            "AAAA=",
            "é",
            &valid[..40],
            &format!("{valid} "),
            &format!("{valid}\n"),
            &"A".repeat(100_000),
        ] {
            assert!(
                verify_now(&with(notification.clone(), "Signature", signature.into())).is_err(),
                "{signature}"
            );
        }
    }

    #[test]
    fn huge_envelope_is_unreadable() {
        let huge = with(
            notification_v2(),
            "Message",
            "a".repeat(ENVELOPE_BYTES_MAX).into(),
        )
        .to_string();
        assert_eq!(
            Envelope::parse(huge.as_bytes()).err(),
            Some(ReportError::Unreadable)
        );
        let large = with(notification_v2(), "Message", "a".repeat(200_000).into());
        assert_eq!(verify_now(&large), Err(ReportError::Forged));
    }
}
