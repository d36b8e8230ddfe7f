//! The addresses on which the local server listens, and the names by which it can be reached.

use serde_json::json;

use crate::support::local_process::{run_to_end, stderr};
use crate::support::{LocalProcess, Service, TO, assert_status};

fn port(service: &Service) -> u16 {
    let port = service.base.rsplit(':').next();
    port.and_then(|port| port.parse().ok()).expect("a port")
}

#[tokio::test]
async fn server_listens_on_both_loopback_addresses() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    let port = port(&process.service);
    for host in ["127.0.0.1", "[::1]"] {
        let service = Service::at(&format!("http://{host}:{port}"));
        assert_status(&service.raw("GET", "/healthz", &[], "").await, 200);
        assert_status(&service.raw("GET", "/local/clock", &[], "").await, 200);
    }
}

#[tokio::test]
async fn port_in_use_on_either_address_exits_with_1() {
    let listener = tokio::net::TcpListener::bind("[::1]:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let output = run_to_end(&["--port", &port.to_string()], &[]).await;
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains(&format!("[::1]:{port} is in use")),
        "{printed}"
    );
}

#[tokio::test]
async fn given_host_is_printed_with_a_warning() {
    let arguments = ["--host", "0.0.0.0"];
    let process = LocalProcess::start_with_arguments(&arguments, &[]).await;
    let port = port(&process.service);
    assert_eq!(
        process.greeting[0],
        format!("listening on http://0.0.0.0:{port}")
    );
    let curl = process.greeting.last().expect("a line");
    assert!(
        curl.contains(&format!("http://127.0.0.1:{port}/v1")),
        "{curl}"
    );
    let local = Service::at(&format!("http://127.0.0.1:{port}"));
    let sent = process.call("POST", "/v1/verifications", Some(json!({"to": TO})));
    assert_status(&sent.await, 201);
    let message = local.messages(TO).await.remove(0);
    // The callback URL is one that the simulated carrier can reach.
    assert_eq!(local.report(&message, "delivered").await, 200);
    let printed = process.kill().await;
    assert!(printed.contains("every code"), "{printed}");
}

#[tokio::test]
async fn only_allowed_names_reach_the_local_endpoints() {
    let arguments = [
        "--host",
        "0.0.0.0",
        "--allow-host",
        "otp,otp.internal",
        "--allow-host",
        "fd00::7",
    ];
    let process = LocalProcess::start_with_arguments(&arguments, &[]).await;
    let port = port(&process.service);
    for (host, status) in [
        ("otp", 200),
        ("OTP.internal", 200),
        ("[fd00::7]", 200),
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("otp.internal.evil.example", 403),
        ("evil.example", 403),
        ("0.0.0.0", 200),
    ] {
        let (host, origin) = (format!("{host}:{port}"), format!("http://{host}:{port}"));
        for headers in [
            &[("host", host.as_str())][..],
            &[("host", host.as_str()), ("origin", origin.as_str())],
        ] {
            let response = process.service.raw("GET", "/local/messages", headers, "");
            assert_status(&response.await, status);
        }
    }
    let foreign = [
        ("host", format!("otp:{port}")),
        ("origin", format!("http://evil.example:{port}")),
    ];
    let foreign = foreign
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let response = process.service.raw("GET", "/local/messages", &foreign, "");
    assert_status(&response.await, 403);
}

#[tokio::test]
async fn address_of_another_machine_exits_with_1() {
    let output = run_to_end(&["--port", "0", "--host", "192.0.2.1"], &[]).await;
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("--host: 192.0.2.1"), "{printed}");
}
