//! A subject as an item: attribute names, and the mapping in both directions.
//!
//! Values that a condition compares are attributes of their own; what is only read as a whole is
//! packed (`subject_codec`).
//!
//! Invariant: an item with an active factor, a verified recipient or a known place has no TTL.

use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE64URL_NOPAD;

use super::attributes::{
    FORMAT, Item, KEY, TTL, binary, bytes, list, map, number, number_value, optional_number, text,
};
use super::recipient_codec::{pack_times, unpack_times};
use super::subject_codec::{
    Packed, pack, pack_all, pack_factor, unpack, unpack_all, unpack_factor,
};
use super::{StoreError, TTL_SECONDS};
use crate::crypto::keyring::Keyring;
use crate::crypto::sealing::seal_key_id;
use crate::domain::decision::Decision;
use crate::domain::factor::Factor;
use crate::domain::ids::{AttemptNonce, DecisionNonce, FactorId, SubjectKey};
use crate::domain::subject::{Budget, LogEntry, Subject};
use crate::domain::time::Timestamp;

/// Version of the format that this code writes. A change of attributes or packed values raises it,
/// and the reader keeps reading the versions before.
pub(super) const FORMAT_VERSION: i64 = 1;

/// What kind of item it is. Other kinds do not have this attribute.
pub(super) const KIND: &str = "kind";
pub(super) const KIND_SUBJECT: &str = "subject";
/// Map of factors by id.
const FACTORS: &str = "factors";
/// Id of the key that sealed the secret: no attempt is accepted without it.
const FACTOR_KEY_ID: &str = "key_id";
const FACTOR_EXPIRES_AT: &str = "expires_at";
const FACTOR_CONFIRMED_AT: &str = "confirmed_at";
const FACTOR_COUNTS_FROM: &str = "counts_from";
const FACTOR_PACKED: &str = "packed";
/// The log.
const ATTEMPTS: &str = "attempts";
/// The nonces of its entries, in the same order, which a condition searches.
const ATTEMPT_NONCES: &str = "attempt_nonces";
/// Nonces of settled checks and approvals, which a condition searches.
const REMEMBERED_NONCES: &str = "remembered_nonces";
const REMEMBERED: &str = "remembered";
const RECORDED: &str = "recorded";
const WRONG_APP_CODES: &str = "wrong_app_codes";
const WRONG_BACKUP_CODES: &str = "wrong_backup_codes";
const ENROLMENTS: &str = "enrolments";
const RECIPIENTS: &str = "recipients";
const PLACES: &str = "places";
const DECISIONS: &str = "decisions";
/// Nonces of the decisions that are not denied, which a condition searches.
const LIVE_DECISIONS: &str = "live_decisions";
const DECISIONS_MADE: &str = "decisions_made";
const LAST_STRONG_AT: &str = "last_strong_at";

/// Name of the attribute with the number of attempts of a budget: entries of the log and settled
/// wrong codes.
pub(super) fn attempts_name(budget: Budget) -> &'static str {
    match budget {
        Budget::Apps => "app_attempts",
        Budget::BackupCodes => "backup_attempts",
    }
}

/// Name of a factor in the map of factors.
pub(super) fn factor_name(id: FactorId) -> String {
    BASE64URL_NOPAD.encode(&id.0)
}

/// A decision in the list of those that are not denied.
pub(super) fn decision_value(nonce: DecisionNonce) -> AttributeValue {
    binary(&nonce.0)
}

/// An entry of the log.
pub(super) fn log_value(entry: &LogEntry) -> AttributeValue {
    binary(&pack(entry))
}

/// Reads an item. The TTL is not looked at: what has a time ends by comparison with it.
pub(super) fn read(keyring: &Keyring, item: &Item) -> Result<Subject, StoreError> {
    let format = number(item, FORMAT);
    if format != FORMAT_VERSION {
        return Err(StoreError::UnknownFormat(format));
    }
    let factors = map(item, FACTORS).into_iter().flatten();
    let factors = factors.filter_map(|(id, value)| read_factor(keyring, id, value.as_m().ok()?));
    let mut factors: Vec<_> = factors.collect();
    factors.sort_by_key(|factor| (factor.created_at, factor.id));
    let log = list(item, ATTEMPTS).iter();
    let log = log.filter_map(|entry| unpack(entry.as_b().ok()?.as_ref()));
    Ok(Subject {
        factors,
        log: log.collect(),
        wrong_app_codes: unpack_times(bytes(item, WRONG_APP_CODES)),
        wrong_backup_codes: unpack_times(bytes(item, WRONG_BACKUP_CODES)),
        remembered: unpack_all(bytes(item, REMEMBERED)),
        enrolments: unpack_all(bytes(item, ENROLMENTS)),
        recipients: unpack_all(bytes(item, RECIPIENTS)),
        recorded: unpack_all(bytes(item, RECORDED)),
        places: unpack(bytes(item, PLACES)).unwrap_or_default(),
        decisions: unpack_all(bytes(item, DECISIONS)),
        decisions_made: u32::try_from(number(item, DECISIONS_MADE)).unwrap_or(0),
        last_strong_at: optional_number(item, LAST_STRONG_AT).map(Timestamp),
    })
}

fn read_factor(keyring: &Keyring, id: &str, map: &Item) -> Option<Factor> {
    let id = BASE64URL_NOPAD.decode(id.as_bytes()).ok()?;
    let mut factor = unpack_factor(FactorId(id.try_into().ok()?), bytes(map, FACTOR_PACKED))?;
    factor.confirmed_at = optional_number(map, FACTOR_CONFIRMED_AT).map(Timestamp);
    factor.counts_from = u32::try_from(number(map, FACTOR_COUNTS_FROM)).unwrap_or(u32::MAX);
    if let Some(secret) = factor.secret_mut() {
        secret.has_live_key = keyring.has_live_key(&secret.sealed);
    }
    Some(factor)
}

/// The whole item for `subject`, with a TTL unless it is lasting, without write id.
pub(super) fn write(key: SubjectKey, subject: &Subject, now: Timestamp) -> Item {
    let mut item = Item::from([
        (KEY.into(), binary(&key.0.0)),
        (KIND.into(), text(KIND_SUBJECT)),
        (FORMAT.into(), number_value(FORMAT_VERSION)),
    ]);
    let mut put = |name: &str, value: AttributeValue| drop(item.insert(name.into(), value));
    let factors = subject.factors.iter();
    let factors = factors.map(|factor| (factor_name(factor.id), write_factor(factor)));
    put(FACTORS, AttributeValue::M(factors.collect()));
    let log = subject.log.iter();
    put(
        ATTEMPTS,
        AttributeValue::L(log.clone().map(log_value).collect()),
    );
    put(ATTEMPT_NONCES, nonces(log.map(nonce_of)));
    for budget in [Budget::Apps, Budget::BackupCodes] {
        put(
            attempts_name(budget),
            number_value(attempts(subject, budget)),
        );
    }
    let remembered = subject.remembered.iter();
    let remembered = remembered.map(|check| check.submitted.attempt.nonce);
    let recorded = subject.recorded.iter().map(|recorded| recorded.nonce);
    put(REMEMBERED_NONCES, nonces(remembered.chain(recorded)));
    let is_live = |decision: &&Decision| !decision.is_denied;
    let live = subject.decisions.iter().filter(is_live);
    let live = live.map(|decision| decision_value(decision.nonce));
    put(LIVE_DECISIONS, AttributeValue::L(live.collect()));
    for (name, packed) in packed_lists(subject) {
        put(name, binary(&packed));
    }
    if subject.decisions_made > 0 {
        put(DECISIONS_MADE, number_value(subject.decisions_made));
    }
    if let Some(at) = subject.last_strong_at {
        put(LAST_STRONG_AT, number_value(at.0));
    }
    if !subject.is_lasting() {
        put(TTL, number_value((now + TTL_SECONDS).0));
    }
    item
}

/// Everything that is stored as a whole, unless there is nothing of it.
fn packed_lists(subject: &Subject) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let places = (!subject.places.is_empty()).then(|| pack(&subject.places));
    let all = [
        (WRONG_APP_CODES, times(&subject.wrong_app_codes)),
        (WRONG_BACKUP_CODES, times(&subject.wrong_backup_codes)),
        (REMEMBERED, values(&subject.remembered)),
        (RECORDED, values(&subject.recorded)),
        (ENROLMENTS, values(&subject.enrolments)),
        (RECIPIENTS, values(&subject.recipients)),
        (PLACES, places),
        (DECISIONS, values(&subject.decisions)),
    ];
    all.into_iter()
        .filter_map(|(name, packed)| Some((name, packed?)))
}

fn times(times: &[Timestamp]) -> Option<Vec<u8>> {
    (!times.is_empty()).then(|| pack_times(times))
}

fn values<T: Packed>(all: &[T]) -> Option<Vec<u8>> {
    (!all.is_empty()).then(|| pack_all(all))
}

fn write_factor(factor: &Factor) -> AttributeValue {
    let mut map = Item::from([(FACTOR_PACKED.into(), binary(&pack_factor(factor)))]);
    if let Some(secret) = factor.secret() {
        map.insert(FACTOR_KEY_ID.into(), text(seal_key_id(&secret.sealed)));
    }
    if let Some(at) = factor.expires_at() {
        map.insert(FACTOR_EXPIRES_AT.into(), number_value(at.0));
    }
    if let Some(at) = factor.confirmed_at {
        map.insert(FACTOR_CONFIRMED_AT.into(), number_value(at.0));
        map.insert(FACTOR_COUNTS_FROM.into(), number_value(factor.counts_from));
    }
    AttributeValue::M(map)
}

fn nonces(nonces: impl Iterator<Item = AttemptNonce>) -> AttributeValue {
    AttributeValue::L(nonces.map(|nonce| binary(&nonce.to_bytes())).collect())
}

fn nonce_of(entry: &LogEntry) -> AttemptNonce {
    match entry {
        LogEntry::Check(attempt) => attempt.attempt.nonce,
        LogEntry::Approval(approval) => approval.nonce,
        LogEntry::Removal(removal) => removal.nonce,
    }
}

/// Entries of the log and settled wrong codes of a budget.
fn attempts(subject: &Subject, budget: Budget) -> usize {
    let is_of_budget = |entry: &&LogEntry| match entry {
        LogEntry::Check(attempt) => attempt.factor.kind().map(Budget::from) == Some(budget),
        LogEntry::Approval(_) | LogEntry::Removal(_) => false,
    };
    let settled = match budget {
        Budget::Apps => subject.wrong_app_codes.len(),
        Budget::BackupCodes => subject.wrong_backup_codes.len(),
    };
    settled + subject.log.iter().filter(is_of_budget).count()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::crypto::sealing::SealedFor;
    use crate::domain::channel::Channel;
    use crate::domain::decision::tests::challenge;
    use crate::domain::decision::{DecisionState, DecisionStatus};
    use crate::domain::decision_rules::{ConditionName, RuleOutcome};
    use crate::domain::factor::{Algorithm, BackupCode, Digits, FactorStatus, Method};
    use crate::domain::ids::{AttemptHash, BodyHash, IdempotencyKeyHash, RecordKey};
    use crate::domain::log_outcomes::tests::{backup_codes, hotp, submitted, totp};
    use crate::domain::place::{KnownPlace, KnownPlaces, PlaceHash, Places, RequestPlace};
    use crate::domain::proof::Proof;
    use crate::domain::subject::{FactorAttempt, FactorOutcome, KeyedEnrolment};
    use crate::domain::subject::{RememberedCheck, Verdict};
    use crate::domain::verification_params::Idempotency;
    use crate::domain::verified_recipient::{
        Approval, RecordedApproval, Removal, VerifiedRecipient,
    };
    use crate::store::tests::{NOW, keyring};

    pub(in crate::store) const KEY: SubjectKey = SubjectKey(RecordKey([6; 12]));

    /// A subject that has everything, and every optional value.
    pub(in crate::store) fn subject(keyring: &Keyring) -> Subject {
        Subject {
            factors: factors(keyring),
            log: vec![
                LogEntry::Check(check(1)),
                LogEntry::Approval(approval(keyring, 2)),
                LogEntry::Removal(Removal {
                    nonce: AttemptNonce::Random([3; 8]),
                    recipient: RecordKey([3; 12]),
                }),
            ],
            wrong_app_codes: vec![NOW, NOW + 1],
            wrong_backup_codes: vec![NOW + 2],
            remembered: vec![remembered(4, Verdict::Wrong, FactorStatus::Active)],
            enrolments: vec![KeyedEnrolment {
                idempotency: idempotency(),
                factor: totp(1).id,
                at: NOW,
            }],
            recipients: vec![VerifiedRecipient::new(&approval(keyring, 5), 3)],
            recorded: vec![RecordedApproval {
                nonce: AttemptNonce::Keyed([6; 8]),
                at: NOW,
            }],
            places: Places {
                countries: place(1),
                devices: place(2),
                networks: place(3),
            },
            decisions: decisions(),
            decisions_made: 9,
            last_strong_at: Some(NOW + 7),
        }
    }

    fn factors(keyring: &Keyring) -> Vec<Factor> {
        let mut all = [totp(1), hotp(2), backup_codes(3)];
        for (factor, n) in all.iter_mut().zip(0..) {
            factor.created_at = NOW + n;
            let purpose = SealedFor::FactorSecret(KEY, factor.id);
            if let Some(secret) = factor.secret_mut() {
                secret.sealed = keyring.seal(purpose, "secret");
                secret.algorithm = Algorithm::ALL[usize::try_from(n + 1).expect("small")];
                secret.digits = Digits::Eight;
            }
        }
        let [app, token, codes] = &mut all;
        app.name = Some("Phone".into());
        if let Method::Totp { last_step, .. } = &mut app.method {
            *last_step = Some(59_843_040);
        }
        token.confirmed_at = Some(NOW + 1);
        token.last_used_at = Some(NOW + 2);
        token.counts_from = 4;
        if let Method::BackupCodes(codes) = &mut codes.method {
            codes[1].is_used = true;
        }
        all.into()
    }

    /// A code that was submitted with a key, for a decision.
    pub(in crate::store) fn check(n: u8) -> FactorAttempt {
        let mut check = submitted(n, hotp(2).id, AttemptHash([n; 16]));
        check.attempt.nonce = AttemptNonce::Keyed([n; 8]);
        check.attempt.decision = Some(DecisionNonce([7; 8]));
        check.attempt.invocation = [n; 4];
        check.pair_hash = Some(AttemptHash([8; 16]));
        check
    }

    pub(in crate::store) fn approval(keyring: &Keyring, n: u8) -> Approval {
        let recipient = RecordKey([n; 12]);
        Approval {
            nonce: AttemptNonce::Random([n; 8]),
            recipient,
            sealed_to: keyring.seal(SealedFor::VerifiedRecipient(KEY, recipient), "+33612345678"),
            channel: Channel::Whatsapp,
            purpose: "login".into(),
            is_unique: true,
            decision: Some(DecisionNonce([7; 8])),
            at: NOW + 5,
        }
    }

    fn remembered(n: u8, verdict: Verdict, status: FactorStatus) -> RememberedCheck {
        RememberedCheck {
            submitted: check(n),
            outcome: FactorOutcome {
                verdict,
                status,
                wrong_codes: 3,
                codes_left: Some(9),
                decision: Some(DecisionState {
                    nonce: DecisionNonce([7; 8]),
                    status: DecisionStatus::Pending,
                    missing: vec![vec![Proof::Totp], vec![Proof::Sms, Proof::Email]],
                }),
            },
        }
    }

    fn place(n: u8) -> KnownPlaces {
        KnownPlaces(vec![KnownPlace {
            hash: PlaceHash([n; 8]),
            approved_at: NOW,
        }])
    }

    fn idempotency() -> Idempotency {
        Idempotency {
            key: IdempotencyKeyHash([1; 8]),
            body: BodyHash([2; 8]),
        }
    }

    /// One of each outcome; the last one is denied.
    fn decisions() -> Vec<Decision> {
        let requires = vec![vec![Proof::Totp, Proof::Sms], vec![Proof::BackupCodes]];
        let outcomes = [
            RuleOutcome::Challenge(requires),
            RuleOutcome::Allow,
            RuleOutcome::Deny,
        ];
        let decision = |(n, outcome): (u8, RuleOutcome)| Decision {
            nonce: DecisionNonce([7 + n; 8]),
            reasons: ConditionName::ALL.to_vec(),
            approved_by: vec![Proof::Totp],
            approved_at: Some(NOW),
            is_denied: outcome == RuleOutcome::Deny,
            any_counts: true,
            place: RequestPlace {
                country: Some(PlaceHash([1; 8])),
                device: None,
                network: Some(PlaceHash([3; 8])),
            },
            idempotency: Some(idempotency()),
            outcome,
            ..challenge(u32::from(n), vec![])
        };
        (0..).zip(outcomes).map(decision).collect()
    }

    fn read_back(subject: &Subject) -> Subject {
        let item = write(KEY, subject, NOW);
        read(&keyring(&["k1"]), &item).expect("a subject")
    }

    #[test]
    fn subject_is_read_back_as_written() {
        let subject = subject(&keyring(&["k1"]));
        assert_eq!(read_back(&subject), subject);
    }

    #[test]
    fn check_of_any_outcome_is_read_back() {
        let verdicts = [Verdict::Accepted, Verdict::Replayed, Verdict::Wrong];
        let statuses = [
            FactorStatus::Unconfirmed,
            FactorStatus::Active,
            FactorStatus::Unreadable,
        ];
        let mut remembered: Vec<_> = (0..)
            .zip(verdicts.into_iter().zip(statuses))
            .map(|(n, (verdict, status))| remembered(n, verdict, status))
            .collect();
        for (check, status) in remembered.iter_mut().zip(DecisionStatus::ALL) {
            let decision = check.outcome.decision.as_mut();
            decision.expect("a decision").status = status;
        }
        remembered[2].outcome.decision = None;
        let subject = Subject {
            remembered,
            ..Subject::default()
        };
        assert_eq!(read_back(&subject), subject);
    }

    #[test]
    fn proofs_and_channels_of_any_kind_are_read_back() {
        let keyring = keyring(&["k1"]);
        let recipients = Channel::ALL.map(|channel| VerifiedRecipient {
            channel,
            ..VerifiedRecipient::new(&approval(&keyring, 1), 1)
        });
        let subject = Subject {
            recipients: recipients.to_vec(),
            decisions: vec![challenge(1, vec![Proof::ALL.to_vec()])],
            ..Subject::default()
        };
        assert_eq!(read_back(&subject), subject);
    }

    #[test]
    fn conditions_find_what_they_compare() {
        let keyring = keyring(&["k1"]);
        let mut subject = subject(&keyring);
        let codes = subject.factors[2].id;
        for n in [10, 11] {
            let entry = submitted(n, codes, AttemptHash([n; 16]));
            subject.log.push(LogEntry::Check(entry));
        }
        let item = write(KEY, &subject, NOW);
        // Two settled and one in the log; one settled and two in the log.
        assert_eq!(number(&item, attempts_name(Budget::Apps)), 3);
        assert_eq!(number(&item, attempts_name(Budget::BackupCodes)), 3);
        let nonce = |kind: u8, n: u8| binary(&[&[kind][..], &[n; 8]].concat());
        let in_log = [(1, 1), (0, 2), (0, 3), (0, 10), (0, 11)].map(|(kind, n)| nonce(kind, n));
        assert_eq!(list(&item, ATTEMPT_NONCES), in_log);
        assert_eq!(list(&item, REMEMBERED_NONCES), [nonce(1, 4), nonce(1, 6)]);
        let live = [7, 8].map(|n| decision_value(DecisionNonce([n; 8])));
        assert_eq!(list(&item, LIVE_DECISIONS), live, "not the denied one");
        let factors = map(&item, FACTORS).expect("factors");
        let attributes = |factor: &Factor| {
            let map = map(factors, &factor_name(factor.id)).expect("a factor");
            let key = map.get(FACTOR_KEY_ID).and_then(|key| key.as_s().ok());
            (
                key.map(String::as_str),
                optional_number(map, FACTOR_EXPIRES_AT),
            )
        };
        let expected = [
            (Some("k1"), Some(NOW.0 + 600)),
            (Some("k1"), None),
            (None, None),
        ];
        assert_eq!(
            subject.factors.iter().map(attributes).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn subject_has_a_ttl_unless_it_is_lasting() {
        let keyring = keyring(&["k1"]);
        let passing = Subject {
            factors: vec![totp(1)],
            ..Subject::default()
        };
        let item = write(KEY, &passing, NOW);
        assert_eq!(number(&item, TTL), (NOW + TTL_SECONDS).0);
        assert_eq!(optional_number(&item, LAST_STRONG_AT), None);
        assert!(!item.contains_key(DECISIONS_MADE) && !item.contains_key(PLACES));
        assert!(!write(KEY, &subject(&keyring), NOW).contains_key(TTL));
    }

    #[test]
    fn secret_without_live_key_reads_as_such() {
        let subject = subject(&keyring(&["k1"]));
        let item = write(KEY, &subject, NOW);
        let read = read(&keyring(&["k2"]), &item).expect("a subject");
        let statuses: Vec<_> = read.factors.iter().map(Factor::status).collect();
        assert_eq!(
            statuses,
            [
                FactorStatus::Unreadable,
                FactorStatus::Unreadable,
                FactorStatus::Active
            ]
        );
    }

    #[test]
    fn subject_of_an_unknown_format_is_an_error() {
        let mut item = write(KEY, &Subject::default(), NOW);
        item.insert(FORMAT.into(), number_value(FORMAT_VERSION + 1));
        let read = read(&keyring(&["k1"]), &item);
        assert!(
            matches!(read, Err(StoreError::UnknownFormat(2))),
            "{read:?}"
        );
    }

    #[test]
    fn backup_codes_are_read_back_with_their_use() {
        let mut codes = backup_codes(3);
        let code = |n| BackupCode {
            hash: AttemptHash([n; 16]),
            is_used: n == 2,
        };
        codes.method = Method::BackupCodes((1..=3).map(code).collect());
        let subject = Subject {
            factors: vec![codes],
            ..Subject::default()
        };
        assert_eq!(read_back(&subject), subject);
    }
}
