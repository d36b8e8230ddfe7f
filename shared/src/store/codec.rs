//! Values that are only read whole, packed: lists of moments, what was agreed, how verifications ended.
//! The first byte is the version of the shape: a new one is read beside the old.

use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus};
use crate::domain::past_verification::{Answer, PastVerification};
use crate::domain::time::Timestamp;
use crate::domain::verification::{Outcome, Reason, Status, Transaction, VerificationParams};

/// Moments rest as four bytes each, good until 2106.
pub(super) fn moment(at: Timestamp) -> [u8; 4] {
    u32::try_from(at.0).unwrap_or(u32::MAX).to_be_bytes()
}

pub(super) fn pack_moments(moments: &[Timestamp]) -> Vec<u8> {
    moments.iter().flat_map(|at| moment(*at)).collect()
}

pub(super) fn unpack_moments(packed: &[u8]) -> Vec<Timestamp> {
    packed
        .chunks_exact(4)
        .filter_map(|four| Some(Timestamp(u32::from_be_bytes(four.try_into().ok()?).into())))
        .collect()
}

pub(super) fn channel_number(channel: Channel) -> u8 {
    match channel {
        Channel::Sms => 0,
        Channel::Voice => 1,
        Channel::Whatsapp => 2,
        Channel::Email => 3,
    }
}

pub(super) fn channel_from_number(number: u8) -> Option<Channel> {
    Channel::ALL
        .into_iter()
        .find(|channel| channel_number(*channel) == number)
}

/// First byte of a packed value: the version of its shape.
const PACKED_VERSION: u8 = 2;

#[derive(Serialize, Deserialize)]
struct ParamsAtRest {
    nonce: [u8; 16],
    channel: u8,
    fallback: Vec<u8>,
    locale: String,
    /// Empty for `default`, which most are.
    purpose: String,
    transaction: Option<(String, String, String)>,
    reference: Option<String>,
    idempotency: Option<([u8; 8], [u8; 8])>,
    created_at: u32,
    /// After `created_at`, in seconds.
    ttl: u16,
    attempts_max: u8,
}

#[derive(Serialize, Deserialize)]
struct EndedAtRest {
    params: ParamsAtRest,
    status: u8,
    ended_at: u32,
    attempts_used: u8,
    deliveries: Vec<DeliveryAtRest>,
    answers: Vec<AnswerAtRest>,
}

/// Tag, number, channel, status, carrier, cause, moment, parts.
type DeliveryAtRest = ([u8; 4], u16, u8, u8, Option<String>, u8, u32, u8);
/// Nonce, hash, reason, status, attempts left.
type AnswerAtRest = (Vec<u8>, [u8; 16], u8, u8, u8);

fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    let mut packed = vec![PACKED_VERSION];
    // Plain values with derived shapes: serialising them to memory cannot fail.
    packed.extend(postcard::to_allocvec(value).unwrap_or_default());
    packed
}

fn unpack<'b, T: Deserialize<'b>>(packed: &'b [u8]) -> Option<T> {
    let (version, rest) = packed.split_first()?;
    (*version == PACKED_VERSION)
        .then(|| postcard::from_bytes(rest).ok())
        .flatten()
}

pub(super) fn pack_params(params: &VerificationParams) -> Vec<u8> {
    pack(&params_at_rest(params))
}

pub(super) fn unpack_params(packed: &[u8]) -> Option<VerificationParams> {
    params(unpack(packed)?)
}

fn params_at_rest(params: &VerificationParams) -> ParamsAtRest {
    ParamsAtRest {
        nonce: params.nonce,
        channel: channel_number(params.channel),
        fallback: params
            .fallback
            .iter()
            .map(|channel| channel_number(*channel))
            .collect(),
        locale: params.locale.clone(),
        purpose: if params.purpose == DEFAULT_PURPOSE {
            String::new()
        } else {
            params.purpose.clone()
        },
        transaction: params
            .transaction
            .as_ref()
            .map(|t| (t.amount.clone(), t.currency.clone(), t.payee.clone())),
        reference: params.reference.clone(),
        idempotency: params.idempotency,
        created_at: u32::from_be_bytes(moment(params.created_at)),
        ttl: u16::try_from(params.expires_at.seconds_since(params.created_at)).unwrap_or(0),
        attempts_max: params.attempts_max,
    }
}

fn params(rest: ParamsAtRest) -> Option<VerificationParams> {
    let created_at = Timestamp(rest.created_at.into());
    Some(VerificationParams {
        nonce: rest.nonce,
        channel: channel_from_number(rest.channel)?,
        fallback: rest
            .fallback
            .into_iter()
            .map(channel_from_number)
            .collect::<Option<_>>()?,
        locale: rest.locale,
        purpose: if rest.purpose.is_empty() {
            DEFAULT_PURPOSE.into()
        } else {
            rest.purpose
        },
        transaction: rest
            .transaction
            .map(|(amount, currency, payee)| Transaction {
                amount,
                currency,
                payee,
            }),
        reference: rest.reference,
        idempotency: rest.idempotency,
        created_at,
        expires_at: created_at + rest.ttl.into(),
        attempts_max: rest.attempts_max,
    })
}

/// The purpose of a verification that names none.
pub const DEFAULT_PURPOSE: &str = "default";

pub(super) fn pack_ended(ended: &PastVerification) -> Vec<u8> {
    let delivery = |d: &Delivery| {
        let (channel, updated_at) = (
            channel_number(d.channel),
            u32::from_be_bytes(moment(d.updated_at)),
        );
        (
            d.tag,
            d.number,
            channel,
            d.status.number(),
            d.carrier.clone(),
            d.cause.number(),
            updated_at,
            d.parts,
        )
    };
    let answer = |a: &Answer| {
        (
            a.nonce.clone(),
            a.hash,
            reason_number(a.outcome.reason),
            status_number(a.outcome.status),
            a.outcome.attempts_left,
        )
    };
    pack(&EndedAtRest {
        params: params_at_rest(&ended.params),
        status: status_number(ended.status),
        ended_at: u32::from_be_bytes(moment(ended.ended_at)),
        attempts_used: ended.attempts_used,
        deliveries: ended.deliveries.iter().map(delivery).collect(),
        answers: ended.answers.iter().map(answer).collect(),
    })
}

pub(super) fn unpack_ended(packed: &[u8]) -> Option<PastVerification> {
    let rest: EndedAtRest = unpack(packed)?;
    let delivery =
        |(tag, number, channel, status, carrier, cause, updated_at, parts): DeliveryAtRest| {
            Some(Delivery {
                tag,
                number,
                channel: channel_from_number(channel)?,
                status: DeliveryStatus::numbered(status)?,
                carrier,
                cause: Cause::numbered(cause)?,
                updated_at: Timestamp(updated_at.into()),
                parts,
                // Nobody asks about a verification that has ended.
                vendor_id: None,
            })
        };
    let answer = |(nonce, hash, reason, status, attempts_left): AnswerAtRest| {
        Some(Answer {
            nonce,
            hash,
            outcome: Outcome {
                reason: numbered_reason(reason)?,
                status: numbered_status(status)?,
                attempts_left,
            },
        })
    };
    Some(PastVerification {
        params: params(rest.params)?,
        status: numbered_status(rest.status)?,
        ended_at: Timestamp(rest.ended_at.into()),
        attempts_used: rest.attempts_used,
        deliveries: rest
            .deliveries
            .into_iter()
            .map(delivery)
            .collect::<Option<_>>()?,
        answers: rest
            .answers
            .into_iter()
            .map(answer)
            .collect::<Option<_>>()?,
    })
}

/// A status rests as its place in `Status::ALL`: new ones go to the end of that list.
fn status_number(status: Status) -> u8 {
    u8::try_from(Status::ALL.iter().position(|s| *s == status).unwrap_or(0)).unwrap_or(0)
}

fn numbered_status(number: u8) -> Option<Status> {
    Status::ALL.get(usize::from(number)).copied()
}

/// A reason rests as its place in this list, 0 for a success.
const REASONS: [Option<Reason>; 7] = [
    None,
    Some(Reason::WrongCode),
    Some(Reason::Expired),
    Some(Reason::Exhausted),
    Some(Reason::AlreadyUsed),
    Some(Reason::Canceled),
    Some(Reason::Superseded),
];

fn reason_number(reason: Option<Reason>) -> u8 {
    u8::try_from(REASONS.iter().position(|r| *r == reason).unwrap_or(0)).unwrap_or(0)
}

fn numbered_reason(number: u8) -> Option<Option<Reason>> {
    REASONS.get(usize::from(number)).copied()
}
