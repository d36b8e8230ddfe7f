//! Log outcomes: computes the outcome of each entry of a subject's log, such as accepted, replayed
//! or wrong, and what follows for factors, recipients and decisions.
//!
//! Invariants: the outcomes follow from the stored factors and the log alone, without clock and
//! policy. To settle an entry (fold it into the record and remove it from the log) changes no later
//! outcome.

use crate::domain::attempt_log::is_match;
use crate::domain::decision::DecisionState;
use crate::domain::factor::{
    BackupCode, Factor, FactorStatus, FactorType, Method, RESYNC_COUNTERS,
};
use crate::domain::ids::{AttemptHash, AttemptNonce, DecisionNonce, FactorId, RecordKey};
use crate::domain::proof::Proof;
use crate::domain::subject::{
    Budget, FactorAttempt, FactorOutcome, LogEntry, RememberedCheck, Subject, Verdict,
};
use crate::domain::time::Timestamp;
use crate::domain::verified_recipient::{Approval, RecordedApproval, VerifiedRecipient};

/// Hashes of the codes of a subject's factors. `None` if the factor cannot be opened.
pub trait CodeHashes {
    /// Hash of the code of a TOTP step or of an HOTP counter.
    fn code_hash(&self, factor: FactorId, counter: u64) -> Option<AttemptHash>;
    /// Hash of the codes of an HOTP counter and of the next one, together.
    fn pair_hash(&self, factor: FactorId, counter: u64) -> Option<AttemptHash>;
}

/// Outcome of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryOutcome {
    /// The outcome of a submitted code.
    Check(FactorOutcome),
    /// The outcome of an approval: the decision that it named, as it was right after it.
    Approval(Option<DecisionState>),
    /// A removal, which has no outcome.
    Removal,
}

/// A judged log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The outcome of each entry.
    pub entries: Vec<(LogEntry, EntryOutcome)>,
    /// The subject after the last entry, with an empty log. What has expired is still in it.
    pub subject: Subject,
}

/// Judges the log of `subject`.
#[must_use]
pub fn judge(subject: &Subject, codes: &impl CodeHashes) -> Judged {
    let mut folded = subject.clone();
    let log = std::mem::take(&mut folded.log);
    let mut entries = Vec::with_capacity(log.len());
    for entry in log {
        let outcome = match &entry {
            LogEntry::Check(attempt) => {
                EntryOutcome::Check(judge_attempt(&mut folded, attempt, codes))
            }
            LogEntry::Approval(approval) => {
                EntryOutcome::Approval(record_approval(&mut folded, approval))
            }
            LogEntry::Removal(removal) => {
                folded.remove_recipient(removal.recipient);
                EntryOutcome::Removal
            }
        };
        entries.push((entry, outcome));
    }
    Judged {
        entries,
        subject: folded,
    }
}

impl Judged {
    /// The outcome of the check `nonce`, if it is in the log.
    #[must_use]
    pub fn check(&self, nonce: AttemptNonce) -> Option<(&FactorAttempt, &FactorOutcome)> {
        self.entries.iter().find_map(|entry| match entry {
            (LogEntry::Check(attempt), EntryOutcome::Check(outcome)) => {
                (attempt.attempt.nonce == nonce).then_some((attempt, outcome))
            }
            _ => None,
        })
    }

    /// The settled subject at `now`: the outcomes are remembered for replays, and what has ended is
    /// dropped.
    #[must_use]
    pub fn settle(self, now: Timestamp) -> Subject {
        let mut subject = self.subject;
        for entry in self.entries {
            if let (LogEntry::Check(submitted), EntryOutcome::Check(outcome)) = entry {
                subject
                    .remembered
                    .push(RememberedCheck { submitted, outcome });
            }
        }
        subject.prune(now);
        subject
    }
}

fn judge_attempt(
    subject: &mut Subject,
    entry: &FactorAttempt,
    codes: &impl CodeHashes,
) -> FactorOutcome {
    let at = entry.attempt.at;
    let counts_from = subject.decisions_made.saturating_add(1);
    let mut factors = subject.factors.iter_mut();
    let factor = factors.find(|factor| factor.id == entry.factor);
    let mut outcome = FactorOutcome {
        verdict: Verdict::Wrong,
        status: FactorStatus::Unreadable,
        wrong_codes: 0,
        codes_left: None,
        decision: None,
    };
    let mut proof = None;
    if let Some(factor) = factor {
        outcome.verdict = compare(factor, entry, codes);
        if outcome.verdict == Verdict::Accepted {
            accept(factor, counts_from, at);
            proof = Some((Proof::from(factor.kind()), factor.counts_from));
        }
        outcome.status = factor.status();
        outcome.codes_left = factor.codes_left();
    }
    let kind = entry.factor.kind().unwrap_or(FactorType::Totp);
    match (outcome.verdict, Budget::from(kind)) {
        (Verdict::Wrong, Budget::Apps) => subject.wrong_app_codes.push(at),
        (Verdict::Wrong, Budget::BackupCodes) => subject.wrong_backup_codes.push(at),
        (Verdict::Accepted, Budget::Apps) => {
            subject.last_strong_at = subject.last_strong_at.max(Some(at));
        }
        (Verdict::Accepted | Verdict::Replayed, _) => {}
    }
    let wrong = subject.counted_wrong_codes(kind.into(), at).len();
    outcome.wrong_codes = u16::try_from(wrong).unwrap_or(u16::MAX);
    outcome.decision = add_proof(subject, entry.attempt.decision, proof, at);
    outcome
}

/// Compares a submitted code with those that are expected. An accepted one is marked as used.
fn compare(factor: &mut Factor, entry: &FactorAttempt, codes: &impl CodeHashes) -> Verdict {
    let (id, submitted) = (factor.id, entry.attempt.hash);
    match &mut factor.method {
        Method::Totp {
            period,
            skew,
            last_step,
            ..
        } => {
            let now = u64::try_from(entry.attempt.at.0).unwrap_or(0);
            let (step, skew) = (now / u64::from((*period).max(1)), u64::from(*skew));
            let steps = step.saturating_sub(skew)..step.saturating_add(skew + 1);
            let matching = matches(steps, submitted, |step| codes.code_hash(id, step));
            let (verdict, accepted) = first_new(&matching, last_step.map_or(0, |last| last + 1));
            *last_step = accepted.or(*last_step);
            verdict
        }
        Method::Hotp {
            look_ahead,
            next_counter,
            ..
        } => {
            let (next, window) = (*next_counter, u64::from(*look_ahead));
            let (matching, used) = match entry.pair_hash {
                Some(pair) => {
                    let counters = next..next.saturating_add(RESYNC_COUNTERS);
                    let pair_hash = |counter| codes.pair_hash(id, counter);
                    (matches(counters, pair, pair_hash), 2)
                }
                None => {
                    let counters = next.saturating_sub(window)..next.saturating_add(window);
                    let code_hash = |counter| codes.code_hash(id, counter);
                    (matches(counters, submitted, code_hash), 1)
                }
            };
            let (verdict, accepted) = first_new(&matching, next);
            *next_counter = accepted.map_or(next, |counter| counter.saturating_add(used));
            verdict
        }
        Method::BackupCodes(set) => use_backup_code(set, submitted),
    }
}

/// The lowest of the `matching` counters from `next` on is accepted; earlier ones are replayed.
fn first_new(matching: &[u64], next: u64) -> (Verdict, Option<u64>) {
    let accepted = matching.iter().copied().find(|counter| *counter >= next);
    let verdict = match (accepted, matching.is_empty()) {
        (Some(_), _) => Verdict::Accepted,
        (None, false) => Verdict::Replayed,
        (None, true) => Verdict::Wrong,
    };
    (verdict, accepted)
}

fn use_backup_code(set: &mut [BackupCode], submitted: AttemptHash) -> Verdict {
    let mut verdict = Verdict::Wrong;
    for code in set {
        // Each is compared, whatever was found before.
        if is_match(submitted, code.hash) {
            verdict = match code.is_used {
                true => Verdict::Replayed,
                false => Verdict::Accepted,
            };
            code.is_used = true;
        }
    }
    verdict
}

/// The counters whose hash is `submitted`, in order. Each is compared, whatever was found before.
fn matches(
    counters: std::ops::Range<u64>,
    submitted: AttemptHash,
    hash: impl Fn(u64) -> Option<AttemptHash>,
) -> Vec<u64> {
    let mut matching = vec![];
    for counter in counters {
        if hash(counter).is_some_and(|expected| is_match(submitted, expected)) {
            matching.push(counter);
        }
    }
    matching
}

/// Notes the use of a factor. The first one confirms it.
fn accept(factor: &mut Factor, counts_from: u32, at: Timestamp) {
    factor.last_used_at = factor.last_used_at.max(Some(at));
    if factor.confirmed_at.is_none() {
        factor.confirmed_at = Some(at);
        factor.counts_from = counts_from;
    }
}

/// Records a verified recipient. Returns the decision that the approval named.
fn record_approval(subject: &mut Subject, approval: &Approval) -> Option<DecisionState> {
    let counts_from = subject.decisions_made.saturating_add(1);
    let counts_from = record_recipient(subject, approval, counts_from);
    subject.recorded.push(RecordedApproval {
        nonce: approval.nonce,
        at: approval.at,
    });
    let proof = Proof::of_channel(approval.channel).map(|proof| (proof, counts_from));
    add_proof(subject, approval.decision, proof, approval.at)
}

/// Number of the first decision that was made while the recipient was verified.
fn record_recipient(subject: &mut Subject, approval: &Approval, counts_from: u32) -> u32 {
    let is_same = |key: RecordKey| move |known: &&mut VerifiedRecipient| known.recipient == key;
    let mut recipients = subject.recipients.iter_mut();
    if let Some(known) = recipients.find(is_same(approval.recipient)) {
        known.renew(approval);
        return known.counts_from;
    }
    let recipient = VerifiedRecipient::new(approval, counts_from);
    subject.recipients.push(recipient);
    counts_from
}

/// Adds `proof`, with the number of the first decision for which it counts, to the decision
/// `nonce`. The place of an approved challenge becomes known.
fn add_proof(
    subject: &mut Subject,
    nonce: Option<DecisionNonce>,
    proof: Option<(Proof, u32)>,
    at: Timestamp,
) -> Option<DecisionState> {
    let nonce = nonce?;
    let mut decisions = subject.decisions.iter_mut();
    let decision = decisions.find(|decision| decision.nonce == nonce)?;
    if let Some((proof, counts_from)) = proof
        && decision.add_proof(proof, counts_from, at)
    {
        subject.places.learn(&decision.place, at);
    }
    Some(decision.state(at))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::attempt_log::Attempt;
    use crate::domain::channel::Channel;
    use crate::domain::decision::DecisionStatus;
    use crate::domain::decision::tests::challenge;
    use crate::domain::factor::{Algorithm, Digits, StoredSecret};
    use crate::domain::place::PlaceHash;
    use crate::domain::verified_recipient::Removal;

    pub(crate) const NOW: Timestamp = Timestamp(1_795_291_200);

    /// Codes of which two counters have the same one now and then, so that collisions are tested.
    pub(crate) struct FewCodes(pub u64);

    impl CodeHashes for FewCodes {
        fn code_hash(&self, factor: FactorId, counter: u64) -> Option<AttemptHash> {
            let mut hash = factor.0;
            hash[8..].copy_from_slice(&(counter % self.0).to_be_bytes());
            Some(AttemptHash(hash))
        }

        fn pair_hash(&self, factor: FactorId, counter: u64) -> Option<AttemptHash> {
            let AttemptHash(mut hash) = self.code_hash(factor, counter)?;
            hash[1] = u8::try_from((counter + 1) % self.0).unwrap_or(0) | 0x80;
            Some(AttemptHash(hash))
        }
    }

    const CODES: FewCodes = FewCodes(1000);

    pub(crate) fn totp(n: u8) -> Factor {
        factor(
            FactorId::new(FactorType::Totp, [n; 16]),
            Method::Totp {
                secret: secret(),
                period: 30,
                skew: 1,
                last_step: None,
            },
        )
    }

    pub(crate) fn hotp(n: u8) -> Factor {
        factor(
            FactorId::new(FactorType::Hotp, [n; 16]),
            Method::Hotp {
                secret: secret(),
                look_ahead: 10,
                next_counter: 50,
            },
        )
    }

    pub(crate) fn backup_codes(n: u8) -> Factor {
        let id = FactorId::new(FactorType::BackupCodes, [n; 16]);
        let code = |counter| BackupCode {
            hash: CODES.code_hash(id, counter).expect("a hash"),
            is_used: false,
        };
        Factor {
            confirmed_at: Some(NOW),
            ..factor(id, Method::BackupCodes((0..10).map(code).collect()))
        }
    }

    fn secret() -> StoredSecret {
        StoredSecret {
            sealed: vec![],
            has_live_key: true,
            algorithm: Algorithm::Sha1,
            digits: Digits::Six,
        }
    }

    fn factor(id: FactorId, method: Method) -> Factor {
        Factor {
            id,
            name: None,
            created_at: NOW,
            confirmed_at: None,
            last_used_at: None,
            counts_from: 0,
            method,
        }
    }

    pub(crate) fn submitted(n: u8, factor: FactorId, hash: AttemptHash) -> FactorAttempt {
        FactorAttempt {
            attempt: Attempt {
                nonce: AttemptNonce::Random([n; 8]),
                hash,
                decision: None,
                at: NOW,
                invocation: [0; 4],
            },
            factor,
            pair_hash: None,
        }
    }

    /// Verdicts on the codes of `counters`, submitted in this order.
    fn verdicts(factor: Factor, counters: &[u64]) -> (Vec<Verdict>, Subject) {
        let entries = counters.iter().zip(0..).map(|(counter, n)| {
            let hash = CODES.code_hash(factor.id, *counter).expect("a hash");
            LogEntry::Check(submitted(n, factor.id, hash))
        });
        let subject = Subject {
            log: entries.collect(),
            factors: vec![factor],
            ..Subject::default()
        };
        let judged = judge(&subject, &CODES);
        let verdicts = (0..).map_while(|n| judged.check(AttemptNonce::Random([n; 8])));
        let verdicts = verdicts.map(|(_, outcome)| outcome.verdict).collect();
        (verdicts, judged.subject)
    }

    use Verdict::{Accepted, Replayed, Wrong};

    #[test]
    fn totp_step_is_accepted_once_within_its_window() {
        let step: u64 = 1_795_291_200 / 30;
        let all = |steps: &[i64]| {
            let steps: Vec<u64> = steps
                .iter()
                .map(|n| step.saturating_add_signed(*n))
                .collect();
            verdicts(totp(1), &steps).0
        };
        assert_eq!(
            all(&[-2, -1, -1, 0, 1, 0, 2]),
            [
                Wrong, Accepted, Replayed, Accepted, Accepted, Replayed, Wrong
            ]
        );
        assert_eq!(all(&[1, 0, -1]), [Accepted, Replayed, Replayed]);
    }

    #[test]
    fn totp_before_the_first_steps_of_time_is_judged() {
        let mut factor = totp(1);
        factor.created_at = Timestamp(0);
        let hash = CODES.code_hash(factor.id, 0).expect("a hash");
        let mut entry = submitted(0, factor.id, hash);
        entry.attempt.at = Timestamp(0);
        let subject = Subject {
            log: vec![LogEntry::Check(entry)],
            factors: vec![factor],
            ..Subject::default()
        };
        let judged = judge(&subject, &CODES);
        assert_eq!(judged.subject.last_strong_at, Some(Timestamp(0)));
    }

    #[test]
    fn hotp_counter_is_accepted_within_the_look_ahead() {
        let (found, subject) = verdicts(hotp(1), &[49, 40, 39, 60, 59, 59, 50, 49, 70, 60]);
        assert_eq!(
            found,
            [
                Replayed, Replayed, Wrong, Wrong, Accepted, Replayed, Replayed, Wrong, Wrong,
                Accepted
            ]
        );
        assert!(matches!(
            subject.factors[0].method,
            Method::Hotp {
                next_counter: 61,
                ..
            }
        ));
        assert_eq!(subject.wrong_app_codes.len(), 4);
    }

    #[test]
    fn pair_of_codes_resynchronizes_within_100_counters() {
        for (counter, verdict, next) in [(149, Accepted, 151), (150, Wrong, 50), (49, Wrong, 50)] {
            let factor = hotp(1);
            let mut entry = submitted(0, factor.id, AttemptHash([0; 16]));
            entry.pair_hash = CODES.pair_hash(factor.id, counter);
            let subject = Subject {
                log: vec![LogEntry::Check(entry)],
                factors: vec![factor],
                ..Subject::default()
            };
            let judged = judge(&subject, &CODES);
            let (_, outcome) = judged
                .check(AttemptNonce::Random([0; 8]))
                .expect("an outcome");
            assert_eq!(outcome.verdict, verdict, "{counter}");
            let Method::Hotp { next_counter, .. } = judged.subject.factors[0].method else {
                panic!("not HOTP");
            };
            assert_eq!(next_counter, next, "{counter}");
        }
    }

    #[test]
    fn backup_code_has_a_budget_of_its_own() {
        let (found, subject) = verdicts(backup_codes(1), &[3, 3, 9, 10]);
        assert_eq!(found, [Accepted, Replayed, Accepted, Wrong]);
        assert_eq!(subject.factors[0].codes_left(), Some(8));
        assert_eq!(
            (
                subject.wrong_app_codes.len(),
                subject.wrong_backup_codes.len()
            ),
            (0, 1)
        );
        assert_eq!(
            subject.last_strong_at, None,
            "a backup code is not a strong one"
        );
    }

    #[test]
    fn first_accepted_code_confirms_the_factor() {
        let (_, subject) = verdicts(totp(1), &[1_795_291_200 / 30]);
        let factor = &subject.factors[0];
        assert_eq!((factor.confirmed_at, factor.counts_from), (Some(NOW), 1));
        assert_eq!(factor.status(), FactorStatus::Active);
    }

    #[test]
    fn factor_that_cannot_be_opened_costs_attempts() {
        struct Nothing;
        impl CodeHashes for Nothing {
            fn code_hash(&self, _: FactorId, _: u64) -> Option<AttemptHash> {
                None
            }
            fn pair_hash(&self, _: FactorId, _: u64) -> Option<AttemptHash> {
                None
            }
        }
        let entry = submitted(0, totp(1).id, AttemptHash([0; 16]));
        let subject = Subject {
            log: vec![LogEntry::Check(entry)],
            factors: vec![totp(1)],
            ..Subject::default()
        };
        assert_eq!(judge(&subject, &Nothing).subject.wrong_app_codes, [NOW]);
    }

    #[test]
    fn approved_challenge_makes_its_place_known() {
        let mut decision = challenge(1, vec![vec![Proof::Sms]]);
        decision.created_at = NOW;
        decision.expires_at = NOW + 600;
        decision.place.country = Some(PlaceHash([1; 8]));
        let approval = |n: u8, recipient: u8| {
            LogEntry::Approval(Approval {
                nonce: AttemptNonce::Keyed([n; 8]),
                recipient: RecordKey([recipient; 12]),
                sealed_to: vec![],
                channel: Channel::Sms,
                purpose: "default".into(),
                is_unique: false,
                decision: Some(decision.nonce),
                at: NOW + i64::from(n),
            })
        };
        let known = VerifiedRecipient {
            recipient: RecordKey([7; 12]),
            sealed_to: vec![],
            channel: Channel::Sms,
            purpose: "default".into(),
            first_verified_at: NOW,
            verified_at: NOW,
            is_unique: false,
            counts_from: 1,
        };
        let removal = LogEntry::Removal(Removal {
            nonce: AttemptNonce::Random([9; 8]),
            recipient: RecordKey([8; 12]),
        });
        let subject = Subject {
            decisions: vec![decision.clone()],
            decisions_made: 1,
            recipients: vec![known],
            log: vec![approval(1, 8), approval(2, 7), removal],
            ..Subject::default()
        };
        let judged = judge(&subject, &CODES);
        let states = judged
            .entries
            .iter()
            .filter_map(|(_, outcome)| match outcome {
                EntryOutcome::Approval(state) => state.as_ref().map(|state| state.status),
                _ => None,
            });
        let states: Vec<_> = states.collect();
        assert_eq!(
            states,
            [DecisionStatus::Pending, DecisionStatus::Approved],
            "a recipient that was verified later does not count"
        );
        assert_eq!(judged.subject.places.countries.0.len(), 1);
        assert_eq!(judged.subject.recipients.len(), 1);
        assert_eq!(judged.subject.recorded.len(), 2);
    }

    /// A random log over three factors. The codes are few, so that many are right.
    fn random_log() -> impl Strategy<Value = Vec<LogEntry>> {
        let entry = (0..3usize, 0..20u64, any::<bool>(), 0..200i64, any::<bool>());
        proptest::collection::vec(entry, 0..40).prop_map(|entries| {
            let factors = [totp(1).id, hotp(2).id, backup_codes(3).id];
            let mut at = NOW;
            let log = entries.into_iter().zip(0u8..);
            let log = log.map(|((factor, counter, is_pair, wait, is_keyed), n)| {
                at = at + wait;
                let id = factors[factor];
                let hash = FewCodes(20).code_hash(id, counter).expect("a hash");
                let mut entry = submitted(n, id, hash);
                entry.attempt.at = at;
                if is_keyed {
                    entry.attempt.nonce = AttemptNonce::Keyed([n; 8]);
                }
                if is_pair && factor == 1 {
                    entry.pair_hash = FewCodes(20).pair_hash(id, counter);
                }
                LogEntry::Check(entry)
            });
            log.collect()
        })
    }

    fn three_factors() -> Subject {
        let mut confirmed = [totp(1), hotp(2)];
        confirmed
            .iter_mut()
            .for_each(|factor| factor.confirmed_at = Some(NOW));
        let [totp, hotp] = confirmed;
        Subject {
            factors: vec![totp, hotp, backup_codes(3)],
            ..Subject::default()
        }
    }

    fn outcomes(judged: &Judged) -> Vec<EntryOutcome> {
        judged
            .entries
            .iter()
            .map(|(_, outcome)| outcome.clone())
            .collect()
    }

    proptest! {
        #[test]
        fn settling_at_any_point_changes_no_outcome(
            log in random_log(),
            settled in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let codes = FewCodes(20);
            let whole = Subject { log: log.clone(), ..three_factors() };
            let at_once = judge(&whole, &codes);
            let mut subject = three_factors();
            let mut piecewise = vec![];
            for (entry, is_settled) in log.iter().zip(settled) {
                subject.log.push(entry.clone());
                if is_settled {
                    let LogEntry::Check(last) = entry else { continue };
                    let judged = judge(&subject, &codes);
                    piecewise.extend(outcomes(&judged));
                    subject = judged.settle(last.attempt.at);
                }
            }
            let rest = judge(&subject, &codes);
            piecewise.extend(outcomes(&rest));
            prop_assert_eq!(outcomes(&at_once), piecewise);
            let end = NOW + 40 * 200;
            let factors = rest.settle(end).factors;
            prop_assert_eq!(at_once.settle(end).factors, factors);
        }

        #[test]
        fn each_step_counter_and_code_is_accepted_once(log in random_log()) {
            let codes = FewCodes(20);
            let mut subject = three_factors();
            let mut used = BTreeSet::new();
            for entry in log {
                let before = subject.clone();
                subject.log = vec![entry.clone()];
                let judged = judge(&subject, &codes);
                let LogEntry::Check(attempt) = &entry else { continue };
                let nonce = attempt.attempt.nonce;
                let verdict = judged.check(nonce).map(|(_, outcome)| outcome.verdict);
                subject = judged.subject;
                prop_assert!(counters(&subject) >= counters(&before));
                if verdict == Some(Accepted) {
                    let now = (attempt.factor, counters(&subject));
                    prop_assert!(used.insert(now.clone()), "{:?} was accepted twice", now);
                } else {
                    prop_assert_eq!(counters(&subject), counters(&before));
                }
            }
        }
    }

    /// The last step, the next counter and the number of used backup codes.
    fn counters(subject: &Subject) -> Vec<u64> {
        let counter = |factor: &Factor| match &factor.method {
            Method::Totp { last_step, .. } => last_step.unwrap_or(0),
            Method::Hotp { next_counter, .. } => *next_counter,
            Method::BackupCodes(codes) => codes.iter().filter(|code| code.is_used).count() as u64,
        };
        subject.factors.iter().map(counter).collect()
    }
}
