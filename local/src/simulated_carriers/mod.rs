//! The simulated carriers: two of kind `http`, SNS, and the phones that they deliver to. To the
//! functions they are ordinary carriers at other URLs.

mod behaviour;
mod http_carrier;
mod message_owner;
mod network;
mod phones;
mod reserved_port;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

pub(crate) use behaviour::{Behaviour, Mode, is_report_status};
use http_carrier::HttpCarrier;
pub(crate) use message_owner::MessageOwners;
pub(crate) use network::ReportError;
use network::{AcceptedMessage, PhoneNetwork, new_id};
use otp::platform::clock::Clock;
pub(crate) use phones::PhoneMessage;

use crate::queue::LocalQueue;

/// The carriers of kind `http`, in order of preference.
const HTTP_CARRIERS: [&str; 2] = ["sim-a", "sim-b"];
/// The name of SNS in `POST /local/carriers/{name}`, and of the carrier of its messages. It does
/// not report.
pub(crate) const SNS: &str = "sns";

/// Carriers with their ports and credentials, before they accept messages.
pub(crate) struct ReservedCarriers(Vec<Arc<HttpCarrier>>);

/// The running carriers. Clones share them.
#[derive(Clone)]
pub(crate) struct SimulatedCarriers(Arc<Inner>);

struct Inner {
    http: Vec<Arc<HttpCarrier>>,
    sns: Mutex<Mode>,
    network: Arc<PhoneNetwork>,
}

/// A message that was published to the simulated SNS.
pub(crate) struct Published {
    pub(crate) to: Target,
    /// The sender of a text, the title of a notification.
    pub(crate) from: Option<String>,
    pub(crate) text: String,
}

/// Where it goes.
pub(crate) enum Target {
    Phone(String),
    /// The device of the recipient whose verification has this id.
    OwnerOf(String),
}

/// An error of the simulated SNS: HTTP status and error code.
pub(crate) type SnsError = (StatusCode, &'static str);

impl ReservedCarriers {
    pub(crate) fn new() -> io::Result<Self> {
        let carriers = HTTP_CARRIERS.into_iter().map(HttpCarrier::new);
        Ok(Self(
            carriers
                .map(|carrier| carrier.map(Arc::new))
                .collect::<Result<_, _>>()?,
        ))
    }

    /// `OTP_CARRIERS` with these carriers.
    pub(crate) fn settings(&self) -> Value {
        self.0.iter().map(|carrier| carrier.settings()).collect()
    }

    /// Starts to accept messages.
    pub(crate) async fn start(
        self,
        owners: MessageOwners,
        clock: Clock,
        queue: LocalQueue,
    ) -> io::Result<SimulatedCarriers> {
        let network = Arc::new(PhoneNetwork::new(owners, clock, queue));
        for carrier in &self.0 {
            carrier.open(&network).await?;
        }
        Ok(SimulatedCarriers(Arc::new(Inner {
            http: self.0,
            sns: Mutex::default(),
            network,
        })))
    }
}

impl SimulatedCarriers {
    /// Messages in order of arrival, on the phone of `to` or on all.
    pub(crate) fn messages(&self, to: Option<&str>) -> Vec<PhoneMessage> {
        self.0.network.phones().messages(to)
    }

    /// Messages as [`Self::messages`] returns them, once there is one, or none after `wait`.
    pub(crate) async fn wait_for_messages(
        &self,
        to: Option<&str>,
        wait: Duration,
    ) -> Vec<PhoneMessage> {
        let network = &self.0.network;
        let until = Instant::now() + wait;
        loop {
            let arrived = network.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let messages = self.messages(to);
            let is_over = messages.is_empty() && timeout_at(until, arrived).await.is_err();
            if is_over || !messages.is_empty() {
                return messages;
            }
        }
    }

    /// Deletes the messages on all phones; returns how many there were.
    pub(crate) fn clear_phones(&self) -> usize {
        self.0.network.phones().clear()
    }

    /// All carriers behave as at the start.
    pub(crate) async fn reset(&self) -> io::Result<()> {
        *self.sns_mode() = Mode::default();
        for carrier in &self.0.http {
            carrier.reset(&self.0.network).await?;
        }
        Ok(())
    }

    /// How the carrier called `name` behaves; `None` if there is none of that name.
    pub(crate) fn behaviour(&self, name: &str) -> Option<Behaviour> {
        if name == SNS {
            return Some(Behaviour::of_mode(*self.sns_mode()));
        }
        Some(self.http_carrier(name)?.behaviour())
    }

    /// Changes the behaviour of a carrier; `None` if there is none of that name.
    pub(crate) async fn set_behaviour(
        &self,
        name: &str,
        behaviour: Behaviour,
    ) -> Option<io::Result<()>> {
        if name == SNS {
            *self.sns_mode() = behaviour.mode;
            return Some(Ok(()));
        }
        let carrier = self.http_carrier(name)?;
        Some(carrier.set_behaviour(behaviour, &self.0.network).await)
    }

    /// Lets the carrier of the message `id` report `status` through the real callback; returns the
    /// HTTP status of the response, or `None` if there is no such message.
    pub(crate) async fn report(&self, id: &str, status: &str) -> Option<Result<u16, ReportError>> {
        let message = self.0.network.phones().find(id)?;
        let carrier = self.http_carrier(&message.carrier);
        let (Some(carrier), Some(callback)) = (carrier, &message.callback) else {
            return Some(Err(ReportError::NotSupported));
        };
        let network = &self.0.network;
        Some(network.report(&carrier.secret, id, callback, status).await)
    }

    /// `Publish` of SNS; returns the message id.
    pub(crate) async fn publish(&self, published: Published) -> Result<String, SnsError> {
        let mode = *self.sns_mode();
        let id = new_id();
        let is_push = matches!(published.to, Target::OwnerOf(_));
        match mode {
            Mode::Ok | Mode::Hang => {}
            Mode::Lose => return Ok(id),
            Mode::Reject if is_push => return Err((StatusCode::BAD_REQUEST, "EndpointDisabled")),
            Mode::Reject => return Err((StatusCode::BAD_REQUEST, "InvalidParameter")),
            Mode::Throttle => return Err((StatusCode::TOO_MANY_REQUESTS, "Throttling")),
            Mode::Error | Mode::Down => {
                return Err((StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
            }
        }
        let network = &self.0.network;
        let to = match published.to {
            Target::Phone(number) => Some(number),
            Target::OwnerOf(verification) => network.recipient_of(&verification).await,
        };
        if let Some(to) = to {
            let message = AcceptedMessage {
                id: id.clone(),
                to,
                from: published.from,
                channel: if is_push { "push" } else { "sms" }.into(),
                text: published.text,
                callback: None,
            };
            network.deliver(SNS, message).await;
        }
        if mode == Mode::Hang {
            return std::future::pending().await;
        }
        Ok(id)
    }

    fn sns_mode(&self) -> MutexGuard<'_, Mode> {
        self.0.sns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn http_carrier(&self, name: &str) -> Option<&Arc<HttpCarrier>> {
        self.0.http.iter().find(|carrier| carrier.name == name)
    }
}
