//! Get and cancel, and the ids that neither accepts.

use serde_json::{Value, json};

use crate::support::{
    DEFAULT_KEY, NO_SEND_LIMITS, SHOP_KEY, Service, UNKNOWN_ID, assert_check, assert_fields,
    assert_status, phone, with,
};

#[tokio::test]
async fn cancel_of_an_ended_verification_is_rejected() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let (id, code) = service.open(&phone(1)).await;
    let canceled = service.cancel(&id).await;
    assert_status(&canceled, 200);
    assert_fields(
        &canceled.body,
        json!({"status": "canceled", "resend_at": null}),
    );
    assert_check(&service.check(&id, &code).await, "canceled", "canceled", 5);
    let mut ended = vec![(id, "canceled")];
    for (n, status) in [
        (2, "approved"),
        (3, "exhausted"),
        (4, "superseded"),
        (5, "expired"),
    ] {
        let (id, code) = service.open(&phone(n)).await;
        match n {
            2 => drop(service.check(&id, &code).await),
            3 => drop(service.fail_checks(&id, &code, 5).await),
            4 => drop(service.send(&phone(n)).await),
            _ => service.advance(300).await,
        }
        ended.push((id, status));
    }
    for (id, status) in ended {
        assert_eq!(
            service.cancel(&id).await.problem(),
            (409, "not_pending"),
            "{status}"
        );
        assert_eq!(service.show(&id).await.body["status"], status);
    }
}

#[tokio::test]
async fn queued_message_is_not_sent_after_cancel() {
    let service = Service::start().await;
    for carrier in ["sim-a", "sim-b"] {
        service.set_carrier(carrier, json!({"mode": "down"})).await;
    }
    let id = service.send(&phone(1)).await.id();
    service.settle().await;
    service.cancel(&id).await;
    for carrier in ["sim-a", "sim-b"] {
        service.set_carrier(carrier, json!({"mode": "ok"})).await;
    }
    service.advance(600).await;
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
}

/// Ids of no verification of app `default`.
async fn foreign_ids(service: &Service) -> Vec<String> {
    let shop = service.send_as(SHOP_KEY, &phone(9)).await.id();
    let (ours, _) = service.open(&phone(1)).await;
    let mut altered = ours.clone();
    let last = altered.pop();
    altered.push(if last == Some('A') { 'E' } else { 'A' });
    let ids = [
        UNKNOWN_ID,
        "ve_",
        "ve",
        "x",
        "1",
        "%00",
        "%2e%2e",
        "ve_%F0%9F%92%A9",
        "null",
        "-1",
        "ve_AAAA",
        "...",
        "ve_*",
    ];
    let long = format!("ve_{}", "A".repeat(2000));
    let other_case = ours.replace("ve_", "VE_");
    let (cut, longer) = (ours[..ours.len() - 1].to_owned(), format!("{ours}A"));
    ids.into_iter()
        .map(str::to_owned)
        .chain([shop, altered, long, other_case, cut, longer])
        .collect()
}

#[tokio::test]
async fn unknown_malformed_and_foreign_ids_get_the_same_response() {
    let service = Service::start().await;
    let ids = foreign_ids(&service).await;
    let calls: [(&str, &str, Option<Value>); 4] = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/check", Some(json!({"code": "123456"}))),
        ("POST", "/resend", None),
    ];
    for (method, end, body) in calls {
        let mut responses = vec![];
        for id in &ids {
            let response = service
                .call(
                    method,
                    &format!("/v1/verifications/{id}{end}"),
                    body.clone(),
                )
                .await;
            let mut headers: Vec<_> = response
                .headers
                .keys()
                .map(|name| name.as_str().to_owned())
                .collect();
            headers.sort_unstable();
            responses.push((
                response.status,
                headers,
                response.header("content-type").map(str::to_owned),
                with(response.body, &json!({"request_id": ""})),
            ));
        }
        assert_eq!(
            (responses[0].0, &responses[0].3["code"]),
            (404, &json!("not_found"))
        );
        for (id, one) in ids.iter().zip(&responses) {
            assert_eq!(one, &responses[0], "{method} {id}{end}");
        }
    }
}

#[tokio::test]
async fn get_and_cancel_need_no_content_type() {
    let service = Service::start().await;
    let (id, _) = service.open(&phone(1)).await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let path = format!("/v1/verifications/{id}");
    assert_status(
        &service
            .raw("GET", &path, &[("authorization", &bearer)], "")
            .await,
        200,
    );
    assert_status(
        &service
            .raw(
                "GET",
                &format!("{path}?x=1"),
                &[("authorization", &bearer)],
                "",
            )
            .await,
        200,
    );
    assert_status(
        &service
            .raw("DELETE", &path, &[("authorization", &bearer)], "")
            .await,
        200,
    );
}
