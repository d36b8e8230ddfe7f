//! Time that passes: the delay of a slow table, queue or carrier, and the limit for conditions.
//! Tests wait for conditions: `settle`, held calls, received messages.

use std::time::Duration;

/// Longer than any condition of a test takes.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Waits for a condition; `None` if it is not met in time.
pub async fn in_time<T>(condition: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(WAIT_MAX, condition).await.ok()
}

/// Returns after `time`.
pub async fn delay(time: Duration) {
    tokio::time::sleep(time).await;
}
