//! Sliding windows of client networks and prefixes.

use serde_json::json;

use super::{count_outcomes, neighbor, outcome, outcomes, send_all, send_all_by, send_from};
use crate::support::{
    Fault, ProxiedService, Service, TempDirectory, phone, stored_items::stored_windows,
    unix_seconds,
};

const CLIENT: &str = "203.0.113.7";

#[tokio::test]
async fn client_network_has_a_quota_of_an_hour() {
    let service = Service::start_with(&[("OTP_CLIENT_SENDS_PER_HOUR", "3")]).await;
    let first = send_from(&service, &phone(1), CLIENT).await;
    service.advance(600).await;
    let second = send_from(&service, &phone(2), CLIENT).await;
    assert_eq!(
        [
            outcome(&second),
            outcome(&send_from(&service, &phone(3), CLIENT).await)
        ],
        ["sent", "sent"]
    );
    let until = unix_seconds(&first.body["created_at"]) + 3600;
    let rejected = send_from(&service, &phone(4), CLIENT).await;
    assert_eq!(
        rejected.header("ratelimit-policy"),
        Some("\"client\";q=3;w=3600")
    );
    service
        .assert_rejects_until("client", until, 201, async || {
            send_from(&service, &phone(4), CLIENT).await
        })
        .await;
    // The window slides: only the first send is older than an hour.
    let until = unix_seconds(&second.body["created_at"]) + 3600;
    service
        .assert_rejects("client", until, async || {
            send_from(&service, &phone(5), CLIENT).await
        })
        .await;
    assert_eq!(
        outcome(&send_from(&service, &phone(6), "203.0.113.8").await),
        "sent",
        "another network"
    );
    assert_eq!(
        outcome(&service.send(&phone(7)).await),
        "sent",
        "no client address"
    );
}

#[tokio::test]
async fn addresses_of_one_network_share_a_quota() {
    for (one, other, same) in [
        ("203.0.113.7", "203.0.113.8", false),
        ("203.0.113.7", "::ffff:203.0.113.7", true),
        (
            "2001:db8:1:2200::1",
            "2001:db8:1:22ff:ffff:ffff:ffff:ffff",
            true,
        ),
        ("2001:db8:1:2200::1", "2001:db8:1:2300::1", false),
        ("2001:db8:1:2200::1", "2001:0DB8:0001:2200:0:0:0:1", true),
    ] {
        let service = Service::start_with(&[("OTP_CLIENT_SENDS_PER_HOUR", "1")]).await;
        assert_eq!(outcome(&send_from(&service, &phone(1), one).await), "sent");
        let expected = if same { "client" } else { "sent" };
        assert_eq!(
            outcome(&send_from(&service, &phone(2), other).await),
            expected,
            "{one} and {other}"
        );
    }
}

#[tokio::test]
async fn neighboring_numbers_share_the_quota_of_their_prefix() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "3/60")]).await;
    let first = service.send(&neighbor(1)).await;
    service.advance(20).await;
    let second = service.send(&neighbor(2)).await;
    assert_eq!(
        [outcome(&second), outcome(&service.send(&neighbor(3)).await)],
        ["sent", "sent"]
    );
    let rejected = service.send(&neighbor(4)).await;
    assert_eq!(
        rejected.header("ratelimit-policy"),
        Some("\"prefix\";q=3;w=60")
    );
    let until = unix_seconds(&first.body["created_at"]) + 60;
    service
        .assert_rejects_until("prefix", until, 201, async || {
            service.send(&neighbor(4)).await
        })
        .await;
    let until = unix_seconds(&second.body["created_at"]) + 60;
    service
        .assert_rejects("prefix", until, async || service.send(&neighbor(5)).await)
        .await;
    assert_eq!(
        outcome(&service.send(&phone(1)).await),
        "sent",
        "another prefix"
    );
}

#[tokio::test]
async fn default_quotas_are_20_a_prefix_30_a_client() {
    let service = Service::start().await;
    let sends = (0..25).map(|n| json!({"to": neighbor(n)}));
    assert_eq!(
        count_outcomes(&send_all(&service, sends).await),
        outcomes([("sent", 20), ("prefix", 5)])
    );
    let sends = (0..35).map(|n| json!({"to": phone(n), "client_ip": CLIENT}));
    assert_eq!(
        count_outcomes(&send_all(&service, sends).await),
        outcomes([("sent", 30), ("client", 5)])
    );
}

#[tokio::test]
async fn parallel_sends_are_admitted_up_to_the_quota_exactly() {
    let service = Service::start_with(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "7"),
        ("OTP_PREFIX_SENDS", "9/600"),
    ])
    .await;
    let responses = send_all(
        &service,
        (0..100).map(|n| json!({"to": phone(n), "client_ip": CLIENT})),
    )
    .await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("sent", 7), ("client", 93)])
    );
    let responses = send_all(&service, (0..100).map(|n| json!({"to": neighbor(n)}))).await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("sent", 9), ("prefix", 91)])
    );
    service.settle().await;
    let all = service.raw("GET", "/local/messages", &[], "").await;
    assert_eq!(
        all.body["messages"].as_array().map(Vec::len),
        Some(16),
        "no other message is sent"
    );
}

#[tokio::test]
async fn quota_over_a_hundred_is_exact() {
    let variables = [
        ("OTP_CLIENT_SENDS_PER_HOUR", "101"),
        ("OTP_PREFIX_SENDS", "130/600"),
        ("OTP_CONVERSION_MIN", "0"),
    ];
    let service = Service::start_with(&variables).await;
    let responses = send_all_by(
        &service,
        20,
        (0..120).map(|n| json!({"to": phone(n), "client_ip": CLIENT})),
    )
    .await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("sent", 101), ("client", 19)])
    );
    let responses = send_all_by(&service, 20, (0..140).map(|n| json!({"to": neighbor(n)}))).await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("sent", 130), ("prefix", 10)])
    );
    service.advance(600).await;
    assert_eq!(outcome(&service.send(&neighbor(200)).await), "sent");
}

#[tokio::test]
async fn very_large_quota_rejects_nothing() {
    let service = Service::start_with(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "1000000"),
        ("OTP_PREFIX_SENDS", "1000000/86400"),
    ])
    .await;
    let responses = send_all(
        &service,
        (0..120).map(|n| json!({"to": neighbor(n), "client_ip": CLIENT})),
    )
    .await;
    assert_eq!(count_outcomes(&responses), outcomes([("sent", 120)]));
}

#[tokio::test]
async fn counts_survive_a_restart() {
    let data = TempDirectory::new();
    let variables = [
        ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
        ("OTP_PREFIX_SENDS", "2/600"),
    ];
    let first = {
        let service = Service::start_in(&data, &variables).await;
        let first = send_from(&service, &phone(1), CLIENT).await;
        send_from(&service, &phone(2), CLIENT).await;
        service.send(&neighbor(1)).await;
        service.send(&neighbor(2)).await;
        service.settle().await;
        unix_seconds(&first.body["created_at"])
    };
    let service = Service::start_in(&data, &variables).await;
    service
        .assert_rejects_until("client", first + 3600, 201, async || {
            send_from(&service, &phone(3), CLIENT).await
        })
        .await;
    assert_eq!(
        outcome(&service.send(&neighbor(3)).await),
        "sent",
        "more than ten minutes have passed"
    );
}

#[tokio::test]
async fn quota_raised_above_a_hundred_takes_effect() {
    let data = TempDirectory::new();
    {
        let service = Service::start_in(
            &data,
            &[
                ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
                ("OTP_PREFIX_SENDS", "2/600"),
            ],
        )
        .await;
        for n in 1..=2 {
            assert_eq!(
                outcome(&send_from(&service, &neighbor(n), CLIENT).await),
                "sent"
            );
        }
        service.settle().await;
    }
    let service = Service::start_in(
        &data,
        &[
            ("OTP_CLIENT_SENDS_PER_HOUR", "500"),
            ("OTP_PREFIX_SENDS", "200/600"),
        ],
    )
    .await;
    for n in 3..=9 {
        assert_eq!(
            outcome(&send_from(&service, &neighbor(n), CLIENT).await),
            "sent"
        );
    }
}

#[tokio::test]
async fn lost_write_responses_count_a_send_once() {
    let proxied = ProxiedService::start(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "3"),
        ("OTP_PREFIX_SENDS", "150/600"),
    ])
    .await;
    for n in 1..=3 {
        // The response to the first write of each counter is lost; the client retries it.
        let mut seen = std::collections::BTreeSet::new();
        proxied.table.break_by(move |call| {
            let is_counter = call.reserves_in_window();
            (is_counter && seen.insert(call.key().to_owned())).then_some(Fault::DropResponse)
        });
        assert_eq!(
            outcome(&send_from(&proxied.service, &neighbor(n), CLIENT).await),
            "sent"
        );
    }
    assert_eq!(
        outcome(&send_from(&proxied.service, &neighbor(4), CLIENT).await),
        "client"
    );
    proxied.service.settle().await;
    let windows = stored_windows(&proxied.service).await;
    let blocks: Vec<_> = windows
        .iter()
        .filter_map(|window| window.newest_block)
        .collect();
    assert_eq!(blocks, [3], "three sends in a block of three");
}

#[tokio::test]
async fn counters_store_neither_numbers_nor_addresses() {
    let carriers = r#"[{"kind":"sns","price":1}]"#;
    let variables = [("OTP_CARRIERS", carriers), ("OTP_SPEND_PER_DAY", "5")];
    let service = Service::start_with(&variables).await;
    send_from(&service, &neighbor(1), CLIENT).await;
    service.settle().await;
    let state = service.state().await["table"].to_string();
    for hidden in ["3361234", "203.0.113", "\"FR\"", "default:"] {
        assert!(!state.contains(hidden), "{hidden} in {state}");
    }
}
