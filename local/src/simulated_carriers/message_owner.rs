//! Finds the verification that a message belongs to, and its code, for the page and for tests. The
//! simulated carriers themselves know neither.

use std::sync::Arc;

use otp::crypto::keyring::Keyring;
use otp::domain::delivery::Delivery;
use otp::domain::ids::VerificationId;
use otp::domain::time::Timestamp;
use otp::store::Store;

/// Looks messages up in the table.
pub(crate) struct MessageOwners {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) store: Store,
    /// Apps that have API keys.
    pub(crate) apps: Vec<String>,
}

/// The verification of a message.
pub(super) struct MessageOwner {
    pub(super) verification_id: String,
    /// Missing for a past verification: its code is no longer stored.
    pub(super) code: Option<String>,
}

impl MessageOwners {
    /// The recipient of the verification with this id.
    pub(super) async fn recipient_of(&self, id: &str, now: Timestamp) -> Option<String> {
        let id: VerificationId = id.parse().ok()?;
        for app in &self.apps {
            let (key, nonce) = self.keyring.open_verification_id(app, id);
            let stored = self.store.load(key, app, now).await.ok()?;
            if stored.recipient.has_nonce(nonce) {
                return Some(stored.recipient.address?.reveal().to_owned());
            }
        }
        None
    }

    /// The owner of a message with our `reference`; for SNS, which has no reference, the
    /// verification of this recipient whose code is in the text.
    pub(super) async fn find(
        &self,
        reference: Option<&str>,
        to: &str,
        text: &str,
        now: Timestamp,
    ) -> Option<MessageOwner> {
        let opened = reference.and_then(|reference| self.keyring.open_reference(reference));
        let keys = match opened {
            Some((key, _)) => vec![key],
            None => self
                .apps
                .iter()
                .map(|app| self.keyring.recipient_key(app, &to.to_lowercase()))
                .collect(),
        };
        for key in keys {
            let Ok(stored) = self.store.load(key, "", now).await else {
                continue;
            };
            let recipient = stored.recipient;
            let id = |nonce| {
                self.keyring
                    .verification_id(&recipient.app, key, nonce)
                    .to_string()
            };
            let has_message = |deliveries: &[Delivery]| {
                opened.is_none_or(|(_, tag)| deliveries.iter().any(|delivery| delivery.tag == tag))
            };
            let current = recipient.current.as_ref();
            if let Some(current) = current.filter(|current| has_message(&current.deliveries)) {
                let code = self.keyring.open_code(key, current);
                let code = code.map(|code| code.reveal().to_owned());
                if opened.is_some() || code.as_ref().is_some_and(|code| text.contains(code)) {
                    let verification_id = id(current.params.nonce);
                    return Some(MessageOwner {
                        verification_id,
                        code,
                    });
                }
                continue;
            }
            // A message that was in flight while a newer verification replaced its own.
            let mut past = recipient.past.iter();
            let past = past.find(|past| opened.is_some() && has_message(&past.deliveries));
            if let Some(past) = past {
                return Some(MessageOwner {
                    verification_id: id(past.params.nonce),
                    code: None,
                });
            }
        }
        None
    }
}
