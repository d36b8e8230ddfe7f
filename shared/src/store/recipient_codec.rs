//! Packed values of a recipient: times, parameters, past verifications. They are read as a whole
//! only. Their shapes belong to the format version of the item.

use serde::{Deserialize, Serialize};

use super::recipient_subject_codec::{pack_subject, unpack_subject};
use crate::domain::channel::Channel;
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus};
use crate::domain::ids::{
    AttemptHash, AttemptNonce, BodyHash, DeliveryTag, IdempotencyKeyHash, VerificationNonce,
};
use crate::domain::past_verification::{PastVerification, RecordedCheck};
use crate::domain::text_reference::TextReference;
use crate::domain::time::Timestamp;
use crate::domain::verification::MessageRequest;
use crate::domain::verification_params::{
    DEFAULT_PURPOSE, Idempotency, Transaction, VerificationParams,
};
use crate::domain::verification_status::{CheckOutcome, Reason, Status};

/// A time as four bytes, good until 2106.
pub(super) fn stored_time(at: Timestamp) -> [u8; 4] {
    seconds(at).to_be_bytes()
}

pub(super) fn time_from_stored(stored: [u8; 4]) -> Timestamp {
    Timestamp(u32::from_be_bytes(stored).into())
}

pub(super) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.0).unwrap_or(u32::MAX)
}

pub(super) fn pack_times(times: &[Timestamp]) -> Vec<u8> {
    times.iter().flat_map(|at| stored_time(*at)).collect()
}

pub(super) fn unpack_times(packed: &[u8]) -> Vec<Timestamp> {
    let times = packed
        .chunks_exact(4)
        .filter_map(|time| time.try_into().ok());
    times.map(time_from_stored).collect()
}

/// Tag, channel and time of each request, nine bytes together.
pub(super) fn pack_requests(requests: &[MessageRequest]) -> Vec<u8> {
    let packed = requests.iter().flat_map(|request| {
        let MessageRequest { tag, channel, at } = *request;
        tag.0
            .into_iter()
            .chain([channel_number(channel)])
            .chain(stored_time(at))
    });
    packed.collect()
}

pub(super) fn unpack_requests(packed: &[u8]) -> Vec<MessageRequest> {
    let requests = packed.chunks_exact(9).filter_map(|request| {
        let (tag, rest) = request.split_first_chunk::<4>()?;
        let (channel, at) = rest.split_first()?;
        Some(MessageRequest {
            tag: DeliveryTag(*tag),
            channel: channel_from_number(*channel)?,
            at: time_from_stored(at.try_into().ok()?),
        })
    });
    requests.collect()
}

pub(super) fn channel_number(channel: Channel) -> u8 {
    match channel {
        Channel::Sms => 0,
        Channel::Voice => 1,
        Channel::Whatsapp => 2,
        Channel::Email => 3,
        Channel::Push => 4,
    }
}

pub(super) fn channel_from_number(number: u8) -> Option<Channel> {
    Channel::ALL
        .into_iter()
        .find(|channel| channel_number(*channel) == number)
}

#[derive(Serialize, Deserialize)]
struct StoredParams {
    nonce: [u8; 4],
    channel: u8,
    fallback: Vec<u8>,
    locale: String,
    /// Empty for the default purpose, which most verifications have.
    purpose: String,
    /// Amount, currency, payee.
    transaction: Option<(String, String, String)>,
    reference: Option<String>,
    /// Hashes of key and body.
    idempotency: Option<([u8; 8], [u8; 8])>,
    created_at: u32,
    /// From `created_at` to the expiry.
    ttl_seconds: u16,
    attempts_max: u8,
}

#[derive(Serialize, Deserialize)]
struct StoredPastVerification {
    params: StoredParams,
    status: u8,
    ended_at: u32,
    attempts_used: u8,
    deliveries: Vec<StoredDelivery>,
    recorded_checks: Vec<StoredCheck>,
}

#[derive(Serialize, Deserialize)]
struct StoredDelivery {
    tag: [u8; 4],
    number: u16,
    channel: u8,
    status: u8,
    carrier: Option<String>,
    cause: u8,
    updated_at: u32,
    parts: Option<u8>,
}

/// Outcome of a check with an `Idempotency-Key`.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredCheck {
    nonce: [u8; 9],
    hash: [u8; 16],
    reason: u8,
    status: u8,
    attempts_left: u8,
}

pub(super) fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain values with derived shapes: writing them to memory cannot fail.
    postcard::to_allocvec(value).unwrap_or_default()
}

pub(super) fn pack_params(params: &VerificationParams) -> Vec<u8> {
    let mut packed = pack(&stored_params(params));
    packed.extend(pack_subject(params, &[]));
    packed
}

pub(super) fn unpack_params(packed: &[u8]) -> Option<VerificationParams> {
    let (stored, rest) = postcard::take_from_bytes(packed).ok()?;
    let mut params = params_from_stored(stored)?;
    unpack_subject(rest, &mut params, &mut []);
    Some(params)
}

fn stored_params(params: &VerificationParams) -> StoredParams {
    StoredParams {
        nonce: params.nonce.0,
        channel: channel_number(params.channel),
        fallback: params
            .fallback
            .iter()
            .map(|channel| channel_number(*channel))
            .collect(),
        locale: params.locale.clone(),
        purpose: stored_purpose(params),
        transaction: params
            .transaction
            .as_ref()
            .map(|t| (t.amount.clone(), t.currency.clone(), t.payee.clone())),
        reference: params.reference.clone(),
        idempotency: params
            .idempotency
            .map(|idempotency| (idempotency.key.0, idempotency.body.0)),
        created_at: seconds(params.created_at),
        ttl_seconds: u16::try_from(params.expires_at.seconds_since(params.created_at)).unwrap_or(0),
        attempts_max: params.attempts_max,
    }
}

/// Empty for the default purpose, which most verifications have.
pub(super) fn stored_purpose(params: &VerificationParams) -> String {
    match params.purpose.as_str() {
        DEFAULT_PURPOSE => String::new(),
        purpose => purpose.to_owned(),
    }
}

pub(super) fn purpose_from_stored(stored: String) -> String {
    match stored.is_empty() {
        true => DEFAULT_PURPOSE.to_owned(),
        false => stored,
    }
}

fn params_from_stored(stored: StoredParams) -> Option<VerificationParams> {
    let created_at = Timestamp(stored.created_at.into());
    let fallback = stored.fallback.into_iter().map(channel_from_number);
    Some(VerificationParams {
        nonce: VerificationNonce(stored.nonce),
        channel: channel_from_number(stored.channel)?,
        fallback: fallback.collect::<Option<_>>()?,
        locale: stored.locale,
        purpose: purpose_from_stored(stored.purpose),
        transaction: stored
            .transaction
            .map(|(amount, currency, payee)| Transaction {
                amount,
                currency,
                payee,
            }),
        subject: None,
        reference: stored.reference,
        idempotency: stored.idempotency.map(|(key, body)| Idempotency {
            key: IdempotencyKeyHash(key),
            body: BodyHash(body),
        }),
        created_at,
        expires_at: created_at + i64::from(stored.ttl_seconds),
        attempts_max: stored.attempts_max,
    })
}

/// The subject and the text reference follow the rest: builds without them ignore what follows.
pub(super) fn pack_past(past: &PastVerification) -> Vec<u8> {
    let mut packed = pack(&StoredPastVerification {
        params: stored_params(&past.params),
        status: status_number(past.status),
        ended_at: seconds(past.ended_at),
        attempts_used: past.attempts_used,
        deliveries: past.deliveries.iter().map(stored_delivery).collect(),
        recorded_checks: past.recorded_checks.iter().map(stored_check).collect(),
    });
    packed.extend(pack_subject(&past.params, &past.recorded_checks));
    packed.extend(
        past.text_reference
            .iter()
            .flat_map(|reference| reference.to_bytes()),
    );
    packed
}

pub(super) fn unpack_past(packed: &[u8]) -> Option<PastVerification> {
    let (stored, rest): (StoredPastVerification, _) = postcard::take_from_bytes(packed).ok()?;
    let deliveries = stored.deliveries.into_iter().map(delivery_from_stored);
    let recorded_checks = stored.recorded_checks.into_iter().map(check_from_stored);
    let mut past = PastVerification {
        params: params_from_stored(stored.params)?,
        status: status_from_number(stored.status)?,
        ended_at: Timestamp(stored.ended_at.into()),
        attempts_used: stored.attempts_used,
        text_reference: None,
        deliveries: deliveries.collect::<Option<_>>()?,
        recorded_checks: recorded_checks.collect::<Option<_>>()?,
    };
    // A subject is longer than a text reference, so a reference is not read as one.
    let rest = unpack_subject(rest, &mut past.params, &mut past.recorded_checks);
    past.text_reference = TextReference::from_bytes(rest);
    Some(past)
}

fn stored_delivery(delivery: &Delivery) -> StoredDelivery {
    StoredDelivery {
        tag: delivery.tag.0,
        number: delivery.number,
        channel: channel_number(delivery.channel),
        status: delivery.status.number(),
        carrier: delivery.carrier.clone(),
        cause: delivery.cause.number(),
        updated_at: seconds(delivery.updated_at),
        parts: delivery.parts,
    }
}

fn delivery_from_stored(stored: StoredDelivery) -> Option<Delivery> {
    Some(Delivery {
        tag: DeliveryTag(stored.tag),
        number: stored.number,
        channel: channel_from_number(stored.channel)?,
        status: DeliveryStatus::try_from(stored.status).ok()?,
        carrier: stored.carrier,
        cause: Cause::try_from(stored.cause).ok()?,
        updated_at: Timestamp(stored.updated_at.into()),
        parts: stored.parts,
        // Nothing follows from the status of a past verification's message.
        vendor_id: None,
        early_report: None,
        is_account_fault: false,
    })
}

pub(super) fn stored_check(check: &RecordedCheck) -> StoredCheck {
    StoredCheck {
        nonce: check.nonce.to_bytes(),
        hash: check.hash.0,
        reason: reason_number(check.outcome.reason),
        status: status_number(check.outcome.status),
        attempts_left: check.outcome.attempts_left,
    }
}

pub(super) fn check_from_stored(stored: StoredCheck) -> Option<RecordedCheck> {
    Some(RecordedCheck {
        nonce: AttemptNonce::from_bytes(&stored.nonce)?,
        hash: AttemptHash(stored.hash),
        decision: None,
        outcome: CheckOutcome {
            reason: reason_from_number(stored.reason)?,
            status: status_from_number(stored.status)?,
            attempts_left: stored.attempts_left,
        },
    })
}

pub(super) fn status_number(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::Approved => 1,
        Status::Canceled => 2,
        Status::Expired => 3,
        Status::Exhausted => 4,
        Status::Superseded => 5,
        Status::Refused => 6,
    }
}

pub(super) fn status_from_number(number: u8) -> Option<Status> {
    Status::ALL
        .into_iter()
        .find(|status| status_number(*status) == number)
}

fn reason_number(reason: Option<Reason>) -> u8 {
    match reason {
        None => 0,
        Some(Reason::WrongCode) => 1,
        Some(Reason::Expired) => 2,
        Some(Reason::Exhausted) => 3,
        Some(Reason::AlreadyUsed) => 4,
        Some(Reason::Canceled) => 5,
        Some(Reason::Superseded) => 6,
        Some(Reason::RecipientTaken) => 7,
    }
}

/// All reasons that are stored; `None` is a success.
const REASONS: [Option<Reason>; 8] = [
    None,
    Some(Reason::WrongCode),
    Some(Reason::Expired),
    Some(Reason::Exhausted),
    Some(Reason::AlreadyUsed),
    Some(Reason::Canceled),
    Some(Reason::Superseded),
    Some(Reason::RecipientTaken),
];

/// Outer `None`: not a number of a reason. Inner `None`: a success, which has no reason.
fn reason_from_number(number: u8) -> Option<Option<Reason>> {
    REASONS
        .into_iter()
        .find(|reason| reason_number(*reason) == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DecisionNonce, RecordKey, SubjectKey};
    use crate::domain::verification::tests::verification;
    use crate::domain::verification_params::VerificationSubject;

    fn past(status: Status) -> PastVerification {
        let mut past = PastVerification::new(verification(5), Timestamp(1005));
        past.status = status;
        past.attempts_used = 3;
        past
    }

    #[test]
    fn past_verification_of_any_status_is_read_back() {
        for status in Status::ALL {
            let past = past(status);
            assert_eq!(unpack_past(&pack_past(&past)), Some(past));
        }
    }

    #[test]
    fn recorded_check_of_any_reason_is_read_back() {
        let mut past = past(Status::Exhausted);
        let check = |(n, reason): (u8, Option<Reason>)| RecordedCheck {
            nonce: AttemptNonce::Keyed([n; 8]),
            hash: AttemptHash([n; 16]),
            decision: None,
            outcome: CheckOutcome {
                reason,
                status: Status::Approved,
                attempts_left: n,
            },
        };
        past.recorded_checks = (0..).zip(REASONS).map(check).collect();
        assert_eq!(unpack_past(&pack_past(&past)), Some(past));
    }

    #[test]
    fn decisions_of_recorded_checks_are_read_back() {
        let mut past = past(Status::Approved);
        past.params.subject = Some(VerificationSubject {
            key: SubjectKey(RecordKey([8; 12])),
            sealed_id: vec![1, 2, 3],
            sealed_for: past.params.nonce,
            id: None,
            is_unique: false,
            is_taken: true,
        });
        let check = |n: u8| RecordedCheck {
            nonce: AttemptNonce::Keyed([n; 8]),
            hash: AttemptHash([n; 16]),
            decision: (n == 1).then_some(DecisionNonce([n; 8])),
            outcome: CheckOutcome {
                reason: None,
                status: Status::Approved,
                attempts_left: 1,
            },
        };
        past.recorded_checks = (0..3).map(check).collect();
        past.text_reference = TextReference::from_bytes(b"KX");
        assert_eq!(unpack_past(&pack_past(&past)), Some(past));
    }

    #[test]
    fn deliveries_of_any_kind_are_read_back() {
        let mut past = past(Status::Approved);
        let mut number = 0;
        for channel in Channel::ALL {
            for status in DeliveryStatus::ALL {
                number += 1;
                past.deliveries.push(Delivery {
                    tag: DeliveryTag([1, 2, 3, 4]),
                    number,
                    channel,
                    status,
                    carrier: Some("sim-a".into()),
                    cause: Cause::SecondCarrier,
                    updated_at: Timestamp(1004),
                    parts: Some(2),
                    vendor_id: None,
                    early_report: None,
                    is_account_fault: false,
                });
            }
        }
        assert_eq!(unpack_past(&pack_past(&past)), Some(past));
    }

    #[test]
    fn times_are_read_back_as_written() {
        let times = [
            Timestamp(0),
            Timestamp(1_795_291_200),
            Timestamp(4_294_967_295),
        ];
        assert_eq!(unpack_times(&pack_times(&times)), times);
        assert_eq!(pack_times(&[Timestamp(1)]), [0, 0, 0, 1]);
    }

    #[test]
    fn unreadable_values_are_left_out() {
        assert_eq!(unpack_params(&[]), None);
        assert_eq!(unpack_past(&[1, 2, 3]), None);
        let channel_of_no_meaning = [1, 2, 3, 4, 9, 0, 0, 0, 1];
        assert_eq!(unpack_requests(&channel_of_no_meaning), []);
    }
}
