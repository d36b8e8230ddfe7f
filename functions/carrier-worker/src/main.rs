//! The carrier-worker function on Lambda.

use std::sync::Arc;

use carrier_worker::{State, handle};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use otp::platform::environment::variable;
use otp::platform::{logging, metrics::Metrics};

/// A fifth of the instructions of an invocation are allocations in the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Format::Json);
    let clock = &Clock::default();
    let started = State::new(Arc::new(variable), clock.clone(), Metrics::to_log());
    let state = &started.unwrap_or_else(|error| error.exit());
    state.warm_up().await.unwrap_or_else(|error| error.exit());
    let handler = async |event: LambdaEvent<_>| {
        let deadline = Deadline::of_invocation(event.context.deadline, clock);
        Ok::<_, Error>(handle(state, event.payload, deadline).await)
    };
    run(service_fn(handler)).await
}
