//! Recipients: unlock and forget, for the operator's support desk. Both do the same for recipients
//! that were never seen.

use super::sending::Sending;
use crate::domain::address::Address;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
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
    modify_known(sending, app, to, now, Recipient::unlock).await
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
    modify_known(sending, app, to, now, |recipient| recipient.forget(now)).await
}

async fn modify_known(
    sending: &Sending,
    app: &str,
    to: &Address,
    now: Timestamp,
    change: impl Fn(&mut Recipient),
) -> Result<(), StoreError> {
    let key = sending.keyring.recipient_key(app, &to.canonical());
    let unknown = Recipient {
        app: app.to_owned(),
        ..Recipient::default()
    };
    let rule = |recipient: &mut Recipient| {
        if *recipient == unknown {
            return Ok(Change::Keep(()));
        }
        change(recipient);
        Ok(Change::Write(()))
    };
    sending.store.modify(key, app, now, rule).await
}
