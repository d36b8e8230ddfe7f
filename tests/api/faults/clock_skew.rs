//! A clock that differs from the clock of the table: nothing is decided by it.

use serde_json::json;

use super::unavailable;
use crate::support::{
    HttpCarrier, ProxiedService, TO, assert_approved, assert_fields, assert_queue_is_empty,
    assert_status,
};

#[tokio::test]
async fn request_with_a_wrong_clock_changes_nothing() {
    for seconds in [30, -30, 8, -8] {
        let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
        let (service, code) = (&proxied.service, proxied.service.code(TO).await);
        proxied.table.shift_dates(seconds);
        // The first response shows the difference, and the write behind it counts.
        service.show(&id).await;
        unavailable(&service.check(&id, &code).await);
        unavailable(&service.check(&id, &service.wrong_code(TO).await).await);
        unavailable(&service.send("+13125550143").await);
        unavailable(&service.cancel(&id).await);
        unavailable(&service.show(&id).await);
        proxied.table.shift_dates(0);
        let shown = service.show(&id).await.body;
        assert_fields(&shown, json!({"status": "pending", "attempts_left": 5}));
        assert_approved(&service.check(&id, &code).await, 4);
        assert_status(&service.send("+13125550143").await, 201);
    }
}

#[tokio::test]
async fn clock_may_differ_by_some_seconds() {
    for seconds in [3, -3] {
        let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
        let code = proxied.service.code(TO).await;
        proxied.table.shift_dates(seconds);
        assert_approved(&proxied.service.check(&id, &code).await, 4);
    }
}

#[tokio::test]
async fn worker_with_a_wrong_clock_sends_later() {
    let only = HttpCarrier::start("only").await;
    let proxied = ProxiedService::start_with_carriers(&[&only], &[]).await;
    proxied.keep_dispatches();
    let id = proxied.service.send(TO).await.id();
    let dispatch = proxied.take_dispatches().remove(0);
    proxied.clear_faults();
    proxied.table.shift_dates(60);
    proxied.enqueue(&dispatch).await;
    proxied.service.settle().await;
    assert_eq!(only.received().len(), 0);
    proxied.table.shift_dates(0);
    proxied.service.advance(61).await;
    assert_eq!(only.received().len(), 1);
    let code = only.received()[0].code();
    assert_approved(&proxied.service.check(&id, &code).await, 4);
    assert_queue_is_empty(&proxied.service).await;
}
