//! The verify function on Lambda.

use lambda_http::{Error, run, service_fn};
use otp::config::{Config, Role};
use otp::platform::{clock::Clock, logging, metrics::Metrics};
use verify::{App, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(logging::Reader::Lambda);
    let config = Config::from_env(Role::Verify).unwrap_or_else(|error| error.exit());
    let app = &App::new(config, Clock::default(), Metrics::to_stdout());
    app.warm_up().await;
    run(service_fn(async |request| {
        Ok::<_, Error>(handle(app, &request).await)
    }))
    .await
}
