//! Keyed hashes: HMAC-SHA-256 under the lookup key, each for one purpose.

use ring::{digest, hmac};

use super::keyring::Keyring;
use crate::domain::ids::{
    AttemptHash, AttemptNonce, BodyHash, DeliveryTag, IdempotencyKeyHash, RecordKey, SubjectKey,
    VerificationNonce,
};
use crate::domain::verification_params::Transaction;

/// What a check repeats beside the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BoundToCode<'a> {
    /// The purpose.
    pub purpose: &'a str,
    /// The transaction.
    pub transaction: Option<&'a Transaction>,
    /// The subject.
    pub subject: Option<SubjectKey>,
}

impl Keyring {
    /// Partition key of the recipient with this canonical address in `app`.
    #[must_use]
    pub fn recipient_key(&self, app: &str, address: &str) -> RecordKey {
        self.record_key("recipient", &[app.as_bytes(), address.as_bytes()])
    }

    /// Partition key of another kind of item, such as a rate limit or the breakers.
    #[must_use]
    pub fn record_key(&self, kind: &str, parts: &[&[u8]]) -> RecordKey {
        RecordKey(self.hash(kind, parts))
    }

    /// Hash of what is submitted at a check: purpose, transaction, subject and code in one value.
    #[must_use]
    pub fn attempt_hash(
        &self,
        key: RecordKey,
        nonce: VerificationNonce,
        bound: &BoundToCode<'_>,
        code: &str,
    ) -> AttemptHash {
        let BoundToCode {
            purpose,
            transaction,
            subject,
        } = *bound;
        let none = ["", "", ""].map(str::as_bytes);
        let parts = transaction.map_or(none, |transaction| {
            [
                &transaction.amount,
                &transaction.currency,
                &transaction.payee,
            ]
            .map(|text| text.as_bytes())
        });
        let has_transaction: &[u8] = if transaction.is_some() {
            b"transaction"
        } else {
            b""
        };
        let [amount, currency, payee] = parts;
        let mut parts: Vec<&[u8]> = vec![
            &key.0,
            &nonce.0,
            purpose.as_bytes(),
            has_transaction,
            amount,
            currency,
            payee,
            code.as_bytes(),
        ];
        parts.extend(subject.as_ref().map(|subject| &subject.0.0[..]));
        AttemptHash(self.hash("attempt", &parts))
    }

    /// Nonce of the attempt with this `Idempotency-Key`.
    #[must_use]
    pub fn attempt_nonce(
        &self,
        key: RecordKey,
        nonce: VerificationNonce,
        idempotency_key: &str,
    ) -> AttemptNonce {
        let parts: [&[u8]; 3] = [&key.0, &nonce.0, idempotency_key.as_bytes()];
        AttemptNonce::Keyed(self.hash("attempt nonce", &parts))
    }

    /// Hash of the `Idempotency-Key` of a send in `app`.
    #[must_use]
    pub fn idempotency_key_hash(&self, app: &str, idempotency_key: &str) -> IdempotencyKeyHash {
        let parts: [&[u8]; 2] = [app.as_bytes(), idempotency_key.as_bytes()];
        IdempotencyKeyHash(self.hash("idempotency key", &parts))
    }

    /// Hash of the canonical body of a send in `app`.
    #[must_use]
    pub fn body_hash(&self, app: &str, body: &[u8]) -> BodyHash {
        BodyHash(self.hash("idempotency body", &[app.as_bytes(), body]))
    }

    /// 128 bits that name something of `app` in another dialect: its account, its service. They are
    /// the same in every function and after every restart.
    #[must_use]
    pub fn app_alias(&self, kind: &str, app: &str) -> [u8; 16] {
        self.hash("app alias", &[kind.as_bytes(), app.as_bytes()])
    }

    /// 128 bits that name a message of a recipient in another dialect.
    #[must_use]
    pub fn delivery_alias(&self, key: RecordKey, tag: DeliveryTag) -> [u8; 16] {
        self.hash("delivery alias", &[&key.0, &tag.0])
    }

    /// Keyed hash of `parts`, cut to `N` (at most 32) bytes. Each part is framed by its length, so
    /// that two different lists never hash the same bytes.
    pub(super) fn hash<const N: usize>(&self, label: &str, parts: &[&[u8]]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.lookup);
        for part in std::iter::once(&label.as_bytes()).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut hash = [0; N];
        hash.copy_from_slice(&tag.as_ref()[..N]);
        hash
    }
}

/// SHA-256, for API keys. They have 128 random bits or more, so a plain hash keeps them
/// unreadable.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn attempt_hash_binds_purpose_and_transaction_unambiguously() {
        let keyring = Keyring::new("k1".into(), &BTreeMap::new(), &[9; 32]);
        let transaction = |amount: &str, payee: &str| Transaction {
            amount: amount.into(),
            currency: "EUR".into(),
            payee: payee.into(),
        };
        let (key, nonce) = (RecordKey([1; 12]), VerificationNonce([1; 4]));
        let bound_hash =
            |key, nonce, bound: BoundToCode<'_>| keyring.attempt_hash(key, nonce, &bound, "123456");
        let hash = |key, nonce, purpose: &str, transaction: Option<&Transaction>| {
            let bound = BoundToCode {
                purpose,
                transaction,
                subject: None,
            };
            bound_hash(key, nonce, bound)
        };
        let of_subject = |n| BoundToCode {
            purpose: "a",
            transaction: None,
            subject: Some(SubjectKey(RecordKey([n; 12]))),
        };
        let all = [
            hash(key, nonce, "a", None),
            hash(key, nonce, "b", None),
            hash(key, nonce, "a", Some(&transaction("1", "2x"))),
            hash(key, nonce, "a", Some(&transaction("12", "x"))),
            hash(key, nonce, "a", Some(&transaction("", ""))),
            hash(RecordKey([2; 12]), nonce, "a", None),
            hash(key, VerificationNonce([2; 4]), "a", None),
            bound_hash(key, nonce, of_subject(1)),
            bound_hash(key, nonce, of_subject(2)),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn aliases_differ_by_all_that_they_name() {
        let keyring = Keyring::new("k1".into(), &BTreeMap::new(), &[9; 32]);
        let of_delivery =
            |key, tag| keyring.delivery_alias(RecordKey([key; 12]), DeliveryTag([tag; 4]));
        let all = [
            keyring.app_alias("account", "shop"),
            keyring.app_alias("service", "shop"),
            keyring.app_alias("service", "default"),
            of_delivery(1, 1),
            of_delivery(1, 2),
            of_delivery(2, 1),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn sha256_of_abc_is_that_of_fips_180() {
        let hash = sha256(b"abc");
        assert_eq!(hash[..8], [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]);
        assert_eq!(hash[28..], [0xf2, 0x00, 0x15, 0xad]);
    }
}
