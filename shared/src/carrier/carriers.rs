//! The configured carriers with their connections: hands messages over and polls statuses.
//!
//! Invariant: this file and `sns_envelope::sns_client` are the only ones that use the HTTP client.
//! The functions `send` and `verify` use neither, so the client is not linked into them.
//! Invariant: no body, header or response of a carrier is logged.

use std::time::Duration;

use ::http::Request;

use super::carrier_trait::{Conversion, ConversionFeedback, OutgoingMessage, Receipt};
use super::client::CarrierClient;
use super::configured::ConfiguredCarrier;
use super::sns::Sns;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::platform::aws::{Aws, Service};
use crate::platform::logging::causes;

/// Longest id of a vendor that is stored.
const VENDOR_ID_LENGTH_MAX: usize = 64;

/// The configured carriers and what is needed to call them.
pub struct Carriers {
    carriers: Vec<ConfiguredCarrier>,
    pub(super) client: CarrierClient,
    aws: Aws,
    /// Present if a carrier of kind `sns` is configured.
    sns: Option<Sns>,
}

/// The outcome of a handover.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandoverResponse {
    /// What the carrier's response means.
    pub receipt: Receipt,
    /// The vendor's id of an accepted message, if the carrier can be polled for its status.
    pub vendor_id: Option<String>,
    /// The vendor's id of an accepted message, if the carrier takes conversion feedback.
    pub feedback_id: Option<String>,
}

impl From<Receipt> for HandoverResponse {
    fn from(receipt: Receipt) -> Self {
        Self {
            receipt,
            vendor_id: None,
            feedback_id: None,
        }
    }
}

impl Carriers {
    /// All carriers share one connection pool.
    #[must_use]
    pub fn new(carriers: Vec<ConfiguredCarrier>, aws: &Aws) -> Self {
        let sns = carriers
            .iter()
            .any(ConfiguredCarrier::is_sns)
            .then(|| Sns::new(aws.client(Service::Sns)));
        Self {
            carriers,
            client: CarrierClient::default(),
            aws: aws.clone(),
            sns,
        }
    }

    /// Other carriers, which share the connection pool of these.
    #[must_use]
    pub fn with_carriers(&self, carriers: Vec<ConfiguredCarrier>) -> Self {
        Self {
            client: CarrierClient::clone(&self.client),
            ..Self::new(carriers, &self.aws)
        }
    }

    /// To call `carrier`, which the caller keeps.
    #[must_use]
    pub fn for_one(carrier: &ConfiguredCarrier, aws: &Aws) -> Self {
        let sns = carrier.is_sns().then(|| Sns::new(aws.client(Service::Sns)));
        Self {
            sns,
            ..Self::new(vec![], aws)
        }
    }

    /// The carriers for messages to `to` over `channel`, in order of preference.
    pub fn serving(
        &self,
        channel: Channel,
        to: &Address,
    ) -> impl Iterator<Item = &ConfiguredCarrier> {
        self.carriers
            .iter()
            .filter(move |carrier| carrier.serves(channel, to))
    }

    /// Hands `message` to `carrier`, within `timeout`.
    pub async fn hand_over(
        &self,
        carrier: &ConfiguredCarrier,
        message: &OutgoingMessage<'_>,
        timeout: Duration,
        now: Timestamp,
    ) -> HandoverResponse {
        if let (true, Some(sns)) = (carrier.is_sns(), &self.sns) {
            return sns.publish(message, timeout).await.into();
        }
        let Some(adapter) = &carrier.adapter else {
            return Receipt::Misconfigured.into();
        };
        let Some(request) = self.signed(carrier, adapter.carrier.request(message), now) else {
            return Receipt::Misconfigured.into();
        };
        let response = match self.client.send(request, timeout).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(
                    carrier = carrier.name,
                    delivery.channel = message.channel.name(),
                    error.kind = "no_response",
                    error.cause = causes(&error),
                    "no response from a carrier to a handover"
                );
                return error.receipt().into();
            }
        };
        let receipt = adapter.carrier.receipt(&response, now);
        let vendor_id = adapter
            .status_polling
            .as_ref()
            .filter(|_| receipt == Receipt::Accepted)
            .and_then(|polling| polling.vendor_id(&response))
            .filter(|id| is_vendor_id(id));
        let feedback = adapter.carrier.feedback();
        let feedback_id = feedback
            .filter(|_| receipt == Receipt::Accepted)
            .and_then(|feedback| feedback.message_id(&response, message.reference))
            .filter(|id| is_vendor_id(id));
        HandoverResponse {
            receipt,
            vendor_id,
            feedback_id,
        }
    }

    /// `request` with its signature, if it is one to AWS; `None` if it cannot be signed.
    pub(super) fn signed(
        &self,
        carrier: &ConfiguredCarrier,
        mut request: Request<String>,
        now: Timestamp,
    ) -> Option<Request<String>> {
        let Some(service) = carrier.aws_service() else {
            return Some(request);
        };
        match self.aws.sign(&mut request, service, now) {
            Ok(()) => Some(request),
            Err(error) => {
                tracing::error!(
                    carrier = carrier.name,
                    error.kind = "unsigned",
                    error.cause = causes(&error),
                    "could not sign a request to a carrier"
                );
                None
            }
        }
    }

    /// Informs the carrier called `name` that a code came back. A failure is logged, and nothing
    /// depends on it.
    pub async fn send_feedback(&self, name: &str, conversion: &Conversion<'_>, now: Timestamp) {
        let carrier = self.carriers.iter().find(|carrier| carrier.name == name);
        let Some((carrier, adapter)) = carrier.and_then(|c| Some((c, c.adapter.as_ref()?))) else {
            return;
        };
        let taker: &dyn ConversionFeedback = match adapter.carrier.feedback() {
            Some(taker) => taker,
            None => return,
        };
        let request = taker.feedback_request(conversion);
        let Some(request) = self.signed(carrier, request, now) else {
            return;
        };
        match self.client.send(request, carrier.timeout).await {
            Ok(response) if response.status().is_success() => {
                tracing::info!(carrier = name, "sent conversion feedback to a carrier");
            }
            Ok(response) => tracing::warn!(
                carrier = name,
                error.kind = "feedback_refused",
                http.status = response.status().as_u16(),
                "a carrier refused conversion feedback"
            ),
            Err(error) => tracing::warn!(
                carrier = name,
                error.kind = "no_response",
                error.cause = causes(&error),
                "no response from a carrier to conversion feedback"
            ),
        }
    }

    /// Asks `carrier` for the status of the message `vendor_id` to `to`; `None` if it has no status
    /// API, or the response contains no status.
    pub async fn poll_status(
        &self,
        carrier: &ConfiguredCarrier,
        vendor_id: &str,
        to: &Address,
    ) -> Option<DeliveryStatus> {
        let polling = carrier.adapter.as_ref()?.status_polling.as_ref()?;
        let request = polling.status_request(vendor_id, to);
        match self.client.send(request, carrier.timeout).await {
            Ok(response) => polling.parse_status(&response),
            Err(error) => {
                tracing::warn!(
                    carrier = carrier.name,
                    error.kind = "no_response",
                    error.cause = causes(&error),
                    "no response from a carrier to a status request"
                );
                None
            }
        }
    }
}

/// Whether `id` may be stored with the delivery.
fn is_vendor_id(id: &str) -> bool {
    (1..=VENDOR_ID_LENGTH_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
