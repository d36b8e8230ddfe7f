//! Releases what a send reserved at a guard.

use super::guard::{ConversionGuard, GuardReservation, StoredSample};
use crate::domain::time::Timestamp;
use crate::store::expression::WriteResult;
use crate::store::limits::retries::TRIES_MAX;
use crate::store::{Store, StoreError};

impl Store {
    /// Undoes [`Store::reserve_at_guard`]. Changes nothing if that is undone already.
    pub(in crate::store::limits) async fn release_at_guard(
        &self,
        reservation: &GuardReservation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let guard = &reservation.guard;
        match reservation.place {
            StoredSample::Nowhere => {}
            StoredSample::Inline(position) => {
                self.release_inline_sample(guard, position, now).await?;
            }
            StoredSample::Shard(key, position) => {
                self.release_from_shard(key, guard.sample, position, now)
                    .await?;
            }
        }
        if let Some(id) = reservation.let_through {
            let update = guard.pass_on(id);
            self.update(guard.key, update, ConversionGuard::ttl(now))
                .await?;
        }
        Ok(())
    }

    /// Releases the sample of `guard`, if its item has it.
    pub(in crate::store::limits) async fn release_inline_sample(
        &self,
        guard: &ConversionGuard,
        mut position: Option<usize>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if position.is_none() {
            let item = self.get(guard.key, true).await?;
            position = item.and_then(|item| guard.position(&item));
        }
        for _ in 0..TRIES_MAX {
            let Some(known) = position else {
                return Ok(());
            };
            let ttl = ConversionGuard::ttl(now);
            match self
                .update(guard.key, guard.release_sample(known), ttl)
                .await?
            {
                WriteResult::Written(_) => return Ok(()),
                WriteResult::ConditionFailed(item) => {
                    position = item.and_then(|item| guard.position(&item));
                }
            }
        }
        Err(StoreError::Conflict)
    }
}
