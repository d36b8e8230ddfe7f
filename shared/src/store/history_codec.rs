//! Past verifications of a recipient, packed together. They are part of the item that each attempt
//! writes, so what they have in common is stored once, and times are stored as differences.
//!
//! Invariant: what is read is what was written, for any values and times.

use serde::{Deserialize, Serialize};

use super::recipient_codec::{
    StoredCheck, channel_from_number, channel_number, check_from_stored, pack, purpose_from_stored,
    seconds, status_from_number, status_number, stored_check, stored_purpose,
};
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus};
use crate::domain::ids::{
    BodyHash, DecisionNonce, DeliveryTag, IdempotencyKeyHash, RecordKey, SubjectKey,
    VerificationNonce,
};
use crate::domain::past_verification::{PastVerification, RecordedCheck};
use crate::domain::text_reference::TextReference;
use crate::domain::time::Timestamp;
use crate::domain::verification_params::{
    Idempotency, Transaction, VerificationParams, VerificationSubject,
};

#[derive(Serialize, Deserialize)]
struct StoredHistory {
    /// When the newest one ended.
    newest_end: u32,
    kinds: Vec<StoredKind>,
    delivery_kinds: Vec<StoredDeliveryKind>,
    subjects: Vec<StoredSubject>,
    /// Newest first.
    past: Vec<StoredPast>,
}

/// What several verifications of a recipient have in common.
#[derive(PartialEq, Serialize, Deserialize)]
struct StoredKind {
    channel: u8,
    fallback: Vec<u8>,
    locale: String,
    /// Empty for the default purpose.
    purpose: String,
    ttl_seconds: u16,
    attempts_max: u8,
    status: u8,
    subject: Option<StoredSubjectUse>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct StoredSubjectUse {
    /// 0 is the subject of the current verification, 1 the first one of `subjects`.
    number: u16,
    is_unique: bool,
    is_taken: bool,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct StoredSubject {
    key: [u8; 12],
    sealed_for: [u8; 4],
    sealed_id: Vec<u8>,
}

/// What several deliveries have in common.
#[derive(PartialEq, Serialize, Deserialize)]
struct StoredDeliveryKind {
    number: u16,
    channel: u8,
    status: u8,
    carrier: Option<String>,
    cause: u8,
    parts: Option<u8>,
}

#[derive(Serialize, Deserialize)]
struct StoredPast {
    nonce: [u8; 4],
    kind: u16,
    reference: Option<String>,
    /// Hashes of key and body.
    idempotency: Option<([u8; 8], [u8; 8])>,
    /// From its end to the start of the next newer one, or to `newest_end`.
    seconds_before_newer: u32,
    /// From its start to its end.
    seconds_lasted: u32,
    attempts_used: u8,
    deliveries: Vec<StoredDelivery>,
    /// What few verifications have.
    rare: Option<StoredRare>,
}

#[derive(Serialize, Deserialize)]
struct StoredDelivery {
    tag: [u8; 4],
    kind: u16,
    /// From the start of the verification to the last change.
    seconds_to_update: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredRare {
    /// Amount, currency, payee.
    transaction: Option<(String, String, String)>,
    text_reference: Option<[u8; 2]>,
    checks: Vec<StoredCheck>,
    /// Index and decision of the checks that named one.
    decisions: Vec<(u8, [u8; 8])>,
}

/// Packs the past verifications beside a current one that is for `current`.
pub(super) fn pack_history(
    past: &[PastVerification],
    current: Option<&VerificationSubject>,
) -> Vec<u8> {
    let newest_end = past.first().map_or(0, |newest| seconds(newest.ended_at));
    let mut history = StoredHistory {
        newest_end,
        kinds: vec![],
        delivery_kinds: vec![],
        subjects: vec![],
        past: Vec::with_capacity(past.len()),
    };
    let mut newer = newest_end;
    for past in past {
        let stored = stored_past(past, current, newer, &mut history);
        newer = seconds(past.params.created_at);
        history.past.push(stored);
    }
    pack(&history)
}

/// Reads past verifications. One that is not readable is left out.
pub(super) fn unpack_history(
    packed: &[u8],
    current: Option<&VerificationSubject>,
) -> Vec<PastVerification> {
    let Ok((mut history, _)) = postcard::take_from_bytes::<StoredHistory>(packed) else {
        return vec![];
    };
    let mut newer = history.newest_end;
    let mut past = vec![];
    for stored in std::mem::take(&mut history.past) {
        let ended_at = newer.wrapping_sub(stored.seconds_before_newer);
        newer = ended_at.wrapping_sub(stored.seconds_lasted);
        past.extend(past_from_stored(stored, current, newer, ended_at, &history));
    }
    past
}

/// Place of `value` in `table`, to which it is added if it is new.
fn place_in<T: PartialEq>(table: &mut Vec<T>, value: T) -> u16 {
    let known = table.iter().position(|known| *known == value);
    let place = known.unwrap_or_else(|| {
        table.push(value);
        table.len() - 1
    });
    // An item has far fewer.
    u16::try_from(place).unwrap_or(u16::MAX)
}

fn stored_past(
    past: &PastVerification,
    current: Option<&VerificationSubject>,
    newer: u32,
    history: &mut StoredHistory,
) -> StoredPast {
    let params = &past.params;
    let (created_at, ended_at) = (seconds(params.created_at), seconds(past.ended_at));
    let kind = stored_kind(past, current, &mut history.subjects);
    let deliveries = past.deliveries.iter().map(|delivery| StoredDelivery {
        tag: delivery.tag.0,
        kind: place_in(
            &mut history.delivery_kinds,
            StoredDeliveryKind {
                number: delivery.number,
                channel: channel_number(delivery.channel),
                status: delivery.status.number(),
                carrier: delivery.carrier.clone(),
                cause: delivery.cause.number(),
                parts: delivery.parts,
            },
        ),
        seconds_to_update: seconds(delivery.updated_at).wrapping_sub(created_at),
    });
    StoredPast {
        nonce: params.nonce.0,
        deliveries: deliveries.collect(),
        kind: place_in(&mut history.kinds, kind),
        reference: params.reference.clone(),
        idempotency: params
            .idempotency
            .map(|idempotency| (idempotency.key.0, idempotency.body.0)),
        seconds_before_newer: newer.wrapping_sub(ended_at),
        seconds_lasted: ended_at.wrapping_sub(created_at),
        attempts_used: past.attempts_used,
        rare: stored_rare(past),
    }
}

fn stored_kind(
    past: &PastVerification,
    current: Option<&VerificationSubject>,
    subjects: &mut Vec<StoredSubject>,
) -> StoredKind {
    let params = &past.params;
    let subject = params.subject.as_ref().map(|subject| StoredSubjectUse {
        number: subject_number(subject, current, subjects),
        is_unique: subject.is_unique,
        is_taken: subject.is_taken,
    });
    let fallback = params.fallback.iter().copied().map(channel_number);
    let ttl_seconds = params.expires_at.seconds_since(params.created_at);
    StoredKind {
        channel: channel_number(params.channel),
        fallback: fallback.collect(),
        locale: params.locale.clone(),
        purpose: stored_purpose(params),
        ttl_seconds: u16::try_from(ttl_seconds).unwrap_or(0),
        attempts_max: params.attempts_max,
        status: status_number(past.status),
        subject,
    }
}

fn subject_number(
    subject: &VerificationSubject,
    current: Option<&VerificationSubject>,
    subjects: &mut Vec<StoredSubject>,
) -> u16 {
    if current.is_some_and(|current| current.is_sealed_like(subject)) {
        return 0;
    }
    let stored = StoredSubject {
        key: subject.key.0.0,
        sealed_for: subject.sealed_for.0,
        sealed_id: subject.sealed_id.clone(),
    };
    place_in(subjects, stored).saturating_add(1)
}

fn stored_rare(past: &PastVerification) -> Option<StoredRare> {
    let decisions = (0u8..).zip(&past.recorded_checks);
    let decisions = decisions.filter_map(|(n, check)| Some((n, check.decision?.0)));
    let transaction = past.params.transaction.as_ref();
    let rare = StoredRare {
        transaction: transaction.map(|t| (t.amount.clone(), t.currency.clone(), t.payee.clone())),
        text_reference: past.text_reference.map(TextReference::to_bytes),
        checks: past.recorded_checks.iter().map(stored_check).collect(),
        decisions: decisions.collect(),
    };
    let is_empty =
        rare.transaction.is_none() && rare.text_reference.is_none() && rare.checks.is_empty();
    (!is_empty).then_some(rare)
}

fn past_from_stored(
    stored: StoredPast,
    current: Option<&VerificationSubject>,
    created_at: u32,
    ended_at: u32,
    history: &StoredHistory,
) -> Option<PastVerification> {
    let kind = history.kinds.get(usize::from(stored.kind))?;
    let subject = match &kind.subject {
        Some(used) => Some(subject_from_stored(used, current, &history.subjects)?),
        None => None,
    };
    let fallback = kind.fallback.iter().copied().map(channel_from_number);
    let start = Timestamp(created_at.into());
    let rare = stored.rare.unwrap_or(StoredRare {
        transaction: None,
        text_reference: None,
        checks: vec![],
        decisions: vec![],
    });
    let transaction = |(amount, currency, payee)| Transaction {
        amount,
        currency,
        payee,
    };
    let deliveries = stored.deliveries.iter();
    let deliveries = deliveries
        .map(|delivery| delivery_from_stored(delivery, created_at, &history.delivery_kinds));
    let text_reference = rare.text_reference;
    Some(PastVerification {
        status: status_from_number(kind.status)?,
        ended_at: Timestamp(ended_at.into()),
        attempts_used: stored.attempts_used,
        text_reference: text_reference.and_then(|letters| TextReference::from_bytes(&letters)),
        deliveries: deliveries.collect::<Option<_>>()?,
        recorded_checks: checks_from_stored(rare.checks, rare.decisions)?,
        params: VerificationParams {
            nonce: VerificationNonce(stored.nonce),
            channel: channel_from_number(kind.channel)?,
            fallback: fallback.collect::<Option<_>>()?,
            locale: kind.locale.clone(),
            purpose: purpose_from_stored(kind.purpose.clone()),
            transaction: rare.transaction.map(transaction),
            subject,
            reference: stored.reference,
            idempotency: stored.idempotency.map(|(key, body)| Idempotency {
                key: IdempotencyKeyHash(key),
                body: BodyHash(body),
            }),
            created_at: start,
            expires_at: start + i64::from(kind.ttl_seconds),
            attempts_max: kind.attempts_max,
        },
    })
}

fn subject_from_stored(
    used: &StoredSubjectUse,
    current: Option<&VerificationSubject>,
    subjects: &[StoredSubject],
) -> Option<VerificationSubject> {
    let (is_unique, is_taken) = (used.is_unique, used.is_taken);
    let Some(place) = used.number.checked_sub(1) else {
        return Some(VerificationSubject {
            is_unique,
            is_taken,
            ..current?.clone()
        });
    };
    let stored = subjects.get(usize::from(place))?;
    Some(VerificationSubject {
        key: SubjectKey(RecordKey(stored.key)),
        sealed_id: stored.sealed_id.clone(),
        sealed_for: VerificationNonce(stored.sealed_for),
        // Opened once the item is read.
        id: None,
        is_unique,
        is_taken,
    })
}

fn delivery_from_stored(
    stored: &StoredDelivery,
    created_at: u32,
    kinds: &[StoredDeliveryKind],
) -> Option<Delivery> {
    let kind = kinds.get(usize::from(stored.kind))?;
    let updated_at = created_at.wrapping_add(stored.seconds_to_update);
    Some(Delivery {
        tag: DeliveryTag(stored.tag),
        number: kind.number,
        channel: channel_from_number(kind.channel)?,
        status: DeliveryStatus::try_from(kind.status).ok()?,
        carrier: kind.carrier.clone(),
        cause: Cause::try_from(kind.cause).ok()?,
        updated_at: Timestamp(updated_at.into()),
        parts: kind.parts,
        // Nothing follows from the status of a past verification's message.
        vendor_id: None,
        early_report: None,
        is_account_fault: false,
    })
}

fn checks_from_stored(
    stored: Vec<StoredCheck>,
    decisions: Vec<(u8, [u8; 8])>,
) -> Option<Vec<RecordedCheck>> {
    let checks = stored.into_iter().map(check_from_stored);
    let mut checks = checks.collect::<Option<Vec<_>>>()?;
    for (index, decision) in decisions {
        checks.get_mut(usize::from(index))?.decision = Some(DecisionNonce(decision));
    }
    Some(checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::ids::{AttemptHash, AttemptNonce};
    use crate::domain::verification::tests::verification;
    use crate::domain::verification_status::{CheckOutcome, Reason, Status};

    fn past(n: u8, created_at: i64, ended_at: i64) -> PastVerification {
        let mut v = verification(5);
        v.params.nonce = VerificationNonce([n; 4]);
        v.params.created_at = Timestamp(created_at);
        v.params.expires_at = Timestamp(created_at) + 300;
        v.params.idempotency = Some(Idempotency {
            key: IdempotencyKeyHash([n; 8]),
            body: BodyHash([2; 8]),
        });
        let mut past = PastVerification::new(v, Timestamp(ended_at));
        past.deliveries = vec![delivery(n, Timestamp(created_at) + 3)];
        past
    }

    fn delivery(n: u8, updated_at: Timestamp) -> Delivery {
        Delivery {
            tag: DeliveryTag([n; 4]),
            number: 1,
            channel: Channel::Sms,
            status: DeliveryStatus::Delivered,
            carrier: Some("sim-a".into()),
            cause: Cause::Requested,
            updated_at,
            parts: Some(2),
            vendor_id: None,
            early_report: None,
            is_account_fault: false,
        }
    }

    fn subject(n: u8) -> VerificationSubject {
        VerificationSubject {
            key: SubjectKey(RecordKey([n; 12])),
            sealed_id: vec![n; 44],
            sealed_for: VerificationNonce([n; 4]),
            id: None,
            is_unique: true,
            is_taken: false,
        }
    }

    const PACKED: &str = "ed0702000002656e00ac02050501000100000002656e00ac0205050101010001010032010573696d\
        2d6100010201090909090909090909090909090909092c0909090909090909090909090909090909\
        09090909090909090909090909090909090909090909090909090902010101010000010101010101\
        01010102020202020202020005000101010101000300020202020100010202020202020202020202\
        02020202020a5a000102020202000300";

    fn read_back(
        past: &[PastVerification],
        current: Option<&VerificationSubject>,
    ) -> Vec<PastVerification> {
        unpack_history(&pack_history(past, current), current)
    }

    #[test]
    fn past_verifications_of_any_status_are_read_back() {
        let mut all = vec![];
        for (n, status) in (0..).zip(Status::ALL) {
            let start = 10_000 - 1000 * i64::from(n);
            let mut past = past(n, start, start + 500);
            past.status = status;
            past.attempts_used = n;
            past.params.reference = Some(format!("order {n}"));
            all.push(past);
        }
        assert_eq!(read_back(&all, None), all);
        assert_eq!(read_back(&[], None), []);
    }

    #[test]
    fn times_in_any_order_are_read_back() {
        let ends = [i64::from(u32::MAX), 5, 900_000_000, 1_795_900_000, 0];
        let all: Vec<_> = (0..)
            .zip(ends)
            .map(|(n, end)| {
                let mut past = past(n, 1_795_000_000, end);
                past.deliveries[0].updated_at = Timestamp(end);
                past
            })
            .collect();
        assert_eq!(read_back(&all, None), all);
    }

    #[test]
    fn deliveries_of_any_kind_are_read_back() {
        let mut past = past(1, 1000, 1005);
        for channel in Channel::ALL {
            for (number, status) in (2..).zip(DeliveryStatus::ALL) {
                past.deliveries.push(Delivery {
                    number,
                    channel,
                    status,
                    carrier: None,
                    parts: None,
                    cause: Cause::SecondCarrier,
                    ..delivery(7, Timestamp(1004))
                });
            }
        }
        let all = [past.clone(), past];
        assert_eq!(read_back(&all, None), all);
    }

    #[test]
    fn rare_values_are_read_back() {
        let mut rare = past(1, 1000, 1005);
        rare.params.transaction = Some(Transaction {
            amount: "12.50".into(),
            currency: "EUR".into(),
            payee: "Shop".into(),
        });
        rare.params.purpose = "login".into();
        rare.params.fallback = vec![Channel::Voice, Channel::Email];
        rare.params.idempotency = None;
        rare.text_reference = TextReference::from_bytes(b"KX");
        let check = |n: u8| RecordedCheck {
            nonce: AttemptNonce::Keyed([n; 8]),
            hash: AttemptHash([n; 16]),
            decision: (n == 1).then_some(DecisionNonce([n; 8])),
            outcome: CheckOutcome {
                reason: (n == 2).then_some(Reason::WrongCode),
                status: Status::Approved,
                attempts_left: n,
            },
        };
        rare.recorded_checks = (0..3).map(check).collect();
        let all = [rare, past(2, 900, 1000)];
        assert_eq!(read_back(&all, None), all);
    }

    #[test]
    fn subjects_are_read_back_and_stored_once() {
        let of = |n: u8, sealed: u8| {
            let mut past = past(n, 1000, 1005);
            past.params.subject = Some(subject(sealed));
            past
        };
        let all = [of(1, 8), of(2, 9), of(3, 8), past(4, 1000, 1005)];
        let current = subject(8);
        for current in [None, Some(&current), Some(&subject(7))] {
            assert_eq!(read_back(&all, current), all, "{current:?}");
        }
        let packed = |current| pack_history(&all, current).len();
        assert_eq!(packed(Some(&current)) + 61, packed(None));
        // Without the current one, what shares its sealed id is not readable.
        let read = unpack_history(&pack_history(&all, Some(&current)), None);
        assert_eq!(read, [of(2, 9), past(4, 1000, 1005)]);
    }

    /// Stored items have this form: a change of it would misread them.
    #[test]
    fn history_with_subjects_has_a_fixed_form() {
        let mut all = [past(1, 1000, 1005), past(2, 900, 990)];
        for (past, sealed) in all.iter_mut().zip([8, 9]) {
            past.params.subject = Some(subject(sealed));
        }
        let packed = pack_history(&all, Some(&subject(8)));
        assert_eq!(data_encoding::HEXLOWER.encode(&packed), PACKED);
    }

    #[test]
    fn unreadable_history_is_left_out() {
        assert_eq!(unpack_history(&[], None), []);
        assert_eq!(unpack_history(&[1, 2, 3], None), []);
        let all = [past(1, 1000, 1005), past(2, 900, 1000)];
        let packed = pack_history(&all, None);
        for length in 0..packed.len() {
            assert_eq!(unpack_history(&packed[..length], None), []);
        }
    }
}
