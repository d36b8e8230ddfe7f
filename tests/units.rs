//! What each operation consumes, by the engine's own account: one write for what happens a million times a day, and no
//! read where a failed condition can bring the item.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::wire::Wired;

const TO: &str = "+12025550143";
/// DynamoDB bills a write by the kilobyte begun.
const UNIT_BYTES: usize = 1024;

/// Calls, and units, by operation. A write that its condition refused consumes like one that was done.
#[derive(Debug, PartialEq)]
struct Consumed {
    writes: usize,
    write_units: f64,
    reads: usize,
    read_units: f64,
}

fn consumed(writes: usize, reads: usize, read_units: f64) -> Consumed {
    Consumed {
        writes,
        write_units: f64::from(u32::try_from(writes).expect("few")),
        reads,
        read_units,
    }
}

/// What went over the wire to the table since the last time.
fn taken(wired: &Wired) -> Consumed {
    let mut all = consumed(0, 0, 0.0);
    for call in wired.table.take_calls() {
        match call.operation.as_str() {
            "BatchGetItem" => {
                all.reads += 1;
                // The engine does not tell: half a unit for each small item, which may lag.
                let tables = call.body["RequestItems"].as_object().into_iter().flatten();
                all.read_units += tables
                    .map(|(_, asked)| {
                        asked["Keys"]
                            .as_array()
                            .map_or(0.0, |keys| keys.len() as f64)
                    })
                    .sum::<f64>()
                    / 2.0;
            }
            "GetItem" => {
                all.reads += 1;
                all.read_units += call.units.expect("the engine tells");
            }
            "PutItem" | "UpdateItem" => {
                all.writes += 1;
                // The engine does not tell what a refused write costs; one of our items costs one unit.
                all.write_units += call.units.unwrap_or(1.0);
                assert!(call.units.is_some() || call.refused, "{call:?}");
            }
            other => panic!("a function called {other}"),
        }
    }
    all
}

/// A service on which one message was sent, and nothing counted yet.
async fn one_sent(variables: &[(&str, &str)]) -> (Wired, String) {
    let wired = Wired::start(variables).await;
    let id = wired.service.send(TO).await.id();
    wired.service.settle().await;
    wired.forget_calls();
    (wired, id)
}

/// The size of an item as DynamoDB counts it.
fn size(item: &Value) -> usize {
    let of_value = |value: &Value| -> usize {
        let (kind, inner) = value
            .as_object()
            .and_then(|v| v.iter().next())
            .expect("a typed value");
        match (kind.as_str(), inner) {
            ("S", Value::String(text)) => text.len(),
            ("B", Value::String(text)) => BASE64.decode(text.as_bytes()).expect("base64").len(),
            ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
            ("L", Value::Array(items)) => {
                3 + items
                    .iter()
                    .map(|item| 1 + size(&json!({"": item})))
                    .sum::<usize>()
            }
            ("M", inner) => 3 + inner.as_object().map_or(0, |map| map.len() + size(inner)),
            _ => 1,
        }
    };
    item.as_object()
        .expect("an item")
        .iter()
        .map(|(name, value)| name.len() + of_value(value))
        .sum()
}

#[tokio::test]
async fn a_send_is_one_write_and_one_for_each_counter_in_force() {
    let wired = Wired::start(&[]).await;
    // The worker is not what is counted: it never hears of it.
    wired
        .queue
        .break_next("SendMessage", crate::wire::Fault::Swallow);
    let to_email = json!({"to": "ann@example.com", "channel": "email"});
    assert_eq!(
        wired
            .service
            .call("POST", "/v1/verifications", Some(to_email))
            .await
            .status,
        201
    );
    assert_eq!(
        taken(&wired),
        consumed(1, 0, 0.0),
        "an e-mail address has no country and no prefix"
    );
    wired.queue.take_calls();
    wired
        .queue
        .break_next("SendMessage", crate::wire::Fault::Swallow);
    assert_eq!(wired.service.send(TO).await.status, 201);
    assert_eq!(
        taken(&wired),
        consumed(3, 0, 0.0),
        "the recipient's, its country's and its prefix's"
    );
    assert_eq!(wired.queue.take_calls().len(), 1, "and one dispatch");
}

#[tokio::test]
async fn each_limit_in_force_is_one_write_more() {
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
        let wired = Wired::start(&variables).await;
        for n in 0..3 {
            wired
                .queue
                .break_next("SendMessage", crate::wire::Fault::Swallow);
            let mut body = json!({"to": format!("+1202555014{n}")});
            if client {
                body["client_ip"] = json!("203.0.113.7");
            }
            assert_eq!(wired.service.send_body(body).await.status, 201);
            assert_eq!(
                taken(&wired),
                consumed(writes, 0, 0.0),
                "{conversion} {spend} {client}"
            );
        }
    }
}

#[tokio::test]
async fn a_send_to_a_known_recipient_meets_the_old_item_first() {
    let (wired, _) = one_sent(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    wired
        .queue
        .break_next("SendMessage", crate::wire::Fault::Swallow);
    assert_eq!(wired.service.send(TO).await.status, 201);
    assert_eq!(
        taken(&wired),
        consumed(4, 0, 0.0),
        "refused with the item, then written over it, never read; and two counters"
    );
}

#[tokio::test]
async fn a_refused_send_is_one_write_and_a_look_at_the_counters() {
    let (wired, _) = one_sent(&[]).await;
    assert_eq!(
        wired.service.send(TO).await.problem(),
        (429, "rate_limited")
    );
    assert_eq!(
        taken(&wired),
        consumed(1, 1, 1.0),
        "which of the limits ends last is told truly"
    );
    assert_eq!(wired.queue.take_calls().len(), 0);
    for body in [
        json!({"to": "nonsense"}),
        json!({"to": "+12025550143", "channel": "pigeon"}),
        json!({"to": "+441632960961"}),
    ] {
        assert!(
            wired
                .service
                .call("POST", "/v1/verifications", Some(body))
                .await
                .status
                >= 400
        );
    }
    assert_eq!(
        taken(&wired),
        consumed(0, 0, 0.0),
        "what is wrong in itself costs nothing"
    );
}

#[tokio::test]
async fn a_send_with_a_key_looks_first_and_its_repetition_is_one_read() {
    let wired = Wired::start(&[]).await;
    let body = json!({"to": TO});
    wired
        .queue
        .break_next("SendMessage", crate::wire::Fault::Swallow);
    wired
        .service
        .send_with_key(json!({"to": "ann@example.com", "channel": "email"}), "k")
        .await
        .id();
    let new = taken(&wired);
    assert_eq!((new.writes, new.reads), (1, 1), "{new:?}");
    let first = wired.service.send_with_key(body.clone(), "k").await.id();
    wired.service.settle().await;
    wired.forget_calls();
    assert_eq!(wired.service.send_with_key(body, "k").await.id(), first);
    assert_eq!(taken(&wired), consumed(0, 1, 1.0));
    assert_eq!(wired.queue.take_calls().len(), 0);
}

#[tokio::test]
async fn a_check_is_one_write_and_no_read_whatever_it_finds() {
    let (wired, id) = one_sent(&[]).await;
    let (service, right) = (&wired.service, wired.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    wired.forget_calls();
    let mut reasons = vec![];
    for code in [&wrong, &right, &right, &wrong] {
        reasons.push(service.check(&id, code).await.body["reason"].clone());
        assert_eq!(taken(&wired), consumed(1, 0, 0.0), "{reasons:?}");
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
async fn a_check_that_comes_too_late_is_one_write_too() {
    let (wired, id) = one_sent(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let (service, right) = (&wired.service, wired.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    for _ in 0..5 {
        service.check(&id, &wrong).await;
    }
    wired.forget_calls();
    assert_eq!(service.check(&id, &right).await.body["reason"], "exhausted");
    assert_eq!(taken(&wired), consumed(1, 0, 0.0));
    let second = service.send(TO).await.id();
    service.advance(301).await;
    wired.forget_calls();
    for (id, reason) in [(&second, "expired"), (&id, "exhausted")] {
        assert_eq!(service.check(id, &right).await.body["reason"], reason);
        assert_eq!(taken(&wired), consumed(1, 0, 0.0), "{reason}");
    }
}

#[tokio::test]
async fn a_check_that_cannot_be_one_costs_nothing() {
    let (wired, id) = one_sent(&[]).await;
    for code in ["", "12", "12345a", "12345678901"] {
        assert_eq!(wired.service.check(&id, code).await.status, 422);
    }
    for id in ["ve_x", "x"] {
        assert_eq!(wired.service.check(id, "123456").await.status, 404);
    }
    assert_eq!(taken(&wired), consumed(0, 0, 0.0));
}

#[tokio::test]
async fn a_message_is_claimed_by_one_write_and_told_by_one() {
    let wired = Wired::start(&[]).await;
    wired.service.send(TO).await;
    wired.service.settle().await;
    // Three writes are the send's. The read is the breakers' record, which may lag: half a unit.
    assert_eq!(taken(&wired), consumed(5, 1, 0.5));
    assert_eq!(
        wired.queue.take_calls().len(),
        1,
        "nothing is planned after it"
    );
}

#[tokio::test]
async fn a_report_is_one_write_applied_or_not() {
    let (wired, _) = one_sent(&[]).await;
    let message = wired.service.messages(TO).await.remove(0);
    wired.forget_calls();
    for (status, note) in [
        ("delivered", "applied"),
        ("delivered", "repeated"),
        ("sent", "late"),
        ("undelivered", "lower"),
    ] {
        assert_eq!(wired.service.report(&message, status).await, 200);
        assert_eq!(taken(&wired), consumed(1, 0, 0.0), "{note}");
    }
    wired.service.report(&message, "queued").await;
    assert_eq!(
        taken(&wired),
        consumed(0, 0, 0.0),
        "nothing stands below queued"
    );
}

#[tokio::test]
async fn resend_cancel_and_get_read_once() {
    let (wired, id) = one_sent(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    assert_eq!(wired.service.show(&id).await.status, 200);
    assert_eq!(taken(&wired), consumed(0, 1, 1.0), "get");
    wired
        .queue
        .break_next("SendMessage", crate::wire::Fault::Swallow);
    assert_eq!(wired.service.resend(&id).await.status, 200);
    assert_eq!(
        taken(&wired),
        consumed(3, 1, 1.0),
        "resend, with the counters of a send"
    );
    let path = format!("/v1/verifications/{id}");
    assert_eq!(wired.service.call("DELETE", &path, None).await.status, 200);
    assert_eq!(taken(&wired), consumed(1, 1, 1.0), "cancel");
    assert_eq!(wired.service.call("DELETE", &path, None).await.status, 409);
    assert_eq!(
        taken(&wired),
        consumed(0, 1, 1.0),
        "a cancel that comes too late"
    );
}

#[tokio::test]
async fn unlock_and_forget_read_once() {
    let (wired, _) = one_sent(&[]).await;
    for what in ["unlock", "forget"] {
        let path = format!("/v1/recipients/{what}");
        assert_eq!(
            wired
                .service
                .call("POST", &path, Some(json!({"to": TO})))
                .await
                .status,
            200
        );
        assert_eq!(taken(&wired), consumed(1, 1, 1.0), "{what}");
        assert_eq!(
            wired
                .service
                .call("POST", &path, Some(json!({"to": "+12025550199"})))
                .await
                .status,
            200
        );
        let stranger = taken(&wired);
        assert_eq!(
            (stranger.writes, stranger.reads),
            (0, 1),
            "{what} of somebody never seen"
        );
    }
}

#[tokio::test]
async fn an_item_stays_within_one_unit_through_a_typical_life() {
    let (wired, id) = one_sent(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let service = &wired.service;
    let item = async || {
        let table = service.state().await["table"].clone();
        table
            .as_array()
            .expect("a table")
            .iter()
            .find(|item| item.get("terms").is_some())
            .cloned()
            .expect("a record")
    };
    let fresh = size(&item().await);
    assert!(fresh < UNIT_BYTES / 2, "one send: {fresh} bytes");
    service.check(&id, &service.wrong_code(TO).await).await;
    assert_eq!(service.resend(&id).await.status, 200);
    let message = service.messages(TO).await.remove(0);
    service.report(&message, "delivered").await;
    assert_eq!(
        service.check(&id, &service.code(TO).await).await.body["valid"],
        true
    );
    let lived = size(&item().await);
    assert!(
        lived < UNIT_BYTES,
        "a send, a resend, a report, two checks: {lived} bytes"
    );
    for _ in 0..2 {
        let id = service
            .send_with_key(
                json!({"to": TO, "client_ip": "192.0.2.1"}),
                &format!("login {}", service.now().await),
            )
            .await
            .id();
        assert_eq!(
            service.check(&id, &service.code(TO).await).await.body["valid"],
            true
        );
        service.advance(7200).await;
    }
    let third = size(&item().await);
    assert!(third < UNIT_BYTES, "three logins of a day: {third} bytes");
}

#[tokio::test]
async fn the_readme_says_what_each_operation_consumes() {
    const PERSON: &str = "ann@example.com";
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))
        .expect("README.md");
    let wired = Wired::start(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let service = &wired.service;
    let says = |operation: &str| {
        let all = taken(&wired);
        let row = format!("| {operation} | {} | {} |", all.write_units, all.read_units);
        assert!(
            readme.lines().any(|line| line == row),
            "README.md does not say {row}"
        );
    };
    let send = async || {
        service
            .send_body(json!({"to": PERSON, "channel": "email"}))
            .await
            .id()
    };
    wired
        .queue
        .break_next("SendMessage", crate::wire::Fault::Swallow);
    send().await;
    says("send to somebody new");
    wired
        .queue
        .break_next("SendMessage", crate::wire::Fault::Swallow);
    let id = send().await;
    says("send to somebody known");
    assert_eq!(service.resend(&id).await.status, 200);
    service.settle().await;
    let calls = wired.table.take_calls();
    let of_worker = calls
        .iter()
        .position(|call| {
            call.body["UpdateExpression"]
                .as_str()
                .is_some_and(|e| e.contains("held = :until"))
        })
        .expect("a claim");
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.operation == "GetItem")
            .count(),
        2,
        "the resend's and the breakers'"
    );
    assert_eq!(
        (of_worker, calls.len()),
        (2, 5),
        "a read and a write of the resend, then claim, breakers and outcome of the worker"
    );
    assert!(
        readme.contains("| resend | 1 | 1 |\n")
            && readme.contains("| claim by the worker, and what came of the message | 2 | 0.5 |\n")
    );
    let message = service.messages(PERSON).await.remove(0);
    assert_eq!(service.report(&message, "delivered").await, 200);
    says("report");
    let code = service.code(PERSON).await;
    wired.forget_calls();
    assert_eq!(
        service
            .check(&id, &crate::harness::other_than(&code))
            .await
            .body["reason"],
        "wrong_code"
    );
    says("check, wrong");
    assert_eq!(service.show(&id).await.status, 200);
    says("get");
    assert_eq!(service.check(&id, &code).await.body["valid"], true);
    says("check, right");
    let id = send().await;
    service.settle().await;
    wired.forget_calls();
    assert_eq!(service.cancel(&id).await.status, 200);
    says("cancel");
}

#[tokio::test]
async fn an_item_at_the_worst_is_no_larger_than_the_readme_says() {
    let long = |letter: &str| letter.repeat(64);
    let carrier = crate::carrier::Carrier::start("carrier-with-the-longest-of-name").await;
    let carriers = json!([carrier.entry()]);
    let variables = [
        ("OTP_CARRIERS", carriers.to_string()),
        ("OTP_COOLDOWN_SECONDS", "0".into()),
        ("OTP_SENDS_PER_HOUR", "1000".into()),
        ("OTP_SENDS_PER_DAY", "1000".into()),
        ("OTP_PREFIX_SENDS", "1000/600".into()),
        ("OTP_MAX_ATTEMPTS", "10".into()),
        ("OTP_GUESS_BUDGET", "100".into()),
        ("OTP_CODE_LENGTH", "10".into()),
    ];
    let service = crate::harness::Service::start_with(
        &variables
            .each_ref()
            .map(|(name, value)| (*name, value.as_str())),
    )
    .await;
    let body = json!({"to": TO, "reference": long("r"), "purpose": "p".repeat(32), "fallback": ["voice", "whatsapp", "sms"],
        "transaction": {"amount": long("9"), "currency": long("C"), "payee": long("P")}});
    for n in 0..6 {
        let id = service
            .send_with_key(body.clone(), &format!("{n}"))
            .await
            .id();
        for _ in 0..7 {
            service.settle().await;
            assert_eq!(service.resend(&id).await.status, 200);
        }
        service.settle().await;
        for attempt in 0..10 {
            let key = format!("{attempt}");
            assert_eq!(
                service
                    .check_with_key(&id, json!({"code": "0000000000"}), &key)
                    .await
                    .body["reason"],
                "wrong_code"
            );
        }
    }
    service.settle().await;
    let table = service.state().await["table"].clone();
    let worst = table
        .as_array()
        .expect("a table")
        .iter()
        .filter(|item| item.get("terms").is_some())
        .map(size)
        .max()
        .expect("a record");
    assert!(worst < 7 * UNIT_BYTES, "{worst} bytes");
    assert!(
        worst > 6 * UNIT_BYTES,
        "the README should say less than 7 KiB: {worst} bytes"
    );
}
