//! A recipient as an item: attribute names, and the mapping in both directions.
//!
//! Values that a condition compares are attributes of their own; what is only read as a whole is
//! packed (`recipient_codec`).

use aws_sdk_dynamodb::types::AttributeValue;

use super::StoreError;
use super::attributes::{
    FORMAT, Item, KEY, TTL, binary, bytes, list, map, names, number, number_value, optional_bytes,
    optional_number, optional_text, text,
};
use super::delivery_item::{read_delivery, write_delivery};
use super::history_codec::{pack_history, unpack_history};
use super::recipient_codec::{
    pack_params, pack_requests, pack_times, stored_time, time_from_stored, unpack_params,
    unpack_past, unpack_requests, unpack_times,
};
use super::sealed_address::open_address;
pub(super) use super::versioned::version;
use crate::crypto::keyring::Keyring;
use crate::crypto::sealing::{SealedFor, seal_key_id};
use crate::domain::attempt_log::Attempt;
use crate::domain::custom_text::CustomText;
use crate::domain::ids::{
    AttemptHash, AttemptNonce, ClaimId, DecisionNonce, RecordKey, SubjectKey,
};
use crate::domain::past_verification::PastVerification;
use crate::domain::recipient::Recipient;
use crate::domain::step::{Step, StepClaim};
use crate::domain::subject_id::SubjectId;
use crate::domain::text_reference::TextReference;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_params::VerificationParams;

/// Version of the format that this code writes. A change of attributes or packed values raises it,
/// and the reader keeps reading the versions before. An additional attribute that an earlier build
/// may ignore does not raise it.
const FORMAT_VERSION: i64 = 1;

// The recipient.
pub(super) const APP: &str = "app";
const SEALED_ADDRESS: &str = "sealed_address";
const SENDS: &str = "sends";
const FAILURES: &str = "failures";
const FAILURE_STREAK: &str = "failure_streak";
/// Past verifications, packed together.
const HISTORY: &str = "history";
/// Past verifications, packed one by one: an earlier build stored them so. It reads a recipient
/// with `history` as one without past verifications, and its next write of the whole item removes
/// them. Limits, attempts and the current verification are attributes of their own, so the format
/// version stays: with another one that build would answer 503 during an update.
const PAST: &str = "past";
/// Key of the subject that it belongs to. An item with an owner has no TTL.
pub(super) const OWNER: &str = "owner";
/// When the rest of an item with an owner ends.
pub(super) const HISTORY_UNTIL: &str = "history_until";
// The current verification.
const NONCE: &str = "nonce";
const PARAMS: &str = "params";
const EXPIRES_AT: &str = "expires_at";
const ATTEMPTS_MAX: &str = "attempts_max";
/// The attempt log: hash, time and invocation of each attempt.
const ATTEMPTS: &str = "attempts";
/// Their nonces, in the same order, which a condition searches.
const ATTEMPT_NONCES: &str = "attempt_nonces";
const ATTEMPTS_AT_EARLIER_CODES: &str = "attempts_at_earlier_codes";
const ATTEMPTS_FORGIVEN: &str = "attempts_forgiven";
const SEALED_CODE: &str = "sealed_code";
const SEALED_DEVICE: &str = "sealed_device";
/// Id of the key that sealed the code: no attempt is accepted without it.
const CODE_KEY_ID: &str = "code_key_id";
/// Hash of the right attempt, so that an approval outlives the key of the code.
const EXPECTED_HASH: &str = "expected_hash";
/// Present if the app chose the code.
const CODE_OF_APP: &str = "code_of_app";
const CUSTOM_BRAND: &str = "custom_brand";
const CUSTOM_ANDROID_HASH: &str = "custom_android_hash";
const APPROVED_AT: &str = "approved_at";
const TEXT_REFERENCE: &str = "text_reference";
const CANCELED_AT: &str = "canceled_at";
/// Whether the approval was recorded for its subject.
pub(super) const IS_RECORDED: &str = "is_recorded";
/// Requested messages: tag, channel and time of each.
const REQUESTS: &str = "requests";
const FALLBACKS_USED: &str = "fallbacks_used";
const STEP: &str = "step";
const STEP_DUE: &str = "step_due";
const CLAIM_ID: &str = "claim_id";
const CLAIMED_UNTIL: &str = "claimed_until";
const RETRY_ROUNDS: &str = "retry_rounds";
const UNCERTAIN_HANDOVERS: &str = "uncertain_handovers";
const TRIED_CARRIERS: &str = "tried_carriers";
/// Map of deliveries by tag.
const DELIVERIES: &str = "deliveries";

/// Reads an item; `None` once its TTL is over, whether or not DynamoDB has deleted it. Of an item
/// with an owner, only the owner is left then. A missing or unreadable value reads as absent:
/// expired rather than trusted.
pub(super) fn read(
    keyring: &Keyring,
    key: RecordKey,
    item: &Item,
    now: Timestamp,
) -> Result<Option<Recipient>, StoreError> {
    let owner = bytes(item, OWNER).try_into().ok();
    let stored_owner = owner.map(|key| SubjectKey(RecordKey(key)));
    let until = if stored_owner.is_some() {
        HISTORY_UNTIL
    } else {
        TTL
    };
    if number(item, until) <= now.0 {
        return Ok(stored_owner.map(|owner| Recipient {
            app: optional_text(item, APP).unwrap_or_default(),
            stored_owner: Some(owner),
            ..Recipient::default()
        }));
    }
    let format = number(item, FORMAT);
    if format != FORMAT_VERSION {
        return Err(StoreError::UnknownFormat(format));
    }
    let current = read_verification(keyring, key, item);
    let mut past = read_past(item, current.as_ref());
    for past in &mut past {
        open_subject(keyring, key, &mut past.params);
    }
    Ok(Some(Recipient {
        app: optional_text(item, APP).unwrap_or_default(),
        address: open_address(keyring, key, bytes(item, SEALED_ADDRESS)),
        sealed_address: bytes(item, SEALED_ADDRESS).to_vec(),
        sends: unpack_times(bytes(item, SENDS)),
        failures: unpack_times(bytes(item, FAILURES)),
        failure_streak: u32::try_from(number(item, FAILURE_STREAK)).unwrap_or(0),
        stored_owner,
        current,
        past,
    }))
}

fn read_past(item: &Item, current: Option<&Verification>) -> Vec<PastVerification> {
    if item.contains_key(HISTORY) {
        let subject = current.and_then(|current| current.params.subject.as_ref());
        return unpack_history(bytes(item, HISTORY), subject);
    }
    let packed = list(item, PAST).iter();
    let past = packed.filter_map(|packed| unpack_past(packed.as_b().ok()?.as_ref()));
    past.collect()
}

/// Opens the id of the subject for whom the recipient is verified.
pub(super) fn open_subject(keyring: &Keyring, key: RecordKey, params: &mut VerificationParams) {
    if let Some(subject) = &mut params.subject {
        let purpose = SealedFor::Subject(key, subject.sealed_for);
        let id = keyring.open(purpose, &subject.sealed_id);
        subject.id = id.map(SubjectId::from_stored);
    }
}

/// The whole item for `recipient`, which ends at `until`, without write id. An owner does not end.
pub(super) fn write(key: RecordKey, recipient: &Recipient, until: Timestamp) -> Item {
    let mut item = Item::from([
        (KEY.into(), binary(&key.0)),
        (FORMAT.into(), number_value(FORMAT_VERSION)),
        (APP.into(), text(&recipient.app)),
    ]);
    let mut put = |name: &str, value: AttributeValue| drop(item.insert(name.into(), value));
    for (name, packed) in [
        (SEALED_ADDRESS, recipient.sealed_address.clone()),
        (SENDS, pack_times(&recipient.sends)),
        (FAILURES, pack_times(&recipient.failures)),
    ] {
        if !packed.is_empty() {
            put(name, binary(&packed));
        }
    }
    match recipient.stored_owner {
        Some(owner) => {
            put(OWNER, binary(&owner.0.0));
            put(HISTORY_UNTIL, number_value(until.0));
        }
        None => put(TTL, number_value(until.0)),
    }
    if recipient.failure_streak > 0 {
        put(FAILURE_STREAK, number_value(recipient.failure_streak));
    }
    if !recipient.past.is_empty() {
        let current = recipient.current.as_ref();
        let subject = current.and_then(|current| current.params.subject.as_ref());
        put(HISTORY, binary(&pack_history(&recipient.past, subject)));
    }
    if let Some(verification) = &recipient.current {
        write_verification(verification, &mut put);
    }
    item
}

fn write_verification(verification: &Verification, put: &mut impl FnMut(&str, AttributeValue)) {
    let attempts = verification.attempts.iter();
    let nonces = attempts
        .clone()
        .map(|attempt| binary(&attempt.nonce.to_bytes()));
    let deliveries = verification.deliveries.iter();
    let deliveries =
        deliveries.map(|delivery| (delivery.tag.to_string(), write_delivery(delivery)));
    put(NONCE, binary(&verification.params.nonce.0));
    put(PARAMS, binary(&pack_params(&verification.params)));
    put(EXPIRES_AT, number_value(verification.params.expires_at.0));
    put(ATTEMPTS_MAX, number_value(verification.params.attempts_max));
    put(
        ATTEMPTS,
        AttributeValue::L(attempts.map(write_attempt).collect()),
    );
    put(ATTEMPT_NONCES, AttributeValue::L(nonces.collect()));
    put(SEALED_CODE, binary(&verification.sealed_code));
    put(CODE_KEY_ID, text(seal_key_id(&verification.sealed_code)));
    put(EXPECTED_HASH, binary(&verification.expected_hash.0));
    put(DELIVERIES, AttributeValue::M(deliveries.collect()));
    write_step(&verification.step, put);
    if verification.is_recorded {
        put(IS_RECORDED, AttributeValue::Bool(true));
    }
    for (name, at) in [
        (CANCELED_AT, verification.canceled_at),
        (APPROVED_AT, verification.approved_at),
    ] {
        if let Some(at) = at {
            put(name, number_value(at.0));
        }
    }
    write_custom(verification, put);
    write_counts(verification, put);
}

/// Counts, which are absent while they are 0.
fn write_counts(verification: &Verification, put: &mut impl FnMut(&str, AttributeValue)) {
    for (name, count) in [
        (FALLBACKS_USED, usize::from(verification.fallbacks_used)),
        (
            ATTEMPTS_AT_EARLIER_CODES,
            verification.attempts_at_earlier_codes,
        ),
        (ATTEMPTS_FORGIVEN, verification.attempts_forgiven),
    ] {
        if count > 0 {
            put(name, number_value(count));
        }
    }
}

fn write_step(step: &Step, put: &mut impl FnMut(&str, AttributeValue)) {
    put(STEP, number_value(step.sequence));
    if let Some(due) = step.due {
        put(STEP_DUE, number_value(due.0));
    }
    if let Some(claim) = step.claim {
        put(CLAIM_ID, binary(&claim.id.0));
        put(CLAIMED_UNTIL, number_value(claim.until.0));
    }
    if !step.tried_carriers.is_empty() {
        put(TRIED_CARRIERS, names(&step.tried_carriers));
    }
    for (name, count) in [
        (RETRY_ROUNDS, step.retry_rounds),
        (UNCERTAIN_HANDOVERS, step.uncertain_handovers),
    ] {
        if count > 0 {
            put(name, number_value(count));
        }
    }
}

/// What the app chose for this verification, and the messages that it requested.
fn write_custom(verification: &Verification, put: &mut impl FnMut(&str, AttributeValue)) {
    if verification.is_code_of_app {
        put(CODE_OF_APP, number_value(1));
    }
    if let Some(brand) = &verification.custom_text.brand {
        put(CUSTOM_BRAND, text(brand));
    }
    if let Some(hash) = &verification.custom_text.android_hash {
        put(CUSTOM_ANDROID_HASH, text(hash));
    }
    if !verification.requests.is_empty() {
        put(REQUESTS, binary(&pack_requests(&verification.requests)));
    }
    if let Some(sealed) = &verification.sealed_device {
        put(SEALED_DEVICE, binary(sealed));
    }
    if let Some(reference) = verification.text_reference {
        put(TEXT_REFERENCE, binary(&reference.to_bytes()));
    }
}

fn read_verification(keyring: &Keyring, key: RecordKey, item: &Item) -> Option<Verification> {
    let mut params = unpack_params(bytes(item, PARAMS))?;
    open_subject(keyring, key, &mut params);
    let sealed_code = bytes(item, SEALED_CODE).to_vec();
    let expected_hash = AttemptHash(bytes(item, EXPECTED_HASH).try_into().ok()?);
    let logged = list(item, ATTEMPT_NONCES).iter().zip(list(item, ATTEMPTS));
    let attempts = logged
        .filter_map(|(nonce, rest)| read_attempt(nonce, rest))
        .collect();
    let deliveries = map(item, DELIVERIES).into_iter().flatten();
    let mut deliveries: Vec<_> = deliveries
        .filter_map(|(tag, value)| read_delivery(tag, value.as_m().ok()?))
        .collect();
    deliveries.sort_by_key(|delivery| delivery.number);
    let key_id = seal_key_id(&sealed_code);
    let count = |name: &str| usize::try_from(number(item, name)).unwrap_or(0);
    Some(Verification {
        attempts_at_earlier_codes: count(ATTEMPTS_AT_EARLIER_CODES),
        attempts_forgiven: count(ATTEMPTS_FORGIVEN),
        is_code_of_app: number(item, CODE_OF_APP) != 0,
        custom_text: CustomText {
            brand: optional_text(item, CUSTOM_BRAND),
            android_hash: optional_text(item, CUSTOM_ANDROID_HASH),
        },
        approved_at: optional_number(item, APPROVED_AT).map(Timestamp),
        text_reference: TextReference::from_bytes(bytes(item, TEXT_REFERENCE)),
        canceled_at: optional_number(item, CANCELED_AT).map(Timestamp),
        is_recorded: item.contains_key(IS_RECORDED),
        requests: unpack_requests(bytes(item, REQUESTS)),
        sealed_device: optional_bytes(item, SEALED_DEVICE),
        fallbacks_used: u8::try_from(number(item, FALLBACKS_USED)).unwrap_or(u8::MAX),
        step: read_step(item),
        has_live_key: keyring.seal_key_ids().any(|id| id == key_id),
        params,
        attempts,
        sealed_code,
        expected_hash,
        deliveries,
    })
}

fn read_step(item: &Item) -> Step {
    let claim_id: Option<[u8; 6]> = bytes(item, CLAIM_ID).try_into().ok();
    let until = optional_number(item, CLAIMED_UNTIL).map(Timestamp);
    Step {
        sequence: u16::try_from(number(item, STEP)).unwrap_or(u16::MAX),
        due: optional_number(item, STEP_DUE).map(Timestamp),
        claim: claim_id.zip(until).map(|(id, until)| StepClaim {
            id: ClaimId(id),
            until,
        }),
        retry_rounds: u8::try_from(number(item, RETRY_ROUNDS)).unwrap_or(u8::MAX),
        uncertain_handovers: u8::try_from(number(item, UNCERTAIN_HANDOVERS)).unwrap_or(u8::MAX),
        tried_carriers: list(item, TRIED_CARRIERS)
            .iter()
            .filter_map(|name| name.as_s().ok().cloned())
            .collect(),
    }
}

/// Hash, time, invocation and decision of an attempt. Its nonce is stored beside it.
pub(super) fn write_attempt(attempt: &Attempt) -> AttributeValue {
    let decision = attempt.decision.map(|decision| decision.0);
    binary(
        &[
            &attempt.hash.0[..],
            &stored_time(attempt.at),
            &attempt.invocation,
            decision.as_ref().map_or(&[], |decision| &decision[..]),
        ]
        .concat(),
    )
}

fn read_attempt(nonce: &AttributeValue, rest: &AttributeValue) -> Option<Attempt> {
    let rest = rest.as_b().ok()?.as_ref();
    let (hash, rest) = rest.split_first_chunk::<16>()?;
    let (at, rest) = rest.split_first_chunk::<4>()?;
    let (invocation, decision) = rest.split_first_chunk::<4>()?;
    Some(Attempt {
        nonce: AttemptNonce::from_bytes(nonce.as_b().ok()?.as_ref())?,
        hash: AttemptHash(*hash),
        decision: decision.try_into().ok().map(DecisionNonce),
        at: time_from_stored(*at),
        invocation: *invocation,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use data_encoding::BASE64;
    use serde_json::{Map, Value, json};

    use super::super::sealed_address::seal_address;
    use super::*;
    use crate::domain::address::Address;
    use crate::domain::channel::Channel;
    use crate::domain::code::Code;
    use crate::domain::delivery::{Cause, DeliveryStatus, EarlyReport, ReportedStatus};
    use crate::domain::ids::{BodyHash, DeliveryTag, IdempotencyKeyHash, VerificationNonce};
    use crate::domain::phone::{Line, PhoneNumber};
    use crate::domain::verification::MessageRequest;
    use crate::domain::verification::tests::{attempt, verification};
    use crate::domain::verification_params::{Idempotency, Transaction, VerificationSubject};

    pub(in crate::store) const KEY: RecordKey = RecordKey([5; 12]);
    /// Records that earlier builds stored, the newest last. Every later build must read them.
    const FIXTURES: [&str; 2] = [
        include_str!("fixtures/recipient-format-1.json"),
        include_str!("fixtures/recipient-format-1-with-history.json"),
    ];

    fn keyring() -> Keyring {
        Keyring::new("k1".into(), &[("k1".to_owned(), [1; 32])].into(), &[2; 32])
    }

    /// A recipient that has every optional value.
    pub(in crate::store) fn recipient(keyring: &Keyring) -> Recipient {
        let mut current = verification(5);
        current.params.transaction = Some(Transaction {
            amount: "12.50".into(),
            currency: "EUR".into(),
            payee: "Shop".into(),
        });
        current.params.fallback = vec![Channel::Voice];
        current.params.reference = Some("order 7".into());
        current.params.idempotency = Some(Idempotency {
            key: IdempotencyKeyHash([1; 8]),
            body: BodyHash([2; 8]),
        });
        let code = Code::from_stored("123456".into());
        let sealed = keyring.seal_code(KEY, &current.params, &code);
        current.sealed_code = sealed.sealed;
        current.expected_hash = sealed.expected_hash;
        let keyed = AttemptNonce::Keyed([3; 8]);
        current.attempts = vec![
            Attempt {
                nonce: keyed,
                ..attempt(1, false)
            },
            attempt(2, false),
        ];
        current.attempts_forgiven = 1;
        current.step.retry_rounds = 2;
        current.step.uncertain_handovers = 1;
        current.step.tried_carriers = vec!["sim-b".into()];
        current.step.claim = Some(StepClaim {
            id: ClaimId([6; 6]),
            until: current.params.created_at + 15,
        });
        let tag = DeliveryTag([1, 2, 3, 4]);
        current.add_delivery(Channel::Sms, Cause::Requested, tag, Timestamp(1000));
        current.deliveries[0].carrier = Some("sim-a".into());
        current.deliveries[0].parts = Some(2);
        let mut past = current.clone();
        past.params.nonce = VerificationNonce([9; 4]);
        current.deliveries[0].vendor_id = Some("307".into());
        current.deliveries[0].early_report = Some(EarlyReport {
            carrier: "sim-b".into(),
            reported: ReportedStatus {
                status: DeliveryStatus::Undelivered,
                is_account_fault: true,
            },
        });
        current.deliveries[0].is_account_fault = true;
        current.is_code_of_app = true;
        current.custom_text = CustomText {
            brand: Some("Club".into()),
            android_hash: Some("FA+9qCX9VSu".into()),
        };
        current.approved_at = Some(Timestamp(1001));
        let number = PhoneNumber::from_stored("+33612345678", "FR", Line::Mobile);
        let address = Address::Phone(number);
        Recipient {
            app: "shop".into(),
            sealed_address: seal_address(keyring, KEY, &address),
            address: Some(address),
            sends: vec![Timestamp(1000)],
            failures: vec![Timestamp(900), Timestamp(901)],
            stored_owner: None,
            failure_streak: 2,
            current: Some(current),
            past: vec![PastVerification::new(past, Timestamp(1005))],
        }
    }

    /// The item for `recipient`, with a TTL.
    fn item(recipient: &Recipient) -> Item {
        write(KEY, recipient, Timestamp(2000))
    }

    #[test]
    fn recipient_is_read_back_as_written() {
        let keyring = keyring();
        let recipient = recipient(&keyring);
        let read_at = |now| {
            read(&keyring, KEY, &item(&recipient), Timestamp(now))
                .ok()
                .flatten()
        };
        assert_eq!(read_at(1999).as_ref(), Some(&recipient));
        assert_eq!(
            read_at(2000),
            None,
            "its TTL is over, though it is still stored"
        );
        let code = recipient
            .current
            .as_ref()
            .and_then(|v| keyring.open_code(KEY, v));
        assert_eq!(
            code.map(|code| code.reveal().to_owned()).as_deref(),
            Some("123456")
        );
    }

    #[test]
    fn sealed_code_opens_under_its_own_verification_only() {
        let keyring = keyring();
        let mut current = recipient(&keyring).current.expect("a current verification");
        assert!(keyring.open_code(KEY, &current).is_some());
        assert!(keyring.open_code(RecordKey([6; 12]), &current).is_none());
        current.params.nonce = VerificationNonce([8; 4]);
        assert!(keyring.open_code(KEY, &current).is_none());
    }

    #[test]
    fn item_of_an_unknown_format_is_an_error() {
        let keyring = keyring();
        let mut item = item(&recipient(&keyring));
        item.insert(FORMAT.into(), number_value(FORMAT_VERSION + 1));
        let read = read(&keyring, KEY, &item, Timestamp(1000));
        assert!(
            matches!(read, Err(StoreError::UnknownFormat(2))),
            "{read:?}"
        );
    }

    #[test]
    fn text_references_are_read_back_as_written() {
        let keyring = keyring();
        let mut recipient = recipient(&keyring);
        let reference = |letters: &[u8]| TextReference::from_bytes(letters);
        if let Some(current) = &mut recipient.current {
            current.text_reference = reference(b"KX");
        }
        recipient.past[0].text_reference = reference(b"BZ");
        let read = read(&keyring, KEY, &item(&recipient), Timestamp(1000));
        assert_eq!(read.ok().flatten(), Some(recipient));
    }

    #[test]
    fn items_of_earlier_builds_are_read() {
        for stored in FIXTURES {
            assert_fixture_is_read(stored);
        }
    }

    fn assert_fixture_is_read(stored: &str) {
        let keyring = keyring();
        let stored: Map<String, Value> = serde_json::from_str(stored).expect("JSON");
        let item: Item = stored
            .iter()
            .map(|(name, value)| (name.clone(), from_json(value)))
            .collect();
        let read = read(&keyring, KEY, &item, Timestamp(1000))
            .ok()
            .flatten()
            .expect("a recipient");
        let code = read
            .current
            .as_ref()
            .and_then(|v| keyring.open_code(KEY, v));
        assert_eq!(
            code.map(|code| code.reveal().to_owned()).as_deref(),
            Some("123456")
        );
        // Each sealing differs, so the sealed values are compared by what they open to.
        let mut expected = recipient(&keyring);
        expected.sealed_address.clone_from(&read.sealed_address);
        if let (Some(expected), Some(read)) = (&mut expected.current, &read.current) {
            expected.sealed_code.clone_from(&read.sealed_code);
            // Attributes that this record does not have yet.
            let delivery = &mut expected.deliveries[0];
            delivery.is_account_fault = false;
            if let Some(early) = &mut delivery.early_report {
                early.reported.is_account_fault = false;
            }
        }
        assert_eq!(read, expected);
    }

    /// A value in DynamoDB's JSON form.
    fn from_json(value: &Value) -> AttributeValue {
        let (kind, value) = value
            .as_object()
            .and_then(|o| o.iter().next())
            .expect("a value");
        match (kind.as_str(), value) {
            ("S", Value::String(value)) => text(value),
            ("N", Value::String(value)) => AttributeValue::N(value.clone()),
            ("B", Value::String(value)) => {
                binary(&BASE64.decode(value.as_bytes()).expect("base64"))
            }
            ("L", Value::Array(list)) => AttributeValue::L(list.iter().map(from_json).collect()),
            ("M", Value::Object(map)) => {
                let entries = map
                    .iter()
                    .map(|(name, value)| (name.clone(), from_json(value)));
                AttributeValue::M(entries.collect())
            }
            _ => panic!("{kind}: {value}"),
        }
    }

    /// A value as DynamoDB's JSON form, to write a new fixture with.
    fn to_json(value: &AttributeValue) -> Value {
        match value {
            AttributeValue::S(value) => json!({"S": value}),
            AttributeValue::N(value) => json!({"N": value}),
            AttributeValue::B(value) => json!({"B": BASE64.encode(value.as_ref())}),
            AttributeValue::L(list) => {
                json!({"L": list.iter().map(to_json).collect::<Vec<_>>()})
            }
            AttributeValue::M(map) => {
                let entries = map
                    .iter()
                    .map(|(name, value)| (name.clone(), to_json(value)));
                json!({"M": entries.collect::<Map<_, _>>()})
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fixture_has_the_attributes_that_are_written() {
        let stored: Map<String, Value> = serde_json::from_str(FIXTURES[1]).expect("JSON");
        let written = item(&recipient(&keyring()));
        let written: Map<String, Value> = written
            .iter()
            .map(|(name, value)| (name.clone(), to_json(value)))
            .collect();
        let names = |item: &Map<String, Value>| item.keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(&stored),
            names(&written),
            "{}",
            Value::Object(written.clone())
        );
    }

    #[test]
    fn recipient_without_options_is_read_back_as_written() {
        let recipient = Recipient {
            app: "shop".into(),
            sends: vec![Timestamp(1000)],
            ..Recipient::default()
        };
        let item = item(&recipient);
        let read = read(&keyring(), KEY, &item, Timestamp(1000));
        assert_eq!(read.ok().flatten(), Some(recipient));
        let mut names: Vec<_> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["app", "format", "pk", "sends", "ttl"]);
    }

    #[test]
    fn verification_without_options_has_no_optional_attributes() {
        let recipient = Recipient {
            current: Some(verification(5)),
            ..Recipient::default()
        };
        let item = item(&recipient);
        let mut names: Vec<_> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected = [
            "app",
            "attempt_nonces",
            "attempts",
            "attempts_max",
            "code_key_id",
            "deliveries",
            "expected_hash",
            "expires_at",
            "format",
            "nonce",
            "params",
            "pk",
            "sealed_code",
            "step",
            "step_due",
            "ttl",
        ];
        assert_eq!(names, expected);
        let read = read(&keyring(), KEY, &item, Timestamp(1000));
        let mut read = read.ok().flatten().expect("a recipient");
        // Nothing was sealed.
        read.current.as_mut().expect("a verification").has_live_key = true;
        assert_eq!(read, recipient);
    }

    #[test]
    fn owner_outlives_the_rest_of_its_recipient() {
        let keyring = keyring();
        let owner = SubjectKey(RecordKey([9; 12]));
        let mut recipient = recipient(&keyring);
        recipient.stored_owner = Some(owner);
        let current = recipient.current.as_mut().expect("a current verification");
        current.is_recorded = true;
        let item = item(&recipient);
        assert!(!item.contains_key(TTL), "an owner does not end");
        let read_at = |now| {
            let read = read(&keyring, KEY, &item, Timestamp(now));
            read.ok().flatten().expect("a recipient")
        };
        assert_eq!(read_at(1999), recipient);
        let left = Recipient {
            app: "shop".into(),
            stored_owner: Some(owner),
            ..Recipient::default()
        };
        assert_eq!(read_at(2000), left);
    }

    #[test]
    fn every_value_of_a_verification_is_read_back() {
        let keyring = keyring();
        let mut recipient = recipient(&keyring);
        let nonce = recipient.past[0].params.nonce;
        let subject = |nonce| {
            let purpose = SealedFor::Subject(KEY, nonce);
            VerificationSubject {
                key: SubjectKey(RecordKey([8; 12])),
                sealed_id: keyring.seal(purpose, "user-1"),
                sealed_for: nonce,
                id: Some(SubjectId::from_stored("user-1".into())),
                is_unique: true,
                is_taken: false,
            }
        };
        recipient.past[0].params.subject = Some(subject(nonce));
        recipient.past[0].text_reference = TextReference::from_bytes(b"KX");
        let current = recipient.current.as_mut().expect("a current verification");
        current.params.subject = Some(subject(current.params.nonce));
        current.params.purpose = "login".into();
        current.attempts[1].decision = Some(DecisionNonce([4; 8]));
        current.attempts_at_earlier_codes = 2;
        current.fallbacks_used = 1;
        current.sealed_device = Some(vec![1, 2]);
        current.canceled_at = Some(Timestamp(1002));
        current.requests = Channel::ALL.map(request_over).to_vec();
        let read = read(&keyring, KEY, &item(&recipient), Timestamp(1000));
        assert_eq!(read.ok().flatten(), Some(recipient));
    }

    fn request_over(channel: Channel) -> MessageRequest {
        MessageRequest {
            tag: DeliveryTag([7; 4]),
            channel,
            at: Timestamp(1003),
        }
    }

    #[test]
    fn value_without_live_key_reads_as_sealed() {
        let item = item(&recipient(&keyring()));
        let other = Keyring::with_one_seal_key("k2", [2; 32]);
        let read = read(&other, KEY, &item, Timestamp(1000));
        let read = read.ok().flatten().expect("a recipient");
        assert_eq!(read.address, None);
        assert!(!read.current.is_some_and(|current| current.has_live_key));
    }
}
