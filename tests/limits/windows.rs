//! Sliding windows: client networks and prefixes.

use serde_json::json;

use super::{Data, at_once, counts, neighbour, send_from, together, word, words};
use crate::given::{phone, seconds};
use crate::harness::Service;

const CLIENT: &str = "203.0.113.7";

#[tokio::test]
async fn a_client_network_has_its_sends_an_hour_and_not_one_more() {
    let service = Service::start_with(&[("OTP_CLIENT_SENDS_PER_HOUR", "3")]).await;
    let first = send_from(&service, &phone(1), CLIENT).await;
    service.advance(600).await;
    let second = send_from(&service, &phone(2), CLIENT).await;
    assert_eq!(
        [
            word(&second),
            word(&send_from(&service, &phone(3), CLIENT).await)
        ],
        ["sent", "sent"]
    );
    let until = seconds(&first.body["created_at"]) + 3600;
    let refused = send_from(&service, &phone(4), CLIENT).await;
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"client\";q=3;w=3600")
    );
    service
        .refuses_until("client", until, 201, async || {
            send_from(&service, &phone(4), CLIENT).await
        })
        .await;
    // The window slides: only the first send has left it.
    let until = seconds(&second.body["created_at"]) + 3600;
    service
        .refuses("client", until, async || {
            send_from(&service, &phone(5), CLIENT).await
        })
        .await;
    assert_eq!(
        word(&send_from(&service, &phone(6), "203.0.113.8").await),
        "sent",
        "another network"
    );
    assert_eq!(
        word(&service.send(&phone(7)).await),
        "sent",
        "no network is known"
    );
}

#[tokio::test]
async fn addresses_of_one_network_count_together() {
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
        assert_eq!(word(&send_from(&service, &phone(1), one).await), "sent");
        let expected = if same { "client" } else { "sent" };
        assert_eq!(
            word(&send_from(&service, &phone(2), other).await),
            expected,
            "{one} and {other}"
        );
    }
}

#[tokio::test]
async fn neighbouring_numbers_share_the_sends_of_their_prefix() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "3/60")]).await;
    let first = service.send(&neighbour(1)).await;
    service.advance(20).await;
    let second = service.send(&neighbour(2)).await;
    assert_eq!(
        [word(&second), word(&service.send(&neighbour(3)).await)],
        ["sent", "sent"]
    );
    let refused = service.send(&neighbour(4)).await;
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"prefix\";q=3;w=60")
    );
    let until = seconds(&first.body["created_at"]) + 60;
    service
        .refuses_until("prefix", until, 201, async || {
            service.send(&neighbour(4)).await
        })
        .await;
    let until = seconds(&second.body["created_at"]) + 60;
    service
        .refuses("prefix", until, async || service.send(&neighbour(5)).await)
        .await;
    assert_eq!(
        word(&service.send(&phone(1)).await),
        "sent",
        "another prefix"
    );
}

#[tokio::test]
async fn without_settings_twenty_sends_go_to_a_prefix_in_ten_minutes_and_thirty_from_a_network_in_an_hour()
 {
    let service = Service::start().await;
    let sends = (0..25).map(|n| json!({"to": neighbour(n)}));
    assert_eq!(
        words(&at_once(&service, sends).await),
        counts([("sent", 20), ("prefix", 5)])
    );
    let sends = (0..35).map(|n| json!({"to": phone(n), "client_ip": CLIENT}));
    assert_eq!(
        words(&at_once(&service, sends).await),
        counts([("sent", 30), ("client", 5)])
    );
}

#[tokio::test]
async fn of_a_hundred_parallel_sends_exactly_as_many_go_out_as_a_limit_allows() {
    let service = Service::start_with(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "7"),
        ("OTP_PREFIX_SENDS", "9/600"),
    ])
    .await;
    let answers = at_once(
        &service,
        (0..100).map(|n| json!({"to": phone(n), "client_ip": CLIENT})),
    )
    .await;
    assert_eq!(words(&answers), counts([("sent", 7), ("client", 93)]));
    let answers = at_once(&service, (0..100).map(|n| json!({"to": neighbour(n)}))).await;
    assert_eq!(words(&answers), counts([("sent", 9), ("prefix", 91)]));
    service.settle().await;
    let all = service.raw("GET", "/local/messages", &[], "").await;
    assert_eq!(
        all.body["messages"].as_array().map(Vec::len),
        Some(16),
        "and not one message more"
    );
}

#[tokio::test]
async fn a_limit_over_a_hundred_sends_is_as_exact() {
    let variables = [
        ("OTP_CLIENT_SENDS_PER_HOUR", "101"),
        ("OTP_PREFIX_SENDS", "130/600"),
        ("OTP_CONVERSION_MIN", "0"),
    ];
    let service = Service::start_with(&variables).await;
    let answers = together(
        &service,
        20,
        (0..120).map(|n| json!({"to": phone(n), "client_ip": CLIENT})),
    )
    .await;
    assert_eq!(words(&answers), counts([("sent", 101), ("client", 19)]));
    let answers = together(&service, 20, (0..140).map(|n| json!({"to": neighbour(n)}))).await;
    assert_eq!(words(&answers), counts([("sent", 130), ("prefix", 10)]));
    service.advance(600).await;
    assert_eq!(word(&service.send(&neighbour(200)).await), "sent");
}

#[tokio::test]
async fn a_limit_that_is_as_good_as_none_refuses_nobody() {
    let service = Service::start_with(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "1000000"),
        ("OTP_PREFIX_SENDS", "1000000/86400"),
    ])
    .await;
    let answers = at_once(
        &service,
        (0..120).map(|n| json!({"to": neighbour(n), "client_ip": CLIENT})),
    )
    .await;
    assert_eq!(words(&answers), counts([("sent", 120)]));
}

#[tokio::test]
async fn the_counts_outlive_a_restart() {
    let data = Data::new();
    let variables = [
        ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
        ("OTP_PREFIX_SENDS", "2/600"),
    ];
    let first = {
        let service = data.start(&variables).await;
        let first = send_from(&service, &phone(1), CLIENT).await;
        send_from(&service, &phone(2), CLIENT).await;
        service.send(&neighbour(1)).await;
        service.send(&neighbour(2)).await;
        service.settle().await;
        seconds(&first.body["created_at"])
    };
    let service = data.start(&variables).await;
    service
        .refuses_until("client", first + 3600, 201, async || {
            send_from(&service, &phone(3), CLIENT).await
        })
        .await;
    assert_eq!(
        word(&service.send(&neighbour(3)).await),
        "sent",
        "ten minutes have long passed"
    );
}

#[tokio::test]
async fn a_limit_that_is_raised_past_a_hundred_lets_through_what_it_says() {
    let data = Data::new();
    {
        let service = data
            .start(&[
                ("OTP_CLIENT_SENDS_PER_HOUR", "2"),
                ("OTP_PREFIX_SENDS", "2/600"),
            ])
            .await;
        for n in 1..=2 {
            assert_eq!(
                word(&send_from(&service, &neighbour(n), CLIENT).await),
                "sent"
            );
        }
        service.settle().await;
    }
    let service = data
        .start(&[
            ("OTP_CLIENT_SENDS_PER_HOUR", "500"),
            ("OTP_PREFIX_SENDS", "200/600"),
        ])
        .await;
    for n in 3..=9 {
        assert_eq!(
            word(&send_from(&service, &neighbour(n), CLIENT).await),
            "sent"
        );
    }
}

#[tokio::test]
async fn lost_answers_of_the_table_count_a_send_once() {
    let wired = crate::wire::Wired::start(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "3"),
        ("OTP_PREFIX_SENDS", "150/600"),
    ])
    .await;
    for n in 1..=3 {
        // Each of its counters is written, and told to nobody; the SDK asks again.
        let mut seen = std::collections::BTreeSet::new();
        wired.table.break_by(move |call| {
            let is_counter = call.operation == "UpdateItem"
                && call.body["UpdateExpression"]
                    .as_str()
                    .is_some_and(|e| e.contains("t0 = :now"));
            (is_counter && seen.insert(call.key().to_owned()))
                .then_some(crate::wire::Fault::DropAnswer)
        });
        assert_eq!(
            word(&send_from(&wired.service, &neighbour(n), CLIENT).await),
            "sent"
        );
    }
    assert_eq!(
        word(&send_from(&wired.service, &neighbour(4), CLIENT).await),
        "client"
    );
    wired.service.settle().await;
    let state = wired.service.state().await;
    let filled: Vec<_> = state["table"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["c"]["N"].as_str())
        .collect();
    assert_eq!(filled, ["1"], "three sends in blocks of two");
}

#[tokio::test]
async fn neither_a_number_nor_an_address_rests_in_a_counter() {
    let service = Service::start_with(&[("OTP_SPEND_PER_DAY", "5")]).await;
    send_from(&service, &neighbour(1), CLIENT).await;
    service.settle().await;
    let state = service.state().await["table"].to_string();
    for hidden in ["3361234", "203.0.113", "\"FR\"", "default:"] {
        assert!(!state.contains(hidden), "{hidden} in {state}");
    }
}
