//! The carrier-worker function on Lambda.

use carrier_worker::{State, handle};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use otp::config::WorkerConfig;
use otp::platform::{clock::Clock, deadline::Deadline, logging, metrics::Metrics};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Format::Json);
    let config = WorkerConfig::from_environment().unwrap_or_else(|error| error.exit());
    let clock = &Clock::default();
    let state = &State::new(config, clock.clone(), Metrics::to_stdout());
    state.warm_up().await;
    let handler = async |event: LambdaEvent<_>| {
        let deadline = Deadline::of_invocation(event.context.deadline, clock);
        Ok::<_, Error>(handle(state, event.payload, deadline).await)
    };
    run(service_fn(handler)).await
}
