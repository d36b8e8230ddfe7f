//! Verification: one recipient being proven once for a purpose. States, and `judge`, the pure function of the attempt log.
//! Pure. An attempt that is not in the log was never made; nothing here gives an attempt back.

use crate::domain::channel::Channel;
use crate::domain::delivery::{Delivery, DeliveryStatus, HANDOVER_MARGIN_SECONDS};
use crate::domain::time::Timestamp;

/// Random part of a verification id.
pub type Nonce = [u8; 16];
/// Keyed hash of what was presented: purpose, transaction and code together, so that nothing tells which was wrong.
pub type AttemptHash = [u8; 16];
/// Random name of a worker's claim.
pub type ClaimId = [u8; 6];
/// Keyed hash of an `Idempotency-Key` or of the body that came with it.
pub type KeyHash = [u8; 8];

/// Where a verification stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Waiting for the code.
    Pending,
    /// The code was presented. Final.
    Approved,
    /// PastVerification by the caller. Final.
    Canceled,
    /// Its time is over. Final.
    Expired,
    /// Its attempts are used up. Final.
    Exhausted,
    /// A newer verification took its place. Final.
    Superseded,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Approved,
        Self::Canceled,
        Self::Expired,
        Self::Exhausted,
        Self::Superseded,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Exhausted => "exhausted",
            Self::Superseded => "superseded",
        }
    }

    /// The status called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Why a code is rejected in this state; `None` while the verification is pending.
    #[must_use]
    pub fn refusal(self) -> Option<Reason> {
        match self {
            Self::Pending => None,
            Self::Approved => Some(Reason::AlreadyUsed),
            Self::Canceled => Some(Reason::Canceled),
            Self::Expired => Some(Reason::Expired),
            Self::Exhausted => Some(Reason::Exhausted),
            Self::Superseded => Some(Reason::Superseded),
        }
    }
}

/// Why a check was not valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Code, purpose or transaction did not fit.
    WrongCode,
    /// Too late, or the key that sealed the code is gone.
    Expired,
    /// No attempts left.
    Exhausted,
    /// Another attempt succeeded.
    AlreadyUsed,
    /// PastVerification by the caller.
    Canceled,
    /// A newer verification took its place.
    Superseded,
}

impl Reason {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongCode => "wrong_code",
            Self::Expired => "expired",
            Self::Exhausted => "exhausted",
            Self::AlreadyUsed => "already_used",
            Self::Canceled => "canceled",
            Self::Superseded => "superseded",
        }
    }
}

/// What a payment must show and repeat (PSD2 dynamic linking).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// As the person reads it.
    pub amount: String,
    /// As the person reads it.
    pub currency: String,
    /// Who is paid.
    pub payee: String,
}

/// What was agreed at the start; never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerificationParams {
    /// Random part of the id.
    pub nonce: Nonce,
    /// The channel asked for.
    pub channel: Channel,
    /// Channels to fall back to, in order.
    pub fallback: Vec<Channel>,
    /// Tag of the text's language.
    pub locale: String,
    /// What is proven.
    pub purpose: String,
    /// What is paid.
    pub transaction: Option<Transaction>,
    /// Echoed, never interpreted.
    pub reference: Option<String>,
    /// The `Idempotency-Key` that made it, and the body that came along.
    pub idempotency: Option<(KeyHash, KeyHash)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From this moment on no code is right.
    pub expires_at: Timestamp,
    /// Attempts that it can take: k, or what was left of the guess budget.
    pub attempts_max: u8,
}

impl VerificationParams {
    /// Whether a message that is handed over at `now` does not arrive with a dead code.
    #[must_use]
    pub fn is_in_time(&self, now: Timestamp) -> bool {
        now <= self.expires_at - HANDOVER_MARGIN_SECONDS
    }

    /// Whether a message that is asked for at `at` can still be handed over.
    #[must_use]
    pub fn has_time_for_a_send(&self, at: Timestamp) -> bool {
        self.is_in_time(at + 1)
    }
}

/// One entry of the attempt log, in the order in which the table took them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Names the attempt: random, or derived from its `Idempotency-Key`. A repeated nonce is the same attempt.
    pub nonce: Vec<u8>,
    /// What was presented.
    pub hash: AttemptHash,
    /// When.
    pub at: Timestamp,
    /// Which invocation wrote it: tells the SDK's own retry from a caller's.
    pub invocation: [u8; 4],
}

/// Where the work on a verification's deliveries stands; see `delivery::next`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The dispatch that may take the next step. Any other is stale.
    pub sequence: u16,
    /// Not before.
    pub due: Timestamp,
    /// A worker has it until then.
    pub held_until: Timestamp,
    /// The claim of that worker, or of the last one.
    pub holder: ClaimId,
    /// Rounds through the carriers in which nobody took the message.
    pub rounds: u8,
}

/// The verification that a recipient has now, whatever became of it, until a newer one takes its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verification {
    /// What was agreed.
    pub params: VerificationParams,
    /// The attempt log.
    pub attempts: Vec<Attempt>,
    /// Attempts before this index met an earlier code (policy `fresh`) and were wrong.
    pub attempts_settled: usize,
    /// Attempts before this index no longer count against the guess budget: support unlocked the recipient.
    pub attempts_forgiven: usize,
    /// Whether the key that sealed the code is live. Without it no attempt is taken and nothing can be sent.
    pub is_openable: bool,
    /// The code as it rests.
    pub sealed_code: Vec<u8>,
    /// What the right attempt hashes to.
    pub expected: AttemptHash,
    /// When the caller ended it.
    pub canceled_at: Option<Timestamp>,
    /// Its messages, oldest first.
    pub deliveries: Vec<Delivery>,
    /// Fallback channels already used.
    pub fallbacks_used: u8,
    /// Where the work on its deliveries stands.
    pub step: Step,
}

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// `None`: the code was right and this attempt is the success.
    pub reason: Option<Reason>,
    /// Where the verification stood right after it.
    pub status: Status,
    /// What was left right after it.
    pub attempts_left: u8,
}

/// Index of the attempt that succeeded: the first one, from `settled` on, that hashes to `expected`.
/// Every entry is compared, in constant time, whatever was found before.
#[must_use]
pub fn judge(attempts: &[Attempt], settled: usize, expected: &AttemptHash) -> Option<usize> {
    let mut winner = None;
    for (index, attempt) in attempts.iter().enumerate().skip(settled) {
        let differing = attempt
            .hash
            .iter()
            .zip(expected)
            .fold(0u8, |bits, (a, b)| bits | (a ^ b));
        if std::hint::black_box(differing) == 0 && winner.is_none() {
            winner = Some(index);
        }
    }
    winner
}

impl Verification {
    /// Index of the attempt that succeeded.
    #[must_use]
    pub fn winner(&self) -> Option<usize> {
        judge(&self.attempts, self.attempts_settled, &self.expected)
    }

    /// Where it stands at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        if self.winner().is_some() {
            Status::Approved
        } else if self.canceled_at.is_some() {
            Status::Canceled
        } else if self.attempts.len() >= usize::from(self.params.attempts_max) {
            Status::Exhausted
        } else if now >= self.params.expires_at || !self.is_openable {
            Status::Expired
        } else {
            Status::Pending
        }
    }

    /// Attempts that count: those after a success changed nothing.
    #[must_use]
    pub fn attempts_used(&self) -> u8 {
        let used = self
            .winner()
            .map_or(self.attempts.len(), |winner| winner + 1);
        u8::try_from(used).unwrap_or(u8::MAX)
    }

    /// What is left of k and of the guess budget.
    #[must_use]
    pub fn attempts_left(&self) -> u8 {
        self.params
            .attempts_max
            .saturating_sub(self.attempts_used())
    }

    /// Moments of the wrong attempts that count against the guess budget.
    pub fn wrong_attempts(&self) -> impl Iterator<Item = Timestamp> {
        let end = self.winner().unwrap_or(self.attempts.len());
        self.attempts[..end]
            .iter()
            .skip(self.attempts_forgiven)
            .map(|attempt| attempt.at)
    }

    /// What the attempt called `nonce` found; if it is not in the log, why no further attempt is taken.
    #[must_use]
    pub fn outcome(&self, nonce: &[u8], now: Timestamp) -> Outcome {
        match self
            .attempts
            .iter()
            .position(|attempt| attempt.nonce == nonce)
        {
            Some(index) => self.outcome_at(index),
            None => self.refusal(now),
        }
    }

    fn outcome_at(&self, index: usize) -> Outcome {
        let left_after = |used: usize| {
            self.params
                .attempts_max
                .saturating_sub(u8::try_from(used).unwrap_or(u8::MAX))
        };
        match self.winner() {
            Some(winner) if index == winner => Outcome {
                reason: None,
                status: Status::Approved,
                attempts_left: left_after(winner + 1),
            },
            Some(winner) if index > winner => Outcome {
                reason: Some(Reason::AlreadyUsed),
                status: Status::Approved,
                attempts_left: left_after(winner + 1),
            },
            _ => {
                let attempts_left = left_after(index + 1);
                let status = if attempts_left == 0 {
                    Status::Exhausted
                } else {
                    Status::Pending
                };
                Outcome {
                    reason: Some(Reason::WrongCode),
                    status,
                    attempts_left,
                }
            }
        }
    }

    fn refusal(&self, now: Timestamp) -> Outcome {
        // The table refused an attempt that the rules would take only when its clock is behind the writer's.
        let status = Some(self.status(now))
            .filter(|status| *status != Status::Pending)
            .unwrap_or(Status::Expired);
        Outcome {
            reason: status.refusal(),
            status,
            attempts_left: self.attempts_left(),
        }
    }

    /// Fallback channels not used yet.
    #[must_use]
    pub fn fallback_left(&self) -> &[Channel] {
        self.params
            .fallback
            .get(usize::from(self.fallbacks_used)..)
            .unwrap_or_default()
    }

    /// Number of the next delivery.
    #[must_use]
    pub fn next_delivery_number(&self) -> u16 {
        self.deliveries
            .last()
            .map_or(1, |latest| latest.number.saturating_add(1))
    }

    /// Whether its latest message waits in the queue and no worker ever took it.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.step.held_until == Timestamp(0) && self.is_unheard_of()
    }

    /// Whether nothing is known of its latest message but that it was asked for.
    #[must_use]
    pub fn is_unheard_of(&self) -> bool {
        self.deliveries
            .last()
            .is_some_and(|latest| latest.status == DeliveryStatus::Queued)
    }

    /// Whether a worker is handing its latest message over right now.
    #[must_use]
    pub fn is_in_hand(&self, now: Timestamp) -> bool {
        self.step.held_until > now
    }

    /// Whether whoever had its latest message in hand has died: they planned nothing after it, and hold it no more. It may have gone out.
    #[must_use]
    pub fn was_dropped(&self, now: Timestamp) -> bool {
        self.step.held_until > self.step.due && !self.is_in_hand(now)
    }

    /// Whether its latest message was asked for more than `after_seconds` ago and never left the queue.
    #[must_use]
    pub fn is_stuck(&self, now: Timestamp, after_seconds: i64) -> bool {
        self.is_untouched()
            && self
                .deliveries
                .last()
                .is_some_and(|latest| now.seconds_since(latest.updated_at) > after_seconds)
    }

    /// What a latest message that is still queued comes to when no step will be taken for it any more: a worker that has it will say
    /// what became of it, one that died with it in hand will not, and without one it will never go.
    #[must_use]
    pub fn left_as(&self, now: Timestamp) -> DeliveryStatus {
        match (self.is_in_hand(now), self.was_dropped(now)) {
            (true, _) => DeliveryStatus::Sending,
            (false, true) => DeliveryStatus::Unknown,
            (false, false) => DeliveryStatus::Failed,
        }
    }

    /// Settles a latest message that is still queued.
    pub fn leave_latest(&mut self, now: Timestamp) {
        let left_as = self.left_as(now);
        if let Some(latest) = self
            .deliveries
            .last_mut()
            .filter(|latest| latest.status == DeliveryStatus::Queued)
        {
            (latest.status, latest.updated_at) = (left_as, now);
        }
    }
}

/// Nonces of attempts with an `Idempotency-Key` are longer than random ones: they are kept for its repetition.
pub const KEYED_ATTEMPT_NONCE_LENGTH: usize = 9;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const RIGHT: AttemptHash = [7; 16];

    pub(crate) fn verification(attempts_max: u8) -> Verification {
        Verification {
            params: VerificationParams {
                nonce: [1; 16],
                channel: Channel::Sms,
                fallback: vec![],
                locale: "en".into(),
                purpose: "default".into(),
                transaction: None,
                reference: None,
                idempotency: None,
                created_at: Timestamp(1000),
                expires_at: Timestamp(1300),
                attempts_max,
            },
            attempts: vec![],
            attempts_settled: 0,
            attempts_forgiven: 0,
            is_openable: true,
            sealed_code: vec![],
            expected: RIGHT,
            canceled_at: None,
            deliveries: vec![],
            fallbacks_used: 0,
            step: Step {
                sequence: 1,
                due: Timestamp(1000),
                held_until: Timestamp(0),
                holder: [0; 6],
                rounds: 0,
            },
        }
    }

    pub(crate) fn attempt(nonce: u8, right: bool) -> Attempt {
        Attempt {
            nonce: vec![nonce; 8],
            hash: if right { RIGHT } else { [0; 16] },
            at: Timestamp(1001),
            invocation: [0; 4],
        }
    }

    #[test]
    fn the_first_match_is_the_success_and_every_other_is_not() {
        let mut v = verification(5);
        v.attempts = vec![
            attempt(1, false),
            attempt(2, true),
            attempt(3, true),
            attempt(4, false),
        ];
        let outcome = |n: u8| v.outcome(&[n; 8], Timestamp(1002));
        assert_eq!(
            outcome(1),
            Outcome {
                reason: Some(Reason::WrongCode),
                status: Status::Pending,
                attempts_left: 4
            }
        );
        assert_eq!(
            outcome(2),
            Outcome {
                reason: None,
                status: Status::Approved,
                attempts_left: 3
            }
        );
        assert_eq!(outcome(3).reason, Some(Reason::AlreadyUsed));
        assert_eq!(
            outcome(4).reason,
            Some(Reason::AlreadyUsed),
            "nothing is compared after a success"
        );
        assert_eq!(outcome(9).reason, Some(Reason::AlreadyUsed));
        assert_eq!(v.wrong_attempts().count(), 1);
    }

    #[test]
    fn the_last_wrong_code_is_wrong_and_the_next_one_exhausted_even_if_right() {
        let mut v = verification(2);
        v.attempts = vec![attempt(1, false), attempt(2, false)];
        assert_eq!(
            v.outcome(&[2; 8], Timestamp(1002)),
            Outcome {
                reason: Some(Reason::WrongCode),
                status: Status::Exhausted,
                attempts_left: 0
            }
        );
        assert_eq!(
            v.outcome(&[3; 8], Timestamp(1002)),
            Outcome {
                reason: Some(Reason::Exhausted),
                status: Status::Exhausted,
                attempts_left: 0
            }
        );
    }

    #[test]
    fn a_code_whose_key_is_gone_is_expired() {
        let mut v = verification(5);
        v.is_openable = false;
        v.attempts = vec![attempt(1, false)];
        assert_eq!(
            v.outcome(&[9; 8], Timestamp(1002)).reason,
            Some(Reason::Expired)
        );
        v.attempts.push(attempt(2, true));
        assert_eq!(
            v.outcome(&[9; 8], Timestamp(1002)).reason,
            Some(Reason::AlreadyUsed),
            "what was approved stays so"
        );
    }

    #[test]
    fn an_attempt_against_an_earlier_code_stays_wrong_when_a_fresh_code_equals_it() {
        let mut v = verification(5);
        v.attempts = vec![attempt(1, true)];
        v.attempts_settled = 1;
        assert_eq!(v.status(Timestamp(1002)), Status::Pending);
        assert_eq!(
            v.outcome(&[1; 8], Timestamp(1002)).reason,
            Some(Reason::WrongCode)
        );
    }

    proptest! {
        #[test]
        fn at_most_one_attempt_is_valid_and_none_past_the_cap(rights in proptest::collection::vec(any::<bool>(), 0..12), max in 1u8..=10) {
            let mut v = verification(max);
            v.attempts = rights.iter().take(usize::from(max)).enumerate().map(|(n, right)| attempt(n as u8, *right)).collect();
            let outcomes: Vec<_> = (0..12u8).map(|n| v.outcome(&[n; 8], Timestamp(1002))).collect();
            prop_assert!(outcomes.iter().filter(|o| o.reason.is_none()).count() <= 1);
            let first = rights.iter().take(usize::from(max)).position(|right| *right);
            prop_assert_eq!(first, outcomes.iter().position(|o| o.reason.is_none()));
            prop_assert_eq!(v.wrong_attempts().count(), first.unwrap_or(v.attempts.len()));
        }
    }
}
