//! What the limits take of each other: nothing. A send that one of them refuses counts in none.

use serde_json::json;

use super::{at_once, counts, neighbour, send_from, word, words};
use crate::given::{NO_SEND_LIMITS, phone, seconds, with};
use crate::harness::{SHOP_KEY, Service};
use crate::wire::{BROKEN, Wired};

const CLIENT: &str = "203.0.113.7";

#[tokio::test]
async fn a_send_that_its_prefix_refuses_takes_nothing_of_its_client_or_recipient() {
    let service = Service::start_with(&[
        ("OTP_PREFIX_SENDS", "1/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "4"),
    ])
    .await;
    let first = send_from(&service, &neighbour(0), CLIENT).await;
    for n in 1..20 {
        assert_eq!(
            word(&send_from(&service, &neighbour(n), CLIENT).await),
            "prefix"
        );
    }
    let refused = at_once(
        &service,
        (20..40).map(|n| json!({"to": neighbour(n), "client_ip": CLIENT})),
    )
    .await;
    assert!(
        refused.iter().all(|answer| answer.status == 429),
        "{:?}",
        words(&refused)
    );
    service
        .advance_to(seconds(&first.body["created_at"]) + 600)
        .await;
    let sent = send_from(&service, &neighbour(7), CLIENT).await;
    assert_eq!(
        (sent.status, &sent.body["sends_left"]),
        (201, &json!(4)),
        "its recipient was not sent to before"
    );
    let rest = at_once(
        &service,
        (1..=10).map(|n| json!({"to": phone(n), "client_ip": CLIENT})),
    )
    .await;
    assert_eq!(
        words(&rest),
        counts([("sent", 2), ("client", 8)]),
        "two of four were taken"
    );
}

#[tokio::test]
async fn a_send_that_its_recipient_refuses_takes_nothing_of_the_others() {
    let service = Service::start_with(&[
        ("OTP_PREFIX_SENDS", "2/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
    ])
    .await;
    send_from(&service, &neighbour(1), CLIENT).await;
    for _ in 0..10 {
        assert_eq!(
            word(&send_from(&service, &neighbour(1), CLIENT).await),
            "cooldown"
        );
    }
    assert_eq!(
        word(&send_from(&service, &neighbour(2), CLIENT).await),
        "sent"
    );
    assert_eq!(
        word(&send_from(&service, &phone(1), CLIENT).await),
        "client"
    );
    assert_eq!(word(&service.send(&neighbour(3)).await), "prefix");
}

#[tokio::test]
async fn a_refused_send_leaves_the_verification_before_it_alive() {
    let service = Service::start_with(&[NO_SEND_LIMITS[0], ("OTP_PREFIX_SENDS", "1/600")]).await;
    let (id, code) = service.sent(&neighbour(1)).await;
    for _ in 0..3 {
        assert_eq!(word(&service.send(&neighbour(1)).await), "prefix");
        assert_eq!(word(&service.resend(&id).await), "prefix");
    }
    let shown = service.show(&id).await;
    assert_eq!(
        (&shown.body["status"], &shown.body["sends_left"]),
        (&json!("pending"), &json!(4))
    );
    assert_eq!(shown.body["deliveries"].as_array().map(Vec::len), Some(1));
    assert_eq!(service.check(&id, &code).await.body["valid"], true);
    assert_eq!(service.messages(&neighbour(1)).await.len(), 1);
}

#[tokio::test]
async fn where_several_limits_apply_the_one_that_ends_last_is_named() {
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
        let first = send_from(&service, &neighbour(1), CLIENT).await;
        let wait = if expected == "client" { 3600 } else { 7200 };
        let until = seconds(&first.body["created_at"]) + wait;
        service
            .refuses(expected, until, async || {
                send_from(&service, &neighbour(1), CLIENT).await
            })
            .await;
    }
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1/20")]).await;
    let first = service.send(&neighbour(1)).await;
    let until = seconds(&first.body["created_at"]) + 30;
    service
        .refuses("cooldown", until, async || {
            service.send(&neighbour(1)).await
        })
        .await;
}

#[tokio::test]
async fn a_resend_counts_like_a_send() {
    let service = Service::start_with(&[
        NO_SEND_LIMITS[0],
        ("OTP_PREFIX_SENDS", "3/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
    ])
    .await;
    let id = send_from(&service, &neighbour(1), CLIENT).await.id();
    // One message after the other: a worker that takes its time makes one of two.
    let resend = async |body| {
        service.settle().await;
        word(&service.resend_body(&id, body).await).to_owned()
    };
    let (from_client, from_nobody) = (json!({"client_ip": CLIENT}), json!({}));
    assert_eq!(
        [resend(from_client.clone()).await, resend(from_client).await],
        ["sent", "client"]
    );
    assert_eq!(
        [resend(from_nobody.clone()).await, resend(from_nobody).await],
        ["sent", "prefix"]
    );
    assert_eq!(service.messages(&neighbour(1)).await.len(), 3);
}

#[tokio::test]
async fn a_resend_that_several_limits_refuse_is_told_the_one_that_ends_last() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1/600")]).await;
    let id = service.send(&neighbour(1)).await.id();
    let resent = service.resend(&id).await;
    assert_eq!(
        (
            word(&resent),
            resent.header("retry-after").map(|wait| wait.len())
        ),
        ("prefix".to_owned(), Some(3)),
        "{resent:?}"
    );
}

#[tokio::test]
async fn a_refused_resend_does_not_lose_the_message_before_it() {
    let wired = Wired::start(&[NO_SEND_LIMITS[0]]).await;
    let service = &wired.service;
    // As for a worker that comes when the resend is written and not asked for, and goes away.
    wired
        .queue
        .break_next("SendMessage", crate::wire::Fault::Swallow);
    let id = service.send(&neighbour(1)).await.id();
    service.settle().await;
    assert_eq!(service.messages(&neighbour(1)).await.len(), 0);
    wired.queue.break_next("SendMessage", BROKEN);
    assert_eq!(word(&service.resend(&id).await), "503");
    // The call that made it has ten seconds to ask for it itself.
    service.advance(11).await;
    assert_eq!(service.messages(&neighbour(1)).await.len(), 1);
    assert_eq!(
        service
            .check(&id, &service.code(&neighbour(1)).await)
            .await
            .body["valid"],
        true
    );
}

#[tokio::test]
async fn a_repeated_call_takes_nothing() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "2/600")]).await;
    let send = async |n: u32| {
        service
            .send_with_key(json!({"to": neighbour(n)}), "k")
            .await
    };
    let id = send(1).await.id();
    for _ in 0..5 {
        assert_eq!(send(1).await.id(), id);
    }
    assert_eq!(word(&send(2).await), "sent");
    assert_eq!(word(&send(3).await), "prefix");
    assert_eq!(send(1).await.id(), id, "also when nothing is left");
}

#[tokio::test]
async fn of_one_call_made_many_times_at_once_nothing_goes_out_past_a_limit() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1/600")]).await;
    service.send(&neighbour(1)).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let service = service.clone();
        calls.spawn(async move {
            service
                .send_with_key(json!({"to": neighbour(2)}), "k")
                .await
        });
    }
    let answers = calls.join_all().await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.problem(), (429, _) | (409, "in_progress"))),
        "{answers:?}"
    );
    assert_eq!(service.messages(&neighbour(2)).await.len(), 0);
}

#[tokio::test]
async fn a_send_that_nobody_could_be_asked_to_deliver_takes_nothing() {
    let variables = [
        ("OTP_PREFIX_SENDS", "2/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
        ("OTP_CONVERSION_MIN", "100/10"),
    ];
    let wired = Wired::start(&variables).await;
    for n in 0..6 {
        wired.queue.break_next("SendMessage", BROKEN);
        assert_eq!(
            send_from(&wired.service, &neighbour(n), CLIENT)
                .await
                .status,
            503
        );
    }
    for n in 0..2 {
        assert_eq!(
            word(&send_from(&wired.service, &neighbour(n), CLIENT).await),
            "sent"
        );
    }
    assert_eq!(
        word(&send_from(&wired.service, &neighbour(2), CLIENT).await),
        "client"
    );
    let state = wired.service.state().await;
    let pending: Vec<_> = state["table"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["pc"]["N"].as_str())
        .collect();
    assert_eq!(
        pending,
        ["2", "2"],
        "and leaves no sample in its prefix or country"
    );
}

#[tokio::test]
async fn a_table_that_fails_in_the_midst_takes_nothing() {
    let wired = Wired::start(&[("OTP_CLIENT_SENDS_PER_HOUR", "1")]).await;
    for _ in 0..3 {
        // The prefix is the last to be asked: the only one with both a window and samples.
        wired.table.break_by(|call| {
            let update = call.body["UpdateExpression"].as_str().unwrap_or_default();
            (update.contains("t0 = ") && update.contains("pc = ")).then_some(BROKEN)
        });
        assert_eq!(
            send_from(&wired.service, &neighbour(1), CLIENT)
                .await
                .status,
            503
        );
    }
    wired.mend();
    assert_eq!(
        word(&send_from(&wired.service, &neighbour(1), CLIENT).await),
        "sent"
    );
}

#[tokio::test]
async fn an_e_mail_has_a_client_but_neither_prefix_nor_country() {
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
        words(&at_once(&service, mails(0)).await),
        counts([("sent", 15)])
    );
    service.advance(601).await;
    assert_eq!(
        words(&at_once(&service, mails(100)).await),
        counts([("sent", 15)]),
        "whoever approved of the first"
    );
    let from_client = mails(200).map(|mail| with(mail, &json!({"client_ip": CLIENT})));
    assert_eq!(
        words(&at_once(&service, from_client).await),
        counts([("sent", 12), ("client", 3)])
    );
}

#[tokio::test]
async fn an_app_has_limits_and_counts_of_its_own() {
    let apps = r#"{"shop":{"prefix_sends":"3/600","client_sends_per_hour":2}}"#;
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1/600"), ("OTP_APPS", apps)]).await;
    let as_shop = async |body| {
        service
            .call_as(SHOP_KEY, "POST", "/v1/verifications", Some(body), &[])
            .await
    };
    assert_eq!(
        [
            word(&service.send(&neighbour(1)).await),
            word(&service.send(&neighbour(2)).await)
        ],
        ["sent", "prefix"]
    );
    for (n, expected) in [(1, "sent"), (2, "sent"), (3, "sent"), (4, "prefix")] {
        assert_eq!(
            word(&as_shop(json!({"to": neighbour(n)})).await),
            expected,
            "{n}"
        );
    }
    for (n, expected) in [(1, "sent"), (2, "sent"), (3, "client")] {
        assert_eq!(
            word(&as_shop(json!({"to": phone(n), "client_ip": CLIENT})).await),
            expected,
            "{n}"
        );
    }
    for n in 11..21 {
        assert_eq!(
            word(&send_from(&service, &phone(n), CLIENT).await),
            "sent",
            "the other app has thirty"
        );
    }
}
