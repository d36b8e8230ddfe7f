//! Kind `sns`: Amazon SNS, over SMS and push.
//!
//! API: `Publish`, <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>.
//! It has no reference and no callback, and no validity of texts; delivery statuses are in
//! CloudWatch Logs only.
//! The only file that publishes through SNS.
//!
//! Invariant: `Publish` is never retried, as publishing twice sends two messages.

mod notification;

use std::time::Duration;

use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::publish::builders::PublishInputBuilder;
use aws_sdk_sns::operation::publish::{Publish, PublishError, PublishInput, PublishOutput};
use aws_sdk_sns::types::MessageAttributeValue;

use super::carrier_trait::{Notification, OutgoingMessage, Receipt};
use super::sender::is_number;
use super::vendor_format::aws_json::is_credential_error;
use crate::platform::aws_client::{AwsClient, Operation};
use crate::platform::https::is_not_connected;

impl Operation for Publish {
    type Input = PublishInput;
    type Output = PublishOutput;
    type Error = PublishError;
}

/// The SNS client.
#[derive(Clone, Debug)]
pub struct Sns {
    client: AwsClient,
}

impl Sns {
    /// `client` is that of SNS.
    #[must_use]
    pub fn new(client: AwsClient) -> Self {
        Self { client }
    }

    /// Publishes `message` to its phone number or its device, within `timeout`.
    pub async fn publish(&self, message: &OutgoingMessage<'_>, timeout: Duration) -> Receipt {
        let call = match &message.notification {
            None => text(message),
            Some(to) if notification::is_endpoint(to.device) => notification(message, *to),
            // Such as a topic, which would send the code to its subscribers.
            Some(_) => return Receipt::Permanent,
        };
        let client = self.client.clone().without_retries(timeout);
        match client.call(Publish::new(), call.build()).await {
            Ok(_) => Receipt::Accepted,
            Err(error) if message.notification.is_some() && is_gone(&error) => Receipt::Permanent,
            Err(error) => receipt(&error),
        }
    }
}

fn text(message: &OutgoingMessage<'_>) -> PublishInputBuilder {
    let (number, name) = match message.sender {
        Some(number) if is_number(number) => (Some(number), None),
        name => (None, name),
    };
    let registered = message.registered;
    let call = PublishInput::builder()
        .phone_number(message.to.reveal())
        .message(&message.message.text);
    let attributes = [
        ("AWS.SNS.SMS.SMSType", Some("Transactional")),
        ("AWS.SNS.SMS.SenderID", name),
        ("AWS.MM.SMS.OriginationNumber", number),
        (
            "AWS.MM.SMS.EntityId",
            registered.map(|r| r.entity_id.as_str()),
        ),
        (
            "AWS.MM.SMS.TemplateId",
            registered.map(|r| r.template_id.as_str()),
        ),
    ];
    with_attributes(call, attributes)
}

fn notification(message: &OutgoingMessage<'_>, to: Notification<'_>) -> PublishInputBuilder {
    let call = PublishInput::builder()
        .target_arn(to.device)
        .message_structure("json")
        .message(notification::payloads(message, to));
    let ttl_seconds = message.validity_seconds.max(1).to_string();
    let attributes = notification::TTL_ATTRIBUTES.map(|name| (name, Some(&*ttl_seconds)));
    with_attributes(call, attributes)
}

fn with_attributes<const N: usize>(
    call: PublishInputBuilder,
    attributes: [(&str, Option<&str>); N],
) -> PublishInputBuilder {
    let mut call = call;
    for (name, value) in attributes {
        let attribute = value.and_then(|value| {
            MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .ok()
        });
        if let Some(attribute) = attribute {
            call = call.message_attributes(name, attribute);
        }
    }
    call
}

/// Whether the endpoint of a notification is disabled, as when the app was removed from the device,
/// or was deleted.
fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    matches!(code, Some("EndpointDisabled" | "NotFound"))
}

fn receipt<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Receipt {
    match error {
        SdkError::ServiceError(response) => classify_error(
            response.err().code().unwrap_or_default(),
            response.raw().status().as_u16(),
        ),
        SdkError::DispatchFailure(failure)
            if failure
                .as_connector_error()
                .is_some_and(|error| is_not_connected(error)) =>
        {
            Receipt::Transient {
                retry_after_seconds: None,
            }
        }
        SdkError::ConstructionFailure(_) => Receipt::Misconfigured,
        _ => Receipt::Unknown,
    }
}

fn classify_error(code: &str, status: u16) -> Receipt {
    match code {
        "InvalidParameter" | "InvalidParameterValue" | "ParameterValueInvalid" | "OptedOut" => {
            Receipt::Permanent
        }
        "Throttling" | "Throttled" | "ThrottledException" | "InternalError" => Receipt::Transient {
            retry_after_seconds: None,
        },
        _ if status == 429 || status >= 500 => Receipt::Transient {
            retry_after_seconds: None,
        },
        code if is_credential_error(code) => Receipt::AccountRejected,
        _ => Receipt::Misconfigured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_classified() {
        assert_eq!(classify_error("InvalidParameter", 400), Receipt::Permanent);
        assert_eq!(
            classify_error("ThrottledException", 429),
            Receipt::Transient {
                retry_after_seconds: None
            }
        );
        assert_eq!(
            classify_error("", 503),
            Receipt::Transient {
                retry_after_seconds: None
            }
        );
        for code in ["Throttled", "Throttling", "TomorrowsThrottle"] {
            assert!(matches!(
                classify_error(code, 429),
                Receipt::Transient { .. }
            ));
        }
        assert_eq!(
            classify_error("AuthorizationError", 403),
            Receipt::Misconfigured
        );
        for code in ["InvalidClientTokenId", "SignatureDoesNotMatch"] {
            assert_eq!(classify_error(code, 403), Receipt::AccountRejected);
        }
    }
}
