//! Carriers of kind `sns` alone, for `send` with `OTP_DISPATCH=sns`.

use std::sync::Arc;
use std::time::Duration;

use super::carrier_client::CarrierClient;
use crate::carrier::sns::Sns;
use crate::carrier::{ConfiguredCarrier, Conversion, HandoverResponse, OutgoingMessage};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::platform::aws::{Aws, Service};

/// Publishes messages through SNS.
pub struct SnsPublisher {
    carriers: Arc<Vec<ConfiguredCarrier>>,
    sns: Sns,
}

impl SnsPublisher {
    /// For `carriers`, all of kind `sns`.
    #[must_use]
    pub fn new(carriers: Arc<Vec<ConfiguredCarrier>>, aws: &Aws) -> Self {
        Self {
            carriers,
            sns: Sns::new(aws.client(Service::Sns)),
        }
    }
}

impl CarrierClient for SnsPublisher {
    fn serving<'a>(
        &'a self,
        channel: Channel,
        to: &'a Address,
    ) -> impl Iterator<Item = &'a ConfiguredCarrier> + Send {
        self.carriers
            .iter()
            .filter(move |carrier| carrier.serves(channel, to))
    }

    async fn hand_over(
        &self,
        _carrier: &ConfiguredCarrier,
        message: &OutgoingMessage<'_>,
        timeout: Duration,
        _now: Timestamp,
    ) -> HandoverResponse {
        self.sns.publish(message, timeout).await.into()
    }

    async fn send_feedback(&self, _name: &str, _conversion: &Conversion<'_>, _now: Timestamp) {}

    async fn poll_status(
        &self,
        _carrier: &ConfiguredCarrier,
        _vendor_id: &str,
        _to: &Address,
    ) -> Option<DeliveryStatus> {
        None
    }
}
