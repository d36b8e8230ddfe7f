//! Other sites, open in a browser on this machine: they see nothing of what needs no key, and move nothing. The page and
//! whoever is no browser go on.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{DEFAULT_KEY, Service};

/// What exists only here.
const LOCAL: [(&str, &str); 10] = [
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/local/messages"),
    ("POST", "/local/messages/x/report"),
    ("GET", "/local/clock"),
    ("POST", "/local/clock"),
    ("POST", "/local/carriers/sim-a"),
    ("GET", "/local/metrics"),
    ("GET", "/local/state"),
    ("POST", "/2015-03-31/functions/verify/invocations"),
];

fn port(service: &Service) -> u16 {
    service
        .base
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .expect("a port")
}

#[tokio::test]
async fn another_site_moves_no_clock_and_no_carrier() {
    let service = Service::start().await;
    let (port, before) = (port(&service), service.now().await);
    let origins = [
        "https://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        "null".to_owned(),
        String::new(),
        format!("http://localhost:{}", port ^ 1),
        "http://localhost".to_owned(),
        format!("https://localhost:{port}"),
        format!("http://localhost.evil.example:{port}"),
        format!("http://evil.example@127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}, https://evil.example"),
        format!("file://127.0.0.1:{port}"),
    ];
    for origin in &origins {
        let foreign = [("origin", origin.as_str()), ("content-type", "text/plain")];
        for (method, path) in LOCAL {
            let answer = service
                .raw(method, path, &foreign, "{\"advance_seconds\":86400}")
                .await;
            assert_eq!(
                (answer.status, answer.body["detail"].is_string()),
                (403, true),
                "{origin}: {method} {path}: {answer:?}"
            );
            assert!(!String::from_utf8_lossy(&answer.raw).contains(DEFAULT_KEY));
        }
    }
    let own = format!("http://127.0.0.1:{port}");
    let answer = service
        .raw(
            "POST",
            "/local/clock",
            &[("origin", &own), ("origin", "https://evil.example")],
            "{\"advance_seconds\":86400}",
        )
        .await;
    assert_eq!(answer.status, 403, "two origins: {answer:?}");
    assert!(service.now().await < before + 86_400, "the clock stayed");
}

#[tokio::test]
async fn another_name_for_this_machine_shows_neither_keys_nor_messages() {
    let service = Service::start().await;
    let port = port(&service);
    for host in [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example@localhost",
        "localhost:80:80",
        "192.168.1.1",
        "0.0.0.0",
        "::1",
        "",
    ] {
        for (method, path) in LOCAL {
            let answer = service
                .raw(method, path, &[("host", host)], "{\"advance_seconds\":0}")
                .await;
            assert_eq!(
                (answer.status, answer.body["detail"].is_string()),
                (403, true),
                "{host}: {method} {path}: {answer:?}"
            );
            assert!(!String::from_utf8_lossy(&answer.raw).contains(DEFAULT_KEY));
        }
    }
    let rebound = [
        ("host", format!("evil.example:{port}")),
        ("origin", format!("http://evil.example:{port}")),
    ];
    let rebound = rebound
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(
        service
            .raw("POST", "/local/clock", &rebound, "{\"advance_seconds\":0}")
            .await
            .status,
        403,
        "its own origin, by its name"
    );
}

#[tokio::test]
async fn the_page_goes_on_by_every_name_of_this_machine() {
    let service = Service::start().await;
    let own = port(&service);
    // The last one is a port of this machine that is forwarded to another, where the server is.
    for (host, origin) in [
        (
            format!("127.0.0.1:{own}"),
            format!("http://127.0.0.1:{own}"),
        ),
        (
            format!("localhost:{own}"),
            format!("http://localhost:{own}"),
        ),
        (format!("[::1]:{own}"), format!("http://[::1]:{own}")),
        (
            format!("127.0.0.1:{own}"),
            format!("http://localhost:{own}"),
        ),
        ("localhost".to_owned(), "http://localhost".to_owned()),
        (
            "LocalHost:9000".to_owned(),
            "http://localhost:9000".to_owned(),
        ),
    ] {
        let of_page = [("host", host.as_str()), ("origin", origin.as_str())];
        let page = service.raw("GET", "/", &of_page[..1], "").await;
        assert!(
            page.status == 200 && String::from_utf8_lossy(&page.raw).contains(DEFAULT_KEY),
            "{host}: {page:?}"
        );
        let answer = service
            .raw("POST", "/local/clock", &of_page, "{\"advance_seconds\":1}")
            .await;
        assert_eq!(answer.status, 200, "{host} {origin}: {answer:?}");
        let answer = service
            .raw(
                "POST",
                "/local/carriers/sim-a",
                &of_page,
                "{\"mode\":\"ok\"}",
            )
            .await;
        assert_eq!(answer.status, 200, "{host} {origin}: {answer:?}");
    }
}

#[tokio::test]
async fn who_names_no_host_is_no_browser_and_is_answered() {
    let service = Service::start().await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port(&service)))
        .await
        .expect("it listens");
    stream
        .write_all(b"GET /local/clock HTTP/1.0\r\n\r\n")
        .await
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("a text");
    assert!(
        answer.starts_with("HTTP/1.0 200") && answer.contains("\"now\""),
        "{answer}"
    );
}

#[tokio::test]
async fn what_needs_a_key_asks_for_no_more_than_the_key() {
    let service = Service::start().await;
    let foreign = [("host", "otp.example"), ("origin", "https://shop.example")];
    let sent = service
        .call_as(
            DEFAULT_KEY,
            "POST",
            "/v1/verifications",
            Some(json!({"to": "+12025550143"})),
            &foreign,
        )
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(
        service.raw("GET", "/healthz", &foreign, "").await.status,
        200
    );
}
