//! The factors function on Lambda.

use factors::{State, invoke};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use otp::config::FactorsConfig;
use otp::platform::{clock::Clock, logging, metrics::Metrics};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Format::Json);
    let config = FactorsConfig::from_environment().unwrap_or_else(|error| error.exit());
    let state = &State::new(config, Clock::default(), Metrics::to_stdout());
    state.warm_up().await;
    run(service_fn(async |event: LambdaEvent<_>| {
        invoke(state, event).await
    }))
    .await
}
