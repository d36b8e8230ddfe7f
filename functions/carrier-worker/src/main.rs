//! The carrier-worker function on Lambda.

use carrier_worker::{App, handle};
use lambda_runtime::{Error, run, service_fn};
use otp::config::{Config, Role};
use otp::platform::{clock::Clock, logging, metrics::Metrics};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Reader::Lambda);
    let config = Config::from_env(Role::CarrierWorker).unwrap_or_else(|error| error.exit());
    let app = &App::new(config, Clock::default(), Metrics::to_stdout());
    app.warm_up().await;
    run(service_fn(async |event: lambda_runtime::LambdaEvent<_>| {
        Ok::<_, Error>(handle(app, event.payload).await)
    }))
    .await
}
