//! The limits are independent: a send that one of them rejects counts in none.

use serde_json::json;

use super::{count_outcomes, neighbor, outcome, outcomes, send_all, send_from};
use crate::support::{
    BROKEN, Fault, NO_SEND_LIMITS, ProxiedService, SHOP_KEY, Service, assert_fields, assert_status,
    phone, stored_items::pending_samples, unix_seconds, with,
};

const CLIENT: &str = "203.0.113.7";

#[tokio::test]
async fn send_rejected_by_its_prefix_counts_nowhere_else() {
    let service = Service::start_with(&[
        ("OTP_PREFIX_SENDS", "1/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "4"),
    ])
    .await;
    let first = send_from(&service, &neighbor(0), CLIENT).await;
    for n in 1..20 {
        assert_eq!(
            outcome(&send_from(&service, &neighbor(n), CLIENT).await),
            "prefix"
        );
    }
    let rejected = send_all(
        &service,
        (20..40).map(|n| json!({"to": neighbor(n), "client_ip": CLIENT})),
    )
    .await;
    assert!(
        rejected.iter().all(|response| response.status == 429),
        "{:?}",
        count_outcomes(&rejected)
    );
    service
        .advance_to(unix_seconds(&first.body["created_at"]) + 600)
        .await;
    let sent = send_from(&service, &neighbor(7), CLIENT).await;
    // The rejected sends did not count for their recipient.
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"sends_left": 4}));
    let rest = send_all(
        &service,
        (1..=10).map(|n| json!({"to": phone(n), "client_ip": CLIENT})),
    )
    .await;
    assert_eq!(
        count_outcomes(&rest),
        outcomes([("sent", 2), ("client", 8)]),
        "two of four were counted"
    );
}

#[tokio::test]
async fn send_rejected_by_its_recipient_counts_nowhere_else() {
    let service = Service::start_with(&[
        ("OTP_PREFIX_SENDS", "2/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
    ])
    .await;
    send_from(&service, &neighbor(1), CLIENT).await;
    for _ in 0..10 {
        assert_eq!(
            outcome(&send_from(&service, &neighbor(1), CLIENT).await),
            "cooldown"
        );
    }
    assert_eq!(
        outcome(&send_from(&service, &neighbor(2), CLIENT).await),
        "sent"
    );
    assert_eq!(
        outcome(&send_from(&service, &phone(1), CLIENT).await),
        "client"
    );
    assert_eq!(outcome(&service.send(&neighbor(3)).await), "prefix");
}

#[tokio::test]
async fn rejected_send_leaves_the_pending_verification_unchanged() {
    let service = Service::start_with(&[NO_SEND_LIMITS[0], ("OTP_PREFIX_SENDS", "1/600")]).await;
    let (id, code) = service.open(&neighbor(1)).await;
    for _ in 0..3 {
        assert_eq!(outcome(&service.send(&neighbor(1)).await), "prefix");
        assert_eq!(outcome(&service.resend(&id).await), "prefix");
    }
    let shown = service.show(&id).await;
    assert_fields(&shown.body, json!({"status": "pending", "sends_left": 4}));
    assert_eq!(shown.body["deliveries"].as_array().map(Vec::len), Some(1));
    assert_eq!(service.check(&id, &code).await.body["valid"], true);
    assert_eq!(service.messages(&neighbor(1)).await.len(), 1);
}

#[tokio::test]
async fn limit_that_ends_last_is_reported() {
    for (prefix, recipient, expected) in [
        ("1/600", "0", "client"),
        ("1/7200", "0", "prefix"),
        ("1/20", "30", "client"),
        ("1/7200", "30", "prefix"),
    ] {
        let variables = [
            ("OTP_CLIENT_SENDS_PER_HOUR", "1"),
            ("OTP_PREFIX_SENDS", prefix),
            ("OTP_COOLDOWN_SECONDS", recipient),
        ];
        let service = Service::start_with(&variables).await;
        let first = send_from(&service, &neighbor(1), CLIENT).await;
        let wait = if expected == "client" { 3600 } else { 7200 };
        let until = unix_seconds(&first.body["created_at"]) + wait;
        service
            .assert_rejects(expected, until, async || {
                send_from(&service, &neighbor(1), CLIENT).await
            })
            .await;
    }
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1/20")]).await;
    let first = service.send(&neighbor(1)).await;
    let until = unix_seconds(&first.body["created_at"]) + 30;
    service
        .assert_rejects("cooldown", until, async || service.send(&neighbor(1)).await)
        .await;
}

#[tokio::test]
async fn resend_counts_like_a_send() {
    let service = Service::start_with(&[
        NO_SEND_LIMITS[0],
        ("OTP_PREFIX_SENDS", "3/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
    ])
    .await;
    let id = send_from(&service, &neighbor(1), CLIENT).await.id();
    // Settled in between, because a resend replaces a queued message.
    let resend = async |body| {
        service.settle().await;
        outcome(&service.resend_body(&id, body).await).to_owned()
    };
    let (from_client, without_client) = (json!({"client_ip": CLIENT}), json!({}));
    assert_eq!(
        [resend(from_client.clone()).await, resend(from_client).await],
        ["sent", "client"]
    );
    assert_eq!(
        [
            resend(without_client.clone()).await,
            resend(without_client).await
        ],
        ["sent", "prefix"]
    );
    assert_eq!(service.messages(&neighbor(1)).await.len(), 3);
}

#[tokio::test]
async fn rejected_resend_reports_the_limit_that_ends_last() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1/600")]).await;
    let id = service.send(&neighbor(1)).await.id();
    let resent = service.resend(&id).await;
    assert_eq!(
        (
            outcome(&resent),
            resent.header("retry-after").map(|wait| wait.len())
        ),
        ("prefix".to_owned(), Some(3)),
        "{resent:?}"
    );
}

#[tokio::test]
async fn failed_resend_does_not_lose_the_previous_message() {
    let proxied = ProxiedService::start(&[NO_SEND_LIMITS[0]]).await;
    let service = &proxied.service;
    // As if a worker received the dispatch of the send when the resend was stored but not enqueued,
    // and dropped it.
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    let id = service.send(&neighbor(1)).await.id();
    service.settle().await;
    assert_eq!(service.messages(&neighbor(1)).await.len(), 0);
    proxied.queue.break_next("SendMessage", BROKEN);
    assert_eq!(outcome(&service.resend(&id).await), "503");
    // The function that stored it has ten seconds to enqueue it.
    service.advance(11).await;
    assert_eq!(service.messages(&neighbor(1)).await.len(), 1);
    assert_eq!(
        service
            .check(&id, &service.code(&neighbor(1)).await)
            .await
            .body["valid"],
        true
    );
}

#[tokio::test]
async fn replayed_send_is_not_counted() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "2/600")]).await;
    let send = async |n: u32| service.send_with_key(json!({"to": neighbor(n)}), "k").await;
    let id = send(1).await.id();
    for _ in 0..5 {
        assert_eq!(send(1).await.id(), id);
    }
    assert_eq!(outcome(&send(2).await), "sent");
    assert_eq!(outcome(&send(3).await), "prefix");
    assert_eq!(send(1).await.id(), id, "with the quota used up as well");
}

#[tokio::test]
async fn parallel_repetitions_of_a_send_respect_the_limits() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1/600")]).await;
    service.send(&neighbor(1)).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let service = service.clone();
        calls.spawn(async move { service.send_with_key(json!({"to": neighbor(2)}), "k").await });
    }
    let responses = calls.join_all().await;
    assert!(
        responses
            .iter()
            .all(|response| matches!(response.problem(), (429, _) | (409, "in_progress"))),
        "{responses:?}"
    );
    assert_eq!(service.messages(&neighbor(2)).await.len(), 0);
}

#[tokio::test]
async fn send_that_cannot_be_enqueued_is_not_counted() {
    let variables = [
        ("OTP_PREFIX_SENDS", "2/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
        ("OTP_CONVERSION_MIN", "100/10"),
    ];
    let proxied = ProxiedService::start(&variables).await;
    for n in 0..6 {
        proxied.queue.break_next("SendMessage", BROKEN);
        assert_status(
            &send_from(&proxied.service, &neighbor(n), CLIENT).await,
            503,
        );
    }
    for n in 0..2 {
        assert_eq!(
            outcome(&send_from(&proxied.service, &neighbor(n), CLIENT).await),
            "sent"
        );
    }
    assert_eq!(
        outcome(&send_from(&proxied.service, &neighbor(2), CLIENT).await),
        "client"
    );
    let pending = pending_samples(&proxied.service).await;
    assert_eq!(
        pending,
        [2, 2],
        "a send that failed leaves no sample in its prefix or country"
    );
}

#[tokio::test]
async fn send_during_a_table_error_is_not_counted() {
    let proxied = ProxiedService::start(&[("OTP_CLIENT_SENDS_PER_HOUR", "1")]).await;
    for _ in 0..3 {
        // The prefix is reserved last. It alone has both a window and a conversion guard.
        proxied
            .table
            .break_by(|call| call.reserves_in_guarded_window().then_some(BROKEN));
        assert_status(
            &send_from(&proxied.service, &neighbor(1), CLIENT).await,
            503,
        );
    }
    proxied.clear_faults();
    assert_eq!(
        outcome(&send_from(&proxied.service, &neighbor(1), CLIENT).await),
        "sent"
    );
}

#[tokio::test]
async fn email_counts_for_its_client_only() {
    let variables = [
        ("OTP_PREFIX_SENDS", "1/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "12"),
        ("OTP_CONVERSION_MIN", "100/10"),
    ];
    let service = Service::start_with(&variables).await;
    let mails = |from: u32| {
        (from..from + 15)
            .map(|n| json!({"to": format!("user{n}@mail.example"), "channel": "email"}))
    };
    assert_eq!(
        count_outcomes(&send_all(&service, mails(0)).await),
        outcomes([("sent", 15)])
    );
    service.advance(601).await;
    assert_eq!(
        count_outcomes(&send_all(&service, mails(100)).await),
        outcomes([("sent", 15)]),
        "no approval is needed"
    );
    let from_client = mails(200).map(|mail| with(mail, &json!({"client_ip": CLIENT})));
    assert_eq!(
        count_outcomes(&send_all(&service, from_client).await),
        outcomes([("sent", 12), ("client", 3)])
    );
}

#[tokio::test]
async fn app_has_limits_and_counts_of_its_own() {
    let apps = r#"{"shop":{"prefix_sends":"3/600","client_sends_per_hour":2}}"#;
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1/600"), ("OTP_APPS", apps)]).await;
    let as_shop = async |body| {
        service
            .call_as(SHOP_KEY, "POST", "/v1/verifications", Some(body), &[])
            .await
    };
    assert_eq!(
        [
            outcome(&service.send(&neighbor(1)).await),
            outcome(&service.send(&neighbor(2)).await)
        ],
        ["sent", "prefix"]
    );
    for (n, expected) in [(1, "sent"), (2, "sent"), (3, "sent"), (4, "prefix")] {
        assert_eq!(
            outcome(&as_shop(json!({"to": neighbor(n)})).await),
            expected,
            "{n}"
        );
    }
    for (n, expected) in [(1, "sent"), (2, "sent"), (3, "client")] {
        assert_eq!(
            outcome(&as_shop(json!({"to": phone(n), "client_ip": CLIENT})).await),
            expected,
            "{n}"
        );
    }
    for n in 11..21 {
        assert_eq!(
            outcome(&send_from(&service, &phone(n), CLIENT).await),
            "sent",
            "the other app has a quota of thirty"
        );
    }
}
