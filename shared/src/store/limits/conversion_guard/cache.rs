//! What an instance remembers of guards between sends: the state of the item, and the shards of the
//! current minute.
//!
//! Invariant: a remembered state decides alone for a few seconds only, and only where no write is
//! made: samples go to shards, or sends are drawn. Every other decision is verified by the
//! condition of a write, however old the state is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::state::GuardState;
use crate::domain::conversion::SampleShard;
use crate::domain::ids::RecordKey;
use crate::domain::time::Timestamp;
use crate::platform::random::random_bytes;

/// Shards of one minute: each gets its part of the writes.
pub(super) const SHARDS: usize = 4;
/// Seconds whose samples are in the same shards.
pub(super) const SLOT_SECONDS: i64 = 60;
/// Guards that are remembered. Past it, all are forgotten.
const GUARDS_MAX: usize = 500;

/// The guards that an instance knows.
#[derive(Default, Debug)]
pub struct GuardCache {
    guards: Mutex<HashMap<RecordKey, RememberedGuard>>,
    /// Held while the samples of an item are replaced, so that an instance does it once.
    pub(super) replacing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct RememberedGuard {
    state: GuardState,
    /// When the state was stored or read.
    seen_at: Timestamp,
    slot: i64,
    shards: [Option<RememberedShard>; SHARDS],
    /// The shard of the next sample.
    next_shard: usize,
}

/// One shard, as it was last seen.
#[derive(Clone, Default, Debug)]
pub(super) struct RememberedShard {
    pub(super) slot: i64,
    pub(super) number: usize,
    pub(super) shard: SampleShard,
    /// Samples in the stored item, with those that were released.
    pub(super) samples_stored: usize,
    /// Version of the item.
    pub(super) write_id: Vec<u8>,
}

impl GuardCache {
    /// The state of a guard, as it was last seen.
    pub(super) fn state(&self, key: RecordKey) -> Option<GuardState> {
        self.guards().get(&key).map(|guard| guard.state.clone())
    }

    /// When that was.
    pub(super) fn seen_at(&self, key: RecordKey) -> Option<Timestamp> {
        self.guards().get(&key).map(|guard| guard.seen_at)
    }

    /// Remembers the state of a guard.
    pub(super) fn remember(&self, key: RecordKey, state: &GuardState, now: Timestamp) {
        let mut guards = self.guards();
        if let Some(guard) = guards.get_mut(&key) {
            (guard.state, guard.seen_at) = (state.clone(), now);
            return;
        }
        if guards.len() >= GUARDS_MAX {
            guards.clear();
        }
        let [first] = random_bytes();
        let guard = RememberedGuard {
            state: state.clone(),
            seen_at: now,
            slot: 0,
            shards: Default::default(),
            next_shard: usize::from(first) % SHARDS,
        };
        guards.insert(key, guard);
    }

    /// The shard of the next sample: one after the other. One that is not known is empty.
    pub(super) fn next_shard(&self, key: RecordKey, now: Timestamp) -> RememberedShard {
        let slot = slot(now);
        let mut guards = self.guards();
        let Some(guard) = guards.get_mut(&key) else {
            return RememberedShard {
                slot,
                ..RememberedShard::default()
            };
        };
        if guard.slot != slot {
            (guard.slot, guard.shards) = (slot, Default::default());
        }
        let number = guard.next_shard;
        guard.next_shard = (number + 1) % SHARDS;
        let known = guard.shards[number].clone();
        known.unwrap_or_else(|| RememberedShard {
            slot,
            number,
            ..RememberedShard::default()
        })
    }

    /// Remembers a shard.
    pub(super) fn remember_shard(&self, key: RecordKey, remembered: &RememberedShard) {
        if let Some(guard) = self.guards().get_mut(&key)
            && guard.slot == remembered.slot
        {
            guard.shards[remembered.number] = Some(remembered.clone());
        }
    }

    fn guards(&self) -> MutexGuard<'_, HashMap<RecordKey, RememberedGuard>> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The minute of a moment.
pub(super) fn slot(at: Timestamp) -> i64 {
    at.0.div_euclid(SLOT_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{KEY, NOW};

    fn state(version: i64) -> GuardState {
        GuardState {
            version,
            ..GuardState::default()
        }
    }

    #[test]
    fn last_seen_state_is_remembered() {
        let cache = GuardCache::default();
        assert_eq!((cache.state(KEY), cache.seen_at(KEY)), (None, None));
        for (version, at) in [(1, NOW), (2, NOW + 5)] {
            cache.remember(KEY, &state(version), at);
            assert_eq!(cache.state(KEY), Some(state(version)));
            assert_eq!(cache.seen_at(KEY), Some(at));
        }
    }

    #[test]
    fn all_guards_are_forgotten_when_there_are_too_many() {
        let cache = GuardCache::default();
        let key = |n: usize| {
            let mut key = RecordKey([0; 12]);
            key.0[..8].copy_from_slice(&n.to_be_bytes());
            key
        };
        for n in 0..GUARDS_MAX {
            cache.remember(key(n), &state(1), NOW);
        }
        cache.remember(key(0), &state(2), NOW);
        assert_eq!(cache.state(key(GUARDS_MAX - 1)), Some(state(1)));
        cache.remember(key(GUARDS_MAX), &state(1), NOW);
        assert_eq!(cache.state(key(0)), None);
        assert_eq!(cache.state(key(GUARDS_MAX)), Some(state(1)));
    }

    #[test]
    fn samples_go_to_one_shard_after_the_other() {
        let cache = GuardCache::default();
        let slot = slot(NOW);
        let unknown = cache.next_shard(KEY, NOW);
        assert_eq!((unknown.slot, unknown.number), (slot, 0));
        cache.remember(KEY, &state(1), NOW);
        let first = cache.next_shard(KEY, NOW).number;
        for n in 1..=SHARDS {
            let next = cache.next_shard(KEY, NOW);
            assert_eq!((next.slot, next.number), (slot, (first + n) % SHARDS));
        }
    }

    #[test]
    fn shard_is_remembered_for_its_minute() {
        let cache = GuardCache::default();
        cache.remember(KEY, &state(1), NOW);
        let mut shard = cache.next_shard(KEY, NOW);
        shard.samples_stored = 7;
        cache.remember_shard(KEY, &shard);
        let stored = |now| {
            let shards = (0..SHARDS).map(|_| cache.next_shard(KEY, now));
            shards.map(|shard| shard.samples_stored).sum::<usize>()
        };
        let minute_end = Timestamp((slot(NOW) + 1) * SLOT_SECONDS);
        assert_eq!(stored(minute_end - 1), 7);
        assert_eq!(stored(minute_end), 0);
        cache.remember_shard(KEY, &shard);
        assert_eq!(stored(minute_end), 0, "of the minute before");
    }
}
