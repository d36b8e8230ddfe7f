//! Sending: what sends and resends share. Dependencies, the context of one request, result and
//! errors.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::approvals::Approvals;
use super::deliver::DeliverError;
use super::deliver::breakers::Breakers;
use super::dispatcher::{Dispatched, Dispatcher};
use crate::carrier::ConfiguredCarrier;
use crate::config::{Apps, SendConfig};
use crate::crypto::keyring::Keyring;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::custom_text::CustomText;
use crate::domain::device::Device;
use crate::domain::ids::{ClaimId, RecordKey, VerificationId, VerificationNonce};
use crate::domain::phone;
use crate::domain::policy::Policy;
use crate::domain::rate_limit::LimitExceeded;
use crate::domain::recipient::Recipient;
use crate::domain::subject_id::SubjectId;
use crate::domain::test_number::TestNumbers;
use crate::domain::time::Timestamp;
use crate::domain::verification_params::{Idempotency, Transaction};
use crate::platform::aws::Service;
use crate::platform::clock::Clock;
use crate::platform::deadline::Deadline;
use crate::platform::metrics::{Metric, Metrics};
use crate::platform::queue::{Dispatch, QueueError};
use crate::store::{Store, StoreError, jittered_backoff};

/// How often a send or resend starts over after another writer was first.
pub(super) const CONFLICT_RETRIES_MAX: u32 = 3;

/// Time for undoing a send: restoring the recipient, then releasing the reservation, each with a
/// second try.
const UNDO_TIME_MAX: Duration = Duration::from_millis(3500);
/// Time for the response after the undoing.
const AFTER_UNDO: Duration = Duration::from_millis(500);
/// Policies whose first allowed countries are prepared during the initialization: the default one
/// and those of so many apps less one.
const WARM_APPS_MAX: usize = 2;
/// Prepared for a policy that allows all countries, and as many of one that does not. A country
/// takes the initialization 50,000 instructions (the US, whose calling code 25 countries share, a
/// million); one that is not prepared takes its first send 2 million.
const COMMON_COUNTRIES: [&str; 6] = ["US", "BR", "DE", "FR", "ID", "IN"];

/// What sends and resends need.
pub struct Sending {
    /// The table.
    pub store: Store,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// Policies of the apps.
    pub apps: Apps,
    pub(super) carriers: Arc<Vec<ConfiguredCarrier>>,
    pub(super) test_numbers: TestNumbers,
    pub(super) dispatcher: Dispatcher,
    pub(super) metrics: Metrics,
}

impl Sending {
    /// From the configuration of `send`.
    #[must_use]
    pub fn new(config: SendConfig, clock: Clock, metrics: Metrics) -> Self {
        let dynamodb = config.aws.client(Service::DynamoDb);
        let store = Store::new(dynamodb, config.table.clone(), config.keyring.clone());
        let breakers = Breakers::new(store.clone(), &config.keyring, clock.clone());
        Self::with_store(store, Arc::new(breakers), config, clock, metrics)
    }

    /// From the configuration of `send`, with the connections of `store` and the calls in flight
    /// that `breakers` counts.
    #[must_use]
    pub fn with_store(
        store: Store,
        breakers: Arc<Breakers>,
        config: SendConfig,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let carriers = Arc::new(config.carriers);
        let dispatcher = Dispatcher::new(
            config.dispatch,
            &config.aws,
            &store,
            breakers,
            config.keyring.clone(),
            config.apps.clone(),
            carriers.clone(),
            config.waits,
            clock,
            metrics.clone(),
        );
        Self {
            store,
            keyring: config.keyring,
            apps: config.apps,
            carriers,
            test_numbers: config.test_numbers,
            dispatcher,
            metrics,
        }
    }

    /// Counts `error` if it is a rejection by a limit.
    pub fn count_rejection(&self, error: &SendError) {
        if let SendError::LimitExceeded(exceeded) = error {
            let limit = exceeded.limit.name();
            self.metrics.count(&Metric::Refusal { limit });
        }
    }

    /// What approvals of the recipient under `key` need.
    pub(super) fn approvals(&self, key: RecordKey, now: Timestamp) -> Approvals<'_> {
        Approvals {
            store: &self.store,
            keyring: &self.keyring,
            key,
            now,
        }
    }

    /// Builds the tables for numbers of the first allowed countries.
    pub fn warm_up(&self) {
        let policies = self.apps.all().take(WARM_APPS_MAX);
        phone::warm_up(policies.flat_map(|(_, policy)| first_countries(policy)));
    }
}

/// The countries that `policy` allows, of a long list the first ones.
fn first_countries(policy: &Policy) -> Vec<&str> {
    if policy.allowed_countries.is_empty() {
        return COMMON_COUNTRIES.to_vec();
    }
    let allowed = policy.allowed_countries.iter().map(String::as_str);
    allowed.take(COMMON_COUNTRIES.len()).collect()
}

/// A send, as requested. Formats are valid; whether the app may send it is checked by the use case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendRequest {
    /// The recipient.
    pub to: Address,
    /// How the first message is sent.
    pub channel: Channel,
    /// Fallback channels, in order.
    pub fallback: Vec<Channel>,
    /// The device for notifications; present if one of the channels is push.
    pub push_to: Option<Device>,
    /// Requested language, a BCP 47 tag.
    pub locale: Option<String>,
    /// What is verified.
    pub purpose: String,
    /// What is paid.
    pub transaction: Option<Transaction>,
    /// The subject for whom the recipient is verified.
    pub subject: Option<SubjectId>,
    /// Length of the code.
    pub code_length: Option<u8>,
    /// Validity of the code.
    pub ttl_seconds: Option<i64>,
    /// Returned unchanged, never interpreted.
    pub reference: Option<String>,
    /// Address of the end user.
    pub client_ip: Option<IpAddr>,
    /// The `Idempotency-Key` and the body that it came with.
    pub idempotency: Option<Idempotency>,
    /// The code that the app chose; `None`: a random one.
    pub code: Option<Code>,
    /// What the texts say in place of the app's settings.
    pub custom_text: CustomText,
}

/// A resend, as requested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResendRequest {
    /// How the message is sent; the channel of the verification, if `None`.
    pub channel: Option<Channel>,
    /// Another device for notifications.
    pub push_to: Option<Device>,
    /// Address of the end user.
    pub client_ip: Option<IpAddr>,
}

/// The context of one send or resend.
#[derive(Clone, Copy)]
pub(super) struct SendContext<'a> {
    pub(super) sending: &'a Sending,
    pub(super) app: &'a str,
    pub(super) policy: &'a Policy,
    pub(super) key: RecordKey,
    pub(super) now: Timestamp,
    /// When the invocation ends.
    pub(super) deadline: Deadline,
    /// From this moment on the time that is left is needed to undo the send.
    pub(super) undo_at: Instant,
    /// Until when the recipient is restored. The time after it is for the limits.
    pub(super) restore_until: Instant,
    /// Until when an undoing write is repeated whose response is lost.
    pub(super) undo_until: Instant,
}

impl<'a> SendContext<'a> {
    pub(super) fn new(
        sending: &'a Sending,
        app: &'a str,
        key: RecordKey,
        deadline: Deadline,
        now: Timestamp,
    ) -> Self {
        let undo_time = UNDO_TIME_MAX.min(deadline.time_left() * 2 / 5);
        let undo_at = deadline.earlier_by(undo_time).instant();
        let undo_until = deadline.earlier_by(AFTER_UNDO).instant();
        let restore_time = undo_until.saturating_duration_since(undo_at) * 2 / 3;
        Self {
            sending,
            app,
            policy: sending.apps.policy(app),
            key,
            now,
            deadline,
            undo_at,
            restore_until: undo_at + restore_time,
            undo_until,
        }
    }

    /// Runs a step of the send; it is stopped when the undoing of the send must begin.
    pub(super) async fn in_time<T, E: Into<SendError>>(
        &self,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, SendError> {
        match tokio::time::timeout_at(self.undo_at, step).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(SendError::OutOfTime),
        }
    }

    /// Waits for a random time up to `millis_max`, so that writers that conflicted do not meet
    /// again.
    pub(super) async fn back_off(&self, millis_max: u64) -> Result<(), SendError> {
        let waited = async {
            jittered_backoff(millis_max).await;
            Ok::<(), SendError>(())
        };
        self.in_time(waited).await
    }

    /// Enqueues the message of a step, or claims the step as `claim_id` and hands it over.
    pub(super) async fn dispatch_now(
        &self,
        dispatch: &Dispatch,
        claim_id: ClaimId,
    ) -> Result<Dispatched, SendError> {
        let dispatcher = &self.sending.dispatcher;
        let dispatched = dispatcher.dispatch(dispatch, claim_id, self.undo_at, self.deadline);
        Ok(dispatched.await?)
    }

    pub(super) fn id(&self, nonce: VerificationNonce) -> VerificationId {
        self.sending
            .keyring
            .verification_id(self.app, self.key, nonce)
    }

    /// The dispatch of a step of one of the recipient's verifications.
    pub(super) fn dispatch(&self, nonce: VerificationNonce, step: u16) -> Dispatch {
        Dispatch {
            app: self.app.to_owned(),
            id: self.id(nonce),
            step,
        }
    }

    /// Counts an accepted send.
    pub(super) fn count_send(&self, recipient: &Recipient) {
        let country = recipient.address.as_ref().and_then(Address::country);
        self.sending.metrics.count(&Metric::Send { country });
    }
}

/// A verification whose message was enqueued or handed over, now or by an earlier request.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its id.
    pub id: VerificationId,
    /// Its nonce.
    pub nonce: VerificationNonce,
    /// Its recipient, as stored.
    pub recipient: Recipient,
    /// Whether an earlier request with the same `Idempotency-Key` opened it.
    pub is_replay: bool,
}

/// A send that is no success.
pub(super) struct NotSent {
    pub(super) error: SendError,
    /// Whether the message may be sent although the send failed: its write could not be undone, or
    /// a repetition of the request may have the message. Then it stays charged.
    pub(super) may_be_sent: bool,
}

impl<E: Into<SendError>> From<E> for NotSent {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            may_be_sent: false,
        }
    }
}

/// Why a send is no success. Nothing is charged, unless the message may still be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no such verification.
    #[error("there is no such verification")]
    NotFound,
    /// The verification has ended.
    #[error("the verification has ended")]
    NotPending,
    /// The code expires before a message could arrive.
    #[error("the code expires before a message could arrive")]
    TooLate,
    /// The `Idempotency-Key` was used with another body.
    #[error("the Idempotency-Key was used with another body")]
    IdempotencyMismatch,
    /// A request with the same `Idempotency-Key` is being processed.
    #[error("a request with the same Idempotency-Key is being processed")]
    InProgress,
    /// The channel cannot reach this type of recipient.
    #[error("the channel cannot reach this type of recipient")]
    ChannelMismatch {
        /// Whether it is a fallback channel.
        is_fallback: bool,
    },
    /// A notification has no device.
    #[error("a notification has no device")]
    DeviceMissing,
    /// No carrier serves the channel for this recipient.
    #[error("no carrier serves the channel for this recipient")]
    ChannelNotConfigured(Channel),
    /// The app does not send to this country.
    #[error("the app does not send to this country")]
    CountryNotAllowed,
    /// The app does not send to this number range.
    #[error("the app does not send to this number range")]
    PrefixBlocked,
    /// A fixed line receives no text messages.
    #[error("a fixed line receives no text messages")]
    FixedLine,
    /// A limit is exceeded.
    #[error("a limit is exceeded")]
    LimitExceeded(LimitExceeded),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The table or the queue was so slow that the time of the invocation is almost over.
    #[error("the time of the invocation is almost over")]
    OutOfTime,
    /// With `OTP_DISPATCH=sns`: SNS did not accept the message.
    #[error("SNS did not accept the message")]
    NotAccepted,
}

impl From<DeliverError> for SendError {
    fn from(error: DeliverError) -> Self {
        match error {
            DeliverError::Store(error) => Self::Store(error),
            DeliverError::Queue(error) => Self::Queue(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_allowed_countries_are_prepared() {
        let all = Policy::default();
        assert_eq!(first_countries(&all), COMMON_COUNTRIES);
        let allowed = ["FR", "BE", "CH", "LU", "MC", "CA", "SN"].map(str::to_owned);
        let policy = Policy {
            allowed_countries: allowed[..2].to_vec(),
            ..all.clone()
        };
        assert_eq!(first_countries(&policy), ["FR", "BE"]);
        let policy = Policy {
            allowed_countries: allowed.to_vec(),
            ..all
        };
        assert_eq!(first_countries(&policy), &allowed[..6]);
    }
}
