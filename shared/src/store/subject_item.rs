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
