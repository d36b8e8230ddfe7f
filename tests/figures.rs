//! The figures: what the functions count, and that each thing counts once. Every server has its own.

use serde_json::{Value, json};

use crate::carrier::{Behaviour, Carrier, service_with};
use crate::given::{NO_SEND_LIMITS, phone};
use crate::harness::Service;

/// The figure of this name by these dimensions; null where nothing was counted.
async fn figure(service: &Service, name: &str, dimensions: Value) -> Value {
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
    figure(service, name, dimensions).await["sum"].take()
}

/// The columns of a histogram that something is in, by their ends.
async fn columns(service: &Service, name: &str, dimensions: Value) -> Vec<(Option<i64>, u64)> {
    let buckets = figure(service, name, dimensions).await["buckets"].take();
    let column = |bucket: &Value| {
        (
            bucket["up_to_seconds"].as_i64(),
            bucket["count"].as_u64().expect("a count"),
        )
    };
    buckets
        .as_array()
        .into_iter()
        .flatten()
        .map(column)
        .filter(|(_, count)| *count > 0)
        .collect()
}

async fn deliveries(service: &Service, carrier: &str, country: &str, status: &str) -> Value {
    sum(
        service,
        "Deliveries",
        json!({"carrier": carrier, "country": country, "status": status}),
    )
    .await
}

/// Sends to `to`; the id, and the message on its phone.
async fn sent(service: &Service, to: &str) -> (String, Value) {
    let id = service.send(to).await.id();
    (id, service.messages(to).await.pop().expect("a message"))
}

#[tokio::test]
async fn a_verification_is_counted_from_its_send_to_its_approval() {
    let (service, to) = (Service::start().await, phone(1));
    let (id, message) = sent(&service, &to).await;
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
        assert_eq!(deliveries(&service, "sim-a", "FR", status).await, 1);
        assert_eq!(
            sum(&service, "Deliveries", json!({"status": status})).await,
            1
        );
    }
    for dimensions in [json!({}), json!({"carrier": "sim-a"})] {
        assert_eq!(
            columns(&service, "SendToReportSeconds", dimensions).await,
            [(Some(60), 1)]
        );
    }
    assert_eq!(
        columns(&service, "SendToApprovalSeconds", json!({})).await,
        [(Some(120), 1)]
    );
    let median = figure(&service, "SendToApprovalSeconds", json!({})).await["p50"].as_i64();
    assert!(
        median.is_some_and(|seconds| (90..=120).contains(&seconds)),
        "{median:?}"
    );
}

#[tokio::test]
async fn what_nobody_approves_counts_as_none_of_its_country() {
    let service = Service::start().await;
    service.send("+12025550143").await;
    service
        .send_body(json!({"to": "ada@example.com", "channel": "email"}))
        .await;
    for country in ["US", "-"] {
        let by = json!({"country": country});
        assert_eq!(
            (
                sum(&service, "Sends", by.clone()).await,
                sum(&service, "Approvals", by).await
            ),
            (json!(1), json!(0)),
            "{country}"
        );
    }
    assert_eq!(sum(&service, "Sends", json!({})).await, 2);
}

#[tokio::test]
async fn a_repeated_call_is_counted_once() {
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
async fn a_refused_send_is_counted_by_its_limit_and_nowhere_else() {
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
    assert_eq!(service.send("+331").await.status, 422);
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
async fn a_message_is_timed_once_by_the_report_that_it_was_delivered() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let (_, message) = sent(&service, &phone(1)).await;
    for status in ["queued", "sent", "undelivered"] {
        service.report(&message, status).await;
    }
    assert_eq!(
        figure(&service, "SendToReportSeconds", json!({})).await,
        json!(null),
        "a bad end is no time"
    );
    service.advance(200).await;
    // The person has asked again by then.
    sent(&service, &phone(1)).await;
    for status in ["delivered", "delivered", "undelivered"] {
        assert_eq!(service.report(&message, status).await, 200);
    }
    assert_eq!(
        columns(&service, "SendToReportSeconds", json!({})).await,
        [(Some(300), 1)]
    );
    let counted = [("sent", 2), ("undelivered", 1), ("delivered", 1)];
    for (status, count) in counted {
        assert_eq!(
            deliveries(&service, "sim-a", "FR", status).await,
            count,
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_report_before_the_carriers_answer_counts_its_state_once() {
    let carrier = Carrier::start("acme").await;
    carrier.behave(Behaviour::ReportFirst("sent"));
    let service = service_with(&[&carrier], &[]).await;
    service.send(&phone(1)).await;
    service.settle().await;
    assert_eq!(deliveries(&service, "acme", "FR", "sent").await, 1);
}

#[tokio::test]
async fn a_message_that_nobody_took_is_counted_as_nobodys() {
    let service = Service::start().await;
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "error"})).await;
    }
    service.send(&phone(1)).await;
    service.advance(400).await;
    assert_eq!(deliveries(&service, "-", "FR", "failed").await, 1);
    assert_eq!(
        sum(&service, "Deliveries", json!({"status": "failed"})).await,
        1
    );
}

#[tokio::test]
async fn a_message_that_send_publishes_is_counted() {
    let service = Service::start_with(&[("OTP_DISPATCH", "sns")]).await;
    service.send(&phone(1)).await;
    service.carrier("sns", json!({"mode": "reject"})).await;
    service.send(&phone(2)).await;
    assert_eq!(
        (
            deliveries(&service, "sns", "FR", "sent").await,
            deliveries(&service, "sns", "FR", "rejected").await
        ),
        (json!(1), json!(1))
    );
}

#[tokio::test]
async fn each_server_counts_for_itself_and_names_nobody() {
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
    let told = String::from_utf8_lossy(&all.raw).into_owned();
    for secret in [
        &to[3..],
        &sent.id()[3..],
        &code,
        "198.51",
        "order-7781",
        "default",
    ] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    assert_eq!(
        other.raw("GET", "/local/metrics", &[], "").await.body,
        json!({"metrics": []})
    );
}
