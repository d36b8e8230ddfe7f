//! Recipients: unlock, forget, release and lookup, for the operator's support desk. All do the same
//! for recipients that were never seen.

use super::sending::Sending;
use crate::domain::address::Address;
use crate::domain::ids::{AttemptNonce, VerificationId};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verified_recipient::Removal;
use crate::platform::random::random_bytes;
use crate::store::{Change, StoreError};

/// Clears the failure counts of a recipient.
///
/// # Errors
/// [`StoreError`].
pub async fn unlock(
    sending: &Sending,
    app: &str,
    to: &Address,
    now: Timestamp,
) -> Result<(), StoreError> {
    let unlock = |recipient: &mut Recipient| {
        recipient.unlock();
        Change::Write(())
    };
    modify_known(sending, app, to, now, unlock).await.map(drop)
}

/// Erases the verifications and the address of a recipient; keeps its counts.
///
/// # Errors
/// [`StoreError`].
pub async fn forget(
    sending: &Sending,
    app: &str,
    to: &Address,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = sending.keyring.recipient_key(app, &to.canonical());
    let approvals = sending.approvals(key, now);
    let mut completed = None;
    loop {
        let forget = |recipient: &mut Recipient| {
            let current = recipient.current.as_ref().map(|v| v.params.nonce);
            if recipient.has_approval_to_record() && current != completed {
                return Change::Keep(Forget::AfterApproval(Box::new(recipient.clone())));
            }
            let sends_remain = recipient.may_have_sends_to_erase();
            recipient.forget(now);
            Change::Write(match sends_remain {
                true => Forget::SendsRemain,
                false => Forget::Done,
            })
        };
        match modify_known(sending, app, to, now, forget).await? {
            None | Some(Forget::Done) => return Ok(()),
            // After the recipient: a send that loaded it before remembers nothing any more.
            Some(Forget::SendsRemain) => return sending.store.forget_sends(key, now).await,
            // Forgotten before, it would leave an owner without the record of its subject.
            Some(Forget::AfterApproval(recipient)) => {
                approvals.complete_before_send(&recipient).await?;
                completed = recipient.current.map(|v| v.params.nonce);
            }
        }
    }
}

/// How far a recipient is forgotten.
enum Forget {
    /// Nothing is left to erase.
    Done,
    /// Sends may be remembered apart.
    SendsRemain,
    /// An approval has to be completed first.
    AfterApproval(Box<Recipient>),
}

/// Ends the ownership of a recipient, whichever subject it belongs to, and removes it there.
///
/// # Errors
/// [`StoreError`]: not known to be released. A repetition completes it.
pub async fn release(
    sending: &Sending,
    app: &str,
    to: &Address,
    now: Timestamp,
) -> Result<(), StoreError> {
    let store = &sending.store;
    let key = sending.keyring.recipient_key(app, &to.canonical());
    let recipient = store.load(key, app, now).await?.recipient;
    let Some(owner) = recipient.owner() else {
        return Ok(());
    };
    // An approval that is recorded later would bring the recipient back.
    let approvals = sending.approvals(key, now);
    approvals.complete_before_send(&recipient).await?;
    let removal = Removal {
        nonce: AttemptNonce::Random(random_bytes()),
        recipient: key,
    };
    store.append_removal(owner, removal).await?;
    store.release_owner(key, owner, now).await
}

/// A recipient as it is stored, and the ids of its readable verifications, the current one first.
#[derive(Clone, Debug)]
pub struct FoundRecipient {
    /// The recipient; one without history if it was never seen.
    pub recipient: Recipient,
    /// Ids in the order of [`Recipient::readable`].
    pub ids: Vec<VerificationId>,
}

/// Reads a recipient; changes nothing.
///
/// # Errors
/// [`StoreError`].
pub async fn lookup(
    sending: &Sending,
    app: &str,
    to: &Address,
    now: Timestamp,
) -> Result<FoundRecipient, StoreError> {
    let key = sending.keyring.recipient_key(app, &to.canonical());
    let recipient = sending.store.load(key, app, now).await?.recipient;
    let id = |nonce| sending.keyring.verification_id(app, key, nonce);
    let ids = recipient
        .readable(now)
        .map(|verification| id(verification.params().nonce))
        .collect();
    Ok(FoundRecipient { recipient, ids })
}

/// Applies `change` to a recipient. `None`: it was never seen.
async fn modify_known<T>(
    sending: &Sending,
    app: &str,
    to: &Address,
    now: Timestamp,
    change: impl Fn(&mut Recipient) -> Change<T>,
) -> Result<Option<T>, StoreError> {
    let key = sending.keyring.recipient_key(app, &to.canonical());
    let unknown = Recipient {
        app: app.to_owned(),
        ..Recipient::default()
    };
    let rule = |recipient: &mut Recipient| {
        if *recipient == unknown {
            return Ok(Change::Keep(None));
        }
        Ok::<_, StoreError>(match change(recipient) {
            Change::Keep(value) => Change::Keep(Some(value)),
            Change::Write(value) => Change::Write(Some(value)),
        })
    };
    sending.store.modify(key, app, now, rule).await
}
