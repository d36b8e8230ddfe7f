//! Delivery: one message handed to one carrier. Its states, what may follow what, and what to try next.
//! Pure. A state only moves up; nothing here can approve, extend or reset a verification.

use crate::domain::channel::Channel;
use crate::domain::time::Timestamp;

/// Deliveries that a verification remembers; past it the oldest is dropped.
pub const DELIVERIES_MAX: usize = 8;
/// A code is not handed to anyone in the last seconds of its life: it would arrive dead.
pub const HANDOVER_MARGIN_SECONDS: i64 = 10;
/// How long whoever hands a message over holds it: longer than a function may run, so that only a dead one's hold passes.
pub const IN_HAND_SECONDS: i64 = 15;
/// When a carrier that loses its reports is asked what became of a message, after it took it: both times before a fallback
/// channel is due by default, for most codes are typed in by then.
const ASK_AFTER_SECONDS: [i64; 2] = [20, 50];
/// Longest wait between two rounds through the carriers.
const BACKOFF_SECONDS_MAX: i64 = 30;

/// What became of a message, as far as anybody told us.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DeliveryStatus {
    /// Accepted by us, taken up by no worker yet.
    Queued,
    /// A worker has it.
    Sending,
    /// A carrier was called and no answer came that could be read: it may or may not be on its way.
    Unknown,
    /// A carrier took it.
    Sent,
    /// The carrier tried and failed.
    Undelivered,
    /// Refused for good: bad number, blocked, opted out.
    Rejected,
    /// The carrier held it until it was worth nothing.
    Expired,
    /// Nobody would take it before the code expired.
    Failed,
    /// On the phone.
    Delivered,
}

impl DeliveryStatus {
    /// All of them, lowest rank first.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Sending,
        Self::Unknown,
        Self::Sent,
        Self::Undelivered,
        Self::Rejected,
        Self::Expired,
        Self::Failed,
        Self::Delivered,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::Undelivered => "undelivered",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
        }
    }

    /// The number at rest: tens are the rank, so that the table can compare two states. Ends share a rank.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Sending => 10,
            Self::Unknown => 20,
            Self::Sent => 30,
            Self::Undelivered => 40,
            Self::Rejected => 41,
            Self::Expired => 42,
            Self::Failed => 43,
            Self::Delivered => 50,
        }
    }

    /// The state kept as `number`.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.number() == number)
    }

    /// Lowest number of this state's rank: only a state below it may become this one.
    #[must_use]
    pub fn floor(self) -> u8 {
        self.number() / 10 * 10
    }

    /// Whether a message in this state may become `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self.number() < next.floor()
    }

    /// Whether the message is over and did not arrive.
    #[must_use]
    pub fn ended_badly(self) -> bool {
        match self {
            Self::Undelivered | Self::Rejected | Self::Expired | Self::Failed => true,
            Self::Queued | Self::Sending | Self::Unknown | Self::Sent | Self::Delivered => false,
        }
    }
}

/// What tells one message of a recipient from another, in the reference that carriers echo. Random.
pub type DeliveryTag = [u8; 4];

/// One message handed, or to be handed, to one carrier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Finds it again from a carrier's report.
    pub tag: DeliveryTag,
    /// Order within its verification, from 1, never reused.
    pub number: u16,
    /// How it goes.
    pub channel: Channel,
    /// What became of it.
    pub status: DeliveryStatus,
    /// Name of the carrier that took it, or may have.
    pub carrier: Option<String>,
    /// Why there is a message at all beside the one before it.
    pub cause: Cause,
    /// When `status` last changed.
    pub updated_at: Timestamp,
    /// Text messages that it was cut into; 0 where that is not known, or is no text message.
    pub parts: u8,
    /// The carrier's own name for it, where the carrier is asked about it.
    pub vendor_id: Option<String>,
}

/// Why a message was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A caller asked for it.
    Asked,
    /// The message before it had an unknown outcome: the second and last carrier.
    Unknown,
    /// The channel before it did not deliver.
    Fallback,
}

impl Cause {
    /// The number at rest.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Asked => 0,
            Self::Unknown => 1,
            Self::Fallback => 2,
        }
    }

    /// The cause kept as `number`.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        [Self::Asked, Self::Unknown, Self::Fallback]
            .into_iter()
            .find(|cause| cause.number() == number)
    }
}

/// What a worker that has claimed a verification does with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Hand the latest delivery to a carrier.
    Hand,
    /// Make one more delivery over `channel`, not through `except`, and hand it over.
    Open {
        /// How it goes.
        channel: Channel,
        /// Why.
        cause: Cause,
        /// The carrier that may have it already.
        except: Option<String>,
    },
    /// Nothing before this moment.
    Wait(Timestamp),
    /// Nothing any more.
    Rest,
}

/// How long the steps between deliveries take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// `OTP_UNKNOWN_WAIT_SECONDS`.
    pub unknown_seconds: i64,
    /// `OTP_FALLBACK_SECONDS`.
    pub fallback_seconds: i64,
}

/// What follows from the deliveries so far, oldest first, and the fallback channels not used yet. `second_carrier`: one
/// beside the latest delivery's would take its message too.
#[must_use]
pub fn next(
    deliveries: &[Delivery],
    second_carrier: bool,
    fallback: &[Channel],
    waits: Waits,
    now: Timestamp,
) -> Next {
    let Some(latest) = deliveries.last() else {
        return Next::Rest;
    };
    let delivered = deliveries
        .iter()
        .any(|d| d.status == DeliveryStatus::Delivered);
    let fall_back = |at: Timestamp| match fallback.first() {
        Some(channel) if now >= at => Next::Open {
            channel: *channel,
            cause: Cause::Fallback,
            except: None,
        },
        Some(_) => Next::Wait(at),
        None => Next::Rest,
    };
    match latest.status {
        DeliveryStatus::Queued | DeliveryStatus::Sending => Next::Hand,
        _ if delivered => Next::Rest,
        DeliveryStatus::Unknown if latest.cause != Cause::Unknown && second_carrier => {
            let at = latest.updated_at + waits.unknown_seconds;
            if now < at {
                return Next::Wait(at);
            }
            Next::Open {
                channel: latest.channel,
                cause: Cause::Unknown,
                except: latest.carrier.clone(),
            }
        }
        DeliveryStatus::Unknown | DeliveryStatus::Sent => {
            fall_back(latest.updated_at + waits.fallback_seconds)
        }
        DeliveryStatus::Undelivered
        | DeliveryStatus::Rejected
        | DeliveryStatus::Expired
        | DeliveryStatus::Failed => fall_back(now),
        DeliveryStatus::Delivered => Next::Rest,
    }
}

/// The next moment after `now` at which the carrier of `latest` is to be asked what became of it; `None` where it reports
/// by itself, has said all, or the code is dead by then.
#[must_use]
pub fn next_question(
    latest: &Delivery,
    expires_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let is_open = latest.status == DeliveryStatus::Sent && latest.vendor_id.is_some();
    let moments = ASK_AFTER_SECONDS
        .into_iter()
        .map(|seconds| latest.updated_at + seconds);
    moments
        .filter(|at| is_open && *at < expires_at)
        .find(|at| *at > now)
}

/// Whether a step that was planned for `due` is one to ask the carrier of `latest`.
#[must_use]
pub fn is_question(latest: &Delivery, expires_at: Timestamp, due: Timestamp) -> bool {
    next_question(latest, expires_at, due - 1) == Some(due)
}

/// When to go through the carriers again after `rounds` rounds in which nobody took the message: 2, 4, 8, … at most
/// 30 s later, or later still if all carriers said so, and a last time just before the code would arrive dead. `None`
/// after that.
#[must_use]
pub fn retry_at(
    rounds: u8,
    retry_after_seconds: i64,
    expires_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let backoff = (1i64 << rounds.clamp(1, 5)).min(BACKOFF_SECONDS_MAX);
    let last = expires_at - HANDOVER_MARGIN_SECONDS;
    (now < last).then(|| (now + backoff.max(retry_after_seconds)).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits {
        unknown_seconds: 15,
        fallback_seconds: 60,
    };

    fn delivery(status: DeliveryStatus, cause: Cause) -> Delivery {
        let (channel, carrier) = (Channel::Sms, Some("a".into()));
        Delivery {
            tag: [0; 4],
            number: 1,
            channel,
            status,
            carrier,
            cause,
            updated_at: Timestamp(100),
            parts: 1,
            vendor_id: None,
        }
    }

    #[test]
    fn states_only_move_up_and_ends_do_not_replace_each_other() {
        use DeliveryStatus as S;
        for (at, from) in S::ALL.into_iter().enumerate() {
            assert_eq!(S::numbered(from.number()), Some(from));
            for to in S::ALL.into_iter().take(at + 1) {
                assert!(!from.may_become(to), "{from:?} -> {to:?}");
            }
        }
        assert!(
            S::Undelivered.may_become(S::Delivered)
                && S::Failed.may_become(S::Delivered)
                && S::Unknown.may_become(S::Sent)
        );
        assert!(!S::Undelivered.may_become(S::Failed) && !S::Delivered.may_become(S::Undelivered));
    }

    #[test]
    fn an_unknown_outcome_waits_and_then_takes_one_other_carrier() {
        let unknown = delivery(DeliveryStatus::Unknown, Cause::Asked);
        assert_eq!(
            next(
                std::slice::from_ref(&unknown),
                true,
                &[],
                WAITS,
                Timestamp(114)
            ),
            Next::Wait(Timestamp(115))
        );
        let second = Next::Open {
            channel: Channel::Sms,
            cause: Cause::Unknown,
            except: Some("a".into()),
        };
        assert_eq!(
            next(
                std::slice::from_ref(&unknown),
                true,
                &[],
                WAITS,
                Timestamp(115)
            ),
            second
        );
        let twice = [unknown, delivery(DeliveryStatus::Unknown, Cause::Unknown)];
        let alone = next(
            std::slice::from_ref(&twice[0]),
            false,
            &[Channel::Voice],
            WAITS,
            Timestamp(115),
        );
        assert_eq!(
            alone,
            Next::Wait(Timestamp(160)),
            "without a second carrier the fallback channel's time is waited for"
        );
        assert_eq!(
            next(&twice, true, &[], WAITS, Timestamp(1000)),
            Next::Rest,
            "never a third carrier"
        );
    }

    #[test]
    fn a_report_within_the_wait_keeps_the_second_carrier_out() {
        assert_eq!(
            next(
                &[delivery(DeliveryStatus::Sent, Cause::Asked)],
                true,
                &[],
                WAITS,
                Timestamp(115)
            ),
            Next::Rest
        );
        assert_eq!(
            next(
                &[delivery(DeliveryStatus::Delivered, Cause::Asked)],
                true,
                &[Channel::Voice],
                WAITS,
                Timestamp(900)
            ),
            Next::Rest
        );
    }

    #[test]
    fn a_fallback_channel_follows_a_bad_end_at_once_and_silence_after_the_wait() {
        let voice = Next::Open {
            channel: Channel::Voice,
            cause: Cause::Fallback,
            except: None,
        };
        assert_eq!(
            next(
                &[delivery(DeliveryStatus::Rejected, Cause::Asked)],
                true,
                &[Channel::Voice],
                WAITS,
                Timestamp(100)
            ),
            voice
        );
        assert_eq!(
            next(
                &[delivery(DeliveryStatus::Sent, Cause::Asked)],
                true,
                &[Channel::Voice],
                WAITS,
                Timestamp(159)
            ),
            Next::Wait(Timestamp(160))
        );
        assert_eq!(
            next(
                &[delivery(DeliveryStatus::Sent, Cause::Asked)],
                true,
                &[Channel::Voice],
                WAITS,
                Timestamp(160)
            ),
            voice
        );
        let late = [
            delivery(DeliveryStatus::Delivered, Cause::Asked),
            delivery(DeliveryStatus::Undelivered, Cause::Unknown),
        ];
        assert_eq!(
            next(&late, true, &[Channel::Voice], WAITS, Timestamp(900)),
            Next::Rest,
            "one of them arrived"
        );
    }

    #[test]
    fn a_carrier_that_names_its_messages_is_asked_twice_within_the_codes_life() {
        let taken = Delivery {
            vendor_id: Some("307".into()),
            ..delivery(DeliveryStatus::Sent, Cause::Asked)
        };
        let at = |latest: &Delivery, expires_at, now| {
            next_question(latest, Timestamp(expires_at), Timestamp(now)).map(|at| at.0)
        };
        assert_eq!(
            [100, 119, 120, 149, 150].map(|now| at(&taken, 400, now)),
            [Some(120), Some(120), Some(150), Some(150), None]
        );
        assert_eq!(
            (
                at(&taken, 150, 100),
                at(&taken, 150, 120),
                at(&taken, 120, 100)
            ),
            (Some(120), None, None),
            "not about a dead code"
        );
        assert_eq!(
            at(&delivery(DeliveryStatus::Sent, Cause::Asked), 400, 100),
            None,
            "it reports by itself"
        );
        assert_eq!(
            at(
                &Delivery {
                    status: DeliveryStatus::Delivered,
                    ..taken.clone()
                },
                400,
                100
            ),
            None,
            "it has said all"
        );
        let is = |due| is_question(&taken, Timestamp(400), Timestamp(due));
        assert_eq!(
            [100, 119, 120, 121, 150, 160].map(is),
            [false, false, true, false, true, false]
        );
    }

    #[test]
    fn rounds_back_off_and_stop_before_the_code_is_dead() {
        let at = |rounds, after| {
            retry_at(rounds, after, Timestamp(400), Timestamp(100))
                .map(|t| t.seconds_since(Timestamp(100)))
        };
        let seconds: Vec<_> = (1..=6).map(|rounds| at(rounds, 0)).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 30, 30].map(Some));
        assert!((5..=u8::MAX).all(|rounds| at(rounds, 0) == Some(30)));
        assert_eq!(at(1, 77), Some(77), "a carrier's Retry-After is honoured");
        assert_eq!(at(1, 291), Some(290), "within the code's life");
        assert_eq!(
            retry_at(1, 0, Timestamp(111), Timestamp(100)),
            Some(Timestamp(101)),
            "one last time"
        );
        assert_eq!(retry_at(1, 0, Timestamp(110), Timestamp(100)), None);
    }
}
