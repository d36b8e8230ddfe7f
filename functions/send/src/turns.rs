//! Turns: where an instance serves many calls at once, those about one recipient come one after the other. Else all of them would hold
//! places in the limits of which one needs one, and others would be refused meanwhile. The counts are exact without it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use otp::crypto::seal::RecordKey;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Longest wait: whoever takes longer waits for the table, and is not waited for.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Recipients that are remembered before those without a call are forgotten.
const RECIPIENTS_MAX: usize = 1000;

/// Whose turn it is, by recipient.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<RecordKey, Weak<Turn<()>>>>);

impl Turns {
    /// Waits for the calls about this recipient that came before. The turn ends with what is returned.
    pub(crate) async fn take(&self, key: &RecordKey) -> Option<OwnedMutexGuard<()>> {
        let turn = self.of(key);
        tokio::time::timeout(WAIT_MAX, turn.lock_owned()).await.ok()
    }

    fn of(&self, key: &RecordKey) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= RECIPIENTS_MAX {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        turns.get(key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(*key, Arc::downgrade(&turn));
            turn
        })
    }
}
