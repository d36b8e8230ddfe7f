//! Metrics: what the functions count, each thing once.

use serde_json::{Value, json};

use crate::support::{Behaviour, HttpCarrier, NO_SEND_LIMITS, Service, assert_status, phone};

/// The metric of this name and these dimensions; `null` if nothing was counted.
async fn metric(service: &Service, name: &str, dimensions: Value) -> Value {
    let all = service.raw("GET", "/local/metrics", &[], "").await;
    let metrics = all.body["metrics"]
        .as_array()
        .unwrap_or_else(|| panic!("{all:?}"));
    metrics
        .iter()
        .find(|metric| metric["name"] == name && metric["dimensions"] == dimensions)
        .cloned()
        .unwrap_or_default()
}

async fn sum(service: &Service, name: &str, dimensions: Value) -> Value {
    metric(service, name, dimensions).await["sum"].take()
}

/// The non-empty buckets of a histogram: their upper bounds and counts.
async fn buckets(service: &Service, name: &str, dimensions: Value) -> Vec<(Option<i64>, u64)> {
    let all = metric(service, name, dimensions).await["buckets"].take();
    let bound_and_count = |bucket: &Value| {
        (
            bucket["up_to_seconds"].as_i64(),
            bucket["count"].as_u64().expect("a count"),
        )
    };
    all.as_array()
        .into_iter()
        .flatten()
        .map(bound_and_count)
        .filter(|(_, count)| *count > 0)
        .collect()
}

async fn deliveries(service: &Service, carrier: &str, status: &str) -> Value {
    sum(
        service,
        "Deliveries",
        json!({"carrier": carrier, "status": status}),
    )
    .await
}

/// Sends to `to`; returns the id and the message on the phone.
async fn send_and_receive(service: &Service, to: &str) -> (String, Value) {
    let id = service.send(to).await.id();
    (id, service.messages(to).await.pop().expect("a message"))
}

#[tokio::test]
async fn verification_is_counted_from_send_to_approval() {
    let (service, to) = (Service::start().await, phone(1));
    let (id, message) = send_and_receive(&service, &to).await;
    service.advance(40).await;
    service.report(&message, "delivered").await;
    service.advance(50).await;
    let code = service.code(&to).await;
    assert_eq!(
        service
            .check(&id, &service.wrong_code(&to).await)
            .await
            .body["valid"],
        false
    );
    assert_eq!(service.check(&id, &code).await.body["valid"], true);
    for dimensions in [json!({}), json!({"country": "FR"})] {
        assert_eq!(sum(&service, "Sends", dimensions.clone()).await, 1);
        assert_eq!(sum(&service, "Approvals", dimensions).await, 1);
    }
    assert_eq!(
        (
            sum(&service, "Checks", json!({})).await,
            sum(&service, "Checks", json!({"country": "FR"})).await
        ),
        (json!(2), json!(null))
    );
    for status in ["sent", "delivered"] {
        assert_eq!(deliveries(&service, "sim-a", status).await, 1);
        assert_eq!(
            sum(&service, "Deliveries", json!({"status": status})).await,
            1
        );
    }
    for dimensions in [json!({}), json!({"carrier": "sim-a"})] {
        assert_eq!(
            buckets(&service, "SendToReportSeconds", dimensions).await,
            [(Some(60), 1)]
        );
    }
    assert_eq!(
        buckets(&service, "SendToApprovalSeconds", json!({})).await,
        [(Some(120), 1)]
    );
    let median = metric(&service, "SendToApprovalSeconds", json!({})).await["p50"].as_i64();
    assert!(
        median.is_some_and(|seconds| (90..=120).contains(&seconds)),
        "{median:?}"
    );
}

#[tokio::test]
async fn unapproved_send_counts_for_its_country() {
    let service = Service::start().await;
    service.send("+12025550143").await;
    service
        .send_body(json!({"to": "ada@example.com", "channel": "email"}))
        .await;
    for country in ["US", "-"] {
        let dimensions = json!({"country": country});
        assert_eq!(
            (
                sum(&service, "Sends", dimensions.clone()).await,
                sum(&service, "Approvals", dimensions).await
            ),
            (json!(1), json!(0)),
            "{country}"
        );
    }
    assert_eq!(sum(&service, "Sends", json!({})).await, 2);
}

#[tokio::test]
async fn replayed_request_is_counted_once() {
    let (service, to) = (Service::start().await, phone(1));
    let id = service.send_with_key(json!({"to": to}), "send").await.id();
    let code = service.code(&to).await;
    assert!(
        service
            .send_with_key(json!({"to": to}), "send")
            .await
            .is_replayed()
    );
    for _ in 0..2 {
        assert_eq!(
            service
                .check_with_key(&id, json!({"code": code}), "check")
                .await
                .body["valid"],
            true
        );
    }
    for name in ["Sends", "Checks", "Approvals"] {
        assert_eq!(sum(&service, name, json!({})).await, 1, "{name}");
    }
}

#[tokio::test]
async fn rejected_send_is_counted_for_its_limit_only() {
    let service = Service::start_with(&[("OTP_CLIENT_SENDS_PER_HOUR", "1")]).await;
    let to = phone(1);
    let id = service.send(&to).await.id();
    assert_eq!(
        (
            service.send(&to).await.status,
            service.resend(&id).await.status
        ),
        (429, 429)
    );
    for n in 2..=4 {
        service
            .send_body(json!({"to": phone(n), "client_ip": "192.0.2.7"}))
            .await;
    }
    assert_status(&service.send("+331").await, 422);
    assert_eq!(
        sum(&service, "Refusals", json!({"limit": "cooldown"})).await,
        2
    );
    assert_eq!(
        sum(&service, "Refusals", json!({"limit": "client"})).await,
        2
    );
    assert_eq!(sum(&service, "Sends", json!({})).await, 2);
}

#[tokio::test]
async fn delivery_time_is_recorded_once_by_its_report() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let (_, message) = send_and_receive(&service, &phone(1)).await;
    for status in ["queued", "sent", "undelivered"] {
        service.report(&message, status).await;
    }
    assert_eq!(
        metric(&service, "SendToReportSeconds", json!({})).await,
        json!(null),
        "a failure has no delivery time"
    );
    service.advance(200).await;
    // A new verification supersedes it meanwhile.
    send_and_receive(&service, &phone(1)).await;
    for status in ["delivered", "delivered", "undelivered"] {
        assert_eq!(service.report(&message, status).await, 200);
    }
    assert_eq!(
        buckets(&service, "SendToReportSeconds", json!({})).await,
        [(Some(300), 1)]
    );
    let counted = [("sent", 2), ("undelivered", 1), ("delivered", 1)];
    for (status, count) in counted {
        assert_eq!(
            deliveries(&service, "sim-a", status).await,
            count,
            "{status}"
        );
    }
}

#[tokio::test]
async fn report_before_the_carrier_response_is_counted_once() {
    let carrier = HttpCarrier::start("acme").await;
    carrier.behave(Behaviour::ReportFirst("sent"));
    let service = Service::start_with_carriers(&[&carrier], &[]).await;
    service.send(&phone(1)).await;
    service.settle().await;
    assert_eq!(deliveries(&service, "acme", "sent").await, 1);
}

#[tokio::test]
async fn message_without_a_carrier_is_counted_as_failed() {
    let service = Service::start().await;
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "error"})).await;
    }
    service.send(&phone(1)).await;
    service.advance(400).await;
    assert_eq!(deliveries(&service, "-", "failed").await, 1);
    assert_eq!(
        sum(&service, "Deliveries", json!({"status": "failed"})).await,
        1
    );
}

#[tokio::test]
async fn published_message_is_counted() {
    let service = Service::start_with(&[("OTP_DISPATCH", "sns")]).await;
    service.send(&phone(1)).await;
    service.set_carrier("sns", json!({"mode": "reject"})).await;
    service.send(&phone(2)).await;
    assert_eq!(
        (
            deliveries(&service, "sns", "sent").await,
            deliveries(&service, "sns", "rejected").await
        ),
        (json!(1), json!(1))
    );
}

#[test]
fn tracing_is_off_by_default() {
    let template: serde_norway::Value =
        serde_norway::from_str(include_str!("../../template.yaml")).expect("YAML");
    assert_eq!(template["Parameters"]["Tracing"]["Default"], "off");
}

#[tokio::test]
async fn metrics_are_per_server_and_contain_no_secrets() {
    let (service, other) = (Service::start().await, Service::start().await);
    let to = phone(1);
    let sent = service
        .send_body(json!({"to": to, "client_ip": "198.51.100.23", "reference": "order-7781"}))
        .await;
    let code = service.code(&to).await;
    service.check(&sent.id(), &code).await;
    service
        .send_body(json!({"to": to, "client_ip": "198.51.100.23"}))
        .await;
    let all = service.raw("GET", "/local/metrics", &[], "").await;
    let text = String::from_utf8_lossy(&all.raw).into_owned();
    for secret in [
        &to[3..],
        &sent.id()[3..],
        &code,
        "198.51",
        "order-7781",
        "default",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(
        other.raw("GET", "/local/metrics", &[], "").await.body,
        json!({"metrics": []})
    );
}
