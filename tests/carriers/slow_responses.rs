//! Carriers that respond late, and hosts that never open a connection.

use std::time::Duration;

use local::Wires;
use serde_json::{Value, json};

use crate::support::delay::delay;
use crate::support::listener::{Listener, response};
use crate::support::{
    HttpCarrier, Service, SilentListener, TO, assert_fields, assert_status, deliveries_of, delivery,
};

/// Longer than one attempt of a call to the table may take.
const SLOW: Duration = Duration::from_millis(1300);

const PUBLISHED: &str = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
    <PublishResult><MessageId>theirs</MessageId></PublishResult></PublishResponse>";

/// An SNS that accepts messages slowly.
async fn slow_sns() -> Listener {
    let publish = |_| async {
        delay(SLOW).await;
        response(200, &[("content-type", "text/xml")], PUBLISHED)
    };
    Listener::open(0, publish).await
}

async fn start_with_sns(sns: &Listener, variables: &[(&str, &str)]) -> Service {
    let wires = Wires {
        sns: Some(sns.url()),
        ..Wires::default()
    };
    Service::try_start_behind(variables, None, wires)
        .await
        .expect("the service starts")
}

#[tokio::test]
async fn slow_sns_has_the_time_of_its_timeout() {
    let (sns, second) = (slow_sns().await, HttpCarrier::start("second").await);
    let carriers = json!([{"kind": "sns"}, second.entry()]).to_string();
    let service = start_with_sns(&sns, &[("OTP_CARRIERS", &carriers)]).await;
    let id = service.open_id(json!({"to": TO})).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "sns")]
    );
    service.advance(60).await;
    assert_eq!(second.received().len(), 0, "no second text");
}

#[tokio::test]
async fn slow_sns_without_a_queue_accepts_the_message() {
    let sns = slow_sns().await;
    let service = start_with_sns(&sns, &[("OTP_DISPATCH", "sns")]).await;
    let sent = service.send(TO).await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"delivery": {"status": "sent"}}));
}

#[tokio::test]
async fn sns_after_its_timeout_is_unknown() {
    let (sns, second) = (slow_sns().await, HttpCarrier::start("second").await);
    let carriers = json!([{"kind": "sns", "timeout_ms": 300}, second.entry()]).to_string();
    let service = start_with_sns(&sns, &[("OTP_CARRIERS", &carriers)]).await;
    let id = service.open_id(json!({"to": TO})).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("unknown", "sns")]
    );
}

/// A carrier whose host accepts connections and never answers the TLS handshake.
fn silent_entry(host: &SilentListener, timeout_ms: u64) -> Value {
    json!({
        "kind": "http", "name": "silent", "base_url": format!("https://127.0.0.1:{}", host.port),
        "timeout_ms": timeout_ms, "token": "t", "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
    })
}

#[tokio::test]
async fn silent_tls_handshake_fails_over_at_once() {
    // The connection has a time-out of its own, above and below that of the carrier.
    for timeout_ms in [5000, 700] {
        let (silent, second) = (SilentListener::open(), HttpCarrier::start("second").await);
        let carriers = json!([silent_entry(&silent, timeout_ms), second.entry()]).to_string();
        let service = Service::start_with(&[("OTP_CARRIERS", &carriers)]).await;
        let id = service.open_id(json!({"to": TO})).await;
        assert_eq!(
            deliveries_of(&service, &id).await,
            [delivery("sent", "second")],
            "{timeout_ms} ms: nothing was sent to the first one"
        );
        assert!(silent.connections() > 0);
        let message = second.received().remove(0);
        let waited = message.at - service.now().await;
        assert!(waited.abs() <= 10, "at once: {waited} s");
    }
}
