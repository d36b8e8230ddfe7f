//! The delivery-callback function on Lambda.

use delivery_callback::{App, invoke};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use otp::config::{Config, Role};
use otp::platform::{clock::Clock, logging, metrics::Metrics};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Reader::Lambda);
    let config = Config::from_env(Role::DeliveryCallback).unwrap_or_else(|error| error.exit());
    let app = &App::new(config, Clock::default(), Metrics::to_stdout());
    app.warm_up().await;
    run(service_fn(async |event: LambdaEvent<_>| {
        invoke(app, event).await
    }))
    .await
}
