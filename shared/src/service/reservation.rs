//! Reservation: a send counted in the limits over many recipients (country, client, prefix, spend).
//! Every later failure releases it.

use std::net::IpAddr;
use std::time::Duration;

use super::sending::{SendContext, SendError};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::conversion::Sample;
use crate::domain::ids::VerificationNonce;
use crate::domain::rate_limit::LimitExceeded;
use crate::platform::logging::causes;
use crate::store::{Counter, Take, Taken};

/// How long to wait before a limit is tried again whose last slot was reserved a moment ago: many
/// times what a send takes until it releases or keeps it.
const CONTESTED_WAIT: Duration = Duration::from_millis(500);

/// The limits that one message must pass, beside the recipient's own.
pub(super) struct SharedLimits<'a> {
    context: SendContext<'a>,
    counters: Vec<Counter>,
}

/// A send counted in all of them.
#[must_use]
pub(super) struct Reservation<'a> {
    context: SendContext<'a>,
    taken: Vec<Taken>,
}

/// Why a reservation failed.
enum ReserveError {
    /// A limit is exceeded. `is_contested`: its last slot was reserved a moment ago, by a send that
    /// may release it.
    Exceeded {
        exceeded: LimitExceeded,
        is_contested: bool,
    },
    Failed(SendError),
}

impl<'a> SharedLimits<'a> {
    /// The limits of a message to `to`. It is charged at the price of the first carrier that fits.
    pub(super) fn new(
        context: SendContext<'a>,
        to: &Address,
        channel: Channel,
        client_ip: Option<IpAddr>,
        nonce: VerificationNonce,
    ) -> Self {
        let SendContext {
            sending,
            app,
            policy,
            key,
            now,
            ..
        } = context;
        let carrier = sending
            .carriers
            .iter()
            .find(|carrier| carrier.serves(channel, to));
        let price = carrier
            .map(|carrier| carrier.price_to(to))
            .unwrap_or_default();
        let sample = Sample {
            recipient: key,
            verification: nonce,
            at: now,
        };
        let counters = sending
            .store
            .counters(app, policy, client_ip, to, price, sample);
        Self { context, counters }
    }

    /// Counts a send in all limits, or in none.
    pub(super) async fn reserve(&self) -> Result<Reservation<'a>, SendError> {
        let mut result = self.try_reserve().await;
        if let Err(ReserveError::Exceeded {
            is_contested: true, ..
        }) = &result
        {
            tokio::time::sleep(CONTESTED_WAIT).await;
            result = self.try_reserve().await;
        }
        match result {
            Ok(reservation) => Ok(reservation),
            Err(ReserveError::Exceeded { exceeded, .. }) => Err(self.rejection(exceeded).await),
            Err(ReserveError::Failed(error)) => Err(error),
        }
    }

    /// The rejection of a send by `exceeded`, or by the limit here that ends later.
    pub(super) async fn rejection(&self, exceeded: LimitExceeded) -> SendError {
        let SendContext { sending, now, .. } = self.context;
        let others = sending.store.counters_full(&self.counters, now).await;
        let others = others.unwrap_or_else(|error| {
            tracing::warn!(
                error.kind = "limits_unread",
                error.cause = causes(&error),
                "could not read all limits; the response may name the wrong one"
            );
            vec![]
        });
        SendError::LimitExceeded(exceeded.or_later(others))
    }

    async fn try_reserve(&self) -> Result<Reservation<'a>, ReserveError> {
        let SendContext { sending, now, .. } = self.context;
        let mut reservation = Reservation {
            context: self.context,
            taken: vec![],
        };
        for counter in &self.counters {
            let error = match sending.store.take(*counter, now).await {
                Ok(Take::Taken(taken)) => {
                    reservation.taken.push(taken);
                    continue;
                }
                Ok(Take::Refused {
                    until,
                    is_contested,
                }) => ReserveError::Exceeded {
                    exceeded: LimitExceeded {
                        limit: counter.limit,
                        until,
                    },
                    is_contested,
                },
                Err(error) => ReserveError::Failed(error.into()),
            };
            reservation.release().await;
            return Err(error);
        }
        Ok(reservation)
    }
}

impl Reservation<'_> {
    /// Uncounts a send that was not made.
    pub(super) async fn release(self) {
        let SendContext { sending, now, .. } = self.context;
        for taken in &self.taken {
            if let Err(error) = sending.store.give_back(taken, now).await {
                tracing::error!(
                    app = self.context.app,
                    error.kind = "not_released",
                    error.cause = causes(&error),
                    "failed to release the rate-limit reservation of an aborted send"
                );
            }
        }
    }
}
