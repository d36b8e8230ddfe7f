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
/// How long a check without key is remembered, for a retry of the write.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::decision::DECISION_SECONDS;
    use crate::domain::decision::tests::challenge;
    use crate::domain::ids::{BodyHash, IdempotencyKeyHash};
    use crate::domain::log_outcomes::tests::{NOW, backup_codes, hotp, submitted, totp};
    use crate::domain::place::{PlaceHash, RequestPlace};

    fn confirmed(factor: Factor) -> Factor {
        Factor {
            confirmed_at: Some(NOW),
            ..factor
        }
    }

    fn recipient(n: u8, channel: Channel) -> VerifiedRecipient {
        let approval = Approval {
            nonce: AttemptNonce::Random([n; 8]),
            recipient: RecordKey([n; 12]),
            sealed_to: vec![],
            channel,
            purpose: "default".into(),
            is_unique: false,
            decision: None,
            at: NOW + i64::from(n),
        };
        VerifiedRecipient::new(&approval, 1)
    }

    fn decision(n: u8) -> Decision {
        let mut decision = challenge(u32::from(n), vec![vec![Proof::Totp]]);
        decision.nonce = DecisionNonce([n; 8]);
        decision.created_at = NOW;
        decision.expires_at = NOW + 600 + i64::from(n);
        decision
    }

    #[test]
    fn factor_is_found_until_it_expires() {
        let subject = Subject {
            factors: vec![totp(1), confirmed(hotp(2))],
            ..Subject::default()
        };
        let is_found = |id, seconds| subject.factor(id, NOW + seconds).is_some();
        assert!(is_found(totp(1).id, 599) && !is_found(totp(1).id, 600));
        assert!(is_found(hotp(2).id, 600) && !is_found(hotp(3).id, 0));
    }

    #[test]
    fn decision_is_found_while_it_is_remembered() {
        let subject = Subject {
            decisions: vec![decision(1), decision(2)],
            ..Subject::default()
        };
        let found = |n, seconds| {
            let found = subject.decision(DecisionNonce([n; 8]), NOW + seconds);
            found.map(|decision| decision.number)
        };
        assert_eq!(found(2, DECISION_SECONDS - 1), Some(2));
        assert_eq!(found(2, DECISION_SECONDS), None);
        assert_eq!(found(3, 0), None);
    }

    #[test]
    fn subject_lasts_with_a_proof_place_or_log() {
        let mut passing = Subject {
            factors: vec![totp(1)],
            ..Subject::default()
        };
        assert!(!passing.is_lasting() && !passing.has_proof());
        let mut with_log = passing.clone();
        let removal = Removal {
            nonce: AttemptNonce::Random([1; 8]),
            recipient: RecordKey([1; 12]),
        };
        with_log.log.push(LogEntry::Removal(removal));
        assert!(with_log.is_lasting() && !with_log.has_proof());
        let mut with_place = passing.clone();
        let place = RequestPlace {
            country: Some(PlaceHash([1; 8])),
            ..RequestPlace::default()
        };
        with_place.places.learn(&place, NOW);
        assert!(with_place.is_lasting() && !with_place.has_proof());
        let mut with_recipient = passing.clone();
        with_recipient.recipients.push(recipient(1, Channel::Sms));
        assert!(with_recipient.is_lasting() && with_recipient.has_proof());
        passing.factors[0].confirmed_at = Some(NOW);
        assert!(passing.is_lasting() && passing.has_proof());
    }

    #[test]
    fn new_set_of_backup_codes_replaces_the_earlier_one() {
        let mut subject = Subject::default();
        for factor in [backup_codes(1), backup_codes(2), totp(3)] {
            subject.enrol(factor).expect("room");
        }
        let ids: Vec<_> = subject.factors.iter().map(|factor| factor.id).collect();
        assert_eq!(ids, [backup_codes(2).id, totp(3).id]);
    }

    #[test]
    fn oldest_unconfirmed_factor_makes_room() {
        let mut subject = Subject::default();
        subject.enrol(confirmed(totp(0))).expect("room");
        for n in 1..20 {
            subject.enrol(totp(n)).expect("room");
        }
        subject.enrol(totp(20)).expect("room is made");
        assert_eq!(subject.factors.len(), FACTORS_MAX);
        assert!(subject.factor(totp(0).id, NOW).is_some());
        assert!(subject.factor(totp(1).id, NOW).is_none());
        for factor in &mut subject.factors {
            factor.confirmed_at = Some(NOW);
        }
        assert_eq!(subject.enrol(totp(21)), Err(TooManyFactors));
        assert_eq!(subject.factors.len(), FACTORS_MAX);
    }

    #[test]
    fn oldest_ended_decision_makes_room() {
        let mut subject = Subject::default();
        let max = u8::try_from(DECISIONS_MAX).expect("few");
        for n in 1..=max {
            subject.add_decision(decision(n), NOW).expect("room");
        }
        let until = NOW + 601;
        let full = subject.add_decision(decision(99), NOW);
        assert_eq!(full, Err(TooManyDecisions { until }), "the first ends then");
        assert_eq!(subject.decisions_made, u32::from(max));
        subject
            .add_decision(decision(99), until)
            .expect("room is made");
        let numbers = subject.decisions.iter().map(|decision| decision.number);
        assert_eq!(
            numbers.collect::<Vec<_>>(),
            (2..=20).chain([99]).collect::<Vec<_>>()
        );
        assert_eq!(subject.decisions_made, 99);
    }

    #[test]
    fn erasure_keeps_counts_and_unlock_clears_them() {
        let mut subject = Subject {
            factors: vec![totp(1)],
            wrong_app_codes: vec![NOW],
            wrong_backup_codes: vec![NOW],
            recipients: vec![recipient(1, Channel::Sms)],
            decisions: vec![decision(1)],
            last_strong_at: Some(NOW),
            ..Subject::default()
        };
        subject.erase();
        let counts = Subject {
            wrong_app_codes: vec![NOW],
            wrong_backup_codes: vec![NOW],
            ..Subject::default()
        };
        assert_eq!(subject, counts);
        subject.unlock();
        assert_eq!(subject, Subject::default());
    }

    #[test]
    fn budget_is_free_again_after_a_day() {
        let subject = Subject {
            wrong_app_codes: vec![NOW + 2, NOW, NOW + 1],
            wrong_backup_codes: vec![NOW + 9],
            ..Subject::default()
        };
        let unlocks = |budget, max, seconds| {
            let at = subject.unlocks_at(budget, max, NOW + seconds);
            at.map(|at| at.seconds_since(NOW + WRONG_CODE_SECONDS))
        };
        assert_eq!(unlocks(Budget::Apps, 4, 3), None);
        assert_eq!(unlocks(Budget::Apps, 3, 3), Some(0));
        assert_eq!(unlocks(Budget::Apps, 1, 3), Some(2), "the last of them");
        assert_eq!(unlocks(Budget::Apps, 3, WRONG_CODE_SECONDS), None);
        assert_eq!(unlocks(Budget::BackupCodes, 1, 10), Some(9));
        let counted = subject.counted_wrong_codes(Budget::Apps, NOW + WRONG_CODE_SECONDS);
        assert_eq!(counted, [NOW + 1, NOW + 2]);
    }

    #[test]
    fn active_factors_and_recipients_are_enrolled() {
        let mut unreadable = confirmed(hotp(2));
        let secret = unreadable.secret_mut().expect("a secret");
        secret.has_live_key = false;
        let mut subject = Subject {
            factors: vec![totp(1), unreadable, backup_codes(3)],
            ..Subject::default()
        };
        assert_eq!(subject.enrolled(), [Proof::BackupCodes]);
        subject.recipients = vec![recipient(1, Channel::Email)];
        assert_eq!(subject.enrolled(), [Proof::BackupCodes, Proof::Email]);
        let of_phone = [Proof::Sms, Proof::Voice, Proof::Whatsapp];
        for channel in [Channel::Sms, Channel::Voice, Channel::Whatsapp] {
            subject.recipients = vec![recipient(1, channel)];
            assert_eq!(subject.enrolled()[1..], of_phone);
        }
        subject.recipients = vec![recipient(1, Channel::Push)];
        assert_eq!(subject.enrolled(), [Proof::BackupCodes]);
    }

    #[test]
    fn surplus_recipients_are_the_earliest_ones() {
        let mut subject = Subject::default();
        for n in [7, 3, 9, 1].into_iter().chain(10..27) {
            assert!(!subject.has_surplus_recipients());
            subject.recipients.push(recipient(n, Channel::Sms));
        }
        assert!(subject.has_surplus_recipients());
        subject.remove_surplus_recipients();
        let left = |subject: &Subject| {
            let keys = subject.recipients.iter().map(|known| known.recipient.0[0]);
            keys.take(4).collect::<Vec<_>>()
        };
        assert_eq!(subject.recipients.len(), RECIPIENTS_MAX);
        assert_eq!(left(&subject), [7, 3, 9, 10]);
        subject.remove_recipient(RecordKey([3; 12]));
        assert_eq!(left(&subject), [7, 9, 10, 11]);
        subject.remove_surplus_recipients();
        assert_eq!(subject.recipients.len(), RECIPIENTS_MAX - 1);
    }

    fn remembered(nonce: AttemptNonce) -> RememberedCheck {
        let mut submitted = submitted(1, totp(1).id, AttemptHash([1; 16]));
        submitted.attempt.nonce = nonce;
        RememberedCheck {
            submitted,
            outcome: FactorOutcome {
                verdict: Verdict::Wrong,
                status: FactorStatus::Active,
                wrong_codes: 1,
                codes_left: None,
                decision: None,
            },
        }
    }

    fn enrolment(n: u8) -> KeyedEnrolment {
        KeyedEnrolment {
            idempotency: Idempotency {
                key: IdempotencyKeyHash([n; 8]),
                body: BodyHash([n; 8]),
            },
            factor: totp(1).id,
            at: NOW,
        }
    }

    fn recorded(n: u8) -> RecordedApproval {
        RecordedApproval {
            nonce: AttemptNonce::Keyed([n; 8]),
            at: NOW,
        }
    }

    #[test]
    fn expired_values_are_dropped() {
        let subject = Subject {
            factors: vec![totp(1), confirmed(totp(2))],
            wrong_app_codes: vec![NOW],
            wrong_backup_codes: vec![NOW],
            enrolments: vec![enrolment(1)],
            remembered: vec![
                remembered(AttemptNonce::Keyed([1; 8])),
                remembered(AttemptNonce::Random([2; 8])),
            ],
            recorded: vec![recorded(1)],
            decisions: vec![decision(1)],
            ..Subject::default()
        };
        // Factors, wrong codes of both kinds, enrolments, checks, approvals, decisions.
        let left = |seconds| {
            let mut pruned = subject.clone();
            pruned.prune(NOW + seconds);
            [
                pruned.factors.len(),
                pruned.wrong_app_codes.len(),
                pruned.wrong_backup_codes.len(),
                pruned.enrolments.len(),
                pruned.remembered.len(),
                pruned.recorded.len(),
                pruned.decisions.len(),
            ]
        };
        assert_eq!(left(14), [2, 1, 1, 1, 2, 1, 1]);
        assert_eq!(left(15), [2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(left(599), [2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(left(600), [1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(left(DAY_SECONDS - 1), [1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(left(DAY_SECONDS), [1, 0, 0, 0, 0, 1, 0]);
        assert_eq!(left(RECORDED_SECONDS - 1), [1, 0, 0, 0, 0, 1, 0]);
        assert_eq!(left(RECORDED_SECONDS), [1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(RECORDED_SECONDS, 49 * HOUR_SECONDS);
    }

    #[test]
    fn latest_checks_of_each_kind_are_remembered() {
        let mut subject = Subject::default();
        for n in 0..50 {
            subject
                .remembered
                .push(remembered(AttemptNonce::Keyed([n; 8])));
            subject
                .remembered
                .push(remembered(AttemptNonce::Random([n; 8])));
            subject.enrolments.push(enrolment(n));
            subject.recorded.push(recorded(n));
        }
        subject.prune(NOW);
        let nonces = subject.remembered.iter();
        let nonces: Vec<_> = nonces.map(|check| check.submitted.attempt.nonce).collect();
        let expected =
            (30..50).flat_map(|n| [AttemptNonce::Keyed([n; 8]), AttemptNonce::Random([n; 8])]);
        assert_eq!(nonces, expected.collect::<Vec<_>>());
        assert_eq!(
            subject.enrolments,
            (30..50).map(enrolment).collect::<Vec<_>>()
        );
        assert_eq!(subject.recorded, (10..50).map(recorded).collect::<Vec<_>>());
    }

    #[test]
    fn places_are_forgotten_with_the_rest() {
        let mut subject = Subject::default();
        let place = RequestPlace {
            device: Some(PlaceHash([1; 8])),
            ..RequestPlace::default()
        };
        subject.places.learn(&place, NOW);
        subject.prune(NOW + 179 * DAY_SECONDS);
        assert!(!subject.places.is_empty());
        subject.prune(NOW + 180 * DAY_SECONDS);
        assert!(subject.places.is_empty());
    }

    #[test]
    fn kinds_of_factors_have_two_budgets() {
        let budgets = FactorType::ALL.map(Budget::from);
        assert_eq!(budgets, [Budget::Apps, Budget::Apps, Budget::BackupCodes]);
    }
}
