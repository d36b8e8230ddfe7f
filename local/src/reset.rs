//! `POST /local/reset`: the server as at its start, with the same keys and the same configuration
//! document. Tests call it between two cases.

use std::io;

use crate::gateway::Gateway;
use crate::table::TableError;

/// Why a reset failed. What was deleted before stays deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResetError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("a simulated carrier does not start again: {0}")]
    Carrier(#[from] io::Error),
}

/// Empties table, queue and phones, and resets clock and carriers. Waits for work in flight.
pub(crate) async fn reset(gateway: &Gateway) -> Result<(), ResetError> {
    let clock = gateway.clock.pause().await;
    gateway.queue.clear();
    gateway.carriers.reset().await?;
    gateway.queue.settle().await;
    // What the work in flight has enqueued.
    gateway.queue.clear();
    // Before the clock goes back, which would make expired codes valid again.
    gateway.table.clear().await?;
    clock.reset();
    (gateway.restart_functions)();
    // What a request in flight has stored meanwhile, with a time that is now ahead.
    gateway.table.clear().await?;
    gateway.carriers.clear_phones();
    Ok(())
}
