//! Kind `sns`: SMS through Amazon SNS Publish. No validity, no reference, no callback; delivery is told in CloudWatch Logs only.
//! The only file that names the SNS client.

use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ConnectorError, SdkError};
use aws_sdk_sns::types::MessageAttributeValue;

use super::{OutgoingMessage, Receipt};

/// The SNS client.
#[derive(Clone, Debug)]
pub struct Sns {
    client: Client,
}

impl Sns {
    /// With the SDK's configuration for SNS. Publishing twice would text twice, so the SDK must not repeat a call whose
    /// outcome is unknown.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig) -> Self {
        let once = aws_smithy_types::retry::RetryConfig::disabled();
        Self {
            client: Client::from_conf(
                aws_sdk_sns::config::Builder::from(config)
                    .retry_config(once)
                    .build(),
            ),
        }
    }

    /// Publishes `message` to its number.
    pub async fn publish(&self, message: &OutgoingMessage<'_>) -> Receipt {
        let sender = message.sender.filter(|sender| is_sender_id(sender));
        let mut call = self
            .client
            .publish()
            .phone_number(message.to.reveal())
            .message(&message.message.text);
        for (name, value) in [
            ("AWS.SNS.SMS.SMSType", Some("Transactional")),
            ("AWS.SNS.SMS.SenderID", sender),
        ] {
            let attribute = value.and_then(|v| {
                MessageAttributeValue::builder()
                    .data_type("String")
                    .string_value(v)
                    .build()
                    .ok()
            });
            if let Some(attribute) = attribute {
                call = call.message_attributes(name, attribute);
            }
        }
        match call.send().await {
            Ok(_) => Receipt::Accepted,
            Err(error) => receipt(&error),
        }
    }
}

/// SNS takes 3 to 11 letters, digits and hyphens with a letter among them, and no spaces.
fn is_sender_id(sender: &str) -> bool {
    let characters = sender
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (3..=11).contains(&sender.len())
        && characters
        && sender.bytes().any(|b| b.is_ascii_alphabetic())
}

fn receipt<E: aws_sdk_sns::error::ProvideErrorMetadata>(error: &SdkError<E>) -> Receipt {
    match error {
        SdkError::ServiceError(answer) => by_code(
            answer.err().code().unwrap_or_default(),
            answer.raw().status().as_u16(),
        ),
        SdkError::DispatchFailure(failure) if never_connected(failure.as_connector_error()) => {
            Receipt::Transient {
                retry_after_seconds: None,
            }
        }
        SdkError::ConstructionFailure(_) => Receipt::Misconfigured,
        _ => Receipt::Unknown,
    }
}

/// Whether nobody was there to take the call; any other broken connection may have carried it.
fn never_connected(error: Option<&ConnectorError>) -> bool {
    let mut cause = error.map(|error| error as &dyn std::error::Error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

fn by_code(code: &str, status: u16) -> Receipt {
    match code {
        "InvalidParameter" | "InvalidParameterValue" | "ParameterValueInvalid" | "OptedOut" => {
            Receipt::Permanent
        }
        "Throttling" | "ThrottledException" | "InternalError" => Receipt::Transient {
            retry_after_seconds: None,
        },
        _ if status >= 500 => Receipt::Transient {
            retry_after_seconds: None,
        },
        _ => Receipt::Misconfigured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_sns_are_classed() {
        assert_eq!(by_code("InvalidParameter", 400), Receipt::Permanent);
        assert_eq!(
            by_code("ThrottledException", 429),
            Receipt::Transient {
                retry_after_seconds: None
            }
        );
        assert_eq!(
            by_code("", 503),
            Receipt::Transient {
                retry_after_seconds: None
            }
        );
        assert_eq!(by_code("AuthorizationError", 403), Receipt::Misconfigured);
    }

    #[test]
    fn a_sender_with_a_space_is_left_out() {
        assert!(is_sender_id("AcmeInc"));
        for sender in ["Acme Inc", "ab", "12345", "abcdefghijkl", ""] {
            assert!(!is_sender_id(sender), "{sender}");
        }
    }
}
