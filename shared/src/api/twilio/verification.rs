//! The verification resource.
//!
//! Invariant: no member contains a code.

use serde_json::{Value, json};

use super::account::Account;
use super::path::Links;
use super::rejection::Rejection;
use super::sid::{sid, verification_sid};
use crate::crypto::keyring::Keyring;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::ids::VerificationId;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::MessageRequest;
use crate::domain::verification_ref::VerificationRef;
use crate::domain::verification_status::Status;

/// Recipient and channel of a verification, as both resources show them.
pub(super) struct Shape {
    pub(super) to: String,
    /// That of the latest create.
    pub(super) channel: &'static str,
}

impl Shape {
    pub(super) fn of(recipient: &Recipient, verification: VerificationRef<'_>) -> Self {
        let latest = verification
            .requests()
            .last()
            .map(|request| request.channel);
        let channel = latest.unwrap_or(verification.params().channel);
        let to = recipient.address.as_ref().map(|to| to.over(channel));
        Self {
            to: to
                .as_ref()
                .map(Address::reveal)
                .unwrap_or_default()
                .to_owned(),
            channel: channel_word(channel),
        }
    }
}

/// Twilio's word for a channel.
fn channel_word(channel: Channel) -> &'static str {
    match channel {
        Channel::Voice => "call",
        channel => channel.name(),
    }
}

/// What a verification resource shows beside the verification.
pub struct View<'a> {
    /// The account that asks.
    pub account: &'a Account,
    /// Names the messages.
    pub keyring: &'a Keyring,
    /// Where this API is reached.
    pub links: &'a Links,
    /// The current time.
    pub now: Timestamp,
}

/// After which request a verification is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// A create: it is pending.
    Create,
    /// A fetch: of all ends, only that no attempts are left is shown.
    Fetch,
    /// An update, which has ended it.
    Update,
}

impl View<'_> {
    /// The resource of a verification of `recipient`.
    ///
    /// # Errors
    /// 404 for one that has ended.
    pub fn render(
        &self,
        id: VerificationId,
        recipient: &Recipient,
        verification: VerificationRef<'_>,
        after: After,
    ) -> Result<Value, Rejection> {
        let params = verification.params();
        let (status, valid) = self.status(verification, after)?;
        let Shape { to, channel } = Shape::of(recipient, verification);
        let (sid, service_sid) = (verification_sid(id), &self.account.service_sid);
        let path = format!("/Services/{service_sid}/Verifications/{sid}");
        let transaction = params.transaction.as_ref();
        Ok(json!({
            "sid": sid,
            "service_sid": service_sid,
            "account_sid": self.account.account_sid,
            "to": to,
            "channel": channel,
            "status": status,
            "valid": valid,
            "lookup": {},
            "amount": transaction.map(|transaction| &transaction.amount),
            "payee": transaction.map(|transaction| &transaction.payee),
            "send_code_attempts": self.attempts(id, verification),
            "sna": null,
            "date_created": params.created_at.to_string(),
            "date_updated": verification.changed_at().to_string(),
            "url": self.links.to(&path),
        }))
    }

    /// Twilio's status, and whether the verification is approved.
    fn status(
        &self,
        verification: VerificationRef<'_>,
        after: After,
    ) -> Result<(&'static str, bool), Rejection> {
        let expires_at = verification.params().expires_at;
        let status = match (after, verification.status(self.now)) {
            (After::Create, _) | (_, Status::Pending) => "pending",
            (After::Update, Status::Approved) => return Ok(("approved", true)),
            (After::Update, Status::Canceled) => "canceled",
            (_, Status::Exhausted) if self.now < expires_at => "max_attempts_reached",
            (_, ended) => return Err(Rejection::ended(ended, expires_at, self.now)),
        };
        Ok((status, false))
    }

    /// One entry for each create that sent.
    fn attempts(&self, id: VerificationId, verification: VerificationRef<'_>) -> Value {
        let (key, _) = self.keyring.open_verification_id(&self.account.app, id);
        let attempt = |request: &MessageRequest| {
            json!({
                "time": request.at.to_string(),
                "channel": channel_word(request.channel),
                "attempt_sid": sid("VL", self.keyring.delivery_alias(key, request.tag)),
            })
        };
        verification.requests().iter().map(attempt).collect()
    }
}
