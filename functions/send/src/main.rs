//! The send function on Lambda.

use lambda_http::{Error, run, service_fn};
use otp::config::SendConfig;
use otp::platform::{clock::Clock, logging, metrics::Metrics};
use send::{State, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Format::Json);
    let config = SendConfig::from_environment().unwrap_or_else(|error| error.exit());
    let state = &State::new(config, Clock::default(), Metrics::to_stdout());
    state.warm_up().await;
    run(service_fn(async |request| {
        Ok::<_, Error>(handle(state, &request).await)
    }))
    .await
}
