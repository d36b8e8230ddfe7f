//! A composed message: the text of a delivery, and its call to one carrier.

use std::borrow::Cow;

use super::carrier_client::CarrierClient;
use super::step_work::{Snapshot, StepWork};
use crate::carrier::{ConfiguredCarrier, HandoverResponse, Notification, OutgoingMessage};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::delivery::Delivery;
use crate::domain::device::Device;
use crate::domain::verification::Verification;
use crate::message::{Message, TextMarks, compose, compose_registered, text_marks};

/// A message, ready for any carrier.
pub(super) struct ComposedMessage<'s> {
    pub(super) to: Address,
    message: Message,
    marks: TextMarks,
    verification: &'s Verification,
    code: Code,
    reference: String,
    /// Present for channel push.
    device: Option<Device>,
}

impl<C: CarrierClient> StepWork<'_, C> {
    /// The text of `delivery`; `None` if the recipient was forgotten, or the key of the code or of
    /// the device was removed.
    pub(super) fn compose<'s>(
        &self,
        snapshot: &Snapshot<'s>,
        delivery: &Delivery,
    ) -> Option<ComposedMessage<'s>> {
        let Snapshot {
            recipient,
            verification,
            ..
        } = *snapshot;
        let policy = self.delivering.apps.policy(&self.dispatch.app);
        let code = self
            .delivering
            .keyring
            .open_code(self.claim.key, verification)?;
        let to = recipient.address.as_ref()?;
        let country = to.country();
        let (channel, now) = (delivery.channel, self.now);
        let device = match delivery.channel {
            Channel::Push => {
                let keyring = &self.delivering.keyring;
                Some(keyring.open_device(self.claim.key, verification)?)
            }
            Channel::Sms | Channel::Voice | Channel::Whatsapp | Channel::Email => None,
        };
        Some(ComposedMessage {
            to: to.over(channel),
            marks: text_marks(policy, verification.text_reference, country, now),
            message: compose(policy, verification, &code, country, channel, now),
            reference: self
                .delivering
                .keyring
                .reference(self.claim.key, delivery.tag),
            verification,
            code,
            device,
        })
    }

    /// The text as `carrier` sends it: the one that is registered for the country, or else ours.
    pub(super) fn text_for<'t>(
        &self,
        carrier: &ConfiguredCarrier,
        text: &'t ComposedMessage<'_>,
        channel: Channel,
    ) -> Cow<'t, Message> {
        let registered = carrier.registered_template(&text.to);
        let template = registered.and_then(|registered| registered.text.as_ref());
        let policy = self.delivering.apps.policy(&self.dispatch.app);
        template
            .filter(|_| channel == Channel::Sms)
            .and_then(|t| {
                let (verification, code) = (text.verification, &text.code);
                compose_registered(t, policy, verification, code, &text.marks, self.now)
            })
            .map_or(Cow::Borrowed(&text.message), Cow::Owned)
    }

    /// Hands `message`, the text as `carrier` sends it, to this carrier.
    pub(super) async fn call(
        &self,
        carrier: &ConfiguredCarrier,
        text: &ComposedMessage<'_>,
        message: &Message,
        channel: Channel,
    ) -> HandoverResponse {
        let now = self.delivering.clock.now();
        let policy = self.delivering.apps.policy(&self.dispatch.app);
        let sender = carrier.sender_for(policy, &text.to);
        let callback_url = self.callback_url(carrier, &text.reference);
        let verification_id = self.dispatch.id.to_string();
        let notification = text.device.as_ref().map(|device| Notification {
            device: device.reveal(),
            title: &policy.brand,
            verification_id: &verification_id,
        });
        let message = OutgoingMessage {
            to: &text.to,
            sender: sender.as_deref(),
            notification,
            registered: carrier.registered_template(&text.to),
            channel,
            message,
            code: text.code.reveal(),
            locale: &text.verification.params.locale,
            reference: &text.reference,
            validity_seconds: text.verification.params.expires_at.seconds_since(now),
            now,
            callback_url: &callback_url,
        };
        let timeout = self.call_time.timeout(carrier);
        self.delivering
            .carriers
            .hand_over(carrier, &message, timeout, now)
            .await
    }

    /// Where `carrier` reports what becomes of a message: a URL for the message, or for the
    /// account.
    fn callback_url(&self, carrier: &ConfiguredCarrier, reference: &str) -> String {
        let Some(public_url) = &self.delivering.public_url else {
            return String::new();
        };
        let token = match &carrier.callback_token {
            Some(token) => token.clone(),
            None => self
                .delivering
                .keyring
                .callback_token(&carrier.name, reference),
        };
        format!("{public_url}/v1/callbacks/{}/{token}", carrier.name)
    }
}
