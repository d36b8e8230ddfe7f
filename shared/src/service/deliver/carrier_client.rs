//! The seam between delivering and the carriers: the worker calls all of them, `send` with
//! `OTP_DISPATCH=sns` only SNS, so that it does not contain their HTTP client.

use std::future::Future;
use std::time::Duration;

use crate::carrier::{Carriers, ConfiguredCarrier, Conversion, HandoverResponse, OutgoingMessage};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;

/// Calls carriers.
pub trait CarrierClient: Send + Sync {
    /// The carriers that serve `channel` to `to`, in order of preference.
    fn serving<'a>(
        &'a self,
        channel: Channel,
        to: &'a Address,
    ) -> impl Iterator<Item = &'a ConfiguredCarrier> + Send;

    /// Hands `message` over within `timeout`.
    fn hand_over(
        &self,
        carrier: &ConfiguredCarrier,
        message: &OutgoingMessage<'_>,
        timeout: Duration,
        now: Timestamp,
    ) -> impl Future<Output = HandoverResponse> + Send;

    /// Informs the carrier called `name` that a code came back.
    fn send_feedback(
        &self,
        name: &str,
        conversion: &Conversion<'_>,
        now: Timestamp,
    ) -> impl Future<Output = ()> + Send;

    /// Polls the status of the message `vendor_id` to `to`; `None` if it is not known.
    fn poll_status(
        &self,
        carrier: &ConfiguredCarrier,
        vendor_id: &str,
        to: &Address,
    ) -> impl Future<Output = Option<DeliveryStatus>> + Send;
}

impl CarrierClient for Carriers {
    fn serving<'a>(
        &'a self,
        channel: Channel,
        to: &'a Address,
    ) -> impl Iterator<Item = &'a ConfiguredCarrier> + Send {
        Self::serving(self, channel, to)
    }

    fn hand_over(
        &self,
        carrier: &ConfiguredCarrier,
        message: &OutgoingMessage<'_>,
        timeout: Duration,
        now: Timestamp,
    ) -> impl Future<Output = HandoverResponse> + Send {
        Self::hand_over(self, carrier, message, timeout, now)
    }

    fn send_feedback(
        &self,
        name: &str,
        conversion: &Conversion<'_>,
        now: Timestamp,
    ) -> impl Future<Output = ()> + Send {
        Self::send_feedback(self, name, conversion, now)
    }

    fn poll_status(
        &self,
        carrier: &ConfiguredCarrier,
        vendor_id: &str,
        to: &Address,
    ) -> impl Future<Output = Option<DeliveryStatus>> + Send {
        Self::poll_status(self, carrier, vendor_id, to)
    }
}
