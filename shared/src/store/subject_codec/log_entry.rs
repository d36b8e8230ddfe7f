//! Entries of a subject's log, packed.

use serde::{Deserialize, Serialize};

use super::{Packed, seconds, time};
use crate::domain::attempt_log::Attempt;
use crate::domain::ids::{AttemptHash, AttemptNonce, DecisionNonce, FactorId, RecordKey};
use crate::domain::subject::{FactorAttempt, LogEntry};
use crate::domain::verified_recipient::{Approval, Removal};
use crate::store::recipient_codec::{channel_from_number, channel_number};

/// Nonce, hash, hash of the pair, factor, decision, time and invocation.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredAttempt {
    nonce: [u8; 9],
    hash: [u8; 16],
    pair_hash: Option<[u8; 16]>,
    factor: [u8; 16],
    decision: Option<[u8; 8]>,
    at: u32,
    invocation: [u8; 4],
}

impl Packed for FactorAttempt {
    type Stored = StoredAttempt;

    fn to_stored(&self) -> StoredAttempt {
        let attempt = &self.attempt;
        StoredAttempt {
            nonce: attempt.nonce.to_bytes(),
            hash: attempt.hash.0,
            pair_hash: self.pair_hash.map(|hash| hash.0),
            factor: self.factor.0,
            decision: attempt.decision.map(|decision| decision.0),
            at: seconds(attempt.at),
            invocation: attempt.invocation,
        }
    }

    fn from_stored(stored: StoredAttempt) -> Option<Self> {
        Some(Self {
            attempt: Attempt {
                nonce: AttemptNonce::from_bytes(&stored.nonce)?,
                hash: AttemptHash(stored.hash),
                decision: stored.decision.map(DecisionNonce),
                at: time(stored.at),
                invocation: stored.invocation,
            },
            factor: FactorId(stored.factor),
            pair_hash: stored.pair_hash.map(AttemptHash),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) enum StoredLogEntry {
    Check(StoredAttempt),
    Approval {
        nonce: [u8; 9],
        recipient: [u8; 12],
        sealed_to: Vec<u8>,
        channel: u8,
        purpose: String,
        is_unique: bool,
        decision: Option<[u8; 8]>,
        at: u32,
    },
    Removal {
        nonce: [u8; 9],
        recipient: [u8; 12],
    },
}

impl Packed for LogEntry {
    type Stored = StoredLogEntry;

    fn to_stored(&self) -> StoredLogEntry {
        match self {
            Self::Check(attempt) => StoredLogEntry::Check(attempt.to_stored()),
            Self::Approval(approval) => StoredLogEntry::Approval {
                nonce: approval.nonce.to_bytes(),
                recipient: approval.recipient.0,
                sealed_to: approval.sealed_to.clone(),
                channel: channel_number(approval.channel),
                purpose: approval.purpose.clone(),
                is_unique: approval.is_unique,
                decision: approval.decision.map(|decision| decision.0),
                at: seconds(approval.at),
            },
            Self::Removal(removal) => StoredLogEntry::Removal {
                nonce: removal.nonce.to_bytes(),
                recipient: removal.recipient.0,
            },
        }
    }

    fn from_stored(stored: StoredLogEntry) -> Option<Self> {
        Some(match stored {
            StoredLogEntry::Check(attempt) => Self::Check(FactorAttempt::from_stored(attempt)?),
            StoredLogEntry::Approval {
                nonce,
                recipient,
                sealed_to,
                channel,
                purpose,
                is_unique,
                decision,
                at,
            } => Self::Approval(Approval {
                nonce: AttemptNonce::from_bytes(&nonce)?,
                recipient: RecordKey(recipient),
                sealed_to,
                channel: channel_from_number(channel)?,
                purpose,
                is_unique,
                decision: decision.map(DecisionNonce),
                at: time(at),
            }),
            StoredLogEntry::Removal { nonce, recipient } => Self::Removal(Removal {
                nonce: AttemptNonce::from_bytes(&nonce)?,
                recipient: RecordKey(recipient),
            }),
        })
    }
}
