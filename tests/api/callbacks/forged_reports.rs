//! Forged and malformed reports: they are rejected and leave no trace in the table.

use serde_json::json;

use super::{SECOND, one_message, status, stored_state};
use crate::support::{HttpCarrier, Service, SignedReport, TO, assert_status};

/// Sends `report`; holds that it is rejected with 401 or 404, and that nothing is written.
async fn assert_forged(service: &Service, report: &SignedReport, what: &str) {
    let before = stored_state(service).await;
    let response = report.send(service).await;
    assert!(
        [401, 404].contains(&response.status),
        "{what}: {response:?}"
    );
    assert_eq!(
        stored_state(service).await,
        before,
        "{what}: nothing is written"
    );
}

#[tokio::test]
async fn report_with_a_wrong_signature_is_rejected() {
    let (service, carrier, _, message) = one_message().await;
    let (now, good) = (
        service.now().await,
        carrier.report(&message, "delivered", service.now().await),
    );
    let other_secret = HttpCarrier::start("stranger").await.secret;
    assert_forged(
        &service,
        &good.clone().signed(&other_secret, now),
        "another secret",
    )
    .await;
    for signature in [
        "",
        "v1,",
        "v1",
        "v1,AAAA",
        "v2,AAAA",
        "v1,====",
        " ",
        "v1,\u{e9}",
        &"v1,AAAA ".repeat(500),
        &good.signature[3..],
    ] {
        assert_forged(
            &service,
            &good.with_signature(signature),
            &format!("signature {signature:.20}"),
        )
        .await;
    }
    let version = good.signature.replace("v1,", "v1a,");
    assert_forged(&service, &good.with_signature(version), "another version").await;
    assert_forged(&service, &good.with_id("evt_2"), "another id").await;
    let rotated = format!("v1,AAAA v2,x {}", good.signature);
    // One valid signature of several is enough, so that a carrier can rotate its secret.
    assert_status(&good.with_signature(rotated).send(&service).await, 200);
}

#[tokio::test]
async fn report_with_one_altered_byte_is_rejected() {
    let (service, carrier, id, message) = one_message().await;
    let good = carrier.report(&message, "sent", service.now().await);
    let before = stored_state(&service).await;
    for at in 0..good.body.len() {
        let mut altered = good.clone();
        altered.body[at] ^= 1;
        let response = altered.send(&service).await;
        assert_eq!(response.status, 401, "byte {at}");
    }
    for body in [
        [&good.body[..], b" "].concat(),
        good.body[1..].to_vec(),
        vec![],
        b"\xff\xfe\x00".to_vec(),
    ] {
        assert_status(&good.with_body(body).send(&service).await, 401);
    }
    assert_eq!(stored_state(&service).await, before);
    assert_eq!(status(&service, &id).await, "sent");
}

#[tokio::test]
async fn report_signed_at_another_time_is_rejected() {
    let (service, carrier, _, message) = one_message().await;
    for seconds in [-86_400, -3600, -310, 310, 3600] {
        let report = carrier.report(&message, "delivered", service.now().await + seconds);
        assert_forged(&service, &report, &format!("{seconds} s from now")).await;
    }
    for timestamp in [i64::MIN, i64::MAX, 0, -1] {
        assert_forged(
            &service,
            &carrier.report(&message, "delivered", timestamp),
            &timestamp.to_string(),
        )
        .await;
    }
    let good = carrier.report(&message, "delivered", service.now().await);
    for timestamp in [
        "",
        "now",
        "1e9",
        "99999999999999999999999",
        "-",
        " ",
        &format!("{}.0", good.timestamp),
        &format!("0x{}", good.timestamp),
    ] {
        assert_forged(
            &service,
            &good.with_timestamp(timestamp),
            &format!("timestamp {timestamp}"),
        )
        .await;
    }
    for seconds in [-280, 280] {
        let report = carrier.report(&message, "delivered", service.now().await + seconds);
        // Up to 300 s of clock difference are accepted.
        assert_status(&report.send(&service).await, 200);
    }
}

#[tokio::test]
async fn report_without_one_of_its_headers_is_rejected() {
    let (service, carrier, _, message) = one_message().await;
    let good = carrier.report(&message, "delivered", service.now().await);
    let before = stored_state(&service).await;
    for missing in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let headers: Vec<_> = good
            .headers()
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect();
        let response = service
            .raw("POST", &good.path, &headers, good.body.clone())
            .await;
        assert_eq!(response.status, 401, "without {missing}");
    }
    let two_timestamps: Vec<_> = good
        .headers()
        .into_iter()
        .chain([("webhook-timestamp", "0")])
        .collect();
    let response = service
        .raw("POST", &good.path, &two_timestamps, good.body.clone())
        .await;
    assert_status(&response, 401);
    assert_eq!(stored_state(&service).await, before);
}

#[tokio::test]
async fn token_of_another_message_is_rejected() {
    let (service, carrier, first_id, first) = one_message().await;
    let second_id = service.send(SECOND).await.id();
    service.settle().await;
    let second = carrier.received().remove(1);
    let now = service.now().await;
    let mixed = carrier
        .report(&first, "delivered", now)
        .with_path(second.callback_path().to_owned());
    assert_forged(
        &service,
        &mixed,
        "token of the second, reference of the first",
    )
    .await;
    let mixed = carrier
        .report(&second, "delivered", now)
        .with_path(first.callback_path().to_owned());
    assert_forged(
        &service,
        &mixed,
        "token of the first, reference of the second",
    )
    .await;
    for reference in [
        "",
        "x",
        &first.reference().to_ascii_uppercase(),
        &"a".repeat(32),
    ] {
        let body = json!({"reference": reference, "status": "delivered"}).to_string();
        let report = carrier
            .report(&first, "delivered", now)
            .with_body(body)
            .signed(&carrier.secret, now);
        assert_forged(&service, &report, &format!("reference {reference}")).await;
    }
    assert_eq!(
        (
            status(&service, &first_id).await,
            status(&service, &second_id).await
        ),
        (json!("sent"), json!("sent"))
    );
}

#[tokio::test]
async fn report_under_another_carrier_name_is_rejected() {
    let (acme, other) = HttpCarrier::start_two("acme", "other").await;
    let service = Service::start_with_carriers(&[&acme, &other], &[]).await;
    service.send(TO).await;
    service.settle().await;
    let (message, now) = (acme.received().remove(0), service.now().await);
    let good = acme.report(&message, "delivered", now);
    let under = |name: &str| good.path.replace("/acme/", &format!("/{name}/"));
    assert_forged(
        &service,
        &good.with_path(under("other")).signed(&other.secret, now),
        "name and secret of the other carrier",
    )
    .await;
    assert_forged(
        &service,
        &good.with_path(under("other")),
        "name of the other carrier",
    )
    .await;
    assert_forged(
        &service,
        &good.clone().signed(&other.secret, now),
        "secret of the other carrier",
    )
    .await;
    for name in ["unknown", "ACME", "", "acme%20", "sns", "http", ".", "*"] {
        assert_forged(&service, &good.with_path(under(name)), name).await;
    }
    assert_status(&good.send(&service).await, 200);
}

#[tokio::test]
async fn unknown_token_is_rejected() {
    let (service, carrier, _, message) = one_message().await;
    let good = carrier.report(&message, "delivered", service.now().await);
    let token = good.path.rsplit('/').next().expect("a token").to_owned();
    let mut garbage: Vec<String> = ["x", "%00", "%2e%2e", "-", "null", "%C3%A9", "ve_AAAA"]
        .map(str::to_owned)
        .to_vec();
    garbage.extend([
        token[1..].to_owned(),
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        token.to_ascii_uppercase(),
        "a".repeat(4000),
    ]);
    garbage.push(message.reference().to_owned());
    for at in (0..token.len()).step_by(3) {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'b' { b'c' } else { b'b' };
        garbage.push(String::from_utf8(altered).expect("still ASCII"));
    }
    for wrong in garbage {
        let path = format!("/v1/callbacks/acme/{wrong}");
        assert_forged(
            &service,
            &good.with_path(path),
            &format!("token {wrong:.60}"),
        )
        .await;
    }
    for path in [
        "/v1/callbacks/acme/",
        "/v1/callbacks/acme",
        "/v1/callbacks",
        "/v1/callbacks/acme/x/y",
    ] {
        assert_forged(&service, &good.with_path(path), path).await;
    }
    // The genuine report is accepted afterwards.
    assert_status(&good.send(&service).await, 200);
}

#[tokio::test]
async fn report_by_another_method_than_post_is_rejected() {
    let (service, carrier, _, message) = one_message().await;
    let good = carrier.report(&message, "delivered", service.now().await);
    let before = stored_state(&service).await;
    let headers = good.headers();
    let got = service
        .raw("GET", &good.path, &headers, good.body.clone())
        .await;
    assert!([401, 404, 405].contains(&got.status), "{got:?}");
    for method in ["PUT", "DELETE", "PATCH"] {
        let response = service
            .raw(method, &good.path, &headers, good.body.clone())
            .await;
        assert_eq!(response.status, 405, "{method}");
        assert!(
            response
                .header("allow")
                .is_some_and(|allow| allow.contains("POST")),
            "{method}"
        );
    }
    assert_eq!(stored_state(&service).await, before);
}

#[tokio::test]
async fn report_body_over_the_limit_is_rejected() {
    let (service, carrier, _, message) = one_message().await;
    let now = service.now().await;
    let padded = json!({"reference": message.reference(), "status": "delivered", "padding": "x".repeat(17_000)}).to_string();
    let report = carrier
        .report(&message, "delivered", now)
        .with_body(padded)
        .signed(&carrier.secret, now);
    let before = stored_state(&service).await;
    assert_status(&report.send(&service).await, 413);
    assert_eq!(stored_state(&service).await, before);
}

#[tokio::test]
async fn signed_report_with_malformed_body_changes_nothing() {
    let (service, carrier, _, message) = one_message().await;
    let now = service.now().await;
    let before = stored_state(&service).await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{\"reference\":7,\"status\":\"delivered\"}",
        &"[".repeat(10_000),
    ] {
        let report = carrier
            .report(&message, "delivered", now)
            .with_body(body)
            .signed(&carrier.secret, now);
        let response = report.send(&service).await;
        assert!(
            (400..500).contains(&response.status),
            "{body:.30}: {response:?}"
        );
    }
    assert_eq!(stored_state(&service).await, before);
}
