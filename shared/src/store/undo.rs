//! Undoing: a write that takes back an earlier one. Its responses may be lost like those of the
//! earlier write, so it is repeated while there is time.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::StoreError;
use super::versioned::jittered_backoff;

/// Longest wait before the second try; each later one is longer by as much.
const WAIT_MILLIS: u64 = 100;
/// Time of the first try, however late it is.
const FIRST_TRY_MIN: Duration = Duration::from_secs(1);

/// Runs `write`, and again while requests to the table fail, until `until`. It is tried once in any
/// case, for [`FIRST_TRY_MIN`] if no more time is left.
///
/// # Errors
/// [`StoreError`] of the last try that ended.
pub(super) async fn undo<T, F: Future<Output = Result<T, StoreError>>>(
    until: Instant,
    write: impl Fn() -> F,
) -> Result<T, StoreError> {
    let first_until = until.max(Instant::now() + FIRST_TRY_MIN);
    let first = timeout_at(first_until, write()).await;
    let mut result = first.unwrap_or(Err(StoreError::OutOfTime));
    let mut wait = WAIT_MILLIS;
    while matches!(result, Err(StoreError::Request(_))) {
        let waited = timeout_at(until, jittered_backoff(wait)).await;
        // A busy machine may notice both ends at once: then the wait counts as over.
        if waited.is_err() || Instant::now() >= until {
            break;
        }
        match timeout_at(until, write()).await {
            Ok(repeated) => result = repeated,
            Err(_) => break,
        }
        wait += WAIT_MILLIS;
    }
    result
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use super::*;

    /// Undoes by a write that fails `failures` times; the result and the number of tries.
    async fn undo_after(failures: u32, until: Instant) -> (Result<u32, StoreError>, u32) {
        let tries = Cell::new(0);
        let undone = undo(until, || {
            tries.set(tries.get() + 1);
            ready(match tries.get() > failures {
                true => Ok(tries.get()),
                false => Err(StoreError::Request("lost".into())),
            })
        });
        (undone.await, tries.get())
    }

    #[tokio::test]
    async fn failed_write_is_repeated_until_it_succeeds() {
        let until = Instant::now() + Duration::from_secs(5);
        for failures in [0, 1, 2] {
            let (undone, tries) = undo_after(failures, until).await;
            assert_eq!(
                (undone.expect("a success"), tries),
                (failures + 1, failures + 1)
            );
        }
    }

    #[tokio::test]
    async fn write_is_tried_once_when_time_is_over() {
        let (undone, tries) = undo_after(1, Instant::now()).await;
        assert!(matches!(undone, Err(StoreError::Request(_))), "{undone:?}");
        assert_eq!(tries, 1);
        let (undone, _) = undo_after(0, Instant::now()).await;
        assert!(undone.is_ok(), "{undone:?}");
    }

    #[tokio::test]
    async fn repetitions_end_in_time() {
        let until = Instant::now() + Duration::from_secs(1);
        let (undone, tries) = undo_after(u32::MAX, until).await;
        assert!(undone.is_err() && Instant::now() >= until);
        assert!((2..30).contains(&tries), "{tries} tries");
    }

    #[tokio::test]
    async fn first_try_without_a_response_ends_in_time() {
        for millis in [0, 700] {
            let until = Instant::now() + Duration::from_millis(millis);
            let undone = undo(until, pending::<Result<(), _>>).await;
            assert!(matches!(undone, Err(StoreError::OutOfTime)), "{undone:?}");
        }
    }

    #[tokio::test]
    async fn conflict_is_not_repeated() {
        let tries = Cell::new(0);
        let until = Instant::now() + Duration::from_secs(5);
        let undone = undo(until, || {
            tries.set(tries.get() + 1);
            ready(Err::<(), _>(StoreError::Conflict))
        });
        assert!(matches!(undone.await, Err(StoreError::Conflict)));
        assert_eq!(tries.get(), 1);
    }
}
