//! Reseal: seals values under the current key that are sealed under an old one, one part of the
//! table at a time. Once all parts are done, the old key can be removed.

use super::Subjects;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::service::subject_change::SubjectRecord;
use crate::store::{Change, OutdatedRecord, StoreError};

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resealed {
    /// Items that were read.
    pub scanned: usize,
    /// Items of which something was sealed again.
    pub resealed: usize,
    /// Where the next part begins; `None` if this was the last one.
    pub after: Option<Vec<u8>>,
}

/// Seals again what is sealed under an old key in the part of the table that begins after `after`.
///
/// # Errors
/// [`StoreError`]: the part is to be repeated.
pub async fn reseal(
    subjects: &Subjects,
    after: Option<&[u8]>,
    now: Timestamp,
) -> Result<Resealed, StoreError> {
    let page = subjects.store.scan(after, now).await?;
    let resealed = page.outdated.len();
    for record in page.outdated {
        match record {
            // Every write of a subject seals again.
            OutdatedRecord::Subject(key) => {
                let record = SubjectRecord {
                    store: &subjects.store,
                    keyring: &subjects.keyring,
                    key,
                    now,
                };
                let keep = |_: &mut _| Ok::<_, StoreError>(Change::Write(()));
                record.change(keep).await?;
            }
            OutdatedRecord::Recipient(key, app) => {
                let rule = |recipient: &mut Recipient| {
                    Ok::<_, StoreError>(match subjects.store.reseal_recipient(key, recipient) {
                        true => Change::Write(()),
                        false => Change::Keep(()),
                    })
                };
                subjects.store.modify(key, &app, now, rule).await?;
            }
        }
    }
    Ok(Resealed {
        scanned: page.scanned,
        resealed,
        after: page.after,
    })
}
