//! One log line for each request: enough to follow it, and nothing that a client chose.

use serde_json::{Value, json};

use crate::support::{LocalProcess, TO, TestResponse, UNKNOWN_ID, assert_status};

/// A request with the first key of the process, and its `Request-Id`.
async fn call(
    process: &LocalProcess,
    method: &str,
    path: &str,
    body: Value,
) -> (TestResponse, String) {
    let body = (!body.is_null()).then_some(body);
    let response = process.call(method, path, body).await;
    let id = response.headers["request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    (response, id)
}

/// What a line about a request must contain besides its status, by method, path, body and status.
type Request = (&'static str, String, Value, u16, &'static [&'static str]);

/// In a part, `ID` means the beginning of the verification's id.
fn requests(id: &str) -> [Request; 8] {
    let verification = format!("/v1/verifications/{id}");
    let to = || json!({"to": TO});
    let limited: &[&str] = &["limit=\"cooldown\""];
    let invalid: &[&str] = &["ID", "fields=\"code\"", "error.kind=\"invalid_code\""];
    let unknown = format!("/v1/verifications/{UNKNOWN_ID}");
    let nothing = "/v1/verifications/nothing".to_owned();
    let (check, resend) = (
        format!("{verification}/check"),
        format!("{verification}/resend"),
    );
    [
        ("POST", "/v1/verifications".to_owned(), to(), 429, limited),
        ("POST", check, json!({"code": "12"}), 422, invalid),
        (
            "POST",
            resend,
            Value::Null,
            429,
            &["ID", "limit=\"cooldown\""],
        ),
        ("GET", verification.clone(), Value::Null, 200, &["ID"]),
        (
            "GET",
            unknown,
            Value::Null,
            404,
            &["verification.id=\"ve_aaaaa\""],
        ),
        ("DELETE", verification, Value::Null, 200, &["ID"]),
        ("GET", nothing, Value::Null, 404, &[]),
        ("POST", "/v1/recipients/unlock".to_owned(), to(), 200, &[]),
    ]
}

#[tokio::test]
async fn every_request_has_one_line_with_its_links() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    let (sent, request) = call(&process, "POST", "/v1/verifications", json!({"to": TO})).await;
    let id = sent.id();
    let mut expected = vec![(request, 201, vec!["request completed", "ID"])];
    for (method, path, body, status, parts) in requests(&id) {
        let (response, request) = call(&process, method, &path, body).await;
        assert_status(&response, status);
        expected.push((request, status, parts.to_vec()));
    }
    let printed = process.kill().await;
    let prefix = format!("verification.id=\"{}\"", &id[..8]);
    for (request, status, parts) in expected {
        let lines: Vec<_> = printed
            .lines()
            .filter(|line| line.contains(&request))
            .collect();
        assert_eq!(lines.len(), 1, "{request}: {printed}");
        let common = ["app=\"default\"".to_owned(), format!("status={status}")];
        let parts = parts.iter().map(|part| part.replace("ID", &prefix));
        for part in parts.chain(common) {
            assert!(lines[0].contains(&part), "{part}: {}", lines[0]);
        }
    }
    assert!(
        !printed.contains(&id) && !printed.contains("limit=\"\""),
        "{printed}"
    );
}

#[tokio::test]
async fn rejected_fields_are_logged_without_their_values() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    let body = json!({"to": "+1 secret", "ttl_seconds": 7, "canary-4711": 1, "canary-0815": 2, "code_length": "canary"});
    let (response, request) = call(&process, "POST", "/v1/verifications", body).await;
    assert_status(&response, 422);
    let printed = process.kill().await;
    let line = printed.lines().find(|line| line.contains(&request));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    assert!(
        line.contains("fields=\"?,code_length,ttl_seconds\""),
        "{line}"
    );
    assert!(
        !printed.contains("canary") && !printed.contains("secret"),
        "{printed}"
    );
}

#[tokio::test]
async fn report_is_logged_with_its_carrier() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    call(&process, "POST", "/v1/verifications", json!({"to": TO})).await;
    let message = process.service.messages(TO).await.remove(0);
    assert_eq!(process.service.report(&message, "delivered").await, 200);
    let printed = process.kill().await;
    let line = printed
        .lines()
        .find(|line| line.contains("function=\"delivery-callback\""));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    assert!(
        line.contains("delivery.carrier=\"sim-a\"") && line.contains("status=200"),
        "{line}"
    );
}
