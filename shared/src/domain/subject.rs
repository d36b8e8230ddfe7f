//! Subject: all that is known of one user of an app. Its factors, the log of what was submitted and
//! verified, its verified recipients, places and decisions.
//!
//! Invariants: no factor, recipient or decision restores an attempt. A used code stays used.
//! Whether something has expired is decided by comparison with the current time.

use crate::domain::attempt_log::Attempt;
use crate::domain::decision::{DECISIONS_MAX, Decision, DecisionState, DecisionStatus};
use crate::domain::factor::{Factor, FactorStatus, FactorType};
use crate::domain::ids::{AttemptHash, AttemptNonce, DecisionNonce, FactorId, RecordKey};
use crate::domain::place::Places;
use crate::domain::proof::Proof;
use crate::domain::time::{DAY_SECONDS, HOUR_SECONDS, RETENTION_SECONDS, Timestamp};
use crate::domain::verification_params::Idempotency;
use crate::domain::verified_recipient::{
    Approval, RECIPIENTS_MAX, RecordedApproval, Removal, VerifiedRecipient,
};

/// Factors of a subject.
pub const FACTORS_MAX: usize = 20;
/// How long a wrong code counts.
pub const WRONG_CODE_SECONDS: i64 = DAY_SECONDS;
/// How long an `Idempotency-Key` is remembered.
const KEYED_SECONDS: i64 = DAY_SECONDS;
/// Keyed checks, and keyed enrolments, that are remembered.
const KEYED_MAX: usize = 20;
/// How long a check without key is remembered, for the SDK's own retries.
const RETRIED_SECONDS: i64 = 15;
/// Checks without key that are remembered.
const RETRIED_MAX: usize = 20;
/// How long a recorded approval is remembered: longer than its verification can be read.
const RECORDED_SECONDS: i64 = RETENTION_SECONDS + HOUR_SECONDS;
/// Recorded approvals that are remembered.
const RECORDED_MAX: usize = 40;

/// One submitted code, as an entry of the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FactorAttempt {
    /// Nonce, hash, decision, time and invocation.
    pub attempt: Attempt,
    /// The factor that it is for.
    pub factor: FactorId,
    /// Hash of two codes in a row, where both were submitted.
    pub pair_hash: Option<AttemptHash>,
}

/// An entry of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogEntry {
    /// A code was submitted.
    Check(FactorAttempt),
    /// A verification was approved for the subject.
    Approval(Approval),
    /// A verified recipient was removed.
    Removal(Removal),
}

/// How a submitted code was judged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It proves its factor.
    Accepted,
    /// A code of the factor that was accepted before, or precedes an accepted one.
    Replayed,
    /// Anything else. Costs an attempt.
    Wrong,
}

/// Outcome of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FactorOutcome {
    /// What the code is.
    pub verdict: Verdict,
    /// Status of the factor right after it.
    pub status: FactorStatus,
    /// Wrong codes up to it that were younger than 24 h at its time.
    pub wrong_codes: u16,
    /// Backup codes left right after it.
    pub codes_left: Option<u8>,
    /// The decision that it named, right after it.
    pub decision: Option<DecisionState>,
}

/// A check whose outcome is remembered for its replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RememberedCheck {
    /// What was submitted.
    pub submitted: FactorAttempt,
    /// The first response.
    pub outcome: FactorOutcome,
}

/// An enrolment with an `Idempotency-Key`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyedEnrolment {
    /// The key and the body.
    pub idempotency: Idempotency,
    /// The factor.
    pub factor: FactorId,
    /// When.
    pub at: Timestamp,
}

/// What a budget of wrong codes is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Budget {
    /// TOTP and HOTP factors together.
    Apps,
    /// Backup codes.
    BackupCodes,
}

impl From<FactorType> for Budget {
    fn from(kind: FactorType) -> Self {
        match kind {
            FactorType::Totp | FactorType::Hotp => Self::Apps,
            FactorType::BackupCodes => Self::BackupCodes,
        }
    }
}

/// All that is known of one subject.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subject {
    /// Its factors, oldest first.
    pub factors: Vec<Factor>,
    /// What was submitted and verified since the record was last settled.
    pub log: Vec<LogEntry>,
    /// Times of settled wrong codes of TOTP and HOTP factors.
    pub wrong_app_codes: Vec<Timestamp>,
    /// Times of settled wrong backup codes.
    pub wrong_backup_codes: Vec<Timestamp>,
    /// Settled checks, oldest first.
    pub remembered: Vec<RememberedCheck>,
    /// Enrolments with a key, oldest first.
    pub enrolments: Vec<KeyedEnrolment>,
    /// Verified recipients.
    pub recipients: Vec<VerifiedRecipient>,
    /// Settled approvals, oldest first.
    pub recorded: Vec<RecordedApproval>,
    /// Known places.
    pub places: Places,
    /// Decisions, oldest first.
    pub decisions: Vec<Decision>,
    /// Number of the latest decision.
    pub decisions_made: u32,
    /// The last accepted TOTP or HOTP code.
    pub last_strong_at: Option<Timestamp>,
}

/// The subject has as many factors as it can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyFactors;

/// As many decisions are pending as can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyDecisions {
    /// When the first of them ends.
    pub until: Timestamp,
}

impl Subject {
    /// The factor `id`, unless it has expired at `now`.
    #[must_use]
    pub fn factor(&self, id: FactorId, now: Timestamp) -> Option<&Factor> {
        let factor = self.factors.iter().find(|factor| factor.id == id);
        factor.filter(|factor| factor.expires_at().is_none_or(|at| now < at))
    }

    /// The decision `nonce`, if it is remembered.
    #[must_use]
    pub fn decision(&self, nonce: DecisionNonce, now: Timestamp) -> Option<&Decision> {
        let mut decisions = self.decisions.iter();
        decisions.find(|decision| decision.nonce == nonce && decision.is_remembered(now))
    }

    /// Whether it has something that does not expire: an active factor, a recipient, a place. An
    /// entry of the log counts if it may add one.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.has_proof() || !self.places.is_empty() || !self.log.is_empty()
    }

    /// Adds a factor. A set of backup codes replaces the earlier set; if there are too many, the
    /// oldest unconfirmed factor makes room. Call [`Self::prune`] first.
    ///
    /// # Errors
    /// [`TooManyFactors`].
    pub fn enrol(&mut self, factor: Factor) -> Result<(), TooManyFactors> {
        if factor.kind() == FactorType::BackupCodes {
            self.factors
                .retain(|other| other.kind() != FactorType::BackupCodes);
        }
        if self.factors.len() >= FACTORS_MAX {
            let mut factors = self.factors.iter();
            let unconfirmed = factors.position(|factor| factor.confirmed_at.is_none());
            self.factors.remove(unconfirmed.ok_or(TooManyFactors)?);
        }
        self.factors.push(factor);
        Ok(())
    }

    /// Adds a decision. If there are too many, the oldest one that is not pending makes room. Call
    /// [`Self::prune`] first.
    ///
    /// # Errors
    /// [`TooManyDecisions`].
    pub fn add_decision(
        &mut self,
        decision: Decision,
        now: Timestamp,
    ) -> Result<(), TooManyDecisions> {
        if self.decisions.len() >= DECISIONS_MAX {
            let is_pending = |d: &Decision| d.status(now) == DecisionStatus::Pending;
            match self.decisions.iter().position(|d| !is_pending(d)) {
                Some(oldest) => drop(self.decisions.remove(oldest)),
                None => {
                    let until = self.decisions.iter().map(|d| d.expires_at).min();
                    let until = until.unwrap_or(now);
                    return Err(TooManyDecisions { until });
                }
            }
        }
        self.decisions_made = decision.number;
        self.decisions.push(decision);
        Ok(())
    }

    /// Erases everything but the counts of wrong codes and what makes a repeated request known.
    pub fn erase(&mut self) {
        self.factors.clear();
        self.recipients.clear();
        self.places = Places::default();
        self.decisions.clear();
        self.last_strong_at = None;
    }

    /// Clears the counts of wrong codes.
    pub fn unlock(&mut self) {
        self.wrong_app_codes.clear();
        self.wrong_backup_codes.clear();
    }

    /// Wrong codes of `budget` that count at `now`, oldest first. Of a settled subject.
    #[must_use]
    pub fn counted_wrong_codes(&self, budget: Budget, now: Timestamp) -> Vec<Timestamp> {
        let wrong = match budget {
            Budget::Apps => &self.wrong_app_codes,
            Budget::BackupCodes => &self.wrong_backup_codes,
        };
        let counted = wrong.iter().copied();
        let mut counted: Vec<_> = counted
            .filter(|at| *at > now - WRONG_CODE_SECONDS)
            .collect();
        counted.sort_unstable();
        counted
    }

    /// When the first attempt is available again; `None` while there are attempts left. Of a
    /// settled subject.
    #[must_use]
    pub fn unlocks_at(&self, budget: Budget, budget_max: u8, now: Timestamp) -> Option<Timestamp> {
        let wrong = self.counted_wrong_codes(budget, now);
        let index = wrong.len().checked_sub(usize::from(budget_max))?;
        wrong.get(index).map(|at| *at + WRONG_CODE_SECONDS)
    }

    /// What the subject can prove. Of a settled subject.
    #[must_use]
    pub fn enrolled(&self) -> Vec<Proof> {
        let active = self.factors.iter();
        let active = active.filter(|factor| factor.status() == FactorStatus::Active);
        let mut enrolled: Vec<Proof> = active.map(|factor| factor.kind().into()).collect();
        for recipient in &self.recipients {
            match Proof::of_channel(recipient.channel) {
                Some(Proof::Email) => enrolled.push(Proof::Email),
                Some(_) => enrolled.extend([Proof::Sms, Proof::Voice, Proof::Whatsapp]),
                None => {}
            }
        }
        enrolled
    }

    /// Whether it has a confirmed factor, readable or not, or a verified recipient. Of a settled
    /// subject.
    #[must_use]
    pub fn has_proof(&self) -> bool {
        let mut factors = self.factors.iter();
        factors.any(|factor| factor.confirmed_at.is_some()) || !self.recipients.is_empty()
    }

    /// Whether it has recipients over the maximum. Of a settled subject.
    #[must_use]
    pub fn has_surplus_recipients(&self) -> bool {
        self.recipients.len() > RECIPIENTS_MAX
    }

    /// Removes the recipients over the maximum: those that were verified longest ago. Of a settled
    /// subject.
    pub fn remove_surplus_recipients(&mut self) {
        let mut oldest: Vec<_> = self.recipients.iter().collect();
        oldest.sort_by_key(|recipient| recipient.verified_at);
        oldest.truncate(self.recipients.len().saturating_sub(RECIPIENTS_MAX));
        let surplus: Vec<RecordKey> = oldest.iter().map(|known| known.recipient).collect();
        self.recipients
            .retain(|known| !surplus.contains(&known.recipient));
    }

    /// Removes a verified recipient.
    pub fn remove_recipient(&mut self, recipient: RecordKey) {
        self.recipients.retain(|known| known.recipient != recipient);
    }

    /// Drops what has expired at `now`. Of a settled subject.
    pub fn prune(&mut self, now: Timestamp) {
        self.factors
            .retain(|factor| factor.expires_at().is_none_or(|at| now < at));
        let day_ago = now - WRONG_CODE_SECONDS;
        self.wrong_app_codes.retain(|at| *at > day_ago);
        self.wrong_backup_codes.retain(|at| *at > day_ago);
        self.enrolments
            .retain(|keyed| now < keyed.at + KEYED_SECONDS);
        keep_last(&mut self.enrolments, KEYED_MAX, |_| true);
        self.remembered.retain(|check| {
            let attempt = &check.submitted.attempt;
            now < attempt.at + remembered_seconds(attempt.nonce)
        });
        keep_last(&mut self.remembered, KEYED_MAX, is_keyed);
        keep_last(&mut self.remembered, RETRIED_MAX, |check| !is_keyed(check));
        self.recorded
            .retain(|recorded| now < recorded.at + RECORDED_SECONDS);
        keep_last(&mut self.recorded, RECORDED_MAX, |_| true);
        self.places.prune(now);
        self.decisions
            .retain(|decision| decision.is_remembered(now));
    }
}

fn is_keyed(check: &RememberedCheck) -> bool {
    matches!(check.submitted.attempt.nonce, AttemptNonce::Keyed(_))
}

/// How long a check with this nonce is remembered.
#[must_use]
pub fn remembered_seconds(nonce: AttemptNonce) -> i64 {
    match nonce {
        AttemptNonce::Keyed(_) => KEYED_SECONDS,
        AttemptNonce::Random(_) => RETRIED_SECONDS,
    }
}

/// Keeps the last `count` of the elements that `counts` selects, and all others.
fn keep_last<T>(list: &mut Vec<T>, count: usize, counts: impl Fn(&T) -> bool) {
    let selected = list.iter().filter(|element| counts(element)).count();
    let mut surplus = selected.saturating_sub(count);
    list.retain(|element| {
        let is_surplus = surplus > 0 && counts(element);
        surplus -= usize::from(is_surplus);
        !is_surplus
    });
}
