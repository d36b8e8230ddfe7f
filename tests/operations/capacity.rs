//! The capacity units that each operation consumes, as the engine reports them.

use serde_json::json;

use crate::support::{Fault, ProxiedCall, ProxiedService, TO, assert_problem, assert_status};

/// Calls and units. A write whose condition failed consumes as much as one that succeeded.
#[derive(Debug, PartialEq)]
pub struct Consumed {
    pub writes: usize,
    pub write_units: f64,
    pub reads: usize,
    pub read_units: f64,
}

fn consumed(writes: usize, reads: usize, read_units: f64) -> Consumed {
    Consumed {
        writes,
        write_units: f64::from(u32::try_from(writes).expect("few")),
        reads,
        read_units,
    }
}

/// What was consumed since the last time.
pub fn consumed_since_last_time(proxied: &ProxiedService) -> Consumed {
    consumed_by(&proxied.table.take_calls())
}

/// Without the read of a worker that needs longer than 0.1 s from the claim to the call of the
/// carrier, as on a machine under load.
pub fn without_late_reads(mut calls: Vec<ProxiedCall>) -> Vec<ProxiedCall> {
    let mut is_claimed = false;
    calls.retain(|call| {
        is_claimed |= call.claims_step();
        !is_claimed || call.operation != "GetItem" || call.reads_breakers()
    });
    calls
}

/// What these calls to the table consumed.
pub fn consumed_by(calls: &[ProxiedCall]) -> Consumed {
    let mut all = consumed(0, 0, 0.0);
    for call in calls {
        match call.operation.as_str() {
            "BatchGetItem" => {
                all.reads += 1;
                // The engine does not report it: half a unit for each small item in an eventually
                // consistent read.
                let tables = call.body["RequestItems"].as_object().into_iter().flatten();
                all.read_units += tables
                    .map(|(_, request)| {
                        request["Keys"]
                            .as_array()
                            .map_or(0.0, |keys| keys.len() as f64)
                    })
                    .sum::<f64>()
                    / 2.0;
            }
            "GetItem" => {
                all.reads += 1;
                all.read_units += call.units.expect("reported units");
            }
            "PutItem" | "UpdateItem" => {
                all.writes += 1;
                // The engine does not report the units of a write whose condition failed. These
                // items cost one.
                all.write_units += call.units.unwrap_or(1.0);
                assert!(call.units.is_some() || call.condition_failed, "{call:?}");
            }
            other => panic!("a function called {other}"),
        }
    }
    all
}

#[tokio::test]
async fn send_costs_a_read_and_a_write_per_item() {
    let proxied = ProxiedService::start(&[]).await;
    // The worker gets no dispatch, so that its calls are not counted.
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    let to_email = json!({"to": "ann@example.com", "channel": "email"});
    assert_status(&proxied.service.send_body(to_email).await, 201);
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(1, 1, 1.0),
        "an e-mail address has no country and no prefix"
    );
    proxied.queue.take_calls();
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    assert_status(&proxied.service.send(TO).await, 201);
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(3, 1, 1.0),
        "recipient, country and prefix"
    );
    assert_eq!(proxied.queue.take_calls().len(), 1, "one dispatch");
}

#[tokio::test]
async fn each_limit_costs_one_more_write() {
    let carriers = r#"[{"kind":"sns","price":0.05}]"#;
    for (conversion, spend, client, writes) in [
        ("0", "", false, 2),
        ("0", "", true, 3),
        ("10/100", "9", true, 5),
        ("10/100", "9", false, 4),
    ] {
        let variables = [
            ("OTP_CARRIERS", carriers),
            ("OTP_CONVERSION_MIN", conversion),
            ("OTP_SPEND_PER_DAY", spend),
        ];
        let proxied = ProxiedService::start(&variables).await;
        for n in 0..3 {
            proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
            let mut body = json!({"to": format!("+1202555014{n}")});
            if client {
                body["client_ip"] = json!("203.0.113.7");
            }
            assert_status(&proxied.service.send_body(body).await, 201);
            assert_eq!(
                consumed_since_last_time(&proxied),
                consumed(writes, 1, 1.0),
                "{conversion} {spend} {client}"
            );
        }
    }
}

#[tokio::test]
async fn send_to_a_known_recipient_costs_no_more() {
    let (proxied, _) = ProxiedService::start_with_one_send(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    assert_status(&proxied.service.send(TO).await, 201);
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(3, 1, 1.0),
        "recipient, country and prefix"
    );
}

#[tokio::test]
async fn rejected_send_costs_two_reads() {
    let (proxied, _) = ProxiedService::start_with_one_send(&[]).await;
    assert_problem(&proxied.service.send(TO).await, 429, "rate_limited");
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(0, 2, 2.0),
        "the second read finds the limit that ends last"
    );
    assert_eq!(proxied.queue.take_calls().len(), 0);
    for body in [
        json!({"to": "nonsense"}),
        json!({"to": "+12025550143", "channel": "pigeon"}),
        json!({"to": "+441632960961"}),
    ] {
        assert!(proxied.service.send_body(body).await.status >= 400);
    }
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(0, 0, 0.0),
        "an invalid request costs nothing"
    );
}

#[tokio::test]
async fn replayed_send_costs_one_read() {
    let proxied = ProxiedService::start(&[]).await;
    let body = json!({"to": TO});
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    proxied
        .service
        .send_with_key(json!({"to": "ann@example.com", "channel": "email"}), "k")
        .await
        .id();
    let new = consumed_since_last_time(&proxied);
    assert_eq!((new.writes, new.reads), (1, 1), "{new:?}");
    let first = proxied.service.send_with_key(body.clone(), "k").await.id();
    proxied.service.settle().await;
    proxied.forget_calls();
    assert_eq!(proxied.service.send_with_key(body, "k").await.id(), first);
    assert_eq!(consumed_since_last_time(&proxied), consumed(0, 1, 1.0));
    assert_eq!(proxied.queue.take_calls().len(), 0);
}

#[tokio::test]
async fn check_costs_one_write_with_any_outcome() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let (service, right) = (&proxied.service, proxied.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    proxied.forget_calls();
    let mut reasons = vec![];
    for code in [&wrong, &right, &right, &wrong] {
        reasons.push(service.check(&id, code).await.body["reason"].clone());
        assert_eq!(
            consumed_since_last_time(&proxied),
            consumed(1, 0, 0.0),
            "{reasons:?}"
        );
    }
    assert_eq!(
        reasons,
        [
            json!("wrong_code"),
            json!(null),
            json!("already_used"),
            json!("already_used")
        ]
    );
}

#[tokio::test]
async fn check_after_the_end_costs_one_write() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let (service, right) = (&proxied.service, proxied.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    for _ in 0..5 {
        service.check(&id, &wrong).await;
    }
    proxied.forget_calls();
    assert_eq!(service.check(&id, &right).await.body["reason"], "exhausted");
    assert_eq!(consumed_since_last_time(&proxied), consumed(1, 0, 0.0));
    let second = service.send(TO).await.id();
    service.advance(301).await;
    proxied.forget_calls();
    for (id, reason) in [(&second, "expired"), (&id, "exhausted")] {
        assert_eq!(service.check(id, &right).await.body["reason"], reason);
        assert_eq!(
            consumed_since_last_time(&proxied),
            consumed(1, 0, 0.0),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn malformed_check_costs_no_units() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    for code in ["", "12", "12345a", "12345678901"] {
        assert_status(&proxied.service.check(&id, code).await, 422);
    }
    for id in ["ve_x", "x"] {
        assert_status(&proxied.service.check(id, "123456").await, 404);
    }
    assert_eq!(consumed_since_last_time(&proxied), consumed(0, 0, 0.0));
}

#[tokio::test]
async fn delivery_costs_two_writes_and_a_breaker_read() {
    let proxied = ProxiedService::start(&[]).await;
    proxied.service.send(TO).await;
    proxied.service.settle().await;
    // Three writes and a read belong to the send. The breakers are read with eventual consistency:
    // half a unit.
    assert_eq!(consumed_since_last_time(&proxied), consumed(5, 2, 1.5));
    assert_eq!(
        proxied.queue.take_calls().len(),
        1,
        "no further step is planned"
    );
}

#[tokio::test]
async fn report_costs_one_write_applied_or_not() {
    let (proxied, _) = ProxiedService::start_with_one_send(&[]).await;
    let message = proxied.service.messages(TO).await.remove(0);
    proxied.forget_calls();
    for (status, note) in [
        ("delivered", "applied"),
        ("delivered", "repeated"),
        ("sent", "late"),
        ("undelivered", "lower"),
    ] {
        assert_eq!(proxied.service.report(&message, status).await, 200);
        assert_eq!(
            consumed_since_last_time(&proxied),
            consumed(1, 0, 0.0),
            "{note}"
        );
    }
    proxied.service.report(&message, "queued").await;
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(0, 0, 0.0),
        "no status is below `queued`"
    );
}

#[tokio::test]
async fn resend_cancel_and_get_cost_one_read() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    assert_status(&proxied.service.show(&id).await, 200);
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(0, 1, 1.0),
        "get"
    );
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    assert_status(&proxied.service.resend(&id).await, 200);
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(3, 1, 1.0),
        "resend, with the counters of a send"
    );
    assert_status(&proxied.service.cancel(&id).await, 200);
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(1, 1, 1.0),
        "cancel"
    );
    assert_status(&proxied.service.cancel(&id).await, 409);
    assert_eq!(
        consumed_since_last_time(&proxied),
        consumed(0, 1, 1.0),
        "a cancel after the end"
    );
}

#[tokio::test]
async fn unlock_and_forget_cost_one_read() {
    let (proxied, _) = ProxiedService::start_with_one_send(&[]).await;
    for what in ["unlock", "forget"] {
        let path = format!("/v1/recipients/{what}");
        assert_status(
            &proxied
                .service
                .call("POST", &path, Some(json!({"to": TO})))
                .await,
            200,
        );
        assert_eq!(
            consumed_since_last_time(&proxied),
            consumed(1, 1, 1.0),
            "{what}"
        );
        assert_status(
            &proxied
                .service
                .call("POST", &path, Some(json!({"to": "+12025550199"})))
                .await,
            200,
        );
        let unknown = consumed_since_last_time(&proxied);
        assert_eq!(
            (unknown.writes, unknown.reads),
            (0, 1),
            "{what} of an unknown recipient"
        );
    }
}
