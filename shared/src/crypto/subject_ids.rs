//! Keys, ids and keyed hashes of subjects: of their record, recipients, decisions and places.

use std::net::IpAddr;

use data_encoding::BASE64URL_NOPAD;

use super::keyring::Keyring;
use super::signatures::equal_in_constant_time;
use crate::domain::ids::{AttemptNonce, DecisionNonce, RecordKey, SubjectKey, VerificationNonce};
use crate::domain::place::{PlaceHash, network_of};
use crate::domain::subject_id::SubjectId;
use crate::domain::time::Timestamp;

const RECIPIENT_ID_PREFIX: &str = "re_";
const DECISION_ID_PREFIX: &str = "de_";

/// What a genuine decision id names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenedDecisionId {
    /// The decision.
    pub nonce: DecisionNonce,
    /// From this moment on it cannot be approved.
    pub expires_at: Timestamp,
}

/// What kind of place it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlaceKind {
    /// A country, ISO 3166 alpha-2.
    Country,
    /// The app's name of a device.
    Device,
}

impl Keyring {
    /// Partition key of the record of a subject of `app`.
    #[must_use]
    pub fn subject_key(&self, app: &str, subject: &SubjectId) -> SubjectKey {
        let parts: [&[u8]; 2] = [app.as_bytes(), subject.reveal().as_bytes()];
        SubjectKey(self.record_key("subject", &parts))
    }

    /// Public id of a verified recipient of a subject.
    #[must_use]
    pub fn recipient_id(&self, key: SubjectKey, recipient: RecordKey) -> String {
        let hash: [u8; 16] = self.hash("verified recipient", &[&key.0.0, &recipient.0]);
        format!("{RECIPIENT_ID_PREFIX}{}", BASE64URL_NOPAD.encode(&hash))
    }

    /// Names an approved verification in the log of its subject.
    #[must_use]
    pub fn approval_nonce(&self, recipient: RecordKey, nonce: VerificationNonce) -> AttemptNonce {
        AttemptNonce::Keyed(self.hash("approval", &[&recipient.0, &nonce.0]))
    }

    /// Public id of a decision. It proves app, subject and end.
    #[must_use]
    pub fn decision_id(
        &self,
        key: SubjectKey,
        nonce: DecisionNonce,
        expires_at: Timestamp,
    ) -> String {
        let end = u32::try_from(expires_at.0)
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let proof = self.decision_proof(key, nonce, end);
        let bytes = [&nonce.0[..], &end, &proof].concat();
        format!("{DECISION_ID_PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// The decision that `id` names; `None` if it is malformed, or of another subject or app.
    #[must_use]
    pub fn open_decision_id(&self, key: SubjectKey, id: &str) -> Option<OpenedDecisionId> {
        let encoded = id.strip_prefix(DECISION_ID_PREFIX)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<8>()?;
        let (end, proof) = rest.split_first_chunk::<4>()?;
        let nonce = DecisionNonce(*nonce);
        let expected = self.decision_proof(key, nonce, *end);
        equal_in_constant_time(&expected, proof).then(|| OpenedDecisionId {
            nonce,
            expires_at: Timestamp(u32::from_be_bytes(*end).into()),
        })
    }

    fn decision_proof(&self, key: SubjectKey, nonce: DecisionNonce, end: [u8; 4]) -> [u8; 12] {
        self.hash("decision", &[&key.0.0, &nonce.0, &end])
    }

    /// Hash of a country or device of a subject.
    #[must_use]
    pub fn place_hash(&self, key: SubjectKey, kind: PlaceKind, place: &str) -> PlaceHash {
        let label = match kind {
            PlaceKind::Country => "country",
            PlaceKind::Device => "device",
        };
        PlaceHash(self.hash(label, &[&key.0.0, place.as_bytes()]))
    }

    /// Hash of the network of an address of a subject.
    #[must_use]
    pub fn network_hash(&self, key: SubjectKey, ip: IpAddr) -> PlaceHash {
        let network = network_of(ip).to_string();
        PlaceHash(self.hash("network", &[&key.0.0, network.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn keyring() -> Keyring {
        Keyring::new("k1".into(), &BTreeMap::new(), &[9; 32])
    }

    #[test]
    fn decision_id_is_genuine_for_its_subject_only() {
        let keyring = keyring();
        let key = |app: &str, subject: &str| {
            keyring.subject_key(app, &subject.parse().expect("a subject id"))
        };
        let (nonce, end) = (DecisionNonce([3; 8]), Timestamp(1_795_291_200));
        let id = keyring.decision_id(key("shop", "ann"), nonce, end);
        let opened = OpenedDecisionId {
            nonce,
            expires_at: end,
        };
        assert_eq!(id.len(), 35);
        assert_eq!(
            keyring.open_decision_id(key("shop", "ann"), &id),
            Some(opened)
        );
        for other in [key("shop", "bob"), key("default", "ann")] {
            assert_eq!(keyring.open_decision_id(other, &id), None);
        }
        let altered = id.replacen("de_A", "de_B", 1);
        for malformed in ["", "de_", &id[3..], &id[..34], &altered, "de_é"] {
            assert_eq!(
                keyring.open_decision_id(key("shop", "ann"), malformed),
                None
            );
        }
    }

    #[test]
    fn places_of_two_subjects_have_nothing_in_common() {
        let keyring = keyring();
        let key =
            |subject: &str| keyring.subject_key("shop", &subject.parse().expect("a subject id"));
        let hash = |subject, kind| keyring.place_hash(key(subject), kind, "FR");
        assert_ne!(
            hash("ann", PlaceKind::Country),
            hash("bob", PlaceKind::Country)
        );
        assert_ne!(
            hash("ann", PlaceKind::Country),
            hash("ann", PlaceKind::Device)
        );
    }

    #[test]
    fn recipient_id_is_for_one_recipient_and_subject() {
        let keyring = keyring();
        let subject = |n| SubjectKey(RecordKey([n; 12]));
        let id = |n, recipient| keyring.recipient_id(subject(n), RecordKey([recipient; 12]));
        assert_eq!(id(1, 2), id(1, 2));
        assert_ne!(id(1, 2), id(1, 3));
        assert_ne!(id(1, 2), id(3, 2));
        assert!(id(1, 2).starts_with("re_") && id(1, 2).len() == 25);
    }
}
