//! Calls that run at once.

use tokio::task::JoinSet;

/// The responses to `count` calls that run at once.
pub async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    call: impl Fn(usize) -> F,
) -> Vec<T> {
    let running: JoinSet<T> = (0..count).map(call).collect();
    running.join_all().await
}
