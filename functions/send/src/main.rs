//! The send function on Lambda.

use lambda_http::{Error, run, service_fn};
use otp::{
    ambient::Clock,
    config::{Config, Role},
    metrics, telemetry,
};
use send::{App, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(telemetry::Reader::Lambda);
    metrics::init_lambda();
    let app = &App::new(Config::from_env(Role::Send).unwrap_or_else(|error| error.exit()), Clock::default());
    app.warm_up().await;
    run(service_fn(async |request| Ok::<_, Error>(handle(app, &request).await))).await
}
