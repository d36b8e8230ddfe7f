//! Target: which verification a request is about. By its id, which names its record; or the latest
//! one of a recipient.

use super::verifying::{VerifyError, Verifying};
use crate::crypto::keyring::Keyring;
use crate::domain::ids::{RecordKey, VerificationId, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification_ref::VerificationRef;
use crate::store::Change;

/// Which verification a request is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// The one with this id.
    Id(VerificationId),
    /// The latest one of a recipient: the canonical addresses that may be the recipient's, the most
    /// likely one first. There are two only where a numbering plan writes one line in two ways.
    LatestOf(Vec<String>),
}

/// Where a verification may be.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) key: RecordKey,
    /// `None`: the latest one.
    nonce: Option<VerificationNonce>,
}

/// A verification and its recipient.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The verification's id.
    pub id: VerificationId,
    /// The recipient, as stored.
    pub recipient: Recipient,
    /// The verification's nonce.
    pub nonce: VerificationNonce,
}

impl Target {
    /// Where the verification may be, in the order in which to look.
    pub(super) fn places(&self, keyring: &Keyring, app: &str) -> Vec<Place> {
        match self {
            Self::Id(id) => {
                let (key, nonce) = keyring.open_verification_id(app, *id);
                let nonce = Some(nonce);
                vec![Place { key, nonce }]
            }
            Self::LatestOf(addresses) => {
                let key = |address: &String| keyring.recipient_key(app, address);
                let place = |address| Place {
                    key: key(address),
                    nonce: None,
                };
                addresses.iter().map(place).collect()
            }
        }
    }

    /// Whether `id` may name a verification of this recipient.
    #[must_use]
    pub fn may_be(&self, id: VerificationId, keyring: &Keyring, app: &str) -> bool {
        let (key, _) = keyring.open_verification_id(app, id);
        self.places(keyring, app)
            .iter()
            .any(|place| place.key == key)
    }
}

impl Place {
    /// The verification here.
    pub(super) fn find(self, recipient: &Recipient, now: Timestamp) -> Option<VerificationRef<'_>> {
        match self.nonce {
            Some(nonce) => recipient.find(nonce, now),
            None => recipient.current.as_ref().map(VerificationRef::Current),
        }
    }

    /// The verification that was found here.
    pub(super) fn shown(
        self,
        verifying: &Verifying,
        app: &str,
        recipient: Recipient,
        now: Timestamp,
    ) -> Result<Shown, VerifyError> {
        let found = self.find(&recipient, now).ok_or(VerifyError::NotFound)?;
        let nonce = found.params().nonce;
        let id = verifying.keyring.verification_id(app, self.key, nonce);
        Ok(Shown {
            id,
            recipient,
            nonce,
        })
    }
}

/// Ends the pending verification `target` by `end`, which returns `false` if it is not pending. One
/// read and one write, conditional on what was read.
pub(super) async fn end_pending(
    verifying: &Verifying,
    app: &str,
    target: &Target,
    now: Timestamp,
    end: impl Fn(&mut Recipient) -> bool,
) -> Result<Shown, VerifyError> {
    for place in target.places(&verifying.keyring, app) {
        let rule = |recipient: &mut Recipient| {
            let found = place.find(recipient, now).ok_or(VerifyError::NotFound)?;
            let is_current = matches!(found, VerificationRef::Current(_));
            let ended = VerifyError::NotPending {
                status: found.status(now),
                expires_at: found.params().expires_at,
            };
            if !is_current || !end(recipient) {
                return Err(ended);
            }
            Ok(Change::Write(recipient.clone()))
        };
        match verifying.store.modify(place.key, app, now, rule).await {
            Err(VerifyError::NotFound) => {}
            ended => return place.shown(verifying, app, ended?, now),
        }
    }
    Err(VerifyError::NotFound)
}
