//! Reservation: a send counted in the limits over many recipients (client, prefix, conversion,
//! spend). Every later failure releases it.

use std::net::IpAddr;
use std::time::Duration;

use super::sending::{SendContext, SendError};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::conversion::Sample;
use crate::domain::ids::VerificationNonce;
use crate::domain::rate_limit::LimitExceeded;
use crate::platform::logging::causes;
use crate::platform::random::random_bytes;
use crate::store::{self, Exceeded, ReserveResult};

/// How long to wait before a limit is tried again that was reserved a moment ago: many times what a
/// send takes until it releases its reservation or keeps it.
const CONTESTED_WAIT: Duration = Duration::from_millis(500);

/// The limits that one message must pass, beside the recipient's own.
pub(super) struct SharedLimits<'a> {
    context: SendContext<'a>,
    limits: store::SharedLimits,
}

/// What the earlier tries of one send found: the limits that refused the last one, if other sends
/// may release them.
#[derive(Default)]
pub(super) struct Contention(Option<Exceeded>);

/// A send counted in all of them.
#[must_use]
pub(super) struct Reservation<'a> {
    context: SendContext<'a>,
    reserved: store::Reservation,
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
            salt: random_bytes(),
        };
        let limits = sending
            .store
            .shared_limits(app, policy, client_ip, to, price, sample);
        Self { context, limits }
    }

    /// Counts a send in all limits, or in none.
    ///
    /// All limits are asked at the same time, so a send that one of them refuses is counted in the
    /// others until it has released them, and so is one of several sends to one recipient. A send
    /// that may find limits full for that reason alone waits and starts over: `None`. It is
    /// rejected once nothing has changed while it waited.
    pub(super) async fn reserve(
        &self,
        contention: &mut Contention,
    ) -> Result<Option<Reservation<'a>>, SendError> {
        let SendContext {
            sending,
            now,
            undo_at,
            ..
        } = self.context;
        let exceeded = match sending.store.reserve(&self.limits, undo_at, now).await? {
            ReserveResult::Exceeded(exceeded) => exceeded,
            ReserveResult::Reserved(reserved) => {
                return Ok(Some(Reservation {
                    context: self.context,
                    reserved,
                }));
            }
        };
        let earlier = contention.0.replace(exceeded.clone());
        let is_settled = earlier.is_some_and(|earlier| exceeded.is_settled_since(&earlier));
        if exceeded.is_contested() && !is_settled {
            tokio::time::sleep(CONTESTED_WAIT).await;
            return Ok(None);
        }
        Err(self.rejection_by(exceeded).await?)
    }

    /// The rejection of a send by one of these limits. If that may have been reserved by another
    /// send to the same recipient, the recipient's own limits come first.
    async fn rejection_by(&self, exceeded: Exceeded) -> Result<SendError, SendError> {
        let SendContext {
            sending,
            app,
            policy,
            key,
            now,
            ..
        } = self.context;
        if exceeded.is_contested() {
            let loaded = sending.store.load(key, app, now);
            let stored = self.context.in_time(loaded).await?;
            if let Err(own) = stored.recipient.check_limits(policy, now) {
                return Ok(SendError::LimitExceeded(own));
            }
        }
        Ok(SendError::LimitExceeded(exceeded.limit))
    }

    /// The rejection of a send by `exceeded`, or by the limit here that ends later.
    pub(super) async fn rejection(&self, exceeded: LimitExceeded) -> SendError {
        let SendContext { sending, now, .. } = self.context;
        let others = sending.store.exceeded(&self.limits, now).await;
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
}

impl Reservation<'_> {
    /// Uncounts a send that was not made.
    pub(super) async fn release(self) {
        let SendContext { sending, now, .. } = self.context;
        if let Err(error) = sending.store.release(self.reserved, now).await {
            tracing::error!(
                app = self.context.app,
                error.kind = "not_released",
                error.cause = causes(&error),
                "failed to release the rate-limit reservation of an aborted send"
            );
        }
    }
}
