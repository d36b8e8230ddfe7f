//! Delivery: one message handed to one carrier, its status and why it exists.
//!
//! Invariant: a status only moves up, and changes nothing else.

use crate::domain::channel::Channel;
use crate::domain::ids::DeliveryTag;
use crate::domain::time::Timestamp;

/// Deliveries that a verification remembers; past it the oldest is dropped.
pub const DELIVERIES_MAX: usize = 8;
/// No message is handed over in the last seconds before its code expires.
pub const HANDOVER_MARGIN_SECONDS: i64 = 10;

/// What became of a message, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DeliveryStatus {
    /// Accepted by the service; no worker has claimed it.
    Queued,
    /// Claimed by a worker.
    Sending,
    /// A carrier was called without a readable response: it may or may not have the message.
    Unknown,
    /// A carrier accepted it.
    Sent,
    /// The carrier tried to deliver it and failed.
    Undelivered,
    /// Refused permanently: invalid number, blocked, opted out.
    Rejected,
    /// The carrier did not deliver it within its validity.
    Expired,
    /// No carrier accepted it before the code expired.
    Failed,
    /// It reached the recipient.
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

    /// Name in responses.
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

    /// Stored number. The tens are the rank, so that a condition can compare two statuses; the
    /// statuses of a failure share a rank.
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

    /// Lowest stored number of this status's rank: only a status below it may become this one.
    #[must_use]
    pub fn rank_floor(self) -> u8 {
        self.number() / 10 * 10
    }

    /// Whether a message in this status may move to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self.number() < next.rank_floor()
    }

    /// Whether the message ended without reaching the recipient.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::Undelivered | Self::Rejected | Self::Expired | Self::Failed => true,
            Self::Queued | Self::Sending | Self::Unknown | Self::Sent | Self::Delivered => false,
        }
    }
}

/// A status that a carrier reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ReportedStatus {
    /// What became of the message.
    pub status: DeliveryStatus,
    /// Whether it failed because of the operator's account at the carrier: then it did not reach
    /// the person, and another carrier may deliver it.
    pub is_account_fault: bool,
}

impl From<DeliveryStatus> for ReportedStatus {
    fn from(status: DeliveryStatus) -> Self {
        Self {
            status,
            is_account_fault: false,
        }
    }
}

/// A stored number without a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownNumber;

impl TryFrom<u8> for DeliveryStatus {
    type Error = UnknownNumber;

    fn try_from(number: u8) -> Result<Self, UnknownNumber> {
        Self::ALL
            .into_iter()
            .find(|status| status.number() == number)
            .ok_or(UnknownNumber)
    }
}

/// One message handed, or to be handed, to one carrier.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Delivery {
    /// Identifies it in a carrier's report.
    pub tag: DeliveryTag,
    /// Order within its verification, from 1, never reused.
    pub number: u16,
    /// How it is sent.
    pub channel: Channel,
    /// What became of it.
    pub status: DeliveryStatus,
    /// Name of the carrier that accepted it, or may have.
    pub carrier: Option<String>,
    /// Why it exists.
    pub cause: Cause,
    /// When `status` last changed.
    pub updated_at: Timestamp,
    /// Parts of a text message, once it was handed over.
    pub parts: Option<u8>,
    /// The carrier's id of it, where the carrier's status API is polled.
    pub vendor_id: Option<String>,
    /// A report that arrived before it was known which carrier has the message.
    pub early_report: Option<EarlyReport>,
    /// Whether it failed because of the operator's account at its carrier.
    pub is_account_fault: bool,
}

/// A report about a message that is being handed over. It counts once its carrier has accepted the
/// message: the carriers before that one may report failures, too.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EarlyReport {
    /// The reporting carrier.
    pub carrier: String,
    /// The reported status.
    pub reported: ReportedStatus,
}

impl Delivery {
    /// The status that the early report moves the message to, now that `self.carrier` has it.
    #[must_use]
    pub fn status_of_early_report(&self) -> Option<ReportedStatus> {
        let early = self.early_report.as_ref()?;
        let is_holder = self.carrier.as_ref() == Some(&early.carrier);
        (is_holder && self.status.may_become(early.reported.status)).then_some(early.reported)
    }

    /// Whether a report of `carrier` with `status` counts now. `delivered` counts from every
    /// carrier: one whose call failed may still have delivered. Any other status counts from the
    /// carrier that has the message, or may have it.
    #[must_use]
    pub fn accepts_report(&self, carrier: &str, status: DeliveryStatus) -> bool {
        status == DeliveryStatus::Delivered
            || match &self.carrier {
                Some(holder) => holder == carrier,
                None => !self.status.may_become(DeliveryStatus::Unknown),
            }
    }
}

/// Why a message exists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// The app requested it.
    Requested,
    /// The message before it had an unknown outcome, or failed because of the account at its
    /// carrier: the second and last carrier.
    SecondCarrier,
    /// The channel before it did not deliver.
    Fallback,
}

impl Cause {
    /// Stored number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Requested => 0,
            Self::SecondCarrier => 1,
            Self::Fallback => 2,
        }
    }
}

impl TryFrom<u8> for Cause {
    type Error = UnknownNumber;

    fn try_from(number: u8) -> Result<Self, UnknownNumber> {
        let all = [Self::Requested, Self::SecondCarrier, Self::Fallback];
        all.into_iter()
            .find(|cause| cause.number() == number)
            .ok_or(UnknownNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_only_moves_up() {
        use DeliveryStatus as S;
        for (at, from) in S::ALL.into_iter().enumerate() {
            assert_eq!(S::try_from(from.number()), Ok(from));
            for to in S::ALL.into_iter().take(at + 1) {
                assert!(!from.may_become(to), "{from:?} -> {to:?}");
            }
        }
        assert!(S::Undelivered.may_become(S::Delivered));
        assert!(S::Failed.may_become(S::Delivered));
        assert!(S::Unknown.may_become(S::Sent));
    }

    #[test]
    fn failure_does_not_replace_another_failure() {
        use DeliveryStatus as S;
        assert!(!S::Undelivered.may_become(S::Failed));
        assert!(!S::Delivered.may_become(S::Undelivered));
    }

    #[test]
    fn names_and_failures_are_those_of_responses() {
        let named = DeliveryStatus::ALL.map(|status| (status.name(), status.is_failure()));
        let expected = [
            ("queued", false),
            ("sending", false),
            ("unknown", false),
            ("sent", false),
            ("undelivered", true),
            ("rejected", true),
            ("expired", true),
            ("failed", true),
            ("delivered", false),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn stored_numbers_are_read_back() {
        let causes = [Cause::Requested, Cause::SecondCarrier, Cause::Fallback];
        assert_eq!(causes.map(Cause::number), [0, 1, 2]);
        assert_eq!(
            causes.map(|cause| Cause::try_from(cause.number())),
            causes.map(Ok)
        );
        assert_eq!(Cause::try_from(3), Err(UnknownNumber));
        assert_eq!(DeliveryStatus::try_from(44), Err(UnknownNumber));
        let floors = DeliveryStatus::ALL.map(DeliveryStatus::rank_floor);
        assert_eq!(floors, [0, 10, 20, 30, 40, 40, 40, 40, 50]);
    }

    fn delivery(status: DeliveryStatus, carrier: Option<&str>) -> Delivery {
        Delivery {
            tag: DeliveryTag([1; 4]),
            number: 1,
            channel: Channel::Sms,
            status,
            carrier: carrier.map(str::to_owned),
            cause: Cause::Requested,
            updated_at: Timestamp(1000),
            parts: None,
            vendor_id: None,
            early_report: None,
            is_account_fault: false,
        }
    }

    #[test]
    fn early_report_of_its_carrier_counts_if_higher() {
        use DeliveryStatus as S;
        let moved = |status, carrier, reported: S| {
            let mut delivery = delivery(status, Some(carrier));
            delivery.early_report = Some(EarlyReport {
                carrier: "a".into(),
                reported: reported.into(),
            });
            delivery.status_of_early_report().map(|early| early.status)
        };
        assert_eq!(moved(S::Sent, "a", S::Undelivered), Some(S::Undelivered));
        assert_eq!(moved(S::Sent, "b", S::Undelivered), None);
        assert_eq!(moved(S::Delivered, "a", S::Undelivered), None);
        assert_eq!(delivery(S::Sent, Some("a")).status_of_early_report(), None);
    }

    #[test]
    fn report_counts_from_a_carrier_with_the_message() {
        use DeliveryStatus as S;
        let counts =
            |status, carrier, reported| delivery(status, carrier).accepts_report("a", reported);
        assert!(counts(S::Sent, Some("a"), S::Undelivered));
        assert!(counts(S::Sent, Some("b"), S::Delivered));
        assert!(!counts(S::Sent, Some("b"), S::Undelivered));
        assert!(counts(S::Sending, None, S::Delivered));
        assert!(!counts(S::Sending, None, S::Undelivered));
        assert!(!counts(S::Queued, None, S::Sent));
        assert!(counts(S::Unknown, None, S::Undelivered));
    }
}
