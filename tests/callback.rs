//! delivery-callback: what carriers report, and what strangers pretend. A genuine report moves one message's state, up;
//! a forged one leaves no trace in the table.

use serde_json::{Value, json};

use crate::carrier::{Carrier, Handed, Report, service_with};
use crate::harness::Service;

const TO: &str = "+12025550143";
const SECOND: &str = "+12025550199";

/// A service, its carrier, and one message that the carrier has.
async fn one_message() -> (Service, Carrier, String, Handed) {
    let carrier = Carrier::start("acme").await;
    let service = service_with(&[&carrier], &[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let id = service.send(TO).await.id();
    service.settle().await;
    let handed = carrier.handed().remove(0);
    (service, carrier, id, handed)
}

async fn status(service: &Service, id: &str) -> Value {
    service.settle().await;
    service.show(id).await.body["delivery"]["status"].clone()
}

async fn table(service: &Service) -> Value {
    service.settle().await;
    let state = service.state().await;
    json!([state["table"], state["queue"], state["dead_letters"]])
}

/// Sends `report` and holds that it is taken for a stranger's: 401 or 404, and nothing is written.
async fn is_forged(service: &Service, report: &Report, what: &str) {
    let before = table(service).await;
    let answer = report.send(service).await;
    assert!([401, 404].contains(&answer.status), "{what}: {answer:?}");
    assert_eq!(
        table(service).await,
        before,
        "{what}: no write for a stranger"
    );
}

/// Sends `report` and holds that it is taken, and that nothing is written.
async fn changes_nothing(service: &Service, report: &Report, what: &str) {
    let before = table(service).await;
    let answer = report.send(service).await;
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    assert_eq!(table(service).await, before, "{what}: nothing to write");
}

#[tokio::test]
async fn a_genuine_report_moves_the_state_and_nothing_else() {
    let (service, carrier, id, handed) = one_message().await;
    let before = service.show(&id).await.body;
    assert_eq!(
        carrier
            .report(&handed, "delivered", service.now().await)
            .send(&service)
            .await
            .status,
        200
    );
    let mut after = service.show(&id).await.body;
    assert_eq!(
        (&after["delivery"]["status"], &after["delivery"]["carrier"]),
        (&json!("delivered"), &json!("acme"))
    );
    // With no cooldown a resend is possible at once, which moves with the time.
    for field in ["delivery", "deliveries", "resend_at"] {
        after[field] = before[field].clone();
    }
    assert_eq!(after, before, "it cannot approve, extend, unlock or reset");
}

#[tokio::test]
async fn a_repeated_report_changes_nothing() {
    let (service, carrier, id, handed) = one_message().await;
    let report = carrier.report(&handed, "delivered", service.now().await);
    assert_eq!(report.send(&service).await.status, 200);
    for _ in 0..3 {
        changes_nothing(&service, &report, "the same again").await;
    }
    assert_eq!(status(&service, &id).await, "delivered");
}

#[tokio::test]
async fn a_hundred_copies_at_once_are_one_report() {
    let (service, carrier, id, handed) = one_message().await;
    let report = carrier.report(&handed, "undelivered", service.now().await);
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (report, service) = (report.clone(), service.clone());
        copies.spawn(async move { report.send(&service).await.status });
    }
    assert!(
        copies
            .join_all()
            .await
            .into_iter()
            .all(|status| status == 200)
    );
    assert_eq!(status(&service, &id).await, "undelivered");
    assert_eq!(carrier.handed().len(), 1);
}

#[tokio::test]
async fn reports_out_of_order_end_at_the_highest() {
    let (service, carrier, id, handed) = one_message().await;
    for word in [
        "delivered",
        "sent",
        "queued",
        "undelivered",
        "expired",
        "rejected",
    ] {
        let report = carrier.report(&handed, word, service.now().await);
        assert_eq!(report.send(&service).await.status, 200, "{word}");
        assert_eq!(status(&service, &id).await, "delivered", "after {word}");
    }
}

#[tokio::test]
async fn a_late_report_is_still_true() {
    let (service, carrier, id, handed) = one_message().await;
    service.advance(3600).await;
    assert_eq!(
        carrier
            .report(&handed, "delivered", service.now().await)
            .send(&service)
            .await
            .status,
        200
    );
    let shown = service.show(&id).await.body;
    assert_eq!(
        (&shown["delivery"]["status"], &shown["status"]),
        (&json!("delivered"), &json!("expired")),
        "and wakes nothing up"
    );
}

#[tokio::test]
async fn an_unknown_status_word_changes_nothing() {
    let (service, carrier, _, handed) = one_message().await;
    for word in ["exploded", "", "DELIVERED", "approved", "failed", "unknown"] {
        changes_nothing(
            &service,
            &carrier.report(&handed, word, service.now().await),
            word,
        )
        .await;
    }
    let mut report = carrier.report(&handed, "", service.now().await);
    for odd in [
        json!(7),
        json!(null),
        json!(["delivered"]),
        json!({"status": "delivered"}),
    ] {
        report.body = json!({"reference": handed.reference(), "status": odd})
            .to_string()
            .into();
        let signed = report.clone().signed(&carrier.secret, service.now().await);
        changes_nothing(&service, &signed, &odd.to_string()).await;
    }
}

#[tokio::test]
async fn a_report_with_a_bad_signature_is_forged() {
    let (service, carrier, _, handed) = one_message().await;
    let (now, good) = (
        service.now().await,
        carrier.report(&handed, "delivered", service.now().await),
    );
    let other_secret = Carrier::start("stranger").await.secret;
    is_forged(
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
        is_forged(
            &service,
            &Report {
                signature: signature.to_owned(),
                ..good.clone()
            },
            &format!("signature {signature:.20}"),
        )
        .await;
    }
    let version = good.signature.replace("v1,", "v1a,");
    is_forged(
        &service,
        &Report {
            signature: version,
            ..good.clone()
        },
        "another version",
    )
    .await;
    is_forged(
        &service,
        &Report {
            id: "evt_2".into(),
            ..good.clone()
        },
        "another id",
    )
    .await;
    let rotated = format!("v1,AAAA v2,x {}", good.signature);
    assert_eq!(
        Report {
            signature: rotated,
            ..good
        }
        .send(&service)
        .await
        .status,
        200,
        "one of several is enough while a secret is rotated"
    );
}

#[tokio::test]
async fn a_report_altered_by_a_byte_is_forged() {
    let (service, carrier, id, handed) = one_message().await;
    let good = carrier.report(&handed, "sent", service.now().await);
    let before = table(&service).await;
    for at in 0..good.body.len() {
        let mut altered = good.clone();
        altered.body[at] ^= 1;
        let answer = altered.send(&service).await;
        assert_eq!(answer.status, 401, "byte {at}");
    }
    for body in [
        [&good.body[..], b" "].concat(),
        good.body[1..].to_vec(),
        vec![],
        b"\xff\xfe\x00".to_vec(),
    ] {
        assert_eq!(
            Report {
                body,
                ..good.clone()
            }
            .send(&service)
            .await
            .status,
            401
        );
    }
    assert_eq!(table(&service).await, before);
    assert_eq!(status(&service, &id).await, "sent");
}

#[tokio::test]
async fn a_report_signed_at_another_time_is_forged() {
    let (service, carrier, _, handed) = one_message().await;
    for seconds in [-86_400, -3600, -310, 310, 3600] {
        let report = carrier.report(&handed, "delivered", service.now().await + seconds);
        is_forged(&service, &report, &format!("{seconds} s from now")).await;
    }
    for timestamp in [i64::MIN, i64::MAX, 0, -1] {
        is_forged(
            &service,
            &carrier.report(&handed, "delivered", timestamp),
            &timestamp.to_string(),
        )
        .await;
    }
    let good = carrier.report(&handed, "delivered", service.now().await);
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
        is_forged(
            &service,
            &Report {
                timestamp: timestamp.to_owned(),
                ..good.clone()
            },
            &format!("timestamp {timestamp}"),
        )
        .await;
    }
    for seconds in [-280, 280] {
        let report = carrier.report(&handed, "delivered", service.now().await + seconds);
        assert_eq!(
            report.send(&service).await.status,
            200,
            "within 300 s either way"
        );
    }
}

#[tokio::test]
async fn a_report_without_one_of_its_headers_is_forged() {
    let (service, carrier, _, handed) = one_message().await;
    let good = carrier.report(&handed, "delivered", service.now().await);
    let before = table(&service).await;
    for missing in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let headers: Vec<_> = good
            .headers()
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect();
        let answer = service
            .raw("POST", &good.path, &headers, good.body.clone())
            .await;
        assert_eq!(answer.status, 401, "without {missing}");
    }
    let twice: Vec<_> = good
        .headers()
        .into_iter()
        .chain([("webhook-timestamp", "0")])
        .collect();
    let answer = service
        .raw("POST", &good.path, &twice, good.body.clone())
        .await;
    assert_eq!(answer.status, 401, "two timestamps");
    assert_eq!(table(&service).await, before);
}

#[tokio::test]
async fn the_token_of_another_message_moves_neither() {
    let (service, carrier, first_id, first) = one_message().await;
    let second_id = service.send(SECOND).await.id();
    service.settle().await;
    let second = carrier.handed().remove(1);
    let now = service.now().await;
    let crossed = Report {
        path: second.callback_path().to_owned(),
        ..carrier.report(&first, "delivered", now)
    };
    is_forged(
        &service,
        &crossed,
        "the second one's token, the first one's reference",
    )
    .await;
    let crossed = Report {
        path: first.callback_path().to_owned(),
        ..carrier.report(&second, "delivered", now)
    };
    is_forged(
        &service,
        &crossed,
        "the first one's token, the second one's reference",
    )
    .await;
    for reference in [
        "",
        "x",
        &first.reference().to_ascii_uppercase(),
        &"a".repeat(32),
    ] {
        let body = json!({"reference": reference, "status": "delivered"})
            .to_string()
            .into();
        let report = Report {
            body,
            ..carrier.report(&first, "delivered", now)
        }
        .signed(&carrier.secret, now);
        is_forged(&service, &report, &format!("reference {reference}")).await;
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
async fn a_report_under_another_carriers_name_is_forged() {
    let (acme, other) = (Carrier::start("acme").await, Carrier::start("other").await);
    let service = service_with(&[&acme, &other], &[]).await;
    service.send(TO).await;
    service.settle().await;
    let (handed, now) = (acme.handed().remove(0), service.now().await);
    let good = acme.report(&handed, "delivered", now);
    let under = |name: &str| good.path.replace("/acme/", &format!("/{name}/"));
    is_forged(
        &service,
        &Report {
            path: under("other"),
            ..good.clone()
        }
        .signed(&other.secret, now),
        "the other's name and secret",
    )
    .await;
    is_forged(
        &service,
        &Report {
            path: under("other"),
            ..good.clone()
        },
        "the other's name",
    )
    .await;
    is_forged(
        &service,
        &good.clone().signed(&other.secret, now),
        "the other's secret",
    )
    .await;
    for name in ["nobody", "ACME", "", "acme%20", "sns", "http", ".", "*"] {
        is_forged(
            &service,
            &Report {
                path: under(name),
                ..good.clone()
            },
            name,
        )
        .await;
    }
    assert_eq!(good.send(&service).await.status, 200);
}

#[tokio::test]
async fn a_token_that_we_did_not_make_opens_nothing() {
    let (service, carrier, _, handed) = one_message().await;
    let good = carrier.report(&handed, "delivered", service.now().await);
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
    garbage.push(handed.reference().to_owned());
    for at in (0..token.len()).step_by(3) {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'b' { b'c' } else { b'b' };
        garbage.push(String::from_utf8(altered).expect("still ASCII"));
    }
    for wrong in garbage {
        let path = format!("/v1/callbacks/acme/{wrong}");
        is_forged(
            &service,
            &Report {
                path,
                ..good.clone()
            },
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
        is_forged(
            &service,
            &Report {
                path: path.to_owned(),
                ..good.clone()
            },
            path,
        )
        .await;
    }
    assert_eq!(
        good.send(&service).await.status,
        200,
        "after all of it the genuine one is taken"
    );
}

#[tokio::test]
async fn this_kind_reports_by_post_only() {
    let (service, carrier, _, handed) = one_message().await;
    let good = carrier.report(&handed, "delivered", service.now().await);
    let before = table(&service).await;
    let headers = good.headers();
    let got = service
        .raw("GET", &good.path, &headers, good.body.clone())
        .await;
    assert!([401, 404, 405].contains(&got.status), "{got:?}");
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = service
            .raw(method, &good.path, &headers, good.body.clone())
            .await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| allow.contains("POST")),
            "{method}"
        );
    }
    assert_eq!(table(&service).await, before);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_unread() {
    let (service, carrier, _, handed) = one_message().await;
    let now = service.now().await;
    let padded = json!({"reference": handed.reference(), "status": "delivered", "padding": "x".repeat(17_000)}).to_string();
    let report = Report {
        body: padded.into(),
        ..carrier.report(&handed, "delivered", now)
    }
    .signed(&carrier.secret, now);
    let before = table(&service).await;
    assert_eq!(report.send(&service).await.status, 413);
    assert_eq!(table(&service).await, before);
}

#[tokio::test]
async fn a_signed_report_that_cannot_be_read_changes_nothing() {
    let (service, carrier, _, handed) = one_message().await;
    let now = service.now().await;
    let before = table(&service).await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{\"reference\":7,\"status\":\"delivered\"}",
        &"[".repeat(10_000),
    ] {
        let report = Report {
            body: body.into(),
            ..carrier.report(&handed, "delivered", now)
        }
        .signed(&carrier.secret, now);
        let answer = report.send(&service).await;
        assert!(
            (400..500).contains(&answer.status),
            "{body:.30}: {answer:?}"
        );
    }
    assert_eq!(table(&service).await, before);
}

#[tokio::test]
async fn a_report_that_names_no_message_is_about_the_one_of_its_url() {
    let (service, carrier, id, handed) = one_message().await;
    let now = service.now().await;
    let signed = |body: &str| {
        Report {
            body: body.to_owned().into(),
            ..carrier.report(&handed, "", now)
        }
        .signed(&carrier.secret, now)
    };
    changes_nothing(&service, &signed("{}"), "no word either").await;
    assert_eq!(
        signed("{\"status\":\"delivered\"}")
            .send(&service)
            .await
            .status,
        200
    );
    assert_eq!(status(&service, &id).await, "delivered");
}

#[tokio::test]
async fn a_report_of_a_superseded_verification_tells_what_became_of_it() {
    let (service, carrier, old, handed) = one_message().await;
    let new = service.send(TO).await.id();
    assert_eq!(status(&service, &new).await, "sent");
    let report = carrier.report(&handed, "delivered", service.now().await);
    assert_eq!(report.send(&service).await.status, 200);
    changes_nothing(&service, &report, "the same again").await;
    let shown = service.show(&old).await.body;
    assert_eq!(
        (&shown["delivery"]["status"], &shown["status"]),
        (&json!("delivered"), &json!("superseded"))
    );
    assert_eq!(
        status(&service, &new).await,
        "sent",
        "the newer one has its own"
    );
}

#[tokio::test]
async fn a_genuine_report_of_something_gone_is_taken_and_forgotten() {
    let (service, carrier, _, handed) = one_message().await;
    let forgotten = service
        .call("POST", "/v1/recipients/forget", Some(json!({"to": TO})))
        .await;
    assert_eq!(forgotten.status, 200);
    for word in ["delivered", "undelivered"] {
        changes_nothing(
            &service,
            &carrier.report(&handed, word, service.now().await),
            "forgotten",
        )
        .await;
    }
    for _ in 0..4 {
        service.advance(86_400).await;
    }
    let report = carrier.report(&handed, "delivered", service.now().await);
    changes_nothing(&service, &report, "the record itself is gone").await;
    assert!(
        !service.state().await["table"].to_string().contains("msgs"),
        "nothing came back to life"
    );
}

#[tokio::test]
async fn reports_need_no_key_and_take_none() {
    let (service, carrier, id, handed) = one_message().await;
    let good = carrier.report(&handed, "delivered", service.now().await);
    let headers: Vec<_> = good
        .headers()
        .into_iter()
        .chain([("authorization", "Bearer nonsense")])
        .collect();
    assert_eq!(
        service
            .raw("POST", &good.path, &headers, good.body.clone())
            .await
            .status,
        200
    );
    assert_eq!(status(&service, &id).await, "delivered");
}
