//! The records at the start: a recipient whose verification for a subject is pending, and two
//! subjects. What an approval writes, as `service::approvals` makes it.

use std::hash::{Hash, Hasher};

use otp::domain::attempt_log::Attempt;
use otp::domain::channel::Channel;
use otp::domain::decision::Decision;
use otp::domain::decision_rules::RuleOutcome;
use otp::domain::ids::{
    AttemptHash, AttemptNonce, DecisionNonce, FactorId, RecordKey, SubjectKey, VerificationNonce,
};
use otp::domain::log_outcomes::{CodeHashes, judge};
use otp::domain::place::RequestPlace;
use otp::domain::proof::Proof;
use otp::domain::recipient::Recipient;
use otp::domain::subject::{LogEntry, Subject};
use otp::domain::time::Timestamp;
use otp::domain::verification::{SealedCode, Verification};
use otp::domain::verification_params::{DEFAULT_PURPOSE, VerificationParams, VerificationSubject};
use otp::domain::verified_recipient::Approval;

use super::super::table::WriteId;
use super::{Broken, Scenario};

pub const NOW: Timestamp = Timestamp(1_800_000_000);
pub const RECIPIENT: RecordKey = RecordKey([9; 12]);
const RIGHT: AttemptHash = AttemptHash([7; 16]);
/// The decision that the check of the first subject names.
pub const DECISION: DecisionNonce = DecisionNonce([3; 8]);

/// A subject.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub enum Who {
    /// Whose verification is pending at the start.
    First,
    /// For whom a send is made.
    Second,
}

impl Who {
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    pub fn key(self) -> SubjectKey {
        SubjectKey(RecordKey([1 + self as u8; 12]))
    }

    /// The verification for it.
    pub fn verification(self) -> VerificationNonce {
        VerificationNonce([1 + self as u8; 4])
    }

    pub fn of(key: SubjectKey) -> Self {
        match key == Self::First.key() {
            true => Self::First,
            false => Self::Second,
        }
    }
}

/// The item of a subject, and the write that left it.
#[derive(Debug)]
pub struct SubjectItem {
    pub subject: Subject,
    pub version: WriteId,
}

impl Hash for SubjectItem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        format!("{self:?}").hash(state);
    }
}

/// No subject has a factor.
struct NoCodes;

impl CodeHashes for NoCodes {
    fn code_hash(&self, _: FactorId, _: u64) -> Option<AttemptHash> {
        None
    }

    fn pair_hash(&self, _: FactorId, _: u64) -> Option<AttemptHash> {
        None
    }
}

/// The subject after its log, without settling it.
pub fn judged(subject: &Subject) -> Subject {
    judge(subject, &NoCodes).subject
}

/// The settled subject, as `Judged::settle` makes it.
pub fn settled(scenario: &Scenario, subject: &Subject) -> Subject {
    let mut before = subject.clone();
    if scenario.is_broken(Broken::SettleDropsApprovals) {
        before.log.clear();
    }
    let mut settled = judge(&before, &NoCodes).settle(NOW);
    if scenario.is_broken(Broken::SettleDropsRecorded) {
        settled.recorded.clear();
    }
    settled
}

/// How often an approval is in the log or among the settled ones.
pub fn times_recorded(subject: &Subject, nonce: AttemptNonce) -> usize {
    let is_logged = |entry: &&LogEntry| match entry {
        LogEntry::Approval(approval) => approval.nonce == nonce,
        LogEntry::Check(_) | LogEntry::Removal(_) => false,
    };
    let settled = subject.recorded.iter();
    let settled = settled.filter(|recorded| recorded.nonce == nonce);
    subject.log.iter().filter(is_logged).count() + settled.count()
}

/// What names the approval of a verification.
pub fn approval_nonce(nonce: VerificationNonce) -> AttemptNonce {
    let [byte, ..] = nonce.0;
    AttemptNonce::Keyed([byte; 8])
}

/// The approval of the current verification.
pub fn approval(recipient: &Recipient) -> Option<(Who, Approval)> {
    let current = recipient.current.as_ref()?;
    let subject = current.approved_subject()?;
    let success = current.success()?;
    let approval = Approval {
        nonce: approval_nonce(current.params.nonce),
        recipient: RECIPIENT,
        sealed_to: vec![],
        channel: current.params.channel,
        purpose: current.params.purpose.clone(),
        is_unique: subject.is_unique,
        decision: success.decision,
        at: success.at,
    };
    Some((Who::of(subject.key), approval))
}

/// The attempt of the check for `who`, with the right code.
pub fn attempt(who: Who, try_number: u8) -> Attempt {
    Attempt {
        nonce: AttemptNonce::Keyed([100 + who as u8; 8]),
        hash: RIGHT,
        decision: (who == Who::First).then_some(DECISION),
        at: NOW,
        invocation: [try_number; 4],
    }
}

/// A pending verification for `who`. `owner`: to whom the recipient belongs at the send.
pub fn verification(scenario: &Scenario, who: Who, owner: Option<SubjectKey>) -> Verification {
    let is_unique = scenario.is_unique;
    let is_foreign = owner.is_some_and(|owner| owner != who.key());
    let params = VerificationParams {
        nonce: who.verification(),
        channel: Channel::Sms,
        fallback: vec![],
        locale: String::new(),
        purpose: DEFAULT_PURPOSE.into(),
        transaction: None,
        subject: Some(VerificationSubject {
            key: who.key(),
            sealed_id: vec![],
            sealed_for: who.verification(),
            id: None,
            is_unique,
            is_taken: is_unique && is_foreign,
        }),
        reference: None,
        idempotency: None,
        created_at: NOW,
        expires_at: NOW + 300,
        attempts_max: 5,
    };
    let code = SealedCode {
        sealed: vec![],
        expected_hash: RIGHT,
    };
    Verification::new(params, code)
}

/// The recipient at the start.
pub fn recipient(scenario: &Scenario) -> Recipient {
    Recipient {
        current: Some(verification(scenario, Who::First, None)),
        ..Recipient::default()
    }
}

/// A subject at the start. The first one has a decision.
pub fn subject(scenario: &Scenario, who: Who) -> Subject {
    let mut subject = Subject::default();
    if who == Who::First {
        subject.decisions_made = 1;
        subject.decisions.push(Decision {
            nonce: DECISION,
            number: 1,
            action: String::new(),
            rule: String::new(),
            reasons: vec![],
            outcome: RuleOutcome::Challenge(vec![vec![Proof::Sms]]),
            approved_by: vec![],
            created_at: NOW,
            expires_at: NOW + 600,
            approved_at: None,
            is_denied: false,
            any_counts: scenario.any_counts || scenario.is_broken(Broken::UnknownRecipientCounts),
            place: RequestPlace::default(),
            idempotency: None,
        });
    }
    subject
}
