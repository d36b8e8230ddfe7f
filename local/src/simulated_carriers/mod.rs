//! The simulated carriers: two of kind `http`, SNS, and the phones that they deliver to. To the
//! functions they are ordinary carriers at other URLs.

mod behaviour;
mod http_carrier;
mod identity;
mod message_owner;
mod network;
mod phones;
mod reserved_port;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout_at};

pub(crate) use behaviour::{Behaviour, Mode, is_report_status};
use http_carrier::HttpCarrier;
use identity::{Credentials, Identity};
pub(crate) use message_owner::MessageOwners;
pub(crate) use network::ReportError;
use network::{AcceptedMessage, PhoneNetwork, new_id};
use otp::platform::clock::Clock;
pub(crate) use phones::PhoneMessage;
use reserved_port::{reserve, reserve_stable};

use crate::data_dir::DataDir;
use crate::queue::LocalQueue;
use crate::start_error::StartError;

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
    /// With the ports and credentials that the data directory stores, or new ones, which are then
    /// stored.
    pub(crate) fn open(data_dir: Option<&DataDir>) -> Result<Self, StartError> {
        let mut identities = match data_dir {
            Some(data_dir) => identity::load(data_dir)?,
            None => BTreeMap::new(),
        };
        let mut carriers = vec![];
        for name in HTTP_CARRIERS {
            let stored = identities.get(name);
            let socket = reserve_for(name, stored, data_dir.is_some());
            let credentials = stored.map(|stored| stored.credentials.clone());
            let credentials = credentials.unwrap_or_else(Credentials::generate);
            let carrier = socket.and_then(|socket| HttpCarrier::new(name, socket, credentials));
            let carrier = carrier.map_err(StartError::InternalPort)?;
            let own = || carrier.identity.clone();
            identities.entry(name.to_owned()).or_insert_with(own);
            carriers.push(Arc::new(carrier));
        }
        if let Some(data_dir) = data_dir {
            identity::store(data_dir, &identities)?;
        }
        Ok(Self(carriers))
    }

    /// `OTP_CARRIERS` with these carriers.
    pub(crate) fn settings(&self) -> Value {
        self.0.iter().map(|carrier| carrier.settings()).collect()
    }

    /// Starts to accept messages.
    pub(crate) async fn start(
        &self,
        owners: MessageOwners,
        clock: Clock,
        queue: LocalQueue,
    ) -> io::Result<SimulatedCarriers> {
        let network = Arc::new(PhoneNetwork::new(owners, clock, queue));
        for carrier in &self.0 {
            carrier.open(&network).await?;
        }
        Ok(SimulatedCarriers(Arc::new(Inner {
            http: self.0.clone(),
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
        let (network, secret) = (&self.0.network, &carrier.identity.credentials.secret);
        Some(network.report(secret, id, callback, status).await)
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

    /// The name of the carrier that listens at `url`.
    pub(crate) fn name_at(&self, url: &str) -> Option<String> {
        let url = url.trim_end_matches('/');
        let mut carriers = self.0.http.iter();
        let carrier = carriers.find(|carrier| carrier.base_url() == url);
        carrier.map(|carrier| carrier.name.to_owned())
    }

    fn http_carrier(&self, name: &str) -> Option<&Arc<HttpCarrier>> {
        self.0.http.iter().find(|carrier| carrier.name == name)
    }
}

/// The stored port of the carrier called `name`. Another one if it has none yet, or while another
/// program uses it.
fn reserve_for(
    name: &str,
    stored: Option<&Identity>,
    outlives_restarts: bool,
) -> io::Result<TcpSocket> {
    let Some(stored) = stored else {
        return match outlives_restarts {
            true => reserve_stable(),
            false => reserve(0),
        };
    };
    reserve(stored.port).or_else(|error| {
        let other = reserve(0)?;
        tracing::warn!(
            carrier = name,
            port = other.local_addr()?.port(),
            stored_port = stored.port,
            error.cause = error.to_string(),
            "the stored port of a simulated carrier cannot be used: it has another port until the \
             next start, and entries of the configuration document do not reach it"
        );
        Ok(other)
    })
}
