//! Codes of TOTP and HOTP factors, as keyed hashes: what the judge compares.
//!
//! Invariant: a secret is opened only to compute codes, and for the response that shows it.

use std::collections::HashMap;

use ring::hmac;

use super::keyring::Keyring;
use super::sealing::SealedFor;
use crate::domain::code::Code;
use crate::domain::factor::{Algorithm, Factor, StoredSecret};
use crate::domain::factor_secret::{FactorSecret, truncate};
use crate::domain::ids::{AttemptHash, AttemptNonce, FactorId, SubjectKey};
use crate::domain::log_outcomes::{CodeHashes, Judged, judge};
use crate::domain::subject::{LogEntry, Subject};

impl Keyring {
    /// Hash of a submitted code of a factor.
    #[must_use]
    pub fn factor_code_hash(&self, key: SubjectKey, factor: FactorId, code: &Code) -> AttemptHash {
        let parts: [&[u8]; 3] = [&key.0.0, &factor.0, code.reveal().as_bytes()];
        AttemptHash(self.hash("factor code", &parts))
    }

    /// Hash of two submitted codes in a row.
    #[must_use]
    pub fn factor_pair_hash(
        &self,
        key: SubjectKey,
        factor: FactorId,
        [code, next_code]: [&Code; 2],
    ) -> AttemptHash {
        let (code, next_code) = (code.reveal().as_bytes(), next_code.reveal().as_bytes());
        let parts: [&[u8]; 4] = [&key.0.0, &factor.0, code, next_code];
        AttemptHash(self.hash("factor code pair", &parts))
    }

    /// Nonce of the check with this `Idempotency-Key`. A subject has each key once: the hashes of
    /// the check say which factor it was for.
    #[must_use]
    pub fn factor_attempt_nonce(&self, key: SubjectKey, idempotency_key: &str) -> AttemptNonce {
        let parts: [&[u8]; 2] = [&key.0.0, idempotency_key.as_bytes()];
        AttemptNonce::Keyed(self.hash("factor attempt nonce", &parts))
    }

    /// Seals the secret of a factor.
    #[must_use]
    pub fn seal_secret(&self, key: SubjectKey, factor: FactorId, secret: &FactorSecret) -> Vec<u8> {
        self.seal(SealedFor::FactorSecret(key, factor), &secret.to_base32())
    }

    /// The secret of a factor; `None` if the key that sealed it was removed, or it has none.
    #[must_use]
    pub fn open_secret(&self, key: SubjectKey, factor: &Factor) -> Option<FactorSecret> {
        let purpose = SealedFor::FactorSecret(key, factor.id);
        let base32 = self.open(purpose, &factor.secret()?.sealed)?;
        FactorSecret::from_base32(&base32)
    }

    /// Judges the log of the subject under `key`.
    #[must_use]
    pub fn judge(&self, key: SubjectKey, subject: &Subject) -> Judged {
        judge(subject, &FactorCodes::of_log(self, key, subject))
    }
}

/// The factors that a log names, ready to compute their codes.
struct FactorCodes<'a> {
    keyring: &'a Keyring,
    key: SubjectKey,
    opened: HashMap<FactorId, CodeMaker>,
}

/// The opened secret of a factor.
struct CodeMaker {
    key: hmac::Key,
    digits: u8,
}

impl<'a> FactorCodes<'a> {
    fn of_log(keyring: &'a Keyring, key: SubjectKey, subject: &Subject) -> Self {
        let is_named = |factor: &&Factor| {
            subject.log.iter().any(|entry| match entry {
                LogEntry::Check(attempt) => attempt.factor == factor.id,
                LogEntry::Approval(_) | LogEntry::Removal(_) => false,
            })
        };
        let named = subject.factors.iter().filter(is_named);
        let opened = named.filter_map(|factor| {
            let secret = keyring.open_secret(key, factor)?;
            Some((factor.id, CodeMaker::new(factor.secret()?, &secret)))
        });
        Self {
            keyring,
            key,
            opened: opened.collect(),
        }
    }
}

impl CodeHashes for FactorCodes<'_> {
    fn code_hash(&self, factor: FactorId, counter: u64) -> Option<AttemptHash> {
        let code = self.opened.get(&factor)?.code(counter);
        Some(self.keyring.factor_code_hash(self.key, factor, &code))
    }

    fn pair_hash(&self, factor: FactorId, counter: u64) -> Option<AttemptHash> {
        let maker = self.opened.get(&factor)?;
        let codes = [maker.code(counter), maker.code(counter.saturating_add(1))];
        let codes = [&codes[0], &codes[1]];
        Some(self.keyring.factor_pair_hash(self.key, factor, codes))
    }
}

impl CodeMaker {
    fn new(stored: &StoredSecret, secret: &FactorSecret) -> Self {
        let algorithm = match stored.algorithm {
            Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        };
        Self {
            key: hmac::Key::new(algorithm, secret.reveal()),
            digits: stored.digits.number(),
        }
    }

    /// RFC 4226, section 5.3.
    fn code(&self, counter: u64) -> Code {
        let mac = hmac::sign(&self.key, &counter.to_be_bytes());
        truncate(mac.as_ref(), self.digits)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::attempt_log::Attempt;
    use crate::domain::factor::{Digits, FactorType, Method};
    use crate::domain::ids::RecordKey;
    use crate::domain::subject::{FactorAttempt, Verdict};
    use crate::domain::time::Timestamp;

    fn maker(secret: &[u8], algorithm: Algorithm, digits: Digits) -> CodeMaker {
        let stored = StoredSecret {
            sealed: vec![],
            has_live_key: true,
            algorithm,
            digits,
        };
        CodeMaker::new(&stored, &FactorSecret::new(secret.to_vec()))
    }

    #[test]
    fn codes_of_counters_are_those_of_rfc_4226() {
        // Appendix D.
        let maker = maker(b"12345678901234567890", Algorithm::Sha1, Digits::Six);
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (code, counter) in codes.iter().zip(0..) {
            assert_eq!(maker.code(counter).reveal(), *code, "{counter}");
        }
    }

    #[test]
    fn codes_of_times_are_those_of_rfc_6238() {
        // Appendix B: seconds since 1970, and the codes with SHA-1, SHA-256 and SHA-512.
        const SECRET: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";
        let rows = [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ];
        for (seconds, codes) in rows {
            for (algorithm, code) in Algorithm::ALL.into_iter().zip(codes) {
                let secret = &SECRET[..algorithm.secret_bytes()];
                let maker = maker(secret, algorithm, Digits::Eight);
                assert_eq!(
                    maker.code(seconds / 30).reveal(),
                    code,
                    "{seconds} {algorithm:?}"
                );
            }
        }
    }

    const KEY: SubjectKey = SubjectKey(RecordKey([1; 12]));
    const NOW: Timestamp = Timestamp(1_795_291_200);

    fn keyring() -> Keyring {
        let keys = BTreeMap::from([("k1".to_owned(), [1; 32])]);
        Keyring::new("k1".into(), &keys, &[9; 32])
    }

    /// A factor of this method with a sealed secret of its own.
    fn sealed_factor(
        kind: FactorType,
        secret: &FactorSecret,
        method: impl Fn(StoredSecret) -> Method,
    ) -> Factor {
        let id = FactorId::new(kind, [7; 16]);
        Factor {
            id,
            name: None,
            created_at: NOW,
            confirmed_at: None,
            last_used_at: None,
            counts_from: 0,
            method: method(StoredSecret {
                sealed: keyring().seal_secret(KEY, id, secret),
                has_live_key: true,
                algorithm: Algorithm::Sha1,
                digits: Digits::Six,
            }),
        }
    }

    /// The verdict on a check of `factor`, the only one of its subject.
    fn verdict(
        factor: Factor,
        hash: AttemptHash,
        pair_hash: Option<AttemptHash>,
    ) -> Option<Verdict> {
        let nonce = keyring().factor_attempt_nonce(KEY, "key");
        let attempt = Attempt {
            nonce,
            hash,
            decision: None,
            at: NOW,
            invocation: [0; 4],
        };
        let entry = LogEntry::Check(FactorAttempt {
            attempt,
            factor: factor.id,
            pair_hash,
        });
        let subject = Subject {
            log: vec![entry],
            factors: vec![factor],
            ..Subject::default()
        };
        let judged = keyring().judge(KEY, &subject);
        judged.check(nonce).map(|(_, outcome)| outcome.verdict)
    }

    #[test]
    fn code_of_a_sealed_secret_is_accepted() {
        let secret = FactorSecret::new(b"12345678901234567890".to_vec());
        let factor = sealed_factor(FactorType::Totp, &secret, |secret| Method::Totp {
            secret,
            period: 30,
            skew: 0,
            last_step: None,
        });
        assert_eq!(keyring().open_secret(KEY, &factor), Some(secret.clone()));
        let maker = maker(secret.reveal(), Algorithm::Sha1, Digits::Six);
        let code = |step: u64| {
            let code = maker.code(59_843_040 + step);
            keyring().factor_code_hash(KEY, factor.id, &code)
        };
        let verdict = |hash| verdict(factor.clone(), hash, None);
        assert_eq!(verdict(code(0)), Some(Verdict::Accepted));
        assert_eq!(verdict(code(1)), Some(Verdict::Wrong));
    }

    #[test]
    fn pair_of_codes_of_a_counter_is_accepted() {
        let secret = FactorSecret::new(b"12345678901234567890".to_vec());
        let factor = sealed_factor(FactorType::Hotp, &secret, |secret| Method::Hotp {
            secret,
            look_ahead: 10,
            next_counter: 0,
        });
        let maker = maker(secret.reveal(), Algorithm::Sha1, Digits::Six);
        let pair = |first, second| {
            let codes = [&maker.code(first), &maker.code(second)];
            Some(keyring().factor_pair_hash(KEY, factor.id, codes))
        };
        let verdict = |pair| verdict(factor.clone(), AttemptHash([0; 16]), pair);
        assert_eq!(verdict(pair(40, 41)), Some(Verdict::Accepted));
        assert_eq!(verdict(pair(40, 42)), Some(Verdict::Wrong));
    }
}
