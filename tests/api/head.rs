//! `HEAD` works wherever `GET` does: the same status and headers, and no body.

use crate::support::{DEFAULT_KEY, HttpCarrier, Service, UNKNOWN_ID, assert_status, phone};

#[tokio::test]
async fn head_has_the_status_and_headers_of_get() {
    let service = Service::start().await;
    let id = service.send(&phone(1)).await.id();
    let key = format!("Bearer {DEFAULT_KEY}");
    let headers = [("authorization", key.as_str())];
    for (path, status) in [
        ("/healthz".to_owned(), 200),
        (format!("/v1/verifications/{id}"), 200),
        (format!("/v1/verifications/{UNKNOWN_ID}"), 404),
        ("/v1/callbacks/sim-a/token".to_owned(), 404),
        ("/nowhere".to_owned(), 404),
    ] {
        let get = service.raw("GET", &path, &headers, "").await;
        let head = service.raw("HEAD", &path, &headers, "").await;
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert_eq!(head.raw, b"", "{path}");
        for name in ["content-type", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
    let without_key = service
        .raw("HEAD", &format!("/v1/verifications/{id}"), &[], "")
        .await;
    assert_status(&without_key, 401);
}

#[tokio::test]
async fn head_works_on_local_endpoints() {
    let service = Service::start().await;
    for path in ["/", "/openapi.json", "/local/messages", "/local/clock"] {
        let head = service.raw("HEAD", path, &[], "").await;
        assert_eq!((head.status, head.raw.len()), (200, 0), "{path}");
    }
}

#[tokio::test]
async fn head_of_a_callback_needs_a_genuine_report() {
    let carrier = HttpCarrier::start("first").await;
    let service = Service::start_with_carriers(&[&carrier], &[]).await;
    let id = service.open_id(serde_json::json!({"to": phone(1)})).await;
    service.settle().await;
    let path = carrier.received()[0].callback_path().to_owned();
    let head = service.raw("HEAD", &path, &[], "").await;
    assert_status(&head, 401);
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
}
