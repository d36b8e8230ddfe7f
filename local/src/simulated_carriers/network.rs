//! The simulated phone network, which all simulated carriers share: the phones that they deliver
//! to, and their reports. Reports are signed by a library that is independent of the code that
//! verifies them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use otp::platform::clock::Clock;
use otp::platform::logging::causes;
use otp::platform::random::random_bytes;
use serde_json::json;
use tokio::sync::Notify;

use super::message_owner::MessageOwners;
use super::phones::{Callback, PhoneMessage, Phones};
use crate::queue::LocalQueue;

/// The network.
pub(super) struct PhoneNetwork {
    phones: Mutex<Phones>,
    /// Notified when a message has arrived on a phone.
    pub(super) arrived: Notify,
    owners: MessageOwners,
    client: Client<HttpConnector, Full<Bytes>>,
    pub(super) clock: Clock,
    /// An advance of the clock waits for reports that are being sent.
    pub(super) queue: LocalQueue,
}

/// A message that a carrier has accepted.
pub(super) struct AcceptedMessage {
    /// The carrier's own id.
    pub(super) id: String,
    pub(super) to: String,
    pub(super) from: Option<String>,
    pub(super) channel: String,
    pub(super) text: String,
    pub(super) callback: Option<Callback>,
}

/// Why a report did not get a response from the callback.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error("this carrier does not report over HTTP")]
    NotSupported,
    #[error("the report cannot be signed: {0}")]
    Sign(#[from] standardwebhooks::WebhookError),
    #[error("the callback URL cannot be called: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the callback did not respond: {}", causes(.0))]
    Call(#[from] hyper_util::client::legacy::Error),
}

impl PhoneNetwork {
    pub(super) fn new(owners: MessageOwners, clock: Clock, queue: LocalQueue) -> Self {
        Self {
            phones: Mutex::default(),
            arrived: Notify::new(),
            owners,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            clock,
            queue,
        }
    }

    /// The phones.
    pub(super) fn phones(&self) -> MutexGuard<'_, Phones> {
        self.phones.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recipient of the verification with this id.
    pub(super) async fn recipient_of(&self, verification_id: &str) -> Option<String> {
        let now = self.clock.now();
        self.owners.recipient_of(verification_id, now).await
    }

    /// Delivers a message to its phone.
    pub(super) async fn deliver(&self, carrier: &str, accepted: AcceptedMessage) {
        let now = self.clock.now();
        let AcceptedMessage {
            id,
            to,
            from,
            channel,
            text,
            callback,
        } = accepted;
        let reference = callback
            .as_ref()
            .map(|callback| callback.reference.as_str());
        let owner = self.owners.find(reference, &to, &text, now).await;
        let (verification_id, code) = match owner {
            Some(owner) => (Some(owner.verification_id), owner.code),
            None => (None, None),
        };
        // A voice text spells the code: "1, 2, 3".
        let visible: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let message = PhoneMessage {
            id,
            to,
            from,
            channel,
            text,
            code: code.filter(|code| visible.contains(code)),
            carrier: carrier.to_owned(),
            verification_id,
            at: now.to_string(),
            callback,
        };
        self.phones().deliver(message);
        self.arrived.notify_waiters();
    }

    /// Reports `status` of the message with the carrier's `id` through the real callback; returns
    /// its HTTP status.
    pub(super) async fn report(
        &self,
        secret: &str,
        id: &str,
        callback: &Callback,
        status: &str,
    ) -> Result<u16, ReportError> {
        let now = self.clock.now();
        let body = json!({
            "id": id, "reference": callback.reference, "status": status, "timestamp": now.to_string(),
        })
        .to_string();
        let event = format!("evt_{}", new_id());
        let webhook = standardwebhooks::Webhook::new(secret)?;
        let signature = webhook.sign(&event, now.0, body.as_bytes())?;
        let request = hyper::Request::post(&callback.url)
            .header("content-type", "application/json")
            .header("webhook-id", event)
            .header("webhook-timestamp", now.0.to_string())
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(body)))?;
        Ok(self.client.request(request).await?.status().as_u16())
    }
}

/// An id that a carrier gives to a message.
pub(super) fn new_id() -> String {
    HEXLOWER.encode(&random_bytes::<16>())
}
