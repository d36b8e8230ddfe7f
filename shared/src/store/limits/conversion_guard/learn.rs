//! Learning: looks up what became of samples that are old enough.
//!
//! Cost: half a read unit for each sample and for each shard. At most as many recipients are read
//! as the rule judges outcomes: the latest samples.

use super::cache::{SHARDS, slot};
use super::guard::ConversionGuard;
use super::shards;
use super::state::{GuardState, Sharded};
use crate::domain::conversion::{OUTCOME_AGE_SECONDS, Sample};
use crate::domain::ids::RecordKey;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError, recipient_item};

impl Store {
    /// The state with all outcomes that are due at `now`. Nothing is written.
    pub(super) async fn learn(
        &self,
        guard: &ConversionGuard,
        state: &GuardState,
        now: Timestamp,
    ) -> Result<GuardState, StoreError> {
        let learnable = now - OUTCOME_AGE_SECONDS;
        let is_due = |sample: &Sample| sample.at <= learnable;
        let mut next = state.clone();
        let mut due: Vec<Sample> = next
            .samples
            .extract_if(.., |sample| is_due(sample))
            .collect();
        if let Some(sharded) = state.sharded.filter(|sharded| sharded.from <= learnable) {
            let until = sharded.until.min(learnable);
            due.extend(self.samples_in_shards(guard, sharded.from, until).await?);
            next.sharded = (until < sharded.until).then(|| Sharded {
                from: until + 1,
                until: sharded.until,
            });
        }
        // A learning that found nothing does not delay the next one.
        if !due.is_empty() || next.sharded.is_none() {
            next.learned_at = next.sharded.map(|_| now);
        }
        // Later outcomes would push out those of earlier samples.
        due.sort_unstable_by_key(|sample| sample.at);
        let window = usize::try_from(guard.rule.window).unwrap_or(usize::MAX);
        due.drain(..due.len().saturating_sub(window));
        let outcomes = self.outcomes(&due, now).await?;
        next.history.learn(outcomes, guard.rule);
        Ok(next)
    }

    /// The samples of these seconds. Shards that the table left unprocessed are skipped.
    async fn samples_in_shards(
        &self,
        guard: &ConversionGuard,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Sample>, StoreError> {
        let keys: Vec<RecordKey> = (slot(from)..=slot(until))
            .flat_map(|slot| (0..SHARDS).map(move |number| (slot, number)))
            .map(|(slot, number)| self.shard_key(guard.key, slot, number))
            .collect();
        let items = self.batch_get(&keys, false).await?;
        let samples = items
            .values()
            .flatten()
            .flat_map(|item| shards::read(item).samples);
        let is_included = |sample: &Sample| (from..=until).contains(&sample.at);
        Ok(samples.filter(is_included).collect())
    }

    /// Outcomes of `samples`, in order. One that is not known says nothing.
    async fn outcomes(&self, samples: &[Sample], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        let mut keys: Vec<RecordKey> = samples.iter().map(|sample| sample.recipient).collect();
        keys.sort_unstable();
        keys.dedup();
        let items = self.batch_get(&keys, false).await?;
        let outcome = |sample: &Sample| {
            let item = items.get(&sample.recipient)?;
            let recipient = item.as_ref().and_then(|item| {
                recipient_item::read(&self.keyring, sample.recipient, item, now).ok()?
            });
            let approved = recipient.and_then(|recipient| is_approved(&recipient, sample, now));
            sample.outcome(approved, now)
        };
        Ok(samples.iter().filter_map(outcome).collect())
    }
}

/// Whether the verification of `sample` was approved; `None` if it is unknown.
fn is_approved(recipient: &Recipient, sample: &Sample, now: Timestamp) -> Option<bool> {
    let mut verifications = recipient.verifications();
    let found = verifications.find(|found| found.params().nonce == sample.verification)?;
    Some(found.status(now).has_success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::VerificationNonce;
    use crate::store::limits::conversion_guard::cache::RememberedShard;
    use crate::store::limits::conversion_guard::guard::tests::guard_with;
    use crate::store::tests::{NOW, TestTable, keyring, opened};

    fn guard(n: u8, at: Timestamp) -> ConversionGuard {
        let mut recipient = RecordKey([n; 12]);
        recipient.0[11] = 1;
        guard_with(Sample {
            recipient,
            verification: VerificationNonce([n; 4]),
            at,
            salt: [n; 2],
        })
    }

    /// A store with a sample in a shard of the minute of [`NOW`].
    async fn store_with_shard(table: &TestTable) -> Store {
        let store = table.store();
        let shard = RememberedShard {
            slot: slot(NOW),
            ..RememberedShard::default()
        };
        let added = store.add_to_shard(&guard(1, NOW), shard, NOW).await;
        added.expect("a write");
        store
    }

    fn sharded(from: i64, until: i64) -> GuardState {
        GuardState {
            sharded: Some(Sharded {
                from: NOW + from,
                until: NOW + until,
            }),
            ..GuardState::default()
        }
    }

    #[tokio::test]
    async fn shards_are_learned_up_to_the_outcomes_that_count() {
        let table = TestTable::start().await;
        let store = store_with_shard(&table).await;
        let learn = async |seconds: i64| {
            let now = NOW + OUTCOME_AGE_SECONDS + seconds;
            let learned = store.learn(&guard(9, now), &sharded(0, 300), now).await;
            let next = learned.expect("a read");
            (next.history.known(), next.sharded, next.learned_at)
        };
        let rest = |from| sharded(from, 300).sharded;
        assert_eq!(learn(-1).await, (0, rest(0), None), "too early");
        let now = |seconds| Some(NOW + OUTCOME_AGE_SECONDS + seconds);
        assert_eq!(learn(0).await, (1, rest(1), now(0)));
        assert_eq!(learn(299).await, (1, rest(300), now(299)));
        assert_eq!(learn(300).await, (1, None, None));
        assert_eq!(learn(301).await, (1, None, None));
    }

    #[tokio::test]
    async fn learning_that_finds_nothing_delays_no_other() {
        let store = TestTable::start().await.store();
        let now = NOW + OUTCOME_AGE_SECONDS + 100;
        let mut state = sharded(0, 300);
        state.learned_at = Some(NOW);
        let next = store
            .learn(&guard(9, now), &state, now)
            .await
            .expect("a read");
        assert_eq!(next.learned_at, Some(NOW));
        assert_eq!(next.sharded, sharded(101, 300).sharded);
    }

    #[tokio::test]
    async fn outcome_is_that_of_the_verification() {
        let table = TestTable::start().await;
        let store = table.store();
        for (n, is_approved) in [(1, true), (2, false)] {
            let sample = guard(n, NOW).sample;
            let mut recipient = opened(&keyring(&["k1"]));
            let current = recipient.current.as_mut().expect("a verification");
            current.params.nonce = sample.verification;
            assert!(!is_approved || recipient.approve(NOW));
            let saved = store.save(sample.recipient, &recipient, None, NOW).await;
            saved.expect("a write");
        }
        let state = GuardState {
            samples: [1, 2, 3].map(|n| guard(n, NOW).sample).to_vec(),
            ..GuardState::default()
        };
        let now = NOW + OUTCOME_AGE_SECONDS;
        let next = store
            .learn(&guard(9, now), &state, now)
            .await
            .expect("a read");
        assert_eq!(next.history.0, [true, false, false]);
        assert_eq!(next.samples, []);
    }
}
