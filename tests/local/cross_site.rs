//! Other sites in a browser on this machine can neither read nor use the local endpoints, which
//! need no key. The page and clients that are not browsers can.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{DEFAULT_KEY, Service, assert_status};

/// The endpoints that need no key.
const LOCAL: [(&str, &str); 15] = [
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/openapi.strict.json"),
    ("GET", "/local/messages"),
    ("DELETE", "/local/messages"),
    ("POST", "/local/messages/x/report"),
    ("POST", "/local/reset"),
    ("GET", "/local/carriers"),
    ("GET", "/local/carriers/sim-a"),
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
async fn request_from_another_origin_is_rejected() {
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
            let response = service
                .raw(method, path, &foreign, "{\"advance_seconds\":86400}")
                .await;
            assert_eq!(
                (response.status, response.body["detail"].is_string()),
                (403, true),
                "{origin}: {method} {path}: {response:?}"
            );
            assert!(!String::from_utf8_lossy(&response.raw).contains(DEFAULT_KEY));
        }
    }
    let own = format!("http://127.0.0.1:{port}");
    let response = service
        .raw(
            "POST",
            "/local/clock",
            &[("origin", &own), ("origin", "https://evil.example")],
            "{\"advance_seconds\":86400}",
        )
        .await;
    assert_eq!(response.status, 403, "two origins: {response:?}");
    assert!(
        service.now().await < before + 86_400,
        "the clock did not move"
    );
}

#[tokio::test]
async fn request_with_another_host_is_rejected() {
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
            let response = service
                .raw(method, path, &[("host", host)], "{\"advance_seconds\":0}")
                .await;
            assert_eq!(
                (response.status, response.body["detail"].is_string()),
                (403, true),
                "{host}: {method} {path}: {response:?}"
            );
            assert!(!String::from_utf8_lossy(&response.raw).contains(DEFAULT_KEY));
        }
    }
    let rebound = [
        ("host", format!("evil.example:{port}")),
        ("origin", format!("http://evil.example:{port}")),
    ];
    let rebound = rebound
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    // A name of another site that was resolved to this machine.
    assert_status(
        &service
            .raw("POST", "/local/clock", &rebound, "{\"advance_seconds\":0}")
            .await,
        403,
    );
}

#[tokio::test]
async fn page_works_by_every_name_of_this_machine() {
    let service = Service::start().await;
    let own = port(&service);
    // The last one is a port that is forwarded to the server.
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
        let page_headers = [("host", host.as_str()), ("origin", origin.as_str())];
        let page = service.raw("GET", "/", &page_headers[..1], "").await;
        assert!(
            page.status == 200 && String::from_utf8_lossy(&page.raw).contains(DEFAULT_KEY),
            "{host}: {page:?}"
        );
        let response = service
            .raw(
                "POST",
                "/local/clock",
                &page_headers,
                "{\"advance_seconds\":1}",
            )
            .await;
        assert_eq!(response.status, 200, "{host} {origin}: {response:?}");
        let response = service
            .raw(
                "POST",
                "/local/carriers/sim-a",
                &page_headers,
                "{\"mode\":\"ok\"}",
            )
            .await;
        assert_eq!(response.status, 200, "{host} {origin}: {response:?}");
    }
}

#[tokio::test]
async fn request_without_a_host_is_accepted() {
    let service = Service::start().await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port(&service)))
        .await
        .expect("it listens");
    stream
        .write_all(b"GET /local/clock HTTP/1.0\r\n\r\n")
        .await
        .expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a text");
    assert!(
        response.starts_with("HTTP/1.0 200") && response.contains("\"now\""),
        "{response}"
    );
}

#[tokio::test]
async fn api_accepts_any_host_and_origin_with_a_key() {
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
    assert_status(&sent, 201);
    assert_status(&service.raw("GET", "/healthz", &foreign, "").await, 200);
}
