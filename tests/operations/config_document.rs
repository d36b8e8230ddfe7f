//! The configuration document as functions read it that run as processes: when a change counts,
//! and what happens to a document that cannot be read or used.

use serde_json::{Value, json};

use crate::support::stored_config::{
    ConfigWriter, DESK_KEY, carrier_list, desk, key_entry, secrets, start_processes, start_proxied,
};
use crate::support::{
    BROKEN, HttpCarrier, LocalProcess, SHOP_KEY, Service, TempDirectory, TestResponse,
    assert_problem, assert_status, at_once, built_functions, phone,
};

/// Seconds after which a copy is read again, unless it is set.
const MAX_AGE: i64 = 60;
/// Seconds after which a copy is no longer used.
const UNREAD_MAX: i64 = 900;
/// The paths of one request to each function that reads API keys.
const PATHS: [(&str, &str); 3] = [
    ("POST", "/v1/recipients/lookup"),
    ("GET", "/v1/app"),
    ("GET", "/v1/subjects/ann"),
];

async fn request(service: &Service, key: &str, (method, path): (&str, &str)) -> TestResponse {
    let body = (method == "POST").then(|| json!({"to": phone(1)}));
    service.call_as(key, method, path, body, &[]).await
}

/// The statuses of a request with `key` to each of the functions.
async fn statuses(service: &Service, key: &str) -> Vec<u16> {
    let mut statuses = vec![];
    for path in PATHS {
        statuses.push(request(service, key, path).await.status);
    }
    statuses
}

async fn app(service: &Service, key: &str) -> TestResponse {
    request(service, key, ("GET", "/v1/app")).await
}

/// The brand of app `desk`, which documents of these tests differ in.
async fn brand(service: &Service) -> String {
    let shown = app(service, DESK_KEY).await;
    assert_status(&shown, 200);
    shown.body["brand"].as_str().expect("a brand").to_owned()
}

#[tokio::test]
async fn app_and_key_count_without_a_restart() {
    let (service, writer) = start_processes(1, &[]).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [401; 3]);
    writer.write(0, desk("Desk")).await;
    service.advance(MAX_AGE).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [200; 3]);
    assert_eq!(brand(&service).await, "Desk");
    let mut members = desk("Front desk");
    members["apps"]["desk"]["code_length"] = 8.into();
    writer.write(1, members).await;
    service.advance(MAX_AGE).await;
    assert_eq!(brand(&service).await, "Front desk");
    let to = phone(1);
    let sent = service.send_as(DESK_KEY, &to).await;
    assert_status(&sent, 201);
    let message = service.messages(&to).await.remove(0);
    let text = message["text"].as_str().expect("a text");
    assert!(text.contains("Front desk"), "{text}");
    assert_eq!(service.code_of(&to, &sent.id()).await.len(), 8);
}

#[tokio::test]
async fn revoked_key_is_refused_after_the_maximum_age() {
    let (service, writer) = start_processes(1, &[("OTP_CONFIG_MAX_AGE_SECONDS", "300")]).await;
    writer.write(0, desk("Desk")).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [200; 3]);
    writer.write(1, json!({"apps": {"desk": {}}})).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [200; 3], "a copy");
    service.advance(300).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [401; 3]);
}

#[tokio::test]
async fn key_expires_to_the_second() {
    let (service, writer) = start_processes(1, &[]).await;
    let end = service.now().await + 30;
    let entry = key_entry("ak_1", "desk", DESK_KEY, Some(end));
    writer.write(0, json!({"api_keys": [entry]})).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [200; 3]);
    service.advance_to(end).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [401; 3]);
}

#[tokio::test]
async fn document_is_read_once_per_age() {
    let (proxied, _) = start_proxied().await;
    let reads = async |advance: i64| {
        let before = proxied.table.config_reads();
        proxied.service.advance(advance).await;
        app(&proxied.service, DESK_KEY).await;
        app(&proxied.service, DESK_KEY).await;
        proxied.table.config_reads() - before
    };
    assert_eq!(reads(0).await, 1, "the start");
    assert_eq!(reads(0).await, 0);
    assert_eq!(reads(MAX_AGE - 5).await, 1, "beside a request");
    assert_eq!(reads(MAX_AGE + 5).await, 1, "before a request");
    assert!(
        proxied.table.take_calls().is_empty(),
        "nothing else is read"
    );
}

#[tokio::test]
async fn unread_copy_counts_for_fifteen_minutes() {
    let (proxied, writer) = start_proxied().await;
    let service = &proxied.service;
    writer.write(0, desk("Desk")).await;
    assert_eq!(statuses(service, DESK_KEY).await, [200; 3]);
    proxied.table.break_config_reads(Some(BROKEN));
    service.advance(UNREAD_MAX - 30).await;
    assert_eq!(statuses(service, DESK_KEY).await, [200; 3]);
    service.advance(60).await;
    for path in PATHS {
        let refused = request(service, DESK_KEY, path).await;
        assert_problem(&refused, 503, "unavailable");
    }
    let health = service.raw("GET", "/healthz", &[], "").await;
    assert_status(&health, 200);
    proxied.table.break_config_reads(None);
    assert_eq!(statuses(service, DESK_KEY).await, [200; 3]);
}

#[tokio::test]
async fn unread_configuration_at_the_start_is_read_later() {
    let (proxied, writer) = start_proxied().await;
    let service = &proxied.service;
    writer.write(0, desk("Desk")).await;
    proxied.table.break_config_reads(Some(BROKEN));
    assert_eq!(statuses(service, DESK_KEY).await, [503; 3]);
    proxied.table.break_config_reads(None);
    assert_eq!(statuses(service, DESK_KEY).await, [200; 3]);
}

#[tokio::test]
async fn wrong_document_leaves_the_last_one_in_force() {
    let (service, writer) = start_processes(1, &[]).await;
    writer.write(0, desk("Desk")).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [200; 3]);
    for (expected, text) in [
        (1, "no JSON"),
        (2, r#"{"format":2}"#),
        (3, r#"{"format":1,"apps":{"desk":{"code_length":3}}}"#),
        (4, r#"{"format":1,"carriers":[{"kind":"pigeon"}]}"#),
    ] {
        writer.write_text(expected, text).await;
        service.advance(MAX_AGE).await;
        assert_eq!(statuses(&service, DESK_KEY).await, [200; 3], "{text}");
        assert_eq!(brand(&service).await, "Desk", "{text}");
    }
    service.advance(UNREAD_MAX + MAX_AGE).await;
    assert_eq!(statuses(&service, DESK_KEY).await, [200; 3], "it was read");
    writer.write(5, desk("Front desk")).await;
    service.advance(MAX_AGE).await;
    assert_eq!(brand(&service).await, "Front desk");
}

#[tokio::test]
async fn rollback_under_load_never_fails_a_request() {
    let (service, writer) = start_processes(4, &[("OTP_CONFIG_MAX_AGE_SECONDS", "10")]).await;
    let brands = ["Desk", "Front desk"];
    writer.write(0, desk(brands[0])).await;
    for round in 1..5 {
        let requests = at_once(20, |_| {
            let service = service.clone();
            async move { app(&service, DESK_KEY).await }
        });
        let write = writer.write(round, desk(brands[(round % 2) as usize]));
        let (responses, _) = tokio::join!(requests, write);
        for response in responses {
            assert_status(&response, 200);
            let brand = response.body["brand"].as_str().unwrap_or_default();
            assert!(brands.contains(&brand), "{response:?}");
        }
        service.advance(10).await;
    }
    assert_eq!(brand(&service).await, brands[0]);
}

#[tokio::test]
async fn document_of_the_largest_size_is_read() {
    let (service, writer) = start_processes(1, &[]).await;
    let settings = json!({"brand": "Shop of Ada", "code_length": 8, "sends_per_hour": 3});
    let apps: serde_json::Map<_, _> = (0..1000)
        .map(|number| (format!("app-{number:05}"), settings.clone()))
        .collect();
    let keys: Vec<Value> = (0..2000)
        .map(|number| {
            let (id, app) = (format!("ak_{number:08}"), format!("app-{:05}", number / 2));
            key_entry(&id, &app, &format!("otp_live_{number:024}"), None)
        })
        .collect();
    writer
        .write(0, json!({"apps": apps, "api_keys": keys}))
        .await;
    for number in [0, 1999] {
        let key = format!("otp_live_{number:024}");
        assert_eq!(statuses(&service, &key).await, [200; 3]);
        let shown = app(&service, &key).await;
        assert_eq!(shown.body["app"], format!("app-{:05}", number / 2));
    }
}

#[tokio::test]
async fn reset_keeps_the_document() {
    let (service, writer) = start_processes(1, &[]).await;
    writer.write(0, desk("Desk")).await;
    let (to, sent) = (phone(1), service.send_as(DESK_KEY, &phone(1)).await);
    assert_status(&sent, 201);
    let reset = service.raw("POST", "/local/reset", &[], "").await;
    assert_status(&reset, 200);
    assert_eq!(statuses(&service, DESK_KEY).await, [200; 3]);
    assert!(service.messages(&to).await.is_empty());
    let history = writer.store.config_history().await.expect("a history");
    assert_eq!(history.len(), 1);
}

/// A local server with these seal keys and its table in `data`, whose functions are processes.
async fn start_in(data: &TempDirectory, ids: &[&str]) -> LocalProcess {
    let directory = built_functions::functions().directory;
    let functions = directory.to_str().expect("a path in UTF-8");
    let arguments = [
        "--data",
        data.as_str(),
        "--processes",
        "1",
        "--functions",
        functions,
    ];
    let keys = format!("shop={SHOP_KEY}");
    let variables = [("OTP_SECRETS", secrets(ids)), ("OTP_LOCAL_API_KEYS", keys)];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut process = LocalProcess::start_with_arguments(&arguments, &variables).await;
    process.service.allows_gateway_errors = true;
    process
}

#[tokio::test]
async fn seal_key_rotates_over_a_document() {
    let data = TempDirectory::new();
    let before = start_in(&data, &["k1"]).await;
    let writer = ConfigWriter::of(&before.service, &["k1"]).await;
    writer.write(0, desk("Desk")).await;
    assert_eq!(statuses(&before.service, DESK_KEY).await, [200; 3]);
    before.kill().await;

    let during = start_in(&data, &["k2", "k1"]).await;
    assert_eq!(statuses(&during.service, DESK_KEY).await, [200; 3]);
    during.kill().await;

    let too_early = start_in(&data, &["k2"]).await;
    let refused = app(&too_early.service, SHOP_KEY).await;
    assert_status(&refused, 500);
    let printed = too_early.kill().await;
    let named = "config: sealed under the key `k1`, which OTP_SECRETS does not have";
    assert!(printed.contains(named), "{printed}");

    let again = start_in(&data, &["k2", "k1"]).await;
    let writer = ConfigWriter::of(&again.service, &["k2", "k1"]).await;
    writer.write(1, desk("Front desk")).await;
    again.kill().await;

    let after = start_in(&data, &["k2"]).await;
    assert_eq!(brand(&after.service).await, "Front desk");
}

#[tokio::test]
async fn function_does_not_start_with_a_wrong_document() {
    let data = TempDirectory::new();
    for (expected, text, named) in [
        (0, r#"{"format":2}"#, "config.format: 2 is newer than 1"),
        (
            1,
            r#"{"format":1,"apps":{"desk":{"code_length":3}}}"#,
            "config.apps: desk.code_length must be",
        ),
    ] {
        let process = start_in(&data, &["k1"]).await;
        let writer = ConfigWriter::of(&process.service, &["k1"]).await;
        writer.write_text(expected, text).await;
        assert_status(&app(&process.service, SHOP_KEY).await, 500);
        let printed = process.kill().await;
        assert!(printed.contains(named), "{printed}");
    }
    let process = start_in(&data, &["k1"]).await;
    let writer = ConfigWriter::of(&process.service, &["k1"]).await;
    writer.write(2, desk("Desk")).await;
    assert_eq!(brand(&process.service).await, "Desk");
}

/// Sends a message, which `carrier` receives and reports as delivered.
async fn assert_sent_through(service: &Service, carrier: &HttpCarrier, to: &str) {
    let sent = service.send_as(SHOP_KEY, to).await;
    assert_status(&sent, 201);
    service.settle().await;
    let received = carrier.received();
    let message = received.iter().find(|message| message.to() == to);
    let message = message.unwrap_or_else(|| panic!("{} received nothing", carrier.name));
    let report = carrier.report(message, "delivered", service.now().await);
    assert_status(&report.send(service).await, 200);
}

#[tokio::test]
async fn crash_between_the_two_items_changes_no_carrier() {
    let old = HttpCarrier::start("old").await;
    let (new, third) = HttpCarrier::start_two("new", "third").await;
    let entries = json!([old.entry()]).to_string();
    let (service, writer) = start_processes(1, &[("OTP_CARRIERS", &entries)]).await;
    assert_sent_through(&service, &old, &phone(1)).await;

    writer.write_credentials(0, &[&new]).await;
    service.advance(MAX_AGE).await;
    assert_sent_through(&service, &old, &phone(2)).await;
    writer
        .write(0, json!({"carriers": carrier_list(&[&new])}))
        .await;
    service.advance(MAX_AGE).await;
    assert_sent_through(&service, &new, &phone(3)).await;

    // In the wrong order: the carrier is named before its credentials are there.
    let carriers = json!({"carriers": carrier_list(&[&third])});
    writer.write(1, carriers).await;
    service.advance(MAX_AGE).await;
    assert_sent_through(&service, &new, &phone(4)).await;
    writer.write_credentials(1, &[&new, &third]).await;
    service.advance(MAX_AGE).await;
    assert_sent_through(&service, &third, &phone(5)).await;
}
