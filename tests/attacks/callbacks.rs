//! Attacks through the endpoint for the carriers' reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{
    HttpCarrier, Listener, ReceivedMessage, Service, TO, assert_approved, assert_status,
};

use crate::attack::{Attack, stored_state};

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "forged_reports",
        published: "Reports are accepted without a valid signature (Botpress CVE-2026-4984)",
        tried: "no signature, one by another key, an altered byte, the token of another message, no token",
        bound: "0 writes",
        run: || Box::pin(forged_reports()),
    },
    Attack {
        name: "fetched_urls",
        published: "A report makes the service fetch a URL (forged SNS `SubscribeURL` and `SigningCertURL`)",
        tried: "confirmations, notifications and certificates with URLs of another host",
        bound: "0 requests",
        run: || Box::pin(fetched_urls()),
    },
    Attack {
        name: "replayed_reports",
        published: "A report is replayed, or an older one arrives later",
        tried: "`delivered` 20 times, then `sent`, `undelivered` and `expired`, each signed; the first one again after 6 minutes",
        bound: "a status moves up only, and nothing else moves",
        run: || Box::pin(replayed_reports()),
    },
    Attack {
        name: "hostile_timestamps",
        published: "A `webhook-timestamp` that overflows or is not a number",
        tried: "the least and the greatest 64-bit number, 500 digits, a fraction, `NaN`, none; each signed where it can be",
        bound: "0 writes, 0 panics",
        run: || Box::pin(hostile_timestamps()),
    },
];

/// A service, its carrier, the id of a verification, and its message that the carrier has received.
async fn one_message() -> (Service, HttpCarrier, String, ReceivedMessage) {
    let carrier = HttpCarrier::start("acme").await;
    let service = Service::start_with_carriers(&[&carrier], &[]).await;
    let id = service.send(TO).await.id();
    service.settle().await;
    let message = carrier.received().remove(0);
    (service, carrier, id, message)
}

async fn status(service: &Service, id: &str) -> Value {
    service.settle().await;
    service.show(id).await.body["delivery"]["status"].clone()
}

async fn forged_reports() -> String {
    let (service, carrier, id, message) = one_message().await;
    service.send("+13125550199").await;
    service.settle().await;
    let other = carrier.received().remove(1);
    let now = service.now().await;
    let good = carrier.report(&message, "delivered", now);
    let stranger = HttpCarrier::start("stranger").await.secret;
    let altered = String::from_utf8_lossy(&good.body).replace("delivered", "deliveree");
    let forged = [
        good.with_signature(""),
        good.with_signature("v1,AAAA"),
        good.clone().signed(&stranger, now),
        good.with_body(altered),
        good.with_id("evt_2"),
        good.with_timestamp(&(now + 1).to_string()),
        good.with_path(other.callback_path()),
        carrier
            .report(&other, "delivered", now)
            .with_path(message.callback_path()),
        good.with_path("/v1/callbacks/acme/"),
        good.with_path("/v1/callbacks/acme/guessed"),
        good.with_path(message.callback_path().replace("/acme/", "/other/")),
    ];
    let before = stored_state(&service).await;
    for report in forged {
        let response = report.send(&service).await;
        assert!([401, 404].contains(&response.status), "{response:?}");
    }
    let unsigned = service
        .raw("POST", &good.path, &[], good.body.clone())
        .await;
    assert_status(&unsigned, 401);
    assert_eq!(stored_state(&service).await, before);
    assert_eq!(status(&service, &id).await, "sent");
    assert_status(&good.send(&service).await, 200);
    "401 or 404 for each; the table is unchanged; the genuine report is accepted afterwards"
        .to_owned()
}

async fn fetched_urls() -> String {
    const TOKEN: &str = "callback-token-for-attacks-1";
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let listener = Listener::open(0, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { None }
    })
    .await;
    let carrier = json!([{"kind": "end_user_messaging", "origination_identity": "Acme",
        "callback_token": TOKEN, "base_url": listener.url()}]);
    let service = Service::start_with(&[("OTP_CARRIERS", &carrier.to_string())]).await;
    let path = format!("/v1/callbacks/end_user_messaging/{TOKEN}");
    let own = format!("{}/x.pem", listener.url());
    let port = listener.port;
    for url in [
        own,
        format!("http://127.0.0.1:{port}/SimpleNotificationService-0123456789abcdef.pem"),
        format!("https://sns.eu-west-1.amazonaws.com@127.0.0.1:{port}/?Action=ConfirmSubscription"),
        format!("https://127.0.0.1:{port}/?host=sns.eu-west-1.amazonaws.com"),
        "file:///etc/passwd".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        for kind in [
            "SubscriptionConfirmation",
            "Notification",
            "UnsubscribeConfirmation",
        ] {
            let envelope = json!({"Type": kind, "MessageId": "m", "Token": "t", "Message": "{}",
                "TopicArn": "arn:aws:sns:eu-west-1:123456789012:otp", "SubscribeURL": url,
                "SigningCertURL": url, "SignatureVersion": "2", "Signature": "AAAA",
                "Timestamp": "2026-01-01T00:00:00.000Z"});
            let response = service.raw("POST", &path, &[], envelope.to_string()).await;
            assert!(
                [400, 401].contains(&response.status),
                "{envelope}: {response:?}"
            );
        }
    }
    assert_eq!(requests.load(Ordering::Relaxed), 0);
    "400 or 401 for each; no request leaves the service".to_owned()
}

async fn replayed_reports() -> String {
    let (service, carrier, id, message) = one_message().await;
    let now = service.now().await;
    let good = carrier.report(&message, "delivered", now);
    assert_status(&good.send(&service).await, 200);
    let before = service.show(&id).await.body;
    for _ in 0..19 {
        assert_status(&good.send(&service).await, 200);
    }
    for earlier in ["queued", "sent", "undelivered", "rejected", "expired"] {
        assert_status(
            &carrier.report(&message, earlier, now).send(&service).await,
            200,
        );
    }
    assert_eq!(
        service.show(&id).await.body,
        before,
        "{}",
        status(&service, &id).await
    );
    let code = message.code();
    assert_approved(&service.check(&id, &code).await, 4);
    service.advance(360).await;
    assert_status(&good.send(&service).await, 401);
    assert!(!service.check(&id, &code).await.is_valid());
    "200, and the verification is unchanged; 401 after 6 minutes".to_owned()
}

async fn hostile_timestamps() -> String {
    let (service, carrier, id, message) = one_message().await;
    let good = carrier.report(&message, "delivered", service.now().await);
    let before = stored_state(&service).await;
    for timestamp in [i64::MIN, i64::MIN + 1, i64::MAX, -1, 0] {
        let report = carrier.report(&message, "delivered", timestamp);
        assert_status(&report.send(&service).await, 401);
    }
    let digits = "9".repeat(500);
    let fraction = format!("{}.0", good.timestamp);
    for timestamp in [
        "",
        " ",
        "-",
        "+",
        "NaN",
        "1e9",
        "0x7fffffff",
        &digits,
        &fraction,
    ] {
        assert_status(&good.with_timestamp(timestamp).send(&service).await, 401);
    }
    assert_eq!(stored_state(&service).await, before);
    assert_eq!(status(&service, &id).await, "sent");
    "401 for each; the table is unchanged".to_owned()
}
