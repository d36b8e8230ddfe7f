//! The delay of a slow table, queue or carrier. Tests wait for conditions instead: `settle`, held
//! calls, received messages.

use std::time::Duration;

/// Returns after `time`.
pub async fn delay(time: Duration) {
    tokio::time::sleep(time).await;
}
