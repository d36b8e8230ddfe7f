//! The carrier-worker function on Lambda.

use carrier_worker::{State, handle};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use otp::config::WorkerConfig;
use otp::platform::{clock::Clock, logging, metrics::Metrics};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Format::Json);
    let config = WorkerConfig::from_environment().unwrap_or_else(|error| error.exit());
    let state = &State::new(config, Clock::default(), Metrics::to_stdout());
    state.warm_up().await;
    let handler = async |event: LambdaEvent<_>| Ok::<_, Error>(handle(state, event.payload).await);
    run(service_fn(handler)).await
}
