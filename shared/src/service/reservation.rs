//! Reservation: a send counted in the limits over many recipients (client, prefix, conversion,
//! spend). Every later failure releases it.

use std::net::IpAddr;
use std::time::Duration;

use super::sending::{NotSent, SendContext, SendError, Sent};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::conversion::Sample;
use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::rate_limit::LimitExceeded;
use crate::domain::time::Timestamp;
use crate::platform::logging::causes;
use crate::platform::random::random_bytes;
use crate::store::{
    self, Exceeded, ReserveOrder, ReserveResult, ReserveTime, StoreError, StoredRecipient,
};

/// How long to wait before a limit is tried again that was reserved a moment ago: many times what a
/// send takes until it releases its reservation or keeps it.
const CONTESTED_WAIT: Duration = Duration::from_millis(500);
/// After so many waits without a change, a limit is regarded as full for good.
const SETTLED_AFTER: u32 = 2;
/// The same if another send to the recipient may be in it: that one is saved or ends until then.
const SETTLED_AFTER_OWN: u32 = 6;
/// How often a send tries limits that other sends may release.
const CONTESTED_TRIES_MAX: u32 = 10;

/// The limits that one message must pass, beside the recipient's own.
pub(super) struct SharedLimits<'a> {
    context: SendContext<'a>,
    limits: store::SharedLimits,
}

/// What the tries of one send found: limits that other sends may release.
struct Contention {
    /// The recipient's last send that is stored.
    last_send: Option<Timestamp>,
    latest: Option<Exceeded>,
    /// Waits since then in which nothing changed.
    unchanged: u32,
    /// Whether another send to the recipient may be in the limits.
    is_own: bool,
}

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

    /// Counts a send in all limits, or in none. `None`: `stored`, the recipient that was looked up,
    /// has changed meanwhile.
    ///
    /// All limits are asked at the same time, so a send that one of them refuses is counted in the
    /// others until it has released them, and so is one of several sends to one recipient. A send
    /// that may find limits full for that reason alone waits and tries again, then one limit after
    /// the other. It is rejected once nothing has changed for a while, unless another send to
    /// the same recipient is in the limit: that one is saved soon, or releases its reservation.
    pub(super) async fn reserve(
        &self,
        stored: &StoredRecipient,
    ) -> Result<Option<Reservation<'a>>, SendError> {
        let SendContext {
            sending,
            app,
            key,
            now,
            undo_at,
            undo_until,
            ..
        } = self.context;
        let time = ReserveTime {
            until: undo_at,
            release_until: undo_until,
        };
        let store = &sending.store;
        let mut contention = Contention::new(stored);
        for _ in 0..CONTESTED_TRIES_MAX {
            let order = contention.order();
            let reserving = store.reserve(key, &self.limits, order, time, now);
            let exceeded = match reserving.await? {
                ReserveResult::Exceeded(exceeded) => exceeded,
                ReserveResult::Reserved(reserved) => {
                    return Ok(Some(Reservation {
                        context: self.context,
                        reserved,
                    }));
                }
            };
            let limit = exceeded.limit;
            if !exceeded.is_contested() {
                return Err(match order {
                    ReserveOrder::AtOnce => SendError::LimitExceeded(limit),
                    ReserveOrder::OneByOne => self.rejection(limit).await,
                });
            }
            contention.add(exceeded, key);
            if contention.is_settled() {
                return Err(self.rejection(limit).await);
            }
            if let Err(error) = self.context.in_time(wait()).await {
                return Err(match contention.is_own {
                    true => error,
                    false => SendError::LimitExceeded(limit),
                });
            }
            let current = self.context.in_time(store.load(key, app, now)).await?;
            if current.version != stored.version {
                return Ok(None);
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The rejection of a send by `exceeded`, or by the limit here that ends later. One that other
    /// sends to the same recipient may release is looked at until nothing changes.
    pub(super) async fn rejection(&self, exceeded: LimitExceeded) -> SendError {
        let SendContext { key, .. } = self.context;
        let mut others = self.exceeded().await;
        for _ in 0..CONTESTED_TRIES_MAX {
            let may_change = |other: &Exceeded| {
                other.limit.until > exceeded.until && other.is_contested_by(key, None)
            };
            if !others.iter().any(may_change) || self.context.in_time(wait()).await.is_err() {
                break;
            }
            let earlier = std::mem::replace(&mut others, self.exceeded().await);
            if earlier == others {
                break;
            }
        }
        let others = others.into_iter().map(|other| other.limit);
        SendError::LimitExceeded(exceeded.or_later(others))
    }

    /// The limits here that would refuse the send now.
    async fn exceeded(&self) -> Vec<Exceeded> {
        let SendContext { sending, now, .. } = self.context;
        let exceeded = sending.store.exceeded(&self.limits, now).await;
        exceeded.unwrap_or_else(|error| {
            tracing::warn!(
                error.kind = "limits_unread",
                error.cause = causes(&error),
                "could not read all limits; the response may name the wrong one"
            );
            vec![]
        })
    }
}

impl Contention {
    fn new(stored: &StoredRecipient) -> Self {
        Self {
            last_send: stored.recipient.sends.last().copied(),
            latest: None,
            unchanged: 0,
            is_own: false,
        }
    }

    fn order(&self) -> ReserveOrder {
        match self.latest {
            None => ReserveOrder::AtOnce,
            Some(_) => ReserveOrder::OneByOne,
        }
    }

    fn add(&mut self, exceeded: Exceeded, recipient: RecordKey) {
        let latest = self.latest.as_ref();
        self.unchanged = match latest.is_some_and(|latest| exceeded.is_settled_since(latest)) {
            true => self.unchanged + 1,
            false => 0,
        };
        self.is_own = exceeded.is_contested_by(recipient, self.last_send);
        self.latest = Some(exceeded);
    }

    /// Whether the limits are regarded as full for good.
    fn is_settled(&self) -> bool {
        let after = match self.is_own {
            true => SETTLED_AFTER_OWN,
            false => SETTLED_AFTER,
        };
        self.unchanged >= after
    }
}

impl Reservation<'_> {
    /// The result of a send that is counted; uncounts it if its message cannot be sent any more.
    pub(super) async fn settle(
        self,
        result: Result<Option<Sent>, NotSent>,
    ) -> Result<Option<Sent>, SendError> {
        let is_over = match &result {
            Ok(sent) => sent.is_none(),
            Err(not_sent) => !not_sent.may_be_sent,
        };
        if is_over {
            self.release().await;
        }
        result.map_err(|not_sent| not_sent.error)
    }

    /// Uncounts a send that was not made.
    async fn release(self) {
        let SendContext {
            sending,
            now,
            undo_until,
            ..
        } = self.context;
        let released = sending.store.release(self.reserved, undo_until, now);
        if let Err(error) = released.await {
            tracing::error!(
                app = self.context.app,
                error.kind = "not_released",
                error.cause = causes(&error),
                "failed to release the rate-limit reservation of an aborted send"
            );
        }
    }
}

async fn wait() -> Result<(), StoreError> {
    tokio::time::sleep(CONTESTED_WAIT).await;
    Ok(())
}
