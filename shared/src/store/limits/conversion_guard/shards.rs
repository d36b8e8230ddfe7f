//! Sample shards: where samples are stored when a guard has more than fit its own item.
//!
//! The samples of one minute are in up to four items of their own, each a fair sample of the sends
//! that it was offered ([`SampleShard`]). `samples` are in order of arrival; `min_level` is the
//! level below which they are dropped, once there were too many.
//!
//! Write units: 1, as an item has at most 40 samples, about 900 bytes. At a thousand sends a second
//! a shard gets about 250 writes a minute, most of them in the first second.

use super::super::retries::TRIES_MAX;
use super::super::sample_codec::{
    append_sample, pack_samples, released_value, sample_position, sample_value, unpack_samples,
};
use super::cache::RememberedShard;
use super::guard::{ConversionGuard, StoredSample};
use crate::domain::conversion::{Admission, Sample, SampleShard};
use crate::domain::ids::RecordKey;
use crate::domain::time::{DAY_SECONDS, RETENTION_SECONDS, Timestamp};
use crate::store::attributes::{Item, WRITE_ID, binary, bytes, list, number, number_value};
use crate::store::expression::{Update, WriteResult};
use crate::store::{Store, StoreError};

const SAMPLES: &str = "samples";
const MIN_LEVEL: &str = "min_level";
/// Samples of one item. Instances that know the shard thin it out before.
const SAMPLES_MAX: usize = 40;
/// Longer than outcomes can be learned.
const TTL_SECONDS: i64 = RETENTION_SECONDS + DAY_SECONDS;

impl Store {
    /// Key of a shard.
    pub(super) fn shard_key(&self, guard: RecordKey, slot: i64, number: usize) -> RecordKey {
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        let parts: [&[u8]; 3] = [&guard.0, &slot.to_be_bytes(), &[number]];
        self.keyring.record_key("samples", &parts)
    }

    /// Stores the sample of `guard` in a shard, unless that has enough samples. After an error it
    /// may be stored.
    pub(super) async fn add_to_shard(
        &self,
        guard: &ConversionGuard,
        mut remembered: RememberedShard,
        now: Timestamp,
    ) -> Result<StoredSample, StoreError> {
        let key = self.shard_key(guard.key, remembered.slot, remembered.number);
        for _ in 0..TRIES_MAX {
            let is_full = remembered.samples_stored >= SAMPLES_MAX;
            let update = match remembered.shard.admit(guard.sample) {
                Admission::Skip => return Ok(StoredSample::Nowhere),
                Admission::Append if !is_full => append(guard.sample),
                // There is room for it once the released samples are dropped.
                Admission::Append => {
                    let mut next = remembered.shard.clone();
                    next.samples.push(guard.sample);
                    replace(&remembered, &next)
                }
                Admission::Replace(thinned) => replace(&remembered, &thinned),
            };
            let written = self.update(key, update.returning_item(), now + TTL_SECONDS);
            let (is_written, item) = match written.await? {
                WriteResult::Written(item) => (true, item.unwrap_or_default()),
                WriteResult::ConditionFailed(item) => (false, item.unwrap_or_default()),
            };
            remembered.shard = read(&item);
            remembered.samples_stored = list(&item, SAMPLES).len();
            remembered.write_id = bytes(&item, WRITE_ID).to_vec();
            self.guards.remember_shard(guard.key, &remembered);
            let position = sample_position(&item, SAMPLES, &guard.sample);
            if is_written || position.is_some() {
                return Ok(StoredSample::Shard(key, position));
            }
        }
        Err(StoreError::Conflict)
    }

    /// Releases a sample, if the shard has it.
    pub(super) async fn release_from_shard(
        &self,
        key: RecordKey,
        sample: Sample,
        mut position: Option<usize>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let position_in = |item: &Item| sample_position(item, SAMPLES, &sample);
        if position.is_none() {
            position = self.get(key, true).await?.as_ref().and_then(position_in);
        }
        for _ in 0..TRIES_MAX {
            let Some(known) = position else {
                return Ok(());
            };
            let update = Update::when(format!("{SAMPLES}[{known}] = :sample"))
                .set(format!("{SAMPLES}[{known}] = :released"))
                .value(":sample", sample_value(&sample))
                .value(":released", released_value());
            match self.update(key, update, now + TTL_SECONDS).await? {
                WriteResult::Written(_) => return Ok(()),
                WriteResult::ConditionFailed(item) => {
                    position = item.as_ref().and_then(position_in);
                }
            }
        }
        Err(StoreError::Conflict)
    }
}

/// Reads a shard.
pub(super) fn read(item: &Item) -> SampleShard {
    SampleShard {
        min_level: u32::try_from(number(item, MIN_LEVEL)).unwrap_or(0),
        samples: unpack_samples(item, SAMPLES),
    }
}

fn append(sample: Sample) -> Update {
    append_sample(Update::default(), SAMPLES, &sample, SAMPLES_MAX)
        .and(format!("NOT {MIN_LEVEL} > :level"))
        .value(":level", number_value(sample.level()))
}

/// Replaces the samples, unless the item has changed.
fn replace(before: &RememberedShard, after: &SampleShard) -> Update {
    Update::when("write_id = :before")
        .set(format!("{SAMPLES} = :samples, {MIN_LEVEL} = :level"))
        .value(":before", binary(&before.write_id))
        .value(":samples", pack_samples(&after.samples))
        .value(":level", number_value(after.min_level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::VerificationNonce;
    use crate::store::attributes::TTL;
    use crate::store::limits::conversion_guard::cache::slot;
    use crate::store::limits::conversion_guard::guard::tests::guard_with;
    use crate::store::tests::{KEY, NOW, TestTable};

    fn guard(n: u8) -> ConversionGuard {
        guard_with(Sample {
            recipient: KEY,
            verification: VerificationNonce([n; 4]),
            at: NOW,
            salt: [n; 2],
        })
    }

    /// Adds sample `n` as an instance that knows nothing of the shard; its position in it.
    async fn add(store: &Store, n: u8, now: Timestamp) -> Option<usize> {
        let unknown = RememberedShard {
            slot: slot(NOW),
            ..RememberedShard::default()
        };
        let added = store.add_to_shard(&guard(n), unknown, now).await;
        match added.expect("a response") {
            StoredSample::Shard(_, position) => position,
            other => panic!("{n}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn repeated_sample_is_stored_once() {
        let store = TestTable::start().await.store();
        let added = [
            add(&store, 1, NOW).await,
            add(&store, 2, NOW).await,
            add(&store, 2, NOW).await,
            add(&store, 1, NOW).await,
        ];
        assert_eq!(added, [0, 1, 1, 0].map(Some));
    }

    #[tokio::test]
    async fn released_samples_make_room_in_a_full_shard() {
        let store = TestTable::start().await.store();
        let key = store.shard_key(KEY, slot(NOW), 0);
        for n in 0..40 {
            assert_eq!(add(&store, n, NOW).await, Some(n.into()));
        }
        for n in 0..10 {
            let released = store.release_from_shard(key, guard(n).sample, None, NOW);
            released.await.expect("a write");
        }
        assert_eq!(add(&store, 40, NOW).await, Some(30));
        let item = store
            .get(key, true)
            .await
            .expect("a read")
            .unwrap_or_default();
        let kept: Vec<_> = (10..=40).map(|n| guard(n).sample).collect();
        assert_eq!(read(&item).samples, kept);
    }

    #[tokio::test]
    async fn shard_is_stored_longer_than_its_verifications() {
        let store = TestTable::start().await.store();
        let key = store.shard_key(KEY, slot(NOW), 0);
        let ttl = async || {
            let item = store
                .get(key, true)
                .await
                .expect("a read")
                .unwrap_or_default();
            number(&item, TTL) - NOW.0 - RETENTION_SECONDS
        };
        add(&store, 1, NOW).await;
        assert_eq!(ttl().await, 86_400);
        let released = store.release_from_shard(key, guard(1).sample, None, NOW + 5);
        released.await.expect("a write");
        assert_eq!(ttl().await, 86_405);
    }
}
