//! Retries of writes whose condition failed because another send was first.

use crate::store::jittered_backoff;

/// How often a write is tried. Each time some send succeeds, or the writes meet a full register,
/// which one of them then replaces.
pub(super) const TRIES_MAX: u64 = 30;
/// So many tries follow one another at once; later ones after a random wait that grows.
const TRIES_WITHOUT_WAIT: u64 = 3;
const WAIT_MILLIS: u64 = 5;

/// Waits before the try after number `tries`, so that many sends do not meet again.
pub(super) async fn wait_after(tries: u64) {
    let waits = tries.saturating_sub(TRIES_WITHOUT_WAIT);
    if waits > 0 {
        jittered_backoff(WAIT_MILLIS * waits).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn only_later_tries_follow_after_a_wait() {
        for tries in 0..=TRIES_WITHOUT_WAIT {
            assert!(wait_after(tries).now_or_never().is_some(), "{tries}");
        }
        let many = u64::MAX / WAIT_MILLIS;
        assert!(wait_after(many).now_or_never().is_none());
    }
}
