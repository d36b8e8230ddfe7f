//! Attacks that send messages: to earn from them, to annoy, or to put a text of their own into one.

use serde_json::{Value, json};
use support::{
    LocalProcess, Service, TO, TempDirectory, TestResponse, american_phone, another_code,
    assert_check, assert_rejected, assert_status, at_once, no_send_limits_and,
};

use crate::attack::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "pumping_of_a_prefix",
        published: "SMS pumping: a range of numbers, with another client address for each send",
        tried: "60 neighboring numbers within 10 minutes",
        bound: "20 messages for one prefix in 10 minutes",
        run: || Box::pin(pumping_of_a_prefix()),
    },
    Attack {
        name: "pumping_of_a_country",
        published: "SMS pumping: spread over a country, no code is ever entered",
        tried: "100 sends to as many prefixes; 10 minutes later 200 more",
        bound: "about 1 send in 100 while too few are approved",
        run: || Box::pin(pumping_of_a_country()),
    },
    Attack {
        name: "pumping_of_a_client",
        published: "Message bombing from one client",
        tried: "60 numbers at once from one IPv6 network with changing addresses",
        bound: "30 messages for one client network in an hour",
        run: || Box::pin(pumping_of_a_client()),
    },
    Attack {
        name: "bombing_of_a_person",
        published: "Message bombing of one person",
        tried: "50 sends at once, then one at each time that `Retry-After` names, for 24 hours",
        bound: "5 messages in an hour, 10 in 24 hours",
        run: || Box::pin(bombing_of_a_person()),
    },
    Attack {
        name: "restarted_limiter",
        published: "The limiter is in the memory of a process and forgets at a restart",
        tried: "a send and 5 wrong codes; SIGKILL; the same again",
        bound: "a restart changes nothing",
        run: || Box::pin(restarted_limiter()),
    },
    Attack {
        name: "injected_text",
        published: "A payee or a brand puts a second code, a link or a hidden direction into the text",
        tried: "line breaks with `@evil.example #999999`, links, right-to-left marks, invisible characters",
        bound: "one line, one code, no link",
        run: || Box::pin(injected_text()),
    },
];

fn sent(responses: &[TestResponse]) -> usize {
    responses
        .iter()
        .filter(|response| response.status == 201)
        .count()
}

/// The messages on all phones, once all due work is done.
async fn all_messages(service: &Service) -> Vec<Value> {
    service.settle().await;
    let response = service.raw("GET", "/local/messages", &[], "").await;
    response.body["messages"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

async fn pumping_of_a_prefix() -> String {
    let service = Service::start().await;
    let mut responses = vec![];
    for n in 0..60 {
        let client_ip = format!("203.0.113.{n}");
        let body = json!({"to": format!("+1202555{n:04}"), "client_ip": client_ip});
        responses.push(service.send_body(body).await);
    }
    assert_eq!(
        (sent(&responses), all_messages(&service).await.len()),
        (20, 20)
    );
    responses
        .iter()
        .skip(20)
        .for_each(|response| assert_rejected(response, "prefix"));
    "20 messages, then 429 `prefix` before a carrier is called".to_owned()
}

async fn pumping_of_a_country() -> String {
    const MORE: usize = 200;
    /// 1 in 50: twice what the guard lets through on average.
    const ADMITTED_MAX: usize = 4;
    let service = Service::start().await;
    for n in 0..100 {
        assert_status(&service.send(&american_phone(n)).await, 201);
    }
    service.advance(601).await;
    let mut responses = vec![];
    for n in 100..100 + MORE {
        responses.push(service.send(&american_phone(n)).await);
    }
    let admitted = sent(&responses);
    assert!(
        admitted <= ADMITTED_MAX,
        "{admitted} of {MORE} were admitted"
    );
    assert_eq!(all_messages(&service).await.len(), 100 + admitted);
    format!("100 messages; then 429, but for at most {ADMITTED_MAX} of {MORE}")
}

async fn pumping_of_a_client() -> String {
    let service = Service::start().await;
    let responses = at_once(60, |n| {
        let service = service.clone();
        let client_ip = format!("2001:db8:0:42:{n:x}::{n:x}");
        let body = json!({"to": american_phone(n), "client_ip": client_ip});
        async move { service.send_body(body).await }
    })
    .await;
    assert!(sent(&responses) <= 30, "{} were sent", sent(&responses));
    assert_eq!(all_messages(&service).await.len(), sent(&responses));
    let later = json!({"to": american_phone(70), "client_ip": "2001:db8:0:42::1"});
    assert_rejected(&service.send_body(later).await, "client");
    "30 messages, then 429 `client`".to_owned()
}

async fn bombing_of_a_person() -> String {
    let service = Service::start().await;
    let start = service.now().await;
    let burst = at_once(50, |_| {
        let service = service.clone();
        async move { service.send(TO).await }
    })
    .await;
    assert_eq!(sent(&burst), 1);
    let mut times = vec![start];
    loop {
        let response = service.send(TO).await;
        let now = service.now().await;
        if response.status == 201 {
            times.push(now);
            continue;
        }
        let wait = crate::attack::retry_after(&response);
        if now + wait >= start + 86_400 {
            break;
        }
        service.advance(wait).await;
    }
    let within = |seconds: i64| {
        let in_window = |from: &i64| {
            times
                .iter()
                .filter(|at| (*from..*from + seconds).contains(*at))
                .count()
        };
        times.iter().map(in_window).max().unwrap_or_default()
    };
    assert_eq!((within(3600), within(86_400)), (5, 10), "{times:?}");
    assert_eq!(service.messages(TO).await.len(), times.len());
    "1 message of the burst; 5 in the first hour, 10 in 24 hours; else 429 with the time of the next".to_owned()
}

async fn restarted_limiter() -> String {
    let data = TempDirectory::new();
    let process = LocalProcess::start(&[], Some(data.path())).await;
    let (id, code) = process.service.open(TO).await;
    process.service.fail_checks(&id, &code, 5).await;
    process.kill().await;
    let process = LocalProcess::start(&[], Some(data.path())).await;
    assert_rejected(&process.service.send(TO).await, "cooldown");
    assert_check(
        &process.service.check(&id, &code).await,
        "exhausted",
        "exhausted",
        0,
    );
    let wrong = process.service.check(&id, &another_code(&code)).await;
    assert_check(&wrong, "exhausted", "exhausted", 0);
    "429 `cooldown`; `exhausted`, also for the right code".to_owned()
}

async fn injected_text() -> String {
    let texts = [
        "Shop\n@evil.example #999999",
        "Shop\r\n\r\n@evil.example #999999",
        "https://evil.example/999999",
        "hthttps://tps://evil.example",
        "evil.example",
        "\u{202e}999999\u{202c}",
        "Shop\u{2028}@evil.example #999999",
        "S\u{200b}h\u{2066}o\u{2069}p",
    ];
    for text in texts {
        let variables = no_send_limits_and(&[("OTP_BRAND", text)]);
        let Ok(service) = Service::try_start(&variables, None).await else {
            continue;
        };
        let transaction = json!({"amount": "10.00", "currency": "EUR", "payee": text});
        let response = service
            .send_body(json!({"to": TO, "transaction": transaction}))
            .await;
        assert!(
            [201, 422].contains(&response.status),
            "{text:?}: {response:?}"
        );
        for message in service.messages(TO).await {
            let shown = message["text"].as_str().expect("a text");
            assert_harmless(shown, message["code"].as_str().expect("a code"));
        }
    }
    "a text on one line, with the code as its only run of 4 or more digits and without a link, or no start".to_owned()
}

fn assert_harmless(text: &str, code: &str) {
    assert_eq!(text.lines().count(), 1, "{text:?}");
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<_> = numbers.filter(|number| number.len() >= 4).collect();
    assert_eq!(numbers, [code], "{text:?}");
    for part in [
        "://",
        "evil.example",
        "@",
        "#",
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\u{2028}",
    ] {
        assert!(!text.contains(part), "{part:?} in {text:?}");
    }
}
