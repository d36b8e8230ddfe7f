//! The send function on Lambda.

use std::sync::Arc;

use lambda_runtime::{Error, run, service_fn};
use otp::platform::{clock::Clock, environment::variable, logging, metrics::Metrics};
use send::{State, invoke};

/// A fifth of the instructions of an invocation are allocations in the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Format::Json);
    let started = State::new(Arc::new(variable), Clock::default(), Metrics::to_log());
    let state = &started.unwrap_or_else(|error| error.exit());
    state.warm_up().await.unwrap_or_else(|error| error.exit());
    run(service_fn(async |event| {
        Ok::<_, Error>(invoke(state, event).await)
    }))
    .await
}
