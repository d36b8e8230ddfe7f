//! How a recipient's record rests: one item, short attribute names, packed lists. The one place that maps it.
//! Numbers that conditions compare are attributes of their own; what is only read whole is packed.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::codec::{
    channel_from_number, channel_number, moment, pack_ended, pack_moments, pack_params,
    unpack_ended, unpack_moments, unpack_params,
};
use crate::crypto::seal::{Keyring, RecordKey};
use crate::domain::address::Address;
use crate::domain::code::Code;
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus, DeliveryTag};
use crate::domain::email::EmailAddress;
use crate::domain::phone::{Line, PhoneNumber};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::{Attempt, Step, Verification};

pub(super) type Item = HashMap<String, AttributeValue>;

// The record.
pub(super) const KEY: &str = "pk";
pub(super) const TTL: &str = "ttl";
/// Raised by every write; a write of the whole item names the one that it read.
pub(super) const VERSION: &str = "ver";
/// Random name of the last write of the whole item: tells our own write, its answer lost, from another's.
pub(super) const WRITE: &str = "wid";
const APP: &str = "app";
const ADDRESS: &str = "addr";
const SENDS: &str = "sends";
const FAILURES: &str = "fails";
const FAILURES_IN_A_ROW: &str = "row";
const ENDED: &str = "past";
// The verification of now.
pub(super) const NONCE: &str = "id";
pub(super) const EXPIRES: &str = "exp";
/// Twice the attempts that it takes: each entry of the log is two elements, its name and the rest.
pub(super) const LOG_LENGTH_MAX: &str = "cap";
pub(super) const LOG: &str = "tries";
const SETTLED: &str = "old";
const FORGIVEN: &str = "free";
const CODE: &str = "code";
/// Id of the key that sealed the code: an attempt at a code whose key is gone is not taken.
pub(super) const KEY_ID: &str = "kid";
/// What the right attempt hashes to, so that a success stays one when the code's key is gone.
const EXPECTED: &str = "want";
const PARAMS: &str = "params";
pub(super) const CANCELED: &str = "gone";
pub(super) const FALLBACKS_USED: &str = "fb";
pub(super) const SEQUENCE: &str = "seq";
pub(super) const DUE: &str = "due";
pub(super) const HELD: &str = "held";
pub(super) const HOLDER: &str = "who";
pub(super) const ROUNDS: &str = "try";
/// Map of deliveries by tag.
pub(super) const DELIVERIES: &str = "msgs";
// One delivery.
pub(super) const D_NUMBER: &str = "n";
pub(super) const D_STATUS: &str = "s";
pub(super) const D_CARRIER: &str = "c";
pub(super) const D_UPDATED: &str = "t";
pub(super) const D_PARTS: &str = "p";
pub(super) const D_VENDOR_ID: &str = "i";
const D_CHANNEL: &str = "h";
const D_CAUSE: &str = "y";

const SEALED_CODE: &str = "code";
const SEALED_ADDRESS: &str = "address";
/// Between country and number of a fixed line.
const FIXED_LINE: char = 'f';

/// A record as it was read, with what a later write must name.
pub(super) struct Record {
    pub(super) recipient: Recipient,
    pub(super) version: u64,
    pub(super) write: Vec<u8>,
}

/// Seals a code for its verification.
pub(super) fn seal_code(seal: &Keyring, key: &RecordKey, nonce: &[u8; 16], code: &Code) -> Vec<u8> {
    seal.seal(SEALED_CODE, &owner(key, nonce), code.reveal())
}

/// The code of a verification; `None` if the key that sealed it is gone, or it was altered.
pub(super) fn open_code(
    seal: &Keyring,
    key: &RecordKey,
    verification: &Verification,
) -> Option<Code> {
    seal.open(
        SEALED_CODE,
        &owner(key, &verification.params.nonce),
        &verification.sealed_code,
    )
    .map(Code::unsealed)
}

/// Seals an address for its record, with country and line, which are not looked up again.
pub(super) fn seal_address(seal: &Keyring, key: &RecordKey, address: &Address) -> Vec<u8> {
    let text = match address {
        Address::Phone(number) if number.line() == Line::Fixed => {
            format!("{}{FIXED_LINE}{}", number.country(), number.reveal())
        }
        Address::Phone(number) => format!("{}{}", number.country(), number.reveal()),
        Address::Email(email) => format!("@@{}", email.reveal()),
    };
    seal.seal(SEALED_ADDRESS, key, &text)
}

fn open_address(seal: &Keyring, key: &RecordKey, sealed: &[u8]) -> Option<Address> {
    let text = seal.open(SEALED_ADDRESS, key, sealed)?;
    let (country, rest) = text.split_at_checked(2)?;
    Some(match country {
        "@@" => Address::Email(EmailAddress::unsealed(rest.to_owned())),
        country => Address::Phone(match rest.strip_prefix(FIXED_LINE) {
            Some(e164) => PhoneNumber::unsealed(e164, country, Line::Fixed),
            None => PhoneNumber::unsealed(rest, country, Line::Mobile),
        }),
    })
}

fn owner(key: &RecordKey, nonce: &[u8; 16]) -> Vec<u8> {
    [&key[..], &nonce[..]].concat()
}

/// Reads an item. What is missing or of another shape reads as absent: expired rather than trusted.
pub(super) fn read(seal: &Keyring, key: &RecordKey, item: &Item, now: Timestamp) -> Record {
    let version = number(item, VERSION).unsigned_abs();
    let write = bytes(item, WRITE).to_vec();
    if number(item, TTL) <= now.0 {
        // Its time is over, whether or not the table has removed it yet.
        return Record {
            recipient: Recipient::default(),
            version,
            write,
        };
    }
    let recipient = Recipient {
        app: item
            .get(APP)
            .and_then(|v| v.as_s().ok())
            .cloned()
            .unwrap_or_default(),
        address: open_address(seal, key, bytes(item, ADDRESS)),
        sealed_address: bytes(item, ADDRESS).to_vec(),
        sends: unpack_moments(bytes(item, SENDS)),
        failures: unpack_moments(bytes(item, FAILURES)),
        failures_in_a_row: u32::try_from(number(item, FAILURES_IN_A_ROW)).unwrap_or(0),
        verification: verification(seal, item),
        ended: list(item, ENDED)
            .iter()
            .filter_map(|packed| unpack_ended(packed.as_b().ok()?.as_ref()))
            .collect(),
    };
    Record {
        recipient,
        version,
        write,
    }
}

/// The whole item for `recipient`, without version, TTL and the name of the write.
pub(super) fn write(key: &RecordKey, recipient: &Recipient) -> Item {
    let mut item = Item::from([
        (KEY.into(), blob(key)),
        (APP.into(), AttributeValue::S(recipient.app.clone())),
    ]);
    let mut put = |name: &str, value: AttributeValue| drop(item.insert(name.into(), value));
    for (name, packed) in [
        (ADDRESS, recipient.sealed_address.clone()),
        (SENDS, pack_moments(&recipient.sends)),
        (FAILURES, pack_moments(&recipient.failures)),
    ] {
        if !packed.is_empty() {
            put(name, blob(&packed));
        }
    }
    if recipient.failures_in_a_row > 0 {
        put(FAILURES_IN_A_ROW, n(recipient.failures_in_a_row));
    }
    if !recipient.ended.is_empty() {
        put(
            ENDED,
            AttributeValue::L(
                recipient
                    .ended
                    .iter()
                    .map(|ended| blob(&pack_ended(ended)))
                    .collect(),
            ),
        );
    }
    if let Some(verification) = &recipient.verification {
        write_verification(verification, &mut put);
    }
    item
}

fn write_verification(verification: &Verification, put: &mut impl FnMut(&str, AttributeValue)) {
    let step = verification.step;
    put(NONCE, blob(&verification.params.nonce));
    put(EXPIRES, n(verification.params.expires_at.0));
    put(
        LOG_LENGTH_MAX,
        n(u16::from(verification.params.attempts_max) * 2),
    );
    put(
        LOG,
        AttributeValue::L(verification.attempts.iter().flat_map(log_entry).collect()),
    );
    put(CODE, blob(&verification.sealed_code));
    put(
        KEY_ID,
        AttributeValue::S(Keyring::key_id(&verification.sealed_code).to_owned()),
    );
    put(EXPECTED, blob(&verification.expected));
    put(PARAMS, blob(&pack_params(&verification.params)));
    put(SEQUENCE, n(step.sequence));
    put(DUE, n(step.due.0));
    put(HELD, n(step.held_until.0));
    put(HOLDER, blob(&step.holder));
    let deliveries = verification
        .deliveries
        .iter()
        .map(|delivery| (tag_name(&delivery.tag), delivery_map(delivery)));
    put(DELIVERIES, AttributeValue::M(deliveries.collect()));
    for (name, value) in [
        (ROUNDS, i64::from(step.rounds)),
        (FALLBACKS_USED, i64::from(verification.fallbacks_used)),
        (
            SETTLED,
            i64::try_from(verification.attempts_settled).unwrap_or(0),
        ),
        (
            FORGIVEN,
            i64::try_from(verification.attempts_forgiven).unwrap_or(0),
        ),
        (CANCELED, verification.canceled_at.map_or(0, |at| at.0)),
    ] {
        if value > 0 {
            put(name, n(value));
        }
    }
}

fn verification(seal: &Keyring, item: &Item) -> Option<Verification> {
    let params = unpack_params(bytes(item, PARAMS))?;
    let sealed_code = bytes(item, CODE).to_vec();
    let expected = bytes(item, EXPECTED).try_into().ok()?;
    let attempts: Vec<_> = list(item, LOG)
        .chunks_exact(2)
        .filter_map(attempt)
        .collect();
    let mut deliveries: Vec<_> = map(item, DELIVERIES)
        .into_iter()
        .flatten()
        .filter_map(|(tag, value)| delivery(tag, value.as_m().ok()?))
        .collect();
    deliveries.sort_by_key(|delivery| delivery.number);
    Some(Verification {
        attempts_settled: usize::try_from(number(item, SETTLED)).unwrap_or(0),
        attempts_forgiven: usize::try_from(number(item, FORGIVEN)).unwrap_or(0),
        canceled_at: Some(number(item, CANCELED))
            .filter(|at| *at > 0)
            .map(Timestamp),
        fallbacks_used: u8::try_from(number(item, FALLBACKS_USED)).unwrap_or(u8::MAX),
        step: Step {
            sequence: u16::try_from(number(item, SEQUENCE)).unwrap_or(u16::MAX),
            due: Timestamp(number(item, DUE)),
            held_until: Timestamp(number(item, HELD)),
            holder: bytes(item, HOLDER).try_into().unwrap_or_default(),
            rounds: u8::try_from(number(item, ROUNDS)).unwrap_or(u8::MAX),
        },
        is_openable: seal
            .live_key_ids()
            .any(|id| id == Keyring::key_id(&sealed_code)),
        params,
        attempts,
        sealed_code,
        expected,
        deliveries,
    })
}

/// The two elements of an attempt: its name, which a condition looks for, and hash, moment and invocation.
pub(super) fn log_entry(attempt: &Attempt) -> [AttributeValue; 2] {
    [
        blob(&attempt.nonce),
        blob(&[&attempt.hash[..], &moment(attempt.at), &attempt.invocation].concat()),
    ]
}

fn attempt(pair: &[AttributeValue]) -> Option<Attempt> {
    let (nonce, rest) = (
        pair.first()?.as_b().ok()?.as_ref(),
        pair.get(1)?.as_b().ok()?.as_ref(),
    );
    let (hash, rest) = rest.split_first_chunk::<16>()?;
    let (at, rest) = rest.split_first_chunk::<4>()?;
    Some(Attempt {
        nonce: nonce.to_vec(),
        hash: *hash,
        at: Timestamp(u32::from_be_bytes(*at).into()),
        invocation: rest.try_into().ok()?,
    })
}

/// The name of a delivery in the map.
pub(super) fn tag_name(tag: &DeliveryTag) -> String {
    data_encoding::HEXLOWER.encode(tag)
}

/// One delivery as it rests.
pub(super) fn delivery_map(delivery: &Delivery) -> AttributeValue {
    let mut map = Item::from([
        (D_NUMBER.into(), n(delivery.number)),
        (D_STATUS.into(), n(delivery.status.number())),
        (D_CHANNEL.into(), n(channel_number(delivery.channel))),
        (D_UPDATED.into(), n(delivery.updated_at.0)),
    ]);
    if delivery.cause != Cause::Asked {
        map.insert(D_CAUSE.into(), n(delivery.cause.number()));
    }
    if let Some(carrier) = &delivery.carrier {
        map.insert(D_CARRIER.into(), AttributeValue::S(carrier.clone()));
    }
    if delivery.parts > 0 {
        map.insert(D_PARTS.into(), n(delivery.parts));
    }
    if let Some(vendor_id) = &delivery.vendor_id {
        map.insert(D_VENDOR_ID.into(), AttributeValue::S(vendor_id.clone()));
    }
    AttributeValue::M(map)
}

fn delivery(tag: &str, map: &Item) -> Option<Delivery> {
    Some(Delivery {
        tag: data_encoding::HEXLOWER
            .decode(tag.as_bytes())
            .ok()?
            .try_into()
            .ok()?,
        number: u16::try_from(number(map, D_NUMBER)).ok()?,
        channel: channel_from_number(u8::try_from(number(map, D_CHANNEL)).ok()?)?,
        status: DeliveryStatus::numbered(u8::try_from(number(map, D_STATUS)).ok()?)?,
        carrier: map.get(D_CARRIER).and_then(|v| v.as_s().ok()).cloned(),
        cause: Cause::numbered(u8::try_from(number(map, D_CAUSE)).ok()?)?,
        updated_at: Timestamp(number(map, D_UPDATED)),
        parts: u8::try_from(number(map, D_PARTS)).unwrap_or(0),
        vendor_id: map.get(D_VENDOR_ID).and_then(|v| v.as_s().ok()).cloned(),
    })
}

pub(super) fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn blob(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(super) fn number(item: &Item, name: &str) -> i64 {
    item.get(name)
        .and_then(|v| v.as_n().ok())
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

pub(super) fn bytes<'i>(item: &'i Item, name: &str) -> &'i [u8] {
    item.get(name)
        .and_then(|v| v.as_b().ok())
        .map(AsRef::as_ref)
        .unwrap_or_default()
}

fn list<'i>(item: &'i Item, name: &str) -> &'i [AttributeValue] {
    item.get(name)
        .and_then(|v| v.as_l().ok())
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn map<'i>(item: &'i Item, name: &str) -> Option<&'i Item> {
    item.get(name).and_then(|v| v.as_m().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::past_verification::PastVerification;
    use crate::domain::verification::Transaction;
    use crate::domain::verification::tests::{attempt, verification};

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let key = [5; 16];
        let seal = Keyring::new("k1".into(), &[("k1".to_owned(), [1; 32])].into(), &[2; 32]);
        let mut v = verification(5);
        v.params.transaction = Some(Transaction {
            amount: "12.50".into(),
            currency: "EUR".into(),
            payee: "Shop".into(),
        });
        v.params.fallback = vec![Channel::Voice];
        v.params.reference = Some("order 7".into());
        v.params.idempotency = Some(([1; 8], [2; 8]));
        v.sealed_code = seal_code(
            &seal,
            &key,
            &v.params.nonce,
            &Code::unsealed("123456".into()),
        );
        v.expected = seal.attempt_hash(
            &v.params.nonce,
            "default",
            v.params.transaction.as_ref(),
            "123456",
        );
        v.attempts = vec![Attempt {
            nonce: vec![3; 9],
            ..attempt(1, false)
        }];
        v.add_delivery(Channel::Sms, Cause::Asked, [1, 2, 3, 4], Timestamp(1000));
        v.deliveries[0].carrier = Some("sim-a".into());
        v.deliveries[0].parts = 2;
        let mut ended = v.clone();
        v.deliveries[0].vendor_id = Some("307".into());
        ended.params.nonce = [9; 16];
        let address = Address::Phone(PhoneNumber::parse("+33612345678", None).expect("a number"));
        let sealed_address = seal_address(&seal, &key, &address);
        let address = Some(Address::Phone(PhoneNumber::unsealed(
            "+33612345678",
            "FR",
            Line::Mobile,
        )));
        let recipient = Recipient {
            app: "shop".into(),
            address,
            sealed_address,
            sends: vec![Timestamp(1000)],
            failures: vec![Timestamp(900), Timestamp(901)],
            failures_in_a_row: 2,
            verification: Some(v),
            ended: vec![PastVerification::new(ended, Timestamp(1005))],
        };
        let mut item = write(&key, &recipient);
        item.insert(TTL.into(), n(2000));
        assert_eq!(
            read(&seal, &key, &item, Timestamp(1999)).recipient,
            recipient
        );
        let code = recipient
            .verification
            .as_ref()
            .and_then(|v| open_code(&seal, &key, v));
        assert_eq!(
            code.map(|c| c.reveal().to_owned()).as_deref(),
            Some("123456")
        );
        assert_eq!(
            read(&seal, &key, &item, Timestamp(2000)).recipient,
            Recipient::default(),
            "over, though still there"
        );
    }
}
