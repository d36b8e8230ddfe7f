//! The limits beyond a recipient's own: country, client network, prefix, money of the day. A send that is refused, by one
//! of them or because nobody can be asked to deliver it, leaves nothing behind in any.

use std::net::IpAddr;

use otp::domain::address::Address;
use otp::domain::channel::Channel;
use otp::domain::conversion::Sample;
use otp::domain::rate_limit::LimitExceeded;
use otp::domain::time::Timestamp;
use otp::domain::verification::Nonce;
use otp::store::{Counter, Take, Taken};

use crate::{App, Call, SendError};

/// The counters that a message to `to`, of the verification called `nonce`, must pass. It is charged at the price of the first carrier
/// that fits.
pub(crate) fn counters(
    call: &Call<'_>,
    client: Option<IpAddr>,
    to: &Address,
    channel: Channel,
    nonce: &Nonce,
) -> Vec<Counter> {
    let carrier = call
        .app
        .carriers
        .iter()
        .find(|carrier| carrier.serves(channel, to));
    let price = carrier
        .map(|carrier| carrier.price_to(to))
        .unwrap_or_default();
    let sample = Sample {
        recipient: call.key,
        verification: [nonce[0], nonce[1], nonce[2], nonce[3]],
        at: call.now,
    };
    call.app
        .store
        .counters(call.caller, call.policy, client, to, price, sample)
}

/// What a send has to pass, and what it has taken of it.
pub(crate) struct Limits<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) counters: Vec<Counter>,
    /// Present once they were passed.
    pub(crate) taken: Option<Vec<Taken>>,
    /// One of them refused for a place that was taken a moment ago: by a send that may not go out and give it back.
    pub(crate) is_contested: bool,
}

impl Limits<'_> {
    /// [`Self::pass`] with these counters.
    pub(crate) async fn pass_these(&mut self, counters: Vec<Counter>) -> Result<(), SendError> {
        self.counters = counters;
        self.pass().await
    }

    /// Counts a send in all counters, or in none; once.
    pub(crate) async fn pass(&mut self) -> Result<(), SendError> {
        let Call {
            app, policy, now, ..
        } = self.call;
        if self.taken.is_some() {
            return Ok(());
        }
        self.is_contested = false;
        let mut taken = vec![];
        for counter in &self.counters {
            let refusal = match app.store.take(*counter, now).await {
                Ok(Take::Taken(this)) => {
                    taken.push(this);
                    continue;
                }
                Ok(Take::Refused {
                    until,
                    is_contested,
                }) => {
                    self.is_contested = is_contested;
                    SendError::limited(
                        policy,
                        LimitExceeded {
                            limit: counter.limit,
                            until,
                        },
                        now,
                    )
                }
                Err(error) => SendError::Store(error),
            };
            give_back(app, &taken, now).await;
            return Err(refusal);
        }
        self.taken = Some(taken);
        Ok(())
    }

    /// Uncounts a send that does not go out.
    pub(crate) async fn give_back(&mut self) {
        give_back(
            self.call.app,
            &self.taken.take().unwrap_or_default(),
            self.call.now,
        )
        .await;
    }

    /// Why a send was not made, with nothing left of it; of several limits, the one that ends last. Where it is not known whether it was
    /// written, it stays counted.
    pub(crate) async fn refuse(&mut self, error: SendError) -> SendError {
        let is_unsure = matches!(&error, SendError::Store(error) if !error.wrote_nothing());
        if !is_unsure {
            self.give_back().await;
        }
        let SendError::LimitExceeded(policy, limited, now) = error else {
            return error;
        };
        let others = self
            .call
            .app
            .store
            .counters_full(&self.counters, now)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(
                    error.kind = "counters_unread",
                    error.cause = error.0,
                    "a refusal may not name the limit that ends last"
                );
                vec![]
            });
        SendError::LimitExceeded(policy, limited.or_later(others), now)
    }
}

async fn give_back(app: &App, taken: &[Taken], now: Timestamp) {
    for taken in taken {
        if let Err(error) = app.store.give_back(taken, now).await {
            tracing::error!(
                error.kind = "not_given_back",
                error.cause = error.0,
                "a send that does not go out stays counted"
            );
        }
    }
}
