//! The delivery-callback function: what carriers report.

mod forged_reports;
mod reports;

use serde_json::{Value, json};

use crate::support::{HttpCarrier, ReceivedMessage, Service, TO};

const SECOND: &str = "+12025550199";

/// A service, its carrier, the id of a verification, and its message that the carrier has received.
async fn one_message() -> (Service, HttpCarrier, String, ReceivedMessage) {
    let carrier = HttpCarrier::start("acme").await;
    let service = Service::start_with_carriers(&[&carrier], &[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let id = service.send(TO).await.id();
    service.settle().await;
    let message = carrier.received().remove(0);
    (service, carrier, id, message)
}

async fn status(service: &Service, id: &str) -> Value {
    service.settle().await;
    service.show(id).await.body["delivery"]["status"].clone()
}

async fn stored_state(service: &Service) -> Value {
    service.settle().await;
    let state = service.state().await;
    json!([state["table"], state["queue"], state["dead_letters"]])
}
